"""The commands that search, ``roofline search serve`` and ``roofline search train``: a thin shell like the others."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from roofline.cli.console import drawn, form_of, say, watched, wrote
from roofline.cli.flags import (
    Batch,
    Chips,
    Disaggregated,
    Engine,
    Frontier,
    Input,
    Json,
    Launch,
    Length,
    Level,
    Load,
    ModelName,
    MostMemory,
    MostTime,
    Objective,
    Output,
    Patience,
    Power,
    Price,
    Rate,
    System,
    Tpot,
)
from roofline.cli.options import SERVING, TRAINING, ServingOptions, TrainingOptions
from roofline.cli.train import counted
from roofline.planner.search import search, search_training
from roofline.planner.selection import Search, TrainingSearch

searches = App(
    name="search",
    help="Search for the best plans under limits: of a service, or of a step of training.",
    help_format="plaintext",
)


@searches.command
def serve(
    model: ModelName,
    /,
    *,
    system: System,
    chips: Chips = None,
    input: Input = 4096.0,
    output: Output = 1024.0,
    ttft: Patience = "10s",
    tpot: Tpot = None,
    concurrency: Load = None,
    rate: Rate = None,
    objective: Objective = "tokens_per_second_per_chip",
    options: ServingOptions = SERVING,
    disaggregated: Disaggregated = False,
    engine: Engine = None,
    launch: Launch = "graph",
    level: Level = "calibrated",
    power: Power = None,
    price: Price = None,
    file: Frontier = None,
    json: Json = False,
) -> None:
    """Find the plan of a service that makes the most of each chip under limits, what else could be had, and why not the rest."""
    form = form_of(file, also=("csv",))
    with watched("plans") as progress:
        found = search(
            model, system, chips=chips, ttft=None if ttft == "none" else ttft, tpot=tpot, objective=objective, rate=rate,
            concurrency=concurrency, level=level, engine=engine, launch=launch, power=power, price=price, progress=progress,
            input=input, output=output, disaggregated=disaggregated, **options.words(),
        )  # fmt: skip
    _told(found, file, form, as_json=json)


@searches.command
def train(
    model: ModelName,
    /,
    *,
    system: System,
    chips: Chips = None,
    global_batch: Batch = None,
    seq_len: Length = 4096,
    memory: MostMemory = None,
    step_time: MostTime = None,
    options: TrainingOptions = TRAINING,
    file: Frontier = None,
    json: Json = False,
) -> None:
    """Find the plan for a step of training with the most tokens/s, what else could be had for less memory, and why not the rest."""
    form = form_of(file, also=("csv",))
    with watched("plans") as progress:
        found = search_training(
            model, system, chips=chips, memory=memory, step_time=step_time, progress=progress,
            global_batch=counted(global_batch), seq_len=seq_len, **options.words(),
        )  # fmt: skip
    _told(found, file, form, as_json=json)


def _told(found: Search | TrainingSearch, file: Path | None, form: str, *, as_json: bool) -> None:
    """Write the frontier, if a file was named, as a table or a picture; and print what was found."""
    if file is not None:
        wrote(file, found.csv().encode() if form == "csv" else drawn(found.plot(), form))
    say(as_json, found.to_dict, found.table)
