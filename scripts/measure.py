"""Measure the kernels of one chip into the CSV that ``roofline calibrate`` reads.

    python measure.py -o mychip.csv                 # then: roofline calibrate mychip.csv --chip NAME-or-FILE.toml

Runs wherever torch has a device (cuda, which is also ROCm; npu, xpu, mps, cpu), needs only torch and the standard library,
and may be copied to that machine alone. What is timed, one row a shape, shapes spread log-uniformly:

=================  ==================================================================================================
``gemm``           (m, k) activations times (n, k) weights transposed, in bf16 (fp16 where a chip has no bf16), and in fp8
                   by ``torch._scaled_mm`` with the quantisation of its input on the fly, where the device has it
``attn_prefill``   causal ``scaled_dot_product_attention`` of whole prompts, grouped queries
``attn_decode``    one query a sequence over a cache: the queries of a group are the rows of one product
elementwise        ``copy``, ``scale``, ``rms_norm``: one pass over a matrix
=================  ==================================================================================================

How: calls run back to back over as many copies of weights, cache or matrix as make twice the last-level cache, so that each
is read from memory (``l2_hot_weights`` marks the few weights and caches that are not); activations of a product, and the keys
of a prompt, stay warm, as they would after the kernel before. Inputs are random: a multiplier that sees zeros draws less
power and clocks higher. Where the device has graphs, one replay holds all calls, so that a row is what the kernel takes
inside a captured step; elsewhere calls are issued one by one, and small ones show the host. A row is the median of replays
after warm-ups, timed by device events or by a synchronised clock. The order is shuffled with a fixed seed, so that a chip
that grows hot does not bend one end of a ladder. Beside the CSV, a JSON file of the same name holds the time of an empty
launch, in a graph and issued one by one, and what was skipped.

One chip is measured, whatever is visible. Collectives are another tool's: nccl-tests, rccl-tests, or your vendor's.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import importlib
import itertools
import json
import math
import os
import platform
import random
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

KINDS = ("cuda", "npu", "xpu", "mps", "cpu")
GROUPS = ("gemm", "attention", "elementwise", "launch")
COLUMNS = (
    "kernel", "hardware", "dtype", "kv_dtype", "m", "n", "k", "batch", "q_len", "past_len", "heads", "kv_heads", "head_dim",
    "rows", "cols", "l2_hot_weights", "includes_act_quant", "measured_us", "source",
)  # fmt: skip
BYTES = {"bf16": 2, "fp16": 2, "fp8": 1}
PASSES = ("copy", "scale", "rms_norm")
MEBI = 2**20
LARGEST_CACHE = 256 * MEBI
"""What an accelerator's cache is taken to be at least: drivers do not tell of all levels."""
MOST_CALLS = 4096
FEWEST, MOST_TIMES = 3, 30
BATCH_S = 2e-3
"""Shortest span that is timed: a thousand times what an event or a clock resolves."""
TRIES = 50
Call = Callable[[], object]


# ---------------------------------------------------------------------------------------------- shapes, without torch


class Case(NamedTuple):
    """One kernel at one shape."""

    kernel: str
    dtype: str
    shape: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        """Return the case as one line of words."""
        return " ".join([self.kernel, self.dtype, *(f"{name}={size}" for name, size in self.shape)])


class Limits(NamedTuple):
    """What a case may take, and what the chip reaches, roughly: memory in bytes, rates per second, a call in seconds."""

    memory: float
    cache: float
    flops: float
    bandwidth: float
    seconds: float


def radical(i: int, base: int) -> float:
    """Return the digits of ``i`` mirrored at the point: van der Corput's sequence, which fills [0, 1) evenly from its start.

    >>> [radical(i, 2) for i in (1, 2, 3, 4)]
    [0.5, 0.25, 0.75, 0.125]
    """
    value, unit = 0.0, 1.0
    while i:
        i, digit = divmod(i, base)
        unit /= base
        value += digit * unit
    return value


def spread(dimensions: int) -> Iterator[tuple[float, ...]]:
    """Yield points that fill the unit cube evenly (Halton's sequence), without end."""
    bases = (2, 3, 5, 7, 11)[:dimensions]
    return (tuple(radical(i, base) for base in bases) for i in itertools.count(1))


def between(u: float, low: int, high: int, step: int = 1) -> int:
    """Return the size at ``u`` of the way from ``low`` to ``high`` on a logarithmic scale, as a multiple of ``step``.

    >>> between(0.5, 256, 65536, 128), between(0.0, 1, 32768)
    (4096, 1)
    """
    return max(low, step * round(low * math.pow(high / low, u) / step))


def among(u: float, options: Sequence[int]) -> int:
    """Return the option at ``u`` of the way through."""
    return options[min(int(u * len(options)), len(options) - 1)]


def gemms(dtype: str) -> Iterator[Case]:
    """Yield matrix products: m 1 to 32,768, n and k 256 to 65,536."""
    for u in spread(3):
        m = between(u[0], 1, 32768)
        n, k = (between(v, 256, 65536, 128) for v in u[1:])
        yield Case("gemm", dtype, (("m", m), ("n", n), ("k", k)))


def prefills(dtype: str, *, grouped: bool = True) -> Iterator[Case]:
    """Yield attention of whole prompts; ``grouped`` where queries may share keys."""
    for u in spread(5):
        kv = among(u[3], (1, 2, 4, 8))
        heads = kv * among(u[4], (1, 4, 8, 16))
        yield _attention(
            "attn_prefill", dtype, between(u[0], 1, 64), between(u[1], 128, 32768, 16), 0, heads, kv if grouped else heads,
            among(u[2], (128, 128, 64, 256)),
        )  # fmt: skip


def decodes(dtype: str) -> Iterator[Case]:
    """Yield attention of one new token a sequence over its cache."""
    for u in spread(5):
        kv = among(u[3], (1, 2, 4, 8))
        heads = kv * among(u[4], (1, 4, 8, 16))
        seen = between(u[1], 128, 131072, 16)
        yield _attention(
            "attn_decode", dtype, between(u[0], 1, 512), 1, seen - 1, heads, kv, among(u[2], (128, 128, 64, 256))
        )


def _attention(kernel: str, dtype: str, *sizes: int) -> Case:
    names = ("batch", "q_len", "past_len", "heads", "kv_heads", "head_dim")
    return Case(kernel, dtype, tuple(zip(names, sizes, strict=True)))


def passes(dtype: str) -> Iterator[Case]:
    """Yield passes over a matrix, the kernels in turn."""
    for kernel, u in zip(itertools.cycle(PASSES), spread(2), strict=False):
        yield Case(kernel, dtype, (("rows", between(u[0], 1, 131072)), ("cols", between(u[1], 1024, 16384, 128))))


def rotated(case: Case) -> float:
    """Return the bytes of which copies are made: weights, cache, or a matrix with its result."""
    s, size = dict(case.shape), BYTES[case.dtype]
    match case.kernel:
        case "gemm":
            return s["n"] * s["k"] * size
        case "attn_prefill" | "attn_decode":
            return 2 * s["batch"] * (s["past_len"] + s["q_len"]) * s["kv_heads"] * s["head_dim"] * size
        case _:
            return 2 * s["rows"] * s["cols"] * size


def beside(case: Case) -> float:
    """Return the bytes of what there is one of: activations and results, 16 bits each."""
    s = dict(case.shape)
    match case.kernel:
        case "gemm":
            return 2 * s["m"] * (s["k"] + s["n"])
        case "attn_prefill" | "attn_decode":
            return 4 * s["batch"] * s["q_len"] * s["heads"] * s["head_dim"]
        case _:
            return 0


def flops(case: Case) -> float:
    """Return the operations of a case: 2 m n k, or 4 d for each pair of a query and a key it sees."""
    s = dict(case.shape)
    match case.kernel:
        case "gemm":
            return 2.0 * s["m"] * s["n"] * s["k"]
        case "attn_prefill" | "attn_decode":
            pairs = s["q_len"] * (s["past_len"] + (s["q_len"] + 1) / 2)
            return 4.0 * s["batch"] * s["heads"] * s["head_dim"] * pairs
        case _:
            return 0.0


def took(case: Case, limits: Limits) -> float:
    """Return the seconds of a call, roughly: operations and bytes one after the other."""
    return flops(case) / limits.flops + (rotated(case) + beside(case)) / limits.bandwidth


def copies(case: Case, limits: Limits) -> int:
    """Return how many copies make twice the cache, if there is time to go through them: products that take long need none."""
    if case.kernel == "attn_prefill":  # the kernel before has just made them
        return 1
    enough = math.ceil((2 * limits.cache - beside(case)) / rotated(case))
    return max(1, min(enough, MOST_CALLS, int(4 * limits.seconds / took(case, limits))))


def hot(case: Case, limits: Limits) -> bool:
    """Return whether what is read again and again stays in the cache."""
    return rotated(case) * copies(case, limits) + beside(case) < limits.cache


def affordable(case: Case, limits: Limits) -> bool:
    """Return whether a case fits in memory with its copies, a 16-bit original of one included, and a call ends in time."""
    held = rotated(case) * (copies(case, limits) + 2) + 2 * beside(case)
    return held <= limits.memory and took(case, limits) <= limits.seconds


def chosen(cases: Iterator[Case], count: int, limits: Limits) -> list[Case]:
    """Return the first ``count`` different cases that are affordable; fewer where hardly any is."""
    fit = (case for case in itertools.islice(cases, TRIES * count) if affordable(case, limits))
    return list(itertools.islice(dict.fromkeys(fit), count))


def row(case: Case, hardware: str, seconds: float, source: str, limits: Limits) -> dict[str, str]:
    """Return the CSV row of a measured case; ``limits`` tell whether its weights, or keys, had to be read from memory."""
    cells = {"kernel": case.kernel, "hardware": hardware, "dtype": case.dtype, "source": source}
    cells |= {name: str(size) for name, size in case.shape}
    if case.kernel in ("gemm", "attn_decode"):
        cells["l2_hot_weights"] = str(int(hot(case, limits)))
    if case.kernel == "gemm":
        cells["includes_act_quant"] = str(int(case.dtype == "fp8"))
    if case.kernel.startswith("attn"):
        cells["kv_dtype"] = case.dtype
    return {**dict.fromkeys(COLUMNS, ""), **cells, "measured_us": f"{seconds * 1e6:.4g}"}


def per_call(times: Iterable[float], calls: int) -> float:
    """Return the seconds of one call: the median of the times of batches of ``calls``.

    >>> per_call([2.0, 9.0, 4.0], 4)
    1.0
    """
    return statistics.median(times) / calls


def slug(name: str) -> str:
    """Return a device's name in lower case, its words joined by hyphens.

    >>> slug("NVIDIA H200 (SXM)")
    'nvidia-h200-sxm'
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


# -------------------------------------------------------------------------------------------------------- the device


def say(text: str) -> None:
    """Write one line to standard error, over a line of progress if there is one."""
    sys.stderr.write(f"\r\033[K{text}\n" if sys.stderr.isatty() else f"{text}\n")


class Device:
    """A torch device: what it is called, what it holds, and how its work is timed.

    Attributes:
        graphs: whether calls are captured and replayed; set by :meth:`launches`, once for all cases.
        eight: how fp8 products are to be called, or None where they are not to be had.
    """

    def __init__(self, torch: Any, kind: str) -> None:
        self.torch, self.kind = torch, kind
        self.module: Any = getattr(torch, kind)
        self.events = kind in {"cuda", "npu", "xpu"}
        self.graphs = False
        self.eight: tuple[Any, bool] | None = None
        self.compiled = True
        self.sixteen = "bf16" if self._multiplies_bf16() else "fp16"

    def _multiplies_bf16(self) -> bool:
        with contextlib.suppress(TypeError):  # an old torch cannot tell a rate of the chip from an emulated one
            if self.kind == "cuda":
                return bool(self.module.is_bf16_supported(including_emulation=False))
        with contextlib.suppress(Exception):
            x = self.random(64, 64, dtype="bf16")
            return bool((x @ x).isfinite().all())
        return False

    def dtype(self, name: str) -> Any:
        """Return torch's name of a 16-bit format."""
        return {"bf16": self.torch.bfloat16, "fp16": self.torch.float16}[name]

    def random(self, *shape: int, dtype: str = "") -> Any:
        """Return normal random numbers in a 16-bit format."""
        return self.torch.randn(*shape, device=self.kind, dtype=self.dtype(dtype or self.sixteen))

    @property
    def name(self) -> str:
        """What the driver, or the system, calls the chip."""
        if self.events:
            return str(self.module.get_device_name())
        with contextlib.suppress(OSError, StopIteration):
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return platform.processor() or platform.machine()

    def memory(self) -> float:
        """Return bytes that may be used: most of what is free, half of it where the host lives there too."""
        if self.events:
            return 0.8 * float(self.module.mem_get_info()[0])
        if self.kind == "mps":
            return 0.5 * float(self.module.recommended_max_memory())
        names = getattr(os, "sysconf_names", {})
        pages = next((each for each in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES") if each in names), "")
        return 0.5 * float(os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")) if pages else 2048.0 * MEBI

    def cache(self) -> float:
        """Return bytes of the last-level cache; a safe guess for accelerators, whose drivers do not tell of all levels."""
        if self.events:
            told = getattr(self.module.get_device_properties(0), "L2_cache_size", 0)
            return float(max(told, LARGEST_CACHE))
        found = [0]
        for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
            with contextlib.suppress(OSError, ValueError):
                found.append(int(file.read_text(encoding="ascii").strip().removesuffix("K")) * 1024)
        return float(max(found) or 64 * MEBI)

    def elapsed(self, run: Call) -> float:
        """Return the seconds that the device takes for what ``run`` gives it."""
        if self.events:
            start, end = self.module.Event(enable_timing=True), self.module.Event(enable_timing=True)
            start.record()
            run()
            end.record()
            self.module.synchronize()
            return float(start.elapsed_time(end)) * 1e-3
        self.module.synchronize()
        begin = time.perf_counter()
        run()
        self.module.synchronize()
        return time.perf_counter() - begin

    def captured(self, run: Call) -> Call:
        """Return the replay of a graph of what ``run`` gives the device.

        Raises:
            Exception: whatever torch raises where the device has no graphs, or something in them cannot be captured.
        """
        graph = getattr(self.module, f"{self.kind.upper()}Graph")()
        with self.module.graph(graph):
            run()
        replay: Call = graph.replay
        return replay

    def measure(self, calls: Sequence[Call], budget: float) -> float:
        """Return the seconds of one of ``calls``: a median of batches, for about ``budget`` seconds."""

        def each(rounds: int) -> None:
            for _ in range(rounds):
                for call in calls:
                    call()

        each(1)  # compiles, chooses kernels, touches every copy
        rough = self.elapsed(lambda: each(1))
        rounds = max(1, min(math.ceil(BATCH_S / max(rough, 1e-9)), MOST_CALLS // len(calls)))
        batch = functools.partial(each, rounds)
        run = self.captured(batch) if self.graphs else batch
        run()
        times: list[float] = []
        end = time.perf_counter() + budget
        while len(times) < FEWEST or (len(times) < MOST_TIMES and time.perf_counter() < end):
            times.append(self.elapsed(run))
        return per_call(times, rounds * len(calls))

    def launches(self) -> dict[str, float | None]:
        """Return the microseconds of a kernel that does nothing, captured and issued one by one; find whether there are graphs."""
        x = self.torch.zeros(1, device=self.kind)
        calls = [functools.partial(x.add_, 1)] * 1000
        alone = self.measure(calls, 0.2)
        if not self.events:
            return {"launch_graph_us": None, "launch_eager_us": alone * 1e6}
        try:
            self.graphs = True
            together: float | None = self.measure(calls, 0.2) * 1e6
        except Exception as error:
            self.graphs, together = False, None
            say(f"no graphs here ({brief(error)}): calls are issued one by one, and small kernels show the host")
        return {"launch_graph_us": together, "launch_eager_us": alone * 1e6}

    def fused(self, function: Callable[..., Any], count: int) -> Callable[..., Any]:
        """Return a function of ``count`` matrices compiled to one kernel, or as it is where torch cannot compile."""
        if not self.compiled:
            return function
        try:
            compiled: Callable[..., Any] = self.torch.compile(function, dynamic=True)
            compiled(*(self.random(48, 640) for _ in range(count)))
        except Exception as error:
            self.compiled = False
            say(f"torch.compile fails ({brief(error)}): quantisation and norms are several kernels")
            return function
        return compiled

    def quantiser(self) -> Callable[..., Any]:
        """Return what makes a matrix fp8 with one scale a row, or one in all, and its scale.

        Raises:
            RuntimeError: the device multiplies no fp8.
        """
        torch = self.torch
        names = ("float8_e4m3fn", "float8_e4m3fnuz")
        for form, by_row in itertools.product([getattr(torch, n) for n in names if hasattr(torch, n)], (True, False)):
            self.eight = (form, by_row)
            quantise = functools.partial(_quantise, form=form, largest=torch.finfo(form).max, by_row=by_row)
            with contextlib.suppress(Exception):
                x = self.random(48, 640)
                self.scaled(quantise, x, *quantise(self.random(256, 640)))
                self.module.synchronize()
                return self.fused(quantise, 1)
        self.eight = None
        told = "torch._scaled_mm takes no fp8 here"
        raise RuntimeError(told)

    def scaled(self, quantise: Callable[..., Any], x: Any, weights: Any, scale: Any) -> Any:
        """Return activations times weights in fp8, the activations quantised on the way."""
        small, by = quantise(x)
        scale = scale.t() if scale.ndim else scale
        return self.torch._scaled_mm(small, weights.t(), scale_a=by, scale_b=scale, out_dtype=x.dtype)  # noqa: SLF001 it has no other name


def _quantise(x: Any, *, form: Any, largest: float, by_row: bool) -> tuple[Any, Any]:
    scale = (x.abs().amax(-1, keepdim=True) if by_row else x.abs().amax()).float() / largest
    return (x.float() / scale).to(form), scale


def brief(error: BaseException) -> str:
    """Return the first line of an error, no longer than a line."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:150]


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is short."""
    told = re.search(r"out of memory|allocate memory|not enough memory", str(error))
    return isinstance(error, MemoryError) or told is not None


class Builder:
    """What to call for a case. Holds what is made once: the quantiser and the norm."""

    def __init__(self, device: Device, limits: Limits, dtypes: Sequence[str]) -> None:
        self.device, self.limits = device, limits
        self.dtypes = [name for name in dtypes if name != "fp8"]
        self.quantise: Callable[..., Any] | None = None
        if "fp8" in dtypes:
            try:
                self.quantise = device.quantiser()
                self.dtypes.append("fp8")
            except RuntimeError as error:
                say(f"no fp8: {error}")

    @functools.cached_property
    def norm(self) -> Callable[..., Any]:
        """A norm of rows by their root mean square, written to a second matrix."""
        functional = self.device.torch.nn.functional
        return self.device.fused(lambda x, y: y.copy_(functional.rms_norm(x, (x.shape[-1],))), 2)

    @functools.cached_property
    def grouped(self) -> bool:
        """Whether attention takes queries that share keys."""
        try:
            self._attend(*(self.device.random(1, heads, 64, 64) for heads in (4, 1, 1)), causal=True)
        except Exception as error:
            say(f"no grouped queries in scaled_dot_product_attention ({brief(error)}): every head has its own keys")
            return False
        return True

    def _attend(self, q: Any, k: Any, v: Any, *, causal: bool) -> Any:
        attend = self.device.torch.nn.functional.scaled_dot_product_attention
        grouped = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
        return attend(q, k, v, is_causal=causal, **grouped)

    def calls(self, case: Case) -> list[Call]:
        """Return a call for each copy of what a case must read from memory."""
        s = dict(case.shape)
        count = copies(case, self.limits)
        match case.kernel:
            case "gemm":
                return self._gemm(s["m"], s["n"], s["k"], case.dtype, count)
            case "attn_prefill":
                q = self.device.random(s["batch"], s["heads"], s["q_len"], s["head_dim"])
                shape = (s["batch"], s["kv_heads"], s["q_len"], s["head_dim"])
                return [functools.partial(self._attend, q, *kv, causal=True) for kv in self._pairs(shape, count)]
            case "attn_decode":  # no mask is needed: the queries of a group are rows that see the same keys
                group = s["heads"] // s["kv_heads"]
                q = self.device.random(s["batch"], s["kv_heads"], group, s["head_dim"])
                shape = (s["batch"], s["kv_heads"], s["past_len"] + 1, s["head_dim"])
                return [functools.partial(self._attend, q, *kv, causal=False) for kv in self._pairs(shape, count)]
            case _:
                return [self._pass(case.kernel, *kv) for kv in self._pairs((s["rows"], s["cols"]), count)]

    def _pairs(self, shape: Sequence[int], count: int) -> list[tuple[Any, Any]]:
        return [(self.device.random(*shape), self.device.random(*shape)) for _ in range(count)]

    def _gemm(self, m: int, n: int, k: int, dtype: str, count: int) -> list[Call]:
        device = self.device
        if dtype != "fp8":
            x, y = device.random(m, k, dtype=dtype), device.random(m, n, dtype=dtype)
            weights = [device.random(n, k, dtype=dtype) for _ in range(count)]
            return [functools.partial(device.torch.mm, x, w.t(), out=y) for w in weights]
        if self.quantise is None or device.eight is None:
            told = "no fp8 here"
            raise RuntimeError(told)
        x, (form, by_row) = device.random(m, k), device.eight
        scale = device.torch.ones((n, 1) if by_row else (), device=device.kind)
        small = [device.random(n, k).to(form) for _ in range(count)]
        return [functools.partial(device.scaled, self.quantise, x, w, scale) for w in small]

    def _pass(self, kernel: str, x: Any, y: Any) -> Call:
        if kernel == "copy":
            return functools.partial(y.copy_, x)
        if kernel == "scale":
            return functools.partial(self.device.torch.mul, x, 0.5, out=y)
        return functools.partial(self.norm, x, y)


def limits_of(device: Device, seconds: float) -> Limits:
    """Return what cases may take here: a quarter of a budget a call, at the rates of one product and one copy."""
    memory, cache = device.memory(), device.cache()
    side = 1024 if device.kind == "cpu" else 4096
    a, b = device.random(side, side), device.random(side, side)
    rate = 2.0 * side**3 / device.measure([functools.partial(device.torch.mm, a, b)], 0.05)
    size = int(min(max(cache, 64 * MEBI), memory / 8)) // 2
    x, y = device.random(size), device.random(size)
    bandwidth = 4.0 * size / device.measure([functools.partial(y.copy_, x)], 0.05)
    return Limits(memory, cache, rate, bandwidth, seconds / 4)


# ----------------------------------------------------------------------------------------------------------- the run


def load(kind: str) -> tuple[Any, str]:
    """Return torch and the kind of its device: the one asked for, or the first there is.

    Raises:
        SystemExit: there is no torch, or no such device.
    """
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise SystemExit("measure.py: torch is missing: install its build for your chip, pytorch.org") from None
    with contextlib.suppress(ImportError):
        importlib.import_module("torch_npu")
    found = [each for each in KINDS if _available(torch, each)]
    if kind and kind not in found:
        told = f"measure.py: --device={kind}: torch {torch.__version__} finds {', '.join(found)}; install its build for your chip"
        raise SystemExit(told)
    return torch, kind or found[0]


def _available(torch: Any, kind: str) -> bool:
    place = torch.backends if kind == "mps" else torch
    return kind == "cpu" or (hasattr(place, kind) and bool(getattr(place, kind).is_available()))


def listed(build: Builder, groups: Sequence[str], count: int) -> list[Case]:
    """Return the cases of all groups, shuffled with a fixed seed."""
    limits, sixteen, cases = build.limits, build.device.sixteen, []
    if "gemm" in groups:
        for dtype in build.dtypes:
            cases += chosen(gemms(dtype), count, limits)
    if "attention" in groups:
        cases += chosen(prefills(sixteen, grouped=build.grouped), count // 2, limits)
        cases += chosen(decodes(sixteen), count // 2, limits)
    if "elementwise" in groups:
        cases += chosen(passes(sixteen), count // 2, limits)
    random.Random(0).shuffle(cases)  # noqa: S311 an order, not a secret
    return cases


def run(build: Builder, cases: Sequence[Case], file: Path, hardware: str, budget: float) -> tuple[int, list[str], bool]:
    """Measure cases into a file, a row at a time; return how many there are, what was skipped, and whether all were tried."""
    device = build.device
    source = f"measure.py/torch-{device.torch.__version__}/{device.kind}{'-graph' if device.graphs else ''}"
    done, skipped = 0, []
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        try:
            for i, case in enumerate(cases, 1):
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r\033[K{i:4d}/{len(cases)} {case}")
                    sys.stderr.flush()
                try:
                    seconds = device.measure(build.calls(case), budget)
                except Exception as error:
                    skipped.append(f"{case}: {'out of memory' if out_of_memory(error) else brief(error)}")
                    say(f"skipped {skipped[-1]}")
                else:
                    writer.writerow(row(case, hardware, seconds, source, build.limits))
                    out.flush()
                    done += 1
                with contextlib.suppress(Exception):  # a device that is lost skips what is left
                    device.module.empty_cache()
        except KeyboardInterrupt:
            return done, skipped, False
    return done, skipped, True


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="measure.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="the CSV to write; a JSON comes beside it")
    parser.add_argument("--device", choices=KINDS, default="", help="by default the first there is, cpu last")
    parser.add_argument("--hardware", default="", help="what the rows call the chip; by default as the driver does")
    parser.add_argument("--quick", action="store_true", help="a quarter of the shapes, a fifth of the time for each")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--dtypes", default="", help="of products; by default bf16 (or fp16), and fp8 but on cpu")
    parser.add_argument("--budget", type=float, default=0.0, help="seconds a shape; by default 0.5, or 0.1 if quick")
    asked = parser.parse_args(given)
    asked.only = [word for word in asked.only.split(",") if word]
    asked.dtypes = list(dict.fromkeys(word for word in asked.dtypes.split(",") if word))
    for name, words, known in (("--only", asked.only, GROUPS), ("--dtypes", asked.dtypes, tuple(BYTES))):
        if set(words) - set(known):
            parser.error(f"{name}={','.join(words)}: takes some of {','.join(known)}")
    if asked.budget < 0:
        parser.error(f"--budget={asked.budget:g}: must be above 0")
    asked.budget = asked.budget or (0.1 if asked.quick else 0.5)
    if not asked.output.parent.is_dir():
        parser.error(f"-o {asked.output}: there is no folder {asked.output.parent}; make it first")
    return asked


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(given: Sequence[str] | None = None) -> int:
    """Measure, and return 0; 130 where it was interrupted, 1 where no shape could be measured."""
    asked = arguments(given)
    torch, kind = load(asked.device)
    signal.signal(signal.SIGTERM, _stop)  # a batch system's end of time is an interruption like any other
    torch.manual_seed(0)
    partial = asked.output.with_name(asked.output.name + ".partial")
    told: dict[str, object] = {}
    done, whole = 0, False
    skipped: list[str] = []
    try:
        with torch.inference_mode():
            device = Device(torch, kind)
            told = {"device": device.name, "torch": torch.__version__, "kind": kind} | device.launches()
            dtypes = asked.dtypes or [device.sixteen, *([] if kind == "cpu" else ["fp8"])]
            build = Builder(device, limits_of(device, asked.budget), dtypes)
            cases = listed(build, asked.only, 64 if asked.quick else 240)
            say(f"{device.name}: {len(cases)} shapes, {'graphs' if device.graphs else 'calls one by one'}")
            done, skipped, whole = run(build, cases, partial, asked.hardware or slug(device.name), asked.budget)
    except KeyboardInterrupt:
        pass
    if done:
        partial.replace(asked.output)
    else:
        partial.unlink(missing_ok=True)
    beside_it = asked.output.with_suffix(".json")
    if done or whole:
        told |= {"hardware": asked.hardware or slug(str(told["device"])), "rows": done, "skipped": skipped}
        beside_it.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    state = "" if whole else "interrupted: "
    if done:
        say(
            f"{state}wrote {done} rows to {asked.output}, {len(skipped)} shapes skipped; now: "
            f"roofline calibrate {asked.output} --chip NAME-or-FILE.toml"
        )
    else:
        say(f"{state}no row: {asked.output} is not written" + (f", {beside_it} is" if whole else ""))
    return 130 if not whole else int(not done and asked.only != ["launch"])


if __name__ == "__main__":
    sys.exit(main())
