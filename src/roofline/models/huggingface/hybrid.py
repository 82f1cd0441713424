"""Families without a cache in most layers: Mamba, Jamba, Nemotron-H, Qwen3-Next, Kimi Linear, MiniMax-01, OLMo hybrid, Ling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from roofline.core.mappings import Table
from roofline.models.architecture import Absent, Attention, Dense, FeedForward, Layers, Linear, Mamba, Mla
from roofline.models.huggingface.common import (
    DEEPEST,
    FEW,
    HEADS,
    MOST_EXPERTS,
    Pair,
    Plan,
    chosen,
    dense,
    depth,
    first,
    gqa,
    hidden,
    integers,
    listed,
    mixed,
    moe,
    number,
    plan,
    sparse_layers,
    table,
    upto,
    width,
)
from roofline.models.huggingface.experts import qwen_experts
from roofline.models.huggingface.latent import hyper, indexer, indexers, latent_experts, mla, without

KINDS: Final = {
    **dict.fromkeys(("full_attention", "attention", "indexed_attention"), True),
    **dict.fromkeys(("linear_attention", "mamba", "mamba2"), False),
}
"""Whether a layer of that name has a cache."""


def _expanded(t: Table, *names: str) -> int:
    """Return the inner width: a multiple of the hidden size."""
    return t.count(first(t, names), 2, most=FEW) * hidden(t)


def mamba(t: Table) -> Plan:
    """Mamba: every layer a scan, and nothing else."""
    inner = width(t, "intermediate_size", default=None) or _expanded(t, "expand")
    biases = t.flag("use_conv_bias", default=True), t.flag("use_bias")
    scan = Mamba(
        inner, width(t, "state_size", default=16), _rank(t, "time_step_rank"), upto(t, "conv_kernel", default=4, most=FEW), *biases
    )  # fmt: skip
    return Plan([(scan, Absent())] * depth(t))


def _rank(t: Table, key: str) -> int:
    """Return the rank of the projection to time steps: a sixteenth of the hidden size where it is left to the reader."""
    return -(-hidden(t) // 16) if t.raw(key, "auto") == "auto" else width(t, key)


def mamba2(t: Table) -> Plan:
    """Mamba-2: every layer a linear attention whose groups share keys and queries."""
    heads, size = width(t, "num_heads"), width(t, "head_dim")
    return Plan([(_ssd(t, heads, size, width(t, "state_size", default=128)), Absent())] * depth(t))


def _ssd(t: Table, heads: int, size: int, state: int) -> Linear:
    groups = width(t, "n_groups", "mamba_n_groups", default=1)
    if heads % groups:
        raise t.fail("n_groups", f"must divide the {heads} heads")
    for key in ("expand", "chunk_size"):
        t.raw(key, None)
    return Linear(
        groups, heads, state, size, conv=upto(t, "conv_kernel", "mamba_d_conv", default=4, most=FEW),
        conv_bias=t.flag("use_conv_bias", default=True), delta=False, skip=True, norm_all=True,
        bias=t.flag("use_bias") or t.flag("mamba_proj_bias"),
    )  # fmt: skip


def jamba(t: Table) -> Plan:
    """Jamba: one attention in eight layers, every other layer a mixture."""
    layers = depth(t)
    period, offset = upto(t, "attn_layer_period", default=8) or 1, upto(t, "attn_layer_offset", default=4)
    every, start = upto(t, "expert_layer_period", default=2) or 1, upto(t, "expert_layer_offset", default=1)
    biases = t.flag("mamba_conv_bias", default=True), t.flag("mamba_proj_bias")
    scan = Mamba(
        _expanded(t, "mamba_expand"), width(t, "mamba_d_state", default=16), _rank(t, "mamba_dt_rank"),
        upto(t, "mamba_d_conv", default=4, most=FEW), *biases, normed=True,
    )  # fmt: skip
    names_ = ("linear_attention", "full_attention")
    key = "layers_block_type" if "layers_block_type" in t else "layer_types"
    full = chosen(t, key, layers, KINDS, lambda i: names_[i % period == offset])
    attention, block = gqa(t), dense(t)
    mixture = moe(t, "intermediate_size") if upto(t, "num_experts", default=16) > 1 else None
    return Plan(
        [
            (attention if has else scan, mixture if mixture and i % every == start else block)
            for i, has in enumerate(full)
        ]
    )


_LETTERS: Final = {"M": "mamba", "-": "mlp", "*": "attention", "E": "moe"}


def nemotron_h(t: Table) -> Plan:
    """Nemotron-H and Nemotron 3: every layer is one block, of Mamba-2, attention, feed-forward or experts."""
    words, bias = _block_words(t), t.flag("attention_bias")
    # The pattern says how many layers there are.
    t.raw("num_hidden_layers", None)
    blocks: dict[str, Pair] = {}
    ssd = _ssd(t, width(t, "mamba_num_heads"), width(t, "mamba_head_dim"), width(t, "ssm_state_size"))
    blocks["mamba"] = blocks["linear_attention"] = ssd, Absent()
    full = gqa(t, bias=bias, out_bias=bias, window=width(t, "sliding_window", default=None))
    blocks["attention"] = blocks["full_attention"] = full, Absent()
    t.raw("intermediate_size", None)
    if "mlp" in words:
        blocks["mlp"] = Absent(), dense(t, gated=False, bias=t.flag("mlp_bias"))
    experts: FeedForward = Absent()
    if "moe" in words:
        common = upto(t, "moe_shared_expert_intermediate_size") if upto(t, "n_shared_experts", default=1) else 0
        latent = upto(t, "moe_latent_size")
        experts = moe(t, shared_width=common, gated=False, latent=latent)
        blocks["moe"] = Absent(), experts
    draft = None if isinstance(experts, Absent) else Layers(1, full, experts)
    for key in ("mtp_hybrid_override_pattern", "mtp_layers_block_type", "moe_shared_expert_overlap", "time_step_rank"):
        t.raw(key, None)
    return Plan([blocks[word] for word in words], {"draft": draft})


def _block_words(t: Table) -> Sequence[str]:
    key = next((key for key in ("layers_block_type", "layer_types") if key in t), None)
    if key is not None:
        t.raw("hybrid_override_pattern", None)
        words: Sequence[str] = t.words(key)
    else:
        words = [_LETTERS.get(letter, letter) for letter in t.text("hybrid_override_pattern")]
        key = "hybrid_override_pattern"
    known = ("mamba", "linear_attention", "attention", "full_attention", "mlp", "moe")
    wrong = next((word for word in words if word not in known), None)
    if wrong is not None or not 0 < len(words) <= DEEPEST:
        letters = ", ".join(f"{letter} {word}" for letter, word in _LETTERS.items())
        raise t.fail(key, f"a block of it is {str(wrong)[:20]!r}", f"known: {letters}")
    return words


def _delta_net(t: Table, keys: int, values: int, key_dim: int, value_dim: int) -> Linear:
    """Return the gated delta rule of Qwen3-Next and OLMo hybrid, of so many key and value heads of these sizes."""
    if values % keys:
        raise t.fail("linear_num_key_heads", f"must divide the {values} value heads")
    return Linear(keys, values, key_dim, value_dim, conv=upto(t, "linear_conv_kernel_dim", default=4, most=FEW))


def _every(t: Table, layers: int, interval: int) -> list[bool]:
    """Return which layers have a cache: the last of every ``interval``, if no list says."""
    return chosen(t, "layer_types", layers, KINDS, lambda i: "linear_attention" if (i + 1) % interval else "attention")


def qwen3_next(t: Table) -> Plan:
    """Qwen3-Next, Qwen3.5 and 3.6: three delta rules to one attention with a gated output."""
    layers, bias = depth(t), t.flag("attention_bias")
    full = gqa(t, bias=bias, out_bias=bias, qk_norm=True)
    full = evolve(full, gate_dim=full.head_dim if t.flag("attn_output_gate", default=True) else 0)
    keys, values = width(t, "linear_num_key_heads"), width(t, "linear_num_value_heads")
    linear = _delta_net(t, keys, values, width(t, "linear_key_head_dim"), width(t, "linear_value_head_dim"))
    attentions = [
        full if has else linear for has in _every(t, layers, upto(t, "full_attention_interval", default=4) or 4)
    ]
    if "num_experts" not in t:
        return plan(attentions, [dense(t)] * layers)
    common = upto(t, "shared_expert_intermediate_size")
    mixture = moe(t, shared_width=common, shared_gate=common > 0)
    return plan(attentions, qwen_experts(t, layers, mixture))


def olmo_hybrid(t: Table) -> Plan:
    """OLMo hybrid: three delta rules to one attention normed over all heads."""
    layers, bias = depth(t), t.flag("attention_bias")
    full = gqa(t, bias=bias, out_bias=bias, qk_norm=True, norm_all=True)
    heads, size = width(t, *HEADS), hidden(t)
    keys = width(t, "linear_num_key_heads", default=heads)
    values = width(t, "linear_num_value_heads", default=heads)
    key_dim = width(t, "linear_key_head_dim", default=max(3 * size // (4 * keys), 1))
    value_dim = width(t, "linear_value_head_dim", default=2 * key_dim)
    linear = _delta_net(t, keys, values, key_dim, value_dim)
    return plan([full if has else linear for has in _every(t, layers, 4)], [dense(t)] * layers)


def _delta_attention(heads: int, size: int, taps: int, *, decay_rank: int = 0, gate_rank: int = 0) -> Linear:
    """Return Kimi Delta Attention: a decay for each element of a key."""
    return Linear(heads, heads, size, size, conv=taps, decay=size, decay_rank=decay_rank, gate_rank=gate_rank)


def _kimi_delta(t: Table, inside: Table) -> Linear:
    """Return the delta attention of ``linear_attn_config``, or of fields beside it; decay and gate of the rank of a head."""
    source = inside if "num_heads" in inside else t
    heads = width(source, "linear_num_heads", "num_heads")
    size = width(source, "head_dim", "linear_head_dim") if source is inside else width(t, "linear_head_dim")
    taps = upto(source, "linear_conv_kernel_dim", "short_conv_kernel_size", default=4, most=FEW)
    return _delta_attention(heads, size, taps, decay_rank=size, gate_rank=size)


def _kimi_layers(t: Table, inside: Table, layers: int) -> list[bool]:
    """Return which layers have a cache: a list of their numbers from one, or ``layer_types``."""
    if "full_attn_layers" in inside and "layer_types" not in t:
        named = set(integers(inside, "full_attn_layers"))
        inside.raw("kda_layers", None)
        return [i + 1 in named for i in range(layers)]
    return chosen(
        t, "layer_types", layers, KINDS, lambda i: "linear_attention" if i == 0 or i % 4 else "full_attention"
    )


def kimi_linear(t: Table) -> Plan:
    """Kimi Linear and Kimi K3: three delta attentions to one latent attention without positions."""
    layers, inside = depth(t), table(t, "linear_attn_config")
    linear = _kimi_delta(t, inside)
    if inside.flag("use_full_rank_gate"):
        linear = evolve(linear, gate_rank=0)
    inside.raw("gate_lower_bound", None)
    full = mla(t)
    t.flag("mla_use_nope", default=True)
    if t.flag("mla_use_output_gate"):
        full = evolve(full, gate_dim=full.value_dim)
    attentions: list[Attention] = [full if has else linear for has in _kimi_layers(t, inside, layers)]
    latent = upto(t, "routed_expert_hidden_size")
    also = {"latent": latent, "extra": latent if latent and t.flag("latent_moe_use_norm") else 0}
    return plan(attentions, latent_experts(t, layers, **also))


def bailing_hybrid(t: Table) -> Plan:
    """Ling 3: five delta attentions with whole gates to one latent attention gated a head."""
    layers, heads = depth(t), width(t, *HEADS)
    size = width(t, "linear_head_dim", "head_dim")
    taps = upto(t, "short_conv_kernel_size", "linear_conv_kernel_dim", default=4, most=FEW)
    linear = _delta_attention(width(t, "linear_num_heads", default=heads), size, taps)
    full: Mla = mla(t, gate_dim=1)
    has = _every(t, layers, upto(t, "layer_group_size", default=6) or 6)
    return plan([full if own else linear for own in has], latent_experts(t, layers))


def glm5_next(t: Table) -> Plan:
    """GLM-5.3-Flash: three delta attentions to one latent attention with a pooling indexer; hyper-connections."""
    layers = depth(t)
    linear = _kimi_delta(t, table(t, "linear_attn_config"))
    base = mla(t)
    pool = width(t, "index_kpool", default=1)
    own = indexer(t, base.q_rank)
    pooled = evolve(own, pool=pool, projections=2, extra=own.extra + pool * own.dim)
    chooses = indexers(t, layers)
    cached = chosen(t, "layer_types", layers, KINDS, lambda i: "full_attention" if i % 4 == 3 else "linear_attention")
    attentions: list[Attention] = [
        (evolve(base, indexer=pooled) if chooses[i] else without(base, pooled)) if has else linear
        for i, has in enumerate(cached)
    ]
    return plan(attentions, latent_experts(t, layers, start=3), hyper=hyper(t, head=False))


def minimax(t: Table) -> Plan:
    """MiniMax-Text-01 and M1: seven lightning attentions to one softmax attention."""
    layers = depth(t)
    full = gqa(t)
    linear = Linear(full.heads, full.heads, full.head_dim, full.head_dim, decay=0, delta=False, norm_all=True)
    flags = listed(t, "attn_type_list", layers)
    has = [bool(flag) for flag in flags] if flags is not None else _every(t, layers, 8)
    t.raw("block_size", None)
    mixture = moe(t, "intermediate_size", shared_width=number(t, "shared_intermediate_size", default=0, least=0))
    return plan([full if own else linear for own in has], [mixture] * layers)


def lfm2(t: Table) -> Plan:
    """LFM2: gated short convolutions, attention in some layers; in the larger ones experts after the first layers.

    A convolution is a linear attention whose keys have no width: three projections in, a few taps, one projection out.
    """
    layers, size = depth(t), hidden(t)
    full = gqa(t, qk_norm=True)
    inner = width(t, "conv_dim", default=size)
    taps = upto(t, "conv_L_cache", default=3, most=FEW)
    short = Linear(1, 1, 0, inner, conv=taps, decay=inner, delta=False, bias=t.flag("conv_bias"))
    kinds = {**KINDS, "conv": False, "short_conv": False}
    if "layer_types" not in t and "full_attn_idxs" in t:
        named = set(integers(t, "full_attn_idxs"))
        has = [i in named for i in range(layers)]
    else:
        has = chosen(t, "layer_types", layers, kinds, lambda i: "full_attention" if i % 3 == 2 else "conv")
    t.raw("full_attn_idxs", None)
    t.raw("block_dim", None)
    attentions = [full if own else short for own in has]
    if "num_experts" in t:
        start = upto(t, "num_dense_layers", default=2, most=layers)
        mixture = moe(t, router_bias=t.flag("use_expert_bias"))
        return plan(attentions, mixed([i >= start for i in range(layers)], mixture, lambda: dense(t)))
    wide = width(t, "intermediate_size", "block_ff_dim")
    if t.flag("block_auto_adjust_ff_dim", default=True):
        multiple = width(t, "block_multiple_of", default=256)
        wide = int(2 * wide / 3)
        factor = t.real("block_ffn_dim_multiplier", None, most=float(FEW))
        wide = wide if factor is None else int(factor * wide)
        wide = multiple * -(-wide // multiple)
    t.raw("block_ff_dim", None)
    t.raw("intermediate_size", None)
    return plan(attentions, [Dense(max(wide, 1))] * layers)


def granite_hybrid(t: Table) -> Plan:
    """Granite 4: Mamba-2 with attention in some layers; experts and a shared block, or a dense block alone."""
    layers, bias = depth(t), t.flag("attention_bias")
    ssd = _ssd(t, width(t, "mamba_n_heads"), _mamba_head(t), width(t, "mamba_d_state", default=128))
    ssd = evolve(ssd, conv_bias=t.flag("mamba_conv_bias", default=True))
    full = gqa(t, bias=bias, out_bias=bias)
    for ignored in (
        "embedding_multiplier",
        "residual_multiplier",
        "attention_multiplier",
        "mamba_expand",
        "mamba_chunk_size",
        "position_embedding_type",
    ):
        t.raw(ignored, None)
    key = "layers_block_type" if "layers_block_type" in t else "layer_types"
    has = chosen(t, key, layers, KINDS, lambda _: "mamba")
    common = upto(t, "shared_intermediate_size")
    experts = upto(t, "num_local_experts", most=MOST_EXPERTS)
    block: FeedForward = (
        moe(t, "intermediate_size", shared_width=common) if experts else Dense(common or width(t, "intermediate_size"))
    )
    for ignored in ("num_experts_per_tok", "intermediate_size"):
        t.raw(ignored, None)
    return plan([full if own else ssd for own in has], [block] * layers)


def _mamba_head(t: Table) -> int:
    """Return the width of a head of Mamba-2: a share of the inner width where it is left to the reader."""
    if isinstance(t.raw("mamba_d_head", None), int):
        return width(t, "mamba_d_head")
    return max(_expanded(t, "mamba_expand") // width(t, "mamba_n_heads"), 1)


def falcon_h1(t: Table) -> Plan:
    """Falcon-H1: Mamba-2 and attention side by side in every layer, behind one norm."""
    layers, bias = depth(t), t.flag("attention_bias")
    inner = width(t, "mamba_d_ssm", default=None) or _expanded(t, "mamba_expand")
    t.raw("mamba_expand", None)
    heads = width(t, "mamba_n_heads")
    ssd = _ssd(t, heads, max(inner // heads, 1), width(t, "mamba_d_state", default=256))
    t.raw("mamba_d_head", None)
    ssd = evolve(ssd, conv_bias=t.flag("mamba_conv_bias", default=True))
    full = gqa(t, bias=bias, out_bias=bias, norms=0)
    for key in ("projectors_bias", "mamba_rms_norm", "mamba_use_mlp", "mamba_chunk_size", "mamba_norm_before_gate", "mlp_multipliers", "ssm_multipliers", "ssm_in_multiplier",
                 "ssm_out_multiplier", "key_multiplier", "lm_head_multiplier", "embedding_multiplier", "attention_in_multiplier", "attention_out_multiplier", "mlp_expansion_factor",
                 "attn_layer_indices", "num_logits_to_keep"):  # fmt: skip
        t.raw(key, None)
    pair: list[Pair] = [(ssd, Absent()), (full, dense(t, bias=t.flag("mlp_bias")))]
    return Plan(pair * layers, {"blocks": 2})


def bamba(t: Table) -> Plan:
    """Bamba: Mamba-2 with attention in some layers, a dense block in each."""
    layers = depth(t)
    ssd = _ssd(t, width(t, "mamba_n_heads"), _mamba_head(t), width(t, "mamba_d_state", default=256))
    named = set(integers(t, "attn_layer_indices"))
    full = gqa(t)
    for key in ("mamba_expand", "mamba_chunk_size"):
        t.raw(key, None)
    return plan([full if i in named else ssd for i in range(layers)], [dense(t)] * layers)


def bailing_linear(t: Table) -> Plan:
    """Ring and Ling with lightning attention: one softmax attention closes each group of layers."""
    layers = depth(t)
    full = gqa(t, bias=t.flag("use_qkv_bias"), qk_norm=t.flag("use_qk_norm"))
    linear = Linear(full.heads, full.heads, full.head_dim, full.head_dim, decay=0, delta=False, norm_all=True)
    has = _every(t, layers, upto(t, "layer_group_size", default=8) or 8)
    each = upto(t, "moe_shared_expert_intermediate_size") or upto(t, "moe_intermediate_size")
    mixture = moe(t, shared_width=upto(t, "num_shared_experts", most=DEEPEST) * each)
    t.raw("intermediate_size", None)
    for key in ("norm_head", "group_norm_size", "linear_silu", "num_expert_group"):
        t.raw(key, None)
    ffns = mixed(sparse_layers(t, layers), mixture, lambda: dense(t))
    return plan([full if own else linear for own in has], ffns)
