"""One forward pass as one rank sees it, and the operations that every kind of layer is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

from attrs import evolve, frozen

from roofline.core.arrays import ceil, floor, larger, pick, smaller
from roofline.core.errors import QuestionError, fault
from roofline.core.units import GIGA, Bytes, Count, Num, Ratio
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import Chip
from roofline.models.architecture import Model
from roofline.models.dtypes import dtype
from roofline.operators.operations import Message, Module, Op, Role
from roofline.workload.layout import Layout
from roofline.workload.questions import Mixed, Pass, Prefill, TrainStep

ACTIVATION: Final = dtype("bf16")
"""Activations travel between kernels and ranks in 16 bits."""

TILE: Final = 128
"""Queries that one core takes at a time in attention over a prompt."""

SIXTEEN_BIT: Final = ("bf16", "fp16", "fp32", "tf32")
"""Rates whose input needs no quantisation first."""


_MODULES: Final[Mapping[str, Module]] = {
    "embedding": "embedding", "attention": "attention", "recurrent": "attention", "dense": "mlp", "router": "router",
    "experts": "experts", "shared": "shared", "residual": "residual", "norm": "norm", "head": "head", "mtp": "draft",
}  # fmt: skip
"""The module that the matrices of a component belong to."""


@frozen
class Matrix:
    """A weight matrix of ``inputs`` x ``outputs``, or ``blocks`` of them side by side, and how tensor parallelism cuts it.

    Attributes:
        name: label for people.
        component: which part of the model it belongs to (:data:`roofline.models.architecture.COMPONENTS`).
        inputs: elements of a row before it.
        outputs: elements of a row after it.
        split: ``"outputs"`` (column parallel), ``"inputs"`` (row parallel) or ``""``: a copy on every rank.
        units: heads or other indivisible units along the cut; more ranks than units hold copies.
        biases: bias elements beside the matrix.
        blocks: equal matrices, one a head, each with inputs and outputs of its own.
    """

    name: str
    component: str
    inputs: int
    outputs: int
    split: str = ""
    units: int = int(GIGA)
    biases: int = 0
    blocks: int = 1

    @property
    def elements(self) -> int:
        """Parameters: blocks x inputs x outputs + biases."""
        return self.blocks * self.inputs * self.outputs + self.biases

    def share(self, tp: Count) -> Ratio:
        """Return the part of the matrix that one of ``tp`` ranks holds: ``1 / min(tp, units)``, or 1 if it is not cut."""
        return 1.0 / smaller(tp, float(self.units)) if self.split else 1.0


@frozen(eq=False)
class Stream:
    """Sequences that go through a pass in one way.

    Attributes:
        sequences: sequences on the fullest attention rank (shared with its tensor peers).
        group: sequences of all ranks of its stage.
        new: tokens of each that pass through.
        past: tokens that each already holds.
        logits: positions of each whose logits are wanted.
        decoding: new tokens attend over a cache (else over a prompt).
        sharing: context-parallel ranks that share a sequence, each with ``new`` tokens of it at an early and a late place.
    """

    sequences: Count
    group: Count
    new: Count
    past: Count
    logits: Count
    decoding: bool
    sharing: Count = 1.0

    @property
    def tokens(self) -> Count:
        """Tokens on the fullest attention rank."""
        return self.sequences * self.new

    def pairs(self, window: int | None, *, in_chunks: bool = False) -> Num:
        """Return the (query, key) pairs of one sequence that this rank has: its even share of those of all that share it."""
        new = self.sharing * self.new
        past = self.past - (new - self.new) / 2
        if in_chunks and window is not None:
            return chunked(new, past, window) / self.sharing
        return attended(new, past, window) / self.sharing


@frozen(eq=False, slots=False)
class Flow:
    """One forward pass through the model as one rank sees it: a decode step, prompts, or both.

    Attributes:
        model: the model.
        layout: how it is split.
        chip: the chip of a rank.
        streams: sequences that pass through, by the way in which they do.
        imbalance: tokens of the fullest expert shard over the mean of all; None for the law of even routing.
        narrow: formats of a cache that attention multiplies as they are stored; others are widened to 16 bits.
        index: format of the scores of sparse attention's index, where the chip multiplies it.
    """

    model: Model
    layout: Layout
    chip: Chip
    streams: tuple[Stream, ...]
    imbalance: Count | None = None
    narrow: tuple[str, ...] = ()
    index: str = "fp8"

    @cached_property
    def tokens(self) -> Count:
        """Tokens that pass through the fullest rank."""
        return total(stream.tokens for stream in self.streams)

    @cached_property
    def group_tokens(self) -> Count:
        """Tokens that pass through the stage: what its experts share."""
        return total(stream.group * stream.new for stream in self.streams)

    @cached_property
    def rows(self) -> Count:
        """Positions on the fullest rank whose logits are wanted."""
        return total(stream.sequences * stream.logits for stream in self.streams)

    @property
    def resident(self) -> Count:
        """Tokens between tensor-parallel regions on one rank: cut by tp under sequence parallelism."""
        return self.tokens / self.layout.tp if self.layout.sequence_parallel else self.tokens

    @cached_property
    def sixteen(self) -> str:
        """The chip's 16-bit rate."""
        return next((rate for rate in SIXTEEN_BIT if rate in self.chip.peak), next(iter(self.chip.peak)))

    @cached_property
    def attention(self) -> str:
        """The rate at which attention multiplies: that of a narrow cache where the engine's kernels do, else 16 bits."""
        stored: str = self.model.formats.kv
        own = dtype(stored).rates[0]
        return own if stored in self.narrow and own in self.chip.peak else self.sixteen

    def stored(self, component: str) -> Bytes:
        """Return the bytes of one stored element of a component."""
        return self.model.formats.bytes(component)

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

    def form(self, component: str, rate: str) -> str:
        """Return the format that a component's kernels are distinguished by: as it is stored, or as it was before it was widened."""
        name: str = getattr(self.model.formats, component)
        stored = dtype(name)
        if rate in SIXTEEN_BIT and stored.bytes < ACTIVATION.bytes:
            return "w4a16" if stored.bytes < 1 else "w8a16"
        return stored.plain if rate == stored.rates[0] else ""

    def passed(self, component: str) -> Bytes:
        """Return the bytes of an activation as a component's matrices take it: quantised where their rate is narrow."""
        return (
            ACTIVATION.bytes
            if self.rate(component) in SIXTEEN_BIT
            else dtype(getattr(self.model.formats, component)).passed
        )

    @cached_property
    def _kernels(self) -> dict[tuple[str, str | None], tuple[str, Bytes, Bytes, str]]:
        return {}

    def multiplied(self, component: str, rate: str | None) -> tuple[str, Bytes, Bytes, str]:
        """Return how matrices of a component are multiplied, at a rate given or at their own.

        Returns:
            The rate, the bytes of an element of theirs and of their input, and the format their kernels are distinguished by.
        """
        found = self._kernels.get((component, rate))
        if found is None:
            speed = self.rate(component) if rate is None else rate
            width = self.stored(component) if rate is None else ACTIVATION.bytes
            read = ACTIVATION.bytes if speed in SIXTEEN_BIT else self.passed(component)
            found = self._kernels[component, rate] = speed, width, read, self.form(component, speed)
        return found


def total(values: Iterable[Num]) -> Num:
    """Return the sum of numbers."""
    left = iter(values)
    return sum(left, start=next(left, 0.0))


def _fullest(batch: Count, layout: Layout, lanes: Count) -> tuple[Count, Count]:
    """Return the sequences on the fullest attention rank, and on all ranks of its stage.

    ``lanes`` replicas (and micro-batches of a pipeline) serve on their own and share the batch evenly on average; inside
    one, attention ranks work in lock-step, so the fullest sets the pace. Whatever is busy holds one sequence at least.
    """
    group = larger(batch / lanes, (batch > 0) * 1.0)
    return pick(layout.dp > 1, ceil(group / layout.dp), group), group


def flow(question: Pass, layout: Layout, chip: Chip, engine: Engine | None = None) -> Flow:
    """Return the pass that a question asks of one rank.

    In steady state each pipeline stage works on a micro-batch of its own, so a decode step takes the batch in ``pp`` parts.
    """
    model, streams = question.model, []
    if isinstance(question, Prefill):
        mine, group = _fullest(question.batch, layout, layout.replicas)
        streams.append(Stream(mine, group, question.input - question.cached, question.cached, 1.0, decoding=False))
    else:
        mine, group = _fullest(question.batch, layout, layout.replicas * layout.pp)
        new = question.draft_tokens + 1
        streams.append(Stream(mine, group, new, question.context, new, decoding=True))
    if isinstance(question, Mixed):
        streams.append(
            Stream(
                question.prompts, question.prompts * question.busy, question.chunk, question.past, 1.0, decoding=False
            )
        )
    narrow, index = ((), "fp8") if engine is None else (engine.attention, engine.index)
    return Flow(model, layout, chip, tuple(streams), question.imbalance, narrow, index)


def micro_batch(question: TrainStep, layout: Layout, chip: Chip) -> Flow:
    """Return the forward pass of one micro-batch, as one of ``tp cp`` ranks that share its sequences sees it.

    A context-parallel rank has ``n = D / cp`` tokens of each document of D, and on average ``(D - n) / 2`` of the others' before
    them; of the pairs, D (D + 1) / 2 where all are seen, it has its even share, as ranks with an early and a late part have.
    """
    length = question.seq_len if question.document is None else smaller(question.document, question.seq_len)
    sequences, new = question.micro_batch * question.seq_len / length, length / layout.cp
    shared = evolve(layout, etp=layout.tp if layout.etp is None else layout.etp) if question.model.experts else layout
    stream = Stream(
        sequences,
        sequences * shared.sharing / layout.tp,
        new,
        (length - new) / 2,
        new,
        decoding=False,
        sharing=layout.cp,
    )
    return Flow(question.model, shared, chip, (stream,), question.imbalance)


def gemm(
    p: Flow, name: str, *matrices: Matrix, tokens: Count | None = None, rate: str | None = None, module: Module | None = None,
    role: Role = "", stages: Count = 1.0,
) -> Op:  # fmt: skip
    """Return the product of ``tokens`` rows with matrices that share their input, fused in one kernel.

    ``F = 2 M sum(K N)``; ``B = sum(K N) w + M K a + M sum(N) a``, cut by tensor parallelism; where the input is quantised
    first, that is one more launch and a pass of its own over it. At a ``rate`` given, weights and input are widened to 16 bits.
    All of some pipeline ``stages`` wait for a product that one of them does.
    """
    first, tp, element = matrices[0], p.layout.tp, ACTIVATION.bytes
    rows = p.tokens if tokens is None else tokens
    speed, width, read, form = p.multiplied(first.component, rate)
    parts = [(m, m.share(tp)) for m in matrices]
    share = parts[0][1]
    elements = total([m.elements * part for m, part in parts])
    products = total([2.0 * m.blocks * m.inputs * m.outputs * part for m, part in parts])
    once = total([2.0 * m.blocks * m.inputs * m.outputs / tp for m in matrices])
    inputs = first.blocks * first.inputs * (share if first.split == "inputs" or first.blocks > 1 else 1.0)
    outputs = total([m.blocks * m.outputs * (part if m.split == "outputs" else 1.0) for m, part in parts])
    quantised = speed not in SIXTEEN_BIT
    return Op(
        name, "gemm", speed,
        flops=rows * products,
        bytes=elements * width + rows * (inputs * read + outputs * element),
        launches=2.0 if quantised else 1.0,
        # Read in 16 bits and written narrow by the quantising kernel.
        staging=rows * inputs * (element + read) if quantised else 0.0,
        depth=first.inputs * (share if first.split == "inputs" else 1.0),
        # What tensor peers repeat is no progress.
        useful=once / products / stages,
        form=form,
        weights=elements,
        rows=rows,
        inputs=inputs,
        outputs=outputs,
        # Under sequence parallelism a rank keeps its part of what its peers gather for the product.
        kept=inputs * read / tp if p.layout.sequence_parallel and first.split != "inputs" else inputs * read,
        module=_MODULES[first.component] if module is None else module,
        role=role,
    )  # fmt: skip


def elementwise(
    p: Flow, name: str, elements: Count, launches: Count = 1.0, kept: Count = 0.0, *, module: Module, role: Role = "",
) -> Op:  # fmt: skip
    """Return a pass that reads and writes ``elements`` activations in all, ``kept`` of them for its gradients."""
    return Op(
        name, "elementwise", p.sixteen, flops=0.0, bytes=elements * ACTIVATION.bytes, launches=launches,
        rows=kept, kept=ACTIVATION.bytes, module=module, role=role, fusable=1.0,
    )  # fmt: skip


def norms(p: Flow, count: int = 1) -> tuple[Op, ...]:
    """Return the ``count`` normalisations of a block, each fused with the residual sum: two streams read, two written."""
    if not count:
        return ()
    elements = count * p.resident * p.model.hidden
    return (elementwise(p, "norm", 4 * elements, launches=float(count), kept=elements, module="norm"),)


def tensor_reduce(p: Flow, name: str, module: Module) -> tuple[Message, ...]:
    """Return the messages that add up a row-parallel product over the tensor peers."""
    size, tp = p.tokens * p.model.hidden * ACTIVATION.bytes, p.layout.tp
    if p.layout.sequence_parallel:
        scatter = Message(f"{name} scatter", "reduce_scatter", size, tp, module=module)
        return scatter, Message(f"{name} gather", "all_gather", size, tp, module=module)
    return (Message(f"{name} reduce", "all_reduce", size, tp, module=module),)


def attended(new: Count, past: Count, window: int | None) -> Num:
    """Return the (query, key) pairs of one sequence: query i of ``new`` sees ``past + i`` keys, at most ``window``.

    >>> float(attended(3.0, 10.0, None)), float(attended(3.0, 10.0, 12))
    (36.0, 35.0)
    """
    if window is None:
        return new * past + new * (new + 1) / 2
    growing = smaller((window > past) * (window - past), new)
    return growing * past + growing * (growing + 1) / 2 + (new - growing) * window


def chunked(new: Count, past: Count, chunk: int) -> Num:
    """Return the (query, key) pairs where a query sees only its own chunk, those before it: a sum of triangles.

    >>> float(chunked(6.0, 0.0, 4)), float(chunked(1.0, 4.0, 4))
    (13.0, 1.0)
    """
    return _triangles(past + new, chunk) - _triangles(past, chunk)


def _triangles(tokens: Count, chunk: int) -> Num:
    whole = floor(tokens / chunk)
    rest = tokens - whole * chunk
    return whole * (chunk * (chunk + 1) / 2) + rest * (rest + 1) / 2


def cached_tokens(tokens: Count, window: int | None) -> Count:
    """Return how many of a sequence's tokens an attention layer keeps: all, or its window."""
    return tokens if window is None else smaller(tokens, float(window))
