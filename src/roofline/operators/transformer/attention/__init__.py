"""Attention kinds, and what stands in their place: one module each, with its parameters, its cache or state, and its operations."""

from __future__ import annotations

from typing import assert_never

from roofline.core.units import Count, Num
from roofline.models.architecture import Absent, Attention, Compressed, Gqa, Linear, Mamba, Mla
from roofline.operators.operations import Operation
from roofline.operators.transformer.attention import compressed, gqa, linear, mamba, mla
from roofline.operators.transformer.flow import Flow, Matrix


def matrices(kind: Attention, hidden: int) -> tuple[Matrix, ...]:
    """Return the weight matrices of one layer's attention."""
    match kind:
        case Gqa():
            return gqa.matrices(kind, hidden)
        case Mla():
            return mla.matrices(kind, hidden)
        case Compressed():
            return compressed.matrices(kind, hidden)
        case Linear():
            return linear.matrices(kind, hidden)
        case Mamba():
            return mamba.matrices(kind, hidden)
        case Absent():
            return ()
        case _:
            assert_never(kind)


def inner(kind: Attention) -> int:
    """Return the parameters inside one layer's attention that belong to no matrix: norms, convolutions, decays, sinks."""
    match kind:
        case Gqa():
            return gqa.inner(kind)
        case Mla():
            return mla.inner(kind)
        case Compressed():
            return compressed.inner(kind)
        case Linear():
            return linear.inner(kind)
        case Mamba():
            return mamba.inner(kind)
        case Absent():
            return 0
        case _:
            assert_never(kind)


def cached(kind: Attention, tokens: Count, tp: Count) -> Num:
    """Return the elements one layer caches for a sequence of ``tokens`` on one of ``tp`` ranks."""
    match kind:
        case Gqa():
            return gqa.cache(kind, tokens, tp)
        case Mla():
            return mla.cache(kind, tokens)
        case Compressed():
            return compressed.cache(kind, tokens)
        case Linear() | Mamba() | Absent():
            return 0.0 * tokens
        case _:
            assert_never(kind)


def state(kind: Attention, tp: Count) -> Num:
    """Return the elements one layer keeps for a sequence of any length on one of ``tp`` ranks."""
    match kind:
        case Linear():
            return linear.state(kind, tp)
        case Mamba():
            return mamba.state(kind, tp)
        case Gqa() | Mla() | Compressed() | Absent():
            return 0.0
        case _:
            assert_never(kind)


def width(kind: Attention) -> int:
    """Return the elements of a token between the projections of one layer's attention, at most."""
    match kind:
        case Gqa():
            return gqa.width(kind)
        case Mla():
            return mla.width(kind)
        case Compressed():
            return compressed.width(kind)
        case Linear():
            return linear.width(kind)
        case Mamba():
            return mamba.width(kind)
        case Absent():
            return 0
        case _:
            assert_never(kind)


def operations(kind: Attention, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's attention as one rank sees it."""
    match kind:
        case Gqa():
            return gqa.operations(kind, p)
        case Mla():
            return mla.operations(kind, p)
        case Compressed():
            return compressed.operations(kind, p)
        case Linear():
            return linear.operations(kind, p)
        case Mamba():
            return mamba.operations(kind, p)
        case Absent():
            return ()
        case _:
            assert_never(kind)
