"""Turn a checkout of the public kernel tables into CSV files of simple columns, one measured kernel a row.

    python scripts/public_tables.py CHECKOUT -o DIR [--rows 1200] [--systems h200_sxm] [--stacks trtllm] [--by system]

The tables are those of aiconfigurator (github.com/ai-dynamo/aiconfigurator, Apache-2.0): parquet files, text in old releases, in
``systems/data/SYSTEM/[FAMILY/]STACK/VERSION/``. docs/how-to/calibration-data.md says how to fetch them. CHECKOUT may be a clone, an
unpacked wheel, or the folder ``data`` itself. Written are ``gemm``, ``attention``, ``moe``, ``elementwise``, ``collectives`` and
``ep_all2all``, each as ``.csv.gz``; or, ``--by system``, one file a system of what ``roofline calibrate`` reads (all but the
last two, and but ``computescale``, which is no kernel but the difference of two).

Of each system, kernel, format and stack at most ``--rows`` are kept: sorted by size, cut into as many equal parts, one drawn of
each with a fixed seed. Left out are attention over a window, formats the library does not tell, and rows without a time; of a
shape that several kernels of a stack were timed at, the fastest is kept. Times are converted to microseconds; nothing is modelled.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib
import io
import itertools
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Row = Mapping[str, Any]
Columns = Mapping[str, str | Callable[[Row], object]]
MILLI = 1000.0
FORMATS = {"bfloat16": 2.0, "float16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "nvfp4": 0.5625}
"""Formats kept, by the bytes of a weight; weight-only and SmoothQuant kernels are not."""
MESSAGE = {"half": 2, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "fp8": 1, "float": 4, "float32": 4}
"""Bytes of an element of a message."""
CACHE = {
    "a100_sxm": 40 * 2**20, "h100_sxm": 50 * 2**20, "h200_sxm": 50 * 2**20, "l40s": 96e6,
    "b200_sxm": 126e6, "gb200": 126e6, "b300_sxm": 126e6, "gb300": 126e6, "rtx_pro_6000_server": 128e6,
}  # fmt: skip
"""Bytes of the last-level cache, by system; as in hardware/chips, and B200's for B300."""
ROTATED = {"trtllm": 5, "sglang": 6, "vllm": 6}
"""Copies of the weights that a stack's collector goes through, at most; vLLM's goes through one of block-fp8 and nvfp4."""
HEADS: Mapping[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k", "l2_hot_weights", "includes_act_quant"),
    "attention": ("kv_dtype", "batch", "q_len", "past_len", "heads", "kv_heads", "head_dim"),
    "moe": ("tokens", "hidden", "inter", "topk", "experts", "tp", "ep", "distribution"),
    "elementwise": ("rows", "cols"),
    "collectives": ("gpus", "bytes"),
    "ep_all2all": (
        "op_name", "kernel_source", "node_num", "hidden_size", "num_token", "num_topk", "num_experts", "combine_avg_t_us",
        "combine_bandwidth_gbps", "dispatch_avg_t_us", "dispatch_bandwidth_gbps", "dispatch_sms", "dispatch_transmit_us",
        "dispatch_notify_us", "combine_sms", "combine_transmit_us", "combine_notify_us", "comm_backend", "phase",
        "comm_dtype", "ep_size", "topk", "num_tokens", "sms", "transmit_us", "notify_us", "latency", "moe_dtype",
        "moe_ep_size", "distribution",
    ),
}  # fmt: skip
CALIBRATED = ("gemm", "attention", "moe", "elementwise")


class Table(NamedTuple):
    """A public table: which of ours it belongs to, what the kernel is, and where our columns are found in its rows.

    Attributes:
        columns: ours, each the name of theirs or what makes it of a row.
        format: the column of theirs that must be one of :data:`FORMATS`, if any.
        time: makes microseconds of a row; None where a row holds several times, which then keep their own columns.
    """

    name: str
    kernel: Callable[[Row], str]
    columns: Columns
    format: str = ""
    time: Callable[[Row], float] | None = lambda row: MILLI * float(row["latency"])


def named(kernel: str) -> Callable[[Row], str]:
    """Return what calls every row's kernel the same."""
    return lambda _: kernel


def whole(column: str) -> Callable[[Row], int]:
    """Return what reads a size: an integer, whatever a table stored it as."""
    return lambda row: int(float(row[column]))


def sizes(**columns: str) -> Columns:
    """Return our columns, each a size in theirs."""
    return {ours: whole(theirs) for ours, theirs in columns.items()}


def message(dtype: str) -> Columns:
    """Return the columns of a collective, whose size is told in elements of the format in column ``dtype``."""
    return {
        "dtype": dtype,
        "gpus": whole("num_gpus"),
        "bytes": lambda row: int(float(row["message_size"])) * MESSAGE[row[dtype]],
    }


def _as_it_is(column: str) -> Callable[[Row], object]:
    return lambda row: row.get(column, "")


_ATTENTION: Columns = {"dtype": "attn_dtype", "kv_dtype": "kv_cache_dtype",
              **sizes(batch="batch_size", q_len="isl", past_len="step", heads="num_heads", kv_heads="num_key_value_heads",
                      head_dim="head_dim")}  # fmt: skip
_MLA: Columns = {"dtype": "mla_dtype", "kv_dtype": "kv_cache_dtype",
        **sizes(batch="batch_size", q_len="isl", past_len="step", heads="num_heads"),
        "kv_heads": lambda _: 1, "head_dim": lambda _: 576}  # fmt: skip
_EP: Columns = {name: _as_it_is(name) for name in HEADS["ep_all2all"]}

TABLES: Mapping[str, Table] = {
    "gemm_perf": Table("gemm", named("gemm"), {"dtype": "gemm_dtype", **sizes(m="m", n="n", k="k")}, "gemm_dtype"),
    "context_attention_perf": Table("attention", named("attn_prefill"), _ATTENTION),
    "generation_attention_perf": Table("attention", named("attn_decode"), _ATTENTION),
    "context_mla_perf": Table("attention", named("mla_prefill"), _MLA),
    "generation_mla_perf": Table("attention", named("mla_decode"), _MLA),
    "moe_perf": Table("moe", named("moe_ffn"), {
        "dtype": "moe_dtype", "distribution": "distribution",
        **sizes(tokens="num_tokens", hidden="hidden_size", inter="inter_size", topk="topk", experts="num_experts",
                tp="moe_tp_size", ep="moe_ep_size")}, "moe_dtype"),
    "scale_matrix_perf": Table("elementwise", named("scale_matrix"), {
        "dtype": lambda row: f"bf16->{row['quant_dtype']}", **sizes(rows="m", cols="k")}),
    "computescale_perf": Table("elementwise", named("computescale"), {
        "dtype": lambda row: f"bf16->{row['quant_dtype']}", **sizes(rows="m", cols="k")}),
    "nccl_perf": Table("collectives", lambda row: f"nccl_{row['op_name']}", message("nccl_dtype")),
    "oneccl_perf": Table("collectives", lambda row: f"oneccl_{row['op_name']}", message("nccl_dtype")),
    "custom_allreduce_perf": Table(
        "collectives", lambda row: f"custom_all_reduce:{row['kernel_source']}", message("allreduce_dtype")),
    # Dispatch and combine stand side by side in a row of DeepEP; the other two have a phase a row, in us and in ms.
    "wideep_deepep_ll_perf": Table("ep_all2all", named(""), _EP, time=None),
    "wideep_deepep_normal_perf": Table("ep_all2all", named(""), _EP, time=None),
    "moe_a2a_perf": Table("ep_all2all", named(""), _EP, time=lambda row: float(row["latency"])),
    "trtllm_alltoall_perf": Table("ep_all2all", named(""), _EP),
}  # fmt: skip
"""The tables that are read, by the stem of their file."""


def head(name: str) -> tuple[str, ...]:
    """Return the columns of one of our tables."""
    if name == "ep_all2all":
        return ("hardware", "source", *HEADS[name], "measured_us")
    first = ("kernel", "hardware", "dtype")
    return (*first, *HEADS[name], "measured_us", "source")


def left_out(table: Table, row: Row) -> str:
    """Return why a row is not kept, or nothing."""
    if float(row.get("window_size") or 0) > 0:
        return "attention over a window"
    form = row[table.format] if table.format else "bfloat16"
    if form not in FORMATS:
        return f"format {form}"
    if table.time is not None and not table.time(row) > 0:
        return "no time"
    return ""


def converted(table: Table, row: Row, system: str, source: str) -> dict[str, object]:
    """Return a public row under our columns.

    Raises:
        KeyError: the row has no such column.
    """
    out: dict[str, object] = {"kernel": table.kernel(row), "hardware": system, "source": source}
    out |= {name: row[column] if isinstance(column, str) else column(row) for name, column in table.columns.items()}
    if table.name == "gemm":
        out["includes_act_quant"] = int(out["dtype"] not in {"bfloat16", "float16"})
        out["l2_hot_weights"] = _hot(out, system, source)
    if table.time is not None:
        out["measured_us"] = round(table.time(row), 3)
    return {column: out.get(column, "") for column in head(table.name)}


def _hot(row: Row, system: str, source: str) -> object:
    """Return 1 where all copies of the weights stay in the cache, 0 where not, nothing where the cache is not known."""
    if system not in CACHE:
        return ""
    stack = next((each for each in ROTATED if f"/{each}/" in f"/{source}/"), "")
    count = 1 if stack == "vllm" and row["dtype"] in {"fp8_block", "nvfp4"} else ROTATED.get(stack, 1)
    return int(count * row["n"] * row["k"] * FORMATS[str(row["dtype"])] < CACHE[system])


def fastest(rows: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Return each shape once, at the shortest of its times.

    >>> fastest([{"m": 1, "measured_us": 9.0}, {"m": 1, "measured_us": 7.0}])
    [{'m': 1, 'measured_us': 7.0}]
    """
    best: dict[tuple[object, ...], dict[str, object]] = {}
    for row in rows:
        shape = tuple(value for name, value in row.items() if name != "measured_us")
        if shape not in best or _time(row) < _time(best[shape]):
            best[shape] = row
    return list(best.values())


def _time(row: Row) -> float:
    return float(row["measured_us"] or math.inf)


def even(rows: Sequence[dict[str, object]], count: int, seed: str) -> list[dict[str, object]]:
    """Return at most ``count`` rows, spread evenly over their sizes: one drawn from each of as many equal parts.

    >>> [row["m"] for row in even([{"m": 2**i} for i in range(9)], 3, "x")]
    [4, 16, 64]
    """
    if len(rows) <= count:
        return list(rows)
    ordered = sorted(rows, key=lambda row: (_size(row), str(row)))
    edges = [i * len(rows) // count for i in range(count + 1)]
    draw = random.Random(seed)  # noqa: S311 a sample, not a secret
    return [ordered[draw.randrange(low, high)] for low, high in itertools.pairwise(edges)]


def _size(row: Row) -> float:
    """Return the logarithm of the product of a row's sizes."""
    counted = (value for name, value in row.items() if name != "measured_us" and isinstance(value, (int, float)))
    return sum(math.log(value + 1) for value in counted)


def read(file: Path) -> Iterator[Row]:
    """Yield the rows of a parquet or text file.

    Raises:
        SystemExit: the file is parquet, and there is no pyarrow.
    """
    if file.suffix != ".parquet":
        with file.open(encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines)
        return
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise SystemExit(
            f"public_tables.py: {file.name} is parquet, which pyarrow reads: pip install pyarrow"
        ) from None
    with parquet.ParquetFile(file) as opened:
        for batch in opened.iter_batches():
            yield from batch.to_pylist()


def pointer(file: Path) -> bool:
    """Return whether Git LFS has left a pointer in a file's place."""
    with file.open("rb") as opened:
        return opened.read(24) == b"version https://git-lfs."


def found(checkout: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files of all tables, each with the folder ``data`` it is in; parquet where text stands beside it."""
    roots = [
        each for each in [checkout, *checkout.rglob("data")] if each.name == "data" and each.parent.name == "systems"
    ]
    for root in sorted({each.resolve() for each in roots}) or [checkout]:
        files = {each.with_suffix(""): each for ext in ("csv", "txt", "parquet") for each in root.rglob(f"*.{ext}")}
        yield from ((root, files[stem]) for stem in sorted(files) if stem.name in TABLES)


def convert(
    checkout: Path, count: int, say: Callable[[str], object], *, systems: Sequence[str] = (), stacks: Sequence[str] = ()
) -> dict[str, list[dict[str, object]]]:
    """Return the rows of all tables in a checkout, at most ``count`` of a system, kernel, format and stack."""
    out: dict[str, list[dict[str, object]]] = defaultdict(list)
    dropped: Counter[str] = Counter()
    for root, file in found(checkout):
        place = file.parent.relative_to(root)
        if len(place.parts) < 3:
            continue
        system, stack = place.parts[0], place.parts[-2]
        if (systems and system not in systems) or (stacks and stack not in stacks):
            continue
        if pointer(file):
            say(f"{file}: is a Git LFS pointer: run git lfs pull in the clone; left out")
            continue
        table = TABLES[file.stem]
        source = (place / file.name if table.name == "ep_all2all" else place).as_posix()
        groups: dict[tuple[str, ...], list[dict[str, object]]] = defaultdict(list)
        try:
            for row in read(file):
                reason = left_out(table, row)
                dropped[reason] += 1
                if not reason:
                    one = converted(table, row, system, source)
                    told = (
                        "kernel",
                        "dtype",
                        "kv_dtype",
                        "op_name",
                        "kernel_source",
                        "comm_backend",
                        "phase",
                        "moe_dtype",
                    )
                    groups[tuple(str(one.get(name, "")) for name in told)].append(one)
        except (KeyError, ValueError, OSError) as error:
            say(f"{file}: {type(error).__name__} {error}: not a table of the kind its name says; left out")
            continue
        for key, rows in sorted(groups.items()):
            out[table.name] += even(fastest(rows), count, "/".join((source, *key)))
    for reason, rows_left in dropped.items():
        if reason:
            say(f"left out: {rows_left:,} rows, {reason}")
    return dict(out)


def write(file: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a gzipped CSV; the same rows make the same bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def main(given: Sequence[str] | None = None) -> int:
    """Convert, and return 0; 1 where nothing was found."""
    parser = argparse.ArgumentParser(prog="public_tables.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="a clone, an unpacked wheel, or a folder systems/data")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder to write to; made if need be")
    parser.add_argument("--rows", type=int, default=1200, help="at most of a system, kernel, format and stack (1200)")
    parser.add_argument("--systems", default="", help="some, such as h200_sxm,gb200; by default all")
    parser.add_argument("--stacks", default="", help="some, such as trtllm,vllm,nccl; by default all")
    parser.add_argument("--by", choices=("table", "system"), default="table", help="what a file holds")
    asked = parser.parse_args(given)
    if asked.rows < 1:
        parser.error(f"--rows={asked.rows}: must be above 0")

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    systems, stacks = ([word for word in words.split(",") if word] for words in (asked.systems, asked.stacks))
    tables = convert(asked.checkout, asked.rows, say, systems=systems, stacks=stacks)
    if not tables:
        say(
            f"public_tables.py: no tables under {asked.checkout}: expected systems/data/SYSTEM/...; see docs/how-to/calibration-data.md"
        )
        return 1
    asked.output.mkdir(parents=True, exist_ok=True)
    files: dict[str, tuple[Sequence[str], list[dict[str, object]]]] = {}
    if asked.by == "table":
        files = {name: (head(name), rows) for name, rows in tables.items()}
    else:
        union = tuple(dict.fromkeys(column for name in CALIBRATED for column in head(name)))
        for row in (row for name in CALIBRATED for row in tables.get(name, []) if row["kernel"] != "computescale"):
            files.setdefault(str(row["hardware"]), (union, []))[1].append(row)
    for name, (columns, rows) in sorted(files.items()):
        write(asked.output / f"{name}.csv.gz", columns, rows)
        say(f"{asked.output / name}.csv.gz: {len(rows):,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
