r"""Quantiles of residuals that hold for the next cell: those seen, drawn towards those of a wider group where they are few.

With n cells, each of one weight, the median m and the quantile at a share p are

.. math:: m = \frac{n\,\hat m + P\,m_0}{n + P}, \qquad q(p) = m + \frac{w\,(\hat q(p') - \hat m) + P\,(q_0(p) - m_0)}{w + P}

.. math:: w = 4 p (1 - p)\, n, \qquad p' = \tfrac12 + (p - \tfrac12)\tfrac{n + 1}{n}

where :math:`\hat q` are the weighted quantiles of the residuals, moved outward as split conformal intervals are, and :math:`q_0` those of
the group above: the nearer distance, all kinds of launch, all engines. A group with none above is drawn towards Student's t with
4 degrees of freedom, of the residuals' median and of the mean width of each half to its quartile and to its tenth. The weight w is that of
a quantile's information: of few cells a tail says the least.

A condition, such as a kind of launch, makes residuals wider by a factor f, the same at all distances (:func:`effects`). With the distance
of a residual from the median of its group :math:`u`, and :math:`s` the mean of abs(u) of the group,

.. math:: f_c = \frac{\sum_c w \min(|u| / (s \prod_{k \ne c} f_k), C f_c) + P}{\sum_c w + P}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.hardware.evidence import CONDITIONS, SHARES, Condition, Spread

PRIOR: Final = 4.0
"""Cells that the group above weighs as."""
STUDENT: Final = np.array([-2.7764, -1.5332, -0.7407, 0.0, 0.7407, 1.5332, 2.7764])
"""Quantiles of Student's t with 4 degrees of freedom at :data:`roofline.hardware.evidence.SHARES`."""

FARTHEST: Final = 3.0
"""Mean deviations beyond which a residual counts no more for the width of a condition."""
ROUNDS: Final = 30
"""Rounds of the widths, each of which depends on the others."""

Floats = NDArray[np.float64]


def weights(cells: Sequence[str]) -> Floats:
    """Return weights that make each cell count as one."""
    count = Counter(cells)
    return np.array([1 / count[cell] for cell in cells])


def quantile(values: Floats, w: Floats, share: float) -> float:
    """Return a weighted quantile: between the middles of the weights of neighbours."""
    order = np.argsort(values)
    v, middle = values[order], np.cumsum(w[order]) - w[order] / 2
    return float(np.interp(share * w.sum(), middle, v))


def student(values: Floats, w: Floats) -> Floats:
    """Return the quantiles of Student's t of the residuals' median, each half as wide as its quartile and its tenth are on average."""
    seen = np.array([quantile(values, w, share) for share in SHARES])
    middle = len(SHARES) // 2
    each = (seen - seen[middle]) / np.where(STUDENT == 0, 1.0, STUDENT)
    low, high = (float(np.mean(each[list(inner)])) for inner in ((1, 2), (4, 5)))
    return np.asarray(seen[middle] + np.where(STUDENT < 0, low, high) * STUDENT)


def spread(values: Sequence[float], cells: Sequence[str], above: Spread | None = None) -> Spread:
    """Return the quantiles of residuals, drawn towards those of the group ``above``.

    Raises:
        ValueError: there are none.
    """
    if not len(values):
        raise ValueError("a spread needs a residual")
    v, w, n = np.asarray(values, dtype=float), weights(cells), len(set(cells))
    seen = np.array([quantile(v, w, float(np.clip(0.5 + (p - 0.5) * (n + 1) / n, 0.0, 1.0))) for p in SHARES])
    top = student(v, w) if above is None else np.array(above.logs)
    trust = np.array([4 * p * (1 - p) * n for p in SHARES])
    middle = len(SHARES) // 2
    median = (n * seen[middle] + PRIOR * top[middle]) / (n + PRIOR)
    mixed = median + (trust * (seen - seen[middle]) + PRIOR * (top - top[middle])) / (trust + PRIOR)
    return Spread(n, len(v), tuple(float(each) for each in np.maximum.accumulate(mixed)))


@frozen(eq=False)
class Sample:
    """Residuals with what they are of.

    Attributes:
        values: log(measured / predicted).
        cells: what weighs as one.
        groups: what has a median and a mean deviation of its own: the distance.
        conditions: that hold, of each.
        middles: median of each residual's group.
    """

    values: Floats
    cells: Sequence[str]
    groups: Sequence[str]
    conditions: Sequence[tuple[str, ...]]
    middles: Floats

    def holds(self, condition: str) -> NDArray[np.bool_]:
        """Return where a condition holds."""
        return np.array([condition in each for each in self.conditions], dtype=bool)


def effects(sample: Sample) -> dict[str, Condition]:
    """Return the width of each condition, which is 1 on average over the residuals where one of its kind is known.

    No condition has a width below that of a surer one of its kind (:data:`roofline.hardware.evidence.CONDITIONS`).
    """
    kinds = [[c for c in each if sample.holds(c).any()] for each in CONDITIONS]
    at = {c: sample.holds(c) for each in kinds for c in each}
    w, groups = weights(sample.cells), np.unique(sample.groups, return_inverse=True)[1]
    count = {c: len({cell for cell, here in zip(sample.cells, where, strict=True) if here}) for c, where in at.items()}
    off = np.abs(sample.values - sample.middles)
    # Each distance counts a cell once.
    inner = weights([f"{group} {cell}" for group, cell in zip(sample.groups, sample.cells, strict=True)])
    widths = dict.fromkeys(at, 1.0)
    for _ in range(ROUNDS):
        rest = off / _product(widths, at)
        usual = np.average(rest, weights=w)
        near = np.minimum(rest, FARTHEST * usual)
        mean = (np.bincount(groups, inner * near) / np.bincount(groups, inner))[groups]
        for kind in kinds:
            for c in kind:
                where = at[c]
                others = _product({name: f for name, f in widths.items() if name != c}, at)
                scaled = np.minimum(off / (mean * others), FARTHEST * widths[c])[where]
                widths[c] = float((w[where] @ scaled + PRIOR) / (w[where].sum() + PRIOR))
            known = {c: float(w[at[c]].sum()) for c in kind}
            level = (
                float(np.average([np.log(widths[c]) for c in kind], weights=[known[c] for c in kind])) if kind else 0.0
            )
            widths |= {c: float(widths[c] / np.exp(level)) for c in kind}
    for kind in kinds:
        widths |= rising({c: widths[c] for c in kind}, {c: float(w[at[c]].sum()) for c in kind})
    return {c: Condition(count[c], widths[c]) for c in at}


def _product(widths: Mapping[str, float], at: Mapping[str, NDArray[np.bool_]]) -> Floats:
    """Return the product of the widths that hold of each residual."""
    return np.prod([np.where(at[c], f, 1.0) for c, f in widths.items()], axis=0)  # type: ignore[no-any-return]


def rising(widths: Mapping[str, float], w: Mapping[str, float]) -> dict[str, float]:
    """Return widths of which none is below one before it: neighbours in the wrong order become their weighted geometric mean.

    >>> rising({"tuned": 4.0, "default": 1.0, "day-0": 3.0}, {"tuned": 1.0, "default": 1.0, "day-0": 1.0})
    {'tuned': 2.0, 'default': 2.0, 'day-0': 3.0}
    """
    blocks: list[tuple[list[str], float, float]] = []
    for name, width in widths.items():
        blocks.append(([name], float(np.log(width)), w[name]))
        while len(blocks) > 1 and blocks[-2][1] > blocks[-1][1]:
            (some, a, u), (more, b, v) = blocks[-2:]
            blocks[-2:] = [([*some, *more], (a * u + b * v) / (u + v), u + v)]
    return {name: float(np.exp(level)) for names, level, _ in blocks for name in names}


def standardised(sample: Sample, found: Mapping[str, Condition]) -> Floats:
    """Return the residuals as they would be under no condition: the inverse of :meth:`roofline.hardware.evidence.Spread.under`."""
    at = {c: sample.holds(c) for c in found}
    off = sample.values - sample.middles
    return sample.middles + off / _product({c: each.width for c, each in found.items()}, at)
