"""Types of the words that verbs take: models and systems by name, and the sizes of a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from roofline.core.units import Num
from roofline.core.values import Json
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import System
from roofline.models.architecture import Model

ModelLike: TypeAlias = Model | str | Path | Mapping[str, Json]
"""A model, its name, the path of a config.json, or a parsed one."""
SystemLike: TypeAlias = System | str | Path
"""A system, its name in ``hardware/systems``, or the path of a TOML file."""
EngineLike: TypeAlias = Engine | str | Path
"""An engine, its name in ``workloads/engines``, or the path of a TOML file."""
FrameworkLike: TypeAlias = Framework | str | Path
"""A framework, its name in ``workloads/frameworks``, or the path of a TOML file."""
Numbers: TypeAlias = float | Sequence[float] | NDArray[np.floating]
"""One number, or a list of them, each of which is tried."""
Words: TypeAlias = str | Sequence[str]
"""One word, or a list of them, each of which is tried."""


class ServiceWords(TypedDict, total=False):
    """Words of a service besides its load: see :class:`roofline.workload.questions.Serve`."""

    input: Num
    output: Num
    chunk: Num | None
    cached: Num
    draft_tokens: Num
    accept_length: Num | None
    imbalance: Num | None
    variation: Num
    requests_per_slot: Num | None


class LoadedServiceWords(ServiceWords, total=False):
    """Words of a service with its load: requests in flight, or those that come in a second."""

    concurrency: Num | None
    rate: Num | None


class StepSizes(TypedDict, total=False):
    """Words of a training step that no service has."""

    global_batch: Num
    seq_len: Num
    share: Num
    task: str
    rank: Num
    document: Num | None
    gradient_bytes: Num
    offload: Num


class StepWords(StepSizes, total=False):
    """Words of a training step besides recomputation and micro-batch: see :class:`roofline.workload.questions.TrainStep`."""

    imbalance: Num | None


class MachineWords(TypedDict, total=False):
    """Words of the machine that every verb takes."""

    level: str | Calibration
    dtype: str | None
    tp: Num | None
    pp: Num | None
    dp: Num | None
    ep: Num | None
    power: Num | str | None
    price: Num | str | None


class EstimateWords(MachineWords, LoadedServiceWords, total=False):
    """Words of :func:`roofline.estimate` about serving."""

    power_cap: Num | str | None
    chips: int | None
    engine: EngineLike | None
    launch: str
    memory_fraction: Num | None
    kv_dtype: str | None


class StepLayoutWords(TypedDict, total=False):
    """Words of how a step of training is laid out that no service has."""

    framework: FrameworkLike | None
    vpp: Num | None
    cp: Num | None
    etp: Num | None
    sharding: str | None
    schedule: str | None
    sequence_parallel: bool | None


class LaidStepWords(MachineWords, StepLayoutWords, total=False):
    """Words of how a step of training is laid out, and on which machine."""


class QuestionWords(LoadedServiceWords, StepLayoutWords, total=False):
    """Words of :func:`roofline.estimate` that are of one kind of question: a service, or a step of training."""


class TrainWords(LaidStepWords, total=False):
    """Words of :func:`roofline.train` of a step that is given."""

    power_cap: Num | str | None
    chips: int | None


class CampaignWords(LaidStepWords, StepWords, total=False):
    """Words of :func:`roofline.campaign`: those of a step, of :func:`roofline.train`, and of the run."""

    recompute: str
    micro_batch: Num
    mtbf: Num | str | None
    checkpoint: Num | str | None
    storage: Num | str | None
    restart: Num | str | None
    interval: Num | str | None
    pue: Num | None
    spares: Num


class ScalingWords(LaidStepWords, StepWords, total=False):
    """Words of :func:`roofline.scaling`: those of a step, and of :func:`roofline.train`."""

    recompute: str
    micro_batch: Num


class ReportWords(EstimateWords, StepLayoutWords, StepSizes, total=False):
    """Words of :func:`roofline.report`: those of :func:`roofline.estimate` or of :func:`roofline.train`."""

    recompute: str | None
    micro_batch: Num | None


class SweepWords(TypedDict, total=False):
    """Words of the phases of :func:`roofline.sweep`: a number or a word, or a list of them."""

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
