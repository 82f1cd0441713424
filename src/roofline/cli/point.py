"""One point, asked by the same flags as ``estimate`` and ``train``: what ``needed``, ``sensitivity`` and ``break-even`` start from."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

from attrs import frozen
from cyclopts import Group, Parameter

from roofline import catalog
from roofline.cli import flags
from roofline.cli.options import (
    DEGREES,
    LOAD,
    MACHINE,
    SOFTWARE,
    STEP,
    Degrees,
    Load,
    Machine,
    Options,
    Software,
    Step,
    either,
)
from roofline.core.errors import QuestionError, fault
from roofline.planner.estimate import estimate
from roofline.planner.train import train
from roofline.results.estimate import Estimate
from roofline.results.training import Training
from roofline.studies.space import question_of

ASKED: Final = Group("What is asked", sort_key=0)
Phase = Annotated[
    Literal["serve", "decode", "prefill", "train"] | None,
    Parameter(
        group=ASKED,
        help="What to estimate: serve (a service under load, the default), decode (one step), prefill (one pass) or train (a training step).",
    ),
]
_OF_A_PASS: Final = ("draft_tokens", "accept_length", "imbalance")
_SIZES: Final = {"decode": ("batch", "context", *_OF_A_PASS), "prefill": ("batch", "input", "cached", "imbalance")}


@Parameter(name="*")
@frozen
class Pass(Options):
    """The sizes of a single step or pass."""

    batch: flags.Batch = None
    context: flags.Context = None


@Parameter(name="*")
@frozen
class Point:
    """Everything about one point but its model and system."""

    phase: Phase = None
    one: Pass = Pass()
    machine: Machine = MACHINE
    software: Software = SOFTWARE
    degrees: Degrees = DEGREES
    load: Load = LOAD
    step: Step = STEP

    def answer(self, model: str, system: str) -> Estimate | Training:
        """Return the answer for the point.

        Raises:
            QuestionError: a flag that the phase does not have.
        """
        phase = self.phase or ("train" if self.step.global_batch is not None else "serve")
        shape: dict[str, Any] = self.machine.words() | self.degrees.words()
        if phase in _SIZES:
            words, question = self._pass(model, phase)
            return cast("Estimate", estimate(question, system, **words, **shape))
        for name in self.one.words():
            instead = "--global-batch and --seq-len" if phase == "train" else "--concurrency"
            raise QuestionError(f"--{name}: is of --phase decode or prefill; --phase {phase} has {instead}")
        trains, asked = either(self.load, self.step, train=phase == "train", also=self.software)
        return train(model, system, **asked, **shape) if trains else estimate(model, system, **asked, **shape)

    def _pass(self, model: str, phase: str) -> tuple[dict[str, Any], Any]:
        """Return the words for the engine, and the question of one step or pass."""
        words = self.one.words() | self.load.words()
        for name, value in (words | Options.words(self.step)).items():
            if name not in _SIZES[phase]:
                known = ", ".join(f"--{each.replace('_', '-')}" for each in _SIZES[phase])
                flag = f"--{name.replace('_', '-')}"
                raise QuestionError(fault(flag, value, f"is not a flag of --phase {phase}", f"it has {known}"))
        software = self.software.words()
        stored = {name: software.pop(name) for name in ("dtype", "kv_dtype") if name in software}
        return software, question_of(phase, catalog.model(model, **stored), words)


POINT: Final = Point()
