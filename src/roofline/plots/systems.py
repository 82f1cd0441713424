"""Systems side by side as a picture: FLOP/s, bytes, bytes/s and watts, of the whole and of one chip, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, WATT, show
from roofline.plots import paper
from roofline.plots import style as styles
from roofline.plots.style import Style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS: Final = (
    ("bf16_flops_per_s", "bf16 rate", FLOP_RATE),
    ("memory_bytes", "memory", BYTE),
    ("memory_bandwidth_bytes_per_s", "memory bandwidth", BYTE_RATE),
    ("power_w", "rated power", WATT),
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
        alone: whether its power is that of its chips alone, which has a square.
        announced: whether its figures are intentions, which have the second colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import NullFormatter

    look = styles.style(style)
    order = sorted(range(len(names)), key=lambda i: (sums[i].get(PANELS[0][0]) or 0.0, sums[i]["memory_bytes"] or 0.0))
    figure = Figure(figsize=(10.5, 1.9 + 0.21 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    drawn: Any = figure
    drawn.roofline_style = look
    axes: Any = figure.subplots(1, len(PANELS), sharey=True)
    for ax, (key, title, unit) in zip(axes, PANELS, strict=True):
        for row, i in enumerate(order):
            if row % 2:
                ax.axhspan(row - 0.5, row + 0.5, color=look.grey(0.96), linewidth=0, zorder=0)
            value, chips = sums[i].get(key), float(sums[i]["chips"] or 1.0)
            if not value:
                ax.text(
                    0.02,
                    row,
                    "none" if key == PANELS[0][0] else "not published",
                    transform=ax.get_yaxis_transform(),
                    fontsize=6,
                    va="center",
                    color=look.grey(0.4),
                )
                continue
            part = key == "power_w" and alone[i]
            dot: Any = {
                "color": look.color(1) if announced[i] else look.color(0),
                "linestyle": "none",
                "marker": "s" if part else "o",
                "markersize": 4.5,
            }
            ax.plot([value / chips, value], [row, row], color=look.grey(0.7), linewidth=0.9, zorder=1)
            ax.plot([value], [row], zorder=3, **dot)
            if chips > 1:
                ax.plot([value / chips], [row], zorder=2, fillstyle="none", markeredgewidth=0.8, **dot)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda x, _, unit=unit: show(x, unit, 3))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_title(title, fontsize=8.5, loc="left")
        ax.grid(visible=True, axis="x", color=look.grey(0.9), linewidth=0.6)
        ax.tick_params(axis="y", labelsize=7, length=0)
        ax.tick_params(axis="x", labelsize=6.5, length=2, rotation=40)
    axes[0].set_yticks(range(len(order)), [names[i] for i in order], fontsize=7)
    axes[0].set_ylim(-0.7, len(order) - 0.3)
    marks = (
        (0, "o", "full", "the whole system"),
        (0, "o", "none", "one chip of it"),
        (1, "o", "full", "announced: figures are intentions"),
        (0, "s", "full", "power of the chips alone"),
    )
    handles = []
    for color, mark, fill, label in marks:
        if (mark != "s" or any(alone)) and (color != 1 or any(announced)):
            shape: Any = {"marker": mark, "fillstyle": fill, "markersize": 4.5, "linestyle": "none"}
            handles.append(Line2D([], [], color=look.color(color), label=label, **shape))
    figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=7.5, frameon=False)
    first = next((i for i in reversed(order) if sums[i].get(PANELS[0][0])), order[-1])
    rate = show(float(sums[first].get(PANELS[0][0]) or 0.0), FLOP_RATE, 3)
    title = f"{names[first]} has the highest bf16 rate of {len(names)} systems, {rate}"
    figure.suptitle(title, fontsize=9, x=0.01, ha="left", color=look.ink)
    texts = [
        f"{names[i]} {show(float(sums[i][PANELS[0][0]] or 0.0), FLOP_RATE, 3)} of bf16"
        for i in reversed(order)
        if sums[i].get(PANELS[0][0])
    ]
    paper.set_description(
        axes[0],
        "landscape",
        f"{len(names)} systems side by side, FLOP/s, memory, bandwidth and power: {'; '.join(texts[:8])}.",
    )
    return figure
