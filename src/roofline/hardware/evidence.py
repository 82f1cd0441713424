r"""The distance of a question from measured runs, and the residuals at each distance.

A prediction is as sure as the nearest measured runs are near. Five distances are distinguished (:data:`DISTANCES`). For each there is
the distribution of

.. math:: \epsilon = \ln (\mathrm{measured} / \mathrm{predicted})

over runs that were predicted with constants fitted without any run nearer than that. Its quantiles are data
(``hardware/evidence/residuals.csv``, made by ``scripts/distance.py``); so is the list of what was measured.

How far measurements are spread depends on more than the distance: on how a service was launched, on whether the model is a mixture of
experts, and on whether kernels of the chip were timed (:data:`CONDITIONS`). Each makes them wider or narrower
by a factor (``hardware/evidence/conditions.csv``), the same at all distances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Final

import numpy as np
from attrs import evolve, field, frozen

from roofline.core.errors import QuestionError, fault
from roofline.core.units import Ratio

DISTANCES: Final = ("family", "stack", "chip", "maker", "other")
"""Names of the distances, the nearest first, as the data files spell them."""

WORDS: Final[Mapping[str, str]] = {
    "family": "same software stack, chip and model family",
    "stack": "same software stack and chip, other model family",
    "chip": "same chip, other software stack",
    "maker": "same maker, other chip",
    "other": "other maker's chip",
}
"""What each distance means: what the nearest measured runs have in common with the question."""

SHARES: Final = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
"""Shares of measurements at which quantiles are stored: the ends of intervals of 95, 80 and 50 %, and the median."""

CONDITIONS: Final = (("tuned", "unstated", "default", "day-0"), ("dense", "experts"), ("timed", "untimed"))
"""What an interval depends on beside the distance, in groups of which one at most holds; in each the surest first."""

CONDITION_WORDS: Final[Mapping[str, str]] = {
    "tuned": "tuned launch",
    "unstated": "launch not stated",
    "default": "default launch",
    "day-0": "launch on the day a model appeared",
    "dense": "dense model",
    "experts": "mixture of experts",
    "timed": "kernels of the chip timed",
    "untimed": "kernels of the chip not timed",
}
"""What each condition means."""

UNNAMED: Final = ("", "none", "generic")
"""Names of software that stand for no particular one."""

COVERAGE: Final = 0.8
"""Share of measurements that an interval holds, where none is asked."""
_APART: Final = 2e-9
"""Between quantiles that are equal, so that each has a share of its own."""
_FAR: Final = 8.0
"""Score beyond which nothing is distinguished."""
_NORMAL: Final = NormalDist()
_SCORES: Final = np.array([_NORMAL.inv_cdf(share) for share in SHARES])


def scaled(coverage: Ratio) -> Ratio:
    """Return how much wider a normal interval of some coverage is than one of 80 %."""
    return _NORMAL.inv_cdf((1 + float(coverage)) / 2) / _NORMAL.inv_cdf((1 + COVERAGE) / 2)


@frozen
class Subject:
    """What a question or a measured run is about.

    Attributes:
        kind: ``serving`` or ``training``.
        software: engine or framework; one of :data:`UNNAMED` where none is named.
        chip: the package, by the silicon it has.
        maker: who makes the chip.
        family: of models.
        model: name of the model.
    """

    kind: str
    software: str
    chip: str
    maker: str
    family: str
    model: str

    def distance(self, other: Subject) -> str:
        """Return how far a measured run of another subject is from a question about this one.

        >>> asked = Subject("serving", "vllm", "h100", "NVIDIA", "llama", "llama-3.1-8b")
        >>> asked.distance(Subject("serving", "vllm", "h200", "NVIDIA", "llama", "llama-3.1-8b"))
        'maker'
        >>> asked.distance(Subject("serving", "vllm", "h100", "NVIDIA", "qwen3", "qwen3-32b"))
        'stack'
        """
        if self.chip != other.chip:
            return "maker" if self.maker == other.maker else "other"
        if self.software != other.software or self.software in UNNAMED:
            return "chip"
        return "family" if self.family and self.family == other.family else "stack"


def conditions_of(launch: str | None, experts: bool, timed: bool) -> tuple[str, ...]:
    """Return the conditions that hold of a question or a run.

    Args:
        launch: kind of launch of a service, "" where it is not stated; None for training.
        experts: whether the model is a mixture of experts.
        timed: whether kernels of the chip were timed.

    >>> conditions_of("", experts=True, timed=False)
    ('unstated', 'experts', 'untimed')
    """
    launched = () if launch is None else (launch or "unstated",)
    return (*launched, "experts" if experts else "dense", "timed" if timed else "untimed")


@frozen
class Condition:
    """What a condition does to the quantiles of a quantity.

    Attributes:
        cells: that it was seen in.
        width: factor of the distances of quantiles from the median.
    """

    cells: int
    width: Ratio


@frozen
class Spread:
    """Quantiles of log(measured / predicted) of one quantity at one distance.

    Attributes:
        cells: sources x models x systems x formats that the runs are of, each of one weight.
        runs: runs.
        logs: the quantiles at :data:`SHARES`.
    """

    cells: int
    runs: int
    logs: tuple[float, ...]

    def at(self, share: Ratio) -> Ratio:
        """Return a quantile; between stored ones linear in the normal score, and so beyond the outermost.

        >>> spread = Spread(9, 90, (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4))
        >>> [round(float(spread.at(share)), 3) for share in (0.1, 0.5, 0.9)]
        [-0.2, 0.0, 0.2]
        """
        score = np.asarray(_NORMAL.inv_cdf(float(share)))
        inner = np.interp(score, _SCORES, self.logs)
        low, high = ((self.logs[i] - self.logs[i - 1]) / (_SCORES[i] - _SCORES[i - 1]) for i in (1, len(_SCORES) - 1))
        beyond = low * np.minimum(score - _SCORES[0], 0) + high * np.maximum(score - _SCORES[-1], 0)
        return float(inner + beyond)

    def below(self, log: Ratio) -> Ratio:
        """Return the share of measurements whose logarithm lies below one; the inverse of :meth:`at`.

        The normal distribution is met within 0.0002: ``1 / (1 + exp(-1.5976 s - 0.07056 s^3))`` of the score s.

        >>> spread = Spread(9, 90, (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4))
        >>> [round(float(spread.below(log)), 3) for log in (-0.2, 0.0, 0.2)]
        [0.1, 0.5, 0.9]
        """
        steps = np.maximum.accumulate(np.asarray(self.logs) + np.arange(len(self.logs)) * _APART)
        value = np.asarray(log)
        inner = np.interp(value, steps, _SCORES)
        low, high = ((_SCORES[i] - _SCORES[i - 1]) / (steps[i] - steps[i - 1]) for i in (1, len(_SCORES) - 1))
        score = inner + low * np.minimum(value - steps[0], 0) + high * np.maximum(value - steps[-1], 0)
        score = np.clip(score, -_FAR, _FAR)
        return 1 / (1 + np.exp(-1.5976 * score - 0.07056 * score**3))  # type: ignore[no-any-return]

    def ends(self, coverage: Ratio = 0.8) -> tuple[Ratio, Ratio]:
        """Return the logarithms of both ends of the interval expected to contain a share of measurements, over the prediction.

        Raises:
            QuestionError: the share is not in (0, 1).
        """
        if not 0 < coverage < 1:
            raise QuestionError(fault("coverage", coverage, "must be above 0 and below 1", "such as 0.8"))
        return self.at((1 - coverage) / 2), self.at((1 + coverage) / 2)

    def under(self, conditions: Iterable[Condition]) -> Spread:
        r"""Return the spread where some conditions hold: :math:`m + (q - m) \prod_c f_c` for a quantile q and the median m.

        >>> spread = Spread(9, 90, (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4))
        >>> [round(each, 2) for each in spread.under([Condition(5, 1.5)]).logs]
        [-0.6, -0.3, -0.15, 0.0, 0.15, 0.3, 0.6]
        """
        held, middle = tuple(conditions), self.logs[len(SHARES) // 2]
        if not held:
            return self
        width = math.prod(float(each.width) for each in held)
        return evolve(self, logs=tuple(middle + (q - middle) * width for q in self.logs))


def nested(spreads: Mapping[tuple[str, str, str], Spread]) -> dict[tuple[str, str, str], Spread]:
    """Return spreads of which none is narrower than one of a nearer distance: less evidence never makes an answer surer.

    Quantiles below the median are the least of those at the distance and at all nearer ones, quantiles above it the greatest. The
    median stays that of the distance. Few runs are far from the evidence, so that their own spread may be narrow by chance.

    Args:
        spreads: by quantity, distance, and engine or framework, "" for all together.

    >>> near, far = Spread(9, 90, (-4, -2, -1, 0, 1, 2, 4)), Spread(3, 9, (-3, -1, -0.5, 0.5, 1.5, 3, 3.5))
    >>> nested({("tpot", "chip", ""): near, ("tpot", "other", ""): far})["tpot", "other", ""].logs
    (-4, -2, -1, 0.5, 1.5, 3, 4)
    """
    out = {}
    for (quantity, distance, of), own in spreads.items():
        within = DISTANCES[: DISTANCES.index(distance) + 1]
        all_of = [spreads[quantity, name, of].logs for name in within if (quantity, name, of) in spreads]
        logs = tuple(
            middle if share == 0.5 else (min if share < 0.5 else max)(each)
            for share, middle, each in zip(SHARES, own.logs, zip(*all_of, strict=True), strict=True)
        )
        out[quantity, distance, of] = evolve(own, logs=logs)
    return out


@frozen
class Near:
    """The nearest measured runs of a question.

    Attributes:
        distance: one of :data:`DISTANCES`.
        subject: what most of the runs at that distance are about; None where nothing was measured.
        runs: of that subject.
    """

    distance: str
    subject: Subject | None
    runs: int

    def __str__(self) -> str:
        if self.subject is None:
            return "nearest evidence: none; the widest spread is used"
        software = f" under {self.subject.software}" if self.subject.software not in UNNAMED else ""
        about = f"{self.subject.model} on {self.subject.chip}{software}"
        return (
            f"nearest evidence: {about}, {self.runs:,} {'run' if self.runs == 1 else 'runs'} ({WORDS[self.distance]})"
        )

    def to_dict(self) -> dict[str, str | int | None]:
        """Return it under the names of the machine-readable form."""
        found = self.subject
        named = {
            name: None if found is None else getattr(found, name) for name in ("software", "chip", "maker", "model")
        }
        return {"distance": self.distance, "means": WORDS[self.distance], **named, "runs": self.runs}


@frozen(eq=False)
class Evidence:
    """What was measured, and how far measurements were from predictions at each distance.

    Attributes:
        measured: subjects with the number of runs of each.
        spreads: by quantity and distance, and of memory by the engine or framework; those of all together under "".
        alike: part of the variance of errors that two answers share, by quantity and by what exactly they have in common: a ``chip``, a
            ``software`` stack, a ``model``.
        conditions: what one of :data:`CONDITIONS` does to the spreads of a quantity.
    """

    measured: Mapping[Subject, int]
    spreads: Mapping[tuple[str, str, str], Spread]
    alike: Mapping[tuple[str, frozenset[str]], float] = field(factory=dict)
    conditions: Mapping[tuple[str, str], Condition] = field(factory=dict)

    def nearest(self, asked: Subject, least: str = "family") -> Near:
        """Return the nearest measured runs of a question; at a distance of ``least`` or further.

        Among runs at one distance those of the same model come first, then of the same family, then of the same software, then the
        most.
        """
        floor = DISTANCES.index(least)
        best: tuple[tuple[int, ...], Subject, int] | None = None
        for subject, runs in self.measured.items():
            if subject.kind != asked.kind:
                continue
            far = max(DISTANCES.index(asked.distance(subject)), floor)
            alike = (subject.chip == asked.chip, subject.model == asked.model, subject.family == asked.family,
                     subject.software == asked.software)  # fmt: skip
            rank = (-far, *map(int, alike), runs)
            if best is None or rank > best[0]:
                best = rank, subject, runs
        if best is None:
            return Near(DISTANCES[-1], None, 0)
        return Near(DISTANCES[-best[0][0]], best[1], best[2])

    def knows(self, quantity: str, distance: str, of: str) -> bool:
        """Return whether a spread of its own is stored for an engine or a framework."""
        return (quantity, distance, of) in self.spreads

    def spread(self, quantity: str, distance: str, of: str = "", under: Iterable[str] = ()) -> Spread:
        """Return the spread of a quantity at a distance; where none is stored, that of the next further, else of the next nearer.

        Args:
            of: an engine or a framework: its own spread at this distance, if there is one.
            under: conditions that hold; one that is not stored changes nothing.
        """
        start = DISTANCES.index(distance)
        order = (*DISTANCES[start:], *reversed(DISTANCES[:start]))
        known = ((quantity, distance, of), *((quantity, name, "") for name in order))
        found = next(self.spreads[key] for key in known if key in self.spreads)
        return found.under(self.conditions[quantity, each] for each in under if (quantity, each) in self.conditions)
