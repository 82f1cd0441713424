"""One micro-batch on one rank, phase by phase: what is computed, what is sent, and what of that is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from attrs import evolve, frozen

from roofline.architecture import Model
from roofline.arrays import ceil, larger, norm, share
from roofline.calibration import Calibration
from roofline.gradients import kept, of_inputs, of_weights, recast
from roofline.roofline import Cost
from roofline.schedules import PAIRED
from roofline.states import WEIGHT, Held, adapters
from roofline.timeline import Span, after, leaf
from roofline.transformer import attention, ends, layers
from roofline.transformer.flow import ACTIVATION, TILE, Flow, attended
from roofline.units import Bytes, Num, Ratio, Seconds
from roofline.work import Message, Op, Section, Work
from roofline.workload import TrainStep, modules

Price: TypeAlias = Callable[[Work], Cost]
"""What prices a work."""

AGAIN: Final = "again "
"""How the names of works begin that are done a second time."""

_BESIDE: Final = 6.0
"""How chip and host share a phase: side by side, and the longer one counts."""
_LAUNCHED: Final[Mapping[str, float]] = {"moe": 12.0}
"""Kernels that the host launches for one work of a class: routing, permutation, grouped products, each in parts."""
_ROUTED: Final = ("dispatch", "combine")
_ATTENTION: Final = ("attention_prefill", "mla_prefill")


@frozen(eq=False)
class MicroBatch:
    """A micro-batch on a rank that holds an even share of the layers, and of what comes before and after them.

    Attributes:
        forward, backward, weights: forward pass; gradients of inputs, with what is done again for them; gradients of weights.
        layer: time of one layer in all phases; ``first``, of the embedding; ``last``, of the head and what stands beside it.
        hidden: time of messages that is not seen.
        kept: bytes that the gradients of one layer need; ``working``, what is there besides while a layer is done again;
            ``kept_last``, those of the head.
    """

    forward: Span
    backward: Span
    weights: Span
    layer: Seconds
    first: Seconds
    last: Seconds
    hidden: Seconds
    kept: Bytes
    working: Bytes
    kept_last: Bytes

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


def micro(question: TrainStep, p: Flow, price: Price, profile: Calibration, own: tuple[Held, Held]) -> MicroBatch:
    """Return a micro-batch with its forward pass ``p``, on a rank that holds the weights ``own``, priced."""
    if p.layout.schedule in PAIRED:
        profile = evolve(profile, framework=evolve(profile.framework, ep=profile.framework.paired))
    f, pp = profile.framework, p.layout.pp
    inner, (first, *closing) = layers(p), ends(p)
    if f.unfused == "all" or (f.unfused and _sinks(question.model)):
        inner = tuple(evolve(s, works=tuple(_unfused(w, p) for w in s.works)) for s in inner)
    added = (_adapters(question, p),) if question.task == "lora" else ()
    whole = (first, *inner, *added, *closing)
    trained = added or whole
    # Gradients in 32 bits are read and written where several micro-batches add up, and only written where there is one.
    several = (question.global_batch > question.micro_batch * p.layout.dp) * 1.0
    accumulated = question.gradient_bytes * (1 + several)

    def phase(made: Iterable[tuple[Section, tuple[Work, ...]]]) -> list[_Made]:
        return [_made(section, works, pp, price, profile) for section, works in made if works]

    again = ((evolve(s, times=s.times * question.share), _repeated(s.works, question.recompute)) for s in inner)
    found = {
        "forward": phase((s, tuple(s.works if added else (recast(w) for w in s.works))) for s in whole),
        "backward": [*phase(again), *phase((s, of_inputs(s.works, trained=not added)) for s in reversed(whole))],
        "weights": phase((s, of_weights(s.works, accumulated)) for s in reversed(trained)),
    }
    spans, ended = dict[str, Span](), dict[str, Num]()
    hidden = _sum(m.hidden for made in found.values() for m in made)
    for name, made in found.items():
        beside = [
            behind(message, times, _sum(m.span.time for m in made), part, price)
            for message, times, part in _shared(name, question, p, own, profile)
        ]
        hidden = hidden + _sum(unseen for _, unseen in beside)
        spans[name] = _driven(name, [*(m.span for m in made), *(span for span, _ in beside)], profile)
        slow = share(
            spans[name].time, _sum(m.span.time for m in made)
        )  # what is seen beside, and the host, stretch all parts alike
        for m in made:
            place = (
                "first"
                if m.section.name == first.name
                else "last"
                if m.section.name in {s.name for s in closing}
                else "layer"
            )
            ended[place] = ended.get(place, 0.0) + m.span.time * slow * pp
    depth = question.model.depth
    remembered, working = _remembered(inner, question, p)
    return MicroBatch(
        spans["forward"], spans["backward"], spans["weights"],
        ended["layer"] / depth, ended["first"], ended["last"], hidden,
        remembered / depth, working / depth, _sum(s.times * kept(s.works) for s in closing),
    )  # fmt: skip


def _sum(values: Iterable[Num]) -> Num:
    return sum(values, start=0.0)


def _made(section: Section, works: Iterable[Work], pp: Num, price: Price, profile: Calibration) -> _Made:
    """Return a section of which a rank does its share, messages hidden behind its operations as far as the framework can.

    Of messages of t beside operations of w, ``max(o t, t - w)`` is seen, o being the part that nothing hides.
    """
    f = profile.framework
    priced = [(work, price(work)) for work in works]
    busy = _sum(cost.time for work, cost in priced if isinstance(work, Op))
    part: dict[bool, Num] = {}
    hidden: Num = 0.0
    for routed, left in ((False, f.tp), (True, f.ep)):
        sent = [c.time for w, c in priced if isinstance(w, Message) and (w.collective in _ROUTED) == routed]
        if sent:
            seen = larger(left * _sum(sent), _sum(sent) - busy)
            part[routed], hidden = share(seen, _sum(sent)), hidden + _sum(sent) - seen
    leaves = [
        leaf(w, _cut(cost, part[w.collective in _ROUTED])) if isinstance(w, Message) else leaf(w, cost)
        for w, cost in priced
    ]
    # What hides takes cores and memory from the work that it hides behind.
    slowed = f.contention * hidden
    leaves.append(Span("shared with messages", slowed, cost=Cost(slowed, latency=slowed)))
    times = section.times / pp
    return _Made(section, after(section.name, leaves, times), hidden * times)


def behind(message: Message, times: Num, work: Seconds, part: Ratio, price: Price) -> tuple[Span, Seconds]:
    """Return ``times`` messages of t in all, of which ``max(part t, t - work)`` is seen, and the time that is hidden."""
    cost = price(message)
    seen = larger(part * cost.time * times, cost.time * times - work)
    span = after(message.name, [leaf(message, _cut(cost, share(seen, cost.time * times)))], times)
    return span, cost.time * times - seen


def _cut(cost: Cost, part: Ratio) -> Cost:
    """Return the cost of a message of which a part is seen."""
    return evolve(cost, time=cost.time * part, network=cost.network * part, latency=cost.latency * part)


def _shared(
    phase: str, question: TrainStep, p: Flow, own: tuple[Held, Held], profile: Calibration
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
        yield message, count, part
    if layout.sharding != "zero3":
        return
    for held, name in zip(own, ("weights", "experts"), strict=True):
        if not model.experts and name == "experts":
            continue
        gathered = Message(f"gather {name}", "all_gather", WEIGHT * held.weights / count, held.shards, held.stride)
        if phase != "weights":
            yield gathered, count, f.fsdp
        elif question.task != "lora":
            yield evolve(gathered, name=f"scatter gradients of {name}", collective="reduce_scatter"), count, f.fsdp


def _context(phase: str, question: TrainStep, p: Flow) -> tuple[Message, ...]:
    """Return the messages of one layer between ranks that share a sequence: of S tokens in all, n of them on a rank.

    Keys and values of S are gathered, and their gradients scattered; or n tokens' queries, keys, values and outputs are exchanged
    for all tokens of a part of the heads, and back.
    """
    layout, model = p.layout, question.model
    tokens = ACTIVATION.bytes * question.micro_batch * question.seq_len
    if layout.context == "ulysses":
        wide = _sum(run.count * attention.width(run.attention) for run in model.layers) / model.depth / layout.tp
        swap = Message("tokens for heads", "all_to_all", tokens / layout.cp * wide, layout.cp, layout.tp)
        return () if phase == "weights" else (swap,)
    cached = _sum(run.count * attention.cached(run.attention, 1.0, layout.tp) for run in model.layers) / model.depth
    gather = Message("keys and values", "all_gather", tokens * cached, layout.cp, layout.tp)
    scatter = evolve(gather, name="gradients of keys and values", collective="reduce_scatter")
    return {"forward": (gather,), "backward": (gather, scatter)}.get(phase, ())


def _driven(phase: str, spans: list[Span], profile: Calibration) -> Span:
    """Return a phase with the time that the chip waits for the host: ``||chip, launches host||_6 - chip``."""
    chip = after(phase, spans)
    each = profile.framework.launch * profile.eager
    launches = _sum(
        times * (_LAUNCHED.get(work.kernel, work.launches) if isinstance(work, Op) else 1.0)
        for work, _, times in chip.leaves()
        if work is not None
    )
    waits = norm(chip.time, launches * each, _BESIDE) - chip.time
    return after(phase, (*spans, Span("host", waits, cost=Cost(waits, latency=waits))))


def _repeated(works: Iterable[Work], recompute: str) -> tuple[Work, ...]:
    """Return what of a layer is done again in the backward pass: nothing, all of it, or some modules."""
    return tuple(evolve(recast(w), name=f"{AGAIN}{w.name}") for w in works if _again(w, recompute))


def _again(work: Work, recompute: str) -> bool:
    """Return whether a work is done again."""
    if recompute in ("none", "full"):
        return recompute == "full"
    return isinstance(work, Op) and any(MODULES[name](work) for name in modules(recompute))


MODULES: Final[Mapping[str, Callable[[Op], bool]]] = {
    "attention": lambda op: op.name.endswith("attention") or op.kernel in _ATTENTION,
    "norm": lambda op: op.name == "norm",
    "activation": lambda op: op.name.endswith("activate"),
    "up": lambda op: op.name in ("expand kv", "q_b"),
    "ffn": lambda op: op.name.removeprefix("shared ") in ("up", "activate", "down"),
    "experts": lambda op: op.kernel == "moe",
}
"""What each module of :data:`roofline.workload.MODULES` is done again of."""


def _remembered(inner: Iterable[Section], question: TrainStep, p: Flow) -> tuple[Bytes, Bytes]:
    """Return the bytes that gradients of all layers need, and those that stand beside them while they are made again.

    What is done again from its input is not kept; the input of attention is what projections gave, and stays.
    """
    everything = _sum(s.times * kept(s.works) for s in inner)
    if question.recompute == "none":
        return everything, 0.0
    if question.recompute == "full":
        freed = everything - p.resident * p.model.hidden * ACTIVATION.bytes * p.model.depth
    else:
        freed = _sum(s.times * kept(w for w in s.works if _made_again(w, question.recompute)) for s in inner)
    return everything - question.share * freed, question.share * freed


def _made_again(work: Work, recompute: str) -> bool:
    """Return whether what a work keeps need not be kept: of fused attention its inputs must be."""
    fused = isinstance(work, Op) and work.kernel in _ATTENTION
    return _again(work, recompute) and not fused


_SCORES: Final = "scored "


def _sinks(model: Model) -> bool:
    """Return whether queries may attend to nothing."""
    return any(getattr(run.attention, "sinks", False) for run in model.layers)


def _unfused(work: Work, p: Flow) -> Work:
    """Return attention that writes its scores, masked ones too, and passes over them for mask, softmax and dropout: 12 bytes each.

    Kept are the softmax, its mask and what dropout left: five bytes a score (Korthikanti and others, arXiv:2205.05198, sec. 4.1).
    """
    if not isinstance(work, Op) or work.kernel not in _ATTENTION:
        return work
    (stream,) = p.streams
    length = 2 * stream.past + stream.new
    # Blocks of queries count heads; a score is made for every key, whatever the mask or the window hides.
    scores = work.items / ceil(stream.new / TILE) * stream.new * length
    causal = attended(stream.new, stream.past, None) / (stream.new * length)
    more = scores * causal / work.scores
    return evolve(
        work, name=f"{_SCORES}{work.name}", kernel="gemm", flops=work.flops * more / causal, staging=12 * scores, launches=4.0,
        scores=0.0, items=0.0, depth=0.0, useful=work.useful * causal / more, kept=work.kept + 5 * scores / work.rows,
    )  # fmt: skip


def _adapters(question: TrainStep, p: Flow) -> Section:
    """Return low-rank adapters beside the matrices of a layer: ``F = 2 M r (K + N)`` each, two products and a sum."""
    model = question.model
    elements = adapters(model, evolve(p.layout, pp=1.0), question.rank) / model.depth
    wide = elements / question.rank
    work = Op(
        "adapters", "gemm", p.sixteen, flops=2 * p.tokens * elements, bytes=2 * p.tokens * wide * ACTIVATION.bytes, launches=12.0,
        weights=elements, rows=p.tokens, inputs=wide / 2, outputs=wide / 2,
    )  # fmt: skip
    return Section("adapters", float(model.depth), (work,))
