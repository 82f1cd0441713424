"""Hold the closed forms of serving against the simulator on a grid of regimes: ``python scripts/queueing_grid.py [-v]``.

Both price steps alike, so that what differs is how requests queue. Of a closed loop the first 30 % of requests are left out, of an open
one the first 10 %. Limits are 5 % for TPOT and rates, 10 % for TTFT, 15 % for p90 and 25 % for p99 of TTFT and TPOT.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import roofline as rl
from roofline.inference.traces import HASH_BLOCK

VARIATION = 0.3
LIMITS = {
    "tpot": 0.05, "rate": 0.05, "ttft": 0.1, "ttft_p50": 0.15, "ttft_p90": 0.15, "ttft_p99": 0.25, "tpot_p50": 0.05, "tpot_p90": 0.15,
    "tpot_p99": 0.25,
}  # fmt: skip

SMALL = ("llama-3.1-8b", "dgx-h100", rl.Layout())
LARGE = ("llama-3.1-70b", "dgx-h100", rl.Layout(tp=8))
MOE = ("gpt-oss-120b", "mi300x-8", rl.Layout(tp=8))
DENSE = ("qwen3-32b", "hgx-h200", rl.Layout(tp=2))
RANKS = ("deepseek-v3", "hgx-h200", rl.Layout(dp=8, ep=8))


def regimes() -> Iterator[dict[str, Any]]:
    """Yield what is asked: where, lengths, and a load: requests in flight, or a part of what saturates the service."""
    for input, output, loads in (
        (1, 4096, (64, 512)), (128, 128, (1, 16, 256)), (512, 1, (4, 64)), (1024, 256, (1, 8, 64, 256)), (1024, 1024, (32, 256)),
        (4096, 256, (4, 32, 128)), (8192, 64, (8, 64)), (8193, 64, (8,)), (32768, 256, (2, 16)), (256, 2048, (128, 1024)),
    ):  # fmt: skip
        yield from ({"on": SMALL, "input": input, "output": output, "concurrency": load} for load in loads)
    for input, output, parts in (
        (1024, 256, (0.2, 0.5, 0.8)), (4096, 64, (0.3, 0.7)), (16384, 64, (0.3, 0.6, 0.8)), (512, 1, (0.3, 0.7)), (256, 1024, (0.3, 0.7)),
        (8192, 512, (0.3, 0.7)), (32768, 128, (0.5,)),
    ):  # fmt: skip
        yield from ({"on": SMALL, "input": input, "output": output, "part": part} for part in parts)
    yield from ({"on": LARGE, "input": 2048, "output": 512, "concurrency": load} for load in (4, 64, 256))
    yield from ({"on": LARGE, "input": 2048, "output": 512, "part": part} for part in (0.3, 0.7))
    yield from ({"on": MOE, "input": 8192, "output": 64, "part": part} for part in (0.3, 0.7))
    yield {"on": MOE, "input": 8192, "output": 64, "concurrency": 64}
    yield from ({"on": RANKS, "input": 1024, "output": 512, "concurrency": load} for load in (64, 512))
    yield {"on": RANKS, "input": 4096, "output": 256, "part": 0.5}
    for more in ({"draft_tokens": 3, "accept_length": 2.5}, {"cached": 3072}):
        yield {"on": SMALL, "input": 4096, "output": 256, "concurrency": 32, **more}
        yield {"on": SMALL, "input": 4096, "output": 256, "part": 0.5, **more}
    for load in ({"concurrency": 4}, {"concurrency": 32}, {"part": 0.3}, {"part": 0.7}):
        yield {"on": SMALL, "input": 4096, "output": 256, "pools": True, **load}
    yield from (
        {"on": LARGE, "input": 2048, "output": 512, "pools": True, **load}
        for load in ({"concurrency": 16}, {"part": 0.5})
    )
    yield from ({"on": SMALL, "input": 64, "output": 512, **load} for load in ({"concurrency": 32}, {"part": 0.5}))
    yield from ({"on": SMALL, "input": 4096, "output": 4096, "part": part} for part in (0.3, 0.6))
    yield from ({"on": DENSE, "input": 2048, "output": 256, **load} for load in ({"concurrency": 16}, {"part": 0.6}))
    yield {"on": MOE, "input": 100, "output": 128, "part": 0.3}
    yield {"on": SMALL, "input": 8192, "output": 16, "part": 0.4}
    yield {"on": SMALL, "input": 1024, "output": 8, "concurrency": 16}
    yield from ({**case, "engine": "sglang"} for case in alone())


def alone() -> Iterator[dict[str, Any]]:
    """Yield regimes of an engine that passes prompts in steps of their own, before decode steps."""
    for input, output, loads in (
        (512, 1, (64,)), (1024, 256, (1, 8, 64, 256)), (1024, 1024, (128,)), (4096, 256, (4, 32, 128)), (8192, 64, (8, 64)), (32768, 256, (16,)),
    ):  # fmt: skip
        yield from ({"on": SMALL, "input": input, "output": output, "concurrency": load} for load in loads)
    for input, output, parts in (
        (512, 1, (0.5,)), (1024, 256, (0.2, 0.5, 0.8)), (4096, 64, (0.3, 0.7)), (16384, 64, (0.3, 0.6)), (256, 1024, (0.7,)), (8192, 512, (0.5,)),
    ):  # fmt: skip
        yield from ({"on": SMALL, "input": input, "output": output, "part": part} for part in parts)
    yield from ({"on": LARGE, "input": 2048, "output": 512, **load} for load in ({"concurrency": 64}, {"part": 0.6}))
    yield {"on": MOE, "input": 8192, "output": 64, "concurrency": 64}
    yield {"on": MOE, "input": 1024, "output": 512, "concurrency": 64}
    yield {"on": RANKS, "input": 1024, "output": 512, "concurrency": 256}


def engine(case: dict[str, Any]) -> str:
    """Return the engine of a regime."""
    return str(case.get("engine", "vllm"))


def closed_form(case: dict[str, Any], rate: float | None) -> tuple[dict[str, float], Any]:
    """Return what the closed form says."""
    model, system, layout = case["on"]
    words = {name: case[name] for name in ("draft_tokens", "accept_length") if name in case}
    if "cached" in case:
        words["cached"] = hits(case)
    load = {"rate": rate} if rate is not None else {"concurrency": case["concurrency"]}
    asked = rl.Serve(rl.model(model), case["input"], case["output"], variation=VARIATION, **load, **words)
    if case.get("pools"):
        est: Any = rl.pools(asked, system, layout, layout, engine=engine(case))
    else:
        est = rl.estimate(asked, system, layout, engine=engine(case))
    told = {"ttft": est.ttft, "tpot": est.tpot, "rate": est.requests_per_second}
    told |= {f"ttft_p{p}": est.ttft_percentile(p) for p in (50, 90, 99)}
    told |= {f"tpot_p{p}": est.tpot_percentile(p) for p in (50, 90, 99)}
    return {name: float(value) for name, value in told.items()}, est


def hits(case: dict[str, Any]) -> float:
    """Return the tokens that the prompts of a regime share on average: whole blocks, and never more than a prompt."""
    sigma = np.sqrt(np.log1p(VARIATION**2))
    prompts = np.exp(np.random.default_rng(1).normal(np.log(case["input"]) - sigma**2 / 2, sigma, 100_000))
    return float(np.minimum(prompts // HASH_BLOCK * HASH_BLOCK, case["cached"]).mean())


def simulated(case: dict[str, Any], rate: float | None) -> tuple[dict[str, float], Any]:
    """Return what the simulator sees."""
    model, system, layout = case["on"]
    words = {name: case[name] for name in ("draft_tokens", "accept_length") if name in case}
    of = {
        "input": case["input"],
        "output": case["output"],
        "lengths_are": "lognormal" if case["input"] > 1 else "fixed",
    }
    of |= {"variation": VARIATION, "prefix": case.get("cached", 0)}
    if case["input"] == 1:
        of["output"] = rl.Lengths("lognormal", case["output"], VARIATION)
    if case["output"] == 1:
        of["output"] = rl.Lengths("fixed", 1)
    if rate is not None:
        trace = rl.Trace.poisson(rate, 20_000, **of)
    else:
        count = case["concurrency"]
        trace = rl.Trace.closed(count, max(150 * count, 6000) if count < 256 else 30 * count, **of)
    more = {"prefill_layout": layout} if case.get("pools") else {}
    sim = rl.simulate(
        model, system, trace, layout, engine=engine(case), shared_budget=False, max_num_seqs=4096, **words, **more
    )
    c = sim.columns
    done = c["arrival_s"] + c["e2e_s"]
    order = np.argsort(c["arrival_s"], kind="stable")
    skip = int(len(order) * (0.3 if rate is None else 0.1))
    cut = c["arrival_s"][order[skip]]
    last = c["arrival_s"].max()
    kept = (c["arrival_s"] >= cut) & (c["arrival_s"] <= last)
    ttft, tpot = c["ttft_s"][kept], c["tpot_s"][kept]
    tpot = tpot[np.isfinite(tpot)]
    between = (done >= cut) & (done <= last)
    told = {"ttft": ttft.mean(), "rate": between.sum() / (last - cut)}
    # As a benchmark of the mean request: time over tokens.
    gaps = c["output_len"][kept] - 1
    told["tpot"] = float((c["e2e_s"][kept] - ttft).sum() / gaps.sum()) if gaps.sum() else np.nan
    for name, values in (("ttft", ttft), ("tpot", tpot)):
        told |= {f"{name}_p{p}": np.percentile(values, p) if values.size else np.nan for p in (50, 90, 99)}
    return told, sim


def saturation(case: dict[str, Any]) -> float:
    """Return the rate of a full closed loop, which no open one exceeds."""
    plain = {name: value for name, value in case.items() if name != "part"}
    for load in (4096, 1024, 256):
        told, est = closed_form(plain | {"concurrency": load}, None)
        if case.get("pools") or float(est.max_concurrency) >= load:
            break
    return told["rate"]


def label(case: dict[str, Any]) -> str:
    """Return a case in a few words."""
    load = f"C={case['concurrency']}" if "concurrency" in case else f"{case['part']:.0%} of saturation"
    more = [case["engine"]] if "engine" in case else []
    more += [name for name in ("draft_tokens", "cached", "pools") if name in case]
    return f"{case['on'][0]} {case['input']:>6}/{case['output']:<5} {load} {' '.join(more)}"


def compared(case: dict[str, Any]) -> tuple[dict[str, float], tuple[str, ...], dict[str, float]]:
    """Return by how much a closed form is off, the codes of why it is rough, and what was simulated."""
    rate = case["part"] * saturation(case) if "part" in case else None
    form, est = closed_form(case, rate)
    seen, _ = simulated(case, rate)
    off = {name: form[name] / seen[name] - 1 for name in LIMITS if name in form and np.isfinite(seen[name])}
    return off, tuple(est.rough), seen


def main() -> None:
    """Print the grid, and how many of its numbers keep their limits; ``--table`` prints every regime as a row of Markdown."""
    verbose, table, began = "-v" in sys.argv, "--table" in sys.argv, time.time()
    kept: dict[str, list[float]] = {name: [] for name in LIMITS}
    pointed = silent = count = 0
    if table:
        print(f"| regime | {' | '.join(LIMITS)} | said to be rough |\n|---|{'---|' * (len(LIMITS) + 1)}")
    for case in regimes():
        off, notes, seen = compared(case)
        count += 1
        for name, value in off.items():
            kept[name].append(value)
        bad = [name for name, value in off.items() if not abs(value) <= LIMITS[name]]
        pointed += bool(notes)
        silent += bool(bad) and not notes
        if table:
            cells = [f"{off[name]:+.0%}{'!' if name in bad else ''}" if name in off else "" for name in LIMITS]
            print(f"| {label(case)} | {' | '.join(cells)} | {', '.join(notes)} |")
        elif verbose or bad:
            cells = [f"{name}{value:+.0%}{'!' if name in bad else ''}" for name, value in off.items()]
            print(
                f"{label(case):55} {'(says so) ' if notes and bad else ''}{' '.join(cells)}  [ttft {seen['ttft']:.3g}]",
                flush=True,
            )
    print(f"\n{'quantity':10} {'n':>4} {'within':>7} {'mean':>7} {'worst':>7}")
    for name, values in kept.items():
        off_ = np.abs(values)
        print(f"{name:10} {len(values):4} {(off_ <= LIMITS[name]).mean():7.0%} {off_.mean():7.1%} {off_.max():7.1%}")
    print(
        f"{count} regimes; {pointed} answers point to simulate; {silent} are off by more than a limit and do not; {time.time() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
