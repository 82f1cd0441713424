r"""All configurations of a service on one pool: layouts x loads x chunks, estimated only as needed.

The frontier, the counts and the reasons take all of them. The configuration with the most tokens/s under limits on times takes few. Along the
loads of a layout the rate and the TPOT rise, but for what whole tiles, chunks and prompts make of them, so that between two loads a
and b that were estimated

.. math:: \mathrm{rate} \le (1 + s) \max(\mathrm{rate}_a, \mathrm{rate}_b), \qquad
          \mathrm{TPOT} \ge (1 - t) \min(\mathrm{TPOT}_a, \mathrm{TPOT}_b) .

Every 36th load is estimated first, then every sixth and all of those between two loads whose bounds leave a configuration that meets the limits
and makes more than the best so far. The slacks s and t are half as wide again as the widest that were seen
(``tests/planner/test_survey.py`` compares such answers with those of all configurations).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import attrs
import numpy as np
from attrs import define
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.remember import Lazy
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.service import served_at_once
from roofline.planner.candidates import CHUNKS, MOST_CANDIDATES, loads
from roofline.planner.evaluation import Progress, answer, listed
from roofline.results.alternatives import Alternative
from roofline.results.estimate import Estimate
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

RATE_SLACK: Final = 0.12
"""By how much the rate of a load between two others may be above both of theirs, as a part: 0.08 was the most that was seen."""
TPOT_SLACK: Final = 0.01
"""By how much its TPOT may be below both of theirs: 0.005 was the most that was seen."""
_STRIDES: Final = (36, 6, 1)
"""Which loads of a layout are estimated: every so many, and the last."""
_BOUNDED: Final = ("ttft", "tpot")
"""Limits under which few configurations need to be estimated."""


@define(eq=False)
class _Known:
    """What is known of the plans: NaN, and False, of those not estimated."""

    rate: Floats
    ttft: Floats
    tpot: Floats
    fits: NDArray[np.bool_]
    estimated: NDArray[np.bool_]

    @classmethod
    def none(cls, shape: tuple[int, int]) -> _Known:
        """Return nothing known."""
        rate, ttft, tpot = (np.full(shape, np.nan) for _ in range(3))
        fits, estimated = (np.zeros(shape, dtype=bool) for _ in range(2))
        return cls(rate, ttft, tpot, fits, estimated)

    def add(self, where: Any, est: Estimate) -> None:
        """Take in what was estimated at some places."""
        self.rate[where], self.fits[where] = est.tokens_per_second_per_chip, est.fits
        self.ttft[where], self.tpot[where] = est.ttft, est.tpot
        self.estimated[where] = True

    def accepted(self, limits: Mapping[str, float]) -> NDArray[np.bool_]:
        """Return where a configuration is known to fit and to meet limits; a time without meaning meets any."""
        return np.asarray(
            np.logical_and.reduce([self.fits, *(~(getattr(self, name) > most) for name, most in limits.items())])
        )


@define(eq=False)
class Survey:
    """All configurations of a service: chunks (first axis) by layouts with each of their loads (second).

    Attributes:
        question: the service.
        chunks: prompt tokens of an attention rank and step.
        system: the machine.
        profile: its constants.
        layouts: on one axis.
        which: the place of each load's layout, in ascending order.
        requests: the requests in flight of each load; None where the question states its own.
        open: what the question leaves open, for the intervals.
        progress: called with the configurations estimated, and all of them.
    """

    question: Serve
    chunks: Floats
    system: System
    profile: Calibration
    layouts: Layout
    which: Places
    requests: Floats | None
    open: Lazy[tuple[Alternative, ...]]
    progress: Progress | None = None
    _plans: Estimate | None = attrs.field(default=None, init=False)
    _known: _Known | None = attrs.field(default=None, init=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Chunks, and layouts with their loads."""
        return len(self.chunks), len(self.which)

    @property
    def estimated(self) -> int:
        """Configurations that were estimated so far."""
        if self._plans is not None:
            return math.prod(self.shape)
        return 0 if self._known is None else int(np.count_nonzero(self._known.estimated))

    @property
    def asked(self) -> tuple[Serve, System, Layout, Calibration]:
        """The question, the machine, the layout and the constants of every configuration."""
        return (
            self._loaded(self.chunks[:, None], slice(None)),
            self.system,
            self.layouts.select(self.which),
            self.profile,
        )

    def _loaded(self, chunk: Num, load: Any) -> Serve:
        """Return the service with some chunks and some of the loads."""
        if self.requests is None:
            return attrs.evolve(self.question, chunk=chunk)
        return attrs.evolve(self.question, chunk=chunk, concurrency=self.requests[load])

    @property
    def plans(self) -> Estimate:
        """The answer for all configurations."""
        return self.complete()

    def complete(self) -> Estimate:
        """Estimate all configurations, and return the answer."""
        if self._plans is None:
            if self.requests is None:
                found = answer(*self.asked, self.progress)
            else:
                found = self._listed(slice(None), self.requests, self.progress)
            self._plans = attrs.evolve(found, open=self.open)
        return self._plans

    def at(self, chunk: int, load: int) -> Estimate:
        """Return one configuration in full."""
        one = self._loaded(self.chunks[chunk], load)
        return attrs.evolve(
            answer(one, self.system, self.layouts.select(self.which[load]), self.profile), open=self.open
        )

    def _listed(self, load: Any, requests: Floats, progress: Progress | None = None) -> Estimate:
        """Return the answer for some of the loads under every chunk."""
        question = attrs.evolve(self.question, chunk=self.chunks[:, None])
        return listed(
            question,
            self.system,
            self.layouts,
            self.profile,
            which=self.which[load],
            requests=requests,
            progress=progress,
        )

    def best(self, limits: Mapping[str, float], above: float = 0.0) -> int | None:
        """Return the place of the configuration with the most tokens/s under limits on times, counted row by row.

        Of two as good it is the one with the lesser TPOT; None where no configuration fits and meets the limits.

        Args:
            above: tokens/s per chip that the configuration has to make: None where it makes less.
        """
        known = self._narrowed(limits, above)
        found = np.flatnonzero(known.accepted(limits))
        rate = known.rate.flat[found]
        if not np.max(rate, initial=-np.inf) >= above:
            return None
        alike = found[rate == rate.max()]
        speed = np.nan_to_num(1 / known.tpot.flat[alike], nan=0.0)
        return int(alike[np.argmax(speed)])

    def _narrowed(self, limits: Mapping[str, float], above: float) -> _Known:
        """Return what is known once every configuration that may be the best under limits was estimated."""
        if self._plans is not None or self.requests is None:
            whole = _Known.none(self.shape)
            whole.add(slice(None), self.plans)
            return whole
        requests, grids = self.requests, [_grid(self.which, stride) for stride in _STRIDES]
        known = self._known = self._known or self._opening(grids[0], requests)
        for wide, narrow in pairwise(grids):
            between = np.flatnonzero(narrow & ~wide)
            places = np.arange(len(wide))
            low = np.maximum.accumulate(np.where(wide, places, 0))[between]
            high = np.minimum.accumulate(np.where(wide, places, len(wide))[::-1])[::-1][between]
            hopeful = _hopeful(known, low, high, limits, above)
            chunk, load = np.nonzero(hopeful & ~known.estimated[:, between])
            self._estimate(known, chunk, between[load])
        return known

    def _opening(self, grid: NDArray[np.bool_], requests: Floats) -> _Known:
        """Return what is known once the loads of a grid were estimated under every chunk."""
        out, places = _Known.none(self.shape), np.flatnonzero(grid)
        out.add((slice(None), places), self._listed(places, requests[places]))
        self._tell(out)
        return out

    def _estimate(self, known: _Known, chunk: Places, load: Places) -> None:
        """Estimate some configurations, each of a chunk and a load."""
        if len(load):
            asked = self._loaded(self.chunks[chunk], load)
            known.add((chunk, load), answer(asked, self.system, self.layouts.select(self.which[load]), self.profile))
            self._tell(known)

    def _tell(self, known: _Known) -> None:
        if self.progress is not None:
            self.progress(int(np.count_nonzero(known.estimated)), math.prod(self.shape))


def _grid(which: Places, stride: int) -> NDArray[np.bool_]:
    """Return which loads of the layouts are the first or the last one, or so many before the last.

    >>> _grid(np.array([0, 0, 0, 0, 0, 1]), 3)
    array([ True,  True, False, False,  True,  True])
    """
    change = np.flatnonzero(np.diff(which)) + 1
    first, end = np.append(0, change), np.append(change, len(which))
    out = (np.repeat(end - 1, end - first) - np.arange(len(which))) % stride == 0
    out[first] = True
    return np.asarray(out)


def _hopeful(known: _Known, low: Places, high: Places, limits: Mapping[str, float], above: float) -> NDArray[np.bool_]:
    """Return where a load between two that are known, each a place, may meet limits and make as much as ``above`` and all that is known."""
    least = np.max(known.rate, initial=above, where=known.accepted(limits))
    both = known.estimated[:, low] & known.estimated[:, high]
    most = np.fmax(known.rate[:, low], known.rate[:, high]) * (1 + RATE_SLACK)
    tpot = np.fmin(known.tpot[:, low], known.tpot[:, high]) * (1 - TPOT_SLACK)
    return np.asarray(both & (most >= least) & ~(tpot > limits.get("tpot", np.inf)))


def survey(
    question: Serve,
    system: System,
    profile: Calibration,
    layouts: Layout,
    *,
    every: bool = True,
    progress: Progress | None = None,
    open: Lazy[tuple[Alternative, ...]],
) -> Survey:
    """Return the service under every chunk and under every layout with each of its loads.

    A layout's loads go from one request a replica to as many as have their caches in memory, in steps of an eighth of an octave; all
    ranks, or at least all replicas, have as many requests. A chunk that is given is the only one.

    Args:
        layouts: on one axis.
        every: try every load, not only the question's own.
        progress: called with the configurations estimated, and all of them.
        open: what the question leaves open.

    Raises:
        QuestionError: more configurations than a search estimates.
    """
    chunk: Any = _chunks(question.input - question.cached) if question.chunk is None else np.atleast_1d(question.chunk)
    which, requests = np.arange(np.size(layouts.tp)), None
    if every:
        alone = attrs.evolve(question, concurrency=layouts.replicas, chunk=chunk[0])
        which, requests = loads(layouts, served_at_once(alone, system, layouts, profile))
    points = int(np.size(chunk) * np.size(which))
    if points > MOST_CANDIDATES:
        rule = f"a search would estimate {points:,} configurations, and {MOST_CANDIDATES:,} are the most"
        raise QuestionError(
            fault("layout", None, rule, "give some of tp, pp, dp, ep, chunk and concurrency, or fewer chips")
        )
    return Survey(question, chunk, system, profile, layouts, which, requests, open, progress)


def _chunks(read: Num) -> Floats:
    """Return the least chunks that cut prompts of so many tokens into each number of pieces, or put so many of them together."""
    most = np.maximum(np.floor(CHUNKS / read), 1.0)
    pieces = np.ceil(read / CHUNKS)
    own = (np.diff(pieces, prepend=np.inf) < 0) | (np.diff(most, prepend=0.0) > 0)
    return np.asarray(CHUNKS[own])
