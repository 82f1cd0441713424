"""A step of reinforcement learning: parts by hand, published steps, and what is refused."""

import json

import numpy as np
import pytest

import roofline as rl
from roofline.cli import main

SMALL = {"responses": 64, "output": 256.0, "longest": 1024, "chips": 8, "rollout_tp": 1, "tp": 1, "pp": 1}


@pytest.fixture(scope="module")
def step():
    return rl.post_train("llama-3.1-8b", "dgx-h100", **SMALL)


def test_a_step_on_the_same_chips_is_the_sum_of_its_parts(step):
    parts = step.rollout.duration + step.forward_time + step.train_time + step.weights
    assert step.parts_time == pytest.approx(parts)
    assert step.time == pytest.approx(step.overhead * parts)
    assert sum(step.shares.values()) == pytest.approx(1)
    # Two passes over the tokens of the one update, as long as its forward pass.
    assert step.forward_time == pytest.approx(2 * float(step.training.phases["forward"]))
    assert step.train_time == pytest.approx(float(step.training.step_time))


def test_the_longest_response_is_waited_for(step):
    even = rl.post_train("llama-3.1-8b", "dgx-h100", **{**SMALL, "variation": 0.0, "output": step.tokens / 64 - 256})
    assert even.tokens == pytest.approx(step.tokens, rel=0.01)
    assert even.rollout.duration < 0.8 * step.rollout.duration


def test_chips_apart_generate_while_the_others_train(step):
    apart = rl.post_train("llama-3.1-8b", "dgx-h100", **SMALL, rollout_chips=8)
    learnt = apart.forward_time + apart.train_time
    assert apart.parts_time == pytest.approx(max(apart.rollout.duration, learnt) + apart.weights)
    assert (apart.chips, step.chips) == (16, 8)


# Seconds; chips that train; chips that generate only; tokens of a prompt and a response, the most of them; responses, updates; degrees.
# NeMo RL v0.4, GRPO on OpenMathInstruct-2 in bf16 on H100: github.com/NVIDIA-NeMo/RL, docs/about/performance-summary.md at 06beed9.
PUBLISHED = {
    ("llama-3.1-8b", 97.7): (16, None, 1060, 4096, 2048, 4, {"rollout_tp": 1, "tp": 1, "pp": 2}),
    ("llama-3.1-8b", 74.6): (8, 8, 1129, 4096, 2048, 4, {"rollout_tp": 1, "tp": 1, "pp": 2}),
    ("qwen3-30b-a3b", 225.0): (32, None, 3154, 4096, 2048, 4, {"rollout_tp": 4, "tp": 2, "ep": 8, "pp": 1}),
    ("qwen3-32b", 393.0): (32, None, 3206, 4096, 2048, 4, {"rollout_tp": 4, "tp": 4, "pp": 4}),
}


def test_the_middle_of_published_steps():
    """Four of the ten steps to all of which the one overhead was fitted."""
    off = []
    for (model, measured), (chips, apart, length, longest, responses, updates, degrees) in PUBLISHED.items():
        found = rl.post_train(
            model, "dgx-h100", responses=responses, updates=updates, input=150.0, output=length - 150.0, variation=0.5,
            longest=longest - 150, chips=chips, rollout_chips=apart, **degrees,
        )  # fmt: skip
        low, high = found.interval()
        assert low < measured < high
        off.append(np.log(found.time / measured))
    assert np.expm1(np.abs(off).mean()) < 0.3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"responses": 10, "updates": 3}, "updates=3"),
        ({"seq_len": 4096}, "seq_len=4096"),
        ({"overhead": 0.5}, "overhead"),
        ({"responses": 0}, "responses"),
    ],
)
def test_a_question_that_makes_no_sense(words, told):
    with pytest.raises(rl.QuestionError, match=told):
        rl.post_train("llama-3.1-8b", "dgx-h100", **{**SMALL, **words})


def test_what_it_says(step):
    assert "rollout" in str(step)
    assert step.to_dict()["step_time_s"] == step.time
    assert repr(step).startswith("<PostTraining llama-3.1-8b on dgx-h100")


def test_the_command_line_gives_what_python_gives(capsys, step):
    words = "--responses 64 --output 256 --longest 1024 --chips 8 --rollout-tp 1 --tp 1 --pp 1"
    main(["rl", "llama-3.1-8b", "-s", "dgx-h100", *words.split(), "--json"])
    assert json.loads(capsys.readouterr().out) == step.to_dict()
    main(["rl", "llama-3.1-8b", "-s", "dgx-h100", *words.split()])
    assert capsys.readouterr().out.split() == str(step).split()


@pytest.mark.parametrize("flag", ["--global-batch 64", "--seq-len 4096", "--responses many", "--rollout-chips 0.5"])
def test_a_flag_that_has_no_meaning_is_one_line(capsys, flag):
    with pytest.raises(SystemExit) as left:
        main(["rl", "llama-3.1-8b", "-s", "dgx-h100", *flag.split()])
    assert left.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_longer_tail_leaves_chips_idle():
    """Of the same mean: the more the lengths vary, the longer the rollout, and the same training."""
    whole = [
        rl.post_train("llama-3.1-8b", "dgx-h100", **{**SMALL, "longest": None, "variation": v}) for v in (0, 0.5, 1.5)
    ]
    spans = [each.rollout.duration * 64 * 512 / each.tokens for each in whole]
    assert spans == sorted(spans)
