"""Groups of flags that several commands share, each a class: what a user typed, under the names that the library has for it.

A flag that was left out is None and no word of the question, so that the defaults of the library hold everywhere.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from attrs import frozen
from cyclopts import Parameter

from roofline.cli import flags
from roofline.core.errors import QuestionError


@frozen
class Options:
    """Flags under the names that the library has for them."""

    def words(self) -> dict[str, Any]:
        """Return those that were given, and their values."""
        found = {each.name: getattr(self, each.name) for each in attrs.fields(type(self))}
        return {name: value for name, value in found.items() if value is not None}


@Parameter(name="*")
@frozen
class Machine(Options):
    """How many chips of the system, at which calibration coefficients, power and cost."""

    chips: flags.Chips = None
    level: flags.Level = None
    power: flags.Power = None
    price: flags.Price = None


@Parameter(name="*")
@frozen
class Software(Options):
    """What serves, and in which number formats."""

    engine: flags.Engine = None
    launch: flags.Launch = None
    memory_fraction: flags.MemoryFraction = None
    dtype: flags.Dtype = None
    kv_dtype: flags.KvDtype = None


@Parameter(name="*")
@frozen
class Degrees(Options):
    """Degrees of parallelism that serving and training have in common."""

    tp: flags.Tp = None
    pp: flags.Pp = None
    dp: flags.Dp = None
    ep: flags.Ep = None


@Parameter(name="*")
@frozen
class Load(Options):
    """The load and request lengths of a service."""

    input: flags.Input = None
    output: flags.Output = None
    concurrency: flags.Concurrency = None
    rate: flags.Rate = None
    cached: flags.Cached = None
    draft_tokens: flags.Drafts = None
    accept_length: flags.Accepted = None
    chunk: flags.Chunk = None
    imbalance: flags.Imbalance = None
    requests_per_slot: flags.Slots = None
    variation: flags.Variation = None


@Parameter(name="*")
@frozen
class Step(Options):
    """What a training step is, and how it is executed."""

    global_batch: flags.GlobalBatch = None
    seq_len: flags.SeqLen = None
    micro_batch: flags.MicroBatch = None
    vpp: flags.Vpp = None
    cp: flags.Cp = None
    etp: flags.Etp = None
    sharding: flags.Sharding = None
    recompute: flags.Recompute = None
    schedule: flags.Schedule = None
    sequence_parallel: flags.SequenceParallel = None
    document: flags.Document = None
    task: flags.Task = None
    rank: flags.Rank = None
    offload: flags.Offload = None
    framework: flags.Framework = None
    software: flags.States = None

    def words(self) -> dict[str, Any]:
        """Return the flags that were given.

        Raises:
            QuestionError: the sequences of a step were not given.
        """
        if self.global_batch is None:
            raise QuestionError("--global-batch: is missing; give the sequences of a step, such as --global-batch 1024")
        return Options.words(self)


@Parameter(name="*")
@frozen
class Limits(Options):
    """Limits on the times of a service."""

    ttft: flags.Ttft = None
    tpot: flags.Tpot = None

    def words(self) -> dict[str, Any]:
        """Return the limits that were given; ``none`` lifts one."""
        return {name: None if value == "none" else value for name, value in Options.words(self).items()}


@Parameter(name="*")
@frozen
class Pool(Options):
    """The chips of a prefill pool, where prefill and decode are disaggregated."""

    prefill_chips: flags.PrefillChips = None
    prefill_tp: flags.PrefillTp = None
    prefill_system: flags.PrefillSystem = None


MACHINE: Final = Machine()
SOFTWARE: Final = Software()
DEGREES: Final = Degrees()
LOAD: Final = Load()
STEP: Final = Step()
LIMITS: Final = Limits()
POOL: Final = Pool()


def either(
    load: Options, step: Step, *, train: bool = False, also: Options | None = None
) -> tuple[bool, dict[str, Any]]:
    """Return whether a training step is asked for, and the words of the question: of a service, or of a step.

    Args:
        load, also: the flags of a service.
        step: the flags of a training step; ``--global-batch`` says that one is meant, and so does ``train``.

    Raises:
        QuestionError: a flag of the other question.
    """
    serving = load.words() | ({} if also is None else also.words())
    training = Options.words(step)
    trains = train or step.global_batch is not None
    words = step.words() if trains else serving
    shared = ("dtype",)  # of both
    for name in serving if trains else training:
        if name in shared:
            continue
        other = (
            "of serving; leave it out, or leave out --global-batch"
            if trains
            else "of training; give --global-batch too"
        )
        raise QuestionError(f"--{name.replace('_', '-')}: is a flag {other}")
    if trains:
        words = words | {name: serving[name] for name in shared if name in serving}
    return trains, words
