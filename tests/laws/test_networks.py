"""Laws of collectives over nodes that a fabric joins, on made clusters and on those that ship."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.operators.operations import Message
from roofline.physics.collectives import MESSAGES, lower_bound, price

KINDS = st.sampled_from(MESSAGES)
SIZES, NODES, FACTORS = made.floats(1, 1e11), st.sampled_from([1, 2, 3, 4, 8, 100, 512]), st.floats(1, 100)
SLACK = 1 + 1e-9


def message(kind, size, nodes, tiers, **words):
    return Message("m", kind, size, nodes * tiers[0].size * 1.0, copies=8.0, **words)


def time(kind, size, nodes, tiers, profile, ways=None):
    return float(price(message(kind, size, nodes, tiers), tiers, profile, ways).time)


@given(KINDS, SIZES, NODES, made.clusters(), made.calibrations(), FACTORS)
def test_more_bytes_take_longer(kind, size, nodes, tiers, profile, factor):
    assert time(kind, size, nodes, tiers, profile) <= time(kind, factor * size, nodes, tiers, profile) * SLACK


@given(KINDS, SIZES, NODES, made.clusters(), made.calibrations(), FACTORS, st.integers(0, 1))
def test_a_quicker_tier_is_never_slower(kind, size, nodes, tiers, profile, factor, which):
    quick = tuple(attrs.evolve(t, bandwidth=factor * t.bandwidth) if i == which else t for i, t in enumerate(tiers))
    assert time(kind, size, nodes, quick, profile) <= time(kind, size, nodes, tiers, profile) * SLACK


@given(
    KINDS,
    SIZES,
    NODES,
    made.clusters(),
    made.calibrations(),
    FACTORS,
    st.sampled_from(["step", "handshake", "rounding", "chunk", "post"]),
)
def test_a_fabric_that_is_worse_in_anything_is_never_quicker(kind, size, nodes, tiers, profile, factor, what):
    worse = attrs.evolve(tiers[-1].fabric, **{what: factor * getattr(tiers[-1].fabric, what)})
    slow = (tiers[0], attrs.evolve(tiers[-1], fabric=worse))
    assert time(kind, size, nodes, slow, profile) * SLACK >= time(kind, size, nodes, tiers, profile)


@given(KINDS, SIZES, NODES, made.clusters(), made.calibrations())
def test_the_way_taken_is_the_quickest(kind, size, nodes, tiers, profile):
    cost = price(message(kind, size, nodes, tiers), tiers, profile)
    assert float(cost.time) == pytest.approx(min(map(float, cost.ways.values())), rel=1e-9)


@given(KINDS, SIZES, NODES, made.clusters(), made.calibrations())
def test_two_tiers_take_at_least_the_slower_one_alone(kind, size, nodes, tiers, profile):
    sent = message(kind, size, nodes, tiers)
    found = float(price(sent, tiers, profile).time)
    assert found * SLACK >= float(lower_bound(sent, tiers))
    for which in (0, 1):
        # The other tier at a million times its rate: what is left is one tier alone.
        alone = tuple(t if i == which else attrs.evolve(t, bandwidth=1e6 * t.bandwidth) for i, t in enumerate(tiers))
        assert found * SLACK >= float(lower_bound(sent, alone))


@given(SIZES, NODES, made.clusters(), made.calibrations(), made.links())
def test_an_all_reduce_is_a_scatter_and_a_gather_in_one(size, nodes, tiers, profile, link):
    same = attrs.evolve(profile, links=dict.fromkeys(profile.links, link))
    ring = time("all_reduce", size, nodes, tiers, same, ("ring",))
    scatter, gather = (time(kind, size, nodes, tiers, same, ("gather",)) for kind in ("reduce_scatter", "all_gather"))
    assert max(scatter, gather) <= ring * SLACK
    assert ring <= (scatter + gather) * SLACK


@given(KINDS, st.lists(SIZES, min_size=2, max_size=4), made.clusters(), made.calibrations())
def test_an_array_holds_what_scalars_say(kind, sizes, tiers, profile):
    nodes = np.array([1, 2, 8, 100])[: len(sizes)]
    many = price(message(kind, np.array(sizes), nodes, tiers), tiers, profile)
    each = [price(message(kind, size, int(n), tiers), tiers, profile) for size, n in zip(sizes, nodes, strict=True)]
    assert np.allclose(many.time, [float(one.time) for one in each], rtol=1e-9)


@pytest.mark.parametrize("name", catalog.names("fabrics"))
@pytest.mark.parametrize("kind", ["all-reduce", "all-gather", "reduce-scatter"])
def test_more_nodes_take_longer_over_every_fabric(name, kind):
    nodes = 2.0 ** np.arange(1, 11)
    for size in (8.0, 2.0**20, 2.0**30):
        found = rl.collective(kind, size, "dgx-h100", ranks=8 * nodes, fabric=name)
        assert (np.diff(found.time) >= -1e-9 * found.time[1:]).all()
        assert (found.interval()[0] < found.time).all()


@pytest.mark.parametrize(
    "name", ["gb200-nvl72", "dgx-b200", "mi300x-8", "atlas-800t-a2", "alps-gh200", "tpu-v5p-pod", "cloudmatrix384"]
)
def test_bus_bandwidth_stays_below_the_links_of_a_rank(name):
    rack = rl.system(name)
    for ranks in (2, 8, 64):
        found = rl.collective("all-gather", 2.0 ** np.arange(10.0, 36.0, 5.0), rack, ranks=float(ranks))
        assert (found.busbw <= max(float(t.bandwidth) for t in rack.tiers) * rack.tiers[0].size).all()
        assert (np.diff(found.busbw) > 0).all()
