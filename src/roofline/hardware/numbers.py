"""Numbers of hardware by name: what each is, and the same hardware with another in its place.

A name is a path as descriptors write it (``chip.memory.bandwidth``, ``system.tier[1].latency``), or a short word that may stand for
several numbers which change in proportion (:data:`SHORT`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import attrs
import numpy as np

from roofline.core.errors import unknown
from roofline.core.fields import number, refuse
from roofline.core.provenance import Fact, Source, stated
from roofline.core.quantities import spaced
from roofline.core.units import (
    BYTE,
    BYTE_RATE,
    DOLLAR,
    DOLLAR_RATE,
    FLOP_RATE,
    HOUR,
    ONE,
    SECOND,
    WATT,
    Num,
    Unit,
    parse,
)

SHORT: Final[Mapping[str, str]] = {
    "compute": "every rate of the matrix unit, by that of 16 bits",
    "bandwidth": "of a package's memory",
    "memory": "capacity of a package's memory",
    "cores": "of a package",
    "links": "bandwidth of a rank on every tier, by that of the innermost",
    "latency": "of every tier, by that of the innermost",
    "power": "rated power of each chip with its share of the system",
    "price": "cost per hour of each chip",
}
"""Short words for numbers of a system, and what they are."""

_PATHS: Final = {"bandwidth": "chip.memory.bandwidth", "memory": "chip.memory.capacity", "cores": "chip.cores"}
_TIER: Final = re.compile(r"system\.tier\[(\d+)\]\.(bandwidth|latency|size)")
_UNITS: Final[Mapping[str, Unit]] = {
    "compute": FLOP_RATE, "bandwidth": BYTE_RATE, "links": BYTE_RATE, "memory": BYTE, "capacity": BYTE, "cores": ONE, "size": ONE,
    "latency": SECOND, "power": WATT, "price": DOLLAR_RATE, "purchase": DOLLAR,
}  # fmt: skip
_PARTS: Final = {"bandwidth": "memory.bandwidth", "memory": "memory.capacity"}
_GIVEN: Final = Source("given", "given", "set by the caller")

_S = TypeVar("_S")


def unit_of(name: str) -> Unit:
    """Return the unit of a number.

    >>> str(unit_of("chip.peak.bf16")), str(unit_of("links")), str(unit_of("system.tier[0].latency"))
    ('FLOP/s', 'B/s', 's')
    """
    return FLOP_RATE if ".peak." in name else _UNITS.get(name.rpartition(".")[2], ONE)


def read_number(name: str, value: Any) -> Num:
    """Return a value of a number, or many: plain numbers, or text with a unit such as ``"8 TB/s"``; cost is in dollars an hour.

    Raises:
        QuestionError: not above 0 (a latency may be 0). UnitError: text of another unit.

    >>> read_number("bandwidth", ["4 TB/s", 8e12])
    array([4.e+12, 8.e+12])
    """
    if isinstance(value, str):
        out: Num = parse(spaced(value), unit_of(name), name)
    elif isinstance(value, (list, tuple)):
        out = np.array([read_number(name, each) for each in value], dtype=np.float64)
    else:
        out = number(value, name) / (HOUR if name == "price" else 1.0)
    refuse(name, out, 0.0, strict=not name.endswith("latency"))
    return out


def names_of(system: Any) -> tuple[str, ...]:
    """Return the names of the numbers that a system has, short words first."""
    short = [name for name in SHORT if name not in ("power", "price") or number_of(system, name) is not None]
    tiers = [f"system.tier[{i}].{key}" for i in range(len(system.tiers)) for key in ("bandwidth", "latency", "size")]
    return (*short, *_PATHS.values(), *(f"chip.peak.{rate}" for rate in system.package.peak), *tiers)


def _peak(chip: Any) -> str:
    """Return the rate that stands for all others."""
    return next((rate for rate in ("bf16", "fp16") if rate in chip.peak), next(iter(chip.peak)))


def number_of(system: Any, name: str) -> Any:
    """Return a number of a system by its name; None where it is not known.

    Raises:
        UnknownNameError: the system has no number of that name.
    """
    path = _PATHS.get(name, name)
    tier = _TIER.fullmatch(path)
    if name == "compute":
        return system.package.peak[_peak(system.package)]
    if name in ("links", "latency"):
        return getattr(system.tiers[0], "bandwidth" if name == "links" else "latency")
    if name in ("power", "price"):
        return getattr(system, f"{name}_per_chip")
    if tier and int(tier[1]) < len(system.tiers):
        return getattr(system.tiers[int(tier[1])], tier[2])
    rate = path.removeprefix("chip.peak.")
    if rate != path and rate in system.package.peak:
        return system.package.peak[rate]
    if path in _PATHS.values():
        inner: Any = system.package
        for part in path.split(".")[1:]:
            inner = getattr(inner, part)
        return inner
    raise unknown("number", name, names_of(system))


def with_number(system: _S, name: str, value: Num) -> _S:
    """Return a system with another value for one of its numbers; its facts say that a caller set it.

    Raises:
        UnknownNameError: the system has no number of that name. QuestionError: it cannot have this value.
    """
    rack: Any = system
    path = _PATHS.get(name, name)
    tier = _TIER.fullmatch(path)
    before = number_of(rack, name)
    if name == "compute":
        factor = value / before
        peaks = {rate: peak * factor for rate, peak in rack.package.peak.items()}
        package = attrs.evolve(rack.package, peak=peaks, facts=_rated(rack.package.facts, peaks))
        return attrs.evolve(rack, package=package)  # type: ignore[no-any-return]
    if name in ("links", "latency"):
        key = "bandwidth" if name == "links" else "latency"
        ratio: Any = value / before if np.all(before > 0) else None
        for i, each in enumerate(rack.tiers):
            rack = with_number(rack, f"system.tier[{i}].{key}", value if ratio is None else getattr(each, key) * ratio)
        return rack  # type: ignore[no-any-return]
    if name in ("power", "price"):
        whole = value * rack.chips
        facts = with_caller_value(rack.facts, f"system.{name}", whole)
        if name == "power" and rack.package.power is not None:
            # The chips are rated in proportion.
            rack = attrs.evolve(rack, package=attrs.evolve(rack.package, power=rack.package.power * value / before))
        return attrs.evolve(rack, facts=facts, **{name: whole})  # type: ignore[no-any-return]
    if tier:
        facts = with_caller_value(rack.facts, path, value)
        return attrs.evolve(rack, tiers=_retiered(rack.tiers, int(tier[1]), tier[2], value), facts=facts)  # type: ignore[no-any-return]
    return attrs.evolve(rack, package=_remade(rack.package, path.removeprefix("chip."), value))  # type: ignore[no-any-return]


def _remade(chip: Any, rest: str, value: Num) -> Any:
    """Return a chip with another value for one number; its facts say so."""
    facts = with_caller_value(chip.facts, f"chip.{rest}", value)
    if rest.startswith("peak."):
        return attrs.evolve(chip, peak={**chip.peak, rest.removeprefix("peak."): value}, facts=facts)
    if rest.startswith("memory."):
        if rest == "memory.capacity":
            facts = with_caller_value(facts, "chip.memory.reported", value * chip.memory.usable)
        changed: Any = {rest.removeprefix("memory."): value}
        return attrs.evolve(chip, memory=attrs.evolve(chip.memory, **changed), facts=facts)
    more: Any = {rest: value}
    return attrs.evolve(chip, facts=facts, **more)


def _retiered(tiers: tuple[Any, ...], which: int, key: str, value: Num) -> tuple[Any, ...]:
    """Return tiers of which one has another number; those outside it join no fewer ranks than it does."""
    out, below = [], 1.0
    for i, tier in enumerate(tiers):
        own: Any = {key: value} if i == which else {}
        if key == "size" and i > which and tier.topology != "torus":
            own = {"size": np.maximum(tier.size, below)}
        out.append(attrs.evolve(tier, **own))
        below = out[-1].size
    return tuple(out)


def with_caller_value(facts: Iterable[Fact], path: str, value: Num | None) -> tuple[Fact, ...]:
    """Return the facts with the value at a path replaced by the caller's; arrays are left out."""
    if value is None or np.ndim(value):
        return tuple(facts)

    def said(fact: Fact) -> Fact:
        if fact.path != path or np.isclose(fact.value, value, atol=0):
            return fact
        source = attrs.evolve(_GIVEN, title=f"set by the caller; the descriptor says {fact.text}")
        if fact.source.kind == "given":
            source = fact.source
        text = stated(float(value), fact.unit)
        return attrs.evolve(fact, text=text, value=float(value), source=source, at="", note="", others=(), differs="")

    return tuple(map(said, facts))


def _rated(facts: Iterable[Fact], peaks: Mapping[str, Num]) -> tuple[Fact, ...]:
    out = tuple(facts)
    for rate, peak in peaks.items():
        out = with_caller_value(out, f"chip.peak.{rate}", peak)
    return out


def evolved(chip: Any, name: str | None, numbers: Mapping[str, Any]) -> Any:
    """Return a chip with other numbers: short words, or paths inside ``chip``; see :meth:`roofline.hardware.hardware.Chip.evolve`.

    Raises:
        UnknownNameError: the chip has no number of that name.
    """
    known = ("compute", "bandwidth", "memory", "cores", "power", "price", "purchase", *chip.peak)
    for word, raw in numbers.items():
        if word not in known:
            raise unknown("number", word, known)
        if word == "compute" or word in chip.peak:
            rate = _peak(chip) if word == "compute" else word
            value = read_number("compute", raw)
            factor = value / chip.peak[rate]
            peaks = {each: peak * factor if word in ("compute", each) else peak for each, peak in chip.peak.items()}
            chip = attrs.evolve(chip, peak=peaks, facts=_rated(chip.facts, peaks))
        else:
            chip = _remade(chip, _PARTS.get(word, word), read_number(word, raw))
    return chip if name is None else attrs.evolve(chip, name=name, title=name)


def scaled(system: Any, name: str | None, chips: Num, factors: Mapping[str, Num]) -> Any:
    """Return a system with numbers multiplied; see :meth:`roofline.hardware.hardware.System.scaled`.

    Raises:
        UnknownNameError: no such number. QuestionError: no number of chips, or a factor not above 0.
    """
    rack = _grown(system, chips)
    for word, raw in factors.items():
        factor = number(raw, word)
        refuse(word, factor, 0.0, strict=True)
        before = number_of(rack, word)
        if before is not None:
            rack = with_number(rack, word, before * factor)
    parts = {"chips": chips, **factors}
    changed = ", ".join(f"{word} x{value:g}" for word, value in parts.items() if np.ndim(value) == 0 and value != 1)
    told_as = name or (f"{system.name} ({changed})" if changed else system.name)
    return attrs.evolve(
        rack, name=told_as, title=f"{system.title or system.name}, {changed}" if changed else system.title
    )


def _grown(system: Any, factor: Num) -> Any:
    """Return a system of more chips, or of fewer: what joined them all still does; it costs and draws as much more."""
    if np.ndim(factor) == 0 and factor == 1:
        return system
    chips = system.chips * factor
    refuse("chips", chips, 1, whole=True)
    ranks = chips * system.ranks_per_chip
    tiers, below = [], 1.0
    for i, tier in enumerate(system.tiers):
        own: Any = {}
        if np.all(tier.size == system.ranks):
            own["size"] = ranks
        elif i == len(system.tiers) - 1 or np.any(tier.size < below):
            own["size"] = np.maximum(tier.size, ranks if i == len(system.tiers) - 1 else below)
        if tier.topology == "torus" and own:
            own = {}  # a torus has a shape of its own; one that no longer holds all ranks is a mask in the answer
        tiers.append(attrs.evolve(tier, **own))
        below = tiers[-1].size

    def more(whole: Num | None) -> Num | None:
        return None if whole is None else whole * factor

    # What a maker says of the whole is of the system as it was.
    facts = tuple(fact for fact in system.facts if not fact.path.startswith("system.published."))
    facts = with_caller_value(
        with_caller_value(facts, "system.power", more(system.power)), "system.price", more(system.price)
    )
    for i, tier in enumerate(tiers):
        facts = with_caller_value(facts, f"system.tier[{i}].size", tier.size)
    return attrs.evolve(
        system, chips=chips, tiers=tuple(tiers), power=more(system.power), price=more(system.price),
        purchase=more(system.purchase), facts=with_caller_value(facts, "system.chips", chips),
    )  # fmt: skip
