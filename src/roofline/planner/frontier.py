"""Plans put in order, and those that no other beats: what every search does with the numbers of its plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roofline.results.answer import Rule

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


def order(where: NDArray[np.bool_], score: Numbers, tie: Numbers) -> Places:
    """Return the places in a mask, the greatest score first, and of two as good the one with more of what breaks the tie.

    >>> order(np.array([True, False, True, True]), np.array([1.0, 9.0, 2.0, 2.0]), np.array([0.0, 0.0, 5.0, 6.0]))
    array([3, 2, 0])
    """
    found = np.flatnonzero(where)
    return np.asarray(found[np.lexsort((-tie.flat[found], -score.flat[found]))])


def pareto(where: NDArray[np.bool_], first: Numbers, second: Numbers) -> Places:
    """Return the places in a mask that no other of them beats both in one and in the other, the most of the ``first`` first.

    >>> pareto(np.ones(4, dtype=bool), np.array([3.0, 2.0, 1.0, 2.5]), np.array([1.0, 2.0, 3.0, 0.5]))
    array([0, 1, 2])
    """
    found = order(where, first, second)
    best = np.maximum.accumulate(second.flat[found])
    return np.asarray(found[np.diff(best, prepend=-np.inf) > 0])


def broken(laws: Iterable[Rule], among: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each law that plans break, with where: each plan is counted once, under the first."""
    left: Any = among
    for law in laws:
        ok = np.broadcast_to(law.ok, among.shape)
        where, left = left & ~ok, left & ok
        if where.any():
            yield law.reason, where
