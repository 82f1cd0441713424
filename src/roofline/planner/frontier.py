"""Ranks configurations, finds the frontier and the reasons of rejection, at once or block by block.

Values are turned so that more is better. What a sweep keeps depends on the numbers and places of its configurations alone, never on the
order in which they are met, so that parts of it may be priced anywhere and at any time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask
from roofline.operators.feasibility import Rule, sentence
from roofline.planner.metrics import METRICS, measure, shortfall

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

ROUNDED: Final = 2.0**-30
"""More than sums and products of rates are rounded by."""
_STRONG: Final = 32
"""Members of a frontier in three metrics that are tried before all others: they beat most configurations."""


def order(where: NDArray[np.bool_], score: Numbers, tie: Numbers) -> Places:
    """Return the places in a mask, the greatest score first, and of two as good the one with more of what breaks the tie.

    >>> order(np.array([True, False, True, True]), np.array([1.0, 9.0, 2.0, 2.0]), np.array([0.0, 0.0, 5.0, 6.0]))
    array([3, 2, 0])
    """
    found = np.flatnonzero(where)
    return np.asarray(found[np.lexsort((-tie.flat[found], -score.flat[found]))])


def leading(where: NDArray[np.bool_], score: Numbers, tie: Numbers) -> Iterator[Places]:
    """Yield the places of :func:`order`, part by part: who asks for the first few has only those sorted.

    >>> [part.tolist() for part in leading(np.array([True, False, True]), np.array([1.0, 9.0, 2.0]), np.zeros(3))]
    [[2, 0]]
    """
    left, size, score, tie = np.flatnonzero(where), _SORTED, np.ravel(score), np.ravel(tie)
    while left.size:
        here = score[left]
        # Those as good as the last of a part are sorted with it.
        least = -np.inf if left.size <= size else np.partition(here, left.size - size)[left.size - size]
        some = left[~(here < least)]
        yield np.asarray(some[np.lexsort((-tie[some], -score[some]))])
        left, size = left[here < least], size * size


_SORTED: Final = 256
"""Places that are sorted at first."""


def pareto(where: NDArray[np.bool_], first: Numbers, second: Numbers) -> Places:
    """Return the places in a mask that no other of them beats both in one and in the other, the most of the ``first`` first.

    >>> pareto(np.ones(4, dtype=bool), np.array([3.0, 2.0, 1.0, 2.5]), np.array([1.0, 2.0, 3.0, 0.5]))
    array([0, 1, 2])
    """
    found = np.flatnonzero(where)
    return np.asarray(found[undominated(np.stack([first.flat[found], second.flat[found]]))])


def undominated(values: Numbers) -> Places:
    """Return the places of those that no other beats in all metrics, the most of the first one first.

    Args:
        values: a row for each of one to three metrics, more being better; of two alike the one that comes first stays.

    >>> undominated(np.array([[1.0, 3.0, 2.0, 2.0], [9.0, 1.0, 5.0, 4.0]]))
    array([1, 2, 0])
    """
    ordered = np.lexsort(-values[::-1])
    if len(values) == 1:
        return np.asarray(ordered[:1])
    if len(values) == 2:
        second = values[1, ordered]
        return np.asarray(ordered[second > np.maximum.accumulate(np.concatenate(([-np.inf], second)))[:-1]])
    return np.array(_stairs(ordered, values), dtype=np.int64)


def _stairs(order: Places, values: Numbers) -> list[int]:
    """Return those of three metrics that none before them, which have no less of the first, beats in both others."""
    corners, second, third = [], list[float](), list[float]()
    for i in order:
        y, z = float(values[1, i]), float(values[2, i])
        # Steps lie in rising order of the second metric, and fall in the third.
        at = bisect_left(second, y)
        if at < len(second) and third[at] >= z:
            continue
        low = at
        while low > 0 and third[low - 1] <= z:
            low -= 1
        high = at + 1 if at < len(second) and second[at] == y else at
        second[low:high], third[low:high] = [y], [z]
        corners.append(int(i))
    return corners


def broken(laws: Iterable[Rule], among: NDArray[np.bool_]) -> Iterator[tuple[Rule, NDArray[np.bool_]]]:
    """Yield each law that configurations break, with where: each configuration is counted once, under the first."""
    left: Any = among
    for law in laws:
        ok = np.broadcast_to(law.ok, among.shape)
        where, left = left & ~ok, left & ok
        if where.any():
            yield law, where


@frozen
class Refusal:
    """Configurations that break one rule.

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
        """The sentence, made from all configurations."""
        return sentence(self.text, self.limit)


Refusals = Mapping[str, Refusal]
"""Configurations that were rejected, by the key of the first rule that each of them breaks."""


def refusals(laws: Iterable[Rule], among: NDArray[np.bool_], times: int = 1) -> dict[str, Refusal]:
    """Return how many configurations of a mask break which rule first, each counted so many times."""
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


# While plans go by ------------------------------------------------------------------------------------------------------


@frozen
class Wanted:
    """What a sweep keeps.

    Attributes:
        metrics: one to rank by, or those of a frontier.
        most: how many of the best are kept; None for a frontier.
        limits: on metrics, each at most or at least, as :data:`roofline.planner.metrics.METRICS` says.
    """

    metrics: tuple[str, ...]
    most: int | None = 1
    limits: tuple[tuple[str, float], ...] = ()


def _no_places() -> Places:
    return np.empty(0, dtype=np.int64)


@frozen(eq=False)
class Part:
    """What is left of some configurations of one family.

    Attributes:
        points: configurations seen.
        kept: those of them that fit and meet the limits.
        rejected: configurations by the key of the first rule that they break.
        places: of the configurations that are wanted, counted row by row.
        values: their metrics, a row each, more being better.
    """

    points: int = 0
    accepted: int = 0
    rejected: Refusals = field(factory=dict)
    places: Places = field(factory=_no_places)
    values: Numbers = field(default=np.empty((1, 0)))


def merged(wanted: Wanted, parts: Iterable[Part]) -> Part:
    """Return parts together, of which the wanted are those of the whole."""
    every = list(parts)
    rejected = joined(part.rejected for part in every)
    some = [part for part in every if part.places.size]
    places = np.concatenate([part.places for part in some]) if some else _no_places()
    values = np.concatenate([part.values for part in some], axis=1) if some else np.empty((len(wanted.metrics), 0))
    where = selected(wanted, places, values)
    return Part(sum(p.points for p in every), sum(p.accepted for p in every), rejected, places[where], values[:, where])


def selected(wanted: Wanted, places: Places, values: Numbers) -> Places:
    """Return which configurations are wanted, the best first; of two alike the one that comes first.

    >>> three = np.array([[1.0, 3.0, 2.0, 2.0], [9.0, 1.0, 5.0, 4.0]])
    >>> selected(Wanted(("tokens_per_second", "tokens_per_second_per_user"), None), np.arange(4), three)
    array([1, 2, 0])
    """
    first = np.argsort(places, kind="stable")
    here = values[:, first]
    best = undominated(here) if wanted.most is None else np.lexsort(-here[::-1])[: wanted.most]
    return np.asarray(first[best])


def promising(wanted: Wanted, so_far: Part, values: Numbers) -> NDArray[np.bool_]:
    """Return which configurations those kept so far do not beat; none that is wanted is left out."""
    if so_far.places.size < (wanted.most or 1):
        return np.ones(values.shape[1], dtype=bool)
    if wanted.most is not None:
        return np.asarray(values[0] >= so_far.values[0, -1])
    if len(values) == 2:
        # The kept lie in falling order of the first metric, rising in the second.
        first, second = so_far.values[:, ::-1]
        at = np.searchsorted(first, values[0])
        inside = np.minimum(at, first.size - 1)
        more = (second[inside] > values[1]) | (second[inside] == values[1]) & (first[inside] > values[0])
        return np.asarray(~more | (at == first.size))
    out = np.ones(values.shape[1], dtype=bool)
    for i in np.unique(np.linspace(0, so_far.places.size - 1, _STRONG).astype(int)):
        strong = so_far.values[:, i, None]
        out &= ~((strong >= values).all(axis=0) & (strong > values).any(axis=0))
    return out


def seen(wanted: Wanted, est: Any, so_far: Part, shape: tuple[int, ...], where: tuple[slice, ...]) -> Part:
    """Return what is kept once the configurations of one more block have gone by.

    Args:
        est: their answer; ``where``: the block inside the ``shape`` of the family.
    """
    size = tuple(s.stop - s.start for s in where)
    points = int(np.prod(size, dtype=np.int64))
    found: dict[str, Refusal] = {}
    left: Mask = True
    for rule in _reasons(wanted, est):
        bad = np.asarray(left & ~np.asarray(rule.ok))
        count = int(np.count_nonzero(bad)) * (points // bad.size)
        if count:
            found[rule.key] = Refusal(rule.text, count, float(np.max(rule.limit)))
        left = left & np.asarray(rule.ok)
    rejected = joined((so_far.rejected, found))
    good = np.broadcast_to(left, size).ravel()
    passing = int(np.count_nonzero(good))
    out = evolve(so_far, points=so_far.points + points, accepted=so_far.accepted + passing, rejected=rejected)
    if not passing:
        return out
    # Whoever is the best of a block is likely to be there among few.
    values = np.stack([np.broadcast_to(_turned(est, name), size).ravel() for name in wanted.metrics])
    some = np.flatnonzero(good & promising(wanted, so_far, values))
    if not some.size:
        return out
    if wanted.most is not None and some.size > wanted.most:
        first = values[0, some]
        some = some[first >= np.partition(first, -wanted.most)[-wanted.most]]
    inside = np.unravel_index(some, size) if size else ()
    places = (
        np.ravel_multi_index(tuple(i + s.start for i, s in zip(inside, where, strict=True)), shape) if size else some
    )
    more = Part(places=np.asarray(places, dtype=np.int64), values=values[:, some])
    both = merged(wanted, (so_far, more))
    return evolve(out, places=both.places, values=both.values)


def _turned(est: Any, name: str) -> Any:
    value = np.asarray(measure(est, name), dtype=np.float64)
    return -value if METRICS[name].least else value


def _reasons(wanted: Wanted, est: Any) -> Iterable[Rule]:
    """Yield every rule by which a configuration may be rejected, in their order."""
    yield from est.laws
    for name, limit in wanted.limits:
        value = measure(est, name)
        if value is None:
            yield Rule(f"{name}_known", np.False_, f"no {METRICS[name].said} is known")
            return
        yield Rule(f"{name}_limit", value <= limit if METRICS[name].least else value >= limit, shortfall(name, limit))
    for name in wanted.metrics:
        value = measure(est, name)
        if value is None:
            yield Rule(f"{name}_known", np.False_, f"no {METRICS[name].said} is known")
            return
        yield Rule(f"{name}_finite", np.isfinite(value), f"has no {METRICS[name].said}")
