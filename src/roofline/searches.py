"""The commands that search, ``roofline search serve`` and ``roofline search train``: a thin shell like the others."""

from __future__ import annotations

from cyclopts import App

from roofline.console import drawn, form_of, say, watched, wrote
from roofline.searching import search
from roofline.trainers import counted
from roofline.training_searching import search_training
from roofline.words import (
    Accepted,
    Batch,
    Cached,
    Chips,
    Chunk,
    Degree,
    Disaggregated,
    Document,
    Drafts,
    Dtype,
    Engine,
    Framework,
    Frontier,
    Imbalance,
    Input,
    Json,
    KvDtype,
    Launch,
    Length,
    Level,
    Load,
    MicroBatch,
    ModelName,
    MostMemory,
    MostTime,
    Objective,
    Offload,
    Output,
    Patience,
    Power,
    Price,
    Rank,
    Rate,
    Recompute,
    Schedule,
    SequenceParallel,
    Sharding,
    Slots,
    Split,
    System,
    Task,
    Tpot,
    Variation,
)

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
    micro_batch: MicroBatch = None,
    tp: Split = None,
    pp: Split = None,
    vpp: Split = None,
    cp: Split = None,
    dp: Split = None,
    ep: Split = None,
    etp: Split = None,
    sharding: Sharding = None,
    recompute: Recompute = None,
    schedule: Schedule = None,
    sequence_parallel: SequenceParallel = None,
    document: Document = None,
    task: Task = "pretrain",
    rank: Rank = 16,
    offload: Offload = 0.0,
    dtype: Dtype = None,
    framework: Framework = None,
    level: Level = "calibrated",
    power: Power = None,
    price: Price = None,
    file: Frontier = None,
    json: Json = False,
) -> None:
    """Find the plan for a step of training with the most tokens/s, what else could be had for less memory, and why not the rest."""
    form = form_of(file, also=("csv",))
    with watched("plans") as progress:
        found = search_training(
            model, system, chips=chips, memory=memory, step_time=step_time, level=level, framework=framework, dtype=dtype,
            tp=tp, pp=pp, vpp=vpp, cp=cp, dp=dp, ep=ep, etp=etp, sharding=sharding, recompute=recompute, schedule=schedule,
            sequence_parallel=sequence_parallel, micro_batch=micro_batch, power=power, price=price, progress=progress,
            global_batch=counted(global_batch), seq_len=seq_len, document=document, task=task, rank=rank, offload=offload,
        )  # fmt: skip
    if file is not None:
        wrote(file, found.csv().encode() if form == "csv" else drawn(found.plot(), form))
    say(json, found.to_dict, found.table)
