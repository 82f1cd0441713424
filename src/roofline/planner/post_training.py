"""``post_train``: a step of reinforcement learning (rollout, forward passes, training, weight transfer)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Unpack

from attrs import evolve

from roofline import catalog
from roofline.core.arrays import ceil
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.signatures import typed
from roofline.hardware.hardware import System
from roofline.inference.requests import Request
from roofline.inference.traces import Lengths, Trace
from roofline.operators.memory import total
from roofline.planner.collective import collective
from roofline.planner.estimate import estimate
from roofline.planner.simulate import simulate
from roofline.planner.train import train
from roofline.planner.words import ModelLike, PostTrainWords, keywords
from roofline.results.post_training import OVERHEAD, PostTraining
from roofline.results.simulation import Simulation

_PACKED: Final = "a training sequence is as long as a prompt and a mean response, as with packed responses"
_CUT: Final = 64
_WEIGHT: Final = 2.0
"""Bytes of a weight as it is sent: 16 bits."""


@keywords(PostTrainWords)
@typed
def post_train(
    model: ModelLike,
    system: System | str | Path,
    *,
    responses: int = 2048,
    output: float | Lengths = 1024.0,
    variation: float = 0.8,
    longest: int | None = None,
    input: float = 256.0,
    updates: int = 1,
    passes: int = 2,
    chips: int | None = None,
    rollout_chips: int | None = None,
    rollout_tp: int | None = None,
    engine: str = "vllm",
    overhead: float = OVERHEAD,
    seed: int = 0,
    **words: Unpack[PostTrainWords],
) -> PostTraining:
    """Return the time of a step of reinforcement learning (GRPO, PPO without a critic), and what it goes into.

    The rollout is a simulation of all responses, which begin at once; their lengths are drawn, so that the longest are waited for. On the same
    chips, rollout, forward passes, training and the way of the weights follow each other; on chips apart (``rollout_chips``) a rollout and the
    training on the one before take place at the same time, one step off policy.

    Args:
        model: an object, a name, the path of a config.json, or a parsed one.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        responses: of a step: prompts times responses of each.
        output: mean tokens of a response, or :class:`roofline.Lengths`.
        variation: standard deviation of the lengths over their mean (lognormal).
        longest: most tokens of a response; longer ones are cut.
        input: tokens of a prompt.
        updates: optimizer steps that the responses are trained on in, an equal share in each.
        passes: forward passes over all tokens besides: of the policy and of a reference model (2), or of the policy alone (1).
        chips: chips that train, and, without ``rollout_chips``, generate too; by default all of the system.
        rollout_chips: further chips that generate only.
        rollout_tp: tensor parallelism of the engine that generates.
        engine: that generates.
        overhead: time of a step over that of its parts: scheduling, the change between engines, batches that are not full. 1 for the parts alone.
        seed: of the lengths.
        words: those of the training step, as :func:`roofline.train` takes them.

    Returns:
        Time of a step and of its parts in seconds, tokens a second and chip; the simulation and the answer for an optimizer step.

    Raises:
        QuestionError: a word that has no meaning.

    >>> step = post_train(
    ...     "llama-3.1-8b", "dgx-h100", responses=256, output=512, longest=2048, chips=8, rollout_tp=1, tp=1, pp=1
    ... )
    >>> bool(step.rollout.duration < step.time), list(step.shares)
    (True, ['rollout', 'forward passes', 'training', 'weights'])
    """
    for name, value, least in (("responses", responses, 1), ("updates", updates, 1), ("passes", passes, 0)):
        refuse(name, float(value), least, whole=True)
    refuse("overhead", float(overhead), 1.0)
    if responses % updates:
        raise QuestionError(fault("updates", updates, f"must divide the {responses:,} responses of a step"))
    step: dict[str, Any] = dict(words)
    for name in ("global_batch", "seq_len"):
        if name in step:
            raise QuestionError(fault(name, step[name], "follows from the responses", "leave it out"))
    rack = catalog.system(system)
    used = int(rack.chips) if chips is None else chips
    machine: Any = {"engine": engine} | ({"level": words["level"]} if "level" in words else {})
    where: Any = {"chips": used if rollout_chips is None else rollout_chips}
    if rollout_tp is not None:
        where["tp"] = rollout_tp
    drawn = output if isinstance(output, Lengths) else Lengths("lognormal", float(output), float(variation))
    burst = _burst(Trace.poisson(float("inf"), responses, input=input, output=drawn, seed=seed), longest)
    read, written, _ = burst.means()
    # All responses begin at once: the layout of the engine is the best for as many in flight.
    plan = estimate(model, rack, input=read, output=written, concurrency=responses, **where, **machine)
    rolled = simulate(model, rack, burst, plan.layout, **machine)
    step |= {"global_batch": responses // updates, "seq_len": _whole(read + written)}
    trained = train(model, rack, chips=used, **step)
    return PostTraining(
        rollout=rolled, training=trained, responses=responses, tokens=responses * (read + written), updates=updates, passes=passes,
        weights=_refit(rolled, rack, used), apart=rollout_chips is not None, overhead=overhead, remarks=(*burst.notes, _PACKED),
    )  # fmt: skip


def _whole(tokens: float) -> int:
    """Return a length that sequences can be cut at: the next multiple of 64."""
    return int(ceil(tokens / _CUT) * _CUT)


def _burst(whole: Trace, longest: int | None) -> Trace:
    """Return the responses of a trace, none longer than ``longest``."""
    if longest is None:
        return evolve(whole, name="rollout")
    refuse("longest", float(longest), 1.0, whole=True)
    most = int(longest)

    def cut() -> Iterator[Request]:
        for each in whole:
            each.output = min(each.output, most)
            yield each

    return evolve(whole, name="rollout", source=cut)


def _refit(rolled: Simulation, rack: System, chips: int) -> float:
    """Return the time in which every chip of the engine gets its weights: what it holds, gathered from those that trained."""
    weights = total(rolled.model) * _WEIGHT / float(rolled.layout.tp * rolled.layout.pp)
    return float(collective("all-gather", weights, rack, ranks=max(chips, 2)).time)
