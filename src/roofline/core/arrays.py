"""Array helpers shared by every formula, for floats and arrays alike.

A *noun* here is an attrs instance; its numbers may be floats or arrays, and arrays of one noun broadcast against
those of another. Formulas use operators and ufuncs only and never ask which they were given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, TypeVar, cast
from weakref import WeakSet

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.units import Num, Ratio

Mask: TypeAlias = bool | np.bool_ | NDArray[np.bool_]
N = TypeVar("N")

BLOCK: Final = 16384
"""Points evaluated at once: 128 KiB an array that varies along all axes, so that a handful of them stays in a core's caches."""
DETAILED: Final = 8192
"""Points up to which an answer keeps every span."""

_TINY: Final = 1e-300
_UNSURE: Final = 1 - 2**-53
"""The greatest chance below one."""
_CERTAIN: Final = -1e200
"""The logarithm of no chance to miss: times no draws it is 0, times any other number ``expm1`` of it is -1."""


_ONE: Final = frozenset((float, np.float64))
"""Classes of single numbers, of which a ufunc makes the same in several times as long."""
_YES_OR_NO: Final = frozenset((bool, np.bool_))


def pick(where: Mask, yes: Num, no: Num) -> Num:
    """Return ``yes`` where the mask holds and ``no`` elsewhere; a float stays a float."""
    if where.__class__ in _YES_OR_NO and yes.__class__ in _ONE and no.__class__ in _ONE:
        out = yes if where else no
        return out if out.__class__ is np.float64 else np.float64(out)
    return cast("Num", np.where(where, yes, no)[()])


def smaller(a: Num, b: Num) -> Num:
    """Return the lesser, element by element."""
    if a.__class__ in _ONE and b.__class__ in _ONE:
        out = a if a <= b or a != a else b  # noqa: PLR0124, the only number that is not itself
        return out if out.__class__ is np.float64 else np.float64(out)
    return np.minimum(a, b)


def larger(a: Num, b: Num) -> Num:
    """Return the greater, element by element."""
    if a.__class__ in _ONE and b.__class__ in _ONE:
        out = a if a >= b or a != a else b  # noqa: PLR0124
        return out if out.__class__ is np.float64 else np.float64(out)
    return np.maximum(a, b)


def anywhere(mask: Mask) -> bool:
    """Return whether a mask holds anywhere."""
    return bool(mask if mask.__class__ in _YES_OR_NO else np.any(mask))


def distinct(a: Num) -> NDArray[Any]:
    """Return the numbers of an array, each once, in ascending order: ``np.unique``, without numpy's masked arrays, which it imports.

    >>> distinct(np.array([[2.0, 1.0], [1.0, 4.0]])).tolist(), distinct(3.0).tolist()
    ([1.0, 2.0, 4.0], [3.0])
    """
    if a.__class__ in _ONE:
        return np.array([a])
    ordered = np.sort(np.ravel(a))
    return np.append(ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]])


def ceil(a: Num) -> Num:
    """Return the least whole number that is not below ``a``."""
    return cast("Num", np.ceil(a))


def floor(a: Num) -> Num:
    """Return the greatest whole number that is not above ``a``."""
    return cast("Num", np.floor(a))


def norm(a: Num, b: Num, p: float) -> Num:
    r"""Return :math:`(a^p + b^p)^{1/p}` for non-negative numbers: the sum at p = 1, the greater at p = infinity.

    >>> norm(3.0, 4.0, 1), float(norm(3.0, 4.0, 2)), float(norm(3.0, 4.0, float("inf")))
    (7.0, 5.0, 4.0)
    """
    if p == 1:
        return a + b
    if p == 2:
        return cast("Num", np.sqrt(a * a + b * b))
    high = larger(a, b)
    if p == np.inf:
        return high
    low = smaller(a, b)
    return high * cast("Num", (1 + (low / (high + _TINY)) ** p) ** (1 / p))


def expected_distinct(bins: Num, chance: Num, draws: Num) -> Num:
    """Return how many of ``bins`` are hit by ``draws`` draws, each of which hits a given bin with ``chance``.

    ``bins * (1 - (1 - chance)^draws)``; chance 1 hits every bin, and no draws hit none.

    >>> [
    ...     float(expected_distinct(8.0, chance, draws))
    ...     for chance, draws in ((0.5, 2.0), (1.0, 0.5), (1.0, 0.0), (0.0, 9.0))
    ... ]
    [6.0, 8.0, 0.0, 0.0]
    """
    if chance.__class__ in _ONE:
        missed = np.log1p(-chance) if chance < 1 else _CERTAIN
    else:
        missed = np.where(np.asarray(chance) >= 1, _CERTAIN, np.log1p(-np.minimum(chance, _UNSURE)))
    return cast("Num", (-bins * np.expm1(draws * missed))[()])


def sizes(*nouns: object) -> tuple[int, ...]:
    """Return the shape that all arrays inside the nouns broadcast to; () if there is none.

    Raises:
        QuestionError: the shapes do not broadcast.
    """
    shapes = [array.shape for noun in nouns for array in _arrays(noun)]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise QuestionError(fault("array shapes", shapes, "do not broadcast", "give each word its own axis")) from None


@functools.cache
def _fields(kind: Any) -> tuple[str, ...]:
    """Return the fields of a class that may hold arrays. A class that compares by value holds none: arrays do not compare."""
    if not attrs.has(kind) or kind.__eq__ is not object.__eq__:
        return ()
    return tuple(field.name for field in attrs.fields(kind) if field.init)


_BARE: Final[WeakSet[Any]] = WeakSet()
"""Nouns that hold no array: models and systems are asked that for every block of points. They are values, and never change."""


def has_no_arrays(noun: object) -> bool:
    """Return whether there is no array inside a noun."""
    return not _arrays(noun)


def _arrays(noun: object) -> list[NDArray[Any]]:
    kind: Any = noun.__class__
    has_fields = bool(_fields(kind))
    if has_fields and noun in _BARE:
        return []
    found: list[NDArray[Any]] = []
    _gather(noun, found)
    if has_fields and not found:
        _BARE.add(noun)
    return found


_PLAIN: Final = frozenset((float, str, bool, int, type(None)))
"""Classes that are met the most, and hold no array."""


def _gather(noun: object, found: list[NDArray[Any]]) -> None:
    if isinstance(noun, np.ndarray):
        found.append(noun)
        return
    if isinstance(noun, (tuple, dict)):
        items: Any = noun.values() if isinstance(noun, dict) else noun
    else:
        kind: Any = noun.__class__
        items = [getattr(noun, name) for name in _fields(kind)]
    for item in items:
        if item.__class__ not in _PLAIN:
            _gather(item, found)


def mapped(noun: N, change: Callable[[NDArray[Any]], Any]) -> N:
    """Return the noun with every array inside it changed."""
    if isinstance(noun, np.ndarray):
        return cast("N", change(noun))
    if not _arrays(noun):
        return noun
    if isinstance(noun, tuple):
        return cast("N", tuple(mapped(item, change) for item in noun))
    if isinstance(noun, dict):
        return cast("N", {key: mapped(item, change) for key, item in noun.items()})
    names = _fields(cast("Any", noun.__class__))
    changed = {name.lstrip("_"): mapped(getattr(noun, name), change) for name in names}
    return cast("N", attrs.evolve(cast("Any", noun), **changed))


def take(noun: N, where: tuple[slice | int, ...]) -> N:
    """Return the noun with every array cut to ``where``, an index or a slice for each axis of the broadcast shape.

    An axis along which an array has size one is left as it is, so what is the same for all points is computed once.
    """

    def cut(array: NDArray[Any]) -> Any:
        own = where[len(where) - array.ndim :]
        index = (
            (0 if isinstance(w, int) else slice(None)) if n == 1 else w for n, w in zip(array.shape, own, strict=True)
        )
        out = array[tuple(index)]
        return out.item() if np.ndim(out) == 0 else out

    return mapped(noun, cut)


def picked(noun: N, shape: tuple[int, ...], where: NDArray[np.int64]) -> N:
    """Return the noun with every array cut to the points ``where`` of a broadcast shape, counted row by row, on one axis."""
    try:
        index = np.unravel_index(where, shape)
    except (TypeError, ValueError):
        raise QuestionError(fault("where", where, f"must be whole numbers that count points of {shape}")) from None
    return mapped(noun, lambda array: np.broadcast_to(array, shape)[index])


def trailing(noun: N) -> N:
    """Return the noun with one more axis, of size one, at the end of every array."""
    return mapped(noun, lambda array: array[..., None])


def blocks(shape: tuple[int, ...], limit: int = BLOCK) -> Iterator[tuple[slice, ...]]:
    """Cut ``shape`` into blocks of at most ``limit`` points, along its longest axes, and yield each one's slices.

    What varies along the short axes only is then computed once for many points.

    >>> [tuple((s.start, s.stop) for s in block) for block in blocks((3, 4), 8)]
    [((0, 3), (0, 2)), ((0, 3), (2, 4))]
    """
    if not shape:
        yield ()
        return
    axis = int(np.argmax(shape))
    before, after = shape[:axis], shape[axis + 1 :]
    inner = int(np.prod((*before, *after), dtype=np.int64))
    step = max(1, limit // max(inner, 1))
    for start in range(0, shape[axis], step):
        here = slice(start, min(start + step, shape[axis]))
        for rest in (
            blocks((*before, *after), limit) if inner > limit else [tuple(slice(0, n) for n in (*before, *after))]
        ):
            yield (*rest[:axis], here, *rest[axis:])


def squeezed(value: Num) -> Num:
    """Return a number without the axes along which it does not change, each left with size one; what follows from it is computed once.

    >>> squeezed(np.array([[1.0, 2.0], [1.0, 2.0]])), squeezed(np.ones(3))
    (array([[1., 2.]]), array([1.]))
    """
    out = value
    for axis in range(np.ndim(value)):
        first = np.take(out, [0], axis)
        if np.shape(out)[axis] > 1 and bool(np.all(first == out)):
            out = first
    return out


def share(part: Num, whole: Num) -> Ratio:
    """Return ``part / whole``, and 0 where there is no whole."""
    return part / larger(whole, _TINY)


def root(function: Callable[[Num], Num], low: Num, high: Num) -> Num:
    """Return where a function that grows is zero, between two bounds: by halves at first, as it may bend sharply, then by chords.

    The number of steps is always the same, so that what is found at one point does not depend on others of its array.

    >>> round(float(root(lambda x: x * x - 2, 0.0, 2.0)), 12)
    1.414213562373
    """
    middle: Num = low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = function(middle) < 0
        low, high = pick(below, middle, low), pick(below, high, middle)
    under, over = function(low), function(high)
    for _ in range(_CHORDS):
        middle = low + (high - low) * smaller(share(larger(-under, 0.0), over - under), 1.0)
        off = function(middle)
        below = off < 0
        low, high = pick(below, middle, low), pick(below, high, middle)
        # The end that stays counts less (Anderson and Bjorck, BIT 13, 1973): else chords come from one side only.
        less = 1 - share(np.abs(off), np.abs(pick(below, under, over)))
        less = pick(less > 0, less, 0.5)
        under, over = pick(below, off, under * less), pick(below, over * less, off)
    return middle


_HALVINGS: Final = 14
_CHORDS: Final = 10
