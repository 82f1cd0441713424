"""Frozen nouns of hardware: what one rank runs on, and the tiers through which ranks reach each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import field, frozen

from roofline.errors import QuestionError, fault
from roofline.fields import amount, number, positive, refuse, unknown_or_positive
from roofline.provenance import Fact
from roofline.units import (
    Bytes,
    BytesPerSecond,
    Count,
    DollarsPerSecond,
    FlopPerByte,
    FlopPerSecond,
    Num,
    Ratio,
    Seconds,
    Watts,
)


def _peaks(peaks: Mapping[str, object]) -> dict[str, Num]:
    return {rate: number(peak, f"peak {rate}") for rate, peak in peaks.items()}


def _some_peak(_: object, __: object, peaks: Mapping[str, Num]) -> None:
    if not peaks:
        raise QuestionError(fault("peak", dict(peaks), "a chip has at least one rate"))
    for rate, peak in peaks.items():
        refuse(f"peak {rate}", peak, 0.0, strict=True)


@frozen(eq=False)
class Memory:
    """One level of memory.

    Attributes:
        usable: part of ``capacity`` that a program can be given at most. Vendors' GB are close to GiB, so where the driver of a
            real machine has been read it may exceed 1.
    """

    capacity: Bytes = positive()
    bandwidth: BytesPerSecond = positive()
    usable: Ratio = amount(1.0, high=2.0, strict=True)


@frozen(eq=False)
class Chip:
    """What one rank runs on: dense matrix rates by dtype, and a memory.

    Attributes:
        peak: dense FLOP/s of the matrix unit by rate (an integer operation counts as one FLOP).
        cores: independent cores (SM, cube core) that share the work of a kernel.
        dies: dies in the package; a system may place one rank on each.
        power: rated power of the package (TDP); None where nobody has published it.
        price: rent of the package per second; None where no figure was found.
        announced: not on sale yet; its figures are the maker's intentions.
        facts: each number as the descriptor states it, with its source.
    """

    name: str
    peak: Mapping[str, FlopPerSecond] = field(converter=_peaks, validator=_some_peak)
    memory: Memory = field()
    cores: Count = positive(1.0)
    dies: int = 1
    power: Watts | None = unknown_or_positive()
    price: DollarsPerSecond | None = unknown_or_positive()
    announced: bool = False
    vendor: str = ""
    title: str = ""
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def ridge(self, rate: str) -> FlopPerByte:
        """Return the arithmetic intensity at which compute and memory take equally long: ``peak / bandwidth``.

        >>> Chip("toy", {"bf16": 1e15}, Memory(1e11, 4e12)).ridge("bf16")
        250.0
        """
        return self.peak[rate] / self.memory.bandwidth

    def die(self) -> Chip:
        """Return one die of the package as a chip of its own: every capacity and rate divided by the dies.

        >>> Chip("duo", {"bf16": 2e15}, Memory(2e11, 4e12), cores=48, dies=2).die().peak["bf16"]
        1000000000000000.0
        """
        n, memory = self.dies, self.memory

        def part(whole: Num | None) -> Num | None:
            return None if whole is None else whole / n

        return attrs.evolve(
            self,
            peak={rate: peak / n for rate, peak in self.peak.items()},
            memory=Memory(memory.capacity / n, memory.bandwidth / n, memory.usable),
            cores=self.cores / n,
            power=part(self.power),
            price=part(self.price),
            dies=1,
        )


@frozen(eq=False)
class Tier:
    """One ring of the network: ``size`` ranks reach each other at ``bandwidth`` per rank, one way.

    Attributes:
        size: ranks inside one instance of this tier, counting those of the tiers below.
        latency: time of one step between two ranks of this tier, as a collective meets it.
        in_network: the switch adds up (NVLink SHARP); an all-reduce then moves the data once.
        load_store: a rank can read and write another's memory directly, so small messages need no protocol.
    """

    name: str
    size: Count = positive()
    bandwidth: BytesPerSecond = positive()
    latency: Seconds = amount()
    in_network: bool = False
    load_store: bool = False


def _tuple(tiers: Iterable[Tier]) -> tuple[Tier, ...]:
    return tuple(tiers)


def _some_tier(_: object, __: object, tiers: tuple[Tier, ...]) -> None:
    if not tiers:
        raise QuestionError(fault("tiers", tiers, "a system has at least one tier, innermost first"))


def _tiers() -> Any:
    return field(converter=_tuple, validator=_some_tier)


@frozen(eq=False)
class System:
    """Chips and the tiers between them, innermost first: a node, a rack, a supernode.

    Attributes:
        package: the part one buys.
        chips: packages in the system as sold; its outer tiers may join more.
        ranks_per_chip: ranks on one package: 1, or its dies.
        power: rated power of the whole system; None where nobody has published it.
        price: rent of the whole system per second; None where no figure was found.
        facts: the system's own numbers with their sources (the chip's are in ``package.facts``).
        chip: what one *rank* runs on: the package, or one of its dies. It follows from the package.
    """

    name: str
    package: Chip
    chips: Count = amount(low=1, whole=True)
    tiers: tuple[Tier, ...] = _tiers()
    ranks_per_chip: int = 1
    power: Watts | None = unknown_or_positive()
    price: DollarsPerSecond | None = unknown_or_positive()
    vendor: str = ""
    title: str = ""
    facts: tuple[Fact, ...] = field(default=(), repr=False)
    chip: Chip = field(init=False, repr=False)

    @chip.default
    def _rank(self) -> Chip:
        return self.package.die() if self.ranks_per_chip > 1 else self.package

    @property
    def ranks(self) -> Count:
        """Ranks of the system as sold."""
        return self.chips * self.ranks_per_chip

    @property
    def reach(self) -> Count:
        """Ranks that the outermost tier can join."""
        return self.tiers[-1].size

    @property
    def power_per_chip(self) -> Watts | None:
        """Rated power for each package: the system's own figure over its chips, else the package's."""
        return self.package.power if self.power is None else self.power / self.chips

    @property
    def price_per_chip(self) -> DollarsPerSecond | None:
        """Rent of each package per second: the system's over its chips, else the package's own."""
        return self.package.price if self.price is None else self.price / self.chips
