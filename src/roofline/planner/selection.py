"""What a search found: the best plans of a service under limits, the frontier, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.text import columns, figure
from roofline.core.units import SECOND, Num, show
from roofline.planner import frontier as ranking
from roofline.planner.plans import (
    TIMES,
    Rejection,
    csv_of,
    layouts,
    limit,
    missed,
    records,
    short,
    spread,
    table,
    yields,
)
from roofline.planner.splits import Splits
from roofline.results.estimate import Estimate
from roofline.results.labels import headline
from roofline.results.notebook import Displayed
from roofline.results.records import of_estimate
from roofline.workload.questions import Serve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.plots._frontier import Curve

OBJECTIVES: Final[Mapping[str, str]] = {
    "tokens_per_second_per_chip": "the most tokens/s a chip",
    "tokens_per_second_per_user": "the most tokens/s a user",
    "joules_per_token": "the least energy a token",
    "dollars_per_million_tokens": "the least rent a token",
    "tpot": "the least TPOT",
    "ttft": "the least TTFT",
}
"""What a plan may be the best by, and what that is called."""

_ASKED: Final = (
    "model", "system", "chips", "level", "engine", "dtype", "kv_dtype", "input", "output", "draft_tokens", "accept_length",
)  # fmt: skip
_MOST_LINES: Final = 12
_MOST_LAYOUTS: Final = 6


@frozen(eq=False, repr=False, slots=False)
class Search(Displayed):
    """Every plan of a service on a machine, and the best of those that fit and keep the limits.

    Attributes:
        plans: all that were priced: chunks (first axis) by layouts with each of their loads (second).
        refused: layouts that cannot be laid out, and why.
        limits: on ``ttft`` and ``tpot``, those that were given.
        objective: what the best has the most or the least of, a key of :data:`OBJECTIVES`.
        notes: what was chosen or assumed.
        disaggregated: the same search over two pools, one that reads prompts and one that decodes, if it was asked for.
    """

    plans: Estimate
    refused: tuple[Rejection, ...] = ()
    limits: Mapping[str, float] = field(factory=dict)
    objective: str = "tokens_per_second_per_chip"
    notes: tuple[str, ...] = ()
    disaggregated: Splits | None = None

    def __repr__(self) -> str:
        best = "none is kept" if self.best is None else f"the best is {short(self.best)}, {yields(self.best)}"
        return f"<Search: {self._where}, {self.kept.size:,} plans: {best}>"

    def held(self, **limits: float | str | None) -> Search:
        """Return the same plans held to other limits: those not named stay, None lifts one.

        Raises:
            QuestionError: no limit of that name, or no time above 0.
        """
        for name in limits:
            if name not in TIMES:
                raise QuestionError(fault("limit", name, "no such limit", "ttft or tpot"))
        asked = {**self.limits, **limits}
        kept = {name: limit(name, asked[name]) for name in TIMES if asked.get(name) is not None}
        apart = None if self.disaggregated is None else self.disaggregated.held(kept)
        return attrs.evolve(self, limits=kept, disaggregated=apart)

    @property
    def _together(self) -> float | None:
        """Tokens per second and chip of the best plan of one pool."""
        return None if self.best is None else float(self.best.tokens_per_second_per_chip or 0.0)

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Where a plan fits and keeps the limits."""
        return self._fits & (self._excess <= 1)

    @cached_property
    def best(self) -> Estimate | None:
        """The best plan that is kept, in full; None if there is none."""
        if not self._order.size:
            return None
        est = self._at(self._order[0])
        return est.noted([*self.notes, f"plan {short(est)}: {OBJECTIVES[self.objective]}; {self._counted}"])

    @cached_property
    def frontier(self) -> Estimate | None:
        """The plans kept that no other beats both in tokens/s a chip (falling) and in tokens/s a user (rising), on one axis."""
        return self._among(self._edge)

    @cached_property
    def layouts(self) -> Estimate | None:
        """The best plan of each layout that has any, the best first, on one axis."""
        _, first = np.unique(self._layout[self._order % self.kept.shape[-1]], return_index=True)
        return self._among(self._order[np.sort(first)])

    @cached_property
    def nearest(self) -> Estimate | None:
        """Where no plan is kept: the one that misses the limits by least; if none keeps up, the rate; if none fits, the memory."""
        return None if self.kept.any() else self._at(self._missing[1]).noted(self.notes)

    @property
    def _missing(self) -> tuple[str, int]:
        """What no plan does, and the place of the one that comes nearest to it."""
        ranked = (
            ("keeps the limits", self._fits, self._excess),
            ("keeps up with the rate", self._filled <= 1, -self._rate),
            ("fits", self._filled > 0, self._filled),
        )
        told, among, miss = next(each for each in ranked if each[1].any())
        return told, int(np.argmin(np.where(among, miss, np.inf)))

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other plans were rejected; with those kept, they are all that were tried."""
        over = {name: self._fits & (self._over(name) > 1) for name in self.limits}
        full = self._filled > 1
        groups = {
            "memory": (full, "weights, cache and activations exceed the memory of a chip", self._filled),
            # All were laid out, so that what fits and breaks a law does not keep up.
            "rate": (~self._fits & ~full, "saturates below the rate", -self._rate),
        }
        for some in ([name] for name in over), [list(over)] if len(over) > 1 else []:
            for name in some:
                mask = np.logical_and.reduce([mask if each in name else ~mask for each, mask in over.items()])
                groups[" and ".join(name)] = (mask, self._said(name, " and ", "above"), self._excess)
        return (*self.refused, *(self._rejection(kind, *group) for kind, group in groups.items() if group[0].any()))

    def _rejection(self, kind: str, mask: NDArray[np.bool_], reason: str, miss: NDArray[np.float64]) -> Rejection:
        best = self._score[self.kept].max() if self.kept.any() and kind not in ("memory", "rate") else np.inf
        better = mask & (self._score > best)
        place = np.argmin(np.where(better if better.any() else mask, miss, np.inf))
        count = np.unique(self._layout[mask.any(axis=0)]).size
        est = self._at(place)
        told = f"{missed(kind, est)}, {short(est)}, {yields(est)}"
        return Rejection(kind, reason, int(mask.sum()), count, est, bool(better.any()), told, lambda: records(est)[0])

    @property
    def tried(self) -> int:
        """Plans that were tried: those priced, and layouts that cannot be laid out."""
        return self.kept.size + sum(each.plans for each in self.refused)

    # How it is found -------------------------------------------------------------------------------------------------

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        return self.plans.shape

    def _whole(self, value: Num | Mask | None) -> NDArray[Any]:
        return np.broadcast_to(np.asarray(np.nan if value is None else value), self._shape)

    @cached_property
    def _fits(self) -> NDArray[np.bool_]:
        return self._whole(self.plans.fits)

    @cached_property
    def _filled(self) -> NDArray[np.float64]:
        return self._whole(self.plans.memory.total / self.plans.capacity)

    def _over(self, name: str) -> NDArray[np.float64]:
        """Return a time over its limit; one without meaning keeps any limit."""
        return np.asarray(np.nan_to_num(self._whole(getattr(self.plans, name)) / self.limits[name], nan=0.0))

    @cached_property
    def _excess(self) -> NDArray[np.float64]:
        """The worst time over its limit."""
        return np.asarray(np.maximum.reduce([np.zeros(self._shape), *map(self._over, self.limits)]))

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
        value = self._whole(getattr(self.plans, self.objective))
        return np.asarray(np.nan_to_num(-value if self.objective in Estimate.LEAST else value, nan=-np.inf))

    @cached_property
    def _layout(self) -> NDArray[np.int64]:
        """Which layout stands at each place of the second axis."""
        split = self.plans.layout
        degrees = np.stack(
            [np.broadcast_to(each, self.kept.shape[-1:]) for each in (split.tp, split.pp, split.dp, split.ep)]
        )
        return np.cumsum((np.diff(degrees, prepend=degrees[:, :1]) != 0).any(axis=0))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The places of the plans kept, the best first, and of two as good the one that is faster for a user."""
        return ranking.order(self.kept, self._score, self._speed)

    @cached_property
    def _edge(self) -> NDArray[np.int64]:
        """The places of the frontier."""
        return self._pareto(self.kept)

    def _pareto(self, where: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the places in a mask that no other of them beats, the most tokens per second and chip first."""
        return ranking.pareto(where, self._rate, self._speed)

    def _at(self, place: Any) -> Estimate:
        return self.plans.at(*(int(i) for i in np.unravel_index(place, self._shape)))

    def _among(self, places: NDArray[np.int64]) -> Estimate | None:
        return self.plans.among(places) if places.size else None

    # What is told ----------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"{self.plans.question.model.name} on {self.plans.system.name}"

    @property
    def _counted(self) -> str:
        kept = f" and keep {self._said(self.limits, ' and ', '<=')}" if self.limits else ""
        return f"{self._order.size:,} of {self.kept.size:,} plans fit{kept}"

    def _said(self, limits: Iterable[str], between: str, than: str) -> str:
        return between.join(f"{TIMES[name]} {than} {show(self.limits[name], SECOND, 3)}" for name in limits)

    @property
    def _shown(self) -> Estimate:
        """The best plan, or the nearest to one."""
        return cast("Estimate", self.best or self.nearest)

    def to_dict(self) -> dict[str, Any]:
        """Return what was found under the names of the machine-readable answer; units are in the names."""
        asked = of_estimate(self._shown)
        return {
            **{name: asked[name] for name in _ASKED},
            "limits": {f"{name}_s": self.limits.get(name) for name in TIMES},
            "objective": self.objective,
            "tried": self.tried,
            "kept": int(self._order.size),
            "best": None if self.best is None else self.best.to_dict(),
            "nearest": None if self.nearest is None else self.nearest.to_dict(),
            "frontier": records(self.frontier),
            "layouts": records(self.layouts),
            "rejected": [each.to_dict() for each in self.rejected],
            "assumptions": list(self.notes),
            **({} if self.disaggregated is None else {"disaggregated": self.disaggregated.to_dict(self._together)}),
        }

    def csv(self) -> str:
        """Return the frontier as the text of a CSV file: each plan, what it gives, and the ends of the 80 % intervals."""
        return csv_of(self.frontier)

    def table(self) -> str:
        """Return what was found as text: the best plan, the frontier, the best of other layouts, and why not the rest."""
        one, q = self._shown, cast("Serve", self._shown.question)
        asked = f"{figure(float(q.input))} tokens in and {figure(float(q.output))} out: {self._counted}"
        if self.best is None:
            times = ", ".join(f"{title} {show(float(getattr(one, name)), SECOND, 4)}" for name, title in TIMES.items())
            near = f"; the nearest: {times}, {short(one)}, {yields(one)}" if one.fits else ""
            said = f"NO PLAN {self._missing[0]}{near}"
        else:
            said = f"{OBJECTIVES[self.objective]}: {short(one)}, {yields(one)}, bound by {one.bound}"
        parts = [headline(one), asked, "", said]
        if self.frontier is not None and self.layouts is not None:
            front = table(self.frontier, spread(self.frontier, _MOST_LINES))
            best = table(self.layouts, range(min(_MOST_LAYOUTS, *self.layouts.shape)))
            parts += ["", "the frontier: none is better both for a user and for a chip", front]
            parts += ["", "the best plan of each layout", best]
        rows = [[f"{each.plans:,}", str(each)] for each in self.rejected]
        parts += ["", f"why the other {self.tried - self._order.size:,} were rejected", columns(rows, right=(0,))]
        parts += [] if self.disaggregated is None else ["", *self.disaggregated.lines(self._together)]
        return "\n".join([*parts, "", "what was chosen or assumed", *(f"  - {note}" for note in one.assumptions)])

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
        free = ranking.pareto(self._fits, self._rate, self._speed)
        if q.output <= 1:
            rule = "has no time per token, and so no frontier to draw"
            raise QuestionError(fault("output", float(q.output), rule, "ask for more tokens"))
        pair = None if self.frontier is None else self.frontier.interval("tokens_per_second_per_chip")
        at = np.flatnonzero(np.isin(self._edge, self._order[:1]))
        none = "" if self._order.size else f" (none {self._missing[0]})"
        told = f"{self.plans.system.name}: {float(np.max(self.plans.chips)):,.0f} chips, {q.model.dtype}{none}"
        limit = self.limits.get("ttft")
        title = f"{q.model.name}, {figure(float(q.input))} tokens in and {figure(float(q.output))} out"
        curve: Curve = plots().Curve(
            label or told,
            title + (f"\nTTFT <= {show(limit, SECOND, 3)}" if limit else ""),
            x[self._edge], y[self._edge],
            None if pair is None else (pair[0] / y[self._edge], pair[1] / y[self._edge]),
            tuple(layout.short() for layout in layouts(self.frontier)),
            int(at[0]) if at.size else None,
            x[free], y[free], self.limits.get("tpot"),
        )  # fmt: skip
        return curve
