"""Quantities as a person gives them to a public function: a number in the library's own unit, or text such as ``30ms``.

A plain number that makes no sense in the library's unit, and does in another that is usual for it, is asked about: other tools count
milliseconds, kilowatts and gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import numpy as np
from attrs import frozen

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import number
from roofline.core.units import BYTE, BYTE_RATE, DOLLAR_RATE, HOUR, KILO, MILLION, SECOND, WATT, Num, Unit, parse


@frozen
class Doubt:
    """Plain numbers of a word that are likely meant in another unit.

    Attributes:
        unit: the unit that is likely meant, as it is written.
        own: the unit in which a plain number is taken, as it is written.
        least: from this number on it is plausible.
        most: up to this number it is plausible.
        rounded: only round numbers are asked about; one that was computed is not.
    """

    unit: str
    own: str
    least: float = 0.0
    most: float = np.inf
    rounded: bool = False


DOUBTS: Final[Mapping[str, Doubt]] = {
    "tpot": Doubt("ms", "s", most=2.0, rounded=True),
    "itl": Doubt("ms", "s", most=2.0, rounded=True),
    "ttft": Doubt("ms", "s", most=200.0, rounded=True),
    "mtbf": Doubt("h", "s", least=60.0),
    "mtbf_per_chip": Doubt("h", "s", least=3600.0),
    "power": Doubt("kW", "W", least=5.0),
    "power_cap": Doubt("kW", "W", least=5.0),
    "hall_power": Doubt("MW", "W", least=KILO),
    "memory": Doubt("GB", "B", least=MILLION),
    "storage": Doubt("GB/s", "B/s", least=MILLION),
}
"""By the name of a word: what is asked about. Percentiles of a time (``tpot_p99``) are asked about as it is."""

_SUCH: Final = {SECOND: "50ms", WATT: "1.2kW", BYTE: "60GB", BYTE_RATE: "2TB/s", DOLLAR_RATE: "2.95USD/h"}
_TYPED: Final = re.compile(
    r"(?P<sign>[+-]?)(?P<number>(?:[0-9]++(?:[.][0-9]++)?+|[.][0-9]++)(?:[eE][+-]?[0-9]++)?+)\s*(?P<unit>(?![.0-9]).*)",
    re.DOTALL,
)
_PERCENTILE: Final = re.compile(r"_p[0-9.]+$")


def spaced(text: str) -> str:
    """Return a quantity with one space between its number and its unit; what does not begin with a number stays as it is.

    >>> spaced("1.2kW"), spaced("1e3MB"), spaced(".5  GiB"), spaced("1.2.3ms")
    ('1.2 kW', '1e3 MB', '0.5 GiB', '1.2.3ms')
    """
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        return text.strip()
    number = found["number"]
    return f"{found['sign']}{'0' if number.startswith('.') else ''}{number} {found['unit']}".strip()


def quantity(name: str, value: object, unit: Unit, such: str = "") -> Num:
    """Return a quantity, or an array of them, in the library's own unit.

    Args:
        name: the word that it was given for, for the message and :data:`DOUBTS`.
        value: a number or an array in that unit (of a price: US dollars per hour), or text with a unit, a space before it or not.
        unit: the kind that is expected.
        such: an example for the message.

    Raises:
        QuestionError: no number, text without a unit, or a number that is likely meant in another unit. UnitError: of another unit.

    >>> quantity("tpot", "30ms", SECOND), quantity("tpot", 0.03, SECOND)
    (0.03, 0.03)
    >>> quantity("tpot", 30, SECOND)
    Traceback (most recent call last):
        ...
    roofline.core.errors.QuestionError: tpot=30: is in seconds: 30 s? did you mean 30 ms; give '30ms' or '30s'
    """
    if isinstance(value, str):
        if re.fullmatch(r"[0-9.eE+-]+", value.strip()):
            raise QuestionError(fault(name, value, "has no unit", f"give for example {such or _SUCH.get(unit, '1')}"))
        return parse(spaced(value), unit, name)
    out = number(value, name)
    doubt = DOUBTS.get(_PERCENTILE.sub("", name))
    if doubt is not None:
        _asked(name, value, np.asarray(out), doubt)
    return out / HOUR if unit == DOLLAR_RATE else out


def _asked(name: str, value: object, numbers: np.ndarray, doubt: Doubt) -> None:
    """Ask about numbers that are likely meant in another unit.

    Raises:
        QuestionError: the first such number.
    """
    odd = (numbers > 0) & np.isfinite(numbers) & ((numbers < doubt.least) | (numbers > doubt.most))
    if doubt.rounded:
        odd = odd & (np.floor(2 * numbers) == 2 * numbers)
    # What is below zero, or no number, is refused by its own rule.
    if np.any(odd) and np.all(numbers >= 0):
        first = f"{float(numbers[odd].flat[0]):g}"
        rule = f"is in {_SAID[doubt.own]}: {first} {doubt.own}? did you mean {first} {doubt.unit}"
        raise QuestionError(fault(name, value, rule, f"give '{first}{doubt.unit}' or '{first}{doubt.own}'"))


_SAID: Final = {"s": "seconds", "W": "watts", "B": "bytes", "B/s": "bytes per second"}
