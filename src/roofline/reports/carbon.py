"""The CO2 of an answer on a grid, as fields and as a line of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from roofline.core.text import figure
from roofline.core.units import Num
from roofline.results.campaign import Campaign
from roofline.results.energy import intensity
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.results.simulation import Simulation
from roofline.results.training import Training

Emitting: TypeAlias = Estimate | Pools | Training | Simulation | Campaign
"""What takes energy."""
NO_POWER: Final = "no rated power is published; give power (--power 1.2kW)"
_NO_ANSWER: Final = "no configuration is accepted"
_ENDLESS: Final = "none: more requests arrive than are served"


def refused(grid: str | None) -> None:
    """Refuse a grid that is not known, before anything is estimated.

    Raises:
        QuestionError: no such grid, or a number below 0.
    """
    if grid is not None:
        intensity(grid)


def _amount(answer: Emitting | None, grid: str) -> tuple[str, str, Num | None]:
    """Return the name of the field, the words and the value of what an answer gives off."""
    match answer:
        case Campaign():
            return "t", "t of CO2 of the run", answer.tonnes_of_carbon(grid)
        case Training():
            words = "g of CO2 per million tokens"
            return "g_per_million_tokens", words, answer.grams_of_carbon_per_million_tokens(grid)
        case _:
            grams = None if answer is None else answer.grams_of_carbon_per_million_tokens(grid)
            return "g_per_million_output_tokens", "g of CO2 per million output tokens", grams


def _missing(answer: Emitting | None, value: Num | None) -> str:
    """Return why there is no value; "" where there is one."""
    if answer is None:
        return _NO_ANSWER
    if value is None:
        if isinstance(answer, Simulation) and not answer.completed:
            return "no request was served"
        if isinstance(answer, Simulation) and answer.prefill_system is not None:
            return "the pools are of two systems"
        return NO_POWER
    return "" if np.isfinite(value) else _ENDLESS


def record(answer: Emitting | None, grid: str) -> dict[str, Any]:
    """Return the CO2 of an answer for one point as fields; units are in the names, and ``null_because`` says why one is null."""
    name, _, value = _amount(answer, grid)
    missing = _missing(answer, value)
    return {
        "grid": grid,
        "g_per_kwh": float(intensity(grid)),
        name: None if missing or value is None else float(value),
        "null_because": {name: missing} if missing else {},
    }


def line(answer: Emitting | None, grid: str) -> str:
    """Return the CO2 of an answer for one point in words."""
    _, words, value = _amount(answer, grid)
    missing = _missing(answer, value)
    if missing or value is None:
        return missing
    return f"{figure(float(value), 3)} {words}, of the building, at {figure(float(intensity(grid)))} g/kWh ({grid})"


def added(told: Mapping[str, Any], answer: Emitting | None, grid: str | None) -> dict[str, Any]:
    """Return the fields of an answer, with those of its CO2 under ``carbon`` where a grid is given."""
    return dict(told) | ({} if grid is None else {"carbon": record(answer, grid)})


def below(text: str, answer: Emitting | None, grid: str | None) -> str:
    """Return the text of an answer, with a line of its CO2 where a grid is given."""
    return text if grid is None else f"{text}\n\ncarbon: {line(answer, grid)}"
