r"""Pools priced once and paired: every layout that reads prompts with every layout and load that decodes, in every ratio.

A *unit* is one replica of a layout. One that reads passes prompts at a rate of its own, one that decodes with B requests makes
:math:`\mu = B / Z`, Z the time from first token to last. With x units that read and y that decode

.. math:: \lambda = y \mu < x R, \qquad \mathrm{TTFT} = w(\lambda) + T' + s, \qquad N = \lambda (\mathrm{TTFT} + Z),

s what is seen of the transfer and half a step; the wait w and the pass T' are those of :mod:`roofline.physics.pool_queueing`. So a layout is priced
once, whatever it is paired with, and pairs are outer products of numbers (rate matching: DistServe, arXiv:2401.09670). A unit that
another of as many ranks beats in rate and in time is not paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask, floor, larger
from roofline.core.errors import QuestionError, fault
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators.feasibility import serving_rules
from roofline.physics.pool_queueing import Lanes
from roofline.planner.candidates import grid, loads, ranks_of
from roofline.planner.evaluation import answer
from roofline.planner.pools import exposed, transfer
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Serve, yielded

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_STEP: Final = float(np.exp2(1 / 4))
"""Units that read, each number of them over the one before."""
_FULL: Final = (0.95, 0.8, 0.6)
"""How busy lanes are at most, where the chips leave a choice of units that decode beside them."""
_ROUNDS: Final = 3


@frozen(eq=False)
class Pairs:
    """Plans of two pools, on one axis.

    Attributes:
        readers: units of each plan that prefill, as layouts of one replica.
        reading: how many of them.
        answerers: units of each plan that decode, as layouts of one replica.
        answering: how many of them.
        chips: of either pool.
        requests: in flight.
        ttft: time to the first token.
        tpot: time per token after it.
        rate: requests a second.
        full: of the lanes, the share of the time in which they prefill.
        refused: units that cannot be laid out.
        misfits: of the others, those that exceed a chip's memory, of either pool.
        unpaired: plans of a pool that another of its size beats.
    """

    readers: Layout
    reading: Floats
    answerers: Layout
    answering: Floats
    chips: tuple[Floats, Floats]
    requests: Floats
    ttft: Floats
    tpot: Floats
    rate: Floats
    full: Floats
    refused: int
    misfits: tuple[int, int]
    unpaired: int

    def layouts(self, place: Any) -> tuple[Layout, Layout]:
        """Return the layouts of both pools of some plans: that which reads, that which decodes."""
        one = self.readers.select(place), self.answerers.select(place)
        return attrs.evolve(one[0], replicas=self.reading[place]), attrs.evolve(one[1], replicas=self.answering[place])


def pair(question: Serve, system: System, profile: Calibration, chips: int | None, given: Mapping[str, Num]) -> Pairs:
    """Return every plan of two pools on so many chips at most.

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
    i, j, x, y = _ratios(read, made, float(ranks))
    reading, answering = read.layouts.select(i), made.layouts.select(j)
    lanes = Lanes(x, read.alone[i], read.full[i], read.most[i])
    rate, tpot, decoding = y * made.rate[j], made.tpot[j], y * made.batch[j]
    sent = transfer(q, system, system, prompts=attrs.evolve(reading, replicas=x), layout=answering, profile=profile)
    seen = exposed(sent, lanes.alone, model.depth) + profile.engine.front
    spent, step = (q.output - 1) * tpot, tpot * yielded(q)
    ttft: Any = lanes.alone + seen
    for _ in range(_ROUNDS):
        # Nobody waits for itself: the others come a little less often than all.
        requests = rate * (ttft + spent)
        wait, own = lanes.queue(rate * larger(1 - 1 / requests, 0.0), q.variation)
        ttft = wait + own + seen - np.expm1(-decoding) * step / 2
    return Pairs(
        readers=reading, reading=x, answerers=answering, answering=y,
        chips=(x * read.ranks[i] / system.ranks_per_chip, y * made.ranks[j] / system.ranks_per_chip),
        requests=rate * (ttft + spent), ttft=ttft, tpot=tpot, rate=rate, full=rate / lanes.most_per_second,
        refused=refused, misfits=(read.misfits, made.misfits), unpaired=read.beaten + made.beaten,
    )  # fmt: skip


@frozen(eq=False)
class _Reading:
    """Units that read prompts, none of which is beaten: their passes over one prompt a lane and over ``most``."""

    layouts: Layout
    ranks: Floats
    alone: Floats
    full: Floats
    most: Floats
    misfits: int
    beaten: int

    @property
    def rate(self) -> Floats:
        """Requests a second of a unit."""
        return np.asarray(self.most / self.full)


@frozen(eq=False)
class _Decoding:
    """Units that decode, each with so many requests, none of which is beaten: their time per token."""

    layouts: Layout
    ranks: Floats
    batch: Floats
    tpot: Floats
    rate: Floats
    misfits: int
    beaten: int


def _reading(q: Serve, system: System, units: Layout, profile: Calibration) -> _Reading:
    # Ranks in lock-step are one lane.
    most = units.dp * larger(floor(profile.engine.budget / (q.input - q.cached)), 1.0)
    lone = Prefill(q.model, 1.0, q.input, q.cached, q.imbalance)
    alone, whole = (answer(attrs.evolve(lone, batch=prompts), system, units, profile) for prompts in (1.0, most))
    fits = _places(alone.fits, units)
    first, full = (np.asarray(est.ttft)[fits] for est in (alone, whole))
    own = units.select(fits)
    most = np.asarray(most, dtype=np.float64)[fits]
    best = _best(np.asarray(own.ranks), most / full, first)
    return _Reading(
        own.select(best), np.asarray(own.ranks)[best], first[best], full[best], most[best],
        np.size(units.tp) - len(fits), len(fits) - len(best),
    )  # fmt: skip


def _decoding(q: Serve, system: System, units: Layout, profile: Calibration) -> _Decoding:
    kept = q.input + q.output * larger(profile.engine.reserve, 0.5)
    one = Decode(q.model, units.dp, kept, q.draft_tokens, q.accept_length, q.imbalance, served=1.0)
    room = np.broadcast_to(answer(one, system, units, profile).max_concurrency, np.shape(units.tp))
    able = _places(room >= 1, units)
    which, batch = loads(units.select(able), room[able])
    own = units.select(able[which])
    asked = attrs.evolve(one, batch=batch, context=q.input + q.output / 2)
    tpot = np.asarray(answer(asked, system, own, profile).tpot) if len(which) else np.zeros(0)
    rate = batch / ((q.output - 1) * tpot)
    best = _best(np.asarray(own.ranks), rate, tpot)
    return _Decoding(
        own.select(best), np.asarray(own.ranks)[best], batch[best], tpot[best], rate[best],
        np.size(units.tp) - len(able), len(which) - len(best),
    )  # fmt: skip


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


def _ratios(read: _Reading, made: _Decoding, ranks: float) -> tuple[Places, Places, Floats, Floats]:
    """Return pairs of units and how many of each, so that they share the ranks and lanes keep up."""
    most = ranks / np.min(read.ranks, initial=ranks)
    count = np.unique(np.floor(_STEP ** np.arange(np.log(most) / np.log(_STEP) + 1)))
    x = count[:, None, None]
    room = np.floor((ranks - x * read.ranks[:, None]) / made.ranks)
    before: Any = np.zeros((1, 1, 1))
    found = []
    for full in _FULL:
        y = np.minimum(np.floor(full * x * read.rate[:, None] / made.rate), room)
        at = np.nonzero((y >= 1) & (y != before))
        found.append((at[1], at[2], count[at[0]], y[at]))
        before = y
    i, j, x, y = (np.concatenate(each) for each in zip(*found, strict=True))
    return i, j, x, y
