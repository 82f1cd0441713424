"""The flags of the command line: what each takes, its unit, and an example.

A flag that is left out is None, and the library's own default holds; the help names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Group, Parameter

from roofline import catalog
from roofline.cli.numbers import to_quantity, to_real, to_whole, to_wholes

MACHINE: Final = Group("Machine", sort_key=1)
LAYOUT: Final = Group("Parallelism (what is left out is chosen for the most tokens/s that fits)", sort_key=2)
WORK: Final = Group("Workload of a service", sort_key=3)
STEP: Final = Group("Training step (what is left out is chosen for the most tokens/s that fits)", sort_key=4)
LIMIT: Final = Group("Limits and objective", sort_key=5)
SPLIT: Final = Group("Disaggregated prefill and decode", sort_key=6)
DRAWN: Final = Group("Picture", sort_key=7)
OUTPUT: Final = Group("Output", sort_key=9)


def _of(kind: str) -> dict[str, Any]:
    """Return the words of a parameter that completes names of a kind at TAB, where the installed cyclopts can."""

    def names(_: object) -> list[str]:
        return list(catalog.names(kind))

    return {"completer": names} if hasattr(Parameter(), "completer") else {}


# Model and machine ----------------------------------------------------------------------------------------------------

ModelName = Annotated[
    str,
    Parameter(
        name="--model",
        help="A name (roofline list models), or the path of a Hugging Face config.json or of its directory: deepseek-v3, ./config.json.",
        **_of("model"),
    ),
]
ModelNames = Annotated[
    str, Parameter(help="Names (roofline list models), or paths of a config.json: llama-3.1-70b.", **_of("model"))
]
AtModel = Annotated[
    str | None,
    Parameter(name="--model", group=WORK, help="Serve this model on each system: deepseek-v3.", **_of("model")),
]
System = Annotated[
    str,
    Parameter(
        name=["--system", "-s"], group=MACHINE, help="A name (roofline list systems), or the path of a TOML file: dgx-h100.", **_of("system")
    ),
]  # fmt: skip
Systems = Annotated[
    list[str],
    Parameter(
        name=["--system", "-s"], group=MACHINE, negative="",
        help="A name (roofline list systems), or the path of a TOML file; repeat it for several: -s dgx-h100 -s dgx-b200.",
        **_of("system"),
    ),
]  # fmt: skip
SystemNames = Annotated[
    str, Parameter(help="Names (roofline list systems), or paths of a TOML file: dgx-h100.", **_of("system"))
]
Chips = Annotated[
    int | None,
    Parameter(group=MACHINE, converter=to_whole, help="Chips to use: 16 (default: the whole system)."),
]
Level = Annotated[
    str | None,
    Parameter(
        group=MACHINE,
        help="Calibration coefficients. ideal: every operation at its roofline, a bound. generic: those that hold across chips. calibrated "
        "(default): fitted to this chip, where that was done. Or the path of a profile that roofline calibrate wrote.",
    ),
]
Power = Annotated[
    str | None,
    Parameter(
        group=MACHINE, converter=to_quantity, help="Rated power per chip with its share of the system: 1.2kW (default: the published one)."
    ),
]  # fmt: skip
PowerCap = Annotated[
    str | None,
    Parameter(
        group=MACHINE, converter=to_quantity, help="Power cap per chip, below its rated power: 500W. The matrix units' clock falls; time and "
        "energy follow."
    ),
]  # fmt: skip
Price = Annotated[
    str | None,
    Parameter(
        group=MACHINE, converter=to_quantity, help="Cost per chip and hour: 2.95USD/h (default: a published one)."
    ),
]
Powers = Annotated[
    list[str] | None,
    Parameter(
        name="--power", negative="", group=MACHINE,
        help="Rated power per chip with its share of the system, of all systems, or of one by name: --power 1.2kW or --power dgx-h100=1.2kW; "
        "repeat it for several (default: the published ones).",
    ),
]  # fmt: skip
Prices = Annotated[
    list[str] | None,
    Parameter(
        name="--price", negative="", group=MACHINE,
        help="Cost per chip and hour, of all systems, or of one by name: --price 2.95USD/h or --price dgx-h100=2.95USD/h; repeat it for "
        "several (default: published ones).",
    ),
]  # fmt: skip
Dtype = Annotated[
    str | None,
    Parameter(
        group=MACHINE,
        help="Number format of the weights of the layers: bf16, fp8, fp8-block, int8, nvfp4, mxfp4 (default: the checkpoint's).",
    ),
]
KvDtype = Annotated[
    str | None, Parameter(group=MACHINE, help="Number format of the KV cache: bf16, fp8 (default: the checkpoint's).")
]
Engine = Annotated[
    str | None,
    Parameter(
        group=MACHINE,
        help="Serving engine, with its release if that matters: vllm, vllm@0.11, sglang, trtllm (roofline list engines), none for kernels "
        "alone, or the path of a TOML file (default: a typical engine).",
        **_of("engine"),
    ),
]
Launch = Annotated[
    Literal["graph", "eager"] | None,
    Parameter(group=MACHINE, help="Kernels captured in a graph (default), or launched one by one by the host: eager."),
]
MemoryFraction = Annotated[
    float | None,
    Parameter(
        name=["--memory-fraction", "--gpu-memory-utilization", "--mem-fraction-static", "--free-gpu-memory-fraction"],
        group=MACHINE,
        converter=to_real,
        help="Part of a chip's memory that the engine is given, as the engine defines it: 0.92 (default: the engine's).",
    ),
]
Framework = Annotated[
    str | None,
    Parameter(
        group=MACHINE,
        help="Training framework: megatron (roofline list frameworks), none for kernels alone, or the path of a TOML file (default: "
        "what is typical).",
        **_of("framework"),
    ),
]
States = Annotated[
    str | None,
    Parameter(
        name="--software",
        group=MACHINE,
        help="States of the framework, joined by +: full_graph, partial_graphs, tp_overlap, fp8_attention, eager, unfused_attention, "
        "grouped_experts, expert_overlap.",
    ),
]

# Parallelism ----------------------------------------------------------------------------------------------------------


def _degree(what: str) -> Any:
    return Parameter(group=LAYOUT, converter=to_whole, help=what)


Tp = Annotated[int | None, _degree("Tensor parallelism, ranks: 8.")]
Pp = Annotated[int | None, _degree("Pipeline parallelism, stages: 4.")]
Dp = Annotated[int | None, _degree("Data parallelism, ranks; in serving, attention ranks that step together: 64.")]
Ep = Annotated[int | None, _degree("Expert parallelism, ranks that share the routed experts: 64.")]
Vpp = Annotated[int | None, _degree("Chunks of layers per pipeline stage (interleaved schedule): 2.")]
Cp = Annotated[int | None, _degree("Context parallelism, ranks that share a sequence: 2.")]
Etp = Annotated[int | None, _degree("Tensor parallelism within an expert, ranks: 1.")]

# Workload of a service ------------------------------------------------------------------------------------------------

Input = Annotated[
    float | None,
    Parameter(name=["--input", "--isl"], group=WORK, converter=to_real, help="Prompt tokens of a request: 4096 (default)."),
]  # fmt: skip
Output = Annotated[
    float | None,
    Parameter(name=["--output", "--osl"], group=WORK, converter=to_real, help="Output tokens of a request: 1024 (default)."),
]  # fmt: skip
Concurrency = Annotated[
    float | None,
    Parameter(
        group=WORK,
        converter=to_real,
        help="Requests always in flight in the whole deployment, over all replicas: 64 (default, unless --rate is given; a search tries every "
        "load).",
    ),
]
Rate = Annotated[
    float | None,
    Parameter(
        group=WORK, converter=to_real, help="Requests per second that arrive at random, instead of a concurrency: 2.5."
    ),
]
Drafts = Annotated[
    int | None,
    Parameter(group=WORK, converter=to_whole, help="Speculative decoding: draft tokens verified in a step: 3 (default: 0)."),
]  # fmt: skip
Accepted = Annotated[
    float | None,
    Parameter(
        group=WORK,
        converter=to_real,
        help="Speculative decoding: mean tokens per request and step, at most draft tokens + 1: 2.4 (default: what drafts usually yield).",
    ),
]
Chunk = Annotated[
    float | None,
    Parameter(
        group=WORK,
        converter=to_real,
        help="Chunked prefill: prompt tokens that an attention rank passes with a decode step at most: 2048 (default: the engine's).",
    ),
]
Cached = Annotated[
    float | None,
    Parameter(
        group=WORK, converter=to_real, help="Prefix caching: prompt tokens already in the KV cache, on average: 1024 (default: 0)."
    ),
]  # fmt: skip
Imbalance = Annotated[
    float | None,
    Parameter(
        group=WORK,
        converter=to_real,
        help="Expert load imbalance: tokens of the fullest expert shard over the mean: 1.3 (default: of a random router).",
    ),
]
Slots = Annotated[
    float | None,
    Parameter(
        group=WORK,
        converter=to_real,
        help="Of a benchmark that starts all slots at once: requests per slot, prompts over concurrency: 10 (default: a steady service).",
    ),
]
Variation = Annotated[
    float | None,
    Parameter(
        group=WORK, converter=to_real, help="Standard deviation of the request lengths over their mean: 0 for equal lengths (default: 0.2)."
    ),
]  # fmt: skip
Batch = Annotated[
    float | None,
    Parameter(group=WORK, converter=to_real, help="Of --phase decode or prefill: sequences of the step in the whole deployment: 64."),
]  # fmt: skip
Context = Annotated[
    float | None,
    Parameter(group=WORK, converter=to_real, help="Of --phase decode: tokens that each sequence already holds: 4096."),
]

# Training step --------------------------------------------------------------------------------------------------------

GlobalBatch = Annotated[
    int | None,
    Parameter(name="--global-batch", group=STEP, converter=to_whole, help="Sequences of a step in the whole deployment: 1024."),
]  # fmt: skip
SeqLen = Annotated[
    int | None,
    Parameter(name="--seq-len", group=STEP, converter=to_whole, help="Tokens of a sequence: 4096 (default)."),
]
MicroBatch = Annotated[
    int | None, Parameter(group=STEP, converter=to_whole, help="Sequences of a micro-batch per data-parallel rank: 1.")
]
Document = Annotated[
    float | None,
    Parameter(
        group=STEP,
        converter=to_real,
        help="Tokens of a document, where several are packed into a sequence and attend only to themselves: 1024 (default: the sequence).",
    ),
]
Task = Annotated[
    Literal["pretrain", "finetune", "lora"] | None,
    Parameter(group=STEP, help="What is trained: all weights (pretrain, the default, or finetune), or adapters: lora."),
]
Rank = Annotated[
    int | None, Parameter(group=STEP, converter=to_whole, help="Rank of the adapters of --task lora: 16 (default).")
]
Offload = Annotated[
    float | None,
    Parameter(
        group=STEP, converter=to_real, help="Activation offloading: part of the activations in host memory: 0.5 (default: 0)."
    ),
]  # fmt: skip
Sharding = Annotated[
    Literal["none", "zero1", "zero2", "zero3"] | None,
    Parameter(
        group=STEP,
        help="What data-parallel ranks shard: the optimizer states (zero1), the gradients too (zero2), the weights too (zero3, FSDP).",
    ),
]
Recompute = Annotated[
    str | None,
    Parameter(
        group=STEP,
        help="Activation recomputation in the backward pass: none, selective (attention), full (whole layers), or modules"
        " such as norm,activation (attention, norm, activation, up, ffn, experts).",
    ),
]
Schedule = Annotated[
    str | None,
    Parameter(
        group=STEP,
        help="Pipeline schedule: 1f1b (with --vpp: interleaved), gpipe, zb-h1, zb-h2, zb-v, dualpipe.",
    ),
]
SequenceParallel = Annotated[
    bool | None,
    Parameter(
        name="--sequence-parallel", negative="--no-sequence-parallel", group=STEP, help="Sequence parallelism between tensor-parallel regions."
    ),
]  # fmt: skip
TrainingPhase = Annotated[
    bool, Parameter(name="--train", negative="", group=STEP, help="Report a training step (implied by --global-batch).")
]

# Limits and objective -------------------------------------------------------------------------------------------------

Ttft = Annotated[
    str | None,
    Parameter(
        group=LIMIT,
        converter=to_quantity,
        help="Limit on the time to first token, of the mean: 2s, or at a percentile: p99<2s (quote it); none lifts it (default of a search: 10s).",
    ),
]
Tpot = Annotated[
    str | None,
    Parameter(
        group=LIMIT,
        converter=to_quantity,
        help="Limit on the time per output token, of the mean: 50ms, or at a percentile: p90<50ms (quote it).",
    ),
]
Tpots = Annotated[
    list[str] | None,
    Parameter(
        name="--tpot", group=LIMIT, negative="",
        help="Limit on the time per output token, mean; repeat it for several: --tpot 20ms --tpot 50ms.",
    ),
]  # fmt: skip
Grid = Annotated[
    str | None,
    Parameter(
        name="--grid",
        group=OUTPUT,
        help="Also the CO2 of a million tokens (of a run: all of it), of the building, on this grid: a name of hardware/energy.toml or g/kWh: france, 400.",
    ),
]
Confirm = Annotated[
    bool | None,
    Parameter(
        negative="--no-confirm",
        group=LIMIT,
        help="Simulate the best configurations until one meets all limits, four at most (default: where a limit is at a percentile).",
    ),
]
HallPower = Annotated[
    str | None,
    Parameter(
        name="--hall-power",
        group=LIMIT,
        converter=to_quantity,
        help="Limit on the power of the building, cooling included; the most tokens/s within it is sought: 10MW.",
    ),
]
Objective = Annotated[
    str | None,
    Parameter(
        group=LIMIT,
        help="What the best configuration has the most or the least of: tokens_per_second_per_chip (default), tokens_per_second_per_user, "
        "joules_per_token, dollars_per_million_tokens, tpot or ttft.",
    ),
]
MostMemory = Annotated[
    str | None,
    Parameter(name="--memory", group=LIMIT, converter=to_quantity, help="Limit on the memory used per chip: 60GB."),
]
MostTime = Annotated[
    str | None,
    Parameter(name="--step-time", group=LIMIT, converter=to_quantity, help="Limit on the time of a step: 20s."),
]
RequireFit = Annotated[
    bool, Parameter(negative="", group=OUTPUT, help="Exit with status 1 if it does not fit or misses a limit, after the answer is printed.")
]  # fmt: skip

# Disaggregation and offload -------------------------------------------------------------------------------------------

Disaggregated = Annotated[
    bool,
    Parameter(negative="", group=SPLIT, help="Also try separate pools of chips for prefill and decode, in every ratio."),
]  # fmt: skip
PrefillChips = Annotated[
    int | None,
    Parameter(group=SPLIT, converter=to_whole, help="Chips of the prefill pool; --chips are then those of decode: 16."),
]
PrefillTp = Annotated[
    int | None, Parameter(group=SPLIT, converter=to_whole, help="Tensor parallelism of the prefill pool: 4.")
]
PrefillSystem = Annotated[
    str | None,
    Parameter(group=SPLIT, help="System of the prefill pool (default: that of decode): dgx-h100.", **_of("system")),
]
DraftModel = Annotated[
    str | None,
    Parameter(group=WORK, help="Speculative decoding by a draft model (EAGLE-3, DFlash, ...): the path of its config.json, or a name."),
]  # fmt: skip
KvOffload = Annotated[
    bool,
    Parameter(
        negative="", group=SPLIT, help="KV cache offload: cached prompt tokens come from host memory; whether that pays."
    ),
]  # fmt: skip

# Output ---------------------------------------------------------------------------------------------------------------

Json = Annotated[
    bool, Parameter(name="--json", negative="", group=OUTPUT, help="One JSON document on standard output.")
]
Why = Annotated[
    bool, Parameter(negative="", group=OUTPUT, help="Also every operation, what bounds it, and every number's source.")
]


def output_file(help: str) -> Any:
    """Return the parameter of a file that is written."""
    return Parameter(name=["--output-file", "-o"], group=OUTPUT, help=help)


AnswerFile = Annotated[
    Path | None,
    output_file("Write the answer to FILE.json: the fields of --json, or in the shape that --format names: est.json."),
]
FileForm = Annotated[
    Literal["aiperf"] | None,
    Parameter(
        name="--format",
        group=OUTPUT,
        help="Shape of the JSON file that -o writes: aiperf, as profile_export_aiperf.json, to be compared with a measured one.",
    ),
]
Frontier = Annotated[
    Path | None, output_file("Draw the frontier into FILE.svg, .pdf or .png, or write it as FILE.csv: frontier.svg.")
]
SystemsPicture = Annotated[Path | None, output_file("Draw the systems into FILE.svg, .pdf or .png: systems.svg.")]
Profile = Annotated[Path | None, output_file("Write the profile, to be used as --level FILE.toml: mine.toml.")]
Predictions = Annotated[Path | None, output_file("Write every prediction to this CSV file: predictions.csv.")]
Rows = Annotated[
    Path | None, output_file("Write the retained configurations into FILE.csv or FILE.parquet: found.csv.")
]
Page = Annotated[Path, output_file("Write the page to FILE.html: answer.html.")]
NoFrontier = Annotated[
    bool, Parameter(negative="", group=OUTPUT, help="Leave out the search for alternatives, which takes a few seconds.")
]
Trace = Annotated[
    Path | None,
    Parameter(
        group=OUTPUT, help="Write the schedule of a step to FILE.json, for Perfetto (ui.perfetto.dev): step.json."
    ),
]
Clouds = Annotated[
    Path | None,
    Parameter(
        name="--plot",
        group=OUTPUT,
        help="Draw measured and fitted rates on the roofline into FILE.svg, .pdf or .png: fits.svg.",
    ),
]
Scatter = Annotated[
    Path | None,
    Parameter(
        name="--plot", group=OUTPUT, help="Draw predicted against measured into FILE.svg, .pdf or .png: errors.svg."
    ),
]

# Measured runs and timings --------------------------------------------------------------------------------------------

Tables = Annotated[
    Path,
    Parameter(
        help="CSV files of timings of kernels and collectives, plain or gzipped; output of nccl-tests, rccl-tests or HCCL test; traces of the "
        "PyTorch profiler; kernel_details.csv or op_summary.csv of Ascend: gemm.csv nccl.txt."
    ),
]
Timed = Annotated[
    str | None,
    Parameter(
        name="--chip", group=MACHINE, help="Chip that was timed (roofline list chips), or a TOML file (default: the column hardware): h200.",
        **_of("chip"),
    ),
]  # fmt: skip
Joined = Annotated[
    str | None,
    Parameter(
        name=["--system", "-s"], group=MACHINE,
        help="System that joins the chips (roofline list systems), or a TOML file; timings of collectives need it: hgx-h200.",
        **_of("system"),
    ),
]  # fmt: skip
Runs = Annotated[
    str,
    Parameter(help="CSV file of measured runs, plain or gzipped; a result file of vLLM, SGLang, InferenceX, AIPerf, GuideLLM or MLPerf, or a directory "
        "of them; or serving or training, the runs that ship with the library: runs.csv."),
]  # fmt: skip

# Pictures -------------------------------------------------------------------------------------------------------------

PictureFile = Annotated[
    Path,
    Parameter(
        name=["--output-file", "-o"], group=DRAWN, help="The picture, FILE.svg, FILE.pdf or FILE.png: roofline.svg."
    ),
]
PictureKind = Annotated[
    Literal["roofline", "breakdown", "load", "memory", "energy", "scaling", "timeline", "tornado", "frontier"],
    Parameter(group=DRAWN, help="What is drawn; see above (default: roofline)."),
]
PictureStyle = Annotated[
    Literal["light", "dark", "print"],
    Parameter(
        group=DRAWN,
        help="Look of the picture: light (default), dark, or print (hatches and dashes for pages without colours).",
    ),
]
PictureWidth = Annotated[
    str | None,
    Parameter(group=DRAWN, help="column (3.4 inches), page (7 inches), or inches: 5 (default: what suits the kind)."),
]
Parts = Annotated[
    Literal["operation", "bound", "phase"] | None,
    Parameter(group=DRAWN, help="Of a breakdown: parts of the time; phase is of training."),
]
Tracked = Annotated[
    list[str] | None,
    Parameter(group=DRAWN, negative="", help="Of a roofline: an operation whose path is drawn as the load grows: qkv."),
]
Levels = Annotated[
    bool, Parameter(group=DRAWN, negative="", help="Of a roofline: also the roofs of the cache and of every network tier.")
]  # fmt: skip
Band = Annotated[
    bool,
    Parameter(group=DRAWN, negative="", help="Of a roofline: shade what is lost where compute and memory do not overlap."),
]  # fmt: skip
Sizes = Annotated[
    list[int] | None,
    Parameter(
        group=DRAWN, negative="", converter=to_wholes, help="Of scaling: numbers of chips: --sizes 64 --sizes 128 (default: three doublings)."
    ),
]  # fmt: skip
Weak = Annotated[
    bool, Parameter(group=DRAWN, negative="", help="Of scaling: weak scaling, the batch per chip stays the same.")
]
Picture = Annotated[
    bool, Parameter(name="--alt", group=DRAWN, negative="", help="Also describe the picture in text on standard error.")
]
