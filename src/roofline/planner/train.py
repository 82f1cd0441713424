"""``train``: the answer for a training step on a system; a layout that is not given is chosen and reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Unpack

import attrs
import numpy as np

from roofline import catalog
from roofline.core.arrays import Mask, sizes
from roofline.core.errors import QuestionError, fault, near, unknown
from roofline.core.fields import without_none
from roofline.core.signatures import typed
from roofline.core.text import counted
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.frameworks import STATES, Framework, in_states
from roofline.hardware.hardware import System
from roofline.operators import assumptions
from roofline.physics.pipeline import SCHEDULES
from roofline.planner.candidates import ranks_of
from roofline.planner.capping import capped
from roofline.planner.evaluation import Progress, step
from roofline.planner.settings import setting
from roofline.planner.training_candidates import MICRO_BATCHES, RECOMPUTED, Split, Words, best, plain, priced
from roofline.planner.words import (
    CapWords,
    ExecutionWords,
    FrameworkLike,
    FrameworkWords,
    LaidStepWords,
    MachineWords,
    ModelLike,
    StructureWords,
    SystemLike,
    TrainWords,
    keywords,
    part,
    rest,
)
from roofline.results.labels import layout_in_words
from roofline.results.training import Training
from roofline.workload.layout import SHARDINGS, Layout, one
from roofline.workload.questions import TrainStep

TRIED_SHARDINGS: Final = ("zero1", "zero2", "zero3")
"""Sharding that is tried, the least first."""
_DEGREES: Final = ("tp", "cp", "pp", "vpp", "dp", "ep", "etp")


@keywords(TrainWords)
@typed
def train(
    what: TrainStep | ModelLike, system: SystemLike, layout: Layout | None = None, **words: Unpack[TrainWords]
) -> Training:
    """Estimate a training step: time, tokens/s, memory, bottleneck and interval.

    Args:
        what: a :class:`TrainStep`; or a model (an object, a name, the path of a config.json, a parsed one), trained as ``words``
            say: ``global_batch``, ``seq_len`` and others of :class:`TrainStep`.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        layout: how the model is split, and then ``micro_batch`` is 1 and ``recompute`` none unless they are given; by default the
            layout with the most tokens per second that fits on ``chips``, holding to whatever else is given.
        chips: chips to use; by default those that the degrees make if ``dp`` is given, else all of the system.

    Returns:
        The answer for one step: its time in seconds, tokens per second, utilisation, memory in bytes.

    Raises:
        UnknownNameError, DescriptorError: see :func:`roofline.catalog.system` and :func:`roofline.catalog.model`.
        QuestionError: the question has no meaning; a configuration that does not fit is an answer.

    >>> est = train("llama-3.1-8b", "dgx-h100", chips=64, global_batch=256, seq_len=8192)
    >>> bool(est.fits), float(est.layout.ranks), float(est.tokens)
    (True, 64.0, 2097152.0)
    """
    chips, power_cap = words.get("chips"), words.get("power_cap")
    question, chosen = step_of_words(what, rest(words, CapWords))
    rack, profile, notes = trained_on(system, **part(words, FrameworkWords))
    question = accumulated(question, profile, given="gradient_bytes" in words or isinstance(what, TrainStep))
    degrees, structure = degrees_of(words), without_none(**part(words, StructureWords))
    if layout is not None:
        beside = [*degrees, *structure, *without_none(chips=chips)]
        if beside:
            raise QuestionError(
                fault("layout", str(layout), f"already states every option, but {', '.join(beside)} was given too")
            )
        check_schedule(layout.schedule)
        est = step(question, rack, layout, profile)
    else:
        if sizes(question, rack, profile):
            raise QuestionError(
                fault(
                    "words",
                    sizes(question, rack, profile),
                    "a layout is chosen for one step on one machine",
                    "give a Layout",
                )
            )
        under = splits_under(question, chips, words, chosen)

        def candidates(
            question: Any, rack: System, profile: Calibration, others: int | None
        ) -> Sequence[tuple[Training, Mask]]:
            return [(each.plans, each.whole) for each in under(question, rack, profile, others)]

        est, fitting, placed = best(under(question, rack, profile, None))
        notes.append(_choice_in_words(est, fitting, placed))
        est = est if degrees else attrs.evolve(est, candidates=candidates)
    added = assumptions.notes(question.model, question.seq_len, rack, profile)
    est = est.noted([*notes, *(note for note in added if note not in est.remarks)])
    return est if power_cap is None else capped(est, power_cap)


def splits_under(
    question: TrainStep, chips: int | None, words: Mapping[str, Any], chosen: Mapping[str, Any], progress: Progress | None = None
) -> Callable[[TrainStep, System, Calibration, int | None], list[Split]]:  # fmt: skip
    """Return what estimates every layout that the keywords of a verb leave open, on some chips or those of the verb.

    Args:
        words: of the verb: degrees and structure that are given are held.
        chosen: recomputation and micro-batch of the question that were given.

    Raises:
        QuestionError: a degree that has no meaning, or no such sharding.
    """
    degrees: Any = {name: one(name, value) for name, value in degrees_of(words).items()}
    Layout(**degrees)  # which says what a degree must be
    parallel = words.get("sequence_parallel")
    structure = chosen_words(chosen.get("recompute"), words.get("sharding"), words.get("schedule"))
    micro = (float(question.micro_batch),) if "micro_batch" in chosen else micro_batches_to_try(question)

    def under(question: TrainStep, rack: System, profile: Calibration, others: int | None) -> list[Split]:
        ranks = ranks_for(rack, chips, degrees) if others is None else ranks_of(rack, others)
        return priced(
            question, rack, profile, ranks=ranks, given=degrees, words=structure, micro_batches=micro,
            sequence_parallel=parallel, progress=progress,
        )  # fmt: skip

    return under


def degrees_of(words: Mapping[str, Any]) -> dict[str, Num]:
    """Return the degrees of parallelism among the keywords of a verb of training."""
    return {name: words[name] for name in _DEGREES if words.get(name) is not None}


def step_of_words(what: TrainStep | ModelLike, words: Mapping[str, Any]) -> tuple[TrainStep, dict[str, Any]]:
    """Return the step that keywords describe, besides where it runs, and those of how it is executed that were given.

    Raises:
        QuestionError: a word that a step does not know, or one that is missing.
    """
    dtype, execution = words.get("dtype"), without_none(**part(words, ExecutionWords))
    words = rest(words, LaidStepWords, ExecutionWords)
    if isinstance(what, TrainStep):
        if words or execution:
            rule = f"the {type(what).__name__} already states every option"
            raise QuestionError(fault("words", (*words, *execution), rule))
        return attrs.evolve(what, model=catalog.model(what.model, dtype=dtype)), {
            "recompute": what.recompute,
            "micro_batch": what.micro_batch,
        }
    known = [f.name for f in attrs.fields(TrainStep) if f.name != "model"]
    for word in words:
        if word not in known:
            raise QuestionError(fault("keyword", word, "is no keyword of training", near(word, known, "words")))
    if "global_batch" not in words:
        raise QuestionError("global_batch: is missing; give the sequences of a step, such as global_batch=1024")
    own: Any = execution
    return TrainStep(catalog.model(what, dtype=dtype), **words, **own), execution


def accumulated(question: TrainStep, profile: Calibration, *, given: bool) -> TrainStep:
    """Return a step whose gradients are accumulated as its framework does, unless that was ``given``."""
    return question if given else attrs.evolve(question, gradient_bytes=profile.framework.gradients)


def trained_on(
    system: SystemLike, *, framework: FrameworkLike | None = None, software: str | Sequence[str] | None = None,
    **machine: Unpack[MachineWords],
) -> tuple[System, Calibration, list[str]]:  # fmt: skip
    """Return the machine and its calibration coefficients as a framework trains with them, and what was chosen or assumed.

    Raises:
        QuestionError: a word of ``software`` that is none, or that nothing can follow.
    """
    rack, profile, notes = setting(system, engine="none", **machine)
    states = [each.strip() for each in software.split("+")] if isinstance(software, str) else list(software or ())
    in_states(Framework(), states)
    if framework is not None or profile.framework.name == "none":
        usual = "none" if profile.level == "ideal" else "generic"
        named = catalog.framework(usual if framework is None else framework)
        if profile.level != "ideal":
            named = in_states(named, states)
            notes += (STATES[state][0] for state in states)
        profile = profile.training(named, narrow="fp8" in rack.chip.peak)
    elif states:
        raise QuestionError(fault("software", "+".join(states), "changes a framework", "give framework too"))
    if framework is None and profile.framework.title:
        notes.append(f"framework: {profile.framework.title}")
    return rack, profile, notes


def chosen_words(recompute: str | None, sharding: str | None, schedule: str | None) -> Words:
    """Return the words of the structure to try: those given, or every one.

    Raises:
        QuestionError: no such sharding. UnknownNameError: no such schedule.
    """
    if sharding is not None and sharding not in SHARDINGS:
        raise QuestionError(fault("sharding", sharding, "no such sharding", near(sharding, SHARDINGS, "shardings")))
    check_schedule(schedule)
    # Interleaved is what 1f1b is with chunks.
    schedules = tuple(name for name in SCHEDULES if name != "interleaved")
    return Words(
        RECOMPUTED if recompute is None else (recompute,),
        TRIED_SHARDINGS if sharding is None else (sharding,),
        schedules if schedule is None else (schedule,),
    )


def check_schedule(schedule: str | None) -> None:
    """Refuse an unknown schedule.

    Raises:
        UnknownNameError: it is one.
    """
    if schedule is not None and schedule not in SCHEDULES:
        raise unknown("schedule", schedule, SCHEDULES)


def micro_batches_to_try(question: TrainStep) -> tuple[float, ...]:
    """Return the micro-batches worth trying."""
    return tuple(n for n in MICRO_BATCHES if n <= float(question.global_batch)) or (1.0,)


def ranks_for(system: System, chips: int | None, given: Mapping[str, float]) -> int:
    """Return the ranks on so many chips; where none were given, those that degrees with ``dp`` make, else all of the system.

    Raises:
        QuestionError: more than the system can join.
    """
    if chips is None and "dp" in given:
        ranks = int(np.prod([given.get(name, 1.0) for name in ("tp", "cp", "pp", "dp")]))
        if ranks > system.reach:
            raise QuestionError(
                fault("ranks", ranks, f"{system.name} joins {float(system.reach):g} at most", catalog.larger(system))
            )
        return ranks
    return ranks_of(system, chips)


def _choice_in_words(est: Training, fitting: int, placed: int) -> str:
    """Return the sentence that says what was chosen."""
    if not fitting:
        return f"configurations: none of {placed:,} fits; the one that needs the least memory is shown"
    only = "the only one that fits" if fitting == 1 else f"the most tokens/s of the {fitting:,} that fit"
    return f"configuration {layout_in_words(plain(est))}: {only} on {counted(float(est.chips), 'chip')}"
