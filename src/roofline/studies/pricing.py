"""A point, or a block of points, of a space: one pool of chips or two."""

from __future__ import annotations

from typing import Any

from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.planner.estimate import estimate
from roofline.planner.evaluation import one_block
from roofline.planner.pools import pools
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.results.training import Training
from roofline.workload.layout import Layout, PoolLayouts
from roofline.workload.questions import TrainStep


def priced(question: Any, system: System, layout: Layout | PoolLayouts, profile: Calibration) -> Any:
    """Return the answer at every point of the arrays in its arguments, at once: few enough of them for the caches."""
    if isinstance(layout, PoolLayouts):
        return pools(question, system, layout.decode, layout.prefill, level=profile, **driven(profile))
    return one_block(question, system, layout, profile)


def in_full(
    question: Any, system: System, layout: Layout | PoolLayouts, profile: Calibration
) -> Estimate | Training | Pools:
    """Return the answer about one point, as :func:`roofline.estimate`, :func:`roofline.train` and :func:`roofline.pools` give it."""
    if isinstance(layout, PoolLayouts):
        return pools(question, system, layout.decode, layout.prefill, level=profile, **driven(profile))
    words: Any = {} if isinstance(question, TrainStep) else driven(profile)
    found: Estimate | Training = estimate(question, system, layout, level=profile, **words)
    return found


def driven(profile: Calibration) -> dict[str, Any]:
    """Return the words that keep the engine of a profile as it is."""
    return {"engine": profile.engine} if profile.engine.name == "none" else {}
