"""What the memory of a chip holds under each of several layouts: a bar a layout, by kind, and the room there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.units import BYTE, GIGA, Bytes, show
from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


@frozen(eq=False)
class Holding:
    """The numbers of a picture.

    Attributes:
        title: what was asked.
        plans: what each layout is called.
        chosen: which of them was asked for; None for none.
        kinds: bytes of a chip of each layout, by what they are.
        room: bytes that a chip may hold.
    """

    title: str
    plans: tuple[str, ...]
    chosen: int | None
    kinds: Mapping[str, Floats]
    room: Bytes

    @property
    def total(self) -> Floats:
        """Bytes of a chip of each layout."""
        out: Floats = np.sum(list(self.kinds.values()), axis=0)
        return out

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Whether a chip holds them."""
        out: NDArray[np.bool_] = self.total <= self.room
        return out

    def alt(self) -> str:
        """Return what the bars show as text, made of their numbers."""
        rows = []
        for i, plan in enumerate(self.plans):
            kinds = ", ".join(f"{name} {show(float(v[i]), BYTE, 3)}" for name, v in self.kinds.items() if v[i] > 0)
            rows.append(
                f"{plan}{' (this layout)' if i == self.chosen else ''}: {kinds}{'' if self.fits[i] else ', does not fit'}"
            )
        return f"Memory: {self.title}. Room {show(float(self.room), BYTE, 3)}. {'; '.join(rows)}."


def draw(ax: Axes, found: Holding) -> None:
    """Draw the bars on axes of their own: those beyond the room are pale, the layout that was asked for is in bold."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    axes: Any = ax
    look, total = style.of(ax), found.total
    size = paper.frame(ax, found.title, "memory of a rank, GB", "")
    left = np.zeros(len(found.plans))
    rows = np.arange(len(found.plans))
    top = float(found.room) * 1.6
    for i, values in enumerate(found.kinds.values()):
        bars = axes.barh(rows, values / GIGA, left=left / GIGA, height=0.7, color=look.part(i), hatch=look.hatch(i),
                         edgecolor=look.paper, linewidth=0.3, zorder=3)  # fmt: skip
        for bar, fits in zip(bars, found.fits, strict=True):
            bar.set_alpha(1.0 if fits else 0.4)
        left = left + values
    limit = min(max(float(total.max()) * 1.28, float(found.room) * 1.1), top) / GIGA
    if float(total.max()) / GIGA > limit:
        axes.annotate("// axis cut", (1.0, 0.0), (0, 4), xycoords="axes fraction", textcoords="offset points", ha="right",
                      fontsize=size - 1, color=look.grey(0.3), zorder=7)  # fmt: skip
    axes.axvline(found.room / GIGA, color=look.ink, linewidth=0.9, linestyle=(0, (4, 2)), zorder=5)
    for row, value, fits in zip(rows, total / GIGA, found.fits, strict=True):
        # Neither off the axes, nor over the line of what fits.
        limit_gb = float(found.room) / GIGA
        inside = value > 0.84 * limit or 0 <= limit_gb - value < 0.09 * limit
        size_text = f"{value:,.0f}" + ("" if fits else ", too much")
        axes.text(min(value, limit) + limit * (-0.01 if inside else 0.01), row, size_text, fontsize=size - 0.5, va="center",
                  ha="right" if inside else "left", color=look.ink, zorder=6, bbox=look.halo)  # fmt: skip
    paper.limits(axes, x=(0.0, limit), y=(len(found.plans) - 0.4, -0.6))
    axes.set_yticks(rows, found.plans, fontsize=size)
    for i, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("bold" if i == found.chosen else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    patches: list[Any] = [
        Patch(
            facecolor=look.part(i),
            hatch=look.hatch(i),
            edgecolor=look.paper,
            linewidth=0.3,
            label=name.replace("_", " "),
        )
        for i, name in enumerate(found.kinds)
    ]
    patches.append(
        Line2D(
            [],
            [],
            color=look.ink,
            linewidth=0.9,
            linestyle=(0, (4, 2)),
            label=f"usable {show(float(found.room), BYTE, 3)}",
        )
    )
    paper.legend(ax, patches, size, 2 if paper.narrow(ax) else 5)
    paper.set_description(ax, "memory", found.alt())
