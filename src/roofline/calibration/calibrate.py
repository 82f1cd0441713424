"""A profile of a chip from timings: coefficients of every kernel class in the rows, as an object, a table, a file and a plot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.calibration import foreign
from roofline.calibration.fitting import (
    ENOUGH,
    FITTED,
    OWN,
    TIMES,
    Fit,
    Key,
    Part,
    constants_at,
    errors,
    fit,
    halves,
    relative_error,
    with_constants,
)
from roofline.calibration.timings import Timings, joined, read
from roofline.catalog.descriptors import UNITS
from roofline.catalog.files import located
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.signatures import typed, typed_methods
from roofline.core.text import columns
from roofline.core.units import BYTE, BYTE_RATE, GIGA, MICRO, SECOND, Ratio, Unit, show
from roofline.core.values import Record
from roofline.hardware.constants import Calibration, Found, Kernel, Link, Stack, stacked
from roofline.hardware.hardware import Chip, System
from roofline.results.notebook import Displayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MACHINES: Final[Mapping[str, str]] = {
    "a100_sxm": "dgx-a100-80gb", "h100_sxm": "dgx-h100", "h200_sxm": "hgx-h200", "b200_sxm": "dgx-b200", "gb200": "gb200-nvl72",
    "b300_sxm": "hgx-b300", "gb300": "gb300-nvl72", "rtx_pro_6000_server": "rtx-pro-6000-8",
}  # fmt: skip
"""Systems by the names that published tables give to their chips."""

_UNJOINED: Final = "collectives, which need system= to say what joins the chips"

_MATTERS: Final = 0.02
"""A stack has constants of its own where they take so much off the mean error of its rows."""

WORST: Final = 0.5
"""Constants whose error is larger are none: the class keeps those of its base."""

_REFUSED: Final = "no constants are within a half of the times: those of the base stay"
_TWICE: Final = float(np.log(2.0))

_LONG: Final = 0.01
_LONG_ENOUGH: Final = 8
"""Products that last ten milliseconds tell the clock that is sustained, where there are so many."""

_FEW: Final = 3
"""Files that are named one by one."""


@typed
def calibrate(
    what: str | Path | Iterable[str | Path | Mapping[str, str]],
    chip: str | Path | Chip | None = None,
    *,
    system: str | Path | System | None = None,
    base: str | Path | Calibration = "generic",
    name: str = "",
    collective: str = "",
    ranks: int | None = None,
) -> Calibrated:
    """Fit a profile of coefficients to timings of kernels and collectives on one chip.

    Args:
        what: the path of a CSV file (plain or gzipped), those of several, or rows; see :mod:`roofline.calibration.timings` for the columns.
            Or output of nccl-tests, rccl-tests and HCCL test, traces of the PyTorch profiler, tables of the Ascend profiler: see
            :mod:`roofline.calibration.foreign`.
        chip: what was timed: an object, a name in ``hardware/chips``, or the path of a TOML file. By default what the
            ``hardware`` column says; where that names several, only the rows of this one count.
        system: what the chips were joined by, which collectives need; it says the chip too.
        base: the profile whose constants stay where the rows say nothing.
        name: what to call the profile; by default after the chip.
        collective, ranks: of output that does not say them.

    Returns:
        The fitted profile, its errors, and what was not fitted.

    Raises:
        DescriptorError: a file cannot be read. QuestionError: no class has rows enough, or what was timed is not stated.
    """
    files, left = _files(what, collective=collective, ranks=ranks)
    rack, timed = _machine([row for rows in files.values() for row in rows], chip, system)
    start = catalog.profile(base, rack or "dgx-h100")
    readings = [
        read([row for row in rows if _is_of_chip(row, rack, timed)], timed, file) for file, rows in files.items()
    ]
    grouped: dict[str, list[Timings]] = {}
    aside: dict[str, int] = dict(sum((Counter(each.aside) for each in readings), start=Counter(left)))
    for each in (timings for reading in readings for timings in reading.timings):
        if each.ways and rack is None:
            aside[_UNJOINED] = aside.get(_UNJOINED, 0) + each.count
        else:
            grouped.setdefault(each.name, []).append(each)
    tiers = rack.tiers if rack is not None else ()
    parts = []
    for group in grouped.values():
        part = Part(joined(group), timed, tiers)
        if np.isfinite(errors(part, start)).all():
            parts.append(part)
        else:
            joins = rack.name if rack else timed.name
            aside[f"{part.timings.name}, a way that the links of {joins} do not allow"] = part.timings.count
    few = tuple(f"{p.timings.name}: {p.timings.count} rows are too few" for p in parts if p.timings.count < ENOUGH)
    enough = [part for part in parts if part.timings.count >= ENOUGH]
    if not enough:
        count = sum(part.timings.count for part in parts)
        why = "".join(f"; {n:,} rows are left aside: {reason}" for reason, n in aside.items())
        raise QuestionError(
            fault("rows", count, "hold no kernel with enough of them", f"time at least {ENOUGH} of one{why}")
        )
    alike = [_alike(part, grouped, start) for part in enough]
    tried: list[tuple[Part, Fit | None]] = []
    for part, those in zip(enough, alike, strict=True):
        tried.append((part, shared(those, start, most=_wider(part, tried)) if those else None))
    fits = [found for _, found in tried if found is not None]
    refused = tuple(f"{part.timings.name}: {_REFUSED}" for part, found in tried if found is None)
    profile = start
    for found in fits:
        profile = with_constants(profile, found.constants)
    own = [
        better
        for part, found in tried
        for stack in _stacks(grouped[part.timings.name], refused=found is None)
        if (better := _own(Part(stack, timed, tiers), profile)) is not None
    ]
    profile = attrs.evolve(
        profile, name=name or timed.name, level="calibrated", vendors=(timed.vendor,), sustained=_sustained(enough, profile),
        stacks=stacked(
            start,
            profile.kernels,
            profile.links,
            {stack: _stack([f for f in own if f.stack == stack]) for stack in sorted({f.stack for f in own})},
        ),
        found=(*(_found(f, "") for f in fits), *(_found(f, f.stack) for f in own)),
        facts=_base_facts(start, fits),
    )  # fmt: skip
    notes = (*few, *refused, *(f"{count:,} rows are left aside: {why}" for why, count in aside.items()))
    used = tuple(Part(each, timed, tiers) for part in enough for each in grouped[part.timings.name])
    source = ", ".join(Path(file).name for file in files) if len(files) <= _FEW else f"{len(files)} files"
    known = start.name if start.name in catalog.names("calibration") else "generic"
    return Calibrated(profile, timed, tuple(fits), tuple(own), notes, source, used, known)


def _files(
    what: str | Path | Iterable[str | Path | Mapping[str, str]], *, collective: str, ranks: int | None
) -> tuple[dict[str, list[Mapping[str, str]]], dict[str, int]]:
    """Return rows by the file they stand in, as messages call it, and what of other tools' files is left aside."""
    out: dict[str, list[Mapping[str, str]]] = {}
    aside: Counter[str] = Counter()
    for each in [what] if isinstance(what, (str, Path)) else what:
        if isinstance(each, Mapping):
            out.setdefault("rows", []).append(each)
        elif foreign.is_foreign(located("timings", each)):
            found = foreign.read(located("timings", each), collective=collective, ranks=ranks)
            out[str(each)] = found.rows
            aside.update(found.aside)
        else:
            out[str(each)] = list(catalog.read_rows(Path(each)))
    return out, aside


def _found(fitted: Fit, stack: str) -> Found:
    return Found(fitted.name, stack, fitted.rows, fitted.left_out, fitted.mape, fitted.median, fitted.p90)


def shared(
    parts: Sequence[Part],
    start: Calibration,
    *,
    by_best: bool = False,
    worst: Ratio = WORST,
    most: Kernel | None = None,
) -> Fit | None:
    """Return the constants that serve any stack; None where their error is more than ``worst``: the class then keeps its base's.

    What belongs to one library's kernel (:data:`roofline.calibration.fitting.OWN`) is fitted, so that it does not bend the others,
    and left out. A launch and an expert take no longer than those of ``most``, a wider format whose kernels are as many.
    """
    found = fit(parts, start, by_best=by_best)
    above = () if most is None else tuple(name for name in _AS_MANY if _slower(found, name, most))
    if above:
        change = {name: getattr(most, name) for name in above}
        less = {key: attrs.evolve(constants_at(start, key), **change) for key in found.constants}
        left = {name: tuple(each for each in names if each not in above) for name, names in FITTED.items()}
        found = fit(parts, with_constants(start, less), by_best=by_best, fitted=left)
    (key, *_) = found.constants
    if isinstance(key, str):
        return found if max(float(each.error) for each in found.constants.values()) <= worst else None
    # What the rows do not tell, or only one library has, is not carried over.
    bare = dict.fromkeys(OWN.get(key[0], ()), 0.0)
    constants: Mapping[Key, Kernel | Link] = {key: attrs.evolve(c, **bare) for key, c in found.constants.items()}  # type: ignore[arg-type]
    wrong = float(
        np.quantile(
            np.concatenate([np.abs(errors(halves(p)[1], with_constants(start, constants))) for p in parts]), 0.8
        )
    )
    constants = {key: attrs.evolve(each, error=wrong if bare else each.error) for key, each in constants.items()}
    return (
        attrs.evolve(found, constants=constants) if max(float(c.error) for c in constants.values()) <= worst else None
    )


_AS_MANY: Final = ("t0", "hit")
"""Times of kernels and experts, of which a narrow format has as many as a wide one."""


def _slower(found: Fit, name: str, most: Kernel) -> bool:
    """Return whether a time was found to be longer than that of another format."""
    return any(isinstance(c, Kernel) and getattr(c, name) > getattr(most, name) for c in found.constants.values())


def _wider(part: Part, tried: Iterable[tuple[Part, Fit | None]]) -> Kernel | None:
    """Return the constants found for the class in 8 bits, where the part is of it in 4."""
    key = (part.timings.kernel, "fp8-block")
    found = (each for _, each in tried if each is not None and key in each.constants)
    wider = [c for each in found for c in each.constants.values() if isinstance(c, Kernel)]
    return wider[0] if wider and (part.timings.kernel, part.timings.form) == ("moe", "nvfp4") else None


def _alike(part: Part, grouped: Mapping[str, Sequence[Timings]], start: Calibration) -> list[Part]:
    """Return the timings of a class without those of stacks whose kernels are more than twice as slow as the quickest, or the base's.

    Other engines have quicker ones; a stack that does not has constants of its own.
    """
    if part.timings.ways or not all(each.stack for each in grouped[part.timings.name]):
        return [part]
    stacks = {each.stack for each in grouped[part.timings.name]}
    parts = [
        attrs.evolve(part, timings=joined([t for t in grouped[part.timings.name] if t.stack == name]))
        for name in sorted(stacks)
    ]
    pace = [float(np.median(errors(each, start))) for each in parts]
    usual = [each for each, quick in zip(parts, pace, strict=True) if quick > max(*pace, 0.0) - _TWICE]
    if not usual:
        return []
    together = joined([each.timings for each in usual])
    return [attrs.evolve(part, timings=together if len(stacks) == 1 else attrs.evolve(together, stack=""))]


def _stacks(groups: Sequence[Timings], *, refused: bool) -> list[Timings]:
    """Return the timings of each stack, where there are several, or what was found for one cannot serve the others."""
    names = sorted({group.stack for group in groups})
    single = len(names) == 1 and not refused and not OWN.get(groups[0].kernel)
    return [] if single else [joined([g for g in groups if g.stack == name]) for name in names if name]


def _own(part: Part, profile: Calibration) -> Fit | None:
    """Return the constants of one stack's rows, where they explain them materially better than those of all stacks do."""
    if part.timings.count < ENOUGH:
        return None
    _, others = halves(part)
    found = fit([part], profile)
    better = found.mape < float(relative_error(others, profile).mean()) - _MATTERS
    return found if better and max(float(c.error) for c in found.constants.values()) <= WORST else None


def _stack(fits: Sequence[Fit]) -> Stack:
    """Return what differs in the kernels of one stack."""
    kernels: dict[tuple[str, str], Kernel] = {}
    links: dict[str, Link] = {}
    for found in fits:
        for key, each in found.constants.items():
            if isinstance(each, Kernel) and not isinstance(key, str):
                kernels[key] = each
            elif isinstance(each, Link) and isinstance(key, str):
                links[key] = each
    return Stack(kernels, links)


def _machine(
    rows: Sequence[Mapping[str, str]], chip: str | Path | Chip | None, system: str | Path | System | None
) -> tuple[System | None, Chip]:
    """Return what was timed: the system, where it is known, and what one rank of it runs on."""
    hardware = sorted({row["hardware"] for row in rows if row.get("hardware")})
    strange = [name for name in hardware if name not in MACHINES and name not in catalog.names("chip")]
    if len(strange) > 1:
        raise QuestionError(fault("hardware", ", ".join(strange), "are several chips", "keep the rows of one"))
    if system is not None:
        rack = catalog.system(system)
        if chip is not None and catalog.chip(chip).name != rack.package.name:
            rule = f"is not what {rack.name} is made of"
            raise QuestionError(fault("chip", catalog.chip(chip).name, rule, "leave one of the two out"))
        return rack, rack.chip
    if chip is not None:
        timed = catalog.chip(chip)
        machines = [name for name in (*MACHINES.values(), timed.name) if name in catalog.names("system")]
        named = next((name for name in machines if catalog.system(name).package.name == timed.name), None)
        return (None if named is None else catalog.system(named)), timed
    if len(hardware) != 1:
        rule = "are several chips" if hardware else "is not stated: no row has a hardware column"
        raise QuestionError(fault("hardware", ", ".join(hardware), rule, "name the one with chip= (--chip)"))
    named = MACHINES.get(hardware[0], hardware[0])
    if named in catalog.names("system"):
        rack = catalog.system(named)
        return rack, rack.chip
    return None, catalog.chip(hardware[0])


def _is_of_chip(row: Mapping[str, str], rack: System | None, timed: Chip) -> bool:
    """Return whether a row is of this chip: it says so, or says nothing that the library knows."""
    named = row.get("hardware") or ""
    known = MACHINES.get(named)
    if known is not None:
        return known == (rack.name if rack is not None else "") or catalog.system(known).package.name == timed.name
    return named in ("", timed.name) or named not in catalog.names("chip")


def _sustained(parts: Sequence[Part], profile: Calibration) -> Ratio:
    """Return the part of the matrix rate that products of ten milliseconds and more reach, of what shorter ones do."""
    reached = []
    for part in parts:
        if part.timings.kernel == "gemm":
            long = np.asarray(part.timings.measured) > _LONG
            reached += errors(part, profile)[long].tolist()
    return float(min(np.exp(np.median(reached)), 1.0)) if len(reached) >= _LONG_ENOUGH else profile.sustained


def _base_facts(start: Calibration, fits: Sequence[Fit]) -> tuple[Any, ...]:
    """Return the facts of the base profile that are unchanged."""
    new = [
        f"link.{key}" if isinstance(key, str) else ".".join(("kernel", *key)) for each in fits for key in each.constants
    ]
    return tuple(fact for fact in start.facts if fact.path.rpartition(".")[0] not in new)


@typed_methods
@frozen(eq=False)
class Calibrated(Displayed):
    """A fitted profile, and its error on timings that were left out of the fit.

    Attributes:
        profile: to be used as ``level=``.
        chip: the chip that the timed kernels ran on.
        fits: what was found for all stacks together.
        own: what was found for each stack whose kernels differ.
        notes: classes that had too few rows, and rows that were left aside.
        source: names of the files of timings, or how many there are.
        parts: the timings that were used, stack by stack.
        base: the profile whose constants stay where the rows say nothing.
    """

    profile: Calibration
    chip: Chip
    fits: tuple[Fit, ...]
    own: tuple[Fit, ...]
    notes: tuple[str, ...]
    source: str
    parts: tuple[Part, ...]
    base: str = "generic"

    def table(self) -> str:
        """Return what was found and how far off it is, as text."""
        rows = [[each.name, each.stack or "all", f"{each.rows + each.left_out:,}", f"{each.before:.1%}", f"{each.seen:.1%}",
                 f"{each.mape:.1%}", f"{each.median:.1%}", f"{each.p90:.1%}", _constants(each)]
                for each in (*self.fits, *self.own)]  # fmt: skip
        head = ["kernel", "stack", "rows", "before", "fitted", "left out", "median", "90 %", "constants"]
        loose = [
            f"{f.name}: {why} {', '.join(names)}, which stay{'s' if len(names) == 1 else ''}"
            for f in (*self.fits, *self.own)
            for why, names in (
                ("the rows do not determine", f.undetermined),
                ("the rows drive to the end of the physical range", f.ended),
            )
            if names
        ]
        headline = (
            f"{self.profile.name}: constants of {self.chip.title or self.chip.name} from {self.source}; mean errors"
        )
        more = ["", *loose, *self.notes] if loose or self.notes else []
        return "\n".join([headline, "", columns(rows, head=head, right=range(2, 8)), *more])

    def to_dict(self) -> Record:
        """Return the fits under names with units."""
        out: list[dict[str, Any]] = []
        for each in (*self.fits, *self.own):
            kernel, _, form = each.name.partition(".")
            out.append({"kernel": kernel, "format": form, "stack": each.stack, "rows_fitted": each.rows,
                        "rows_left_out": each.left_out, "mape_before": each.before, "mape_fitted": each.seen,
                        "mape_left_out": each.mape, "median_left_out": each.median, "p90_left_out": each.p90,
                        "constants": {_path(key): {f"{n}{'_s' if n in TIMES else ''}": v for n, v in _coefficients_of(key, c)}
                                      for key, c in each.constants.items()},
                        "undetermined": list(each.undetermined), "ended": list(each.ended)})  # fmt: skip
        return {"profile": self.profile.name, "chip": self.chip.name, "sustained": float(self.profile.sustained), "fits": out,
                "notes": list(self.notes)}  # fmt: skip

    def toml(self, today: date | None = None, title: str = "", url: str = "") -> str:
        """Return the profile as a descriptor file: its constants over those of the generic profile, and how they were found.

        Raises:
            QuestionError: nothing was fitted.
        """
        if not self.fits and not self.own:
            rule = f"no constants of {self.chip.name} are within a half of the times, so there is no profile to write"
            raise QuestionError(f"{self.source}: {rule}; check the chip and the units of measured_us")
        name = self.chip.title or self.chip.name
        lines = [f"# Constants of {name}, fitted; where this file says nothing, those of the base serve.", "", "[calibration]",
                 'level   = "calibrated"', f"base    = {json.dumps(self.base)}", f"vendors = [{json.dumps(self.chip.vendor)}]"]  # fmt: skip
        if any(each.name.startswith("gemm") for each in self.fits):
            lines.append(f'sustained = {{ value = {self.profile.sustained:.3g}, source = "fit" }}')
        for each in (*self.fits, *self.own):
            at = f"stack.{each.stack}." if each in self.own else ""
            for key, constants in each.constants.items():
                lines += ["", f"[{at}{_path(key)}]", 'source = "fit"', *_written(constants)]
        for each in (*self.fits, *self.own):
            stack = [f"stack = {json.dumps(each.stack)}"] if each in self.own else []
            lines += ["", "[[found]]", f"name = {json.dumps(each.name)}", *stack, f"rows = {each.rows}",
                      f"left_out = {each.left_out}", f"mape = {each.mape:.3g}", f"median = {each.median:.3g}",
                      f"p90 = {each.p90:.3g}"]  # fmt: skip
        when = (today or date.today()).isoformat()
        how = f"robust least squares on log(predicted / measured) over every other row, {when}; the errors are of the others"
        of = title or f"Timings of {self.chip.name}, {self.source}"
        link = [f"url   = {json.dumps(url)}"] if url else []
        lines += ["", "[sources.fit]", 'kind  = "derived"', f"title = {json.dumps(of)}", *link,
                  f"how   = {json.dumps(how)}"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def plot(self, ax: Axes | None = None, *, style: str | None = None, width: float | str | None = None) -> Axes:
        """Draw measured against fitted rates on the chip's roofline; see :func:`roofline.plots.calibrated`."""
        drawn: Axes = plots().calibrated(self, ax=ax, style=style, width=width)
        return drawn


def _path(key: Key) -> str:
    if isinstance(key, str):
        return f"link.{key}"
    return f"kernel.{key[0]}.{json.dumps(key[1]) if '.' in key[1] else key[1]}"


def _coefficients_of(key: Key, constants: Kernel | Link) -> list[tuple[str, float]]:
    """Return the coefficients of a kernel class or algorithm, and their values."""
    values = [(name, getattr(constants, name)) for name in FITTED[key if isinstance(key, str) else key[0]]]
    return [(name, float(value)) for name, value in values if value is not None]


def _constants(each: Fit) -> str:
    out = []
    for key, constants in each.constants.items():
        values = [
            f"{n} {_shown(n, v)}"
            for n, v in _coefficients_of(key, constants)
            if not {n, f"{key}.{n}"} & {*each.undetermined, *each.ended}
        ]
        out.append((f"{key}: " if len(each.constants) > 1 else "") + ", ".join(values))
    return "; ".join(out)


def _written(constants: Kernel | Link) -> list[str]:
    """Return the lines of a descriptor that state constants; those that are as in an ideal kernel are left out."""
    ideal: Any = type(constants)()
    out = []
    for field in attrs.fields(type(constants)):
        if getattr(constants, field.name) is None:
            continue
        value = float(getattr(constants, field.name))
        if value == float(getattr(ideal, field.name) or 0.0) and field.name != "error":
            continue
        out.append(f"{field.name} = {_stated(value, UNITS[field.name])}")
    return out


def _stated(value: float, unit: Unit) -> str:
    """Return a constant as a file states it."""
    if unit == SECOND:
        return json.dumps(f"{value / MICRO:.4g} us")
    if unit == BYTE:
        return json.dumps(f"{value:.0f} B")
    if unit == BYTE_RATE:
        return json.dumps(f"{value / GIGA:.4g} GB/s")
    return "inf" if np.isinf(value) else f"{value:.4g}"


def _shown(name: str, value: float) -> str:
    unit = UNITS[name]
    return show(value, unit, 3) if unit in (SECOND, BYTE_RATE) else f"{value:.3g}"
