"""Reads the cells of an untrusted table: text, a word of a list, a number by its column's rule; empty is unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

from roofline.core.errors import DescriptorError, fault, near, one_line
from roofline.core.fields import MOST_TOKENS

_LONGEST: Final = 40
"""Characters of the longest number that is read."""


@frozen
class Column:
    """What a number in a column must be: in [low, high], above ``low`` if ``strict``, whole if ``whole``.

    Attributes:
        low: the least value.
        high: the greatest value.
        whole: it must be a whole number.
        strict: it must be above ``low``.
    """

    low: float = 0.0
    high: float = MOST_TOKENS
    whole: bool = False
    strict: bool = False

    @property
    def rule(self) -> str:
        """The rule in words."""
        kind = "whole number" if self.whole else "number"
        return f"must be a finite {kind} {'above' if self.strict else 'of at least'} {self.low:g} and at most {self.high:g}"

    def keeps(self, value: float) -> bool:
        """Return whether a number keeps the rule."""
        above = value > self.low if self.strict else value >= self.low
        return above and value <= self.high and (not self.whole or math.floor(value) == value)


class RunBase(Protocol):
    """What every run has."""

    @property
    def id(self) -> str:
        """Its name in the file."""


Run = TypeVar("Run", bound=RunBase)
Row = Mapping[str, object]


def read(
    rows: Sequence[Row], file: str, what: str, needed: Sequence[str],
    *, made: Callable[[Row, str, int], Run], refused: Callable[[Run, str], Run],
) -> tuple[Run, ...]:  # fmt: skip
    """Return what ``made`` makes of each row, its place in messages, and its number.

    A row with a bad cell is made of its words alone, and ``refused`` for the reason.

    Raises:
        DescriptorError: a needed column is missing, all rows are refused, or two have one id.
    """
    columns = {name for row in rows for name in row}
    for name in needed:
        if name not in columns:
            least = f"{', '.join(needed[:-1])} and {needed[-1]}"
            raise DescriptorError(f"{file}: {name}: is missing; a {what} run has {least} at least")
    out, seen, first, fine = [], dict[str, int](), None, False
    for i, row in enumerate(rows, 1):
        try:
            run = made(row, f"{file}: row {i}", i)
        except DescriptorError as error:
            first = first or error
            run = refused(made({name: row.get(name) for name in _WORDS}, f"{file}: row {i}", i), str(error))
        else:
            fine = True
        if run.id in seen:
            raise DescriptorError(
                fault(f"{file}: row {i}: id", run.id, f"is that of row {seen[run.id]} too", "give each row its own")
            )
        seen[run.id] = i
        out.append(run)
    if first is not None and not fine:
        raise first
    return tuple(out)


_WORDS: Final = ("id", "group", "model", "system", "engine", "framework", "quality", "source")
"""Columns of text that tell what a row is about."""


def text_of(row: Row, name: str) -> str:
    """Return a cell's text, "" where it is empty or missing."""
    cell = row.get(name)
    # Tables of other libraries hold NaN where a cell is empty.
    return "" if cell is None or cell != cell else one_line(str(cell).strip())  # noqa: PLR0124


def word(row: Row, name: str, known: Sequence[str], place: str, default: str) -> str:
    """Return a word of a list.

    Raises:
        DescriptorError: no such word.
    """
    text = text_of(row, name).lower() or default
    if text and text not in known:
        raise DescriptorError(fault(f"{place}: {name}", text, f"no such {name}", near(text, known, f"{name}s")))
    return text


def numbers(row: Row, columns: Mapping[str, Column], place: str) -> dict[str, float | None]:
    """Return the numbers of a row, None where a cell is empty.

    Raises:
        DescriptorError: one breaks its column's rule.
    """
    return {name: _number(text_of(row, name), column, f"{place}: {name}") for name, column in columns.items()}


def _number(text: str, column: Column, place: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text) if len(text) <= _LONGEST and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not column.keeps(value):
        raise DescriptorError(fault(place, text, column.rule, "leave the cell empty where it is not known"))
    return value
