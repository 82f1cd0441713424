"""The search for training: every split of the chips, recomputation, sharding and schedule, priced at once and held to limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roofline.core.arrays import sizes
from roofline.core.errors import QuestionError, fault
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators.assumptions import notes as remarks
from roofline.planner.evaluation import Progress
from roofline.planner.train import asked, chosen_words, ranks_for, trained_on, tried
from roofline.planner.training_candidates import priced
from roofline.planner.training_selection import TrainingSearch
from roofline.workload.layout import Layout, one
from roofline.workload.questions import TrainStep


def search_training(
    what: TrainStep | Model | str | Path | Mapping[str, Any],
    system: System | str | Path,
    *,
    chips: int | None = None,
    memory: float | str | None = None,
    step_time: float | str | None = None,
    level: str | Calibration = "calibrated",
    framework: str | Path | Framework | None = None,
    dtype: str | None = None,
    tp: Num | None = None,
    pp: Num | None = None,
    vpp: Num | None = None,
    cp: Num | None = None,
    dp: Num | None = None,
    ep: Num | None = None,
    etp: Num | None = None,
    sharding: str | None = None,
    recompute: str | None = None,
    schedule: str | None = None,
    sequence_parallel: bool | None = None,
    micro_batch: Num | None = None,
    power: Num | str | None = None,
    price: Num | str | None = None,
    progress: Progress | None = None,
    **words: Any,
) -> TrainingSearch:
    """Find the plan with the shortest step, what else could be had for less memory, and why not the rest.

    Tried are all degrees that divide the chips, tensor parallelism inside the scale-up domain; chunks that divide the layers of a
    stage; micro-batches of 1, 2, 4 and 8; every recomputation, every schedule, and ZeRO-1, 2 and 3.

    Args:
        memory: limit on what a chip holds: bytes, or text such as ``"60GB"``; ``step_time``: seconds, or text such as ``"20s"``.
        progress: called now and then with the plans priced, and all of them.
        what, system, chips, level, framework, dtype, tp, pp, vpp, cp, dp, ep, etp, sharding: as in :func:`roofline.train`.
        recompute, schedule, sequence_parallel, micro_batch, power, price, words: the same; what is given is held.

    Raises:
        QuestionError: the question has no meaning. That no plan keeps the limits is an answer.

    >>> found = search_training("llama-3.1-8b", "dgx-h100", chips=16, global_batch=128, seq_len=4096, memory="60GB")
    >>> (
    ...     bool(found.best.memory.total <= 60e9),
    ...     int(found.kept.sum()) + sum(each.plans for each in found.rejected) == found.tried,
    ... )
    (True, True)
    """
    question, chosen = asked(what, dtype, {"recompute": recompute, "micro_batch": micro_batch}, words)
    rack, profile, notes = trained_on(system, level=level, framework=framework, power=power, price=price)
    if sizes(question, rack, profile):
        rule = "a search is of one step on one machine"
        raise QuestionError(fault("words", sizes(question, rack, profile), rule))
    degrees = {"tp": tp, "cp": cp, "pp": pp, "vpp": vpp, "dp": dp, "ep": ep, "etp": etp}
    held: Any = {name: one(name, value) for name, value in degrees.items() if value is not None}
    Layout(**held)  # which says what a degree must be
    splits = priced(
        question, rack, profile, ranks=ranks_for(rack, chips, held), given=held, sequence_parallel=sequence_parallel,
        words=chosen_words(chosen.get("recompute"), sharding, schedule, every=True), progress=progress,
        micro_batches=(float(question.micro_batch),) if "micro_batch" in chosen else tried(question),
    )  # fmt: skip
    notes += remarks(question.model, question.seq_len, rack, profile)
    return TrainingSearch(tuple(splits), notes=tuple(notes)).held(memory=memory, step_time=step_time)
