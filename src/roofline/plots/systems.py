"""Systems side by side as a picture: FLOP/s, bytes, bytes/s and watts, of the whole and of one chip, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from roofline.core.units import FLOP_RATE, show
from roofline.plots import paper
from roofline.plots import style as styles
from roofline.plots.style import Style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS: Final = (
    ("bf16_flops_per_s", "bf16, FLOP/s"),
    ("memory_bytes", "memory, B"),
    ("memory_bandwidth_bytes_per_s", "memory bandwidth, B/s"),
    ("power_w", "rated power, W"),
)


def draw(
    names: Sequence[str],
    sums: Sequence[Mapping[str, float | None]],
    alone: Sequence[bool],
    announced: Sequence[bool],
    style: str | Style | None = None,
) -> Figure:
    """Return a figure with a row for each system, largest bf16 rate on top: a filled dot for the whole, an open one for a chip.

    Args:
        names: of the systems; ``sums``: what each adds up to.
        alone: whether its power is that of its chips alone; ``announced``: whether its figures are intentions. Both are paler.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    look = styles.style(style)
    order = sorted(range(len(names)), key=lambda i: (sums[i].get(PANELS[0][0]) or 0.0, sums[i]["memory_bytes"] or 0.0))
    figure = Figure(figsize=(10.5, 1.6 + 0.19 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    kept: Any = figure
    kept.roofline_style = look
    axes: Any = figure.subplots(1, len(PANELS), sharey=True)
    for ax, (key, title) in zip(axes, PANELS, strict=True):
        for row, i in enumerate(order):
            value, chips = sums[i].get(key), float(sums[i]["chips"] or 1.0)
            if not value:
                continue
            pale = announced[i] or (key == "power_w" and alone[i])
            dot: Any = {
                "color": look.color(1) if pale else look.color(0),
                "linestyle": "none",
                "marker": "o",
                "markersize": 4.5,
            }
            ax.plot([value / chips, value], [row, row], color=look.grey(0.8), linewidth=0.8, zorder=1)
            ax.plot([value], [row], zorder=3, **dot)
            ax.plot([value / chips], [row], zorder=2, fillstyle="none", markeredgewidth=0.8, **dot)
        ax.set_xscale("log")
        ax.set_title(title, fontsize=8.5, loc="left")
        ax.grid(visible=True, axis="x", color=look.grey(0.92), linewidth=0.6)
        ax.tick_params(labelsize=7, length=2)
    axes[0].set_yticks(range(len(order)), [names[i] for i in order], fontsize=7)
    axes[0].set_ylim(-0.7, len(order) - 0.3)
    handles = [
        Line2D([], [], color=look.color(0), marker="o", linestyle="none", markersize=4.5, label="the whole system"),
        Line2D(
            [],
            [],
            color=look.color(0),
            marker="o",
            linestyle="none",
            markersize=4.5,
            fillstyle="none",
            label="one chip",
        ),
        Line2D(
            [],
            [],
            color=look.color(1),
            marker="o",
            linestyle="none",
            markersize=4.5,
            label="announced; power: of the chips alone",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize=7.5, frameon=False)
    told = [
        f"{names[i]} {show(float(sums[i][PANELS[0][0]] or 0.0), FLOP_RATE, 3)} of bf16"
        for i in reversed(order)
        if sums[i].get(PANELS[0][0])
    ]
    paper.tell(
        axes[0],
        "landscape",
        f"{len(names)} systems side by side, FLOP/s, memory, bandwidth and power: {'; '.join(told[:8])}.",
    )
    return figure
