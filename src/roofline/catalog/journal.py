"""An append-only file, whose earlier records survive a kill or a full disk.

Each line is a checksum and a record in JSON. The checksum covers the record and, through the checksum before it, every record before;
a byte that has changed, or a line that was left out, is found. The first record says what the file is of. Only one process has it open.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from roofline.catalog.output import check_places
from roofline.core.errors import DescriptorError, QuestionError, fault, shown
from roofline.core.units import MEBI

try:
    import fcntl
except ImportError:  # pragma: no cover  (no such locks there)
    fcntl = None  # type: ignore[assignment]

LONGEST_RECORD: Final = 256 * MEBI
"""Bytes of the longest line."""
_SUM: Final = 32
"""Letters of a checksum."""
_LINE: Final = re.compile(rb"([0-9a-f]{%d}) (.*)\n" % _SUM, re.DOTALL)


class Journal:
    """An open file of records.

    Args:
        path: of the file; it is made where there is none.
        head: the first record, which tells a file of something else.
        what: the word of the question, for messages.

    Raises:
        QuestionError: the place cannot be written, is no regular file, or another process has it open.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], what: str = "checkpoint") -> None:
        self.path = path
        self._head, self._what = head, what
        self._sum, self._end = "", 0
        check_places([path])
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise self._refused(f"cannot be written: {error.strerror}") from None
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise self._refused("is no regular file", "name another")
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise self._refused("is in use by another process", "wait for it, or name another file") from None
        except QuestionError:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)

    def read(self) -> Iterator[Any]:
        """Yield the records after the first; a last line without an end, which a kill leaves, is cut off.

        Raises:
            DescriptorError: the file is of something else, or is not what was written.
        """
        first = self._line(dict(self._head))
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_RECORD + 1), b"")):
                if not line.endswith(b"\n") and len(line) <= LONGEST_RECORD and (number or first.startswith(line)):
                    break
                found = _LINE.fullmatch(line)
                if found is None or found[1].decode() != self._next(found[2]):
                    rule = "is damaged" if number else "is no checkpoint of this version"
                    raise DescriptorError(
                        f"{shown(str(self.path))}: line {number + 1}: {rule}; remove it, or name another file"
                    )
                self._sum, self._end = found[1].decode(), self._end + len(line)
                record = json.loads(found[2])
                if number:
                    yield record
                else:
                    self._same(record)
        os.ftruncate(self._file, self._end)
        os.lseek(self._file, 0, os.SEEK_END)
        if not self._end:
            self.append(dict(self._head))

    def append(self, record: Any) -> None:
        """Add a record, whole or not at all.

        Raises:
            QuestionError: it cannot be written.
        """
        line = self._line(record)
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            remedy = "make room, and run the same again: it goes on from what was written"
            raise self._refused(f"cannot be written: {error.strerror}", remedy) from None
        self._sum, self._end = line[:_SUM].decode(), self._end + len(line)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        with suppress(OSError):
            os.fsync(self._file)

    def _same(self, head: Any) -> None:
        if not isinstance(head, dict) or set(head) != set(self._head):
            raise DescriptorError(
                f"{shown(str(self.path))}: is no checkpoint of this version; remove it, or name another file"
            )
        for name, ours in self._head.items():
            if head[name] != ours:
                rule = (
                    f"was written by {name} {head[name]}, not {ours}" if name == "version" else f"is of another {name}"
                )
                raise DescriptorError(f"{shown(str(self.path))}: {rule}; name another file, or remove this one")

    def _next(self, record: bytes) -> str:
        return hashlib.sha256(self._sum.encode() + record).hexdigest()[:_SUM]

    def _line(self, record: Any) -> bytes:
        text = json.dumps(record, separators=(",", ":"))
        return f"{self._next(text.encode())} {text}\n".encode()

    def _refused(self, rule: str, remedy: str = "") -> QuestionError:
        return QuestionError(fault(self._what, str(self.path), rule, remedy))
