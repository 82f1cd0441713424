"""Regimes in which closed forms are rough: the answer says so, and in which way it is off."""

import pytest

import roofline as rl

ROUGH = {
    "the cache is full": ("llama-3.1-8b", "dgx-h100", rl.Layout(), {"input": 256, "output": 2048, "concurrency": 1024}),
    "attention ranks work in lock-step": (
        "deepseek-v3", "hgx-h200", rl.Layout(dp=8, ep=8), {"input": 1024, "output": 512, "concurrency": 64},
    ),
    "nearly every step passes prompts": ("llama-3.1-8b", "dgx-h100", rl.Layout(), {"input": 8192, "output": 64, "concurrency": 64}),
    "nearly all of a request is its prompt": ("llama-3.1-8b", "dgx-h100", rl.Layout(), {"input": 512, "output": 2, "rate": 5.0}),
}  # fmt: skip


@pytest.mark.parametrize("regime", ROUGH)
def test_an_answer_says_where_its_closed_form_is_rough(regime):
    model, system, layout, words = ROUGH[regime]
    est = rl.estimate(rl.Serve(rl.model(model), **words), system, layout)
    assert any(regime in note and "simulate follows every request" in note for note in est.assumptions)


def test_a_plain_load_points_nowhere():
    est = rl.estimate(rl.Serve(rl.model("llama-3.1-8b"), 1024, 256, concurrency=8), "dgx-h100", rl.Layout())
    assert not any("simulate" in note for note in est.assumptions)


@pytest.mark.parametrize(("engine", "preempts"), [("vllm", True), ("trtllm", False)])
def test_long_answers_in_a_full_cache_are_preempted_and_their_tpot_is_rough(engine, preempts):
    question = rl.Serve(rl.model("llama-3.1-8b"), 256, 2048, concurrency=1024)
    est = rl.estimate(question, "dgx-h100", rl.Layout(), engine=engine)
    assert any("preempted and recomputed" in note for note in est.assumptions) is preempts


def test_short_answers_in_a_full_cache_leave_tpot_as_it_is():
    est = rl.estimate(
        rl.Serve(rl.model("llama-3.1-8b"), 8192, 64, concurrency=512), "dgx-h100", rl.Layout(), engine="vllm"
    )
    assert any("the cache is full" in note for note in est.assumptions)
    assert not any("preempted" in note for note in est.assumptions)
