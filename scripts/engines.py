"""Fit the constants of software stacks to published serving runs, score them, and write them: ``python scripts/engines.py --write``.

Kernels and links have timings of their own (``scripts/profiles.py``); what is fitted here is what a stack adds to them: a launch in a
captured graph and outside of one, the host between steps, for each sequence and each request. Each constant belongs to a table of a
stack's file (engine, runtime, generation of chips, release, kind of launch), has a prior, and a physical range in which it must lie.
They are fitted by least squares on log(predicted / measured), robustly, cells of (group, model, system, weights) weighing alike, and
shrunk towards their priors, which go together: what is found of one engine says what to expect of the others (:func:`expected`). Scores are printed as fitted and *out of fold*: with constants fitted without any run of the same model
and system, generation of chips, number format, engine, or year of release.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from roofline import catalog
from roofline.catalog import output
from roofline.core.errors import RooflineError
from roofline.core.units import SECOND, show
from roofline.hardware.constants import Calibration
from roofline.validation.replay import predict
from roofline.validation.runs import ServingRun, serving_runs
from roofline.validation.scoring import Prediction
from roofline.validation.serving_assumptions import opener

ROOT = Path(__file__).resolve().parents[1]
US = 1e-6
LAUNCH = (0.3, 6.0)
HOST = (1 * US, 200 * US)
GAP = (10 * US, 10e-3)

PRIOR: Mapping[str, tuple[float, float, tuple[float, float]]] = {
    # A launch in a graph, over that of the same kernel timed alone.
    "vllm.runtime.cuda.launch": (1.0, 0.08, LAUNCH),
    "sglang.runtime.cuda.launch": (1.0, 0.08, LAUNCH),
    "trtllm.runtime.cuda.launch": (1.0, 0.08, LAUNCH),
    "vllm.runtime.cuda.generation.blackwell.launch": (0.8, 0.2, LAUNCH),
    "sglang.runtime.cuda.generation.blackwell.launch": (1.0, 0.2, LAUNCH),
    "trtllm.runtime.cuda.generation.blackwell.launch": (0.75, 0.2, LAUNCH),
    "generic.runtime.cuda.launch": (1.0, 0.08, LAUNCH),
    "generic.runtime.cuda.generation.blackwell.launch": (0.8, 0.2, LAUNCH),
    "generic.runtime.cuda.generation.blackwell-rtx.launch": (0.8, 0.2, LAUNCH),
    "generic.runtime.rocm.launch": (1.6, 0.3, LAUNCH),
    "vllm.runtime.rocm.launch": (1.6, 0.3, LAUNCH),
    "sglang.runtime.rocm.launch": (1.6, 0.3, LAUNCH),
    "generic.runtime.cann.launch": (2.5, 0.4, LAUNCH),
    "vllm.runtime.cann.launch": (2.5, 0.4, LAUNCH),
    "sglang.runtime.cann.launch": (2.5, 0.4, LAUNCH),
    "mindie.runtime.cann.launch": (2.5, 0.4, LAUNCH),
    "fastertransformer.launch": (1.4, 0.4, LAUNCH),
    "llama.cpp.launch": (1.4, 0.4, LAUNCH),
    # The host's time for a kernel outside of a graph: 4 us from C++, 10 to 100 us from Python.
    "generic.launch_host": (20 * US, 0.5, HOST),
    "generic.runtime.cuda.launch_host": (20 * US, 0.5, HOST),
    "vllm.runtime.cuda.launch_host": (15 * US, 0.5, HOST),
    "sglang.runtime.cuda.launch_host": (40 * US, 0.5, HOST),
    "trtllm.runtime.cuda.launch_host": (15 * US, 0.5, HOST),
    "generic.runtime.rocm.launch_host": (30 * US, 0.5, HOST),
    "vllm.runtime.rocm.launch_host": (20 * US, 0.5, HOST),
    "sglang.runtime.rocm.launch_host": (60 * US, 0.5, HOST),
    "generic.runtime.cann.launch_host": (40 * US, 0.5, HOST),
    "vllm.runtime.cann.launch_host": (50 * US, 0.5, HOST),
    "sglang.runtime.cann.launch_host": (50 * US, 0.5, HOST),
    "mindie.runtime.cann.launch_host": (25 * US, 0.5, HOST),
    "sglang.runtime.cuda.kind.tuned.launch_host": (30 * US, 0.5, HOST),
    "generic.kind.day-0.launch_host": (60 * US, 0.5, HOST),
    # The host between steps, for each sequence, and each request.
    **{f"{name}.gap": (2e-4, 0.5, GAP) for name in ("generic", "trtllm", "vllm", "sglang")},
    **{f"{name}.prompt_gap": (2e-3, 0.5, GAP) for name in ("generic", "trtllm", "vllm", "sglang")},
    **{f"{name}.sequence": (5e-6, 0.5, (0.5 * US, 50 * US)) for name in ("generic", "trtllm", "vllm", "sglang")},
    **{f"{name}.stream": (1.5e-5, 0.5, (0.5 * US, 200 * US)) for name in ("generic", "trtllm", "vllm", "sglang")},
    **{f"{name}.front": (15e-3, 0.3, (1e-3, 0.1)) for name in ("generic", "trtllm", "vllm", "sglang")},
    "generic.kind.day-0.bunched": (0.5, 0.5, (0.01, 1.0)),
    "generic.kind.day-0.front": (0.1, 0.7, (1e-3, 1.0)),
    "trtllm.release.0.14.front": (5e-3, 0.5, (1e-3, 0.1)),
    "trtllm.release.0.14.prompt_gap": (1e-3, 0.5, GAP),
    "nim.front": (5e-3, 0.5, (1e-3, 0.1)),
    "nim.prompt_gap": (1e-3, 0.5, GAP),
    "llama.cpp.compute": (0.5, 0.3, (0.1, 1.0)),
    "trtllm.gathered": (0.8, 0.2, (0.01, 1.0)),
    "sglang.bunched": (0.3, 0.5, (0.01, 1.0)),
    "generic.crowd": (1.1, 0.3, (0.1, 10.0)),
}  # fmt: skip
"""Each constant with what is expected of it, how many parts it may be off (standard deviation of its logarithm), and its range."""

ALIKE, RELATED = 0.7, 0.35
"""How far two engines deviate together from what is expected of a constant: on one runtime, generation and kind of launch, and on others."""

SHARED = {"nim": "trtllm"}
"""Engines that share the constants of another."""
NAMES = tuple(PRIOR)
WIDTH, NOISE, FOLDS, MOST = 0.2, 0.15, 6, 8
WEIGHT = {"tpot_s": 1.0, "ttft_s": 0.5, "output_tokens_per_s": 0.6}

Theta = Mapping[str, float]


def _parts(name: str) -> tuple[str, str, str]:
    """Return the file of a constant, the path of its table (with a dot before it, or ""), and its key."""
    file = next(each for each in sorted(catalog.names("engine"), key=len, reverse=True) if name.startswith(f"{each}."))
    table, _, key = name.removeprefix(file).rpartition(".")
    return file, table, key


def _place(origin: str) -> str:
    file, table, key = _parts(origin)
    return origin if origin in PRIOR else f"{SHARED.get(file, file)}{table}.{key}"


def adjusted(theta: Theta, profile: Calibration) -> Calibration:
    """Return a profile with the constants of its stack replaced, each where it came from."""
    engine = profile.engine
    change = {
        key: theta[_place(origin)]
        for key, origin in engine.origins.items()
        if _place(origin) in theta and getattr(engine, key) > 0
    }
    return attrs.evolve(profile, engine=attrs.evolve(engine, **change)) if change else profile


def touched(runs: Sequence[ServingRun], level: str) -> list[set[str]]:
    """Return the constants that each run depends on."""
    out, open_ = [], opener(level)
    for run in runs:
        try:
            engine = open_(run).profile.engine
        except RooflineError:
            out.append(set())
            continue
        out.append(
            {
                _place(origin)
                for key, origin in engine.origins.items()
                if _place(origin) in PRIOR and getattr(engine, key)
            }
        )
    return out


def expected() -> np.ndarray:
    """Return the covariance of the logarithms of the constants before any run is seen.

    The same constant of two tables deviates from what is expected in common: 15 us a launch expected of three engines and 25 found for
    two of them is more than 15 for the third. So a stack without runs goes by the others.
    """
    sigma = np.array([PRIOR[name][1] for name in NAMES])
    parts = [_parts(name) for name in NAMES]
    shared = [[(ALIKE if one[1] == other[1] else RELATED) * (one[2] == other[2]) for other in parts] for one in parts]
    np.fill_diagonal(together := np.array(shared), 1.0)
    return np.asarray(sigma[:, None] * together * sigma)


def values(x: np.ndarray) -> dict[str, float]:
    """Return the constants at the logarithms ``x`` of their ratios to what is expected, within their ranges."""
    out = {}
    for name, each in zip(NAMES, x, strict=True):
        middle, _, (low, high) = PRIOR[name]
        out[name] = float(np.clip(middle * np.exp(each), low, high))
    return out


def evaluate(runs: Sequence[ServingRun], level: str, x: np.ndarray) -> dict[tuple[str, str], Prediction]:
    """Return the predictions of runs at some constants, by run and quantity."""
    theta = values(x)
    found = predict(runs, level, adjust=lambda profile: adjusted(theta, profile))
    return {(p.run.id, p.quantity): p for p in found}


def ratio(p: Prediction | None) -> float:
    """Return log(predicted / measured); NaN where either is missing."""
    return float(np.log(p.predicted / p.measured)) if p is not None and p.predicted and p.measured else np.nan


def cell(run: ServingRun) -> str:
    """Return what weighs as one."""
    return f"{run.group} {run.model} {run.system} {run.weight_dtype}"


def solve(r: np.ndarray, jacobian: np.ndarray, at: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the constants that explain the linearised rows best, near the prior: robust Gauss-Newton."""
    before = np.linalg.inv(expected())
    low, high = (np.array([np.log(PRIOR[name][2][i] / PRIOR[name][0]) for name in NAMES]) for i in (0, 1))
    x = at.copy()
    for _ in range(40):
        now = r + jacobian @ (x - at)
        w = weights / np.sqrt(1 + (now / WIDTH) ** 2) / NOISE**2
        left = jacobian.T @ (jacobian * w[:, None]) + before
        right = -jacobian.T @ (w * (r - jacobian @ at))
        x = np.clip(np.linalg.solve(left, right), low, high)
    return x


def errors(r: np.ndarray, jacobian: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the standard errors of the logarithms of the constants."""
    w = weights / np.sqrt(1 + (r / WIDTH) ** 2) / NOISE**2
    return np.sqrt(np.diag(np.linalg.inv(jacobian.T @ (jacobian * w[:, None]) + np.linalg.inv(expected()))))


def thinned(runs: Sequence[ServingRun]) -> list[ServingRun]:
    """Return at most so many runs of each cell and engine, evenly drawn from the list."""
    cells: dict[str, list[ServingRun]] = defaultdict(list)
    for run in runs:
        cells[f"{cell(run)} {run.engine} {run.mode}"].append(run)
    return [
        each[i]
        for each in cells.values()
        for i in sorted({int(j) for j in np.linspace(0, len(each) - 1, min(len(each), MOST))})
    ]


def rows_weights(keys: Sequence[tuple[str, str]], runs: Mapping[str, ServingRun], r: np.ndarray) -> np.ndarray:
    """Return the weight of each prediction in the fit; 0 for those that take no part."""
    names = [f"{cell(runs[i])} {runs[i].engine} {q}" for i, q in keys]
    count = Counter(names)
    out = np.array([WEIGHT[q] ** 2 * count[name] ** -0.75 for (_, q), name in zip(keys, names, strict=True)])
    apart = np.array([bool(runs[i].not_fitted) or runs[i].prefill_pool is not None for i, _ in keys])
    doubtful = np.array([0.15 if runs[i].quality == "C" else 1.0 for i, _ in keys])
    return np.where(np.isfinite(r) & ~apart, out * doubtful, 0.0)


class Fit:
    """Runs with their predictions and how these move with the constants."""

    def __init__(self, runs: Sequence[ServingRun], level: str) -> None:
        """Keep the runs, and which constants each depends on."""
        self.runs, self.level = list(runs), level
        self.by = {run.id: run for run in self.runs}
        self.touch = touched(self.runs, level)
        self.keys: list[tuple[str, str]] = []
        self.x = np.zeros(len(NAMES))

    def linearise(self, x: np.ndarray) -> None:
        """Predict at ``x``, and each constant moved a little, where it matters."""
        base = evaluate(self.runs, self.level, x)
        self.keys = list(base)
        self.r = np.array([ratio(base[key]) for key in self.keys])
        self.jacobian = np.zeros((len(self.keys), len(NAMES)))
        place = {key: i for i, key in enumerate(self.keys)}
        for j, name in enumerate(NAMES):
            mine = [run for run, names in zip(self.runs, self.touch, strict=True) if name in names]
            if mine:
                moved = x.copy()
                moved[j] += 0.05
                for key, p in evaluate(mine, self.level, moved).items():
                    change = ratio(p) - self.r[place[key]]
                    self.jacobian[place[key], j] = 0.0 if not np.isfinite(change) else np.clip(change / 0.05, -3, 3)
        self.x = x
        self.weights = rows_weights(self.keys, self.by, self.r)

    def best(self, keep: np.ndarray | None = None) -> np.ndarray:
        """Return the constants fitted to all rows, or those kept."""
        ok = self.weights > 0 if keep is None else (self.weights > 0) & keep
        return solve(self.r[ok], self.jacobian[ok], self.x, self.weights[ok])


def year(run: ServingRun) -> str:
    """Return the year of a run's software, as far as its row tells."""
    for text in (run.engine_version, run.note, run.source):
        found = re.search(r"20(2[3-6])(?=\D|$)", text)
        if found:
            return f"20{found[1]}"
    return ""


KEYS: Mapping[str, Callable[[ServingRun], str]] = {
    "model and system": lambda run: f"{run.model} {run.system}",
    "chip generation": lambda run: catalog.system(run.system).package.generation or catalog.system(run.system).package.name,
    "number format": lambda run: run.weight_dtype,
    "engine": lambda run: f"{run.engine} {catalog.engine('generic', run.system).runtime}",
    "year of release": year,
}  # fmt: skip


def typical(pairs: Sequence[tuple[ServingRun, float]]) -> tuple[float, int]:
    """Return exp(mean over cells of mean |log ratio|) - 1, and the cells."""
    cells: dict[str, list[float]] = defaultdict(list)
    for run, r in pairs:
        if np.isfinite(r):
            cells[cell(run)].append(abs(r))
    return (float(np.expm1(np.mean([np.mean(each) for each in cells.values()]))), len(cells)) if cells else (np.nan, 0)


def out_of_fold(fit: Fit, key: Callable[[ServingRun], str]) -> dict[tuple[str, str], float]:
    """Return log ratios, each predicted with constants fitted without any run of the same key."""
    names = sorted({key(run) for run in fit.runs})
    groups = [{name} for name in names]
    if len(names) > FOLDS * 3:
        order = np.random.default_rng(0).permutation(len(names))
        groups = [{names[j] for j in order[i::FOLDS]} for i in range(FOLDS)]
    out: dict[tuple[str, str], float] = {}
    for group in groups:
        held = {run.id for run in fit.runs if key(run) in group}
        x = fit.best(np.array([i not in held for i, _ in fit.keys]))
        out |= {k: ratio(p) for k, p in evaluate([fit.by[i] for i in held], fit.level, x).items()}
    return out


QUANTITIES = {"tpot_s": "TPOT", "ttft_s": "TTFT", "output_tokens_per_s": "tokens/s"}


def main() -> None:
    """Fit, score, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", default="calibrated", choices=("generic", "calibrated"))
    parser.add_argument("--write", action="store_true", help="put the fitted constants into the files")
    parser.add_argument("--page", action="store_true", help="write docs/accuracy too, with the scores out of fold")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", default="serving")
    given = parser.parse_args()
    _, rows = catalog.measured(given.runs)
    runs = serving_runs(rows, given.runs)
    fit = Fit(thinned(runs), given.level)
    print(f"{len(fit.runs)} runs of {len(rows)}, {len(NAMES)} constants", file=sys.stderr)
    x = start()
    for _ in range(given.rounds):
        fit.linearise(x)
        report("before this round", dict(zip(fit.keys, fit.r, strict=True)), fit)
        x = fit.best()
    ok = fit.weights > 0
    error = errors(fit.r[ok], fit.jacobian[ok], fit.weights[ok])
    shipped = {k: ratio(p) for k, p in evaluate(fit.runs, given.level, x).items()}
    theta, used = values(x), Counter(name for names in fit.touch for name in names)
    for i, name in enumerate(NAMES):
        middle, _, (low, high) = PRIOR[name]
        bound = "  AT ITS BOUND" if theta[name] in (low, high) else ""
        print(
            f"{name:55} {theta[name]:9.4g}  x/ {np.exp(error[i]):.2f}  ({middle:.3g} expected, {used[name]} runs){bound}"
        )
    report("as fitted", shipped, fit)
    if given.write:
        write(theta)
    if given.page:
        scores = {name: out_of_fold(fit, key) for name, key in KEYS.items()}
        for name, each in scores.items():
            report(f"out of fold by {name}", each, fit)
        output.write(
            ROOT / "docs" / "accuracy" / "engines.md",
            page(fit, theta, error, used=used, shipped=shipped, scores=scores, runs=runs).encode(),
        )


def start() -> np.ndarray:
    """Return the constants of the files."""
    out = np.zeros(len(NAMES))
    for i, name in enumerate(NAMES):
        found = _stated(name)
        if found:
            out[i] = np.log(found / PRIOR[name][0])
    return out


def _stated(name: str) -> float | None:
    file, table, key = _parts(name)
    layer = next((each for each in catalog._load("engine", file).all() if each.place == f"{file}{table}"), None)  # noqa: SLF001
    return None if layer is None else layer.values.get(key)


def clear(fit: Fit, ratios: Mapping[tuple[str, str], float], quantity: str) -> list[tuple[ServingRun, float]]:
    """Return the runs of quality A and B with their ratios."""
    return [(fit.by[i], r) for (i, q), r in ratios.items() if q == quantity and fit.by[i].quality != "C"]


def report(title: str, ratios: Mapping[tuple[str, str], float], fit: Fit) -> None:
    """Print the typical errors of runs of quality A and B."""
    parts = []
    for name, label in QUANTITIES.items():
        pairs = clear(fit, ratios, name)
        error, cells = typical(pairs)
        bias = np.expm1(np.nanmedian([r for _, r in pairs]))
        parts.append(f"{label} {error:.1%} ({cells} cells, bias {bias:+.1%})")
    print(f"{title}: {'; '.join(parts)}", flush=True)


def apart(runs: Sequence[ServingRun]) -> str:
    """Return a line for each reason that runs are not fitted to."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        if run.not_fitted:
            reasons[run.not_fitted].append(run.id)
    return "\n".join(
        f"- {len(ids)} runs ({min(ids)} to {max(ids)}) are scored and take no part in the fit: {reason}."
        for reason, ids in reasons.items()
    )


def page(
    fit: Fit, theta: Theta, error: np.ndarray, *, used: Mapping[str, int], shipped: Mapping[tuple[str, str], float],
    scores: Mapping[str, Mapping[tuple[str, str], float]], runs: Sequence[ServingRun],
) -> str:  # fmt: skip
    """Return the page that tells the constants and the scores."""

    def line(
        label: str, of: Sequence[Mapping[tuple[str, str], float]], keep: Callable[[ServingRun], bool]
    ) -> list[str]:
        out, some = [label], False
        for name in QUANTITIES:
            for i, each in enumerate(of):
                value, cells = typical([pair for pair in clear(fit, each, name) if keep(pair[0])])
                out += ([f"{cells}"] if i == 0 else []) + [f"{value:.0%}" if cells else "–"]
                some |= cells > 0
        return out if some else []

    whole = [line("as fitted", [shipped], lambda _: True)]
    whole += [line(f"without its {name}", [each], lambda _: True) for name, each in scores.items()]
    head = ["", *(part for label in QUANTITIES.values() for part in (f"{label}: cells", "typical error"))]
    both = ["", *(part for label in QUANTITIES.values() for part in (f"{label}: cells", "in fold", "out of fold"))]
    tables = []
    for name, key in KEYS.items():
        if name == "model and system":
            continue
        lines = [
            line(each, [shipped, scores[name]], lambda run, each=each, key=key: key(run) == each)
            for each in sorted({key(run) for run in fit.runs})
        ]
        tables.append(f"### Without its {name}\n\n" + "\n".join(_markdown(both, [each for each in lines if each])))
    stacks = sorted({(run.engine, catalog.system(run.system).package.name) for run in fit.runs})
    fold = scores["model and system"]
    lines = [
        line(
            f"{engine}, {chip}",
            [shipped, fold],
            lambda run, engine=engine, chip=chip: (
                (run.engine, catalog.system(run.system).package.name) == (engine, chip)
            ),
        )
        for engine, chip in stacks
    ]
    tables.append(
        "### By stack and chip, without its model and system\n\n"
        + "\n".join(_markdown(both, [each for each in lines if each]))
    )
    kinds = [
        line(kind or "not known", [shipped, fold], lambda run, kind=kind: run.launch == kind)
        for kind in ("default", "tuned", "day-0", "")
    ]
    tables.append(
        "### By kind of launch, without its model and system\n\n"
        + "\n".join(_markdown(both, [each for each in kinds if each]))
    )
    constants = [
        [f"`{name}`", _shown(name, PRIOR[name][0]), _shown(name, theta[name]), f"x/÷ {np.exp(error[i]):.2f}",
         f"{_shown(name, PRIOR[name][2][0])} to {_shown(name, PRIOR[name][2][1])}", f"{used[name]}"]
        for i, name in enumerate(NAMES)
    ]  # fmt: skip
    listed = "\n".join(_markdown(["constant", "expected", "fitted", "error", "range", "runs"], constants))
    return PAGE.format(
        constants=len(theta), runs=len(fit.runs), scores="\n".join(_markdown(head, whole)), tables="\n\n".join(tables),
        apart=apart(runs), listed=listed, most=MOST,
    )  # fmt: skip


PAGE = """# Accuracy of serving estimates

Made by `python scripts/engines.py --write --page`. Kernels and links are fitted to timings of their own ([fits](fits.md)); what a
software stack adds to them are {constants} constants, fitted to the published runs in `workloads/runs/serving.csv`. None belongs to a
run, a model or a source.

*Typical error* is exp(mean of |ln(predicted / measured)|) - 1 over cells of (source, model, system, weight format), each cell counting
once, runs of quality A and B, at most {most} runs of a cell and engine ({runs} in all). *Out of fold*: predicted with constants fitted
without any run of the same kind, named in the title; kernels and links keep their own fits.

## Scores

{scores}

{tables}

## What is not explained

{apart}
- Dense models at batch 1 on H20 decode at 33 to 40 % of the memory bandwidth, though their prompts take the predicted time. Most of it is
  the matrix instruction: Hopper's multiplies 64 rows at once, and at a tenth of an H100's matrix rate 64 rows of one token take longer than
  their weights. With that, bf16 is still predicted 1.2 times too quick, fp8 1.1 to 1.3 times too slow.
- A first request after the start (kernels compiled on demand) spoils means over ten requests; no term stands for it.
- Whether a service drafts tokens, and how many are accepted, decides more than any constant here where a source does not say it.

- Attention data parallelism under default launches (SGLang on MI300X and B200): steps are longer than predicted by up to 2, as graphs are
  padded to the fullest rank and a prompt of one rank takes all of them out of their graph.
- One burst of prompts of very different lengths (offline runs of quality C, 1.5 to 5 times too quick on every maker's chips): the longest
  answers end alone. A row that does not say how its lengths vary is priced as if they were equal.
- Block-scaled fp8 under ROCm takes 3 times the launches of others. The factor follows from kernels that AITER's developers timed (pull
  request 1195), not from runs; DeepSeek-R1 and Qwen3.5-397B on 8 MI300X in pull requests 1930 and 2613, which are in no list here, take
  0.88 to 1.25 times as long as predicted before those kernels were tuned.
- Services with drafts that nobody stated (quality C) are 1.5 to 2 times quicker than predicted without drafts. Where drafts are stated and
  their acceptance is not, a head trained afterwards is taken to keep 63 % of them, as published; Qwen3 under SGLang on Ascend is then
  within 43 %, and mostly still too quick.
- MiniMax-M2.5 under vLLM on 8 H200, days after the model appeared: 1.4 to 2.0 times longer a token at 4 to 16 requests than predicted, with
  attention cut over tensor ranks as with data-parallel ones, and prompts pass at 20,000 tokens/s, a third of what is predicted. The scripts are
  called work in progress by their authors, and under SGLang on H100 the same model is within 13 %: no constant stands for it.
- One burst of 998 prompts of 8,000 tokens under vLLM on 8 H200 (Kimi-K2-Thinking): the rate is within 15 %, the mean TPOT is
  0.38 s where 0.19 s are predicted, the mean time between tokens 0.11 s. Answers end on their own: short ones, which end while nearly every step
  passes a prompt, count as much in a mean over requests as long ones.
- vLLM of late 2025 with block-scaled fp8 experts cut over ranks (Qwen3-235B on 4 and 8 H100, DeepSeek-V3 on 8 B200, from the collection of power
  measurements): 10 to 15 us longer for each expert that is hit in a step. Until pull request 29346 (November 2025) these GEMMs went
  through DeepGEMM, which the makers of the engine found slower for them; timings here are of a release of August 2026. Those rows do not state a release.
- The same collection at 128 requests and more, dense models too: 1.2 to 1.4 times longer a token than predicted, as if one process could send
  no more than some 7,000 tokens/s. Runs of vLLM 0.16 send 18,800 tokens/s, so that is no constant of the newest release.
- SGLang without a release (`main`, branches, or none) is priced as the newest, with graphs cut at attention, though most of these runs are
  older than that default (April 2026). Without the graphs two of five such cells fit better and three worse.
- Decode pools of SGLang that wait for prompts (gpt-oss-120b on H200, short answers): 7 to 9 ms a token with few requests left in the pool, where 4.5 to
  6 ms are predicted; each step also asks for transfers that have arrived.
- MiniMax-M2.5 in fp8 under vLLM on two B200 (InferenceX): at 512 requests nobody waits for a place although a cache in 16 bits, which the row
  leaves open and the script of that model does not change, is full at 300: TTFT is predicted 5 to 33 times too long in five runs.

## What disaggregation buys

Two things made two pools look better than they are, or one pool worse. The host's time for each sequence was charged for all attention
ranks of a replica; each rank has a scheduler of its own. DeepSeek-R1 under TensorRT-LLM on GB200 with up to 32 ranks was predicted 0.9 to 4.8
times the measured TPOT, and is 0.8 to 1.2 times since, with prompts on chips of their own. And prompts of any rank hold up all ranks, unless
they are held back until all have some, as TensorRT-LLM does (`gathered`).

The third is how one pool passes prompts. A step with prompts that no graph has captured is bound by the host's launches, some 1,500 of
them for DeepSeek-R1; tuned launches on Blackwell capture such steps too, cut at attention (InferenceX, dsr1_fp8_b200_trt.sh and dsr1_fp4_b200_trt.sh:
enable_piecewise_cuda_graph). DeepSeek-R1, nvfp4, on GB200 NVL72 under TensorRT-LLM, tuned, at 50 ms: two pools make 37 % more tokens/s per chip than one
at 1,024 tokens in and out without drafts (70 % where steps with prompts are launched kernel by kernel), 15 % more with one draft token; 92 and 35 % more at
8,192 in. Published pairs of runs gain -18 to +57 %; their drafts are not recorded. At 20 ms it is 65 to 350 %, as one pool can hardly
pass prompts of thousands of tokens within the limit.

## Constants

{listed}
"""


def _shown(name: str, value: float) -> str:
    timed = name.rpartition(".")[2] in ("gap", "prompt_gap", "sequence", "stream", "front", "launch_host")
    return show(value, SECOND, 3) if timed else f"{value:.3g}"


def _markdown(head: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---", *["--:"] * (len(head) - 1)], *rows)]


def write(theta: Theta) -> None:
    """Put constants into the stacks' files, three digits each."""
    for name, value in theta.items():
        file, table, key = _parts(name)
        for stem in (file, *(each for each, of in SHARED.items() if of == file)):
            if stem == file or f"{stem}{table}.{key}" not in PRIOR:
                _replace(ROOT / "workloads/stacks" / f"{stem}.toml", f"[stack{_quoted(table)}]", key, value)


def _quoted(table: str) -> str:
    """Return a table's path as TOML writes it: releases hold dots."""
    head, found, release = table.partition(".release.")
    return f'{head}{found}"{release}"' if found else table


def _replace(path: Path, begin: str, key: str, value: float) -> None:
    text = path.read_text(encoding="utf-8")
    if f"{begin}\n" not in text:
        return
    start = text.index(f"{begin}\n")
    end = text.find("\n[", start)
    timed = key in ("gap", "prompt_gap", "sequence", "stream", "front", "launch_host")
    said = f'"{float(f"{value * 1e6:.3g}"):g} us"' if timed else f"{value:.3g}"
    block = re.sub(rf"^({key} *= )(?!{{).*$", rf"\g<1>{said}", text[start:end], flags=re.MULTILINE)
    output.write(path, (text[:start] + block + text[end:]).encode())


if __name__ == "__main__":
    main()
