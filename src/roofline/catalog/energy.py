"""Coefficients of energy and money, read from ``hardware/energy.toml``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, fields

from roofline.catalog.facts import Facts
from roofline.core.mappings import Table
from roofline.core.units import BYTE_RATE, ONE, WATT, Unit
from roofline.hardware.energy import ChipDraw, Energy, Surroundings

_MOST_CARBON = 2000.0
"""Grams of CO2 a kWh that no grid exceeds: lignite alone is at 1,200."""
_PRICE = Unit(USD=1, J=-1)
_SHARES = tuple(f.name for f in fields(ChipDraw))
_MOST = 5.0
"""Greatest share that a coefficient may have: the matrix units alone would draw this many times the rated power."""


def energy(root: Table) -> Energy:
    """Return the coefficients that a descriptor states.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("energy")
    facts = Facts(root, head)
    chip = head.table("chip")
    base = ChipDraw(**{name: facts.value(chip, name, ONE, most=_MOST) for name in _SHARES})
    chip.done()
    generations = {"": base}
    own = head.table("generation", {})
    for name in own:
        table = own.table(name)
        generations[name] = evolve(base, **_given(table, facts.value))
        table.done()
    around = _around(head.table("around"), facts.value)
    systems = {"": around}
    named = head.table("system", {})
    for name in named:
        table = named.table(name)
        air = facts.value(table, "air", ONE, 1.0, most=1.0)
        systems[name] = evolve(
            around, fans=around.fans * air,
            **{key: facts.value(table, key, WATT, getattr(around, key)) for key in ("hosts", "switches", "optics")},
        )  # fmt: skip
        table.done()
    chips = tuple(head.raw("measured", []))
    share = facts.value(head, "share", ONE, most=1.0)
    money = head.table("ownership")
    price, years = facts.value(money, "power_price", _PRICE), facts.value(money, "years", ONE, most=20.0)
    used = facts.value(money, "utilisation", ONE, most=1.0)
    money.done()
    grid = head.table("grid", {})
    grids = {name: facts.value(grid, name, ONE, most=_MOST_CARBON) for name in grid if name != "source"}
    grid.done()
    head.done()
    return Energy(generations, chips, systems, share, price, years, used, grids, facts.done())


def _given(table: Table, value: Callable[..., Any]) -> dict[str, Any]:
    return {name: value(table, name, ONE, most=_MOST) for name in _SHARES if name in table}


def _around(table: Table, value: Callable[..., Any]) -> Surroundings:
    out = Surroundings(
        hosts=value(table, "hosts", WATT), fans=value(table, "fans", WATT), switches=0.0, optics=0.0,
        conversion=value(table, "conversion", ONE, most=1.0), outer_switches=value(table, "outer_switches", WATT),
        outer_optics=value(table, "outer_optics", WATT), outer_rate=value(table, "outer_rate", BYTE_RATE),
        error=value(table, "error", ONE, most=2.0),
    )  # fmt: skip
    table.done()
    return out
