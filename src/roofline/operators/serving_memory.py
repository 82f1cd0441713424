r"""How a serving engine uses a chip's memory: weights, its own buffers, KV cache, and max concurrency.

An engine starts in this order: it loads weights, runs the largest pass that its limits allow, and gives what is left to the cache.
With M bytes that a driver gives to programs, a fraction f, weights W, runtime R (context, kernels, buffers of collectives) and the peak
P of that pass, the cache gets

.. math:: f M - W - R - P, \qquad f (M - R) - W, \qquad f (M - W - R - P)

by the rules ``all`` (vLLM), ``static`` (SGLang) and ``free`` (TensorRT-LLM) of :class:`roofline.hardware.engines.StackMemory`.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import Mask, ceil, larger, pick, smaller
from roofline.core.units import Bytes, Count, Num, Ratio
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import StackMemory
from roofline.hardware.hardware import System
from roofline.models.architecture import Compressed, Dense, Gqa, Layers, Model, Moe
from roofline.models.dtypes import dtype
from roofline.operators import compressed_cache
from roofline.operators.memory import (
    Footprint,
    activations,
    kv_cache,
    most_sequences,
    ranks_per_package,
    state_bytes,
    weights,
)
from roofline.operators.transformer import attention
from roofline.operators.transformer.flow import ACTIVATION
from roofline.workload.layout import Layout

_PADDED: Final = "mxfp4"
"""Weights that kernels of experts want in widths of whole tiles."""


def as_served(model: Model, calibration: Calibration) -> Model:
    """Return the model as an engine serves it, which may leave sliding windows out."""
    return model if calibration.engine.windows else model.unwindowed()


def uses_own_drafts(model: Model, draft_tokens: Count) -> Mask:
    """Return where the model's own draft module is used."""
    return (draft_tokens > 0) & bool(model.mtp or model.speculator)


def as_cached(model: Model, memory: StackMemory, passing: Count = 0.0) -> Model:
    """Return the model as an engine caches it.

    Windows save nothing where its pages are of one size and layers are not alike; where its blocks of a window are given back after a
    pass (``chunked``), a window holds the ``passing`` tokens of the largest pass besides.
    """
    mixers = {run.attention for run in model.layers if isinstance(run.attention, Gqa) and not run.attention.shared_kv}
    sizes = {float(attention.cached(evolve(mixer, window=None), 1.0, 1.0)) for mixer in mixers}
    if memory.uniform and len(sizes) > 1:
        return model.unwindowed()
    return _widened(model, int(np.max(passing))) if memory.chunked else model


@functools.lru_cache(maxsize=256)
def _widened(model: Model, passing: int) -> Model:
    """Return the model with every window wider by so many tokens."""

    def wide(run: Layers) -> Layers:
        mixer = run.attention
        if not isinstance(mixer, (Gqa, Compressed)) or not mixer.window:
            return run
        return evolve(run, attention=evolve(mixer, window=mixer.window + passing))

    return evolve(model, layers=tuple(map(wide, model.layers)))


@functools.lru_cache(maxsize=256)
def as_loaded(model: Model, padding: float) -> Model:
    """Return the model with the widths of its experts as kernels want them: whole multiples of ``padding`` in mxfp4.

    gpt-oss-120b stores 2,880; vLLM loads 3,072.
    """

    def padded(run: Layers) -> Layers:
        block = run.ffn
        if not isinstance(block, Moe):
            return run
        return evolve(run, ffn=evolve(block, width=int(-(-block.width // padding) * padding)))

    if padding <= 1 or not any(name.startswith(_PADDED) for name in model.formats.names("experts")):
        return model
    return evolve(model, layers=tuple(map(padded, model.layers)))


@frozen(eq=False)
class MemoryBudget:
    """A rank's memory budget under an engine.

    Attributes:
        memory: bytes that the driver gives to programs.
        capacity: of them, those that the fraction covers, or all where what is left free counts as the engine's own.
        runtime: bytes that the engine takes for itself, or leaves free.
        activations: peak of the largest pass at start.
        fraction: of the memory, given or by the engine's rule.
    """

    memory: Bytes
    capacity: Bytes
    runtime: Bytes
    activations: Bytes
    fraction: Ratio


def driven_memory(system: System, memory: StackMemory) -> Bytes:
    """Return the bytes of a rank that the driver gives to programs: what it reports, less its own where the chip states a report."""
    whole = system.chip.memory
    return whole.capacity * whole.usable - memory.driver / system.ranks_per_chip * (whole.usable != 1)


def profiling_limits(system: System, calibration: Calibration) -> tuple[Count, Count]:
    """Return the tokens and the sequences of the largest pass that an engine tries at start."""
    memory = calibration.engine.memory
    whole = system.chip.memory.capacity * system.chip.memory.usable
    big = whole >= memory.large
    tokens = pick(whole >= memory.huge, memory.huge_tokens, calibration.engine.budget)
    few = pick(whole < memory.tiny, memory.tiny_tokens, memory.small_tokens)
    return pick(big, tokens, few), pick(big, memory.sequences, memory.small_sequences)


def profiled_peak(
    model: Model, system: System, layout: Layout, calibration: Calibration, context: Count = 0.0
) -> Bytes:
    """Return the peak of activations of the largest pass at start, on one rank.

    What one pass holds is free when the next thing is tried, so the largest counts: the pass itself with the buffers of its experts,
    ``a C (4 H + widest) + experts a C k (2 H + 3 w)``; the logits of all sequences, whole on every rank, ``logit n V``; an encoder with
    as much as the limits allow, ``encoder encoded``. Where an index of sparse attention scores all ``context`` keys of a token at once,
    the pass holds ``index C context / pool`` of one layer.
    """
    memory = calibration.engine.memory
    tokens, sequences = profiling_limits(system, calibration)
    widest: Num = 0.0
    routed: Num = 0.0
    scored: Num = 0.0
    for run in model.layers:
        block = run.ffn
        if isinstance(block, Moe):
            routed = larger(routed, block.visits * (2 * model.hidden + 3 * block.width / layout.expert_tp))
        elif isinstance(block, Dense):
            widest = larger(widest, 3 * block.width / layout.tp)
        widest = larger(widest, attention.width(run.attention) / layout.tp)
        index = getattr(run.attention, "indexer", None)
        if index is not None and not index.reused:
            scored = larger(scored, context / index.pool)
    passed = (
        ACTIVATION.bytes * tokens * (4 * model.hidden + widest) * (memory.logit > 0) + memory.index * tokens * scored
    )
    buffers = memory.experts * ACTIVATION.bytes * tokens * routed
    drawn = larger(passed + buffers, memory.logit * sequences * model.vocab)
    return larger(drawn, memory.encoder * memory.encoded * bool(model.towers))


def _fraction(system: System, layout: Layout, calibration: Calibration, context: Count) -> Ratio:
    """Return the fraction of a rank's memory that an engine is given: the one stated, or its own rule for the machine."""
    own = calibration.engine.memory
    less = pick(context > own.long, own.long_share, 1.0)
    if own.rule != "static" or calibration.engine.memory_fraction is not None:
        return calibration.memory_fraction * less
    ranks, (tokens, sequences) = layout.tp * layout.pp, profiling_limits(system, calibration)
    left = own.reserve + own.reserve_token * tokens + own.reserve_rank * ranks + own.reserve_sequence * sequences
    share = own.reserve_share + own.reserve_share_rank * smaller(ranks - 1, _MOST_RANKS)
    return less * (1 - left / driven_memory(system, own) - share)


_MOST_RANKS: Final = 9.0
"""Ranks beyond one for which an older SGLang leaves more free: 0.88 of the memory on one rank, 0.79 on sixteen."""


def memory_budget(
    model: Model, system: System, layout: Layout, calibration: Calibration, context: Count = 0.0
) -> MemoryBudget:
    """Return a rank's memory as the engine of a profile shares it out among itself, weights, activations and cache.

    ``context`` is the longest request that it is started for.
    """
    own = calibration.engine.memory
    memory = driven_memory(system, own)
    several = (layout.stage * layout.pp > 1) * 1.0
    runtime = own.context + several * (own.communicators if system.tiers[0].load_store else own.wired)
    if calibration.engine.captured and calibration.host <= 0:
        runtime = runtime + own.graph * ceil(model.depth / layout.pp)
    peak = profiled_peak(as_served(model, calibration), system, layout, calibration, context)
    fraction = _fraction(system, layout, calibration, context)
    if own.rule == "static":
        # What is left free holds activations and graphs.
        left = larger(runtime + (1 - fraction) * (memory - runtime), runtime + peak)
        return MemoryBudget(memory, memory, left - peak, peak, fraction)
    return MemoryBudget(memory, memory * (fraction if own.rule == "all" else 1.0), runtime, peak, fraction)


def cached_bytes(
    model: Model,
    layout: Layout,
    tokens: Count,
    calibration: Calibration,
    *,
    drafting: Mask = False,
    drafts: Count = 0.0,
    passing: Count = 0.0,
) -> Bytes:
    """Return the bytes of KV cache that one sequence of ``tokens`` takes on a rank, as the engine lays caches out.

    In a pool of equal pages (``paged``) a recurrent state takes pages of its own in every layer, ``state_copies`` of them and one for each
    of the ``drafts`` that a step verifies, in groups of as many layers as have full attention, and a sequence whole pages of
    ``state / bytes of a token`` tokens; where states have a room of their own, of ``state_room`` times the cache's, the fuller counts. ``passing`` are the tokens of the largest pass, which windows and compressors hold besides (``chunked``).
    """
    own = calibration.engine.memory
    model = as_cached(model, own, passing)
    exact = kv_cache(model, layout, tokens, drafting=drafting)
    if own.window_room:
        exact = _bytes_with_window_pools(model, layout, tokens, exact, own.window_room)
    if compressed_cache.compresses(model):
        if own.page:
            return (
                compressed_cache.paged(model, own.page, own.entry, tokens, passing, apart=own.index_pages) / layout.pp
            )
        if own.compressed_room:
            return compressed_cache.pooled(model, own.compressed_room, own.entry, tokens) / layout.pp
        if own.chunked:
            exact = exact + smaller(tokens, passing) * compressed_cache.compressor_bytes(model) / layout.pp
    if not any(run.attention for run in model.layers if _recurrent(run)):
        return exact
    state = state_bytes(model, layout.tp) / layout.pp
    if own.state_room:
        return larger((exact - state) * (1 + own.state_room), state * (1 + own.state_room) / own.state_room)
    if not own.paged:
        return exact
    width = dtype(model.formats.kv).bytes
    full = [run for run in model.layers if not _recurrent(run) and attention.cached(run.attention, 1.0, 1.0) > 0]
    layers = float(sum(run.count for run in full)) + drafting * 1.0 * model.mtp
    count = float(sum(run.count for run in model.layers if _recurrent(run)))
    if not full:
        return exact
    each = width * attention.cached(full[0].attention, 1.0, layout.tp)
    page = own.state_pages * state * layout.pp / count
    pages = ceil(count / layers) * layers / count
    length = page / each
    whole = ceil(tokens / length) * length / tokens
    return (exact - state) * whole + (own.state_copies + drafts) * own.state_pages * state * pages


def _bytes_with_window_pools(model: Model, layout: Layout, tokens: Count, exact: Bytes, ratio: Ratio) -> Bytes:
    """Return the bytes of room of a sequence where windows have room for ``ratio`` tokens to each of full attention.

    Of f and w bytes a token in either kind, a pool of T tokens takes ``(f + ratio w) T``; a sequence of S tokens needs
    ``max(S, min(S, window) / ratio)`` of them.
    """
    windows = {bool(run.attention.window) for run in model.layers if isinstance(run.attention, Gqa)}
    if windows != {True, False}:
        return exact
    each: dict[bool, Num] = {True: 0.0, False: 0.0}
    longest = 0
    for run in model.layers:
        mixer = run.attention
        windowed = isinstance(mixer, Gqa) and bool(mixer.window)
        if isinstance(mixer, Gqa) and mixer.window:
            longest, mixer = max(longest, mixer.window), evolve(mixer, window=None)
        each[windowed] = each[windowed] + run.count * attention.cached(mixer, 1.0, layout.tp)
    width = dtype(model.formats.kv).bytes / layout.pp
    return width * (each[False] + ratio * each[True]) * larger(tokens, smaller(tokens, longest) / ratio)


def caches_uniformly(model: Model) -> bool:
    """Return whether all layers cache alike, every token of a sequence: no states, windows or compressed streams."""
    mixers = {run.attention for run in model.layers}
    windows = any(getattr(mixer, "window", None) for mixer in mixers)
    return len(mixers) <= 1 and not windows and not any(map(_recurrent, model.layers))


def _recurrent(run: Layers) -> bool:
    return bool(attention.state(run.attention, 1.0) > 0)


def fill_memory(
    model: Model, system: System, layout: Layout, calibration: Calibration,
    *, sequences: Count, tokens: Count, passing: Count, logits: Count, prompt: Count = 0.0, drafting: Mask = False,
    drafts: Count = 0.0,
) -> tuple[Footprint, Bytes, Count]:  # fmt: skip
    """Return the bytes on the fullest chip, those it may hold, and how many sequences of ``tokens`` fit in the whole deployment.

    Args:
        sequences: sequences whose caches lie on each attention rank (all pipeline micro-batches).
        tokens: tokens each of them holds.
        passing: tokens that each of them sends through a pass.
        logits: tokens of each whose logits are wanted.
        prompt: tokens of a prompt that pass in the same step.
        drafting: the model's own draft module is used.
        drafts: tokens that a step verifies besides the next one, whoever drafts them.
    """
    n, pp = ranks_per_package(system, layout), layout.pp
    model = as_served(model, calibration)
    own = weights(as_loaded(model, float(calibration.engine.memory.padding)), layout, drafting=drafting)
    shared = memory_budget(model, system, layout, calibration, tokens)
    # Of the rule "free", a part of what is left after all else stays free.
    spare = shared.fraction if calibration.engine.memory.rule == "free" else 1.0
    beside = larger(activations(model, layout, prompt, 0.0), shared.activations)
    unit = activations(model, layout, passing, logits)
    chunk, _ = profiling_limits(system, calibration)
    each = cached_bytes(model, layout, tokens, calibration, drafting=drafting, drafts=drafts, passing=chunk) / spare
    work = beside + ceil(sequences / pp) * unit
    # A micro-batch may hold one sequence more than its even share.
    fixed = own + shared.runtime + beside + (1 - 1 / pp) * unit
    most = most_sequences(shared.capacity, fixed, each + unit / pp)
    return (
        Footprint(own * n, each * sequences * n, work * n, shared.runtime * n, sequences * tokens),
        shared.capacity * n,
        most * layout.dp * layout.replicas,
    )
