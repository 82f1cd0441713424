"""Prompts on chips of their own: two pools, the queue before one, and the caches sent between them."""

import json

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline.disaggregation import pools, transfer
from roofline.footprint import kv_cache
from simulate import simulate

MODEL = rl.model("llama-3.1-70b")
HALF = rl.Layout(tp=4)


def split(**words):
    return pools(rl.Serve(MODEL, **words), "dgx-h100", HALF, HALF, level="generic")


def test_one_request_alone_sees_a_pass_a_transfer_and_steps():
    one = split(concurrency=1)
    front = one.prompts.calibration.engine.front
    assert float(one.wait) == 0
    assert float(one.ttft) == pytest.approx(float(one.prompts.ttft) + float(one.exposed) + front)
    assert float(one.tokens_per_second) == pytest.approx(1024 / float(one.ttft + 1023 * one.tpot))
    assert one.to_dict()["concurrency"] == 1


def test_a_transfer_by_hand():
    ideal, rack = rl.IDEAL, rl.system("dgx-h100")
    asked = rl.Serve(MODEL, 4096, 1024)
    size = float(kv_cache(MODEL, HALF, 4096.0))
    assert size == 80 * 2 * 2 * 128 * 2 * 4096  # layers, K and V, heads a rank, their size, bytes, tokens
    inside = transfer(asked, rack, rack, prompts=HALF, layout=HALF, profile=ideal)
    assert float(inside) == pytest.approx(size / float(rack.tiers[0].bandwidth), rel=0.01)
    # A pool that fills a server sends to another one, and what is cut in eight is sent in half the time.
    whole = rl.Layout(tp=8)
    outside = transfer(asked, rack, rack, prompts=whole, layout=whole, profile=ideal)
    assert float(outside) == pytest.approx(size / 2 / float(rack.tiers[1].bandwidth), rel=0.01)
    # The slower end counts, here the one whose ranks receive more; and another system is reached outside both.
    other = rl.system("dgx-a100-80gb")
    far = transfer(asked, rack, other, prompts=whole, layout=HALF, profile=ideal)
    assert float(far) == pytest.approx(size / float(other.tiers[-1].bandwidth), rel=0.01)


def test_layers_are_sent_behind_the_next():
    est = split(concurrency=64)
    assert float(est.exposed) == pytest.approx(float(est.transfer) / MODEL.depth)
    slow = attrs.evolve(
        rl.system("dgx-h100"), tiers=tuple(attrs.evolve(t, bandwidth=1e8) for t in rl.system("dgx-h100").tiers)
    )
    bare = pools(rl.Serve(MODEL, concurrency=64), slow, rl.Layout(), rl.Layout(), level="ideal")
    seen = float(bare.transfer) - float(bare.prompts.ttft) * (1 - 1 / MODEL.depth)
    assert float(bare.exposed) == pytest.approx(seen)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_the_queue_for_a_lane(load):
    """5 % in TTFT to a simulation of a pool that answers with one token, one prompt a pass: Pollaczek and Khinchin."""
    asked = rl.Serve(MODEL, 8192, 2, rate=1e-6, variation=0.0)
    lone = pools(asked, "dgx-h100", HALF, HALF, level="generic")
    each = 1 / float(lone.limits[0])
    est = pools(attrs.evolve(asked, rate=load / each), "dgx-h100", HALF, HALF, level="generic")
    seen = simulate(0.0, each / 8192, 8192, 1, 8192, rate=load / each, total=40000, spread=0.0)
    fixed = float(lone.ttft) - each
    assert float(est.ttft) - fixed == pytest.approx(seen.ttft, rel=0.05)


def test_the_lesser_pool_sets_the_rate():
    few = pools(rl.Serve(MODEL, 8192, 64, rate=1e3), "dgx-h100", chips=16, prefill_chips=8, level="generic")
    assert not few.fits
    assert "more requests come" in few.reasons[0]
    told = few.to_dict()
    assert told["requests_per_s"] == pytest.approx(min(each["requests_per_s"] for each in told["pools"].values()))
    assert told["ttft_s"] is None
    assert json.loads(json.dumps(told, allow_nan=False))
    # At the balance both pools can do the same.
    reading, decoding = (float(limit) for limit in few.limits)
    assert float(few.balance) == pytest.approx((decoding / 16) / (reading / 8))


def test_arrays_are_the_answers_one_by_one():
    many = split(concurrency=np.array([1.0, 8, 64, 2048]))
    for i, n in enumerate((1.0, 8, 64, 2048)):
        one = split(concurrency=n)
        for name in ("ttft", "tpot", "tokens_per_second", "wait"):
            assert float(np.broadcast_to(getattr(many, name), 4)[i]) == pytest.approx(float(getattr(one, name)))


def test_another_system_may_read_the_prompts():
    words = {"chips": 8, "prefill_chips": 8, "level": "generic"}
    asked = rl.Serve(MODEL, concurrency=64)
    same = pools(asked, "dgx-h100", **words)
    older = pools(asked, "dgx-h100", prefill_system="dgx-a100-80gb", **words)
    assert older.prompts.system.name == "dgx-a100-80gb"
    assert older.limits[0] < same.limits[0]
    assert older.ttft > same.ttft


def test_a_pool_needs_a_layout_or_chips():
    with pytest.raises(rl.QuestionError, match="prefill_chips"):
        pools(rl.Serve(MODEL), "dgx-h100", HALF)
    with pytest.raises(rl.QuestionError, match="exactly one"):
        pools(rl.Serve(MODEL), "dgx-h100", HALF, HALF, chips=4)
