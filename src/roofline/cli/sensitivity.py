"""``roofline sensitivity``: what an answer depends on."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.flags import LIMIT, Json, ModelName, System
from roofline.cli.point import POINT, Point

Of = Annotated[str | None, Parameter(group=LIMIT, help="Of which quantity: tpot, ttft (default: tokens per second).")]


def sensitivity_(
    model: ModelName,
    *,
    system: System,
    of: Of = None,
    point: Point = POINT,
    json: Json = False,
) -> None:
    """Report the sensitivity of an estimate: the effect of 10 % more or less of each number of hardware, software and workload."""
    est = point.answer(model, system)
    found = est.sensitivity(of)
    say(json, found.to_dict, lambda: f"{model} on {system}: {est.layout.short()}\n{found.table()}")
