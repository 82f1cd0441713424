"""Write the tables of the documents from the descriptors: ``python docs/tables.py``. The same numbers give the same bytes."""

import functools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import roofline as rl
from roofline import catalog
from roofline.calibration.timings import read
from roofline.core.arrays import expected_distinct
from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, GIBI, GIGA, MICRO, SECOND, TERA, WATT, Unit, show
from roofline.hardware.aggregates import aggregates
from roofline.models.dtypes import dtype
from roofline.physics.collectives import price as send
from roofline.physics.kernels import price
from roofline.validation import runs
from roofline.validation.memory import Logged, logs
from roofline.validation.training_assumptions import opener

HERE = Path(__file__).parent
_RATES = ("fp64", "fp32", "tf32", "bf16", "fp8", "int8", "fp4")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(head: list[str], rows: list[list[str]], right: int = 1) -> list[str]:
    return [_row(head), _row(["---"] * right + ["--:"] * (len(head) - right)), *map(_row, rows), ""]


def _cell(value: float | None, unit: Unit) -> str:
    return "–" if not value else show(float(value), unit, 4)


def _chips() -> list[str]:
    rows = []
    for name in rl.names("chip"):
        chip = rl.chip(name)
        facts = {fact.path: fact for fact in chip.facts}
        measured = facts.get("chip.ceiling.bf16")
        share = (
            "–" if measured is None or "bf16" not in chip.peak else f"{measured.value / float(chip.peak['bf16']):.0%}"
        )
        streamed = facts.get("chip.memory.streamed")
        part = "–" if streamed is None else f"{streamed.value / float(chip.memory.bandwidth):.0%}"
        rows.append([
            f"`{name}`", f"{chip.title}{' (announced)' if chip.announced else ''}",
            *(_cell(chip.peak.get(rate), FLOP_RATE) for rate in _RATES), _cell(chip.memory.capacity, BYTE),
            _cell(chip.memory.bandwidth, BYTE_RATE), share, part, _cell(chip.power, WATT),
        ])  # fmt: skip
    head = ["chip", "name", *_RATES, "memory", "bandwidth", "measured bf16", "measured bandwidth", "TDP"]
    return _table(head, rows, right=2)


def _systems() -> list[str]:
    rows = []
    for name in rl.names("system"):
        system = rl.system(name)
        sums = aggregates(system)
        power = _cell(sums["power_w"], WATT)
        rows.append([
            f"`{name}`", f"{system.title}{' (announced)' if system.package.announced else ''}", f"{float(system.chips):,.0f} x {system.package.name}",
            _cell(sums.get("bf16_flops_per_s"), FLOP_RATE), _cell(sums.get("fp8_flops_per_s"), FLOP_RATE), _cell(sums["memory_bytes"], BYTE),
            _cell(sums["memory_bandwidth_bytes_per_s"], BYTE_RATE), power if system.power is not None or power == "–" else f"({power})",
        ])  # fmt: skip
    return _table(["system", "name", "chips", "bf16", "fp8", "memory", "bandwidth", "power"], rows, right=3)


def _tiers() -> list[str]:
    rows = []
    for name in rl.names("system"):
        for tier in rl.system(name).tiers:
            shape = f" {' x '.join(map(str, tier.dims))}" if tier.dims else ""
            extra = [word for word, on in (("load/store", tier.load_store), ("in-network sums", tier.in_network)) if on]
            rows.append([
                f"`{name}`", tier.name, ", ".join([tier.topology + shape, *extra]), f"{float(tier.size):,.0f}",
                _cell(tier.bandwidth, BYTE_RATE), show(float(tier.latency), SECOND, 3),
            ])  # fmt: skip
    return _table(["system", "tier", "topology", "ranks", "a rank, one way", "a step"], rows, right=3)


def _differences() -> list[str]:
    rows = [
        [f"`{name}`", fact.path.rpartition(".")[2], fact.text, fact.differs]
        for name in rl.names("system")
        for fact in rl.system(name).facts
        if fact.differs
    ]
    return _table(["system", "figure", "as published", "why its chips do not add up to it"], rows, right=4)


def _sources() -> list[str]:
    kinds: Counter[str] = Counter()
    for kind in ("chip", "system"):
        for name in rl.names(kind):
            found = rl.chip(name) if kind == "chip" else rl.system(name)
            kinds.update(fact.source.kind for fact in found.facts)
    told = ", ".join(f"{n:,} {kind}" for kind, n in kinds.most_common())
    return [
        f"{sum(kinds.values()):,} numbers, every one with its source: {told}. A number without one does not load.",
        "",
    ]


def hardware() -> str:
    """Return the page of the hardware library."""
    chips, systems = len(rl.names("chip")), len(rl.names("system"))
    return "\n".join([
        "# The hardware library", "",
        "Made by `python docs/tables.py` from the files in `hardware/`; `roofline show NAME` prints any of them with every source.", "",
        f"{chips} chips, {systems} systems. " + _sources()[0], "",
        "Rates are dense, of the matrix unit, for a package. A dash: not published, or the part has none. What was announced and is not on",
        "sale is marked so, here and wherever it appears in an answer.", "",
        "![All systems: FLOP/s, bytes, bytes/s and watts, of the whole and of a chip](../figures/systems.svg)", "",
        "## Systems", "",
        "Power in brackets is that of the chips alone, without hosts, switches and cooling. A deployment may be larger than the system as",
        "sold, as far as its outermost tier reaches.", "", *_systems(),
        "## Chips", "",
        "*Measured* is the best matrix product, and the best stream of weights, that anyone has published for the part, over its peak.", "",
        *_chips(),
        "## Networks", "",
        "Bandwidths are those of one rank (a chip, or a die where the descriptor says so), all its links together, one way.", "", *_tiers(),
        "## What does not add up", "",
        "A whole that is not its chips times their number within 2 % does not load, unless its file says why:", "", *_differences(),
    ]).rstrip() + "\n"  # fmt: skip


_TITLES = {"ttft_s": "TTFT", "tpot_s": "TPOT", "output_tokens_per_s": "tokens/s"}


def _percent(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.1%}"


def _by_mode(found: rl.Validation, of: tuple[rl.Prediction, ...]) -> list[str]:
    modes = found.groups(of)["mode"]
    rows = [
        [title, mode, f"{each.n:,}", f"{each.skipped:,}", *map(_percent, (each.mape, each.median_ape, each.p90_ape)),
         _percent(each.bias, "+"), _percent(each.inside_interval)]
        for name, title in _TITLES.items() for mode, scores in modes.items() for each in [scores.get(name)] if each is not None
    ]  # fmt: skip
    return _table(["", "mode", "runs", "not priced", "MAPE", "median", "90 %", "bias", "in interval"], rows, right=2)


def _by(found: rl.Validation, key: str) -> list[str]:
    rows = []
    for value, scores in found.groups()[key].items():
        cells = []
        for name in _TITLES:
            each = scores.get(name)
            cells += ["", "", ""] if each is None else [f"{each.n:,}", _percent(each.mape), _percent(each.bias, "+")]
        rows.append([value, *cells])
    return _table([key, *(word for title in _TITLES.values() for word in (title, "MAPE", "bias"))], rows)


def _counts(told: dict[str, int]) -> list[str]:
    return [*(f"- {count:,}: {words}" for words, count in sorted(told.items(), key=lambda pair: -pair[1])), ""]


def _impossible() -> list[str]:
    """Return runs of services that took less time than every operation at its roofline would, one after another."""
    rows = []
    for run, told in _requests(rl.validate(level="ideal").clear).items():
        measured, ideal = (
            getattr(told["ttft_s"], n) + (run.output - 1) * getattr(told["tpot_s"], n)
            for n in ("measured", "predicted")
        )
        if ideal > measured:
            rows.append([f"`{run.id}`", run.engine, run.system, run.model, f"{ideal / measured:.2f}"])
    rows.sort(key=lambda row: (-float(row[-1]), row[0]))
    return _table(["run", "engine", "system", "model", "roofline / measured"], rows, right=4)


def _requests(predictions: tuple[rl.Prediction, ...]) -> dict[rl.ServingRun, dict[str, rl.Prediction]]:
    """Return the predictions of both times of each service that reads prompts where it decodes."""
    out: dict[rl.ServingRun, dict[str, rl.Prediction]] = {}
    for p in predictions:
        if p.run.mode == "online" and p.run.prefill_pool is None and p.predicted is not None:
            out.setdefault(p.run, {})[p.quantity] = p
    return {run: told for run, told in out.items() if {"ttft_s", "tpot_s"} <= set(told)}


_VALIDATION = """\
# Measured runs

Made by `python docs/tables.py`. Every number below is of the `calibrated` constants, which a user gets who names no level. Those of kernels and
links were fitted to timings, those of engines to these very runs: [what they are worth on runs that were left out](index.md).

{runs} published, measured operating points of serving systems come with the library: `workloads/runs/serving.csv`, each row with its source.
One command predicts them all, or those of a file of your own, and tells how far off that is:

```sh
roofline validate serving -o predictions.csv --plot errors.svg
roofline validate my-runs.csv
```

## A file of runs

A row needs `model`, `system` and `input_len`, and for most modes `output_len` and `concurrency`; add what else you know of the columns of the
file that ships. An empty cell is unknown: it is chosen, and that is said. Columns of other names are left alone. `not_fitted` says why
`scripts/engines.py` may fit no constant to a run; it is predicted and scored like any other.

| mode | is | predicted |
|---|---|---|
| `online` (default) | `concurrency` requests always in flight; with `decode_chips`, prompts are read on `prefill_chips` | `ttft_s`, `tpot_s`, `output_tokens_per_s` |
| `offline` | all requests queued; without `concurrency`, as many in flight as fit | `output_tokens_per_s` |
| `static` | one batch, from its first prompt token to its last output token | all three |
| `prefill` | one pass over the prompts | `ttft_s`, `output_tokens_per_s` (of prompt tokens) |
| `decode` | steps of sequences that hold `input_len` tokens at the start | `tpot_s`, `output_tokens_per_s` |

```python
>>> import roofline as rl
>>> mine = {{"model": "llama-3.1-8b", "system": "dgx-h100", "chips": 1, "tp": 1, "input_len": 1024, "output_len": 256, "concurrency": 32,
...         "tpot_s": 0.0103}}
>>> (tpot,) = rl.validate([mine]).predictions
>>> tpot.quantity, bool(tpot.low < tpot.predicted < tpot.high)
('tpot_s', True)
>>> for words in tpot.said:
...     print(words)
cache in bf16, as the checkpoint: kv_dtype is not recorded
no drafting: draft_tokens is not recorded; the interval holds drafts that help
8 requests a slot, started at once, as benchmarks do: not recorded

```

A run that cannot be priced says why, has an empty `predicted`, and counts as outside its interval.

## By quantity

*MAPE* is the mean of |predicted / measured - 1|, *median* and *90 %* are its median and what nine of ten runs stay below, *bias* is the median
ratio less one, *in interval* the share of measured values inside the 80 % interval.

{clear}
![TPOT of all runs, predicted against measured](../figures/validation.svg)

Runs of quality C, whose sources leave open what matters (drafting, as a rule), are scored apart and are in no other table:

{ambiguous}
## By system, model, engine and source

{groups}
## Not priced

{skipped}
## Assumed

Runs, and what was put in the place of an empty cell:

{assumed}
## Faster than the roofline

Services whose requests took less time, TTFT and all later tokens together, than every operation at its roofline would, one after another. They
are scored all the same. Prompts found in the cache and not passed again would explain those of vLLM: their time per token is that of decoding
alone.

{impossible}
## Sources

Figures are quoted with the document and the place they stand in: aiconfigurator (Apache-2.0; it carries results of InferenceX and of NVIDIA),
documents of TensorRT-LLM, FasterTransformer, ROCm's vLLM, SGLang, InferSim, gpustack and dstack (Apache-2.0), gpt-fast (BSD), DeepSeek's
open-infra-index (CC0) and profile-data, GPU-Benchmarks-on-LLM-Inference, arXiv:2506.12708, and pages of Vultr, NVIDIA NIM and vLLM. Runs of one
configuration differ by 2 % to 20 % in TPOT, between engines by up to twice in TTFT.
"""


def validation() -> str:
    """Return the page of measured runs against what is predicted of them."""
    found = rl.validate()
    return _VALIDATION.format(
        runs=f"{found.runs:,}",
        clear="\n".join(_by_mode(found, found.clear)),
        ambiguous="\n".join(_by_mode(found, found.ambiguous)),
        groups="\n".join(line for key in ("system", "model", "engine", "group") for line in _by(found, key)),
        skipped="\n".join(_counts(Counter(found.skipped.values()))),
        assumed="\n".join(_counts(found.assumptions)),
        impossible="\n".join(_impossible()),
    )


# Training ------------------------------------------------------------------------------------------------------------------

_TRAINING = """\
# Measured training runs

Made by `python docs/tables.py`. Every number below is of the `calibrated` constants.

{runs} published, measured training runs come with the library: `workloads/runs/training.csv`, each row with its source. One command predicts the
time of a step of them all, or of those of a file of your own, and tells how far off that is:

```sh
roofline validate training -o predictions.csv --plot errors.svg
roofline validate my-runs.csv
```

## A file of runs

A file of training runs is known by its columns `seq_len` and `global_batch`. A row needs these two, `model` and `system`; add what else you know of
the columns of the file that ships. An empty cell is unknown: it is chosen, and that is said. Columns of other names are left alone.

| column | is |
|---|---|
| `model` | a name, a law of names (`NAME-4-layers`, `NAME-without-mtp`), or the path of a `config.json` |
| `chips`, `tp`, `pp`, `cp`, `dp`, `ep` | packages, and degrees in packages; those that are empty are of the quickest layout that fits |
| `vpp`, `etp` | chunks a stage interleaves; degree of one expert (in the file that ships, `ETP=` in the note) |
| `dtype` | of the products: `bf16`, `fp16`, `fp8`, `mxfp8`, `nvfp4`; embedding and head stay in 16 bits |
| `seq_len`, `global_batch`, `micro_batch` | tokens of a sequence; sequences of a step, and of a data-parallel rank and micro-batch |
| `sharding`, `recompute`, `sequence_parallel` | `none`, `zero1`, `zero2`, `zero3`; `none`, `selective`, `full`, `unknown`; 0 or 1 |
| `task` | `pretrain`, `finetune`, `lora` |
| `framework` | a name in `workloads/frameworks`; where it is empty, what `group`, `source` and `note` name |
| `software`, `release` | words of `roofline.validation.training_notes.SOFTWARE` joined by `+`, such as `full_graph+expert_overlap`; `26.06`. Where they are empty, the note is read for the same words |
| `step_time_s`, `tokens_per_s_per_chip` | what was measured; either will do |

```python
>>> import roofline as rl
>>> mine = {{"model": "llama-3.1-8b", "system": "dgx-h100", "chips": 8, "dp": 8, "tp": 1, "pp": 1, "seq_len": 8192, "global_batch": 128}}
>>> (step,) = rl.validate([mine], level="generic").predictions
>>> step.quantity, bool(step.low < step.predicted < step.high)
('step_time_s', True)
>>> for words in step.said[:2]:
...     print(words)
GEMMs in bf16: dtype is not recorded
any framework: none is named

```

A run that cannot be priced says why, has an empty `predicted`, and counts as outside its interval. Releases repeat: a configuration that was
published five times counts as five runs in the first table, and as one in all others. Two runs are of one configuration if all that the columns
say is equal, but for what was measured, the source and the note.

## By task

*MAPE* is the mean of |predicted / measured - 1|, *median* and *90 %* are its median and what nine of ten runs stay below, *bias* is the median
ratio less one, *in interval* the share of measured values inside the 80 % interval.

{plain}
{configurations} configurations:

{fair}
## By chip generation and year of the software

The generation is that of the chip's maker; the year is that of the release that a row's note names.

{generations}
## By model, format, system, framework and source

{groups}
## Not priced

{skipped}
## Assumed

Runs, and what was put in the place of an empty cell. The rules are those of `roofline.validation.training_assumptions`: what recipes of a framework do unless
a run states otherwise, and what its software (column `software`, or the note) changes.

{assumed}
## Sources

Figures are quoted, and where the source prints a rate converted, with the document and the place they stand in: Megatron-Bridge, dgxc-benchmarking
(MIT at its present head), NeMo, Automodel, LLM Foundry, MaxText, tpu-recipes, mindformers and SimuMax (Apache-2.0), torchtitan, Megatron-LM and
MindSpeed-LLM (BSD), vTrain (MIT), calculon (Apache-2.0) for arXiv:2205.05198, arXiv:2104.04473, the documents of AWS Neuron (CC BY-SA 4.0, two rows),
and logs of MLPerf Training 4.1, 5.0 and 5.1 (Apache-2.0; 4.1 states no licence). What is computed here from those logs is not an official MLPerf
result and not verified by MLCommons.
"""


def training_runs() -> str:
    """Return the page of measured training runs against what is predicted of them."""
    found = rl.validate("training")

    def tasks(*, weighed: bool) -> list[str]:
        rows = [
            [task, f"{each.n:,}", f"{each.skipped:,}", *map(_percent, (each.mape, each.median_ape, each.p90_ape)),
             _percent(each.bias, "+"), _percent(each.inside_interval)]
            for task, scores in {**found.groups(weighed=weighed)["task"], "all": found.quantities(weighed=weighed)}.items()
            for each in scores.values()
        ]  # fmt: skip
        return _table(["", "runs", "not priced", "MAPE", "median", "90 %", "bias", "in interval"], rows)

    def groups(key: str) -> list[str]:
        rows = [
            [value, f"{each.n:,}", *map(_percent, (each.mape, each.median_ape)), _percent(each.bias, "+"), _percent(each.inside_interval)]
            for value, scores in found.groups(weighed=True)[key].items() for each in scores.values()
        ]  # fmt: skip
        return _table([key, "runs", "MAPE", "median", "bias", "in interval"], rows)

    def apart(head: str, of: Callable[[rl.TrainingRun], str]) -> list[str]:
        """Return rows of mixtures of experts and of dense models, distinguished by a property of a run."""
        parts: dict[str, list[rl.Prediction]] = {}
        for p in found.predictions:
            if isinstance(p.run, rl.TrainingRun):
                parts.setdefault(f"{of(p.run)}, {p.run.kind}", []).append(p)
        rows = [
            [name, f"{each.n:,}", *map(_percent, (each.mape, each.median_ape)), _percent(each.bias, "+"), _percent(each.inside_interval)]
            for name in sorted(parts) for each in found.quantities(parts[name], weighed=True).values()
        ]  # fmt: skip
        return _table([head, "runs", "MAPE", "median", "bias", "in interval"], rows)

    def generation(run: rl.TrainingRun) -> str:
        chip = rl.system(run.system).package
        return chip.generation or chip.vendor

    def year(run: rl.TrainingRun) -> str:
        release = run.noted.release
        return "not known" if release is None else f"20{int(release)}"

    keys = ("kind", "dtype", "system", "framework", "group", "model")
    return _TRAINING.format(
        generations="\n".join([*apart("chip generation", generation), *apart("software of", year)]),
        runs=f"{found.runs:,}", configurations=f"{found.configurations:,}",
        plain="\n".join(tasks(weighed=False)), fair="\n".join(tasks(weighed=True)),
        groups="\n".join(line for key in keys for line in groups(key)),
        skipped="\n".join(_counts(Counter(found.skipped.values()))) if found.skipped else "None.\n",
        assumed="\n".join(_counts(found.assumptions)),
    )  # fmt: skip


# Operators -----------------------------------------------------------------------------------------------------------------

_KERNELS = {"grouped_gemm": ("gemm", "moe")}
"""Kernel classes whose constants a row is priced with, where they are not its own."""


def _told(row: dict[str, str], name: str) -> float:
    return float(row[name] or 0)


def _operator(row: dict[str, str], rack: rl.System, kernel: str) -> rl.Op:
    """Return what a row of kernels does, as the transformer counts it."""
    told = functools.partial(_told, row)
    if kernel.startswith("mla"):
        (timed,) = read([{**row, "kernel": kernel, "kv_dtype": row["dtype"], "measured_us": "1"}], rack.chip).timings
        return timed.work
    groups, m, n, k = map(told, ("groups", "m", "n", "k"))
    moved = groups * (n * k + m * k + 2 * m * n)
    return rl.Op(
        "grouped",
        kernel,
        row["dtype"],
        2 * groups * m * n * k,
        moved,
        depth=k,
        items=groups * (kernel == "moe"),
        form=row["dtype"],
    )


def _message(row: dict[str, str]) -> rl.Message:
    told = functools.partial(_told, row)
    if row["kind"].startswith("p2p"):
        return rl.Message("copy", "point_to_point", GIGA, told("gpus"), told("stride"))
    size = told("tokens") * told("hidden") * dtype(row["dtype"]).passed
    return rl.Message("experts", row["kind"], size, told("gpus"), copies=told("topk"))


def _logical(rack: rl.System, message: rl.Message) -> float:
    """Return the bytes that a published bandwidth counts: a copy for each rank of a node or, beyond it, each node, the own one too."""
    if message.collective == "point_to_point":
        return message.size
    node = float(rack.tiers[0].size)
    units = message.group / node if message.group > node else message.group
    return message.size * float(expected_distinct(units, 1 / units, message.copies))


def _layer(row: dict[str, str], rack: rl.System) -> tuple[float, float]:
    """Return the time of one layer with experts in a decode step, and the half-width of its interval."""
    drafts = _told(row, "q_len") - 1
    question = rl.Decode(
        rl.model("deepseek-r1", dtype=row["dtype"]),
        160 * _told(row, "batch"),
        _told(row, "past_len"),
        drafts,
        1 + 0.7 * drafts,
    )
    ranks = _told(row, "gpus")
    step = rl.estimate(question, rack, rl.Layout(dp=ranks, ep=ranks, redundant_experts=64), level="generic").steps[0]
    parts = [part for part in step.parts if part.name in ("latent attention", "experts")]
    time = sum(float(part.time / part.times) for part in parts)
    return time, sum(float(part.error() * part.time / part.times) for part in parts) / time


def _priced(row: dict[str, str]) -> list[tuple[str, float, float, float]]:
    """Return predictions of a row: with whose constants or by which way, the value, and its 80 % interval, in the row's own unit."""
    rack = rl.system(row["system"])
    profile = rl.profile("generic", rack)
    told = next(name for name in ("measured_us", "measured_gb_s", "measured_tflop_s") if row[name])
    wider = 1.0 if rack.chip.vendor in profile.vendors else profile.elsewhere
    out = []
    if row["kind"] == "decode_layer":
        time, half = _layer(row, rack)
        out.append(("", time, half, 0.0))
    elif row["kind"] in ("dispatch", "combine") or row["kind"].startswith("p2p"):
        message = _message(row)
        profile = profile.on(row["library"]) if row["library"] else profile
        cost = send(message, rack.tiers, profile, (row["path"],) if row["path"] else None)
        way = min(cost.ways, key=lambda name: float(cost.ways[name]))
        out.append((way.replace("_", " "), float(cost.time), float(cost.error), _logical(rack, message)))
    else:
        for kernel in _KERNELS.get(row["kind"], (row["kind"],)):
            work = _operator(row, rack, kernel)
            cost = price(work, rack.chip, profile)
            done = work.bytes if told == "measured_gb_s" else work.flops
            out.append((kernel, float(np.ravel(cost.time)[0]), float(cost.error), float(np.ravel(done)[0])))
    found = []
    for name, time, half, done in out:
        low, value, high = (time * float(np.exp(x * half * wider)) for x in (-1, 0, 1))
        if told == "measured_us":
            found.append((name, value / MICRO, low / MICRO, high / MICRO))
        else:
            unit = GIGA if told == "measured_gb_s" else TERA
            found.append((name, done / value / unit, done / high / unit, done / low / unit))
    return found


def _measured(row: dict[str, str]) -> tuple[float, str]:
    units = {
        "measured_us": "us",
        "measured_gb_s": "GB/s",
        "measured_tflop_s": "TOP/s" if row["dtype"] == "int8" else "TFLOP/s",
    }
    return next((float(row[name]), unit) for name, unit in units.items() if row[name])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _judged(row: dict[str, str]) -> list[list[str]]:
    """Return the cells measured, predicted, how far off, the interval, and whether the measured value lies inside, for each prediction."""
    value, unit = _measured(row)
    return [
        [
            name,
            f"{value:,.4g} {unit}",
            _number(found),
            f"{found / value - 1:+.0%}",
            f"{_number(low)} - {_number(high)}",
            "yes" if low <= value <= high else "**no**",
        ]
        for name, found, low, high in _priced(row)
    ]


_EXPERTS = ("dispatch", "combine")


def _sent(rows: list[dict[str, str]]) -> list[str]:
    """Return dispatch and combine of the same ranks beside each other."""
    pairs: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row["kind"] in _EXPERTS:
            (cells,) = _judged(row)
            pairs.setdefault((row["series"], row["system"], row["gpus"]), {})[row["kind"]] = [*cells[1:4], *cells[4:]]
    body = [
        [f"{series}, {ranks} ranks", f"`{system}`", *told["dispatch"], *told["combine"]]
        for (series, system, ranks), told in pairs.items()
    ]
    head = ["", "system", *(word for kind in _EXPERTS for word in (kind, "predicted", "off", "80 % within", "inside"))]
    return _table(head, body, right=2)


_NAMES = {
    "mla_decode": "latent decode attention", "mla_prefill": "latent prefill attention", "grouped_gemm": "experts' products alone",
    "p2p_read": "read", "p2p_write": "write", "decode_layer": "a layer with experts, decoding",
}  # fmt: skip


def _others(rows: list[dict[str, str]]) -> list[str]:
    body = []
    for row in rows:
        if row["kind"] in _EXPERTS:
            continue
        shape = f", {row['groups']} of {row['m']} x {row['k']} x {row['n']}" if row["groups"] else ""
        for name, *cells in _judged(row):
            priced = f" (as {name})" if row["kind"] in _KERNELS else ""
            body.append([f"{_NAMES[row['kind']]}, {row['series']}{shape}{priced}", f"`{row['system']}`", *cells])
    return _table(["", "system", "measured", "predicted", "off", "80 % within", "inside"], body, right=2)


def _inside(rows: list[dict[str, str]]) -> list[str]:
    """Return how many predictions come true, group by group."""
    counts: dict[str, list[tuple[bool, float]]] = {}
    for row in rows:
        value, _ = _measured(row)
        for name, found, low, high in _priced(row):
            if row["kind"] == "grouped_gemm" and name != "moe":
                continue
            who = "Ascend 910C" if row["system"] == "cloudmatrix384" else "NVIDIA"
            what = "dispatch and combine" if row["kind"] in _EXPERTS else "kernels, copies, layers"
            counts.setdefault(f"{who}: {what}", []).append((low <= value <= high, abs(found / value - 1)))
    body = [[name, str(len(told)), f"{sum(inside for inside, _ in told)}", f"{np.mean([off for _, off in told]):.0%}",
             f"{np.median([off for _, off in told]):.0%}"] for name, told in counts.items()]  # fmt: skip
    return _table(["", "figures", "inside", "mean error", "median"], body)


_OPERATORS = """\
# Published operators

Made by `python docs/tables.py` from `workloads/runs/operators.csv`: what papers and repositories say of single kernels and transfers, above all
*Serving Large Language Models on Huawei CloudMatrix384* (arXiv:2506.12708v2) of the Ascend 910C, beside what the library predicts with the
`generic` constants. No figure below was fitted to, but for those of DeepEP's second version, whose release has two constants of its own. The 910C is of a maker that no constant was fitted on, so its intervals are half as wide
again. [fits](fits.md) tells how far off the same constants are on chips they were not fitted to, [DeepSeek-R1 on a
CloudMatrix 384](cloudmatrix.md) what they make of the whole service.

{inside}
## Dispatch and combine

Tokens to the ranks of their experts and back, 8 of 256 experts a token, 7,168 wide: 128 tokens a rank (4,096 and 8,192 of DeepEP's normal and
second kernels), out in 8 bits and back in 16. Predicted is the way that the row names: low latency sends a copy for each expert, the others one for
each node. Bandwidths count what a published figure counts: also what stays in a rank, or a node, of its own.

{sent}
{comment_sent}
## Kernels, copies, layers

A die of the 910C has half of the package's rates. Where a paper gives no shape, one was taken that is bound as it says (`assumed` in the
file names the columns): 128 heads, two queries and a long cache for compute, 16 heads and one query for memory.

{others}
{comment_others}"""

_COMMENT_SENT = """\
*CANN on the 910C.* Sent back in 16 bits, predictions hold: within 14 % from 16 ranks on. Sent out in 8 bits, the measured time is half as long again
as predicted and more, at every size of group, and twice outside: this dispatch also quantises and sorts, and spends about 15 % of its time on a barrier, which a transfer of
bytes does not know. Both times stay flat from 64 ranks on, as tokens drawn at random make them. With a release of its own (`roofline collective dispatch ... --library cann`), whose two
constants are of this very table, all twelve come within 19 %.

*DeepEP.* Low-latency kernels on H800 come within 18 % from 8 to 256 ranks, across NVLink and RDMA. The constants were fitted to the same kernels on
H100, H200, B200 and GB200, so this tests another link and larger groups, not other software. The older figures that the paper quotes are of kernels that
went over RDMA even inside a node, where the library takes NVLink: that is why they are missed at 8 and 16 ranks. Normal kernels come within 14 %:
they run on 20 to 24 cores, each of which copies 13 to 17 GB/s whatever the link, so that a link of 200 GB/s bounds them on H800 and the cores bound them on
B200 and GB200. The second version (`--library deepep-v2`) copies 25 GB/s with each of 24 cores and brings cards to 0.94 of their rate; with the constants of the
first, its figures are missed by 4 to 62 %.
"""

_COMMENT_OTHERS = """\
*Latent attention.* Both figures of the 910C are met within 7 %, though the shapes are ours. AMLA, a later kernel for the same die, is a third
quicker than predicted, at the very edge: 0.82 of the peak, against 0.67 of FlashMLA on H800. H20 is missed for a reason: its matrix rate was cut to a
seventh and nothing else was, so that what holds others back hides behind the products, which reach 0.87 of the peak. A constant that is a part of a peak
cannot know that. "Up to" figures are the best of many shapes, predictions the middle of all.

*Products.* Table 10 says 77 to 83 % of the integer rate for the products alone. As one plain product they are a quarter low, and inside; the
constants of experts also hold routing, permutation and quantisation, so as experts they are at half, and outside. Integer constants are a guess
(no integer product of any chip was timed), made with this table in view. Timings of the chip's own and `roofline calibrate` are the way to better ones.

*Copies.* A die reads at 0.84 and writes at 0.69 of its link; the library has one constant for both, in the middle. The latencies of the same
table are in the descriptor, and no test.

*Layers.* One layer of DeepSeek-R1 at 96 sequences an NPU is met within 8 %, partly by luck: two micro-batches overlap in the service and not here, dispatch is
predicted too quick and experts too slow.
"""


def operators() -> str:
    """Return the page of published operators against what is predicted of them."""
    rows = catalog.read_rows(HERE.parent / "workloads" / "runs" / "operators.csv")
    return _OPERATORS.format(
        inside="\n".join(_inside(rows)), sent="\n".join(_sent(rows)), others="\n".join(_others(rows)), comment_sent=_COMMENT_SENT,
        comment_others=_COMMENT_OTHERS,
    )  # fmt: skip


_MEMORY = """# Memory of engines and of training

*This page is generated by `docs/tables.py`.*

## Start-up logs of serving engines

{count} figures that engines print when they start (`workloads/runs/memory.csv`, each with its source) against what is predicted of them;
{checks} are of logs that set no constant.
An answer gives the same numbers as `memory`, `kv_cache_tokens` and `max_concurrency`, each with an 80 % interval, and the chance that a
configuration fits (`fits_probability`).

{quantities}
Each figure; the last column says whether the interval holds it.

{rows}
What the numbers of an engine rest on are in its stack (`roofline show vllm`): how tokens are drawn (38 bytes of a logit while they were
sorted, 12 since), limits of the largest pass by chip and release, an encoder that is tried with 16,384 tokens of images, graphs, pages.
Set again without each log of vLLM in turn (`scripts/memory.py`), the five constants that these logs decide leave mean errors of 3.1 % of the
room for cache (2.4 % with all logs), 9.7 % of its tokens (8.8 %) and 2.6 % of the concurrency at a length (2.5 %) on the log left out.

What is missed most, and why:

- Qwen3.8-27B with drafted tokens on two RTX 5090: of its room, of what graphs and the encoder take there, no log is known.
- NVFP4 checkpoints of Qwen3.8-27B leave attention in 8 bits; the row on one RTX 5090 is looked up as if all of it were in 4.
- Gemma 4 E2B has towers that the model of that name here has not, and captured graphs of 3.9 GiB.

## Intervals of memory

Residuals of these logs, and of the peaks below, by `python scripts/memory.py --write`: of the room for the cache as a part of the memory that
the driver reports, of the tokens to a byte of room, of weights, of peaks. An engine without logs takes the spread of logs that were
predicted by `generic` in their engine's place. Where the release is not stated, every release that the engine's file describes is as likely.

{spreads}
## Peaks of training steps

{peaks} peaks of memory that published training runs print, in GiB of allocated memory, against the sum of weights, gradients, optimizer and
activations.

{groups}
"""


def _logged() -> tuple[list[str], list[str], int, int]:
    """Return errors by quantity, every figure, how many there are, and how many of logs that set no constant."""
    found = logs(catalog.read_rows(HERE.parent / "workloads" / "runs" / "memory.csv"))
    roles = {"": found, "no constant": [each for each in found if each.row["role"] == "check"]}
    table = []
    for role, those in roles.items():
        by: dict[str, list[Logged]] = {}
        for each in those:
            by.setdefault(each.row["quantity"], []).append(each)
        table += [
            [
                f"`{name}`", role or "all", str(len(of)), f"{np.mean([abs(o.error) for o in of]):.1%}", f"{np.median([abs(o.error) for o in of]):.1%}",
                f"{np.mean([o.error for o in of]):+.1%}", f"{np.mean([o.inside for o in of]):.0%}",
            ]
            for name, of in by.items()
        ]  # fmt: skip
        table.append(["all", role or "all", str(len(those)), "", "", "", f"{np.mean([o.inside for o in those]):.0%}"])
    rows = [
        [
            o.row["model"], f"`{o.row['system']}`", f"{o.row['engine']} {o.row['release']}".strip(), o.row["memory_fraction"] or "default",
            f"`{o.row['quantity']}`", f"{o.measured:,.5g}", f"{o.predicted:,.5g}", f"{o.error:+.1%}", "yes" if o.inside else "no",
        ]
        for o in found
    ]  # fmt: skip
    head = ["quantity", "logs that set", "figures", "mean error", "median", "bias", "inside"]
    columns = ["model", "system", "engine", "fraction", "quantity", "printed", "predicted", "error", "inside"]
    return _table(head, table, right=2), _table(columns, rows, right=5), len(found), len(roles["no constant"])


def _spreads() -> list[str]:
    """Return the spreads that intervals of memory are made of."""
    rows = [
        [
            quantity, {"family": "with logs", "stack": "with peaks", "chip": "without any"}[distance], of or "all", str(spread.cells),
            *(f"{end:+.1%}" for coverage in (0.5, 0.8, 0.95) for end in spread.ends(coverage)),
        ]
        for (quantity, distance, of), spread in catalog.evidence().spreads.items()
        if quantity in ("room", "cache", "cache_mixed", "weights", "peak")
    ]  # fmt: skip
    return _table(["", "engine or framework", "", "logs", "50 %", "", "80 %", "", "95 %", ""], rows, right=3)


_PEAK = re.compile(r"(?:peak (?:alloc|memory)|memory) ([0-9.]+) GiB")


def _peaks() -> tuple[list[str], int]:
    """Return errors of the peaks of training by source and model, and how many there are."""
    cases = opener("calibrated")
    by: dict[tuple[str, str], list[float]] = {}
    for run in runs.training_runs(catalog.read_rows(HERE.parent / "workloads" / "runs" / "training.csv")):
        printed = _PEAK.search(run.note)
        if printed is None:
            continue
        case = cases(run)
        question = rl.TrainStep(
            case.model, run.batch, run.length, case.micro_batch, recompute=case.recompute, share=case.share, task=run.task,
            gradient_bytes=case.framework.gradients,
        )  # fmt: skip
        est = rl.train(question, case.system, case.layouts, level=case.profile, framework=case.framework)
        error = float(np.ravel(est.memory.total)[0]) / GIBI / float(printed[1]) - 1
        by.setdefault((run.group, run.model), []).append(error)
    rows = [
        [group, model, str(len(of)), f"{np.mean(np.abs(of)):.1%}", f"{np.mean(of):+.1%}", f"{max(of, key=abs):+.1%}"]
        for (group, model), of in by.items()
    ]
    return _table(["source", "model", "peaks", "mean error", "bias", "worst"], rows, right=2), sum(
        map(len, by.values())
    )


def memory() -> str:
    """Return the page of memory: start-up logs of engines, and peaks of training."""
    quantities, rows, count, checks = _logged()
    groups, peaks = _peaks()
    return _MEMORY.format(
        count=count,
        checks=checks,
        spreads="\n".join(_spreads()),
        quantities="\n".join(quantities),
        rows="\n".join(rows),
        peaks=peaks,
        groups="\n".join(groups).rstrip(),
    )


def main() -> None:
    """Write every page of tables."""
    catalog.write(HERE / "reference" / "hardware.md", hardware().encode())
    catalog.write(HERE / "accuracy" / "validation.md", validation().encode())
    catalog.write(HERE / "accuracy" / "training-runs.md", training_runs().encode())
    catalog.write(HERE / "accuracy" / "operators.md", operators().encode())
    catalog.write(HERE / "accuracy" / "memory.md", memory().encode())


if __name__ == "__main__":
    main()
