"""Training steps as flags of Megatron-LM, torchtitan and MindSpeed-LLM, with a batch script for Slurm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from roofline.core.errors import QuestionError
from roofline.models.architecture import Layers, Model
from roofline.models.blocks import Dense, Gqa, Mla, Moe
from roofline.reports.launch.flags import Flags, Launch, Tool, tool, wrapped
from roofline.reports.launch.serving import devices_per_node
from roofline.results.training import Training
from roofline.workload.questions import modules

_MODULES: Final = {
    "attention": "core_attn",
    "norm": "layernorm",
    "activation": "moe_act",
    "up": "mla_up_proj",
    "ffn": "mlp",
    "experts": "moe",
}
"""Modules of selective recomputation as Megatron-Core calls them."""
_RECIPES: Final = {"fp8": "tensorwise", "fp8-block": "blockwise", "mxfp8": "mxfp8"}
_CONTEXT: Final = {"ring": "p2p", "all-gather": "allgather", "ulysses": "a2a"}
_ASCEND_CONTEXT: Final = {"ring": "megatron_cp_algo", "all-gather": "kvallgather_cp_algo", "ulysses": "ulysses_cp_algo"}
_TITAN: Final = {"1f1b": "1F1B", "gpipe": "GPipe", "zb-v": "ZBVZeroBubble", "dualpipe": "DualPipeV"}


def _fits(est: Training) -> None:
    if not bool(est.fits):
        raise QuestionError(f"launch: this configuration does not fit: {est.reasons[0]}; ask for one that does")


def _hosts(est: Training, per_node: int | None) -> tuple[int, int, list[str]]:
    """Return the devices of a host, the hosts, and what to say of them."""
    node, note = devices_per_node(est.system, per_node)
    devices = int(est.layout.ranks)
    node = min(node, devices)
    return node, math.ceil(devices / node), [note] if note else []


def _runs(model: Model) -> Iterator[Layers]:
    yield from model.layers


def _architecture(flags: Flags, est: Training, notes: list[str]) -> None:
    """Add the flags of the model's dimensions; kinds of layer that Megatron has no flags for are named in the notes."""
    q = est.question
    model = q.model
    runs = list(_runs(model))
    attention = next((run.attention for run in runs if isinstance(run.attention, (Gqa, Mla))), None)
    moe = next((run.ffn for run in runs if isinstance(run.ffn, Moe)), None)
    dense = next((run.ffn for run in runs if isinstance(run.ffn, Dense)), None)
    flags.add("--num-layers", sum(run.count for run in runs)).add("--hidden-size", model.hidden)
    width = dense.width if dense is not None else moe.width if moe is not None else 4 * model.hidden
    flags.add("--ffn-hidden-size", width)
    if attention is not None:
        flags.add("--num-attention-heads", attention.heads)
    if isinstance(attention, Gqa):
        grouped = attention.kv_heads != attention.heads
        flags.add("--group-query-attention", grouped).add("--num-query-groups", attention.kv_heads if grouped else None)
        flags.add("--kv-channels", attention.head_dim)
    if isinstance(attention, Mla):
        flags.add("--multi-latent-attention").add("--q-lora-rank", attention.q_rank).add(
            "--kv-lora-rank", attention.kv_rank
        )
        flags.add("--qk-head-dim", attention.nope_dim).add("--qk-pos-emb-head-dim", attention.rope_dim).add(
            "--v-head-dim", attention.value_dim
        )
    if moe is not None:
        flags.add("--num-experts", moe.experts).add("--moe-router-topk", moe.top_k).add(
            "--moe-ffn-hidden-size", moe.width
        )
        flags.add("--moe-shared-expert-intermediate-size", moe.shared_width or None).add("--moe-grouped-gemm")
        flags.add("--moe-token-dispatcher-type", "alltoall")
    others = {type(part).__name__ for run in runs for part in (run.attention, run.ffn)} - {"Gqa", "Mla", "Dense", "Moe"}
    if others:
        notes.append(
            f"layers of the kinds {', '.join(sorted(others))} have no flags here: take the recipe of the model"
        )
    gated = getattr(moe if moe is not None else dense, "gated", True)
    flags.add("--swiglu", gated).add("--disable-bias-linear").add(
        "--normalization", "RMSNorm" if model.norm_params == 1 else "LayerNorm"
    )
    flags.add("--position-embedding-type", "rope").add("--untie-embeddings-and-output-weights", not model.tied)
    flags.add("--mtp-num-layers", model.mtp or None).add("--vocab-size", model.vocab)


def _pattern(model: Model) -> str:
    """Return which layers have experts as Megatron's ``--moe-layer-freq`` takes it.

    >>> from roofline.catalog import model as named
    >>> _pattern(named("deepseek-v3"))
    '([0]*3+[1]*58)'
    """
    parts = [f"[{int(isinstance(run.ffn, Moe))}]*{run.count}" for run in model.layers]
    return f"({'+'.join(parts)})"


def _degrees(flags: Flags, est: Training) -> None:
    layout, q = est.layout, est.question
    flags.add("--tensor-model-parallel-size", int(layout.tp)).add("--pipeline-model-parallel-size", int(layout.pp))
    flags.add("--context-parallel-size", int(layout.cp) if layout.cp > 1 else None)
    if q.model.experts:
        flags.add("--expert-model-parallel-size", int(layout.ep))
        flags.add("--expert-tensor-parallel-size", int(layout.tp if layout.etp is None else layout.etp))
    flags.add("--sequence-parallel", bool(layout.sequence_parallel and layout.tp > 1))
    flags.add("--micro-batch-size", int(q.micro_batch)).add("--global-batch-size", int(q.global_batch)).add(
        "--seq-length", int(q.seq_len)
    )
    flags.add("--max-position-embeddings", max(int(q.seq_len), q.model.max_context))


def _layers_a_chunk(est: Training) -> int:
    layers = sum(run.count for run in est.question.model.layers)
    return max(layers // int(est.layout.pp * est.layout.vpp), 1)


def _uneven(est: Training) -> bool:
    """Return whether the layers do not divide over the chunks of the pipeline."""
    return sum(run.count for run in est.question.model.layers) % int(est.layout.pp * est.layout.vpp) != 0


def _chunks(est: Training) -> str:
    """Return the layers of each chunk as ``--pipeline-model-parallel-layout`` takes them: E embeds, t is a layer, m a draft module, L the loss."""
    layers, chunks = sum(run.count for run in est.question.model.layers), int(est.layout.pp * est.layout.vpp)
    each, over = divmod(layers, chunks)
    # The last chunk has the loss, so the chunks before it take the layers that are over.
    parts = [f"t*{each + (i < over)}" if each + (i < over) else "" for i in range(chunks)]
    return f"E{'|'.join(parts)}{'m' * est.question.model.mtp}L"


def _common_notes(notes: list[str], est: Training, model: str) -> None:
    if not model:
        notes.append(f"the tokenizer is called {est.question.model.name}; model (--model-path) names its path")
    if est.question.task != "pretrain":
        notes.append(f"the task is {est.question.task}: add the checkpoint to start from, and the adapter's flags")
    notes.append("put your own data, learning rate and length of the run in place of DATA, --lr and --train-iters")


def megatron(est: Training, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the flags of Megatron-LM's pretrain_gpt.py and a batch script."""
    _fits(est)
    kind, flags = tool("megatron"), Flags(tool("megatron"))
    node, nodes, notes = _hosts(est, per_node)
    layout, q = est.layout, est.question
    flags.add("--use-mcore-models")
    _degrees(flags, est)
    if layout.cp > 1:
        flags.add("--cp-comm-type", _CONTEXT[layout.context])
    if _uneven(est):
        flags.add("--pipeline-model-parallel-layout", _chunks(est))
    elif layout.vpp > 1:
        flags.add("--num-virtual-stages-per-pipeline-rank", int(layout.vpp))
    if layout.schedule != "1f1b" and layout.pp > 1:
        notes.append(f"the schedule {layout.schedule} has no flag: 1F1B, or interleaved, is what runs")
    if layout.sharding == "zero1":
        flags.add("--use-distributed-optimizer")
    elif layout.sharding in ("zero2", "zero3"):
        flags.add("--use-distributed-optimizer").add("--use-megatron-fsdp").add("--ckpt-format", "fsdp_dtensor")
        flags.add(
            "--data-parallel-sharding-strategy", "optim_grads" if layout.sharding == "zero2" else "optim_grads_params"
        )
    if layout.sharding != "none":
        flags.add("--overlap-grad-reduce").add("--overlap-param-gather")
    _recompute(flags, q.recompute)
    flags.add("--bf16")
    if q.model.dtype in _RECIPES:
        flags.add("--fp8-format", "hybrid").add("--fp8-recipe", _RECIPES[q.model.dtype])
    elif q.model.dtype == "nvfp4":
        flags.add("--fp4-format", "e2m1")
    _architecture(flags, est, notes)
    if q.model.experts:
        flags.add("--moe-layer-freq", _pattern(q.model))
    flags.add("--tokenizer-type", "HuggingFaceTokenizer").add("--tokenizer-model", model or q.model.name)
    flags.add("--data-path", "DATA").add("--train-iters", 100).add("--lr", 1e-4)
    _common_notes(notes, est, model)
    return _launched(kind, est, flags, (node, nodes), notes)


def _recompute(flags: Flags, recompute: str) -> None:
    head = recompute.partition(":")[0]
    if head == "full":
        flags.add("--recompute-granularity", "full").add("--recompute-method", "uniform").add(
            "--recompute-num-layers", 1
        )
    elif head == "selective":
        flags.add("--recompute-granularity", "selective")
        named = [_MODULES[name] for name in modules(recompute)]
        flags.add("--recompute-modules", named[0])
        flags._words += named[1:]  # noqa: SLF001


def mindspeed(est: Training, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the flags of MindSpeed-LLM's pretrain_gpt.py and a batch script."""
    _fits(est)
    kind, flags = tool("mindspeed"), Flags(tool("mindspeed"))
    node, nodes, notes = _hosts(est, per_node)
    layout, q = est.layout, est.question
    flags.add("--use-mcore-models").add("--use-flash-attn")
    _degrees(flags, est)
    if layout.cp > 1:
        flags.add("--context-parallel-algo", _ASCEND_CONTEXT[layout.context])
    if layout.schedule == "dualpipe":
        flags.add("--schedules-method", "dualpipev").add("--moe-fb-overlap", bool(q.model.experts))
    elif layout.vpp > 1:
        flags.add("--num-layers-per-virtual-pipeline-stage", _layers_a_chunk(est))
    elif layout.schedule != "1f1b" and layout.pp > 1:
        notes.append(f"the schedule {layout.schedule} has no flag: 1F1B is what runs")
    if _uneven(est):
        notes.append("the layers do not divide over the pipeline: pad them with --noop-layers, or choose another --pp")
    flags.add("--use-distributed-optimizer", layout.sharding != "none")
    if layout.sharding in ("zero2", "zero3"):
        notes.append(
            f"{layout.sharding} needs the FSDP2 backend of MindSpeed-LLM; these flags shard the optimizer alone"
        )
    head = q.recompute.partition(":")[0]
    if head == "full":
        _recompute(flags, "full")
    elif head == "selective":
        named = modules(q.recompute)
        flags.add("--recompute-activation-function", "activation" in named).add("--recompute-norm", "norm" in named)
        flags.add("--recompute-granularity", "selective" if "attention" in named else None)
        left = [name for name in named if name not in ("attention", "activation", "norm")]
        notes += [f"recomputation of {', '.join(left)} has no flag here"] if left else []
    flags.add("--bf16")
    if q.model.dtype not in ("bf16", "fp16"):
        notes.append(
            f"training in {q.model.dtype} needs the low-precision features of MindSpeed; these flags train in bf16"
        )
    _architecture(flags, est, notes)
    if q.model.experts:
        first = next((i for i, run in enumerate(q.model.layers) if isinstance(run.ffn, Moe)), 0)
        flags.add("--moe-layer-freq", 1).add(
            "--first-k-dense-replace", sum(run.count for run in q.model.layers[:first])
        )
    flags.add("--tokenizer-type", "PretrainedFromHF").add("--tokenizer-name-or-path", model or q.model.name)
    flags.add("--data-path", "DATA").add("--train-iters", 100).add("--lr", 1e-4)
    _common_notes(notes, est, model)
    return _launched(kind, est, flags, (node, nodes), notes)


def torchtitan(est: Training, *, model: str = "", per_node: int | None = None) -> Launch:
    """Return the options of torchtitan over the configuration file of the model, and a batch script."""
    _fits(est)
    kind, flags = tool("torchtitan"), Flags(tool("torchtitan"))
    node, nodes, notes = _hosts(est, per_node)
    layout, q, at = est.layout, est.question, "--parallelism."
    flags.add("--job.config_file", model or f"train_configs/{q.model.name}.toml")
    flags.add(f"{at}tensor_parallel_degree", int(layout.tp)).add(f"{at}context_parallel_degree", int(layout.cp))
    flags.add(f"{at}pipeline_parallel_degree", int(layout.pp))
    if layout.pp > 1:
        schedule = "Interleaved1F1B" if layout.vpp > 1 and layout.schedule == "1f1b" else _TITAN.get(layout.schedule)
        notes += [] if schedule else [f"the schedule {layout.schedule} has no name here: 1F1B is what runs"]
        flags.add(f"{at}pipeline_parallel_schedule", schedule or "1F1B")
        flags.add(f"{at}pipeline_parallel_microbatch_size", int(q.micro_batch))
    whole = layout.fsdp is None
    shards = int(layout.dp) if whole else int(layout.fsdp or 1)
    sharded = layout.sharding in ("zero2", "zero3")
    flags.add(f"{at}data_parallel_shard_degree", shards if sharded else 1)
    flags.add(f"{at}data_parallel_replicate_degree", int(layout.dp) // shards if sharded else int(layout.dp))
    if sharded:
        flags.add(f"{at}fsdp_reshard_after_forward", "never" if layout.sharding == "zero2" else "always")
    elif layout.sharding == "zero1":
        notes.append(
            "sharding of the optimizer alone (zero1) has no option: the optimizer is replicated; use zero2 or zero3"
        )
    if q.model.experts:
        flags.add(f"{at}expert_parallel_degree", int(layout.ep)).add(
            f"{at}expert_tensor_parallel_degree", int(layout.tp if layout.etp is None else layout.etp)
        )
    batch = int(q.global_batch)
    local = int(q.micro_batch) if layout.pp == 1 else max(batch // int(layout.dp), 1)
    flags.add("--training.local_batch_size", local).add("--training.global_batch_size", batch).add(
        "--training.seq_len", int(q.seq_len)
    )
    head = q.recompute.partition(":")[0]
    flags.add("--activation_checkpoint.mode", head if head in ("none", "selective", "full") else "selective")
    if q.model.dtype.startswith(("fp8", "mxfp8")):
        name = "mx" if q.model.dtype == "mxfp8" else "float8"
        flags.add("--model.converters", f"quantize.linear.{name}")
    flags.add("--compile.enable")
    notes.append("the configuration file states the model, its tokenizer and the data; these options state the layout")
    return _launched(kind, est, flags, (node, nodes), notes)


def _launched(kind: Tool, est: Training, flags: Flags, hosts: tuple[int, int], notes: list[str]) -> Launch:
    """Return the command on one host, and a batch script that starts it on all."""
    node, nodes = hosts
    script = "-m torchtitan.train" if kind.name == "torchtitan" else "pretrain_gpt.py"
    where = ["--nproc_per_node", str(node), "--nnodes", str(nodes)]
    # Megatron overlaps tensor-parallel messages by the order of launches; its FSDP needs more than one queue.
    ordered = kind.name != "torchtitan" and "--use-megatron-fsdp" not in flags.words
    if nodes > 1:
        where += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "HEAD_ADDRESS:29500"]
    command = (*kind.command, *where, *script.split(), *flags.words)
    body = wrapped((*kind.command, *where, *script.split(), *flags.words)).replace(
        "HEAD_ADDRESS:29500", "$HEAD_ADDRESS:29500"
    )
    gres = "" if est.system.package.vendor == "Huawei" else f"#SBATCH --gpus-per-node={node}\n"
    sbatch = (
        f"#!/bin/bash\n#SBATCH --job-name={est.question.model.name}\n#SBATCH --nodes={nodes}\n#SBATCH --ntasks-per-node=1\n{gres}#SBATCH --exclusive\n"
        'export HEAD_ADDRESS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)\n'
        f"srun bash -c '{body.replace(chr(39), chr(39) + chr(34) + chr(39) + chr(34) + chr(39))}'\n"
    )
    return Launch(kind.title, kind.release, kind.source, command, files={"train.sbatch": sbatch}, notes=tuple(notes),
                  environment={"CUDA_DEVICE_MAX_CONNECTIONS": "1"} if ordered else {})  # fmt: skip
