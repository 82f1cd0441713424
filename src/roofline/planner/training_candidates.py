"""Candidate layouts of a training step, the valid ones, and the best that fits.

Sizes are arrays on two axes. Along the first lies what the work on one micro-batch depends on: the degrees that cut a layer, and
the sequences of a micro-batch; along the second stages and chunks. A layer is then priced once for all of the second. What is a
word and no number (recomputation, sharding, schedule) is a loop.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask
from roofline.core.errors import QuestionError, fault
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators.feasibility import Rule, some_tp, tensor_rules
from roofline.planner.evaluation import Progress, steps
from roofline.planner.frontier import order
from roofline.results.training import Training
from roofline.workload.layout import Layout, expert_tensors
from roofline.workload.questions import TrainStep

LONG: Final = 16384.0
"""Tokens of a sequence beyond which it is worth sharing one among ranks."""
MICRO_BATCHES: Final = (1.0, 2.0, 4.0, 8.0)
"""Sequences of a micro-batch that are tried."""
RECOMPUTED: Final = ("none", "selective", "full")
"""Recomputation that is tried, the least first."""

CHUNKED: Final = ("1f1b", "interleaved")
"""Schedules that take several chunks of layers a rank."""

_MOST_CP: Final = 64


@frozen
class Words:
    """Words of the structure that are tried: every combination of them.

    Attributes:
        recompute: what is recomputed in the backward pass.
        sharding: what data-parallel ranks do not keep copies of.
        schedule: order of the micro-batches on a pipeline.
    """

    recompute: tuple[str, ...] = RECOMPUTED
    sharding: tuple[str, ...] = ("zero1", "zero3")
    schedule: tuple[str, ...] = ("1f1b",)


@frozen(eq=False)
class Split:
    """All splits under one recomputation, sharding and schedule.

    Attributes:
        plans: their answer.
        whole: where the degrees make up the ranks.
    """

    plans: Training
    whole: NDArray[np.bool_]

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Where a configuration can be laid out and is held by memory."""
        return self.spread(self.plans.fits) & self.whole

    @property
    def divides(self) -> NDArray[np.bool_]:
        """Where a configuration can be laid out."""
        return self.spread(self.plans.divides) & self.whole

    @property
    def time(self) -> NDArray[np.float64]:
        """Time of a step."""
        return self.spread(self.plans.step_time)

    @property
    def memory(self) -> NDArray[np.float64]:
        """Bytes on the fullest chip."""
        return self.spread(self.plans.memory.total)

    @property
    def capacity(self) -> NDArray[np.float64]:
        """Bytes that a chip may hold."""
        return self.spread(self.plans.capacity)

    @property
    def filled(self) -> NDArray[np.float64]:
        """Bytes on the fullest chip over those it may hold."""
        return np.asarray(self.memory / self.capacity)

    def spread(self, value: Num | Mask | None) -> NDArray[Any]:
        """Return a number of the configurations at every place; NaN for one that has no meaning."""
        value = np.nan if value is None else value
        return np.broadcast_to(value, self.whole.shape)


_USUAL: Final = 0
"""Stands for the expert tensor parallel degree that frameworks choose: no degree is 0."""


def domain(system: System) -> int:
    """Return the ranks of the scale-up domain: those that read and write each other's memory, or share the innermost network."""
    inner = [tier.size for tier in system.tiers[:-1] if tier.load_store] or [tier.size for tier in system.tiers[:-1]][
        :1
    ]
    return int(max([1.0, *map(float, inner)]))


def laid(
    question: TrainStep, system: System, ranks: int, given: Mapping[str, float], *, schedule: str, micro_batches: Sequence[float]
) -> tuple[TrainStep, Layout, NDArray[np.bool_]]:  # fmt: skip
    """Return the splits of so many ranks under a schedule, as arrays on two axes, and where degrees make up the ranks.

    Args:
        given: degrees that are held: ``tp``, ``cp``, ``pp``, ``vpp``, ``dp``, ``ep``, ``etp``.

    Raises:
        QuestionError: no split has the degrees given.
    """
    model = question.model
    # Where tensors and experts are split as stated, so is an expert: as frameworks do unless told otherwise.
    usual = [_USUAL] if {"tp", "ep"} <= given.keys() else []
    inner = np.array([
        (tp, cp, ep, etp, size)
        for tp in _held(given, "tp", [n for n in _divisors(ranks) if n <= domain(system)])
        for cp in _held(given, "cp", [n for n in _divisors(ranks) if n <= _cp(question)])
        for ep in _held(given, "ep", [n for n in _divisors(max(model.experts, 1)) if n <= ranks])
        for etp in (_held(given, "etp", usual or sorted({1, tp})) if model.experts else [given.get("etp", tp)])
        for size in micro_batches
    ]).T[:, :, None]  # fmt: skip
    outer = np.array([
        (pp, vpp)
        for pp in _held(given, "pp", [n for n in _divisors(ranks) if n <= model.depth])
        for vpp in _held(given, "vpp", _chunks(model, int(pp)) if schedule in CHUNKED else [1])
    ]).T  # fmt: skip
    tp, cp, ep, etp, size = inner.astype(np.float64)
    pp, vpp = outer.astype(np.float64)
    dp = ranks / (tp * cp * pp)
    whole = (dp >= 1) & (np.floor(dp) == dp) & (dp == given.get("dp", dp))
    if not whole.any():
        degrees = " ".join(f"{name}={value:g}" for name, value in given.items())
        raise QuestionError(
            fault(
                "layout",
                degrees,
                f"no such split of {ranks} ranks",
                "tp * cp * pp * dp must be the ranks; give other degrees, or chips",
            )
        )
    etp = np.where(etp == _USUAL, expert_tensors(tp, cp, np.where(whole, dp, 1.0), ep), etp)
    parallel = bool((tp > 1).any())
    layout = Layout(
        tp=tp,
        pp=pp,
        dp=np.where(whole, dp, 1.0),
        ep=ep,
        cp=cp,
        vpp=vpp,
        etp=etp,
        schedule=schedule,
        sequence_parallel=parallel,
    )
    return attrs.evolve(question, micro_batch=size), layout, whole


def priced(
    question: TrainStep, system: System, profile: Calibration,
    *, ranks: int, given: Mapping[str, float], words: Words, micro_batches: Sequence[float] = MICRO_BATCHES,
    sequence_parallel: bool | None = None, progress: Progress | None = None,
) -> list[Split]:  # fmt: skip
    """Return all splits under each combination of words, priced.

    Args:
        sequence_parallel: whether tensor-parallel ranks share the tokens between their regions; None for yes.
        progress: called with the configurations priced, and all of them.

    Raises:
        QuestionError: nothing can be laid out; the message says why.
    """
    if "tp" in given:
        for rule in tensor_rules(question.model, given["tp"]):
            if not rule.ok:
                raise QuestionError(f"tp={given['tp']:g}: {rule.reason}; {some_tp(question.model)}")
    asked = []
    for schedules in filter(
        None, ([n for n in words.schedule if n in CHUNKED], [n for n in words.schedule if n not in CHUNKED])
    ):
        ours, layout, whole = laid(question, system, ranks, given, schedule=schedules[0], micro_batches=micro_batches)
        if sequence_parallel is not None:
            layout = attrs.evolve(layout, sequence_parallel=sequence_parallel)
        asked += [
            (attrs.evolve(ours, recompute=recompute), attrs.evolve(layout, sharding=sharding), whole, schedules)
            for recompute, sharding in product(words.recompute, words.sharding)
        ]
    out, done, total = [], 0, sum(whole.size * len(schedules) for *_, whole, schedules in asked)
    for ours, layout, whole, schedules in asked:
        out += [Split(plans, whole) for plans in steps(ours, system, layout, profile, schedules)]
        done += whole.size * len(schedules)
        if progress is not None:
            progress(done, total)
    if not any(each.divides.any() for each in out):
        _refuse(out, given)
    return out


def _refuse(splits: Sequence[Split], given: Mapping[str, float]) -> None:
    """Say why nothing can be laid out: the law that fails everywhere, or the one that fails most.

    Raises:
        QuestionError: always.
    """
    worst: tuple[float, Rule] | None = None
    for each in splits:
        for law in each.plans.rules:
            passing = float(np.mean(np.broadcast_to(law.ok, each.whole.shape)[each.whole]))
            if passing < 1 and (worst is None or passing < worst[0]):
                worst = passing, law
    reason = worst[1].reason if worst else "nothing was tried"
    for name, value in given.items():
        if worst and worst[1].degree == name:
            raise QuestionError(f"{name}={value:g}: {reason}")
    degrees = "".join(f" {name}={value:g}" for name, value in given.items())
    raise QuestionError(f"layout{' with' + degrees if degrees else ''}: {reason}")


def best(splits: Sequence[Split]) -> tuple[Training, int, int]:
    """Return the configuration of the shortest step that fits, how many fit, and how many could be laid out.

    Of two as fast it is the one that needs less memory. Where none fits, the one that needs the least memory.
    """
    fitting = [int(each.fits.sum()) for each in splits]
    placed = sum(int(each.divides.sum()) for each in splits)

    def miss(each: Split) -> NDArray[np.float64]:
        return np.where(each.fits, each.time, np.inf) if sum(fitting) else np.where(each.divides, each.filled, np.inf)

    misses = [miss(each).ravel() for each in splits]
    miss_, memory = np.concatenate(misses), np.concatenate([each.memory.ravel() for each in splits])
    # As a search ranks them: see roofline.planner.selection.TrainingSearch.
    first = int(order(miss_ < np.inf, -miss_, -memory)[0])
    which = int(np.searchsorted(np.cumsum([each.size for each in misses]), first, side="right"))
    local = first - sum(each.size for each in misses[:which])
    place = np.unravel_index(local, splits[which].whole.shape)
    return plain(splits[which].plans, *(int(i) for i in place)), sum(fitting), placed


def plain(plans: Training, *index: int) -> Training:
    """Return the answer for one of the configurations with its layout as people say it: no expert degrees without experts, no tokens to share."""
    question, system, layout, calibration = plans.asked_at(*index)
    etp = layout.etp if question.model.experts and layout.etp != layout.tp else None
    stated = attrs.evolve(layout, etp=etp, sequence_parallel=layout.sequence_parallel and bool(layout.tp > 1))
    found = cast("Training", plans.again(question, system, stated, calibration))
    return attrs.evolve(found, choices=plans.choices)


@functools.cache
def _divisors(n: int) -> tuple[int, ...]:
    return tuple(i for i in range(1, n + 1) if n % i == 0)


def _held(given: Mapping[str, float], name: str, candidates: Sequence[float]) -> Sequence[float]:
    return [given[name]] if name in given else candidates


def _cp(question: TrainStep) -> int:
    """Return the most ranks worth sharing a sequence."""
    return _MOST_CP if float(np.max(question.seq_len)) > LONG else 1


def _chunks(model: Model, pp: int) -> list[int]:
    """Return the chunks of layers that a stage can be cut into evenly; with the embedding and the head as layers, if it must be."""
    if pp == 1:
        return [1]
    for layers in (model.depth, model.depth + 2):
        if layers % pp == 0:
            return [n for n in _divisors(layers // pp) if pp * n <= model.depth]
    return [1]
