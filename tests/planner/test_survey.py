"""The best service of which few plans are estimated is the best of all of them, and the slacks of its bounds hold."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import roofline as rl
from roofline.planner.survey import RATE_SLACK, TPOT_SLACK

QUESTIONS = (
    ("llama-3.1-8b", "dgx-h100", {"chips": 2}),
    ("llama-3.1-70b", "dgx-h100", {"engine": "trtllm", "input": 32000, "output": 100}),
    ("llama-3.1-70b", "mi355x-8", {"engine": "sglang", "input": 200, "output": 2000}),
    ("llama-3.1-405b", "dgx-h200", {"dtype": "fp8"}),
    ("gpt-oss-120b", "dgx-b200", {"engine": "vllm", "chips": 4}),
    ("qwen3-235b-a22b", "dgx-h200", {"engine": "sglang", "input": 2048, "output": 512}),
    ("qwen3-30b-a3b", "gb200-nvl72", {"chips": 12}),
    ("deepseek-v3", "dgx-h200", {"engine": "sglang", "draft_tokens": 1}),
    ("deepseek-v3", "cloudmatrix384", {"chips": 32, "draft_tokens": 1}),
    ("deepseek-v3", "gb200-nvl72", {"chips": 16, "engine": "trtllm+tuned", "draft_tokens": 1, "input": 1000}),
    ("deepseek-v3", "tpu-v7x-pod", {"chips": 16}),
    ("llama-3.1-8b", "dgx-h100", {"chips": 1, "output": 1}),
)
questions = st.sampled_from(QUESTIONS)
times = st.none() | st.floats(-3.0, 1.3).map(lambda x: 10**x).filter(lambda t: not float(2 * t).is_integer())


def asked(question, **limits):
    model, system, words = question
    return rl.search(model, system, **({"ttft": None} | words | limits))


def numbers(found):
    return [
        np.broadcast_to(getattr(found.plans, name), found.plans.shape)
        for name in ("fits", "ttft", "tpot", "tokens_per_second_per_chip")
    ]


def leader(found, ttft, tpot):
    """Return the place of the best of all plans, by hand."""
    fits, first, each, rate = numbers(found)
    ok = fits & ~(first > (ttft or np.inf)) & ~(each > (tpot or np.inf))
    if not ok.any():
        return None
    best = rate == rate[ok].max()
    return int(np.argmin(np.where(ok & best, np.nan_to_num(each), np.inf)))


@settings(max_examples=25)
@given(questions, st.lists(st.tuples(times, times), min_size=1, max_size=3), st.data())
def test_the_best_of_few_is_the_best_of_all(question, limits, data):
    found = asked(question)
    input_ = data.draw(st.sampled_from((None, 500, 5000)))
    if input_ is not None and "input" not in question[2]:
        found = asked(question, input=input_)
    given_ = [
        {name: most for name, most in zip(("ttft", "tpot"), pair, strict=True) if most is not None} for pair in limits
    ]
    places = [found.survey.best(each) for each in given_]
    few = found.survey.estimated
    assert places == [leader(found, *pair) for pair in limits]
    # Afterwards all of them are known, and say the same.
    assert found.plans.shape == found.survey.shape
    assert [found.survey.best(each) for each in given_] == places
    assert few <= found.survey.estimated == np.prod(found.survey.shape)


@pytest.mark.parametrize("question", QUESTIONS[:-1])
def test_between_two_loads_rate_and_tpot_are_bounded(question):
    found = asked(question)
    fits, _, tpot, rate = numbers(found)
    which = found.survey.which
    for layout in np.unique(which):
        at = np.flatnonzero(which == layout)
        # Any two loads of a layout at most 36 apart, and what lies between them.
        for stride in (6, 36):
            for low in range(0, len(at) - 2, 3):
                high = min(low + stride, len(at) - 1)
                inside = at[low + 1 : high]
                ok, ends = fits[:, inside], [at[low], at[high]]
                assert (np.where(ok, rate[:, inside], 0) <= (1 + RATE_SLACK) * rate[:, ends].max(axis=1)[:, None]).all()
                assert (np.where(ok, tpot[:, inside], 9) >= (1 - TPOT_SLACK) * tpot[:, ends].min(axis=1)[:, None]).all()


@settings(max_examples=12)
@given(questions, times, times, st.floats(0.5, 1.5))
def test_a_plan_has_to_beat_what_else_there_is(question, ttft, tpot, part):
    alone = asked(question, ttft=ttft, tpot=tpot)
    assume(alone.best is not None)
    rate = part * float(alone.best.tokens_per_second)
    found = asked(question, ttft=ttft, tpot=tpot).beating(rate)
    assert (found is None) == (part > 1)
    if found is not None:
        assert found.to_dict() == alone.best.to_dict()
    assert alone.beating(float(alone.best.tokens_per_second)) is not None


def test_few_plans_are_estimated_for_the_best_and_all_for_the_frontier():
    found = asked(QUESTIONS[-3], tpot="50ms", ttft="5s")
    assert found.best is not None
    assert found.survey.estimated < 0.2 * found.tried
    assert found.frontier is not None
    assert found.survey.estimated == np.prod(found.survey.shape)


def test_the_best_is_told_among_all():
    found = asked(QUESTIONS[0], tpot="20ms")
    note = next(line for line in found.best.choices if line.startswith("configuration"))
    assert note.endswith(
        f"the most tokens/s per chip of {np.prod(found.survey.shape):,} configurations, with TPOT <= 20 ms"
    )


def test_nothing_keeps_a_limit_that_is_too_tight():
    found = asked(QUESTIONS[0], tpot="0.01ms")
    assert found.best is None
    assert not found.accepted.any()


@settings(max_examples=20)
@given(questions, times, times)
def test_a_load_that_is_given_is_the_only_one(question, ttft, tpot):
    found = asked(question, concurrency=16)
    limits = {name: most for name, most in (("ttft", ttft), ("tpot", tpot)) if most is not None}
    assume(limits)
    assert found.survey.best(limits) == leader(found, ttft, tpot)
