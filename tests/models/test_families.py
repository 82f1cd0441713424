"""Families of recent checkpoints, draft models, encoders, towers and files of other tools: small configs, counts worked by hand."""

import pytest

import roofline as rl
from roofline.models.huggingface import FAMILIES, model
from roofline.operators import memory

KIB = 1024
# 2 layers of hidden 1024, 8 heads of 128, 8 key-value heads, feed-forward 4096, vocabulary 8192: embedding and head of 8 Mi each.
BASE = {
    "hidden_size": KIB, "intermediate_size": 4 * KIB, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 128,
    "num_hidden_layers": 2, "vocab_size": 8 * KIB, "tie_word_embeddings": False,
}  # fmt: skip
MEBI = KIB**2
TABLES, ATTENTION, FFN = 16 * MEBI, 4 * MEBI, 12 * MEBI
MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": KIB}
MAMBA = {"mamba_n_heads": 16, "mamba_d_head": 128, "mamba_d_state": 128, "mamba_n_groups": 1, "mamba_d_conv": 4}
# In: two inner widths of 2048, keys and queries of 128, a step a head; out.
SSD = KIB * (2 * 2048 + 2 * 128 + 16) + 2048 * KIB

TRIED = {
    "ministral": (BASE, TABLES + 2 * (ATTENTION + FFN)), "ministral3": (BASE, TABLES + 2 * (ATTENTION + FFN)), "mistral3": (BASE, TABLES + 2 * (ATTENTION + FFN)),
    "exaone": (BASE, TABLES + 2 * (ATTENTION + FFN)), "exaone4": ({**BASE, "sliding_window": 512}, TABLES + 2 * (ATTENTION + FFN)), "exaone4_5": (BASE, TABLES + 2 * (ATTENTION + FFN)),
    "smollm3": (BASE, TABLES + 2 * (ATTENTION + FFN)), "granite": (BASE, TABLES + 2 * (ATTENTION + FFN)), "minicpm": (BASE, TABLES + 2 * (ATTENTION + FFN)),
    "cohere": (BASE, TABLES + 2 * (ATTENTION + FFN)), "cohere2": ({**BASE, "tie_word_embeddings": True, "sliding_window": 512}, TABLES / 2 + 2 * (ATTENTION + FFN)),
    "apertus": (BASE, TABLES + 2 * (ATTENTION + 8 * MEBI)), "arcee": (BASE, TABLES + 2 * (ATTENTION + 8 * MEBI)), "starcoder2": (BASE, TABLES + 2 * (ATTENTION + 8 * MEBI)),
    "stablelm": (BASE, TABLES + 2 * (ATTENTION + FFN)), "internlm": (BASE, TABLES + 2 * (ATTENTION + FFN)), "internlm2": (BASE, TABLES + 2 * (ATTENTION + FFN)),
    "internlm3": (BASE, TABLES + 2 * (ATTENTION + FFN)), "glm": (BASE, TABLES + 2 * (ATTENTION + FFN)), "glm4": (BASE, TABLES + 2 * (ATTENTION + FFN)),
    "glm4v": (BASE, TABLES + 2 * (ATTENTION + FFN)), "glm46v": (BASE, TABLES + 2 * (ATTENTION + FFN)), "qwen": ({**BASE, "intermediate_size": 8 * KIB}, TABLES + 2 * (ATTENTION + FFN)),
    "chatglm": ({**BASE, "intermediate_size": None, "ffn_hidden_size": 4 * KIB, "multi_query_attention": True, "multi_query_group_num": 8}, TABLES + 2 * (ATTENTION + FFN)),
    "ernie4_5": (BASE, TABLES + 2 * (ATTENTION + FFN)), "hunyuan_v1_dense": (BASE, TABLES + 2 * (ATTENTION + FFN)), "baichuan": (BASE, TABLES + 2 * (ATTENTION + FFN)),
    "PanguEmbedded": ({**BASE, "bias": True}, TABLES + 2 * (ATTENTION + FFN)), "pangu_embedded": ({**BASE, "bias": True}, TABLES + 2 * (ATTENTION + FFN)),
    "qwen2_5_omni": (BASE, TABLES + 2 * (ATTENTION + FFN)), "qwen3_omni_moe": ({**BASE, **MOE, "num_experts": 8}, TABLES + 2 * (ATTENTION + 8 * 3 * MEBI)),
    "glm4v_moe": ({**BASE, **MOE, "n_routed_experts": 8, "n_shared_experts": 1, "first_k_dense_replace": 1}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    "dots1": ({**BASE, **MOE, "n_routed_experts": 8, "n_shared_experts": 1, "first_k_dense_replace": 1}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    "deepseek": ({**BASE, **MOE, "n_routed_experts": 8, "n_shared_experts": 1, "first_k_dense_replace": 1}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    "dbrx": ({"d_model": KIB, "n_heads": 8, "n_layers": 2, "vocab_size": 8 * KIB, "attn_config": {"kv_n_heads": 8},
              "ffn_config": {"ffn_hidden_size": KIB, "moe_num_experts": 8, "moe_top_k": 2}}, TABLES + 2 * (ATTENTION + 24 * MEBI)),
    # The dense block beside the experts is as wide as the hidden state.
    "arctic": ({**BASE, "intermediate_size": KIB, "num_local_experts": 8, "num_experts_per_tok": 2}, TABLES + 2 * (ATTENTION + 27 * MEBI)),
    # One table for embedding and head, and one of 2048 positions.
    "gpt_neo": ({"hidden_size": KIB, "num_heads": 8, "num_layers": 2, "vocab_size": 8 * KIB}, 10 * MEBI + 2 * (ATTENTION + 8 * MEBI)),
    "exaone_moe": ({**BASE, **MOE, "num_experts": 8, "num_shared_experts": 1, "sliding_window": 512, "is_moe_layer": [False, True]}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    # Twice the heads in the second layer, a gate a head; the first layer dense.
    "laguna": ({**BASE, **MOE, "num_experts": 8, "shared_expert_intermediate_size": KIB, "mlp_only_layers": [0], "gating": "per-head", "num_attention_heads_per_layer": [8, 16]},
               TABLES + 2 * ATTENTION + 2 * MEBI + FFN + 27 * MEBI),
    "bailing_moe": ({**BASE, **MOE, "num_experts": 8, "num_shared_experts": 1, "first_k_dense_replace": 1}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    "bailing_moe_v2": ({**BASE, **MOE, "num_experts": 8, "num_shared_experts": 1, "first_k_dense_replace": 1}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    "bailing_moe_linear": ({**BASE, **MOE, "num_experts": 8, "num_shared_experts": 1, "layer_group_size": 2}, TABLES + 9 * MEBI + 2 * 27 * MEBI),
    "bailing_moe_v2_5": ({**BASE, **MOE, "num_experts": 8, "num_shared_experts": 1, "layer_group_size": 2}, TABLES + 9 * MEBI + 2 * 27 * MEBI),
    # A gate as wide as the queries.
    "muse_glimmer": ({**BASE, "sliding_window": 512}, TABLES + 2 * (5 * MEBI + FFN)),
    "afmoe": ({**BASE, **MOE, "num_experts": 8, "num_shared_experts": 1, "num_dense_layers": 1, "sliding_window": 512}, TABLES + 2 * 5 * MEBI + FFN + 27 * MEBI),
    "granitemoe": ({**BASE, "num_experts_per_tok": 2, "num_local_experts": 8, "intermediate_size": KIB}, TABLES + 2 * (ATTENTION + 24 * MEBI)),
    "granitemoeshared": ({**BASE, "num_experts_per_tok": 2, "num_local_experts": 8, "intermediate_size": KIB, "shared_intermediate_size": KIB}, TABLES + 2 * (ATTENTION + 27 * MEBI)),
    "inkling": ({**BASE, **MOE, "n_routed_experts": 8, "n_shared_experts": 1, "dense_mlp_idx": 1, "dense_intermediate_size": 4 * KIB, "sliding_window_size": 512}, TABLES + 2 * ATTENTION + FFN + 27 * MEBI),
    "kimi_vl": ({**BASE, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 0, "v_head_dim": 128}, TABLES + 2 * (3.5 * MEBI + FFN)),
    "deepseek_vl_v2": ({**BASE, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 0, "v_head_dim": 128}, TABLES + 2 * (3.5 * MEBI + FFN)),
    # Three projections in and one out; the width of the feed-forward is two thirds of 6144.
    "lfm2": ({**BASE, "intermediate_size": 6 * KIB, "layer_types": ["conv", "full_attention"]}, TABLES + 2 * (4 * MEBI + FFN)),
    "lfm2_moe": ({**BASE, **MOE, "num_experts": 8, "num_dense_layers": 1, "layer_types": ["conv", "full_attention"]}, TABLES + 2 * 4 * MEBI + FFN + 24 * MEBI),
    "granitemoehybrid": ({**BASE, **MAMBA, "shared_intermediate_size": 4 * KIB, "layer_types": ["mamba", "attention"]}, TABLES + SSD + ATTENTION + 2 * FFN),
    "bamba": ({**BASE, **MAMBA, "attn_layer_indices": [1]}, TABLES + SSD + ATTENTION + 2 * FFN), "falcon_h1": ({**BASE, **MAMBA, "mamba_d_ssm": 2048}, TABLES + 2 * (SSD + ATTENTION + FFN)),
    "bert": (BASE, TABLES / 2 + 514 * KIB + 2 * (ATTENTION + 8 * MEBI)), "roberta": (BASE, TABLES / 2 + 514 * KIB + 2 * (ATTENTION + 8 * MEBI)), "xlm-roberta": (BASE, TABLES / 2 + 514 * KIB + 2 * (ATTENTION + 8 * MEBI)),
    "modernbert": (BASE, TABLES / 2 + 2 * (ATTENTION + FFN)), "nomic_bert": ({**BASE, "intermediate_size": None, "n_inner": 4 * KIB}, TABLES / 2 + 2 * (ATTENTION + FFN)),
    "mllama": ({**BASE, "cross_attention_layers": [1]}, TABLES + 2 * (ATTENTION + FFN)),
}  # fmt: skip
OTHERS = {
    "whisper",
    "peer",
    "peer_latent",
    "inkling_mm_model",
    "inkling_model",
    "ernie4_5_moe_vl",
    "ernie4_5_vl",
    "ernie4_5_vl_moe",
}
"""Families that tests below try, and the names of wholes."""


@pytest.mark.parametrize("family", sorted(TRIED))
def test_parameters_by_hand(family):
    config, count = TRIED[family]
    made = model({"model_type": family, **config})
    assert memory.total(made) == pytest.approx(count, rel=0.004)
    assert made.warnings == ()


def test_whisper_tiny_has_a_decoder_that_reads_an_encoder():
    """Whisper tiny has 37.8 M parameters (OpenAI's model card: 39 M); a decode step reads keys of 1,500 states a layer."""
    config = {
        "model_type": "whisper", "d_model": 384, "decoder_layers": 4, "decoder_attention_heads": 6, "decoder_ffn_dim": 1536, "encoder_layers": 4, "encoder_ffn_dim": 1536,
        "vocab_size": 51865, "num_mel_bins": 80, "max_source_positions": 1500, "max_target_positions": 448,
    }  # fmt: skip
    made = model(config)
    assert memory.total(made) == pytest.approx(37_760_640, rel=2e-3)
    kept = float(memory.kv_cache(made, rl.Layout(), 10.0))
    assert kept == 4 * (10 + 1500) * 2 * 384 * 2


def test_experts_of_images_are_held_and_not_met():
    config = {
        **BASE,
        "model_type": "ernie4_5_moe_vl",
        "moe_num_experts": [8, 8],
        "moe_intermediate_size": [KIB, 512],
        "moe_k": 2,
        "moe_num_shared_experts": 0,
        "moe_layer_start_index": [0, 0],
    }
    made = model(config)
    assert memory.total(made) == pytest.approx(TABLES + 2 * (ATTENTION + 24 * MEBI + 12 * MEBI), rel=2e-3)
    assert "experts of images" in " ".join(made.notices)
    assert memory.active(made) == pytest.approx(TABLES + 2 * (ATTENTION + 6 * MEBI), rel=2e-3)


# A draft model of hidden 1024: fc of 3 to 1, queries keys and values twice as wide, a head over 4096 drafts, no embedding.
EAGLE = {
    **BASE,
    "model_type": "llama",
    "num_hidden_layers": 1,
    "architectures": ["LlamaForCausalLMEagle3"],
    "draft_vocab_size": 4 * KIB,
}
BLOCK = {
    **BASE,
    "model_type": "qwen3",
    "architectures": ["DFlashDraftModel"],
    "dflash_config": {"target_layer_ids": [1, 2, 3, 4, 5]},
    "block_size": 16,
}


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (EAGLE, (3 + 7 + 12 + 4) * MEBI), ({**EAGLE, "architectures": ["Eagle3LlamaForCausalLM"]}, 26 * MEBI),
        ({**EAGLE, "eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 2, 3, 4]}}, 27 * MEBI),
        ({**EAGLE, "architectures": ["PEagleLlamaForCausalLM"], "num_hidden_layers": 2}, 26 * MEBI + ATTENTION + FFN),
        ({"architectures": ["Eagle3Speculator"], "speculators_model_type": "eagle3", "draft_vocab_size": 4 * KIB, "transformer_layer_config": {**BASE, "model_type": "llama", "num_hidden_layers": 1}}, 26 * MEBI),
        ({**EAGLE, "architectures": ["EagleLlamaForCausalLM"], "draft_vocab_size": None}, 2 * MEBI + ATTENTION + FFN),
        (BLOCK, 5 * MEBI + 2 * (ATTENTION + FFN)), ({**BLOCK, "architectures": ["DominoDraftModel"]}, 5 * MEBI + 2 * (ATTENTION + FFN)),
        ({**BLOCK, "architectures": ["DSparkDraftModel"], "dflash_config": {"target_layer_ids": [1, 2], "markov_rank": 256}}, 2 * MEBI + 2 * (ATTENTION + FFN)),
        ({**BLOCK, "architectures": ["QwenDFlareDraftModel"], "dflash_config": None, "target_layer_ids": [1, 2, 3]}, 3 * MEBI + 2 * (ATTENTION + FFN)),
        ({**BASE, "model_type": "qwen3_next_mtp", "architectures": ["Qwen3MTP"], "linear_num_key_heads": 8, "linear_num_value_heads": 8, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
          "layer_types": ["linear_attention", "full_attention"]}, 2 * MEBI + 5 * MEBI + FFN),
    ],
)  # fmt: skip
def test_draft_models_by_hand(config, count):
    made = model(config)
    assert made.role == "draft"
    assert memory.total(made) == pytest.approx(count, rel=1e-3)
    assert "is a draft model" in " ".join(made.notices)


def test_a_target_with_its_draft_model():
    target = model({**BASE, "model_type": "llama", "num_hidden_layers": 32})
    draft = model(EAGLE)
    both = target.with_draft(draft)
    more = float(memory.weights(both, rl.Layout(), drafting=True) - memory.weights(target, rl.Layout()))
    assert more == pytest.approx(2 * 26 * MEBI, rel=1e-3)
    times = [
        float(
            rl.estimate(
                rl.Decode(m, batch=8, context=1024, draft_tokens=d, accept_length=1.0), "dgx-h100", rl.Layout()
            ).tpot
        )
        for m, d in ((both, 1.0), (both, 4.0), (target.with_draft(model(BLOCK)), 4.0))
    ]
    # Each token of EAGLE takes a pass; a block takes one.
    assert times[0] < times[2] < times[1]
    with pytest.raises(rl.QuestionError, match="must be a model that proposes"):
        target.with_draft(model({"model_type": "bert", **BASE}))


def test_an_encoder_reads_and_generates_nothing():
    made = model({"model_type": "bert", **BASE})
    assert float(rl.estimate(rl.Prefill(made, batch=8, input=512), "dgx-h100", rl.Layout()).ttft) > 0
    with pytest.raises(rl.QuestionError, match="is an encoder"):
        rl.Decode(made, batch=1, context=128)


def test_a_vision_tower_is_counted_and_told():
    """Qwen2.5-VL-7B has 8,292,166,656 parameters (Transformers' own count), 676,550,144 of them in its tower."""
    config = {
        "model_type": "qwen2_5_vl", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_key_value_heads": 4, "num_hidden_layers": 28,
        "vocab_size": 152064, "tie_word_embeddings": False, "vision_config": {"depth": 32, "hidden_size": 1280},
    }  # fmt: skip
    made = model(config)
    assert memory.total(made) == 8_292_166_656
    (notice,) = made.notices
    assert "vision tower (0.677 B); the time of these is left out" in notice
    est = rl.estimate(rl.Decode(made, batch=8, context=1024), "dgx-h100", rl.Layout())
    assert notice in est.assumptions


def test_a_part_that_cannot_be_counted_is_told():
    made = model({"model_type": "qwen2", **BASE, "talker_config": {"hidden_size": 8}})
    assert any("talker is not counted" in warning for warning in made.warnings)


def test_architectures_are_read():
    built = {**BASE, "architectures": ["Qwen3ForCausalLM"]}
    assert model(built).family == "qwen3"
    (warning,) = model({**built, "model_type": "llama"}).warnings
    assert "names qwen3, model_type names llama" in warning


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({"model_type": "dense", "head_num": 8, "kv_head_num": 8, "head_size": 128, "layer_num": 2, "hidden_size": KIB, "intermediate_size": 4 * KIB, "vocab_size": 8 * KIB, "use_swiglu": True},
         TABLES + 2 * (ATTENTION + FFN)),
        ({"model_type": "moe", "head_num": 8, "kv_head_num": 8, "layer_num": 2, "hidden_size": KIB, "intermediate_size": 4 * KIB, "vocab_size": 8 * KIB, "use_swiglu": True, "expert_num": 8, "topk": 2,
          "moe_ffn_hidden_size": KIB, "dense_layers": 1}, TABLES + 2 * ATTENTION + FFN + 24 * MEBI),
        ({"num_layers": 2, "hidden_size": KIB, "num_attention_heads": 8, "ffn_hidden_size": 4 * KIB, "padded_vocab_size": 8 * KIB, "swiglu": True, "untie_embeddings_and_output_weights": True},
         TABLES + 2 * (ATTENTION + FFN)),
        ({"name": "x", "hidden": KIB, "feedforward": 4 * KIB, "attn_heads": 8, "attn_size": 128, "num_blocks": 2, "seq_size": 2048}, 51200 * KIB + 2 * (ATTENTION + 8 * MEBI)),
        ({"name": "x", "hidden_dim": KIB, "n_head": 8, "num_layers": 2, "ffn_embed_dim": 4 * KIB, "vocab_size": 8 * KIB, "max_seq_len": 2048}, TABLES + 2 * (ATTENTION + FFN)),
    ],
)  # fmt: skip
def test_files_of_other_tools(config, count):
    made = model(config)
    assert memory.total(made) == pytest.approx(count, rel=2e-3)
    assert made.warnings == (
        () if "num_blocks" not in config else ("vocab_size is not given: 51,200, as GPT-3's, is taken",)
    )


def test_params_of_the_makers_own_files():
    """Llama 3 8B: 8.03 B; its feed-forward is 1.3 x 8/3 x 4096 rounded up to 1024, 14,336. Mixtral 8x7B: 46.7 B."""
    llama = {
        "dim": 4096,
        "n_layers": 32,
        "n_heads": 32,
        "n_kv_heads": 8,
        "vocab_size": 128256,
        "multiple_of": 1024,
        "ffn_dim_multiplier": 1.3,
        "norm_eps": 1e-5,
        "rope_theta": 5e5,
    }
    assert memory.total(model(llama)) == 8_030_261_248
    mixtral = {
        "dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 32000, "norm_eps": 1e-5,
        "moe": {"num_experts_per_tok": 2, "num_experts": 8},
    }  # fmt: skip
    assert memory.total(model(mixtral)) == pytest.approx(46.7e9, rel=2e-3)


def test_fields_without_effect_raise_no_warning():
    noise = {
        "pool_type": "last", "org_vocab_size": 8192, "cla_share_factor": 2, "use_cla": False, "dense_list": [4096, 0], "im_start_id": 4, "text_end_id": 7, "class_num": 0,
        "attention_head_dim": 128, "max_sequence_length": 2048, "eod_token_id": 3, "decoder_sparse_step": 1,
    }  # fmt: skip
    made = model({**BASE, "model_type": "llama", **noise})
    assert made.warnings == ()
    assert made.max_context == 2048


# The same reader under the name of a whole model, or of an older file.
ALIASES = {
    "gpt_bigcode",
    "qwen2_vl",
    "qwen2_5_vl",
    "kimi_k2",
    "kimi_k25",
    "kimi_k3",
    "qwen3_vl",
    "qwen3_vl_moe",
    "minimax",
    "minimax_text_01",
    "minimax_m3",
    "minimax_m3_vl",
    "step3p7",
    "step3p5",
}


def test_every_family_is_shipped_or_tried_here():
    shipped = {rl.model(name).family for name in rl.names("model")}
    assert set(FAMILIES) - shipped - ALIASES <= {"deepseek_ref", *TRIED, *OTHERS}
    assert {FAMILIES[name] for name in ALIASES} <= {FAMILIES[name] for name in shipped}
