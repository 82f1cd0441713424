"""Text for people: trees, tables and columns in plain characters, so that a terminal, a log and a document show the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from roofline.calibration import COLLECTIVES
from roofline.timeline import Span, bound
from roofline.units import BYTE, FLOP_, SECOND, show
from roofline.work import Message, Op


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


def tree(span: Span, depth: int = 99) -> str:
    """Return a span and its parts down to a depth, each with its time, its share, and what bounds it."""
    whole = float(span.time)
    rows: list[list[str]] = []

    def add(node: Span, times: float, prefix: str, branch: str, level: int) -> None:
        inner = times * float(node.times)
        time = float(node.time) * times
        count = f" x{float(node.times):.4g}" if float(node.times) != 1 else ""
        rows.append(
            [
                f"{prefix}{branch}{node.name}{count}",
                show(time, SECOND, 3),
                f"{time / whole:.0%}" if whole else "",
                *_why(node),
            ]
        )
        below = prefix + {"": "", "├ ": "│ ", "└ ": "  "}[branch]
        shown = [part for part in node.parts if float(part.time) > 0 and level < depth]
        for i, part in enumerate(shown):
            add(part, inner, below, "└ " if i == len(shown) - 1 else "├ ", level + 1)

    add(span, 1.0, "", "", 0)
    return columns(rows, head=["", "time", "share", "bound", "work, once"], right=[1, 2])


def _why(node: Span) -> list[str]:
    if node.cost is None:
        return [bound(node.busy()), ""]
    work = node.work
    name = bound(Span(node.name, node.time, work=work, cost=node.cost).busy())
    if isinstance(work, Op):
        flops = f"{show(float(work.flops), FLOP_, 3)}, " if float(work.flops) else ""
        return [name, f"{work.kernel} {work.rate}: {flops}{show(float(work.traffic), BYTE, 3)}"]
    if isinstance(work, Message):
        ways = node.cost.ways
        way = min(ways, key=lambda key: float(ways[key])) if ways else ""
        how = f" by {way.replace('_', ' ')}" if way in COLLECTIVES and way != work.collective else ""
        return [
            name,
            f"{work.collective.replace('_', ' ')}{how}, {float(work.group):g} ranks: {show(float(work.size), BYTE, 3)}",
        ]
    return [name, ""]
