r"""Power of a chip from what it does, of what surrounds it, and the energy and money of a rate of tokens.

.. math:: P = P_{rated} \min(c,\; a + e_F u_F + e_B u_B + e_N u_N),

where a is the share of the rated power that is drawn by running kernels at all (less of it while the chip waits), u are the shares of the peaks of matrix units, memory
and links that are used over the time, and c is the cap. Under a clock f (1 at full clock) ``a`` is ``idle + (a - idle) f^k`` and
the term of the matrix units, whose peak falls with the clock, is multiplied by ``f^k``; memory and links keep their clocks. Clocks that
a chip lowers at its *rated* power are in the calibration of its kernels already, so the cap alone is applied there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import frozen

from roofline.core.arrays import share, smaller
from roofline.core.units import (
    HOUR,
    Count,
    Dollars,
    DollarsPerSecond,
    Joules,
    Num,
    PerSecond,
    Ratio,
    Watts,
)
from roofline.hardware.energy import ChipDraw, Surroundings
from roofline.hardware.hardware import Chip, System
from roofline.operators.operations import Op, Operation
from roofline.physics.kernels import Cost
from roofline.physics.spans import Span

YEAR: Final = 8766 * HOUR
_TWICE: Final = "all_reduce"


@frozen(eq=False)
class Uses:
    """Shares of a chip's peaks that are used on average over the time.

    Attributes:
        compute: of the matrix units, formats by their own peaks.
        memory: of the bandwidth of memory.
        links: of the bandwidth of the innermost tier.
        busy: share of the time in which kernels or messages run; the chip waits for its host, or for others, in the rest.
    """

    compute: Ratio
    memory: Ratio
    links: Ratio
    busy: Ratio = 1.0


def uses(span: Span, system: System) -> Uses:
    """Return what a span uses of the chip that it runs on; nothing where it takes no time.

    A collective over g ranks sends ``(g - 1) / g`` of its buffer from each rank, an all-reduce twice that.
    """
    compute, memory, links, busy = _sums(span, system.chip, {})
    bandwidth = system.chip.memory.bandwidth
    return Uses(
        share(compute, span.time),
        smaller(share(memory / bandwidth, span.time), 1.0),
        smaller(share(links / system.tiers[0].bandwidth, span.time), 1.0),
        smaller(share(busy, span.time), 1.0),
    )


_Sums: TypeAlias = tuple[Num, Num, Num, Num]


def _sums(span: Span, chip: Chip, known: dict[int, _Sums]) -> _Sums:
    """Return the times of products at their peaks, the bytes of memory and of links, and the time of kernels and messages.

    Args:
        known: sums by the identity of a span's parts: steps that are met several times are added up once.
    """
    if span.cost is not None:
        own = _sums_of(span.work, span.cost, chip)
    else:
        own = known.get(id(span.parts), (0.0, 0.0, 0.0, 0.0))
        if id(span.parts) not in known:
            for part in span.parts:
                compute, memory, links, busy = _sums(part, chip, known)
                own = own[0] + compute, own[1] + memory, own[2] + links, own[3] + busy
            known[id(span.parts)] = own
    if isinstance(span.times, float) and span.times == 1:
        return own
    return own[0] * span.times, own[1] * span.times, own[2] * span.times, own[3] * span.times


def _sums_of(work: Operation | None, cost: Cost, chip: Chip) -> _Sums:
    if work is None:
        return 0.0, 0.0, 0.0, 0.0
    if isinstance(work, Op):
        return work.flops / chip.peak[work.rate], work.traffic, 0.0, cost.time
    twice = 2.0 if work.collective == _TWICE else 1.0
    return 0.0, 0.0, twice * work.size * (1 - share(1.0, work.group)), cost.time


def parts_of_chip(draw: ChipDraw, used: Uses, clock: Ratio = 1.0) -> dict[str, Ratio]:
    """Return the shares of the rated power that a working chip asks for, by what draws them; together they may exceed 1.

    >>> from roofline.hardware.energy import ChipDraw
    >>> draw = ChipDraw(0.15, 0.2, 0.3, 0.5, 1.5, 0.5, 0.2, 1.4, 0.2, 0.3)
    >>> parts_of_chip(draw, Uses(0.2, 0.4, 0.0))
    {'awake': 0.3, 'compute': 0.30000000000000004, 'memory': 0.2, 'links': 0.0}
    """
    slowed = clock**draw.clock
    awake = draw.loaded + (draw.awake - draw.loaded) * (draw.waiting + (1 - draw.waiting) * used.busy)
    return {
        "awake": draw.idle + (awake - draw.idle) * slowed,
        "compute": draw.compute * used.compute * slowed,
        "memory": draw.memory * used.memory,
        "links": draw.links * used.links,
    }


def demand(draw: ChipDraw, used: Uses, clock: Ratio = 1.0) -> Ratio:
    """Return the share of its rated power that a working chip would draw if nothing limited it."""
    return sum(parts_of_chip(draw, used, clock).values(), start=0.0)


def drawn(draw: ChipDraw, asked: Ratio, working: Ratio = 1.0, cap: Ratio = 1.0) -> Ratio:
    """Return the share of the rated power that a chip draws on average: ``loaded + (min(cap, asked) - loaded) working``.

    Args:
        asked: :func:`demand`.
        working: share of the chips, or of the time, that work; the rest wait with a model loaded.
        cap: limit over the rated power.

    >>> from roofline.hardware.energy import ChipDraw
    >>> draw = ChipDraw(0.15, 0.2, 0.3, 0.5, 1.5, 0.5, 0.2, 1.4, 0.2, 0.3)
    >>> [float(drawn(draw, 1.4)), float(drawn(draw, 0.8, working=0.5))]
    [1.0, 0.5]
    """
    rest = smaller(draw.loaded, cap)
    return rest + (smaller(asked, cap) - rest) * working


def surrounded(chips: Watts, around: Surroundings, scope: str, outer: Num, pue: Ratio) -> dict[str, Watts]:
    """Return the power of each part within a scope, for each chip; together they are the power of the scope.

    Args:
        chips: power of the chip itself.
        scope: of :data:`roofline.hardware.energy.SCOPES`.
        outer: bandwidth of the chip into the network between systems, over the rate that its power is stated for.
        pue: draw of the building over that of the machines in it.
    """
    out: dict[str, Watts] = {"chips": chips}
    if scope == "chip":
        return out
    out |= {"hosts": around.hosts, "fans": around.fans}
    if scope != "node":
        out |= {"switches": around.switches, "optics": around.optics}
    if scope == "hall":
        out["switches"] = out["switches"] + around.outer_switches * outer
        out["optics"] = out["optics"] + around.outer_optics * outer
    out["conversion"] = total(out) * (1 / around.conversion - 1)
    if scope == "hall":
        out["cooling"] = total(out) * (pue - 1)
    return out


def total(parts: Mapping[str, Num]) -> Num:
    """Return the sum of all parts."""
    return sum(parts.values(), start=0.0)


def joules_per_token(power: Watts, chips: Count, rate: PerSecond) -> Joules:
    """Return ``power * chips / rate``: the draw for each chip, times the chips used, over the tokens they make.

    >>> joules_per_token(1400.0, 8.0, 5600.0)
    2.0
    """
    return power * chips / rate


def dollars_per_token(price: DollarsPerSecond, chips: Count, rate: PerSecond) -> Dollars:
    """Return ``price * chips / rate``.

    >>> dollars_per_token(0.001, 8.0, 4000.0)
    2e-06
    """
    return price * chips / rate


def costs_apart(spent: Num, reading: Ratio, read: PerSecond, made: PerSecond) -> tuple[Num, Num]:
    r"""Return what a prompt token and an output token cost, where a cost per second is divided by the time of prefill and decode.

    .. math:: c_{in} = \frac{s\,r}{n_{in}}, \qquad c_{out} = \frac{s\,(1 - r)}{n_{out}}

    so that ``c_in n_in + c_out n_out = s``.

    Args:
        spent: s, cost per second of all chips.
        reading: r, share of the time, or of the chips, that prefill takes; more than all is all.
        read: n_in, prompt tokens a second that are computed.
        made: n_out, output tokens a second.

    >>> read, made = costs_apart(2.0, 0.25, 1000.0, 500.0)
    >>> float(read), float(made)
    (0.0005, 0.003)
    """
    part = smaller(reading, 1.0)
    return share(spent * part, read), share(spent * (1 - part), made)


def ownership(purchase: Dollars, power: Watts, *, years: Num, utilisation: Ratio, power_price: Num) -> DollarsPerSecond:
    r"""Return what a chip that one owns costs for each second in which it works.

    .. math:: c = (C / T + P\,p) / u

    Args:
        purchase: price C of the chip with its share of the system.
        power: draw P at the meter of the building.
        years: T, in which the purchase is paid off.
        utilisation: share u of the time in which the chip works; the rest is paid for too.
        power_price: p, US dollars a joule.

    >>> round(3600 * ownership(40_000.0, 1_000.0, years=4, utilisation=0.8, power_price=0.1 / 3.6e6), 3)
    1.551
    """
    return (purchase / (years * YEAR) + power * power_price) / utilisation
