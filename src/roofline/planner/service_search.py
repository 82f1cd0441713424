"""The result of a search for a service: every configuration, and the best that fits and meets the limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.arrays import DETAILED, Mask
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.signatures import typed_methods
from roofline.core.text import figure
from roofline.core.units import SECOND, WATT, Num, show
from roofline.core.values import Json, Record
from roofline.planner.confirm import Confirmation, confirmations
from roofline.planner.copies import copied, copies_in_words, filled, known_power
from roofline.planner.frontier import ROUNDED, pareto
from roofline.planner.limits import limits_on
from roofline.planner.metrics import METRICS, measure
from roofline.planner.plans import (
    LEGEND,
    Rejection,
    csv_of,
    layouts,
    missed,
    records,
    short,
    spread,
    table,
    yields,
)
from roofline.planner.pool_search import Splits
from roofline.planner.selection import (
    MOST_LINES,
    POWER_LIMITED,
    TIMES_LIMITED,
    LayoutSelection,
    Limited,
    missing,
    surely,
    within,
)
from roofline.planner.survey import Survey
from roofline.results.estimate import Estimate
from roofline.results.labels import headline, machine
from roofline.results.limits import TIMES, Limit
from roofline.workload.questions import Serve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.plots._frontier import Curve


OBJECTIVES: Final[Mapping[str, str]] = {
    "tokens_per_second_per_chip": "the most tokens/s per chip",
    "tokens_per_second_per_user": "the most tokens/s per user",
    "joules_per_token": "the least energy per token",
    "dollars_per_million_tokens": "the least cost per token",
    "tpot": "the least TPOT",
    "ttft": "the least TTFT",
}
"""What a configuration may be the best by, and what that is called."""


_ABOVE_MEAN: Final = 75.0
"""From this percentile on the mean of a waiting time lies below it."""
_MOST_LAYOUTS: Final = 6


@typed_methods
@frozen(eq=False, repr=False, slots=False)
class Search(LayoutSelection[Estimate]):
    """Every configuration of a service on a machine, and the best that fits and meets the limits.

    Attributes:
        survey: all of them, estimated as far as is asked: chunks (first axis) by layouts with each of their loads (second).
        refused: layouts that cannot be laid out, and why.
        objective: what the best has the most or the least of, a key of :data:`OBJECTIVES`.
        disaggregated: the same search over two pools, one that prefills and one that decodes, if it was asked for.
        percentiles: limits at percentiles of times; ``limits`` are on means.
        confirmations: the best configurations that were simulated, until one of them kept all limits.
    """

    LIMITED: ClassVar[Limited] = {**TIMES_LIMITED, **POWER_LIMITED}
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
        """Return the same configurations under other limits: those not named stay, None removes one.

        A limit may be at percentiles, such as ``"p99<2s"``: these are then kept in closed form, and :meth:`confirmed` simulates.
        Under a limit ``hall_power`` on the power of the building the best has the most tokens/s of all copies of it that the limit
        allows, unless another objective was asked for.

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
            known_power(measure(self.plans, "hall_power"), self.plans.system, limits.get("hall_power"))
        return out if apart is None else attrs.evolve(out, disaggregated=attrs.evolve(apart, limits=out.limits))

    @property
    def every_limit(self) -> tuple[Limit, ...]:
        """All limits on times: on means, and at percentiles."""
        return (*(Limit(name, most) for name, most in self.limits.items() if name in TIMES), *self.percentiles)

    def confirmed(self, most: int = 4) -> Search:
        """Return the same search, the best configurations simulated one after the other until one meets all limits.

        Args:
            most: configurations that are simulated at most.
        """
        found = confirmations(map(int, self._order), self.at, self.every_limit, most)
        return attrs.evolve(self, confirmations=found)

    @property
    def _checked(self) -> tuple[str, ...]:
        """What is said of limits at percentiles: whether the best configuration was confirmed by a simulation."""
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
        """Tokens per second of the best configuration of one pool: of its chip, or of all its copies within a power of the building."""
        if self._filling is not None:
            return None if (hall := self.within_power) is None else hall["output_tokens_per_s"]
        return None if self.best is None else float(self.best.tokens_per_second_per_chip or 0.0)

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Estimate | None:
        """The best configuration that is kept, in full; None if there is none."""
        return self.beating(0.0)

    def beating(self, rate: float) -> Estimate | None:
        """Return the best configuration if it makes so many tokens/s at least; None if there is none. Of configurations that make less few are estimated."""
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
        """Return the place of the best configuration that fits and meets the limits, in closed form; None where all make less than a rate."""
        if self.objective == "tokens_per_second_per_chip" and not self.percentiles and not self._filling:
            # All of them are on as many chips.
            ranks = float(self.survey.layouts.select(0).ranks)
            return self.survey.best(self.limits, (1 - ROUNDED) * rate / (ranks / self.survey.system.ranks_per_chip))
        return int(self._top[0]) if self._count else None

    @property
    def _priced(self) -> int:
        return math.prod(self._shape)

    @property
    def _filling(self) -> float | None:
        """The power of the building that copies of a configuration fill; None where a configuration is ranked as it is."""
        return self.limits.get("hall_power") if self.objective == "tokens_per_second_per_chip" else None

    @property
    def _sought(self) -> str:
        """What the best has the most or the least of."""
        most = self._filling
        return OBJECTIVES[self.objective] if most is None else f"the most tokens/s within {show(most, WATT, 3)}"

    @property
    def within_power(self) -> dict[str, float] | None:
        """What the limit on the power of the building allows: copies of the best, their chips, power and tokens/s.

        None without such a limit, and where no configuration is accepted.
        """
        return copied(self.best, self.limits.get("hall_power"))

    @cached_property
    def frontier(self) -> Estimate | None:
        """The configurations kept that no other beats both in tokens/s per chip (falling) and in tokens/s a user (rising), on one axis."""
        return self._among(self._edge)

    @cached_property
    def layouts(self) -> Estimate | None:
        """The best configuration of each layout that has any, the best first, on one axis."""
        _, first = np.unique(self._layout[self._order % self.accepted.shape[-1]], return_index=True)
        return self._among(self._order[np.sort(first)])

    @cached_property
    def nearest(self) -> Estimate | None:
        """Where no configuration is kept: the one that misses the limits by least; if none keeps up, the rate; if none fits, the memory."""
        return None if self.accepted.any() else self.at(self._missing[1]).noted(self.notes)

    @property
    def _missing(self) -> tuple[str, int]:
        """What no configuration does, and the place of the one that comes nearest to it."""
        return missing((
            ("meets the limits", self._fits, self._excess),
            ("keeps up with the rate", self._filled <= 1, -self._rate),
            ("fits", self._filled > 0, self._filled),
        ))  # fmt: skip

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other configurations were rejected; with those kept, they are all that were tried."""
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
        """Configurations that were tried: those priced, and layouts that cannot be laid out."""
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
        """The time of every configuration at each percentile; its mean where it misses other limits already, or that mean misses this one."""
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
            return filled(self._filling, self._metric("hall_power"), self._whole(self.plans.tokens_per_second))
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
        """Return the configuration at a place, counted row by row, in full.

        Raises:
            QuestionError: there is no such place.
        """
        within(place, math.prod(self._shape))
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
        """Return the frontier as the text of a CSV file: each configuration, what it gives, and the ends of the 80 % intervals."""
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
            first_line = f"{self._sought}: {short(one)}, {yields(one)}, bound by {one.bound}{surely(one)}"
        parts = [headline(one), asked, "", first_line, *_spent(one), *self._checked]
        hall = self.within_power
        if hall is not None:
            parts.append(copies_in_words(hall, self.limits["hall_power"]))
        if self.frontier is not None and self.layouts is not None:
            front = table(self.frontier, spread(self.frontier, MOST_LINES))
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
        title = machine(self.plans.system)
        if at.size:
            here = self._edge[at[0]]
            title += f": best {figure(float(y[here]))} tokens/s per chip at {figure(float(x[here]))} per user"
        title += f"\n{q.model.name}, {figure(float(q.input))} tokens in and {figure(float(q.output))} out"
        curve: Curve = plots().Curve(
            label or name,
            title + (f", TTFT <= {show(limit, SECOND, 3)}" if limit else ""),
            x[self._edge], y[self._edge],
            None if pair is None else (pair[0] / y[self._edge], pair[1] / y[self._edge]),
            tuple(layout.short() for layout in layouts(self.frontier)),
            int(at[0]) if at.size else None,
            x[free], y[free], self.limits.get("tpot"),
        )  # fmt: skip
        return curve


# Two pools ------------------------------------------------------------------------------------------------------------


def _spent(one: Any) -> list[str]:
    """Return the energy and the cost of the tokens of a configuration, as far as they are known."""
    joules, dollars = one.joules_per_token, one.dollars_per_million_tokens
    found = [] if joules is None else [f"{float(joules):.3g} J per output token"]
    found += [] if dollars is None else [f"{float(dollars):.3g} USD per million output tokens"]
    return [f"energy and cost: {', '.join(found)}"] if found else []
