"""Elasticities: each is what one perturbed answer at a time would give, and laws that they must keep."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.hardware.numbers import number_of, with_number

RACK = rl.system("gb200-nvl72")
STEP = rl.estimate(rl.Decode("deepseek-v3", 2048, 4096), RACK, rl.Layout(dp=64, ep=64))
WORDS = {
    "memory bandwidth": "bandwidth",
    "bf16 FLOP/s": "chip.peak.bf16",
    "bandwidth of NVLink 5": "system.tier[0].bandwidth",
}


@pytest.mark.parametrize("name", WORDS)
def test_each_row_is_what_one_changed_answer_gives(name):
    found = STEP.sensitivity("tpot")
    row = found.frame.row(list(found["name"]).index(name))
    for end in ("low", "high"):
        rack = with_number(RACK, WORDS[name], number_of(RACK, WORDS[name]) * row[f"{end}_factor"])
        alone = rl.estimate(STEP.question, rack, STEP.layout)
        assert row[end] == pytest.approx(alone.tpot, rel=1e-12)
    near = [
        rl.estimate(STEP.question, with_number(RACK, WORDS[name], number_of(RACK, WORDS[name]) * f), STEP.layout).tpot
        for f in (1 / 1.01, 1.01)
    ]
    assert row["elasticity"] == pytest.approx(np.log(near[1] / near[0]) / (2 * np.log(1.01)), rel=1e-9)
    assert found.of(name) == row["elasticity"]


def test_batches_move_by_whole_sequences_for_every_rank():
    row = STEP.sensitivity().frame.row(0)
    assert (row["name"], row["high_factor"] * 2048 % 64) == ("batch", 0)
    alone = rl.estimate(attrs.evolve(STEP.question, batch=2048 * row["high_factor"]), RACK, STEP.layout)
    assert row["high"] == pytest.approx(alone.tokens_per_second, rel=1e-12)


@given(st.data())
def test_where_nothing_is_fixed_rates_of_all_resources_add_up_to_one(data):
    """At the ideal level a machine with twice of everything is twice as fast: elasticities of its rates add up to one."""
    model, system = data.draw(made.shipped())
    question, layout = data.draw(made.questions(model)), data.draw(made.layouts(model))
    est = rl.estimate(question, system, layout, level="ideal")
    name = "ttft" if isinstance(question, rl.Prefill) else "tpot"
    found = est.sensitivity(name)
    rates = [
        e
        for n, e in zip(found["name"], found["elasticity"], strict=True)
        if ("bandwidth" in n and "part" not in n) or n.endswith("FLOP/s")
    ]
    assert sum(rates) == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize(
    ("est", "quantity"),
    [
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", concurrency=64), "ttft"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", rate=2), "tpot"),
        (lambda: rl.estimate(rl.Prefill("llama-3.1-8b", 4, 2048), "dgx-h100", rl.Layout(tp=2)), None),
        (lambda: rl.train("llama-3.1-8b", "dgx-h100", global_batch=64), "step_time"),
    ],
)
def test_every_kind_of_answer_has_them_sorted_by_size(est, quantity):
    found = est().sensitivity(quantity)
    sizes = np.abs(found["elasticity"])
    assert (np.diff(sizes) <= 0).all()
    assert {"hardware", "efficiency", "workload"} <= set(found["kind"])
    assert found.line().startswith("10 % more ")
    assert found.line().split("\n")[0] in found.table()
    assert found.to_dict()["numbers"][0]["name"] == found["name"][0]
    assert set(dict(found)) == set(found.frame)


def test_energy_hangs_on_power_and_rent_on_price():
    found = rl.estimate("llama-3.1-70b", "dgx-h100", concurrency=64)
    # Hosts, fans and conversion do not grow with the rating of the chips.
    assert 0.5 < found.sensitivity("joules_per_token").of("rated power") < 1
    assert found.sensitivity("dollars_per_million_tokens").of("rent") == pytest.approx(1)
    assert found.sensitivity("tpot").of("rent") == 0


def test_it_is_told_on_the_sheet(capsys):
    from roofline.cli import app

    app.main(["estimate", "llama-3.1-8b", "-s", "dgx-h100"])
    assert "10 % more memory bandwidth buys" in capsys.readouterr().out


@pytest.mark.parametrize("quantity", ["speed", "fits", "layout", "tokens_per_second_per_chip_hour", "ttft"])
def test_what_has_none(quantity):
    with pytest.raises(rl.QuestionError, match="is not a quantity of this answer"):
        STEP.sensitivity(quantity)


def test_many_points_have_none():
    many = rl.estimate(rl.Decode("llama-3.1-8b", np.array([1.0, 2.0]), 100), "dgx-h100", rl.Layout())
    with pytest.raises(rl.QuestionError, match="one point only"):
        many.sensitivity()


def test_what_a_config_leaves_unsure_is_told():
    model = attrs.evolve(rl.model("llama-3.1-8b"), warnings=("a field is not understood",))
    assert rl.estimate(model, "dgx-h100", tp=1, concurrency=8).sensitivity("tpot").to_dict()["warnings"] == [
        "a field is not understood"
    ]
