"""Search over disaggregated prefill and decode: every pair of pools, and the best that meets the limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline import catalog
from roofline.core.lazy import plots
from roofline.core.text import columns, figure
from roofline.core.units import SECOND, show
from roofline.core.values import Record
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.physics.energy import drawn
from roofline.planner.copies import copied, copies_in_words, filled, known_power
from roofline.planner.frontier import leading, undominated
from roofline.planner.metrics import measure
from roofline.planner.plans import (
    COSTS,
    HEAD,
    Rejection,
    even,
)
from roofline.planner.pool_candidates import Pairing, Pairs
from roofline.planner.pools import pools
from roofline.planner.selection import POWER_LIMITED, TIMES_LIMITED, Limited, Selection, within
from roofline.results.pools import Pools
from roofline.results.records import layout_fields
from roofline.results.records import plain as number_of
from roofline.workload.questions import Serve

if TYPE_CHECKING:
    from roofline.plots._frontier import Curve


_LOOKED: Final = 16
"""Best pairs that are answered in full to find one that meets the limits."""
_NEARLY: Final = 0.01
"""By how much the rate and the power of a priced pair may differ from those of its answer in full."""
_MOST_POOL_LINES: Final = 8


@frozen(eq=False, repr=False, slots=False)
class Splits(Selection[Pools]):
    """Every configuration of two pools, and the best that meets the limits.

    Attributes:
        question: the service.
        system: the machine of both pools.
        profile: its constants.
        pairs: the configurations.
        objective: as in :class:`Search`.
        whole: chips that copies of a configuration fill as far as they go: the most tokens/s is then that of all copies; None for that of a chip.
    """

    LIMITED: ClassVar[Limited] = {**TIMES_LIMITED, **POWER_LIMITED}

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
        """Return the same configurations under other limits: those not named stay, None removes one.

        Raises:
            QuestionError: no limit of that name, or none above 0; a limit on power where no power is known.
        """
        out = super().with_limits(**limits)
        if "hall_power" in out.limits:
            known_power(self._all.hall_power, self.system, limits.get("hall_power"))
        return out

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def best(self) -> Pools | None:
        """The best configuration that is kept, in full; None if there is none."""
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
        """The power of the building that copies of a configuration fill; None where a configuration is ranked as it is."""
        return self.limits.get("hall_power") if self.objective == "tokens_per_second_per_chip" else None

    @property
    def within_power(self) -> dict[str, float] | None:
        """What the limit on the power of the building allows: copies of the best, their chips, power and tokens/s.

        None without such a limit, and where no configuration is accepted.
        """
        return copied(self.best, self.limits.get("hall_power"))

    def _fullest(self, most: float) -> Pools | None:
        """Return the configuration whose copies make the most tokens/s within a power of the building, by answers in full; None without any.

        A configuration is not answered in full where what it could make at most, by how it was priced, is less than another makes.
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
                rates = np.where(self.holds(full), filled(most, power, full.tokens_per_second), 0.0)
                if rates.max() > made:
                    found, made = self._one(some, int(np.argmax(rates))), float(rates.max())
        return found

    def _leading(self) -> Iterator[Pairs]:
        """Yield the accepted, the best first, part by part; the time to the first token is computed for those alone."""
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
        """The configurations kept that no other beats both in tokens/s per chip (falling) and in tokens/s a user (rising), on one axis."""
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
        """Why the other configurations were rejected."""
        reading, decoding = self.pairs.misfits
        units = (
            ("rule", "units that cannot be laid out", self.pairs.refused),
            ("memory", "prefill units: weights and a prompt exceed the memory of a chip", reading),
            ("memory", "decode units: weights and the cache of one request exceed the memory of a chip", decoding),
            (
                "beaten",
                "units and loads that are slower and have a lower rate than another on as many chips",
                self.pairs.unpaired,
            ),
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
        """Configurations that were tried: pairs, and units that were not paired."""
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
        """Return the objective of some configurations, the more the better."""
        if self.objective in ("tpot", "ttft"):
            return np.asarray(-getattr(pairs, self.objective))
        if self.objective == "tokens_per_second_per_user":
            return 1 / pairs.tpot
        if self._filling is not None:
            # At most: a pair is priced nearly.
            rate, power = pairs.rate * self.question.output, cast("NDArray[np.float64]", pairs.hall_power)
            return filled(self._filling, power * (1 - _NEARLY), rate * (1 + _NEARLY))
        if self._by_rate:
            rate, used = self._rate_of(pairs), pairs.used
            return rate if self.whole is None else np.asarray(rate * used * np.floor(self.whole / used))
        draw = [
            drawn(catalog.energy().draw(self.system.package), self.profile.power_fraction[0], busy)
            for busy in (pairs.full, 1.0)
        ]
        return np.asarray(-sum(chips * each for chips, each in zip(pairs.chips, draw, strict=True)) / pairs.rate)

    def holds(self, full: Pools) -> NDArray[np.bool_]:
        """Return where an answer in full fits and meets the limits."""
        keeps = [np.asarray(measure(full, name)) <= limit for name, limit in self.limits.items()]
        return np.asarray(np.logical_and.reduce([np.broadcast_to(full.fits, np.shape(full.ttft)), *keeps]))

    def _full(self, pairs: Pairs) -> Pools:
        """Return the answer for some configurations in full."""
        reading, answering = pairs.layouts(slice(None))
        asked = attrs.evolve(self.question, concurrency=pairs.requests(slice(None)))
        return pools(asked, self.system, answering, reading, level=self.profile)

    def _one(self, pairs: Pairs, place: int | np.int64) -> Pools:
        """Return the answer for one of some configurations in full."""
        (reading, answering), load = pairs.layouts(place), float(pairs.requests(place))
        return pools(attrs.evolve(self.question, concurrency=load), self.system, answering, reading, level=self.profile)

    def at(self, place: int | np.int64) -> Pools:
        """Return the configuration at a place in full.

        Raises:
            QuestionError: there is no such place.
        """
        within(place, self._all.size)
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
            for est in (front.prefill, front.decode)
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
            together: tokens/s per chip of the best configuration of one pool, or of its copies within a power; None where there is none.
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
        chips = f"{float(best.prefill.chips):g} prefill chips and {float(best.decode.chips):g} decode chips"
        hall = self.within_power
        copies = [] if hall is None else [copies_in_words(hall, self.limits["hall_power"])]
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
    named = {"prefill": front.prefill, "decode": front.decode}
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
