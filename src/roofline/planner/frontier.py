"""Plans put in order, and those that no other beats: what every search does with the numbers of its plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.results.answer import Rule, sentence

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


def broken(laws: Iterable[Rule], among: NDArray[np.bool_]) -> Iterator[tuple[Rule, NDArray[np.bool_]]]:
    """Yield each law that plans break, with where: each plan is counted once, under the first."""
    left: Any = among
    for law in laws:
        ok = np.broadcast_to(law.ok, among.shape)
        where, left = left & ~ok, left & ok
        if where.any():
            yield law, where


@frozen
class Refusal:
    """Plans that break one rule.

    Attributes:
        text: of the rule.
        plans: how many break it.
        limit: the greatest number that its sentence names.
    """

    text: str
    plans: int
    limit: float = 0.0

    @property
    def reason(self) -> str:
        """The sentence, made from all plans."""
        return sentence(self.text, self.limit)


Refusals = Mapping[str, Refusal]
"""Plans that were rejected, by the key of the first rule that each of them breaks."""


def refusals(laws: Iterable[Rule], among: NDArray[np.bool_], times: int = 1) -> dict[str, Refusal]:
    """Return how many plans of a mask break which rule first, each counted so many times."""
    return {
        law.key: Refusal(law.text, int(np.count_nonzero(where)) * times, float(np.max(law.limit)))
        for law, where in broken(laws, among)
    }


def joined(parts: Iterable[Refusals]) -> dict[str, Refusal]:
    """Return the refusals of several parts together, by key.

    >>> one, other = {"reach": Refusal("{limit} at most", 2, 8.0)}, {"reach": Refusal("{limit} at most", 3, 16.0)}
    >>> both = joined((one, other))["reach"]
    >>> both.plans, both.reason
    (5, '16 at most')
    """
    out: dict[str, Refusal] = {}
    for part in parts:
        for key, each in part.items():
            old = out.get(key)
            out[key] = each if old is None else Refusal(each.text, old.plans + each.plans, max(old.limit, each.limit))
    return out
