"""Services as command lines of vLLM, vLLM-Ascend, SGLang and TensorRT-LLM, and as MindIE's configuration."""

from __future__ import annotations

import json
import math
from typing import Final

from attrs import evolve, frozen

from roofline import catalog
from roofline.core.errors import QuestionError, RooflineError
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.reports.launch.flags import Flags, Launch, Tool, Value, settings, tool, wrapped, yaml
from roofline.results.estimate import Estimate
from roofline.workload.questions import Serve

GRACE_NODE: Final = 4
"""GPUs of a compute tray of NVIDIA's racks with Grace processors."""
NODE: Final = 8
"""Packages of a host at most, where the system's file does not say how many there are."""
_NARROW: Final = {"fp8": "fp8", "fp8-block": "fp8", "int8": "", "nvfp4": "", "mxfp4": "", "int4": ""}
"""Formats that engines can make of a 16-bit checkpoint when they load it."""


@frozen
class Plan:
    """One replica of a service, in whole numbers.

    Attributes:
        model: name or address of the checkpoint.
        tp: tensor parallel degree.
        pp: pipeline stages.
        dp: attention data parallel degree.
        ep: expert parallel degree.
        replicas: replicas to start alike.
        devices: devices of the replica.
        nodes: hosts that they take.
        per_node: devices that it takes of each host.
        sequences: sequences in flight on one attention rank.
        chunk: prompt tokens that an attention rank passes in a step at most.
        length: tokens of the longest request.
        drafts: speculative tokens verified at each step; 0 for none.
        drafter: the draft model; "" where there is none.
        own_drafts: whether the model drafts with modules of its own.
        cache: format of the KV cache, in 16 bits "".
        weights: format into which the checkpoint is converted when it is loaded; "" where it is loaded as it is.
        fraction: share of a chip's memory that may be filled; None for the tool's default.
        eager: whether nothing is captured in a graph.
        redundant: extra copies of routed experts.
        notes: what was put in.
    """

    model: str
    tp: int
    pp: int
    dp: int
    ep: int
    replicas: int
    devices: int
    nodes: int
    per_node: int
    sequences: int
    chunk: int
    length: int
    drafts: int
    drafter: str
    own_drafts: bool
    cache: str
    weights: str
    fraction: float | None
    eager: bool
    redundant: int
    notes: tuple[str, ...]


def devices_per_node(system: System, given: int | None) -> tuple[int, str]:
    """Return the devices of a host, and the sentence that says where that is from; "" where it was given."""
    if given is not None:
        if given < 1:
            raise QuestionError(f"per_node: {given}: must be at least 1; give the devices of a host")
        return given, ""
    ranks = system.ranks_per_chip
    inner = next((int(tier.size) for tier in system.tiers if tier.size > ranks), ranks)
    most = GRACE_NODE if system.cpu == "grace" else NODE
    found = min(inner, most * ranks)
    return found, f"{found} devices in a host, from {system.name}; per_node (--per-node) says otherwise"


def plan_of(est: Estimate, *, model: str = "", per_node: int | None = None) -> Plan:
    """Return one replica of a service in whole numbers.

    Raises:
        QuestionError: not a service, or one that does not fit.
    """
    q, layout = est.question, est.layout
    if not isinstance(q, Serve):
        raise QuestionError("launch: is of a service; ask for one with estimate(model, system, concurrency=64)")
    if not bool(est.fits):
        raise QuestionError(f"launch: this configuration does not fit: {est.reasons[0]}; ask for one that does")
    node, note = devices_per_node(est.system, per_node)
    notes = [note] if note else []
    if not model:
        notes.append(f"the model is called {q.model.name}; model (--model-path) names the checkpoint")
    devices = int(layout.tp * layout.pp * layout.dp)
    ranks = int(layout.dp * layout.replicas)
    sequences = max(math.ceil(float(est.concurrency) / ranks), 1)
    if sequences > float(est.max_concurrency):
        sequences = max(int(est.max_concurrency), 1)
    chunk = q.chunk if q.chunk is not None else est.calibration.engine.budget / layout.dp
    if q.chunk is None:
        notes.append(f"prompt tokens of a step: {float(chunk):g} on each attention rank, as estimated")
    if q.rate is not None:
        notes.append(f"requests in flight are the mean at {float(q.rate):g} a second; allow more for bursts")
    weights, more = _conversion(q.model)
    engine = est.calibration.engine
    return Plan(
        model=model or q.model.name, tp=int(layout.tp), pp=int(layout.pp), dp=int(layout.dp), ep=int(layout.ep), replicas=int(layout.replicas),
        devices=devices, nodes=max(math.ceil(devices / node), 1), per_node=min(node, devices), sequences=sequences,
        chunk=max(int(chunk), 1), length=int(q.input + q.output), drafts=int(q.draft_tokens),
        drafter="" if q.model.speculator is None else q.model.speculator.name, own_drafts=q.model.mtp > 0,
        cache=q.model.formats.kv if q.model.formats.kv not in ("bf16", "fp16") else "", weights=weights,
        fraction=None if engine.memory_fraction is None else float(engine.memory_fraction), eager=not engine.captured and engine.name != "none",
        redundant=int(layout.redundant_experts), notes=(*notes, *more),
    )  # fmt: skip


def _conversion(model: Model) -> tuple[str, list[str]]:
    """Return the format into which an engine must convert the checkpoint, and what to say of it."""
    try:
        stored = catalog.model(model.name).dtype
    except RooflineError:
        return "", [f"the checkpoint is taken to be in {model.dtype} already"]
    if stored == model.dtype:
        return "", []
    made = _NARROW.get(model.dtype, "") if stored in ("bf16", "fp16") else ""
    if made:
        return model.dtype, [
            f"the {stored} checkpoint is converted to {model.dtype} when it is loaded; a converted checkpoint is better"
        ]
    return "", [f"the checkpoint must be in {model.dtype}: the model as published is in {stored}"]


def _experts(plan: Plan, est: Estimate, *, all_or_none: bool) -> list[str]:
    """Return what to say where a tool cannot share the experts as planned."""
    ranks = plan.tp * plan.dp
    moe = est.question.model.experts
    if all_or_none and moe and plan.ep not in (1, ranks):
        return [
            f"the configuration shards experts over ep={plan.ep} ranks; this tool shards them over all {ranks} ranks or none"
        ]
    return []


def _draft(plan: Plan, model: Model) -> list[str]:
    if plan.drafts and not plan.drafter and not model.mtp:
        return ["draft tokens were requested without a draft model: put its path in place of DRAFT_MODEL"]
    return []


def _of(kind: Tool, plan: Plan, command: tuple[str, ...], notes: list[str], **more: object) -> Launch:
    copies = [f"start {plan.replicas} of these, {plan.devices} devices each"] if plan.replicas > 1 else []
    base = Launch(kind.title, kind.release, kind.source, command, plan.replicas, notes=(*copies, *plan.notes, *notes))
    return evolve(base, **more)  # type: ignore[arg-type]


def vllm_flags(plan: Plan, kind: Tool, est: Estimate) -> Flags:
    """Return the flags of ``vllm serve`` for one replica; Dynamo and llm-d take the same."""
    moe = bool(est.question.model.experts)
    tokens = max(plan.chunk, plan.sequences * (plan.drafts + 1))
    flags = Flags(kind)
    for name, degree in (("tensor", plan.tp), ("pipeline", plan.pp), ("data", plan.dp)):
        flags.add(f"--{name}-parallel-size", degree if degree > 1 else None)
    flags.add("--enable-expert-parallel", moe and plan.ep > 1)
    if plan.redundant and moe and plan.ep > 1:
        flags.add("--enable-eplb").add("--eplb-config", json.dumps({"num_redundant_experts": plan.redundant}))
    flags.add("--max-model-len", plan.length).add("--max-num-seqs", plan.sequences).add(
        "--max-num-batched-tokens", tokens
    )
    flags.add("--gpu-memory-utilization", plan.fraction)
    flags.add("--quantization", _vllm_format(plan, kind))
    flags.add("--kv-cache-dtype", _cache(plan.cache, {"fp8": "fp8", "nvfp4": "nvfp4"}, "auto"))
    flags.add("--enforce-eager", plan.eager)
    if plan.drafts:
        spec: dict[str, Value] = (
            {"method": "mtp"} if plan.own_drafts and not plan.drafter else {"model": plan.drafter or "DRAFT_MODEL"}
        )
        flags.add("--speculative-config", json.dumps(spec | {"num_speculative_tokens": plan.drafts}))
    return flags


def _vllm_format(plan: Plan, kind: Tool) -> str | None:
    if not plan.weights:
        return None
    name = "fp8_per_block" if plan.weights == "fp8-block" else plan.weights
    known = kind.flags.get("--quantization", ())
    return name if name in known else None


def _cache(form: str, known: dict[str, str], usual: str) -> str | None:
    """Return a tool's name of a cache format; one that it does not have is left to the tool."""
    return known.get(form, usual) if form else usual


def vllm(est: Estimate, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the command line of vLLM."""
    return _vllm(est, "vllm", model, per_node)


def vllm_ascend(est: Estimate, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the command line of vLLM with the plugin of Ascend, whose checkpoints in INT8 are made by ModelSlim."""
    found = _vllm(est, "vllm-ascend", model, per_node)
    return evolve(found, environment={"HCCL_OP_EXPANSION_MODE": "AIV", **found.environment})


def _vllm(est: Estimate, name: str, model: str, per_node: int | None) -> Launch:
    plan, kind = plan_of(est, model=model, per_node=per_node), tool(name)
    flags = vllm_flags(plan, kind, est)
    if name == "vllm-ascend" and est.question.model.dtype == "int8":
        flags.add("--quantization", "ascend")
    notes = _experts(plan, est, all_or_none=True) + _draft(plan, est.question.model)
    files: dict[str, str] = {}
    if plan.nodes > 1:
        flags, files = _hosts(plan, kind, flags)
        notes.append(
            f"one replica takes {plan.nodes} hosts: run the command on the first, others.sh on each of the others"
        )
    return _of(kind, plan, (*kind.command, plan.model, *flags.words), notes, files=files)


def _hosts(plan: Plan, kind: Tool, flags: Flags) -> tuple[Flags, dict[str, str]]:
    """Return the flags of the first host, and the script of the others: attention ranks are spread, else one rank's own chips are."""
    base, first, other = flags.words, Flags(kind), Flags(kind)
    if plan.dp > 1 and plan.tp * plan.pp <= plan.per_node:
        local = plan.per_node // (plan.tp * plan.pp)
        for each in (first, other):
            each.add("--data-parallel-size-local", local).add("--data-parallel-address", "HEAD_ADDRESS")
        other.add("--headless").add("--data-parallel-start-rank", f"$((NODE_RANK * {local}))")
    else:
        for each in (first, other):
            each.add("--nnodes", plan.nodes).add("--master-addr", "HEAD_ADDRESS")
        first.add("--node-rank", 0)
        other.add("--node-rank", "$NODE_RANK").add("--headless")
    out = Flags(kind)
    out._words = [*base, *first.words]  # noqa: SLF001
    text = (
        wrapped((*kind.command, plan.model, *base, *other.words))
        .replace("'$((NODE_RANK", "$((NODE_RANK")
        .replace("))'", "))")
    )
    script = f"#!/bin/sh\n# HEAD_ADDRESS: the first host; NODE_RANK: 1 to {plan.nodes - 1}\n{text.replace(chr(39) + '$NODE_RANK' + chr(39), '$NODE_RANK')}\n"
    return out, {"others.sh": script}


def sglang(est: Estimate, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the command line of SGLang, whose ``--tp-size`` counts the attention ranks' chips too."""
    plan, kind = plan_of(est, model=model, per_node=per_node), tool("sglang")
    moe = bool(est.question.model.experts)
    flags = Flags(kind).add("--model-path", plan.model)
    flags.add("--tp-size", plan.tp * plan.dp).add("--pp-size", plan.pp if plan.pp > 1 else None)
    flags.add("--attn-dp-size", plan.dp if plan.dp > 1 else None).add(
        "--ep-size", plan.ep if moe and plan.ep > 1 else None
    )
    flags.add("--ep-num-redundant-experts", plan.redundant if plan.redundant and plan.ep > 1 else None)
    if moe and plan.ep > 1 and plan.dp > 1 and est.calibration.engine.exchange == "all_to_all":
        flags.add("--moe-a2a-backend", "ascend_fuseep" if est.system.vendor == "Huawei" else "deepep")
    flags.add("--context-length", plan.length).add("--max-running-requests", plan.sequences * plan.dp)
    flags.add("--chunked-prefill-size", plan.chunk * plan.dp).add("--mem-fraction-static", plan.fraction)
    flags.add("--quantization", "fp8" if plan.weights.startswith("fp8") else None)
    flags.add("--kv-cache-dtype", _cache(plan.cache, {"fp8": "fp8_e4m3", "nvfp4": "nvfp4"}, "auto"))
    flags.add("--cuda-graph-backend-decode", "disabled" if plan.eager else None)
    if plan.drafts:
        flags.add("--speculative-algorithm", "NEXTN" if plan.own_drafts and not plan.drafter else "EAGLE3")
        flags.add(
            "--speculative-draft-model-path",
            None if plan.own_drafts and not plan.drafter else plan.drafter or "DRAFT_MODEL",
        )
        flags.add("--speculative-num-steps", plan.drafts).add("--speculative-eagle-topk", 1)
        flags.add("--speculative-num-draft-tokens", plan.drafts + 1)
    notes = _draft(plan, est.question.model)
    if plan.nodes > 1:
        flags.add("--nnodes", plan.nodes).add("--node-rank", 0).add("--dist-init-addr", "HEAD_ADDRESS:20000")
        notes.append(
            f"one replica takes {plan.nodes} hosts: the same command on each, with --node-rank 0 to {plan.nodes - 1}"
        )
    return _of(kind, plan, (*kind.command, *flags.words), notes)


def trtllm(est: Estimate, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the command line of trtllm-serve and the file that its ``--config`` names."""
    plan, kind = plan_of(est, model=model, per_node=per_node), tool("trtllm")
    moe = bool(est.question.model.experts)
    flags = Flags(kind).add("--tp_size", plan.tp * plan.dp).add("--pp_size", plan.pp if plan.pp > 1 else None)
    flags.add("--ep_size", plan.ep if moe and plan.ep > 1 else None).add(
        "--gpus_per_node", plan.per_node if plan.nodes > 1 else None
    )
    flags.add("--max_batch_size", plan.sequences).add(
        "--max_num_tokens", max(plan.chunk, plan.sequences * (plan.drafts + 1))
    )
    flags.add("--max_seq_len", plan.length).add("--kv_cache_free_gpu_memory_fraction", plan.fraction).add(
        "--config", "extra.yaml"
    )
    notes = _draft(plan, est.question.model)
    if plan.dp > 1 and plan.tp > 1:
        notes.append(f"attention ranks of tp={plan.tp} chips have no flag: with attention DP each rank is one chip")
    values: dict[str, Value] = {"enable_chunked_prefill": True}
    if plan.dp > 1:
        values["enable_attention_dp"] = True
    values |= (
        {"cuda_graph_config": None}
        if plan.eager
        else {"cuda_graph_config.max_batch_size": plan.sequences, "cuda_graph_config.enable_padding": True}
    )
    values["kv_cache_config.dtype"] = _cache(plan.cache, {"fp8": "fp8", "nvfp4": "nvfp4"}, "auto")
    values["kv_cache_config.enable_block_reuse"] = bool(getattr(est.question, "cached", 0))
    if plan.redundant:
        values["moe_config.load_balancer.num_slots"] = est.question.model.experts + plan.redundant
    if plan.drafts and plan.own_drafts and not plan.drafter:
        values |= {
            "speculative_config.decoding_type": "MTP",
            "speculative_config.num_nextn_predict_layers": plan.drafts,
        }
    elif plan.drafts:
        values |= {"speculative_config.decoding_type": "Eagle3", "speculative_config.max_draft_len": plan.drafts,
                   "speculative_config.speculative_model": plan.drafter or "DRAFT_MODEL"}  # fmt: skip
    if plan.weights:
        notes.append(f"the checkpoint must be in {plan.weights}: TensorRT-LLM does not convert it when it is loaded")
    if plan.nodes > 1:
        notes.append(
            f"one replica takes {plan.nodes} hosts: start it with mpirun or srun over {plan.devices} ranks (trtllm-llmapi-launch)"
        )
    text = yaml(settings(kind, values)) + "\n"
    return _of(kind, plan, (*kind.command, plan.model, *flags.words), notes, files={"extra.yaml": text})


def mindie(est: Estimate, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return what to put into MindIE's config.json."""
    plan, kind = plan_of(est, model=model, per_node=per_node), tool("mindie")
    q, moe = est.question, bool(est.question.model.experts)
    deploy, each = "BackendConfig.ModelDeployConfig.", "BackendConfig.ModelDeployConfig.ModelConfig."
    prompt = int(q.input) if isinstance(q, Serve) else plan.length
    values: dict[str, Value] = {
        "BackendConfig.multiNodesInferEnabled": plan.nodes > 1,
        f"{deploy}maxSeqLen": plan.length, f"{deploy}maxInputTokenLen": prompt, f"{each}modelName": est.question.model.name,
        f"{each}modelWeightPath": plan.model, f"{each}worldSize": min(plan.devices, plan.per_node), f"{each}tp": plan.tp,
        f"{each}dp": plan.dp,
    }  # fmt: skip
    if plan.pp > 1:
        values[f"{each}pp"] = plan.pp
    if moe:
        values |= {f"{each}moe_tp": max(plan.tp * plan.dp // plan.ep, 1), f"{each}moe_ep": plan.ep}
    if plan.drafts:
        values[f"{each}plugin_params"] = json.dumps({"plugin_type": "mtp", "num_speculative_tokens": plan.drafts})
    schedule = "BackendConfig.ScheduleConfig."
    values |= {
        f"{schedule}maxBatchSize": plan.sequences, f"{schedule}maxPrefillBatchSize": max(min(plan.chunk // max(prompt, 1), plan.sequences), 1),
        f"{schedule}maxPrefillTokens": max(plan.chunk, prompt), f"{schedule}maxIterTimes": plan.length - prompt,
    }  # fmt: skip
    tree = settings(kind, values)
    backend = tree["BackendConfig"]
    if isinstance(backend, dict):
        kind.check("BackendConfig.npuDeviceIds", "", key=True)
        backend["npuDeviceIds"] = [list(range(min(plan.devices, plan.per_node)))]
        one = backend["ModelDeployConfig"]
        one["ModelConfig"] = [one["ModelConfig"]]
    notes = [
        "merge these keys into the config.json of the installation",
        *_draft(plan, est.question.model),
    ]
    if plan.nodes > 1:
        notes.append(f"one replica takes {plan.nodes} hosts: a rank table names them, and the world is counted from it")
    return _of(kind, plan, kind.command, notes, files={"config.json": json.dumps(tree, indent=2) + "\n"})
