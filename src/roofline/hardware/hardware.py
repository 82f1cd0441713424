"""Frozen nouns of hardware: what one rank runs on, and the tiers through which ranks reach each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import field, frozen

from roofline.core.arrays import larger
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.fields import amount, named, number, positive, refuse, unknown_or_positive
from roofline.core.provenance import Fact
from roofline.core.signatures import typed_methods
from roofline.core.units import (
    Bytes,
    BytesPerSecond,
    Count,
    Dollars,
    DollarsPerSecond,
    FlopPerByte,
    FlopPerSecond,
    Num,
    Ratio,
    Seconds,
    Watts,
)
from roofline.hardware import numbers as number_names


def _peaks(peaks: Mapping[str, object]) -> dict[str, Num]:
    if not isinstance(peaks, Mapping):
        raise QuestionError(fault("peak", peaks, "must be rates by their formats", "such as {'bf16': 1e15}"))
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
        capacity: its size, bytes.
        bandwidth: rate at which it is read or written, bytes/s.
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
        name: name of the chip, as catalogued.
        peak: dense FLOP/s of the matrix unit by rate (an integer operation counts as one FLOP).
        memory: its memory, capacity and bandwidth.
        best: part of each peak that the quickest product of any shape was measured to reach; none where it is not measured.
        cores: independent cores (SM, cube core) that share the work of a kernel.
        exponentials: of a softmax that its special function units take a second; None where it is not stated.
        tile: rows of activations that its matrix instructions multiply at once: fewer take as long.
        dies: dies in the package; a system may place one rank on each.
        power: rated power of the package (TDP); None where it is not published.
        price: cost of the package per second; None where no figure was found.
        purchase: price of the package; None where no figure was found.
        announced: not on sale yet; its figures are the maker's intentions.
        silicon: the chip whose cores it has, with another memory or power: that one's constants serve where it has none of its own.
        relative: the chip of its generation, or the one before, whose constants serve where neither it nor its silicon has any.
        generation: of the maker's chips that software treats alike, such as ``hopper``.
        vendor: its maker.
        title: its name for people.
        limit: power cap of the package that is set below its rated power; None for none.
        clock: of the matrix units over the clock that ``peak`` was stated at before a power cap lowered it.
        facts: each number as the descriptor states it, with its source.
    """

    name: str = field(converter=named)
    peak: Mapping[str, FlopPerSecond] = field(converter=_peaks, validator=_some_peak)
    memory: Memory = field()
    best: Mapping[str, Ratio] = field(factory=dict, converter=_peaks)
    cores: Count = positive(1.0)
    exponentials: FlopPerSecond | None = unknown_or_positive()
    tile: Count = positive(1.0)
    dies: int = 1
    power: Watts | None = unknown_or_positive()
    price: DollarsPerSecond | None = unknown_or_positive()
    purchase: Dollars | None = unknown_or_positive()
    announced: bool = False
    silicon: str = ""
    relative: str = ""
    generation: str = ""
    vendor: str = ""
    title: str = field(default="", converter=named)
    limit: Watts | None = unknown_or_positive()
    clock: Ratio = amount(1.0, high=1.0, strict=True)
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def units(self, core: FlopPerSecond) -> Count:
        """Return the cores as constants count them: one of more than ``core`` FLOP/s in 16 bits is several.

        What a work item or an exponential costs on a core was found on cores no larger; one that is does several at a time.

        >>> float(Chip("big", {"bf16": 1.6e14}, Memory(1e11, 4e12), cores=2).units(core=1.6e13))
        10.0
        """
        sixteen = self.peak.get("bf16", self.peak.get("fp16", 0.0))
        return larger(self.cores, sixteen / core)

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
            exponentials=part(self.exponentials),
            power=part(self.power),
            limit=part(self.limit),
            price=part(self.price),
            purchase=part(self.purchase),
            dies=1,
        )

    def evolve(self, name: str | None = None, **numbers: Num | str) -> Chip:
        """Return a hypothetical chip: this one with other numbers, and a ``name`` of its own if it gets one.

        Numbers are ``bandwidth`` and ``memory`` (capacity), ``cores``, ``power``, ``price`` (dollars an hour), ``purchase``, a rate
        such as ``bf16``, or ``compute``, by which all rates change in proportion; plain, or text such as ``"8 TB/s"``. A chip that
        keeps its name keeps the constants that were fitted to it.

        Raises:
            UnknownNameError: the chip has no number of that name.

        >>> chip = Chip("toy", {"bf16": 1e15, "fp8": 2e15}, Memory(1e11, 4e12)).evolve(bandwidth="8 TB/s", compute=2e15)
        >>> chip.memory.bandwidth, chip.peak["fp8"]
        (8000000000000.0, 4000000000000000.0)
        """
        return cast("Chip", number_names.evolved(self, name, numbers))


TOPOLOGIES: Final = {
    "switch": "any rank to any other at full rate",
    "mesh": "a link of its own between any two ranks",
    "ring": "links to two neighbours, wrapped around",
    "torus": "links to two neighbours along each dimension, wrapped around",
}
"""How the ranks of a tier are joined."""


def _known_topology(_: object, __: object, topology: str) -> None:
    if topology not in TOPOLOGIES:
        raise unknown("topology", topology, TOPOLOGIES)


def _whole_numbers(dims: Iterable[object]) -> tuple[int, ...]:
    out = tuple(number(n, "dims") for n in dims)
    if any(isinstance(n, np.ndarray) or n < 1 or n != int(n) for n in out):
        raise QuestionError(fault("dims", tuple(dims), "must be whole numbers of at least 1"))
    return tuple(int(n) for n in out)


TRANSPORTS: Final = {
    "rdma": "the card delivers in order and by itself: InfiniBand, RoCE, Slingshot",
    "srd": "the card delivers by itself and in any order, libfabric puts it right: EFA",
    "tcp": "TCP, in the card or in the host, whose payload goes straight to the GPU: TCPX, TCPXO",
}
"""How network cards deliver."""


@frozen(eq=False)
class Fabric:
    """How one kind of network carries messages between nodes: what was measured of its cards and their software, with a date.

    A tier that names a fabric is priced as collective libraries use network cards: rings flat over all ranks, trees between nodes,
    steps and chunks of the fabric. A tier that names none is priced by the constants of :class:`~roofline.hardware.constants.Link` alone.

    Attributes:
        name: name of the network, as the file gives it.
        step: time of one step of a collective between two nodes, software and wire together.
        share: part of the line rate that long messages reach.
        rounding: ``c`` of the chunked pipeline (:func:`roofline.physics.collectives.transfer_time`) between nodes, as a multiple of
            that of the same way inside a node.
        chunk: bytes of each rank that are under way between two nodes at most: chunks stop growing at the size of the buffers, so that
            filling the pipeline costs no more than one of them for each step.
        handshake: what a step waits longer if its piece does not travel with its own flags (NCCL's protocol LL) but in a buffer that
            both sides agree on first (NCCL's Simple, a rendezvous of the transport).
        eager: bytes of a card's piece at which half of ``handshake`` is paid: ``handshake m / (m + eager)`` of a piece of m bytes.
        sums: part of the line rate that an all-reduce reaches where the switches add up.
        crossing: part of the line rate that is left where every rank sends to another rail at once and the spine is shared by
            ``leaf`` nodes or more.
        leaf: nodes up to which nothing of the line rate is lost so.
        post: time of the host for each message that a kernel sends through a proxy thread; 0 where the GPU writes to the card itself.
        nodes: most nodes that its figures were fitted to.
        error: half-width of the 80 % interval of the transfer time, relative.
        short: half-width of the 80 % interval of all the rest, relative.
        transport: how cards deliver, a key of :data:`TRANSPORTS`; "" where nobody said. What a fabric leaves open is that of others alike.
        plugin: of the collective library, by which it reaches the cards; "" where its own verbs do.
        title: name of the network for people.
        date: when it was measured, a year and a month such as 2025-06.
        facts: each number as the descriptor states it, with its source.
    """

    name: str = field(converter=named)
    step: Seconds = amount(0.0)
    share: Ratio = amount(1.0, high=1.0, strict=True)
    rounding: Ratio = amount(1.0)
    chunk: Bytes = amount(3e6)
    handshake: Seconds = amount(0.0)
    eager: Bytes = amount(0.0)
    sums: Ratio = amount(1.0, high=1.0, strict=True)
    crossing: Ratio = amount(1.0, high=1.0, strict=True)
    leaf: Count = amount(1.0, low=1.0)
    post: Seconds = amount(0.0)
    nodes: Count = amount(2.0, low=1.0)
    error: Ratio = amount(0.0)
    short: Ratio = amount(0.0)
    transport: str = ""
    plugin: str = ""
    title: str = field(default="", converter=named)
    date: str = ""
    facts: tuple[Fact, ...] = field(default=(), repr=False)


@frozen(eq=False)
class Tier:
    """One ring of the network: ``size`` ranks reach each other at ``bandwidth`` per rank, one way.

    Attributes:
        name: name of its network, such as ``NVLink 4``.
        size: ranks inside one instance of this tier, counting those of the tiers below.
        bandwidth: of all links of a rank together.
        latency: time of one step between two ranks of this tier, as a collective meets it.
        in_network: the switch adds up (NVLink SHARP); an all-reduce then moves the data once.
        load_store: a rank can read and write another's memory directly, so small messages need no protocol.
        topology: how its units (what the tiers below hold) are joined: a key of :data:`TOPOLOGIES`.
        dims: of a torus, its units along each dimension.
        oversubscription: of a switch, what the ranks could send at once over what it passes.
        same_ports: its traffic leaves a rank by the links of the tier inside it, as in the levels of one network; else by its own.
        fabric: the kind of network it is, where its traffic leaves a node by network cards; None where nothing of it is known.
        block: of a torus that optical switches put together, the edges of its blocks: any slice of whole blocks is a torus itself.
        host: ranks on each of its hosts where an instance of the tier joins several, as the trays of an NVLink rack; 0 where all are on one.
    """

    name: str = field(converter=named)
    size: Count = positive()
    bandwidth: BytesPerSecond = positive()
    latency: Seconds = amount()
    in_network: bool = False
    load_store: bool = False
    topology: str = field(default="switch", validator=_known_topology)
    dims: tuple[int, ...] = field(default=(), converter=_whole_numbers)
    oversubscription: Ratio = amount(1.0, low=1.0)
    same_ports: bool = False
    fabric: Fabric | None = None
    block: tuple[int, ...] = field(default=(), converter=_whole_numbers)
    host: Count = amount(0.0)


REACHED: Final = 54 / 64
"""What a host's link passes of its rate: caches came at 54 GB/s over an H20's 64 of PCIe 5 (gitea.gahow.org/gahow/agentic-kvc)."""


@frozen(eq=False)
class Host:
    """The hosts of a system: memory that chips reach by links which collectives do not use.

    Attributes:
        name: name of the link to the hosts, such as ``PCIe 5.0 x16``.
        bandwidth: of the link of each package, one way.
        memory: of all hosts of the system as sold; None where it is not published.
    """

    name: str = field(converter=named)
    bandwidth: BytesPerSecond = positive()
    memory: Bytes | None = unknown_or_positive()


def _tuple(tiers: Iterable[Tier]) -> tuple[Tier, ...]:
    return tuple(tiers)


def _some_tier(_: object, __: object, tiers: tuple[Tier, ...]) -> None:
    if not tiers:
        raise QuestionError(fault("tiers", tiers, "a system has at least one tier, innermost first"))
    below: Num = 1.0
    for tier in tiers:
        # Only a torus has a shape; it holds all units of its tier.
        torus = tier.topology == "torus"
        if (tier.dims and not torus) or (torus and np.any(float(np.prod(tier.dims)) * below != tier.size)):
            rule = (
                f"a torus has dims whose product is size / size of the tier below, {float(np.max(tier.size / below)):g}"
            )
            raise QuestionError(fault(f"tier {tier.name} dims", tier.dims, rule, "other topologies have none"))
        below = tier.size


def _tiers() -> Any:
    return field(converter=_tuple, validator=_some_tier)


@typed_methods
@frozen(eq=False)
class System:
    """Chips and the tiers between them, innermost first: a node, a rack, a supernode.

    Attributes:
        name: name of the system, as catalogued.
        package: the part one buys.
        chips: packages in the system as sold; its outer tiers may join more.
        tiers: its networks, innermost first.
        ranks_per_chip: ranks on one package: 1, or its dies.
        power: rated power of the whole system; None where it is not published.
        price: cost of the whole system per second; None where no figure was found.
        purchase: price of the whole system; None where no figure was found.
        vendor: its maker.
        title: its name for people.
        host: its hosts' memory and the links to it; None where neither is known.
        planes: other networks of the system, beside the tiers.
        cpu: kind of the hosts' processors: ``x86``, ``grace``, ``kunpeng``.
        facts: the system's own numbers with their sources (the chip's are in ``package.facts``).
        chip: what one *rank* runs on: the package, or one of its dies. It follows from the package.
    """

    name: str = field(converter=named)
    package: Chip
    chips: Count = amount(low=1, whole=True)
    tiers: tuple[Tier, ...] = _tiers()
    ranks_per_chip: int = 1
    power: Watts | None = unknown_or_positive()
    price: DollarsPerSecond | None = unknown_or_positive()
    purchase: Dollars | None = unknown_or_positive()
    vendor: str = ""
    title: str = field(default="", converter=named)
    host: Host | None = None
    planes: tuple[Tier, ...] = ()
    cpu: str = "x86"
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

    def scaled(self, name: str | None = None, *, chips: Num = 1.0, **factors: Num) -> System:
        """Return a hypothetical system: this one with its numbers multiplied.

        ``chips`` multiplies the packages, and with them the tier that joins them all, power, cost per hour and purchase price of the whole. Factors
        are of the words of ``SHORT`` (``compute``, ``bandwidth``, ``memory``, ``cores``, ``links``,
        ``latency``, ``power``, ``price``) or of a path such as ``system.tier[1].bandwidth``. What is unknown stays unknown.

        Raises:
            UnknownNameError: no such number. QuestionError: no whole number of chips, or a factor not above 0.

        >>> from roofline.catalog import system
        >>> more = system("dgx-h100").scaled(bandwidth=1.5, chips=2)
        >>> more.name, float(more.chips), round(more.chip.memory.bandwidth / 1e12, 3)
        ('dgx-h100 (chips x2, bandwidth x1.5)', 16.0, 5.025)
        """
        return cast("System", number_names.scaled(self, name, number(chips, "chips"), factors))

    def evolve(self, name: str | None = None, *, package: Chip | None = None, **numbers: Num | str) -> System:
        """Return a hypothetical system: this one with another ``package``, other numbers, or a name of its own.

        Numbers are those of :meth:`scaled` and ``chips``, plain or text such as ``"900 GB/s"``; power and cost are of each chip,
        cost in dollars an hour.

        Raises:
            UnknownNameError: no such number. QuestionError: it cannot have this value.

        >>> from roofline.catalog import system
        >>> system("dgx-h100").evolve("dream", links="900 GB/s").tiers[0].bandwidth
        900000000000.0
        """
        rack = self if package is None else attrs.evolve(self, package=package)
        chips = number(numbers.pop("chips", rack.chips), "chips")
        if np.any(chips != rack.chips):
            rack = number_names.scaled(rack, rack.name, chips / rack.chips, {})
        for word, raw in numbers.items():
            number_names.number_of(rack, word)
            rack = number_names.with_number(rack, word, number_names.read_number(word, raw))
        return rack if name is None else attrs.evolve(rack, name=name, title=name)
