"""``roofline show``: a descriptor, number by number."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.flags import Json
from roofline.reports.describe import describe


def show(
    name: Annotated[
        str, Parameter(help="A system, a chip, a model, or the path of a TOML file or a config.json: gb200-nvl72.")
    ],
    /,
    *,
    kind: Annotated[
        Literal["system", "chip", "model"] | None,
        Parameter(help="What the name is of, where a chip and a system share it: chip."),
    ] = None,
    json: Json = False,
) -> None:
    """Show a system, a chip or a model: every number with its source."""
    say(json, lambda: describe(name, kind).to_dict(), lambda: describe(name, kind).text)
