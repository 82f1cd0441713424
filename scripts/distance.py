"""How far measurements are from predictions, by how near the evidence was: ``python scripts/distance.py --write``.

Writes the spreads that intervals are made of (``hardware/evidence``), the page of scores ``docs/accuracy/index.md`` with its reliability
diagram, the page of spreads, and the table of the README. ``--keep FOLDER`` keeps the linearised predictions there, and a later call
with the same folder starts from them. Five minutes on one core.

Every shipped run is predicted with constants of software stacks and frameworks fitted without the runs that are nearer to it than a
distance, and only where runs at that distance are left:

========= ================================================= =====================================
distance  left out of the fit                               and left in it
========= ================================================= =====================================
family    its source's runs of its model and system         same stack, chip and model family
stack     its stack, chip and model family                  same stack and chip
chip      its stack, on all chips                           same chip
maker     its chip                                          same maker
other     its maker                                         any
========= ================================================= =====================================

Fits are linearised around the shipped constants (``scripts/engines.py``, ``scripts/frameworks.py``), so that a fold costs a solution of
a linear system. Kernels and links keep their fits down to the same chip; at the distances ``maker`` and ``other`` chips are priced with
the constants of all chips (``generic``). These come from chips of one maker, which therefore has no runs at the distance ``other``.

A kind of launch, a mixture of experts, or a chip whose kernels were not timed widen the spreads of all distances alike
(``scripts/spreads.py``, :func:`spreads.effects`).

A cell (source, model, system, weights) weighs as one. Runs whose source leaves open what matters (quality C) take no part.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import io
import itertools
import pickle
import re
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
import matplotlib as mpl
from spreads import PRIOR, Sample, effects, quantile, spread, standardised, weights

from roofline import catalog, plots
from roofline.catalog import output
from roofline.catalog.evidence import FOLDER, QUANTILES, SUBJECT
from roofline.core.errors import RooflineError
from roofline.core.text import columns
from roofline.hardware.evidence import (
    CONDITION_WORDS,
    CONDITIONS,
    DISTANCES,
    SHARES,
    WORDS,
    Condition,
    Evidence,
    Spread,
    Subject,
    conditions_of,
    nested,
)
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.plots._roofline import PALETTE
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
FEWEST_CELLS = 3
"""Cells that make a spread."""


@frozen
class Row:
    """One measured quantity of one run.

    Attributes:
        quantity: one of :data:`NAMES`.
        subject: what the run is about.
        source: collection, model and system; ``cell``: that with the weights' format.
        pair: model and system.
        form: format of the weights, or of the products of a step.
        year: of the software, "" where it is not known; ``group``: the collection.
        launch: how the service was launched, "" where it is not known.
        conditions: that its interval depends on.
        measured: what was measured.
        fold: keys of the runs that are left out at each distance.
    """

    id: str
    quantity: str
    subject: Subject
    source: str
    cell: str
    pair: str
    form: str
    year: str
    group: str
    launch: str
    conditions: tuple[str, ...]
    measured: float

    @property
    def fold(self) -> Mapping[str, str]:
        """What a run shares with those that are left out with it, by distance."""
        s = self.subject
        return {
            "family": self.source,
            "stack": f"{s.software} {s.chip} {s.family}",
            "chip": s.software,
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


@frozen
class Opened:
    """A shipped run, what it is about, and the conditions that its interval depends on."""

    run: Any
    subject: Subject
    conditions: tuple[str, ...]


def conditions(launch: str | None, model: Model, system: System) -> tuple[str, ...]:
    """Return the conditions of a run."""
    shipped = catalog.profile("calibrated", system)
    return conditions_of(launch, bool(model.experts), shipped.level == "calibrated" and not shipped.stands_for)


def opened(kind: str) -> list[Opened]:
    """Return the shipped runs that tell all that a spread needs, with what each is about.

    Whether drafts helped is another question than how long a step takes: runs that do not say it are left out.
    """
    _, raw = catalog.measured(kind)
    out: list[Opened] = []
    if kind == "training":
        decide = training_opener("calibrated")
        for run in training_runs(raw, kind):
            with contextlib.suppress(RooflineError):
                case = decide(run)
                profile = evolve(case.profile, framework=case.framework)
                subject = subject_of(kind, profile, case.system, case.model)
                out.append(Opened(run, subject, conditions(None, case.model, case.system)))
        return out
    open_ = serving_opener("calibrated")
    for run in serving_runs(raw, kind):
        with contextlib.suppress(RooflineError):
            found = open_(run)
            if found.doubt == (1.0, 1.0):
                subject = subject_of(kind, found.profile, found.system, found.model)
                out.append(Opened(run, subject, conditions(run.launch, found.model, found.system)))
    return out


def thinned(known: Sequence[Opened]) -> list[Any]:
    """Return at most so many runs of each cell, software and mode, evenly drawn from the list."""
    cells: dict[str, list[Any]] = defaultdict(list)
    for each in known:
        cells[f"{cell(each.run)} {each.subject.software} {getattr(each.run, 'mode', '')}"].append(each.run)
    return [
        runs[i]
        for runs in cells.values()
        for i in sorted({int(j) for j in np.linspace(0, len(runs) - 1, min(len(runs), MOST))})
    ]


def cell(run: Any) -> str:
    """Return what weighs as one: the runs of one source, model, system and format."""
    dtype = run.dtype if isinstance(run, TrainingRun) else run.weight_dtype
    return f"{run.group} {run.model} {run.system} {dtype}"


def row(known: Opened, quantity: str) -> Row:
    """Return a row; one of quality C takes part in fits, and in no spread."""
    run, subject = known.run, known.subject
    name, serves = NAMES[quantity] if run.quality != "C" else "", isinstance(run, ServingRun)
    return Row(
        run.id, name, subject, f"{run.group} {run.model} {run.system}", cell(run), f"{run.model} {run.system}",
        run.weight_dtype if serves else run.dtype, engines.year(run) if serves else "", run.group,
        run.launch if serves else "", known.conditions, run.measured.get(quantity) or np.nan,
    )  # fmt: skip


def serving(known: Sequence[Opened]) -> dict[str, Linear]:
    """Return the serving runs at each level of constants; slopes are those of the calibrated level."""
    by = {each.run.id: each for each in known}
    fit = engines.Fit(thinned(known), "calibrated")
    fit.linearise(engines.start())
    rows = [row(by[i], quantity) for i, quantity in fit.keys]
    found = engines.evaluate(fit.runs, "generic", fit.x)
    far = np.array([engines.ratio(found[key]) for key in fit.keys])
    return {
        level: Linear(rows, r, fit.jacobian, fit.weights, fit.x, *of_engines())
        for level, r in (("calibrated", fit.r), ("generic", far))
    }


class _Here:
    """Does what is asked of a pool of workers in this process."""

    map = staticmethod(map)


def training(known: Sequence[Opened]) -> dict[str, Linear]:
    """Return the training runs at each level of constants; slopes are those of the calibrated level."""
    by, runs, x = {each.run.id: each for each in known}, thinned(known), stated()
    found, r, jacobian = frameworks.linearised(runs, x, _Here())
    rows = [row(by[run.id], "step_time_s") for run in runs]
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

Found = list[tuple[Row, float, str]]
"""Rows with log(measured / predicted), and how far the nearest runs are that were not left out."""


def without(linear: Linear, key: Callable[[Row], str]) -> list[tuple[Row, float, set[str]]]:
    """Return the rows, each predicted with constants fitted without the rows that share its key, and how far the others are.

    Where there are many keys, some are left out together.
    """
    keys = np.array([key(row) for row in linear.rows])
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
            if row.quantity and np.isfinite(r):
                out.append((row, -float(r), known[row.subject]))
    return out


def residuals(linear: Linear, distance: str) -> list[tuple[Row, float]]:
    """Return log(measured / predicted) of the runs that have evidence at a distance, with all that is nearer left out."""
    return [(row, r) for row, r, far in without(linear, lambda row: row.fold[distance]) if distance in far]


def left_out(linear: Linear, key: Callable[[Row], str], least: str = "family") -> Found:
    """Return rows predicted without those that share their key, and how far the nearest others are, at ``least`` or further.

    Chips that are priced with the constants of all chips are at ``maker`` or further.
    """
    floor, last = DISTANCES.index(least), len(DISTANCES) - 1
    return [
        (row, r, DISTANCES[max(floor, min((DISTANCES.index(each) for each in far), default=last))])
        for row, r, far in without(linear, key)
    ]


def in_fold(linear: Linear) -> Found:
    """Return the rows with the shipped constants, and how far the nearest runs are: they themselves."""
    return [
        (row, -float(r), row.subject.distance(row.subject))
        for row, r in zip(linear.rows, linear.r, strict=True)
        if row.quantity and np.isfinite(r)
    ]


def collected(linear: Mapping[str, Linear]) -> dict[tuple[str, str], list[tuple[Row, float]]]:
    """Return the residuals by quantity and distance."""
    out: dict[tuple[str, str], list[tuple[Row, float]]] = defaultdict(list)
    for distance in DISTANCES:
        for each, r in residuals(linear[level_of(distance)], distance):
            # Constants of all chips come from one maker's: none of its chips is far from them.
            if distance == "other" and each.subject.maker in FITTED_ON:
                continue
            out[each.quantity, distance].append((each, r))
    return out


def level_of(distance: str) -> str:
    """Return the constants of kernels and links by which rows at a distance are priced."""
    return "generic" if distance in ("maker", "other") else "calibrated"


FITTED_ON = catalog.profile("generic", "dgx-h100").vendors


def cells_of(rows: Sequence[tuple[Row, *tuple[Any, ...]]]) -> list[str]:
    """Return what weighs as one, of rows with what is said of them."""
    return [each[0].cell for each in rows]


Pairs = Sequence[tuple[Row, float]]
"""Rows with log(measured / predicted)."""
Residuals = Mapping[tuple[str, str], Pairs]
"""Residuals by quantity and distance."""


def law(found: Residuals, without: Callable[[Row], bool] | None = None, conditioned: bool = True) -> Evidence:
    """Return the spreads and the conditions that intervals are made of.

    The nearest distance is drawn towards all distances together, each further one towards the nearer.

    Args:
        found: residuals.
        without: which rows take no part; none if not given.
        conditioned: whether conditions count; else the spread of a distance is that of all its rows.
    """
    spreads: dict[tuple[str, str, str], Spread] = {}
    stored: dict[tuple[str, str], Condition] = {}
    for quantity in dict.fromkeys(key[0] for key in found):
        by = {
            distance: [pair for pair in found.get((quantity, distance), ()) if without is None or not without(pair[0])]
            for distance in DISTANCES
        }
        by = {distance: pairs for distance, pairs in by.items() if len(set(cells_of(pairs))) >= FEWEST_CELLS}
        if conditioned and by:
            by, effect = freed(by)
            stored |= {(quantity, name): each for name, each in effect.items()}
        spreads |= {(quantity, distance, ""): each for distance, each in drawn_together(by).items()}
    return Evidence({}, nested(spreads), {}, stored)


By = Mapping[str, Pairs]
"""Residuals of one quantity by distance."""


def freed(by: By) -> tuple[dict[str, Pairs], dict[str, Condition]]:
    """Return the residuals of a quantity as they would be under no condition, and what conditions do."""
    middles = {distance: each.at(0.5) for distance, each in drawn_together(by).items()}
    flat = [(distance, row, r) for distance, pairs in by.items() for row, r in pairs]
    sample = Sample(
        np.array([r for _, _, r in flat]), [row.cell for _, row, _ in flat], [distance for distance, _, _ in flat],
        [row.conditions for _, row, _ in flat], np.array([middles[distance] for distance, _, _ in flat]),
    )  # fmt: skip
    effect = effects(sample)
    out: dict[str, list[tuple[Row, float]]] = {distance: [] for distance in by}
    for (distance, row, _), r in zip(flat, standardised(sample, effect), strict=True):
        out[distance].append((row, float(r)))
    return out, effect


def drawn_together(by: By) -> dict[str, Spread]:
    """Return the spread at each distance, the nearest drawn towards all distances together, each further one towards the nearer."""
    out: dict[str, Spread] = {}
    above = made([pair for pairs in by.values() for pair in pairs]) if by else None
    for distance, pairs in by.items():
        above = out[distance] = made(pairs, above)
    return out


def made(pairs: Pairs, above: Spread | None = None) -> Spread:
    """Return the spread of residuals, cells weighing alike."""
    return spread([r for _, r in pairs], cells_of(pairs), above)


Judged = Sequence[tuple[Row, float, str, Evidence]]
"""Rows with log(measured / predicted), how far the nearest runs are, and the evidence that their interval is made of."""


def judged(rows: Found, residuals: Residuals, key: Callable[[Row], str], conditioned: bool = True) -> Judged:
    """Return rows with evidence in which no run shares their key; where there are many keys, some are left out together."""
    keys = sorted({key(row) for row, _, _ in rows})
    order = np.random.default_rng(0).permutation(len(keys))
    out: list[tuple[Row, float, str, Evidence]] = []
    for part in (order[i::PARTS] for i in range(min(PARTS, len(keys)))):
        gone = {keys[j] for j in part}
        known = law(residuals, lambda row, gone=gone: key(row) in gone, conditioned)
        out += [(row, r, far, known) for row, r, far in rows if key(row) in gone]
    return out


PARTS = 10


def ends_of(row: Row, distance: str, known: Evidence, claimed: float) -> tuple[float, float]:
    """Return the ends of a row's interval."""
    return _ends(known, row.quantity, distance, row.conditions, claimed)


@functools.cache
def _ends(known: Evidence, quantity: str, distance: str, held: tuple[str, ...], claimed: float) -> tuple[float, float]:
    return known.spread(quantity, distance, under=held).ends(claimed)


def inside(rows: Judged, claimed: float) -> np.ndarray:
    """Return which rows lie inside their intervals."""
    return np.array(
        [low <= r <= high for row, r, far, known in rows for low, high in [ends_of(row, far, known, claimed)]]
    )


def coverage(rows: Judged, claimed: float) -> float:
    """Return the share of rows inside their intervals, cells weighing alike."""
    return float(np.average(inside(rows, claimed), weights=weights(cells_of(rows))))


def half_width(rows: Judged) -> float:
    """Return the median of half the width of intervals of 80 %, as a logarithm, cells weighing alike."""
    half = np.array([np.diff(ends_of(row, far, known, 0.8))[0] / 2 for row, _, far, known in rows])
    return quantile(half, weights(cells_of(rows)), 0.5)


# Scores --------------------------------------------------------------------------------------------------------------

TITLES = {"tpot": "TPOT", "ttft": "TTFT", "rate": "tokens/s", "step_time": "training step"}
CLAIMS = (0.5, 0.8, 0.95)
SCORED: Sequence[tuple[str, str, Callable[[Row], str]]] = (
    ("its model and system", "calibrated", lambda row: row.pair),
    ("its engine or framework", "calibrated", lambda row: row.subject.software),
    ("its format", "calibrated", lambda row: row.form),
    ("its year", "calibrated", lambda row: row.year),
    ("its source", "calibrated", lambda row: row.group),
    ("its chip", "generic", lambda row: row.subject.chip),
    ("its maker", "generic", lambda row: row.subject.maker),
    ("its kind of launch", "calibrated", lambda row: row.launch),
)  # fmt: skip
"""What is left out, at which level of constants, and what a row shares with what is left out with it."""


@frozen
class Score:
    """How far off the rows of one quantity are, cells weighing alike.

    Attributes:
        typical: exp(mean of abs(log)) - 1; ``mape``, mean of abs(predicted / measured - 1); ``median``, of the same.
        inside: share inside the intervals of :data:`CLAIMS`; ``width``, median factor from the middle to an end of the 80 % interval.
    """

    cells: int
    typical: float
    mape: float
    median: float
    inside: tuple[float, ...]
    width: float


def scored(rows: Judged) -> Score:
    """Return the score of rows."""
    r = np.array([r for _, r, _, _ in rows])
    w, off = weights(cells_of(rows)), np.abs(np.expm1(-r))
    return Score(
        len(set(cells_of(rows))), float(np.expm1(np.average(np.abs(r), weights=w))), float(np.average(off, weights=w)),
        quantile(off, w, 0.5), tuple(coverage(rows, claimed) for claimed in CLAIMS), float(np.exp(half_width(rows))),
    )  # fmt: skip


IN_FOLD = "nothing: in fold"
Sides = tuple[Judged, Judged]
"""Rows with the evidence that their intervals are made of: with conditions, and without."""


def sides(linear: Mapping[str, Linear], residuals: Residuals) -> dict[tuple[str, str], Sides]:
    """Return the rows by quantity and by what was left out, of fits and of intervals."""
    out: dict[tuple[str, str], Sides] = {}
    plain = in_fold(linear["calibrated"])
    with_, without_ = law(residuals), law(residuals, conditioned=False)
    for quantity in NAMES.values():
        if rows := [each for each in plain if each[0].quantity == quantity]:
            out[quantity, IN_FOLD] = [(*each, with_) for each in rows], [(*each, without_) for each in rows]
    for title, level, key in SCORED:
        if len({key(row) for row in linear[level].rows if key(row)}) < FEWEST_KEYS:
            continue
        # Constants of all chips come from one maker's.
        found = [
            each
            for each in left_out(linear[level], key, "maker" if level == "generic" else "family")
            if key(each[0]) and (title != "its maker" or each[0].subject.maker not in FITTED_ON)
        ]
        for quantity in NAMES.values():
            own = {each: pairs for each, pairs in residuals.items() if each[0] == quantity}
            if rows := [each for each in found if each[0].quantity == quantity]:
                out[quantity, title] = judged(rows, own, key), judged(rows, own, key, conditioned=False)
    return out


FEWEST_KEYS = 2
"""Kinds of rows of which one can be left out."""


def reliability(found: Mapping[tuple[str, str], Sides]) -> dict[tuple[str, bool], list[float]]:
    """Return the observed coverage at :data:`CURVE` by quantity, in fold and with model and system left out."""
    titles = {IN_FOLD: True, SCORED[0][0]: False}
    return {
        (quantity, titles[title]): [coverage(rows, claimed) for claimed in CURVE]
        for (quantity, title), (rows, _) in found.items()
        if title in titles
    }


CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def drawn(curves: Mapping[tuple[str, bool], Sequence[float]]) -> bytes:
    """Return the reliability diagram as SVG: claimed against observed coverage, in fold and out of fold."""
    with mpl.rc_context({**plots.STYLE, "font.size": 8.0}):
        figure = plots.axes(6.4, 3.3).figure
        figure.clear()
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for ax, inner, title in zip(panels, (True, False), ("in fold", "model and system left out"), strict=True):
            ax.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, zorder=1)
            ax.fill_between([0, 1], [-0.05, 0.95], [0.05, 1.05], color="0.93", linewidth=0, zorder=0)
            for i, (quantity, name) in enumerate(TITLES.items()):
                if (quantity, inner) in curves:
                    ax.plot(
                        CURVE, curves[quantity, inner], "o-", color=PALETTE[i], markersize=3, linewidth=1.1, label=name
                    )
            ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
            ax.set_title(title, fontsize=8.5, loc="left")
            ticks = [0, 0.2, 0.4, 0.6, 0.8, 1.0]
            ax.set_xticks(ticks, [f"{each:.0%}" for each in ticks])
            ax.set_yticks(ticks, [f"{each:.0%}" for each in ticks])
        panels[0].set_ylabel("share of cells inside")
        figure.supxlabel("share that the interval claims", fontsize=8)
        panels[0].legend(loc="lower right", fontsize=7.5, frameon=False)
        return bytes(plots.render(figure, "svg"))


# What two answers are wrong by together -----------------------------------------------------------------------------------

COMMON = ("chip", "software", "model")
"""What two runs may have in common."""


def alike(found: Found) -> list[list[object]]:
    """Return the intraclass correlations of residuals, by quantity and by what exactly two runs have in common.

    The correlation is the mean product of two residuals less their mean, over the variance; cells weigh alike, and where few pairs of
    cells have something in common it is drawn towards none as if :data:`PRIOR` pairs more had.
    """
    out: list[list[object]] = []
    for quantity in NAMES.values():
        some = [(row, r) for row, r, _ in found if row.quantity == quantity]
        if not some:
            continue
        rows, r = [row for row, _ in some], np.array([r for _, r in some])
        w = weights(cells_of(some))
        off = r - np.average(r, weights=w)
        same = {name: _same([getattr(row.subject, name) for row in rows]) for name in COMMON}
        both, cells = np.outer(w, w), np.unique(cells_of(some), return_inverse=True)[1]
        pair = np.minimum.outer(cells, cells) * len(rows) + np.maximum.outer(cells, cells)
        np.fill_diagonal(both, 0.0)
        for n in range(len(COMMON), 0, -1):
            for common in itertools.combinations(COMMON, n):
                exactly = np.logical_and.reduce([same[name] == (name in common) for name in COMMON])
                part = both * exactly
                pairs = len(np.unique(pair[part > 0]))
                if not pairs:
                    continue
                product = float(np.sum(part * np.outer(off, off)) / np.sum(part) / np.average(off**2, weights=w))
                out.append([quantity, "+".join(common), pairs, f"{max(product, 0.0) * pairs / (pairs + PRIOR):.3f}"])
    return out


def _same(names: Sequence[str]) -> np.ndarray:
    """Return where two of the names are the same."""
    kinds = np.unique(names, return_inverse=True)[1]
    return np.asarray(kinds[:, None] == kinds[None, :])


# Files ---------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return the text of a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([head, *rows])
    return out.getvalue().encode()


def measured(known: Sequence[Opened]) -> list[list[object]]:
    """Return the subjects of runs with the number of runs of each."""
    counted = Counter(each.subject for each in known if each.run.measured)
    return [
        [*(getattr(s, name) for name in SUBJECT), n] for s, n in sorted(counted.items(), key=lambda each: str(each[0]))
    ]


PAGE = """# Intervals and the evidence

Made by `python scripts/distance.py --write`. An interval is as wide as measured runs were spread at the distance of the question from
the evidence. *Low* and *high* are the ends of the 80 % interval over the prediction; the last columns say which share of runs lies in
intervals that claim 50, 80 and 95 %, when the intervals are made without the runs of the same source, model and system. Cells of
(source, model, system, weights) weigh alike; runs of quality C, and those that do not say whether they drafted, take no part.

{table}

## What widens an interval

How a service was launched, whether a model is a mixture of experts, and whether kernels of the chip were timed say how far measurements
are spread, at every distance alike. *Width* multiplies the distance of quantiles from the median; the quantiles above are those without any
condition. It is the mean deviation of the residuals that the condition holds of over that of all at their distance, drawn towards 1 as if
{prior:.0f} cells more had none. No condition
makes an answer surer than one of its kind before it in the table does: a launch that is not stated counts between a tuned and a default one.

{conditions}

## Intervals of kinds that were left out

The share of runs, in per cent, inside intervals that claim 80 %, by what was left out of the fits and of the intervals; in brackets what it would be
if intervals went by the distance alone. *Width* is the median factor from the middle to the ends. A row in fold leaves nothing out. Only
groups of {least} cells and more are shown.

{kinds}

## How it is made

Each run is predicted with constants of stacks and frameworks fitted without any run nearer than the distance says. Fits are linearised
around the shipped constants. Kernels and links keep their fits at the first three distances; at the last two, chips are priced with the
constants of all chips. Those come from chips of one maker, whose runs therefore take no part at the last distance. Quantiles are drawn
towards those of the nearer distance, of the nearest towards all distances together, as if these were {prior:.0f} cells more
(`scripts/spreads.py`). A distance with fewer than {least} cells takes the spread of the next
farther distance, or of the next nearer one where there is none.

## What two answers are wrong by together

Two answers of one model, chip or stack are wrong in part in the same way, so that their ratio is surer than either (`roofline.probability`). These
are intraclass correlations of residuals with model and system left out, by what exactly two runs have in common.

{together}

## What a run leaves open

What a run leaves open (the cache's format, the layout, the release) was chosen when it was priced, as it is for a question: what that
choice costs is part of the spread. The list of what was measured is `hardware/evidence/measured.csv`, the spreads are
`hardware/evidence/residuals.csv`, the conditions `hardware/evidence/conditions.csv`. `front` is the front end of a service: how far the fitted times of engines are from that of any engine.
"""

INDEX = """# How accurate, and how that was checked

Made by `python scripts/distance.py --write`, at the level of constants that a user gets who names none (`calibrated`).

A reviewer's way through these pages:

1. The table below: errors and coverage in fold, and with a model and system, an engine, a format, a year, a source, a chip or a maker left out.
2. The worst rows, and every run with its prediction: [serving](validation.md), [training](training-runs.md);
   `roofline validate serving -o predictions.csv` and `roofline validate training -o predictions.csv` write them anew.
3. [The spreads that intervals are made of](intervals.md), and [the law that uses them](../concepts/intervals.md).
4. What was fitted to what: [kernels and links](fits.md) to timings of their own, [engines](engines.md) and [frameworks](frameworks.md)
   to these runs, [collectives between nodes](networks.md), [memory](memory.md), [energy](energy.md), [operators](operators.md).
5. What each term of the model is worth: [terms](terms.md). One published machine in detail: [CloudMatrix 384](cloudmatrix.md).

## Errors and coverage

A cell (source, model, system, weights) weighs as one, at most {most} runs of each, quality A and B: {runs} runs. *Typical error* is exp(mean of
abs(ln(predicted / measured))) - 1, *MAPE* the mean of abs(predicted / measured - 1), *median* that of the same. *In 50, 80, 95 %*: share
inside the interval that claims so much, made without the runs that are left out. *Width*: the median factor from the
middle of the 80 % interval to its ends.

*Left out* says which runs took no part in fitting the constants with which a run is predicted: those that share its model and system,
its engine (or framework), and so on. Constants of kernels and links are fitted to timings, not to runs; they are kept, except where a chip or
a maker is left out: there chips are priced with the constants of all chips, and runs of the maker that these come from ({fitted}) have no
row. Fits are linearised around the shipped constants.

{scores}

## Reliability of the intervals

![Claimed against observed coverage, in fold and with model and system left out](../figures/reliability.svg)

Grey: within five points.

## The worst twenty

In fold, of all quantities, at most two of one cell.

{worst}
"""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 2) -> str:
    """Return a table, its first columns words and the others numbers."""
    lines = [head, [*["---"] * words, *["--:"] * (len(head) - words)], *rows]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def spread_rows(found: Residuals, known: Evidence) -> tuple[list[list[str]], list[list[object]]]:
    """Return the rows of the page and those of the file."""
    shown, rows = [], []
    for (quantity, distance, _), s in sorted(
        known.spreads.items(), key=lambda each: (each[0][0], DISTANCES.index(each[0][1]))
    ):
        rows.append([quantity, distance, "", s.cells, s.runs, *(f"{v:.4f}" for v in s.logs)])
        low, high = s.ends(0.8)
        own = {each: pairs for each, pairs in found.items() if each[0] == quantity}
        pairs = judged([(row, r, distance) for row, r in found[quantity, distance]], own, lambda row: row.source)
        told = [f"{coverage(pairs, claimed):.0%}" for claimed in CLAIMS]
        shown.append(
            [quantity, WORDS[distance], str(s.cells), str(s.runs), f"x{np.exp(low):.2f}", f"x{np.exp(high):.2f}", *told]
        )
    return shown, rows


def condition_rows(known: Evidence) -> list[list[object]]:
    """Return what conditions do, as the file and the page have it."""
    order = [name for each in CONDITIONS for name in each]
    stored = sorted(known.conditions.items(), key=lambda each: (each[0][0], order.index(each[0][1])))
    return [[quantity, name, c.cells, f"{c.width:.3f}"] for (quantity, name), c in stored]


def kinds_table(found: Mapping[tuple[str, str], Sides]) -> str:
    """Return the share of rows inside intervals of 80 %, by what was left out and by condition; without conditions in brackets."""
    names = [name for each in CONDITIONS for name in each]
    rows = []
    for quantity, name in TITLES.items():
        for title in (IN_FOLD, *(title for title, _, _ in SCORED)):
            if (quantity, title) not in found:
                continue
            both = found[quantity, title]
            told = [_both(*both)]
            for c in names:
                part = [[each for each in rows_ if c in each[0].conditions] for rows_ in both]
                told.append(_both(*part) if len(set(cells_of(part[0]))) >= FEWEST_CELLS else "")
            widths = [f"x{np.exp(half_width(each)):.2f}" for each in both]
            rows.append([name, title, *told, f"{widths[0]} ({widths[1]})"])
    return markdown(["", "left out", "all", *names, "width"], rows)


def _both(rows: Judged, plain: Judged) -> str:
    return f"{coverage(rows, 0.8) * 100:.0f} ({coverage(plain, 0.8) * 100:.0f})"


def fronts() -> list[object]:
    """Return the row of the front end: quantiles of how far the fitted times of engines are from that of any engine."""
    prior = {name: engines.PRIOR[name][0] for name in engines.NAMES if name.endswith(".front") and ".kind." not in name}
    x = dict(zip(engines.NAMES, engines.start(), strict=True))
    values = {name: prior[name] * float(np.exp(x[name])) for name in prior}
    usual = values.pop("generic.front")
    logs, n = np.log([each / usual for each in values.values()]), len(values)
    shares = [float(np.clip(0.5 + (share - 0.5) * (n + 1) / n, 0.0, 1.0)) for share in SHARES]
    return ["front", "chip", "", n, n, *(f"{quantile(logs, np.ones(n), share):.4f}" for share in shares)]


def score_table(found: Mapping[tuple[str, str], Score]) -> str:
    """Return the one table of scores."""
    head = ["", "left out", "cells", "typical error", "MAPE", "median", *(f"in {c:.0%}" for c in CLAIMS), "width"]
    titles = [IN_FOLD, *(title for title, _, _ in SCORED)]
    rows = [
        [
            name,
            title,
            str(s.cells),
            f"{s.typical:.0%}",
            f"{s.mape:.0%}",
            f"{s.median:.0%}",
            *(f"{each:.0%}" for each in s.inside),
            f"x{s.width:.2f}",
        ]
        for quantity, name in TITLES.items()
        for title in titles
        if (quantity, title) in found
        for s in [found[quantity, title]]
    ]
    return markdown(head, rows)


def worst_table(linears: Sequence[Mapping[str, Linear]]) -> str:
    """Return the worst rows in fold, at most two of a cell."""
    every = sorted((each for one in linears for each in in_fold(one["calibrated"])), key=lambda each: -abs(each[1]))
    rows: list[list[str]] = []
    count: Counter[str] = Counter()
    for row, r, _ in every:
        count[row.cell] += 1
        if count[row.cell] <= MOST_WORST and len(rows) < WORST:
            about = f"{row.subject.model} on {row.pair.rpartition(' ')[2]}, {row.subject.software}"
            rows.append(
                [
                    f"`{row.id}`",
                    about,
                    TITLES[row.quantity],
                    f"{row.measured:.4g}",
                    f"{row.measured * np.exp(-r):.4g}",
                    f"x{np.exp(-r):.2f}",
                ]
            )
    return markdown(["run", "", "", "measured", "predicted", "ratio"], rows, 3)


WORST, MOST_WORST = 20, 2
README = {"tpot": "TPOT", "rate": "tokens/s", "ttft": "TTFT", "step_time": "training step"}


def readme(text: str, found: Mapping[tuple[str, str], Score]) -> str:
    """Return the README with the numbers of the page in its table."""
    for quantity, name in README.items():
        cells = [found[quantity, title] for title in (IN_FOLD, "its model and system", "its engine or framework")]
        new = f"| {name} | {' | '.join(f'{each.typical * 100:.0f} %' for each in cells)} | {cells[1].inside[1] * 100:.0f} % |"
        text = re.sub(rf"^\| {re.escape(name)} \|.*$", new, text, flags=re.MULTILINE)
    return text


def kept(folder: Path | None, kind: str, make: Callable[[], dict[str, Linear]]) -> dict[str, Linear]:
    """Return linearised predictions, from the folder where they were kept before."""
    path = None if folder is None else folder / f"{kind}.pickle"
    if path is not None and path.is_file():
        return pickle.loads(path.read_bytes())  # type: ignore[no-any-return]  # noqa: S301  written by this script
    made = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(made))
    return made


def main() -> None:
    """Compute the residuals, print their spreads and coverage, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {FOLDER}, the pages and the table of the README")
    parser.add_argument(
        "--keep", type=Path, help="a folder: keep the linearised predictions there, or start from those that are"
    )
    given = parser.parse_args()
    make: Mapping[str, Callable[..., dict[str, Linear]]] = {"serving": serving, "training": training}
    found: dict[tuple[str, str], list[tuple[Row, float]]] = {}
    every: list[Opened] = []
    linears: list[dict[str, Linear]] = []
    by_left: dict[tuple[str, str], Sides] = {}
    for kind, linearise in make.items():
        known = opened(kind)
        linears.append(kept(given.keep, kind, lambda known=known, linearise=linearise: linearise(known)))
        own = collected(linears[-1])
        found |= own
        by_left |= sides(linears[-1], own)
        every += known
    shipped = law(found)
    shown, rows = spread_rows(found, shipped)
    head = ["", "nearest evidence", "cells", "runs", "80 % low", "high", *(f"{c:.0%}" for c in CLAIMS)]
    print(columns(shown, head=head, right=range(2, 9)), flush=True)
    widened = condition_rows(shipped)
    print(columns(widened, head=["", "condition", "cells", "width"], right=range(2, 4)), flush=True)
    together = [each for one in linears for each in alike(left_out(one["calibrated"], lambda row: row.pair))]
    print(columns(together, head=["", "in common", "pairs of cells", "correlation"], right=range(2, 4)), flush=True)
    result = {key: scored(rows_) for key, (rows_, _) in by_left.items()}
    curves = reliability(by_left)
    kinds = kinds_table(by_left)
    print(score_table(result), worst_table(linears), kinds, sep="\n\n")
    if not given.write:
        return
    runs = len({row.id for linear in linears for row in linear["calibrated"].rows if row.quantity})
    texts = {
        f"{FOLDER}/residuals.csv": table(["quantity", "distance", "of", "cells", "runs", *QUANTILES], [fronts(), *rows]),
        f"{FOLDER}/conditions.csv": table(["quantity", "condition", "cells", "width"], widened),
        f"{FOLDER}/alike.csv": table(["quantity", "common", "pairs", "correlation"], together),
        f"{FOLDER}/measured.csv": table([*SUBJECT, "runs"], measured(every)),
        "docs/accuracy/intervals.md": PAGE.format(
            table=markdown(["", "nearest evidence", "cells", "runs", "low", "high", *(f"in {c:.0%}" for c in CLAIMS)], shown),
            conditions=markdown(["", "condition", "cells", "width"], [[str(q), CONDITION_WORDS[str(name)], *map(str, rest)] for q, name, *rest in widened]),
            kinds=kinds, least=FEWEST_CELLS, prior=PRIOR, together=markdown(["", "in common", "pairs of cells", "correlation"], [list(map(str, each)) for each in together]),
        ).encode(),
        "docs/accuracy/index.md": INDEX.format(
            most=MOST, runs=f"{runs:,}", scores=score_table(result), worst=worst_table(linears), fitted=", ".join(FITTED_ON)
        ).encode(),
        "docs/figures/reliability.svg": drawn(curves),
        "README.md": readme((ROOT / "README.md").read_text(encoding="utf-8"), result).encode(),
    }  # fmt: skip
    for name, text in texts.items():
        output.write(ROOT / name, text)


if __name__ == "__main__":
    # As a module, so that what is kept can be read by other scripts.
    import distance

    distance.main()
