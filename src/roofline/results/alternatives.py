r"""Alternative answers for what a question does not state, and the wider interval for them.

Of :math:`n` answers that are as likely as the one given, with :math:`d_i` the logarithm of each over it,

.. math:: h_\pm^2 = z^2 \frac{1}{n + 1} \sum_i \max(\pm d_i, 0)^2

is the square of the half-width that they add to the upper, and to the lower, side of an interval.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from attrs import frozen

from roofline.core.units import Num
from roofline.hardware.constants import Calibration

Z80: Final = 1.2815515655446004
"""Standard deviations from the middle of a normal distribution to the end of its 80 % interval."""

SAID: Final = 0.02
"""Difference, relative, from which on an answer says what it leaves open."""


@frozen(eq=False)
class Alternative:
    """Another answer that a question may have meant.

    Attributes:
        open: what the question does not state, such as ``cache format``.
        taken: what was taken, in words.
        other: what it may be, in words.
        change: makes of a question and a profile those of the other answer.
        counted: whether the interval holds it; drafts, which a question without them does not have, are only reported.
    """

    open: str
    taken: str
    other: str
    change: Callable[[Any, Calibration], tuple[Any, Calibration]]
    counted: bool = True


@functools.lru_cache(maxsize=16)
def _answered(est: Any, other: Alternative) -> Any:
    question, profile = other.change(est.question, est.calibration)
    return est.again(question, est.system, est.layout, profile)


def apart(est: Any, other: Alternative, quantity: str) -> Num:
    """Return the logarithm of a quantity of another answer over that of the answer given; 0 where either has none."""
    name = "tokens_per_second" if quantity == "rate" else quantity
    mine, theirs = getattr(est, name), getattr(_answered(est, other), name)
    if mine is None or theirs is None:
        return 0.0
    with np.errstate(all="ignore"):
        return np.nan_to_num(np.log(theirs / mine), nan=0.0, posinf=0.0, neginf=0.0)[()]  # type: ignore[no-any-return]


def squares(est: Any, quantity: str) -> tuple[Num, Num]:
    """Return the squares of the half-widths, at 80 %, that other answers add to the lower and to the upper side."""
    others = [apart(est, each, quantity) for each in est.open if each.counted]
    part = Z80**2 / (len(others) + 1)
    below = sum((np.minimum(each, 0.0) ** 2 for each in others), start=0.0)
    above = sum((np.maximum(each, 0.0) ** 2 for each in others), start=0.0)
    return part * below, part * above


def sentences(est: Any) -> tuple[str, ...]:
    """Return what an answer for one point leaves open, where it matters."""
    out = []
    for each in est.open:
        moved = {
            title: float(np.expm1(apart(est, each, name)))
            for name, title in (("tpot", "TPOT"), ("ttft", "TTFT"))
            if getattr(est, name, None) is not None
        }
        changes = ", ".join(f"{title} {by:+.0%}" for title, by in moved.items() if abs(by) >= SAID)
        if changes:
            out.append(
                f"{each.open} is not stated: {each.taken} is assumed; {each.other}: {changes}{', and the interval covers both' if each.counted else ''}"
            )
    return tuple(out)
