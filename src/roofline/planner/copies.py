"""How many copies of a configuration the power of a building allows, and their total throughput."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.units import WATT, Num, show
from roofline.hardware.hardware import System
from roofline.planner.metrics import measure
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools


def known_power(value: Num | None, system: System, most: object) -> None:
    """Refuse a limit on the power of the building where no rated power is known.

    Raises:
        QuestionError: it is not known.
    """
    if value is None:
        raise QuestionError(fault("hall_power", most, f"no rated power of {system.name} is known", "give power"))


def filled(most: float, power: Num, rate: Num) -> NDArray[np.float64]:
    """Return the tokens/s of all copies of configurations that a power of the building allows."""
    return np.asarray(np.nan_to_num(np.floor(most / power) * rate, nan=-np.inf))


def copied(best: Estimate | Pools | None, most: float | None) -> dict[str, float] | None:
    """Return the copies of a configuration that a power of the building allows, and what they give; None without configuration or limit."""
    if best is None or most is None:
        return None
    each, rate = float(measure(best, "hall_power") or np.nan), float(best.tokens_per_second or 0.0)
    copies = int(np.floor(most / each))
    return {
        "copies": copies,
        "chips": copies * int(best.chips),
        "power_w": copies * each,
        "output_tokens_per_s": copies * rate,
    }


def copies_in_words(room: Mapping[str, float], most: float) -> str:
    """Return the copies of a configuration within a power of the building as a line of text."""
    power = f"{show(room['power_w'], WATT, 3)} of {show(most, WATT, 3)}"
    count = f"{room['copies']:,} cop{'y' if room['copies'] == 1 else 'ies'}"
    return (
        f"{count} of it, {room['chips']:,} chips: {room['output_tokens_per_s']:,.0f} tokens/s, {power} of the building"
    )
