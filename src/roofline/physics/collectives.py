r"""The time of a message over the tiers its group spans, with an algorithm for each tier.

A group climbs the tiers from the innermost: at each tier it meets ``fan`` times as many ranks as below, and talks
there only to the peers that tier adds. Each rank sends, for a buffer of S bytes in a group of n,

========================  ============================================================
reduce-scatter,           :math:`\sum_i (S / m_i)(1 - 1/f_i) = S (1 - 1/n)`
all-gather                (:math:`m_i` ranks met below tier i, :math:`f_i` its fan)
all-reduce                twice that; where the switch adds up, :math:`S / m_i`; a tree :math:`2 S / m_i`
all-to-all                :math:`\sum_i S (m_{i+1} - m_i) / n = S (1 - 1/n)`
dispatch, combine         of S bytes in k copies to ranks drawn at random: straight to each,
                          :math:`k S m_i (f_i - 1) / n`; or once to each of the :math:`u = n / m_i` units that has
                          one of them and on from there, :math:`S\,\bar u\,(1 - 1/f_i)` with :math:`\bar u` units reached
broadcast                 S along a chain; :math:`S \log_2 f_i` down a binomial tree
point to point            S, over each hop of the chain of n ranks, one after another
========================  ============================================================

over the part of a rank's bandwidth, and in the steps, that the tier's topology allows (:mod:`roofline.physics.topology`). The
tiers carry their parts at the same time, so the slowest counts (those that share a rank's links count together), and the
whole is a chunked pipeline whose optimum is

.. math:: T = T_0 + x + 2\sqrt{c\,T_0\,x}, \qquad x = \max_i \frac{\mathrm{wire}_i}{\eta_i u_i B_i}, \qquad
          T_0 = \alpha + \beta (n - 1) + s \max_i \lambda_i + h \sum_i \mathrm{steps}_i\,\lambda_i .

Between nodes, on a tier that names a fabric (:class:`roofline.hardware.hardware.Fabric`), messages go as collective libraries
use network cards. With r ranks a node and N = n / r nodes,

* a ring is flat over all ranks: each card carries :math:`(S / r)(n - 1)/n` in one pass, so its bus bandwidth does not fall with
  N; the ring has N - 1 steps between nodes and n - N inside them;
* trees join the nodes, and chains or the switch the ranks of one: :math:`2 \log_2 N` steps; two nodes exchange
  :math:`S / r` once, more carry :math:`2 S / r` (a plain tree at half the rate, one over a switch that adds up at the ring's);
* an all-to-all posts a message to each peer, so its fixed time grows with the peers and not with their logarithm;
* a piece of m bytes that one card sends in a step waits ``handshake m / (m + eager)`` longer than an empty one: short pieces travel with
  their own flags (NCCL's protocol LL), long ones in buffers that both sides agree on (Simple);
* filling the pipeline costs :math:`2\sqrt{c\,T_0\,x}` but not much more than a ``chunk`` for each step: chunks stop growing;
* where a switch adds up inside a node and nodes are joined, it reaches 0.88 of what it reaches alone; trees over an NVLink domain of
  several hosts go from host to host.

Lower bounds: Chan, Heimlich, Purkayastha and van de Geijn, *Collective communication*, CCPE 19 (2007); Thakur,
Rabenseifner and Gropp, IJHPCA 19 (2005). Bytes of NCCL between nodes: checked against published nccl-tests figures of 2 to 512
nodes (``hardware/timings/networks/collectives.csv``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from typing import Final, TypeAlias

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import Mask, anywhere, ceil, expected_distinct, floor, larger, pick, smaller
from roofline.core.errors import QuestionError, unknown
from roofline.core.remember import Lazy, remembered
from roofline.core.units import MICRO, Bytes, Count, Num, Ratio, Seconds
from roofline.hardware.constants import Calibration, Link
from roofline.hardware.hardware import Fabric, Tier
from roofline.operators.operations import Message
from roofline.physics.kernels import Cost
from roofline.physics.topology import Usable, usable

_FEW: Final = 3
"""Nodes up to which no rank of a tree has both a parent and children: each edge carries the buffer once up and once down."""
_TREE: Final = 0.5
"""Part of the line rate that a plain tree over more nodes reaches: 191 to 194 GB/s of bus bandwidth over 4 to 46 nodes of
eight B200, where a ring reaches 335 to 291 (Together AI, 2026-05-02)."""
_JOINED: Final = 0.88
"""Part of its rate inside a node that an all-reduce added up by the switch reaches where nodes are joined as well: each rank copies its share
between the switch and the card. 249 to 257 GB/s over two nodes of eight H100 (four sources), 274 in one; 341 over two racks of 64 GB200, 423 in one."""
_HOSTED_STEP: Final = 14 * MICRO
"""A step of a tree between hosts that one NVLink domain joins, between what two sources say: 9 us over four trays of GB300 (13 us in one tray, 50
over four, tables of aiconfigurator), 20 over two racks of sixteen trays of GB200 (195 us for 256 B, Oracle)."""
_PEER: Final = 0.15
"""Steps that each further peer between nodes costs an all-to-all: 42 us over 2 x 8 B300, of which 15 for eight peers."""
_HANDSHAKE: Final = 2
"""Steps of a transfer between nodes: the receiver posts its buffer, the sender writes."""
_STEP: Final = 1 * MICRO
"""Latency of a step inside a node where a system has none: what starting a collective is counted in."""
_HOSTED: Final = "low_latency"
"""The way whose messages a thread of the host may have to send."""
_TINY: Final = float(np.finfo(float).tiny)
_DISTANCE: Final = 0.1
"""What each doubling beyond the fitted ranks, nodes or bytes adds to the error, as a part of the time; root of the sum of squares."""


@frozen(eq=False)
class Climb:
    """One tier of a group's climb: ranks met below it, how many times as many are met with it, what they can use of it.

    Attributes:
        tier: the tier.
        met: ranks of the group that are met below it.
        fan: how many times as many are met with it.
        use: what they can use of it.
        used: 1 where the group really climbs this tier, else 0.
    """

    tier: Tier
    met: Count
    fan: Count
    use: Usable
    used: Num

    @property
    def fabric(self) -> Fabric | None:
        """The network between nodes that this tier is; None inside a node, or where nothing of it is known."""
        return self.tier.fabric


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
        inside = larger(floor(size / stride), 1.0)
        reach = larger(group / larger(ceil(group / inside), 1.0), met)
        fan = reach / met
        start = larger(stride * met / below, 1.0)
        yield Climb(tier, met, fan, usable(tier, tier.size / below, start, fan), (fan > 1) * 1.0)
        met, below = reach, tier.size


def _climbed(climbs: Sequence[Climb]) -> list[Climb]:
    """Return the climbs without the outermost tiers that no group of any point reaches: nothing is sent there.

    The innermost tier stays, and so does one that shares the links of the tier inside it.
    """
    out = list(climbs)
    while len(out) > 1 and not out[-1].tier.same_ports and not np.any(out[-1].used):
        out.pop()
    return out


@frozen(eq=False)
class _Route:
    """A message's way under one algorithm.

    Attributes:
        steps: latencies of the steps inside nodes, one after another; ``posts``, those between nodes over a fabric.
        near, far: transfer time of its busiest tier at full rate, of those whose ranks read and write each other's memory
            and of the others that name no fabric.
        cards: transfer time of its busiest tier that names one, at the share that is reached.
        copied: bytes that kernels copy over the busiest tier whose ranks read and write each other's memory.
        agreed: what the steps between nodes wait longer if their pieces need a handshake; ``cut``, into how many pieces a buffer is cut.
        ring: passes of a ring over the nodes; 0 of other ways. Its chunks follow each other without waiting for a whole round, so
            filling it costs no more than a tree as deep.
        open: where the way can be gone at all.
        in_turn: tiers carry their parts one after another, not at the same time.
        one_sided: kernels write to peers themselves: fabrics count by the latency and the rate of their tier.
        proxied: time of the host to send its messages where a kernel cannot reach the card.
    """

    steps: Seconds
    near: Seconds
    far: Seconds
    cards: Seconds = 0.0
    copied: Bytes = 0.0
    posts: Seconds = 0.0
    agreed: Seconds = 0.0
    hops: Count = 0.0
    cut: Count = 1.0
    ring: float = 0.0
    open: Mask = True
    in_turn: bool = False
    one_sided: bool = False
    proxied: Seconds = 0.0

    def both(self, near: Seconds, far: Seconds, cards: Seconds) -> Seconds:
        """Return the time of what three kinds of tier take."""
        return near + far + cards if self.in_turn else larger(larger(near, far), cards)


_Amount: TypeAlias = Callable[[Climb], Num]


def _gather(c: Climb) -> Ratio:
    return c.use.gather


def _below(c: Climb) -> Count:
    return c.met


def _share(c: Climb) -> Ratio:
    """Return the part of a card's rate that long messages reach."""
    return 1.0 if c.fabric is None else c.fabric.share


def _route(
    climbs: Sequence[Climb],
    wire: _Amount,
    steps: _Amount,
    part: _Amount = _gather,
    share: _Amount = _share,
    *,
    one_sided: bool = False,
    open_: Mask = True,
    ring: float = 0.0,
    cut: _Amount | None = None,
) -> _Route:
    """Return the route that puts ``wire`` bytes and ``steps`` steps on each tier, and uses a ``part`` of its bandwidth."""
    latency: Num = 0.0
    posts: Num = 0.0
    agreed: Num = 0.0
    crossed: Num = 0.0
    pieces: Num = 1.0
    copied: Num = 0.0
    longest: dict[str, Num] = {"near": 0.0, "far": 0.0, "cards": 0.0}
    ports: Num = 0.0
    for c in climbs:
        carded = c.fabric is not None and not one_sided
        busy = wire(c) / (part(c) * c.tier.bandwidth * (share(c) if carded else 1.0))
        if c.fabric is not None and carded:
            posts = posts + steps(c) * c.fabric.step
            agreed = agreed + steps(c) * c.fabric.handshake
            crossed = crossed + (ring * np.log2(c.fan) if ring else steps(c))
            pieces = _group(climbs) if cut is None else cut(c)
        else:
            latency = latency + steps(c) * c.tier.latency
        # Tiers work at the same time, but what goes out by the same links waits for it.
        ports = ports + busy if c.tier.same_ports else busy
        kind = "cards" if carded else "near" if c.tier.load_store else "far"
        longest[kind] = larger(longest[kind], ports)
        copied = larger(copied, wire(c)) if c.tier.load_store else copied
    return _Route(
        latency, longest["near"], longest["far"], longest["cards"], copied, posts, agreed, crossed, pieces, ring, open_, one_sided=one_sided,
    )  # fmt: skip


def _group(climbs: Sequence[Climb]) -> Count:
    return climbs[-1].met * climbs[-1].fan


def _nodes(climbs: Sequence[Climb]) -> Count:
    """Return over how many nodes a group lies, as far as a fabric joins them."""
    out: Num = 1.0
    for c in climbs:
        out = out * c.fan if c.fabric is not None else out
    return out


def _ring(climbs: Sequence[Climb], size: Bytes, passes: float) -> tuple[_Amount, _Amount]:
    """Return wire and steps of ``passes`` ring passes: 1 for a reduce-scatter or all-gather, 2 for an all-reduce."""
    n, nodes = _group(climbs), _nodes(climbs)

    def wire(c: Climb) -> Bytes:
        return passes * size / c.met * ((1 - 1 / c.fan) if c.fabric is None else (n - 1) / n * c.used)

    def steps(c: Climb) -> Count:
        return passes * c.use.steps * (nodes if c.fabric is None else 1.0)

    return wire, steps


def _summed(climbs: Sequence[Climb], size: Bytes) -> _Route:
    """Return the way of an all-reduce that the switches of a node add up, and trees between nodes, or switches there too."""
    n = _group(climbs)
    wire, _ = _ring(climbs, size, 2.0)
    joined = pick(_nodes(climbs) > 1, _JOINED, 1.0)

    def moved(c: Climb) -> Bytes:
        if c.tier.in_network:
            # Where two ranks meet, a ring is shorter than the way to the switch and back.
            return smaller(2 * size / c.met * (1 - 1 / c.fan), size / c.met * c.used) / (
                joined if c.fabric is None else 1.0
            )
        if c.fabric is not None:
            return pick(c.fan <= 2, c.used, 2 * (n - 1) / n) * size / c.met
        return wire(c)

    def taken(c: Climb) -> Count:
        if c.tier.in_network:
            return 2 * c.used
        return 2 * np.log2(c.fan) if c.fabric is not None else 2 * c.use.steps

    def share(c: Climb) -> Ratio:
        return c.fabric.sums if c.fabric is not None and c.tier.in_network else _share(c)

    inside = sum((c.used for c in climbs if c.tier.in_network), start=0.0) > 0
    return _route(climbs, moved, taken, share=share, open_=inside, cut=_below)


def _tree(climbs: Sequence[Climb], size: Bytes) -> _Route:
    """Return the way of an all-reduce up and down trees; where only neighbours have links, along a ring or chain instead."""
    wire, _ = _ring(climbs, size, 2.0)

    def moved(c: Climb) -> Bytes:
        if c.fabric is not None:
            return 2 * size / c.met * pick(c.fan <= _FEW, 1 - 1 / c.fan, 1 / _TREE)
        return 2 * size / c.met * c.used if c.use.any_to_any else wire(c)

    def steps(c: Climb) -> Count:
        return 2 * (np.log2(c.fan / _hosts(c)) if c.use.any_to_any else c.use.steps)

    joined = sum((c.used for c in climbs if c.use.any_to_any), start=0.0) > 0
    route = _route(climbs, moved, steps, open_=joined, cut=_below)
    between: Num = 0.0
    for c in climbs:
        between = between + 2 * np.log2(_hosts(c)) * _HOSTED_STEP
    return evolve(route, posts=route.posts + between)


def _hosts(c: Climb) -> Count:
    """Return over how many hosts a tier spreads what it joins: 1 where one holds all of it."""
    if not np.any(c.tier.host):
        return 1.0
    return larger(c.fan * c.met / larger(c.tier.host, c.met), 1.0)


def _all_reduce(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    wire, ring_steps = _ring(climbs, size, 2.0)
    routes = {"ring": _route(climbs, wire, ring_steps, ring=2.0), "tree": _tree(climbs, size)}
    routes["halving"] = _route(climbs, wire, lambda c: 2 * np.log2(c.fan), open_=_halves(climbs))
    if any(c.tier.in_network for c in climbs):
        routes["in_network"] = _summed(climbs, size)
    if any(c.tier.load_store for c in climbs):
        # Only where every tier that is climbed lets a rank read its peers' memory.
        direct = sum((c.used for c in climbs if not c.tier.load_store), start=0.0) == 0
        routes["one_shot"] = _route(climbs, lambda c: size * c.met * (c.fan - 1), lambda c: c.used, open_=direct)
        routes["two_shot"] = _route(climbs, wire, lambda c: 2 * c.used, open_=direct)
    return routes


def _halves(climbs: Sequence[Climb]) -> Mask:
    """Return where halving and doubling is a way: partners may be anywhere, and a fabric joins nodes of one rank each."""
    shut = sum((c.used for c in climbs if not c.use.any_to_any), start=0.0) > 0
    for c in climbs:
        if c.fabric is not None:
            shut = shut | ((c.used > 0) & (c.met > 1))
    return np.logical_not(shut)


def _anywhere(climbs: Sequence[Climb]) -> Mask:
    """Return where a rank may talk to any other: no way where only neighbours have links."""
    return sum((c.used for c in climbs if not c.use.any_to_any), start=0.0) == 0


def _one_pass(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    wire, ring_steps = _ring(climbs, size, 1.0)
    halving = _route(climbs, wire, lambda c: np.log2(c.fan), open_=_halves(climbs))
    return {"gather": _route(climbs, wire, ring_steps, ring=1.0), "halving": halving}


def _broadcast(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    # Three ranks on nodes of two meet 1.5 on each: some rank gets the buffer there all the same.
    down = _route(climbs, lambda c: size * larger(np.log2(c.fan), c.used), lambda c: np.log2(c.fan))
    chain = _route(climbs, lambda c: size * c.used, lambda c: c.fan - 1)
    return {"chain": chain, "binomial": evolve(down, open=_anywhere(climbs))}


def _exchanged(size: Bytes, climbs: Sequence[Climb]) -> Callable[[Climb], Bytes]:
    """Return what a rank sends to the peers that each tier adds, of a buffer for all of them."""
    return lambda c: size * c.met * (c.fan - 1) / _group(climbs)


def _all_to_all(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    def steps(c: Climb) -> Count:
        return c.use.exchange_steps if c.fabric is None else c.used + _PEER * c.met * (c.fan - 1)

    return {"all_to_all": _route(climbs, _exchanged(size, climbs), steps, lambda c: c.use.exchange)}


def _reached(units: Count, message: Message) -> Count:
    """Return to how many of ``units`` equal parts of a group a token goes, on average.

    A router that is limited to nodes draws its experts from ``among`` of ``groups`` parts: those that get a copy are
    ``among (1 - (1 - 1/among)^k)``; of a unit that holds several parts one is enough, and copies of a part that spans several
    units spread over them.
    """
    parts = expected_distinct(message.among, 1 / message.among, message.copies)
    sharing = larger(message.groups / units, 1.0)
    # Parts are drawn without putting back: what is left of them when half of a unit's were looked at.
    left = message.groups - (sharing - 1) / 2
    some = 1 - larger(1 - parts / left, 0.0) ** sharing
    places = message.among * larger(units / message.groups, 1.0)
    return pick(units > message.groups, expected_distinct(places, 1 / places, message.copies), units * some)


def _once_each(message: Message, climbs: Sequence[Climb]) -> Callable[[Climb], Bytes]:
    """Return what a rank sends over each tier where a unit gets one copy for all of its ranks, and passes it on inside."""
    n = _group(climbs)
    return lambda c: message.size * _reached(n / c.met, message) * (1 - 1 / c.fan)


def _exchange(climbs: Sequence[Climb], wire: _Amount) -> _Route:
    return _route(climbs, wire, lambda c: c.use.exchange_steps, lambda c: c.use.exchange, one_sided=True)


def _scattered(message: Message, climbs: Sequence[Climb]) -> dict[str, _Route]:
    """Return the ways of a dispatch, or of a combine, which is its mirror image."""
    each = _exchanged(message.rows * message.copies, climbs)
    posted: Num = 0.0
    for c in climbs:
        posted = posted + (0.0 if c.fabric is None else each(c) * c.fabric.post)
    straight = _exchange(climbs, _exchanged(message.size * message.copies, climbs))
    return {
        "low_latency": evolve(straight, proxied=posted),
        "throughput": _exchange(climbs, _once_each(message, climbs)),
    }


def _hops(climbs: Sequence[Climb]) -> Callable[[Climb], Count]:
    """Return how many of the n - 1 hops of a chain cross each tier: ``n / met - n / reach``."""
    return lambda c: _group(climbs) / c.met * (1 - 1 / c.fan)


def _point_to_point(size: Bytes, climbs: Sequence[Climb]) -> dict[str, _Route]:
    hops = _hops(climbs)
    steps: Num = 0.0
    posts: Num = 0.0
    agreed: Num = 0.0
    crossed: Num = 0.0
    passed: dict[str, Num] = {"near": 0.0, "far": 0.0, "cards": 0.0}
    for c in climbs:
        time = hops(c) * size / (c.use.hop * c.tier.bandwidth * _share(c))
        if c.fabric is not None:
            posts = posts + _HANDSHAKE * hops(c) * c.fabric.step
            agreed = agreed + hops(c) * c.fabric.handshake
            crossed = crossed + hops(c)
            passed["cards"] = passed["cards"] + time
        else:
            steps = steps + hops(c) * c.tier.latency
            kind = "near" if c.tier.load_store else "far"
            passed[kind] = passed[kind] + time
    route = _Route(
        steps, passed["near"], passed["far"], passed["cards"], posts=posts, agreed=agreed, hops=crossed, in_turn=True
    )
    return {"point_to_point": route}


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
            return _scattered(message, climbs)
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


def unnamed(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Return tiers as links alone, whatever fabric they are: what bounds, and the ideal level, go by."""
    return tuple(tier if tier.fabric is None else evolve(tier, fabric=None) for tier in tiers)


def lower_bound(message: Message, tiers: Sequence[Tier]) -> Seconds:
    """Return the time below which no algorithm moves the message: its compulsory traffic at full link rate."""
    best: Num = np.inf
    for route in _routes(message, list(climb(unnamed(tiers), message.group, message.stride))).values():
        best = smaller(best, pick(route.open, route.both(route.near, route.far, route.cards), np.inf))
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
            wire = _once_each(message, climbs)
        case "broadcast":
            return tuple(message.size * c.used for c in climbs)
        case "point_to_point":
            hops = _hops(climbs)
            return tuple(hops(c) * message.size for c in climbs)
        case _:
            wire, _ = _ring(climbs, message.size, 2.0 if message.collective == "all_reduce" else 1.0)
    return tuple(wire(c) for c in climbs)


def shifted(size: Bytes, ranks: Count, tiers: Sequence[Tier]) -> tuple[Message, tuple[Tier, ...]]:
    """Return the transfer that takes longest where every rank sends to the next at once, and the tiers it meets.

    The last rank of a node sends to the first of the next one, over another rail; where many nodes do so the spine is shared: what
    is left falls with the nodes down to the fabric's ``crossing``.
    """
    nodes = _nodes(list(climb(tiers, ranks, 1.0)))
    met = []
    for tier in tiers:
        if tier.fabric is not None:
            left = larger(smaller(tier.fabric.leaf / nodes, 1.0), tier.fabric.crossing)
            tier = evolve(tier, bandwidth=tier.bandwidth * left)  # noqa: PLW2901
        met.append(tier)
    message = Message("send-recv", "point_to_point", size, smaller(ranks, 2.0), stride=larger(floor(ranks / 2), 1.0))
    return message, tuple(met)


@frozen(eq=False)
class _Way:
    """A way of a message as it is whatever the message's size: every tier's time is in proportion to the bytes.

    Attributes:
        open: where the way can be gone at all.
        fixed: the time of an empty message.
        byte: transfer time of each byte.
        root: what filling the pipelines inside nodes costs for each root of a byte.
        fills: the same for each fabric: where it is climbed, the cost for each root of a byte, and the most it may be.
        posted: time of the host for each row of a message; None where no host sends.
    """

    name: str
    link: Link
    open: Mask
    fixed: Seconds
    agreed: Seconds
    eager: Bytes
    byte: Num
    root: Num
    fills: tuple[tuple[Num, Num, Seconds], ...]
    posted: Seconds | None
    one_sided: bool

    def time(self, message: Message, root: Num) -> Seconds:
        """Return the time of a message of ``root`` squared bytes.

        Chunks cannot grow for ever: filling a fabric costs ``1 / (1 / a + 1 / b)``, a what it would and b the most it may.
        """
        filled = self.root * root
        for used, each, most in self.fills:
            free = each * root
            filled = larger(filled, used * (free * most / larger(free + most, _TINY)))
        total = self.fixed
        if anywhere(self.agreed > 0):
            total = total + self.agreed * message.size / larger(message.size + self.eager, _TINY)
        total = total + message.size * self.byte + filled
        if self.posted is not None:
            total = total + message.rows * self.posted
        return total if self.open is True else pick(self.open, total, np.inf)


def _ways(
    tiers: tuple[Tier, ...], calibration: Calibration, collective: str, shape: tuple[Count, ...]
) -> tuple[tuple[Climb, ...], tuple[_Way, ...]]:
    """Return the climbs of a group, and the ways that a message of any size can go.

    Args:
        shape: group, stride, copies, groups and among of the message.
    """
    group, stride, copies, groups, among = shape
    spanned = climb(unnamed(tiers) if calibration.level == "ideal" else tiers, group, stride)
    climbs = _climbed(list(spanned))
    unit = Message("", collective, 1.0, group, stride, copies, rows=1.0, groups=groups, among=among)
    routes = _routes(unit, climbs)
    nodes, two = _nodes(climbs), group == 2
    waits = {one_sided: _begins(climbs, one_sided=one_sided) for one_sided in {r.one_sided for r in routes.values()}}
    out = []
    for name, route in routes.items():
        link: Link = calibration.link(name)
        peers = group if route.in_turn else group / nodes
        begun = link.alpha + link.peer * (peers - 1) + link.start * waits[route.one_sided]
        inside = begun + link.hop * route.steps
        fixed = inside + route.posts
        near = larger(route.near / (link.eta * pick(two, link.pair, 1.0)), route.copied / link.copied)
        far = route.far / link.far
        fills: list[tuple[Num, Num, Seconds]] = []
        eager: Bytes = 0.0
        for c in climbs:
            if c.fabric is not None:
                eager = c.fabric.eager
                depth = (begun if route.ring else fixed) + route.ring * np.log2(c.fan) * c.fabric.step
                free = 2 * np.sqrt(link.c * c.fabric.rounding * depth * route.cards)
                fills.append((c.used, free, route.hops * c.fabric.chunk / (c.tier.bandwidth * c.fabric.share)))
        out.append(
            _Way(
                name,
                link,
                route.open if np.ndim(route.open) or not route.open else True,
                fixed,
                route.agreed,
                route.cut * eager,
                route.both(near, far, route.cards),
                2 * np.sqrt(link.c * inside * route.both(near, far, 0.0)),
                tuple(fills),
                route.proxied if name == _HOSTED else None,
                route.one_sided,
            )
        )
    return tuple(climbs), tuple(out)


class Links:
    """The tiers of a system under a profile: the ways of a group are computed once for messages of all sizes."""

    __slots__ = ("_ways",)

    def __init__(self, tiers: tuple[Tier, ...], calibration: Calibration) -> None:
        if not tiers:
            raise QuestionError("tiers=(): a message needs at least one tier to travel on; add a [[system.tier]]")
        self._ways = remembered(64)(partial(_ways, tiers, calibration))

    def price(self, message: Message, ways: Sequence[str] | None = None) -> Cost:
        """Return the time of a message by the quickest of the algorithms its tiers allow, or of the ``ways`` given.

        A group of one, or an empty buffer, costs nothing.

        Raises:
            UnknownNameError: no such collective.
        """
        m = message
        climbs, every = self._ways(m.collective, (m.group, m.stride, m.copies, m.groups, m.among))
        allowed = every if ways is None else tuple(way for way in every if way.name in ways)
        time = _quickest(m, allowed)
        empty = _empty(m)
        if anywhere(empty):
            time = np.logical_not(empty) * 1.0 * time
        apart = Lazy(partial(_apart, m, allowed))
        return Cost(
            time=time, network=partial(_either, apart, 0), latency=partial(_either, apart, 1), error=partial(_wrong, m, climbs, allowed),
            ways=partial(_taken, m, allowed),
        )  # fmt: skip


@remembered(16)
def links(tiers: tuple[Tier, ...], calibration: Calibration) -> Links:
    """Return the tiers of a system under a profile.

    Raises:
        QuestionError: no tiers.
    """
    return Links(tiers, calibration)


def price(message: Message, tiers: Sequence[Tier], calibration: Calibration, ways: Sequence[str] | None = None) -> Cost:
    """Return the time of a message over some tiers, as ``Links.price`` does.

    Raises:
        UnknownNameError: no such collective. QuestionError: no tiers.
    """
    return links(tuple(tiers), calibration).price(message, ways)


def _empty(message: Message) -> Mask:
    """Return where a message sends nothing."""
    alone = message.group <= 1
    none = message.size <= 0
    return np.logical_or(alone, none) if anywhere(none) else alone


def _quickest(message: Message, ways: Sequence[_Way]) -> Seconds:
    """Return the time of a message by the quickest of its ways."""
    root = np.sqrt(message.size)
    times = [way.time(message, root) for way in ways]
    return reduce(smaller, times) if times else np.inf


def _apart(message: Message, ways: Sequence[_Way]) -> tuple[Seconds, Seconds]:
    """Return what of the time of a message the network needs, and its fixed time, by the quickest of its ways."""
    time: Num = np.inf
    latency: Num = 0.0
    for i, (way, cost) in enumerate(zip(ways, _taken(message, ways).values(), strict=True)):
        better = cost < time
        time, latency = (cost, way.fixed) if i == 0 else (smaller(cost, time), pick(better, way.fixed, latency))
    network = time - latency
    if not any(way.open is True for way in ways):
        shut = np.logical_not(time < np.inf)
        network, latency = pick(shut, 0.0, network), pick(shut, 0.0, latency)
    sent = np.logical_not(_empty(message)) * 1.0
    return sent * network, sent * latency


def _either(apart: Lazy[tuple[Seconds, Seconds]], which: int) -> Seconds:
    return apart()[which]


def _taken(message: Message, ways: Sequence[_Way]) -> dict[str, Seconds]:
    """Return the time of a message by each way."""
    root = np.sqrt(message.size)
    return {way.name: way.time(message, root) for way in ways}


def _wrong(message: Message, climbs: Sequence[Climb], ways: Sequence[_Way]) -> Ratio:
    """Return the error of a message by the quickest of its ways."""
    scale = _doublings(message.group), _doublings(message.size)
    time: Num = np.inf
    error: Num = 0.0
    for i, (way, cost) in enumerate(zip(ways, _taken(message, ways).values(), strict=True)):
        own = _error(scale, climbs, way.link, message.size * way.byte, cost, one_sided=way.one_sided)
        better = cost < time
        time, error = (cost, own) if i == 0 else (pick(better, cost, time), pick(better, own, error))
    return error


def _begins(climbs: Sequence[Climb], *, one_sided: bool) -> Seconds:
    """Return the latency that the beginning of a collective is counted in: of the slowest tier that is climbed inside a node."""
    first = climbs[0].tier
    counted = [c for c in climbs if c.fabric is None or one_sided]
    slowest: Num = 0.0
    some: Num = 0.0
    for c in counted:
        slowest, some = larger(slowest, c.used * c.tier.latency), some + c.used
    return pick(some > 0, slowest, first.latency if first.fabric is None else _STEP)


def _error(
    scale: tuple[Num, Num], climbs: Sequence[Climb], link: Link, moving: Seconds, total: Seconds, *, one_sided: bool
) -> Ratio:
    """Return the half-width of the 80 % interval of a time: of what was fitted, and more with the distance from it.

    Between nodes the transfer and all the rest have errors of their own, so that short messages are the less certain.

    Args:
        scale: doublings of the ranks and of the bytes of a message.
        moving: time of its transfer, of the ``total``.
    """
    known = (link.ranks > 0) & (link.bytes > 0)
    away = _DISTANCE * known * (_beyond(scale[0], link.ranks) + 0.5 * _beyond(scale[1], link.bytes))
    out: Num = np.sqrt(link.error**2 + away * away)
    for c in climbs:
        if c.fabric is not None and not one_sided:
            part = smaller(moving / larger(total, np.finfo(float).tiny), 1.0)
            mixed = part * c.fabric.error + (1 - part) * c.fabric.short
            further = _DISTANCE * _beyond(_doublings(c.fan), c.fabric.nodes)
            out = pick(c.used > 0, np.sqrt(mixed * mixed + further * further), out)
    return out


def _doublings(value: Num) -> Num:
    """Return by how many doublings a value lies above one, 0 below it."""
    return np.log2(larger(value, 1.0))


def _beyond(doublings: Num, most: Num) -> Num:
    """Return by how many doublings a value lies above what was fitted."""
    return larger(doublings - _doublings(most), 0.0)
