"""Intervals of an answer: the range expected to contain measurements, and its evidence."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import numpy as np
from attrs import evolve

from roofline import catalog
from roofline.core.arrays import larger, share, smaller
from roofline.core.errors import QuestionError, fault
from roofline.core.units import Num, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.evidence import COVERAGE, Near, Spread, Subject, conditions_of, scaled
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators.operations import Message, Op
from roofline.physics.percentiles import PERCENT
from roofline.physics.spans import Span
from roofline.results import alternatives, citations, energy, memory_intervals
from roofline.workload.questions import KEPT_ERROR, TrainStep, accept_length_is_assumed

_RATES: Final[Mapping[str, str]] = {
    "tokens_per_second_per_user": "tpot",
    "prompt_tokens_per_second": "ttft",
    "prompt_tokens_per_second_per_chip": "ttft",
}
"""Rates that are the inverse of a time."""

_OUTPUT: Final = ("tokens_per_second", "tokens_per_second_per_chip", "requests_per_second")
"""Rates of output: of a service a quantity with residuals, of a decode or training step the inverse of its time."""

_PERCENTILES: Final = re.compile(r"(ttft|tpot|itl)_p(\d{1,2}(?:\.\d+)?)")


def subject_of(kind: str, profile: Calibration, system: System, model: Model) -> Subject:
    """Return what a question is about, as measured runs are filed.

    Args:
        kind: ``serving`` or ``training``.
        profile: with its engine and framework.
        system: the machine.
        model: the model.
    """
    chip = system.package
    software = profile.framework.name if kind == "training" else profile.engine.name
    return Subject(kind, software, chip.silicon or chip.name, chip.vendor, model.family, model.name)


def nearest(est: Any) -> Near:
    """Return the nearest measured runs of an answer.

    Where a chip's kernels were timed and the answer goes by those of all chips (level ``generic``), it is as far as another chip's.

    >>> from roofline.planner.estimate import estimate
    >>> nearest(estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm")).distance
    'family'
    """
    q, profile = est.question, est.calibration
    kind = "training" if isinstance(q, TrainStep) else "serving"
    own = profile.level != "generic" or catalog.profile("calibrated", est.system).level == "generic"
    return _nearest(subject_of(kind, profile, est.system, q.model), "family" if own else "maker")


def conditions(est: Any) -> tuple[str, ...]:
    """Return the conditions of an answer that make its interval wider or narrower (:data:`roofline.hardware.evidence.CONDITIONS`).

    >>> from roofline.planner.estimate import estimate
    >>> conditions(estimate("mixtral-8x7b", "mi300x-8", tp=8, concurrency=8, engine="vllm+default"))
    ('default', 'experts', 'untimed')
    """
    launch = None if isinstance(est.question, TrainStep) else est.calibration.engine.stated_kind
    shipped = catalog.profile("calibrated", est.system)
    timed = any(each.level == "calibrated" and not each.stands_for for each in (est.calibration, shipped))
    return conditions_of(launch, bool(est.question.model.experts), timed)


@functools.lru_cache(maxsize=512)
def _nearest(subject: Subject, least: str) -> Near:
    return catalog.evidence().nearest(subject, least)


@functools.lru_cache(maxsize=512)
def _spread(quantity: str, distance: str, held: tuple[str, ...]) -> Spread:
    return catalog.evidence().spread(quantity, distance, under=held)


def interval(est: Any, quantity: str, coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
    r"""Return the interval of a quantity that holds a share of measurements; None without meaning, and at the ideal level.

    .. math:: y e^{q_-}, \; y e^{q_+}, \qquad q_\pm = m \pm \sqrt{(q_\pm' - m)^2 + z^2 \textstyle\sum_k h_k^2}

    with quantiles :math:`q'` and median :math:`m` of log(measured / predicted) of runs as far from the evidence as the question is, and
    under the same conditions (:mod:`roofline.hardware.evidence`), and what the question adds, :math:`h`: errors of collectives, of kernels of a profile of one's
    own, assumed numbers of the hardware, an acceptance of drafts that was not given, and other answers that the question may have meant
    (:mod:`roofline.results.alternatives`); ``z`` scales half-widths of 80 % to the share that is asked.

    ======================================= ===============================================================
    ``ttft``, ``tpot``, ``step_time``       residuals of their own
    ``tokens_per_second`` of a service      residuals of its own; other rates are inverse times
    ``ttft_p99`` and such                   relative as of its mean
    ``dollars_per_million_tokens`` and such inverse rates
    ``joules_per_token``                    inverse rates with errors of power, and no less than residuals of its own
    ``memory``, ``max_concurrency``         see :mod:`roofline.results.memory_intervals`
    ======================================= ===============================================================

    Args:
        est: an answer about serving or a step of training.
        quantity: as above.
        coverage: the share.

    Raises:
        QuestionError: another quantity, a share that is none, or more points than details are kept for.

    >>> from roofline.planner.estimate import estimate
    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm")
    >>> low, high = interval(est, "tpot")
    >>> wide = interval(est, "tpot", 0.95)
    >>> bool(wide[0] < low < est.tpot < high < wide[1])
    True
    """
    if not 0 < coverage < 1:
        raise QuestionError(fault("coverage", coverage, "must be above 0 and below 1", "such as 0.8"))
    if quantity == "memory" or (quantity in memory_intervals.HELD and not isinstance(est.question, TrainStep)):
        return memory_intervals.interval(est, quantity, coverage)
    logs = _logs(est, quantity, coverage)
    value = None if logs is None else _value(est, quantity)
    if logs is None or value is None:
        return None
    return value * np.exp(logs[0]), value * np.exp(logs[1])


def _value(est: Any, quantity: str) -> Num | None:
    asked = _PERCENTILES.fullmatch(quantity)
    return getattr(est, f"{asked[1]}_percentile")(float(asked[2])) if asked else getattr(est, quantity)  # type: ignore[no-any-return]


Ends: TypeAlias = tuple[Num, Num]


def _logs(est: Any, quantity: str, coverage: Ratio) -> Ends | None:
    """Return the logarithms of the ends of an interval over the value."""
    training = isinstance(est.question, TrainStep)
    times = ("step_time",) if training else ("tpot", "ttft")
    asked = _PERCENTILES.fullmatch(quantity)
    costs = ("dollars_per_trillion_tokens",) if training else ("dollars_per_million_tokens",)
    if quantity in _OUTPUT and not training and est.tokens_per_second is None:
        return None
    if quantity in times:
        return _of_time(est, quantity, coverage)
    if asked and not training:
        return (
            None
            if _value(est, quantity) is None
            else _of_time(est, asked[1] if asked[1] != "itl" else "tpot", coverage)
        )
    if quantity in _RATES and not training:
        return None if getattr(est, quantity) is None else _inverse(_of_time(est, _RATES[quantity], coverage))
    if quantity in _OUTPUT:
        if training:
            return _inverse(_of_time(est, "step_time", coverage))
        if est.cycle is None:
            return _inverse(_of_time(est, "tpot", coverage))
        return _of_time(est, "rate", coverage)
    if quantity in (*costs, "joules_per_token"):
        rate = "tokens_per_second" if training or est.tokens_per_second is not None else "prompt_tokens_per_second"
        if getattr(est, quantity) is None:
            return None
        logs = _inverse(_logs(est, rate, coverage))
        return _with_power(est, logs, coverage) if quantity == "joules_per_token" else logs
    known = ", ".join((*times, "tokens_per_second", *costs, "joules_per_token"))
    raise QuestionError(fault("quantity", quantity, "has no interval", f"ask for {known}"))


def _inverse(logs: Ends | None) -> Ends | None:
    return None if logs is None else (-logs[1], -logs[0])


def _with_power(est: Any, logs: Ends | None, coverage: Ratio) -> Ends | None:
    """Return the ends of the energy of a token, from those of the time it takes."""
    if logs is None:
        return None
    lasting = energy.idle_share(est, energy.SCOPE, est.working)
    ends = powered(logs, lasting, scaled(coverage) * energy.error(est, energy.SCOPE, est.working))
    return ends if isinstance(est.question, TrainStep) else widened(ends, energy.measured(est.system), coverage)


def widened(ends: Ends, measured: bool, coverage: Ratio) -> Ends:
    """Return the ends of the energy of a token of a service, no nearer than measured energies were spread.

    Args:
        ends: from the intervals of the rate and of the power.
        measured: whether the power of the chip was measured under load; else the spread is that of chips left out.
        coverage: the share that the interval is to hold.
    """
    low, high = catalog.evidence().spread("joules", "chip" if measured else "maker").ends(coverage)
    return smaller(ends[0], low), larger(ends[1], high)


def powered(logs: Ends, lasting: Ratio, power: Ratio) -> Ends:
    """Return the logarithms of the ends of an energy, from those of the time it takes.

    What is drawn whatever is done lasts as long as the time does; the energy of the work itself does not depend on it. Errors of power
    and of time add in squares.

    Args:
        logs: of the ends of the time, over its value.
        lasting: share of the power that is drawn whatever is done.
        power: half-width of the power, in logarithms.

    >>> low, high = powered((-0.3, 0.4), 1.0, 0.3)
    >>> round(float(low), 3), round(float(high), 3)
    (-0.424, 0.5)
    """
    return -np.hypot(logs[0] * lasting, power), np.hypot(logs[1] * lasting, power)


def _of_time(est: Any, name: str, coverage: Ratio) -> Ends | None:
    """Return the ends of what has residuals of its own: a time, or ``rate``, the output of a service."""
    value = est.tokens_per_second if name == "rate" else getattr(est, name)
    if value is None or np.all(np.isnan(value)) or est.calibration.level == "ideal":
        return None
    spread = _spread(name, nearest(est).distance, conditions(est))
    low, high = spread.ends(coverage)
    middle, z, more = spread.at(0.5), scaled(coverage), added(est, name) ** 2
    below, above = alternatives.squares(est, name)
    blank = np.where(np.isnan(value), np.nan, 0.0)[()]
    return (
        middle - np.sqrt((middle - low) ** 2 + z**2 * (more + below)) + blank,
        middle + np.sqrt((high - middle) ** 2 + z**2 * (more + above)) + blank,
    )


def added(est: Any, name: str) -> Ratio:
    """Return the half-width, in logarithms, of what a question adds to the spread of the runs nearest to it.

    These are errors of collectives, which grow beyond the ranks and sizes that were timed; of kernels, as far as they exceed those of the
    shipped profile, by which the runs were predicted; numbers of the hardware that are assumed; and the tokens that a step with drafts
    yields where that was not given.
    """
    span = est.whole
    if not isinstance(est.question, TrainStep):
        span, _ = est.within.get("tpot" if name == "rate" else name, (est.whole, 0.0))
    links = sum(
        (cost.time * cost.error * times for work, cost, times in span.leaves() if isinstance(work, Message)), start=0.0
    )
    drafts = 0.0 if name in ("ttft", "step_time") else KEPT_ERROR * accept_length_is_assumed(est.question)
    assumed = citations.assumed(est.system, span) * est.calibration.assumed_error**2
    return cast("Ratio", np.sqrt(share(links, span.time) ** 2 + _of_kernels(est, span) + assumed + drafts**2))


def _of_kernels(est: Any, span: Span) -> Ratio:
    """Return the square of the half-width by which errors of kernels exceed those of the shipped profile.

    Errors of one class of kernel go together and are summed; classes add in squares. None is added by the shipped profile itself.
    """
    shipped = _shipped(est)
    mine: dict[str, Num] = {}
    theirs: dict[str, Num] = {}
    for work, cost, times in span.leaves():
        if isinstance(work, Op):
            known = shipped.kernel(work.kernel, work.rate, work.form).error
            mine[work.kernel] = mine.get(work.kernel, 0.0) + cost.time * cost.error * times
            theirs[work.kernel] = theirs.get(work.kernel, 0.0) + cost.time * known * times
    more = sum((larger(mine[name] ** 2 - theirs[name] ** 2, 0.0) for name in mine), start=0.0)
    return share(more, span.time**2)


def _shipped(est: Any) -> Calibration:
    """Return the shipped profile that stands in the place of an answer's own: of its level, with its software."""
    own = est.calibration
    found = catalog.profile("generic" if own.level == "generic" else "calibrated", est.system)
    if isinstance(est.question, TrainStep):
        return found.training(own.framework)
    stack = found.stacks.get(own.engine.stack)
    return evolve(found, kernels={**found.kernels, **stack.kernels}) if stack else found


def front(coverage: Ratio = COVERAGE) -> Ends:
    """Return the logarithms of the ends of the interval of the front end's time: by how far those of engines differ from any engine's.

    >>> low, high = front()
    >>> bool(low < 0 <= high)
    True
    """
    low, high = catalog.evidence().spread("front", "chip").ends(coverage)
    return min(low, 0.0), max(high, 0.0)


def percentile(est: Any, p: Num) -> Seconds | None:
    """Return the time by which p per cent of the requests of a service have their first token; None for what is no service.

    Raises:
        QuestionError: p is not in (0, 100), or more points than details are kept for.

    >>> from roofline.planner.estimate import estimate
    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, rate=15.0)
    >>> float(est.ttft_percentile(50)) < float(est.ttft) < float(est.ttft_percentile(99))
    True
    """
    asked_percentile(est, p)
    return None if est.waits is None else cast("Num", est.waits.percentile(p))


def asked_part(p: Num) -> None:
    """Refuse a share of requests that is none.

    Raises:
        QuestionError: p is not in (0, 100).
    """
    if np.any(~((np.asarray(p) > 0) & (np.asarray(p) < PERCENT))):
        raise QuestionError(fault("p", p, f"must be above 0 and below {PERCENT:g}", "such as 90"))


def asked_percentile(est: Any, p: Num) -> None:
    """Refuse a share that is none, and an answer over more points than details are kept for.

    Raises:
        QuestionError: p is not in (0, 100), or details are gone.
    """
    asked_part(p)
    if est.in_flight is not None:
        _ = est.whole


def idealisation(est: Any, quantity: str) -> tuple[Seconds, Seconds] | None:
    """Return a time of an answer as if the resources of each operation worked side by side, and as if in turn.

    The truth lies between: the width is what is not known of how kernels overlap compute and memory.

    Raises:
        QuestionError: another quantity, or more points than details are kept for.
    """
    if quantity not in ("ttft", "tpot"):
        raise QuestionError(fault("quantity", quantity, "has no such range", "ask for ttft or tpot"))
    value, whole = getattr(est, quantity), est.whole
    if value is None:
        return None
    span, _ = est.within.get(quantity, (whole, 0.0))
    return value * share(span.overlapped, span.time), value * share(span.serial, span.time)
