"""The answer to a question: times, rates, memory, what bounds them, how sure they are and what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline import certainty, displays, points, usage
from roofline.arrays import Mask, ceil, share, smaller
from roofline.calibration import Calibration
from roofline.energy import dollars_per_token, drawn, joules_per_token
from roofline.errors import QuestionError
from roofline.footprint import Footprint
from roofline.hardware import System
from roofline.layout import Layout
from roofline.provenance import Fact
from roofline.queueing import Waits
from roofline.record import record
from roofline.reports import tree
from roofline.sensitivities import Sensitivity, sensitivity
from roofline.timeline import Span, bound
from roofline.units import MILLION, SECOND, Bytes, Count, Dollars, Joules, Num, PerSecond, Ratio, Seconds, show
from roofline.work import Op
from roofline.workload import Question, Serve

LEAST: Final = ("ttft", "tpot", "cycle", "joules_per_token", "dollars_per_million_tokens")
"""Quantities of which less is better."""


@frozen(eq=False)
class Rule:
    """A condition on a plan: where it holds, and what to say where it does not."""

    ok: Mask
    reason: str


@frozen(eq=False, repr=False)
class Estimate:
    """An answer. Quantities are floats, or arrays over the points asked; one without meaning here is None.

    Attributes:
        ttft: time to the first token of a request.
        tpot: time per output token of a request after the first.
        tokens_per_second: output tokens of the whole deployment.
        prompt_tokens_per_second: prompt tokens it reads when it does nothing else.
        cycle: time in which every request in flight is served once, in a service under load.
        in_flight: requests in flight in a service, on average; ``waits``: how long they wait for their first tokens.
        memory: bytes on the fullest chip.
        capacity: bytes of a chip that may be used.
        max_concurrency: sequences whose caches fit.
        rules: conditions on the plan besides memory.
        within: for each time, the span it consists of and the share of it that passes prompts.
        progress: spans and how often their operations bring a token further while the last step lasts.
        again: what answers the question afresh, for one of its points.
        steps: what the times consist of; empty for an answer over more points than are kept whole.
        remarks: what was assumed to answer; ``choices``: what was chosen before.
    """

    question: Question
    system: System
    layout: Layout
    calibration: Calibration
    ttft: Seconds | None
    tpot: Seconds | None
    tokens_per_second: PerSecond | None
    prompt_tokens_per_second: PerSecond | None
    memory: Footprint
    capacity: Bytes
    max_concurrency: Count
    again: Callable[[Any, System, Layout, Calibration], Estimate]
    cycle: Seconds | None = None
    in_flight: Count | None = None
    waits: Waits | None = None
    rules: tuple[Rule, ...] = ()
    steps: tuple[Span, ...] = ()
    within: Mapping[str, tuple[Span, Ratio]] = field(factory=dict)
    progress: tuple[tuple[Span, Num], ...] = ()
    remarks: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        where = f"{type(self.question).__name__} of {self.question.model.name} on {self.system.name}"
        if self.shape:
            return f"<Estimate: {where}, {' x '.join(map(str, self.shape))} points>"
        known = [
            (name, v) for name, v in (("TTFT", self.ttft), ("TPOT", self.tpot)) if v is not None and not np.isnan(v)
        ]
        times = [f"{name} {show(float(value), SECOND, 3)}" for name, value in known]
        return f"<Estimate: {where}, {self.layout}: {', '.join(times)}{'' if self.fits else ', does not fit'}>"

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        return (*self.choices, *self.remarks)

    # Feasibility -----------------------------------------------------------------------------------------------------

    @property
    def divides(self) -> Mask:
        """Where the layout can be laid out at all."""
        out: Mask = True
        for rule in self.rules:
            out = out & rule.ok
        return out

    @property
    def fits(self) -> Mask:
        """Where the layout can be laid out and the fullest chip holds its part."""
        return self.divides & (self.memory.total <= self.capacity)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the plan does not fit (some of the points, if there are many); empty if it does."""
        out = [rule.reason for rule in self.rules if not np.all(rule.ok)]
        if not np.all(self.memory.total <= self.capacity):
            out.append("weights, cache and activations exceed the memory of a chip")
        return tuple(out)

    # Rates -----------------------------------------------------------------------------------------------------------

    @property
    def chips(self) -> Count:
        """Chips (packages) of the deployment."""
        return ceil(self.layout.ranks / self.system.ranks_per_chip)

    @property
    def concurrency(self) -> Count:
        """Sequences in flight: those asked for, or those that come to be in flight at the rate asked."""
        q = self.question
        if not isinstance(q, Serve):
            return q.batch
        return cast("Num", q.concurrency if self.in_flight is None else self.in_flight)

    @property
    def requests_per_second(self) -> PerSecond | None:
        """Requests that a service answers in a second."""
        q, rate = self.question, self.tokens_per_second
        return rate / q.output if isinstance(q, Serve) and rate is not None else None

    @property
    def tokens_per_second_per_chip(self) -> PerSecond | None:
        """Output tokens per second and chip."""
        return None if self.tokens_per_second is None else self.tokens_per_second / self.chips

    @property
    def tokens_per_second_per_user(self) -> PerSecond | None:
        """Output tokens per second of one request, after its first: ``1 / TPOT``."""
        return None if self.tpot is None else 1 / self.tpot

    @property
    def prompt_tokens_per_second_per_chip(self) -> PerSecond | None:
        """Prompt tokens per second and chip when nothing else is done."""
        return None if self.prompt_tokens_per_second is None else self.prompt_tokens_per_second / self.chips

    @property
    def joules_per_token(self) -> Joules | None:
        """Energy of an output token (of a prompt token, for a prefill); None where no power is known."""
        rate, power = self._rate, self.system.power_per_chip
        return None if rate is None or power is None else joules_per_token(power, self._drawn[0], self.chips, rate)

    @property
    def joules_range(self) -> tuple[Joules, Joules] | None:
        """The least and the greatest energy of a token, over the draws that busy systems were seen to have."""
        each, (mean, low, high) = self.joules_per_token, self._drawn
        return None if each is None else (each * low / mean, each * high / mean)

    @property
    def working(self) -> Ratio:
        """Share of the replicas that have a request."""
        return smaller(self.concurrency / self.layout.replicas, 1.0)

    @property
    def _drawn(self) -> tuple[Ratio, Ratio, Ratio]:
        """Mean, least and greatest draw over the rated power: of busy systems where replicas work, of idle ones elsewhere."""
        profile = self.calibration
        mean, low, high = (drawn(profile.idle_fraction, busy, self.working) for busy in profile.power_fraction)
        return mean, low, high

    @property
    def dollars_per_million_tokens(self) -> Dollars | None:
        """Rent for a million output tokens (prompt tokens, for a prefill); None where no price is known."""
        rate, price = self._rate, self.system.price_per_chip
        return None if rate is None or price is None else MILLION * dollars_per_token(price, self.chips, rate)

    @property
    def _rate(self) -> PerSecond | None:
        return self.prompt_tokens_per_second if self.tokens_per_second is None else self.tokens_per_second

    # What it consists of ---------------------------------------------------------------------------------------------

    @property
    def mfu(self) -> Ratio:
        """Model FLOP utilisation: the time the FLOP of tokens kept would take at their dtypes' peaks, over the time taken.

        What tensor peers repeat, what waits for the fullest shard, and drafts that are not kept are no progress.
        """
        peak, whole = self.system.chip.peak, self.whole
        ideal: Num = 0.0
        for span, times in self.progress:
            for work, _, often in span.leaves():
                if isinstance(work, Op):
                    ideal = ideal + times * often * work.flops * work.useful / peak[work.rate]
        return share(ideal, whole.time)

    @property
    def bandwidth_utilization(self) -> Ratio:
        """Compulsory memory traffic over what the memory could move in the time taken."""
        return share(self.whole.bytes / self.system.chip.memory.bandwidth, self.whole.time)

    @property
    def bound(self) -> str:
        """The resource that bounds the most time: compute, memory, network or latency (one point)."""
        return bound(self.whole.busy())

    @property
    def bounds(self) -> dict[str, Ratio]:
        """Share of the time bound by each resource."""
        return {name: share(time, self.whole.time) for name, time in self.whole.busy().items()}

    def interval(self, quantity: str) -> tuple[Num, Num] | None:
        """Return the 80 % interval of ``"ttft"``, ``"tpot"`` or a rate; see :func:`roofline.certainty.interval`."""
        return certainty.interval(self, quantity)

    def ttft_percentile(self, p: Num) -> Seconds | None:
        """Return the time by which p per cent of requests have their first token; see :func:`roofline.certainty.percentile`."""
        return certainty.percentile(self, p)

    def idealisation(self, quantity: str) -> tuple[Seconds, Seconds] | None:
        """Return a time as if resources worked side by side, and as if in turn; see :func:`roofline.certainty.idealisation`."""
        return certainty.idealisation(self, quantity)

    @property
    def whole(self) -> Span:
        """The last step: all that the times consist of.

        Raises:
            QuestionError: over more points than details are kept for.
        """
        if not self.steps:
            raise QuestionError("estimate: keeps no details over so many points; pick one with .at(index)")
        return self.steps[-1]

    def why(self) -> str:
        """Return the steps as trees of text: every operation, its time and share, what bounds it (one point).

        Of a service, the decode step and the mixed one, then how many of them a request sees.
        """
        points.one(self)
        if len(self.steps) == 1:
            return tree(self.whole)
        _, plain, mixed, cycle = self.steps
        return "\n\n".join((tree(plain), tree(mixed), tree(cycle, depth=2)))

    def sensitivity(self, quantity: str | None = None) -> Sensitivity:
        """Return how much hangs on each number it rests on, the most first: :mod:`roofline.sensitivities` (one point)."""
        return sensitivity(self, quantity)

    def plot(
        self, ax: Any = None, label: str = "", *, kind: str = "roofline", style: str | None = None,
        width: float | str | None = None, **words: Any,
    ) -> Any:  # fmt: skip
        """Draw the answer, and return the axes (one point); see :mod:`roofline.pictures`.

        Drawing another answer's roofline or load on the same ``ax`` adds it in another colour.

        Args:
            ax: axes to draw on; by default those of a new figure.
            label: what the legend calls the answer.
            kind: ``roofline``, ``breakdown``, ``load``, ``memory`` or ``tornado``.
            style: ``light``, ``dark`` or ``print``; ``width`` of a new figure: ``column``, ``page``, or inches.
            words: of a roofline ``levels``, ``band``, ``track``, ``along``, ``values``; of a breakdown ``by``; of a load
                ``loads``; of memory ``layouts``.
        """
        from roofline import pictures  # few draw, and all import

        points.one(self)
        return pictures.plot(self, kind, ax, label, look={"style": style, "width": width}, words=words)

    def _repr_html_(self) -> str | None:
        return displays.html(self)

    def _repr_svg_(self) -> str | None:
        return displays.svg(self)

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and constant that was used, with its source; one that was changed since says so."""
        return usage.cited(self.system, self.calibration, self.whole)

    # Many points -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""
        return points.shape(self)

    def at(self, *index: int) -> Estimate:
        """Return the answer at one point."""
        return cast("Estimate", points.at(self, *index))

    def among(self, where: NDArray[np.int64]) -> Estimate:
        """Return the answer at some of the points, counted row by row, in full and on one axis."""
        return cast("Estimate", points.among(self, where))

    def best(self, quantity: str = "tokens_per_second", where: Mask = True) -> Estimate:
        """Return the answer at the point that fits and has the best ``quantity``: the greatest rate, or the least time.

        Args:
            quantity: an attribute of the answer.
            where: points to look at, such as ``est.tpot <= 0.05``.

        Raises:
            QuestionError: nothing fits; the message says why.
        """
        least, known = quantity in LEAST, "tokens_per_second, tpot, ttft"
        return cast("Estimate", points.best(self, quantity, where, least=least, known=known))

    def noted(self, notes: Iterable[str]) -> Estimate:
        """Return the answer with more said about what it rests on."""
        return attrs.evolve(self, choices=(*self.choices, *notes))

    # Machine-readable ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        points.one(self)
        return record(self)
