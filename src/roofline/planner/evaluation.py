"""A question at one point, or at every point of the arrays in it, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, assert_never, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline.core.arrays import DETAILED, blocks, sizes, take
from roofline.core.errors import QuestionError, fault
from roofline.core.remember import Lazy
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.passes import decode, decode_step, prefill
from roofline.inference.service import serve
from roofline.operators.feasibility import Rule
from roofline.operators.memory import Footprint
from roofline.operators.training_memory import States
from roofline.results.estimate import Estimate
from roofline.results.training import Training
from roofline.training.step import on_pipeline, passes
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Question, Serve, TrainStep, tokens_per_step

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many are done, and how many there are."""

TABLE: Final = 16384
"""Points of a table that is priced at once, most of whose numbers are of its rows or columns alone."""
_ALIKE: Final = 0.8
"""Part of the loads of the first layout of a table that the others have at least."""
_FILLED_UP: Final = 1 / 8
"""Part of the cells of a table that may be filled up for layouts with fewer loads: that costs less than one more table does."""
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


def one_block(question: Question | TrainStep, system: System, layout: Layout, calibration: Calibration) -> Any:
    """Return the answer at every point of the arrays in its arguments, at once and in full: few enough of them for the caches."""
    if isinstance(question, TrainStep):
        return on_pipeline(question, system, layout, calibration, work=passes(question, system, layout, calibration))
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
        return [on_pipeline(question, system, each, calibration, work=work) for each in laid]

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
        found = found or [_Everywhere(shape, type(part), part.again) for part in parts]
        for whole, part in zip(found, parts, strict=True):
            whole.add(
                where,
                part,
                {name: getattr(part, name) for name in kept} | {name: getattr(part.memory, name) for name in stored},
            )
        if progress is not None:
            done += int(np.prod([s.stop - s.start for s in where]))
            progress(done, points)
    return [
        each.answer(
            asked,
            kept,
            memory(**{name: each.numbers[name] for name in stored}),
            Lazy(partial(_demanded, asked, price, i)),
        )
        for i, each in enumerate(found)
    ]


def _demanded(asked: tuple[Any, ...], price: Callable[..., Sequence[Any]], which: int) -> NDArray[np.float64]:
    """Return what the chips of an answer over many points ask for: recomputed, for the few who ask."""
    shape = sizes(*asked)
    out = np.empty(shape)
    for where in blocks(shape):
        out[where] = price(*take(asked, where))[which].demand
    return out


def listed(
    question: Serve,
    system: System,
    layouts: Layout,
    calibration: Calibration,
    *,
    which: NDArray[np.int64],
    requests: NDArray[np.float64],
    progress: Progress | None = None,
) -> Estimate:
    """Return the service under every chunk (first axis) and with every load of a list (second), each of one of the layouts.

    The numbers are those of :func:`answer` over the list. A list of many loads for each layout is priced as a table of layouts and
    loads, so that what depends on the layout alone is computed once for all of its loads.

    Args:
        question: with its chunks on the first of two axes.
        layouts: on one axis.
        which: the place of each load's layout, in ascending order; ``requests``: the requests in flight.
    """
    whole = layouts.select(which)
    asked = (attrs.evolve(question, concurrency=requests), system, whole, calibration)
    chunks = np.ravel(cast("NDArray[np.float64]", question.chunk))
    points = chunks.size * which.size
    if points <= DETAILED:
        return answer(*asked, progress)
    stored = tuple(field.name for field in attrs.fields(Footprint))
    out: _Everywhere | None = None
    done = 0
    for some, place, ours in _tables(which, max(TABLE // np.size(chunks), 1)):
        part = _evaluate(
            attrs.evolve(question, concurrency=requests[place], chunk=chunks[:, None, None]),
            system,
            layouts.select(some),
            calibration,
        )
        out = out or _Everywhere((np.size(chunks), np.size(which)), type(part), part.again)
        numbers = {name: getattr(part, name) for name in _KEPT} | {name: getattr(part.memory, name) for name in stored}
        shape, columns = (np.size(chunks), *place.shape), place[ours]

        def cut(value: Any, shape: tuple[int, ...] = shape, ours: NDArray[np.bool_] = ours) -> Any:
            return np.broadcast_to(value, shape)[:, ours]

        out.add(
            (slice(None), columns),
            part,
            {name: value if value is None else cut(value) for name, value in numbers.items()},
            cut,
        )
        if progress is not None:
            done += np.size(chunks) * np.size(columns)
            progress(done, points)
    assert out is not None  # noqa: S101, there are points
    memory = Footprint(**{name: out.numbers[name] for name in stored})
    demand = Lazy(partial(_demanded, asked, lambda *each: (_evaluate(*each),), 0))
    return cast("Estimate", out.answer(asked, _KEPT, memory, demand))


def stepping(
    question: Decode,
    system: System,
    layouts: Layout,
    calibration: Calibration,
    *,
    which: NDArray[np.int64],
    batch: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the TPOT of a decode step with each batch of a list, each under one of the layouts, priced as a table as :func:`listed` does.

    Args:
        layouts: on one axis.
        which: the place of each batch's layout, in ascending order.
    """
    out = np.empty(which.size)
    for some, place, ours in _tables(which, TABLE):
        span = decode_step(attrs.evolve(question, batch=batch[place]), system, layouts.select(some), calibration)
        out[place[ours]] = np.broadcast_to(span.time / tokens_per_step(question), place.shape)[ours]
    return out


def _tables(
    which: NDArray[np.int64], most: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Cut a list into tables of at most ``most`` cells, or one column: layouts (columns) and their loads (rows).

    Yields:
        The layouts; for each cell its place in the list; and whether it is a load of its own. The columns of a table are of layouts with
        nearly as many loads, or of so few that it does not matter, and shorter ones repeat their last.
    """
    first = np.flatnonzero(np.diff(which, prepend=-1))
    found, counts = which[first], np.diff(first, append=which.size)
    order = np.argsort(-counts, kind="stable")
    at = 0
    while at < len(order):
        longest = int(counts[order[at]])
        alike = order[at : at + max(most // longest, 1)]
        filled_up = np.cumsum(longest - counts[alike])
        alike = alike[(counts[alike] >= _ALIKE * longest) | (filled_up <= _FILLED_UP * most)]
        rows = np.arange(longest)[:, None]
        yield found[alike], first[alike] + np.minimum(rows, counts[alike] - 1), rows < counts[alike]
        at += len(alike)


@attrs.define(eq=False)
class _Everywhere:
    """An answer over more points than are kept whole, as blocks of it come in."""

    shape: tuple[int, ...]
    kind: Any
    again: Callable[..., Any]
    numbers: dict[str, NDArray[np.float64]] = attrs.field(factory=dict)
    rules: dict[str, Rule] = attrs.field(factory=dict)
    said: dict[str, None] = attrs.field(factory=dict)

    def add(
        self, where: Any, part: Any, numbers: Mapping[str, Any], cut: Callable[[Any], Any] = lambda value: value
    ) -> None:
        """Take in one block, of whose masks ``cut`` makes values at the places ``where``."""
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
            cast("NDArray[np.bool_]", whole.ok)[where] = cut(rule.ok)
            self.rules[rule.key] = attrs.evolve(whole, limit=np.maximum(np.max(whole.limit), np.max(rule.limit)))

    def answer(
        self, asked: tuple[Any, ...], kept: tuple[str, ...], memory: Any, demand: Lazy[NDArray[np.float64]]
    ) -> Any:
        """Return the whole."""
        return self.kind(
            *asked,
            **{name: self.numbers.get(name) for name in kept},
            memory=memory,
            demand=demand,
            again=self.again,
            rules=tuple(self.rules.values()),
            remarks=tuple(self.said),
        )
