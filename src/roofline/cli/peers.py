"""Flags of other tools: accepted where they mean the same, else answered with ours; and messages for unknown flags.

The tools are vLLM, SGLang, TensorRT-LLM, aiconfigurator, genai-perf and AIPerf on the serving side, Megatron-LM, DeepSpeed and
torchtitan on the training side.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import cyclopts
from attrs import field, frozen
from cyclopts import App

from roofline.core.errors import QuestionError, RooflineError, fault

NEAR: Final = 0.78
"""Least likeness of a flag that is proposed in place of another: ``--tp-size`` is not a misspelt ``--price``."""


@frozen
class Alias:
    """A flag of ours that means the same.

    Attributes:
        flag: ours.
        value: what a switch of the other tool stands for; None where it takes a value.
        values: values of the other tool that have another name here.
    """

    flag: str
    value: str | None = None
    values: Mapping[str, str] = field(factory=dict)


_FP8: Final = {
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float32": "fp32",
    "awq": "int4-g128-zp",
    "gptq": "int4-g128",
}
_ENGINES: Final = {"trt-llm": "trtllm", "tensorrt-llm": "trtllm", "tensorrt_llm": "trtllm"}
_MODES: Final = {"SILICON": "calibrated", "HYBRID": "calibrated", "EMPIRICAL": "calibrated", "SOL": "ideal"}


def _same(flag: str, *words: str) -> dict[str, Alias]:
    return {word: Alias(flag) for word in words}


ALIASES: Final[Mapping[str, Alias]] = {
    **_same(
        "--tp",
        "-tp",
        "--tp-size",
        "--tensor-parallel-size",
        "--tensor-parallel",
        "--tensor-model-parallel-size",
        "--tensor-parallelism",
    ),
    **_same(
        "--pp",
        "-pp",
        "--pp-size",
        "--pipeline-parallel-size",
        "--pipeline-parallel",
        "--pipeline-model-parallel-size",
        "--pipeline-parallelism",
    ),
    **_same(
        "--dp",
        "-dp",
        "--dp-size",
        "--data-parallel-size",
        "--data-parallel",
        "--attention-dp-size",
        "--data-parallelism",
    ),
    **_same(
        "--ep",
        "--ep-size",
        "--expert-parallel-size",
        "--moe-ep-size",
        "--expert-model-parallel-size",
        "--moe-expert-parallel-size",
    ),
    **_same("--cp", "--cp-size", "--context-parallel-size"),
    **_same("--etp", "--expert-tensor-parallel-size"),
    **_same(
        "--chips",
        "--gpus",
        "--num-gpus",
        "--total-gpus",
        "--n-gpus",
        "--ngpus",
        "--gpu-count",
        "--num-devices",
        "--npus",
        "--num-npus",
        "--world-size",
        "--num-chips",
        "--devices",
    ),
    **_same("--model", "--model-path", "--model-name", "--model-id", "-m"),
    **_same("--system", "--hardware", "--machine", "--cluster", "--gpu", "--gpu-type", "--gpu-name", "--hw"),
    **_same("--concurrency", "--max-concurrency", "--num-concurrent-requests"),
    **_same("--rate", "--request-rate", "--qps", "--rps"),
    **_same(
        "--input",
        "--input-len",
        "--random-input-len",
        "--input-length",
        "--prompt-len",
        "--prompt-tokens",
        "--input-tokens",
        "--synthetic-input-tokens-mean",
        "--prefill-len",
    ),
    **_same(
        "--output",
        "--output-len",
        "--random-output-len",
        "--output-length",
        "--output-tokens",
        "--output-tokens-mean",
        "--max-tokens",
    ),
    **_same("--draft-tokens", "--nextn", "--num-speculative-tokens", "--speculative-num-draft-tokens"),
    **_same("--cached", "--prefix", "--prefix-len", "--random-prefix-len"),
    **_same("--chunk", "--chunked-prefill-size"),
    "--quantization": Alias("--dtype", values=_FP8),
    "-q": Alias("--dtype", values=_FP8),
    "--weight-dtype": Alias("--dtype", values=_FP8),
    "--kv-cache-dtype": Alias("--kv-dtype", values=_FP8),
    "--kvcache-quant-mode": Alias("--kv-dtype", values=_FP8),
    "--backend": Alias("--engine", values=_ENGINES),
    "--database-mode": Alias("--level", values=_MODES),
    "--enforce-eager": Alias("--launch", "eager"),
    "--disable-cuda-graph": Alias("--launch", "eager"),
    **_same("--global-batch", "--global-batch-size", "--gbs", "--train-batch-size"),
    **_same(
        "--micro-batch",
        "--micro-batch-size",
        "--mbs",
        "--train-micro-batch-size-per-gpu",
        "--per-device-train-batch-size",
    ),
    **_same("--seq-len", "--seq-length", "--sequence-length", "--max-seq-len", "--max-seq-length"),
    **_same("--vpp", "--virtual-pipeline-model-parallel-size"),
    **_same("--recompute", "--recompute-granularity"),
    "--recompute-activations": Alias("--recompute", "selective"),
    "--activation-checkpointing": Alias("--recompute", "full"),
    "--gradient-checkpointing": Alias("--recompute", "full"),
    "--use-distributed-optimizer": Alias("--sharding", "zero1"),
    "--fsdp": Alias("--sharding", "zero3"),
    "--zero-stage": Alias("--sharding", values={"0": "none", "1": "zero1", "2": "zero2", "3": "zero3"}),
    "--bf16": Alias("--dtype", "bf16"),
    "--fp16": Alias("--dtype", "fp16"),
    "--fp8": Alias("--dtype", "fp8"),
    "--output-format": Alias("--json", "json"),
    "--out": Alias("--output-file"),
}
"""Flags of other tools that mean what a flag of ours means."""

_DEPLOYMENT: Final = "here a batch counts sequences of the whole deployment"
ANSWERS: Final[Mapping[str, str]] = {
    "--max-num-seqs": "caps the batch of one replica; here the load is given: --concurrency N, requests in flight over all replicas",
    "--max-running-requests": "caps the batch of one replica; here the load is given: --concurrency N, requests in flight over all replicas",
    "--max-batch-size": "caps the batch of one replica; here the load is given: --concurrency N, requests in flight over all replicas",
    "--batch-size": f"{_DEPLOYMENT}: --concurrency N for a service, --global-batch N for training, --phase decode --batch N with "
    "roofline sensitivity and needed",
    "--local-batch-size": f"{_DEPLOYMENT}: --global-batch N; sequences of a micro-batch per rank are --micro-batch N",
    "--gradient-accumulation-steps": "follows from --global-batch, --micro-batch and the data-parallel degree; give those",
    "--max-num-batched-tokens": "caps the tokens of a step; here the prompt tokens per attention rank and step are given: --chunk N",
    "--max-num-tokens": "caps the tokens of a step; here the prompt tokens per attention rank and step are given: --chunk N",
    "--max-model-len": "caps the context; here the lengths are given: --input N --output N",
    "--context-length": "caps the context; here the lengths are given: --input N --output N",
    "--num-prompts": "is the length of a benchmark; an estimate is of a steady service; --requests-per-slot N gives prompts over concurrency",
    "--enable-expert-parallel": "has no degree; give it: --ep N, the ranks that share the routed experts (vLLM takes tp times dp)",
    "-ep": "is a switch of vLLM and has no degree; give it: --ep N, the ranks that share the routed experts (vLLM takes tp times dp)",
    "--enable-dp-attention": "has no degree; give it: --dp N, the ranks that each run attention for their own sequences",
    "--enable-chunked-prefill": "is always on; --chunk N sets the prompt tokens of a step; a large N disables it",
    "--enable-prefix-caching": "has no length; give it: --cached N, prompt tokens already in the KV cache, on average",
    "--enable-prefix-cache": "has no length; give it: --cached N, prompt tokens already in the KV cache, on average",
    "--goodput": "is counted under the limits of a request: --ttft 300ms --tpot 15ms",
    "--nextn-accepted": "counts accepted drafts; here the tokens per step are given, one more: --accept-length N",
    "--speculative-num-steps": "depends on the drafter; give the draft tokens verified in a step: --draft-tokens N",
    "--speculative-config": "is JSON of vLLM; give --draft-tokens N, and --accept-length X if it is known",
    "--nnodes": "is a number of hosts; give the chips of all of them: --chips N",
    "--nodes": "is a number of hosts; give the chips of all of them: --chips N",
    "--num-nodes": "is a number of hosts; give the chips of all of them: --chips N",
    "--gpus-per-node": "is part of the system (roofline show SYSTEM); give the chips of all hosts: --chips N",
    "--nproc-per-node": "is part of the system (roofline show SYSTEM); give the chips of all hosts: --chips N",
    "--num-layers-per-virtual-pipeline-stage": "depends on the layers; give the chunks per pipeline stage: --vpp N",
    "--recompute-method": "is chosen by --recompute none, selective or full",
    "--recompute-num-layers": "is chosen by --recompute none, selective or full",
    "--strict-sla": "is always so: roofline search serve applies --ttft and --tpot, and reports why others miss them",
    "--top-k": "is not a flag; roofline search prints the frontier and the best of each layout; roofline sweep --top N prints N",
    "--trust-remote-code": "is not needed: nothing is executed; a model is read from its config.json",
    "--hf-token": "is not needed: nothing is downloaded; give the path of a config.json",
    "--load-format": "is not needed: no weights are loaded",
    "--set": "is a flag of roofline sweep; here every size has its own flag, such as --concurrency 64, --batch 64 or --global-batch 1024",
}
"""Flags of other tools that have no flag of ours with the same meaning, and what to give instead."""

COMMANDS: Final[Mapping[str, str]] = {
    "vllm": "roofline estimate MODEL -s SYSTEM --tp N --engine vllm; roofline launch writes vLLM's own command line",
    "sglang": "roofline estimate MODEL -s SYSTEM --tp N --engine sglang; roofline launch writes SGLang's own command line",
    "trtllm-serve": "roofline estimate MODEL -s SYSTEM --tp N --engine trtllm; roofline launch writes its own command line",
    "trtllm-bench": "roofline estimate MODEL -s SYSTEM --engine trtllm --concurrency N",
    "torchrun": "roofline train MODEL -s SYSTEM --chips N --global-batch N; roofline launch writes Megatron's own command line",
    "aiconfigurator": "roofline search serve MODEL -s SYSTEM --ttft 2s --tpot 30ms",
    "generate": "roofline launch MODEL -s SYSTEM",
    "serve": "roofline estimate MODEL -s SYSTEM for one configuration, roofline search serve MODEL -s SYSTEM for the best",
    "bench": "roofline estimate MODEL -s SYSTEM --concurrency N",
    "default": "roofline search serve MODEL -s SYSTEM --ttft 2s --tpot 30ms",
    "recommend": "roofline search serve MODEL -s SYSTEM --ttft 2s --tpot 30ms",
    "optimize": "roofline search serve MODEL -s SYSTEM, or roofline search train",
    "cli": "roofline search serve MODEL -s SYSTEM --ttft 2s --tpot 30ms",
    "eval": "roofline estimate MODEL -s SYSTEM, or roofline validate FILE.csv",
    "pretrain": "roofline train MODEL -s SYSTEM --chips N --global-batch N",
    "support": "roofline list systems, or roofline list models",
    "systems": "roofline list systems",
    "models": "roofline list models",
    "chips": "roofline list chips",
    "help": "roofline --help",
}
"""Commands of other tools, and ours."""

_PICTURES: Final[Mapping[str, str]] = {
    "--plot": "roofline plot MODEL -s SYSTEM -o FILE.svg draws answers, with --kind frontier those of a search",
}
"""Flags of some commands that another command stands for elsewhere."""
_BELOW_ZERO: Final = re.compile(r"-[.0-9]")
_OWN: Final[Mapping[str, Sequence[str]]] = {"sweep": ("--set",), "simulate": ("--max-num-seqs",)}
"""Words that are answered everywhere but where they are ours."""
SIMULATED: Final[Mapping[str, Alias]] = {
    **_same("--requests", "--num-prompts", "--num-requests", "--request-count"),
    **_same("--trace", "--dataset-path", "--trace-file", "--input-file", "--workload-file"),
    **_same("--chunk", "--max-num-batched-tokens", "--max-num-tokens"),
    **_same("--max-num-seqs", "--max-running-requests", "--max-batch-size"),
    **_same("--router", "--routing-policy", "--router-mode"),
    **_same("--order", "--scheduling-policy"),
    "--enable-prefix-caching": Alias("--prefix-cache", ""),
    "--no-enable-prefix-caching": Alias("--no-prefix-cache", ""),
    "--disable-radix-cache": Alias("--no-prefix-cache", ""),
    "--enable-mixed-chunk": Alias("--mixed", ""),
}
"""Flags of other tools that mean something to a simulation, and to no estimate; a switch has an empty value."""
_NAMELESS: Final[Mapping[str, Sequence[str]]] = {"compare": ("--system", "-s")}
"""Flags whose values a command takes without a name."""


def translated(arguments: Sequence[str]) -> list[str]:
    """Return the command line with flags of other tools in our words.

    Raises:
        QuestionError: a flag that means something else here; the message says what to give instead.

    >>> translated(["estimate", "--tp-size=8", "--gpus", "16", "--enforce-eager"])
    ['estimate', '--tp=8', '--chips', '16', '--launch', 'eager']
    """
    command = arguments[0] if arguments else ""
    aliases = {**ALIASES, **SIMULATED} if command == "simulate" else ALIASES
    own = {*_OWN.get(command, ()), *aliases}
    out: list[str] = []
    waiting: Mapping[str, str] = {}
    for word in arguments:
        flag, equals, value = word.partition("=")
        known = flag.replace("_", "-") if flag.startswith("--") else flag
        alias = aliases.get(known)
        if known in ANSWERS and known not in own:
            raise QuestionError(f"{flag}: {ANSWERS[known]}")
        if (known if alias is None else alias.flag) in _NAMELESS.get(command, ()):
            out += [value] if equals else []
        elif not word.startswith("-"):
            out.append(waiting.get(word, word))
            waiting = {}
        elif alias is None:
            out.append(f"{known}{equals}{value}")
            waiting = {}
        elif alias.value is not None:
            out += [alias.flag] if alias.flag == "--json" or not alias.value else [alias.flag, alias.value]
            waiting = {}
        else:
            out.append(f"{alias.flag}{equals}{alias.values.get(value, value)}" if equals else alias.flag)
            waiting = {} if equals else alias.values
    return out


def explained(error: cyclopts.CycloptsError, app: App) -> str:
    """Return one line that says what is wrong with a command line: our own where a converter of ours refused a word."""
    if isinstance(error.__cause__, RooflineError):
        return str(error.__cause__)
    command = " ".join(["roofline", *(error.command_chain or ())])
    if isinstance(error, cyclopts.UnknownOptionError):
        return _unknown(error, command, app)
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        return _missing(error, command, app)
    if isinstance(error, cyclopts.RepeatArgumentError):
        return f"{error.token.keyword}: is given twice; give it once"
    if isinstance(error, cyclopts.UnknownCommandError) and error.unused_tokens:
        return _no_command(error.unused_tokens[0], command, app)
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
        return _too_many(error.unused_tokens, command, app)
    return f"{error} See {command} --help."


def _missing(error: cyclopts.MissingArgumentError, command: str, app: App) -> str:
    argument = error.argument
    after = list(error.unused_tokens or ())
    follows = after[after.index(error.keyword) + 1 :][:1] if error.keyword in after else []
    if follows and _BELOW_ZERO.match(follows[0]):
        return fault(str(error.keyword), follows[0], "cannot be below zero")
    name = error.keyword or argument.name if argument is not None else "value"
    help_text = argument.parameter.help if argument is not None and argument.parameter.help else ""
    typed = error.keyword is not None or (argument is not None and bool(argument.tokens))
    positional = argument is not None and argument.field_info.is_positional
    name = argument.name.lstrip("-").upper() if positional and argument is not None and not typed else name
    rule = "needs a value" if typed else "is missing"
    named = _positional(command, app)
    if positional and not typed and len(named) > 1:
        rule = f"is missing: {command} {' '.join(named)}"
    return f"{name}: {rule}. {help_text}" if help_text else f"{name}: {rule}; see {command} --help"


def _positional(command: str, app: App) -> list[str]:
    """Return the words that a command takes without a flag, as its help writes them."""
    for name in command.split()[1:]:
        app = app[name]
    found = app.assemble_argument_collection() if app.default_command is not None else ()
    named = [(each.name.lstrip("-").upper(), each.required) for each in found if each.field_info.is_positional]
    return [name if required else f"[{name}]" for name, required in named]


def _too_many(words: Sequence[str], command: str, app: App) -> str:
    named = _positional(command, app)
    takes = f"{command} takes {' '.join(named)}" if named else f"{command} takes none"
    twice = "; MODEL and --model are the same" if "MODEL" in named else ""
    return fault("words", " ".join(words), f"are too many: {takes}", f"see {command} --help{twice}")


def _unknown(error: cyclopts.UnknownOptionError, command: str, app: App) -> str:
    flag = (error.token.keyword or error.token.value).partition("=")[0]
    if _BELOW_ZERO.match(flag):
        return fault("value", error.token.value, "cannot be below zero")
    known = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    if flag in _PICTURES:
        return f"{flag}: is not a flag of {command}; {_PICTURES[flag]}"
    close = difflib.get_close_matches(flag, known, n=1, cutoff=NEAR)
    others = [name for name, names in _flags(app) if flag in names and f"roofline {name}" != command]
    if close and not others:
        return f"{flag}: is not a flag of {command}; did you mean {close[0]}?"
    if others:
        return f"{flag}: is not a flag of {command}, but of {', '.join(others[:4])}; see {command} --help"
    return f"{flag}: is not a flag of {command}; see {command} --help"


def _flags(app: App, path: tuple[str, ...] = ()) -> Iterable[tuple[str, set[str]]]:
    """Yield the flags of every command."""
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        if command.default_command is not None:
            collection = command.assemble_argument_collection()
            yield " ".join((*path, name)), {each for argument in collection for each in argument.names}
        yield from _flags(command, (*path, name))


def _no_command(word: str, command: str, app: App) -> str:
    if word in COMMANDS:
        return f"{word}: is not a command; use {COMMANDS[word]}"
    if command.endswith(" search"):
        return f"{word}: state what to search for; roofline search serve {word} -s SYSTEM, or roofline search train {word} -s SYSTEM"
    known = [name for name in app if not name.startswith("-")]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    remedy = f"did you mean {close[0]}?" if close else f"commands: {', '.join(known)}"
    return fault("command", word, f"is not a command of {command}", remedy)
