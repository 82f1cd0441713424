"""Types of plain values: what a cell of a table holds, and what a JSON document holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Cell: TypeAlias = bool | int | float | str | None
"""A value of one row of a table; None where it has no meaning."""
Json: TypeAlias = "Cell | Sequence[Json] | Mapping[str, Json]"
"""A value as JSON has it."""
Record: TypeAlias = dict[str, Json]
"""An object as JSON has it: what every ``to_dict`` returns."""
