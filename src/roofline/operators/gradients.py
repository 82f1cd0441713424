r"""Operations of the backward pass, derived from the forward pass: dgrad (gradients of inputs) and wgrad (of weights).

For a product :math:`Y = X W` they are :math:`dX = dY\,W^T` and :math:`dW = X^T dY`, each of as many FLOP as the product: the first
moves what the product did, the second reads both activations and adds to the gradient. Attention makes its scores again: five
products for the two of the forward pass (Dao, FlashAttention-2, arXiv:2307.08691, section 3.1.2). A pass over memory with two
inputs and one output, such as a gated activation, reads both again and the gradient, and writes two gradients: five elements for
three. A message comes back as its mirror image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from roofline.core.units import Bytes, Ratio
from roofline.hardware.constants import BACKWARD
from roofline.operators.operations import Message, Op, Operation, altered
from roofline.operators.transformer.flow import ACTIVATION, SIXTEEN_BIT

_MIRRORED: Final[Mapping[str, str]] = {
    "all_gather": "reduce_scatter",
    "reduce_scatter": "all_gather",
    "dispatch": "combine",
    "combine": "dispatch",
}
_PRODUCTS: Final = ("gemm", "moe")
_SCORED: Final = 2.5
_PASSED: Final = 5 / 3


def recast_for_training(work: Operation) -> Operation:
    """Return a work of the forward pass as training does it: a quantised input is written twice, once for its gradients.

    >>> recast_for_training(Op("up", "gemm", "bf16", 1.0, 1.0)).staging
    0.0
    """
    if not isinstance(work, Op) or work.kernel not in _PRODUCTS or work.rate in SIXTEEN_BIT:
        return work
    return altered(work, staging=work.staging + work.rows * (work.inputs * _narrow(work) + work.inner))


def input_gradients(operations: Iterable[Operation], *, trained: bool = True) -> tuple[Operation, ...]:
    """Return the dgrad operations in reverse order; of weights that are ``trained``, or frozen.

    >>> (grads,) = input_gradients(
    ...     [Op("up", "gemm", "bf16", flops=6.0, bytes=10.0, weights=2.0, rows=1.0, inputs=1.0, outputs=2.0)]
    ... )
    >>> grads.label, grads.flops, grads.bytes
    ('dgrad up', 6.0, 10.0)
    """
    return tuple(_back(work, 2.0 if trained else 1.0) for work in reversed(tuple(operations)))


def _back(work: Operation, written: float) -> Operation:
    if isinstance(work, Message):
        return altered(work, phase="dgrad", collective=_MIRRORED.get(work.collective, work.collective))
    if work.kernel in _PRODUCTS and _nothing(work.weights):
        # Both of its inputs are activations, and each has a gradient.
        return altered(work, phase="dgrad", flops=2 * work.flops, bytes=2 * work.bytes)
    if work.kernel in _PRODUCTS:
        # The gradient that comes in is quantised as the input was, and written once more for the weights' gradient.
        each = ACTIVATION.bytes + written * _narrow(work)
        narrow = 0.0 if work.rate in SIXTEEN_BIT else work.rows * work.outputs * each
        if work.kernel == "moe":
            # Into the experts' width and out of it, as before, and what an activation's gradients move more.
            return altered(work, phase="dgrad", staging=work.staging + work.back, back=0.0)
        return altered(work, phase="dgrad", staging=narrow, depth=work.outputs)
    # Two products for each of the forward pass are the model's, the scores made again are not.
    return altered(
        work, phase="dgrad", kernel=BACKWARD.get(work.kernel, work.kernel), flops=_SCORED * work.flops,
        bytes=_PASSED * work.bytes, useful=work.useful * 2 / _SCORED,
    )  # fmt: skip


def weight_gradients(operations: Iterable[Operation], accumulated: Bytes) -> tuple[Op, ...]:
    """Return what makes the gradients of weights, each added to ``accumulated`` bytes (read and written) an element.

    >>> (grads,) = weight_gradients(
    ...     [Op("up", "gemm", "bf16", 6.0, 10.0, weights=2.0, rows=1.0, inputs=1.0, outputs=2.0)], 8.0
    ... )
    >>> grads.label, grads.flops, grads.bytes
    ('wgrad up', 6.0, 22.0)
    """
    out = []
    for work in operations:
        if isinstance(work, Op) and work.kernel in _PRODUCTS and not _nothing(work.weights):
            read = work.rows * (work.inputs + work.outputs) * _narrow(work)
            out.append(
                altered(
                    work,
                    phase="wgrad",
                    bytes=read + work.weights * accumulated,
                    staging=0.0,
                    launches=1.0,
                    # Each expert sums over its own rows, side by side with the others.
                    depth=work.rows / work.items if work.kernel == "moe" else work.rows,
                )
            )
    return tuple(out)


def _nothing(value: object) -> bool:
    return isinstance(value, float) and value == 0.0


def _narrow(work: Op) -> Ratio:
    """Return the bytes of an element as a product multiplies it: two, or one and less where it was quantised."""
    return ACTIVATION.bytes if work.rate in SIXTEEN_BIT else 0.5 if work.rate == "fp4" else 1.0


def saved_bytes(operations: Iterable[Operation]) -> Bytes:
    """Return the bytes that the gradients of operations need from the forward pass.

    >>> saved_bytes(
    ...     [
    ...         Op("up", "gemm", "bf16", 1.0, 1.0, rows=3.0, kept=2.0),
    ...         Op("norm", "elementwise", "bf16", 0.0, 1.0, rows=5.0, kept=4.0),
    ...     ]
    ... )
    26.0
    """
    return sum((work.rows * work.kept for work in operations if isinstance(work, Op)), start=0.0)
