"""A question at one point, or at every point of the arrays in it, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, assert_never, cast

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
from roofline.states import States
from roofline.trained import Training
from roofline.training import train
from roofline.workload import Decode, Prefill, Question, Serve, TrainStep

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
_KEPT_OF_STEPS: Final = ("step_time", "bubble", "exposed", "hidden", "capacity", "micro_batches")


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
    return cast("Estimate", _everywhere(asked, _evaluate, Estimate, _KEPT, Footprint, progress))


def step(
    question: TrainStep, system: System, layout: Layout, calibration: Calibration, progress: Progress | None = None
) -> Training:
    """Return the answer about training at every point of the arrays in its arguments, as :func:`answer` does."""
    asked = (question, system, layout, calibration)
    return cast("Training", _everywhere(asked, train, Training, _KEPT_OF_STEPS, States, progress))


def _everywhere(
    asked: tuple[Any, System, Layout, Calibration],
    price: Callable[..., Any],
    kind: Callable[..., Any],
    kept: tuple[str, ...],
    memory: Callable[..., Any],
    progress: Progress | None,
) -> Any:
    """Return what ``price`` answers at every point, as one of its ``kind``: in full, or what is ``kept`` and its ``memory``."""
    shape = sizes(*asked)
    points = int(np.prod(shape, dtype=np.int64))
    if points <= DETAILED:
        return price(*asked)
    whole: dict[str, NDArray[np.float64]] = {}
    masks: dict[str, NDArray[np.bool_]] = {}
    said: dict[str, None] = {}
    stored = tuple(field.name for field in attrs.fields(cast("Any", memory)))
    done = 0
    for where in blocks(shape):
        part = price(*take(asked, where))
        numbers = {name: getattr(part, name) for name in kept} | {name: getattr(part.memory, name) for name in stored}
        for name, value in numbers.items():
            if value is not None:
                whole.setdefault(name, np.empty(shape))[where] = value
        said |= dict.fromkeys(part.remarks)
        for rule in part.rules:
            masks.setdefault(rule.reason, np.empty(shape, dtype=bool))[where] = rule.ok
        if progress is not None:
            done += int(np.prod([s.stop - s.start for s in where]))
            progress(done, points)
    return kind(
        *asked,
        **{name: whole.get(name) for name in kept},
        memory=memory(**{name: whole[name] for name in stored}),
        again=price,
        rules=tuple(Rule(mask, reason) for reason, mask in masks.items()),
        remarks=tuple(said),
    )
