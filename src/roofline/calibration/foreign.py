"""Timings of other tools as rows of :mod:`roofline.calibration.timings`, and the rows that are skipped.

====================  ================================================================================================
nccl-tests            text of ``all_reduce_perf`` and the like; rccl-tests write the same
HCCL test             text of ``all_reduce_test`` and the like, which does not say how many ranks there were
PyTorch profiler      Chrome trace in JSON, plain or gzipped: kernels of matrix products and attention whose shapes were recorded
Ascend profiler       ``kernel_details.csv`` of torch_npu, ``op_summary_*.csv`` of msprof: matrix products
====================  ================================================================================================
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from roofline import catalog
from roofline.core.errors import DescriptorError, QuestionError, fault
from roofline.core.units import KILO, TERA

SUFFIXES: Final = (".json", ".txt", ".log", ".out")
"""Ends of names of files that are not tables of ours."""
_COLLECTIVES: Final[Mapping[str, str]] = {
    "all_reduce": "nccl_all_reduce", "allreduce": "nccl_all_reduce", "all_gather": "nccl_all_gather", "allgather": "nccl_all_gather",
    "reduce_scatter": "nccl_reduce_scatter", "reducescatter": "nccl_reduce_scatter", "alltoall": "nccl_alltoall", "all_to_all": "nccl_alltoall",
}  # fmt: skip
_NAMED: Final = re.compile(r"(all_?reduce|all_?gather|reduce_?scatter|all_?to_?all)(?:_perf|_test|\b)", re.IGNORECASE)
_NCCL: Final = re.compile(
    r"^\s*(?P<size>\d+)\s+\d+\s+(?P<type>[a-z]\w+)\s+(?:[a-z]\w*\s+)?(?:-?\d+\s+)?(?P<time>\d[\d.]*)\s+(?P<alg>\d[\d.]*)\s+(?P<bus>\d[\d.]*)\s"
)
_HCCL: Final = re.compile(r"^\s*(?P<size>\d+)\s*\|\s*(?P<time>[\d.]+)\s*\|\s*[\d.]+\s*\|\s*(?P<check>\w+)")
_RANK: Final = re.compile(r"Rank\s+(\d+)\s+.*(?:Pid|device)")
_PREFIX: Final = re.compile(r"^\s*\[\d+,\d+\]<std\w+>:")
_GEMMS: Final[Mapping[str, tuple[int, int, bool]]] = {
    "aten::mm": (0, 1, False), "aten::addmm": (1, 2, False), "aten::linear": (0, 1, True), "aten::_scaled_mm": (0, 1, False),
}  # fmt: skip
"""Matrix products: where among the inputs the activations and the weights are, and whether the weights lie transposed."""
_TYPES: Final[Mapping[str, str]] = {
    "c10::bfloat16": "bf16", "c10::half": "fp16", "float": "fp32", "c10::float8_e4m3fn": "fp8", "c10::float8_e4m3fnuz": "fp8", "signed char": "int8",
    "dt_bf16": "bf16", "bf16": "bf16", "bfloat16": "bf16", "float16": "fp16", "dt_float16": "fp16", "fp16": "fp16", "int8": "int8",
    "dt_int8": "int8", "dt_float": "fp32", "float32": "fp32",
}  # fmt: skip
_ATTENTION: Final = ("flash_attention", "efficient_attention", "cudnn_attention")
_MOST_ELEMENTS: Final = int(KILO * TERA)
_DIMENSIONS: Final = re.compile(r"[0-9]{1,15}(?:,[0-9]{1,15})*")
_ASCEND: Final = ("Accelerator Core", "Task Duration(us)")
_ASCEND_GEMM: Final = re.compile(r"^(?:Quant)?(?:Batch)?MatMul", re.IGNORECASE)


@frozen(eq=False)
class Foreign:
    """Rows of a file of another tool.

    Attributes:
        tool: what wrote it.
        rows: its rows, cells by column.
        aside: timings that are no rows, by reason.
    """

    tool: str
    rows: list[Mapping[str, str]]
    aside: Mapping[str, int] = field(factory=dict)


def is_foreign(path: Path) -> bool:
    """Return whether a file is of another tool: by the end of its name, or by columns that only the Ascend profiler writes."""
    name = path.name.removesuffix(".gz")
    if name.endswith(SUFFIXES):
        return True
    try:
        first = next(iter(catalog.lines_of(path)), "") if name.endswith(".csv") else ""
    except DescriptorError:
        return False  # whoever reads it as a table says why
    return any(column in first for column in _ASCEND)


def read(path: Path, *, collective: str = "", ranks: int | None = None) -> Foreign:
    """Return the timings of a file of another tool.

    Args:
        collective: what was timed, where neither the file nor its name says so: ``all-reduce``, ``all-gather`` and the like.
        ranks: that took part, where the file does not say.

    Raises:
        DescriptorError: no known tool writes such files. QuestionError: the collective or its ranks are not known.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        return _ascend(path)
    if name.endswith(".json"):
        return _profiler(path)
    lines = [_PREFIX.sub("", line) for line in catalog.lines_of(path)]
    for tool, pattern in (("nccl-tests", _NCCL), ("HCCL test", _HCCL)):
        matches = [match for line in lines if (match := pattern.match(line))]
        if matches:
            return _collectives(path, lines, matches, tool=tool, collective=collective, ranks=ranks)
    raise DescriptorError(
        f"{path.name}: is no output of nccl-tests, rccl-tests or HCCL test; give a CSV file with the columns of timings"
    )


def _collectives(
    path: Path, lines: Sequence[str], found: Sequence[re.Match[str]], *, tool: str, collective: str, ranks: int | None
) -> Foreign:
    text = "\n".join(lines)
    name = collective.replace("-", "_") or next(
        (match[1] for match in [_NAMED.search(path.name), _NAMED.search(text)] if match), ""
    )
    kernel = _COLLECTIVES.get(name.lower())
    if kernel is None:
        rule = (
            "neither the file nor its name says which collective it timed"
            if not name
            else "is no collective that can be fitted"
        )
        raise QuestionError(
            f"{path.name}: {rule}; give --collective all-reduce, all-gather, reduce-scatter or all-to-all"
        )
    listed = {match[1] for line in lines if (match := _RANK.search(line))}
    count = ranks or len(listed) or _counted(text) or _ratio(kernel, found)
    if not count or count < 2:
        raise QuestionError(f"{path.name}: does not say how many ranks took part; give --ranks 8")
    aside: Counter[str] = Counter()
    rows: list[Mapping[str, str]] = []
    for match in found:
        size, time = _amount(match["size"]), _amount(match["time"])
        if match.groupdict().get("check", "success") != "success":
            aside["collectives whose result was wrong"] += 1
        elif size <= 0 or time <= 0:
            aside["collectives of nothing"] += 1
        else:
            rows.append({"kernel": kernel, "gpus": str(count), "bytes": match["size"], "measured_us": match["time"]})
    return Foreign(tool, rows, aside)


def _counted(text: str) -> int:
    """Return the ranks that a command line names: processes of mpirun, or threads times chips of nccl-tests."""
    processes = re.search(r"mpirun\b[^\n]*?\s-(?:np|n)\s+(\d{1,9})\b", text)
    own = re.search(r"nThread\s+(\d{1,6})\s+nGpus\s+(\d{1,6})\b", text)
    each = int(own[1]) * int(own[2]) if own else 1
    return int(processes[1]) * each if processes else each if own and each > 1 else 0


def _ratio(kernel: str, found: Sequence[re.Match[str]]) -> int:
    """Return the ranks by which nccl-tests made bus bandwidth of the algorithm's: 2 (n - 1) / n of an all-reduce, else (n - 1) / n."""
    best = max(found, key=lambda match: _amount(match["size"]))
    if "bus" not in best.groupdict() or not _amount(best["alg"]):
        return 0
    share = _amount(best["bus"]) / _amount(best["alg"]) / (2.0 if kernel == "nccl_all_reduce" else 1.0)
    return round(1 / (1 - share)) if share < 1 else 0


def _amount(value: object) -> float:
    """Return a positive finite number; 0 for anything else.

    >>> _amount("4.5"), _amount("1.2.3"), _amount(10**400), _amount(None)
    (4.5, 0.0, 0.0, 0.0)
    """
    try:
        out = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return out if 0 < out < math.inf else 0.0


# PyTorch profiler -----------------------------------------------------------------------------------------------------


def _profiler(path: Path) -> Foreign:
    """Read a Chrome trace: the time of kernels goes to the operation that launched them."""
    try:
        top = json.loads("".join(catalog.lines_of(path)))
    except (ValueError, RecursionError) as error:
        raise DescriptorError(f"{path.name}: is not valid JSON: {str(error)[:120]}") from None
    events = top.get("traceEvents") if isinstance(top, Mapping) else top
    if not isinstance(events, list) or not any(
        isinstance(each, Mapping) and each.get("cat") == "kernel" for each in events
    ):
        raise DescriptorError(
            f"{path.name}: is no trace of the PyTorch profiler with kernels in it; record one with record_shapes=True; the result of "
            "a serving benchmark goes to roofline validate, or as a row of runs (roofline new runs) to roofline calibrate"
        )
    spent: dict[str, float] = {}
    launched: dict[str | None, str | None] = {}
    for each in _of(events, "cuda_runtime", "cuda_driver"):
        launched[_id(each, "correlation")] = _id(each, "External id")
    for each in _of(events, "kernel"):
        by = _id(each, "External id") or launched.get(_id(each, "correlation"))
        if by is not None:
            spent[by] = spent.get(by, 0.0) + _amount(each.get("dur"))
    aside: Counter[str] = Counter()
    rows: list[Mapping[str, str]] = []
    for each in _of(events, "cpu_op"):
        time = spent.get(_id(each, "External id") or "")
        if not time:
            continue
        row = _operation(str(each.get("name")), _arg(each, "Input Dims"), _arg(each, "Input type"))
        if isinstance(row, str):
            aside[row] += 1
        else:
            rows.append({**row, "measured_us": f"{time:.6g}", "l2_hot_weights": "0", "includes_act_quant": "0"})
    return Foreign("PyTorch profiler", rows, aside)


def _of(events: Sequence[Any], *kinds: str) -> Iterator[Mapping[str, Any]]:
    return (each for each in events if isinstance(each, Mapping) and each.get("cat") in kinds)


def _arg(event: Mapping[str, Any], name: str) -> Any:
    found = event.get("args")
    return found.get(name) if isinstance(found, Mapping) else None


def _id(event: Mapping[str, Any], name: str) -> str | None:
    """Return what tells an event from the others; some releases write numbers, some text."""
    value = _arg(event, name)
    return str(value) if isinstance(value, (int, float, str)) and value != "" else None


def _operation(name: str, dims: object, types: object) -> dict[str, str] | str:
    """Return the row of an operation, or why it is none."""
    if not isinstance(dims, list) or not isinstance(types, list):
        return "operations whose shapes were not recorded (record_shapes=True)"
    if name in _GEMMS:
        at, by, transposed = _GEMMS[name]
        left, right = _shape(dims, at), _shape(dims, by)
        form = _TYPES.get(str(types[by]).lower(), "") if by < len(types) else ""
        if len(left) < 2 or len(right) != 2 or not form:
            return "matrix products of other shapes or formats"
        m, k, n = _product(left[:-1]), left[-1], right[0] if transposed else right[1]
        return (
            _gemm(m, n, k, form)
            if k == (right[1] if transposed else right[0])
            else "matrix products of other shapes or formats"
        )
    if any(word in name for word in _ATTENTION) and "backward" not in name:
        query, key = _shape(dims, 0), _shape(dims, 1)
        form = _TYPES.get(str(types[0]).lower(), "") if types else ""
        if len(query) != 4 or len(key) != 4 or form not in ("bf16", "fp16"):
            return "attention of other shapes or formats"
        batch, heads, length, dim = query
        past = key[2] - length
        if past < 0:
            return "attention of other shapes or formats"
        shape = {"batch": batch, "q_len": length, "past_len": past, "heads": heads, "kv_heads": key[1], "head_dim": dim}
        kernel = "attn_decode" if length == 1 else "attn_prefill"
        return {
            "kernel": kernel,
            "dtype": form,
            "kv_dtype": form,
            **{column: str(value) for column, value in shape.items()},
        }
    return "operations of other kinds"


def _shape(dims: list[Any], i: int) -> list[int]:
    found = dims[i] if i < len(dims) else []
    good = isinstance(found, list) and all(type(n) is int and 0 < n < _MOST_ELEMENTS for n in found)
    return list(found) if good else []


def _product(numbers: Sequence[int]) -> int:
    out = 1
    for each in numbers:
        out *= each
    return out


def _gemm(m: int, n: int, k: int, form: str) -> dict[str, str]:
    return {"kernel": "gemm", "dtype": form, "m": str(m), "n": str(n), "k": str(k)}


# Ascend profiler ------------------------------------------------------------------------------------------------------


def _ascend(path: Path) -> Foreign:
    """Read matrix products of the Ascend profiler, whose shapes are lists of lists in text."""
    aside: Counter[str] = Counter()
    rows: list[Mapping[str, str]] = []
    for row in catalog.read_rows(path):
        kind = row.get("Type") or row.get("OP Type") or ""
        time = (row.get("Duration(us)") or row.get("Task Duration(us)") or "").strip()
        if not _ASCEND_GEMM.match(kind):
            aside["kernels of other kinds"] += 1
            continue
        inputs, outputs = _shapes(row.get("Input Shapes")), _shapes(row.get("Output Shapes"))
        forms = [each.strip().lower() for each in (row.get("Input Data Types") or "").split(";")]
        form = _TYPES.get(forms[1], "") if len(forms) > 1 else ""
        found = _matched(inputs, outputs, form)
        if found is None or not time:
            aside["matrix products of other shapes or formats"] += 1
        else:
            rows.append({**found, "measured_us": time, "l2_hot_weights": "0", "includes_act_quant": "0"})
    if not rows:
        raise QuestionError(
            fault(
                path.name,
                len(aside),
                "has no matrix products with shapes",
                "record them: record_shapes=True, or msprof --ai-core=on",
            )
        )
    return Foreign("Ascend profiler", rows, aside)


def _shapes(text: str | None) -> list[list[int]]:
    """Return the shapes in a cell.

    >>> _shapes('"2048,7168;7168,4096"')
    [[2048, 7168], [7168, 4096]]
    """
    parts = re.sub(r'["\[\]\s]', "", text or "").split(";")
    return [[int(n) for n in part.split(",")] if _DIMENSIONS.fullmatch(part) else [] for part in parts]


def _matched(inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], form: str) -> dict[str, str] | None:
    """Return the product of two matrices whose result has rows of the first and columns of the second; None for any other."""
    if len(inputs) < 2 or not outputs or len(inputs[0]) < 2 or len(outputs[0]) < 2 or not form:
        return None
    m, k, n = _product(inputs[0][:-1]), inputs[0][-1], outputs[0][-1]
    # A weight in blocks (FRACTAL_NZ) has four dimensions; whichever way it lies, it has k times n elements.
    whole = _product(inputs[1])
    same = _product(outputs[0][:-1]) == m and whole >= k * n and whole < k * n * 1.1
    return _gemm(m, n, k, form) if same and min(m, n, k) > 0 else None
