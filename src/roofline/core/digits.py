"""One number as a person types it, on a command line or in a form: digits, with no letters that mean two things."""

from __future__ import annotations

import math
import re
from typing import Final

from roofline.core.errors import QuestionError, fault
from roofline.core.units import KIBI, KILO

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_SCALED: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([kKmMbBtTgG])i?")
_LONGEST: Final = 64
"""Characters of one number."""


def parse_real(name: str, text: str) -> float:
    """Return the number that ``text`` spells in digits.

    ``8k`` is refused: it is 8,000 to one reader and 8,192 to the next.

    Args:
        name: what the number is, for the message.
        text: what was typed.

    Raises:
        QuestionError: not a finite number.

    >>> parse_real("--input", "4096"), parse_real("--rate", "2.5"), parse_real("--tokens", "1e9")
    (4096.0, 2.5, 1000000000.0)
    >>> parse_real("--input", "8k")
    Traceback (most recent call last):
        ...
    roofline.core.errors.QuestionError: --input='8k': must be a number in digits; write 8000 or 8192
    """
    typed = text.strip()
    scaled = _SCALED.fullmatch(typed)
    if scaled:
        power = "kmbt".index(scaled[2].lower().replace("g", "b")) + 1
        round_, binary = float(scaled[1]) * KILO**power, float(scaled[1]) * KIBI**power
        remedy = f"write {round_:.0f} or {binary:.0f}" if power == 1 else f"write {round_:g}"
        raise QuestionError(fault(name, text, "must be a number in digits", remedy))
    if re.fullmatch(r"[0-9]{1,3}(?:[,_][0-9]{3})+", typed):
        raise QuestionError(fault(name, text, "must be a number in digits", f"write {re.sub('[,_]', '', typed)}"))
    if re.fullmatch(r"[0-9.]+ ?%", typed) and _NUMBER.fullmatch(typed.rstrip("% ")):
        raise QuestionError(fault(name, text, "must be a number", f"write {float(typed.rstrip('% ')) / 100:g}"))
    if re.fullmatch(r"[+-]?(?:nan|inf|infinity)", typed, re.IGNORECASE):
        raise QuestionError(fault(name, text, "must be a finite number"))
    if not _NUMBER.fullmatch(typed) or len(typed) > _LONGEST:
        raise QuestionError(fault(name, text, "must be a number", "write it in digits, such as 64 or 0.5"))
    value = float(typed)
    if not math.isfinite(value):
        raise QuestionError(fault(name, text, "must be a finite number"))
    return value


def parse_whole(name: str, text: str) -> int:
    """Return the whole number that ``text`` spells; ``7.9`` is not quietly 7.

    Raises:
        QuestionError: not a whole number.

    >>> parse_whole("--chips", "72")
    72
    """
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
        return int(text)
    value = parse_real(name, text)
    if value != math.floor(value) or abs(value) >= 9e17:
        raise QuestionError(fault(name, text, "must be a whole number", "such as 8"))
    return int(value)
