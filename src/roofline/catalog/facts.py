"""The numbers of one descriptor as they are read, each with its source.

A number is ``"8 TB/s"``, or ``{ value = "8 TB/s", source = "key", at = "table 2", note = "...", others = [...] }``; a
table's ``source`` serves all the numbers in it that name none. ``[sources.key]`` says what a source is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from math import prod
from typing import Any, Final

from roofline.core.errors import DescriptorError, near
from roofline.core.mappings import Table
from roofline.core.provenance import KINDS, Fact, Source, stated
from roofline.core.units import ONE, SECOND, Unit, parse

_REQUIRED: Final = object()
_LONGEST_OTHERS: Final = 20
_MOST_DIMS: Final = 8
_LONGEST_DIM: Final = 100_000
_MAY_BE_ZERO: Final = (ONE, SECOND)


class Facts:
    """The numbers of one descriptor as they are read, with their sources; ``head``'s source serves those that name none."""

    def __init__(self, root: Table, head: Table) -> None:
        self._root = root
        self._default: str | None = head.text("source", None)
        self._sources = {key: _source(root.table("sources").table(key), key) for key in root.table("sources")}
        self._cited: set[str] = set()
        self.read: list[Fact] = []

    def value(
        self,
        table: Table,
        key: str,
        unit: Unit,
        default: Any = _REQUIRED,
        *,
        least: float = 0.0,
        most: float = float("inf"),
        whole: bool = False,
    ) -> Any:
        """Return the number at ``key`` and remember it as a fact; a missing one is ``default`` if there is one.

        Raises:
            DescriptorError: missing, without a source, of another unit, or out of [least, most].
        """
        if key not in table and default is not _REQUIRED:
            table.raw(key, None)
            return default
        try:
            return self._bounded(table, key, unit, (least, most), whole=whole)
        except DescriptorError as error:
            table.note(error)
            return max(least, 1.0)

    def _bounded(self, table: Table, key: str, unit: Unit, bounds: tuple[float, float], *, whole: bool) -> float:
        """Return the number at ``key`` within its bounds, and remember it as a fact."""
        least, most = bounds
        fact = self._fact(table, key, unit)
        if not least <= fact.value <= most:
            raise table.fail(key, f"must be a number from {least:g} to {most:g}")
        if least == 0 and fact.value == 0 and unit not in _MAY_BE_ZERO:
            raise table.fail(key, "must be above 0")
        if whole and fact.value != int(fact.value):
            raise table.fail(key, "must be a whole number")
        self.read.append(fact)
        return fact.value

    def _fact(self, table: Table, key: str, unit: Unit) -> Fact:
        raw = table.raw(key)
        path = f"{table.path}.{key}"
        if not isinstance(raw, Mapping):
            return Fact(path, *self._number(table, key, unit), unit, self._source(table, key, None))
        inner = table.table(key)
        text, value = self._number(inner, "value", unit)
        listed = inner.tables("others") if "others" in inner else ()
        if len(listed) > _LONGEST_OTHERS:
            raise inner.fail("others", f"holds more than {_LONGEST_OTHERS} figures")
        others = tuple(self._other(other, path, unit) for other in listed)
        fact = Fact(
            path,
            text,
            value,
            unit,
            self._source(table, key, inner.text("source", None)),
            inner.text("at", ""),
            inner.text("note", ""),
            others,
            inner.text("differs", ""),
        )
        inner.done()
        return fact

    def shape(self, table: Table, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers, such as the dimensions of a torus, and remember it as a fact; () if there is none.

        Raises:
            DescriptorError: not a list of 1 to 8 whole numbers from 1 to 100,000, or without a source.
        """
        if key not in table:
            return ()
        sizes = table.raw(key)
        listed = isinstance(sizes, list) and 1 <= len(sizes) <= _MOST_DIMS
        if not listed or any(type(n) is not int or not 1 <= n <= _LONGEST_DIM for n in sizes):
            raise table.fail(key, f"must be a list of 1 to {_MOST_DIMS} whole numbers from 1 to {_LONGEST_DIM:,}")
        text = " x ".join(map(str, sizes))
        self.read.append(Fact(f"{table.path}.{key}", text, float(prod(sizes)), ONE, self._source(table, key, None)))
        return tuple(sizes)

    def _other(self, table: Table, path: str, unit: Unit) -> Fact:
        text, value = self._number(table, "value", unit)
        source = self._source(table, "source", table.text("source"))
        fact = Fact(path, text, value, unit, source, table.text("at", ""), table.text("note", ""))
        table.done()
        return fact

    def _number(self, table: Table, key: str, unit: Unit) -> tuple[str, float]:
        if unit == ONE:
            value = table.real(key)
            return stated(value, unit), value
        raw = table.raw(key)
        return str(raw), parse(raw, unit, table.place(key))

    def _source(self, table: Table, key: str, named: str | None) -> Source:
        name = named or table.text("source", None) or self._default
        if name is None:
            raise table.fail(
                key, "has no source", 'add source = "key" to the value or its table, and describe [sources.key]'
            )
        if name not in self._sources:
            raise table.fail(
                key, f"names a source that is not described: {name[:80]!r}", near(name, self._sources, "sources")
            )
        self._cited.add(name)
        return self._sources[name]

    def cite(self, table: Table, key: str) -> Source:
        """Return the source of what is no number: that of its table, else of the head.

        Raises:
            DescriptorError: none is named, or one that is not described.
        """
        return self._source(table, key, None)

    def done(self) -> tuple[Fact, ...]:
        """Refuse sources that nothing cites, and unknown tables; return the facts."""
        for key in self._sources:
            if key not in self._cited and not self._root.faults:
                raise DescriptorError(
                    f"{self._root.place(f'sources.{key}')}: no number cites it; remove it, or cite it"
                )
        self._root.done()
        return tuple(self.read)


def _source(table: Table, key: str) -> Source:
    kind = table.text("kind")
    if kind not in KINDS:
        raise table.fail("kind", "unknown kind of source", near(kind, KINDS, "kinds"))
    reason = {"derived": "how", "assumed": "why"}.get(kind)
    retrieved = table.raw("retrieved", None)
    if retrieved is not None and (not isinstance(retrieved, date) or isinstance(retrieved, datetime)):
        raise table.fail("retrieved", "must be a date such as 2026-11-21, without quotes")
    url = table.text("url", "")
    if reason is None and not (url and retrieved):
        raise DescriptorError(
            f"{table.place('')}: a source of kind {kind} needs url and retrieved (the day it was read); add them"
        )
    out = Source(
        key, kind, table.text("title"), url, retrieved, table.text(reason) if reason else table.text("note", "")
    )
    table.done()
    return out
