"""Words of other tools in Python: lengths are accepted, others are answered with ours; times without a unit are guarded."""

import pytest

import roofline as rl
from roofline.core.errors import QuestionError
from roofline.planner.estimate import PEERS


def test_isl_and_osl():
    ours = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, input=1000, output=100)
    theirs = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, isl=1000, osl=100)
    assert theirs.tpot == ours.tpot
    found = rl.search("llama-3.1-8b", "dgx-h100", chips=8, isl=1000, osl=100)
    assert found.best.question.input == 1000
    with pytest.raises(QuestionError, match="isl=1000: is input, which is given too"):
        rl.estimate("llama-3.1-8b", "dgx-h100", isl=1000, input=1000)


@pytest.mark.parametrize("word", ["tp_size", "max_num_seqs", "gpu_memory_utilization", "nextn", "request_rate"])
def test_words_of_peers_are_answered(word):
    with pytest.raises(QuestionError, match=f"{word}: here it is ") as refused:
        rl.estimate("llama-3.1-8b", "dgx-h100", **{word: 8})
    assert PEERS[word].partition("=")[0] in str(refused.value)


@pytest.mark.parametrize("limits", [{"tpot": 30}, {"ttft": 2000}, {"tpot": 30.0}])
def test_milliseconds_without_a_unit_are_asked_about(limits):
    with pytest.raises(QuestionError, match=r"is in seconds: .* s\?"):
        rl.search("llama-3.1-8b", "dgx-h100", chips=8, **limits)


@pytest.mark.parametrize("limit", ["30ms", "0.03 s", 0.03])
def test_limits_with_a_unit(limit):
    assert rl.search("llama-3.1-8b", "dgx-h100", chips=8, tpot=limit).best.tpot <= 0.03


def test_a_long_limit_as_text():
    assert rl.search("llama-3.1-8b", "dgx-h100", chips=8, tpot="30s").best.tpot <= 30
