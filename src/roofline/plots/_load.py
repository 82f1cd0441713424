"""What load does to a service: tokens per second and chip, and the times that a user sees, against requests in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.units import SECOND, show
from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

TIMES: Final = {"tpot": ("TPOT", (0, (4, 2))), "ttft": ("TTFT", (0, (1, 1.5)))}
"""Times of a picture, and how their lines are dashed."""


@frozen(eq=False)
class Load:
    """One service's part of a picture.

    Attributes:
        label: what the legend calls it.
        title: what was asked.
        load: requests in flight.
        rate: output tokens per second and chip.
        rate_within: ends of the 80 % interval of the rate; None without.
        tpot: time per output token, s; None where the question has none.
        ttft: time to the first token, s; None where the question has none.
        full: requests whose caches fit; those beyond wait.
    """

    label: str
    title: str
    load: Floats
    rate: Floats
    rate_within: tuple[Floats, Floats] | None
    tpot: Floats | None
    ttft: Floats | None
    full: float

    def alt(self) -> str:
        """Return what the curves show as text, made of their numbers."""
        ends = []
        for i in (0, int(np.argmax(self.rate)), -1):
            times = [
                f"{TIMES[name][0]} {show(float(v[i]), SECOND, 3)}"
                for name in TIMES
                if (v := getattr(self, name)) is not None
            ]
            ends.append(
                f"{', '.join([f'{self.rate[i]:,.0f} tokens/s per chip', *times])} at {self.load[i]:,.0f} requests in flight"
            )
        text = f"Load: {self.title}. {self.label}: {'; '.join(dict.fromkeys(ends))}."
        return text + (f" Caches of {self.full:,.0f} requests fit." if self.full < self.load[-1] else "")


def draw(ax: Axes, load: Load) -> None:
    """Add a service to the axes in the next colour: its rate on the left scale, its times on the right one."""
    axes: Any = ax
    every = axes.roofline_loads = [*getattr(axes, "roofline_loads", ()), load]
    look, i = style.of(ax), len(every) - 1
    color = look.color(i)
    if i == 0:
        axes.roofline_twin = axes.twinx()
        axes.roofline_twin.set_yscale("log")
        axes.roofline_twin.spines["right"].set_visible(True)
    twin: Any = axes.roofline_twin
    size = paper.frame(ax, _titles(every), "concurrency, requests in flight", "output tokens/s per chip")
    axes.set_xscale("log")
    axes.plot(load.load, load.rate, color=color, linewidth=1.5, zorder=4)
    if load.rate_within is not None:
        axes.fill_between(load.load, *load.rate_within, color=color, alpha=0.15, linewidth=0, zorder=2)
    for name, (_, dash) in TIMES.items():
        values = getattr(load, name)
        if values is not None:
            twin.plot(load.load, values, color=color, linestyle=dash, linewidth=1.1, zorder=3)
    top = max(float(np.nanmax(each.rate if each.rate_within is None else each.rate_within[1])) for each in every)
    paper.limits(axes, y=(0.0, 1.08 * top))
    shown = [v for each in every for name in TIMES if (v := getattr(each, name)) is not None]
    if shown:
        low, high = (f(float(f(v[np.isfinite(v) & (v > 0)])) for v in shown) for f in (min, max))
        twin.set_ylim(low / 2, high * 2)
    twin.set_ylabel("TPOT and TTFT", fontsize=size + 0.5)
    twin.tick_params(which="both", labelsize=size)
    paper.plain_ticks(twin.yaxis, *twin.get_ylim())
    twin.yaxis.set_major_formatter(lambda y, _: show(y, SECOND, 3))
    axes.xaxis.set_major_formatter(paper.plain)
    if load.load[0] < load.full < load.load[-1]:
        axes.axvline(load.full, color=color, linewidth=0.7, linestyle=":", zorder=1)
        axes.annotate(
            f"caches full: {load.full:,.0f}", (load.full, 0.02 + 0.05 * i), (-2, 0), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", ha="right", fontsize=size - 0.5, color=look.letters(color), zorder=6, bbox=look.halo,
        )  # fmt: skip
    _legend(axes, every, size)
    paper.set_description(ax, "load", " ".join(each.alt() for each in every))


def _titles(every: list[Load]) -> str:
    """Return what each shows, then what was asked of all of them, once."""
    parts = [each.title.split("\n") for each in every]
    return "\n".join(dict.fromkeys([part[0] for part in parts] + [line for part in parts for line in part[1:]]))


def _legend(ax: Any, every: list[Load], size: float) -> None:
    from matplotlib.lines import Line2D

    look = style.of(ax)
    handles = [Line2D([], [], color=look.color(i), linewidth=1.5, label=each.label) for i, each in enumerate(every)]
    handles.append(
        Line2D([], [], color=look.grey(0.35), linewidth=1.5, label="tokens/s per chip (left), shaded: 80 % interval")
    )
    handles += [
        Line2D([], [], color=look.grey(0.35), linewidth=1.1, linestyle=dash, label=f"{title} (right)")
        for name, (title, dash) in TIMES.items()
        if any(getattr(each, name) is not None for each in every)
    ]
    paper.legend(ax, handles, size, 1 if paper.narrow(ax) else 2)
