"""Multi-head, multi-query and grouped-query attention: projections, a cache of keys and values per kv head, flash kernels."""

from __future__ import annotations

from roofline.architecture import Gqa
from roofline.arrays import smaller
from roofline.transformer.flow import ACTIVATION, Matrix, Pass, attended, elementwise, gemm, held, norm, reduced
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


def works(a: Gqa, p: Pass) -> tuple[Work, ...]:
    """Return one layer's attention on one rank.

    ``F = 4 d heads pairs`` a sequence; ``B`` = the keys and values it sees + queries and outputs.
    """
    q, k, v, o = matrices(a, p.model.hidden)
    tp = p.layout.tp
    heads, kept = a.heads * q.share(tp), cache(a, tp)
    rotated = p.tokens * (heads * a.head_dim + kept)
    seen = held(p.past + p.new, a.window)
    attention = Op(
        "attention",
        "attention_decode" if p.decoding else "attention_prefill",
        p.sixteen,
        flops=4 * a.head_dim * heads * p.sequences * attended(p.new, p.past, a.window),
        bytes=p.sequences * seen * kept * p.stored("kv") + 2 * p.tokens * heads * a.head_dim * ACTIVATION.bytes,
        extent=seen,
        items=p.sequences * a.kv_heads * k.share(tp) if p.decoding else 0.0,
    )
    return (
        norm(p),
        gemm(p, "qkv", q, k, v),
        elementwise(p, "rotate", 2 * rotated, launches=2.0 if a.qk_norm else 1.0),
        attention,
        gemm(p, "o", o),
        *reduced(p, "attention"),
    )
