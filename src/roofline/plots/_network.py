"""Bus bandwidth of a collective against its size, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roofline.core.units import BYTE, GIGA, show
from roofline.plots import paper, style
from roofline.results.labels import machine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = 2.0 ** np.arange(10, 35)
"""1 KiB to 16 GiB."""


def draw(ax: Axes, found: Any) -> None:
    """Draw bus bandwidth with its 80 % interval against size; the algorithm is named where it changes. Another is added."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator

    axes: Any = ax
    curve = found if np.ndim(found.bytes) == 1 and np.ndim(found.ranks) <= 1 else found.over(SIZES)
    size, bus = np.asarray(curve.bytes), np.asarray(curve.busbw) / GIGA
    low, high = (np.asarray(end) / GIGA for end in curve.interval("busbw") or (curve.busbw, curve.busbw))
    look, drawn = style.of(ax), getattr(axes, "roofline_curves_drawn", [])
    color = look.color(len(drawn))
    kind, ranks = str(curve.kind).replace("_", " "), float(np.max(curve.ranks))
    finding = f"{kind} over {ranks:,.0f} ranks: {bus.max():,.0f} GB/s at most, half of it from {show(float(size[bus >= bus.max() / 2][0]), BYTE, 3)}"
    lines = [*drawn, (f"{kind}, {ranks:,.0f} ranks of {curve.system.name}", finding)]
    axes.roofline_curves_drawn = lines
    title = "\n".join([*(line[1] for line in lines), machine(curve.system)])
    letters = paper.frame(ax, title, "size of the buffer", "bus bandwidth, GB/s")
    axes.plot(size, bus, marker="o", markersize=2.6, linewidth=1.3, color=color, label=lines[-1][0], zorder=3)
    axes.fill_between(size, low, high, alpha=0.2, color=color, linewidth=0)
    names = np.asarray(curve.algorithm)
    for i in np.flatnonzero(names != np.concatenate([[""], names[:-1]])):
        # Names of a second curve stand above those of the first where both begin at the bottom.
        up = 6 + (letters + 4) * len(drawn) * bool(bus[i] < 0.1 * bus.max())
        axes.annotate(str(names[i]).replace("_", " "), (size[i], bus[i]), textcoords="offset points", xytext=(0, up), ha="right" if i else "left",
                      fontsize=letters - 0.5, color=look.letters(color), bbox=look.halo)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: show(x, BYTE, 3))
    axes.xaxis.set_major_locator(LogLocator(2, numticks=8))
    axes.minorticks_off()
    paper.limits(axes, y=(0.0, max(1.08 * float(high.max()), axes.get_ylim()[1] if drawn else 0.0)))
    handles = [
        Line2D([], [], color=look.color(i), marker="o", markersize=3, label=line[0]) for i, line in enumerate(lines)
    ]
    paper.legend(ax, handles, letters, 1, "shaded: 80 % interval")
    at = "; ".join(f"{show(float(size[i]), BYTE, 3)} {bus[i]:,.0f} GB/s by {names[i]}" for i in (0, len(size) // 2, -1))
    paper.set_description(ax, f"collective {len(drawn)}", f"{finding}, {lines[-1][0]}: {at}.")
