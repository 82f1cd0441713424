"""One piece of work as one rank sees it: an operation, or a message to a group of ranks."""

from __future__ import annotations

from typing import Final, TypeAlias

from attrs import frozen

from roofline.core.units import Bytes, Count, Flop, Num, Ratio

AGAIN: Final = "again "
"""How the names of works begin that are done a second time."""


@frozen(eq=False)
class Op:
    """An operation on one rank.

    Attributes:
        kernel: class of kernel, a key of :data:`roofline.hardware.constants.KERNELS`.
        rate: which of the chip's peaks multiplies.
        flops: floating-point (or integer) operations.
        bytes: compulsory traffic to the chip's memory.
        launches: kernels in a row that it takes.
        staging: traffic of passes before and after the kernel proper: quantising its input, permuting its rows.
        depth: elements that one core walks through one after another: the inner dimension of a product, the keys of a query.
        items: independent work items, each with a fixed cost on one core: blocks of queries, caches, experts.
        scores: exponentials of a softmax, which no matrix unit does.
        useful: part of the FLOP that no other rank repeats and no padding wastes.
        form: format of the weights, or of the cache, that the kernel reads: two at one rate may have kernels of their own.
        weights: elements of weights that it multiplies by, on this rank.
        rows: rows, or elements, of activations that go through it; ``inputs`` and ``outputs``, of a product, what one of them
            has before and after; ``kept``, bytes of one that its gradients need later.
        elsewhere: traffic of passes over rows of experts on other ranks, which some kernels do not skip.
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
    scores: Count = 0.0
    useful: Ratio = 1.0
    form: str = ""
    weights: Count = 0.0
    rows: Count = 0.0
    inputs: Count = 0.0
    outputs: Count = 0.0
    kept: Bytes = 0.0
    elsewhere: Bytes = 0.0

    @property
    def traffic(self) -> Bytes:
        """All bytes to and from the chip's memory."""
        return self.bytes + self.staging


@frozen(eq=False)
class Message:
    """A collective or a transfer that one rank takes part in.

    Attributes:
        collective: ``all_reduce``, ``reduce_scatter``, ``all_gather``, ``all_to_all``, ``dispatch`` and ``combine`` (of tokens to
            their experts and back), ``broadcast``, or ``point_to_point`` (from each rank of the group to the next, one after
            another).
        size: bytes of the whole buffer on one rank: what is reduced, what is gathered, what is sent to all peers.
        group: ranks that take part; 1 sends nothing.
        copies: of a dispatch or combine, the ranks that each token goes to, drawn at random.
        stride: distance in rank numbers between neighbours of the group.
    """

    name: str
    collective: str
    size: Bytes
    group: Count
    stride: Count = 1.0
    copies: Count = 1.0


Work: TypeAlias = Op | Message


@frozen(eq=False)
class Section:
    """Works done one after another, ``times`` times over, on one rank's way through a step."""

    name: str
    times: Num
    works: tuple[Work, ...]
