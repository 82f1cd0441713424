"""Plots of an answer: gathers the numbers (estimating more points where needed) and draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from roofline import plots
from roofline.core.errors import QuestionError, fault, near
from roofline.core.text import figure
from roofline.core.units import BYTE, SECOND, Ratio, show
from roofline.hardware.hardware import Tier
from roofline.inference.service import chunk_of
from roofline.physics.spans import Span
from roofline.planner.capping import capped, lowest
from roofline.plots import _breakdown as breakdowns
from roofline.plots import _points
from roofline.plots._breakdown import Bar, Breakdown
from roofline.plots._energy import Capped
from roofline.plots._load import Load
from roofline.plots._memory import Holding
from roofline.plots._pipeline import Timeline, timeline
from roofline.plots._points import Sheet, Track
from roofline.plots.tornado import BETTER, Tornado, elasticities, tornado
from roofline.results.labels import MEMORY_PARTS, machine
from roofline.workload.layout import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES: Final = ("input", "context", "output", "global_batch", "seq_len")
_LOADS: Final = ("concurrency", "batch")
_POINTS: Final = 40
"""Loads of a curve."""
_ABOVE: Final = 1.001
"""Factor by which the lowest power cap is above what the chip draws at its lowest clock."""
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


def question_title(est: Any) -> str:
    """Return what was asked, as the title of a picture."""
    q = est.question
    sizes = ", ".join(
        f"{name.replace('_', ' ')} {figure(float(getattr(q, name)))}" for name in SIZES if hasattr(q, name)
    )
    return f"{q.model.name}, {sizes}{'' if trains(est) else ' tokens'}"


def titled(est: Any, finding: str, *, laid_out: bool = True) -> str:
    """Return the title of a picture: what it shows, then what was asked on which machine, and how it is laid out."""
    lines = [finding, f"{question_title(est)} on {machine(est.system)}", *([layout_label(est)] if laid_out else [])]
    return "\n".join(lines)


def bounds(est: Any) -> str:
    """Return what bounds most of the time of an answer, as a finding."""
    name = est.bound
    return f"{name} bounds {float(est.bounds[name]):.0%} of the time"


def layout_label(est: Any) -> str:
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
    label, title = label or layout_label(est), f"{bounds(est)} on {machine(est.system)}\n{question_title(est)}"
    if trains(est):
        batches, whole = est.whole.parts[0], float(est.whole.time)
        own = [Span(part.name, part.time * batches.times, batches.times, (part,)) for part in batches.parts]
    else:
        own = [run for run, _ in running(est)]
        whole = sum(float(run.time) for run in own)
    marks = []
    for run in own:
        mine = _points.points(run, system, None if trains(est) else tier)
        found_ = (evolve(p, share=p.share * float(run.time) / whole) for p in mine)
        marks += [p for p in found_ if p.share >= _points.LEAST_SHARE]
    if trains(est):
        marks += [p for p in _points.points(est.whole, system, tier) if p.network]
    found = _points.sheet(system, (est.whole,) if trains(est) else own, tier, label, title, cache=levels)
    whole_of = "step's" if trains(est) or len(est.steps) == 1 else "request's"
    return evolve(found, points=tuple(marks), band=band, tracks=tuple(tracks), whole=whole_of)


def running(est: Any) -> tuple[tuple[Span, float], ...]:
    """Return the steps that run while a service answers, each with all the time that a request sees of it, and how often.

    These add up to the headline: a step with a prefill chunk in it, and where there are any, steps that only decode. Of a single
    pass it is the pass.
    """
    if len(est.steps) == 1 or not np.isfinite(float(est.whole.time)):
        return tuple((span, 1.0) for span in est.steps[:1] or ())
    often: dict[str, float] = {}
    for part in est.whole.parts:
        for inner in part.parts:
            if inner.name in (est.steps[1].name, est.steps[2].name):
                often[inner.name] = often.get(inner.name, 0.0) + float(inner.times)
    units = {span.name: span for span in est.steps[1:3]}
    found = [(name, n) for name, n in often.items() if n > 0]
    return tuple((Span(name, units[name].time * n, n, (units[name],)), n) for name, n in found)


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
            return _whole_chip(_points.track(step, operation, along, grown), est.system)
    return _whole_chip(_points.track(steps[0], operation, along, grown), est.system)


def _whole_chip(found: Track, system: Any) -> Track:
    return evolve(found, rate=found.rate * float(system.ranks_per_chip))


def breakdown(est: Any, by: str = "operation") -> Breakdown:
    """Return where the time of the steps goes: by ``operation``, by ``bound``, or by ``phase``.

    Of a service these are the times of its headline: one output token (TPOT) is a decode step and what prefill chunks of other
    requests in the same steps add; the first token (TTFT) is its prefill chunks, waiting, and the front end.

    Raises:
        QuestionError: none of them.
    """
    known = ("operation", "bound", *(("phase",) if trains(est) or len(est.steps) > 1 else ()))
    if by not in known:
        raise QuestionError(fault("by", by, "is no way to part a step", near(by, known, "ways")))
    bars = _bars(est, by)
    most = max(bars[0].parts, key=lambda part: (not part.rest, part.time))
    what = {"bound": f"bound by {most.name}"}.get(by, f"{most.name}")
    title = titled(est, f"{bars[0].name}: {bars[0].long}, {most.share:.0%} of it {what}")
    return Breakdown(title, by, bars)


def _bars(est: Any, by: str) -> tuple[Bar, ...]:
    """Return the bars of a breakdown: the step of training or the single pass; of a service an output token and the first one."""
    if trains(est) or len(est.steps) == 1:
        step = evolve(est.whole, name="one step" if trains(est) else est.whole.name)
        if by == "phase":
            return (breakdowns.parts("one step", est.phases),)
        return (breakdowns.parts(step.name, step.busy()) if by == "bound" else breakdowns.operations(step, 16),)
    opening, emitting = est.within["ttft"][0], est.within["tpot"][0]
    steps = max(float(est.question.output) - 1, 1.0)
    bars = []
    if np.isfinite(float(emitting.time)) and float(emitting.time) > 0:
        bars.append(_token(est, emitting, steps, by))
    if np.isfinite(float(opening.time)):
        bars.append(_first(est, opening, by))
    return tuple(bars) or (breakdowns.operations(est.steps[0], 16),)


def _token(est: Any, emitting: Span, steps: float, by: str) -> Bar:
    """Return the bar of one output token: TPOT, the mean over all steps between the first token and the last."""
    name, time = "one output token (TPOT)", float(emitting.time) / steps
    plain = est.steps[1]
    often = sum(float(part.times) for part in emitting.parts)
    alone = float(plain.time) * often / steps
    if by == "phase":
        return breakdowns.parts(
            name, {"decode": min(alone, time), "prefill chunks of other requests": max(time - alone, 0.0)}
        )
    if by == "bound":
        return breakdowns.parts(name, {key: float(value) / steps for key, value in emitting.busy().items()})
    return breakdowns.operations(evolve(emitting, name=name, time=time, times=1 / steps), 10, (plain, often / steps))


def _first(est: Any, opening: Span, by: str) -> Bar:
    """Return the bar of the first token: TTFT, with what waits for a place and the server's own time apart."""
    name, whole = "first token (TTFT)", float(opening.time)
    chunks, *others = opening.parts
    front = sum(float(part.time) for part in others if part.cost is not None)
    queue = sum(float(part.time) for part in others if part.cost is None)
    if by == "phase":
        # A prompt's own chunks; what is more than these waits for the chunks of others, or for the step in progress.
        own = min(float(est.steps[2].time) * _chunks(est), float(chunks.time))
        return breakdowns.parts(
            name,
            {
                "prefill chunks": own,
                "waits for steps in progress": float(chunks.time) - own,
                "queue: no place is free": queue,
                "front end": front,
            },
        )
    if by == "bound":
        return breakdowns.parts(name, opening.busy() | {"latency": float(opening.busy()["latency"])})
    inner = breakdowns.operations(evolve(chunks, name=name), 8)
    parts = [evolve(part, share=part.time / whole) for part in inner.parts]
    for title, time in (("queue", queue), ("front end", front)):
        if time > 0:
            parts.append(breakdowns.Part(title, time, time / whole, "latency"))
    return breakdowns.Bar(name, whole, tuple(sorted(parts, key=lambda part: (part.rest, -part.time))))


def _chunks(est: Any) -> float:
    """Return how many chunks a prompt of the mean length is cut into."""
    q = est.question
    read = float(q.input - q.cached)
    return max(1.0, read / float(chunk_of(q, est.layout, est.calibration.engine)))


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
    chunk_text = "" if chunk is None else f", chunk {float(chunk):,.0f}"
    label = label or f"{est.system.name}: {est.layout.short()}, {est.question.model.dtype}{chunk_text}"
    i = int(np.nanargmax(rate))
    enough = float(grown[np.flatnonzero(rate >= 0.99 * rate[i])[0]])
    title = f"{machine(est.system)}: at most {figure(float(rate[i]), 3)} tokens/s per chip, from concurrency {enough:,.0f}\n{question_title(est)}"
    return Load(label, title, grown, rate, sure, along(again.tpot), along(again.ttft), most)


def energy(est: Any, label: str = "", caps: Sequence[float] | NDArray[np.float64] = ()) -> Capped:
    """Return energy per token and time under power caps of a chip.

    Args:
        est: an answer about one point, of serving or training.
        label: what a legend calls it.
        caps: watts; by default from the lowest that the chip can hold to its rated power.

    Raises:
        QuestionError: no rated power of the chip is known, or an answer without energy per token.
    """
    if est.joules_per_token is None or not np.isfinite(float(est.joules_per_token)):
        raise QuestionError(
            fault("plot", "energy", "the answer has no energy per token", "ask for a service, or a step")
        )
    low, rated = (float(each) for each in lowest(est))
    asked_for = np.unique(caps) if len(caps) else np.linspace(min(low * _ABOVE, rated), rated, _POINTS)
    under = capped(est, np.asarray(asked_for, dtype=np.float64))
    time, timed = (under.step_time, "a step") if trains(est) else (under.tpot, "TPOT")
    joules = np.broadcast_to(under.joules_per_token, asked_for.shape)
    pair = under.interval("joules_per_token")
    within = None if pair is None else (np.broadcast_to(pair[0], joules.shape), np.broadcast_to(pair[1], joules.shape))
    what = f"{question_title(est)} on {machine(est.system)}"
    chip = est.system.package.title or est.system.package.name
    return Capped(
        label or layout_label(est), chip, what, asked_for, joules, within, np.broadcast_to(time, joules.shape), timed
    )


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
    used, capacity = show(float(est.memory.total), BYTE, 3), show(float(est.capacity), BYTE, 3)
    finding = f"{used} of {capacity} per {'die' if est.system.ranks_per_chip > 1 else 'chip'}" + (
        "" if est.fits else ": DOES NOT FIT"
    )
    title = titled(est, f"{finding}, and under other layouts of {float(est.chips):,.0f} chips", laid_out=False)
    own = next(iter(tried))
    return Holding(
        title, tuple(order), order.index(own),
        {MEMORY_PARTS.get(name, name): np.array([float(getattr(tried[plan].memory, name)) for plan in order]) for name in kinds}, float(est.capacity),
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
    found = timeline(est.timeline(), "")
    text = (
        f"a step of {show(float(est.step_time), SECOND, 3)}, in which ranks do not compute {found.idle:.0%} of the time"
    )
    return evolve(found, title=titled(est, text))


def better(est: Any, quantity: str = "tokens_per_second", by: Ratio = BETTER) -> Tornado:
    """Return what each part of the machine buys when it is better; see :func:`roofline.plots.tornado.elasticities`."""
    return tornado(elasticities(est, quantity), titled(est, "").strip(), quantity.replace("_", " "), by)


# The pictures --------------------------------------------------------------------------------------------------------


def roofed(est: Any, label: str, words: dict[str, Any]) -> Sheet:
    """Return an answer under the roofs of its chip, by the words that a ``roofline`` takes."""
    track_ = words.get("track")
    names = [] if track_ is None else [track_] if isinstance(track_, str) else list(track_)
    grown = {name: words[name] for name in ("along", "values") if name in words}
    own = {name: words[name] for name in ("levels", "band") if name in words}
    return sheet(est, label, tracks=[track(est, name, **grown) for name in names], **own)


def _roofline(est: Any, ax: Axes | None, label: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.drawn(roofed(est, label, words), ax=ax, **look)


def _breakdown(est: Any, ax: Axes | None, _: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.breakdown(breakdown(est, **words), ax=ax, **look)


def _load(est: Any, ax: Axes | None, label: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.load(load(est, label, **words), ax=ax, **look)


def _energy(est: Any, ax: Axes | None, label: str, look: dict[str, Any], words: dict[str, Any]) -> Axes:
    return plots.energy(energy(est, label, **words), ax=ax, **look)


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
    "energy": (_energy, ("caps",)),
    "memory": (_memory, ("layouts",)),
    "timeline": (_pipeline, ()),
    "tornado": (_better, ("quantity", "by")),
}
"""Pictures of an answer: what draws each, and the words it takes."""
