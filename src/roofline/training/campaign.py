r"""A whole training run: time with failures, restarts and checkpoints, energy and cost.

.. math:: \text{time} = \frac{\lceil \text{tokens} / \text{tokens of a step} \rceil\; \text{step}}{g}, \qquad
   \text{energy} = \text{PUE}\; n P\, (\text{busy while it works, idle while it restarts})\; \text{time}

with g the part of the time that is useful (:mod:`roofline.physics.reliability`). A checkpoint is weights and states of the optimizer, once.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from roofline import catalog
from roofline.catalog.operations import OTHER
from roofline.core.arrays import larger, pick
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import MOST_TOKENS, number, refuse
from roofline.core.provenance import Fact, spread
from roofline.core.quantities import quantity
from roofline.core.units import (
    BYTE_RATE,
    DOLLAR_RATE,
    GIGA,
    MILLI,
    MILLION,
    SECOND,
    TERA,
    Count,
    Num,
    Seconds,
    Unit,
    show,
)
from roofline.physics import reliability
from roofline.results.campaign import Campaign, saved
from roofline.results.training import Training

__all__ = ["Campaign", "campaign", "saved"]

_COUNTS: Final = {"": 1.0, "k": 1 / MILLI, "M": MILLION, "B": GIGA, "G": GIGA, "T": TERA}
_COUNTED: Final = re.compile(r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?) ?(?P<scale>[kMBGT]?)")


def campaign(
    training: Training,
    tokens: Num | str = 15e12,
    *,
    mtbf: Num | str | None = None,
    checkpoint: Num | str | None = None,
    storage: Num | str | None = None,
    restart: Num | str | None = None,
    interval: Num | str | None = None,
    pue: Num | None = None,
    spares: Num = 0.0,
    price: Num | str | None = None,
) -> Campaign:
    """Return what a whole run takes: days, energy, cost, and the part of the time that is useful.

    Args:
        training: the answer for one step, such as ``roofline.planner.train.train`` gives.
        tokens: of the run: a number, or text such as ``"15T"``.
        mtbf: mean time between failures of the whole run: seconds, or text such as ``"3 h"``, ``inf`` for none; by default what was
            published of the chip (``hardware/operation.toml``), over the number of chips.
        checkpoint: time for which a checkpoint stops the run; by default until storage has taken it in. A lesser time, such as that
            of a copy to the hosts' memory, means that it is written behind the work.
        storage: bytes a second that storage takes in and gives back: a number, or text such as ``"2 TB/s"``.
        restart: from a failure to the loading of a checkpoint; loading comes on top.
        interval: useful work between checkpoints; by default the best, one step at least.
        pue: draw of the building over that of the machines in it.
        spares: chips that are rented beside those that work.
        price: cost of each chip: US dollars an hour, or text; by default the system's.

    Raises:
        QuestionError, UnitError: a word that is no number, of another unit, or out of bounds.

    >>> import roofline as rl
    >>> from roofline.planner.train import train
    >>> step = train("llama-3.1-8b", "dgx-h100", rl.Layout(tp=1, dp=1024), global_batch=1024, recompute="selective")
    >>> run = campaign(step, "15T")
    >>> int(run.steps), bool(run.days > run.days_ideal)
    (3576279, True)
    """
    known = catalog.operation()
    chips, chip, facts, remarks = training.chips, training.system.package.name, [], []

    def fact(name: str) -> Fact:
        found = next(each for each in known.facts if each.path == f"operation.{name}")
        facts.append(found)
        return found

    asked = _tokens(tokens)
    bounds: tuple[Seconds, Seconds] | None = None
    if mtbf is None:
        failures = known.failures(chip)
        facts.append(failures)
        each, bounds = reliability.fleet_mtbf(failures.value, chips), _bounds(known.facts, chips)
        whose = f"no record of {chip}: " if failures.path.endswith(OTHER) else ""
        remarks.append(f"{whose}a chip fails once in {failures.text} ({failures.source.title}); give mtbf of the run")
    else:
        each = _time_or_infinity("mtbf", _quantity("mtbf", mtbf, SECOND))
    if storage is None:
        usual = fact("storage")
        rate = usual.value * chips
        remarks.append(f"storage takes in {usual.text} for each chip ({usual.source.title})")
    else:
        rate = _positive("storage", _quantity("storage", storage, BYTE_RATE))
    written = saved(training.question) / rate
    paused = written if checkpoint is None else _not_negative("checkpoint", _quantity("checkpoint", checkpoint, SECOND))
    written = larger(written, paused)
    if restart is None:
        usual = fact("restart")
        again: Num = usual.value
        remarks.append(f"a restart takes {usual.text} ({usual.source.title}), and the loading of a checkpoint")
    else:
        again = _not_negative("restart", _quantity("restart", restart, SECOND))
    again = again + saved(training.question) / rate
    least = larger(training.step_time, written - paused)
    between = (
        larger(reliability.best_interval(each, paused), least)
        if interval is None
        else _time_or_infinity("interval", _quantity("interval", interval, SECOND))
    )
    if interval is not None and np.any(between < least):
        rule = f"is shorter than a step, or than the {show(float(np.max(written)), SECOND, 3)} until a checkpoint is written"
        raise QuestionError(fault("interval", interval, rule, "save less often"))
    if pue is None:
        usual = fact("pue")
        building: Num = usual.value
        remarks.append(f"the building draws {usual.text} times what its machines do; give pue")
    else:
        building = number(pue, "pue")
        refuse("pue", building, 1.0, 10.0)
    waiting = _not_negative("spares", number(spares, "spares"))
    rent = (
        training.system.price_per_chip if price is None else _positive("price", _quantity("price", price, DOLLAR_RATE))
    )
    return Campaign(
        training, asked, each, bounds, paused, written, again, between, building, waiting, rent, tuple(facts), tuple(remarks)
    )  # fmt: skip


def _tokens(value: Num | str) -> Count:
    """Return a count of tokens, as a number or as text.

    >>> _tokens("15.6T")
    15600000000000.0
    """
    if isinstance(value, str):
        match = _COUNTED.fullmatch(value.strip())
        if match is None:
            raise QuestionError(fault("tokens", value, "must be a number of tokens", "write for example 15T or 1.5e13"))
        value = float(match["number"]) * _COUNTS[match["scale"]]
    out = number(value, "tokens")
    refuse("tokens", out, 1.0, MOST_TOKENS * MILLION)
    return out


def _quantity(name: str, value: Num | str, unit: Unit) -> Num:
    """Return a quantity, given in the library's unit or as text; costs are per hour."""
    return np.inf if isinstance(value, str) and value.strip() == "inf" else quantity(name, value, unit)


def _positive(name: str, value: Num) -> Num:
    refuse(name, value, 0.0, strict=True)
    return value


def _not_negative(name: str, value: Num) -> Num:
    refuse(name, value, 0.0)
    return value


def _time_or_infinity(name: str, value: Num) -> Num:
    """Return a time above zero that may be infinite."""
    finite = pick(np.isposinf(value), 1.0, value)
    refuse(name, finite if np.ndim(finite) else float(finite), 0.0, strict=True)
    return value


def _bounds(facts: tuple[Fact, ...], chips: Count) -> tuple[Seconds, Seconds]:
    """Return the least and the greatest time between failures of so many chips, by all that was published of any chip."""
    ends = [end for fact in facts if ".mtbf." in fact.path for end in spread(fact)]
    return reliability.fleet_mtbf(min(ends), chips), reliability.fleet_mtbf(max(ends), chips)
