"""Frozen nouns of hardware: what one rank runs on, and the tiers through which ranks reach each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, frozen

from roofline.arrays import checked, number
from roofline.provenance import Fact
from roofline.units import (
    Bytes,
    BytesPerSecond,
    Count,
    DollarsPerSecond,
    FlopPerByte,
    FlopPerSecond,
    Num,
    Seconds,
    Watts,
)


def _positive(default: Any = attrs.NOTHING) -> Any:
    """Return a field for a number above zero, float or array."""
    return field(default=default, converter=number, validator=checked(strict=True))


def _not_negative() -> Any:
    """Return a field for a number of at least zero."""
    return field(converter=number, validator=checked())


def _peaks(peaks: Mapping[str, Num]) -> dict[str, Num]:
    return {rate: number(peak) for rate, peak in peaks.items()}


def _optional() -> Any:
    """Return a field for a number above zero that may be unknown (None)."""
    return field(
        default=None,
        converter=attrs.converters.optional(number),
        validator=attrs.validators.optional(checked(strict=True)),
    )


@frozen(eq=False)
class Memory:
    """One level of memory. ``reported`` is what the driver of a real machine shows, where someone has written it down."""

    capacity: Bytes = _positive()
    bandwidth: BytesPerSecond = _positive()
    reported: Bytes | None = _optional()

    @property
    def usable(self) -> Bytes:
        """Bytes a program can be given at most: the reported capacity where it is known, else the published one."""
        return self.capacity if self.reported is None else self.reported


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
    peak: Mapping[str, FlopPerSecond] = field(converter=_peaks)
    memory: Memory
    cores: Count = _positive(1.0)
    dies: int = 1
    power: Watts | None = _optional()
    price: DollarsPerSecond | None = _optional()
    announced: bool = False
    vendor: str = ""
    title: str = ""
    facts: tuple[Fact, ...] = ()

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
            memory=Memory(memory.capacity / n, memory.bandwidth / n, part(memory.reported)),
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
    size: Count = _positive()
    bandwidth: BytesPerSecond = _positive()
    latency: Seconds = _not_negative()
    in_network: bool = False
    load_store: bool = False


@frozen(eq=False)
class System:
    """Chips and the tiers between them, innermost first: a node, a rack, a supernode.

    ``chip`` is what one *rank* runs on, a die where the system places ranks on dies; ``package`` is the part one buys.

    Attributes:
        chips: packages in the system as sold; its outer tiers may join more.
        ranks_per_chip: ranks on one package.
        power: rated power of the whole system; None where nobody has published it.
        price: rent of the whole system per second; None where no figure was found.
        facts: the system's own numbers with their sources (the chip's are in ``package.facts``).
    """

    name: str
    chip: Chip
    package: Chip
    chips: int
    tiers: tuple[Tier, ...]
    ranks_per_chip: int = 1
    power: Watts | None = _optional()
    price: DollarsPerSecond | None = _optional()
    vendor: str = ""
    title: str = ""
    facts: tuple[Fact, ...] = ()

    @property
    def ranks(self) -> int:
        """Ranks of the system as sold."""
        return self.chips * self.ranks_per_chip

    @property
    def reach(self) -> Num:
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
