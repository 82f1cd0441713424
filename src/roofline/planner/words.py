"""Keywords that verbs take, in groups: the machine, the software, the degrees of parallelism, the sizes of a question.

A group is a TypedDict. A verb takes ``**words: Unpack[...]`` of the groups that concern it, so that completion and type checkers know
every keyword, and hands each group on to the function that reads it (:func:`part`), where the defaults stand once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final, TypeAlias, TypedDict, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault, near
from roofline.core.units import Num
from roofline.core.values import Json
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.planner.evaluation import Progress
from roofline.workload.layout import Layout

ModelLike: TypeAlias = Model | str | Path | Mapping[str, Json]
"""A model, its name, the path of a config.json, or a parsed one."""
SystemLike: TypeAlias = System | str | Path
"""A system, its name in ``hardware/systems``, or the path of a TOML file."""
EngineLike: TypeAlias = Engine | str | Path
"""An engine, its name in ``workloads/stacks``, or the path of a TOML file."""
FrameworkLike: TypeAlias = Framework | str | Path
"""A framework, its name in ``workloads/frameworks``, or the path of a TOML file."""
Numbers: TypeAlias = float | Sequence[float] | NDArray[np.floating]
"""One number, or a list of them, each of which is tried."""
Words: TypeAlias = str | Sequence[str]
"""One word, or a list of them, each of which is tried."""


class _LeftOut:
    """The default of a keyword in a signature: that of the function that reads it."""

    def __repr__(self) -> str:
        return "..."


_LEFT_OUT: Final = _LeftOut()

Group = TypeVar("Group")
Verb = TypeVar("Verb", bound=Callable[..., object])


def names(*groups: object) -> tuple[str, ...]:
    """Return the keywords of some groups, in the order in which they are stated."""
    return tuple(name for group in groups for name in cast("Any", group).__annotations__)


def part(words: Mapping[str, object], group: type[Group]) -> Group:
    """Return those of some keywords that belong to a group.

    >>> part({"tp": 8, "level": "ideal"}, DegreeWords)
    {'tp': 8}
    """
    return cast("Group", {name: words[name] for name in names(group) if name in words})


def rest(words: Mapping[str, object], *groups: object) -> dict[str, Any]:
    """Return those of some keywords that belong to none of some groups.

    >>> rest({"tp": 8, "level": "ideal"}, DegreeWords)
    {'level': 'ideal'}
    """
    taken = names(*groups)
    return {name: value for name, value in words.items() if name not in taken}


def refuse_others(verb: str, words: Mapping[str, object], *groups: object) -> None:
    """Refuse keywords that belong to none of some groups.

    Raises:
        QuestionError: the first such keyword.
    """
    for word in rest(words, *groups):
        raise QuestionError(fault("keyword", word, f"is no keyword of {verb}", near(word, names(*groups), "keywords")))


def keywords(group: object) -> Callable[[Verb], Verb]:
    """Return a decorator that shows the keywords of a group in a verb's signature, as help and notebooks read it."""

    def shown(verb: Verb) -> Verb:
        signature = inspect.signature(verb)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        hints = cast("Any", group).__annotations__
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_LEFT_OUT, annotation=getattr(hint, "__forward_arg__", hint))
            for name, hint in hints.items()
        ]  # fmt: skip
        cast("Any", verb).__signature__ = signature.replace(parameters=[*own, *more])
        return verb

    return shown


# A service ------------------------------------------------------------------------------------------------------------


class ServiceWords(TypedDict, total=False):
    """Of a service besides its load: see :class:`roofline.workload.questions.Serve`; ``isl`` and ``osl`` are input and output."""

    input: Num
    output: Num
    isl: Num
    osl: Num
    chunk: Num | None
    cached: Num
    draft_tokens: Num
    accept_length: Num | None
    imbalance: Num | None
    variation: Num
    requests_per_slot: Num | None


class LoadedServiceWords(ServiceWords, total=False):
    """Of a service with its load: requests in flight, or those that come in a second."""

    concurrency: Num | None
    rate: Num | None


# A training step ------------------------------------------------------------------------------------------------------


class StepSizes(TypedDict, total=False):
    """Of a training step, and of no service."""

    global_batch: Num
    seq_len: Num
    share: Num
    task: str
    rank: Num
    document: Num | None
    gradient_bytes: Num
    offload: Num


class StepWords(StepSizes, total=False):
    """Of a training step besides recomputation and micro-batch: see :class:`roofline.workload.questions.TrainStep`."""

    imbalance: Num | None


class ExecutionWords(TypedDict, total=False):
    """How a training step is executed."""

    recompute: str | None
    micro_batch: Num | None


class StructureWords(TypedDict, total=False):
    """How a training step is laid out, besides its degrees of parallelism."""

    sharding: str | None
    schedule: str | None
    sequence_parallel: bool | None


# The machine and its software -----------------------------------------------------------------------------------------


class MachineWords(TypedDict, total=False):
    """At which level the machine is estimated, and what stands in place of its own power and cost."""

    level: str | Calibration
    power: Num | str | None
    price: Num | str | None


class EngineWords(MachineWords, total=False):
    """The machine, and the engine that serves on it."""

    engine: EngineLike | None
    launch: str
    memory_fraction: Num | None


class FrameworkWords(MachineWords, total=False):
    """The machine, and the framework that trains on it."""

    framework: FrameworkLike | None


class DegreeWords(TypedDict, total=False):
    """Degrees of parallelism that serving and training have in common."""

    tp: Num | None
    pp: Num | None
    dp: Num | None
    ep: Num | None


class StepDegreeWords(TypedDict, total=False):
    """Degrees of parallelism of training alone."""

    vpp: Num | None
    cp: Num | None
    etp: Num | None


class FormatWords(TypedDict, total=False):
    """Number formats of a service: of the layers' matrices, and of the KV cache."""

    dtype: str | None
    kv_dtype: str | None


class ServedWords(EngineWords, DegreeWords, FormatWords, total=False):
    """Where a service runs: machine, engine, number formats, degrees of parallelism."""


class LaidStepWords(FrameworkWords, DegreeWords, StepDegreeWords, StructureWords, total=False):
    """Where a training step runs: machine, framework, number format, degrees of parallelism, structure."""

    dtype: str | None


class CapWords(TypedDict, total=False):
    """How many chips, and the power cap of each."""

    chips: int | None
    power_cap: Num | str | None


class PrefillPoolWords(TypedDict, total=False):
    """The chips of a prefill pool, where prefill and decode are disaggregated."""

    prefill_chips: int | None
    prefill_tp: Num | None
    prefill_system: SystemLike | None


class SchedulerWords(TypedDict, total=False):
    """The scheduler of an engine, in place of its own: see :class:`roofline.inference.policies.Policy`."""

    router: str | None
    order: str | None
    max_num_seqs: int | None
    block_size: int | None
    reserve: float | None
    mixed: bool | None
    shared_budget: bool | None
    prefix_cache: bool | None


# Verbs ----------------------------------------------------------------------------------------------------------------


class EstimateWords(ServedWords, LoadedServiceWords, CapWords, total=False):
    """Of :func:`roofline.estimate` about serving."""


class PlacedStepWords(LaidStepWords, CapWords, total=False):
    """Of :func:`roofline.estimate` and :func:`roofline.train` about a training step that is given."""


class AnyEstimateWords(EstimateWords, StepDegreeWords, StructureWords, total=False):
    """Of :func:`roofline.estimate` about whatever is asked."""

    framework: FrameworkLike | None


class TrainWords(LaidStepWords, CapWords, ExecutionWords, StepWords, total=False):
    """Of :func:`roofline.train`."""


class SearchWords(ServedWords, LoadedServiceWords, total=False):
    """Of :func:`roofline.search`."""


class SearchTrainingWords(LaidStepWords, ExecutionWords, StepWords, total=False):
    """Of :func:`roofline.search_training`."""


class PoolsWords(ServedWords, LoadedServiceWords, PrefillPoolWords, total=False):
    """Of :func:`roofline.pools`."""


class DraftWords(TypedDict, total=False):
    """What a simulated service is asked besides its trace."""

    draft_tokens: int
    accept_length: float | None
    chunk: float | None
    imbalance: float | None


class SimulateWords(ServedWords, DraftWords, PrefillPoolWords, SchedulerWords, total=False):
    """Of :func:`roofline.simulate`."""

    chips: int | None
    prefill_layout: Layout | None


class CampaignWords(LaidStepWords, ExecutionWords, StepWords, total=False):
    """Of :func:`roofline.campaign`: those of a step, of :func:`roofline.train`, and of the run."""

    mtbf: Num | str | None
    checkpoint: Num | str | None
    storage: Num | str | None
    restart: Num | str | None
    interval: Num | str | None
    pue: Num | None
    spares: Num


class ScalingWords(LaidStepWords, ExecutionWords, StepWords, total=False):
    """Of :func:`roofline.scaling`: those of a step, and of :func:`roofline.train`."""


class ComparedOnWords(TypedDict, total=False):
    """What is the same on all systems of a comparison."""

    level: str | Calibration
    engine: EngineLike | None
    memory_fraction: Num | None
    chips: int | None


class CompareWords(ComparedOnWords, FormatWords, ServiceWords, total=False):
    """Of :func:`roofline.compare`: the service, and what serves it."""

    concurrency: Num | None


class ReportWords(AnyEstimateWords, StepSizes, ExecutionWords, total=False):
    """Of :func:`roofline.report`: those of :func:`roofline.estimate` or of :func:`roofline.train`."""


class SizeWords(TypedDict, total=False):
    """Sizes and words of the phases of :func:`roofline.sweep`: a number or a word, or a list of them."""

    batch: Numbers
    context: Numbers
    input: Numbers
    output: Numbers
    concurrency: Numbers
    rate: Numbers
    chunk: Numbers
    cached: Numbers
    draft_tokens: Numbers
    accept_length: Numbers
    imbalance: Numbers
    variation: Numbers
    requests_per_slot: Numbers
    served: Numbers
    global_batch: Numbers
    seq_len: Numbers
    micro_batch: Numbers
    share: Numbers
    rank: Numbers
    document: Numbers
    gradient_bytes: Numbers
    offload: Numbers
    task: Words
    recompute: Words
    sharding: Words
    schedule: Words
    sequence_parallel: bool | Sequence[bool]


class GridWords(TypedDict, total=False):
    """What a sweep tries besides sizes: chips and number formats, each one or a list, and degrees that are held."""

    chips: int | Sequence[int] | None
    layout: Layout | None
    dtype: Words | None
    kv_dtype: Words | None
    vary: Mapping[str, float | str | Sequence[float | str] | NDArray[np.floating]] | None
    cp: Num | None
    vpp: Num | None


class RankWords(TypedDict, total=False):
    """What a sweep retains: by which metrics, how many, under which limits."""

    by: str | None
    top: int
    frontier: Sequence[str] | None
    limits: Mapping[str, float | str] | None


class LabelWords(TypedDict, total=False):
    """For each combination of which labels a sweep retains as many."""

    per: Words


class RunWords(TypedDict, total=False):
    """Where a sweep is computed, and what it reports."""

    executor: Executor | None
    checkpoint: str | Path | None
    progress: Progress | None


class SweepWords(EngineWords, DegreeWords, SizeWords, GridWords, RankWords, LabelWords, RunWords, total=False):
    """Of :func:`roofline.sweep`."""

    framework: FrameworkLike | None
