"""Caches prices of operations that occur several times in a training step."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter
from typing import Final

import numpy as np

from roofline.core.arrays import anywhere
from roofline.core.remember import remembered
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.operators.operations import Message, Op, Operation
from roofline.physics.collectives import links
from roofline.physics.kernels import Cost, kernels

_MIRRORED: Final[Mapping[str, str]] = {"reduce_scatter": "all_gather", "combine": "dispatch"}
"""Messages that take as long as their mirror images."""
_NUMBERS_OF_OPS: Final = attrgetter(
    "flops", "bytes", "launches", "staging", "elsewhere", "depth", "items", "hits", "scores", "rows"
)
_NUMBERS_OF_MESSAGES: Final = attrgetter("size", "group", "stride", "copies", "rows", "groups", "among")


def price(work: Operation, system: System, calibration: Calibration) -> Cost:
    """Return the time of one piece of work on one rank of a system."""
    return pricer(system, calibration)(work)


@remembered(64)
def pricer(system: System, calibration: Calibration) -> Callable[[Operation], Cost]:
    """Return what prices each piece of work on one rank of a system."""
    op, message = kernels(system.chip, calibration).price, links(system.tiers, calibration).price

    def of(work: Operation) -> Cost:
        if isinstance(work, Op):
            return op(work)
        # A group of one sends nothing.
        return message(work) if anywhere(work.group > 1) else Cost(0.0)

    return of


def prices(system: System, profile: Calibration) -> Callable[[Operation], Cost]:
    """Return what prices a work on a system, and remembers it.

    A layer that is recomputed, a gather and the scatter that is its mirror image, are operations of one price.

    >>> from roofline.catalog import profile, system
    >>> of = prices(system("dgx-h100"), profile("ideal", system("dgx-h100")))
    >>> of(Op("up", "gemm", "bf16", 9e14, 1e9)) is of(Op("again up", "gemm", "bf16", 9e14, 1e9))
    True
    """
    known: dict[tuple[Hashable, ...], list[tuple[Operation, Cost]]] = {}
    price = pricer(system, profile)

    def of(work: Operation) -> Cost:
        if isinstance(work, Message) and not anywhere(work.group > 1):
            return Cost(0.0)
        met = known.setdefault(_kind(work), [])
        for before, cost in met:
            if _alike(work, before):
                return cost
        cost = price(work)
        met.append((work, cost))
        return cost

    return of


def _kind(work: Operation) -> tuple[Hashable, ...]:
    """Return what works of one price have in common: words, and numbers, of an array the first."""
    if isinstance(work, Op):
        return work.kernel, work.rate, work.form, *map(_first, _NUMBERS_OF_OPS(work))
    return "", _MIRRORED.get(work.collective, work.collective), *map(_first, _NUMBERS_OF_MESSAGES(work))


def _first(value: Num) -> Hashable:
    return (value.shape, value.item(0)) if isinstance(value, np.ndarray) else value


def _alike(one: Operation, other: Operation) -> bool:
    numbers = _NUMBERS_OF_OPS if isinstance(one, Op) else _NUMBERS_OF_MESSAGES
    return all(map(_same, numbers(one), numbers(other)))


def _same(one: Num, other: Num) -> bool:
    """Return whether two numbers, or arrays of one shape, are the same throughout."""
    return one is other or bool(np.all(one == other))
