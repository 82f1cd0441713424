"""Text for people: trees, tables and columns in plain characters, so that a terminal, a log and a document show the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def columns(rows: Sequence[Sequence[str]], head: Sequence[str] | None = None, right: Iterable[int] = ()) -> str:
    """Return rows as aligned columns under an underlined head; those in ``right`` are set flush right.

    >>> print(columns([["a", "1"], ["bb", "22"]], head=["name", "n"], right=[1]))
    name   n
    ────  ──
    a      1
    bb    22
    """
    cells = [[str(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    if not cells:
        return ""
    widths = [max(len(row[i]) if i < len(row) else 0 for row in cells) for i in range(max(map(len, cells)))]
    if head:
        cells.insert(1, ["─" * width for width in widths])
    flush = set(right)
    lines = (
        "  ".join(c.rjust(w) if i in flush else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=False)))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def figure(value: float, digits: int = 4) -> str:
    """Return a number to so many digits at least, thousands set apart and never with an exponent.

    >>> figure(1234567.8), figure(12.3456), figure(0.00001234567)
    ('1,234,568', '12.35', '0.00001235')
    """
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, unique=False, fractional=False, trim="-")
