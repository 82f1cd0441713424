"""The contents of the explorer's page: verdict, systems side by side, frontier, bottlenecks, rooflines, command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np

from roofline.app.answers import Found
from roofline.app.question import FIELDS, MORE, ONE, Question, Typed
from roofline.core.text import figure
from roofline.core.units import BYTE, HOUR, KILO, SECOND, WATT, show
from roofline.operators.assumptions import widened
from roofline.physics.spans import RESOURCES
from roofline.planner.plans import short
from roofline.plots import answers as pictures
from roofline.reports import figures
from roofline.reports.blocks import PARTS, Bar, Block, Cell, Chapter, Drawing, Folded, Notes, Part, Table, Text, Tree
from roofline.results.estimate import Estimate
from roofline.results.labels import coefficients_in_words, fit_in_words, machine
from roofline.results.pools import Pools
from roofline.studies.compare import Comparison, Service
from roofline.studies.odds import probability

_CALLED: Final = {"prefill": "prefill pool", "decode": "decode pool"}
REPORT: Final = "pool"
"""The word of an address for the number of the pool that a report is about."""
_FLAGS: Final = tuple(each.name for each in (*FIELDS, *MORE) if each.name != "deployment")


# The verdict ----------------------------------------------------------------------------------------------------------


def verdict(found: Sequence[Found]) -> list[str]:
    """Return the answer in sentences: which system is ahead and with what probability, then the figures of each."""
    return [*_lead([each for each in found if each.given]), *map(_summary, found)]


def _lead(kept: Sequence[Found]) -> Iterator[str]:
    """Yield which system has the most tokens/s per chip, by how much, and with what probability."""
    if len(kept) < 2:
        return
    first, second = sorted(kept, key=lambda each: -_number(each.service.tokens_per_second_per_chip))[:2]
    rates = [
        (_number(x.service.tokens_per_second_per_chip), _number(x.service.tokens_per_second)) for x in (first, second)
    ]
    ahead, whole = rates[0][0] / rates[1][0], rates[0][1] / rates[1][1]
    names = [each.side.system.title or each.side.system.name for each in (first, second)]
    sure = ""
    if isinstance(first.service, Estimate) and isinstance(second.service, Estimate):
        sure = f" (chance that it makes more per chip: {probability(first.service, second.service):.0%})"
    in_all = f"{whole:.2f} times as many" if whole >= 1 else f"{whole:.0%} of as many"
    yield f"Per chip, {names[0]} makes {ahead:.2f} times the output tokens of {names[1]}{sure}; as a whole, {in_all}."


def _summary(each: Found) -> str:
    """Return the figures of a system in a sentence."""
    one, where = each.service, _named(each)
    if not one.fits:
        return f"{where}: the model does not fit on {_chips(one)}. {_sentence('; '.join(map(str, one.reasons)))}"
    if not each.given:
        times = ", ".join(f"{name} {_seconds(getattr(one, key))}" for name, key in (("TPOT", "tpot"), ("TTFT", "ttft")))
        return f"{where}: no configuration meets the limits; the nearest has {times}."
    rate, per_chip = _number(one.tokens_per_second), _number(one.tokens_per_second_per_chip)
    pair = one.interval("tokens_per_second_per_chip")
    sure = "" if pair is None else f" (80 % within {_count(pair[0])} to {_count(pair[1])})"
    return (
        f"{where}: {rate:,.0f} output tokens/s on {_chips(one)}, {_count(per_chip)} per chip{sure}; TPOT "
        f"{_seconds(one.tpot)}, TTFT {_seconds(one.ttft)}. {str(one.bound).capitalize()} bounds most of the time."
    )


def _chips(one: Service) -> str:
    count = _number(one.chips)
    return f"{count:,.0f} chip{'' if count == 1 else 's'}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _named(each: Found) -> str:
    soon = " (announced)" if each.side.system.package.announced else ""
    return f"{machine(each.side.system)}{soon}"


# Chapters -------------------------------------------------------------------------------------------------------------


def chapters(question: Question, found: Sequence[Found], machines: Comparison) -> list[Chapter]:
    """Return what a page shows below its verdict."""
    out = [Chapter("side-by-side", "Side by side", "Side by side" if len(found) > 1 else "The answer", [_table(found)])]
    curves = [(i, curve) for i, each in enumerate(found) for curve in each.curves if curve.speed.size]
    if curves:
        out.append(Chapter("frontier", "Frontier", "What other layouts and loads give", _frontier(curves, found)))
    running = [each for each in found if each.service.fits]
    if running:
        out.append(
            Chapter(
                "limits",
                "What limits",
                "What limits, and where memory goes",
                [bar for each in running for bar in _bars(each)],
            )
        )
        out.append(Chapter("roofline", "Roofline", "Operations on the roofline", list(_rooflines(running))))
    out.append(Chapter("machines", "Machines", "What the machines add up to", [machines_table(machines)]))
    out.append(Chapter("basis", "Basis", "What this rests on", list(_basis(found))))
    out.append(Chapter("again", "Ask again", "The same on a command line", [Tree("\n".join(commands(question)))]))
    return out


def machines_table(machines: Comparison, caption: str = "Sums over all chips of each system") -> Table:
    """Return the aggregates of the systems as a table."""
    names = [system.name for system in machines.systems]
    two = len(names) == 2
    rows: list[list[Cell | str]] = [[label, *cells] for label, *cells in machines.rows()]
    head = ("quantity", *names, *(("ratio", "as sources differ") if two else ()))
    return Table(caption, head, rows, range(1, len(head)), name="side", sorts=False)


def _table(found: Sequence[Found]) -> Table:
    """Return the services side by side: a row for each quantity."""
    rows = [[name, *(tell(each) for each in found)] for name, tell in _ROWS]
    shown: list[list[Cell | str]] = [list(row) for row in rows if any(cell not in ("", "–") for cell in row[1:])]
    head = ("quantity", *(each.side.system.name for each in found))
    return Table(
        "The service of each system; in parentheses what holds 80 % of measurements",
        head,
        shown,
        name="side",
        sorts=False,
    )


def _with_interval(quantity: str, shown: Callable[[float], str]) -> Callable[[Found], str]:
    """Return what tells a quantity of a service with its interval."""

    def tell(each: Found) -> str:
        value = getattr(each.service, quantity)
        if value is None or not each.service.fits or not np.isfinite(value):
            return "–"
        pair = each.service.interval(quantity)
        sure = "" if pair is None else f" ({shown(float(pair[0]))} – {shown(float(pair[1]))})"
        return f"{shown(float(value))}{sure}"

    return tell


def _of(tell: Callable[[Service], Any]) -> Callable[[Found], str]:
    """Return what tells something of a service that fits."""
    return lambda each: str(tell(each.service) or "–") if each.service.fits else "–"


def _state(each: Found) -> str:
    if not each.service.fits:
        return "does not fit"
    return "yes" if each.met else "no"


def _memory(one: Service) -> str:
    parts = [
        f"{name.removesuffix(' pool')} {show(_number(est.memory.total), BYTE, 3)}".strip() for name, est in _pools(one)
    ]
    sure = fit_in_words(_number(one.fits_probability)) if isinstance(one, Estimate) else ""
    return f"{', '.join(parts)} of {show(_number(_pools(one)[0][1].capacity), BYTE, 3)}{f', {sure}' if sure else ''}"


def _layout(one: Service) -> str:
    if isinstance(one, Estimate):
        return short(one)
    read, made = one.prefill, one.decode
    return f"prefill on {_chips(read)}: {read.layout.short()}; decode on {_chips(made)}: {made.layout.short()}"


def _software(one: Service) -> str:
    return f"{one.calibration.engine.title or 'no engine'}, {one.question.model.formats_line}"


def _power(one: Service) -> str:
    joules = one.joules_per_token
    return "" if joules is None else show(_number(joules) * _number(one.tokens_per_second), WATT, 3)


def _per_kilowatt(one: Service) -> str:
    joules = one.joules_per_token
    return "" if joules is None else f"{KILO / _number(joules):,.0f}"


def _hourly(one: Service) -> str:
    price = one.system.price_per_chip
    return (
        "no price is known: give one"
        if price is None
        else f"{_dollars(_number(price) * HOUR * _number(one.chips))} ({_dollars(_number(price) * HOUR)} per chip)"
    )


def _in_flight(one: Service) -> str:
    value = one.in_flight if isinstance(one, Pools) else one.concurrency
    return f"{_number(value):,.0f}"


def _same_question(each: Found) -> str:
    if not each.widened:
        return "–"
    return (
        "meets no limits"
        if each.alike is None
        else f"{_count(each.alike.tokens_per_second_per_chip)} ({each.alike.question.model.formats_line})"
    )


def _count(value: Any) -> str:
    return figure(_number(value))


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _dollars(value: float) -> str:
    return f"{figure(value, 3)} USD"


def _number(value: Any) -> float:
    return float(np.nan if value is None else value)


def _seconds(value: Any) -> str:
    return show(float(value), SECOND, 3) if value is not None and np.isfinite(value) else "–"


_ROWS: Final[tuple[tuple[str, Callable[[Found], str]], ...]] = (
    ("output tokens/s per chip", _with_interval("tokens_per_second_per_chip", _count)),
    ("output tokens/s, all chips", _with_interval("tokens_per_second", _whole)),
    ("chips", _of(lambda one: f"{_number(one.chips):,.0f}")),
    ("TPOT", _with_interval("tpot", _seconds)),
    ("TTFT", _with_interval("ttft", _seconds)),
    ("tokens/s per user", _of(lambda one: _count(one.tokens_per_second_per_user))),
    ("requests in flight", _of(_in_flight)),
    ("within the limits", _state),
    ("memory per chip", _of(_memory)),
    ("bound by", _of(lambda one: one.bound)),
    ("layout", _of(_layout)),
    ("software and formats", _of(_software)),
    ("per chip, like for like", _same_question),
    ("energy per output token", _with_interval("joules_per_token", lambda value: f"{figure(value, 3)} J")),
    ("power while serving", _of(_power)),
    ("output tokens/s per kW", _of(_per_kilowatt)),
    ("cost per hour", _of(_hourly)),
    ("cost per million output tokens", _with_interval("dollars_per_million_tokens", _dollars)),
)
"""Rows of the table, and what tells each of them."""


def _frontier(curves: Sequence[tuple[int, Any]], found: Sequence[Found]) -> list[Block]:
    best = [
        (
            i,
            each.side.system.name,
            _number(each.service.tokens_per_second_per_user),
            _number(each.service.tokens_per_second_per_chip),
        )
        for i, each in enumerate(found)
        if each.given
    ]
    drawn = figures.frontiers(curves, best, found[0].tpot)
    caption = (
        "Each line is a frontier: no other layout, load or chunk of that system gives more both per user and per chip, under the limit on "
        "TTFT alone. Right of the dashed vertical line the limit on TPOT is met. A star is the service of this page."
    )
    rows: list[list[Cell | str]] = []
    for _, curve in curves:
        order = np.argsort(curve.speed)
        for i in order[np.unique(np.linspace(0, len(order) - 1, min(8, len(order))).astype(int))]:
            speed, rate = float(curve.speed[i]), float(curve.rate[i])
            rows.append([curve.label, Cell(figure(speed, 3), speed), Cell(figure(rate), rate), curve.plans[i]])
    head = ("frontier", "tokens/s per user", "output tokens/s per chip", "layout")
    table = Table("Points of the frontiers", head, rows, (1, 2))
    return [
        Drawing(
            "frontiers", "frontier: tokens/s per chip against tokens/s per user", caption, drawn.figure, drawn.switches
        ),
        Folded("The same as a table", [table]),
    ]


def _pools(one: Service) -> list[tuple[str, Estimate]]:
    """Return the pools of a service, and what each is called; "" for the only one."""
    return [("", one)] if isinstance(one, Estimate) else [(name, getattr(one, key)) for key, name in _CALLED.items()]


def _bars(each: Found) -> Iterator[Bar]:
    """Yield what bounds the times of a service, and what memory holds."""
    for name, est in _pools(each.service):
        where = ", ".join(part for part in (est.system.name, name) if part)
        finite = bool(np.isfinite(float(est.whole.time)))
        for bar in pictures.breakdown(est, "bound").bars if finite else ():
            parts = [
                Part(p.name, p.share, f"{_seconds(p.time)}, {p.share:.0%}", list(RESOURCES).index(p.name))
                for p in bar.parts
            ]
            yield Bar(f"{where}: {bar.name}, {bar.long}", parts)
        capacity, memory = float(est.capacity), est.memory
        kinds = {
            "weights": memory.weights,
            "KV cache": memory.kv_cache,
            "activations": memory.activations,
            "engine": memory.runtime,
        }
        shares = [
            Part(kind, float(size) / capacity, show(float(size), BYTE, 3), PARTS + i)
            for i, (kind, size) in enumerate(kinds.items())
        ]
        free = max(capacity - float(memory.total), 0.0)
        yield Bar(f"{where}: memory of a chip", [*shares, Part("free", free / capacity, show(free, BYTE, 3), 7)])


def _rooflines(found: Sequence[Found]) -> Iterator[Block]:
    yield Text(
        "Each mark is an operation, its size its share of the time. Under a slope memory bounds it, under a flat roof compute.",
        faint=True,
    )
    for i, each in enumerate(found):
        for k, (name, est) in enumerate(_pools(each.service)):
            drawn = figures.roofline(pictures.sheet(est))
            title = f"{machine(est.system)}{f', {name}' if name else ''}: {pictures.bounds(est)}"
            yield Drawing(
                f"roofline-{i}-{k}",
                f"roofline of {est.system.name} {name}".strip(),
                title,
                drawn.figure,
                drawn.switches,
            )


def _basis(found: Sequence[Found]) -> Iterator[Block]:
    """Yield what was chosen, and what each answer assumes."""
    notes = list(dict.fromkeys(note for each in found for note in (*each.words, *each.service.question.model.notices)))
    for each in found:
        one, name = each.service, each.side.system.name
        notes.append(
            f"{name}: {coefficients_in_words(one.calibration.level)}; {one.calibration.engine.title or 'no engine'}; {each.cost}"
        )
        notes += [f"{name}: {note}" for note in widened(one.question.model, one.system)]
    yield Notes(notes)
    for each in found:
        for name, est in _pools(each.service):
            title = ", ".join(part for part in (each.side.system.name, name) if part)
            yield Folded(f"What was assumed for {title}", [Notes(list(est.assumptions))])


def pool_of(found: Sequence[Found], number: int) -> Estimate | None:
    """Return one of all pools of all services by its number; None where there is none."""
    every = [est for each in found for _, est in _pools(each.service)]
    return every[number] if number < len(every) else None


def reports(text: Typed, found: Sequence[Found]) -> list[tuple[str, str]]:
    """Return the address and the name of a report of each pool of each service."""
    names = [
        ", ".join(part for part in (each.side.system.name, name) if part)
        for each in found
        for name, _ in _pools(each.service)
    ]
    return [(f"/report?{urlencode([*text.pairs, (REPORT, i)])}", name) for i, name in enumerate(names)]


# The same elsewhere ---------------------------------------------------------------------------------------------------


def commands(question: Question) -> list[str]:
    """Return the commands that answer the same: one for all systems, or one each where their chips differ."""
    flags = [f"--tpot={question.tpot}", f"--ttft={question.ttft}"]
    flags += [
        f"--{name.replace('_', '-')}={_quoted(question.words[name])}" for name in _FLAGS if name in question.words
    ]
    counts = {side.chips for side in question.sides}
    groups = [list(question.sides)] if len(counts) == 1 else [[side] for side in question.sides]
    out = []
    for sides in groups:
        own = [] if sides[0].chips is None else [f"--chips={sides[0].chips}"]
        own += [f"--price={side.system.name}={side.price:g}USD/h" for side in sides if side.price is not None]
        out.append(
            shlex.join(
                ["roofline", "compare", *(side.name for side in sides), f"--model={question.model}", *own, *flags]
            )
        )
    if question.deployment == ONE:
        out.append("# with --engine of each system, on one pool of chips")
    return out


def _quoted(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
