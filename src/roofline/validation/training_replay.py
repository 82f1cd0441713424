"""Predictions of measured training runs; runs with the same structure are one array, each with its fastest possible layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from roofline.core.arrays import larger
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.planner.evaluation import Progress
from roofline.planner.train import train
from roofline.results.training import Training
from roofline.validation.replay import together, without_prediction
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
    outcomes = together(runs, opener(level, adjust), _priced, _wanted, progress)
    return tuple(attrs.evolve(p, weight=weights[p.run.id]) for p in outcomes)


_BEYOND: Final = "it ran, though by this count it exceeds the memory of a chip"
_WITHIN: Final = "it fits only within the uncertainty of its memory"
_TAIL: Final = 0.1
"""Chance of fitting below which a run lies outside the 80 % interval of its memory."""


def _least_recomputation(question: TrainStep, case: TrainingCase, layout: Layout, est: Training) -> tuple[Num, Num]:
    """Return the part of the layers that a run recomputes at least, where its source does not state it, if it is to fit; nan if none does.

    Where it does not fit as it is, memory falls in proportion to the layers that are recomputed in full. Beside it is the chance that it
    fits, with all layers recomputed if need be.
    """
    if case.stated or case.profile.level == "ideal" or np.all(est.fits):
        return np.where(est.memory.total <= est.capacity, 0.0, np.nan), est.fits_probability

    def again(part: float) -> Training:
        asked = attrs.evolve(
            question, recompute="full", share=part, offload=larger(question.offload, case.hosted * 1.0)
        )
        return train(asked, case.system, layout, level=case.profile, framework=case.framework)

    none, all_ = again(0.0), again(1.0)
    part = larger(none.memory.total - est.capacity, 0.0) / larger(none.memory.total - all_.memory.total, 1.0)
    least = np.where(est.memory.total <= est.capacity, 0.0, np.where(part <= 1, part, np.nan))
    return least, larger(est.fits_probability, all_.fits_probability)


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
        gradient_bytes=first.framework.gradients, document=column(lambda c: c.document), offload=column(lambda c: c.offload), imbalance=1.0,
    )  # fmt: skip
    shape = (len(cases), int(np.size(first.layouts.tp)))
    est = train(question, first.system, layout, level=first.profile, framework=first.framework)
    freed, chances = _least_recomputation(question, first, layout, est)

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
            out.append(without_prediction(case.run, (QUANTITY,), next(iter(why), "there is no finite answer")))
            continue
        part = float(wide(freed)[i, j])
        notes = case.said
        if np.isnan(part):
            chance = float(wide(chances)[i, j])
            notes = (*notes, _WITHIN if chance > _TAIL else _BEYOND)
        elif part > 0:
            notes = (
                *notes,
                f"it fits where {part:.0%} of the layers or more are recomputed, which is not recorded; the time of that is not charged",
            )
        known = bool(np.isfinite(low[i, j]) and np.isfinite(high[i, j]))
        out.append([Prediction(
            case.run, QUANTITY, case.run.measured.get(QUANTITY), float(time[i, j]), float(low[i, j]) if known else None,
            float(high[i, j]) if known else None, case.profile.level, "", notes,
        )])  # fmt: skip
    return out
