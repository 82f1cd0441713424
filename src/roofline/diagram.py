"""The numbers behind a roofline plot: a rank's roofs, and a step's operations as points under them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from attrs import frozen

from roofline.collectives import sent
from roofline.hardware import Chip, System, Tier
from roofline.timeline import Span
from roofline.units import BytesPerSecond, FlopPerByte, FlopPerSecond, Ratio
from roofline.work import Message, Op

LEAST_SHARE: Final = 0.005
"""Points that take less of their step are left out."""


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
class Sheet:
    """One system's part of a picture: what its legend says, its roofs and its points."""

    label: str
    rank: str
    roofs: tuple[Roof, ...]
    points: tuple[Point, ...]
    title: str = ""


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
