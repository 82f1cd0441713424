"""Blocks of a report page; a template turns them into escaped HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from attrs import frozen

from roofline.core.units import KILO

PARTS = 8
"""Number of the first colour of what a whole consists of; those below are of what bounds the time, of steps and of systems."""
_SCHEMES = ("https://", "http://")


@frozen
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says.
        value: what it is sorted by, if that is a number.
        url: where it leads; anything but an address of the web is left out.
    """

    text: str
    value: float | None = None
    url: str = ""

    @property
    def link(self) -> str:
        """The address, where it is one of the web.

        >>> Cell("x", url="javascript:alert(1)").link
        ''
        """
        return self.url if self.url.startswith(_SCHEMES) else ""


@frozen
class Card:
    """One number of the headline: what it is, how much, and how certain, in small print below.

    Attributes:
        name: what the number is.
        value: how much it is, with its unit.
        notes: lines of small print.
    """

    name: str
    value: str
    notes: Sequence[str] = ()


@frozen
class Part:
    """One part of a whole: what it is called, its share, how much it is, and the number of its colour.

    Attributes:
        name: what it is called.
        share: its share of the whole.
        text: how much it is, in words.
        color: number of its colour.
    """

    name: str
    share: float
    text: str
    color: int

    @property
    def width(self) -> int:
        """Its share in tenths of a per cent, at least one: what its class in the style sheet is called after."""
        return max(1, round(KILO * self.share))


@frozen
class Cards:
    """The numbers of the headline.

    Attributes:
        cards: the numbers.
    """

    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]


@frozen
class Bar:
    """A whole cut into its parts.

    Attributes:
        title: what the whole is.
        parts: its parts.
    """

    kind: ClassVar[str] = "bar"
    title: str
    parts: Sequence[Part]

    @property
    def shown(self) -> list[Part]:
        """The parts that there is anything of."""
        return [part for part in self.parts if part.share > 0]


@frozen
class Table:
    """A table that its heads sort.

    Attributes:
        caption: what the table shows; "" for none.
        head: heads of the columns.
        rows: cells; the first of each is what the row is of.
        right: columns that are set flush right.
        spots: for each row the point of a figure that it is about: figure, trace and point; "" for none.
        name: class of the table.
        sorts: whether its heads sort it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    right: Sequence[int] = ()
    spots: Sequence[str] = ()
    name: str = ""
    sorts: bool = True

    @property
    def lines(self) -> list[tuple[str, list[Cell]]]:
        """Each row with its point."""
        spots = self.spots or [""] * len(self.rows)
        cells = ([cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows)
        return list(zip(spots, cells, strict=True))


@frozen
class Walk:
    """A slider along a figure's frontier.

    Attributes:
        title: what is written beside it.
        last: number of its last place.
        start: number of the place that it starts at.
    """

    title: str
    last: int
    start: int


@frozen(eq=False)
class Drawing:
    """A figure that the browser draws.

    Attributes:
        key: its place on the page.
        name: what it is called.
        caption: what it shows in words.
        data: what is drawn.
        switches: parts that a reader may switch off: a name, the numbers of the traces, the class of the mark.
        walk: the slider along its frontier; None without.
    """

    kind: ClassVar[str] = "drawing"
    key: str
    name: str
    caption: str
    data: Mapping[str, Any]
    switches: Sequence[tuple[str, str, str]] = ()
    walk: Walk | None = None


@frozen
class Text:
    """A paragraph.

    Attributes:
        text: the paragraph.
        faint: whether it is set in a paler colour.
    """

    kind: ClassVar[str] = "text"
    text: str
    faint: bool = False


@frozen
class Notes:
    """Sentences as a list.

    Attributes:
        notes: the sentences.
    """

    kind: ClassVar[str] = "notes"
    notes: Sequence[str]


@frozen
class Folded:
    """What only those read who open it; on paper it is open if it is printed at all.

    Attributes:
        title: the line that opens it.
        inside: what it holds.
        printed: whether it is on paper too.
    """

    kind: ClassVar[str] = "folded"
    title: str
    inside: Sequence[Block]
    printed: bool = True


@frozen
class Tree:
    """Preformatted text.

    Attributes:
        text: the text.
    """

    kind: ClassVar[str] = "tree"
    text: str


Block: TypeAlias = Cards | Bar | Table | Drawing | Text | Notes | Folded | Tree


@frozen
class Chapter:
    """A section of a page: its anchor, what the menu calls it, its heading and what it holds.

    Attributes:
        key: its anchor.
        name: what the menu calls it.
        title: its heading.
        blocks: what it holds.
    """

    key: str
    name: str
    title: str
    blocks: Sequence[Block]
