"""One micro-batch on one rank, phase by phase: computation, communication, and its exposed part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import ceil, larger, norm, share, squeezed
from roofline.core.units import Bytes, Num, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.frameworks import FUSED_LOSS
from roofline.models.architecture import Model
from roofline.operators.gradients import input_gradients, recast_for_training, saved_bytes, weight_gradients
from roofline.operators.operations import Message, Op, Operation, Phase, Section, altered, changed, fused, recomputed
from roofline.operators.training_memory import WEIGHT, StageWeights, adapters
from roofline.operators.transformer import attention, ends, layers
from roofline.operators.transformer.flow import ACTIVATION, SIXTEEN_BIT, TILE, Flow
from roofline.physics.kernels import Cost
from roofline.physics.spans import Span, after, leaf
from roofline.workload.questions import TrainStep, modules

Price: TypeAlias = Callable[[Operation], Cost]
"""What prices a work."""


_BESIDE: Final = 6.0
"""How chip and host share a phase: side by side, and the longer one counts."""
_LAUNCHED: Final[Mapping[str, float]] = {"moe": 12.0}
"""Kernels that the host launches for one work of a class: routing, permutation, grouped products, each in parts."""
_PHASES: Final[Mapping[str, Phase]] = {"forward": "forward", "backward": "dgrad", "weights": "wgrad"}
"""The pass that each part of a micro-batch is."""
_ROUTED: Final = ("dispatch", "combine")
_ATTENTION: Final = ("attention_prefill", "mla_prefill")


@frozen(eq=False)
class MicroBatch:
    """A micro-batch on a rank that holds an even share of the layers, and of what comes before and after them.

    Attributes:
        forward: the forward pass.
        backward: gradients of inputs, with what is recomputed for them.
        weights: gradients of weights.
        layer: time of one layer in all phases.
        first: time of the embedding in all phases.
        last: time of the head and what stands beside it in all phases.
        hidden: time of messages that is overlapped.
        saved: bytes that the gradients of one layer need.
        working: further bytes while a layer is recomputed.
        saved_last: bytes that the gradients of the head need.
    """

    forward: Span
    backward: Span
    weights: Span
    layer: Seconds
    first: Seconds
    last: Seconds
    hidden: Seconds
    saved: Bytes
    working: Bytes
    saved_last: Bytes

    @property
    def time(self) -> Seconds:
        """Time of all phases."""
        return self.forward.time + self.backward.time + self.weights.time


@frozen(eq=False)
class _Made:
    """Spans of a section in one phase, and the time of its messages that is hidden."""

    section: Section
    span: Span
    hidden: Seconds


def micro(
    question: TrainStep,
    p: Flow,
    price: Price,
    profile: Calibration,
    own: tuple[StageWeights, StageWeights],
    *,
    generation: str = "",
) -> MicroBatch:
    """Return a micro-batch with its forward pass ``p``, on a rank that holds the weights ``own``, priced on a generation of chips."""
    f, pp = profile.framework, p.layout.pp
    plain, (first, *closing) = layers(p), ends(p)
    inner = plain
    if f.unfused == "all" or (f.unfused and _sinks(question.model)):
        inner = changed(plain, partial(_unfused, p=p))
    elif generation in f.latent_unfused:
        inner = changed(plain, partial(_unfused_latent, p=p))
    if f.narrow and question.model.formats.attention not in SIXTEEN_BIT:
        inner = changed(inner, _narrow)
    added = (_adapters(question, p),) if question.task == "lora" else ()
    whole = (first, *inner, *added, *closing)
    trained = added or whole
    # Gradients in 32 bits are read and written where several micro-batches add up, and only written where there is one.
    several = squeezed((question.global_batch > question.micro_batch * p.layout.dp) * 1.0)
    accumulated = question.gradient_bytes * (1 + several)

    def phase(made: Iterable[tuple[Section, tuple[Operation, ...]]]) -> list[_Made]:
        return [_section(section, operations, pp, price, profile) for section, operations in made if operations]

    # The input of frozen weights is not kept for their gradients.
    forward = whole if added else changed(whole, recast_for_training)
    layered = forward[1 : 1 + len(inner)]
    # Scores that one kind of model alone writes are not stored, or none of its runs would fit: they are made again.
    lost = f.unfused != "all"
    repeated = (
        (altered(s, times=s.times * part), operations)
        for s, usual in zip(layered, plain, strict=True)
        for part, operations in _recomputed(s, usual, question, scores=lost)
    )
    found = {
        "forward": phase((s, s.operations) for s in forward),
        "backward": [
            *phase(repeated),
            *phase((s, input_gradients(s.operations, trained=not added)) for s in reversed(whole)),
        ],
        "weights": phase((s, weight_gradients(s.operations, accumulated)) for s in reversed(trained)),
    }
    spans, ended = dict[str, Span](), dict[str, Num]()
    hidden = _sum(m.hidden for made in found.values() for m in made)
    for name, made in found.items():
        beside = overlapped(_shared(name, question, p, own, profile), _sum(m.span.time for m in made), price)
        hidden = hidden + _sum(unseen for _, unseen in beside)
        spans[name] = _driven(name, [*(m.span for m in made), *(span for span, _ in beside)], profile)
        # What the host adds stretches all parts alike; messages that belong to no section are sent layer by layer.
        sent = _sum(span.time for span, _ in beside)
        slow = pp * share(spans[name].time, _sum(m.span.time for m in made) + sent)
        for m in made:
            ended[m.section.place] = ended.get(m.section.place, 0.0) + m.span.time * slow
        ended["layers"] = ended.get("layers", 0.0) + sent * slow
    depth = question.model.depth
    # Attention that only one kind of model has unfused keeps no scores: none of its runs would fit.
    remembered, working = _activation_bytes(inner if f.unfused == "all" else plain, plain, question, p, f.gates)
    return MicroBatch(
        spans["forward"], spans["backward"], spans["weights"],
        ended["layers"] / depth, ended["first"], ended["last"], hidden,
        remembered / depth, working / depth, _sum(s.times * saved_bytes(_loss_operations(s.operations, f.logits)) for s in closing),
    )  # fmt: skip


def _loss_operations(operations: Iterable[Operation], logits: Bytes) -> Iterable[Operation]:
    """Yield operations of which the loss keeps so many bytes a logit as the framework does."""
    for work in operations:
        if isinstance(work, Op) and work.module == "loss":
            yield altered(work, kept=work.kept * logits / FUSED_LOSS)
        else:
            yield work


def _sum(values: Iterable[Num]) -> Num:
    return sum(values, start=0.0)


def _section(section: Section, operations: Iterable[Operation], pp: Num, price: Price, profile: Calibration) -> _Made:
    """Return a section of which a rank does its share, messages hidden behind its operations as far as the framework can.

    Of messages of t beside operations of w, ``max(o t, t - w)`` is seen, o being the part that nothing hides.
    """
    f = profile.framework
    priced = [(work, price(work)) for work in (map(fused, operations) if profile.fused else operations)]
    busy = _sum(cost.time for work, cost in priced if isinstance(work, Op))
    part: dict[bool, Num] = {}
    hidden: Num = 0.0
    for routed, left in ((False, f.tp), (True, f.ep)):
        sent = [c.time for w, c in priced if isinstance(w, Message) and (w.collective in _ROUTED) == routed]
        if sent:
            seen = larger(left * _sum(sent), _sum(sent) - (busy - hidden))
            part[routed], hidden = share(seen, _sum(sent)), hidden + _sum(sent) - seen
    leaves = [
        leaf(w, cost.sent_in_part(part[w.collective in _ROUTED])) if isinstance(w, Message) else leaf(w, cost)
        for w, cost in priced
    ]
    # What hides takes cores and memory from the work that it hides behind.
    slowed = f.contention * hidden
    leaves.append(Span("shared with messages", slowed, cost=Cost(slowed, latency=slowed)))
    times = section.times / pp
    return _Made(section, after(section.name, leaves, times), hidden * times)


def overlapped(
    messages: Iterable[tuple[Message, Num, Ratio]], work: Seconds, price: Price
) -> list[tuple[Span, Seconds]]:
    """Return messages as they are seen, and the time of each that is hidden.

    Of one that is sent so often as to take t in all, ``max(o t, t - w)`` is seen: w is what those before it leave of the work that
    stands beside them, o the part that nothing hides.
    """
    out = []
    for message, times, part in messages:
        cost = price(message)
        whole = cost.time * times
        seen = larger(part * whole, whole - work)
        out.append((after(message.label, [leaf(message, cost.sent_in_part(share(seen, whole)))], times), whole - seen))
        work = work - (whole - seen)
    return out


def _shared(
    phase: str, question: TrainStep, p: Flow, own: tuple[StageWeights, StageWeights], profile: Calibration
) -> Iterable[tuple[Message, Num, Ratio]]:
    """Yield the messages of a phase that belong to no section, how often each is sent, and the part that nothing hides.

    Context-parallel ranks see each other's keys and values layer by layer, and send their gradients on the way back; fully sharded
    weights are gathered for the forward and the backward pass, and their gradients are scattered.
    """
    layout, model, f = p.layout, question.model, profile.framework
    count = model.depth / layout.pp
    # Only what goes round piece by piece has attention to hide behind.
    part = f.cp if layout.context == "ring" else 1.0
    for message in _context(phase, question, p):
        yield altered(message, phase=_PHASES[phase]), count, part
    if layout.sharding != "zero3":
        return
    for stored, name, there in zip(own, ("weights", "experts"), (True, bool(model.experts)), strict=True):
        if not there:
            continue
        gathered = Message(
            f"gather {name}", "all_gather", WEIGHT * stored.weights / count, stored.shards, stored.stride, module="data",
            phase=_PHASES[phase],
        )  # fmt: skip
        if phase != "weights":
            yield gathered, count, f.fsdp
        elif question.task != "lora":
            yield (
                altered(gathered, name=f"scatter gradients of {name}", collective="reduce_scatter", phase="reduce"),
                count,
                f.fsdp,
            )


def _context(phase: str, question: TrainStep, p: Flow) -> tuple[Message, ...]:
    """Return the messages of one layer between ranks that share a sequence: of S tokens in all, n of them on a rank.

    Keys and values of S are gathered, and their gradients scattered; or n tokens' queries, keys, values and outputs are exchanged
    for all tokens of a part of the heads, and back.
    """
    layout, model = p.layout, question.model
    tokens = ACTIVATION.bytes * question.micro_batch * question.seq_len
    if layout.context == "ulysses":
        wide = _sum(run.count * attention.width(run.attention) for run in model.layers) / model.depth / layout.tp
        swap = Message(
            "tokens for heads", "all_to_all", tokens / layout.cp * wide, layout.cp, layout.tp, module="context"
        )
        return () if phase == "weights" else (swap,)
    cached = _sum(run.count * attention.cached(run.attention, 1.0, layout.tp) for run in model.layers) / model.depth
    gather = Message("keys and values", "all_gather", tokens * cached, layout.cp, layout.tp, module="context")
    scatter = altered(gather, name="scatter keys and values", collective="reduce_scatter")
    return {"forward": (gather,), "backward": (gather, scatter)}.get(phase, ())


def _driven(phase: str, spans: list[Span], profile: Calibration) -> Span:
    """Return a phase with the time that the chip waits for the host: ``||chip, launches host||_6 - chip``."""
    chip = after(phase, spans)
    each = profile.framework.launch * profile.eager
    launches = _sum(
        times * (_LAUNCHED.get(work.kernel, work.launches) if isinstance(work, Op) else (work.group > 1) * 1.0)
        for work, _, times in chip.leaves()
        if work is not None
    )
    waits = norm(chip.time, launches * each, _BESIDE) - chip.time
    return after(phase, (*spans, Span("host", waits, cost=Cost(waits, latency=waits))))


def _repeated(operations: Iterable[Operation], recompute: str) -> tuple[Operation, ...]:
    """Return what of a layer is recomputed in the backward pass: nothing, all of it, or some modules."""
    return tuple(recomputed(w) for w in operations if _is_recomputed(w, recompute))


def _recomputed(
    section: Section, fused: Section, question: TrainStep, *, scores: bool
) -> Iterable[tuple[Ratio, tuple[Operation, ...]]]:
    """Yield what of a section is recomputed, in which part of the layers; with ``scores``, also attention that writes them, in all layers."""
    yield question.share, _repeated(section.operations, question.recompute)
    written = tuple(
        recomputed(work)
        for work, plain in zip(section.operations, fused.operations, strict=True)
        if scores and _scored(work, plain)
    )
    if written:
        done = question.share if all(_is_recomputed(work, question.recompute) for work in written) else 0.0
        yield 1 - done, written


def _scored(work: Operation, plain: Operation) -> bool:
    """Return whether an operation is attention that writes its scores, where a fused kernel would not."""
    return isinstance(work, Op) and isinstance(plain, Op) and work.kernel != plain.kernel


def _is_recomputed(work: Operation, recompute: str) -> bool:
    """Return whether a work is recomputed."""
    if recompute in ("none", "full"):
        return recompute == "full"
    return isinstance(work, Op) and any(MODULES[name](work) for name in modules(recompute))


MODULES: Final[Mapping[str, Callable[[Op], bool]]] = {
    "attention": lambda op: op.role == "core",
    "norm": lambda op: op.module == "norm",
    "activation": lambda op: op.role == "activation",
    "up": lambda op: op.role == "up",
    "ffn": lambda op: op.module in ("mlp", "shared"),
    "experts": lambda op: op.kernel == "moe",
}
"""The operations of each module of :data:`roofline.workload.questions.MODULES` that are recomputed."""


def _activation_bytes(
    inner: Iterable[Section], fused: Iterable[Section], question: TrainStep, p: Flow, gates: Bytes
) -> tuple[Bytes, Bytes]:
    """Return the bytes that gradients of all layers need, and those that stand beside them while they are recomputed.

    Attention that is recomputed keeps queries, keys and values, and no scores, as if it were ``fused``.
    """
    both = list(zip(inner, fused, strict=True))
    everything = _sum(s.times * saved_bytes(s.operations) for s, _ in both)
    if question.recompute == "full":
        left = p.resident * p.model.hidden * ACTIVATION.bytes * p.model.depth
    else:
        left = _sum(s.times * saved_bytes(_needed(s, plain, question.recompute, gates)) for s, plain in both)
    dropped = question.share * (everything - left)
    return everything - dropped, dropped


def _needed(section: Section, fused: Section, recompute: str, gates: Bytes) -> Iterable[Operation]:
    """Yield the operations of a section whose inputs are kept though some are recomputed.

    ``gates`` are the bytes of an input of a gated activation that is recomputed where products are narrow.
    """
    up = recompute not in ("none", "full") and "up" in modules(recompute)
    again_inside = recompute not in ("none", "full") and "activation" in modules(recompute)
    for work, plain in zip(section.operations, fused.operations, strict=True):
        expanding = up and isinstance(work, Op) and work.role == "up"
        expanded = up and isinstance(work, Op) and work.kernel == "mla_prefill"
        if expanded and isinstance(work, Op) and not _is_recomputed(work, recompute):
            # Queries, keys and values that are expanded again are not kept; what attention gives is the input of the next product.
            yield altered(work, kept=0.0)
        elif again_inside and isinstance(work, Op) and work.kernel == "moe" and not _is_recomputed(work, recompute):
            # The activation inside a grouped product is done again: the input of its second product, as wide as an expert, is not kept.
            narrow = 0.0 if work.rate in SIXTEEN_BIT else ACTIVATION.bytes - gates
            # As wide as two halves of what it gives, which is kept in 8 bits where products are.
            yield altered(work, kept=work.kept - work.inner * (1 + 2 * narrow))
        elif expanding or not _is_recomputed(work, recompute):
            yield work
        elif isinstance(plain, Op) and plain.kernel in _ATTENTION and not expanded:
            yield plain


def _sinks(model: Model) -> bool:
    """Return whether queries may attend to nothing."""
    return any(getattr(run.attention, "sinks", False) for run in model.layers)


def _narrow(work: Operation) -> Operation:
    """Return attention computed in fp8: scores and values at its rate, what goes in and comes out in 16 bits as before."""
    return altered(work, rate="fp8") if isinstance(work, Op) and work.kernel in _ATTENTION else work


def _unfused(work: Operation, p: Flow) -> Operation:
    """Return attention that writes its scores, masked ones too, and passes over them for mask, softmax and dropout: 12 bytes each.

    Kept are the softmax, its mask and what dropout left: five bytes a score (Korthikanti and others, arXiv:2205.05198, sec. 4.1).
    """
    if not isinstance(work, Op) or work.kernel not in _ATTENTION or not np.any(work.items):
        # A recurrence has no scores.
        return work
    (stream,) = p.streams
    length = 2 * stream.past + stream.new
    # Blocks of queries count heads; a score is made for every key, whatever the mask or the window hides.
    scores = work.items / ceil(stream.new / TILE) * stream.new * length
    causal = stream.pairs(None) / (stream.new * length)
    more = scores * causal / work.scores if np.any(work.scores) else 1.0
    return altered(
        work, name=f"scored {work.name}", kernel="gemm", flops=work.flops * more / causal, staging=12 * scores, launches=4.0,
        scores=0.0, items=0.0, depth=0.0, useful=work.useful * causal / more, kept=work.kept + 5 * scores / work.rows,
    )  # fmt: skip


def _unfused_latent(work: Operation, p: Flow) -> Operation:
    """Return latent attention that writes its scores; other attention as it is."""
    return _unfused(work, p) if isinstance(work, Op) and work.kernel == "mla_prefill" else work


def _adapters(question: TrainStep, p: Flow) -> Section:
    """Return low-rank adapters beside the matrices of a layer: ``F = 2 M r (K + N)`` each, two products and a sum."""
    model = question.model
    elements = adapters(model, evolve(p.layout, pp=1.0), question.rank) / model.depth
    wide = elements / question.rank
    work = Op(
        "adapters", "gemm", p.sixteen, flops=2 * p.tokens * elements, bytes=2 * p.tokens * wide * ACTIVATION.bytes, launches=12.0,
        weights=elements, rows=p.tokens, inputs=wide / 2, outputs=wide / 2, module="adapter",
    )  # fmt: skip
    return Section("adapters", float(model.depth), (work,))
