"""Say what each term of the law takes off the error: ``python scripts/terms.py``.

Fits the timings in ``hardware/timings`` again and again, each time with one term more, chip by chip, stack by stack and format by
format, and writes the mean errors on the rows left out to ``docs/accuracy/terms.md``. The same timings give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from roofline import catalog
from roofline.calibration.calibrate import MACHINES
from roofline.calibration.fitting import (
    ENOUGH,
    FITTED,
    Part,
    constants_at,
    errors,
    fit,
    keys,
    relative_error,
    with_constants,
)
from roofline.calibration.timings import Timings, read
from roofline.hardware.constants import Calibration, Kernel, Link
from roofline.operators.operations import Op

ROOT = Path(__file__).resolve().parents[1]
HEADS = (64, 128, 256)
ABSENT = {"step": 0.0, "item": 0.0, "eta_score": float("inf"), "start": 0.0, "alpha": 0.0, "pair": 1.0}
"""What a term that is left out is."""

Chosen = Callable[[Timings], bool]


def _heads(t: Timings) -> np.ndarray:
    return np.isin(t.columns["head_dim"], HEADS)


def _every(t: Timings) -> np.ndarray:
    return np.ones(t.count, dtype=bool)


_PASSES = ("eta_staging",)
_PLAIN, _ROUND = ("eta_compute", "eta_memory", "t0"), ("eta_compute", "eta_memory", "t0", "p")
TERMS: Sequence[tuple[str, str, Callable[[Timings], np.ndarray], Sequence[tuple[str, tuple[str, ...]]]]] = (
    ("GEMM", "gemm", _every,
     [("$t_0$, FLOP, bytes", _ROUND), ("passes in turn", _ROUND + _PASSES), ("step", (*_ROUND, "eta_staging", "step"))]),
    ("prefill attention, heads of 64 to 256", "attention_prefill", _heads,
     [("$t_0$, FLOP, bytes", _PLAIN), ("step", (*_PLAIN, "step")), ("exponentials", (*_PLAIN, "step", "eta_score")),
      ("items", (*_PLAIN, "step", "eta_score", "item"))]),
    ("decode attention", "attention_decode", _every,
     [("$t_0$, bytes", ("eta_memory", "t0")), ("items", ("eta_memory", "t0", "item")),
      ("step", ("eta_memory", "t0", "item", "step"))]),
    ("latent prefill attention", "mla_prefill", _every,
     [("$t_0$, FLOP, bytes", _PLAIN), ("step", (*_PLAIN, "step")), ("items", (*_PLAIN, "step", "item"))]),
    ("latent decode attention", "mla_decode", _every,
     [("$t_0$, FLOP, bytes", _ROUND), ("step", (*_ROUND, "step")), ("items", (*_ROUND, "step", "item"))]),
    ("experts", "moe", _every,
     [("$t_0$, FLOP, bytes", _ROUND), ("passes in turn", _ROUND + _PASSES),
      ("items and step", (*_ROUND, "eta_staging", "step", "item"))]),
)  # fmt: skip
"""Kernel classes, which of their rows count, and the constants that each fit of a row has."""

LINKS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("start in seconds", ("alpha", "hop", "eta")),
    ("start in steps", ("start", "hop", "eta")),
    ("pairs", ("start", "hop", "eta", "pair")),
)


PAGE = """\
# What each term takes off

Made by `python scripts/terms.py` from the timings in `hardware/timings`: mean of |predicted / measured - 1| on the rows left
out, of one fit for each chip, stack and format, the fits of a class averaged. Each column has one term more than the one before
it ([the law](../concepts/operations.md)).

{kernels}
## Chips left out

The same on all rows of chips that the constants were not fitted to: NCCL over links whose ranks read each other's memory
(NVLink), and products in bf16, with the matrix rate as a part of the vendor's peak and of the best rate measured on the chip.

{unseen}"""


def main() -> None:
    """Fit, and write the page."""
    rows = [row for path in sorted((ROOT / "hardware" / "timings").glob("*.csv*")) for row in catalog.read_rows(path)]
    parts: dict[str, list[Part]] = {}
    for name in sorted({row["hardware"] for row in rows}):
        rack = catalog.system(MACHINES.get(name, name))
        reading = read([row for row in rows if row["hardware"] == name], rack.chip)
        parts[name] = [Part(each, rack.chip, rack.tiers) for each in reading.timings]
    start = catalog.profile("generic", "dgx-h100")
    text = PAGE.format(kernels="\n".join(_kernels(parts, start)), unseen="\n".join(_unseen(parts, start)))
    catalog.write(ROOT / "docs" / "accuracy" / "terms.md", text.encode())
    print(text)


def _kernels(parts: Mapping[str, list[Part]], start: Calibration) -> list[str]:
    out = []
    for title, kernel, where, terms in TERMS:
        told = []
        for name, constants in terms:
            found = [
                _missed(part, start, constants, apart="eta_staging" in constants)
                for listed in parts.values()
                for part in _some(listed, kernel, where)
            ]
            told.append((name, float(np.mean(found)), len(found)))
        head = ["", "fits", told[0][0], *(f"+ {name}" for name, _, _ in told[1:])]
        out += [*_table(head, [[title, str(told[0][2]), *(f"{error:.1%}" for _, error, _ in told)]]), ""]
    return out


def _some(listed: Sequence[Part], kernel: str, where: Callable[[Timings], np.ndarray]) -> list[Part]:
    kept = [attrs.evolve(p, timings=p.timings.select(where(p.timings))) for p in listed if p.timings.kernel == kernel]
    return [part for part in kept if part.timings.count >= ENOUGH]


def _missed(part: Part, start: Calibration, constants: Sequence[str], *, apart: bool) -> float:
    """Return the mean error on the rows left out of a fit with some of the constants."""
    work: Any = part.timings.work
    if not apart and isinstance(work, Op):
        work = attrs.evolve(work, bytes=work.traffic, staging=0.0 * work.staging)
        part = attrs.evolve(part, timings=attrs.evolve(part.timings, work=work))
    (key,) = keys(part.timings)
    return fit(
        [part], with_constants(start, {key: _without(constants_at(start, key), constants)}), fitted={key[0]: constants}
    ).mape


def _without(constants: Any, kept: Sequence[str]) -> Kernel | Link:
    """Return constants whose terms are absent where they are not fitted."""
    absent = {n: v for n, v in ABSENT.items() if n not in kept and hasattr(constants, n)}
    return attrs.evolve(constants, **absent, **({"eta_best": None} if isinstance(constants, Kernel) else {}))


def _unseen(parts: Mapping[str, list[Part]], start: Calibration) -> list[str]:
    names = ["ring", "gather", "all_to_all"]
    near = {name: [p for p in listed if p.tiers[0].load_store] for name, listed in parts.items()}
    nccl = [(label, {n: {**FITTED, n: told} for n in names}) for label, told in LINKS]
    body = [
        [label, *_left_out(near, start, lambda t, of=of: bool(t.ways) and t.ways[0] in of, of)] for label, of in nccl
    ]
    chips = [name for name, listed in near.items() if any(p.timings.ways for p in listed)]
    links = _table(["NCCL", *chips, "mean"], body)
    gemms = {name: [p for p in listed if p.timings.name == "gemm.bf16"] for name, listed in parts.items()}
    rates = [
        [label, *_left_out(gemms, start, lambda t: t.name == "gemm.bf16", {"gemm": FITTED}, by_best=best)]
        for label, best in (("part of the peak", False), ("part of the best rate", True))
    ]
    return [*links, "", *_table(["GEMM bf16", *gemms, "mean"], rates), ""]


def _left_out(
    parts: Mapping[str, list[Part]],
    start: Calibration,
    chosen: Chosen,
    of: Mapping[str, Mapping[str, Sequence[str]]],
    *,
    by_best: bool = False,
) -> list[str]:
    """Return the mean error on each chip, of constants fitted to the others, and the mean of chips."""
    found: dict[str, list[np.ndarray]] = {}
    for first in of:
        kept = {
            name: [p for p in listed if chosen(p.timings) and first in (p.timings.kernel, *p.timings.ways)]
            for name, listed in parts.items()
        }
        for name, mine in kept.items():
            others = [p for other, listed in kept.items() if other != name for p in listed]
            if mine and others:
                base = {
                    key: _without(constants_at(start, key), of[first][key if isinstance(key, str) else key[0]])
                    for key in keys(mine[0].timings)
                }
                got = fit(others, with_constants(start, base), by_best=by_best, fitted=of[first])
                found.setdefault(name, []).extend(
                    relative_error(p, with_constants(start, got.constants))
                    for p in mine
                    if np.isfinite(errors(p, start)).all()
                )
    errors_ = {name: float(np.concatenate(each).mean()) for name, each in found.items()}
    return [*(f"{errors_[name]:.1%}" for name in parts if name in errors_), f"{np.mean(list(errors_.values())):.1%}"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---", *["--:"] * (len(head) - 1)], *rows)]


if __name__ == "__main__":
    main()
