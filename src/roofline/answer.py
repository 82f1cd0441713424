"""The answer to a question: times, rates, memory, what bounds them, how sure they are and what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from roofline.arrays import Mask, share, sizes, take
from roofline.calibration import Calibration
from roofline.energy import dollars_per_token, joules_per_token
from roofline.errors import QuestionError, fault
from roofline.footprint import Footprint
from roofline.hardware import System
from roofline.layout import Layout
from roofline.provenance import Fact
from roofline.reports import tree
from roofline.timeline import Span, bound
from roofline.units import MILLION, Bytes, Count, Dollars, Joules, Num, PerSecond, Ratio, Seconds
from roofline.work import Message, Op
from roofline.workload import Question


@frozen(eq=False)
class Rule:
    """A condition on a plan: where it holds, and what to say where it does not."""

    ok: Mask
    reason: str


@frozen(eq=False)
class Estimate:
    """An answer. Quantities are floats, or arrays over the points asked; one without meaning here is None.

    Attributes:
        ttft: time to the first token of a request.
        tpot: time per output token of a request after the first.
        tokens_per_second: output tokens of the whole deployment.
        prompt_tokens_per_second: prompt tokens it reads when it does nothing else.
        cycle: time in which every request in flight is served once, in a service under load.
        memory: bytes on the fullest chip.
        capacity: bytes of a chip that may be used.
        max_concurrency: sequences whose caches fit.
        rules: conditions on the plan besides memory.
        again: what answers the question afresh, for one of its points.
        steps: what the times consist of; empty for an answer over more points than are kept whole.
        assumptions: what was chosen or assumed to answer.
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
    rules: tuple[Rule, ...] = ()
    steps: tuple[Span, ...] = ()
    assumptions: tuple[str, ...] = ()

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
        return self.layout.ranks / self.system.ranks_per_chip

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
        return (
            None
            if rate is None or power is None
            else joules_per_token(power, self.calibration.power_fraction[0], self.chips, rate)
        )

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
    def _whole(self) -> Span:
        if not self.steps:
            raise QuestionError("estimate: keeps no details over so many points; pick one with .at(index)")
        return self.steps[-1]

    @property
    def mfu(self) -> Ratio:
        """Model FLOP utilisation: the time the operations would take at the peaks of their dtypes, over the time taken."""
        peak = self.system.chip.peak
        ideal = sum((w.flops / peak[w.rate] * n for w, _, n in self._whole.leaves() if isinstance(w, Op)), start=0.0)
        return share(ideal, self._whole.time)

    @property
    def bandwidth_utilization(self) -> Ratio:
        """Compulsory memory traffic over what the memory could move in the time taken."""
        return share(self._whole.bytes / self.system.chip.memory.bandwidth, self._whole.time)

    @property
    def bound(self) -> str:
        """The resource that bounds the most time: compute, memory, network or latency (one point)."""
        return bound(self._whole.busy())

    @property
    def bounds(self) -> dict[str, Ratio]:
        """Share of the time bound by each resource."""
        return {name: share(time, self._whole.time) for name, time in self._whole.busy().items()}

    def interval(self, quantity: str) -> tuple[Num, Num] | None:
        """Return the 80 % interval of ``"ttft"`` or ``"tpot"``; None at the ideal level, which bounds and does not predict.

        The half-width, in logarithms, combines in squares the errors of the kernels and links used, what is left when
        every kernel is right, and what was assumed about the hardware; it is widened on chips unlike those the
        constants were found on.
        """
        value = getattr(self, quantity)
        if value is None or self.calibration.level == "ideal":
            return None
        span = next((s for s in self.steps if s.name == ("prefill" if quantity == "ttft" else "decode")), self._whole)
        rest = self.calibration.prompt_error if span.name == "prefill" else self.calibration.step_error
        assumed = sum(f.source.kind == "assumed" for f in self._used() if f.path.startswith(("chip.", "system.")))
        known = self.system.chip.vendor in self.calibration.vendors
        half = np.sqrt(span.error() ** 2 + rest**2 + assumed * self.calibration.assumed_error**2)
        half = half * (1.0 if known else self.calibration.elsewhere)
        return value * np.exp(-half), value * np.exp(half)

    def why(self) -> str:
        """Return the steps as a tree of text: every operation, its time and share, what bounds it (one point)."""
        self._one()
        return "\n\n".join(tree(span) for span in (self.steps[:-1] if len(self.steps) > 1 else self.steps))

    def plot(self, ax: Any = None, label: str = "") -> Any:
        """Draw the operations on the roofline of the rank they run on; see :func:`roofline.plots.roofline` (one point).

        Drawing another answer on the same ``ax`` adds it in another colour.
        """
        from roofline import plots  # few draw, and all import

        self._one()
        tier = plots.spanned(self.system, float(self.layout.stage))
        return plots.roofline(self.system, self.steps[:2], tier=tier, ax=ax, label=label)

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and constant that was used, with its source."""
        return self._used()

    def _used(self) -> tuple[Fact, ...]:
        rates = {w.rate for w, _, _ in self._whole.leaves() if isinstance(w, Op)}
        kernels = {w.kernel for w, _, _ in self._whole.leaves() if isinstance(w, Op)}
        links = {
            name for w, c, _ in self._whole.leaves() if isinstance(w, Message) and np.any(c.time > 0) for name in c.ways
        }
        far = float(np.max(self.layout.ranks))
        inner = [float(np.max(tier.size)) for tier in self.system.tiers]
        tiers = {f"system.tier[{i}]" for i in range(len(inner)) if i == 0 or inner[i - 1] < far} if far > 1 else set()
        return tuple(
            fact
            for fact in (*self.system.package.facts, *self.system.facts, *self.calibration.facts)
            if _relevant(fact.path, rates, kernels, links, tiers)
        )

    # Many points -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""
        return sizes(self.question, self.layout, self.system, self.calibration)

    def at(self, *index: int) -> Estimate:
        """Return the answer at one point."""
        if len(index) != len(self.shape) or any(not -n <= i < n for i, n in zip(index, self.shape, strict=False)):
            raise QuestionError(fault("index", index, f"must pick one point of {self.shape}"))
        where = tuple(i % n for i, n in zip(index, self.shape, strict=True))
        asked = take((self.question, self.system, self.layout, self.calibration), where)
        return attrs.evolve(self.again(*asked), assumptions=self.assumptions)

    def best(self, quantity: str = "tokens_per_second", where: Mask = True) -> Estimate:
        """Return the answer at the point that fits and has the best ``quantity``: the greatest rate, or the least time.

        Args:
            quantity: an attribute of the answer.
            where: points to look at, such as ``est.tpot <= 0.05``.

        Raises:
            QuestionError: nothing fits; the message says why.
        """
        values = getattr(self, quantity, None)
        if not isinstance(values, (float, np.ndarray)):
            raise QuestionError(
                fault("quantity", quantity, "is no number of this answer", "tokens_per_second, tpot, ttft")
            )
        if not self.shape:
            return self
        ok = np.broadcast_to(self.fits, self.shape) & np.broadcast_to(where, self.shape)
        if not ok.any():
            why = "; ".join(self.reasons) or "no point meets the condition"
            raise QuestionError(
                fault("plan", str(self.layout), f"nothing fits: {why}", "use more chips or smaller formats")
            )
        least = quantity in ("ttft", "tpot", "cycle", "joules_per_token", "dollars_per_million_tokens")
        ranked = np.where(ok, np.broadcast_to(-values if least else values, self.shape), -np.inf)
        return self.at(*(int(i) for i in np.unravel_index(int(np.argmax(ranked)), self.shape)))

    def _one(self) -> None:
        if self.shape:
            raise QuestionError(
                fault("shape", self.shape, "this is told of one point only", "pick one with .at(index)")
            )

    def noted(self, notes: Iterable[str]) -> Estimate:
        """Return the answer with more said about what it rests on."""
        return attrs.evolve(self, assumptions=(*notes, *self.assumptions))

    # Machine-readable ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        self._one()
        q, chips = self.question, float(self.chips)
        total = None
        if self.cycle is not None:
            total = float(q.concurrency * (q.input + q.output) / self.cycle / chips)  # type: ignore[union-attr]
        intervals = {f"{name}_s": self.interval(name) for name in ("tpot", "ttft")}
        return {
            "model": q.model.name,
            "system": self.system.name,
            "chips": int(chips) if chips.is_integer() else chips,
            "layout": self.layout.words(),
            "level": self.calibration.level,
            "calibration": self.calibration.name,
            "dtype": q.model.dtype,
            "kv_dtype": q.model.formats.kv,
            "ttft_s": _plain(self.ttft),
            "tpot_s": _plain(self.tpot),
            "output_tokens_per_s": _plain(self.tokens_per_second),
            "output_tokens_per_s_per_chip": _plain(self.tokens_per_second_per_chip),
            "total_tokens_per_s_per_chip": total,
            "tokens_per_s_per_user": _plain(self.tokens_per_second_per_user),
            "prefill_tokens_per_s_per_chip": _plain(self.prompt_tokens_per_second_per_chip),
            "memory_bytes_per_chip": {
                **{name: float(getattr(self.memory, name)) for name in ("weights", "kv_cache", "activations", "total")},
                "capacity": float(self.capacity),
            },
            "fits": bool(self.fits),
            "reasons": list(self.reasons),
            "max_concurrency": int(self.max_concurrency),
            "mfu": float(self.mfu),
            "bandwidth_utilization": float(self.bandwidth_utilization),
            "energy_j_per_output_token": None if self.tokens_per_second is None else _plain(self.joules_per_token),
            "usd_per_million_output_tokens": None if self.tokens_per_second is None else _plain(self.dollars_per_million_tokens),
            "bound": self.bound,
            "time_share": {name: float(part) for name, part in self.bounds.items()},
            "interval": {name: None if pair is None else [float(pair[0]), float(pair[1])] for name, pair in intervals.items()},
            "assumptions": list(self.assumptions),
        }  # fmt: skip


def _relevant(path: str, rates: set[str], kernels: set[str], links: set[str], tiers: set[str]) -> bool:
    head, _, rest = path.partition(".")
    parts = path.split(".")
    if head == "chip":
        return parts[1] != "peak" or parts[2] in rates
    if head == "system":
        return not rest.startswith("tier[") or any(path.startswith(tier + ".") for tier in tiers)
    if head == "kernel":
        return parts[1] in kernels and (parts[2] == "any" or parts[2] in rates)
    return parts[1] in links if head == "link" else True


def _plain(value: Num | None) -> float | None:
    return None if value is None else float(value)
