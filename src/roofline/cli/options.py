"""Options that several commands take together, each group written once."""

from __future__ import annotations

from typing import Any, Final

import attrs
from attrs import frozen
from cyclopts import Parameter

from roofline.cli.flags import (
    Accepted,
    Batch,
    Cached,
    Chunk,
    Degree,
    Document,
    Drafts,
    Dtype,
    Framework,
    Imbalance,
    KvDtype,
    Length,
    Level,
    MicroBatch,
    Offload,
    Power,
    Price,
    Rank,
    Recompute,
    Schedule,
    SequenceParallel,
    Sharding,
    Slots,
    Split,
    Task,
    Variation,
)


@frozen
class Options:
    """Options under the names that the library has for them."""

    def words(self) -> dict[str, Any]:
        """Return each option and its value."""
        return {each.name: getattr(self, each.name) for each in attrs.fields(type(self))}


@Parameter(name="*")
@frozen
class ServingOptions(Options):
    """The plan of a service, how it stores, drafts and passes prompts, and what its requests are like."""

    tp: Degree = None
    pp: Degree = None
    dp: Degree = None
    ep: Degree = None
    dtype: Dtype = None
    kv_dtype: KvDtype = None
    draft_tokens: Drafts = 0
    accept_length: Accepted = None
    chunk: Chunk = None
    cached: Cached = 0.0
    imbalance: Imbalance = None
    requests_per_slot: Slots = None
    variation: Variation = 0.2


@Parameter(name="*")
@frozen
class TrainingOptions(Options):
    """The plan of a step of training, what is trained on what software, and what a chip draws and costs."""

    micro_batch: MicroBatch = None
    tp: Split = None
    pp: Split = None
    vpp: Split = None
    cp: Split = None
    dp: Split = None
    ep: Split = None
    etp: Split = None
    sharding: Sharding = None
    recompute: Recompute = None
    schedule: Schedule = None
    sequence_parallel: SequenceParallel = None
    document: Document = None
    task: Task = "pretrain"
    rank: Rank = 16
    offload: Offload = 0.0
    dtype: Dtype = None
    framework: Framework = None
    level: Level = "calibrated"
    power: Power = None
    price: Price = None


@Parameter(name="*")
@frozen
class StepOptions(Options):
    """What a step of training has beyond a service, for commands that take either."""

    global_batch: Batch = None
    seq_len: Length | None = None
    micro_batch: MicroBatch = None
    vpp: Split = None
    cp: Split = None
    etp: Split = None
    sharding: Sharding = None
    recompute: Recompute = None
    schedule: Schedule = None
    sequence_parallel: SequenceParallel = None
    framework: Framework = None


SERVING: Final = ServingOptions()
TRAINING: Final = TrainingOptions()
STEP: Final = StepOptions()
