"""An answer about serving as a page: headline, where the time goes, operations, frontier, loads, how sure, what it rests on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from roofline.core.text import figure
from roofline.core.units import BYTE, show
from roofline.planner.candidates import load
from roofline.planner.plans import layouts as layouts_of
from roofline.planner.plans import records, spread
from roofline.planner.selection import Search
from roofline.reports import figures
from roofline.reports.html import Card, Cell, Html, bar, cards, drawing, section, table, toggles
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
from roofline.results.estimate import Estimate
from roofline.results.records import PERCENTILES

_MEMORY: Final = {"weights": "weights", "kv_cache": "KV cache", "activations": "activations", "runtime": "engine"}
_MOST_ROWS: Final = 24


def title(est: Estimate) -> str:
    """Return what the page is about."""
    return f"{est.question.model.name} on {est.system.title or est.system.name}"


def contents(est: Estimate, found: Search | None) -> tuple[Parts, dict[str, Any]]:
    """Return the sections of the page, and what is drawn in them; ``found`` is the search that its frontier is of."""
    steps = est.steps[:2]
    operations, drawn = on_the_roofline(est, steps, float(est.layout.stage))
    parts: Parts = [("answer", "Answer", _answer(est)), ("time", "Time and memory", _time(est))]
    drawn_on: dict[str, Any] = {"roofline": drawn.figure}
    parts.append(("operations", "Operations", operations))
    if found is not None and found.frontier is not None:
        edge, picture = _frontier(est, found)
        parts.append(("frontier", "Frontier", edge))
        drawn_on["walked"] = picture
    if found is not None and est.fits:
        parts.append(("loads", "Loads", _loads(est)))
    return [*parts, *closing(est, _sure(est))], drawn_on


def _answer(est: Estimate) -> Html:
    shown: list[Card] = []
    if est.tokens_per_second is not None:
        rate = within(est.interval("tokens_per_second"), whole)
        shown.append(Card("output tokens/s", whole(float(est.tokens_per_second)), rate))
        each = within(est.interval("tokens_per_second_per_chip"), figure)
        shown.append(Card("tokens/s a chip", figure(float(est.tokens_per_second_per_chip or 0.0)), each))
        user = float(est.tokens_per_second_per_user or np.nan)
        if np.isfinite(user):
            sure = within(est.interval("tokens_per_second_per_user"), figure)
            shown.append(Card("tokens/s a user", figure(user), sure))
    for quantity, name in (("ttft", "TTFT, time to first token"), ("tpot", "TPOT, time per output token")):
        value = getattr(est, quantity)
        if value is not None and not np.isnan(value):
            notes = within(est.interval(quantity), seconds)
            if quantity == "ttft" and est.waits is not None:
                late = (f"{p} % by {seconds(float(est.ttft_percentile(p) or 0.0))}" for p in PERCENTILES)
                notes = (*notes, f"of all requests {', '.join(late)}")
            shown.append(Card(name, seconds(float(value)), notes))
    if est.prompt_tokens_per_second_per_chip is not None:
        read = whole(float(est.prompt_tokens_per_second_per_chip))
        shown.append(Card("prompt tokens/s a chip", read, ("reading prompts alone",)))
    room = f"max concurrency {float(est.max_concurrency):,.0f}"
    full = f"of {show(float(est.capacity), BYTE, 3)} that may be used"
    shown.append(Card("memory of the fullest chip", show(float(est.memory.total), BYTE, 3), (full, room)))
    use = f"memory bandwidth {float(est.bandwidth_utilization):.1%}"
    shown.append(Card("bound by", str(est.bound), (f"MFU {float(est.mfu):.1%}, {use}",)))
    joules, ends, dollars = est.joules_per_token, est.joules_range, est.dollars_per_million_tokens
    if joules is None or ends is None:
        shown.append(unpublished("energy"))
    elif np.isfinite(joules):
        low, high = (figure(float(end), 3) for end in ends)
        draws = f"{low} – {high} J by what is not known of power; the system as sold, at the wall"
        shown.append(Card("energy a token", f"{figure(float(joules), 3)} J", (draws,)))
    if dollars is None:
        shown.append(unpublished("cost"))
    elif np.isfinite(dollars):
        shown.append(Card("cost of a million tokens", f"${figure(float(dollars), 3)}"))
    return section("answer", "The answer", cards(shown))


def _time(est: Estimate) -> Html:
    bars = [
        bar(f"{span.name}, {seconds(float(span.time))}, by what bounds it", resources(span)) for span in est.steps[:2]
    ]
    return section("time", "Where time and memory go", *bars, memory(est, _MEMORY))


def _frontier(est: Estimate, found: Search) -> tuple[Html, dict[str, Any]]:
    rows = [row for row in records(found.frontier) if row["tokens_per_s_per_user"] is not None]
    named = [layout.short() for layout in layouts_of(found.frontier)]
    lines, told = [], []
    for row, layout in zip(rows, named, strict=False):
        pair = row["interval"]["output_tokens_per_s_per_chip"] or (None, None)
        each, user = row["output_tokens_per_s_per_chip"], row["tokens_per_s_per_user"]
        sure = "".join(f"; {note} a chip" for note in within(row["interval"]["output_tokens_per_s_per_chip"], figure))
        words = [
            f"{figure(each)} tokens/s a chip and {figure(user)} a user{sure}",
            f"TPOT {seconds(row['tpot_s'])}, TTFT {seconds(row['ttft_s'])}, {row['concurrency']:,.0f} requests in flight",
            f"{layout}, chunk of {row['chunk']:,.0f}",
        ]
        told.append(words)
        lines.append({"x": user, "y": each, "low": pair[0], "high": pair[1], "told": words})
    curve = found.curve()
    user, chip = (float(x or np.nan) for x in (est.tokens_per_second_per_user, est.tokens_per_second_per_chip))
    here = (user, chip) if est.fits and np.isfinite(user) and np.isfinite(chip) else None
    start = _nearest(lines, here)
    drawn = figures.frontier(lines, (curve.free_speed, curve.free_rate), start, here)
    said = (
        f"What {est.system.name} could do for a user and for a chip with other layouts, loads and chunks: no plan beats these in "
        f"both. {int(found.kept.sum()):,} of {found.tried:,} plans are kept"
    )
    best = "" if found.best is None else f"; the best a chip: {layouts_of(found.best)[0].short()}"
    shown = table(
        f"Plans of the frontier, {min(_MOST_ROWS, len(lines))} of {len(lines)}",
        ("layout", "tokens/s a user", "tokens/s a chip", "80 % within", "TPOT", "TTFT", "requests", "chunk"),
        [_row(rows[i], named[i]) for i in spread(found.frontier, _MOST_ROWS)] if found.frontier is not None else [],
        right=range(1, 8),
    )  # fmt: skip
    place = drawing(
        "walked", "frontier: tokens/s a chip against tokens/s a user", f"{said}{best}.",
        toggles("walked", "Show", drawn.switches), walk("walked", "Walk along the frontier", len(lines), start),
    )  # fmt: skip
    picture = walked(drawn, "walked", [each["x"] for each in lines], [each["y"] for each in lines], told)
    return section("frontier", "What else could be had", place, shown), picture


def _nearest(lines: list[dict[str, Any]], here: tuple[float, float] | None) -> int:
    """Return where the walk begins: beside the plan of the page, or at the most tokens/s a chip."""
    if here is None:
        return 0
    return int(np.argmin([abs(np.log(each["x"] / here[0])) + abs(np.log(each["y"] / here[1])) for each in lines]))


def _row(row: dict[str, Any], layout: str) -> list[Cell | str]:
    pair = row["interval"]["output_tokens_per_s_per_chip"]
    return [
        layout,
        Cell(figure(row["tokens_per_s_per_user"], 3), row["tokens_per_s_per_user"]),
        Cell(figure(row["output_tokens_per_s_per_chip"]), row["output_tokens_per_s_per_chip"]),
        Cell(
            "–" if pair is None else f"{figure(pair[0], 3)} – {figure(pair[1], 3)}", None if pair is None else pair[0]
        ),
        Cell(seconds(row["tpot_s"]), row["tpot_s"]),
        Cell("–" if row["ttft_s"] is None else seconds(row["ttft_s"]), row["ttft_s"]),
        Cell(f"{row['concurrency']:,.0f}", row["concurrency"]),
        Cell(f"{row['chunk']:,.0f}", row["chunk"]),
    ]


def _loads(est: Estimate) -> Html:
    many = load(est)
    shape, counts = many.shape, np.ravel(many.concurrency)
    cells = [
        np.broadcast_to(np.asarray(x), shape)
        for x in (many.tokens_per_second, many.tokens_per_second_per_chip, many.tpot, many.ttft)
    ]
    rows = [
        [
            Cell(f"{n:,.0f}{' (this page)' if n == est.concurrency else ''}", float(n)),
            Cell(whole(rate), float(rate)),
            Cell(figure(each), float(each)),
            Cell(seconds(tpot), None if np.isnan(tpot) else float(tpot)),
            Cell(seconds(ttft), None if np.isnan(ttft) else float(ttft)),
        ]
        for n, rate, each, tpot, ttft in zip(counts, *cells, strict=True)
    ]
    head = ("requests in flight", "tokens/s", "tokens/s a chip", "TPOT", "TTFT")
    return section(
        "loads",
        "The same plan under other loads",
        table("One request to as many as fit", head, rows, right=range(1, 5)),
    )


_SURE: Final = (
    (
        "An 80 % interval combines, in squares, the errors of the kernels and links that were used, what is left when every "
        "kernel is right, and each number of the machine that is not published; it is wider on chips unlike those that the "
        "constants were found on."
    ),
    (
        "Side by side to in turn: the same operations at these constants as if compute, memory and links worked at once, and as "
        "if one after another. The truth lies between."
    ),
)


def _sure(est: Estimate) -> Html:
    rows = []
    for name, quantity, told in (
        ("output tokens/s", "tokens_per_second", whole), ("TPOT", "tpot", seconds), ("TTFT", "ttft", seconds)
    ):  # fmt: skip
        value, pair = getattr(est, quantity), est.interval(quantity)
        if value is None or pair is None or not np.isfinite(pair[0]):
            continue
        sides = est.idealisation(quantity) if quantity in ("tpot", "ttft") else None
        ideal = "–" if sides is None or np.isnan(sides[0]) else f"{told(float(sides[0]))} – {told(float(sides[1]))}"
        low, high = float(pair[0]), float(pair[1])
        ends = told(high) if np.isfinite(high) else "no end"
        rows.append([name, told(float(value)), told(low), ends, f"× {float(value) / low:.2f}", ideal])
    return intervals(rows, ("factor", "side by side – in turn"), _SURE)
