"""A model from the fields of its Hugging Face ``config.json``: one reader for each family of ``model_type``.

What a file leaves unsaid is a family's convention: whether the feed-forward is gated, which projections have biases,
whether queries and keys are normalised. A ``model_type`` that is not listed is not guessed, and a field that no reader asked for is
distinguished by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from roofline.core.errors import near, shown
from roofline.core.mappings import Table
from roofline.models.architecture import Layers, Model
from roofline.models.huggingface import drafts, encoders, experts, hybrid, latent, softmax
from roofline.models.huggingface.common import (
    CONTEXT,
    DEPTH,
    EXPERTS,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    KV_HEADS,
    MODULES,
    Reader,
    first,
    hidden,
    width,
)
from roofline.models.huggingface.described import described
from roofline.models.huggingface.peers import translated
from roofline.models.huggingface.towers import towers
from roofline.models.quantization import Parts, formats

__all__ = ["FAMILIES", "model"]

_NESTED: Final = (
    "text_config", "llm_config", "language_config", "thinker_config", "language_model_config", "llm_cfg", "text_model_config",
    "transformer_layer_config", "decoder_config",
)  # fmt: skip
"""Where files of models that also see or hear put what describes the text."""

FAMILIES: Final[Mapping[str, Reader]] = {
    "plan": described,
    # Softmax attention and dense feed-forward.
    "gpt2": softmax.gpt2, "opt": softmax.opt, "bloom": softmax.bloom, "mpt": softmax.mpt, "falcon": softmax.falcon,
    "gptj": softmax.gptj, "gpt_neox": softmax.gpt_neox, "phi": softmax.phi, "phi3": softmax.phi3, "llama": softmax.llama,
    "mistral": softmax.mistral, "qwen2": softmax.qwen2, "qwen3": softmax.qwen3, "qwen3_vl": softmax.qwen3, "mimo": softmax.qwen2,
    "qwen2_vl": softmax.qwen2, "qwen2_5_vl": softmax.qwen2, "gpt_bigcode": softmax.gpt2, "gpt_neo": softmax.gpt_neo,
    "olmo": softmax.olmo, "olmo2": softmax.olmo2, "olmo3": softmax.olmo2, "gemma": softmax.gemma, "gemma2": softmax.gemma2,
    "gemma3": softmax.gemma3, "nemotron": softmax.nemotron, "nemotron-nas": softmax.nemotron_nas, "seed_oss": softmax.seed_oss,
    # Softmax attention and experts.
    "mixtral": experts.mixtral, "phimoe": experts.phimoe, "olmoe": experts.olmoe, "qwen2_moe": experts.qwen2_moe,
    "qwen3_moe": experts.qwen3_moe, "qwen3_vl_moe": experts.qwen3_moe, "llama4": experts.llama4, "gpt_oss": experts.gpt_oss,
    "glm4_moe": experts.glm4_moe, "solar_open": experts.solar_open, "hy_v3": experts.hy_v3, "minimax_m2": experts.minimax_m2,
    "minimax_m3": experts.minimax_m3, "minimax_m3_vl": experts.minimax_m3, "hunyuan": experts.hunyuan,
    "hunyuan_v1_moe": experts.hunyuan, "ernie4_5_moe": experts.ernie, "mimo_v2_flash": experts.mimo_v2, "step3p5": experts.step3p5,
    "step3p7": experts.step3p5, "step3": experts.step3, "PanguProMoE": experts.pangu_pro, "muse_spark": experts.muse_spark,
    "gemma4": experts.gemma4, "dbrx": experts.dbrx, "deepseek": experts.deepseek_moe, "arctic": experts.arctic,
    # Latent attention, or one shared head.
    "deepseek_v2": latent.deepseek, "deepseek_v3": latent.deepseek, "kimi_k2": latent.deepseek, "kimi_k25": latent.deepseek,
    "mistral4": latent.deepseek, "glm4_moe_lite": latent.glm4_lite, "deepseek_v32": latent.deepseek_v32,
    "glm_moe_dsa": latent.deepseek_v32, "hy_v4": latent.hy_v4, "mistral_large4": latent.mistral_large4,
    # The name that some copies of DeepSeek-V4 go by.
    "deepseek_ref": latent.deepseek_v4,
    "deepseek_v4": latent.deepseek_v4, "longcat_flash": latent.longcat, "pangu_ultra_moe": latent.pangu_ultra,
    # Linear attention and scans.
    "mamba": hybrid.mamba, "falcon_mamba": hybrid.mamba, "mamba2": hybrid.mamba2, "jamba": hybrid.jamba, "nemotron_h": hybrid.nemotron_h,
    "qwen3_next": hybrid.qwen3_next, "qwen3_5": hybrid.qwen3_next, "qwen3_5_moe": hybrid.qwen3_next,
    # Current families.
    "ministral": softmax.ministral, "ministral3": softmax.ministral, "mistral3": softmax.ministral, "muse_glimmer": softmax.muse_glimmer, "exaone4": softmax.exaone4, "exaone4_5": softmax.exaone4,
    "exaone": softmax.llama, "exaone_moe": experts.exaone_moe, "cohere": softmax.cohere, "cohere2": softmax.cohere, "smollm3": softmax.smollm3,
    "apertus": softmax.apertus, "arcee": softmax.arcee, "starcoder2": softmax.starcoder2, "stablelm": softmax.stablelm, "internlm2": softmax.internlm2,
    "internlm3": softmax.internlm2, "internlm": softmax.internlm2, "glm": softmax.glm4, "glm4": softmax.glm4, "glm4v": softmax.glm4, "glm46v": softmax.glm4,
    "chatglm": softmax.chatglm, "qwen": softmax.qwen, "ernie4_5": softmax.ernie_dense, "hunyuan_v1_dense": softmax.hunyuan_dense, "granite": softmax.granite,
    "PanguEmbedded": softmax.internlm2, "pangu_embedded": softmax.internlm2, "baichuan": softmax.internlm2, "minicpm": softmax.granite, "peer": softmax.peer,
    "qwen3_omni_moe": experts.qwen3_moe, "qwen2_5_omni": softmax.qwen2, "glm4v_moe": experts.glm4_moe, "laguna": experts.laguna, "bailing_moe": experts.bailing_moe,
    "bailing_moe_v2": experts.bailing_moe, "afmoe": experts.afmoe, "granitemoe": experts.granite_moe, "granitemoeshared": experts.granite_moe,
    "dots1": experts.dots1, "inkling": experts.inkling, "inkling_mm_model": experts.inkling, "inkling_model": experts.inkling, "ernie4_5_moe_vl": experts.ernie_vl, "ernie4_5_vl": experts.ernie_vl,
    "ernie4_5_vl_moe": experts.ernie_vl, "kimi_vl": latent.deepseek, "minicpm3": latent.deepseek, "deepseek_vl_v2": latent.deepseek, "peer_latent": latent.peer,
    "lfm2": hybrid.lfm2, "lfm2_moe": hybrid.lfm2, "granitemoehybrid": hybrid.granite_hybrid, "falcon_h1": hybrid.falcon_h1, "bamba": hybrid.bamba,
    "bailing_moe_linear": hybrid.bailing_linear, "bailing_moe_v2_5": hybrid.bailing_linear,
    # Encoders, and decoders that attend to one.
    "bert": encoders.bert, "roberta": encoders.bert, "xlm-roberta": encoders.bert, "modernbert": encoders.modernbert, "nomic_bert": encoders.nomic_bert,
    "whisper": encoders.whisper, "mllama": encoders.mllama,
    "olmo_hybrid": hybrid.olmo_hybrid, "kimi_linear": hybrid.kimi_linear, "kimi_k3": hybrid.kimi_linear,
    "bailing_hybrid": hybrid.bailing_hybrid, "glm5_next": hybrid.glm5_next, "minimax": hybrid.minimax, "minimax_m1": hybrid.minimax,
    "minimax_text_01": hybrid.minimax,
}  # fmt: skip
"""Readers by ``model_type``, the suffix ``_text`` of a part left off: each returns the plan of the layers."""

_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "gemma3": {
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208, "sliding_window": 4096,
        "max_position_embeddings": 131072,
    },
}  # fmt: skip
"""What published files of a family leave to the reader (Gemma 3: Transformers 5.23.0, configuration_gemma3.py)."""

_TIED: Final = {
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "opt",
    "bloom",
    "mpt",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma4",
    "ernie4_5_moe",
    "mamba",
    "cohere",
    "cohere2",
    "lfm2",
    "lfm2_moe",
    "smollm3",
    "whisper",
    "granite",
}
"""Families whose head is the embedding where the file does not say."""

_HARMLESS: Final = re.compile(
    r"token|dropout|rope|rotary|yarn|init|eps|epsilon|loss|coef|jitter|temperature|softcap|scaling|scale|alpha|beta|logit|output_|"
    r"return_|beam|length_penalty|repetition|diversity|sample|^top_[kp]$|typical|early_stopping|bad_words|label|prefix|problem_type|"
    r"pruned|finetuning|suppress|decay|special|chunk_size_feed_forward|max_length|min_length|ngram|^id2|2id$|task|tokenizer|"
    r"act$|_act_|activation|swiglu|limit|gelu|relu|norm_topk|moe_renormalize|topk_method|scoring|score|router|grouped_topk|n_group|"
    r"topk_group|num_expert_group|seq_aux|aux|capacity|drop|ep_size|pretraining_tp|tp_size|parallel_size|slow_but_exact|"
    r"version|architectures|auto_map|name_or_path|torchscript|bfloat16|dtype|cache|kernels|gradient|vision|image|video|audio|img|mm_|"
    r"projector|placeholder|use_gemma_norm|_norm_type|norm_eps|layernorm|ln_|mrope|alibi|clip_qkv|attn_implementation|query_pre_attn|"
    r"residual_in_fp32|rescale_prenorm|time_step|num_logits_to_keep|is_decoder|is_encoder|cross_attention|base_model|adapter|"
    r"num_reward_heads|use_bidirectional|interleave$|reorder|scale_attn|embd_|summary|safe_gate|lower_bound|hc_|sinkhorn|"
    r"mtp_|index_share|indexer_rope|index_kpool_always|linear_a_log|linear_dt|linear_allow|attn_res_|expand_ratio|qk_scale|"
    r"postnorm|shared_moe|org_vocab|moe_gate$|fuse|compression_ratio|inner_layernorms|attention_method|zero_expert_type|att_impl_type|"
    r"need_fp32|use_moe$|moe_every_n_layer|norm_expert|original_max_position|pdrop|n_ctx|in_fp32|fusion|verbose|norm_type|^rms_norm$|"
    r"use_mambapy|ssm_cfg|pad_vocab|norm_before|"
    r"normalization_function|order_of_interleaved|use_parallel_block|use_parallel_embedding|position_embedding_type|layer_switch|mup_enabled|"
    r"route_norm|use_grouped_mm|use_rmsnorm|dispatch_use|use_gated_activation|"
    r"_ids?$|pool_type|pool_func|org_vocab|dense_list|class_num|add_classification|num_mel_bins|mask_time|mask_feature|median_filter|apply_spec|"
    r"vocab_size_per|use_routing_bias|router_bias|^use_qk_norm$|hybrid_override|dense_attention|unused|language$|^_|keys_to_ignore"
)
"""Fields that change neither what is stored nor what is multiplied."""
_SHAPES: Final = re.compile(
    r"layer|head|expert|rank|dim|_size|width|table|mixer|^hc_|ngram|^mtp_|meta_tokens|expand|freq|pattern|block|kernel|group|shared"
)
"""What a name that counts or lays out anything is made of: such fields are reported even if they sound harmless otherwise."""
_PLAIN: Final = re.compile(
    r"layer_?norm_eps|_ids?$|^(num_expert_groups|num_limited_groups|order_of_interleaved_layers|use_parallel_block|layer_switch|use_parallel_embedding|"
    r"position_embedding_type|moe_multimodal_.*|use_grouped_mm|org_vocab_size|dense_list|pool_type|num_labels|head_type|scale_embedding|layerdrop|.*_layerdrop|mask_time_length|"
    r"mask_feature_length|decoder_start.*|forced_decoder_ids|median_filter_width|attn_res_block_size|ep_size|tp_size|hc_eps|hc_sinkhorn_iters|index_share_for_mtp_iteration|mtp_transformer_layers|"
    r"num_expert_group|n_group|topk_group|grouped_topk|num_beam_groups|qk_rope_head_dim|rotary_dim|chunk_size_feed_forward|"
    r"(encoder_)?no_repeat_ngram_size|pruned_heads|cross_attention_hidden_size|use_kernels?|.*_group_size_training|.*_dropout.*|"
    r"tie_.*|initializer_.*|init_std.*|use_mamba_kernels|use_grouped_topk|.*_loss.*|.*coef.*)$"
)
"""Such names that are known to be harmless all the same."""


def _family(t: Table, top: Table) -> str:
    """Return which family a file belongs to.

    Raises:
        DescriptorError: none that is known; the error says which fields are understood, and how to go on.
    """
    table = t if "model_type" in t else top
    built = _built(t) or _built(top)
    drafted = drafts.kind(top)
    usual_draft = "deepseek_v3" if "kv_lora_rank" in t else "qwen3" if drafted == "block" else "llama"
    stated = table.text("model_type", built or usual_draft) if built or drafted else table.text("model_type")
    ends = ("_text", "_text_model", "_text_encoder", "_thinker", "_thinker_text", "_mtp", "_nextn", "_for_causal_lm")
    for name in (stated, *(stated.removesuffix(end) for end in ends), stated.lower(), stated.replace("-", "_")):
        if name in FAMILIES:
            return name
    # A wrapper's own name says nothing of the text inside it, a draft model's may be that of no family: what it was built as does.
    usual = built if table is top and t is not top else _WRAPPED.get(stated, "")
    if usual in FAMILIES:
        return usual
    if table is top and t is not top and stated in _WRAPPED:
        return _WRAPPED[stated]
    if drafted:
        return built or usual_draft
    common = [key for key in _UNDERSTOOD if key in t]
    hint = (
        f"{near(stated, FAMILIES, 'families')}; or give model_type = that of a family whose fields these are, "
        f'or "plan" and the blocks of each layer; understood here: {", ".join(common) or "none of the usual fields"}'
    )
    raise table.fail("model_type", "no such family is known", hint)


_WRAPPED: Final = {
    "llava": "llama",
    "mistral3": "mistral",
    "pixtral": "mistral",
    "llava_next": "mistral",
    "speculator_model": "llama",
    "eagle": "llama",
    "medusa": "llama",
    "eagle3": "llama",
}
"""Families inside wrappers that do not name them."""


def _built(t: Table) -> str:
    """Return the family that ``architectures`` names, where it is one; empty for one that is not known."""
    named = t.data.get("architectures")
    first_ = named[0] if isinstance(named, (list, tuple)) and named and isinstance(named[0], str) else ""
    bare = re.sub(
        r"For(CausalLM|ConditionalGeneration|MaskedLM|SequenceClassification)$|LMHeadModel$|Model$", "", first_
    )
    plain = bare.replace("_", "").lower()
    return next((name for name in FAMILIES if name.replace("_", "").replace("-", "").lower() == plain), "")


def _contradiction(t: Table, family: str) -> tuple[str, ...]:
    """Return what to say where ``architectures`` names another family than ``model_type``, which is the one that is read."""
    built = _built(t)
    if not built or FAMILIES[built] is FAMILIES[family]:
        return ()
    return (
        f"architectures={shown(t.data['architectures'])} names {built}, model_type names {family}: read as {family}",
    )


_UNDERSTOOD: Final = (
    "hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size",
    "num_experts", "n_routed_experts", "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts",
    "kv_lora_rank", "q_lora_rank", "sliding_window", "layer_types", "max_position_embeddings",
)  # fmt: skip


def model(
    config: Mapping[str, Any],
    quant: Mapping[str, Any] | None = None,
    *,
    beside: Mapping[str, Mapping[str, Any]] | None = None,
    name: str = "",
    file: str = "config.json",
) -> Model:
    """Return the model that a config describes.

    Args:
        config: the parsed ``config.json``.
        quant: the parsed ``hf_quant_config.json`` beside it, if there is one.
        beside: other parsed files beside it that say how it was quantised, by name (``quant_model_description.json``).
        name: what to call the model; by default its ``_name_or_path`` or family.
        file: what messages call the file.

    Raises:
        DescriptorError: a field is missing, of the wrong type or out of bounds, or the family is not known.
    """
    top = Table(translated(config), file)
    inner = top
    for _ in range(3):
        inner = next((inner.table(key) for key in _NESTED if isinstance(inner.data.get(key), Mapping)), inner)
    if any(top.data.get(key) is not None and not isinstance(top.data[key], Mapping) for key in _NESTED[:3]):
        inner = next(top.table(key) for key in _NESTED[:3] if key in top)
    family = _family(inner, top)
    drafted = drafts.kind(top)
    if family in _DEFAULTS:
        inner = Table({**_DEFAULTS[family], **inner.data}, file, inner.path)
    plan = drafts.draft(drafted, inner, top, FAMILIES[family]) if drafted else FAMILIES[family](inner)
    runs = tuple(Layers(len(list(group)), *kind) for kind, group in groupby(plan.layers))
    # Either level may say it, and the inner one speaks for the text model.
    stating = next((t for t in (top, inner) if "tie_word_embeddings" in t), inner)
    sharing = inner.flag("use_embedding_sharing", family in _TIED)
    tied = stating.flag("tie_word_embeddings", inner.flag("tie_embedding", sharing))
    # A draft model's head and embedding are its own or its target's, and never one.
    tied = tied and not drafted
    size, vocab = hidden(inner), width(inner, "vocab_size", "padded_vocab_size")
    if "vocab_size" in inner:
        inner.raw("padded_vocab_size", None)
    mtp = 0 if drafted else inner.count(first(inner, MODULES), 0, least=0, most=len(plan.layers))
    context = inner.count(first(inner, CONTEXT), 0, least=0)
    drafter = plan.also.get("draft") or runs[-1]
    parts = Parts(
        size, vocab, tied, plan.layers, plan.also.get("blocks", 1), (drafter.attention, drafter.ffn) if mtp else None,
        linear=("self_attn", "linear_attn", "attn") if family in _ONE_ATTENTION else ("linear_attn", "mixer", "mamba"),
        beside=family in _BESIDE_DENSE,
    )  # fmt: skip
    files = {**({} if quant is None else {"hf_quant_config.json": quant}), **(beside or {})}
    stored, unsure = formats(top, inner, files, parts, file)
    beside_text, uncounted = towers(top, size)
    also = {key: value for key, value in plan.also.items() if key != "blocks"}
    also["towers"] = (*also.get("towers", ()), *beside_text)
    unsure = (
        (*unsure, *uncounted, *_contradiction(inner if "model_type" in inner else top, family))
        if not drafted
        else unsure
    )
    for each in (*MODULES, *CONTEXT):
        inner.raw(each, None)
    # Some files say the same under two names.
    aliases: tuple[Sequence[str], ...] = (HIDDEN, DEPTH, HEADS, KV_HEADS, HEAD_DIM)
    for names in aliases:
        for each in names:
            if inner.data.get(each) == inner.data.get(first(inner, names)):
                inner.raw(each, None)
    return Model(
        **{
            "name": _printable(
                name or (filed if isinstance(filed := config.get("_name_or_path"), str) and filed else family)
            ),
            "hidden": size,
            "vocab": vocab,
            "layers": runs,
            "tied": tied,
            "mtp": mtp,
            "max_context": context,
            "formats": stored,
            "family": family,
            **also,
            "warnings": (*also.get("warnings", ()), *unsure, *_warnings(inner)),
        }
    )


_BESIDE_DENSE: Final = {"gemma4", "longcat_flash"}
"""Families whose shared block is what others call the dense one."""
_ONE_ATTENTION: Final = {
    "kimi_linear",
    "kimi_k3",
    "bailing_hybrid",
    "glm5_next",
    "minimax",
    "minimax_m1",
    "minimax_text_01",
}
"""Families that call linear attention by the same name as the other."""


def _warnings(t: Table) -> tuple[str, ...]:
    """Return what to say of fields that no reader asked for and that may change what is stored or multiplied."""
    read = ("model_type", *_NESTED, "quantization_config", "tie_word_embeddings", "architectures")
    idle = {*read}
    # What belongs to experts or to shared caches says nothing where there are none.
    idle |= set() if t.data.get("use_cla") else {"cla_share_factor"}
    idle |= (
        set()
        if any(t.data.get(key) for key in EXPERTS)
        else {"decoder_sparse_step", "mlp_only_layers", "moe_layer_freq"}
    )
    odd = [
        key
        for key in t.unread()
        if key not in idle and ((_SHAPES.search(key) and not _PLAIN.search(key)) or not _HARMLESS.search(key))
    ]
    return tuple(f"{key}={shown(t.data[key])} is not understood and may matter" for key in odd)


def _printable(name: str) -> str:
    """Return a name that can stand in a line of any report."""
    return "".join(c if c.isprintable() else "?" for c in name[:200]).strip() or "model"
