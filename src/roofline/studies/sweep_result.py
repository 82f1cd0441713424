"""``Sweep``: the retained configurations, and why the others were rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.arrays import BLOCK, picked, take
from roofline.core.errors import QuestionError, fault
from roofline.core.frames import Frame
from roofline.core.signatures import typed_methods
from roofline.core.text import columns, figure
from roofline.core.units import ONE, show
from roofline.core.values import Record
from roofline.hardware.numbers import SHORT, unit_of
from roofline.planner.frontier import Part, Refusal, Wanted, selected
from roofline.planner.metrics import METRICS, measure, quantity
from roofline.planner.selection import Found
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.results.training import Training
from roofline.studies.odds import probability
from roofline.studies.pricing import in_full, priced
from roofline.studies.space import Family, Space
from roofline.workload.layout import PoolLayouts
from roofline.workload.questions import TrainStep

if TYPE_CHECKING:
    import pandas as pd

_DEGREES: Final = ("tp", "pp", "dp", "ep", "replicas", "cp", "vpp", "etp")
_MOST_LINES: Final = 20
_MOST_REASONS: Final = 6


@typed_methods
@frozen(eq=False, repr=False, slots=False)
class Sweep(Found[Estimate | Training | Pools]):
    """The accepted configurations of a sweep, the best first or along a frontier, and the number rejected by reason.

    Attributes:
        space: what was swept.
        wanted: the limits.
        parts: what is left of each family.
        per: labels for each combination of which configurations are retained.
        complete: False where it was interrupted: what there is, is of ``seen`` configurations of ``points``.
    """

    space: Space
    wanted: Wanted
    parts: tuple[Part, ...]
    per: tuple[str, ...] = ()
    complete: bool = True

    @property
    def _asked_in_words(self) -> str:
        state = "" if self.complete else f", interrupted after {self.seen:,}"
        return f"{self.points:,} configurations of {len(self.parts)} families{state}, {self.accepted:,} fit"

    @property
    def tried(self) -> int:
        """The same as :attr:`points`."""
        return self.points

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        return self.space.notes

    @property
    def points(self) -> int:
        """Configurations of the space, with those whose layout cannot be laid out."""
        return self.space.points

    @property
    def seen(self) -> int:
        """Configurations that were seen."""
        return sum(part.points for part in self.parts)

    @property
    def accepted(self) -> int:
        """Configurations that fit and meet the limits."""
        return sum(part.accepted for part in self.parts)

    # The plans -------------------------------------------------------------------------------------------------------

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Family and place of every configuration that is retained, group by group, the best first."""
        labels = [tuple(family.labels[name] for name in self.per) for family in self.space.families]
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, label in enumerate(labels):
            groups.setdefault(label, []).append(i)
        out: list[tuple[int, int]] = []
        for members in groups.values():
            some = [(i, self.parts[i]) for i in members if self.parts[i].places.size]
            if not some:
                continue
            where = np.concatenate([np.full(part.places.size, i) for i, part in some])
            places = np.concatenate([part.places for _, part in some])
            values = np.concatenate([part.values for _, part in some], axis=1)
            # Families in their order, then places in theirs.
            for k in selected(self.wanted, np.arange(places.size), values):
                out.append((int(where[k]), int(places[k])))  # noqa: PERF401
        return tuple(out)

    @cached_property
    def frame(self) -> Frame:
        """The configurations retained as a table: what they are, every metric that any of them has, and the ends of 80 % intervals."""
        made: list[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]] = []
        rows = sorted(range(len(self.places)), key=lambda k: self.places[k][0])
        for i, some in groupby(rows, key=lambda k: self.places[k][0]):
            which = np.array(list(some), dtype=np.int64)
            for start in range(0, which.size, BLOCK):
                here = which[start : start + BLOCK]
                made.append((here, _table(self.space.families[i], np.array([self.places[k][1] for k in here]))))
        names = (
            list(dict.fromkeys(name for _, table in made for name in table)) if made else ["model", "system", "phase"]
        )
        out: dict[str, Any] = {}
        for name in names:
            text = any(table[name].dtype.kind in "OU" for _, table in made if name in table)
            out[name] = np.full(len(self.places), "", dtype=object) if text else np.full(len(self.places), np.nan)
            for here, table in made:
                if name in table:
                    out[name][here] = table[name]
        return Frame(_ordered(out))

    def estimate(self, i: int = 0) -> Estimate | Training | Pools:
        """Return one of the configurations retained in full; see :meth:`at`."""
        return self.at(i)

    def at(self, place: int | np.int64) -> Estimate | Training | Pools:
        """Return one of the configurations retained in full, as :func:`roofline.estimate` or :func:`roofline.pools` answers it.

        Args:
            place: 0 for the best, or the first of the frontier.

        Raises:
            QuestionError: there is no such configuration.
        """
        if not -len(self.places) <= place < len(self.places):
            raise QuestionError(
                fault(
                    "plan", int(place), f"{len(self.places)} are retained", "see .rejected for the reasons of rejection"
                )
            )
        family, inside = self.places[place]
        whole = self.space.families[family]
        question, system, layout, profile = take(
            whole.asked, tuple(int(n) for n in np.unravel_index(inside, whole.shape))
        )
        return in_full(question, system, layout, profile)

    def odds(self, quantity: str | None = None) -> NDArray[np.float64]:
        """Return for each configuration retained how likely it is better than the first, by :func:`roofline.studies.odds.probability`.

        Args:
            quantity: a metric; by default the first that was asked for.
        """
        name, every = quantity or self.wanted.metrics[0], [self.estimate(i) for i in range(len(self.places))]
        if any(isinstance(est, Pools) for est in every):
            raise QuestionError(fault("phase", "pools", "odds need answers about one pool", "compare their intervals"))
        alone = cast("list[Estimate | Training]", every)
        return np.array([probability(est, alone[0], name) for est in alone])

    @property
    def best(self) -> Estimate | Training | Pools | None:
        """The first configuration retained, in full; None if there is none."""
        return self.at(0) if self.places else None

    # Why not the others ----------------------------------------------------------------------------------------------

    @cached_property
    def rejected(self) -> Frame:
        """How many configurations of each family were rejected for which reason, each for the first of its reasons."""
        rows = [
            {**family.labels, "reason": each.reason, "plans": each.plans}
            for family, part in zip(self.space.families, self.parts, strict=True)
            for each in _most_first(part)
        ]
        names = dict.fromkeys(name for family in self.space.families for name in family.labels)
        return Frame(
            {name: np.array([row.get(name, "") for row in rows], dtype=object) for name in (*names, "reason")}
            | {"plans": np.array([row["plans"] for row in rows], dtype=np.int64)}
        )

    # For people and files --------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.frame[name]

    def csv(self) -> str:
        """Return the configurations retained as the text of a CSV file."""
        return self.frame.csv()

    def parquet(self) -> bytes:
        """Return the configurations retained as the content of a Parquet file."""
        return self.frame.parquet()

    def to_dataframe(self) -> pd.DataFrame:
        """Return the configurations retained as a pandas data frame."""
        return self.frame.to_dataframe()

    def to_dict(self) -> Record:
        """Return the configurations retained and the reasons under names of the machine-readable form; units are in the names."""
        return {
            "points": self.points, "seen": self.seen, "accepted": self.accepted, "complete": self.complete,
            "metrics": list(self.wanted.metrics), "limits": dict(self.wanted.limits), "plans": self.frame.records(),
            "rejected": self.rejected.records(), "warnings": list(self.space.warnings), "assumptions": list(self.space.notes),
        }  # fmt: skip

    def _lines(self) -> list[str]:
        lines = [f"{self.points:,} configurations, {self.accepted:,} fit{_and(self.wanted)}"]
        if not self.complete:
            lines.append(f"INTERRUPTED after {self.seen:,}: the best of those")
        names = " and ".join(METRICS[name].said for name in self.wanted.metrics)
        best = "the configurations that no other beats in" if self.wanted.most is None else "the best by"
        lines += ["", f"{best} {names}" if self.places else "no configuration is accepted", *self._rows(), *self._why()]
        return lines

    def _rows(self) -> Iterator[str]:
        if not self.places:
            return
        frame = self.frame
        shown = [
            name
            for name in frame
            if name in _HEADS or (name not in _NOT_SHOWN and not name.endswith(("_low", "_high")))
        ]
        axes = {name for family in self.space.families for name, _ in family.axes}
        texts = {name for name in shown if len({family.labels.get(name) for family in self.space.families}) > 1}
        varied = [name for name in shown if name in axes or name in texts or name in _ALWAYS]
        wanted = {METRICS[name].column: name for name in (*self.wanted.metrics, *dict(self.wanted.limits))}
        heads = [name for name in varied if name not in _COLUMNS] + list(wanted)
        keep = range(min(frame.rows, _MOST_LINES))
        cells = {name: [_cell(name, frame[name][k], wanted) for k in keep] for name in heads}
        # What all of them share is stated once.
        same = [name for name in heads if name not in wanted and frame.rows > 1 and len(set(cells[name])) == 1]
        heads = [name for name in heads if name not in same]
        rows = [[cells[name][k] for name in heads] for k in keep]
        if same:
            yield ", ".join(f"{name} {cells[name][0]}" for name in same)
        yield columns(
            rows, head=[METRICS[wanted[n]].said if n in wanted else n for n in heads], right=range(len(heads))
        )
        if frame.rows > _MOST_LINES:
            yield f"... and {frame.rows - _MOST_LINES:,} more"

    def _why(self) -> Iterator[str]:
        if not self.rejected.rows:
            return
        yield ""
        yield "why the others were rejected"
        for family, part in zip(self.space.families, self.parts, strict=True):
            if not part.rejected:
                continue
            whole = f" of {part.points:,}; accepted {part.accepted:,}"
            ranked = _most_first(part)
            yield f"{family.name}: {sum(each.plans for each in ranked):,}{whole}"
            rows = [[f"{each.plans:,}", each.reason] for each in ranked[:_MOST_REASONS]]
            rest = ranked[_MOST_REASONS:]
            if rest:
                rows.append([f"{sum(each.plans for each in rest):,}", "for other reasons"])
            yield columns([["", *row] for row in rows], right=[1])


_COLUMNS: Final = {each.column for each in METRICS.values()}
_ALWAYS: Final = ("model", "system", "phase")
_HEADS: Final = (*_ALWAYS, "prefill_layout", "layout")
_NOT_SHOWN: Final = (*_DEGREES, *(f"prefill_{name}" for name in _DEGREES))


def _most_first(part: Part) -> list[Refusal]:
    """Return why configurations were rejected, the reason of the most first."""
    return sorted(part.rejected.values(), key=lambda each: -each.plans)


def _and(wanted: Wanted) -> str:
    parts = [
        f"{METRICS[name].said} {'<=' if METRICS[name].least else '>='} {quantity(name, limit)}"
        for name, limit in wanted.limits
    ]
    return f" and meet {' and '.join(parts)}" if parts else ""


def _cell(name: str, value: Any, wanted: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return value
    if np.isnan(value):
        return "-"
    if name in wanted:
        return quantity(wanted[name], float(value))
    unit = unit_of(name) if name in SHORT or name.startswith(("chip.", "system.")) else ONE
    return show(float(value), unit) if unit != ONE else figure(float(value))


def _ordered(table: dict[str, Any]) -> dict[str, Any]:
    """Return columns in their order: what a configuration is, then what it gives."""
    return {name: table[name] for name in sorted(table, key=lambda n: _base(n) in _COLUMNS)}


def _base(name: str) -> str:
    return name.removesuffix("_low").removesuffix("_high")


def _table(family: Family, places: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return some configurations of a family as columns."""
    asked = picked(family.asked, family.shape, places)
    est = priced(*asked)
    count = (places.size,)
    out: dict[str, NDArray[Any]] = {name: np.full(count, value, dtype=object) for name, value in family.labels.items()}
    layout = asked[2]
    pools = {"": layout.decode, "prefill_": layout.prefill} if isinstance(layout, PoolLayouts) else {"": layout}
    for pool, own in pools.items():
        degrees = {name: value for name in _DEGREES if (value := getattr(own, name)) is not None}
        out |= {f"{pool}{name}": np.array(np.broadcast_to(n, count), dtype=np.float64) for name, n in degrees.items()}
        cut = [name for name in degrees if name != "etp" or family.asked[0].model.experts]
        lines = (
            [f"{name}={out[f'{pool}{name}'][k]:g}" for name in cut if out[f"{pool}{name}"][k] != 1]
            for k in range(places.size)
        )
        out[f"{pool}layout"] = np.array([" ".join(line) or "one rank" for line in lines], dtype=object)
    index = np.unravel_index(places, family.shape)
    for (name, values), i in zip(family.axes[len(pools) :], index[len(pools) :], strict=True):
        out[name] = np.asarray(values)[i]
    for name, known in METRICS.items():
        value = measure(est, name)
        if value is None:
            continue
        out[known.column] = np.array(np.broadcast_to(value, count), dtype=np.float64)
        pair = est.interval(known.sure) if known.sure in _SURE[isinstance(family.asked[0], TrainStep)] else None
        if pair is not None:
            for end, side in zip(("low", "high"), pair, strict=True):
                out[f"{known.column}_{end}"] = np.array(np.broadcast_to(side, count), dtype=np.float64)
    return out


_SURE: Final = (
    ("ttft", "tpot", "tokens_per_second", "tokens_per_second_per_chip", "tokens_per_second_per_user"),
    ("step_time", "tokens_per_second", "tokens_per_second_per_chip"),
)
"""Quantities that have an interval, of serving and of training."""
