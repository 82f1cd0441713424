"""Remedies where a configuration does not fit: the fewest chips, or a narrower number format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from roofline.core.errors import RooflineError
from roofline.planner.estimate import estimate
from roofline.planner.train import train
from roofline.results.estimate import Estimate
from roofline.results.training import Training

MOST: Final = 64
"""Times as many chips as were asked that are tried at most."""
_FORMATS: Final = ("fp8", "int8", "nvfp4", "mxfp4", "int4")


def remedies(est: Estimate | Training) -> list[str]:
    """Return sentences that each say what would fit, with the layout chosen anew; empty if nothing that is tried does."""
    chips = [f"{least:,} chips" for least in [_least(est)] if least]
    formats = (
        []
        if isinstance(est, Training)
        else [f"{name} weights on {float(est.chips):g} chips" for name in _narrower(est)[:1]]
    )
    return [*chips, *formats]


def _would_fit(est: Estimate | Training, chips: int, dtype: str | None = None) -> bool:
    """Whether the same question fits on so many chips, with weights in a format."""
    found: Estimate | Training
    try:
        if isinstance(est, Training):
            found = train(est.question, est.system, chips=chips, level=est.calibration)
        else:
            found = estimate(est.question, est.system, chips=chips, level=est.calibration, dtype=dtype)
    except RooflineError:
        return False
    return bool(found.fits)


def _least(est: Estimate | Training) -> int | None:
    """Return the least multiple of the chips of a system (of one chip below that) on which the question fits."""
    now, whole = int(est.chips), int(est.system.chips)
    unit = whole if now >= whole else 1
    return _first(lambda n: _would_fit(est, n * unit), max(now // unit, 1), unit)


def _first(fits: Callable[[int], bool], now: int, unit: int) -> int | None:
    """Return the least number above ``now`` that fits, in units; fewer fit nowhere that more do not."""
    high = now
    while high <= now * MOST:
        low, high = high, 2 * high
        if fits(high):
            break
    else:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high * unit


def _narrower(est: Estimate) -> list[str]:
    """Return formats that the chip multiplies, with which the question fits on as many chips."""
    peak = est.system.chip.peak
    formats = [name for name in _FORMATS if name in peak and name != est.question.model.dtype]
    return [name for name in formats if _would_fit(est, int(est.chips), name)]
