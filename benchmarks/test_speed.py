"""How fast the library answers: ``pytest benchmarks``. Nothing is asserted about time; rates are printed beside each row."""

import subprocess
import sys

import numpy as np
import pytest

import roofline as rl

BATCH = np.arange(1.0, 251.0)[:, None, None]
CONTEXT = np.linspace(128, 32768, 200).round()[:, None]
DEGREES = np.array([1.0, 2, 4, 8])


def rated(benchmark, points):
    """Note the points answered each second beside the times."""
    benchmark.extra_info["configurations_per_s"] = round(points / benchmark.stats.stats.median)


def test_import(benchmark):
    """A fresh interpreter that imports the library and does nothing else."""
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-c", "import roofline"], check=True), rounds=7, warmup_rounds=1
    )


def test_python_alone(benchmark):
    """A fresh interpreter that does nothing: to subtract."""
    benchmark.pedantic(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), rounds=7, warmup_rounds=1)


def test_one_decode_of_deepseek(benchmark):
    """One warm decode step of DeepSeek-V3 on 64 chips of an NVL72."""
    question, rack, layout = (
        rl.Decode(rl.model("deepseek-v3"), 2048, 4096),
        rl.system("gb200-nvl72"),
        rl.Layout(dp=64, ep=64),
    )
    benchmark(rl.estimate, question, rack, layout)


def test_one_service_of_deepseek(benchmark):
    """One warm service, prefill and decode, with a layout given."""
    question, rack, layout = (
        rl.Serve(rl.model("deepseek-v3"), concurrency=2048),
        rl.system("gb200-nvl72"),
        rl.Layout(dp=64, ep=64),
    )
    benchmark(rl.estimate, question, rack, layout)


def test_one_service_with_its_layout_chosen(benchmark):
    """The same with the layout chosen among all of 72 chips."""
    benchmark(rl.estimate, "deepseek-v3", "gb200-nvl72", concurrency=2048)


def test_search_of_a_rack(benchmark):
    """Every layout, load and chunk of DeepSeek-V3 on the 72 chips of an NVL72."""
    found = benchmark(rl.search, "deepseek-v3", "gb200-nvl72", ttft="2s", tpot="50ms")
    rated(benchmark, found.accepted.size)


@pytest.mark.parametrize("shape", ["grid", "list"])
def test_sweep_of_llama_70b(benchmark, shape):
    """200,000 decode steps over batch, context and tp: as a grid of axes, and as a list without any structure."""
    model, rack = rl.model("llama-3.1-70b"), rl.system("dgx-h100")
    points = np.broadcast_arrays(BATCH, CONTEXT, DEGREES) if shape == "list" else (BATCH, CONTEXT, DEGREES)
    batch, context, tp = (np.ravel(axis) if shape == "list" else axis for axis in points)
    question, layout = rl.Decode(model, batch, context), rl.Layout(tp=tp)
    est = benchmark(rl.estimate, question, rack, layout)
    rated(benchmark, np.prod(est.shape))


def test_sweep_of_deepseek(benchmark):
    """200,000 decode steps of a mixture of experts over batch, context and expert parallelism."""
    model, rack = rl.model("deepseek-v3"), rl.system("gb200-nvl72")
    degrees = np.array([8.0, 16, 32, 64])
    est = benchmark(rl.estimate, rl.Decode(model, 64 * BATCH, CONTEXT), rack, rl.Layout(dp=degrees, ep=degrees))
    rated(benchmark, np.prod(est.shape))


def test_one_step_of_training(benchmark):
    """One warm step of GPT-3 175B with a layout given."""
    question, rack, layout = (
        rl.TrainStep(rl.model("gpt-3-175b"), 1536, 2048),
        rl.system("dgx-h100"),
        rl.Layout(tp=8, pp=8, dp=16, vpp=2, sequence_parallel=True),
    )
    benchmark(rl.train, question, rack, layout)


def test_one_step_of_training_with_its_layout_chosen(benchmark):
    """The same with the plan chosen among all of 1,024 chips."""
    benchmark(rl.train, "gpt-3-175b", "dgx-h100", chips=1024, global_batch=1536, seq_len=2048)


@pytest.mark.parametrize(
    ("model", "system", "chips"), [("gpt-3-175b", "dgx-h100", 1024), ("deepseek-v3", "gb200-nvl72", 2048)]
)
def test_search_of_training(benchmark, model, system, chips):
    """Every split, micro-batch, recomputation, sharding and schedule, judged."""
    found = benchmark(
        lambda: rl.search_training(model, system, chips=chips, global_batch=4 * chips, seq_len=4096).with_limits(
            memory="60GB"
        )
    )
    rated(benchmark, found.tried)


@pytest.mark.parametrize(
    ("model", "system"), [("gpt-3-175b", "dgx-h100"), ("llama-3.1-70b", "dgx-h100"), ("deepseek-v3", "gb200-nvl72")]
)
def test_sweep_of_training(benchmark, model, system):
    """200,000 steps over degrees and micro-batch, as a list without any structure."""
    some, count = np.random.default_rng(0), 200_000
    tp, pp, micro = (2.0 ** some.integers(0, n, count) for n in (4, 6, 4))
    question = rl.TrainStep(rl.model(model), 1536, 2048, micro_batch=micro, recompute="full")
    dp = 1024 / (tp * pp)
    ep = np.minimum(dp, 8.0) if question.model.experts else 1.0
    est = benchmark(
        rl.train, question, rl.system(system), rl.Layout(tp=tp, pp=pp, dp=dp, ep=ep, sequence_parallel=True)
    )
    rated(benchmark, est.step_time.size)
