"""Text for people: trees, tables and columns in plain characters, so that a terminal, a log and a document show the same."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

import numpy as np

T = TypeVar("T")

NARROW: Final = 16
"""Characters that a column is wrapped into at least, before its table becomes a list."""
_BEGINS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with in spreadsheets, also in full-width letters (OWASP, CSV injection: https://owasp.org/www-community/attacks/CSV_Injection)."""
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")

_WIDTH: ContextVar[int | None] = ContextVar("width", default=None)


@contextmanager
def fitted(width: int) -> Iterator[None]:
    """Make :func:`columns` keep within so many characters: a table that is wider wraps its last or first column, or becomes a list."""
    token = _WIDTH.set(width)
    try:
        yield
    finally:
        _WIDTH.reset(token)


def wrapped(text: str, width: int) -> str:
    """Return text whose lines keep within so many characters, what is left of a line set under its own beginning.

    >>> print(wrapped("  - one two three", 12))
      - one two
        three
    """
    out: list[str] = []
    for line in text.split("\n"):
        hang = len(line) - len(line.lstrip(" "))
        hang += 2 if line.lstrip(" ").startswith("- ") else 0
        out += (
            [line]
            if len(line) <= width
            else textwrap.wrap(
                line,
                width,
                subsequent_indent=" " * min(hang, width // 2),
                drop_whitespace=True,
                break_on_hyphens=False,
                break_long_words=False,
            )
        )
    return "\n".join(out)


def _listed(rows: Sequence[Sequence[str]], head: Sequence[str] | None, width: int) -> str:
    """Return a table that is too wide as a list: a row by its first cell, and below it what the others say."""
    if not head:
        label = max((len(row[0]) for row in rows if row), default=0)
        lines = []
        for first, *rest in rows:
            space = " " * (label + 2)
            pieces = _pieces("  ".join(rest), max(width - len(space), 20))
            lines += [f"{first:<{label}}  {pieces[0]}".rstrip(), *(space + each for each in pieces[1:])]
        return "\n".join(lines)
    name = max(len(each) for each in head[1:])
    lines = []
    for first, *rest in rows:
        lines.append(first)
        lines += [f"  {title or '':<{name}}  {cell}" for title, cell in zip(head[1:], rest, strict=False) if cell]
    return "\n".join(lines)


def _pieces(text: str, width: int) -> list[str]:
    """Return a text as lines of so many characters at most; a word that is longer, such as an address, stays whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) or [""]


def _wrapped_at(rows: Sequence[Sequence[str]], place: int, width: int) -> list[list[str]]:
    """Return rows one of whose columns is wrapped, what is left of a cell in rows below it."""
    count = max(map(len, rows))
    out: list[list[str]] = []
    for row in rows:
        if len(row) < count:
            out.append([*row])
            continue
        first, *others = _pieces(row[place], width)
        out.append([*row[:place], first, *row[place + 1 :]])
        out += [["" if i != place else each for i in range(count)] for each in others]
    return out


def columns(rows: Sequence[Sequence[str]], head: Sequence[str] | None = None, right: Iterable[int] = ()) -> str:
    """Return rows as aligned columns under an underlined head; those in ``right`` are set flush right.

    Within :func:`fitted`, a table that is too wide wraps its last column, or its first, if that is text, else it becomes a list.

    >>> print(columns([["a", "1"], ["bb", "22"]], head=["name", "n"], right=[1]))
    name   n
    ────  ──
    a      1
    bb    22
    """
    cells = [[str(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    if not cells:
        return ""
    limit = _WIDTH.get()
    flush = set(right)
    count = max(map(len, cells))
    full = [
        row for row in cells if len(row) > 1 or count == 1
    ]  # a row of one cell is a title: it makes no column wider
    widths = [max(len(row[i]) if i < len(row) else 0 for row in full) for i in range(count)]
    if limit is not None and sum(widths) + 2 * (len(widths) - 1) > limit:
        over = sum(widths) + 2 * (len(widths) - 1) - limit
        # The last column is wrapped if it is text, else the first; a table of numbers becomes a list.
        place = next((at for at in (count - 1, 0) if at not in flush and widths[at] - over >= NARROW), None)
        if place is None:
            return _listed(cells[1:] if head else cells, head, limit)
        cells = _wrapped_at(cells, place, widths[place] - over)
        widths[place] = max(len(row[place]) for row in cells if len(row) == count)
    if head:
        cells.insert(1, ["─" * width for width in widths])
    lines = (
        "  ".join(c.rjust(w) if i in flush else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=False)))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def plain_cell(value: T) -> T | str:
    """Return a cell of a CSV file that no spreadsheet takes for a formula: text that begins like one is set behind an apostrophe.

    Text that spells a number stays. A line ends in a line feed.

    >>> plain_cell("=1+1"), plain_cell("h100"), plain_cell(-1.0), plain_cell("-1.5")
    ("'=1+1", 'h100', -1.0, '-1.5')
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")  # which some versions of Python write without quotes
    return f"'{text}" if value.startswith(_BEGINS_FORMULA) and not _NUMBER.fullmatch(value) else text


def parse_cell(cell: str) -> str:
    """Return the text of a cell that :func:`plain_cell` wrote.

    >>> parse_cell("'=1+1"), parse_cell("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_BEGINS_FORMULA) else cell


def csv_text(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    r"""Return a table as the text of a CSV file: an empty cell for None, and no cell that a spreadsheet takes for a formula.

    >>> csv_text(["name", "n"], [["=1+1", 2.5], ["a", None]])
    "name,n\n'=1+1,2.5\na,\n"
    """
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    for row in ([*head], *rows):
        table.writerow(["" if cell is None else plain_cell(cell) for cell in row])
    return out.getvalue()


def figure(value: float, digits: int = 4) -> str:
    """Return a number to so many digits at least, thousands set apart and never with an exponent.

    >>> figure(1234567.8), figure(12.3456), figure(0.00001234567)
    ('1,234,568', '12.35', '0.00001235')
    """
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, unique=False, fractional=False, trim="-")


def counted(number: float, noun: str) -> str:
    """Return a number with what it counts.

    >>> counted(1, "chip"), counted(1536, "chip")
    ('1 chip', '1,536 chips')
    """
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
