"""Model files of other tools: SimuMax, Megatron's arguments, Calculon and llm-analysis, as the config they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIMUMAX = {
    "head_num": "num_attention_heads", "kv_head_num": "num_key_value_heads", "layer_num": "num_hidden_layers", "head_size": "head_dim", "expert_num": "n_routed_experts",
    "topk": "num_experts_per_tok", "moe_ffn_hidden_size": "moe_intermediate_size", "dense_layers": "first_k_dense_replace", "qk_head_dim": "qk_nope_head_dim",
    "qk_pos_emb_head_dim": "qk_rope_head_dim", "moe_shared_expert_intermediate_size": "shared_expert_intermediate_size", "seq_size": "max_position_embeddings",
    "model_name": "_name_or_path", "qk_layernorm": "qk_norm",
}  # fmt: skip
_MEGATRON = {
    "num_layers": "num_hidden_layers", "num_query_groups": "num_key_value_heads", "ffn_hidden_size": "intermediate_size", "kv_channels": "head_dim", "num_experts": "n_routed_experts",
    "moe_router_topk": "num_experts_per_tok", "moe_ffn_hidden_size": "moe_intermediate_size", "padded_vocab_size": "vocab_size", "qk_head_dim": "qk_nope_head_dim",
    "qk_pos_emb_head_dim": "qk_rope_head_dim", "moe_shared_expert_intermediate_size": "shared_expert_intermediate_size", "mtp_num_layers": "num_nextn_predict_layers",
    "qk_layernorm": "qk_norm", "moe_layer_freq": "moe_layer_freq",
}  # fmt: skip
_CALCULON = {
    "hidden": "hidden_size", "feedforward": "intermediate_size", "attn_heads": "num_attention_heads", "attn_size": "head_dim", "num_blocks": "num_hidden_layers",
    "seq_size": "max_position_embeddings", "name": "_name_or_path",
}  # fmt: skip
_LLM_ANALYSIS = {
    "n_head": "num_attention_heads", "hidden_dim": "hidden_size", "num_layers": "num_hidden_layers", "ffn_embed_dim": "intermediate_size", "max_seq_len": "max_position_embeddings",
    "name": "_name_or_path", "moe_num_experts": "n_routed_experts", "moe_top_k": "num_experts_per_tok",
}  # fmt: skip
_NATIVE = {
    "dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads", "n_kv_heads": "num_key_value_heads", "hidden_dim": "intermediate_size",
    "max_seq_len": "max_position_embeddings",
}  # fmt: skip
"""Of ``params.json`` beside the weights that Meta and Mistral publish themselves."""
_KINDS = {"dense", "moe", "llama", "gpt", "", None}


_VOCABULARY = 51200
"""GPT-3's vocabulary padded to 1024, which these tools count where a file has none."""


def translated(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the config that a file of another tool stands for; a config as it is.

    >>> translated({"model_type": "dense", "head_num": 8, "layer_num": 2, "hidden_size": 64, "use_swiglu": True})[
    ...     "num_hidden_layers"
    ... ]
    2
    """
    kind = config.get("model_type")
    names = _names(config)
    if names is None or (isinstance(kind, str) and kind not in _KINDS):
        return config
    out = {names.get(key, key): value for key, value in config.items() if value is not None}
    calculon = "num_blocks" in config
    if names is _NATIVE:
        out |= _native(config)
    if "vocab_size" not in out:
        out |= {"vocab_size": _VOCABULARY, "vocab_assumed": True}
    gated = bool(config.get("use_swiglu", config.get("swiglu", not calculon)))
    latent = (
        config.get("attention_type") == "mla" or "kv_lora_rank" in config or bool(config.get("multi_latent_attention"))
    )
    shared = out.get("shared_expert_intermediate_size")
    out["gated"] = gated
    out["n_shared_experts"] = 1 if shared else 0
    out["model_type"] = "peer_latent" if latent else "peer"
    tied = config.get("untie_embeddings_and_output_weights")
    out.setdefault("tie_word_embeddings", tied is False or calculon)
    for ignored in (
        "use_swiglu",
        "swiglu",
        "attention_type",
        "multi_latent_attention",
        "untie_embeddings_and_output_weights",
    ):
        out.pop(ignored, None)
    return out


def _names(config: Mapping[str, Any]) -> Mapping[str, str] | None:
    if "head_num" in config and "layer_num" in config:
        return _SIMUMAX
    if "attn_heads" in config and "num_blocks" in config:
        return _CALCULON
    if "dim" in config and "n_layers" in config and "n_heads" in config:
        return _NATIVE
    if "hidden_dim" in config and "n_head" in config:
        return _LLM_ANALYSIS
    known = "num_layers" in config and "hidden_size" in config and "num_attention_heads" in config
    return _MEGATRON if known and "num_hidden_layers" not in config and "model_type" not in config else None


def _native(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what such a file says in a way of its own: the width of the feed-forward by a rule, experts in a table."""
    out: dict[str, Any] = {"tie_word_embeddings": config.get("tied_embeddings") is True}
    dim, multiple, factor = config.get("dim"), config.get("multiple_of"), config.get("ffn_dim_multiplier")
    if (
        "hidden_dim" not in config
        and isinstance(dim, int)
        and isinstance(multiple, int)
        and 0 < dim < _LIMIT
        and 0 < multiple < _LIMIT
    ):
        wide = int(8 * dim / 3)
        wide = int(factor * wide) if isinstance(factor, (int, float)) and 0 < factor < _LIMIT else wide
        out["intermediate_size"] = multiple * -(-wide // multiple)
    experts = config.get("moe")
    if isinstance(experts, Mapping):
        out |= {
            "n_routed_experts": experts.get("num_experts"),
            "num_experts_per_tok": experts.get("num_experts_per_tok"),
        }
    return out


_LIMIT = 10_000_000
