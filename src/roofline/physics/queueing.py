r"""How requests queue for an engine: cadence, waits and their distribution, all counted in steps or in given times.

A request passes its prompt of I tokens in s chunks of at most C, then emits O tokens, a in each of G = (O - 1) / a further steps. n
requests are in flight on each attention rank, so in a cycle of K steps the rank passes n prompts, each of which occupies it for
q = s / c steps, c prompts going into one chunk. A prompt waits w steps for those before it: the mean wait of a queue (Pollaczek and
Khinchin; lengths vary by v) whose n - 1 other customers come back once a cycle,

.. math:: K = G + s + w, \qquad 2 w (K - (n - 1) q) = (n - 1) q^2 (1 + v^2), \qquad K \ge n q .

So :math:`\lambda = n / K` prompts begin in a step, a share f of a rank's steps passes prompts, and a step in which any rank of a
group in lock-step does is a *mixed* one (Orca, OSDI 2022; Sarathi-Serve, arXiv:2403.02310), which takes longer for all. Ranks that
began at once pass prompts together, until lengths that vary draw them apart: their cycles begin within :math:`\sqrt{12 k}\,v\,G`
steps of each other in the k-th. Requests that come at random wait in a queue of their own, in time (:func:`queue`).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, Final, cast

import numpy as np
from attrs import frozen

from roofline.core.arrays import ceil, floor, larger, pick, share, smaller
from roofline.core.units import MICRO, Count, Num, PerSecond, Ratio, Seconds
from roofline.hardware.engines import Engine
from roofline.workload.questions import Serve

_ALWAYS: Final = float(np.nextafter(1.0, 0.0))
"""A share of steps that is as good as all of them."""


@frozen(eq=False)
class Cadence:
    """How often what happens in a service, counted in steps.

    Attributes:
        gaps: steps in which a request emits tokens after its first.
        chunks: steps that pass its prompt.
        wait: steps for which it waits before that.
        cycle: steps from its arrival to its last token.
        chunk: tokens of a chunk on average, of the longest of a step.
        together: prompts in a chunk on average.
        most: prompts in a chunk at most.
        arrivals: prompts that begin in a step on an attention rank, besides the one that is looked at.
        passing: share of an attention rank's steps that pass prompts.
        mixed: share of a request's decode steps in which another rank of its group, or its own, passes prompts.
        busy: ranks of a group that pass prompts in such a step.
        decoding: share of the others that are decoding.
    """

    gaps: Count
    chunks: Count
    wait: Count
    cycle: Count
    chunk: Count
    together: Count
    most: Count
    arrivals: Count
    passing: Ratio
    mixed: Ratio
    busy: Count
    decoding: Ratio


def cadence(
    input: Count, gaps: Count, requests: Count, ranks: Count, chunk: Count,
    *, variation: Ratio = 0.0, slots: Count | None = None, random: bool = False, lag: Count = 0.0,
    gathered: Ratio = 0.0,
) -> Cadence:  # fmt: skip
    """Return the cadence of ``requests`` on each of ``ranks`` attention ranks in lock-step.

    Args:
        input: tokens of a prompt; ``chunk``: those an attention rank passes in a step at most.
        gaps: decode steps of a request.
        requests: in flight on each rank, on average; below one where some ranks have none.
        variation: standard deviation of the lengths over their mean.
        slots: requests that each slot serves, all having begun at once; None for a service that has run for long.
        gathered: how far ranks hold prompts back until all of them have some, and pass them in the same steps, from 0 to 1.
        random: requests come at random, whatever happens to others; those who wait for their prompts are not counted.
        lag: steps for which a request waits for the end of the one in progress when it comes.
    """
    full, most = larger(input / chunk, 1.0), larger(chunk / input, 1.0)
    others = requests if random else larger(requests - 1, 0.0)
    # Where prompts wait for each other every chunk is full; where one is alone, its last chunk is not.
    work = input / chunk
    waiting = (
        smaller(others * work / (gaps + full), 1.0)
        if random
        else share(others * work, larger(gaps + full, requests * work))
    )
    alone = whole_steps(input / chunk, variation)
    chunks = alone + (full - alone) * waiting
    hold = chunks / most
    # The root of the quadratic above in w.
    slack = others * hold - gaps - chunks - lag
    wait = (slack + np.sqrt(slack * slack + 2 * others * hold * hold * (1 + variation * variation))) / 2 + lag
    cycle = gaps + chunks if random else larger(gaps + chunks + wait, requests * hold)
    rate = requests / cycle
    apart = others / larger(requests, 1.0)
    # Prompts that begin in the same step go together: Poisson arrivals, given that there is one.
    crowd = rate / -np.expm1(-rate)
    together = smaller(1 + (crowd - 1) * apart, most)
    passing = smaller(rate * chunks / together, _ALWAYS)
    group = larger(requests * ranks, 1.0)
    own = passing * apart
    seen = ranks if random else ranks * (1 - 1 / group)
    loose = 1.0 if slots is None else _loose(passing, ranks, variation * gaps / cycle, slots)
    mixed = own + larger(_any(passing, seen) - own, 0.0) * loose * (1 - gathered)
    busy = pick(mixed > 0, smaller(ranks * share(passing, larger(mixed, passing)), ranks), 1.0)
    # Of several ranks in a step the one with the longest chunk counts.
    longest = input / chunks + (input / full - input / chunks) * (1 - 1 / larger(busy, 1.0))
    return Cadence(
        gaps=gaps, chunks=chunks, wait=cycle - gaps - chunks, cycle=cycle,
        chunk=longest, together=together, most=most, arrivals=rate * apart, passing=passing, mixed=mixed,
        busy=busy, decoding=gaps / cycle,
    )  # fmt: skip


def whole_steps(parts: Num, variation: Ratio) -> Count:
    r"""Return the mean of :math:`\lceil x \rceil` where x is spread evenly, with this mean and standard deviation over the mean.

    A law without cliffs: a prompt of 8,193 tokens takes about as long as one of 8,192, unless all are exactly so long.

    >>> [round(float(whole_steps(mean, spread)), 6) for mean, spread in ((1.0, 0.0), (1.0, 0.2), (2.5, 0.2))]
    [1.0, 1.5, 3.0]
    """
    half = parts * smaller(3**0.5 * variation, 1.0)
    low, high = parts - half, parts + half

    def summed(x: Num) -> Num:
        n = floor(x)
        return n * (n + 1) / 2 + (n + 1) * (x - n)

    even = high - low > _NARROW
    mean = (summed(high) - summed(low)) / pick(even, high - low, 1.0)
    return larger(pick(even, mean, ceil(parts)), 1.0)


_NARROW: Final = MICRO


def residual(mixed: Ratio, decode: Seconds, lasts: Seconds) -> Seconds:
    r"""Return how long the step in progress still takes when a request comes: :math:`E\,T^2 / 2\,E\,T` (renewal theory).

    Args:
        mixed: share of the steps that last ``lasts``; the others last ``decode``.
    """
    mean = (1 - mixed) * decode + mixed * lasts
    return share((1 - mixed) * decode * decode + mixed * lasts * lasts, 2 * mean)


def _any(chance: Ratio, draws: Count) -> Ratio:
    """Return the chance that one of so many independent draws hits: ``1 - (1 - chance)^draws``."""
    return -np.expm1(draws * np.log1p(-chance))


def _loose(passing: Ratio, ranks: Count, variation: Ratio, slots: Count) -> Ratio:
    r"""Return how far ranks that began at once pass their prompts apart, from 0 to 1, on average over ``slots`` cycles.

    In the k-th cycle after the first, prompts begin in a share :math:`W_k = \min(1, f + \sqrt{12 k}\,v)` of it, v the variation
    of its length, so that some rank passes them in :math:`W_k (1 - (1 - f/W_k)^R)` of its steps.
    """
    full = _any(passing, ranks) - passing
    apart: Num = 0.0
    for when in _PARTS:
        k = 1 + larger(slots - 2, 0.0) * when
        window = smaller(passing + np.sqrt(12 * k) * variation, 1.0)
        apart = apart + window * _any(smaller(passing / window, _ALWAYS), ranks) - passing
    part = pick(full > _SHORT, apart / len(_PARTS) / pick(full > _SHORT, full, 1.0), 1.0)
    return smaller(larger(part, 0.0), 1.0) * (1 - 1 / slots)


_PARTS: Final = (0.125, 0.375, 0.625, 0.875)
"""Where in its course a benchmark is looked at."""


def first_token(c: Cadence, decode: Seconds, mixed: Seconds) -> Count:
    """Return the time to the first token in mixed steps: those it waits, and those of its prompt.

    A prompt shares its chunk with those that begin in the same step, more than a mixed step has on average.
    """
    crowd = smaller(1 + c.arrivals, c.most) / c.together
    return c.wait + c.chunks * pick(c.most > 1, 1 + (crowd - 1) * larger(1 - decode / mixed, 0.0), 1.0)


@frozen(eq=False)
class Pace:
    """The times of a request in a service, from those of its steps.

    Attributes:
        steps: mixed steps to the first token in steady state.
        late: what comes on top: the time of those who began with it, or, of what comes at random, all that it waits.
        disturbed: of its decode steps, those that pass prompts of others.
        first: time to the first token.
        rest: time from the first token to the last.
        waits: how the time to the first token is distributed.
    """

    steps: Count
    late: Seconds
    disturbed: Count
    first: Seconds
    rest: Seconds
    waits: Waits


def queue(
    c: Cadence, rate: PerSecond, decode: Seconds, mixed: Seconds, *, variation: Ratio, coming: Ratio, busy: Ratio
) -> Seconds:
    r"""Return how much longer a prompt takes that comes at random than one that comes when an engine is idle.

    Prompts of a step or more wait as for one server that is away for a decode step when it has none: with S the time of a prompt,
    :math:`\rho = \lambda S`, :math:`S \rho (a^2 + v^2) / 2 (1 - \rho) + t_{decode} / 2` (Pollaczek and Khinchin; Kingman). Of
    shorter ones all that came in a step go into the next, which lasts :math:`t_{decode} + \tau` for each: with
    :math:`\rho = \lambda \tau`, :math:`E T = t_{decode} / (1 - \rho)` and
    :math:`\mathrm{var}\,T = a^2 \lambda \tau^2\,E T / (1 - \rho^2)`. One comes :math:`R = E T^2 / 2 E T` before the end of such a
    step, and shares the next with those that came in it: :math:`R (1 + 2 \rho)`.

    Args:
        rate: requests a second on an attention rank; NaN is returned where it cannot pass them.
        variation: v, of the lengths of prompts; ``coming``: :math:`a^2`, variance of the gaps between requests over their mean
            squared.
        busy: share of the time in which the engine is in a step.
    """
    cost = larger(mixed - decode, 0.0)
    each = c.chunks * pick(c.most > 1, cost / c.together, mixed)
    load = rate * each
    able = load + pick(c.most > 1, rate * decode / c.most, 0.0) < 1
    left = pick(able, 1 - load, 1.0)
    alone = each * load * (coming + variation * variation) / (2 * left) + busy * decode / 2
    mean = decode / left
    squared = mean * mean + coming * load * each * mean / (left * (1 + load))
    shared = busy * squared / (2 * mean) * (1 + 2 * load)
    return pick(able, pick(c.most > 1, shared, alone), np.nan)


def pace(
    question: Serve, engine: Engine, c: Cadence, decode: Seconds, mixed: Seconds,
    *, requests: Count, ranks: Count = 1.0, lanes: Count = 1.0, lag: Count = 0.0, variation: Ratio | None = None,
    packed: Seconds | None = None,
) -> Pace:  # fmt: skip
    """Return the times of a request whose steps take ``decode``, or ``mixed`` where they pass prompts.

    A benchmark of r requests a slot starts them all at once: ``((n + c) / 2 - ahead) / r`` prompts more than in steady state are
    ahead of one, on average. Requests of equal length that end together begin together: the engine's ``crowd``; and where prompts
    go before decode steps they keep together, ``(n + c) / 2``.

    Args:
        requests: n in flight on an attention rank.
        ranks: attention ranks in lock-step; ``lanes``: those of all replicas, to which requests that come at random go by turns.
        lag: mixed steps of the wait for the end of the step in progress, which ``c`` counts.
        variation: of what is read of a prompt; None for that of the lengths.
        packed: time of a step with as many prompts as a chunk holds, which those who begin together share; by default each prompt adds
            the same.
    """
    varied = question.variation if variation is None else variation
    if question.rate is not None:
        return _coming(question, c, decode, mixed, requests=requests, ranks=ranks, lanes=lanes, variation=varied)
    slots = question.requests_per_slot
    steps = first_token(c, decode, mixed)
    cost = larger(mixed - decode, 0.0)
    prompt = c.chunks * cost / c.together
    ahead = share(steps * mixed - decode, prompt)
    shared = smaller(c.most, larger(requests, 1.0))
    each = prompt if packed is None else pick(c.most > 1, larger(packed - decode, 0.0) / shared, prompt)
    full = (requests + smaller(c.most, larger(requests, 1.0))) / 2
    begun = larger(full - larger(ahead, 1.0), 0.0)
    ramp: Num = 0.0 if slots is None else begun / slots
    alike = (question.variation <= ALIKE) * 1.0
    crowd = alike * larger(1 + smaller(engine.crowd, larger(requests - 1, 0.0)) - ahead, 0.0)
    bunched = alike * engine.bunched * larger(full - larger(ahead + crowd + ramp, 1.0), 0.0)
    # A prompt that is held back waits for half of the time between the passes of a rank.
    held = engine.gathered * (1 - 1 / ranks) * larger(1 / larger(c.passing, _SHORT) - 1, 0.0) / 2
    late = (ramp + crowd + bunched) * each + smaller(held, c.gaps) * decode
    # Prompts that a request waits for do not disturb it again.
    disturbed = larger(c.gaps * c.mixed - (ramp + crowd + bunched) * c.chunks / c.together, 0.0)
    first = steps * mixed + late
    weight: Num = 0.0 if slots is None else 1 / slots
    later = larger(1 - weight, _SHORT)
    lone = c.chunks * (decode + cost / c.together)
    # Where hardly anybody decodes, all wait for nearly as long: a round of the others.
    waits = Waits(
        base=lone, chance=pick(c.most > 1, 1.0, c.passing), queue=larger(steps * mixed - lone - lag * mixed, 0.0),
        group=crowd * each / later, bunched=bunched * each / later, weight=weight, begun=begun * each,
        own=lone, variation=varied, step=decode * (lag > 0), lasts=mixed * (lag > 0),
        often=share(c.mixed * mixed, (1 - c.mixed) * decode + c.mixed * mixed), loose=np.sqrt(c.decoding),
    )  # fmt: skip
    return Pace(steps, late, disturbed, first, (c.gaps - disturbed) * decode + disturbed * mixed, waits)


def _coming(
    question: Serve, c: Cadence, decode: Seconds, mixed: Seconds, *, requests: Count, ranks: Count, lanes: Count,
    variation: Ratio,
) -> Pace:  # fmt: skip
    """Return the times of a request that comes at random.

    A rank passes prompts for a share of the time; of the steps it is less, since those last longer.
    """
    rate = cast("Num", question.rate) / lanes
    cost = larger(mixed - decode, 0.0)
    lone = c.chunks * (decode + cost / c.together)
    wait = queue(c, rate, decode, mixed, variation=variation, coming=1 / lanes, busy=-np.expm1(-requests))
    load = smaller(rate * c.chunks / c.together * mixed, _ALWAYS)
    busy = -np.expm1(-requests)
    steps = _disturbed(c, rate, decode, mixed, ranks)
    taken = share(steps, c.gaps)
    # Of those that came while it waited, all pass while it decodes; where it ends, few are left, as most steps pass none.
    behind = larger(rate * (lone + wait) * (1 - share(taken, load)), 0.0) * c.chunks / c.together
    disturbed = smaller(steps + behind * share(mixed, (1 - load) * mixed + load * decode), c.gaps)
    # It meets a decode step, or one that passes prompts; chunks of one prompt or more are the queue's.
    met = busy * decode
    long = pick(c.most > 1, busy * mixed, 0.0)
    waits = Waits(
        base=lone, chance=larger(load, _SHORT), queue=larger(wait - ((1 - load) * met + load * long) / 2, 0.0), group=0.0,
        bunched=0.0, weight=0.0, begun=0.0, own=lone, variation=variation, step=met, lasts=long, often=load,
    )  # fmt: skip
    return Pace(lone / mixed, wait, disturbed, lone + wait, (c.gaps - disturbed) * decode + disturbed * mixed, waits)


def _disturbed(c: Cadence, rate: PerSecond, decode: Seconds, mixed: Seconds, ranks: Count) -> Count:
    """Return in how many of its decode steps prompts pass that come at random, ``rate`` a second on each rank."""
    taken = _any(smaller(rate * c.chunks / c.together * mixed, _ALWAYS), ranks)
    return c.gaps * share(taken * decode, taken * decode + (1 - taken) * mixed)


def saturation(c: Cadence, decode: Seconds, mixed: Seconds, *, places: Count, ranks: Count, lanes: Count) -> PerSecond:
    """Return the most requests a second that a service answers when they come at random: what its prompts, or its places, allow.

    Args:
        c: the cadence with all of the ``places`` taken, and ``decode`` and ``mixed`` its steps.
        ranks: attention ranks in lock-step; ``lanes``: those of all replicas.
    """
    cost = larger(mixed - decode, 0.0)
    each = c.chunks * pick(c.most > 1, decode / c.most + cost / c.together, mixed)
    low: Num = 0.0 * each
    high: Num = lanes / each
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        disturbed = _disturbed(c, middle / lanes, decode, mixed, ranks)
        enough = middle * (c.chunks * (decode + cost / c.together) + c.gaps * decode + disturbed * cost) >= places
        low, high = pick(enough, low, middle), pick(enough, middle, high)
    return low


ALIKE: Final = 0.05
"""A variation of lengths below which they are the same."""


def none_free(servers: Count, load: Ratio) -> Ratio:
    r"""Return the chance that one of so many places is not free, :math:`\rho^{\sqrt{2(m+1)} - 1}`, as in :func:`full_house`."""
    return load ** (np.sqrt(2 * (servers + 1)) - 1)


def full_house(servers: Count, load: Ratio, service: Seconds, variation: Ratio) -> Seconds:
    r"""Return the mean wait for one of many places when requests come at random.

    :math:`T\,\frac{1 + v^2}{2}\,\frac{\rho^{\sqrt{2(m+1)} - 1}}{m\,(1 - \rho)}` (Sakasegawa, Ann. Inst. Statist. Math. 29, 1977).

    Args:
        servers: places m, each of which is held for ``service`` T, with this variation v.
        load: share :math:`\rho` of them that is taken; at 1 the wait has no end (NaN).

    >>> float(full_house(1.0, 0.5, 1.0, 1.0))
    1.0
    """
    room = larger(1 - load, 0.0)
    wait = service * (1 + variation * variation) / 2 * none_free(servers, load) / servers
    return pick(room > 0, wait / pick(room > 0, room, 1.0), np.nan)


@frozen(eq=False)
class Waits:
    """How the time to the first token is distributed.

    Of those that began at once, a share ``weight`` of all, one waits evenly between ``base`` and twice the mean more. The others
    wait behind a queue with ``chance``, exponentially, or evenly behind a bunch of their like.

    Attributes:
        base: what every request takes.
        chance: chance that there is a queue.
        queue: mean wait in a queue.
        group: wait with those that end and begin with it.
        bunched: mean wait behind those that keep together for ever.
        weight: share of all that began at once.
        begun: mean wait in the first wave besides ``base``.
        place: wait for a place, which those of the first wave have half of; 0 where all have one.
        own: part of ``base`` that grows with the request's own prompt.
        variation: standard deviation of lengths over their mean.
        step: time of the one length of step that a request may meet in progress.
        lasts: time of the other length of step that it may meet in progress.
        often: chance that the step it meets is of the second length.
        loose: how far waits in the queue vary: 1 as an exponential, 0 not at all.
    """

    base: Seconds
    chance: Ratio
    queue: Seconds
    group: Seconds
    bunched: Seconds
    weight: Ratio
    begun: Seconds
    place: Seconds = 0.0
    own: Seconds = 0.0
    variation: Ratio = 0.0
    step: Seconds = 0.0
    lasts: Seconds = 0.0
    often: Ratio = 0.0
    loose: Ratio = 1.0

    def below(self, time: Seconds) -> Ratio:
        """Return the share of requests that have their first token by then."""
        # Nodes of the own length and of the step in progress on an axis before all others.
        shape = np.broadcast_shapes(
            *(np.shape(each) for each in (time, self.base, self.queue, self.place, self.own, self.often))
        )
        axis = (slice(None), *(None,) * len(shape))
        z, w, u, long = (each[axis] for each in _NODES)
        sigma = np.sqrt(np.log1p(self.variation * self.variation))
        length = np.exp(sigma * z - sigma * sigma / 2)
        moved = self.own * (length - 1) + u * pick(long, self.lasts, self.step)
        part = w * pick(long, self.often, 1 - self.often)
        return cast("Num", (part * self._below(time - moved)).sum(axis=0)[()])

    def _below(self, time: Seconds) -> Ratio:
        """Return the same of requests of the mean length that meet no step in progress."""
        crowded = self.bunched > self.queue
        # Of a wait that is nearly the same for all, only a part is spread out.
        mean = share(self.queue, self.chance)
        start = self.base + self.place + self.group + pick(crowded, self.queue, 0.0)
        late = larger(time - start, 0.0)
        fixed = (1 - self.loose) * mean
        with np.errstate(over="ignore"):
            even = smaller(share(late, 2 * self.bunched), 1.0)
            tail: Any = 1 - self.chance * np.exp(-share(larger(late - fixed, 0.0), self.loose * mean))
            tail = pick(late < fixed, 1 - self.chance, tail)
            wave = smaller(share(larger(time - self.base, 0.0), 2 * self.begun + self.place), 1.0)
        steady = pick(time >= start, pick(crowded, even, tail), 0.0)
        return self.weight * pick(time >= self.base, wave, 0.0) + (1 - self.weight) * steady

    def percentile(self, p: Num) -> Seconds:
        """Return the time by which p per cent of requests have their first token, by halving an interval."""
        part = p / PERCENT
        longest = np.exp(_FARTHEST * np.sqrt(np.log1p(self.variation * self.variation)))
        low: Any = 0.0 * self.base
        tail = share(self.queue, self.chance) * -np.log1p(-smaller(part, _ALWAYS))
        # With room for what nodes of lengths and chances leave of a part.
        high: Any = (
            self.base + self.own * longest + self.place + self.group + self.queue + 2 * (self.bunched + self.begun)
        )
        high = high + self.step + self.lasts + _FARTHEST * tail
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            enough = self.below(middle) >= part
            low, high = pick(enough, low, middle), pick(enough, middle, high)
        return cast("Num", high)


@frozen(eq=False)
class Gaps:
    r"""How the time per output token of requests is distributed, and the time between two of their steps.

    A request decodes for a base time, and while it does some prompts of others pass, each of which adds as much: a compound Poisson
    sum, taken as lognormal with its mean and variance.

    Attributes:
        base: time of the decode steps of a request that meets no prompt.
        tokens: tokens that it gets after its first.
        prompts: prompts passed meanwhile, on average.
        each: time that one prompt adds.
        variation: standard deviation of that time over its mean.
        step: time of a decode step.
        mixed: time of a decode step that passes prompts too.
        often: share of the decode steps that pass prompts too.
        bursts: variance of what passes over that of a Poisson sum. Where requests come at random, each prompt lengthens the answer,
            so that :math:`\mu` more pass on average: a branching process, whose totals (Borel) make it :math:`1 / (1 - \mu)^2`.
    """

    base: Seconds
    tokens: Count
    prompts: Count
    each: Seconds
    variation: Ratio
    step: Seconds
    mixed: Seconds
    often: Ratio
    bursts: Ratio = 1.0

    def percentile(self, p: Num) -> Seconds:
        """Return the time per output token that p per cent of requests stay below."""
        spread = share(self.bursts * (1 + self.variation * self.variation) ** 2, self.prompts)
        sigma = np.sqrt(np.log1p(spread))
        z = np.vectorize(NormalDist().inv_cdf, otypes=[float])(np.asarray(p) / PERCENT)[()]
        added = self.prompts * self.each * np.exp(sigma * z - sigma * sigma / 2)
        return pick(self.tokens > 0, share(self.base + added, self.tokens), np.nan)

    def between(self, p: Num) -> Seconds:
        """Return the time between two steps that p per cent of them stay below."""
        return pick(p / PERCENT <= 1 - self.often, self.step, self.mixed)


def _nodes() -> tuple[Any, Any, Any, Any]:
    """Return standard normal quantiles, their weights, parts of a step that is in progress, and whether it is a long one."""
    # The percentiles that are asked most lie inside a cell.
    edges = np.array([0.0, 0.03, 0.12, 0.28, 0.42, 0.58, 0.74, 0.86, 0.935, 0.975, 0.995, 1.0])
    normal = NormalDist()
    z = [normal.inv_cdf(float(each)) for each in (edges[:-1] + edges[1:]) / 2]
    parts = (np.arange(_PIECES) + 0.5) / _PIECES
    grid = np.meshgrid(np.arange(len(z)), parts, [0.0, 1.0], indexing="ij")
    which, u, long = (each.ravel() for each in grid)
    i = which.astype(int)
    return np.array(z)[i], np.diff(edges)[i] / _PIECES, u, long > 0


_PIECES: Final = 4
_FARTHEST: Final = 3.0
_NODES: Final = _nodes()


PERCENT: Final = 100.0
_HALVINGS: Final = 40
_SHORT: Final = 1e-8
