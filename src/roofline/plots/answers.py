"""The pictures of an answer: its numbers are gathered, asked for again where a picture needs more of them, and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from roofline import plots
from roofline.core.errors import QuestionError, fault, near
from roofline.core.text import figure
from roofline.core.units import Ratio
from roofline.hardware.hardware import Tier
from roofline.physics.spans import Span
from roofline.plots import _breakdown as breakdowns
from roofline.plots import _points
from roofline.plots._breakdown import Breakdown
from roofline.plots._load import Load
from roofline.plots._memory import Holding
from roofline.plots._pipeline import Timeline, timeline
from roofline.plots._points import Sheet, Track
from roofline.plots.tornado import BETTER, Tornado, elasticities, tornado
from roofline.workload.layout import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES: Final = ("input", "context", "output", "global_batch", "seq_len")
_LOADS: Final = ("concurrency", "batch")
_POINTS: Final = 40
"""Loads of a curve."""
_PLANS: Final = 10
"""Layouts of a picture at most."""
_SPLITS: Final = (1, 2, 4, 8, 16, 32)


def plot(est: Any, kind: str, ax: Axes | None, label: str, *, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    """Draw an answer about one point.

    Args:
        est: the answer, of serving or training.
        kind: a key of :data:`KINDS`.
        ax: axes to draw on; None for a new figure.
        label: what a legend calls it.
        look: ``style`` and ``width`` of the picture.
        words: what else the kind takes.

    Raises:
        QuestionError: a kind that there is not, or a picture that the answer has no numbers for.
    """
    if kind not in KINDS:
        raise QuestionError(fault("kind", kind, "no such picture", near(str(kind), KINDS, "kinds")))
    wrong = [name for name in words if name not in KINDS[kind][1]]
    if wrong:
        takes = ", ".join(KINDS[kind][1]) or "no words of its own"
        raise QuestionError(fault("word", wrong[0], f"is none that a {kind} takes", f"it takes {takes}"))
    return KINDS[kind][0](est, ax, label, look, words)


def trains(est: Any) -> bool:
    """Return whether an answer is about training."""
    return hasattr(est.question, "global_batch")


def asked(est: Any) -> str:
    """Return what was asked, as the title of a picture."""
    q = est.question
    sizes = ", ".join(
        f"{name.replace('_', ' ')} {figure(float(getattr(q, name)))}" for name in SIZES if hasattr(q, name)
    )
    return f"{q.model.name}, {sizes}{'' if trains(est) else ' tokens'}"


def laid(est: Any) -> str:
    """Return where the model lies, as a legend calls it."""
    soon = " (announced)" if est.system.package.announced else ""
    load = f", {float(est.chips):,.0f} chips" if trains(est) else f", {figure(float(est.concurrency))} sequences"
    short = est.layout.short() if not trains(est) else f"{est.layout.short()} {est.layout.schedule}"
    return f"{est.system.name}{soon}: {short}, {est.question.model.dtype}{load}{'' if est.fits else ' (DOES NOT FIT)'}"


# The numbers ---------------------------------------------------------------------------------------------------------


def sheet(
    est: Any, label: str = "", *, levels: bool = False, band: bool = False, tracks: Sequence[Track] = ()
) -> Sheet:
    """Return the roofs and points of an answer; ``levels`` for those of its cache and of every tier too."""
    system = est.system
    tier: Sequence[Tier] | Tier | None = system.tiers if levels else _points.spanned(system, float(est.layout.stage))
    label, title = label or laid(est), asked(est)
    if not trains(est):
        found = _points.sheet(system, est.steps[:2], tier, label, title, cache=levels)
        return evolve(found, band=band, tracks=tuple(tracks))
    batches, whole = est.whole.parts[0], float(est.whole.time)
    marks = []
    for part in batches.parts:
        own = Span(part.name, part.time * batches.times, batches.times, (part,))
        found_ = (evolve(p, share=p.share * float(own.time) / whole) for p in _points.points(own, system))
        marks += [p for p in found_ if p.share >= _points.LEAST_SHARE]
    marks += [p for p in _points.points(est.whole, system, tier) if p.network]
    found = _points.sheet(system, (est.whole,), tier, label, title, cache=levels)
    return evolve(found, points=tuple(marks), band=band, tracks=tuple(tracks))


def track(est: Any, operation: str, along: str = "", values: Sequence[float] | NDArray[np.float64] = ()) -> Track:
    """Return the way of an operation over the roofline as a size of the question grows.

    Args:
        est: an answer about one point.
        operation: its name, as ``why()`` names it.
        along: the size: ``concurrency``, ``batch``, ``context``, ``input``, ``micro_batch`` or ``seq_len``; by default the load.
        values: of the size; by default doublings up to eight times what was asked.

    Raises:
        QuestionError: no such size or operation.
    """
    q = est.question
    known = [name for name in (*_LOADS, "context", "input", "micro_batch", "seq_len") if hasattr(q, name)]
    along = along or known[0]
    if along not in known:
        raise QuestionError(fault("along", along, "is no size of the question", near(along, known, "sizes")))
    now = float(est.concurrency if along in _LOADS else getattr(q, along))
    asked_for = np.asarray(values, dtype=np.float64) if len(values) else now * 2.0 ** np.arange(-6, 4)
    grown: NDArray[np.float64] = np.unique(np.maximum(np.ceil(asked_for), 1.0))
    change: Any = {along: grown} | ({"rate": None} if along == "concurrency" else {})
    again = est.again(evolve(q, **change), est.system, est.layout, est.calibration)
    steps = list(again.steps if trains(est) else reversed(again.steps[:2]))
    for step in steps:
        if any(work is not None and work.label == operation for work, _, _ in step.leaves()):
            return _points.track(step, operation, along, grown)
    return _points.track(steps[0], operation, along, grown)


def breakdown(est: Any, by: str = "operation") -> Breakdown:
    """Return where the time of the steps goes: by ``operation``, by ``bound``, or by ``phase`` of a step of training.

    Raises:
        QuestionError: none of them.
    """
    known = ("operation", "bound", *(("phase",) if trains(est) else ()))
    if by not in known:
        raise QuestionError(fault("by", by, "is no way to part a step", near(by, known, "ways")))
    steps = (est.whole,) if trains(est) or len(est.steps) == 1 else est.steps[:2]
    title = f"{asked(est)}\n{laid(est)}"
    if by == "phase":
        return Breakdown(title, by, (breakdowns.parts("step", est.phases),))
    if by == "bound":
        return Breakdown(title, by, tuple(breakdowns.parts(step.name, step.busy()) for step in steps))
    return Breakdown(title, by, tuple(breakdowns.operations(step, 16 if len(steps) == 1 else 8) for step in steps))


def load(est: Any, label: str = "", loads: Sequence[float] | NDArray[np.float64] = ()) -> Load:
    """Return what a service gives at each of some loads, in the layout that it has.

    Args:
        est: an answer about a service, or about a decode step.
        label: what the legend calls it.
        loads: requests in flight; by default 40 from one a replica to twice what fits into the caches.

    Raises:
        QuestionError: of a question without a load.
    """
    name = next((each for each in _LOADS if hasattr(est.question, each)), "")
    if not name or est.tpot is None:
        raise QuestionError(
            fault("kind", "load", "this answer has no load to change", "ask of a service or a decode step")
        )
    most = float(est.max_concurrency)
    grown = np.asarray(loads, dtype=np.float64)
    if not grown.size:
        least = float(est.layout.replicas * est.layout.dp)
        grown = np.unique(np.rint(np.geomspace(least, max(2 * most, 4 * least), _POINTS)))
    change: Any = {name: grown} | ({"rate": None} if name == "concurrency" else {})
    again = est.again(evolve(est.question, **change), est.system, est.layout, est.calibration)

    def along(value: Any) -> NDArray[np.float64] | None:
        return None if value is None else np.broadcast_to(np.asarray(value, dtype=np.float64), grown.shape)

    pair = again.interval("tokens_per_second_per_chip")
    within = None if pair is None else (along(pair[0]), along(pair[1]))
    rate: Any = along(again.tokens_per_second_per_chip)
    sure: Any = within
    chunk = getattr(est.question, "chunk", None)
    said = "" if chunk is None else f", chunk {float(chunk):,.0f}"
    label = label or f"{est.system.name}: {est.layout.short()}, {est.question.model.dtype}{said}"
    return Load(label, asked(est), grown, rate, sure, along(again.tpot), along(again.ttft), most)


def memory(est: Any, layouts: Sequence[Layout] = ()) -> Holding:
    """Return what a chip holds under each of some layouts, that of the answer among them.

    Args:
        est: an answer about one point.
        layouts: by default those of as many ranks with other degrees of ``tp`` and ``pp``; for training, other shardings too.

    Raises:
        QuestionError: no layout can be laid out.
    """
    tried: dict[str, Any] = {}
    for layout in (est.layout, *(layouts or _others(est))):
        name = f"{layout.short()}{f' {layout.sharding}' if trains(est) else ''}"
        if name not in tried and len(tried) < _PLANS:
            again = est if layout is est.layout else est.again(est.question, est.system, layout, est.calibration)
            if again.divides or layout is est.layout:
                tried[name] = again
    kinds = tuple(
        name
        for name in ("weights", "gradients", "optimizer", "kv_cache", "activations", "runtime")
        if hasattr(est.memory, name)
    )
    order = sorted(tried, key=lambda name: tuple(float(getattr(tried[name].layout, key)) for key in ("pp", "tp", "dp")))
    title = f"{asked(est)}\n{est.system.name}, {float(est.chips):,.0f} chips: memory of a rank"
    own = next(iter(tried))
    return Holding(
        title, tuple(order), order.index(own),
        {name: np.array([float(getattr(tried[plan].memory, name)) for plan in order]) for name in kinds}, float(est.capacity),
    )  # fmt: skip


def _others(est: Any) -> list[Layout]:
    """Return layouts of as many ranks, near that of the answer."""
    own = est.layout
    out = []
    for degree in () if trains(est) else _SPLITS:
        dp = float(own.dp * own.replicas / degree)
        if dp.is_integer():
            out.append(
                evolve(own, replicas=float(degree), dp=dp, ep=float(own.tp * dp) if est.question.model.experts else 1.0)
            )
    for name in ("tp", "pp"):
        for degree in _SPLITS:
            dp = float(own.dp * getattr(own, name) / degree)
            if dp.is_integer() and dp >= 1:
                change: Any = {name: float(degree), "dp": dp, "vpp": 1.0}
                shards = float((degree if name == "tp" else own.tp) * own.cp * dp)
                change["ep"] = (
                    float(own.ep) if shards % float(own.ep) == 0 else shards if est.question.model.experts else 1.0
                )
                out.append(evolve(own, **change))
    if trains(est):
        out = [*(evolve(own, sharding=each) for each in ("none", "zero1", "zero2", "zero3")), *out]
    return out


def pipeline(est: Any) -> Timeline:
    """Return a step of training on its pipeline, rank by rank.

    Raises:
        QuestionError: of an answer about serving, or a pipeline of one rank.
    """
    if not trains(est):
        raise QuestionError(fault("kind", "timeline", "is of a step of training", "ask with global_batch"))
    return timeline(est.timeline(), f"{asked(est)}\n{laid(est)}")


def better(est: Any, quantity: str = "tokens_per_second", by: Ratio = BETTER) -> Tornado:
    """Return what each part of the machine buys when it is better; see :func:`roofline.plots.tornado.elasticities`."""
    title = f"{asked(est)}\n{laid(est)}"
    return tornado(elasticities(est, quantity), title, quantity.replace("_", " "), by)


# The pictures --------------------------------------------------------------------------------------------------------


def _roofline(est: Any, ax: Axes | None, label: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    track_ = words.pop("track", None)
    names = [] if track_ is None else [track_] if isinstance(track_, str) else list(track_)
    grown = {name: words.pop(name) for name in ("along", "values") if name in words}
    return plots.drawn(sheet(est, label, tracks=[track(est, name, **grown) for name in names], **words), ax=ax, **look)


def _breakdown(est: Any, ax: Axes | None, _: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.breakdown(breakdown(est, **words), ax=ax, **look)


def _load(est: Any, ax: Axes | None, label: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.load(load(est, label, **words), ax=ax, **look)


def _memory(est: Any, ax: Axes | None, _: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.memory(memory(est, **words), ax=ax, **look)


def _pipeline(est: Any, ax: Axes | None, _: str, look: dict[str, Any], __: dict[str, Any]) -> Axes:
    return plots.pipeline(pipeline(est), ax=ax, **look)


def _better(est: Any, ax: Axes | None, _: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.better(better(est, **words), ax=ax, **look)


Drawer = Callable[[Any, "Axes | None", str, dict[str, Any], dict[str, Any]], "Axes"]

KINDS: Final[dict[str, tuple[Drawer, tuple[str, ...]]]] = {
    "roofline": (_roofline, ("levels", "band", "track", "along", "values")),
    "breakdown": (_breakdown, ("by",)),
    "load": (_load, ("loads",)),
    "memory": (_memory, ("layouts",)),
    "timeline": (_pipeline, ()),
    "tornado": (_better, ("quantity", "by")),
}
"""Pictures of an answer: what draws each, and the words it takes."""
