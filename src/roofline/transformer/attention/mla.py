"""Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): expanded to heads over a prompt, absorbed over the cache.

Absorbed, the projection that expands the latent is folded into query and output: a head's query becomes ``kv_rank +
rope_dim`` wide and all heads read the same cached latent. The products with that projection cost the same either way.
"""

from __future__ import annotations

from roofline.architecture import Mla
from roofline.transformer.flow import ACTIVATION, Matrix, Pass, attended, elementwise, gemm, norm, reduced
from roofline.units import Num
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


def works(a: Mla, p: Pass) -> tuple[Work, ...]:
    """Return one layer's attention on one rank: absorbed in decode, expanded in prefill.

    Absorbed: ``F = 2 heads pairs (2 kv_rank + rope_dim)``, ``B`` = latents once for all heads. Expanded:
    ``F = 2 heads pairs (nope + rope + value)``.
    """
    *query, down, keys, values, out = matrices(a, p.model.hidden)
    tp, last = p.layout.tp, query[-1]
    heads = a.heads * last.share(tp)
    wide, kept = a.nope_dim + a.rope_dim, a.kv_rank + a.rope_dim
    pairs, tokens = p.sequences * attended(p.new, p.past, None), p.past + p.new
    first = gemm(p, "q_a kv_a", query[0], down) if len(query) == 2 else gemm(p, "q kv_a", query[0], down)
    project = (gemm(p, "q_b", last),) if len(query) == 2 else ()
    rotate = elementwise(p, "rotate", 2 * p.tokens * (heads * a.rope_dim + kept), launches=2.0)
    if p.decoding:
        core: tuple[Work, ...] = (
            gemm(p, "absorb k", keys),
            Op(
                "attention", "mla_decode", p.sixteen,
                flops=2 * heads * pairs * (kept + a.kv_rank),
                bytes=p.sequences * tokens * kept * p.stored("kv") + p.tokens * heads * (kept + a.kv_rank) * ACTIVATION.bytes,
            ),
            gemm(p, "absorb v", values),
        )  # fmt: skip
    else:
        expanded = p.sequences * tokens * heads * (wide + a.value_dim)
        core = (
            gemm(p, "expand kv", keys, values, tokens=p.sequences * tokens),
            Op(
                "attention", "mla_prefill", p.sixteen,
                flops=2 * heads * pairs * (wide + a.value_dim),
                bytes=(expanded + p.tokens * heads * (wide + a.value_dim)) * ACTIVATION.bytes,
                extent=tokens,
            ),
        )  # fmt: skip
    return norm(p), first, *project, rotate, *core, gemm(p, "o", out), *reduced(p, "attention")
