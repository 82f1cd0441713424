"""Predictions in AIPerf's shape are read back as what was predicted."""

import json

import pytest

import roofline as rl
from roofline.validation.foreign import Known, read


@pytest.fixture
def back(tmp_path):
    """Return the row that the reader of AIPerf's files makes of an answer."""

    def written(answer):
        file = tmp_path / "profile_export_aiperf.json"
        file.write_text(json.dumps(answer.to_aiperf(), allow_nan=False))
        found = read(file, Known(system="dgx-h100"))
        assert found.tool == "AIPerf"
        return found.rows[0]

    return written


def test_an_estimate_is_read_back(back):
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=16, input=1000, output=200, requests_per_slot=10)
    row = back(est)
    assert (row["model"], row["concurrency"], row["requests_per_slot"]) == ("llama-3.1-8b", "16", "10")
    assert (row["input_len"], row["output_len"], row["length_variation"]) == ("1000", "200", "0.2")
    assert float(row["ttft_s"]) == pytest.approx(float(est.ttft))
    assert float(row["tpot_s"]) == pytest.approx(float(est.tpot))
    assert float(row["output_tokens_per_s"]) == pytest.approx(float(est.tokens_per_second))


def test_percentiles_rise_and_the_interval_is_in_milliseconds():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=16)
    found = est.to_aiperf()
    ttft, within = found["time_to_first_token"], found["prediction"]["interval"]["time_to_first_token"]
    assert ttft["unit"] == within["unit"] == "ms"
    assert ttft["p50"] < ttft["p90"] < ttft["p99"]
    low, high = est.interval("ttft")
    assert (within["low"], within["high"]) == pytest.approx((float(low) * 1e3, float(high) * 1e3))


def test_a_simulation_is_read_back(back):
    found = rl.simulate("llama-3.1-8b", "dgx-h100", rl.Trace.poisson(4.0, 60), tp=1, chips=8)
    row = back(found)
    assert float(row["ttft_s"]) == pytest.approx(found.ttft.mean)
    assert float(row["tpot_s"]) == pytest.approx(found.tpot.mean)
    # In flight by Little's law: requests per second times the time of each.
    assert float(row["concurrency"]) == pytest.approx(found.requests_per_second * found.e2e.mean)


def test_pools_are_read_back(back):
    split = rl.pools("llama-3.1-8b", "dgx-h100", prefill_chips=4, chips=4, concurrency=16)
    row = back(split)
    assert row["concurrency"] == "16"
    assert float(row["ttft_s"]) == pytest.approx(float(split.ttft))


def test_only_a_service_at_one_point_is_exported():
    with pytest.raises(rl.QuestionError, match="is no service"):
        rl.estimate(rl.Decode("llama-3.1-8b", 8, 1000), "dgx-h100").to_aiperf()
    with pytest.raises(rl.QuestionError, match="one point only"):
        rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=[1.0, 2.0]).to_aiperf()
