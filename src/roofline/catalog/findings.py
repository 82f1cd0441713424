"""Findings: suspicious numbers of a descriptor, by itself and compared with the library's entry of the same part."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Final

from roofline import catalog
from roofline.catalog.consistency import Finding, chip_findings, power_findings, tier_findings
from roofline.core.provenance import Fact
from roofline.core.units import BYTE, BYTE_RATE, GIBI, GIGA, show
from roofline.hardware.hardware import Chip, System

_SAME: Final = 0.004
"""Makers' figures of one part differ by less than this once they are given in full."""
_ROUNDED: Final = 0.08
_STACKS: Final = (1, 3, 5, 9)
_LINK: Final = re.compile(r"system\.tier\[\d+\]\.bandwidth")
_COMPARED: Final = ("chip", "chip.peak", "chip.vector", "chip.memory", "chip.cache")
_NOT_COMPARED: Final = ("power", "price", "purchase", "idle", "dies")


def findings(what: Chip | System) -> tuple[Finding, ...]:
    """Return what looks wrong in a descriptor; nothing, of those that come with the library.

    Besides what is unusual in itself (:mod:`roofline.catalog.consistency`), the numbers of a part that the library knows by name or title
    are held against its own: most wrong tables are wrong about known hardware.
    """
    return _findings(what)


@functools.lru_cache(maxsize=64)
def _findings(what: Chip | System) -> tuple[Finding, ...]:
    if isinstance(what, Chip):
        shipped = what.name in catalog.names("chip") and catalog.chip(what.name) is what
        return (*chip_findings(what.facts), *(() if shipped else (*_size(what), *_known_part(what))))
    own = (*_findings(what.package), *tier_findings(what.facts), *power_findings(what.facts, float(what.chips)))
    if what.name in catalog.names("system") and catalog.system(what.name) is what:
        return own
    return (*own, *_known_links(what))


def set_by_caller(fact: Fact) -> bool:
    """Return whether a caller set a number deliberately."""
    return fact.source.kind == "given"


def _size(chip: Chip) -> Iterator[Finding]:
    """Yield a capacity that is not the one in the chip's own name, or that no memory comes in."""
    fact = next((fact for fact in chip.facts if fact.path == "chip.memory.capacity"), None)
    if fact is None or fact.note or set_by_caller(fact):
        return
    named = {float(n) * GIGA for text in (chip.name, chip.title) for n in re.findall(r"(\d+) ?gb\b", text.lower())}
    if named and not any(abs(fact.value - size) < _ROUNDED * size for size in named):
        yield Finding(
            fact.path, f"{fact.text}, where the name says {', '.join(show(size, BYTE) for size in sorted(named))}"
        )
    whole = {
        round(fact.value / unit)
        for unit in (GIGA, GIBI)
        if abs(fact.value / unit - round(fact.value / unit)) < _ROUNDED
    }
    known = any(_same_size(fact, catalog.chip(name)) for name in catalog.names("chip"))
    if whole and not known and all(n == 0 or n // (n & -n) not in _STACKS for n in whole):
        yield Finding(fact.path, f"{fact.text} is no size that memory comes in: 1, 3, 5 or 9 GB times a power of two")


def _same_size(fact: Fact, chip: Chip) -> bool:
    return abs(fact.value - float(chip.memory.capacity)) < _SAME * fact.value


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _relatives(chip: Chip) -> list[Chip]:
    """Return the library's chips that a chip's name or title names: all variants of the longest name found."""
    given = (_plain(chip.name), _plain(chip.title))
    if chip.name in catalog.names("chip"):
        return [catalog.chip(chip.name)]
    every = [catalog.chip(name) for name in catalog.names("chip")]
    same = [each for each in every if _plain(each.title) == given[1]]
    if same:
        return same
    found = {name for name in map(_plain, catalog.names("chip")) if any(name in text for text in given)}
    heads = {re.split(r"-(?=\d+gb|pcie|nvl|sxm)", name)[0] for name in catalog.names("chip")}
    found |= {_plain(head) for head in heads if len(_plain(head)) > 2 and any(_plain(head) in text for text in given)}
    longest = max(found, key=len, default=None)
    return [] if longest is None else [each for each in every if _plain(each.name).startswith(longest)]


def _known_part(chip: Chip) -> Iterator[Finding]:
    """Yield the numbers of a chip that are unlike those of every variant the library knows of it."""
    relatives = _relatives(chip)
    if not relatives:
        return
    known = [{fact.path: fact for fact in each.facts} for each in relatives]
    for fact in chip.facts:
        group, _, last = fact.path.rpartition(".")
        theirs = [facts[fact.path] for facts in known if fact.path in facts]
        if (
            set_by_caller(fact)
            or last in _NOT_COMPARED
            or group not in _COMPARED
            or any(map(functools.partial(_same, fact), theirs))
        ):
            continue
        names = " or ".join(each.name for each in relatives[:3])
        if theirs:
            best = min(theirs, key=lambda other: abs(other.value - fact.value))
            yield Finding(
                fact.path,
                f"{fact.text}, where the library has {best.text} for {best_of(relatives, best)}{_hint(fact, best)}",
            )
        elif group == "chip.peak":
            yield Finding(fact.path, f"the library knows no {last} rate of {names}")


def _same(fact: Fact, other: Fact) -> bool:
    return abs(fact.value - other.value) <= _SAME * abs(other.value)


def best_of(relatives: list[Chip], fact: Fact) -> str:
    """Return the name of the chip that a fact belongs to."""
    return next(each.name for each in relatives if fact in each.facts)


def _hint(fact: Fact, known: Fact) -> str:
    """Return what the difference looks like: a sparse rate, a factor of two, another source's figure, a vendor's GB."""
    ratio = fact.value / known.value
    if any(_same(fact, other) for other in known.others):
        return ", and names this one as another source's"
    if fact.path.startswith("chip.peak.") and abs(ratio - 2) < 2 * _SAME:
        return ": twice that is the sparse rate"
    if abs(ratio - 1.024) < _SAME or abs(ratio - 1.0737) < _SAME:
        return ": binary units taken for decimal ones"
    return ""


def _known_links(system: System) -> Iterator[Finding]:
    """Yield the tiers of a system that are unlike those of every system the library has of the same chip."""
    relatives = {each.name for each in _relatives(system.package)}
    theirs = [rack for rack in map(catalog.system, catalog.names("system")) if rack.package.name in relatives]
    speeds = sorted({float(tier.bandwidth) for rack in theirs for tier in rack.tiers})
    if not speeds:
        return
    for fact in system.facts:
        mine = fact.value
        if (
            set_by_caller(fact)
            or not _LINK.fullmatch(fact.path)
            or any(abs(mine - other) <= 0.01 * other for other in speeds)
        ):
            continue
        doubled = next((other for other in speeds if abs(mine - 2 * other) <= 0.02 * other), None)
        halved = next((other for other in speeds if abs(2 * mine - other) <= 0.01 * other), None)
        others = ", ".join(show(other, BYTE_RATE) for other in speeds)
        hint = ": both ways taken for one?" if doubled else ": half of one of them?" if halved else ""
        yield Finding(fact.path, f"{fact.text}, where systems of {system.package.name} have {others}{hint}")
