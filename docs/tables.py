"""Write the tables of the documents from the descriptors: ``python docs/tables.py``. The same numbers give the same bytes."""

from collections import Counter
from pathlib import Path

import roofline as rl
from roofline import catalog
from roofline.comparison import aggregates
from roofline.units import BYTE, BYTE_RATE, FLOP_RATE, SECOND, WATT, Unit, show

HERE = Path(__file__).parent
_RATES = ("fp64", "fp32", "tf32", "bf16", "fp8", "int8", "fp4")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(head: list[str], rows: list[list[str]], right: int = 1) -> list[str]:
    return [_row(head), _row(["---"] * right + ["--:"] * (len(head) - right)), *map(_row, rows), ""]


def _cell(value: float | None, unit: Unit) -> str:
    return "–" if not value else show(float(value), unit, 4)


def _chips() -> list[str]:
    rows = []
    for name in rl.names("chip"):
        chip = rl.chip(name)
        facts = {fact.path: fact for fact in chip.facts}
        measured = facts.get("chip.ceiling.bf16")
        share = (
            "–" if measured is None or "bf16" not in chip.peak else f"{measured.value / float(chip.peak['bf16']):.0%}"
        )
        streamed = facts.get("chip.memory.streamed")
        part = "–" if streamed is None else f"{streamed.value / float(chip.memory.bandwidth):.0%}"
        rows.append([
            f"`{name}`", f"{chip.title}{' (announced)' if chip.announced else ''}",
            *(_cell(chip.peak.get(rate), FLOP_RATE) for rate in _RATES), _cell(chip.memory.capacity, BYTE),
            _cell(chip.memory.bandwidth, BYTE_RATE), share, part, _cell(chip.power, WATT),
        ])  # fmt: skip
    head = ["chip", "", *_RATES, "memory", "bandwidth", "measured bf16", "measured bandwidth", "TDP"]
    return _table(head, rows, right=2)


def _systems() -> list[str]:
    rows = []
    for name in rl.names("system"):
        system = rl.system(name)
        sums = aggregates(system)
        power = _cell(sums["power_w"], WATT)
        rows.append([
            f"`{name}`", f"{system.title}{' (announced)' if system.package.announced else ''}", f"{float(system.chips):,.0f} x {system.package.name}",
            _cell(sums.get("bf16_flops_per_s"), FLOP_RATE), _cell(sums.get("fp8_flops_per_s"), FLOP_RATE), _cell(sums["memory_bytes"], BYTE),
            _cell(sums["memory_bandwidth_bytes_per_s"], BYTE_RATE), power if system.power is not None or power == "–" else f"({power})",
        ])  # fmt: skip
    return _table(["system", "", "chips", "bf16", "fp8", "memory", "bandwidth", "power"], rows, right=3)


def _tiers() -> list[str]:
    rows = []
    for name in rl.names("system"):
        for i, tier in enumerate(rl.system(name).tiers):
            shape = f" {' x '.join(map(str, tier.dims))}" if tier.dims else ""
            extra = [word for word, on in (("load/store", tier.load_store), ("in-network sums", tier.in_network)) if on]
            rows.append([
                f"`{name}`" if i == 0 else "", tier.name, ", ".join([tier.topology + shape, *extra]), f"{float(tier.size):,.0f}",
                _cell(tier.bandwidth, BYTE_RATE), show(float(tier.latency), SECOND, 3),
            ])  # fmt: skip
    return _table(["system", "tier", "topology", "ranks", "a rank, one way", "a step"], rows, right=3)


def _differences() -> list[str]:
    rows = [
        [f"`{name}`", fact.path.rpartition(".")[2], fact.text, fact.differs]
        for name in rl.names("system")
        for fact in rl.system(name).facts
        if fact.differs
    ]
    return _table(["system", "", "as published", "why its chips do not add up to it"], rows, right=4)


def _sources() -> list[str]:
    kinds: Counter[str] = Counter()
    for kind in ("chip", "system"):
        for name in rl.names(kind):
            found = rl.chip(name) if kind == "chip" else rl.system(name)
            kinds.update(fact.source.kind for fact in found.facts)
    told = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
    return [
        f"{sum(kinds.values()):,} numbers, every one with its source: {told}. A number without one does not load.",
        "",
    ]


def hardware() -> str:
    """Return the page of the hardware library."""
    chips, systems = len(rl.names("chip")), len(rl.names("system"))
    return "\n".join([
        "# The hardware library", "",
        "Made by `python docs/tables.py` from the files in `hardware/`; `roofline show NAME` prints any of them with every source.", "",
        f"{chips} chips, {systems} systems. " + _sources()[0], "",
        "Rates are dense, of the matrix unit, for a package. A dash: not published, or the part has none. What was announced and is not on",
        "sale is marked so, here and wherever it appears in an answer.", "",
        "![All systems: FLOP/s, bytes, bytes/s and watts, of the whole and of a chip](figures/systems.svg)", "",
        "## Systems", "",
        "Power in brackets is that of the chips alone, without hosts, switches and cooling. A deployment may be larger than the system as",
        "sold, as far as its outermost tier reaches.", "", *_systems(),
        "## Chips", "",
        "*Measured* is the best matrix product, and the best stream of weights, that anyone has published for the part, over its peak.", "",
        *_chips(),
        "## Networks", "",
        "Bandwidths are those of one rank (a chip, or a die where the descriptor says so), all its links together, one way.", "", *_tiers(),
        "## What does not add up", "",
        "A whole that is not its chips times their number within 2 % does not load, unless its file says why:", "", *_differences(),
    ]).rstrip() + "\n"  # fmt: skip


def main() -> None:
    """Write every page of tables."""
    catalog.write(HERE / "hardware.md", hardware().encode())


if __name__ == "__main__":
    main()
