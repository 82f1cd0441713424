"""The command that draws, ``roofline plot``, made for Makefiles: the same words give the same bytes.

One kind of picture at a time, of a service or, where ``--global-batch`` is given, of a step of training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import define, field

from roofline import catalog, plots
from roofline.cli.console import drawn, form_of, watched
from roofline.cli.flags import (
    Accepted,
    Band,
    Chips,
    Chunk,
    Concurrency,
    Degree,
    Drafts,
    Dtype,
    Engine,
    Input,
    KvDtype,
    Level,
    Levels,
    ModelName,
    Output,
    Parts,
    Picture,
    PictureFile,
    PictureKind,
    PictureStyle,
    PictureSystems,
    PictureWidth,
    Rate,
    Sizes,
    Tpot,
    Tracked,
    Ttft,
    Weak,
)
from roofline.cli.options import STEP, StepOptions
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import given
from roofline.planner.estimate import estimate
from roofline.planner.search import search, search_training
from roofline.planner.train import train
from roofline.results import labels
from roofline.studies.scaling import scaling

SHARED: Final = ("roofline", "load", "frontier", "scaling")
"""Kinds of which several systems fit on one sheet."""
_LIMITS: Final = ("tpot", "ttft")


def plot_(
    model: ModelName,
    /,
    *,
    system: PictureSystems,
    file: PictureFile,
    kind: PictureKind = "roofline",
    style: PictureStyle = "light",
    width: PictureWidth = None,
    by: Parts = None,
    track: Tracked = None,
    levels: Levels = False,
    band: Band = False,
    sizes: Sizes = None,
    weak: Weak = False,
    alt: Picture = False,
    chips: Chips = None,
    input: Input | None = None,
    output: Output | None = None,
    concurrency: Concurrency = None,
    rate: Rate = None,
    tpot: Tpot = None,
    ttft: Ttft | None = None,
    tp: Degree = None,
    pp: Degree = None,
    dp: Degree = None,
    ep: Degree = None,
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts | None = None,
    accept_length: Accepted = None,
    chunk: Chunk = None,
    engine: Engine = None,
    step: StepOptions = STEP,
    level: Level = "calibrated",
) -> None:
    """Draw an answer as SVG, PDF or PNG: of a service, or with --global-batch of a step of training.

    roofline: operations under the roofs of the chip.
    breakdown: where the time of a step goes.
    load: rates and times against requests in flight.
    memory: what a chip holds, by layout.
    frontier: what could be had under limits.
    tornado: what a part that is 10 % better buys.
    scaling: training against chips.
    timeline: a step of training on its pipeline.
    """
    form = form_of(file)
    shape = {"chips": chips, "tp": tp, "pp": pp, "dp": dp, "ep": ep, "dtype": dtype}
    serving = given(
        input=input, output=output, concurrency=concurrency, rate=rate, kv_dtype=kv_dtype, draft_tokens=draft_tokens,
        accept_length=accept_length, chunk=chunk, engine=engine, tpot=tpot, ttft=ttft,
    )  # fmt: skip
    training = given(**step.words())
    words = _asked(kind, serving, training) | given(**shape) | {"level": level}
    own = _own(kind, by=by, track=track, levels=levels or None, band=band or None)
    if len(system) > 1 and kind not in SHARED:
        raise QuestionError(fault("--system", " ".join(system), f"a {kind} is of one system", "make a picture of each"))
    draw = {"frontier": _frontier, "scaling": _grown(sizes, weak=weak)}.get(kind, _answered(kind, own))
    sheet = Sheet({"style": style, "width": width})
    for each in system:
        draw(model, each, words, sheet)
    catalog.write(file, drawn(sheet.ax, form))
    told = [*sheet.told, *([plots.alt(sheet.ax)] if alt else ())]
    print(*told, f"wrote {file}", sep="\n", file=sys.stderr)


def _asked(kind: str, serving: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words of the question, and refuse those of the other one."""
    trains = "global_batch" in training
    wrong = list(serving if trains else training)
    if kind in ("scaling", "timeline") and not trains:
        raise QuestionError(
            fault("--kind", kind, "is of training", "give the sequences of a step: --global-batch 1024")
        )
    if kind == "load" and trains:
        raise QuestionError(fault("--kind", kind, "is of a service", "leave out --global-batch"))
    wrong += [name for name in _LIMITS if name in serving and kind != "frontier" and not trains]
    if wrong:
        of = "a service" if trains else "a frontier" if wrong[0] in _LIMITS else "training: give --global-batch too"
        raise QuestionError(
            fault(f"--{wrong[0].replace('_', '-')}", (dict(serving) | dict(training))[wrong[0]], f"is of {of}")
        )
    return dict(training if trains else serving)


def _own(kind: str, **words: Any) -> dict[str, Any]:
    """Return the words that a kind of picture takes of its own.

    Raises:
        QuestionError: it takes no such word.
    """
    takes = {"roofline": ("track", "levels", "band"), "breakdown": ("by",)}.get(kind, ())
    found = given(**words)
    for name in found:
        if name not in takes:
            raise QuestionError(fault(f"--{name}", found[name], f"is no word of a {kind}", "leave it out"))
    return found


@define(eq=False)
class Sheet:
    """A picture that systems are added to: its axes, once there are any, how it looks, and what was drawn, in lines."""

    look: dict[str, Any]
    ax: Any = None
    told: list[str] = field(factory=list)

    def add(self, plot: Callable[..., Any], told: Iterable[str], *of: Any, **words: Any) -> None:
        """Draw one system more; the first decides how the sheet looks."""
        look = self.look if self.ax is None else {}
        self.ax = plot(self.ax, *of, **look, **words)
        self.told += told


Draw = Callable[[str, str, dict[str, Any], Sheet], None]


def _answered(kind: str, own: dict[str, Any]) -> Draw:
    """Return what draws an answer, and tells it in a line."""

    def draw(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
        trains = "global_batch" in words
        est: Any = train(model, system, **words) if trains else estimate(model, system, **words)
        notes = [f"  {note}" for note in (*est.reasons, *est.assumptions) if note in est.reasons or "announced" in note]
        sheet.add(est.plot, [labels.headline(est), *notes], kind=kind, **own)

    return draw


def _frontier(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
    """Search, draw what could be had, and tell how much was tried."""
    with watched("plans") as progress:
        search_: Any = search_training if "global_batch" in words else search
        found = search_(model, system, progress=progress, **words)
    sheet.add(found.plot, [repr(found).strip("<>")])


def _grown(sizes: list[int] | None, *, weak: bool) -> Draw:
    """Return what draws training on more and more chips."""

    def draw(model: str, system: str, words: dict[str, Any], sheet: Sheet) -> None:
        first = words.get("chips") or int(catalog.system(system).chips)
        chips = sizes or [first * n for n in (1, 2, 4, 8)]
        rest = {name: value for name, value in words.items() if name != "chips"}
        found = scaling(model, system, chips, mode="weak" if weak else "strong", **rest)
        sheet.add(found.plot, [repr(found).strip("<>")])

    return draw
