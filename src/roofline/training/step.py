r"""One training step: micro-batches through a pipeline, exposed communication, the optimizer.

.. math:: T = \left(T_\mathrm{pipeline}(m, p, v; F, B, W) + T_\mathrm{reduce} + T_\mathrm{optimizer} + T_\mathrm{step}\right)
          \left(1 + T_\mathrm{late}(N)\right)

with m micro-batches on p stages of v chunks each, and F, B and W the time that a rank spends on the forward pass of one, on the
gradients of inputs (and on what is recomputed for them), and on those of weights. Messages are hidden behind the work beside them,
but for a part that belongs to the framework; the whole waits for the slowest of N hosts (:mod:`roofline.physics.stragglers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import ceil, larger, pick, share, smaller
from roofline.core.remember import Lazy
from roofline.core.units import Bytes, Num, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import REACHED, System
from roofline.operators.feasibility import Rule, training_rules
from roofline.operators.memory import ranks_per_package, usable_bytes
from roofline.operators.operations import Message, Op
from roofline.operators.training_memory import StageWeights, States, copies, stage_weights, states
from roofline.operators.transformer.flow import ACTIVATION, SIXTEEN_BIT, Flow, micro_batch
from roofline.physics.kernels import Cost
from roofline.physics.pipeline import PAIRED, Pace, run
from roofline.physics.pricing import prices
from roofline.physics.spans import Span, after, leaf, partly_exposed
from roofline.physics.stragglers import slowdown
from roofline.results.energy import demanded_share
from roofline.results.training import Training
from roofline.training.microbatch import MicroBatch, Price, micro, overlapped
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep

_EXCHANGED: Final = 2.0
"""Bytes of a gradient, and of a weight, that data-parallel ranks exchange."""
_UPDATED: Final = 26.0
"""Bytes that Adam moves for a weight besides its gradient: master copy and two moments read and written, and the weight written."""
_CUSTOM: Final = 1.03
"""The fullest stage over the mean where layers are placed by hand."""


@frozen(eq=False)
class Passes:
    """What a step of training takes whatever the schedule, passes done in pairs apart.

    Attributes:
        batches: the work of all micro-batches.
        one: of one micro-batch.
        mean: time of its passes on a rank on average.
        fullest: time of its passes on the rank that has the most to do.
        unseen: time of one of its messages between stages that is hidden.
        reduced: exchanges of gradients and weights as they are seen, and the time of each that is hidden.
        optimizer: the update.
        seen: time of the messages of all micro-batches.
    """

    batches: Span
    one: MicroBatch
    mean: Pace
    fullest: Pace
    unseen: Seconds
    reduced: Sequence[tuple[Span, Seconds]]
    optimizer: Span
    seen: Seconds


def train(question: TrainStep, system: System, layout: Layout, calibration: Calibration) -> Training:
    """Return the answer for one step of training."""
    return on_pipeline(question, system, layout, calibration, work=passes(question, system, layout, calibration))


def passes(question: TrainStep, system: System, layout: Layout, calibration: Calibration) -> Passes:
    """Return what a step takes whatever the schedule of its layout, but for those that do passes in pairs."""
    p = micro_batch(question, layout, system.chip)
    own = stage_weights(question.model, layout)
    m = question.global_batch / (question.micro_batch * layout.dp)
    price = prices(system, calibration)
    one = _offloaded(
        question, system, p, micro(question, p, price, calibration, own, generation=system.chip.generation)
    )
    send, unseen = _stage_message(p, layout, one, price, calibration)
    uneven = _uneven(question, layout, one)
    batches = after("micro-batches", (one.forward, one.backward, one.weights), m)
    pair = _dualpipe_pair(one, sum((part.network for part in batches.parts), start=0.0), calibration.framework.lent)
    mean = Pace(one.forward.time, one.backward.time, one.weights.time, send.time, pair)
    fullest = Pace(uneven * mean.forward, uneven * mean.inputs, uneven * mean.weights, send.time, uneven * pair)
    update = _optimizer(question, layout, own, p)
    reduced = _reduced(question, layout, own, one=one, price=price, framework=calibration.framework)
    return Passes(batches, one, mean, fullest, unseen, reduced, leaf(update, price(update)), batches.network)


def _offloaded(question: TrainStep, system: System, p: Flow, one: MicroBatch) -> MicroBatch:
    """Return a micro-batch part of whose activations go to the host in the forward pass and come back in the backward one.

    Of the time that the link takes is seen what is longer than the pass.
    """
    if system.host is None or not np.any(question.offload > 0):
        return one
    link = REACHED * system.host.bandwidth / system.ranks_per_chip
    moved = question.offload * one.saved * question.model.depth / p.layout.pp / link

    def fetched(phase: Span) -> Span:
        late = larger(moved - phase.time, 0.0)
        return after(phase.name, (*phase.parts, Span("host memory", late, cost=Cost(late, network=late))))

    return evolve(one, forward=fetched(one.forward), backward=fetched(one.backward))


def on_pipeline(
    question: TrainStep, system: System, layout: Layout, calibration: Calibration, *, work: Passes
) -> Training:  # fmt: skip
    """Return the answer for one step whose passes go over the pipeline by the schedule of the layout."""
    f, m, one, batches = calibration.framework, work.batches.times, work.one, work.batches
    seen = work.seen
    over = run(layout.schedule, layout.pp, m, layout.vpp, fullest=work.fullest, mean=work.mean, together=True)
    if layout.schedule in PAIRED:
        # What pairs save is seen less of messages; the rank on average saves in proportion.
        saved = (m * work.fullest.work - over.work) * share(work.mean.work, work.fullest.work)
        batches = partly_exposed(batches, 1 - share(saved, seen))
    left = seen if batches is work.batches else batches.network
    waits = over.time - batches.time
    punctual = (
        batches,
        Span("pipeline", waits, cost=Cost(waits, latency=waits)),
        *(span for span, _ in work.reduced),
        work.optimizer,
        Span("between steps", f.step, cost=Cost(f.step, latency=f.step)),
    )
    # The ideal level has no hosts that are late.
    slow = slowdown(layout.ranks / system.ranks_per_chip) * (calibration.level != "ideal")
    late = slow * sum((part.time for part in punctual), start=0.0)
    step = after("step", (*punctual, Span("stragglers", late, cost=Cost(late, latency=late))))
    table = _EXCHANGED * question.model.vocab * question.model.hidden / layout.tp * (question.task != "lora")
    activations = _activations(layout, one, over.in_flight, question.model.depth, table)
    stored = states(question, layout, activations * (1 - question.offload), scattered=f.scattered, kept=f.states)
    twice = copies(question.model, layout) if layout.schedule in PAIRED else over.copies
    memory = evolve(stored, weights=stored.weights * twice, gradients=stored.gradients * twice)
    n = ranks_per_package(system, layout)
    # Each chunk of a micro-batch sends there and back.
    hidden = (one.hidden + 2 * layout.vpp * work.unseen) * m + seen - left
    return Training(
        question, system, layout, calibration,
        step_time=step.time, bubble=waits, exposed=left + sum((span.time for span, _ in work.reduced), start=0.0),
        hidden=hidden + sum((unseen for _, unseen in work.reduced), start=0.0),
        memory=States(*(getattr(memory, name) * n for name in ("weights", "gradients", "optimizer", "activations"))),
        capacity=usable_bytes(system, calibration) * n, micro_batches=m, again=train,
        rules=(*training_rules(question, system, layout), *(Rule(*each) for each in over.rules)),
        paces=(work.fullest, work.mean), steps=(step,), demand=Lazy(partial(demanded_share, step, system)), remarks=_remarks(question, system, calibration),
    )  # fmt: skip


def _dualpipe_pair(one: MicroBatch, seen: Seconds, lent: Ratio) -> Seconds:
    """Return the time of a forward and a backward pass that go together, each computing while the other's messages travel.

    ``max(work / (1 - lent), messages)``: a part of the cores sends meanwhile. Where that takes longer, one goes after the other.
    """
    return smaller(larger((one.time - seen) / (1 - lent), seen + one.hidden), one.time)


def _stage_message(
    p: Flow, layout: Layout, one: MicroBatch, price: Price, calibration: Calibration
) -> tuple[Span, Seconds]:
    """Return the message from stage to stage as far as it is seen."""
    size = p.resident * p.model.hidden * ACTIVATION.bytes
    crossing = Message(
        "stage to stage", "point_to_point", size, pick(layout.pp > 1, 2.0, 1.0), layout.stage, module="pipeline"
    )
    (sent,) = overlapped([(crossing, 1.0, calibration.framework.pp)], one.forward.time / layout.vpp, price)
    return sent


def _uneven(question: TrainStep, layout: Layout, one: MicroBatch) -> Ratio:
    """Return the time of the fullest stage over the mean.

    Chunks hold equal numbers of layers where those divide, beside the embedding and the head; where ``L + 2`` does, these two take
    the place of a layer each; elsewhere whole layers are placed by hand so that the fullest stage is as short as it can be.
    """
    depth, chunks = question.model.depth, layout.pp * layout.vpp
    mean = (depth * one.layer + one.first + one.last) / layout.pp
    even = depth / layout.pp * one.layer + larger(one.first, one.last)
    placed = (depth + 2) / layout.pp
    spaced = larger(placed * one.layer, (placed - 1) * one.layer + larger(one.first, one.last))
    by_hand = larger(larger(_CUSTOM * mean, one.last), ceil(depth / layout.pp) * one.layer)
    full = pick(depth % chunks == 0, even, pick((depth + 2) % chunks == 0, spaced, by_hand))
    return pick(layout.pp > 1, larger(share(full, mean), 1.0), 1.0)


def _reduced(
    question: TrainStep,
    layout: Layout,
    own: tuple[StageWeights, StageWeights],
    *,
    one: MicroBatch,
    price: Price,
    framework: Framework,
) -> list[tuple[Span, Seconds]]:
    """Return the exchange of gradients and weights between data-parallel ranks, behind the last micro-batch's gradients.

    Micro-batches add their gradients up where they are, and the sum is reduced once a step. Only FSDP, which keeps a part of the
    sum, reduces those of every micro-batch; on a pipeline it waits for the last one too (torch.distributed.pipelining).
    """
    window, part = one.backward.time + one.weights.time, framework.dp
    each = layout.sharding == "zero2" and framework.reduced == "micro-batch"
    several = question.global_batch / (question.micro_batch * layout.dp)
    every = pick(layout.pp > 1, 1.0, several) if each else 1.0
    scattered, gathered = list[tuple[Message, Num, Ratio]](), list[tuple[Message, Num, Ratio]]()
    for group, name, there in zip(own, ("", " of experts"), (True, bool(question.model.experts)), strict=True):
        if not there:
            continue
        trained = group.weights if question.task != "lora" else 0.0 * group.weights
        size, shards = _EXCHANGED * trained, 1.0 if layout.sharding == "none" else group.shards
        weights = trained * (_EXCHANGED if question.model.formats.attention in SIXTEEN_BIT else framework.gathered)
        if layout.sharding in ("zero1", "zero2"):
            scatter = Message(
                f"scatter gradients{name}", "reduce_scatter", size, shards, group.stride, module="data", phase="reduce"
            )
            gather = Message(
                f"gather weights{name}", "all_gather", weights, shards, group.stride, module="data", phase="reduce"
            )
            scattered.append((scatter, every, part))
            gathered.append((gather, 1.0, part))
        if layout.sharding == "none" or layout.fsdp is not None:
            # Ranks that hold the same shard add up what each of them has.
            copies, apart = group.copies / shards, group.stride * shards
            scattered.append(
                (
                    Message(
                        f"reduce gradients{name}",
                        "all_reduce",
                        size / shards,
                        copies,
                        apart,
                        module="data",
                        phase="reduce",
                    ),
                    1.0,
                    part,
                )
            )
    shared = [(_tied(question, layout), 1.0, 1.0)] if question.model.tied and question.task != "lora" else []
    return [
        *overlapped(scattered, every * window, price),
        *overlapped(shared, 0.0, price),
        *overlapped(gathered, one.forward.time, price),
    ]


def _tied(question: TrainStep, layout: Layout) -> Message:
    """Return the sum of the two gradients of weights that embedding and head share, between the first stage and the last.

    ``vocab hidden g / tp`` bytes once a step, g those of a gradient as it is accumulated, when all micro-batches are done. Megatron-Core
    does so (``finalize_model_grads``); on one stage there is one gradient.
    """
    model, apart = question.model, (layout.pp - 1) * layout.stage
    return Message(
        "reduce gradients of the embedding",
        "all_reduce",
        question.gradient_bytes * model.vocab * model.hidden / layout.tp,
        pick(layout.pp > 1, 2.0, 1.0),
        larger(apart, 1.0),
        module="embedding",
        phase="reduce",
    )


def _optimizer(question: TrainStep, layout: Layout, own: tuple[StageWeights, StageWeights], p: Flow) -> Op:
    """Return the update: ``26 + 2 g`` bytes a weight whose states a rank holds, ``g`` bytes a gradient that it holds.

    Gradients of g bytes are read for their norm and for the update where the states are, and cleared where they were accumulated:
    Megatron-Core's distributed optimizer takes the norm of its shard.
    """
    moved: Num = 0.0
    each = question.gradient_bytes
    for group in own:
        updated = group.weights if layout.sharding == "none" else group.weights / group.shards
        local = group.weights / group.shards if layout.sharding in ("zero2", "zero3") else group.weights
        moved = moved + (_UPDATED + 2 * each) * updated + each * local
    if question.task == "lora":
        moved = 0.0 * moved
    return Op("optimizer", "elementwise", p.sixteen, flops=0.0, bytes=moved, launches=4.0, phase="optimizer")


def _activations(layout: Layout, one: MicroBatch, in_flight: Num, depth: int, table: Bytes) -> Num:
    """Return the bytes of activations on the fullest rank: the first stage's micro-batches in flight, or the last's, and logits.

    ``table`` is the gradient of the embedding or of the head in 16 bits, before it is added to those that are accumulated.
    """
    per_stage = ceil(depth / layout.pp) * one.saved
    # Where embedding and head take the place of a layer each, the second stage holds more than the first, of one micro-batch less.
    chunks = layout.pp * layout.vpp
    spaced = (layout.pp > 1) & (depth % chunks != 0) & ((depth + 2) % chunks == 0)
    ahead = larger(in_flight * (per_stage - one.saved), (in_flight - 1) * per_stage)
    first = pick(spaced, ahead, in_flight * per_stage) + one.working
    return larger(first, per_stage * larger(in_flight - layout.pp + 1, 1.0) + one.working + one.saved_last) + table


def _remarks(question: TrainStep, system: System, calibration: Calibration) -> tuple[str, ...]:
    out = []
    if calibration.level != "ideal":
        out.append(f"{calibration.memory_fraction:.0%} of the memory of a chip can be filled")
    if np.any(question.offload > 0):
        link = (
            "at the rate of the host's link"
            if system.host is not None
            else "free of charge: no link to its host is described"
        )
        out.append(f"activations go to the host's memory {link}")
    if question.model.mtp:
        out.append(f"{question.model.mtp} multi-token-prediction module is trained too, at the end of the last stage")
    return tuple(out)
