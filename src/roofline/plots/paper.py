"""Figures and files of plots: reproducible SVG, PDF or PNG with a text description.

The text is made of the numbers that were drawn (:func:`alt`); an SVG has it as its title and description, so that a reader of
screens, and a search, find what the picture shows.
"""

from __future__ import annotations

import html
import io
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from roofline.core.errors import QuestionError, fault, near
from roofline.plots import style as styles
from roofline.plots.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "pdf", "png")
WIDTHS: Final = {"column": 3.4, "page": 7.0}
"""Inches of one column of a paper of two, and of the whole of it."""
NARROW: Final = 5.0
"""Inches below which a figure is one column: smaller letters, fewer names."""
_LEAST: Final = 2.0
_MOST: Final = 40.0


def inches(width: float | str | None, usual: float) -> float:
    """Return a width in inches: a name of :data:`WIDTHS`, a number, or what is usual.

    Raises:
        QuestionError: neither, or too narrow for letters.

    >>> inches("column", 7.6), inches(None, 7.6), inches("5", 7.6)
    (3.4, 7.6, 5.0)
    """
    if width is None:
        return usual
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width]
    try:
        found = float(width)
    except ValueError:
        raise QuestionError(fault("width", width, "is no width", near(str(width), WIDTHS, "widths"))) from None
    if not _LEAST <= found <= _MOST:
        raise QuestionError(
            fault("width", width, f"must be {_LEAST:g} to {_MOST:g} inches", "give column, page or inches")
        )
    return found


def axes(width: float | str = 7.6, height: float | None = 5.0, style: str | Style | None = None) -> Axes:
    """Return axes on a new figure of ``width`` x ``height`` inches, outside pyplot's list of figures.

    Args:
        width: inches, or a name of :data:`WIDTHS`.
        height: inches; None for three quarters of the width.
        style: ``light``, ``dark`` or ``print``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen, across = styles.style(style), inches(width, 7.6)
    with chosen.drawing():
        figure: Any = Figure(figsize=(across, 0.75 * across if height is None else height), layout="constrained")
        FigureCanvasAgg(figure)
        figure.roofline_style, figure.roofline_own = chosen, True
        made: Axes = figure.add_subplot()
    return made


def panels(count: int, width: float = 5.2, height: float = 5.0, style: str | Style | None = None) -> list[Axes]:
    """Return axes side by side on a new figure, each ``width`` x ``height`` inches."""
    first = axes(width * count, height, style)
    figure: Any = first.figure
    with styles.of(first).drawing():
        figure.clear()
        figure.roofline_own = False
        return list(figure.subplots(1, count, squeeze=False)[0])


def placed(ax: Axes | None, size: tuple[float, float], width: float | str | None, style: str | Style | None) -> Axes:
    """Return the axes to draw on: those given, in the style asked for, or new ones.

    Args:
        ax: axes, or None for a new figure.
        size: inches that a new figure usually has; narrower ones are less high, though not in proportion.
        width, style: of the picture, as asked.

    Raises:
        QuestionError: a width for a figure that is there already.
    """
    if ax is not None:
        if not hasattr(ax, "get_figure") or not hasattr(ax, "plot"):
            raise QuestionError(fault("ax", ax, "must be axes of matplotlib", "leave it out for a new figure"))
        if width is not None:
            raise QuestionError(fault("width", width, "the axes given have theirs", "leave out width, or ax"))
        styles.apply_style(ax, style)
        return ax
    across = inches(width, size[0])
    return axes(across, size[1] * (across / size[0]) ** 0.3, style)


def set_label(ax: Any, key: str, now: str, put: Callable[[str], Any], value: str) -> None:
    """Set a title or the name of an axis, unless whoever made the axes has set their own."""
    mine = ax.__dict__.setdefault("roofline_words", {})
    if not now or now == mine.get(key):
        put(value)
        mine[key] = value


def titled(ax: Any) -> bool:
    """Return whether whoever made the axes has set a title of their own."""
    mine = ax.__dict__.setdefault("roofline_words", {}).get("title")
    return any(text and text != mine for text in (ax.get_title(loc=place) for place in ("left", "center", "right")))


def limits(ax: Any, *, x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
    """Set the limits of axes, unless whoever made the axes has set their own."""
    mine = ax.__dict__.setdefault("roofline_limits", {})
    for axis, wanted in (("x", x), ("y", y)):
        get, put = getattr(ax, f"get_{axis}lim"), getattr(ax, f"set_{axis}lim")
        free = getattr(ax, f"get_autoscale{axis}_on")() or mine.get(axis) == tuple(get())
        if wanted is not None and free:
            put(*wanted)
            mine[axis] = tuple(get())


def plain(value: float, _: object = None) -> str:
    """Return a number of an axis without powers of ten.

    >>> plain(10000.0), plain(0.01)
    ('10,000', '0.01')
    """
    return f"{value:,.0f}" if abs(value) >= 1 and value == round(value) else f"{value:,g}"


def plain_ticks(axis: Any, low: float, high: float) -> None:
    """Give a logarithmic axis plain numbers: powers of ten, and where it has fewer than three, 1, 2 and 5 of each."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    decades = math.log10(high / low)
    axis.set_major_locator(LogLocator(10, subs=(1.0,) if decades >= 3 else (1.0, 2.0, 5.0), numticks=20))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", labelbottom=False, labelleft=False)  # what is hidden is not laid out


def set_description(ax: Any, kind: str, text: str) -> None:
    """Store the text that describes what axes show; another of the same kind takes its place."""
    ax.roofline_alts = {**getattr(ax, "roofline_alts", {}), kind: text.replace("\n", ", ")}


def alt(what: Axes | Figure) -> str:
    """Return the text that describes what axes, or all axes of a figure, show; "" where nothing was drawn by this library."""
    every: Any = [what] if hasattr(what, "get_xlabel") else what.axes
    return " ".join(text for ax in every for text in getattr(ax, "roofline_alts", {}).values())


def render(figure: Figure, form: str) -> bytes:
    """Return the bytes of a picture: the same bytes whenever the picture is the same.

    Raises:
        QuestionError: not one of svg, pdf, png.
    """
    if form not in FORMATS:
        raise QuestionError(fault("format", form, "a picture is svg, pdf or png", "end the file name in one of them"))
    text = alt(figure)
    title = re.split(r"[:.] ", text, maxsplit=1)[0]
    undated: dict[str, Any] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None, **({"Title": title, "Subject": text} if text else {})},
        "png": {"Software": None, **({"Description": text} if text else {})},
    }
    out, chosen = io.BytesIO(), getattr(figure, "roofline_style", styles.STYLES["light"])
    with chosen.drawing():
        figure.savefig(out, format=form, metadata=undated[form], dpi=200, facecolor=chosen.paper)
    data = out.getvalue()
    return _described(data.decode(), title, text).encode() if form == "svg" and text else data


def _described(svg: str, title: str, told: str) -> str:
    """Return an SVG with its title and description, as the first things in it, where readers of screens look for them."""
    first = f'<title id="title">{html.escape(title, quote=False)}</title>\n <desc id="desc">{html.escape(told, quote=False)}</desc>'

    def opened(found: re.Match[str]) -> str:
        return f'{found[1]} role="img" aria-labelledby="title desc">\n {first}'

    return re.sub(r"(<svg\b[^>]*)>", opened, svg, count=1)


def narrow(ax: Any) -> bool:
    """Return whether a figure is as narrow as a column."""
    return bool(ax.get_figure(root=True).get_figwidth() < NARROW)


def frame(ax: Any, title: str, across: str, up: str) -> float:
    """Name the axes of a picture, rule them, and return the size of its letters: smaller in one column.

    The title of a figure of ours goes over the whole of it, that of others' axes over them.
    """
    look, figure, size = styles.of(ax), ax.get_figure(root=True), 6.5 if narrow(ax) else 7.5
    set_label(ax, "x", ax.get_xlabel(), lambda text: ax.set_xlabel(text, fontsize=size + 0.5), across)
    set_label(ax, "y", ax.get_ylabel(), lambda text: ax.set_ylabel(text, fontsize=size + 0.5), up)
    ax.tick_params(which="both", labelsize=size)
    ax.grid(visible=True, which="major", color=look.grey(0.92), linewidth=0.6, zorder=0)
    if titled(ax):
        return size
    if getattr(figure, "roofline_own", False):
        figure.suptitle(title, fontsize=size + 0.5, x=0.01, ha="left", color=look.ink)
    else:
        ax.set_title(title, fontsize=size + 0.5, loc="left", color=look.ink)
        ax.roofline_words["title"] = title
    return size


def powers(ax: Any) -> None:
    """Let ticks be set as formulas where matplotlib's own formatter writes them so: as powers of ten.

    Other text is set letter by letter, since a name may hold dollar signs.
    """
    from matplotlib.ticker import LogFormatter, ScalarFormatter

    for axis in (ax.xaxis, ax.yaxis):
        for formatter, minor in ((axis.get_major_formatter(), False), (axis.get_minor_formatter(), True)):
            if isinstance(formatter, (LogFormatter, ScalarFormatter)):
                for label in axis.get_ticklabels(minor=minor):
                    label.set_parse_math(True)


def settle(ax: Any) -> None:
    """Break the lines of a title that the figure has no room for; where it lies is known only once all is drawn."""
    figure = ax.get_figure(root=True)
    for each in figure.axes:
        powers(each)
    engine = figure.get_layout_engine()
    if engine is None:
        figure.draw_without_rendering()
    else:
        engine.execute(figure)  # places all, and draws nothing
    # A title beside that of other axes ends where its own axes do.
    right = [
        each.get_window_extent().x0 for each in figure.axes if each.get_window_extent().x0 > ax.get_window_extent().x1
    ]
    width = (ax.get_window_extent().x1 if right else figure.bbox.width) - 4
    titles = {figure.get_suptitle(), ax.get_title(loc="left")} - {""}
    for made in figure.findobj(lambda artist: hasattr(artist, "get_text") and artist.get_text() in titles):
        box, lines = made.get_window_extent(), made.get_text().split("\n")
        if box.x1 > width:
            letters = max(12, int(0.94 * max(map(len, lines)) * (width - box.x0) / box.width))
            text = "\n".join(part for line in lines for part in textwrap.wrap(line, letters))
            mine = getattr(ax, "roofline_words", {})
            mine |= {key: text for key, own in mine.items() if own == made.get_text()}
            made.set_text(text)


def legend(ax: Any, handles: Sequence[Any], size: float, columns: int, title: str | None = None) -> Any:
    """Put a legend under the picture where the figure is ours, else where it covers least; return it."""
    figure = ax.get_figure(root=True)
    letters = int(figure.get_figwidth() * 72 / (0.56 * size))
    for handle in handles if narrow(ax) else ():
        handle.set_label(textwrap.fill(str(handle.get_label()), letters // columns - 6))
    look: dict[str, Any] = {
        "handles": handles,
        "fontsize": size,
        "title_fontsize": size,
        "ncols": columns,
        "alignment": "left",
    }
    look |= {
        "title": None if title is None else textwrap.fill(title, letters),
        "handlelength": 1.6,
        "columnspacing": 1.0,
    }
    if getattr(figure, "roofline_own", False):
        for old in figure.legends[:]:
            old.remove()
        made = figure.legend(loc="outside lower left", frameon=False, **look)
    elif ax.get_legend() is not None and ax.get_legend() is not getattr(ax, "roofline_legend", None):
        return ax.get_legend()  # that of whoever made the axes stays
    else:
        made = ax.roofline_legend = ax.legend(loc="best", framealpha=0.9, edgecolor=styles.of(ax).grey(0.85), **look)
    made.set_zorder(8)
    return made
