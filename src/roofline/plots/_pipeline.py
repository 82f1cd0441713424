"""A step of training on its pipeline: a row for each rank, a bar for each pass, and what is left is the bubble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from roofline.core.units import MICRO, SECOND, show
from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS: Final = ("forward", "backward", "weights", "forward and backward", "optimizer")
"""What a rank does, in the order of the colours."""
_TOLD: Final = {
    "backward": "backward (gradients of inputs, and of weights unless apart)",
    "weights": "gradients of weights",
}
_ROOM: Final = 8.0
"""Points of paper that a number needs."""


@frozen
class Bar:
    """What a rank does at a time; ``micro_batch`` is None of what belongs to none, and of two done together.

    Attributes:
        rank: number of the rank.
        kind: which pass it does.
        start: when it begins, s.
        time: how long it takes, s.
        micro_batch: number of the micro-batch; None for what belongs to none, and for two done together.
        chunk: number of the chunk of layers.
    """

    rank: int
    kind: str
    start: float
    time: float
    micro_batch: int | None
    chunk: int


@frozen
class Timeline:
    """The numbers of a picture.

    Attributes:
        title: what was asked.
        schedule: order of the micro-batches.
        ranks: ranks of the pipeline.
        end: seconds until the last is done.
        bars: what each rank computes, in the order of their beginnings.
    """

    title: str
    schedule: str
    ranks: int
    end: float
    bars: tuple[Bar, ...]

    @property
    def idle(self) -> float:
        """Part of the ranks' time in which they do not compute: the bubble, and waiting for messages."""
        return 1 - sum(bar.time for bar in self.bars) / (self.ranks * self.end)

    def alt(self) -> str:
        """Return what the bars show as text, made of their numbers."""
        first = [min(bar.start for bar in self.bars if bar.rank == rank) for rank in range(self.ranks)]
        return (
            f"Timeline of a step: {self.title}. Schedule {self.schedule} on {self.ranks} ranks of a pipeline, "
            f"{show(self.end, SECOND, 3)}; ranks do not compute {self.idle:.0%} of the time; "
            f"the last rank begins after {show(first[-1], SECOND, 3)}."
        )


def timeline(trace: Mapping[str, Any], title: str = "") -> Timeline:
    """Return the bars of a trace (:func:`roofline.physics.pipeline_trace.trace`).

    >>> from roofline.physics.pipeline import Pace
    >>> from roofline.physics.pipeline_trace import trace
    >>> step = timeline(trace("1f1b", 2, 2, fullest=Pace(1.0, 1.0, 1.0)))
    >>> step.end, round(step.idle, 3)
    (9.0, 0.333)
    """
    data = trace["otherData"]
    bars = []
    for event in trace["traceEvents"]:
        if event["ph"] == "X" and event["cat"] == "compute":
            args = event["args"]
            bars.append(Bar(event["pid"], event["name"], event["ts"] * MICRO, event["dur"] * MICRO,
                            args.get("micro_batch"), args.get("chunk", 0)))  # fmt: skip
    bars.sort(key=lambda bar: (bar.start, bar.rank))
    end = max(bar.start + bar.time for bar in bars)
    return Timeline(title, data["schedule"], data["stages"], end, tuple(bars))


def draw(ax: Axes, found: Timeline) -> None:
    """Draw the rows on axes of their own; later chunks of a rank are paler, micro-batches have numbers where there is room."""
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    axes: Any = ax
    look = style.of(ax)
    size = paper.frame(ax, found.title, "time, s", "rank of the pipeline")
    axes.grid(visible=False)
    # Where a rank does nothing, this shows.
    idle = look.grey(0.9)
    axes.barh(range(found.ranks), [found.end] * found.ranks, height=0.84, color=idle, zorder=1)
    chunks = 1 + max(bar.chunk for bar in found.bars)
    present = [kind for kind in KINDS if any(bar.kind == kind for bar in found.bars)]
    for kind in present:
        for chunk in range(chunks):
            mine = [bar for bar in found.bars if bar.kind == kind and bar.chunk == chunk]
            corners = [_corners(bar) for bar in mine]
            if corners:
                axes.add_collection(
                    PolyCollection(corners, facecolor=_shade(look, kind, chunk, chunks), edgecolor=look.paper, zorder=3,
                                   linewidth=0.25 if len(found.bars) < 2000 else 0.05, hatch=look.hatch(KINDS.index(kind)))
                )  # fmt: skip
    axes.set(xlim=(0.0, found.end), ylim=(found.ranks - 0.5, -0.5))
    step = max(1, found.ranks // 16)
    axes.set_yticks(range(0, found.ranks, step), range(0, found.ranks, step))
    axes.tick_params(axis="y", length=0)
    patches = [
        Patch(facecolor=look.part(KINDS.index(kind)), hatch=look.hatch(KINDS.index(kind)), edgecolor=look.paper, linewidth=0.3,
              label=_TOLD.get(kind, kind))
        for kind in present
    ]  # fmt: skip
    patches.append(Patch(facecolor=idle, label=f"does not compute, {found.idle:.0%}"))
    if chunks > 1:
        patches.append(Patch(facecolor="none", edgecolor="none", label=f"paler: later of {chunks} chunks of a rank"))
    paper.legend(ax, patches, size, 1 if paper.narrow(ax) else 2)
    axes.get_figure(root=True).draw_without_rendering()
    _number(axes, found, chunks, size)
    paper.set_description(ax, "timeline", found.alt())


def _corners(bar: Bar) -> list[tuple[float, float]]:
    left, right, low, high = bar.start, bar.start + bar.time, bar.rank - 0.42, bar.rank + 0.42
    return [(left, low), (right, low), (right, high), (left, high)]


def _shade(look: style.Style, kind: str, chunk: int, chunks: int) -> str:
    pale = 0.0 if chunks == 1 else 0.6 * chunk / (chunks - 1)
    return style.mixed(look.part(KINDS.index(kind)), look.paper, pale)


def _number(ax: Any, found: Timeline, chunks: int, size: float) -> None:
    """Write the numbers of micro-batches on their bars, if all bars of a kind have room for theirs."""
    box, dpi = ax.get_window_extent(), ax.get_figure(root=True).dpi
    wide, high = box.width / dpi * 72 / found.end, box.height / dpi * 72 / found.ranks * 0.84
    look = style.of(ax)
    for kind in KINDS:
        mine = [bar for bar in found.bars if bar.kind == kind and bar.micro_batch is not None]
        if not mine or min(bar.time for bar in mine) * wide < _ROOM or high < _ROOM or len(mine) > 600:
            continue
        for bar in mine:
            color = _shade(look, kind, bar.chunk, chunks)
            ink = look.over(color)
            back = {"facecolor": color, "edgecolor": "none", "pad": 0.6} if look.hatch(KINDS.index(kind)) else None
            ax.text(bar.start + bar.time / 2, bar.rank, f"{bar.micro_batch}", fontsize=size - 1, color=ink, ha="center",
                    va="center", zorder=5, bbox=back, clip_on=True)  # fmt: skip
