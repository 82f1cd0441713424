"""The matrices of a layer by the names that checkpoints give them: what lists of quantised and excluded modules refer to.

A matrix has several names, since families and engines differ (``q_proj`` and ``wq``, ``gate_proj`` fused with ``up_proj`` as
``gate_up_proj``). Names are relative to the layer: ``self_attn.q_proj`` of ``model.layers.3.self_attn.q_proj``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from attrs import frozen

from roofline.models.blocks import (
    Absent,
    Attention,
    Compressed,
    Dense,
    FeedForward,
    Gqa,
    Indexer,
    Linear,
    Mamba,
    Mla,
    Moe,
)


@frozen
class Module:
    """A matrix, or equal ones of which each has the same format.

    Attributes:
        component: the part of the model that it belongs to.
        names: what checkpoints call it.
        elements: its parameters.
        linear: an ordinary linear layer, quantised unless a list leaves it out; routers are not.
    """

    component: str
    names: tuple[str, ...]
    elements: int
    linear: bool = True


def _named(containers: Iterable[str], *leaves: str) -> tuple[str, ...]:
    return tuple(f"{each}.{leaf}" for each in containers for leaf in leaves)


_SOFTMAX = ("self_attn", "attn", "attention", "mixer")
_DENSE = ("mlp", "feed_forward", "ffn", "mixer")
_FUSED = ("qkv_proj", "query_key_value", "c_attn", "Wqkv", "W_pack", "qkv")


def attention(
    kind: Attention, hidden: int, *, linear: tuple[str, ...] = ("linear_attn", "mixer", "mamba")
) -> tuple[Module, ...]:
    """Return the matrices of one layer's attention.

    Args:
        linear: what the family calls the container of linear attention; some call it as they call softmax attention.
    """
    match kind:
        case Gqa():
            return _gqa(kind, hidden)
        case Mla():
            return _mla(kind, hidden)
        case Compressed():
            return _compressed(kind, hidden)
        case Linear():
            return _linear(kind, hidden, linear)
        case Mamba():
            return _mamba(kind, hidden)
        case Absent():
            return ()
        case _:
            assert_never(kind)


def _indexer(i: Indexer | None, hidden: int) -> tuple[Module, ...]:
    if i is None or i.reused:
        return ()
    within = ("self_attn.indexer", "attn.indexer")
    parts = [
        Module("attention", _named(within, "wq_b", "wq"), (i.q_rank or hidden) * i.heads * i.dim),
        Module("attention", _named(within, "wk", "compressor.wkv"), hidden * i.projections * i.dim),
    ]
    if i.weighted:
        parts.append(Module("attention", _named(within, "weights_proj"), hidden * i.heads))
    return tuple(parts)


def _gqa(a: Gqa, hidden: int) -> tuple[Module, ...]:
    wide, bias, into = a.heads * a.head_dim, int(a.bias), hidden * a.streams
    q = Module(
        "attention", _named(_SOFTMAX, "q_proj", "q", "wq", "q_b_proj", *_FUSED), (a.q_rank or into) * wide + bias * wide
    )
    parts = [q]
    if a.q_rank is not None:
        parts.append(Module("attention", _named(_SOFTMAX, "q_a_proj", "q_proj"), hidden * a.q_rank))
    keys, values = a.kv_heads * a.head_dim, a.kv_heads * a.value_width
    if not a.shared_kv:
        parts.append(Module("attention", _named(_SOFTMAX, "k_proj", "wk", *_FUSED), into * keys + bias * keys))
        if not a.same_kv:
            parts.append(Module("attention", _named(_SOFTMAX, "v_proj", "wv", *_FUSED), into * values + bias * values))
    if a.gate_dim:
        own = ("g_proj", "gate_proj") if a.gate_dim < a.head_dim else ("q_proj", *_FUSED)
        parts.append(Module("attention", _named(_SOFTMAX, *own), hidden * a.heads * a.gate_dim))
    out = a.heads * a.value_width * hidden + int(a.out_bias) * hidden
    parts.append(Module("attention", _named(_SOFTMAX, "o_proj", "out_proj", "wo", "dense", "c_proj", "proj"), out))
    return *parts, *_indexer(a.indexer, hidden)


def _mla(a: Mla, hidden: int) -> tuple[Module, ...]:
    wide, latent, hidden_out = a.heads * (a.nope_dim + a.rope_dim), a.kv_rank + a.rope_dim, hidden
    hidden *= a.streams
    bias, within, out = int(a.bias), ("self_attn", "attn"), []
    if a.q_rank is None:
        out.append(Module("attention", _named(within, "q_proj", "wq"), hidden * wide))
    else:
        both = ("q_a_proj", "wq_a", "fused_qkv_a_proj", "fused_qkv_a_proj_with_mqa")
        out.append(Module("attention", _named(within, *both), hidden * a.q_rank + bias * a.q_rank))
        out.append(Module("attention", _named(within, "q_b_proj", "wq_b"), a.q_rank * wide))
    if not a.shared_kv:
        these = ("kv_a_proj_with_mqa", "kv_a_proj", "wkv_a", "fused_qkv_a_proj", "fused_qkv_a_proj_with_mqa")
        out.append(Module("attention", _named(within, *these), hidden * latent + bias * latent))
    up = a.kv_rank * a.heads * (a.nope_dim + a.value_dim)
    out.append(Module("attention", _named(within, "kv_b_proj", "wkv_b", "k_b_proj", "v_b_proj"), up))
    out.append(
        Module("attention", _named(within, "o_proj", "wo"), a.heads * a.value_dim * hidden_out + bias * hidden_out)
    )
    if a.gate_dim:
        out.append(Module("attention", _named(within, "g_proj", "gate_proj"), hidden * a.heads * a.gate_dim))
    return *out, *_indexer(a.indexer, hidden)


def _compressed(a: Compressed, hidden: int) -> tuple[Module, ...]:
    within = ("attn", "self_attn")
    content = (1 + a.overlap) * a.dim if a.ratio else 0
    out = [
        Module("attention", _named(within, "wq_a", "q_a_proj"), hidden * a.q_rank),
        Module("attention", _named(within, "wq_b", "q_b_proj"), a.q_rank * a.heads * a.dim),
        Module("attention", _named(within, "wkv", "kv_proj"), hidden * a.dim),
        Module("attention", _named(within, "wo_a", "o_a_proj"), a.heads * a.dim * a.out_rank),
        Module("attention", _named(within, "wo_b", "o_b_proj"), a.out_groups * a.out_rank * hidden),
    ]
    if content:
        out.append(Module("attention", _named(within, "compressor.wkv", "compressor.wgate"), 2 * hidden * content))
    return *out, *_indexer(a.indexer, hidden)


def _linear(a: Linear, hidden: int, within: tuple[str, ...]) -> tuple[Module, ...]:
    keys, values, heads, bias = a.key_heads * a.key_dim, a.value_heads * a.value_dim, a.value_heads, int(a.bias)

    def part(elements: int, *leaves: str) -> Module:
        return Module("recurrent", _named(within, *leaves), elements)

    fused = ("in_proj_qkv", "in_proj_qkvz", "in_proj", "qkv_proj")
    out = [
        part(hidden * keys + bias * keys, "q_proj", *fused),
        part(hidden * keys + bias * keys, "k_proj", *fused),
        part(hidden * values + bias * values, "v_proj", *fused),
        part(values * hidden + bias * hidden, "out_proj", "o_proj"),
    ]
    if a.gate_rank:
        out += [part(hidden * a.gate_rank, "g_a_proj"), part(a.gate_rank * values, "g_b_proj")]
    else:
        out.append(
            part(hidden * values + bias * values, "in_proj_z", "in_proj_qkvz", "in_proj", "g_proj", "output_gate")
        )
    if a.decay and a.decay_rank:
        out += [part(hidden * a.decay_rank, "f_a_proj"), part(a.decay_rank * heads * a.decay, "f_b_proj")]
    elif a.decay:
        wide = heads * a.decay
        out.append(part(hidden * wide + bias * wide, "in_proj_a", "in_proj_ba", "in_proj", "a_proj", "f_proj"))
    if a.delta:
        out.append(part(hidden * heads, "in_proj_b", "in_proj_ba", "b_proj"))
    return tuple(out)


def _mamba(a: Mamba, hidden: int) -> tuple[Module, ...]:
    bias, vectors, within = int(a.bias), a.rank + 2 * a.state, ("mamba", "mixer")
    return (
        Module("recurrent", _named(within, "in_proj"), 2 * a.inner * (hidden + bias)),
        Module("recurrent", _named(within, "x_proj"), a.inner * vectors),
        Module("recurrent", _named(within, "dt_proj"), a.rank * a.inner + a.inner),
        Module("recurrent", _named(within, "out_proj"), a.inner * hidden + bias * hidden),
    )


_UP = ("up_proj", "gate_up_proj", "w3", "w13", "fc1", "c_fc", "dense_h_to_4h", "linear_fc1")
_GATE = ("gate_proj", "gate_up_proj", "w1", "w13", "linear_fc1")
_DOWN = ("down_proj", "w2", "fc2", "c_proj", "dense_4h_to_h", "linear_fc2")


def _block(
    component: str, within: tuple[str, ...], inputs: int, wide: int, *, gated: bool, bias: bool, times: int = 1
) -> tuple[Module, ...]:
    own = int(bias)
    up = times * (inputs * wide + own * wide)
    out = [
        Module(component, _named(within, *_UP), up),
        Module(component, _named(within, *_DOWN), times * (wide * inputs + own * inputs)),
    ]
    return (*out, Module(component, _named(within, *_GATE), up)) if gated else tuple(out)


def feed_forward(kind: FeedForward, hidden: int, *, beside: bool = False, apart: bool = False) -> tuple[Module, ...]:
    """Return the matrices of one layer's feed-forward.

    Args:
        beside: the family's shared block is named as dense blocks are.
        apart: a list speaks of single experts: return each of them, in place of all as one.
    """
    match kind:
        case Dense():
            return _block("dense", _DENSE, hidden, kind.width, gated=kind.gated, bias=kind.bias)
        case Moe():
            return _moe(kind, hidden, beside=beside, apart=apart)
        case Absent():
            return ()
        case _:
            assert_never(kind)


def _moe(f: Moe, hidden: int, *, beside: bool, apart: bool) -> tuple[Module, ...]:
    homes, inputs = ("mlp", "block_sparse_moe", "ffn", "mixer", "feed_forward", "moe"), f.latent or hidden
    routes = f.experts + f.idle
    out = [
        Module("router", _named(homes, "gate", "router"), hidden * routes + int(f.router_bias) * routes, linear=False)
    ]
    if f.shared_gate:
        out.append(Module("router", _named(homes, "shared_expert_gate"), hidden, linear=False))
    if f.latent:
        names = ("fc1_latent_proj", "latent_down_proj"), ("fc2_latent_proj", "latent_up_proj")
        out += [Module("shared", _named(homes, *each), hidden * f.latent) for each in names]
    if f.shared_width:
        named = _named(homes, "shared_expert", "shared_experts", "share_expert", "shared_mlp")
        within = _DENSE if beside else (*named, "share_expert")
        out += _block("shared", within, hidden, f.shared_width, gated=f.gated, bias=False)
    numbers = range(f.experts) if apart else (0,)
    for number in numbers:
        within = tuple(f"{home}.{each}" for home in homes[:4] for each in (f"experts.{number}", "experts"))
        times = f.experts // len(numbers)
        out += _block("experts", within, inputs, f.width, gated=f.gated, bias=f.bias, times=times)
    return tuple(out)
