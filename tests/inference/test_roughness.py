"""Regimes in which closed forms are rough: the answer has a code and a sentence for each, and the command that simulates the same."""

import shlex

import pytest

import roofline as rl
from roofline.cli.app import app
from roofline.results.roughness import ROUGH

SMALL = ("llama-3.1-8b", "dgx-h100", rl.Layout())
RANKS = ("deepseek-v3", "hgx-h200", rl.Layout(dp=8, ep=8))
CASES = {
    "short-answers": (*SMALL, {"input": 4096, "output": 8, "rate": 5.0}),
    "always-prefill": (*SMALL, {"input": 8192, "output": 64, "concurrency": 64}),
    "small-prompts": (*SMALL, {"input": 128, "output": 64, "concurrency": 256}),
    "long-prompts": (*SMALL, {"input": 16384, "output": 64, "rate": 1.2}),
    "lock-step": (*RANKS, {"input": 1024, "output": 512, "concurrency": 512}),
    "idle-ranks": (*RANKS, {"input": 4096, "output": 256, "concurrency": 2}),
    "just-full": (*SMALL, {"input": 32768, "output": 256, "concurrency": 16}),
    "preemption": (*SMALL, {"input": 256, "output": 2048, "concurrency": 1024}),
}


@pytest.mark.parametrize("code", [code for code in ROUGH if code != "busy-lanes"])
def test_an_answer_says_where_its_closed_form_is_rough(code):
    model, system, layout, words = CASES[code]
    est = rl.estimate(rl.Serve(rl.model(model), **words), system, layout, engine="vllm")
    assert code in est.rough
    assert est.to_dict()["rough"] == list(est.rough)
    (note,) = (each for each in est.assumptions if each.startswith("inaccurate closed form ("))
    assert code in note
    assert ROUGH[code] in note
    # The command is one that this program knows.
    said = shlex.split(note.partition("every request: ")[2])
    assert said[:3] == ["roofline", "simulate", model]
    app.parse_args(said[1:], print_error=False, exit_on_error=False)


@pytest.mark.parametrize(
    "words", [{"concurrency": 8}, {"concurrency": 64}, {"rate": 5.0}, {"rate": 10.0, "cached": 512.0}, {"concurrency": 1, "output": 8}]
)  # fmt: skip
def test_a_plain_load_points_nowhere(words):
    est = rl.estimate(
        rl.Serve(rl.model("llama-3.1-8b"), **{"input": 1024, "output": 256, **words}), "dgx-h100", rl.Layout()
    )
    assert est.rough == ()
    assert not any("simulate" in note for note in est.assumptions)


@pytest.mark.parametrize(("engine", "preempts"), [("vllm", True), ("trtllm", False)])
def test_an_engine_that_keeps_cache_for_answers_never_preempts(engine, preempts):
    question = rl.Serve(rl.model("llama-3.1-8b"), 256, 2048, concurrency=1024)
    est = rl.estimate(question, "dgx-h100", rl.Layout(), engine=engine)
    assert ("preemption" in est.rough) is preempts


def test_short_answers_in_a_full_cache_leave_tpot_as_it_is():
    question = rl.Serve(rl.model("llama-3.1-8b"), 8192, 64, concurrency=512)
    assert "preemption" not in rl.estimate(question, "dgx-h100", rl.Layout(), engine="vllm").rough


def test_pools_whose_lanes_are_busy_say_so():
    question = rl.Serve(rl.model("llama-3.1-8b"), 4096, 256, concurrency=64)
    split = rl.pools(question, "dgx-h100", rl.Layout(), rl.Layout())
    assert any("busy-lanes" in note and "--prefill-chips 1" in note for note in split.assumptions)
    few = rl.pools(rl.Serve(question.model, 4096, 256, concurrency=2), "dgx-h100", rl.Layout(), rl.Layout())
    assert not any("busy-lanes" in note for note in few.assumptions)
