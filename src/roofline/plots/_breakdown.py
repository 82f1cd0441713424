"""Where the time of a step goes: its operations with what bounds them, or its parts side by side in one bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from roofline.core.units import GIGA, SECOND, Num, Seconds, show
from roofline.physics.spans import RESOURCES, Span, bound
from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE: Final = 0.055
"""Part of the axes that a bar must have for its share to be written on it."""


@frozen
class Part:
    """A part of a step: its time, its share of the step, and what bounds it (a resource, or itself).

    Attributes:
        name: name of the part.
        time: its time, s.
        share: its share of the step.
        bound: what bounds it: a resource, or itself.
        rest: whether these are the parts that are too short to be shown, together.
        beside: of its time, what prefill chunks in the same steps add to a decode step.
    """

    name: str
    time: float
    share: float
    bound: str
    rest: bool = False
    beside: float = 0.0


@frozen
class Bar:
    """A step and its parts, which add up to its time.

    Attributes:
        name: name of the step.
        time: its time, s.
        parts: its parts.
        told: what is written beside it; "" for its time.
    """

    name: str
    time: float
    parts: tuple[Part, ...]
    told: str = ""

    @property
    def long(self) -> str:
        """How long it takes, in words."""
        return self.told or show(self.time, SECOND, 3)


@frozen
class Breakdown:
    """The numbers of a picture.

    Attributes:
        title: what was asked.
        by: ``operation``, ``bound`` or ``phase``: what the parts are.
        bars: steps, each with its parts; of operations, the longest first.
    """

    title: str
    by: str
    bars: tuple[Bar, ...]

    def alt(self) -> str:
        """Return what the picture shows as text, made of its numbers."""
        sentences = [f"Time by {self.by}: {self.title}."]
        for bar in self.bars:
            parts = sorted(bar.parts, key=lambda part: (part.rest, -part.time))
            items = [
                f"{p.name} {p.share:.0%}{f' ({p.bound})' if self.by == 'operation' and p.bound else ''}" for p in parts
            ]
            sentences.append(f"{bar.name[:1].upper()}{bar.name[1:]}, {bar.long}: {', '.join(items)}.")
        return " ".join(sentences)


def operations(span: Span, most: int = 10, alone: tuple[Span, float] | None = None) -> Bar:
    """Return a step with its operations and collectives, the longest first; beyond so many, the rest together.

    Args:
        span: the step.
        most: how many are named.
        alone: a step that only decodes, and how often it would be met if there were no others: what an operation takes beyond it
            is :attr:`Part.beside`.
    """
    found: dict[str, dict[str, Num]] = {}
    for leaf, often in _leaves(span):
        sums = found.setdefault(leaf.name, dict.fromkeys(RESOURCES, 0.0))
        for name, time in leaf.busy().items():
            sums[name] += float(time * often)
    whole = float(span.time)
    times = {name: sum(float(time) for time in busy.values()) for name, busy in found.items()}
    least = {name: t if alone is None else 0.0 for name, t in times.items()}
    for leaf, often in () if alone is None else _leaves(alone[0], alone[1]):
        least[leaf.name] = least.get(leaf.name, 0.0) + sum(float(t * often) for t in leaf.busy().values())
    more = {name: max(t - least.get(name, 0.0), 0.0) for name, t in times.items()}
    parts = [Part(name, t, t / whole, bound(found[name]), beside=more[name]) for name, t in times.items() if t > 0]
    parts.sort(key=lambda part: -part.time)
    head = parts[:most]
    left = whole - sum(part.time for part in head)
    if left > whole / GIGA:
        rest = sum(part.beside for part in parts[most:])
        head.append(Part("the rest", left, left / whole, "", rest=True, beside=rest))
    return Bar(span.name, whole, tuple(head))


def _leaves(span: Span, times: Num = 1.0) -> Iterator[tuple[Span, Num]]:
    """Yield the leaves of a span, and how often each is met."""
    if span.cost is not None:
        yield span, times
    for part in span.parts:
        yield from _leaves(part, times * span.times)


def parts(name: str, times: Mapping[str, Seconds], told: str = "") -> Bar:
    """Return a step as named times.

    >>> parts("step", {"forward": 1.0, "backward": 3.0}).parts[1].share
    0.75
    """
    whole = sum(float(time) for time in times.values())
    found = ((key.replace("_", " "), float(time)) for key, time in times.items() if float(time) > 0)
    return Bar(name, whole, tuple(Part(key, time, time / whole, key) for key, time in found), told)


def draw(ax: Axes, found: Breakdown) -> None:
    """Draw the bars on axes of their own."""
    if found.by == "operation":
        _rows(ax, found)
    else:
        _stacks(ax, found)
    paper.set_description(ax, "breakdown", found.alt())


def _rows(ax: Any, found: Breakdown) -> None:
    """Draw a bar for each operation, coloured by what bounds it, its share written behind it."""
    from matplotlib.patches import Patch

    look = style.of(ax)
    several = len(found.bars) > 1
    size = paper.frame(ax, found.title, "share of each time" if several else "share of the time", "")
    met: dict[str, None] = {}
    names: list[tuple[float, str]] = []
    row = 0.0
    for bar in found.bars:
        if several:
            _behind(ax, 0.0, row, f"{bar.name}, {bar.long}", fontsize=size, color=look.ink, weight="bold")
            row += 1
        for part in bar.parts:
            met[part.bound] = None
            i = RESOURCES.index(part.bound) if part.bound in RESOURCES else None
            color, hatch = (look.grey(0.75), "") if i is None else (look.color(i), look.hatch(i))
            beside = part.share * part.beside / part.time
            for left, wide, shade in (
                (0.0, part.share - beside, color),
                (part.share - beside, beside, style.mixed(color, look.paper, 0.6)),
            ):
                ax.barh(
                    [row],
                    [wide],
                    left=left,
                    height=0.72,
                    color=shade,
                    hatch=hatch,
                    edgecolor=look.paper,
                    linewidth=0.3,
                    zorder=3,
                )
            label = (
                f"{show(part.time, SECOND, 3)}, {part.share:.0%}" if part.share >= 0.005 else show(part.time, SECOND, 3)
            )
            _behind(ax, part.share, row, label, fontsize=size - 0.5, color=look.ink, zorder=4)
            names.append((row, part.name))
            row += 1
        row += 0.5
    top = max(part.share for bar in found.bars for part in bar.parts)
    ax.set(xlim=(0.0, 1.35 * top), ylim=(row - 0.6, -0.8))
    ax.set_yticks([at for at, _ in names], [name for _, name in names], fontsize=size)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    ax.grid(visible=False, axis="y")
    shown = [name for name in RESOURCES if name in met]
    pale = any(part.beside > part.time / GIGA for bar in found.bars for part in bar.parts)
    patches = [
        Patch(
            facecolor=look.color(i), hatch=look.hatch(i), edgecolor=look.paper, linewidth=0.3, label=f"bound by {name}"
        )
        for i, name in enumerate(RESOURCES)
        if name in shown
    ]
    if pale:
        patches.append(Patch(facecolor=look.grey(0.75), label="paler: added by prefill chunks in the same steps"))
    paper.legend(ax, patches, size, 1 if paper.narrow(ax) else 3 if pale else 4)


def _behind(ax: Any, x: float, y: float, text: str, **words: Any) -> None:
    """Write text a little right of a place; a space before it would be lost where SVG is shown."""
    ax.annotate(text, (x, y), (2.5, 0), textcoords="offset points", va="center", **words)


def _stacks(ax: Any, found: Breakdown) -> None:
    """Draw a bar for each step, its parts side by side, each with its share where there is room."""
    from matplotlib.patches import Patch

    look = style.of(ax)
    size = paper.frame(ax, found.title, f"share of the {'days' if found.by == 'use' else 'time'}", "")
    kinds = list(dict.fromkeys(part.name for bar in found.bars for part in bar.parts))
    if found.by == "bound":
        kinds = [name for name in RESOURCES if name in kinds]
    looks = [_look(look, RESOURCES.index(kind), bound=True) for kind in kinds] if found.by == "bound" else []
    looks = looks or [_look(look, i) for i in range(len(kinds))]
    for row, bar in enumerate(found.bars):
        left = 0.0
        for part in sorted(bar.parts, key=lambda part: kinds.index(part.name)):
            color, hatch = looks[kinds.index(part.name)]
            ax.barh(
                [row],
                [part.share],
                left=left,
                height=0.6,
                color=color,
                hatch=hatch,
                edgecolor=look.paper,
                linewidth=0.5,
                zorder=3,
            )
            if part.share >= _WIDE:
                near = look.over(color)
                box = {"facecolor": color, "edgecolor": "none", "pad": 0.8} if hatch else None
                ax.text(
                    left + part.share / 2,
                    row,
                    f"{part.share:.0%}",
                    fontsize=size - 0.5,
                    color=near,
                    ha="center",
                    va="center",
                    bbox=box,
                    zorder=4,
                )
            left += part.share
    ax.set(xlim=(0.0, 1.0), ylim=(len(found.bars) - 0.5, -0.5))
    ax.set_yticks(range(len(found.bars)), [f"{bar.name}\n{bar.long}" for bar in found.bars], fontsize=size)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    ax.grid(visible=False, axis="y")
    patches = [
        Patch(facecolor=color, hatch=hatch, edgecolor=look.paper, linewidth=0.3, label=kind)
        for kind, (color, hatch) in zip(kinds, looks, strict=True)
    ]
    long = max(map(len, kinds)) > 16
    paper.legend(ax, patches, size, 1 if paper.narrow(ax) and long else 2 if paper.narrow(ax) or long else 4)


def _look(look: style.Style, i: int, *, bound: bool = False) -> tuple[str, str]:
    """Return a colour and a hatch, of what bounds a time or of a part; once colours begin again they are paler."""
    color = look.color(i) if bound else look.part(i)
    return (color if i < len(look.palette) else style.mixed(color, look.paper, 0.5)), look.hatch(i)
