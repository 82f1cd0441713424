"""Keywords of public functions, in groups: machine, software, degrees of parallelism, sizes of a question.

A group is a TypedDict. A verb takes ``**words: Unpack[...]`` of the groups that concern it, so that completion and type checkers know
every keyword, and hands each group on to the function that reads it (:func:`part`), where the defaults stand once.
"""

from __future__ import annotations

import inspect
import re
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


MEANINGS: Final[Mapping[str, str]] = {
    # The machine and its software
    "chips": "chips to use; by default all of the system",
    "level": "``ideal`` (a bound), ``generic``, ``calibrated`` (the default), or a :class:`Calibration`",
    "power": "rated power per chip with its share of the system: watts, or text such as ``\"1.2 kW\"``; by default the published one",
    "power_cap": "power cap per chip, below its rated power: watts, or text such as ``\"500 W\"``; see :mod:`roofline.planner.capping`",
    "price": "cost per chip and hour: US dollars, or text such as ``\"2.95 USD/h\"``; by default the published one",
    "engine": "serving engine: ``ENGINE[@RELEASE][+KIND]`` of ``workloads/stacks``, the path of a TOML file, or ``none`` for the kernels alone; "
    "by default a generic engine (none at the ideal level)",
    "launch": "``graph`` (the default), or ``eager`` where the host launches kernels one by one",
    "memory_fraction": "part of a chip's memory that the engine is given, as the engine defines it (``--gpu-memory-utilization``, "
    "``--mem-fraction-static``); by default the engine's own",
    "framework": "training framework: a name in ``workloads/frameworks``, the path of a TOML file, or ``none`` for the kernels alone; by "
    "default a generic, tuned one (none at the ideal level)",
    "software": "states of the framework, joined by ``+`` or in a sequence: words of :data:`roofline.hardware.frameworks.STATES`, such as "
    "``\"full_graph+expert_overlap\"``; by default none",
    "dtype": "number format of the layers' matrices; by default the checkpoint's",
    "kv_dtype": "number format of the KV cache; by default the checkpoint's",
    # Parallelism
    "tp": "tensor parallelism, ranks",
    "pp": "pipeline parallelism, stages",
    "dp": "data parallelism, ranks; of a service, attention ranks that work in lock-step",
    "ep": "expert parallelism, ranks",
    "vpp": "chunks of layers per pipeline stage (interleaved schedule)",
    "cp": "context parallelism, ranks that share a sequence",
    "etp": "tensor parallelism within an expert, ranks",
    "sharding": "what data-parallel ranks share: ``zero1``, ``zero2`` or ``zero3``",
    "schedule": "pipeline schedule, a key of :data:`roofline.physics.pipeline.SCHEDULES`",
    "sequence_parallel": "whether tensor-parallel ranks share the tokens between their regions",
    "layout": "layouts to try, a :class:`Layout` of arrays; by default every one worth trying",
    # A service
    "input": "prompt tokens of a request (4096)",
    "output": "output tokens of a request (1024)",
    "isl": "another name of ``input``, as aiconfigurator has it",
    "osl": "another name of ``output``",
    "concurrency": "requests in flight in the whole deployment (64, unless ``rate`` is given)",
    "rate": "requests per second, instead of a concurrency",
    "chunk": "chunked prefill: prompt tokens per attention rank and step; by default the engine's",
    "ttft": "limit on the time to the first token: seconds or text such as 2s on the mean, p99<2s at a percentile",
    "tpot": "the same on the time per output token after it",
    "cached": "prompt tokens already in the KV cache, on average (0)",
    "draft_tokens": "speculative decoding: draft tokens verified in a step (0)",
    "accept_length": "speculative decoding: mean tokens per request and step; by default what drafts usually yield",
    "imbalance": "tokens of the fullest expert shard over the mean; by default that of a random router",
    "variation": "standard deviation of the request lengths over their mean (0.2)",
    "requests_per_slot": "of a benchmark that starts all slots at once: prompts over concurrency; by default a steady service",
    "batch": "of a decode step or a prefill: sequences in the whole deployment",
    "context": "of a decode step: tokens that each sequence already holds",
    "served": "of a decode step: share of the replicas that have sequences",
    # A training step
    "global_batch": "sequences of a step",
    "seq_len": "tokens of a sequence (4096)",
    "micro_batch": "sequences of a micro-batch; by default the best of those that are tried",
    "recompute": "activation recomputation: ``none``, ``selective``, ``full``, or ``selective:MODULES``",
    "share": "part of the layers that is recomputed (1)",
    "task": "``pretrain``, ``finetune`` or ``lora``",
    "rank": "rank of low-rank adapters (16)",
    "document": "tokens that attend to each other; by default the whole sequence",
    "gradient_bytes": "bytes of a gradient as it is reduced (4)",
    "offload": "part of the activations that waits in the host's memory (0)",
    # A whole run
    "mtbf": "mean time between failures of the run: seconds, or text such as ``\"3 h\"``; by default by published failures",
    "checkpoint": "time for which a checkpoint stops the run; of a sweep, a file from which the same sweep continues",
    "storage": "rate at which storage takes in checkpoints: bytes per second, or text such as ``\"2 TB/s\"``",
    "restart": "time from a failure to the loading of a checkpoint: seconds, or text",
    "interval": "time between checkpoints; by default the best",
    "pue": "power of the building over that of its machines",
    "spares": "chips that wait to replace others (0)",
    # Requests that are drawn for a simulation
    "lengths": "distribution of the lengths of drawn requests, a name of :data:`roofline.inference.traces.LENGTHS`; by default "
    "``lognormal``, or ``fixed`` where ``variation`` is 0",
    "burstiness": "shape of the gaps between drawn requests: 1 for a Poisson process (the default), less for bursts",
    "swing": "the rate of drawn requests swings by this part of its mean over a day of 24 hours; by default it is steady",
    "seed": "of the random numbers (0)",
    # A prefill pool, and the scheduler of a simulation
    "prefill_layout": "layout of the prefill pool; by default the best on ``prefill_chips``",
    "prefill_chips": "chips of the prefill pool",
    "prefill_tp": "tensor parallelism of the prefill pool, ranks",
    "prefill_system": "system of the prefill pool; by default the same",
    "router": "how requests go to replicas: ``round_robin``, ``least_loaded`` or ``prefix``",
    "order": "which request goes first: ``fcfs`` or ``priority``",
    "max_num_seqs": "sequences that an attention rank runs at once at most",
    "block_size": "tokens of a block of the KV cache",
    "reserve": "part of the output of a request for which cache must be free when it is admitted",
    "mixed": "whether prefill runs in the decode steps of other requests",
    "shared_budget": "whether decoding sequences count in the token budget of a step",
    "prefix_cache": "whether equal blocks are stored once",
    "host_write": "when blocks come to host memory: ``through`` (as they fill) or ``evicted``; by default as the engine does",
    "host_load": "how they come back: ``ahead`` (the request waits), ``layers`` (behind the prefill) or ``step``; by default as the engine does",
    "host_cache": "host memory per chip that caches prefixes: bytes, text such as ``\"100 GB\"`` or ``\"2x\"`` (of the chip's own cache), or "
    "``auto`` for 80 % of what the hosts have; by default none, as engines start",
    "host_bandwidth": "of the link of each chip to its host, one way: bytes per second, or text; by default that of the system",
    # A sweep
    "vary": "numbers of the hardware, by a word or path of :mod:`roofline.hardware.numbers`, and their values, such as "
    "``{\"bandwidth\": [\"4 TB/s\", \"8 TB/s\"]}``, or ``[\"1x\", \"2x\"]`` for factors",
    "by": "metric to rank by, a key of ``METRICS``; by default (prompt) tokens per second and chip",
    "top": "configurations that are retained (1)",
    "frontier": "two or three metrics, in place of ``top``: retains the configurations that no other beats in all of them",
    "limits": "on any metric, as numbers or text: ``{\"tpot\": \"50ms\", \"power\": \"120 kW\"}``",
    "per": "labels (``model``, ``system``, ``phase``, ``dtype``, ...) for each combination of which as many are retained",
    "executor": "what computes blocks, any of ``concurrent.futures`` or like it; by default this process",
    "progress": "called from time to time with the configurations done, and the total",
}  # fmt: skip
"""What each keyword is, its unit, and its default: one sentence for all verbs that take it."""


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
    """Return a decorator that shows the keywords of a group in a verb's signature and documentation.

    A keyword that the documentation of the verb does not state is added with its sentence of :data:`MEANINGS`.
    """

    def shown(verb: Verb) -> Verb:
        signature = inspect.signature(verb)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        hints = cast("Any", group).__annotations__
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_LEFT_OUT, annotation=getattr(hint, "__forward_arg__", hint))
            for name, hint in hints.items()
        ]  # fmt: skip
        cast("Any", verb).__signature__ = signature.replace(parameters=[*own, *more])
        verb.__doc__ = _documented(inspect.cleandoc(verb.__doc__ or ""), names(group))
        return verb

    return shown


def _documented(text: str, words: Sequence[str]) -> str:
    """Return the documentation of a verb with those keywords that its ``Args`` do not state."""
    head, mark, tail = text.partition("\nArgs:\n")
    stated, gap, after = tail.partition("\n\n")
    known = {name for line in re.findall(r"^    ([\w, ]+):", stated, re.MULTILINE) for name in line.split(", ")}
    lines = [f"    {name}: {MEANINGS[name]}." for name in words if name not in known]
    return head + mark + "\n".join([stated, *lines]) + gap + after


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
    software: str | Sequence[str] | None


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
    host_write: str | None
    host_load: str | None


class HostWords(TypedDict, total=False):
    """Host memory as a tier of the prefix cache."""

    host_cache: float | str | None
    host_bandwidth: float | str | None


# Verbs ----------------------------------------------------------------------------------------------------------------


class LimitWords(TypedDict, total=False):
    """Limits on the times of a service: seconds or text such as ``50ms`` on the mean, ``p99<2s`` at a percentile."""

    ttft: float | str | None
    tpot: float | str | None


class ServiceEstimateWords(ServedWords, LoadedServiceWords, CapWords, total=False):
    """Of an estimate of serving, without limits."""


class EstimateWords(ServiceEstimateWords, LimitWords, total=False):
    """Of :func:`roofline.estimate` about serving."""


class PlacedStepWords(LaidStepWords, CapWords, total=False):
    """Of :func:`roofline.estimate` and :func:`roofline.train` about a training step that is given."""


class UnlimitedWords(ServiceEstimateWords, StepDegreeWords, StructureWords, total=False):
    """Of an estimate of whatever is asked, without limits."""

    framework: FrameworkLike | None
    software: str | Sequence[str] | None


class AnyEstimateWords(UnlimitedWords, LimitWords, total=False):
    """Of :func:`roofline.estimate` about whatever is asked."""


class TrainWords(LaidStepWords, CapWords, ExecutionWords, StepWords, total=False):
    """Of :func:`roofline.train`."""


class PostTrainWords(LaidStepWords, ExecutionWords, StepWords, total=False):
    """Of :func:`roofline.post_train`: those of the training step."""


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


class DrawnWords(TypedDict, total=False):
    """Of requests that are drawn where no trace is given: lengths and load as an estimate has them."""

    input: float
    output: float
    isl: float
    osl: float
    cached: float
    variation: float
    requests_per_slot: float | None
    lengths: str | None
    burstiness: float
    swing: float
    seed: int


class SimulateWords(ServedWords, DrawnWords, DraftWords, PrefillPoolWords, SchedulerWords, HostWords, total=False):
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


class ComparedOnWords(DegreeWords, total=False):
    """What is the same on all systems of a comparison."""

    level: str | Calibration
    engine: EngineLike | None
    memory_fraction: Num | None
    chips: int | None


class CompareWords(ComparedOnWords, FormatWords, ServiceWords, total=False):
    """Of :func:`roofline.compare`: the service, and what serves it; power and cost of all systems, or of each by name."""

    power: Num | str | Mapping[str, float | str] | None
    price: Num | str | Mapping[str, float | str] | None

    concurrency: Num | None


class ReportWords(UnlimitedWords, StepSizes, ExecutionWords, total=False):
    """Of :func:`roofline.report`: those of :func:`roofline.estimate` or of :func:`roofline.train`."""


class SizeWords(TypedDict, total=False):
    """Sizes and words of the phases of :func:`roofline.sweep`: a number or a word, or a list of them."""

    isl: Numbers
    osl: Numbers
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
    prefill_chips: int | Sequence[int] | None
    prefill_layout: Layout | None
    prefill_tp: Num | None
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
    software: str | Sequence[str] | None
