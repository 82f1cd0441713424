r"""A power cap below the rated power: clocks of the matrix units fall until the chip draws no more, and steps take longer.

The clock f is the greatest at which :math:`d(f) / \max(d(1), 1) \le c`, with d the demand of :mod:`roofline.physics.energy` and c the cap
over the rated power. What a chip is held back by at its rated power is in the calibration already, hence the quotient.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

import attrs
import numpy as np

from roofline import catalog
from roofline.core.arrays import larger, pick
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.quantities import quantity
from roofline.core.units import WATT, Num, Ratio, Watts, show
from roofline.hardware.hardware import System
from roofline.results.answer import LayoutAnswer

AnswerT = TypeVar("AnswerT", bound=LayoutAnswer[Any, Any])

LOWEST: Final = 0.15
"""Clock below which no chip is taken to run: 210 of an H100's 1,980 MHz is 0.11, of an A100's 1,410 MHz 0.15."""
_ROUNDS: Final = 16


def capped(est: AnswerT, cap: Num | str) -> AnswerT:
    """Return an answer on chips under a power cap.

    Args:
        est: the answer at the rated power.
        cap: of each package: watts, or text such as ``"500 W"``. One above the rated power changes nothing.

    Raises:
        QuestionError: no rated power of the chip is known, or the chip draws more at its lowest clock.
    """
    watts = quantity("power_cap", cap, WATT)
    refuse("power_cap", watts, 0.0, strict=True)
    rated, demand = _rated(est, cap)
    goal, most = watts / rated, larger(demand, 1.0)

    def at(clock: Ratio) -> AnswerT:
        return _at(est, clock, watts)

    def asked(clock: Ratio) -> Num:
        return cast("Num", at(clock).demand) / most

    least = asked(LOWEST)
    if np.any(least > goal):
        floor = show(float(np.max(least * rated)), WATT, 3)
        raise QuestionError(
            fault("power_cap", cap, f"{est.system.package.name} draws {floor} at its lowest clock", "give a higher cap")
        )
    enough = demand / most <= goal
    low: Num = pick(enough, 1.0, LOWEST)
    high: Num = pick(enough, 1.0, 1.0)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        ok = asked(middle) <= goal
        low, high = pick(ok, middle, low), pick(ok, high, middle)
    clock = float(low) if np.ndim(low) == 0 else low
    out = at(clock)
    clock_text = (
        "the clock stays" if np.all(enough) else f"the matrix units run at {float(np.min(clock)):.0%} of their clock"
    )
    note = f"power cap of {show(float(np.min(watts)), WATT, 3)} per chip: {clock_text}"
    return attrs.evolve(out, choices=(*est.choices, note), candidates=None)


def lowest(est: LayoutAnswer[Any, Any]) -> tuple[Watts, Watts]:
    """Return the lowest power cap of a package under which an answer can be given, and its rated power.

    Raises:
        QuestionError: no rated power of the chip is known.
    """
    rated, demand = _rated(est, "lowest")
    return cast("Num", _at(est, LOWEST, rated).demand) / larger(demand, 1.0) * rated, rated


def _rated(est: LayoutAnswer[Any, Any], cap: Num | str) -> tuple[Watts, Ratio]:
    """Return the rated power of a package, and the share of it that a working chip asks for."""
    rated = catalog.energy().rated(est.system)
    if rated is None or est.demand is None:
        raise QuestionError(
            fault("power_cap", cap, f"no rated power of {est.system.name} is published", "give power too")
        )
    return rated, est.demand


def _at(est: AnswerT, clock: Ratio, limit: Num) -> AnswerT:
    """Return an answer at a part of the clock."""
    return cast("AnswerT", est.again(est.question, _slowed(est.system, clock, limit), est.layout, est.calibration))


def _slowed(system: System, clock: Ratio, limit: Num) -> System:
    """Return a system whose matrix units run at a part of their clock."""
    package = system.package
    peak = {rate: each * clock for rate, each in package.peak.items()}
    return attrs.evolve(system, package=attrs.evolve(package, peak=peak, clock=clock, limit=limit))
