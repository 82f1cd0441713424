"""How fast a large language model trains and serves on a machine, why, and how sure we are.

>>> import roofline as rl
>>> est = rl.estimate(
...     rl.Decode(rl.model("deepseek-v3"), batch=2048, context=4096), "gb200-nvl72", rl.Layout(dp=64, ep=64)
... )
>>> bool(est.fits), est.bound
(True, 'memory')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from roofline.catalog import chip, framework, model, names, profile, system
from roofline.core.errors import DescriptorError, QuestionError, RooflineError, UnitError, UnknownNameError
from roofline.core.provenance import Fact, Source
from roofline.hardware.constants import IDEAL, Calibration, Kernel, Link
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import Chip, Host, Memory, System, Tier
from roofline.models.architecture import (
    Absent,
    Compressed,
    Dense,
    Formats,
    Gqa,
    Hyper,
    Indexer,
    Layers,
    Linear,
    Mamba,
    Mla,
    Model,
    Moe,
    PerLayer,
)
from roofline.operators.operations import Message, Op
from roofline.planner.pools import pools
from roofline.results.pools import Pools
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Serve, TrainStep

if TYPE_CHECKING:
    from roofline.calibration.calibrate import Calibrated, calibrate
    from roofline.core.frames import Frame
    from roofline.inference.traces import Lengths, Trace
    from roofline.operators.memory import Footprint
    from roofline.physics.spans import Span
    from roofline.planner.estimate import estimate
    from roofline.planner.offload import Offload, offload
    from roofline.planner.plans import Rejection
    from roofline.planner.search import search, search_training
    from roofline.planner.selection import Search, Splits, TrainingSearch
    from roofline.planner.simulate import simulate
    from roofline.planner.train import train
    from roofline.reports.describe import Description, describe, listing
    from roofline.reports.report import Report, report
    from roofline.results.answer import Rule
    from roofline.results.campaign import Campaign
    from roofline.results.estimate import Estimate
    from roofline.results.simulation import Simulation
    from roofline.results.training import Training
    from roofline.studies.compare import Comparison, compare
    from roofline.studies.largest import largest
    from roofline.studies.needed import Needed, needed
    from roofline.studies.odds import BreakEven, break_even, probability
    from roofline.studies.scaling import Scaling, scaling
    from roofline.studies.sweep import sweep
    from roofline.studies.sweep_result import Sweep
    from roofline.training.campaign import campaign
    from roofline.validation.runs import ServingRun, TrainingRun
    from roofline.validation.scoring import Prediction, Score
    from roofline.validation.validate import Validation, validate

__all__ = [
    "IDEAL",
    "Absent",
    "BreakEven",
    "Calibrated",
    "Calibration",
    "Campaign",
    "Chip",
    "Comparison",
    "Compressed",
    "Decode",
    "Dense",
    "Description",
    "DescriptorError",
    "Estimate",
    "Fact",
    "Footprint",
    "Formats",
    "Frame",
    "Framework",
    "Gqa",
    "Host",
    "Hyper",
    "Indexer",
    "Kernel",
    "Layers",
    "Layout",
    "Lengths",
    "Linear",
    "Link",
    "Mamba",
    "Memory",
    "Message",
    "Mla",
    "Model",
    "Moe",
    "Needed",
    "Offload",
    "Op",
    "PerLayer",
    "Pools",
    "Prediction",
    "Prefill",
    "QuestionError",
    "Rejection",
    "Report",
    "RooflineError",
    "Rule",
    "Scaling",
    "Score",
    "Search",
    "Serve",
    "ServingRun",
    "Simulation",
    "Source",
    "Span",
    "Splits",
    "Sweep",
    "System",
    "Tier",
    "Trace",
    "TrainStep",
    "Training",
    "TrainingRun",
    "TrainingSearch",
    "UnitError",
    "UnknownNameError",
    "Validation",
    "break_even",
    "calibrate",
    "campaign",
    "chip",
    "compare",
    "describe",
    "estimate",
    "framework",
    "largest",
    "listing",
    "model",
    "names",
    "needed",
    "offload",
    "pools",
    "probability",
    "profile",
    "report",
    "scaling",
    "search",
    "search_training",
    "simulate",
    "sweep",
    "system",
    "train",
    "validate",
]

_LATER = {
    "BreakEven": "studies.odds",
    "Calibrated": "calibration.calibrate",
    "Campaign": "results.campaign",
    "Comparison": "studies.compare",
    "Description": "reports.describe",
    "Estimate": "results.estimate",
    "Footprint": "operators.memory",
    "Frame": "core.frames",
    "Needed": "studies.needed",
    "Offload": "planner.offload",
    "Prediction": "validation.scoring",
    "Rejection": "planner.plans",
    "Report": "reports.report",
    "Rule": "results.answer",
    "Scaling": "studies.scaling",
    "Score": "validation.scoring",
    "Search": "planner.selection",
    "ServingRun": "validation.runs",
    "Simulation": "results.simulation",
    "Span": "physics.spans",
    "Trace": "inference.traces",
    "Lengths": "inference.traces",
    "TrainingRun": "validation.runs",
    "Training": "results.training",
    "TrainingSearch": "planner.selection",
    "Splits": "planner.selection",
    "Sweep": "studies.sweep_result",
    "Validation": "validation.validate",
    "break_even": "studies.odds",
    "calibrate": "calibration.calibrate",
    "campaign": "training.campaign",
    "compare": "studies.compare",
    "describe": "reports.describe",
    "estimate": "planner.estimate",
    "largest": "studies.largest",
    "listing": "reports.describe",
    "report": "reports.report",
    "needed": "studies.needed",
    "probability": "studies.odds",
    "scaling": "studies.scaling",
    "offload": "planner.offload",
    "search": "planner.search",
    "search_training": "planner.search",
    "simulate": "planner.simulate",
    "sweep": "studies.sweep",
    "train": "planner.train",
    "validate": "validation.validate",
}
"""The module of what is imported when it is first asked for: nouns and names come at once, whatever prices them later."""


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for, and keep it."""
    if name in _LATER:
        found: object = getattr(import_module(f"roofline.{_LATER[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'roofline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
