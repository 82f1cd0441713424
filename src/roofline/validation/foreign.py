"""Result files of other tools as rows of serving runs: read, derived and missing cells.

===============  =====================================================================================================
vLLM             JSON of ``vllm bench serve --save-result`` (and of ``benchmark_serving.py``), one object or one a line
SGLang           JSONL of ``sglang.bench_serving``, with the server's own arguments where they were recorded
InferenceX       JSON of aggregated results (``hw``, ``conc``, ``isl`` ...), one object or a list
AIPerf           ``profile_export_aiperf.json``, and ``profile_export_genai_perf.json`` of its predecessor
GuideLLM         ``benchmarks.json``, one run for each benchmark in it
MLPerf           ``mlperf_log_summary.txt`` of LoadGen
===============  =====================================================================================================

Means are taken, medians where a file has no mean. TPOT is the time between tokens after the first one, whatever a tool calls it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import field, frozen

from roofline import catalog
from roofline.catalog.files import located
from roofline.core.errors import DescriptorError, QuestionError, fault
from roofline.core.units import GIGA, KILO

Json = Mapping[str, Any]

SUFFIXES: Final = (".json", ".jsonl", ".txt", ".log")
"""Ends of names of files that are read as results of other tools."""
MOST_FILES: Final = 10_000
_GROUPS: Final[Mapping[str, str]] = {
    "vLLM": "bench-serve", "SGLang": "bench-serving", "InferenceX": "inferencex", "AIPerf": "aiperf", "GuideLLM": "guidellm", "MLPerf": "mlperf",
}  # fmt: skip
"""Collections of runs, by the tool that measured them; no name of an engine is in them, since a benchmark may be of any."""
_MTP_DRAFTS: Final = 3
_GREATEST: Final = 1e30
"""The greatest number that is taken from a file: a greater one is missing, so that products of several stay finite."""
_SYSTEMS: Final[Mapping[str, str]] = {
    "h100": "dgx-h100", "h200": "hgx-h200", "b200": "dgx-b200", "b300": "hgx-b300", "gb200": "gb200-nvl72", "gb300": "gb300-nvl72",
    "mi300x": "mi300x-8", "mi325x": "mi325x-8", "mi350x": "mi350x-8", "mi355x": "mi355x-8", "a100": "dgx-a100-80gb",
}  # fmt: skip
"""Systems by the names that InferenceX gives to its runners."""
_FORMATS: Final[Mapping[str, str]] = {
    "fp8": "fp8", "fp4": "nvfp4", "nvfp4": "nvfp4", "mxfp4": "mxfp4", "bf16": "bf16", "int4": "int4", "int8": "int8", "fp8_e4m3": "fp8",
    "w8a8": "int8", "bfloat16": "bf16", "float16": "fp16", "modelopt_fp4": "nvfp4",
}  # fmt: skip
_ENGINES: Final = {
    "vllm": "vllm",
    "sglang": "sglang",
    "sglang-oai": "sglang",
    "trt": "trtllm",
    "trtllm": "trtllm",
    "tensorrt-llm": "trtllm",
}
_STAGES: Final = (
    r"(?:instruct|chat|it|hf|base|preview|bf16|fp8|fp4|nvfp4|mxfp4|int8|int4|awq|gptq|w8a8|w4a16|dynamic|kv|\d{4})"
)
_TAIL: Final = re.compile(rf"(?:[-_.]{_STAGES})+$")
_UNITS: Final = {"ms": 1 / KILO, "s": 1.0, "sec": 1.0, "seconds": 1.0, "us": 1 / KILO / KILO, "ns": 1 / GIGA}


@frozen
class Known:
    """What a user states of runs, where their files do not.

    Attributes:
        model: name of the model; "" where nothing is stated, here and below.
        system: name of the system.
        chips: chips of the deployment; None where nothing is stated, here and below.
        tp: tensor parallel degree.
        pp: pipeline stages.
        dp: attention data parallel degree.
        ep: expert parallel degree.
        dtype: format of the weights.
        kv_dtype: format of the KV cache.
        engine: name of the engine.
        input: tokens of a prompt.
        output: tokens of an answer.
        concurrency: requests in flight.
        draft_tokens: speculative tokens verified at each step.
        accept_length: mean tokens emitted a step with them.
    """

    model: str = ""
    system: str = ""
    chips: float | None = None
    tp: float | None = None
    pp: float | None = None
    dp: float | None = None
    ep: float | None = None
    dtype: str = ""
    kv_dtype: str = ""
    engine: str = ""
    input: float | None = None
    output: float | None = None
    concurrency: float | None = None
    draft_tokens: float | None = None
    accept_length: float | None = None

    def cells(self) -> dict[str, Any]:
        """Return what is stated, under the columns of serving runs."""
        columns = {"dtype": "weight_dtype", "input": "input_len", "output": "output_len"}
        found = {columns.get(each.name, each.name): getattr(self, each.name) for each in attrs.fields(type(self))}
        return {name: value for name, value in found.items() if value not in (None, "")}


@frozen(eq=False)
class Foreign:
    """Rows of one or several result files.

    Attributes:
        tool: what wrote them.
        rows: cells by column, as a CSV file of serving runs has them.
        notes: what was put in, and for how many runs.
    """

    tool: str
    rows: Sequence[Mapping[str, str]]
    notes: Mapping[str, int] = field(factory=dict)


@frozen(eq=False)
class _Run:
    """One run: its cells, and what was assumed to fill them."""

    cells: dict[str, Any]
    said: list[str] = field(factory=list)

    def fill(self, name: str, value: object, note: str = "") -> None:
        """Fill an empty cell, and note how."""
        if value is not None and self.cells.get(name) in (None, ""):
            self.cells[name] = value
            if note:
                self.said.append(note)


def is_foreign(path: Path) -> bool:
    """Return whether a path is read as results of another tool: by the end of its name, or because it is a directory."""
    return catalog.is_folder(path) or path.name.removesuffix(".gz").endswith(SUFFIXES)


def read(path: str | Path, known: Known | None = None) -> Foreign:
    """Return the runs in a result file of another tool, or in all such files below a directory.

    Raises:
        DescriptorError: a file cannot be read, or no known tool writes such files.
        QuestionError: something that a prediction needs is neither in the file nor given.
    """
    place, known_ = located("runs", path), known or Known()
    files = _below(place) if place.is_dir() else [place]
    rows: list[dict[str, str]] = []
    notes: dict[str, int] = {}
    tools: set[str] = set()
    for file in files:
        tool, runs = _runs(file)
        tools.add(tool)
        for i, run in enumerate(runs):
            name = file.name if not place.is_dir() else str(file.relative_to(place))
            rows.append(_row_cells(run, known_, f"{name}#{i + 1}" if len(runs) > 1 else name, tool))
            for note in dict.fromkeys(run.said):
                notes[note] = notes.get(note, 0) + 1
    _complete(rows, place.name)
    return Foreign(" and ".join(sorted(tools)), rows, notes)


def _below(place: Path) -> list[Path]:
    found = sorted(path for path in place.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not found or len(found) > MOST_FILES:
        rule = f"holds {len(found)} result files; from 1 to {MOST_FILES:,} are read"
        raise QuestionError(fault("runs", str(place), rule, f"name a file, or a directory of {', '.join(SUFFIXES)}"))
    return found


def _runs(file: Path) -> tuple[str, list[_Run]]:
    """Return the tool that wrote a file, and its runs."""
    text = "\n".join(catalog.lines_of(file))
    if "MLPerf Results Summary" in text:
        return "MLPerf", [_mlperf(text)]
    documents = [] if file.suffix in (".txt", ".log") else _documents(text, file)
    for tool, signs, reader in _READERS:
        if documents and all(sign in documents[0] for sign in signs):
            return tool, [run for each in documents for run in reader(each)]
    rule = "is no result file of vLLM, SGLang, InferenceX, AIPerf, genai-perf, GuideLLM or MLPerf"
    raise DescriptorError(
        f"{file.name}: {rule}; give a CSV file with the columns model, system, input_len and what was measured"
    )


def _documents(text: str, file: Path) -> list[Json]:
    """Return the objects of a JSON file, of a list in one, or of one a line."""
    try:
        data = json.loads(text)
    except ValueError:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise DescriptorError(f"{file.name}: is not valid JSON or JSON lines: {str(error)[:120]}") from None
    except RecursionError:
        raise DescriptorError(f"{file.name}: is nested too deeply to be a result file") from None
    found = data if isinstance(data, list) else [data]
    return [each for each in found if isinstance(each, Mapping)]


def _row_cells(run: _Run, known: Known, name: str, tool: str) -> dict[str, str]:
    """Return the cells of a row: those of the file, and those that were given where it has none."""
    run.fill("id", name)
    given = known.cells()
    for column, value in given.items():
        stated = run.cells.get(column)
        if stated not in (None, "") and column not in ("model", "system") and str(stated) != str(value):
            run.said.append(f"{column} is taken as given, not as the file has it")
        run.cells[column] = value
    if isinstance(run.cells.get("model"), str) and not known.model:
        run.cells["model"] = _model(str(run.cells["model"]), run)
    samples, length = run.cells.pop("samples_per_s", None), _real(run.cells.get("output_len"))
    if samples and length:
        run.fill(
            "output_tokens_per_s", samples * length, "output rate: samples per second times the output tokens given"
        )
    run.fill("mode", "online")
    run.fill("group", _GROUPS[tool])
    if not run.cells.get("chips"):
        degrees = [run.cells.get(each) for each in ("tp", "pp", "dp")]
        whole = math.prod(float(each) for each in degrees if each)
        run.fill("chips", whole if any(degrees) else None, "chips: one replica, tp x pp x dp" if any(degrees) else "")
    return {column: _cell(value) for column, value in run.cells.items() if value not in (None, "")}


def _cell(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _complete(rows: Sequence[Mapping[str, str]], file: str) -> None:
    """Refuse runs that lack what every prediction needs, and say all of it at once."""
    flags = {
        "model": "--model",
        "system": "--system",
        "input_len": "--input",
        "output_len": "--output",
        "concurrency": "--concurrency",
    }
    needed = [
        flag for column, flag in flags.items() if any(not row.get(column) and _needs(row, column) for row in rows)
    ]
    if needed:
        raise QuestionError(
            f"{file}: does not say {', '.join(needed)}; give {'it' if len(needed) == 1 else 'them'} with the file"
        )


def _needs(row: Mapping[str, str], column: str) -> bool:
    return column != "concurrency" or row.get("mode") != "offline"


# Names ---------------------------------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _TAIL.sub("", name.lower()))


def _model(given: str, run: _Run) -> str:
    """Return the library's name of a model that a path or a hub names; as it stands where none is like it.

    >>> (
    ...     _model("meta-llama/Llama-3.1-70B-Instruct", _Run({})),
    ...     _model("/models/models--openai--gpt-oss-20b/snapshots/abc/", _Run({})),
    ... )
    ('llama-3.1-70b', 'gpt-oss-20b')
    """
    names = catalog.names("model")
    if given in names:
        return given
    cached = re.search(r"models--[^/]*?--([^/]+)", given)
    last = cached[1] if cached else given.rstrip("/").rsplit("/", 1)[-1]
    wanted = {_plain(last), _plain(last.lower().removeprefix("meta-"))}
    found = sorted((name for name in names if _plain(name) in wanted), key=len)
    form = re.search(r"(?i)(nvfp4|mxfp4|fp8|int8|w8a8|int4)", last)
    if form and not run.cells.get("weight_dtype"):
        run.fill("weight_dtype", _FORMATS[form[1].lower()], "weight_dtype: from the model's name")
    if found:
        run.said.append(f"the model {last[:60]} is {found[0]}")
        return found[0]
    return given


# Values --------------------------------------------------------------------------------------------------------------


def _real(value: object) -> float | None:
    """Return a positive finite number, and None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        out = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return out if 0 < out <= _GREATEST else None


def _at_path(top: object, *path: str) -> Any:
    """Return what lies at a path of keys; None where a part of it is missing."""
    for key in path:
        if isinstance(top, Sequence) and not isinstance(top, str) and key.isdecimal():
            top = top[int(key)] if int(key) < len(top) else None
        else:
            top = top.get(key) if isinstance(top, Mapping) else None
    return top


def _truth(value: object) -> bool:
    return str(value).lower() in ("true", "1", "yes")


def _times(run: _Run, data: Json, scale: float, unit: str) -> None:
    """Fill both times from means, or from medians where there are no means."""
    for column, name in (("ttft_s", "ttft"), ("tpot_s", "tpot")):
        for kind in ("mean", "median"):
            value = _real(data.get(f"{kind}_{name}{unit}"))
            note = f"{column} is a median" if kind == "median" else ""
            run.fill(column, None if value is None else value * scale, note)


def _in_flight(run: _Run, requests: float | None, latency: float | None) -> None:
    """Fill the concurrency by Little's law, where a file states neither it nor an open end."""
    if requests and latency:
        run.fill(
            "concurrency", max(requests * latency, 1.0), "concurrency: the mean in flight, throughput times latency"
        )


def _spread(*lengths: object) -> float | None:
    """Return the greatest standard deviation over the mean of lists of lengths."""
    found = []
    for each in lengths:
        if isinstance(each, Sequence) and not isinstance(each, str) and len(each) > 1:
            lengths_ = [_real(n) if n else 0.0 for n in each]
            stated = [n for n in lengths_ if n is not None]
            mean = sum(stated) / len(each)
            if mean > 0 and len(stated) == len(each):
                found.append(math.sqrt(sum((n - mean) ** 2 for n in stated) / len(each)) / mean)
    return max(found, default=None)


# Readers -------------------------------------------------------------------------------------------------------------


def _vllm(data: Json) -> Iterator[_Run]:
    """Read one result of ``vllm bench serve``, or of SGLang's benchmark, which began as its copy."""
    run = _Run({"model": data.get("model_id") or data.get("model"), "source": data.get("date")})
    done = _real(data.get("completed"))
    server = data.get("server_info") if isinstance(data.get("server_info"), Mapping) else {}
    _server(run, server if isinstance(server, Mapping) else {})
    for column, total, asked in (
        ("input_len", "total_input_tokens", "random_input_len"),
        ("output_len", "total_output_tokens", "random_output_len"),
    ):
        tokens = _real(data.get(total))
        run.fill(column, tokens / done if tokens and done else _real(data.get(asked)))
    run.fill("length_variation", _spread(data.get("input_lens"), data.get("output_lens")))
    _times(run, data, 1 / KILO, "_ms")
    _times(run, data, 1.0, "")  # results that were cleaned up are in seconds
    run.fill("output_tokens_per_s", _real(data.get("output_throughput")))
    run.fill("accept_length", _real(data.get("accept_length") or data.get("spec_decode_acceptance_length")))
    prompts = _real(data.get("num_prompts")) or done
    concurrency, rate = _real(data.get("max_concurrency")), _real(data.get("request_rate"))
    if rate is None and concurrency is None and str(data.get("request_rate")) == "inf":
        run.fill("concurrency", prompts, "concurrency: all requests start at once")
        run.fill("requests_per_slot", 1.0)
    elif rate is None:
        run.fill("concurrency", concurrency)
        run.fill("requests_per_slot", prompts / concurrency if concurrency and prompts else None)
    latency = _real(data.get("mean_e2el_ms")) or _real(data.get("mean_e2e_latency_ms"))
    first, each = run.cells.get("ttft_s"), run.cells.get("tpot_s")
    whole = (
        latency / KILO
        if latency
        else first + each * (run.cells["output_len"] - 1)
        if first and each and run.cells.get("output_len")
        else None
    )
    _in_flight(run, _real(data.get("request_throughput")), whole)
    engine = _ENGINES.get(str(data.get("backend", "")).lower(), "")
    run.fill("engine", engine or None)
    for name in ("tp", "pp", "dp", "ep"):
        run.fill(name, _real(data.get(name)) or _real(data.get(f"{name}_size")))
    yield run


def _server(run: _Run, server: Json) -> None:
    """Fill cells from SGLang's record of its server's arguments."""
    if not server:
        return
    run.fill("engine", "sglang")
    run.fill("engine_version", server.get("version"))
    run.fill("model", server.get("model_path"))
    tp, attention = _real(server.get("tp_size")), _real(server.get("attn_dp_size"))
    if attention is None and _truth(server.get("enable_dp_attention")):
        attention = _real(server.get("dp_size"))
    if tp:
        run.fill("tp", tp / (attention or 1.0))
        run.fill("dp", attention or 1.0)
    for column, name in (("pp", "pp_size"), ("ep", "ep_size"), ("draft_tokens", "speculative_num_steps")):
        run.fill(column, _real(server.get(name)))
    for column, name in (("weight_dtype", "quantization"), ("kv_dtype", "kv_cache_dtype")):
        run.fill(column, _FORMATS.get(str(server.get(name)).lower()))


def _inferencex(data: Json) -> Iterator[_Run]:
    """Read one aggregated result of InferenceX; its times are seconds, its rates are per chip."""
    run = _Run({"model": data.get("model"), "system": _system(str(data.get("hw", ""))), "source": data.get("image")})
    run.fill(
        "engine",
        str(data.get("framework", "")).replace("dynamo-", "").replace("trt", "trtllm").replace("trtllmllm", "trtllm"),
    )
    run.fill("weight_dtype", _FORMATS.get(str(data.get("precision", "")).lower()))
    for column, name in (
        ("input_len", "isl"),
        ("output_len", "osl"),
        ("concurrency", "conc"),
        ("ep", "ep"),
        ("pp", "pp"),
    ):
        run.fill(column, _real(data.get(name)))
    tp = _real(data.get("tp"))
    shared = _truth(data.get("dp_attention"))
    run.fill("tp", 1.0 if shared else tp)
    run.fill("dp", tp if shared else 1.0)
    chips = tp
    if _truth(data.get("disagg")):
        chips = _real(data.get("num_decode_gpu") or data.get("decode_num_gpus"))
        run.fill("decode_chips", chips)
        run.fill("prefill_chips", _real(data.get("num_prefill_gpu") or data.get("prefill_num_gpus")))
        own = _real(data.get("decode_tp"))
        wide = _truth(data.get("decode_dp_attention") or data.get("decode_dp_attn"))
        run.cells.update(tp=1.0 if wide else own, dp=own if wide else 1.0, ep=_real(data.get("decode_ep")))
    else:
        run.fill("chips", chips)
    _times(run, data, 1.0, "")
    each = _real(data.get("output_tput_per_gpu"))
    whole = (chips or 0.0) + (_real(run.cells.get("prefill_chips")) or 0.0)
    # Of disaggregated runs the rate is over the chips that decode, as InferenceX divides it.
    run.fill("output_tokens_per_s", each * (chips if _truth(data.get("disagg")) else whole) if each and chips else None)
    if str(data.get("spec_decoding", "none")).lower() not in ("none", "", "false"):
        run.fill(
            "draft_tokens",
            float(_MTP_DRAFTS),
            f"draft tokens: {_MTP_DRAFTS}, which the file does not say (--draft-tokens)",
        )
    run.fill("requests_per_slot", 10.0, "requests a slot: 10, as InferenceX's benchmark sends")
    yield run


def _system(runner: str) -> str:
    return _SYSTEMS.get(runner.lower().split("-")[0].split("_")[0], "")


def _aiperf(data: Json) -> Iterator[_Run]:
    """Read the export of AIPerf or of genai-perf: each metric is an object with its unit and mean."""

    def mean(name: str) -> float | None:
        return _real(_at_path(data, name, "avg"))

    def seconds(name: str) -> float | None:
        value, unit = mean(name), str(_at_path(data, name, "unit")).lower()
        return None if value is None else value * _UNITS.get(unit, 1 / KILO)

    config = data.get("input_config") if isinstance(data.get("input_config"), Mapping) else {}
    named = (
        _at_path(config, "tokenizer", "name") or _at_path(config, "models", "items", "0", "name") or _at_path(config, "endpoint", "model_names", "0")
        or _at_path(config, "model", "0") or _at_path(config, "model_names", "0")
    )  # fmt: skip
    run = _Run({"model": named, "source": data.get("start_time")})
    for column, name in (("input_len", "input_sequence_length"), ("output_len", "output_sequence_length")):
        run.fill(column, mean(name))
        std = _real(_at_path(data, name, "std"))
        if std and mean(name):
            run.cells["length_variation"] = max(run.cells.get("length_variation", 0.0), std / (mean(name) or 1.0))
    run.fill("ttft_s", seconds("time_to_first_token"))
    run.fill("tpot_s", seconds("inter_token_latency"))
    run.fill("output_tokens_per_s", mean("output_token_throughput"))
    phases = _at_path(config, "phases")
    asked = (
        [each for each in phases if isinstance(each, Mapping) and not each.get("exclude_from_results")]
        if isinstance(phases, list)
        else []
    )
    concurrency = (
        next((_real(each.get("concurrency")) for each in asked if each.get("concurrency")), None)
        or _real(_at_path(config, "loadgen", "concurrency"))
        or _real(_at_path(config, "perf_analyzer", "stimulus", "concurrency"))
    )
    run.fill("concurrency", concurrency)
    count = mean("request_count")
    run.fill("requests_per_slot", count / concurrency if concurrency and count else None)
    _in_flight(run, mean("request_throughput"), seconds("request_latency"))
    yield run


def _guidellm(data: Json) -> Iterator[_Run]:
    """Read the benchmarks of GuideLLM; what it calls inter-token latency is the time between tokens after the first."""
    listed = data["benchmarks"]
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, Mapping):
            continue
        config = each.get("config") if isinstance(each.get("config"), Mapping) else each.get("args")
        strategy = _at_path(config, "strategy") or _at_path(each, "args", "strategy") or {}
        model = (
            _at_path(data, "args", "model")
            or _at_path(config, "backend", "model")
            or _at_path(each, "worker", "backend_model")
        )
        run = _Run({"model": model})
        metrics = each.get("metrics")

        def mean(name: str, of: object = metrics) -> float | None:
            return _real(_at_path(of, name, "successful", "mean"))

        run.fill("input_len", mean("prompt_token_count"))
        run.fill("output_len", mean("output_token_count"))
        for column, name in (("ttft_s", "time_to_first_token_ms"), ("tpot_s", "inter_token_latency_ms")):
            value = mean(name)
            run.fill(column, None if value is None else value / KILO)
        run.fill("output_tokens_per_s", mean("output_tokens_per_second"))
        kind = str(_at_path(strategy, "type_"))
        concurrency = (
            _real(_at_path(strategy, "streams")) if kind == "concurrent" else 1.0 if kind == "synchronous" else None
        )
        run.fill("concurrency", concurrency)
        run.fill("concurrency", mean("request_concurrency"), "concurrency: the mean in flight that GuideLLM counted")
        yield run


def _mlperf(text: str) -> _Run:
    """Read the summary of LoadGen: lines of ``name : value``."""
    stated = {
        name.strip().lower(): value.strip()
        for name, colon, value in (line.partition(":") for line in text.splitlines())
        if colon
    }
    scenario = stated.get("scenario", "").lower()
    sut = stated.get("sut name", "")
    named = re.search(
        r"(?i)(llama|mixtral|deepseek|gpt|qwen)[\w.-]*?\d+x?\d*b",
        sut.replace("2-70b", "-2-70b").replace("3-70b", "-3-70b"),
    )
    run = _Run({"model": named[0] if named else "", "mode": "offline" if scenario == "offline" else "online"})

    def number(*names: str) -> float | None:
        return next((value for name in names if (value := _real(stated.get(name))) is not None), None)

    rate, samples = (
        number("tokens per second", "completed tokens per second"),
        number("samples per second", "completed samples per second"),
    )
    run.fill("output_tokens_per_s", rate)
    run.cells["samples_per_s"] = samples
    run.fill(
        "output_len",
        rate / samples if rate and samples else None,
        "output_len: tokens per second over samples per second",
    )
    for column, names in (
        ("ttft_s", ("mean first token latency (ns)",)),
        ("tpot_s", ("mean time per output token (ns)", "mean time to output token (ns)")),
    ):
        value = number(*names)
        run.fill(column, None if value is None or scenario == "offline" else value / GIGA)
    latency = number("mean latency (ns)")
    _in_flight(run, samples if scenario != "offline" else None, latency / GIGA if latency else None)
    if stated.get("result is", "").upper() not in ("VALID", ""):
        run.said.append("LoadGen calls this run invalid")
    return run


_READERS: Final[Sequence[tuple[str, tuple[str, ...], Callable[[Json], Iterator[_Run]]]]] = (
    ("GuideLLM", ("benchmarks",), _guidellm),
    ("InferenceX", ("hw", "isl", "osl"), _inferencex),
    ("AIPerf", ("time_to_first_token", "request_throughput"), _aiperf),
    ("AIPerf", ("request_throughput", "input_config"), _aiperf),
    ("SGLang", ("output_throughput", "mean_ttft_ms", "mean_e2e_latency_ms"), _vllm),
    ("vLLM", ("output_throughput", "mean_ttft_ms"), _vllm),
    ("vLLM", ("output_throughput", "request_throughput", "model_id"), _vllm),
)
"""Tools, the keys that tell their files apart, and how these are read."""
