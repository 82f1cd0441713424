"""Answers as notebooks show them: what a terminal prints, and the picture beside it with a text that describes it."""

from __future__ import annotations

import base64
from html import escape

from roofline.core.errors import RooflineError
from roofline.core.lazy import plots


class Displayed:
    """What a notebook shows of itself: its text, and its picture where it has one."""

    __slots__ = ()

    def _html_text(self) -> str:
        """Return the text as HTML; an answer for one point has sections in place of it."""
        table = getattr(self, "table", None)
        return f"<pre>{escape(table() if callable(table) else str(self))}</pre>"

    def _repr_html_(self) -> str:
        return html(self)

    def _repr_svg_(self) -> str | None:
        return svg(self)


def html(answer: Displayed) -> str:
    """Return an answer as HTML: its name, its text, and its picture where it has one."""
    parts = [f"<p>{escape(repr(answer).strip('<>'))}</p>", answer._html_text()]  # noqa: SLF001
    drawn = svg(answer)
    if drawn is not None:
        text, data = _description(drawn), base64.b64encode(drawn.encode()).decode()
        parts.append(f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(text)}" style="max-width: 100%"/>')
    return f'<div class="roofline">{"".join(parts)}</div>'


def svg(answer: Displayed) -> str | None:
    """Return the picture of an answer as SVG; None over many points, where there is nothing to draw, and without matplotlib."""
    plot = getattr(answer, "plot", None)
    shape: tuple[int, ...] = getattr(answer, "shape", ())
    if plot is None or shape:
        return None
    try:
        ax = plot()
    except (RooflineError, ImportError):
        return None
    drawn: bytes = plots().render(ax.figure, "svg")
    return drawn.decode()


def _description(drawn: str) -> str:
    begin, end = drawn.find('<desc id="desc">'), drawn.find("</desc>")
    return drawn[begin + 16 : end] if 0 <= begin < end else "the picture of the answer"
