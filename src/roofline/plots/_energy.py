"""What a power cap does to an answer: energy per token and the time that it is paid with, from the lowest clock to the rated power."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.text import figure
from roofline.core.units import SECOND, WATT, show
from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_DASH: Final = (0, (4, 2))


@frozen(eq=False)
class Capped:
    """One answer's part of a picture.

    Attributes:
        label: what the legend calls it.
        chip: the chip that is capped.
        asked: what was asked, as the lines of a title below its finding.
        cap: power caps of a chip, W, rising; the last is its rated power.
        joules: energy per token under each, J.
        within: ends of its 80 % interval; None without.
        time: time per token or of a step, s.
        timed: what that time is called.
    """

    label: str
    chip: str
    asked: str
    cap: Floats
    joules: Floats
    within: tuple[Floats, Floats] | None
    time: Floats
    timed: str

    @property
    def least(self) -> int:
        """The place of the cap with the least energy per token."""
        return int(np.argmin(self.joules))

    @property
    def finding(self) -> str:
        """The cap with the least energy, what it saves and what it costs."""
        i, rated = self.least, show(float(self.cap[-1]), WATT, 3)
        if i == len(self.cap) - 1:
            return f"{self.chip}: least energy per token at the rated {rated}"
        saved, longer = 1 - self.joules[i] / self.joules[-1], self.time[i] / self.time[-1] - 1
        at = show(float(self.cap[i]), WATT, 3)
        return f"{self.chip} capped at {at} of {rated}: {saved:.0%} less energy per token, {self.timed} {longer:.0%} longer"

    def alt(self) -> str:
        """Return what the curves show as text, made of their numbers."""
        ends = [
            f"{figure(float(self.joules[i]), 3)} J per token and {self.timed} {show(float(self.time[i]), SECOND, 3)} at "
            f"{show(float(self.cap[i]), WATT, 3)}"
            for i in sorted({0, self.least, len(self.cap) - 1})
        ]
        return f"Energy: {self.finding}. {self.label}: {'; '.join(ends)}."


def draw(ax: Axes, found: Capped) -> None:
    """Add an answer to the axes in the next colour: its energy on the left scale, its time on the right one."""
    from matplotlib.lines import Line2D

    axes: Any = ax
    every = axes.roofline_caps = [*getattr(axes, "roofline_caps", ()), found]
    look, color = style.of(ax), style.of(ax).color(len(every) - 1)
    if len(every) == 1:
        axes.roofline_twin = axes.twinx()
        axes.roofline_twin.spines["right"].set_visible(True)
    twin: Any = axes.roofline_twin
    title = "\n".join(dict.fromkeys([*(each.finding for each in every), *(each.asked for each in every)]))
    size = paper.frame(ax, title, "power cap of a chip, W", "energy per token, J")
    axes.plot(found.cap, found.joules, color=color, linewidth=1.6, zorder=4)
    if found.within is not None:
        axes.fill_between(found.cap, *found.within, color=color, alpha=0.15, linewidth=0, zorder=2)
    i = found.least
    axes.plot(
        [found.cap[i]], [found.joules[i]], marker="*", markersize=11, color=color, markeredgecolor=look.paper, zorder=6
    )
    twin.plot(found.cap, found.time, color=color, linewidth=1.2, linestyle=_DASH, zorder=3)
    top = max(float(np.max(each.joules if each.within is None else each.within[1])) for each in every)
    paper.limits(axes, y=(0.0, 1.08 * top))
    twin.set_ylim(0.0, 1.08 * max(float(np.max(each.time)) for each in every))
    timed = " and ".join(dict.fromkeys(each.timed for each in every))
    twin.set_ylabel(timed, fontsize=size + 0.5)
    twin.tick_params(which="both", labelsize=size)
    twin.yaxis.set_major_formatter(lambda y, _: show(y, SECOND, 3) if y else "0")
    axes.xaxis.set_major_formatter(paper.plain)
    handles = [Line2D([], [], color=look.color(k), linewidth=1.6, label=each.label) for k, each in enumerate(every)]
    grey = look.grey(0.35)
    handles += [
        Line2D([], [], color=grey, linewidth=1.6, label="energy per token (left), shaded: 80 % interval"),
        Line2D([], [], color=grey, linewidth=1.2, linestyle=_DASH, label=f"{timed} (right)"),
        Line2D([], [], color=grey, linewidth=0, marker="*", markersize=8, label="least energy per token"),
    ]
    paper.legend(ax, handles, size, 1 if paper.narrow(ax) else 2)
    paper.set_description(ax, "energy", " ".join(each.alt() for each in every))
