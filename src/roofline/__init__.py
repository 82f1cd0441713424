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

from roofline.architecture import (
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
from roofline.calibration import IDEAL, Calibration, Kernel, Link
from roofline.catalog import chip, framework, model, names, profile, system
from roofline.disaggregation import pools
from roofline.errors import DescriptorError, QuestionError, RooflineError, UnitError, UnknownNameError
from roofline.frameworks import Framework
from roofline.hardware import Chip, Host, Memory, System, Tier
from roofline.layout import Layout
from roofline.pairs import Pools
from roofline.provenance import Fact, Source
from roofline.work import Message, Op
from roofline.workload import Decode, Prefill, Serve, TrainStep

if TYPE_CHECKING:
    from roofline.answer import Rule
    from roofline.calibrating import Calibrated, calibrate
    from roofline.campaigned import Campaign
    from roofline.campaigns import campaign
    from roofline.comparison import Comparison, compare
    from roofline.descriptions import Description, describe, listing
    from roofline.estimates import estimate
    from roofline.footprint import Footprint
    from roofline.frames import Frame
    from roofline.needs import Needed, needed
    from roofline.odds import BreakEven, break_even, probability
    from roofline.offloading import Offload, offload
    from roofline.plans import Rejection
    from roofline.reporting import Report, report
    from roofline.rooms import largest
    from roofline.runs import ServingRun, TrainingRun
    from roofline.scalings import Scaling, scaling
    from roofline.scoring import Prediction, Score
    from roofline.searching import search
    from roofline.selection import Search
    from roofline.served import Estimate
    from roofline.splits import Splits
    from roofline.steps import train
    from roofline.sweeping import sweep
    from roofline.swept import Sweep
    from roofline.timeline import Span
    from roofline.trained import Training
    from roofline.training_searching import search_training
    from roofline.training_selection import TrainingSearch
    from roofline.validation import Validation, validate

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
    "Source",
    "Span",
    "Splits",
    "Sweep",
    "System",
    "Tier",
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
    "sweep",
    "system",
    "train",
    "validate",
]

_LATER = {
    "BreakEven": "odds",
    "Calibrated": "calibrating",
    "Campaign": "campaigned",
    "Comparison": "comparison",
    "Description": "descriptions",
    "Estimate": "served",
    "Footprint": "footprint",
    "Frame": "frames",
    "Needed": "needs",
    "Offload": "offloading",
    "Prediction": "scoring",
    "Rejection": "plans",
    "Report": "reporting",
    "Rule": "answer",
    "Scaling": "scalings",
    "Score": "scoring",
    "Search": "selection",
    "ServingRun": "runs",
    "Span": "timeline",
    "TrainingRun": "runs",
    "Training": "trained",
    "TrainingSearch": "training_selection",
    "Splits": "splits",
    "Sweep": "swept",
    "Validation": "validation",
    "break_even": "odds",
    "calibrate": "calibrating",
    "campaign": "campaigns",
    "compare": "comparison",
    "describe": "descriptions",
    "estimate": "estimates",
    "largest": "rooms",
    "listing": "descriptions",
    "report": "reporting",
    "needed": "needs",
    "probability": "odds",
    "scaling": "scalings",
    "offload": "offloading",
    "search": "searching",
    "search_training": "training_searching",
    "sweep": "sweeping",
    "train": "steps",
    "validate": "validation",
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
