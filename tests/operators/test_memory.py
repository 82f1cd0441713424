"""Parameters to the integer, cached bytes as published, memory that adds up."""

import tomllib
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.operators import memory as footprint

MODELS = Path(__file__).parents[2] / "workloads" / "models"


@pytest.mark.parametrize("name", made.MODELS)
def test_parameters_equal_an_independent_count(name):
    stated = tomllib.loads((MODELS / f"{name}.toml").read_text(encoding="utf-8"))["parameters"]
    model = rl.model(name)
    assert footprint.total(model) == stated.get("ours", stated["total"])
    assert footprint.active(model) == stated.get("ours_active", stated.get("active", footprint.active(model)))
    # What differs says why, in the file and in what is shown, and is a rounding error of the sum.
    assert ("why" in stated) == ("ours" in stated or "ours_active" in stated)
    assert stated.get("why", "") in model.note
    assert footprint.total(model) == pytest.approx(stated["total"], rel=1e-4)


def test_most_models_are_counted_to_the_integer():
    stated = [
        tomllib.loads((MODELS / f"{name}.toml").read_text(encoding="utf-8"))["parameters"] for name in made.MODELS
    ]
    assert len(stated) >= 246
    assert sum("ours" not in each for each in stated) >= 240


@pytest.mark.parametrize(
    ("name", "elements"),
    [("deepseek-v3", 61 * 576), ("deepseek-v2-lite-16b", 27 * 576), ("llama-3.1-70b", 80 * 2 * 8 * 128), ("llama-2-7b", 32 * 2 * 32 * 128),
     ("qwen3-235b-a22b", 94 * 2 * 4 * 128), ("mistral-7b-v0.3", 32 * 2 * 8 * 128)],
)  # fmt: skip
def test_cached_bytes_of_a_token(name, elements):
    assert footprint.kv_bytes_per_token(rl.model(name)) == 2 * elements
    assert footprint.kv_bytes_per_token(rl.model(name), "fp8") == elements


def test_a_window_bounds_the_cache():
    model = rl.model("mistral-7b-v0.1")
    inside, beyond = (float(footprint.kv_cache(model, rl.Layout(), n)) for n in (4096.0, 32768.0))
    assert inside == beyond == 32 * 4096 * 2 * 8 * 128 * 2


def test_more_ranks_than_heads_hold_copies_of_keys():
    model = rl.model("llama-3.1-70b")
    eight, sixteen = (float(footprint.kv_cache(model, rl.Layout(tp=t), 1000.0)) for t in (8, 16))
    assert eight == sixteen == 80 * 1000 * 2 * 128 * 2
    deepseek = rl.model("deepseek-v3")
    assert footprint.kv_cache(deepseek, rl.Layout(tp=8), 1000.0) == footprint.kv_cache(deepseek, rl.Layout(), 1000.0)


def test_weights_of_deepseek_by_hand():
    model = rl.model("deepseek-v3")
    stored = float(footprint.weights(model, rl.Layout()))
    counts = footprint.parameters(model)
    block = 1 + 4 / 128**2
    inside = sum(counts[n] for n in ("attention", "dense", "experts", "shared"))
    outside = sum(counts[n] for n in ("embedding", "head", "router"))
    assert stored == pytest.approx(inside * block + outside * 2, rel=1e-9)
    cut = footprint.weights(model, rl.Layout(dp=64, ep=64))
    experts = counts["experts"] * block
    assert cut == pytest.approx(stored - experts * 63 / 64, rel=1e-9)


@given(st.data())
def test_more_parallelism_never_needs_more_memory_on_a_chip(data):
    model = data.draw(made.models())
    system = rl.system("dgx-b200")
    question = rl.Decode(model, 1024.0, 2048.0)
    heads = [run.attention.heads for run in model.layers]
    small = rl.estimate(question, system, rl.Layout(replicas=2)).memory
    for layout in (rl.Layout(tp=2), rl.Layout(pp=2)):
        if all(h % 2 == 0 for h in heads) and model.depth > 1:
            each = rl.estimate(question, system, layout).memory
            assert each.weights <= small.weights * (1 + 1e-9)
            # A micro-batch of all sequences lies on each stage, but only half of the layers' caches.
            assert each.kv_cache <= small.kv_cache * 2 * (1 + 1e-9)


def test_memory_is_told_for_the_package():
    rack = rl.system("cloudmatrix384")
    est = rl.estimate(rl.Decode(rl.model("deepseek-r1", dtype="int8"), 4096.0, 1000.0), rack, rl.Layout(dp=256, ep=256))
    assert est.capacity == pytest.approx(0.9 * 128e9)
    die = footprint.weights(est.question.model, est.layout)
    assert est.memory.weights == pytest.approx(2 * die)


def test_what_does_not_fit_is_an_answer():
    est = rl.estimate("llama-3.1-405b", "dgx-h100", concurrency=1)
    assert not est.fits
    assert est.reasons == ("weights, cache and activations exceed the memory of a chip",)
    assert est.to_dict()["fits"] is False
    assert est.max_concurrency == 0


def test_room_for_requests_is_exact():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    most = float(est.max_concurrency)
    lanes = float(est.layout.replicas)
    full = rl.estimate(attrs.evolve(est.question, concurrency=most), "dgx-h100", est.layout)
    more = rl.estimate(attrs.evolve(est.question, concurrency=most + lanes), "dgx-h100", est.layout)
    assert full.fits
    # What does not fit waits: no more caches lie there, and no more tokens come out.
    assert more.fits
    assert float(more.memory.total) == float(full.memory.total)
    assert float(more.tokens_per_second) == pytest.approx(float(full.tokens_per_second), rel=1e-6)
    assert float(more.ttft) == pytest.approx(float(full.ttft) + lanes / most * float(full.cycle), rel=0.01)
    assert any("wait for their places" in note for note in more.assumptions)
    again = attrs.evolve(full.question.model, formats=full.question.model.formats)
    beyond = rl.Decode(again, most + lanes, full.question.input + full.question.output)
    assert not rl.estimate(beyond, "dgx-h100", est.layout).fits
