"""The command that makes a page, ``roofline report``: a thin shell like the others, over serving and over training."""

from __future__ import annotations

from typing import Any

from roofline.console import wrote
from roofline.errors import QuestionError
from roofline.fields import given
from roofline.reporting import named, report
from roofline.words import (
    Accepted,
    Batch,
    Cached,
    Chips,
    Chunk,
    Concurrency,
    Degree,
    Document,
    Drafts,
    Dtype,
    Engine,
    Framework,
    Imbalance,
    Input,
    KvDtype,
    Launch,
    Length,
    Level,
    MicroBatch,
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
    Recompute,
    Schedule,
    SequenceParallel,
    Sharding,
    Slots,
    Split,
    System,
    Task,
    Tpot,
    Train,
    Variation,
)

_SERVING = ("input", "output", "concurrency", "rate", "kv_dtype", "draft_tokens", "accept_length", "chunk", "cached",
            "imbalance", "requests_per_slot", "variation", "engine", "launch")  # fmt: skip
_TRAINING = ("global_batch", "seq_len", "micro_batch", "vpp", "cp", "etp", "sharding", "recompute", "schedule",
             "sequence_parallel", "document", "task", "rank", "offload", "framework")  # fmt: skip


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
    global_batch: Batch = None,
    seq_len: Length | None = None,
    micro_batch: MicroBatch = None,
    tp: Degree = None,
    pp: Degree = None,
    dp: Degree = None,
    ep: Degree = None,
    vpp: Split = None,
    cp: Split = None,
    etp: Split = None,
    sharding: Sharding = None,
    recompute: Recompute = None,
    schedule: Schedule = None,
    sequence_parallel: SequenceParallel = None,
    document: Document = None,
    task: Task | None = None,
    rank: Rank | None = None,
    offload: Offload | None = None,
    framework: Framework = None,
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
    words: dict[str, Any] = given(
        chips=chips, tp=tp, pp=pp, dp=dp, ep=ep, dtype=dtype, power=power, price=price,
        input=input, output=output, concurrency=concurrency, rate=rate, kv_dtype=kv_dtype, draft_tokens=draft_tokens,
        accept_length=accept_length, chunk=chunk, cached=cached, imbalance=imbalance, requests_per_slot=requests_per_slot,
        variation=variation, engine=engine, launch=launch,
        global_batch=global_batch, seq_len=seq_len, micro_batch=micro_batch, vpp=vpp, cp=cp, etp=etp, sharding=sharding,
        recompute=recompute, schedule=schedule, sequence_parallel=sequence_parallel, document=document, task=task,
        rank=rank, offload=offload, framework=framework,
    )  # fmt: skip
    trains = train or global_batch is not None
    for word in _SERVING if trains else _TRAINING:
        if word in words:
            other = (
                "training; leave out --train and --global-batch to serve"
                if trains
                else "serving; give --train to train"
            )
            raise QuestionError(f"--{word.replace('_', '-')}: is no word of {other}")
    if trains:
        if global_batch is None:
            raise QuestionError("--global-batch: is missing; give the sequences of a step, such as --global-batch 1024")
        words.setdefault("seq_len", 4096)
    path = named(file)
    limits: dict[str, Any] = {"ttft": None if ttft == "none" else ttft, "tpot": tpot}
    made = report(model, system, train=trains, frontier=not no_frontier, level=level, **limits, **words)
    wrote(path, made.html.encode(), "; open it in a browser")
