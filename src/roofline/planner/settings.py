"""Resolves machine and calibration coefficients from keywords, with what was chosen or assumed."""

from __future__ import annotations

from typing import Any

import attrs

from roofline import catalog
from roofline.catalog.findings import findings
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import number, refuse
from roofline.core.quantities import quantity
from roofline.core.units import DOLLAR_RATE, HOUR, WATT, Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.hardware.numbers import with_number
from roofline.planner.words import EngineLike, SystemLike


def setting(
    system: SystemLike,
    *,
    level: str | Calibration = "calibrated",
    engine: EngineLike | None = None,
    launch: str = "graph",
    power: Num | str | None = None,
    price: Num | str | None = None,
    memory_fraction: Num | None = None,
) -> tuple[System, Calibration, list[str]]:
    """Return the machine and its calibration coefficients as an engine serves with them, and what was chosen or assumed."""
    described = catalog.system(system)
    # Findings are of the descriptor, whatever power and cost are put in place of its own.
    notes = [f"look at {finding}" for finding in findings(described)]
    rack = with_own(described, power, price)
    profile = _driven(catalog.profile(level, rack), rack, engine, launch)
    if memory_fraction is not None:
        profile = profile.filled(number(memory_fraction, "memory_fraction"))
    if isinstance(level, str) and level == "calibrated" and profile.level != "calibrated":
        notes.append(f"no profile was fitted for {rack.package.name}: generic coefficients are used")
    return rack, profile, notes


def _driven(profile: Calibration, rack: System, engine: EngineLike | None, launch: str) -> Calibration:
    """Return the profile as an engine drives it; one that was driven already, or is ideal, stays as it is unless one is named."""
    if launch not in ("graph", "eager"):
        raise QuestionError(fault("launch", launch, "no such way to launch kernels", "graph or eager"))
    if engine is not None or (profile.level != "ideal" and profile.engine.name == "none"):
        profile = profile.driven(catalog.engine("generic" if engine is None else engine, rack))
    return profile.eagerly() if launch == "eager" else profile


def with_own(rack: System, power: Num | str | None, price: Num | str | None) -> System:
    """Return a system with the power and the cost per chip that a caller puts in place of its own."""
    change: dict[str, Any] = {}
    if power is not None:
        watts = quantity("power", power, WATT)
        refuse("power", watts, 0.0, strict=True)
        rack = with_number(rack, "power", watts)
    if price is not None:
        rent = quantity("price", price, DOLLAR_RATE)
        refuse("price", rent * HOUR, 0.0, strict=True)
        change["price"] = rent * rack.chips
    return attrs.evolve(rack, **change) if change else rack
