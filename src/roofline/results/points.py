"""One point, some points, or the best point of an answer over many."""

from __future__ import annotations

import operator
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline.core.arrays import Mask, picked, sizes, take
from roofline.core.errors import QuestionError, fault


def asked(est: Any) -> tuple[Any, Any, Any, Any]:
    """Return what an answer was asked: question, system, layout, constants."""
    return est.question, est.system, est.layout, est.calibration


def shape(est: Any) -> tuple[int, ...]:
    """Return the shape of the points asked; () for one."""
    return sizes(*asked(est))


def at(est: Any, *index: int) -> Any:
    """Return the answer at one point.

    Raises:
        QuestionError: the index picks no point.
    """
    try:
        where = tuple(operator.index(i) for i in index)
    except TypeError:
        raise QuestionError(fault("index", index, "must be whole numbers")) from None
    if len(where) != len(est.shape) or any(not -n <= i < n for i, n in zip(where, est.shape, strict=False)):
        raise QuestionError(fault("index", where, f"must pick one point of {est.shape}"))
    where = tuple(i % n for i, n in zip(where, est.shape, strict=True))
    return attrs.evolve(est.again(*take(asked(est), where)), choices=est.choices)


def among(est: Any, where: NDArray[np.int64]) -> Any:
    """Return the answer at some of the points, counted row by row, in full and on one axis."""
    return attrs.evolve(est.again(*picked(asked(est), est.shape, where)), choices=est.choices)


def best(est: Any, quantity: str, where: Mask, *, least: bool, known: str) -> Any:
    """Return the answer at the point that fits and has the greatest ``quantity``, or the ``least``.

    Raises:
        QuestionError: nothing fits, and why; or no such quantity, and some that are ``known``.
    """
    values = getattr(est, quantity, None)
    if not isinstance(values, (float, np.ndarray)):
        raise QuestionError(fault("quantity", quantity, "is no number of this answer", known))
    fits = np.broadcast_to(est.fits, est.shape)
    ok = fits & np.broadcast_to(where, est.shape) & ~np.isnan(np.broadcast_to(values, est.shape))
    if not ok.any():
        why = "no point that fits meets the condition" if fits.any() else f"nothing fits: {'; '.join(est.reasons)}"
        remedy = "loosen the condition" if fits.any() else "use more chips or smaller formats"
        raise QuestionError(fault("plan", str(est.layout), why, remedy))
    if not est.shape:
        return est
    ranked = np.where(ok, np.broadcast_to(-values if least else values, est.shape), -np.inf)
    return at(est, *(int(i) for i in np.unravel_index(int(np.argmax(ranked)), est.shape)))


def one(est: Any) -> None:
    """Refuse an answer over many points.

    Raises:
        QuestionError: it is one.
    """
    if est.shape:
        raise QuestionError(fault("shape", est.shape, "this is told of one point only", "pick one with .at(index)"))
