"""Attention over a short window and a compressed stream of one key-value head (DeepSeek-V4: CSA and HCA).

Every entry of the stream stands for ``ratio`` tokens: an indexer chooses among the entries of a low ratio, those of a high
one are all attended to. Keys are values, so a pair costs two products of width ``dim``.
"""

from __future__ import annotations

from roofline.core.arrays import ceil
from roofline.core.units import Count, Num
from roofline.models.architecture import Compressed
from roofline.operators.operations import Op, Operation
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
)


def _down(a: Compressed, hidden: int) -> tuple[Matrix, ...]:
    """Return what every rank makes of the hidden state: query latent, key, and the compressor's content and gate."""
    content = (1 + a.overlap) * a.dim if a.ratio else 0
    own = Matrix("q_a", "attention", hidden, a.q_rank), Matrix("kv", "attention", hidden, a.dim)
    return (*own, Matrix("compress", "attention", hidden, 2 * content)) if content else own


def _queries(a: Compressed) -> Matrix:
    return Matrix("q_b", "attention", a.q_rank, a.heads * a.dim, "outputs", a.heads)


def _output(a: Compressed, hidden: int) -> tuple[Matrix, Matrix]:
    groups, each = a.out_groups, a.heads * a.dim // a.out_groups
    return (
        Matrix("o_a", "attention", each, a.out_rank, "outputs", groups, blocks=groups),
        Matrix("o_b", "attention", groups * a.out_rank, hidden, "inputs", groups),
    )


def matrices(a: Compressed, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections; those into latents are whole on every rank, the rest are cut by heads and groups."""
    return *_down(a, hidden), _queries(a), *_output(a, hidden), *indexer.matrices(a.indexer, hidden)


def inner(a: Compressed) -> int:
    """Return the parameters outside the matrices: norms, sinks, and the compressor's table of positions."""
    compressor = (1 + a.overlap) * a.ratio * a.dim + a.dim if a.ratio else 0
    return a.q_rank + a.dim + a.heads + compressor + indexer.inner(a.indexer)


def width(a: Compressed) -> int:
    """Return the elements of a token between the projections, at most."""
    return 2 * a.heads * a.dim


def cache(a: Compressed, tokens: Count) -> Num:
    """Return the cached elements of a sequence on every rank: ``dim (min(S, window) + S / ratio)``, and the indexer's keys.

    >>> csa = Compressed(heads=128, dim=512, q_rank=1536, out_groups=16, out_rank=1024, window=128, ratio=128)
    >>> float(cache(csa, 12800.0)) == 512 * (128 + 100)
    True
    """
    stream = tokens / a.ratio if a.ratio else 0.0
    return a.dim * (cached_tokens(tokens, a.window) + stream) + indexer.cache(a.indexer) * tokens


def core(a: Compressed, p: Flow, s: Stream, heads: Count) -> Op:
    """Return the attention: ``F = 4 dim heads (pairs in the window + pairs / ratio)``, ``B`` = entries, once for all heads."""
    pairs, seen = s.pairs(a.window), cached_tokens(s.past, a.window) + s.new
    if a.ratio:
        limit = None if a.indexer is None else a.indexer.top_k
        pairs = pairs + s.pairs(limit) / a.ratio
        whole = s.past + s.new
        seen = seen + (whole / a.ratio if a.indexer is None else indexer.visible(a.indexer, s) / a.ratio)
    return Op(
        "attention" if s.decoding or len(p.streams) == 1 else "prompt attention",
        "mla_decode" if s.decoding else "mla_prefill",
        p.attention,
        flops=4 * a.dim * heads * s.sequences * pairs,
        bytes=s.sequences * seen * a.dim * p.stored("kv") + 2 * s.tokens * heads * a.dim * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        # Slices, rotation, writing both caches, the plan of the kernel.
        helpers=6.0,
        depth=seen,
        items=s.sequences * (1.0 if s.decoding else heads * ceil(s.new / TILE)),
        form=p.form("kv", p.attention),
        rows=s.tokens,
        kept=(heads + 1) * a.dim * ACTIVATION.bytes,
        module="attention",
        role="core",
    )


def operations(a: Compressed, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's attention on one rank."""
    hidden, tp = p.model.hidden, p.layout.tp
    down, up = _down(a, hidden), _queries(a)
    first, second = _output(a, hidden)
    heads = a.heads * up.share(tp)
    content = sum(m.outputs for m in down) - a.q_rank
    return (
        *norms(p, a.norms),
        gemm(p, "q_a kv", *down),
        gemm(p, "q_b", up, role="up"),
        elementwise(
            p, "rotate and compress", 2 * p.tokens * (heads * a.dim + content), launches=2.0, module="attention"
        ),
        *indexer.operations(a.indexer, p),
        *(core(a, p, s, heads) for s in p.streams),
        gemm(p, "o_a", first),
        gemm(p, "o_b", second),
        *tensor_reduce(p, "attention", "attention"),
    )
