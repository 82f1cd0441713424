"""How many configurations a second the design space is searched at: ``pytest benchmarks``. Rates count what was priced on one core.

Layouts that cannot be laid out are dropped before and not counted; memory, collectives and limits are part of every configuration.
"""

import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import roofline as rl

BATCH = np.arange(1.0, 501.0)
CONTEXT = np.linspace(512, 65536, 250).round()
LIMITS = {"tpot": "50ms"}
SPLIT = rl.Layout(tp=[1.0, 1, 1, 2, 2, 4], dp=[64.0, 32, 16, 32, 16, 16], ep=[64.0, 32, 16, 64, 32, 64])
FRONTIER = ("tokens_per_second_per_user", "tokens_per_second_per_chip", "memory")


def rated(benchmark, ask, rounds=5):
    """Note the configurations priced each second beside the times."""
    found = benchmark.pedantic(ask, rounds=rounds, warmup_rounds=1)
    priced = sum(family.points for family in found.space.families)
    benchmark.extra_info["configurations"] = priced
    benchmark.extra_info["configurations_per_s"] = round(priced / benchmark.stats.stats.median)
    assert found.accepted


def llama(**words):
    return rl.sweep("llama-3.1-70b", "dgx-h100", batch=8 * BATCH, context=CONTEXT, limits=LIMITS, **words)


def deepseek(**words):
    return rl.sweep(
        "deepseek-v3", "gb200-nvl72", layout=SPLIT, batch=64 * BATCH, context=CONTEXT, limits=LIMITS, **words
    )


def test_decode_of_llama_70b(benchmark):
    """Every layout of 8 H100 over batch and context."""
    rated(benchmark, llama)


def test_decode_of_deepseek(benchmark):
    """A mixture of experts over an NVL72: six splits, batch and context."""
    rated(benchmark, deepseek)


def test_decode_of_deepseek_over_hardware(benchmark):
    """The same over bandwidths of memory and links too."""
    scales = ["0.5x", "1x", "1.5x", "2x"]
    words = {"layout": SPLIT, "batch": 64 * BATCH[::5], "context": CONTEXT[::5], "limits": LIMITS}
    rated(
        benchmark, lambda: rl.sweep("deepseek-v3", "gb200-nvl72", vary={"bandwidth": scales, "links": scales}, **words)
    )


@pytest.mark.parametrize("count", [2, 3])
def test_frontier_of_deepseek(benchmark, count):
    """The same kept as a frontier in two or three metrics."""
    rated(benchmark, lambda: deepseek(frontier=FRONTIER[:count]))


@pytest.mark.parametrize(
    ("model", "chips", "degrees"),
    [("llama-3.1-70b", 64, {"tp": 8}), ("deepseek-v3", 1024, {"tp": 8, "pp": 16, "cp": 1, "vpp": 1})],
)
def test_training_step(benchmark, model, chips, degrees):
    """Steps of training over splits, global batches and lengths."""
    batches, lengths = np.arange(64.0, 3265.0, 64.0), np.linspace(1024, 8192, 113).round()
    rated(
        benchmark,
        lambda: rl.sweep(
            model, "dgx-h100", phase="train", chips=chips, global_batch=batches, seq_len=lengths, **degrees
        ),
    )


def test_service_of_llama_70b(benchmark):
    """Services: each is the fixed point of its queue."""
    words = {"concurrency": BATCH[::4], "input": CONTEXT[::4], "output": [256.0, 1024.0]}
    rated(benchmark, lambda: rl.sweep("llama-3.1-70b", "dgx-h100", phase="serve", limits=LIMITS, **words), rounds=3)


def test_memory_of_a_sweep(benchmark):
    """Peak memory of sweeps of a tenth, and of the whole: flat."""

    model, rack = rl.model("llama-3.1-70b"), rl.system("dgx-h100")

    def peak(count):
        tracemalloc.start()
        rl.sweep(model, rack, batch=8 * BATCH[:count], context=CONTEXT, limits=LIMITS)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    small, large = peak(50), benchmark.pedantic(peak, args=(500,), rounds=1)
    benchmark.extra_info["peak_bytes_of_a_tenth"], benchmark.extra_info["peak_bytes"] = small, large


@pytest.mark.parametrize("workers", [1, 2])
def test_workers(benchmark, workers):
    """Fifteen million configurations by processes that are there already."""
    scales = [f"{x:g}x" for x in np.linspace(0.5, 3, 20)]

    def ask():
        return deepseek(vary={"bandwidth": scales}, executor=pool)

    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        list(pool.map(len, [[]] * workers))
        rated(benchmark, ask, rounds=3)


def test_sensitivity_of_a_step(benchmark):
    """Every elasticity of one decode step."""
    est = rl.estimate(rl.Decode("deepseek-v3", 2048, 4096), "gb200-nvl72", rl.Layout(dp=64, ep=64))
    benchmark(est.sensitivity)


def test_bandwidth_needed(benchmark):
    """The bandwidth of memory that a step needs for a target."""
    est = rl.estimate(rl.Decode("deepseek-v3", 2048, 4096), "gb200-nvl72", rl.Layout(dp=64, ep=64))
    benchmark(rl.needed, est, "bandwidth", tpot="15ms")
