"""Answers for one point as the fields of their machine-readable forms; units are in the names.

A number without meaning is null, and ``null_because`` says why; a layout has one form in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from roofline.core.text import figure
from roofline.core.units import BYTE, DAY, HOUR, MILLION, SECOND, TERA, Num, Seconds, show
from roofline.hardware.energy import SCOPES
from roofline.hardware.hardware import System
from roofline.physics.spans import Span
from roofline.results.energy import SCOPE
from roofline.workload.layout import Layout
from roofline.workload.questions import Prefill, TrainStep, tokens_per_step

if TYPE_CHECKING:
    from roofline.results.answer import LayoutAnswer
    from roofline.results.campaign import Campaign
    from roofline.results.estimate import Estimate
    from roofline.results.pools import Pools
    from roofline.results.training import Training
    from roofline.workload.questions import Serve

PERCENTILES: Final = (50, 90, 99)
"""Shares of requests, in per cent, whose times to the first token an answer reports."""

_ASKED_OF_SERVICES: Final = (
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

KINDS: Final = ("weights", "gradients", "optimizer", "activations")
"""What memory is filled with."""
PHASES: Final = {
    "forward": "forward passes",
    "recompute": "recomputation",
    "backward": "gradients of inputs",
    "weight_gradients": "gradients of weights",
    "bubble": "waiting for other stages",
    "exchange": "exchange of gradients and weights between data-parallel ranks",
    "optimizer": "optimizer",
    "between": "between steps",
}
"""Parts of a step, in the order in which they are printed, and what each is."""
_ASKED_OF_STEPS: Final = (
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
"""Words of a training step that the machine-readable answer repeats."""

# Values --------------------------------------------------------------------------------------------------------------


def plain(value: Num | None) -> float | None:
    """Return a number as JSON has it; null for one without meaning or end."""
    return None if value is None or not np.isfinite(value) else float(value)


def counted(value: Num | str | None) -> float | int | str | None:
    """Return a size or a word as JSON has it; a whole number without a fraction.

    >>> counted(8.0), counted(0.5), counted("full")
    (8, 0.5, 'full')
    """
    if value is None or isinstance(value, str):
        return value
    found = plain(value)
    return int(found) if found is not None and found.is_integer() else found


def layout_fields(layout: Layout, *, training: bool, experts: bool) -> dict[str, Any]:
    """Return one layout as JSON has it, the same keys for serving and training.

    ``etp`` is null where a model has no experts or a service cuts them over what ``ep`` leaves; ``sharding`` and ``schedule``, which
    are words of training, are null for a service.

    >>> layout_fields(Layout(tp=8), training=False, experts=False)["tp"]
    8
    """
    degrees = {name: int(getattr(layout, name)) for name in ("tp", "cp", "pp", "vpp", "dp", "ep")}
    etp = layout.tp if layout.etp is None and training else layout.etp
    return {
        **degrees,
        "etp": int(etp) if experts and etp is not None else None,
        "replicas": int(layout.replicas),
        "redundant_experts": int(layout.redundant_experts),
        "sequence_parallel": layout.sequence_parallel,
        "fsdp": None if layout.fsdp is None else int(layout.fsdp),
        "context": layout.context if training else None,
        "sharding": layout.sharding if training else None,
        "schedule": layout.schedule if training else None,
    }


def layout_of(est: LayoutAnswer[Any, Any]) -> dict[str, Any]:
    """Return the layout of an answer for one point as JSON has it."""
    q = est.question
    return layout_fields(est.layout, training=isinstance(q, TrainStep), experts=bool(q.model.experts))


def _ends(pair: tuple[Num, Num] | None) -> list[float | None] | None:
    """Return the ends of an interval; one that has no end is null."""
    return None if pair is None or np.isnan(pair[0]) else [plain(pair[0]), plain(pair[1])]


def _evidence(est: LayoutAnswer[Any, Any]) -> dict[str, Any] | None:
    """Return the nearest measured runs; null for a bound, which has no interval."""
    return None if est.calibration.level == "ideal" else est.evidence.to_dict()


# Serving -------------------------------------------------------------------------------------------------------------


def of_estimate(est: Estimate) -> dict[str, Any]:
    """Return an answer for one point under the field names of the machine-readable form; units are in the names."""
    est.one()
    q, chips = cast("Any", est.question), float(est.chips)
    total, each = None, est.requests_per_second
    if est.cycle is not None and each is not None:
        total = float(each * (q.input + q.output) / chips)
    intervals = {f"{name}_s": est.interval(name) for name in ("tpot", "ttft")}
    if est.tokens_per_second is not None:
        intervals |= {
            "output_tokens_per_s": est.interval("tokens_per_second"),
            "energy_j_per_output_token": est.interval("joules_per_token"),
            "usd_per_million_output_tokens": est.interval("dollars_per_million_tokens"),
        }
    if est.waits is not None:
        intervals |= {f"{name}_p{p}_s": est.interval(f"{name}_p{p}") for name in ("ttft", "tpot") for p in PERCENTILES}
    intervals |= {name: est.interval(name) for name in ("max_concurrency", "kv_cache_tokens")}
    return {
        "model": q.model.name,
        "system": est.system.name,
        "chips": int(chips),
        "layout": layout_of(est),
        "level": est.calibration.level,
        "bound_only": est.calibration.level == "ideal",
        "calibration": est.calibration.name,
        "engine": est.calibration.engine.name,
        "dtype": q.model.dtype,
        "kv_dtype": q.model.formats.kv,
        **{name: plain(getattr(q, name)) for name in _ASKED_OF_SERVICES if hasattr(q, name)},
        **({} if isinstance(q, Prefill) else {"accept_length": plain(tokens_per_step(q))}),
        **_loads(est),
        "ttft_s": plain(est.ttft),
        **_percentiles(est, "ttft"),
        "tpot_s": plain(est.tpot),
        **_percentiles(est, "tpot"),
        "output_tokens_per_s": plain(est.tokens_per_second),
        "output_tokens_per_s_per_chip": plain(est.tokens_per_second_per_chip),
        "total_tokens_per_s_per_chip": total,
        "tokens_per_s_per_user": plain(est.tokens_per_second_per_user),
        "prefill_tokens_per_s_per_chip": plain(est.prompt_tokens_per_second_per_chip),
        "memory_bytes_per_chip": _memory(est),
        "memory_interval_bytes_per_chip": _ends(est.interval("memory")),
        "fits": bool(est.fits),
        "fits_probability": float(est.fits_probability),
        "reasons": list(est.reasons),
        "max_concurrency": int(est.max_concurrency),
        "kv_cache_tokens": int(est.kv_cache_tokens),
        "mfu": float(est.mfu),
        "bandwidth_utilization": float(est.bandwidth_utilization),
        "energy_j_per_output_token": None if est.tokens_per_second is None else plain(est.joules_per_token),
        "energy": energy_of(est),
        "usd_per_million_output_tokens": None if est.tokens_per_second is None else plain(est.dollars_per_million_tokens),
        "usd_apart": _apart(est),
        "idealisation": {
            f"{name}_s": None if (pair := est.idealisation(name)) is None or np.isnan(pair[0]) else [float(pair[0]), float(pair[1])]
            for name in ("tpot", "ttft")
        },
        "null_because": _missing_of_estimate(est),
        "bound": est.bound,
        "time_share": {name: float(part) for name, part in est.bounds.items()},
        "interval": {name: _ends(pair) for name, pair in intervals.items()},
        "evidence": _evidence(est),
        **({"limits": [each.record(each.of(est)) for each in est.limits], "meets_limits": bool(est.meets)} if est.limits else {}),
        "rough": list(est.rough),
        "warnings": list(est.question.model.notices),
        "assumptions": list(est.assumptions),
    }  # fmt: skip


def _memory(est: Estimate) -> dict[str, float]:
    """Return the bytes on a chip by what they hold, and its capacity."""
    parts = ("weights", "kv_cache", "activations", "runtime", "total")
    return {name: float(getattr(est.memory, name)) for name in parts} | {"capacity": float(est.capacity)}


def of_pools(split: Pools) -> dict[str, Any]:
    """Return an answer of two pools for one point under the field names of the machine-readable form; units are in the names.

    What a pool has by itself, such as its layout and memory, is under ``pools``; at the top, as for one pool, it is of the decode pool,
    and ``prefill_tokens_per_s_per_chip`` is of the prefill pool.
    """
    split.one()
    q, named = split.question, {"prefill": split.prefill, "decode": split.decode}
    each = {
        name: {
            "system": est.system.name, "chips": int(est.chips), "layout": layout_of(est), "requests_per_s": float(limit),
            "level": est.calibration.level, "engine": est.calibration.engine.name, "memory_bytes_per_chip": _memory(est),
        }
        for (name, est), limit in zip(named.items(), split.limits, strict=True)
    }  # fmt: skip
    intervals = {
        "ttft_s": "ttft",
        "tpot_s": "tpot",
        "output_tokens_per_s": "tokens_per_second",
        "energy_j_per_output_token": "joules_per_token",
        "usd_per_million_output_tokens": "dollars_per_million_tokens",
    }
    return {
        "model": q.model.name, "dtype": q.model.dtype, "kv_dtype": q.model.formats.kv,
        **{name: plain(getattr(q, name)) for name in _ASKED_OF_SERVICES if hasattr(q, name) and name != "chunk"},
        "system": split.system.name, "chips": int(split.chips), "layout": layout_of(split.decode),
        "level": split.calibration.level, "engine": split.calibration.engine.name, "pools": each, "bound_only": split.prefill.calibration.level == "ideal",
        "concurrency": plain(split.in_flight), "request_rate_per_s": plain(q.rate),
        "requests_per_s": float(split.requests_per_second),
        "ttft_s": plain(split.ttft), **_percentiles(split, "ttft"), "tpot_s": plain(split.tpot), **_percentiles(split, "tpot"), "wait_s": plain(split.wait),
        "transfer_s": float(split.transfer), "exposed_transfer_s": float(split.exposed),
        "output_tokens_per_s": float(split.tokens_per_second),
        "output_tokens_per_s_per_chip": float(split.tokens_per_second_per_chip),
        "tokens_per_s_per_user": plain(split.tokens_per_second_per_user),
        "total_tokens_per_s_per_chip": float(split.requests_per_second * (q.input + q.output) / split.chips),
        "prefill_tokens_per_s_per_chip": plain(split.prefill.prompt_tokens_per_second_per_chip),
        "memory_bytes_per_chip": _memory(split.decode), "max_concurrency": int(split.decode.max_concurrency),
        "kv_cache_tokens": int(split.decode.kv_cache_tokens), "mfu": float(split.decode.mfu),
        "bandwidth_utilization": float(split.decode.bandwidth_utilization), "bound": split.bound,
        "prefill_chips_per_decode_chip": plain(split.balance), "fits": bool(split.fits),
        "fits_probability": float(split.fits_probability), "reasons": list(split.reasons),
        "energy_j_per_output_token": plain(split.joules_per_token),
        "energy": energy_of(split),
        "usd_per_million_output_tokens": plain(split.dollars_per_million_tokens),
        "usd_apart": _apart(split),
        "interval": {name: _ends(split.interval(quantity)) for name, quantity in intervals.items()},
        "null_because": _missing_of_pools(split),
        "warnings": list(split.question.model.notices),
        "assumptions": list(split.assumptions),
    }  # fmt: skip


def _apart(est: Estimate | Pools) -> dict[str, float | None] | None:
    """Return the cost of prompt and output tokens apart; None for what is no service, and where no cost per hour is known."""
    pair = est.dollars_apart
    if pair is None:
        return None
    return {"per_million_input_tokens": plain(pair[0]), "per_million_output_tokens": plain(pair[1])}


def energy_of(est: Any) -> dict[str, Any] | None:
    """Return energy and power by scope, and power by part; None where no rated power is known.

    ``scope`` is that of the answer's own joules a token. A prefill makes prompt tokens.
    """
    if est.joules() is None:
        return None
    parts = cast("dict[str, Num]", est.power_parts("hall"))
    return {
        "scope": SCOPE,
        "j_per_token": {scope: plain(est.joules(scope)) for scope in SCOPES},
        "power_w": {scope: plain(est.power(scope)) for scope in SCOPES},
        "hall_parts_w": {name: plain(watts) for name, watts in parts.items()},
    }


def _missing_of_pools(split: Pools) -> dict[str, str]:
    """Return why a number of two pools is null, where it is."""
    out: dict[str, str] = {}
    if np.isnan(split.tpot):
        out["tpot_s"] = "one token out has none after its first"
    if np.isnan(split.ttft):
        out["ttft_s"] = "more requests arrive than are served: the queue grows without limit"
    if split.prefill.calibration.level == "ideal":
        out["interval"] = "the ideal level is a bound, not a prediction"
    for name, known, word in (
        ("energy_j_per_output_token", "power_per_chip", "rated power"),
        ("energy", "power_per_chip", "rated power"),
        ("usd_per_million_output_tokens", "price_per_chip", "trustworthy cost per hour"),
        ("usd_apart", "price_per_chip", "trustworthy cost per hour"),
    ):
        unknown = {e.system.name for e in (split.prefill, split.decode) if getattr(e.system, known) is None}
        if unknown:
            out[name] = f"no {word} of {' and '.join(sorted(unknown))} is known"
    return out


def _percentiles(est: Any, name: str) -> dict[str, float | None]:
    """Return the percentiles of a time of a service, all at once; null of what is no service."""
    found = getattr(est, f"{name}_percentile")(np.array(PERCENTILES, dtype=np.float64))
    values = [None] * len(PERCENTILES) if found is None else np.broadcast_to(found, len(PERCENTILES))
    return {f"{name}_p{p}_s": plain(value) for p, value in zip(PERCENTILES, values, strict=True)}


def _loads(est: Estimate) -> dict[str, Any]:
    """Return the requests in flight, those asked for and answered in a second; nothing of what is no service."""
    if est.requests_per_second is None:
        return {}
    asked = cast("Serve", est.question).rate
    return {
        "concurrency": plain(est.concurrency),
        "request_rate_per_s": None if asked is None else float(asked),
        "requests_per_s": float(est.requests_per_second),
    }


def _missing_of_estimate(est: Estimate) -> dict[str, str]:
    """Return why energy or money is null, where it is."""
    if est.tokens_per_second is None:
        return {}
    out: dict[str, str] = {}
    if est.tpot is not None and np.isnan(est.tpot):
        out["tpot_s"] = "one token out has none after its first"
    if est.ttft is not None and np.isnan(est.ttft):
        out["ttft_s"] = "more requests arrive than are served: the queue grows without limit"
    if est.calibration.level == "ideal":
        out["interval"] = "the ideal level is a bound, not a prediction"
    energy = {"energy_j_per_output_token": est.joules_per_token, "energy": est.joules()}
    dollars = est.dollars_per_million_tokens
    if dollars is not None and est.dollars_apart is None:
        out["usd_apart"] = "a pass of prefill or a step of decode alone is not a service"
    return out | _unknown(est.system, energy, {"usd_per_million_output_tokens": dollars, "usd_apart": dollars})


def _unknown(system: System, energy: Mapping[str, Num | None], cost: Mapping[str, Num | None]) -> dict[str, str]:
    """Return why numbers of energy, and of cost, are null, where they are."""
    whose = f"{system.name} or {system.package.name}"
    power, price = f"no rated power of {whose} is published", f"no trustworthy cost per hour of {whose} was found"
    out = {name: f"{power}; give power" for name, value in energy.items() if value is None}
    return out | {name: f"{price}; give price" for name, value in cost.items() if value is None}


# Training ------------------------------------------------------------------------------------------------------------


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


def brief(est: Training) -> dict[str, Any]:
    """Return what distinguishes one configuration from another, and its results."""
    q, memory = est.question, est.memory
    pair = est.interval("step_time")
    return {
        "layout": layout_of(est),
        "micro_batch": counted(q.micro_batch),
        "recompute": q.recompute,
        "step_time_s": float(est.step_time),
        "step_time_p99_s": float(est.step_time_p99),
        "tokens_per_s": float(est.tokens_per_second),
        "tokens_per_s_per_chip": float(est.tokens_per_second_per_chip),
        "mfu": float(est.mfu),
        "hfu": float(est.hfu),
        "bubble_fraction": float(est.bubble_fraction),
        "memory_bytes_per_chip": {
            **{name: float(getattr(memory, name)) for name in (*KINDS, "total")},
            "capacity": float(est.capacity),
        },
        "memory_interval_bytes_per_chip": _ends(est.interval("memory")),
        "fits": bool(est.fits),
        "fits_probability": float(est.fits_probability),
        "interval": {"step_time_s": _ends(pair)},
    }


def of_training(est: Training) -> dict[str, Any]:
    """Return an answer for one point under the field names of the machine-readable form; units are in the names.

    Raises:
        QuestionError: over many points.
    """
    est.one()
    q, label = est.question, brief(est)
    return {
        "model": q.model.name,
        "system": est.system.name,
        "chips": int(est.chips),
        "layout": label.pop("layout"),
        "level": est.calibration.level,
        "bound_only": est.calibration.level == "ideal",
        "calibration": est.calibration.name,
        "framework": est.calibration.framework.name,
        "dtype": q.model.dtype,
        **{name: counted(getattr(q, name)) for name in _ASKED_OF_STEPS},
        "tokens": int(est.tokens),
        "micro_batches": counted(est.micro_batches),
        **{name: value for name, value in label.items() if name not in ("micro_batch", "recompute", "interval")},
        "model_flops_per_s_per_chip": float(est.model_flops_per_second_per_chip),
        "exposed_communication_s": float(est.exposed),
        "hidden_communication_s": float(est.hidden),
        "time_s": {name: float(time) for name, time in phases(est.whole, est.bubble).items()},
        "reasons": list(est.reasons),
        "energy_j_per_token": plain(est.joules_per_token),
        "energy": energy_of(est),
        "usd_per_trillion_tokens": plain(est.dollars_per_trillion_tokens),
        "null_because": _missing_of_training(est),
        "bound": est.bound,
        "time_share": {name: float(part) for name, part in est.bounds.items()},
        "interval": label["interval"],
        "warnings": list(est.question.model.notices),
        "evidence": _evidence(est),
        "assumptions": list(est.assumptions),
    }


def _missing_of_training(est: Training) -> dict[str, str]:
    """Return why energy, money or the interval is null, where it is."""
    ideal = {"interval": "the ideal level is a bound, not a prediction"} if est.calibration.level == "ideal" else {}
    energy = {"energy_j_per_token": est.joules_per_token, "energy": est.joules()}
    return ideal | _unknown(est.system, energy, {"usd_per_trillion_tokens": est.dollars_per_trillion_tokens})


# A whole run ---------------------------------------------------------------------------------------------------------


def rows_of_campaign(run: Campaign) -> list[list[str]]:
    """Return the rows of a sheet that a run adds to those of its step: name and text (one point)."""
    run.one()
    out = [] if run.training.fits else [["DOES NOT FIT", "; ".join(run.training.reasons)]]
    steps, tokens = f"{float(run.steps):,.0f} steps", f"{figure(float(run.tokens) / TERA)} T tokens"
    pair = run.interval("days")
    wide = "" if pair is None else f"   80 % within {figure(float(pair[0]), 3)} - {figure(float(pair[1]), 3)}"
    out.append(["run", f"{tokens}, {steps}: {figure(float(run.days), 3)} days{wide}"])
    out.append(["", f"{figure(float(run.days_ideal), 3)} days if nothing failed"])
    useful, saving, restarting, redone = (float(part) for part in run.shares.values())
    spread_ = run.goodput_range
    span = "" if spread_ is None else f"   {float(spread_[0]):.1%} - {float(spread_[1]):.1%} by published failures"
    out.append(["goodput", f"{useful:.1%} of the time{span}"])
    out.append(["", f"checkpoints {saving:.1%}, restarts {restarting:.1%}, work lost and repeated {redone:.1%}"])
    failing = "none" if np.isinf(run.mtbf) else f"{float(run.failures):,.0f}, one in {_time(float(run.mtbf))}"
    out.append(["failures", f"{failing}; back in {_time(float(run.restart))}"])
    often = "none needed" if np.isinf(run.checkpoint_interval) else f"one in {_time(float(run.checkpoint_interval))}"
    stops, size = _time(float(run.checkpoint)), show(float(run.checkpoint_bytes), BYTE, 3)
    behind = f", written in {_time(float(run.written))}" if run.written > run.checkpoint else ""
    out.append(["checkpoints", f"{often}: {size}, work stops for {stops}{behind}"])
    fields = fields_of_campaign(run)
    energy, cost = fields["energy_mwh"], fields["cost_usd"]
    missing = fields["null_because"]
    mean = "" if energy is None else f": {figure(float(energy / (run.days * 24)), 3)} MW on average"
    out.append(
        ["energy", missing["energy_mwh"] if energy is None else f"{figure(energy)} MWh{mean}, PUE {float(run.pue):g}"]
    )
    hours = f"{figure(float(run.chip_hours) / MILLION)} million chip hours"
    out.append(["cost", missing["cost_usd"] if cost is None else f"${figure(cost / MILLION)} million for {hours}"])
    return out


def fields_of_campaign(run: Campaign) -> dict[str, Any]:
    """Return the machine-readable fields that a run adds to those of its step; units are in the names (one point)."""
    run.one()
    missing = _unknown(run.training.system, {"energy_mwh": run.joules}, {"cost_usd": run.dollars})
    flops = run.training.model_flops_per_second_per_chip * run.training.chips * run.days_ideal * DAY
    pairs = {
        "days": run.interval("days"),
        "goodput": run.goodput_range,
        "energy_mwh": run.interval("megawatt_hours"),
        "cost_usd": run.interval("dollars"),
    }
    return {
        "tokens": float(run.tokens), "steps": int(run.steps), "days": plain(run.days), "days_ideal": float(run.days_ideal),
        "goodput": float(run.goodput),
        "goodput_range": None if run.goodput_range is None else [float(g) for g in run.goodput_range],
        "time_share": {name: float(part) for name, part in run.shares.items()},
        "mtbf_s": plain(run.mtbf), "failures": plain(run.failures), "restart_s": float(run.restart),
        "checkpoint_bytes": float(run.checkpoint_bytes), "checkpoint_s": float(run.checkpoint),
        "checkpoint_write_s": float(run.written), "checkpoint_interval_s": plain(run.checkpoint_interval),
        "model_flop": float(flops), "chip_hours": plain(run.chip_hours), "pue": float(run.pue), "spares": float(run.spares),
        "energy_mwh": plain(run.megawatt_hours), "cost_usd": plain(run.dollars), "null_because": missing,
        "interval": {name: _ends(pair) for name, pair in pairs.items()},
    }  # fmt: skip


def of_campaign(run: Campaign) -> dict[str, Any]:
    """Return a run for one point under the field names of the machine-readable form: where it runs, and what it takes."""
    run.one()
    est = run.training
    return {
        "model": est.question.model.name, "system": est.system.name, "chips": int(est.chips), "layout": layout_of(est),
        "level": est.calibration.level, "step_time_s": float(est.step_time), "fits": bool(est.fits), "reasons": list(est.reasons),
        **fields_of_campaign(run), "warnings": list(est.question.model.notices), "assumptions": list(run.assumptions),
    }  # fmt: skip


def _time(seconds: float) -> str:
    """Return a time in the largest unit of which it is at least two."""
    for name, size in (("days", DAY), ("h", HOUR), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{figure(seconds / size, 3)} {name}"
    return show(seconds, SECOND, 3)
