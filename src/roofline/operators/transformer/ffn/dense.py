"""The dense feed-forward block: up (and gate) by columns, down by rows."""

from __future__ import annotations

from functools import lru_cache

from roofline.models.architecture import Dense
from roofline.operators.operations import Module, Op, Operation
from roofline.operators.transformer.flow import Flow, Matrix, elementwise, gemm, norms, tensor_reduce


@lru_cache(64)
def matrices(f: Dense, hidden: int, component: str = "dense") -> tuple[Matrix, ...]:
    """Return gate, up and down (up and down where it is not gated)."""
    bias = int(f.bias)
    up = Matrix("up", component, hidden, f.width, "outputs", f.width, bias * f.width)
    down = Matrix("down", component, f.width, hidden, "inputs", f.width, bias * hidden)
    gate = Matrix("gate", component, hidden, f.width, "outputs", f.width, bias * f.width)
    return (gate, up, down) if f.gated else (up, down)


def block(f: Dense, p: Flow, prefix: str = "", component: str = "dense", module: Module = "mlp") -> tuple[Op, ...]:
    """Return the products and the activation between them, before the sum over tensor peers."""
    *into, down = matrices(f, p.model.hidden, component)
    between = p.tokens * f.width * down.share(p.layout.tp)
    return (
        gemm(p, f"{prefix}up", *into),
        elementwise(
            p,
            f"{prefix}activate",
            (len(into) + 1) * between,
            kept=len(into) * between,
            module=module,
            role="activation",
        ),
        gemm(p, f"{prefix}down", down),
    )


def operations(f: Dense, p: Flow) -> tuple[Operation, ...]:
    """Return one layer's feed-forward on one rank; ``F = 2 M H width`` for each matrix.

    A parallel one is added to the attention's output before that is summed over tensor peers.
    """
    return *norms(p, f.norms), *block(f, p), *(() if f.parallel else tensor_reduce(p, "ffn", "mlp"))
