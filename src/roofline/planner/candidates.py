"""Candidate layouts, the valid ones among them, and the best that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import attrs
import numpy as np
from numpy.typing import NDArray

from roofline import catalog
from roofline.core.arrays import distinct, sizes, smaller, trailing
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.units import MILLION, Count, Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.service import SATURATES
from roofline.models.architecture import Model
from roofline.operators.feasibility import REACH, serving_rules
from roofline.planner.evaluation import answer
from roofline.results.estimate import Estimate
from roofline.workload.layout import Layout, one
from roofline.workload.questions import Prefill, Question, Serve

PATIENCE: Final = 10.0
"""Seconds to the first token that services are held to: beyond it, more requests in flight only wait longer."""

_MOST_REQUESTS_A_LANE: Final = 4096.0
_STEP: Final = float(np.exp2(1 / 8))
"""Each load of a layout over the one before."""
CHUNKS: Final = np.sort(np.append(2.0 ** np.arange(6, 14), 1.5 * 2.0 ** np.arange(6, 13)))
"""Prompt tokens beside a decode step: what an operator would tune."""
MOST_CANDIDATES: Final = 4 * int(MILLION)


def ranks_of(system: System, chips: int | None) -> int:
    """Return the ranks on so many chips of a system; on all of it for None.

    Raises:
        QuestionError: not a whole number of at least 1, or more than the system can join.
    """
    count = float(system.chips) if chips is None else one("chips", chips)
    refuse("chips", count, 1, whole=True)
    ranks = int(count) * system.ranks_per_chip
    if np.all(ranks > system.reach):  # of many sizes of a system, those that join too few are masked
        most = int(np.max(system.reach)) // system.ranks_per_chip
        raise QuestionError(fault("chips", int(count), f"{system.name} joins {most} at most", catalog.larger(system)))
    return ranks


def worth_trying(model: Model, system: System, chips: int | None, given: Mapping[str, Num]) -> Layout:
    """Return the layouts worth trying on so many chips, whether or not they can be laid out.

    Raises:
        QuestionError: no layout has the degrees given; one that cuts the model nowhere is reported as such, whatever the others are.
    """
    ranks = ranks_of(system, chips)
    for name in ("tp", "pp"):
        if name in given:
            possible(model, system, Layout.grid(1).replaced(name, one(name, given[name])), given)
    return grid(model, ranks, given)


def grid(model: Model, ranks: int, words: Mapping[str, Num | None]) -> Layout:
    """Return the layouts worth trying, unless a degree is given: experts whole on their ranks or cut over all of them.

    Attention data parallelism inside a replica is of use only to share experts; without them it is replicas in lock-step.
    """
    if not model.experts and words.get("dp") is None:
        words = {**words, "dp": 1}
    given: Any = dict(words)
    out = Layout.grid(ranks, **given)
    return (
        out if words.get("ep") is not None else out.select((out.ep == 1) | (out.ep == out.stage) & (model.experts > 0))
    )


def possible(model: Model, system: System, candidates: Layout, given: Mapping[str, Num] | None = None) -> Layout:
    """Return the candidates, on one axis, that can be laid out for a model on a system.

    Raises:
        QuestionError: none can; the message says why.
    """
    laws = serving_rules(model, _widest(system), candidates)
    shape = np.shape(candidates.tp)
    masks = [np.broadcast_to(rule.ok, shape) for rule in laws]
    ok = np.logical_and.reduce(masks)
    if not ok.any():
        # The law that fails everywhere; or, where several fail by turns, the one that fails most.
        worst = laws[int(np.argmin([mask.sum() for mask in masks]))]
        asked = next(
            (f"{name}={value:g}" for name, value in (given or {}).items() if worst.degree == name),
            "layout",
        )
        remedy = catalog.larger(system) if worst.key == REACH else ""
        words = f"{asked}{holding(given or {}) if asked == 'layout' else ''}"
        raise QuestionError(f"{words}: {worst.reason}{'; ' if remedy else ''}{remedy}")
    return candidates.select(ok)


def _widest(system: System) -> System:
    """Return a system whose tiers are each as large as the largest of its sizes, where a study tries many."""
    if np.ndim(system.reach) == 0:
        return system
    return attrs.evolve(system, tiers=tuple(attrs.evolve(tier, size=float(np.max(tier.size))) for tier in system.tiers))


def holding(given: Mapping[str, Num]) -> str:
    """Return the degrees that were given, in words."""
    return f" with {' '.join(f'{name}={float(value):g}' for name, value in given.items())}" if given else ""


def _chunked(question: Question) -> bool:
    """Return whether the chunk of a service is free."""
    return isinstance(question, Serve) and question.chunk is None


def under_all(question: Question, system: System, candidates: Layout, calibration: Calibration) -> Estimate:
    """Return the answer under every candidate, on an axis after those of the question, and with every chunk on one more if it is free.

    Raises:
        QuestionError: too many configurations to estimate.
    """
    asked: Any = (trailing(question), trailing(system), candidates, trailing(calibration))
    if _chunked(question):
        ours, *rest = (trailing(each) for each in asked)
        asked = (attrs.evolve(ours, chunk=CHUNKS), *rest)
    points = int(np.prod(sizes(*asked), dtype=np.int64))
    if points > MOST_CANDIDATES:
        rule = f"choosing a layout for each point would estimate {points:,} configurations"
        raise QuestionError(fault("layout", None, rule, "give a Layout, or ask fewer points"))
    return answer(*asked)


def choose(
    question: Question, system: System, candidates: Layout, calibration: Calibration
) -> tuple[Question, Layout, NDArray[np.int64]]:
    """Return, for each point asked, the question with its best chunk, the best candidate that fits, and how many fit.

    The best makes the most tokens per second among those that make a request wait for its first token no longer than
    :data:`PATIENCE`, where any does; of a lone prefill, the first token soonest; of requests that come at a
    rate, their answers. Where none fits, the one that needs the least memory. ``candidates`` lie on one axis.

    Raises:
        QuestionError: too many configurations to price.
    """
    chunked = _chunked(question)
    est = under_all(question, system, candidates, calibration)
    shape = est.shape if chunked else (*est.shape, 1)

    def flat(value: Any) -> NDArray[Any]:
        """Return one axis for all configurations of a point."""
        whole = np.broadcast_to(value, est.shape)
        return whole.reshape(*shape[:-2], -1)

    fits, soon = flat(est.fits), flat(np.asarray(est.ttft if est.ttft is not None else 0.0) <= PATIENCE)
    open_ = isinstance(question, Serve) and question.rate is not None
    # Whoever keeps up with a rate answers as many; the best answers soonest.
    soonest = est.ttft if isinstance(question, Prefill) else est.cycle if open_ else None
    value = flat(est.tokens_per_second) if soonest is None else -flat(soonest)
    quick = fits & (soon | ~(fits & soon).any(axis=-1, keepdims=True))
    # A plan that fits comes before any that does not.
    score, least = np.where(quick, value, -np.inf), -flat(est.memory.total / est.capacity)
    if open_:
        # Where none keeps up with the rate, the one that answers the most.
        sound = np.logical_and.reduce([flat(rule.ok) for rule in est.rules if rule.key != SATURATES])
        least = np.where(sound & (least >= -1), flat(est.tokens_per_second), least - 1)
    pick = np.where(fits.any(axis=-1), np.argmax(score, axis=-1), np.argmax(least, axis=-1))
    which, chunk = np.divmod(pick, shape[-1])
    if chunked:
        question = attrs.evolve(cast("Any", question), chunk=CHUNKS[chunk][()])
    fitting = fits.reshape(*fits.shape[:-1], *shape[-2:]).any(axis=-1).sum(axis=-1)
    return question, candidates.select(which[()]), fitting


def loads(layouts: Layout, room: Count) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every load of every layout: which layout, and how many requests in flight."""
    lanes = layouts.dp * layouts.replicas * layouts.pp

    def even(requests: Any) -> Any:
        """Return a load that spreads evenly over lanes, or over replicas where it is less than one a lane."""
        unit = np.where(requests < lanes, layouts.replicas, lanes)
        return np.floor(requests / unit) * unit

    most = np.clip(room, layouts.replicas, _MOST_REQUESTS_A_LANE * lanes)
    steps = np.arange(np.ceil(np.log(np.max(most / layouts.replicas, initial=1.0)) / np.log(_STEP)) + 1)[:, None]
    ladder = even(np.minimum(layouts.replicas * _STEP**steps, most)).T
    which, step = np.nonzero(np.diff(ladder, axis=1, prepend=0.0))
    return which, ladder[which, step]


def load(est: Estimate, steps: int = 12) -> Estimate:
    """Return the same service with the same layout from one request to as many as fit, in powers of two at most.

    Raises:
        QuestionError: the answer is not of one service.
    """
    if not isinstance(est.question, Serve) or est.shape:
        raise QuestionError(fault("question", type(est.question).__name__, "only a service has a load"))
    most = max(float(est.max_concurrency), 1.0)
    points = distinct(
        np.append(
            2.0 ** np.arange(np.floor(np.log2(most)) + 1),
            [smaller(float(est.concurrency), np.floor(most)), np.floor(most)],
        )
    )
    if len(points) > steps:
        places = distinct(np.linspace(0, len(points) - 1, steps).round().astype(int))
        points = distinct(np.append(points[places], float(est.concurrency)))
    return answer(attrs.evolve(est.question, concurrency=points, rate=None), est.system, est.layout, est.calibration)
