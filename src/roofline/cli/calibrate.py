"""``roofline calibrate``: constants from timings, or a stack from serving runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from roofline import catalog
from roofline.calibration import foreign
from roofline.calibration.calibrate import calibrate
from roofline.cli.console import drawn, form_of, say, wrote
from roofline.cli.flags import Clouds, Joined, Json, Profile, Tables, Timed
from roofline.cli.numbers import to_whole
from roofline.core.errors import QuestionError
from roofline.validation.own_stack import own_stack

CollectiveName = Annotated[
    str,
    Parameter(
        help="Collective in the output of nccl-tests or HCCL test, where the output does not state it: all-reduce."
    ),
]
RankCount = Annotated[
    int | None, Parameter(converter=to_whole, help="Ranks that took part, where the output does not state it: 8.")
]


def calibrate_(
    *tables: Tables,
    chip: Timed = None,
    system: Joined = None,
    collective: CollectiveName = "",
    ranks: RankCount = None,
    file: Profile = None,
    plot: Clouds = None,
    json: Json = False,
) -> None:
    """Fit the calibration coefficients of a chip to your own timings; half of the rows are held out, and the error is that of these rows.

    A file of serving runs (model, system, input_len and what was measured) fits the software stack instead: launches and host times.
    """
    form = form_of(plot, "--plot")
    catalog.check_places([file, plot])
    if not tables:
        raise QuestionError("FILE: is missing; name the CSV files that hold the timings")
    if len(tables) == 1 and _of_runs(tables[0]):
        own = own_stack(tables[0])
        say(json, own.to_dict, own.table)
        wrote((file, lambda: own.toml().encode(), f"; use it as --engine {file}"))
        return
    found = calibrate(tables, chip, system=system, collective=collective, ranks=ranks)
    picture = b"" if plot is None else drawn(found.plot(), form)
    say(json, found.to_dict, found.table)
    wrote((file, lambda: found.toml().encode(), f"; use it as --level {file}"), (plot, lambda: picture, ""))


def _of_runs(table: str | Path) -> bool:
    """Return whether a file holds serving runs, by its columns."""
    if foreign.is_foreign(Path(table)):
        return False
    _, rows = catalog.measured(Path(table))
    return bool(rows) and {"model", "system", "input_len"} <= rows[0].keys()
