r"""How far start-up logs and peaks of training are from what is predicted: ``python scripts/memory.py --write``.

Writes the spreads that intervals of memory are made of (``hardware/evidence/memory.csv``):

======== ======== =================================================================================================
room     family   (printed - predicted) room for the cache, over the memory that the driver reports
\        chip     the same where ``generic`` is taken in the engine's place: an engine of which there are no logs
cache    family   log of the printed tokens to a byte of room over those predicted; ``cache_mixed`` where layers differ
weights  family   log(printed / predicted)
peak     stack    log(printed / predicted) of peaks of training
\        chip     the same where ``generic`` is taken in the framework's place; its sign is not known with so few, so both are taken
======== ======== =================================================================================================

A log weighs as one, of peaks a source and model. Logs of the role ``check`` set no constant. ``--again`` tells more of the others: of those
of vLLM on GPUs (``workloads/runs/memory.csv``) the constants that they decide (bytes of a logit, sorted and not; context;
buffers of collectives; captured graphs) are moved, one after the other and each among a few values around that of the file, to where
the mean error of the room for cache and of the tokens in it is least. What is left out is a log with all its figures.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from attrs import frozen

sys.path.insert(0, str(Path(__file__).resolve().parent))
from spreads import spread

from roofline import catalog
from roofline.catalog import output
from roofline.catalog.evidence import QUANTILES
from roofline.core.text import columns
from roofline.core.units import GIBI
from roofline.hardware.engines import Engine, StackMemory
from roofline.hardware.evidence import Spread
from roofline.operators.serving_memory import caches_uniformly
from roofline.planner.estimate import estimate
from roofline.planner.train import train
from roofline.results import memory_intervals
from roofline.results.estimate import Estimate
from roofline.validation.memory import LENGTH, Logged, predicted, release_of
from roofline.validation.runs import training_runs
from roofline.validation.training_assumptions import opener
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, TrainStep

ROOT: Final = Path(__file__).resolve().parents[1]
FILE: Final = "hardware/evidence/memory.csv"
LOGS: Final = ROOT / "workloads" / "runs" / "memory.csv"
PEAK: Final = re.compile(r"(?:peak (?:alloc|memory)|memory) ([0-9.]+) GiB")
SIZES: Final = ("kv_cache_gib_per_gpu", "kv_cache_tokens", "max_concurrency_at_len")
STEPS: Final = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
SORTED: Final = 20.0
"""Bytes of a logit above which it is sorted."""


def name_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the figures of one log have in common."""
    return tuple(
        row[name]
        for name in ("model", "system", "engine", "release", "tp", "pp", "weight_dtype", "memory_fraction", "length")
    )


def _logit(memory: StackMemory, factor: float, which: bool) -> StackMemory:
    return attrs.evolve(memory, logit=memory.logit * factor) if (memory.logit > SORTED) == which else memory


MOVES: Final[Mapping[str, Callable[[StackMemory, float], StackMemory]]] = {
    "logit, sorted": lambda m, f: _logit(m, f, which=True),
    "logit": lambda m, f: _logit(m, f, which=False),
    "context": lambda m, f: attrs.evolve(m, context=m.context * f),
    "communicators": lambda m, f: attrs.evolve(m, communicators=m.communicators * f, wired=m.wired * f),
    "graph": lambda m, f: attrs.evolve(m, graph=m.graph * f),
}


def moved(factors: Mapping[str, float]) -> Callable[[Engine], Engine]:
    """Return what gives an engine other constants of memory."""

    def out(engine: Engine) -> Engine:
        memory = engine.memory
        for name, factor in factors.items():
            memory = MOVES[name](memory, factor)
        return attrs.evolve(engine, memory=memory)

    return out


def error(rows: Sequence[Mapping[str, str]], factors: Mapping[str, float]) -> float:
    """Return the mean error of rows, relative."""
    return float(np.mean([abs(predicted(row, moved(factors)).error) for row in rows]))


def fitted(logs: Sequence[Sequence[Mapping[str, str]]]) -> dict[str, float]:
    """Return the factors with which logs are met best, each log of the same weight, one constant after the other."""
    factors = dict.fromkeys(MOVES, 1.0)
    for name in MOVES:
        errors = {f: np.mean([error(log, factors | {name: f}) for log in logs]) for f in STEPS}
        least = min(errors.values())
        # Of values that do as well, the nearest to the file's.
        factors[name] = min((f for f in STEPS if errors[f] <= least + 1e-4), key=lambda f: abs(np.log(f)))
    return factors


def again() -> None:
    """Print what each log misses whose figures set no constant, and the mean errors."""
    rows = [row for row in catalog.read_rows(LOGS) if row["engine"] == "vllm" and row["quantity"] in SIZES]
    logs = [list(own) for _, own in groupby([row for row in rows if row["role"] == "constants"], name_of)]
    found: list[Logged] = []
    before: list[Logged] = []
    for i, log in enumerate(logs):
        factors = fitted(logs[:i] + logs[i + 1 :])
        found += [predicted(row, moved(factors)) for row in log]
        before += [predicted(row) for row in log]
        print(log[0]["model"], log[0]["system"], {name: f for name, f in factors.items() if f != 1.0},
              [f"{each.error:+.1%}" for each in found[-len(log):]])  # fmt: skip
    for name in SIZES:
        pairs = [(a, b) for a, b in zip(found, before, strict=True) if a.row["quantity"] == name]
        out, own = (float(np.mean([abs(each.error) for each in side])) for side in zip(*pairs, strict=True))
        print(f"{name}: {len(pairs)} figures, mean error {own:.1%}, left out {out:.1%}")


# Spreads -------------------------------------------------------------------------------------------------------------

WEIGHTS, ROOM, TOKENS, REQUESTS = "weights_gib_per_gpu", *SIZES
CLAIMS: Final = (0.5, 0.8, 0.95)
OWN: Final = (("room", "family"), ("peak", "stack"))
"""Quantities and distances with spreads by engine or framework."""
FEWEST: Final = {"room": 3, "peak": 1}
"""Logs that an engine, or peaks that a framework, must have to be known."""
ENOUGH: Final = 8
"""Logs of an engine that make a spread of its own."""


@frozen
class Residual:
    """One residual: its quantity and distance, the engine or framework, and what weighs as one with it."""

    quantity: str
    distance: str
    of: str
    cell: str
    value: float
    role: str = "check"


def of_log(own: Sequence[Mapping[str, str]]) -> Iterator[Residual]:
    """Yield the residuals of one log: with its engine, and with ``generic`` in its place."""
    first, printed = own[0], {row["quantity"]: float(row["value"]) for row in own}
    cell, length = " ".join(name_of(first)), float(first["length"] or 0)
    tokens = printed.get(TOKENS) or (printed[REQUESTS] * length if REQUESTS in printed else None)
    for distance in ("family", "chip"):
        est = answered(first, distance)
        whole, of = memory_intervals.reported(est), first["engine"].removesuffix("-ascend")
        given = est.calibration.memory_fraction if est.calibration.engine.memory.rule == "free" else 1.0
        left = float(est.cache_room) * given
        held = printed[ROOM] * GIBI if ROOM in printed else None
        if held is None and tokens and left:
            ratio = tokens / float(est.kv_cache_tokens)
            if caches_uniformly(est.question.model):
                held = ratio * left
            elif distance == "family":
                # Where layers differ, how they are laid out decides more than the room.
                yield Residual("cache_mixed", distance, of, cell, float(np.log(ratio)), first["role"])
        if held is not None:
            yield Residual("room", distance, of, cell, (held - left) / float(whole), first["role"])
        if distance == "family":
            if ROOM in printed and tokens and left:
                kind = "cache" if caches_uniformly(est.question.model) else "cache_mixed"
                ratio = tokens / (printed[ROOM] * GIBI) * left / float(est.kv_cache_tokens)
                yield Residual(kind, distance, of, cell, float(np.log(ratio)), first["role"])
            if WEIGHTS in printed:
                value = float(np.log(printed[WEIGHTS] * GIBI / float(est.memory.weights)))
                yield Residual("weights", distance, of, cell, value, first["role"])


def answered(row: Mapping[str, str], distance: str) -> Estimate:
    """Return the answer to what a log was started for; further off with less of what it states."""
    system = catalog.system(row["system"])
    stated = f"{row['engine']}{release_of(row['release'])}"
    fraction = float(row["memory_fraction"]) if row["memory_fraction"] else None
    if distance == "chip" and fraction is None:
        fraction = catalog.engine(stated, system).memory_fraction
    name = {"family": stated, "chip": "generic"}[distance]
    model = catalog.model(row["model"], dtype=row["weight_dtype"] or None, kv_dtype=row["kv_dtype"] or None)
    layout = Layout(**{degree: float(row[degree]) for degree in ("tp", "pp", "dp", "ep")})
    question = Decode(model, 1.0, float(row["length"] or LENGTH) - 1, draft_tokens=float(row["draft_tokens"] or 0))
    return estimate(question, system, layout, engine=catalog.engine(name, system), memory_fraction=fraction)


def peaks() -> Iterator[Residual]:
    """Yield the residuals of peaks of training."""
    cases = opener("calibrated")
    for run in training_runs(catalog.read_rows(LOGS.with_name("training.csv"))):
        printed = PEAK.search(run.note)
        if printed is None:
            continue
        case = cases(run)
        for distance, framework in (("stack", case.framework), ("chip", catalog.framework("generic"))):
            question = TrainStep(
                case.model, run.batch, run.length, case.micro_batch, recompute=case.recompute, share=case.share, task=run.task,
                gradient_bytes=framework.gradients,
            )  # fmt: skip
            est = train(question, case.system, case.layouts, level=case.profile, framework=framework)
            value = float(np.log(float(printed[1]) * GIBI / np.ravel(est.memory.total)[0]))
            for sign in (1.0, -1.0) if distance == "chip" else (1.0,):
                yield Residual("peak", distance, case.framework.name, f"{run.group} {run.model}", sign * value)


def made(found: Sequence[Residual], above: Spread | None = None) -> Spread:
    """Return the quantiles of residuals, cells weighing alike, drawn towards those ``above``."""
    return spread([each.value for each in found], [each.cell for each in found], above)


def covered(found: Sequence[Residual], claimed: float, above: Spread | None) -> float:
    """Return the share of cells inside intervals made without them."""
    inside = []
    for cell in {each.cell for each in found}:
        own = [each for each in found if each.cell == cell]
        low, high = made([each for each in found if each.cell != cell], above).ends(claimed)
        inside.append(np.mean([low <= each.value <= high for each in own]))
    return float(np.mean(inside))


def grouped(found: Sequence[Residual]) -> dict[tuple[str, str, str], list[Residual]]:
    """Return the residuals by quantity, distance and engine; all engines under ""; only such as are enough."""
    out: dict[tuple[str, str, str], list[Residual]] = defaultdict(list)
    for each in found:
        out[each.quantity, each.distance, ""].append(each)
        if (each.quantity, each.distance) in OWN:
            out[each.quantity, each.distance, each.of].append(each)
    cells = {key: len({each.cell for each in some}) for key, some in out.items()}
    # What is known of an engine with few logs are those of all engines; of one with fewer, nothing.
    return {
        key: out[*key[:2], ""] if key[2] and cells[key] < ENOUGH else some
        for key, some in out.items()
        if not key[2] or cells[key] >= FEWEST[key[0]]
    }


def main() -> None:
    """Print the residuals and their spreads, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {FILE}")
    parser.add_argument("--again", action="store_true", help="set constants again without each log in turn")
    given = parser.parse_args()
    if given.again:
        again()
        return
    rows = [row for row in catalog.read_rows(LOGS) if row["quantity"] != "starts"]
    found = [each for _, own in groupby(rows, name_of) for each in of_log(list(own))] + list(peaks())
    shown, table = [], []
    groups, spreads = grouped(found), dict[tuple[str, str, str], Spread]()
    for key in sorted(groups, key=lambda key: (key[0], key[1] == "chip", key[2])):
        (quantity, distance, of), some = key, groups[key]
        # Engines are drawn towards all engines, and these towards nearer ones; peaks of both signs towards none.
        above = spreads.get((quantity, distance, "")) or spreads.get((quantity, "family", ""))
        s = spreads[key] = made(some, above)
        checks = [each for each in some if each.role == "check"]
        low, high = s.ends(0.8)
        told = [f"{covered(some, claim, above):.0%}" for claim in CLAIMS]
        middle = f"{np.median(np.abs([each.value for each in checks])):.1%}" if checks else ""
        shown.append([quantity, distance, of, str(s.cells), f"{low:+.3f}", f"{high:+.3f}", *told, middle])
        table.append([quantity, distance, of, s.cells, s.runs, *(f"{each:.4f}" for each in s.logs)])
    head = ["", "distance", "of", "logs", "80 % low", "high", *(f"{claim:.0%}" for claim in CLAIMS), "median of checks"]
    print(columns(shown, head=head, right=range(3, len(head))))
    if given.write:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(
            [["quantity", "distance", "of", "cells", "runs", *QUANTILES], *table]
        )
        output.write(ROOT / FILE, out.getvalue().encode())


if __name__ == "__main__":
    main()
