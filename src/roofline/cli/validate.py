"""``roofline validate``: predictions against measured runs."""

from __future__ import annotations

from typing import Any

from roofline import catalog, plots
from roofline.cli.console import form_of, say, watched, wrote
from roofline.cli.flags import Json, Level, Predictions, Runs, Scatter
from roofline.validation.validate import SHIPPED, validate


def validate_(
    runs: Runs = SHIPPED,
    /,
    *,
    level: Level = None,
    file: Predictions = None,
    plot: Scatter = None,
    json: Json = False,
) -> None:
    """Predict measured runs and report the errors: by quantity and group, and how often the intervals hold the measurement."""
    form = form_of(plot, "--plot")
    catalog.check_places([file, plot])
    words: dict[str, Any] = {} if level is None else {"level": level}
    with watched("runs") as progress:
        found = validate(runs, progress=progress, **words)
    say(json, found.to_dict, found.table)
    wrote((file, lambda: found.csv().encode(), ""), (plot, lambda: plots.render(found.figure(), form), ""))
