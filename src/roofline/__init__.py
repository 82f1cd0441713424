"""How fast a large language model trains and serves on a machine, what limits it, and how certain that is.

>>> import roofline as rl
>>> est = rl.estimate(
...     rl.Decode(rl.model("deepseek-v3"), batch=2048, context=4096), "gb200-nvl72", rl.Layout(dp=64, ep=64)
... )
>>> bool(est.fits), est.bound
(True, 'memory')
"""

from __future__ import annotations

from importlib import import_module

_NAMES = {
    "calibration.calibrate": (
        "Calibrated",
        "calibrate",
    ),
    "catalog": (
        "chip",
        "framework",
        "model",
        "names",
        "profile",
        "system",
    ),
    "core.errors": (
        "DescriptorError",
        "QuestionError",
        "RooflineError",
        "UnitError",
        "UnknownNameError",
    ),
    "core.frames": ("Frame",),
    "core.provenance": (
        "Fact",
        "Source",
    ),
    "hardware.constants": (
        "Calibration",
        "IDEAL",
        "Kernel",
        "Link",
    ),
    "hardware.frameworks": ("Framework",),
    "hardware.hardware": (
        "Chip",
        "Host",
        "Memory",
        "System",
        "Tier",
    ),
    "inference.autoscaling": ("Autoscale",),
    "inference.traces": (
        "Lengths",
        "Trace",
    ),
    "models.architecture": (
        "Absent",
        "Compressed",
        "Dense",
        "Formats",
        "Gqa",
        "Hyper",
        "Indexer",
        "Layers",
        "Linear",
        "Mamba",
        "Mla",
        "Model",
        "Moe",
        "PerLayer",
    ),
    "operators.feasibility": ("Rule",),
    "operators.memory": ("Footprint",),
    "operators.operations": (
        "Message",
        "Op",
    ),
    "physics.spans": ("Span",),
    "planner.collective": (
        "Collective",
        "collective",
    ),
    "planner.estimate": ("estimate",),
    "planner.offload": (
        "Offload",
        "offload",
    ),
    "planner.plans": ("Rejection",),
    "planner.pools": ("pools",),
    "planner.search": (
        "search",
        "search_training",
    ),
    "planner.pool_search": ("Splits",),
    "planner.service_search": ("Search",),
    "planner.training_search": ("TrainingSearch",),
    "planner.campaign": ("campaign",),
    "planner.post_training": ("post_train",),
    "planner.simulate": ("simulate",),
    "planner.train": ("train",),
    "plots.measured": (
        "Measured",
        "roofline",
    ),
    "reports.describe": (
        "Description",
        "describe",
    ),
    "reports.launch": ("launch",),
    "reports.launch.flags": ("Launch",),
    "reports.listing": ("listing",),
    "reports.report": (
        "Report",
        "report",
    ),
    "results.campaign": ("Campaign",),
    "results.estimate": ("Estimate",),
    "results.pools": ("Pools",),
    "results.post_training": ("PostTraining",),
    "results.simulation": ("Simulation",),
    "results.training": ("Training",),
    "studies.compare": (
        "Comparison",
        "compare",
    ),
    "studies.largest": ("largest",),
    "studies.needed": (
        "Needed",
        "needed",
    ),
    "studies.odds": (
        "BreakEven",
        "break_even",
        "probability",
    ),
    "studies.scaling": (
        "Scaling",
        "scaling",
    ),
    "studies.sweep": ("sweep",),
    "studies.sweep_result": ("Sweep",),
    "validation.runs": (
        "ServingRun",
        "TrainingRun",
    ),
    "validation.scoring": (
        "Prediction",
        "Score",
    ),
    "validation.validate": (
        "Validation",
        "validate",
    ),
    "workload.layout": ("Layout",),
    "workload.questions": (
        "Decode",
        "Prefill",
        "Serve",
        "TrainStep",
    ),
}
"""The public names by the module that defines them; ``__init__.pyi`` states their types."""
_PACKAGES = ("catalog", "plots")
"""Packages that are public themselves."""
_HOME = {name: module for module, names in _NAMES.items() for name in names}

# Constants and classes first, then functions.
__all__ = sorted(_HOME, key=lambda name: (not name.isupper(), not name[0].isupper(), name))  # noqa: PLE0605


def __getattr__(name: str) -> object:
    """Import a name when it is first asked for: ``import roofline`` itself loads nothing that prices."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it imports much

        found: object = version("roofline")
    elif name in _HOME:
        found = getattr(import_module(f"roofline.{_HOME[name]}"), name)
    elif name in _PACKAGES:
        return import_module(f"roofline.{name}")
    else:
        raise AttributeError(f"module 'roofline' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, *_PACKAGES]
