"""Numbers as a person types them on a command line: one number, a quantity with its unit, a list, ``NAME=VALUE``.

Every word of a command line that means a number is read here, so that all commands take and refuse the same spellings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import cyclopts
import numpy as np

from roofline.core.digits import parse_real, parse_whole
from roofline.core.errors import QuestionError, fault
from roofline.core.quantities import spaced
from roofline.core.units import GIGA

_RANGE: Final = re.compile(r"([0-9.eE]+?)\.\.([0-9.eE]+)(?:([+*])([0-9.eE]+))?")
_MOST: Final = 100_000
"""Numbers in one list."""


def to_whole(type_: Any, tokens: Sequence[cyclopts.Token]) -> int:  # noqa: ARG001
    """Return the whole number of a flag; the form that a converter of cyclopts has."""
    return parse_whole(_flag(tokens[0]), tokens[0].value)


def to_wholes(type_: Any, tokens: Sequence[cyclopts.Token]) -> list[int]:  # noqa: ARG001
    """Return the whole numbers of a flag that may be given several times."""
    return [parse_whole(_flag(token), token.value) for token in tokens]


def to_real(type_: Any, tokens: Sequence[cyclopts.Token]) -> float:  # noqa: ARG001
    """Return the number of a flag."""
    return parse_real(_flag(tokens[0]), tokens[0].value)


def to_quantity(type_: Any, tokens: Sequence[cyclopts.Token]) -> str:  # noqa: ARG001
    """Return ``1.2 kW`` for ``1.2kW``: the form that :func:`roofline.core.units.parse` reads."""
    return spaced(tokens[0].value)


def each_or_all(flag: str, typed: Sequence[str] | None) -> str | dict[str, str] | None:
    """Return one quantity for all, or those of some by name; None where none was typed.

    Raises:
        QuestionError: a quantity for all and others by name, or a name given twice.

    >>> each_or_all("--price", ["2.95USD/h"]), each_or_all("--price", ["dgx-h100=2USD/h", "tpu-v5p=1USD/h"])
    ('2.95 USD/h', {'dgx-h100': '2 USD/h', 'tpu-v5p': '1 USD/h'})
    """
    if not typed:
        return None
    if len(typed) == 1 and "=" not in typed[0]:
        return spaced(typed[0])
    out: dict[str, str] = {}
    for text in typed:
        name, equals, value = text.rpartition("=")
        if not equals or name in out:
            rule = "is given twice" if equals else "names no system, but several are given"
            raise QuestionError(fault(flag, text, rule, f"write {flag} SYSTEM=VALUE once for each system"))
        out[name] = spaced(value)
    return out


def _flag(token: cyclopts.Token) -> str:
    return token.keyword or "value"


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


def wholes(name: str, text: str) -> list[int]:
    """Return the whole numbers of a list, as :func:`several` reads it.

    >>> wholes("--chips", "8..64*2")
    [8, 16, 32, 64]
    """
    numbers = several(name, text)
    for value in numbers:
        if value != math.floor(value):
            raise QuestionError(fault(name, f"{value:g}", "must be whole numbers", "such as 8,16"))
    return [int(value) for value in numbers]


def _some(name: str, part: str) -> list[float]:
    found = _RANGE.fullmatch(part)
    remedy = "write 1,2,4, 1..8, 0..100+10 or 1..64*2"
    if found is None:
        if ".." in part or not part:
            raise QuestionError(fault(name, part, "is not a list of numbers", remedy))
        return [parse_real(name, part)]
    first, last, step = (parse_real(name, text) for text in (found[1], found[2], found[4] or "1"))
    by = found[3] or "+"
    if not first <= last or (step <= 1 or first <= 0 if by == "*" else step <= 0):
        raise QuestionError(
            fault(name, part, "is an empty range", "the last is no less than the first; a factor is above 1")
        )
    count = (np.log(last / first) / np.log(step) if by == "*" else (last - first) / step) + 1 / GIGA
    if count > _MOST:
        raise QuestionError(fault(name, part, f"are more than {_MOST:,} numbers"))
    steps = np.arange(int(count) + 1)
    return [float(n) for n in (first * step**steps if by == "*" else first + step * steps)]


def assignments(flag: str, typed: Sequence[str] | None) -> dict[str, list[str]]:
    """Return what was written as ``NAME=VALUE,VALUE``, each name once.

    Args:
        flag: the word of the command line, for the message.
        typed: what followed it, each time that it was given.

    Raises:
        QuestionError: no name, no value, or a name that was given before.

    >>> assignments("--vary", ["bandwidth=4TB/s,8TB/s", "links=1x,2x"])
    {'bandwidth': ['4TB/s', '8TB/s'], 'links': ['1x', '2x']}
    """
    out: dict[str, list[str]] = {}
    for each in typed or []:
        key, equals, values = (part.strip() for part in each.partition("="))
        cells = [value.strip() for value in values.split(",")]
        if not equals or not key or not all(cells):
            raise QuestionError(fault(flag, each, "is not NAME=VALUE", "such as tpot=50ms"))
        name = key.replace("-", "_")
        if name in out:
            raise QuestionError(fault(flag, each, f"gives {key} a second time", f"list its values: {key}=A,B"))
        out[name] = cells
    return out


def limits(flag: str, typed: Sequence[str] | None) -> dict[str, str]:
    """Return what was written as ``NAME=VALUE``, one value each.

    Raises:
        QuestionError: as :func:`assignments`; several values, or a range.

    >>> limits("--limit", ["tpot=50ms"])
    {'tpot': '50ms'}
    """
    out = {}
    for name, values in assignments(flag, typed).items():
        if len(values) > 1 or ".." in values[0]:
            raise QuestionError(fault(flag, f"{name}={','.join(values)}", "takes one value", f"such as {name}=50ms"))
        out[name] = values[0]
    return out
