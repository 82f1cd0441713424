"""Regimes in which the closed forms of a service are inaccurate.

Each condition is physical and has a stable code, :data:`roofline.results.roughness.ROUGH`. The grid of ``scripts/queueing_grid.py`` holds
them to the simulator: no regime that is off by more than its limit lacks one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roofline.core.arrays import Mask, larger
from roofline.core.units import Count, Num, Ratio, Seconds
from roofline.physics.queueing import Cadence
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

_SHORT: Final = 50.0
"""Steps of an answer below which single prompts count."""
_SOME: Final = 0.3
_MOST: Final = 0.65
_BUSY: Final = 0.7
_HALF: Final = 0.45
_SEVERAL: Final = 16.0
_LONGER: Final = 128.0
_FULL: Final = 1.5


def reasons(
    question: Serve, layout: Layout, c: Cadence, decode: Seconds, mixed: Seconds, *, requests: Count, part: Num, reserve: Ratio
) -> tuple[str, ...]:  # fmt: skip
    """Return the codes of :data:`roofline.results.roughness.ROUGH` that hold, at any point of an answer.

    Args:
        decode: time of a step that only decodes; ``mixed``: of one that passes prompts.
        requests: in flight on an attention rank.
        part: share of the greatest rate that is asked, where requests come at a rate, or of the places that are taken.
        reserve: part of an answer for which the engine keeps cache when it lets a request in.
    """
    closed = question.rate is None
    # Share of the time in steps that pass prompts.
    passing = c.in_prompts(decode, mixed)
    others = larger(requests * layout.dp - 1, 0.0) > 0 if closed else np.True_
    found: dict[str, Mask] = {
        "short-answers": (
            ((c.gaps < _SHORT) & (passing > _SOME)) | ((c.stalls > 0) & (c.gaps < _LONGER) & (passing > _MOST))
        )
        & others,
        "always-prefill": (c.passing > _BUSY) & others,
        "small-prompts": np.asarray(closed) & (c.gaps < _LONGER) & (c.most > _SEVERAL) & (passing > _MOST),
        "long-prompts": np.asarray(not closed) & (part > _HALF) & (c.most < 4 / 3),
        "lock-step": (np.asarray(layout.dp) > 1) & (passing > _BUSY),
        "idle-ranks": (np.asarray(layout.dp) > 1) & np.asarray(closed) & (requests < 1),
        "just-full": np.asarray(closed) & (part > 1) & (part < _FULL),
        # What is let in grows by its answer; short ones end before the cache that was left is full.
        "preemption": np.asarray(closed) & (part > 1) & (question.output * (1 - reserve) > question.input),
    }
    return tuple(code for code, where in found.items() if np.any(where))
