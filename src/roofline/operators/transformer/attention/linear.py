r"""Linear attention: a matrix of ``key_dim x value_dim`` a head instead of a cache (Gated DeltaNet, KDA, lightning, Mamba-2).

A decode step reads and writes the whole state. A prompt goes through in chunks of C tokens, whose pairs are multiplied as in
softmax attention while the state is passed from chunk to chunk (arXiv:2405.21060, section 6; arXiv:2412.06464, section 3.3).
"""

from __future__ import annotations

from typing import Final

from roofline.core.arrays import smaller
from roofline.core.units import Count, Num
from roofline.models.architecture import Linear
from roofline.operators.operations import Op, Operation
from roofline.operators.transformer.flow import (
    ACTIVATION,
    Flow,
    Matrix,
    Stream,
    elementwise,
    gemm,
    norms,
    tensor_reduce,
)

CHUNK: Final = 64
"""Tokens of a chunk, as kernels choose them."""


def _into(a: Linear, hidden: int) -> tuple[Matrix, ...]:
    """Return the wide projections of the hidden state: queries, keys, values and gate; decays too, but by the delta rule."""
    keys, values, bias = a.key_heads * a.key_dim, a.value_heads * a.value_dim, int(a.bias)
    heads = a.value_heads
    part = [
        Matrix("q", "recurrent", hidden, keys, "outputs", a.key_heads, bias * keys),
        Matrix("k", "recurrent", hidden, keys, "outputs", a.key_heads, bias * keys),
        Matrix("v", "recurrent", hidden, values, "outputs", heads, bias * values),
    ]
    if a.gate_rank:
        part.append(Matrix("gate_a", "recurrent", hidden, a.gate_rank))
    else:
        part.append(Matrix("gate", "recurrent", hidden, values, "outputs", heads, bias * values))
    return (*part, *(() if a.delta else _decays(a, hidden)))


def _decays(a: Linear, hidden: int) -> tuple[Matrix, ...]:
    heads, bias = a.value_heads, int(a.bias)
    if not a.decay:
        return ()
    if a.decay_rank:
        return (Matrix("decay_a", "recurrent", hidden, a.decay_rank),)
    return (Matrix("decay", "recurrent", hidden, heads * a.decay, "outputs", heads, bias * heads * a.decay),)


def _narrow(a: Linear, hidden: int) -> tuple[Matrix, ...]:
    """Return the narrow projections of the delta rule, decays and strengths: engines keep them beside the wide ones.

    Source:
        SGLang's and vLLM's models of Qwen3-Next: ``in_proj_qkvz`` and ``in_proj_ba``, and a kernel that sorts what they made.
    """
    strengths = Matrix("beta", "recurrent", hidden, a.value_heads, "outputs", a.value_heads)
    return (*_decays(a, hidden), strengths) if a.delta else ()


def _up(a: Linear) -> tuple[Matrix, ...]:
    """Return the projections out of low ranks."""
    values = a.value_heads * a.value_dim
    gate = Matrix("gate_b", "recurrent", a.gate_rank, values, "outputs", a.value_heads)
    decay = Matrix("decay_b", "recurrent", a.decay_rank, a.value_heads * a.decay, "outputs", a.value_heads)
    return tuple(m for m in (gate, decay) if m.inputs and m.outputs)


def _output(a: Linear, hidden: int) -> Matrix:
    inputs = a.value_heads * a.value_dim
    return Matrix("out", "recurrent", inputs, hidden, "inputs", a.value_heads, int(a.bias) * hidden)


def matrices(a: Linear, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections in, by columns (whole heads), and out, by rows."""
    return *_into(a, hidden), *_narrow(a, hidden), *_up(a), _output(a, hidden)


def _channels(a: Linear) -> int:
    """Return the channels that the short convolution runs over."""
    return 2 * a.key_heads * a.key_dim + a.value_heads * a.value_dim


def inner(a: Linear) -> int:
    """Return the parameters outside the matrices: convolution, decays and their offsets, skip, output norm."""
    conv = _channels(a) * (a.conv + a.conv_bias) if a.conv else 0
    decays = a.value_heads * (1 + a.decay) if a.decay else 0
    norm = a.value_dim * (a.value_heads if a.norm_all else 1)
    return conv + decays + (a.value_heads if a.skip else 0) + norm


def width(a: Linear) -> int:
    """Return the elements of a token between the projections, at most."""
    return 2 * _channels(a)


def state(a: Linear, tp: Count) -> Num:
    """Return the elements of a sequence's state on one rank: ``heads d_k d_v``, and the convolution's last taps.

    >>> float(state(Linear(key_heads=16, value_heads=32, key_dim=128, value_dim=128), tp=1.0))
    524288.0
    """
    taps = _channels(a) * max(a.conv - 1, 0)
    return (a.value_heads * a.key_dim * a.value_dim + taps) / smaller(tp, float(a.value_heads))


def core(a: Linear, p: Flow, s: Stream) -> Op:
    """Return the recurrence.

    Decoding, ``F = (5 + 2 delta) d_k d_v`` a head and token (decay, add, read; by the delta rule, look up what was there), ``B`` =
    the state read and written. Over a prompt, ``F = 4 d_k d_v + (1 + delta) C (d_k + d_v)``, ``B`` = inputs and outputs.
    """
    heads = a.value_heads / smaller(p.layout.tp, float(a.value_heads))
    square, delta = a.key_dim * a.value_dim, int(a.delta)
    each = (5 + 2 * delta) * square if s.decoding else 4 * square + (1 + delta) * CHUNK * (a.key_dim + a.value_dim)
    states = 2 * s.sequences * state(a, p.layout.tp) * p.stored("state")
    return Op(
        "state" if s.decoding or len(p.streams) == 1 else "prompt state",
        "elementwise" if s.decoding else "attention_prefill",
        p.sixteen,
        flops=s.tokens * heads * each,
        bytes=states + s.tokens * heads * (2 * a.key_dim + 2 * a.value_dim) * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        # Over a prompt in chunks: convolution, norms, gates, sums, products and inverse of a chunk, states, outputs (fla, chunk rules).
        helpers=3.0 if s.decoding else 11.0,
        depth=0.0 if s.decoding else s.new,
        rows=s.tokens,
        kept=heads * (2 * a.key_dim + a.value_dim) * ACTIVATION.bytes,
        module="attention",
        role="core",
    )


def operations(a: Linear, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's linear attention on one rank."""
    hidden, tp = p.model.hidden, p.layout.tp
    out, share = _output(a, hidden), 1.0 / smaller(tp, float(a.value_heads))
    values = a.value_heads * a.value_dim * share
    beside, made = _narrow(a, hidden), 2 * p.tokens * (_channels(a) * share + values)
    return (
        *norms(p, a.norms),
        gemm(p, "in", *_into(a, hidden)),
        *((gemm(p, "decay beta", *beside), elementwise(p, "split", made, module="attention")) if beside else ()),
        *(gemm(p, m.name, m) for m in _up(a)),
        *((elementwise(p, "convolve", 2 * p.tokens * _channels(a) * share, module="attention"),) if a.conv else ()),
        *(core(a, p, s) for s in p.streams),
        elementwise(p, "gate", 3 * p.tokens * values, module="attention"),
        gemm(p, "out", out),
        *tensor_reduce(p, "attention", "attention"),
    )
