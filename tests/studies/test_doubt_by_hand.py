"""Causes of doubt, each where it belongs."""

import math

import pytest

import roofline as rl
from roofline.studies.odds import _differ, _Doubt, doubt
from roofline.workload.questions import KEPT_ERROR


def test_the_whole_is_the_root_of_all_squares():
    one = _Doubt({"gemm": 0.3, "moe": 0.4}, 1.2, 0.5, 0.7)
    assert one.kernels == pytest.approx(0.5)
    assert one.whole == pytest.approx(math.sqrt(0.25 + 1.44 + 0.25 + 0.49))


def test_what_drafts_leave_open_is_of_output_tokens_and_only_where_nobody_said_how_many_are_kept():
    model = rl.model("deepseek-v3")
    guessed, said, none = (
        rl.estimate(rl.Serve(model, concurrency=64.0, **words), "dgx-b200", rl.Layout(tp=8, ep=8))
        for words in ({"draft_tokens": 1.0}, {"draft_tokens": 1.0, "accept_length": 1.8}, {})
    )
    assert [doubt(est, "tpot").drafts for est in (guessed, said, none)] == [KEPT_ERROR, 0.0, 0.0]
    assert [doubt(est, "ttft").drafts for est in (guessed, said, none)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("one", "other", "part", "square"), [(3.0, 4.0, 0.5, 13.0), (0.0, 2.0, 1.0, 4.0), (2.0, 2.0, 1.0, 0.0)]
)
def test_what_is_shared_cancels(one, other, part, square):
    assert _differ(one, other, part) == square
