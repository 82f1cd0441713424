r"""The price of a message over the tiers its group really spans.

A group climbs the tiers from the innermost: at each tier it meets ``fan`` times as many ranks as below, and talks
there only to the peers that tier adds. Each rank sends, for a buffer of S bytes in a group of n,

========================  ============================================================
reduce-scatter,           :math:`\sum_i (S / m_i)(1 - 1/f_i) = S (1 - 1/n)`
all-gather                (:math:`m_i` ranks met below tier i, :math:`f_i` its fan)
all-reduce                twice that; where the switch adds up, :math:`(S / m_i)(1 + 1/f_i)`; a tree :math:`2 S / m_i`
all-to-all                :math:`\sum_i S (m_{i+1} - m_i) / n = S (1 - 1/n)`
dispatch, combine         of S bytes in k copies to ranks drawn at random: straight to each,
                          :math:`k S m_i (f_i - 1) / n`; or once to each of the :math:`u = n / m_i` units that has
                          one of them and on from there, :math:`S u (1 - (1 - 1/u)^k) (1 - 1/f_i)`
broadcast                 S along a chain; :math:`S \log_2 f_i` down a binomial tree
point to point            S, over each hop of the chain of n ranks, one after another
========================  ============================================================

over the part of a rank's bandwidth, and in the steps, that the tier's topology allows (:mod:`roofline.physics.topology`). The
tiers carry their parts at the same time, so the slowest counts (those that share a rank's links count together), and the
whole is a chunked pipeline whose optimum is

.. math:: T = T_0 + x + 2\sqrt{c\,T_0\,x}, \qquad x = \max_i \frac{\mathrm{wire}_i}{\eta_i u_i B_i}, \qquad
          T_0 = \alpha + \beta (n - 1) + s \max_i \lambda_i + h \sum_i \mathrm{steps}_i\,\lambda_i .

Lower bounds: Chan, Heimlich, Purkayastha and van de Geijn, *Collective communication*, CCPE 19 (2007); Thakur,
Rabenseifner and Gropp, IJHPCA 19 (2005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import Mask, ceil, expected_distinct, floor, larger, pick, smaller
from roofline.core.errors import QuestionError, unknown
from roofline.core.units import Bytes, Count, Num, Ratio, Seconds
from roofline.hardware.constants import Calibration, Link
from roofline.hardware.hardware import Tier
from roofline.operators.operations import Message
from roofline.physics.kernels import Cost
from roofline.physics.topology import Fabric, fabric


@frozen(eq=False)
class Climb:
    """One tier of a group's climb: ranks met below it, how many times as many are met with it, what they can use of it."""

    tier: Tier
    met: Count
    fan: Count
    fabric: Fabric

    @property
    def used(self) -> Num:
        """1 where the group really climbs this tier, else 0."""
        return (self.fan > 1) * 1.0


def climb(tiers: Sequence[Tier], group: Count, stride: Count) -> Iterator[Climb]:
    """Yield the tiers a group spans, innermost first, with ``fan = reach / met``.

    A tier holds ``floor(size / stride)`` members of a group, which lies evenly over as few instances of it as hold it all:
    ``reach = group / ceil(group / held)``, the whole group where one instance holds it. What the outermost tier cannot join
    is charged to it all the same; such a layout is masked elsewhere.
    """
    met: Num = 1.0
    below: Num = 1.0
    for i, tier in enumerate(tiers):
        size = float("inf") if i == len(tiers) - 1 else tier.size
        held = larger(floor(size / stride), 1.0)
        reach = larger(group / larger(ceil(group / held), 1.0), met)
        fan = reach / met
        start = larger(stride * met / below, 1.0)
        yield Climb(tier, met, fan, fabric(tier, tier.size / below, start, fan))
        met, below = reach, tier.size


@frozen(eq=False)
class _Route:
    """A message's way under one algorithm.

    Attributes:
        steps: latencies of the steps, one after another.
        near, far: transfer time of its busiest tier at full rate, of those whose ranks read and write each other's memory
            and of those with network cards.
        open: where the way can be gone at all.
        in_turn: tiers carry their parts one after another, not at the same time.
    """

    steps: Seconds
    near: Seconds
    far: Seconds
    open: Mask = True
    in_turn: bool = False

    @property
    def transfer(self) -> Seconds:
        """Transfer time of its busiest tier, or of all where one waits for another."""
        return self.both(self.near, self.far)

    def both(self, near: Seconds, far: Seconds) -> Seconds:
        """Return the time of what two kinds of tier take."""
        return near + far if self.in_turn else larger(near, far)


def _gather(c: Climb) -> Ratio:
    return c.fabric.gather


def _route(
    climbs: Sequence[Climb],
    wire: Callable[[Climb], Bytes],
    steps: Callable[[Climb], Count],
    part: Callable[[Climb], Ratio] = _gather,
) -> _Route:
    """Return the route that puts ``wire`` bytes and ``steps`` steps on each tier, and uses a ``part`` of its bandwidth."""
    latency: Num = 0.0
    longest: dict[bool, Num] = {True: 0.0, False: 0.0}
    ports: Num = 0.0
    for c in climbs:
        latency = latency + steps(c) * c.tier.latency
        busy = wire(c) / (part(c) * c.tier.bandwidth)
        # Tiers work at the same time, but what goes out by the same links waits for it.
        ports = ports + busy if c.tier.same_ports else busy
        longest[c.tier.load_store] = larger(longest[c.tier.load_store], ports)
    return _Route(latency, longest[True], longest[False])


def _ring(size: Bytes, passes: float) -> tuple[Callable[[Climb], Bytes], Callable[[Climb], Count]]:
    """Return wire and steps of ``passes`` ring passes: 1 for a reduce-scatter or all-gather, 2 for an all-reduce."""
    return (lambda c: passes * size / c.met * (1 - 1 / c.fan)), (lambda c: passes * c.fabric.steps)


def _all_reduce(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    wire, ring_steps = _ring(size, 2.0)
    routes = {"ring": _route(climbs, wire, ring_steps)}
    anywhere = _anywhere(climbs)
    routes["halving"] = evolve(_route(climbs, wire, lambda c: 2 * np.log2(c.fan)), open=anywhere)
    up_and_down = _route(climbs, lambda c: 2 * size / c.met * c.used, lambda c: 2 * np.log2(c.fan))
    routes["tree"] = evolve(up_and_down, open=anywhere)
    if any(c.tier.in_network for c in climbs):
        routes["in_network"] = _route(
            climbs,
            # Where two ranks meet, a ring is shorter than the way to the switch and back.
            lambda c: smaller(wire(c), size / c.met * (1 + 1 / c.fan)) * c.used if c.tier.in_network else wire(c),
            lambda c: 2 * c.used if c.tier.in_network else ring_steps(c),
        )
    if any(c.tier.load_store for c in climbs):
        # Only where every tier that is climbed lets a rank read its peers' memory.
        direct = sum((c.used for c in climbs if not c.tier.load_store), start=0.0) == 0
        routes["one_shot"] = evolve(_route(climbs, lambda c: size * c.met * (c.fan - 1), lambda c: c.used), open=direct)
        routes["two_shot"] = evolve(_route(climbs, wire, lambda c: 2 * c.used), open=direct)
    return routes


def _anywhere(climbs: Sequence[Climb]) -> Mask:
    """Return where a rank may talk to any other: partners of a tree are anywhere, and no way where only neighbours have links."""
    return sum((c.used for c in climbs if not c.fabric.any_to_any), start=0.0) == 0


def _one_pass(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    wire, ring_steps = _ring(size, 1.0)
    halving = evolve(_route(climbs, wire, lambda c: np.log2(c.fan)), open=_anywhere(climbs))
    return {"gather": _route(climbs, wire, ring_steps), "halving": halving}


def _broadcast(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    # Three ranks on nodes of two meet 1.5 on each: some rank gets the buffer there all the same.
    down = _route(climbs, lambda c: size * larger(np.log2(c.fan), c.used), lambda c: np.log2(c.fan))
    chain = _route(climbs, lambda c: size * c.used, lambda c: c.fan - 1)
    return {"chain": chain, "binomial": evolve(down, open=_anywhere(climbs))}


def _group(climbs: Sequence[Climb]) -> Count:
    return climbs[-1].met * climbs[-1].fan


def _exchanged(size: Bytes, climbs: Sequence[Climb]) -> Callable[[Climb], Bytes]:
    """Return what a rank sends to the peers that each tier adds, of a buffer for all of them."""
    return lambda c: size * c.met * (c.fan - 1) / _group(climbs)


def _exchange(climbs: Sequence[Climb], wire: Callable[[Climb], Bytes]) -> _Route:
    return _route(climbs, wire, lambda c: c.fabric.exchange_steps, lambda c: c.fabric.exchange)


def _all_to_all(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    return {"all_to_all": _exchange(climbs, _exchanged(size, climbs))}


def _once_each(size: Bytes, copies: Count, climbs: Sequence[Climb]) -> Callable[[Climb], Bytes]:
    """Return what a rank sends over each tier where a unit gets one copy for all of its ranks, and passes it on inside."""

    def wire(c: Climb) -> Bytes:
        units = _group(climbs) / c.met
        return size * expected_distinct(units, 1 / units, copies) * (1 - 1 / c.fan)

    return wire


def _scattered(size: Bytes, copies: Count, climbs: Sequence[Climb]) -> dict[str, _Route]:
    """Return the ways of a dispatch, or of a combine, which is its mirror image."""
    return {
        "low_latency": _exchange(climbs, _exchanged(size * copies, climbs)),
        "throughput": _exchange(climbs, _once_each(size, copies, climbs)),
    }


def _hops(climbs: Sequence[Climb]) -> Callable[[Climb], Count]:
    """Return how many of the n - 1 hops of a chain cross each tier: ``n / met - n / reach``."""
    return lambda c: _group(climbs) / c.met * (1 - 1 / c.fan)


def _point_to_point(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    hops, steps = _hops(climbs), 0.0
    passed: dict[bool, Num] = {True: 0.0, False: 0.0}
    for c in climbs:
        steps = steps + hops(c) * c.tier.latency  # type: ignore[assignment]
        sent = hops(c) * size / (c.fabric.hop * c.tier.bandwidth)
        passed[c.tier.load_store] = passed[c.tier.load_store] + sent
    return {"point_to_point": _Route(steps, passed[True], passed[False], in_turn=True)}


def _routes(message: Message, climbs: Sequence[Climb]) -> dict[str, _Route]:
    """Return the ways a message can go.

    Raises:
        UnknownNameError: no such collective.
    """
    match message.collective:
        case "all_reduce":
            return _all_reduce(message.size, climbs)
        case "reduce_scatter" | "all_gather":
            return _one_pass(message.size, climbs)
        case "all_to_all":
            return _all_to_all(message.size, climbs)
        case "dispatch" | "combine":
            return _scattered(message.size, message.copies, climbs)
        case "broadcast":
            return _broadcast(message.size, climbs)
        case "point_to_point":
            return _point_to_point(message.size, climbs)
        case _:
            raise unknown("collective", message.collective, MESSAGES)


MESSAGES: Final = (
    "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "dispatch", "combine", "broadcast", "point_to_point",
)  # fmt: skip
"""Collectives that are priced."""


def transfer_time(t0: Seconds, x: Seconds, c: Ratio) -> Seconds:
    """Return ``T0 + x + 2 sqrt(c T0 x)``, the optimum of a transfer cut into chunks.

    >>> float(transfer_time(4.0, 1.0, 0.25))
    7.0
    """
    return t0 + x + 2 * np.sqrt(c * t0 * x)


def lower_bound(message: Message, tiers: Sequence[Tier]) -> Seconds:
    """Return the time below which no algorithm moves the message: its compulsory traffic at full link rate."""
    best: Num = np.inf
    for route in _routes(message, list(climb(tiers, message.group, message.stride))).values():
        best = smaller(best, pick(route.open, route.transfer, np.inf))
    return best


def sent(message: Message, tiers: Sequence[Tier]) -> tuple[Bytes, ...]:
    """Return the bytes a rank sends over each tier, by the plain algorithm: no sums in the network, no direct reads.

    >>> node, fabric = Tier("node", 8, 1e11, 0.0), Tier("fabric", 64, 1e10, 0.0)
    >>> [float(b) for b in sent(Message("m", "all_gather", 64.0, 16.0), (node, fabric))]
    [56.0, 4.0]
    """
    climbs = list(climb(tiers, message.group, message.stride))
    match message.collective:
        case "all_to_all":
            wire = _exchanged(message.size, climbs)
        case "dispatch" | "combine":
            wire = _once_each(message.size, message.copies, climbs)
        case "broadcast":
            return tuple(message.size * c.used for c in climbs)
        case "point_to_point":
            hops = _hops(climbs)
            return tuple(hops(c) * message.size for c in climbs)
        case _:
            wire, _ = _ring(message.size, 2.0 if message.collective == "all_reduce" else 1.0)
    return tuple(wire(c) for c in climbs)


def price(message: Message, tiers: Sequence[Tier], calibration: Calibration, ways: Sequence[str] | None = None) -> Cost:
    """Return the time of a message by the quickest of the algorithms its tiers allow, or of the ``ways`` given.

    A group of one, or an empty buffer, costs nothing.

    Raises:
        UnknownNameError: no such collective. QuestionError: no tiers.
    """
    if not tiers:
        raise QuestionError("tiers=(): a message needs at least one tier to travel on; add a [[system.tier]]")
    climbs = list(climb(tiers, message.group, message.stride))
    routes = _routes(message, climbs)
    sent = ((message.group > 1) & (message.size > 0)) * 1.0
    two = message.group == 2
    slowest: Num = 0.0
    for c in climbs:
        slowest = larger(slowest, c.used * c.tier.latency)
    time: Num = np.inf
    network: Num = 0.0
    latency: Num = 0.0
    error: Num = 0.0
    taken: dict[str, Num] = {}
    for name, route in routes.items():
        if ways is not None and name not in ways:
            continue
        link: Link = calibration.link(name)
        t0 = link.alpha + link.peer * (message.group - 1) + link.start * slowest + link.hop * route.steps
        x = route.both(route.near / (link.eta * pick(two, link.pair, 1.0)), route.far / link.far)
        taken[name] = pick(route.open, transfer_time(t0, x, link.c), np.inf)
        better = taken[name] < time
        time, network = pick(better, taken[name], time), pick(better, taken[name] - t0, network)
        latency, error = pick(better, t0, latency), pick(better, link.error, error)
    return Cost(time=sent * time, network=sent * network, latency=sent * latency, error=error, ways=taken)
