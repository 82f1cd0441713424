r"""Autoscaling of a simulated service: default target and start time, and a fixed fleet to compare with.

A start takes the engine's own time and the loading of the weights, :math:`60\,\mathrm{s} + W / (1\,\mathrm{GB/s})` for W bytes per chip.
Loading is measured at 0.9 to 1 GB/s from common storage: Llama-3-8B in 14.3 s from a gp3 volume
(https://developer.nvidia.com/blog/reducing-cold-start-latency-for-llm-inference-with-nvidia-runai-model-streamer), in 18 s on an L40S,
where the rest of vLLM's start (imports, compilation from a cache, graph capture) takes 64 s
(https://tensorfuse.io/docs/blogs/reducing_gpu_cold_start). A machine that must be booted first takes minutes more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import attrs
import numpy as np

from roofline.core.errors import QuestionError, fault
from roofline.core.units import BYTE, GIGA, SECOND, Seconds, show
from roofline.inference.autoscaling import Autoscale
from roofline.inference.autoscaling import Fleet as Running
from roofline.planner.evaluation import answer
from roofline.planner.fewest import halved, verdict
from roofline.results.estimate import Estimate
from roofline.results.fleet import STATES, Fixed, Fleet
from roofline.results.limits import Limit, all_met
from roofline.results.simulation import Simulation
from roofline.workload.questions import Serve

ENGINE: Final = 60.0
"""Time of an engine's start besides its weights, s; assumed, near the 64 s that were measured."""
LOADED: Final = GIGA
"""Bytes of weights per second and chip that storage delivers; assumed, near what was measured."""
_HEADROOM: Final = 0.7
"""Part of the rate up to which the limits hold that is aimed at."""
_CACHE: Final = 0.7
_TRIED: Final = 48


def ruled(given: Autoscale | str, est: Estimate, limits: tuple[Limit, ...]) -> tuple[Autoscale, tuple[str, ...]]:
    """Return the rule of a fleet with its target and its start, and what was taken for them.

    Args:
        given: the rule, or ``"2:8"``.
        est: of one replica, for the mean request.
        limits: on its times.

    Raises:
        QuestionError: a rule that has no meaning.
    """
    rule = given if isinstance(given, Autoscale) else Autoscale.of(given)
    notes = []
    if rule.start is None:
        weights = float(est.memory.weights) * est.system.ranks_per_chip
        rule = attrs.evolve(rule, start=ENGINE + weights / LOADED)
        notes.append(
            f"a new replica serves after {show(float(rule.start or 0.0), SECOND, 3)}: {ENGINE:g} s for the engine, and "
            f"{show(weights, BYTE, 3)} of weights per chip at 1 GB/s"
        )
    if rule.target is None:
        target, why = _target(rule, est, limits)
        rule = attrs.evolve(rule, target=target)
        notes.append(why)
    if not float(cast("Any", rule.target)) > 0:
        raise QuestionError(fault("target", rule.target, "must be above 0", "such as 32 requests in flight"))
    return rule, tuple(notes)


def _target(rule: Autoscale, est: Estimate, limits: tuple[Limit, ...]) -> tuple[float, str]:
    """Return the load of a replica that is aimed at, and why."""
    if rule.metric == "cache":
        return _CACHE, f"target: {_CACHE:.0%} of the KV cache of a replica"
    if rule.metric == "waiting":
        return 1.0, "target: one waiting request for each replica"
    most = max(float(est.max_concurrency), 1.0)
    flying = np.unique(np.round(np.geomspace(1.0, most, _TRIED)))
    q = attrs.evolve(cast("Serve", est.question), rate=None, concurrency=flying)
    many = answer(q, est.system, est.layout, est.calibration)
    feasible = np.broadcast_to(all_met(limits, many) & many.fits, flying.shape)
    rates = np.broadcast_to(np.asarray(many.requests_per_second, dtype=np.float64), flying.shape)
    best = float(rates[feasible].max()) if feasible.any() else float(rates[0])
    # Requests in flight grow faster than the rate, so that a share of the rate leaves room where a share of them would not.
    target = max(float(flying[rates <= _HEADROOM * best].max(initial=1.0)), 1.0)
    what = "its limits hold" if limits else "its cache holds"
    return target, (
        f"target: {target:,.0f} requests in flight of each replica: those at {_HEADROOM:.0%} of the {best:,.3g} requests/s up to which "
        f"{what} in closed form"
    )


def recorded(running: Running, chips: float, end: Seconds) -> Fleet:
    """Return what is known of a fleet that ran."""
    rows = np.array(running.log, dtype=np.float64).reshape(-1, 1 + len(STATES))
    rule = {name: value for name, value in attrs.asdict(running.rule).items() if name not in ("target", "start")}
    return Fleet(
        rule, float(running.rule.target or 0.0), float(running.rule.start or 0.0), chips, rows[:, 0],
        {name: rows[:, i + 1].astype(np.int64) for i, name in enumerate(STATES)}, running.paid, float(end),
    )  # fmt: skip


def fixed(simulated: Callable[[int], Simulation], most: int, chips: float) -> Fixed:
    """Return the smallest fixed fleet that meets the limits, up to ``most`` replicas; ``most`` of them where none does."""
    tried: dict[int, Simulation] = {}

    def keeps(n: int) -> bool:
        tried[n] = simulated(n)
        return tried[n].meets

    best = halved(keeps, 0, most) if keeps(most) else most
    found = tried[best]
    return Fixed(best, best * chips * found.end, found.meets, verdict(found))
