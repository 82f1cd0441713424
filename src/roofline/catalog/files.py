"""Reading files: whole, bounded, and with messages that name the file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from roofline.catalog import index
from roofline.catalog.folders import root
from roofline.core.errors import DescriptorError, fault, shown
from roofline.core.units import MEBI

LARGEST: Final = 16 * MEBI
"""Bytes of the largest descriptor that is read: some checkpoints list every module of every layer."""
LARGEST_TOML: Final = MEBI
"""Bytes of the largest TOML file; the largest that ships has 12 KiB."""
DEEPEST: Final = 16
"""Parts of the longest dotted key: the time that the parser takes grows with their square."""
LONGEST: Final = 256 * MEBI
"""Bytes of the largest table of measurements, unpacked."""
_GZIP: Final = b"\x1f\x8b"


def located(what: str, text: object) -> Path:
    """Return the path that a text names, ``~`` standing for a home directory.

    Args:
        what: the word of the question, for the message.
        text: a path, or its text.

    Raises:
        DescriptorError: the home directory of nobody.
    """
    try:
        return Path(str(text)).expanduser()
    except RuntimeError:
        raise DescriptorError(
            fault(what, str(text), "is in the home directory of no user", "write the whole path")
        ) from None


def is_file(text: str) -> bool:
    """Whether a text is the path of a regular file; one that no system takes is none."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether a path is of a directory; one that no system takes is of none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """Return a regular file's content.

    Raises:
        DescriptorError: missing, not a regular file, not readable, or larger than ``largest``.
    """
    try:
        data = _content(path, largest) if path.is_file() else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DescriptorError(f"{shown(str(path))}: cannot be read: {reason}") from None
    if data is None:
        raise no_file(path)
    if len(data) > largest:
        raise DescriptorError(f"{path}: larger than {largest // MEBI} MiB; this is not what it should be")
    return data


def no_file(path: Path) -> DescriptorError:
    """Return the error for a path where there is no regular file."""
    try:
        other = path.exists() and not path.is_dir() and not path.is_file()
    except (OSError, ValueError):
        other = False
    if other:
        return DescriptorError(
            f"{shown(str(path))}: is a pipe or a device; write what it gives to a file, and name that"
        )
    return DescriptorError(f"{shown(str(path))}: no such file; check the path")


def _content(path: Path, largest: int) -> bytes:
    with path.open("rb") as file:
        return file.read(largest + 1)


def _parsed(path: Path, parse: Callable[[bytes], Any], what: str, largest: int = LARGEST) -> Any:
    try:
        return parse(read_bytes(path, largest))
    except UnicodeDecodeError:
        raise DescriptorError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except RecursionError:
        raise DescriptorError(f"{path}: is nested too deeply to be a descriptor") from None
    except (ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, DescriptorError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DescriptorError(f"{path}: is not valid {what}: {reason[:200]}") from None


_PART: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DEEP: Final = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{DEEPEST}}}")


def _tables(data: bytes) -> dict[str, Any]:
    known = index.tables(data, root() / index.NAME)
    if known is not None:
        return known
    text = data.decode("utf-8-sig")
    # A key ends with its line.
    if any(line.count(".") >= DEEPEST and _DEEP.search(line) for line in text.split("\n")):
        raise ValueError(f"a dotted key has more than {DEEPEST} parts")
    return tomllib.loads(text)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file of at most 1 MiB, whose dotted keys have at most 16 parts."""
    return _parsed(path, _tables, "TOML", LARGEST_TOML)  # type: ignore[no-any-return]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} stands twice")
    return out


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; a key that stands twice is an error."""
    data = _parsed(path, lambda read: json.loads(read.decode("utf-8-sig"), object_pairs_hook=_unique), "JSON")
    if not isinstance(data, dict):
        raise DescriptorError(f"{path}: must hold one JSON object, not {type(data).__name__}")
    return data


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a line of names, plain or gzipped.

    Raises:
        DescriptorError: no such file, not text, names that are missing or stand twice, or rows of another length.
    """
    text = _unpacked(path)
    try:
        reader = csv.reader(io.StringIO(text), strict=True)
        names = [name.strip() for name in next(reader, [])]
        if not names or not all(names) or len(set(names)) < len(names):
            raise DescriptorError(fault(f"{path}: line 1", ",".join(names), "must name every column once"))
        out = []
        for row in reader:
            if row and len(row) != len(names):
                rule = f"has {len(row)} cells, not {len(names)}; quote cells that hold commas"
                raise DescriptorError(f"{path}: line {reader.line_num}: {rule}")
            if row:
                out.append(dict(zip(names, row, strict=True)))
    except csv.Error as error:
        raise DescriptorError(f"{path}: is not valid CSV: {error}") from None
    return out


def _unpacked(path: Path) -> str:
    data = read_bytes(path, LONGEST)
    if data.startswith(_GZIP):
        try:
            with gzip.open(io.BytesIO(data)) as packed:
                data = packed.read(LONGEST + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DescriptorError(f"{path}: is not a whole gzip file: {error}") from None
        if len(data) > LONGEST:
            raise DescriptorError(f"{path}: unpacks to more than {LONGEST // MEBI} MiB; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DescriptorError(f"{path}: is not UTF-8 text; save it as UTF-8") from None


LONGEST_LINE: Final = 4 * MEBI
"""Bytes of the longest line of a file that is read line by line."""


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a text file of any length, plain or gzipped, without their ends; no more than one is in memory.

    Raises:
        DescriptorError: no such file, not a regular file, not readable, not text, or a line of more than 4 MiB.
    """
    number = 0
    try:
        if not path.is_file():
            raise no_file(path)
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == _GZIP
            file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise DescriptorError(f"{path}: line {number}: is longer than {LONGEST_LINE // MEBI} MiB")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DescriptorError(f"{path}: line {number}: is not UTF-8 text; save it as UTF-8") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, DescriptorError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise DescriptorError(f"{shown(str(path))}: cannot be read: {reason}") from None
