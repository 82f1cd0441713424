"""A simulated service over time: requests waiting and running, the cache, and the time to the first token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from roofline.core.units import SECOND, show
from roofline.plots import paper, style
from roofline.plots.style import with_style
from roofline.results.labels import machine

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
_WINDOWS: Final = 60


def windows(arrival: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the middle of each of 60 windows of arrival that has requests, and the median and p99 of their values."""
    edges = np.linspace(arrival.min(), arrival.max() + 5e-10, _WINDOWS + 1)
    at = np.clip(np.searchsorted(edges, arrival, side="right") - 1, 0, _WINDOWS - 1)
    out = [
        ((edges[i] + edges[i + 1]) / 2, *np.percentile(values[at == i], (50, 99)))
        for i in range(_WINDOWS)
        if (at == i).any()
    ]
    middle, half, tail = (np.array(column) for column in zip(*out, strict=True))
    return middle, half, tail


def plot(sim: Any, ax: Axes | None, look: dict[str, Any]) -> Axes:
    """Draw a simulation: requests and the cache on the left scales, times to the first token on the right one."""
    ax = paper.placed(ax, (7.0, 3.9), look["width"], look["style"])
    with with_style(ax):
        _draw(ax, sim)
        paper.settle(ax)
    return ax


def _draw(ax: Any, sim: Any) -> None:
    ink = style.of(ax)
    ttft = sim.times("ttft")
    first = " and ".join(f"p{p} {show(ttft.percentile(p), SECOND, 3)}" for p in (50, 99))
    title = f"first tokens after {first}\n{sim.model.name} on {machine(sim.system)}: {sim.trace}"
    size = paper.frame(ax, title, "time, s", "requests")
    time, waiting, running = (sim.series[name] for name in ("time_s", "waiting", "running"))
    top = max(float((waiting + running).max()), 1.0)
    ax.fill_between(
        time,
        sim.series["cache_used"] * top,
        color=ink.grey(0.85),
        linewidth=0,
        zorder=1,
        label="cache used, top is full",
    )
    ax.plot(time, running, color=ink.color(0), linewidth=1.1, zorder=3, label="running")
    ax.plot(time, waiting, color=ink.color(1), linewidth=1.1, linestyle=(0, (4, 2)), zorder=3, label="waiting")
    ax.set_ylim(0.0, 1.05 * top)
    twin = ax.twinx()
    twin.set_yscale("log")
    twin.spines["right"].set_visible(True)
    middle, half, tail = windows(sim.columns["arrival_s"], sim.columns["ttft_s"])
    twin.plot(middle, half, color=ink.color(2), linewidth=1.0, zorder=4, label="TTFT p50 (right)")
    twin.plot(
        middle, tail, color=ink.color(2), linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=4, label="TTFT p99 (right)"
    )
    twin.set_ylabel("time to first token", fontsize=size + 0.5)
    twin.tick_params(which="both", labelsize=size)
    paper.plain_ticks(twin.yaxis, *twin.get_ylim())
    twin.yaxis.set_major_formatter(lambda y, _: show(y, SECOND, 3))
    handles = [*ax.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
    paper.legend(ax, handles, size, 1 if paper.narrow(ax) else 3)
    by_name = {name: sim.times(name) for name in ("ttft", "e2e")}
    times = "; ".join(
        f"{name.upper()} p50 {show(each.percentile(50), SECOND, 3)}, p99 {show(each.percentile(99), SECOND, 3)}"
        for name, each in by_name.items()
    )
    alt = f"Traffic: {title}. At most {waiting.max():,.0f} requests wait and {running.max():,.0f} run; {times}."
    paper.set_description(ax, "traffic", alt)
