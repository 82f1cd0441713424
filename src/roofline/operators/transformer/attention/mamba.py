"""The selective scan of Mamba (arXiv:2312.00752, section 3): every channel has a small state of its own, and no cache."""

from __future__ import annotations

from roofline.core.arrays import smaller
from roofline.core.units import Count, Num
from roofline.models.architecture import Mamba
from roofline.operators.operations import Message, Op, Operation
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


def matrices(a: Mamba, hidden: int) -> tuple[Matrix, ...]:
    """Return the projections: in by columns, to time step, input and output vectors by rows, time step by columns, out by rows."""
    bias, vectors = int(a.bias), a.rank + 2 * a.state
    return (
        Matrix("in", "recurrent", hidden, 2 * a.inner, "outputs", a.inner, bias * 2 * a.inner),
        Matrix("vectors", "recurrent", a.inner, vectors, "inputs", a.inner),
        Matrix("step", "recurrent", a.rank, a.inner, "outputs", a.inner, a.inner),
        Matrix("out", "recurrent", a.inner, hidden, "inputs", a.inner, bias * hidden),
    )


def inner(a: Mamba) -> int:
    """Return the parameters outside the matrices: convolution, decays, skip, and norms of the vectors."""
    return a.inner * (a.conv + a.conv_bias + a.state + 1) + (a.rank + 2 * a.state if a.normed else 0)


def width(a: Mamba) -> int:
    """Return the elements of a token between the projections, at most."""
    return 4 * a.inner


def state(a: Mamba, tp: Count) -> Num:
    """Return the elements of a sequence's state on one rank: ``inner (state + conv - 1) / tp``.

    >>> float(state(Mamba(inner=5120, state=16, rank=160, conv=4), tp=1.0))
    97280.0
    """
    return a.inner * (a.state + max(a.conv - 1, 0)) / smaller(tp, float(a.inner))


def core(a: Mamba, p: Flow, s: Stream) -> Op:
    """Return the scan, which no matrix unit does: ``F = 9 inner state`` a token, ``B`` = the state once, inputs and outputs."""
    tp = smaller(p.layout.tp, float(a.inner))
    states = 2 * s.sequences * state(a, p.layout.tp) * p.stored("state")
    return Op(
        "state" if s.decoding or len(p.streams) == 1 else "prompt state",
        "elementwise",
        p.sixteen,
        flops=9 * s.tokens * a.inner * a.state / tp,
        bytes=states + s.tokens * (4 * a.inner / tp + 2 * a.state) * ACTIVATION.bytes,
        launches=(s.sequences > 0) * 1.0,
        # Over a prompt: sums, states, passing of states, chunk scan and scores (mamba_ssm, chunk_scan).
        helpers=2.0 if s.decoding else 6.0,
        rows=s.tokens,
        kept=(3 * a.inner / tp + 2 * a.state) * ACTIVATION.bytes,
        module="attention",
    )


def operations(a: Mamba, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's scan on one rank; the vectors are added up over the tensor peers."""
    into, vectors, step, out = matrices(a, p.model.hidden)
    channels = a.inner * into.share(p.layout.tp)
    return (
        *norms(p, a.norms),
        gemm(p, "in", into),
        elementwise(p, "convolve", 2 * p.tokens * channels, module="attention"),
        gemm(p, "vectors", vectors),
        Message(
            "vectors reduce",
            "all_reduce",
            p.tokens * vectors.outputs * ACTIVATION.bytes,
            p.layout.tp,
            module="attention",
        ),
        gemm(p, "step", step),
        *(core(a, p, s) for s in p.streams),
        gemm(p, "out", out),
        *tensor_reduce(p, "attention", "attention"),
    )
