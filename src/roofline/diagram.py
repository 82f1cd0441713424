"""The numbers behind a roofline plot: a rank's roofs, and under them a step's operations, or timings of kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from attrs import frozen

from roofline.calibration import Calibration
from roofline.collectives import sent
from roofline.fitting import Part, errors, halves
from roofline.hardware import Chip, System, Tier
from roofline.timeline import Span
from roofline.units import BytesPerSecond, FlopPerByte, FlopPerSecond, Ratio
from roofline.work import Message, Op

LEAST_SHARE: Final = 0.005
"""Points that take less of their step are left out."""

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
    """One roof of a rank: a flat one at a peak, or a slope at a bandwidth, of its memory or (``network``) of its links."""

    name: str
    peak: FlopPerSecond | None
    bandwidth: BytesPerSecond | None
    network: bool = False


@frozen
class Point:
    """An operation, or a whole step (``name`` network), on the roofline.

    Attributes:
        intensity: FLOP for each byte of memory traffic, or of what the step sends over the network's tier.
        rate: FLOP/s reached, with the fixed time counted.
        share: part of the step's time; of a whole step, the part its messages take.
    """

    name: str
    step: str
    intensity: FlopPerByte
    rate: FlopPerSecond
    share: Ratio

    @property
    def network(self) -> bool:
        """Whether this is the whole step against the bytes it sends."""
        return self.name == "network"


@frozen
class Cloud:
    """Timings of one kernel class on the roofline, those that were left out of the fit.

    Attributes:
        kernel: class, a key of :data:`CLASSES`; ``rows``: how many there are, drawn or not.
        mape: mean error of all of them.
        intensity: FLOP for each byte of memory traffic, of the rows that are drawn.
        measured, fitted: their rates, with the fixed time counted.
    """

    kernel: str
    rows: int
    mape: Ratio
    intensity: tuple[FlopPerByte, ...]
    measured: tuple[FlopPerSecond, ...]
    fitted: tuple[FlopPerSecond, ...]


@frozen
class Sheet:
    """One system's part of a picture: what its legend says, its roofs, and its points or clouds."""

    label: str
    rank: str
    roofs: tuple[Roof, ...]
    points: tuple[Point, ...]
    title: str = ""
    clouds: tuple[Cloud, ...] = ()


def roofs(chip: Chip, rates: Iterable[str], tier: Tier | None = None) -> tuple[Roof, ...]:
    """Return the roofs of a chip: its peaks at ``rates``, its memory, and its network if a tier is given."""
    flat = [Roof(rate, float(chip.peak[rate]), None) for rate in sorted(rates, key=lambda r: float(chip.peak[r]))]
    slopes = [Roof("memory", None, float(chip.memory.bandwidth))]
    if tier is not None:
        slopes.append(Roof(tier.name.split(",")[0], None, float(tier.bandwidth), network=True))
    return (*flat, *slopes)


def points(span: Span, system: System, tier: Tier | None = None) -> tuple[Point, ...]:
    """Return the operations of a step that multiply, largest share first, and the whole step against what it sends over a tier."""
    found: dict[str, list[float]] = {}
    flops, wire = 0.0, 0.0
    for work, cost, times in span.leaves():
        if isinstance(work, Message):
            if tier is not None and float(work.group) > 1:
                wire += float(sent(work, system.tiers)[system.tiers.index(tier)] * times)
        elif isinstance(work, Op) and float(work.flops) > 0:
            sums = found.setdefault(work.name, [0.0, 0.0, 0.0])
            for i, value in enumerate((work.flops, work.traffic, cost.time)):
                sums[i] += float(value * times)
            flops += float(work.flops * times)
    whole = float(span.time)
    out = [Point(n, span.name, f / b, f / t, t / whole) for n, (f, b, t) in found.items()]
    out.sort(key=lambda p: -p.share)
    if wire:
        out.append(Point("network", span.name, flops / wire, flops / whole, float(span.network) / whole))
    return tuple(out)


def spanned(system: System, ranks: float) -> Tier | None:
    """Return the outermost tier that so many ranks talk over; None for one rank."""
    if ranks <= 1:
        return None
    return next((tier for tier in system.tiers if float(tier.size) >= ranks), system.tiers[-1])


def sheet(system: System, steps: Sequence[Span], tier: Tier | None = None, label: str = "", title: str = "") -> Sheet:
    """Return the numbers of one system's part of a picture."""
    rates = {w.rate for span in steps for w, _, _ in span.leaves() if isinstance(w, Op) and np.any(w.flops > 0)}
    marks = tuple(p for span in steps for p in points(span, system, tier) if p.share >= LEAST_SHARE)
    rank = "die" if system.ranks_per_chip > 1 else "chip"
    return Sheet(label or system.name, rank, roofs(system.chip, rates, tier), marks, title)


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
    kept = np.argsort(table[0], kind="stable")[np.linspace(0, count - 1, min(most, count)).astype(int)]
    intensity, measured, fitted = (tuple(map(float, row[kept])) for row in table[:3])
    return Cloud(kernel, count, mape, intensity, measured, fitted)
