"""Operations of one rank (``Op``) and messages of a collective (``Message``).

What an operation belongs to, in which pass it runs and whether it is recomputation are fields. ``name`` is a label for people: nothing
reads it to decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias, TypeVar

from attrs import frozen

from roofline.core.units import Bytes, Count, Flop, Num, Ratio

Module: TypeAlias = Literal[
    "", "attention", "mlp", "experts", "shared", "router", "norm", "residual", "embedding", "head", "sampling", "loss", "draft",
    "adapter", "pipeline", "context", "data",
]  # fmt: skip
"""The part of a model, or of a parallel layout, that an operation belongs to; empty where it is not stated."""
Role: TypeAlias = Literal["", "core", "activation", "up"]
"""What an operation does in its module: attention proper, a gated activation, a projection out of a latent."""
Phase: TypeAlias = Literal["forward", "dgrad", "wgrad", "reduce", "optimizer"]
"""The pass that an operation runs in: gradients of inputs are ``dgrad``, those of weights ``wgrad``."""

_LABELS: Final[dict[Phase, str]] = {"forward": "", "dgrad": "dgrad ", "wgrad": "wgrad ", "reduce": "", "optimizer": ""}


@frozen(eq=False, slots=False)
class Op:
    """An operation on one rank.

    Attributes:
        name: label for people.
        kernel: class of kernel, a key of :data:`roofline.hardware.constants.KERNELS`.
        rate: which of the chip's peaks multiplies.
        flops: floating-point (or integer) operations.
        bytes: compulsory traffic to the chip's memory.
        launches: kernels in a row that it takes.
        staging: traffic of passes before and after the kernel proper: quantising its input, permuting its rows.
        depth: elements that one core walks through one after another: the inner dimension of a GEMM, the keys of a query.
        items: independent work items, each with a fixed cost on one core: blocks of queries, caches, experts.
        hits: those items that have work of their own: experts that a token was sent to.
        scores: exponentials of a softmax, which no matrix unit does.
        useful: part of the FLOP that no other rank repeats and no padding wastes.
        form: format of the weights, or of the cache, that the kernel reads: two at one rate may have kernels of their own.
        weights: elements of weights that it multiplies by, on this rank.
        rows: rows, or elements, of activations that go through it.
        inputs: of a GEMM, elements of a row before it.
        outputs: of a GEMM, elements of a row after it.
        kept: bytes of a row that its gradients need later.
        inner: those bytes of ``kept`` that an activation inside the operation writes.
        back: traffic of passes that its gradients take beyond that of ``staging``.
        helpers: small kernels around it that its constants include, and that a host launches one by one outside a graph: rotation,
            writing the cache, sorting tokens by expert.
        module: part of the model that it belongs to.
        role: what it does in that part.
        phase: pass that it runs in.
        recompute: whether it repeats an operation of the forward pass for the backward one.
        elsewhere: traffic of passes over rows of experts on other ranks, which some kernels do not skip.
        fusable: part of ``bytes`` that is left where kernels before and after do the same as they read and write.
    """

    name: str
    kernel: str
    rate: str
    flops: Flop
    bytes: Bytes
    launches: Count = 1.0
    staging: Bytes = 0.0
    depth: Count = 0.0
    items: Count = 0.0
    hits: Count = 0.0
    scores: Count = 0.0
    useful: Ratio = 1.0
    form: str = ""
    weights: Count = 0.0
    rows: Count = 0.0
    inputs: Count = 0.0
    outputs: Count = 0.0
    kept: Bytes = 0.0
    inner: Bytes = 0.0
    back: Bytes = 0.0
    helpers: Count = 0.0
    module: Module = ""
    role: Role = ""
    phase: Phase = "forward"
    recompute: bool = False
    elsewhere: Bytes = 0.0
    fusable: Ratio = 0.0

    @property
    def traffic(self) -> Bytes:
        """All bytes to and from the chip's memory."""
        return self.bytes + self.staging

    @property
    def label(self) -> str:
        """The name with the pass it runs in.

        >>> Op("up", "gemm", "bf16", 1.0, 1.0, phase="dgrad").label
        'dgrad up'
        """
        return f"{'recompute ' if self.recompute else ''}{_LABELS[self.phase]}{self.name}"


@frozen(eq=False, slots=False)
class Message:
    """A collective or a transfer that one rank takes part in.

    Attributes:
        name: label for people.
        collective: ``all_reduce``, ``reduce_scatter``, ``all_gather``, ``all_to_all``, ``dispatch`` and ``combine`` (of tokens to
            their experts and back), ``broadcast``, or ``point_to_point`` (from each rank of the group to the next, one after
            another).
        size: bytes of the whole buffer on one rank: what is reduced, what is gathered, what is sent to all peers.
        group: ranks that take part; 1 sends nothing.
        stride: distance in rank numbers between neighbours of the group.
        copies: of a dispatch or combine, the ranks that each token goes to, drawn at random.
        module: part of the model, or of the layout, that it belongs to.
        phase: pass that it is sent in.
        recompute: whether it repeats a message of the forward pass for the backward one.
        rows: of a dispatch or combine whose kernel sends through a thread of the host, tokens of a rank; 0 where the GPU writes to the
            card itself.
        groups: equal parts of the ranks that the router chooses among (node-limited routing); 1 for no grouping.
        among: parts that the experts of one token are drawn from at most.
    """

    name: str
    collective: str
    size: Bytes
    group: Count
    stride: Count = 1.0
    copies: Count = 1.0
    module: Module = ""
    phase: Phase = "forward"
    recompute: bool = False
    rows: Count = 0.0
    groups: Count = 1.0
    among: Count = 1.0

    @property
    def label(self) -> str:
        """The name with the pass it is sent in."""
        return f"{'recompute ' if self.recompute else ''}{_LABELS[self.phase]}{self.name}"


Operation: TypeAlias = Op | Message
_W = TypeVar("_W", bound="Op | Message | Section")


def altered(work: _W, **fields: Any) -> _W:
    """Return a piece of work with some of its fields changed: ``attrs.evolve`` in a quarter of the time.

    >>> altered(Op("up", "gemm", "bf16", 1.0, 1.0), rows=8.0).rows
    8.0
    """
    out = object.__new__(type(work))
    vars(out).update(vars(work), **fields)
    return out


def launched(operation: Operation) -> Count:
    """Return the kernels that a host launches for an operation where no graph has captured them.

    >>> float(launched(Op("experts", "moe", "bf16", 1e9, 1e6, helpers=6.0)))
    7.0
    """
    if isinstance(operation, Message):
        return 1.0 * ((operation.size > 0) & (operation.group > 1))
    return operation.launches + operation.helpers * (operation.launches > 0)


def fused(operation: Operation) -> Operation:
    """Return an operation whose passes over memory are done by the kernels around it as they read and write.

    >>> fused(Op("norm", "elementwise", "bf16", 0.0, 4e9, fusable=1.0)).bytes
    0.0
    """
    if not isinstance(operation, Op):
        return operation
    return altered(operation, bytes=operation.bytes * (1 - operation.fusable), staging=0.0, elsewhere=0.0)


def recomputed(operation: Operation) -> Operation:
    """Return an operation as it is recomputed in the backward pass.

    >>> recomputed(Op("up", "gemm", "bf16", 1.0, 1.0)).label
    'recompute up'
    """
    return altered(operation, recompute=True)


@frozen(eq=False, slots=False)
class Section:
    """Operations done one after another, a number of times over, on one rank's way through a step.

    Attributes:
        name: label for people.
        times: how often they are done.
        operations: what is done, in order.
        place: ``first`` (embedding), ``layers``, or ``last`` (head, loss, prediction modules): stages of a pipeline differ by it.
    """

    name: str
    times: Num
    operations: tuple[Operation, ...]
    place: Literal["first", "layers", "last"] = "layers"


def changed(cut: Iterable[Section], change: Callable[[Operation], Operation]) -> tuple[Section, ...]:
    """Return sections with every operation of theirs changed."""
    return tuple(Section(s.name, s.times, tuple(map(change, s.operations)), s.place) for s in cut)
