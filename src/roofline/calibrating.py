"""A profile of a chip from kernel timings: the constants of every class that the rows hold, as a noun, a table and a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.calibration import Calibration
from roofline.errors import QuestionError, fault
from roofline.fitting import ENOUGH, FITTED, Fit, fit, score
from roofline.hardware import Chip
from roofline.reports import columns
from roofline.timings import timings
from roofline.units import MICRO, SECOND, Ratio, show


def calibrate(
    what: str | Path | Iterable[Mapping[str, str]],
    chip: str | Path | Chip,
    *,
    base: str | Path | Calibration = "generic",
    name: str = "",
) -> Calibrated:
    """Fit a profile to kernel timings of one chip.

    Args:
        what: the path of a CSV file (plain or gzipped), or its rows; see :mod:`roofline.timings` for the columns.
            All must be of one chip: rows that name two in a ``hardware`` column are refused.
        chip: what was timed: an object, a name in ``hardware/chips``, or the path of a TOML file.
        base: the profile whose constants stay where the rows say nothing.
        name: what to call the profile; by default after the chip.

    Raises:
        DescriptorError: the file cannot be read. QuestionError: no class has rows enough.
    """
    timed = catalog.chip(chip)
    start = catalog.profile(base, "dgx-h100")
    path = Path(what) if isinstance(what, (str, Path)) else None
    given: Any = what if path is None else catalog.read_rows(path)
    rows: list[Mapping[str, str]] = list(given)
    chips = sorted({row["hardware"] for row in rows if row.get("hardware")})
    if len(chips) > 1:
        raise QuestionError(fault("hardware", ", ".join(chips), "are several chips", "keep the rows of one"))
    groups = timings(rows, timed.peak, "rows" if path is None else str(path))
    fits = tuple(fit(group, timed, start) for group in groups if group.count >= ENOUGH)
    few = tuple(
        f"{group.kernel} {group.form}: {group.count} rows are too few" for group in groups if group.count < ENOUGH
    )
    if not fits:
        raise QuestionError(
            fault(
                "rows",
                sum(group.count for group in groups),
                "hold no class with rows enough",
                f"time {ENOUGH} of one at least",
            )
        )
    before = tuple(score(group, timed, start)[0] for group in groups if group.count >= ENOUGH)
    kernels = {**start.kernels, **{(each.kernel, each.form): each.constants for each in fits}}
    facts = tuple(
        fact for fact in start.facts if tuple(fact.path.split(".")[1:3]) not in {(f.kernel, f.form) for f in fits}
    )
    profile = attrs.evolve(
        start, name=name or timed.name, level="calibrated", kernels=kernels, vendors=(timed.vendor,), facts=facts
    )
    return Calibrated(profile, timed, fits, before, few, path.name if path is not None else "rows")


@frozen(eq=False)
class Calibrated:
    """A fitted profile, and how well it tells the times it was not fitted to.

    Attributes:
        profile: to be used as ``level=``.
        before: mean error of the base profile on the same rows, fit by fit.
        skipped: classes that had too few rows.
    """

    profile: Calibration
    chip: Chip
    fits: tuple[Fit, ...]
    before: tuple[Ratio, ...]
    skipped: tuple[str, ...]
    source: str

    def table(self) -> str:
        """Return what was found and how far off it is, as text."""
        rows = []
        for each, before in zip(self.fits, self.before, strict=True):
            k = each.constants
            found = [
                f"{name} {_told(name, float(getattr(k, name)))}"
                for name in FITTED[each.kernel]
                if name not in each.undetermined
            ]
            rows.append([each.kernel, each.form, f"{each.rows + each.left_out:,}", f"{before:.1%}", f"{each.seen:.1%}",
                         f"{each.mape:.1%}",
                         f"{each.median:.1%}", f"{each.p90:.1%}", ", ".join(found)])  # fmt: skip
        head = ["kernel", "format", "rows", "before", "fitted", "left out", "median", "90 %", "constants"]
        loose = [
            f"{f.kernel} {f.form}: the rows do not determine {', '.join(f.undetermined)}, which stays"
            for f in self.fits
            if f.undetermined
        ]
        told = [
            f"{self.profile.name}: constants of {self.chip.title or self.chip.name} from {self.source}; mean errors",
            "",
        ]
        return "\n".join(
            [
                *told,
                columns(rows, head=head, right=range(2, 8)),
                *(["", *loose, *self.skipped] if loose or self.skipped else []),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fits under names with units."""
        out = []
        for each, before in zip(self.fits, self.before, strict=True):
            told = {
                f"{n}{'_s' if n in ('t0', 'item') else ''}": float(getattr(each.constants, n))
                for n in FITTED[each.kernel]
            }
            out.append({"kernel": each.kernel, "format": each.form, "rows_fitted": each.rows, "rows_left_out": each.left_out,
                        "mape_before": before, "mape_fitted": each.seen, "mape_left_out": each.mape,
                        "median_left_out": each.median, "p90_left_out": each.p90,
                        "constants": told, "undetermined": list(each.undetermined)})  # fmt: skip
        return {"profile": self.profile.name, "chip": self.chip.name, "fits": out, "skipped": list(self.skipped)}

    def toml(self, today: date | None = None) -> str:
        """Return the profile as a descriptor file: its constants over those of the generic profile, with how they were found."""
        name = self.chip.title or self.chip.name
        lines = [f"# Constants of {name}, fitted; where this file says nothing, those of the base serve.", "", "[calibration]",
                 'level   = "calibrated"', 'base    = "generic"', f"vendors = [{json.dumps(self.chip.vendor)}]", ""]  # fmt: skip
        for each in self.fits:
            k = each.constants
            lines += [
                f"[kernel.{each.kernel}.{json.dumps(each.form) if '.' in each.form else each.form}]",
                'source = "fit"',
            ]
            for name in ("eta_compute", "eta_memory", "t0", "p", "ramp", "item", "occupancy", "error"):
                value = float(getattr(k, name))
                told = (
                    json.dumps(f"{value / MICRO:.4g} us")
                    if name in ("t0", "item")
                    else "inf"
                    if np.isinf(value)
                    else f"{value:.4g}"
                )
                lines.append(f"{name} = {told}")
            lines += [
                f"# left out: {each.mape:.1%} mean, {each.median:.1%} median, {each.p90:.1%} for nine of ten; {each.left_out} rows",
                "",
            ]
        when = (today or date.today()).isoformat()
        how = f"robust least squares on log(predicted / measured) over every other row, {when}; the error is of the others"
        title = json.dumps(f"Kernel timings of {self.chip.name}, {self.source}")
        lines += ["[sources.fit]", 'kind  = "derived"', f"title = {title}",
                  f"how   = {json.dumps(how)}"]  # fmt: skip
        return "\n".join(lines) + "\n"


def _told(name: str, value: float) -> str:
    return show(value, SECOND, 3) if name in ("t0", "item") else f"{value:.3g}"
