"""Fit what training adds to kernels and links to published steps, and score it three times: ``python scripts/frameworks.py``.

Kernels, links and collectives are fitted to timings of their own (``scripts/profiles.py``) and stay as they are. What is left are
some fifty constants: what long steps leave of a chip's rate, and what a framework adds. They are fitted by least squares on
log(predicted / measured), robustly, each configuration weighing 1, large groups less, and shrunk towards the values in ``PRIOR``.
Scores: with the constants as fitted; each (model, system) predicted with constants fitted without any of its runs; and each group
of runs likewise. With ``--write`` the fitted constants go into the files, and the page into docs/.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from roofline import catalog
from roofline.core.units import SECOND, show
from roofline.hardware.constants import Calibration
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import System
from roofline.validation.runs import TrainingRun, training_runs
from roofline.validation.scoring import Prediction, score
from roofline.validation.training_assumptions import opener
from roofline.validation.training_replay import predict

ROOT = Path(__file__).resolve().parents[1]
ALIKE = {"a100-40gb": "a100", "a100-80gb": "a100", "mi350x": "mi355x"}
"""Chips that share a constant."""
TIMED = ("step", "expert")

PRIOR: Mapping[str, tuple[float, float]] = {
    # Chips whose kernels were timed: their own long kernels.
    "sustained.a100": (1.0, 0.12), "sustained.h100": (0.93, 0.12), "sustained.h200": (0.9, 0.12),
    "sustained.b200": (0.85, 0.12), "sustained.gb200": (0.8, 0.12),
    # Held to 500 W of the 700: clocks fall with the cube root of the power or less.
    "sustained.h100-96gb-500w": (0.83, 0.1),
    # Others: as any chip, but nobody has looked.
    **{f"sustained.{chip}": (0.9, 0.2)
       for chip in ("b300", "gb300", "ascend-910b", "mi300x", "mi325x", "mi355x", "trainium1")},
    # Systolic arrays come closer to their peak than the cores that were timed: 0.86 of it.
    **{f"sustained.{chip}": (1.17, 0.08) for chip in ("tpu-v4", "tpu-v5e", "tpu-v5p")},
    "sustained_fp8": (1.0, 0.1), "sustained_fp4": (0.85, 0.15),
    "generic.tp": (0.7, 0.4), "generic.cp": (0.2, 0.4), "generic.ep": (0.9, 0.1), "generic.paired": (0.25, 0.4),
    "generic.dp": (0.2, 0.2), "generic.pp": (0.33, 0.4), "generic.fsdp": (0.3, 0.15),
    "generic.overlapped": (0.5, 0.4), "generic.captured": (0.2, 0.5), "generic.contention": (0.1, 0.5),
    "generic.launch": (1.0, 0.4), "generic.step": (40e-3, 0.5),
    "generic.attention": (0.9, 0.15), "generic.backward": (0.73, 0.12), "generic.expert": (12e-6, 0.5),
    "generic.experts": (1.2, 0.3),
    "megatron.experts": (1.2, 0.3), "megatron-2509.experts": (1.5, 0.3), "megatron-2407.experts": (2.0, 0.3),
    "megatron-core.pace": (1.08, 0.08), "megatron-core.experts": (1.5, 0.3),
    "megatron-2021.pace": (1.08, 0.08), "megatron-2021.launch": (2.5, 0.4), "megatron-2021.step": (15e-3, 0.5),
    "megatron-2021.dp": (0.9, 0.2),
    "llm-foundry.pace": (1.05, 0.08), "llm-foundry.synchronous": (0.45, 0.25), "llm-foundry.fsdp": (0.5, 0.5),
    "torchtitan.pace": (1.05, 0.08), "torchtitan.synchronous": (0.45, 0.25), "torchtitan.eager": (2.0, 0.3),
    "megatron-mlperf.step": (8e-3, 0.5), "megatron-mlperf.launch": (0.5, 0.5),
    "automodel.pace": (1.05, 0.08),
    "maxtext.attention": (0.6, 0.3), "maxtext-gpu.pace": (1.15, 0.08),
    "mindspeed.pace": (1.1, 0.08), "mindspeed.experts": (3.0, 0.3), "mindspeed-2409.pace": (1.15, 0.08), "mindspeed-2409.experts": (4.0, 0.3),
    "mindformers.pace": (1.15, 0.08), "mindformers.experts": (6.0, 0.12),
    "rocm.pace": (1.05, 0.08), "neuron.pace": (1.15, 0.1),
}  # fmt: skip
"""Each constant with what is expected of it, and how many parts it may be off (standard deviation of its logarithm)."""

NAMES = tuple(PRIOR)
WIDTH, NOISE, FOLDS = 0.10, 0.08, 10
STEP = -0.05
"""Constants are moved down: above some no product gets any quicker, since none beats the peak of its chip."""
SHARES = ("captured", "tp", "overlapped", "cp", "ep", "paired", "dp", "pp", "fsdp", "contention")
ON_GPUS = ("megatron", "megatron-core", "llm-foundry", "automodel", "torchtitan", "maxtext-gpu", "megatron-2021")
"""Frameworks whose mean pace is that of one that nobody named."""


class Adjusted:
    """Profiles and frameworks with the constants of ``theta``; picklable, so that workers can be told."""

    def __init__(self, theta: Mapping[str, float]) -> None:
        """Keep the constants."""
        self.theta = theta
        self.generic = catalog.framework("generic")

    def __call__(self, system: System, profile: Calibration, framework: Framework) -> tuple[Calibration, Framework]:
        """Return what a run is priced with."""
        theta, chip = self.theta, system.package.name
        own = theta.get(f"sustained.{ALIKE.get(chip, chip)}", profile.sustained)
        found = attrs.evolve(
            profile, sustained=own, sustained_fp8=theta["sustained_fp8"], sustained_fp4=theta["sustained_fp4"]
        )
        change: dict[str, Any] = {}
        for name, value in theta.items():
            head, _, key = name.partition(".")
            stated = getattr(framework, key, None) != getattr(self.generic, key, None)
            if head == framework.name or (head == "generic" and not stated and f"{framework.name}.{key}" not in theta):
                change[key] = min(value, 1.0) if key in SHARES else value
        return found, attrs.evolve(framework, **change)


def concerned(name: str, runs: Sequence[TrainingRun], frameworks: Sequence[str]) -> list[int]:
    """Return which runs a constant can change."""
    head, _, key = name.partition(".")
    if head == "sustained":
        chips = {run.system: catalog.system(run.system).package.name for run in runs}
        return [i for i, run in enumerate(runs) if ALIKE.get(chips[run.system], chips[run.system]) == key]
    if head.startswith("sustained_"):
        return [
            i
            for i, run in enumerate(runs)
            if run.dtype not in ("bf16", "fp16") and ("4" in run.dtype) == head.endswith("4")
        ]
    if head == "generic":
        degree = {"tp": "tp", "cp": "cp", "ep": "ep", "paired": "ep", "pp": "pp"}.get(key)
        return [
            i for i, run in enumerate(runs)
            if (degree is None or (getattr(run, degree) or 1) > 1)
            and not (key == "fsdp" and run.sharding != "zero3")
            and not (key in ("expert", "experts") and run.kind != "MoE")
        ]  # fmt: skip
    return [i for i, found in enumerate(frameworks) if found == head]


def shipped() -> dict[str, float]:
    """Return the constants as the files have them."""
    out = {}
    for name, (prior, _) in PRIOR.items():
        head, _, key = name.partition(".")
        if head == "sustained":
            chip = next((each for each, of in ALIKE.items() if of == key), key)
            out[name] = catalog.profile("calibrated", chip).sustained
        elif not key:
            out[name] = getattr(catalog.profile("generic", "dgx-h100"), head)
        else:
            out[name] = getattr(catalog.framework(head), key) or prior
    return out


def theta_of(x: np.ndarray) -> dict[str, float]:
    """Return the constants: the prior times ``exp(x)``."""
    return {name: PRIOR[name][0] * float(np.exp(value)) for name, value in zip(NAMES, x, strict=True)}


def predicted(asked: tuple[Sequence[TrainingRun], np.ndarray]) -> tuple[Prediction, ...]:
    """Return the predictions of runs at given constants."""
    runs, x = asked
    return predict(runs, "calibrated", adjust=Adjusted(theta_of(x)))


def logs(found: Sequence[Prediction]) -> np.ndarray:
    """Return log(predicted / measured); NaN where either is missing."""
    return np.array([np.log(p.predicted / p.measured) if p.predicted and p.measured else np.nan for p in found])


def solve(base: np.ndarray, at: np.ndarray, jacobian: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the constants that explain the linearised rows best, near the prior: robust Gauss-Newton."""
    sigma = np.array([PRIOR[name][1] for name in NAMES])
    x = at.copy()
    for _ in range(40):
        r = base + jacobian @ (x - at)
        w = weights / np.sqrt(1 + (r / WIDTH) ** 2) / NOISE**2
        left = jacobian.T @ (jacobian * w[:, None]) + np.diag(1 / sigma**2)
        x = np.linalg.solve(left, -jacobian.T @ (w * (base - jacobian @ at)))
    return x


def linearised(
    runs: Sequence[TrainingRun], x: np.ndarray, pool: ProcessPoolExecutor
) -> tuple[tuple[Prediction, ...], np.ndarray, np.ndarray]:
    """Return the predictions at constants, their logarithms, and how these move with each constant."""
    (found,) = pool.map(predicted, [(runs, x)])
    base = logs(found)
    # A run is told the kind of its model when it is priced; its framework is described as it was at its release.
    decide, known = opener("calibrated"), [p.run for p in found]
    frameworks = [decide(run).framework.name for run in runs]
    moved = [concerned(name, known, frameworks) for name in NAMES]
    asked = [([runs[i] for i in where], x + STEP * row) for where, row in zip(moved, np.eye(len(NAMES)), strict=True)]
    jacobian = np.zeros((len(runs), len(NAMES)))
    for j, (where, each) in enumerate(zip(moved, pool.map(predicted, asked), strict=True)):
        jacobian[where, j] = (logs(each) - base[where]) / STEP
    return found, base, jacobian


def weights_of(found: Sequence[Prediction]) -> np.ndarray:
    """Return the weight of each prediction in the fit: 1 a configuration, and less in groups of many."""
    total: Counter[str] = Counter()
    for p in found:
        total[p.run.group] += p.weight  # type: ignore[assignment]
    return np.array([p.weight * (total[p.run.group] / 50) ** -0.35 for p in found])


def left_out(keys: Sequence[str], folds: int) -> list[np.ndarray]:
    """Return, fold by fold, which predictions are left out: those whose keys are."""
    names = sorted(set(keys))
    np.random.default_rng(0).shuffle(names)
    return [np.isin(keys, names[i::folds]) for i in range(folds)]


def main() -> None:
    """Fit, score, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the fitted constants into the files")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="also write how runs move with the constants: a file of NumPy arrays")
    parser.add_argument("--steps", type=int, default=2, help="times the runs are linearised")
    given = parser.parse_args()
    _, rows = catalog.measured("training")
    runs = training_runs(rows, "training")
    x = np.array([np.log(value / PRIOR[name][0]) for name, value in shipped().items()])
    with ProcessPoolExecutor(given.workers) as pool:
        for _ in range(given.steps):
            found, base, jacobian = linearised(runs, x, pool)
            at, weights = x, weights_of(found)
            ok = np.isfinite(base)
            print(f"mean error {score(found, weighed=True).mape:.1%}", file=sys.stderr)
            if given.keep:
                np.savez(given.keep, base=base, jacobian=jacobian, at=at, weights=weights)
            x = solve(base[ok], at, np.nan_to_num(jacobian[ok]), weights[ok])
        (final,) = pool.map(predicted, [(runs, x)])
        out = {}
        for title, keys, folds in (
            ("each (model, system) left out", [f"{p.run.model} {p.run.system}" for p in found], FOLDS),
            ("each group left out", [p.run.group for p in found], len({p.run.group for p in found})),
        ):
            parts = left_out(keys, folds)
            kept = [ok & ~part for part in parts]
            thetas = [solve(base[rest], at, np.nan_to_num(jacobian[rest]), weights[rest]) for rest in kept]
            asked = [
                ([runs[i] for i in np.flatnonzero(part)], theta) for part, theta in zip(parts, thetas, strict=True)
            ]
            told: list[Prediction | None] = [None] * len(runs)
            for part, each in zip(parts, pool.map(predicted, asked), strict=True):
                for i, p in zip(np.flatnonzero(part), each, strict=True):
                    told[i] = attrs.evolve(p, weight=found[i].weight)
            out[title] = told
    for name, value in theta_of(x).items():
        print(f"{name:28} {value:.4g}   ({PRIOR[name][0]:.3g} expected)")
    for title, each in (("as shipped", final), *out.items()):
        print(f"\n{title}\n{table(each)}")
    if given.write:
        write(theta_of(x))
        catalog.write(ROOT / "docs" / "accuracy" / "frameworks.md", page(theta_of(x), final, out).encode())


def groups(found: Sequence[Prediction]) -> list[tuple[str, list[int]]]:
    """Return what is scored together: all, dense and MoE, and by group, system, framework, dtype and task."""
    out = [("all", list(range(len(found))))]
    for key in ("kind", "group", "system", "framework", "dtype", "task"):
        values = sorted({getattr(p.run, key) for p in found})
        out += [(value, [i for i, p in enumerate(found) if getattr(p.run, key) == value]) for value in values]
    return out


def table(found: Sequence[Prediction]) -> str:
    """Return the score as text."""
    return "\n".join(_line(name, [found[i] for i in where]) for name, where in groups(found))


def _line(label: str, found: Sequence[Prediction]) -> str:
    s = score(found, weighed=True)
    if s.mape is None:
        return f"{label:30} –"
    inside = "" if s.inside_interval is None else f", {s.inside_interval:.0%} inside"
    return f"{label:30} n {s.n:5}  MAPE {s.mape:6.1%}  median {s.median_ape:6.1%}  bias {s.bias:+6.1%}{inside}"


PAGE = """# Frameworks, and how far off training steps are

Made by `python scripts/frameworks.py --write`. Kernels and links are fitted to timings of their own ([fits](fits.md)); what
training adds are {constants} constants of chips, of formats and of frameworks, fitted to the published steps in
`workloads/runs/training.csv`, robustly, each configuration weighing 1 and large groups less, shrunk towards what was expected.
None belongs to a run, a model or a source.

## Scores

Errors of the time of a step, repeats of a configuration sharing the weight of one. *As shipped*: with the constants below. *Cell
left out*: each (model, system) predicted with constants fitted without any of its runs. *Group left out*: each collection of runs
likewise.

{scores}

## Constants

{listed}
"""


def page(theta: Mapping[str, float], shipped: Sequence[Prediction], out: Mapping[str, Sequence[Prediction]]) -> str:
    """Return the page that tells the constants and the scores."""
    head = ["", "runs"]
    for title in ("as shipped", "cell left out", "group left out"):
        head += [f"{title}: mean", "median", "bias", "in the 80 % interval"]
    rows = []
    for name, where in groups(shipped):
        cells = [name, f"{len(where):,}"]
        for each in (shipped, *out.values()):
            s = score([each[i] for i in where], weighed=True)
            told = (f"{s.mape:.1%}", f"{s.median_ape:.1%}", f"{s.bias:+.1%}", f"{s.inside_interval or 0:.0%}")
            cells += ["–"] * 4 if s.mape is None else told
        rows.append(cells)
    constants = [[f"`{name}`", _shown(name, PRIOR[name][0]), _shown(name, value)] for name, value in theta.items()]
    listed = "\n".join(_markdown(["constant", "expected", "fitted"], constants))
    return PAGE.format(constants=len(theta), scores="\n".join(_markdown(head, rows)), listed=listed)


def _markdown(head: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---", *["--:"] * (len(head) - 1)], *rows)]


def _shown(name: str, value: float) -> str:
    return show(value, SECOND, 3) if name.rpartition(".")[2] in TIMED else f"{value:.3g}"


def write(theta: Mapping[str, float]) -> None:
    """Put constants into the descriptors, three digits each."""
    for name, value in theta.items():
        head, _, key = name.partition(".")
        if head == "sustained":
            for chip in (key, *(other for other, of in ALIKE.items() if of == key)):
                if chip in catalog.names("chip"):
                    _replace(ROOT / "hardware/sustained.toml", chip, f"{_reached(chip, value):.3g}")
        elif not key:
            text = f'{{ value = {value:.3g}, source = "steps" }}'
            _replace(ROOT / "hardware/calibration/generic.toml", head, text)
        else:
            text = (
                f'"{float(f"{value * 1e6:.3g}"):g} us"'
                if key in TIMED
                else f"{min(value, 1.0) if key in SHARES else value:.3g}"
            )
            _replace(ROOT / f"workloads/frameworks/{head}.toml", key, text)

    ratios = {chip: theta.get(f"sustained.{ALIKE.get(chip, chip)}") for chip in catalog.names("chip")}
    chips = {chip: _reached(chip, value) for chip, value in ratios.items() if value}
    for maker in sorted({catalog.chip(chip).vendor for chip, value in chips.items() if value}):
        told = [np.log(value) for chip, value in chips.items() if value and catalog.chip(chip).vendor == maker]
        _replace(ROOT / "hardware/sustained.toml", maker, f"{np.exp(np.mean(told)):.3g}")
    paces = [np.log(theta.get(f"{name}.pace", 1.0)) for name in ON_GPUS]
    _replace(ROOT / "workloads/frameworks/generic.toml", "pace", f"{np.exp(np.mean(paces)):.3g}")


def _reached(chip: str, ratio: float) -> float:
    """Return the part of the peak in 16 bits that long GEMMs of a chip reach, from what they do of the part of single ones."""
    return min(ratio * catalog.profile("calibrated", chip).kernel("gemm", "bf16").eta_compute, 0.99)


def _replace(path: Path, key: str, value: str) -> None:
    text = path.read_text(encoding="utf-8")
    catalog.write(path, re.sub(rf"^({re.escape(key)} *= ).*$", rf"\g<1>{value}", text, flags=re.MULTILINE).encode())


if __name__ == "__main__":
    main()
