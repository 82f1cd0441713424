"""Pictures. Each function draws on ``ax`` (or on a figure of its own), returns the axes, and leaves pyplot alone.

The numbers behind a picture come from :func:`roofs` and :func:`points`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from roofline.collectives import lower_bound
from roofline.errors import QuestionError, fault
from roofline.hardware import Chip, System, Tier
from roofline.timeline import Span
from roofline.units import BYTE_RATE, FLOP_RATE, TERA, BytesPerSecond, FlopPerByte, FlopPerSecond, Ratio, show
from roofline.work import Message, Op

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008)."""

FORMATS: Final = ("svg", "pdf", "png")
_LEAST_SHARE: Final = 0.005
_HALO: Final = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
_MARKERS: Final = {"decode": "o", "prefill": "s"}
_STYLE: Final[Any] = {
    "svg.hashsalt": "roofline",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
}


@frozen
class Roof:
    """One roof of a chip: a flat one at a peak, or a slope at a bandwidth."""

    name: str
    peak: FlopPerSecond | None
    bandwidth: BytesPerSecond | None


@frozen
class Point:
    """An operation, or all the messages of a step (``name`` network), on the roofline.

    Attributes:
        intensity: FLOP for each byte of memory (or network) traffic.
        rate: FLOP/s reached, with the fixed time counted.
        share: part of the step's time.
    """

    name: str
    step: str
    intensity: FlopPerByte
    rate: FlopPerSecond
    share: Ratio


def roofs(chip: Chip, rates: Iterable[str], tier: Tier | None = None) -> tuple[Roof, ...]:
    """Return the roofs of a chip: its peaks at ``rates``, its memory, and its network if a tier is given."""
    flat = [Roof(rate, float(chip.peak[rate]), None) for rate in sorted(rates, key=lambda r: float(chip.peak[r]))]
    slopes = [Roof("memory", None, float(chip.memory.bandwidth))]
    if tier is not None:
        slopes.append(Roof(tier.name.split(",")[0], None, float(tier.bandwidth)))
    return (*flat, *slopes)


def points(span: Span, system: System, tier: Tier | None = None) -> tuple[Point, ...]:
    """Return the operations of a step that multiply, largest share first, and the point of its messages on the network's roof."""
    found: dict[str, list[float]] = {}
    flops, wire = 0.0, 0.0
    for work, cost, times in span.leaves():
        if isinstance(work, Message):
            wire += float(lower_bound(work, system.tiers) * times * (work.group > 1))
        elif isinstance(work, Op) and float(work.flops) > 0:
            sums = found.setdefault(work.name, [0.0, 0.0, 0.0])
            for i, value in enumerate((work.flops, work.bytes, cost.time)):
                sums[i] += float(value * times)
            flops += float(work.flops * times)
    whole = float(span.time)
    out = [Point(n, span.name, f / b, f / t, t / whole) for n, (f, b, t) in found.items()]
    out.sort(key=lambda p: -p.share)
    if tier is not None and wire:
        traffic = wire * float(tier.bandwidth)
        out.append(Point("network", span.name, flops / traffic, flops / whole, float(span.network) / whole))
    return tuple(out)


def spanned(system: System, ranks: float) -> Tier | None:
    """Return the outermost tier that so many ranks talk over; None for one rank."""
    if ranks <= 1:
        return None
    return next((tier for tier in system.tiers if float(tier.size) >= ranks), system.tiers[-1])


def axes(width: float = 7.2, height: float = 4.6) -> Axes:
    """Return axes on a new figure of ``width`` x ``height`` inches that belongs to nobody."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure.add_subplot()


def render(figure: Figure, form: str) -> bytes:
    """Return the bytes of a picture: the same bytes whenever the picture is the same.

    Raises:
        QuestionError: not one of svg, pdf, png.
    """
    import matplotlib as mpl

    if form not in FORMATS:
        raise QuestionError(fault("format", form, "a picture is svg, pdf or png", "end the file name in one of them"))
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    out = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(out, format=form, metadata=undated[form], dpi=200)
    return out.getvalue()


def roofline(
    system: System, steps: Sequence[Span], *, tier: Tier | None = None, ax: Axes | None = None, label: str = ""
) -> Axes:
    """Draw a system's roofs and the operations of its steps as points on them.

    Both axes are logarithmic. Each roof is labelled in place, each ridge marked; a point's area is its share of its
    step's time; the diamond is the whole step against the bytes it sends, under the dashed roof of the network. Drawing
    another system on the same axes adds it in the next colour.

    Args:
        system: whose ranks do the work.
        steps: priced steps, such as ``est.steps``; prefill and decode have markers of their own.
        tier: the tier whose bandwidth is the network's roof.
        ax: axes to draw on; by default those of a new figure.
        label: what the legend calls the system.
    """
    import matplotlib as mpl

    ax = axes() if ax is None else ax
    with mpl.rc_context(_STYLE):
        drawn: list[dict[str, Any]] = getattr(ax, "roofline_systems", [])
        marks = [point for span in steps for point in points(span, system, tier) if point.share >= _LEAST_SHARE]
        rates = {
            work.rate
            for span in steps
            for work, _, _ in span.leaves()
            if isinstance(work, Op) and np.any(work.flops > 0)
        }
        entry = {
            "label": label or system.name,
            "marks": marks,
            "roofs": roofs(system.chip, rates, tier),
            "color": PALETTE[len(drawn) % len(PALETTE)],
        }
        ax.roofline_systems = [*drawn, entry]  # type: ignore[attr-defined]
        _redraw(ax, ax.roofline_systems)  # type: ignore[attr-defined]
    return ax


def _redraw(ax: Axes, entries: list[dict[str, Any]]) -> None:
    """Draw all systems of the axes afresh: limits and labels depend on all of them."""
    ax.clear()
    marks = [mark for entry in entries for mark in entry["marks"]]
    peaks = [roof.peak for entry in entries for roof in entry["roofs"] if roof.peak]
    slopes = [roof.bandwidth for entry in entries for roof in entry["roofs"] if roof.bandwidth]
    left = min([*(m.intensity for m in marks), min(peaks) / max(slopes)]) / 8
    right = max([*(m.intensity for m in marks), max(peaks) / min(slopes)]) * 8
    low = min([*(m.rate for m in marks), left * max(slopes) * 2]) / 4 / TERA
    ax.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, max(peaks) / TERA * 2.5))
    ax.set_xlabel("arithmetic intensity, FLOP/B")
    ax.set_ylabel("performance of one rank, TFLOP/s")
    ax.grid(visible=True, which="major", color="0.92", linewidth=0.6, zorder=0)
    for entry in entries:
        _draw_roofs(ax, entry, named=len(entries) > 1, left=left, right=right, low=low)
    for entry in entries:
        _draw_points(ax, entry)
    _legend(ax, entries)
    _name_points(ax, entries)


def _draw_roofs(ax: Axes, entry: dict[str, Any], *, named: bool, left: float, right: float, low: float) -> None:
    color, prefix = entry["color"], f"{entry['label']}: " if named else ""
    flat = [roof for roof in entry["roofs"] if roof.peak]
    tallest = max(roof.peak for roof in flat) / TERA
    memory = next(roof.bandwidth for roof in entry["roofs"] if roof.name == "memory") / TERA
    for roof in flat:
        peak, ridge = roof.peak / TERA, roof.peak / TERA / memory
        ax.plot([ridge, right], [peak, peak], color=color, linewidth=1.4, zorder=2)
        ax.plot([ridge], [peak], marker="|", markersize=7, color=color, zorder=3)
        text = f"{prefix}{roof.name} {show(roof.peak, FLOP_RATE, 3)}, ridge {ridge:.3g} FLOP/B"
        ax.text(right, peak * 1.06, text, color=color, ha="right", va="bottom", fontsize=7.5, zorder=4, bbox=_HALO)
    for roof in (roof for roof in entry["roofs"] if roof.bandwidth):
        slope, network = roof.bandwidth / TERA, roof.name != "memory"
        top = tallest / slope
        ax.plot(
            [left / 2, top],
            [left / 2 * slope, tallest],
            color=color,
            linewidth=1.0 if network else 1.4,
            linestyle=(0, (4, 2)) if network else "-",
            alpha=0.8 if network else 1.0,
            zorder=2,
        )
        # On the visible part of the slope, near its foot.
        start = max(left, low / slope)
        x = start * (top / start) ** 0.06
        ax.text(
            x,
            x * slope,
            f"{prefix}{roof.name} {show(roof.bandwidth, BYTE_RATE, 3)}",
            color=color,
            fontsize=7.5,
            rotation=np.degrees(np.arctan2(slope, 1.0)),
            rotation_mode="anchor",
            transform_rotates_text=True,
            ha="left",
            va="bottom",
            zorder=4,
        )


def _draw_points(ax: Axes, entry: dict[str, Any]) -> None:
    for mark in entry["marks"]:
        network = mark.name == "network"
        ax.scatter(
            [mark.intensity],
            [mark.rate / TERA],
            s=12 + 700 * mark.share,
            marker="D" if network else _MARKERS.get(mark.step, "o"),
            facecolor="none" if network else entry["color"],
            edgecolor=entry["color"],
            alpha=0.9 if network else 0.55,
            linewidth=0.8,
            zorder=5,
        )


def _legend(ax: Axes, entries: list[dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    steps = dict.fromkeys(mark.step for entry in entries for mark in entry["marks"])
    handles = [Line2D([], [], color=entry["color"], linewidth=1.4, label=entry["label"]) for entry in entries]
    handles += [
        Line2D([], [], color="0.4", marker=_MARKERS.get(s, "o"), linestyle="none", alpha=0.6, label=s) for s in steps
    ]
    if any(mark.name == "network" for entry in entries for mark in entry["marks"]):
        handles.append(
            Line2D(
                [], [], color="0.4", marker="D", linestyle="none", fillstyle="none", label="whole step, per byte sent"
            )
        )
    legend = ax.legend(
        handles=handles,
        loc="lower right",
        fontsize=7.5,
        frameon=True,
        framealpha=0.9,
        edgecolor="0.85",
        title="area: share of the step's time",
        title_fontsize=7,
    )
    legend.set_zorder(6)


def _name_points(ax: Axes, entries: list[dict[str, Any]], most: int = 5) -> None:
    """Name the points that take most time, where there is room for the name."""
    from matplotlib.transforms import Bbox

    figure: Any = ax.get_figure(root=True)
    figure.draw_without_rendering()
    taken = [text.get_window_extent() for text in ax.texts]
    legend = ax.get_legend()
    if legend is not None:
        taken.append(legend.get_window_extent())
    for entry in entries:
        for mark in entry["marks"]:
            x, y = ax.transData.transform((mark.intensity, mark.rate / TERA))
            half = np.sqrt(12 + 700 * mark.share) / 2 * figure.dpi / 72
            taken.append(Bbox.from_bounds(x - half, y - half, 2 * half, 2 * half))
    for entry in entries:
        steps = dict.fromkeys(mark.step for mark in entry["marks"])
        for step in steps:
            biggest = [
                mark for mark in entry["marks"] if mark.step == step and mark.name != "network" and mark.share >= 0.03
            ][:most]
            for mark in biggest:
                taken.append(_name(ax, mark, entry["color"], taken))


def _name(ax: Axes, mark: Point, color: str, taken: Sequence[Any]) -> Any:
    away = 3 + np.sqrt(12 + 700 * mark.share) / 2
    sides = {-1: "right", 0: "center", 1: "left"}, {-1: "top", 0: "center", 1: "bottom"}
    around = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1), (2, 2), (2, -2), (-2, -3)]
    best: Any = None
    for dx, dy in around:
        text = ax.annotate(
            f"{mark.name} {mark.share:.0%}",
            (mark.intensity, mark.rate / TERA),
            xytext=(dx * away, dy * away),
            textcoords="offset points",
            ha=sides[0][np.sign(dx)],
            va=sides[1][np.sign(dy)],
            fontsize=7,
            color=color,
            zorder=7,
            bbox=_HALO,
        )
        box = text.get_window_extent()
        clashes = sum(box.overlaps(other) for other in taken)
        if best is None or clashes < best[0]:
            if best is not None:
                best[1].remove()
            best = (clashes, text, box)
        else:
            text.remove()
        if clashes == 0:
            break
    return best[2]
