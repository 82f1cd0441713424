"""Reads the residuals of measured runs from ``hardware/evidence``."""

from __future__ import annotations

import functools
from typing import Final

from roofline.catalog.files import read_rows
from roofline.catalog.folders import root
from roofline.hardware.evidence import Condition, Evidence, Spread, Subject, nested

FOLDER: Final = "hardware/evidence"
QUANTILES: Final = ("q025", "q10", "q25", "q50", "q75", "q90", "q975")
"""Columns of quantiles, as :data:`roofline.hardware.evidence.SHARES` counts them."""
SUBJECT: Final = ("kind", "software", "chip", "maker", "family", "model")
"""Columns that say what runs are about."""


@functools.cache
def evidence() -> Evidence:
    """Return the evidence that comes with the library.

    >>> found = evidence()
    >>> low, high = found.spread("tpot", "family").ends(0.8)
    >>> bool(low < 0 < high)
    True
    """
    folder = root() / FOLDER
    measured = {
        Subject(*(row[name] for name in SUBJECT)): int(row["runs"]) for row in read_rows(folder / "measured.csv")
    }
    spreads = {
        (row["quantity"], row["distance"], row["of"]): Spread(
            int(row["cells"]), int(row["runs"]), tuple(float(row[name]) for name in QUANTILES)
        )
        for name in ("residuals.csv", "collectives.csv", "memory.csv", "energy.csv")
        for row in read_rows(folder / name)
    }
    alike = {
        (row["quantity"], frozenset(row["common"].split("+"))): float(row["correlation"])
        for row in read_rows(folder / "alike.csv")
    }
    conditions = {
        (row["quantity"], row["condition"]): Condition(int(row["cells"]), float(row["width"]))
        for row in read_rows(folder / "conditions.csv")
    }
    return Evidence(measured, nested(spreads), alike, conditions)
