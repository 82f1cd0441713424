"""The command that trains, ``roofline train``: a thin shell like the others."""

from __future__ import annotations

from json import dumps

from roofline.cli.console import say, wrote
from roofline.cli.flags import Batch, Chips, Json, Length, ModelName, System, Trace, Why
from roofline.cli.options import TRAINING, TrainingOptions
from roofline.core.errors import QuestionError, fault
from roofline.planner.train import train
from roofline.reports import training_text


def counted(global_batch: int | None) -> int:
    """Return the sequences of a step.

    Raises:
        QuestionError: they were not given.
    """
    if global_batch is None:
        raise QuestionError("--global-batch: is missing; give the sequences of a step, such as --global-batch 1024")
    return global_batch


def train_(
    model: ModelName,
    /,
    *,
    system: System,
    chips: Chips = None,
    global_batch: Batch = None,
    seq_len: Length = 4096,
    options: TrainingOptions = TRAINING,
    trace: Trace = None,
    why: Why = False,
    json: Json = False,
) -> None:
    """Estimate a step of training: its time, tokens per second, utilisation, bubble, messages, memory, how surely."""
    if trace is not None and trace.suffix != ".json":
        raise QuestionError(fault("--trace", str(trace), "a trace is a JSON file", "end the file name in .json"))
    est = train(model, system, chips=chips, global_batch=counted(global_batch), seq_len=seq_len, **options.words())
    if trace is not None:
        wrote(trace, (dumps(est.timeline(), allow_nan=False) + "\n").encode(), "; look at it in ui.perfetto.dev")
    say(json, lambda: training_text.fields(est, why=why), lambda: training_text.sheet(est, why=why))
