"""The plain roofline of a chip, with kernels that somebody measured on it.

Points come as mappings, or in a file:

================  ====================================================================================================
own CSV           ``name``, and ``flops bytes time_us`` (or ``time_s``, ``time_ms``), or ``intensity`` and ``flops_per_s``
timings           the columns of :mod:`roofline.calibration.timings`: GEMM, attention, mixtures of experts, passes
Nsight Compute    CSV of ``ncu --csv``, a row for each kernel (``--page raw``) or for each metric
STREAM            the text that McCalpin's benchmark prints
profilers         traces of the PyTorch profiler, ``kernel_details.csv`` of Ascend
================  ====================================================================================================
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.calibration import foreign, timings
from roofline.catalog.files import located
from roofline.core.errors import DescriptorError, QuestionError, fault
from roofline.core.frames import Frame
from roofline.core.signatures import typed_methods
from roofline.core.text import columns
from roofline.core.units import (
    BYTE_RATE,
    FLOP_RATE,
    GIGA,
    KILO,
    MICRO,
    MILLI,
    MILLION,
    SECOND,
    TERA,
    show,
)
from roofline.core.values import Record
from roofline.hardware.hardware import Chip
from roofline.operators.operations import Op
from roofline.plots import Point, Sheet, drawn, roofs
from roofline.results.notebook import Displayed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points: TypeAlias = str | Path | Iterable[Mapping[str, Any]]

_NAMES: Final = ("name", "kernel", "label", "op")
_TIMES: Final = {
    "time": 1.0,
    "time_s": 1.0,
    "time_ms": MILLI,
    "time_us": MICRO,
    "time_ns": MICRO * MILLI,
    "measured_us": MICRO,
}
_FLOPS: Final = {"flops": 1.0, "flop": 1.0, "gflop": GIGA, "tflop": TERA}
_BYTES: Final = {"bytes": 1.0, "mb": MILLION, "gb": GIGA}
_RATES: Final = {
    "flops_per_s": 1.0,
    "flop_per_s": 1.0,
    "gflops_per_s": GIGA,
    "tflops_per_s": TERA,
    "tflops": TERA,
    "gflops": GIGA,
}
_NCU_UNITS: Final = {
    "ns": MICRO * MILLI, "nsecond": MICRO * MILLI, "us": MICRO, "usecond": MICRO, "ms": MILLI, "msecond": MILLI, "s": 1.0, "second": 1.0, "byte": 1.0,
    "kbyte": KILO, "mbyte": MILLION, "gbyte": GIGA, "inst": 1.0, "": 1.0,
}  # fmt: skip
_NCU_FLOPS: Final = re.compile(
    r"sm__(?:sass_thread_inst_executed_op_[dfh](add|mul|fma)_pred_on|ops_path_tensor_\w+)\.sum$"
)
_STREAM: Final = re.compile(r"^(Copy|Scale|Add|Triad):?\s+([\d.]+)")
_STREAM_WORK: Final = {"Copy": (0.0, 16.0), "Scale": (1.0, 16.0), "Add": (1.0, 24.0), "Triad": (2.0, 24.0)}
"""FLOP and bytes of an element, in 64 bits."""
_SHOWN: Final = 200
"""Points of a file that are drawn; the longest first."""


@frozen
class Spot:
    """One measured kernel.

    Attributes:
        name: name of the kernel.
        intensity: FLOP for each byte of memory traffic.
        rate: FLOP/s reached.
        bandwidth: bytes/s reached.
        time: seconds, where they are known.
        bound: what limits it on this chip, ``compute`` or ``memory``.
        reached: part of the roof over it that it reaches.
    """

    name: str
    intensity: float
    rate: float
    bandwidth: float
    time: float | None
    bound: str
    reached: float


@typed_methods
@frozen(eq=False, repr=False)
class Measured(Displayed):
    """A chip's roofline with what was measured under it.

    Attributes:
        chip: the chip whose roofline it is.
        dtype: the peak that points are compared with.
        spots: the measured kernels, in their order.
        left: how many were left aside, by reason.
    """

    chip: Chip
    dtype: str
    spots: tuple[Spot, ...]
    left: Mapping[str, int]

    def __repr__(self) -> str:
        return f"<Measured: {len(self.spots)} kernels on {self.chip.name}, {self.dtype}>"

    @property
    def ridge(self) -> float:
        """Arithmetic intensity at which the chip's peak and its memory take the same time."""
        return float(self.chip.peak[self.dtype] / self.chip.memory.bandwidth)

    def table(self) -> str:
        """Return the chip's roofs and a line for each kernel, as text."""
        peak, memory = float(self.chip.peak[self.dtype]), float(self.chip.memory.bandwidth)
        head = f"{self.chip.name}: {self.dtype} {show(peak, FLOP_RATE, 3)}, memory {show(memory, BYTE_RATE, 3)}, ridge {self.ridge:,.0f} FLOP/B"
        rows = [
            [s.name, f"{s.intensity:,.3g}", show(s.rate, FLOP_RATE, 3), show(s.bandwidth, BYTE_RATE, 3), "" if s.time is None else show(s.time, SECOND, 3),
             s.bound, f"{s.reached:.0%}"]
            for s in self.spots
        ]  # fmt: skip
        body = (
            columns(
                rows, head=["kernel", "FLOP/B", "rate", "memory", "time", "bound", "of the roof"], right=(1, 2, 3, 4, 6)
            )
            if rows
            else ""
        )
        over = [s.name for s in self.spots if s.reached > 1]
        notes = [f"{n:,} left aside: {why}" for why, n in self.left.items()]
        notes += (
            [f"above the roof: {', '.join(over[:5])}: another number format, bytes that caches held, or a wrong count"]
            if over
            else []
        )
        return "\n".join(part for part in (head, "", body, *notes) if part or part == "")

    def to_dict(self) -> Record:
        """Return the roofs and the kernels; units are in the names."""
        return {
            "chip": self.chip.name, "dtype": self.dtype, "peak_flops_per_s": float(self.chip.peak[self.dtype]),
            "memory_bandwidth_bytes_per_s": float(self.chip.memory.bandwidth), "ridge_flop_per_byte": self.ridge,
            "kernels": [
                {"name": s.name, "intensity_flop_per_byte": s.intensity, "flops_per_s": s.rate, "bytes_per_s": s.bandwidth, "time_s": s.time,
                 "bound": s.bound, "reached": s.reached}
                for s in self.spots
            ],
            "left_aside": dict(self.left),
        }  # fmt: skip

    def frame(self) -> Frame:
        """Return the kernels as columns."""
        names = ("name", "intensity", "rate", "bandwidth", "bound", "reached")
        return Frame({name: [getattr(s, name) for s in self.spots] for name in names})

    def plot(
        self, ax: Axes | None = None, *, title: str = "", style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw the chip's roofs and the kernels; a point's area is its part of the time of all."""
        whole = sum(s.time or 0.0 for s in self.spots) or 1.0
        shown = sorted((s for s in self.spots if s.intensity > 0 and s.rate > 0), key=lambda s: -(s.time or 0.0))[
            :_SHOWN
        ]
        marks = tuple(
            Point(
                s.name,
                "measured",
                s.intensity,
                s.rate,
                (s.time or whole / max(len(self.spots), 1)) / whole,
                bound=s.bound,
            )
            for s in shown
        )
        if not marks:
            raise QuestionError(
                f"plot: no kernel of {self.chip.name} does FLOP; a roofline shows rates over arithmetic intensity"
            )
        label = f"{self.chip.title or self.chip.name}, {self.dtype}"
        sheet = Sheet(label, "chip", roofs(self.chip, [self.dtype]), marks, title, whole="measured")
        return drawn(sheet, ax=ax, style=style, width=width)


def roofline(chip: str | Path | Chip, points: Points = (), *, dtype: str | None = None) -> Measured:
    """Return a chip's roofline with measured points on it.

    ``rate <= min(peak, intensity x memory bandwidth)``

    Args:
        chip: an object, a name in ``hardware/chips``, or the path of a TOML file.
        points: mappings, or a file, as this module says.
        dtype: whose peak is the roof; by default bf16, or the chip's fastest where it has no such rate.

    Returns:
        The chip's roof and each point under it: FLOP/s, FLOP per byte, and the part of the roof that is reached.

    Raises:
        QuestionError: a rate that the chip does not have, or points without intensity or rate.
        DescriptorError: the file cannot be read.

    >>> found = roofline("h100", [{"name": "mine", "flops": 2e12, "bytes": 4e9, "time_us": 3000}])
    >>> found.spots[0].bound, round(found.spots[0].reached, 2), round(found.ridge)
    ('compute', 0.67, 295)
    """
    part = catalog.chip(chip)
    form = dtype or ("bf16" if "bf16" in part.peak else max(part.peak, key=lambda name: float(part.peak[name])))
    if form not in part.peak:
        raise QuestionError(fault("dtype", form, f"is no rate of {part.name}", f"it has {', '.join(part.peak)}"))
    rows, left = _rows(points, part)
    return Measured(part, form, tuple(_spot(row, i, part, form) for i, row in enumerate(rows)), left)


def _spot(row: Mapping[str, Any], i: int, chip: Chip, form: str) -> Spot:
    """Return a point from what its row states."""
    low = {str(key).strip().lower(): value for key, value in row.items()}
    name = next((str(low[key]) for key in _NAMES if low.get(key)), f"point {i + 1}")
    time, flops, moved = (_of(low, known, name) for known in (_TIMES, _FLOPS, _BYTES))
    intensity, rate = _of(low, {"intensity": 1.0, "ai": 1.0}, name), _of(low, _RATES, name)
    if flops is not None and moved:
        intensity = flops / moved
    if flops is not None and time:
        rate = flops / time
    if intensity is None or rate is None:
        rule = "has neither flops, bytes and a time, nor intensity and flops_per_s"
        raise QuestionError(fault(name, ", ".join(low), rule, "give name, flops, bytes, time_us"))
    speed = moved / time if moved and time else rate / intensity if intensity else 0.0
    peak, memory = float(chip.peak[form]), float(chip.memory.bandwidth)
    limit = "memory" if intensity * memory < peak else "compute"
    reached = speed / memory if limit == "memory" else rate / peak
    return Spot(name, float(intensity), float(rate), float(speed), time, limit, float(reached))


def _of(row: Mapping[str, Any], known: Mapping[str, float], name: str) -> float | None:
    """Return the number under one of several names, in its unit; None where none is there.

    Raises:
        QuestionError: it is no finite number of 0 or more.
    """
    key = next((each for each in known if row.get(each) not in (None, "")), None)
    if key is None:
        return None
    try:
        value = float(row[key]) * known[key]
    except (TypeError, ValueError):
        value = float("nan")
    if not (np.isfinite(value) and value >= 0):
        raise QuestionError(fault(f"{name}: {key}", row[key], "must be a finite number of 0 or more"))
    return value


def _rows(given: Points, chip: Chip) -> tuple[list[Mapping[str, Any]], Mapping[str, int]]:
    """Return the rows of points, and what of a file is left aside."""
    if not isinstance(given, (str, Path)):
        rows = list(given)
        if not all(isinstance(each, Mapping) for each in rows):
            raise QuestionError(
                fault(
                    "points",
                    given,
                    "must be mappings such as {'name': 'gemm', 'flops': 1e12, 'bytes': 1e9, 'time_us': 900}",
                )
            )
        return rows, {}
    path = located("points", given)
    if path.suffix in (".txt", ".log", ".out"):
        return _stream(path), {}
    if foreign.is_foreign(path):
        found = foreign.read(path)
        rows, left = _timed(found.rows, chip, path.name)
        return rows, {**found.aside, **left}
    table = _table(path)
    if table and "kernel" in table[0] and "measured_us" in table[0]:
        return _timed(table, chip, path.name)
    return (_ncu(table), {}) if table and "Kernel Name" in table[0] else (list(table), {})


def _table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; what ncu prints before its table is skipped."""
    lines = [line for line in catalog.lines_of(path) if not line.startswith("==")]
    start = next((i for i, line in enumerate(lines) if "Kernel Name" in line), None)
    if start is None:
        return catalog.read_rows(path)
    return list(csv.DictReader(lines[start:]))


def _timed(
    rows: Sequence[Mapping[str, str]], chip: Chip, file: str
) -> tuple[list[Mapping[str, Any]], Mapping[str, int]]:
    """Return timings of kernels as points: what each multiplies and moves is counted as estimates count it."""
    reading = timings.read(rows, chip, file)
    out: list[Mapping[str, Any]] = []
    left = dict(reading.aside)
    for each in reading.timings:
        if not isinstance(each.work, Op):
            left["collectives, which do no FLOP"] = left.get("collectives, which do no FLOP", 0) + each.count
            continue
        for i in range(each.count):
            shape = " x ".join(
                f"{each.columns[c][i]:g}"
                for c in ("m", "n", "k", "batch", "q_len", "past_len", "tokens", "rows", "cols")
                if c in each.columns
            )
            flops, moved = (
                float(np.broadcast_to(value, each.count)[i]) for value in (each.work.flops, each.work.bytes)
            )
            out.append(
                {
                    "name": f"{each.name} {shape}",
                    "flops": flops,
                    "bytes": moved,
                    "time_s": float(np.asarray(each.measured)[i]),
                }
            )
    return out, left


def _ncu(table: Sequence[Mapping[str, str]]) -> list[Mapping[str, Any]]:
    """Return the kernels of Nsight Compute: time, bytes of memory, and FLOP by the instructions that were counted."""
    kernels: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}
    units: Mapping[str, str] = {}
    for row in table:
        if "Metric Name" in row:
            key, pairs = (
                row.get("ID", ""),
                [(row["Metric Name"], row.get("Metric Value", ""), row.get("Metric Unit", ""))],
            )
        elif not row.get("ID"):
            units = row  # the second line of the raw page
            continue
        else:
            key, pairs = (
                row["ID"],
                [(name, value, units.get(name, "")) for name, value in row.items() if "__" in str(name)],
            )
        names[key] = row.get("Kernel Name", key)
        for name, text, unit in pairs:
            try:
                value = float(str(text).replace(",", ""))
            except ValueError:
                continue
            kernels.setdefault(key, {})[name] = value * _NCU_UNITS.get((unit or "").strip().lower(), 1.0)
    out: list[Mapping[str, Any]] = []
    for key, found in kernels.items():
        flops = sum((2.0 if "fma" in name else 1.0) * value for name, value in found.items() if _NCU_FLOPS.match(name))
        moved = found.get(
            "dram__bytes.sum", found.get("dram__bytes_read.sum", 0.0) + found.get("dram__bytes_write.sum", 0.0)
        )
        time = found.get("gpu__time_duration.sum", 0.0)
        if not (time and moved):
            raise DescriptorError(
                f"{names[key][:60]}: has no gpu__time_duration.sum and dram__bytes.sum; profile with --metrics gpu__time_duration.sum,dram__bytes.sum "
                "and the sm__sass_thread_inst_executed_op_* or sm__ops_path_tensor_* of your format"
            )
        out.append({"name": names[key][:60], "flops": flops, "bytes": moved, "time_s": time})
    return out


def _stream(path: Path) -> list[Mapping[str, Any]]:
    """Return the four kernels of STREAM: its best rates are in MB/s, of arrays in 64 bits."""
    out: list[Mapping[str, Any]] = []
    for line in catalog.lines_of(path):
        match = _STREAM.match(line.strip())
        if match:
            flops, moved = _STREAM_WORK[match[1]]
            speed = float(match[2]) * MILLION
            out.append({"name": f"STREAM {match[1]}", "flops": flops * speed / moved, "bytes": speed, "time_s": 1.0})
    if not out:
        raise DescriptorError(f"{path.name}: is no output of STREAM; give a CSV file with name, flops, bytes, time_us")
    return out
