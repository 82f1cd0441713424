"""Roofs and points drawn on matplotlib's axes, each named where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from roofline.diagram import CLASSES, Cloud, Sheet
from roofline.lettering import HALO, Names, beside
from roofline.units import BYTE_RATE, FLOP_RATE, TERA, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours that people with colour-blindness can tell apart (Okabe and Ito, 2008)."""

_ROOFS: Final = "0.25"
_MARKERS: Final = {"decode": "o", "prefill": "s"}
_WIDE: Final = 6.0
"""Inches from which on letters have their full size."""
_LETTERS: Final = 9.0
"""That size, along the axes."""


def draw(ax: Axes, sheet: Sheet) -> None:
    """Add a sheet to the axes, and draw all of theirs afresh: limits and places of names depend on all of them."""
    kept: Any = ax
    for artist in getattr(kept, "roofline_artists", ()):
        artist.remove()
    kept.roofline_sheets = [*getattr(kept, "roofline_sheets", ()), sheet]
    before = set(map(id, ax.get_children()))
    _Drawing(ax, kept.roofline_sheets).everything()
    kept.roofline_artists = [artist for artist in ax.get_children() if id(artist) not in before]


class _Drawing:
    """One redraw: the axes, their sheets, and the boxes that names must not cover."""

    def __init__(self, ax: Axes, sheets: Sequence[Sheet]) -> None:
        self.ax = cast("Any", ax)
        self.sheets = cast("Any", sheets)
        self.figure = self.ax.get_figure(root=True)
        width = float(self.figure.get_figwidth()) * self.ax.get_position().width / 0.85
        clouds = [cloud for sheet in sheets for cloud in sheet.clouds]
        self.small = 7.5 * float(np.clip(width / _WIDE, 0.72 if clouds else 0.6, 1.0))
        marks = [mark for sheet in sheets for mark in sheet.points]
        peaks = [roof.peak for sheet in sheets for roof in sheet.roofs if roof.peak]
        slopes = [roof.bandwidth for sheet in sheets for roof in sheet.roofs if roof.bandwidth]
        self.left = min([*(m.intensity for m in marks), min(peaks) / max(slopes)]) / 8
        self.right = max([*(m.intensity for m in marks), max(peaks) / min(slopes)]) * 10
        self.low = min([*(m.rate for m in marks), self.left * max(slopes) * 2]) / 4 / TERA
        self.high = max(peaks) / TERA * 3
        for cloud in clouds:
            self.left, self.right = min(self.left, cloud.intensity[0] / 2), max(self.right, cloud.intensity[-1] * 2)
            self.low = min(self.low, *(y / TERA / 2 for y in (*cloud.measured, *cloud.fitted)))

    def everything(self) -> None:
        ax, ranks = self.ax, sorted({sheet.rank for sheet in self.sheets})
        ax.set(xscale="log", yscale="log", xlim=(self.left, self.right), ylim=(self.low, self.high))
        size = min(_LETTERS, 1.25 * self.small)
        ax.set_xlabel("arithmetic intensity, FLOP/B", fontsize=size)
        ax.set_ylabel(f"performance of one {' or '.join(ranks)}, TFLOP/s", fontsize=size)
        ax.tick_params(labelsize=size)
        ax.grid(visible=True, which="major", color="0.92", linewidth=0.6, zorder=0)
        titles = list(dict.fromkeys(sheet.title for sheet in self.sheets if sheet.title))
        if titles:
            ax.set_title("\n".join(titles), fontsize=1.15 * self.small, loc="left")
        for sheet, color in self._colored():
            for roof in sheet.roofs:
                self._roof(sheet, roof, color)
            for mark in sheet.points:
                self._mark(mark, color)
            for cloud in sheet.clouds:
                self._cloud(cloud)
        self._legend()
        # Places are known only once the figure is laid out.
        self.figure.draw_without_rendering()
        self.names = Names(ax.get_window_extent())
        self._occupy()
        for sheet, color in self._colored():
            for roof in sorted(sheet.roofs, key=lambda roof: -(roof.peak or 0)):
                self._name_roof(sheet, roof, color)
        for sheet, color in self._colored():
            for step in dict.fromkeys(mark.step for mark in sheet.points):
                self._name_points([m for m in sheet.points if m.step == step], color)

    def _colored(self) -> list[tuple[Sheet, str]]:
        # Where classes of kernels have the colours, roofs have none.
        return [(sheet, _ROOFS if sheet.clouds else PALETTE[i % len(PALETTE)]) for i, sheet in enumerate(self.sheets)]

    # Shapes ------------------------------------------------------------------------------------------------------------

    def _start(self, sheet: Sheet, roof: Any) -> tuple[float, float]:
        """Return the ridge at which a flat roof begins, or the tallest roof under which a slope ends."""
        memory = next(r.bandwidth for r in sheet.roofs if r.bandwidth and not r.network)
        tallest = max(r.peak for r in sheet.roofs if r.peak)
        if roof.peak:
            return float(roof.peak / memory), float(roof.peak / TERA)
        return float(tallest / (roof.bandwidth or 1.0)), float(tallest / TERA)

    def _roof(self, sheet: Sheet, roof: Any, color: str) -> None:
        x, y = self._start(sheet, roof)
        if roof.peak:
            self.ax.plot([x, self.right], [y, y], color=color, linewidth=1.4, zorder=2)
            self.ax.plot([x], [y], marker="|", markersize=7, color=color, zorder=3)
            return
        far = self.left / 2
        dashed: Any = (0, (4, 2)) if roof.network else "-"
        self.ax.plot([far, x], [y * far / x, y], color=color, linewidth=1.0 if roof.network else 1.4, linestyle=dashed,
                     alpha=0.8 if roof.network else 1.0, zorder=2)  # fmt: skip

    def _mark(self, mark: Any, color: str) -> None:
        self.ax.scatter(
            [mark.intensity], [mark.rate / TERA], s=_area(mark), marker="D" if mark.network else _MARKERS.get(mark.step, "o"),
            facecolor="none" if mark.network else color, edgecolor=color, alpha=0.9 if mark.network else 0.55,
            linewidth=0.8, zorder=5,
        )  # fmt: skip

    def _cloud(self, cloud: Cloud) -> None:
        """Draw timings as dots, what was fitted as rings, and join the two."""
        color = _hue(cloud)
        at, measured, fitted = (np.array(column) for column in (cloud.intensity, cloud.measured, cloud.fitted))
        joints = np.stack([measured, fitted, np.full_like(at, np.nan)], axis=1).ravel() / TERA
        ring: Any = {"markersize": 2.6, "fillstyle": "none", "markeredgewidth": 0.35, "alpha": 0.7, "zorder": 3}
        dot: Any = {"markersize": 1.5, "markeredgewidth": 0, "alpha": 0.9, "zorder": 4}
        self.ax.plot(np.repeat(at, 3), joints, color=color, linewidth=0.4, alpha=0.6, zorder=3)
        self.ax.plot(at, fitted / TERA, "o", color=color, **ring)
        self.ax.plot(at, measured / TERA, "o", color=color, **dot)

    def _legend(self) -> None:
        from matplotlib.lines import Line2D

        marks = [mark for sheet in self.sheets for mark in sheet.points]
        handles = [Line2D([], [], color=color, linewidth=1.4, label=sheet.label) for sheet, color in self._colored()]
        clouds = [cloud for sheet in self.sheets for cloud in sheet.clouds]
        for cloud in clouds:
            told = f"{CLASSES[cloud.kernel]}: {cloud.rows:,}, {cloud.mape:.1%} off"
            handles.append(Line2D([], [], color=_hue(cloud), marker="o", markersize=4, linestyle="none", label=told))
        if clouds:
            handles.append(Line2D([], [], linestyle="none", label="dot: measured, ring: fitted"))
        for step in dict.fromkeys(mark.step for mark in marks):
            shape = _MARKERS.get(step, "o")
            handles.append(Line2D([], [], color="0.4", marker=shape, linestyle="none", alpha=0.6, label=step))
        if any(mark.network for mark in marks):
            handles.append(Line2D([], [], color="0.4", marker="D", linestyle="none", fillstyle="none",
                                  label="whole step, per byte sent"))  # fmt: skip
        if marks:
            handles.append(Line2D([], [], linestyle="none", label="area: share of the step's time"))
        # Below the axes where the figure makes room for it, else where it covers least.
        below = self.figure.get_layout_engine() is not None
        place: dict[str, Any] = (
            {"loc": "upper left", "bbox_to_anchor": (0, -0.15 if clouds else -0.125), "borderaxespad": 0}
            if below
            else {"loc": "best"}
        )
        if clouds:
            place |= {"columnspacing": 1.0, "handletextpad": 0.4, "handlelength": 1.4}
        legend = self.ax.legend(
            handles=handles,
            ncols=2 if below else 1,
            fontsize=self.small,
            frameon=not below,
            framealpha=0.9,
            edgecolor="0.85",
            **place,
        )
        legend.set_zorder(6)

    # Names -------------------------------------------------------------------------------------------------------------

    def _occupy(self) -> None:
        """Note the boxes of the legend and the points."""
        from matplotlib.transforms import Bbox

        legend = self.ax.get_legend()
        if legend is not None:
            self.names.taken.append(legend.get_window_extent())
        for sheet in self.sheets:
            for cloud in sheet.clouds:
                for place in zip(cloud.intensity, cloud.measured, strict=True):
                    x, y = self._at(place[0], place[1] / TERA)
                    self.names.taken.append(Bbox.from_bounds(x - 1, y - 1, 2, 2))
            for mark in sheet.points:
                x, y = self._at(mark.intensity, mark.rate / TERA)
                half = np.sqrt(_area(mark)) / 2 * self.figure.dpi / 72
                self.names.taken.append(Bbox.from_bounds(x - half, y - half, 2 * half, 2 * half))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        px, py = self.ax.transData.transform((x, y))
        return float(px), float(py)

    def _name_roof(self, sheet: Sheet, roof: Any, color: str) -> None:
        """Name a roof along its line, at the first place where nothing is covered."""
        prefix = f"{sheet.label.split(':')[0]}: " if len(self.sheets) > 1 else ""
        x, y = self._start(sheet, roof)
        words: dict[str, Any] = {"color": color, "fontsize": self.small, "zorder": 4}
        tries: list[Any] = []
        if roof.peak:
            text = f"{prefix}{roof.name} {show(roof.peak, FLOP_RATE, 3)}, ridge {x:,.0f} FLOP/B"
            if x < 10:
                text = f"{prefix}{roof.name} {show(roof.peak, FLOP_RATE, 3)}, ridge {x:.1f} FLOP/B"
            row = (self.high / self.low) ** (
                1.4 * self.small * self.figure.dpi / 72 / self.ax.get_window_extent().height
            )
            if sheet.clouds:
                tries.append((x * 0.8, y, {"ha": "right", "va": "center", "bbox": HALO}))
            for part in (1.0, 0.75, 0.5, 0.25, 0.0):
                place = x * (self.right / x) ** part
                for side, lift in (("bottom", 1.05), ("top", 0.95), ("bottom", 1.05 * row)):
                    tries.append((place, y * lift, {"ha": "right" if part > 0 else "left", "va": side, "bbox": HALO}))
        else:
            bandwidth = float(roof.bandwidth or 1.0)
            text = f"{prefix}{roof.name} {show(bandwidth, BYTE_RATE, 3)}"
            foot = max(self.left, self.low * TERA / bandwidth)
            turn = {
                "rotation": np.degrees(np.arctan2(bandwidth / TERA, 1.0)),
                "rotation_mode": "anchor",
                "transform_rotates_text": True,
            }
            for part in (0.06, 0.2, 0.35, 0.5, 0.65):
                place = foot * (x / foot) ** part
                tries += [
                    (place, place * bandwidth / TERA, {"ha": "left", "va": side, **turn}) for side in ("bottom", "top")
                ]
        self.names.place([partial(self.ax.text, x, y, text, **words, **turned) for x, y, turned in tries])

    def _name_points(self, marks: Sequence[Any], color: str) -> None:
        """Name the points of a step that take most of its time, and its diamond; the lesser ones only where there is room."""
        crowded = len(self.sheets) > 1
        biggest = [mark for mark in marks if not mark.network and mark.share >= 0.03][: 3 if crowded else 5]
        for i, mark in enumerate(biggest):
            self._name_point(mark, f"{mark.name} {mark.share:.0%}", color, must=i == 0)
        for mark in marks:
            if mark.network:
                self._name_point(mark, f"{mark.step} {mark.share:.0%}", color, must=False)

    def _name_point(self, mark: Any, text: str, color: str, *, must: bool) -> None:
        gaps = [gap + float(np.sqrt(_area(mark))) / 2 for gap in (3.0, 14.0, 28.0, 44.0)]
        at = (mark.intensity, mark.rate / TERA)
        self.names.place(beside(self.ax, text, at, gaps, color=color, size=0.95 * self.small), must=must)


def _hue(cloud: Cloud) -> str:
    return PALETTE[list(CLASSES).index(cloud.kernel) % len(PALETTE)]


def _area(mark: Any) -> float:
    return float(12 + 700 * mark.share)
