"""What a backward pass does: FLOP, traffic and messages by hand, and that no way to split a model loses or adds any."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.operators import feasibility
from roofline.operators.gradients import input_gradients, weight_gradients
from roofline.operators.memory import total
from roofline.operators.transformer.ffn.moe import returned
from roofline.planner.evaluation import step

RACK = rl.system("dgx-h100")
IDEAL = rl.profile("ideal", RACK).training(catalog.framework("none"))
APART = attrs.evolve(IDEAL, fused=False)
# Products alone take time: a chip of 1 PFLOP/s with nearly endless memory and links.
TOY = rl.System(
    "toy", rl.Chip("toy", {"bf16": 1e15}, rl.Memory(1e13, 1e30)), chips=4096, tiers=(rl.Tier("all", 4096, 1e30, 0.0),)
)
# Four matrices of 10^6 for attention and two of 4 10^6: 12 10^6 a layer, and 10^7 in the head.
SMALL = rl.Model("small", 1000, 10_000, (rl.Layers(2, rl.Gqa(10, 10, 100), rl.Dense(4000, gated=False)),))
WEIGHTS = 2 * 12e6 + 1e7
PAIRS = 1000 * 1001 / 2
ATTENTION = 2 * 4 * 1000 * PAIRS  # of both layers and one sequence of 1,000 tokens: two products of 2 x 1,000 a pair


def asked(model=SMALL, batch=64, length=1000, **words):
    return rl.TrainStep(model, batch, length, **words)


def flops(est):
    return float(est.model_flops_per_second_per_chip * est.step_time * est.chips)


# By hand -----------------------------------------------------------------------------------------------------------------


def test_a_step_is_three_passes_and_attention_makes_its_scores_again():
    est = step(asked(), TOY, rl.Layout(dp=16), IDEAL)
    tokens = 64 * 1000
    assert flops(est) == pytest.approx(6 * WEIGHTS * tokens + 3 * 64 * ATTENTION)
    done = 6 * WEIGHTS * tokens + 3.5 * 64 * ATTENTION
    assert float(est.step_time) == pytest.approx(done / 16 / 1e15)
    assert float(est.mfu) == pytest.approx(flops(est) / done)
    assert float(est.tokens_per_second) == pytest.approx(tokens / float(est.step_time))


@pytest.mark.parametrize(
    ("recompute", "more"), [("none", 0.0), ("selective", ATTENTION), ("full", 2 * 24e6 * 1000 + ATTENTION)]
)
def test_what_is_done_again_by_hand(recompute, more):
    """More is done for a sequence; the model's FLOP stay what they are."""
    plain, again = (step(asked(recompute=name), TOY, rl.Layout(dp=16), IDEAL) for name in ("none", recompute))
    assert float(again.step_time - plain.step_time) == pytest.approx(more * 64 / 16 / 1e15, abs=1e-12)
    assert flops(again) == pytest.approx(flops(plain))
    assert float((again.hfu - again.mfu) * again.step_time) == pytest.approx(more * 64 / 16 / 1e15, abs=1e-12)


def test_adapters_by_hand():
    """Frozen weights pass gradients on and have none: 4 N T; adapters of r (K + N) a matrix have 6."""
    est = step(asked(task="lora", rank=10), TOY, rl.Layout(dp=16), IDEAL)
    adapters = 2 * 10 * (4 * 2000 + 2 * 5000)
    assert flops(est) == pytest.approx(64_000 * (4 * WEIGHTS + 6 * adapters) + 3 * 64 * ATTENTION)


def test_experts_by_hand():
    """Top 2 of 8 experts of three matrices each: what a token meets counts, whatever there is."""
    model = attrs.evolve(
        SMALL, layers=(rl.Layers(2, rl.Gqa(10, 10, 100), rl.Moe(experts=8, top_k=2, width=500, shared_width=0)),)
    )
    est = step(asked(model, imbalance=1.0), TOY, rl.Layout(dp=16, ep=8, etp=1), IDEAL)
    met = 2 * (4e6 + 2 * 3 * 1000 * 500 + 8 * 1000) + 1e7
    assert flops(est) == pytest.approx(6 * met * 64_000 + 3 * 64 * ATTENTION)


@pytest.mark.parametrize("name", ["gpt-3-175b", "llama-3.1-8b", "llama-3.1-405b", "qwen2.5-72b"])
def test_the_flop_of_a_step_are_six_a_parameter_and_token(name):
    """6 N T + 6 L h S T (causal; PaLM, arXiv:2204.02311, appendix B, halved): N without the embedding, norms and biases below 0.1 %."""
    model = rl.model(name)
    est = step(rl.TrainStep(model, 64, 2048), RACK, rl.Layout(dp=64), IDEAL)
    tokens, mixer = 64 * 2048, model.layers[0].attention
    weights = total(model) - (0 if model.tied else model.hidden * model.vocab)
    attention = 6 * model.depth * mixer.heads * mixer.head_dim * 2049 * tokens
    assert flops(est) == pytest.approx(6 * weights * tokens + attention, rel=2e-3)


def test_weights_gradients_of_a_product_by_hand():
    up = rl.Op("up", "gemm", "bf16", 24.0, 1.0, weights=6.0, rows=2.0, inputs=2.0, outputs=3.0, depth=2.0)
    (back,), (own,) = input_gradients([up]), weight_gradients([up], accumulated=8.0)
    assert (back.flops, back.depth) == (24.0, 3.0)
    assert (own.flops, own.bytes, own.depth) == (24.0, 2 * (2 + 3) * 2.0 + 6 * 8, 2.0)


def test_grouped_products_of_experts_are_side_by_side():
    """Weights' gradients of 4 experts sum over 25 rows each; gradients of inputs go through both products, as the forward pass does."""
    grouped = rl.Op(
        "experts",
        "moe",
        "bf16",
        1.0,
        1.0,
        depth=1500.0,
        items=4.0,
        weights=6.0,
        rows=100.0,
        inputs=1000.0,
        outputs=1000.0,
    )
    (back,), (own,) = input_gradients([grouped]), weight_gradients([grouped], accumulated=8.0)
    assert (back.depth, own.depth) == (1500.0, 25.0)


def test_narrow_inputs_are_written_twice():
    """(M K + M N)(2 + 2 w) bytes a product: read in 16 bits, written narrow as it stands and turned."""

    def staged(dtype, task="pretrain"):
        model = SMALL.stored(dtype, "bf16") if dtype else SMALL
        est = step(asked(model, 1, task=task), RACK, rl.Layout(), APART)
        return sum(float(w.staging * n) for w, _, n in est.whole.leaves() if isinstance(w, rl.Op))

    shapes = [(1000, 3000), (1000, 1000), (1000, 4000), (4000, 1000)]
    assert staged(None) == 0
    assert staged("fp8") == pytest.approx(sum(2 * 1000 * (k + n) * 4 for k, n in shapes))
    assert staged("fp8", "lora") == pytest.approx(sum(2 * 1000 * (k + n) * 3 for k, n in shapes))
    model = SMALL.stored("fp8", "bf16")
    frozen = step(asked(model, 1, task="lora", recompute="full"), RACK, rl.Layout(), APART)
    again = {w.label: w for w, _, _ in frozen.whole.leaves() if isinstance(w, rl.Op)}
    assert again["recompute up"].staging == again["up"].staging


# Nothing is lost or added ------------------------------------------------------------------------------------------------


@given(st.sampled_from(made.MODELS), st.data())
def test_no_split_loses_work(name, data):
    """Ranks together do the model's FLOP, however it is cut."""
    model = rl.model(name, dtype="bf16")
    tp = data.draw(
        st.sampled_from([t for t in (1, 2, 4, 8) if all(rule.ok for rule in feasibility.tensor_rules(model, t))])
    )
    ep = data.draw(st.sampled_from([e for e in (1, 8) if model.experts % e == 0])) if model.experts else 1
    etp = data.draw(st.sampled_from(sorted({1, tp}))) if model.experts else None
    layout = rl.Layout(
        tp=tp, pp=data.draw(st.sampled_from([1, 2, 4])), dp=16, ep=ep, etp=etp, cp=data.draw(st.sampled_from([1, 2])),
        sequence_parallel=data.draw(st.booleans()), sharding=data.draw(st.sampled_from(["zero1", "zero3"])),
    )  # fmt: skip
    question = rl.TrainStep(model, 64, 4096, imbalance=1.0, recompute=data.draw(st.sampled_from(["none", "full"])))
    whole, split = (
        step(question, RACK, each, IDEAL) for each in (rl.Layout(dp=16, etp=1 if model.experts else None), layout)
    )
    # Every context rank has its own copy of the keys and values of an encoder's states.
    copies = layout.cp > 1 and any(getattr(run.attention, "cross", 0) for run in model.layers)
    assert flops(split) == pytest.approx(flops(whole), rel=0.03 if copies else 1e-9)
    assert flops(split) >= flops(whole) * (1 - 1e-9)


@given(st.sampled_from(made.MODELS), st.sampled_from(["megatron-2021", "megatron-2509", "generic"]))
def test_every_architecture_trains(name, framework):
    """All of the zoo, with attention fused or not, on machines as they train."""
    model = rl.model(name)
    tp = max(t for t in (1, 2, 4, 8) if all(rule.ok for rule in feasibility.tensor_rules(model, t)))
    layout = rl.Layout(
        tp=tp, pp=2 if model.depth > 1 else 1, dp=16, ep=8 if model.experts % 8 == 0 and model.experts else 1,
        etp=1 if model.experts else None, sequence_parallel=tp > 1,
    )  # fmt: skip
    question = rl.TrainStep(model, 256, 4096)
    est = rl.train(question, "dgx-h100" if "fp8" in model.dtype else "dgx-b200", layout, framework=framework)
    assert est.divides
    assert 0 < est.mfu <= est.hfu * (1 + 1e-9) <= 1
    assert sum(map(float, est.phases.values())) == pytest.approx(float(est.step_time))
    assert all(getattr(est.memory, part) > 0 for part in ("weights", "gradients", "optimizer", "activations"))
    assert np.isfinite(float(est.memory.total))


@pytest.mark.parametrize(
    "name", ["deepseek-v3", "deepseek-v3.2", "deepseek-v4-flash", "kimi-linear-48b-a3b", "mamba2-2.7b"]
)
def test_attention_of_every_kind_may_be_unfused(name):
    layout = rl.Layout(dp=64, etp=1 if rl.model(name).experts else None)
    fused, plain = (
        rl.train(rl.TrainStep(rl.model(name), 256, 4096), "dgx-h100", layout, framework=each)
        for each in ("generic", attrs.evolve(catalog.framework("generic"), unfused="all"))
    )
    assert np.isfinite(float(plain.step_time))
    assert plain.step_time >= fused.step_time
    assert flops(plain) == pytest.approx(flops(fused))


def test_passes_of_a_gated_activations_gradient_by_hand():
    # 8 rows of a width of 1,536, hidden 4,096. In 16 bits the gradient of the gated activation moves 2 w = 4 bytes an element more.
    assert returned(8.0, 4096.0, 1536.0, passed=2.0, into=2) == 8 * 1536 * 4
    # In 8 bits 2 of them, and the gradients of both inputs of the activation and of the output are written once more.
    assert returned(8.0, 4096.0, 1536.0, passed=1.0, into=2) == 8 * (1536 * 2 + 2 * 1536 + 4096)
    grads = input_gradients([rl.Op("experts", "moe", "bf16", 1.0, 1.0, staging=10.0, back=4.0, weights=1.0)])
    assert (grads[0].staging, grads[0].back) == (14.0, 0.0)
