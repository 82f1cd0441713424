"""``describe``: every number of a descriptor with its source, as text and as fields."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.catalog.findings import findings
from roofline.core.errors import UnknownNameError, fault, near
from roofline.core.provenance import Fact
from roofline.core.signatures import typed
from roofline.core.text import columns
from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, SECOND, WATT, show
from roofline.core.values import Json, Record
from roofline.hardware.aggregates import aggregates
from roofline.hardware.hardware import Chip, System, Tier
from roofline.models.architecture import Model
from roofline.planner.words import ModelLike
from roofline.reports.listing import KINDS, chip_row, or_dash
from roofline.reports.model_card import card, row


@frozen(eq=False)
class Description:
    """A descriptor described: ``text`` for people, ``fields`` under the names of the machine-readable answer.

    Attributes:
        kind: ``system``, ``chip`` or ``model``.
        name: name of the descriptor, as catalogued.
        text: the description for people.
        fields: the same for programs, under the names of the machine-readable answer.
    """

    kind: str
    name: str
    text: str
    fields: Mapping[str, Json]

    def to_dict(self) -> Record:
        """Return the fields."""
        return dict(self.fields)

    def __str__(self) -> str:
        return self.text


@typed
def describe(what: Chip | System | ModelLike, kind: str | None = None) -> Description:
    """Return the description of a system, chip or model: an object, a name, or the path of a file.

    A TOML file is what its first table says; a config.json, or a directory holding one, is a model.

    Args:
        what: as above; of a name that two kinds have, the system is described.
        kind: ``system``, ``chip`` or ``model``, where only that will do.

    Returns:
        The description: text for people, fields for programs.

    Raises:
        UnknownNameError: no descriptor of any kind has that name.
        DescriptorError: the file cannot be read.

    >>> describe("dgx-h100").fields["chips"]
    8
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


def _facts(facts: tuple[Fact, ...]) -> str:
    rows: list[list[str]] = []
    for fact in facts:
        where = f"{fact.source.key}{': ' + fact.at if fact.at else ''}"
        rows.append([fact.path, fact.text, fact.source.kind, where])
        rows += [["", f"  or {other.text}", other.source.kind, f"{other.source.key}{': ' + other.note if other.note else ''}"]
                 for other in fact.others]  # fmt: skip
    sources = {f.source.key: f.source for fact in facts for f in (fact, *fact.others)}
    notes = [f"  {fact.path}: {fact.note}" for fact in facts if fact.note]
    stated = [
        f"  {source.key}: {source.title}{'. ' + source.reason if source.reason else ''}"
        f"{chr(10) + '    ' + source.url if source.url else ''}{f' (read {source.retrieved})' if source.retrieved else ''}"
        for source in sources.values()
    ]
    notes += [f"  {fact.path}: {fact.differs}" for fact in facts if fact.differs]
    table = columns(rows, head=["", "value", "kind", "source"])
    return "\n".join([table, *(["", "notes", *notes] if notes else []), "", "sources", *stated])


def _looks_wrong(what: Chip | System) -> list[str]:
    found = findings(what)
    return ["", "looks wrong", *(f"  {finding}" for finding in found)] if found else []


def _joined(tier: Tier) -> str:
    """Return how the ranks of a tier are joined, and what else it can do."""
    shape = f" {' x '.join(map(str, tier.dims))}" if tier.dims else ""
    share = f"{float(tier.oversubscription):g}:1 oversubscribed" if np.any(tier.oversubscription > 1) else ""
    hosts = f"hosts of {float(tier.host):g}" if np.any(tier.host > 0) else ""
    extra = (("load/store", tier.load_store), ("in-network sums", tier.in_network))
    return ", ".join(filter(None, (tier.topology + shape, hosts, share, *(word for word, on in extra if on))))


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
        **chip_row(chip),
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
            f"          {stored} of memory at {moved}, {or_dash(sums['power_w'], WATT)} rated",
            "",
            columns(rows, head=["tier", "ranks", "per rank, one way", "latency", ""], right=[1, 2, 3]),
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
             "in_network": t.in_network, "load_store": t.load_store, "host": float(t.host) or None} for t in system.tiers
        ],
    }  # fmt: skip
    return Description("system", system.name, text, fields)


def _model(model: Model) -> Description:
    text, data = card(model)
    return Description("model", model.name, text, {"name": model.name, **row(model), **data})
