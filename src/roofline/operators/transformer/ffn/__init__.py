"""Feed-forward kinds: one module each, with its parameters and its operations."""

from __future__ import annotations

from typing import assert_never

from roofline.models.architecture import Absent, Dense, FeedForward, Moe
from roofline.operators.operations import Operation
from roofline.operators.transformer.ffn import dense, moe
from roofline.operators.transformer.flow import Flow, Matrix


def matrices(kind: FeedForward, hidden: int) -> tuple[Matrix, ...]:
    """Return the weight matrices of one layer's feed-forward that every token meets."""
    match kind:
        case Dense():
            return dense.matrices(kind, hidden)
        case Moe():
            return moe.matrices(kind, hidden)
        case Absent():
            return ()
        case _:
            assert_never(kind)


def operations(kind: FeedForward, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's feed-forward as one rank sees it."""
    match kind:
        case Dense():
            return dense.operations(kind, p)
        case Moe():
            return moe.operations(kind, p)
        case Absent():
            return ()
        case _:
            assert_never(kind)
