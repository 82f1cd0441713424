"""The answer for a step of reinforcement learning: how long it takes, and what that goes into."""

from __future__ import annotations

from typing import Final

import numpy as np
from attrs import frozen

from roofline.core.text import columns
from roofline.core.units import MILLION, SECOND, show
from roofline.core.values import Record
from roofline.results.labels import layout_in_words
from roofline.results.notebook import Displayed
from roofline.results.simulation import Simulation
from roofline.results.training import Training

OVERHEAD: Final = 2.0
"""Time of a published step over that of its parts: the middle of ten steps of NeMo RL 0.4 on 16 to 512 H100
(github.com/NVIDIA-NeMo/RL, docs/about/performance-summary.md at 06beed9; docs/how-to/rl-post-training.md lists them).

What it holds is not published apart: changing between engines, rewards, batches of uneven sequences, waiting for the host."""
SPREAD: Final = 0.35
"""Standard deviation of its logarithm over those ten."""
NINE: Final = 1.2816
"""Standard deviations that nine in ten stay below."""


@frozen(eq=False, repr=False)
class PostTraining(Displayed):
    """A step of reinforcement learning: rollout, forward passes, training, and the way of the weights back to the engine.

    ``time = overhead (rollout + passes + training + weights)`` on the same chips; ``overhead (max(rollout, passes + training) + weights)`` on
    chips apart, where the responses of the next step are generated while those of the last are trained on.

    Attributes:
        rollout: the simulation in which all responses are generated.
        training: the answer for one optimizer step.
        responses: of a step.
        tokens: of all prompts and responses.
        updates: optimizer steps.
        passes: forward passes over all tokens besides.
        weights: time in which the engine gets the new weights, s.
        apart: whether other chips generate than train.
        overhead: time of a step over that of its parts.
        remarks: what was assumed.
    """

    rollout: Simulation
    training: Training
    responses: float
    tokens: float
    updates: float
    passes: float
    weights: float
    apart: bool
    overhead: float
    remarks: tuple[str, ...] = ()

    @property
    def train_time(self) -> float:
        """Time of all optimizer steps, s."""
        return float(self.updates * self.training.step_time)

    @property
    def forward_time(self) -> float:
        """Time of the forward passes besides, s: each as long as the forward pass of training over the same tokens."""
        return float(self.passes * self.updates * self.training.phases["forward"])

    @property
    def parts_time(self) -> float:
        """Time of a step if nothing came between its parts, s."""
        learnt = self.forward_time + self.train_time
        return (max(self.rollout.duration, learnt) if self.apart else self.rollout.duration + learnt) + self.weights

    @property
    def time(self) -> float:
        """Time of a step, s."""
        return self.overhead * self.parts_time

    def interval(self) -> tuple[float, float]:
        """Return the ends between which four in five published steps lie, s; no step is shorter than its parts."""
        wide = float(np.exp(NINE * SPREAD))
        return max(self.time / wide, self.parts_time), self.time * wide

    @property
    def shares(self) -> dict[str, float]:
        """What each part takes of :attr:`parts_time`; they add up to more than 1 where parts take place at the same time."""
        parts = {
            "rollout": self.rollout.duration,
            "forward passes": self.forward_time,
            "training": self.train_time,
            "weights": self.weights,
        }
        return {name: each / self.parts_time for name, each in parts.items()}

    @property
    def chips(self) -> float:
        """Chips of training and rollout together."""
        return float(self.training.chips) + self.apart * float(self.rollout.chips)

    @property
    def tokens_per_second_per_chip(self) -> float:
        """Tokens of prompts and responses over the time of a step, a chip."""
        return self.tokens / self.time / self.chips

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer, of the rollout, of training and of the step."""
        return (*self.rollout.assumptions, *self.training.assumptions, *self.remarks)

    def to_dict(self) -> Record:
        """Return the step as JSON has it."""
        return {
            "model": self.rollout.model.name, "system": self.training.system.name, "chips": self.chips, "apart": self.apart,
            "responses": float(self.responses), "tokens": float(self.tokens), "step_time_s": self.time,
            "interval": {"step_time_s": list(self.interval())}, "parts_s": self.parts_time, "overhead": float(self.overhead),
            "rollout_s": self.rollout.duration, "forward_passes_s": self.forward_time, "training_s": self.train_time,
            "weights_s": self.weights, "tokens_per_s_per_chip": self.tokens_per_second_per_chip, "assumptions": list(self.assumptions),
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<PostTraining {self.rollout.model.name} on {self.training.system.name}: {show(self.time, SECOND, 3)} a step>"

    def __str__(self) -> str:
        times = (self.rollout.duration, self.forward_time, self.train_time, self.weights)
        rows = [
            (name, show(time, SECOND, 3), f"{share:.0%}")
            for (name, share), time in zip(self.shares.items(), times, strict=True)
        ]
        where = "on chips apart" if self.apart else "on the same chips"
        span = f"80 % within {' - '.join(show(each, SECOND, 3) for each in self.interval())}"
        head = f"{self.rollout.model.name} on {self.chips:,.0f} chips of {self.training.system.name}, rollout and training {where}"
        text = f"{float(self.responses):,.0f} responses, {self.tokens / MILLION:,.2f} M tokens; {self.tokens_per_second_per_chip:,.0f} tokens/s per chip"
        return "\n".join(
            [
                head,
                text,
                "",
                columns(
                    [
                        ("step", show(self.time, SECOND, 3), span),
                        ("its parts", show(self.parts_time, SECOND, 3), ""),
                        *rows,
                    ]
                ),
                "",
                f"rollout on {self.rollout.layout.short()}; training on {layout_in_words(self.training)}",
                "",
                "what was chosen or assumed",
                *(f"  - {note}" for note in self.assumptions),
            ]
        )
