"""attrs fields for numbers or arrays: converted to floats and checked, with a message that names the field."""

from __future__ import annotations

import sys
from collections.abc import Collection
from decimal import Decimal
from numbers import Real
from typing import Any, Final, TypeVar

import attrs
import numpy as np
from attrs import NOTHING, Converter, field

from roofline.core.errors import QuestionError, fault, near, one_line
from roofline.core.units import GIGA, TERA, Num

MOST_RANKS: Final = GIGA
"""More ranks than anyone will connect."""
MOST_TOKENS: Final = TERA
"""More tokens, or requests, than any question has a use for; products of two stay finite."""


def _real(value: object) -> bool:
    return isinstance(value, (Real, Decimal)) and not isinstance(value, bool)


def masked(value: object) -> bool:
    """Return whether a value is an array some of whose numbers are hidden; there is none where numpy's module of them was not imported."""
    module: Any = sys.modules.get("numpy.ma")
    return module is not None and isinstance(value, module.MaskedArray)


def number(value: object, name: str = "value") -> Num:
    """Return ``value`` as a float, or as an array of floats.

    Raises:
        QuestionError: not a number, a string that looks like one, complex, or masked.
    """
    try:
        raw = None if value is None or masked(value) else np.asarray(value)
        known = raw is not None and (raw.dtype.kind in "fiu" or (raw.dtype.kind == "O" and all(map(_real, raw.flat))))
        out = raw.astype(np.float64) if raw is not None and known else None
    except (TypeError, ValueError, OverflowError):
        out = None
    if out is None:
        raise QuestionError(fault(name, value, "must be a number, or an array of numbers"))
    return float(out) if out.ndim == 0 else out


def _named(value: object, attribute: attrs.Attribute[Any]) -> Num:
    return number(value, attribute.name)


def _optionally(value: object, attribute: attrs.Attribute[Any]) -> Num | None:
    return None if value is None else number(value, attribute.name)


TO_NUMBER: Final = Converter(_named, takes_field=True)
TO_NUMBER_OR_NONE: Final = Converter(_optionally, takes_field=True)


def named(value: str) -> str:
    r"""Return a name or a title as one line of text, without characters that do not print.

    >>> named("a\x1b[31mred")
    'a?[31mred'

    Raises:
        QuestionError: it is no text.
    """
    if not isinstance(value, str):
        raise QuestionError(fault("name", value, "must be text"))
    return one_line(value)


_T = TypeVar("_T")


def without_none(**words: _T | None) -> dict[str, _T]:
    """Return the keywords that are not None."""
    return {name: value for name, value in words.items() if value is not None}


def refuse(
    name: str, value: Num, low: float, high: float = np.inf, *, whole: bool = False, strict: bool = False
) -> None:
    """Refuse a number that is not finite, below ``low`` (at it, if ``strict``), above ``high``, or not whole if it must be.

    Raises:
        QuestionError: the first such number, and the rule.
    """
    if value.__class__ in (float, np.float64):
        if low < value <= high and value != np.inf and not (whole and value % 1):
            return  # most numbers are single ones that will do
    else:
        value = number(value, name)
    bad = ~np.isfinite(value) | ((value <= low) if strict else (value < low)) | (value > high)
    if whole:
        bad = bad | (np.floor(value) != value)
    if np.any(bad):
        first = float(np.asarray(value)[bad].flat[0]) if np.ndim(value) else value
        most = f" and at most {high:g}" if np.isfinite(high) else ""
        rule = (
            f"must be a finite {'whole ' if whole else ''}number {'above' if strict else 'of at least'} {low:g}{most}"
        )
        raise QuestionError(fault(name, first, rule))


def one_of(known: Collection[str]) -> Any:
    """Return an attrs validator that refuses a word which is not among those known.

    Args:
        known: a mapping or a collection of words.
    """

    def validate(_: object, attribute: Any, value: object) -> None:
        if value not in known:
            raise QuestionError(fault(attribute.name, value, "no such word", near(str(value), known, attribute.name)))

    return validate


def checked(low: float = 0.0, high: float = np.inf, *, whole: bool = False, strict: bool = False) -> Any:
    """Return an attrs validator that refuses what :func:`refuse` does; None passes."""

    def validate(_: object, attribute: attrs.Attribute[Any], value: Num | None) -> None:
        if value is not None:
            refuse(attribute.name, value, low, high, whole=whole, strict=strict)

    return validate


def amount(
    default: Any = NOTHING, *, low: float = 0.0, high: float = np.inf, whole: bool = False, strict: bool = False
) -> Any:
    """Return a field for a number in [low, high], or above low if ``strict``."""
    return field(default=default, converter=TO_NUMBER, validator=checked(low, high, whole=whole, strict=strict))


def positive(default: Any = NOTHING) -> Any:
    """Return a field for a number above zero."""
    return amount(default, strict=True)


def optional(low: float = 0.0, high: float = np.inf, *, whole: bool = False) -> Any:
    """Return a field for a number in [low, high] that may be None."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(low, high, whole=whole))


def unknown_or_positive() -> Any:
    """Return a field for a number above zero that may be unknown (None)."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(strict=True))


def degree() -> Any:
    """Return a field for a degree of parallelism: a whole number of at least 1."""
    return amount(1.0, low=1, high=MOST_RANKS, whole=True)


def size(default: Any = NOTHING, low: float = 1.0, high: float = 2 * MOST_TOKENS) -> Any:
    """Return a field for a size in tokens; means, such as 232.6 tokens, are sizes too."""
    return amount(default, low=low, high=high)


def flow(default: Any = NOTHING) -> Any:
    """Return a field for a number of sequences in flight: above zero, below one if most of the time there is none."""
    return amount(default, high=MOST_TOKENS, strict=True)
