"""``roofline list``: what ships with the library."""

from __future__ import annotations

from typing import Literal

from roofline.cli.console import say
from roofline.cli.flags import Json
from roofline.reports.listing import list_table, listing


def list_(kind: Literal["systems", "chips", "models", "engines", "frameworks"], /, *, json: Json = False) -> None:
    """List the systems, chips, models, serving engines or training frameworks that ship with the library."""
    say(json, lambda: listing(kind), lambda: list_table(kind))
