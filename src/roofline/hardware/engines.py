"""Software stacks: what a serving engine and the runtime of a chip's maker add to the kernels. Data, not code.

A stack is an engine on a runtime in a release, launched in a certain way: vLLM 0.12 on CUDA, launched as its page says. Its numbers
come from the files in ``workloads/stacks``, where :mod:`roofline.catalog.software` looks them up for a machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Final

from attrs import field, frozen

from roofline.core.fields import named
from roofline.core.provenance import Fact
from roofline.core.units import Bytes, Count, Ratio, Seconds

BUDGET: Final = 8192.0
"""Prompt tokens that an engine passes beside a decode step, over the attention ranks that work in lock-step."""

KINDS: Final = ("default", "tuned", "day-0")
"""Kinds of launch: as the engine's documentation says; searched for and tuned; on the day that a model appeared."""

PASSES: Final = ("decode", "prefill", "mixed")
"""Kinds of pass that a graph may have captured."""

EXCHANGES: Final = ("all_to_all", "all_gather")
"""Ways of tokens to their experts: to those ranks alone, or all tokens to all ranks and the sums back (reduce-scatter)."""

RUNTIMES: Final[Mapping[str, tuple[str, ...]]] = {
    "cuda": ("NVIDIA",), "rocm": ("AMD",), "cann": ("Huawei",), "tpu": ("Google",), "neuron": ("AWS", "Amazon"), "gaudi": ("Intel",),
}  # fmt: skip
"""Runtimes of the makers of chips."""


def runtime_of(vendor: str) -> str:
    """Return the runtime of a maker's chips; "" where it is not known.

    >>> runtime_of("Huawei")
    'cann'
    """
    return next((name for name, makers in RUNTIMES.items() if vendor in makers), "")


RULES: Final = ("all", "static", "free")
"""What the fraction of memory given to an engine is a fraction of, see :class:`StackMemory`."""


@frozen
class StackMemory:
    """What a stack takes of a chip's memory besides weights and cache, and how it shares out the rest.

    Attributes:
        rule: ``all``: the fraction holds weights, activations and cache (vLLM's ``--gpu-memory-utilization``); ``static``: weights and
            cache alone (SGLang's ``--mem-fraction-static``); ``free``: cache takes the fraction of what is left after everything else
            (TensorRT-LLM's ``free_gpu_memory_fraction``).
        driver: of what a driver reports, bytes that no program is given.
        context: the runtime's context, loaded kernels and workspaces of GEMM and attention.
        communicators: buffers of collectives, where ranks of a node reach each other's memory.
        wired: buffers of collectives, where ranks of a node do not.
        large: memory of a chip from which on the default limits hold.
        small_tokens: tokens of a step by default, below ``large``.
        huge: memory of a chip from which on ``huge_tokens`` hold.
        huge_tokens: tokens of a step by default, from ``huge`` on.
        tiny: memory of a chip below which ``tiny_tokens`` hold.
        tiny_tokens: tokens of a step by default, below ``tiny``.
        sequences: sequences whose logits are made at start, when the peak of activations is found.
        small_sequences: ``sequences`` below ``large``.
        logit: bytes of a logit while tokens are drawn: in 16 bits and in 32, and what sorting takes where tokens are sorted.
        experts: buffers of experts over the rows that they read and write.
        encoder: bytes that an encoder of images takes at start for each token that it is tried with.
        encoded: tokens that the encoder is tried with.
        index: bytes of the score of a token of the pass and a key of sparse attention's index, where all of them are made at once.
        graph: what captured graphs take for each layer, where that is set aside before the cache.
        padding: experts in mxfp4 are stored in widths that are multiples of it.
        paged: the cache is one pool of equal pages: a recurrent state takes a page of its own, a sequence whole pages.
        state_pages: size of the page for a state over the state, where paged.
        state_copies: pages that a state of a sequence takes: the running one, and one kept for prefixes to come.
        state_room: room for states over that for the cache, where those are apart.
        window_room: tokens of windows that have room over those of full attention, where these are apart.
        uniform: windows save no cache where layers differ in the bytes of a token.
        chunked: a layer with a window holds the tokens of the largest pass besides, and a compressor what it makes entries of.
        page: tokens of a page, where all that compressed attention caches (streams, keys of the index, windows, compressors) is in pages of
            the largest size; 0 where each is as large as it needs.
        index_pages: keys of the index, and what fits in their pages, are in pages of that size.
        entry: bytes of an element of a stream of compressed attention as the engine stores it; 0 for those of the cache's format.
        compressed_room: tokens of windows and compressors of compressed attention that have room over those of the streams, where these
            are apart.
        reserve: left free by default where the rule is ``static``.
        reserve_token: left free besides for each token of a chunk.
        reserve_rank: left free besides for each rank of a replica.
        reserve_sequence: left free besides for each of the ``sequences``.
        reserve_share: part of the memory left free besides.
        reserve_share_rank: part of the memory left free besides for each rank beyond one.
        long: tokens of the longest request beyond which ``long_share`` holds.
        long_share: what is left of the fraction, stated or not, where requests may be longer than ``long`` tokens.
    """

    rule: str = "all"
    driver: Bytes = 0.0
    context: Bytes = 0.0
    communicators: Bytes = 0.0
    wired: Bytes = 0.0
    large: Bytes = 0.0
    small_tokens: Count = BUDGET
    huge: Bytes = math.inf
    huge_tokens: Count = BUDGET
    tiny: Bytes = 0.0
    tiny_tokens: Count = BUDGET
    sequences: Count = 0.0
    small_sequences: Count = 0.0
    logit: Bytes = 0.0
    experts: Ratio = 0.0
    encoder: Bytes = 0.0
    encoded: Count = 0.0
    index: Bytes = 0.0
    graph: Bytes = 0.0
    padding: Count = 1.0
    paged: bool = False
    state_pages: Count = 1.0
    state_copies: Count = 1.0
    state_room: Ratio = 0.0
    window_room: Ratio = 0.0
    uniform: bool = False
    chunked: bool = False
    page: Count = 0.0
    index_pages: bool = False
    entry: Bytes = 0.0
    compressed_room: Ratio = 0.0
    reserve: Bytes = 0.0
    reserve_token: Bytes = 0.0
    reserve_rank: Bytes = 0.0
    reserve_sequence: Bytes = 0.0
    reserve_share: Ratio = 0.0
    reserve_share_rank: Ratio = 0.0
    long: Count = math.inf
    long_share: Ratio = 1.0


@frozen(eq=False)
class Engine:
    """A serving engine on one runtime, in one release: its stack.

    ``step = ||chip, stream B + launch_host n||_3 + sequence B + gap`` for B sequences and n kernels that the host launches one by
    one; n is 0 for the kinds of pass that a graph has captured. A step that passes prompts takes ``prompt_gap`` more.

    Attributes:
        name: name of the engine, as catalogued.
        title: name of the engine for people.
        runtime: runtime of the stack, such as ``cuda``; "" where the numbers are of all of them.
        release: release of the stack; "" where the numbers are of all of them.
        date: day of that release; None where the numbers are of all of them.
        kind: how it was launched, one of :data:`KINDS`.
        stated_kind: the same where it is known; "" where it is assumed.
        chain: the tables that its numbers came from, the most special first.
        origins: the table that each number came from.
        stack: whose kernels it runs, where those were measured; "" for those of all stacks together.
        fused: formats whose activations are quantised with fixed scales inside the kernel before, so that no pass is spent on it.
        fused_norm: whether the norm after an all-reduce over tensor peers is part of its kernel: passed over, and not launched.
        attention: formats of a cache that its attention multiplies as they are stored, where the chip has the rate;
            others are widened to 16 bits.
        index: format of the scores of sparse attention's index.
        launch: time of a kernel's launch in a captured graph over that of the kernel alone: below 1 where launches overlap.
        formats: the same by format of the weights, over that of others: kernels of a format that were not made for the chip.
        launch_host: time of the host for a kernel that no graph has captured.
        captured: kinds of pass that run in a graph, of :data:`PASSES`.
        pieces: kinds of pass that run in graphs cut at every attention and collective, which the host launches; of models of text alone
            that draft no tokens, on one pipeline stage and one attention rank.
        pieces_shared: whether such graphs serve several attention ranks and drafts too.
        compute: part of the rate of the best kernels that its own matrix kernels reach.
        gap: time of the host between two steps, when the chip has nothing to do.
        prompt_gap: what a step that passes prompts takes more of it.
        sequence: time of the host for each sequence of a step (scheduling, sampling), while the chip waits.
        stream: time of the host to send a sequence's tokens on, at the same time as the chip's work, where a client
            waits for each.
        front: time of a request before its first step: tokenising, queueing, sending.
        overlap: how far the messages of one half of a step hide behind the operations of the other, from 0 to 1.
        budget: prompt tokens of a step, over the attention ranks that work in lock-step.
        mixed: whether prefill runs in the decode steps of other requests; where not, in steps of their own, before decode steps.
        reserve: part of a request's answer for which cache must be free when it is admitted.
        crowd: prompts that are ahead of one, on average, where requests of equal length end together.
        bunched: how far requests of equal length keep together, one behind the other, for ever: 0 they spread, 1 in lock-step.
        gathered: how far attention ranks hold prompts back to pass them in the same steps, so that fewer steps of all are held up, from
            0 to 1.
        most: requests that an attention rank serves at once at most; None for as many as fit.
        most_drafting: requests that a replica that drafts tokens serves at once at most; None for as many as fit.
        exchange: how tokens reach their experts on other ranks, one of :data:`EXCHANGES`.
        shared_routed: whether shared experts are copies among the routed ones, on ranks of their own, to which every token is sent; where
            not, each rank computes them for its own tokens.
        windows: whether layers with a sliding window see, and keep, no more than it; where not, every token.
        systems: those whose best published services of large models run under it.
        served: format in which large models are served best on these chips, as published services do; "" for the checkpoint's own.
        cache: format of the cache by the weights' format, where it is not that of the activations.
        memory_fraction: share of a chip's memory that weights, cache and activations may fill; None for the profile's own.
        memory: what the stack takes of a chip's memory for itself.
        error: half-width of the 80 % interval that this kind of launch adds to a step, relative.
        facts: each number as the file states it, with its source.
    """

    name: str = field(default="none", converter=named)
    title: str = field(default="", converter=named)
    runtime: str = ""
    release: str = ""
    date: date | None = None
    kind: str = "default"
    stated_kind: str = ""
    chain: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(factory=dict, repr=False)
    stack: str = ""
    fused: tuple[str, ...] = ()
    fused_norm: bool = False
    attention: tuple[str, ...] = ("fp8",)
    index: str = "fp8"
    launch: Ratio = 1.0
    formats: Mapping[str, Ratio] = field(factory=dict)
    launch_host: Seconds = 0.0
    captured: tuple[str, ...] = PASSES
    pieces: tuple[str, ...] = ()
    pieces_shared: bool = False
    compute: Ratio = 1.0
    gap: Seconds = 0.0
    prompt_gap: Seconds = 0.0
    sequence: Seconds = 0.0
    stream: Seconds = 0.0
    front: Seconds = 0.0
    overlap: Ratio = 0.0
    budget: Count = BUDGET
    mixed: bool = True
    reserve: Ratio = 1.0
    crowd: Count = 0.0
    bunched: Ratio = 0.0
    gathered: Ratio = 0.0
    most: Count | None = None
    most_drafting: Count | None = None
    exchange: str = "all_to_all"
    shared_routed: bool = False
    windows: bool = True
    systems: tuple[str, ...] = ()
    served: str = ""
    cache: Mapping[str, str] = field(factory=dict)
    memory_fraction: Ratio | None = None
    memory: StackMemory = StackMemory()
    error: Ratio = 0.0
    facts: tuple[Fact, ...] = field(default=(), repr=False)
