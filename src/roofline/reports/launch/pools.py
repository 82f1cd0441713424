"""Disaggregated prefill and decode as manifests: Dynamo's graph deployment, and values of llm-d's model service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from roofline.reports.launch.flags import Flags, Launch, tool, yaml
from roofline.reports.launch.serving import Plan, plan_of, vllm_flags
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.workload.questions import Serve

DYNAMO: Final = "https://github.com/ai-dynamo/dynamo/blob/0044eb903566e0632bdf7bb7388c967d946643af/examples/backends/vllm/deploy/disagg.yaml"
"""Where the fields of a graph deployment were read; the worker's flags are those of ai-dynamo 1.6.1."""
LLM_D: Final = "https://github.com/llm-d-incubation/llm-d-modelservice/blob/024c0f2d02373736f1f3a6940a4f5a264455cfd1/charts/llm-d-modelservice/values.yaml"
"""Where the values of the chart were read."""
_RESOURCES: Final = {"NVIDIA": "nvidia", "AMD": "amd", "Google": "google", "Intel": "intel-gaudi"}


def _pool(est: Estimate, service: Serve, model: str, per_node: int | None) -> tuple[Plan, tuple[str, ...]]:
    """Return one replica of a pool and the flags of its vLLM."""
    asked = est.question
    batch = est.concurrency
    serve = asked if isinstance(asked, Serve) else evolve(service, model=asked.model, concurrency=batch, rate=None)
    whole = evolve(est, question=serve, in_flight=None)
    plan = plan_of(whole, model=model, per_node=per_node)
    return plan, vllm_flags(plan, tool("vllm"), whole).words


def _both(answer: Pools, model: str, per_node: int | None) -> dict[str, tuple[Plan, tuple[str, ...]]]:
    return {
        role: _pool(est, answer.question, model, per_node)
        for role, est in (("prefill", answer.prefill), ("decode", answer.decode))
    }


def _name(answer: Pools) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", answer.question.model.name.lower()).strip("-")[:40]


def dynamo(answer: Pools, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return a DynamoGraphDeployment with vLLM workers for both pools."""
    pools = _both(answer, model, per_node)
    image = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:${VERSION}"
    kind = tool("dynamo")
    services: dict[str, Any] = {
        "Frontend": {"componentType": "frontend", "replicas": 1, "extraPodSpec": {"mainContainer": {"image": image}}}
    }
    for role, (plan, words) in pools.items():
        own = Flags(kind).add("--model", plan.model).add("--disaggregation-mode", role).words
        worker: dict[str, Any] = {
            "componentType": "worker", "subComponentType": role, "replicas": plan.replicas,
            "resources": {"limits": {"gpu": str(plan.per_node)}},
            "extraPodSpec": {"mainContainer": {"image": image, "command": list(kind.command), "args": [*own, *words]}},
        }  # fmt: skip
        if plan.nodes > 1:
            worker["multinode"] = {"nodeCount": plan.nodes}
        services[f"Vllm{role.capitalize()}Worker"] = worker
    manifest = {
        "apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "metadata": {"name": f"{_name(answer)}-disagg"},
        "spec": {"services": services},
    }  # fmt: skip
    command = ("kubectl", "apply", "-f", "dynamo.yaml")
    files = {"dynamo.yaml": yaml(manifest) + "\n"}
    return Launch("Dynamo", kind.release, DYNAMO, command, files=files, notes=_notes(pools))


def llm_d(answer: Pools, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the values of llm-d's model service for both pools, served by vLLM."""
    pools = _both(answer, model, per_node)
    name = next(iter(pools.values()))[0].model
    values: dict[str, Any] = {
        "modelArtifacts": {"name": name, "uri": f"hf://{name}"},
        "multinode": any(plan.nodes > 1 for plan, _ in pools.values()),
        "accelerator": {"type": _RESOURCES.get(answer.decode.system.vendor, "nvidia")},
    }
    for role, (plan, words) in pools.items():
        flags = _without(words, "--tensor-parallel-size", "--data-parallel-size")
        values[role] = {
            "create": True, "replicas": plan.replicas,
            "parallelism": {"tensor": plan.tp, "data": plan.dp, "dataLocal": max(plan.dp // plan.nodes, 1), "workers": plan.nodes},
            "containers": [{
                "name": "vllm", "image": "ghcr.io/llm-d/llm-d-cuda:${VERSION}", "modelCommand": "vllmServe",
                "args": [*flags, *Flags(tool("vllm")).add("--kv-transfer-config", '{"kv_connector":"NixlConnector","kv_role":"kv_both"}').words],
                "mountModelVolume": True,
            }],
        }  # fmt: skip
    command = ("helm", "install", _name(answer), "llm-d-modelservice/llm-d-modelservice", "-f", "values.yaml")
    files = {"values.yaml": yaml(values) + "\n"}
    return Launch("llm-d", "model service chart, 2026", LLM_D, command, files=files, notes=_notes(pools))


def _without(words: tuple[str, ...], *flags: str) -> list[str]:
    """Return the words without flags that the chart sets itself, and their values."""
    out, skip = [], False
    for word in words:
        if not skip and word not in flags:
            out.append(word)
        skip = word in flags and not skip
    return out


def _notes(pools: Mapping[str, tuple[Plan, tuple[str, ...]]]) -> tuple[str, ...]:
    notes = [f"{role} pool: {plan.replicas} replicas of {plan.devices} devices" for role, (plan, _) in pools.items()]
    notes += list(dict.fromkeys(note for plan, _ in pools.values() for note in plan.notes))
    return (*notes, "put the image's tag in place of ${VERSION}")
