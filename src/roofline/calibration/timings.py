"""Timings of kernels and collectives as rows, and the operation that each row timed.

A row says what was given and how long it took. The columns are those of the tables in which such timings are published:

==========================  =============================================================================
``gemm``                    ``m n k``: (m, k) activations times (k, n) weights
``attn_prefill``            ``batch q_len past_len heads kv_heads head_dim``, and ``kv_dtype`` of the cache
``attn_decode``             the same, one new token each
``mla_prefill``             ``batch q_len past_len heads``: keys and values expanded to 192 and 128 a head
``mla_decode``              the same: 576 cached elements a token for all heads, which are absorbed
``moe_ffn``                 ``tokens hidden inter topk experts tp ep``: what one rank does of a gated mixture
``nccl_all_reduce``,        ``gpus bytes``, the whole buffer of a rank; so do ``nccl_all_gather``,
``custom_all_reduce``       ``nccl_reduce_scatter`` and ``nccl_alltoall``; custom ones are those of serving engines
``dispatch_low_latency``,   ``tokens hidden topk gpus``, tokens of each rank to their experts' ranks and back
``combine_throughput``, ..  (``combine_low_latency``, ``dispatch_throughput``)
others                      ``rows cols``: one pass over a matrix
==========================  =============================================================================

with ``kernel``, ``dtype`` and ``measured_us`` in each. ``hardware`` says what was timed and ``stack`` (or ``source``) whose
kernel it is; ``distribution`` how tokens fell on experts, ``l2_hot_weights`` that weights, or keys, stayed in the cache,
``includes_act_quant`` whether the input's quantisation was timed too,
``matrices`` how many an expert has (3, or 2 without a gate). What a kernel moves and multiplies is counted as
:mod:`roofline.operators.transformer` counts it, so that constants fitted here serve there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.arrays import ceil, expected_distinct, larger, smaller
from roofline.core.errors import DescriptorError, QuestionError, fault, near
from roofline.core.units import GIGA, KILO, MICRO, MILLI, TERA, Seconds
from roofline.hardware.constants import SAME, STACKS
from roofline.hardware.hardware import Chip
from roofline.models.dtypes import DTYPES, dtype
from roofline.operators.operations import Message, Op, Operation
from roofline.operators.transformer.ffn import moe
from roofline.operators.transformer.flow import ACTIVATION, SIXTEEN_BIT, TILE, attended

NAMES: Final[Mapping[str, str]] = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "fp8_block": "fp8-block", "float8": "fp8", "bf16->fp8": "bf16",
}  # fmt: skip
"""Other spellings of formats."""

MLA_KEY: Final = 576
MLA_LATENT: Final = 512
MLA_WIDE: Final = 192 + 128

PASSES: Final[Mapping[str, float]] = {"scale_matrix": 3.0, "add": 6.0}
"""Bytes that a pass moves for each element, where it is not one read and one write in 16 bits."""

_STAYS: Final = "caches that stay on the chip from one run to the next"
_RESIDENT: Final = (1 / 25, 1.0)
"""Of a chip's cache: what is read between these stays there from one run to the next, and says nothing of the memory."""

_TIMES: Final = (MILLI, 10 * GIGA)
"""Microseconds of a kernel: no clock tells less than a nanosecond, and none runs for hours."""
_GREATEST: Final = KILO * TERA
"""The greatest size: no chip has so many bytes, and products of a few stay finite."""

Columns = Mapping[str, NDArray[np.float64]]


@frozen(eq=False)
class Timings:
    """Kernels of one class and format, or collectives of one kind, of one stack, timed on one chip.

    Attributes:
        kernel: class, a key of :data:`roofline.hardware.constants.KERNELS`; of a message, what was called.
        form: format the class tells apart: of weights, or of the cache; "" of a message.
        stack: whose kernels they are; "" where that is not stated.
        work: what was done, an array for all rows.
        measured: time of each.
        ways: of a message, the ways it may have gone.
        columns: what the rows state, by column.
    """

    kernel: str
    form: str
    stack: str
    work: Operation
    measured: Seconds
    ways: tuple[str, ...] = ()
    columns: Columns = field(factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Class and format, such as ``gemm.fp8``; of a message, its ways."""
        return "|".join(self.ways) or f"{self.kernel}.{self.form}"

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(np.size(self.measured))

    def select(self, where: NDArray[np.bool_]) -> Timings:
        """Return some of the rows."""
        rows = {name: value[where] for name, value in self.columns.items()}
        return attrs.evolve(self, work=_each(self.work, where), measured=np.asarray(self.measured)[where], columns=rows)


def _each(work: Any, where: NDArray[np.bool_]) -> Any:
    """Return the operation of some rows: every number becomes an array."""
    names = [f.name for f in attrs.fields(type(work)) if not isinstance(getattr(work, f.name), str)]
    return attrs.evolve(work, **{name: np.broadcast_to(getattr(work, name), where.shape)[where] for name in names})


def joined(parts: Sequence[Timings]) -> Timings:
    """Return the rows of several stacks together."""

    def every(values: Iterable[Any]) -> Any:
        return np.concatenate(list(values))

    works: list[Any] = [_each(p.work, np.ones(p.count, dtype=bool)) for p in parts]
    names = [f.name for f in attrs.fields(type(works[0])) if not isinstance(getattr(works[0], f.name), str)]
    work = attrs.evolve(works[0], **{name: every(getattr(w, name) for w in works) for name in names})
    columns = {name: every(p.columns[name] for p in parts) for name in parts[0].columns}
    stack = parts[0].stack if len({p.stack for p in parts}) == 1 else ""
    return attrs.evolve(
        parts[0], stack=stack, work=work, measured=every(np.asarray(p.measured) for p in parts), columns=columns
    )


def _gemm(c: Columns, form: str, rate: str) -> Op:
    quantised, narrow = c["includes_act_quant"] > 0, rate not in SIXTEEN_BIT
    read = dtype(form).passed if narrow else ACTIVATION.bytes
    moved = c["n"] * c["k"] * dtype(form).bytes + c["m"] * (c["k"] * read + c["n"] * ACTIVATION.bytes)
    aside = c["m"] * c["k"] * (ACTIVATION.bytes + read) * quantised if narrow else 0.0
    launches = 1.0 + quantised if narrow else 1.0
    return Op(
        "gemm", "gemm", rate, 2 * c["m"] * c["n"] * c["k"], moved, launches, aside, c["k"], form=form, rows=c["m"]
    )


def _attention(c: Columns, form: str, rate: str, *, decoding: bool) -> Op:
    seen = c["past_len"] + c["q_len"]
    pairs = c["batch"] * c["heads"] * attended(c["q_len"], c["past_len"], None)
    cached = c["batch"] * seen * 2 * c["kv_heads"] * c["head_dim"] * dtype(form).bytes
    own = 2 * c["batch"] * c["q_len"] * c["heads"] * c["head_dim"] * ACTIVATION.bytes
    kernel = "attention_decode" if decoding else "attention_prefill"
    items = c["batch"] * (c["kv_heads"] if decoding else c["heads"] * ceil(c["q_len"] / TILE))
    return Op(
        "attention", kernel, rate, 4 * c["head_dim"] * pairs, cached + own, depth=seen, items=items, scores=pairs, form=form
    )  # fmt: skip


def _mla_decode(c: Columns, form: str, rate: str) -> Op:
    pairs = c["batch"] * attended(c["q_len"], c["past_len"], None)
    wide, seen = MLA_KEY + MLA_LATENT, c["past_len"] + c["q_len"]
    cached = c["batch"] * seen * MLA_KEY * dtype(form).bytes
    moved = cached + c["batch"] * c["q_len"] * c["heads"] * wide * ACTIVATION.bytes
    flops = 2 * c["heads"] * pairs * wide
    return Op("attention", "mla_decode", rate, flops, moved, depth=seen, items=c["batch"], form=form)


def _mla_prefill(c: Columns, form: str, rate: str) -> Op:
    seen = c["past_len"] + c["q_len"]
    pairs = c["batch"] * attended(c["q_len"], c["past_len"], None)
    moved = c["batch"] * (seen + c["q_len"]) * c["heads"] * MLA_WIDE * ACTIVATION.bytes
    items = c["batch"] * c["heads"] * ceil(c["q_len"] / TILE)
    flops = 2 * c["heads"] * pairs * MLA_WIDE
    return Op("attention", "mla_prefill", rate, flops, moved, depth=seen, items=items, form=form)


def _moe(c: Columns, form: str, rate: str) -> Op:
    slots, matrices = c["experts"] / c["ep"], c["matrices"]
    rows, width = c["tokens"] * c["topk"] / c["ep"], c["inter"] / c["tp"]
    drawn = expected_distinct(slots, c["topk"] / c["experts"], c["tokens"])
    hit = np.where(c["balanced"] > 0, smaller(slots, larger(rows, 1.0)), drawn)
    passed = ACTIVATION.bytes if rate in SIXTEEN_BIT else dtype(form).passed
    weights = matrices * c["hidden"] * width
    strange = c["tokens"] * c["topk"] - rows
    return Op(
        "experts", "moe", rate, 2 * weights * rows, hit * weights * dtype(form).bytes,
        staging=moe.passes(c["tokens"], rows, c["hidden"], width, passed=passed, into=matrices - 1),
        elsewhere=moe.passes(0.0, strange, c["hidden"], 0.0, passed=passed, into=matrices - 1),
        items=slots, hits=hit, form=form,
    )  # fmt: skip


def _elementwise(c: Columns, form: str, rate: str) -> Op:
    return Op("pass", "elementwise", rate, 0.0 * c["rows"], c["rows"] * c["cols"] * c["each"], form=form)


def _prefill(c: Columns, form: str, rate: str) -> Op:
    return _attention(c, form, rate, decoding=False)


def _decode(c: Columns, form: str, rate: str) -> Op:
    return _attention(c, form, rate, decoding=True)


def _collective(name: str) -> Callable[[Columns, str, str], Message]:
    return lambda c, form, rate: Message(name, name, c["bytes"], c["gpus"])  # noqa: ARG005


def _scattered(c: Columns, form: str, rate: str) -> Message:  # noqa: ARG001
    # What goes out is as narrow as it is stored, what comes back is in 16 bits.
    each = np.where(c["back"] > 0, ACTIVATION.bytes, dtype(form).passed)
    return Message("experts", "dispatch", c["tokens"] * c["hidden"] * each, c["gpus"], copies=c["topk"])


@frozen(eq=False)
class Kind:
    """How rows of one kernel are read: columns of their shape, the column that tells formats apart, and what they do.

    Attributes:
        columns: columns of their shape.
        form: the column that tells formats apart; "" where none does.
        work: makes the operation or message of the rows.
        ways: algorithms that a message may take; empty for kernels.
    """

    columns: tuple[str, ...]
    form: str
    work: Callable[[Columns, str, str], Operation]
    ways: tuple[str, ...] = ()


_SHAPE: Final = ("batch", "q_len", "past_len", "heads", "kv_heads", "head_dim")
_SENT: Final = ("tokens", "hidden", "topk", "gpus")
KINDS: Final[Mapping[str, Kind]] = {
    "gemm": Kind(("m", "n", "k"), "dtype", _gemm),
    "attn_prefill": Kind(_SHAPE, "kv_dtype", _prefill),
    "attn_decode": Kind(_SHAPE, "kv_dtype", _decode),
    "mla_prefill": Kind(_SHAPE[:4], "kv_dtype", _mla_prefill),
    "mla_decode": Kind(_SHAPE[:4], "kv_dtype", _mla_decode),
    "moe_ffn": Kind(("tokens", "hidden", "inter", "topk", "experts", "tp", "ep"), "dtype", _moe),
    "elementwise": Kind(("rows", "cols"), "dtype", _elementwise),
    "nccl_all_reduce": Kind(("gpus", "bytes"), "", _collective("all_reduce"), ("ring", "in_network")),
    "nccl_all_gather": Kind(("gpus", "bytes"), "", _collective("all_gather"), ("gather",)),
    "nccl_reduce_scatter": Kind(("gpus", "bytes"), "", _collective("all_gather"), ("gather",)),
    "nccl_alltoall": Kind(("gpus", "bytes"), "", _collective("all_to_all"), ("all_to_all",)),
    "custom_all_reduce": Kind(("gpus", "bytes"), "", _collective("all_reduce"), ("one_shot", "two_shot")),
    "dispatch_low_latency": Kind(_SENT, "dtype", _scattered, ("low_latency",)),
    "combine_low_latency": Kind(_SENT, "dtype", _scattered, ("low_latency",)),
    "dispatch_throughput": Kind(_SENT, "dtype", _scattered, ("throughput",)),
    "combine_throughput": Kind(_SENT, "dtype", _scattered, ("throughput",)),
}  # fmt: skip
"""Kernels by the name in their rows."""


@frozen(eq=False)
class Reading:
    """The timings in rows, by kernel, format and stack, and how many were left aside, by reason.

    Attributes:
        timings: the timings, by kernel, format and stack.
        aside: rows that were left aside, by reason.
    """

    timings: tuple[Timings, ...]
    aside: Mapping[str, int]


def read(rows: Iterable[Mapping[str, str]], chip: Chip, file: str = "rows") -> Reading:
    """Return the timings in rows of one chip, by kernel, format and stack.

    Left aside, and counted by reason: formats none of whose rates the chip has, products whose
    weights and caches whose tokens stay on the chip from one run to the next, experts that got uneven numbers of tokens.

    Raises:
        DescriptorError: a column is missing, a number is no positive number, or a kernel or format is not known.
    """
    groups: dict[tuple[str, str, str], list[Sequence[float]]] = {}
    aside: Counter[str] = Counter()
    for i, row in enumerate(rows):
        place = f"{file}: row {i + 1}"
        name = _kernel(row, place)
        why = _rejection(row, name)
        if why:
            aside[why] += 1
            continue
        kind = KINDS[name]
        dtype = _format(row, kind)
        numbers = [_number(row, column, place) for column in (*kind.columns, "measured_us")]
        columns = (
            float((row.get("includes_act_quant") or "1") != "0"),
            float(row.get("distribution") == "balanced"),
            PASSES.get(row.get("kernel") or "", 2 * float(ACTIVATION.bytes)),
            float(name.startswith("combine")),
            float(row.get("l2_hot_weights") == "0"),
            _number(row, "matrices", place) if row.get("matrices") else 3.0,
        )
        form = dtype
        groups.setdefault((name, SAME.get(form, form), _stack(row)), []).append((*numbers, *columns))
    try:
        out = [_timed(key, listed, chip, aside) for key, listed in groups.items()]
    except QuestionError as error:
        raise DescriptorError(f"{file}: {error}") from None
    return Reading(tuple(each for each in out if each is not None and each.count), dict(aside))


def _format(row: Mapping[str, str], kind: Kind) -> str:
    """Return the format that tells a row's kernel apart; of a narrow cache that is widened and multiplied in 16 bits, as of weights."""
    stated, multiplied = (
        NAMES.get(text, text) for text in (row.get(kind.form) or row.get("dtype") or "", row.get("dtype") or "")
    )
    if kind.form != "kv_dtype" or stated in SIXTEEN_BIT or stated not in DTYPES:
        return stated if kind.form else ""
    return stated if multiplied == stated else "w8a16" if dtype(stated).bytes >= 1 else "w4a16"


def _kernel(row: Mapping[str, str], place: str) -> str:
    given = (row.get("kernel") or "gemm").partition(":")[0]
    if given in KINDS:
        return given
    if row.get("rows"):
        return "elementwise"
    raise DescriptorError(fault(f"{place}: kernel", given, "unknown kernel", near(given, KINDS, "kernels")))


def _rejection(row: Mapping[str, str], name: str) -> str:
    """Return why a row cannot be used in the fit; "" if it can."""
    if row.get("l2_hot_weights") == "1":
        return "weights that stay in the cache from one run to the next" if name == "gemm" else _STAYS
    if name == "moe_ffn" and row.get("distribution") not in (None, "", "balanced", "uniform"):
        return "experts that got uneven numbers of tokens"
    return "launches without a graph" if "eager" in (row.get("kernel") or "") else ""


def _stack(row: Mapping[str, str]) -> str:
    """Return the software stack that a row names, in a column of its own or as a part of its source."""
    label = row.get("stack") or f"{row.get('kernel') or ''}/{row.get('source') or ''}"
    words = label.lower().replace(":", "/").replace("_", "/").split("/")
    return next((stack for stack in STACKS if stack in words), "")


def _timed(key: tuple[str, str, str], listed: Any, chip: Chip, aside: Counter[str]) -> Timings | None:
    name, form, stack = key
    kind, table = KINDS[name], np.array(listed, dtype=np.float64).T
    names = (*kind.columns, "measured", "includes_act_quant", "balanced", "each", "back", "cold", "matrices")
    columns = dict(zip(names, table, strict=True))
    if kind.form == "dtype" and not kind.ways:
        rate = dtype(form).rate(chip.peak)
    else:
        wide = next((r for r in SIXTEEN_BIT if r in chip.peak), None)
        # Weights widened in the kernel, or a cache, are distinguished by "w8a16"; a narrow one is multiplied as it is.
        rate = wide if not kind.form or form in SIXTEEN_BIT else _multiplied(form, chip)
    if rate is None:
        aside[f"{form}, which {chip.name} cannot multiply"] += len(listed)
        return None
    work = kind.work(columns, form, rate)
    kernel = work.kernel if isinstance(work, Op) else work.collective
    timed = Timings(kernel, "" if kind.ways else form, stack, work, columns["measured"] * MICRO, kind.ways, columns)
    cold = timed.select(~_cache_resident(timed, chip, aside))
    # Every other row is marked: those are kept for the check.
    return attrs.evolve(cold, columns={**cold.columns, "check": np.arange(cold.count, dtype=np.float64) % 2})


def _multiplied(form: str, chip: Chip) -> str | None:
    """Return the rate at which a chip multiplies a cache: its format's own, or, widened, 16 bits."""
    own = dtype(form).rates[0]
    return own if own in chip.peak else None


def _cache_resident(timed: Timings, chip: Chip, aside: Counter[str]) -> NDArray[np.bool_]:
    """Return which rows read a cache of tokens that stayed on the chip from the run before, unless they say that it did not."""
    if timed.kernel not in ("attention_decode", "mla_decode"):
        return np.zeros(timed.count, dtype=bool)
    capacity = next((fact.value for fact in chip.facts if fact.path == "chip.cache.capacity"), 0.0)
    moved = np.asarray(timed.work.bytes if isinstance(timed.work, Op) else 0.0)
    warm: NDArray[np.bool_] = (
        (moved > _RESIDENT[0] * capacity) & (moved < _RESIDENT[1] * capacity) & (timed.columns["cold"] == 0)
    )
    if warm.any():
        aside[_STAYS] += int(warm.sum())
    return warm


def _number(row: Mapping[str, str], name: str, place: str) -> float:
    text = row.get(name)
    if text is None or not str(text).strip():
        raise DescriptorError(f"{place}: {name}: is missing; every row of this kernel needs it")
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    low, high = _TIMES if name == "measured_us" else (0.0, _GREATEST)
    if not (low <= value <= high and (value > 0 or name == "past_len")):
        rule = (
            f"must be a time of {low:g} to {high:g}"
            if name == "measured_us"
            else f"must be a number above 0 and at most {high:g}"
        )
        raise DescriptorError(fault(f"{place}: {name}", text, rule))
    return value
