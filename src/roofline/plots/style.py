"""Styles of plots: colours, dashes and hatches for light, dark and print.

A style belongs to a figure, so that whatever is added to a sheet looks like what is on it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from attrs import frozen

from roofline.core.errors import QuestionError, fault, near

LEGIBLE: Final = 4.5
"""Least contrast of letters to their paper (WCAG 2.2, criterion 1.4.3)."""

_ELSEWHERE: Final = (
    "backend",
    "interactive",
    "toolbar",
    "timezone",
    "keymap",
    "animation",
    "webagg",
    "tk.",
    "date.",
    "figure.max_open_warning",
)
"""Settings of matplotlib that are of windows, films and dates, not of how a picture looks."""

Dash: TypeAlias = str | tuple[float, tuple[float, ...]]
"""How a line is dashed, as matplotlib takes it."""
_SOLID: Final = ("-",) * 6
_DASHES: Final[tuple[Dash, ...]] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
_PLAIN: Final = ("",) * 6
_HATCHES: Final = ("", "////", "\\\\\\\\", "xxxx", "----", "||||")


@frozen
class Style:
    """Ink on paper.

    Attributes:
        name: name of the style.
        paper: colour of the page.
        ink: colour of what is written on it.
        palette: colours of systems, of plans, and of what bounds a time, in the order they come; people with colour-blindness can tell
            them apart.
        parts: colours of what a whole consists of, such as memory or the phases of a step: none of them in the palette.
        dashes: dashes of lines, in the same order, so that a page without colours tells them apart too.
        hatches: hatches of bars, likewise.
    """

    name: str
    paper: str
    ink: str
    palette: tuple[str, ...]
    parts: tuple[str, ...]
    dashes: tuple[Dash, ...] = _SOLID
    hatches: tuple[str, ...] = _PLAIN

    def color(self, i: int) -> str:
        """Return the i-th colour; they begin again after the last."""
        return self.palette[i % len(self.palette)]

    def part(self, i: int) -> str:
        """Return the colour of the i-th part of a whole; they begin again after the last."""
        return self.parts[i % len(self.parts)]

    def dash(self, i: int) -> Dash:
        """Return how the i-th line is dashed."""
        return self.dashes[i % len(self.dashes)]

    def hatch(self, i: int) -> str:
        """Return how the i-th bar is hatched."""
        return self.hatches[i % len(self.hatches)]

    def grey(self, level: float) -> str:
        """Return a colour between ink (0) and paper (1).

        >>> STYLES["light"].grey(0.8), STYLES["dark"].grey(0.0)
        ('#cccccc', '#e8e6e3')
        """
        return mixed(self.ink, self.paper, level)

    def letters(self, color: str) -> str:
        """Return the colour for letters: nearer to ink until it has the contrast that letters need."""
        return _letters(color, self.ink, self.paper)

    def over(self, color: str) -> str:
        """Return what is read best on a colour: ink or paper."""
        return self.ink if contrast(self.ink, color) >= contrast(self.paper, color) else self.paper

    @property
    def halo(self) -> dict[str, str | float]:
        """Paper behind a name."""
        return {"facecolor": self.paper, "alpha": 0.8, "edgecolor": "none", "pad": 0.5}

    @property
    def settings(self) -> dict[str, str | float | bool | list[str]]:
        """What matplotlib is to draw with: the same bytes each time, text as text."""
        ink, paper = self.ink, self.paper
        return {
            "svg.hashsalt": "roofline", "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9.0,
            "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
            "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "hatch.linewidth": 0.5,
            "figure.facecolor": paper, "axes.facecolor": paper, "savefig.facecolor": paper, "legend.facecolor": paper,
            "text.parse_math": False,  # a name may hold dollar signs
            "text.color": ink, "axes.edgecolor": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink,
        }  # fmt: skip

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw with these settings over matplotlib's defaults, whatever a ``matplotlibrc`` says, and leave matplotlib's own as they were."""
        import matplotlib as mpl

        settings: Any = {**_defaults(), **self.settings}
        with mpl.rc_context(settings):
            yield


@functools.cache
def _defaults() -> dict[str, Any]:
    """Return matplotlib's settings as they are without a ``matplotlibrc``: those that a picture's look depends on."""
    import matplotlib as mpl

    return {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith(_ELSEWHERE)}


STYLES: Final = {
    # The palette is that of Okabe and Ito, 2008.
    "light": Style(
        "light",
        "#ffffff",
        "#000000",
        ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
        ("#332288", "#76B7B2", "#882255", "#999933", "#7A5C3E", "#7570B3"),
    ),
    "dark": Style(
        "dark",
        "#14181f",
        "#e8e6e3",
        ("#5AB4F0", "#F08A3C", "#1FA67C", "#E8A6D0", "#F2DE4A", "#8C8CFF"),
        ("#B8B0FF", "#9FD5A5", "#E57FA8", "#D6D37A", "#C98F6B", "#9A7FD1"),
    ),
    "print": Style(
        "print",
        "#ffffff",
        "#000000",
        ("#000000", "#0072B2", "#D55E00", "#8A8A8A", "#5B2A6E", "#B39B4A"),
        ("#3A3A6A", "#9AA8B5", "#7A4A1E", "#8C5A7A", "#4E6B4E", "#C08A6A"),
        _DASHES,
        _HATCHES,
    ),
}
"""Looks by name. The palettes stay apart, and off their paper, for people with colour-blindness of each kind (tested)."""


def style(name: str | Style | None) -> Style:
    """Return a style by its name; ``light`` for None.

    Raises:
        QuestionError: there is none of this name.
    """
    if isinstance(name, Style):
        return name
    if name is not None and (not isinstance(name, str) or name not in STYLES):
        raise QuestionError(fault("style", name, "no such style", near(str(name), STYLES, "styles")))
    return STYLES[name or "light"]


def of(ax: Any) -> Style:
    """Return the style of the figure that axes lie on; ``light`` where none was chosen."""
    found: Style = getattr(ax.get_figure(root=True), "roofline_style", STYLES["light"])
    return found


def apply_style(ax: Any, name: str | Style | None) -> None:
    """Give axes that are there already, and their figure, a style; None leaves both as they are."""
    if name is None:
        return
    chosen = style(name)
    figure = ax.get_figure(root=True)
    figure.roofline_style = chosen
    figure.set_facecolor(chosen.paper)
    for each in figure.axes:
        each.set_facecolor(chosen.paper)
        each.tick_params(which="both", color=chosen.ink, labelcolor=chosen.ink)
        for text in (each.xaxis.label, each.yaxis.label, each.title):
            text.set_color(chosen.ink)
        for spine in each.spines.values():
            spine.set_color(chosen.ink)


@contextmanager
def with_style(ax: Any) -> Iterator[Style]:
    """Draw with the style of the axes' figure, and leave matplotlib's settings as they were."""
    found = of(ax)
    with found.drawing():
        yield found


def luminance(color: str) -> float:
    """Return the relative luminance of ``#rrggbb``: 0 for black, 1 for white (WCAG 2.2)."""
    parts = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _parts(color))
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21: ``(L_1 + 0.05) / (L_2 + 0.05)``.

    >>> round(contrast("#ffffff", "#000000"), 1)
    21.0
    """
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, part: float) -> str:
    """Return a colour that is ``part`` of the way from one to another."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(255 * (a + part * (b - a))):02x}" for a, b in pairs)


def _parts(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


@functools.cache
def _letters(color: str, ink: str, paper: str) -> str:
    steps = (mixed(color, ink, part / 20) for part in range(20))
    return next((each for each in steps if contrast(each, paper) >= LEGIBLE), ink)
