"""What a search for the best way to train found: the best plan, time against memory, and why not the others."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.text import columns
from roofline.core.units import BYTE, SECOND, show
from roofline.planner import frontier as ranking
from roofline.planner.plans import Rejection, limit
from roofline.planner.training_candidates import Split, plain
from roofline.results.labels import asked, headline, told
from roofline.results.notebook import Displayed
from roofline.results.records import brief, of_training
from roofline.results.training import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.plots.tradeoff import Tradeoff

LIMITS: Final = {"memory": "memory of a chip", "step_time": "time of a step"}
"""What limits are on."""

_ASKED: Final = ("model", "system", "chips", "level", "framework", "dtype", "global_batch", "seq_len", "task")
_HEAD: Final = ("step", "80 % within", "tokens/s", "MFU", "HFU", "bubble", "memory", "plan")
_MOST_LINES: Final = 12
_MOST_WAYS: Final = 8


@frozen(eq=False, repr=False, slots=False)
class TrainingSearch(Displayed):
    """Every plan for a step of training on some chips, and the best of those that fit and keep the limits.

    Attributes:
        splits: all that were priced, by recomputation, sharding and schedule.
        limits: on ``memory`` (bytes of a chip) and ``step_time`` (seconds), those that were given.
        notes: what was chosen or assumed.
    """

    splits: tuple[Split, ...]
    limits: Mapping[str, float] = field(factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        best = "none is kept" if self.best is None else f"the best is {told(self.best)}, {_time(self.best)}"
        one = self.splits[0].plans
        return f"<TrainingSearch: {one.question.model.name} on {one.system.name}, {self.tried:,} plans: {best}>"

    def held(self, **limits: float | str | None) -> TrainingSearch:
        """Return the same plans held to other limits: those not named stay, None lifts one.

        Raises:
            QuestionError: no limit of that name, or nothing above 0.
        """
        for name in limits:
            if name not in LIMITS:
                raise QuestionError(fault("limit", name, "no such limit", "memory or step_time"))
        given = {name: value for name, value in {**self.limits, **limits}.items() if value is not None}
        kinds: dict[str, Any] = {"memory": (BYTE, "size", "60GB"), "step_time": (SECOND, "time", "20s")}
        return attrs.evolve(self, limits={name: limit(name, value, *kinds[name]) for name, value in given.items()})

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Where a plan fits and keeps the limits, all plans on one axis."""
        return self._fits & (self._time <= self.limits.get("step_time", np.inf))

    @cached_property
    def best(self) -> Training | None:
        """The plan kept that has the shortest step, in full; None if there is none."""
        if not self._order.size:
            return None
        est = self.at(self._order[0])
        return est.noted([*self._said(est), f"plan {told(est)}: the most tokens/s; {self._counted}"])

    @cached_property
    def frontier(self) -> tuple[Training, ...]:
        """The plans kept that no other beats both in time and in memory, the shortest step first, each in full."""
        return tuple(self.at(place) for place in ranking.pareto(self.kept, -self._time, -self._memory))

    @cached_property
    def ways(self) -> tuple[Training, ...]:
        """The best plan of each recomputation, sharding and schedule that has any, the best first, each in full."""
        _, first = np.unique(self._way[self._order], return_index=True)
        return tuple(self.at(place) for place in self._order[np.sort(first)])

    @cached_property
    def nearest(self) -> Training | None:
        """Where no plan is kept: that of the shortest step; if none fits, the one that needs the least memory."""
        if self.kept.any():
            return None
        among, miss = (self._fits, self._time) if self._fits.any() else (self._lawful, self._memory)
        return self.at(int(np.argmin(np.where(among, miss, np.inf))), said=True)

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other plans were rejected, each once; with those kept, they are all that were tried."""
        broken = ranking.joined(ranking.refusals(each.plans.rules, each.whole) for each in self.splits)
        out = [Rejection("rule", each.reason, each.plans, each.plans) for each in broken.values()]
        best = float(self._time[self._order[0]]) if self._order.size else -np.inf
        most = float(np.min(self._room))
        over = self._lawful & ~self._fits
        said = f"weights, gradients, optimizer and activations exceed the {show(most, BYTE, 3)} of a chip"
        groups = [("memory", over, said, self._memory)]
        if "step_time" in self.limits:
            slow = self._fits & ~self.kept
            groups.append(("step_time", slow, f"a step above {show(self.limits['step_time'], SECOND, 3)}", self._time))
        return (*out, *(self._rejection(*group, best) for group in groups if group[1].any()))

    def _rejection(
        self, kind: str, mask: NDArray[np.bool_], reason: str, miss: NDArray[np.float64], best: float
    ) -> Rejection:
        better = mask & (self._time < best)
        est = self.at(int(np.argmin(np.where(better if better.any() else mask, miss, np.inf))))
        count = int(mask.sum())
        text = f"needs {show(float(est.memory.total), BYTE, 3)}, {_time(est)}, {told(est)}"
        return Rejection(kind, reason, count, count, est, bool(better.any()), text, lambda: brief(est))

    @property
    def tried(self) -> int:
        """Plans that were tried: those that make up the chips."""
        return int(self._whole.sum())

    def at(self, place: int | np.int64, *, said: bool = False) -> Training:
        """Return the plan at a place of the axis of all plans, in full, and if ``said`` with what was assumed."""
        which = int(np.searchsorted(self._ends, place, side="right"))
        each = self.splits[which]
        local = int(place) - int(self._ends[which - 1] if which else 0)
        est = plain(each.plans.at(*(int(i) for i in np.unravel_index(local, each.whole.shape))))
        return est.noted(self._said(est)) if said else est

    def _said(self, est: Training) -> list[str]:
        return [note for note in self.notes if note not in est.remarks]

    # How it is found -------------------------------------------------------------------------------------------------

    def _along(self, number: Callable[[Split], NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate([number(each).ravel() for each in self.splits])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([each.whole.size for each in self.splits])

    @cached_property
    def _way(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.splits)), [each.whole.size for each in self.splits])

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

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The places of the plans kept, the best first, and of two as good the one that needs less memory."""
        return ranking.order(self.kept, -self._time, -self._memory)

    # What is told ----------------------------------------------------------------------------------------------------

    @property
    def _counted(self) -> str:
        units = {"memory": BYTE, "step_time": SECOND}
        kept = " and ".join(f"{LIMITS[name]} <= {show(value, units[name], 3)}" for name, value in self.limits.items())
        return f"{self._order.size:,} of {self.tried:,} plans fit{f' and keep {kept}' if kept else ''}"

    @property
    def _shown(self) -> Training:
        """The best plan, or the nearest to one."""
        return cast("Training", self.best or self.nearest)

    def to_dict(self) -> dict[str, Any]:
        """Return what was found under the names of the machine-readable answer; units are in the names."""
        first = of_training(self._shown)
        return {
            **{name: first[name] for name in _ASKED},
            "limits": {"memory_bytes": self.limits.get("memory"), "step_time_s": self.limits.get("step_time")},
            "tried": self.tried,
            "kept": int(self._order.size),
            "best": None if self.best is None else self.best.to_dict(),
            "nearest": None if self.nearest is None else self.nearest.to_dict(),
            "frontier": [brief(each) for each in self.frontier],
            "ways": [brief(each) for each in self.ways],
            "rejected": [each.to_dict() for each in self.rejected],
            "assumptions": list(self.notes),
        }

    def csv(self) -> str:
        """Return the frontier as the text of a CSV file."""
        rows = []
        for each in map(brief, self.frontier):
            memory, pair = each.pop("memory_bytes_per_chip"), each.pop("interval")["step_time_s"] or (None, None)
            sizes = {f"{name}_bytes": value for name, value in memory.items() if name != "capacity"}
            rows.append(
                {**each.pop("layout"), **each, "step_time_s_low": pair[0], "step_time_s_high": pair[1], **sizes}
            )
        out = io.StringIO()
        table = csv.DictWriter(out, list(rows[0]) if rows else ["layout"], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return out.getvalue()

    def table(self) -> str:
        """Return what was found as text: the best plan, time against memory, the best of other ways, and why not the rest."""
        one = self._shown
        parts = [headline(one), asked(one), "", self._counted]
        if self.best is None:
            miss = "keeps the limits" if self._fits.any() else "fits"
            parts.append(f"NO PLAN {miss}; the nearest: {_time(one)}, {_memory(one)}, {told(one)}")
        else:
            parts.append(f"the most tokens/s: {told(one)}, {_time(one)}, bound by {one.bound}")
            front = [self.frontier[i] for i in _spread(len(self.frontier), _MOST_LINES)]
            parts += ["", "time against memory: none is better in both", _lines(front)]
            parts += ["", "the best plan of each recomputation, sharding and schedule", _lines(self.ways[:_MOST_WAYS])]
        rows = [[f"{each.plans:,}", str(each)] for each in self.rejected]
        parts += ["", f"why the other {self.tried - self._order.size:,} were rejected", columns(rows, right=(0,))]
        return "\n".join([*parts, "", "what was chosen or assumed", *(f"  - {note}" for note in one.assumptions)])

    def plot(
        self, ax: Axes | None = None, label: str = "", *, style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw the frontier: the time of a step against the memory of a chip, every plan that fits behind it.

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
                fault("plans", 0, "no plan is kept, so there is no frontier to draw", "loosen the limits")
            )
        front, one = self.frontier, self.best
        pairs = [each.interval() for each in front]
        sure = None if pairs[0] is None else np.array([[float(end) for end in pair or ()] for pair in pairs]).T
        where = f"{one.system.name}: {float(one.chips):,.0f} chips, {one.question.model.dtype}"
        found: Tradeoff = plots("tradeoff").Tradeoff(
            label or where, f"{one.question.model.name}: {asked(one).split(', ')[0]}",
            np.array([float(each.memory.total) for each in front]), np.array([float(each.step_time) for each in front]), sure,
            tuple(told(each) for each in front), self._memory[self.kept], self._time[self.kept], float(np.min(self._room)),
        )  # fmt: skip
        return found


def _time(est: Training) -> str:
    return f"{show(float(est.step_time), SECOND, 3)} a step"


def _memory(est: Training) -> str:
    return f"{show(float(est.memory.total), BYTE, 3)} of {show(float(est.capacity), BYTE, 3)} a chip"


def _spread(count: int, most: int) -> Sequence[int]:
    """Return so many places at most that lie evenly, both ends among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def _lines(plans: Sequence[Training]) -> str:
    """Return plans as a table."""
    rows = []
    for est in plans:
        pair = est.interval()
        within = "" if pair is None else " - ".join(show(float(end), SECOND, 3) for end in pair)
        shares = (f"{float(value):.1%}" for value in (est.mfu, est.hfu, est.bubble_fraction))
        size = show(float(est.memory.total), BYTE, 3)
        rows.append(
            [
                show(float(est.step_time), SECOND, 3),
                within,
                f"{float(est.tokens_per_second):,.0f}",
                *shares,
                size,
                told(est),
            ]
        )
    return columns(rows, head=_HEAD, right=range(len(_HEAD) - 1))
