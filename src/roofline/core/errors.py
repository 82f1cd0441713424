"""Errors that say what was given, the rule it breaks, and the remedy.

The tree::

    RooflineError
    ├── QuestionError        the question has no meaning: a size, a name, a combination of words
    │   └── UnknownNameError a name that no descriptor, model or option carries
    └── DescriptorError      a file or mapping cannot be read: file, key, value, rule, remedy
        └── UnitError        a quantity's unit is missing, misspelt or of the wrong kind

A plan that does not fit or divide is an answer (a mask with its reason), not an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_VALUE = 60
_DIGITS = 15
"""Longer whole numbers are shown as powers of ten."""


def one_line(text: str) -> str:
    r"""Return text without what would end its line or steer a terminal.

    >>> one_line("a\x1b[31mname\nof a file")
    'a?[31mname of a file'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)


class RooflineError(Exception):
    r"""Base of every error this library raises on purpose: one line, whatever stands in the names and files that it tells of.

    >>> str(RooflineError("a\x1b[31mname\nof a file"))
    'a?[31mname of a file'
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class QuestionError(RooflineError, ValueError):
    """The question asked has no meaning."""


class UnknownNameError(QuestionError):
    """A name was not found; the message lists the near misses."""


class DescriptorError(RooflineError, ValueError):
    """A descriptor, model or table could not be read."""


class UnitError(DescriptorError):
    """A quantity was given in a unit that cannot be taken."""


def shown(value: object) -> str:
    """Return ``value`` as one short printable line: a whole number without the point that no one typed, of a long path its end.

    >>> len(shown("a" * 100)), shown(3), shown(0.0), shown(2.5), shown(1e308)
    (60, '3', '0', '2.5', '1e+308')
    >>> shown("/home/me/" + "very/" * 20 + "deep/page.pdf")
    "'...y/very/very/very/very/very/very/very/very/deep/page.pdf'"
    """
    if isinstance(value, float):
        plain = f"{value:.0f}"
        return plain if value.is_integer() and len(plain) <= _DIGITS else repr(float(value))
    if isinstance(value, str) and len(value) > _LONGEST_VALUE and "/" in value[-_LONGEST_VALUE:]:
        value = "..." + value[5 - _LONGEST_VALUE :]
    try:
        # Slicing first keeps a hostile megabyte from being rendered only to be cut.
        text = ascii(value[: 2 * _LONGEST_VALUE] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # a bottomless nesting, an integer of 5,000 digits
        text = f"<{type(value).__name__}>"
    if len(text) <= _LONGEST_VALUE:
        return text
    tail = text[0] if text[0] in "'\"" else ""
    return text[: _LONGEST_VALUE - 4 + (not tail)] + "..." + tail


def fault(what: str, value: object, rule: str, remedy: str = "") -> str:
    """Return the one-line message ``what=value: rule; remedy``.

    >>> fault("tp", 3, "must divide the 64 heads", "try 1, 2, 4 or 8")
    'tp=3: must divide the 64 heads; try 1, 2, 4 or 8'
    """
    message = f"{what}={shown(value)}: {rule}"
    return f"{message}; {remedy}" if remedy else message


def near(name: str, names: Iterable[str], what: str = "") -> str:
    """Return a remedy that names the near misses of ``name`` among ``names``.

    Near are names that hold it, or lie in it, and those that are spelt much alike.

    >>> near("h10", ["h100", "b200"]), near("gb200", ["gb200-nvl72", "b200"])
    ('did you mean h100?', 'did you mean gb200-nvl72 or b200?')
    """
    known, asked = sorted(names), str(name).lower()[:80]
    holding = sorted((each for each in known if len(asked) > 2 and asked in each), key=len)
    alike = difflib.get_close_matches(asked, known, n=3, cutoff=0.6)
    within = sorted((each for each in known if len(each) > 3 and each in asked), key=len, reverse=True)
    close = list(dict.fromkeys([*(holding if len(holding) < 9 else []), *alike, *within]))[:3]
    if close:
        return f"did you mean {' or '.join(close)}?"
    if len(known) <= 12:
        return f"known {what or 'names'}: {', '.join(known) or 'none'}"
    return f"{len(known)} {what or 'names'} are known, among them {', '.join(known[:6])}"


def unknown(what: str, name: str, names: Iterable[str], remedy: str = "") -> UnknownNameError:
    """Return the error for a name that is not among ``names``.

    >>> str(unknown("library", "foo", ["cann"]))
    "library='foo': no such library; known libraries: cann"
    """
    hint = near(name, names, f"{what[:-1]}ies" if what.endswith("ry") else f"{what}s")
    return UnknownNameError(fault(what, name, f"no such {what}", f"{hint}{'; ' + remedy if remedy else ''}"))
