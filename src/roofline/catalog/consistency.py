"""Checks that the numbers of a descriptor are consistent and plausible.

A ladder of rates that does not double, a whole that is not the sum of its parts, or a sparse rate in place of a dense one is
refused, unless the file says why (a ``note`` on the number, ``differs`` on an aggregate). What is merely unusual is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from attrs import frozen

from roofline.core.provenance import Fact, stated
from roofline.core.units import MILLI, TERA, show

_LADDER: Final[Mapping[str, tuple[float, ...]]] = {
    "tf32": (0.5,), "fp16": (1.0,), "fp8": (2.0,), "int8": (2.0,), "fp6": (2.0, 4.0), "fp4": (4.0,), "int4": (4.0,),
}  # fmt: skip
"""What a matrix unit's rates are of its 16-bit rate."""

_TOLERANCE: Final = 0.02
"""Makers round; beyond this, numbers are not the same."""

RIDGE: Final = (20.0, 1200.0)
"""FLOP/B at which compute and memory take equally long in 16 bits: 37 (H20) to 560 (TPU v6e) among chips with stacked memory."""
DRAIN: Final = (5 * MILLI, 150 * MILLI)
"""Time to read the whole memory once: 13 ms (Rubin) to 80 ms (Ascend 950PR)."""
EFFICIENCY: Final = (0.05 * TERA, 20 * TERA)
"""16-bit FLOP/J at rated power: 0.3 (L40S, H20) to 3 TFLOP/J."""


POWER: Final = (50.0, 20_000.0)
"""Watts for each chip with its share of a system."""


@frozen
class Finding:
    """Something in a descriptor that looks wrong: where, what, and what to do about it.

    Attributes:
        path: place of it in the descriptor, keys joined by dots.
        message: what looks wrong, and what to do about it.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def _near(a: float, b: float, tolerance: float = _TOLERANCE) -> bool:
    return abs(a - b) <= tolerance * abs(b)


def _acknowledged(*facts: Fact) -> bool:
    """Return whether a note acknowledges these numbers together, and no caller has changed one of them."""
    return any(fact.note for fact in facts) and not any(fact.source.kind == "given" for fact in facts)


def _table(facts: Iterable[Fact], prefix: str) -> dict[str, Fact]:
    """Return the facts directly under a path, by key."""
    return {fact.path.removeprefix(prefix): fact for fact in facts if fact.path.rpartition(".")[0] + "." == prefix}


def chip_faults(facts: tuple[Fact, ...]) -> Iterator[Finding]:
    """Yield what is wrong in a chip's rates: a sparse or a vector rate in place of a dense one, a ladder that does not double."""
    peak, sparse, vector = (_table(facts, f"chip.{kind}.") for kind in ("peak", "sparse", "vector"))
    for rate, fact in peak.items():
        other = sparse.get(rate)
        if other is not None and _near(fact.value, other.value):
            yield Finding(fact.path, f"{fact.text} is the sparse rate; state the dense one, half of it")
    base = peak.get("bf16") or peak.get("fp16")
    if base is None:
        return
    plain = peak.get("fp32") or vector.get("fp32")
    if plain is not None and _near(base.value, plain.value) and not (base.note or plain.note):
        yield Finding(
            base.path,
            f"{base.text} is the rate of the vector units; state that of the matrix unit, or say why in its note",
        )
    for rate, fact in peak.items():
        steps = _LADDER.get(rate, ())
        if steps and not fact.note and not any(_near(fact.value, step * base.value) for step in steps):
            wanted = " or ".join(f"{step:g}" for step in steps)
            last = base.path.rpartition(".")[2]
            yield Finding(
                fact.path, f"{fact.text} is not {wanted} x the {base.text} of {last}; mend one, or say why in its note"
            )


def chip_findings(facts: tuple[Fact, ...]) -> Iterator[Finding]:
    """Yield what is unusual in a chip: a ridge point, a time to read the memory, an efficiency outside those of known chips."""
    known = {fact.path: fact for fact in facts}
    base = known.get("chip.peak.bf16") or known.get("chip.peak.fp16")
    capacity, bandwidth, power = (known.get(f"chip.{key}") for key in ("memory.capacity", "memory.bandwidth", "power"))
    if capacity is not None and bandwidth is not None and not _acknowledged(capacity, bandwidth):
        drain = capacity.value / bandwidth.value
        if not DRAIN[0] <= drain <= DRAIN[1]:
            text = f"{bandwidth.text} read all {capacity.text} in {drain / MILLI:.3g} ms; known chips take 13 to 80 ms"
            yield Finding(bandwidth.path, f"{text}: is it the capacity, or a whole rack's?")
    if base is not None and bandwidth is not None and not _acknowledged(base, bandwidth):
        ridge = base.value / bandwidth.value
        if not RIDGE[0] <= ridge <= RIDGE[1]:
            yield Finding(
                base.path, f"its ridge point is {ridge:.3g} FLOP/B; those of known chips lie between 37 and 560"
            )
    if base is not None and power is not None and not _acknowledged(base, power):
        each = base.value / power.value
        if not EFFICIENCY[0] <= each <= EFFICIENCY[1]:
            yield Finding(
                power.path, f"{base.text} at {power.text} are {each / TERA:.3g} TFLOP/J; known chips make 0.3 to 3"
            )


def system_faults(
    facts: tuple[Fact, ...], package: tuple[Fact, ...], chips: float, ranks_per_chip: int, scale_up: float
) -> Iterator[Finding]:
    """Yield vendor totals of a system that its parts do not add up to, where the file gives no reason.

    Args:
        facts: of the system; ``package``: of its chip.
        chips: packages; ``ranks_per_chip``: ranks on each.
        scale_up: one-way bandwidth of a rank on the widest tier inside the system.
    """
    known = {fact.path: fact for fact in package}
    for key, fact in _table(facts, "system.published.").items():
        if key == "scale_up":
            yield from _scale_up(fact, chips * ranks_per_chip * scale_up)
            continue
        part = known.get(
            {"memory": "chip.memory.capacity", "bandwidth": "chip.memory.bandwidth"}.get(key, f"chip.peak.{key}")
        )
        whole = chips if key == "chips" else None if part is None else chips * part.value
        if whole is None:
            yield Finding(fact.path, f"the chip has no {key} rate to compare it with; add it, or leave this out")
        elif not _near(whole, fact.value) and not fact.differs:
            sum_ = (
                f"{chips:g} x {part.text} are {stated(whole, fact.unit)}"
                if part is not None
                else f"there are {chips:g}"
            )
            yield Finding(fact.path, f'{fact.text}, but {sum_}; mend one, or say why in differs = "..."')


def power_findings(facts: tuple[Fact, ...], chips: float) -> Iterator[Finding]:
    """Yield a rated power that no chip with its share of a system draws."""
    fact = next((fact for fact in facts if fact.path == "system.power"), None)
    if fact is not None and not fact.note and not POWER[0] <= fact.value / chips <= POWER[1]:
        text = f"{fact.text} are {show(fact.value / chips, fact.unit)} for each chip with its share"
        yield Finding(fact.path, f"{text}; known systems have 0.8 to 2 kW: is the unit right?")


def tier_findings(facts: tuple[Fact, ...]) -> Iterator[Finding]:
    """Yield tiers that are faster, or nearer, than the one inside them."""
    known = {fact.path: fact for fact in facts}
    for i in range(1, len(known)):
        for key, sign, word in (("bandwidth", 1.0, "more than"), ("latency", -1.0, "less than")):
            inner, outer = (known.get(f"system.tier[{n}].{key}") for n in (i - 1, i))
            if inner and outer and sign * outer.value > sign * inner.value and not _acknowledged(inner, outer):
                yield Finding(
                    outer.path,
                    f"{outer.text}, {word} the {inner.text} of the tier inside it: is one of them of a whole node?",
                )


def _scale_up(fact: Fact, one_way: float) -> Iterator[Finding]:
    both, text = 2 * one_way, f"{show(one_way, fact.unit)} one way"
    if fact.differs or _near(both, fact.value) or (_near(one_way, fact.value) and "one way" in fact.note):
        return
    if _near(one_way, fact.value):
        yield Finding(
            fact.path,
            f"{fact.text} are both ways as makers print it, and the tier's bandwidth makes {text}: is it both ways too?",
        )
    else:
        yield Finding(
            fact.path,
            f'{fact.text} both ways, but the ranks\' bandwidths make {text}; mend one, or say why in differs = "..."',
        )
