"""Frontiers of a service: tokens per second and user against tokens per second and chip, configurations named where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.units import SECOND, show
from roofline.plots import paper, style
from roofline.plots.labels import Names, placer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_SMALL: Final = 6.5
_MOST_NAMES: Final = 8
_TWO_COLUMNS: Final = 4.5
"""Inches from which on two entries of the legend stand side by side."""
_APART: Final = 11.0
"""Points of paper between two bars at least."""


@frozen(eq=False)
class Curve:
    """One search's part of a picture.

    Attributes:
        label: what the legend calls it.
        title: what was asked.
        speed: tokens per second and user of the configurations on the frontier.
        rate: tokens per second and chip of the configurations on the frontier.
        sure: ends of their 80 % intervals over the value, alike for both rates, which move together; None without.
        plans: what each configuration is called.
        best: which of them is the best; None where it is none of them.
        free_speed: tokens per second and user on the frontier of all that fits, whatever the limits.
        free_rate: tokens per second and chip on that frontier.
        tpot: the limit on the time per token; None without.
    """

    label: str
    title: str
    speed: Floats
    rate: Floats
    sure: tuple[Floats, Floats] | None
    plans: tuple[str, ...]
    best: int | None
    free_speed: Floats
    free_rate: Floats
    tpot: float | None = None

    @property
    def cut(self) -> bool:
        """Whether limits take anything away."""
        return not np.array_equal(self.speed, self.free_speed)

    def alt(self) -> str:
        """Return what the curve shows as text, made of its numbers."""
        if not self.speed.size:
            return f"Frontier: {self.title}. {self.label}: no configuration."
        order = np.argsort(self.speed)
        ends = [
            f"{self.rate[i]:,.0f} tokens/s per chip at {self.speed[i]:,.0f} tokens/s per user ({self.plans[i]})"
            for i in order[[0, -1]]
        ]
        text = f"Frontier of {len(self.plans)} configurations: {self.title}. {self.label}: from {' to '.join(ends)}."
        if self.best is None:
            return text
        i = self.best
        return f"{text} Best: {self.plans[i]}, {self.rate[i]:,.0f} tokens/s per chip, {self.speed[i]:,.0f} per user."


def draw(ax: Axes, curve: Curve) -> None:
    """Add a frontier to the axes, and draw all of theirs afresh: the places of names depend on all of them."""
    axes: Any = ax
    for artist in getattr(axes, "roofline_artists", ()):
        artist.remove()
    axes.roofline_curves = [*getattr(axes, "roofline_curves", ()), curve]
    before = set(map(id, ax.get_children()))
    _everything(axes, axes.roofline_curves)
    axes.roofline_artists = [artist for artist in ax.get_children() if id(artist) not in before]
    paper.set_description(ax, "frontier", " ".join(each.alt() for each in axes.roofline_curves))


def _everything(ax: Any, curves: Sequence[Curve]) -> None:
    look = style.of(ax)
    colored = [(curve, look.color(i)) for i, curve in enumerate(curves)]
    for curve, color in colored:
        _shape(ax, curve, color)
    # Data in view, and the origin: rates are compared by how far they are from nothing.
    limits = sorted({curve.tpot for curve in curves if curve.tpot is not None})
    right = max(
        [0.0, *(1 / limit for limit in limits), *(x for curve in curves for x in (*curve.speed, *curve.free_speed))]
    )
    top = max([0.0, *(y for curve in curves for y in (*curve.rate, *curve.free_rate))])
    paper.limits(ax, x=(0.0, 1.08 * right or 1.0), y=(0.0, 1.08 * top or 1.0))
    # What all searches have in common is written once, after what each has for itself.
    titles = [curve.title.split("\n") for curve in curves]
    lines = dict.fromkeys(line for title in titles for line in title)
    common = [line for line in lines if len(curves) > 1 and all(line in title for title in titles)]
    title = "\n".join([*(line for line in lines if line not in common), *common])
    paper.frame(ax, title, "tokens/s per user (1 / TPOT)", "output tokens/s per chip")
    ax.xaxis.set_major_formatter(paper.plain)
    ax.yaxis.set_major_formatter(paper.plain)
    legend = _legend(ax, colored)
    # Places are known only once the figure is laid out.
    ax.get_figure(root=True).draw_without_rendering()
    for curve, color in colored:
        _intervals(ax, curve, color)
    names = Names(ax.get_window_extent())
    names.taken.append(legend.get_window_extent())
    for curve in curves:
        _occupy(names, _spots(ax, curve))
    for limit in limits:
        _name_limit(ax, names, limit)
    for only_best in (True, False):
        for curve, color in colored:
            _name_plans(ax, names, curve, color, only_best=only_best)


def _shape(ax: Any, curve: Curve, color: str) -> None:
    """Draw the line and its best, what could be had without limits, and the limit."""
    if curve.cut:
        ax.plot(
            curve.free_speed,
            curve.free_rate,
            color=style.of(ax).grey(0.6),
            linewidth=0.8,
            linestyle=(0, (4, 2)),
            zorder=2,
        )
    if curve.tpot is not None:
        ax.axvline(1 / curve.tpot, color=style.of(ax).grey(0.3), linewidth=0.8, linestyle=":", zorder=2)
    ax.plot(
        curve.speed, curve.rate, color=color, linewidth=1.2, marker="o", markersize=2.2, markeredgewidth=0, zorder=4
    )
    if curve.best is not None:
        ax.plot([curve.speed[curve.best]], [curve.rate[curve.best]], color=color, marker="*", markersize=9,
                markeredgecolor=style.of(ax).paper, markeredgewidth=0.5, zorder=6)  # fmt: skip


def _legend(ax: Any, colored: Sequence[tuple[Curve, str]]) -> Any:
    from matplotlib.lines import Line2D

    grey = style.of(ax).grey
    handles = [
        Line2D([], [], color=color, marker="o", markersize=2.5, linewidth=1.2, label=c.label) for c, color in colored
    ]
    if any(curve.best is not None for curve, _ in colored):
        handles.append(Line2D([], [], color=grey(0.4), marker="*", markersize=7, linestyle="none", label="best"))
    if any(curve.sure is not None for curve, _ in colored):
        handles.append(Line2D([], [], color=grey(0.4), alpha=0.5, linewidth=1.0, label="80 % interval"))
    if any(curve.cut for curve, _ in colored):
        handles.append(Line2D([], [], color=grey(0.6), linewidth=0.8, linestyle=(0, (4, 2)), label="without limits"))
    return paper.legend(ax, handles, _SMALL, 2 if ax.get_figure(root=True).get_figwidth() > _TWO_COLUMNS else 1)


def _spots(ax: Any, curve: Curve) -> Floats:
    """Return where the configurations lie on paper, in dots."""
    points = np.stack([curve.speed, curve.rate], axis=1)
    return np.asarray(ax.transData.transform(points)) if points.size else points


def _intervals(ax: Any, curve: Curve, color: str) -> None:
    """Draw a bar through the best configuration, and through others that are a little apart."""
    if curve.sure is None:
        return
    apart, spots = _APART * ax.get_figure(root=True).dpi / 72, _spots(ax, curve)
    shown: list[int] = []
    for i in ([] if curve.best is None else [curve.best]) + list(range(len(spots))):
        if all(np.hypot(*(spots[i] - spots[k])) >= apart for k in shown):
            shown.append(i)
            ends = np.array([end[i] for end in curve.sure])
            ax.plot(curve.speed[i] * ends, curve.rate[i] * ends, color=color, alpha=0.4, linewidth=1.0, zorder=3)


def _occupy(names: Names, spots: Floats) -> None:
    """Note small boxes along a line."""
    from matplotlib.transforms import Bbox

    for i, here in enumerate(spots):
        there = spots[min(i + 1, len(spots) - 1)]
        for part in np.linspace(0, 1, 1 + int(np.hypot(*(there - here)) / 4)):
            x, y = here + part * (there - here)
            names.taken.append(Bbox.from_bounds(x - 1.5, y - 1.5, 3, 3))


def _name_limit(ax: Any, names: Names, tpot: float) -> None:
    across, words = (
        ax.get_xaxis_transform(),
        {"fontsize": _SMALL, "color": style.of(ax).grey(0.3), "va": "center", "bbox": style.of(ax).halo, "zorder": 7},
    )
    names.place([
        partial(ax.text, 1 / tpot, height, f" TPOT {show(tpot, SECOND, 3)} ", transform=across, ha=side, **words)
        for side in ("left", "right")
        for height in (0.04, 0.96, 0.1, 0.9)
    ])  # fmt: skip


def _name_plans(ax: Any, names: Names, curve: Curve, color: str, *, only_best: bool) -> None:
    """Name the best configuration; then those that hold the longest parts of the frontier, each once, where there is room."""
    best = [] if curve.best is None else [curve.best]
    starts = [i for i, plan in enumerate(curve.plans) if i == 0 or plan != curve.plans[i - 1]]
    runs, spots = [*starts, len(curve.plans)], _spots(ax, curve)
    long = {(i + j) // 2: float(np.hypot(*(spots[j - 1] - spots[i]))) for i, j in pairwise(runs)}
    named: dict[str, int] = {}
    for i in [*best, *sorted(long, key=lambda i: -long[i])]:
        named.setdefault(curve.plans[i], i)
    for plan, i in list(named.items())[:_MOST_NAMES]:
        if (i in best) == only_best:
            at, gaps = (float(curve.speed[i]), float(curve.rate[i])), (4.0, 13.0, 24.0, 36.0)
            names.place(placer(ax, plan, at, gaps if only_best else gaps[:1], color=color, size=_SMALL), must=only_best)
