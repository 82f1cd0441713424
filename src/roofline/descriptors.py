"""Descriptors read from tables: chips, systems and calibration profiles, every number with its source.

A number is ``"8 TB/s"``, or ``{ value = "8 TB/s", source = "key", at = "table 2", note = "...", others = [...] }``; a
table's ``source`` serves all the numbers in it that name none. ``[sources.key]`` says what a source is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Final

from roofline.calibration import COLLECTIVES, KERNELS, LEVELS, Calibration, Kernel, Link
from roofline.dtypes import PEAKS
from roofline.errors import DescriptorError, UnknownNameError, near
from roofline.hardware import Chip, Memory, System, Tier
from roofline.provenance import KINDS, Fact, Source, stated
from roofline.tables import Table
from roofline.units import BYTE, BYTE_RATE, DOLLAR_RATE, FLOP_RATE, MILLION, ONE, SECOND, WATT, Unit, parse

_REQUIRED: Final = object()
_LONGEST_OTHERS: Final = 20
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
        )
        inner.done()
        return fact

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

    def done(self) -> tuple[Fact, ...]:
        """Refuse sources that nothing cites, and unknown tables; return the facts."""
        for key in self._sources:
            if key not in self._cited:
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


def chip(root: Table, name: str) -> Chip:
    """Return the chip that a descriptor describes.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("chip")
    facts = Facts(root, head)
    value = facts.value
    peaks = head.table("peak")
    for key in peaks:
        if key not in PEAKS:
            raise peaks.fail(key, "unknown rate", near(key, PEAKS, "rates"))
    peak = {key: value(peaks, key, FLOP_RATE) for key in peaks}
    if not peak:
        raise head.fail("peak", "must state at least one rate")
    memory = head.table("memory")
    out: dict[str, Any] = {
        "name": name,
        "peak": peak,
        "memory": _memory(memory, value),
        "cores": value(head, "cores", ONE, least=1),
        "dies": int(value(head, "dies", ONE, 1.0, least=1, most=64, whole=True)),
        "power": value(head, "power", WATT, None),
        "price": value(head, "price", DOLLAR_RATE, None),
        "announced": head.flag("announced"),
        "vendor": head.text("vendor"),
        "title": head.text("title"),
    }
    memory.done()
    peaks.done()
    head.done()
    return Chip(**out, facts=facts.done())


def _memory(table: Table, value: Callable[..., Any]) -> Memory:
    capacity, bandwidth = value(table, "capacity", BYTE), value(table, "bandwidth", BYTE_RATE)
    reported = value(table, "reported", BYTE, capacity)
    if not 0.5 <= reported / capacity <= 1.5:
        raise table.fail("reported", "must be within half of the capacity")
    return Memory(capacity, bandwidth, reported / capacity)


def system(root: Table, name: str, find: Callable[[str], Chip]) -> System:
    """Return the system that a descriptor describes; ``find`` returns the chip it names.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("system")
    facts = Facts(root, head)
    value = facts.value
    package = _package(head, find)
    rank = head.text("rank", "package")
    if rank not in ("package", "die"):
        raise head.fail("rank", "must be package or die")
    per_chip = package.dies if rank == "die" else 1
    chips = int(value(head, "chips", ONE, least=1, most=MILLION, whole=True))
    tiers = tuple(_tier(table, value) for table in head.tables("tier"))
    if not tiers or len(tiers) > 8:
        raise head.fail("tier", "must list 1 to 8 tiers, innermost first")
    for inner, outer in pairwise(tiers):
        if outer.size <= inner.size:
            raise head.fail("tier", f"sizes must grow outwards, but {outer.name!r} is no larger than {inner.name!r}")
    if tiers[-1].size < chips * per_chip:
        raise head.fail(
            "tier", f"the outermost joins {tiers[-1].size:g} ranks, fewer than the {chips * per_chip} of the system"
        )
    out: dict[str, Any] = {
        "power": value(head, "power", WATT, None),
        "price": value(head, "price", DOLLAR_RATE, None),
        "vendor": head.text("vendor"),
        "title": head.text("title"),
    }
    head.done()
    return System(name, package, chips, tiers, per_chip, **out, facts=facts.done())


def _package(head: Table, find: Callable[[str], Chip]) -> Chip:
    given = head.text("chip")
    try:
        return find(given)
    except (UnknownNameError, DescriptorError) as error:
        raise DescriptorError(f"{head.place('chip')}: {error}") from None


def _tier(table: Table, value: Callable[..., Any]) -> Tier:
    out = Tier(
        name=table.text("name"),
        size=value(table, "size", ONE, least=2, whole=True),
        bandwidth=value(table, "bandwidth", BYTE_RATE),
        latency=value(table, "latency", SECOND, most=1.0),
        in_network=table.flag("in_network"),
        load_store=table.flag("load_store"),
    )
    table.done()
    return out


_CONSTANTS: Final[Mapping[str, Unit]] = {
    "eta_compute": ONE, "eta_memory": ONE, "t0": SECOND, "p": ONE, "ramp": ONE, "item": SECOND, "error": ONE,
    "alpha": SECOND, "peer": SECOND, "hop": ONE, "eta": ONE, "c": ONE,
}  # fmt: skip
_KERNEL: Final = ("eta_compute", "eta_memory", "t0", "p", "ramp", "item", "error")
_LINK: Final = ("alpha", "peer", "hop", "eta", "c", "error")


def calibration(root: Table, name: str) -> Calibration:
    """Return the profile that a descriptor describes.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("calibration")
    facts = Facts(root, head)
    value = facts.value
    level = head.text("level")
    if level not in LEVELS:
        raise head.fail("level", "unknown level", near(level, LEVELS, "levels"))
    kernels, links = {}, {}
    for kind in root.table("kernel"):
        group = root.table("kernel").table(kind)
        if kind not in KERNELS:
            raise root.table("kernel").fail(kind, "unknown kernel class", near(kind, KERNELS, "classes"))
        for rate in group:
            if rate != "any" and rate not in PEAKS:
                raise group.fail(rate, "unknown rate", near(rate, (*PEAKS, "any"), "rates"))
            kernels[kind, rate] = Kernel(**_constants(group.table(rate), value, _KERNEL))
    for kind in root.table("link"):
        if kind not in COLLECTIVES:
            raise root.table("link").fail(kind, "unknown link", near(kind, COLLECTIVES, "links"))
        links[kind] = Link(**_constants(root.table("link").table(kind), value, _LINK))
    missing = [k for k in KERNELS if not any(kind == k for kind, _ in kernels)] + [
        k for k in COLLECTIVES if k not in links
    ]
    if missing:
        raise DescriptorError(f"{root.place('')}: has no constants for {', '.join(missing)}; add them")
    power = head.table("power_fraction")
    fraction = tuple(value(power, key, ONE, most=1.0) for key in ("mean", "low", "high"))
    power.done()
    out: dict[str, Any] = {
        key: value(head, key, ONE)
        for key in ("memory_fraction", "step_error", "prompt_error", "assumed_error", "elsewhere")
    }
    vendors = head.words("vendors")
    head.done()
    return Calibration(name, level, kernels, links, vendors=vendors, power_fraction=fraction, facts=facts.done(), **out)


def _constants(table: Table, value: Callable[..., Any], names: tuple[str, ...]) -> dict[str, float]:
    out = {key: value(table, key, _CONSTANTS[key]) for key in names if key in table}
    for key in ("eta_compute", "eta_memory", "eta", "p"):
        if out.get(key) == 0:
            raise table.fail(key, "must be above 0")
    if "error" not in out:
        raise table.fail(
            "error", "is missing", "say how wrong these constants may be: half-width of the 80 % interval, relative"
        )
    table.text("source", None)
    table.done()
    return out
