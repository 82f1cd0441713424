"""Measured runs against what is predicted of them: errors by quantity and group, coverage of intervals, what cannot be priced."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.calibration import Calibration
from roofline.errors import QuestionError, fault
from roofline.evaluation import Progress
from roofline.predicting import predict
from roofline.replay import QUANTITIES
from roofline.reports import columns
from roofline.runs import kind, serving_runs
from roofline.scoring import Prediction, Score, by, score
from roofline.units import Ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHIPPED: Final = "serving"
"""The runs that come with the library."""

HEAD: Final = ("id", "quantity", "measured", "predicted", "low", "high", "level", "reason")
"""Columns of a file of predictions."""

_GROUPS: Final[Mapping[str, Callable[[Prediction], str]]] = {
    name: (lambda p, name=name: str(getattr(p.run, name)))  # type: ignore[misc]
    for name in ("group", "system", "model", "engine", "mode", "quality")
}
_AMBIGUOUS: Final = "C"
_MOST_LINES: Final = 24
_TITLES: Final = {"ttft_s": "TTFT", "tpot_s": "TPOT", "output_tokens_per_s": "tokens/s"}


def validate(
    what: str | Path | Iterable[Mapping[str, object]] = SHIPPED,
    *,
    level: str | Path | Calibration = "calibrated",
    progress: Progress | None = None,
) -> Validation:
    """Predict measured runs, and tell how far off that is.

    Args:
        what: the path of a CSV file (plain or gzipped), its rows, or the name of runs that come with the library; see
            :mod:`roofline.runs` for the columns. A cell that is empty is chosen, and said.
        level: ``ideal``, ``generic``, ``calibrated``, or a profile.
        progress: called with the runs done, and all of them, now and then.

    Raises:
        DescriptorError: the file cannot be read. QuestionError: it holds no runs, or runs of training.
    """
    label, rows = _rows(what)
    if not rows:
        raise QuestionError(
            fault("rows", label, "hold no runs", "give a line for each run below the names of the columns")
        )
    catalog.profile(level, "dgx-h100")
    if kind(rows[0], label) == "training":
        raise QuestionError(
            f"{label}: training is not priced yet, and these are runs of it; give runs of serving, with input_len"
        )
    found = predict(serving_runs(rows, label), level, progress)
    return Validation(found, label)


def _rows(what: object) -> tuple[str, Sequence[Mapping[str, object]]]:
    if isinstance(what, (str, Path)):
        return catalog.measured(what)
    if not isinstance(what, Iterable) or isinstance(what, (Mapping, bytes)):
        raise QuestionError(fault("runs", what, "must be the path of a CSV file, or its rows"))
    rows = list(what)
    if not all(isinstance(row, Mapping) for row in rows):
        raise QuestionError(fault("runs", what, "must be rows that map columns to cells"))
    return "rows", rows


@frozen(eq=False, repr=False)
class Validation:
    """Predictions of measured runs, and their scores. Runs of quality C, whose sources leave open what matters, are scored apart.

    Attributes:
        predictions: one for each quantity of each run, in the order of the file.
        source: the file.
    """

    predictions: tuple[Prediction, ...]
    source: str

    def __repr__(self) -> str:
        told = ", ".join(
            f"{_TITLES[name]} {each.mape:.1%}" for name, each in self.quantities().items() if each.mape is not None
        )
        return f"<Validation: {self.runs:,} runs of {self.source}; mean errors {told}>"

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len({p.run.id for p in self.predictions})

    @property
    def clear(self) -> tuple[Prediction, ...]:
        """Predictions of runs of which all that matters is known, as far as the file says."""
        return tuple(p for p in self.predictions if p.run.quality != _AMBIGUOUS)

    @property
    def ambiguous(self) -> tuple[Prediction, ...]:
        """Predictions of runs of quality C."""
        return tuple(p for p in self.predictions if p.run.quality == _AMBIGUOUS)

    @property
    def skipped(self) -> dict[str, str]:
        """Why runs, by id, or some quantity of theirs, could not be priced."""
        out: dict[str, str] = {}
        for p in self.predictions:
            if p.predicted is None:
                out.setdefault(p.run.id, p.reason)
        return out

    def quantities(self, of: Iterable[Prediction] | None = None) -> dict[str, Score]:
        """Return the score of each quantity, of the clear runs or of other predictions."""
        found = by(self.clear if of is None else tuple(of), lambda p: p.quantity)
        return {name: score(found[name]) for name in QUANTITIES if name in found}

    def groups(self, of: Iterable[Prediction] | None = None) -> dict[str, dict[str, dict[str, Score]]]:
        """Return the same by group, system, model, engine, mode and quality."""
        given = self.clear if of is None else tuple(of)
        return {
            name: {value: self.quantities(part) for value, part in by(given, key).items()}
            for name, key in _GROUPS.items()
        }

    def worst(self, count: int = 30, quantity: str = "", of: Iterable[Prediction] | None = None) -> list[Prediction]:
        """Return the clear predictions that are furthest off, by the logarithm of their ratio."""
        found = [
            (abs(float(np.log(p.predicted / p.measured))), p)
            for p in (self.clear if of is None else of)
            if p.measured is not None and p.predicted is not None and quantity in ("", p.quantity)
        ]
        return [p for _, p in sorted(found, key=lambda pair: -pair[0])[:count]]

    def csv(self) -> str:
        """Return the predictions as the text of a CSV file with the columns of :data:`HEAD`."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(HEAD)
        for p in self.predictions:
            numbers = (
                "" if value is None else repr(float(value)) for value in (p.measured, p.predicted, p.low, p.high)
            )
            table.writerow([p.run.id, p.quantity, *numbers, p.level, p.reason])
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Return the scores under the names of the machine-readable answer; those of quality C under ``ambiguous``."""
        return {
            **self._scores(self.clear),
            "ambiguous": self._scores(self.ambiguous),
            "skipped": [{"id": name, "reason": reason} for name, reason in self.skipped.items()],
            "assumptions": [{"assumption": words, "runs": count} for words, count in self.assumptions.items()],
            "source": self.source,
            "runs": self.runs,
            "levels": sorted({p.level for p in self.predictions if p.level}),
        }

    def _scores(self, of: tuple[Prediction, ...]) -> dict[str, Any]:
        return {
            "quantities": {name: each.to_dict() for name, each in self.quantities(of).items()},
            "groups": {
                key: {value: {name: each.to_dict() for name, each in told.items()} for value, told in found.items()}
                for key, found in self.groups(of).items()
            },
        }

    @property
    def assumptions(self) -> dict[str, int]:
        """What was assumed to predict runs, and of how many, the most first."""
        told = Counter(words for said in {p.run.id: p.said for p in self.predictions}.values() for words in said)
        return dict(told.most_common())

    def table(self) -> str:
        """Return the scores as text."""
        levels = ", ".join(sorted({p.level for p in self.predictions if p.level})) or "no"
        missing = len(self.skipped)
        parts = [
            f"{self.source}: {self.runs:,} runs, {levels} constants, {missing:,} not priced",
            self._by_mode(self.clear, ""),
        ]
        if self.ambiguous:
            parts.append(self._by_mode(self.ambiguous, "quality C: the source leaves open what matters"))
        parts += [self._by(name) for name in ("system", "model", "engine", "group")]
        for title, told in (("not priced", Counter(self.skipped.values())), ("assumed", self.assumptions)):
            if told:
                counts = sorted(told.items(), key=lambda pair: -pair[1])
                more = [f"         and {len(counts) - _MOST_LINES:,} more, in --json and in the file of predictions"]
                lines = [f"  {count:>5,}  {words}" for words, count in counts[:_MOST_LINES]]
                parts.append("\n".join([title, *lines, *(more if len(counts) > _MOST_LINES else [])]))
        return "\n\n".join(part for part in parts if part)

    def _by_mode(self, of: tuple[Prediction, ...], title: str) -> str:
        modes = self.groups(of)["mode"]
        rows = [
            [f"{_TITLES[name]}, {mode}", *_cells(found[name])]
            for name in QUANTITIES
            for mode, found in modes.items()
            if name in found
        ]
        head = [title, "n", "not priced", "MAPE", "median", "90 %", "bias", "inside"]
        return columns(rows, head=head, right=range(1, 8)) if rows else ""

    def _by(self, key: str) -> str:
        """Return a table of the errors of online time and of rates, one line for each value of a key."""
        head, rows = [key], []
        for name in QUANTITIES:
            head += [_TITLES[name], "MAPE", "bias"]
        for value, found in self.groups()[key].items():
            cells: list[str] = []
            for name in QUANTITIES:
                each = found.get(name)
                cells += (
                    ["", "", ""] if each is None else [f"{each.n:,}", _share(each.mape), _share(each.bias, sign=True)]
                )
            rows.append([value, *cells])
        return columns(rows, head=head, right=range(1, 10)) if rows else ""

    def plot(self, ax: Axes | None = None, *, quantity: str = "", key: str = "system") -> Axes:
        """Draw predicted against measured values with their intervals; see :func:`roofline.plots.scatter`.

        Args:
            quantity: ``ttft_s``, ``tpot_s`` or ``output_tokens_per_s``; by default that which was measured most often.
            key: what of a run has a colour of its own.

        Raises:
            QuestionError: no such quantity or key, or nothing that was both measured and predicted.
        """
        from roofline import plots  # few draw, and all import

        if key not in _GROUPS:
            raise QuestionError(fault("key", key, "runs are not told apart by it", f"known: {', '.join(_GROUPS)}"))
        drawn = self._drawn()
        if not drawn or (quantity and quantity not in drawn):
            known = f"there are {', '.join(drawn)}" if drawn else "give runs with measured values"
            raise QuestionError(fault("quantity", quantity, "was not both measured and predicted of any run", known))
        return plots.scatter(drawn[quantity or next(iter(drawn))], ax=ax, key=key)

    def figure(self) -> Any:
        """Draw every quantity side by side, and return the figure.

        Raises:
            QuestionError: nothing that was both measured and predicted.
        """
        from roofline import plots

        drawn = self._drawn()
        for name, ax in zip(drawn, plots.panels(max(len(drawn), 1)), strict=False):
            out = self.plot(ax, quantity=name)
        return self.plot().figure if not drawn else out.figure

    def _drawn(self) -> dict[str, list[Prediction]]:
        """Return what can be drawn of each quantity, the most first: of the clear runs, or of the others if there are none."""
        found = by(self.clear or self.ambiguous, lambda p: p.quantity)
        both = {
            name: [p for p in told if p.measured is not None and p.predicted is not None]
            for name, told in found.items()
        }
        return {name: both[name] for name in sorted(both, key=lambda name: -len(both[name])) if both[name]}


def _share(value: Ratio | None, *, sign: bool = False) -> str:
    return "" if value is None else f"{value:+.1%}" if sign else f"{value:.1%}"


def _cells(each: Score) -> list[str]:
    return [f"{each.n:,}", f"{each.skipped:,}", _share(each.mape), _share(each.median_ape), _share(each.p90_ape),
            _share(each.bias, sign=True), _share(each.inside_interval)]  # fmt: skip
