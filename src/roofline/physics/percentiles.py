r"""Distributions of TTFT and TPOT: transforms of queueing laws, inverted numerically.

A transform turns a sum of independent times into a product, so that each part of a wait keeps its own law:

=============================== ====================================================================================================
part                            transform at s
=============================== ====================================================================================================
the step in progress, to T      even over it: :math:`(1 - e^{-sT}) / sT`
those ahead in a queue          :math:`\big((1 - p) / (1 - p\,\phi_e(s))\big)^r`: at r = 1 a geometric number of rests of a prompt's time,
                                the law of Pollaczek and Khinchin; fewer customers than would make that tail make r larger
passing one's own prompt        even between quantiles of its length
a place                         a gamma law, with a chance
prompts that disturb an answer  compound binomial in a closed loop, whose other requests come round once; of random arrivals the total
                                progeny of those that come: those that come while one of them passes follow it (Borel)
=============================== ====================================================================================================

The means are those of :mod:`roofline.physics.queueing`. Sources: Kleinrock, Queueing Systems I, 1975, 5.7; Fuhrmann and Cooper, Oper. Res. 33,
1985 (an engine that is away for decode steps); Consul, Generalized Poisson Distributions, 1989; Abate and Whitt, Queueing Systems 10, 1992.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Final, cast

import numpy as np
from attrs import frozen

from roofline.core.arrays import larger, pick, share, smaller
from roofline.core.remember import Lazy
from roofline.core.units import Count, Num, Ratio, Seconds

PERCENT: Final = 100.0
_GRID: Final = 512
_SMOOTH: Final = 0.7
"""Standard deviation of what smooths a density, in cells of the grid."""
_TINY: Final = 1e-10
_TAIL: Final = 4.0
_FAR: Final = 1.5
_ROUNDS: Final = 24

EDGES: Final = np.array([0.0005, 0.04, 0.15, 0.3, 0.5, 0.7, 0.82, 0.9, 0.95, 0.975, 0.99, 0.9995])
"""Shares of requests at whose lengths their times are worked out: those of the usual percentiles lie inside a cell."""
_NORMAL: Final = np.array([NormalDist().inv_cdf(float(each)) for each in EDGES])
_WEIGHTS: Final = np.diff(np.concatenate(([0.0], EDGES[1:-1], [1.0])))

Transform = Callable[[Any], Any]


def lengths(mean: Count, variation: Ratio, axes: int = 0) -> Count:
    """Return the lengths at :data:`EDGES` of a lognormal law, on an axis before all others; their cells have the mean given.

    Args:
        axes: of the answer, at least.

    >>> [round(float(each)) for each in lengths(1000.0, 0.3)[[0, 5, -1]]]
    [364, 1116, 2515]
    """
    sigma = np.sqrt(np.log1p(variation * variation))
    z = _NORMAL.reshape(-1, *(1,) * max(np.ndim(mean * sigma), axes))
    out = np.exp(sigma * z)
    return cast("Num", mean * out / mean_of(out))


def _on(ends: Num, axes: int) -> Any:
    """Return what has an axis before so many others."""
    out = np.asarray(ends)
    return out.reshape(len(out), *(1,) * (axes + 1 - out.ndim), *out.shape[1:])


def _middle(ends: Any) -> Any:
    return (ends[1:] + ends[:-1]) / 2


def mean_of(ends: Any) -> Any:
    """Return the mean of what lies evenly between its values at :data:`EDGES`."""
    return np.tensordot(_WEIGHTS, _middle(ends), 1)[()]


def _even(w: Any, low: Any, high: Any) -> Any:
    """Return the transform of what lies evenly between two times."""
    half = w * (high - low) / 2
    return np.exp(-0.5j * w * (low + high)) * np.sinc(half / np.pi)


def _cells(w: Any, ends: Any) -> Any:
    """Return the transform of what lies evenly in each cell."""
    return sum(part * _even(w, ends[i], ends[i + 1]) for i, part in enumerate(_WEIGHTS))


def _points(w: Any, values: Any, weights: Any) -> Any:
    """Return the transform of single values."""
    return sum(weights[i] * np.exp(-1j * w * values[i]) for i in range(len(values)))


def _rest(w: Any, times: Any) -> Any:
    """Return the transform of what is left of a time that is met at random: even over it, and a long one is met more often."""
    part = _WEIGHTS.reshape(-1, *(1,) * (np.ndim(times) - 1)) * times
    part = part / larger(part.sum(axis=0), _TINY)
    return sum(part[i] * _even(w, 0.0, times[i]) for i in range(len(times)))


def _power(base: Any, exponent: Any) -> Any:
    """Return the transform of so many times in a row, between those of the whole numbers beside it."""
    whole = np.floor(exponent)
    part = exponent - whole
    return np.exp(whole * np.log(base)) * (1 - part + part * base)


def quantile(transform: Transform, span: Any, p: Num) -> Num:
    """Return the time that p per cent stay below, of a law between 0 and ``span`` that is given by its transform.

    Args:
        transform: of angular frequencies, on an axis before those of ``span``.

    >>> float(quantile(lambda w: 1 / (1 + 1j * w), 12.0, 90.0)).__round__(2)  # exponential: ln 10
    2.3
    """
    span = np.asarray(larger(span, _TINY))
    shape = (-1, *(1,) * span.ndim)
    k = np.arange(_GRID // 2 + 1).reshape(shape)
    smooth = np.exp(-((2 * np.pi * _SMOOTH / _GRID * k) ** 2) / 2)
    # Half a cell on, so that the first cell holds what lies at 0.
    cell = span / _GRID
    w = 2 * np.pi * k / span
    density = np.fft.irfft(
        np.broadcast_to(transform(w) * np.exp(-1j * w * cell * _EDGE), (len(k), *span.shape)) * smooth, _GRID, axis=0
    )
    below = np.maximum.accumulate(np.cumsum(density, axis=0), axis=0)
    part = np.asarray(p) / PERCENT
    extra = (1,) * max(part.ndim - span.ndim, 0)
    below = below.reshape(_GRID, *extra, *span.shape)
    shape_ = np.broadcast_shapes(below.shape[1:], part.shape)
    below = np.broadcast_to(below, (_GRID, *shape_))
    at = np.minimum((below < part).sum(axis=0), _GRID - 1)[None]
    upper = np.take_along_axis(below, at, 0)[0]
    lower = np.where(at[0] > 0, np.take_along_axis(below, np.maximum(at - 1, 0), 0)[0], 0.0)
    inside = np.clip((part - lower) / np.maximum(upper - lower, _TINY), 0.0, 1.0)
    return cast("Num", np.maximum((at[0] + inside - 0.5 - _EDGE) * cell, 0.0)[()])


_EDGE: Final = 3.0
"""Cells before 0, so that what is smoothed stays on the grid."""


@frozen(eq=False)
class Passes:
    """Prompts by themselves, at the lengths of :data:`EDGES`.

    Attributes:
        own: times in which a prompt passes that meets no other.
        each: times that it takes of an engine that others wait for.
    """

    own: Seconds
    each: Seconds


@frozen(eq=False)
class Waits:
    """How the time to the first token is distributed.

    Those that began at once, a share ``weight`` of all, wait evenly about their mean. The others wait for the step in progress,
    for those ahead of them, and pass.

    Attributes:
        front: what every request takes.
        mean: mean of the others' time without ``place``, ``group`` and ``bunched``.
        passes: the prompts.
        step: time of a step that only decodes, of which any part may be left beyond ``begins``.
        lasts: time of a step that passes prompts.
        met: chance to meet a step in progress where none passes prompts.
        often: chance that the step in progress passes prompts which a request does not queue behind: of other ranks, or in a chunk that
            has room for several.
        left: what is left at least of such a step.
        regular: variance of a queue over that of one whose customers come at random.
        begins: what is left at least of a step that only decodes, where requests come back at the same part of it.
        least: variance of the number of those ahead where all requests of a closed loop wait; infinite where they come at random.
        loose: part of those ahead whose number varies at all.
        group: wait with those that end and begin with it.
        bunched: mean wait behind those that keep together for ever.
        weight: share of all that began at once.
        begun: mean wait in the first wave besides its own prompt.
        apart: half of what lies between the first of that wave and the last: nothing where all of them share a chunk.
        place: mean wait for a place, which those of the first wave have half of; 0 where all have one.
        full: chance to wait for a place.
        uneven: variance of that wait over its mean squared, where there is one.
    """

    front: Seconds
    mean: Seconds
    passes: Lazy[Passes]
    step: Seconds
    lasts: Seconds
    met: Ratio
    often: Ratio
    left: Seconds = 0.0
    regular: Ratio = 1.0
    begins: Seconds = 0.0
    least: Count = np.inf
    loose: Ratio = 1.0
    group: Seconds = 0.0
    bunched: Seconds = 0.0
    weight: Ratio = 0.0
    begun: Seconds = 0.0
    apart: Seconds = 0.0
    place: Seconds = 0.0
    full: Ratio = 1.0
    uneven: Ratio = 0.0

    def percentile(self, p: Num) -> Seconds:
        """Return the time by which p per cent of requests have their first token."""
        passes = self.passes()
        axes = np.ndim(self.mean + self.front + self.place + self.bunched)
        own, each = _on(passes.own, axes), _on(passes.each, axes)
        most = larger(self.mean - self.front, 0.0)
        own = own * smaller(share(most, mean_of(own)), 1.0)
        behind = larger(most - mean_of(own), 0.0)
        known = np.isfinite(most + self.place)
        behind = pick(known, behind, 0.0)
        meets = (1 - self.often) * self.met * (self.begins + self.step) / 2 + self.often * (self.left + self.lasts) / 2
        some = smaller(share(behind, meets), 1.0)
        ahead = larger(behind - meets, 0.0)
        fixed, ahead = (1 - self.loose) * ahead, self.loose * ahead
        middle = _middle(each) * self.regular
        rest = share(np.tensordot(_WEIGHTS, middle * middle, 1), 2 * np.tensordot(_WEIGHTS, middle, 1))
        count = share(ahead, rest)
        r = 1 + count * count / larger(self.least, _TINY)
        q = count / (count + r)
        low = own[0]
        soonest, wave = self.begun - self.apart, self.begun + self.apart + self.place
        tail = _TAIL + larger(-np.log1p(-np.max(p) / PERCENT), _TAIL)
        begun = self.weight > 0
        span = (
            own[-1]
            - low
            + self.met * self.step
            + pick(self.often > 0, self.lasts, 0.0)
            + 2 * self.bunched
            + fixed
            + pick(begun, wave, 0.0)
            + self.group
        )
        # As far as a gamma law of these means and variances reaches.
        span = span + tail * (ahead / np.sqrt(r) + rest) + ahead
        late = pick(known, share(self.place, self.full), 0.0)
        span = _FAR * span + late * (1 + tail * larger(np.sqrt(self.uneven), self.uneven))

        def law(w: Any) -> Any:
            passing = _cells(w, own - low)
            idle = 1 - self.met + self.met * _even(w, self.begins, self.step)
            progress = idle + self.often * (_even(w, self.left, self.lasts) - idle)
            queue = np.exp(r * np.log((1 - q) / (1 - q * _rest(w, middle))) - 1j * w * fixed)
            shape = larger(self.uneven, _TINY)
            place = np.exp(-np.log1p(1j * w * late * shape) / shape)
            place = 1 - self.full + self.full * place
            steady = (
                (1 - some + some * progress)
                * queue
                * place
                * np.exp(-1j * w * self.group)
                * _even(w, 0.0, 2 * self.bunched)
            )
            return passing * (self.weight * _even(w, soonest, wave) + (1 - self.weight) * steady)

        return pick(known, self.front + low + quantile(law, pick(known, span, 1.0), p), np.nan)


@frozen(eq=False)
class Gaps:
    r"""How the time per output token of requests is distributed, and the time between two of their steps.

    A request decodes, and while it does prompts of others pass, each of which adds its time. In a closed loop each of n others comes round
    once in a cycle: of the expected number a share is certain (a binomial law). Where requests come at random, those that come in the
    time that a prompt adds follow it, so that it counts as a family of :math:`1 / (1 - \rho)` on average (Borel).

    Attributes:
        base: time of the decode steps of a request that meets no prompt.
        tokens: tokens that it gets after its first.
        prompts: prompts passed meanwhile, on average.
        each: time that one prompt adds.
        variation: standard deviation of the lengths of answers over their mean.
        step: time of a decode step.
        mixed: time of a decode step that passes prompts too, or before which prompts pass.
        often: share of the decode steps that pass prompts too.
        passes: the prompts.
        bounded: 1 where no token takes longer than ``mixed``; 0 where prompts pass between steps, as many as wait.
        others: n, requests whose prompts may pass in a closed loop; infinite where they come at random.
        load: :math:`\rho`, prompts that come in the time that one adds, where they come at random; 0 in a closed loop.
        behind: prompts that wait when the request gets its first token, where they come at random.
        yields: tokens of a step.
        uneven: standard deviation of the time of a decode step over its mean, from one request to another.
    """

    base: Seconds
    tokens: Count
    prompts: Count
    each: Seconds
    variation: Ratio
    step: Seconds
    mixed: Seconds
    often: Ratio
    passes: Lazy[Passes]
    bounded: Ratio = 1.0
    others: Count = np.inf
    load: Ratio = 0.0
    behind: Count = 0.0
    yields: Count = 1.0
    uneven: Lazy[Ratio] | None = None

    def percentile(self, p: Num) -> Seconds:
        """Return the time per output token that p per cent of requests stay below."""
        times = _middle(_on(self.passes().each, np.ndim(self.base + self.tokens + self.prompts)))
        times = times * share(self.each, np.tensordot(_WEIGHTS, times, 1))
        # Prompts that come in while others pass count to the family of those; the rest come by themselves.
        alone = 1 - self.load
        behind = smaller(self.behind, self.prompts * alone)
        behind = pick(np.isfinite(behind), behind, 0.0)
        come = larger(self.prompts * alone - behind, 0.0)
        part = smaller(share(self.prompts, self.others), 1.0)
        # Of one that surely comes round once, some come twice and some not at all, as lengths vary.
        certain = part - part * part * larger(_LATE * self.variation, 0.0)
        certain = smaller(larger(certain, 0.0), _ALMOST)
        answers: Any = np.asarray(lengths(1.0, self.variation))[_FEW]
        answers = answers / np.tensordot(_FEW_WEIGHTS, answers, 1)
        squared = np.tensordot(_WEIGHTS, times * times, 1)
        bursts = 1 / (alone * alone)
        spread = np.sqrt(squared * (self.prompts * bursts * (1 - certain) + behind * behind * bursts)) + squared**0.5
        tail = _TAIL + larger(-np.log1p(-np.max(p) / PERCENT), _TAIL)
        tokens = larger(self.tokens, 1.0)
        wide = 0.0 if self.uneven is None else self.uneven() * share(self.base, tokens)
        span = (2 * self.prompts * self.each + tail * spread) / tokens / answers[0] ** 0.5 + 2 * tail * wide
        start = share(self.base, tokens) - tail * wide

        def law(w: Any) -> Any:
            total: Any = 0.0
            for weight, length in zip(_FEW_WEIGHTS, answers, strict=True):
                at = w / (tokens * length)
                prompt = _points(at, times, _WEIGHTS)
                family = prompt
                if np.any(self.load > 0):
                    for _ in range(_ROUNDS):
                        family = prompt * np.exp(self.load * (family - 1))
                mean = come * length
                count = pick(certain > _TINY, share(mean, certain), mean)
                random = np.exp(mean * (family - 1))
                bound = _power(1 - certain * (1 - family) + _TINY, count)
                here = pick(certain > _TINY, bound, random) / (1 + behind * (1 - family))
                total = total + weight * here
            return total * np.exp(-1j * w * tail * wide - (w * wide) ** 2 / 2)

        out = start + quantile(law, span, p)
        # No step takes longer than one that passes prompts.
        out = pick(self.bounded > 0, smaller(out, larger(self.mixed / self.yields, start)), out)
        return pick((self.tokens > 0) & np.isfinite(self.prompts), out, np.nan)

    def between(self, p: Num) -> Seconds:
        """Return the time between two steps that p per cent of them stay below."""
        return pick(p / PERCENT <= 1 - self.often, self.step, self.mixed)


_LATE: Final = 0.564
r"""Of lengths with a deviation v about their mean: :math:`\int F (1 - F) = v / \sqrt\pi` of a normal law."""
_ALMOST: Final = 0.999
_FEW: Final = [1, 3, 5, 8]
_FEW_WEIGHTS: Final = np.array([0.22, 0.35, 0.28, 0.15])
