"""The price of a message: traffic is conserved over any tiers, one tier is the plain ring, nothing beats its lower bound."""

import itertools

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.hardware.constants import COLLECTIVES
from roofline.hardware.hardware import Fabric
from roofline.physics.collectives import MESSAGES, climb, lower_bound, price, sent

CLOSE = 1 + 1e-9


def alike(link):
    """A profile in which every way has the same constants."""
    return attrs.evolve(rl.IDEAL, links=dict.fromkeys(COLLECTIVES, link))


@given(made.tiers(), st.integers(1, 4096), st.integers(1, 64))
def test_a_climb_meets_the_whole_group_once(tiers, group, stride):
    climbs = list(climb(tiers, float(group), float(stride)))
    assert climbs[0].met == 1
    for inner, outer in itertools.pairwise(climbs):
        assert outer.met == pytest.approx(inner.met * inner.fan)
        assert inner.fan >= 1
    assert climbs[-1].met * climbs[-1].fan == pytest.approx(group)


@given(made.tiers(), st.integers(1, 4096), st.integers(1, 64), made.floats(1, 1e12))
def test_traffic_is_conserved_whatever_the_tiers(tiers, group, stride, size):
    climbs = list(climb(tiers, float(group), float(stride)))
    scatter = sum(size / c.met * (1 - 1 / c.fan) for c in climbs)
    exchange = sum(size * c.met * (c.fan - 1) / group for c in climbs)
    assert scatter == pytest.approx(size * (1 - 1 / group), rel=1e-9, abs=1e-9)
    assert exchange == pytest.approx(size * (1 - 1 / group), rel=1e-9, abs=1e-9)


@given(made.floats(1, 1e12), st.integers(2, 64), made.links(), st.booleans())
def test_one_tier_is_the_plain_ring(size, group, link, near):
    tier = rl.Tier("switch", 64, 1e11, 1e-6, load_store=near)
    t0 = link.alpha + link.peer * (group - 1) + link.start * 1e-6 + link.hop * 2 * (group - 1) * 1e-6
    reached = link.eta * (link.pair if group == 2 else 1) if near else link.far
    x = 2 * size * (1 - 1 / group) / min(reached * 1e11, link.copied if near else np.inf)
    cost = price(rl.Message("m", "all_reduce", size, float(group)), (tier,), alike(link))
    assert cost.ways["ring"] == pytest.approx(t0 + x + 2 * np.sqrt(link.c * t0 * x), rel=1e-9)


@given(made.messages(), made.tiers(), made.calibrations())
def test_nothing_beats_its_lower_bound(message, tiers, profile):
    cost = price(message, tiers, profile)
    assert cost.time >= lower_bound(message, tiers) * (1 - 1e-9)
    assert cost.time == pytest.approx(float(min(cost.ways.values())) if message.group > 1 else 0.0)
    assert cost.time == pytest.approx(cost.latency + cost.network)


@given(made.messages(), made.tiers(), made.calibrations(), st.data())
def test_ways_given_are_the_ways_gone(message, tiers, profile, data):
    free = price(message, tiers, profile)
    ways = data.draw(st.sets(st.sampled_from(sorted(free.ways)), min_size=1))
    held = price(message, tiers, profile, sorted(ways))
    assert held.ways == {name: free.ways[name] for name in free.ways if name in ways}
    assert held.time * CLOSE >= free.time


@given(made.messages(collectives=("all_reduce",)), made.tiers(), made.links())
def test_an_all_reduce_is_no_dearer_than_scatter_and_gather(message, tiers, link):
    profile = alike(link)
    parts = sum(
        price(attrs.evolve(message, collective=name), tiers, profile).time for name in ("reduce_scatter", "all_gather")
    )
    assert price(message, tiers, profile).time <= parts * (1 + 1e-9)


@given(made.messages(collectives=("all_reduce",)), made.tiers())
def test_an_all_reduce_moves_what_it_must(message, tiers):
    # Without sums in the network a rank sends at least 2 S (1 - 1/n) over links no faster than the fastest; with them, at least S.
    plain = tuple(attrs.evolve(tier, in_network=False, load_store=False) for tier in tiers)
    fastest = max(tier.bandwidth for tier in tiers)
    n = message.group
    assert lower_bound(message, plain) >= 2 * message.size * (1 - 1 / n) / fastest / len(tiers) * (1 - 1e-9)
    assert lower_bound(message, tiers) >= message.size * (n > 1) * (1 - 1 / n) / fastest / len(tiers) * (1 - 1e-9)


@given(made.messages(), made.tiers(), made.calibrations(), st.floats(1, 10), st.data())
def test_a_faster_link_never_slows(message, tiers, profile, factor, data):
    i = data.draw(st.integers(0, len(tiers) - 1))
    before = price(message, tiers, profile).time * (1 + 1e-9)
    for change in ({"bandwidth": factor}, {"latency": 1 / factor}):
        better = (*tiers[:i], made.scaled(tiers[i], **change), *tiers[i + 1 :])
        assert price(message, better, profile).time <= before
    summing = (*tiers[:i], attrs.evolve(tiers[i], in_network=True), *tiers[i + 1 :])
    assert price(message, summing, profile).time <= before
    # Direct reads add ways; as much of the links must be reached with them as through a card, and cores be quick enough.
    links = {
        name: attrs.evolve(each, eta=max(each.eta, each.far), pair=1.0, copied=np.inf) for name, each in profile.links.items()
    }  # fmt: skip
    same = attrs.evolve(profile, links=links)
    direct = (*tiers[:i], attrs.evolve(tiers[i], load_store=True), *tiers[i + 1 :])
    assert price(message, direct, same).time <= price(message, tiers, same).time * CLOSE


@given(made.messages(), made.tiers(), made.calibrations(), st.floats(1, 10))
def test_more_bytes_take_longer(message, tiers, profile, factor):
    assert price(made.scaled(message, size=factor), tiers, profile).time >= price(message, tiers, profile).time * (
        1 - 1e-9
    )


@given(made.messages(), made.tiers(), made.calibrations())
def test_one_rank_or_no_bytes_send_nothing(message, tiers, profile):
    for silent in (attrs.evolve(message, group=1.0), attrs.evolve(message, size=0.0)):
        cost = price(silent, tiers, profile)
        assert (cost.time, cost.network, cost.latency) == (0.0, 0.0, 0.0)


def test_by_hand_over_two_tiers():
    # 16 ranks, 8 a node at 100 GB/s, nodes joined at 10 GB/s a rank. 8 GB: inside 2 x 8 x 7/8 = 14 GB, 0.14 s;
    # between, each rank holds 1 GB: 2 x 1 x 1/2 = 1 GB, 0.1 s. The levels work at the same time: 0.14 s.
    tiers = (rl.Tier("node", 8, 100e9, 0.0), rl.Tier("fabric", 1024, 10e9, 0.0))
    ring = price(rl.Message("m", "all_reduce", 8e9, 16.0), tiers, rl.IDEAL)
    assert ring.ways["ring"] == pytest.approx(0.14)
    # With a stride of 8 no two peers share a node: 2 x 8 x 1/2 = 8 GB at 10 GB/s.
    apart = price(rl.Message("m", "all_reduce", 8e9, 2.0, stride=8.0), tiers, rl.IDEAL)
    assert apart.time == pytest.approx(0.8)


def test_by_hand_in_the_network():
    # 8 ranks whose switch adds up: S = 8 GB at 100 GB/s, whatever the ranks.
    tiers = (rl.Tier("node", 8, 100e9, 0.0, in_network=True),)
    assert price(rl.Message("m", "all_reduce", 8e9, 8.0), tiers, rl.IDEAL).time == pytest.approx(0.08)


def test_direct_ways_need_load_and_store():
    tiers = (rl.Tier("node", 8, 450e9, 1e-6, load_store=True), rl.Tier("fabric", 1024, 50e9, 5e-6))
    profile = rl.profile("generic", rl.system("dgx-h100"))
    inside = price(rl.Message("m", "all_reduce", 16e3, 8.0), tiers, profile)
    across = price(rl.Message("m", "all_reduce", 16e3, 16.0), tiers, profile)
    assert min(inside.ways, key=inside.ways.get) == "one_shot"
    assert np.isinf(across.ways["one_shot"])
    assert np.isfinite(across.time)


def test_cloudmatrix_climbs_from_die_to_supernode():
    rack = rl.system("cloudmatrix384")
    fans = [float(c.fan) for c in climb(rack.tiers, 768.0, 1.0)]
    assert fans == [2.0, 8.0, 48.0, 1.0]
    apart = [float(c.fan) for c in climb(rack.tiers, 48.0, 16.0)]
    assert apart == [1.0, 1.0, 48.0, 1.0]


def test_measured_nvlink_collectives_are_met_within_their_band():
    """nccl-tests figures of 8 H100 (aiconfigurator 0.12, Apache-2.0): all-reduce of 512 MiB at 445 GB/s busbw, 512 B in 15.5 us."""
    rack = rl.system("dgx-h100")
    profile = rl.profile("generic", rack)
    large = price(rl.Message("m", "all_reduce", 2.0**29, 8.0), rack.tiers, profile)
    busbw = 2 * 2**29 * 7 / 8 / float(large.ways["in_network"])
    assert busbw == pytest.approx(445e9, rel=0.2)
    small = price(rl.Message("m", "all_reduce", 512.0, 8.0), rack.tiers, profile)
    nccl = min(small.ways["ring"], small.ways["tree"], small.ways["in_network"])
    assert nccl == pytest.approx(15.5e-6, rel=0.2)


def test_wrong_messages():
    with pytest.raises(rl.UnknownNameError, match="no such collective; did you mean all_reduce"):
        price(rl.Message("m", "allreduce", 1.0, 2.0), rl.system("dgx-h100").tiers, rl.IDEAL)
    with pytest.raises(rl.QuestionError, match="at least one tier"):
        price(rl.Message("m", "all_reduce", 1.0, 2.0), (), rl.IDEAL)
    assert set(MESSAGES) == {
        "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "dispatch", "combine", "broadcast", "point_to_point",
    }  # fmt: skip


# Topologies ------------------------------------------------------------------------------------------------------------------


def ideal(kind, size, group, *tiers, stride=1.0):
    return float(price(rl.Message("m", kind, size, float(group), stride), tiers, rl.IDEAL).time)


def test_a_mesh_by_hand():
    # Eight chips with seven links of 64 GB/s: all eight use all links, 2 x 8 x 7/8 = 14 GB at 448 GB/s; two have one link between them.
    mesh = rl.Tier("mesh", 8, 448e9, 0.0, topology="mesh")
    assert ideal("all_reduce", 8e9, 8, mesh) == pytest.approx(14e9 / 448e9)
    assert ideal("all_reduce", 8e9, 2, mesh) == pytest.approx(8e9 / 64e9)
    assert ideal("all_to_all", 8e9, 8, mesh) == pytest.approx(7e9 / 448e9)
    assert ideal("point_to_point", 8e9, 2, mesh) == pytest.approx(8e9 / 64e9)


def test_a_torus_as_the_scaling_book_has_it():
    # TPU v5e, 16 x 16, four links of 50 GB/s one way (part 3): over both axes an all-gather of V takes V / (2 W), an all-to-all a quarter of one axis's.
    pod = rl.Tier("ICI", 256, 200e9, 0.0, topology="torus", dims=(16, 16))
    axis = 100e9  # two links, one way
    assert ideal("all_gather", 16e9, 256, pod) == pytest.approx(16e9 * (255 / 256) / (2 * axis))
    assert ideal("all_gather", 16e9, 16, pod) == pytest.approx(16e9 * (15 / 16) / axis)
    # Four chips are 2 x 2, eight 2 x 4: lines along both axes.
    assert ideal("all_gather", 16e9, 4, pod) == pytest.approx(16e9 * (3 / 4) / axis)
    assert ideal("all_gather", 16e9, 8, pod) == pytest.approx(16e9 * (7 / 8) / axis)
    # Each chip sends S; half of all crosses the middle, where 16 rows have two links of 50 GB/s each way.
    crossing = 256 * 16e9 / 4 / (16 * 2 * 50e9)
    assert ideal("all_to_all", 16e9, 256, pod) == pytest.approx(crossing)


def test_part_of_a_ring_comes_back_the_way_it_went():
    ring = rl.Tier("ring", 16, 100e9, 0.0, topology="ring")
    whole, half = ideal("all_gather", 16e9, 16, ring), ideal("all_gather", 16e9, 8, ring)
    assert whole == pytest.approx(15e9 / 100e9)
    assert half == pytest.approx(14e9 / 50e9)
    # Two groups that interleave share every link.
    assert ideal("all_gather", 16e9, 8, ring, stride=2.0) == pytest.approx(14e9 / 50e9)


def test_a_ring_is_a_torus_of_one_dimension():
    ring = rl.Tier("r", 12, 100e9, 1e-6, topology="ring")
    torus = rl.Tier("t", 12, 100e9, 1e-6, topology="torus", dims=(12,))
    for kind in MESSAGES:
        for group, stride in ((2.0, 1.0), (5.0, 1.0), (4.0, 3.0), (12.0, 1.0)):
            message = rl.Message("m", kind, 1e9, group, stride)
            assert price(message, (ring,), rl.IDEAL).time == price(message, (torus,), rl.IDEAL).time


def test_an_oversubscribed_switch_passes_less():
    plain = rl.Tier("s", 64, 100e9, 0.0)
    half = attrs.evolve(plain, oversubscription=2.0)
    for kind in MESSAGES:
        assert ideal(kind, 1e9, 16, half) == pytest.approx(2 * ideal(kind, 1e9, 16, plain))


@given(made.messages(), made.tiers(most=1, topologies=("mesh", "ring", "torus")))
def test_no_topology_beats_a_switch(message, tiers):
    message = attrs.evolve(message, group=min(message.group, float(tiers[0].size)), stride=1.0)
    switch = attrs.evolve(tiers[0], topology="switch", dims=(), in_network=False, load_store=False)
    plain = attrs.evolve(tiers[0], in_network=False, load_store=False)
    assert price(message, (switch,), rl.IDEAL).network <= price(message, (plain,), rl.IDEAL).network * (1 + 1e-9)


@pytest.mark.parametrize(
    ("words", "says"),
    [({"topology": "star"}, "no such topology"), ({"topology": "torus", "dims": (4, 4)}, "product is size"), ({"dims": (8,)}, "other topologies have none"),
     ({"topology": "torus", "dims": (0, 8)}, "whole numbers"), ({"topology": "torus"}, "product is size"), ({"oversubscription": 0.5}, "at least 1")],
)  # fmt: skip
def test_wrong_topologies(words, says):
    chip = rl.chip("h100")
    with pytest.raises(rl.QuestionError, match=says):
        rl.System("made", chip, 8, (rl.Tier("t", 8, 1e11, 1e-6, **words),))


@given(
    made.tiers(topologies=("switch",)),
    st.integers(2, 512),
    made.floats(1e3, 1e9),
    st.sampled_from(["all_gather", "all_to_all"]),
)
def test_nothing_leaves_a_rank_faster_than_its_links(tiers, group, size, kind):
    # All levels of one network share a rank's links: what leaves it, S (1 - 1/n), takes its time on them, however the group lies.
    width = max(tier.bandwidth for tier in tiers)
    shared = tuple(attrs.evolve(tier, same_ports=i > 0) for i, tier in enumerate(tiers))
    time = ideal(kind, size, group, *shared)
    assert time >= size * (1 - 1 / group) / width * (1 - 1e-9)


def test_a_die_of_the_cloudmatrix_sends_no_more_than_its_seven_links():
    rack = rl.system("cloudmatrix384")
    for group in (16.0, 32.0, 320.0):
        out = 1e9 * (group - 2) / group  # all but what its twin die gets, over the link inside the package
        assert ideal("all_to_all", 1e9, group, *rack.tiers) == pytest.approx(out / 196e9)


# Constants of a way ----------------------------------------------------------------------------------------------------------

WORSE = {
    "alpha": 1,
    "peer": 1,
    "start": 1,
    "hop": 1,
    "eta": -1,
    "far": -1,
    "copied": -1,
    "pair": -1,
    "c": 1,
    "error": 0,
    "ranks": 0,
    "bytes": 0,
}


def test_every_constant_of_a_way_is_known_to_be_worse_one_way():
    assert set(WORSE) == {field.name for field in attrs.fields(rl.Link)}


@given(made.messages(), made.tiers(), made.links(), st.floats(1, 10), st.sampled_from(sorted(WORSE)))
def test_no_constant_makes_anything_faster_when_it_grows_worse(message, tiers, link, factor, name):
    worse = made.scaled(link, **{name: factor ** WORSE[name]})
    assert price(message, tiers, alike(worse)).time * CLOSE >= price(message, tiers, alike(link)).time


def test_each_constant_of_a_way_counts():
    """Twice as bad, each slows a ring of two near ranks, or one between nodes."""
    link = rl.Link(1e-6, 1e-6, 2.0, 1.0, 0.8, 0.7, 6e10, 0.9, 0.3, 0.1)
    near = (rl.Tier("node", 8, 1e11, 1e-6, load_store=True),)
    far = (rl.Tier("fabric", 64, 1e10, 5e-6),)

    def timed(group, tiers, link):
        return float(price(rl.Message("m", "all_gather", 1e6, group), tiers, alike(link), ("gather",)).time)

    for name, way in WORSE.items():
        worse = made.scaled(link, **{name: 2.0**way})
        slower = {
            case for case in ((2.0, near), (3.0, near), (2.0, far)) if timed(*case, worse) > timed(*case, link) * 1.001
        }
        expected = {
            "eta": {(2.0, near), (3.0, near)}, "pair": {(2.0, near)}, "far": {(2.0, far)}, "copied": {(2.0, near), (3.0, near)}
        }  # fmt: skip
        none = {"error", "ranks", "bytes"}
        every = set() if name in none else {(2.0, near), (3.0, near), (2.0, far)}
        assert slower == expected.get(name, every), name


def test_a_piece_between_nodes_waits_for_a_handshake():
    # Four nodes of one card each: a tree has 2 log2(4) = 4 steps of 5 us. A buffer of 4 KiB is a piece of 4 KiB: each waits half of 16 us
    # more; one of 12 KiB three quarters. A ring sends a quarter of it in each of its 6 steps: 1 KiB waits a fifth, 3.2 us.
    net = Fabric("net", step=5e-6, handshake=16e-6, eager=4096.0)
    tiers = (rl.Tier("fabric", 64, 1e15, 1e-6, fabric=net),)

    real = attrs.evolve(alike(rl.Link(hop=1.0)), level="generic")

    def timed(size):
        return price(rl.Message("m", "all_reduce", size, 4.0), tiers, real).ways

    assert float(timed(1e-9)["tree"]) == pytest.approx(20e-6)
    assert float(timed(4096.0)["tree"]) == pytest.approx(52e-6)
    assert float(timed(3 * 4096.0)["tree"]) == pytest.approx(68e-6)
    assert float(timed(4096.0)["ring"]) == pytest.approx((6 * 5 + 6 * 3.2) * 1e-6)


def test_an_exchange_is_as_quick_as_the_link_or_the_cores_that_copy():
    # Eight ranks, a token to 8 experts at random: 8 (1 - (7/8)^8) = 5.25 ranks want it, 7/8 of them others. Half of 100 GB/s, or 20 GB/s.
    tiers = (rl.Tier("node", 8, 100e9, 0.0, load_store=True),)
    message = rl.Message("m", "dispatch", 1e9, 8.0, copies=8.0)
    moved = 1e9 * 8 * (1 - (7 / 8) ** 8) * 7 / 8
    for copied, rate in ((200e9, 50e9), (20e9, 20e9)):
        time = price(message, tiers, alike(rl.Link(eta=0.5, copied=copied)), ("throughput",)).time
        assert float(time) == pytest.approx(moved / rate)


def test_the_start_and_the_steps_by_hand():
    # Two nodes of 8, steps of 1 us inside and 5 us between. A ring gathers in 7 steps inside and 1 between: 12 us; it begins with 3 of the
    # slowest steps, 15 us; 4 us fixed, 1 us for each of 15 peers. 8 GB: 7 GB at 0.5 of 100 GB/s, 0.14 s; 0.5 GB at 0.25 of 10 GB/s, 0.2 s.
    tiers = (rl.Tier("node", 8, 100e9, 1e-6, load_store=True), rl.Tier("fabric", 1024, 10e9, 5e-6))
    link = rl.Link(alpha=4e-6, peer=1e-6, start=3.0, hop=1.0, eta=0.5, far=0.25)
    cost = price(rl.Message("m", "all_gather", 8e9, 16.0), tiers, alike(link), ("gather",))
    assert float(cost.latency) == pytest.approx(46e-6)
    assert float(cost.network) == pytest.approx(0.2)
    # Inside one node the far link plays no part, and the slowest step is one of the node.
    inside = price(rl.Message("m", "all_gather", 8e9, 8.0), tiers, alike(link), ("gather",))
    assert float(inside.latency) == pytest.approx((4 + 7 + 3 + 7) * 1e-6)
    assert float(inside.network) == pytest.approx(0.14)


def test_the_steps_of_each_way_by_hand():
    # Two nodes of 8, steps of 1 us inside and 10 us between, and next to nothing to send.
    node, fabric = rl.Tier("node", 8, 1e12, 1e-6, in_network=True, load_store=True), rl.Tier("fabric", 64, 1e12, 10e-6)

    def steps(kind, group=16.0):
        ways = price(rl.Message("m", kind, 1e-9, group, copies=2.0), (node, fabric), alike(rl.Link(hop=1.0))).ways
        return {name: round(float(time) * 1e6, 6) for name, time in ways.items() if np.isfinite(time)}

    # Around 7 peers and 1; 3 doublings and 1; up and down them; into the switch and out, then around.
    assert steps("all_reduce") == {"ring": 2 * 7 + 20, "halving": 2 * 3 + 20, "tree": 2 * 3 + 20, "in_network": 2 + 20}
    assert steps("all_reduce", 8.0) == {
        "ring": 14, "halving": 6, "tree": 6, "in_network": 2, "one_shot": 1, "two_shot": 2
    }  # fmt: skip
    for kind in ("reduce_scatter", "all_gather"):
        assert steps(kind) == {"gather": 7 + 10, "halving": 3 + 10}
    assert steps("all_to_all") == {"all_to_all": 3 + 10}
    assert steps("dispatch") == steps("combine") == {"low_latency": 3 + 10, "throughput": 3 + 10}
    assert steps("broadcast") == {"chain": 7 + 10, "binomial": 3 + 10}
    # From rank to rank, 14 of 15 hops inside a node.
    assert steps("point_to_point") == {"point_to_point": 14 + 10}


@given(st.lists(made.messages(), min_size=2, max_size=5), made.tiers(), made.calibrations())
def test_an_array_of_messages_is_the_messages_one_by_one(messages, tiers, profile):
    kind = messages[0].collective
    words = {name: np.array([getattr(m, name) for m in messages]) for name in ("size", "group", "stride", "copies")}
    whole = price(rl.Message("m", kind, **words), tiers, profile)
    for i, message in enumerate(messages):
        one = price(attrs.evolve(message, collective=kind), tiers, profile)
        assert float(whole.time[i]) == pytest.approx(float(one.time), rel=1e-12)
        for name, time in one.ways.items():
            assert float(np.broadcast_to(whole.ways[name], len(messages))[i]) == pytest.approx(float(time), rel=1e-12)


# What each way moves ---------------------------------------------------------------------------------------------------------

SWITCHES = st.lists(st.integers(2, 16), min_size=1, max_size=4)


def through_one_port(fans, load_store=False):
    """Tiers of one network whose levels share a rank's 1 B/s, so that the ideal time of a way is all it sends, in bytes."""
    return tuple(
        rl.Tier(f"level {i}", int(np.prod(fans[: i + 1])), 1.0, 0.0, load_store=load_store, same_ports=i > 0)
        for i in range(len(fans))
    )


@given(SWITCHES, st.data(), st.sampled_from([1.0, 2.0, 8.0]))
def test_each_way_sends_what_it_must(fans, data, copies):
    tiers, size = through_one_port(fans, load_store=True), 1e6
    n = float(np.prod(data.draw(st.sampled_from([fans[: i + 1] for i in range(len(fans))]))))

    def moved(kind):
        return price(rl.Message("m", kind, size, n, copies=copies), tiers, rl.IDEAL).ways

    once = size * (1 - 1 / n)
    for kind in ("reduce_scatter", "all_gather"):
        assert moved(kind) == pytest.approx({"gather": once, "halving": once})
    reduced = moved("all_reduce")
    assert {name: reduced[name] for name in ("ring", "halving", "two_shot", "one_shot")} == pytest.approx(
        {"ring": 2 * once, "halving": 2 * once, "two_shot": 2 * once, "one_shot": size * (n - 1)}
    )
    # A tree sends everything up and down at each tier, of what is left of it there.
    met = [float(np.prod(fans[:i])) for i in range(len(fans)) if np.prod(fans[:i]) < n]
    assert reduced["tree"] == pytest.approx(2 * size * sum(1 / m for m in met))
    assert moved("all_to_all") == pytest.approx({"all_to_all": once})
    assert moved("broadcast") == pytest.approx({"chain": size * len(met), "binomial": size * np.log2(n)})
    assert moved("dispatch")["low_latency"] == pytest.approx(copies * once)
    assert moved("point_to_point") == pytest.approx({"point_to_point": size * (n - 1)})


@given(made.messages(collectives=("broadcast",)), made.tiers(), made.calibrations())
def test_a_broadcast_takes_at_least_its_buffer_over_each_link_it_climbs(message, tiers, profile):
    climbed = [c.tier.bandwidth for c in climb(tiers, message.group, message.stride) if c.fan > 1]
    slowest = max((message.size / bandwidth for bandwidth in climbed), default=0.0)
    assert lower_bound(message, tiers) * CLOSE >= slowest
    assert price(message, tiers, profile).time * CLOSE >= slowest


def test_a_broadcast_to_an_odd_rank_takes_its_buffer_too():
    # Three ranks on nodes of two: over the slow link inside a node somebody gets the whole of it.
    tiers = (rl.Tier("node", 2, 1e9, 0.0), rl.Tier("fabric", 64, 1e12, 0.0))
    assert float(lower_bound(rl.Message("m", "broadcast", 1e9, 3.0), tiers)) == 1.0


@given(made.messages(collectives=("broadcast", "dispatch", "combine")), made.tiers())
def test_what_is_said_to_be_sent_is_sent(message, tiers):
    told = sent(message, tiers)
    assert len(told) == len(tiers)
    fans = [c.fan for c in climb(tiers, message.group, message.stride)]
    assert [b > 0 for b in told] == [fan > 1 for fan in fans]


# Experts ---------------------------------------------------------------------------------------------------------------------


def test_a_dispatch_over_two_nodes_by_hand():
    # 16 ranks, 8 a node at 100 GB/s, nodes joined at 10 GB/s a rank; 8 GB of tokens, each to 2 ranks drawn at random.
    tiers = (rl.Tier("node", 8, 100e9, 0.0, load_store=True), rl.Tier("fabric", 1024, 10e9, 0.0))
    for kind in ("dispatch", "combine"):
        ways = price(rl.Message("m", kind, 8e9, 16.0, copies=2.0), tiers, rl.IDEAL).ways
        # Straight to each: 2 x 8 x 8/16 = 8 GB leave the node, 0.8 s (and 7 GB stay inside, 0.07 s).
        assert ways["low_latency"] == pytest.approx(0.8)
        # Once to each node: a token is wanted in 2 (1 - 1/4) = 1.5 nodes, half of which are others: 6 GB, 0.6 s.
        assert ways["throughput"] == pytest.approx(0.6)
    # Where the fabric is no bottleneck, the node is: of 16 (1 - (15/16)^2) = 1.9375 ranks that want a token, 7/8 are not the one it came to.
    quick = (tiers[0], attrs.evolve(tiers[1], bandwidth=1e12))
    ways = price(rl.Message("m", "dispatch", 8e9, 16.0, copies=2.0), quick, rl.IDEAL).ways
    assert ways["low_latency"] == pytest.approx(0.07)
    assert ways["throughput"] == pytest.approx(8 * 1.9375 * 7 / 8 / 100)


def test_a_dispatch_is_what_tokens_thrown_at_random_send():
    """A token on a random rank of 4 nodes of 8, to 6 ranks drawn at random: copies counted one by one."""
    dice, tokens, node, nodes, copies = np.random.default_rng(1), 40_000, 8, 4, 6
    source = dice.integers(node * nodes, size=(tokens, 1))
    target = dice.integers(node * nodes, size=(tokens, copies))
    straight = [
        ((target // node == source // node) & (target != source)).sum(),
        (target // node != source // node).sum(),
    ]
    wanted = np.zeros((tokens, nodes, node), dtype=bool)
    wanted[np.arange(tokens)[:, None], target // node, target % node] = True
    apart = wanted.any(axis=2)
    apart[np.arange(tokens), source[:, 0] // node] = False
    # On each node it comes to the rank with the source's own number, and goes on to the others that want it.
    onward = wanted.copy()
    onward[np.arange(tokens), :, source[:, 0] % node] = False
    tiers = (rl.Tier("node", node, 1.0, 0.0), rl.Tier("fabric", 1024, 1.0, 0.0))
    message = rl.Message("m", "dispatch", float(tokens), float(node * nodes), copies=float(copies))
    assert sent(message, tiers) == pytest.approx((onward.sum(), apart.sum()), rel=0.01)
    alone = [(tiers[0], attrs.evolve(tiers[1], bandwidth=1e9)), (attrs.evolve(tiers[0], bandwidth=1e9), tiers[1])]
    found = [price(message, only, rl.IDEAL).ways["low_latency"] for only in alone]
    assert found == pytest.approx(straight, rel=0.01)


@given(SWITCHES, made.floats(1, 1e9), made.links())
def test_one_copy_in_one_tier_is_the_plain_all_to_all(fans, size, link):
    tiers, n = through_one_port(fans[:1]), float(fans[0])
    plain = price(rl.Message("m", "all_to_all", size, n), tiers, alike(link)).ways["all_to_all"]
    ways = price(rl.Message("m", "dispatch", size, n), tiers, alike(link)).ways
    assert ways == pytest.approx({"low_latency": plain, "throughput": plain})


@given(SWITCHES, made.floats(1, 64))
def test_a_unit_gets_a_copy_once_and_never_more_than_were_asked_for(fans, copies):
    tiers = through_one_port(fans)
    n = float(np.prod(fans))
    message = rl.Message("m", "dispatch", 1.0, n, copies=copies)
    climbs = list(climb(tiers, n, 1.0))
    for c, wire in zip(climbs, sent(message, tiers), strict=True):
        units = n / c.met
        assert wire <= min(copies, units) * (1 - 1 / c.fan) * CLOSE
    # Between the outermost units nothing is passed on: there it is never more than straight to each.
    outer = climbs[-1]
    assert sent(message, tiers)[-1] <= copies * outer.met * (outer.fan - 1) / n * CLOSE


@given(SWITCHES)
def test_a_dispatch_to_everybody_sends_each_rank_one_copy(fans):
    tiers, n = through_one_port(fans), float(np.prod(fans))
    everybody = rl.Message("m", "dispatch", 1e6, n, copies=1e3 * n)
    assert price(everybody, tiers, rl.IDEAL).ways["throughput"] == pytest.approx(1e6 * (n - 1))


@given(made.messages(collectives=("dispatch", "combine")), made.tiers(), made.calibrations(), st.floats(1, 10))
def test_more_copies_take_longer(message, tiers, profile, factor):
    assert (
        price(made.scaled(message, copies=factor), tiers, profile).time * CLOSE >= price(message, tiers, profile).time
    )
