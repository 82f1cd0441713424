"""The index of the catalogue: the library's TOML files, parsed when the wheel was built.

A line of it is the digest of a file's bytes and the tables of that file as JSON. A file is always read; only where the index has its
digest are its tables taken from there, in a twentieth of the time that parsing takes. So the index cannot be out of date: a file that
was changed has another digest and is parsed. A checkout has no index.

The module needs the standard library alone: ``scripts/wheel.py`` loads it while the wheel is built.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

NAME: Final = "index"
"""Name of the file, in the folder that holds ``hardware/`` and ``workloads/`` inside the wheel."""
_DAY: Final = "\0day"
"""Key of a date, which JSON has not; no key of TOML can be this one."""


def digest(data: bytes) -> bytes:
    """Return a digest of a file's content, as 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest().encode()


def lines(files: Sequence[Path]) -> Iterator[bytes]:
    """Yield the lines of the index of some TOML files.

    Raises:
        TypeError: a value that is neither a number, a text, a truth value nor a date.
    """
    for path in files:
        data = path.read_bytes()
        tables = tomllib.loads(data.decode())
        yield digest(data) + b" " + json.dumps(tables, default=_dated, separators=(",", ":")).encode() + b"\n"


def _dated(value: object) -> dict[str, str]:
    if type(value) is not date:
        raise TypeError(f"{value!r} is no value of a descriptor")
    return {_DAY: value.isoformat()}


def _undated(table: dict[str, Any]) -> Any:
    return date.fromisoformat(table[_DAY]) if _DAY in table else table


@functools.cache
def _index(file: Path) -> dict[bytes, bytes]:
    if not file.is_file():
        return {}
    return dict(line.split(b" ", 1) for line in file.read_bytes().splitlines())


def tables(data: bytes, file: Path) -> dict[str, Any] | None:
    """Return the tables of a TOML file of this content, if an index has them.

    Args:
        data: the file's bytes.
        file: the index; one that is not there has nothing.
    """
    known = _index(file)
    found = known.get(digest(data)) if known else None
    return None if found is None else json.loads(found, object_hook=_undated)
