"""Every configuration of a training step on some chips, and the best that fits and meets the limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.signatures import typed_methods
from roofline.core.text import columns, csv_text, figure
from roofline.core.units import BYTE, SECOND, WATT, show
from roofline.planner.frontier import joined, refusals
from roofline.planner.metrics import measure
from roofline.planner.plans import (
    Rejection,
)
from roofline.planner.selection import MOST_LINES, POWER_LIMITED, LayoutSelection, Limited, missing, surely, within
from roofline.planner.training_candidates import Split, plain
from roofline.results.labels import headline, layout_in_words, machine, question_in_words
from roofline.results.records import brief
from roofline.results.training import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.plots.tradeoff import Tradeoff


_STEPS_HEAD: Final = ("step", "80 % within", "MFU", "memory", "J/token", "$/T", "configuration")
"""Of the table of training configurations; ``$/T`` is the cost of a trillion tokens."""
_MOST_WAYS: Final = 8


@typed_methods
@frozen(eq=False, repr=False, slots=False)
class TrainingSearch(LayoutSelection[Training]):
    """Every configuration of a training step on some chips, and the best that fits and meets the limits.

    Attributes:
        splits: all that were priced, by recomputation, sharding and schedule.
    """

    LIMITED: ClassVar[Limited] = {
        "memory": ("memory of a chip", BYTE, "size", "60GB"),
        "step_time": ("time of a step", SECOND, "time", "20s"),
        **POWER_LIMITED,
    }
    ASKED = ("model", "system", "chips", "level", "framework", "dtype", "global_batch", "seq_len", "task")

    splits: tuple[Split, ...]

    @property
    def _asked_in_words(self) -> str:
        one = self.splits[0].plans
        return f"{one.question.model.name} on {one.system.name}, {self.tried:,} configurations"

    def _best_in_words(self, best: Training) -> str:
        return f"the best is {layout_in_words(best)}, {_time(best)}"

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Training | None:
        """The configuration kept that has the shortest step, in full; None if there is none."""
        if not self._count:
            return None
        est = self.at(self._top[0])
        return est.noted(
            [*self._remarks(est), f"configuration {layout_in_words(est)}: the most tokens/s; {self._counted}"]
        )

    @cached_property
    def frontier(self) -> tuple[Training, ...]:
        """The configurations kept that no other beats both in time and in memory, the shortest step first, each in full."""
        return tuple(self.at(place) for place in self._edge)

    @cached_property
    def ways(self) -> tuple[Training, ...]:
        """The best configuration of each recomputation, sharding and schedule that has any, the best first, each in full."""
        return tuple(self.at(place) for place in self._firsts)

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        """The place of the best configuration of each recomputation, sharding and schedule, the best first."""
        _, first = np.unique(self._way[self._order], return_index=True)
        return self._order[np.sort(first)]

    @cached_property
    def nearest(self) -> Training | None:
        """Where no configuration is kept: that of the shortest step; if none fits, the one that needs the least memory."""
        if self.accepted.any():
            return None
        est = self.at(self._missing[1])
        return est.noted(self._remarks(est))

    @property
    def _missing(self) -> tuple[str, int]:
        """What no configuration does, and the place of the one that comes nearest to it."""
        return missing((("meets the limits", self._fits, self._time), ("fits", self._lawful, self._memory)))

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other configurations were rejected, each once; with those kept, they are all that were tried."""
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
        text = f"needs {show(float(est.memory.total), BYTE, 3)}, {_time(est)}, {layout_in_words(est)}{surely(est)}"
        return Rejection(kind, reason, count, count, est, better, text, lambda: brief(est))

    @property
    def tried(self) -> int:
        """Configurations that were tried: those that make up the chips."""
        return int(self._whole.sum())

    @property
    def _priced(self) -> int:
        return self.tried

    def at(self, place: int | np.int64) -> Training:
        """Return the configuration at a place of the axis of all configurations, in full.

        Raises:
            QuestionError: there is no such place.
        """
        within(place, int(self._ends[-1]) if len(self._ends) else 0)
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
        """The configurations that were computed in full, by their places."""
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
        parts = [headline(one), question_in_words(one), "", self._counted]
        if self.best is None:
            parts.append(
                f"NO CONFIGURATION {self._missing[0]}; the nearest: {_time(one)}, {_memory(one)}, {layout_in_words(one)}"
            )
        else:
            parts.append(f"the most tokens/s: {layout_in_words(one)}, {_time(one)}, bound by {one.bound}{surely(one)}")
            if "hall_power" in self.limits:
                drawn_ = show(float(measure(one, "hall_power") or np.nan), WATT, 3)
                parts.append(
                    f"{float(one.chips):,.0f} chips: {drawn_} of {show(self.limits['hall_power'], WATT, 3)} of the building"
                )
            front = [self.at(self._edge[i]) for i in _spread(len(self._edge), MOST_LINES)]
            parts += ["", "the frontier: no configuration is better both in time and in memory", _lines(front)]
            ways = [self.at(place) for place in self._firsts[:_MOST_WAYS]]
            parts += ["", "the best configuration of each recomputation, sharding and schedule", _lines(ways)]
        return [*parts, *self._reasons()]

    def plot(
        self, ax: Axes | None = None, label: str = "", *, style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw the frontier: the time of a step against the memory of a chip, every configuration that fits behind it.

        Raises:
            QuestionError: no configuration is kept.
        """
        axes: Axes = plots("tradeoff").draw(self.tradeoff(label), ax=ax, style=style, width=width)
        return axes

    def tradeoff(self, label: str = "") -> Tradeoff:
        """Return the numbers of the picture.

        Raises:
            QuestionError: no configuration is kept.
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
            f"{one.question.model.name} on {machine(one.system)}: {question_in_words(one).split(', ')[0]}",
            np.array([float(each.memory.total) for each in front]), np.array([float(each.step_time) for each in front]), sure,
            tuple(layout_in_words(each) for each in front), self._memory[self.accepted], self._time[self.accepted], float(np.min(self._room)),
        )  # fmt: skip
        return found


def _time(est: Training) -> str:
    return f"{show(float(est.step_time), SECOND, 3)} per step"


def _memory(est: Training) -> str:
    return f"{show(float(est.memory.total), BYTE, 3)} of {show(float(est.capacity), BYTE, 3)} per chip"


def _spread(count: int, most: int) -> Sequence[int]:
    """Return so many places at most that lie evenly, both ends among them."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def _lines(plans: Sequence[Training]) -> str:
    """Return configurations as a table; where they differ in chips, each says on how many."""
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
                f"{on}{layout_in_words(est)}{surely(est)}",
            ]
        )
    return columns(rows, head=_STEPS_HEAD, right=range(len(_STEPS_HEAD) - 1))
