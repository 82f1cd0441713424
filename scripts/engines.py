"""Fit what engines add to their kernels to published serving runs, and score it twice: ``python scripts/engines.py``.

Kernels, links and collectives are fitted to timings of their own (``scripts/profiles.py``) and stay as they are. What is left
are some thirty constants: time of the host by engine, and two kernel classes that nobody has timed. They are fitted by least
squares on log(predicted / measured), robustly, cells of (model, system, engine) weighing as the fourth root of their rows,
and shrunk hard towards the values in ``PRIOR``. Two scores are printed: with the constants as fitted, and *out of fold*, each
(model, system) predicted with constants fitted without any of its runs. With ``--write`` the fitted ones go into the files.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs
import numpy as np

from roofline import catalog
from roofline.core.units import SECOND, show
from roofline.hardware.constants import Calibration
from roofline.validation.replay import predict
from roofline.validation.runs import ServingRun, serving_runs
from roofline.validation.scoring import Prediction, score

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("trtllm", "vllm", "sglang")
SHARED = {"nim": "trtllm", "trtllm-0": "trtllm", "sglang-0.5.1": "sglang"}
"""Engines that share the constants of another."""

PRIOR: Mapping[str, tuple[float, float]] = {
    **{f"{name}.launch": (1.0, 0.06) for name in ENGINES},
    **{f"{name}.gap": (2e-4, 0.5) for name in ENGINES},
    **{f"{name}.prompt_gap": (2e-3, 0.5) for name in ENGINES},
    **{f"{name}.stream": (1.5e-5, 0.5) for name in ENGINES},
    **{f"{name}.sequence": (s, 0.5) for name, s in (("trtllm", 2e-6), ("vllm", 1e-5), ("sglang", 1e-5))},
    **{f"{name}.front": (15e-3, 0.3) for name in ENGINES},
    "sglang.bunched": (0.3, 0.5),
    "*.crowd": (1.1, 0.3),
    "fastertransformer.launch": (1.4, 0.3),
    "llama.cpp.launch": (1.4, 0.3),
    # As the nearest kernels that were timed: experts in nvfp4, and in 16 bits.
    "moe.mxfp4.t0": (30e-6, 0.4), "moe.mxfp4.eta_memory": (0.875, 0.12), "moe.mxfp4.eta_compute": (0.42, 0.4),
    "moe.w4a16.t0": (40e-6, 0.4), "moe.w4a16.eta_memory": (0.83, 0.12), "moe.w4a16.eta_compute": (0.6, 0.4),
}  # fmt: skip
"""Each constant with what is expected of it, and how many parts it may be off (standard deviation of its logarithm)."""

NAMES = tuple(PRIOR)
WIDTH, NOISE, FOLDS = 0.15, 0.12, 8
WEIGHT = {"tpot_s": 1.0, "ttft_s": 0.5, "output_tokens_per_s": 0.7}
CANNOT = {f"nvidia-aic-{i:04d}" for i in range(787, 808)}
"""Runs whose prompts alone take longer at the vendor's peak than the whole was measured: scored, and kept out of the fit."""


def adjusted(theta: Mapping[str, float], profile: Calibration) -> Calibration:
    """Return a profile with the constants of its engine, and of the classes nobody timed, replaced."""
    engine = profile.engine
    name = SHARED.get(engine.name, engine.name)
    change = {
        key.partition(".")[2]: value
        for key, value in theta.items()
        if key.startswith((f"{name}.", "*.")) and not key.startswith("moe.")
    }
    if name == "llama.cpp":
        change = {"launch": theta["llama.cpp.launch"]}
    if name not in ENGINES:
        change.pop("crowd", None)
    if engine.name == "sglang-0.5.1":
        change.pop("bunched")
    kernels = dict(profile.kernels)
    for form in ("mxfp4", "w4a16"):
        own = {key.rsplit(".", 1)[1]: value for key, value in theta.items() if key.startswith(f"moe.{form}.")}
        own["eta_memory"] = min(own["eta_memory"], 1.0)
        kernels["moe", form] = attrs.evolve(kernels["moe", form], **own)
    return attrs.evolve(profile, kernels=kernels, engine=attrs.evolve(engine, **change))


class Forward:
    """Predictions at given constants."""

    def __init__(self, runs: Sequence[ServingRun], level: str) -> None:
        """Keep what is asked."""
        self.runs, self.level = runs, level

    def __call__(self, x: np.ndarray) -> tuple[Prediction, ...]:
        """Return the predictions at the prior times ``exp(x)``."""
        theta = {name: PRIOR[name][0] * float(np.exp(value)) for name, value in zip(NAMES, x, strict=True)}
        return predict(self.runs, self.level, adjust=lambda profile: adjusted(theta, profile))


def logs(found: Sequence[Prediction]) -> np.ndarray:
    """Return log(predicted / measured); NaN where either is missing."""
    return np.array([np.log(p.predicted / p.measured) if p.predicted and p.measured else np.nan for p in found])


def cell(p: Prediction) -> str:
    """Return what is left out together."""
    return f"{p.run.model} {p.run.system}"


def solve(base: np.ndarray, at: np.ndarray, jacobian: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the constants that explain the linearised rows best, near the prior: robust Gauss-Newton."""
    sigma = np.array([PRIOR[name][1] for name in NAMES])
    x = at.copy()
    for _ in range(30):
        r = base + jacobian @ (x - at)
        w = weights / np.sqrt(1 + (r / WIDTH) ** 2) / NOISE**2
        left = jacobian.T @ (jacobian * w[:, None]) + np.diag(1 / sigma**2)
        right = -jacobian.T @ (w * (base - jacobian @ at))
        x = np.linalg.solve(left, right)
    return x


def main() -> None:
    """Fit, score, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", default="calibrated", choices=("generic", "calibrated"))
    parser.add_argument("--write", action="store_true", help="put the fitted constants into the files")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    _, rows = catalog.measured("serving")
    runs = [run for run in serving_runs(rows, "serving") if run.quality != "C"]
    forward = Forward(runs, given.level)
    x = np.zeros(len(NAMES))
    with ProcessPoolExecutor(given.workers) as pool:
        for _ in range(2):
            step = 0.05
            points = [x, *(x + step * row for row in np.eye(len(NAMES)))]
            found, *moved = pool.map(forward, points)
            base = logs(found)
            jacobian = np.array([(logs(each) - base) / step for each in moved]).T
            weights = rows_weights(found, base)
            ok = weights > 0
            x = solve(base[ok], points[0], np.nan_to_num(jacobian[ok]), weights[ok])
            print(f"mean |x| {np.abs(x).mean():.3f}", file=sys.stderr)
        cells = sorted({cell(p) for p in found})
        np.random.default_rng(0).shuffle(cells)
        groups = [set(cells[i::FOLDS]) for i in range(FOLDS)]
        thetas = [solve(base[keep], points[0], np.nan_to_num(jacobian[keep]), weights[keep])
                  for group in groups for keep in [ok & np.array([cell(p) not in group for p in found])]]  # fmt: skip
        shipped, *held = pool.map(forward, [x, *thetas])
    out = [
        next(each[i] for each, group in zip(held, groups, strict=True) if cell(p) in group) for i, p in enumerate(found)
    ]
    for name, value in zip(NAMES, x, strict=True):
        print(f"{name:28} {PRIOR[name][0] * np.exp(value):.4g}   ({PRIOR[name][0]:.3g} expected)")
    for title, each in (("as shipped", shipped), ("out of fold", out)):
        print(f"\n{title}\n{table(each)}")
    if given.write:
        theta = {name: PRIOR[name][0] * float(np.exp(value)) for name, value in zip(NAMES, x, strict=True)}
        write(theta)
        catalog.write(ROOT / "docs" / "accuracy" / "engines.md", page(theta, shipped, out).encode())


def rows_weights(found: Sequence[Prediction], base: np.ndarray) -> np.ndarray:
    """Return the weight of each prediction in the fit; 0 for those that take no part."""
    names = [f"{cell(p)} {p.run.engine} {p.quantity}" for p in found]
    count = {name: names.count(name) for name in set(names)}
    out = np.array([WEIGHT[p.quantity] ** 2 * count[name] ** -0.5 for p, name in zip(found, names, strict=True)])
    online = np.array([p.run.mode == "online" and p.quantity == "output_tokens_per_s" for p in found])
    apart = np.array([p.run.prompts is not None or p.run.id in CANNOT for p in found])
    return np.where(np.isfinite(base) & ~online & ~apart, out, 0.0)


def table(found: Sequence[Prediction]) -> str:
    """Return the score by mode and quantity, and of TPOT and TTFT by system and engine."""
    lines = []
    shown = (("online", "tpot_s"), ("online", "ttft_s"), ("offline", "output_tokens_per_s"), ("static", "output_tokens_per_s"),
             ("decode", "tpot_s"), ("prefill", "ttft_s"))  # fmt: skip
    for mode, name in shown:
        lines.append(_line(f"{mode} {name}", [p for p in found if p.run.mode == mode and p.quantity == name]))
    online = [p for p in found if p.run.mode == "online"]
    for key in ("system", "engine", "model"):
        for value in sorted({getattr(p.run, key) for p in online}):
            mine = [p for p in online if getattr(p.run, key) == value]
            lines.append(_line(f"  {value} TPOT", [p for p in mine if p.quantity == "tpot_s"]))
            lines.append(_line(f"  {value} TTFT", [p for p in mine if p.quantity == "ttft_s"]))
    return "\n".join(lines)


def page(theta: Mapping[str, float], shipped: Sequence[Prediction], out: Sequence[Prediction]) -> str:
    """Return the page that tells the constants and both scores."""
    head = ["", "runs", "as shipped: mean", "median", "bias", "in the 80 % interval"]
    head += ["out of fold: mean", "median", "bias", "in the interval"]
    scores = _markdown(head, [_cells(label, a, b) for label, a, b in _both(shipped, out)])
    constants = [[f"`{name}`", _shown(name, PRIOR[name][0]), _shown(name, value)] for name, value in theta.items()]
    listed = "\n".join(_markdown(["constant", "expected", "fitted"], constants))
    return PAGE.format(
        constants=len(theta), scores="\n".join(scores), first=min(CANNOT), last=max(CANNOT), listed=listed
    )


PAGE = """# Engines, and how far off services are

Made by `python scripts/engines.py --write`. Kernels and links are fitted to timings of their own ([fits](fits.md)); what an engine
adds to them are {constants} constants, fitted to the published runs in `workloads/runs/serving.csv` (quality A and B), robustly,
cells of (model, system, engine) weighing alike, shrunk hard towards what was expected. None belongs to a run, a model or a source.

## Scores

*As shipped*: with the constants below. *Out of fold*: each (model, system) predicted with constants fitted without any of its runs.

{scores}

Runs {first} to {last} are scored and took no part in the fit: their prompts alone take longer at the vendor's peak than the whole
was measured to take, so most of them were in the cache already.

## Constants

{listed}
"""


def _both(
    shipped: Sequence[Prediction], out: Sequence[Prediction]
) -> list[tuple[str, list[Prediction], list[Prediction]]]:
    titles = {"tpot_s": "TPOT", "ttft_s": "TTFT", "output_tokens_per_s": "tokens/s"}
    shown = (("online", "tpot_s"), ("online", "ttft_s"), ("offline", "output_tokens_per_s"), ("static", "output_tokens_per_s"),
             ("decode", "tpot_s"), ("prefill", "ttft_s"))  # fmt: skip
    rows = []
    for mode, name in shown:
        rows.append(
            (
                f"{titles[name]}, {mode}",
                *([p for p in each if p.run.mode == mode and p.quantity == name] for each in (shipped, out)),
            )
        )
    online = [[p for p in each if p.run.mode == "online"] for each in (shipped, out)]

    def add(said: str, name: str, keep: Callable[[Prediction], bool]) -> None:
        rows.append((said, *([p for p in each if p.quantity == name and keep(p)] for each in online)))

    for name in ("tpot_s", "ttft_s"):
        for pools, said in ((False, "one pool"), (True, "prompts on chips of their own")):
            add(f"{titles[name]}, online, {said}", name, lambda p, pools=pools: (p.run.prompts is not None) == pools)
    for key in ("system", "engine", "model"):
        for value in sorted({getattr(p.run, key) for p in online[0]}):
            for name in ("tpot_s", "ttft_s"):
                add(f"{value}, {titles[name]}", name, lambda p, key=key, value=value: getattr(p.run, key) == value)
    return [row for row in rows if row[1]]


def _cells(label: str, a: Sequence[Prediction], b: Sequence[Prediction]) -> list[str]:
    out = [label, f"{len([p for p in a if p.measured is not None]):,}"]
    for each in (a, b):
        s = score(each)
        if s.mape is None or s.median_ape is None or s.bias is None:
            out += ["–"] * 4
        else:
            out += [
                f"{s.mape:.1%}",
                f"{s.median_ape:.1%}",
                f"{s.bias:+.1%}",
                "–" if s.inside_interval is None else f"{s.inside_interval:.0%}",
            ]
    return out


def _shown(name: str, value: float) -> str:
    timed = name.rpartition(".")[2] in ("gap", "prompt_gap", "sequence", "stream", "front", "t0")
    return show(value, SECOND, 3) if timed else f"{value:.3g}"


def _markdown(head: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---", *["--:"] * (len(head) - 1)], *rows)]


def _line(label: str, found: Sequence[Prediction]) -> str:
    s = score(found)
    if s.mape is None:
        return f"{label:34} –"
    inside = "" if s.inside_interval is None else f", {s.inside_interval:.0%} inside"
    return f"{label:34} n {s.n:5}  MAPE {s.mape:6.1%}  median {s.median_ape:6.1%}  bias {s.bias:+6.1%}{inside}"


def write(theta: Mapping[str, float]) -> None:
    """Put constants into the descriptors, three digits each."""
    for name, value in theta.items():
        head, _, key = name.rpartition(".")
        if head.startswith("moe."):
            path, begin = ROOT / "hardware/calibration/generic.toml", f"[kernel.{head}]"
            _replace(path, begin, key, value)
            continue
        for file in (ROOT / "workloads/engines").glob("*.toml"):
            of = SHARED.get(file.stem, file.stem)
            lockstep = file.stem == "sglang-0.5.1" and key == "bunched"  # what that release does, not what a fit says
            if not lockstep and ((head == "*" and of in (*ENGINES, "generic")) or of == head):
                _replace(file, "[engine]", key, value)
    generic = ROOT / "workloads/engines/generic.toml"
    for key in ("launch", "gap", "prompt_gap", "sequence", "stream", "front"):
        _replace(generic, "[engine]", key, float(np.exp(np.mean([np.log(theta[f"{name}.{key}"]) for name in ENGINES]))))


def _replace(path: Path, begin: str, key: str, value: float) -> None:
    text = path.read_text(encoding="utf-8")
    start = text.index(begin)
    end = text.index("\n\n", start)
    text_value = (
        f'"{float(f"{value * 1e6:.3g}"):g} us"'
        if key in ("gap", "prompt_gap", "sequence", "stream", "front", "t0")
        else f"{value:.3g}"
    )
    block = re.sub(rf"^{key} *=.*$", f"{key} = {text_value}", text[start:end], flags=re.MULTILINE)
    catalog.write(path, (text[:start] + block + text[end:]).encode())


if __name__ == "__main__":
    main()
