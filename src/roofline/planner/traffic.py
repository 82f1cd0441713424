"""Draws requests for a simulation: lengths, cached prefix, a rate or a closed loop."""

from __future__ import annotations

from typing import Any, Final

import attrs
import numpy as np

from roofline.core.errors import QuestionError, fault
from roofline.inference.traces import Trace
from roofline.workload.questions import Serve

DRAWN: Final = 10_000
"""Requests that are drawn where they come at a rate."""
_TURNS: Final = 10
"""Requests of each slot of a closed loop."""


def drawn(
    question: Serve, requests: int | None = None, *, lengths: str | None = None, burstiness: float = 1.0, swing: float | None = None,
    seed: int = 0,
) -> Trace:  # fmt: skip
    """Return requests that are like those of a service: its means, its variation, its cached prefix, its load.

    Args:
        question: the service; its numbers are single ones.
        requests: how many; by default 10,000 at a rate, ten (or ``requests_per_slot``) of each slot of a closed loop.
        lengths: distribution, a name of :data:`roofline.inference.traces.LENGTHS`; by default ``lognormal``, and ``fixed``
            where the lengths do not vary.
        swing: the rate swings by so much of its mean over a day; the requests are then those of 24 hours.
        burstiness: shape of the gaps between requests that come at a rate: 1 for a Poisson process, less for bursts.

    Raises:
        QuestionError: a number of the service is many, or ``requests_per_slot`` where requests come at a rate.

    >>> import roofline as rl
    >>> drawn(rl.Serve(rl.model("llama-3.1-8b"), concurrency=8))
    <Trace drawn, 4,096 tokens in, 1,024 out: 80 requests, 8 in flight>
    """
    for each in attrs.fields(Serve):
        value = getattr(question, each.name)
        if np.ndim(value):
            raise QuestionError(fault(each.name, value, "must be one number", "a simulation answers one point"))
    slots = question.requests_per_slot
    if slots is not None and question.concurrency is None:
        raise QuestionError(fault("requests_per_slot", slots, "is of a closed loop", "give concurrency, or requests"))
    varied = float(question.variation)
    words: Any = {
        "input": float(question.input), "output": float(question.output), "prefix": int(question.cached), "variation": varied,
        "lengths_are": ("lognormal" if varied > 0 else "fixed") if lengths is None else lengths, "seed": seed,
    }  # fmt: skip
    title = f"drawn, {words['input']:,.0f} tokens in, {words['output']:,.0f} out"
    if question.concurrency is None:
        rate = float(question.rate or 0.0)
        if swing is not None:
            taken = {name: words[name] for name in ("input", "output", "lengths_are", "variation", "seed")}
            day = attrs.evolve(
                Trace.daily(rate, swing=swing, **taken),
                name=f"{title}, {rate:,.4g} requests/s with a daily swing of {swing:.0%}",
            )
            return day if requests is None else day.first(requests)
        made = Trace.poisson(rate, DRAWN if requests is None else requests, burstiness=burstiness, **words)
        return attrs.evolve(made, name=f"{title}, {rate:,.4g} requests/s")
    flying = max(round(float(question.concurrency)), 1)
    turns = _TURNS if slots is None else float(slots)
    looped = Trace.closed(flying, max(round(turns * flying), 1) if requests is None else requests, **words)
    return attrs.evolve(looped, name=title)
