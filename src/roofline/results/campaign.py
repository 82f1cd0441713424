"""The answer for a whole training run: days, energy, cost, what failures take, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from attrs import frozen

from roofline.core.arrays import Mask, ceil, larger
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import plots
from roofline.core.provenance import Fact
from roofline.core.signatures import typed_methods
from roofline.core.text import figure
from roofline.core.units import DAY, HOUR, KILO, Bytes, Count, Dollars, DollarsPerSecond, Joules, Num, Ratio, Seconds
from roofline.core.values import Record
from roofline.hardware.evidence import COVERAGE
from roofline.operators.training_memory import ADAM, WEIGHT, adapters, stage_weights
from roofline.physics import reliability
from roofline.physics.energy import total
from roofline.results import records
from roofline.results.answer import Derived
from roofline.results.energy import SCOPE, error, intensity, parts
from roofline.results.training import Training
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEGAWATT_HOUR: Final = 3.6e9
"""Joules."""
_SCALED: Final = ("days", "days_ideal", "megawatt_hours", "dollars")
"""Quantities that are as long as a step is, and as unsure."""


@typed_methods
@frozen(eq=False, repr=False)
class Campaign(Derived):
    """A training run over ``tokens`` tokens. Quantities are floats, or arrays over the points asked.

    Attributes:
        training: the answer for one step.
        tokens: tokens of the run.
        mtbf: mean time between failures of the whole run, infinite where nothing fails.
        mtbf_range: the same by the least and the greatest that anyone published; None where it was given.
        checkpoint: time for which a checkpoint stops the run.
        written: time until a checkpoint is on storage.
        restart: time from a failure until work goes on where the last checkpoint left it.
        checkpoint_interval: useful work between checkpoints.
        pue: draw of the building over that of the machines.
        spares: chips that wait to take the place of others: rented, and idle.
        price: cost of a chip a second; None where no figure was found.
        facts: the numbers on runs that were used, with their sources.
        remarks: what was assumed.
    """

    KIND = "campaign"
    LEAST = ("days", "days_ideal", "failures", "joules", "megawatt_hours", "dollars", "chip_hours")
    KNOWN = "days, dollars, megawatt_hours, goodput"
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "days": "days",
        "days_ideal": "days_ideal",
        "goodput": "goodput",
        "failures": "failures",
        "chip_hours": "chip_hours",
        "energy_mwh": "megawatt_hours",
        "cost_usd": "dollars",
    }
    SURE: ClassVar[Mapping[str, str]] = {"days": "days", "energy_mwh": "megawatt_hours", "cost_usd": "dollars"}

    PARTS = ("training",)
    NUMBERS = (
        "tokens", "mtbf", "mtbf_range", "checkpoint", "written", "restart", "checkpoint_interval", "pue", "spares", "price",
    )  # fmt: skip

    training: Training
    tokens: Count
    mtbf: Seconds
    mtbf_range: tuple[Seconds, Seconds] | None
    checkpoint: Seconds
    written: Seconds
    restart: Seconds
    checkpoint_interval: Seconds
    pue: Ratio
    spares: Count
    price: DollarsPerSecond | None
    facts: tuple[Fact, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def _asked_in_words(self) -> str:
        return f"{self.training.question.model.name} on {self.training.system.name}"

    @property
    def _given_in_words(self) -> str:
        return f", {figure(float(self.days))} days, {float(self.goodput):.1%} of them useful"

    def plot(self, ax: Axes | None = None, *, style: str | None = None, width: float | str | None = None) -> Axes:
        """Draw what the days go into: useful work, checkpoints, restarts, recomputed work (one point); return the axes."""
        self.one()
        days = {name: float(share) * float(self.days) * DAY for name, share in self.shares.items()}
        bar = plots("_breakdown").parts("run", days, f"{figure(float(self.days), 3)} days")
        system, useful = self.training.system, float(self.shares["useful"])
        chip = (system.package.title or system.package.name).split(" (")[0]
        title = (
            f"{useful:.0%} of {figure(float(self.days), 3)} days is useful work\n{self.training.question.model.name} on "
            f"{system.title or system.name} (chip: {chip}), {float(self.training.chips):,.0f} chips"
        )
        drawn: Axes = plots().breakdown(plots().Breakdown(title, "use", (bar,)), ax=ax, style=style, width=width)
        return drawn

    def best(self, quantity: str = "days", where: Mask = True) -> Campaign:
        """Return the answer at the point that fits and has the best ``quantity``; see :meth:`Answer.best`."""
        return super().best(quantity, where)

    @property
    def inputs(self) -> Mapping[str, Num]:
        """Sizes of the step and of the run, chips, and degrees of the layout."""
        return {**self.training.inputs, "tokens": self.tokens, "mtbf_s": self.mtbf, "spares": self.spares}

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer, of the step and of the run."""
        return (*self.training.assumptions, *self.remarks)

    def citations(self) -> tuple[Fact, ...]:
        """Return every number that was used, with its source."""
        return (*self.training.citations(), *self.facts)

    # Time ------------------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> Count:
        """Steps of the optimizer."""
        return ceil(self.tokens / self.training.tokens)

    @property
    def days_ideal(self) -> Num:
        """Days if nothing failed and nothing was saved."""
        return self.steps * self.training.step_time / DAY

    @property
    def goodput(self) -> Ratio:
        """Part of the time in which the run advances."""
        return self._shares[0]

    @property
    def days(self) -> Num:
        """Days with failures, restarts and checkpoints."""
        return self.days_ideal / self.goodput

    @property
    def failures(self) -> Count:
        """Failures to be expected: one in ``mtbf``."""
        return self.days * DAY / self.mtbf

    @property
    def shares(self) -> dict[str, Ratio]:
        """Parts of the time: useful work, checkpoints, restarts, and work that is recomputed."""
        return dict(zip(("useful", "checkpoints", "restarts", "done_again"), self._shares, strict=True))

    @property
    def _shares(self) -> tuple[Ratio, Ratio, Ratio, Ratio]:
        behind = self.written - self.checkpoint
        return reliability.shares(self.mtbf, self.checkpoint, self.restart, self.checkpoint_interval, behind)

    @property
    def goodput_range(self) -> tuple[Ratio, Ratio] | None:
        """``goodput`` with the most and the least failures published, at their best intervals; None where ``mtbf`` was given."""
        if self.mtbf_range is None:
            return None
        behind, each = self.written - self.checkpoint, []
        for mtbf in self.mtbf_range:
            interval = larger(reliability.best_interval(mtbf, self.checkpoint), larger(behind, self.training.step_time))
            each.append(reliability.goodput(mtbf, self.checkpoint, self.restart, interval, behind))
        return each[0], each[1]

    # What it takes ---------------------------------------------------------------------------------------------------

    @property
    def checkpoint_bytes(self) -> Bytes:
        """Bytes of a checkpoint: see :func:`saved`."""
        return saved(self.training.question)

    @property
    def joules(self) -> Joules | None:
        """Energy at the meter of the building; None where no power is known."""
        training, down = self.training, self.shares["restarts"]
        busy, idle = parts(training, SCOPE, 1 - down), parts(training, SCOPE, 0.0)
        if busy is None or idle is None:
            return None
        return self.pue * (training.chips * total(busy) + self.spares * total(idle)) * self.days * DAY

    @property
    def joules_range(self) -> tuple[Joules, Joules] | None:
        """The 80 % interval of the energy, over what is not known of power."""
        joules, half = self.joules, error(self.training)
        return None if joules is None else (joules * np.exp(-half), joules * np.exp(half))

    @property
    def megawatt_hours(self) -> Num | None:
        """Energy in MWh; None where no power is known."""
        joules = self.joules
        return None if joules is None else joules / MEGAWATT_HOUR

    def tonnes_of_carbon(self, grid: Num | str) -> Num | None:
        """Return the tonnes of CO2 of the run, of the building; None where no power is known.

        Args:
            grid: name of a grid in ``hardware/energy.toml``, such as ``france``, or its g/kWh.

        Raises:
            QuestionError: no such grid, or a number below 0.
        """
        # g/kWh is kg/MWh.
        each, energy = intensity(grid), self.megawatt_hours
        return None if energy is None else energy * each / KILO

    @property
    def dollars(self) -> Dollars | None:
        """Rent of all chips over the whole time; None where no price is known."""
        return None if self.price is None else self.price * (self.training.chips + self.spares) * self.days * DAY

    @property
    def chip_hours(self) -> Num:
        """Hours of all chips at work, restarts included."""
        return self.training.chips * self.days * DAY / HOUR

    def interval(self, quantity: str = "days", coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the 80 % interval of a quantity as that of the step carries over to it; None at the ideal level.

        How often chips fail is not in it: see :attr:`goodput_range`.

        Raises:
            QuestionError: a quantity without one.
        """
        if quantity not in _SCALED:
            raise QuestionError(fault("quantity", quantity, "has no interval", f"ask for {', '.join(_SCALED)}"))
        value, pair = getattr(self, quantity), self.training.interval("step_time", coverage)
        if value is None or pair is None:
            return None
        return value * pair[0] / self.training.step_time, value * pair[1] / self.training.step_time

    def to_dict(self) -> Record:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        return records.of_campaign(self)


def saved(question: TrainStep) -> Bytes:
    """Return the bytes of a checkpoint: 2 of each weight and 12 of the optimizer's states, once; of adapters, theirs alone.

    >>> import roofline as rl
    >>> float(saved(TrainStep(rl.model("bloom-176b"), 2048))) / 2**40  # 2.3 TB, say those who trained it
    2.24...
    """
    whole = Layout()
    if question.task == "lora":
        return (WEIGHT + ADAM) * adapters(question.model, whole, question.rank)
    return (WEIGHT + ADAM) * sum((group.weights for group in stage_weights(question.model, whole)), start=0.0)
