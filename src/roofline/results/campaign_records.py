"""A whole training run for one point: the rows it adds to the sheet of its step, and the fields it adds to the record."""

from __future__ import annotations

from typing import Any

import numpy as np

from roofline.core.text import figure
from roofline.core.units import BYTE, DAY, HOUR, MILLION, SECOND, TERA, Num, show
from roofline.results.points import one


def rows(run: Any) -> list[list[str]]:
    """Return the rows of a sheet that a run adds to those of its step: name and text (one point)."""
    one(run)
    out = [] if run.training.fits else [["DOES NOT FIT", "; ".join(run.training.reasons)]]
    steps, tokens = f"{float(run.steps):,.0f} steps", f"{figure(float(run.tokens) / TERA)} T tokens"
    pair = run.interval("days")
    wide = "" if pair is None else f"   80 % within {figure(float(pair[0]), 3)} - {figure(float(pair[1]), 3)}"
    out.append(["run", f"{tokens}, {steps}: {figure(float(run.days), 3)} days{wide}"])
    out.append(["", f"{figure(float(run.days_ideal), 3)} days if nothing failed"])
    useful, saving, restarting, redone = (float(part) for part in run.shares.values())
    spread_ = run.goodput_range
    span = "" if spread_ is None else f"   {float(spread_[0]):.1%} - {float(spread_[1]):.1%} by published failures"
    out.append(["goodput", f"{useful:.1%} of the time{span}"])
    out.append(["", f"checkpoints {saving:.1%}, restarts {restarting:.1%}, work done again {redone:.1%}"])
    failing = "none" if np.isinf(run.mtbf) else f"{float(run.failures):,.0f}, one in {_time(float(run.mtbf))}"
    out.append(["failures", f"{failing}; back in {_time(float(run.restart))}"])
    often = "none needed" if np.isinf(run.checkpoint_interval) else f"one in {_time(float(run.checkpoint_interval))}"
    stops, size = _time(float(run.checkpoint)), show(float(run.checkpoint_bytes), BYTE, 3)
    behind = f", written in {_time(float(run.written))}" if run.written > run.checkpoint else ""
    out.append(["checkpoints", f"{often}: {size}, work stops for {stops}{behind}"])
    told = fields(run)
    energy, cost = told["energy_mwh"], told["cost_usd"]
    missing = told["null_because"]
    mean = "" if energy is None else f": {figure(float(energy / (run.days * 24)), 3)} MW on average"
    out.append(
        ["energy", missing["energy_mwh"] if energy is None else f"{figure(energy)} MWh{mean}, PUE {float(run.pue):g}"]
    )
    hours = f"{figure(float(run.chip_hours) / MILLION)} million chip hours"
    out.append(["rent", missing["cost_usd"] if cost is None else f"${figure(cost / MILLION)} million for {hours}"])
    return out


def fields(run: Any) -> dict[str, Any]:
    """Return the machine-readable fields that a run adds to those of its step; units are in the names (one point)."""
    one(run)
    package = run.training.system.package.name
    missing = {}
    if run.joules is None:
        missing["energy_mwh"] = f"no rated power of {run.training.system.name} or {package} is published; give power"
    if run.dollars is None:
        missing["cost_usd"] = f"no trustworthy rent of {run.training.system.name} or {package} was found; give price"
    flops = run.training.model_flops_per_second_per_chip * run.training.chips * run.days_ideal * DAY
    pairs = {
        "days": run.interval("days"),
        "energy_mwh": run.interval("megawatt_hours"),
        "cost_usd": run.interval("dollars"),
    }
    return {
        "tokens": float(run.tokens), "steps": int(run.steps), "days": _plain(run.days), "days_ideal": float(run.days_ideal),
        "goodput": float(run.goodput),
        "goodput_range": None if run.goodput_range is None else [float(g) for g in run.goodput_range],
        "time_share": {name: float(part) for name, part in run.shares.items()},
        "mtbf_s": _plain(run.mtbf), "failures": _plain(run.failures), "restart_s": float(run.restart),
        "checkpoint_bytes": float(run.checkpoint_bytes), "checkpoint_s": float(run.checkpoint),
        "checkpoint_write_s": float(run.written), "checkpoint_interval_s": _plain(run.checkpoint_interval),
        "model_flop": float(flops), "chip_hours": _plain(run.chip_hours), "pue": float(run.pue), "spares": float(run.spares),
        "energy_mwh": _plain(run.megawatt_hours), "cost_usd": _plain(run.dollars), "null_because": missing,
        "interval": {name: None if pair is None else [float(pair[0]), float(pair[1])] for name, pair in pairs.items()},
    }  # fmt: skip


def _plain(value: Num | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _time(seconds: float) -> str:
    """Return a time in the largest unit of which it is at least two."""
    for name, size in (("days", DAY), ("h", HOUR), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{figure(seconds / size, 3)} {name}"
    return show(seconds, SECOND, 3)
