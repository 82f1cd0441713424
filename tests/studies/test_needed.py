"""Questions turned round: at the value found the targets are kept, just beside it they are not."""

import json

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.cli import app
from roofline.hardware.numbers import number_of, with_number
from roofline.planner.metrics import METRICS, measure

EST = rl.estimate(rl.Decode("llama-3.1-70b", 64, 4096), "dgx-h100", rl.Layout(tp=8))


def kept(est, name, limit):
    value = measure(est, name)
    return bool(est.fits) and bool(value <= limit if METRICS[name].least else value >= limit)


@given(st.data(), st.sampled_from(["bandwidth", "links", "compute"]), st.floats(0.55, 1.8))
def test_hardware_is_needed_just_as_much(data, name, factor):
    model, system = data.draw(made.shipped())
    est = rl.estimate(rl.Decode(model, 64.0, 2048.0), system, data.draw(made.layouts(model)), level="generic")
    limit = float(est.tpot) * factor
    found = rl.needed(est, name, tpot=limit)
    if not est.fits:
        assert not found.exists
        return
    if found.low is None:
        # Nothing of it is too little, or no amount is enough.
        far = with_number(system, name, number_of(system, name) * (1e3 if not found.exists else 1e-3))
        assert kept(rl.estimate(est.question, far, est.layout, level="generic"), "tpot", limit) == found.exists
        return
    for value, good in ((found.low, True), (found.low * (1 - 1e-6), False)):
        again = rl.estimate(est.question, with_number(system, name, value), est.layout, level="generic")
        assert kept(again, "tpot", limit) == good
    assert found.est.tpot <= limit


@given(st.floats(0.012, 0.04), st.sampled_from(["batch", "context"]))
def test_sizes_are_the_last_whole_number_that_will_do(limit, name):
    found = rl.needed(EST, name, tpot=limit)
    if not found.exists:
        assert not kept(rl.estimate(attrs.evolve(EST.question, **{name: 1.0}), EST.system, EST.layout), "tpot", limit)
        return
    assert found.high == int(found.high) == found.value
    for value, good in ((found.high, True), (found.high + 1, False)):
        assert (
            kept(rl.estimate(attrs.evolve(EST.question, **{name: value}), EST.system, EST.layout), "tpot", limit)
            == good
        )


def test_two_targets_leave_a_range():
    found = rl.needed(EST, "batch", tokens_per_second=2000, tpot="20ms")
    for value, good in ((found.low - 1, False), (found.low, True), (found.high, True), (found.high + 1, False)):
        est = rl.estimate(attrs.evolve(EST.question, batch=value), EST.system, EST.layout)
        assert (kept(est, "tokens_per_second", 2000) and kept(est, "tpot", 0.02)) == good
    assert f"at least {found.low:g} and at most {found.high:g}" in str(found)
    assert found.to_dict()["targets"] == {"tokens_per_second": 2000.0, "tpot": 0.02}


def test_without_a_target_it_is_what_fits():
    found = rl.needed(EST, "context")
    for value, good in ((found.high, True), (found.high + 1, False)):
        assert bool(rl.estimate(attrs.evolve(EST.question, context=value), EST.system, EST.layout).fits) == good
    assert rl.needed(EST, "memory").low < number_of(EST.system, "memory")


def test_chips_share_a_load_or_bring_their_own():
    more = rl.needed(EST, "chips", tokens_per_second=3 * EST.tokens_per_second * 0.999)
    assert (more.low, float(more.est.question.batch)) == (24, 192)
    assert more.est.tpot == pytest.approx(EST.tpot)
    shared = rl.needed(EST, "chips", tpot="14ms")
    assert float(shared.est.question.batch) == 64
    assert shared.low == 8 * float(shared.est.layout.replicas)
    fewer = attrs.evolve(shared.est.layout, replicas=shared.est.layout.replicas - 1)
    assert rl.estimate(EST.question, EST.system, fewer).tpot > 0.014


def test_training_takes_ranks_that_divide_the_batch():
    est = rl.train("llama-3.1-8b", "dgx-h100", chips=64, global_batch=192, dp=32, tp=2, micro_batch=1, pp=1)
    found = rl.needed(est, "chips", step_time=float(est.step_time) / 1.9)
    assert found.exists
    assert 192 % float(found.est.layout.dp) == 0
    assert found.est.step_time <= est.step_time / 1.9
    assert rl.needed(est, "compute", step_time=float(est.step_time)).low == pytest.approx(
        number_of(est.system, "compute"), rel=1e-6
    )


def test_a_layout_that_was_chosen_is_chosen_again():
    large = rl.estimate("deepseek-r1", "dgx-h100")
    assert not large.fits
    found = rl.needed(large, "chips")
    assert (found.low, bool(found.est.fits), float(found.est.chips)) == (16, True, 16)
    assert not rl.estimate("deepseek-r1", "dgx-h100", chips=8).fits
    held = rl.needed(rl.estimate("deepseek-r1", "dgx-h100", tp=8), "chips")
    assert not held.exists
    quick = rl.needed(large, "chips", tpot="30ms")
    assert quick.est.tpot <= 0.03
    assert quick.est.ttft <= 10


def test_a_fine_tune_may_need_fewer_chips_than_it_was_asked_on():
    words = {"global_batch": 64, "seq_len": 4096, "task": "lora"}
    found = rl.needed(rl.train("llama-3.1-70b", "dgx-h100", chips=64, **words), "chips")
    assert found.low <= 16
    assert found.est.fits
    assert rl.train("llama-3.1-70b", "dgx-h100", chips=int(found.low), **words).fits
    assert not rl.train("llama-3.1-70b", "dgx-h100", chips=int(found.low) // 2, **words).fits


@pytest.mark.parametrize(("name", "target"), [("bandwidth", {"tpot": "15ms"}), ("memory", {}), ("input", {})])
def test_some_layout_keeps_the_targets_at_the_value_and_none_beside_it(name, target):
    est = rl.estimate("llama-3.1-70b", "dgx-h100", concurrency=32)
    found = rl.needed(est, name, **target)
    end = found.low if found.high is None else found.high
    beside = end * (1 - 1e-6) if found.high is None else end + 1
    best = rl.needed(attrs.evolve(est, candidates=None), name, **target)
    assert found.low is None or found.low <= best.low * (1 + 1e-9)
    assert found.high is None or found.high >= best.high

    def any_fits(value):
        system, words = (est.system, {name: value}) if name == "input" else (with_number(est.system, name, value), {})
        limits = {"tpot": None, "ttft": 10.0 if target else None, **target}
        return rl.search("llama-3.1-70b", system, concurrency=32, **limits, **words).best is not None

    # The search prices one chunk of those that make as many steps; they differ by a few parts in a million.
    assert any_fits(end if name == "input" else end * (1 + 1e-5))
    assert not any_fits(beside)


def test_the_rent_at_which_tokens_cost_so_much():
    found = rl.needed(EST, "price", dollars_per_million_tokens=1.0)
    assert rl.estimate(
        EST.question, EST.system, EST.layout, price=found.high * 3600
    ).dollars_per_million_tokens == pytest.approx(1)


def test_the_size_of_a_tier():
    rack = rl.system("dgx-h100")
    est = rl.estimate(rl.Decode("llama-3.1-70b", 64, 4096), rack, rl.Layout(tp=16))
    found = rl.needed(est, "system.tier[0].size", tpot=float(est.tpot) * 0.9)
    assert found.low == 16
    assert "at least 16" in str(found)


def test_when_none_exists_it_says_what_is_in_the_way():
    found = rl.needed(EST, "bandwidth", tpot="1ms")
    assert (found.value, found.exists) == (None, False)
    assert "even 1,000 times as much leaves TPOT at" in str(found)
    assert "bound by latency" in str(found)
    large = rl.estimate(rl.Decode("deepseek-v3", 64, 4096), "dgx-h100", rl.Layout(tp=8, ep=8))
    assert "exceed the memory" in str(rl.needed(large, "bandwidth", tpot="1s"))
    assert "every value" in str(rl.needed(EST, "links", tpot="10s"))


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: rl.needed(EST, "bandwith", tpot=1), "did you mean bandwidth"),
        (lambda: rl.needed(EST, "bandwidth", ttft=1), "has no meaning here"),
        (lambda: rl.needed(EST, "bandwidth", speed=1), "no such metric"),
        (lambda: rl.needed(EST, "input", tpot=1), "no such number"),
        (
            lambda: rl.needed(rl.estimate(EST.question, EST.system, rl.Layout(tp=np.array([4.0, 8]))), "batch"),
            "one point only",
        ),
        (
            lambda: rl.needed(
                rl.estimate(rl.Decode("llama-3.1-70b", 64, 4096), "cloudmatrix384", rl.Layout(tp=8)), "price"
            ),
            "is not known of",
        ),
    ],
)
def test_wrong_questions(ask, said):
    with pytest.raises(rl.RooflineError, match=said):
        ask()


def test_the_largest_models_fit_and_the_ones_left_out_do_not():
    found = rl.largest("dgx-h100", context=4096, most=4)
    assert (np.diff(found["parameters"]) <= 0).all()
    assert (found["memory_bytes"] <= found["capacity_bytes"]).all()
    assert "deepseek-v3" not in found["model"]
    est = rl.estimate(rl.Decode(found["model"][0], 1, 4096), "dgx-h100")
    assert est.fits
    assert rl.largest("dgx-h100", batch=1e6).rows == 0


def test_the_command_asks_the_same(capsys):
    words = [
        "llama-3.1-70b",
        "-s",
        "dgx-h100",
        "--phase",
        "decode",
        "--batch",
        "64",
        "--context",
        "4096",
        "--tp",
        "8",
    ]
    app.main(["needed", "bandwidth", *words, "--target", "tpot=12ms"])
    assert str(rl.needed(EST, "bandwidth", tpot="12ms")) in " ".join(capsys.readouterr().out.split())
    app.main(["needed", "batch", *words, "--target", "tpot=20ms", "--json"])
    assert json.loads(capsys.readouterr().out)["high"] == 98
    app.main(
        [
            "needed",
            "compute",
            "llama-3.1-8b",
            "-s",
            "dgx-h100",
            "--phase",
            "train",
            "--global-batch",
            "64",
            "--target",
            "step_time=2s",
        ]
    )
    assert "compute: at least" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        app.main(["needed", "batch", *words, "--set", "draft_tokens=1"])
    assert "--set: is a flag of roofline sweep" in capsys.readouterr().err


def test_the_fewest_chips_for_a_rate_under_percentiles():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", rl.Layout(), rate=60.0, input=1024, output=64)
    found = rl.needed(est, "chips", ttft="p99<300ms", tpot="p90<20ms")
    assert found.targets == {"ttft_p99": 0.3, "tpot_p90": 0.02}
    assert found.est.ttft_percentile(99) <= 0.3
    assert found.est.tpot_percentile(90) <= 0.02
    fewer = rl.estimate(found.est.question, "dgx-h100", rl.Layout(replicas=found.value - 1))
    assert not (fewer.fits and fewer.ttft_percentile(99) <= 0.3 and fewer.tpot_percentile(90) <= 0.02)
    assert rl.needed(est, "chips", ttft_p99="300ms", tpot_p90="20ms").value == found.value


def test_percentiles_over_every_layout_are_refused_in_a_line():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", rate=60.0, input=1024, output=64)
    with pytest.raises(rl.QuestionError, match="is at a percentile"):
        rl.needed(est, "bandwidth", ttft="p99<300ms")


def test_the_size_of_a_tier_is_a_number_as_any_other():
    # Of 8 H100 in a node a layout over all 8 needs no second tier; with fewer in a node tp=8 crosses to the slow one.
    est = rl.estimate("llama-3.1-70b", "dgx-h100")
    assert est.layout.short() == "tp=8"
    found = rl.needed(est, "system.tier[0].size", tpot=float(est.tpot) * 1.03)
    assert (found.low, found.value) == (8.0, 8.0)
    never = rl.needed(est, "system.tier[1].size", tpot=float(est.tpot) / 2)
    assert not never.exists
