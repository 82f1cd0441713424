"""Limits on times as a person writes them: ``50ms`` on the mean, ``p99<2s`` at a percentile."""

from __future__ import annotations

import re
from typing import Final

from roofline.core.errors import QuestionError, fault
from roofline.planner.plans import limit
from roofline.results.limits import Limit

_AT: Final = re.compile(r"p(\d+(?:\.\d+)?)\s*<=?(.+)", re.IGNORECASE)
_OTHER: Final = re.compile(r"(?:mean|avg)\s*<=?(.+)", re.IGNORECASE)


def limits_on(time: str, value: float | str | None) -> tuple[Limit, ...]:
    """Return the limits on a time: seconds or text such as ``50ms`` on the mean, ``p99<2s`` at a percentile, several apart by commas.

    Args:
        time: ``ttft`` or ``tpot``.
        value: what was given; None for no limit.

    Raises:
        QuestionError: no time above 0, no percentile from 1 to below 100, or the same one twice. UnitError: of another unit.

    >>> [str(each) for each in limits_on("ttft", "1s, p99<2s")]
    ['TTFT <= 1 s', 'TTFT p99 <= 2 s']
    """
    if value is None:
        return ()
    if not isinstance(value, str):
        return (Limit(time, limit(time, value)),)
    out = [_one(time, part.strip()) for part in value.split(",")]
    if len({each.name for each in out}) < len(out):
        raise QuestionError(fault(time, value, "names the same percentile twice", "give each limit once"))
    return tuple(out)


def _one(time: str, text: str) -> Limit:
    at, mean = _AT.fullmatch(text), _OTHER.fullmatch(text)
    if at is None:
        if mean is None and text[:1].lower() == "p":
            raise QuestionError(fault(time, text, "is no limit at a percentile", "write for example p99<2s"))
        return Limit(time, limit(time, text if mean is None else mean[1].strip()))
    percent = float(at[1])
    if not 1 <= percent < 100:
        raise QuestionError(fault(time, text, "a percentile is at least 1 and below 100", "write for example p99<2s"))
    return Limit(time, limit(time, at[2].strip()), percent)


def limits_of(ttft: float | str | None = None, tpot: float | str | None = None) -> tuple[Limit, ...]:
    """Return the limits on both times."""
    return (*limits_on("ttft", ttft), *limits_on("tpot", tpot))
