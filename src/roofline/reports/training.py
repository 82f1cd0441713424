"""An answer about training as a page: headline, where a step goes, operations, time against memory, how sure, what it rests on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from roofline.core.text import figure
from roofline.core.units import BYTE, DAY, FLOP_RATE, GIGA, TERA, show
from roofline.planner.selection import TrainingSearch
from roofline.reports import figures
from roofline.reports.html import Card, Cell, Html, Part, bar, cards, drawing, section, table, toggles
from roofline.reports.sections import (
    Parts,
    closing,
    intervals,
    memory,
    on_the_roofline,
    resources,
    seconds,
    unpublished,
    walk,
    walked,
    whole,
    within,
)
from roofline.reports.text import CONVENTION
from roofline.results.labels import told
from roofline.results.records import KINDS, PHASES
from roofline.results.training import Training

_MOST_ROWS: Final = 16
_MOST_WAYS: Final = 8


def title(est: Training) -> str:
    """Return what the page is about."""
    return f"Training {est.question.model.name} on {est.system.title or est.system.name}"


def contents(est: Training, found: TrainingSearch | None) -> tuple[Parts, dict[str, Any]]:
    """Return the sections of the page, and what is drawn in them; ``found`` is the search that its frontier is of."""
    operations, drawn = on_the_roofline(est, est.whole.parts[0].parts, float(est.layout.stage))
    parts: Parts = [
        ("answer", "Answer", _answer(est)),
        ("time", "Time and memory", _time(est)),
        ("operations", "Operations", operations),
    ]
    drawn_on: dict[str, Any] = {"roofline": drawn.figure}
    if found is not None and found.best is not None:
        edge, picture = _frontier(est, found)
        parts.append(("frontier", "Other plans", edge))
        drawn_on["walked"] = picture
    return [*parts, *closing(est, _sure(est))], drawn_on


def _answer(est: Training) -> Html:
    rate, time, seen = float(est.tokens_per_second), float(est.step_time), float(est.exposed)
    each = within(est.interval("tokens_per_second_per_chip"), figure)
    flops = f"{show(float(est.model_flops_per_second_per_chip), FLOP_RATE, 3)} a chip; HFU {float(est.hfu):.1%}"
    joules, dollars = est.joules_per_token, est.dollars_per_trillion_tokens
    room = f"of {show(float(est.capacity), BYTE, 3)} that may be used"
    shown = [
        Card("time of a step", seconds(time), within(est.interval(), seconds)),
        Card("tokens/s", whole(rate), within(est.interval("tokens_per_second"), whole)),
        Card("tokens/s a chip", figure(float(est.tokens_per_second_per_chip)), each),
        Card("MFU", f"{float(est.mfu):.1%}", (flops, CONVENTION)),
        Card("a trillion tokens", f"{figure(TERA / rate / DAY, 3)} days", ("without a stop",)),
        Card("bubble", f"{float(est.bubble_fraction):.1%}", ("of the step: waiting for other stages",)),
        Card("messages", seconds(seen), (f"exposed, {seen / time:.1%} of the step; {seconds(float(est.hidden))} behind work",)),
        Card("memory of the fullest chip", show(float(est.memory.total), BYTE, 3), (room,)),
        Card("bound by", str(est.bound), (", ".join(f"{name} {float(part):.0%}" for name, part in est.bounds.items()),)),
    ]  # fmt: skip
    if joules is None:
        shown.append(unpublished("energy"))
    else:
        low, high = (figure(float(end), 3) for end in est.joules_range or (joules, joules))
        draws = f"{low} – {high} J by what is not known of power; the system as sold, at the wall"
        shown.append(Card("energy a token", f"{figure(float(joules), 3)} J", (draws,)))
    if dollars is None:
        shown.append(unpublished("cost"))
    else:
        shown.append(Card("cost of a trillion tokens", f"${whole(float(dollars))}"))
    return section("answer", "The answer", cards(shown))


def _time(est: Training) -> Html:
    step = float(est.step_time)
    phases = [
        Part(PHASES[name], float(time) / step, f"{seconds(float(time))}, {float(time) / step:.1%}", i)
        for i, (name, time) in enumerate(est.phases.items())
    ]
    return section(
        "time", "Where time and memory go",
        bar(f"a step, {seconds(step)}", phases),
        bar("the step by what bounds it", resources(est.whole)),
        memory(est, dict(zip(KINDS, KINDS, strict=True))),
    )  # fmt: skip


def _frontier(est: Training, found: TrainingSearch) -> tuple[Html, dict[str, Any]]:
    numbers, plans, words = found.tradeoff(), found.frontier, []
    for plan in plans:
        size, time = figures.sized(float(plan.memory.total), float(plan.step_time))
        sure = within(plan.interval(), seconds)
        words.append(
            [
                "; ".join((f"{time} a step", *sure)),
                f"{size} of the fullest chip; MFU {float(plan.mfu):.1%}, bubble {float(plan.bubble_fraction):.1%}",
                told(plan),
            ]
        )
    here = (float(est.memory.total), float(est.step_time)) if est.fits else None
    drawn = figures.tradeoff(numbers, words, 0, here)
    rows = [
        [
            told(plan),
            Cell(seconds(float(plan.step_time)), float(plan.step_time)),
            Cell(whole(float(plan.tokens_per_second)), float(plan.tokens_per_second)),
            *(Cell(f"{float(x):.1%}", float(x)) for x in (plan.mfu, plan.hfu, plan.bubble_fraction)),
            Cell(show(float(plan.memory.total), BYTE, 3), float(plan.memory.total)),
        ]
        for plan in (*plans[:_MOST_ROWS], *found.ways[1 : 1 + _MOST_WAYS])
    ]
    counts = f"{int(np.sum(found.kept)):,} of {found.tried:,} plans of {float(est.chips):,.0f} chips fit"
    said = f"{counts}; no other beats those of the line in both time and memory."
    place = drawing(
        "walked", "time of a step against memory of a chip", said, toggles("walked", "Show", drawn.switches),
        walk("walked", "Walk along the frontier", len(plans), 0),
    )  # fmt: skip
    shown = table(
        "The frontier, then the best plan of each other recomputation, sharding and schedule",
        ("plan", "step", "tokens/s", "MFU", "HFU", "bubble", "memory"), rows, right=range(1, 7),
    )  # fmt: skip
    picture = walked(drawn, "walked", (numbers.memory / GIGA).tolist(), numbers.time.tolist(), words)
    return section("frontier", "Time against memory", place, shown), picture


def _sure(est: Training) -> Html:
    pair, rates = est.interval(), est.interval("tokens_per_second")
    if pair is None or rates is None:
        return intervals([], (), ())
    rows = [
        ["time of a step", seconds(float(est.step_time)), *(seconds(float(end)) for end in pair)],
        ["tokens/s", whole(float(est.tokens_per_second)), *(whole(float(end)) for end in rates)],
    ]
    said = (
        "An 80 % interval combines, in squares, how far published steps lie from their predictions, what is not known of experts, "
        "of the host and of messages, and each number of the machine that is not published."
    )
    return intervals(rows, (), [said])
