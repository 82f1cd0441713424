r"""Constants of a kernel class fitted to timings: few, physical, robust against a bad kernel, checked on rows that were left out.

The times of :func:`roofline.roofline.price` are compared with the measured ones in logarithms,

.. math:: \min_\theta \sum_i \rho\!\left(\frac{\log T_i(\theta) - \log t_i}{\sigma}\right),
          \qquad \rho(z) = 2\,(\sqrt{1 + z^2} - 1),

so that a slow outlier counts little and a small kernel as much as a large one. Every other row is left out; the error told is
theirs. A constant that the rows do not determine (its standard error is more than a third) keeps the value it started from,
and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.calibration import Calibration, Kernel
from roofline.errors import QuestionError, fault
from roofline.hardware import Chip
from roofline.roofline import price
from roofline.timings import Timings
from roofline.units import MICRO, Ratio

FITTED: Final[Mapping[str, tuple[str, ...]]] = {
    "gemm": ("eta_compute", "eta_memory", "t0", "p"),
    "attention_prefill": ("eta_compute", "eta_memory", "t0", "ramp"),
    "attention_decode": ("eta_memory", "t0", "item"),
    "mla_prefill": ("eta_compute", "eta_memory", "t0", "ramp"),
    "mla_decode": ("eta_compute", "eta_memory", "t0", "p"),
    "moe": ("eta_compute", "eta_memory", "t0", "p"),
    "elementwise": ("eta_memory", "t0"),
}
"""The constants of each class that timings can tell."""

_OCCUPY: Final = ("attention_prefill", "mla_prefill")
"""Classes that leave a core idle that has no tile of queries."""

_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "eta_compute": (0.02, 1.0), "eta_memory": (0.02, 1.0), "t0": (0.05 * MICRO, 500 * MICRO), "p": (1.0, 8.0),
    "ramp": (1.0, 20_000.0), "item": (0.002 * MICRO, 100 * MICRO),
}  # fmt: skip
_START: Final = {"t0": 5 * MICRO, "item": MICRO, "ramp": 300.0, "p": 2.0, "eta_compute": 0.6, "eta_memory": 0.7}
_WIDTH: Final = 0.1
_INSIDE: Final = 1e-5
ENOUGH: Final = 24
_UNSURE: Final = 1 / 3
_MOST: Final = 6000
"""Rows that a fit looks at: more change the constants in the third digit."""


@frozen(eq=False)
class Fit:
    """Constants fitted to timings, and how far off they are.

    Attributes:
        kernel: class, and ``form``, the rate or format it is for.
        constants: what was found.
        rows: timings used; ``left_out``: those kept for the check.
        mape: mean error on the rows left out; ``median``; ``p90``; ``seen``: the mean on the rows fitted.
        undetermined: constants that the rows say nothing of: they stay what they were.
    """

    kernel: str
    form: str
    constants: Kernel
    rows: int
    left_out: int
    mape: Ratio
    median: Ratio
    p90: Ratio
    seen: Ratio
    undetermined: tuple[str, ...] = ()


def fit(timed: Timings, chip: Chip, start: Calibration) -> Fit:
    """Return the constants that explain timings best.

    Args:
        timed: of one class and format.
        chip: what they were timed on.
        start: a profile whose constants stand where the rows say nothing.

    Raises:
        QuestionError: fewer than 24 rows.
    """
    from scipy.optimize import least_squares  # few fit, and all import

    if timed.count < ENOUGH:
        raise QuestionError(
            fault("rows", timed.count, f"are too few to fit {timed.kernel} {timed.form}", f"time {ENOUGH} at least")
        )
    even = np.arange(timed.count) % 2 == 0
    ours, others = timed.select(_thinned(even)), timed.select(~even)
    given = start.kernel(timed.kernel, timed.op.rate, timed.form)
    if timed.kernel in _OCCUPY:
        given = attrs.evolve(given, occupancy=1.0)
    free = FITTED[timed.kernel]

    def run(names: tuple[str, ...], base: Kernel) -> tuple[Kernel, Any]:
        low, high = (np.log([_BOUNDS[name][i] for name in names]) for i in (0, 1))
        first = np.clip(np.log([_initial(base, name) for name in names]), low + _INSIDE, high - _INSIDE)

        def residuals(theta: NDArray[np.float64]) -> NDArray[np.float64]:
            return _errors(ours, chip, _with(base, names, theta))

        found = least_squares(
            residuals, first, bounds=(low, high), loss="soft_l1", f_scale=_WIDTH, x_scale=0.3, max_nfev=60
        )
        return _with(base, names, found.x), found

    best, found = run(free, given)
    loose = _loose(found, free)
    if loose and len(loose) < len(free):
        best, _ = run(tuple(name for name in free if name not in loose), given)
    seen, out = (np.abs(np.expm1(_errors(part, chip, best))) for part in (ours, others))
    best = attrs.evolve(best, error=float(np.quantile(np.abs(_errors(others, chip, best)), 0.8)))
    return Fit(
        timed.kernel, timed.form, best, ours.count, others.count, float(out.mean()), float(np.median(out)),
        float(np.quantile(out, 0.9)), float(seen.mean()), loose,
    )  # fmt: skip


def score(timings: Timings, chip: Chip, profile: Calibration) -> tuple[Ratio, Ratio]:
    """Return the mean and the median error of a profile on timings it was not fitted to."""
    kernel = profile.kernel(timings.kernel, timings.op.rate, timings.form)
    off = np.abs(np.expm1(_errors(timings, chip, kernel)))
    return float(off.mean()), float(np.median(off))


def _thinned(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return at most :data:`_MOST` of the rows, evenly."""
    kept = np.flatnonzero(where)
    out = np.zeros_like(where)
    out[kept[:: max(1, len(kept) // _MOST)]] = True
    return out


def _initial(base: Kernel, name: str) -> float:
    value = float(getattr(base, name))
    return value if np.isfinite(value) and value > 0 else _START[name]


def _with(base: Kernel, names: Sequence[str], theta: NDArray[np.float64]) -> Kernel:
    return attrs.evolve(base, **{name: float(np.exp(x)) for name, x in zip(names, theta, strict=True)})


def _errors(timings: Timings, chip: Chip, kernel: Kernel) -> NDArray[np.float64]:
    """Return ``log(predicted / measured)`` for each row."""
    profile = Calibration("fit", "calibrated", {(timings.kernel, "any"): kernel}, {})
    return np.asarray(np.log(price(timings.op, chip, profile).time / timings.measured))


def _loose(found: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the constants whose standard error, in logarithms, is more than a third."""
    jacobian = found.jac
    noise = 2 * found.cost / max(len(found.fun) - len(names), 1)
    try:
        spread = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)) * noise)
    except np.linalg.LinAlgError:
        spread = np.where(np.abs(jacobian).max(axis=0) > 0, 0.0, np.inf)
    return tuple(name for name, each in zip(names, spread, strict=True) if not each < _UNSURE)
