"""One forward pass as one rank sees it, and the works that every kind of layer is made of."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from roofline.architecture import Model
from roofline.arrays import ceil, smaller
from roofline.dtypes import dtype
from roofline.errors import QuestionError, fault
from roofline.hardware import Chip
from roofline.layout import Layout
from roofline.units import GIGA, Bytes, Count, Num, Ratio
from roofline.work import Message, Op
from roofline.workload import Decode, Prefill

ACTIVATION: Final = dtype("bf16")
"""Activations travel between kernels and ranks in 16 bits."""

SIXTEEN_BIT: Final = ("bf16", "fp16", "fp32", "tf32")
"""Rates whose input needs no quantisation first."""


@frozen
class Matrix:
    """A weight matrix of ``inputs`` x ``outputs``, and how tensor parallelism cuts it.

    Attributes:
        component: which part of the model it belongs to (:data:`roofline.architecture.COMPONENTS`).
        split: ``"outputs"`` (column parallel), ``"inputs"`` (row parallel) or ``""``: a copy on every rank.
        units: heads or other indivisible units along the cut; more ranks than units hold copies.
        biases: bias elements beside the matrix.
    """

    name: str
    component: str
    inputs: int
    outputs: int
    split: str = ""
    units: int = int(GIGA)
    biases: int = 0

    @property
    def elements(self) -> int:
        """Parameters: inputs x outputs + biases."""
        return self.inputs * self.outputs + self.biases

    def share(self, tp: Count) -> Ratio:
        """Return the part of the matrix that one of ``tp`` ranks holds: ``1 / min(tp, units)``, or 1 if it is not cut."""
        return 1.0 / smaller(tp, float(self.units)) if self.split else 1.0


@frozen(eq=False)
class Pass:
    """One forward pass through the model as one rank sees it.

    Attributes:
        sequences: sequences on the rank (shared with its tensor peers), of one pipeline micro-batch.
        group_sequences: sequences of all attention-data-parallel ranks of its stage.
        new: tokens of each sequence that pass through; ``past``: tokens it already holds.
        decoding: new tokens attend over a cache (else over a prompt).
    """

    model: Model
    layout: Layout
    chip: Chip
    sequences: Count
    group_sequences: Count
    new: Count
    past: Count
    decoding: bool

    @property
    def tokens(self) -> Count:
        """Tokens that pass through the rank."""
        return self.sequences * self.new

    @property
    def group_tokens(self) -> Count:
        """Tokens that pass through the stage: what its experts share."""
        return self.group_sequences * self.new

    @property
    def resident(self) -> Count:
        """Tokens between tensor-parallel regions on one rank: cut by tp under sequence parallelism."""
        return self.tokens / self.layout.tp if self.layout.sequence_parallel else self.tokens

    @property
    def sixteen(self) -> str:
        """The chip's 16-bit rate: attention multiplies in it, a narrow cache is widened first."""
        return next((rate for rate in SIXTEEN_BIT if rate in self.chip.peak), next(iter(self.chip.peak)))

    def stored(self, component: str) -> Bytes:
        """Return the bytes of one stored element of a component."""
        return dtype(getattr(self.model.formats, component)).bytes

    def rate(self, component: str) -> str:
        """Return the chip's rate at which a component's matrices multiply.

        Raises:
            QuestionError: the chip has no rate that can.
        """
        name: str = getattr(self.model.formats, component)
        rate = dtype(name).rate(self.chip.peak)
        if rate is None:
            rule = f"{self.chip.name} cannot multiply it: it has {', '.join(self.chip.peak)}"
            raise QuestionError(fault("dtype", name, rule, "ask for one of those with dtype="))
        return rate


def one_pass(question: Prefill | Decode, layout: Layout, chip: Chip) -> Pass:
    """Return the pass that a question asks of one rank: batches are spread evenly and the fullest rank counts."""
    model, batch = question.model, question.batch
    if isinstance(question, Prefill):
        new, past, lanes, decoding = question.input - question.cached, question.cached, layout.replicas, False
    else:
        # In steady state each pipeline stage works on a micro-batch of its own.
        new, past, lanes, decoding = question.draft_tokens + 1, question.context, layout.replicas * layout.pp, True
    return Pass(
        model, layout, chip,
        sequences=ceil(batch / (lanes * layout.dp)), group_sequences=ceil(batch / lanes),
        new=new, past=past, decoding=decoding,
    )  # fmt: skip


def gemm(p: Pass, name: str, *matrices: Matrix, tokens: Count | None = None, output: Bytes | None = None) -> Op:
    """Return the product of ``tokens`` rows with matrices that share their input, fused in one kernel.

    ``F = 2 M sum(K N)``; ``B = sum(K N) w + M K a + M sum(N) o``, cut by tensor parallelism; where the input is
    quantised first, that is one more launch and one more pass over it.
    """
    first, tp = matrices[0], p.layout.tp
    rows = p.tokens if tokens is None else tokens
    rate, width, element = p.rate(first.component), p.stored(first.component), ACTIVATION.bytes
    held = sum((m.elements * m.share(tp) for m in matrices), start=0.0)
    flops = sum((2.0 * m.inputs * m.outputs * m.share(tp) for m in matrices), start=0.0)
    inputs = first.inputs * (first.share(tp) if first.split == "inputs" else 1.0)
    outputs = sum((m.outputs * (m.share(tp) if m.split == "outputs" else 1.0) for m in matrices), start=0.0)
    quantised = rate not in SIXTEEN_BIT
    # Read in 16 bits and written narrow by the quantising kernel, then read narrow by the product.
    read = element + 2 * width if quantised else element
    return Op(
        name, "gemm", rate,
        flops=rows * flops,
        bytes=held * width + rows * (inputs * read + outputs * (element if output is None else output)),
        launches=2.0 if quantised else 1.0,
    )  # fmt: skip


def elementwise(p: Pass, name: str, elements: Count, launches: float = 1.0) -> Op:
    """Return a kernel that reads and writes ``elements`` activations in all."""
    return Op(name, "elementwise", p.sixteen, flops=0.0, bytes=elements * ACTIVATION.bytes, launches=launches)


def norm(p: Pass, name: str = "norm") -> Op:
    """Return a normalisation fused with the residual sum: two streams read, two written."""
    return elementwise(p, name, 4 * p.resident * p.model.hidden)


def reduced(p: Pass, name: str) -> tuple[Message, ...]:
    """Return the messages that add up a row-parallel product over the tensor peers."""
    size, tp = p.tokens * p.model.hidden * ACTIVATION.bytes, p.layout.tp
    if p.layout.sequence_parallel:
        return Message(f"{name} scatter", "reduce_scatter", size, tp), Message(f"{name} gather", "all_gather", size, tp)
    return (Message(f"{name} reduce", "all_reduce", size, tp),)


def attended(new: Count, past: Count, window: int | None) -> Num:
    """Return the (query, key) pairs of one sequence: query i of ``new`` sees ``past + i`` keys, at most ``window``.

    >>> float(attended(3.0, 10.0, None)), float(attended(3.0, 10.0, 12))
    (36.0, 35.0)
    """
    if window is None:
        return new * past + new * (new + 1) / 2
    growing = smaller((window > past) * (window - past), new)
    return growing * past + growing * (growing + 1) / 2 + (new - growing) * window


def held(tokens: Count, window: int | None) -> Count:
    """Return how many of a sequence's tokens an attention layer keeps: all, or its window."""
    return tokens if window is None else smaller(tokens, float(window))
