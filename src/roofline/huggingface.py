"""A model from the fields of its Hugging Face ``config.json``: one reader for each family of ``model_type``.

What a file leaves unsaid is a family's convention: whether the feed-forward is gated, which projections have biases,
whether queries and keys are normalised. A ``model_type`` that is not listed is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, Final

from attrs import evolve

from roofline.architecture import Attention, Dense, FeedForward, Gqa, Layers, Mla, Model, Moe
from roofline.errors import near
from roofline.quantization import formats
from roofline.tables import Table

DEEPEST: Final = 10_000
WIDEST: Final = 10_000_000

_NESTED: Final = ("text_config", "llm_config", "language_config")


def model(
    config: Mapping[str, Any], quant: Mapping[str, Any] | None = None, *, name: str = "", file: str = "config.json"
) -> Model:
    """Return the model that a config describes.

    Args:
        config: the parsed ``config.json``.
        quant: the parsed ``hf_quant_config.json`` beside it, if there is one.
        name: what to call the model; by default its ``_name_or_path`` or family.
        file: what messages call the file.

    Raises:
        DescriptorError: a field is missing, of the wrong type or out of bounds, or the family is not known.
    """
    top = Table(config, file)
    inner = next((top.table(key) for key in _NESTED if key in top), top)
    family = inner.text("model_type")
    if family not in FAMILIES:
        hint = f"{near(family, FAMILIES, 'families')}; or describe the model by the fields of a family it resembles"
        raise inner.fail("model_type", "no such family is known", hint)
    layers = FAMILIES[family](inner)
    depth = len(layers)
    runs = tuple(Layers(len(list(group)), *kind) for kind, group in groupby(layers))
    tied = top.flag("tie_word_embeddings", inner.flag("tie_word_embeddings"))
    return Model(
        name=_printable(name or str(config.get("_name_or_path") or family)),
        hidden=_width(inner, "hidden_size"),
        vocab=_width(inner, "vocab_size"),
        layers=runs,
        tied=tied,
        mtp=inner.count("num_nextn_predict_layers", 0, least=0, most=depth),
        max_context=inner.count("max_position_embeddings", 0, least=0),
        formats=formats(top, inner, quant, depth, file),
        family=family,
    )


def _printable(name: str) -> str:
    """Return a name that can stand in a line of any report."""
    return "".join(c if c.isprintable() else "?" for c in name[:200]).strip() or "model"


def _width(t: Table, key: str, default: Any = ...) -> int:
    return t.count(key, most=WIDEST) if default is ... else t.count(key, default, most=WIDEST)


def _depth(t: Table) -> int:
    return t.count("num_hidden_layers", most=DEEPEST)


def _gqa(
    t: Table, *, bias: bool = False, out_bias: bool = False, qk_norm: bool = False, window: int | None = None
) -> Gqa:
    """Return the attention that the usual fields describe; a missing ``num_key_value_heads`` means multi-head."""
    heads = _width(t, "num_attention_heads")
    kv_heads = _width(t, "num_key_value_heads", None) or heads
    if heads % kv_heads:
        raise t.fail("num_key_value_heads", f"must divide the {heads} attention heads")
    head_dim = _width(t, "head_dim", None)
    if head_dim is None:
        hidden = _width(t, "hidden_size")
        if hidden % heads:
            raise t.fail("num_attention_heads", f"must divide hidden_size {hidden} where head_dim is not given")
        head_dim = hidden // heads
    return Gqa(heads, kv_heads, head_dim, bias, out_bias, qk_norm, window)


def _dense(t: Table, *, bias: bool = False) -> Dense:
    return Dense(_width(t, "intermediate_size"), bias=bias)


def _moe(t: Table, experts: str, width: str, *, shared: int = 0, gate: bool = False) -> Moe:
    count = t.count(experts, most=100_000)
    return Moe(count, t.count("num_experts_per_tok", most=count), _width(t, width), shared, gate)


Plan = list[tuple[Attention, FeedForward]]


def _llama(t: Table) -> Plan:
    bias = t.flag("attention_bias")
    return [(_gqa(t, bias=bias, out_bias=bias), _dense(t, bias=t.flag("mlp_bias")))] * _depth(t)


def _mistral(t: Table) -> Plan:
    return [(_gqa(t, window=_width(t, "sliding_window", None)), _dense(t))] * _depth(t)


def _mixtral(t: Table) -> Plan:
    window = _width(t, "sliding_window", None)
    return [(_gqa(t, window=window), _moe(t, "num_local_experts", "intermediate_size"))] * _depth(t)


def _qwen_attention(t: Table, **kind: Any) -> list[Attention]:
    """Return the attention of each layer: full, or windowed from ``max_window_layers`` on where that is switched on."""
    full, depth = _gqa(t, **kind), _depth(t)
    if not t.flag("use_sliding_window"):
        return [full] * depth
    windowed = evolve(full, window=_width(t, "sliding_window"))
    first = t.count("max_window_layers", depth, least=0, most=DEEPEST)
    return [full if i < first else windowed for i in range(depth)]


def _qwen2(t: Table) -> Plan:
    return [(attention, _dense(t)) for attention in _qwen_attention(t, bias=True)]


def _qwen3(t: Table) -> Plan:
    bias = t.flag("attention_bias")
    return [(attention, _dense(t)) for attention in _qwen_attention(t, bias=bias, out_bias=bias, qk_norm=True)]


def _qwen_plan(t: Table, attentions: list[Attention], moe: Moe) -> Plan:
    """Return the plan in which every ``decoder_sparse_step``-th layer is a mixture, those of ``mlp_only_layers`` excepted."""
    step = t.count("decoder_sparse_step", 1, most=DEEPEST)
    plain = t.raw("mlp_only_layers", [])
    if not isinstance(plain, list) or not all(isinstance(i, int) for i in plain):
        raise t.fail("mlp_only_layers", "must be a list of layer numbers")
    sparse = [(i + 1) % step == 0 and i not in set(plain) for i in range(len(attentions))]
    dense: FeedForward = moe if all(sparse) else _dense(t)
    return [(attention, moe if is_moe else dense) for attention, is_moe in zip(attentions, sparse, strict=True)]


def _qwen2_moe(t: Table) -> Plan:
    shared = t.count("shared_expert_intermediate_size", 0, least=0, most=WIDEST)
    moe = _moe(t, "num_experts", "moe_intermediate_size", shared=shared, gate=shared > 0)
    return _qwen_plan(t, _qwen_attention(t, bias=True), moe)


def _qwen3_moe(t: Table) -> Plan:
    bias = t.flag("attention_bias")
    attentions = _qwen_attention(t, bias=bias, out_bias=bias, qk_norm=True)
    return _qwen_plan(t, attentions, _moe(t, "num_experts", "moe_intermediate_size"))


def _deepseek(t: Table) -> Plan:
    attention = Mla(
        heads=_width(t, "num_attention_heads"),
        kv_rank=_width(t, "kv_lora_rank"),
        nope_dim=_width(t, "qk_nope_head_dim"),
        rope_dim=_width(t, "qk_rope_head_dim"),
        value_dim=_width(t, "v_head_dim"),
        q_rank=_width(t, "q_lora_rank", None),
    )
    depth = _depth(t)
    if "n_routed_experts" not in t:
        return [(attention, _dense(t))] * depth
    width = _width(t, "moe_intermediate_size")
    moe = _moe(
        t,
        "n_routed_experts",
        "moe_intermediate_size",
        shared=t.count("n_shared_experts", 0, least=0, most=DEEPEST) * width,
    )
    first = t.count("first_k_dense_replace", 0, least=0, most=depth)
    step = t.count("moe_layer_freq", 1, most=DEEPEST)
    sparse = [i >= first and i % step == 0 for i in range(depth)]
    dense: FeedForward = moe if all(sparse) else _dense(t)
    return [(attention, moe if is_moe else dense) for is_moe in sparse]


FAMILIES: Final[Mapping[str, Callable[[Table], Plan]]] = {
    "llama": _llama,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "kimi_k2": _deepseek,
}
"""Readers by ``model_type``: each returns the plan, one attention and one feed-forward kind a layer."""
