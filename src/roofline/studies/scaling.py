r"""``scaling``: a training step on more and more chips, with goodput at each size.

Strong scaling holds the batch, weak scaling the batch for each chip:

.. math:: \text{efficiency}(n) = \frac{\text{tokens/s}(n) / n}{\text{tokens/s}(n_0) / n_0},

n\ :sub:`0` the smallest size that can be laid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from roofline import catalog
from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import MOST_RANKS, number, refuse
from roofline.core.lazy import plots
from roofline.core.quantities import quantity
from roofline.core.signatures import typed, typed_methods
from roofline.core.text import columns
from roofline.core.units import SECOND, Num, show
from roofline.core.values import Record
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.planner.train import train
from roofline.planner.words import LaidStepWords, ModelLike, ScalingWords, SystemLike, keywords, part, rest
from roofline.results.labels import machine
from roofline.results.notebook import Displayed
from roofline.results.records import layout_of
from roofline.results.training import Training
from roofline.training.campaign import Campaign, campaign
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODES: Final = {
    "strong": "the batch is the same at every size",
    "weak": "the batch for each chip is the same at every size; the one given is that of the smallest",
}
"""What is held as chips are added."""

Floats = NDArray[np.float64]


@typed_methods
@frozen(eq=False, repr=False)
class Scaling(Displayed):
    """A step of training on several numbers of chips.

    Attributes:
        model: what is trained.
        system: the machine.
        mode: a key of :data:`MODES`.
        chips: the sizes, in order.
        answers: the answer at each; None where it cannot be laid out, for the reason in ``reasons``.
        runs: the same with failures.
        reasons: for each size why it cannot be laid out, or does not fit; empty where it does.
    """

    model: Model
    system: System
    mode: str
    chips: tuple[int, ...]
    answers: tuple[Training | None, ...]
    runs: tuple[Campaign | None, ...]
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        sizes = f"{self.chips[0]:,} to {self.chips[-1]:,} chips"
        return f"<Scaling: {self.model.name} on {self.system.name}, {self.mode}, {sizes}>"

    def _each(self, name: str) -> Floats:
        return np.array([np.nan if est is None else float(getattr(est, name)) for est in self.answers])

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Where it can be laid out and memory holds it."""
        return np.array([est is not None and bool(est.fits) for est in self.answers])

    @property
    def step_time(self) -> Floats:
        """Seconds of a step."""
        return self._each("step_time")

    @property
    def tokens_per_second(self) -> Floats:
        """Tokens trained on in a second, while nothing fails."""
        return self._each("tokens_per_second")

    @property
    def mfu(self) -> Floats:
        """Model FLOP utilisation of the step."""
        return self._each("mfu")

    @property
    def goodput(self) -> Floats:
        """Part of the time that failures, restarts and checkpoints leave."""
        return np.array([np.nan if run is None else float(run.goodput) for run in self.runs])

    @property
    def useful_tokens_per_second(self) -> Floats:
        """Tokens trained on in a second, failures counted."""
        return self.tokens_per_second * self.goodput

    @property
    def efficiency(self) -> Floats:
        """Rate of a chip over that at the smallest size that can be laid out."""
        each = self.tokens_per_second / np.array(self.chips)
        known = each[~np.isnan(each)]
        out: Floats = each / (known[0] if known.size else np.nan)
        return out

    def to_dict(self) -> Record:
        """Return the table as a mapping of lists, of the same length; what cannot be laid out is null."""
        columns_ = {
            "step_time_s": self.step_time, "tokens_per_s": self.tokens_per_second,
            "tokens_per_s_per_chip": self.tokens_per_second / np.array(self.chips), "mfu": self.mfu, "efficiency": self.efficiency,
            "goodput": self.goodput, "useful_tokens_per_s": self.useful_tokens_per_second,
        }  # fmt: skip
        return {
            "model": self.model.name, "system": self.system.name, "mode": self.mode, "chips": list(self.chips),
            **{name: [None if np.isnan(x) else float(x) for x in values] for name, values in columns_.items()},
            "global_batch": [None if est is None else float(est.question.global_batch) for est in self.answers],
            "layout": [None if est is None else layout_of(est) for est in self.answers],
            "fits": [bool(ok) for ok in self.fits], "reasons": list(self.reasons),
        }  # fmt: skip

    def __str__(self) -> str:
        rows: list[list[str]] = []
        for i, (n, est, why) in enumerate(zip(self.chips, self.answers, self.reasons, strict=True)):
            if est is None:
                rows.append([f"{n:,}", *["-"] * 6, why])
                continue
            rows.append(
                [
                    f"{n:,}", f"{float(est.question.global_batch):,.0f}", show(float(est.step_time), SECOND, 3),
                    f"{float(est.tokens_per_second):,.0f}", f"{self.mfu[i]:.1%}", f"{self.efficiency[i]:.0%}",
                    f"{self.goodput[i]:.1%}", est.layout.short() + ("" if est.fits else " (DOES NOT FIT)"),
                ]
            )  # fmt: skip
        head = ["chips", "batch", "step", "tokens/s", "MFU", "efficiency", "goodput", "layout"]
        asked = f"{self.model.name} on {self.system.name}, {self.mode} scaling: {MODES[self.mode]}"
        notes = dict.fromkeys(note for run in self.runs if run is not None for note in run.assumptions)
        table = columns(rows, head=head, right=range(7))
        return "\n".join([asked, "", table, "", "what was chosen or assumed", *(f"  - {note}" for note in notes)])

    def _finding(self) -> str:
        """Return what becomes of a chip's rate from the smallest size that fits to the largest, as the end of a title."""
        each, at = self.tokens_per_second / np.array(self.chips), np.flatnonzero(self.fits)
        if at.size < 2:
            return ": fits nowhere" if not at.size else f": fits on {self.chips[at[0]]:,} chips only"
        change = each[at[-1]] / each[at[0]] - 1
        return f": per chip {change:+.0%} from {self.chips[at[0]]:,} chips to {self.chips[at[-1]]:,}"

    def plot(
        self, ax: Axes | None = None, label: str = "", *, style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw tokens per second and chip against chips, and return the axes; another on the same axes is added in the next colour.

        The dotted line is the rate of a chip at the smallest size that fits, the dashed one what failures leave. Sizes that do
        not fit are named at the foot.
        """
        chips = np.array(self.chips, dtype=np.float64)
        known = plots().Growth(
            label or self.system.name, f"{self.model.name} on {machine(self.system)}, {self.mode} scaling{self._finding()}", chips,
            self.tokens_per_second / chips, self.useful_tokens_per_second / chips, self.mfu, self.fits,
        )  # fmt: skip
        axes: Axes = plots().scaling(known, ax=ax, style=style, width=width)
        return axes


@keywords(ScalingWords)
@typed
def scaling(
    what: TrainStep | ModelLike,
    system: SystemLike,
    chips: Sequence[int],
    *,
    mode: str = "strong",
    layout: Layout | None = None,
    mtbf_per_chip: Num | str | None = None,
    checkpoint: Num | str | None = None,
    restart: Num | str | None = None,
    **words: Unpack[ScalingWords],
) -> Scaling:
    """Return step time, rate, MFU, efficiency and goodput of training at each number of chips.

    Args:
        what: a :class:`TrainStep`, or a model with ``global_batch``, ``seq_len`` and so on among ``words``.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        chips: the sizes; racks are joined by the tiers of the system, as far as those reach.
        mode: a key of :data:`MODES`.
        layout: held but for ``dp``, which grows with the chips; by default the best layout is chosen for each size.
        mtbf_per_chip: time between failures of one chip, seconds or text; by default what was published.
        checkpoint, restart: as in :func:`roofline.training.campaign.campaign`.

    Returns:
        Time of a step in seconds, tokens per second, MFU, efficiency and goodput, each an array over the sizes.

    Raises:
        QuestionError: no such mode, no sizes, or a word that is wrong. A size that cannot be laid out is a reason, not an error.

    >>> import roofline as rl
    >>> held = rl.Layout(tp=2)
    >>> grown = scaling("llama-3.1-8b", "dgx-h100", [64, 512], layout=held, global_batch=512, recompute="selective")
    >>> [est.layout.words()["dp"] for est in grown.answers], bool(grown.efficiency[1] < 1)
    ([32, 256], True)
    """
    if mode not in MODES:
        raise QuestionError(fault("mode", mode, "no such scaling", near(str(mode), MODES, "modes")))
    rack, sizes = catalog.system(system), _sizes(chips)
    question = what if isinstance(what, TrainStep) else TrainStep(catalog.model(what), **rest(words, LaidStepWords))
    other: Any = part(words, LaidStepWords) if question is not what else words
    answers: list[Training | None] = []
    runs: list[Campaign | None] = []
    reasons: list[str] = []
    for n in sizes:
        asked = evolve(question, global_batch=question.global_batch * (n / sizes[0] if mode == "weak" else 1.0))
        placed, why = _placed(rack, n, layout)
        if why:
            answers.append(None)
            runs.append(None)
            reasons.append(why)
            continue
        est = train(asked, rack, **({"chips": n} if placed is None else {"layout": placed}), **other)
        if not est.divides:
            answers.append(None)
            runs.append(None)
            reasons.append("; ".join(rule.reason for rule in est.rules if not rule.ok))
            continue
        failing = None if mtbf_per_chip is None else _seconds(mtbf_per_chip) / n
        answers.append(est)
        runs.append(campaign(est, est.tokens, mtbf=failing, checkpoint=checkpoint, restart=restart, pue=1.0))
        reasons.append("; ".join(est.reasons))
    return Scaling(question.model, rack, mode, sizes, tuple(answers), tuple(runs), tuple(reasons))


def _seconds(value: Num | str) -> Num:
    return quantity("mtbf_per_chip", value, SECOND)


def _sizes(chips: Sequence[int]) -> tuple[int, ...]:
    given = np.atleast_1d(number(chips, "chips"))
    if not given.size:
        raise QuestionError(
            fault("chips", chips, "must be at least one number", "give for example [1024, 4096, 16384]")
        )
    refuse("chips", given, 1, MOST_RANKS, whole=True)
    return tuple(sorted({int(n) for n in given}))


def _placed(system: System, chips: int, layout: Layout | None) -> tuple[Layout | None, str]:
    """Return the layout with ``dp`` for so many chips, None for the best; and why there is none."""
    ranks, reach = chips * system.ranks_per_chip, float(system.reach)
    if ranks > reach:
        return None, f"{system.name} joins {reach:,.0f} ranks at most; describe a larger outer tier to go on"
    if layout is None:
        return None, ""
    one = float(layout.tp * layout.cp * layout.pp * layout.replicas)
    if ranks % one:
        return None, f"{ranks:,} ranks are no multiple of the {one:g} of tp * cp * pp"
    return evolve(layout, dp=ranks / one), ""
