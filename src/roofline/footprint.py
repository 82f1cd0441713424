"""Parameters of a model, and the bytes it takes on one rank: weights, KV cache, activations."""

from __future__ import annotations

from collections import Counter

from attrs import frozen

from roofline.architecture import Attention, Dense, FeedForward, Mla, Model, Moe
from roofline.arrays import Mask, ceil, floor, larger, pick
from roofline.dtypes import dtype
from roofline.layout import Layout
from roofline.transformer import attention, ffn, head
from roofline.transformer.attention import cached
from roofline.transformer.ffn import moe
from roofline.transformer.flow import ACTIVATION
from roofline.units import Bytes, Count, Num


@frozen(eq=False)
class Footprint:
    """Bytes on the fullest rank."""

    weights: Bytes
    kv_cache: Bytes
    activations: Bytes

    @property
    def total(self) -> Bytes:
        """Weights + KV cache + activations."""
        return self.weights + self.kv_cache + self.activations


def parameters(model: Model) -> dict[str, int]:
    """Return the parameters of a model by component, multi-token-prediction modules apart under ``mtp``.

    >>> from roofline.architecture import Gqa, Layers
    >>> parameters(Model("toy", 64, 100, (Layers(2, Gqa(4, 2, 16), Dense(128)),)))["dense"]
    49152
    """
    out = dict.fromkeys(("embedding", "attention", "dense", "router", "experts", "shared", "norm", "head", "mtp"), 0)
    out["embedding"] = model.vocab * model.hidden
    out["head"] = 0 if model.tied else model.vocab * model.hidden
    out["norm"] = model.hidden
    for run in model.layers:
        for name, count in _layer(model, run.attention, run.ffn).items():
            out[name] += run.count * count
    if model.mtp:
        last = model.layers[-1]
        # Projection of two normalised streams, one layer, and a last norm; embedding and head are the model's own.
        module = 2 * model.hidden**2 + 3 * model.hidden + sum(_layer(model, last.attention, last.ffn).values())
        out["mtp"] = model.mtp * module
    return out


def _layer(model: Model, mixer: Attention, block: FeedForward) -> dict[str, int]:
    out: dict[str, int] = {"norm": 2 * model.hidden + attention.norms(mixer)}
    for matrix in (*attention.matrices(mixer, model.hidden), *ffn.matrices(block, model.hidden)):
        out[matrix.component] = out.get(matrix.component, 0) + matrix.elements
    if isinstance(block, Moe):
        out["experts"] = block.experts * moe.expert(block, model.hidden)
    return out


def total(model: Model) -> int:
    """Return all parameters of a model, without its multi-token-prediction modules (the number in most model names)."""
    counts = parameters(model)
    return sum(counts.values()) - counts["mtp"]


def active(model: Model) -> int:
    """Return the parameters one token meets, embedding and head included: total - experts it does not visit."""
    idle = sum(
        run.count * (run.ffn.experts - run.ffn.top_k) * moe.expert(run.ffn, model.hidden)
        for run in model.layers
        if isinstance(run.ffn, Moe)
    )
    return total(model) - idle


def kv_bytes_per_token(model: Model, kv: str | None = None) -> Bytes:
    """Return the cached bytes of one more token in the whole model, on one rank without tensor parallelism."""
    width = dtype(model.formats.kv if kv is None else kv).bytes
    return width * sum((run.count * cached(run.attention, 1.0, 1.0) for run in model.layers), start=0.0)


def _kinds(model: Model) -> Counter[tuple[Attention, FeedForward]]:
    """Return the distinct kinds of layer and how many there are of each."""
    kinds: Counter[tuple[Attention, FeedForward]] = Counter()
    for run in model.layers:
        kinds[run.attention, run.ffn] += run.count
    return kinds


def _layer_bytes(model: Model, mixer: Attention, block: FeedForward, layout: Layout) -> Bytes:
    """Return the bytes of one layer's matrices on the fullest rank."""
    formats, hidden = model.formats, model.hidden
    whole = (*attention.matrices(mixer, hidden), *ffn.matrices(block, hidden))
    out = sum((m.elements * m.share(layout.tp) * dtype(getattr(formats, m.component)).bytes for m in whole), start=0.0)
    if isinstance(block, Moe):
        slots = moe.local_slots(block, layout.ep, layout.redundant_experts)
        out = out + slots * moe.expert(block, hidden) / layout.expert_tp * dtype(formats.experts).bytes
    return out


def weights(model: Model, layout: Layout, *, drafting: Mask = False) -> Bytes:
    """Return the bytes of weights on the fullest rank.

    Matrices are cut by tensor parallelism as their kind allows, experts over shards, layers over stages; embedding and head lie on
    the first and last stage. ``drafting`` adds the multi-token-prediction modules to the last.
    """
    each = {kind: _layer_bytes(model, *kind, layout) for kind in _kinds(model)}
    stage = ceil(model.depth / layout.pp)
    # On average over the plan, or all of one long run where that is heavier.
    out: Num = sum((count * each[kind] for kind, count in _kinds(model).items()), start=0.0) * stage / model.depth
    for run in model.layers:
        if run.count * 4 > model.depth:
            out = larger(out, (run.count >= stage) * stage * each[run.attention, run.ffn])
    last = model.layers[-1]
    project = 2 * model.hidden**2 * dtype(model.formats.attention).bytes
    modules = drafting * 1.0 * model.mtp * (each[last.attention, last.ffn] + project)
    matrix = head(model)
    table, top = (
        matrix.elements * matrix.share(layout.tp) * dtype(n).bytes
        for n in (model.formats.embedding, model.formats.head)
    )
    if model.tied:
        return out + modules + table
    return out + modules + pick(layout.pp > 1, larger(table, top), table + top)


def kv_cache(model: Model, layout: Layout, tokens: Count, *, drafting: Mask = False) -> Bytes:
    """Return the cached bytes of one sequence of ``tokens`` on one rank: its share of heads, of a stage's layers."""
    width = dtype(model.formats.kv).bytes
    layers = sum((n * cached(mixer, tokens, layout.tp) for (mixer, _), n in _kinds(model).items()), start=0.0)
    modules = drafting * 1.0 * model.mtp * cached(model.layers[-1].attention, tokens, layout.tp)
    return width * (layers * ceil(model.depth / layout.pp) / model.depth + modules)


def activations(model: Model, layout: Layout, tokens: Count, sequences: Count) -> Bytes:
    """Return the working bytes of a pass without gradients: residual, the widest layer's intermediates, logits in 32 bits.

    ``a M (4 H + widest) + 4 sequences V / tp``, the widest being qkv, the feed-forward, or the rows an expert shard
    receives.
    """
    widest: Num = 0.0
    for mixer, block in _kinds(model):
        if isinstance(mixer, Mla):
            heads = mixer.heads * (mixer.nope_dim + mixer.rope_dim + 2 * mixer.value_dim)
        else:
            heads = mixer.heads * 3 * mixer.head_dim
        widest = larger(widest, heads / layout.tp)
        if isinstance(block, Dense):
            widest = larger(widest, 3 * block.width / layout.tp)
        else:
            rows = layout.dp * block.top_k / layout.ep
            widest = larger(widest, rows * (2 * model.hidden + 3 * block.width / layout.expert_tp))
    return tokens * ACTIVATION.bytes * (4 * model.hidden + widest) + 4 * sequences * model.vocab / layout.tp


def most_sequences(capacity: Bytes, fixed: Bytes, per_sequence: Bytes) -> Count:
    """Return how many sequences' caches fit beside what is fixed: ``floor((capacity - fixed) / per_sequence)``, at least 0.

    >>> float(most_sequences(80e9, 16e9, 2e9))
    32.0
    """
    return larger(floor((capacity - fixed) / per_sequence), 0.0)
