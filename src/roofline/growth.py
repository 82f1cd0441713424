"""How training grows with chips, as a picture: tokens per second and chip against chips, with and without failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.drawing import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_SMALL: Final = 7.0


@frozen(eq=False)
class Growth:
    """One curve of a picture.

    Attributes:
        label: what the legend calls it; ``title``: what was asked.
        chips: sizes; ``rate``: tokens per second and chip, not a number where it cannot be laid out.
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


def draw(ax: Axes, growth: Growth) -> None:
    """Add a curve to the axes, in the next colour: hollow points where memory does not hold it, MFU beside each."""
    kept: Any = ax
    curves = kept.roofline_growths = [*getattr(kept, "roofline_growths", ()), growth]
    color = PALETTE[(len(curves) - 1) % len(PALETTE)]
    known = ~np.isnan(growth.rate)
    chips, rate, useful = growth.chips[known], growth.rate[known], growth.useful[known]
    kept.set_xscale("log", base=2)
    if chips.size:
        kept.plot(chips[[0, -1]], rate[[0, 0]], color=color, linewidth=0.7, linestyle=":", zorder=1)
        kept.plot(chips, rate, color=color, linewidth=1.4, label=growth.label, zorder=3)
        kept.plot(chips, useful, color=color, linewidth=1.0, linestyle="--", zorder=2)
    for n, each, mfu, fits in zip(chips, rate, growth.mfu[known], growth.fits[known], strict=True):
        face = color if fits else "white"
        kept.plot([n], [each], "o", color=color, markersize=4.5, markerfacecolor=face, zorder=4)
        kept.annotate(
            f"{mfu:.0%}", (n, each), (0, 5), textcoords="offset points", ha="center", fontsize=_SMALL, color=color
        )
    kept.set_xticks(*_ticks(curves), minor=False)
    kept.minorticks_off()
    top = max((float(np.nanmax(curve.rate)) for curve in curves if not np.all(np.isnan(curve.rate))), default=1.0)
    kept.set_ylim(0.0, 1.35 * top)
    kept.set_xlabel("chips")
    kept.set_ylabel("tokens/s a chip")
    kept.set_title(growth.title, loc="left", fontsize=_SMALL + 1.5)
    said = "per cent: MFU; dashed: what failures leave; dotted: as the smallest; hollow: does not fit"
    legend = kept.legend(loc="upper left", frameon=False, fontsize=_SMALL, title=said, ncols=3, alignment="left")
    legend.get_title().set_fontsize(_SMALL - 0.5)


def _ticks(curves: Sequence[Growth]) -> tuple[list[float], list[str]]:
    """Return the sizes that have room for their names: each at least 1.7 times the one before."""
    out: list[float] = []
    for n in sorted({float(n) for curve in curves for n in curve.chips}):
        if not out or n >= 1.7 * out[-1]:
            out.append(n)
    return out, [f"{n:,.0f}" for n in out]
