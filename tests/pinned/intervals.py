"""Intervals of answers: their ends, what a question adds, chances and percentiles."""

import attrs
import numpy as np

import roofline as rl
from roofline.hardware.constants import Kernel, Link
from roofline.results import intervals

from . import pinned
from .answers import STEPS

QUANTITIES = (
    "ttft", "tpot", "tokens_per_second", "tokens_per_second_per_chip", "requests_per_second", "tokens_per_second_per_user", "prompt_tokens_per_second",
    "prompt_tokens_per_second_per_chip", "ttft_p90", "tpot_p50", "itl_p99", "dollars_per_million_tokens", "joules_per_token", "memory", "max_concurrency",
    "kv_cache_tokens",
)  # fmt: skip
TRAINED = (
    "step_time",
    "tokens_per_second",
    "tokens_per_second_per_chip",
    "dollars_per_trillion_tokens",
    "joules_per_token",
    "memory",
)


def asked():
    """Answers to questions of every kind: services, passes, drafts, hybrids, full memory, other makers, profiles of one's own."""
    llama, deep, hybrid = rl.model("llama-3.1-8b"), rl.model("deepseek-v3"), rl.model("qwen3-next-80b-a3b")
    yield "service", rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm")
    yield (
        "at random",
        rl.estimate(rl.Serve(deep, 3000.0, 700.0, rate=2.0, draft_tokens=1.0), "hgx-h200", rl.Layout(tp=8.0, ep=8.0)),
    )
    yield (
        "drafts stated",
        rl.estimate(
            rl.Serve(deep, 3000.0, 700.0, concurrency=64.0, draft_tokens=2.0, accept_length=2.1),
            "hgx-h200",
            rl.Layout(tp=8.0, ep=8.0),
            engine="sglang",
        ),
    )
    yield "hybrid", rl.estimate(rl.Serve(hybrid, 3000.0, 700.0, concurrency=32.0), "hgx-h200", rl.Layout(tp=4.0))
    yield "decode", rl.estimate(rl.Decode(llama, 16.0, 900.0), "hgx-h20", rl.Layout(tp=2.0))
    yield "prompt", rl.estimate(rl.Prefill(llama, 2.0, 900.0), "mi300x-8", rl.Layout(tp=2.0))
    yield "another maker", rl.estimate(rl.Serve(llama, 900.0, 300.0, concurrency=16.0), "gaudi3-8", rl.Layout(tp=4.0))
    yield (
        "does not fit",
        rl.estimate(rl.Serve(rl.model("llama-3.1-70b"), 900.0, 300.0, concurrency=16.0), "dgx-h100", rl.Layout(tp=1.0)),
    )
    yield (
        "nearly full",
        rl.estimate(
            rl.Serve(rl.model("qwen3-32b"), 4000.0, 300.0, concurrency=np.array([8.0, 24.0, 90.0])),
            "dgx-h100",
            rl.Layout(tp=1.0),
        ),
    )
    yield "over nodes", rl.estimate(rl.Decode(deep, 4096.0, 3000.0), "dgx-h100", rl.Layout(dp=64.0, ep=64.0))
    yield "generic", rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, level="generic")
    yield "ideal", rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, level="ideal")
    own = rl.profile("calibrated", rl.system("dgx-h100"))
    kernels = {
        key: attrs.evolve(kernel, error=0.3 + 0.01 * i) if isinstance(kernel, Kernel) else kernel
        for i, (key, kernel) in enumerate(sorted(own.kernels.items()))
    }
    links = {key: attrs.evolve(link, error=0.5) if isinstance(link, Link) else link for key, link in own.links.items()}
    yield (
        "a profile of one's own",
        rl.estimate(
            rl.Serve(deep, 900.0, 300.0, concurrency=64.0),
            "dgx-h100",
            rl.Layout(tp=16.0, ep=16.0),
            level=attrs.evolve(own, kernels=kernels, links=links),
        ),
    )


def ends(est, quantity, coverage=intervals.COVERAGE):
    """Ends of an interval, in a list."""
    found = intervals.interval(est, quantity, coverage)
    return None if found is None else list(found)


@pinned
def services():
    """Intervals of every quantity of services and passes."""
    for name, est in asked():
        for quantity in QUANTITIES:
            yield f"{name}, {quantity}", ends(est, quantity)
        yield (
            f"{name}, wide",
            [
                ends(est, quantity, 0.95)
                for quantity in ("tpot", "ttft", "memory", "max_concurrency", "joules_per_token")
            ],
        )
        for quantity in ("ttft", "tpot", "rate"):
            if getattr(est, "tokens_per_second" if quantity == "rate" else quantity) is not None:
                yield f"{name}, added to {quantity}", intervals.added(est, quantity)
        yield (
            f"{name}, room",
            {
                "interval": est.interval("memory"),
                "fits": est.fits_probability,
                "distance": intervals.nearest(est).distance,
            },
        )
        yield (
            f"{name}, idealised",
            [list(found) if (found := intervals.idealisation(est, each)) else None for each in ("ttft", "tpot")],
        )
        yield f"{name}, percentiles", [intervals.percentile(est, p) for p in (1, 50, 99)]


@pinned
def training():
    """Intervals of steps of training."""
    for model, system, words, layout in STEPS[:6] + STEPS[11:18]:
        est = rl.train(model, system, layout, **words)
        told = f"{model} on {system}, {layout}, {layout.schedule}"
        for quantity in TRAINED:
            yield f"{told}, {quantity}", ends(est, quantity)
        yield f"{told}, added", intervals.added(est, "step_time")
        yield (
            f"{told}, room",
            {
                "interval": est.interval("memory"),
                "fits": est.fits_probability,
                "distance": intervals.nearest(est).distance,
            },
        )


@pinned
def parts():
    """What intervals are made of."""
    for coverage in (0.5, 0.8, 0.95):
        yield f"front {coverage}", list(intervals.front(coverage))
        yield f"scaled {coverage}", intervals.scaled(coverage)
    yield "powered", list(intervals.powered((-0.31, 0.43), 0.37, 0.23))
    yield "inverse", [list(intervals._inverse((-0.31, 0.43))), intervals._inverse(None)]
