"""Lists of numbers as a person types them: ``1,2,4``, ``1..8``, ``1024..32768+1024``, ``1..4096*2``."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from roofline.core.errors import QuestionError, fault
from roofline.core.units import GIGA

_RANGE: Final = re.compile(r"([0-9.eE]+?)\.\.([0-9.eE]+)(?:([+*])([0-9.eE]+))?")
_MOST: Final = 100_000
"""Numbers in one list."""


def several(name: str, text: str) -> list[float]:
    """Return the numbers of a list: apart by commas, each one or a range with a step (``+``) or a factor (``*``).

    Raises:
        QuestionError: not a list of numbers, or a range without end.

    >>> several("batch", "1..4,8..64*2,100..200+50")
    [1.0, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0, 150.0, 200.0]
    """
    out: list[float] = []
    for part in text.split(","):
        out += _some(name, part.strip())
    if len(out) > _MOST:
        raise QuestionError(fault(name, text, f"are more than {_MOST:,} numbers"))
    return out


def _some(name: str, part: str) -> list[float]:
    found = _RANGE.fullmatch(part)
    try:
        if found is None:
            return [float(part)]
        first, last, step = float(found[1]), float(found[2]), float(found[4] or 1.0)
    except ValueError:
        raise QuestionError(
            fault(name, part, "is no list of numbers", "write 1,2,4, 1..8, 0..100+10 or 1..64*2")
        ) from None
    by = found[3] or "+"
    if not first <= last or (step <= 1 or first <= 0 if by == "*" else step <= 0):
        raise QuestionError(
            fault(name, part, "goes nowhere", "the last is no less than the first; a factor is above 1")
        )
    count = (np.log(last / first) / np.log(step) if by == "*" else (last - first) / step) + 1 / GIGA
    if count > _MOST:
        raise QuestionError(fault(name, part, f"are more than {_MOST:,} numbers"))
    steps = np.arange(int(count) + 1)
    return [float(n) for n in (first * step**steps if by == "*" else first + step * steps)]


def words(name: str, given: list[str] | None) -> dict[str, list[Any]]:
    """Return what was written as ``NAME=VALUE,VALUE`` again and again.

    Raises:
        QuestionError: no name, or no value.

    >>> words("vary", ["bandwidth=4TB/s,8TB/s", "links=1x,2x"])
    {'bandwidth': ['4TB/s', '8TB/s'], 'links': ['1x', '2x']}
    """
    out = {}
    for each in given or []:
        key, equals, values = each.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise QuestionError(fault(name, each, "is not NAME=VALUE", "such as tpot=50ms"))
        out[key.strip()] = [value.strip() for value in values.split(",")]
    return out
