"""Disaggregated prefill and decode: two pools, the queue before one, and the caches sent between them."""

import json

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline.cli import app
from roofline.operators.memory import kv_cache
from roofline.planner.pools import pools, transfer
from simulate import simulate

MODEL = rl.model("llama-3.1-70b")
HALF = rl.Layout(tp=4)


def split(**words):
    return pools(rl.Serve(MODEL, **words), "dgx-h100", HALF, HALF, level="generic")


def test_one_request_alone_sees_a_pass_a_transfer_and_steps():
    one = split(concurrency=1)
    front = one.prefill.calibration.engine.front
    assert float(one.wait) == pytest.approx(0, abs=1e-12)
    assert float(one.ttft) == pytest.approx(float(one.prefill.ttft) + float(one.exposed) + front)
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
    seen = float(bare.transfer) - float(bare.prefill.ttft) * (1 - 1 / MODEL.depth)
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
    assert "more requests arrive" in few.reasons[0]
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
    assert older.prefill.system.name == "dgx-a100-80gb"
    assert older.limits[0] < same.limits[0]
    assert older.ttft > same.ttft


def test_a_pool_needs_a_layout_or_chips():
    with pytest.raises(rl.QuestionError, match="prefill_chips"):
        pools(rl.Serve(MODEL), "dgx-h100", HALF)
    with pytest.raises(rl.QuestionError, match="exactly one"):
        pools(rl.Serve(MODEL), "dgx-h100", HALF, HALF, chips=4)


def test_the_interval_is_that_of_both_answers_and_of_the_queue_between():
    idle, busy = split(concurrency=1), split(concurrency=256)
    for est in (idle, busy):
        for name in ("ttft", "tpot", "tokens_per_second", "tokens_per_second_per_chip", "tokens_per_second_per_user"):
            low, high = est.interval(name)
            assert low <= getattr(est, name) * (1 + 1e-9)
            assert high >= getattr(est, name) * (1 - 1e-9)
    # Nobody waits: the passes' own. Where lanes are full, the same doubt of a pass is more of a wait.
    own = idle.prefill.interval("ttft")
    assert float(idle.interval("ttft")[1] / idle.ttft) == pytest.approx(float(own[1] / idle.prefill.ttft), rel=0.1)
    near = split(concurrency=32)
    assert near.interval("ttft")[1] / near.ttft > 1.2 * idle.interval("ttft")[1] / idle.ttft
    assert pools(rl.Serve(MODEL), "dgx-h100", HALF, HALF, level="ideal").interval("ttft") is None
    with pytest.raises(rl.QuestionError, match="has no interval"):
        idle.interval("memory")


def test_a_rate_that_is_nearly_too_much_has_no_upper_end():
    lone = split(output=64, rate=1e-3)
    near = split(output=64, rate=0.99 * float(lone.limits[0]))
    assert near.fits
    assert near.interval("ttft")[1] == np.inf
    told = near.to_dict()
    assert told["interval"]["ttft_s"][1] is None
    assert json.loads(json.dumps(told, allow_nan=False))


def test_energy_and_rent_are_those_of_both_pools():
    est = split(concurrency=512)
    rack = est.decode.system
    assert est.dollars_per_million_tokens == pytest.approx(float(rack.price_per_chip * 8 / est.tokens_per_second * 1e6))
    mean, (low, high) = float(est.joules_per_token), (float(each) for each in est.joules_range)
    full = float(rack.power_per_chip * 8 / est.tokens_per_second)
    assert 0 < low < mean < high < full
    dear = pools(rl.Serve(MODEL, concurrency=512), "dgx-h100", HALF, HALF, level="generic", price=100.0, power="2 kW")
    assert dear.dollars_per_million_tokens > est.dollars_per_million_tokens
    unknown = attrs.evolve(rl.system("dgx-h100"), power=None, price=None)
    unknown = attrs.evolve(unknown, package=attrs.evolve(unknown.package, power=None, price=None))
    bare = pools(rl.Serve(MODEL, concurrency=512), "dgx-h100", HALF, HALF, prefill_system=unknown, level="generic")
    told = bare.to_dict()
    assert bare.joules_per_token is None
    assert told["usd_per_million_output_tokens"] is None
    unknown_ = {"energy_j_per_output_token", "energy", "usd_per_million_output_tokens", "usd_apart"}
    assert set(told["null_because"]) == unknown_
    assert all(told[name] is None for name in unknown_)


def test_why_and_sources_are_of_both():
    est = pools(rl.Serve(MODEL), "dgx-h100", HALF, HALF, prefill_system="dgx-a100-80gb", level="generic")
    paths = [(fact.path, fact.text, fact.source.key) for fact in est.citations()]
    assert len(paths) == len(set(paths))
    assert len({text for path, text, _ in paths if path == "chip.memory.bandwidth"}) == 2
    assert "prefill" in est.why()
    assert "decode" in est.why()
    assert "4 chips of dgx-a100-80gb that read" in repr(est)


def test_ranks_in_lock_step_are_one_lane():
    wide = rl.Layout(dp=8, ep=8)
    est = pools(rl.Serve(rl.model("deepseek-v3"), concurrency=1), "gb200-nvl72", wide, wide, level="generic")
    assert float(est.round.lanes.count) == 1
    assert float(est.round.lanes.most) == 8 * 2  # two prompts of 4,096 tokens fill a budget of 8,192
    # One prompt leaves the experts of seven ranks nearly idle: its pass is shorter than a prompt's on every rank.
    every = rl.estimate(rl.Prefill(rl.model("deepseek-v3"), 8, 4096), "gb200-nvl72", wide, level="generic")
    assert est.prefill.ttft < every.ttft < est.round.lanes.full


def test_the_command_tells_why(capsys):
    line = "estimate llama-3.1-8b --system dgx-h100 --chips 1 --prefill-chips 1 --why"
    app.main(line.split())
    text = capsys.readouterr().out
    assert "every number used, and its source" in text
    assert "80 % within" in text
    app.main([*line.split(), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [step["name"] for step in told["steps"]] == ["prefill", "decode"]
    assert told["citations"]
    assert told["interval"]["ttft_s"][0] < told["ttft_s"] < told["interval"]["ttft_s"][1]
    app.main(
        ["estimate", "llama-3.1-8b", "--system", "dgx-h100", "--chips", "1", "--prefill-chips", "1", "--rate", "1000"]
    )
    assert "CANNOT KEEP UP" in capsys.readouterr().out


def test_energy_and_cost_have_the_interval_of_the_rate():
    est = split(concurrency=np.array([1.0, 32, 256]))
    rate = est.interval("tokens_per_second")
    cost = est.interval("dollars_per_million_tokens")
    value = est.dollars_per_million_tokens
    np.testing.assert_allclose(cost[0] / value, est.tokens_per_second / rate[1])
    np.testing.assert_allclose(cost[1] / value, est.tokens_per_second / rate[0])
    # Energy has the error of power besides, and of the rate as much as power lasts whatever is done.
    low, high = est.interval("joules_per_token")
    near, far = est.joules_range
    assert (low <= near).all()
    assert (high >= far).all()
    wide = est.interval("joules_per_token", 0.95)
    assert (wide[0] < low).all()
    assert (wide[1] > high).all()
    one = split(concurrency=32)
    told = one.to_dict()["interval"]
    assert told["energy_j_per_output_token"] == pytest.approx([float(end) for end in one.interval("joules_per_token")])
    assert told["usd_per_million_output_tokens"][0] < float(one.dollars_per_million_tokens)
    bare = pools(rl.Serve(MODEL, concurrency=8), "dgx-h100", HALF, HALF, level="ideal")
    assert bare.interval("joules_per_token") is None
    assert bare.interval("dollars_per_million_tokens") is None


def test_costs_apart_are_the_cost_of_both_pools():
    est = split(concurrency=64)
    read, made = (float(each) for each in est.dollars_apart)
    price = float(est.system.price_per_chip)
    assert read == pytest.approx(1e6 * price * 4 / (float(est.requests_per_second) * 4096))
    assert made == pytest.approx(1e6 * price * 4 / float(est.tokens_per_second))
    assert read * 4096 + made * 1024 == pytest.approx(float(est.dollars_per_million_tokens) * 1024)


def test_pools_fit_as_surely_as_the_fuller_one():
    est = split(concurrency=8)
    chances = [float(pool.fits_probability) for pool in (est.prefill, est.decode)]
    assert float(est.fits_probability) == min(chances)
    assert est.to_dict()["fits_probability"] == min(chances)
