"""Frozen nouns of a model: a plan of layers, each an attention kind and a feed-forward kind, and the formats it is stored in."""

from __future__ import annotations

import functools
from collections import Counter
from itertools import groupby

import attrs
from attrs import frozen

from roofline.core.errors import QuestionError, fault
from roofline.models.blocks import (
    Absent,
    Attention,
    Compressed,
    Dense,
    FeedForward,
    Gqa,
    Indexer,
    Linear,
    Mamba,
    Mla,
    Moe,
)
from roofline.models.dtypes import dtype

__all__ = [
    "COMPONENTS",
    "Absent",
    "Attention",
    "Compressed",
    "Dense",
    "FeedForward",
    "Formats",
    "Gqa",
    "Hyper",
    "Indexer",
    "Layers",
    "Linear",
    "Mamba",
    "Mla",
    "Model",
    "Moe",
    "PerLayer",
]


@frozen
class Layers:
    """A run of ``count`` equal layers."""

    count: int
    attention: Attention
    ffn: FeedForward


@frozen
class Hyper:
    """Hyper-connections (arXiv:2409.19606): ``streams`` residual streams, mixed before and after every block.

    Attributes:
        coefficients: mixing coefficients of a block, each from all streams of a token.
        scales: learned scales beside them.
        head: the streams are mixed into one before the head by learned weights.
    """

    streams: int
    coefficients: int
    scales: int = 0
    head: bool = False


@frozen
class PerLayer:
    """A second embedding table that gives every layer a vector of ``dim`` a token, gated and projected into the stream."""

    vocab: int
    dim: int


COMPONENTS = ("attention", "recurrent", "dense", "router", "experts", "shared", "residual", "head", "embedding")
"""The parts of a model that may be stored in formats of their own."""


@frozen
class Formats:
    """The stored format of each component, of the KV cache, and of the state of linear attention (32 bits unless a file says)."""

    attention: str = "bf16"
    recurrent: str = "bf16"
    dense: str = "bf16"
    router: str = "bf16"
    experts: str = "bf16"
    shared: str = "bf16"
    residual: str = "bf16"
    head: str = "bf16"
    embedding: str = "bf16"
    kv: str = "bf16"
    state: str = "fp32"

    def __attrs_post_init__(self) -> None:
        for name in attrs.asdict(self).values():
            dtype(name)

    def linear(self, name: str) -> Formats:
        """Return these formats with every matrix inside the layers stored as ``name``, as quantised checkpoints do.

        Router, embedding and head keep their own.
        """
        return attrs.evolve(self, attention=name, recurrent=name, dense=name, experts=name, shared=name)

    @classmethod
    def all(cls, name: str) -> Formats:
        """Return formats with everything stored as ``name`` (a 16- or 32-bit checkpoint)."""
        return cls(**dict.fromkeys((*COMPONENTS, "kv"), name))


@frozen
class Model:
    """An architecture: hidden size, vocabulary and the plan of its layers.

    Attributes:
        mtp: multi-token-prediction modules, each one more layer like ``draft`` and a projection.
        tied: the head shares the embedding's weights.
        max_context: tokens the model was made for; 0 where its files do not say.
        family: the ``model_type`` of its config.json.
        source: where the dimensions come from; ``note``: what had to be put in.
        norm_params: parameters of a normalisation, as a multiple of its width: 1, 2 with a bias, 0 where none are learned.
        outer_norms: normalisations outside the layers: before the head, and after the embedding where there is one.
        positions: rows of a table of learned positions; 0 for none.
        head_bias: a bias on the head.
        draft: the layer of a multi-token-prediction module; the last of the plan if None.
        warnings: what its file says that is not understood and could matter.
    """

    name: str
    hidden: int
    vocab: int
    layers: tuple[Layers, ...]
    tied: bool = False
    mtp: int = 0
    max_context: int = 0
    formats: Formats = Formats()
    family: str = ""
    source: str = ""
    note: str = ""
    norm_params: int = 1
    outer_norms: int = 1
    positions: int = 0
    head_bias: bool = False
    hyper: Hyper | None = None
    per_layer: PerLayer | None = None
    draft: Layers | None = None
    warnings: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """Number of layers, multi-token-prediction modules not counted."""
        return sum(run.count for run in self.layers)

    @property
    def drafter(self) -> Layers:
        """The layer of a multi-token-prediction module."""
        return self.layers[-1] if self.draft is None else self.draft

    @property
    def heads(self) -> int:
        """Heads of the widest attention: what tensor parallelism must divide."""
        return max(run.attention.heads for run in self.layers) or 1

    @property
    def experts(self) -> int:
        """Routed experts of a layer; 0 for a dense model."""
        return max((run.ffn.experts for run in self.layers if isinstance(run.ffn, Moe)), default=0)

    @property
    def dtype(self) -> str:
        """The format of most of its weights, and the others inside the layers beside it."""
        kinds = {type(block) for run in self.layers for block in (run.ffn, run.attention)}
        held = (
            (self.formats.experts, {Moe}),
            (self.formats.dense, {Dense}),
            (self.formats.attention, {Gqa, Mla, Compressed}),
            (self.formats.recurrent, {Linear, Mamba}),
        )
        return "+".join(dict.fromkeys(name for name, of in held if of & kinds))

    @property
    def formats_line(self) -> str:
        """The formats of weights and cache, in words."""
        return f"{self.dtype} weights, {self.formats.kv} cache"

    def unwindowed(self) -> Model:
        """Return the model with every layer that has a sliding window seeing all tokens, as where none is kept."""
        return _unwindowed(self)

    def stored(self, weights: str | None = None, kv: str | None = None) -> Model:
        """Return the model with its layers' matrices, and its KV cache, stored in other formats.

        Raises:
            UnknownNameError: no such dtype.
        """
        formats = self.formats if weights is None else self.formats.linear(dtype(weights).name)
        if kv is not None:
            formats = attrs.evolve(formats, kv=dtype(kv).name)
        return attrs.evolve(self, formats=formats)

    def without_mtp(self) -> Model:
        """Return the model without its multi-token-prediction modules."""
        return attrs.evolve(self, name=f"{self.name}-without-mtp", mtp=0, draft=None)

    def cut(self, layers: int) -> Model:
        """Return the model cut to fewer layers, as benchmarks cut it: the first layers of each kind.

        Of a kind as many are kept as its share of the depth, and at least one; embedding and head stay, modules that predict
        more tokens go. So DeepSeek-V3 in 4 layers has one dense layer of its three, and three with experts.

        Raises:
            QuestionError: no layers, or more than there are.
        """
        if not 1 <= layers <= self.depth:
            raise QuestionError(fault("layers", layers, f"must be from 1 to the {self.depth} that {self.name} has"))
        every = [(run.attention, run.ffn) for run in self.layers for _ in range(run.count)]
        left = _shares(Counter(every), layers)
        kept = []
        for kind in every:
            if left[kind]:
                left[kind] -= 1
                kept.append(kind)
        runs = tuple(Layers(len(list(same)), *kind) for kind, same in groupby(kept))
        said = f"cut to {layers} of {self.depth} layers, the first of each kind by its share of them"
        note = "; ".join(filter(None, (self.note, said)))
        return attrs.evolve(self.without_mtp(), name=f"{self.name}-{layers}-layers", layers=runs, note=note)


def _shares(counts: Counter[tuple[Attention, FeedForward]], total: int) -> Counter[tuple[Attention, FeedForward]]:
    """Return ``total`` shared out in proportion to counts, by the largest remainder; each has at least one if that goes."""
    exact = {kind: total * count / counts.total() for kind, count in counts.items()}
    out = Counter({kind: max(int(share), 1) for kind, share in exact.items()})
    while step := total - out.total():
        sign = 1 if step > 0 else -1
        out[max(exact, key=lambda kind: sign * (exact[kind] - out[kind]))] += sign
    return out


@functools.cache
def _unwindowed(model: Model) -> Model:
    def seeing_all(run: Layers) -> Layers:
        mixer = run.attention
        if not isinstance(mixer, Gqa) or mixer.chunked:
            return run
        return attrs.evolve(run, attention=attrs.evolve(mixer, window=None))

    draft = None if model.draft is None else seeing_all(model.draft)
    return attrs.evolve(model, layers=tuple(seeing_all(run) for run in model.layers), draft=draft)
