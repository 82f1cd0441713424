"""The command that trains, ``roofline train``: a thin shell like the others."""

from __future__ import annotations

from json import dumps

from roofline import stepsheets
from roofline.console import say, wrote
from roofline.errors import QuestionError, fault
from roofline.steps import train
from roofline.words import (
    Batch,
    Chips,
    Document,
    Dtype,
    Framework,
    Json,
    Length,
    Level,
    MicroBatch,
    ModelName,
    Offload,
    Power,
    Price,
    Rank,
    Recompute,
    Schedule,
    SequenceParallel,
    Sharding,
    Split,
    System,
    Task,
    Trace,
    Why,
)


def counted(global_batch: int | None) -> int:
    """Return the sequences of a step.

    Raises:
        QuestionError: they were not given.
    """
    if global_batch is None:
        raise QuestionError("--global-batch: is missing; give the sequences of a step, such as --global-batch 1024")
    return global_batch


def train_(
    model: ModelName,
    /,
    *,
    system: System,
    chips: Chips = None,
    global_batch: Batch = None,
    seq_len: Length = 4096,
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
    trace: Trace = None,
    why: Why = False,
    json: Json = False,
) -> None:
    """Estimate a step of training: its time, tokens per second, utilisation, bubble, messages, memory, how surely."""
    if trace is not None and trace.suffix != ".json":
        raise QuestionError(fault("--trace", str(trace), "a trace is a JSON file", "end the file name in .json"))
    est = train(
        model, system, chips=chips, level=level, framework=framework, dtype=dtype, tp=tp, pp=pp, vpp=vpp, cp=cp, dp=dp, ep=ep,
        etp=etp, sharding=sharding, recompute=recompute, schedule=schedule, sequence_parallel=sequence_parallel,
        micro_batch=micro_batch, power=power, price=price, global_batch=counted(global_batch), seq_len=seq_len, document=document,
        task=task, rank=rank, offload=offload,
    )  # fmt: skip
    if trace is not None:
        wrote(trace, (dumps(est.timeline(), allow_nan=False) + "\n").encode(), "; look at it in ui.perfetto.dev")
    say(json, lambda: stepsheets.fields(est, why=why), lambda: stepsheets.sheet(est, why=why))
