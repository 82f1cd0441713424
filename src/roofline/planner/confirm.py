"""Confirms configurations that meet limits in closed form by a short simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import frozen

from roofline.core.text import figure
from roofline.core.values import Record
from roofline.planner.simulate import simulate
from roofline.planner.traffic import drawn
from roofline.results.estimate import Estimate
from roofline.results.limits import Limit
from roofline.results.records import plain
from roofline.results.simulation import Simulation
from roofline.workload.questions import Serve

_OPEN: Final = 4000
_LEAST: Final = 1500
_EACH: Final = 8.0
_MOST: Final = 20_000.0
_REPLICAS: Final = 8.0
_WARM: Final = {True: 0.3, False: 0.1}
"""Part of the requests that is left out at the beginning: of a closed loop, which starts all at once, and of an open one."""


@frozen(eq=False)
class Confirmation:
    """A configuration that was simulated.

    Attributes:
        place: of the configuration among all.
        requests: requests that were simulated and counted.
        replicas: replicas of the configuration; those that were simulated take their share of the load.
        times: seconds, by the name of a limit.
        limits: that were asked.
        tokens_per_second_per_chip: output tokens of that time; NaN where it is too short to say.
    """

    place: int
    requests: int
    replicas: float
    times: Mapping[str, float]
    limits: Sequence[Limit]
    tokens_per_second_per_chip: float = np.nan

    @property
    def met(self) -> bool:
        """Whether all limits are met."""
        return all(bool(each.met_by(self.times[each.name])) for each in self.limits)

    def __str__(self) -> str:
        times = ", ".join(each.written(self.times[each.name]) for each in self.limits)
        each = self.tokens_per_second_per_chip
        rate = "" if np.isnan(each) else f"; {figure(each, 3)} tokens/s per chip"
        return f"a simulation of {figure(self.requests)} requests: {times}{rate}"

    def to_dict(self) -> Record:
        """Return it under the names of the machine-readable form."""
        return {
            "requests": self.requests, "replicas": self.replicas, "met": self.met,
            "output_tokens_per_s_per_chip": plain(self.tokens_per_second_per_chip),
            "limits": [each.record(self.times[each.name]) for each in self.limits],
        }  # fmt: skip


def shortly(est: Estimate) -> Simulation:
    """Return a simulation of a service in closed form, as short as its percentiles allow: of at most eight of its replicas."""
    q, layout = cast("Serve", est.question), est.layout
    part = min(float(layout.replicas), _REPLICAS) / float(layout.replicas)
    some = attrs.evolve(layout, replicas=float(layout.replicas) * part)
    if q.rate is not None:
        trace = drawn(attrs.evolve(q, rate=q.rate * part), _OPEN)
    else:
        flying = max(round(float(cast("Any", q.concurrency)) * part), 1)
        count = int(np.clip(_EACH * flying, _LEAST, max(_MOST, 3.0 * flying)))
        if q.requests_per_slot is not None:
            count = max(round(float(q.requests_per_slot) * flying), flying)
        trace = drawn(attrs.evolve(q, concurrency=float(flying)), count)
    return simulate(
        q.model, est.system, trace, some, level=est.calibration, draft_tokens=int(q.draft_tokens), accept_length=_given(q.accept_length),
        chunk=_given(q.chunk), imbalance=_given(q.imbalance),
    )  # fmt: skip


def _given(value: Any) -> float | None:
    return None if value is None else float(value)


def settled(sim: Simulation, limits: Iterable[Limit], *, warm: float) -> tuple[dict[str, float], int]:
    """Return the times of a simulation by the names of limits, and of how many requests.

    Args:
        warm: part of the requests that is left out at the beginning; so are those that come after the last arrival of a closed loop.
    """
    c = sim.columns
    come = np.sort(c["arrival_s"])
    if not come.size:
        return {each.name: np.inf for each in limits}, 0
    mine = c["arrival_s"] >= come[int(come.size * warm)]
    out = {}
    for each in limits:
        values = c[f"{each.time}_s"][mine]
        values = values[np.isfinite(values)]
        at = np.mean if each.percent is None else lambda some, p=each.percent: np.percentile(some, p)
        out[each.name] = float(at(values)) if values.size else float("nan")
    return out, int(mine.sum())


def output_rate(sim: Simulation, *, warm: float) -> float:
    """Return output tokens a second and chip between the first request that counts and the last arrival; NaN if no time lies between.

    Args:
        warm: part of the requests that is left out at the beginning.
    """
    c = sim.columns
    come = np.sort(c["arrival_s"])
    if not come.size or come[-1] <= come[int(come.size * warm)]:
        return float("nan")
    start, end = float(come[int(come.size * warm)]), float(come[-1])
    done = c["arrival_s"] + c["e2e_s"]
    tokens = float(c["output_len"][(done >= start) & (done <= end)].sum())
    return tokens / (end - start) / float(sim.chips)


def confirmations(
    places: Iterable[int], at: Callable[[int], Estimate], limits: Sequence[Limit], most: int
) -> tuple[Confirmation, ...]:
    """Return simulations of the first of some configurations, until one meets all limits, or ``most`` were tried.

    A configuration is passed over if it would miss a limit by as much as the last one that was simulated missed its closed form.

    Args:
        places: of the configurations that meet the limits in closed form, the best first; ``at``: the configuration at a place.
    """
    factor = dict.fromkeys((each.name for each in limits), 1.0)
    out: list[Confirmation] = []
    for looked, place in enumerate(places):
        if len(out) == most or looked == _LOOKED:
            break
        est = at(place)
        closed = {each.name: float(each.of(est)) for each in limits}
        if any(closed[each.name] * factor[each.name] > each.most for each in limits):
            continue
        sim = shortly(est)
        q = cast("Serve", est.question)
        warm = 0.0 if q.requests_per_slot is not None else _WARM[q.rate is None]
        times, count = settled(sim, limits, warm=warm)
        out.append(
            Confirmation(
                int(place), count, float(est.layout.replicas), times, tuple(limits), output_rate(sim, warm=warm)
            )
        )
        if out[-1].met:
            break
        factor = {name: max(factor[name], times[name] / closed[name]) for name in factor}
    return tuple(out)


_LOOKED: Final = 512
"""Configurations that are looked at, in the order of the objective."""
