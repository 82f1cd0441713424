"""Markup of a page: text that enters it is escaped, whoever wrote it, and what is no number sorts as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from attrs import frozen

_VOID: Final = ("input", "meta", "br")
_SCHEMES: Final = ("https://", "http://")


class Html(str):
    """Text that is markup already; all other text is escaped where it enters."""

    __slots__ = ()


@frozen
class Cell:
    """One cell of a table: what it says, and what it is sorted by if that is a number."""

    text: str
    value: float | None = None


@frozen
class Card:
    """One figure of the headline: what it is, how much, and how sure, in small print below."""

    name: str
    value: str
    notes: tuple[str, ...] = ()


@frozen
class Part:
    """One part of a whole: what it is called, its share, how much it is, and the number of its colour."""

    name: str
    share: float
    text: str
    color: int


def text(value: str) -> Html:
    """Return text as markup; what is markup already stays.

    >>> text("<b> & co"), text(Html("<b>"))
    ('&lt;b&gt; &amp; co', '<b>')
    """
    return value if isinstance(value, Html) else Html(escape(value))


def tag(name: str, /, *inside: str, **words: str | bool | None) -> Html:
    """Return an element with its attributes: ``data_x`` is ``data-x``, ``class_`` is ``class``, True stands alone.

    >>> tag("a", "1 < 2", href="x", class_="y", hidden=True, lang=None)
    '<a href="x" class="y" hidden>1 &lt; 2</a>'
    """
    said = ""
    for word, value in words.items():
        key = word.rstrip("_").replace("_", "-")
        if value is True:
            said += f" {key}"
        elif isinstance(value, str):
            said += f' {key}="{escape(value)}"'
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{''.join(map(text, inside))}</{name}>")


def link(said: str, url: str) -> Html:
    """Return a link where the address is one of the web, and plain text where it is anything else.

    >>> link("x", "javascript:alert(1)")
    'x'
    """
    return tag("a", said, href=url, rel="noopener noreferrer") if url.startswith(_SCHEMES) else text(said)


def section(key: str, title: str, *inside: str) -> Html:
    """Return a section that links can lead to, with its heading."""
    return tag("section", tag("h2", title, id=f"{key}-title"), *inside, id=key, aria_labelledby=f"{key}-title")


def cards(shown: Iterable[Card]) -> Html:
    """Return the figures of the headline."""
    return tag(
        "dl",
        *(
            tag("div", tag("dt", c.name), tag("dd", c.value), *(tag("dd", note, class_="note") for note in c.notes))
            for c in shown
        ),
        class_="cards",
    )


def items(notes: Iterable[str]) -> Html:
    """Return sentences as a list."""
    return tag("ul", *(tag("li", note) for note in notes))


def folded(title: str, *inside: str, printed: bool = True) -> Html:
    """Return what is read only by who asks for it; paper has it open if it is printed at all."""
    return tag("details", tag("summary", title), *inside, class_=None if printed else "screen")


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Iterable[int] = (),
    words: Sequence[Mapping[str, str]] | None = None,
) -> Html:
    """Return a table that its heads sort; it scrolls by itself where the page is narrow.

    Args:
        rows: cells, each text or a :class:`Cell`.
        right: columns that are set flush right.
        words: attributes of each row.
    """
    flush = set(right)
    made: list[Html] = []
    for i, row in enumerate(rows):
        cells = []
        for k, cell in enumerate(row):
            said, value = (cell.text, cell.value) if isinstance(cell, Cell) else (cell, None)
            kind = "number" if k in flush else None
            sort = None if value is None else f"{value:.6g}"
            # What a row is of is its head, so that a reader hears it beside each number.
            cells.append(
                tag("th", said, scope="row", data_value=sort)
                if k == 0
                else tag("td", said, class_=kind, data_value=sort)
            )
        made.append(tag("tr", *cells, **({} if words is None else words[i])))
    heads = (
        tag("th", tag("button", name, type="button"), scope="col", class_="number" if k in flush else None)
        for k, name in enumerate(head)
    )
    body = tag("table", tag("caption", caption), tag("thead", tag("tr", *heads)), tag("tbody", *made), class_="sorts")
    return tag("div", body, class_="scrolls", tabindex="0", role="region", aria_label=caption)


def bar(title: str, parts: Sequence[Part]) -> Html:
    """Return a whole cut into its parts, each named with its share below."""
    shown = [part for part in parts if part.share > 0]
    pieces = (tag("span", class_=f"piece c{p.color}", style=f"flex-grow:{p.share:.5f}", title=p.text) for p in shown)
    named = (tag("li", tag("i", class_=f"c{p.color}"), f"{p.name} ", tag("b", p.text)) for p in shown)
    return tag(
        "div", tag("h3", title), tag("div", *pieces, class_="bar", aria_hidden="true"),
        tag("ul", *named, class_="names"), class_="whole",
    )  # fmt: skip


def toggles(figure: str, title: str, named: Iterable[tuple[str, str, str]]) -> Html:
    """Return boxes that show and hide parts of a figure: a name, the numbers of its traces, the class of its mark."""
    boxes = (
        tag(
            "label",
            tag("input", type="checkbox", checked=True, data_figure=figure, data_traces=traces),
            tag("i", class_=mark),
            name,
        )
        for name, traces, mark in named
    )
    return tag("fieldset", tag("legend", title), *boxes)


def drawing(figure: str, name: str, caption: str, *inside: str) -> Html:
    """Return the place of a figure with its name, what belongs above it, and what it shows in words."""
    return tag("figure", *inside, tag("div", class_="plot", id=figure), tag("figcaption", caption), aria_label=name)


def page(
    title: str, parts: Sequence[tuple[str, str, Html]], top: Html, figures: Mapping[str, Any], **assets: str
) -> str:
    """Return the whole page: no address in it is asked for anything, and its policy says so to the browser.

    Args:
        parts: key, name and markup of each section.
        top: what stands above them.
        figures: what is drawn, by place.
        assets: ``style``, ``script``, and the ``library`` that draws, embedded once.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(assets["style"])),
    )
    # "<" would end a script in the middle of a string.
    data = json.dumps(figures, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    body = (
        tag("a", "to the answer", href="#main", class_="skip"),
        tag("header", top, tag("nav", *(tag("a", name, href=f"#{key}") for key, name, _ in parts), aria_label="sections")),
        tag("main", *(html for _, _, html in parts), id="main", tabindex="-1"),
        tag("noscript", "Pictures, sorting and switches need JavaScript; every number stands in the tables."),
        tag("script", Html(data), type="application/json", id="figures"),
        tag("script", Html(assets["library"])),
        tag("script", Html(assets["script"])),
    )  # fmt: skip
    return f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"
