"""Hostile input of every kind, in this process: ``python -m tests.fuzz --minutes 10`` (from the repository's root).

Each case is drawn from its own seed, printed where the case fails, so that ``--kind K --seed N --cases 1`` draws it again. A case passes
where the input is refused with an error of the library in one line, or answered with finite numbers. It fails with any other exception,
where it takes more than :data:`PATIENCE` seconds, where a value that can never be meant is taken in silence, and where a changed
checkpoint gives another answer. It is no part of the default run; ``tests/test_fuzz.py`` draws a few cases of each kind.
"""

import argparse
import contextlib
import gzip
import inspect
import io
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

import roofline as rl
from roofline import catalog
from roofline.calibration import foreign as foreign_timings
from roofline.calibration import timings
from roofline.cli import app
from roofline.inference.trace_files import opened
from roofline.studies import sweep as sweeping
from roofline.validation import foreign as foreign_runs
from roofline.validation import runs

sys.path.append(str(Path(__file__).parent))
import foreign_files as files

ROOT = Path(__file__).parents[1]
PATIENCE = 20
"""Seconds of computing that a case may take; of waiting, thirty times as many."""

NEVER = [
    float("nan"), "x", "", "8", [], {}, [None], ["1"], b"8", 1j, object(), np.array(["1", "2"], dtype=object), np.array("8"),
    np.array([1.0, np.nan]), np.array([None, 1], dtype=object), np.ma.masked, np.array([], dtype=float), {1}, print, True, np.datetime64(1, "s"),
]  # fmt: skip
"""What is no number that anyone can mean; a text that spells one is none either."""
ODD = [
    0,
    -1,
    0.5,
    1,
    3,
    7,
    1e-300,
    1e300,
    2**63,
    10**400,
    -0.0,
    float("inf"),
    -float("inf"),
    1e9,
    1e12,
    1e15,
    np.float32(3),
    np.int8(-3),
    5e-324,
]
TEXTS = [
    "", " ", "\x1b[31mred\x1b[0m", "\x00", "a" * 5000, "../../etc/passwd", "/dev/zero", "/dev/stdin", "~nobody-at-all/x", "~", ".", "/", "=1+1",
    "$x^2$", "\u202e", "\ud800", "%s%n", "{limit}", "{0}", "nan", "inf", "1e400", "-1", "0", "7.9", "8k", "1,5", "0..0", "1..", "٣", "½", "None", "null",
    "true", "8 TB/s", "8TB", "8 furlong", "1e999 TB/s", "nan TB/s", "-5 TB/s", "--", "-", "--tp", "-o", "a=b", "=", "a=", "=b", "h100", "gb200-nvl72",
    "deepseek-v3", "9" * 400, "1e-400", "fp8", "int3", "bf16", "../x.toml", "\n", "a\nb", "\u2028", "é", "🚀", "1_000", "0x10", "1e5", "+5", "5.", ".5",
]  # fmt: skip
JSONS = [
    None, True, False, 0, -1, 1, 3, 0.5, 1e300, -1e300, 10**30, 10**400, float("nan"), float("inf"), "", "x", "8", [], [1], [[]], {}, {"a": 1}, "\x1b[31m",
    [None], ["full_attention"] * 3, [0] * 1000, {"quant_method": "fp8"}, {"type": "yarn"}, 2**31, 7, 129, 1 << 20, "a" * 3000,
]  # fmt: skip


class Hang(BaseException):
    """A case took too long."""


class Wrong(AssertionError):
    """A case was answered that has no answer."""


def alarm(number, frame):
    raise Hang


# Mutations ------------------------------------------------------------------------------------------------------------


def spoilt_bytes(dice, data):
    """Return some bytes with a few of them changed, cut, doubled or put in."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(out) + 1)
        match dice.randrange(6):
            case 0 if out:
                out[at % len(out)] = dice.randrange(256)
            case 1:
                del out[at : at + dice.randint(1, 40)]
            case 2:
                out[at:at] = out[at : at + dice.randint(1, 200)]
            case 3:
                out[at:at] = dice.choice(TEXTS).encode("utf-8", "surrogatepass")
            case 4:
                out[at:at] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 8)))
            case _:
                del out[at:]
    return bytes(out)


def places(value, path=()):
    """Yield the paths of all values inside a value of JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield (*path, key)
        yield from places(each, (*path, key))


def changed(value, path, new, *, drop=False):
    """Return a value of JSON with another at a path, or with none there."""
    if len(path) == 1 and drop:
        return (
            {k: v for k, v in value.items() if k != path[0]}
            if isinstance(value, dict)
            else value[: path[0]] + value[path[0] + 1 :]
        )
    if not path:
        return new
    out = dict(value) if isinstance(value, dict) else list(value)
    out[path[0]] = changed(value[path[0]], path[1:], new, drop=drop)
    return out


def at(value, path):
    """Return the value at a path."""
    for key in path:
        value = value[key]
    return value


def finite(answer):
    """Refuse an answer that fits and has a number that is none."""
    fits = np.broadcast_to(answer.fits, answer.shape)
    for name in ("tokens_per_second", "prompt_tokens_per_second", "step_time"):
        value = getattr(answer, name, None)
        if value is not None and not np.isfinite(np.broadcast_to(value, answer.shape)[fits]).all():
            raise Wrong(f"{name} is {value} where it fits")


@cache
def scratch():
    """Return a folder in memory, where there is one."""
    shm = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=shm if shm.is_dir() else None))


def put(name, data):
    """Write a file that a case reads."""
    path = scratch() / name
    path.write_bytes(data)
    return path


# Kinds of input -------------------------------------------------------------------------------------------------------


@cache
def configs():
    found = {}
    for path in sorted((ROOT / "workloads" / "models").glob("*.toml")):
        found[path.stem] = tomllib.loads(path.read_text())["config"]
    return found


def config(dice):
    """A config.json with values replaced; an absurd value must not pass for one that is missing."""
    name = dice.choice(sorted(configs()))
    whole = configs()[name]
    path = dice.choice(list(places(whole)))
    new = dice.choice(JSONS)
    spoilt = changed(whole, path, new)
    if dice.random() < 0.3:
        spoilt = changed(spoilt, dice.choice(list(places(spoilt))), dice.choice(JSONS))
        path = ()
    model = rl.model(spoilt)
    old = at(whole, path) if path else None
    absurd = isinstance(new, (int, float)) and not isinstance(new, bool) and (new < 0 or new != new or abs(new) > 1e20)
    # A group of -1 is a whole channel, as none is.
    absurd = absurd and not (path and path[-1] == "group_size" and new == -1)
    if path and absurd and isinstance(old, (int, float)) and not isinstance(old, bool):
        plain = rl.model(whole)
        with contextlib.suppress(rl.RooflineError):
            if model == rl.model(changed(whole, path, None, drop=True)) != plain:
                raise Wrong(f"{name}: {path} = {new!r} is read as if it were missing")
    if dice.random() < 0.05:
        finite(rl.estimate(rl.Decode(model, 4, 1000), "dgx-h100", rl.Layout(tp=8)))


@cache
def descriptors():
    found = []
    for kind, folder in (("chip", "hardware/chips"), ("system", "hardware/systems"), ("model", "workloads/models"),
                         ("framework", "workloads/frameworks"), ("profile", "hardware/calibration"), ("engine", "workloads/stacks")):  # fmt: skip
        found += [(kind, path.read_bytes()) for path in sorted((ROOT / folder).glob("*.toml"))]
    return found


def _line(dice, data):
    """Return a file with the value of one line replaced, the line doubled, or left out."""
    lines = data.split(b"\n")
    at_ = dice.randrange(len(lines))
    key, equals, _ = lines[at_].partition(b"=")
    values = ["nan", "inf", "-inf", "-1", "0", "1e400", "1e300", '"x"', "[]", "{}", "true", '"8 TB/s"', '"-5 TB/s"', '"nan TB"', '"1e999 s"', "1979-05-27",
              "9" * 400, '"\\u001b[31m"', '""', "[[1]]", '{ value = nan, source = "x" }', '{ value = "1 TB/s" }', "'''a\nb'''", "0x7fffffffffffffff"]  # fmt: skip
    match dice.randrange(4):
        case 0:
            del lines[at_]
        case 1:
            lines.insert(at_, lines[dice.randrange(len(lines))])
        case _ if equals:
            lines[at_] = key + b"= " + dice.choice(values).encode()
        case _:
            lines[at_] = dice.choice(values).encode()
    return b"\n".join(lines)


def toml(dice):
    """A descriptor with lines or bytes changed."""
    kind, data = dice.choice(descriptors())
    spoilt = _line(dice, data) if dice.random() < 0.7 else spoilt_bytes(dice, data)
    path = put(f"d{dice.randrange(1 << 60)}.toml", spoilt)
    try:
        match kind:
            case "chip":
                rl.chip(path)
            case "system":
                rack = rl.system(path)
                if dice.random() < 0.05:
                    finite(rl.estimate("llama-3.1-8b", rack, rl.Layout(), concurrency=1, input=100, output=10))
            case "model":
                rl.model(path)
            case "framework":
                rl.framework(path)
            case "profile":
                rl.profile(path, "dgx-h100")
            case _:
                catalog.engine(path)
    finally:
        path.unlink()


@cache
def tables():
    found = {
        path.name: path.read_bytes().splitlines(keepends=True)[:40]
        for path in sorted((ROOT / "workloads" / "runs").glob("*.csv"))
    }
    for path in sorted((ROOT / "hardware" / "timings").glob("*.csv.gz")):
        with gzip.open(path) as file:
            found[path.name] = [next(file) for _ in range(40)]
    return found


def _cells(dice, lines):
    """Return a table of a few lines with a cell or a name replaced, as bytes."""
    some = [lines[0], *dice.sample(lines[1:], 3)]
    row = dice.randrange(len(some))
    cells = some[row].rstrip(b"\r\n").split(b",")
    cells[dice.randrange(len(cells))] = dice.choice(TEXTS).encode("utf-8", "surrogatepass")
    some[row] = b",".join(cells) + b"\n"
    return b"".join(some)


def table(dice):
    """Measured runs and timings, with cells or bytes changed."""
    name = dice.choice(sorted(tables()))
    lines = tables()[name]
    spoilt = _cells(dice, lines) if dice.random() < 0.7 else spoilt_bytes(dice, b"".join(lines[:4]))
    path = put("t.csv", gzip.compress(spoilt, 1) if dice.random() < 0.1 else spoilt)
    rows = catalog.read_rows(path)
    if name in ("serving.csv", "training.csv"):
        kind = runs.kind(rows[0] if rows else (), "t.csv")
        (runs.serving_runs if kind == "serving" else runs.training_runs)(rows, "t.csv")
        if dice.random() < 0.02:
            rl.validate(path)
    elif name.endswith(".gz"):
        if dice.random() < 0.1:
            rl.calibrate([path], "h200")
        else:
            timings.read(rows, rl.chip("h200"), "t.csv")


TRACES = [
    ("m.jsonl", b'{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2]}\n'
                b'{"timestamp": 3000, "input_length": 7322, "output_length": 490, "hash_ids": [0, 3]}\n'),
    ("a.csv", b"arrival_s,input_len,output_len,session,hash_ids,priority,delay_s\n0.0,100,10,a,1 2,0,\n,50,5,a,1 2 3,0,1.5\n2.0,10,1,,,1,\n"),
    ("z.csv", b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n"),
    ("s.jsonl", b'{"prompt": "hello there", "output_tokens": 5}\n{"prompt": "x", "output_tokens": 1}\n'),
    ("v.json", b'{"date": "20250101", "input_lens": [100, 200], "output_lens": [10, 20], "ttfts": [0.1, 0.2]}'),
]  # fmt: skip


def trace(dice):
    """A trace of requests in one of the forms that are recognised."""
    name, data = dice.choice(TRACES)
    if dice.random() < 0.5:
        pieces = data.split(b"," if dice.random() < 0.7 else b":")
        at_ = dice.randrange(len(pieces))
        pieces[at_] = dice.choice([json.dumps(dice.choice(JSONS)), dice.choice(TEXTS)]).encode("utf-8", "surrogatepass")
        data = b",".join(pieces)
    else:
        data = spoilt_bytes(dice, data)
    path = put(name, gzip.compress(data, 1) if dice.random() < 0.05 else data)
    whole = list(opened(path).requests())
    if any(not (each.input >= 1 and each.output >= 1 and np.isfinite(each.arrival)) for each in whole):
        raise Wrong("a request without tokens, or without a time")
    if dice.random() < 0.1 and len(whole) < 100:
        words = {
            "engine": dice.choice(["vllm", "sglang", "trtllm"]), "router": dice.choice(["round_robin", "least_loaded", "prefix"]),
            "order": dice.choice(["fcfs", "priority"]), "host_cache": dice.choice([None, "1 GB", "2x"]),
            "autoscale": dice.choice([None, None, "1:2"]), "memory_fraction": dice.choice([None, 0.3]),
        }  # fmt: skip
        found = rl.simulate("llama-3.1-8b", "dgx-h100", rl.Trace.read(path), rl.Layout(tp=1), **words)
        if found.fits and found.completed + found.refused != found.requests:
            raise Wrong("a request that never ends")


FOREIGN = {
    "hf_quant_config.json": {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16,
                             "exclude_modules": ["lm_head", "model.layers.0*"]}},
    "quant_model_description.json": {"model_quant_type": "W8A8", "model.layers.0.self_attn.q_proj.weight": "W8A8", "lm_head.weight": "FLOAT"},
    "model.safetensors.index.json": {"metadata": {"total_size": 16060522496}, "weight_map": {}},
}  # fmt: skip
HOPED = ["llama-3.1-8b", "qwen3-8b", "deepseek-v3", "gpt-oss-120b", "mixtral-8x7b"]


def foreign(dice):
    """The files of a checkpoint's directory: its config, how it was quantised, its index, a header of safetensors."""
    folder = scratch() / "model"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    whole = configs()[dice.choice([name for name in HOPED if name in configs()])]
    (folder / "config.json").write_text(json.dumps(whole))
    for name, told in FOREIGN.items():
        if dice.random() < 0.6:
            told_ = changed(told, dice.choice(list(places(told))), dice.choice(JSONS)) if dice.random() < 0.7 else told
            data = json.dumps(told_).encode()
            (folder / name).write_bytes(spoilt_bytes(dice, data) if dice.random() < 0.3 else data)
    if dice.random() < 0.3:
        (folder / "model.safetensors").write_bytes(spoilt_bytes(dice, b"\x40\0\0\0\0\0\0\0{" + b" " * 63 + b"\0" * 100))
    if dice.random() < 0.2:
        (folder / "config.json").write_bytes(spoilt_bytes(dice, json.dumps(whole).encode()))
    rl.model(folder)


RESULTS = {
    "vllm.json": files.VLLM, "details.json": files.VLLM | {"input_lens": [100, 300], "output_lens": [5, 5]}, "sglang.jsonl": files.SGLANG,
    "agg.json": files.INFERENCEX, "aiperf.json": files.AIPERF, "genai.json": files.GENAI_PERF, "benchmarks.json": files.GUIDELLM,
    "summary.txt": files.MLPERF,
}  # fmt: skip
TIMINGS = {
    "nccl.txt": files.NCCL, "all_gather.log": files.ROWS, "hccl.log": files.HCCL, "trace.json": files.TRACE, "kernel_details.csv": files.ASCEND,
}  # fmt: skip


def _spoilt_file(dice, whole):
    """Return a file of another tool with a value of its JSON, a word of its text, or bytes changed."""
    data = (whole if isinstance(whole, str) else json.dumps(whole)).encode()
    if dice.random() < 0.25:
        return spoilt_bytes(dice, data)
    if isinstance(whole, str):
        words = re.split(rb"(\s+|[,:;|])", data)
        for _ in range(dice.randint(1, 3)):
            words[dice.randrange(len(words))] = dice.choice(TEXTS).encode("utf-8", "surrogatepass")
        return b"".join(words)
    for _ in range(dice.randint(1, 3)):
        found = list(places(whole))
        if found:
            whole = changed(whole, dice.choice(found), dice.choice(JSONS), drop=dice.random() < 0.1)
    return (b"[%s]" if dice.random() < 0.05 else b"%s") % json.dumps(whole).encode()


def results(dice):
    """A result file of another tool, as ``validate`` reads it; what is predicted of it is finite."""
    name = dice.choice(sorted(RESULTS))
    path = put(name, _spoilt_file(dice, RESULTS[name]))
    words = {"system": "dgx-h100"} | ({"tp": 8.0, "input": 294.0} if dice.random() < 0.8 else {})
    read = foreign_runs.read(path, foreign_runs.Known(**words))
    runs.serving_runs(read.rows, name)
    if dice.random() < 0.02:
        for each in rl.validate(path, **words).predictions:
            if not all(np.isfinite(value) for value in (each.measured, each.predicted) if value is not None):
                raise Wrong(f"{each.quantity}: {each.measured} measured, {each.predicted} predicted")


def kernels(dice):
    """Timings of another tool, as ``calibrate`` reads them; constants that are fitted are finite."""
    name = dice.choice(sorted(TIMINGS))
    path = put(name, _spoilt_file(dice, TIMINGS[name]))
    read = foreign_timings.read(path, ranks=8 if dice.random() < 0.1 else None)
    timings.read(read.rows, rl.chip("h200"), name)
    if dice.random() < 0.05:
        fitted([dict(each) for each in read.rows] * 12)
    elif dice.random() < 0.02:
        fitted(_absurd(dice))


def _absurd(dice):
    """Return timings of a product whose times or sizes no chip has."""
    time, size = (
        dice.choice([1e-300, 1e-30, 1e-3, 1.0, 1e9, 1e30, 1e300]),
        dice.choice([1, 64, 4096, 1e9, 1e30, 1e100, 1e300]),
    )
    rows = []
    for i in range(40):
        m, n = 16 << i % 9, 4096 << i % 2
        time_ = 5e-6 + max(2 * m * n * 4096 / 6e14, 2 * (m * n + n * 4096 + m * 4096) / 3.5e12)
        rows.append({"kernel": "gemm", "dtype": "bf16", "m": m, "n": n, "k": 4096, "measured_us": 1e6 * time_})
    spoilt = dice.choice(["measured_us", "m", "n", "k"])
    for row in rows if dice.random() < 0.5 else dice.sample(rows, 3):
        row[spoilt] = time if spoilt == "measured_us" else size
    return [{name: str(value) for name, value in row.items()} for row in rows]


def fitted(rows):
    """Calibrate on rows, and read the profile as a file: it has finite constants and errors."""
    found = rl.calibrate(rows, system="hgx-h200")
    json.dumps(found.to_dict(), allow_nan=False)
    rl.profile(put("fitted.toml", found.toml().encode()), "hgx-h200")


def in_pieces(whole, wanted, path):
    """Run a sweep in tasks of a few plans each."""
    with mock.patch.multiple(sweeping, BLOCK=7, TASK=2):
        return sweeping._run(whole, wanted, None, path, None)


@cache
def swept():
    """Return a small sweep, its checkpoint and its answer."""
    whole = sweeping.space(
        "llama-3.1-70b", "dgx-h100", ["decode"], {"batch": [8.0, 24.0, 64.0], "context": [1000.0, 4096.0]}
    )
    wanted = sweeping.Wanted(("tokens_per_second_per_chip",), 3, (("tpot", 0.05),))
    path = scratch() / "sweep.log"
    path.unlink(missing_ok=True)
    parts, _ = in_pieces(whole, wanted, path)
    return whole, wanted, path.read_bytes(), _told(parts)


def _told(parts):
    return [(p.points, p.accepted, dict(p.rejected), p.places.tolist(), p.values.tolist()) for p in parts]


def checkpoint(dice):
    """The checkpoint of a sweep with bytes changed, lines moved, or the end cut off: refused, or the same answer."""
    whole, wanted, data, told = swept()
    lines = data.splitlines(keepends=True)
    match dice.randrange(4):
        case 0:
            data = data[: dice.randrange(len(data))]
        case 1:
            dice.shuffle(lines)
            data = b"".join(lines[: dice.randint(1, len(lines))])
        case _:
            data = spoilt_bytes(dice, data)
    path = put("c.log", data)
    parts, complete = in_pieces(whole, wanted, path)
    if not complete or _told(parts) != told:
        raise Wrong("a changed checkpoint gives another answer")


COMMANDS = [
    "list systems", "list models --json", "show gb200-nvl72", "show h100 --kind chip --json", "show llama-3.1-8b",
    "estimate llama-3.1-70b -s dgx-h100 --tp 8 --dtype fp8 --rate 2.5 --why", "estimate llama-3.1-8b --system dgx-h100 --input 4096 --output 1024 --concurrency 64 --tp 1 --json",
    "train llama-3.1-8b --system dgx-h100 --chips 8 --global-batch 256 --seq-len 8192 --tp 1 --pp 1", "campaign llama-3.1-8b -s dgx-h100 --chips 8 --tokens 15T --json --tp 1 --pp 1",
    "search serve llama-3.1-8b -s dgx-h100 --chips 1 --tpot 50ms --ttft 2s", "compare cloudmatrix384 gb200-nvl72", "collective all-reduce 1GiB -s gb200-nvl72 --ranks 72",
    "simulate llama-3.1-8b -s dgx-h100 --rate 2.5 --requests 20 --input 100 --output 10 --tp 1", "sweep llama-3.1-70b -s dgx-h100 --set batch=64..256*2 --set context=4096 --limit tpot=30ms --vary bandwidth=1x,1.5x --top 3",
    "needed bandwidth llama-3.1-70b -s dgx-h100 --phase decode --batch 64 --context 4096 --target tpot=12ms --tp 8", "sensitivity llama-3.1-8b -s dgx-h100 --phase decode --batch 64 --context 4096 --of tpot --tp 1",
    "break-even dgx-b200 dgx-h100 llama-3.1-8b --dtype fp8 --concurrency 64 --tp 1", "validate serving --json", "calibrate gemm.csv --chip h200", "--help", "--version", "estimate --help",
    "report llama-3.1-8b -s dgx-h100 --concurrency 4 -o r.html", "plot llama-3.1-8b -s dgx-h100 --concurrency 4 -o r.svg",
]  # fmt: skip
SLOW = ("validate", "report", "plot", "search", "simulate", "campaign", "break-even", "needed")


@contextlib.contextmanager
def elsewhere():
    """Work in the scratch folder, with what is printed caught."""
    before, out, err = Path.cwd(), io.StringIO(), io.StringIO()
    os.chdir(scratch())
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        os.chdir(before)


def command(dice):
    """A command line with words replaced, left out, doubled or put in."""
    words = dice.choice(COMMANDS).split()
    # Most of what is left whole is answered, which takes long; a value that is none is what is looked for.
    if words[0] in SLOW and dice.random() < 0.9:
        words = dice.choice(COMMANDS[:8]).split()
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        at_ = dice.randrange(len(words))
        match dice.randrange(5):
            case 0:
                del words[at_]
            case 1:
                words.insert(at_, dice.choice(words))
            case 2:
                words.insert(at_, dice.choice(TEXTS))
            case _:
                words[at_] = dice.choice(TEXTS)
        words = words or ["list"]
    if words[0] in ("validate", "calibrate") and len(words) > 1 and words[1] in ("serving", "training"):
        words = ["validate", "nothing"]
    words = [word.replace("\x00", "") for word in words if "completion" not in word]
    status = 0
    with elsewhere() as (out, err):
        try:
            app.main(words)
        except SystemExit as left:
            status = left.code
    said = [line for line in err.getvalue().splitlines() if not line.startswith(("warning:", "wrote "))]
    if status not in (0, None, 1, 2):
        raise Wrong(f"status {status}: {words}")
    if status == 2 and (len(said) != 1 or not said[0].startswith("roofline: ") or out.getvalue()):
        raise Wrong(f"{words}: {said}")
    told = out.getvalue() + err.getvalue()
    if any(ord(char) < 32 and char not in "\n\t" for char in told):
        raise Wrong(f"{words}: a control character is printed")
    if "--json" in words and status == 0 and out.getvalue().startswith("{"):
        json.loads(out.getvalue(), parse_constant=lambda name: (_ for _ in ()).throw(Wrong(f"{words}: {name} in JSON")))


NUMERIC = ["concurrency", "input", "output", "chunk", "cached", "draft_tokens", "accept_length", "imbalance", "variation", "tp", "pp", "dp", "ep", "chips",
           "memory_fraction", "rate", "requests_per_slot"]  # fmt: skip
STEP = [
    "global_batch",
    "seq_len",
    "micro_batch",
    "share",
    "tp",
    "pp",
    "dp",
    "ep",
    "cp",
    "vpp",
    "etp",
    "chips",
    "document",
    "rank",
]
NAMED = ["level", "dtype", "kv_dtype", "engine", "launch", "power", "price", "power_cap"]


def api(dice):
    """Functions of Python with a word of a wrong type or size: no number that can never be meant is taken."""
    never = dice.random() < 0.5
    new = dice.choice(NEVER if never else ODD)
    match dice.randrange(9):
        case 0 | 1:
            name = dice.choice(NUMERIC)
            words = {"concurrency": 8, "input": 100, "output": 10, "tp": 1, "pp": 1, "dp": 1, "ep": 1} | {name: new}
            if name == "rate":
                del words["concurrency"]
            answer = rl.estimate("llama-3.1-8b", "dgx-h100", **words)
            finite(answer)
        case 2:
            name = dice.choice(STEP)
            words = {"global_batch": 64, "seq_len": 2048, "tp": 1, "pp": 1, "dp": 8, "chips": 8, "micro_batch": 1} | {
                name: new
            }
            finite(rl.train("llama-3.1-8b", "dgx-h100", **words))
        case 3:
            name, never, new = dice.choice(NAMED), False, dice.choice([*NEVER, *ODD, *TEXTS])
            finite(rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, input=100, output=10, **{name: new}))
        case 4:
            never, new = False, dice.choice([*NEVER, *ODD, *TEXTS, None])
            verb = dice.choice(
                [
                    rl.model,
                    rl.system,
                    rl.chip,
                    rl.framework,
                    rl.describe,
                    rl.validate,
                    rl.calibrate,
                    rl.names,
                    rl.listing,
                    catalog.engine,
                ]
            )
            if not (isinstance(new, str) and verb is rl.validate and new in ("", ".", "/")):
                verb(new) if verb is not rl.calibrate else verb(new, "h100")
        case 5:
            nouns = {
                rl.Layout: {
                    "tp": 2,
                    "pp": 1,
                    "dp": 1,
                    "ep": 1,
                    "cp": 1,
                    "vpp": 1,
                    "replicas": 1,
                    "redundant_experts": 0,
                },
                rl.Tier: {"name": "a", "size": 8, "bandwidth": 1e11, "latency": 1e-6},
                rl.Memory: {"capacity": 8e10, "bandwidth": 3e12},
                rl.Kernel: {"eta_compute": 0.8, "eta_memory": 0.8, "t0": 1e-6, "p": 2.0},
                rl.Link: {"alpha": 1e-6, "eta": 0.8},
                rl.Chip: {"name": "a", "peak": {"bf16": 1e15}, "memory": rl.Memory(8e10, 3e12), "cores": 100},
            }
            noun = dice.choice(list(nouns))
            words = dict(nouns[noun])
            name = dice.choice(sorted(words))
            never &= isinstance(words[name], (int, float)) and not (name == "cores" or name == "size")
            never &= (
                np.size(new) > 0 if isinstance(new, (list, np.ndarray)) else True
            )  # an array of no points is one of a noun's
            never &= noun not in (rl.Kernel, rl.Link) or not (isinstance(new, complex) or new is np.ma.masked)
            noun(**(words | {name: new}))
        case 6:
            name = dice.choice(
                [
                    "batch",
                    "context",
                    "chips",
                    "top",
                    "vary",
                    "limits",
                    "by",
                    "frontier",
                    "per",
                    "phase",
                    "executor",
                    "checkpoint",
                    "level",
                ]
            )
            words = {"batch": 8, "context": 1000, "tp": 8} | {
                name: dice.choice([*NEVER[:12], *ODD[:8], *TEXTS[:20], {"tpot": new}])
            }
            never = False
            rl.sweep("llama-3.1-70b", "dgx-h100", **words)
        case 7:
            name = dice.choice(["kind", "size", "system", "ranks"])
            words = {"kind": "all-reduce", "size": 1e6, "system": "dgx-h100", "ranks": 8} | {
                name: dice.choice([*NEVER, *ODD, *TEXTS])
            }
            never = False
            rl.collective(words["kind"], words["size"], words["system"], ranks=words["ranks"])
        case _:
            name = dice.choice(["input", "output", "rate", "requests", "seed", "burstiness", "variation"])
            list(rl.Trace.poisson(**({"rate": 1.0, "requests": 5, "input": 10, "output": 2} | {name: new})))
            never &= name in ("input", "output", "rate", "requests")
    if never:
        raise Wrong(f"{name}={new!r} is taken for a number")


@cache
def asked():
    """Return public functions, and methods of answers, each with words that it answers."""
    model, rack = rl.model("llama-3.1-8b"), rl.system("dgx-h100")
    layout, served = rl.Layout(tp=1), {"concurrency": 8, "input": 100, "output": 10}
    est, step = (
        rl.estimate(model, rack, layout, **served),
        rl.train(model, rack, rl.Layout(dp=8), global_batch=64, seq_len=2048),
    )
    many = rl.estimate(model, rack, layout, concurrency=np.array([1.0, 8.0]), input=100, output=10)
    runs_ = [{"model": "llama-3.1-8b", "system": "dgx-h100", "mode": "decode", "tp": 1, "chips": 1, "input_len": 100, "output_len": 9,
              "concurrency": 4, "tpot_s": 0.005, "id": "a"}]  # fmt: skip
    whole = {"model": model, "system": rack}
    found = [
        (rl.estimate, {"question": model, "system": rack, "layout": layout, **served}), (rl.train, {"model": model, "system": rack, "global_batch": 64, "seq_len": 2048}),
        (rl.collective, {"kind": "all-reduce", "size": 1e6, "system": rack, "ranks": 8}), (rl.launch, {"answer": est}), (rl.report, {"est": est}),
        (rl.compare, {"systems": rack}), (rl.simulate, {**whole, "trace": rl.Trace.poisson(rate=2.0, requests=5, input=10, output=2), "layout": layout}),
        (rl.campaign, {"step": step, "tokens": 1e12}), (rl.needed, {"quantity": "bandwidth", "est": est}), (rl.validate, {"what": runs_}),
        (rl.sweep, {**whole, "batch": 8, "context": 100}), (rl.search, {**whole, "chips": 1}), (rl.scaling, {**whole}), (rl.probability, {"est": est}),
        (rl.largest, {"est": est}), (rl.break_even, {"one": rack, "other": "dgx-b200"}), (rl.offload, {**whole}), (rl.pools, {**whole}), (rl.model, {"name": "llama-3.1-8b"}),
        (rl.system, {"name": "dgx-h100"}), (rl.chip, {"name": "h100"}), (rl.framework, {"name": "megatron"}), (rl.profile, {"name": "generic", "system": rack}),
        (rl.names, {"kind": "chip"}), (rl.listing, {"kind": "chips"}), (rl.describe, {"what": rack}), (rl.roofline, {"system": rack}),
    ]  # fmt: skip
    for answer in (est, step, many, rl.collective("all-reduce", 1e6, rack, ranks=8), rl.validate(runs_), rl.search(model, rack, chips=1), model, rack, layout,
                   rl.compare(rack, "dgx-b200"), rl.sweep(model, rack, batch=[8], context=[100])):  # fmt: skip
        for name in dir(answer):
            method = getattr(answer, name) if not name.startswith("_") else None
            if inspect.ismethod(method) and inspect.signature(method).parameters:
                found.append((method, {}))
    return found


def callers(dice):
    """Public functions and methods with a word of a wrong type: an error of the library, or an answer, but none from inside."""
    verb, base = dice.choice(asked())
    parameters = inspect.signature(verb).parameters
    some = [
        name
        for name, each in parameters.items()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
    words = {
        name: value
        for name, value in base.items()
        if name in parameters and parameters[name].kind is not parameters[name].VAR_POSITIONAL
    }
    rest = [value for name, value in base.items() if name in parameters and name not in words]
    extra = {name: value for name, value in base.items() if name not in parameters}
    for _ in range(dice.choice([1, 1, 2])):
        words[dice.choice(some or ["x"])] = dice.choice(
            [*NEVER, *ODD, *TEXTS, None, object, dict, Path("x"), (1, 2), [[1]], range(3), lambda: 0]
        )
    values = [
        words.pop(name)
        for name in list(words)
        if parameters.get(name) is not None and parameters[name].kind is parameters[name].POSITIONAL_ONLY
    ]
    try:
        with elsewhere():
            verb(*values, *rest, **words, **extra)
    except TypeError as error:
        # What is missing, or has no place, Python says itself.
        if not re.search(r"missing \d+ required|unexpected keyword|multiple values|positional argument", str(error)):
            raise
    except ImportError as error:
        raise rl.QuestionError(str(error)) from None


KINDS = {
    each.__name__: each
    for each in (config, toml, table, trace, foreign, results, kernels, checkpoint, command, api, callers)
}
SHARES = {
    "config": 380,
    "toml": 110,
    "table": 220,
    "trace": 250,
    "foreign": 8,
    "results": 150,
    "kernels": 150,
    "checkpoint": 8,
    "command": 12,
    "api": 12,
    "callers": 12,
}
"""How many of a thousand cases are of a kind: many of those that are quick."""


def once(kind, seed):
    """Run one case; return what became of it: answered, refused, or a report of what is wrong."""
    signal.signal(signal.SIGALRM, alarm)
    signal.signal(signal.SIGPROF, alarm)
    signal.setitimer(signal.ITIMER_REAL, 30 * PATIENCE)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        # In the scratch folder: a case may write a file that it names at random.
        with contextlib.chdir(scratch()):
            KINDS[kind](random.Random(f"{kind}{seed}"))
    except rl.RooflineError as error:
        text = str(error)
        return "refused" if "\n" not in text and text.isprintable() else f"an error of several lines: {text!r}"
    except Hang:
        return "a hang:\n" + traceback.format_exc(limit=-4)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "answered"


def main():
    """Run cases until the time is up, and print how many of each kind there were."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=10.0)
    words.add_argument("--cases", type=int, default=10**9, help="stop after as many")
    words.add_argument("--seed", type=int, default=0, help="of the first case; each next one has the next")
    words.add_argument("--kind", choices=KINDS, action="append", help="only these kinds")
    words.add_argument("--failures", type=int, default=50, help="stop after as many")
    asked = words.parse_args()
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    kinds = asked.kind or list(KINDS)
    wheel = [kind for kind in kinds for _ in range(SHARES[kind])]
    random.Random(0).shuffle(wheel)
    counts, took, seen, began = Counter(), Counter(), Counter(), time.monotonic()
    number = asked.seed
    while (
        number < asked.seed + asked.cases
        and time.monotonic() - began < 60 * asked.minutes
        and seen.total() < asked.failures
    ):
        kind = wheel[number % len(wheel)]
        start = time.monotonic()
        became = once(kind, number)
        took[kind] += time.monotonic() - start
        if became in ("answered", "refused"):
            counts[kind, became] += 1
        else:
            counts[kind, "failed"] += 1
            mark = (
                became.strip().splitlines()[-1][:60],
                (became.strip().splitlines() or [""])[-2 if len(became.splitlines()) > 1 else -1],
            )
            seen[mark] += 1
            if seen[mark] == 1:
                print(f"--- {kind} --seed {number}\n{became}", flush=True)
        number += 1
    print(f"{'kind':<12}{'answered':>10}{'refused':>10}{'failed':>8}{'ms a case':>11}")
    for kind in kinds:
        found = [counts[kind, each] for each in ("answered", "refused", "failed")]
        print(f"{kind:<12}{found[0]:>10,}{found[1]:>10,}{found[2]:>8,}{1e3 * took[kind] / max(sum(found), 1):>11.2f}")
    print(f"{sum(counts.values()):,} cases of seeds {asked.seed} to {number - 1} in {time.monotonic() - began:.0f} s")
    sys.exit(bool(seen))


if __name__ == "__main__":
    main()
