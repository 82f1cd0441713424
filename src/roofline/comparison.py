"""Systems side by side: what they add up to, what their sources disagree on, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.answer import Estimate
from roofline.calibration import Calibration
from roofline.choosing import survey
from roofline.errors import QuestionError, fault
from roofline.estimates import estimate, question_of
from roofline.hardware import System
from roofline.provenance import Fact, spread
from roofline.reports import columns
from roofline.units import BYTE, BYTE_RATE, FLOP_RATE, ONE, SECOND, TERA, WATT, Num, Unit, show
from roofline.workload import Serve

LIMITS: Final = (0.02, 0.05, 0.1)
"""Times per output token that services are held to: a fast reader, a usual promise, a patient one."""

_ROWS: Final[tuple[tuple[str, str, Unit], ...]] = (
    ("chips", "chips", ONE),
    ("bf16_flops_per_s", "bf16, dense", FLOP_RATE),
    ("fp8_flops_per_s", "fp8, dense", FLOP_RATE),
    ("int8_flops_per_s", "int8, dense", FLOP_RATE),
    ("fp4_flops_per_s", "fp4, dense", FLOP_RATE),
    ("memory_bytes", "memory", BYTE),
    ("memory_bandwidth_bytes_per_s", "memory bandwidth", BYTE_RATE),
    ("scale_up_bytes_per_s", "scale-up, one way", BYTE_RATE),
    ("power_w", "power, rated", WATT),
    ("flops_per_joule", "bf16 per watt", ONE),
)


def aggregates(system: System) -> dict[str, float | None]:
    """Return what a system adds up to: chips times what one package has, and its rated power.

    ``scale_up`` is the one-way bandwidth of the widest tier inside the system, over all ranks.
    """
    package, chips = system.package, system.chips
    power = system.power_per_chip
    inner = [tier for tier in system.tiers if float(tier.size) <= system.ranks]
    out: dict[str, float | None] = {"chips": float(chips)}
    out |= {f"{rate}_flops_per_s": float(peak) * chips for rate, peak in package.peak.items()}
    out["memory_bytes"] = float(package.memory.capacity) * chips
    out["memory_bandwidth_bytes_per_s"] = float(package.memory.bandwidth) * chips
    out["scale_up_bytes_per_s"] = float(inner[-1].bandwidth) * system.ranks if inner else None
    out["power_w"] = None if power is None else float(power) * chips
    flops = out.get("bf16_flops_per_s")
    out["flops_per_joule"] = None if flops is None or not out["power_w"] else flops / out["power_w"]
    return out


def _ranges(system: System) -> dict[str, tuple[float, float]]:
    """Return the least and greatest aggregates that the figures of the sources allow."""
    chips = system.chips
    facts: dict[str, Fact] = {fact.path: fact for fact in (*system.package.facts, *system.facts)}
    paths = {"memory_bytes": "chip.memory.capacity", "memory_bandwidth_bytes_per_s": "chip.memory.bandwidth"}
    paths |= {f"{rate}_flops_per_s": f"chip.peak.{rate}" for rate in system.package.peak}
    out = {name: tuple(chips * value for value in spread(facts[path])) for name, path in paths.items() if path in facts}
    power = spread(facts["system.power"]) if "system.power" in facts else None
    if power:
        out["power_w"] = power
        low, high = out.get("bf16_flops_per_s", (np.nan, np.nan))
        out["flops_per_joule"] = (low / power[1], high / power[0])
    return out  # type: ignore[return-value]


@frozen(eq=False)
class Comparison:
    """Systems side by side.

    Attributes:
        estimates: what each makes of the model, if one was given.
        under: for each system, the best service under each limit on TPOT; None where nothing keeps it.
    """

    systems: tuple[System, ...]
    estimates: tuple[Estimate, ...] = ()
    under: tuple[Mapping[float, Estimate | None], ...] = ()

    @property
    def ratios(self) -> dict[str, float]:
        """Aggregates of the first system over those of the second."""
        first, second = (aggregates(system) for system in self.systems[:2])
        both = [name for name in first if first[name] and second.get(name)]
        return {name: first[name] / second[name] for name in both}  # type: ignore[operator]

    @property
    def ratio_ranges(self) -> dict[str, tuple[float, float]]:
        """The ratios' least and greatest values over the figures that different sources give."""
        first, second = (_ranges(system) for system in self.systems[:2])
        return {
            name: (first[name][0] / second[name][1], first[name][1] / second[name][0])
            for name in first
            if name in second
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison under the field names of the machine-readable answer."""
        out: dict[str, Any] = {"systems": [{"name": s.name, **aggregates(s), **_descriptive(s)} for s in self.systems]}
        out["ratios"] = self.ratios
        out["ratio_ranges"] = {name: list(pair) for name, pair in self.ratio_ranges.items()}
        if self.estimates:
            out["estimates"] = [est.to_dict() for est in self.estimates]
            out["under_tpot"] = [
                {str(limit): None if est is None else est.to_dict() for limit, est in row.items()} for row in self.under
            ]
        return out

    def table(self) -> str:
        """Return the comparison as text."""
        two = len(self.systems) == 2
        sums = [aggregates(system) for system in self.systems]
        ratios, ranges = (self.ratios, self.ratio_ranges) if two else ({}, {})
        rows = []
        for name, label, unit in _ROWS:
            if not any(row.get(name) for row in sums):
                continue
            cells = [_cell(row.get(name), name, unit) for row in sums]
            ratio = f"{ratios[name]:.2f}x" if name in ratios else ""
            low, high = ranges.get(name, (0.0, 0.0))
            wide = f"{low:.2f}-{high:.2f}x" if high > low * 1.001 else ""
            rows.append([label, *cells, *((ratio, wide) if two else ())])
        head = ["", *(s.name for s in self.systems), *(("ratio", "as sources differ") if two else ())]
        text = columns(rows, head=head, right=range(1, len(self.systems) + 2))
        notes = [
            f"{s.title}: {s.chips} x {s.package.title}{' (announced)' if s.package.announced else ''}"
            for s in self.systems
        ]
        return "\n".join([*notes, "", text, *(["", self._services()] if self.estimates else [])])

    def _services(self) -> str:
        """Return the best service of each system under each limit, what bounds it, and what it rests on."""
        rows = [
            [f"TPOT <= {show(limit, SECOND, 3)}" if i == 0 else "", *_service(system, row[limit])]
            for limit in self.under[0]
            for i, (system, row) in enumerate(zip(self.systems, self.under, strict=True))
        ]
        head = ["", "", "tokens/s", "80 % within", "a chip", "TTFT", "requests", "bound by", "layout"]
        first: Any = self.estimates[0].question
        asked = f"{first.model.name}, {float(first.input):g} tokens in and {float(first.output):g} out"
        notes = [
            f"{est.system.name}: {first.model.formats_line}, {est.calibration.level} constants"
            for est in self.estimates
        ]
        notes += [
            f"{est.system.name}: {note}"
            for est in self.estimates
            for note in est.assumptions
            if "weights are multiplied" in note
        ]
        names = " or ".join(f"roofline show {system.name}" for system in self.systems)
        sources = (
            f"every number of the machines with its source: {names}; of the estimates: roofline estimate ... --why"
        )
        return "\n".join(
            [
                f"{asked}: most output tokens per second",
                "",
                columns(rows, head=head, right=(2, 3, 4, 5, 6)),
                "",
                *notes,
                sources,
            ]
        )


def _cell(value: float | None, name: str, unit: Unit) -> str:
    if value is None:
        return "-"
    if name == "flops_per_joule":
        return f"{value / TERA:.3g} TFLOP/J"
    return f"{value:,.0f}" if unit == ONE else show(value, unit)


def _service(system: System, est: Estimate | None) -> list[str]:
    if est is None:
        return [system.name, "none keeps it"]
    rate, pair, asked = float(est.tokens_per_second or 0.0), est.interval("tpot"), cast("Serve", est.question)
    # The rate moves as the time of a token does.
    wide = (
        ""
        if pair is None
        else " - ".join(f"{rate * float(est.tpot or 0.0) / float(tpot):,.0f}" for tpot in reversed(pair))
    )
    each, first = float(est.tokens_per_second_per_chip or 0.0), show(float(est.ttft or 0.0), SECOND, 3)
    return [
        system.name,
        f"{rate:,.0f}",
        wide,
        f"{each:,.0f}",
        first,
        f"{float(asked.concurrency):,.0f}",
        est.bound,
        str(est.layout),
    ]


def _descriptive(system: System) -> dict[str, Any]:
    return {
        "title": system.title,
        "chip": system.package.name,
        "announced": system.package.announced,
        "tiers": [
            {"name": t.name, "ranks": float(t.size), "bytes_per_s_per_rank": float(t.bandwidth)} for t in system.tiers
        ],
    }


def compare(
    *systems: System | str | Path,
    model: Any = None,
    tpot: Sequence[float] = LIMITS,
    level: str | Calibration = "calibrated",
    chips: int | None = None,
    dtype: str | None = None,
    kv_dtype: str | None = None,
    concurrency: Num | None = None,
    **words: Any,
) -> Comparison:
    """Put systems side by side; with a model, the best service each makes of it under limits on TPOT.

    Args:
        systems: two or more objects, names or paths.
        model: an object, a name, the path of a config.json, or a parsed one.
        tpot: limits on the time per output token.
        concurrency: requests in flight of the ``estimates``; by default as many as serve best under the middle limit.
        level, chips, dtype, kv_dtype: as in :func:`roofline.estimate`; a format a chip cannot multiply is widened, and said.
        words: ``input``, ``output``, ``draft_tokens``, ``accept_length``.

    Raises:
        QuestionError: fewer than two systems, or words without meaning.

    >>> round(compare("cloudmatrix384", "gb200-nvl72").ratios["chips"], 2)
    5.33
    """
    if len(systems) < 2:
        raise QuestionError(fault("systems", len(systems), "a comparison takes at least two"))
    racks = tuple(catalog.system(system) for system in systems)
    for limit in tpot:
        if not 0 < limit < np.inf:
            raise QuestionError(fault("tpot", limit, "must be a time above 0", "give for example 50ms"))
    if model is None:
        return Comparison(racks)
    made = catalog.model(model, dtype=dtype, kv_dtype=kv_dtype)
    rows, chosen = [], []
    for rack in racks:
        profile = catalog.profile(level, rack)
        everything = survey(question_of(made, **words), rack, profile, chips, {})
        row = {limit: _best(everything, limit) for limit in sorted(tpot)}
        rows.append(row)
        kept = [est for est in row.values() if est is not None]
        if concurrency is None and kept:
            chosen.append(row[sorted(tpot)[len(tpot) // 2]] or kept[0])
        else:
            chosen.append(
                estimate(
                    made,
                    rack,
                    chips=chips,
                    level=level,
                    concurrency=64.0 if concurrency is None else concurrency,
                    **words,
                )
            )
    return Comparison(racks, tuple(chosen), tuple(rows))


def _best(everything: Estimate, limit: float) -> Estimate | None:
    where = np.asarray(everything.tpot) <= limit
    return everything.best(where=where) if np.any(np.asarray(everything.fits) & where) else None
