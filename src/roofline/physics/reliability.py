r"""Goodput under failures and checkpoints, in closed form.

A run saves its state after every T of useful work, which stops it for C. Failures arrive at random, with a mean time M between
them, also while it restarts, which takes R. Work since the last checkpoint is recomputed. Then the useful part of the time is

.. math:: g(T) = \frac{T}{M\,e^{R/M}\,(e^{(T + C)/M} - 1)}

exactly (Daly, Future Generation Computer Systems 22, 2006, equation 20). It is greatest where :math:`(1 - x) e^{x + c} = 1` with
``x = T / M`` and ``c = C / M``. In ``u = x + c`` that is :math:`u + e^{-u} - 1 = c` (with the Lambert function
:math:`x = 1 + W(-e^{-1-c})`), and there :math:`g = e^{-(T + C + R)/M}`.

A checkpoint that is written behind the work stops it only while it is copied, but serves only once it is written: a failure before
that goes back one further. On average that costs as much work as is done while one is written; that time is put to R.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roofline.core.arrays import larger, pick, share, smaller
from roofline.core.units import MILLI, Count, Num, Ratio, Seconds

_ROUNDS: Final = 8
"""Newton's steps: from a start that is right for the least and the greatest checkpoints, six reach the last digit."""
_LEAST: Final = 1e-300
_MOST: Final = 1e200
"""Seconds that no run lasts: endless intervals are cut to it, so that products of them stay numbers."""


def fleet_mtbf(mtbf: Seconds, chips: Count) -> Seconds:
    """Return the mean time between failures of any of ``chips`` chips that fail one by one: ``mtbf / chips``.

    >>> fleet_mtbf(48000.0, 16.0)
    3000.0
    """
    return mtbf / chips


def young(mtbf: Seconds, checkpoint: Seconds) -> Seconds:
    """Return Young's interval between checkpoints, ``sqrt(2 M C)`` (Communications of the ACM 17, 1974): right where C << M.

    >>> float(young(1800.0, 1.0))
    60.0
    """
    return np.sqrt(2 * mtbf * checkpoint)


def daly(mtbf: Seconds, checkpoint: Seconds) -> Seconds:
    r"""Return Daly's interval, of a higher order in ``C / 2M`` (Future Generation Computer Systems 22, 2006, equation 37).

    .. math:: T = \sqrt{2 M C}\,\bigl(1 + \tfrac13 \sqrt{C / 2M} + \tfrac19 C / 2M\bigr) - C, \quad C < 2 M; \qquad T = M
       \text{ elsewhere}

    >>> round(float(daly(10800.0, 30.0)), 1)
    785.1
    """
    part = share(checkpoint, 2 * mtbf)
    series = young(mtbf, checkpoint) * (1 + np.sqrt(part) / 3 + part / 9) - checkpoint
    return pick(checkpoint < 2 * mtbf, series, mtbf)


def best_interval(mtbf: Seconds, checkpoint: Seconds) -> Seconds:
    """Return the useful work between two checkpoints with which a run advances most, exactly; endless where nothing fails.

    Solves ``u + e^-u - 1 = C / M`` for ``u = (T + C) / M`` by Newton's steps; the left side is convex, so that at most one of them
    goes too far.

    >>> round(float(best_interval(10800.0, 30.0)), 1)
    785.1
    """
    part = checkpoint / mtbf
    u = larger(np.sqrt(2 * part) + part, _LEAST)
    for _ in range(_ROUNDS):
        u = larger(u - (_excess(u) - part) / -np.expm1(-u), _LEAST)
    endless = np.isinf(mtbf)
    return pick(endless, np.inf, pick(endless, 1.0, mtbf) * -np.expm1(-u))


def _excess(u: Num) -> Num:
    """Return ``u + e^-u - 1``, by its series where the terms cancel."""
    series = u * u * (1 / 2 - u / 6 + u * u / 24 - u * u * u / 120)
    return pick(u < MILLI, series, u + np.expm1(-u))


def goodput(mtbf: Seconds, checkpoint: Seconds, restart: Seconds, interval: Seconds, behind: Seconds = 0.0) -> Ratio:
    """Return the part of the time that is useful work, with a checkpoint after every ``interval`` of it.

    Args:
        mtbf: mean time between failures of the whole run, infinite where nothing fails.
        checkpoint: time for which a checkpoint stops the run.
        restart: time from a failure until work goes on where the last checkpoint left it.
        interval: useful work between checkpoints, above zero; infinite for none.
        behind: time for which a checkpoint is still being written when work has gone on, at most the interval.

    >>> round(float(goodput(10800.0, 30.0, 300.0, 785.0)), 3)
    0.902
    """
    work = smaller(interval, _MOST)
    whole = work + checkpoint
    u = whole / mtbf
    # e^u overflows where a run never comes to a checkpoint: nothing is useful then.
    with np.errstate(over="ignore"):
        survived = share(u, np.expm1(u))
    return work / whole * pick(u > _LEAST, survived, 1.0) * np.exp(-(restart + behind) / mtbf)


def shares(
    mtbf: Seconds, checkpoint: Seconds, restart: Seconds, interval: Seconds, behind: Seconds = 0.0
) -> tuple[Ratio, Ratio, Ratio, Ratio]:
    """Return the parts of the time that are useful work, checkpoints, restarts, and work that is recomputed.

    Failures come all the time, one in M, and what follows each lasts ``M (1 - e^(-R/M))`` on average before work goes on or
    another failure comes: restarts take ``1 - e^(-R/M)``. Of each useful T a checkpoint takes C.

    >>> [round(float(part), 3) for part in shares(10800.0, 30.0, 300.0, 785.0)]
    [0.902, 0.034, 0.027, 0.036]
    """
    useful = goodput(mtbf, checkpoint, restart, interval, behind)
    saving = useful * checkpoint / smaller(interval, _MOST)
    restarting = -np.expm1(-restart / mtbf)
    return useful, saving, restarting, larger(1 - useful - saving - restarting, 0.0)
