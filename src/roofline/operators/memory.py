"""Parameters of a model, and the bytes it takes on one rank: weights, KV cache, activations."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs
import numpy as np
from attrs import frozen

from roofline.core.arrays import Mask, ceil, distinct, floor, larger, pick, smaller
from roofline.core.remember import remembered
from roofline.core.units import Bytes, Count, Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.models.architecture import Attention, Dense, FeedForward, Formats, Layers, Model, Moe
from roofline.models.dtypes import dtype
from roofline.operators.transformer import attention, ffn, head, residual
from roofline.operators.transformer.attention import cached, indexer
from roofline.operators.transformer.ffn import moe
from roofline.operators.transformer.flow import ACTIVATION
from roofline.workload.layout import Layout

_PARTS: Final = (
    "embedding", "attention", "recurrent", "dense", "router", "experts", "shared", "residual", "norm", "head", "towers", "mtp",
)  # fmt: skip


@frozen(eq=False)
class Footprint:
    """Bytes on the fullest rank.

    Attributes:
        weights: as they are loaded.
        kv_cache: cache and states of all sequences.
        activations: of the largest pass.
        runtime: what the engine takes for itself: context, kernels, buffers of collectives, what it leaves free.
        tokens: tokens that the cache holds, of all sequences on an attention rank.
    """

    weights: Bytes
    kv_cache: Bytes
    activations: Bytes
    runtime: Bytes = 0.0
    tokens: Count = 0.0

    @property
    def total(self) -> Bytes:
        """Weights + KV cache + activations + runtime."""
        return self.weights + self.kv_cache + self.activations + self.runtime


def parameters(model: Model) -> dict[str, int]:
    """Return the parameters of a model by component, multi-token-prediction modules apart under ``mtp``.

    >>> from roofline.models.architecture import Gqa, Layers
    >>> parameters(Model("toy", 64, 100, (Layers(2, Gqa(4, 2, 16), Dense(128)),)))["dense"]
    49152
    """
    out = dict.fromkeys(_PARTS, 0)
    out["embedding"] = _tables(model)
    own = 0 if model.tied or not model.headed else model.vocab * model.hidden
    out["head"] = own + (head(model).biases if model.headed else 0)
    out["towers"] = towers(model)
    out["norm"] = model.outer_norms * model.norm_params * model.hidden
    out["residual"] = residual.parameters(model)
    for run in model.layers:
        for name, count in _layer(model, run.attention, run.ffn).items():
            out[name] += run.count * count
    if model.mtp:
        layer = model.drafter
        # Projection of two normalised streams, one layer, and a last norm; embedding and head are the model's own.
        module = 2 * model.hidden**2 + 3 * model.hidden + sum(_layer(model, layer.attention, layer.ffn).values())
        out["mtp"] = model.mtp * module
    return out


def towers(model: Model) -> int:
    """Return the parameters that are held and that no token of text meets: encoders of images and sound."""
    return sum(tower.parameters for tower in model.towers)


def _tables(model: Model) -> int:
    """Return the elements of the embedding tables: of tokens, of learned positions, of every layer's own."""
    if not model.embedded:
        return 0
    own = 0 if model.per_layer is None else model.per_layer.vocab * model.depth * model.per_layer.dim
    return (model.vocab + model.positions) * model.hidden + own


def _layer(model: Model, mixer: Attention, block: FeedForward) -> dict[str, int]:
    norms = (mixer.norms + block.norms) * model.norm_params * model.hidden
    out: dict[str, int] = {"norm": norms + attention.inner(mixer)}
    for matrix in (*attention.matrices(mixer, model.hidden), *ffn.matrices(block, model.hidden)):
        out[matrix.component] = out.get(matrix.component, 0) + matrix.elements
    if isinstance(block, Moe):
        out["norm"] += block.extra
        out["experts"] = block.experts * moe.expert(block, model.hidden)
    return out


def total(model: Model) -> int:
    """Return all parameters of a model, without its multi-token-prediction modules (the number in most model names)."""
    counts = parameters(model)
    return sum(counts.values()) - counts["mtp"]


def active(model: Model) -> int:
    """Return the parameters one token meets, embedding and head included: total - experts it does not visit."""
    idle = sum(
        run.count * (run.ffn.experts - run.ffn.visits) * moe.expert(run.ffn, model.hidden)
        for run in model.layers
        if isinstance(run.ffn, Moe)
    )
    return total(model) - towers(model) - round(idle)


def active_by_convention(model: Model) -> dict[str, int]:
    """Return the parameters one token meets as three conventions count them.

    ``all`` of them; ``without_embedding``, whose table is only looked up in (kept where the head multiplies by it); and
    ``without_embedding_and_head``, the layers alone.
    """
    everything, tables, counts = active(model), _tables(model), parameters(model)
    looked_up = tables - (model.vocab * model.hidden if model.tied and model.embedded else 0)
    return {
        "all": everything,
        "without_embedding": everything - looked_up,
        "without_embedding_and_head": everything - tables - counts["head"],
    }


INDEX: Final = 1.0 + 4 / 128
"""Bytes of an element of an indexer's keys: fp8 with a scale in fp32 for 128 of them, whatever the cache's format (DeepSeek-V3.2)."""


def _saved(mixer: Attention, width: Bytes) -> Bytes:
    """Return the bytes a token that an indexer's keys take less than they would in the format of the cache."""
    return indexer.cache(getattr(mixer, "indexer", None)) * max(width - INDEX, 0.0)


def kv_bytes_per_token(model: Model, kv: str | None = None) -> Bytes:
    """Return the cached bytes of one more token in the whole model, windows not yet full, without tensor parallelism."""
    width = dtype(model.formats.kv if kv is None else kv).bytes
    each = (
        run.count
        * (width * (cached(run.attention, 1.0, 1.0) - cached(run.attention, 0.0, 1.0)) - _saved(run.attention, width))
        for run in model.layers
    )
    return sum(each, start=0.0)


def encoded_bytes(model: Model, kv: str | None = None) -> Bytes:
    """Return the cached bytes of a sequence in the whole model for what an encoder passes on, however long the sequence is."""
    width = dtype(model.formats.kv if kv is None else kv).bytes
    return sum((run.count * width * cached(run.attention, 0.0, 1.0) for run in model.layers), start=0.0)


def state_bytes(model: Model, tp: Count = 1.0) -> Bytes:
    """Return the bytes of a sequence's state in the whole model, however long it is, on one of ``tp`` ranks."""
    states = sum((run.count * attention.state(run.attention, tp) for run in model.layers), start=0.0)
    return dtype(model.formats.state).bytes * states


@functools.lru_cache(64)
def _kinds(model: Model) -> Mapping[tuple[Attention, FeedForward], int]:
    """Return the distinct kinds of layer and how many there are of each."""
    kinds: Counter[tuple[Attention, FeedForward]] = Counter()
    for run in model.layers:
        kinds[run.attention, run.ffn] += run.count
    return kinds


@functools.cache
def _stages(model: Model, pp: int) -> tuple[tuple[int, ...], ...]:
    """Return how many layers of each kind lie in a pipeline stage, for the stages that no other outdoes in every kind."""
    kinds = list(_kinds(model))
    plan = [kinds.index((run.attention, run.ffn)) for run in model.layers for _ in range(run.count)]
    long = -(-len(plan) // pp)
    stages = {tuple(plan[i : i + long].count(kind) for kind in range(len(kinds))) for i in range(0, len(plan), long)}
    return tuple(
        a for a in stages if not any(b != a and all(x >= y for x, y in zip(b, a, strict=True)) for b in stages)
    )


def _fullest(model: Model, pp: Count, each: Mapping[tuple[Attention, FeedForward], Bytes]) -> Bytes:
    """Return the bytes of the fullest of ``pp`` stages of ``ceil(L / pp)`` layers in their order, given those of each kind."""
    if len(each) == 1:
        return ceil(model.depth / pp) * next(iter(each.values()))
    out: Num = 0.0
    # Stages are cut where the plan falls: one count of layers for each degree that is asked, few even in a sweep.
    for degree in distinct(pp):
        most: Num = 0.0
        for stage in _stages(model, int(degree)):
            most = larger(most, sum((n * size for n, size in zip(stage, each.values(), strict=True)), start=0.0))
        out = most if np.size(pp) == 1 else pick(pp == degree, most, out)
    return out


def _pairs(model: Model, pp: Count, each: Mapping[tuple[Attention, FeedForward], Bytes]) -> tuple[Bytes, Bytes]:
    """Return the bytes of the layers of the first and the last stage together, and of the fullest other pair from both ends."""
    kinds = list(_kinds(model))
    plan = [kinds.index((run.attention, run.ffn)) for run in model.layers for _ in range(run.count)]
    sizes = list(each.values())
    ends: Num = 0.0
    others: Num = 0.0
    known: dict[tuple[int, ...], Num] = {}

    def held(stage: tuple[int, ...]) -> Bytes:
        # Most stages hold the same kinds of layer.
        if stage not in known:
            known[stage] = sum((sizes[kind] for kind in stage), start=0.0)
        return known[stage]

    for degree in distinct(pp):
        count = int(degree)
        long = -(-len(plan) // count)
        stages = [tuple(plan[i * long : (i + 1) * long]) for i in range(count)]
        both, *rest = [(stages[i], stages[count - 1 - i]) for i in range(max(count // 2, 1))]
        first = held(both[0]) + held(both[1])
        most: Num = 0.0
        for one, other in dict.fromkeys(rest):
            most = larger(most, held(one) + held(other))
        ends = first if np.size(pp) == 1 else pick(pp == degree, first, ends)
        others = most if np.size(pp) == 1 else pick(pp == degree, most, others)
    return ends, others


def _layer_bytes(model: Model, mixer: Attention, block: FeedForward, layout: Layout) -> Bytes:
    """Return the bytes of one layer's matrices on the fullest rank."""
    formats, hidden = model.formats, model.hidden
    whole = (*attention.matrices(mixer, hidden), *ffn.matrices(block, hidden))
    out = sum((m.elements * m.share(layout.tp) * formats.bytes(m.component) for m in whole), start=0.0)
    if isinstance(block, Moe):
        slots = moe.local_slots(block, layout.ep, layout.redundant_experts)
        out = out + slots * moe.expert(block, hidden) / layout.expert_tp * formats.bytes("experts")
    return out


def weights(model: Model, layout: Layout, *, drafting: Mask = False, paired: bool = False) -> Bytes:
    """Return the bytes of weights on the fullest rank.

    Matrices are cut by tensor parallelism as their kind allows, experts over shards, layers over stages; embedding and head lie on
    the first and last stage. ``drafting`` adds the multi-token-prediction modules to the last. Of two stages on a rank (``paired``), one
    from each end as DualPipe has them, one holds the embedding and the other the head.
    """
    return _weights(model, layout, drafting, paired)


@remembered(64)
def _weights(model: Model, layout: Layout, drafting: Mask, paired: bool) -> Bytes:
    each = {kind: _layer_bytes(model, *kind, layout) for kind in _kinds(model)}
    stage = ceil(model.depth / layout.pp)
    out = _fullest(model, layout.pp, each)
    layer: Layers = model.drafter
    # A module is stored in a format of its own, or in shares of several.
    uniform = attrs.evolve(model, formats=Formats.all("fp8"))
    module = (_layer_bytes(uniform, layer.attention, layer.ffn, layout) + 2 * model.hidden**2) if model.mtp else 0.0
    modules = drafting * 1.0 * model.mtp * module * model.formats.bytes("mtp")
    # Whole on every rank of a stage: too small to be cut.
    out = out + residual.parameters(model) * model.formats.bytes("residual") * stage / model.depth
    matrix = head(model)
    table = _tables(model) * matrix.share(layout.tp) * model.formats.bytes("embedding")
    top = matrix.elements * matrix.share(layout.tp) * model.formats.bytes("head") * model.headed
    # Towers are cut over the tensor peers of the first stage, and stored as the embedding is.
    table = table + towers(model) * model.formats.bytes("embedding") / layout.tp
    if model.speculator is not None:
        modules = drafting * 1.0 * weights(model.speculator, attrs.evolve(layout, pp=1.0))
    if paired:
        first, others = _pairs(model, layout.pp, each)
        return model.scale * larger(first + modules + table + (table if model.tied else top), others)
    if model.tied:
        return model.scale * (out + modules + table)
    return model.scale * (out + modules + pick(layout.pp > 1, larger(table, top), table + top))


def kv_cache(model: Model, layout: Layout, tokens: Count, *, drafting: Mask = False) -> Bytes:
    """Return the bytes one rank keeps of a sequence of ``tokens``: cache and state, its share of heads, of a stage's layers."""
    width, tp = dtype(model.formats.kv).bytes, layout.tp
    state = dtype(model.formats.state).bytes
    mixers = {
        mixer: width * cached(mixer, tokens, tp) - _saved(mixer, width) * tokens + state * attention.state(mixer, tp)
        for mixer, _ in _kinds(model)
    }
    modules = drafting * 1.0 * model.mtp * cached(model.drafter.attention, tokens, tp)
    if model.speculator is not None:
        one = attrs.evolve(layout, pp=1.0)
        modules = drafting * 1.0 * kv_cache(model.speculator, one, tokens) / width
    return _fullest(model, layout.pp, {kind: mixers[kind[0]] for kind in _kinds(model)}) + width * modules


def activations(model: Model, layout: Layout, tokens: Count, sequences: Count) -> Bytes:
    """Return the working bytes of a pass without gradients: residual, the widest layer's intermediates, logits in 32 bits.

    ``a M (4 H + widest) + 4 sequences V / tp``, the widest being qkv, the feed-forward, or the rows an expert shard
    receives.
    """
    widest: Num = 0.0
    for mixer, block in _kinds(model):
        widest = larger(widest, attention.width(mixer) / layout.tp)
        if isinstance(block, Dense):
            widest = larger(widest, 3 * block.width / layout.tp)
        elif isinstance(block, Moe):
            rows = layout.dp * block.visits / layout.ep
            widest = larger(widest, rows * (2 * model.hidden + 3 * block.width / layout.expert_tp))
    return tokens * ACTIVATION.bytes * (4 * model.hidden + widest) + 4 * sequences * model.vocab / layout.tp


def most_sequences(capacity: Bytes, fixed: Bytes, per_sequence: Bytes) -> Count:
    """Return how many sequences' caches fit beside what is fixed: ``floor((capacity - fixed) / per_sequence)``, at least 0.

    >>> float(most_sequences(80e9, 16e9, 2e9))
    32.0
    """
    return larger(floor((capacity - fixed) / per_sequence), 0.0)


def usable_bytes(system: System, calibration: Calibration) -> Bytes:
    """Return the bytes of a rank's memory that weights, cache and activations may fill."""
    memory = system.chip.memory
    return memory.capacity * memory.usable * calibration.memory_fraction


def ranks_per_package(system: System, layout: Layout) -> Count:
    """Return the ranks on a package: a rank may be a die, and a small deployment may leave the other dies idle."""
    return smaller(float(system.ranks_per_chip), layout.ranks)
