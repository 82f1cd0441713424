"""Scores of predictions: errors, and coverage of the intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.units import Ratio
from roofline.validation.runs import ServingRun, TrainingRun


@frozen
class Prediction:
    """One quantity of one run: what was measured, what is predicted, and the 80 % interval; None where there is none.

    Attributes:
        run: the run's noun.
        quantity: what was measured, such as ``tpot_s``.
        measured: the measured value, in the unit of ``quantity``; None where there is none.
        predicted: the predicted value; None where nothing is predicted.
        low: lower end of the 80 % interval; None where there is none.
        high: upper end of the 80 % interval; None where there is none.
        level: level of the profile that predicts: ``ideal``, ``generic`` or ``calibrated``.
        reason: why nothing is predicted; "" where something is.
        said: what was assumed to predict it.
        weight: of its error: repeats of one configuration may share that of one run.
    """

    run: ServingRun | TrainingRun
    quantity: str
    measured: float | None
    predicted: float | None
    low: float | None
    high: float | None
    level: str
    reason: str = ""
    said: tuple[str, ...] = ()
    weight: float = 1.0


@frozen
class Score:
    r"""Errors of ``n`` predictions, :math:`e = \\mathrm{predicted} / \\mathrm{measured} - 1`, of one weight or each of its own.

    Attributes:
        n: predictions that are scored.
        skipped: measured values that could not be predicted; they count as outside the interval.
        mape: mean of :math:`|e|`.
        median_ape: median of :math:`|e|`.
        p90_ape: what nine of ten :math:`|e|` stay below.
        bias: :math:`\\exp(\\mathrm{median} \\log (1 + e)) - 1`.
        inside_interval: share of all measured values inside their interval; None where no interval was given.
        typical: :math:`\\exp(\\mathrm{mean} |\\ln (1 + e)|) - 1`: three times too slow counts like three times too fast.
    """

    n: int
    skipped: int
    mape: Ratio | None
    median_ape: Ratio | None
    p90_ape: Ratio | None
    bias: Ratio | None
    inside_interval: Ratio | None
    typical: Ratio | None = None

    def to_dict(self) -> dict[str, float | None]:
        """Return the score under the names of the machine-readable answer."""
        return {
            name: getattr(self, name)
            for name in ("n", "skipped", "mape", "median_ape", "p90_ape", "bias", "inside_interval", "typical")
        }


def score(predictions: Iterable[Prediction], *, weighed: bool = False) -> Score:
    """Return the score of those predictions that something was measured for, ``weighed`` by their own weights or not.

    >>> made = [Prediction(None, "tpot_s", 1.0, p, 0.8, 1.2, "generic") for p in (1.1, 0.9, 1.3)]
    >>> found = score([*made, Prediction(None, "tpot_s", 1.0, None, None, None, "generic", "why")])
    >>> found.n, found.skipped, round(found.mape, 3), round(found.bias, 3), found.inside_interval
    (3, 1, 0.167, 0.1, 0.75)
    """
    known = [p for p in predictions if p.measured is not None]
    priced = [p for p in known if p.predicted is not None]
    skipped = len(known) - len(priced)
    if not priced:
        return Score(0, skipped, None, None, None, None, 0.0 if skipped else None)
    ratio = np.array([p.predicted for p in priced], dtype=np.float64) / np.array(
        [p.measured for p in priced], dtype=np.float64
    )
    error, weights = np.abs(ratio - 1), np.array([p.weight if weighed else 1.0 for p in priced])
    bounded = [p for p in priced if p.low is not None and p.high is not None]
    counted = sum(p.weight if weighed else 1.0 for p in known)
    caught = [p for p in bounded if p.low <= p.measured <= p.high]  # type: ignore[operator]
    inside = sum(p.weight if weighed else 1.0 for p in caught)
    return Score(
        len(priced),
        skipped,
        float(np.average(error, weights=weights)),
        _quantile(error, 0.5, weights),
        _quantile(error, 0.9, weights),
        float(np.exp(_quantile(np.log(ratio), 0.5, weights)) - 1),
        inside / counted if bounded else None,
        float(np.expm1(np.average(np.abs(np.log(ratio)), weights=weights))),
    )


CLAIMED: Final = 0.8
"""Share of measurements that an interval claims to hold."""


def agreement(predictions: Iterable[Prediction]) -> str:
    """Return whether measurements agree with their 80 % intervals, by the 95 % range of a binomial count, and what to do where not.

    Those that could not be predicted take no part. "" where nothing was measured that has an interval.

    >>> made = [Prediction(None, "tpot_s", m, 1.0, 0.8, 1.25, "generic") for m in (1.0, 1.1, 1.3, 1.5, 1.6, 1.7)]
    >>> agreement(made[:2])
    'agrees with the intervals: 2 of 2 inside, 0 to 2 expected'
    >>> agreement(made)
    'outside more often than the intervals claim: 2 of 6 inside, 3 to 6 expected; intervals 2.1 times as wide hold four in five of these \
runs (coverage 0.99), or fit the stack to them with roofline calibrate'
    """
    positions = _positions(predictions)
    n = positions.size
    if not n:
        return ""
    mean, wide = CLAIMED * n, 1.96 * float(np.sqrt(n * CLAIMED * (1 - CLAIMED)))
    low, high, count = max(round(mean - wide), 0), min(round(mean + wide), n), int(np.sum(positions <= 1))
    text = f"{count:,} of {n:,} inside, {low:,} to {high:,} expected"
    factor = max(_quantile(positions, CLAIMED, np.ones(n)), 0.01)
    needed = f"intervals {factor:.2g} times as wide hold four in five of these runs (coverage {_claimed_coverage(factor):.2g})"
    if count < low:
        return f"outside more often than the intervals claim: {text}; {needed}, or fit the stack to them with roofline calibrate"
    if count > high:
        return f"inside more often than the intervals claim: {text}; {needed}"
    return f"agrees with the intervals: {text}"


def _positions(predictions: Iterable[Prediction]) -> NDArray[np.float64]:
    """Return how far measured values lie from predicted ones, in logarithms, over how far the end of the interval on that side does."""
    out = [
        np.log(p.measured / p.predicted) / np.log((p.high if p.measured > p.predicted else p.low) / p.predicted)
        for p in predictions
        if p.measured and p.predicted and p.low and p.high and p.low < p.predicted < p.high
    ]
    return np.array(out, dtype=np.float64)


def _claimed_coverage(factor: float) -> Ratio:
    """Return the share that an interval claims which is so many times as wide as one of 80 %."""
    normal = NormalDist()
    return min(2 * normal.cdf(factor * normal.inv_cdf((1 + CLAIMED) / 2)) - 1, 0.99)


def _quantile(values: NDArray[np.float64], share: float, weights: NDArray[np.float64]) -> float:
    """Return what a share of the weights stays below: between the middles of neighbours, the outermost at 0 and 1.

    With equal weights it is NumPy's.

    >>> _quantile(np.array([3.0, 1.0, 2.0]), 0.5, np.array([1.0, 1.0, 2.0]))
    2.0
    """
    order = np.argsort(values)
    middle = np.cumsum(weights[order]) - weights[order] / 2
    span = middle[-1] - middle[0]
    return float(np.interp(share, (middle - middle[0]) / (span or 1.0), values[order]))


def by(predictions: Sequence[Prediction], key: Callable[[Prediction], str]) -> dict[str, list[Prediction]]:
    """Return the predictions in groups, in the order of the groups' names; those without one are left out."""
    out: dict[str, list[Prediction]] = {}
    for each in predictions:
        name = key(each)
        if name:
            out.setdefault(name, []).append(each)
    return dict(sorted(out.items()))
