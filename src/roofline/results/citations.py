"""Citations: the descriptors' numbers that an answer depends on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final

import attrs
import numpy as np

from roofline.core.provenance import Fact, Source, stated
from roofline.core.units import Count
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.operators.operations import Message, Op
from roofline.physics.collectives import sent
from roofline.physics.spans import Span

_IDLE: Final = ("power", "price", "purchase", "idle", "size", "reported")
"""Numbers that no kernel's time depends on (the size of a tier, or a memory, decides what can be laid out)."""

_TOLD: Final = (
    "chip.sparse.",
    "chip.vector.",
    "chip.analyst.",
    "chip.cache.",
    "system.published.",
    "system.plane[",
    "system.host.",
)
_ONLY_TOLD: Final = ("streamed", "idle", "purchase")
"""Numbers that descriptors tell people, and no answer rests on."""

_OF_TRAINING: Final = tuple(
    f"calibration.{name}" for name in ("sustained", "sustained_fp8", "sustained_fp4", "training_error", "experts_error")
)
"""Constants that only long steps rest on."""

_TIER: Final = re.compile(r"system\.tier\[(\d+)\]\.(\w+)")


def tiers_used(system: System, span: Span) -> tuple[Any, ...]:
    """Return for each tier where any message of a span travels over it."""
    out: list[Any] = [False] * len(system.tiers)
    for work, _, times in span.leaves():
        if isinstance(work, Message):
            for i, wire in enumerate(sent(work, system.tiers)):
                out[i] = out[i] | ((wire * times > 0) & (work.group > 1))
    return tuple(out)


def _rates(span: Span) -> set[str]:
    return {work.rate for work, _, _ in span.leaves() if isinstance(work, Op) and np.any(work.flops > 0)}


def assumed(system: System, span: Span) -> Count:
    """Return how many assumed numbers of the hardware a span's time rests on, point by point."""
    over, rates = tiers_used(system, span), _rates(span)
    total: Any = 0.0
    for fact in _hardware(system):
        last = fact.path.rsplit(".", 1)[-1]
        if fact.source.kind != "assumed" or last in _IDLE:
            continue
        tier = _TIER.match(fact.path)
        if tier:
            total = total + over[int(tier[1])] * 1.0
        elif not fact.path.startswith(("chip.peak.", "chip.ceiling.")) or last in rates:
            total = total + 1.0
    return total  # type: ignore[no-any-return]


def cited(system: System, profile: Calibration, span: Span) -> tuple[Fact, ...]:
    """Return every number that a span's answer rests on, with its source, marked where a caller changed it."""
    over, rates = [bool(np.any(mask)) for mask in tiers_used(system, span)], _rates(span)
    kernels: set[str] = set()
    links: set[str] = set()
    best: set[str] = set()
    for work, cost, _ in span.leaves():
        if isinstance(work, Op):
            kernels.add(".".join(profile.key(work.kernel, work.rate, work.form)))
            if profile.kernel(work.kernel, work.rate, work.form).eta_best is not None:
                best |= {work.rate} & set(system.chip.best) or set(system.chip.best)
        elif np.any(cost.time > 0):
            links |= set(cost.ways)
    used = [_current(fact, system) for fact in _hardware(system) if _rests(fact.path, rates, best, over, system)]
    # Constants that only the kernels of one software stack have are those of a profile on that stack.
    rested = {"kernel": kernels, "link": links, "stack": set()}
    for tier, travelled in zip(system.tiers, over, strict=True):
        if tier.fabric is not None and travelled and profile.level != "ideal":
            used += [fact for fact in tier.fabric.facts if fact not in used]
    for fact in profile.facts:
        if fact.path in _OF_TRAINING and profile.framework.name == "none":
            continue
        head, _, rest = fact.path.partition(".")
        if head not in rested or rest.rpartition(".")[0] in rested[head]:
            used.append(fact)
    return tuple(used)


def _hardware(system: System) -> Iterator[Fact]:
    for fact in (*system.package.facts, *system.facts):
        if not fact.path.startswith(_TOLD) and fact.path.rpartition(".")[2] not in _ONLY_TOLD:
            yield fact


def _rests(path: str, rates: set[str], best: set[str], over: list[bool], system: System) -> bool:
    tier = _TIER.match(path)
    if tier:
        return over[int(tier[1])]
    group, _, last = path.rpartition(".")
    if group in ("chip.peak", "chip.ceiling"):
        return last in (rates if group == "chip.peak" else best)
    # Where the driver's figure is known, it decides what fits, not the published one.
    return not (path == "chip.memory.capacity" and np.any(system.package.memory.usable != 1))


def _current(fact: Fact, system: System) -> Fact:
    """Return the fact, or what the caller put in its place."""
    try:
        value = _value(fact.path, system)
    except (AttributeError, KeyError, IndexError):
        return fact
    if value is None or np.all(np.isclose(value, fact.value, atol=0)):
        return fact
    text = stated(float(value), fact.unit) if np.ndim(value) == 0 else f"{np.size(value)} values"
    given = Source("given", "given", f"set by the caller; the descriptor says {fact.text}")
    return attrs.evolve(fact, text=text, value=float(np.mean(value)), source=given, at="", note="", others=())


def _value(path: str, system: System) -> Any:
    tier = _TIER.match(path)
    if tier:
        return getattr(system.tiers[int(tier[1])], tier[2])
    head, _, rest = path.partition(".")
    if head == "chip" and rest.startswith("ceiling."):
        rate = rest.removeprefix("ceiling.")
        return system.package.best[rate] * system.package.peak[rate]
    if head == "chip" and rest.startswith("peak."):
        return system.package.peak[rest.removeprefix("peak.")]
    if rest == "memory.reported":
        return system.package.memory.capacity * system.package.memory.usable
    return attrgetter(rest)(system.package if head == "chip" else system)
