"""Pictures. The functions leave pyplot alone, draw on ``ax`` (or on a figure of their own) and return the axes.

Each takes the numbers it draws as an object of its own, or makes them of answers: :func:`roofs`, :func:`points` and :func:`clouds`
under a roofline, :class:`Breakdown`, :class:`Load`, :class:`Capped`, :class:`Holding`, :class:`Timeline`, :class:`Tornado`, :class:`Growth`,
:class:`Curve`. :func:`alt` tells a picture as text. Every function takes a ``style``, ``light``, ``dark`` or ``print``, and the
``width`` of a new figure: ``column`` (3.4 inches), ``page`` (7), or inches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import numpy as np
from attrs import evolve

from roofline import catalog
from roofline.calibration.fitting import Part
from roofline.core import lazy
from roofline.core.errors import QuestionError, fault
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import Chip, System, Tier
from roofline.operators.operations import Op
from roofline.physics.spans import Span
from roofline.plots import (
    _breakdown,
    _energy,
    _frontier,
    _load,
    _memory,
    _network,
    _pipeline,
    _roofline,
    _scaling,
    tornado,
)
from roofline.plots._breakdown import Breakdown
from roofline.plots._energy import Capped
from roofline.plots._frontier import Curve
from roofline.plots._load import Load
from roofline.plots._memory import Holding
from roofline.plots._pipeline import Timeline
from roofline.plots._points import Cloud, Point, Roof, Sheet, Track, clouds, points, roofs, sheet, spanned, track
from roofline.plots._scaling import Growth
from roofline.plots.paper import FORMATS, WIDTHS, alt, axes, panels, placed, render, settle
from roofline.plots.style import STYLES, Style, with_style
from roofline.plots.tornado import Tornado

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from roofline.planner.collective import Collective
    from roofline.validation.scoring import Prediction

__all__ = [
    "FORMATS", "STYLES", "WIDTHS", "Breakdown", "Cloud", "Curve", "Growth", "Holding", "Load", "Point", "Roof",
    "Sheet", "Style", "Timeline", "Tornado", "Track", "alt", "axes", "better", "breakdown", "calibrated", "clouds",
    "collective",
    "drawn", "frontier", "load", "memory", "panels", "pipeline", "points", "render", "roofline", "roofs", "save", "scaling",
    "scatter", "spanned", "track",
]  # fmt: skip

STYLE: Final = STYLES["light"].settings
"""Settings of matplotlib for figures that are drawn by hand beside these."""


def roofline(
    system: System,
    steps: Sequence[Span],
    *,
    tier: Tier | Sequence[Tier] | None = None,
    cache: bool = False,
    band: bool = False,
    tracks: Sequence[Track] = (),
    ax: Axes | None = None,
    label: str = "",
    title: str = "",
    style: str | Style | None = None,
    width: float | str | None = None,
) -> Axes:
    """Draw a system's roofs and the operations of its steps as points on them.

    Both axes are logarithmic. Each roof is labelled in place, each ridge marked; a point's area is its share of its
    step's time; a diamond is a whole step against the bytes it sends, under the dashed roof of the network. Drawing
    another system on the same axes adds it in the next colour; what else is on them stays.

    Args:
        system: whose ranks do the work.
        steps: priced steps, such as ``est.steps``; prefill and decode have markers of their own.
        tier: the tier whose bandwidth is the network's roof, or several: ``system.tiers`` for all.
        cache: whether the chip's cache has a roof, where its bandwidth is known.
        band: whether the room between compute and memory side by side, ``max()``, and in turn, ``sum()``, is shaded.
        tracks: ways of operations as a size grows: :func:`track`.
        ax: axes to draw on; by default those of a new figure.
        label: what the legend calls the system.
        title: what the picture shows, above it.
        style: ``light``, ``dark`` or ``print``; ``width`` of a new figure: ``column``, ``page``, or inches.
    """
    known = sheet(system, steps, tier, label, title, cache=cache)
    return drawn(evolve(known, tracks=tuple(tracks), band=band), ax=ax, style=style, width=width)


def save(what: Axes | Figure, file: str | Path) -> None:
    """Write axes, or a whole figure, into FILE.svg, FILE.pdf or FILE.png: the same bytes whenever the picture is the same.

    Raises:
        QuestionError: another form, or a place that cannot be written to.
    """
    path, figure = Path(file), cast("Any", getattr(what, "figure", None) or what)
    catalog.write(path, render(figure, path.suffix.removeprefix(".").lower()))


def drawn(
    *sheets: Sheet, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw the parts of a roofline from their numbers, a sheet for each system; see :func:`roofline`."""
    ax = placed(ax, (7.6, 5.0), width, style)
    with with_style(ax):
        _roofline.draw(ax, *sheets)
    return ax


class Fitted(Protocol):
    """A profile fitted to timings of a chip."""

    @property
    def profile(self) -> Calibration:
        """The constants."""

    @property
    def chip(self) -> Chip:
        """What was timed."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The timings."""

    @property
    def source(self) -> str:
        """Where they stood."""


def calibrated(
    found: Fitted, ax: Axes | None = None, *, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw measured and fitted rates of kernels under the roofs of the chip they were timed on.

    Each class of kernels has a colour; of each at most 200 of the timings that were left out of the fit are drawn, spread
    evenly over intensity: a dot where it was measured, a ring where the profile puts it, a line between the two. The legend
    tells how many were left out, and the mean error of all of them.

    Args:
        found: what :func:`roofline.calibrate` returns.
        ax: axes to draw on; by default those of a new figure of one column's width.

    Raises:
        QuestionError: no kernel that multiplies was timed, so that nothing has a place on a roofline.
    """
    shown = clouds(found.parts, found.profile)
    if not shown:
        raise QuestionError(
            fault("plot", found.source, "holds no kernel that multiplies", "a roofline shows products and attention")
        )
    rates = {w.rate for part in found.parts for w in [part.timings.work] if isinstance(w, Op) and np.any(w.flops > 0)}
    label, title = (
        f"roofs of one {found.chip.title or found.chip.name}",
        f"{found.profile.name}, fitted to {found.source}",
    )
    ax = placed(ax, (3.6, 3.9), width, style)
    with with_style(ax):
        _roofline.draw(ax, Sheet(label, "chip", roofs(found.chip, rates), (), title, shown))
    return ax


def scatter(
    predictions: Sequence[Prediction], *, ax: Axes | None = None, key: str = "system", style: str | Style | None = None,
    width: float | str | None = None,
) -> Axes:  # fmt: skip
    """Draw predicted against measured values of one quantity, each with its interval, on the line they should lie on.

    Args:
        predictions: of one quantity; those without a measured or a predicted value are left out.
        ax: axes to draw on; by default those of a new figure.
        key: what of a run has a colour of its own: system, model, engine, group, mode or quality.

    Raises:
        QuestionError: nothing is left to draw.
    """
    found = [p for p in predictions if p.measured is not None and p.predicted is not None]
    if not found or len({p.quantity for p in found}) > 1:
        raise QuestionError(
            fault("predictions", len(found), "must be of one quantity, measured and predicted, to be drawn")
        )
    ax = placed(ax, (6.4, 5.6), width, style)
    with with_style(ax):
        lazy.plots("_scatter").draw(ax, found, key)
        settle(ax)
    return ax


def frontier(
    curve: Curve, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw the frontier of a search: tokens per second and user against tokens per second and chip, linear, as is usual.

    Each dot is a configuration, a bar through it its 80 % interval, in which both rates move together; the star is the best. The dashed
    line is what could be had without limits, the dotted one the limit on TPOT. Another search on the same axes is added in the
    next colour.

    Args:
        curve: such as :meth:`roofline.Search.curve` returns.
        ax: axes to draw on; by default those of a new figure.
    """
    ax = placed(ax, (4.6, 4.0), width, style)
    with with_style(ax):
        _frontier.draw(ax, curve)
        settle(ax)
    return ax


def breakdown(
    found: Breakdown, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw where the time of steps goes: by operation, by what bounds it, or by phase."""
    ax = placed(ax, (6.0, 1.3 + 0.17 * _rows(found)), width, style)
    with with_style(ax):
        _breakdown.draw(ax, found)
        settle(ax)
    return ax


def load(
    found: Load, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw tokens per second and chip, TPOT and TTFT against requests in flight; another on the same axes is added."""
    ax = placed(ax, (5.4, 3.9), width, style)
    with with_style(ax):
        _load.draw(ax, found)
        settle(ax)
    return ax


def energy(
    found: Capped, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw energy per token, and the time it is paid with, against the power cap of a chip; another on the same axes is added."""
    ax = placed(ax, (5.4, 3.6), width, style)
    with with_style(ax):
        _energy.draw(ax, found)
        settle(ax)
    return ax


def memory(
    found: Holding, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw what a chip's memory holds under each layout, by kind, and the room there is."""
    ax = placed(ax, (6.0, 1.5 + 0.22 * len(found.plans)), width, style)
    with with_style(ax):
        _memory.draw(ax, found)
        settle(ax)
    return ax


def pipeline(
    found: Timeline, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw a step of training on its pipeline: a row for each rank, a bar for each pass; what is left is the bubble."""
    ax = placed(ax, (7.2, 1.7 + 0.22 * min(found.ranks, 16)), width, style)
    with with_style(ax):
        _pipeline.draw(ax, found)
        settle(ax)
    return ax


def better(
    found: Tornado, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw what each part of a machine buys when it is better, the greatest gain first."""
    ax = placed(ax, (5.6, 1.0 + 0.26 * len(found.parts)), width, style)
    with with_style(ax):
        tornado.draw(ax, found)
        settle(ax)
    return ax


def scaling(
    found: Growth, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw tokens per second and chip against chips; another on the same axes is added in the next colour."""
    ax = placed(ax, (5.6, 4.0), width, style)
    with with_style(ax):
        _scaling.draw(ax, found)
        settle(ax)
    return ax


def collective(
    found: Collective, *, ax: Axes | None = None, style: str | Style | None = None, width: float | str | None = None
) -> Axes:
    """Draw the bus bandwidth of a collective against its size, with the 80 % interval and the algorithms."""
    ax = placed(ax, (5.6, 3.6), width, style)
    with with_style(ax):
        _network.draw(ax, found)
        settle(ax)
    return ax


def _rows(found: Breakdown) -> float:
    """Return how many rows of letters a breakdown takes."""
    if found.by != "operation":
        return 2.5 * len(found.bars) + 2
    return sum(len(bar.parts) + 1.5 for bar in found.bars)
