"""Roofs and points drawn on matplotlib's axes, each named where there is room."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from roofline.core.units import BYTE_RATE, FLOP_RATE, TERA, show
from roofline.physics.spans import RESOURCES
from roofline.plots import paper, style
from roofline.plots._points import CLASSES, Cloud, Sheet, Track
from roofline.plots.labels import Names, placer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE: Final = style.STYLES["light"].palette

_SPOT: Final = 0.02
"""Decades within which two points are on the same spot."""
_MARKERS: Final = {"decode": "o", "prefill": "s", "mixed": "s", "forward": "^", "backward": "v", "weights": "P"}
_STEPS: Final = {"mixed": "decode with a prefill chunk", "weights": "gradients of weights"}
"""What steps are called in a legend, where the name of the span says too little."""
_SHORT: Final = {"mixed": "with prefill"}
_FILLS: Final[dict[str, tuple[float, Any]]] = {
    "compute": (1.0, "-"),
    "memory": (0.45, "-"),
    "network": (0.0, "-"),
    "latency": (0.0, (0, (1, 1))),
}
"""How a point is filled, and its edge dashed, by what bounds it."""
_STAGED: Final = 0.4
"""Part of its traffic above which staging passes are named."""
_WIDE: Final = 6.0
"""Inches from which on letters have their full size."""
_LETTERS: Final = 9.0
"""That size, along the axes."""
_SMALLEST: Final = 0.76
"""Part of that size that letters have at least: 5.7 points, in one column."""
_CLOSE: Final = 2.5
"""Ratio of two bandwidths whose roofs have no room for a name between them."""


def draw(ax: Axes, *sheets: Sheet) -> None:
    """Add sheets to the axes, and draw all of theirs afresh: limits and places of names depend on all of them."""
    axes: Any = ax
    for artist in getattr(axes, "roofline_artists", ()):
        artist.remove()
    axes.roofline_sheets = [*getattr(axes, "roofline_sheets", ()), *sheets]
    before = set(map(id, ax.get_children()))
    _Drawing(ax, axes.roofline_sheets).everything()
    axes.roofline_artists = [artist for artist in ax.get_children() if id(artist) not in before]
    paper.set_description(ax, "roofline", " ".join(each.alt() for each in axes.roofline_sheets))


class _Drawing:
    """One redraw: the axes, their sheets, and the boxes that names must not cover."""

    def __init__(self, ax: Axes, sheets: Sequence[Sheet]) -> None:
        self.ax = cast("Any", ax)
        self.sheets = cast("Any", sheets)
        self.figure = self.ax.get_figure(root=True)
        width = float(self.figure.get_figwidth()) * self.ax.get_position().width / 0.85
        clouds = [cloud for sheet in sheets for cloud in sheet.clouds]
        self.look = style.of(ax)
        self.scale = float(np.clip(width / _WIDE, 0.4, 1.0))
        self.small = 7.5 * max(self.scale, _SMALLEST)
        marks = [mark for sheet in sheets for mark in sheet.points]
        tracks = [
            (float(x), float(y))
            for sheet in sheets
            for t in sheet.tracks
            for x, y in zip(t.intensity, t.rate, strict=True)
        ]
        peaks = [roof.peak for sheet in sheets for roof in sheet.roofs if roof.peak]
        slopes = [roof.bandwidth for sheet in sheets for roof in sheet.roofs if roof.bandwidth]
        self.left = min([*(m.intensity for m in marks), *(x for x, _ in tracks), min(peaks) / max(slopes)]) / 8
        self.right = max([*(m.intensity for m in marks), *(x for x, _ in tracks), max(peaks) / min(slopes)]) * 10
        self.low = min([*(m.rate for m in marks), *(y for _, y in tracks), self.left * max(slopes) * 2]) / 4 / TERA
        self.high = max(peaks) / TERA * 3
        for cloud in clouds:
            self.left, self.right = min(self.left, cloud.intensity[0] / 2), max(self.right, cloud.intensity[-1] * 2)
            self.low = min(self.low, *(y / TERA / 2 for y in (*cloud.measured, *cloud.fitted)))

    @property
    def alone(self) -> bool:
        """Whether one system is drawn: colours say what bounds an operation; of several, whose it is."""
        return len(self.sheets) == 1 and not self.sheets[0].clouds and not self.sheets[0].tracks

    def everything(self) -> None:
        ax = self.ax
        ax.set(xscale="log", yscale="log")
        paper.limits(ax, x=(float(self.left), float(self.right)), y=(float(self.low), float(self.high)))
        (self.left, self.right), (self.low, self.high) = ax.get_xlim(), ax.get_ylim()
        size = min(_LETTERS, 1.25 * self.small)
        paper.set_label(ax, "x", ax.get_xlabel(), partial(ax.set_xlabel, fontsize=size), "arithmetic intensity, FLOP/B")
        paper.set_label(
            ax, "y", ax.get_ylabel(), partial(ax.set_ylabel, fontsize=size), "performance of one chip, TFLOP/s"
        )
        paper.plain_ticks(ax.xaxis, *ax.get_xlim())
        paper.plain_ticks(ax.yaxis, *ax.get_ylim())
        ax.tick_params(labelsize=size)
        ax.grid(visible=True, which="major", color=self.look.grey(0.92), linewidth=0.6, zorder=0)
        # Findings first, then what was asked of all of them, once.
        parts = [sheet.title.split("\n") for sheet in self.sheets if sheet.title]
        titles = list(dict.fromkeys([part[0] for part in parts] + [line for part in parts for line in part[1:]]))
        if titles and not paper.titled(ax):
            ax.set_title("\n".join(titles), fontsize=1.15 * self.small, loc="left", color=self.look.ink)
            ax.roofline_words["title"] = "\n".join(titles)
        for sheet, color in self._colored():
            for roof in sheet.roofs:
                self._roof(sheet, roof, color)
            self._attainable(sheet, color)
            if sheet.band:
                self._band(sheet, color)
            for mark in sheet.points:
                self._mark(mark, color)
            for cloud in sheet.clouds:
                self._cloud(cloud)
        for track, color in self._tracks():
            self._track(track, color)
        self._legend()
        # Places are known only once the figure is laid out; names do not move the axes.
        paper.settle(ax)
        self.names = Names(ax.get_window_extent())
        self._occupy()
        for sheet, color in self._colored():
            for roof in sorted(sheet.roofs, key=lambda roof: -(roof.peak or 0)):
                self._name_roof(sheet, roof, color)
        for sheet, color in self._colored():
            # Passes of one step of training are named together.
            for step in dict.fromkeys(_whole(mark) for mark in sheet.points):
                self._name_points([m for m in sheet.points if _whole(m) == step], color)
        for track, color in self._tracks():
            self._name_track(track, color)

    def _colored(self) -> list[tuple[Sheet, str]]:
        # Where classes of kernels, or what bounds an operation, have the colours, roofs have none.
        look = self.look
        plain = self.alone or any(sheet.clouds for sheet in self.sheets)
        return [(sheet, look.grey(0.25) if plain else look.color(i)) for i, sheet in enumerate(self.sheets)]

    def _tracks(self) -> list[tuple[Track, str]]:
        found = [track for sheet in self.sheets for track in sheet.tracks]
        return [(track, self.look.color(len(self.sheets) + i)) for i, track in enumerate(found)]

    # Shapes ------------------------------------------------------------------------------------------------------------

    def _start(self, sheet: Sheet, roof: Any) -> tuple[float, float]:
        """Return the ridge at which a flat roof begins, or the tallest roof under which a slope ends."""
        memory = sheet.memory
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
        thin = not roof.memory
        self.ax.plot([far, x], [y * far / x, y], color=color, linewidth=1.0 if thin else 1.4, linestyle=dashed,
                     alpha=0.8 if thin else 1.0, zorder=2)  # fmt: skip

    def _attainable(self, sheet: Sheet, color: str) -> None:
        """Draw the roofs that kernels reach, thin, below the peaks."""
        peaks = [float(r.peak) for r in sheet.attainable if r.peak] or [float(r.peak) for r in sheet.roofs if r.peak]
        memory = next((float(r.bandwidth) for r in sheet.attainable if r.bandwidth), sheet.memory)
        line: Any = {"color": color, "linewidth": 0.8, "alpha": 0.9, "linestyle": (0, (1, 1)), "zorder": 2}
        for roof in sheet.attainable:
            if roof.peak:
                self.ax.plot([roof.peak / memory, self.right], [roof.peak / TERA] * 2, **line)
            else:
                far, end = self.left / 2, max(peaks) / memory
                self.ax.plot([far, end], [far * memory / TERA, end * memory / TERA], **line)

    def _band(self, sheet: Sheet, color: str) -> None:
        """Shade the room between the tallest roof, max(), and what is left where compute and memory work in turn, sum()."""
        memory, tallest = sheet.memory, max(r.peak for r in sheet.roofs if r.peak)
        at = np.geomspace(self.left, self.right, 200)
        side, turn = np.minimum(tallest, memory * at), 1 / (1 / tallest + 1 / (memory * at))
        self.ax.fill_between(at, turn / TERA, side / TERA, color=color, alpha=0.13, linewidth=0, zorder=1)

    def _track(self, track: Track, color: str) -> None:
        """Draw an operation's way: a line with a dot at each value, the last one larger."""
        y = track.rate / TERA
        self.ax.plot(track.intensity, y, "-o", color=color, linewidth=1.1, markersize=2.4, zorder=6)
        self.ax.plot(track.intensity[-1:], y[-1:], ">", color=color, markersize=5.0, zorder=6)

    def _mark(self, mark: Any, color: str) -> None:
        color = self._shade(mark, color)
        part, dash = _FILLS.get(mark.bound, _FILLS["compute"])
        face = "none" if mark.network else style.mixed(self.look.paper, color, part)
        self.ax.scatter(
            [mark.intensity], [mark.rate / TERA], s=self._area(mark), marker="D" if mark.network else _MARKERS.get(mark.step, "o"),
            facecolor=face, edgecolor=color, alpha=0.9 if mark.network else 0.8, linestyle=dash, linewidth=0.9, zorder=5,
        )  # fmt: skip

    def _shade(self, mark: Any, color: str) -> str:
        """Return the colour of a point: of what bounds it where one system is drawn, else that of its system."""
        return self.look.color(RESOURCES.index(mark.bound)) if self.alone and mark.bound in RESOURCES else color

    def _cloud(self, cloud: Cloud) -> None:
        """Draw timings as dots, what was fitted as rings, and join the two."""
        color = self._hue(cloud)
        at, measured, fitted = (np.array(column) for column in (cloud.intensity, cloud.measured, cloud.fitted))
        joints = np.stack([measured, fitted, np.full_like(at, np.nan)], axis=1).ravel() / TERA
        ring: Any = {"markersize": 2.6, "fillstyle": "none", "markeredgewidth": 0.35, "alpha": 0.7, "zorder": 3}
        dot: Any = {"markersize": 1.5, "markeredgewidth": 0, "alpha": 0.9, "zorder": 4}
        self.ax.plot(np.repeat(at, 3), joints, color=color, linewidth=0.4, alpha=0.6, zorder=3)
        self.ax.plot(at, fitted / TERA, "o", color=color, **ring)
        self.ax.plot(at, measured / TERA, "o", color=color, **dot)

    def _legend(self) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.transforms import ScaledTranslation

        marks = [mark for sheet in self.sheets for mark in sheet.points]
        handles = [Line2D([], [], color=color, linewidth=1.4, label=sheet.label) for sheet, color in self._colored()]
        clouds = [cloud for sheet in self.sheets for cloud in sheet.clouds]
        for cloud in clouds:
            label = f"{CLASSES[cloud.kernel]}: {cloud.rows:,}, {cloud.mape:.1%} off"
            handles.append(
                Line2D([], [], color=self._hue(cloud), marker="o", markersize=4, linestyle="none", label=label)
            )
        if clouds:
            handles.append(Line2D([], [], linestyle="none", label="dot: measured, ring: fitted"))
        for step in dict.fromkeys(mark.step for mark in marks if not mark.network):
            shape = _MARKERS.get(step, "o")
            called = _STEPS.get(step, step)
            handles.append(
                Line2D([], [], color=self.look.grey(0.4), marker=shape, linestyle="none", alpha=0.6, label=called)
            )
        met = {mark.bound for mark in marks if not mark.network}
        for name in (each for each in _FILLS if each in met):
            part, _ = _FILLS[name]
            color = self.look.color(RESOURCES.index(name)) if self.alone else self.look.grey(0.4)
            handles.append(
                Line2D([], [], color=color, marker="o", markerfacecolor=style.mixed(self.look.paper, color, part), linestyle="none",
                       label=f"bound by {name}")
            )  # fmt: skip
        if any(sheet.attainable for sheet in self.sheets):
            handles.append(
                Line2D(
                    [],
                    [],
                    color=self.look.grey(0.4),
                    linewidth=0.6,
                    linestyle=(0, (1, 1)),
                    label="roofs that kernels reach",
                )
            )
        if any(mark.network for mark in marks):
            handles.append(Line2D([], [], color=self.look.grey(0.4), marker="D", linestyle="none", fillstyle="none",
                                  label="whole step, per byte sent"))  # fmt: skip
        if marks:
            label = " or ".join(dict.fromkeys(sheet.whole for sheet in self.sheets))
            handles.append(Line2D([], [], linestyle="none", label=f"size, %: share of a {label} time"))
        # Below the axes where the figure makes room for it, else where it covers least.
        below = self.figure.get_layout_engine() is not None
        wide = float(self.figure.get_figwidth())
        place: dict[str, Any] = {"loc": "best"}
        if below:
            # Under the numbers and the name of the axis, whatever the figure's height; where it is narrow, from its left edge.
            size, left = min(_LETTERS, 1.25 * self.small), 0.0 if wide >= paper.NARROW else -30.0
            down = ScaledTranslation(left / 72, -(3.6 * size + 6) / 72, self.figure.dpi_scale_trans)
            under = {"bbox_to_anchor": (0, 0), "bbox_transform": self.ax.transAxes + down}
            place = {"loc": "upper left", "borderaxespad": 0, **under}
            letters = int((wide - 0.7) * 72 / (0.56 * self.small))
            for handle in handles if wide < paper.NARROW else ():
                handle.set_label(textwrap.fill(str(handle.get_label()), letters))
        if clouds:
            place |= {"columnspacing": 1.0, "handletextpad": 0.4, "handlelength": 1.4}
        if self.ax.get_legend() is not None and self.ax.get_legend() is not getattr(self.ax, "roofline_legend", None):
            return  # that of whoever made the axes stays
        legend = self.ax.roofline_legend = self.ax.legend(
            handles=handles,
            ncols=2 if below and wide >= paper.NARROW else 1,
            fontsize=self.small,
            frameon=not below,
            framealpha=0.9,
            edgecolor=self.look.grey(0.85),
            **place,
        )
        legend.set_zorder(6)

    def _hue(self, cloud: Cloud) -> str:
        return self.look.color(list(CLASSES).index(cloud.kernel))

    def _area(self, mark: Any) -> float:
        """Return the area of a point: its share, smaller on a smaller sheet."""
        return float(12 + 700 * mark.share * min(1.0, 1.2 * self.scale) ** 2)

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
            for track in sheet.tracks:
                for place in zip(track.intensity, track.rate, strict=True):
                    x, y = self._at(place[0], place[1] / TERA)
                    self.names.taken.append(Bbox.from_bounds(x - 3, y - 3, 6, 6))
            for mark in sheet.points:
                x, y = self._at(mark.intensity, mark.rate / TERA)
                half = np.sqrt(self._area(mark)) / 2 * self.figure.dpi / 72
                self.names.taken.append(Bbox.from_bounds(x - half, y - half, 2 * half, 2 * half))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        px, py = self.ax.transData.transform((x, y))
        return float(px), float(py)

    def _name_roof(self, sheet: Sheet, roof: Any, color: str) -> None:
        """Name a roof along its line, at the first place where nothing is covered."""
        # The highest roof of a machine carries its name, the others its colour; in one column there is room for none.
        several = len(self.sheets) > 1 and not paper.narrow(self.ax)
        highest = bool(roof.peak) and roof.peak == max(each.peak for each in sheet.roofs if each.peak)
        prefix = f"{sheet.label.split(':')[0]}: " if several and highest else ""
        x, y = self._start(sheet, roof)
        words: dict[str, Any] = {"color": self.look.letters(color), "fontsize": self.small, "zorder": 4}
        halo = self.look.halo
        tries: list[Any] = []
        if roof.peak:
            unit = "" if several or (paper.narrow(self.ax) and not sheet.clouds) else " FLOP/B"
            text = f"{prefix}{roof.name} {show(roof.peak, FLOP_RATE, 3)}, ridge {x:,.{0 if x >= 10 else 1}f}{unit}"
            row = (self.high / self.low) ** (
                1.4 * self.small * self.figure.dpi / 72 / self.ax.get_window_extent().height
            )
            if sheet.clouds:
                tries.append((x * 0.8, y, {"ha": "right", "va": "center", "bbox": halo}))
            for part in (1.0, 0.75, 0.5, 0.25, 0.0):
                place = x * (self.right / x) ** part
                for side, lift in (("bottom", 1.05), ("top", 0.95), ("bottom", 1.05 * row)):
                    tries.append((place, y * lift, {"ha": "right" if part > 0 else "left", "va": side, "bbox": halo}))
        else:
            bandwidth = float(roof.bandwidth or 1.0)
            text = f"{roof.name} {show(bandwidth, BYTE_RATE, 3)}"
            foot = max(self.left, self.low * TERA / bandwidth)
            turn = {
                "rotation": np.degrees(np.arctan2(bandwidth / TERA, 1.0)),
                "rotation_mode": "anchor",
                "transform_rotates_text": True,
            }
            # Between two slopes that are close there is no room: one is named above it, the other below.
            near = [r.bandwidth / bandwidth for r in sheet.roofs if r.bandwidth and r is not roof]
            crowded = any(1 < ratio < _CLOSE for ratio in near)
            sides = ("top", "bottom") if crowded else ("bottom", "top")
            for part in (0.06, 0.2, 0.35, 0.5, 0.65):
                place = foot * (x / foot) ** part
                tries += [(place, place * bandwidth / TERA, {"ha": "left", "va": side, **turn}) for side in sides]
        self.names.place([partial(self.ax.text, x, y, text, **words, **turned) for x, y, turned in tries])

    def _name_points(self, marks: Sequence[Any], color: str) -> None:
        """Name the points of a step that take most of its time, and its diamond; the lesser ones only where there is room."""
        crowded, small = len(self.sheets) > 1, paper.narrow(self.ax)
        heaps: list[list[Any]] = []
        for mark in sorted((m for m in marks if not m.network), key=lambda m: -m.share):
            # Operations on the same spot have one name.
            here = next((heap for heap in heaps if _apart(mark, heap[0]) < _SPOT), None)
            if here is None:
                heaps.append([mark])
            else:
                here.append(mark)
        heaps.sort(key=lambda heap: -sum(m.share for m in heap))
        biggest = [heap for heap in heaps if sum(m.share for m in heap) >= 0.03][
            : 1 if crowded and small else 3 if crowded or small else 6
        ]
        for i, heap in enumerate(biggest):
            named = ", ".join(dict.fromkeys(_named(m) for m in heap if m.share >= 0.01 or m is heap[0]))
            self._name_point(
                heap[0], f"{named} {sum(m.share for m in heap):.0%}", self._shade(heap[0], color), must=i == 0
            )
        for mark in marks:
            if mark.network:
                several = sum(m.network and m.step == mark.step for m in marks) > 1
                tier = f", {mark.tier}" if several else ""
                near = 1 if several and small else 4
                step = "" if (crowded and small) or mark.step == "step" else f" ({_SHORT.get(mark.step, mark.step)})"
                label = f"communication{step}{tier} {mark.share:.0%}"
                self._name_point(mark, label, self._shade(mark, color), must=False, far=near)

    def _name_track(self, track: Track, color: str) -> None:
        for i, must in ((-1, True), (0, True)):
            label = (
                f"{track.along} {track.values[i]:,.0f}"
                if i == 0
                else f"{track.name}, {track.along} {track.values[i]:,.0f}"
            )
            at = (float(track.intensity[i]), float(track.rate[i]) / TERA)
            tries = placer(self.ax, label, at, (5.0, 14.0, 28.0, 44.0), color=color, size=0.95 * self.small)
            self.names.place(tries, must=must)

    def _name_point(self, mark: Any, text: str, color: str, *, must: bool, far: int = 4) -> None:
        gaps = [gap + float(np.sqrt(self._area(mark))) / 2 for gap in (3.0, 14.0, 28.0, 44.0)[:far]]
        at = (mark.intensity, mark.rate / TERA)
        self.names.place(placer(self.ax, text, at, gaps, color=color, size=0.95 * self.small), must=must)


def _named(mark: Any) -> str:
    """Return what a point is called; what memory bounds by its staging passes says so."""
    return f"{mark.name} (staging)" if mark.bound == "memory" and mark.staged > _STAGED else str(mark.name)


def _whole(mark: Any) -> str:
    return "step" if mark.step in _MARKERS else str(mark.step)


def _apart(one: Any, other: Any) -> float:
    """Return how far apart two points are, in decades."""
    return float(np.hypot(np.log10(one.intensity / other.intensity), np.log10(one.rate / other.rate)))
