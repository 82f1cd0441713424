"""Descriptors read from tables: chips, systems and calibration profiles, every number with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

import attrs

from roofline.catalog import consistency
from roofline.catalog.consistency import Finding
from roofline.catalog.facts import Facts
from roofline.core.errors import DescriptorError, QuestionError, UnknownNameError, near
from roofline.core.mappings import Table
from roofline.core.units import BYTE, BYTE_RATE, DOLLAR, DOLLAR_RATE, FLOP_RATE, MILLION, ONE, SECOND, WATT, Unit
from roofline.hardware.constants import (
    BACKWARD,
    COLLECTIVES,
    EXCHANGES,
    KERNELS,
    LEVELS,
    STACKS,
    Calibration,
    Found,
    Kernel,
    Link,
    Stack,
    stacked,
)
from roofline.hardware.hardware import TOPOLOGIES, TRANSPORTS, Chip, Fabric, Host, Memory, System, Tier
from roofline.models.dtypes import DTYPES, PEAKS


def chip(root: Table, name: str) -> Chip:
    """Return the chip that a descriptor describes.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("chip")
    facts = Facts(root, head)
    value = facts.value
    peak = _rates(head.table("peak"), value)
    if not peak:
        raise head.fail("peak", "must state at least one rate")
    # What the library does not compute with is read all the same: for people, and for the checks.
    for kind in ("sparse", "vector", "analyst"):
        _rates(head.table(kind, {}), value)
    ceiling = _rates(head.table("ceiling", {}), value)
    cache = head.table("cache", {})
    for key, unit in (("capacity", BYTE), ("bandwidth", BYTE_RATE)):
        value(cache, key, unit, None)
    cache.done()
    memory = head.table("memory")
    out: dict[str, Any] = {
        "name": name,
        "peak": peak,
        "best": {rate: reached / peak[rate] for rate, reached in ceiling.items() if rate in peak},
        "memory": _memory(memory, value),
        "cores": value(head, "cores", ONE, least=1),
        "exponentials": value(head, "exponentials", FLOP_RATE, None),
        "tile": value(head, "tile", ONE, 1.0, least=1, most=1024, whole=True),
        "dies": int(value(head, "dies", ONE, 1.0, least=1, most=64, whole=True)),
        "power": value(head, "power", WATT, None),
        "price": value(head, "price", DOLLAR_RATE, None),
        "purchase": value(head, "purchase", DOLLAR, None),
        "announced": head.flag("announced"),
        "silicon": head.text("silicon", ""),
        "relative": head.text("relative", ""),
        "generation": head.text("generation", ""),
        "vendor": head.text("vendor"),
        "title": head.text("title"),
    }
    value(head, "idle", WATT, None)
    memory.done()
    head.done()
    read = facts.done()
    _agree(root, consistency.chip_faults(read))
    return Chip(**out, facts=read)


def _agree(root: Table, faults: Iterable[Finding]) -> None:
    """Refuse numbers that contradict each other.

    Raises:
        DescriptorError: the first such number.
    """
    for fault in faults:
        raise DescriptorError(f"{root.file}: {fault}")


def _rates(table: Table, value: Callable[..., Any]) -> dict[str, float]:
    for key in table:
        if key not in PEAKS:
            table.note(table.fail(key, "unknown rate", near(key, PEAKS, "rates")))
    out = {key: value(table, key, FLOP_RATE) for key in table if key in table}
    table.done()
    return out


def _memory(table: Table, value: Callable[..., Any]) -> Memory:
    capacity, bandwidth = value(table, "capacity", BYTE), value(table, "bandwidth", BYTE_RATE)
    reported = value(table, "reported", BYTE, capacity)
    if not 0.5 <= reported / capacity <= 1.5:
        raise table.fail("reported", "must be within half of the capacity")
    value(table, "streamed", BYTE_RATE, None)
    return Memory(capacity, bandwidth, reported / capacity)


def fabric(root: Table, name: str) -> Fabric:
    """Return the network between nodes that a descriptor describes.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("fabric")
    facts = Facts(root, head)
    ideal = Fabric(name)
    out = {key: facts.value(head, key, unit, getattr(ideal, key)) for key, unit in _FABRIC.items()}
    for key in ("share", "sums", "crossing"):
        if not 0.05 <= out[key] <= 1:
            raise head.fail(key, "must be a number from 0.05 to 1")
    title, date, transport = head.text("title", name), head.text("date", ""), head.text("transport", "")
    plugin = head.text("plugin", "")
    if transport and transport not in TRANSPORTS:
        raise head.fail("transport", "unknown transport", near(transport, TRANSPORTS, "transports"))
    head.done()
    return Fabric(name, **out, transport=transport, plugin=plugin, title=title, date=date, facts=facts.done())


_FABRIC: Final[Mapping[str, Unit]] = {
    "step": SECOND, "share": ONE, "rounding": ONE, "chunk": BYTE, "handshake": SECOND, "eager": BYTE, "sums": ONE,
    "crossing": ONE, "leaf": ONE, "post": SECOND, "nodes": ONE, "error": ONE, "short": ONE,
}  # fmt: skip


def system(
    root: Table, name: str, find: Callable[[str], Chip], find_fabric: Callable[[str], Fabric] = Fabric
) -> System:
    """Return the system that a descriptor describes; ``find`` returns the chip it names, ``find_fabric`` the network of a tier.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("system")
    facts = Facts(root, head)
    value = facts.value
    package = _package(head, find)
    rank = head.text("rank", "package")
    if rank not in ("package", "die"):
        raise head.fail("rank", "must be package or die")
    per_chip = package.dies if rank == "die" else 1
    chips = int(value(head, "chips", ONE, least=1, most=MILLION, whole=True))
    tiers = tuple(_tier(table, facts, find_fabric) for table in head.tables("tier"))
    if not tiers or len(tiers) > 8:
        raise head.fail("tier", "must list 1 to 8 tiers, innermost first")
    for inner, outer in pairwise(tiers):
        if outer.size <= inner.size:
            raise head.fail("tier", f"sizes must grow outwards, but {outer.name!r} is no larger than {inner.name!r}")
    if tiers[-1].size < chips * per_chip:
        raise head.fail(
            "tier", f"the outermost joins {tiers[-1].size:g} ranks, fewer than the {chips * per_chip} of the system"
        )
    out: dict[str, Any] = {
        "power": value(head, "power", WATT, None),
        "price": value(head, "price", DOLLAR_RATE, None),
        "purchase": value(head, "purchase", DOLLAR, None),
        "vendor": head.text("vendor"),
        "title": head.text("title"),
        "host": _host(head.table("host"), value) if "host" in head else None,
        "cpu": head.text("cpu", "x86"),
    }
    _published(head.table("published", {}), value)
    out["planes"] = tuple(
        _plane(table, facts, find_fabric, tiers[-1]) for table in (head.tables("plane") if "plane" in head else ())
    )
    head.done()
    read = facts.done()
    inside = [float(tier.bandwidth) for tier in tiers if tier.size <= chips * per_chip]
    _agree(root, consistency.system_faults(read, package.facts, chips, per_chip, inside[-1] if inside else 0.0))
    try:
        return System(name, package, chips, tiers, per_chip, **out, facts=read)
    except QuestionError as error:
        raise DescriptorError(f"{head.place('tier')}: {error}") from None


def _host(table: Table, value: Callable[..., Any]) -> Host:
    out = Host(table.text("name"), value(table, "bandwidth", BYTE_RATE), value(table, "memory", BYTE, None))
    table.text("source", None)
    table.done()
    return out


def _published(table: Table, value: Callable[..., Any]) -> None:
    """Read the vendor's totals of the system, which are checked against chips x per chip."""
    units = {
        **dict.fromkeys(PEAKS, FLOP_RATE),
        "chips": ONE,
        "memory": BYTE,
        "bandwidth": BYTE_RATE,
        "scale_up": BYTE_RATE,
    }
    for key in table:
        if key != "source" and key not in units:
            table.note(table.fail(key, "unknown aggregate", near(key, units, "aggregates")))
        elif key != "source":
            value(table, key, units[key])
    table.text("source", None)
    table.done()


def _package(head: Table, find: Callable[[str], Chip]) -> Chip:
    given = head.text("chip")
    try:
        return find(given)
    except (UnknownNameError, DescriptorError) as error:
        raise DescriptorError(f"{head.place('chip')}: {error}") from None


def _tier(table: Table, facts: Facts, find_fabric: Callable[[str], Fabric]) -> Tier:
    value, topology = facts.value, table.text("topology", "switch")
    if topology not in TOPOLOGIES:
        raise table.fail("topology", "unknown topology", near(topology, TOPOLOGIES, "topologies"))
    out = Tier(
        name=table.text("name"),
        size=value(table, "size", ONE, least=2, whole=True),
        bandwidth=value(table, "bandwidth", BYTE_RATE),
        latency=value(table, "latency", SECOND, most=1.0),
        in_network=table.flag("in_network"),
        load_store=table.flag("load_store"),
        same_ports=table.flag("same_ports"),
        topology=topology,
        dims=facts.shape(table, "dims"),
        oversubscription=value(table, "oversubscription", ONE, 1.0, least=1, most=500),
        fabric=_network(table, find_fabric) if "fabric" in table else None,
        block=facts.shape(table, "block"),
        host=value(table, "host", ONE, 0.0, least=1, whole=True),
    )
    table.done()
    return out


def _plane(table: Table, facts: Facts, find_fabric: Callable[[str], Fabric], outer: Tier) -> Tier:
    """Return a network beside the tiers: it joins what the outermost does."""
    name, bandwidth = table.text("name"), facts.value(table, "bandwidth", BYTE_RATE)
    latency = facts.value(table, "latency", SECOND, outer.latency)
    out = Tier(name, outer.size, bandwidth, latency, fabric=_network(table, find_fabric) if "fabric" in table else None)
    table.text("source", None)
    table.done()
    return out


def _network(table: Table, find: Callable[[str], Fabric]) -> Fabric:
    """Return the fabric that a tier names; its facts stay its own."""
    try:
        return find(table.text("fabric"))
    except (UnknownNameError, DescriptorError) as error:
        raise DescriptorError(f"{table.place('fabric')}: {error}") from None


UNITS: Final[Mapping[str, Unit]] = {
    "eta_compute": ONE, "eta_memory": ONE, "t0": SECOND, "p": ONE, "step": SECOND, "item": SECOND, "eta_score": ONE,
    "eta_staging": ONE, "eta_best": ONE, "alpha": SECOND, "peer": SECOND, "start": ONE, "hop": ONE, "eta": ONE, "far": ONE,
    "copied": BYTE_RATE, "pair": ONE, "c": ONE, "error": ONE, "turn": SECOND, "hit": SECOND, "elsewhere": ONE, "ranks": ONE, "bytes": BYTE,
}  # fmt: skip
"""Units of the constants of kernels and links, as files state them."""
_ABOVE: Final = (
    "eta_compute",
    "eta_memory",
    "eta_staging",
    "eta_score",
    "eta_best",
    "eta",
    "far",
    "copied",
    "pair",
    "p",
)
"""Constants that divide, and so are above 0."""
_KERNEL: Final = tuple(f.name for f in attrs.fields(Kernel))
_LINK: Final = tuple(f.name for f in attrs.fields(Link))


def calibration(root: Table, name: str, find: Callable[[str], Calibration]) -> Calibration:
    """Return the profile that a descriptor describes.

    ``find`` returns the one it names as its base, whose constants serve where it has none.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("calibration")
    facts = Facts(root, head)
    value = facts.value
    level = head.text("level")
    if level not in LEVELS:
        raise head.fail("level", "unknown level", near(level, LEVELS, "levels"))
    base = find(head.text("base")) if "base" in head else None
    kernels, links = (dict(base.kernels), dict(base.links)) if base else ({}, {})
    classes, ways = (root.table(key, {}) if base else root.table(key) for key in ("kernel", "link"))
    kernels |= _kernels(classes, value)
    links |= _links(ways, value)
    stacks = root.table("stack", {})
    for kind in stacks:
        if kind not in (*STACKS, *EXCHANGES):
            raise stacks.fail(kind, "unknown software stack", near(kind, (*STACKS, *EXCHANGES), "stacks"))
    differ = {kind: Stack(*_stack(stacks.table(kind), value)) for kind in stacks}
    if base:
        differ = stacked(base, kernels, links, differ)
    missing = [k for k in KERNELS if k not in BACKWARD.values() and not any(kind == k for kind, _ in kernels)] + [
        k for k in COLLECTIVES if k not in links
    ]
    if missing:
        raise DescriptorError(f"{root.place('')}: has no constants for {', '.join(missing)}; add them")
    margins = (
        "memory_fraction", "step_error", "prompt_error", "training_error", "experts_error", "assumed_error", "elsewhere",
        "sustained", "sustained_fp8", "sustained_fp4", "tile",
    )  # fmt: skip
    if base is None:
        power = head.table("power_fraction")
        fraction = tuple(value(power, key, ONE, most=1.0) for key in ("mean", "low", "high"))
        idle = value(power, "idle", ONE, most=1.0)
        power.done()
        out: dict[str, Any] = {key: value(head, key, ONE) for key in margins}
        out["eager"], out["core"] = value(head, "eager", SECOND), value(head, "core", FLOP_RATE)
        out["exponential"] = value(head, "exponential", FLOP_RATE)
    else:
        fraction, idle = base.power_fraction, base.idle_fraction
        out = {key: value(head, key, ONE, getattr(base, key)) for key in margins}
        out["eager"] = value(head, "eager", SECOND, base.eager)
        out["core"] = value(head, "core", FLOP_RATE, base.core)
        out["exponential"] = value(head, "exponential", FLOP_RATE, base.exponential)
    vendors = head.words("vendors", base.vendors if base else ())
    head.done()
    found = tuple(_found(table) for table in root.tables("found")) if "found" in root else ()
    read = facts.done()
    stated = {fact.path for fact in read}
    # Constants of a class or way are replaced together: what the file leaves out of them is as in an ideal kernel.
    stated |= {fact.path.rpartition(".")[0] for fact in read if not fact.path.startswith("calibration.")}
    inherited = tuple(f for f in base.facts if not {f.path, f.path.rpartition(".")[0]} & stated) if base else ()
    return Calibration(
        name,
        level,
        kernels,
        links,
        vendors=vendors,
        power_fraction=fraction,
        idle_fraction=idle,
        stacks=differ,
        found=found,
        facts=(*read, *inherited),
        **out,
    )


_OTHERS: Final = ("any", "w4a16")
"""Keys of kernels besides rates and formats: all that are not listed, and weights of 4 bits that are widened to 16."""


def _kernels(classes: Table, value: Callable[..., Any]) -> dict[tuple[str, str], Kernel]:
    out = {}
    for kind in classes:
        group = classes.table(kind)
        if kind not in KERNELS:
            raise classes.fail(kind, "unknown kernel class", near(kind, KERNELS, "classes"))
        for rate in group:
            if rate not in (*PEAKS, *DTYPES, *_OTHERS):
                raise group.fail(rate, "unknown rate", near(rate, (*PEAKS, *DTYPES, *_OTHERS), "rates"))
            out[kind, rate] = Kernel(**_constants(group.table(rate), value, _KERNEL))
    return out


def _links(ways: Table, value: Callable[..., Any]) -> dict[str, Link]:
    for kind in ways:
        if kind not in COLLECTIVES:
            raise ways.fail(kind, "unknown link", near(kind, COLLECTIVES, "links"))
    return {kind: Link(**_constants(ways.table(kind), value, _LINK)) for kind in ways}


def _stack(table: Table, value: Callable[..., Any]) -> tuple[dict[tuple[str, str], Kernel], dict[str, Link]]:
    out = _kernels(table.table("kernel", {}), value), _links(table.table("link", {}), value)
    table.done()
    return out


def _found(table: Table) -> Found:
    rows, left_out = (table.count(key, most=int(MILLION)) for key in ("rows", "left_out"))
    mape, median, p90 = (table.real(key) for key in ("mape", "median", "p90"))
    out = Found(table.text("name"), table.text("stack", ""), rows, left_out, mape, median, p90)
    table.done()
    return out


def _constants(table: Table, value: Callable[..., Any], names: tuple[str, ...]) -> dict[str, float]:
    out = {key: value(table, key, UNITS[key]) for key in names if key in table}
    for key in _ABOVE:
        if out.get(key) == 0:
            raise table.fail(key, "must be above 0")
    if "error" not in out:
        raise table.fail(
            "error", "is missing", "say how wrong these constants may be: half-width of the 80 % interval, relative"
        )
    table.text("source", None)
    table.done()
    return out
