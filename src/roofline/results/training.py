"""``Training``: the answer for a training step, with time, phases, memory, interval and citations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, cast

from attrs import frozen

from roofline.core.arrays import share
from roofline.core.signatures import typed_methods
from roofline.core.units import (
    SECOND,
    TERA,
    Count,
    Dollars,
    FlopPerSecond,
    Num,
    PerSecond,
    Ratio,
    Seconds,
    show,
)
from roofline.core.values import Record
from roofline.hardware.evidence import COVERAGE
from roofline.operators.operations import Op
from roofline.operators.training_memory import States
from roofline.physics.energy import dollars_per_token
from roofline.physics.pipeline import Pace
from roofline.physics.pipeline_trace import trace
from roofline.physics.stragglers import slowdown, slowdown_at
from roofline.results import intervals, records
from roofline.results.answer import LayoutAnswer
from roofline.results.explain import tree
from roofline.workload.questions import TrainStep


@typed_methods
@frozen(eq=False, repr=False)
class Training(LayoutAnswer[TrainStep, States]):
    """The answer for one step of training. Quantities are floats, or arrays over the points asked.

    Attributes:
        step_time: of one step of the optimizer.
        bubble: time of it in which a rank waits for others of its pipeline.
        exposed: time of it in which a rank only communicates.
        hidden: time of communication that overlaps with computation.
        micro_batches: that a rank takes, one after another.
        paces: of the fullest rank of the pipeline, and of all on average; None for an answer over more points than are kept whole.
    """

    KIND = "training"
    HELD = "weights, gradients, optimizer and activations"
    LEAST = ("step_time", "joules_per_token", "dollars_per_trillion_tokens", "bubble", "exposed")
    KNOWN = "tokens_per_second, step_time"
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "step_time_s": "step_time",
        "tokens_per_s": "tokens_per_second",
        "tokens_per_s_per_chip": "tokens_per_second_per_chip",
        "bubble_s": "bubble",
        "exposed_communication_s": "exposed",
        "hidden_communication_s": "hidden",
        "memory_bytes_per_chip": "memory.total",
        "energy_j_per_token": "joules_per_token",
        "usd_per_trillion_tokens": "dollars_per_trillion_tokens",
    }
    SURE: ClassVar[Mapping[str, str]] = {"step_time_s": "step_time", "tokens_per_s": "tokens_per_second"}

    step_time: Seconds
    bubble: Seconds
    exposed: Seconds
    hidden: Seconds
    micro_batches: Count
    paces: tuple[Pace, Pace] | None = None

    @property
    def step_time_p99(self) -> Seconds:
        """Time that one step in a hundred exceeds: hosts are late, and a step waits for the slowest (:mod:`roofline.physics.stragglers`)."""
        if self.calibration.level == "ideal":
            return self.step_time
        chips = self.layout.ranks / self.system.ranks_per_chip
        return self.step_time * (1 + slowdown_at(chips, 0.99)) / (1 + slowdown(chips))

    def _times_in_words(self) -> list[str]:
        return [f"step {show(float(self.step_time), SECOND, 3)}"]

    # Rates -----------------------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> Count:
        """Tokens of a step."""
        return self.question.global_batch * self.question.seq_len

    @property
    def tokens_per_second(self) -> PerSecond:
        """Tokens trained on in a second."""
        return self.tokens / self.step_time

    @property
    def tokens_per_second_per_chip(self) -> PerSecond:
        """Tokens trained on in a second, and chip."""
        return self.tokens_per_second / self.chips

    @property
    def _made(self) -> PerSecond:
        return self.tokens_per_second

    @property
    def dollars_per_trillion_tokens(self) -> Dollars | None:
        """Rent for a trillion tokens; None where no price is known."""
        price = self.system.price_per_chip
        return None if price is None else TERA * dollars_per_token(price, self.chips, self.tokens_per_second)

    # What it consists of ---------------------------------------------------------------------------------------------

    @property
    def model_flops_per_second_per_chip(self) -> FlopPerSecond:
        """FLOP per second and chip that the model asks for: causal attention, the head, no embedding, nothing recomputed.

        Attention has twice its FLOP in the backward pass: scores that its kernel makes again for gradients are not the model's.
        """
        done = sum((w.flops * w.useful * n for w, n in self._ops(again=False)), start=0.0)
        return done * self.layout.ranks / self.chips / self.step_time

    @property
    def mfu(self) -> Ratio:
        """Model FLOP utilisation: the time the FLOP of the model would take at their dtypes' peaks, over the time taken.

        Attention counts the half that is not masked, the head counts, the embedding and what is recomputed do not (PaLM,
        arXiv:2204.02311, appendix B, but for the causal half).
        """
        return self._utilisation(again=False)

    @property
    def hfu(self) -> Ratio:
        """Hardware FLOP utilisation: as MFU, layers and attention recomputed counted (but no scores inside a kernel)."""
        return self._utilisation(again=True)

    def _ops(self, *, again: bool) -> Iterable[tuple[Op, Num]]:
        for work, _, times in self.whole.leaves():
            if isinstance(work, Op) and (again or not work.recompute):
                yield work, times

    def _utilisation(self, *, again: bool) -> Ratio:
        peak = self.system.chip.peak
        ideal: Num = 0.0
        for work, times in self._ops(again=again):
            ideal = ideal + times * work.flops * work.useful / peak[work.rate]
        return share(ideal, self.step_time)

    @property
    def bubble_fraction(self) -> Ratio:
        """Part of the step that is bubble."""
        return share(self.bubble, self.step_time)

    def interval(self, quantity: str = "step_time", coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the interval of ``step_time``, a rate, energy or cost expected to contain a share of measurements; None at the ideal level.

        See :func:`roofline.results.intervals.interval`.

        Raises:
            QuestionError: another quantity, a share that is none, or more points than details are kept for.
        """
        return intervals.interval(self, quantity, coverage)

    def why(self) -> str:
        """Return the step as a tree of text: every operation, its time and share, what bounds it (one point)."""
        self.one()
        return tree(self.whole)

    @property
    def phases(self) -> dict[str, Seconds]:
        """Time of each part of the step: :data:`roofline.results.records.PHASES`; together they are its time."""
        return records.phases(self.whole, self.bubble)

    def timeline(self) -> Record:
        """Return the step on its pipeline as a trace for Perfetto, to be written as JSON: :func:`roofline.physics.pipeline_trace.trace`.

        Raises:
            QuestionError: many points, a schedule that is not possible, or more events than a browser shows.
        """
        self.one()
        layout, parts = self.layout, self.phases
        fullest, mean = cast("tuple[Pace, Pace]", self.paces)
        return trace(
            layout.schedule, int(layout.pp), int(self.micro_batches), int(layout.vpp), fullest=fullest, mean=mean,
            reduce=parts["exchange"], optimizer=parts["optimizer"],
        )  # fmt: skip

    def to_dict(self) -> Record:
        """Return the answer for one point under the names of the machine-readable form; units are in the names."""
        return records.of_training(self)
