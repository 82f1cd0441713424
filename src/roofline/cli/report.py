"""``roofline report``: an answer as a page."""

from __future__ import annotations

from typing import Any

from roofline import catalog
from roofline.cli.console import wrote
from roofline.cli.flags import ModelName, NoFrontier, Page, System, TrainingPhase
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
    either,
)
from roofline.reports.report import named, report


def report_(
    model: ModelName,
    *,
    system: System,
    file: Page,
    train: TrainingPhase = False,
    machine: Machine = MACHINE,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    load: Load = LOAD,
    step: Step = STEP,
    limits: Limits = LIMITS,
    no_frontier: NoFrontier = False,
) -> None:
    """Write an estimate as one self-contained HTML page: of a service, or with --train of a training step."""
    trains, words = either(load, step, train=train, also=software)
    path = named(file)
    catalog.check_places([path])
    asked: dict[str, Any] = machine.words() | degrees.words() | limits.words() | words
    made = report(model, system, train=trains, frontier=not no_frontier, **asked)
    wrote((path, made.html.encode, "; open it in a browser"))
