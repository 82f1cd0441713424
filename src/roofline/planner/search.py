"""The search: every layout that can be laid out, every load and every chunk of a service, priced at once and held to limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roofline import catalog
from roofline.core.arrays import sizes
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.fields import given
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.inference.passes import rules
from roofline.models.architecture import Model
from roofline.planner.candidates import PATIENCE, possible, survey, worth_trying
from roofline.planner.estimate import service
from roofline.planner.evaluation import Progress
from roofline.planner.frontier import refusals
from roofline.planner.plans import Rejection
from roofline.planner.pool_candidates import pair
from roofline.planner.selection import OBJECTIVES, Search
from roofline.planner.settings import setting
from roofline.planner.splits import Splits
from roofline.workload.layout import Layout


def search(
    model: Model | str | Path | Mapping[str, Any],
    system: System | str | Path,
    *,
    chips: int | None = None,
    ttft: float | str | None = PATIENCE,
    tpot: float | str | None = None,
    objective: str = "tokens_per_second_per_chip",
    concurrency: Num | None = None,
    rate: Num | None = None,
    level: str | Calibration = "calibrated",
    engine: str | Path | Engine | None = None,
    launch: str = "graph",
    dtype: str | None = None,
    kv_dtype: str | None = None,
    tp: Num | None = None,
    pp: Num | None = None,
    dp: Num | None = None,
    ep: Num | None = None,
    power: Num | str | None = None,
    price: Num | str | None = None,
    disaggregated: bool = False,
    progress: Progress | None = None,
    **words: Num | None,
) -> Search:
    """Find the plan of a service that makes the most of each chip under limits, and the frontier of what else could be had.

    Every layout of the chips that can be laid out is tried under every load that fits, and with every chunk.

    Args:
        ttft, tpot: limits on the time to the first token, and per token after it: seconds, or text such as ``"50ms"``; None for
            no limit.
        objective: what the best plan has the most or the least of, a key of :data:`roofline.planner.selection.OBJECTIVES`.
        concurrency: requests in flight, or ``rate``: those that come in a second, if not every load is to be tried.
        disaggregated: also try two pools, one of chips that read prompts and one of chips that decode, under every load and in
            every ratio; see :class:`roofline.planner.splits.Splits`.
        progress: called now and then with the plans priced, and all of them.
        words: ``input``, ``output``, ``draft_tokens``, ``accept_length``, ``cached``, ``chunk`` (if not every one is to be
            tried) and others of :class:`Serve`.
        model, system, chips, level, engine, launch, dtype, kv_dtype, tp, pp, dp, ep, power, price: as in
            :func:`roofline.estimate`.

    Raises:
        QuestionError: the question has no meaning. That no plan keeps the limits is an answer.

    >>> found = search("llama-3.1-70b", "dgx-h100", dtype="fp8", tpot="50ms")
    >>> found.best.layout.short(), bool(found.best.tpot <= 0.05)
    ('tp=2 replicas=4', True)
    """
    if objective not in OBJECTIVES:
        raise unknown("objective", objective, OBJECTIVES)
    load: dict[str, Num] = given(concurrency=concurrency, rate=rate)
    question = service(catalog.model(model, dtype=dtype, kv_dtype=kv_dtype), {**words, **load})
    rack, profile, notes = setting(system, level=level, engine=engine, launch=launch, power=power, price=price)
    if sizes(question, rack, profile):
        raise QuestionError(fault("words", sizes(question, rack, profile), "a search is of one service on one machine"))
    if disaggregated and load:
        raise QuestionError(
            fault(next(iter(load)), next(iter(load.values())), "two pools are tried under every load", "leave it out")
        )
    degrees: dict[str, Num] = given(tp=tp, pp=pp, dp=dp, ep=ep)
    every = worth_trying(question.model, rack, chips, degrees)
    layouts = possible(question.model, rack, every, degrees)
    plans = survey(question, rack, profile, layouts, every=not load, progress=progress)
    if getattr(plans, objective) is None:
        rule = f"of {rack.name} no such figure is known"
        raise QuestionError(fault("objective", objective, rule, "give power or price"))
    apart = None
    if disaggregated:
        apart = Splits(question, rack, profile, pair(question, rack, profile, chips, degrees), objective=objective)
    found = Search(
        plans, _refused(question.model, rack, every), objective=objective, notes=tuple(notes), disaggregated=apart
    )
    return found.held(ttft=ttft, tpot=tpot)


def _refused(model: Model, system: System, layouts: Layout) -> tuple[Rejection, ...]:
    """Return the layouts that cannot be laid out by the first law that each of them breaks."""
    every = np.ones(np.shape(layouts.tp), dtype=bool)
    found = refusals(rules(model, system, layouts), every).values()
    return tuple(Rejection("rule", each.reason, each.plans, each.plans) for each in found)
