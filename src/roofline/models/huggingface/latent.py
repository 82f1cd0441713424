"""Families with multi-head latent attention or one shared key-value head: DeepSeek, Kimi K2, GLM-5, LongCat, Mistral 4, Pangu."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from roofline.core.mappings import Table
from roofline.models.architecture import Attention, Compressed, FeedForward, Hyper, Indexer, Mla
from roofline.models.huggingface.common import (
    DEEPEST,
    FEW,
    HEADS,
    WIDEST,
    Plan,
    chosen,
    dense,
    depth,
    hidden,
    integers,
    listed,
    mixed,
    moe,
    number,
    plan,
    shared,
    sparse_layers,
    upto,
    width,
)


def mla(t: Table, **kind: Any) -> Mla:
    """Return the latent attention that the usual fields describe; ``head_dim`` and ``num_key_value_heads`` say nothing here."""
    for unused in ("head_dim", "qk_head_dim", "num_key_value_heads"):
        t.raw(unused, None)
    heads = width(t, *HEADS)
    return Mla(
        heads=heads,
        kv_rank=width(t, "kv_lora_rank", "attention_kv_lora_dim"),
        nope_dim=width(t, "qk_nope_head_dim", "attention_qk_dim"),
        rope_dim=upto(t, "qk_rope_head_dim", "attention_qk_rope_dim"),
        value_dim=width(t, "v_head_dim", "attention_v_dim"),
        q_rank=width(t, "q_lora_rank", "attention_q_lora_dim", default=None),
        bias=t.flag("attention_bias"),
        **kind,
    )


def latent_experts(t: Table, layers: int, start: int = 0, **kind: Any) -> list[FeedForward]:
    """Return dense blocks and mixtures with shared experts; all dense where no experts are named.

    A family whose mixtures begin at ``start`` has experts, and must name them.
    """
    if not start and "n_routed_experts" not in t and "num_experts" not in t and "num_local_experts" not in t:
        return [dense(t)] * layers
    mixture = moe(t, shared_width=shared(t, "n_shared_experts", "num_shared_experts"), **kind)
    t.raw("intermediate_size", None)
    return mixed(sparse_layers(t, layers, start), mixture, lambda: dense(t))


def deepseek(t: Table) -> Plan:
    """DeepSeek-V2, V3 and R1, Kimi K2, Mistral 4, GLM-4.7-Flash."""
    layers = depth(t)
    return plan([mla(t)] * layers, latent_experts(t, layers))


def glm4_lite(t: Table) -> Plan:
    """GLM-4.7-Flash: the first layer dense, if it does not say."""
    layers = depth(t)
    return plan([mla(t)] * layers, latent_experts(t, layers, start=1))


def indexers(t: Table, layers: int) -> list[bool]:
    """Return which layers have an indexer of their own; the others use the choice of the last that has one."""
    kinds = {"full": True, "shared": False}
    pattern = t.raw("index_topk_pattern", None)
    if pattern is not None and not (isinstance(pattern, str) and len(pattern) >= layers and set(pattern) <= {"F", "S"}):
        raise t.fail("index_topk_pattern", f"must be {layers} letters F or S")
    every = upto(t, "index_topk_freq", default=1, most=DEEPEST) or 1
    offset = upto(t, "index_skip_topk_offset", default=2, most=DEEPEST)
    if pattern is not None:
        return [letter == "F" for letter in pattern[:layers]]
    return chosen(
        t, "indexer_types", layers, kinds, lambda i: "full" if max(i - offset + 1, 0) % every == 0 else "shared"
    )


def indexer(t: Table, q_rank: int | None) -> Indexer:
    """Return the indexer of DeepSeek-V3.2: one key with a norm, queries from the compressed query."""
    dim = width(t, "index_head_dim")
    return Indexer(width(t, "index_n_heads"), dim, width(t, "index_topk"), q_rank=q_rank, extra=2 * dim)


def without(whole: Mla, own: Indexer) -> Mla:
    """Return the attention of a layer that uses another's choice: it scores nothing, and attends to as few."""
    return evolve(whole, indexer=evolve(own, reused=True))


def deepseek_v32(t: Table) -> Plan:
    """DeepSeek-V3.2 and GLM-5: latent attention to the tokens that an indexer chooses; later GLM share its choice."""
    layers = depth(t)
    base = mla(t)
    own = indexer(t, base.q_rank)
    full, reused = evolve(base, indexer=own), without(base, own)
    # Every layer is sparse: layer_types says nothing new.
    t.raw("layer_types", None)
    return plan([full if has else reused for has in indexers(t, layers)], latent_experts(t, layers))


def hyper(t: Table, *, mixing: bool = True, head: bool = True) -> Hyper | None:
    """Return hyper-connections of ``hc_mult`` streams: into a block, out of it and, if ``mixing``, from stream to stream.

    Each of the two or three has a scale; one stream is the plain residual, None.
    """
    streams = upto(t, "hc_mult", default=4, most=FEW)
    return Hyper(streams, (2 + streams * mixing) * streams, scales=2 + mixing, head=head) if streams > 1 else None


def hy_v4(t: Table) -> Plan:
    """Hy4: as DeepSeek-V3.2, with sinks, a gated output and hyper-connections."""
    layers = depth(t)
    base = mla(t, sinks=True)
    base = evolve(base, gate_dim=base.value_dim)
    own = indexer(t, base.q_rank)
    full, reused = evolve(base, indexer=own), without(base, own)
    t.raw("layer_types", None)
    has = (
        indexers(t, layers)
        if "indexer_types" in t or "index_topk_freq" in t
        else [i == 0 or (i - 1) % 4 == 0 for i in range(layers)]
    )
    attentions = [full if own_ else reused for own_ in has]
    return plan(attentions, latent_experts(t, layers, start=1), hyper=hyper(t, mixing=False))


def mistral_large4(t: Table) -> Plan:
    """Mistral Large 4: an indexer that queries from the hidden state; each fourth layer turns nothing; layers may share a cache."""
    layers = depth(t)
    base = mla(t)
    size = hidden(t)
    scored = evolve(indexer(t, None), extra=2 * width(t, "index_head_dim") + 2 * size + 2 * width(t, "index_n_heads"))
    interval = upto(t, "no_rope_layer_interval", default=4, most=DEEPEST) or 4
    turned = listed(t, "no_rope_layers", layers) or [(i + 1) % interval for i in range(layers)]
    source = listed(t, "kv_source_layers", layers) or list(range(layers))
    t.raw("layer_types", None)
    has = indexers(t, layers)
    attentions: list[Attention] = []
    for i in range(layers):
        # Two parameters a head scale the scores.
        kind = evolve(base, extra=2 * base.heads, shared_kv=source[i] != i)
        kind = kind if turned[i] else evolve(kind, nope_dim=base.nope_dim + base.rope_dim, rope_dim=0)
        attentions.append(evolve(kind, indexer=scored) if has[i] else without(kind, scored))
    return plan(attentions, latent_experts(t, layers, start=1))


def deepseek_v4(t: Table) -> Plan:
    """DeepSeek-V4: a window and a compressed stream of one key-value head, hyper-connections, experts throughout."""
    layers, dim = depth(t), width(t, "head_dim")
    t.raw("num_key_value_heads", None)
    ratios = _ratios(t, layers)
    base = Compressed(
        heads=width(t, *HEADS), dim=dim, q_rank=width(t, "q_lora_rank"), out_groups=width(t, "o_groups"),
        out_rank=width(t, "o_lora_rank"), window=width(t, "sliding_window"),
    )  # fmt: skip
    if base.heads * dim % base.out_groups:
        raise t.fail("o_groups", f"must divide the {base.heads * dim} outputs of the heads")
    index = width(t, "index_head_dim")
    kinds: dict[int, Compressed] = {}
    for ratio in set(ratios):
        low = 0 < ratio <= _LOW
        # Keys of the indexer come from a compressor of their own: content and gate, twice over, with a table of positions.
        own = Indexer(
            width(t, "index_n_heads"), index, width(t, "index_topk") * ratio, q_rank=base.q_rank,
            pool=ratio, projections=4, extra=ratio * 2 * index + index,
        ) if low else None  # fmt: skip
        kinds[ratio] = evolve(base, ratio=ratio, overlap=low, indexer=own)
    t.raw("num_hash_layers", None)
    common = moe(t, shared_width=shared(t, "n_shared_experts"))
    return Plan([(kinds[ratio], common) for ratio in ratios], {"hyper": hyper(t)})


_LOW = 16
"""Ratios up to this have an indexer and overlapping entries (CSA); beyond, every entry is attended to (HCA)."""


def _ratios(t: Table, layers: int) -> list[int]:
    values = listed(t, "compress_ratios", layers)
    if values is not None:
        integers(t, "compress_ratios", most=WIDEST)
        return values
    rates = t.table("compress_rates", {})
    low = upto(rates, "compressed_sparse_attention", default=4, most=_LOW)
    high = upto(rates, "heavily_compressed_attention", default=128, most=WIDEST)
    words = {"sliding_attention": 0, "compressed_sparse_attention": low, "heavily_compressed_attention": high}
    if "layer_types" not in t:
        raise t.fail("compress_ratios", "is missing", "0, 4 or 128 for each layer")
    return chosen(t, "layer_types", layers, words, str)


def longcat(t: Table) -> Plan:
    """LongCat-Flash: a layer is two attentions and two dense blocks; a mixture runs from the first attention to its end."""
    layers = number(t, "num_layers", "num_hidden_layers", most=DEEPEST)
    t.raw("num_hidden_layers", None)
    attention = mla(t)
    block = dense(t, "ffn_hidden_size")
    idle = upto(t, "zero_expert_num")
    mixture = moe(t, "expert_ffn_hidden_size", shared_width=block.width, idle=idle, router_bias=t.flag("router_bias"))
    return Plan([(attention, mixture), (attention, block)] * layers, {"blocks": 2})


def pangu_ultra(t: Table) -> Plan:
    """Pangu Ultra MoE: norms before and after each block."""
    layers = depth(t)
    norms = 2 if t.flag("sandwich_norm", default=True) else 1
    start = upto(t, "num_dense_layers", "first_k_dense_replace", most=layers)
    t.raw("num_nextn_predict_layers", None)
    mixture = moe(t, shared_width=shared(t, "num_shared_experts", "n_shared_experts"), norms=norms)
    return plan(
        [mla(t, norms=norms)] * layers,
        mixed([i >= start for i in range(layers)], mixture, lambda: dense(t, norms=norms)),
    )


def peer(t: Table) -> Plan:
    """A model file of another tool with latent attention (:mod:`roofline.models.huggingface.peers`)."""
    layers = depth(t)
    for key in ("gated", "n_shared_experts"):
        t.raw(key, None)
    t.flag("vocab_assumed")
    if "n_routed_experts" not in t:
        return plan([mla(t)] * layers, [dense(t)] * layers)
    mixture = moe(t, shared_width=upto(t, "shared_expert_intermediate_size"))
    return plan([mla(t)] * layers, mixed(sparse_layers(t, layers), mixture, lambda: dense(t)))
