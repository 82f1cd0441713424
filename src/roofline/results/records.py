"""An answer for one point as the fields of its machine-readable form."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from roofline.core.units import Num
from roofline.workload.questions import Prefill, yielded

_ASKED: Final = (
    "input",
    "output",
    "context",
    "batch",
    "cached",
    "draft_tokens",
    "accept_length",
    "chunk",
    "imbalance",
    "requests_per_slot",
    "variation",
)
"""Words of the question that the machine-readable answer repeats."""


def record(est: Any) -> dict[str, Any]:
    """Return an answer for one point under the field names of the machine-readable form; units are in the names."""
    q, chips = est.question, float(est.chips)
    total = None
    if est.cycle is not None:
        total = float(est.requests_per_second * (q.input + q.output) / chips)
    intervals = {f"{name}_s": est.interval(name) for name in ("tpot", "ttft")}
    return {
        "model": q.model.name,
        "system": est.system.name,
        "chips": int(chips),
        "layout": est.layout.words(),
        "level": est.calibration.level,
        "calibration": est.calibration.name,
        "engine": est.calibration.engine.name,
        "dtype": q.model.dtype,
        "kv_dtype": q.model.formats.kv,
        **{name: _plain(getattr(q, name)) for name in _ASKED if hasattr(q, name)},
        **({} if isinstance(q, Prefill) else {"accept_length": _plain(yielded(q))}),
        **_loads(est),
        "ttft_s": _plain(est.ttft),
        **{f"ttft_p{p}_s": None if est.waits is None else _plain(est.ttft_percentile(p)) for p in PERCENTILES},
        "tpot_s": _plain(est.tpot),
        "output_tokens_per_s": _plain(est.tokens_per_second),
        "output_tokens_per_s_per_chip": _plain(est.tokens_per_second_per_chip),
        "total_tokens_per_s_per_chip": total,
        "tokens_per_s_per_user": _plain(est.tokens_per_second_per_user),
        "prefill_tokens_per_s_per_chip": _plain(est.prompt_tokens_per_second_per_chip),
        "memory_bytes_per_chip": {
            **{name: float(getattr(est.memory, name)) for name in ("weights", "kv_cache", "activations", "total")},
            "capacity": float(est.capacity),
        },
        "fits": bool(est.fits),
        "reasons": list(est.reasons),
        "max_concurrency": int(est.max_concurrency),
        "mfu": float(est.mfu),
        "bandwidth_utilization": float(est.bandwidth_utilization),
        "energy_j_per_output_token": None if est.tokens_per_second is None else _plain(est.joules_per_token),
        "usd_per_million_output_tokens": None if est.tokens_per_second is None else _plain(est.dollars_per_million_tokens),
        "idealisation": {
            f"{name}_s": None if (pair := est.idealisation(name)) is None or np.isnan(pair[0]) else [float(pair[0]), float(pair[1])]
            for name in ("tpot", "ttft")
        },
        "null_because": _missing(est),
        "bound": est.bound,
        "time_share": {name: float(part) for name, part in est.bounds.items()},
        "interval": {name: None if pair is None else [float(pair[0]), float(pair[1])] for name, pair in intervals.items()},
        "assumptions": list(est.assumptions),
    }  # fmt: skip


def record_pair(split: Any) -> dict[str, Any]:
    """Return an answer of two pools for one point under the field names of the machine-readable form; units are in the names."""
    q, named = split.question, {"prefill": split.prompts, "decode": split.answers}
    each = {
        name: {
            "system": est.system.name, "chips": int(est.chips), "layout": est.layout.words(), "requests_per_s": float(limit),
            "level": est.calibration.level, "engine": est.calibration.engine.name,
        }
        for (name, est), limit in zip(named.items(), split.limits, strict=True)
    }  # fmt: skip
    intervals = {"ttft_s": "ttft", "tpot_s": "tpot", "output_tokens_per_s": "tokens_per_second"}
    return {
        "model": q.model.name, "dtype": q.model.dtype, "kv_dtype": q.model.formats.kv,
        **{name: _plain(getattr(q, name)) for name in _ASKED if hasattr(q, name) and name != "chunk"},
        "chips": int(split.chips), "pools": each,
        "concurrency": _plain(split.in_flight), "request_rate_per_s": _plain(q.rate),
        "requests_per_s": float(split.requests_per_second),
        "ttft_s": _plain(split.ttft), "tpot_s": _plain(split.tpot), "wait_s": _plain(split.wait),
        "transfer_s": float(split.transfer), "exposed_transfer_s": float(split.exposed),
        "output_tokens_per_s": float(split.tokens_per_second),
        "output_tokens_per_s_per_chip": float(split.tokens_per_second_per_chip),
        "tokens_per_s_per_user": _plain(split.tokens_per_second_per_user),
        "prefill_chips_per_decode_chip": _plain(split.balance), "fits": bool(split.fits), "reasons": list(split.reasons),
        "energy_j_per_output_token": _plain(split.joules_per_token),
        "usd_per_million_output_tokens": _plain(split.dollars_per_million_tokens),
        "interval": {name: _ends(split.interval(quantity)) for name, quantity in intervals.items()},
        "null_because": _missing_pair(split),
        "assumptions": list(split.assumptions),
    }  # fmt: skip


def _missing_pair(split: Any) -> dict[str, str]:
    """Return why a number of two pools is null, where it is."""
    out: dict[str, str] = {}
    if np.isnan(split.tpot):
        out["tpot_s"] = "one token out has none after its first"
    if np.isnan(split.ttft):
        out["ttft_s"] = "more requests come than are answered: they wait without end"
    if split.prompts.calibration.level == "ideal":
        out["interval"] = "the ideal level bounds, and does not predict"
    for name, figure, word in (
        ("energy_j_per_output_token", "power_per_chip", "rated power"),
        ("usd_per_million_output_tokens", "price_per_chip", "trustworthy rent"),
    ):
        unknown = {e.system.name for e in (split.prompts, split.answers) if getattr(e.system, figure) is None}
        if unknown:
            out[name] = f"no {word} of {' and '.join(sorted(unknown))} is known"
    return out


def _ends(pair: tuple[Num, Num] | None) -> list[float | None] | None:
    """Return the ends of an interval; one that has no end is null."""
    return None if pair is None or np.isnan(pair[0]) else [_plain(pair[0]), _plain(pair[1])]


PERCENTILES: Final = (50, 90, 99)
"""Shares of requests, in per cent, whose times to the first token an answer tells."""


def _loads(est: Any) -> dict[str, Any]:
    """Return the requests in flight, those asked for and answered in a second; nothing of what is no service."""
    if est.requests_per_second is None:
        return {}
    asked = est.question.rate
    return {
        "concurrency": _plain(est.concurrency),
        "request_rate_per_s": None if asked is None else float(asked),
        "requests_per_s": float(est.requests_per_second),
    }


def _missing(est: Any) -> dict[str, str]:
    """Return why energy or money is null, where it is."""
    if est.tokens_per_second is None:
        return {}
    package = est.system.package.name
    out: dict[str, str] = {}
    if est.tpot is not None and np.isnan(est.tpot):
        out["tpot_s"] = "one token out has none after its first"
    if est.ttft is not None and np.isnan(est.ttft):
        out["ttft_s"] = "more requests come than are answered: they wait without end"
    if est.calibration.level == "ideal":
        out["interval"] = "the ideal level bounds, and does not predict"
    if est.joules_per_token is None:
        out["energy_j_per_output_token"] = f"no rated power of {est.system.name} or {package} is published; give power"
    if est.dollars_per_million_tokens is None:
        out["usd_per_million_output_tokens"] = (
            f"no trustworthy rent of {est.system.name} or {package} was found; give price"
        )
    return out


def _plain(value: Num | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
