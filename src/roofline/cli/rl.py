"""``roofline rl``: a step of reinforcement learning."""

from __future__ import annotations

from typing import Annotated, Any, Final

from attrs import frozen
from cyclopts import Group, Parameter

from roofline.cli import flags
from roofline.cli.console import say
from roofline.cli.flags import Dtype, Json, ModelName, System
from roofline.cli.numbers import to_real, to_whole
from roofline.cli.options import DEGREES, MACHINE, Degrees, Machine, Options
from roofline.planner.post_training import post_train

ROLLOUT: Final = Group("Rollout", sort_key=3)


@Parameter(name="*")
@frozen
class Rollout(Options):
    """What is generated in a step, and on which chips."""

    responses: Annotated[
        int | None,
        Parameter(
            group=ROLLOUT,
            converter=to_whole,
            help="Responses of a step, prompts times responses of each: 2048 (default).",
        ),
    ] = None
    input: Annotated[
        float | None,
        Parameter(
            name=["--input", "--isl"], group=ROLLOUT, converter=to_real, help="Tokens of a prompt: 256 (default)."
        ),
    ] = None
    output: Annotated[
        float | None,
        Parameter(
            name=["--output", "--osl"],
            group=ROLLOUT,
            converter=to_real,
            help="Mean tokens of a response: 1024 (default).",
        ),
    ] = None
    variation: Annotated[
        float | None,
        Parameter(
            group=ROLLOUT,
            converter=to_real,
            help="Standard deviation of the lengths of responses over their mean: 0.8 (default, long-tailed); 0 for equal ones.",
        ),
    ] = None
    longest: Annotated[
        int | None,
        Parameter(group=ROLLOUT, converter=to_whole, help="Most tokens of a response, longer ones are cut: 8192."),
    ] = None
    rollout_chips: Annotated[
        int | None,
        Parameter(
            group=ROLLOUT,
            converter=to_whole,
            help="Further chips that generate only, while --chips train: 64 (default: the same chips do both in turn).",
        ),
    ] = None
    rollout_tp: Annotated[
        int | None,
        Parameter(
            group=ROLLOUT, converter=to_whole, help="Tensor parallelism of the engine: 4 (default: the best that fits)."
        ),
    ] = None
    engine: flags.Engine = None
    seed: Annotated[
        int | None, Parameter(group=ROLLOUT, converter=to_whole, help="Seed of the lengths: 0 (default).")
    ] = None


@Parameter(name="*")
@frozen
class Learning(Options):
    """How the responses are trained on."""

    updates: Annotated[
        int | None,
        Parameter(
            group=flags.STEP,
            converter=to_whole,
            help="Optimizer steps a rollout is trained on, an equal share in each: 1 (default).",
        ),
    ] = None
    passes: Annotated[
        int | None,
        Parameter(
            group=flags.STEP,
            converter=to_whole,
            help="Additional forward passes: 2 for policy and reference model (default), 1 for the policy alone, 0 for none.",
        ),
    ] = None
    overhead: Annotated[
        float | None,
        Parameter(
            group=flags.STEP,
            converter=to_real,
            help="Time of a step over that of its parts: 2 (default, as published steps have it), 1 for the parts alone.",
        ),
    ] = None
    micro_batch: flags.MicroBatch = None
    vpp: flags.Vpp = None
    cp: flags.Cp = None
    etp: flags.Etp = None
    sharding: flags.Sharding = None
    recompute: flags.Recompute = None
    schedule: flags.Schedule = None
    sequence_parallel: flags.SequenceParallel = None
    task: flags.Task = None
    rank: flags.Rank = None
    offload: flags.Offload = None
    framework: flags.Framework = None
    software: flags.States = None


_ROLLOUT: Final = Rollout()
_LEARNING: Final = Learning()


def rl_(
    model: ModelName,
    *,
    system: System,
    rollout: Rollout = _ROLLOUT,
    machine: Machine = MACHINE,
    dtype: Dtype = None,
    degrees: Degrees = DEGREES,
    learning: Learning = _LEARNING,
    json: Json = False,
) -> None:
    """Estimate a step of reinforcement learning (GRPO): rollout, forward passes, training, weight transfer, and how certain that is."""
    words: dict[str, Any] = machine.words() | degrees.words() | rollout.words() | learning.words()
    if dtype is not None:
        words["dtype"] = dtype
    found = post_train(model, system, **words)
    say(json, found.to_dict, lambda: str(found))
