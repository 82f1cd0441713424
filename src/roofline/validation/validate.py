"""``validate``: errors of predictions by quantity and group, coverage of intervals, runs without prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, cast

import numpy as np
from attrs import field, frozen

from roofline import catalog
from roofline.catalog.files import located
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.signatures import typed, typed_methods
from roofline.core.text import columns, counted, csv_text
from roofline.core.units import SECOND, Ratio, show
from roofline.core.values import Cell, Record
from roofline.hardware.constants import Calibration
from roofline.planner.evaluation import Progress
from roofline.results.labels import coefficients_in_words
from roofline.results.notebook import Displayed
from roofline.validation import foreign, replay, training_replay
from roofline.validation.runs import kind, serving_runs, training_runs, unread
from roofline.validation.scoring import Prediction, Score, agreement, by, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHIPPED: Final = "serving"
"""The runs that come with the library."""

HEAD: Final = ("id", "quantity", "measured", "predicted", "low", "high", "level", "reason")
"""Columns of a file of predictions."""

_AMBIGUOUS: Final = "C"
_MOST_LINES: Final = 24
_FEW: Final = 12
"""Runs that are listed one by one."""


class KnownWords(TypedDict, total=False):
    """What result files of other tools may leave open: see :class:`roofline.validation.foreign.Known`."""

    model: str
    system: str
    chips: float | None
    tp: float | None
    pp: float | None
    dp: float | None
    ep: float | None
    dtype: str
    kv_dtype: str
    engine: str
    input: float | None
    output: float | None
    concurrency: float | None
    draft_tokens: float | None
    accept_length: float | None


@frozen
class _Kind:
    """What is particular to runs of one kind.

    Attributes:
        read: makes runs of rows; ``predict``, predictions of runs.
        titles: what their quantities are called in tables.
        keys: fields of a run by which scores are grouped; ``first``, that of the first table; ``tables``, of the others.
        weighed: repeats of one configuration share the weight of one, in tables; answers for programs have both.
    """

    read: Callable[[Sequence[Mapping[str, object]], str], Sequence[Any]]
    predict: Callable[..., tuple[Prediction, ...]]
    titles: Mapping[str, str]
    keys: tuple[str, ...]
    first: str
    tables: tuple[str, ...]
    weighed: bool = False


_KINDS: Final[Mapping[str, _Kind]] = {
    "serving": _Kind(
        serving_runs, replay.predict, {"ttft_s": "TTFT", "tpot_s": "TPOT", "output_tokens_per_s": "tokens/s"},
        keys=("group", "system", "model", "engine", "mode", "quality"), first="mode", tables=("system", "model", "engine", "group"),
    ),
    "training": _Kind(
        training_runs, training_replay.predict, {"step_time_s": "step"},
        keys=("group", "system", "model", "framework", "dtype", "task", "kind", "quality"), first="task",
        tables=("kind", "dtype", "system", "framework", "group", "model"), weighed=True,
    ),
}  # fmt: skip


@typed
def validate(
    what: str | Path | Iterable[Mapping[str, Cell]] = SHIPPED,
    *,
    level: str | Path | Calibration = "calibrated",
    progress: Progress | None = None,
    **known: Unpack[KnownWords],
) -> Validation:
    """Predict measured runs, and report the errors.

    Args:
        what: the path of a CSV file (plain or gzipped), its rows, or the name of runs that come with the library; see
            :mod:`roofline.validation.runs` for the columns. A cell that is empty is chosen, and reported. Or a result file of vLLM, SGLang,
            InferenceX, AIPerf, GuideLLM or MLPerf, or a directory of them: see :mod:`roofline.validation.foreign`.
        level: ``ideal``, ``generic``, ``calibrated``, or a profile.
        progress: called with the runs done, and all of them, now and then.
        known: what a result file of another tool does not say: ``model``, ``system``, ``tp``, ``input`` and the like.

    Returns:
        Each measured quantity with its prediction and 80 % interval, and scores of all together.

    Raises:
        DescriptorError: the file cannot be read.
        QuestionError: it holds no runs, or does not say what a prediction needs.

    >>> row = {
    ...     "model": "llama-3.1-8b",
    ...     "system": "dgx-h100",
    ...     "mode": "decode",
    ...     "tp": 1,
    ...     "chips": 1,
    ...     "concurrency": 8,
    ...     "input_len": 1024,
    ...     "output_len": 256,
    ... }
    >>> found = validate([row])
    >>> [each.quantity for each in found.predictions], 0.004 < found.predictions[0].predicted < 0.02  # seconds
    (['tpot_s', 'output_tokens_per_s'], True)
    """
    label, rows, put = _rows(what, foreign.Known(**known))
    if not rows:
        raise QuestionError(
            fault("rows", label, "hold no runs", "give a line for each run below the names of the columns")
        )
    catalog.profile(level, "dgx-h100")
    name = kind(rows[0], label)
    found = _KINDS[name].predict(_KINDS[name].read(rows, label), level, progress)
    return Validation(found, label, name, unread(rows[0], name), put)


def _rows(what: object, known: foreign.Known) -> tuple[str, Sequence[Mapping[str, object]], Mapping[str, int]]:
    """Return what messages call the runs, their rows, and what was put in to make rows of another tool's results."""
    if isinstance(what, (str, Path)) and foreign.is_foreign(located("runs", what)):
        found = foreign.read(what, known)
        return f"{Path(what).name} ({found.tool})", found.rows, found.notes
    if known != foreign.Known():
        given = ", ".join(known.cells())
        raise QuestionError(
            fault("words", given, "are of result files of other tools", "write them into the columns of the file")
        )
    if isinstance(what, (str, Path)):
        return *catalog.measured(what), {}
    if not isinstance(what, Iterable) or isinstance(what, (Mapping, bytes)):
        raise QuestionError(fault("runs", what, "must be the path of a CSV file, or its rows"))
    rows = list(what)
    if not all(isinstance(row, Mapping) for row in rows):
        raise QuestionError(fault("runs", what, "must be rows that map columns to cells"))
    return "rows", rows, {}


@typed_methods
@frozen(eq=False, repr=False)
class Validation(Displayed):
    """Predictions of measured runs, and their scores. Runs of quality C, whose sources leave open what matters, are scored apart.

    Attributes:
        predictions: one for each quantity of each run, in the order of the file.
        source: the file.
        kind: ``serving`` or ``training``.
        unread: columns of the file that are of no use.
        put: what was put in to read a result file of another tool, and for how many runs.
    """

    predictions: tuple[Prediction, ...]
    source: str
    kind: str = "serving"
    unread: tuple[str, ...] = ()
    put: Mapping[str, int] = field(factory=dict)

    def __repr__(self) -> str:
        scores = self.quantities(weighed=self._of.weighed)
        errors = ", ".join(f"{self._of.titles[name]} {s.mape:.1%}" for name, s in scores.items() if s.mape is not None)
        return f"<Validation: {self.runs:,} runs of {self.source}; mean errors {errors}>"

    @property
    def _of(self) -> _Kind:
        return _KINDS[self.kind]

    @property
    def configurations(self) -> int:
        """Number of runs, those that repeat a configuration counted once."""
        return round(sum({p.run.id: p.weight for p in self.predictions}.values()))

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

    def quantities(self, of: Iterable[Prediction] | None = None, *, weighed: bool = False) -> dict[str, Score]:
        """Return the score of each quantity, of the clear runs or of other predictions, ``weighed`` by configuration or by run."""
        found = by(self.clear if of is None else tuple(of), lambda p: p.quantity)
        return {name: score(found[name], weighed=weighed) for name in self._of.titles if name in found}

    def groups(
        self, of: Iterable[Prediction] | None = None, *, weighed: bool = False
    ) -> dict[str, dict[str, dict[str, Score]]]:
        """Return the same by group, system, model, and what else tells runs of this kind apart."""
        given = self.clear if of is None else tuple(of)
        return {
            key: {
                value: self.quantities(part, weighed=weighed)
                for value, part in by(given, lambda p, key=key: str(getattr(p.run, key))).items()  # type: ignore[misc]
            }
            for key in self._of.keys
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

        def numbers(p: Prediction) -> Iterable[float | None]:
            return (None if value is None else float(value) for value in (p.measured, p.predicted, p.low, p.high))

        return csv_text(HEAD, ((p.run.id, p.quantity, *numbers(p), p.level, p.reason) for p in self.predictions))

    def to_dict(self) -> Record:
        """Return the scores under the names of the machine-readable answer; those of quality C under ``ambiguous``."""
        return {
            **self._scores(self.clear),
            "ambiguous": self._scores(self.ambiguous),
            **({"by_configuration": self._scores(self.clear, weighed=True)} if self._of.weighed else {}),
            "skipped": [{"id": name, "reason": reason} for name, reason in self.skipped.items()],
            "assumptions": [{"assumption": words, "runs": count} for words, count in self.assumptions.items()],
            "agreement": dict(self.agreement),
            "unread_columns": list(self.unread),
            "put_in": [{"what": words, "runs": count} for words, count in self.put.items()],
            "source": self.source,
            "runs": self.runs,
            "levels": sorted({p.level for p in self.predictions if p.level}),
        }

    def _scores(self, of: tuple[Prediction, ...], *, weighed: bool = False) -> dict[str, Any]:
        return {
            "quantities": {name: each.to_dict() for name, each in self.quantities(of, weighed=weighed).items()},
            "groups": {
                key: {value: {name: each.to_dict() for name, each in scores.items()} for value, scores in found.items()}
                for key, found in self.groups(of, weighed=weighed).items()
            },
        }

    @property
    def agreement(self) -> dict[str, str]:
        """Whether the clear runs agree with the 80 % intervals, by quantity, and what to do where they do not."""
        checked = {name: agreement(each) for name, each in by(self.clear, lambda p: p.quantity).items()}
        return {name: checked[name] for name in self._of.titles if checked.get(name)}

    @property
    def assumptions(self) -> dict[str, int]:
        """What was assumed to predict runs, and of how many, the most first."""
        counted = Counter(words for notes in {p.run.id: p.said for p in self.predictions}.values() for words in notes)
        return dict(counted.most_common())

    def table(self) -> str:
        """Return the scores as text."""
        levels = ", ".join(
            sorted(coefficients_in_words(name) for name in {p.level for p in self.predictions if p.level})
        )
        missing = len(self.skipped)
        parts = [
            f"{self.source}: {counted(self.runs, 'run')}, {levels or 'no coefficients'}, {missing:,} not estimated",
            self._by_first(self.clear, ""),
        ]
        if self.runs <= _FEW:
            parts.append(self._one_by_one())
        if self._of.weighed:
            once = f"each of {self.configurations:,} configurations once, and so below"
            parts.append(self._by_first(self.clear, once, weighed=True))
        if self.ambiguous:
            parts.append(self._by_first(self.ambiguous, "quality C: the source leaves open what matters"))
        parts.append("\n".join(f"{self._of.titles[name]}: {words}" for name, words in self.agreement.items()))
        if self.unread:
            parts.append(f"columns that are not read: {'; '.join(self.unread)}")
        parts += [self._by(name) for name in self._of.tables if self.runs > 1]  # of one run they say the same
        for title, rows in (
            ("not estimated", Counter(self.skipped.values())),
            ("filled in to read the file", self.put),
            ("assumed", self.assumptions),
        ):
            if rows:
                counts = sorted(rows.items(), key=lambda pair: -pair[1])
                more = [f"         and {len(counts) - _MOST_LINES:,} more, in --json and in the file of predictions"]
                lines = [f"  {count:>5,}  {words}" for words, count in counts[:_MOST_LINES]]
                parts.append("\n".join([title, *lines, *(more if len(counts) > _MOST_LINES else [])]))
        return "\n\n".join(part for part in parts if part)

    def _one_by_one(self) -> str:
        """Return a line for each quantity of each run: what was measured, what is predicted, and its interval."""
        rows = [
            [
                p.run.id,
                self._of.titles[p.quantity],
                *(_amount(value, p.quantity) for value in (p.measured, p.predicted, p.low, p.high)),
            ]
            for p in self.predictions
            if p.predicted is not None and p.quantity in self._of.titles
        ]
        head = ["run", "", "measured", "predicted", "80 % from", "to"]
        return columns(rows, head=head, right=range(2, 6)) if rows else ""

    def _by_first(self, of: tuple[Prediction, ...], title: str, *, weighed: bool = False) -> str:
        modes = self.groups(of, weighed=weighed)[self._of.first]
        rows = [
            [f"{heading}, {mode}", *_cells(found[name])]
            for name, heading in self._of.titles.items()
            for mode, found in modes.items()
            if name in found
        ]
        head = [title, "n", "not priced", "MAPE", "median", "90 %", "bias", "inside"]
        return columns(rows, head=head, right=range(1, 8)) if rows else ""

    def _by(self, key: str) -> str:
        """Return a table of the errors of each quantity, one line for each value of a key."""
        head, rows = [key], []
        for title in self._of.titles.values():
            head += [title, "MAPE", "bias"]
        for value, found in self.groups(weighed=self._of.weighed)[key].items():
            cells: list[str] = []
            for name in self._of.titles:
                each = found.get(name)
                cells += (
                    ["", "", ""] if each is None else [f"{each.n:,}", _share(each.mape), _share(each.bias, sign=True)]
                )
            rows.append([value, *cells])
        return columns(rows, head=head, right=range(1, len(head))) if rows else ""

    def plot(
        self, ax: Axes | None = None, *, quantity: str = "", key: str = "system", style: str | None = None,
        width: float | str | None = None,
    ) -> Axes:  # fmt: skip
        """Draw predicted against measured values with their intervals; see :func:`roofline.plots.scatter`.

        Args:
            quantity: such as ``tpot_s`` or ``step_time_s``; by default that which was measured most often.
            key: what of a run has a colour of its own.

        Raises:
            QuestionError: no such quantity or key, or nothing that was both measured and predicted.
        """
        if key not in self._of.keys:
            known = f"known: {', '.join(self._of.keys)}"
            raise QuestionError(fault("key", key, "runs are not grouped by it", known))
        drawn = self._drawn()
        if not drawn or (quantity and quantity not in drawn):
            known = f"there are {', '.join(drawn)}" if drawn else "give runs with measured values"
            raise QuestionError(fault("quantity", quantity, "was not both measured and predicted of any run", known))
        drawn_on: Axes = plots().scatter(drawn[quantity or next(iter(drawn))], ax=ax, key=key, style=style, width=width)
        return drawn_on

    def figure(self) -> Figure:
        """Draw every quantity side by side, and return the figure.

        Raises:
            QuestionError: nothing that was both measured and predicted.
        """
        drawn = self._drawn()
        for name, ax in zip(drawn, plots().panels(max(len(drawn), 1)), strict=False):
            out = self.plot(ax, quantity=name)
        return cast("Figure", out.figure if drawn else self.plot().figure)

    def _drawn(self) -> dict[str, list[Prediction]]:
        """Return what can be drawn of each quantity, the most first: of the clear runs, or of the others if there are none."""
        found = by(self.clear or self.ambiguous, lambda p: p.quantity)
        both = {
            name: [p for p in scores if p.measured is not None and p.predicted is not None]
            for name, scores in found.items()
        }
        return {name: both[name] for name in sorted(both, key=lambda name: -len(both[name])) if both[name]}


def _share(value: Ratio | None, *, sign: bool = False) -> str:
    return "" if value is None else f"{value:+.1%}" if sign else f"{value:.1%}"


def _cells(each: Score) -> list[str]:
    return [f"{each.n:,}", f"{each.skipped:,}", _share(each.mape), _share(each.median_ape), _share(each.p90_ape),
            _share(each.bias, sign=True), _share(each.inside_interval)]  # fmt: skip


def _amount(value: float | None, quantity: str) -> str:
    """Return a time or a rate for people."""
    if value is None:
        return ""
    return show(value, SECOND, 3) if quantity.endswith("_s") and "per" not in quantity else f"{value:,.4g}"
