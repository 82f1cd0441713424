"""Pictures. The functions leave pyplot alone, draw on ``ax`` (or on a figure of their own) and return the axes.

The numbers behind a picture come from :func:`roofs`, :func:`points` and :func:`clouds`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from roofline import drawing, frontiers
from roofline import scatter as scattering
from roofline.calibration import Calibration
from roofline.diagram import Cloud, Point, Roof, Sheet, clouds, points, roofs, sheet, spanned
from roofline.errors import QuestionError, fault
from roofline.fitting import Part
from roofline.frontiers import Curve
from roofline.hardware import Chip, System, Tier
from roofline.scoring import Prediction
from roofline.timeline import Span
from roofline.work import Op

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS", "Cloud", "Point", "Roof", "axes", "calibrated", "clouds", "frontier", "panels", "points", "render", "roofline",
    "roofs", "scatter", "spanned",
]  # fmt: skip

FORMATS: Final = ("svg", "pdf", "png")
STYLE: Final[Any] = {
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


def axes(width: float = 7.6, height: float = 5.0) -> Axes:
    """Return axes on a new figure of ``width`` x ``height`` inches that belongs to nobody."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure.add_subplot()


def panels(count: int, width: float = 5.2, height: float = 5.0) -> list[Axes]:
    """Return axes side by side on a new figure, each ``width`` x ``height`` inches."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        first = axes(width * count, height)
        figure: Any = first.figure
        figure.clear()
        return list(figure.subplots(1, count, squeeze=False)[0])


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
    with mpl.rc_context(STYLE):
        figure.savefig(out, format=form, metadata=undated[form], dpi=200)
    return out.getvalue()


def roofline(
    system: System,
    steps: Sequence[Span],
    *,
    tier: Tier | None = None,
    ax: Axes | None = None,
    label: str = "",
    title: str = "",
) -> Axes:
    """Draw a system's roofs and the operations of its steps as points on them.

    Both axes are logarithmic. Each roof is labelled in place, each ridge marked; a point's area is its share of its
    step's time; a diamond is a whole step against the bytes it sends, under the dashed roof of the network. Drawing
    another system on the same axes adds it in the next colour; what else is on them stays.

    Args:
        system: whose ranks do the work.
        steps: priced steps, such as ``est.steps``; prefill and decode have markers of their own.
        tier: the tier whose bandwidth is the network's roof.
        ax: axes to draw on; by default those of a new figure.
        label: what the legend calls the system.
        title: what the picture shows, above it.
    """
    import matplotlib as mpl

    ax = axes() if ax is None else ax
    with mpl.rc_context(STYLE):
        drawing.draw(ax, sheet(system, steps, tier, label, title))
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


def calibrated(found: Fitted, ax: Axes | None = None) -> Axes:
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
    import matplotlib as mpl

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
    drawn = Sheet(label, "chip", roofs(found.chip, rates), (), title, shown)
    ax = axes(3.6, 3.9) if ax is None else ax
    with mpl.rc_context(STYLE):
        drawing.draw(ax, drawn)
    return ax


def scatter(predictions: Sequence[Prediction], *, ax: Axes | None = None, key: str = "system") -> Axes:
    """Draw predicted against measured values of one quantity, each with its interval, on the line they should lie on.

    Args:
        predictions: of one quantity; those without a measured or a predicted value are left out.
        ax: axes to draw on; by default those of a new figure.
        key: what of a run has a colour of its own: system, model, engine, group, mode or quality.

    Raises:
        QuestionError: nothing is left to draw.
    """
    import matplotlib as mpl

    found = [p for p in predictions if p.measured is not None and p.predicted is not None]
    if not found or len({p.quantity for p in found}) > 1:
        raise QuestionError(
            fault("predictions", len(found), "must be of one quantity, measured and predicted, to be drawn")
        )
    ax = axes(6.4, 5.6) if ax is None else ax
    with mpl.rc_context(STYLE):
        scattering.draw(ax, found, key)
    return ax


def frontier(curve: Curve, *, ax: Axes | None = None) -> Axes:
    """Draw the frontier of a search: tokens per second and user against tokens per second and chip, linear, as is usual.

    Each dot is a plan, a bar through it its 80 % interval, in which both rates move together; the star is the best. The dashed
    line is what could be had without limits, the dotted one the limit on TPOT. Another search on the same axes is added in the
    next colour.

    Args:
        curve: such as :meth:`roofline.Search.curve` returns.
        ax: axes to draw on; by default those of a new figure of one column's width.
    """
    import matplotlib as mpl

    ax = axes(3.6, 3.4) if ax is None else ax
    with mpl.rc_context(STYLE):
        frontiers.draw(ax, curve)
    return ax
