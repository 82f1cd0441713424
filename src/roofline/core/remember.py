"""Bounded caches of function results, by identity of objects and by value of numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable
from itertools import zip_longest
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, cast

import attrs
import numpy as np

from roofline.core.arrays import has_no_arrays

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

_SMALL = 1024
"""Elements up to which an array is compared by its bytes. What holds a longer one, or has arrays along axes that together make more
points, is computed anew: what is kept would be as large."""


_PLAIN = frozenset((float, np.float64, str, bool, np.bool_, int, type(None)))


class Lazy(Generic[R]):
    """A value that is computed at its first use.

    >>> later = Lazy(lambda: print("asked") or 7)
    >>> later(), later()
    asked
    (7, 7)
    """

    __slots__ = ("_found", "_make")

    def __init__(self, make: Callable[[], R]) -> None:
        self._make: Callable[[], R] | None = make
        self._found: R | None = None

    def __call__(self) -> R:
        """Return the value."""
        if self._make is not None:
            self._found, self._make = self._make(), None
        return cast("R", self._found)


class _Call:
    """The arguments of a call, equal to those of another where numbers are equal and objects are the same."""

    __slots__ = ("key", "values")

    def __init__(self, key: Hashable, values: tuple[Any, ...]) -> None:
        self.key, self.values = key, values

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call) and self.key == other.key


_BY_NUMBERS: Final[dict[type, Callable[[Any], tuple[Any, ...]]]] = {}
"""Nouns that are the same as another one with equal numbers, and what returns these."""


def by_numbers(kind: type[R]) -> type[R]:
    """Mark a small noun, many of which are made: one of equal numbers, or of equal small arrays, is remembered as the same."""
    _BY_NUMBERS[kind] = attrgetter(*(each.name for each in attrs.fields(cast("Any", kind))))
    return kind


def _key(value: Any, shapes: list[tuple[int, ...]]) -> Any:
    """Return what stands for a value.

    Args:
        shapes: to which those of its arrays are added.

    Raises:
        OverflowError: a long array, or an object that holds any.
    """
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if kind is tuple:
        return _keys(value, shapes)
    if kind is np.ndarray:
        if value.size > _SMALL:
            raise OverflowError
        shapes.append(value.shape)
        return (value.shape, value.tobytes())
    numbers = _BY_NUMBERS.get(kind)
    if numbers is not None:
        return kind, _keys(numbers(value), shapes)
    if not has_no_arrays(value):
        raise OverflowError
    return value


def _keys(values: tuple[Any, ...], shapes: list[tuple[int, ...]]) -> tuple[Any, ...]:
    return tuple([each if each.__class__ in _PLAIN else _key(each, shapes) for each in values])


def _points(shapes: list[tuple[int, ...]]) -> int:
    """Return the points that arrays of some shapes have together.

    >>> _points([(4, 1), (3,), (4, 1)])
    12
    """
    return math.prod(map(max, zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1)))


def remembered(limit: int) -> Callable[[F], F]:
    """Return a decorator that caches the last ``limit`` results of a pure function of positional arguments.

    Arguments are numbers, small arrays of doubles, texts, objects without arrays that never change, nouns that are known
    :func:`by_numbers`, and tuples of these.
    No caller can tell what is remembered from what is computed: answers are values.

    >>> @remembered(2)
    ... def squared(x):
    ...     print("asked", x)
    ...     return x * x
    >>> squared(3.0), squared(3.0)
    asked 3.0
    (9.0, 9.0)
    """

    def decorate(function: F) -> F:
        @functools.lru_cache(limit)
        def known(call: _Call) -> Any:
            return function(*call.values)

        @functools.wraps(function)
        def ask(*values: Any) -> Any:
            shapes = list[tuple[int, ...]]()
            try:
                key = _keys(values, shapes)
            except OverflowError:
                return function(*values)
            if len(shapes) > 1 and _points(shapes) > _SMALL:
                return function(*values)
            return known(_Call(key, values))

        return cast("F", ask)

    return decorate
