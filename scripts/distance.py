"""How far measurements are from predictions, by how near the evidence was: ``python scripts/distance.py --write``.

Every shipped run is predicted with constants of software stacks and frameworks fitted without the runs that are nearer to it than a
distance, and only where runs at that distance are left:

========= ================================================= =====================================
distance  left out of the fit                               and left in it
========= ================================================= =====================================
family    its source's runs of its model and system         same stack, chip and model family
stack     its stack, chip and model family                  same stack and chip
chip      its stack and chip                                same chip
maker     its chip                                          same maker
other     its maker                                         any
========= ================================================= =====================================

Fits are linearised around the shipped constants (``scripts/engines.py``, ``scripts/frameworks.py``), so that a fold costs a solution of
a linear system. Kernels and links keep their fits down to the same chip; at the distances ``maker`` and ``other`` chips are priced with
the constants of all chips (``generic``). These come from chips of one maker, which therefore has no runs at the distance ``other``.

A cell (source, model, system, weights) weighs as one. Runs whose source leaves open what matters (quality C) take no part.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

sys.path.insert(0, str(Path(__file__).resolve().parent))
import engines
import frameworks

from roofline import catalog
from roofline.catalog import output
from roofline.catalog.evidence import FOLDER, QUANTILES, SUBJECT
from roofline.core.errors import RooflineError
from roofline.core.text import columns
from roofline.hardware.evidence import DISTANCES, SHARES, WORDS, Spread, Subject
from roofline.results.intervals import subject_of
from roofline.validation.runs import ServingRun, TrainingRun, serving_runs, training_runs
from roofline.validation.serving_assumptions import opener as serving_opener
from roofline.validation.training_assumptions import opener as training_opener
from roofline.validation.training_replay import predict as train_predict

ROOT = Path(__file__).resolve().parents[1]
NAMES = {"tpot_s": "tpot", "ttft_s": "ttft", "output_tokens_per_s": "rate", "step_time_s": "step_time"}
"""Quantities of runs, and what the evidence calls them."""
MOST = 5
"""Runs of a cell that take part."""
FOLDS, ROUNDS = 40, 10
"""Folds of a distance at most, and rounds of a fit."""
LEAST_CELLS = 8
"""Cells that a spread of a distance needs."""


@frozen
class Row:
    """One measured quantity of one run.

    Attributes:
        quantity: one of :data:`NAMES`.
        subject: what the run is about.
        source: collection, model and system; ``cell``: that with the weights' format.
        fold: keys of the runs that are left out at each distance.
    """

    id: str
    quantity: str
    subject: Subject
    source: str
    cell: str

    @property
    def fold(self) -> Mapping[str, str]:
        """What a run shares with those that are left out with it, by distance."""
        s = self.subject
        return {
            "family": self.source,
            "stack": f"{s.software} {s.chip} {s.family}",
            "chip": f"{s.software} {s.chip}",
            "maker": s.chip,
            "other": s.maker,
        }


@frozen(eq=False)
class Linear:
    """Rows with log(predicted / measured) at the shipped constants, and how it moves with each constant.

    Attributes:
        sigma: how far constants may be from what is expected; ``ends``, between which they lie.
        width: residuals beyond which a row counts less; ``noise``, of a row.
    """

    rows: Sequence[Row]
    r: np.ndarray
    jacobian: np.ndarray
    weights: np.ndarray
    at: np.ndarray
    sigma: np.ndarray
    ends: tuple[np.ndarray, np.ndarray]
    width: float
    noise: float

    def without(self, left: np.ndarray) -> np.ndarray:
        """Return log(predicted / measured) of the rows ``left`` with constants fitted to the others: robust Gauss-Newton."""
        keep = (self.weights > 0) & ~left & np.isfinite(self.r)
        r, slopes, x = self.r[keep], self.jacobian[keep], self.at
        for _ in range(ROUNDS):
            now = r + slopes @ (x - self.at)
            w = self.weights[keep] / np.sqrt(1 + (now / self.width) ** 2) / self.noise**2
            left_side = slopes.T @ (slopes * w[:, None]) + np.diag(1 / self.sigma**2)
            x = np.linalg.solve(left_side, -slopes.T @ (w * (r - slopes @ self.at)))
            x = np.clip(x, *self.ends)
        return self.r[left] + self.jacobian[left] @ (x - self.at)


def opened(kind: str) -> list[tuple[Any, Subject]]:
    """Return the shipped runs that tell all that a spread needs, with what each is about.

    Whether drafts helped is another question than how long a step takes: runs that do not say it are left out.
    """
    _, raw = catalog.measured(kind)
    out: list[tuple[Any, Subject]] = []
    if kind == "training":
        decide = training_opener("calibrated")
        for run in training_runs(raw, kind):
            with contextlib.suppress(RooflineError):
                case = decide(run)
                profile = evolve(case.profile, framework=case.framework)
                out.append((run, subject_of(kind, profile, case.system, case.model)))
        return out
    open_ = serving_opener("calibrated")
    for run in serving_runs(raw, kind):
        with contextlib.suppress(RooflineError):
            found = open_(run)
            if found.doubt == (1.0, 1.0):
                out.append((run, subject_of(kind, found.profile, found.system, found.model)))
    return out


def thinned(known: Sequence[tuple[Any, Subject]]) -> list[Any]:
    """Return at most so many runs of each cell, software and mode, evenly drawn from the list."""
    cells: dict[str, list[Any]] = defaultdict(list)
    for run, subject in known:
        cells[f"{cell(run)} {subject.software} {getattr(run, 'mode', '')}"].append(run)
    return [
        each[i]
        for each in cells.values()
        for i in sorted({int(j) for j in np.linspace(0, len(each) - 1, min(len(each), MOST))})
    ]


def cell(run: Any) -> str:
    """Return what weighs as one: the runs of one source, model, system and format."""
    dtype = run.dtype if isinstance(run, TrainingRun) else run.weight_dtype
    return f"{run.group} {run.model} {run.system} {dtype}"


def row(run: Any, quantity: str, subject: Subject) -> Row:
    """Return a row; one of quality C takes part in fits, and in no spread."""
    name = NAMES[quantity] if run.quality != "C" else ""
    return Row(run.id, name, subject, f"{run.group} {run.model} {run.system}", cell(run))


def serving(known: Sequence[tuple[ServingRun, Subject]]) -> dict[str, Linear]:
    """Return the serving runs at each level of constants; slopes are those of the calibrated level."""
    subjects = {run.id: subject for run, subject in known}
    fit = engines.Fit(thinned(known), "calibrated")
    fit.linearise(engines.start())
    rows = [row(fit.by[i], quantity, subjects[i]) for i, quantity in fit.keys]
    found = engines.evaluate(fit.runs, "generic", fit.x)
    far = np.array([engines.ratio(found[key]) for key in fit.keys])
    return {
        level: Linear(rows, r, fit.jacobian, fit.weights, fit.x, *of_engines())
        for level, r in (("calibrated", fit.r), ("generic", far))
    }


class _Here:
    """Does what is asked of a pool of workers in this process."""

    map = staticmethod(map)


def training(known: Sequence[tuple[TrainingRun, Subject]]) -> dict[str, Linear]:
    """Return the training runs at each level of constants; slopes are those of the calibrated level."""
    subjects, runs, x = {run.id: subject for run, subject in known}, thinned(known), stated()
    found, r, jacobian = frameworks.linearised(runs, x, _Here())
    rows = [row(run, "step_time_s", subjects[run.id]) for run in runs]
    weights = np.where(np.isfinite(r), frameworks.weights_of(found), 0.0)
    far = frameworks.logs(train_predict(runs, "generic", adjust=frameworks.Adjusted(frameworks.theta_of(x))))
    return {
        level: Linear(rows, values, np.nan_to_num(jacobian), weights, x, *of_frameworks())
        for level, values in (("calibrated", r), ("generic", far))
    }


Terms = tuple[np.ndarray, tuple[np.ndarray, np.ndarray], float, float]


def of_engines() -> Terms:
    """Return what holds constants of engines near what is expected of them."""
    sigma = np.array([engines.PRIOR[name][1] for name in engines.NAMES])
    low, high = (
        np.array([np.log(engines.PRIOR[n][2][i] / engines.PRIOR[n][0]) for n in engines.NAMES]) for i in (0, 1)
    )
    return sigma, (low, high), engines.WIDTH, engines.NOISE


def of_frameworks() -> Terms:
    """Return the same of frameworks, whose constants have no ends."""
    sigma = np.array([frameworks.PRIOR[name][1] for name in frameworks.NAMES])
    endless = np.full(sigma.shape, np.inf)
    return sigma, (-endless, endless), frameworks.WIDTH, frameworks.NOISE


def stated() -> np.ndarray:
    """Return the shipped constants of frameworks, as logarithms of their ratios to what is expected."""
    return np.array([np.log(value / frameworks.PRIOR[name][0]) for name, value in frameworks.shipped().items()])


# Residuals -----------------------------------------------------------------------------------------------------------


def residuals(linear: Linear, distance: str) -> list[tuple[Row, float]]:
    """Return log(measured / predicted) of the runs that have evidence at a distance, with all that is nearer left out.

    Where there are many keys, some are left out together.
    """
    keys = np.array([row.fold[distance] for row in linear.rows])
    names = sorted(set(keys))
    order = np.random.default_rng(0).permutation(len(names))
    folds = [np.array(names)[order[i::FOLDS]] for i in range(min(FOLDS, len(names)))]
    out = []
    for part in folds:
        left = np.isin(keys, part)
        others = {row.subject for row, gone in zip(linear.rows, left, strict=True) if not gone}
        mine = [linear.rows[i] for i in np.flatnonzero(left)]
        known = {subject: {subject.distance(each) for each in others} for subject in {row.subject for row in mine}}
        for row, r in zip(mine, linear.without(left), strict=True):
            if row.quantity and np.isfinite(r) and distance in known[row.subject]:
                out.append((row, -float(r)))
    return out


def collected(linear: Mapping[str, Linear]) -> dict[tuple[str, str], list[tuple[Row, float]]]:
    """Return the residuals by quantity and distance."""
    out: dict[tuple[str, str], list[tuple[Row, float]]] = defaultdict(list)
    for distance in DISTANCES:
        level = "generic" if distance in ("maker", "other") else "calibrated"
        for each, r in residuals(linear[level], distance):
            # Constants of all chips come from one maker's: none of its chips is far from them.
            if distance == "other" and each.subject.maker in FITTED_ON:
                continue
            out[each.quantity, distance].append((each, r))
    return out


FITTED_ON = catalog.profile("generic", "dgx-h100").vendors


def weights(rows: Sequence[Row]) -> np.ndarray:
    """Return weights that make each cell count as one."""
    count = Counter(row.cell for row in rows)
    return np.array([1 / count[row.cell] for row in rows])


def quantile(values: np.ndarray, w: np.ndarray, share: float) -> float:
    """Return a weighted quantile: between the middles of the weights of neighbours."""
    order = np.argsort(values)
    v, middle = values[order], np.cumsum(w[order]) - w[order] / 2
    return float(np.interp(share * w.sum(), middle, v))


def spread(found: Sequence[tuple[Row, float]]) -> Spread:
    """Return the quantiles of residuals, cells weighing alike, widened by what so few cells leave open."""
    rows, values = [row for row, _ in found], np.array([r for _, r in found])
    w, cells = weights(rows), len({row.cell for row in rows})

    # The ends of an interval that holds a share of the next cell lie further out than that share of those seen (split conformal).
    def outward(share: float) -> float:
        return float(np.clip(0.5 + (share - 0.5) * (cells + 1) / cells, 0.5 / cells, 1 - 0.5 / cells))

    return Spread(cells, len(rows), tuple(quantile(values, w, outward(share)) for share in SHARES))


def coverage(found: Sequence[tuple[Row, float]], claimed: float) -> float:
    """Return the share of runs, cells weighing alike, inside intervals made without the runs of the same source, model and system."""
    sources = sorted({row.source for row, _ in found})
    order = np.random.default_rng(0).permutation(len(sources))
    inside, rows = [], []
    for part in (order[i::10] for i in range(10)):
        left = {sources[j] for j in part}
        rest = [pair for pair in found if pair[0].source not in left]
        if not rest or not left:
            continue
        low, high = spread(rest).ends(claimed)
        for row, r in found:
            if row.source in left:
                inside.append(low <= r <= high)
                rows.append(row)
    return float(np.average(inside, weights=weights(rows))) if rows else float("nan")


# Files ---------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return the text of a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([head, *rows])
    return out.getvalue().encode()


def measured(known: Sequence[tuple[Any, Subject]]) -> list[list[object]]:
    """Return the subjects of runs with the number of runs of each."""
    counted = Counter(subject for run, subject in known if run.measured)
    return [
        [*(getattr(s, name) for name in SUBJECT), n] for s, n in sorted(counted.items(), key=lambda each: str(each[0]))
    ]


PAGE = """# Intervals and the evidence

Made by `python scripts/distance.py --write`. An interval is as wide as measured runs were spread at the distance of the question from
the evidence. *Low* and *high* are the ends of the 80 % interval over the prediction; the last columns say which share of runs lies in
intervals that claim 50, 80 and 95 %, when the intervals are made without the runs of the same source, model and system. Cells of
(source, model, system, weights) weigh alike; runs of quality C, and those that do not say whether they drafted, take no part.

{table}

Each run is predicted with constants of stacks and frameworks fitted without any run nearer than the distance says. Fits are linearised
around the shipped constants. Kernels and links keep their fits at the first three distances; at the last two, chips are priced with the
constants of all chips. Those come from chips of one maker, whose runs therefore take no part at the last distance. A distance with fewer
than {least} cells takes the spread of the next farther distance, and of the next nearer one where there is none.

What a run leaves open (the cache's format, the layout, the release) was chosen when it was priced, as it is for a question: what that
choice costs is part of the spread. The list of what was measured is `hardware/evidence/measured.csv`, the spreads are
`hardware/evidence/residuals.csv`.
"""


def page(rows: Sequence[Sequence[str]]) -> bytes:
    """Return the page that tells the spreads and their coverage."""
    head = ["", "nearest evidence", "cells", "runs", "low", "high", "in 50 %", "in 80 %", "in 95 %"]
    lines = [head, ["---", "---", *["--:"] * 7], *rows]
    return PAGE.format(table="\n".join(f"| {' | '.join(each)} |" for each in lines), least=LEAST_CELLS).encode()


def main() -> None:
    """Compute the residuals, print their spreads and coverage, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {FOLDER}")
    parser.add_argument("--kind", choices=("serving", "training"), action="append")
    given = parser.parse_args()
    kinds = given.kind or ["serving", "training"]
    make: Mapping[str, Callable[..., dict[str, Linear]]] = {"serving": serving, "training": training}
    found: dict[tuple[str, str], list[tuple[Row, float]]] = {}
    every: list[tuple[Any, Subject]] = []
    for kind in kinds:
        known = opened(kind)
        found |= collected(make[kind](known))
        every += known
    shown, rows = [], []
    for (quantity, distance), each in sorted(found.items(), key=lambda item: (item[0][0], DISTANCES.index(item[0][1]))):
        if len({row.cell for row, _ in each}) < LEAST_CELLS:
            continue
        s = spread(each)
        rows.append([quantity, distance, s.cells, s.runs, *(f"{v:.4f}" for v in s.logs)])
        low, high = s.ends(0.8)
        told = [f"{coverage(each, c):.0%}" for c in (0.5, 0.8, 0.95)]
        shown.append(
            [quantity, WORDS[distance], str(s.cells), str(s.runs), f"x{np.exp(low):.2f}", f"x{np.exp(high):.2f}", *told]
        )
    print(
        columns(
            shown,
            head=["", "nearest evidence", "cells", "runs", "80 % low", "high", "50 %", "80 %", "95 %"],
            right=range(2, 9),
        )
    )
    if given.write:
        output.write(
            ROOT / FOLDER / "residuals.csv", table(["quantity", "distance", "cells", "runs", *QUANTILES], rows)
        )
        output.write(ROOT / FOLDER / "measured.csv", table([*SUBJECT, "runs"], measured(every)))
        output.write(ROOT / "docs" / "accuracy" / "intervals.md", page(shown))


if __name__ == "__main__":
    main()
