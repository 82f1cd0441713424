"""Attention kinds: one module each, with its parameters, its cache and its works."""

from __future__ import annotations

from typing import assert_never

from roofline.architecture import Attention, Gqa, Mla
from roofline.transformer.attention import gqa, mla
from roofline.transformer.flow import Flow, Matrix, held
from roofline.units import Count, Num
from roofline.work import Work


def matrices(kind: Attention, hidden: int) -> tuple[Matrix, ...]:
    """Return the weight matrices of one layer's attention."""
    match kind:
        case Gqa():
            return gqa.matrices(kind, hidden)
        case Mla():
            return mla.matrices(kind, hidden)
        case _:
            assert_never(kind)


def norms(kind: Attention) -> int:
    """Return the parameters of the norms inside one layer's attention."""
    match kind:
        case Gqa():
            return gqa.norms(kind)
        case Mla():
            return mla.norms(kind)
        case _:
            assert_never(kind)


def cached(kind: Attention, tokens: Count, tp: Count) -> Num:
    """Return the elements one layer caches for a sequence of ``tokens`` on one of ``tp`` ranks."""
    match kind:
        case Gqa():
            return gqa.cache(kind, tp) * held(tokens, kind.window)
        case Mla():
            return mla.cache(kind) * tokens
        case _:
            assert_never(kind)


def works(kind: Attention, p: Flow) -> tuple[Work, ...]:
    """Return one layer's attention as one rank sees it."""
    match kind:
        case Gqa():
            return gqa.works(kind, p)
        case Mla():
            return mla.works(kind, p)
        case _:
            assert_never(kind)
