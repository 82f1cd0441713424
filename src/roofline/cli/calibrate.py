"""``roofline calibrate``: constants from timings."""

from __future__ import annotations

from typing import Final

from roofline import catalog, plots
from roofline.calibration.calibrate import calibrate
from roofline.cli.console import form_of, say, wrote
from roofline.cli.flags import Clouds, Joined, Json, Profile, Tables, Timed
from roofline.core.errors import QuestionError

EXAMPLES: Final = (
    "roofline calibrate gemm.csv attention.csv --chip h200 -o mine.toml",
    "roofline calibrate gemm.csv nccl.csv.gz --system hgx-h200 --plot fits.svg --json",
)


def calibrate_(
    *tables: Tables,
    chip: Timed = None,
    system: Joined = None,
    file: Profile = None,
    plot: Clouds = None,
    json: Json = False,
) -> None:
    """Fit the calibration coefficients of a chip to your own timings; every other row is held out, and the error is of those."""
    form = form_of(plot, "--plot")
    catalog.check_places([file, plot])
    if not tables:
        raise QuestionError("FILE: is missing; name the CSV files that hold the timings")
    found = calibrate(tables, chip, system=system)
    picture = b"" if plot is None else plots.render(found.plot().figure, form)
    say(json, found.to_dict, found.table)
    wrote((file, lambda: found.toml().encode(), f"; use it as --level {file}"), (plot, lambda: picture, ""))
