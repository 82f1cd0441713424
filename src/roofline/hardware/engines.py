"""What a serving engine adds to its kernels: time of the host, and how requests are scheduled. Data, not code."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from roofline.core.provenance import Fact
from roofline.core.units import Count, Ratio, Seconds

BUDGET: Final = 8192.0
"""Prompt tokens that an engine passes beside a decode step, over the attention ranks that work in lock-step."""


@frozen(eq=False)
class Engine:
    """A serving engine.

    ``step = ||gpu, (sequence + stream) B||_3 + gap``, and ``prompt_gap`` more where a step passes prompts, for B sequences.

    Attributes:
        stack: whose kernels it runs, where those were measured; "" for those of all stacks together.
        fused: formats whose activations are quantised with fixed scales inside the kernel before, so that no pass is spent on it.
        attention: formats of a cache that its attention multiplies as they are stored, where the chip has the rate; others are widened to
            16 bits. ``index``: format of the scores of sparse attention's index.
        launch: time of a kernel's launch over that of the kernels alone: below 1 where launches are fused.
        gap: time of the host between two steps, when the chip has nothing to do.
        prompt_gap: what a step that passes prompts takes more of it.
        sequence: time of the host for each sequence of a step (scheduling, sampling), beside the chip's work; ``stream``, what
            sending its tokens on takes more, where somebody waits for each.
        front: time of a request before its first step: tokenising, queueing, sending.
        overlap: how far the messages of one half of a step hide behind the operations of the other, from 0 to 1.
        budget: prompt tokens of a step, over the attention ranks that work in lock-step.
        reserve: part of a request's answer for which cache must be free when it is let in.
        crowd: prompts that are ahead of one, on average, where requests of equal length end together.
        bunched: how far requests of equal length keep together, one behind the other, for ever: 0 they spread, 1 in lock-step.
        windows: whether layers with a sliding window see, and keep, no more than it; where not, every token.
        memory_fraction: share of a chip's memory that weights, cache and activations may fill; None for the profile's own.
        facts: each number as the file states it, with its source.
    """

    name: str = "none"
    title: str = ""
    stack: str = ""
    fused: tuple[str, ...] = ()
    attention: tuple[str, ...] = ("fp8",)
    index: str = "fp8"
    launch: Ratio = 1.0
    gap: Seconds = 0.0
    prompt_gap: Seconds = 0.0
    sequence: Seconds = 0.0
    stream: Seconds = 0.0
    front: Seconds = 0.0
    overlap: Ratio = 0.0
    budget: Count = BUDGET
    reserve: Ratio = 1.0
    crowd: Count = 0.0
    bunched: Ratio = 0.0
    windows: bool = True
    memory_fraction: Ratio | None = None
    facts: tuple[Fact, ...] = field(default=(), repr=False)
