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

Some engines pass prompts in steps of their own, before decode steps, so that decoding stalls. Counted in decode steps, all that waits is
then passed in between two of them: n / G prompts on average, with G the decode steps of a request, in passes of c. A prompt shares a pass
with those that came with it, and waits for half of what they are more than c.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from attrs import frozen

from roofline.core.arrays import anywhere, ceil, floor, larger, pick, share, smaller
from roofline.core.remember import Lazy
from roofline.core.units import MICRO, Count, Num, PerSecond, Ratio, Seconds
from roofline.hardware.engines import Engine
from roofline.physics.percentiles import Passes, Waits, lengths
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
        work: tokens of a prompt over those of a full chunk.
        together: prompts in a chunk on average.
        most: prompts in a chunk at most.
        arrivals: prompts that begin in a step on an attention rank, besides the one that is looked at.
        passing: share of an attention rank's steps that pass prompts.
        mixed: share of a request's decode steps in which another rank of its group, or its own, passes prompts.
        busy: ranks of a group that pass prompts in such a step.
        decoding: share of the others that are decoding.
        stalls: 1 where prompts pass in steps of their own while nobody decodes; ``passing`` and ``mixed`` are then such steps to each
            decode step, and may be more than one.
    """

    gaps: Count
    chunks: Count
    wait: Count
    cycle: Count
    chunk: Count
    work: Count
    together: Count
    most: Count
    arrivals: Count
    passing: Ratio
    mixed: Ratio
    busy: Count
    decoding: Ratio
    stalls: Ratio = 0.0

    def held_up(self, decode: Seconds, mixed: Seconds) -> Seconds:
        """Return by how much a step that passes prompts holds up those who decode."""
        return larger(mixed - (1 - self.stalls) * decode, 0.0)

    def met(self, decode: Seconds, mixed: Seconds, front: Seconds) -> tuple[Ratio, Seconds, Seconds]:
        """Return how likely a request meets prompts that pass when it comes back, and what is left of them at least and at most.

        It comes a time ``front`` after the end of a decode step. Where prompts stall decode, those that it meets began meanwhile, and all
        their steps come first.
        """
        part = self.in_prompts(decode, mixed)
        began = -np.expm1(-self.arrivals * front / decode)
        whole = mixed * pick(self.stalls > 0, self.chunks, 1.0)
        return pick(self.stalls > 0, smaller(part, began), part), self.stalls * larger(whole - front, 0.0), whole

    def in_prompts(self, decode: Seconds, mixed: Seconds) -> Ratio:
        """Return the share of a request's decoding time that is in steps that pass prompts."""
        spent = self.mixed * mixed
        return share(spent, (1 - (1 - self.stalls) * self.mixed) * decode + spent)


def cadence(
    input: Count, gaps: Count, requests: Count, ranks: Count, chunk: Count,
    *, variation: Ratio = 0.0, slots: Count | None = None, random: bool = False, lag: Count = 0.0,
    gathered: Ratio = 0.0, stalls: Ratio = 0.0, away: Count = 0.0,
) -> Cadence:  # fmt: skip
    """Return the cadence of ``requests`` on each of ``ranks`` attention ranks in lock-step.

    Args:
        input: tokens of a prompt; ``chunk``: those an attention rank passes in a step at most.
        gaps: decode steps of a request.
        requests: in flight on each rank, on average; below one where some ranks have none.
        variation: standard deviation of the lengths over their mean.
        slots: requests that each slot serves, all having begun at once; None for a service that has run for long.
        gathered: how far ranks hold prompts back until all of them have some, and pass them in the same steps, from 0 to 1.
        stalls: 1 where prompts pass in steps of their own, before decode steps, of which alone ``gaps`` and the cycle then consist.
        away: decode steps of others between a request's end and the start of the next one's prompt, where prompts stall decode.
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
    # Prompts that stall decode come between two decode steps: as many, with another one, as requests end in one.
    between = larger(gaps, 1.0) + away
    come = others / between
    waiting = pick(stalls > 0, come / (2 + come), waiting)
    alone = whole_steps(input / chunk, variation)
    chunks = alone + (full - alone) * waiting
    hold = chunks / most
    # The root of the quadratic above in w.
    slack = others * hold - gaps - chunks - lag
    wait = (slack + np.sqrt(slack * slack + 2 * others * hold * hold * (1 + variation * variation))) / 2 + lag
    cycle = gaps + chunks if random else larger(gaps + chunks + wait, requests * hold)
    behind = chunks * larger(come + 1 - most, 0.0) / (2 * most) + larger(1 - gaps, 0.0) * others * hold / 2
    waits = pick(stalls > 0, behind + lag, cycle - gaps - chunks)
    cycle = pick(stalls > 0, between, cycle)
    rate = requests / cycle
    apart = others / larger(requests, 1.0)
    # Prompts that begin in the same step go together: Poisson arrivals, given that there is one.
    crowd = rate / -np.expm1(-rate)
    together = smaller(1 + (crowd - 1) * apart, most)
    passing = rate * chunks / together
    passing = pick(stalls > 0, passing, smaller(passing, _ALWAYS))
    group = larger(requests * ranks, 1.0)
    own = passing * apart
    seen = ranks if random else ranks * (1 - 1 / group)
    part = smaller(passing, _ALWAYS)
    loose = 1.0 if slots is None else _loose(part, ranks, variation * gaps / cycle, slots)
    mixed = own + larger(_any(part, seen) - own, 0.0) * loose * (1 - gathered) * (1 - stalls)
    busy = pick(mixed > 0, smaller(ranks * share(passing, larger(mixed, passing)), ranks), 1.0)
    # Of several ranks in a step the one with the longest chunk counts.
    longest = input / chunks + (input / full - input / chunks) * (1 - 1 / larger(busy, 1.0))
    return Cadence(
        gaps=gaps, chunks=chunks, wait=waits, cycle=cycle,
        chunk=longest, work=work, together=together, most=most, arrivals=rate * apart, passing=passing, mixed=mixed,
        busy=busy, decoding=gaps / cycle, stalls=stalls,
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


def after_a_step(time: Seconds, decode: Seconds, mixed: Ratio, jitter: Ratio) -> Seconds:
    r"""Return how much more than half of a decode step is left of the one in progress, a fixed time after the end of another.

    As long as all steps until then only decode, it is the same part of a step every time: :math:`\lceil t / d \rceil d - t` of
    :math:`\lceil t / d \rceil` steps. With others among them any part is as likely.

    Args:
        time: t; ``decode``: d.
        mixed: share of the steps that pass prompts.
        jitter: standard deviation of the time of a step over its mean.

    >>> [round(float(after_a_step(time, 10.0, 0.0, 0.0)), 6) for time in (4.0, 9.0, 13.0)]
    [1.0, -4.0, 2.0]
    """
    steps = whole_steps(share(time, decode), jitter)
    alike = np.exp(steps * np.log1p(-smaller(mixed, _ALWAYS)))
    return alike * (larger(steps * decode - time, 0.0) - decode / 2)


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
    c: Cadence,
    rate: PerSecond,
    decode: Seconds,
    mixed: Seconds,
    *,
    variation: Ratio,
    coming: Ratio,
    busy: Ratio,
    grows: Seconds,
    meanwhile: Ratio = 0.0,
) -> Seconds:
    r"""Return how much longer a prompt takes that comes at random than one that comes when an engine is idle.

    Prompts of a chunk or more wait as for one server that is away for a decode step when it has none: with S the time of a prompt,
    :math:`\rho = \lambda S`, :math:`S \rho (a^2 + v^2) / 2 (1 - \rho) + t_{decode} / 2` (Pollaczek and Khinchin; Kingman). With a
    chance of :math:`\rho` others wait when its last chunk begins, and fill what it leaves of that. Of shorter ones see :func:`_batched`;
    between one and two prompts in a chunk the two laws share.

    Args:
        rate: requests a second on an attention rank; NaN is returned where it cannot pass them.
        variation: v, of the lengths of prompts; ``coming``: :math:`a^2`, variance of the gaps between requests over their mean
            squared.
        busy: share of the time in which the engine is in a step.
        grows: time that one more prompt adds to a step that passes prompts.
        meanwhile: share of the time in which other ranks in lock-step pass prompts: one that finds its own rank free waits for their step.
    """
    cost = larger(mixed - decode, 0.0)
    prompt = c.chunks * c.held_up(decode, mixed) / c.together
    # Where others wait, no chunk is left half empty.
    each = prompt + c.work * decode * (1 - c.stalls)
    load = rate * each
    fixed = larger(cost - grows * c.together, -c.stalls * decode)
    several = smaller(c.most - 1, 1.0)
    able = rate * pick(c.most > 1, (decode + fixed) / c.most + grows, each) < 1
    able = able & ((load < 1) | (several >= 1))
    left = larger(1 - load, _SHORT)
    alone = each * load * (coming + variation * variation) / (2 * left) + busy * decode / 2
    spare = smaller(whole_steps(c.work, variation) - c.work, c.work)
    alone = alone + smaller(load, 1.0) * spare * prompt / c.work
    alone = alone + left * meanwhile * cost / 2
    if not anywhere(several > 0):
        return pick(able, alone, np.nan)
    shared = _batched(
        c, rate, decode, grows, fixed=fixed, coming=coming, busy=busy, left=larger(1 - rate * grows, _SHORT)
    )
    return pick(able, pick(several < 1, alone, 0.0) * (1 - several) + several * shared, np.nan)


def _batched(
    c: Cadence, rate: PerSecond, decode: Seconds, each: Seconds, *, fixed: Seconds, coming: Ratio, busy: Ratio, left: Ratio
) -> Seconds:  # fmt: skip
    r"""Return the wait of prompts that all go into the step after the one in which they come, and share it.

    A step lasts :math:`T = t_{decode} + k \tau`, k the prompts that came in the one before, and F longer where there are any. With
    :math:`x = \lambda E T` of them on average, and :math:`\rho = \lambda \tau`,

    .. math:: E T = t_{decode} + F (1 - e^{-x}) + \tau x, \qquad
              \mathrm{var}\,T\,(1 - \lambda^2 (F e^{-x} + \tau)^2) = a^2 (\tau^2 x + F^2 e^{-x} (1 - e^{-x}) + 2 F \tau x e^{-x}) .

    A request comes :math:`R = E T^2 / 2 E T` before the end of a step, and shares the next with those that came in it:
    :math:`R (1 + 2 \rho)`. Where nobody decodes, an engine is idle until the next request comes: :math:`k = x + e^{-x}`, and it is busy
    for :math:`x / k` of the time.

    Args:
        each: time that a prompt adds; ``fixed``: F; ``left``: :math:`1 - \rho`.
    """
    load = 1 - left
    x = rate * (decode + fixed) / left
    for _ in range(_FEW_ROUNDS):
        x = rate * (decode - fixed * np.expm1(-x)) / left
    none = np.exp(-x)
    mean = x / rate
    spread = each * each * x + fixed * none * (fixed * (1 - none) + 2 * each * x)
    follow = smaller(rate * fixed * none + load, _ALWAYS)
    squared = mean * mean + coming * spread / (1 - follow * follow)
    shared = squared / (2 * mean) * (1 + 2 * load)
    idle = np.exp(-rate * c.gaps * decode)
    if not anywhere(idle > _RARE):
        return cast("Num", busy * shared)
    start = decode + fixed
    k: Num = 1.0
    for _ in range(_FEW_ROUNDS):
        x = rate * (start + each * k)
        k = x + np.exp(-x)
    mean = start + each * k
    x = rate * mean
    squared = mean * mean + coming * x * each * each / (left * (1 + load))
    alone = x / k * squared / (2 * mean) * (1 + 2 * load)
    return cast("Num", shared + idle * (alone - shared))


_RARE: Final = 0.01
_FEW_ROUNDS: Final = 6


def pace(
    question: Serve, engine: Engine, c: Cadence, decode: Seconds, mixed: Seconds,
    *, requests: Count, ranks: Count = 1.0, lanes: Count = 1.0, lag: Count = 0.0, variation: Ratio | None = None,
    packed: Seconds | None = None, more: Seconds = 0.0, grows: Seconds | None = None, passes: Lazy[Passes] | None = None,
    fixed: Seconds | None = None,
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
        more: what is left of a decode step when a request comes, beyond half of it, as ``lag`` counts.
        grows: time that one more prompt adds to a step, of what comes at random; by default as much as each.
        passes: prompts by themselves; by default their times grow as their lengths do.
        fixed: time of a step that passes prompts, of any number of them; by default that of a decode step.
    """
    varied = question.variation if variation is None else variation
    if question.rate is not None:
        return _coming(
            question,
            c,
            decode,
            mixed,
            requests=requests,
            ranks=ranks,
            lanes=lanes,
            variation=varied,
            grows=grows,
            passes=passes,
        )
    slots = question.requests_per_slot
    beside = (1 - c.stalls) * decode
    steps = first_token(c, decode if fixed is None else fixed, mixed)
    cost = c.held_up(decode, mixed)
    prompt = c.chunks * cost / c.together
    ahead = share(steps * mixed - beside, prompt)
    shared = smaller(c.most, larger(requests, 1.0))
    each = prompt if packed is None else pick(c.most > 1, larger(packed - beside, 0.0) / shared, prompt)
    full = (requests + smaller(c.most, larger(requests, 1.0))) / 2
    begun = larger(full - larger(ahead, 1.0), 0.0)
    ramp: Num = 0.0 if slots is None else begun / slots
    weight: Num = 0.0 if slots is None else 1 / slots
    # Where each slot serves one request, none follow the first wave.
    alike = (question.variation <= ALIKE) * (weight < 1) * 1.0
    crowd = alike * larger(1 + smaller(engine.crowd, larger(requests - 1, 0.0)) - ahead, 0.0)
    bunched = alike * engine.bunched * larger(full - larger(ahead + crowd + ramp, 1.0), 0.0)
    # A prompt that is held back waits for half of the time between the passes of a rank.
    gathering = engine.gathered * (1 - 1 / ranks) * larger(1 / larger(c.passing, _SHORT) - 1, 0.0) / 2
    late = (ramp + crowd + bunched) * each + smaller(gathering, c.gaps) * decode
    # Prompts that a request waits for do not disturb it again.
    disturbed = larger(c.gaps * c.mixed - (ramp + crowd + bunched) * c.chunks / c.together, 0.0)
    first = steps * mixed + late
    later = larger(1 - weight, _SHORT)
    lone = c.chunks * (beside + cost / c.together)
    # Of those that decode as many come back as an engine passes: what varies is how far lengths draw them apart.
    least = requests * c.decoding * drawn_apart(question.variation, varied)
    crossed, least_left, lasts = c.met(decode, mixed, engine.front)
    own = smaller(share(c.passing * larger(requests - 1, 0.0), larger(requests, 1.0) * c.mixed), 1.0)
    waits = Waits(
        front=0.0, mean=steps * mixed, passes=_by_themselves(lone, varied) if passes is None else passes,
        begins=larger(2 * more, 0.0), step=decode + smaller(2 * more, 0.0), lasts=lasts, met=(lag > 0) * 1.0,
        often=crossed * (1 - (1 - c.stalls) * own / c.most), left=least_left,
        least=least, loose=np.sqrt(c.decoding), group=crowd * each / later, bunched=bunched * each / later, weight=weight, begun=begun * each,
        apart=smaller(larger(requests - shared, 0.0) / 2, begun) * each,
    )  # fmt: skip
    return Pace(steps, late, disturbed, first, c.gaps * decode + disturbed * (mixed - beside), waits)


def _coming(
    question: Serve, c: Cadence, decode: Seconds, mixed: Seconds, *, requests: Count, ranks: Count, lanes: Count,
    variation: Ratio, grows: Seconds | None, passes: Lazy[Passes] | None,
) -> Pace:  # fmt: skip
    """Return the times of a request that comes at random.

    A rank passes prompts for a share of the time; of the steps it is less, since those last longer.
    """
    rate = cast("Num", question.rate) / lanes
    cost, beside = c.held_up(decode, mixed), (1 - c.stalls) * decode
    usual = cost / c.together
    more = usual if grows is None else usual + smaller(c.most - 1, 1.0) * (smaller(grows, usual) - usual)
    lone = c.chunks * (beside + larger(cost - more * (c.together - 1), 0.0))
    busy = -np.expm1(-requests)
    load = smaller(rate * c.chunks / c.together * mixed, _ALWAYS)
    meanwhile = _any(load, ranks - 1)
    wait = queue(
        c, rate, decode, mixed, variation=variation, coming=1 / lanes, busy=busy, grows=more, meanwhile=meanwhile
    )
    steps = _disturbed(c, rate, decode, mixed, ranks)
    taken = share(steps, c.gaps)
    # Of those that came while it waited, all pass while it decodes; where it ends, few are left, as most steps pass none.
    left = rate * (lone + wait) * c.chunks / c.together
    clears = share(mixed, (1 - load) * mixed + load * decode)
    behind = larger(left * (1 - share(taken, load)), 0.0) * clears
    # An answer may end before they have passed: at first prompts pass in as many steps as they find an engine busy.
    lasts = share(behind, larger(load - taken, _SHORT))
    behind = behind * -np.expm1(-share(c.gaps, lasts))
    # Where prompts stall decode, all of these pass before its first step, and those that come meanwhile.
    stalling = rate * larger(lone + wait - decode, 0.0) * c.chunks / c.together / larger(1 - load, _SHORT)
    behind = pick(c.stalls > 0, stalling, behind)
    disturbed = pick(c.stalls > 0, steps + behind, smaller(steps + behind, c.gaps))
    waits = Waits(
        front=0.0, mean=lone + wait, passes=_by_themselves(lone, variation) if passes is None else passes, step=decode, lasts=mixed,
        met=busy, often=larger((1 - 1 / c.most) * load, (1 - load) * meanwhile),
        regular=(1 / lanes + variation * variation) / (1 + variation * variation),
    )  # fmt: skip
    return Pace(lone / mixed, wait, disturbed, lone + wait, c.gaps * decode + disturbed * (mixed - beside), waits)


def _by_themselves(lone: Seconds, variation: Ratio) -> Lazy[Passes]:
    """Return prompts whose times grow as their lengths do, with this mean."""
    return Lazy(lambda: Passes(lengths(lone, variation), lengths(lone, variation)))


def drawn_apart(answers: Ratio, prompts: Ratio) -> Ratio:
    r"""Return the variance of how many decode, over their number, where an engine passes prompts without a pause.

    Prompts that follow each other with a variance :math:`c^2` start answers whose times G have the distribution F:
    :math:`\int F (1 - F) + c^2 \int (1 - F)^2` over :math:`\mathrm{E}\,G`, a queue of infinitely many servers.
    """
    apart = smaller(answers / np.sqrt(np.pi), 1.0)
    return apart + prompts * prompts * (1 - apart)


def _disturbed(c: Cadence, rate: PerSecond, decode: Seconds, mixed: Seconds, ranks: Count) -> Count:
    """Return in how many of its decode steps prompts pass that come at random, ``rate`` a second on each rank."""
    taken = _any(smaller(rate * c.chunks / c.together * mixed, _ALWAYS), ranks)
    return c.gaps * share(taken * decode, (1 - c.stalls) * taken * decode + (1 - taken) * mixed)


def saturation(
    c: Cadence,
    decode: Seconds,
    mixed: Seconds,
    *,
    places: Count,
    ranks: Count,
    lanes: Count,
    grows: Seconds | None = None,
) -> PerSecond:
    """Return the most requests a second that a service answers when they come at random: what its prompts, or its places, allow.

    Args:
        c: the cadence with all of the ``places`` taken, and ``decode`` and ``mixed`` its steps.
        ranks: attention ranks in lock-step; ``lanes``: those of all replicas.
        grows: time that one more prompt adds to a step; by default as much as each.
    """
    cost = c.held_up(decode, mixed)
    usual = cost / c.together
    more = usual if grows is None else usual + smaller(c.most - 1, 1.0) * (smaller(grows, usual) - usual)
    each = c.chunks * pick(c.most > 1, (mixed - more * c.together) / c.most + more, mixed)
    low: Num = 0.0 * each
    high: Num = lanes / each
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        disturbed = _disturbed(c, middle / lanes, decode, mixed, ranks)
        enough = (
            middle * (c.chunks * ((1 - c.stalls) * decode + cost / c.together) + c.gaps * decode + disturbed * cost)
            >= places
        )
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
    idle = larger(1 - load, 0.0)
    wait = service * (1 + variation * variation) / 2 * none_free(servers, load) / servers
    return pick(idle > 0, wait / pick(idle > 0, idle, 1.0), np.nan)


_HALVINGS: Final = 40
_SHORT: Final = 1e-8
