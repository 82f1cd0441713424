"""Replicas that follow the load: how many serve, start and stop over time, the requests in flight, and the time to the first token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from roofline.core.units import DAY, HOUR, SECOND, show
from roofline.plots import paper, style
from roofline.plots.style import with_style
from roofline.plots.traffic import windows
from roofline.results.fleet import STATES
from roofline.results.labels import machine

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot(sim: Any, ax: Axes | None, look: dict[str, Any]) -> Axes:
    """Draw the replicas of an autoscaled simulation on the left scale, times to the first token on the right one."""
    ax = paper.placed(ax, (7.0, 3.9), look["width"], look["style"])
    with with_style(ax):
        _draw(ax, sim)
        paper.settle(ax)
    return ax


def _draw(ax: Any, sim: Any) -> None:
    ink, fleet = style.of(ax), sim.fleet
    unit, name = (HOUR, "h") if fleet.end > DAY / 24 else (1.0, "s")
    other = fleet.fixed
    fixed = "" if other is None else f", {other.chip_seconds / HOUR:,.4g} in a fixed fleet of {other.replicas}"
    title = f"{fleet.chip_seconds / HOUR:,.4g} chip-hours autoscaled{fixed}\n{sim.model.name} on {machine(sim.system)}: {sim.trace}"
    size = paper.frame(ax, title, f"time, {name}", "replicas")
    time = np.append(fleet.time, fleet.end) / unit
    under = np.zeros(time.size)
    for state, shade in zip(STATES, (0.75, 0.5, 0.9), strict=True):
        rows = np.append(fleet.counts[state], fleet.counts[state][-1:])
        ax.fill_between(
            time,
            under,
            under + rows,
            step="post",
            color=ink.grey(shade),
            linewidth=0,
            zorder=1,
            label=f"replicas {state}",
        )
        under = under + rows
    flying = (sim.series["running"] + sim.series["waiting"]) / fleet.target
    ax.plot(
        sim.series["time_s"] / unit, flying, color=ink.color(0), linewidth=0.9, zorder=3,
        label=f"requests in flight / {fleet.target:,.3g}" if fleet.rule["metric"] == "in_flight" else "requests in flight, scaled",
    )  # fmt: skip
    if fleet.fixed is not None:
        ax.axhline(
            fleet.fixed.replicas,
            color=ink.color(1),
            linewidth=1.1,
            linestyle=(0, (4, 2)),
            zorder=2,
            label="fixed fleet",
        )
    ax.set_ylim(0.0, 1.15 * max(float(under.max()), 1.0 if fleet.fixed is None else fleet.fixed.replicas))
    ax.set_xlim(0.0, float(time[-1]))
    twin = ax.twinx()
    twin.set_yscale("log")
    twin.spines["right"].set_visible(True)
    middle, _, tail = windows(sim.columns["arrival_s"], sim.columns["ttft_s"])
    twin.plot(middle / unit, tail, color=ink.color(2), linewidth=1.1, zorder=4, label="TTFT p99 (right)")
    for each in sim.slo:
        if each.time == "ttft":
            twin.axhline(
                each.most,
                color=ink.color(2),
                linewidth=0.9,
                linestyle=(0, (1, 1.5)),
                zorder=4,
                label=f"limit {each.title}",
            )
    twin.set_ylabel("time to first token", fontsize=size + 0.5)
    twin.tick_params(which="both", labelsize=size)
    paper.plain_ticks(twin.yaxis, *twin.get_ylim())
    twin.yaxis.set_major_formatter(lambda y, _: show(y, SECOND, 3))
    handles = [*ax.get_legend_handles_labels()[0], *twin.get_legend_handles_labels()[0]]
    paper.legend(ax, handles, size, 1 if paper.narrow(ax) else 3)
    text = "; ".join(fleet.lines())
    paper.set_description(ax, "fleet", f"Autoscaling: {title}. {text}.")
