"""Write the tables of the documents from the descriptors: ``python docs/tables.py``. The same numbers give the same bytes."""

from collections import Counter
from pathlib import Path

import roofline as rl
from roofline import catalog
from roofline.comparison import aggregates
from roofline.units import BYTE, BYTE_RATE, FLOP_RATE, SECOND, WATT, Unit, show

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
    head = ["chip", "", *_RATES, "memory", "bandwidth", "measured bf16", "measured bandwidth", "TDP"]
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
    return _table(["system", "", "chips", "bf16", "fp8", "memory", "bandwidth", "power"], rows, right=3)


def _tiers() -> list[str]:
    rows = []
    for name in rl.names("system"):
        for i, tier in enumerate(rl.system(name).tiers):
            shape = f" {' x '.join(map(str, tier.dims))}" if tier.dims else ""
            extra = [word for word, on in (("load/store", tier.load_store), ("in-network sums", tier.in_network)) if on]
            rows.append([
                f"`{name}`" if i == 0 else "", tier.name, ", ".join([tier.topology + shape, *extra]), f"{float(tier.size):,.0f}",
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
    return _table(["system", "", "as published", "why its chips do not add up to it"], rows, right=4)


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
        "![All systems: FLOP/s, bytes, bytes/s and watts, of the whole and of a chip](figures/systems.svg)", "",
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
        if p.run.mode == "online" and p.run.prompts is None and p.predicted is not None:
            out.setdefault(p.run, {})[p.quantity] = p
    return {run: told for run, told in out.items() if {"ttft_s", "tpot_s"} <= set(told)}


_VALIDATION = """\
# Measured runs

Made by `python docs/tables.py`. Every number below is of the `generic` constants, none of which was fitted to these runs.

{runs} published, measured operating points of serving systems come with the library: `workloads/runs/serving.csv`, each row with its source.
One command predicts them all, or those of a file of your own, and tells how far off that is:

```sh
roofline validate serving --level generic -o predictions.csv --plot errors.svg
roofline validate my-runs.csv
```

## A file of runs

A row needs `model`, `system` and `input_len`, and for most modes `output_len` and `concurrency`; add what else you know of the columns of the
file that ships. An empty cell is unknown: it is chosen, and that is said. Columns of other names are left alone.

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
>>> (tpot,) = rl.validate([mine], level="generic").predictions
>>> tpot.quantity, bool(tpot.low < tpot.predicted < tpot.high)
('tpot_s', True)
>>> for words in tpot.said:
...     print(words)
cache in bf16, as the checkpoint: kv_dtype is not recorded
no drafting: draft_tokens is not recorded

```

A run that cannot be priced says why, has an empty `predicted`, and counts as outside its interval.

## By quantity

*MAPE* is the mean of |predicted / measured - 1|, *median* and *90 %* are its median and what nine of ten runs stay below, *bias* is the median
ratio less one, *in interval* the share of measured values inside the 80 % interval.

{clear}
![TPOT of all runs, predicted against measured](figures/validation.svg)

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
    found = rl.validate(level="generic")
    return _VALIDATION.format(
        runs=f"{found.runs:,}",
        clear="\n".join(_by_mode(found, found.clear)),
        ambiguous="\n".join(_by_mode(found, found.ambiguous)),
        groups="\n".join(line for key in ("system", "model", "engine", "group") for line in _by(found, key)),
        skipped="\n".join(_counts(Counter(found.skipped.values()))),
        assumed="\n".join(_counts(found.assumptions)),
        impossible="\n".join(_impossible()),
    )


def main() -> None:
    """Write every page of tables."""
    catalog.write(HERE / "hardware.md", hardware().encode())
    catalog.write(HERE / "validation.md", validation().encode())


if __name__ == "__main__":
    main()
