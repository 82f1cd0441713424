"""An answer about one step of training as the fields of its machine-readable form, and where its time goes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from roofline.core.units import Num, Seconds
from roofline.physics.spans import Span
from roofline.results.points import one

KINDS: Final = ("weights", "gradients", "optimizer", "activations")
"""What memory is filled with."""
PHASES: Final = {
    "forward": "forward passes",
    "recompute": "what is done again",
    "backward": "gradients of inputs",
    "weight_gradients": "gradients of weights",
    "bubble": "waiting for other stages",
    "exchange": "exchange of gradients and weights between data-parallel ranks",
    "optimizer": "optimizer",
    "between": "between steps",
}
"""Parts of a step, in the order in which they are told, and what each is."""
_ASKED: Final = (
    "global_batch",
    "seq_len",
    "micro_batch",
    "recompute",
    "share",
    "task",
    "document",
    "offload",
    "imbalance",
)


def phases(whole: Span, bubble: Seconds) -> dict[str, Seconds]:
    """Return the time of each of :data:`PHASES`; they add up to that of the step.

    Args:
        whole: the step.
        bubble: time of it in which a rank waits for others of its pipeline.
    """
    batches, _, *exchanged, optimizer, between = whole.parts
    forward, backward, weights = (part.time * batches.times for part in batches.parts)
    again = batches.times * sum(
        (cost.time * n for work, cost, n in batches.parts[1].leaves() if work is not None and work.recompute),
        start=0.0,
    )
    exchange: Num = sum((span.time for span in exchanged), start=0.0)
    times = (forward, again, backward - again, weights, bubble, exchange, optimizer.time, between.time)
    return dict(zip(PHASES, times, strict=True))


def words(est: Any) -> dict[str, Any]:
    """Return the layout of one plan under the names of the machine-readable form."""
    layout = est.layout
    degrees = {name: int(getattr(layout, name)) for name in ("tp", "cp", "pp", "vpp", "dp", "ep")}
    return {
        **degrees,
        "etp": int(layout.tp if layout.etp is None else layout.etp) if est.question.model.experts else None,
        "sequence_parallel": layout.sequence_parallel,
        "sharding": layout.sharding,
        "schedule": layout.schedule,
    }


def brief(est: Any) -> dict[str, Any]:
    """Return what tells one plan from another, and what it gives."""
    q, memory = est.question, est.memory
    pair = est.interval("step_time")
    return {
        "layout": words(est),
        "micro_batch": _plain(q.micro_batch),
        "recompute": q.recompute,
        "step_time_s": float(est.step_time),
        "tokens_per_s": float(est.tokens_per_second),
        "tokens_per_s_per_chip": float(est.tokens_per_second_per_chip),
        "mfu": float(est.mfu),
        "hfu": float(est.hfu),
        "bubble_fraction": float(est.bubble_fraction),
        "memory_bytes_per_chip": {
            **{name: float(getattr(memory, name)) for name in (*KINDS, "total")},
            "capacity": float(est.capacity),
        },
        "fits": bool(est.fits),
        "interval": {"step_time_s": None if pair is None else [float(pair[0]), float(pair[1])]},
    }


def record(est: Any) -> dict[str, Any]:
    """Return an answer for one point under the field names of the machine-readable form; units are in the names.

    Raises:
        QuestionError: over many points.
    """
    one(est)
    q, told = est.question, brief(est)
    return {
        "model": q.model.name,
        "system": est.system.name,
        "chips": int(est.chips),
        "layout": told.pop("layout"),
        "level": est.calibration.level,
        "calibration": est.calibration.name,
        "framework": est.calibration.framework.name,
        "dtype": q.model.dtype,
        **{name: _plain(getattr(q, name)) for name in _ASKED},
        "tokens": int(est.tokens),
        "micro_batches": _plain(est.micro_batches),
        **{name: value for name, value in told.items() if name not in ("micro_batch", "recompute", "interval")},
        "model_flops_per_s_per_chip": float(est.model_flops_per_second_per_chip),
        "exposed_communication_s": float(est.exposed),
        "hidden_communication_s": float(est.hidden),
        "time_s": {name: float(time) for name, time in phases(est.whole, est.bubble).items()},
        "reasons": list(est.reasons),
        "energy_j_per_token": _number(est.joules_per_token),
        "usd_per_trillion_tokens": _number(est.dollars_per_trillion_tokens),
        "null_because": _missing(est),
        "bound": est.bound,
        "time_share": {name: float(part) for name, part in est.bounds.items()},
        "interval": told["interval"],
        "assumptions": list(est.assumptions),
    }


def _missing(est: Any) -> dict[str, str]:
    """Return why energy, money or the interval is null, where it is."""
    package = est.system.package.name
    out: dict[str, str] = {}
    if est.calibration.level == "ideal":
        out["interval"] = "the ideal level bounds, and does not predict"
    if est.joules_per_token is None:
        out["energy_j_per_token"] = f"no rated power of {est.system.name} or {package} is published; give power"
    if est.dollars_per_trillion_tokens is None:
        out["usd_per_trillion_tokens"] = f"no trustworthy rent of {est.system.name} or {package} was found; give price"
    return out


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: whole numbers as such, and nothing that is no number."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return None if np.isnan(number) else int(number) if number.is_integer() else number


def _number(value: Num | None) -> float | None:
    return None if value is None else float(value)
