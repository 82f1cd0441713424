"""An answer as a page: one list of chapters for serving and for training, and the template that makes them HTML.

The numbers of the headline, the loads and the assumptions are the sections that the terminal and a notebook show
(:mod:`roofline.reports.text`); a page adds pictures, every operation, what else could be had, sensitivity and sources.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import attrs
import numpy as np

from roofline import catalog
from roofline.core.errors import QuestionError, RooflineError
from roofline.core.provenance import KINDS, Fact
from roofline.core.text import figure
from roofline.core.units import BYTE, DAY, FLOP_, GIGA, SECOND, TERA, parse, show
from roofline.operators.operations import Message, Op
from roofline.physics.spans import RESOURCES, Span, bound
from roofline.planner.plans import layouts as layouts_of
from roofline.planner.plans import records, spread
from roofline.planner.service_search import Search
from roofline.planner.training_search import TrainingSearch
from roofline.plots import answers
from roofline.reports import figures, text
from roofline.reports.blocks import (
    PARTS,
    Bar,
    Block,
    Card,
    Cards,
    Cell,
    Chapter,
    Drawing,
    Folded,
    Notes,
    Part,
    Table,
    Text,
    Tree,
    Walk,
)
from roofline.reports.figures import Picture
from roofline.reports.section import Section
from roofline.results.estimate import Estimate
from roofline.results.labels import MEMORY_PARTS, headline, layout_in_words, machine, question_in_words
from roofline.results.records import KINDS as STATES
from roofline.results.records import PHASES
from roofline.results.training import Training
from roofline.workload.questions import Serve, TrainStep

_LEAST: Final = 0.002
"""Operations that take less of their step are put together."""
_ALIKE: Final = 1.005
"""Rates that are no further apart are called the same."""
_MOST_ROWS: Final = 24
_MOST_WAYS: Final = 8
_VERBS: Final = {"phase": "", "bound": "bound by "}
_LEVELS: Final = {
    "ideal": "The coefficients are ideal: every operation at its roofline, one after another. This is a bound, not a prediction.",
    "generic": "The coefficients are generic: they hold across chips, and were not fitted to this one.",
    "calibrated": "The coefficients were fitted to timings of this chip.",
}


# The page -------------------------------------------------------------------------------------------------------------


def title(est: Estimate | Training) -> str:
    """Return what the page is about."""
    doing = "Training " if isinstance(est, Training) else ""
    return f"{doing}{est.question.model.name} on {est.system.title or est.system.name}"


def page(est: Estimate | Training, found: Search | TrainingSearch | None, made: date) -> str:
    """Return the whole page. No address in it is requested, and its policy, which allows its own scripts by their hashes, says so.

    Args:
        est: the answer.
        found: the search that its frontier is of.
        made: the date that the page states.
    """
    shown = chapters(est, found)
    drawn = {each.key: each.data for chapter in shown for each in chapter.blocks if isinstance(each, Drawing)}
    # "<" would end a script in the middle of a string.
    data = json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    widths = sorted(
        {part.width for chapter in shown for each in chapter.blocks if isinstance(each, Bar) for part in each.shown}
    )
    style = catalog.asset("style.css") + "".join(f".w{n} {{ flex-grow: {n}; }}\n" for n in widths)
    scripts = [catalog.asset("draw.js"), catalog.asset("script.js")]
    policy = (
        f"default-src 'none'; style-src {_hashed(style)}; script-src {' '.join(map(_hashed, scripts))}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    made_: str = template().render(
        title=title(est), verdict=verdict(est), lines=[line for line in (headline(est), question_in_words(est)) if line],
        stop="" if est.fits else f"DOES NOT FIT: {'; '.join(est.reasons)}", date=made.isoformat(), version=version("roofline"),
        command=command(est), chapters=shown, figures=data, scripts=scripts, style=style, policy=policy,
    )  # fmt: skip
    return made_


@cache
def template(name: str = "page.html.j2") -> Any:
    """Return a template of pages; Jinja2 escapes what enters it.

    Raises:
        QuestionError: the extra is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader
    except ImportError:
        rule = "report: Jinja2 makes its page and is not installed"
        raise QuestionError(f"{rule}; install the extra, pip install 'roofline[report]'") from None
    return Environment(autoescape=True, loader=FunctionLoader(catalog.asset)).get_template(name)


def _hashed(script: str) -> str:
    """Return the hash by which a policy allows a script or a style sheet."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def verdict(est: Estimate | Training) -> str:
    """Return the answer in one or two sentences that can be read alone."""
    where, what = machine(est.system), est.question.model.name
    chips = f"{float(est.chips):,.0f} chips"
    used = float(est.memory.total) / float(est.capacity)
    if not est.fits:
        return f"{what} does not fit on {chips} of {where} under this layout: {'; '.join(est.reasons)}."
    if isinstance(est, Training):
        rate, days = float(est.tokens_per_second), TERA / float(est.tokens_per_second) / DAY
        sure = _range(est.interval("step_time"), _seconds)
        return (
            f"{chips} of {where} train {what} at {rate:,.0f} tokens/s: a step takes {_seconds(est.step_time)}{sure}, MFU "
            f"{float(est.mfu):.0%}, a trillion tokens {figure(days, 3)} days without interruption. {str(est.bound).capitalize()} bounds most "
            f"of the time; memory is {used:.0%} full."
        )
    parts = []
    if est.tokens_per_second is not None:
        rates = _range(est.interval("tokens_per_second_per_chip"), figure)
        parts.append(
            f"give {float(est.tokens_per_second):,.0f} output tokens/s, {figure(float(est.tokens_per_second_per_chip or 0))} per chip{rates}"
        )
    if est.ttft is not None and np.isfinite(est.ttft):
        parts.append(f"the first token after {_seconds(est.ttft)}")
    if est.tpot is not None and np.isfinite(est.tpot):
        parts.append(f"each further token after {_seconds(est.tpot)}")
    gives = ", ".join(parts)
    return f"{chips} of {where} serving {what}: {gives.removeprefix('give ')}. {str(est.bound).capitalize()} bounds most of the time; memory is {used:.0%} full."


def _range(pair: tuple[Any, Any] | None, shown: Any) -> str:
    return (
        ""
        if pair is None or not np.all(np.isfinite(pair))
        else f" (80 % within {shown(float(pair[0]))} to {shown(float(pair[1]))})"
    )


def _seconds(value: Any) -> str:
    return show(float(value), SECOND, 3) if value is not None and np.isfinite(value) else "–"


def _whole(value: Any) -> str:
    return f"{float(value):,.0f}"


def command(est: Estimate | Training) -> str:
    """Return the command that makes this page again: its model, system, layout and question."""
    q, layout = est.question, est.layout
    words: list[str] = ["roofline", "report", q.model.name, "--system", est.system.name]
    more = [name for name in ("vpp", "cp") if isinstance(est, Training) and float(getattr(layout, name)) > 1]
    words += [
        f"--chips={float(est.chips):g}",
        *(f"--{n}={float(getattr(layout, n)):g}" for n in ("tp", "pp", "dp", "ep", *more)),
    ]
    if isinstance(q, TrainStep):
        words += [
            f"--global-batch={float(q.global_batch):g}",
            f"--seq-len={float(q.seq_len):g}",
            f"--micro-batch={float(q.micro_batch):g}",
        ]
        words += [f"--sharding={layout.sharding}", f"--recompute={q.recompute}", f"--schedule={layout.schedule}"]
    elif isinstance(q, Serve):
        default = {field.name: field.default for field in attrs.fields(Serve)}
        shown = ("concurrency", "rate", "input", "output", "chunk", "cached", "draft_tokens", "accept_length")
        words += [f"--{name.replace('_', '-')}={float(v):.10g}" for name in shown
                  if (v := getattr(q, name)) is not None and (name in shown[:4] or v != default[name])]  # fmt: skip
    if est.calibration.level != "calibrated":
        words.append(f"--level={est.calibration.level}")
    return shlex.join(words)


# Chapters -------------------------------------------------------------------------------------------------------------


def chapters(est: Estimate | Training, found: Search | TrainingSearch | None) -> list[Chapter]:
    """Return an answer as the chapters of a page; ``found`` is the search that its frontier is of."""
    sections = text.sections(est)
    out = [
        Chapter("answer", "Answer", "The answer", [Cards(list(_cards(sections[1])))]),
        Chapter("time", "Time and memory", "Where time and memory go", _time(est)),
        Chapter("operations", "Operations", "Operations on the roofline", _operations(est)),
    ]
    if isinstance(est, Training) and isinstance(found, TrainingSearch) and found.best is not None:
        out.append(Chapter("frontier", "Other layouts", "Time against memory", _tradeoff(est, found)))
    if isinstance(est, Estimate) and isinstance(found, Search) and found.frontier is not None:
        out.append(Chapter("frontier", "Frontier", "What other layouts and loads give", _frontier(est, found)))
    out += [
        Chapter("loads", "Loads", "The same layout under other loads", [_table(each)]) for each in sections if each.head
    ]
    if est.fits:
        out.append(Chapter("sensitivity", "Sensitivity", "Sensitivity", _sensitivity(est)))
    level = Text(_LEVELS.get(est.calibration.level, ""))
    out.append(
        Chapter("assumptions", "Assumptions", "What was chosen or assumed", [level, Notes(list(est.assumptions))])
    )
    out.append(Chapter("sure", "Uncertainty", "How certain it is", _sure(est)))
    out.append(Chapter("sources", "Sources", "Sources", _sources(est.citations())))
    return out


def _cards(section: Section) -> Iterator[Card]:
    """Yield the rows of a section as cards: the value, and what the row says beyond it in small print."""
    cards: list[Card] = []
    for name, words in section.rows:
        value, *more = re.split(r"   |: |; |(?<=[a-z]) \(", words)
        if name or not cards:
            cards.append(Card(name, value, [note.removesuffix(")") if "(" not in note else note for note in more]))
        else:
            cards[-1] = attrs.evolve(cards[-1], notes=[*cards[-1].notes, words])
    yield from cards


def _table(section: Section) -> Table:
    rows = [[Cell(cell, _number(cell)) for cell in row] for row in section.rows]
    return Table(section.title.capitalize(), section.head, rows, section.right)


def _number(cell: str) -> float | None:
    """Return what a cell is sorted by: a number, or a time in seconds."""
    plain = cell.replace(",", "").removesuffix(" <")
    try:
        return float(plain)
    except ValueError:
        pass
    try:
        return float(parse(plain, SECOND, "cell"))
    except RooflineError:
        return None


def _time(est: Estimate | Training) -> list[Block]:
    """Return bars: what the time of the headline consists of, what bounds it, and what memory holds."""
    blocks: list[Block] = []
    found: list[str] = []
    kinds = {kind: kind for kind in STATES} if isinstance(est, Training) else MEMORY_PARTS
    finite = bool(np.isfinite(float(est.whole.time)))
    for by, called in (("phase", "what it consists of"), ("bound", "what bounds it")) if finite else ():
        if by == "phase" and not isinstance(est, Training) and len(est.steps) == 1:
            continue
        for bar in answers.breakdown(est, by).bars:
            names = list(RESOURCES) if by == "bound" else [""] * PARTS + [part.name for part in bar.parts]
            most = max(bar.parts, key=lambda part: part.time)
            what = PHASES.get(most.name.replace(" ", "_"), most.name)
            whole = bar.name if bar.name.startswith("one ") else f"the {bar.name}"
            found.append(f"of {whole} {most.share:.0%} is {_VERBS[by]}{what}")
            parts = [
                Part(
                    PHASES.get(p.name.replace(" ", "_"), p.name),
                    p.share,
                    f"{_seconds(p.time)}, {p.share:.1%}",
                    names.index(p.name),
                )
                for p in bar.parts
            ]
            blocks.append(Bar(f"{bar.name}, {bar.long}: {called}", parts))
    capacity = float(est.capacity)
    sizes = {name: float(getattr(est.memory, kind)) for kind, name in kinds.items()}
    stored = [
        Part(name, size / capacity, show(size, BYTE, 3), PARTS + i) for i, (name, size) in enumerate(sizes.items())
    ]
    free = capacity - float(est.memory.total)
    largest = max(sizes, key=lambda name: sizes[name])
    found.append(
        f"of memory {largest} take{'' if largest.endswith('s') else 's'} the most, {show(sizes[largest], BYTE, 3)}"
    )
    stored.append(Part("free" if free >= 0 else "missing", abs(free) / capacity, show(abs(free), BYTE, 3), 7))
    told_ = "; ".join(found)
    return [
        Text(f"{told_[:1].upper()}{told_[1:]}."),
        *blocks,
        Bar(f"memory of the fullest rank, of which {show(capacity, BYTE, 3)} may be used", stored),
    ]


def _operations(est: Estimate | Training) -> list[Block]:
    """Return the picture of the roofline, and the table that says the same."""
    drawn = figures.roofline(answers.sheet(est))
    steps = (
        list(est.whole.parts[0].parts)
        if isinstance(est, Training)
        else [run.parts[0] if run.parts and len(est.steps) > 1 else run for run, _ in answers.running(est)]
    )
    caption = (
        "Each mark is an operation, its size its share of the time. Under a slope memory bounds it, under a flat roof compute. A diamond is "
        "a whole step against what it sends, under the dashed roof of the network."
    )
    every = _every(steps, drawn)
    return [
        Text(_longest(steps)),
        Drawing("roofline", "operations on the roofline", caption, drawn.figure, drawn.switches),
        Text("The head of a column sorts; an underlined name shows its point.", faint=True),
        every,
        Folded("The same as a tree, with every level", [Tree(est.why())], printed=False),
    ]


def _longest(steps: Sequence[Span]) -> str:
    """Return which operation takes the most of each step, in a sentence."""
    parts = []
    for span in steps:
        name, (_, time, busy, _, _) = next(iter(_summed(span).items()))
        by = bound(dict(zip(RESOURCES, busy, strict=True)))
        parts.append(
            f"{name} {time / float(span.time):.0%} of {figures.STEPS.get(span.name, span.name)}, bound by {by}"
        )
    return f"What takes the most: {'; '.join(parts)}."


def _every(steps: Sequence[Span], drawn: Picture) -> Table:
    """Return every operation and collective of the steps, those of one name and step together."""
    rows: list[list[Cell | str]] = []
    spots: list[str] = []
    for span in steps:
        whole, rest = float(span.time), 0.0
        for name, (does, time, busy, flops, traffic) in _summed(span).items():
            if time < _LEAST * whole:
                rest += time
                continue
            spot = drawn.spots.get((span.name, name))
            spots.append("" if spot is None else f"roofline {spot[0]} {spot[1]}")
            flop = Cell(show(flops, FLOP_, 3), flops) if flops else Cell("–")
            moved = Cell(show(traffic, BYTE, 3), traffic) if traffic else Cell("–")
            ratio = Cell(figure(flops / traffic, 3), flops / traffic) if flops and traffic else Cell("–")
            by = bound(dict(zip(RESOURCES, busy, strict=True)))
            rows.append(
                [
                    name,
                    span.name,
                    does,
                    Cell(_seconds(time), time),
                    Cell(f"{time / whole:.1%}", time / whole),
                    by,
                    flop,
                    moved,
                    ratio,
                ]
            )
        if rest > _LEAST * whole / 10:
            spots.append("")
            less = [Cell(_seconds(rest), rest), Cell(f"{rest / whole:.1%}", rest / whole)]
            rows.append(["the rest", span.name, f"each below {_LEAST:.1%}", *less, "", "–", "–", "–"])
    head = ("operation", "of", "does", "time", "share", "bound by", "FLOP", "bytes", "FLOP/B")
    return Table("Every operation and collective", head, rows, (3, 4, 6, 7, 8), spots)


def _summed(span: Span) -> dict[str, tuple[str, float, list[float], float, float]]:
    """Return what each operation of a step is, and in all its times: kind, time, time by resource, FLOP, bytes; longest first."""
    out: dict[str, tuple[str, float, list[float], float, float]] = {}
    for work, cost, times in span.leaves():
        n = float(times)
        if isinstance(work, Op):
            name, does, flops, traffic = (
                work.label,
                f"{work.kernel}, {work.rate}",
                float(work.flops),
                float(work.traffic),
            )
        elif isinstance(work, Message):
            name, flops, traffic = work.label, 0.0, float(work.size)
            does = f"{work.collective.replace('_', ' ')}, {float(work.group):g} ranks"
        else:
            name, does, flops, traffic = "host", "host", 0.0, 0.0
        busy = [float(getattr(cost, resource)) * n for resource in RESOURCES]
        before = out.get(name, (does, 0.0, [0.0] * len(RESOURCES), 0.0, 0.0))
        added = [a + b for a, b in zip(before[2], busy, strict=True)]
        out[name] = (before[0], before[1] + float(cost.time) * n, added, before[3] + flops * n, before[4] + traffic * n)
    return dict(sorted(out.items(), key=lambda each: -each[1][1]))


# What else could be had -----------------------------------------------------------------------------------------------


def _walked(
    drawn: Picture, xs: Sequence[float], ys: Sequence[float], said: Sequence[Sequence[str]]
) -> Mapping[str, Any]:
    """Return a figure with the places that a walk visits, and what it says at each."""
    return {
        **drawn.figure,
        "walk": {"x": list(xs), "y": list(ys), "told": [list(each) for each in said]},
        "key": "walked",
    }


def _frontier(est: Estimate, found: Search) -> list[Block]:
    front = found.frontier
    if front is None:
        return []
    rows: list[dict[str, Any]] = [dict(row) for row in records(front) if row["tokens_per_s_per_user"] is not None]
    named = [layout.short() for layout in layouts_of(front)]
    lines: list[dict[str, Any]] = []
    cells: list[list[str]] = []
    for row, layout in zip(rows, named, strict=False):
        pair: Any = row["interval"]["output_tokens_per_s_per_chip"] or (None, None)
        each, user = float(row["output_tokens_per_s_per_chip"]), float(row["tokens_per_s_per_user"])
        sure = "" if pair[0] is None else f"; 80 % within {figure(pair[0])} – {figure(pair[1])} per chip"
        words = [
            f"{figure(each)} tokens/s per chip and {figure(user)} per user{sure}",
            f"TPOT {_seconds(row['tpot_s'])}, TTFT {_seconds(row['ttft_s'])}, concurrency {row['concurrency']:,.0f}",
            f"{layout}, chunk of {row['chunk']:,.0f}",
        ]
        cells.append(words)
        lines.append({"x": user, "y": each, "low": pair[0], "high": pair[1], "told": words})
    if not lines:
        return []
    curve = found.curve()
    own_user, own_chip = (float(x or np.nan) for x in (est.tokens_per_second_per_user, est.tokens_per_second_per_chip))
    here = (own_user, own_chip) if est.fits and np.isfinite(own_user) and np.isfinite(own_chip) else None
    start = (
        0
        if here is None
        else int(np.argmin([abs(np.log(p["x"] / here[0])) + abs(np.log(p["y"] / here[1])) for p in lines]))
    )
    drawn = figures.frontier(lines, (curve.free_speed, curve.free_rate), start, here)
    best = "" if found.best is None else f"; the best per chip: {layouts_of(found.best)[0].short()}"
    caption = (
        f"What {est.system.name} gives per user and per chip with other layouts, loads and chunks: none is better in both. "
        f"{int(found.accepted.sum()):,} of {found.tried:,} configurations are within the limits{best}."
    )
    table = Table(
        f"Configurations of the frontier, {min(_MOST_ROWS, len(lines))} of {len(lines)}",
        ("layout", "tokens/s per user", "tokens/s per chip", "80 % within", "TPOT", "TTFT", "concurrency", "chunk"),
        [_configuration(rows[i], named[i]) for i in spread(front, _MOST_ROWS)], range(1, 8),
    )  # fmt: skip
    data = _walked(drawn, [each["x"] for each in lines], [each["y"] for each in lines], cells)
    name = "frontier: tokens/s per chip against tokens/s per user"
    return [
        Text(_ahead(found, here)),
        Drawing("walked", name, caption, data, drawn.switches, Walk("Move along the frontier", len(lines) - 1, start)),
        table,
    ]


def _ahead(found: Search, here: tuple[float, float] | None) -> str:
    """Return how much more the best configuration within the limits makes than that of the page, in a sentence."""
    best = found.best
    if best is None:
        return "No configuration meets the limits."
    rate, where = float(best.tokens_per_second_per_chip or np.nan), layouts_of(best)[0].short()
    if here is None:
        return (
            f"Within the limits {where} makes the most: {figure(rate)} tokens/s per chip, TPOT {_seconds(best.tpot)}."
        )
    if rate <= here[1] * _ALIKE:
        return "Within the limits no configuration gives more per chip than this one."
    return (
        f"Within the limits {where} makes {figure(rate)} tokens/s per chip, {rate / here[1]:.2f} times the configuration of this page, at "
        f"concurrency {float(best.concurrency):,.0f} and TPOT {_seconds(best.tpot)}."
    )


def _configuration(row: Mapping[str, Any], layout: str) -> list[Cell | str]:
    pair = row["interval"]["output_tokens_per_s_per_chip"]
    sure = Cell("–") if pair is None else Cell(f"{figure(pair[0], 3)} – {figure(pair[1], 3)}", pair[0])
    return [
        layout,
        Cell(figure(row["tokens_per_s_per_user"], 3), row["tokens_per_s_per_user"]),
        Cell(figure(row["output_tokens_per_s_per_chip"]), row["output_tokens_per_s_per_chip"]),
        sure,
        Cell(_seconds(row["tpot_s"]), row["tpot_s"]),
        Cell(_seconds(row["ttft_s"]), row["ttft_s"]),
        Cell(f"{row['concurrency']:,.0f}", row["concurrency"]),
        Cell(f"{row['chunk']:,.0f}", row["chunk"]),
    ]


def _tradeoff(est: Training, found: TrainingSearch) -> list[Block]:
    numbers, plans = found.tradeoff(), found.frontier
    cells = []
    for plan in plans:
        size, time = figures.sized(float(plan.memory.total), float(plan.step_time))
        more = f"{size} of the fullest chip; MFU {float(plan.mfu):.1%}, bubble {float(plan.bubble_fraction):.1%}"
        cells.append([f"{time} a step{_range(plan.interval(), _seconds)}", more, layout_in_words(plan)])
    here = (float(est.memory.total), float(est.step_time)) if est.fits else None
    drawn = figures.tradeoff(numbers, cells, 0, here)
    rows: list[list[Cell | str]] = [
        [
            layout_in_words(plan),
            Cell(_seconds(plan.step_time), float(plan.step_time)),
            Cell(f"{float(plan.tokens_per_second):,.0f}", float(plan.tokens_per_second)),
            *(Cell(f"{float(x):.1%}", float(x)) for x in (plan.mfu, plan.hfu, plan.bubble_fraction)),
            Cell(show(float(plan.memory.total), BYTE, 3), float(plan.memory.total)),
        ]
        for plan in (*plans[:16], *found.ways[1 : 1 + _MOST_WAYS])
    ]
    caption = (
        f"{int(np.sum(found.accepted)):,} of {found.tried:,} layouts of {float(est.chips):,.0f} chips fit; none is better than those of the "
        "line in both time and memory."
    )
    head = ("layout", "step", "tokens/s", "MFU", "HFU", "bubble", "memory")
    table = Table(
        "The frontier, then the best layout of each other recomputation, sharding and schedule", head, rows, range(1, 7)
    )
    data = _walked(drawn, (numbers.memory / GIGA).tolist(), numbers.time.tolist(), cells)
    walk = Walk("Move along the frontier", len(plans) - 1, 0)
    fast, lean = plans[0], plans[-1]
    for each in plans:
        fast = each if float(each.step_time) < float(fast.step_time) else fast
        lean = each if float(each.memory.total) < float(lean.memory.total) else lean
    (size, time), (least, longer) = (figures.sized(float(p.memory.total), float(p.step_time)) for p in (fast, lean))
    finding = Text(
        f"The fastest layout takes {time} in {size} of a chip; the one that needs the least memory {longer} in {least}."
    )
    return [
        finding,
        Drawing("walked", "time of a step against memory of a chip", caption, data, drawn.switches, walk),
        table,
    ]


# How certain it is ----------------------------------------------------------------------------------------------------


def _sensitivity(est: Estimate | Training) -> list[Block]:
    """Return what a tenth more of each number changes, the most first, and what the cost rests on."""
    found = est.sensitivity("tokens_per_second" if getattr(est, "tokens_per_second", None) is not None else None)
    records_: list[dict[str, Any]] = [dict(row) for row in found.frame.records()]
    ranked = sorted(records_, key=lambda row: -abs(float(row["high"]) / found.base - 1))
    rows: list[list[Cell | str]] = []
    for row in ranked[:12]:
        change, factor = float(row["high"]) / found.base - 1, float(row["high_factor"])
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        value = f"{figure(float(row['value']), 3)}{unit}"
        rows.append([str(row["name"]), str(row["kind"]), value, f"× {factor:.3g}", Cell(f"{change:+.1%}", change)])
    head = ("number", "of", "value", "if it were", f"{found.quantity.replace('_', ' ')} change by")
    price = [fact for fact in est.citations() if fact.path.endswith("price")]
    basis = [f"Cost rests on {fact.text} per chip ({fact.source.kind}: {fact.source.title})." for fact in price]
    none = ["No cost per hour is published for this system: give price."]
    return [
        Text(f"{found.line()}."),
        Table("What a change of each number does", head, rows, (2, 3, 4)),
        Notes(basis or none),
    ]


def _sure(est: Estimate | Training) -> list[Block]:
    quantities = (
        (("time of a step", "step_time"), ("tokens/s", "tokens_per_second"))
        if isinstance(est, Training)
        else (("output tokens/s", "tokens_per_second"), ("TPOT", "tpot"), ("TTFT", "ttft"))
    )
    rows: list[list[Cell | str]] = []
    for name, quantity in quantities:
        value, pair = getattr(est, quantity), est.interval(quantity)
        if value is None or pair is None or not np.isfinite(pair[0]):
            continue
        shown: Callable[[Any], str] = _whole if quantity == "tokens_per_second" else _seconds
        low, high = float(pair[0]), float(pair[1])
        ends = shown(high) if np.isfinite(high) else "no end"
        rows.append(
            [name, Cell(shown(float(value)), float(value)), Cell(shown(low), low), ends, f"× {float(value) / low:.2f}"]
        )
    if not rows:
        return [Text("The ideal level is a bound, not a prediction: it has no interval.")]
    notes = [
        (
            "An 80 % interval combines, in squares, the errors of the kernels and links that were used, what is left when every kernel is "
            "right, and each number of the machine that is not published."
        ),
        f"Its width is the spread of the nearest measured runs: {est.evidence}.",
    ]
    return [
        Table("Intervals", ("quantity", "value", "80 % low", "80 % high", "factor"), rows, (1, 2, 3, 4)),
        Notes(notes),
    ]


def _sources(facts: Iterable[Fact]) -> list[Block]:
    """Return every source once, with the numbers that were taken from it."""
    listed = list(facts)
    groups: dict[tuple[str, str], list[Fact]] = {}
    for fact in listed:
        groups.setdefault((fact.source.kind, fact.source.title), []).append(fact)
    order = sorted(
        groups.items(), key=lambda each: (list(KINDS).index(each[0][0]) if each[0][0] in KINDS else 9, -len(each[1]))
    )
    rows: list[list[Cell | str]] = [
        [Cell(name, url=found[0].source.url), kind, "; ".join(f"{fact.path} {fact.text}" for fact in found)]
        for (kind, name), found in order
    ]
    kinds = [
        f"{kind}: {meaning}" for kind, meaning in KINDS.items() if any(fact.source.kind == kind for fact in listed)
    ]
    remarks = [
        f"{fact.path}: {'; '.join(part for part in (fact.at, fact.note, fact.differs, fact.source.reason) if part)}"
        for fact in listed
        if fact.at or fact.note or fact.differs or fact.source.reason
    ]
    return [
        Text(
            f"{len(listed)} numbers of the machine and calibration coefficients from {len(rows)} sources went into this page."
        ),
        Table("Every source, and the numbers taken from it", ("source", "kind", "numbers"), rows, name="sources"),
        Folded("What the kinds mean", [Notes(kinds)], printed=False),
        Folded("Places in the sources, and remarks", [Notes(remarks)], printed=False),
    ]
