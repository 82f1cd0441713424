"""The command that makes a page, ``roofline report``: a thin shell like the others, over serving and over training."""

from __future__ import annotations

from typing import Any

from roofline.cli.console import wrote
from roofline.cli.flags import (
    Accepted,
    Cached,
    Chips,
    Chunk,
    Concurrency,
    Degree,
    Document,
    Drafts,
    Dtype,
    Engine,
    Imbalance,
    Input,
    KvDtype,
    Launch,
    Level,
    ModelName,
    NoFrontier,
    Offload,
    Output,
    Page,
    Patience,
    Power,
    Price,
    Rank,
    Rate,
    Slots,
    System,
    Task,
    Tpot,
    Train,
    Variation,
)
from roofline.cli.options import STEP, StepOptions
from roofline.cli.train import counted
from roofline.core.errors import QuestionError
from roofline.core.fields import given
from roofline.reports.report import named, report


def report_(
    model: ModelName,
    /,
    *,
    system: System,
    file: Page,
    train: Train = False,
    chips: Chips = None,
    input: Input | None = None,
    output: Output | None = None,
    concurrency: Concurrency = None,
    rate: Rate = None,
    step: StepOptions = STEP,
    tp: Degree = None,
    pp: Degree = None,
    dp: Degree = None,
    ep: Degree = None,
    document: Document = None,
    task: Task | None = None,
    rank: Rank | None = None,
    offload: Offload | None = None,
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts | None = None,
    accept_length: Accepted = None,
    chunk: Chunk = None,
    cached: Cached | None = None,
    imbalance: Imbalance = None,
    requests_per_slot: Slots = None,
    variation: Variation | None = None,
    engine: Engine = None,
    launch: Launch | None = None,
    level: Level = "calibrated",
    ttft: Patience = "10s",
    tpot: Tpot = None,
    no_frontier: NoFrontier = False,
    power: Power = None,
    price: Price = None,
) -> None:
    """Write an answer as one HTML page that needs no network: of a service, or with --train of a step of training."""
    shape: dict[str, Any] = given(chips=chips, tp=tp, pp=pp, dp=dp, ep=ep, dtype=dtype, power=power, price=price)
    serving: dict[str, Any] = given(
        input=input, output=output, concurrency=concurrency, rate=rate, kv_dtype=kv_dtype, draft_tokens=draft_tokens,
        accept_length=accept_length, chunk=chunk, cached=cached, imbalance=imbalance, requests_per_slot=requests_per_slot,
        variation=variation, engine=engine, launch=launch,
    )  # fmt: skip
    training: dict[str, Any] = given(**step.words(), document=document, task=task, rank=rank, offload=offload)
    trains = train or step.global_batch is not None
    for word in serving if trains else training:
        other = (
            "training; leave out --train and --global-batch to serve" if trains else "serving; give --train to train"
        )
        raise QuestionError(f"--{word.replace('_', '-')}: is no word of {other}")
    if trains:
        training = {"seq_len": 4096} | training | {"global_batch": counted(step.global_batch)}
    words = shape | (training if trains else serving)
    path = named(file)
    limits: dict[str, Any] = {"ttft": None if ttft == "none" else ttft, "tpot": tpot}
    made = report(model, system, train=trains, frontier=not no_frontier, level=level, **limits, **words)
    wrote(path, made.html.encode(), "; open it in a browser")
