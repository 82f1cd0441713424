"""An answer as a sheet that a person enjoys reading, and the fields of its machine-readable form."""

from __future__ import annotations

from typing import Any

import numpy as np

from roofline.core.lazy import reports
from roofline.core.provenance import Fact
from roofline.core.text import columns, figure
from roofline.core.units import BYTE, SECOND, show
from roofline.operators.operations import Message, Op
from roofline.physics.spans import Span
from roofline.planner.candidates import load
from roofline.planner.offload import Offload
from roofline.results.answer import Answer
from roofline.results.campaign import Campaign
from roofline.results.estimate import Estimate
from roofline.results.labels import asked, headline
from roofline.results.pools import Pools
from roofline.results.records import PERCENTILES, rows_of_campaign
from roofline.results.training import Training
from roofline.workload.questions import Serve


def sheet(answer: Answer, *, why: bool = False) -> str:
    """Return any answer for one point as the text that the command line prints.

    Args:
        answer: of serving, of disaggregated pools, of offloaded caches, of training, or of a whole run.
        why: with every operation, and every number with its source.
    """
    match answer:
        case Offload():
            return service_sheet(answer.est, answer, why=why)
        case Pools():
            return split_sheet(answer, why=why)
        case Campaign():
            return run_sheet(answer)
        case Training():
            return str(reports("training_text").sheet(answer, why=why))
        case Estimate():
            return service_sheet(answer, why=why)
        case _:
            raise TypeError(f"no sheet of {type(answer).__name__}")


def run_sheet(run: Campaign) -> str:
    """Return a whole training run as text."""
    est = run.training
    where = f"{est.question.model.name} on {est.system.name}: {float(est.chips):,.0f} chips, {est.layout}"
    notes = [f"  - {note}" for note in run.assumptions]
    return "\n".join([where, "", columns(rows_of_campaign(run)), "", "what was chosen or assumed", *notes])


def service_sheet(est: Estimate, fetched: Offload | None = None, *, why: bool = False) -> str:
    """Return the whole answer as text: rates, times with their intervals, memory, what bounds it, load, and what it rests on."""
    parts = [
        headline(est),
        asked(est),
        "",
        _rates(est, fetched),
        "",
        *_load(est),
        "what was chosen or assumed",
        *(f"  - {n}" for n in est.assumptions),
    ]
    if why:
        parts += ["", est.why(), "", "every number used, and its source", *cited(est.citations())]
    else:
        parts += ["", f"why, and every source: --why; the machine's numbers: roofline show {est.system.name}"]
    return "\n".join(parts)


def _rates(est: Estimate, fetched: Offload | None) -> str:
    rows: list[list[str]] = []
    if not est.fits:
        rows.append(["DOES NOT FIT", "; ".join(est.reasons)])
    if est.tokens_per_second is not None:
        each, user = float(est.tokens_per_second_per_chip or 0), float(est.tokens_per_second_per_user or 0)
        told = "" if np.isnan(user) else f", {figure(user)} a user"
        rows.append(
            ["output", f"{float(est.tokens_per_second):,.0f} tokens/s: {figure(each)} a chip{told}{_within(est)}"]
        )
    for name, value in (("TTFT", est.ttft), ("TPOT", est.tpot)):
        if value is not None and not np.isnan(value):
            rows.append([name, f"{show(float(value), SECOND, 3)}{_ends(est, name.lower())}"])
            if name == "TTFT" and est.waits is not None:
                parts = [f"{p} % by {show(float(est.ttft_percentile(p) or 0.0), SECOND, 3)}" for p in PERCENTILES]
                rows.append(["", f"of all requests {', '.join(parts)}"])
    if est.prompt_tokens_per_second_per_chip is not None:
        rows.append(["prefill alone", f"{float(est.prompt_tokens_per_second_per_chip):,.0f} prompt tokens/s a chip"])
    memory = est.memory
    kinds = [
        f"{n} {show(float(getattr(memory, n.replace(' ', '_'))), BYTE, 3)}"
        for n in ("weights", "kv cache", "activations")
    ]
    rows.append(
        [
            "memory",
            f"{show(float(memory.total), BYTE, 3)} of {show(float(est.capacity), BYTE, 3)} a chip: {', '.join(kinds)}",
        ]
    )
    rows.append(["room for", f"{float(est.max_concurrency):,.0f} requests at once"])
    if fetched is not None:
        rows.append(["kv offload", fetched.line()])
    shares = ", ".join(f"{name} {float(part):.0%}" for name, part in est.bounds.items())
    rows.append(["bound by", f"{est.bound} (time by bound: {shares})"])
    rows.append(["utilisation", f"MFU {float(est.mfu):.1%}, memory bandwidth {float(est.bandwidth_utilization):.1%}"])
    rows.append(["sensitivity", est.sensitivity().line()])
    joules, dollars = est.joules_per_token, est.dollars_per_million_tokens
    energy = None if joules is None else f"{_energy(est, float(joules))} a token"
    rent = None if dollars is None else f"${figure(float(dollars), 3)} a million tokens"
    if joules is None or np.isfinite(joules):  # a service that saturates has no load, and no energy of one
        rows.append(["energy", energy or "no rated power is published; give power"])
    rows.append(["rent", rent or "no trustworthy rent was found; give price"])
    return columns(rows)


def _ends(est: Estimate | Pools, name: str) -> str:
    """Return the interval of a time; one that may have no end says what it is above."""
    pair = est.interval(name)
    if pair is None or not np.isfinite(pair[0]):
        return ""
    low, high = (show(float(each), SECOND, 3) if np.isfinite(each) else "" for each in pair)
    return f"   80 % within {low} - {high}" if high else f"   80 % above {low}: it may not keep up"


def _within(est: Estimate | Pools) -> str:
    pair = est.interval("tokens_per_second")
    return "" if pair is None else f"   80 % within {float(pair[0]):,.0f} - {float(pair[1]):,.0f}"


def _energy(est: Estimate, joules: float) -> str:
    near, far = (figure(float(each), 3) for each in est.joules_range or (joules, joules))
    return f"{figure(joules, 3)} J ({near} - {far})"


def _load(est: Estimate) -> list[str]:
    """Return the table of the same plan from one request to as many as fit."""
    if not isinstance(est.question, Serve) or not est.fits:
        return []
    many = load(est)
    counts, shape = np.ravel(many.concurrency), many.shape
    cells = [
        np.broadcast_to(np.asarray(x), shape)
        for x in (many.tokens_per_second, many.tokens_per_second_per_chip, many.tpot, many.ttft)
    ]
    rows = [
        [
            f"{n:,.0f}" + (" <" if n == est.concurrency else ""),
            f"{rate:,.0f}",
            figure(each),
            "-" if np.isnan(tpot) else show(tpot, SECOND, 3),
            show(ttft, SECOND, 3),
        ]
        for n, rate, each, tpot, ttft in zip(counts, *cells, strict=True)
    ]
    head = ["requests", "tokens/s", "a chip", "TPOT", "TTFT"]
    return ["the same plan under other loads", columns(rows, head=head, right=range(1, 5)), ""]


def split_sheet(split: Pools, *, why: bool = False) -> str:
    """Return the answer for two pools as text."""
    rows = [] if split.fits else [["DOES NOT FIT", "; ".join(split.reasons)]]
    for name, est, limit in zip(("prefill", "decode"), (split.prompts, split.answers), split.limits, strict=True):
        where = f"{float(est.chips):,.0f} chips of {est.system.name}, {est.layout.short()}"
        rows.append([name, f"{where}: {figure(float(limit))} requests/s"])
    each, answered = float(split.tokens_per_second_per_chip), figure(float(split.requests_per_second))
    rate = f"{float(split.tokens_per_second):,.0f} tokens/s: {figure(each)} a chip of both, {answered} requests/s"
    rows.append(["output", f"{rate}{_within(split)}"])
    for name, value in (("TTFT", split.ttft), ("TPOT", split.tpot)):
        if not np.isnan(value):
            rows.append([name, f"{show(float(value), SECOND, 3)}{_ends(split, name.lower())}"])
    parts = {"waiting": split.wait, "transfer seen": split.exposed}
    seen = [f"{name} {show(float(value), SECOND, 3)}" for name, value in parts.items() if not np.isnan(value)]
    rows.append(["of the TTFT", ", ".join(seen)])
    rows.append(["balance", f"{figure(float(split.balance))} chips that read prompts for each that decodes"])
    energy, rent = split.joules_range, split.dollars_per_million_tokens
    if energy is None:
        rows.append(["energy", "no rated power is published; give power"])
    else:
        low, high = (figure(float(joules), 3) for joules in energy)
        rows.append(["energy", f"{figure(float(split.joules_per_token or 0.0), 3)} J ({low} - {high}) a token"])
    told = (
        "no trustworthy rent was found; give price" if rent is None else f"${figure(float(rent), 3)} a million tokens"
    )
    rows.append(["rent", told])
    q = split.question
    asked = f"{figure(float(q.input))} tokens in and {figure(float(q.output))} out"
    out = [f"{q.model.name}: {asked}", "", columns(rows), "", "what was chosen or assumed"]
    out += [f"  - {note}" for note in split.assumptions]
    if why:
        out += ["", split.why(), "", "every number used, and its source", *cited(split.citations())]
    return "\n".join(out)


def split_fields(split: Pools, *, why: bool = False) -> dict[str, Any]:
    """Return the machine-readable fields of an answer for two pools; with ``why`` its pass, its step and citations too."""
    out = split.to_dict()
    if why:
        out["steps"] = [stepped(est.whole) for est in (split.prompts, split.answers)]
        out["citations"] = [fact.to_dict() for fact in split.citations()]
    return out


def cited(facts: tuple[Fact, ...]) -> list[str]:
    """Return numbers with their sources as lines of text."""
    rows = [
        [fact.path, fact.text, fact.source.kind, f"{fact.source.key}{': ' + fact.at if fact.at else ''}"]
        for fact in facts
    ]
    sources = {fact.source.key: fact.source for fact in facts}
    told = [f"  {key}: {source.title}{' ' + source.url if source.url else ''}" for key, source in sources.items()]
    return [columns(rows), "", *told]


def fields(est: Estimate, fetched: Offload | None = None, *, why: bool = False) -> dict[str, Any]:
    """Return the answer's machine-readable fields; with ``why`` its steps and citations too."""
    out = est.to_dict()
    if fetched is not None:
        out["kv_offload"] = fetched.to_dict()
    if why:
        out["steps"] = [stepped(span) for span in est.steps]
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
