"""Limits on the times of a service, on the mean or at a percentile, and whether an answer meets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

import numpy as np
from attrs import frozen

from roofline.core.arrays import Mask
from roofline.core.units import SECOND, Num, Seconds, show
from roofline.core.values import Record

TIMES: Final = {"ttft": "TTFT", "tpot": "TPOT"}
"""What limits are on."""


@frozen
class Limit:
    """The most that a time may be.

    Attributes:
        time: ``ttft`` or ``tpot``.
        most: seconds.
        percent: of the requests that stay below it; None where the mean does.

    >>> print(Limit("ttft", 2.0, 99.0))
    TTFT p99 <= 2 s
    """

    time: str
    most: float
    percent: float | None = None

    @property
    def name(self) -> str:
        """The time and its percentile: ``ttft`` or ``ttft_p99``."""
        return self.time if self.percent is None else f"{self.time}_p{self.percent:g}"

    @property
    def title(self) -> str:
        """The same as a person writes it: ``TTFT`` or ``TTFT p99``."""
        return TIMES[self.time] if self.percent is None else f"{TIMES[self.time]} p{self.percent:g}"

    def __str__(self) -> str:
        return f"{self.title} <= {show(self.most, SECOND, 3)}"

    def of(self, est: Any) -> Seconds:
        """Return the time that an answer states, from its closed form; NaN where it has none, such as a percentile of a single step."""
        value = (
            getattr(est, self.time) if self.percent is None else getattr(est, f"{self.time}_percentile")(self.percent)
        )
        return np.nan if value is None else cast("Num", value)

    def met_by(self, value: Seconds) -> Mask:
        """Return where a time meets the limit; one without meaning does not miss it."""
        return ~np.greater(value, self.most)

    def written(self, value: Seconds) -> str:
        """Return a time with the limit and whether it meets it, in a few words.

        >>> Limit("ttft", 2.0, 99.0).written(2.5)
        'TTFT p99 2.5 s misses 2 s'
        """
        if np.isnan(value):
            return f"{self.title} has no meaning here"
        return f"{self.title} {show(float(value), SECOND, 3)} {'meets' if self.met_by(value) else 'misses'} {show(self.most, SECOND, 3)}"

    def record(self, value: Seconds) -> Record:
        """Return the limit and a time under the names of the machine-readable form."""
        return {
            "time": self.time, "percentile": self.percent, "limit_s": float(self.most),
            "value_s": None if np.isnan(value) else float(value), "met": bool(self.met_by(value)),
        }  # fmt: skip


def all_met(limits: Iterable[Limit], est: Any) -> Mask:
    """Return where the closed form of an answer meets all of some limits."""
    out: Mask = True
    for each in limits:
        out = out & each.met_by(each.of(est))
    return out
