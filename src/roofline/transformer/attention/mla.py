"""Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): expanded to heads over a prompt, absorbed over the cache.

Absorbed, the projection that expands the latent is folded into query and output: a head's query becomes ``kv_rank +
rope_dim`` wide and all heads read the same cached latent.
"""

from __future__ import annotations

from roofline.architecture import Mla
from roofline.transformer.flow import ACTIVATION, Flow, Matrix, Stream, attended, elementwise, gemm, norm, reduced
from roofline.units import Count, Num
from roofline.work import Op, Work


def matrices(a: Mla, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections; those into the latents are whole on every rank, those out of them are cut by heads."""
    query = a.heads * (a.nope_dim + a.rope_dim)
    down = Matrix("kv_a", "attention", hidden, a.kv_rank + a.rope_dim)
    keys = Matrix("k_b", "attention", a.kv_rank, a.heads * a.nope_dim, "outputs", a.heads)
    values = Matrix("v_b", "attention", a.kv_rank, a.heads * a.value_dim, "outputs", a.heads)
    out = Matrix("o", "attention", a.heads * a.value_dim, hidden, "inputs", a.heads)
    if a.q_rank is None:
        return Matrix("q", "attention", hidden, query, "outputs", a.heads), down, keys, values, out
    return (
        Matrix("q_a", "attention", hidden, a.q_rank),
        Matrix("q_b", "attention", a.q_rank, query, "outputs", a.heads),
        down, keys, values, out,
    )  # fmt: skip


def norms(a: Mla) -> int:
    """Return the parameters of the norms of the two latents."""
    return a.kv_rank + (a.q_rank or 0)


def cache(a: Mla) -> Num:
    """Return the cached elements of a token in one layer on one rank: ``kv_rank + rope_dim``, whole on every tensor peer.

    >>> cache(Mla(heads=128, kv_rank=512, nope_dim=128, rope_dim=64, value_dim=128))
    576.0
    """
    return float(a.kv_rank + a.rope_dim)


def _absorbed(a: Mla, p: Flow, s: Stream, heads: Count) -> tuple[Work, ...]:
    """Return the attention over the cached latents: ``F = 2 heads pairs (2 kv_rank + rope_dim)``, ``B`` = latents once.

    Engines keep the projections that are folded into query and output in 16 bits, one matrix a head.
    """
    wide = a.kv_rank + a.rope_dim + a.kv_rank
    key = Matrix("absorb k", "attention", a.nope_dim, a.kv_rank, "outputs", a.heads, blocks=a.heads)
    value = Matrix("absorb v", "attention", a.kv_rank, a.value_dim, "outputs", a.heads, blocks=a.heads)
    attention = Op(
        "attention", "mla_decode", p.sixteen,
        flops=2 * heads * s.sequences * attended(s.new, s.past, None) * wide,
        bytes=s.sequences * (s.past + s.new) * cache(a) * p.stored("kv") + s.tokens * heads * wide * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
    )  # fmt: skip
    into, out = (gemm(p, m.name, m, tokens=s.tokens, rate=p.sixteen) for m in (key, value))
    return into, attention, out


def _expanded(a: Mla, p: Flow, s: Stream, heads: Count) -> tuple[Work, ...]:
    """Return the attention over a prompt: ``F = 2 heads pairs (nope + rope + value)``, with keys and values expanded."""
    *_, keys, values, _ = matrices(a, p.model.hidden)
    wide, tokens = a.nope_dim + a.rope_dim + a.value_dim, s.sequences * (s.past + s.new)
    attention = Op(
        "attention" if len(p.streams) == 1 else "prompt attention", "mla_prefill", p.sixteen,
        flops=2 * heads * s.sequences * attended(s.new, s.past, None) * wide,
        bytes=(tokens + s.tokens) * heads * wide * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        extent=s.past + s.new,
    )  # fmt: skip
    return gemm(p, "expand kv", keys, values, tokens=tokens), attention


def works(a: Mla, p: Flow) -> tuple[Work, ...]:
    """Return one layer's attention on one rank: absorbed where it decodes, expanded over prompts."""
    *query, down, _, _, out = matrices(a, p.model.hidden)
    last = query[-1]
    heads = a.heads * last.share(p.layout.tp)
    first = gemm(p, "q_a kv_a" if len(query) == 2 else "q kv_a", query[0], down)
    project = (gemm(p, "q_b", last),) if len(query) == 2 else ()
    cores = [work for s in p.streams for work in (_absorbed if s.decoding else _expanded)(a, p, s, heads)]
    return (
        norm(p),
        first,
        *project,
        elementwise(p, "rotate", 2 * p.tokens * (heads * a.rope_dim + cache(a)), launches=2.0),
        *cores,
        gemm(p, "o", out),
        *reduced(p, "attention"),
    )
