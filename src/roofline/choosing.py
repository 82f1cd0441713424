"""Layouts worth trying, those that can be laid out, and the best of those that fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline.answer import Estimate
from roofline.architecture import Model
from roofline.arrays import number, sizes
from roofline.calibration import Calibration
from roofline.errors import QuestionError, fault
from roofline.evaluation import answer
from roofline.hardware import System
from roofline.inference import rules
from roofline.layout import Layout
from roofline.units import MILLION, Num
from roofline.workload import Prefill, Question, Serve

_MOST_REQUESTS: Final = 262_144.0
_MOST_CANDIDATES: Final = 4 * int(MILLION)


def ranks_of(system: System, chips: int | None) -> int:
    """Return the ranks on so many chips of a system; on all of it for None.

    Raises:
        QuestionError: not a whole number of at least 1, or more than the system can join.
    """
    count = system.chips if chips is None else number(chips)
    if not isinstance(count, (int, float)) or not np.isfinite(count) or count < 1 or count != int(count):
        raise QuestionError(fault("chips", chips, "must be a whole number of at least 1"))
    ranks = int(count) * system.ranks_per_chip
    if ranks > system.reach:
        raise QuestionError(
            fault("chips", int(count), f"{system.name} joins {int(system.reach) // system.ranks_per_chip} at most")
        )
    return ranks


def grid(model: Model, ranks: int, words: Mapping[str, Num | None]) -> Layout:
    """Return the layouts worth trying: experts whole on their ranks or cut over all of them, unless ``ep`` is given."""
    out = Layout.grid(ranks, **words)
    return (
        out if words.get("ep") is not None else out.select((out.ep == 1) | (out.ep == out.stage) & (model.experts > 0))
    )


def possible(model: Model, system: System, candidates: Layout) -> Layout:
    """Return the candidates, on one axis, that can be laid out for a model on a system.

    Raises:
        QuestionError: none can; the message says why.
    """
    laws = rules(model, system, candidates)
    ok = np.logical_and.reduce([np.broadcast_to(rule.ok, np.shape(candidates.tp)) for rule in laws])
    if not ok.any():
        never = [rule.reason for rule in laws if not np.any(rule.ok)] or [
            rule.reason for rule in laws if not np.all(rule.ok)
        ]
        raise QuestionError(f"layout: none of {ok.size} can be laid out: {never[0]}")
    return candidates.select(ok)


def choose(
    question: Question, system: System, candidates: Layout, calibration: Calibration
) -> tuple[Layout, NDArray[np.int64]]:
    """Return, for each point asked, the candidate that fits and makes the most tokens per second, and how many fit.

    Where none fits, the one that needs the least memory. ``candidates`` lie on one axis.

    Raises:
        QuestionError: too many plans to price.
    """
    trailing = attrs.evolve(
        cast("Any", question),
        **{f.name: _axis(getattr(question, f.name)) for f in attrs.fields(type(question)) if f.name != "model"},
    )
    points = int(np.prod(sizes(trailing), dtype=np.int64)) * int(np.size(candidates.tp))
    if points > _MOST_CANDIDATES:
        rule = f"choosing a layout for each point would price {points:,} plans"
        raise QuestionError(fault("layout", None, rule, "give a Layout, or ask fewer points"))
    est = answer(trailing, system, candidates, calibration)
    rate = est.prompt_tokens_per_second if isinstance(question, Prefill) else est.tokens_per_second
    fits = np.broadcast_to(est.fits, est.shape)
    score = np.where(fits, np.broadcast_to(cast("Num", rate), est.shape), -np.broadcast_to(est.memory.total, est.shape))
    return candidates.select(np.argmax(score, axis=-1)[()]), np.sum(fits, axis=-1)


def _axis(value: Num) -> Num:
    return value[..., None] if isinstance(value, np.ndarray) else value


def survey(
    question: Serve, system: System, profile: Calibration, chips: int | None, words: Mapping[str, Num | None]
) -> Estimate:
    """Return the service at ever more requests in flight (first axis) under every layout worth trying (second axis)."""
    candidates = possible(question.model, system, grid(question.model, ranks_of(system, chips), words))
    requests = np.unique(np.round(2.0 ** np.arange(0, np.log2(_MOST_REQUESTS) + 0.25, 0.25)))
    return answer(attrs.evolve(question, concurrency=requests[:, None]), system, candidates, profile)


def load(est: Estimate, steps: int = 12) -> Estimate:
    """Return the same service with the same layout from one request to as many as fit, in powers of two at most.

    Raises:
        QuestionError: the answer is not of one service.
    """
    if not isinstance(est.question, Serve) or est.shape:
        raise QuestionError(fault("question", type(est.question).__name__, "only a service has a load"))
    most = max(float(est.max_concurrency), 1.0)
    points = np.unique(
        np.append(2.0 ** np.arange(np.floor(np.log2(most)) + 1), [float(est.question.concurrency), np.floor(most)])
    )
    if len(points) > steps:
        kept = np.unique(np.linspace(0, len(points) - 1, steps).round().astype(int))
        points = np.unique(np.append(points[kept], float(est.question.concurrency)))
    return answer(attrs.evolve(est.question, concurrency=points), est.system, est.layout, est.calibration)
