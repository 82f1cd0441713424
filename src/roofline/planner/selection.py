"""Candidates held to limits and ranked by an objective: which are accepted, the best, the frontier, the nearest, and why not the rest.

:class:`Selection` is the mechanism; :class:`Search` holds the plans of a service, :class:`Splits` those of two pools,
:class:`TrainingSearch` those of a step of training.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeAlias, TypeVar, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline import catalog
from roofline.core.arrays import DETAILED, Mask
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.signatures import typed_methods
from roofline.core.text import columns, csv_text, figure
from roofline.core.units import BYTE, SECOND, WATT, Num, Unit, show
from roofline.core.values import Json, Record
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.physics.energy import drawn
from roofline.planner.confirm import Confirmation, confirmations
from roofline.planner.frontier import joined, leading, order, pareto, refusals, undominated
from roofline.planner.limits import limits_on
from roofline.planner.metrics import METRICS, measure
from roofline.planner.plans import (
    COSTS,
    HEAD,
    LEGEND,
    Rejection,
    csv_of,
    even,
    layouts,
    limit,
    missed,
    records,
    short,
    spread,
    table,
    yields,
)
from roofline.planner.pool_candidates import Pairing, Pairs
from roofline.planner.pools import pools
from roofline.planner.survey import Survey
from roofline.planner.training_candidates import Split, plain
from roofline.results.answer import Answer, LayoutAnswer
from roofline.results.estimate import Estimate
from roofline.results.labels import asked, fitting, headline, machine, told
from roofline.results.limits import TIMES, Limit
from roofline.results.notebook import Displayed
from roofline.results.pools import Pools
from roofline.results.records import brief, layout_fields
from roofline.results.records import plain as number_of
from roofline.results.training import Training
from roofline.workload.questions import Serve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.plots._frontier import Curve
    from roofline.plots.tradeoff import Tradeoff

OBJECTIVES: Final[Mapping[str, str]] = {
    "tokens_per_second_per_chip": "the most tokens/s per chip",
    "tokens_per_second_per_user": "the most tokens/s per user",
    "joules_per_token": "the least energy per token",
    "dollars_per_million_tokens": "the least cost per token",
    "tpot": "the least TPOT",
    "ttft": "the least TTFT",
}
"""What a plan may be the best by, and what that is called."""

_ABOVE_MEAN: Final = 75.0
"""From this percentile on the mean of a waiting time lies below it."""
_MOST_LINES: Final = 12
_MOST_LAYOUTS: Final = 6
_STEPS_HEAD: Final = ("step", "80 % within", "MFU", "memory", "J/token", "$/T", "configuration")
"""Of the table of training configurations; ``$/T`` is the cost of a trillion tokens."""
_MOST_WAYS: Final = 8
_LOOKED: Final = 16
"""Best pairs that are answered in full to find one that keeps the limits."""
_NEARLY: Final = 0.01
"""By how much the rate and the power of a priced pair may differ from those of its answer in full."""
_MOST_POOL_LINES: Final = 8
_ROUNDED: Final = 2.0**-30
"""More than rates are rounded by."""
AnswerT = TypeVar("AnswerT", bound=Answer)
LayoutAnswerT = TypeVar("LayoutAnswerT", bound=LayoutAnswer[Any, Any])
Limited: TypeAlias = Mapping[str, tuple[str, Unit, str, str]]
_TIMES_LIMITED: Final[Limited] = {name: (title, SECOND, "time", "50ms") for name, title in TIMES.items()}
_POWER_LIMITED: Final[Limited] = {"hall_power": ("power of the building", WATT, "power", "10MW")}


def _spent(one: Any) -> list[str]:
    """Return the energy and the cost of the tokens of a plan, as far as they are known."""
    joules, dollars = one.joules_per_token, one.dollars_per_million_tokens
    found = [] if joules is None else [f"{float(joules):.3g} J per output token"]
    found += [] if dollars is None else [f"{float(dollars):.3g} USD per million output tokens"]
    return [f"energy and cost: {', '.join(found)}"] if found else []


@frozen(eq=False, repr=False, slots=False)
class Found(Displayed, ABC, Generic[AnswerT]):
    """What was found among candidates, whether all of them are in memory or only those that are retained."""

    @property
    @abstractmethod
    def tried(self) -> int:
        """Candidates that were tried, those among them that cannot be laid out."""

    @abstractmethod
    def at(self, place: int | np.int64) -> AnswerT:
        """Return the answer of a candidate at a place, in full."""

    @property
    @abstractmethod
    def best(self) -> AnswerT | None:
        """The best candidate that fits and keeps the limits, in full; None if there is none."""

    @abstractmethod
    def to_dict(self) -> Record:
        """Return what was found under the names of the machine-readable answer; units are in the names."""

    @abstractmethod
    def csv(self) -> str:
        """Return what was found as the text of a CSV file."""

    @property
    @abstractmethod
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""

    @abstractmethod
    def _lines(self) -> Iterable[str]:
        """Return what was found as blocks of text: what was asked, the best, the others, and why not the rest."""

    def table(self) -> str:
        """Return what was found as text, and what was chosen or assumed."""
        notes = ["", "what was chosen or assumed", *(f"  - {note}" for note in self.assumptions)]
        return "\n".join([*self._lines(), *(notes if self.assumptions else ())])

    def __repr__(self) -> str:
        best = "none is accepted" if self.best is None else self._best_in_words(self.best)
        return f"<{type(self).__name__}: {self._asked_in_words}: {best}>"

    @property
    @abstractmethod
    def _asked_in_words(self) -> str:
        """What was searched, in a few words."""

    def _best_in_words(self, best: AnswerT) -> str:
        """Return which candidate is the best, in a few words."""
        return repr(best)


@typed_methods
@frozen(eq=False, repr=False, slots=False)
class Selection(Found[AnswerT]):
    """Candidates that were estimated, held to limits and ranked by an objective.

    Candidates are counted row by row where they lie on more than one axis. A subclass says what they are: where they fit, the
    values of their metrics, the objective, the two axes of the frontier, and which answer is at a place.

    Attributes:
        limits: on metrics of :data:`roofline.planner.metrics.METRICS`, those that were given.
        notes: what was chosen or assumed.
    """

    LIMITED: ClassVar[Limited]
    """What may be limited: how it is written, its unit, the kind of quantity, and an example."""

    limits: Mapping[str, float] = field(factory=dict, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def with_limits(self, **limits: float | str | None) -> Self:
        """Return the same candidates under other limits: those not named stay, None lifts one.

        Raises:
            QuestionError: no limit of that name, or nothing above 0.
        """
        for name in limits:
            if name not in self.LIMITED:
                raise QuestionError(fault("limit", name, "no such limit", " or ".join(self.LIMITED)))
        asked = {**self.limits, **limits}
        kinds = self.LIMITED.items()
        return attrs.evolve(self, limits={
            name: limit(name, asked[name], unit, kind, such) for name, (_, unit, kind, such) in kinds if asked.get(name) is not None
        })  # fmt: skip

    # What a kind of candidates says ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other candidates were rejected; with those accepted, they are all that were tried."""

    @abstractmethod
    def _metric(self, name: str) -> NDArray[np.float64]:
        """Return a metric of every candidate."""

    @property
    @abstractmethod
    def _fits(self) -> NDArray[np.bool_]:
        """Where a candidate fits, whatever the limits."""

    @property
    @abstractmethod
    def _score(self) -> NDArray[np.float64]:
        """The objective, more being better."""

    @property
    @abstractmethod
    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The two quantities of the frontier, more being better; the second breaks ties of the objective."""

    def _remarks(self, est: AnswerT) -> Iterable[str]:
        """Return what is said of the best besides its own assumptions."""
        del est
        return self.notes

    # What follows ----------------------------------------------------------------------------------------------------

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """Where a candidate fits and keeps the limits."""
        return self._fits & (self._excess <= 1)

    def _over(self, name: str) -> NDArray[np.float64]:
        """Return a metric over its limit, above 1 where it misses it; one without meaning keeps any limit."""
        value = self._metric(name)
        return np.asarray(
            np.nan_to_num(value / self.limits[name] if METRICS[name].least else self.limits[name] / value, nan=0.0)
        )

    @cached_property
    def _excess(self) -> NDArray[np.float64]:
        """The worst metric over its limit."""
        return np.asarray(np.maximum.reduce([np.zeros(self._fits.shape), *map(self._over, self._limited)]))

    @property
    def _limited(self) -> tuple[str, ...]:
        """The names of all limits."""
        return tuple(self.limits)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The places of the accepted, the best first, and of two as good the one with more of the frontier's second quantity."""
        return order(self.accepted, self._score, self._axes[1])

    @cached_property
    def _count(self) -> int:
        """How many are accepted."""
        return int(np.count_nonzero(self.accepted))

    @cached_property
    def _top(self) -> NDArray[np.int64]:
        """The places of the best of the accepted, the best first: what is asked of most selections."""
        return next(leading(self.accepted, self._score, self._axes[1]), np.empty(0, dtype=np.int64))

    @cached_property
    def _edge(self) -> NDArray[np.int64]:
        """The places of the frontier: accepted, and beaten by no other in both of its quantities."""
        return pareto(self.accepted, *self._axes)

    def _combinations(self) -> Iterator[tuple[list[str], NDArray[np.bool_]]]:
        """Yield each set of limits and where exactly these are missed by what fits: each alone, and all together."""
        over = {name: self._fits & (self._over(name) > 1) for name in self._limited}
        for names in [*([name] for name in over), *([list(over)] if len(over) > 1 else [])]:
            yield names, np.logical_and.reduce([mask if name in names else ~mask for name, mask in over.items()])

    def _nearest_of(self, mask: NDArray[np.bool_], miss: NDArray[np.float64], *, rank: bool = True) -> tuple[int, bool]:
        """Return the place of a mask that misses by least, of those better than the best where there are any, and whether it is."""
        best = self._score.flat[self._top[0]] if rank and self._count else np.inf
        better = mask & (self._score > best)
        return int(np.argmin(np.where(better if better.any() else mask, miss, np.inf))), bool(better.any())

    def _said(self, names: Iterable[str], between: str, than: str) -> str:
        written = {name: show(self.limits[name], self.LIMITED[name][1], 3) for name in names}
        return between.join(f"{self.LIMITED[name][0]} {than} {value}" for name, value in written.items())

    @property
    def _counted(self) -> str:
        limits = f" and meet {self._said(self._limited, ' and ', '<=')}" if self._limited else ""
        return f"{self._count:,} of {self._priced:,} configurations fit{limits}"

    @property
    def _priced(self) -> int:
        return self.accepted.size

    # Output ----------------------------------------------------------------------------------------------------------

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        return self.notes

    def _reasons(self) -> list[str]:
        """Return why the others were rejected, as lines of text."""
        rows = [[f"{each.plans:,}", str(each)] for each in self.rejected]
        return ["", f"why the other {self.tried - self._count:,} were rejected", columns(rows, right=(0,))]


@frozen(eq=False, repr=False, slots=False)
class LayoutSelection(Selection[LayoutAnswerT]):
    """Candidates that are one layout each, with the nearest to one where none is accepted."""

    ASKED: ClassVar[tuple[str, ...]]
    """What all candidates have in common, by its names in the machine-readable answer."""

    @property
    @abstractmethod
    def nearest(self) -> LayoutAnswerT | None:
        """Where no candidate is accepted: the nearest to one."""

    @property
    def shown(self) -> LayoutAnswerT:
        """The best candidate, or the nearest to one."""
        return cast("LayoutAnswerT", self.best or self.nearest)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed for the candidate that is shown."""
        return self.shown.assumptions

    @abstractmethod
    def _groups(self) -> dict[str, list[dict[str, Any]]]:
        """Return the candidates that stand out, as records: the frontier, and the best of each kind."""

    def to_dict(self) -> Record:
        """Return what was found under the names of the machine-readable answer; units are in the names."""
        first = self.shown.to_dict()
        suffixes = {SECOND: "s", BYTE: "bytes", WATT: "w"}
        limits = {f"{name}_{suffixes[unit]}": self.limits.get(name) for name, (_, unit, _, _) in self.LIMITED.items()}
        return {
            **{name: first[name] for name in self.ASKED},
            "limits": limits,
            **self._objective_fields(),
            "tried": self.tried,
            "accepted": self._count,
            "best": None if self.best is None else first,
            "nearest": None if self.nearest is None else first,
            **self._groups(),
            "rejected": [each.to_dict() for each in self.rejected],
            "warnings": first["warnings"],
            "assumptions": list(self.notes),
        }

    def _objective_fields(self) -> Record:
        return {}


def _missing(stages: Iterable[tuple[str, NDArray[np.bool_], NDArray[np.float64]]]) -> tuple[str, int]:
    """Return what no candidate does, of the stages that each must pass, and the place of the one that comes nearest to it."""
    text, among, miss = next(each for each in stages if each[1].any())
    return text, int(np.argmin(np.where(among, miss, np.inf)))


def _power_is_known(value: Num | None, system: System, most: object) -> None:
    """Refuse a limit on the power of the building where no rated power is known.

    Raises:
        QuestionError: it is not known.
    """
    if value is None:
        raise QuestionError(fault("hall_power", most, f"no rated power of {system.name} is known", "give power"))


def _filled(most: float, power: Num, rate: Num) -> NDArray[np.float64]:
    """Return the tokens/s of all copies of plans that a power of the building has room for."""
    return np.asarray(np.nan_to_num(np.floor(most / power) * rate, nan=-np.inf))


def _copied(best: Estimate | Pools | None, most: float | None) -> dict[str, float] | None:
    """Return the copies of a plan that a power of the building has room for, and what they give; None without plan or limit."""
    if best is None or most is None:
        return None
    each, rate = float(measure(best, "hall_power") or np.nan), float(best.tokens_per_second or 0.0)
    copies = int(np.floor(most / each))
    return {
        "copies": copies,
        "chips": copies * int(best.chips),
        "power_w": copies * each,
        "output_tokens_per_s": copies * rate,
    }


def _copies_in_words(room: Mapping[str, float], most: float) -> str:
    """Return the copies of a plan within a power of the building as a line of text."""
    power = f"{show(room['power_w'], WATT, 3)} of {show(most, WATT, 3)}"
    count = f"{room['copies']:,} cop{'y' if room['copies'] == 1 else 'ies'}"
    return (
        f"{count} of it, {room['chips']:,} chips: {room['output_tokens_per_s']:,.0f} tokens/s, {power} of the building"
    )


# A service ------------------------------------------------------------------------------------------------------------


@typed_methods
@frozen(eq=False, repr=False, slots=False)
class Search(LayoutSelection[Estimate]):
    """Every plan of a service on a machine, and the best of those that fit and keep the limits.

    Attributes:
        survey: all of them, estimated as far as is asked: chunks (first axis) by layouts with each of their loads (second).
        refused: layouts that cannot be laid out, and why.
        objective: what the best has the most or the least of, a key of :data:`OBJECTIVES`.
        disaggregated: the same search over two pools, one that reads prompts and one that decodes, if it was asked for.
        percentiles: limits at percentiles of times; ``limits`` are on means.
        confirmations: the best plans that were simulated, until one of them kept all limits.
    """

    LIMITED: ClassVar[Limited] = {**_TIMES_LIMITED, **_POWER_LIMITED}
    ASKED = (
        "model", "system", "chips", "level", "engine", "dtype", "kv_dtype", "input", "output", "draft_tokens", "accept_length",
    )  # fmt: skip

    survey: Survey
    refused: tuple[Rejection, ...] = ()
    objective: str = "tokens_per_second_per_chip"
    disaggregated: Splits | None = None
    percentiles: tuple[Limit, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()

    @property
    def plans(self) -> Estimate:
        """The answer for all plans: chunks (first axis) by layouts with each of their loads (second)."""
        return self.survey.plans

    @property
    def _asked_in_words(self) -> str:
        return f"{self.survey.question.model.name} on {self.survey.system.name}, {self._priced:,} configurations"

    def _best_in_words(self, best: Estimate) -> str:
        return f"the best is {short(best)}, {yields(best)}"

    def with_limits(self, **limits: float | str | None) -> Search:
        """Return the same plans held to other limits: those not named stay, None lifts one.

        A limit may be at percentiles, such as ``"p99<2s"``: these are then kept in closed form, and :meth:`confirmed` simulates.
        Under a limit ``hall_power`` on the power of the building the best has the most tokens/s of all copies of it that the limit
        has room for, unless another objective was asked for.

        Raises:
            QuestionError: no limit of that name, or none above 0; a limit on power where no power is known.
        """
        parts = {name: limits_on(name, value) for name, value in limits.items() if name in TIMES}
        out = super().with_limits(**{name: None if name in parts else value for name, value in limits.items()})
        given = {each.time: each.most for some in parts.values() for each in some if each.percent is None}
        means = {**out.limits, **given}
        stay = [each for each in self.percentiles if each.time not in limits]
        out = attrs.evolve(
            out, confirmations=(), limits={name: means[name] for name in self.LIMITED if name in means},
            percentiles=(*stay, *(each for some in parts.values() for each in some if each.percent is not None)),
        )  # fmt: skip
        apart = self.disaggregated
        if apart is not None and out.percentiles:
            rule = "has no closed form of two pools"
            raise QuestionError(
                fault(out.percentiles[0].time, str(out.percentiles[0]), rule, "limit the mean, and simulate")
            )
        if "hall_power" in out.limits:
            _power_is_known(measure(self.plans, "hall_power"), self.plans.system, limits.get("hall_power"))
        return out if apart is None else attrs.evolve(out, disaggregated=attrs.evolve(apart, limits=out.limits))

    @property
    def every_limit(self) -> tuple[Limit, ...]:
        """All limits on times: on means, and at percentiles."""
        return (*(Limit(name, most) for name, most in self.limits.items() if name in TIMES), *self.percentiles)

    def confirmed(self, most: int = 4) -> Search:
        """Return the same search, the best plans simulated one after the other until one keeps all limits.

        Args:
            most: plans that are simulated at most.
        """
        found = confirmations(map(int, self._order), self.at, self.every_limit, most)
        return attrs.evolve(self, confirmations=found)

    @property
    def _checked(self) -> tuple[str, ...]:
        """What is said of limits at percentiles: whether the best plan was confirmed by a simulation."""
        if not self.confirmations:
            text = f"{' and '.join(map(str, self.percentiles))}: from closed forms, NOT CONFIRMED by a simulation (--confirm)"
            return (text,) if self.percentiles and self._count else ()
        last, count = self.confirmations[-1], len(self.confirmations)
        if last.met:
            more = f"; of {count - 1} better in closed form it missed them" if count > 1 else ""
            return (f"CONFIRMED by {last}{more}",)
        which = "the configuration" if count == 1 else f"none of {count} configurations"
        return (
            f"NOT CONFIRMED: {which} that {'was' if count == 1 else 'were'} simulated {'missed' if count == 1 else 'meets'} the limits; {last}",
        )

    @property
    def _together(self) -> float | None:
        """Tokens per second of the best plan of one pool: of its chip, or of all its copies within a power of the building."""
        if self._filling is not None:
            return None if (hall := self.within_power) is None else hall["output_tokens_per_s"]
        return None if self.best is None else float(self.best.tokens_per_second_per_chip or 0.0)

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Estimate | None:
        """The best plan that is kept, in full; None if there is none."""
        return self.beating(0.0)

    def beating(self, rate: float) -> Estimate | None:
        """Return the best plan if it makes so many tokens/s at least; None if there is none. Of plans that make less few are estimated."""
        accepted = [each.place for each in self.confirmations if each.met]
        place = accepted[0] if accepted else self._leader(rate)
        if place is None:
            return None
        est = self.at(place)
        if not cast("float", est.tokens_per_second) >= rate:
            return None
        limits_text = f", with {self._said(self._limited, ' and ', '<=')}" if self._limited else ""
        headline = f"configuration {short(est)}: {self._sought} of {self._priced:,} configurations{limits_text}"
        return est.noted([*self.notes, headline, *self._checked])

    def _leader(self, rate: float) -> int | None:
        """Return the place of the best plan that fits and keeps the limits, in closed form; None where all make less than a rate."""
        if self.objective == "tokens_per_second_per_chip" and not self.percentiles and not self._filling:
            # All of them are on as many chips.
            ranks = float(self.survey.layouts.select(0).ranks)
            return self.survey.best(self.limits, (1 - _ROUNDED) * rate / (ranks / self.survey.system.ranks_per_chip))
        return int(self._top[0]) if self._count else None

    @property
    def _priced(self) -> int:
        return math.prod(self._shape)

    @property
    def _filling(self) -> float | None:
        """The power of the building that copies of a plan fill; None where a plan is ranked as it is."""
        return self.limits.get("hall_power") if self.objective == "tokens_per_second_per_chip" else None

    @property
    def _sought(self) -> str:
        """What the best has the most or the least of."""
        most = self._filling
        return OBJECTIVES[self.objective] if most is None else f"the most tokens/s within {show(most, WATT, 3)}"

    @property
    def within_power(self) -> dict[str, float] | None:
        """What the limit on the power of the building has room for: copies of the best, their chips, power and tokens/s.

        None without such a limit, and where no configuration is accepted.
        """
        return _copied(self.best, self.limits.get("hall_power"))

    @cached_property
    def frontier(self) -> Estimate | None:
        """The plans kept that no other beats both in tokens/s per chip (falling) and in tokens/s a user (rising), on one axis."""
        return self._among(self._edge)

    @cached_property
    def layouts(self) -> Estimate | None:
        """The best plan of each layout that has any, the best first, on one axis."""
        _, first = np.unique(self._layout[self._order % self.accepted.shape[-1]], return_index=True)
        return self._among(self._order[np.sort(first)])

    @cached_property
    def nearest(self) -> Estimate | None:
        """Where no plan is kept: the one that misses the limits by least; if none keeps up, the rate; if none fits, the memory."""
        return None if self.accepted.any() else self.at(self._missing[1]).noted(self.notes)

    @property
    def _missing(self) -> tuple[str, int]:
        """What no plan does, and the place of the one that comes nearest to it."""
        return _missing((
            ("meets the limits", self._fits, self._excess),
            ("keeps up with the rate", self._filled <= 1, -self._rate),
            ("fits", self._filled > 0, self._filled),
        ))  # fmt: skip

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other plans were rejected; with those kept, they are all that were tried."""
        full = self._filled > 1
        groups = {
            "memory": (full, "weights, cache and activations exceed the memory of a chip", self._filled),
            # All were laid out, so that what fits and breaks a law does not keep up.
            "rate": (~self._fits & ~full, "saturates below the rate", -self._rate),
        }
        for names, mask in self._combinations():
            groups[" and ".join(names)] = (mask, self._said(names, " and ", "above"), self._excess)
        return (*self.refused, *(self._rejection(kind, *group) for kind, group in groups.items() if group[0].any()))

    def _rejection(self, kind: str, mask: NDArray[np.bool_], reason: str, miss: NDArray[np.float64]) -> Rejection:
        place, better = self._nearest_of(mask, miss, rank=kind not in ("memory", "rate"))
        count = np.unique(self._layout[mask.any(axis=0)]).size
        est = self.at(place)
        text = f"{missed(kind, est, self.percentiles)}, {short(est)}, {yields(est)}"
        return Rejection(kind, reason, int(mask.sum()), count, est, better, text, lambda: records(est)[0])

    @property
    def tried(self) -> int:
        """Plans that were tried: those priced, and layouts that cannot be laid out."""
        return self._priced + sum(each.plans for each in self.refused)

    # How it is found -------------------------------------------------------------------------------------------------

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.survey.shape

    def _whole(self, value: Num | Mask | None) -> NDArray[Any]:
        return np.broadcast_to(np.asarray(np.nan if value is None else value), self._shape)

    @cached_property
    def _fits(self) -> NDArray[np.bool_]:
        return self._whole(self.plans.fits)

    @cached_property
    def _filled(self) -> NDArray[np.float64]:
        return self._whole(self.plans.memory.total / self.plans.capacity)

    def _metric(self, name: str) -> NDArray[np.float64]:
        return self._whole(measure(self.plans, name))

    @property
    def _limited(self) -> tuple[str, ...]:
        return (*self.limits, *(each.name for each in self.percentiles))

    def _over(self, name: str) -> NDArray[np.float64]:
        at = next((each for each in self.percentiles if each.name == name), None)
        return super()._over(name) if at is None else np.asarray(np.nan_to_num(self._tails[name] / at.most, nan=0.0))

    def _said(self, names: Iterable[str], between: str, than: str) -> str:
        at = {each.name: f"{each.title} {than} {show(each.most, SECOND, 3)}" for each in self.percentiles}
        return between.join(at[name] if name in at else super(Search, self)._said([name], "", than) for name in names)

    @cached_property
    def _tails(self) -> dict[str, NDArray[np.float64]]:
        """The time of every plan at each percentile; its mean where it misses other limits already, or that mean misses this one."""
        out = {each.name: np.array(self._metric(each.time), dtype=np.float64) for each in self.percentiles}
        left = self._fits.copy()
        for name in self.limits:
            left &= super()._over(name) <= 1
        for each in self.percentiles:
            if each.percent is not None and each.percent >= _ABOVE_MEAN:
                left &= ~(out[each.name] > each.most)
        places = np.flatnonzero(left)
        for start in range(0, places.size, DETAILED):
            some = places[start : start + DETAILED]
            full = self.plans.among(some)
            for each in self.percentiles:
                out[each.name].flat[some] = each.of(full)
        return out

    @property
    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._rate, self._speed

    @cached_property
    def _speed(self) -> NDArray[np.float64]:
        """Tokens per second and user; 0 where a request has only one token."""
        return np.asarray(np.nan_to_num(self._whole(self.plans.tokens_per_second_per_user), nan=0.0))

    @cached_property
    def _rate(self) -> NDArray[np.float64]:
        """Tokens per second and chip."""
        return self._whole(self.plans.tokens_per_second_per_chip)

    @cached_property
    def _score(self) -> NDArray[np.float64]:
        """The objective, the more the better."""
        if self._filling is not None:
            return _filled(self._filling, self._metric("hall_power"), self._whole(self.plans.tokens_per_second))
        value = self._whole(getattr(self.plans, self.objective))
        return np.asarray(np.nan_to_num(-value if METRICS[self.objective].least else value, nan=-np.inf))

    @cached_property
    def _layout(self) -> NDArray[np.int64]:
        """Which layout stands at each place of the second axis."""
        split = self.plans.layout
        degrees = np.stack(
            [np.broadcast_to(each, self.accepted.shape[-1:]) for each in (split.tp, split.pp, split.dp, split.ep)]
        )
        return np.cumsum((np.diff(degrees, prepend=degrees[:, :1]) != 0).any(axis=0))

    def at(self, place: int | np.int64) -> Estimate:
        """Return the plan at a place, counted row by row, in full.

        Raises:
            QuestionError: there is no such place.
        """
        _within(place, math.prod(self._shape))
        chunk, load = (int(i) for i in np.unravel_index(place, self._shape))
        return self.survey.at(chunk, load)

    def _among(self, places: NDArray[np.int64]) -> Estimate | None:
        return self.plans.among(places) if places.size else None

    # Output ----------------------------------------------------------------------------------------------------

    def _objective_fields(self) -> Record:
        hall = self.within_power
        return {"objective": self.objective} | ({} if hall is None else {"within_power": dict(hall)})

    def _groups(self) -> dict[str, list[dict[str, Any]]]:
        return {"frontier": records(self.frontier), "layouts": records(self.layouts)}

    def to_dict(self) -> Record:
        """Return what was found under the names of the machine-readable answer; units are in the names."""
        apart, out = self.disaggregated, dict(super().to_dict())
        if self.percentiles:
            means = cast("dict[str, Json]", out["limits"])
            out["limits"] = means | {f"{each.name}_s": each.most for each in self.percentiles}
            out["confirmed"] = bool(self.confirmations) and self.confirmations[-1].met
            out["confirmations"] = [each.to_dict() for each in self.confirmations]
        return out | ({} if apart is None else {"disaggregated": apart.record(self._together)})

    def csv(self) -> str:
        """Return the frontier as the text of a CSV file: each plan, what it gives, and the ends of the 80 % intervals."""
        return csv_of(self.frontier)

    def _lines(self) -> list[str]:
        one, q = self.shown, cast("Serve", self.shown.question)
        asked = f"{figure(float(q.input))} tokens in and {figure(float(q.output))} out: {self._counted}"
        if self.best is None:
            times = ", ".join(f"{title} {show(float(getattr(one, name)), SECOND, 4)}" for name, title in TIMES.items())
            if "hall_power" in self.limits:
                times += f", {show(float(measure(one, 'hall_power') or np.nan), WATT, 3)} of the building"
            near = f"; the nearest: {times}, {short(one)}, {yields(one)}" if one.fits else ""
            first_line = f"NO CONFIGURATION {self._missing[0]}{near}"
        else:
            first_line = f"{self._sought}: {short(one)}, {yields(one)}, bound by {one.bound}{_surely(one)}"
        parts = [headline(one), asked, "", first_line, *_spent(one), *self._checked]
        hall = self.within_power
        if hall is not None:
            parts.append(_copies_in_words(hall, self.limits["hall_power"]))
        if self.frontier is not None and self.layouts is not None:
            front = table(self.frontier, spread(self.frontier, _MOST_LINES))
            best = table(self.layouts, range(min(_MOST_LAYOUTS, *self.layouts.shape)))
            parts += ["", "the frontier: no configuration is better both in TPOT and per chip", LEGEND, front]
            parts += ["", "the best configuration of each layout", best]
        apart = [] if self.disaggregated is None else ["", *self.disaggregated.lines(self._together)]
        return [*parts, *self._reasons(), *apart]

    def plot(
        self, ax: Axes | None = None, label: str = "", *, style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw the frontier: tokens per second and user against tokens per second and chip; see :func:`roofline.plots.frontier`.

        Drawing another search on the same ``ax`` adds it in another colour.
        """
        own = self.curve(label)
        ax = plots().frontier(own, ax=ax, style=style, width=width)
        apart = None if self.disaggregated is None else self.disaggregated.curve(own.title)
        return ax if apart is None else plots().frontier(apart, ax=ax)

    def curve(self, label: str = "") -> Curve:
        """Return the numbers of the picture.

        Raises:
            QuestionError: one token out.
        """
        q, x, y = cast("Serve", self.plans.question), self._speed.flat, self._rate.flat
        free = pareto(self._fits, self._rate, self._speed)
        if q.output <= 1:
            rule = "has no time per token, and so no frontier to draw"
            raise QuestionError(fault("output", float(q.output), rule, "ask for more tokens"))
        pair = None if self.frontier is None else self.frontier.interval("tokens_per_second_per_chip")
        at = np.flatnonzero(np.isin(self._edge, self._top[:1]))
        none = "" if self._count else f" (none {self._missing[0]})"
        name = f"{self.plans.system.name}: {float(np.max(self.plans.chips)):,.0f} chips, {q.model.dtype}{none}"
        limit = self.limits.get("ttft")
        title = f"{q.model.name} on {machine(self.plans.system)}, {figure(float(q.input))} tokens in and {figure(float(q.output))} out"
        if at.size:
            here = self._edge[at[0]]
            title = f"best: {figure(float(y[here]))} tokens/s per chip at {figure(float(x[here]))} per user\n{title}"
        curve: Curve = plots().Curve(
            label or name,
            title + (f"\nTTFT <= {show(limit, SECOND, 3)}" if limit else ""),
            x[self._edge], y[self._edge],
            None if pair is None else (pair[0] / y[self._edge], pair[1] / y[self._edge]),
            tuple(layout.short() for layout in layouts(self.frontier)),
            int(at[0]) if at.size else None,
            x[free], y[free], self.limits.get("tpot"),
        )  # fmt: skip
        return curve


# Two pools ------------------------------------------------------------------------------------------------------------


@frozen(eq=False, repr=False, slots=False)
class Splits(Selection[Pools]):
    """Every plan of two pools that was priced, and the best of those that keep the limits.

    Attributes:
        question: the service.
        system: the machine of both pools.
        profile: its constants.
        pairs: the plans.
        objective: as in :class:`Search`.
        whole: chips that copies of a plan fill as far as they go: the most tokens/s is then that of all copies; None for that of a chip.
    """

    LIMITED: ClassVar[Limited] = {**_TIMES_LIMITED, **_POWER_LIMITED}

    question: Serve
    system: System
    profile: Calibration
    pairs: Pairing
    objective: str = "tokens_per_second_per_chip"
    whole: float | None = None

    @property
    def _asked_in_words(self) -> str:
        return f"{self.accepted.size:,} configurations"

    def with_limits(self, **limits: float | str | None) -> Splits:
        """Return the same plans held to other limits: those not named stay, None lifts one.

        Raises:
            QuestionError: no limit of that name, or none above 0; a limit on power where no power is known.
        """
        out = super().with_limits(**limits)
        if "hall_power" in out.limits:
            _power_is_known(self._all.hall_power, self.system, limits.get("hall_power"))
        return out

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Pools | None:
        """The best plan that is kept, in full; None if there is none."""
        if self._filling is not None:
            return self._fullest(self._filling)
        # A pair is priced at a load, its answer finds that load again: nearly, and limits are limits.
        for part in self._leading():
            first = self._one(part, 0)
            if self.holds(first):
                return first
            for start in range(1, part.size, _LOOKED):
                some = part.select(slice(start, start + _LOOKED))
                accepted = np.flatnonzero(self.holds(self._full(some)))
                if accepted.size:
                    return self._one(some, int(accepted[0]))
        return None

    @property
    def _filling(self) -> float | None:
        """The power of the building that copies of a plan fill; None where a plan is ranked as it is."""
        return self.limits.get("hall_power") if self.objective == "tokens_per_second_per_chip" else None

    @property
    def within_power(self) -> dict[str, float] | None:
        """What the limit on the power of the building has room for: copies of the best, their chips, power and tokens/s.

        None without such a limit, and where no plan is accepted.
        """
        return _copied(self.best, self.limits.get("hall_power"))

    def _fullest(self, most: float) -> Pools | None:
        """Return the plan whose copies make the most tokens/s within a power of the building, by answers in full; None without any.

        A plan is not answered in full where what it could make at most, by how it was priced, is less than another makes.
        """
        found, made = None, 0.0
        for part in self._leading():
            for start in range(0, part.size, _LOOKED):
                some = part.select(slice(start, start + _LOOKED))
                some = some.select(self._scored(some) > made)
                if not some.size:
                    return found
                full = self._full(some)
                power = np.asarray(measure(full, "hall_power"))
                rates = np.where(self.holds(full), _filled(most, power, full.tokens_per_second), 0.0)
                if rates.max() > made:
                    found, made = self._one(some, int(np.argmax(rates))), float(rates.max())
        return found

    def _leading(self) -> Iterator[Pairs]:
        """Yield the accepted, the best first, part by part; the time to the first token is worked out for those alone."""
        for part in self._in_order():
            if "ttft" in self.limits:
                part = part.select(~(part.ttft > self.limits["ttft"]))  # noqa: PLW2901
            if part.size:
                yield part

    def _in_order(self) -> Iterator[Pairs]:
        """Yield those that keep all limits but that on the time to the first token, the best first, part by part."""
        if self._filling is None and self._by_rate and "hall_power" not in self.limits:
            most = self.question.output * self.system.ranks_per_chip * (1.0 if self.whole is None else self.whole)
            yield from self.pairs.leading(self.limits.get("tpot", np.inf), self._scored, float(most))
            return
        open_ = self._fits & np.logical_and.reduce(
            [
                np.ones(self._fits.shape, dtype=bool),
                *(self._over(name) <= 1 for name in self._limited if name != "ttft"),
            ]
        )
        for part in leading(open_, self._score, self._axes[1]):
            yield self._all.select(part)

    @property
    def _by_rate(self) -> bool:
        """Whether the best has the most tokens/s of a chip, or the least cost, which is that of chips."""
        return self.objective in ("tokens_per_second_per_chip", "dollars_per_million_tokens")

    @property
    def _all(self) -> Pairs:
        return self.pairs.all

    @cached_property
    def frontier(self) -> Pools | None:
        """The plans kept that no other beats both in tokens/s per chip (falling) and in tokens/s a user (rising), on one axis."""
        places = self._edge
        if not places.size:
            return None
        full = self._full(self._all.select(places))
        accepted = np.flatnonzero(self.holds(full))
        if not accepted.size:
            return None
        axes = (full.tokens_per_second_per_chip, full.tokens_per_second_per_user)
        rate, speed = (np.asarray(each)[accepted] for each in axes)
        return self._full(self._all.select(places[accepted[undominated(np.stack([rate, speed]))]]))

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other plans were rejected."""
        reading, decoding = self.pairs.misfits
        units = (
            ("rule", "units that cannot be laid out", self.pairs.refused),
            ("memory", "prefill units: weights and a prompt exceed the memory of a chip", reading),
            ("memory", "decode units: weights and the cache of one request exceed the memory of a chip", decoding),
            ("beaten", "units and loads that another of as many chips beats in rate and in time", self.pairs.unpaired),
        )
        out = [Rejection(kind, reason, count, 0) for kind, reason, count in units if count]
        for names, mask in self._combinations():
            if mask.any():
                place, _ = self._nearest_of(mask, self._excess, rank=False)
                times = ", ".join(
                    f"{self.LIMITED[name][0]} {show(float(self._metric(name)[place]), self.LIMITED[name][1], 4)}"
                    for name in names
                )
                text = f"{self._said(names, ' and ', 'above')}; the nearest: {times}, {self._named(place)}"
                out.append(Rejection(" and ".join(names), text, int(mask.sum()), 0))
        return tuple(out)

    @property
    def tried(self) -> int:
        """Plans that were tried: pairs, and units that were not paired."""
        return self.accepted.size + sum(self.pairs.misfits) + self.pairs.unpaired + self.pairs.refused

    # How it is found -------------------------------------------------------------------------------------------------

    @property
    def _speed(self) -> NDArray[np.float64]:
        return 1 / self._all.tpot

    @cached_property
    def _rate(self) -> NDArray[np.float64]:
        return self._rate_of(self._all)

    def _rate_of(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return tokens per second and chip."""
        return np.asarray(pairs.rate * self.question.output / pairs.used)

    @property
    def _fits(self) -> NDArray[np.bool_]:
        return np.ones(self._all.size, dtype=bool)

    def _metric(self, name: str) -> NDArray[np.float64]:
        return np.asarray(getattr(self._all, name))

    @property
    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self._rate, self._speed

    @cached_property
    def _score(self) -> NDArray[np.float64]:
        """The objective, the more the better."""
        return self._scored(self._all)

    def _scored(self, pairs: Pairs) -> NDArray[np.float64]:
        """Return the objective of some plans, the more the better."""
        if self.objective in ("tpot", "ttft"):
            return np.asarray(-getattr(pairs, self.objective))
        if self.objective == "tokens_per_second_per_user":
            return 1 / pairs.tpot
        if self._filling is not None:
            # At most: a pair is priced nearly.
            rate, power = pairs.rate * self.question.output, cast("NDArray[np.float64]", pairs.hall_power)
            return _filled(self._filling, power * (1 - _NEARLY), rate * (1 + _NEARLY))
        if self._by_rate:
            rate, used = self._rate_of(pairs), pairs.used
            return rate if self.whole is None else np.asarray(rate * used * np.floor(self.whole / used))
        draw = [
            drawn(catalog.energy().draw(self.system.package), self.profile.power_fraction[0], busy)
            for busy in (pairs.full, 1.0)
        ]
        return np.asarray(-sum(chips * each for chips, each in zip(pairs.chips, draw, strict=True)) / pairs.rate)

    def holds(self, full: Pools) -> NDArray[np.bool_]:
        """Return where an answer in full fits and keeps the limits."""
        keeps = [np.asarray(measure(full, name)) <= limit for name, limit in self.limits.items()]
        return np.asarray(np.logical_and.reduce([np.broadcast_to(full.fits, np.shape(full.ttft)), *keeps]))

    def _full(self, pairs: Pairs) -> Pools:
        """Return the answer for some plans in full."""
        reading, answering = pairs.layouts(slice(None))
        asked = attrs.evolve(self.question, concurrency=pairs.requests(slice(None)))
        return pools(asked, self.system, answering, reading, level=self.profile)

    def _one(self, pairs: Pairs, place: int | np.int64) -> Pools:
        """Return the answer for one of some plans in full."""
        (reading, answering), load = pairs.layouts(place), float(pairs.requests(place))
        return pools(attrs.evolve(self.question, concurrency=load), self.system, answering, reading, level=self.profile)

    def at(self, place: int | np.int64) -> Pools:
        """Return the plan at a place in full.

        Raises:
            QuestionError: there is no such place.
        """
        _within(place, self._all.size)
        return self._one(self._all, place)

    def curve(self, title: str = "") -> Curve | None:
        """Return the numbers of the picture of the frontier under a title; None where nothing is kept."""
        front, best = self.frontier, self.best
        if front is None or best is None:
            return None
        x, y = (np.asarray(each) for each in (front.tokens_per_second_per_user, front.tokens_per_second_per_chip))
        pair = front.interval("tokens_per_second_per_chip")
        free = undominated(np.stack(self._axes))
        far = (self._speed[free], self._rate[free]) if self.limits else (x, y)
        at = np.flatnonzero(np.isclose(y, float(best.tokens_per_second_per_chip)))
        sides = [
            [
                f"{est.layout.select(i).short()} on {chips:g}"
                for i, chips in enumerate(np.broadcast_to(est.chips, x.shape))
            ]
            for est in (front.prompts, front.answers)
        ]
        curve: Curve = plots().Curve(
            f"{self.system.name}: disaggregated", title, x, y,
            None if pair is None else (np.asarray(pair[0]) / y, np.asarray(pair[1]) / y),
            tuple(f"{read} | {made}" for read, made in zip(*sides, strict=True)),
            int(at[0]) if at.size else None, far[0], far[1], self.limits.get("tpot"),
        )  # fmt: skip
        return curve

    # Output ----------------------------------------------------------------------------------------------------

    def _named(self, place: int) -> str:
        (reading, answering), rate = self._all.layouts(place), figure(float(self._rate[place]), 3)
        return f"{reading.short()} | {answering.short()}, {rate} tokens/s per chip"

    def to_dict(self) -> Record:
        """Return what was found under the names of the machine-readable answer; units are in the names."""
        return self.record(None)

    def csv(self) -> str:
        """Return the frontier as the text of a CSV file."""
        return "" if self.frontier is None else self.frontier.frame.csv()

    def _lines(self) -> list[str]:
        return self.lines(None)

    def _made(self, best: Pools) -> float:
        """Tokens per second of the best plan: of its chip, or of all its copies within a power of the building."""
        hall = None if self._filling is None else self.within_power
        return float(best.tokens_per_second_per_chip) if hall is None else hall["output_tokens_per_s"]

    def record(self, together: float | None) -> Record:
        """Return what was found under the names of the machine-readable answer; units are in the names.

        Args:
            together: tokens/s per chip of the best plan of one pool, or of its copies within a power; None where there is none.
        """
        best, front, hall = self.best, self.frontier, self.within_power
        return {
            "plans": {"tried": self.tried, "accepted": int(self.accepted.sum())},
            "best": None if best is None else best.to_dict(),
            "over_one_pool": None if best is None or not together else self._made(best) / together,
            **({} if hall is None else {"within_power": dict(hall)}),
            "frontier": [] if front is None else _pool_records(front),
            "rejected": [each.to_dict() for each in self.rejected],
        }

    def lines(self, together: float | None) -> list[str]:
        """Return what was found as lines of text; ``together`` as above."""
        does = "meet the limits" if self.limits else "fit"
        counted = f"{int(self.accepted.sum()):,} of {self.accepted.size:,} configurations {does}"
        head = f"disaggregated prefill and decode: {counted}"
        best, front = self.best, self.frontier
        rows = [[f"{each.plans:,}", str(each)] for each in self.rejected]
        why = ["why others were rejected", columns(rows, right=(0,))] if rows else []
        if best is None or front is None:
            return [f"{head}: NONE", *why]
        each = float(best.tokens_per_second_per_chip)
        times = "" if not together else f", {figure(self._made(best) / together, 3)} times those of one pool"
        chips = f"{float(best.prompts.chips):g} prefill chips and {float(best.answers.chips):g} decode chips"
        hall = self.within_power
        copies = [] if hall is None else [_copies_in_words(hall, self.limits["hall_power"])]
        best_ = f"{chips}, {figure(float(best.in_flight), 3)} requests, {figure(each, 3)} tokens/s per chip{times}"
        ratio = f"in balance at {figure(float(best.balance), 3)} prefill chips per decode chip"
        every = _pool_records(front)
        shown = even([[r["output_tokens_per_s_per_chip"], r["tokens_per_s_per_user"]] for r in every], _MOST_POOL_LINES)
        rows_ = columns([_pool_line(every[i]) for i in shown], head=HEAD, right=range(len(HEAD) - 1))
        return [head, f"the best: {best_}; {ratio}", *copies, "", rows_, "", *why]


def _pool_records(front: Pools) -> list[dict[str, Any]]:
    """Return each point of an answer over one axis under the names of the machine-readable form."""
    count = (int(np.size(front.ttft)),)
    numbers = {
        "concurrency": front.in_flight, "ttft_s": front.ttft, "tpot_s": front.tpot,
        "tokens_per_s_per_user": front.tokens_per_second_per_user,
        "output_tokens_per_s_per_chip": front.tokens_per_second_per_chip,
        **{name: np.nan if (value := getattr(front, attribute)) is None else value for name, attribute in COSTS.items()},
    }  # fmt: skip
    values = {name: np.broadcast_to(np.asarray(value), count) for name, value in numbers.items()}
    sure = {"ttft_s": "ttft", "tpot_s": "tpot", "output_tokens_per_s_per_chip": "tokens_per_second_per_chip"}
    ends = {name: front.interval(quantity) for name, quantity in sure.items()}
    named = {"prefill": front.prompts, "decode": front.answers}
    out = []
    for i in range(count[0]):
        each = {
            name: {
                "chips": int(np.broadcast_to(est.chips, count)[i]),
                "layout": layout_fields(
                    est.layout.select(i), training=False, experts=bool(front.question.model.experts)
                ),
            }
            for name, est in named.items()
        }
        pairs = {
            name: None if pair is None else [float(np.broadcast_to(end, count)[i]) for end in pair]
            for name, pair in ends.items()
        }
        finite = {
            name: None if pair is None else [end if np.isfinite(end) else None for end in pair]
            for name, pair in pairs.items()
        }
        out.append({"pools": each, **{name: number_of(value[i]) for name, value in values.items()}, "interval": finite})
    return out


def _short(layout: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={n}" for k, n in layout.items() if isinstance(n, int) and n > 1) or "one rank"


def _pool_line(each: dict[str, Any]) -> list[str]:
    pair = each["interval"]["output_tokens_per_s_per_chip"]
    sides = [f"{side['chips']} {name}: {_short(side['layout'])}" for name, side in each["pools"].items()]
    return [
        figure(each["output_tokens_per_s_per_chip"]),
        "" if pair is None else f"{figure(pair[0], 3)} - {figure(pair[1], 3)}",
        show(each["tpot_s"], SECOND, 3),
        show(each["ttft_s"], SECOND, 3),
        *("-" if each[name] is None else figure(each[name], 3) for name in COSTS),
        figure(each["concurrency"], 3),
        "; ".join(sides),
    ]


# Training -------------------------------------------------------------------------------------------------------------


@typed_methods
@frozen(eq=False, repr=False, slots=False)
class TrainingSearch(LayoutSelection[Training]):
    """Every plan for a step of training on some chips, and the best of those that fit and keep the limits.

    Attributes:
        splits: all that were priced, by recomputation, sharding and schedule.
    """

    LIMITED: ClassVar[Limited] = {
        "memory": ("memory of a chip", BYTE, "size", "60GB"),
        "step_time": ("time of a step", SECOND, "time", "20s"),
        **_POWER_LIMITED,
    }
    ASKED = ("model", "system", "chips", "level", "framework", "dtype", "global_batch", "seq_len", "task")

    splits: tuple[Split, ...]

    @property
    def _asked_in_words(self) -> str:
        one = self.splits[0].plans
        return f"{one.question.model.name} on {one.system.name}, {self.tried:,} configurations"

    def _best_in_words(self, best: Training) -> str:
        return f"the best is {told(best)}, {_time(best)}"

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Training | None:
        """The plan kept that has the shortest step, in full; None if there is none."""
        if not self._count:
            return None
        est = self.at(self._top[0])
        return est.noted([*self._remarks(est), f"configuration {told(est)}: the most tokens/s; {self._counted}"])

    @cached_property
    def frontier(self) -> tuple[Training, ...]:
        """The plans kept that no other beats both in time and in memory, the shortest step first, each in full."""
        return tuple(self.at(place) for place in self._edge)

    @cached_property
    def ways(self) -> tuple[Training, ...]:
        """The best plan of each recomputation, sharding and schedule that has any, the best first, each in full."""
        return tuple(self.at(place) for place in self._firsts)

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        """The place of the best plan of each recomputation, sharding and schedule, the best first."""
        _, first = np.unique(self._way[self._order], return_index=True)
        return self._order[np.sort(first)]

    @cached_property
    def nearest(self) -> Training | None:
        """Where no plan is kept: that of the shortest step; if none fits, the one that needs the least memory."""
        if self.accepted.any():
            return None
        est = self.at(self._missing[1])
        return est.noted(self._remarks(est))

    @property
    def _missing(self) -> tuple[str, int]:
        """What no plan does, and the place of the one that comes nearest to it."""
        return _missing((("meets the limits", self._fits, self._time), ("fits", self._lawful, self._memory)))

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other plans were rejected, each once; with those kept, they are all that were tried."""
        broken = joined(refusals(each.plans.rules, each.whole) for each in self.splits)
        out = [Rejection("rule", each.reason, each.plans, each.plans) for each in broken.values()]
        most = float(np.min(self._room))
        over = self._lawful & ~self._fits
        text = f"weights, gradients, optimizer and activations exceed the {show(most, BYTE, 3)} of a chip"
        groups = [("memory", over, text, self._memory)]
        if "step_time" in self.limits:
            slow = self._fits & (self._over("step_time") > 1)
            groups.append(("step_time", slow, f"a step above {show(self.limits['step_time'], SECOND, 3)}", self._time))
        if "hall_power" in self.limits:
            hot = self._fits & (self._over("hall_power") > 1)
            if "step_time" in self.limits:
                hot = hot & (self._over("step_time") <= 1)
            text = f"power of the building above {show(self.limits['hall_power'], WATT, 3)}"
            groups.append(("hall_power", hot, text, self._metric("hall_power")))
        return (*out, *(self._rejection(*group) for group in groups if group[1].any()))

    def _rejection(self, kind: str, mask: NDArray[np.bool_], reason: str, miss: NDArray[np.float64]) -> Rejection:
        place, better = self._nearest_of(mask, miss)
        est, count = self.at(place), int(mask.sum())
        text = f"needs {show(float(est.memory.total), BYTE, 3)}, {_time(est)}, {told(est)}{_surely(est)}"
        return Rejection(kind, reason, count, count, est, better, text, lambda: brief(est))

    @property
    def tried(self) -> int:
        """Plans that were tried: those that make up the chips."""
        return int(self._whole.sum())

    @property
    def _priced(self) -> int:
        return self.tried

    def at(self, place: int | np.int64) -> Training:
        """Return the plan at a place of the axis of all plans, in full.

        Raises:
            QuestionError: there is no such place.
        """
        _within(place, int(self._ends[-1]) if len(self._ends) else 0)
        known = self._seen.get(int(place))
        if known is None:
            which = int(np.searchsorted(self._ends, place, side="right"))
            each = self.splits[which]
            local = int(place) - int(self._ends[which - 1] if which else 0)
            known = plain(each.plans, *(int(i) for i in np.unravel_index(local, each.whole.shape)))
            self._seen[int(place)] = known
        return known

    @cached_property
    def _seen(self) -> dict[int, Training]:
        """The plans that were worked out in full, by their places."""
        return {}

    def _remarks(self, est: Training) -> list[str]:
        return [note for note in self.notes if note not in est.remarks]

    def _metric(self, name: str) -> NDArray[np.float64]:
        return self._along(lambda each: each.spread(measure(each.plans, name)))

    @property
    def _score(self) -> NDArray[np.float64]:
        return -self._time

    @property
    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return -self._time, -self._memory

    # How it is found -------------------------------------------------------------------------------------------------

    def _along(self, number: Callable[[Split], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([number(each).ravel() for each in self.splits])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([each.whole.size for each in self.splits])

    @cached_property
    def _way(self) -> NDArray[np.int64]:
        words = [
            (each.plans.question.recompute, each.plans.layout.sharding, each.plans.layout.schedule)
            for each in self.splits
        ]
        return np.repeat([words.index(each) for each in words], [each.whole.size for each in self.splits])

    @cached_property
    def _whole(self) -> NDArray[np.bool_]:
        return self._along(lambda each: each.whole)

    @cached_property
    def _lawful(self) -> NDArray[np.bool_]:
        return self._along(lambda each: each.divides)

    @cached_property
    def _time(self) -> NDArray[np.float64]:
        return self._along(lambda each: each.time)

    @cached_property
    def _memory(self) -> NDArray[np.float64]:
        return self._along(lambda each: each.memory)

    @cached_property
    def _room(self) -> NDArray[np.float64]:
        """Bytes that a chip may hold: as many as it has, or the limit."""
        return np.asarray(np.minimum(self._along(lambda each: each.capacity), self.limits.get("memory", np.inf)))

    @cached_property
    def _fits(self) -> NDArray[np.bool_]:
        return self._lawful & (self._memory <= self._room)

    # Output ----------------------------------------------------------------------------------------------------

    def _groups(self) -> dict[str, list[dict[str, Any]]]:
        return {"frontier": [brief(each) for each in self.frontier], "ways": [brief(each) for each in self.ways]}

    def csv(self) -> str:
        """Return the frontier as the text of a CSV file."""
        rows = []
        for each in map(brief, self.frontier):
            memory, pair = each.pop("memory_bytes_per_chip"), each.pop("interval")["step_time_s"] or (None, None)
            sizes = {f"{name}_bytes": value for name, value in memory.items() if name != "capacity"}
            rows.append(
                {**each.pop("layout"), **each, "step_time_s_low": pair[0], "step_time_s_high": pair[1], **sizes}
            )
        names = list(rows[0]) if rows else ["layout"]
        return csv_text(names, ([row.get(name) for name in names] for row in rows))

    def _lines(self) -> list[str]:
        one = self.shown
        parts = [headline(one), asked(one), "", self._counted]
        if self.best is None:
            parts.append(f"NO CONFIGURATION {self._missing[0]}; the nearest: {_time(one)}, {_memory(one)}, {told(one)}")
        else:
            parts.append(f"the most tokens/s: {told(one)}, {_time(one)}, bound by {one.bound}{_surely(one)}")
            if "hall_power" in self.limits:
                drawn_ = show(float(measure(one, "hall_power") or np.nan), WATT, 3)
                parts.append(
                    f"{float(one.chips):,.0f} chips: {drawn_} of {show(self.limits['hall_power'], WATT, 3)} of the building"
                )
            front = [self.at(self._edge[i]) for i in _spread(len(self._edge), _MOST_LINES)]
            parts += ["", "the frontier: no configuration is better both in time and in memory", _lines(front)]
            ways = [self.at(place) for place in self._firsts[:_MOST_WAYS]]
            parts += ["", "the best configuration of each recomputation, sharding and schedule", _lines(ways)]
        return [*parts, *self._reasons()]

    def plot(
        self, ax: Axes | None = None, label: str = "", *, style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw the frontier: the time of a step against the memory of a chip, every configuration that fits behind it.

        Raises:
            QuestionError: no plan is kept.
        """
        axes: Axes = plots("tradeoff").draw(self.tradeoff(label), ax=ax, style=style, width=width)
        return axes

    def tradeoff(self, label: str = "") -> Tradeoff:
        """Return the numbers of the picture.

        Raises:
            QuestionError: no plan is kept.
        """
        if self.best is None:
            raise QuestionError(
                fault("plans", 0, "no configuration is accepted, so there is no frontier to draw", "loosen the limits")
            )
        front, one = self.frontier, self.best
        pairs = [each.interval() for each in front]
        sure = None if pairs[0] is None else np.array([[float(end) for end in pair or ()] for pair in pairs]).T
        where = f"{one.system.name}: {float(one.chips):,.0f} chips, {one.question.model.dtype}"
        found: Tradeoff = plots("tradeoff").Tradeoff(
            label or where,
            f"fastest: {show(float(one.step_time), SECOND, 3)} in {show(float(one.memory.total), BYTE, 3)} per chip\n"
            f"{one.question.model.name} on {machine(one.system)}: {asked(one).split(', ')[0]}",
            np.array([float(each.memory.total) for each in front]), np.array([float(each.step_time) for each in front]), sure,
            tuple(told(each) for each in front), self._memory[self.accepted], self._time[self.accepted], float(np.min(self._room)),
        )  # fmt: skip
        return found


def _surely(est: Estimate | Training) -> str:
    """Return how surely a plan fits, where that is not sure, behind a comma."""
    chance = fitting(float(est.fits_probability))
    return f", {chance}" if chance else ""


def _time(est: Training) -> str:
    return f"{show(float(est.step_time), SECOND, 3)} per step"


def _memory(est: Training) -> str:
    return f"{show(float(est.memory.total), BYTE, 3)} of {show(float(est.capacity), BYTE, 3)} per chip"


def _spread(count: int, most: int) -> Sequence[int]:
    """Return so many places at most that lie evenly, both ends among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def _lines(plans: Sequence[Training]) -> str:
    """Return plans as a table; where they differ in chips, each says on how many."""
    rows, several = [], len({float(est.chips) for est in plans}) > 1
    for est in plans:
        pair = est.interval()
        within = "" if pair is None else " - ".join(show(float(end), SECOND, 3) for end in pair)
        size = show(float(est.memory.total), BYTE, 3)
        on = f"{float(est.chips):,.0f} chips: " if several else ""
        rows.append(
            [
                show(float(est.step_time), SECOND, 3),
                within,
                f"{float(est.mfu):.1%}",
                size,
                *(
                    "-" if each is None else figure(float(each), 3)
                    for each in (est.joules_per_token, est.dollars_per_trillion_tokens)
                ),
                f"{on}{told(est)}{_surely(est)}",
            ]
        )
    return columns(rows, head=_STEPS_HEAD, right=range(len(_STEPS_HEAD) - 1))


def _within(place: int | np.int64, count: int) -> None:
    """Refuse a place that none of so many plans has.

    Raises:
        QuestionError: the place is negative or too large.
    """
    if not 0 <= place < count:
        rule = f"must be from 0 to {count - 1:,}" if count else "there is none"
        raise QuestionError(fault("place", place, rule))
