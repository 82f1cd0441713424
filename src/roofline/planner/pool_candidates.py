r"""Pairs of pools: every prefill layout with every decode layout and load, in every ratio.

A *unit* is one replica of a layout. One that reads passes prompts at a rate of its own, one that decodes with B requests makes
:math:`\mu = B / Z`, Z the time from first token to last. With x units that read and y that decode

.. math:: \lambda = y \mu < x R, \qquad \mathrm{TTFT} = w(\lambda) + T' + s, \qquad N = \lambda (\mathrm{TTFT} + Z),

s the exposed part of the transfer and half a step; the wait w and the pass T' are those of :mod:`roofline.physics.pool_queueing`. So a layout is priced
once, whatever it is paired with, and pairs are outer products of numbers (rate matching: DistServe, arXiv:2401.09670). A unit that
another of as many ranks beats in rate and in time is not paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Final

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask, floor, larger
from roofline.core.errors import QuestionError, fault
from roofline.core.remember import Lazy
from roofline.core.units import Num, Ratio, Watts
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.passes import decode_capacity
from roofline.models.architecture import Model
from roofline.operators.feasibility import serving_rules
from roofline.physics.energy import total
from roofline.physics.pool_queueing import Lanes
from roofline.planner.candidates import grid, loads, ranks_of
from roofline.planner.evaluation import TABLE, answer, stepping
from roofline.planner.frontier import ROUNDED
from roofline.planner.pools import exposed, transfer
from roofline.results.energy import parts as power_parts
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Serve, tokens_per_step

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_STEP: Final = float(np.exp2(1 / 4))
"""Units that read, each number of them over the one before."""
_FULL: Final = (0.95, 0.8, 0.6)
"""How busy lanes are at most, where the chips leave a choice of units that decode beside them."""
_ROUNDS: Final = 3
_NUMBERED: Final = 1 << 10
"""Pairs of units that are numbered at first; each time twice as many as before."""


@frozen(eq=False, slots=False)
class Pairs:
    """Configurations of two pools, on one axis. What takes queueing is computed for the configurations that are asked for.

    Attributes:
        question: the service.
        system: the machine of both pools.
        profile: its constants.
        read: units that prefill, as layouts of one replica.
        made: units that decode, each with so many requests.
        reader: place among ``read`` of each configuration's unit.
        answerer: place among ``made``.
        reading: how many units prefill.
        answering: how many decode.
    """

    question: Serve
    system: System
    profile: Calibration
    read: Reading
    made: Decoding
    reader: Places
    answerer: Places
    reading: Floats
    answering: Floats

    @property
    def size(self) -> int:
        """How many configurations."""
        return len(self.reader)

    def select(self, where: Any) -> Pairs:
        """Return some of the configurations, by their places or a mask."""
        some = (each[where] for each in (self.reader, self.answerer, self.reading, self.answering))
        return self._with(*some)

    def joined(self, other: Pairs) -> Pairs:
        """Return these configurations and others of the same units."""
        return self._with(
            np.append(self.reader, other.reader), np.append(self.answerer, other.answerer),
            np.append(self.reading, other.reading), np.append(self.answering, other.answering),
        )  # fmt: skip

    def _with(self, reader: Places, answerer: Places, reading: Floats, answering: Floats) -> Pairs:
        return attrs.evolve(self, reader=reader, answerer=answerer, reading=reading, answering=answering)

    def layouts(self, place: Any) -> tuple[Layout, Layout]:
        """Return the layouts of both pools of some plans: that which reads, that which decodes."""
        one = self.read.layouts.select(self.reader[place]), self.made.layouts.select(self.answerer[place])
        return attrs.evolve(one[0], replicas=self.reading[place]), attrs.evolve(one[1], replicas=self.answering[place])

    @cached_property
    def chips(self) -> tuple[Floats, Floats]:
        """Chips of either pool."""
        each = self.system.ranks_per_chip
        return self.reading * self.read.ranks[self.reader] / each, self.answering * self.made.ranks[
            self.answerer
        ] / each

    @cached_property
    def used(self) -> Floats:
        """Chips of both pools."""
        return self.chips[0] + self.chips[1]

    @cached_property
    def tpot(self) -> Floats:
        """Time per token after the first."""
        return np.asarray(self.made.tpot[self.answerer])

    @cached_property
    def rate(self) -> Floats:
        """Requests a second."""
        return np.asarray(self.answering * self.made.rate[self.answerer])

    @cached_property
    def hall_power(self) -> Floats | None:
        """Power of the building for both pools, lanes working as much as they prefill; None where no rated power is known."""
        pools = (
            (self.read.demand, self.reader, self.full, self.chips[0]),
            (self.made.demand, self.answerer, 1.0, self.chips[1]),
        )
        each = [_drawn(self.system, demand()[place], working) for demand, place, working, _ in pools]
        if each[0] is None or each[1] is None:
            return None
        return np.asarray(each[0] * pools[0][-1] + each[1] * pools[1][-1])

    @property
    def full(self) -> Floats:
        """Of the lanes, the share of the time in which they prefill."""
        return np.asarray(self.rate / self._lanes(slice(None)).most_per_second)

    @cached_property
    def ttft(self) -> Floats:
        """Time to the first token."""
        # Blocks that stay in cache.
        parts = [self.ttft_of(slice(at, at + TABLE)) for at in range(0, self.reading.size, TABLE)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _lanes(self, place: Any) -> Lanes:
        i = self.reader[place]
        return Lanes(self.reading[place], self.read.alone[i], self.read.full[i], self.read.most[i])

    def ttft_of(self, place: Any) -> Floats:
        """Return the time to the first token of some configurations."""
        q, system, profile = self.question, self.system, self.profile
        i, j, x, y = (each[place] for each in (self.reader, self.answerer, self.reading, self.answering))
        reading, answering = self.read.layouts.select(i), self.made.layouts.select(j)
        lanes, rate, tpot, decoding = self._lanes(place), self.rate[place], self.tpot[place], y * self.made.batch[j]
        sent = transfer(q, system, system, prompts=attrs.evolve(reading, replicas=x), layout=answering, profile=profile)
        seen = exposed(sent, lanes.alone, q.model.depth) + profile.engine.front
        spent, step = (q.output - 1) * tpot, tpot * tokens_per_step(q)
        ttft: Any = lanes.alone + seen
        for _ in range(_ROUNDS):
            # Nobody waits for itself: the others come a little less often than all.
            requests = rate * (ttft + spent)
            wait, own = lanes.queue(rate * larger(1 - 1 / requests, 0.0), q.variation)
            ttft = wait + own + seen - np.expm1(-decoding) * step / 2
        return np.asarray(ttft)

    def requests(self, place: Any) -> Floats:
        """Return the requests in flight of some configurations."""
        spent = (self.question.output - 1) * self.tpot[place]
        return np.asarray(self.rate[place] * (self.ttft_of(place) + spent))


@frozen
class _Working:
    """What a chip asks for of its rated power, at many loads."""

    system: System
    demand: Ratio | None


def _drawn(system: System, demand: Ratio, working: Ratio) -> Watts | None:
    """Return the power of the building for each chip of a pool; None where no rated power is known."""
    each = power_parts(_Working(system, demand), "hall", working)
    return None if each is None else total(each)


@frozen(eq=False, slots=False)
class Pairing:
    r"""All configurations of two pools, those of the greatest rate first where only these are asked for.

    A configuration of x units that read R requests a second on r ranks, and of units that make :math:`\mu` on m, answers

    .. math:: \lambda \le 0.95\,x R, \qquad \frac{\lambda}{\mathrm{ranks}} \le \frac{1}{r / (0.95\,R) + m / \mu} ,

    whatever the numbers of units are: pairs of units are numbered in the order of that bound.

    Attributes:
        question: the service.
        system: the machine of both pools.
        profile: its constants.
        read: units that prefill, as layouts of one replica.
        made: units that decode, each with so many requests.
        ranks: of both pools together, at most.
        refused: units that cannot be laid out.
    """

    question: Serve
    system: System
    profile: Calibration
    read: Reading
    made: Decoding
    ranks: float
    refused: int

    @property
    def misfits(self) -> tuple[int, int]:
        """Units that can be laid out and exceed a chip's memory, of either pool."""
        return self.read.misfits, self.made.misfits

    @property
    def unpaired(self) -> int:
        """Configurations of a pool that another of its size beats."""
        return self.read.beaten + self.made.beaten

    @cached_property
    def all(self) -> Pairs:
        """Every configuration."""
        return self._pairs(*_ratios(self.read, self.made, self.ranks))

    def _pairs(self, reader: Places, answerer: Places, reading: Floats, answering: Floats) -> Pairs:
        return Pairs(
            self.question, self.system, self.profile, self.read, self.made, reader, answerer, reading, answering
        )

    def leading(self, tpot: float, score: Callable[[Pairs], Floats], most: float) -> Iterator[Pairs]:
        """Yield the configurations within a TPOT in the order of :func:`roofline.planner.frontier.order`, the greatest score first, part by part.

        Args:
            score: of configurations; no more than ``most`` times their requests a second for each rank.
        """
        read, made, within = self.read, self.made, np.flatnonzero(~(self.made.tpot > tpot))
        each = (read.ranks / (max(_FULL) * read.rate))[:, None] + (made.ranks / made.rate)[within]
        bound = most * (1 + ROUNDED) / each.ravel()
        order, at, size = np.argsort(-bound, kind="stable"), 0, _NUMBERED
        none: Places = np.empty(0, dtype=np.int64)
        left, value, turn = self._pairs(none, none, np.empty(0), np.empty(0)), np.empty(0), none
        while at < order.size:
            i, j = np.divmod(order[at : at + size], within.size)
            at, size = at + size, 2 * size
            reader, answerer, x, y, again = _numbered(read, made, self.ranks, i, within[j])
            more = self._pairs(reader, answerer, x, y)
            left, value, turn = left.joined(more), np.append(value, score(more)), np.append(turn, again)
            # The pairs of units to come make no more than that.
            ready = value >= (bound[order[at]] if at < order.size else -np.inf)
            some = np.flatnonzero(ready)
            speed = 1 / left.tpot[some]
            some = some[np.lexsort((left.answerer[some], left.reader[some], turn[some], -speed, -value[some]))]
            if some.size:
                yield left.select(some)
            left, value, turn = left.select(~ready), value[~ready], turn[~ready]


def pair(question: Serve, system: System, profile: Calibration, chips: int | None, given: Mapping[str, Num]) -> Pairing:
    """Return every configuration of two pools on so many chips at most.

    Args:
        given: degrees that both pools hold to.

    Raises:
        QuestionError: an answer of one token, which needs no decode pool, or fewer than two chips.
    """
    q, model = question, question.model
    if q.output <= 1:
        raise QuestionError(fault("output", float(q.output), "leaves nothing for a decode pool", "ask for more tokens"))
    ranks = ranks_of(system, chips)
    if ranks < 2 * system.ranks_per_chip:
        raise QuestionError(fault("chips", chips, "two pools take two chips at least"))
    units, refused = _units(model, system, ranks, given)
    read, made = _reading(q, system, units, profile), _decoding(q, system, units, profile)
    return Pairing(q, system, profile, read, made, float(ranks), refused)


@frozen(eq=False)
class Reading:
    """Prefill units on the frontier: their passes over one prompt a lane and over ``most``, and the share of power they ask for."""

    layouts: Layout
    ranks: Floats
    alone: Floats
    full: Floats
    most: Floats
    demand: Lazy[Floats]
    misfits: int
    beaten: int

    @property
    def rate(self) -> Floats:
        """Requests a second of a unit."""
        return np.asarray(self.most / self.full)


@frozen(eq=False)
class Decoding:
    """Units that decode, each with so many requests, none of which is beaten: their time per token, and the share of power they ask for."""

    layouts: Layout
    ranks: Floats
    batch: Floats
    tpot: Floats
    rate: Floats
    demand: Lazy[Floats]
    misfits: int
    beaten: int


def _reading(q: Serve, system: System, units: Layout, profile: Calibration) -> Reading:
    # Ranks in lock-step are one lane.
    most = units.dp * larger(floor(profile.engine.budget / (q.input - q.cached)), 1.0)
    lone = Prefill(q.model, 1.0, q.input, q.cached, q.imbalance)
    alone, whole = (answer(attrs.evolve(lone, batch=prompts), system, units, profile) for prompts in (1.0, most))
    fits = _places(alone.fits, units)
    first, full = (np.asarray(est.ttft)[fits] for est in (alone, whole))
    own = units.select(fits)
    most = np.asarray(most, dtype=np.float64)[fits]
    best = _best(np.asarray(own.ranks), most / full, first)
    own = own.select(best)
    return Reading(
        own, np.asarray(own.ranks), first[best], full[best], most[best], Lazy(partial(_demand, lone, system, own, profile)),
        np.size(units.tp) - len(fits), len(fits) - len(best),
    )  # fmt: skip


def _decoding(q: Serve, system: System, units: Layout, profile: Calibration) -> Decoding:
    tokens = q.input + q.output * larger(profile.engine.reserve, 0.5)
    one = Decode(q.model, units.dp, tokens, q.draft_tokens, q.accept_length, q.imbalance, served=1.0)
    places = np.broadcast_to(decode_capacity(one, system, units, profile)[-1], np.shape(units.tp))
    able = _places(places >= 1, units)
    able_units = units.select(able)
    which, batch = loads(able_units, places[able])
    asked = attrs.evolve(one, context=q.input + q.output / 2)
    tpot = stepping(asked, system, able_units, profile, which=which, batch=batch)
    ranks, rate = np.asarray(able_units.ranks)[which], batch / ((q.output - 1) * tpot)
    best = _best(ranks, rate, tpot)
    own = able_units.select(which[best])
    asked = attrs.evolve(asked, batch=batch[best])
    return Decoding(
        own, ranks[best], batch[best], tpot[best], rate[best], Lazy(partial(_demand, asked, system, own, profile)),
        np.size(units.tp) - len(able), len(which) - len(best),
    )  # fmt: skip


def _demand(question: Prefill | Decode, system: System, units: Layout, profile: Calibration) -> Floats:
    """Return the share of its power that a chip of each unit asks for; NaN where it is not known."""
    found = answer(question, system, units, profile).demand if np.size(units.tp) else None
    return np.broadcast_to(np.asarray(np.nan if found is None else found, dtype=np.float64), np.shape(units.tp))


def _places(where: Mask, units: Layout) -> Places:
    """Return the places of the units where a mask holds."""
    return np.flatnonzero(np.broadcast_to(where, np.shape(units.tp)))


def _units(model: Model, system: System, ranks: int, given: Mapping[str, Num]) -> tuple[Layout, int]:
    """Return every layout of one replica that can be laid out on fewer ranks, on one axis, and how many cannot."""
    parts = []
    for size in (n for n in range(system.ranks_per_chip, ranks, system.ranks_per_chip) if ranks % n == 0):
        try:
            found = grid(model, size, given)
        except QuestionError:
            continue  # no layout of this size has the degrees given
        parts.append(found.select(found.replicas == 1))
    tp, pp, dp, ep = (
        np.concatenate([getattr(part, name) for part in parts] or [np.empty(0)]) for name in ("tp", "pp", "dp", "ep")
    )
    every = Layout(tp, pp, dp, ep, np.ones(len(tp)))
    ok = np.logical_and.reduce(
        [np.broadcast_to(law.ok, np.shape(every.tp)) for law in serving_rules(model, system, every)]
    )
    if not ok.any():
        words = ", ".join(f"{name}={float(value):g}" for name, value in given.items()) or model.name
        raise QuestionError(
            fault("layout", words, f"cannot be laid out on fewer than {ranks} ranks", "two pools share the chips")
        )
    return every.select(ok), int(np.sum(~ok))


def _best(sizes: Floats, rate: Floats, time: Floats) -> Places:
    """Return the places of those that no other of their size beats both in rate and in time."""
    order = np.lexsort((time, -rate, sizes))
    out, size, least = [], -1.0, np.inf
    for place in order:
        if sizes[place] != size:
            size, least = sizes[place], np.inf
        if time[place] < least:
            out.append(place)
            least = time[place]
    return np.array(out, dtype=np.int64)


def _counts(read: Reading, ranks: float) -> Floats:
    """Return how many units may prefill."""
    most = ranks / np.min(read.ranks, initial=ranks)
    return np.asarray(np.unique(np.floor(_STEP ** np.arange(np.log(most) / np.log(_STEP) + 1))))


def _ratios(read: Reading, made: Decoding, ranks: float) -> tuple[Places, Places, Floats, Floats]:
    """Return pairs of units and how many of each, so that they share the ranks and lanes keep up."""
    found: list[list[tuple[Places, Floats, Floats]]] = [[] for _ in _FULL]
    for x in _counts(read, ranks):
        before: Any = 0.0
        left = np.floor((ranks - x * read.ranks[:, None]) / made.ranks)
        for full, parts in zip(_FULL, found, strict=True):
            y = np.minimum(np.floor(full * x * read.rate[:, None] / made.rate), left)
            at = np.flatnonzero((y >= 1) & (y != before))
            parts.append((at, np.full(at.size, x), y.ravel()[at]))
            before = y
    place, x, y = (np.concatenate(each) for each in zip(*(part for parts in found for part in parts), strict=True))
    i, j = np.divmod(place, np.size(made.ranks))
    return i, j, x, y


def _numbered(
    read: Reading, made: Decoding, ranks: float, reader: Places, answerer: Places
) -> tuple[Places, Places, Floats, Floats, Places]:
    """Return the same of some pairs of units, and the turn of each configuration among those of its pair in :func:`_ratios`."""
    count = _counts(read, ranks)
    r, rate = read.ranks[reader, None], read.rate[reader, None]
    m, each = made.ranks[answerer, None], made.rate[answerer, None]
    units_left = np.floor((ranks - count * r) / m)
    y = np.minimum(np.floor(np.array(_FULL)[:, None, None] * count * rate / each), units_left)
    full, pair, x = np.nonzero((y >= 1) & (np.diff(y, axis=0, prepend=0.0) != 0))
    return reader[pair], answerer[pair], count[x], y[full, pair, x], full * count.size + x
