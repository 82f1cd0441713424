"""Models as works: what sharding keeps and what it copies, and worked examples one can check by hand."""

import attrs
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.models.blocks import Absent
from roofline.operators import memory
from roofline.operators.operations import Op
from roofline.operators.transformer import attention, ffn, sections, stage_share
from roofline.operators.transformer.ffn.moe import imbalance
from roofline.operators.transformer.flow import attended, flow

# What every tensor peer does for itself: projections into latents, routing, norms, and the shared block's gate.
COPIED = {
    "norm", "router", "q_a", "q_a kv_a", "kv_a", "q_a kv", "look up", "project", "index q", "index k", "index scores", "index choice",
    "shared gate", "mix streams", "streams", "merge streams", "look up and gate", "spread", "latent in", "latent out",
}  # fmt: skip
# Partly copied: a whole query projection beside the latent, keys and values of fewer heads than ranks, the rows of the sampler's norm.
PARTLY = {"q kv_a", "qkv", "qkv_a", "q_a", "rotate", "in", "decay beta"}

CHIP = rl.Chip("made", {"bf16": 1e15, "fp8": 2e15, "int8": 2e15, "fp4": 4e15}, rl.Memory(1e11, 4e12), cores=100)


def works(question, layout):
    """Every work of a pass with how often it is done; the last section's works are keyed apart."""
    return [(s.name, w, s.times) for s in sections(question, layout, CHIP) for w in s.operations]


def flops(question, layout):
    return {(s, w.name): w.flops * n for s, w, n in works(question, layout) if isinstance(w, Op)}


@given(st.data())
def test_tensor_parallelism_conserves_flops(data):
    model = data.draw(made.models(ffns=made.denses))
    question = data.draw(made.questions(model))
    tp = data.draw(st.sampled_from([t for t in (1, 2, 4, 8) if all(r.attention.heads % t == 0 for r in model.layers)]))
    whole, part = flops(question, rl.Layout()), flops(question, rl.Layout(tp=tp))
    assert whole.keys() == part.keys()
    for key, count in whole.items():
        name = key[1]
        if name in PARTLY or key[0] == "per-layer embedding":
            assert count * (1 - 1e-9) <= tp * part[key] <= tp * count * (1 + 1e-9)
        elif name in COPIED:
            assert part[key] == pytest.approx(count)
        else:
            assert tp * part[key] == pytest.approx(count), name


@given(st.data())
def test_experts_are_conserved_over_shards(data):
    model = data.draw(made.models(ffns=made.moes))
    model = attrs.evolve(model, layers=model.layers[:1])
    moe = model.layers[0].ffn
    dp = data.draw(st.sampled_from([1, 2, 8, 32]))
    ep = data.draw(st.sampled_from([e for e in (1, 2, 4, 8, 32) if dp % e == 0 and moe.experts % e == 0]))
    batch = 1024.0 * dp
    question = rl.Decode(model, batch, 128.0, imbalance=1.0)
    one = flops(question, rl.Layout())[("experts", "experts")]
    cut = flops(question, rl.Layout(dp=dp, ep=ep))[("experts", "experts")]
    assert dp * cut == pytest.approx(one)


def test_uneven_experts_wait_for_the_fullest():
    # 256 experts on 72 shards: 4 on the fullest against 3.56 on average.
    model = rl.model("deepseek-v3")
    question = rl.Decode(model, 7200.0, 1024.0, imbalance=1.0)
    even = flops(question, rl.Layout())[("experts", "experts")]
    cut = flops(question, rl.Layout(dp=72, ep=72))[("experts", "experts")]
    assert 72 * cut / even == pytest.approx(72 * 4 / 256)
    # 32 redundant copies make it even again: 288 = 72 x 4.
    copied = flops(question, rl.Layout(dp=72, ep=72, redundant_experts=32))[("experts", "experts")]
    assert 72 * copied == pytest.approx(even)
    # Drawn at random, 7200 x 8 rows on 72 shards, 800 each on average, leave 1 + sqrt(2 ln 72 / 800) of that on the fullest.
    drawn = flops(attrs.evolve(question, imbalance=None), rl.Layout(dp=72, ep=72))[("experts", "experts")]
    assert drawn / cut == pytest.approx(1 + np.sqrt(2 * np.log(72) / 800))


@pytest.mark.parametrize(("shards", "each"), [(256, 32), (256, 8), (256, 1024), (64, 32), (64, 128)])
def test_the_fullest_shard_is_that_of_balls_thrown_into_bins(shards, each):
    dice = np.random.default_rng(1)
    thrown = [np.bincount(dice.integers(shards, size=shards * each), minlength=shards).max() for _ in range(200)]
    fullest = np.mean(thrown) / each
    if (shards, each) == (256, 32):
        assert fullest == pytest.approx(1.54, abs=0.02)
    # The law is a little above, by no more than a twentieth.
    assert fullest <= imbalance(float(shards * each), float(shards)) <= 1.06 * fullest


@given(made.floats(1, 1e7), made.floats(1, 1e4), made.floats(1, 1e3))
def test_the_fullest_shard_has_more_of_more_tokens_and_evens_out(tokens, shards, factor):
    one, more = (float(imbalance(t, shards)) for t in (tokens, factor * tokens))
    assert 1 <= more <= one * (1 + 1e-12)
    assert one <= shards
    assert more * factor * tokens >= one * tokens * (1 - 1e-12)
    assert imbalance(tokens, 1.0) == 1
    assert imbalance(0.0, shards) == shards


@given(st.floats(1, 64), st.floats(1, 64))
def test_uneven_routing_makes_the_experts_and_their_messages_wait(less, more):
    model, layout = rl.model("deepseek-v3"), rl.Layout(dp=64, ep=64)
    low, high = sorted((less, more))
    found = [
        {w.name: w for _, w, _ in works(rl.Decode(model, 4096.0, 100.0, imbalance=u), layout)}
        for u in (1.0, low, high, 64.0, 1000.0)
    ]
    even = found[0]["experts"]
    for u, each in zip((1.0, low, high, 64.0, 64.0), found, strict=True):
        # Rows and what goes out grow as the fullest shard's load; its useful part is as much less. All on one shard is the most.
        assert each["experts"].flops == pytest.approx(u * even.flops)
        assert each["experts"].staging <= u * even.staging * (1 + 1e-9)
        assert each["experts"].useful * u == pytest.approx(even.useful)
        assert each["dispatch"].size == pytest.approx(u * found[0]["dispatch"].size)
        assert each["combine"].size == pytest.approx(u * found[0]["combine"].size)
        assert even.bytes <= each["experts"].bytes * (1 + 1e-12)
    # Without shards there is nothing to be uneven.
    alone = [flops(rl.Decode(model, 64.0, 100.0, imbalance=u), rl.Layout()) for u in (None, 1.0, high)]
    assert alone[0] == alone[1] == alone[2]


def test_a_measured_imbalance_takes_the_place_of_the_law():
    rack, model, layout = rl.system("gb200-nvl72"), rl.model("deepseek-v3"), rl.Layout(dp=64, ep=64)

    def step(imbalance, question=rl.Decode, which=0):
        if question is rl.Serve:
            asked = rl.Serve(model, concurrency=4096, imbalance=imbalance)
        else:
            asked = question(model, 4096.0, 1024.0, imbalance=imbalance)
        return float(rl.estimate(asked, rack, layout).steps[which].time)

    law = 1 + np.sqrt(2 * np.log(64) / (4096 * 8 / 64))
    assert step(None) == pytest.approx(step(law), rel=1e-12)
    # A service has prompts, decode steps and both at once.
    for asked in ((rl.Decode,), (rl.Prefill,), (rl.Serve, 0), (rl.Serve, 1), (rl.Serve, 2)):
        assert step(1.0, *asked) < step(None, *asked) < step(3.0, *asked) < step(6.0, *asked)
    with pytest.raises(rl.QuestionError, match=r"imbalance=0\.5"):
        rl.Decode(model, 8.0, 100.0, imbalance=0.5)


@given(st.data())
def test_data_parallelism_and_pipelining_share_out_the_batch(data):
    model = data.draw(made.models(ffns=made.denses))
    lanes, pp = data.draw(st.sampled_from([1, 2, 4, 8])), data.draw(st.sampled_from([1, 2, 4]))
    question = rl.Decode(model, 64.0 * lanes * pp, 1000.0)
    assume(pp <= model.depth)
    whole = rl.Layout()
    cut = rl.Layout(replicas=lanes, pp=pp)
    uneven = float(stage_share(model, float(pp)))
    for key, count in flops(question, whole).items():
        part = flops(question, cut)[key] * lanes * pp
        # The fullest stage sets the pace of all, and in decode the last one has the head besides.
        waits = float(pp) if key[0] == "head" else 1.0 if key[0] in ("embedding", "pipeline") else uneven
        assert part == pytest.approx(count * waits)


@given(st.data())
def test_tp_1_sends_nothing(data):
    model = data.draw(made.models())
    question = data.draw(made.questions(model))
    rack = rl.system("dgx-h100")
    silent = rl.estimate(question, rack, rl.Layout(), level="generic")
    assert silent.steps[0].network == 0.0


@given(st.data())
def test_weights_on_all_ranks_hold_the_model(data):
    model = attrs.evolve(data.draw(made.models()), formats=rl.Formats())
    layout = data.draw(made.layouts(model))
    held = memory.weights(model, layout) * layout.tp * layout.pp * layout.dp
    norms = memory.parameters(model)["norm"]
    assert held >= (memory.total(model) - norms) * 2 * (1 - 1e-9)


@given(st.data())
def test_weights_of_heads_and_experts_are_not_copied(data):
    mixer = attrs.evolve(data.draw(made.gqas(indexer=st.none())), q_rank=None)
    block = data.draw(made.denses | made.moes.map(lambda m: attrs.evolve(m, shared_width=0, latent=0)))
    model = rl.Model("made", 4096, 32000, (rl.Layers(8, mixer, block),))
    tp = data.draw(st.sampled_from([t for t in (1, 2, 4, 8) if mixer.kv_heads % t == 0]))
    pp = data.draw(st.sampled_from([1, 2]))
    layout = rl.Layout(tp=tp, pp=pp, ep=1)
    counts = memory.parameters(model)
    everything = sum(counts.values()) - counts["norm"] - counts["router"]
    router = counts["router"] * tp
    assert memory.weights(model, layout) * tp * pp == pytest.approx((everything + router) * 2)


@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from([None, 1, 7, 100, 1000]))
def test_attended_pairs_are_counted_one_by_one(new, past, window):
    pairs = sum(min(past + i, window or 10**9) for i in range(1, new + 1))
    assert float(attended(float(new), float(past), window)) == pairs


# Worked examples -----------------------------------------------------------------------------------------------------------


def test_llama_8b_decode_by_hand():
    """One sequence at a context of 1000: 2 FLOP a weight, and 4 x 32 heads x 128 for each of 1001 keys and layer."""
    model = rl.model("llama-3.1-8b")
    question = rl.Decode(model, 1.0, 1000.0)
    found = flops(question, rl.Layout())
    matrices = 32 * (4096 * (4096 + 1024 + 1024) + 4096 * 4096 + 3 * 4096 * 14336) + 4096 * 128256
    attention = 32 * 4 * 32 * 128 * 1001
    assert sum(found.values()) == pytest.approx(2 * matrices + attention)
    seen = {(s, w.name): w.bytes * n for s, w, n in works(question, rl.Layout()) if isinstance(w, Op)}
    # Cache: 32 layers x 1001 tokens x 2 x 8 heads x 128 x 2 B, and a query and an output of 4096 x 2 B each.
    assert seen[("attention", "attention")] == pytest.approx(32 * (1001 * 2 * 8 * 128 * 2 + 2 * 4096 * 2))
    weights = 2 * matrices
    assert sum(v for (_, n), v in seen.items() if n in ("qkv", "o", "up", "down", "head")) == pytest.approx(
        weights, rel=1e-3
    )


def test_deepseek_decode_by_hand():
    """Absorbed latent attention: 128 heads, each key costs 2 x (576 + 512); the cache is 576 x 2 B a token for all heads."""
    model = rl.model("deepseek-v3")
    question = rl.Decode(model, 1.0, 999.0)
    found = flops(question, rl.Layout())
    assert found[("latent attention", "attention")] == pytest.approx(61 * 2 * 128 * 1000 * (576 + 512))
    assert found[("experts", "experts")] == pytest.approx(58 * 2 * 3 * 7168 * 2048 * 8)
    assert found[("dense ffn", "up")] == pytest.approx(3 * 2 * 7168 * 2 * 18432)
    seen = {(s, w.name): w.bytes * n for s, w, n in works(question, rl.Layout()) if isinstance(w, Op)}
    assert seen[("latent attention", "attention")] == pytest.approx(61 * (1000 * 576 * 2 + 128 * (576 + 512) * 2))


def test_deepseek_prefill_by_hand():
    """Expanded: 128 heads of 192 + 128; a prompt of 4096 has 4096 x 4097 / 2 pairs."""
    model = rl.model("deepseek-v3")
    found = flops(rl.Prefill(model, 1.0, 4096.0), rl.Layout())
    assert found[("latent attention", "attention")] == pytest.approx(61 * 2 * 128 * (4096 * 4097 / 2) * (192 + 128))
    assert found[("latent attention", "expand kv")] == pytest.approx(61 * 2 * 4096 * 512 * 128 * (128 + 128))


def test_mixtral_experts_by_hand():
    """32 tokens over 8 experts, 2 each: 8 (1 - (6/8)^32) of them are read; 2 x 3 x 4096 x 14336 FLOP for each of 64 rows."""
    model = rl.model("mixtral-8x7b")
    question = rl.Decode(model, 32.0, 100.0)
    experts = next(w for s, w, _ in works(question, rl.Layout()) if w.name == "experts")
    assert experts.flops == pytest.approx(64 * 2 * 3 * 4096 * 14336)
    assert experts.bytes == pytest.approx(8 * (1 - 0.75**32) * 3 * 4096 * 14336 * 2)
    # 32 tokens are read and written; 64 rows are gathered and added up, 4096 wide, and are 2 x 14336 and 14336 in between.
    assert experts.staging == pytest.approx(32 * 4096 * 4 + 64 * (4096 * (4 + 4) + 14336 * (2 * 4 + 4)))
    assert (experts.items, experts.launches) == (8.0, 1.0)


def test_dispatch_by_hand():
    """64 tokens a rank, 7168 bytes and their scales each, to 8 experts on 64 shards; they come back in 16 bits."""
    model = rl.model("deepseek-v3")
    question = rl.Decode(model, 64.0 * 64, 100.0, imbalance=1.0)
    found = {w.name: w for _, w, _ in works(question, rl.Layout(dp=64, ep=64))}
    assert found["dispatch"].size == pytest.approx(64 * 7168 * (1 + 4 / 128))
    assert found["combine"].size == pytest.approx(64 * 7168 * 2)
    for name in ("dispatch", "combine"):
        assert (found[name].collective, found[name].group, found[name].stride, found[name].copies) == (
            name,
            64.0,
            1.0,
            8.0,
        )
    # Where tensor peers share an expert each of them gets a copy, and each sends its part of the tokens.
    cut = {w.name: w for _, w, _ in works(question, rl.Layout(tp=2, dp=32, ep=32))}
    assert (cut["dispatch"].group, cut["dispatch"].copies) == (64.0, 16.0)
    assert cut["dispatch"].size == pytest.approx(found["dispatch"].size)


def test_the_parts_of_the_law_by_hand():
    """Depths, items, exponentials and passes around of Llama-3.1-8B in fp8: 32 heads and 8 of keys, blocks of 128 queries."""
    model = rl.model("llama-3.1-8b", dtype="fp8")
    decode = {w.name: w for _, w, _ in works(rl.Decode(model, 4.0, 999.0), rl.Layout())}
    down, attention = decode["down"], decode["attention"]
    # The input of 14336 is read in 16 bits and written in 8 by a kernel of its own, then read in 8.
    assert (down.depth, down.launches, down.items) == (14336, 2.0, 0.0)
    assert down.staging == 4 * 14336 * (2 + 1)
    assert down.bytes == 4096 * 14336 + 4 * (14336 + 4096 * 2)
    assert down.traffic == down.bytes + down.staging
    # Four caches of 8 heads; each of 4 x 32 queries sees 1000 keys, one after another.
    assert (attention.depth, attention.items, attention.scores) == (1000, 4 * 8, 4 * 32 * 1000)
    prompt = {w.name: w for _, w, _ in works(rl.Prefill(model, 2.0, 300.0), rl.Layout())}["attention"]
    assert (prompt.depth, prompt.items, prompt.scores) == (300, 2 * 32 * 3, 2 * 32 * 300 * 301 / 2)
    # In 16 bits nothing is quantised first. Two peers cut the depth of what they add up, and the heads.
    plain = {w.name: w for _, w, _ in works(rl.Decode(rl.model("llama-3.1-8b"), 4.0, 999.0), rl.Layout(tp=2))}
    assert (plain["down"].depth, plain["down"].launches, plain["down"].staging) == (7168, 1.0, 0.0)
    assert (plain["qkv"].depth, plain["attention"].items, plain["attention"].scores) == (4096, 4 * 4, 4 * 16 * 1000)
    # The draw of a token is a class of its own.
    assert (decode["sample"].kernel, decode["sample"].launches) == ("sampling", 3.0)


def test_drafts_widen_the_step_and_cost_their_module():
    model = rl.model("deepseek-v3")
    plain = flops(rl.Decode(model, 8.0, 1000.0), rl.Layout())
    drafted = flops(rl.Decode(model, 8.0, 1000.0, draft_tokens=1, accept_length=1.7), rl.Layout())
    assert drafted[("dense ffn", "up")] == pytest.approx(2 * plain[("dense ffn", "up")])
    assert drafted[("draft", "project")] == pytest.approx(8 * 2 * 2 * 7168 * 7168)
    assert not any(section == "draft" for section, _ in plain)


def test_sequence_parallelism_moves_the_same_bytes():
    model = rl.model("llama-3.1-70b")
    question = rl.Prefill(model, 1.0, 8192.0)
    plain = {w.name: w for _, w, _ in works(question, rl.Layout(tp=8))}
    split = {w.name: w for _, w, _ in works(question, rl.Layout(tp=8, sequence_parallel=True))}
    assert {n for n in plain if "reduce" in n} == {"embedding reduce", "attention reduce", "ffn reduce"}
    assert {n for n in split if "scatter" in n} == {"embedding scatter", "attention scatter", "ffn scatter"}
    assert split["ffn gather"].size == plain["ffn reduce"].size
    assert split["norm"].bytes == pytest.approx(plain["norm"].bytes / 8) or split["norm"].bytes == plain["norm"].bytes


@pytest.mark.parametrize("name", made.MODELS)
def test_a_layer_is_a_few_to_thirty_operations(name):
    model = rl.model(name)
    for question in (rl.Decode(model, 8.0, 100.0), rl.Prefill(model, 1.0, 100.0)):
        p = flow(question, rl.Layout(tp=1), CHIP)
        for run in model.layers:
            count = len(attention.operations(run.attention, p)) + len(ffn.operations(run.ffn, p))
            # A layer from which both parts were pruned has nothing to do.
            assert count == 0 if run.attention == run.ffn == Absent() else 4 <= count <= 30


@pytest.mark.parametrize("name", made.MODELS)
def test_every_model_is_priced(name):
    model = rl.model(name)
    for question in (rl.Decode(model, 64.0, 3000.0), rl.Prefill(model, 4.0, 3000.0)):
        parts = sections(question, rl.Layout(tp=2), CHIP)
        assert len({part.name for part in parts}) == len(parts)
        found = flops(question, rl.Layout())
        assert all(np.isfinite(count) and count >= 0 for count in found.values())
        # A token costs two operations for every parameter of a matrix that it meets, and its attention besides.
        tokens = 64.0 if isinstance(question, rl.Decode) else 4 * 3000.0
        inside = memory.active_by_convention(model)["without_embedding_and_head"]
        inside -= memory.parameters(model)["norm"]
        layers = sum(count for (section, _), count in found.items() if section != "head")
        assert layers > 2 * tokens * inside * 0.99


def test_one_pass_counts_the_fullest_rank():
    model = rl.model("deepseek-v3")
    (stream,) = flow(rl.Decode(model, 100.0, 10.0), rl.Layout(dp=64, ep=64), CHIP).streams
    assert (float(stream.sequences), float(stream.group)) == (2.0, 100.0)
    # Replicas and micro-batches go on their own: on average they share evenly.
    (stream,) = flow(rl.Decode(model, 100.0, 10.0), rl.Layout(pp=4, replicas=2), CHIP).streams
    assert float(stream.sequences) == 100 / 8


def test_a_chip_that_cannot_multiply():
    chip = rl.Chip("odd", {"int8": 1e15}, rl.Memory(1e11, 4e12))
    with pytest.raises(rl.QuestionError, match="odd cannot multiply it: it has int8"):
        sections(rl.Decode(rl.model("llama-3.1-8b"), 8.0, 100.0), rl.Layout(), chip)
