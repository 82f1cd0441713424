"""Node-limited routing: a token goes to few nodes, by hand and against a drawn router."""

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline.physics.collectives import price, sent

NODE, FABRIC = rl.Tier("node", 8, 1e15, 0.0, load_store=True), rl.Tier("fabric", 4096, 1e10, 0.0)


def crossing(nodes, groups=1.0, among=1.0, copies=8.0):
    message = rl.Message("m", "dispatch", 1.0, 8.0 * nodes, copies=copies, groups=groups, among=among)
    return float(sent(message, (NODE, FABRIC))[1])


def drawn(nodes, groups, among, copies, tokens=20000, seed=0):
    """Nodes that tokens reach beyond their own, with a router that picks groups and then experts in them."""
    draw = np.random.default_rng(seed)
    picked = np.argsort(draw.random((tokens, groups)), axis=1)[:, :among]
    of = picked[np.arange(tokens)[:, None], draw.integers(0, among, (tokens, copies))]
    place = (of + draw.random(of.shape)) / groups * nodes
    node = place.astype(int)
    return np.mean([len(set(row)) for row in node]) * (1 - 1 / nodes)


@pytest.mark.parametrize(("nodes", "groups", "among"), [(8, 8, 4), (8, 1, 1), (4, 8, 4), (16, 8, 4), (2, 8, 3)])
def test_nodes_reached_as_a_drawn_router_reaches_them(nodes, groups, among):
    assert crossing(float(nodes), float(groups), float(among)) == pytest.approx(
        drawn(nodes, groups, among, 8), rel=0.06
    )


def test_deepseek_v3_over_eight_nodes_sends_a_third_less():
    # 8 of 8 nodes drawn freely are 8 (1 - (7/8)^8) = 5.25; 4 of 8 groups are 4 (1 - (3/4)^8) = 3.6: 1.46 times fewer.
    assert crossing(8.0) / crossing(8.0, 8.0, 4.0) == pytest.approx(1.46, abs=0.01)
    moe = next(layer.ffn for layer in rl.model("deepseek-v3").layers if hasattr(layer.ffn, "experts"))
    assert (moe.groups, moe.among) == (8, 4)


def test_fewer_groups_never_send_more():
    for nodes in (2.0, 4.0, 8.0, 32.0):
        bytes_ = [crossing(nodes, 8.0, among) for among in (1.0, 2.0, 4.0, 8.0)]
        assert bytes_ == sorted(bytes_)


def test_a_thread_of_the_host_takes_its_time_for_each_message():
    fabric = rl.system("dgx-h100").tiers[-1]
    slow = attrs.evolve(fabric, fabric=attrs.evolve(fabric.fabric, post=1e-6))
    message = rl.Message("m", "dispatch", 1e6, 16.0, copies=8.0, rows=128.0)
    profile = rl.profile("generic", "dgx-h100")
    times = [price(message, (NODE, tier), profile, ("low_latency",)).time for tier in (fabric, slow)]
    assert times[1] - times[0] == pytest.approx(128 * 8 * 8 / 16 * 1e-6)
