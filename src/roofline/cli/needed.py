"""``roofline needed``: what a number has to be for targets."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.flags import LIMIT, Json, ModelName, RequireFit, System
from roofline.cli.numbers import limits as assigned
from roofline.cli.options import LIMITS, Limits
from roofline.cli.point import POINT, Point
from roofline.planner.metrics import metric
from roofline.studies.needed import needed

Number = Annotated[
    str,
    Parameter(
        help="A number of the hardware (bandwidth, memory, compute, links, latency, price, system.tier[0].size), a size of the workload "
        "(batch, context, concurrency), or chips: bandwidth."
    ),
]
Targets = Annotated[
    list[str] | None,
    Parameter(
        name="--target", negative="", group=LIMIT, help="A target: tpot=20ms, or ttft=p99<2s at a percentile (quote it); repeat it for several (default: that it fits)."
    ),
]  # fmt: skip


def needed_(
    number: Number,
    model: ModelName,
    *,
    system: System,
    target: Targets = None,
    limits: Limits = LIMITS,
    point: Point = POINT,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Find the value of one number (a bandwidth, a batch, the chips, a cost per hour) that meets targets, all else equal."""
    targets: dict[str, Any] = {**limits.words(), **assigned("--target", target)}
    for name in targets:
        metric(name, "target")
    est = point.answer(model, system)
    found = needed(est, number, **targets)
    say(json, found.to_dict, lambda: f"{model} on {system}: {est.layout.short()}\n{found.why}")
    if require_fit and not found.exists:
        raise SystemExit(1)
