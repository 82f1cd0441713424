"""``roofline search serve`` and ``roofline search train``: the best configurations under limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from roofline import catalog
from roofline.cli.console import drawn, form_of, say, watched, wrote
from roofline.cli.drafts import drafted
from roofline.cli.flags import (
    Confirm,
    Disaggregated,
    DraftModel,
    Dtype,
    Frontier,
    Grid,
    HallPower,
    Json,
    ModelName,
    MostMemory,
    MostTime,
    Objective,
    RequireFit,
    System,
)
from roofline.cli.options import (
    DEGREES,
    LIMITS,
    LOAD,
    MACHINE,
    SOFTWARE,
    STEP,
    Degrees,
    Limits,
    Load,
    Machine,
    Software,
    Step,
)
from roofline.core.fields import without_none
from roofline.planner.search import search, search_training
from roofline.planner.service_search import Search
from roofline.planner.training_search import TrainingSearch
from roofline.reports import carbon

TRAIN: Final = (
    "roofline search train llama-3.1-70b --system dgx-h100 --chips 64 --global-batch 256 --memory 60GB",
    "roofline search train deepseek-v3 -s gb200-nvl72 --global-batch 4096 --step-time 20s -o frontier.csv",
)


def serve(
    model: ModelName,
    *,
    system: System,
    machine: Machine = MACHINE,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    load: Load = LOAD,
    limits: Limits = LIMITS,
    draft_model: DraftModel = None,
    hall_power: HallPower = None,
    objective: Objective = None,
    disaggregated: Disaggregated = False,
    confirm: Confirm = None,
    grid: Grid = None,
    file: Frontier = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Find the configuration of a service with the most tokens/s per chip under limits, the frontier, and why others were rejected."""
    form = form_of(file, also=("csv",))
    catalog.check_places([file])
    carbon.refused(grid)
    words: dict[str, Any] = machine.words() | software.words() | degrees.words() | load.words() | limits.words()
    words |= without_none(objective=objective, hall_power=hall_power)
    target = drafted(model, draft_model, words)
    with watched("configurations") as progress:
        found = search(target, system, disaggregated=disaggregated, confirm=confirm, progress=progress, **words)
        found.survey.complete()
    _report(found, file, form, grid, as_json=json, require_fit=require_fit)


def train(
    model: ModelName,
    *,
    system: System,
    machine: Machine = MACHINE,
    dtype: Dtype = None,
    degrees: Degrees = DEGREES,
    step: Step = STEP,
    memory: MostMemory = None,
    step_time: MostTime = None,
    hall_power: HallPower = None,
    grid: Grid = None,
    file: Frontier = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Find the configuration of a training step with the most tokens/s, those with less memory, and why others were rejected."""
    form = form_of(file, also=("csv",))
    catalog.check_places([file])
    carbon.refused(grid)
    words: dict[str, Any] = machine.words() | degrees.words() | step.words()
    words |= without_none(dtype=dtype, memory=memory, step_time=step_time, hall_power=hall_power)
    with watched("configurations") as progress:
        found = search_training(model, system, progress=progress, **words)
    _report(found, file, form, grid, as_json=json, require_fit=require_fit)


def _report(
    found: Search | TrainingSearch, file: Path | None, form: str, grid: str | None, *, as_json: bool, require_fit: bool
) -> None:
    """Print what was found, with the CO2 of the best on a grid where one is given, and write the frontier as a table or a picture where a file was named."""
    say(as_json, lambda: _fields(found, grid), lambda: _text(found, grid))
    wrote((file, lambda: found.csv().encode() if form == "csv" else drawn(found.plot(), form), ""))
    if require_fit and found.best is None:
        raise SystemExit(1)


def _fields(found: Search | TrainingSearch, grid: str | None) -> dict[str, Any]:
    """Return the fields of a search, with the CO2 of the best, and of the best pair of pools, where a grid is given."""
    out = carbon.added(found.to_dict(), found.best, grid)
    apart = found.disaggregated if isinstance(found, Search) else None
    return out if apart is None else out | {"disaggregated": carbon.added(out["disaggregated"], apart.best, grid)}


def _text(found: Search | TrainingSearch, grid: str | None) -> str:
    """Return a search as text, with lines of the CO2 of the best, and of the best pair of pools, where a grid is given."""
    out = carbon.below(found.table(), found.best, grid)
    apart = found.disaggregated if isinstance(found, Search) else None
    return out if apart is None or grid is None else f"{out}\ndisaggregated: {carbon.line(apart.best, grid)}"
