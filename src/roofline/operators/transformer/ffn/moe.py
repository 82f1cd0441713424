"""A mixture of experts: router, dispatch, grouped products, combine, and the shared block beside them.

Within a stage of ``tp * dp`` ranks there are ``ep`` shards of whole experts, each expert cut over the remaining
ranks. With one attention group (dp = 1) every rank of the stage already holds every token, and the sum over tensor
peers combines the experts' outputs; with several, tokens travel to the shards their experts live on and back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from attrs import evolve

from roofline.core.arrays import ceil, expected_distinct, larger, pick, share, smaller
from roofline.core.units import Bytes, Count, Num, Ratio
from roofline.models.architecture import Dense, Moe
from roofline.operators.operations import Message, Op, Operation, altered
from roofline.operators.transformer.ffn import dense
from roofline.operators.transformer.flow import ACTIVATION, Flow, Matrix, elementwise, gemm, norms, tensor_reduce


def _shared(f: Moe) -> Dense:
    return Dense(f.shared_width, gated=f.gated)


@lru_cache(64)
def matrices(f: Moe, hidden: int) -> tuple[Matrix, ...]:
    """Return what is not a routed expert: the router, the way into the experts' width and out of it, the shared block, its gate."""
    routes = f.experts + f.idle
    router = Matrix("router", "router", hidden, routes, biases=int(f.router_bias) * routes)
    latent = _latent(f, hidden) if f.latent else ()
    shared = dense.matrices(_shared(f), hidden, "shared") if f.shared_width else ()
    return router, *_gate(f, hidden), *latent, *shared


def _gate(f: Moe, hidden: int) -> tuple[Matrix, ...]:
    return (Matrix("shared gate", "router", hidden, 1),) if f.shared_gate else ()


def _gated(f: Moe, p: Flow) -> tuple[Op, ...]:
    """Return what scales the shared block's output by a learned gate and adds it: one product, a sigmoid, two passes.

    Source:
        SGLang pull request 26727: a matmul, sigmoid, multiplication and addition, each a kernel of Qwen's mixtures.
    """
    made = p.tokens * p.model.hidden
    return (
        gemm(p, "shared gate", *_gate(f, p.model.hidden), module="shared"),
        elementwise(p, "shared scale", 5 * made, launches=3.0, module="shared"),
    )


def _latent(f: Moe, hidden: int) -> tuple[Matrix, Matrix]:
    return Matrix("latent in", "shared", hidden, f.latent), Matrix("latent out", "shared", f.latent, hidden)


def expert(f: Moe, hidden: int) -> int:
    """Return the parameters of one routed expert: ``3 H width`` gated, ``2 H width`` not, in the experts' width, and biases."""
    into, inputs = 1 + f.gated, f.latent or hidden
    return (into + 1) * inputs * f.width + int(f.bias) * (into * f.width + inputs)


def local_slots(f: Moe, ep: Count, redundant: Count) -> Count:
    """Return the experts on the fullest of ``ep`` shards, redundant copies counted: ``ceil((E + R) / ep)``.

    >>> float(local_slots(Moe(experts=256, top_k=8, width=2048), ep=72.0, redundant=0.0))
    4.0
    """
    return ceil((f.experts + redundant) / ep)


_SENT_NARROW: Final = ("fp8-block",)
"""Formats in which training quantises tokens before they travel: DeepSeek-V3's, with a scale for 128 elements of a token (arXiv:2412.19437,
section 3.3). Dispatchers of Megatron-Core send 16 bits and leave the quantisation to the grouped GEMM, whatever its format."""


def imbalance(tokens: Count, shards: Count) -> Ratio:
    """Return the load of the fullest of n shards over the mean where m tokens are drawn at random.

    ``1 + sqrt(2 ln n  n / m)``, at most n. Raab and Steger, *Balls into bins*, RANDOM 1998, theorem 1. Real routers are less
    even: measure, and give ``imbalance``.

    >>> round(float(imbalance(256 * 32.0, 256.0)), 2), float(imbalance(100.0, 1.0))
    (1.59, 1.0)
    """
    return smaller(1 + np.sqrt(2 * np.log(shards) * share(shards, tokens)), shards)


def passes(tokens: Count, rows: Count, hidden: Num, width: Num, *, passed: Bytes, into: Num) -> Bytes:
    """Return the traffic of the passes around grouped products: quantise, gather, activate, add up again.

    ``T H (2 a + q) + R (H (2 w + 2 a) + width (2 a into + 2 w))``: T tokens read, quantised (q = w in a narrow format, else 0) and
    written as sums; R rows gathered, what ``into`` matrices made of them read and written by the activation, and added up; a bytes
    of an activation in 16 bits, w as the experts take it.

    >>> float(passes(1.0, 8.0, 4096.0, 1536.0, passed=2.0, into=2))
    425984.0
    """
    a, narrow = ACTIVATION.bytes, passed < ACTIVATION.bytes
    once = tokens * hidden * (2 * a + passed * narrow)
    return once + rows * (hidden * (2 * passed + 2 * a) + width * (2 * a * into + 2 * passed))


def returned(rows: Count, hidden: Num, width: Num, *, passed: Bytes, into: Num) -> Bytes:
    """Return the traffic that the gradients of grouped products take in passes beyond that of :func:`passes`.

    ``R (width (a (2 - into) + 2 w (into - 1)) + q (into width + H))``: the gradient of a gated activation reads a gradient more and writes
    one more; a gradient in a narrow format (q = w, else 0) is written once more for that of the weights.

    >>> float(returned(8.0, 4096.0, 1536.0, passed=2.0, into=2))
    49152.0
    """
    narrow = passed * (passed < ACTIVATION.bytes)
    return rows * (width * (ACTIVATION.bytes * (2 - into) + 2 * passed * (into - 1)) + narrow * (into * width + hidden))


def with_shared_routed(f: Moe) -> Moe:
    """Return a mixture whose shared experts are among the routed ones: every token visits them too, on the ranks that hold them.

    A shared block that is no whole number of experts stays beside the mixture.

    >>> from roofline import catalog
    >>> f = catalog.model("deepseek-v3").layers[-1].ffn
    >>> (f.top_k, f.shared_width), (with_shared_routed(f).top_k, with_shared_routed(f).shared_width)
    ((8, 2048), (9, 0))
    """
    more, left = divmod(f.shared_width, f.width)
    return f if left else evolve(f, top_k=f.top_k + more, shared_width=0)


def operations(f: Moe, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's mixture on one rank.

    Rows of the fullest shard ``R = u T k slots / (E + copies)`` for the T tokens of the stage, u the imbalance; ``F = 6 H width R /
    expert_tp`` gated; ``B`` = weights of the experts that are expected to be hit, ``slots (1 - (1 - u k / (E + copies))^T)``;
    tokens are quantised, permuted and added up again in passes of their own (:func:`passes`).
    """
    layout, hidden = p.layout, f.latent or p.model.hidden
    router, *_ = matrices(f, p.model.hidden)
    slots, copies = local_slots(f, layout.ep, layout.redundant_experts), f.experts + layout.redundant_experts
    tokens, cut = p.group_tokens, layout.expert_tp
    uneven = imbalance(tokens * f.visits, layout.ep) if p.imbalance is None else smaller(p.imbalance, layout.ep)
    rows = uneven * tokens * f.visits * slots / copies
    hit = expected_distinct(slots, smaller(uneven * f.visits / copies, 1.0), tokens)
    element, passed = ACTIVATION.bytes, p.passed("experts")
    row = hidden * passed
    # Tensor peers hold every token; where tokens travel, a rank meets those that it has an expert for.
    travel = layout.dp > 1 if layout.etp is None else layout.ep > 0
    met = pick(travel, smaller(uneven * expected_distinct(tokens, 1 / layout.ep, f.visits), tokens), tokens)
    strange = pick(travel, 0.0 * rows, larger(tokens * f.visits - rows, 0.0))
    into, width = 1 + f.gated, f.width / cut
    # No grouped product of a training framework adds a bias as it ends: a pass does, and another adds up its gradient.
    biased = f.bias * (layout.etp is not None) * rows * (into * width + hidden) * element
    experts = Op(
        "experts", "moe", p.rate("experts"),
        flops=2 * expert(f, p.model.hidden) * rows / cut,
        bytes=hit * expert(f, p.model.hidden) / cut * p.stored("experts"),
        staging=passes(met, rows, hidden, width, passed=passed, into=into) + 2 * biased,
        elsewhere=passes(0.0, strange, hidden, 0.0, passed=passed, into=into),
        items=slots,
        hits=hit,
        # Sorting, quantisation, activation, the second product, the sum of the visits.
        helpers=5.0,
        useful=copies / (slots * layout.ep * uneven),
        form=p.form("experts", p.rate("experts")),
        weights=slots * expert(f, p.model.hidden) / cut,
        rows=rows,
        inputs=hidden,
        outputs=hidden,
        # Inputs of products as they are multiplied, of the activation between them in 16 bits.
        kept=(hidden + width) * passed + into * width * element,
        inner=width * passed,
        back=returned(rows, hidden, width, passed=passed, into=into) - biased,
        module="experts",
    )  # fmt: skip
    inwards, outwards = _latent(f, p.model.hidden) if f.latent else (None, None)
    there, back = _ways(f, p, uneven, row, hidden * element)
    return (
        *norms(p, f.norms),
        gemm(p, "router", router),
        # Scores, and the experts with the highest: timings of grouped GEMMs are given them.
        elementwise(p, "choose", 2 * p.tokens * router.outputs, module="router"),
        *(() if inwards is None else (gemm(p, "latent in", inwards, module="experts"),)),
        *there,
        experts,
        *back,
        *(() if outwards is None else (gemm(p, "latent out", outwards, module="experts"),)),
        *(dense.block(_shared(f), p, "shared ", "shared", "shared") if f.shared_width else ()),
        *(_gated(f, p) if f.shared_gate else ()),
        # In training tokens come back to the rank that sent them; only what the shared block made is added up.
        *(tensor_reduce(p, "ffn", "experts") if layout.etp is None or f.shared_width else ()),
    )


def _ways(f: Moe, p: Flow, uneven: Ratio, row: Bytes, back: Bytes) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """Return how tokens travel to their experts, and back.

    A service whose tensor peers hold every token sends nothing; where each expert is cut, a token goes to all of its parts. In
    training the ``ep`` peers exchange tokens, each tensor peer its own, and the ``etp`` ranks of an expert gather what they got; tokens
    go out in 16 bits but for :data:`_SENT_NARROW`.
    """
    layout = p.layout
    if layout.etp is None:
        # Tensor peers each send their part of the tokens; what the fullest shard gets is waited for.
        sent = (layout.dp > 1) * uneven * p.tokens / layout.tp
        group, copies = layout.stage, f.visits * layout.expert_tp
        there, here = (
            Message(name, name, sent * each, group, copies=copies, module="experts", groups=f.groups, among=f.among)
            for name, each in (("dispatch", row), ("combine", back))
        )
        return (there,), (here,)
    sent, gathered = uneven * p.tokens / layout.tp, uneven * p.tokens / layout.tp * f.visits * layout.etp
    row = row if p.model.formats.experts in _SENT_NARROW else back
    there = Message(
        "dispatch",
        "dispatch",
        sent * row,
        layout.ep,
        layout.etp,
        f.visits,
        module="experts",
        groups=f.groups,
        among=f.among,
    )
    return (
        (
            there,
            Message("expert gather", "all_gather", gathered * row, layout.etp, module="experts"),
        ),
        (
            Message("expert scatter", "reduce_scatter", gathered * back, layout.etp, module="experts"),
            altered(there, name="combine", collective="combine", size=sent * back),
        ),
    )
