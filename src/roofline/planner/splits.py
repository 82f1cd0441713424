"""What a search over two pools found: the best split of the chips under limits, the frontier, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.lazy import plots

if TYPE_CHECKING:
    from roofline.plots._frontier import Curve

from roofline.core.text import columns, figure
from roofline.core.units import SECOND, show
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.physics.energy import drawn
from roofline.planner.plans import TIMES, Rejection, even, undominated
from roofline.planner.pool_candidates import Pairs
from roofline.planner.pools import pools
from roofline.results.pools import Pools
from roofline.results.records import layout_fields
from roofline.workload.questions import Serve

_LOOKED: Final = 16
"""Best pairs that are answered in full to find one that keeps the limits."""
_MOST_LINES: Final = 8
_LEAST: Final = ("tpot", "ttft", "joules_per_token", "dollars_per_million_tokens")
_HEAD: Final = (
    "a user",
    "a chip",
    "80 % within",
    "TPOT",
    "TTFT",
    "requests",
    "chips",
    "that read",
    "chips",
    "that decode",
)


@frozen(eq=False, repr=False, slots=False)
class Splits:
    """Every plan of two pools that was priced, and the best of those that keep the limits.

    Attributes:
        pairs: the plans.
        limits, objective: as in :class:`roofline.planner.selection.Search`.
    """

    question: Serve
    system: System
    profile: Calibration
    pairs: Pairs
    limits: Mapping[str, float] = field(factory=dict)
    objective: str = "tokens_per_second_per_chip"

    def __repr__(self) -> str:
        best = "none is kept" if self.best is None else repr(self.best)
        return f"<Splits: {self.kept.size:,} plans: {best}>"

    def held(self, limits: Mapping[str, float]) -> Splits:
        """Return the same plans held to other limits."""
        return attrs.evolve(self, limits=limits)

    # What is kept ----------------------------------------------------------------------------------------------------

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Where a plan keeps the limits."""
        return self._excess <= 1

    @cached_property
    def best(self) -> Pools | None:
        """The best plan that is kept, in full; None if there is none."""
        places = self._order[:_LOOKED]
        if not places.size:
            return None
        # A pair is priced at a load, its answer finds that load again: nearly, and limits are limits.
        held = np.flatnonzero(self._holds(self._full(places)))
        return self._one(places[held[0] if held.size else 0])

    @cached_property
    def frontier(self) -> Pools | None:
        """The plans kept that no other beats both in tokens/s a chip (falling) and in tokens/s a user (rising), on one axis."""
        places = np.flatnonzero(self.kept)
        places = places[undominated(self._speed[places], self._rate[places])]
        if not places.size:
            return None
        full = self._full(places)
        held = np.flatnonzero(self._holds(full))
        if not held.size:
            return None
        speed, rate = (
            np.asarray(each)[held] for each in (full.tokens_per_second_per_user, full.tokens_per_second_per_chip)
        )
        return self._full(places[held[undominated(speed, rate)]])

    @cached_property
    def rejected(self) -> tuple[Rejection, ...]:
        """Why the other plans were rejected."""
        over = {name: getattr(self.pairs, name) / limit > 1 for name, limit in self.limits.items()}
        reading, decoding = self.pairs.misfits
        units = (
            ("rule", "units that cannot be laid out", self.pairs.refused),
            ("memory", "units that read: weights and a prompt exceed the memory of a chip", reading),
            ("memory", "units that decode: weights and the cache of one request exceed the memory of a chip", decoding),
            ("beaten", "units and loads that another of as many chips beats in rate and in time", self.pairs.unpaired),
        )
        out = [Rejection(kind, reason, count, 0) for kind, reason, count in units if count]
        for some in [*([name] for name in over), *([list(over)] if len(over) > 1 else [])]:
            mask = np.logical_and.reduce([each if name in some else ~each for name, each in over.items()])
            if mask.any():
                place = int(np.argmin(np.where(mask, self._excess, np.inf)))
                times = ", ".join(
                    f"{TIMES[name]} {show(float(getattr(self.pairs, name)[place]), SECOND, 4)}" for name in some
                )
                said = " and ".join(f"{TIMES[name]} above {show(self.limits[name], SECOND, 3)}" for name in some)
                out.append(
                    Rejection(
                        " and ".join(some), f"{said}; the nearest: {times}, {self._named(place)}", int(mask.sum()), 0
                    )
                )
        return tuple(out)

    @property
    def tried(self) -> int:
        """Plans that were tried: pairs, and units that were not paired."""
        return self.kept.size + sum(self.pairs.misfits) + self.pairs.unpaired + self.pairs.refused

    # How it is found -------------------------------------------------------------------------------------------------

    @property
    def _speed(self) -> NDArray[np.float64]:
        return 1 / self.pairs.tpot

    @cached_property
    def _rate(self) -> NDArray[np.float64]:
        return np.asarray(self.pairs.rate * self.question.output / sum(self.pairs.chips))

    @cached_property
    def _excess(self) -> NDArray[np.float64]:
        """The worst time over its limit."""
        over = [getattr(self.pairs, name) / limit for name, limit in self.limits.items()]
        return np.asarray(np.maximum.reduce([np.zeros(np.shape(self.pairs.rate)), *over]))

    @cached_property
    def _score(self) -> NDArray[np.float64]:
        """The objective, the more the better."""
        if self.objective in ("tpot", "ttft"):
            return np.asarray(-getattr(self.pairs, self.objective))
        if self.objective == "tokens_per_second_per_user":
            return self._speed
        if self.objective != "joules_per_token":
            return self._rate  # rent is that of chips
        draw = [
            drawn(self.profile.idle_fraction, self.profile.power_fraction[0], busy) for busy in (self.pairs.full, 1.0)
        ]
        return np.asarray(
            -sum(chips * each for chips, each in zip(self.pairs.chips, draw, strict=True)) / self.pairs.rate
        )

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        found = np.flatnonzero(self.kept)
        return found[np.lexsort((-self._speed[found], -self._score[found]))]

    def _holds(self, full: Pools) -> NDArray[np.bool_]:
        """Return where an answer in full fits and keeps the limits."""
        keeps = [np.asarray(getattr(full, name)) <= limit for name, limit in self.limits.items()]
        return np.asarray(np.logical_and.reduce([np.broadcast_to(full.fits, np.shape(full.ttft)), *keeps]))

    def _full(self, places: Any) -> Pools:
        """Return the answer for some plans in full."""
        reading, answering = self.pairs.layouts(places)
        asked = attrs.evolve(self.question, concurrency=self.pairs.requests[places])
        return pools(asked, self.system, answering, reading, level=self.profile)

    def _one(self, place: int) -> Pools:
        (reading, answering), load = self.pairs.layouts(place), float(self.pairs.requests[place])
        return pools(attrs.evolve(self.question, concurrency=load), self.system, answering, reading, level=self.profile)

    def curve(self, title: str = "") -> Curve | None:
        """Return the numbers of the picture of the frontier under a title; None where nothing is kept."""
        front, best = self.frontier, self.best
        if front is None or best is None:
            return None
        x, y = (np.asarray(each) for each in (front.tokens_per_second_per_user, front.tokens_per_second_per_chip))
        pair = front.interval("tokens_per_second_per_chip")
        free = undominated(self._speed, self._rate)
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
            f"{self.system.name}: prompts on chips of their own", title, x, y,
            None if pair is None else (np.asarray(pair[0]) / y, np.asarray(pair[1]) / y),
            tuple(f"{read} | {made}" for read, made in zip(*sides, strict=True)),
            int(at[0]) if at.size else None, far[0], far[1], self.limits.get("tpot"),
        )  # fmt: skip
        return curve

    # What is told ----------------------------------------------------------------------------------------------------

    def _named(self, place: int) -> str:
        (reading, answering), rate = self.pairs.layouts(place), figure(float(self._rate[place]), 3)
        return f"{reading.short()} | {answering.short()}, {rate} tokens/s a chip"

    def to_dict(self, together: float | None) -> dict[str, Any]:
        """Return what was found under the names of the machine-readable answer.

        Args:
            together: tokens/s a chip of the best plan of one pool; None where there is none.
        """
        best, front = self.best, self.frontier
        return {
            "plans": {"tried": self.tried, "kept": int(self.kept.sum())},
            "best": None if best is None else best.to_dict(),
            "over_one_pool": None
            if best is None or not together
            else float(best.tokens_per_second_per_chip) / together,
            "frontier": [] if front is None else _records(front),
            "rejected": [each.to_dict() for each in self.rejected],
        }

    def lines(self, together: float | None) -> list[str]:
        """Return what was found as lines of text; ``together`` as above."""
        does = "keep the limits" if self.limits else "fit"
        counted = f"{int(self.kept.sum()):,} of {self.kept.size:,} plans {does}"
        head = f"with prompts on chips of their own: {counted}"
        best, front = self.best, self.frontier
        rows = [[f"{each.plans:,}", str(each)] for each in self.rejected]
        why = ["why others were rejected", columns(rows, right=(0,))] if rows else []
        if best is None or front is None:
            return [f"{head}: NONE", *why]
        each = float(best.tokens_per_second_per_chip)
        times = "" if not together else f", {figure(each / together, 3)} times those of chips that do both"
        chips = f"{float(best.prompts.chips):g} chips that read and {float(best.answers.chips):g} that decode"
        told = f"{chips}, {figure(float(best.in_flight), 3)} requests, {figure(each, 3)} tokens/s a chip{times}"
        ratio = f"in balance at {figure(float(best.balance), 3)} chips that read for each that decodes"
        every = _records(front)
        shown = even([[r["output_tokens_per_s_per_chip"], r["tokens_per_s_per_user"]] for r in every], _MOST_LINES)
        table = columns([_line(every[i]) for i in shown], head=_HEAD, right=range(len(_HEAD) - 4))
        return [head, f"the best: {told}; {ratio}", "", table, "", *why]


def _records(front: Pools) -> list[dict[str, Any]]:
    """Return each point of an answer over one axis under the names of the machine-readable form."""
    count = (int(np.size(front.ttft)),)
    numbers = {
        "concurrency": front.in_flight, "ttft_s": front.ttft, "tpot_s": front.tpot,
        "tokens_per_s_per_user": front.tokens_per_second_per_user,
        "output_tokens_per_s_per_chip": front.tokens_per_second_per_chip,
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
        out.append({"pools": each, **{name: float(value[i]) for name, value in values.items()}, "interval": finite})
    return out


def _short(layout: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={n}" for k, n in layout.items() if isinstance(n, int) and n > 1) or "one rank"


def _line(each: dict[str, Any]) -> list[str]:
    pair = each["interval"]["output_tokens_per_s_per_chip"]
    sides = [cell for side in each["pools"].values() for cell in (str(side["chips"]), _short(side["layout"]))]
    return [
        figure(each["tokens_per_s_per_user"], 3),
        figure(each["output_tokens_per_s_per_chip"]),
        "" if pair is None else f"{figure(pair[0], 3)} - {figure(pair[1], 3)}",
        show(each["tpot_s"], SECOND, 3),
        show(each["ttft_s"], SECOND, 3),
        figure(each["concurrency"], 3),
        *sides,
    ]
