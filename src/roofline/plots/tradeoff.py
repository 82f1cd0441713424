"""A picture of time against memory: configurations of a step of training, and those of them that nothing beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.units import BYTE, GIGA, SECOND, show
from roofline.plots import paper
from roofline.plots import style as styles
from roofline.plots.labels import Names, placer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_SMALL: Final = 6.5
_MOST_NAMES: Final = 6
_MOST_DOTS: Final = 4000


@frozen(eq=False)
class Tradeoff:
    """One search's part of a picture.

    Attributes:
        label: what the legend calls it.
        title: what was asked.
        memory: bytes of a chip of the configurations on the frontier, the shortest step first.
        time: time of a step of these configurations, s.
        sure: ends of the 80 % intervals of the times; None without.
        plans: what each configuration is called.
        all_memory: bytes of a chip of every configuration that is kept.
        all_time: time of a step of every configuration that is kept, s.
        room: bytes that a chip may hold.
    """

    label: str
    title: str
    memory: Floats
    time: Floats
    sure: Floats | None
    plans: tuple[str, ...]
    all_memory: Floats
    all_time: Floats
    room: float

    def alt(self) -> str:
        """Return what the frontier shows as text, made of its numbers."""
        ends = [
            f"{show(float(self.time[i]), SECOND, 3)} in {show(float(self.memory[i]), BYTE, 3)} ({self.plans[i]})"
            for i in (0, -1)
        ]
        return f"Time against memory of a step: {self.title}. {self.label}: from {' to '.join(ends)}, {len(self.plans)} configurations."


def draw(
    found: Tradeoff,
    *,
    ax: Axes | None = None,
    style: str | styles.Style | None = None,
    width: float | str | None = None,
) -> Axes:
    """Draw the time of a step against the memory of a chip: all configurations, the frontier, the star of the shortest step, the room.

    Another search on the same axes is added in the next colour.
    """
    ax = paper.placed(ax, (4.6, 3.4), width, style)
    with styles.with_style(ax):
        _add(ax, found)
    paper.set_description(ax, "tradeoff", f"{paper.alt(ax)} {found.alt()}".strip())
    return ax


def _add(ax: Any, found: Tradeoff) -> None:
    from matplotlib.transforms import Bbox

    drawn = getattr(ax, "roofline_tradeoffs", 0)
    ax.roofline_tradeoffs = drawn + 1
    look = styles.of(ax)
    color = look.color(drawn)
    # Plans many times slower than the best would only press the frontier flat.
    near = np.flatnonzero(found.all_time <= 3 * found.time.max())
    near = near[:: max(1, len(near) // _MOST_DOTS)]
    ax.plot(
        found.all_memory[near] / GIGA,
        found.all_time[near],
        ".",
        color=look.grey(0.8),
        markersize=1.6,
        zorder=1,
        rasterized=True,
    )
    x = found.memory / GIGA
    ax.plot(x, found.time, color=color, linewidth=1.2, drawstyle="steps-pre", zorder=3)
    ax.plot(x, found.time, "o", color=color, markersize=2.6, zorder=4, label=found.label)
    ax.plot(
        x[:1], found.time[:1], "*", color=color, markersize=9, markeredgecolor=look.paper, markeredgewidth=0.5, zorder=6
    )
    if found.sure is not None:
        ax.vlines(x, found.sure[0], found.sure[1], color=color, alpha=0.35, linewidth=0.9, zorder=2)
    ax.axvline(found.room / GIGA, color=color, linewidth=0.8, linestyle=":", zorder=2)
    ax.set_yscale("log")
    paper.limits(ax, x=(0.0, max(ax.get_xlim()[1], 1.06 * found.room / GIGA)))
    low, high = ax.get_ylim()
    paper.plain_ticks(ax.yaxis, low, high)
    paper.frame(ax, found.title, "memory per chip, GB (dotted: what it may hold)", "time of a step, s")
    legend = paper.legend(ax, ax.get_legend_handles_labels()[0], _SMALL, 1)
    # Places are known only once the figure is laid out.
    paper.settle(ax)
    ax.get_figure(root=True).draw_without_rendering()
    names = Names(ax.get_window_extent())
    names.taken.append(legend.get_window_extent())
    for px, py in ax.transData.transform(np.stack([x, found.time], axis=1)):
        names.taken.append(Bbox.from_bounds(px - 2, py - 2, 4, 4))
    most = _MOST_NAMES // 2 if paper.narrow(ax) else _MOST_NAMES
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).round().astype(int))
    for i in places:
        at = (float(x[i]), float(found.time[i]))
        names.place(placer(ax, found.plans[i], at, (4.0, 13.0, 24.0, 36.0), color=color, size=_SMALL - 1), must=i == 0)
