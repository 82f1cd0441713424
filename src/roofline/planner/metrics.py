"""Metrics of configurations: quantities by name, which direction is better, how limits on them are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np
from attrs import frozen

from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.quantities import quantity as quantity_of
from roofline.core.units import (
    BYTE,
    DOLLAR,
    DOLLAR_RATE,
    HERTZ,
    JOULE,
    ONE,
    SECOND,
    WATT,
    Num,
    Unit,
    show,
)


@frozen
class Metric:
    """A quantity of an answer.

    Attributes:
        column: its name in tables, with its unit.
        said: in words.
        unit: of the library's own; a limit may be written as text in any unit of that kind.
        least: whether less is better.
        of: what reads it from an answer; None where an attribute of its name does.
        sure: the quantity whose interval it shares; "" for none.
    """

    column: str
    said: str
    unit: Unit = ONE
    least: bool = False
    of: Callable[[Any], Any] | None = None
    sure: str = ""


def _power(est: Any) -> Num | None:
    each = est.system.power_per_chip
    return None if each is None else each * est.chips


def _hall(est: Any) -> Num | None:
    return est.power("hall")  # type: ignore[no-any-return]


def _cost_per_hour(est: Any) -> Num | None:
    each = est.system.price_per_chip
    return None if each is None else each * est.chips


def _per_dollar(est: Any) -> Num | None:
    rent, rate = _cost_per_hour(est), est.tokens_per_second
    return None if rent is None or rate is None else rate / rent


def _per_watt(est: Any) -> Num | None:
    power, rate = _power(est), est.tokens_per_second
    return None if power is None or rate is None else rate / power


def _memory(est: Any) -> Num:
    return est.fullest  # type: ignore[no-any-return]


METRICS: Final[Mapping[str, Metric]] = {
    "tokens_per_second": Metric("tokens_per_s", "tokens/s", HERTZ, sure="tokens_per_second"),
    "tokens_per_second_per_chip": Metric("tokens_per_s_per_chip", "tokens/s per chip", HERTZ, sure="tokens_per_second_per_chip"),
    "tokens_per_second_per_user": Metric("tokens_per_s_per_user", "tokens/s per user", HERTZ, sure="tokens_per_second_per_user"),
    "tokens_per_second_per_watt": Metric("tokens_per_s_per_w", "tokens/s per watt", of=_per_watt),
    "tokens_per_second_per_dollar": Metric("tokens_per_usd", "tokens per dollar", of=_per_dollar),
    "prompt_tokens_per_second": Metric("prompt_tokens_per_s", "prompt tokens/s", HERTZ),
    "prompt_tokens_per_second_per_chip": Metric("prompt_tokens_per_s_per_chip", "prompt tokens/s per chip", HERTZ),
    "requests_per_second": Metric("requests_per_s", "requests/s", HERTZ),
    "ttft": Metric("ttft_s", "TTFT", SECOND, least=True, sure="ttft"),
    "tpot": Metric("tpot_s", "TPOT", SECOND, least=True, sure="tpot"),
    "step_time": Metric("step_time_s", "step time", SECOND, least=True, sure="step_time"),
    "memory": Metric("memory_bytes", "bytes on the fullest chip", BYTE, least=True, of=_memory),
    "chips": Metric("chips", "chips", least=True),
    "power": Metric("power_w", "rated power", WATT, least=True, of=_power),
    "hall_power": Metric("hall_power_w", "power drawn by the building", WATT, least=True, of=_hall),
    "rent": Metric("rent_usd_per_s", "cost per hour", DOLLAR_RATE, least=True, of=_cost_per_hour),
    "joules_per_token": Metric("joules_per_token", "energy per token", JOULE, least=True),
    "dollars_per_million_tokens": Metric("dollars_per_million_tokens", "cost of a million tokens", DOLLAR, least=True),
    "dollars_per_trillion_tokens": Metric("dollars_per_trillion_tokens", "cost of a trillion tokens", DOLLAR, least=True),
    "bubble": Metric("bubble_s", "bubble", SECOND, least=True),
    "exposed": Metric("exposed_s", "exposed communication", SECOND, least=True),
}  # fmt: skip
"""Every quantity that configurations can be ranked by or held to."""


def metric(name: str, what: str = "metric") -> Metric:
    """Return a metric by its name: a key of :data:`METRICS`, or a time at a percentile such as ``ttft_p99``.

    Args:
        what: what it is called in a message.

    Raises:
        UnknownNameError: no such metric.

    >>> metric("tpot_p90").said
    'TPOT p90'
    """
    if name in METRICS:
        return METRICS[name]
    at = _AT_PERCENTILE.fullmatch(name)
    if at is None:
        raise unknown(what, name, METRICS)
    time = METRICS[at[1]]
    return Metric(
        f"{name}_s", f"{time.said} p{at[2]}", time.unit, least=True, of=_percentile(at[1], float(at[2])), sure=at[1]
    )


_AT_PERCENTILE: Final = re.compile(r"(ttft|tpot)_p([1-9][0-9]?(?:\.[0-9]+)?)")


def _percentile(time: str, percent: float) -> Callable[[Any], Num | None]:
    def of(est: Any) -> Num | None:
        at = getattr(est, f"{time}_percentile", None)
        return None if at is None else at(percent)

    return of


def measure(est: Any, name: str) -> Num | None:
    """Return a metric of an answer; None where it has no meaning there, or where a number that it needs is not known."""
    of = metric(name).of
    return getattr(est, name, None) if of is None else of(est)


def bounded(name: str, value: object) -> float:
    """Return a limit on a metric, from a number or from text with a unit: at most of what should be little, else at least.

    Raises:
        QuestionError: not one number above 0. UnitError: of another unit. UnknownNameError: no such metric.

    >>> bounded("tpot", "50ms"), bounded("power", "120 kW")
    (0.05, 120000.0)
    """
    known = metric(name)
    plain = (
        isinstance(value, str) and known.unit in _PLAIN and re.fullmatch(r"\s*[0-9.]+(?:[eE][+-]?[0-9]+)?\s*", value)
    )
    out = float(cast("str", value)) if plain else quantity_of(name, value, known.unit)
    if isinstance(out, np.ndarray) or not 0 < out < np.inf:
        raise QuestionError(fault(name, value, "a limit is one number above 0"))
    return out


_PLAIN: Final = (ONE, HERTZ, JOULE, DOLLAR)
"""Units in which text needs none: counts, rates per second, joules and dollars."""


def shortfall(name: str, limit: float) -> str:
    """Return what a configuration misses that breaks a limit.

    >>> shortfall("tpot", 0.05), shortfall("tokens_per_second", 1000.0)
    ('TPOT above 50 ms', 'tokens/s below 1,000')
    """
    known = metric(name)
    return f"{known.said} {'above' if known.least else 'below'} {quantity(name, limit)}"


def quantity(name: str, value: float, digits: int = 4) -> str:
    """Return a value of a metric as a person writes it."""
    unit = metric(name).unit
    if unit in (ONE, HERTZ):
        return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
    return show(value, unit, digits)
