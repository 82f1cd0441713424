"""``compare``: aggregates of systems, where sources disagree, and the services of a model on each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Unpack, cast

import numpy as np
from attrs import evolve, frozen

from roofline import catalog
from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import without_none
from roofline.core.lazy import plots
from roofline.core.provenance import Fact, spread
from roofline.core.signatures import typed, typed_methods
from roofline.core.text import columns, counted, figure
from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, HOUR, ONE, SECOND, TERA, WATT, Unit, show
from roofline.core.values import Record
from roofline.hardware.aggregates import aggregates
from roofline.hardware.constants import IDEAL, Calibration
from roofline.hardware.hardware import System
from roofline.models import dtypes
from roofline.models.architecture import Model
from roofline.models.dtypes import DTYPES, Dtype
from roofline.operators.assumptions import widened
from roofline.planner.candidates import PATIENCE
from roofline.planner.estimate import estimate
from roofline.planner.evaluation import Progress
from roofline.planner.plans import limit, short
from roofline.planner.pool_candidates import pair
from roofline.planner.pool_search import Splits
from roofline.planner.pools import filling
from roofline.planner.search import search
from roofline.planner.service_search import Search
from roofline.planner.settings import with_own
from roofline.planner.words import (
    ComparedOnWords,
    CompareWords,
    DegreeWords,
    EngineLike,
    ModelLike,
    ServiceWords,
    SystemLike,
    keywords,
    part,
    refuse_others,
)
from roofline.results.estimate import Estimate
from roofline.results.labels import coefficients_in_words, fit_in_words
from roofline.results.notebook import Displayed
from roofline.results.pools import Pools
from roofline.workload.questions import Serve, usual_accept_length

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMITS: Final = (0.02, 0.05, 0.1)
"""Times per output token that services are held to: a fast reader, a usual promise, a patient one."""

SERVED: Final = "served"
"""The word for the format in which services hold large models on each system."""
STORED: Final = "checkpoint"
"""The word for the format that the model's own files have."""

_MOST_COLUMNS: Final = 4

Service: TypeAlias = Estimate | Pools
"""A service on one pool of chips, or with disaggregated prefill and decode."""

_ROWS: Final[tuple[tuple[str, str, Unit], ...]] = (
    ("chips", "chips", ONE),
    ("bf16_flops_per_s", "bf16, dense", FLOP_RATE),
    ("fp8_flops_per_s", "fp8, dense", FLOP_RATE),
    ("int8_flops_per_s", "int8, dense", FLOP_RATE),
    ("fp4_flops_per_s", "fp4, dense", FLOP_RATE),
    ("memory_bytes", "memory", BYTE),
    ("memory_bandwidth_bytes_per_s", "memory bandwidth", BYTE_RATE),
    ("scale_up_bytes_per_s", "scale-up, one way", BYTE_RATE),
    ("power_w", "power, rated", WATT),
    ("flops_per_joule", "bf16 per watt", ONE),
)


def _ranges(system: System) -> dict[str, tuple[float, float]]:
    """Return the least and greatest aggregates that the figures of the sources allow."""
    chips = float(system.chips)
    facts: dict[str, Fact] = {fact.path: fact for fact in (*system.package.facts, *system.facts)}
    paths = {"memory_bytes": "chip.memory.capacity", "memory_bandwidth_bytes_per_s": "chip.memory.bandwidth"}
    paths |= {f"{rate}_flops_per_s": f"chip.peak.{rate}" for rate in system.package.peak}
    out = {name: tuple(chips * value for value in spread(facts[path])) for name, path in paths.items() if path in facts}
    power = spread(facts["system.power"]) if "system.power" in facts else None
    if power:
        out["power_w"] = power
        low, high = out.get("bf16_flops_per_s", (np.nan, np.nan))
        out["flops_per_joule"] = (low / power[1], high / power[0])
    return out  # type: ignore[return-value]


@typed_methods
@frozen(eq=False, repr=False)
class Comparison(Displayed):
    """Systems side by side: a table, a picture, ratios of the first two, and what a model makes of each.

    Attributes:
        systems: the systems, in the order given.
        estimates: what each makes of the model, if one was given: on one pool of chips, or disaggregated.
        under: for each system, the best service under each limit on TPOT; None where nothing keeps it.
        patience: the limit on TTFT that they keep too.
        asked: the estimates are of so many requests in flight as were asked for, and not among the best services.
        alike: the best services under the middle limit with all weights as the checkpoint has them, where some of the estimates
            have them in the format that services use on their system; None where nothing keeps it.
        words: what was chosen for all of them, in sentences.
        costs: for each system, what a chip costs in an hour and who says so, in a sentence.
    """

    systems: tuple[System, ...]
    estimates: tuple[Service, ...] = ()
    under: tuple[Mapping[float, Service | None], ...] = ()
    patience: float = PATIENCE
    asked: bool = False
    alike: tuple[Service | None, ...] = ()
    words: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        served = f", serving {self.estimates[0].question.model.name}" if self.estimates else ""
        return f"<Comparison: {', '.join(system.name for system in self.systems)}{served}>"

    @property
    def ratios(self) -> dict[str, float]:
        """Aggregates of the first system over those of the second; of power only where both are the systems' own, or neither."""
        if len(self.systems) < 2:
            return {}
        first, second = (aggregates(system) for system in self.systems[:2])
        unlike = (
            ("power_w", "flops_per_joule") if len({system.power is None for system in self.systems[:2]}) > 1 else ()
        )
        both = [name for name in first if first[name] and second.get(name) and name not in unlike]
        return {name: first[name] / second[name] for name in both}  # type: ignore[operator]

    @property
    def ratio_ranges(self) -> dict[str, tuple[float, float]]:
        """The ratios' least and greatest values over the figures that different sources give."""
        if len(self.systems) < 2:
            return {}
        first, second = (_ranges(system) for system in self.systems[:2])
        return {
            name: (first[name][0] / second[name][1], first[name][1] / second[name][0])
            for name in first
            if name in second and name in self.ratios
        }

    @property
    def meets(self) -> bool:
        """Whether every system has a service that fits and meets each limit."""
        return all(est is not None for row in self.under for est in row.values()) and all(
            bool(est.fits) for est in self.estimates
        )

    def to_dict(self) -> Record:
        """Return the comparison under the field names of the machine-readable answer."""
        out: dict[str, Any] = {"systems": [{"name": s.name, **aggregates(s), **_descriptive(s)} for s in self.systems]}
        for each, cost in zip(out["systems"], self.costs, strict=False):
            each["price_basis"] = cost
        out["ratios"] = self.ratios
        out["ratio_ranges"] = {name: list(pair) for name, pair in self.ratio_ranges.items()}
        if self.estimates:
            out["warnings"] = list(self.estimates[0].question.model.notices)
            out["estimates"] = [est.to_dict() for est in self.estimates]
            out["under_tpot"] = [
                {str(limit): None if est is None else est.to_dict() for limit, est in row.items()} for row in self.under
            ]
            out["alike"] = [None if est is None else est.to_dict() for est in self.alike]
        return out

    def plot(self, style: str | None = None) -> Figure:
        """Return a figure of what the systems add up to: FLOP/s, bytes, bytes/s and watts, of the whole and of one chip."""
        with plots("style").style(style).drawing():
            figure: Figure = plots("systems").draw(
                [s.name for s in self.systems], [aggregates(s) for s in self.systems],
                [s.power is None for s in self.systems], [s.package.announced for s in self.systems], style,
            )  # fmt: skip
            return figure

    def table(self) -> str:
        """Return the comparison as text: systems as columns, at most four in one table."""
        notes = [
            f"{s.title}: {float(s.chips):g} x {s.package.title}{' (announced)' if s.package.announced else ''}"
            for s in self.systems
        ]
        sums = [aggregates(system) for system in self.systems]
        rows = [row for row in _ROWS if any(each.get(row[0]) for each in sums)]
        both = list(zip(self.systems, sums, strict=True))
        text = "\n\n".join(
            self._side_by_side(rows, both[i : i + _MOST_COLUMNS]) for i in range(0, len(both), _MOST_COLUMNS)
        )
        parts = [*notes, "", text]
        alone = [s.name for s in self.systems if s.power is None and s.package.power is not None]
        if alone:
            parts += ["", f"power of the chips alone, without hosts, switches and cooling: {', '.join(alone)}"]
        return "\n".join([*parts, *(["", self._services()] if self.estimates else [])])

    def _side_by_side(
        self, rows: Sequence[tuple[str, str, Unit]], systems: Sequence[tuple[System, dict[str, float | None]]]
    ) -> str:
        """Return what some systems add up to, a column for each; with the ratio where only two are compared."""
        head = ["", *(s.name for s, _ in systems), *(("ratio", "as sources differ") if len(self.systems) == 2 else ())]
        cells = self._cells(rows, [each for _, each in systems])
        return columns(cells, head=head, right=range(1, len(systems) + 2))

    def rows(self) -> list[list[str]]:
        """Return the rows of the table of what systems add up to: a name, a cell for each system, of two also the ratio and its range."""
        sums = [aggregates(system) for system in self.systems]
        return self._cells([row for row in _ROWS if any(each.get(row[0]) for each in sums)], sums)

    def _cells(self, rows: Sequence[tuple[str, str, Unit]], sums: Sequence[dict[str, float | None]]) -> list[list[str]]:
        two = len(self.systems) == 2
        ratios, ranges = (self.ratios, self.ratio_ranges) if two else ({}, {})
        out = []
        for name, label, unit in rows:
            cells = [_cell(each.get(name), name, unit) for each in sums]
            low, high = ranges.get(name, (0.0, 0.0))
            wide = f"{_times(low)} - {_times(high)}" if high > low * 1.001 else ""
            out.append([label, *cells, *((_times(ratios[name]) if name in ratios else "", wide) if two else ())])
        return out

    def _services(self) -> str:
        """Return the best service of each system under each limit, what bounds it, and what it rests on."""
        first = cast("Serve", self.estimates[0].question)
        asked = f"{first.model.name}, {float(first.input):g} tokens in and {float(first.output):g} out"
        limit = f"most tokens/s with TTFT <= {show(self.patience, SECOND, 3)}"
        rates, layouts = _tables(self._groups())
        notes = []
        for est in self.estimates:
            used, stack = f"{counted(float(est.chips), 'chip')}", est.calibration.engine.title or "no engine"
            notes.append(
                f"{est.system.name}: {used}, {stack}, {est.question.model.formats_line}, {coefficients_in_words(est.calibration.level)}"
            )
            notes += [f"{est.system.name}: {note}" for note in widened(est.question.model, est.system)]
        notes += [f"{system.name}: {line}" for system, line in zip(self.systems, self.costs, strict=True)]
        if any(system.price_per_chip is not None for system in self.systems):
            notes.append("$/M: cost of all chips per million output tokens, prefill included")
        if self.alike:
            same = next(
                (est.question.model.formats_line for est in self.alike if est is not None), "no service meets it"
            )
            notes.append(
                f"each in the format of its published services; like for like, as the checkpoint has it: {same} "
                f"(dtype={STORED}, or one format for all)"
            )
        notes += self.words
        notes += first.model.notices
        sources = "sources: of each machine roofline show NAME; of each estimate roofline estimate ... --why"
        return "\n".join([f"{asked}: {limit}", "", rates, "", layouts, "", *notes, sources])

    def _groups(self) -> list[tuple[str, list[tuple[System, Service | None, bool]]]]:
        """Return what is compared, and of each system its service, and whether any fits."""
        fits = [bool(est.fits) for est in self.estimates]
        out = [
            (
                f"TPOT <= {show(limit, SECOND, 3)}",
                list(zip(self.systems, [row[limit] for row in self.under], fits, strict=True)),
            )
            for limit in self.under[0]
        ]
        if self.asked:
            own = [est if fit else None for est, fit in zip(self.estimates, fits, strict=True)]
            load = f"{float(self.estimates[0].in_flight or 0.0):g} requests in flight"
            out.append((load, list(zip(self.systems, own, fits, strict=True))))
        if self.alike:
            title = f"TPOT <= {show(_middle(self.under[0]), SECOND, 3)}, like for like"
            out.append((title, list(zip(self.systems, self.alike, fits, strict=True))))
        return out


def _tables(groups: Iterable[tuple[str, list[tuple[System, Service | None, bool]]]]) -> tuple[str, str]:
    """Return two tables of services by group: what each gives and costs; and what bounds it and its layout."""
    rates: list[list[str]] = []
    layouts: list[list[str]] = []
    for title, services in groups:
        rates.append([title])
        layouts.append([title])
        for system, best, fits in services:
            name = f"  {system.name}"
            if best is None:
                rates.append([name, *"-" * 7])
                layouts.append([name, "-", "-", "none meets the limits" if fits else "does not fit"])
                continue
            rates.append([name, *_given(best)])
            layouts.append([name, *_loaded(best)])
    head = ["", "tokens/s", "per chip", "TPOT", "TTFT", "J/token", "$/M", "requests"]
    more = ["", "80 % within", "bound by", "layout"]
    return columns(rates, head, range(1, 8)), columns(layouts, more, (1,))


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio >= 0.1 else f"{ratio:.2g}x"


def _cell(value: float | None, name: str, unit: Unit) -> str:
    if value is None:
        return "-"
    if name == "flops_per_joule":
        return f"{value / TERA:.3g} TFLOP/J"
    return f"{value:,.0f}" if unit == ONE else show(value, unit)


def _given(best: Service) -> list[str]:
    """Return the rates and times of a service, the energy and cost of a token where they are known, and its load."""
    joules, dollars = best.joules_per_token, best.dollars_per_million_tokens
    return [
        f"{float(best.tokens_per_second or 0.0):,.0f}",
        figure(float(best.tokens_per_second_per_chip or 0.0), 3),
        *(show(float(time or 0.0), SECOND, 3) for time in (best.tpot, best.ttft)),
        *("-" if each is None else figure(float(each), 3) for each in (joules, dollars)),
        f"{float(best.in_flight if isinstance(best, Pools) else best.concurrency):,.0f}",
    ]


def _loaded(best: Service) -> list[str]:
    """Return the interval of a service's rate, what bounds it, and its layout."""
    pair = best.interval("tokens_per_second")
    return [
        "-" if pair is None else " - ".join(f"{float(each):,.0f}" for each in pair),
        str(best.bound),
        _layout(best),
    ]


def _layout(best: Service) -> str:
    """Return the layout of a service; of both pools, where it has two."""
    if not isinstance(best, Pools):
        return ", ".join(part for part in (short(best), fit_in_words(float(best.fits_probability))) if part)
    read, made = best.prefill, best.decode
    return f"{counted(float(read.chips), 'chip')} prefill: {read.layout.short()}; {float(made.chips):,.0f} decode: {made.layout.short()}"


def _descriptive(system: System) -> dict[str, Any]:
    each = system.price_per_chip
    return {
        "title": system.title,
        "usd_per_chip_hour": None if each is None else float(each) * HOUR,
        "chip": system.package.name,
        "announced": system.package.announced,
        "power_is": None
        if system.power_per_chip is None
        else "the system's"
        if system.power is not None
        else "the chips' alone",
        "tiers": [
            {"name": t.name, "ranks": float(t.size), "bytes_per_s_per_rank": float(t.bandwidth)} for t in system.tiers
        ],
    }


@keywords(CompareWords)
@typed
def compare(
    *systems: SystemLike,
    model: ModelLike | None = None,
    tpot: float | str | Sequence[float | str] = LIMITS,
    ttft: float | str = PATIENCE,
    progress: Progress | None = None,
    searched: Callable[[Search], None] | None = None,
    **words: Unpack[CompareWords],
) -> Comparison:
    """Compare systems; with a model, also the best service on each under limits on TPOT.

    Args:
        systems: objects, names or paths: two or more, or one with a model.
        model: an object, a name, the path of a config.json, or a parsed one.
        tpot: limit or limits on the time per output token: seconds, or text such as ``"50 ms"``.
        ttft: limit on the time to the first token.
        concurrency: also the service at so many requests in flight, which ``estimates`` then hold; by default they hold the best
            services under the middle limit.
        progress: called from time to time with the configurations of a system estimated, and all of them.
        price, power: of a chip, as :func:`roofline.estimate` takes them; or of some systems by name: ``{"dgx-h100": "2.5 USD/h"}``.
        searched: called with the search of each system, under the limit on TTFT alone; the comparison retains none of its configurations.
        engine: that of all systems, on one pool of chips. By default each goes by the best path that is served there: the engine of
            its best published services (:func:`roofline.catalog.served_by`), tuned, on one pool of chips or disaggregated, with one
            draft token of the model's own module if it has one.
        dtype: ``served``: on each system the format in which services there hold large models (INT8 on Ascend 910, NVFP4 on Blackwell,
            with the cache that goes with it), as its stack says, where the checkpoint is not as narrow already in a format that the
            chip multiplies; ``alike`` then holds the services with the checkpoint's own. ``checkpoint``: that on all, or one format
            for all, like for like; a format that a chip cannot multiply is widened, and the note reports it.

    Returns:
        What the systems add up to, their ratios, and the best service of each under each limit.

    Raises:
        QuestionError: fewer systems, or words without meaning.

    >>> round(compare("cloudmatrix384", "gb200-nvl72").ratios["chips"], 2)
    5.33
    """
    if len(systems) < (2 if model is None else 1):
        raise QuestionError(fault("systems", len(systems), "a comparison takes at least two, or one with a model"))
    refuse_others("compare", words, CompareWords)
    racks, costs = _priced(tuple(catalog.system(system) for system in systems), words)
    dtype, concurrency, kv_dtype = words.get("dtype", SERVED), words.get("concurrency"), words.get("kv_dtype")
    limits, (patience,) = _limits("tpot", tpot), _limits("ttft", ttft)
    if model is None:
        for name, value in words.items():
            if (
                value is not None
                and name not in ("level", "engine", "power", "price")
                and (name, value) != ("dtype", SERVED)
            ):
                raise QuestionError(
                    fault(name, value, "says something of a service, but no model was given", "add model=")
                )
        return Comparison(racks, costs=costs)
    stored = catalog.model(model, dtype=None if dtype in (SERVED, STORED) else dtype, kv_dtype=kv_dtype)
    placed, own = part(words, ComparedOnWords), part(words, ServiceWords)
    middle, rows, chosen, alike, differs = _middle(limits), [], [], [], False
    engine, notes = words.get("engine"), cast("tuple[str, ...]", ())
    level = words.get("level")
    # A bound knows no engine.
    ideal = (level.level if isinstance(level, Calibration) else level) == IDEAL.level
    free, served = engine is None and not ideal, cast("dict[str, Any]", dict(own))
    if free:
        served, notes = _usual(stored, served)
    for rack in racks:
        stack = f"{catalog.served_by(rack)}+tuned" if free else engine

        def found(made: Model, rack: System = rack, stack: EngineLike | None = stack) -> Search:
            asked = {**placed, **served, "engine": stack}
            return _searched(made, rack, split=free, ttft=patience, progress=progress, **asked)

        made = _served(stored, rack, stack, kv_dtype) if dtype == SERVED else stored
        first, whole = found(made), placed.get("chips")
        if searched is not None:
            searched(first)
        row = {limit: _best(first.with_limits(tpot=limit), whole) for limit in limits}
        rows.append(row)
        best = row[middle] or next((est for est in row.values() if est is not None), None)
        if concurrency is not None or best is None:
            more: Any = {**placed, **served, "engine": stack, "concurrency": concurrency}
            best = estimate(made, rack, **more)
        chosen.append(best)
        if made is stored:
            alike.append(row[middle])
        elif isinstance(row[middle], Pools) and first.disaggregated is not None:
            degrees = part(words, DegreeWords)
            alike.append(_filled(_of(first.disaggregated, stored, whole, degrees).with_limits(tpot=middle), whole))
        else:
            alike.append(_best(found(stored).with_limits(tpot=middle), whole))
        differs |= made is not stored
    return Comparison(
        racks, tuple(chosen), tuple(rows), patience, concurrency is not None, tuple(alike) if differs else (), notes, costs
    )  # fmt: skip


def _priced(racks: tuple[System, ...], words: Mapping[str, Any]) -> tuple[tuple[System, ...], tuple[str, ...]]:
    """Return systems with the power and cost that were given for all or for each by name, and what each costs, in sentences.

    Raises:
        QuestionError: a name that is none of the systems'.
    """
    named = [rack.name for rack in racks]
    own: dict[str, Mapping[str, Any]] = {}
    for word in ("power", "price"):
        value = words.get(word)
        own[word] = value if isinstance(value, Mapping) else dict.fromkeys(named, value)
        for name in own[word]:
            if name not in named:
                raise QuestionError(fault(word, name, "is none of the systems compared", near(name, named, "systems")))
    out = tuple(with_own(rack, own["power"].get(rack.name), own["price"].get(rack.name)) for rack in racks)
    return out, tuple(_cost(rack, own["price"].get(rack.name) is not None) for rack in out)


def _cost(rack: System, own: bool) -> str:
    """Return what a chip costs in an hour, and who says so."""
    each = rack.price_per_chip
    if each is None:
        return f"no price known; give one: --price {rack.name}=2.95USD/h"
    fact = next((fact for fact in (*rack.facts, *rack.package.facts) if fact.path in _PRICES), None)
    basis = "as given" if own or fact is None else f"{fact.source.title}{f' ({fact.note})' if fact.note else ''}"
    return f"${float(each) * HOUR:.2f} per chip and hour, {basis}"


_PRICES: Final = ("system.price", "chip.price")
"""Where a descriptor states a cost per hour: of the system, else of the chip."""


def _usual(model: Model, words: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the words of a service as published ones are run, and what was chosen, in sentences."""
    notes = [
        "each with the engine of its best published services, tuned, on one pool or disaggregated (engine= names one)"
    ]
    out = dict(words)
    if model.mtp and out.get("draft_tokens") is None:
        out["draft_tokens"] = 1
        notes.append(
            f"one draft token a step by {model.name}'s own module, of which {float(usual_accept_length(1)) - 1:.0%} are accepted, as the "
            "published services have it (draft_tokens=0: none)"
        )
    return out, tuple(notes)


def _searched(model: Model, rack: System, *, split: bool, **words: Any) -> Search:
    """Return the services of a system, those on two pools among them where two can be had."""
    if split and words.get("rate") is None:
        try:
            return search(model, rack, disaggregated=True, **words)
        except QuestionError:
            # One chip, answers of one token, or degrees that leave no chips for a second pool; what else is wrong is met again.
            pass
    return search(model, rack, **words)


def _best(found: Search, chips: int | None) -> Service | None:
    """Return the service with the most tokens a second on all chips, of those that meet the limits."""
    two = None if found.disaggregated is None else _filled(found.disaggregated, chips)
    return found.best if two is None else found.beating(float(two.tokens_per_second)) or two


def _filled(apart: Splits, chips: int | None) -> Pools | None:
    """Return the pools with the most tokens a second on all chips."""
    whole = int(apart.system.chips) if chips is None else chips
    best = evolve(apart, whole=float(whole)).best
    if best is None or int(best.chips) > whole // 2:
        return best
    # Many pairs as one service wait a little otherwise than one pair does: the load is lowered until the limits hold again.
    tried = (filling(best, whole, 1 - less) for less in _LESS)
    return next((each for each in tried if apart.holds(each)), None)


_LESS: Final = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Parts of the load of many pairs of pools that are left away."""


def _of(apart: Splits, model: Model, chips: int | None, held: DegreeWords) -> Splits:
    """Return the pools that serve a model in another format."""
    question = evolve(apart.question, model=model)
    return evolve(
        apart, question=question, pairs=pair(question, apart.system, apart.profile, chips, without_none(**held))
    )


def _middle(limits: Iterable[float]) -> float:
    """Return the middle one of limits in order."""
    each = tuple(limits)
    return each[len(each) // 2]


def _served(model: Model, rack: System, engine: EngineLike | None, kv_dtype: str | None) -> Model:
    """Return a model as services on a system hold it: in the stack's format, unless its own is as narrow and can be multiplied."""
    stack = catalog.engine("generic" if engine is None else engine, rack)
    if not stack.served:
        return model
    narrow, peaks = DTYPES[stack.served], rack.chip.peak
    own = [dtypes.dtype(name) for name in model.formats.names("experts" if model.experts else "dense")]
    if all(each.bytes < 0.75 * narrow.bytes or _as_narrow(each, narrow, peaks) for each in own):
        return model
    return model.stored(narrow.name, kv_dtype or stack.cache.get(narrow.name))


def _as_narrow(own: Dtype, narrow: Dtype, peaks: Mapping[str, object]) -> bool:
    """Return whether a format takes no more than another, to a tenth, and is multiplied in no more bits than it."""
    return bool(own.bytes <= 1.1 * narrow.bytes) and own.rate(peaks) not in DTYPES["bf16"].rates


def _limits(name: str, value: Any) -> tuple[float, ...]:
    """Return limits in seconds, least first.

    Raises:
        QuestionError: not times above 0.
    """
    out = [limit(name, each) for each in ((value,) if isinstance(value, (str, int, float)) else tuple(value))]
    if not out:
        raise QuestionError(fault(name, value, "must hold a limit", "give for example 50ms"))
    return tuple(sorted(set(out)))
