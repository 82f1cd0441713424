"""The verb for training: a step, a system and a layout give an answer; what is left out is chosen for the best that fits, and said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from roofline import catalog
from roofline.architecture import Model
from roofline.calibration import Calibration
from roofline.errors import QuestionError, fault
from roofline.estimates import setting
from roofline.evaluation import step
from roofline.frameworks import Framework
from roofline.hardware import System
from roofline.layout import Layout
from roofline.trained import Training
from roofline.units import Num
from roofline.workload import TrainStep


def train(
    what: TrainStep | Model | str | Path | Mapping[str, Any],
    system: System | str | Path,
    layout: Layout | None = None,
    *,
    chips: int | None = None,
    level: str | Calibration = "calibrated",
    framework: str | Path | Framework | None = None,
    dtype: str | None = None,
    power: Num | str | None = None,
    price: Num | str | None = None,
    **words: Any,
) -> Training:
    question = what if isinstance(what, TrainStep) else TrainStep(catalog.model(what), **words)
    if dtype is not None:
        question = attrs.evolve(question, model=catalog.model(question.model, dtype=dtype))
    rack, profile, notes = setting(system, level=level, engine="none", launch="graph", power=power, price=price)
    profile = profile.training(catalog.framework("generic" if framework is None else framework), narrow="fp8" in rack.chip.peak)
    if layout is None:
        raise QuestionError(fault("layout", None, "not yet"))
    return step(question, rack, layout, profile).noted(notes)
