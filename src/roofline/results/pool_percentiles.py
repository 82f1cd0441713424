"""Distributions of TTFT and TPOT with disaggregated prefill and decode."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import numpy as np

from roofline.core.arrays import larger, share, smaller
from roofline.core.remember import Lazy
from roofline.core.units import Num, Ratio
from roofline.physics.percentiles import Gaps, Passes, Waits, lengths
from roofline.physics.queueing import drawn_apart

if TYPE_CHECKING:
    from roofline.results.estimate import Estimate
    from roofline.results.pools import Pools

_AVERAGED: Final = 2 / 3
"""What is left of the variance of the number in flight over an answer, :math:`2 \\int (1 - x)^2`."""
_LONGEST: Final = 10.0
_FEWEST: Final = 0.01


def waits(split: Pools) -> Waits:
    """Return how the time to the first token is distributed.

    A prompt waits for the pass in progress where lanes read several at once, for those ahead of it, and passes; its cache is sent, and
    decoding takes it in after the step in progress.
    """
    q, going = split.question, split.round
    lane, even, closed = going.lanes, q.variation * q.variation, q.rate is None
    busy = smaller(split.requests_per_second / lane.count * lane.each, 1.0)
    come = split.requests_per_second / lane.count * lane.alone
    together = smaller(come + np.exp(-come), lane.most)
    return Waits(
        front=going.after, mean=split.ttft, passes=Lazy(partial(_passes, split)), step=going.step, lasts=lane.alone + lane.more * (together - 1),
        met=-np.expm1(-split.decoding), often=busy * (1 - 1 / lane.most), regular=(1 / lane.count + even) / (1 + even),
        least=split.in_flight / lane.count * drawn_apart(q.variation, q.variation) if closed else np.inf,
    )  # fmt: skip


def gaps(split: Pools) -> Gaps:
    """Return how the time per output token is distributed: no prompt disturbs an answer, but steps vary as the number in flight does."""
    q, going = split.question, split.round
    return Gaps(
        base=going.spent, tokens=larger(q.output - 1, 0.0), prompts=0.0 * going.spent, each=0.0 * going.spent, variation=q.variation,
        step=going.step, mixed=going.step * _LONGEST, often=0.0, passes=Lazy(partial(_passes, split)),
        uneven=None if q.rate is None else Lazy(partial(_uneven, split)),
    )  # fmt: skip


def _passes(split: Pools) -> Passes:
    """Price prompts of every length by themselves."""
    q, est = split.question, cast("Any", split.prefill)
    read = q.input - q.cached
    varied = smaller(q.variation * q.input / read, larger(q.variation, 1.0))
    length = larger(lengths(read, varied, np.ndim(split.ttft)), 1.0)
    times = cast("Num", _again(est, attrs.evolve(est.question, input=length + q.cached)).ttft)
    return Passes(times, times)


def _uneven(split: Pools) -> Ratio:
    """Return how much the time of a step varies from one request to another."""
    est, some = cast("Any", split.decode), np.sqrt(split.decoding * _AVERAGED)
    low, high = (
        cast("Num", _again(est, attrs.evolve(est.question, batch=larger(split.decoding + by, _FEWEST))).tpot)
        for by in (-some, some)
    )
    return share((high - low) / 2, split.tpot)


def _again(est: Estimate, question: Any) -> Estimate:
    """Return the answer of a pool to another question."""
    return cast("Estimate", est.again(question, est.system, est.layout, est.calibration))
