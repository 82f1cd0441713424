"""One request on its way through a simulated service."""

from __future__ import annotations

from typing import Any, Final

HASH_BLOCK: Final = 512
"""Tokens of a block that a hash id names (Mooncake, https://github.com/kvcache-ai/Mooncake/tree/main/FAST25-release)."""


class Request:
    """One request on its way through a service.

    Attributes:
        arrival: seconds after the trace begins; of a later turn of a session, set when it comes.
        input: prompt tokens; ``output``: tokens of the answer.
        hashes: ids of the blocks of the prompt, alike where everything up to them is alike.
        priority: lower goes first; ``session``: name of the conversation it belongs to.
        then: the next turn of the session and the time after the answer at which it comes.
        usable: time at which the blocks that come from host memory are there.
    """

    __slots__ = (
        "arrival", "cached", "done", "finish", "first", "hashes", "held", "id", "input", "lane", "left", "output", "past",
        "preempted", "priority", "rank", "ready", "session", "start", "take", "then",
        "usable",
    )  # fmt: skip

    def __init__(
        self, arrival: float, input: int, output: int, hashes: tuple[int, ...] = (), *, priority: int = 0, session: str = ""
    ) -> None:  # fmt: skip
        self.arrival, self.input, self.output, self.hashes = arrival, input, output, hashes
        self.priority, self.session = priority, session
        self.then: tuple[float, Request] | None = None
        self.id = self.cached = self.done = self.finish = self.left = self.past = self.take = self.preempted = 0
        self.start = self.lane = 0
        self.first, self.held, self.ready, self.usable = -1.0, 0.0, False, 0.0
        self.rank: Any = None

    def __repr__(self) -> str:
        return f"Request({self.arrival:g} s, {self.input} in, {self.output} out)"
