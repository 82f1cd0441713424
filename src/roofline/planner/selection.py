"""Selection of candidates under limits: accepted, best, frontier, nearest, and reasons of rejection.

:class:`Selection` is the mechanism; :class:`roofline.planner.service_search.Search` holds the configurations of a service,
:class:`roofline.planner.pool_search.Splits` those of two pools, :class:`roofline.planner.training_search.TrainingSearch` those of a
step of training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Final, Generic, Self, TypeAlias, TypeVar, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.signatures import typed_methods
from roofline.core.text import columns
from roofline.core.units import BYTE, SECOND, WATT, Unit, show
from roofline.core.values import Record
from roofline.planner.frontier import leading, order, pareto
from roofline.planner.metrics import METRICS
from roofline.planner.plans import (
    Rejection,
    limit,
)
from roofline.results.answer import Answer, LayoutAnswer
from roofline.results.estimate import Estimate
from roofline.results.labels import fit_in_words
from roofline.results.limits import TIMES
from roofline.results.notebook import Displayed
from roofline.results.training import Training

MOST_LINES: Final = 12
"""Lines of the frontier in a table."""
AnswerT = TypeVar("AnswerT", bound=Answer)
LayoutAnswerT = TypeVar("LayoutAnswerT", bound=LayoutAnswer[Any, Any])
Limited: TypeAlias = Mapping[str, tuple[str, Unit, str, str]]
TIMES_LIMITED: Final[Limited] = {name: (title, SECOND, "time", "50ms") for name, title in TIMES.items()}
POWER_LIMITED: Final[Limited] = {"hall_power": ("power of the building", WATT, "power", "10MW")}


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
        """The best candidate that fits and meets the limits, in full; None if there is none."""

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
        """Where a candidate fits and meets the limits."""
        return self._fits & (self._excess <= 1)

    def _over(self, name: str) -> NDArray[np.float64]:
        """Return a metric over its limit, above 1 where it misses it; one without meaning meets any limit."""
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


def missing(stages: Iterable[tuple[str, NDArray[np.bool_], NDArray[np.float64]]]) -> tuple[str, int]:
    """Return what no candidate does, of the stages that each must pass, and the place of the one that comes nearest to it."""
    text, among, miss = next(each for each in stages if each[1].any())
    return text, int(np.argmin(np.where(among, miss, np.inf)))


def surely(est: Estimate | Training) -> str:
    """Return how surely a configuration fits, where that is not sure, behind a comma."""
    chance = fit_in_words(float(est.fits_probability))
    return f", {chance}" if chance else ""


def within(place: int | np.int64, count: int) -> None:
    """Refuse a place that none of so many configurations has.

    Raises:
        QuestionError: the place is negative or too large.
    """
    if not 0 <= place < count:
        rule = f"must be from 0 to {count - 1:,}" if count else "there is none"
        raise QuestionError(fault("place", place, rule))
