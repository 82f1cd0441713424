"""A question at one point, or at every point of the arrays in it, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline.core.arrays import DETAILED, blocks, sizes, take
from roofline.core.errors import QuestionError, fault
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.passes import decode, prefill
from roofline.inference.service import serve
from roofline.operators.feasibility import Rule
from roofline.operators.memory import Footprint
from roofline.operators.training_memory import States
from roofline.results.estimate import Estimate
from roofline.results.training import Training
from roofline.training.step import passes, played
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Question, Serve, TrainStep

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
    "demand",
)
_KEPT_OF_STEPS: Final = ("step_time", "bubble", "exposed", "hidden", "capacity", "micro_batches", "demand")


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


def one_block(question: Question | TrainStep, system: System, layout: Layout, calibration: Calibration) -> Any:
    """Return the answer at every point of the arrays in its arguments, at once and in full: few enough of them for the caches."""
    if isinstance(question, TrainStep):
        return played(question, system, layout, calibration, work=passes(question, system, layout, calibration))
    return _evaluate(question, system, layout, calibration)


def answer(
    question: Question, system: System, layout: Layout, calibration: Calibration, progress: Progress | None = None
) -> Estimate:
    """Return the answer at every point of the arrays in its arguments, in blocks that stay in cache.

    Up to :data:`roofline.core.arrays.DETAILED` points all details are kept; beyond, the times, rates, memory and masks.

    Args:
        progress: called after each block.
    """

    def price(*asked: Any) -> list[Estimate]:
        return [_evaluate(*asked)]

    (out,) = _everywhere((question, system, layout, calibration), price, _KEPT, Footprint, progress=progress)
    return cast("Estimate", out)


def step(question: TrainStep, system: System, layout: Layout, calibration: Calibration) -> Training:
    """Return the answer about training at every point of the arrays in its arguments, as :func:`answer` does."""
    return steps(question, system, layout, calibration, (layout.schedule,))[0]


def steps(
    question: TrainStep, system: System, layout: Layout, calibration: Calibration, schedules: Sequence[str]
) -> list[Training]:
    """Return the answer about training under each of some schedules; what they have in common is priced once."""

    def price(question: TrainStep, system: System, layout: Layout, calibration: Calibration) -> list[Training]:
        work = passes(question, system, layout, calibration)
        laid = (attrs.evolve(layout, schedule=schedule) for schedule in schedules)
        return [played(question, system, each, calibration, work=work) for each in laid]

    found = _everywhere((question, system, layout, calibration), price, _KEPT_OF_STEPS, States)
    return [
        attrs.evolve(each, layout=attrs.evolve(layout, schedule=schedule))
        for each, schedule in zip(cast("list[Training]", found), schedules, strict=True)
    ]


def _everywhere(
    asked: tuple[Any, System, Layout, Calibration],
    price: Callable[..., Sequence[Any]],
    kept: tuple[str, ...],
    memory: Callable[..., Any],
    *,
    progress: Progress | None = None,
) -> Sequence[Any]:
    """Return each of what ``price`` answers at every point: in full, or what is ``kept`` and its ``memory``."""
    shape = sizes(*asked)
    points = int(np.prod(shape, dtype=np.int64))
    if not points:
        raise QuestionError(fault("array shapes", shape, "hold no point", "give one number at least"))
    if points <= DETAILED:
        return price(*asked)
    stored = tuple(field.name for field in attrs.fields(cast("Any", memory)))
    found: list[_Everywhere] = []
    done = 0
    for where in blocks(shape):
        parts = price(*take(asked, where))
        found = found or [_Everywhere(shape, part) for part in parts]
        for whole, part in zip(found, parts, strict=True):
            whole.add(
                where,
                part,
                {name: getattr(part, name) for name in kept} | {name: getattr(part.memory, name) for name in stored},
            )
        if progress is not None:
            done += int(np.prod([s.stop - s.start for s in where]))
            progress(done, points)
    return [each.answer(asked, kept, memory(**{name: each.numbers[name] for name in stored})) for each in found]


@attrs.define(eq=False)
class _Everywhere:
    """An answer over more points than are kept whole, as blocks of it come in."""

    shape: tuple[int, ...]
    first: Any
    numbers: dict[str, NDArray[np.float64]] = attrs.field(factory=dict)
    rules: dict[str, Rule] = attrs.field(factory=dict)
    said: dict[str, None] = attrs.field(factory=dict)

    def add(self, where: Any, part: Any, numbers: Mapping[str, Any]) -> None:
        """Take in one block."""
        for name, value in numbers.items():
            if value is not None:
                if name not in self.numbers:
                    self.numbers[name] = np.full(self.shape, np.nan)
                self.numbers[name][where] = value
        self.said |= dict.fromkeys(part.remarks)
        for rule in part.rules:
            if rule.key not in self.rules:
                self.rules[rule.key] = attrs.evolve(rule, ok=np.ones(self.shape, dtype=bool))
            whole = self.rules[rule.key]
            cast("NDArray[np.bool_]", whole.ok)[where] = rule.ok
            self.rules[rule.key] = attrs.evolve(whole, limit=np.maximum(np.max(whole.limit), np.max(rule.limit)))

    def answer(self, asked: tuple[Any, ...], kept: tuple[str, ...], memory: Any) -> Any:
        """Return the whole."""
        return type(self.first)(
            *asked,
            **{name: self.numbers.get(name) for name in kept},
            memory=memory,
            again=self.first.again,
            rules=tuple(self.rules.values()),
            remarks=tuple(self.said),
        )
