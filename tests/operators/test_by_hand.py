"""Formulas of the core worked out by hand, each term with sizes of its own, so that none can be dropped, doubled or swapped."""

import attrs
import pytest

import roofline as rl
from roofline.operators import memory
from roofline.operators.operations import Op
from roofline.operators.transformer import attention, ends, ffn, sections
from roofline.operators.transformer.flow import flow

CHIP = rl.Chip("made", {"bf16": 1e15, "fp8": 2e15}, rl.Memory(1e11, 4e12), cores=100)
HEADS = rl.Gqa(heads=12, kv_heads=6, head_dim=50, value_dim=30)
"""Keys of 50 and values of 30."""
VALUE = HEADS.value_width
DENSE = rl.Model("dense", 600, 7_000, (rl.Layers(4, HEADS, rl.Dense(4_000)),))
PAIRS = attrs.evolve(DENSE, layers=(rl.Layers(4, HEADS, rl.Moe(8, 2, 500)),))
LAYER = 600 * (12 * 50 + 6 * 50 + 6 * VALUE) + 12 * VALUE * 600 + 3 * 600 * 4_000
"""Weights of a layer: queries, keys, values; outputs; three matrices of the feed-forward."""
TABLE = 7_000 * 600


def found(question, layout=None):
    """The operations of a pass by name, and how often each section is met."""
    return {
        (s.name, w.name): (w, s.times) for s in sections(question, layout or rl.Layout(), CHIP) for w in s.operations
    }


# Memory --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tp", [1.0, 2.0])
def test_activations_are_four_streams_the_widest_intermediate_and_logits_in_32_bits(tp):
    # Three times the width of the feed-forward is more than the queries, outputs and values of all heads.
    assert 12 * (50 + 2 * VALUE) < 3 * 4_000
    assert (
        memory.activations(DENSE, rl.Layout(tp=tp), 7.0, 3.0) == 7 * 2 * (4 * 600 + 3 * 4_000 / tp) + 4 * 3 * 7_000 / tp
    )
    wide = attrs.evolve(DENSE, layers=(rl.Layers(4, HEADS, rl.Dense(10)),))
    assert (
        memory.activations(wide, rl.Layout(tp=tp), 7.0, 3.0)
        == 7 * 2 * (4 * 600 + 12 * (50 + 2 * VALUE) / tp) + 4 * 3 * 7_000 / tp
    )


def test_an_expert_shard_receives_the_rows_of_all_its_ranks():
    # 4 ranks with 2 visits a token, over 2 shards: 4 rows for each token of a rank; every expert is cut in tp dp / ep = 6.
    layout = rl.Layout(tp=3, dp=4, ep=2)
    assert float(layout.expert_tp) == 6
    assert (
        memory.activations(PAIRS, layout, 7.0, 3.0)
        == 7 * 2 * (4 * 600 + 4 * (2 * 600 + 3 * 500 / 6)) + 4 * 3 * 7_000 / 3
    )


@pytest.mark.parametrize(
    ("pp", "elements"), [(1.0, 4 * LAYER + 2 * TABLE), (2.0, 2 * LAYER + TABLE), (4.0, LAYER + TABLE)]
)
def test_embedding_and_head_lie_on_stages_of_their_own(pp, elements):
    assert memory.weights(DENSE, rl.Layout(pp=pp)) == 2 * elements


def test_a_tied_table_is_held_once_and_a_longer_one_makes_its_stage_the_fullest():
    tied = attrs.evolve(DENSE, tied=True)
    assert [float(memory.weights(tied, rl.Layout(pp=pp))) for pp in (1.0, 4.0)] == [
        2 * (4 * LAYER + TABLE),
        2 * (LAYER + TABLE),
    ]
    placed = attrs.evolve(DENSE, positions=500)
    assert [float(memory.weights(placed, rl.Layout(pp=pp))) for pp in (1.0, 4.0)] == [
        2 * (4 * LAYER + 2 * TABLE + 500 * 600), 2 * (LAYER + TABLE + 500 * 600)
    ]  # fmt: skip


def test_two_stages_on_a_rank_hold_one_table_each():
    # Of four stages, a rank has the first and the last, or the two between: embedding and head lie on the former.
    assert memory.weights(DENSE, rl.Layout(pp=4.0), paired=True) == 2 * (2 * LAYER + 2 * TABLE)


def test_weights_are_cut_by_tensor_peers_with_their_tables():
    assert memory.weights(DENSE, rl.Layout(tp=2.0)) == 2 * (4 * LAYER + 2 * TABLE) / 2


def test_modules_that_draft_have_weights_and_a_cache_where_they_draft():
    model = attrs.evolve(DENSE, mtp=2)
    plain, drafting = (float(memory.weights(model, rl.Layout(), drafting=each)) for each in (False, True))
    assert drafting - plain == 2 * 2 * (LAYER + 2 * 600**2)
    layer = 2 * 100 * 6 * (50 + VALUE)
    assert memory.kv_cache(model, rl.Layout(), 100.0) == 4 * layer
    assert memory.kv_cache(model, rl.Layout(), 100.0, drafting=True) == (4 + 2) * layer
    # The last of four stages holds them all.
    assert memory.kv_cache(model, rl.Layout(pp=4.0), 100.0, drafting=True) == (1 + 2) * layer


def test_a_draft_model_is_whole_on_the_last_stage():
    small = attrs.evolve(DENSE, name="small", layers=(rl.Layers(3, HEADS, rl.Dense(4_000)),))
    model = attrs.evolve(DENSE, speculator=small)
    layer = 2 * 100 * 6 * (50 + VALUE)
    assert memory.kv_cache(model, rl.Layout(pp=4.0), 100.0, drafting=True) == (1 + 3) * layer
    assert memory.kv_cache(model, rl.Layout(pp=4.0), 100.0) == layer
    more = memory.weights(model, rl.Layout(pp=4.0), drafting=True) - memory.weights(model, rl.Layout(pp=4.0))
    assert more == 2 * (3 * LAYER + 2 * TABLE)


def test_parameters_of_modules_and_tables_by_hand():
    counts = memory.parameters(attrs.evolve(DENSE, mtp=2, positions=500))
    assert (counts["embedding"], counts["head"]) == (TABLE + 500 * 600, TABLE)
    norms = 2 * 600
    assert counts["mtp"] == 2 * (2 * 600**2 + 3 * 600 + LAYER + norms)
    assert counts["norm"] == 600 + 4 * norms


def test_what_a_token_meets_by_hand():
    expert, router = 3 * 600 * 500, 600 * 8
    layer = LAYER - 3 * 600 * 4_000 + router + 2 * 600
    assert memory.total(PAIRS) == 4 * (layer + 8 * expert) + 2 * TABLE + 600
    assert memory.active(PAIRS) == memory.total(PAIRS) - 4 * 6 * expert
    assert memory.active_by_convention(PAIRS) == {
        "all": memory.active(PAIRS), "without_embedding": memory.active(PAIRS) - TABLE,
        "without_embedding_and_head": memory.active(PAIRS) - 2 * TABLE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("capacity", "fixed", "each", "most"), [(100.0, 10.0, 30.0, 3.0), (99.0, 10.0, 30.0, 2.0), (5.0, 10.0, 30.0, 0.0)]
)
def test_sequences_that_fit_are_whole(capacity, fixed, each, most):
    assert memory.most_sequences(capacity, fixed, each) == most


# Attention -----------------------------------------------------------------------------------------------------------


def test_a_gate_is_read_multiplied_and_written():
    """The gate and the output are read, the product is written: three times tokens x heads x width, in 16 bits."""
    gated = attrs.evolve(HEADS, gate_dim=VALUE)
    model = attrs.evolve(DENSE, layers=(rl.Layers(4, gated, rl.Dense(4_000)),))
    work, times = found(rl.Decode(model, 5.0, 1000.0))["attention", "gate"]
    assert (work.bytes, times) == (3 * 5 * 12 * VALUE * 2, 4)
    assert {m.name: m.elements for m in attention.matrices(gated, 600)}["gate"] == 600 * 12 * VALUE
    assert attention.width(gated) == 12 * (50 + 2 * VALUE + VALUE)
    work, _ = found(rl.Decode(model, 5.0, 1000.0), rl.Layout(tp=2))["attention", "gate"]
    assert work.bytes == 3 * 5 * 6 * VALUE * 2


def test_heads_that_decode_read_the_cache_once():
    work, times = found(rl.Decode(DENSE, 5.0, 1000.0))["attention", "attention"]
    assert times == 4
    assert work.flops == 2 * (50 + VALUE) * 12 * 5 * 1001
    assert work.bytes == 5 * 1001 * 6 * (50 + VALUE) * 2 + 5 * 12 * (50 + VALUE) * 2
    assert (work.depth, work.items, work.scores) == (1001, 5 * 6, 12 * 5 * 1001)


def test_rotation_reads_and_writes_queries_keys_and_values():
    work, _ = found(rl.Decode(DENSE, 5.0, 1000.0))["attention", "rotate"]
    assert work.bytes == 2 * 5 * (12 * 50 + 6 * (50 + VALUE)) * 2


LATENT = rl.Mla(heads=6, q_rank=70, kv_rank=80, nope_dim=40, rope_dim=20, value_dim=30)
THIN = attrs.evolve(DENSE, layers=(rl.Layers(4, LATENT, rl.Dense(4_000)),))


def test_a_prompt_of_latent_attention_reads_keys_and_values_of_all_tokens_once():
    """Two prompts of 300 after 100 that are there: 400 tokens are read, 300 are written, for 6 heads of 60 and 30."""
    work, times = found(rl.Prefill(THIN, 2.0, 300.0, cached=100.0))["latent attention" if ("latent attention", "attention") in found(rl.Prefill(THIN, 2.0, 300.0)) else "attention", "attention"]  # fmt: skip
    new = 200.0
    assert times == 4
    assert work.bytes == (2 * 300 + 2 * new) * 6 * (40 + 20 + 30) * 2
    assert work.flops == pytest.approx(2 * 6 * 2 * (new * 100 + new * (new + 1) / 2) * (40 + 20 + 30))


def test_latent_attention_decodes_over_latents():
    key = next(each for each in found(rl.Decode(THIN, 5.0, 1000.0)) if each[1] == "attention")
    work, _ = found(rl.Decode(THIN, 5.0, 1000.0))[key]
    assert work.bytes == 5 * 1001 * (80 + 20) * 2 + 5 * 6 * (80 + 20 + 80) * 2
    assert work.flops == 2 * 6 * 5 * 1001 * (80 + 20 + 80)
    rotate, _ = found(rl.Decode(THIN, 5.0, 1000.0))[key[0], "rotate"]
    assert rotate.bytes == 2 * 5 * (6 * 20 + (80 + 20)) * 2


# Ends and drafts -------------------------------------------------------------------------------------------------------


def test_the_loss_reads_logits_and_writes_their_softmax_in_32_bits():
    """Two bytes read and four written for each logit: three elements of 16 bits, and as many are kept."""
    question = rl.TrainStep(DENSE, 8, 100, micro_batch=2)
    p = (
        flow(question, rl.Layout(tp=2), CHIP)
        if isinstance(question, rl.Prefill)
        else flow(rl.Prefill(DENSE, 2.0, 100.0), rl.Layout(tp=2), CHIP)
    )
    head = next(each for each in ends(p) if each.name == "head")
    loss = next(work for work in head.operations if isinstance(work, Op) and work.name == "loss")
    assert loss.bytes == 3 * p.rows * 7_000 / 2 * 2
    assert loss.rows * loss.kept == 3 * p.rows * 7_000 / 2 * 2
    assert (loss.module, head.place) == ("loss", "last")


def test_a_module_that_drafts_is_a_projection_a_layer_and_a_head_for_each_token():
    model = attrs.evolve(DENSE, mtp=1)
    drafts = [
        s for s in sections(rl.Decode(model, 5.0, 1000.0, draft_tokens=3.0), rl.Layout(), CHIP) if s.name == "draft"
    ]
    assert [each.times for each in drafts] == [3.0]
    works = {work.name: work for work in drafts[0].operations if isinstance(work, Op)}
    assert works["project"].flops == 2 * 5 * (2 * 600) * 600
    assert works["head"].flops == 2 * 5 * 600 * 7_000
    products = sum(work.flops for work in works.values() if work.name != "attention")
    assert products == 2 * 5 * (2 * 600 * 600 + LAYER + TABLE)
    # The model itself verifies all four tokens of each sequence.
    whole = found(rl.Decode(model, 5.0, 1000.0, draft_tokens=3.0))
    assert whole["head", "head"][0].flops == 2 * 5 * 4 * 600 * 7_000


def test_the_sampler_reads_logits_twice_over():
    work, _ = found(rl.Decode(DENSE, 5.0, 1000.0), rl.Layout(tp=2))["head", "sample"]
    assert (work.bytes, work.launches) == (2 * 5 * 7_000 / 2 * 2, 3)
    gather, _ = found(rl.Decode(DENSE, 5.0, 1000.0), rl.Layout(tp=2))["head", "logits gather"]
    assert (gather.size, gather.group) == (5 * 7_000 * 2, 2)
    table, _ = found(rl.Decode(DENSE, 5.0, 1000.0))["embedding", "look up"]
    assert table.bytes == 2 * 5 * 600 * 2


def test_matrices_of_a_mixture_by_hand():
    shared = rl.Moe(8, 2, 500, shared_width=900, shared_gate=True)
    found_ = {m.name: m.elements for m in ffn.matrices(shared, 600)}
    assert found_["router"] == 600 * 8
    assert sum(found_.values()) == 600 * 8 + 3 * 600 * 900 + 600


def layer(model, layout=None):
    """Return the operations of the first layer of a model, by name."""
    cut = sections(rl.Decode(rl.model(model), 3.0, 100.0), layout or rl.Layout(), CHIP)
    return {w.name: w for s in cut if s.place == "layers" for w in s.operations}


def test_a_norm_over_all_heads_adds_up_two_sums_of_squares_a_token():
    over_all, of_each = (layer(name, rl.Layout(tp=4)) for name in ("minimax-m2.5", "qwen3-235b-a22b"))
    reduced = over_all["norm reduce"]
    assert (reduced.collective, float(reduced.size), float(reduced.group)) == ("all_reduce", 3 * 8, 4)
    # Queries of 48 / 4 heads and keys of 8 / 4, 128 wide, read in 16 bits.
    assert float(over_all["squares"].bytes) == 3 * 14 * 128 * 2
    assert "norm reduce" not in of_each


def test_a_shared_expert_with_a_gate_is_a_product_a_sigmoid_and_two_passes():
    found = layer("qwen3-next-80b-a3b")
    assert float(found["shared gate"].flops) == 2 * 3 * 2048
    assert (float(found["shared scale"].launches), float(found["shared scale"].bytes)) == (3, 5 * 3 * 2048 * 2)
    assert "shared scale" not in layer("deepseek-v3")


def test_decays_and_strengths_of_the_delta_rule_are_a_product_of_their_own():
    found = layer("qwen3-next-80b-a3b")
    # One of each for 32 heads.
    assert float(found["decay beta"].flops) == 2 * 3 * 2048 * 64
    assert float(found["in"].flops) == 2 * 3 * 2048 * (2 * 16 * 128 + 2 * 32 * 128)
    assert "decay beta" not in layer("nemotron-3-nano-30b-a3b")


def test_towers_are_stored_once_on_the_tensor_peers_of_the_first_stage():
    seeing = rl.model("qwen3.5-27b")
    assert seeing.towers
    blind = attrs.evolve(seeing, towers=())
    for tp in (1.0, 2.0):
        more, less = (memory.weights(each, rl.Layout(tp=tp)) for each in (seeing, blind))
        assert more - less == pytest.approx(memory.towers(seeing) * 2 / tp, rel=1e-6)  # bf16


@pytest.mark.parametrize("layout", [{"dp": 2}, {"replicas": 2}, {"dp": 2, "replicas": 2}])
def test_sequences_that_fit_are_those_of_every_replica_and_attention_rank(layout):
    asked = rl.Decode(rl.model("llama-3.1-8b"), 64, 4096)
    one = rl.estimate(asked, "dgx-h100", rl.Layout(tp=1))
    many = rl.estimate(asked, "dgx-h100", rl.Layout(tp=1, **layout))
    times = layout.get("dp", 1) * layout.get("replicas", 1)
    # Buffers of collectives between ranks take a little.
    assert many.max_concurrency == pytest.approx(times * one.max_concurrency, rel=0.03)


def test_an_index_scores_every_head_against_every_key():
    model = rl.model("deepseek-v3.2")
    (index,) = {run.attention.indexer for run in model.layers}
    (scores, _), *_ = (each for (_, name), each in found(rl.Decode(model, 8, 1000)).items() if name == "index scores")
    assert (index.heads, index.dim) == (64, 128)
    assert scores.flops == 2 * 64 * 128 * 8 * 1001
