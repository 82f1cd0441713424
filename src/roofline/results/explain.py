"""``why()``: the tree of operations, each with its time, share and bottleneck."""

from __future__ import annotations

from roofline.core.text import columns
from roofline.core.units import BYTE, FLOP_, SECOND, show
from roofline.hardware.constants import COLLECTIVES
from roofline.operators.operations import Message, Op
from roofline.physics.spans import Span, bound


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
