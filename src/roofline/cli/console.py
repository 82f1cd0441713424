"""Output of the command line: results to standard output, everything else to standard error, files atomically."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

from roofline import catalog
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.text import fitted, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATIENT: Final = 1.0
"""Seconds before progress is shown."""
USUAL: Final = 80
"""Columns of a terminal that does not say, and of a file or a pipe."""
NARROWEST: Final = 40
"""Columns that text keeps within at least."""
WIDEST: Final = 1200
"""Columns that help fills at most: it pads its lines."""

_PLAIN: Final = str.maketrans({"─": "-", "├": "|", "└": "`", "│": "|", "·": "*", "µ": "u", "–": "-", "×": "x"})
_CLEAR: Final = "\r\x1b[K"
_KEPT: Final = "\n\t"


def say(
    as_json: bool,
    fields: Callable[[], Mapping[str, Any] | list[Any]],
    text: Callable[[], str],
    *,
    verbatim: bool = False,
) -> None:
    """Print the fields as one JSON document, or the text within the columns of the terminal.

    Args:
        verbatim: the text is to be copied, as a command line is: its lines stay as they are.
    """
    if as_json:
        _print(json.dumps(fields(), indent=2, allow_nan=False), sys.stdout)
        return
    if verbatim:
        _print(text(), sys.stdout)
        return
    columns = width()
    with fitted(columns):
        _print(wrapped(text(), columns), sys.stdout)


def note(message: str) -> None:
    """Print a line of prose to standard error, where that can be written to."""
    try:
        _print(message, sys.stderr)
    except (OSError, ValueError):  # a disk that is full, a reader that has gone, a stream that was closed
        # What its buffer still holds would fail again, and change the status, when the interpreter ends.
        sys.stderr = None


class Warned(logging.Handler):
    """Prints what is unsure to standard error, each line once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, unless its line has been printed."""
        message = record.getMessage()
        if message not in self._said:
            self._said.add(message)
            note(f"warning: {message}")


def complain(message: str) -> NoReturn:
    """Print one line to standard error and leave with status 2."""
    note(f"roofline: {' '.join(message.split())}")
    raise SystemExit(2)


def width() -> int:
    """Return the columns that text keeps within: those of the terminal or of COLUMNS, 80 where neither says."""
    return max(shutil.get_terminal_size((USUAL, 24)).columns, NARROWEST)


def columns(told: str) -> str:
    """Return the columns that help is set in, where the environment tells some: none would have no end, a million 80 MB.

    >>> columns("0"), columns("120"), columns("9" * 30), columns("wide")
    ('40', '120', '1200', '40')
    """
    count = int(told) if told.isdecimal() and len(told) < 9 else WIDEST if told.isdecimal() else 0
    return str(min(max(count, NARROWEST), WIDEST))


def _print(text: str, stream: TextIO | None) -> None:
    if stream is None:  # closed before the program began
        return
    print(printable(text, stream.encoding or "utf-8"), file=stream, flush=True)


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""Return the text in characters that the terminal can show, and none that steer it.

    >>> printable("a\x1b[31mred\n")
    'a?[31mred\n'
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(
            "?" if char not in _KEPT and unicodedata.category(char) in ("Cc", "Cf", "Cs") else char for char in text
        )
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return text


def form_of(file: Path | None, word: str = "-o", also: tuple[str, ...] = ()) -> str:
    """Return the form of a picture that a file's name asks for; "" for no file.

    Args:
        file: what will be written.
        word: the word of the command line that names the file.
        also: other forms that will do.

    Raises:
        QuestionError: not svg, pdf or png, nor one of the others.
    """
    if file is None:
        return ""
    form = file.suffix.removeprefix(".").lower()
    if form not in (*plots().FORMATS, *also):
        rule = f"a picture is svg, pdf or png{''.join(f', a table {other}' for other in also)}"
        raise QuestionError(fault(word, str(file), rule, "end the file name in one of them"))
    return form


def json_name(file: Path | None, form: str | None) -> None:
    """Refuse a file of an answer that is not JSON, and a form of a file where there is none.

    Raises:
        QuestionError: one of the two.
    """
    if file is not None and file.suffix.lower() != ".json":
        raise QuestionError(fault("-o", str(file), "an answer is written as JSON", "end the file name in .json"))
    if file is None and form is not None:
        raise QuestionError(fault("--format", form, "is of a file, but none is named", "give -o FILE.json too"))


def exported(answer: Any, form: str | None) -> bytes:
    """Return an answer as a JSON file: its fields, or in the shape of AIPerf's export."""
    fields = answer.to_aiperf() if form == "aiperf" else answer.to_dict()
    return (json.dumps(fields, indent=2, allow_nan=False) + "\n").encode()


def drawn(ax: Axes, form: str) -> bytes:
    """Return the picture that axes lie on."""
    return cast("bytes", plots().render(ax.figure, form))


def wrote(*files: tuple[Path | None, Callable[[], bytes], str]) -> None:
    """Write files, all or none, and say so.

    Args:
        files: each the path (None where it was not asked for), what makes its bytes, and what to say after its name.
    """
    asked = [(path, make(), more) for path, make, more in files if path is not None]
    catalog.write_all({path: data for path, data, _ in asked})
    for path, _, more in asked:
        note(f"wrote {path}{more}")


@contextmanager
def watched(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield what shows on a terminal how many of ``what`` are done, once that takes long; None where there is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
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
