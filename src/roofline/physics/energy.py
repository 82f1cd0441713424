"""Energy and cost of a rate of tokens, from a system's rated power and its cost per hour."""

from __future__ import annotations

from roofline.core.units import Count, Dollars, DollarsPerSecond, Joules, PerSecond, Ratio, Watts


def joules_per_token(power: Watts, fraction: Ratio, chips: Count, rate: PerSecond) -> Joules:
    """Return ``fraction * power * chips / rate``: the draw of the chips used over the tokens they make.

    ``power`` is rated power for each chip with its share of the system, ``fraction`` its mean draw over it, as
    :func:`drawn` gives it.

    >>> joules_per_token(2000.0, 0.7, 8.0, 5600.0)
    2.0
    """
    return fraction * power * chips / rate


def drawn(idle: Ratio, busy: Ratio, working: Ratio) -> Ratio:
    """Return the draw over the rated power of a system of which a part works: ``idle + (busy - idle) working``.

    >>> drawn(0.25, 0.75, 0.5)
    0.5
    """
    return idle + (busy - idle) * working


def dollars_per_token(price: DollarsPerSecond, chips: Count, rate: PerSecond) -> Dollars:
    """Return ``price * chips / rate``.

    >>> dollars_per_token(0.001, 8.0, 4000.0)
    2e-06
    """
    return price * chips / rate
