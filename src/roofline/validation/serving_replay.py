"""Predictions of measured serving runs; runs with the same structure are one array.

======== ==========================================================================================================
online   a service at ``N`` requests in flight; those beyond the ``n`` whose caches fit wait, by Little's law
         ``(N / n - 1) T`` before their prompt is read, ``T`` the time in which each of the ``n`` is served once
offline  the rate of that service, with as many in flight as fit where it is not known
static   one batch: ``rate = N O / (prefill + (O - 1) step)``, the step at the mean context ``I + O / 2``
prefill  one pass over the batch; decode: one step of it, at ``I + O / 2``
======== ==========================================================================================================

With disaggregated prefill and decode, see :func:`apart`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask, floor, larger, share, smaller
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import BUDGET
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.planner.estimate import estimate
from roofline.planner.pools import pools
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Question, Serve

Floats = NDArray[np.float64]
QUANTITIES: Final = ("ttft_s", "tpot_s", "output_tokens_per_s")


@frozen(eq=False)
class Batch:
    """Runs that differ in numbers only: a row for each, a column for each layout that it leaves open.

    Attributes:
        model: the model of all runs.
        system: the system of all runs.
        profile: the constants that price them.
        layout: the layouts of the chips that decode, or do all.
        prefill_pool: the layouts of the prefill pool; None where one pool does both.
        input: tokens of a prompt.
        output: tokens of an answer.
        concurrency: NaN where as many are in flight as fit.
        draft_tokens: speculative tokens verified at each step.
        accept_length: mean tokens emitted a step with them.
        requests_per_slot: requests that each slot of the benchmark serves.
        variation: standard deviation of the lengths over their mean.
    """

    model: Model
    system: System
    profile: Calibration
    layout: Layout
    prefill_pool: Layout | None
    input: Floats
    output: Floats
    concurrency: Floats
    draft_tokens: Floats
    accept_length: Floats
    requests_per_slot: Floats
    variation: Floats

    def ask(self, question: Question, layout: Layout | None = None) -> Estimate:
        """Return the answer to a question about this model on this system."""
        return estimate(question, self.system, self.layout if layout is None else layout, level=self.profile)

    def question(self, concurrency: Num) -> Serve:
        """Return the service that is asked for, with so many requests in flight."""
        return Serve(
            self.model, self.input, self.output, concurrency, self.draft_tokens, self.accept_length,
            requests_per_slot=self.requests_per_slot, variation=self.variation,
        )  # fmt: skip

    def serve(self, concurrency: Num) -> Estimate:
        """Return the service with so many requests in flight."""
        return self.ask(self.question(concurrency))

    def step(self, batch: Num) -> Estimate:
        """Return the decode step at the mean context of a request."""
        context = larger(self.input + self.output / 2, 1.0)
        return self.ask(Decode(self.model, batch, context, self.draft_tokens, self.accept_length))

    def prefill(self, batch: Num, layout: Layout | None = None) -> Estimate:
        """Return the pass over so many prompts."""
        return self.ask(Prefill(self.model, batch, self.input), layout)


DRAIN: Final = 0.8
"""Times that a slot is empty at the end of a benchmark, over that of a request and the spread of lengths: 0.5 of a request for uniform
lengths from 0 to twice the mean, by the mean numbers in flight that 90 published closed loops print."""

Interval = tuple[Num, Num, Num]
"""A quantity with the ends of its 80 % interval."""


@frozen(eq=False)
class Outcome:
    """What was found for a batch, over runs and layouts.

    Attributes:
        quantities: each with the ends of its interval.
        worth: what the best layout has most of.
        estimates: the answers whose plans must hold, each with what it is of.
        said: where something was assumed, and what.
    """

    quantities: Mapping[str, Interval]
    worth: Num
    estimates: tuple[Estimate, ...]
    said: tuple[tuple[Mask, str], ...] = field(default=())


def _ends(est: Estimate | Pools, name: str, value: Num) -> Interval:
    pair = est.interval(name)
    return (value, np.nan, np.nan) if pair is None else (value, pair[0], pair[1])


def _rate(time: Interval, rate: Num) -> Interval:
    """Return a rate with its ends, which moves as the inverse of a time does."""
    return rate, rate * share(time[0], time[2]), rate * share(time[0], time[1])


def online(b: Batch) -> Outcome:
    """Price a service at its load; requests whose caches do not fit beside the others wait for their places."""
    unknown = np.isnan(b.concurrency)
    est = b.serve(np.where(unknown, 1.0, b.concurrency))
    if np.any(unknown):
        est = b.serve(np.where(unknown, np.floor(larger(est.max_concurrency, 1.0)), b.concurrency))
    ttft, each = _ends(est, "ttft", _known(est.ttft)), _ends(est, "tpot", _known(est.tpot))
    # The last requests of a benchmark drain: slots are empty while the longest are still answered.
    rate = _known(est.tokens_per_second) / (1 + DRAIN * b.variation / b.requests_per_slot)
    whole = _ends(est, "tokens_per_second", _known(est.tokens_per_second))
    ends: Any = tuple(rate * share(end, whole[0]) for end in whole)
    return Outcome(
        {"ttft_s": ttft, "tpot_s": each, "output_tokens_per_s": ends},
        rate,
        (est,),
        (
            (b.concurrency > larger(est.max_concurrency, 1.0), "requests beyond those whose caches fit wait"),
            (unknown, "as many requests in flight as fit"),
        ),
    )


def _known(value: Num | None) -> Num:
    return np.nan if value is None else value


def static(b: Batch) -> Outcome:
    """Price one batch from its first prompt token to its last output token."""
    first, step = b.prefill(b.concurrency), b.step(b.concurrency)
    ttft, tpot = _ends(first, "ttft", _known(first.ttft)), _ends(step, "tpot", _known(step.tpot))
    gaps = larger(b.output - 1, 0.0)
    whole: Any = tuple(prompt + gaps * token for prompt, token in zip(ttft, tpot, strict=True))
    rate = b.concurrency * b.output / whole[0]
    return Outcome({"ttft_s": ttft, "tpot_s": tpot, "output_tokens_per_s": _rate(whole, rate)}, rate, (first, step))


def prefill(b: Batch) -> Outcome:
    """Price one pass over the prompts; where their number is not known, as many as fill a chunk of every attention rank."""
    lanes = b.layout.dp * b.layout.replicas
    filled = lanes * larger(floor(BUDGET / b.input), 1.0)
    est = b.prefill(np.where(np.isnan(b.concurrency), filled, b.concurrency))
    ttft, rate = _ends(est, "ttft", _known(est.ttft)), _known(est.prompt_tokens_per_second)
    quantities = {"ttft_s": ttft, "output_tokens_per_s": _rate(ttft, rate)}
    notes = ((np.isnan(b.concurrency), f"prompts fill passes of {BUDGET:,.0f} tokens"),)
    return Outcome(quantities, -_known(est.ttft), (est,), notes)


def decode(b: Batch) -> Outcome:
    """Price one decode step, of as many sequences as fit where their number is not known."""
    est = b.step(np.nan_to_num(b.concurrency, nan=1.0))
    unknown = np.isnan(b.concurrency)
    if np.any(unknown):
        est = b.step(np.where(unknown, larger(est.max_concurrency, 1.0), b.concurrency))
    tpot, rate = _ends(est, "tpot", _known(est.tpot)), _known(est.tokens_per_second)
    quantities = {"tpot_s": tpot, "output_tokens_per_s": _rate(tpot, rate)}
    return Outcome(quantities, rate, (est,), ((unknown, "as many sequences as fit"),))


def apart(b: Batch, prompts: Layout) -> Outcome:
    """Estimate disaggregated prefill and decode; see :mod:`roofline.planner.pools`."""
    split = pools(b.question(b.concurrency), b.system, b.layout, prompts, level=b.profile)
    first, alone = _ends(split, "ttft", split.ttft), _ends(split.prefill, "ttft", _known(split.prefill.ttft))
    quantities = {
        # Whether prompts were cached is not recorded: perhaps no request waited.
        "ttft_s": (first[0], smaller(first[1], alone[1]), first[2]),
        "tpot_s": _ends(split, "tpot", split.tpot),
        "output_tokens_per_s": _ends(split, "tokens_per_second", split.tokens_per_second),
    }
    notes = ((True, "disaggregated prefill and decode; that none was cached is assumed"),)
    return Outcome(quantities, split.tokens_per_second, (split.decode, split.prefill), notes)


PRICED: Final[Mapping[str, tuple[Callable[[Batch], Outcome], tuple[str, ...]]]] = {
    "online": (online, QUANTITIES), "offline": (online, QUANTITIES[2:]), "static": (static, QUANTITIES),
    "prefill": (prefill, ("ttft_s", "output_tokens_per_s")), "decode": (decode, QUANTITIES[1:]),
}  # fmt: skip
"""How a run of each mode is priced, and which quantities that tells."""
