"""A picture of time against memory: plans of a step of training, and those of them that nothing beats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.drawing import PALETTE
from roofline.lettering import Names, beside
from roofline.plots import STYLE, axes
from roofline.units import GIGA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_SMALL: Final = 6.5
_MOST_NAMES: Final = 4
_SLOWEST: Final = 2.5
"""Times of the best plan that are in the picture."""
_MOST_DOTS: Final = 4000


@frozen(eq=False)
class Tradeoff:
    """One search's part of a picture.

    Attributes:
        label: what the legend calls it; ``title``: what was asked.
        memory, time: bytes of a chip, and seconds of a step, of the plans on the frontier, the shortest step first.
        sure: ends of the 80 % intervals of the times; None without.
        plans: what each plan is called.
        all_memory, all_time: of every plan that is kept.
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


def draw(found: Tradeoff, *, ax: Axes | None = None) -> Axes:
    """Draw the time of a step against the memory of a chip: all plans, the frontier, the star of the shortest step, the room.

    Another search on the same axes is added in the next colour.
    """
    import matplotlib as mpl

    ax = axes(4.6, 3.4) if ax is None else ax
    with mpl.rc_context(STYLE):
        _add(ax, found)
    return ax


def _add(ax: Any, found: Tradeoff) -> None:
    drawn = getattr(ax, "roofline_tradeoffs", 0)
    ax.roofline_tradeoffs = drawn + 1
    color = PALETTE[drawn % len(PALETTE)]
    # Plans many times slower than the best would only press the frontier flat.
    top = _SLOWEST * float(found.time[0])
    near = np.flatnonzero(found.all_time <= top)
    near = near[:: max(1, len(near) // _MOST_DOTS)]
    ax.plot(
        found.all_memory[near] / GIGA, found.all_time[near], ".", color="0.8", markersize=1.6, zorder=1, rasterized=True
    )
    x = found.memory / GIGA
    ax.plot(x, found.time, color=color, linewidth=1.2, drawstyle="steps-pre", zorder=3)
    ax.plot(x, found.time, "o", color=color, markersize=2.6, zorder=4, label=found.label)
    ax.plot(
        x[:1], found.time[:1], "*", color=color, markersize=9, markeredgecolor="white", markeredgewidth=0.5, zorder=6
    )
    if found.sure is not None:
        ax.vlines(x, found.sure[0], found.sure[1], color=color, alpha=0.35, linewidth=0.9, zorder=2)
    ax.axvline(found.room / GIGA, color=color, linewidth=0.8, linestyle=":", zorder=2)
    ax.set_xlim(left=0.0)
    ax.set_ylim(0.0, max(top, ax.get_ylim()[1] if drawn else 0.0))
    ax.set_xlabel("memory of a chip (GB)", fontsize=8)
    ax.set_ylabel("time of a step (s)", fontsize=8)
    ax.tick_params(which="both", labelsize=7.5)
    ax.grid(visible=True, which="major", color="0.92", linewidth=0.6, zorder=0)
    ax.set_title(found.title, fontsize=7.5, loc="left")
    legend = ax.legend(fontsize=_SMALL, loc="upper right", framealpha=0.9, edgecolor="0.85")
    # Places are known only once the figure is laid out.
    ax.get_figure(root=True).draw_without_rendering()
    names = Names(ax.get_window_extent())
    names.taken.append(legend.get_window_extent())
    # Names lie apart in time, the best one first.
    seen = np.flatnonzero(found.time <= top)
    spots = np.searchsorted(found.time[seen], np.linspace(found.time[0], found.time[seen[-1]], _MOST_NAMES))
    told = np.unique(np.minimum(spots, len(seen) - 1))
    for i in told:
        at = (float(x[i]), float(found.time[i]))
        names.place(beside(ax, found.plans[i], at, (4.0, 13.0, 24.0, 36.0), color=color, size=_SMALL - 1), must=i == 0)
