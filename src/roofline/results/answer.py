"""What answers share: the plan and whether it fits, what its time consists of, what it rests on, and any of its points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.arrays import Mask, ceil, share
from roofline.core.errors import QuestionError
from roofline.core.lazy import plots
from roofline.core.provenance import Fact
from roofline.core.units import Bytes, Count, Num, Ratio
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.physics.spans import Span, bound
from roofline.results import citations, points
from roofline.results.notebook import Displayed
from roofline.results.sensitivity import Sensitivity, sensitivity
from roofline.workload.layout import Layout


class Holding(Protocol):
    """What a chip holds, by kind."""

    @property
    def total(self) -> Bytes:
        """Return the sum."""
        ...


AskedT = TypeVar("AskedT")
HeldT = TypeVar("HeldT", bound=Holding)


@frozen(eq=False)
class Rule:
    """A condition on a layout: where it holds, and what to say where it does not.

    Attributes:
        key: a stable word for the condition, such as ``tp_divides_heads_64``; it begins with the degree to change, if one is.
        ok: where it holds.
        text: the sentence for where it does not, in which ``{limit}`` stands for the greatest ``limit``.
        limit: the number that the sentence names, if any; a float, or an array over the points.

    >>> Rule("ranks_within_reach", np.array([True, False]), "joins {limit} ranks at most", np.array([8.0, 16.0])).reason
    'joins 16 ranks at most'
    """

    key: str
    ok: Mask
    text: str
    limit: Num = 0.0

    @property
    def reason(self) -> str:
        """The sentence, made from all points."""
        return sentence(self.text, self.limit)

    @property
    def degree(self) -> str:
        """The first word of the key: the degree of the layout that the sentence begins with, if it does."""
        return self.key.partition("_")[0]


def sentence(text: str, limit: Num) -> str:
    """Return the text of a rule with the greatest of its limits in place."""
    return text.replace("{limit}", f"{float(np.max(limit)):g}")


@frozen(eq=False, repr=False)
class Answer(Displayed, Generic[AskedT, HeldT]):
    """An answer: the question, the plan that answers it, and what its time consists of.

    Attributes:
        memory: bytes on the fullest chip; ``capacity``, those of it that may be used.
        again: what answers the question afresh, for one of its points.
        rules: conditions on the plan besides memory.
        steps: what the times consist of; empty for an answer over more points than are kept whole.
        remarks: what was assumed to answer; ``choices``: what was chosen before.
    """

    KIND: ClassVar[str]
    """What a message calls the answer."""
    HELD: ClassVar[str]
    """What may exceed the memory of a chip."""
    LEAST: ClassVar[tuple[str, ...]]
    """Quantities of which less is better."""
    KNOWN: ClassVar[str]
    """Quantities that a message proposes."""

    question: AskedT
    system: System
    layout: Layout
    calibration: Calibration
    memory: HeldT = field(kw_only=True)
    capacity: Bytes = field(kw_only=True)
    again: Callable[[Any, System, Layout, Calibration], Answer[AskedT, HeldT]] = field(kw_only=True)
    rules: tuple[Rule, ...] = field(kw_only=True, default=())
    steps: tuple[Span, ...] = field(kw_only=True, default=())
    remarks: tuple[str, ...] = field(kw_only=True, default=())
    choices: tuple[str, ...] = field(kw_only=True, default=())

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        return (*self.choices, *self.remarks)

    def noted(self, notes: Iterable[str]) -> Self:
        """Return the answer with more said about what it rests on."""
        return attrs.evolve(self, choices=(*self.choices, *notes))

    # Feasibility -----------------------------------------------------------------------------------------------------

    @property
    def divides(self) -> Mask:
        """Where the layout can be laid out at all."""
        out: Mask = True
        for rule in self.rules:
            out = out & rule.ok
        return out

    @property
    def fits(self) -> Mask:
        """Where the layout can be laid out and the fullest chip holds its part."""
        return self.divides & (self.memory.total <= self.capacity)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the plan does not fit (some of the points, if there are many); empty if it does."""
        out = [rule.reason for rule in self.rules if not np.all(rule.ok)]
        if not np.all(self.memory.total <= self.capacity):
            out.append(f"{self.HELD} exceed the memory of a chip")
        return tuple(out)

    @property
    def chips(self) -> Count:
        """Chips (packages) of the deployment."""
        return ceil(self.layout.ranks / self.system.ranks_per_chip)

    # What it consists of ---------------------------------------------------------------------------------------------

    @property
    def whole(self) -> Span:
        """The last step: all that the times consist of.

        Raises:
            QuestionError: over more points than details are kept for.
        """
        if not self.steps:
            raise QuestionError(f"{self.KIND}: keeps no details over so many points; pick one with .at(index)")
        return self.steps[-1]

    @property
    def bound(self) -> str:
        """The resource that bounds the most time: compute, memory, network or latency (one point)."""
        return bound(self.whole.busy())

    @property
    def bounds(self) -> dict[str, Ratio]:
        """Share of the time bound by each resource."""
        return {name: share(time, self.whole.time) for name, time in self.whole.busy().items()}

    def sensitivity(self, quantity: str | None = None) -> Sensitivity:
        """Return how much hangs on each number it rests on, the most first: :mod:`roofline.results.sensitivity` (one point)."""
        return sensitivity(self, quantity)

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and constant that was used, with its source; one that was changed since says so."""
        return citations.cited(self.system, self.calibration, self.whole)

    def plot(
        self, ax: Any = None, label: str = "", *, kind: str = "roofline", style: str | None = None,
        width: float | str | None = None, **words: Any,
    ) -> Any:  # fmt: skip
        """Draw the answer, and return the axes (one point); see :mod:`roofline.plots.answers`.

        Drawing another answer's roofline or load on the same ``ax`` adds it in another colour.

        Args:
            ax: axes to draw on; by default those of a new figure.
            label: what the legend calls the answer.
            kind: ``roofline``, ``breakdown``, ``memory`` or ``tornado``; of serving also ``load``, of training ``timeline``.
            style: ``light``, ``dark`` or ``print``; ``width`` of a new figure: ``column``, ``page``, or inches.
            words: of a roofline ``levels``, ``band``, ``track``, ``along``, ``values``; of a breakdown ``by`` (of training also
                ``by="phase"``); of a load ``loads``; of memory ``layouts``.
        """
        points.one(self)
        return plots("answers").plot(self, kind, ax, label, look={"style": style, "width": width}, words=words)

    # Many points -----------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""
        return points.shape(self)

    def at(self, *index: int) -> Self:
        """Return the answer at one point."""
        return cast("Self", points.at(self, *index))

    def among(self, where: NDArray[np.int64]) -> Self:
        """Return the answer at some of the points, counted row by row, in full and on one axis."""
        return cast("Self", points.among(self, where))

    def best(self, quantity: str = "tokens_per_second", where: Mask = True) -> Self:
        """Return the answer at the point that fits and has the best ``quantity``: the greatest rate, or the least time.

        Args:
            quantity: an attribute of the answer.
            where: points to look at, such as ``est.tpot <= 0.05``.

        Raises:
            QuestionError: nothing fits; the message says why.
        """
        return cast("Self", points.best(self, quantity, where, least=quantity in self.LEAST, known=self.KNOWN))
