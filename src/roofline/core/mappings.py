"""Strict reading of an untrusted mapping: every key is read by type and bounds, every message names its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from roofline.core.errors import DescriptorError, fault, near
from roofline.core.units import TERA

T = TypeVar("T")

_MISSING: Final = object()
_BIGGEST: Final = int(TERA)


class Table:
    """A mapping being read: each getter takes one key, and :meth:`done` refuses keys that were not read.

    Args:
        data: the mapping, as TOML or JSON gives it.
        file: what messages call the file.
        path: dotted path of this table in the file.
        faults: a list to which faults are added in place of being raised, so that all of a file are found; None to raise the first.
    """

    def __init__(self, data: object, file: str, path: str = "", faults: list[DescriptorError] | None = None) -> None:
        self.file = file
        self.path = path
        self.faults = faults
        if not isinstance(data, Mapping):
            raise DescriptorError(fault(self.place(""), data, "must be a table of keys and values"))
        self._data: Mapping[str, Any] = data
        self._asked: set[str] = set()

    @property
    def data(self) -> Mapping[str, Any]:
        """The mapping as it was given."""
        return self._data

    def place(self, key: str) -> str:
        """Return ``file: dotted.path.key`` for a message."""
        dotted = ".".join(part for part in (self.path, key) if part)
        return f"{self.file}: {dotted}" if dotted else self.file

    def fail(self, key: str, rule: str, remedy: str = "") -> DescriptorError:
        """Return the error that says ``rule`` of the value at ``key``."""
        if key not in self._data:
            return DescriptorError(f"{self.place(key)}: {rule}{'; ' + remedy if remedy else ''}")
        return DescriptorError(fault(self.place(key), self._data[key], rule, remedy))

    def note(self, error: DescriptorError) -> None:
        """Raise a fault, or remember it where all are wanted."""
        if self.faults is None:
            raise error
        self.faults.append(error)

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def unread(self) -> tuple[str, ...]:
        """Return the keys that say something and that no getter has asked for."""
        silent: tuple[object, ...] = (None, False, 0, "", [], {})
        return tuple(key for key in self._data if key not in self._asked and self._data[key] not in silent)

    def raw(self, key: str, default: Any = _MISSING) -> Any:
        """Return the value as it stands; JSON's null counts as missing."""
        self._asked.add(key)
        value = self._data.get(key)
        if value is not None:
            return value
        if default is not _MISSING:
            return default
        if key in self._data:
            raise DescriptorError(f"{self.place(key)}: is null; give its value")
        known = near(key, self._data, "keys") if self._data else "the table is empty"
        raise DescriptorError(f"{self.place(key)}: is missing; {known}")

    def _some(self, key: str, default: Any, instead: Any) -> Any:
        """Return the value as it stands; where it is missing and all faults are wanted, something in its place."""
        try:
            return self.raw(key, default)
        except DescriptorError as error:
            self.note(error)
            return default if default is not _MISSING else instead

    def text(self, key: str, default: Any = _MISSING) -> str:
        """Return a non-empty string of one line."""
        value = self._some(key, default, "?")
        if value is default:
            return value  # type: ignore[no-any-return]
        if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 2000:
            self.note(self.fail(key, "must be one line of text"))
        return str(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._some(key, default, instead=False)
        if not isinstance(value, bool):
            self.note(self.fail(key, "must be true or false"))
        return bool(value)

    def count(self, key: str, default: Any = _MISSING, *, least: int = 1, most: int = _BIGGEST) -> int:
        """Return a whole number in [least, most]; a float that is whole is one."""
        value = self._some(key, default, least)
        if value is default:
            return value  # type: ignore[no-any-return]
        whole = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value == int(value))
        if isinstance(value, bool) or not whole or not least <= value <= most:
            self.note(self.fail(key, f"must be a whole number from {least} to {most:g}"))
            return least
        return int(value)

    def real(self, key: str, default: Any = _MISSING, *, least: float = 0.0, most: float = math.inf) -> float:
        """Return a finite number in [least, most]; TOML's ``inf`` only where ``most`` allows it."""
        value = self._some(key, default, least)
        if value is default:
            return value  # type: ignore[no-any-return]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        try:
            # A whole number of any length is valid TOML; those beyond the floats are out of any bounds.
            out = float(value) if number else math.nan
        except OverflowError:
            out = math.nan
        if not least <= out <= most:
            self.note(self.fail(key, f"must be a number from {least:g} to {most:g}"))
            return least
        return out

    def words(self, key: str, default: Any = _MISSING) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self._some(key, default, ())
        if value is default:
            return value  # type: ignore[no-any-return]
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(item, str) for item in value)
        ):
            self.note(self.fail(key, "must be a list of strings"))
            return ()
        return tuple(value)

    def table(self, key: str, default: Any = _MISSING) -> Table:
        """Return the table at ``key``."""
        path = f"{self.path}.{key}" if self.path else key
        try:
            return Table(self.raw(key, default), self.file, path, self.faults)
        except DescriptorError as error:
            self.note(error)
            return Table({}, self.file, path, [])  # that its keys are missing says nothing more

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the list of tables at ``key``."""
        value = self.raw(key)
        prefix = f"{self.path}.{key}" if self.path else key
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.fail(key, f"must be a list of tables, each begun by [[{prefix}]]")
        return tuple(Table(item, self.file, f"{prefix}[{i}]", self.faults) for i, item in enumerate(value))

    def done(self) -> None:
        """Refuse any key that no getter asked for.

        Raises:
            DescriptorError: an unknown key, with the near misses among those the table may hold.
        """
        for key in self._data:
            if key not in self._asked:
                self.note(self.fail(key, "unknown key", near(str(key), self._asked, "keys")))


def every_fault(read: Callable[[Table], T], root: Table) -> T:
    """Return what is read from a table, or refuse it with all faults that are found in it.

    Raises:
        DescriptorError: the fault, or how many there are and each of them.
    """
    try:
        return read(root)
    except DescriptorError as first:
        faults: list[DescriptorError] = []
        with suppress(Exception):  # what follows from a fault is no fault of the file
            read(Table(root.data, root.file, root.path, faults))
        found = list(dict.fromkeys([str(each).removeprefix(f"{root.file}: ") for each in faults]))
        if len(found) < 2:
            raise
        raise DescriptorError(f"{root.file}: {len(found)} faults: {'; '.join(found)}") from first
