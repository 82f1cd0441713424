"""One prefill, or one decode step: its works priced, its memory counted, its plan checked."""

from __future__ import annotations

import numpy as np

from roofline.answer import Estimate, Rule
from roofline.architecture import Dense, Model
from roofline.arrays import Mask, ceil
from roofline.calibration import Calibration
from roofline.collectives import price as price_message
from roofline.dtypes import dtype
from roofline.footprint import Footprint, activations, kv_cache, most_sequences, weights
from roofline.hardware import System
from roofline.layout import Layout
from roofline.roofline import Cost
from roofline.roofline import price as price_op
from roofline.timeline import Span, after, leaf
from roofline.transformer import sections
from roofline.units import Bytes, Count
from roofline.work import Op, Work
from roofline.workload import Decode, Prefill


def price(work: Work, system: System, calibration: Calibration) -> Cost:
    """Return the time of one piece of work on one rank of a system."""
    if isinstance(work, Op):
        return price_op(work, system.chip, calibration)
    return price_message(work, system.tiers, calibration)


def step(question: Prefill | Decode, system: System, layout: Layout, calibration: Calibration) -> Span:
    """Return one pass as a tree of spans: sections, each a number of times its works one after another."""
    parts = [
        after(s.name, [leaf(work, price(work, system, calibration)) for work in s.works], s.times)
        for s in sections(question, layout, system.chip)
    ]
    return after("prefill" if isinstance(question, Prefill) else "decode", parts)


def rules(model: Model, system: System, layout: Layout) -> tuple[Rule, ...]:
    """Return the conditions under which a model can be laid out so on a system."""
    tp, pp, ep, cut = layout.tp, layout.pp, layout.ep, layout.expert_tp
    heads, kv = model.heads, {getattr(run.attention, "kv_heads", run.attention.heads) for run in model.layers}
    shared: Mask = True
    for n in kv:
        shared = shared & ((n % tp == 0) | (tp % n == 0))
    out = [
        Rule(heads % tp == 0, f"tp must divide the {heads} attention heads of {model.name}; {_some_divisors(heads)}"),
        Rule(
            shared,
            f"tp must divide the {'/'.join(map(str, sorted(kv)))} key-value heads of {model.name}, or be a multiple of them",
        ),
        Rule(pp <= model.depth, f"pp cannot exceed the {model.depth} layers of {model.name}"),
        Rule(layout.ranks <= system.reach, f"{system.name} joins {system.reach:g} ranks at most"),
    ]
    widths = {run.ffn.width for run in model.layers if isinstance(run.ffn, Dense)}
    out += [Rule(width % tp == 0, f"tp must divide the feed-forward width {width} of {model.name}") for width in widths]
    if model.experts:
        out.append(Rule(layout.stage % ep == 0, "ep must divide tp * dp"))
        out.append(
            Rule(
                ep <= model.experts + layout.redundant_experts,
                f"ep cannot exceed the {model.experts} experts and their redundant copies",
            )
        )
        expert = {run.ffn.width for run in model.layers if not isinstance(run.ffn, Dense)}
        out += [Rule(width % cut == 0, f"tp * dp / ep must divide the expert width {width}") for width in expert]
    else:
        out.append(Rule(ep == 1, f"ep must be 1: {model.name} has no experts"))
    return tuple(out)


def _some_divisors(n: int) -> str:
    found = [d for d in range(1, min(n, 128) + 1) if n % d == 0]
    return f"try {', '.join(map(str, found[:-1]))} or {found[-1]}" if len(found) > 1 else "try 1"


def room(system: System, calibration: Calibration) -> Bytes:
    """Return the bytes of a package that weights, cache and activations may fill."""
    return system.chip.memory.usable * system.ranks_per_chip * calibration.memory_fraction


def fill(
    model: Model, system: System, layout: Layout, calibration: Calibration,
    *, sequences: Count, tokens: Count, passing: Count, logits: Count, prompt: Count = 0.0, drafting: bool = False,
) -> tuple[Footprint, Count]:  # fmt: skip
    """Return the bytes on the fullest chip, and how many sequences of ``tokens`` the whole deployment could hold.

    Args:
        sequences: sequences whose caches lie on each attention rank (all pipeline micro-batches).
        tokens: tokens each of them holds.
        passing: tokens that each of them sends through a pass; ``logits``: those whose logits are wanted.
        prompt: tokens of a prompt that pass beside them.
    """
    n, pp = system.ranks_per_chip, layout.pp
    own = weights(model, layout, drafting=drafting)
    beside = activations(model, layout, prompt, 0.0)
    unit = activations(model, layout, passing, logits)
    each = kv_cache(model, layout, tokens)
    work = beside + ceil(sequences / pp) * unit
    # A micro-batch may hold one sequence more than its even share.
    fixed = own + beside + (1 - 1 / pp) * unit
    most = most_sequences(room(system, calibration) / n, fixed, each + unit / pp) * layout.dp * layout.replicas
    return Footprint(own * n, each * sequences * n, work * n), most


def decode(question: Decode, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for one decode step: ``TPOT = step / accept_length``, ``rate = batch / TPOT``."""
    span = step(question, system, layout, calibration)
    lanes = layout.dp * layout.replicas
    tpot = span.time / question.accept_length
    each, new = ceil(question.batch / lanes), question.draft_tokens + 1
    memory, most = fill(
        question.model, system, layout, calibration,
        sequences=each, tokens=question.context + new, passing=new, logits=new,
        drafting=drafting(question.model, question.draft_tokens),
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=None, tpot=tpot, tokens_per_second=question.batch / tpot, prompt_tokens_per_second=None,
        memory=memory, capacity=room(system, calibration), max_concurrency=most, again=decode,
        rules=rules(question.model, system, layout), steps=(span,), assumptions=_notes(question, system, calibration),
    )  # fmt: skip


def prefill(question: Prefill, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for one prefill: TTFT of its prompts with nothing before them, and prompt tokens per second.

    With pipeline stages the next prompts follow at once, so the rate is ``pp`` times what one pass alone would give.
    """
    span = step(question, system, layout, calibration)
    lanes = layout.dp * layout.replicas
    each = ceil(question.batch / lanes)
    read = question.input - question.cached
    memory, most = fill(
        question.model, system, layout, calibration,
        sequences=each * layout.pp, tokens=question.input, passing=read, logits=1.0,
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=span.time, tpot=None, tokens_per_second=None, prompt_tokens_per_second=question.batch * read * layout.pp / span.time,
        memory=memory, capacity=room(system, calibration), max_concurrency=most, again=prefill,
        rules=rules(question.model, system, layout), steps=(span,), assumptions=_notes(question, system, calibration),
    )  # fmt: skip


def drafting(model: Model, draft_tokens: Count) -> bool:
    """Return whether the model's own draft module is used."""
    return bool(model.mtp and np.any(draft_tokens > 0))


def _notes(question: Prefill | Decode, system: System, calibration: Calibration) -> tuple[str, ...]:
    """Return what an answer on this system rests on besides its sources."""
    model, chip = question.model, system.chip
    out = []
    narrow = {getattr(model.formats, name) for name in ("attention", "dense", "experts", "shared")}
    for name in sorted(narrow):
        wide = dtype(name).rate(chip.peak)
        if wide in ("bf16", "fp16") and dtype(name).rates[0] not in ("bf16", "fp16"):
            other = next((rate for rate in ("int8", "fp8", "fp4") if rate in chip.peak), None)
            hint = f"; dtype={other} would use its {other} rate" if other else ""
            out.append(
                f"{name} weights are multiplied in {wide}: {system.package.name} has no {dtype(name).rates[0]} rate{hint}"
            )
    if isinstance(question, Decode) and np.any(question.draft_tokens > 0) and not model.mtp:
        out.append(f"the cost of drafting is left out: {model.name} brings no draft module, and none was described")
    if calibration.level != "ideal":
        out.append(f"{calibration.memory_fraction:.0%} of a chip's memory can be filled")
        if chip.vendor not in calibration.vendors:
            out.append(
                f"constants of profile {calibration.name!r} were found on chips of other makers: the interval is widened"
            )
    if system.package.announced:
        out.append(f"{system.package.name} is announced, not shipped: its figures are the maker's intentions")
    return tuple(out)
