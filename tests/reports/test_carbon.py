"""CO2 of every kind of answer, as fields and in words."""

import pytest

import roofline as rl
from roofline.reports import carbon
from roofline.training.campaign import campaign

STEP = {"global_batch": 64, "seq_len": 4096, "chips": 8, "tp": 8}


@pytest.fixture(scope="module")
def step():
    return rl.train("llama-3.1-8b", "dgx-h100", **STEP)


def test_a_step_and_its_run(step):
    told = carbon.record(step, "norway")
    assert told["g_per_kwh"] == 30
    assert told["g_per_million_tokens"] == pytest.approx(float(step.joules("hall")) * 30 / 3.6)
    assert told["null_because"] == {}
    run = campaign(step, "1T")
    assert carbon.record(run, "400")["t"] == pytest.approx(float(run.megawatt_hours) * 0.4)
    assert "t of CO2 of the run" in carbon.line(run, "400")


def test_a_simulation():
    found = rl.simulate("llama-3.1-8b", "dgx-h100", rl.Trace.poisson(4.0, 40, input=512, output=64), tp=8)
    told = carbon.record(found, "france")
    hall = found.joules("hall")
    assert hall > found.joules_per_token
    assert told["g_per_million_output_tokens"] == pytest.approx(hall * 56 / 3.6)
    assert "56 g/kWh (france)" in carbon.below(found.table(), found, "france")


def test_a_null_says_why(step):
    est = rl.estimate("llama-3.1-8b", "atlas-800i-a3", chips=1, concurrency=8)
    for told, name, why in (
        (carbon.record(None, "world"), "g_per_million_output_tokens", "no configuration"),
        (carbon.record(est, "world"), "g_per_million_output_tokens", "give power"),
    ):
        assert told[name] is None
        assert why in told["null_because"][name]
    swamped = rl.estimate("llama-3.1-8b", "dgx-h100", chips=1, rate=1e4)
    assert "more requests arrive" in carbon.line(swamped, "world")


def test_without_a_grid_nothing_is_added(step):
    assert carbon.added({"a": 1}, step, None) == {"a": 1}
    assert carbon.below("text", step, None) == "text"
    carbon.refused(None)
    with pytest.raises(rl.QuestionError, match="did you mean france"):
        carbon.refused("frence")
