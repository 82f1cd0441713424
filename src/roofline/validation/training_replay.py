"""Training runs priced as they were measured: those that ask alike are one array, each with the quickest layout it leaves open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from roofline.hardware.constants import Calibration
from roofline.planner.evaluation import Progress
from roofline.planner.train import train
from roofline.validation.replay import refused, together
from roofline.validation.runs import TrainingRun
from roofline.validation.scoring import Prediction
from roofline.validation.training_assumptions import Adjust, TrainingCase, opener
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep

QUANTITY: Final = "step_time_s"
_DEGREES: Final = ("tp", "pp", "dp", "ep", "cp", "vpp", "etp")


def predict(
    runs: Sequence[TrainingRun],
    level: str | Path | Calibration,
    progress: Progress | None = None,
    adjust: Adjust | None = None,
) -> tuple[Prediction, ...]:
    """Return the predicted time of a step of each run; repeats of one configuration share the weight of one.

    ``adjust`` may change the constants and the framework that a run is priced with.
    """
    repeats = Counter(run.configuration for run in runs)
    weights = {run.id: 1.0 / repeats[run.configuration] for run in runs}
    told = together(runs, opener(level, adjust), _priced, _wanted, progress)
    return tuple(attrs.evolve(p, weight=weights[p.run.id]) for p in told)


def _wanted(_: TrainingRun) -> tuple[str, ...]:
    return (QUANTITY,)


def _priced(cases: Sequence[TrainingCase]) -> list[list[Prediction]]:
    """Return the predictions of runs that ask alike: a row of the array for each, a column for each layout."""

    def column(of: Callable[[TrainingCase], Any]) -> Any:
        return np.array([[float(of(case))] for case in cases])

    first = cases[0]
    degrees: Any = {name: np.stack([getattr(case.layouts, name) for case in cases]) for name in _DEGREES}
    layout: Layout = attrs.evolve(first.layouts, **degrees)
    question = TrainStep(
        first.model, column(lambda c: c.run.batch), column(lambda c: c.run.length), column(lambda c: c.micro_batch),
        recompute=first.recompute, share=column(lambda c: c.share), task=first.run.task,
        document=column(lambda c: c.document), offload=column(lambda c: c.offload), imbalance=1.0,
    )  # fmt: skip
    est = train(question, first.system, layout, level=first.profile, framework=first.framework)
    shape = (len(cases), int(np.size(first.layouts.tp)))

    def wide(value: Any) -> Any:
        return np.broadcast_to(value, shape)

    ends = est.interval("step_time") or (np.nan, np.nan)
    time, low, high = (wide(value) for value in (est.step_time, *ends))
    laid, fits = wide(est.divides) & np.isfinite(time), wide(est.fits)
    # The quickest that fits; where none does, the quickest that can be laid out.
    good = laid & (fits | ~(laid & fits).any(axis=1, keepdims=True))
    best = np.argmin(np.where(good, time, np.inf), axis=1)
    out = []
    for i, (case, j) in enumerate(zip(cases, best, strict=True)):
        if not laid[i, j]:
            why = [rule.reason for rule in est.rules if not wide(rule.ok)[i, j]]
            out.append(refused(case.run, (QUANTITY,), next(iter(why), "there is no finite answer")))
            continue
        said = case.said if fits[i, j] else (*case.said, "it ran, though by this count it exceeds the memory of a chip")
        known = bool(np.isfinite(low[i, j]) and np.isfinite(high[i, j]))
        out.append([Prediction(
            case.run, QUANTITY, case.run.measured.get(QUANTITY), float(time[i, j]), float(low[i, j]) if known else None,
            float(high[i, j]) if known else None, case.profile.level, "", said,
        )])  # fmt: skip
    return out
