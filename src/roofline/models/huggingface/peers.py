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
_KINDS = {"dense", "moe", "llama", "gpt", "", None}


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
    out.setdefault("vocab_size", 51200)
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
    for said in (
        "use_swiglu",
        "swiglu",
        "attention_type",
        "multi_latent_attention",
        "untie_embeddings_and_output_weights",
    ):
        out.pop(said, None)
    return out


def _names(config: Mapping[str, Any]) -> Mapping[str, str] | None:
    if "head_num" in config and "layer_num" in config:
        return _SIMUMAX
    if "attn_heads" in config and "num_blocks" in config:
        return _CALCULON
    if "hidden_dim" in config and "n_head" in config:
        return _LLM_ANALYSIS
    known = "num_layers" in config and "hidden_size" in config and "num_attention_heads" in config
    return _MEGATRON if known and "num_hidden_layers" not in config and config.get("model_type") in _KINDS else None
