"""Predictions of measured runs; runs with the same structure are one array, and a run without prediction has a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from roofline.core.arrays import DETAILED
from roofline.core.errors import RooflineError
from roofline.hardware.constants import Calibration
from roofline.planner.evaluation import Progress
from roofline.results.alternatives import Z80
from roofline.validation.runs import ServingRun
from roofline.validation.scoring import Prediction
from roofline.validation.serving_assumptions import Adjust, Case, opener
from roofline.validation.serving_replay import PRICED, Batch, Outcome, apart
from roofline.workload.layout import Layout

_MOST_POINTS: Final = DETAILED // 2
"""Points priced at once: few enough that an answer keeps the details that intervals are made of."""


class Decided(Protocol):
    """A run with everything decided that pricing needs."""

    @property
    def run(self) -> Any:
        """The run."""

    @property
    def layouts(self) -> Layout:
        """What its chips may be split into, on one axis."""

    @property
    def alike(self) -> tuple[object, ...]:
        """What runs must share to be priced as one array."""


Run = TypeVar("Run")
Opened = TypeVar("Opened", bound=Decided)


def predict(
    runs: Sequence[ServingRun],
    level: str | Path | Calibration,
    progress: Progress | None = None,
    adjust: Adjust | None = None,
) -> tuple[Prediction, ...]:
    """Return what is predicted of each quantity that was measured of each run (of each that its mode has, where none was).

    ``adjust`` may change the constants that a run is priced with.
    """
    return together(runs, opener(level, adjust), _priced, _wanted, progress)


def together(
    runs: Sequence[Run],
    open_: Callable[[Run], Opened],
    price: Callable[[Sequence[Opened]], list[list[Prediction]]],
    wanted: Callable[[Run], tuple[str, ...]],
    progress: Progress | None,
) -> tuple[Prediction, ...]:
    """Return the predictions of runs of one kind, those that ask alike priced as one array; where that is refused, one by one.

    Args:
        open_: decides what a run leaves open.
        price: prices runs that ask alike.
        wanted: the quantities to predict of a run.
    """
    out: list[list[Prediction]] = [[] for _ in runs]
    alike: dict[tuple[object, ...], list[tuple[int, Opened]]] = {}
    done = 0
    for i, run in enumerate(runs):
        try:
            case = open_(run)
        except RooflineError as error:
            out[i], done = without_prediction(run, wanted(run), str(error)), done + 1
            continue
        alike.setdefault(case.alike, []).append((i, case))

    def priced(cases: Sequence[Opened]) -> list[list[Prediction]]:
        try:
            return price(cases)
        except RooflineError as error:
            if len(cases) == 1:
                return [without_prediction(cases[0].run, wanted(cases[0].run), str(error))]
            return [outcome for case in cases for outcome in priced([case])]

    for cases in alike.values():
        step = max(1, _MOST_POINTS // int(np.size(cases[0][1].layouts.tp)))
        for start in range(0, len(cases), step):
            part = cases[start : start + step]
            for (i, _), outcome in zip(part, priced([case for _, case in part]), strict=True):
                out[i] = outcome
            done += len(part)
            if progress is not None:
                progress(done, len(runs))
    return tuple(each for outcome in out for each in outcome)


def without_prediction(run: Any, quantities: Sequence[str], reason: str) -> list[Prediction]:
    """Return that none of a run's quantities is predicted, and why."""
    text = " ".join(reason.split())
    return [Prediction(run, name, run.measured.get(name), None, None, None, "", text) for name in quantities]


def _wanted(run: ServingRun) -> tuple[str, ...]:
    """Return the quantities to predict of a run: those measured, or all that its mode has."""
    return tuple(run.measured) or PRICED[run.mode][1]


def _priced(cases: Sequence[Case]) -> list[list[Prediction]]:
    """Return the predictions of runs that ask alike, as one array."""
    batch, (price, _) = _batch(cases), PRICED[cases[0].run.mode]
    return _predictions(cases, price(batch) if batch.prefill_pool is None else apart(batch, batch.prefill_pool))


def _batch(cases: Sequence[Case]) -> Batch:
    def column(of: Callable[[Case], float | None]) -> Any:
        return np.array([[np.nan if (value := of(case)) is None else float(value)] for case in cases])

    first = cases[0]
    return Batch(
        first.model, first.system, first.profile, _stacked([case.layouts for case in cases]),
        None if first.prefill_pool is None else _stacked([case.prefill_pool for case in cases if case.prefill_pool is not None]),
        input=column(lambda case: case.run.input),
        # A decode step or a prefill has no length of its answer.
        output=np.nan_to_num(column(lambda case: case.run.output)),
        concurrency=column(lambda case: case.run.concurrency),
        draft_tokens=column(lambda case: case.draft_tokens), accept_length=column(lambda case: case.accept_length),
        requests_per_slot=column(lambda case: case.requests_per_slot), variation=column(lambda case: case.variation),
    )  # fmt: skip


def _stacked(layouts: Sequence[Layout]) -> Layout:
    names = ("tp", "pp", "dp", "ep", "replicas", "redundant_experts")
    change: Any = {name: np.stack([np.ravel(getattr(each, name)) for each in layouts]) for name in names}
    return Layout(**change)


def _predictions(cases: Sequence[Case], outcome: Outcome) -> list[list[Prediction]]:
    """Return the predictions of each run with the best of its layouts; intervals hold the others that are likely."""
    shape = (len(cases), int(np.size(cases[0].layouts.tp)))

    def wide(value: Any) -> Any:
        return np.broadcast_to(value, shape)

    laws = [(wide(rule.ok), rule.reason) for est in outcome.estimates for rule in est.rules]
    laws += [
        (wide(est.max_concurrency >= 1), "weights, and the cache of one request, exceed the memory of a chip")
        for est in outcome.estimates
    ]
    ok = np.logical_and.reduce([mask for mask, _ in laws])
    best = np.argmax(np.where(ok, np.nan_to_num(wide(outcome.worth), nan=-np.inf), -np.inf), axis=1)
    values = {name: tuple(wide(part) for part in parts) for name, parts in outcome.quantities.items()}
    worth = np.nan_to_num(wide(outcome.worth), nan=-np.inf)
    out = []
    for i, (case, j) in enumerate(zip(cases, best, strict=True)):
        if not ok[i, j]:
            out.append(
                without_prediction(case.run, _wanted(case.run), next(reason for mask, reason in laws if not mask[i, j]))
            )
            continue
        notes = (*case.said, *(words for mask, words in outcome.said if wide(mask)[i, j]))
        near = ok[i] & (worth[i] >= worth[i, j] - _SENSIBLE * abs(worth[i, j]))
        of = {key: _any_layout([part[i] for part in parts], int(j), near) for key, parts in values.items()}
        out.append([_one(case, name, of, notes) for name in _wanted(case.run)])
    return out


_SENSIBLE: Final = 0.5
"""Layouts that a run leaves open and that make at least so much of the best one's rate are as likely as it."""


def _any_layout(parts: Sequence[Any], chosen: int, near: Any) -> tuple[float, float, float]:
    """Return a quantity of the layout chosen with its interval, as much wider as the other likely layouts differ from it."""
    value, low, high = parts
    apart = np.nan_to_num(np.log(value[near] / value[chosen]))
    below, above = (Z80**2 * float(np.mean(np.maximum(side * apart, 0.0) ** 2)) for side in (-1.0, 1.0))
    one, ends = float(value[chosen]), (float(low[chosen]), float(high[chosen]))
    wide = (np.hypot(np.log(one / ends[0]), np.sqrt(below)), np.hypot(np.log(ends[1] / one), np.sqrt(above)))
    return (one, one * float(np.exp(-wide[0])), one * float(np.exp(wide[1]))) if below + above > 0 else (one, *ends)


def _one(case: Case, name: str, values: Mapping[str, tuple[float, ...]], said: tuple[str, ...]) -> Prediction:
    run, level = case.run, case.profile.level
    measured = run.measured.get(name)
    if name not in PRICED[run.mode][1]:
        return Prediction(
            run, name, measured, None, None, None, level, f"{name}: a run of mode {run.mode} has none to predict"
        )
    value, low, high = values[name]
    if not np.isfinite(value):
        why = "one token out has no time per token" if run.output == 1 else "there is no finite answer"
        return Prediction(run, name, measured, None, None, None, level, f"{name}: {why}")
    if name != "ttft_s":
        quicker, slower = case.doubt if name == "tpot_s" else case.doubt[::-1]
        low, high = low / quicker, high * slower
    known = np.isfinite(low) and np.isfinite(high)
    return Prediction(run, name, measured, value, low if known else None, high if known else None, level, "", said)
