"""Limits on times: how they are written, and what keeps them."""

import numpy as np
import pytest

import roofline as rl
from roofline.core.errors import QuestionError
from roofline.planner.limits import limits_on
from roofline.results.limits import Limit


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("50ms", [Limit("tpot", 0.05)]),
        ("p99<2s", [Limit("tpot", 2.0, 99.0)]),
        ("P99.9 <= 2 s", [Limit("tpot", 2.0, 99.9)]),
        ("mean<1s, p90<2s", [Limit("tpot", 1.0), Limit("tpot", 2.0, 90.0)]),
        (0.05, [Limit("tpot", 0.05)]),
        (None, []),
    ],
)
def test_a_limit_is_read(text, read):
    assert list(limits_on("tpot", text)) == read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p100<2s", "is at least 1 and below 100"),
        ("p0<2s", "is at least 1 and below 100"),
        ("p99", "is no limit at a percentile"),
        ("p99>2s", "is no limit at a percentile"),
        ("p99<2", "has no unit"),
        ("p99<0s", "must be a time above 0"),
        ("p99<1s,p99<2s", "names the same percentile twice"),
    ],
)
def test_what_is_no_limit_is_refused_in_one_line(text, said):
    with pytest.raises(QuestionError, match=said) as refused:
        limits_on("ttft", text)
    assert "\n" not in str(refused.value)


def test_an_estimate_says_whether_it_keeps_limits():
    words = {"chips": 1, "input": 1024, "output": 128, "rate": 20.0}
    est = rl.estimate("llama-3.1-8b", "dgx-h100", ttft="p99<10s, 5s", tpot="p90<1ms", **words)
    plain = rl.estimate("llama-3.1-8b", "dgx-h100", **words)
    assert plain.meets
    assert not est.meets
    told = est.to_dict()
    assert [each["met"] for each in told["limits"]] == [True, True, False]
    assert told["limits"][0]["value_s"] == pytest.approx(float(plain.ttft_percentile(99)))
    assert told["meets_limits"] is False
    assert "limits" not in plain.to_dict()


def test_limits_stay_with_the_points_of_an_answer():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", rl.Layout(), concurrency=np.array([1.0, 400.0]), tpot="p90<10ms")
    assert list(est.meets) == [True, False]
    assert est.at(0).meets
    assert not est.at(1).meets


def test_training_has_no_limits_on_tokens():
    step = rl.TrainStep(rl.model("llama-3.1-8b"), 64, 4096)
    with pytest.raises(QuestionError, match="ttft"):
        rl.estimate(step, "dgx-h100", ttft="p99<2s")
