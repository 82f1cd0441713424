"""Predictions in the shape of AIPerf's ``profile_export_aiperf.json``, so that one tool shows what was predicted and what was measured.

A metric is an object with its unit, its mean (``avg``) and percentiles; what AIPerf calls inter-token latency is the time per output
token after the first. The intervals of the prediction lie under ``prediction``, a key of our own: AIPerf allows others.
See https://github.com/ai-dynamo/aiperf (``JsonExportData``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from roofline.core.errors import QuestionError, fault
from roofline.core.units import MILLI
from roofline.core.values import Record

SCHEMA: Final = "1.3"
"""Version of the export's schema that is written."""
PERCENTILES: Final = (1, 5, 10, 25, 50, 75, 90, 95, 99)
"""Percentiles of an export."""

_TIMES: Final = {"ttft": "time_to_first_token", "tpot": "inter_token_latency"}


def _metric(unit: str, mean: object, at: Mapping[int, object] | None = None, std: float | None = None) -> Record | None:
    """Return a metric; None where its mean is not known."""
    value = _plain(mean)
    if value is None:
        return None
    found = {f"p{p}": _plain(each) for p, each in (at or {}).items()}
    shown: Record = {"unit": unit, "avg": value, **{name: each for name, each in found.items() if each is not None}}
    return shown if std is None else {**shown, "std": std}


def _plain(value: object) -> float | None:
    if value is None:
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if np.isfinite(number) else None


def _milliseconds(value: Any) -> Any:
    return None if value is None else value / MILLI


def _export(metrics: Mapping[str, Record | None], config: Record, own: Record) -> Record:
    known: Record = {name: metric for name, metric in metrics.items() if metric is not None}
    return {
        "schema_version": SCHEMA,
        **known,
        "input_config": config,
        "was_cancelled": False,
        "error_summary": [],
        "prediction": own,
    }


def _config(model: str, phase: Mapping[str, Any]) -> Record:
    """Return what was asked as AIPerf states it: the model, and the phase that is measured."""
    stated = {name: value for name, value in phase.items() if value is not None}
    return {"models": {"items": [{"name": model}]}, "phases": [{"name": "profiling", **stated}]}


def _own(answer: Any) -> Record:
    """Return who predicts, on which machine, and the 80 % intervals of the means."""
    pairs = {name: answer.interval(name) for name in _TIMES}
    within: Record = {
        _TIMES[name]: None if pair is None else {"unit": "ms", "low": _plain(_milliseconds(pair[0])), "high": _plain(_milliseconds(pair[1]))}
        for name, pair in pairs.items()
    }  # fmt: skip
    return {
        "tool": "roofline",
        "system": answer.system.name,
        "chips": float(answer.chips),
        "coverage": 0.8,
        "interval": within,
    }


def of_service(est: Any) -> Record:
    """Return the answer for a service under a load, on one pool of chips or disaggregated.

    Args:
        est: an :class:`roofline.results.estimate.Estimate` of a :class:`Serve`, or :class:`roofline.results.pools.Pools`, of one point.

    Raises:
        QuestionError: over many points, or of no service.

    >>> from roofline.planner.estimate import estimate
    >>> found = of_service(estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8))
    >>> found["inter_token_latency"]["unit"], found["input_config"]["phases"][0]["concurrency"]
    ('ms', 8.0)
    """
    q = est.question
    if not hasattr(q, "output"):
        raise QuestionError(
            fault("question", type(q).__name__, "is no service, which is what AIPerf measures", "ask of a model")
        )
    if np.shape(est.ttft):
        raise QuestionError(fault("shape", np.shape(est.ttft), "is of one point only", "pick one with .at(index)"))
    named = {"ttft": getattr(est, "ttft_percentile", None), "tpot": getattr(est, "tpot_percentile", None)}
    at = {
        name: {} if each is None else {p: _milliseconds(each(p)) for p in PERCENTILES} for name, each in named.items()
    }
    whole = None if est.ttft is None or est.tpot is None else est.ttft + est.tpot * (q.output - 1)
    load = getattr(est, "in_flight", None)
    sent = None if q.requests_per_slot is None or load is None else q.requests_per_slot * load
    metrics = {
        "request_throughput": _metric("requests/sec", est.requests_per_second),
        "request_count": _metric("requests", sent),
        "request_latency": _metric("ms", _milliseconds(whole)),
        "time_to_first_token": _metric("ms", _milliseconds(est.ttft), at["ttft"]),
        "inter_token_latency": _metric("ms", _milliseconds(est.tpot), at["tpot"]),
        "output_token_throughput": _metric("tokens/sec", est.tokens_per_second),
        "output_token_throughput_per_user": _metric("tokens/sec/user", est.tokens_per_second_per_user),
        "input_sequence_length": _metric("tokens", q.input, std=float(q.variation * q.input)),
        "output_sequence_length": _metric("tokens", q.output, std=float(q.variation * q.output)),
    }
    asked = {"concurrency": None if q.rate is not None else _plain(load), "request_rate": _plain(q.rate)}
    return _export(metrics, _config(q.model.name, asked), _own(est))


def of_simulation(found: Any) -> Record:
    """Return the answer for a trace: every metric over the requests that were answered, with its percentiles.

    Args:
        found: a :class:`roofline.results.simulation.Simulation`.

    Raises:
        QuestionError: no request was served.
    """
    if not found.completed:
        raise QuestionError(
            fault("requests", 0, "no request was served, so there is nothing to export", "see .reasons")
        )
    columns = found.columns
    tpot = columns["tpot_s"][np.isfinite(columns["tpot_s"])]
    metrics = {
        "request_throughput": _metric("requests/sec", found.requests_per_second),
        "request_count": _metric("requests", found.completed),
        "request_latency": _spread("ms", columns["e2e_s"] / MILLI),
        "time_to_first_token": _spread("ms", columns["ttft_s"] / MILLI),
        "inter_token_latency": _spread("ms", tpot / MILLI),
        "output_token_throughput": _metric("tokens/sec", found.tokens_per_second),
        "output_token_throughput_per_user": _spread("tokens/sec/user", 1 / tpot),
        "input_sequence_length": _spread("tokens", columns["input_len"]),
        "output_sequence_length": _spread("tokens", columns["output_len"]),
        "benchmark_duration": _metric("sec", found.duration),
    }
    return _export(metrics, _config(found.model.name, {"requests": float(found.completed)}), _own(found))


def _spread(unit: str, values: Sequence[float] | np.ndarray) -> Record | None:
    """Return a metric over requests: mean, least, greatest, deviation and percentiles."""
    each = np.asarray(values, dtype=np.float64)
    if not each.size:
        return None
    at = dict(zip(PERCENTILES, np.percentile(each, PERCENTILES), strict=True))
    ends: Record = {"min": float(each.min()), "max": float(each.max())}
    return {**(_metric(unit, each.mean(), at, float(each.std())) or {}), **ends}
