"""Launch commands: an estimate as the command line of the engine or framework that would run it.

``flags`` knows what each tool's parser takes, ``serving`` writes services, ``pools`` disaggregated ones, ``training`` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from roofline.core.errors import QuestionError, fault, near
from roofline.core.signatures import typed
from roofline.reports.launch import pools as split
from roofline.reports.launch import serving, training
from roofline.reports.launch.flags import Launch
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.results.training import Training

SERVING: Final[Mapping[str, Callable[..., Launch]]] = {
    "vllm": serving.vllm, "vllm-ascend": serving.vllm_ascend, "sglang": serving.sglang, "trtllm": serving.trtllm, "mindie": serving.mindie,
}  # fmt: skip
"""Engines that a service can be launched with."""
POOLS: Final[Mapping[str, Callable[..., Launch]]] = {"dynamo": split.dynamo, "llm-d": split.llm_d}
"""What launches disaggregated prefill and decode."""
TRAINING: Final[Mapping[str, Callable[..., Launch]]] = {
    "megatron": training.megatron, "torchtitan": training.torchtitan, "mindspeed": training.mindspeed,
}  # fmt: skip
"""Frameworks that a step can be launched with."""
_SAME: Final = {
    "tensorrt-llm": "trtllm",
    "trt-llm": "trtllm",
    "megatron-lm": "megatron",
    "mindspeed-llm": "mindspeed",
    "llmd": "llm-d",
}
_FRAMEWORKS: Final = ("torchtitan", "mindspeed", "megatron")


@typed
def launch(
    answer: Estimate | Pools | Training, tool: str = "", *, model: str = "", per_node: int | None = None
) -> Launch:
    """Return how to start what was estimated.

    Args:
        answer: one point of a service, of pools or of a training step.
        tool: one of :data:`SERVING`, :data:`POOLS` or :data:`TRAINING`; by default that of the engine or framework asked for, else
            the usual one of the chips' maker.
        model: what the tool loads: a path or a name of a hub; by default the model's name, and a note says so.
        per_node: devices of a host; by default those of the system's innermost links, at most eight packages (four beside Grace).

    Returns:
        The command line or files, and notes on what they cannot say.

    Raises:
        QuestionError: no such tool, one of another kind of answer, many points, or a plan that cannot be launched.

    >>> from roofline.planner.estimate import estimate
    >>> print(
    ...     launch(
    ...         estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64, engine="vllm"),
    ...         model="meta-llama/Llama-3.1-8B",
    ...     ).line
    ... )
    vllm serve meta-llama/Llama-3.1-8B --max-model-len 5120 --max-num-seqs 8 --max-num-batched-tokens 4096 --gpu-memory-utilization 0.92 --kv-cache-dtype auto
    """
    if answer.shape:
        raise QuestionError(
            fault("answer", f"{answer.shape} points", "launch takes one", "choose one with .at(i) or .best()")
        )
    known = POOLS if isinstance(answer, Pools) else TRAINING if isinstance(answer, Training) else SERVING
    asked = _SAME.get(tool.lower(), tool.lower()) or _usual(answer)
    if asked not in known:
        every = {**SERVING, **POOLS, **TRAINING}
        remedy = f"for this answer: {', '.join(known)}" if asked in every else near(asked, known, "tools")
        raise QuestionError(fault("tool", tool, "does not launch this kind of answer", remedy))
    words: dict[str, Any] = {"model": model, "per_node": per_node}
    return known[asked](answer, **words)


def _usual(answer: Estimate | Pools | Training) -> str:
    if isinstance(answer, Pools):
        return "dynamo"
    huawei = answer.system.vendor == "Huawei" or answer.system.package.vendor == "Huawei"
    if isinstance(answer, Training):
        text = " ".join(answer.assumptions).lower()
        return "mindspeed" if huawei else next((name for name in _FRAMEWORKS if name in text), "megatron")
    name = answer.calibration.engine.name
    name = "vllm-ascend" if huawei and name == "vllm" else name
    return name if name in SERVING else "vllm-ascend" if huawei else "vllm"
