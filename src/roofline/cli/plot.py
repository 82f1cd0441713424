"""``roofline plot``: pictures, made for Makefiles: the same words give the same bytes.

One kind of picture at a time, of a service or, where ``--global-batch`` is given, of a training step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen
from cyclopts import Parameter

import roofline as rl
from roofline import catalog, plots
from roofline.cli.console import drawn, form_of, note, watched, wrote
from roofline.cli.flags import (
    Band,
    Levels,
    ModelName,
    Parts,
    Picture,
    PictureFile,
    PictureKind,
    PictureStyle,
    PictureWidth,
    Sizes,
    Systems,
    Tracked,
    Weak,
)
from roofline.cli.options import (
    DEGREES,
    LIMITS,
    LOAD,
    MACHINE,
    SOFTWARE,
    STEP,
    Degrees,
    Limits,
    Load,
    Machine,
    Options,
    Software,
    Step,
    either,
)
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import without_none
from roofline.operators.assumptions import announced_note
from roofline.planner.estimate import estimate
from roofline.planner.train import train
from roofline.plots.answers import roofed
from roofline.results import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARED: Final = ("roofline", "load", "energy", "frontier", "scaling")
"""Kinds of which several systems fit on one picture."""


@Parameter(name="*")
@frozen
class Drawing(Options):
    """What is drawn of a kind of picture, and how."""

    kind: PictureKind = "roofline"
    style: PictureStyle = "light"
    width: PictureWidth = None
    by: Parts = None
    track: Tracked = None
    levels: Levels = False
    band: Band = False
    sizes: Sizes = None
    weak: Weak = False
    alt: Picture = False

    def words(self) -> dict[str, Any]:
        """Return the words that belong to the kind of picture.

        Raises:
            QuestionError: it takes no such word.
        """
        takes = {"roofline": ("track", "levels", "band"), "breakdown": ("by",)}.get(self.kind, ())
        found = without_none(by=self.by, track=self.track, levels=self.levels or None, band=self.band or None)
        for name in found:
            if name not in takes:
                rule = f"is not a word of --kind {self.kind}"
                raise QuestionError(fault(f"--{name}", found[name], rule, "leave it out"))
        return found


DRAWING: Final = Drawing()


def plot_(
    model: ModelName,
    *,
    system: Systems,
    file: PictureFile,
    drawing: Drawing = DRAWING,
    machine: Machine = MACHINE,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    load: Load = LOAD,
    limits: Limits = LIMITS,
    step: Step = STEP,
) -> None:
    """Plot an estimate as SVG, PDF or PNG: of a service, or with --global-batch of a training step.

    roofline: operations under the roofs of the chip.
    breakdown: where the time of a step goes.
    load: rates and times against concurrency.
    memory: memory use per chip, by layout.
    energy: energy per token and time against the power cap of a chip.
    frontier: the best configurations under limits.
    tornado: what a part that is 10 % better gains.
    scaling: training against chips.
    timeline: a training step on its pipeline.
    """
    form = form_of(file)
    catalog.check_places([file])
    trains, words = either(load, step, also=software)
    kind = drawing.kind
    _check(kind, system, limits, trains=trains)
    words |= limits.words() | machine.words() | degrees.words()
    own = drawing.words()
    own_kinds = {"roofline": _roofed(own), "frontier": _frontier, "scaling": _grown(drawing.sizes, weak=drawing.weak)}
    draw = own_kinds.get(kind, _answered(kind, own))
    sheet = Sheet({"style": drawing.style, "width": drawing.width})
    for each in system:
        draw(model, each, words, sheet)
    for line in [*sheet.lines, *([plots.alt(sheet.axes)] if drawing.alt else ())]:
        note(line)
    wrote((file, lambda: drawn(sheet.axes, form), ""))


def _check(kind: str, systems: list[str], limits: Options, *, trains: bool) -> None:
    """Refuse words that a kind of picture does not take."""
    if kind in ("scaling", "timeline") and not trains:
        raise QuestionError(
            fault("--kind", kind, "is of training", "give the sequences of a step: --global-batch 1024")
        )
    if kind == "load" and trains:
        raise QuestionError(fault("--kind", kind, "is of a service", "leave out --global-batch"))
    for name, value in limits.words().items():
        if trains or kind != "frontier":
            raise QuestionError(fault(f"--{name}", value, "is of the frontier of a service", "leave it out"))
    if len(systems) > 1 and kind not in SHARED:
        raise QuestionError(
            fault("--system", " ".join(systems), f"a {kind} is of one system", "make a picture of each")
        )


@define(eq=False)
class Sheet:
    """A picture that systems are added to: its axes, once there are any, how it looks, and lines that say what was drawn.

    Attributes:
        look: words of the picture's look, by keyword.
        ax: axes that are drawn on; None before the first system.
        lines: lines that say what was drawn.
        roofs: what is drawn under roofs at the end, all systems at once: names find their places among all of them.
    """

    look: dict[str, Any]
    ax: Axes | None = None
    lines: list[str] = field(factory=list)
    roofs: list[plots.Sheet] = field(factory=list)

    @property
    def axes(self) -> Axes:
        """The axes of what was drawn."""
        if self.ax is None and self.roofs:
            self.ax = plots.drawn(*self.roofs, **self.look)
        if self.ax is None:
            raise QuestionError("--system: is missing; give a name (roofline list systems)")
        return self.ax

    def add(self, plot: Callable[..., Axes], lines: Iterable[str], **words: Any) -> None:
        """Draw one system more; the first decides how the sheet looks."""
        look = self.look if self.ax is None else {}
        self.ax = plot(self.ax, **look, **words)
        self.lines += lines


Draw = Callable[[str, str, dict[str, Any], Sheet], None]


def _answered(kind: str, own: dict[str, Any]) -> Draw:
    """Return what draws an answer, and describes it in a line."""

    def draw(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
        est, lines = _asked(model, system, words)
        sheet.add(est.plot, lines, kind=kind, **own)

    return draw


def _roofed(own: dict[str, Any]) -> Draw:
    """Return what adds an answer to those that are drawn under roofs."""

    def draw(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
        est, lines = _asked(model, system, words)
        sheet.roofs.append(roofed(est, "", own))
        sheet.lines += lines

    return draw


def _asked(model: str, system: str, words: dict[str, Any]) -> tuple[Any, list[str]]:
    """Return an answer of serving or training, and lines that describe it."""
    est = train(model, system, **words) if "global_batch" in words else estimate(model, system, **words)
    return est, [labels.headline(est), *(f"  {note}" for note in (*est.reasons, *announced_note(est.system)))]


def _frontier(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
    """Search, draw the frontier, and report how much was tried."""
    with watched("configurations") as progress:
        verb: Any = rl.search_training if "global_batch" in words else rl.search  # loaded for this kind alone
        found = verb(model, system, progress=progress, **words)
    sheet.add(found.plot, [repr(found).strip("<>")])


def _grown(sizes: list[int] | None, *, weak: bool) -> Draw:
    """Return what draws training on more and more chips."""

    def draw(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
        first = words.get("chips") or int(catalog.system(system).chips)
        chips = sizes or [first * n for n in (1, 2, 4, 8)]
        rest = {name: value for name, value in words.items() if name != "chips"}
        found = rl.scaling(model, system, chips, mode="weak" if weak else "strong", **rest)
        sheet.add(found.plot, [repr(found).strip("<>")])

    return draw
