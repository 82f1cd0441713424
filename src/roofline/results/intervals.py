"""How sure an answer is: the interval that errors of kernels and assumptions leave, and what the idealisation leaves open."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np

from roofline.core.arrays import larger, share
from roofline.core.errors import QuestionError, fault
from roofline.core.units import Bytes, Num, Ratio, Seconds
from roofline.operators.memory import placed, state_bytes
from roofline.physics.queueing import PERCENT
from roofline.results import citations, energy
from roofline.workload.questions import KEPT_ERROR, guessed

FRONT_ERROR: Final = 0.7
"""Half-width of the 80 % interval of the front end's time, relative."""


_RATES = {
    "tokens_per_second": "tpot",
    "tokens_per_second_per_chip": "tpot",
    "tokens_per_second_per_user": "tpot",
    "prompt_tokens_per_second": "ttft",
}
"""Rates, and the times they move with."""


def interval(est: Any, quantity: str) -> tuple[Num, Num] | None:
    """Return the 80 % interval of a time or a rate of an answer; None without meaning, and at the ideal level, which only bounds.

    The half-width, in logarithms, combines in squares the errors of the kernels and links used, what is left when every kernel is
    right, and what was assumed about the hardware and of drafts; it is widened on chips unlike those the constants were found on.
    A rate moves as its time does.

    Raises:
        QuestionError: another quantity, or more points than details are kept for.
    """
    if quantity == "joules_per_token":
        return joules(
            est, interval(est, "ttft" if est.tpot is None else "tpot"), est.ttft if est.tpot is None else est.tpot
        )
    if quantity == "dollars_per_million_tokens":
        each, name = est.dollars_per_million_tokens, "ttft" if est.tpot is None else "tpot"
        value, pair = getattr(est, name), interval(est, name)
        return None if each is None or pair is None else (each * pair[0] / value, each * pair[1] / value)
    if quantity in _RATES:
        rate, name = getattr(est, quantity), _RATES[quantity]
        value, pair = getattr(est, name), interval(est, name)
        return None if rate is None or pair is None else (rate * value / pair[1], rate * value / pair[0])
    if quantity not in _RATES.values():
        raise QuestionError(
            fault(
                "quantity",
                quantity,
                "has no interval",
                "ask for ttft, tpot, tokens_per_second, joules_per_token or dollars_per_million_tokens",
            )
        )
    value, whole, profile = getattr(est, quantity), est.whole, est.calibration
    if value is None or np.all(np.isnan(value)) or profile.level == "ideal":
        return None
    span, prompts = est.within.get(quantity, (whole, 0.0))
    rest = prompts * profile.prompt_error + (1 - prompts) * profile.step_error
    half = np.sqrt(span.error() ** 2 + rest**2 + citations.assumed(est.system, span) * profile.assumed_error**2)
    if quantity == "tpot":
        half = np.sqrt(half**2 + (KEPT_ERROR * guessed(est.question)) ** 2)
    half = half * (1.0 if est.system.chip.vendor in profile.vendors else profile.elsewhere)
    return value * np.exp(-half), value * np.exp(half)


def joules(est: Any, pair: tuple[Num, Num] | None, value: Num | None) -> tuple[Num, Num] | None:
    """Return the 80 % interval of the energy of a token, from that of the time it takes.

    What is drawn whatever is done lasts as long as the time does; the energy of the work itself does not depend on it. Errors of power
    and of time add in squares.
    """
    each = est.joules_per_token
    if each is None or pair is None or value is None:
        return None
    at = est.working
    time = np.log(pair[1] / value) * energy.lingering(est, energy.SCOPE, at)
    half = np.sqrt(energy.error(est, energy.SCOPE, at) ** 2 + time**2)
    return each * np.exp(-half), each * np.exp(half)


def memory_error(est: Any) -> Bytes:
    """Return the half-width of the 80 % interval of what a chip holds, in bytes; 0 at the ideal level.

    Of serving ``sqrt((0.03 weights)^2 + spread^2)``, the spread being that of all that engines take for themselves; of training a part
    of activations and of what the allocator adds.
    """
    profile, memory = est.calibration, est.memory
    if profile.level == "ideal":
        return cast("Bytes", 0.0 * memory.total)
    ranks = placed(est.system, est.layout)
    other = profile.engine.memory.spread * ranks + profile.framework.memory_error * memory.activations
    wide = WEIGHTS_ERROR * memory.weights
    return cast("Bytes", np.sqrt(wide**2 + other**2))


def memory(est: Any, quantity: str) -> tuple[Num, Num] | None:
    """Return the 80 % interval of ``memory`` (bytes on the fullest chip), ``max_concurrency`` or ``kv_cache_tokens`` of an answer."""
    half = memory_error(est)
    if est.calibration.level == "ideal":
        return None
    if quantity == "memory":
        return est.memory.total - half, est.memory.total + half
    room = est.cache_room
    own = est.calibration.engine.memory
    cached = own.spread_state if np.any(state_bytes(est.question.model) > 0) else own.spread_cache
    wide = np.sqrt(share(half, larger(room, half)) ** 2 + cached**2)
    each = share(getattr(est, quantity), room)
    more = each * larger(half - room, 0.0)
    value = getattr(est, quantity)
    return value * larger(1 - wide, 0.0), value * (1 + wide) + more


def chance_of_fitting(est: Any) -> Ratio:
    """Return the chance that a chip holds its part: that of a logistic error whose 80 % interval is that of the memory.

    >>> from roofline.planner.estimate import estimate
    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    >>> float(est.fits_probability) > 0.99
    True
    """
    half, left = memory_error(est), est.capacity - est.memory.total
    if est.calibration.level == "ideal":
        return cast("Ratio", (left >= 0) * 1.0)
    return cast("Ratio", 1 / (1 + np.exp(-np.clip(_LOGIT_90 * left / larger(half, 1.0), -_FAR, _FAR))))


_LOGIT_90: Final = 2.197
"""Logit of 0.9: one tail of an 80 % interval."""
_FAR: Final = 500.0
WEIGHTS_ERROR: Final = 0.03
"""Half-width of the 80 % interval of weights as loaded, relative."""


def percentile(est: Any, p: Num) -> Seconds | None:
    """Return the time by which p per cent of the requests of a service have their first token; None for what is no service.

    Raises:
        QuestionError: p is not in (0, 100), or more points than details are kept for.

    >>> from roofline.planner.estimate import estimate
    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, rate=20.0)
    >>> float(est.ttft_percentile(50)) < float(est.ttft) < float(est.ttft_percentile(99))
    True
    """
    asked_percentile(est, p)
    return None if est.waits is None else cast("Num", est.waits.percentile(p))


def asked_percentile(est: Any, p: Num) -> None:
    """Refuse a share that is none, and an answer over more points than details are kept for.

    Raises:
        QuestionError: p is not in (0, 100), or details are gone.
    """
    if np.any(~((np.asarray(p) > 0) & (np.asarray(p) < PERCENT))):
        raise QuestionError(fault("p", p, f"must be above 0 and below {PERCENT:g}", "such as 90"))
    if est.in_flight is not None:
        _ = est.whole


def idealisation(est: Any, quantity: str) -> tuple[Seconds, Seconds] | None:
    """Return a time of an answer as if the resources of each operation worked side by side, and as if in turn.

    The truth lies between: the width is what is not known of how kernels overlap compute and memory.

    Raises:
        QuestionError: another quantity, or more points than details are kept for.
    """
    if quantity not in _RATES.values():
        raise QuestionError(fault("quantity", quantity, "has no such range", "ask for ttft or tpot"))
    value, whole = getattr(est, quantity), est.whole
    if value is None:
        return None
    span, _ = est.within.get(quantity, (whole, 0.0))
    return value * share(span.overlapped, span.time), value * share(span.serial, span.time)
