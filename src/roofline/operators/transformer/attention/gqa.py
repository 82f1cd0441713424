"""Multi-head, multi-query and grouped-query attention: projections, a cache of keys and values per kv head, flash kernels."""

from __future__ import annotations

from typing import Final

from roofline.core.arrays import ceil, smaller
from roofline.core.units import Count, Num
from roofline.models.architecture import Gqa
from roofline.operators.operations import Message, Op, Operation
from roofline.operators.transformer.attention import indexer
from roofline.operators.transformer.flow import (
    ACTIVATION,
    TILE,
    Flow,
    Matrix,
    Stream,
    cached_tokens,
    elementwise,
    gemm,
    norms,
    tensor_reduce,
    total,
)


def _queries(a: Gqa, hidden: int) -> tuple[Matrix, ...]:
    """Return the projection to queries by columns (whole heads), through a latent whole on every rank if there is one."""
    wide = a.heads * a.head_dim
    q = Matrix("q", "attention", a.q_rank or hidden * a.streams, wide, "outputs", a.heads, int(a.bias) * wide)
    return (q,) if a.q_rank is None else (Matrix("q_a", "attention", hidden, a.q_rank), q)


def _others(a: Gqa, hidden: int) -> tuple[Matrix, ...]:
    """Return what else is made of the hidden state: keys and values by columns, and the output's gate."""
    keys, values, gates = a.kv_heads * a.head_dim, a.kv_heads * a.value_width, a.heads * a.gate_dim
    bias = int(a.bias)
    k = Matrix("k", "attention", hidden * a.streams, keys, "outputs", a.kv_heads, bias * keys)
    v = Matrix("v", "attention", hidden * a.streams, values, "outputs", a.kv_heads, bias * values)
    gate = Matrix("gate", "attention", hidden, gates, "outputs", a.heads)
    own = () if a.shared_kv else (k,) if a.same_kv else (k, v)
    return (*own, gate) if a.gate_dim else own


def _output(a: Gqa, hidden: int) -> Matrix:
    return Matrix("o", "attention", a.heads * a.value_width, hidden, "inputs", a.heads, int(a.out_bias) * hidden)


def matrices(a: Gqa, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections: q, k, v and gate by columns (whole heads), o by rows."""
    return *_queries(a, hidden), *_others(a, hidden), _output(a, hidden), *indexer.matrices(a.indexer, hidden)


def inner(a: Gqa) -> int:
    """Return the parameters outside the matrices: norms of queries and keys, sinks."""
    kv_heads = 0 if a.shared_kv else a.kv_heads
    heads = a.heads + kv_heads if a.norm_all else 1 + (kv_heads > 0)
    own = (heads * a.head_dim if a.qk_norm else 0) + (a.q_rank or 0) + (a.heads if a.sinks else 0)
    return own + indexer.inner(a.indexer)


def width(a: Gqa) -> int:
    """Return the elements of a token between the projections, at most."""
    return a.heads * (a.head_dim + 2 * a.value_width + a.gate_dim)


def keys(a: Gqa, tp: Count) -> Num:
    """Return the elements of a token's keys and values on one rank: ``kv_heads (d_k + d_v) / min(tp, kv_heads)``.

    >>> float(keys(Gqa(heads=64, kv_heads=8, head_dim=128), tp=1.0)), float(keys(Gqa(64, 8, 128), 16.0))
    (2048.0, 256.0)
    """
    return (a.head_dim + a.value_width) * a.kv_heads / smaller(tp, float(a.kv_heads))


def cache(a: Gqa, tokens: Count, tp: Count) -> Num:
    """Return the elements that a sequence of ``tokens`` adds to one rank's cache: its window's, none where it shares another's."""
    own = 0.0 if a.shared_kv else 1.0
    seen = a.cross + 0.0 * tokens if a.cross else cached_tokens(tokens, a.window)
    return own * keys(a, tp) * seen + indexer.cache(a.indexer) * tokens


def pairs(a: Gqa, s: Stream) -> Num:
    """Return the (query, key) pairs of one sequence; of a chunk, while decoding, the most that a token may see."""
    if a.indexer is not None:
        return s.pairs(a.indexer.top_k)
    if a.cross:
        return s.new * a.cross
    if not a.causal:
        return s.new * cached_tokens(s.past + s.new, a.window)
    return s.pairs(a.window, in_chunks=a.chunked and not s.decoding)


def core(a: Gqa, p: Flow, s: Stream) -> Op:
    """Return the attention itself: ``F = 2 (d_k + d_v) heads pairs`` a sequence; ``B`` = keys and values seen, queries, outputs."""
    tp = p.layout.tp
    heads = a.heads * _output(a, p.model.hidden).share(tp)
    seen = cached_tokens(s.past, a.window) + s.new if a.indexer is None else indexer.visible(a.indexer, s)
    seen = a.cross + 0.0 * s.past if a.cross else seen
    wide = a.head_dim + a.value_width
    seen_pairs = pairs(a, s)
    return Op(
        "attention" if s.decoding or len(p.streams) == 1 else "prompt attention",
        "attention_decode" if s.decoding else "attention_prefill",
        p.attention,
        flops=2 * wide * heads * s.sequences * seen_pairs,
        bytes=s.sequences * seen * keys(a, tp) * p.stored("kv") + s.tokens * heads * wide * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        # Rotation, writing the cache, the plan of the kernel.
        helpers=3.0,
        depth=seen,
        items=s.sequences * (a.kv_heads / smaller(tp, float(a.kv_heads)) if s.decoding else heads * ceil(s.new / TILE)),
        scores=heads * s.sequences * seen_pairs,
        form=p.form("kv", p.attention),
        rows=s.tokens,
        kept=(heads * a.head_dim + keys(a, tp)) * ACTIVATION.bytes,
        module="attention",
        role="core",
    )


def _crossed(a: Gqa, p: Flow, q: Matrix, others: tuple[Matrix, ...]) -> tuple[Op, ...]:
    """Return the projections of cross attention: queries of the tokens, keys and values of an encoder's states with a prompt."""
    rows = total(s.sequences * a.cross for s in p.streams if not s.decoding)
    return (gemm(p, "q", q), *(() if all(s.decoding for s in p.streams) else (gemm(p, "kv", *others, tokens=rows),)))


def _squares(a: Gqa, p: Flow, heads: Num) -> tuple[Operation, ...]:
    """Return what a norm over all heads takes first: a rank's sums of squares of queries and keys, added up over the tensor peers.

    A norm of each head needs neither. The sums are two numbers of 32 bits a token; the weights are applied with the rotation.

    Source:
        SGLang pull request 14416 and vLLM pull request 31493: sums, all-reduce and the rest of the norm are one kernel each.
    """
    if not (a.qk_norm and a.norm_all):
        return ()
    tp = p.layout.tp
    read = p.tokens * a.head_dim * (heads + a.kv_heads / smaller(tp, float(a.kv_heads)))
    return (
        elementwise(p, "squares", read, module="attention"),
        Message("norm reduce", "all_reduce", p.tokens * _SUMS, tp, module="attention"),
    )


_SUMS: Final = 8.0
"""Bytes of a token's sums of squares: queries' and keys', of 32 bits each."""


def operations(a: Gqa, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's attention on one rank."""
    hidden, tp = p.model.hidden, p.layout.tp
    *compressed, q = _queries(a, hidden)
    others, out = _others(a, hidden), _output(a, hidden)
    rotated = p.tokens * (a.heads * q.share(tp) * a.head_dim + (0.0 if a.shared_kv else 1.0) * keys(a, tp))
    first = "q" if a.shared_kv else "qkv"
    project = (
        (gemm(p, f"{first}_a", *compressed, *others), gemm(p, "q_b", q, role="up"))
        if compressed
        else (gemm(p, first, q, *others),)
        if not a.cross
        else _crossed(a, p, q, others)
    )
    gate = 3 * p.tokens * a.heads * out.share(tp) * a.value_width
    return (
        *norms(p, a.norms),
        *project,
        *_squares(a, p, a.heads * q.share(tp)),
        elementwise(p, "rotate", 2 * rotated, launches=3.0 if a.qk_norm else 1.0, module="attention"),
        *indexer.operations(a.indexer, p),
        *(core(a, p, stream) for stream in p.streams),
        *((elementwise(p, "gate", gate, launches=2.0, module="attention"),) if a.gate_dim else ()),
        gemm(p, "o", out),
        *tensor_reduce(p, "attention", "attention"),
    )
