"""Places labels in a plot where they cover nothing."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.transforms import Bbox

_LETTERS: Final = 32
"""Letters of a line of a name in one column."""


def placer(
    ax: Any, text: str, at: tuple[float, float], gaps: Sequence[float], *, color: str, size: float
) -> list[Callable[[], Any]]:
    """Return what writes a text around a point, near places first; a line leads to those beyond the first gap, in points."""
    look = style.of(ax)
    text = textwrap.fill(text, _LETTERS, break_on_hyphens=False) if paper.narrow(ax) else text
    color = look.letters(color)
    line = {"arrowstyle": "-", "color": color, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 0}

    def put(gap: float, angle: float) -> Any:
        dx, dy = gap * np.cos(np.radians(angle)), gap * np.sin(np.radians(angle))
        return ax.annotate(
            text, at, xytext=(dx, dy), textcoords="offset points", color=color, fontsize=size, zorder=7, bbox=look.halo,
            ha="center" if abs(dx) < 1 else "left" if dx > 0 else "right",
            va="center" if abs(dy) < 1 else "bottom" if dy > 0 else "top",
            arrowprops=line if gap > gaps[0] else None,
        )  # fmt: skip

    return [functools.partial(put, gap, angle) for gap in gaps for angle in (0, 180, 90, 270, 45, 315, 135, 225)]


class Names:
    """The boxes of a picture that names must not cover."""

    def __init__(self, frame: Bbox) -> None:
        self.frame = frame
        self.taken: list[Bbox] = []

    def place(self, tries: Sequence[Callable[[], Any]], *, must: bool = True) -> None:
        """Keep the first text made that covers nothing; else, where there ``must`` be one, that which covers least."""
        best: Any = None
        taken = [_edges(other) for other in self.taken]
        for make in tries:
            text = make()
            boxes = _boxes(text)
            clashes = sum(_covered(edges, other) for edges in map(_edges, boxes) for other in taken)
            clashes += 3 * sum(not _inside(box, self.frame) for box in boxes)
            if best is None or clashes < best[0]:
                if best is not None:
                    best[1].remove()
                best = (clashes, text, boxes)
            else:
                text.remove()
            if clashes == 0:
                break
        if best is not None and best[0] and not must:
            best[1].remove()
        elif best is not None:
            # Names lie within the axes; one that has no room there must not push them together.
            best[1].set_in_layout(False)
            self.taken += best[2]


def _edges(box: Bbox) -> list[float]:
    """Return the left, lower, right and upper edge of a box as plain numbers, which are compared in a tenth of the time of a box's own."""
    return [float(edge) for edge in box.extents]


def _covered(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the part of a box that another covers, given the edges of both."""
    x0, y0, x1, y1 = box
    width = min(x1, other[2]) - max(x0, other[0])
    height = min(y1, other[3]) - max(y0, other[1])
    return max(width, 0.0) * max(height, 0.0) / ((x1 - x0) * (y1 - y0))


def _inside(box: Bbox, frame: Bbox) -> bool:
    return bool(box.x0 >= frame.x0 and box.x1 <= frame.x1 + 2 and box.y0 >= frame.y0 and box.y1 <= frame.y1 + 2)


def _boxes(text: Any) -> list[Bbox]:
    """Return the boxes a text covers: of a rotated one, small ones along its line."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    text.get_window_extent()  # brings a note to its place
    whole: Bbox = Text.get_window_extent(text)  # without its leader
    angle = np.radians(text.get_rotation()) if text.get_rotation() else 0.0
    if not angle:
        return [whole]
    x, y = text.get_transform().transform(text.get_position())
    size = text.get_fontsize() * text.get_figure(root=True).dpi / 72
    long = np.hypot(whole.width, whole.height)
    lift = size / 2 if text.get_verticalalignment() == "bottom" else -size / 2
    out = []
    for along in np.arange(size / 2, long, size):
        cx = x + along * np.cos(angle) - lift * np.sin(angle)
        cy = y + along * np.sin(angle) + lift * np.cos(angle)
        out.append(Bbox.from_bounds(cx - size / 2, cy - size / 2, size, size))
    return out
