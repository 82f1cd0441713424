"""``listing``: the library's systems, chips, models, engines and frameworks, as records and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from roofline import catalog
from roofline.catalog.models import named
from roofline.core.errors import UnknownNameError, fault
from roofline.core.lazy import reports
from roofline.core.signatures import typed
from roofline.core.text import columns
from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, SECOND, WATT, show
from roofline.core.values import Record
from roofline.hardware.aggregates import aggregates
from roofline.hardware.engines import Engine
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import Chip

KINDS: Final = ("system", "chip", "model")
"""Kinds of descriptors that have names."""


@typed
def listing(kind: str) -> list[Record]:
    """Return what the library has of a kind: ``systems``, ``chips``, ``models``, ``engines`` or ``frameworks``, a dict for each.

    Args:
        kind: one of these.

    Returns:
        A dict for each; units are in the names of its keys.

    Raises:
        UnknownNameError: no such kind.

    >>> "dgx-h100" in [row["name"] for row in listing("systems")]
    True
    """
    singular = kind.removesuffix("s")
    if singular == "engine":
        return [
            {"name": name, **_engine_row(catalog.engine(name, _home(name))), "releases": list(catalog.releases(name))}
            for name in catalog.engines()
        ]
    if singular == "framework":
        return [{"name": name, **_framework_row(catalog.framework(name))} for name in catalog.names("framework")]
    if singular not in KINDS:
        raise UnknownNameError(fault("kind", kind, "no such list", "systems, chips, models, engines or frameworks"))
    rows: list[Record] = []
    for name in catalog.names(singular):
        if singular == "system":
            system = catalog.system(name)
            rows.append(
                {
                    "name": name,
                    "title": system.title,
                    "announced": system.package.announced,
                    "power_of_chips_alone": system.power is None,
                    "vendor": system.vendor,
                    "chip": system.package.name,
                    **aggregates(system),
                }
            )
        elif singular == "chip":
            rows.append({"name": name, **chip_row(catalog.chip(name))})
        else:
            rows.append({"name": name, **reports("model_card").row(named(name))})
    return rows


_HOMES: Final = ("dgx-h100", "atlas-800i-a3", "tpu-v6e-pod", "mi300x-8")


def _home(name: str) -> str:
    """Return a system of the runtime on which an engine is at home: the first on which tables of its own count, else of any."""
    runtime = catalog.engine(name).runtime
    for system in _HOMES:
        found = catalog.engine(name, system)
        if found.runtime == runtime or (
            not runtime and any(".runtime." in each for each in found.chain if each.startswith(found.name))
        ):
            return system
    return _HOMES[0]


def _engine_row(engine: Engine) -> dict[str, Any]:
    return {
        "title": engine.title,
        "runtime": engine.runtime or None,
        "kernels": engine.stack or None,
        "captured": list(engine.captured),
        "launch": float(engine.launch),
        "launch_host_s": float(engine.launch_host),
        "rests_on": list(engine.chain),
        "sources": sorted({fact.source.title for fact in engine.facts}),
        "gap_s": float(engine.gap),
        "prompt_gap_s": float(engine.prompt_gap),
        "sequence_s": float(engine.sequence + engine.stream),
        "front_s": float(engine.front),
        "budget": float(engine.budget),
        "reserve": float(engine.reserve),
    }


def _framework_row(framework: Framework) -> dict[str, Any]:
    fields = ("pace", "launch", "tp", "ep", "memory_fraction")
    return {
        "title": framework.title,
        "step_s": float(framework.step),
        **{name: float(getattr(framework, name)) for name in fields},
    }


def list_table(kind: str) -> str:
    """Return the list as text, a line for each; titles and all other numbers are in :func:`listing`."""
    rows: list[dict[str, Any]] = [*listing(kind)]
    if kind.startswith("system"):
        cells = [[r["name"], f"{r['chips']:,.0f} x {r['chip']}", *_sizes(r)] for r in rows]
        return columns(cells, head=["name", "chips", "bf16", "memory", "bandwidth"], right=range(2, 5))
    if kind.startswith("engine"):
        cells = [[r["name"], r["title"], r["runtime"] or "any", _span(r["releases"])] for r in rows]
        return columns(cells, head=["name", "title", "runtime", "releases"])
    if kind.startswith("framework"):
        cells = [[r["name"], show(r["step_s"], SECOND, 3), *(f"{r[key]:.2f}" for key in ("pace", "launch", "tp", "ep")),
                  f"{r['memory_fraction']:.0%}"] for r in rows]  # fmt: skip
        head = ["name", "fixed time a step", "pace", "launch", "tp exposed", "ep exposed", "memory"]
        return columns(cells, head=head, right=range(1, 7))
    if kind.startswith("chip"):
        cells = [
            [r["name"], *_sizes(r), or_dash(r["power_w"], WATT), "announced" if r["announced"] else ""] for r in rows
        ]
        return columns(cells, head=["name", "bf16", "memory", "bandwidth", "power", ""], right=range(1, 5))
    card = reports("model_card")
    cells = [[r["name"], card.billions(r["parameters_total"], 1), card.billions(r["parameters_active"], 1),
              show(r["cache_bytes_per_token"], BYTE, 3) if r["cache_bytes_per_token"] else "-"]
             for r in rows]  # fmt: skip
    return columns(cells, head=["name", "parameters", "active", "cache per token"], right=range(1, 4))


def _span(releases: list[str]) -> str:
    """Return the first and the last of the releases that an engine's file tells apart."""
    return " - ".join(dict.fromkeys([releases[0], releases[-1]])) if releases else "any"


def _sizes(row: Mapping[str, Any]) -> list[str]:
    units = {"bf16_flops_per_s": FLOP_RATE, "memory_bytes": BYTE, "memory_bandwidth_bytes_per_s": BYTE_RATE}
    return ["-" if row.get(name) is None else show(row[name], unit, 3) for name, unit in units.items()]


def or_dash(value: float | None, unit: Any) -> str:
    """Return a value in its unit, and a dash where there is none."""
    return "-" if value is None else show(value, unit)


def chip_row(chip: Chip) -> dict[str, Any]:
    """Return the row of a chip."""
    return {
        "title": chip.title,
        "vendor": chip.vendor,
        "announced": chip.announced,
        "bf16_flops_per_s": None if "bf16" not in chip.peak else float(chip.peak["bf16"]),
        "memory_bytes": float(chip.memory.capacity),
        "memory_bandwidth_bytes_per_s": float(chip.memory.bandwidth),
        "power_w": None if chip.power is None else float(chip.power),
    }
