"""The numbers behind a roofline plot: a rank's roofs, and under them a step's operations, or timings of kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from roofline.calibration.fitting import Part, errors, halves
from roofline.core.errors import QuestionError, fault, near
from roofline.core.units import BYTE_RATE, FLOP_RATE, BytesPerSecond, FlopPerByte, FlopPerSecond, Num, Ratio, show
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import Chip, System, Tier
from roofline.operators.operations import Message, Op
from roofline.physics.collectives import sent
from roofline.physics.spans import RESOURCES, Span, bound

LEAST_SHARE: Final = 0.005
"""Points that take less of their step are left out."""

_VISIBLE: Final = 0.99
"""Part of a peak above which an attainable roof is not drawn apart from it."""

CLASSES: Final[Mapping[str, str]] = {
    "gemm": "GEMM",
    "attention_prefill": "prefill attention",
    "attention_decode": "decode attention",
    "mla_prefill": "latent prefill",
    "mla_decode": "latent decode",
    "moe": "experts",
}
"""Kernel classes that multiply, in the order of their colours."""


@frozen
class Roof:
    """One roof of a rank: a flat one at a peak, or a slope at a bandwidth.

    Attributes:
        name: what the roof is called.
        peak: of a flat roof, FLOP/s; None of a slope.
        bandwidth: of a slope, bytes/s; None of a flat roof.
        network: whether the slope is that of the chip's links.
        memory: whether the slope is that of the chip's memory; that of a cache is neither.
    """

    name: str
    peak: FlopPerSecond | None
    bandwidth: BytesPerSecond | None
    network: bool = False
    memory: bool = False


@frozen
class Point:
    """An operation, or a whole step (``network``), on the roofline.

    Attributes:
        name: name of the operation, or of the step.
        step: name of the step that it is part of.
        intensity: FLOP for each byte of memory traffic, or of what the step sends over the network's tier.
        rate: FLOP/s reached, with the fixed time counted.
        share: part of the time; of a whole step, the part its communication takes.
        tier: of a whole step, the tier it sends over.
        network: whether this is the whole step against the bytes it sends.
        bound: the resource that takes most of its time: compute, memory, network or latency.
        staged: part of its memory traffic that passes before and after the kernel proper make (quantising, permuting rows).
    """

    name: str
    step: str
    intensity: FlopPerByte
    rate: FlopPerSecond
    share: Ratio
    tier: str = ""
    network: bool = False
    bound: str = ""
    staged: Ratio = 0.0


@frozen
class Cloud:
    """Timings of one kernel class on the roofline, those that were left out of the fit.

    Attributes:
        kernel: class, a key of :data:`CLASSES`.
        rows: how many timings there are, drawn or not.
        mape: mean error of all of them.
        intensity: FLOP for each byte of memory traffic, of the rows that are drawn.
        measured: measured rates of these rows, with the fixed time counted.
        fitted: predicted rates of these rows, with the fixed time counted.
    """

    kernel: str
    rows: int
    mape: Ratio
    intensity: tuple[FlopPerByte, ...]
    measured: tuple[FlopPerSecond, ...]
    fitted: tuple[FlopPerSecond, ...]


@frozen(eq=False)
class Track:
    """An operation's way over the roofline as one size grows.

    Attributes:
        name: name of the operation.
        step: name of the step that it is part of.
        along: the size that grows.
        values: values of that size.
        intensity: FLOP for each byte of memory traffic, at each of them.
        rate: FLOP/s reached, at each of them.
    """

    name: str
    step: str
    along: str
    values: NDArray[np.float64]
    intensity: NDArray[np.float64]
    rate: NDArray[np.float64]


@frozen
class Sheet:
    """One system's part of a picture: what its legend says, its roofs, and its points, clouds or tracks.

    Attributes:
        label: what the legend calls it.
        rank: what the rates are of: a ``chip`` (a package, all of its dies).
        roofs: its roofs.
        points: its points.
        title: what was asked.
        clouds: its clouds of timings.
        tracks: its tracks over a size.
        band: whether the room between the roof and its serial twin, where compute and memory work in turn, is shaded.
        attainable: the same roofs at the best fraction of each peak that an operation of the picture reaches with its
            calibration coefficients; empty where they are the peaks themselves.
        whole: whose time the shares are of, in words.
    """

    label: str
    rank: str
    roofs: tuple[Roof, ...]
    points: tuple[Point, ...]
    title: str = ""
    clouds: tuple[Cloud, ...] = ()
    tracks: tuple[Track, ...] = ()
    band: bool = False
    attainable: tuple[Roof, ...] = ()
    whole: str = "step's"

    @property
    def memory(self) -> BytesPerSecond:
        """Bandwidth of the rank's memory."""
        return next(float(roof.bandwidth or 0.0) for roof in self.roofs if roof.memory)

    def alt(self) -> str:
        """Return what the sheet shows as text, made of its numbers."""
        flat = [
            f"{r.name} {show(float(r.peak), FLOP_RATE, 3)} (ridge {_tier_names(_ridge(self, r))} FLOP/B)"
            for r in self.roofs
            if r.peak
        ]
        slopes = [f"{r.name} {show(float(r.bandwidth), BYTE_RATE, 3)}" for r in self.roofs if r.bandwidth]
        sentences = [f"Roofline: {self.title}; {self.label}." if self.title else f"Roofline: {self.label}."]
        sentences.append(f"Roofs of one {self.rank}: {', '.join([*flat, *slopes])}.")
        for step in dict.fromkeys(p.step for p in self.points):
            most = [p for p in self.points if p.step == step and not p.network][:3]
            named = [
                f"{p.name} {p.share:.0%} of the time at {_tier_names(p.intensity)} FLOP/B, {show(float(p.rate), FLOP_RATE, 3)}, "
                f"bound by {p.bound}"
                for p in most
            ]
            sent = [f"communication over {p.tier} {p.share:.0%}" for p in self.points if p.step == step and p.network]
            sentences.append(f"{step.capitalize()}: {'; '.join([*named, *sent])}.")
        sentences += [f"{CLASSES[c.kernel]}: {c.rows:,} timings, {c.mape:.1%} off." for c in self.clouds]
        for t in self.tracks:
            ends = [f"{show(float(t.rate[i]), FLOP_RATE, 3)} at {t.along} {t.values[i]:,.0f}" for i in (0, -1)]
            sentences.append(f"{t.name.capitalize()} of {t.step}: {' to '.join(ends)}.")
        return " ".join(sentences)


def _ridge(sheet: Sheet, roof: Roof) -> FlopPerByte:
    return (roof.peak or 0.0) / sheet.memory


def roofs(
    chip: Chip, rates: Iterable[str], tier: Tier | Sequence[Tier] | None = None, cache: BytesPerSecond | None = None
) -> tuple[Roof, ...]:
    """Return the roofs of a chip: its peaks at ``rates``, its memory, and its cache and its network where those are given.

    Tiers of one network and one bandwidth have one roof.
    """
    flat = [Roof(rate, float(chip.peak[rate]), None) for rate in sorted(rates, key=lambda r: float(chip.peak[r]))]
    slopes = [] if cache is None else [Roof("cache", None, float(cache))]
    slopes.append(Roof("memory", None, float(chip.memory.bandwidth), memory=True))
    met: dict[tuple[str, float], None] = dict.fromkeys((_short(each), float(each.bandwidth)) for each in _several(tier))
    slopes += [Roof(name, None, bandwidth, network=True) for name, bandwidth in met]
    return (*flat, *slopes)


def _several(tier: Tier | Sequence[Tier] | None) -> tuple[Tier, ...]:
    return () if tier is None else (tier,) if isinstance(tier, Tier) else tuple(tier)


def _short(tier: Tier) -> str:
    return tier.name.split(",")[0]


def _long(tier: Tier) -> str:
    """Return what a tier is called among several of its network."""
    return tier.name.split("(")[0].replace(",", "").strip()


def _tier_names(value: Num) -> str:
    return f"{float(value):,.0f}" if value >= 100 else f"{float(value):.3g}"


def cached(system: System) -> BytesPerSecond | None:
    """Return the bandwidth of the cache of what one rank runs on; None where the descriptor knows none."""
    known = [fact.value for fact in system.package.facts if fact.path == "chip.cache.bandwidth"]
    return known[0] / system.ranks_per_chip if known else None


def points(span: Span, system: System, tier: Tier | Sequence[Tier] | None = None) -> tuple[Point, ...]:
    """Return the operations of a step that multiply, largest share first, and the whole step against what each tier sends of it.

    Rates are of a whole chip: all dies of a package together, so that packages of one die and of two are compared on one scale.
    """
    found: dict[str, list[float]] = {}
    tiers, dies = _several(tier), float(system.ranks_per_chip)
    flops, wire = 0.0, [0.0] * len(tiers)
    for work, cost, times in span.leaves():
        if isinstance(work, Message):
            if tiers and float(work.group) > 1:
                over = sent(work, system.tiers)
                wire = [w + float(over[system.tiers.index(each)] * times) for w, each in zip(wire, tiers, strict=True)]
        elif isinstance(work, Op) and float(work.flops) > 0:
            busy = [getattr(cost, name) for name in RESOURCES]
            sums = found.setdefault(work.label, [0.0] * (4 + len(RESOURCES)))
            for i, value in enumerate((work.flops, work.traffic, cost.time, work.staging, *busy)):
                sums[i] += float(value * times)
            flops += float(work.flops * times)
    whole = float(span.time)
    out = [
        Point(
            n,
            span.name,
            f / b,
            dies * f / t,
            t / whole,
            bound=bound(dict(zip(RESOURCES, busy, strict=True))),
            staged=s / b,
        )
        for n, (f, b, t, s, *busy) in found.items()
    ]
    out.sort(key=lambda p: -p.share)
    out += [
        Point(
            "network",
            span.name,
            flops / w,
            dies * flops / whole,
            float(span.network) / whole,
            _long(each),
            network=True,
            bound="network",
        )
        for w, each in zip(wire, tiers, strict=True)
        if w > 0
    ]
    return tuple(out)


def track(span: Span, name: str, along: str, values: NDArray[np.float64]) -> Track:
    """Return the way of an operation over the roofline; the span is priced at each of the values.

    Raises:
        QuestionError: no operation of that name multiplies.
    """
    ops = [(w, c, n) for w, c, n in span.leaves() if isinstance(w, Op) and np.any(w.flops > 0)]
    mine = [each for each in ops if each[0].label == name]
    if not mine:
        raise QuestionError(
            fault("operation", name, f"is none of {span.name}", near(name, {w.label for w, _, _ in ops}, "operations"))
        )
    flops, traffic, time = (
        np.broadcast_to(
            np.asarray(sum((part(w, c) * n for w, c, n in mine), start=0.0), dtype=np.float64), np.shape(values)
        )
        for part in (lambda w, _: w.flops, lambda w, _: w.traffic, lambda _, c: c.time)
    )
    return Track(name, span.name, along, values, flops / traffic, flops / time)


def spanned(system: System, ranks: float) -> Tier | None:
    """Return the outermost tier that so many ranks talk over; None for one rank."""
    if ranks <= 1:
        return None
    return next((tier for tier in system.tiers if float(tier.size) >= ranks), system.tiers[-1])


def sheet(
    system: System, steps: Sequence[Span], tier: Tier | Sequence[Tier] | None = None, label: str = "", title: str = "",
    *, cache: bool = False,
) -> Sheet:  # fmt: skip
    """Return the numbers of one system's part of a picture."""
    rates = {w.rate for span in steps for w, _, _ in span.leaves() if isinstance(w, Op) and np.any(w.flops > 0)}
    marks = tuple(p for span in steps for p in points(span, system, tier) if p.share >= LEAST_SHARE)
    dies = float(system.ranks_per_chip)
    found = tuple(
        _of_package(roof, dies) for roof in roofs(system.chip, rates, tier, cached(system) if cache else None)
    )
    near = tuple(_of_package(roof, dies) for roof in attainable(steps))
    return Sheet(label or system.name, "chip", found, marks, title, attainable=_below(near, found))


def attainable(steps: Sequence[Span]) -> tuple[Roof, ...]:
    """Return the roofs that the operations of some steps reach at best: the fastest FLOP/s at each rate, and bytes/s.

    These are the peaks times the largest fraction that any of these kernels reaches by its calibration coefficients.
    """
    rates: dict[str, float] = {}
    moved = 0.0
    for span in steps:
        for work, cost, _ in span.leaves():
            if isinstance(work, Op) and float(work.flops) > 0 and float(cost.compute) > 0:
                rates[work.rate] = max(rates.get(work.rate, 0.0), float(work.flops / cost.compute))
                moved = max(moved, float(work.traffic / cost.memory) if float(cost.memory) > 0 else 0.0)
    flat = tuple(Roof(rate, peak, None) for rate, peak in rates.items())
    return (*flat, Roof("memory", None, moved, memory=True)) if moved > 0 else flat


def _below(near: Sequence[Roof], peaks: Sequence[Roof]) -> tuple[Roof, ...]:
    """Return the attainable roofs that lie visibly below their peaks."""
    tops = {roof.name: roof.peak or roof.bandwidth or np.inf for roof in peaks}
    return tuple(roof for roof in near if (roof.peak or roof.bandwidth or 0.0) < _VISIBLE * tops.get(roof.name, 0.0))


def _of_package(roof: Roof, dies: float) -> Roof:
    """Return the roof of all dies of a package together."""
    return evolve(
        roof,
        peak=None if roof.peak is None else dies * roof.peak,
        bandwidth=None if roof.bandwidth is None else dies * roof.bandwidth,
    )


def clouds(parts: Sequence[Part], profile: Calibration, most: int = 200) -> tuple[Cloud, ...]:
    """Return timings that were left out of a fit, by kernel class: at most so many of each, spread evenly over intensity.

    A stack that has kernels of its own is priced with its constants. What multiplies nothing (a pass over memory, a message)
    has no place on a roofline.
    """
    found: dict[str, list[Part]] = {kernel: [] for kernel in CLASSES}
    for part in parts:
        if part.timings.kernel in CLASSES:
            found[part.timings.kernel].append(halves(part)[1])
    return tuple(_cloud(kernel, listed, profile, most) for kernel, listed in found.items() if listed)


def _cloud(kernel: str, parts: Sequence[Part], profile: Calibration, most: int) -> Cloud:
    columns = []
    for part in parts:
        work, stack = part.timings.work, part.timings.stack
        if isinstance(work, Op):
            gap = errors(part, profile.on(stack) if stack else profile)
            rate = work.flops / part.timings.measured
            columns.append(np.array([work.flops / work.traffic, rate, rate / np.exp(gap), np.abs(np.expm1(gap))]))
    table = np.concatenate(columns, axis=1)
    count, mape = table.shape[1], float(table[3].mean())
    places = np.argsort(table[0], kind="stable")[np.linspace(0, count - 1, min(most, count)).astype(int)]
    intensity, measured, fitted = (tuple(map(float, row[places])) for row in table[:3])
    return Cloud(kernel, count, mape, intensity, measured, fitted)
