"""Labels are for people: every label renamed at random, every number stays."""

import random

import pytest

import roofline as rl
from roofline.operators.operations import Message, Op, Section
from roofline.operators.transformer.flow import Matrix
from roofline.physics.spans import Span


def _renamed(monkeypatch):
    """Give every operation, message, matrix, section and span a random label, whatever the code calls it."""
    draw = random.Random(1)
    for noun in (Op, Message, Matrix, Section, Span):

        def init(self, name, *args, original=noun.__init__, **fields):
            original(self, f"{name[:0]}{draw.getrandbits(64):x}", *args, **fields)

        monkeypatch.setattr(noun, "__init__", init)


def _serving(name):
    question = rl.Serve(rl.model(name), concurrency=64, input=1000, output=200)
    est = rl.estimate(question, "dgx-h100", rl.Layout(tp=8))
    return (
        est.ttft, est.tpot, est.tokens_per_second, est.mfu, est.joules_per_token, est.memory.total, est.max_concurrency,
        *est.bounds.values(), *est.interval("tpot"), est.fits, est.reasons,
    )  # fmt: skip


def _training(name, recompute):
    model = rl.model(name)
    question = rl.TrainStep(model, global_batch=64, seq_len=4096, recompute=recompute)
    layout = rl.Layout(tp=2, cp=2, pp=2, dp=8, ep=8 if model.experts else 1, sharding="zero3", sequence_parallel=True)
    est = rl.train(question, "dgx-h100", layout)
    return (
        est.step_time, est.mfu, est.hfu, est.bubble, est.exposed, est.hidden, est.memory.total, *est.phases.values(),
        *est.interval(), est.fits, est.reasons,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["deepseek-v3", "gemma-4-e2b", "nemotron-h-56b", "deepseek-v4-flash"])
def test_labels_decide_nothing(monkeypatch, name):
    recomputed = ("none", "selective", "selective:norm+activation+up+ffn+experts", "full")
    before = _serving(name), [_training(name, each) for each in recomputed]
    _renamed(monkeypatch)
    assert before == (_serving(name), [_training(name, each) for each in recomputed])


def test_recomputed_operations_are_fields_not_names():
    question = rl.TrainStep(rl.model("deepseek-v3"), global_batch=64, seq_len=4096, recompute="selective:up+norm")
    whole = rl.train(question, "dgx-h100", rl.Layout(tp=8, dp=8, ep=8)).whole
    found = {(w.module, w.role, w.phase) for w, _, _ in whole.leaves() if isinstance(w, Op) and w.recompute}
    assert found == {("norm", "", "forward"), ("attention", "up", "forward")}
    phases = {w.phase for w, _, _ in whole.leaves() if w is not None}
    assert phases == {"forward", "dgrad", "wgrad", "reduce", "optimizer"}
    assert {w.module for w, _, _ in whole.leaves() if w is not None} >= {
        "attention",
        "mlp",
        "experts",
        "router",
        "head",
    }
