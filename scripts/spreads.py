r"""Quantiles of residuals that hold for the next cell: those seen, drawn towards those of a wider group where they are few.

With n cells, each of one weight, the median m and the quantile at a share p are

.. math:: m = \frac{n\,\hat m + P\,m_0}{n + P}, \qquad q(p) = m + \frac{w\,(\hat q(p') - \hat m) + P\,(q_0(p) - m_0)}{w + P}

.. math:: w = 4 p (1 - p)\, n, \qquad p' = \tfrac12 + (p - \tfrac12)\tfrac{n + 1}{n}

where :math:`\hat q` are the weighted quantiles of the residuals, moved outward as split conformal intervals are, and :math:`q_0` those of
the group above: the nearer distance, all kinds of launch, all engines. A group with none above is drawn towards Student's t with
4 degrees of freedom, of the residuals' median and of the mean width of each half to its quartile and to its tenth. The weight w is that of
a quantile's information: of few cells a tail says the least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roofline.hardware.evidence import SHARES, Spread

PRIOR: Final = 4.0
"""Cells that the group above weighs as."""
STUDENT: Final = np.array([-2.7764, -1.5332, -0.7407, 0.0, 0.7407, 1.5332, 2.7764])
"""Quantiles of Student's t with 4 degrees of freedom at :data:`roofline.hardware.evidence.SHARES`."""

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
