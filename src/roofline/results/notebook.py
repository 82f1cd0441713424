"""Answers as notebooks show them: the text that a terminal has, and the picture beside it with a text that tells it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from typing import Any, Final

from roofline.core.errors import RooflineError
from roofline.core.lazy import plots
from roofline.core.units import BYTE, MILLI, SECOND, show

_UNITS: Final = (("_s", SECOND), ("_bytes", BYTE), ("_bytes_per_chip", BYTE))
_MOST: Final = 24


class Displayed:
    """What a notebook shows of itself: its text or numbers, and its picture."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        return html(self)

    def _repr_svg_(self) -> str | None:
        return svg(self)


def html(answer: Any) -> str | None:
    """Return an answer about one point as HTML: its text, or its numbers as a table, and its picture; None over many points."""
    if getattr(answer, "shape", ()):
        return None
    parts = [f"<p>{escape(repr(answer).strip('<>'))}</p>", _text(answer)]
    drawn = svg(answer)
    if drawn is not None:
        told, data = _desc(drawn), base64.b64encode(drawn.encode()).decode()
        parts.append(f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(told)}" style="max-width: 100%"/>')
    return f'<div class="roofline">{"".join(parts)}</div>'


def svg(answer: Any) -> str | None:
    """Return the picture of an answer about one point as SVG; None over many points, and where there is nothing to draw."""
    if getattr(answer, "shape", ()):
        return None
    try:
        ax = answer.plot()
    except RooflineError:
        return None
    drawn: bytes = plots().render(ax.figure, "svg")
    return drawn.decode()


def _text(answer: Any) -> str:
    if hasattr(answer, "table"):
        return f"<pre>{escape(answer.table())}</pre>"
    if "__str__" in vars(type(answer)):
        return f"<pre>{escape(str(answer))}</pre>"
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _rows(answer.to_dict())
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in answer.assumptions)
    return f"<table>{rows}</table><details><summary>what was chosen or assumed</summary><ul>{notes}</ul></details>"


def _rows(fields: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield the numbers and words of a record, each with its unit and, where it has one, its interval."""
    within = fields.get("interval") or {}
    found = [(name, value) for name, value in fields.items() if isinstance(value, (int, float, str)) and value != ""]
    for name, value in found[:_MOST]:
        told = _told(name, value)
        pair = within.get(name)
        if pair:
            told += f" (80 % within {_told(name, pair[0])} - {_told(name, pair[1])})"
        yield name.replace("_", " "), told


def _told(name: str, value: Any) -> str:
    if isinstance(value, (bool, str)):
        return str(value)
    for suffix, unit in _UNITS:
        if name.endswith(suffix) and not name.endswith("_per_s"):
            return show(float(value), unit, 3)
    return f"{value:,.0f}" if abs(value) >= 1 / MILLI else f"{value:.4g}"


def _desc(drawn: str) -> str:
    begin, end = drawn.find('<desc id="desc">'), drawn.find("</desc>")
    return drawn[begin + 16 : end] if 0 <= begin < end else "the picture of the answer"
