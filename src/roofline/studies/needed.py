"""``needed``: the value of a number at which an answer meets targets.

Nothing is inverted by hand. A number is laid along an axis and estimated once; where the targets begin or cease to be kept the axis
is laid again between its two neighbours, until these are the same to nine digits, or two whole numbers in a row. Where the layout of
the answer was chosen, it is chosen again: a value will do if any layout meets the targets with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.signatures import typed
from roofline.core.text import figure
from roofline.core.units import GIGA, HERTZ, MEBI, MILLI, MILLION, ONE, Num, Unit, show
from roofline.core.values import Record
from roofline.hardware.numbers import SHORT, number_of, unit_of, with_number
from roofline.planner.candidates import PATIENCE
from roofline.planner.evaluation import one_block
from roofline.planner.limits import limits_on
from roofline.planner.metrics import METRICS, bounded, measure, metric, quantity, shortfall
from roofline.planner.training_candidates import domain
from roofline.results.answer import LayoutAnswer
from roofline.results.estimate import Estimate
from roofline.results.limits import TIMES
from roofline.results.notebook import Displayed
from roofline.results.training import Training
from roofline.workload.questions import Serve, TrainStep

_GRID: Final = 241
_INSIDE: Final = 33
_NEAR: Final = 1 / GIGA
WIDE: Final = 1 / MILLI
"""How many times more, or less, of a number is tried."""
LONGEST: Final = 16.0 * MEBI
"""The largest size that is tried: tokens, sequences."""
SIZES: Final = ("batch", "context", "input", "output", "concurrency", "rate", "global_batch", "seq_len")
_RATES: Final = ("tokens_per_second", "prompt_tokens_per_second", "requests_per_second")

Axis = NDArray[np.float64]


@frozen(eq=False, repr=False)
class Needed(Displayed):
    """The values of a number at which a configuration fits and meets its targets.

    Attributes:
        name: of the number.
        now: what it is.
        unit: of ``now``, ``low`` and ``high``.
        low: the least that will do; None where nothing that was tried is too little, or no value does.
        high: the most that will do; None where nothing that was tried is too much, or no value does.
        exists: whether any value does.
        targets: limits by metric.
        est: the answer at the end that was asked for: ``low`` if there is one, else ``high``; where none exists, that which comes
            nearest to the targets.
        why: in a sentence.
    """

    name: str
    now: float
    unit: Unit
    low: float | None
    high: float | None
    exists: bool
    targets: Mapping[str, float]
    est: Estimate | Training
    why: str

    def __repr__(self) -> str:
        return f"<Needed: {self.why}>"

    def __str__(self) -> str:
        return self.why

    @property
    def value(self) -> float | None:
        """The least that will do, or the most where less will do too; None where none does, or any."""
        return self.high if self.low is None else self.low

    def to_dict(self) -> Record:
        """Return it under names of the machine-readable form."""
        return {
            "number": self.name, "unit": str(self.unit), "now": self.now, "exists": self.exists, "low": self.low, "high": self.high,
            "targets": dict(self.targets), "why": self.why,
        }  # fmt: skip


@typed
def needed(est: Estimate | Training, name: str, **targets: float | str) -> Needed:
    """Return the value of a number at which an answer meets targets, all else equal.

    Args:
        est: an answer for one point: an :class:`Estimate` or a :class:`Training`.
        name: a number of the hardware (:mod:`roofline.hardware.numbers`), such as ``bandwidth``, ``links`` or ``system.tier[0].size``; a size
            of the question, such as ``batch``, ``context``, ``concurrency`` or ``rate``; or ``chips``, under a load that grows with them
            where a target is a rate of the whole.

            If the layout of ``est`` was chosen with no degree given, every value is tried under every layout (of training for
            ``chips`` only); numbers of chips are parts of a scale-up domain, or whole domains. Otherwise the layout stays:
            ``chips`` are then replicas of it, or data-parallel ranks in training.
        targets: limits on any metric, as numbers or text, such as ``tpot="20ms"``, or ``ttft="p99<2s"`` at a percentile, in closed form;
            with none, that the configuration fits. A service whose
            layout is chosen also keeps TTFT below 10 s, where any layout does and no other limit on it is given.

    Returns:
        The least or the greatest value that meets the targets in SI units, and the answer there; or why none does.

    Raises:
        UnknownNameError: no such number, or metric. QuestionError: an answer over many points.

    >>> from roofline.planner.estimate import estimate
    >>> from roofline.workload.layout import Layout
    >>> from roofline.workload.questions import Decode
    >>> est = estimate(Decode("llama-3.1-70b", 64, 4096), "dgx-h100", Layout(tp=8))
    >>> found = needed(est, "bandwidth", tpot="12ms")
    >>> round(found.value / 1e12, 1), bool(found.est.tpot <= 0.012)  # TB/s; it has 3.35
    (6.4, True)
    >>> print(needed(est, "bandwidth", tpot="1ms"))
    bandwidth: no value meets it; even 1,000 times as much leaves TPOT at 7.984 ms, above 1 ms: bound by latency
    """
    if est.shape:
        raise QuestionError(fault("shape", est.shape, "is of one point only", "pick one with .at(index)"))
    limits = {name: most for target, value in targets.items() for name, most in _limits(target, value)}
    for target in limits:
        if measure(est, target) is None:
            raise QuestionError(fault("target", target, "has no meaning here", f"known: {', '.join(_meant(est))}"))
        if target not in METRICS and est.candidates is not None and name != "chips":
            rule = "is at a percentile, which is not computed for every layout at every value"
            raise QuestionError(fault("target", target, rule, "estimate with a layout, or a degree such as tp"))
    line = _line(est, name, limits)
    ok = line.meets(limits, line.axis)
    if (
        isinstance(est.question, Serve)
        and est.candidates is not None
        and limits
        and not any(n.startswith("ttft") for n in limits)
    ):
        # Layouts that are chosen do not let requests wait for ever where others will do: see roofline.planner.candidates.choose.
        patient = {**limits, "ttft": PATIENCE}
        soon = line.meets(patient, line.axis)
        limits, ok = (patient, soon) if soon.any() else (limits, ok)
    if not ok.any():
        return _none(est, line, limits)
    first, last = _run(ok, line.axis, line.now)
    low = None if first == 0 else _edge(line, limits, line.axis[first - 1], line.axis[first])
    high = None if last == ok.size - 1 else _edge(line, limits, line.axis[last + 1], line.axis[last])
    end = low if low is not None else high
    if line.name == "chips" and end is None:
        low = end = float(line.axis[0])
    answer = est if end is None else line.at(limits, end)
    more = " (other values meet it too)" if ok.sum() > last - first + 1 else ""
    why = _said(line, low, high, limits, answer) + more
    return Needed(name, line.now, line.unit, low, high, exists=True, targets=limits, est=answer, why=why)


def _limits(target: str, value: float | str) -> list[tuple[str, float]]:
    """Return the limits that a target sets, by metric: several where a time is limited at percentiles."""
    if target in TIMES and isinstance(value, str) and "<" in value:
        return [(each.name, each.most) for each in limits_on(target, value)]
    return [(target, bounded(target, value))]


def _meant(est: Any) -> list[str]:
    return [name for name in METRICS if measure(est, name) is not None]


Plans = Sequence[tuple[LayoutAnswer[Any, Any], Mask]]
"""Answers over the points of an axis, with layouts on axes after it, and where these are layouts."""


@frozen(eq=False)
class _Line:
    """A number along an axis: its values, and what answers the question with them.

    Attributes:
        name: of the number.
        now: what it is.
        unit: of its values.
        axis: values that are tried first.
        plans: answers for values along an axis.
        whole: whether it is a whole number.
        exact: whether no value between those of the axis is tried.
    """

    name: str
    now: float
    unit: Unit
    axis: Axis
    plans: Callable[[Axis], Plans]
    whole: bool = False
    exact: bool = False

    def meets(self, limits: Mapping[str, float], axis: Axis) -> NDArray[np.bool_]:
        """Return where along an axis some configuration fits and meets its targets."""
        ok = np.zeros(axis.shape, dtype=bool)
        for est, is_layout in self.plans(axis):
            good, _ = _judged(est, is_layout, limits, axis.size)
            ok |= good.any(axis=-1)
        return ok

    def at(self, limits: Mapping[str, float], value: float) -> Any:
        """Return the answer at a value: of the configurations that meet the targets the fastest; where none does, the nearest that fits."""
        found: list[tuple[tuple[bool, float], LayoutAnswer[Any, Any], int]] = []
        for est, is_layout in self.plans(np.array([value])):
            good, over = _judged(est, is_layout, limits, 1)
            rate = measure(est, "tokens_per_second")
            speed = 1 / cast("Any", est).ttft if rate is None else rate
            worth = np.where(good, np.nan_to_num(_flat(speed, est, 1), nan=0.0), -over)[0]
            k = int(np.argmax(np.where(good[0].any() & ~good[0], -np.inf, worth)))
            found.append(((bool(good[0, k]), float(worth[k])), est, k))
        _, est, k = max(found, key=lambda each: each[0])
        return est.at(*(int(i) for i in np.unravel_index(k, est.shape)))


def _flat(value: Any, est: LayoutAnswer[Any, Any], count: int) -> NDArray[Any]:
    """Return a number of an answer as points of the axis by layouts."""
    shape = np.broadcast_shapes(est.shape, (count, *[1] * max(len(est.shape) - 1, 0)))
    return np.broadcast_to(np.asarray(value), shape).reshape(count, -1)


def _judged(
    est: LayoutAnswer[Any, Any], is_layout: Mask, limits: Mapping[str, float], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which configurations fit and meet their targets, and the worst metric over its target; infinite where a configuration does not fit."""
    good = _flat(est.fits, est, count) & _flat(is_layout, est, count)
    over = np.where(good, 0.0, np.inf)
    for name, limit in limits.items():
        value = _flat(np.asarray(measure(est, name), dtype=np.float64), est, count)
        least = metric(name).least
        good = good & (value <= limit if least else value >= limit)
        over = np.maximum(over, np.nan_to_num(value / limit if least else limit / value, nan=np.inf))
    return good, over


def _line(est: Any, name: str, limits: Mapping[str, float]) -> _Line:
    asked = (est.question, est.system, est.layout, est.calibration)
    searched = est.candidates is not None and not isinstance(est.question, TrainStep)

    def plans(put: Callable[[Num], tuple[Any, Any, Any, Any]]) -> Callable[[Axis], Plans]:
        def under(axis: Axis) -> Plans:
            question, system, layout, profile = put(axis)
            if searched:
                return cast("Plans", est.candidates(question, system, profile, None))
            return [(one_block(question, system, layout, profile), True)]

        return under

    if name == "chips":
        return _chips(est, limits) if est.candidates is None else _sizes_of(est, limits)
    if name in SIZES and getattr(est.question, name, None) is not None:
        now, whole = float(getattr(est.question, name)), name != "rate"

        def sized(x: Num) -> tuple[Any, Any, Any, Any]:
            change: Any = {name: x}
            return (attrs.evolve(asked[0], **change), *asked[1:])

        least = now / WIDE if not whole else _shortest(est, name)
        axis = np.geomspace(least, max(LONGEST, now) if whole else now * WIDE, _GRID)
        return _Line(
            name,
            now,
            HERTZ if name == "rate" else ONE,
            np.unique(np.round(axis)) if whole else axis,
            plans(sized),
            whole,
        )
    if name not in SHORT and not name.startswith(("chip.", "system.")):
        sizes = [size for size in SIZES if getattr(est.question, size, None) is not None]
        raise unknown("number", name, ("chips", *sizes, *SHORT))
    value = number_of(est.system, name)
    if value is None or not float(value) > 0:
        raise QuestionError(
            fault(name, value, f"is not known of {est.system.name}", "give it first: system.evolve(...)")
        )

    def put(x: Num) -> tuple[Any, Any, Any, Any]:
        return asked[0], with_number(asked[1], name, x), asked[2], asked[3]

    now, whole = float(value), name.endswith((".size", "cores"))
    axis = now * np.geomspace(1 / WIDE, WIDE, _GRID)
    axis = np.unique(np.maximum(np.round(axis), 1.0)) if whole else axis
    return _Line(name, now, unit_of(name), axis, plans(put), whole)


def _shortest(est: Any, name: str) -> float:
    """Return the least a size may be: a prompt is longer than what is cached of it."""
    return 1.0 + float(getattr(est.question, "cached", 0.0)) if name == "input" else 1.0


def _chips(est: Any, limits: Mapping[str, float]) -> _Line:
    """Return replicas, or data-parallel ranks, as an axis in chips."""
    q, layout = est.question, est.layout
    if isinstance(q, TrainStep):
        lanes = int(q.global_batch / q.micro_batch)
        counts = np.array([n for n in range(1, min(lanes, int(MILLION)) + 1) if lanes % n == 0], dtype=np.float64)
        one, now = layout.ranks / layout.dp, layout.dp
    else:
        counts = np.unique(
            np.round(
                np.geomspace(1, max(np.floor(float(est.system.reach) / (layout.ranks / layout.replicas)), 1), 4 * _GRID)
            )
        )
        one, now = layout.ranks / layout.replicas, layout.replicas
    each = float(one / est.system.ranks_per_chip)
    scaled = any(metric in _RATES for metric in limits)

    def plans(chips: Axis) -> Plans:
        n = np.round(chips / each)
        if isinstance(q, TrainStep):
            return [(one_block(q, est.system, attrs.evolve(layout, dp=n), est.calibration), True)]
        load: Any = {}
        for name in ("batch", "concurrency"):
            if scaled and getattr(q, name, None) is not None:
                load[name] = getattr(q, name) * n / now
        more = attrs.evolve(layout, replicas=n)
        return [(one_block(attrs.evolve(q, **load), est.system, more, est.calibration), True)]

    # A count that does not divide is none: only those listed are tried.
    return _Line("chips", float(now * each), ONE, counts * each, plans, exact=isinstance(q, TrainStep), whole=each == 1)


def _sizes_of(est: Any, limits: Mapping[str, float]) -> _Line:
    """Return numbers of chips as an axis, the layout chosen for each: parts of a scale-up domain, then twice as many each time."""
    q, system = est.question, est.system
    now, most = float(est.chips), int(float(system.reach) // system.ranks_per_chip)
    inner = max(domain(system) // system.ranks_per_chip, 1)
    parts = [n for n in range(1, min(inner, most) + 1) if inner % n == 0]
    whole = [inner * 2**k for k in range(1, 40) if inner * 2**k <= most]
    scaled = any(metric in _RATES for metric in limits)

    @functools.cache
    def at(chips: float) -> Plans:
        load: dict[str, Any] = {}
        for name in ("batch", "concurrency"):
            if scaled and not isinstance(q, TrainStep) and getattr(q, name, None) is not None:
                load[name] = getattr(q, name) * chips / now
        try:
            return cast("Plans", est.candidates(attrs.evolve(q, **load), system, est.calibration, int(chips)))
        except QuestionError:
            return ()  # nothing can be laid out on so many

    def plans(axis: Axis) -> Plans:
        return at(float(axis[0]))

    return _Counted(
        "chips", now, ONE, np.array([*parts, *whole], dtype=np.float64), plans, exact=True, whole=True, domain=inner
    )


@frozen(eq=False)
class _Counted(_Line):
    """Numbers of chips, each with layouts of its own; the first that will do ends the search, as more of them cost more.

    Attributes:
        domain: chips of a scale-up domain, of which larger numbers are multiples.
    """

    domain: int = 1

    def meets(self, limits: Mapping[str, float], axis: Axis) -> NDArray[np.bool_]:
        """Return which numbers of chips will do, as far as the first; all beyond it are taken to."""
        for i, chips in enumerate(axis):
            if super().meets(limits, np.array([chips]))[0]:
                return np.arange(axis.size) >= i
        return np.zeros(axis.shape, dtype=bool)

    def least(self, limits: Mapping[str, float], bad: float, good: float) -> float:
        """Return the least multiple of a domain that will do, above one that will not."""
        low, high = bad / self.domain, good / self.domain
        while high - low > 1 and high > 1:
            middle = np.floor((low + high) / 2)
            if super().meets(limits, np.array([middle * self.domain]))[0]:
                high = middle
            else:
                low = middle
        return float(high * self.domain)


def _run(ok: NDArray[np.bool_], axis: Axis, now: float) -> tuple[int, int]:
    """Return the first and last place of the run of values that will do which lies nearest to what a number is."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ok, [False])).astype(int)))
    runs = list(zip(edges[::2], edges[1::2] - 1, strict=True))

    def far(run: tuple[int, int]) -> float:
        return float(np.log(max(axis[run[0]] / now, now / axis[run[1]], 1.0)))

    first, last = min(runs, key=far)
    return int(first), int(last)


def _edge(line: _Line, limits: Mapping[str, float], bad: float, good: float) -> float:
    """Return the value nearest to one that will not do, on the side of one that will."""
    if isinstance(line, _Counted):
        return line.least(limits, bad, good)
    step = 1.0 if line.whole else 0.0
    while not line.exact and abs(good - bad) > max(step, _NEAR * good):
        inside = np.linspace(bad, good, _INSIDE)
        if line.name == "chips" and not line.whole:
            each = line.axis[0]
            inside = np.unique(np.round(inside / each)) * each
        elif line.whole:
            inside = np.unique(np.round(inside))
        inside = inside if bad < good else np.sort(inside)[::-1]
        if inside.size <= 2:
            break
        ok = line.meets(limits, inside)
        # From the one that will not do: the first after which all will.
        k = int(np.flatnonzero(~ok)[-1]) if not ok.all() else 0
        k = min(k, inside.size - 2)
        bad, good = float(inside[k]), float(inside[k + 1])
    return float(good)


def _none(est: Any, line: _Line, limits: Mapping[str, float]) -> Needed:
    """Return the answer that no value will do, and what comes nearest."""
    over = np.full(line.axis.shape, np.inf)
    axes = [np.array([x]) for x in line.axis] if isinstance(line, _Counted) else [line.axis]
    start = 0
    for axis in axes:
        here = slice(start, start + axis.size)
        for each, is_layout in line.plans(axis):
            over[here] = np.minimum(over[here], _judged(each, is_layout, limits, axis.size)[1].min(axis=-1))
        start += axis.size
    if np.isinf(over).all() or not limits:
        reason = "; ".join(est.reasons) or "it fits with no value that was tried"
        why = f"{line.name}: no value meets it; {reason}"
        return Needed(line.name, line.now, line.unit, None, None, exists=False, targets=limits, est=est, why=why)
    nearest = float(line.axis[int(np.argmin(over))])
    best = line.at(limits, nearest)
    missed = [_missed(name, limit, float(measure(best, name) or 0.0)) for name, limit in limits.items()]
    missed = [each for each in missed if each]
    times = nearest / line.now
    text = (
        f"{figure(times)} times as much"
        if line.name not in (*SIZES, "chips") and times > 1
        else _written(line, nearest)
    )
    why = f"{line.name}: no value meets it; even {text} leaves {' and '.join(missed)}: bound by {best.bound}"
    return Needed(line.name, line.now, line.unit, None, None, exists=False, targets=limits, est=best, why=why)


def _missed(name: str, limit: float, value: float) -> str:
    """Return by what a target is missed; "" where it is kept."""
    known = metric(name)
    if value <= limit if known.least else value >= limit:
        return ""
    far = shortfall(name, limit).removeprefix(f"{known.said} ")
    return f"{known.said} at {quantity(name, value)}, {far}"


def _written(line: _Line, value: float) -> str:
    return figure(value) if line.unit in (ONE, HERTZ) else show(value, line.unit)


def _said(line: _Line, low: float | None, high: float | None, limits: Mapping[str, float], est: Any) -> str:
    parts = [
        f"{metric(name).said} {'<=' if metric(name).least else '>='} {quantity(name, limit)}"
        for name, limit in limits.items()
    ]
    aim = f"for {' and '.join(parts)}" if parts else "to fit"
    if low is None and high is None:
        return f"{line.name}: every value that was tried meets it {aim}"
    bound = f"at least {_written(line, low)}" if low is not None else ""
    if high is not None:
        bound = f"{bound} and " * bool(bound) + f"at most {_written(line, high)}"
    times = (low if low is not None else high or line.now) / line.now
    return f"{line.name}: {bound} {aim}, {figure(times, 3)} x the present value; then bound by {est.bound}"
