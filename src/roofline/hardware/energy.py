"""Power coefficients as data: shares of a chip's rated power, and watts per chip of hosts, links and buildings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from roofline.core.provenance import Fact
from roofline.core.units import BytesPerSecond, Num, Ratio, Watts
from roofline.hardware.hardware import Chip, System

SCOPES: Final = ("chip", "node", "rack", "hall")
"""What power is of, each inside the next: the accelerators; with their hosts, at the wall; the system as sold, with its switches and
optics; the building, with the network between systems and cooling."""

PARTS: Final = ("chips", "hosts", "fans", "switches", "optics", "conversion", "cooling")
"""What draws it."""


@frozen(eq=False)
class ChipDraw:
    """Shares of the rated power that a chip draws.

    Attributes:
        idle: with nothing loaded.
        loaded: with a model in memory and no kernel running.
        awake: with kernels running that do next to nothing: clocks up, host and launches at work.
        waiting: share of what running kernels draw over a loaded chip that stays while the chip waits for its host or for others.
        compute: what the matrix units would add at their full rate, if nothing limited them; at any other rate in proportion. With the
            peak of each format this is an energy a FLOP, ``compute * power / peak``.
        memory: what traffic at the full bandwidth of memory adds.
        links: what sending at the full bandwidth of the innermost tier adds.
        clock: exponent of the power of what follows the clock.
        error: half-width of the 80 % interval of the power, in logarithms, on a chip whose power was measured.
        error_unseen: the same on a chip whose power was not measured.
    """

    idle: Ratio
    loaded: Ratio
    awake: Ratio
    waiting: Ratio
    compute: Ratio
    memory: Ratio
    links: Ratio
    clock: Ratio
    error: Ratio
    error_unseen: Ratio


@frozen(eq=False)
class Surroundings:
    """What surrounds a chip of one system.

    Attributes:
        hosts: processors, memory, network cards and, in nodes of eight, the switches between the chips; for each chip.
        fans: of an air-cooled node, for each chip; 0 where a liquid cools it.
        switches: switches inside the system as sold, beyond the node; for each chip.
        optics: optical modules inside the system as sold, beyond the node; for each chip.
        conversion: power that arrives over power drawn from the wall.
        outer_switches: switches of the network between systems, for each chip that sends ``outer_rate`` into it.
        outer_optics: optical modules of the network between systems, for each chip that sends ``outer_rate`` into it.
        outer_rate: rate into the network between systems that the two are stated for, bytes/s of a chip.
        error: half-width of the 80 % interval of all but the chips, in logarithms.
    """

    hosts: Watts
    fans: Watts
    switches: Watts
    optics: Watts
    conversion: Ratio
    outer_switches: Watts
    outer_optics: Watts
    outer_rate: BytesPerSecond
    error: Ratio


@frozen(eq=False)
class Energy:
    """Every coefficient of energy.

    Attributes:
        generations: of chips, by name of their generation; ``""`` serves those of which nothing was measured.
        chips: names of the chips on which power was measured under load.
        systems: surroundings by name of the system; ``""`` serves all others.
        share: of a system's rated power that its chips have, where no rated power of the chip is published.
        power_price: price of electricity, US dollars a joule.
        years: time in which a machine is paid off, years.
        utilisation: share of that time in which the machine works.
        grids: grams of CO2 equivalents a kWh, by name of the grid.
        facts: each number as the file states it, with its source.
    """

    generations: Mapping[str, ChipDraw]
    chips: tuple[str, ...]
    systems: Mapping[str, Surroundings]
    share: Ratio
    power_price: Num
    years: Num
    utilisation: Ratio
    grids: Mapping[str, Num]
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def draw(self, chip: Chip) -> ChipDraw:
        """Return the coefficients of a chip: those of its generation, else those of all."""
        return self.generations.get(chip.generation, self.generations[""])

    def seen(self, chip: Chip) -> bool:
        """Return whether the power of the chip was measured under load."""
        return chip.name in self.chips or chip.silicon in self.chips

    def around(self, system: System) -> Surroundings:
        """Return what surrounds the chips of a system."""
        return self.systems.get(system.name, self.systems[""])

    def rated(self, system: System) -> Watts | None:
        """Return the rated power of a package; a share of the system's where only that is published, None where neither is."""
        if system.package.power is not None:
            return system.package.power
        each = system.power_per_chip
        return None if each is None else self.share * each
