"""``search`` and ``search_training``: all layouts with every load and chunk, or every recomputation and schedule."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Unpack

import numpy as np

from roofline import catalog
from roofline.core.arrays import sizes
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.fields import without_none
from roofline.core.remember import Lazy
from roofline.core.signatures import typed
from roofline.core.units import WATT, Num, show
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators import assumptions
from roofline.operators.feasibility import serving_rules
from roofline.planner.alternatives import left_open
from roofline.planner.candidates import PATIENCE, possible, worth_trying
from roofline.planner.estimate import service
from roofline.planner.evaluation import Progress
from roofline.planner.frontier import refusals
from roofline.planner.plans import COSTS, Rejection, limit
from roofline.planner.pool_candidates import pair
from roofline.planner.pool_search import Splits
from roofline.planner.service_search import OBJECTIVES, Search
from roofline.planner.settings import setting
from roofline.planner.survey import survey
from roofline.planner.train import accumulated, degrees_of, splits_under, step_of_words, trained_on
from roofline.planner.training_search import TrainingSearch
from roofline.planner.words import (
    DegreeWords,
    EngineWords,
    FormatWords,
    FrameworkWords,
    ModelLike,
    SearchTrainingWords,
    SearchWords,
    ServedWords,
    SystemLike,
    keywords,
    part,
    rest,
)
from roofline.results.energy import idle_power
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep


@keywords(SearchWords)
@typed
def search(
    model: ModelLike,
    system: SystemLike,
    *,
    chips: int | None = None,
    ttft: float | str | None = PATIENCE,
    tpot: float | str | None = None,
    hall_power: float | str | None = None,
    objective: str = "tokens_per_second_per_chip",
    disaggregated: bool = False,
    confirm: bool | None = None,
    progress: Progress | None = None,
    **words: Unpack[SearchWords],
) -> Search:
    """Find the configuration of a service with the most tokens/s per chip under limits, and the frontier.

    Every layout of the chips that can be laid out is tried under every load that fits, and with every chunk.

    Args:
        model: an object, a name, the path of a config.json, or a parsed one.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        chips: chips to use; by default all of the system.
        ttft, tpot: limits on the time to the first token, and per token after it: seconds, or text such as ``"50ms"``, of the mean;
            ``"p99<2s"`` at a percentile, several apart by commas; None for no limit.
        hall_power: limit on the power of the building: watts, or text such as ``"10 MW"``. The best configuration is then the one whose copies
            make the most tokens/s within it, each copy on ``chips``; see :attr:`roofline.planner.selection.Search.within_power`.
        objective: what the best configuration has the most or the least of, a key of :data:`roofline.planner.selection.OBJECTIVES`.
        disaggregated: also try disaggregated prefill and decode, under every load and in every ratio of the two pools; see
            :class:`roofline.planner.selection.Splits`.
        confirm: simulate the best configurations one after the other until one meets all limits, four of them at most; by default where a limit
            is at a percentile. The answer says whether its configuration was confirmed.
        progress: called from time to time with the configurations estimated, and all of them, while they are: few for the best configuration under limits on
            times, all for the frontier, the counts and the reasons.
        concurrency: requests in flight; by default every load is tried.
        chunk: chunked prefill, prompt tokens per attention rank and step; by default every one is tried.

    Returns:
        Every configuration, the best of those that meet the limits, the frontier, and why the others were rejected, each computed when it is
        first asked for.

    Raises:
        QuestionError: the question has no meaning. That no configuration meets the limits is an answer.

    >>> found = search("llama-3.1-70b", "dgx-h100", dtype="fp8", tpot="50ms")
    >>> found.best.layout.short(), bool(found.best.tpot <= 0.05)
    ('tp=2 replicas=4', True)
    """
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    question = service(catalog.model(model, **part(words, FormatWords)), rest(words, ServedWords))
    load = without_none(concurrency=words.get("concurrency"), rate=words.get("rate"))
    rack, profile, notes = setting(system, **part(words, EngineWords))
    if sizes(question, rack, profile):
        raise QuestionError(fault("words", sizes(question, rack, profile), "a search is of one service on one machine"))
    if disaggregated and load:
        raise QuestionError(
            fault(next(iter(load)), next(iter(load.values())), "two pools are tried under every load", "leave it out")
        )
    degrees: dict[str, Num] = without_none(**part(words, DegreeWords))
    every = worth_trying(question.model, rack, chips, degrees)
    layouts = possible(question.model, rack, every, degrees)
    doubts = Lazy(partial(left_open, question.model, rack, profile, words))
    plans = survey(question, rack, profile, layouts, every=not load, progress=progress, open=doubts)
    if objective in COSTS.values() and getattr(plans.at(0, 0), objective) is None:
        rule = f"of {rack.name} no such figure is known"
        raise QuestionError(fault("objective", objective, rule, "give power or price"))
    apart = None
    if disaggregated:
        apart = Splits(question, rack, profile, pair(question, rack, profile, chips, degrees), objective=objective)
    found = Search(
        plans, _refused(question.model, rack, every), objective=objective, notes=tuple(notes), disaggregated=apart
    )
    found = found.with_limits(ttft=ttft, tpot=tpot, hall_power=hall_power)
    return found.confirmed() if (bool(found.percentiles) if confirm is None else confirm) else found


def _refused(model: Model, system: System, layouts: Layout) -> tuple[Rejection, ...]:
    """Return the layouts that cannot be laid out by the first law that each of them breaks."""
    every = np.ones(np.shape(layouts.tp), dtype=bool)
    found = refusals(serving_rules(model, system, layouts), every).values()
    return tuple(Rejection("rule", each.reason, each.plans, each.plans) for each in found)


@keywords(SearchTrainingWords)
@typed
def search_training(
    what: TrainStep | ModelLike,
    system: SystemLike,
    *,
    chips: int | None = None,
    memory: float | str | None = None,
    step_time: float | str | None = None,
    hall_power: float | str | None = None,
    progress: Progress | None = None,
    **words: Unpack[SearchTrainingWords],
) -> TrainingSearch:
    """Find the configuration with the shortest training step, the frontier in memory, and why others were rejected.

    Tried are all degrees that divide the chips, tensor parallelism inside the scale-up domain; chunks that divide the layers of a
    stage; micro-batches of 1, 2, 4 and 8; every recomputation, every schedule, and ZeRO-1, 2 and 3.

    Args:
        what: a :class:`TrainStep`, or a model, trained as the keywords say; what is given is not searched.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        chips: chips to use; by default all of the system.
        memory: limit on the bytes on the fullest chip, or text such as ``"60GB"``.
        step_time: limit on the time of a step: seconds, or text such as ``"20s"``.
        hall_power: limit on the power of the building: watts, or text such as ``"10 MW"``. Where neither ``chips`` nor ``dp`` is given,
            1, 2, 4, 8, ... systems are tried, as many as the limit allows.
        progress: called from time to time with the configurations estimated, and all of them.

    Returns:
        Every configuration, the best of those that meet the limits, time against memory, and why the others were rejected.

    Raises:
        QuestionError: the question has no meaning. That no configuration meets the limits is an answer.

    >>> found = search_training("llama-3.1-8b", "dgx-h100", chips=16, global_batch=128, seq_len=4096, memory="60GB")
    >>> (
    ...     bool(found.best.memory.total <= 60e9),
    ...     int(found.accepted.sum()) + sum(each.plans for each in found.rejected) == found.tried,
    ... )
    (True, True)
    """
    question, chosen = step_of_words(what, words)
    rack, profile, notes = trained_on(system, **part(words, FrameworkWords))
    question = accumulated(question, profile, given="gradient_bytes" in words or isinstance(what, TrainStep))
    if sizes(question, rack, profile):
        rule = "a search is of one step on one machine"
        raise QuestionError(fault("words", sizes(question, rack, profile), rule))
    under = splits_under(question, chips, words, chosen, progress)
    counts: Sequence[int | None] = (None,)
    if hall_power is not None and chips is None and "dp" not in degrees_of(words):
        counts = _within(rack, limit("hall_power", hall_power, WATT, "power", "10MW"), float(question.global_batch))
    splits = [split for count in counts for split in under(question, rack, profile, count)]
    notes += assumptions.notes(question.model, question.seq_len, rack, profile)
    return TrainingSearch(tuple(splits), notes=tuple(notes)).with_limits(
        memory=memory, step_time=step_time, hall_power=hall_power
    )


def _within(system: System, most: float, batch: float) -> list[int]:
    """Return the chips of 1, 2, 4, 8, ... systems that a power of the building allows if all chips wait; one system at least.

    Chips that work draw more. Counts of a lower limit are among those of a higher one, which therefore never does worse.

    Raises:
        QuestionError: no power of the system is known.
    """
    each = idle_power(system, "hall")
    if each is None:
        rule = f"no rated power of {system.name} is known"
        raise QuestionError(fault("hall_power", show(most, WATT, 3), rule, "give power"))
    out = [int(system.chips)]
    while (
        2 * out[-1] * each <= most
        and 2 * out[-1] * system.ranks_per_chip <= system.reach
        and 2 * out[-1] <= batch * _MOST_SHARED
    ):
        out.append(2 * out[-1])
    return out


_MOST_SHARED: Final = 1024
"""Chips that may work on one sequence: more than any layout that is tried makes use of."""
