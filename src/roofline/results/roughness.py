"""The note of an answer whose closed form is inaccurate, with the command that simulates it instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from roofline.core.text import figure
from roofline.core.units import Num
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

ROUGH: Final[Mapping[str, str]] = {
    "short-answers": "outputs are so short that the prefill of a few other requests decides their time",
    "always-prefill": "nearly every step includes prefill",
    "small-prompts": "a closed loop of short prompts spends most of its time in mixed steps, and requests synchronize",
    "long-prompts": "prompts of a chunk or more arrive at random at a high load, in bursts longer than a request decodes",
    "lock-step": "attention ranks run in lock-step, and most steps include prefill",
    "idle-ranks": "some attention ranks have no request while others decode",
    "just-full": "the KV cache is just full: the wait for space is a small difference of large numbers",
    "busy-lanes": "the prefill lanes are busy most of the time: the wait depends on how evenly requests arrive",
    "preemption": (
        "the KV cache is full and outputs are longer than prompts: requests are preempted and recomputed, which this closed form leaves out; "
        "TPOT is longer and rates are lower than stated, by a fifth to more than a half in simulations"
    ),
}
"""Why a closed form is rough, by code."""


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
        f"inaccurate closed form ({', '.join(codes)}): {why}. simulate follows every request: {command(question, system, layout, engine)}{pool}",
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
    flags = [f"--{name} {figure(float(np.ravel(value)[0]), 6).replace(',', '')}" for name, value, usual in words
            if value is not None and float(np.ravel(value)[0]) != usual]  # fmt: skip
    return f"roofline simulate {q.model.name} --system {system.name}{stack} {' '.join(flags)}"
