"""``roofline train``: a training step."""

from __future__ import annotations

from json import dumps
from typing import Any, Final

from roofline import catalog
from roofline.cli.console import say, wrote
from roofline.cli.fit import required
from roofline.cli.flags import Dtype, Json, ModelName, PowerCap, RequireFit, System, Trace, Why
from roofline.cli.options import DEGREES, MACHINE, STEP, Degrees, Machine, Step
from roofline.core.errors import QuestionError, fault
from roofline.planner.train import train
from roofline.reports import text
from roofline.results.training import Training

EXAMPLES: Final = (
    "roofline train llama-3.1-70b --system dgx-h100 --chips 64 --global-batch 256 --seq-len 8192",
    "roofline train deepseek-v3 -s dgx-h100 --chips 2048 --global-batch 8192 --pp 16 --ep 64 --dtype fp8 --why",
)


def train_(
    model: ModelName,
    *,
    system: System,
    machine: Machine = MACHINE,
    dtype: Dtype = None,
    degrees: Degrees = DEGREES,
    step: Step = STEP,
    trace: Trace = None,
    power_cap: PowerCap = None,
    require_fit: RequireFit = False,
    why: Why = False,
    json: Json = False,
) -> None:
    """Estimate a training step: time, tokens/s, utilisation, pipeline bubble, communication, memory, and how certain that is."""
    if trace is not None and trace.suffix != ".json":
        raise QuestionError(fault("--trace", str(trace), "a trace is a JSON file", "end the file name in .json"))
    catalog.check_places([trace])
    words: dict[str, Any] = machine.words() | degrees.words() | step.words()
    est = train(model, system, dtype=dtype, power_cap=power_cap, **words)
    say(json, lambda: text.fields(est, why=why), lambda: text.sheet(est, why=why))
    wrote((trace, lambda: _document(est), "; look at it in ui.perfetto.dev"))
    required(est, asked=require_fit)


def _document(est: Training) -> bytes:
    """Return the schedule of a step as a JSON document."""
    return f"{dumps(est.timeline(), allow_nan=False)}\n".encode()
