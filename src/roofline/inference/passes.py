"""One prefill, or one decode step: its operations priced, its memory counted, its plan checked."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, assert_never

import numpy as np
from attrs import evolve

from roofline.core.arrays import Mask, ceil, larger, share, smaller
from roofline.core.units import Bytes, Count, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.models.architecture import Absent, Dense, FeedForward, Model, Moe
from roofline.models.dtypes import dtype
from roofline.operators.memory import Footprint, activations, kv_cache, most_sequences, weights
from roofline.operators.operations import Message
from roofline.operators.transformer import sections
from roofline.operators.transformer.flow import SIXTEEN_BIT
from roofline.physics.kernels import Cost
from roofline.physics.pricing import price
from roofline.physics.spans import Span, after, leaf
from roofline.results.answer import Rule
from roofline.results.estimate import Estimate
from roofline.workload.layout import Layout
from roofline.workload.questions import CHANCE_KEPT, Decode, Mixed, Pass, Prefill, Serve, guessed, yielded

_MOST_TP = 128


def as_served(model: Model, calibration: Calibration) -> Model:
    """Return the model as an engine serves it, which may leave sliding windows out."""
    return model if calibration.engine.windows else model.unwindowed()


def step(question: Pass, system: System, layout: Layout, calibration: Calibration, served: Count = 0.0) -> Span:
    """Return one pass as a tree of spans: sections, each a number of times its operations one after another, and the host.

    Args:
        served: sequences whose tokens the host sends on while the chip works.
    """
    if not calibration.engine.windows:
        question = evolve(question, model=as_served(question.model, calibration))
    parts = [
        after(s.name, [leaf(work, price(work, system, calibration)) for work in s.operations], s.times)
        for s in sections(question, layout, system.chip)
    ]
    name = {Prefill: "prefill", Decode: "decode", Mixed: "mixed"}[type(question)]
    if np.any(calibration.engine.overlap > 0):
        parts = _hidden(question, system, layout, calibration, parts)
    chip = after(name, parts)
    engine = calibration.engine
    gap = engine.gap if isinstance(question, Decode) else engine.gap + engine.prompt_gap
    # The norm of both less the chip's own, without what a difference of two like numbers loses.
    host = share((engine.sequence + engine.stream) * served, chip.time)
    waits = gap + chip.time * np.expm1(np.log1p(host**_BESIDE) / _BESIDE)
    return after(name, (*parts, Span("host", waits, cost=Cost(waits, latency=waits, error=_HOST_ERROR))))


def _hidden(question: Pass, system: System, layout: Layout, calibration: Calibration, parts: list[Span]) -> list[Span]:
    r"""Return the sections of a step with what is seen of their messages where the step is cut into two halves.

    The messages of one half travel while the other computes (DeepSeek-V3, arXiv:2412.19437, section 3.4). With c the operations and
    m the messages of a half, the step takes :math:`2 \max(c, m)` and, where the first layer has nothing to hide behind,
    :math:`\min(c, m) / L` more; of a part o of that gain. Halves read the weights twice: a step is cut only where that pays.
    """
    halved = {name: getattr(question, name) / 2 for name in ("batch", "prompts") if hasattr(question, name)}
    cut = sections(evolve(question, **halved), layout, system.chip)
    half = [after(s.name, [leaf(w, price(w, system, calibration)) for w in s.operations], s.times) for s in cut]
    operations, messages = _told_apart(half)
    alone, sent = _told_apart(parts)
    both = 2 * larger(operations, messages) + smaller(operations, messages) / question.model.depth
    overlap = calibration.engine.overlap
    two = (1 - overlap) * 2 * (operations + messages) + overlap * both
    seen = smaller(share(larger(two - alone, 0.0), sent), 1.0)
    return [_seen(part, seen) for part in parts]


def _told_apart(parts: Iterable[Span]) -> tuple[Seconds, Seconds]:
    """Return the time of operations and of messages."""
    whole = after("", parts)
    return whole.time - whole.network, whole.network


def _seen(span: Span, part: Ratio) -> Span:
    """Return a span of whose messages this part is seen."""
    if span.parts:
        return after(span.name, [_seen(each, part) for each in span.parts], span.times)
    if not isinstance(span.work, Message) or span.cost is None:
        return span
    cost = span.cost
    return leaf(
        span.work, evolve(cost, time=cost.time * part, network=cost.network * part, latency=cost.latency * part)
    )


_BESIDE: Final = 3.0
"""How chip and host share a step: nearly side by side, and the longer one counts most."""
_HOST_ERROR: Final = 0.5
"""Half-width of the 80 % interval of the host's time, relative."""


def _shared(tp: Count, kv_heads: int) -> Mask:
    return (kv_heads % tp == 0) | (tp % kv_heads == 0)


def rules(model: Model, system: System, layout: Layout) -> tuple[Rule, ...]:
    """Return the conditions under which a model can be laid out so on a system."""
    tp, pp, ep = layout.tp, layout.pp, layout.ep
    hint = some_tp(model)
    out = [
        *(evolve(rule, text=f"{rule.text}; {hint}") for rule in tensor_rules(model, tp)),
        Rule("pp_within_layers", pp <= model.depth, f"pp cannot exceed the {model.depth} layers of {model.name}"),
        within_reach(system, layout),
    ]
    if model.experts:
        out.append(Rule("ep_divides_stage", layout.stage % ep == 0, "ep must divide tp * dp"))
        most = f"ep cannot exceed the {model.experts} experts and their redundant copies"
        out.append(Rule("ep_within_experts", ep <= model.experts + layout.redundant_experts, most))
        widths = sorted({run.ffn.width for run in model.layers if isinstance(run.ffn, Moe)})
        out += [
            Rule(
                f"tp_dp_ep_divides_expert_width_{n}",
                n % layout.expert_tp == 0,
                f"tp * dp / ep must divide the expert width {n}",
            )
            for n in widths
        ]
    else:
        out.append(Rule("ep_without_experts", ep == 1, f"ep must be 1: {model.name} has no experts"))
    return (*out, *_placement_rules(model, system, layout))


def within_reach(system: System, layout: Layout) -> Rule:
    """Return the condition that the network joins so many ranks."""
    text = f"{system.name} joins {{limit}} ranks at most"
    return Rule("ranks_within_reach", layout.ranks <= system.reach, text, system.reach)


def _width(block: FeedForward) -> int:
    """Return the width of what every token visits in a feed-forward block."""
    match block:
        case Dense():
            return block.width
        case Moe():
            return block.shared_width
        case Absent():
            return 0
        case _:
            assert_never(block)


def tensor_rules(model: Model, tp: Count) -> list[Rule]:
    """Return the conditions that each count which tensor parallelism cuts can be cut."""
    heads = sorted({run.attention.heads for run in model.layers} - {0})
    kv = sorted({getattr(run.attention, "kv_heads", run.attention.heads) for run in model.layers} - {0})
    widths = sorted({_width(run.ffn) for run in model.layers} - {0})
    return [
        *(
            Rule(f"tp_divides_heads_{n}", n % tp == 0, f"tp must divide the {n} attention heads of {model.name}")
            for n in heads
        ),
        *(
            Rule(
                f"tp_divides_kv_heads_{n}",
                _shared(tp, n),
                f"tp must divide the {n} key-value heads of {model.name}, or be a multiple of them",
            )
            for n in kv
        ),
        *(
            Rule(f"tp_divides_width_{n}", n % tp == 0, f"tp must divide the feed-forward width {n} of {model.name}")
            for n in widths
        ),
    ]


@functools.cache
def some_tp(model: Model) -> str:
    """Return the remedy for a tensor parallel degree that a model cannot be cut by."""
    degrees = np.arange(1.0, _MOST_TP + 1)
    masks: Any = [rule.ok for rule in tensor_rules(model, degrees)]
    found = [f"{tp:g}" for tp in degrees[np.logical_and.reduce(masks)]]
    return f"try {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}"


def _placement_rules(model: Model, system: System, layout: Layout) -> list[Rule]:
    """Return where groups lie evenly over the tiers: none straddles two instances of a tier that others do not."""
    groups = {"tp": layout.tp} | ({"tp * dp": layout.stage} if model.experts else {})
    out = []
    for i, (tier, _) in enumerate(pairwise(system.tiers)):
        size = tier.size
        for name, group in groups.items():
            even = (layout.ranks <= size) | (size % group == 0) | (group % size == 0)
            said = f"{{limit}} ranks of {tier.name}, or be a multiple of them, once a deployment is larger"
            key = f"{name.replace(' * ', '_')}_divides_tier_{i}"
            out.append(Rule(key, even, f"{name} must divide the {said}", size))
    return out


def room(system: System, calibration: Calibration) -> Bytes:
    """Return the bytes of a rank's memory that weights, cache and activations may fill."""
    memory = system.chip.memory
    return memory.capacity * memory.usable * calibration.memory_fraction


def _placed(system: System, layout: Layout) -> Count:
    """Return the ranks on a package: a rank may be a die, and a small deployment may leave the other dies idle."""
    return smaller(float(system.ranks_per_chip), layout.ranks)


def fill(
    model: Model, system: System, layout: Layout, calibration: Calibration,
    *, sequences: Count, tokens: Count, passing: Count, logits: Count, prompt: Count = 0.0, drafting: Mask = False,
) -> tuple[Footprint, Bytes, Count]:  # fmt: skip
    """Return the bytes on the fullest chip, those it may hold, and how many sequences of ``tokens`` fit in the whole deployment.

    Args:
        sequences: sequences whose caches lie on each attention rank (all pipeline micro-batches).
        tokens: tokens each of them holds.
        passing: tokens that each of them sends through a pass; ``logits``: those whose logits are wanted.
        prompt: tokens of a prompt that pass beside them.
        drafting: the model's own draft module is used.
    """
    n, pp = _placed(system, layout), layout.pp
    model = as_served(model, calibration)
    own = weights(model, layout, drafting=drafting)
    beside = activations(model, layout, prompt, 0.0)
    unit = activations(model, layout, passing, logits)
    each = kv_cache(model, layout, tokens, drafting=drafting)
    work = beside + ceil(sequences / pp) * unit
    # A micro-batch may hold one sequence more than its even share.
    fixed = own + beside + (1 - 1 / pp) * unit
    most = most_sequences(room(system, calibration), fixed, each + unit / pp)
    return (
        Footprint(own * n, each * sequences * n, work * n),
        room(system, calibration) * n,
        most * layout.dp * layout.replicas,
    )


def decode(question: Decode, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for one decode step: ``TPOT = step / accept_length``, ``rate = batch / TPOT``."""
    served = question.served * question.batch / (layout.replicas * layout.pp)
    span = step(question, system, layout, calibration, served)
    yields = yielded(question)
    tpot = span.time / yields
    new = question.draft_tokens + 1
    memory, capacity, most = fill(
        question.model, system, layout, calibration,
        sequences=ceil(question.batch / (layout.dp * layout.replicas)), tokens=question.context + new, passing=new, logits=new,
        drafting=drafting(question.model, question.draft_tokens),
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=None, tpot=tpot, tokens_per_second=question.batch / tpot, prompt_tokens_per_second=None,
        memory=memory, capacity=capacity, max_concurrency=most, again=decode,
        rules=rules(question.model, system, layout), steps=(span,), within={"tpot": (span, 0.0)},
        progress=((span, yields / new),),
        remarks=(*draft_notes(question),
                     *notes(question.model, question.context + new, system, calibration)),
    )  # fmt: skip


def prefill(question: Prefill, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for one prefill: TTFT of its prompts with nothing before them, and prompt tokens per second.

    With pipeline stages the next prompts follow at once, so the rate is ``pp`` times what one pass alone would give.
    """
    span = step(question, system, layout, calibration)
    read = question.input - question.cached
    each = ceil(question.batch / (layout.dp * layout.replicas))
    memory, capacity, most = fill(
        question.model, system, layout, calibration,
        sequences=each * layout.pp, tokens=question.input, passing=read, logits=1.0,
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=span.time, tpot=None, tokens_per_second=None, prompt_tokens_per_second=question.batch * read * layout.pp / span.time,
        memory=memory, capacity=capacity, max_concurrency=most, again=prefill,
        rules=rules(question.model, system, layout), steps=(span,), within={"ttft": (span, 1.0)}, progress=((span, 1.0),),
        remarks=notes(question.model, question.input, system, calibration),
    )  # fmt: skip


def drafting(model: Model, draft_tokens: Count) -> Mask:
    """Return where the model's own draft module is used."""
    return (draft_tokens > 0) & bool(model.mtp)


def draft_notes(question: Decode | Serve) -> tuple[str, ...]:
    """Return what speculation leaves out, and what is assumed of it."""
    drafts = question.draft_tokens > 0
    if not np.any(drafts):
        return ()
    out = []
    if np.any(guessed(question)):
        out.append(
            f"a draft is kept with a chance of {CHANCE_KEPT:.0%} if the one before it was, as those of seven models are: give "
            "accept_length, the tokens that a step yields, if you know it"
        )
    elif np.any(drafts & (question.accept_length == 1)):
        out.append("draft tokens are verified and none is kept: accept_length is 1")
    if not question.model.mtp:
        out.append(
            f"the cost of drafting is left out: {question.model.name} brings no draft module, and none was described"
        )
    return tuple(out)


def notes(model: Model, tokens: Count, system: System, calibration: Calibration) -> tuple[str, ...]:
    """Return what an answer for sequences of ``tokens`` on this system rests on besides its sources."""
    chip = system.chip
    out = []
    for name in sorted(model.formats.names("attention", "recurrent", "dense", "experts", "shared")):
        stored, wide = dtype(name), dtype(name).rate(chip.peak)
        if wide not in SIXTEEN_BIT or name in SIXTEEN_BIT:
            continue
        if stored.rates[0] in SIXTEEN_BIT:
            out.append(f"{name} weights are multiplied in {wide}; unpacking them is not charged")
        else:
            other = next((rate for rate in ("fp8", "int8", "fp4") if rate in chip.peak), None)
            hint = f"; dtype={'nvfp4' if other == 'fp4' else other} would use its {other} rate" if other else ""
            out.append(
                f"{name} weights are multiplied in {wide}: {system.package.name} has no {stored.rates[0]} rate{hint}"
            )
    longest = float(np.max(tokens))
    if model.max_context and longest > model.max_context:
        out.append(f"{longest:,.0f} tokens a sequence: {model.name} was made for {model.max_context:,}")
    if as_served(model, calibration) != model:
        title = calibration.engine.title
        out.append(
            f"{title} leaves out the sliding windows of {model.name} unless it is told: all tokens are seen and kept"
        )
    if calibration.level != "ideal":
        out.append(f"{calibration.memory_fraction:.0%} of a chip's memory can be filled")
        if chip.vendor not in calibration.vendors:
            out.append(
                f"constants of profile {calibration.name!r} were found on chips of other makers: the interval is widened"
            )
    if system.power_per_chip is not None:
        mean, idle = calibration.power_fraction[0], calibration.idle_fraction
        out.append(f"energy: what works draws {float(mean):.0%} of the rated power, what idles {float(idle):.0%}")
    if system.power is None and system.package.power is not None:
        out.append("energy counts the rated power of the chips alone: hosts, switches and cooling come on top")
    if system.package.announced:
        out.append(f"{system.package.name} is announced, not shipped: its figures are the maker's intentions")
    return tuple(out)
