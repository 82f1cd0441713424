"""``roofline train``: a training step."""

from __future__ import annotations

from json import dumps
from typing import Annotated, Any

from cyclopts import Parameter

from roofline import catalog
from roofline.cli.console import say, wrote
from roofline.cli.fit import required
from roofline.cli.flags import Dtype, Grid, Json, ModelName, PowerCap, RequireFit, System, Trace, Why
from roofline.cli.options import DEGREES, MACHINE, STEP, Degrees, Machine, Step
from roofline.core.errors import QuestionError, fault
from roofline.planner.train import train
from roofline.reports import carbon, text
from roofline.results.campaign import Campaign
from roofline.results.records import fields_of_campaign
from roofline.results.training import Training
from roofline.training.campaign import campaign


def train_(
    model: ModelName,
    *,
    system: System,
    machine: Machine = MACHINE,
    dtype: Dtype = None,
    degrees: Degrees = DEGREES,
    step: Step = STEP,
    tokens: Annotated[
        str | None, Parameter(help="Tokens of a whole run, 15T: adds its days, goodput, energy and cost.")
    ] = None,
    trace: Trace = None,
    power_cap: PowerCap = None,
    grid: Grid = None,
    require_fit: RequireFit = False,
    why: Why = False,
    json: Json = False,
) -> None:
    """Estimate a training step: time, tokens/s, utilisation, pipeline bubble, communication, memory, and how certain that is."""
    if trace is not None and trace.suffix != ".json":
        raise QuestionError(fault("--trace", str(trace), "a trace is a JSON file", "end the file name in .json"))
    catalog.check_places([trace])
    carbon.refused(grid)
    words: dict[str, Any] = machine.words() | degrees.words() | step.words()
    est = train(model, system, dtype=dtype, power_cap=power_cap, **words)
    run = None if tokens is None else campaign(est, tokens)
    say(json, lambda: _fields(est, run, why=why, grid=grid), lambda: _text(est, run, why=why, grid=grid))
    wrote((trace, lambda: _document(est), "; look at it in ui.perfetto.dev"))
    required(est, asked=require_fit)


def _fields(est: Training, run: Campaign | None, *, why: bool, grid: str | None) -> dict[str, Any]:
    """Return the fields of a step, and of the run that it is a step of."""
    whole = {} if run is None else {"campaign": carbon.added(fields_of_campaign(run), run, grid)}
    return text.fields(est, why=why, grid=grid) | whole


def _text(est: Training, run: Campaign | None, *, why: bool, grid: str | None) -> str:
    """Return the sheet of a step, and of the run that it is a step of."""
    return text.sheet(est, why=why, grid=grid) + ("" if run is None else f"\n\n{text.sheet(run, grid=grid)}")


def _document(est: Training) -> bytes:
    """Return the schedule of a step as a JSON document."""
    return f"{dumps(est.timeline(), allow_nan=False)}\n".encode()
