"""Topologies, climbs, and the time, error and ways of every collective over tiers of every kind."""

import attrs
import numpy as np

import roofline as rl
from roofline.hardware.constants import COLLECTIVES, Link
from roofline.hardware.hardware import Fabric
from roofline.operators.operations import Message
from roofline.physics import collectives
from roofline.physics.topology import usable

from . import pinned, spread

CARDS = Fabric("cards", step=11e-6, share=0.83, rounding=1.3, chunk=2.2e6, sums=0.71, crossing=0.37, leaf=5.0, post=2.3e-7,
               nodes=6.0, error=0.13, short=0.23, handshake=3.3e-6, eager=7.1e4)  # fmt: skip
NODE = rl.Tier("node", 8, 430e9, 1.3e-6, in_network=True, load_store=True)
PLAIN = rl.Tier("node", 8, 430e9, 1.3e-6)
RAILS = rl.Tier("rails", 256, 47e9, 3.1e-6, fabric=CARDS, oversubscription=1.7)
SUMS = rl.Tier("rails", 256, 47e9, 3.1e-6, fabric=CARDS, in_network=True)
SLOWER = attrs.evolve(
    CARDS,
    name="slower",
    step=29e-6,
    share=0.61,
    rounding=2.7,
    chunk=1.1e6,
    sums=0.53,
    nodes=3.0,
    error=0.31,
    short=0.47,
    post=4.1e-7,
    handshake=5.9e-6,
    eager=2.3e4,
)
SPINE = rl.Tier("spine", 4096, 19e9, 7.7e-6, fabric=SLOWER, same_ports=True, oversubscription=2.9)
MESH = rl.Tier("mesh", 8, 448e9, 1.1e-6, topology="mesh", load_store=True)
RING = rl.Tier("ring", 16, 310e9, 1.9e-6, topology="ring")
TORUS = rl.Tier("torus", 512, 270e9, 1.7e-6, topology="torus", dims=(8, 8, 8))
FLAT = rl.Tier("torus", 96, 270e9, 1.7e-6, topology="torus", dims=(4, 6, 4))
LINE = rl.Tier("torus", 40, 270e9, 1.7e-6, topology="torus", dims=(40,))
ODD = rl.Tier("torus", 60, 270e9, 1.7e-6, topology="torus", dims=(3, 5, 4))
POD = rl.Tier("pod", 4096, 270e9, 1.7e-6, topology="torus", dims=(16, 16, 16), block=(4, 4, 4))
FLAT_POD = rl.Tier("pod", 256, 270e9, 1.7e-6, topology="torus", dims=(16, 16), block=(4, 2))
LINE_POD = rl.Tier("pod", 256, 270e9, 1.7e-6, topology="torus", dims=(256,), block=(4,))
FAR = rl.Tier("far", 64, 23e9, 5.3e-6, oversubscription=1.3)
RACK = rl.Tier("rack", 72, 810e9, 1.5e-6, in_network=True, load_store=True)
PLANE = rl.Tier("plane", 384, 190e9, 2.3e-6, load_store=True, same_ports=True)

NETWORKS = {
    "node": (NODE,),
    "node, rails": (NODE, RAILS),
    "plain node, rails that add up": (PLAIN, SUMS),
    "node, rails, spine": (NODE, RAILS, SPINE),
    "rails alone": (RAILS,),
    "rack, plane": (RACK, PLANE),
    "mesh, far": (MESH, FAR),
    "ring, far": (RING, FAR),
    "torus": (TORUS,),
    "pod": (POD,),
    "die, mesh, ring": (
        rl.Tier("die", 2, 900e9, 0.7e-6, load_store=True),
        rl.Tier("mesh", 12, 260e9, 1.1e-6, topology="mesh"),
        rl.Tier("ring", 192, 70e9, 2.1e-6, topology="ring"),
    ),
    "uneven": (
        rl.Tier("board", 4, 430e9, 1.3e-6),
        rl.Tier("cabinet", 10, 290e9, 1.9e-6, in_network=True, load_store=True),
        FAR,
    ),
    "die, node, far": (rl.Tier("die", 2, 900e9, 0.7e-6, load_store=True), PLAIN, FAR),
}
GROUPS = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 40.0, 64.0, 128.0, 256.0, 512.0, 2048.0])
STRIDES = np.array([1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 8.0, 1.0, 4.0, 1.0, 1.0, 1.0, 16.0, 8.0, 1.0])
SIZES = spread(1e3, 4e9, len(GROUPS), 0.11)


def links(level="calibrated", *, chunked=True):
    """A profile whose constants are all different."""
    n = len(COLLECTIVES)
    constants = {
        "alpha": spread(1e-6, 2e-5, n, 0.1), "peer": spread(2e-8, 6e-7, n, 0.2), "start": spread(0.5, 6, n, 0.3), "hop": spread(0.2, 2, n, 0.4),
        "eta": spread(0.4, 0.97, n, 0.5), "far": spread(0.3, 0.93, n, 0.6), "pair": spread(0.5, 0.9, n, 0.7), "c": spread(0.05, 0.8, n, 0.8) * chunked,
        "error": spread(0.04, 0.3, n, 0.9), "ranks": spread(4, 40, n, 0.15), "bytes": spread(1e5, 1e8, n, 0.25), "copied": spread(5e10, 9e11, n, 0.35),
    }  # fmt: skip
    made = {
        way: Link(**{name: float(each[i]) for name, each in constants.items()}) for i, way in enumerate(COLLECTIVES)
    }
    return rl.Calibration("made", level, {}, made)


def fields(climbs):
    """What a climb meets, tier by tier."""
    return {
        f"{i} {c.tier.name}": {"met": c.met, "fan": c.fan, "used": c.used, "use": c.use} for i, c in enumerate(climbs)
    }


@pinned
def topologies():
    """Parts of a rank's bandwidth and steps, over every kind of topology."""
    fans = np.array(
        [
            1.0,
            1.5,
            2.0,
            2.0,
            3.0,
            4.0,
            4.0,
            6.0,
            8.0,
            8.0,
            16.0,
            24.0,
            32.0,
            64.0,
            96.0,
            128.0,
            192.0,
            256.0,
            320.0,
            512.0,
            768.0,
        ]
    )
    starts = np.array(
        [1.0, 1.0, 1.0, 8.0, 2.0, 1.0, 16.0, 1.0, 1.0, 4.0, 1.0, 1.0, 2.0, 1.0, 1.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    )
    for tier in (NODE, RAILS, MESH, RING, TORUS, FLAT, LINE, ODD, POD, FLAT_POD, LINE_POD):
        yield f"{tier.name} {tier.dims} {tier.block}", usable(tier, float(tier.size), starts, fans)
        yield (
            f"{tier.name} {tier.dims} {tier.block}, one",
            [usable(tier, 8.0, 1.0, fan) for fan in (1.0, 2.0, 3.0, 8.0)],
        )
        parts = np.array([[2.0, 2.0, 6.0, 1.0, 4.0, 3.0], [1.5, 2.5, 1.5, 1.5, 1.25, 20.0]])
        yield f"{tier.name} {tier.dims} {tier.block}, parts", usable(tier, float(tier.size), *parts)
        few = np.array([1.0, 2.0, 3.0])
        yield f"{tier.name} {tier.dims} {tier.block}, few", usable(tier, few, 1.0, few)


@pinned
def climbed():
    """What a group of so many ranks meets of each tier."""
    for name, tiers in NETWORKS.items():
        yield name, fields(collectives.climb(tiers, GROUPS, STRIDES))
        yield f"{name}, nodes", collectives._nodes(list(collectives.climb(tiers, GROUPS, STRIDES)))


def messages(collective):
    """Messages of one kind: groups and sizes of their own, copies and rows where it has any."""
    sparse = collective in ("dispatch", "combine")
    copies = np.resize([1.0, 2.0, 6.0, 8.0, 3.5], len(GROUPS)) if sparse else 1.0
    yield "", Message("m", collective, SIZES, GROUPS, STRIDES, copies)
    if sparse:
        yield (
            ", 8 parts of which 3",
            Message("m", collective, SIZES, GROUPS, STRIDES, copies, rows=37.0, groups=8.0, among=3.0),
        )


def priced(message, tiers, profile):
    """Time and error of a message, its ways, and its bytes."""
    cost = collectives.price(message, tiers, profile)
    return {"time": cost.time, "latency": cost.latency, "network": cost.network, "error": cost.error, "ways": cost.ways}


@pinned
def times():
    """Time of every collective over every network by a profile whose constants are all different."""
    profile = links()
    for collective in collectives.MESSAGES:
        for name, tiers in NETWORKS.items():
            for more, message in messages(collective):
                yield f"{collective}{more} over {name}", priced(message, tiers, profile)


@pinned
def times_of_one():
    """The same where numbers are no arrays, at the ideal level, and by some of the ways alone."""
    profile = links()
    for collective in collectives.MESSAGES:
        one = Message("m", collective, 3.3e6, 48.0, 1.0, 5.0 if collective in ("dispatch", "combine") else 1.0)
        for name in ("node, rails", "plain node, rails that add up", "rack, plane", "pod", "mesh, far", "rails alone"):
            yield f"{collective} over {name}", priced(one, NETWORKS[name], profile)
            yield f"{collective} over {name}, ideal", priced(one, NETWORKS[name], links("ideal", chunked=False))
    for size in (0.0, 1.0, 1e9):
        for group in (1.0, 2.0, 8.0, 9.0):
            message = Message("m", "all_reduce", size, group)
            yield f"{size:g} B over {group:g}", priced(message, NETWORKS["node, rails"], profile)
    message = Message("m", "all_reduce", SIZES, GROUPS)
    for ways in (("ring",), ("tree", "halving"), ("one_shot",), ("in_network", "two_shot")):
        cost = collectives.price(message, NETWORKS["node, rails"], profile, ways)
        yield (
            f"{', '.join(ways)}",
            {"time": cost.time, "latency": cost.latency, "network": cost.network, "error": cost.error},
        )


@pinned
def far_from_what_was_fitted():
    """Errors with the distance from what a way was fitted to, with and without a fabric."""
    for ranks, size, nodes in ((4.0, 1e6, 2.0), (4.0, 0.0, 2.0), (0.0, 1e6, 2.0), (1024.0, 1e12, 512.0)):
        profile = links()
        made = {name: attrs.evolve(link, ranks=ranks, bytes=size) for name, link in profile.links.items()}
        rails = attrs.evolve(RAILS, fabric=attrs.evolve(CARDS, nodes=nodes))
        for collective in ("all_reduce", "dispatch", "all_to_all"):
            cost = collectives.price(
                Message("m", collective, SIZES, GROUPS), (NODE, rails), attrs.evolve(profile, links=made)
            )
            yield f"{collective}, {ranks:g} ranks, {size:g} B, {nodes:g} nodes", cost.error


@pinned
def traffic():
    """Bytes over each tier, the least time of a message, and the transfer of a ring."""
    for name, tiers in NETWORKS.items():
        for collective in collectives.MESSAGES:
            for more, message in messages(collective):
                yield f"{collective}{more} over {name}", {
                    "sent": collectives.sent(message, tiers), "least": collectives.lower_bound(message, tiers),
                }  # fmt: skip
        message, met = collectives.shifted(5e6, GROUPS, tiers)
        yield f"shifted over {name}", {"message": message, "bandwidth": [tier.bandwidth for tier in met]}
    yield (
        "transfer",
        collectives.transfer_time(spread(1e-6, 1e-3, 9), spread(1e-6, 1e-3, 9, 0.3), spread(0.1, 2, 9, 0.7)),
    )


@pinned
def routes():
    """Every way of a message before the quickest is taken, and the constants of each."""
    for collective in collectives.MESSAGES:
        for name in ("node, rails", "plain node, rails that add up", "rack, plane", "mesh, far", "uneven"):
            for more, message in messages(collective):
                climbs = list(collectives.climb(NETWORKS[name], GROUPS, STRIDES))
                found = collectives._routes(attrs.evolve(message, size=3.7e6), climbs)
                yield f"{collective}{more} over {name}", {way: plain_fields(route) for way, route in found.items()}
        tiers = NETWORKS["node, rails, spine"]
        shape = (48.0, 1.0, 5.0, 8.0, 3.0)
        for level in ("calibrated", "ideal"):
            _, ways = collectives._ways(tiers, links(level), collective, shape)
            yield f"{collective}, {level}", {way.name: plain_fields(way, "name", "link") for way in ways}


def plain_fields(noun, *left_out):
    """Fields of a noun but for some."""
    return {each.name: getattr(noun, each.name) for each in attrs.fields(type(noun)) if each.name not in left_out}


@pinned
def reached():
    """Units of a group that copies of a token reach."""
    units = np.array([1.0, 2.0, 3.0, 4.0, 8.0, 9.0, 16.0, 32.0])
    for groups, among, copies in ((1.0, 1.0, 8.0), (8.0, 4.0, 8.0), (8.0, 3.0, 2.5), (4.0, 4.0, 6.0), (16.0, 2.0, 1.0)):
        message = Message("m", "dispatch", 1.0, 64.0, copies=copies, groups=groups, among=among)
        yield f"{copies:g} copies to {among:g} of {groups:g}", collectives._reached(units, message)
