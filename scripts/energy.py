"""Fit the coefficients of power to published measurements, and score them: ``python scripts/energy.py --write``.

What a chip draws over its rated power is a share for running at all, by generation, and three that all chips have in common: of the
matrix units, of memory and of links (``roofline.physics.energy``). They are fitted by robust least squares on log(predicted / measured)
of power *at the measured token rate*, collections weighing alike, and scored as fitted, with a model left out on its chip, and with a
whole chip left out. Joules a token rest on the predicted rate too; the page tells the two apart. ``--write`` writes
``docs/accuracy/energy.md`` and the spreads of joules a token that intervals are made of (``hardware/evidence/energy.csv``); the
coefficients are printed, to be put into ``hardware/energy.toml``.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from memory import Residual, covered, made
from scipy.optimize import least_squares

import roofline as rl
from roofline import catalog
from roofline.core.errors import RooflineError
from roofline.hardware.energy import PARTS, ChipDraw
from roofline.physics import energy as law
from roofline.results import energy

ROOT: Final = Path(__file__).resolve().parents[1]
PROMPTS: Final = {"mlenergy3-chat": 250.0, "mlenergy3-gpqa": 250.0, "mlenergy3-fim": 3000.0, "mlenergy2-chat": 250.0}
"""Prompt lengths of collections that publish none."""
LIMITS: Final = ("25 ms", "50 ms", "100 ms")
GENERATIONS: Final = ("ampere", "hopper", "blackwell")
SHARES: Final = ("compute", "memory", "links")
PRIOR: Final = {"awake": 0.3, "compute": 1.2, "memory": 0.5, "links": 0.2}
RANGE: Final = {"awake": (0.15, 0.6), "compute": (0.5, 2.5), "memory": (0.1, 1.0), "links": (0.05, 0.6)}
KERNELS: Final = {"flagperf-011": law.Uses(0.0, 1328.25 / 1555, 0.0), "flagperf-016": law.Uses(0.0, 0.0, 467.87 / 600)}
"""Kernels of A100 40 GB of which the rate is published: a copy by eight chips at once, and an all-reduce, both ways counted."""


@attrs.frozen(eq=False)
class Row:
    """A measurement beside what its chip does at the predicted rate."""

    name: str
    collection: str
    chip: str
    generation: str
    model: str
    rated: float
    cap: float
    uses: law.Uses
    rate: float
    measured_rate: float
    watts: float
    joules: float
    chips: float
    sure: bool

    @property
    def slowed(self) -> float:
        """Return the measured rate over the predicted one."""
        return self.measured_rate / self.rate


def read() -> tuple[list[Row], list[str]]:
    """Return the rows that can be predicted, and why others cannot."""
    rows, refused = [], []
    for line in catalog.read_rows(ROOT / "workloads/runs/energy.csv"):
        if line["id"] in KERNELS:
            rows.append(_kernel(line))
        if line["phase"] not in ("serving", "prefill") or line["scope"] != "chip":
            continue
        try:
            rows.append(_served(line))
        except (RooflineError, ValueError) as error:
            refused.append(f"{line['id']}: {str(error)[:90]}")
    return rows, refused


def _number(line: dict[str, str], key: str, otherwise: float = float("nan")) -> float:
    return float(line[key]) if line[key] else otherwise


def _kernel(line: dict[str, str]) -> Row:
    chip = catalog.system(line["system"]).package
    watts = _number(line, "power_w_per_chip")
    return Row(line["id"], line["collection"], chip.name, chip.generation, "kernel", float(chip.power or 0), 1.0, KERNELS[line["id"]],
               1.0, 1.0, watts, float("nan"), 1.0, sure=True)  # fmt: skip


def _served(line: dict[str, str]) -> Row:
    rack = catalog.system(line["system"])
    prompt, load = _number(line, "input_len", PROMPTS.get(line["collection"], 0.0)), _number(line, "concurrency", 0.0)
    if not prompt or not load or not line["power_w_per_chip"] or not line["tokens_per_s"]:
        raise ValueError("lengths, load, power or rate are not published")
    given = {key: line[f"{key}_dtype"] for key in ("weight", "kv") if line[f"{key}_dtype"] not in ("", "bf16")}
    model = catalog.model(line["model"], dtype=given.get("weight"), kv_dtype=given.get("kv"))
    tp, pp, dp, ep = (_number(line, key, 1.0) for key in ("tp", "pp", "dp", "ep"))
    chips = _number(line, "chips")
    layout = rl.Layout(tp=tp, pp=pp, dp=dp, ep=ep, replicas=max(chips // (tp * pp * dp), 1.0))
    prefill = line["phase"] == "prefill"
    question = (
        rl.Prefill(model, load, prompt)
        if prefill
        else rl.Serve(model, input=prompt, output=_number(line, "output_len", 400.0), concurrency=load)
    )
    est = rl.estimate(question, rack, layout, engine=line["engine"])
    rate = est.prompt_tokens_per_second if prefill else est.tokens_per_second
    chip = rack.package
    rated = float(chip.power or 0)
    return Row(
        line["id"], line["collection"], chip.name, chip.generation, line["model"], rated, min(_number(line, "power_cap_w", rated) / rated, 1),
        law.uses(est.whole, rack), float(rate), _number(line, "tokens_per_s"),
        _number(line, "power_w_per_chip"), _number(line, "joules_per_output_token"), chips, line["quality"] in "AB" or prefill,
    )  # fmt: skip


def drawn(row: Row, draw: ChipDraw, *, slowed: float) -> float:
    """Return the power of a chip in watts, where tokens come at a rate that is ``slowed`` times the predicted one."""
    u = row.uses
    used = law.Uses(u.compute * slowed, u.memory * slowed, u.links * slowed, min(float(u.busy) * slowed, 1.0))
    return row.rated * float(law.drawn(draw, law.demand(draw, used), cap=row.cap))


Draws = Callable[[Row], ChipDraw]


def fitted(rows: Sequence[Row]) -> Draws:
    """Return what gives each chip its coefficients, fitted to some rows; a generation without rows has the awake share of all."""
    base = catalog.energy().generations[""]
    seen = [g for g in GENERATIONS if any(row.generation == g for row in rows)]
    weight = Counter((row.collection, row.chip) for row in rows)
    names = [*("awake" for _ in range(len(seen) + 1)), *SHARES]

    def of(values: np.ndarray) -> Draws:
        shares = dict(zip(SHARES, map(float, values[len(seen) + 1 :]), strict=True))
        awake = dict(zip(seen, map(float, values[1:]), strict=False))
        return lambda row: attrs.evolve(base, awake=awake.get(row.generation, float(values[0])), **shares)

    def off(values: np.ndarray) -> list[float]:
        draws, out = of(values), []
        for row in rows:
            part = weight[row.collection, row.chip] ** -0.25
            out.append(part * np.log(drawn(row, draws(row), slowed=row.slowed) / row.watts))
        # Generations lie around the share of all; every coefficient around its prior.
        out += [1.5 * (value - values[0]) for value in values[1 : len(seen) + 1]]
        out += [0.3 * np.log(value / PRIOR[name]) for name, value in zip(names, values, strict=True)]
        return out

    start = np.array([PRIOR[name] for name in names])
    bounds = tuple(zip(*(RANGE[name] for name in names), strict=True))
    return of(least_squares(off, start, bounds=bounds, loss="soft_l1", f_scale=0.2).x)


def folds(rows: Sequence[Row], key: Callable[[Row], str]) -> dict[str, Draws]:
    """Return coefficients fitted without the rows of each key."""
    return {out: fitted([row for row in rows if key(row) != out]) for out in {key(row) for row in rows}}


def typical(errors: Sequence[float]) -> str:
    """Return the mean and the median of |predicted / measured - 1|."""
    return f"{np.mean(np.abs(errors)):.0%} ({np.median(np.abs(errors)):.0%})" if len(errors) else "–"


def score(rows: Sequence[Row], draws: Callable[[Row], ChipDraw]) -> dict[str, list[float]]:
    """Return errors of power at the measured rate, of power, of the rate, and of joules a token."""
    out: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        draw = draws(row)
        out["at rate"].append(drawn(row, draw, slowed=row.slowed) / row.watts - 1)
        if row.model == "kernel":
            continue
        power = drawn(row, draw, slowed=1.0)
        out["power"].append(power / row.watts - 1)
        out["rate"].append(1 / row.slowed - 1)
        if row.joules == row.joules:
            out["joules"].append(power * row.chips / row.rate / (row.watts * row.chips / row.measured_rate) - 1)
    return out


def residuals(rows: Sequence[Row], draws: Draws, distance: str) -> list[Residual]:
    """Return log(measured / predicted) of joules a token, a collection's model on a chip weighing as one."""
    return [
        Residual("joules", distance, "", f"{row.collection} {row.chip} {row.model}", float(np.log(row.watts / drawn(row, draws(row), slowed=1.0) / row.slowed)))
        for row in rows
        if row.joules == row.joules
    ]  # fmt: skip


def inside(rows: Sequence[Row], draws: Draws, half: float) -> tuple[float, float]:
    """Return the share of cells in the 80 % interval: of power at the measured rate, and of joules a token (made without the cell)."""
    power: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        power[f"{row.collection} {row.chip} {row.model}"].append(
            abs(np.log(drawn(row, draws(row), slowed=row.slowed) / row.watts)) <= half
        )
    return float(np.mean([np.mean(each) for each in power.values()])), covered(residuals(rows, draws, ""), 0.8, None)


def sheet(rows: Sequence[Row]) -> str:
    """Return the spreads of joules a token as a table: of a chip that was measured, and of one that was not."""
    lines = ["quantity,distance,of,cells,runs,q025,q10,q25,q50,q75,q90,q975"]
    by_model, by_chip = folds(rows, lambda row: f"{row.chip} {row.model}"), folds(rows, lambda row: row.chip)
    for distance, draws in (("chip", lambda row: by_model[f"{row.chip} {row.model}"](row)), ("maker", lambda row: by_chip[row.chip](row))):  # fmt: skip
        found = made(residuals(rows, draws, distance), None)
        lines.append(f"joules,{distance},,{found.cells},{found.runs},{','.join(f'{each:.4f}' for each in found.logs)}")
    return "\n".join(lines) + "\n"


def nodes() -> list[list[str]]:
    """Return nodes measured at the wall beside what the law makes of chips at their caps, or idle."""
    out = []
    for line in catalog.read_rows(ROOT / "workloads/runs/energy.csv"):
        if line["scope"] not in ("wall", "node") or not line["system"] or not line["power_w_per_chip"]:
            continue
        rack = catalog.system(line["system"])
        rated, table = float(rack.package.power or 0), catalog.energy()
        starved = line["phase"] == "training" and float(line["chips"]) > 8
        if starved:
            continue
        chip = rated * table.draw(rack.package).idle if line["phase"] == "idle" else _number(line, "power_cap_w", rated)
        split = energy.surroundings_of(chip, rack, "node")
        liquid = (
            line["id"] in ("mlperf-idle-002", "mlperf-train-v4.0-power-002", "mlperf-train-v4.0-power-006")
            or "v5.1" in line["collection"]
        )
        fans = float(split["fans"]) * liquid
        watts = float(law.total(split)) - fans / table.around(rack).conversion
        if line["scope"] == "node":
            watts *= table.around(rack).conversion
        known = float(line["power_w_per_chip"])
        at = "idle" if line["phase"] == "idle" else f"{chip:.0f} W"
        out.append(
            [
                line["id"],
                line["system"],
                at,
                "liquid" if liquid else "air",
                f"{known:.0f}",
                f"{watts:.0f}",
                f"{watts / known - 1:+.0%}",
            ]
        )
    return out


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    return [
        f"| {' | '.join(head)} |",
        f"| {' | '.join('---' for _ in head)} |",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def racks() -> list[str]:
    """Return joules a token and power by part of two supernodes that serve DeepSeek-R1 under three limits on TPOT."""
    pair = rl.compare(
        "cloudmatrix384", "gb200-nvl72", model="deepseek-r1", dtype="served", tpot=LIMITS, input=4096, output=1024
    )
    rows, power, ratios = [], [], []
    for limit in pair.under[0]:
        both = [under[limit] for under in pair.under]
        if all(est is not None for est in both):
            ratios.append([f"{1e3 * limit:g} ms", *_ratios(both)])
        for system, under in zip(pair.systems, pair.under, strict=True):
            est, slo = under[limit], f"{1e3 * limit:g} ms"
            if est is None:
                rows.append([slo, system.name, "none keeps it", *[""] * 5])
                continue
            ends = est.interval("joules_per_token") or (np.nan, np.nan)
            joules = [f"{float(est.joules(scope) or np.nan):.2f}" for scope in ("chip", "rack", "hall")]
            rows.append([slo, system.name, f"{float(est.tokens_per_second or 0):,.0f}", joules[0], joules[1], f"{float(ends[0]):.2f} - {float(ends[1]):.2f}",
                         joules[2], f"{float(est.power('rack') or 0) / 1e3:.0f}"])  # fmt: skip
            parts = est.power_parts("hall") or {}
            power.append(
                [
                    slo,
                    system.name,
                    *(f"{float(parts[name]) / 1e3:.0f}" for name in PARTS),
                    f"{float(law.total(parts)) / 1e3:.0f}",
                ]
            )
    return [
        "## CloudMatrix 384 against GB200 NVL72", "",
        "DeepSeek-R1, 4,096 tokens in and 1,024 out, the most tokens per second of a whole system under each limit on TPOT, each in the format, with",
        "the engine and in the way it serves best (INT8 under CloudMatrix-Infer, NVFP4 under TensorRT-LLM, prefill and decode disaggregated, one draft",
        "token; what `roofline compare` chooses). SemiAnalysis gives 559 kW and 145 kW for the systems, as the press quotes it; another account gives 500 kW. The",
        "rating of a 910C is assumed (half of a chip's share of 559 kW), so are its awake power and its switches: hence the width.", "",
        *table(["TPOT", "system", "tokens/s", "J a token: chips", "rack", "rack, 80 % within", "hall", "kW at the wall"], rows),
        "Power of the building by part, kW:", "",
        *table(["TPOT", "system", *PARTS, "in all"], power),
        "CloudMatrix 384 over GB200 NVL72, at the wall. The press divides rated powers by peaks in bf16, bandwidths and capacities of memory; its",
        "figures are those of [winbuzzer.com](https://winbuzzer.com/2025/04/20/huawei-cloudmatrix-384-ai-cluster-outperforms-nvidia-gb200-xcxwbn/)",
        "after SemiAnalysis. It gives no joules a token.", "",
        *table(["TPOT", "power", "a FLOP/s (bf16)", "a TB/s", "a TB", "J a token", "J a token of the building"], [*ratios, ["the press", *PRESS, "–", "–"]]),
    ]  # fmt: skip


PRESS: Final = ("3.9", "2.3", "1.8", "1.1")
"""How many times the power of GB200 NVL72 the press gives CloudMatrix 384: in all, a FLOP/s, a TB/s and a TB."""


def _ratios(both: Sequence[Any]) -> list[str]:
    """Return the power of the first over that of the second, in all and over what it has, and the same of joules a token."""
    made = []
    for est in both:
        chip, watts = est.system.chip, float(est.power("rack"))
        has = (1 / est.system.ranks, chip.peak["bf16"], chip.memory.bandwidth, chip.memory.capacity)
        made.append(
            [
                *(watts / (float(each) * est.system.ranks) for each in has),
                float(est.joules()),
                float(est.joules("hall")),
            ]
        )
    return [f"{mine / other:.1f}" for mine, other in zip(*made, strict=True)]


def page(rows: Sequence[Row]) -> tuple[str, Draws]:
    """Return the page of errors, and the coefficients fitted to all rows."""
    sure = [row for row in rows if row.sure]
    full = fitted(sure)
    by_model, by_chip = folds(sure, lambda row: f"{row.chip} {row.model}"), folds(sure, lambda row: row.chip)
    ways: dict[str, Callable[[Row], ChipDraw]] = {
        "fitted": full,
        "model left out": lambda row: by_model[f"{row.chip} {row.model}"](row),
        "chip left out": lambda row: by_chip[row.chip](row),
    }
    base = catalog.energy().generations[""]
    halves = {"fitted": base.error, "model left out": base.error, "chip left out": base.error_unseen}
    cells = []
    for name, draws in ways.items():
        errors, (power, joules) = score(sure, draws), inside(sure, draws, float(halves[name]))
        cells.append(
            [
                name,
                *(typical(errors[key]) for key in ("at rate", "power", "rate", "joules")),
                f"{power:.0%}",
                f"{joules:.0%}",
            ]
        )
    groups = []
    for collection, chip in sorted({(row.collection, row.chip) for row in rows}):
        some = [row for row in rows if (row.collection, row.chip) == (collection, chip)]
        errors = score(some, lambda row: by_model.get(f"{row.chip} {row.model}", full)(row))
        groups.append(
            [collection, chip, str(len(some)), *(typical(errors[key]) for key in ("at rate", "rate", "joules"))]
        )
    picos = []
    for name in ("a100-40gb", "a100-80gb", "h100", "h200", "b200", "gb200", "mi300x", "ascend-910b"):
        chip, draw = catalog.chip(name), catalog.energy().draw(catalog.chip(name))
        watts = float(chip.power or 0)
        picos.append([name, f"{watts:.0f}", f"{watts * draw.idle:.0f}", f"{watts * draw.awake:.0f}", f"{1e12 * watts * draw.compute / chip.peak['bf16']:.2f}",
                      f"{1e12 * watts * draw.memory / chip.memory.bandwidth:.0f}"])  # fmt: skip
    return "\n".join([
        "# How far off power and energy are", "",
        "Made by `python scripts/energy.py --write` from `workloads/runs/energy.csv`: published power and energy of serving, kernels and idle",
        f"chips. {len(sure)} rows are fitted and scored (steady state, lengths known or assumed); each cell is the mean of",
        "|predicted / measured - 1|, and the median in brackets.", "",
        "Joules a token are power over rate. *Power at the measured rate* is the error of the law of power alone; *rate* is the error of the",
        "token rate, which belongs to [engines](engines.md); *joules* have both. Inside: share of cells (a model on a chip in one",
        "collection) within the 80 % interval, that of joules made without the cell.", "",
        *table(["", "power at the measured rate", "power", "rate", "joules a token", "power inside", "joules inside"], cells),
        "## By collection", "", "With the row's own model on its chip left out; also rows that are not fitted, where start and gaps are counted.", "",
        *table(["collection", "chip", "rows", "power at the measured rate", "rate", "joules a token"], groups),
        "## Coefficients", "",
        "Shares of the rated power in `hardware/energy.toml`, as watts and picojoules. Measured elsewhere: 1.26 pJ/FLOP at least for GEMMs of an A100 and",
        "0.88 of a 910B, both at their limits; 81 to 134 pJ/B for copies of an A100. A share of power a FLOP is over that of a GEMM since attention and all that",
        "grows with tokens is in it. Small kernels of an A100 draw less than its awake power: a copy 239 W and an all-reduce 146 W are 35 % over.", "",
        "What falls short: the rate of mixtures of experts under vLLM, and of its releases of 2023 and 2024; rows of ML.ENERGY publish no",
        "prompt lengths. Of Ascend chips under load only GEMMs at the limit are published.", "",
        *table(["chip", "rated W", "idle W", "awake W", "pJ/FLOP (bf16)", "pJ/B"], picos),
        "## Nodes at the wall", "",
        "Watts a chip of whole nodes whose chips are idle or taken to be at their limit; no coefficient of hosts was fitted to the loaded ones.", "",
        *table(["run", "system", "chips at", "cooling", "measured", "predicted", "error"], nodes()),
        *racks(),
    ]), full  # fmt: skip


def main() -> None:
    """Print the coefficients and the page; write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/accuracy/energy.md")
    args = parser.parse_args()
    rows, refused = read()
    if args.write:
        # The page has intervals, which are made of these spreads.
        (ROOT / "hardware/evidence/energy.csv").write_text(sheet([row for row in rows if row.sure]), encoding="utf-8")
        catalog.evidence.cache_clear()
    text, full = page(rows)
    for generation in (*GENERATIONS, ""):
        draw = full(attrs.evolve(rows[0], generation=generation))
        print(generation or "other", {name: round(getattr(draw, name), 3) for name in ("awake", *SHARES)})
    print(*refused, sep="\n")
    print(text)
    if args.write:
        (ROOT / "docs/accuracy/energy.md").write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
