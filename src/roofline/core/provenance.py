"""Sources of numbers. Citations are stored beside the values, since a float cannot carry one."""

from __future__ import annotations

from datetime import date
from math import isfinite
from typing import Final

from attrs import frozen

from roofline.core.units import ONE, Unit, show
from roofline.core.values import Record

KINDS: Final = {
    "vendor": "the maker's own document",
    "paper": "a paper or technical report",
    "measured": "a measurement anyone can look up",
    "analyst": "an analyst's or the press's figure, not confirmed by the maker",
    "derived": "computed from other sourced figures; `how` says in what way",
    "assumed": "no source states it; `why` says what the figure rests on, and the interval widens",
}


@frozen
class Source:
    """A document, measurement or argument that numbers are taken from.

    Attributes:
        key: name that the file's numbers refer to it by.
        kind: a key of :data:`KINDS`.
        title: title of the document or measurement.
        url: its address; "" where there is none.
        retrieved: day on which it was read; None where that is not known.
        reason: how a derived number was computed, or what an assumed one rests on; "" for the other kinds.
    """

    key: str
    kind: str
    title: str
    url: str = ""
    retrieved: date | None = None
    reason: str = ""


@frozen
class Fact:
    """One number as its file states it, with its source and the figures other sources give for it.

    Attributes:
        path: place of the number in its file, keys joined by dots.
        text: the number as the file writes it.
        value: the number in base units.
        unit: unit of ``value``.
        source: the document that states it.
        at: page, table or section of the source; "" where none is given.
        note: what the file says of the number; "" for nothing.
        others: what other sources state for the same number.
        differs: why the file's other numbers do not add up to it, where they do not.
    """

    path: str
    text: str
    value: float
    unit: Unit
    source: Source
    at: str = ""
    note: str = ""
    others: tuple[Fact, ...] = ()
    differs: str = ""

    def line(self) -> str:
        """Return ``path = value (kind: title, place)``."""
        where = f"{self.source.title}{', ' + self.at if self.at else ''}"
        return f"{self.path} = {self.text} ({self.source.kind}: {where})"

    def to_dict(self) -> Record:
        """Return the fields of the machine-readable answer."""
        source = self.source
        return {
            "path": self.path,
            "value": self.value if isfinite(self.value) else None,
            "unit": str(self.unit),
            "text": self.text,
            "kind": source.kind,
            "source": f"{source.title}{', ' + self.at if self.at else ''}",
            "url": source.url or None,
            "retrieved": source.retrieved.isoformat() if source.retrieved else None,
            "note": "; ".join(part for part in (self.note, self.differs, source.reason) if part) or None,
            "others": [other.to_dict() for other in self.others],
        }


def spread(fact: Fact) -> tuple[float, float]:
    """Return the least and the greatest figure that any source gives."""
    values = [fact.value, *(other.value for other in fact.others)]
    return min(values), max(values)


def stated(value: float, unit: Unit) -> str:
    """Return a value as a fact's text."""
    return f"{value:g}" if unit == ONE else show(value, unit, digits=6)
