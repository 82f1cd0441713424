"""``roofline launch``: the command that would start what is estimated."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from roofline import catalog
from roofline.cli.console import say, wrote
from roofline.cli.fit import required
from roofline.cli.flags import OUTPUT, Json, ModelName, RequireFit, System
from roofline.cli.numbers import to_whole
from roofline.cli.options import (
    DEGREES,
    LOAD,
    MACHINE,
    POOL,
    SOFTWARE,
    STEP,
    Degrees,
    Load,
    Machine,
    Pool,
    Software,
    Step,
    either,
)
from roofline.core.errors import QuestionError
from roofline.planner.estimate import estimate, service
from roofline.planner.pools import pools
from roofline.planner.train import train

ToolName = Annotated[
    str,
    Parameter(
        group=OUTPUT,
        help="vllm, vllm-ascend, sglang, trtllm or mindie for a service; dynamo or llm-d with --prefill-chips; megatron, torchtitan or mindspeed "
        "with --global-batch (default: that of --engine or --framework, else the usual one of the chips' maker).",
    ),
]
Checkpoint = Annotated[
    str, Parameter(group=OUTPUT, help="What the tool loads, a path or a name of a hub: deepseek-ai/DeepSeek-V3.")
]
PerNode = Annotated[
    int | None,
    Parameter(group=OUTPUT, converter=to_whole, help="Devices of a host: 8 (default: those of the system)."),
]
Place = Annotated[
    Path | None,
    Parameter(
        name=["--output-file", "-o"],
        group=OUTPUT,
        help="Write launch.sh and the tool's files into this directory: run/.",
    ),
]


def launch_(
    model: ModelName,
    *,
    system: System,
    tool: ToolName = "",
    checkpoint: Checkpoint = "",
    per_node: PerNode = None,
    machine: Machine = MACHINE,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    load: Load = LOAD,
    step: Step = STEP,
    pool: Pool = POOL,
    file: Place = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Write the command line and files that start an estimated configuration: of an engine, a deployment or a training framework."""
    trains, asked = either(load, step, also=software)
    where: dict[str, Any] = machine.words() | degrees.words()
    apart = pool.words()
    answer: Any
    if trains:
        answer = train(model, system, **where, **asked)
    elif apart:
        if "prefill_chips" not in apart:
            raise QuestionError("--prefill-chips: is missing; give the chips of the prefill pool too")
        stored = {name: asked.pop(name) for name in ("dtype", "kv_dtype") if name in asked}
        own = {name: asked.pop(name) for name in ("engine", "launch", "memory_fraction") if name in asked}
        answer = pools(service(catalog.model(model, **stored), asked), system, **apart, **where, **own)
    else:
        answer = estimate(model, system, **where, **asked)
    found = answer.launch(tool, model=checkpoint, per_node=per_node)
    places = (
        {} if file is None else {file / name: text for name, text in {"launch.sh": found.script, **found.files}.items()}
    )
    if file is not None:
        file.mkdir(parents=True, exist_ok=True)
    catalog.check_places(list(places))
    say(json, found.to_dict, lambda: str(found), verbatim=True)
    wrote(*((path, text.encode, "") for path, text in places.items()))
    if file is not None:
        (file / "launch.sh").chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    required(answer, asked=require_fit)
