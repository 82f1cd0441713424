r"""Intervals of memory, from start-up logs of engines and peaks of training.

Of serving, with a room for cache R, tokens T in it, the chip's memory M as its driver reports it, and residuals of logs: e of the room over
M, c of the tokens to a byte of room,

.. math:: R' = R + e M, \qquad T' = T \, \frac{R'}{R} \, e^{c}

Of training, what a chip holds times :math:`e^{p}`, with residuals p of published peaks. Two distances are distinguished: an engine that has
logs (``family``), or a framework that has peaks (``stack``); and one without any (``chip``).

Where the release is not stated, the newest is taken, and each that the engine's file describes is as likely: what its own share of the
memory, and what it takes for itself, make of the room widens the interval as other answers do (:mod:`roofline.results.alternatives`).
"""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np
from attrs import evolve

from roofline import catalog
from roofline.core.arrays import larger, share
from roofline.core.units import BYTE, Bytes, Count, Num, Ratio, show
from roofline.hardware.constants import Calibration
from roofline.hardware.evidence import Spread, scaled
from roofline.operators import serving_memory
from roofline.operators.memory import ranks_per_package
from roofline.operators.serving_memory import caches_uniformly
from roofline.results.alternatives import Z80
from roofline.workload.questions import Serve, TrainStep

HELD: Final = ("memory", "max_concurrency", "kv_cache_tokens")
"""Quantities that memory decides."""


def distance(est: Any) -> str:
    """Return how far an answer's memory is from what was printed: ``family``, ``stack`` (a framework with peaks) or ``chip``.

    >>> from roofline.planner.estimate import estimate
    >>> [distance(estimate("llama-3.1-8b", "dgx-h100", tp=1, engine=name)) for name in ("vllm", "nim")]
    ['family', 'chip']
    """
    known = catalog.evidence()
    if isinstance(est.question, TrainStep):
        return "stack" if known.knows("peak", "stack", est.calibration.framework.name) else "chip"
    return "family" if known.knows("room", "family", est.calibration.engine.name) else "chip"


def _spread(est: Any, quantity: str) -> Spread:
    profile = est.calibration
    of = profile.framework.name if quantity == "peak" else profile.engine.name
    return catalog.evidence().spread(quantity, distance(est), of)


def reported(est: Any) -> Bytes:
    """Return the bytes that the driver reports, of the ranks on a chip."""
    memory = est.system.chip.memory
    return cast("Bytes", memory.capacity * memory.usable * ranks_per_package(est.system, est.layout))


def others(est: Any) -> tuple[Bytes, ...]:
    """Return by how many bytes of a chip the room is larger in each release that an answer may be about; 0 alone where it is stated."""
    own, profile = est.calibration.engine, est.calibration
    releases = () if own.release or own.name not in catalog.names("engine") else catalog.releases(own.name)
    if not releases:
        return (0.0,)
    n, context = ranks_per_package(est.system, est.layout), _context(est.question)

    def left(changed: Calibration) -> Bytes:
        shared = serving_memory.memory_budget(est.question.model, est.system, est.layout, changed, context)
        return shared.capacity - shared.runtime - shared.activations

    usual = catalog.engine(own.name, est.system).memory_fraction
    out: list[Bytes] = [0.0]
    for release in releases:
        found = catalog.engine(f"{own.name}@{release}", est.system, kind=own.stated_kind)
        fraction = found.memory_fraction if own.memory_fraction == usual else own.memory_fraction
        share_of = profile.memory_fraction if fraction is None else fraction
        engine = evolve(own, memory=found.memory, budget=found.budget, memory_fraction=fraction)
        out.append(n * (left(evolve(profile, memory_fraction=share_of, engine=engine)) - left(profile)))
    return tuple(out)


def _context(question: Any) -> Count:
    """Return the tokens of the longest request of a question."""
    if isinstance(question, Serve):
        return question.input + question.output
    return getattr(question, "context", getattr(question, "input", 0.0))


def _ends(est: Any, coverage: Ratio) -> tuple[Bytes, Bytes]:
    """Return the ends of the room of a service over what is predicted, in bytes of the fullest chip."""
    (low, high), whole, z = _spread(est, "room").ends(coverage), reported(est), scaled(coverage) * Z80
    apart = others(est)
    below, above = (sum(clip(each, 0.0) ** 2 for each in apart) / len(apart) for clip in (np.minimum, np.maximum))
    return -np.hypot(low * whole, z * np.sqrt(below)), np.hypot(high * whole, z * np.sqrt(above))


def room(est: Any, coverage: Ratio) -> tuple[Bytes, Bytes]:
    """Return the interval of the bytes that are left for the cache of a service on the fullest chip."""
    low, high = _ends(est, coverage)
    left = _left(est) + est.memory.kv_cache
    return larger(left + low, 0.0), larger(left + high, 0.0)


def _left(est: Any) -> Bytes:
    """Return the bytes of the fullest chip that an answer leaves free; below 0 where it does not fit."""
    return cast("Bytes", est.capacity - est.memory.total)


def interval(est: Any, quantity: str, coverage: Ratio) -> tuple[Num, Num] | None:
    """Return the interval of ``memory`` (bytes on the fullest chip), ``max_concurrency`` or ``kv_cache_tokens``; None at the ideal level.

    Args:
        est: an answer about serving or a step of training.
        quantity: one of ``HELD``.
        coverage: the share of measurements that it holds.
    """
    if est.calibration.level == "ideal":
        return None
    if isinstance(est.question, TrainStep):
        low, high = _spread(est, "peak").ends(coverage)
        return est.memory.total * np.exp(low), est.memory.total * np.exp(high)
    if quantity == "memory":
        low, high = _ends(est, coverage)
        return larger(est.memory.total - high, 0.0), est.memory.total - low
    value, left = getattr(est, quantity), _left(est) + est.memory.kv_cache
    each = share(est.memory.tokens, est.memory.kv_cache)
    if quantity == "max_concurrency":
        each = share(value, larger(left, 1.0))
    ends = _spread(est, "cache" if caches_uniformly(est.question.model) else "cache_mixed").ends(coverage)
    below = np.hypot(each * left - each * room(est, coverage)[0], value * -np.expm1(min(ends[0], 0.0)))
    above = np.hypot(each * room(est, coverage)[1] - each * left, value * np.expm1(max(ends[1], 0.0)))
    return larger(each * left - below, 0.0), larger(each * left + above, 0.0)


def chance_of_fitting(est: Any) -> Ratio:
    """Return the chance that a chip holds its part, by the residuals of the memory.

    >>> from roofline.planner.estimate import estimate
    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    >>> float(est.fits_probability) > 0.99
    True
    """
    if est.calibration.level == "ideal":
        return (_left(est) >= 0) * 1.0
    if isinstance(est.question, TrainStep):
        return _spread(est, "peak").below(np.log(share(est.capacity, est.memory.total)))
    spread, whole, apart = _spread(est, "room"), reported(est), others(est)
    return sum(1 - spread.below(-share(_left(est) + each, whole)) for each in apart) / len(apart)


def sentences(est: Any) -> tuple[str, ...]:
    """Return what a release that is not stated means for the room of a service, where that matters: one sentence, or none.

    >>> from roofline.planner.estimate import estimate
    >>> sentences(estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm@0.27"))
    ()
    """
    if isinstance(est.question, TrainStep) or est.calibration.level == "ideal":
        return ()
    apart = [float(each) for each in others(est)]
    if max(map(abs, apart)) < _SAID * float(reported(est)):
        return ()
    title = est.calibration.engine.title or est.calibration.engine.name
    least, most = min(apart), max(apart)
    ends = [f"{show(-least, BYTE)} less"] * (least < 0) + [f"{show(most, BYTE)} more"] * (most > 0)
    how = f"name it: engine={est.calibration.engine.name}@RELEASE (roofline list engines)"
    return (
        f"the release of {title} is not stated, so the newest is taken; older ones leave up to {' or '.join(ends)} per chip; {how}",
    )


_SAID: Final = 0.02
"""Part of a chip's memory from which on an answer says what releases differ by."""
