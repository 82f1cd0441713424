"""The words of the command line: what each takes, and what its help says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Group, Parameter

from roofline.core.errors import QuestionError, fault


def whole(type_: Any, tokens: Sequence[cyclopts.Token]) -> int:  # noqa: ARG001
    """Return a whole number; ``3.5`` is not quietly 3."""
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise QuestionError(fault(tokens[0].keyword or "value", text, "must be a whole number"))
    return int(text)


def quantity(type_: Any, tokens: Sequence[cyclopts.Token]) -> str:  # noqa: ARG001
    """Return ``1.2 kW`` for ``1.2kW``."""
    return re.sub(r"^([0-9.eE+-]*[0-9])\s*", r"\1 ", tokens[0].value.strip())


LAYOUT = Group("Layout (what is left out is chosen for the most tokens per second that fits)", sort_key=1)
SPLIT = Group("Prompts on chips of their own", sort_key=3)
PLAN = Group("Plan (what is left out is chosen for the most tokens per second that fits)", sort_key=1)
WORK = Group("Workload", sort_key=2)
COST = Group("Power and price", sort_key=4)
FORM = Group("Output", sort_key=9)

Json = Annotated[bool, Parameter(name="--json", negative="", group=FORM, help="One JSON document on standard output.")]
System = Annotated[
    str, Parameter(name=["--system", "-s"], help="A name (roofline list systems), or the path of a TOML file.")
]
ModelName = Annotated[
    str, Parameter(help="A name (roofline list models), or the path of a config.json or its directory.")
]
Chips = Annotated[int | None, Parameter(converter=whole, help="Chips to use; by default the whole system.")]
Degree = Annotated[int | None, Parameter(converter=whole, group=LAYOUT)]
PrefillChips = Annotated[
    int | None,
    Parameter(converter=whole, group=SPLIT, help="Chips that only read prompts; --chips are then those that decode."),
]
PrefillTp = Annotated[
    int | None, Parameter(converter=whole, group=SPLIT, help="Tensor parallelism of the chips that read prompts.")
]
PrefillSystem = Annotated[
    str | None, Parameter(group=SPLIT, help="System of the chips that read prompts; by default the same.")
]
Input = Annotated[float, Parameter(name=["--input", "--isl"], group=WORK, help="Prompt tokens of a request.")]
Output = Annotated[float, Parameter(name=["--output", "--osl"], group=WORK, help="Tokens that a request asks for.")]
Concurrency = Annotated[
    float | None,
    Parameter(group=WORK, help="Requests always in flight in the whole deployment; 64 unless a rate is given."),
]
Rate = Annotated[
    float | None, Parameter(group=WORK, help="Requests a second, which come at random, instead of concurrency.")
]
Drafts = Annotated[int, Parameter(converter=whole, group=WORK, help="Speculative tokens verified in a step.")]
Accepted = Annotated[
    float | None,
    Parameter(group=WORK, help="Mean tokens a request gets from a step; left out, what drafts usually yield."),
]
Chunk = Annotated[
    float | None, Parameter(group=WORK, help="Prompt tokens an attention rank passes beside a decode step at most.")
]
Ttft = Annotated[str, Parameter(group=WORK, help="Limit on the time to the first token, such as 2s.")]
Patience = Annotated[
    str,
    Parameter(name="--ttft", group=WORK, help="Limit on the time to the first token, such as 2s; none for no limit."),
]
Tpot = Annotated[str | None, Parameter(group=WORK, help="Limit on the time per output token, such as 50ms.")]
Tpots = Annotated[
    list[str] | None, Parameter(group=WORK, negative="", help="Limits on the time per output token, such as 50ms.")
]
Objective = Annotated[
    str,
    Parameter(
        group=WORK,
        help="What the best plan has the most or the least of: tokens_per_second_per_chip, tokens_per_second_per_user, "
        "joules_per_token, dollars_per_million_tokens, tpot or ttft.",
    ),
]
Load = Annotated[float | None, Parameter(group=WORK, help="Requests in flight; by default every load is tried.")]
KvOffload = Annotated[
    bool,
    Parameter(
        negative="", help="Cached prompt tokens come from the hosts' memory: when, whether that pays, how many fit."
    ),
]
Disaggregated = Annotated[
    bool,
    Parameter(negative="", help="Also try chips that only read prompts beside chips that only decode, in every ratio."),
]
Cached = Annotated[float, Parameter(group=WORK, help="Prompt tokens that are in the cache already, on average.")]
Imbalance = Annotated[
    float | None,
    Parameter(
        group=WORK, help="Tokens of the fullest expert shard over the mean; by default experts are drawn at random."
    ),
]
Slots = Annotated[
    float | None,
    Parameter(
        group=WORK,
        help="Requests a slot of a benchmark that starts all at once; by default a service that runs for long.",
    ),
]
Variation = Annotated[
    float, Parameter(group=WORK, help="Standard deviation of the lengths over their mean; 0 for equal lengths.")
]
Engine = Annotated[
    str | None,
    Parameter(
        help="What serves: vllm, sglang, trtllm, ..., none for kernels alone, or the path of a TOML file; by default any engine."
    ),
]
Launch = Annotated[
    Literal["graph", "eager"], Parameter(help="Kernels captured in a graph, or launched one by one by the host.")
]
Level = Annotated[
    str,
    Parameter(
        help="ideal: every operation at its roofline, one after another. generic: constants that hold for any chip. "
        "calibrated: fitted ones, where they exist. Or the path of a profile, such as roofline calibrate writes."
    ),
]
Dtype = Annotated[
    str | None, Parameter(help="Store the layers' matrices as this: bf16, fp8, fp8-block, int8, nvfp4, mxfp4, ...")
]
Why = Annotated[bool, Parameter(negative="", group=FORM, help="Every operation, what bounds it, and every source.")]
Frontier = Annotated[
    Path | None,
    Parameter(
        name=["--output-file", "-o"],
        group=FORM,
        help="Draw the frontier into FILE.svg, FILE.pdf or FILE.png, or write FILE.csv.",
    ),
]
Systems = Annotated[
    Path | None,
    Parameter(name=["--output-file", "-o"], group=FORM, help="Draw the systems into FILE.svg, FILE.pdf or FILE.png."),
]
Power = Annotated[
    str | None,
    Parameter(
        group=COST, help="Rated power of a chip with its share of the system, such as 1.2kW.", converter=quantity
    ),
]
Price = Annotated[str | None, Parameter(group=COST, help="Rent of each chip, such as 2.95USD/h.", converter=quantity)]
KvDtype = Annotated[str | None, Parameter(help="Store the KV cache as this.")]

Tables = Annotated[Path, Parameter(help="CSV files of timings of kernels and collectives, plain or gzipped.")]
Timed = Annotated[
    str | None,
    Parameter(
        help="What was timed: a name (roofline list chips), or a TOML file; by default what the column hardware says."
    ),
]
Joined = Annotated[
    str | None,
    Parameter(
        name=["--system", "-s"],
        help="What joins the chips (roofline list systems, or a path): timings of collectives need it.",
    ),
]
Profile = Annotated[
    Path | None,
    Parameter(
        name=["--output-file", "-o"], group=FORM, help="Write the profile here, to be used as --level FILE.toml."
    ),
]
Clouds = Annotated[
    Path | None,
    Parameter(group=FORM, help="Draw measured and fitted rates on the roofline into FILE.svg, FILE.pdf or FILE.png."),
]

Runs = Annotated[
    str,
    Parameter(
        help="A CSV file of measured runs, plain or gzipped; or serving or training, the runs that come with the library."
    ),
]
Predictions = Annotated[
    Path | None, Parameter(name=["--output-file", "-o"], group=FORM, help="Write every prediction to this CSV file.")
]
Scatter = Annotated[
    Path | None, Parameter(group=FORM, help="Draw predicted against measured into FILE.svg, FILE.pdf or FILE.png.")
]

Page = Annotated[Path, Parameter(name=["--output-file", "-o"], group=FORM, help="Write the page to FILE.html.")]
NoFrontier = Annotated[
    bool,
    Parameter(
        negative="", group=FORM, help="Leave out the search for what else could be had, which takes a second or a few."
    ),
]
Train = Annotated[bool, Parameter(negative="", group=WORK, help="A step of training; --global-batch says so too.")]

Batch = Annotated[
    int | None, Parameter(name="--global-batch", converter=whole, group=WORK, help="Sequences of a step.")
]
Length = Annotated[int, Parameter(name="--seq-len", converter=whole, group=WORK, help="Tokens of a sequence.")]
Document = Annotated[
    float | None,
    Parameter(
        group=WORK, help="Tokens of a document, where several are packed into a sequence and attend only to themselves."
    ),
]
Task = Annotated[
    Literal["pretrain", "finetune", "lora"],
    Parameter(group=WORK, help="What is trained: all weights, or adapters beside them."),
]
Rank = Annotated[int, Parameter(converter=whole, group=WORK, help="Rank of the adapters of a lora.")]
Offload = Annotated[float, Parameter(group=WORK, help="Part of the activations that waits in the memory of the host.")]
Split = Annotated[int | None, Parameter(converter=whole, group=PLAN)]
MicroBatch = Annotated[int | None, Parameter(converter=whole, group=PLAN, help="Sequences of a micro-batch.")]
Sharding = Annotated[
    Literal["none", "zero1", "zero2", "zero3"] | None,
    Parameter(
        group=PLAN,
        help="What data-parallel ranks share out: states of the optimizer, gradients too, weights too (FSDP).",
    ),
]
Recompute = Annotated[
    Literal["none", "selective", "full"] | None,
    Parameter(group=PLAN, help="What is done again in the backward pass: nothing, attention, whole layers."),
]
Schedule = Annotated[
    str | None,
    Parameter(
        group=PLAN, help="Order on the pipeline: 1f1b (with --vpp: interleaved), gpipe, zb-h1, zb-h2, zb-v, dualpipe."
    ),
]
SequenceParallel = Annotated[
    bool | None,
    Parameter(
        name="--sequence-parallel",
        negative="--no-sequence-parallel",
        group=PLAN,
        help="Cut tokens between tensor-parallel regions.",
    ),
]
Framework = Annotated[
    str | None,
    Parameter(
        help="What trains: a name (roofline list frameworks), none for kernels alone, or the path of a TOML file."
    ),
]
Trace = Annotated[
    Path | None,
    Parameter(
        group=FORM, help="Write the schedule of a step to FILE.json, to be looked at in Perfetto (ui.perfetto.dev)."
    ),
]
MostMemory = Annotated[
    str | None,
    Parameter(name="--memory", group=WORK, converter=quantity, help="Limit on what a chip holds, such as 60GB."),
]
MostTime = Annotated[
    str | None, Parameter(name="--step-time", group=WORK, help="Limit on the time of a step, such as 20s.")
]

DRAWN = Group("Picture", sort_key=0)

PictureSystems = Annotated[
    list[str],
    Parameter(name=["--system", "-s"], group=DRAWN, help="A name or a path; several share one sheet.", negative=""),
]
PictureFile = Annotated[
    Path, Parameter(name=["--output-file", "-o"], group=DRAWN, help="FILE.svg, FILE.pdf or FILE.png.")
]
PictureKind = Annotated[
    Literal["roofline", "breakdown", "load", "memory", "scaling", "timeline", "tornado", "frontier"],
    Parameter(group=DRAWN, help="What is drawn."),
]
PictureStyle = Annotated[
    Literal["light", "dark", "print"],
    Parameter(group=DRAWN, help="Ink on white, on black, or with hatches and dashes for pages without colours."),
]
PictureWidth = Annotated[
    str | None,
    Parameter(group=DRAWN, help="column (3.4 inches), page (7 inches), or inches; by default what suits the kind."),
]
Parts = Annotated[
    Literal["operation", "bound", "phase"] | None,
    Parameter(group=DRAWN, help="Of a breakdown: parts of the time; phase, of training."),
]
Tracked = Annotated[
    list[str] | None,
    Parameter(group=DRAWN, negative="", help="Of a roofline: an operation whose way is drawn as the load grows."),
]
Levels = Annotated[
    bool, Parameter(group=DRAWN, negative="", help="Of a roofline: the roofs of the cache and of every tier too.")
]
Band = Annotated[
    bool,
    Parameter(
        group=DRAWN, negative="", help="Of a roofline: shade what is lost where compute and memory work in turn."
    ),
]
Sizes = Annotated[
    list[int] | None,
    Parameter(group=DRAWN, negative="", help="Of scaling: numbers of chips; by default three doublings."),
]
Weak = Annotated[bool, Parameter(group=DRAWN, negative="", help="Of scaling: the batch for each chip is held.")]
Picture = Annotated[
    bool, Parameter(name="--alt", group=DRAWN, negative="", help="Also tell the picture as text, on standard error.")
]
