"""Sections of an answer, as text for a terminal and HTML for a notebook or a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from attrs import frozen

from roofline.core.text import columns


@frozen
class Section:
    """A part of an answer.

    Attributes:
        title: its heading; empty for none.
        lines: sentences, above the rows.
        rows: cells; the first of each is what the row is of.
        head: names of the columns; empty where each row is a name and what there is to say.
        right: columns that are set flush right.
        notes: a list of remarks, below the rows.
    """

    title: str = ""
    lines: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    head: Sequence[str] = ()
    right: Sequence[int] = ()
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Return the section as plain text.

        >>> print(Section("memory", rows=[["weights", "2 GB"]], notes=["of one chip"]).text())
        memory
        weights  2 GB
          - of one chip
        """
        table = [columns(self.rows, head=self.head or None, right=self.right)] if self.rows else []
        parts = [self.title] if self.title else []
        return "\n".join([*parts, *self.lines, *table, *(f"  - {note}" for note in self.notes)])

    def html(self) -> str:
        """Return the section as HTML.

        >>> Section("memory", rows=[["weights", "2 GB"]]).html()
        '<h4>memory</h4><table><tr><th scope="row">weights</th><td>2 GB</td></tr></table>'
        """
        parts = [f"<h4>{escape(self.title)}</h4>"] if self.title else []
        parts += [f"<p>{escape(line)}</p>" for line in self.lines]
        if self.rows:
            head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.head)
            parts.append(f"<table>{f'<tr>{head}</tr>' if head else ''}{''.join(map(self._row, self.rows))}</table>")
        if self.notes:
            parts.append(f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in self.notes)}</ul>")
        return "".join(parts)

    def _row(self, row: Sequence[str]) -> str:
        first, *rest = row
        cells = (
            f'<td align="right">{escape(c)}</td>' if i in self.right else f"<td>{escape(c)}</td>"
            for i, c in enumerate(rest, 1)
        )
        return f'<tr><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>'


def text_of(sections: Iterable[Section]) -> str:
    """Return sections as plain text, an empty line between them."""
    return "\n\n".join(section.text() for section in sections)


def html_of(sections: Iterable[Section]) -> str:
    """Return sections as HTML."""
    return "".join(section.html() for section in sections)
