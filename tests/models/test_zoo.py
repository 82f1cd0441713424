"""One decode step of each kind of architecture, worked by hand: operations and bytes of one sequence, or of a few."""

import numpy as np
import pytest

import roofline as rl
from roofline.operators import memory
from roofline.operators.operations import Op
from roofline.operators.transformer import sections
from roofline.reports.model_card import flops_per_token

CHIP = rl.Chip("made", {"bf16": 1e15, "fp8": 2e15, "fp4": 4e15}, rl.Memory(1e11, 4e12), cores=100)


def ops(question):
    """Return the operations of a pass by section and name, each with how often it is done."""
    parts = sections(question, rl.Layout(), CHIP)
    return {
        (s.name, w.name): (float(w.flops * s.times), float(w.bytes * s.times))
        for s in parts
        for w in s.operations
        if isinstance(w, Op)
    }


def test_gpt2_multi_head():
    """12 layers of 768: 4 x 768^2 of attention, 8 x 768^2 of feed-forward; a head of 50257; 12 heads of 64 see 1001 keys."""
    model = rl.model("gpt2")
    matrices = 12 * 12 * 768**2 + 50257 * 768
    assert flops_per_token(model, 1000.0) == 2 * matrices + 12 * 4 * 12 * 64 * 1001
    _, moved = ops(rl.Decode(model, 1.0, 1000.0))["attention", "attention"]
    # Keys and values of 768 each in 16 bits; a query in, an output out.
    assert moved == 12 * (1001 * 2 * 768 * 2 + 2 * 768 * 2)


def test_gpt_oss_windows_and_experts_in_four_bits():
    """18 layers see 129 keys (window 128 and the new one), 18 see 4001; 4 of 128 experts are read at 4.25 bits a weight."""
    model = rl.model("gpt-oss-120b")
    found = ops(rl.Decode(model, 1.0, 4000.0))
    full, moved = found["attention", "attention"]
    assert full == 18 * 4 * 64 * 64 * 4001
    assert moved == 18 * (4001 * 2 * 8 * 64 * 2 + 2 * 64 * 64 * 2)
    short, moved = found["attention (window 128)", "attention"]
    assert short == 18 * 4 * 64 * 64 * 128
    assert moved == 18 * (129 * 2 * 8 * 64 * 2 + 2 * 64 * 64 * 2)
    expert = 3 * 2880 * 2880 + 3 * 2880
    work, moved = found["experts", "experts"]
    assert work == pytest.approx(36 * 4 * 2 * expert)
    weights = 36 * 4 * expert * (0.5 + 1 / 32)
    assert moved == pytest.approx(weights, rel=0.02)


def test_deepseek_v32_scores_every_key_and_attends_to_2048():
    """64 index heads of 128 score 100,001 keys in fp8; 128 heads attend to 2048 latents of 576, absorbed."""
    model = rl.model("deepseek-v3.2")
    found = ops(rl.Decode(model, 1.0, 100_000.0))
    name = "latent attention (top 2048)"
    assert found[name, "index scores"][0] == 61 * 2 * 64 * 128 * 100_001
    assert found[name, "index scores"][1] == 61 * (100_001 * (128 + 4) + 64 * 128 * 2)
    assert found[name, "attention"][0] == 61 * 2 * 128 * 2048 * (576 + 512)
    assert found[name, "attention"][1] == 61 * (2048 * 576 * 2 + 128 * (576 + 512) * 2)
    assert memory.kv_bytes_per_token(model) == 61 * (576 * 2 + 128 + 4)


def test_glm_52_layers_that_use_anothers_choice_score_nothing():
    model = rl.model("glm-5.2")
    found = ops(rl.Decode(model, 1.0, 100_000.0))
    assert found["latent attention (top 2048)", "index scores"][0] == 21 * 2 * 32 * 128 * 100_001
    assert ("latent attention (top 2048, chosen before)", "index scores") not in found
    assert found["latent attention (top 2048, chosen before)", "attention"][0] == 57 * 2 * 64 * 2048 * (576 + 512)
    assert memory.kv_bytes_per_token(model) == 78 * 576 * 2 + 21 * (128 + 4)


def test_deepseek_v4_windows_and_streams():
    """A window of 128 and entries of 4 or 128 tokens, keys that are values, 512 wide, for 128 heads."""
    model = rl.model("deepseek-v4-pro")
    context = 128_000 - 1
    found = ops(rl.Decode(model, 1.0, float(context)))
    high, moved = found["compressed attention (window 128, 1 of 128)", "attention"]
    # Every one of the 1000 entries, and 128 tokens of the window.
    assert high == 31 * 4 * 512 * 128 * (128 + 1000)
    assert moved == 31 * ((129 + 1000) * 512 * 2 + 2 * 128 * 512 * 2)
    low, moved = found["compressed attention (window 128, 1 of 4, top 4096)", "attention"]
    # The best 1024 of 32,000 entries.
    assert low == 30 * 4 * 512 * 128 * (128 + 1024)
    assert moved == 30 * ((129 + 1024) * 512 * 2 + 2 * 128 * 512 * 2)
    scores, _ = found["compressed attention (window 128, 1 of 4, top 4096)", "index scores"]
    assert scores == 30 * 2 * 64 * 128 * 32_000
    kept = float(memory.kv_cache(model, rl.Layout(), 128_000.0))
    assert kept == 2 * (61 * 128 * 512 + 31 * 1000 * 512 + 30 * 32_000 * 512) + 30 * 32_000 * (128 + 4)


def test_qwen3_next_state_and_gates():
    """36 delta rules of 32 heads, 128 x 128: seven operations an element of state, which is read and written in 32 bits."""
    model = rl.model("qwen3-next-80b-a3b")
    found = ops(rl.Decode(model, 8.0, 1000.0))
    work, moved = found["linear attention", "state"]
    state = 32 * 128 * 128
    assert work == 8 * 36 * 7 * state
    taps = 3 * (2 * 16 * 128 + 32 * 128)
    assert moved == 8 * 36 * (2 * (state + taps) * 4 + 32 * (2 * 128 + 2 * 128) * 2)
    assert memory.state_bytes(model) == 36 * (state + taps) * 4
    # The gated query projection is twice as wide: 16 heads of 256 and as many gates, beside 2 + 2 heads.
    assert found["attention", "qkv"][0] == 8 * 12 * 2 * 2048 * (2 * 16 * 256 + 2 * 2 * 256)
    assert memory.kv_bytes_per_token(model) == 12 * 2 * 2 * 256 * 2


def test_mamba2_keeps_a_state_and_no_cache():
    """64 layers of 80 heads, 64 x 128: five operations an element; in-projection to 2 x 5120 + 2 x 128 + 80."""
    model = rl.model("mamba2-2.7b")
    found = ops(rl.Decode(model, 1.0, 1e5))
    assert found["linear attention", "in"][0] == 64 * 2 * 2560 * (2 * 5120 + 2 * 128 + 80)
    assert found["linear attention", "state"][0] == 64 * 5 * 80 * 64 * 128
    assert flops_per_token(model, 1.0) == flops_per_token(model, 1e6)
    assert memory.kv_bytes_per_token(model) == 0
    assert memory.state_bytes(model) == 64 * (80 * 64 * 128 + 3 * (5120 + 2 * 128)) * 4


def test_mamba_scan():
    """64 layers of 5120 channels with 16 states: nine operations a state; rank 160 for the steps."""
    model = rl.model("mamba-2.8b")
    found = ops(rl.Decode(model, 1.0, 1e5))
    assert found["scan", "state"][0] == 64 * 9 * 5120 * 16
    assert found["scan", "vectors"][0] == 64 * 2 * 5120 * (160 + 32)
    assert found["scan", "step"][0] == 64 * 2 * 160 * 5120


def test_nemotron_experts_in_a_narrower_state():
    """40 mixtures: 22 of 512 experts of 2 x 1024 x 2688, squared ReLU, behind a projection from 4096 to 1024 and before one back."""
    model = rl.model("nemotron-3-super-120b-a12b")
    found = ops(rl.Decode(model, 1.0, 1000.0))
    assert found["experts", "experts"][0] == pytest.approx(40 * 22 * 2 * 2 * 1024 * 2688)
    assert found["experts", "latent in"][0] == found["experts", "latent out"][0] == 40 * 2 * 4096 * 1024
    assert found["experts", "shared up"][0] == 40 * 2 * 4096 * 5376


def test_gemma4_layers_share_a_cache():
    """15 layers write keys and values, 20 read those of others: 12 short and 3 full of 35 count."""
    model = rl.model("gemma-4-e2b")
    assert memory.kv_bytes_per_token(model) == 2 * 2 * (12 * 256 + 3 * 512)
    found = ops(rl.Decode(model, 1.0, 1000.0))
    own, shared = found["attention", "attention"], found["attention (shared cache)", "attention"]
    assert (own[0], shared[0]) == (3 * 4 * 8 * 512 * 1001, 4 * 4 * 8 * 512 * 1001)
    # Reading costs the same whoever wrote it.
    assert shared[1] / 4 == own[1] / 3
    assert found["attention (shared cache)", "q"][0] == 4 * 2 * 1536 * 8 * 512


def test_llama4_chunks():
    """36 layers see their chunk of 8192: in a prompt of 16,384 two triangles, not a band."""
    model = rl.model("llama-4-scout-17b-16e")
    found = ops(rl.Prefill(model, 1.0, 16384.0))
    assert found["attention (chunk 8192)", "attention"][0] == 36 * 4 * 40 * 128 * 2 * (8192 * 8193 / 2)
    assert found["attention", "attention"][0] == 12 * 4 * 40 * 128 * (16384 * 16385 / 2)
    assert memory.kv_cache(model, rl.Layout(), 1e5) == 2 * 2 * 8 * 128 * (36 * 8192 + 12 * 1e5)


def test_longcat_experts_that_cost_nothing():
    """12 routes of 768, 512 with weights: 8 experts of 3 x 6144 x 2048 a token and layer on average."""
    model = rl.model("longcat-flash")
    assert ops(rl.Decode(model, 1.0, 10.0))["experts", "experts"][0] == pytest.approx(28 * 8 * 2 * 3 * 6144 * 2048)
    assert 18.6e9 < memory.active(model) < 31.3e9


def test_nas_layers_without_attention():
    """49 of 80 layers have attention: 8 key-value heads of 128."""
    model = rl.model("llama-3.3-nemotron-super-49b")
    assert memory.kv_bytes_per_token(model) == 49 * 2 * 8 * 128 * 2


@pytest.mark.parametrize(
    ("name", "elements"),
    [("kimi-k2.5", 61 * 576), ("glm-4.7-flash", 47 * 576), ("mistral-small-4-119b", 36 * 320), ("kimi-linear-48b-a3b", 6 * 576),
     ("step-3-321b", 61 * 512), ("hunyuan-large-389b", 32 * 2 * 8 * 80), ("jamba-1.5-large", 9 * 2 * 8 * 128), ("minimax-m1", 10 * 2 * 8 * 128),
     ("qwen3.5-397b-a17b", 15 * 2 * 2 * 256), ("gemma-3-27b", 62 * 2 * 16 * 128), ("falcon-7b", 32 * 2 * 64), ("minimax-m3", 60 * 1024 + 57 * 128),
     ("mimo-v2-flash", 9 * 4 * 320 + 39 * 8 * 320), ("gemma-4-31b", 50 * 2 * 16 * 256 + 10 * 2 * 4 * 512), ("mamba-2.8b", 0)],
)  # fmt: skip
def test_cached_elements_of_a_token(name, elements):
    assert memory.kv_bytes_per_token(rl.model(name), "fp8") == elements


def test_windows_bound_the_cache_of_hybrids():
    """Gemma 3 27B at 131,072 tokens: 52 layers hold 1024 of them, 10 hold all."""
    model = rl.model("gemma-3-27b")
    assert memory.kv_cache(model, rl.Layout(), 131072.0) == 2 * 2 * 16 * 128 * (52 * 1024 + 10 * 131072)


@pytest.mark.parametrize(
    ("name", "without_embedding", "alone"),
    [("gpt-oss-120b", 5_132_849_472, 4_553_716_032), ("minimax-m1", 47_174_113_280, 45_944_920_064), ("deepseek-v3.2", 37_477_128_448, 36_550_449_408),
     ("nemotron-3-ultra-550b-a55b", None, None)],
)  # fmt: skip
def test_active_parameters_by_convention(name, without_embedding, alone):
    model = rl.model(name)
    found = memory.active_by_convention(model)
    assert found["all"] > found["without_embedding"] >= found["without_embedding_and_head"]
    if alone:
        assert (found["without_embedding"], found["without_embedding_and_head"]) == (without_embedding, alone)


def test_the_fullest_stage_of_a_hybrid_holds_its_attention():
    # Jamba attends in one layer of eight; a stage of four holds none or one: 8 sequences of 1e5 tokens keep 2 x 8 x 128 x 2 bytes each.
    est = rl.estimate(rl.Decode(rl.model("jamba-v0.1"), batch=8, context=1e5), "dgx-h100", rl.Layout(pp=8))
    assert float(est.memory.kv_cache) >= 8 * 1e5 * 2 * 8 * 128 * 2
    model = rl.model("gemma-3-27b")
    degrees = np.array([1.0, 2, 4, 8])
    many = memory.kv_cache(model, rl.Layout(pp=degrees), 1e5)
    assert many == pytest.approx([float(memory.kv_cache(model, rl.Layout(pp=p), 1e5)) for p in degrees])
    assert (many * degrees >= float(many[0]) * (1 - 1e-9)).all()


@pytest.mark.parametrize(
    "field",
    [{"hc_mult": 4}, {"ngram_table_rows": 10**9}, {"initial_dense_layers": 3}, {"kv_cache_heads_shared": 4}, {"token_mixer": "rwkv"},
     {"num_meta_tokens": 128}, {"shared_moe_experts": 4}, {"adapter_rank": 64}, {"cross_attention_layers": [3, 8]}, {"qk_layernorm": True}],
)  # fmt: skip
def test_a_field_that_counts_something_is_told_whatever_else_is_in_its_name(field):
    config = {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 32000,
    }
    assert rl.model(config).warnings == ()
    (told,) = rl.model({**config, **field}).warnings
    assert next(iter(field)) in told


def test_what_a_quantiser_skips_stays_as_it_was():
    config = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32000,
              "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True, "llm_int8_skip_modules": ["self_attn", "lm_head"]}}  # fmt: skip
    formats = rl.model(config).formats
    assert (formats.attention, formats.dense) == ("bf16", "w8a16")


def test_what_an_encoder_passes_on_is_cached_once_and_not_for_each_token():
    """80 layers of self-attention and 20 of cross-attention over 4 tiles of 1,601 patches, 8 KV heads of 128, bf16."""
    model = rl.model("llama-3.2-90b-vision")
    assert memory.kv_bytes_per_token(model) == 80 * 2 * 8 * 128 * 2
    assert memory.encoded_bytes(model) == 20 * 4 * 1601 * 2 * 8 * 128 * 2
    assert memory.encoded_bytes(rl.model("llama-3.1-8b")) == 0
