"""Power, energy and cost of an answer, by scope and part, with intervals."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np

from roofline import catalog
from roofline.core.arrays import larger, share
from roofline.core.errors import QuestionError, near
from roofline.core.fields import number, refuse
from roofline.core.signatures import typed_methods
from roofline.core.units import MILLION, Dollars, Joules, Num, PerSecond, Ratio, Watts
from roofline.hardware.energy import SCOPES
from roofline.hardware.hardware import System
from roofline.physics import energy as law
from roofline.physics.spans import Span

SCOPE: Final = "rack"
"""The scope of energy where none is named: the system as sold, at the wall."""
_KWH: Final = 3.6e6


class Answered(Protocol):
    """What power needs to know of an answer."""

    @property
    def system(self) -> System:
        """Return the machine."""
        ...

    @property
    def demand(self) -> Ratio | None:
        """Return the share of the rated power that a working chip asks for."""
        ...


def demanded_share(span: Span, system: System) -> Ratio:
    """Return the share of its rated power that a chip asks for while a span runs."""
    chip = system.chip
    return law.demand(catalog.energy().draw(chip), law.uses(span, system), chip.clock)


def check_scope(scope: str) -> str:
    """Return the scope.

    Raises:
        QuestionError: no such scope.
    """
    if scope not in SCOPES:
        raise QuestionError(f"scope={scope!r}: no such scope; {near(scope, SCOPES, 'scopes')}")
    return scope


def chip_power(est: Answered, working: Ratio = 1.0) -> Watts | None:
    """Return the power of a chip, of which this share of the time, or of the chips, works; None where no rated power is known."""
    table, chip = catalog.energy(), est.system.package
    rated = table.rated(est.system)
    if rated is None or est.demand is None:
        return None
    cap = 1.0 if chip.limit is None else chip.limit / rated
    return rated * law.drawn(table.draw(chip), est.demand, working, cap)


def parts(est: Answered, scope: str, working: Ratio = 1.0) -> dict[str, Watts] | None:
    """Return the power of each part within a scope, for each chip; None where no rated power is known."""
    each = chip_power(est, working)
    return None if each is None else surroundings_of(each, est.system, scope)


def surroundings_of(each: Watts, system: System, scope: str) -> dict[str, Watts]:
    """Return the power of each part within a scope around a chip that draws so much."""
    surroundings = catalog.energy().around(system)
    return law.surrounded(each, surroundings, check_scope(scope), _outer(system), catalog.operation().pue)


def idle_power(system: System, scope: str) -> Watts | None:
    """Return the power within a scope of a chip that waits with a model loaded; None where no rated power is known."""
    table = catalog.energy()
    rated = table.rated(system)
    return (
        None if rated is None else law.total(surroundings_of(rated * table.draw(system.package).loaded, system, scope))
    )


def _outer(system: System) -> Ratio:
    """Return the bandwidth of a package into the network between systems, over the rate that its power is stated for."""
    last = system.tiers[-1]
    beyond = len(system.tiers) > 1 and bool(np.all(last.size > system.ranks))
    return last.bandwidth * system.ranks_per_chip / catalog.energy().around(system).outer_rate * beyond


def error(est: Answered, scope: str = SCOPE, working: Ratio = 1.0) -> Ratio:
    """Return the half-width of the 80 % interval of power, in logarithms: of the chips and of what surrounds them, in squares."""
    table, chip = catalog.energy(), est.system.package
    split = parts(est, scope, working)
    if split is None:
        return 0.0
    draw = table.draw(chip)
    own = draw.error if table.seen(chip) else draw.error_unseen
    whole = law.total(split)
    loose = share(whole - split["chips"], whole)
    return np.sqrt(((1 - loose) * own) ** 2 + (loose * table.around(est.system).error) ** 2)


def measured(system: System) -> bool:
    """Return whether the power of a system's chips was measured under load."""
    return catalog.energy().seen(system.package)


def idle_share(est: Answered, scope: str = SCOPE, working: Ratio = 1.0) -> Ratio:
    """Return the share of the power within a scope that stays when tokens come more slowly: all but the energy of the work itself."""
    table, chip = catalog.energy(), est.system.package
    split, rated = parts(est, scope, working), table.rated(est.system)
    if split is None or rated is None or est.demand is None:
        return 1.0
    cap = 1.0 if chip.limit is None else chip.limit / rated
    work = larger(est.demand - table.draw(chip).awake, 0.0) * (est.demand < cap) * working * rated
    return 1 - share(work, law.total(split))


@typed_methods
class Powered:
    """Power, energy and money of an answer about chips that make tokens."""

    system: Any

    @property
    def demand(self) -> Ratio | None:
        """Share of its rated power that a working chip asks for."""
        raise NotImplementedError

    @property
    def _made(self) -> PerSecond | None:
        """Tokens a second that energy and money are of."""
        raise NotImplementedError

    @property
    def working(self) -> Ratio:
        """Share of the chips that work."""
        return 1.0

    chips: Any

    def power_parts(self, scope: str = SCOPE) -> dict[str, Watts] | None:
        """Return the power of the deployment by part (chips, hosts, fans, switches, optics, conversion, cooling) within a scope.

        Args:
            scope: ``chip``, ``node`` (with hosts, at the wall), ``rack`` (the system as sold, with its switches and optics), or
                ``hall`` (with the network between systems, and cooling).

        Raises:
            QuestionError: no such scope.
        """
        split = parts(self, check_scope(scope), self.working)
        return None if split is None else {name: watts * self.chips for name, watts in split.items()}

    def power(self, scope: str = SCOPE) -> Watts | None:
        """Return the power of the deployment within a scope: the sum of :meth:`power_parts`.

        Raises:
            QuestionError: no such scope.
        """
        split = self.power_parts(scope)
        return None if split is None else law.total(split)

    def joules(self, scope: str = SCOPE) -> Joules | None:
        """Return the energy of a token within a scope; None where no rated power is known.

        Raises:
            QuestionError: no such scope.
        """
        rate, watts = self._made, self.power(scope)
        return None if rate is None or watts is None else watts / rate

    @property
    def joules_per_token(self) -> Joules | None:
        """Energy of a token, of the system as sold at the wall (scope ``rack``); None where no rated power is known."""
        return self.joules()

    @property
    def joules_range(self) -> tuple[Joules, Joules] | None:
        """The 80 % interval of the energy of a token, over what is not known of power; see ``interval("joules_per_token")`` for all."""
        each, half = self.joules_per_token, error(self, SCOPE, self.working)
        return None if each is None else (each * np.exp(-half), each * np.exp(half))

    def owned_dollars_per_million_tokens(
        self,
        *,
        purchase: Num | None = None,
        years: Num | None = None,
        utilisation: Ratio | None = None,
        power_price: Num | None = None,
    ) -> Dollars | None:
        """Return what a million tokens cost on chips that one owns; None where no purchase price or power is known.

        Args:
            purchase: US dollars for each chip with its share of the system; by default the descriptor's.
            years: until it is paid off; ``utilisation``: share of the time in which it works; ``power_price``: US dollars a kWh.
                By default those of ``hardware/energy.toml``.
        """
        table, system, rate, hall = catalog.energy(), self.system, self._made, self.power("hall")
        price = _owned(system) if purchase is None else number(purchase, "purchase")
        if price is None or hall is None or rate is None:
            return None
        terms = {
            "years": table.years if years is None else number(years, "years"),
            "utilisation": table.utilisation if utilisation is None else number(utilisation, "utilisation"),
            "power_price": table.power_price if power_price is None else number(power_price, "power_price") / _KWH,
        }
        for name, value in (("purchase", price), *terms.items()):
            refuse(name, value, 0.0, strict=True)
        each = law.ownership(price, hall / self.chips, **terms)
        return MILLION * law.dollars_per_token(each, self.chips, rate)

    def grams_of_carbon_per_million_tokens(self, grid: Num | str) -> Num | None:
        """Return the grams of CO2 of a million tokens, of the building; None where no power is known.

        Args:
            grid: name of a grid in ``hardware/energy.toml``, such as ``france``, or its g/kWh.

        Raises:
            QuestionError: no such grid, or a number below 0.
        """
        return carbon(self.joules("hall"), grid)


def intensity(grid: Num | str) -> Num:
    """Return the grams of CO2 a kWh of a grid, by its name in ``hardware/energy.toml`` or as a number.

    Raises:
        QuestionError: no such grid, or a number below 0.

    >>> intensity("france"), intensity("400"), intensity(30)
    (56.0, 400.0, 30.0)
    """
    if isinstance(grid, str):
        known_ = catalog.energy().grids
        if grid in known_:
            return known_[grid]
        try:
            value: Num = float(grid)
        except ValueError:
            raise QuestionError(f"grid={grid!r}: no such grid; {near(grid, known_, 'grids')}, or give g/kWh") from None
    else:
        value = number(grid, "grid")
    refuse("grid", value, 0.0)
    return value


def carbon(joules: Joules | None, grid: Num | str) -> Num | None:
    """Return the grams of CO2 of a million tokens from the energy of one, of the building; None where that is not known."""
    each = intensity(grid)
    return None if joules is None else MILLION * joules * each / _KWH


def _owned(system: System) -> Dollars | None:
    """Return the purchase price of a chip with its share of the system; of the chip alone where only that is known."""
    return system.package.purchase if system.purchase is None else system.purchase / system.chips
