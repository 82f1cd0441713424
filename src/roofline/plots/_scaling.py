"""How training grows with chips, as a picture: tokens per second and chip against chips, with and without failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_MARKS: Final = "osD^vP"


@frozen(eq=False)
class Growth:
    """One curve of a picture.

    Attributes:
        label: what the legend calls it.
        title: what was asked.
        chips: numbers of chips.
        rate: tokens per second and chip of each; not a number where it cannot be laid out.
        useful: the same, less what failures take.
        mfu: model FLOP utilisation of each.
        fits: where memory holds it.
    """

    label: str
    title: str
    chips: Floats
    rate: Floats
    useful: Floats
    mfu: Floats
    fits: NDArray[np.bool_]

    def alt(self) -> str:
        """Return what the curve shows as text, made of its numbers."""
        known = np.flatnonzero(~np.isnan(self.rate) & self.fits)
        without = [f"{n:,.0f}" for n in self.chips[np.isnan(self.rate) | ~self.fits]]
        at = [
            f"{self.rate[i]:,.0f} tokens/s per chip at {self.chips[i]:,.0f} chips, MFU {self.mfu[i]:.0%}" for i in known
        ]
        lost = f" Does not fit at {', '.join(without)} chips." if without else ""
        return f"{self.title}: {self.label}. {'; '.join(at) or 'nothing fits'}.{lost}"


def draw(ax: Axes, growth: Growth) -> None:
    """Add a curve to the axes, in the next colour, MFU beside each point; sizes that do not fit are named, and not drawn."""
    from matplotlib.lines import Line2D

    axes: Any = ax
    curves = axes.roofline_growths = [*getattr(axes, "roofline_growths", ()), growth]
    look = style.of(ax)
    color, mark = look.color(len(curves) - 1), _MARKS[(len(curves) - 1) % len(_MARKS)]
    size = paper.frame(ax, "\n".join(dict.fromkeys(curve.title for curve in curves)), "chips", "tokens/s per chip")
    known = ~np.isnan(growth.rate) & growth.fits
    chips, rate, useful = growth.chips[known], growth.rate[known], growth.useful[known]
    axes.set_xscale("log", base=2)
    if chips.size:
        axes.plot(chips[[0, -1]], rate[[0, 0]], color=color, linewidth=0.7, linestyle=":", zorder=1)
        axes.plot(chips, rate, color=color, linewidth=1.4, label=growth.label, zorder=3)
        axes.plot(chips, useful, color=color, linewidth=1.0, linestyle="--", zorder=2)
    for n in growth.chips[~known]:
        axes.annotate("does not\nfit", (n, 0.0), (0, 4 + 20 * (len(curves) - 1)), textcoords="offset points", ha="center",
                      va="bottom", fontsize=size - 1, color=look.letters(color))  # fmt: skip
    axes.plot(chips, rate, mark, color=color, markersize=4.5, zorder=4)
    _efficiencies(axes, curves, size)
    axes.set_xticks(*_ticks(curves), minor=False)
    axes.minorticks_off()
    axes.margins(x=0.07)
    shown = [curve.rate[curve.fits & ~np.isnan(curve.rate)] for curve in curves]
    paper.limits(axes, y=(0.0, 1.2 * max((float(rates.max()) for rates in shown if rates.size), default=1.0)))
    caption = "per cent: MFU; dashed: after failures; dotted: rate per chip of the fewest chips"
    handles = [
        Line2D(
            [], [], color=look.color(i), marker=_MARKS[i % len(_MARKS)], markersize=4.5, linewidth=1.4, label=c.label
        )
        for i, c in enumerate(curves)
    ]
    paper.legend(ax, handles, size, 2 if paper.narrow(ax) else 3, caption)
    paper.set_description(ax, "scaling", " ".join(each.alt() for each in curves))


def _efficiencies(ax: Any, curves: Sequence[Growth], size: float) -> None:
    """Write the MFU of every point, anew with every curve: above the highest of a size, below the others."""
    for old in getattr(ax, "roofline_mfus", ()):
        old.remove()
    look, made = style.of(ax), []
    rates = [np.where(curve.fits, curve.rate, np.nan) for curve in curves]
    highest: dict[float, float] = {}
    for curve, each in zip(curves, rates, strict=True):
        for n, rate in zip(curve.chips, each, strict=True):
            highest[float(n)] = float(np.fmax(highest.get(float(n), np.nan), rate))
    for i, (curve, each) in enumerate(zip(curves, rates, strict=True)):
        for n, rate, mfu in zip(
            curve.chips[~np.isnan(each)], each[~np.isnan(each)], curve.mfu[~np.isnan(each)], strict=True
        ):
            above = rate >= highest[float(n)]
            made.append(
                ax.annotate(
                    f"{mfu:.0%}", (n, rate), (0, 5 if above else -5), textcoords="offset points", ha="center",
                    va="bottom" if above else "top", fontsize=size - 0.5, color=look.letters(look.color(i)),
                )
            )  # fmt: skip
    ax.roofline_mfus = made


def _ticks(curves: Sequence[Growth]) -> tuple[list[float], list[str]]:
    """Return the sizes that have room for their names: each at least 1.7 times the one before."""
    out: list[float] = []
    for n in sorted({float(n) for curve in curves for n in curve.chips}):
        if not out or n >= 1.7 * out[-1]:
            out.append(n)
    return out, [f"{n:,.0f}" for n in out]
