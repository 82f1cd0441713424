r"""A user's stack, fitted to a few points of a serving benchmark.

The host's and the launches' constants of the stack that a run names are moved until log(predicted / measured) of TPOT, TTFT and rate is
least, each held near what the library's file states by its uncertainty:

.. math:: \min_x \sum_i (r_i(x) / \nu)^2 + \sum_j (x_j / \sigma_j)^2, \qquad x_j = \log(c_j / c_{j,0}) .

What the points do not determine stays where it was, and its error says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.catalog.stacks import NUMBERS
from roofline.core.errors import QuestionError, fault
from roofline.core.text import columns
from roofline.core.units import MICRO, SECOND, Num, Ratio, show
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.validation.replay import predict
from roofline.validation.runs import ServingRun, serving_runs
from roofline.validation.scoring import Prediction
from roofline.validation.serving_assumptions import opener

FITTED: Final[Mapping[str, float]] = {
    "launch": 0.3, "launch_host": 0.7, "gap": 0.7, "prompt_gap": 0.7, "sequence": 0.7, "stream": 0.7, "front": 0.7,
}  # fmt: skip
"""Constants that are fitted, and how many parts each may be off before (standard deviation of its logarithm)."""

_NOISE: Final = 0.1
_STEP: Final = 0.05
_ROUNDS: Final = 3


@frozen(eq=False)
class OwnStack:
    """A stack fitted to runs.

    Attributes:
        engine: the stack with its fitted constants.
        base: the stack it started from.
        errors: standard error of the logarithm of each constant.
        before: typical error, exp(mean |log(predicted / measured)|) - 1, with the constants of ``base``.
        after: the same with the fitted constants.
        runs: number of runs that could be priced.
    """

    engine: Engine
    base: Engine
    errors: Mapping[str, Ratio]
    before: Ratio
    after: Ratio
    runs: int

    def toml(self) -> str:
        """Return the stack as a file that ``--engine`` takes."""
        lines = ["[stack]", f'title = "{self.base.title}, fitted to {self.runs} runs"', 'source = "runs"']
        if self.base.stack:
            lines.append(f'kernels = "{self.base.stack}"')
        lines.append(f"captured = {json.dumps(self.base.captured)}")
        lines.append(f"pieces = {json.dumps(self.base.pieces)}")
        lines.append(f"pieces_shared = {json.dumps(self.base.pieces_shared)}")
        lines.append(f'exchange = "{self.base.exchange}"')
        for name, (unit, _, _) in NUMBERS.items():
            value = getattr(self.engine, name)
            if value is not None:
                lines.append(
                    f'{name} = "{float(value) / MICRO:.4g} us"' if unit == SECOND else f"{name} = {float(value):.4g}"
                )
        lines += ["", "[sources.runs]", 'kind = "derived"', f'title = "{self.runs} serving runs"',
                  f'how = "roofline calibrate, from the stack {" <- ".join(self.base.chain)}"', ""]  # fmt: skip
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the machine-readable answer."""
        return {
            "runs": self.runs, "from": list(self.base.chain), "typical_error_before": self.before, "typical_error_after": self.after,
            "constants": {
                name: {"before": float(getattr(self.base, name)), "after": float(getattr(self.engine, name)), "error": error}
                for name, error in self.errors.items()
            },
        }  # fmt: skip

    def table(self) -> str:
        """Return the constants before and after as text."""

        def shown(name: str, value: Num) -> str:
            return show(float(value), SECOND, 3) if NUMBERS[name][0] == SECOND else f"{float(value):.3g}"

        rows = [
            [
                name,
                shown(name, getattr(self.base, name)),
                shown(name, getattr(self.engine, name)),
                f"x/÷ {math.exp(error):.2f}",
            ]
            for name, error in self.errors.items()
        ]
        head = ["constant", "before", "fitted", "error"]
        headline = f"{self.runs} runs, typical error {self.before:.1%} before, {self.after:.1%} after; from {' <- '.join(self.base.chain)}"
        return f"{headline}\n\n{columns(rows, head=head, right=range(1, 4))}"


def own_stack(
    what: str | Path | Iterable[Mapping[str, object]], *, level: str | Path | Calibration = "calibrated"
) -> OwnStack:
    """Fit the stack of serving runs to them.

    Args:
        what: the path of a CSV file of runs, or its rows, all of one engine on one system; see :mod:`roofline.validation.runs`.

    Raises:
        DescriptorError: the file cannot be read. QuestionError: the runs are of several stacks, or none can be priced.
    """
    label, rows = catalog.measured(what) if isinstance(what, (str, Path)) else ("rows", [dict(row) for row in what])
    runs = serving_runs(rows, label)
    stacks = sorted({(run.engine, run.system) for run in runs})
    if len(stacks) != 1:
        listed = ", ".join(" on ".join(each) for each in stacks[:4])
        raise QuestionError(fault("runs", listed, "must be of one engine on one system", "fit each stack by itself"))
    base = _stack(runs, level)
    names = [name for name in FITTED if float(getattr(base, name)) > 0]
    x = np.zeros(len(names))
    found = _ratios(runs, level, names, x)
    if not found.size:
        raise QuestionError(fault("runs", label, "none can be priced", "see roofline validate for the reasons"))
    before = found
    sigma = np.array([FITTED[name] for name in names])
    hessian = np.eye(len(names))
    for _ in range(_ROUNDS):
        moved = [_ratios(runs, level, names, x + _STEP * unit) for unit in np.eye(len(names))]
        slopes = (np.array(moved) - found).T / _STEP
        hessian = slopes.T @ slopes / _NOISE**2 + np.diag(sigma**-2)
        x = x - np.linalg.solve(hessian, slopes.T @ found / _NOISE**2 + x / sigma**2)
        x = np.array([_within(base, name, by) for name, by in zip(names, x, strict=True)])
        found = _ratios(runs, level, names, x)
    errors = dict(zip(names, (float(each) for each in np.sqrt(np.diag(np.linalg.inv(hessian)))), strict=True))
    return OwnStack(_moved(base, names, x), base, errors, _typical(before), _typical(found), len(runs))


def _stack(runs: Iterable[ServingRun], level: str | Path | Calibration) -> Engine:
    open_ = opener(level)
    return next(open_(run).profile.engine for run in runs)


def _moved(engine: Engine, names: Iterable[str], x: Iterable[float]) -> Engine:
    change: Any = {name: getattr(engine, name) * math.exp(by) for name, by in zip(names, x, strict=True)}
    return attrs.evolve(engine, **change)


def _within(base: Engine, name: str, by: float) -> float:
    """Return the logarithm of a constant's ratio to its first value, within its physical range."""
    _, least, most = NUMBERS[name]
    value = float(getattr(base, name))
    return float(np.clip(by, math.log(max(least, _SMALLEST) / value), math.log(most / value)))


_SMALLEST: Final = 5e-10


def _ratios(runs: tuple[ServingRun, ...], level: Any, names: list[str], x: Any) -> Any:
    def adjust(profile: Calibration) -> Calibration:
        # What a run without a server leaves out stays out.
        moved = [(name, by) for name, by in zip(names, x, strict=True) if float(getattr(profile.engine, name)) > 0]
        return attrs.evolve(profile, engine=_moved(profile.engine, [n for n, _ in moved], [by for _, by in moved]))

    return np.array([_log(p) for p in predict(runs, level, adjust=adjust) if p.predicted and p.measured])


def _log(p: Prediction) -> float:
    return math.log((p.predicted or 1.0) / (p.measured or 1.0))


def _typical(ratios: Any) -> float:
    return float(np.expm1(np.mean(np.abs(ratios))))
