"""Numbers are API: answers to questions over shipped models, systems and stacks, as users ask them.

What changes here is what a changelog says of ``Numbers changed``. A changed chip, profile, stack or model changes some of them; that is
meant, and ``python -m tests.pinned answers`` prints old -> new.
"""

import attrs
import numpy as np

import roofline as rl

from . import pinned

SERVING = (
    "ttft", "tpot", "tokens_per_second", "prompt_tokens_per_second", "max_concurrency", "cycle", "in_flight", "capacity", "fits", "cache_room",
    "kv_cache_tokens", "mfu", "bandwidth_utilization", "joules_per_token", "dollars_per_million_tokens", "dollars_apart", "bounds", "fits_probability",
    "memory", "working",
)  # fmt: skip
TRAINING = (
    "step_time", "bubble", "exposed", "hidden", "micro_batches", "tokens_per_second", "mfu", "hfu", "step_time_p99", "capacity", "fits", "memory",
    "joules_per_token", "dollars_per_trillion_tokens", "bounds", "phases", "fits_probability",
)  # fmt: skip


def read(answer, names):
    """Quantities of an answer, methods called."""
    out = {}
    for name in names:
        value = getattr(answer, name, None)
        out[name] = value() if callable(value) else value
    return out


def served(est):
    out = read(est, SERVING)
    if est.waits is not None and est.question.model is not None:
        out |= {f"ttft p{p}": est.ttft_percentile(p) for p in (50, 99)}
        out |= {f"tpot p{p}": est.tpot_percentile(p) for p in (50, 99)} | {"itl p99": est.itl_percentile(99)}
    return out


SERVICES = (
    ("llama-3.1-8b", "dgx-h100", {"tp": 1, "concurrency": 32}),
    ("llama-3.1-8b", "dgx-h100", {"tp": 1, "rate": 9.0, "engine": "vllm"}),
    ("llama-3.1-8b", "dgx-h100", {"tp": 2, "concurrency": 3, "launch": "eager", "engine": "vllm"}),
    ("llama-3.1-8b", "dgx-h100", {"tp": 1, "concurrency": 16, "level": "ideal"}),
    ("llama-3.1-8b", "dgx-h100", {"tp": 1, "concurrency": 16, "level": "generic"}),
    ("llama-3.3-70b", "hgx-h200", {"tp": 4, "concurrency": 100, "engine": "trtllm", "dtype": "fp8", "variation": 0.0, "requests_per_slot": 5.0}),
    ("llama-3.3-70b", "hgx-h200", {"tp": 8, "concurrency": 24, "power_cap": 500.0}),
    ("llama-3.3-70b", "dgx-h100", {"tp": 2, "pp": 2, "concurrency": 40, "input": 700, "output": 300}),
    ("llama-3.1-405b", "mi300x-8", {"tp": 8, "concurrency": 32, "dtype": "fp8", "engine": "vllm"}),
    ("qwen3-32b", "dgx-b200", {"tp": 2, "concurrency": 64, "dtype": "nvfp4", "cached": 3000.0}),
    ("qwen3-32b", "atlas-800i-a2", {"tp": 4, "concurrency": 16, "dtype": "int8", "engine": "mindie"}),
    ("qwen3-30b-a3b", "dgx-h100", {"tp": 2, "ep": 2, "concurrency": 64, "engine": "sglang"}),
    ("qwen3-235b-a22b", "dgx-b200", {"tp": 8, "ep": 8, "concurrency": 128, "dtype": "fp8", "kv_dtype": "fp8"}),
    ("gpt-oss-120b", "hgx-h200", {"tp": 2, "concurrency": 64, "engine": "vllm"}),
    ("gpt-oss-20b", "rtx-5090", {"tp": 1, "concurrency": 4}),
    ("deepseek-v3", "hgx-h200", {"tp": 8, "ep": 8, "concurrency": 64, "engine": "sglang"}),
    ("deepseek-v3", "gb200-nvl72", {"dp": 32, "ep": 32, "chips": 32, "concurrency": 4096, "dtype": "nvfp4", "engine": "trtllm"}),
    ("deepseek-v3", "gb200-nvl72", {"dp": 32, "ep": 32, "chips": 32, "concurrency": 512, "draft_tokens": 1}),
    ("deepseek-v3.2", "hgx-h200", {"tp": 8, "ep": 8, "concurrency": 32, "input": 60_000, "engine": "vllm"}),
    ("deepseek-v4-flash", "dgx-b200", {"tp": 8, "ep": 8, "concurrency": 32, "input": 30_000}),
    ("deepseek-v3", "cloudmatrix384", {"dp": 64, "ep": 64, "chips": 32, "concurrency": 2048, "dtype": "int8"}),
    ("kimi-linear-48b-a3b", "hgx-h200", {"tp": 4, "concurrency": 16, "engine": "vllm"}),
    ("qwen3-next-80b-a3b", "hgx-h200", {"tp": 4, "concurrency": 64, "engine": "vllm"}),
    ("minimax-m1", "hgx-h200", {"tp": 8, "concurrency": 8, "dtype": "int8", "input": 100_000}),
    ("mamba2-2.7b", "a100-pcie-80gb", {"tp": 1, "concurrency": 16}),
    ("nemotron-h-56b", "dgx-h100", {"tp": 8, "concurrency": 32}),
    ("jamba-1.5-large", "dgx-h100", {"tp": 8, "concurrency": 8, "dtype": "int8"}),
    ("gemma-3-27b", "dgx-a100-80gb", {"tp": 2, "concurrency": 32, "engine": "vllm", "input": 9000}),
    ("llama-4-scout-17b-16e", "mi355x-8", {"tp": 4, "ep": 4, "concurrency": 32}),
    ("mistral-7b-v0.1", "l40s", {"tp": 1, "rate": 1.5, "variation": 0.9}),
    ("llama-2-70b", "tpu-v5e-pod", {"tp": 8, "concurrency": 32, "dtype": "int8", "chips": 8}),
    ("llama-3.1-8b", "trn2-48xlarge", {"tp": 4, "concurrency": 8}),
    ("llama-3.1-70b", "gaudi3-8", {"tp": 8, "concurrency": 32}),
    ("grok-1", "dgx-h100", {"tp": 8, "concurrency": 16, "dtype": "fp8"}),
)  # fmt: skip


@pinned
def services():
    """Services under load."""
    for model, system, words in SERVICES:
        yield (
            f"{model} on {system}, {', '.join(f'{key}={value}' for key, value in words.items())}",
            served(rl.estimate(model, system, **words)),
        )


@pinned
def passes():
    """Bare decode steps and prefills."""
    for model, system, layout in (
        ("deepseek-v3", "gb200-nvl72", rl.Layout(dp=64.0, ep=64.0)), ("llama-3.1-8b", "dgx-h100", rl.Layout(tp=2.0)), ("qwen3-30b-a3b", "hgx-h20", rl.Layout(tp=4.0, dp=2.0, ep=8.0)),
    ):  # fmt: skip
        m = rl.model(model)
        questions = {
            "decode": rl.Decode(m, 256.0, 4096.0),
            "decode with drafts": rl.Decode(m, 256.0, 900.0, draft_tokens=2.0, accept_length=2.1),
            "prompts partly cached": rl.Prefill(m, 4.0, 3000.0, cached=500.0),
            "short prompts": rl.Prefill(m, 64.0, 100.0, imbalance=1.3),
        }
        for name, question in questions.items():
            yield f"{name}, {model} on {system}", read(rl.estimate(question, system, layout), SERVING)


STEPS = (
    ("llama-3.1-8b", "dgx-h100", {"global_batch": 256, "seq_len": 8192}, rl.Layout(dp=64.0, sharding="zero3")),
    ("llama-3.1-8b", "dgx-h100", {"global_batch": 128, "task": "lora"}, rl.Layout(dp=8.0)),
    ("llama-3.1-70b", "dgx-h100", {"global_batch": 128, "recompute": "selective"}, rl.Layout(tp=8.0, pp=4.0, dp=4.0, sequence_parallel=True)),
    ("llama-3.1-70b", "dgx-h100", {"global_batch": 256, "recompute": "full", "share": 0.5}, rl.Layout(tp=4.0, pp=4.0, vpp=5.0, dp=4.0, schedule="interleaved")),
    ("llama-3.1-70b", "dgx-b200", {"global_batch": 256, "dtype": "fp8", "framework": "megatron"}, rl.Layout(tp=2.0, pp=4.0, dp=8.0, schedule="zb-h1")),
    ("llama-3.1-70b", "dgx-h100", {"global_batch": 256}, rl.Layout(tp=4.0, pp=8.0, dp=2.0, schedule="zb-v", sharding="zero2")),
    ("llama-3.1-70b", "dgx-h100", {"global_batch": 256}, rl.Layout(tp=4.0, pp=8.0, dp=2.0, schedule="zb-h2")),
    ("llama-3.1-70b", "dgx-h100", {"global_batch": 256}, rl.Layout(tp=4.0, pp=8.0, dp=2.0, schedule="gpipe")),
    ("llama-3.1-405b", "gb200-nvl72", {"global_batch": 512, "seq_len": 32_768, "document": 5000.0}, rl.Layout(tp=4.0, cp=4.0, pp=8.0, dp=4.0, context="all-gather", sequence_parallel=True)),
    ("llama-3.1-8b", "dgx-h100", {"global_batch": 16, "seq_len": 131_072}, rl.Layout(tp=2.0, cp=8.0, dp=2.0)),
    ("llama-3.1-8b", "dgx-h100", {"global_batch": 16, "seq_len": 131_072, "offload": 0.3}, rl.Layout(tp=2.0, cp=4.0, dp=4.0, context="ulysses")),
    ("deepseek-v3", "hgx-h800", {"global_batch": 15_360, "dtype": "fp8-block", "framework": "megatron"}, rl.Layout(pp=16.0, dp=128.0, ep=64.0, etp=1.0, schedule="dualpipe")),
    ("mixtral-8x7b", "dgx-h100", {"global_batch": 256, "framework": "megatron"}, rl.Layout(tp=4.0, pp=2.0, dp=8.0, ep=8.0, sequence_parallel=True)),
    ("qwen3-30b-a3b", "dgx-h100", {"global_batch": 256, "recompute": "selective:norm+activation"}, rl.Layout(tp=2.0, dp=16.0, ep=8.0, etp=1.0)),
    ("llama-2-7b", "tpu-v5p-pod", {"global_batch": 128, "framework": "maxtext"}, rl.Layout(dp=64.0, sharding="zero3", fsdp=16.0)),
    ("llama-2-70b", "atlas-800t-a2", {"global_batch": 128}, rl.Layout(tp=8.0, pp=4.0, dp=4.0)),
    ("qwen3-8b", "mi300x-8", {"global_batch": 64, "framework": "rocm"}, rl.Layout(dp=8.0, sharding="zero2")),
    ("llama-3.1-8b", "dgx-h100", {"global_batch": 64, "level": "ideal"}, rl.Layout(tp=2.0, pp=2.0, dp=2.0)),
    ("nemotron-h-56b", "dgx-h100", {"global_batch": 64, "power_cap": 500.0}, rl.Layout(tp=8.0, dp=4.0)),
)  # fmt: skip


@pinned
def steps():
    """Steps of training."""
    for model, system, words, layout in STEPS:
        est = rl.train(model, system, layout, **words)
        told = f"{model} on {system}, {layout}, {layout.schedule}, {layout.sharding}, {', '.join(f'{key}={value}' for key, value in words.items())}"
        yield told, read(est, TRAINING)


@pinned
def collectives():
    """Collectives over systems of every kind of network."""
    for system in ("dgx-h100", "gb200-nvl72", "mi300x-8", "tpu-v5p-pod", "atlas-800i-a2", "cloudmatrix384"):
        for name in ("all-reduce", "all-gather", "all-to-all", "broadcast"):
            for ranks in (8, 16):
                answer = rl.collective(name, "64 MB", system, ranks=ranks)
                yield (
                    f"{name} on {system}, {ranks} ranks",
                    {"time": answer.time, "bus": getattr(answer, "bus_bandwidth", None)},
                )


@pinned
def many_points():
    """One question over arrays: the same formulas where numbers vary."""
    est = rl.estimate(
        rl.Serve(
            rl.model("qwen3-30b-a3b"), np.array([300.0, 4000.0]), 500.0, concurrency=np.array([[4.0], [64.0], [900.0]])
        ),
        "dgx-h100",
        rl.Layout(tp=2.0, dp=2.0, ep=4.0),
    )
    yield "closed", {name: getattr(est, name) for name in ("ttft", "tpot", "tokens_per_second", "max_concurrency")}
    question = attrs.evolve(est.question, concurrency=None, rate=np.array([[0.5], [5.0], [30.0]]))
    est = rl.estimate(question, "dgx-h100", rl.Layout(tp=2.0, dp=2.0, ep=4.0))
    yield "open", {name: getattr(est, name) for name in ("ttft", "tpot", "tokens_per_second", "in_flight")}
