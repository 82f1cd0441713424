"""A question at one point, or at every point of the arrays in it, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline.answer import Estimate, Rule
from roofline.arrays import DETAILED, blocks, sizes, take
from roofline.calibration import Calibration
from roofline.footprint import Footprint
from roofline.hardware import System
from roofline.inference import decode, prefill
from roofline.layout import Layout
from roofline.serving import serve
from roofline.units import Num
from roofline.workload import Decode, Prefill, Question, Serve

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many are done, and how many there are."""

_KEPT: Final = (
    "ttft",
    "tpot",
    "tokens_per_second",
    "prompt_tokens_per_second",
    "cycle",
    "capacity",
    "max_concurrency",
    "in_flight",
)
_STORED: Final = tuple(field.name for field in attrs.fields(Footprint))


def _evaluate(question: Question, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    match question:
        case Prefill():
            return prefill(question, system, layout, calibration)
        case Decode():
            return decode(question, system, layout, calibration)
        case Serve():
            return serve(question, system, layout, calibration)
        case _:
            assert_never(question)


def answer(
    question: Question, system: System, layout: Layout, calibration: Calibration, progress: Progress | None = None
) -> Estimate:
    """Return the answer at every point of the arrays in its arguments, in blocks that stay in cache.

    Up to :data:`roofline.arrays.DETAILED` points all details are kept; beyond, the times, rates, memory and masks.

    Args:
        progress: called after each block.
    """
    asked = (question, system, layout, calibration)
    shape = sizes(*asked)
    points = int(np.prod(shape, dtype=np.int64))
    if points <= DETAILED:
        return _evaluate(*asked)
    whole: dict[str, NDArray[np.float64]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    said: dict[str, None] = {}
    done = 0
    for where in blocks(shape):
        part = _evaluate(*take(asked, where))
        for name, value in _numbers(part).items():
            whole.setdefault(name, np.empty(shape))[where] = value
        said |= dict.fromkeys(part.remarks)
        for rule in part.rules:
            masks.setdefault(rule.reason, np.empty(shape, dtype=bool))[where] = rule.ok
        if progress is not None:
            done += int(np.prod([s.stop - s.start for s in where]))
            progress(done, points)
    return Estimate(
        *asked,
        **{name: whole.get(name) for name in _KEPT},  # type: ignore[arg-type]
        memory=Footprint(**{name: whole[name] for name in _STORED}),
        again=_evaluate,
        rules=tuple(Rule(mask, reason) for reason, mask in masks.items()),
        remarks=tuple(said),
    )


def _numbers(est: Estimate) -> dict[str, Num]:
    """Return the numbers of an answer that are kept for every point."""
    found = {name: getattr(est, name) for name in _KEPT} | {name: getattr(est.memory, name) for name in _STORED}
    return {name: value for name, value in found.items() if value is not None}
