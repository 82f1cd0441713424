r"""The probability that one answer is better than another, with shared errors.

Errors are log-normal: an 80 % interval from y / w to y w says :math:`\sigma = \ln w / 1.2816`. Of two answers

.. math:: P(a > b) = \Phi\left(\frac{\ln (y_a / y_b)}{\sqrt{\operatorname{var}(\epsilon_a - \epsilon_b)}}\right)

where what is wrong in both cancels. Constants of one profile on one chip are wrong by the same factor, so that of a class of
kernels or links only the difference of its shares in the two times is left. What is not explained by kernels is alike in part, as much as
errors of measured runs are (``hardware/evidence/alike.csv``, by ``scripts/distance.py``); assumed numbers of one machine are the same mistake in both answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.errors import QuestionError, fault
from roofline.core.signatures import typed
from roofline.core.units import DOLLAR_RATE, HOUR, show
from roofline.operators.operations import Op
from roofline.physics.spans import Span
from roofline.planner.metrics import measure, metric
from roofline.results import citations
from roofline.results.estimate import Estimate
from roofline.results.training import Training
from roofline.workload.questions import KEPT_ERROR, TrainStep, accept_length_is_assumed

Z80: Final = 1.2815515655446004
"""Standard deviations from the middle of a normal distribution to the end of its 80 % interval."""

Answered: TypeAlias = Estimate | Training
"""An answer about serving or a step of training."""

_TIME: Final = {
    "ttft": "ttft", "tpot": "tpot", "step_time": "step_time", "prompt_tokens_per_second": "ttft",
    "prompt_tokens_per_second_per_chip": "ttft",
}  # fmt: skip


def _time(est: Any, quantity: str) -> str:
    """Return the time with which a quantity moves."""
    if isinstance(est.question, TrainStep):
        return "step_time"
    return _TIME.get(quantity, "ttft" if est.tpot is None else "tpot")


@frozen
class _Doubt:
    """Half-widths, in logarithms, of what may be wrong in one time: by class of kernel or link, and besides."""

    classes: Mapping[str, float]
    rest: float
    assumed: float
    drafts: float

    @property
    def kernels(self) -> float:
        """Of all classes together."""
        return math.sqrt(sum(half**2 for half in self.classes.values()))

    @property
    def whole(self) -> float:
        """Of all causes together: what the interval shows."""
        return math.sqrt(self.kernels**2 + self.rest**2 + self.assumed**2 + self.drafts**2)


def doubt(est: Answered, name: str) -> _Doubt:
    """Return what may be wrong in a time of an answer for one point, cause by cause.

    Raises:
        QuestionError: it has no interval.
    """
    pair, priced = est.interval(name), cast("Any", est)
    if pair is None:
        raise QuestionError(
            fault("level", est.calibration.level, "a bound has no odds", "ask at the level generic or calibrated")
        )
    half = float(np.log(pair[1] / pair[0])) / 2
    training = isinstance(priced.question, TrainStep)
    span = priced.whole if training else priced.within.get(name, (priced.whole, 0.0))[0]
    assumed = math.sqrt(float(citations.assumed(priced.system, span))) * priced.calibration.assumed_error
    drafts = KEPT_ERROR * bool(accept_length_is_assumed(priced.question)) if name == "tpot" else 0.0
    own = math.sqrt(max(half**2 - assumed**2 - drafts**2, 0.0))
    # What runs near the question differ by holds the errors of kernels and links; these may not exceed it.
    classes = _classes(span)
    kernels = math.sqrt(sum(each**2 for each in classes.values()))
    part = min(1.0, own / kernels) if kernels else 0.0
    rest = math.sqrt(max(own**2 - (part * kernels) ** 2, 0.0))
    return _Doubt({key: part * each for key, each in classes.items()}, rest, assumed, drafts)


def _classes(span: Span) -> dict[str, float]:
    """Return the error that each class of kernel or link leaves of a span, as :meth:`roofline.physics.spans.Span.error` adds them."""
    out: dict[str, float] = {}
    for work, cost, times in span.leaves():
        key = work.kernel if isinstance(work, Op) else "host" if work is None else work.collective
        out[key] = out.get(key, 0.0) + float(np.sum(cost.time * cost.error * times) / span.time)
    return out


def shared(a: Answered, b: Answered, name: str) -> float:
    """Return the part of what is not explained by kernels that two answers have in common."""
    common = {"chip": a.system.package.name == b.system.package.name, "model": a.question.model.name == b.question.model.name,
              "software": _software(a) == _software(b)}  # fmt: skip
    alike = frozenset(key for key, same in common.items() if same)
    return catalog.evidence().alike.get((name, alike), 0.0)


def _software(est: Any) -> tuple[str, str]:
    return est.calibration.engine.name, est.calibration.framework.name


def apart(a: Answered, b: Answered, quantity: str) -> float:
    """Return the half-width, in logarithms, of the 80 % interval of the ratio of two answers."""
    name = _time(a, quantity)
    mine, theirs, part = doubt(a, name), doubt(b, _time(b, quantity)), shared(a, b, name)
    same_chip = a.system.package.name == b.system.package.name
    if same_chip and a.calibration.name == b.calibration.name:
        keys = {*mine.classes, *theirs.classes}
        kernels = sum((mine.classes.get(key, 0.0) - theirs.classes.get(key, 0.0)) ** 2 for key in keys)
    else:
        kernels = _differ(mine.kernels, theirs.kernels, part)
    rest = _differ(mine.rest, theirs.rest, part)
    assumed = _differ(mine.assumed, theirs.assumed, 1.0 if a.system.name == b.system.name else 0.0)
    return math.sqrt(max(kernels + rest + assumed + _differ(mine.drafts, theirs.drafts, 1.0), 0.0))


def _differ(one: float, other: float, shared: float) -> float:
    """Return the square of the half-width of a difference of which a part is shared.

    >>> _differ(3.0, 4.0, 0.0), _differ(3.0, 4.0, 1.0)
    (25.0, 1.0)
    """
    return one**2 + other**2 - 2 * shared * one * other


@typed
def probability(a: Answered, b: Answered, quantity: str = "tokens_per_second_per_chip") -> float:
    """Return the probability that an answer is better than another in a metric, each for one point.

    Args:
        a: the answer that may be better.
        b: the answer it is compared with.
        quantity: a time, a rate, or what moves with one, such as ``dollars_per_million_tokens``; the sizes of deployments, prices
            and rated powers are taken to be right.

    Returns:
        A chance from 0 to 1.

    Raises:
        QuestionError: many points, a metric that one of them does not have, or no interval (the ideal level).

    >>> from roofline.planner.estimate import estimate
    >>> four, eight = (estimate("llama-3.1-70b", "dgx-h100", tp=tp, dtype="fp8", concurrency=64) for tp in (4, 8))
    >>> 0.5 < probability(four, eight) < 1
    True
    """
    known = metric(quantity)
    values = []
    for est in (a, b):
        if est.shape:
            raise QuestionError(fault("shape", est.shape, "odds are of one point each", "pick one with .at(index)"))
        value = measure(est, quantity)
        if value is None or not np.isfinite(value):
            raise QuestionError(fault("quantity", quantity, f"has no meaning for {est!r}", "ask for another"))
        values.append(float(value))
    lead = math.log(values[0] / values[1]) * (-1 if known.least else 1)
    half = apart(a, b, quantity)
    if half == 0:
        return 0.5 if lead == 0 else float(lead > 0)
    return 0.5 * (1 + math.erf(lead / (half / Z80) / math.sqrt(2)))


@frozen
class BreakEven:
    """The cost per hour of a chip of one answer at which its tokens cost as much as those of another.

    Attributes:
        price: dollars a second.
        low: lower end of its 80 % interval.
        high: upper end of it.
        now: what is known of it; None where it is not known.
    """

    price: float
    low: float
    high: float
    now: float | None

    def __str__(self) -> str:
        ends = " - ".join(show(end, DOLLAR_RATE, 3) for end in (self.low, self.high))
        known = "" if self.now is None else f"; it is {show(self.now, DOLLAR_RATE, 3)}"
        return f"{show(self.price, DOLLAR_RATE, 3)} per chip, 80 % within {ends}{known}"

    def to_dict(self) -> dict[str, float | None]:
        """Return it under names of the machine-readable form."""
        values = {"price": self.price, "low": self.low, "high": self.high, "now": self.now}
        return {f"{name}_usd_per_hour": None if value is None else value * HOUR for name, value in values.items()}


@typed
def break_even(a: Answered, b: Answered) -> BreakEven:
    """Return the cost per hour of a chip of ``a`` at which its tokens cost as much as those of ``b``: below it ``a`` is the cheaper.

    Args:
        a: the answer on the machine whose cost is asked.
        b: the answer on a machine whose cost per hour is known.

    Returns:
        The cost per chip and hour with its interval.

    Raises:
        QuestionError: the cost per hour of ``b`` is not known, or an answer has many points.

    >>> from roofline.planner.estimate import estimate
    >>> new, old = (estimate("llama-3.1-70b", name, dtype="fp8", concurrency=64) for name in ("dgx-b200", "dgx-h100"))
    >>> old.system.price_per_chip < break_even(new, old).price < 3 * old.system.price_per_chip
    True
    """
    rent = b.system.price_per_chip
    if rent is None:
        raise QuestionError(fault("price", None, f"the cost per hour of {b.system.name} is not known", "give price"))
    name = "tokens_per_second_per_chip"
    mine, theirs = (measure(est, name) or measure(est, f"prompt_{name}") for est in (a, b))
    if mine is None or theirs is None or a.shape or b.shape:
        raise QuestionError("break_even: takes two answers for one point each, both with output tokens or both without")
    price, half, now = float(rent * mine / theirs), apart(a, b, name), a.system.price_per_chip
    return BreakEven(price, price * math.exp(-half), price * math.exp(half), None if now is None else float(now))
