"""Where the closed forms of a service are known to be rough, and the command that follows every request instead.

Each condition is physical and has a stable code. The grid of ``scripts/queueing_grid.py`` holds them to the simulator: no regime that is off
by more than its limit lacks one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from roofline.core.arrays import Mask, larger, share
from roofline.core.text import figure
from roofline.core.units import Count, Num, Ratio, Seconds
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.physics.queueing import Cadence
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

ROUGH: Final[Mapping[str, str]] = {
    "short-answers": "answers are so short that a few prompts of other requests decide how long they take",
    "always-prefill": "nearly every step passes prompts",
    "small-prompts": "a closed loop of short prompts spends most of its time in steps that pass them, and requests bunch",
    "long-prompts": "prompts of a chunk or more come at random at a high load, in bursts longer than answers",
    "lock-step": "attention ranks work in lock-step and pass prompts most of the time",
    "idle-ranks": "some attention ranks have no request while others decode",
    "just-full": "the cache is just full: the wait for a place is a small difference of large numbers",
    "busy-lanes": "the lanes that prefill are busy most of the time: the wait for one depends on how evenly requests come",
    "preemption": (
        "the cache is full and answers are longer than prompts: requests are preempted and recomputed, which this closed form leaves out; "
        "TPOT is longer and rates are lower than stated, by a fifth to more than a half in simulations"
    ),
}
"""Why a closed form is rough, by code."""

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
    """Return the codes of :data:`ROUGH` that hold, at any point of an answer.

    Args:
        decode: time of a step that only decodes; ``mixed``: of one that passes prompts.
        requests: in flight on an attention rank.
        part: share of the greatest rate that is asked, where requests come at a rate, or of the places that are taken.
        reserve: part of an answer for which the engine keeps cache when it lets a request in.
    """
    closed = question.rate is None
    # Share of the time in steps that pass prompts.
    passing = share(c.mixed * mixed, (1 - c.mixed) * decode + c.mixed * mixed)
    others = larger(requests * layout.dp - 1, 0.0) > 0 if closed else np.True_
    found: dict[str, Mask] = {
        "short-answers": (c.gaps < _SHORT) & (passing > _SOME) & others,
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


def note(
    codes: tuple[str, ...], question: Serve, system: System, layout: Layout, engine: Engine, *, prefill: Layout | None = None
) -> tuple[str, ...]:  # fmt: skip
    """Return what an answer says of it: the codes, their sentences, and the command that simulates the same.

    Args:
        prefill: layout of a prefill pool.
    """
    if not codes:
        return ()
    pool = "" if prefill is None else f" --prefill-chips {float(np.ravel(prefill.ranks)[0]):g}"
    why = "; ".join(ROUGH[code] for code in codes)
    return (
        f"rough closed form ({', '.join(codes)}): {why}. simulate follows every request: {command(question, system, layout, engine)}{pool}",
    )


def command(question: Serve, system: System, layout: Layout, engine: Engine) -> str:
    """Return the command that simulates a service; of several points the first.

    >>> import roofline as rl
    >>> est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=2, rate=3.0)
    >>> command(est.question, est.system, est.layout, est.calibration.engine)
    'roofline simulate llama-3.1-8b --system dgx-h100 --tp 2 --rate 3 --input 4096 --output 1024'
    """
    q = question
    words: list[tuple[str, Num | None, float]] = [
        ("tp", layout.tp, 1.0), ("pp", layout.pp, 1.0), ("dp", layout.dp, 1.0), ("ep", layout.ep, 1.0), ("rate", q.rate, 0.0),
        ("concurrency", q.concurrency, 0.0), ("input", q.input, 0.0), ("output", q.output, 0.0), ("cached", q.cached, 0.0),
        ("draft-tokens", q.draft_tokens, 0.0), ("accept-length", q.accept_length, 1.0),
    ]  # fmt: skip
    stack = f" --engine {engine.stack}" if engine.stack else ""
    said = [f"--{name} {figure(float(np.ravel(value)[0]), 6).replace(',', '')}" for name, value, usual in words
            if value is not None and float(np.ravel(value)[0]) != usual]  # fmt: skip
    return f"roofline simulate {q.model.name} --system {system.name}{stack} {' '.join(said)}"
