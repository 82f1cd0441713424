"""Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): expanded to heads over a prompt, absorbed over the cache.

Absorbed, the projection that expands the latent is folded into query and output: a head's query becomes ``kv_rank +
rope_dim`` wide and all heads read the same cached latent.
"""

from __future__ import annotations

from functools import lru_cache

from roofline.core.arrays import ceil, pick, share
from roofline.core.units import Count, Num
from roofline.models.architecture import Mla
from roofline.operators.operations import Op, Operation, altered
from roofline.operators.transformer.attention import indexer
from roofline.operators.transformer.flow import (
    ACTIVATION,
    TILE,
    Flow,
    Matrix,
    Stream,
    elementwise,
    gemm,
    norms,
    tensor_reduce,
)


@lru_cache(64)
def _queries(a: Mla, hidden: int) -> tuple[Matrix, ...]:
    wide, bias = a.heads * (a.nope_dim + a.rope_dim), int(a.bias)
    if a.q_rank is None:
        return (Matrix("q", "attention", hidden * a.streams, wide, "outputs", a.heads),)
    return (
        Matrix("q_a", "attention", hidden * a.streams, a.q_rank, biases=bias * a.q_rank),
        Matrix("q_b", "attention", a.q_rank, wide, "outputs", a.heads),
    )


@lru_cache(64)
def _down(a: Mla, hidden: int) -> tuple[Matrix, ...]:
    latent = a.kv_rank + a.rope_dim
    return (
        () if a.shared_kv else (Matrix("kv_a", "attention", hidden * a.streams, latent, biases=int(a.bias) * latent),)
    )


@lru_cache(64)
def _up(a: Mla) -> tuple[Matrix, Matrix]:
    keys = Matrix("k_b", "attention", a.kv_rank, a.heads * a.nope_dim, "outputs", a.heads)
    return keys, Matrix("v_b", "attention", a.kv_rank, a.heads * a.value_dim, "outputs", a.heads)


@lru_cache(64)
def _folded(a: Mla) -> tuple[Matrix, Matrix]:
    keys = Matrix("absorb k", "attention", a.nope_dim, a.kv_rank, "outputs", a.heads, blocks=a.heads)
    return keys, Matrix("absorb v", "attention", a.kv_rank, a.value_dim, "outputs", a.heads, blocks=a.heads)


@lru_cache(64)
def _output(a: Mla, hidden: int) -> Matrix:
    return Matrix("o", "attention", a.heads * a.value_dim, hidden, "inputs", a.heads, int(a.bias) * hidden)


@lru_cache(64)
def _gate(a: Mla, hidden: int) -> tuple[Matrix, ...]:
    return (Matrix("gate", "attention", hidden, a.heads * a.gate_dim, "outputs", a.heads),) if a.gate_dim else ()


def matrices(a: Mla, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections; those into the latents are whole on every rank, those out of them are cut by heads."""
    return (
        *_queries(a, hidden),
        *_down(a, hidden),
        *_up(a),
        _output(a, hidden),
        *_gate(a, hidden),
        *indexer.matrices(a.indexer, hidden),
    )


def inner(a: Mla) -> int:
    """Return the parameters outside the matrices: norms of the two latents, sinks, and those of the indexer."""
    own = (0 if a.shared_kv else a.kv_rank) + (a.q_rank or 0) + (a.heads if a.sinks else 0) + a.extra
    return own + indexer.inner(a.indexer)


def width(a: Mla) -> int:
    """Return the elements of a token between the projections, at most."""
    return a.heads * (a.nope_dim + a.rope_dim + 2 * a.value_dim + a.gate_dim)


def latent(a: Mla) -> float:
    """Return the elements of a token's latent: ``kv_rank + rope_dim``, whole on every tensor peer.

    >>> latent(Mla(heads=128, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128))
    576.0
    """
    return float(a.kv_rank + a.rope_dim)


def cache(a: Mla, tokens: Count) -> Num:
    """Return the elements that a sequence of ``tokens`` adds to every rank's cache: latents, and the indexer's keys."""
    return ((0.0 if a.shared_kv else latent(a)) + indexer.cache(a.indexer)) * tokens


_HELPERS = 6.0
"""Slices, joins, rotation, writing the cache, the plan of the kernel."""


def _absorbed(a: Mla, p: Flow, s: Stream, heads: Count) -> tuple[Operation, ...]:
    """Return the attention over the cached latents: ``F = 2 heads pairs (2 kv_rank + rope_dim)``, ``B`` = latents once.

    Engines keep the projections that are folded into query and output in 16 bits, one matrix a head.
    """
    wide = a.kv_rank + a.rope_dim + a.kv_rank
    # An indexer makes a prompt's queries attend to tokens of their own, so it is absorbed as well.
    limit, seen = (None, s.past + s.new) if a.indexer is None else (a.indexer.top_k, indexer.visible(a.indexer, s))
    attention = Op(
        "attention" if s.decoding or len(p.streams) == 1 else "prompt attention",
        "mla_decode" if s.decoding else "mla_prefill",
        p.attention,
        flops=2 * heads * s.sequences * s.pairs(limit) * wide,
        bytes=s.sequences * seen * latent(a) * p.stored("kv") + s.tokens * heads * wide * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        helpers=_HELPERS,
        depth=seen,
        items=s.sequences * (1.0 if s.decoding else heads * ceil(s.new / TILE)),
        form=p.form("kv", p.attention),
        rows=s.tokens,
        kept=(heads + 1) * latent(a) * ACTIVATION.bytes,
        module="attention",
        role="core",
    )
    into, out = (gemm(p, m.name, m, tokens=s.tokens, rate=p.sixteen) for m in _folded(a))
    return into, attention, out


def _expanded(a: Mla, p: Flow, s: Stream, heads: Count) -> tuple[Operation, ...]:
    """Return the attention over a prompt: ``F = 2 heads pairs (nope + rope + value)``, with keys and values expanded."""
    keys, values = _up(a)
    wide, tokens = a.nope_dim + a.rope_dim + a.value_dim, s.sequences * (s.past + s.new)
    attention = Op(
        "attention" if len(p.streams) == 1 else "prompt attention", "mla_prefill", p.attention,
        flops=2 * heads * s.sequences * s.pairs(None) * wide,
        bytes=(tokens + s.tokens) * heads * wide * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        helpers=_HELPERS,
        depth=s.past + s.new,
        items=s.sequences * heads * ceil(s.new / TILE),
        form=p.form("kv", p.attention),
        rows=s.tokens,
        kept=heads * (2 * (a.nope_dim + a.rope_dim) + a.value_dim) * ACTIVATION.bytes,
        module="attention",
        role="core",
    )  # fmt: skip
    expand = gemm(p, "expand kv", keys, values, tokens=tokens, role="up")
    # Context-parallel ranks exchange latents, and each expands what it got.
    own = pick(p.layout.cp > 1, share(s.new, s.past + s.new), 1.0)
    return altered(expand, useful=expand.useful * own), attention


def operations(a: Mla, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's attention on one rank: absorbed where it decodes or chooses its keys, expanded over prompts."""
    hidden = p.model.hidden
    *compressed, last = _queries(a, hidden)
    down, gate, out = _down(a, hidden), _gate(a, hidden), _output(a, hidden)
    heads = a.heads * last.share(p.layout.tp)
    into = (*compressed, *down) if compressed else (last, *down)
    first = gemm(p, " ".join(m.name for m in into), *into)
    project = (gemm(p, "q_b", last, role="up"),) if compressed else ()
    cores = [
        work
        for s in p.streams
        for work in (_absorbed if s.decoding or a.indexer is not None else _expanded)(a, p, s, heads)
    ]
    return (
        *norms(p, a.norms),
        first,
        *project,
        *((gemm(p, "gate", *gate),) if gate else ()),
        elementwise(p, "rotate", 2 * p.tokens * (heads * a.rope_dim + latent(a)), launches=2.0, module="attention"),
        *indexer.operations(a.indexer, p),
        *cores,
        *((elementwise(p, "apply gate", 3 * p.tokens * heads * a.value_dim, module="attention"),) if gate else ()),
        gemm(p, "o", out),
        *tensor_reduce(p, "attention", "attention"),
    )
