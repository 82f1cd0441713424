"""The commands that search, ``roofline search serve`` and ``roofline search train``: a thin shell like the others."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from roofline.console import drawn, form_of, say, watched, wrote
from roofline.errors import QuestionError, fault
from roofline.searching import search
from roofline.words import (
    Accepted,
    Cached,
    Chips,
    Chunk,
    Degree,
    Disaggregated,
    Drafts,
    Dtype,
    Engine,
    Frontier,
    Imbalance,
    Input,
    Json,
    KvDtype,
    Launch,
    Level,
    Load,
    ModelName,
    Objective,
    Output,
    Patience,
    Power,
    Price,
    Rate,
    Slots,
    System,
    Tpot,
    Variation,
)

searches = App(
    name="search", help="Search for the best plans under limits: layout, load and chunk.", help_format="plaintext"
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
    tp: Degree = None,
    pp: Degree = None,
    dp: Degree = None,
    ep: Degree = None,
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts = 0,
    accept_length: Accepted = None,
    chunk: Chunk = None,
    cached: Cached = 0.0,
    imbalance: Imbalance = None,
    requests_per_slot: Slots = None,
    variation: Variation = 0.2,
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
            concurrency=concurrency, level=level, engine=engine, launch=launch, dtype=dtype, kv_dtype=kv_dtype, tp=tp, pp=pp, dp=dp,
            ep=ep, power=power, price=price, progress=progress, input=input, output=output, draft_tokens=draft_tokens, chunk=chunk,
            accept_length=accept_length, cached=cached, imbalance=imbalance, requests_per_slot=requests_per_slot,
            variation=variation, disaggregated=disaggregated,
        )  # fmt: skip
    if file is not None:
        wrote(file, found.csv().encode() if form == "csv" else drawn(found.plot(), form))
    say(json, found.to_dict, found.table)


@searches.command
def train(*words: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> None:  # noqa: ARG001
    """Not here yet: training is not priced."""
    raise QuestionError(
        fault("search", "train", "training is not priced yet", "roofline search serve MODEL --system SYSTEM")
    )
