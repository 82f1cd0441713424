"""What a descriptor says, number by number, for a person to audit and a program to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.catalog.findings import findings
from roofline.core.errors import UnknownNameError, fault, near
from roofline.core.provenance import Fact
from roofline.core.text import columns
from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, SECOND, WATT, show
from roofline.core.values import Json, Record
from roofline.hardware.engines import Engine
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import Chip, System, Tier
from roofline.models.architecture import Model
from roofline.operators.memory import active, kv_bytes_per_token, state_bytes, total
from roofline.planner.words import ModelLike
from roofline.reports.model_card import billions, card
from roofline.studies.compare import aggregates

KINDS: Final = ("system", "chip", "model")


@frozen(eq=False)
class Description:
    """A descriptor described: ``text`` for people, ``fields`` under the names of the machine-readable answer."""

    kind: str
    name: str
    text: str
    fields: Mapping[str, Json]

    def to_dict(self) -> Record:
        """Return the fields."""
        return dict(self.fields)

    def __str__(self) -> str:
        return self.text


def describe(what: Chip | System | ModelLike, kind: str | None = None) -> Description:
    """Return the description of a system, chip or model: an object, a name, or the path of a file.

    A TOML file is what its first table says; a config.json, or a directory holding one, is a model.

    Args:
        what: as above; of a name that two kinds have, the system is described.
        kind: ``system``, ``chip`` or ``model``, where only that will do.

    Raises:
        UnknownNameError: no descriptor of any kind has that name. DescriptorError: the file cannot be read.
    """
    if isinstance(what, System):
        return _system(what)
    if isinstance(what, Chip):
        return _chip(what)
    if isinstance(what, (Model, Mapping)):
        return _model(catalog.model(what))
    if kind is not None and kind not in KINDS:
        raise UnknownNameError(fault("kind", kind, "no such kind", "system, chip or model"))
    kind = catalog.kind_of(what) if kind is None else kind
    if kind is None:
        every = {name for each in KINDS for name in catalog.names(each)}
        raise UnknownNameError(
            fault("name", str(what), "no system, chip or model is called so", near(str(what), every, "names"))
        )
    if kind == "system":
        return _system(catalog.system(what))
    return _chip(catalog.chip(what)) if kind == "chip" else _model(catalog.model(what))


def listing(kind: str) -> list[Record]:
    """Return what the library has of a kind: ``systems``, ``chips``, ``models``, ``engines`` or ``frameworks``, a dict for each.

    Raises:
        UnknownNameError: no such kind.
    """
    singular = kind.removesuffix("s")
    if singular == "engine":
        return [{"name": name, **_engine_row(catalog.engine(name, _home(name)))} for name in catalog.engines()]
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
            rows.append({"name": name, **_chip_row(catalog.chip(name))})
        else:
            rows.append({"name": name, **_model_row(catalog.model(name))})
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
    kept = ("pace", "launch", "tp", "ep", "memory_fraction")
    return {
        "title": framework.title,
        "step_s": float(framework.step),
        **{name: float(getattr(framework, name)) for name in kept},
    }


def _model_row(model: Model) -> dict[str, Any]:
    return {
        "family": model.family,
        "layers": model.depth,
        "parameters_total": total(model),
        "parameters_active": active(model),
        "dtype": model.dtype,
        "max_context": model.max_context or None,
        "cache_bytes_per_token": float(kv_bytes_per_token(model)),
        "state_bytes_per_sequence": float(state_bytes(model)),
    }


def list_table(kind: str) -> str:
    """Return the list as text."""
    rows: list[dict[str, Any]] = [*listing(kind)]
    if kind.startswith("system"):
        cells = [[r["name"], _title(r), f"{r['chips']:,.0f} x {r['chip']}", *_sizes(r)] for r in rows]
        return columns(cells, head=["name", "", "chips", "bf16", "memory", "bandwidth", "power"], right=range(3, 7))
    if kind.startswith("engine"):
        cells = [
            [r["name"], r["title"], r["runtime"] or "any", r["kernels"] or "any", ", ".join(r["captured"]) or "none", f"{r['launch']:.2f}",
             show(r["launch_host_s"], SECOND, 3), show(r["gap_s"], SECOND, 3), show(r["front_s"], SECOND, 3), " <- ".join(r["rests_on"])]
            for r in rows
        ]  # fmt: skip
        head = [
            "name",
            "",
            "runtime",
            "kernels",
            "in a graph",
            "launch there",
            "launch by the host",
            "between steps",
            "front end",
            "rests on",
        ]
        return columns(cells, head=head, right=range(5, 9))
    if kind.startswith("framework"):
        cells = [[r["name"], r["title"], show(r["step_s"], SECOND, 3), *(f"{r[key]:.2f}" for key in ("pace", "launch", "tp", "ep")),
                  f"{r['memory_fraction']:.0%}"] for r in rows]  # fmt: skip
        head = ["name", "", "a step besides", "pace", "launch", "tp seen", "ep seen", "memory"]
        return columns(cells, head=head, right=range(2, 8))
    if kind.startswith("chip"):
        cells = [[r["name"], _title(r), *_sizes(r)] for r in rows]
        return columns(cells, head=["name", "", "bf16", "memory", "bandwidth", "power"], right=range(2, 6))
    cells = [[r["name"], r["family"], str(r["layers"]), billions(r["parameters_total"], 1), billions(r["parameters_active"], 1),
              show(r["cache_bytes_per_token"], BYTE, 3) if r["cache_bytes_per_token"] else "-",
              show(r["state_bytes_per_sequence"], BYTE, 3) if r["state_bytes_per_sequence"] else "-", r["dtype"]]
             for r in rows]  # fmt: skip
    head = ["name", "family", "layers", "parameters", "active", "cache a token", "state", "dtype"]
    return columns(cells, head=head, right=range(2, 7))


def _title(row: Mapping[str, Any]) -> str:
    return f"{row['title']}{' (announced)' if row['announced'] else ''}"


def _sizes(row: Mapping[str, Any]) -> list[str]:
    units = {
        "bf16_flops_per_s": FLOP_RATE,
        "memory_bytes": BYTE,
        "memory_bandwidth_bytes_per_s": BYTE_RATE,
        "power_w": WATT,
    }
    *cells, power = (_or_dash(row.get(name), unit) for name, unit in units.items())
    return [*cells, f"({power})" if row.get("power_of_chips_alone") and power != "-" else power]


def _or_dash(value: float | None, unit: Any) -> str:
    return "-" if value is None else show(value, unit)


def _chip_row(chip: Chip) -> dict[str, Any]:
    return {
        "title": chip.title,
        "vendor": chip.vendor,
        "announced": chip.announced,
        "bf16_flops_per_s": None if "bf16" not in chip.peak else float(chip.peak["bf16"]),
        "memory_bytes": float(chip.memory.capacity),
        "memory_bandwidth_bytes_per_s": float(chip.memory.bandwidth),
        "power_w": None if chip.power is None else float(chip.power),
    }


def _facts(facts: tuple[Fact, ...]) -> str:
    rows: list[list[str]] = []
    for fact in facts:
        where = f"{fact.source.key}{': ' + fact.at if fact.at else ''}"
        rows.append([fact.path, fact.text, fact.source.kind, where])
        rows += [["", f"  or {other.text}", other.source.kind, f"{other.source.key}{': ' + other.note if other.note else ''}"]
                 for other in fact.others]  # fmt: skip
    sources = {f.source.key: f.source for fact in facts for f in (fact, *fact.others)}
    notes = [f"  {fact.path}: {fact.note}" for fact in facts if fact.note]
    told = [
        f"  {source.key}: {source.title}{'. ' + source.reason if source.reason else ''}"
        f"{chr(10) + '    ' + source.url if source.url else ''}{f' (read {source.retrieved})' if source.retrieved else ''}"
        for source in sources.values()
    ]
    notes += [f"  {fact.path}: {fact.differs}" for fact in facts if fact.differs]
    table = columns(rows, head=["", "value", "kind", "source"])
    return "\n".join([table, *(["", "notes", *notes] if notes else []), "", "sources", *told])


def _looks_wrong(what: Chip | System) -> list[str]:
    found = findings(what)
    return ["", "looks wrong", *(f"  {finding}" for finding in found)] if found else []


def _joined(tier: Tier) -> str:
    """Return how the ranks of a tier are joined, and what else it can do."""
    shape = f" {' x '.join(map(str, tier.dims))}" if tier.dims else ""
    share = f"{float(tier.oversubscription):g}:1 oversubscribed" if np.any(tier.oversubscription > 1) else ""
    extra = (("load/store", tier.load_store), ("in-network sums", tier.in_network))
    return ", ".join(filter(None, (tier.topology + shape, share, *(word for word, on in extra if on))))


def _chip(chip: Chip) -> Description:
    ridges = {rate: float(chip.ridge(rate)) for rate in chip.peak if rate not in ("fp64", "fp32", "tf32")}
    text = "\n".join(
        [
            f"{chip.name}: {chip.vendor} {chip.title}{', announced' if chip.announced else ''}",
            f"ridge points, FLOP/B: {', '.join(f'{rate} {ridge:.0f}' for rate, ridge in ridges.items())}",
            *([] if chip.power else ["rated power: not published"]),
            *([] if chip.price else ["cost per hour: no trustworthy figure found"]),
            *_looks_wrong(chip),
            "",
            _facts(chip.facts),
        ]
    )
    fields: Record = {
        "name": chip.name,
        **_chip_row(chip),
        "ridge_flop_per_byte": ridges,
        "findings": [str(finding) for finding in findings(chip)],
        "values": [fact.to_dict() for fact in chip.facts],
    }
    return Description("chip", chip.name, text, fields)


def _system(system: System) -> Description:
    sums = aggregates(system)
    facts = (*system.facts, *system.package.facts)
    rows = [[t.name, f"{float(t.size):,.0f}", show(float(t.bandwidth), BYTE_RATE), show(float(t.latency), SECOND), _joined(t)]
            for t in system.tiers]  # fmt: skip
    rank = "a die" if system.ranks_per_chip > 1 else "a chip"
    rates = {rate: sums[f"{rate}_flops_per_s"] for rate in system.package.peak}
    stored, moved = show(sums["memory_bytes"] or 0, BYTE), show(sums["memory_bandwidth_bytes_per_s"] or 0, BYTE_RATE)
    text = "\n".join(
        [
            f"{system.name}: {system.vendor} {system.title}, {system.chips:g} x {system.package.title}; a rank is {rank}",
            f"together: {', '.join(f'{rate} {show(float(sum_ or 0), FLOP_RATE)}' for rate, sum_ in rates.items())}",
            f"          {stored} of memory at {moved}, {_or_dash(sums['power_w'], WATT)} rated",
            "",
            columns(rows, head=["tier", "ranks", "a rank, one way", "a step", ""], right=[1, 2, 3]),
            *_looks_wrong(system),
            "",
            _facts(facts),
        ]
    )
    fields: Record = {
        "name": system.name,
        "title": system.title,
        "chip": system.package.name,
        "announced": system.package.announced,
        "findings": [str(finding) for finding in findings(system)],
        "values": [fact.to_dict() for fact in facts],
        "chips": int(system.chips),
        "flops_per_s": rates,
        **{name: sums[name] for name in ("memory_bytes", "memory_bandwidth_bytes_per_s", "power_w")},
        "tiers": [
            {"name": t.name, "ranks": float(t.size), "bandwidth_bytes_per_s": float(t.bandwidth), "latency_s": float(t.latency),
             "topology": t.topology, "dims": list(t.dims), "oversubscription": float(t.oversubscription),
             "in_network": t.in_network, "load_store": t.load_store} for t in system.tiers
        ],
    }  # fmt: skip
    return Description("system", system.name, text, fields)


def _model(model: Model) -> Description:
    text, told = card(model)
    return Description("model", model.name, text, {"name": model.name, **_model_row(model), **told})
