"""Start-up logs of serving engines against the memory that is predicted: weights, room for cache, tokens, what starts.

A row is one printed figure (``workloads/runs/memory.csv``): ``weights_gib_per_gpu``, ``kv_cache_gib_per_gpu``, ``kv_cache_tokens``,
``max_concurrency_at_len`` (requests of ``length`` tokens), or ``starts`` (1 or 0).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.units import GIBI, Num
from roofline.hardware.engines import Engine
from roofline.hardware.evidence import COVERAGE
from roofline.planner.estimate import estimate
from roofline.results import memory_intervals
from roofline.results.estimate import Estimate
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode

LENGTH: Final = 8192.0
"""Tokens of a request where a log states no longest one."""


@frozen
class Logged:
    """One figure of a log, and what is predicted.

    Attributes:
        row: the figure's columns.
        measured: the measured value, in the unit of the quantity.
        predicted: the predicted value, in the unit of the quantity.
        low: lower end of the 80 % interval.
        high: upper end of the 80 % interval.
    """

    row: Mapping[str, str]
    measured: float
    predicted: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Predicted over measured, less one; of ``starts`` the difference."""
        return self.predicted - self.measured if self.measured in (0.0, 1.0) else self.predicted / self.measured - 1

    @property
    def inside(self) -> bool:
        """Whether the interval contains the figure."""
        return self.low <= self.measured <= self.high


def logs(rows: Sequence[Mapping[str, str]]) -> list[Logged]:
    """Return what is predicted of each figure of start-up logs."""
    return [predicted(row) for row in rows]


def predicted(row: Mapping[str, str], changed: Callable[[Engine], Engine] = lambda engine: engine) -> Logged:
    """Return what is predicted of one figure; ``changed`` gives the engine other constants."""
    system = catalog.system(row["system"])
    model = catalog.model(row["model"], dtype=row["weight_dtype"] or None, kv_dtype=row["kv_dtype"] or None)
    release = release_of(row["release"])
    engine = changed(catalog.engine(f"{row['engine']}{release}", system))
    layout = Layout(tp=float(row["tp"]), pp=float(row["pp"]), dp=float(row["dp"]), ep=float(row["ep"]))
    length = float(row["length"] or LENGTH)
    fraction = float(row["memory_fraction"]) if row["memory_fraction"] else None
    question = Decode(model, 1.0, length - 1, draft_tokens=float(row.get("draft_tokens") or 0))
    est = estimate(question, system, layout, engine=engine, memory_fraction=fraction)
    value, (low, high) = _QUANTITIES[row["quantity"]](est, length)
    return Logged(row, float(row["value"]), float(value), float(low), float(high))


def release_of(text: str) -> str:
    """Return a release as a stack is asked for it: a number, or the day that words such as ``September 2025`` name; "" for neither.

    >>> release_of("0.20.1.dev"), release_of("May 2026"), release_of("nightly")
    ('@0.20.1.dev', '@2026-05', '')
    """
    if text[:1].isdigit():
        return f"@{text}"
    found = re.search(rf"({'|'.join(_MONTHS)})\w* (20\d\d)", text)
    return "" if found is None else f"@{found[2]}-{_MONTHS.index(found[1]) + 1:02d}"


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


_ROUNDED: Final = 0.002
"""How far a printed figure may be from the bytes behind it."""


def _weights(est: Estimate, _: float) -> tuple[Num, tuple[Num, Num]]:
    value, (low, high) = est.memory.weights / GIBI, catalog.evidence().spread("weights", "family").ends(COVERAGE)
    return value, (value * np.exp(min(low, -_ROUNDED)), value * np.exp(max(high, _ROUNDED)))


def _room(est: Estimate, _: float) -> tuple[Num, tuple[Num, Num]]:
    low, high = memory_intervals.room(est, COVERAGE)
    # Of the rule "free", a part of what is left stays free.
    given = est.calibration.memory_fraction if est.calibration.engine.memory.rule == "free" else 1.0
    return est.cache_room / GIBI * given, (low / GIBI * given, high / GIBI * given)


def _tokens(est: Estimate, _: float) -> tuple[Num, tuple[Num, Num]]:
    return est.kv_cache_tokens, est.interval("kv_cache_tokens") or (est.kv_cache_tokens, est.kv_cache_tokens)


def _requests(est: Estimate, length: float) -> tuple[Num, tuple[Num, Num]]:
    value, (low, high) = _tokens(est, length)
    return value / length, (low / length, high / length)


def _starts(est: Estimate, _: float) -> tuple[Num, tuple[Num, Num]]:
    chance = est.fits_probability
    return est.fits * 1.0, ((chance > _TAIL) * (chance > 1 - _TAIL) * 1.0, (chance > _TAIL) * 1.0)


_TAIL: Final = 0.1
_QUANTITIES: Final[Mapping[str, Callable[[Estimate, float], tuple[Num, tuple[Num, Num]]]]] = {
    "weights_gib_per_gpu": _weights,
    "kv_cache_gib_per_gpu": _room,
    "kv_cache_tokens": _tokens,
    "max_concurrency_at_len": _requests,
    "starts": _starts,
}
"""What each quantity of a log is of an estimate, with its interval."""
