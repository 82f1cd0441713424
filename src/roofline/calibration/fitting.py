r"""Fits coefficients to timings: few, within physical ranges, robust against outliers, checked on left-out rows.

The times of :func:`roofline.physics.kernels.price` and :func:`roofline.physics.collectives.price` are compared with the measured ones in
logarithms,

.. math:: \min_\theta \sum_i w_i\,\rho\!\left(\frac{\log T_i(\theta) - \log t_i}{\sigma}\right),
          \qquad \rho(z) = 2\,(\sqrt{1 + z^2} - 1),

so that a slow outlier counts little and a small kernel as much as a large one; where several chips are fitted together, each
weighs the same. Every other row is left out; the reported error is theirs. A constant that the rows do not determine (its standard
error is more than a third, and the value it started from explains them as well) keeps that value, and that is reported. Each constant
has a physical range (:data:`RANGES`); one that a fit drives to the end of its range is no measurement: it keeps the value it started
from, too, the others are fitted without it, and that is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.calibration.timings import Timings
from roofline.core.errors import QuestionError, fault
from roofline.core.units import GIGA, MICRO, MILLI, TERA, Ratio
from roofline.hardware.constants import Calibration, Kernel, Link
from roofline.hardware.hardware import Chip, Tier
from roofline.operators.operations import Message, Op
from roofline.physics import collectives, kernels

Key: TypeAlias = str | tuple[str, str]
"""Where a profile keeps constants: a kernel class and a format, or a way of a message."""

FITTED: Final[Mapping[str, tuple[str, ...]]] = {
    "gemm": ("eta_compute", "eta_memory", "t0", "step", "p", "eta_staging"),
    "attention_prefill": ("eta_compute", "eta_memory", "t0", "step", "item", "eta_score"),
    "attention_decode": ("eta_memory", "t0", "step", "item"),
    "mla_prefill": ("eta_compute", "eta_memory", "t0", "step", "item"),
    "mla_decode": ("eta_compute", "eta_memory", "t0", "step", "item", "p"),
    "moe": ("eta_compute", "eta_memory", "t0", "eta_staging", "turn", "hit", "elsewhere"),
    "elementwise": ("eta_memory", "t0"),
    "ring": ("start", "hop", "eta", "pair"),
    "in_network": ("start", "eta"),
    "gather": ("start", "hop", "eta", "pair"),
    "all_to_all": ("start", "hop", "eta", "pair"),
    "one_shot": ("start", "peer", "eta"),
    "two_shot": ("start", "peer", "eta"),
    "low_latency": ("alpha", "hop", "eta", "far"),
    "throughput": ("alpha", "hop", "far", "copied"),
}
"""The constants of each kernel class, and of each way, that timings can tell."""

OWN: Final[Mapping[str, tuple[str, ...]]] = {"moe": ("turn", "elsewhere")}
"""Constants that belong to one library's kernel: a stack that was not timed is taken to have none of it."""

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    # Parts of a peak: below a sixth no shipped kernel was seen, above 1 none can be.
    "eta_compute": (0.15, 1.0), "eta_memory": (0.15, 1.0), "eta_staging": (0.15, 1.0), "eta_best": (0.15, 1.1),
    # In turn, to side by side.
    "p": (1.0, 8.0),
    # One launch in a graph, with what the kernel begins and ends with; grouped products are a chain of five to eight.
    "t0": (MICRO, 30 * MICRO), "moe.t0": (5 * MICRO, 45 * MICRO),
    # An element that a core walks through, from a vector of a product to a key of a tile of queries.
    "step": (MICRO * MICRO, 0.2 * MICRO),
    # The fixed work of one item on one core: a few hundred to ten thousand cycles.
    "item": (0.1 * MICRO, 15 * MICRO),
    "eta_score": (0.2, 1.2),
    # One expert of a list that is walked through, and one that has tokens: what its tiles begin and end with.
    "turn": (0.005 * MICRO, 0.6 * MICRO), "hit": (0.005 * MICRO, MICRO), "elsewhere": (0.02, 1.5),
    "alpha": (0.3 * MICRO, MILLI), "peer": (MILLI * MICRO, 20 * MICRO), "hop": (0.01, 20.0), "start": (0.1, 200.0),
    "eta": (0.02, 1.0), "far": (0.02, 1.0), "pair": (0.2, 1.2),
    # Twenty cores that copy 2.5 to 50 GB/s each.
    "copied": (50 * GIGA, TERA),
}  # fmt: skip
_START: Final = {
    "t0": 5 * MICRO, "p": 2.0, "step": 1e-4 * MICRO, "item": MICRO, "eta_score": 0.8, "eta_compute": 0.6, "eta_memory": 0.7,
    "eta_staging": 0.5, "eta_best": 0.88, "alpha": 5 * MICRO, "peer": 0.1 * MICRO, "hop": 1.0, "start": 6.0, "eta": 0.7, "far": 0.8,
    "pair": 0.9, "copied": 300 * GIGA, "turn": 0.1 * MICRO, "hit": 0.1 * MICRO, "elsewhere": 0.5,
}  # fmt: skip
TIMES: Final = ("t0", "step", "item", "turn", "hit", "alpha", "peer")
"""Constants that are times."""
_WIDTH: Final = 0.1
_INSIDE: Final = 1e-5
ENOUGH: Final = 24
_UNSURE: Final = 1 / 3
_NEAR: Final = 0.005
"""A constant this near to the end of its range, relative, has run to it."""
_AS_WELL: Final = 1.02
_MOST: Final = 6000
"""Rows that a fit looks at: more change the constants in the third digit."""


@frozen(eq=False)
class Part:
    """Timings, and what they were timed on.

    Attributes:
        timings: the timings.
        chip: the chip that they were timed on.
        tiers: the networks that messages were timed over; empty for kernels.
    """

    timings: Timings
    chip: Chip
    tiers: tuple[Tier, ...] = ()


@frozen(eq=False)
class Fit:
    """Constants fitted to timings, and how far off they are.

    Attributes:
        name: class and format, or ways.
        stack: the stack whose kernels were timed; "" for all.
        constants: what was found, by where a profile keeps it.
        rows: timings used.
        left_out: timings kept for the check.
        mape: mean error on the rows left out.
        median: median error on the rows left out.
        p90: error that nine in ten of the rows left out stay below.
        seen: mean error on the rows fitted.
        before: mean error of the profile it started from.
        undetermined: constants that the rows say nothing of: they stay what they were; of several ways as ``ring.hop``.
        ended: constants that ran to the end of their physical range: they stay what they were.
    """

    name: str
    stack: str
    constants: Mapping[Key, Kernel | Link]
    rows: int
    left_out: int
    mape: Ratio
    median: Ratio
    p90: Ratio
    seen: Ratio
    before: Ratio
    undetermined: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


def keys(timings: Timings) -> tuple[Key, ...]:
    """Return where a profile keeps the constants that timings can tell."""
    return timings.ways or ((timings.kernel, timings.form),)


def constants_at(profile: Calibration, key: Key) -> Kernel | Link:
    """Return the constants that a profile keeps there."""
    return profile.link(key) if isinstance(key, str) else profile.kernel(key[0], key[1], key[1])


def with_constants(profile: Calibration, constants: Mapping[Key, Kernel | Link]) -> Calibration:
    """Return a profile with some constants replaced."""
    kernels = {key: each for key, each in constants.items() if not isinstance(key, str)}
    links = {key: each for key, each in constants.items() if isinstance(key, str)}
    return attrs.evolve(profile, kernels={**profile.kernels, **kernels}, links={**profile.links, **links})  # type: ignore[dict-item]


def errors(part: Part, profile: Calibration) -> NDArray[np.float64]:
    """Return ``log(predicted / measured)`` for each row."""
    work = part.timings.work
    match work:
        case Op():
            time = kernels.price(work, part.chip, profile).time
        case Message():
            time = collectives.price(work, part.tiers, profile, part.timings.ways).time
    return np.asarray(np.log(time / part.timings.measured))


def relative_error(part: Part, profile: Calibration) -> NDArray[np.float64]:
    """Return the relative error of each row."""
    return np.abs(np.expm1(errors(part, profile)))


def halves(part: Part) -> tuple[Part, Part]:
    """Return every other row of each stack, to fit (at most :data:`_MOST`), and the rest, to check."""
    check = part.timings.columns["check"] > 0
    fitted = np.flatnonzero(~check)
    ours = np.zeros_like(check)
    ours[fitted[:: max(1, len(fitted) // _MOST)]] = True
    return tuple(attrs.evolve(part, timings=part.timings.select(where)) for where in (ours, check))  # type: ignore[return-value]


def fit(
    parts: Sequence[Part], start: Calibration, *, by_best: bool = False, fitted: Mapping[str, Sequence[str]] = FITTED
) -> Fit:
    """Return the constants that explain timings best.

    Args:
        parts: of one class and format, or of one kind of message; of one chip, or of several that share their constants.
        start: a profile whose constants stand where the rows say nothing.
        by_best: fit ``eta_best``, the part of the quickest rate measured on each chip, instead of ``eta_compute`` of its peak.
        fitted: the constants to fit, of each class and way; the others stay what they are.

    Raises:
        QuestionError: fewer than 24 rows.
    """
    count, first = sum(part.timings.count for part in parts), parts[0].timings
    if count < ENOUGH:
        raise QuestionError(fault("rows", count, f"are too few to fit {first.name}", f"time {ENOUGH} at least"))
    pairs = [halves(part) for part in parts]
    ours, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    where = tuple(key for key in keys(first) if _has_way(key, parts))
    given = with_constants(start, {key: _peak_kind(constants_at(start, key), by_best) for key in where})
    free = [
        (key, "eta_best" if by_best and name == "eta_compute" else name) for key, name in _free(ours, where, fitted)
    ]
    best, loose, ended = _within(ours, given, free)
    half = [np.concatenate([relative_error(part, best) for part in side]) for side in (ours, others)]
    spread = float(np.quantile(np.concatenate([np.abs(errors(part, best)) for part in others]), 0.8))
    constants = {key: _known(attrs.evolve(constants_at(best, key), error=spread), parts) for key in where}
    name = "|".join(key for key in where if isinstance(key, str)) or first.name
    return Fit(
        name, first.stack, constants, sum(p.timings.count for p in ours), sum(p.timings.count for p in others),
        float(half[1].mean()), float(np.median(half[1])), float(np.quantile(half[1], 0.9)), float(half[0].mean()),
        float(np.concatenate([relative_error(part, start) for part in parts]).mean()), loose, ended,
    )  # fmt: skip


def _known(constants: Kernel | Link, parts: Sequence[Part]) -> Kernel | Link:
    """Return constants of a link with the most ranks and bytes that they were seen at: its base's, or those of the rows."""
    if isinstance(constants, Kernel):
        return constants
    works = [part.timings.work for part in parts if isinstance(part.timings.work, Message)]
    ranks, size = (max(float(np.max(getattr(w, name))) for w in works) for name in ("group", "size"))
    return attrs.evolve(constants, ranks=max(float(np.max(constants.ranks)), ranks), bytes=size)


def _has_way(key: Key, parts: Sequence[Part]) -> bool:
    """Return whether what was timed may have gone a way: only a switch that adds up sums in the network."""
    return key != "in_network" or any(tier.in_network for part in parts for tier in part.tiers)


def _peak_kind(constants: Kernel | Link, by_best: bool) -> Kernel | Link:
    """Return constants that go by the peak, or by the best rate, as asked."""
    if isinstance(constants, Link):
        return constants
    return attrs.evolve(constants, eta_best=_START["eta_best"] if by_best else None)


def _free(parts: Sequence[Part], where: Sequence[Key], fitted: Mapping[str, Sequence[str]]) -> list[tuple[Key, str]]:
    """Return the constants to fit: those that can play a part in what was timed."""
    out = []
    for key in where:
        for name in fitted[key if isinstance(key, str) else key[0]]:
            if name == "eta_staging" and not any(np.any(getattr(p.timings.work, "staging", 0.0) > 0) for p in parts):
                continue
            if name == "far" and not any(_far(p) for p in parts):
                continue
            out.append((key, name))
    return out


def _far(part: Part) -> bool:
    """Return whether any message left the tiers whose ranks read and write each other's memory."""
    near = max((float(np.max(tier.size)) for tier in part.tiers if tier.load_store), default=1.0)
    work = part.timings.work
    return isinstance(work, Message) and bool(np.any(work.group > near))


def _within(
    parts: Sequence[Part], given: Calibration, free: Sequence[tuple[Key, str]]
) -> tuple[Calibration, tuple[str, ...], tuple[str, ...]]:
    """Return the best profile within the physical ranges, the constants the rows do not tell, and those that ran to an end."""
    ended: list[tuple[Key, str]] = []
    while True:
        left = [each for each in free if each not in ended]
        best, loose = _search(parts, given, left)
        usable = [each for each in left if _names(each, free) not in loose]
        more = [each for each in _at_bound(best, usable) if isinstance(each[0], tuple)]
        if not more or len(more) == len(left):
            return best, loose, _named(ended, free)
        # One at a time, the parts of peaks first: what the others then say may lie inside.
        ended.append(min(more, key=lambda each: not each[1].startswith("eta")))


def _names(one: tuple[Key, str], free: Sequence[tuple[Key, str]]) -> str:
    return _named([one], free)[0]


def _search(
    parts: Sequence[Part], given: Calibration, free: Sequence[tuple[Key, str]]
) -> tuple[Calibration, tuple[str, ...]]:
    """Return the profile whose free constants explain the parts best, and the names of those that the rows do not tell."""
    best, found = _run(parts, given, free)
    loose = _undetermined(found, free)
    if not loose or len(loose) == len(free):
        return best, ()
    # What runs to nothing has no error either: it is kept where the value it started from would explain less.
    firm = [each for each in free if each not in loose]
    plain, inside = _run(parts, given, firm)
    if inside.cost <= found.cost * _AS_WELL:
        return plain, _named(loose, free)
    still = []
    for each in loose:
        rest = [other for other in free if other != each and other not in still]
        other, cost = _run(parts, given, rest)
        if cost.cost <= found.cost * _AS_WELL:
            still.append(each)
            best = other
    return best, _named(still, free)


def _named(some: Sequence[tuple[Key, str]], free: Sequence[tuple[Key, str]]) -> tuple[str, ...]:
    """Return what constants are called: by the way they are of, too, where there are several."""
    several = len({key for key, _ in free}) > 1
    return tuple(f"{key}.{name}" if several else name for key, name in some)


def _run(parts: Sequence[Part], given: Calibration, free: Sequence[tuple[Key, str]]) -> tuple[Calibration, Any]:
    from scipy.optimize import least_squares  # few fit, and all import

    low, high = (np.log([span(key, name)[i] for key, name in free]) for i in (0, 1))
    first = np.clip(
        np.log([_initial(constants_at(given, key), key, name) for key, name in free]), low + _INSIDE, high - _INSIDE
    )
    weights = [
        np.full(p.timings.count, (np.mean([q.timings.count for q in parts]) / p.timings.count) ** 0.5) for p in parts
    ]

    def residuals(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        profile = _with(given, free, theta)
        return np.concatenate([w * errors(part, profile) for w, part in zip(weights, parts, strict=True)])

    found = least_squares(
        residuals, first, bounds=(low, high), loss="soft_l1", f_scale=_WIDTH, x_scale=0.3, max_nfev=100
    )
    return _with(given, free, found.x), found


def span(key: Key, name: str) -> tuple[float, float]:
    """Return the physical range of a constant: that of its class, where it has one of its own."""
    return RANGES.get(f"{key[0]}.{name}", RANGES[name])


def _initial(base: Kernel | Link, key: Key, name: str) -> float:
    value = float(getattr(base, name) or 0.0)
    low, high = span(key, name)
    return value if low < value < high else _START[name]


def _at_bound(profile: Calibration, free: Sequence[tuple[Key, str]]) -> list[tuple[Key, str]]:
    """Return the constants that a fit has driven to the end of their range."""
    out = []
    for key, name in free:
        value, (low, high) = float(getattr(constants_at(profile, key), name)), span(key, name)
        if not low * (1 + _NEAR) < value < high / (1 + _NEAR):
            out.append((key, name))
    return out


def _with(base: Calibration, free: Sequence[tuple[Key, str]], theta: NDArray[np.float64]) -> Calibration:
    change: dict[Key, dict[str, float]] = {}
    for (key, name), x in zip(free, theta, strict=True):
        change.setdefault(key, {})[name] = float(np.exp(x))
    return with_constants(base, {key: _changed(constants_at(base, key), values) for key, values in change.items()})


def _changed(constants: Any, values: Mapping[str, float]) -> Kernel | Link:
    return attrs.evolve(constants, **values)  # type: ignore[no-any-return]


def _undetermined(found: Any, free: Sequence[tuple[Key, str]]) -> tuple[tuple[Key, str], ...]:
    """Return the constants whose standard error, in logarithms, is more than a third."""
    jacobian = found.jac
    noise = 2 * found.cost / max(len(found.fun) - len(free), 1)
    try:
        # What rounding leaves below 0 is determined by no row.
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)) * noise)
    except np.linalg.LinAlgError:
        spread = np.where(np.abs(jacobian).max(axis=0) > 0, 0.0, np.inf)
    return tuple(each for each, error in zip(free, spread, strict=True) if not error < _UNSURE)
