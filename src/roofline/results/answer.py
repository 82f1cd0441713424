"""The base classes of answers: feasibility, points, interval, plot, table and text."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeAlias, TypedDict, TypeVar, Unpack, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask, ceil, picked, share, sizes, take
from roofline.core.errors import QuestionError, fault
from roofline.core.frames import Frame
from roofline.core.lazy import plots, reports
from roofline.core.provenance import Fact
from roofline.core.remember import Lazy
from roofline.core.signatures import typed_methods
from roofline.core.text import columns, figure
from roofline.core.units import SECOND, Bytes, Count, Num, Ratio, show
from roofline.core.values import Record
from roofline.hardware.constants import Calibration
from roofline.hardware.evidence import COVERAGE, Near
from roofline.hardware.hardware import System
from roofline.operators.feasibility import Rule, broken, satisfied
from roofline.physics.spans import RESOURCES, Span
from roofline.results import alternatives, citations, intervals, memory_intervals
from roofline.results.alternatives import Alternative
from roofline.results.energy import Powered
from roofline.results.notebook import Displayed
from roofline.results.sensitivity import Sensitivity, sensitivity
from roofline.workload.layout import Layout

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from roofline.reports.launch.flags import Launch

Candidates: TypeAlias = Callable[
    [Any, System, Calibration, int | None], "Sequence[tuple[LayoutAnswer[Any, Any], Mask]]"
]
"""What answers a question on a machine and so many chips under every layout: each answer, and where its layouts are layouts."""
Text: TypeAlias = str | NDArray[np.str_]
"""A word, or an array of words, one for each point."""

_MOST_ROWS = 12
"""Points that the text of an answer over many shows."""


class Holding(Protocol):
    """What a chip holds, by kind."""

    @property
    def total(self) -> Bytes:
        """Return the sum."""
        ...


class PictureWords(TypedDict, total=False):
    """Words of the pictures of an answer."""

    levels: bool
    band: bool
    track: str | Sequence[str]
    along: str
    values: Sequence[float] | NDArray[np.float64]
    by: str | Ratio
    loads: Sequence[float] | NDArray[np.float64]
    caps: Sequence[float] | NDArray[np.float64]
    layouts: Sequence[Layout]
    quantity: str


AskedT = TypeVar("AskedT")
HeldT = TypeVar("HeldT", bound=Holding)


@typed_methods
@frozen(eq=False, repr=False)
class Answer(Displayed, ABC):
    """An answer about one point, or about every point of the arrays in the question."""

    KIND: ClassVar[str]
    """What a message calls the answer."""
    LEAST: ClassVar[tuple[str, ...]] = ()
    """Quantities of which less is better."""
    KNOWN: ClassVar[str]
    """Quantities that a message proposes."""
    COLUMNS: ClassVar[Mapping[str, str]]
    """Columns of the table of points, and the attribute that each of them is."""
    SURE: ClassVar[Mapping[str, str]] = {}
    """Columns that have an interval, and the quantity whose interval it is."""
    SECTIONED: ClassVar[bool] = True
    """Whether the text for one point consists of the sections of :mod:`roofline.reports.text`."""

    # What each kind of answer says ------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""

    @abstractmethod
    def at(self, *index: int) -> Self:
        """Return the answer at one point; a negative index counts from the end of its axis.

        Raises:
            QuestionError: the index picks no point.
        """

    @property
    @abstractmethod
    def fits(self) -> Mask:
        """Where the layout can be laid out and the fullest chip holds its part."""

    @property
    @abstractmethod
    def reasons(self) -> tuple[str, ...]:
        """Why the layout does not fit (some of the points, if there are many); empty if it does."""

    @property
    @abstractmethod
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""

    @property
    @abstractmethod
    def bound(self) -> Text:
        """The resource that bounds the most time: compute, memory, network or latency."""

    @abstractmethod
    def interval(self, quantity: str, coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the interval of a quantity expected to contain a share of measurements; None where it has none, and at the ideal level."""

    @abstractmethod
    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and constant that was used, with its source."""

    @abstractmethod
    def to_dict(self) -> Record:
        """Return the answer for one point under the field names of the machine-readable form; units are in the names."""

    @property
    @abstractmethod
    def labels(self) -> Mapping[str, str]:
        """Words that are the same at all points: what was asked of which machine."""

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, Num]:
        """Numbers that were asked: sizes and degrees."""

    @property
    def detailed(self) -> bool:
        """Whether the parts of the times are stored: up to :data:`roofline.core.arrays.DETAILED` points it is."""
        return True

    # Points ----------------------------------------------------------------------------------------------------------

    def one(self) -> None:
        """Refuse an answer over many points.

        Raises:
            QuestionError: it is one.
        """
        if self.shape:
            raise QuestionError(fault("shape", self.shape, "this is of one point only", "pick one with .at(index)"))

    def best(self, quantity: str = "tokens_per_second", where: Mask = True) -> Self:
        """Return the answer at the point that fits and has the best ``quantity``: the greatest rate, or the least time.

        Args:
            quantity: an attribute of the answer.
            where: points to look at, such as ``est.tpot <= 0.05``.

        Raises:
            QuestionError: no such quantity, or nothing fits; the message says why.
        """
        values = getattr(self, quantity, None)
        if not isinstance(values, (float, np.ndarray)):
            raise QuestionError(fault("quantity", quantity, "is not a quantity of this answer", self.KNOWN))
        fits = np.broadcast_to(self.fits, self.shape)
        ok = fits & np.broadcast_to(where, self.shape) & ~np.isnan(np.broadcast_to(values, self.shape))
        if not ok.any():
            why = "no point that fits meets the condition" if fits.any() else f"nothing fits: {'; '.join(self.reasons)}"
            remedy = "loosen the condition" if fits.any() else "use more chips or smaller formats"
            raise QuestionError(fault("layout", self._layout_words, why, remedy))
        if not self.shape:
            return self
        ranked = np.where(ok, np.broadcast_to(-values if quantity in self.LEAST else values, self.shape), -np.inf)
        return self.at(*(int(i) for i in np.unravel_index(int(np.argmax(ranked)), self.shape)))

    @property
    def _layout_words(self) -> str:
        return ", ".join(self.labels.values())

    def place(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """Return an index of one point with each number from 0 up.

        Raises:
            QuestionError: the index picks no point.
        """
        try:
            where = tuple(operator.index(i) for i in index)
        except TypeError:
            raise QuestionError(fault("index", index, "must be whole numbers")) from None
        if len(where) != len(self.shape) or any(not -n <= i < n for i, n in zip(where, self.shape, strict=False)):
            raise QuestionError(fault("index", where, f"must pick one point of {self.shape}"))
        return tuple(i % n for i, n in zip(where, self.shape, strict=True))

    def part(self, place: tuple[int, ...]) -> Self:
        """Return the answer at one point of a larger shape that this answer's own broadcasts to."""
        own = self.shape
        inner = place[len(place) - len(own) :]
        return self.at(*(0 if n == 1 else i for i, n in zip(inner, own, strict=True))) if own else self

    # Tables and text -------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _asked_in_words(self) -> str:
        """What was asked of which machine, in a few words."""

    @property
    @abstractmethod
    def _given_in_words(self) -> str:
        """What the answer gives, in a few words (one point)."""

    def __repr__(self) -> str:
        if self.shape:
            return f"<{type(self).__name__}: {self._asked_in_words}, {' x '.join(map(str, self.shape))} points>"
        return f"<{type(self).__name__}: {self._asked_in_words}{self._given_in_words}>"

    @property
    def frame(self) -> Frame:
        """The answer as a table, a row for each point: what was asked, what it gives, and the ends of 80 % intervals.

        Points are counted row by row. Intervals and bounds are there up to :data:`roofline.core.arrays.DETAILED` points.
        """
        shape = self.shape
        count = int(np.prod(shape, dtype=np.int64))

        def flat(value: Any) -> NDArray[Any]:
            return np.array(np.broadcast_to(value, shape)).reshape(count)

        out: dict[str, NDArray[Any]] = {
            name: np.full(count, value, dtype=object) for name, value in self.labels.items()
        }
        out |= {name: flat(np.asarray(value, dtype=np.float64)) for name, value in self.inputs.items()}
        for name, attribute in self.COLUMNS.items():
            value = attrgetter(attribute)(self)
            if value is None:
                continue
            out[name] = flat(value)
            pair = self.interval(self.SURE[name]) if name in self.SURE and self.detailed else None
            if pair is not None:
                out |= {f"{name}_{end}": flat(side) for end, side in zip(("low", "high"), pair, strict=True)}
        out["fits"] = flat(self.fits)
        if self.detailed:
            out["bound"] = flat(np.asarray(self.bound, dtype=object))
        return Frame(out)

    def to_dataframe(self) -> pd.DataFrame:
        """Return :attr:`frame` as a pandas data frame, a row for each point.

        Raises:
            QuestionError: pandas is not installed.
        """
        return self.frame.to_dataframe()

    def _html_text(self) -> str:
        """Return the text as HTML: sections for one point, a table for many."""
        if self.shape or not self.SECTIONED:
            return super()._html_text()
        return str(reports("section").html_of(reports("text").sections(self)))

    def __str__(self) -> str:
        if not self.shape:
            return str(reports("text").sheet(self))
        table = self.frame
        varied = [
            name for name in table
            if name in (*self.COLUMNS, "fits") or (table[name].dtype.kind == "f" and np.ptp(table[name]) > 0)
        ]  # fmt: skip
        rows = [[_cell(table[name][i]) for name in varied] for i in range(min(table.rows, _MOST_ROWS))]
        more = [f"... and {table.rows - _MOST_ROWS:,} more"] if table.rows > _MOST_ROWS else []
        return "\n".join([repr(self), "", columns(rows, head=varied, right=range(len(varied))), *more])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return "-" if np.isnan(value) else figure(float(value))


_DEGREES = ("tp", "pp", "dp", "ep", "replicas", "cp", "vpp")


@typed_methods
@frozen(eq=False, repr=False)
class LayoutAnswer(Powered, Answer, Generic[AskedT, HeldT]):
    """An answer about one layout on one machine: the question, the layout, and what its time consists of.

    Attributes:
        question: what was asked.
        system: the machine.
        layout: how the model is split.
        calibration: constants of the machine and its software.
        memory: bytes on the fullest chip.
        capacity: bytes of it that may be used.
        again: what answers the question afresh, for one of its points.
        rules: conditions on the layout besides memory.
        steps: what the times consist of; empty for an answer over more points than are kept whole.
        remarks: what was assumed to answer.
        choices: what was chosen before.
        candidates: where the layout was chosen and no degree was given: what answers a question on so many chips (those asked, for
            None) under every layout that could have been chosen; on axes after those of the question. None elsewhere.
        open: other answers that the question may have meant: it does not state the format of the cache, a release, the kind of launch.
    """

    HELD: ClassVar[str]
    """What may exceed the memory of a chip."""

    question: AskedT
    system: System
    layout: Layout
    calibration: Calibration
    memory: HeldT = field(kw_only=True)
    capacity: Bytes = field(kw_only=True)
    again: Callable[..., LayoutAnswer[AskedT, HeldT]] = field(kw_only=True)
    rules: tuple[Rule, ...] = field(kw_only=True, default=())
    steps: tuple[Span, ...] = field(kw_only=True, default=())
    remarks: tuple[str, ...] = field(kw_only=True, default=())
    _demand: Ratio | Lazy[Ratio] | None = field(kw_only=True, default=None, repr=False)
    choices: tuple[str, ...] = field(kw_only=True, default=())
    candidates: Candidates | None = field(kw_only=True, default=None)
    _open: tuple[Alternative, ...] | Lazy[tuple[Alternative, ...]] = field(kw_only=True, default=(), repr=False)

    @property
    def open(self) -> tuple[Alternative, ...]:
        """The other answers, found when an interval or the assumptions are first asked for."""
        return self._open() if isinstance(self._open, Lazy) else self._open

    @property
    def demand(self) -> Ratio | None:
        """Share of its rated power that a working chip asks for; above 1 where it is held back."""
        return self._demand() if isinstance(self._demand, Lazy) else self._demand

    @property
    def evidence(self) -> Near:
        """The nearest measured runs, by which the interval is as wide as it is: :func:`roofline.results.intervals.nearest`."""
        return intervals.nearest(self)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer, and what its interval rests on; a bound has none."""
        if self.calibration.level == "ideal":
            return (*self.choices, *self.remarks)
        left = () if self.shape else (*alternatives.sentences(self), *memory_intervals.sentences(self))
        return (*self.choices, *self.remarks, *left, str(self.evidence))

    def noted(self, notes: Iterable[str]) -> Self:
        """Return the answer with further notes on what it rests on."""
        return attrs.evolve(self, choices=(*self.choices, *notes))

    # Feasibility -----------------------------------------------------------------------------------------------------

    @property
    def divides(self) -> Mask:
        """Where the layout can be laid out at all."""
        return satisfied(self.rules)

    @property
    def laws(self) -> tuple[Rule, ...]:
        """Every condition on the layout: the rules, then that the fullest chip holds its part."""
        memory = Rule("memory", self.memory.total <= self.capacity, "does not fit into the memory of a chip")
        return (*self.rules, memory)

    @property
    def fullest(self) -> Bytes:
        """Bytes on the fullest chip."""
        return self.memory.total

    @property
    def fits(self) -> Mask:
        """Where the layout can be laid out, the fullest chip holds its part, and the rate is a finite number."""
        return self.divides & (self.memory.total <= self.capacity) & self._finite

    @property
    def _finite(self) -> Mask:
        """Where the rate is a finite number; true where none is asked."""
        return np.isfinite(1.0 if self._made is None else self._made)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the layout does not fit (some of the points, if there are many); empty if it does."""
        over = [] if np.all(self.memory.total <= self.capacity) else [f"{self.HELD} exceed the memory of a chip"]
        endless = (
            [] if np.all(self._finite) else ["the sizes are beyond what can be computed: the rate is no finite number"]
        )
        return (*broken(self.rules), *over, *endless)

    @property
    def fits_probability(self) -> Ratio:
        """Chance that the fullest chip holds its part, where the layout can be laid out; see :mod:`roofline.results.memory_intervals`."""
        return memory_intervals.chance_of_fitting(self) * self.divides

    @property
    def chips(self) -> Count:
        """Chips (packages) of the deployment."""
        return ceil(self.layout.ranks / self.system.ranks_per_chip)

    # What it consists of ---------------------------------------------------------------------------------------------

    @property
    def detailed(self) -> bool:
        """Whether the parts of the times are stored."""
        return bool(self.steps)

    @property
    def whole(self) -> Span:
        """The last step: all that the times consist of.

        Raises:
            QuestionError: over more points than details are kept for.
        """
        if not self.steps:
            raise QuestionError(f"{self.KIND}: has no details over so many points; pick one with .at(index)")
        return self.steps[-1]

    @property
    def bound(self) -> Text:
        """The resource that bounds the most time: compute, memory, network or latency; over many points an array.

        Raises:
            QuestionError: over more points than details are kept for.
        """
        busy = self.whole.busy()
        times = np.stack([np.broadcast_to(busy[name], self.shape) for name in RESOURCES])
        found = np.array(RESOURCES)[np.argmax(times, axis=0)]
        return found if self.shape else str(found)

    @property
    def bounds(self) -> dict[str, Ratio]:
        """Share of the time bound by each resource."""
        return {name: share(time, self.whole.time) for name, time in self.whole.busy().items()}

    def sensitivity(self, quantity: str | None = None) -> Sensitivity:
        """Return how much the answer depends on each number it rests on, the most first (one point).

        See :mod:`roofline.results.sensitivity`.
        """
        return sensitivity(self, quantity)

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and constant that was used, with its source, marked where a caller changed it."""
        return citations.cited(self.system, self.calibration, self.whole)

    def launch(self, tool: str = "", *, model: str = "", per_node: int | None = None) -> Launch:
        """Return how to start this plan, in the words of the engine or framework that would run it (one point).

        Args:
            tool: ``vllm``, ``vllm-ascend``, ``sglang``, ``trtllm`` or ``mindie`` for a service, ``megatron``, ``torchtitan`` or ``mindspeed`` for a step; by default that of the software asked for.
            model: what the tool loads: a path, or a name of a hub.
            per_node: devices of a host; by default those of the system.

        Raises:
            QuestionError: another tool, many points, or a plan that does not fit; see :func:`roofline.reports.launch.launch`.
        """
        found: Launch = reports("launch").launch(self, tool, model=model, per_node=per_node)
        return found

    def plot(
        self, ax: Axes | None = None, label: str = "", *, kind: str = "roofline", style: str | None = None,
        width: float | str | None = None, **words: Unpack[PictureWords],
    ) -> Axes:  # fmt: skip
        """Draw the answer, and return the axes (one point); see :mod:`roofline.plots.answers`.

        Drawing another answer's roofline or load on the same ``ax`` adds it in another colour.

        Args:
            ax: axes to draw on; by default those of a new figure.
            label: what the legend calls the answer.
            kind: ``roofline``, ``breakdown``, ``memory``, ``energy`` or ``tornado``; of serving also ``load``, of training ``timeline``.
            style: ``light``, ``dark`` or ``print``.
            width: of a new figure: ``column``, ``page``, or inches.
            words: of a roofline ``levels``, ``band``, ``track``, ``along``, ``values``; of a breakdown ``by`` (of training also
                ``by="phase"``); of a load ``loads``; of energy ``caps``; of memory ``layouts``.
        """
        self.one()
        drawn = plots("answers").plot(self, kind, ax, label, look={"style": style, "width": width}, words=words)
        return cast("Axes", drawn)

    # Many points -----------------------------------------------------------------------------------------------------

    @property
    def _asked(self) -> tuple[AskedT, System, Layout, Calibration]:
        return self.question, self.system, self.layout, self.calibration

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""
        return sizes(*self._asked)

    def at(self, *index: int) -> Self:
        """Return the answer at one point; a negative index counts from the end of its axis.

        Raises:
            QuestionError: the index picks no point.
        """
        return self._like(self.again(*self.asked_at(*index)))

    def asked_at(self, *index: int) -> tuple[AskedT, System, Layout, Calibration]:
        """Return the question, the machine, the layout and the constants at one point, as :meth:`at` takes them."""
        return take(self._asked, self.place(index))

    def among(self, where: NDArray[np.int64]) -> Self:
        """Return the answer at some of the points, counted row by row, in full and on one axis."""
        return self._like(self.again(*picked(self._asked, self.shape, where)))

    def _like(self, found: LayoutAnswer[AskedT, HeldT]) -> Self:
        """Return the answer at other points with what was chosen for this one."""
        return cast("Self", attrs.evolve(found, choices=self.choices, candidates=self.candidates, open=self._open))

    @property
    def _asked_in_words(self) -> str:
        question: Any = self.question
        return f"{type(question).__name__} of {question.model.name} on {self.system.name}"

    @property
    def _given_in_words(self) -> str:
        return f", {self.layout}: {', '.join(self._times_in_words())}{'' if self.fits else ', does not fit'}"

    @abstractmethod
    def _times_in_words(self) -> Iterable[str]:
        """Return the times of the answer, each in a few words (one point)."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Words that are the same at all points."""
        model: Any = self.question
        return {"model": model.model.name, "system": self.system.name, "level": self.calibration.level}

    @property
    def inputs(self) -> Mapping[str, Num]:
        """Sizes of the question, chips, and degrees of the layout."""
        return {**numbers(self.question), "chips": self.chips, **degrees(self.layout)}

    @property
    def _layout_words(self) -> str:
        return str(self.layout)


@frozen(eq=False, repr=False)
class Derived(Answer):
    """An answer composed of others; by default machine, layout and feasibility are those of the first."""

    PARTS: ClassVar[tuple[str, ...]]
    """The attributes that are answers."""
    NUMBERS: ClassVar[tuple[str, ...]]
    """The attributes that are cut to a point with them."""

    @property
    def _first(self) -> LayoutAnswer[Any, Any]:
        return cast("LayoutAnswer[Any, Any]", getattr(self, self.PARTS[0]))

    @property
    def _numbers(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.NUMBERS)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""
        return np.broadcast_shapes(sizes(self._numbers), *(getattr(self, name).shape for name in self.PARTS))

    def at(self, *index: int) -> Self:
        """Return the answer at one point; a negative index counts from the end of its axis.

        Raises:
            QuestionError: the index picks no point.
        """
        place = self.place(index)
        values = dict(zip(self.NUMBERS, take(self._numbers, place), strict=True))
        parts = {name: getattr(self, name).part(place) for name in self.PARTS}
        return attrs.evolve(self, **parts, **values)

    @property
    def fits(self) -> Mask:
        """Where the layout can be laid out and the fullest chip holds its part."""
        return self._first.fits

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not fit; empty if it does."""
        return self._first.reasons

    @property
    def bound(self) -> Text:
        """The resource that bounds the most time."""
        return self._first.bound

    @property
    def detailed(self) -> bool:
        """Whether what the times consist of is retained."""
        return self._first.detailed

    @property
    def labels(self) -> Mapping[str, str]:
        """Words that are the same at all points."""
        return self._first.labels

    @property
    def inputs(self) -> Mapping[str, Num]:
        """Sizes of the question, chips, and degrees of the layout."""
        return self._first.inputs

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        return self._first.assumptions

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and calibration coefficient that was used, with its source."""
        return self._first.citations()


def times_in_words(ttft: Num | None, tpot: Num | None) -> list[str]:
    """Return those of two times that are known, each in a few words."""
    return [
        f"{name} {show(float(value), SECOND, 3)}"
        for name, value in (("TTFT", ttft), ("TPOT", tpot))
        if value is not None and not np.isnan(value)
    ]


def numbers(question: Any) -> dict[str, Num]:
    """Return the numbers of a question by their names."""
    named = {each.name: getattr(question, each.name) for each in attrs.fields(type(question))}
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, (int, float, np.ndarray)) and not isinstance(value, bool)
    }


def degrees(layout: Layout) -> dict[str, Num]:
    """Return the degrees of a layout by their names."""
    return {name: getattr(layout, name) for name in _DEGREES}
