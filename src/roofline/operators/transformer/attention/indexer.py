"""The indexer of sparse attention (DSA; DeepSeek-V3.2, arXiv:2512.02556, section 2.1): all cached keys scored, the best kept."""

from __future__ import annotations

from typing import Final

from roofline.core.arrays import smaller
from roofline.core.units import Num
from roofline.models.architecture import Indexer
from roofline.models.dtypes import dtype
from roofline.operators.operations import Op, Operation
from roofline.operators.transformer.flow import ACTIVATION, Flow, Matrix, Stream, elementwise, gemm

SCALE: Final = 4.0
"""Bytes of the scale of an index key in 8 bits."""


def matrices(i: Indexer | None, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections of queries, of the one key and of the heads' weights; whole on every rank."""
    if i is None or i.reused:
        return ()
    queries = Matrix("index q", "attention", i.q_rank or hidden, i.heads * i.dim)
    keys = Matrix("index k", "attention", hidden, i.projections * i.dim)
    return (queries, keys, Matrix("index weights", "attention", hidden, i.heads)) if i.weighted else (queries, keys)


def cache(i: Indexer | None) -> float:
    """Return the cached elements of a token: ``dim / pool``.

    >>> cache(Indexer(heads=64, dim=128, top_k=2048))
    128.0
    """
    return 0.0 if i is None or i.reused else i.dim / i.pool


def inner(i: Indexer | None) -> int:
    """Return the parameters outside the matrices."""
    return 0 if i is None or i.reused else i.extra


def visible(i: Indexer, s: Stream) -> Num:
    """Return the tokens of one sequence that are read: at most ``top_k`` for each query, and no token twice."""
    return smaller(s.past + s.new, s.new * i.top_k)


def score(i: Indexer, p: Flow, s: Stream) -> tuple[Op, ...]:
    """Return the scoring ``F = 2 heads dim pairs``, ``B`` = every index key, and the choice: scores written and read again.

    Shipped kernels score in fp8, one scale a key (:attr:`roofline.hardware.engines.Engine.index`); a chip without it in 16 bits.
    """
    pairs = s.sequences * s.pairs(None) / i.pool
    narrow = dtype(p.index).rate({p.index: 1.0}) if p.index in p.chip.peak else None
    stored = 1.0 + SCALE / i.dim if narrow else p.stored("kv")
    keys = s.sequences * (s.past + s.new) * cache(i) * stored
    scores = Op(
        "index scores", "gemm", narrow or p.sixteen,
        flops=2 * i.heads * i.dim * pairs,
        bytes=keys + s.tokens * i.heads * i.dim * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        # Tensor peers all score.
        useful=1.0 / p.layout.tp,
        module="attention",
    )  # fmt: skip
    # A score is 32 bits: two elements written, two read.
    return scores, elementwise(p, "index choice", 4 * pairs, launches=(s.sequences > 0) * 1.0, module="attention")


def operations(i: Indexer | None, p: Flow) -> tuple[Operation, ...]:
    """Return the indexer of one layer on one rank; nothing where there is none, or an earlier layer's choice is used."""
    if i is None or i.reused:
        return ()
    queries, *rest = matrices(i, p.model.hidden)
    projections: tuple[Operation, ...] = (gemm(p, "index q", queries), gemm(p, "index k", *rest))
    return (*projections, *(op for s in p.streams for op in score(i, p, s)))
