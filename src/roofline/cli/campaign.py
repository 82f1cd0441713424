"""``roofline campaign``: a whole training run."""

from __future__ import annotations

from typing import Annotated, Any, Final

from attrs import frozen
from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.fit import required
from roofline.cli.flags import Dtype, Grid, Json, ModelName, RequireFit, System
from roofline.cli.options import DEGREES, MACHINE, STEP, Degrees, Machine, Options, Step
from roofline.core.fields import without_none
from roofline.planner.campaign import campaign
from roofline.reports import carbon, text

Tokens = Annotated[str, Parameter(help="Tokens of the whole run: 15T (default).")]


@Parameter(name="*")
@frozen
class Run(Options):
    """What the run is beyond its steps: its deadline, failures, checkpoints and spare chips."""

    deadline: Annotated[
        str | None,
        Parameter(help="Deadline in days, 90 or '90 days': finds the fewest chips that meet it."),
    ] = None
    mtbf: Annotated[
        str | None,
        Parameter(help="Mean time between failures of the whole run: '3 h' (default: published failures of the chip)."),
    ] = None
    storage: Annotated[str | None, Parameter(help="Rate at which storage takes in checkpoints: '2 TB/s'.")] = None
    restart: Annotated[str | None, Parameter(help="Time from a failure to the loading of a checkpoint: '5 min'.")] = (
        None
    )
    pue: Annotated[float | None, Parameter(help="Draw of the building over that of its machines: 1.2.")] = None
    spares: Annotated[float | None, Parameter(help="Chips that wait to replace others: 64 (default: 0).")] = None


RUN: Final = Run()


def campaign_(
    model: ModelName,
    *,
    system: System,
    tokens: Tokens = "15T",
    run: Run = RUN,
    machine: Machine = MACHINE,
    dtype: Dtype = None,
    degrees: Degrees = DEGREES,
    step: Step = STEP,
    grid: Grid = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Estimate a whole training run: days, goodput under failures, energy and cost, and how certain these are."""
    carbon.refused(grid)
    words: dict[str, Any] = (
        machine.words() | degrees.words() | Options.words(step) | run.words() | without_none(dtype=dtype)
    )
    found = campaign(model, system, tokens, **words)
    say(json, lambda: carbon.added(found.to_dict(), found, grid), lambda: text.sheet(found, grid=grid))
    required(found, asked=require_fit)
