"""An answer as a list of sections, and as the text that the command line prints; and the fields of its machine-readable form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from roofline import catalog
from roofline.core.provenance import Fact
from roofline.core.text import counted, figure
from roofline.core.units import BYTE, DAY, FLOP_RATE, SECOND, TERA, WATT, Num, show
from roofline.inference.service import SATURATES
from roofline.operators.operations import Message, Op
from roofline.physics.spans import Span
from roofline.planner.candidates import load
from roofline.planner.offload import Offload
from roofline.reports import carbon
from roofline.reports.carbon import NO_POWER
from roofline.reports.remedies import remedies
from roofline.reports.section import Section, text_of
from roofline.results.answer import Answer
from roofline.results.campaign import Campaign
from roofline.results.estimate import Estimate
from roofline.results.labels import MEMORY_PARTS, SURE, headline, question_in_words
from roofline.results.limits import Limit
from roofline.results.pools import Pools
from roofline.results.records import KINDS, PERCENTILES, PHASES, rows_of_campaign
from roofline.results.training import Training
from roofline.workload.questions import Serve

CONVENTION: Final = "attention counts its causal half, the head counts, the embedding does not"
NO_PRICE: Final = "no cost per hour is published; give price (--price 2.95USD/h)"
_SATURATED: Final = (SATURATES, "pools_saturate")
"""Rules of an answer that fits and does not keep up."""


def sheet(answer: Answer, *, why: bool = False, grid: str | None = None) -> str:
    """Return any answer for one point as the text that the command line prints.

    Args:
        answer: of serving, of disaggregated pools, of offloaded caches, of training, or of a whole run.
        why: with every operation, and every number with its source.
        grid: also the CO2 of a million tokens, or of a whole run, on this grid, a name or g/kWh.
    """
    return text_of(sections(answer, why=why, grid=grid))


def sections(answer: Answer, *, why: bool = False, grid: str | None = None) -> list[Section]:
    """Return any answer for one point as sections: what was asked, what it gives, and what was assumed.

    An answer that does not fit ends after its memory, with what would fit.

    Args:
        answer: of serving, of disaggregated pools, of offloaded caches, of training, or of a whole run.
        why: with every operation, and every number with its source.
        grid: also the CO2 of a million tokens, or of a whole run, on this grid, a name or g/kWh.

    Raises:
        TypeError: no answer.
    """
    shown: Estimate | Training | Pools
    match answer:
        case Offload():
            parts, shown = _service(answer.est, answer), answer.est
        case Pools():
            parts, shown = _pools(answer), answer
        case Campaign():
            est = answer.training
            where = f"{est.question.model.name} on {est.system.name}: {counted(float(est.chips), 'chip')}, {est.layout}"
            emitted = [] if grid is None else [["carbon", carbon.line(answer, grid)]]
            return [Section(lines=[where]), Section(rows=[*rows_of_campaign(answer), *emitted]), _assumed(answer)]
        case Training():
            parts, shown = _training(answer), answer
        case Estimate():
            parts, shown = _service(answer), answer
        case _:
            raise TypeError(f"no sheet of {type(answer).__name__}")
    if grid is not None:
        parts.append(Section(rows=[["carbon", carbon.line(shown, grid)]]))
    parts.append(_assumed(shown))
    if why:
        return [*parts, Section(lines=[shown.why()]), *cited(shown.citations())]
    if isinstance(shown, Pools):
        return parts
    return [
        *parts,
        Section(lines=[f"why, and every source: --why; the machine's numbers: roofline show {_shown(shown)}"]),
    ]


def _shown(answer: Estimate | Training) -> str:
    """Return what ``roofline show`` takes for the machine of an answer: its name, or the file that it was read from."""
    name = answer.system.name
    return name if name in (*catalog.names("system"), *catalog.names("chip")) else "FILE"


def _assumed(answer: Answer) -> Section:
    return Section("what was chosen or assumed", notes=answer.assumptions)


# What serving and training share --------------------------------------------------------------------------------------


def _time(value: Num) -> str:
    return show(float(value), SECOND, 3)


def _bytes(value: Num) -> str:
    return show(float(value), BYTE, 3)


def _rate(value: Num) -> str:
    return f"{float(value):,.0f}"


def _interval_text(pair: tuple[Num, Num] | None, shown: Callable[[Num], str]) -> str:
    """Return an interval in words; one that may have no end says what it is above."""
    if pair is None or not np.isfinite(pair[0]):
        return ""
    if not np.isfinite(pair[1]):
        return f"   80 % above {shown(pair[0])}: it may not keep up"
    return f"   80 % within {shown(pair[0])} - {shown(pair[1])}"


def _memory(est: Estimate | Training, kinds: dict[str, str]) -> list[str]:
    parts = ", ".join(f"{name} {_bytes(getattr(est.memory, kind))}" for kind, name in kinds.items())
    sure = _interval_text(est.interval("memory"), _bytes)
    return ["memory", f"{_bytes(est.memory.total)} of {_bytes(est.capacity)} per chip: {parts}{sure}"]


def _status(est: Estimate | Training | Pools) -> list[list[str]]:
    """Return why it does not fit, or does not keep up; no row if it does."""
    chance = float(getattr(est, "fits_probability", est.fits))
    if est.fits:
        likely = f"probably, with a chance of {chance:.0%}: memory is within its uncertainty"
        return [["fits", likely]] if chance < SURE else []
    saturated = [rule.reason for rule in est.rules if rule.key in _SATURATED and not np.all(rule.ok)]
    if saturated and len(saturated) == len(est.reasons):
        return [["CANNOT KEEP UP", f"{'; '.join(saturated)}; give more chips, or a lower rate"]]
    near = f"; with a chance of {chance:.0%} it does: memory is within its uncertainty" if chance > 1 - SURE else ""
    return [["DOES NOT FIT", f"{'; '.join(est.reasons)}{near}"]]


def _misfit(est: Estimate | Training, kinds: dict[str, str]) -> Section:
    """Return all that there is to say of an answer that does not fit."""
    rows = [*_status(est), _memory(est, kinds)]
    return Section(rows=[*rows, *(["" if i else "would fit", each] for i, each in enumerate(remedies(est)))])


def _bounds(est: Estimate | Training) -> list[list[str]]:
    shares = ", ".join(f"{name} {float(part):.0%}" for name, part in est.bounds.items())
    return [["bound by", f"{est.bound} (time by bound: {shares})"]]


# Serving --------------------------------------------------------------------------------------------------------------


def _service(est: Estimate, fetched: Offload | None = None) -> list[Section]:
    question = question_in_words(est)
    top = Section(lines=[headline(est), *([question] if question else [])])
    status = _status(est)
    if status and status[0][0] == "DOES NOT FIT":
        return [top, _misfit(est, MEMORY_PARTS)]
    return [top, Section(rows=[*status, *_rates(est, fetched)]), *_load(est)]


def _rates(est: Estimate, fetched: Offload | None) -> list[list[str]]:
    rows: list[list[str]] = []
    if est.tokens_per_second is not None:
        each, user = float(est.tokens_per_second_per_chip or 0), float(est.tokens_per_second_per_user or 0)
        speed = "" if np.isnan(user) else f", {figure(user)} per user"
        sure = _interval_text(est.interval("tokens_per_second"), _rate)
        rows.append(["output", f"{_rate(est.tokens_per_second)} tokens/s: {figure(each)} per chip{speed}{sure}"])
    for name, value in (("TTFT", est.ttft), ("TPOT", est.tpot)):
        if value is not None and not np.isnan(value):
            rows.append([name, f"{_time(value)} mean{_interval_text(est.interval(name.lower()), _time)}"])
            if name == "TTFT" and est.waits is not None:
                rows.append(["", ", ".join(f"p{p} {_time(est.ttft_percentile(p) or 0.0)}" for p in PERCENTILES)])
    for i, limit in enumerate(est.limits):
        rows.append(["" if i else "limits", _limit_text(est, limit)])
    if est.prompt_tokens_per_second_per_chip is not None:
        rows.append(["prefill alone", f"{_rate(est.prompt_tokens_per_second_per_chip)} prompt tokens/s per chip"])
    rows.append(_memory(est, MEMORY_PARTS))
    load_ = (
        f" ({figure(float(est.concurrency))} requested)"
        if isinstance(est.question, Serve) and np.isfinite(est.concurrency)
        else ""
    )
    sure = _interval_text(est.interval("max_concurrency"), _rate)
    rows.append(["max concurrency", f"{_rate(est.max_concurrency)} requests{load_}{sure}"])
    rows.append(["KV cache", f"{_rate(est.kv_cache_tokens)} tokens per attention rank"])
    if fetched is not None:
        rows.append(["kv offload", fetched.line()])
    rows += _bounds(est)
    rows.append(["utilisation", f"MFU {float(est.mfu):.1%}, memory bandwidth {float(est.bandwidth_utilization):.1%}"])
    rows.append(["sensitivity", est.sensitivity().line()])
    joules, dollars = est.joules_per_token, est.dollars_per_million_tokens
    if joules is None or np.isfinite(joules):  # a service that saturates has no load, and no energy of one
        ends = est.interval("joules_per_token") or est.joules_range
        rows.append(["energy", NO_POWER if joules is None else _joules(float(joules), ends)])
        rows += _power(est)
    rows += _cost(est, dollars)
    return rows


def _cost(est: Any, dollars: Num | None) -> list[list[str]]:
    """Return the rows of the cost of output tokens, all of it charged to them, and of prompt and output tokens apart."""
    if dollars is None:
        return [["cost", NO_PRICE]]
    sure = _interval_text(est.interval("dollars_per_million_tokens"), lambda value: figure(float(value), 3))
    rows = [["cost", f"${figure(float(dollars), 3)} per million output tokens{sure}"]]
    pair = getattr(est, "dollars_apart", None)
    if pair is not None and all(np.isfinite(each) for each in pair):
        read, made = (figure(float(each), 3) for each in pair)
        rows.append(
            [
                "",
                f"apart: ${read} per million input tokens, ${made} per million output tokens, by time of prefill and decode",
            ]
        )
    return rows


def _limit_text(est: Estimate, limit: Limit) -> str:
    """Return whether a limit is kept, how surely, and what it rests on."""
    value = limit.of(est)
    sure = _interval_text(est.interval(limit.name), _time)
    rests = "" if limit.percent is None else "; closed form, not confirmed by a simulation"
    return f"{limit.written(value)}{sure}{rests}"


def _power(est: Any) -> list[list[str]]:
    """Return the row of the power of a deployment, by part; none where it is not known."""
    split = est.power_parts()
    if split is None:
        return []
    whole = float(est.power())
    shares = ", ".join(
        f"{name} {float(watts) / whole:.0%}" for name, watts in split.items() if float(watts) > whole / 200
    )
    hall = show(float(est.power("hall")), WATT, 3)
    return [["power", f"{show(whole, WATT, 3)} at the wall: {shares}; {hall} of the building"]]


def _joules(mean: float, ends: tuple[Num, Num] | None) -> str:
    near, far = (figure(float(each), 3) for each in ends or (mean, mean))
    return f"{figure(mean, 3)} J ({near} - {far}) per output token"


def _load(est: Estimate) -> list[Section]:
    """Return the table of the same configuration from one request to as many as fit."""
    if not isinstance(est.question, Serve) or not est.fits:
        return []
    many = load(est)
    counts, shape = np.ravel(many.concurrency), many.shape
    cells = [
        np.broadcast_to(np.asarray(x), shape)
        for x in (many.tokens_per_second, many.tokens_per_second_per_chip, many.tpot, many.ttft)
    ]
    rows = [
        [f"{n:,.0f}" + (" <" if n == est.concurrency else ""), _rate(rate), figure(each), "-" if np.isnan(tpot) else _time(tpot), _time(ttft)]
        for n, rate, each, tpot, ttft in zip(counts, *cells, strict=True)
    ]  # fmt: skip
    head = ["concurrency", "tokens/s", "per chip", "TPOT", "TTFT"]
    return [Section("the same configuration under other loads", rows=rows, head=head, right=range(1, 5))]


def _pools(split: Pools) -> list[Section]:
    rows = _status(split)
    for name, est, limit in zip(("prefill", "decode"), (split.prefill, split.decode), split.limits, strict=True):
        where = f"{counted(float(est.chips), 'chip')} of {est.system.name}, {est.layout.short()}"
        rows.append([name, f"{where}: {figure(float(limit))} requests/s"])
    each, answered = float(split.tokens_per_second_per_chip), figure(float(split.requests_per_second))
    rate = f"{_rate(split.tokens_per_second)} tokens/s: {figure(each)} per chip of both pools, {answered} requests/s"
    rows.append(["output", f"{rate}{_interval_text(split.interval('tokens_per_second'), _rate)}"])
    for name, value in (("TTFT", split.ttft), ("TPOT", split.tpot)):
        if not np.isnan(value):
            rows.append([name, f"{_time(value)} mean{_interval_text(split.interval(name.lower()), _time)}"])
    parts = {"waiting": split.wait, "KV cache transfer, exposed": split.exposed}
    seen = [f"{name} {_time(value)}" for name, value in parts.items() if not np.isnan(value)]
    rows.append(["of the TTFT", ", ".join(seen)])
    rows.append(["balance", f"{figure(float(split.balance))} prefill chips per decode chip"])
    energy = split.interval("joules_per_token") or split.joules_range
    dollars = split.dollars_per_million_tokens
    rows.append(["energy", NO_POWER if energy is None else _joules(float(split.joules_per_token or 0.0), energy)])
    rows += _cost(split, dollars)
    q = split.question
    lengths = f"{figure(float(q.input))} tokens in and {figure(float(q.output))} out"
    return [Section(lines=[f"{q.model.name}: {lengths}"]), Section(rows=rows)]


# Training -------------------------------------------------------------------------------------------------------------


def _training(est: Training) -> list[Section]:
    top = Section(lines=[headline(est), question_in_words(est)])
    if not est.fits:
        return [top, _misfit(est, {kind: kind for kind in KINDS})]
    phases = [
        [f"  {PHASES[name]}", _time(time), f"{float(time) / float(est.step_time):.1%}"]
        for name, time in est.phases.items()
        if float(time) > 0
    ]
    return [top, Section(rows=_step(est)), Section("where the time goes", rows=phases, right=(1, 2))]


def _step(est: Training) -> list[list[str]]:
    rate, time, seen = float(est.tokens_per_second), float(est.step_time), float(est.exposed)
    late = float(est.step_time_p99)
    each, sure = figure(float(est.tokens_per_second_per_chip)), _interval_text(est.interval("tokens_per_second"), _rate)
    flops = show(float(est.model_flops_per_second_per_chip), FLOP_RATE, 3)
    again = "with recomputation" if float(est.hfu - est.mfu) > 0 else "as well: nothing is recomputed"
    dollars = est.dollars_per_trillion_tokens
    return [
        *_status(est),
        ["step", f"{_time(time)}{_interval_text(est.interval('step_time'), _time)}"],
        *([["", f"1 % of steps may take {_time(late)}: not measured"]] if late > time else []),
        ["tokens", f"{_rate(rate)} tokens/s: {each} per chip{sure}"],
        ["duration", f"{figure(TERA / rate / DAY, 3)} days for a trillion tokens, without interruption"],
        ["utilisation", f"MFU {float(est.mfu):.1%}, {flops} per chip; HFU {float(est.hfu):.1%} {again}"],
        ["", CONVENTION],
        ["bubble", f"{float(est.bubble_fraction):.1%} of the step"],
        ["communication", f"{_time(seen)} exposed ({seen / time:.1%} of the step), {_time(est.hidden)} overlapped"],
        _memory(est, {kind: kind for kind in KINDS}),
        *_bounds(est),
        ["sensitivity", est.sensitivity().line()],
        ["energy", _step_energy(est)],
        *_power(est),
        ["cost", NO_PRICE if dollars is None else f"${_rate(dollars)} per trillion tokens"],
    ]


def _step_energy(est: Training) -> str:
    joules = est.joules_per_token
    if joules is None:
        return NO_POWER
    near, far = (
        figure(float(end), 3) for end in est.interval("joules_per_token") or est.joules_range or (joules, joules)
    )
    return f"{figure(float(joules), 3)} J ({near} - {far}) per token"


# Sources and fields ---------------------------------------------------------------------------------------------------


def cited(facts: tuple[Fact, ...]) -> list[Section]:
    """Return numbers with their sources as sections."""
    rows = [
        [fact.path, fact.text, fact.source.kind, f"{fact.source.key}{': ' + fact.at if fact.at else ''}"]
        for fact in facts
    ]
    sources = {fact.source.key: fact.source for fact in facts}
    lines = [f"  {key}: {source.title}{' ' + source.url if source.url else ''}" for key, source in sources.items()]
    return [Section("every number used, and its source", rows=rows), Section(lines=lines)]


def fields(
    answer: Estimate | Training | Pools | Offload, *, why: bool = False, grid: str | None = None
) -> dict[str, Any]:
    """Return the answer's machine-readable fields; with ``why`` its steps and citations, with a ``grid`` the CO2 of its tokens too."""
    est = answer.est if isinstance(answer, Offload) else answer
    out = carbon.added(est.to_dict(), est, grid)
    if isinstance(answer, Offload):
        out["kv_offload"] = answer.to_dict()
    if why:
        steps = [part.whole for part in (est.prefill, est.decode)] if isinstance(est, Pools) else est.steps
        out["steps"] = [stepped(span) for span in steps]
        out["citations"] = [fact.to_dict() for fact in est.citations()]
    return out


def stepped(span: Span) -> dict[str, Any]:
    """Return a span and its parts as machine-readable fields."""
    out: dict[str, Any] = {"name": span.name, "time_s": float(span.time), "times": float(span.times)}
    if span.cost is not None:
        cost = span.cost
        out |= {f"{name}_s": float(getattr(cost, name)) for name in ("compute", "memory", "network", "latency")}
    if isinstance(span.work, Op):
        op = span.work
        out |= {"kernel": op.kernel, "rate": op.rate, "flops": float(op.flops), "bytes": float(op.traffic)}
    if isinstance(span.work, Message):
        message = span.work
        out |= {"collective": message.collective, "bytes": float(message.size), "group": float(message.group)}
    if span.parts:
        out["parts"] = [stepped(part) for part in span.parts]
    return out
