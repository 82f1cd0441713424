"""What training keeps on a chip: bytes a weight, what sharding leaves, activations against Korthikanti's table, by hand."""

from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.operators import feasibility, training_memory
from roofline.operators.training_memory import stage_weights
from roofline.planner.evaluation import step
from roofline.workload.layout import SHARDINGS

RACK = rl.system("dgx-h100")
IDEAL = rl.profile("ideal", RACK).training(catalog.framework("none"))
# 12 10^6 weights a layer and 10^7 in each of embedding and head: 32 10^6 in all.
SMALL = rl.Model("small", 1000, 10_000, (rl.Layers(1, rl.Gqa(10, 10, 100), rl.Dense(4000, gated=False)),))


def memory(model, layout, length=1000.0, batch=None, profile=IDEAL, **words):
    return step(rl.TrainStep(model, batch or layout.dp, length, **words), RACK, layout, profile).memory


# Weights, gradients, optimizer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sharding", "weights", "gradients", "optimizer"),
    [("none", 2, 4, 12), ("zero1", 2, 4, 12 / 8), ("zero2", 2, 4 / 8, 12 / 8), ("zero3", 2 / 8 + 2 * 7 / 8, 4 / 8, 12 / 8)],
)  # fmt: skip
def test_bytes_a_weight_by_hand(sharding, weights, gradients, optimizer):
    """18 bytes a weight, of which 8 ranks share out some; of one layer all is gathered."""
    kept = memory(SMALL, rl.Layout(dp=8, sharding=sharding))
    found = (kept.weights, kept.gradients, kept.optimizer)
    assert [float(n) / 32e6 for n in found] == pytest.approx([weights, gradients, optimizer])


def test_a_deep_model_gathers_two_layers_at_a_time():
    deep = attrs.evolve(SMALL, layers=(attrs.evolve(SMALL.layers[0], count=100),))
    kept = memory(deep, rl.Layout(dp=10, sharding="zero3"))
    assert float(kept.weights) / 2 == pytest.approx((1200e6 + 20e6) * (1 / 10 + 9 / 10 * 2 / 100))


@given(st.sampled_from(made.MODELS), st.data())
def test_sharing_out_more_keeps_less(name, data):
    """none >= zero1 >= zero2 >= zero3, however few share: alone a rank has nothing to gather."""
    model = rl.model(name, dtype="bf16")
    tp = data.draw(
        st.sampled_from([t for t in (1, 2, 8) if all(rule.ok for rule in feasibility.tensor_rules(model, t))])
    )
    layout = rl.Layout(
        tp=tp, dp=data.draw(st.sampled_from([1, 2, 16])), pp=data.draw(st.sampled_from([1, 2, model.depth]))
    )
    kept = [memory(model, attrs.evolve(layout, sharding=each)) for each in SHARDINGS]
    for more, less in pairwise(kept):
        assert less.total <= more.total * (1 + 1e-12)
    if layout.dp == 1:
        assert kept[3].total == pytest.approx(kept[0].total)


def test_frozen_weights_have_neither_gradients_nor_states():
    kept = memory(SMALL, rl.Layout(), task="lora", rank=10)
    adapters = 10 * (4 * 2000 + 2 * 5000)
    assert [float(n) for n in (kept.weights, kept.gradients, kept.optimizer)] == pytest.approx(
        [2 * 32e6, 4 * adapters, 12 * adapters]
    )


def test_both_copies_of_a_stage_have_gradients():
    """DualPipe keeps two stages a rank (arXiv:2412.19437, table 2): weights and gradients of both."""
    deep = attrs.evolve(SMALL, layers=(attrs.evolve(SMALL.layers[0], count=8),))
    one, two = (memory(deep, rl.Layout(pp=4, dp=4, schedule=name), batch=32) for name in ("1f1b", "dualpipe"))
    assert (two.weights, two.gradients) == (2 * one.weights, 2 * one.gradients)
    assert two.optimizer == one.optimizer


# Experts -----------------------------------------------------------------------------------------------------------------


def test_experts_have_copies_of_their_own():
    """8 experts of 1.5 10^6 on 4 of 32 ranks: two a rank and layer, which 8 ranks hold."""
    model = attrs.evolve(SMALL, layers=(rl.Layers(2, rl.Gqa(10, 10, 100), rl.Moe(experts=8, top_k=2, width=500)),))
    dense, experts = stage_weights(model, rl.Layout(dp=32, ep=4))
    assert (float(experts.weights), float(experts.copies), float(experts.stride)) == (2 * 2 * 1.5e6, 8, 4)
    assert (float(dense.weights), float(dense.copies)) == (2 * (4e6 + 8e3) + 20e6, 32)
    cut = stage_weights(model, rl.Layout(tp=2, dp=16, ep=4, etp=2))[1]
    assert (float(cut.weights), float(cut.copies), float(cut.stride)) == (2 * 1.5e6, 4, 8)


def test_experts_of_a_prediction_module_are_experts():
    """Their copies are as few as those of the layers'."""
    model = attrs.evolve(
        SMALL, layers=(rl.Layers(2, rl.Gqa(10, 10, 100), rl.Moe(experts=8, top_k=2, width=500)),), mtp=1
    )
    dense, experts = stage_weights(model, rl.Layout(dp=32, ep=4))
    assert float(experts.weights) == 3 * 2 * 1.5e6
    assert float(dense.weights) == 3 * (4e6 + 8e3) + 2e6 + 20e6


# Activations -------------------------------------------------------------------------------------------------------------

# Layers, hidden size, heads and tensor ranks: Korthikanti and others, arXiv:2205.05198, table 3, sequences of 2,048.
GPT = [(48, 6144, 64, 1), (96, 12288, 96, 1), (105, 20480, 128, 35), (128, 25600, 160, 64)]


@pytest.mark.parametrize(("depth", "hidden", "heads", "pp"), GPT)
@pytest.mark.parametrize(
    ("parallel", "recompute", "bytes_"),
    [
        (False, "none", lambda a, s, h: 8 + 24 / 8 + 5 * a * s / h / 8),
        (True, "none", lambda a, s, h: 32 / 8 + 5 * a * s / h / 8),
        (False, "selective", lambda *_: 8 + 24 / 8),
        (True, "selective", lambda *_: 32 / 8),
        (False, "full", lambda *_: 2.0),
        (True, "full", lambda *_: 2.0 / 8),
    ],
)
def test_activations_of_a_layer(depth, hidden, heads, pp, parallel, recompute, bytes_):
    """s b h (10 + 24 / t + 5 a s / (h t)) and the rest of table 2, less the two bytes that masks of dropout take."""
    model = rl.Model(
        "gpt",
        hidden,
        1000,
        (rl.Layers(depth, rl.Gqa(heads, heads, hidden // heads), rl.Dense(4 * hidden, gated=False)),),
    )
    unfused = rl.profile("ideal", RACK).training(attrs.evolve(catalog.framework("none"), unfused="all"))
    ours = [
        float(memory(attrs.evolve(model, layers=(attrs.evolve(model.layers[0], count=n),)), rl.Layout(tp=8, sequence_parallel=parallel), 2048.0,
                     profile=unfused, recompute=recompute).activations)
        for n in (depth, depth // 2)
    ]  # fmt: skip
    layer = (ours[0] - ours[1]) / (depth - depth // 2)
    assert layer == pytest.approx(2048 * hidden * bytes_(heads, 2048, hidden))


def test_the_first_stage_keeps_as_many_micro_batches_as_there_are_stages():
    deep = attrs.evolve(SMALL, vocab=10, layers=(attrs.evolve(SMALL.layers[0], count=16),))
    one, four, chunks = (
        float(memory(deep, rl.Layout(pp=pp, vpp=vpp), batch=64).activations) for pp, vpp in ((1, 1), (4, 1), (4, 2))
    )
    assert four == pytest.approx(one, rel=0.01)
    # But for the gradient of a table of ten words.
    assert chunks / four == pytest.approx((4 + 3 / 2) / 4, rel=1e-4)


def test_what_waits_in_the_host_is_not_kept():
    plain, half = (memory(SMALL, rl.Layout(), offload=part) for part in (0.0, 0.5))
    assert half.activations == 0.5 * plain.activations
    assert half.weights == plain.weights


def test_a_loss_that_is_not_fused_keeps_more_of_every_logit():
    """1,000 tokens, a vocabulary of V: 14 - 6 bytes more of each logit."""
    fused, plain = (
        float(
            memory(
                SMALL,
                rl.Layout(),
                1000.0,
                profile=rl.profile("ideal", RACK).training(attrs.evolve(catalog.framework("none"), logits=n)),
            ).activations
        )
        for n in (6.0, 14.0)
    )
    assert plain - fused == pytest.approx(8 * 1000 * SMALL.vocab)


def test_keys_that_are_expanded_again_are_not_kept():
    """Eleven layers with 2 heads of 64 + 32 and 64: 2 (2 x 96 + 64) elements in 16 bits a token, but for the layer that is done again."""
    mla = rl.Mla(heads=2, q_rank=64, kv_rank=64, nope_dim=64, rope_dim=32, value_dim=64)
    model = attrs.evolve(SMALL, layers=(rl.Layers(11, mla, rl.Dense(100)),))
    whole, again = (
        float(memory(model, rl.Layout(), 1000.0, recompute=r).activations) for r in ("none", "selective:up")
    )
    assert whole - again == pytest.approx(10 * 1000 * 2 * 2 * (2 * 96 + 64))


def test_frozen_weights_stay_narrow():
    wide, narrow = (
        float(memory(rl.model("llama-3.1-8b", dtype=name), rl.Layout(), task="lora").weights)
        for name in ("bf16", "fp8")
    )
    assert 0.5 < narrow / wide < 0.65


def test_an_activation_inside_experts_is_not_kept_where_it_is_done_again():
    """Ten layers of two experts a token, 500 wide: 2 x 500 elements in 16 bits a token, but for the layer that is done again."""
    model = attrs.evolve(SMALL, layers=(rl.Layers(10, rl.Gqa(10, 10, 100), rl.Moe(experts=8, top_k=2, width=500)),))
    whole, again = (
        float(memory(model, rl.Layout(), 1000.0, recompute=r, imbalance=1.0).activations)
        for r in ("none", "selective:activation")
    )
    assert whole - again == pytest.approx(9 * 1000 * 2 * 500 * 2)


def test_where_embedding_and_head_take_the_place_of_layers_the_first_stage_holds_one_less():
    """14 layers on 4 stages: 3, 4, 4 and 3; the second holds 3 micro-batches of 4 layers, the first 4 of 3."""
    deep, even = (attrs.evolve(SMALL, vocab=10, layers=(attrs.evolve(SMALL.layers[0], count=n),)) for n in (14, 16))
    spaced, plain = (float(memory(each, rl.Layout(pp=4), batch=64).activations) for each in (deep, even))
    assert spaced / plain == pytest.approx(12 / 16, rel=1e-3)


def test_a_rank_with_two_stages_has_one_of_either_end():
    """Stages of one layer; embedding on the first and head on the last of four: 2 layers and both, or 2 layers."""
    model = rl.Model("toy", 1000, 5000, (rl.Layers(4, rl.Gqa(10, 10, 100), rl.Dense(3000)),))
    layer, table = 4 * 1000**2 + 3 * 1000 * 3000, 5000 * 1000
    found = float(training_memory.copies(model, rl.Layout(pp=4)))
    assert found == pytest.approx((2 * layer + 2 * table) / (layer + table))


def test_gradients_that_are_scattered_as_they_are_made_are_held_in_shares():
    model = rl.Model("toy", 1000, 5000, (rl.Layers(4, rl.Gqa(10, 10, 100), rl.Dense(3000)),))
    layout = rl.Layout(dp=4, sharding="zero1")

    def gradients(batch, scattered):
        question = rl.TrainStep(model, batch, 100, 1)
        return float(training_memory.states(question, layout, 0.0, scattered=scattered).gradients)

    assert gradients(4, scattered=True) == pytest.approx(gradients(4, scattered=False) / 4)
    assert gradients(8, scattered=True) == gradients(8, scattered=False)


def test_deepseek_v3_fits_as_it_was_trained():
    """2,048 H800: 16 stages by DualPipe, 64 expert ranks, ZeRO-1; norms, up-projections and SwiGLU again (arXiv:2412.19437)."""
    question = rl.TrainStep(
        rl.model("deepseek-v3", dtype="fp8-block"), 15360, 4096, 1, recompute="selective:up+norm+activation"
    )
    assert rl.train(question, "hgx-h800", rl.Layout(pp=16, dp=128, ep=64, schedule="dualpipe")).fits


def test_llama_405b_fits_as_it_was_trained():
    """8,192 H100: 8 x 16 x 64 in batches of 16 million tokens (arXiv:2407.21783, table 4)."""
    question = rl.TrainStep(rl.model("llama-3.1-405b"), 2048, 8192, 1)
    layout = rl.Layout(tp=8, pp=16, dp=64, sharding="zero2", sequence_parallel=True)
    assert rl.train(question, "dgx-h100", layout, framework="megatron").fits
