"""The price of a message: traffic is conserved over any tiers, one tier is the plain ring, nothing beats its lower bound."""

import itertools

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.collectives import ROUTES, climb, lower_bound, price


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


@given(made.floats(1, 1e12), st.integers(2, 64), made.links())
def test_one_tier_is_the_plain_ring(size, group, link):
    tier = rl.Tier("switch", 64, 1e11, 1e-6)
    profile = attrs.evolve(rl.IDEAL, links={"ring": link, "tree": attrs.evolve(link, alpha=1.0)})
    t0 = link.alpha + link.peer * (group - 1) + link.hop * 2 * (group - 1) * 1e-6
    x = 2 * size * (1 - 1 / group) / (link.eta * 1e11)
    cost = price(rl.Message("m", "all_reduce", size, float(group)), (tier,), profile)
    assert cost.ways["ring"] == pytest.approx(t0 + x + 2 * np.sqrt(link.c * t0 * x), rel=1e-9)


@given(made.messages(), made.tiers(), made.calibrations())
def test_nothing_beats_its_lower_bound(message, tiers, profile):
    cost = price(message, tiers, profile)
    assert cost.time >= lower_bound(message, tiers) * (1 - 1e-9)
    assert cost.time == pytest.approx(float(min(cost.ways.values())) if message.group > 1 else 0.0)


@given(made.messages(collectives=("all_reduce",)), made.tiers(), made.calibrations())
def test_an_all_reduce_is_no_dearer_than_scatter_and_gather(message, tiers, profile):
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
    helped = (*tiers[:i], attrs.evolve(tiers[i], in_network=True, load_store=True), *tiers[i + 1 :])
    assert price(message, helped, profile).time <= before


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
    # 8 ranks whose switch adds up: S (1 + 1/8) = 9 GB at 100 GB/s.
    tiers = (rl.Tier("node", 8, 100e9, 0.0, in_network=True),)
    assert price(rl.Message("m", "all_reduce", 8e9, 8.0), tiers, rl.IDEAL).time == pytest.approx(0.09)


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
    assert set(ROUTES) == {"all_reduce", "reduce_scatter", "all_gather", "all_to_all", "point_to_point"}


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
    for kind in ROUTES:
        for group, stride in ((2.0, 1.0), (5.0, 1.0), (4.0, 3.0), (12.0, 1.0)):
            message = rl.Message("m", kind, 1e9, group, stride)
            assert price(message, (ring,), rl.IDEAL).time == price(message, (torus,), rl.IDEAL).time


def test_an_oversubscribed_switch_passes_less():
    plain = rl.Tier("s", 64, 100e9, 0.0)
    half = attrs.evolve(plain, oversubscription=2.0)
    for kind in ROUTES:
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
