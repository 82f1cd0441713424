"""Draw the figures of the documents: ``python docs/figures.py``. The same numbers give the same bytes."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

import roofline as rl
from roofline import catalog, plots
from roofline.calibration.calibrate import MACHINES
from roofline.calibration.fitting import Part, errors, halves
from roofline.calibration.timings import read
from roofline.core.units import MICRO, SECOND, show
from roofline.plots._roofline import PALETTE

HERE = Path(__file__).parent / "figures"
TIMINGS = HERE.parents[1] / "hardware" / "timings"

EVIDENCE = {
    "gemm": ("Matrix products", lambda t: t.kernel == "gemm"),
    "prefill": ("Prefill attention", lambda t: t.kernel == "attention_prefill"),
    "decode": ("Decode attention", lambda t: t.kernel == "attention_decode"),
    "latent": ("Latent attention, prefill and decode", lambda t: t.kernel in ("mla_prefill", "mla_decode")),
    "experts": ("Experts", lambda t: t.kernel == "moe"),
    "collectives": ("Collectives", lambda t: bool(t.ways) and t.ways[0] not in ("low_latency", "throughput")),
    "dispatch": ("Dispatch and combine", lambda t: bool(t.ways) and t.ways[0] in ("low_latency", "throughput")),
}
"""Figures of measured times, by what they are called: a title, and whether timings belong there."""

STACKS = {"trtllm": "TensorRT-LLM", "vllm": "vLLM", "sglang": "SGLang", "": "NCCL"}
"""Software stacks, in the order of their colours."""

MOST = 300
"""Dots of one panel."""

BAND = 1.1
EDGE = 4.0
"""What is further off lies on the edge of its panel."""


def parts() -> dict[str, list[Part]]:
    """Return the timings that were left out of the fits, by the system they were taken on."""
    rows = [row for path in sorted(TIMINGS.glob("*.csv.gz")) for row in catalog.read_rows(path)]
    out = {}
    for name in sorted({row["hardware"] for row in rows}):
        rack = rl.system(MACHINES.get(name, name))
        of = read([row for row in rows if row["hardware"] == name], rack.chip).timings
        out[rack.name] = [halves(Part(each, rack.chip, rack.tiers))[1] for each in of]
    return out


def priced(system: str, part: Part) -> np.ndarray:
    """Return the logarithms of predicted over measured, with the constants shipped for the chip and the stack."""
    profile = rl.profile("calibrated", system)
    return errors(part, profile.on(part.timings.stack) if part.timings.stack else profile)


def evidence(measured: dict[str, list[Part]], title: str, chosen):
    """Return a figure with a panel for each chip: how far predicted times are off measured ones, a colour for each stack."""
    found = {}
    for system, listed in measured.items():
        kept = [(part, priced(system, part)) for part in listed if chosen(part.timings)]
        kept = [(part, gap) for part, gap in kept if np.isfinite(gap).all()]
        if kept:
            found[system] = kept
    across = min(3, len(found))
    down = -(-len(found) // across)
    with mpl.rc_context({**plots.STYLE, "font.size": 7.0, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5}):
        figure = plots.axes(2.4 * across + 0.3, 1.75 * down + 0.6).figure
        figure.clear()
        panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for ax in panels.flat[len(found) :]:
            ax.set_visible(False)
        stacks = {}
        for ax, (system, kept) in zip(panels.flat, found.items(), strict=False):
            stacks |= panel(ax, system, kept)
        panels.flat[0].set(xscale="log", yscale="log", ylim=(1 / EDGE, EDGE))
        panels.flat[0].set_yticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        panels.flat[0].yaxis.set_minor_locator(NullLocator())
        panels.flat[0].xaxis.set_minor_locator(NullLocator())
        panels.flat[0].xaxis.set_major_formatter(lambda time, _: show(time * MICRO, SECOND, 3))
        for ax in panels.flat[max(0, len(found) - across) : len(found)]:
            ax.xaxis.set_tick_params(labelbottom=True)
        figure.supxlabel("measured time", fontsize=8)
        figure.supylabel("predicted / measured", fontsize=8)
        told = {"fontsize": 7.5, "frameon": False, "handletextpad": 0.1, "columnspacing": 1}
        figure.legend(handles=[stacks[i] for i in sorted(stacks)], loc="outside upper right", ncols=len(stacks), **told)
        figure.suptitle(f"{title}; rows left out of the fit, grey: within 10 %", fontsize=8.5, x=0.01, ha="left")
    return figure


def panel(ax, system: str, kept: list[tuple[Part, np.ndarray]]):
    """Draw one chip's timings; return a mark of each stack that is among them."""
    stack = np.concatenate([np.full(part.timings.count, list(STACKS).index(part.timings.stack)) for part, _ in kept])
    time = np.concatenate([np.asarray(part.timings.measured) for part, _ in kept]) / MICRO
    gap = np.concatenate([gap for _, gap in kept])
    ax.axhspan(1 / BAND, BAND, color="0.9", linewidth=0, zorder=1)
    ax.axhline(1.0, color="0.5", linewidth=0.5, zorder=2)
    every = np.argsort(time, kind="stable")
    some = every[np.linspace(0, len(every) - 1, min(MOST, len(every))).astype(int)]
    ratio = np.clip(np.exp(gap), 1 / EDGE, EDGE)
    shown = {}
    for i, name in enumerate(STACKS.values()):
        mine = some[stack[some] == i]
        if len(mine):
            look = {"color": PALETTE[i], "markeredgewidth": 0}
            ax.plot(time[mine], ratio[mine], "o", markersize=1.8, alpha=0.75, clip_on=False, zorder=3, **look)
            shown[i] = Line2D([], [], marker="o", linestyle="none", markersize=4, label=name, **look)
    off = np.abs(np.expm1(gap))
    name = rl.system(system).package.name
    ax.set_title(f"{name}: {len(off):,}, {off.mean():.1%} off, median {np.median(off):.1%}", fontsize=7, loc="left")
    ax.grid(visible=True, which="major", color="0.94", linewidth=0.5, zorder=0)
    return shown


def main() -> None:
    """Write every figure, or those named."""
    wanted = sys.argv[1:]
    one = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
    two = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
    figures = {
        "systems": lambda: rl.compare(*rl.names("system")).plot(),
        "roofline-gb200-nvl72": lambda: one.plot().figure,
        "roofline-two-racks": lambda: two.plot(ax=one.plot()).figure,
        "calibrated-h200": lambda: (
            rl.calibrate([TIMINGS / f"{t}.csv.gz" for t in ("gemm", "attention")], "h200").plot().figure
        ),
        "frontier": lambda: rl.search("deepseek-v3", "gb200-nvl72", ttft="2s", tpot="50ms").plot().figure,
        "training-frontier": lambda: (
            rl.search_training("gpt-3-175b", "dgx-h100", chips=1024, global_batch=1536, seq_len=2048).plot().figure
        ),
        "validation": lambda: rl.validate().plot(quantity="tpot_s").figure,
    }
    measured = parts()
    figures |= {f"fits-{name}": lambda told=told: evidence(measured, *told) for name, told in EVIDENCE.items()}
    for name, draw in figures.items():
        if not wanted or name in wanted:
            catalog.write(HERE / f"{name}.svg", plots.render(draw(), "svg"))


if __name__ == "__main__":
    main()
