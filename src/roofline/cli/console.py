"""What the command line writes: answers to standard output, all else to standard error, in characters that the terminal has."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from roofline import catalog, plots
from roofline.core.errors import QuestionError, fault

PATIENT: Final = 1.0
"""Seconds before progress is shown."""

_PLAIN: Final = str.maketrans({"─": "-", "├": "|", "└": "`", "│": "|", "·": "*", "µ": "u"})
_CLEAR: Final = "\r\x1b[K"


def say(as_json: bool, fields: Callable[[], Any], text: Callable[[], str]) -> None:
    """Print the fields as one JSON document, or the text."""
    told = json.dumps(fields(), indent=2, allow_nan=False) if as_json else text()
    print(_encodable(told, sys.stdout.encoding or "ascii"), flush=True)


def complain(message: str) -> NoReturn:
    """Print one line to standard error and leave with status 2."""
    print(_encodable(f"roofline: {' '.join(message.split())}", sys.stderr.encoding or "ascii"), file=sys.stderr)
    raise SystemExit(2)


def _encodable(text: str, encoding: str) -> str:
    """Return the text in characters that a terminal of this encoding can show."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return text


def form_of(file: Path | None, word: str = "-o", also: tuple[str, ...] = ()) -> str:
    """Return the form of a picture that a file's name asks for; "" for no file.

    Args:
        word: the word of the command line that names the file.
        also: other forms that will do.

    Raises:
        QuestionError: not svg, pdf or png, nor one of the others.
    """
    if file is None:
        return ""
    form = file.suffix.removeprefix(".").lower()
    if form not in (*plots.FORMATS, *also):
        rule = f"a picture is svg, pdf or png{''.join(f', a table {other}' for other in also)}"
        raise QuestionError(fault(word, str(file), rule, "end the file name in one of them"))
    return form


def drawn(ax: Any, form: str) -> bytes:
    """Return the picture that axes lie on."""
    return plots.render(ax.figure, form)


def wrote(file: Path, data: bytes, more: str = "") -> None:
    """Write a file, and say so."""
    catalog.write(file, data)
    print(f"wrote {file}{more}", file=sys.stderr)


@contextmanager
def watched(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what shows on a terminal how many of ``what`` are done, once that takes long; None where there is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    began = time.monotonic()

    def show(done: int, total: int) -> None:
        if time.monotonic() - began >= PATIENT:
            print(f"{_CLEAR}{done:,} of {total:,} {what}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(_CLEAR, end="", file=sys.stderr, flush=True)
