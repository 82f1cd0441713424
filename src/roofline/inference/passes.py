"""One prefill, or one decode step: its operations compiled, priced and put together into an answer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

import numpy as np
from attrs import evolve

from roofline.core.arrays import Mask, anywhere, ceil, larger, pick, share, smaller
from roofline.core.remember import Lazy, remembered
from roofline.core.units import Bytes, Count, PerSecond, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import Chip, System
from roofline.models.architecture import Model
from roofline.models.blocks import Moe
from roofline.operators.assumptions import draft_notes, notes
from roofline.operators.feasibility import serving_rules
from roofline.operators.memory import Footprint
from roofline.operators.operations import Message, Op, Operation, Section, altered, changed, fused, launched
from roofline.operators.serving_memory import as_served, fill_memory, uses_own_drafts
from roofline.operators.transformer import sections
from roofline.operators.transformer.ffn.moe import with_shared_routed
from roofline.physics.kernels import Cost
from roofline.physics.pricing import pricer
from roofline.physics.spans import Span, after, leaf, partly_exposed
from roofline.results.energy import demanded_share
from roofline.results.estimate import Estimate
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Mixed, Pass, Prefill, tokens_per_step


def step(question: Pass, system: System, layout: Layout, calibration: Calibration, served: Count = 0.0) -> Span:
    """Return one pass as a tree of spans: sections, each a number of times its operations one after another, and the host.

    Args:
        served: sequences whose tokens the host sends on while the chip computes.
    """
    if not calibration.engine.windows:
        served_as = as_served(question.model, calibration)
        question = question if served_as == question.model else evolve(question, model=served_as)
    cut, price = _sections(question, system, layout, calibration), pricer(system, calibration)
    parts = [after(s.name, [leaf(work, price(work)) for work in s.operations], s.times) for s in cut]
    name = {Prefill: "prefill", Decode: "decode", Mixed: "mixed"}[type(question)]
    if np.any(calibration.engine.overlap > 0):
        parts = _two_batch_overlap(question, system, layout, calibration, parts)
    chip = after(name, parts)
    engine = calibration.engine
    gap = engine.gap if isinstance(question, Decode) else engine.gap + engine.prompt_gap
    # Attention ranks have processes of their own: each schedules, samples and sends what it serves itself.
    own = served / layout.dp
    # The norm of both less the chip's own, without what a difference of two like numbers loses.
    pieces = name in engine.pieces and (engine.pieces_shared or _cut_in_pieces(question, layout))
    host = share(engine.stream * own + _launch_time(cut, engine, name, pieces), chip.time)
    waits = gap + engine.sequence * own + chip.time * np.expm1(np.log1p(host**_BESIDE) / _BESIDE)
    return after(name, (*parts, Span("host", waits, cost=Cost(waits, latency=waits, error=_HOST_ERROR))))


def _sections(question: Pass, system: System, layout: Layout, calibration: Calibration) -> tuple[Section, ...]:
    """Return the sections of a pass, tokens on the way to their experts that the stack sends them."""
    cut = _compiled(question, layout, system.chip, calibration.engine)
    return changed(cut, fused) if calibration.fused else cut


@remembered(64)
def _compiled(question: Pass, layout: Layout, chip: Chip, engine: Engine) -> tuple[Section, ...]:
    if engine.shared_routed:
        question = evolve(question, model=_routed(question.model))
    cut = sections(question, layout, chip, engine)
    if engine.fused_norm and anywhere(layout.tp > 1):
        cut = changed(cut, partial(_joined, layout=layout))
    return cut if engine.exchange == "all_to_all" else changed(cut, _as_all_gather)


@remembered(16)
def _routed(model: Model) -> Model:
    """Return a model whose shared experts are among the routed ones."""
    return evolve(model, layers=tuple(
        evolve(run, ffn=with_shared_routed(run.ffn)) if isinstance(run.ffn, Moe) else run for run in model.layers
    ))  # fmt: skip


def _joined(work: Operation, layout: Layout) -> Operation:
    """Return a norm as part of the all-reduce before it, where there is one: its passes over memory are left."""
    if not isinstance(work, Op) or work.module != "norm":
        return work
    return altered(work, launches=work.launches * (layout.tp <= 1))


_GATHERED: Final = {"dispatch": "all_gather", "combine": "reduce_scatter"}


def _as_all_gather(work: Operation) -> Operation:
    """Return an exchange of experts as all-gather and reduce-scatter: every rank gets every token, and sends back its sums."""
    if not isinstance(work, Message) or work.collective not in _GATHERED:
        return work
    return altered(work, collective=_GATHERED[work.collective], size=work.size * work.group, copies=1.0)


def _cut_in_pieces(question: Pass, layout: Layout) -> Mask:
    """Return where graphs cut at attention serve a pass: for text alone, without drafts, on one pipeline stage and one attention rank.

    Source:
        SGLang's documentation of piecewise CUDA graphs, "Compatibility".
    """
    drafts = 0.0 if isinstance(question, Prefill) else question.draft_tokens
    return (drafts <= 0) & (layout.dp <= 1) & (layout.pp <= 1) & (not question.model.towers)


def _launch_time(cut: Iterable[Section], engine: Engine, kind: str, pieces: Mask) -> Seconds:
    """Return the time in which the host launches the kernels of a pass one by one; 0 for one that a graph has captured.

    The host runs ahead of the chip: a pass is bound by its launches only where they take longer than its kernels do together.

    Args:
        pieces: where graphs are cut at attention and collectives: the host launches these, and a piece after each.
    """
    if kind in engine.captured:
        return 0.0

    cut_up = anywhere(pieces)

    def by_host(work: Operation) -> Count:
        each = launched(work)
        if not cut_up:
            return each
        between = isinstance(work, Message) or work.role == "core"
        return pick(pieces, (each + (each > 0)) * between, each)

    return engine.launch_host * sum((s.times * sum(map(by_host, s.operations)) for s in cut), start=0.0)


def _two_batch_overlap(
    question: Pass, system: System, layout: Layout, calibration: Calibration, parts: list[Span]
) -> list[Span]:
    r"""Return the sections of a step with the exposed part of their messages where the step is cut into two halves.

    The messages of one half travel while the other computes (DeepSeek-V3, arXiv:2412.19437, section 3.4). With c the operations and
    m the messages of a half, the step takes :math:`2 \max(c, m)` and, where the first layer has nothing to hide behind,
    :math:`\min(c, m) / L` more; of a part o of that gain. Halves read the weights twice: a step is cut only where that pays.
    """
    halved = {name: getattr(question, name) / 2 for name in ("batch", "prompts") if hasattr(question, name)}
    cut = _sections(evolve(question, **halved), system, layout, calibration)
    price = pricer(system, calibration)
    half = [after(s.name, [leaf(work, price(work)) for work in s.operations], s.times) for s in cut]
    operations, messages = _compute_and_network(half)
    alone, sent = _compute_and_network(parts)
    both = 2 * larger(operations, messages) + smaller(operations, messages) / question.model.depth
    overlap = calibration.engine.overlap
    two = (1 - overlap) * 2 * (operations + messages) + overlap * both
    seen = smaller(share(larger(two - alone, 0.0), sent), 1.0)
    return [partly_exposed(part, seen) for part in parts]


def _compute_and_network(parts: Iterable[Span]) -> tuple[Seconds, Seconds]:
    """Return the time of operations and of messages."""
    whole = after("", parts)
    return whole.time - whole.network, whole.network


_BESIDE: Final = 3.0
"""How chip and host share a step: nearly side by side, and the longer one counts most."""
_HOST_ERROR: Final = 0.5
"""Half-width of the 80 % interval of the host's time, relative."""


def decode(question: Decode, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for one decode step: ``TPOT = step / accept_length``, ``rate = batch / TPOT``."""
    span, yields = decode_step(question, system, layout, calibration), tokens_per_step(question)
    tpot = span.time / yields
    new = question.draft_tokens + 1
    memory, capacity, most = decode_capacity(question, system, layout, calibration)
    return Estimate(
        question, system, layout, calibration,
        ttft=None, tpot=tpot, tokens_per_second=question.batch / tpot, prompt_tokens_per_second=None,
        memory=memory, capacity=capacity, max_concurrency=most, again=decode,
        rules=serving_rules(question.model, system, layout), steps=(span,), demand=Lazy(partial(demanded_share, span, system)), within={"tpot": (span, 0.0)},
        progress=((span, yields / new),),
        remarks=(*draft_notes(question),
                     *notes(question.model, question.context + new, system, calibration)),
    )  # fmt: skip


def decode_step(question: Decode, system: System, layout: Layout, calibration: Calibration) -> Span:
    """Return a decode step alone: :func:`decode` without memory and rules."""
    served = question.served * question.batch / (layout.replicas * layout.pp)
    return step(question, system, layout, calibration, served)


def decode_capacity(
    question: Decode, system: System, layout: Layout, calibration: Calibration
) -> tuple[Footprint, Bytes, Count]:
    """Return the bytes on the fullest chip that decodes, those it may hold, and how many sequences fit."""
    new = question.draft_tokens + 1
    return fill_memory(
        question.model, system, layout, calibration,
        sequences=ceil(question.batch / (layout.dp * layout.replicas)), tokens=question.context + new, passing=new, logits=new,
        drafting=uses_own_drafts(question.model, question.draft_tokens), drafts=question.draft_tokens,
    )  # fmt: skip


def prompts_per_second(question: Prefill, layout: Layout, span: Span) -> PerSecond:
    """Return the prompt tokens per second of a pass after which the next prompts follow at once, on every pipeline stage."""
    return question.batch * (question.input - question.cached) * layout.pp / span.time


def prefill(question: Prefill, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for one prefill: TTFT of its prompts with nothing before them, and prompt tokens per second.

    With pipeline stages the next prompts follow at once, so the rate is ``pp`` times what one pass alone would give.
    """
    span = step(question, system, layout, calibration)
    read = question.input - question.cached
    each = ceil(question.batch / (layout.dp * layout.replicas))
    memory, capacity, most = fill_memory(
        question.model, system, layout, calibration,
        sequences=each * layout.pp, tokens=question.input, passing=read, logits=1.0,
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=span.time, tpot=None, tokens_per_second=None, prompt_tokens_per_second=prompts_per_second(question, layout, span),
        memory=memory, capacity=capacity, max_concurrency=most, again=prefill,
        rules=serving_rules(question.model, system, layout), steps=(span,), demand=Lazy(partial(demanded_share, span, system)), within={"ttft": (span, 1.0)}, progress=((span, 1.0),),
        remarks=notes(question.model, question.input, system, calibration),
    )  # fmt: skip
