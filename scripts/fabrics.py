"""Fit the networks between nodes to published collectives, and say how far off they are: ``python scripts/fabrics.py``.

Writes ``step``, ``share``, ``nodes``, ``error`` and ``short`` of each fabric in ``hardware/fabrics`` that has timings, and the tables of
``docs/accuracy/networks.md``; ``--check`` prints the tables and writes nothing. The same timings give the same bytes. How pipelines
fill (``rounding``, ``chunk``) is one set for all fabrics, when a piece waits for a handshake (``handshake``, ``eager``) one for verbs and one for
plugins of the collective library, found on a grid. Constants inside a node are those of ``scripts/profiles.py``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).resolve().parent))
from distance import quantile, table

from roofline import catalog
from roofline.calibration.networks import Row, errors, predicted, read
from roofline.catalog.evidence import FOLDER, QUANTILES
from roofline.hardware.evidence import SHARES
from roofline.hardware.hardware import Fabric
from roofline.physics.collectives import price
from roofline.planner.collective import ends

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "hardware" / "timings" / "networks" / "collectives.csv"
PAGE = ROOT / "docs" / "accuracy" / "networks.md"
SPREADS = ROOT / FOLDER / "collectives.csv"

LARGE = 16 * 2**20
GRID: dict[str, tuple[float, ...]] = {"rounding": (5.0, 10.0, 20.0), "chunk": (2e6, 3e6, 4e6, 5e6, 6e6)}
"""How pipelines fill: one set for all fabrics. NCCL has 4 MiB of buffer for each channel (``NCCL_BUFFSIZE``), and one or two channels for each rank."""
WAITS: dict[str, tuple[float, ...]] = {"handshake": (8e-6, 12e-6, 16e-6), "eager": (2048.0, 8192.0, 32768.0)}
"""When a piece waits: one set for the verbs of the library, one for its plugins. NCCL's own table (``src/graph/tuning.cc``, ``hwLat`` of the
network) puts 9 to 11 us between a step of its protocols LL and Simple."""
TURNS = 4
"""Times that the set and the fabrics are fitted in turn, at most."""
SHORT, FEW = 2**20, 3
"""Bytes up to which a message says something of a fabric's step, and how many such rows it takes."""
STEPS, PARTS = (0.5e-6, 500e-6), (0.3, 0.99)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit everything anew, or only check what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="print the errors, write nothing")
    given = parser.parse_args(arguments)
    rows = read(catalog.read_rows(ROWS), file=ROWS.name)
    priced = [r for r in rows if r.fabric and r.message.collective not in ("dispatch", "combine")]
    found = fitted(priced)
    if not given.check:
        for name, fabric in found.items():
            path = ROOT / "hardware" / "fabrics" / f"{name}.toml"
            catalog.write(path, rewritten(path.read_text(encoding="utf-8"), fabric).encode())
        catalog.write(SPREADS, table(["quantity", "distance", "of", "cells", "runs", *QUANTILES], spreads(rows)))
        catalog.write(PAGE, page(rows, priced, found).encode())
    print(page(rows, priced, found))


def fitted(rows: Sequence[Row]) -> dict[str, Fabric]:
    """Return the fabrics with what the rows say of them: one set of filling constants, two of waiting, a step and a share for each."""
    out = {r.fabric: catalog.fabric(r.fabric) for r in rows}
    before: dict[str, dict[str, float]] = {}
    for _ in range(TURNS):
        some = filled(rows, out)
        if some == before:
            break
        before = some
        out = {n: alone([r for r in rows if r.fabric == n], attrs.evolve(f, **some[n])) for n, f in out.items()}
    strange = {large: left_out(out, rows, large=large) for large in (True, False)}
    return {name: uncertain(name, out, rows, strange) for name in out}


def filled(rows: Sequence[Row], fabrics: Mapping[str, Fabric]) -> dict[str, dict[str, float]]:
    """Return how pipelines fill and pieces wait, for each fabric, such that the rows are explained best; sources weigh alike."""
    best: tuple[float, dict[str, dict[str, float]]] = (np.inf, {})
    halves = [[n for n, f in fabrics.items() if bool(f.plugin) == plugin] for plugin in (False, True)]
    for fill in chosen(GRID):
        total, found = 0.0, {}
        for names in halves:
            mine = [r for r in rows if r.fabric in names]
            costs = []
            for wait in chosen(WAITS):
                trial = {n: attrs.evolve(fabrics[n], **fill, **wait) for n in names}
                costs.append(
                    (float(np.sum([np.abs(e).mean() for e in by_source(mine, on(mine, trial)).values()])), wait)
                )
            cost, wait = min(costs, key=lambda pair: pair[0])
            total += cost
            found |= {n: {**fill, **wait} for n in names}
        best = min(best, (total, found), key=lambda pair: pair[0])
    return best[1]


def chosen(grid: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Return every point of a grid."""
    return [dict(zip(grid, point, strict=True)) for point in product(*grid.values())]


def alone(rows: Sequence[Row], fabric: Fabric) -> Fabric:
    """Return a fabric whose share explains its long messages and whose step its short ones best; every source weighs the same.

    What a fabric has no rows of stays what it was.
    """
    told = {
        "share": (PARTS, any(r.message.size > LARGE for r in rows)),
        "step": (STEPS, sum(r.message.size <= SHORT for r in rows) >= FEW),
    }
    free = {key: bounds for key, (bounds, yes) in told.items() if yes}
    if not free:
        return fabric
    weights = np.array([1 / np.sqrt(sum(r.group == other.group for other in rows)) for r in rows])

    def made(theta: NDArray[np.float64]) -> Fabric:
        return attrs.evolve(fabric, **dict(zip(free, np.exp(theta).tolist(), strict=True)))

    def residuals(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        return weights * errors([r.on(made(theta)) for r in rows])

    bounds = np.log(list(free.values()))
    first = [np.log(np.clip(getattr(fabric, key), 1.001 * low, high / 1.001)) for key, (low, high) in free.items()]
    found = least_squares(residuals, first, bounds=bounds.T, loss="soft_l1", f_scale=0.1, max_nfev=60)
    return attrs.evolve(made(found.x), nodes=float(max(r.nodes for r in rows)))


def uncertain(name: str, fabrics: Mapping[str, Fabric], rows: Sequence[Row], strange: Mapping[bool, float]) -> Fabric:
    """Return a fabric with its errors, such that four in five of its own rows lie in the interval.

    None is surer than what other people's figures of the same fabric say of a source that was left out, nor are short messages surer than
    large ones; short ones of a fabric of which none was published are no surer than those of fabrics that were left out. Both are widened
    together until the interval holds what it claims.
    """
    mine, fabric = [r for r in rows if r.fabric == name], fabrics[name]
    if not mine:
        return fabric
    off, large = np.abs(errors([r.on(fabric) for r in mine])), np.array([r.message.size > LARGE for r in mine])
    wide = {
        "error": max(reached(off[large]), strange[True]) if large.any() else strange[True],
        "short": max(reached(off[~large]), strange[False]) if (~large).any() else left_out_short(fabrics, rows),
    }
    wide["short"] = max(wide.values())
    for more in np.arange(1.0, 3.0, 0.02):
        found = attrs.evolve(fabric, **{key: float(np.expm1(more * value)) for key, value in wide.items()})
        if float(np.mean(off <= np.log1p(predicted([r.on(found) for r in mine])))) >= min(CLAIMED, 1 - 1 / len(mine)):
            break
    return found


CLAIMED = 0.8
"""Share of rows that an interval holds."""


def reached(off: NDArray[np.float64]) -> float:
    """Return what four in five errors stay below, of so few a little more: the share of the next row (split conformal)."""
    return float(np.quantile(off, min(CLAIMED * (off.size + 1) / off.size, 1.0)))


def left_out(fabrics: Mapping[str, Fabric], rows: Sequence[Row], *, large: bool) -> float:
    """Return the error of a source, its fabric fitted to the others' figures of it; of large messages or of the rest; sources weigh alike."""
    found = {}
    for name in {r.group for r in rows}:
        for each in {r.fabric for r in rows if r.group == name}:
            mine = [r for r in rows if (r.group, r.fabric) == (name, each) and (r.message.size > LARGE) == large]
            others = [r for r in rows if r.fabric == each and r.group != name]
            if mine and any((r.message.size > LARGE) == large for r in others):
                value = alone(others, stranger(fabrics, each))
                found[name, each] = np.abs(errors([r.on(value) for r in mine]))
    return alike(found.values())


def left_out_short(fabrics: Mapping[str, Fabric], rows: Sequence[Row]) -> float:
    """Return the error of short messages of a fabric by the median of all others; fabrics weigh alike."""
    found = {}
    for name in fabrics:
        mine = [r for r in rows if r.fabric == name and r.message.size <= LARGE]
        if mine:
            found[name] = np.abs(errors([r.on(stranger(fabrics, name)) for r in mine]))
    return alike(found.values())


def alike(found: Iterable[NDArray[np.float64]]) -> float:
    """Return what four in five errors stay below, arrays weighing alike."""
    each = list(found)
    return quantile(np.concatenate(each), np.concatenate([np.full(e.size, 1 / e.size) for e in each]), CLAIMED)


def spreads(rows: Sequence[Row]) -> list[list[object]]:
    """Return how far figures of other people are from the links of a chip: of long and short messages in a node, of exchanges.

    Quantiles of log(measured / predicted), sources weighing alike. Between nodes a fabric has errors of its own.
    """
    exchange = np.array([r.message.collective in ("dispatch", "combine") for r in rows])
    inner = np.array([r.nodes <= 1 for r in rows]) & ~exchange
    large = np.array([r.message.size > LARGE for r in rows])
    off, source = -errors(rows), np.array([r.group for r in rows])
    out = []
    for name, some in (
        ("collective_long", inner & large),
        ("collective_short", inner & ~large),
        ("exchange", exchange),
    ):
        values, groups = off[some], source[some]
        weights = np.array([1 / np.sum(groups == each) for each in groups])
        cells = len(set(groups))
        logs = [quantile(values, weights, float(np.clip(0.5 + (s - 0.5) * (cells + 1) / cells, 0, 1))) for s in SHARES]
        out.append([name, "chip", "", cells, values.size, *(f"{each:.4f}" for each in logs)])
    return out


def on(rows: Sequence[Row], fabrics: Mapping[str, Fabric]) -> NDArray[np.float64]:
    """Return the errors of rows on given fabrics."""
    return errors([r.on(fabrics[r.fabric]) for r in rows])


def by_source(rows: Sequence[Row], off: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return errors by whose figures they are of."""
    names = np.array([r.group for r in rows])
    return {name: off[names == name] for name in sorted(set(names))}


def stranger(fabrics: Mapping[str, Fabric], name: str) -> Fabric:
    """Return what is known of a fabric without its rows: the median of the others that deliver alike, or of all others if none does."""
    rest = [f for n, f in fabrics.items() if n != name]
    others = [f for f in rest if f.transport == fabrics[name].transport] or rest
    middle = {key: float(np.median([getattr(f, key) for f in others])) for key in ("step", "share")}
    return attrs.evolve(fabrics[name], nodes=2.0, **middle)


def rewritten(text: str, fabric: Fabric) -> str:
    """Return the text of a descriptor with the fitted numbers put in place of those that it states."""
    said = {key: f'"{getattr(fabric, key) * 1e6:.3g} us"' for key in ("step", "handshake")}
    said |= {"eager": f'"{fabric.eager:.0f} B"', "chunk": f'"{fabric.chunk / 1e6:.3g} MB"'}
    said |= {key: f"{getattr(fabric, key):.3g}" for key in ("share", "rounding", "nodes", "error", "short")}
    for key, value in said.items():
        text = re.sub(rf'^({key} *= )("[^"]*"|[\d.]+)', rf"\g<1>{value}", text, flags=re.MULTILINE)
    return text


def typical(off: NDArray[np.float64]) -> str:
    """Return ``exp(mean |log|) - 1``."""
    return f"{np.expm1(np.abs(off).mean()):.0%}" if off.size else "–"


def decade(row: Row) -> str:
    """Return the range of ranks that a row lies in."""
    return next(label for label, most in DECADES.items() if row.ranks <= most)


DECADES: dict[str, float] = {"2 to 15": 15, "16 to 72": 72, "73 to 512": 512, "more": np.inf}
"""Ranges of ranks, by the most of each."""
GROUPS: dict[str, Callable[[Row], str]] = {
    "source": lambda r: r.group, "fabric": lambda r: r.fabric, "collective": lambda r: r.message.name, "ranks": decade,
}  # fmt: skip
"""What is left out at a time."""


def without(rows: Sequence[Row], found: Mapping[str, Fabric], key: Callable[[Row], str]) -> NDArray[np.float64]:
    """Return the errors of rows, each by its fabric fitted without all rows of the same ``key``; by other fabrics where none is left."""
    off, keys, on_ = np.empty(len(rows)), np.array([key(r) for r in rows]), np.array([r.fabric for r in rows])
    for name, fabric in sorted(set(zip(keys, on_, strict=True))):
        here = (keys == name) & (on_ == fabric)
        others = [r for r, yes in zip(rows, (keys != name) & (on_ == fabric), strict=True) if yes]
        value = stranger(found, fabric)
        value = alone(others, value) if others else value
        off[here] = errors([r.on(value) for r, yes in zip(rows, here, strict=True) if yes])
    return off


def page(rows: Sequence[Row], priced: Sequence[Row], found: Mapping[str, Fabric]) -> str:
    """Return the tables."""
    off = on(priced, found)
    size, ranks = (np.array([float(get(r)) for r in priced]) for get in (lambda r: r.message.size, lambda r: r.ranks))
    without_source, without_fabric = without(priced, found, GROUPS["source"]), without(priced, found, GROUPS["fabric"])
    inside = np.array(
        [abs(e) <= np.log1p(w) for e, w in zip(off, predicted([r.on(found[r.fabric]) for r in priced]), strict=True)]
    )
    lines = [
        "# How far off collectives between nodes are",
        "",
        "Made by `python scripts/fabrics.py` from the published timings in `hardware/timings/networks`. Typical error is exp(mean of",
        "|ln(predicted / measured)|) - 1. *Source left out*: the fabric fitted to other people's figures of it, or, where there are none,",
        "the median step and share of all other fabrics whose cards deliver alike. *Fabric left out*: always the latter.",
        "",
        "| fabric | ranks | size | rows | fitted | source left out | fabric left out | inside the 80 % interval |",
        "| --- | --- | --- | --: | --: | --: | --: | --: |",
    ]
    cells = [("all", "all", np.ones_like(size, dtype=bool))]
    cells += [("all", "above 16 MiB", size > LARGE), ("all", "64 KiB to 16 MiB", (size > 2**16) & (size <= LARGE))]
    cells += [("all", "up to 64 KiB", size <= 2**16)]
    listed = [("all", *cell) for cell in cells]
    for fabric in sorted(found):
        mine = np.array([r.fabric == fabric for r in priced])
        for label, some in (
            ("2 to 32", ranks <= 32),
            ("33 to 512", (ranks > 32) & (ranks <= 512)),
            ("more", ranks > 512),
        ):
            for text, sizes in (("above 16 MiB", size > LARGE), ("up to 16 MiB", size <= LARGE)):
                if (mine & some & sizes).any():
                    listed.append((fabric, label, text, mine & some & sizes))
    for fabric, label, text, some in listed:
        lines.append(
            f"| {fabric} | {label} | {text} | {some.sum()} | {typical(off[some])} | {typical(without_source[some])} | "
            f"{typical(without_fabric[some])} | {inside[some].mean():.0%} |"
        )
    lines += ["", *covered([r.on(found[r.fabric]) if r.fabric in found else r for r in rows])]
    lines += [
        "",
        "One source, fabric, collective or range of ranks left out at a time: fabrics are fitted to the rest of their rows, or taken from others.",
        "",
        "| left out | all sizes | above 16 MiB | 64 KiB to 16 MiB | up to 64 KiB | worst | |",
        "| --- | --: | --: | --: | --: | --- | --: |",
    ]
    for name, key in GROUPS.items():
        each, keys = without(priced, found, key), np.array([key(r) for r in priced])
        worst = max(sorted(set(keys)), key=lambda k: float(np.abs(each[keys == k]).mean()))
        parts = [typical(each[some]) for _, _, some in cells]
        lines.append(f"| {name} | {' | '.join(parts)} | {worst} | {typical(each[keys == worst])} |")
    lines += ["", "| source | rows | fitted | left out |", "| --- | --: | --: | --: |"]
    sources = np.array([r.group for r in priced])
    for name in sorted(set(sources)):
        some = sources == name
        lines.append(f"| {name} | {some.sum()} | {typical(off[some])} | {typical(without_source[some])} |")
    lines += ["", "| collective | rows | fitted | source left out |", "| --- | --: | --: | --: |"]
    kinds = np.array([r.message.name for r in priced])
    for kind in sorted(set(kinds)):
        some = kinds == kind
        lines.append(f"| {kind} | {some.sum()} | {typical(off[some])} | {typical(without_source[some])} |")
    rest = [r for r in rows if r not in priced]
    lines += [
        "",
        "Not fitted here: one node, and the exchange of experts.",
        "",
        "| rows | kind | count | error |",
        "| --- | --- | --: | --: |",
    ]
    for group in sorted(
        {(r.group, r.ways[0] if r.message.collective in ("dispatch", "combine") else "one node") for r in rest}
    ):
        some_rows = [
            r
            for r in rest
            if (r.group, r.ways[0] if r.message.collective in ("dispatch", "combine") else "one node") == group
        ]
        lines.append(f"| {group[0]} | {group[1]} | {len(some_rows)} | {typical(errors(some_rows))} |")
    return "\n".join(lines) + "\n"


def covered(rows: Sequence[Row]) -> list[str]:
    """Return how many of all rows lie in the intervals that `roofline collective` states, with the constants that ship."""
    costs = [price(r.message, r.tiers, r.profile, r.ways) for r in rows]
    off = np.array([float(np.log(r.measured / cost.time)) for r, cost in zip(rows, costs, strict=True)])
    found = {
        c: np.array(
            [
                ends(
                    r.message.collective,
                    r.fabric if r.nodes > 1 else "",
                    float(cost.latency / cost.time),
                    float(cost.error),
                    c,
                )
                for r, cost in zip(rows, costs, strict=True)
            ]
        )
        for c in (0.5, 0.8, 0.95)
    }
    exchange = np.array([r.message.collective in ("dispatch", "combine") for r in rows])
    held = np.array([decade(r) for r in rows])
    out = [
        "Share of all rows, those inside a node and exchanges of experts too, in the intervals that `roofline collective` states; *width* is",
        "the median factor from the middle of the 80 % interval to its ends.",
        "",
        "| | ranks | rows | in 50 % | in 80 % | in 95 % | width |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    for name, kind in (("collectives", ~exchange), ("exchange of experts", exchange)):
        for label in DECADES:
            some = kind & (held == label)
            if some.any():
                inside = [
                    ((each[some, 0] <= off[some]) & (off[some] <= each[some, 1])).mean() for each in found.values()
                ]
                wide = np.exp(np.median(found[0.8][some, 1] - found[0.8][some, 0]) / 2)
                out.append(
                    f"| {name} | {label} | {some.sum()} | {' | '.join(f'{each:.0%}' for each in inside)} | x{wide:.2f} |"
                )
    return out


if __name__ == "__main__":
    main()
