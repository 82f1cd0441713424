"""``roofline list``: what ships with the library."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.flags import Json
from roofline.reports.listing import list_table, listing

Kind = Annotated[
    Literal["systems", "chips", "models", "engines", "frameworks"], Parameter(help="What is listed: systems.")
]


def list_(kind: Kind, /, *, json: Json = False) -> None:
    """List the systems, chips, models, serving engines or training frameworks that ship with the library."""
    say(json, lambda: listing(kind), lambda: list_table(kind))
