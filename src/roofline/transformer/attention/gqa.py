"""Multi-head, multi-query and grouped-query attention: projections, a cache of keys and values per kv head, flash kernels."""

from __future__ import annotations

from roofline.architecture import Gqa
from roofline.arrays import smaller
from roofline.transformer.flow import ACTIVATION, Flow, Matrix, Stream, attended, elementwise, gemm, held, norm, reduced
from roofline.units import Count, Num
from roofline.work import Op, Work


def matrices(a: Gqa, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections: q, k, v by columns (whole heads), o by rows."""
    wide, narrow = a.heads * a.head_dim, a.kv_heads * a.head_dim
    bias = int(a.bias)
    return (
        Matrix("q", "attention", hidden, wide, "outputs", a.heads, bias * wide),
        Matrix("k", "attention", hidden, narrow, "outputs", a.kv_heads, bias * narrow),
        Matrix("v", "attention", hidden, narrow, "outputs", a.kv_heads, bias * narrow),
        Matrix("o", "attention", wide, hidden, "inputs", a.heads, int(a.out_bias) * hidden),
    )


def norms(a: Gqa) -> int:
    """Return the parameters of the norms inside the attention."""
    return 2 * a.head_dim if a.qk_norm else 0


def cache(a: Gqa, tp: Count) -> Num:
    """Return the cached elements of a token in one layer on one rank: ``2 d kv_heads / min(tp, kv_heads)``.

    >>> float(cache(Gqa(heads=64, kv_heads=8, head_dim=128), tp=1.0)), float(cache(Gqa(64, 8, 128), 16.0))
    (2048.0, 256.0)
    """
    return 2 * a.head_dim * a.kv_heads / smaller(tp, float(a.kv_heads))


def core(a: Gqa, p: Flow, s: Stream) -> Op:
    """Return the attention itself: ``F = 4 d heads pairs`` a sequence; ``B`` = the keys and values it sees, queries and outputs."""
    q, k, *_ = matrices(a, p.model.hidden)
    tp = p.layout.tp
    heads = a.heads * q.share(tp)
    seen = held(s.past, a.window) + s.new
    return Op(
        "attention" if s.decoding or len(p.streams) == 1 else "prompt attention",
        "attention_decode" if s.decoding else "attention_prefill",
        p.sixteen,
        flops=4 * a.head_dim * heads * s.sequences * attended(s.new, s.past, a.window),
        bytes=s.sequences * seen * cache(a, tp) * p.stored("kv") + 2 * s.tokens * heads * a.head_dim * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        extent=seen,
        items=s.sequences * a.kv_heads * k.share(tp) if s.decoding else 0.0,
    )


def works(a: Gqa, p: Flow) -> tuple[Work, ...]:
    """Return one layer's attention on one rank."""
    q, k, v, o = matrices(a, p.model.hidden)
    rotated = p.tokens * (a.heads * q.share(p.layout.tp) * a.head_dim + cache(a, p.layout.tp))
    return (
        norm(p),
        gemm(p, "qkv", q, k, v),
        elementwise(p, "rotate", 2 * rotated, launches=2.0 if a.qk_norm else 1.0),
        *(core(a, p, stream) for stream in p.streams),
        gemm(p, "o", o),
        *reduced(p, "attention"),
    )
