"""``roofline break-even``: the cost per hour at which two systems cost the same per token."""

from __future__ import annotations

from typing import Annotated

from attrs import evolve
from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.flags import Json, ModelName
from roofline.cli.point import POINT, Point
from roofline.studies.odds import break_even


def break_even_(
    system: Annotated[str, Parameter(help="The system whose break-even cost per hour is computed: dgx-b200.")],
    other: Annotated[str, Parameter(help="The system whose cost per hour is known, or given by --price: dgx-h100.")],
    model: ModelName,
    /,
    *,
    point: Point = POINT,
    json: Json = False,
) -> None:
    """Find the cost per hour at which a system's tokens cost as much as those of another, each with its best layout."""
    own = evolve(point, machine=evolve(point.machine, price=None))
    mine, theirs = own.answer(model, system), point.answer(model, other)
    found = break_even(mine, theirs)
    say(json, found.to_dict, lambda: f"{model} costs as much on {system} as on {other} at {found}")
