"""Units: one per kind inside the library, spelt out only at its edge.

Inside, every quantity is a float (or an array) in seconds, bytes, FLOP, joules, watts or US dollars. A signature says
which by an alias such as :data:`Seconds`; a descriptor file says ``"8 TB/s"``, which :func:`parse` reads once.
"""

from __future__ import annotations

import functools
import math
import re
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.errors import UnitError, fault

Num: TypeAlias = float | NDArray[np.floating[Any]]
"""One value, or many: every formula takes and returns either."""


@frozen
class Unit:
    """A unit as the exponents of its base units: second, byte, FLOP, joule, US dollar.

    Attributes:
        s: exponent of the second.
        B: exponent of the byte.
        FLOP: exponent of the floating-point operation.
        J: exponent of the joule.
        USD: exponent of the US dollar.
    """

    s: int = 0
    B: int = 0
    FLOP: int = 0
    J: int = 0
    USD: int = 0

    def __str__(self) -> str:
        return _SPELLING.get(self) or "·".join(
            name if power == 1 else f"{name}^{power}"
            for name in ("B", "FLOP", "J", "USD", "s")
            if (power := getattr(self, name))
        )


ONE: Final = Unit()
SECOND: Final = Unit(s=1)
BYTE: Final = Unit(B=1)
BYTE_RATE: Final = Unit(B=1, s=-1)
FLOP_: Final = Unit(FLOP=1)
FLOP_RATE: Final = Unit(FLOP=1, s=-1)
JOULE: Final = Unit(J=1)
WATT: Final = Unit(J=1, s=-1)
HERTZ: Final = Unit(s=-1)
DOLLAR: Final = Unit(USD=1)
DOLLAR_RATE: Final = Unit(USD=1, s=-1)

_SPELLING: Final = {
    ONE: "1", SECOND: "s", BYTE: "B", BYTE_RATE: "B/s", FLOP_: "FLOP", FLOP_RATE: "FLOP/s",
    JOULE: "J", WATT: "W", HERTZ: "Hz", DOLLAR: "USD", DOLLAR_RATE: "USD/s",
}  # fmt: skip
_KIND: Final = {
    ONE: "a pure number", SECOND: "a time", BYTE: "a size in bytes", BYTE_RATE: "a bandwidth", FLOP_: "a count of FLOP",
    FLOP_RATE: "a compute rate", JOULE: "an energy", WATT: "a power", HERTZ: "a frequency", DOLLAR: "a price",
    DOLLAR_RATE: "a price per time",
}  # fmt: skip
_EXAMPLE: Final = {
    ONE: "0.8", SECOND: "1.2 us", BYTE: "192 GB", BYTE_RATE: "8 TB/s", FLOP_: "2 TFLOP", FLOP_RATE: "2.25 PFLOP/s",
    JOULE: "3 J", WATT: "700 W", HERTZ: "1.85 GHz", DOLLAR: "3 MUSD", DOLLAR_RATE: "2.95 USD/h",
}  # fmt: skip

Count: TypeAlias = Annotated[Num, ONE]
Ratio: TypeAlias = Annotated[Num, ONE]
Seconds: TypeAlias = Annotated[Num, SECOND]
Bytes: TypeAlias = Annotated[Num, BYTE]
BytesPerSecond: TypeAlias = Annotated[Num, BYTE_RATE]
Flop: TypeAlias = Annotated[Num, FLOP_]
FlopPerSecond: TypeAlias = Annotated[Num, FLOP_RATE]
FlopPerByte: TypeAlias = Annotated[Num, Unit(FLOP=1, B=-1)]
Joules: TypeAlias = Annotated[Num, JOULE]
Watts: TypeAlias = Annotated[Num, WATT]
Dollars: TypeAlias = Annotated[Num, DOLLAR]
DollarsPerSecond: TypeAlias = Annotated[Num, DOLLAR_RATE]
PerSecond: TypeAlias = Annotated[Num, HERTZ]

_DECIMAL: Final = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
MICRO: Final = 1e-6
MILLI: Final = 1e-3
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
KILO: Final = 1e3
KIBI: Final = 2**10
MILLION: Final = 1e6
GIGA: Final = 1e9
TERA: Final = 1e12
MEBI: Final = 2**20
GIBI: Final = 2**30


def _words() -> dict[str, tuple[float, Unit]]:
    """Return every spelling of a simple unit with its scale and its exponents."""
    words: dict[str, tuple[float, Unit]] = {
        "ns": (1e-9, SECOND), "us": (1e-6, SECOND), "µs": (1e-6, SECOND), "ms": (1e-3, SECOND), "s": (1.0, SECOND),
        "min": (60.0, SECOND), "h": (HOUR, SECOND), "d": (DAY, SECOND),
    }  # fmt: skip
    scaled = (("B", 1.0, BYTE), ("bit", 0.125, BYTE), ("FLOP", 1.0, FLOP_), ("OP", 1.0, FLOP_), ("J", 1.0, JOULE),
              ("Wh", HOUR, JOULE), ("W", 1.0, WATT), ("Hz", 1.0, HERTZ), ("USD", 1.0, DOLLAR))  # fmt: skip
    for word, base, unit in scaled:
        words[word] = (base, unit)
        words.update({prefix + word: (base * scale, unit) for prefix, scale in _DECIMAL.items()})
    words.update({prefix + "B": (float(scale), BYTE) for prefix, scale in _BINARY.items()})
    return words


_WORDS: Final = _words()
_QUANTITY: Final = re.compile(r"(?P<number>[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?) (?P<unit>\S{1,20})")


@functools.lru_cache(maxsize=256)
def _unit(text: str) -> tuple[float, Unit] | None:
    """Return the scale and exponents of ``GB/s``, or None."""
    over, slash, under = text.partition("/")
    if over not in _WORDS or (slash and under not in _WORDS):
        return None
    scale, unit = _WORDS[over]
    if not slash:
        return scale, unit
    below, per = _WORDS[under]
    powers = {name: getattr(unit, name) - getattr(per, name) for name in ("s", "B", "FLOP", "J", "USD")}
    return scale / below, Unit(**powers)


def _remedy(text: str, expected: Unit) -> str:
    """Return advice for a unit that was not understood."""
    example = f"write for example {_EXAMPLE.get(expected, '1')!r}"
    if re.search(r"(FLOPS|TOPS|OPS)\b", text):
        return f"a rate is FLOP/s (or OP/s), never FLOPS; {example}"
    if re.search(r"\d *[kMGTP]?b(/s|ps)?$", text):
        return f"b is ambiguous: bits are bit, bytes are B; {example}"
    if re.search(r"\d[A-Za-zµ]", text):
        return f"one space goes between number and unit; {example}"
    return example


def parse(text: object, unit: Unit, where: str = "value") -> float:
    """Return the quantity written in ``text``, in the library's own unit of that kind.

    The form is a plain decimal number, one space, one unit (``"8 TB/s"``, ``"192 GiB"``, ``"1.2 us"``). Decimal and
    binary prefixes keep their own meaning; one integer operation counts as one FLOP.

    Args:
        text: what the file says.
        unit: the kind that is expected, such as :data:`BYTE_RATE`.
        where: file and key, for the message.

    Raises:
        UnitError: not a quantity, a bare number, another kind of unit, negative or not finite.

    >>> parse("8 TB/s", BYTE_RATE)
    8000000000000.0
    >>> parse("2 KiB", BYTE), parse("400 Gbit/s", BYTE_RATE)
    (2048.0, 50000000000.0)
    >>> parse("13.4 TB", BYTE_RATE, "gb200.toml: bandwidth")
    Traceback (most recent call last):
        ...
    roofline.core.errors.UnitError: gb200.toml: bandwidth='13.4 TB': is a size in bytes, expected a bandwidth; write for example '8 TB/s'
    """
    kind = _KIND.get(unit, str(unit))
    if not isinstance(text, str):
        raise UnitError(fault(where, text, f"{kind} needs a unit, in quotes", _remedy("", unit)))
    match = _QUANTITY.fullmatch(text)
    known = _unit(match["unit"]) if match else None
    if match is None or known is None:
        raise UnitError(fault(where, text, f"is not {kind}", _remedy(text, unit)))
    scale, given = known
    if given != unit:
        what = _KIND.get(given, f"in {given}")
        raise UnitError(fault(where, text, f"is {what}, expected {kind}", _remedy("", unit)))
    value = float(match["number"]) * scale
    if not math.isfinite(value):
        raise UnitError(fault(where, text, "is not finite", _remedy("", unit)))
    return value


def show(value: float, unit: Unit, digits: int = 4) -> str:
    """Return a quantity as a person writes it.

    >>> show(8e12, BYTE_RATE), show(0.0494, SECOND), show(559e3, WATT)
    ('8 TB/s', '49.4 ms', '559 kW')
    """
    word = str(unit)
    if not math.isfinite(value):
        return f"{value} {word}"
    if value == 0 or unit == ONE:
        return f"{value:.{digits}g}" if unit == ONE else f"0 {word}"
    if unit == SECOND and abs(value) < 1:
        steps = [(1e-3, "m"), (1e-6, "u"), (1e-9, "n")]
    elif unit == DOLLAR_RATE:
        return f"{value * HOUR:.{digits}g} USD/h"
    elif unit == SECOND or (unit == DOLLAR and abs(value) < 1e6):
        steps = [(1.0, "")]
    else:
        steps = [(scale, prefix) for prefix, scale in reversed(_DECIMAL.items())] + [(1.0, "")]
    # A value that rounds up to the next prefix is written in it: 1 TB, not 1000 GB.
    scale, prefix = next(
        ((scale, prefix) for scale, prefix in steps if float(f"{abs(value) / scale:.{digits}g}") >= 1), steps[-1]
    )
    number = float(f"{value / scale:.{digits}g}")
    return f"{number:,.{max(digits, 4)}g} {prefix}{word}" if abs(number) < 10**4 else f"{number:,.0f} {prefix}{word}"
