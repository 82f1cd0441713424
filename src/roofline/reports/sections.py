"""Passages that pages of serving and of training share: operations on their roofline, what was assumed, and every source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from roofline.core.provenance import KINDS, Fact
from roofline.core.text import figure
from roofline.core.units import BYTE, FLOP_, SECOND, show
from roofline.operators.operations import Message, Op
from roofline.physics.spans import RESOURCES, Span, bound
from roofline.plots._points import sheet, spanned
from roofline.reports import figures
from roofline.reports.figures import Picture
from roofline.reports.html import (
    Card,
    Cell,
    Html,
    Part,
    bar,
    drawing,
    folded,
    items,
    link,
    section,
    table,
    tag,
    toggles,
)
from roofline.results.estimate import Estimate
from roofline.results.labels import asked, headline
from roofline.results.training import Training

Parts: TypeAlias = list[tuple[str, str, Html]]
"""Sections of a page: key, what the page's menu calls it, content."""

_LEAST: Final = 0.002
"""Operations that take less of their step are put together."""
_HEAD: Final = ("operation", "of", "does", "time", "share", "bound by", "FLOP", "bytes", "FLOP/B")


def seconds(value: float) -> str:
    """Return a time in words; a dash where there is none."""
    return show(value, SECOND, 3) if np.isfinite(value) else "–"


def within(pair: tuple[Any, Any] | None, told: Any) -> tuple[str, ...]:
    """Return an 80 % interval in words, one that has no upper end as what it is above; nothing where there is none."""
    if pair is None or not np.isfinite(pair[0]):
        return ()
    low, high = float(pair[0]), float(pair[1])
    return (f"80 % within {told(low)} – {told(high)}" if np.isfinite(high) else f"80 % above {told(low)}",)


def resources(span: Span) -> list[Part]:
    """Return a step's time by what bounds it."""
    whole = float(span.time)
    return [
        Part(name, float(time) / whole if whole else 0.0, f"{float(time) / whole:.0%}" if whole else "", i)
        for i, (name, time) in enumerate(span.busy().items())
    ]


def whole(value: float) -> str:
    """Return a rate as a whole number."""
    return f"{value:,.0f}"


def top(est: Estimate | Training, title: str) -> Html:
    """Return the head of a page: its title, what was asked, and whether it fits."""
    said = [tag("h1", title), tag("p", headline(est)), tag("p", asked(est))]
    if not est.fits:
        said.append(tag("p", f"DOES NOT FIT: {'; '.join(est.reasons)}", class_="stop"))
    return Html("".join(said))


def closing(est: Estimate | Training, sure: Html) -> Parts:
    """Return the last sections of a page; ``sure`` is that of the intervals."""
    return [
        ("assumptions", "Assumptions", assumptions(est.assumptions, est.calibration.level)),
        ("sure", "How sure", sure),
        ("sources", "Sources", sources(est.citations())),
    ]


def unpublished(what: str) -> Card:
    """Return the card of an ``energy`` or a ``cost`` that no published number gives."""
    why = {
        "energy": "no rated power is published; give power",
        "cost": "no trustworthy cost per hour was found; give price",
    }
    return Card(what, "–", (why[what],))


def memory(est: Estimate | Training, kinds: Mapping[str, str]) -> Html:
    """Return the bar of what the fullest chip stores; ``kinds`` are attributes of its memory, and what each is called."""
    capacity = float(est.capacity)
    sizes = {told: float(getattr(est.memory, name)) for name, told in kinds.items()}
    parts = [Part(told, size / capacity, show(size, BYTE, 3), i) for i, (told, size) in enumerate(sizes.items())]
    free = capacity - float(est.memory.total)
    parts.append(Part("free" if free >= 0 else "missing", abs(free) / capacity, show(abs(free), BYTE, 3), 7))
    return bar(f"memory of a chip, of which {show(capacity, BYTE, 3)} may be used", parts)


def intervals(rows: Sequence[Sequence[Cell | str]], more: Sequence[str], notes: Sequence[str]) -> Html:
    """Return the section of the intervals: a row a quantity, with ``more`` columns behind its value and its two ends."""
    if not rows:
        said = "The ideal level is a bound, not a prediction: it has no interval."
        return section("sure", "How sure", tag("p", said))
    head = ("quantity", "value", "80 % low", "80 % high", *more)
    return section("sure", "How sure", table("Intervals", head, rows, right=range(1, len(head))), items(notes))


def on_the_roofline(est: Estimate | Training, steps: Sequence[Span], tier_ranks: float) -> tuple[Html, Picture]:
    """Return the section of the operations: the picture that can be asked, and the table that says the same."""
    drawn = figures.roofline(sheet(est.system, steps, spanned(est.system, tier_ranks)))
    said = (
        "Each dot is an operation, its area its share of its step's time; under a slope it waits for memory, under a flat roof "
        "for the matrix unit. A diamond is a whole step against what it sends, under the dashed roof of the network."
    )
    shown = [
        drawing("roofline", "operations on the roofline", said, toggles("roofline", "Show", drawn.switches)),
        tag("p", "The head of a column sorts; an underlined name shows its point.", class_="faint"),
        operations(steps, drawn),
    ]
    why = folded("The same as a tree, with every level", tag("pre", est.why(), tabindex="0"), printed=False)
    return section("operations", "Operations on the roofline", *shown, why), drawn


def operations(steps: Sequence[Span], drawn: Picture) -> Html:
    """Return every operation and message of the steps, those of one name and step together, as a table to sort."""
    rows: list[list[Cell | str]] = []
    words: list[dict[str, str]] = []
    for span in steps:
        whole, rest = float(span.time), 0.0
        for name, (does, time, busy, flops, traffic) in _summed(span).items():
            if time < _LEAST * whole:
                rest += time
                continue
            spot = drawn.spots.get((span.name, name))
            called = name if spot is None else tag("button", name, type="button", class_="spot")
            words.append({} if spot is None else {"data_spot": f"roofline {spot[0]} {spot[1]}"})
            flop = Cell(show(flops, FLOP_, 3), flops) if flops else Cell("–")
            moved = Cell(show(traffic, BYTE, 3), traffic) if traffic else Cell("–")
            ratio = Cell(figure(flops / traffic, 3), flops / traffic) if flops and traffic else Cell("–")
            rows.append(
                [
                    Cell(called), span.name, does, Cell(seconds(time), time), Cell(f"{time / whole:.1%}", time / whole),
                    bound(dict(zip(RESOURCES, busy, strict=True))), flop, moved, ratio,
                ]
            )  # fmt: skip
        if rest > _LEAST * whole / 10:
            words.append({})
            rows.append(
                ["the rest", span.name, f"each below {_LEAST:.1%}", Cell(seconds(rest), rest),
                 Cell(f"{rest / whole:.1%}", rest / whole), "", Cell("–"), Cell("–"), Cell("–")]
            )  # fmt: skip
    return table("Every operation and message", _HEAD, rows, right=(3, 4, 6, 7, 8), words=words)


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
        out[name] = (
            before[0],
            before[1] + float(cost.time) * n,
            [a + b for a, b in zip(before[2], busy, strict=True)],
            before[3] + flops * n,
            before[4] + traffic * n,
        )
    return dict(sorted(out.items(), key=lambda each: -each[1][1]))


def walked(
    figure_: Picture, key: str, xs: Sequence[float], ys: Sequence[float], told: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Return a figure with the places that a walk visits, and what it tells at each."""
    return {**figure_.figure, "walk": {"x": list(xs), "y": list(ys), "told": [list(each) for each in told]}, "key": key}


def walk(key: str, title: str, count: int, start: int) -> Html:
    """Return the slider that walks along a figure's frontier, and the text of the plan that it is at."""
    slider = tag(
        "input", type="range", id=f"{key}-walk", min="0", max=str(count - 1), value=str(start), step="1", data_figure=key,
        aria_controls=f"{key}-told",
    )  # fmt: skip
    told = tag("output", id=f"{key}-told", for_=f"{key}-walk", aria_live="polite")
    return tag("div", tag("label", title, for_=f"{key}-walk"), slider, told, class_="walk")


def assumptions(notes: Sequence[str], level: str) -> Html:
    """Return the section of what was chosen or assumed."""
    levels = {
        "ideal": "The constants are ideal: every operation at its roofline, one after another. This is a bound, not a prediction.",
        "generic": "The constants are generic: they hold across chips, and were not fitted to this one.",
        "calibrated": "The constants were fitted to timings of this chip.",
    }
    return section("assumptions", "What was chosen or assumed", tag("p", levels.get(level, "")), items(notes))


def sources(facts: Iterable[Fact]) -> Html:
    """Return the section of every number that was used, and where it comes from."""
    listed = list(facts)
    rows = [
        [
            fact.path,
            Cell(fact.text, fact.value if np.isfinite(fact.value) else None),
            fact.source.kind,
            Cell(link(fact.source.title, fact.source.url)),
            "; ".join(part for part in (fact.at, fact.note, fact.differs, fact.source.reason) if part),
        ]
        for fact in listed
    ]
    kinds = [f"{kind}: {told}" for kind, told in KINDS.items() if any(fact.source.kind == kind for fact in listed)]
    said = f"{len(rows)} numbers of the machine and constants of the kernels went into this page."
    found = table("Every number used, and its source", ("number", "value", "kind", "source", "where, and why"), rows)
    return section("sources", "Sources", tag("p", said), found, folded("What the kinds mean", items(kinds)))
