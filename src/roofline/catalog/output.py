"""Writes files atomically, one or several together.

A regular file is written beside its place, brought to the disk and put into its place at once. What is no regular file (a pipe,
``/dev/null``, ``/dev/stdout``) is written into, never replaced. A symbolic link is followed. A file that was there keeps its mode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from roofline.core.errors import QuestionError, fault


def check_places(paths: Iterable[Path | None]) -> None:
    """Refuse places that cannot be written, before any work is done for what goes there.

    Args:
        paths: files to be written; None is one that was not asked for.

    Raises:
        QuestionError: the directory is missing, may not be written or is no directory; or two outputs have one place.
    """
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        with _named(path):
            _check(path)
            if _regular(path) and _place(path) in seen:
                raise QuestionError(fault("output", str(path), "is the place of two outputs", "name another file"))
            seen.add(_place(path))


def write(path: Path, data: bytes) -> None:
    """Write one file whole or not at all.

    Raises:
        QuestionError: the place cannot be written.
    """
    write_all({path: data})


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files: all of them, or none.

    Raises:
        QuestionError: a place cannot be written; every regular file is then what it was.
    """
    staged: dict[Path, tuple[Path, Path]] = {}
    try:
        for path, data in files.items():
            with _named(path):
                if _regular(path):
                    place = _place(path)
                    beside = place.parent / f".{place.name[:40]}.{os.getpid()}.{len(staged)}.part"
                    staged[path] = (beside, place)
                    _stage(beside, place, data)
        for path, data in files.items():
            if path not in staged:
                with _named(path):
                    _pour(path, data)
        for path, (beside, place) in staged.items():
            with _named(path):
                _settle(beside, place)
    finally:  # what has been put into its place is no longer beside it
        for beside, _ in staged.values():
            with suppress(OSError, ValueError):
                beside.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Raise what goes wrong with a file as an error that names it."""
    try:
        yield
    except QuestionError:
        raise
    except (OSError, ValueError) as error:
        raise QuestionError(_unwritable(path, error)) from None


def _unwritable(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return fault("output", str(path), f"cannot be written: {reason}")


def _place(path: Path) -> Path:
    """Return where a regular file lies, after symbolic links."""
    return Path(os.path.realpath(path))


def _regular(path: Path) -> bool:
    """Whether the path is of a regular file, or of nothing yet; what a process has open (``/dev/stdout``) is not replaced."""
    if str(path.absolute()).startswith(("/dev/", "/proc/")):
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _check(path: Path) -> None:
    if path.is_dir():
        raise QuestionError(fault("output", str(path), "cannot be written: is a directory", "name a file in it"))
    place = _place(path)
    if _regular(path) and not place.parent.is_dir():
        rule = "cannot be written: its directory does not exist"
        raise QuestionError(fault("output", str(path), rule, f"create {place.parent} first"))
    there = path.exists()
    if (there and not os.access(path, os.W_OK)) or (_regular(path) and not os.access(place.parent, os.W_OK | os.X_OK)):
        raise QuestionError(fault("output", str(path), "cannot be written: permission denied"))


def _stage(beside: Path, place: Path, data: bytes) -> None:
    """Write the data beside its place, with the mode of what is there, and bring it to the disk."""
    with beside.open("xb") as file:
        with suppress(FileNotFoundError):
            os.fchmod(file.fileno(), stat.S_IMODE(place.stat().st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _settle(beside: Path, place: Path) -> None:
    beside.replace(place)
    with suppress(OSError):  # a file system that cannot sync a directory
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _pour(path: Path, data: bytes) -> None:
    """Write into what is there: a pipe, a device, a terminal."""
    with path.open("ab", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) or 0 :]
