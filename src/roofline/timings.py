"""Measured kernels as works: rows of simple columns, and the operations they timed.

A row says what a kernel was given and how long it took. The columns are those of the tables in which kernels are published:

=================  ======================================================================================
``gemm``           ``m n k``: (m, k) activations times (k, n) weights
``attn_prefill``   ``batch q_len past_len heads kv_heads head_dim``, and ``kv_dtype`` of the cache
``attn_decode``    the same, one new token each
``mla_prefill``    ``batch q_len past_len heads``: keys and values expanded to 192 and 128 a head
``mla_decode``     the same: 576 cached elements a token for all heads, which are absorbed
``moe_ffn``        ``tokens hidden inter topk experts tp ep``: what one rank does of a gated mixture
others             ``rows cols``: one pass over a matrix
=================  ======================================================================================

with ``kernel``, ``dtype`` and ``measured_us`` in each. What an operation moves and multiplies is counted as
:mod:`roofline.transformer` counts it, so that constants fitted here serve there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.arrays import ceil, expected_distinct, larger
from roofline.dtypes import dtype
from roofline.errors import DescriptorError, QuestionError, fault, near
from roofline.transformer.flow import ACTIVATION, SIXTEEN_BIT, TILE, attended
from roofline.units import MICRO, Seconds
from roofline.work import Op

NAMES: Final[Mapping[str, str]] = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "fp8_block": "fp8-block", "float8": "fp8", "bf16->fp8": "bf16",
}  # fmt: skip
"""Other spellings of formats."""

MLA_KEY: Final = 576
MLA_LATENT: Final = 512
MLA_WIDE: Final = 192 + 128

Columns = Mapping[str, NDArray[np.float64]]


@frozen(eq=False)
class Timings:
    """Kernels of one class at one rate, timed on one chip.

    Attributes:
        kernel: class, a key of :data:`roofline.calibration.KERNELS`.
        form: format the class tells apart: of weights, or of the cache.
        op: what was done, an array for all rows.
        measured: time of each.
    """

    kernel: str
    form: str
    op: Op
    measured: Seconds

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(np.size(self.measured))

    def select(self, where: NDArray[np.bool_]) -> Timings:
        """Return some of the rows."""
        op = self.op
        cut = {
            n: np.broadcast_to(getattr(op, n), where.shape)[where]
            for n in ("flops", "bytes", "launches", "extent", "items")
        }
        return Timings(
            self.kernel,
            self.form,
            Op(op.name, op.kernel, op.rate, **cut, form=op.form),
            np.asarray(self.measured)[where],
        )


def _gemm(c: Columns, form: str, rate: str) -> Op:
    quantised = rate not in SIXTEEN_BIT
    read = ACTIVATION.bytes + (2 * dtype(form).passed if quantised else 0.0)
    moved = c["n"] * c["k"] * dtype(form).bytes + c["m"] * (c["k"] * read + c["n"] * ACTIVATION.bytes)
    return Op("gemm", "gemm", rate, 2 * c["m"] * c["n"] * c["k"], moved, 2.0 if quantised else 1.0, form=form)


def _attention(c: Columns, form: str, rate: str, *, decoding: bool) -> Op:
    seen = c["past_len"] + c["q_len"]
    pairs = c["batch"] * attended(c["q_len"], c["past_len"], None)
    cached = c["batch"] * seen * 2 * c["kv_heads"] * c["head_dim"] * dtype(form).bytes
    own = 2 * c["batch"] * c["q_len"] * c["heads"] * c["head_dim"] * ACTIVATION.bytes
    kernel = "attention_decode" if decoding else "attention_prefill"
    items = c["batch"] * (c["kv_heads"] if decoding else c["heads"] * ceil(c["q_len"] / TILE))
    return Op(
        "attention", kernel, rate, 4 * c["head_dim"] * c["heads"] * pairs, cached + own, 1.0, seen, items, form=form
    )


def _mla_decode(c: Columns, form: str, rate: str) -> Op:
    pairs = c["batch"] * attended(c["q_len"], c["past_len"], None)
    wide = MLA_KEY + MLA_LATENT
    cached = c["batch"] * (c["past_len"] + c["q_len"]) * MLA_KEY * dtype(form).bytes
    moved = cached + c["batch"] * c["q_len"] * c["heads"] * wide * ACTIVATION.bytes
    return Op("attention", "mla_decode", rate, 2 * c["heads"] * pairs * wide, moved, form=form)


def _mla_prefill(c: Columns, form: str, rate: str) -> Op:
    seen = c["past_len"] + c["q_len"]
    pairs = c["batch"] * attended(c["q_len"], c["past_len"], None)
    moved = c["batch"] * (seen + c["q_len"]) * c["heads"] * MLA_WIDE * ACTIVATION.bytes
    items = c["batch"] * c["heads"] * ceil(c["q_len"] / TILE)
    return Op("attention", "mla_prefill", rate, 2 * c["heads"] * pairs * MLA_WIDE, moved, 1.0, seen, items, form=form)


def _moe(c: Columns, form: str, rate: str) -> Op:
    element, slots = ACTIVATION.bytes, c["experts"] / c["ep"]
    rows, width = c["tokens"] * c["topk"] / c["ep"], c["inter"] / c["tp"]
    hit = expected_distinct(slots, c["topk"] / c["experts"], c["tokens"])
    row = c["hidden"] * (element if rate in SIXTEEN_BIT else dtype(form).passed)
    weights = 3 * c["hidden"] * width
    moved = hit * weights * dtype(form).bytes + rows * (row + (c["hidden"] + 6 * width) * element)
    return Op("experts", "moe", rate, 2 * weights * rows, moved, form=form)


def _elementwise(c: Columns, form: str, rate: str) -> Op:
    return Op("pass", "elementwise", rate, 0.0 * c["rows"], 2 * c["rows"] * c["cols"] * ACTIVATION.bytes, form=form)


def _prefill(c: Columns, form: str, rate: str) -> Op:
    return _attention(c, form, rate, decoding=False)


def _decode(c: Columns, form: str, rate: str) -> Op:
    return _attention(c, form, rate, decoding=True)


_SHAPE: Final = ("batch", "q_len", "past_len", "heads", "kv_heads", "head_dim")
KINDS: Final[Mapping[str, tuple[tuple[str, ...], str, Callable[[Columns, str, str], Op]]]] = {
    "gemm": (("m", "n", "k"), "dtype", _gemm),
    "attn_prefill": (_SHAPE, "kv_dtype", _prefill),
    "attn_decode": (_SHAPE, "kv_dtype", _decode),
    "mla_prefill": (_SHAPE[:4], "kv_dtype", _mla_prefill),
    "mla_decode": (_SHAPE[:4], "kv_dtype", _mla_decode),
    "moe_ffn": (("tokens", "hidden", "inter", "topk", "experts", "tp", "ep"), "dtype", _moe),
    "elementwise": (("rows", "cols"), "dtype", _elementwise),
}
"""Kernels by the name in their rows: columns of their shape, the column that tells formats apart, and what they do."""


def timings(rows: Iterable[Mapping[str, str]], peaks: Mapping[str, Any], file: str = "rows") -> tuple[Timings, ...]:
    """Return the timings in rows, by kernel and format; a format none of whose rates a chip has is left out.

    Raises:
        DescriptorError: a column is missing, a number is no positive number, or a kernel or format is not known.
    """
    groups: dict[tuple[str, str], list[Sequence[float]]] = {}
    for i, row in enumerate(rows):
        kernel = row.get("kernel") or "gemm"
        kind = kernel if kernel in KINDS else "elementwise" if row.get("rows") else ""
        if not kind:
            raise DescriptorError(
                fault(f"{file}: row {i + 1}: kernel", kernel, "unknown kernel", near(kernel, KINDS, "kernels"))
            )
        columns, told, _ = KINDS[kind]
        form = row.get(told) or row.get("dtype") or ""
        numbers = [_number(row, name, file, i) for name in (*columns, "measured_us")]
        groups.setdefault((kind, NAMES.get(form, form)), []).append(numbers)
    out = []
    for (kind, form), listed in groups.items():
        try:
            rate = (
                dtype(form).rate(peaks)
                if KINDS[kind][1] == "dtype"
                else next((r for r in SIXTEEN_BIT if r in peaks), None)
            )
        except QuestionError as error:
            raise DescriptorError(f"{file}: {error}") from None
        if rate is None:
            continue
        table = np.array(listed, dtype=np.float64).T
        columns, _, count = KINDS[kind]
        op = count(dict(zip(columns, table, strict=False)), form, rate)
        out.append(Timings(op.kernel, form, op, larger(table[-1] * MICRO, 0.0)))
    return tuple(out)


def _number(row: Mapping[str, str], name: str, file: str, i: int) -> float:
    text = row.get(name)
    if text is None or not str(text).strip():
        raise DescriptorError(f"{file}: row {i + 1}: {name}: is missing; every row of this kernel needs it")
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not (np.isfinite(value) and value >= 0 and (value > 0 or name == "past_len")):
        raise DescriptorError(fault(f"{file}: row {i + 1}: {name}", text, "must be a finite number above 0"))
    return value
