"""Bus bandwidth of a collective against its size, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roofline.core.units import GIGA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = 2.0 ** np.arange(10, 35)
"""1 KiB to 16 GiB."""


def draw(ax: Axes, found: Any) -> None:
    """Draw bus bandwidth with its 80 % interval; sizes double along the axis, and the algorithm's changes are marked."""
    curve = found if np.ndim(found.bytes) == 1 and np.ndim(found.ranks) <= 1 else found.over(SIZES)
    size, bus = np.asarray(curve.bytes), np.asarray(curve.busbw) / GIGA
    low, high = (np.asarray(end) / GIGA for end in curve.interval("busbw") or (curve.busbw, curve.busbw))
    (line,) = ax.plot(size, bus, marker="o", markersize=3, label=f"{float(np.max(curve.ranks)):,.0f} ranks")
    ax.fill_between(size, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    names = np.asarray(curve.algorithm)
    for i in np.flatnonzero(names != np.concatenate([[""], names[:-1]])):
        ax.annotate(str(names[i]), (size[i], bus[i]), textcoords="offset points", xytext=(2, -10), fontsize="small")
    ax.set_xscale("log", base=2)
    if not ax.get_xlabel():
        ax.set_xlabel("Size (bytes)")
    if not ax.get_ylabel():
        ax.set_ylabel("Bus bandwidth (GB/s)")
    if not ax.get_title():
        ax.set_title(f"{curve.kind}, {curve.system.title or curve.system.name}")
    ax.set_ylim(bottom=0)
    ax.legend()
