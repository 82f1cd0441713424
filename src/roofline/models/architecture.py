"""Frozen nouns of a model: a plan of layers, each an attention kind and a feed-forward kind, and the formats it is stored in."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Mapping
from itertools import groupby
from typing import Any, TypeAlias

import attrs
from attrs import field, frozen

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import named
from roofline.core.signatures import typed_methods
from roofline.core.units import GIGA, Bytes
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
    "Tower",
]


@frozen(cache_hash=True)
class Layers:
    """A run of ``count`` equal layers.

    Attributes:
        count: how many layers the run has.
        attention: the attention of each, or what stands in its place.
        ffn: the feed-forward block of each.
    """

    count: int
    attention: Attention
    ffn: FeedForward


@frozen
class Hyper:
    """Hyper-connections (arXiv:2409.19606): ``streams`` residual streams, mixed before and after every block.

    Attributes:
        streams: residual streams side by side.
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
    """A second embedding table that gives every layer a vector of ``dim`` a token, gated and projected into the stream.

    Attributes:
        vocab: tokens, the rows of the table.
        dim: width of a layer's vector, elements.
    """

    vocab: int
    dim: int


COMPONENTS = ("attention", "recurrent", "dense", "router", "experts", "shared", "residual", "head", "embedding", "mtp")
"""The parts of a model that may be stored in formats of their own; ``mtp``: the multi-token-prediction modules."""

Mix: TypeAlias = tuple[tuple[str, float], ...]
"""Formats and the share of the elements that each has, the largest first."""


@frozen(cache_hash=True)
class Formats:
    """The stored format of each component, of the KV cache, and of the state of linear attention (32 bits unless a file says).

    Attributes:
        attention: format of the projections of softmax attention.
        recurrent: format of the projections of linear attention and Mamba.
        dense: format of the feed-forward blocks of dense layers.
        router: format of the router of the experts.
        experts: format of the routed experts.
        shared: format of the shared experts.
        residual: format of matrices on the residual stream outside the blocks, such as the fusion of a draft model.
        head: format of the output head.
        embedding: format of the embedding tables.
        mtp: format of the multi-token-prediction modules.
        kv: format of the KV cache.
        state: format of the state of linear attention and Mamba.
        mixes: components whose modules are stored in several formats, with the share of each; the component's own field has the
            largest.
    """

    attention: str = "bf16"
    recurrent: str = "bf16"
    dense: str = "bf16"
    router: str = "bf16"
    experts: str = "bf16"
    shared: str = "bf16"
    residual: str = "bf16"
    head: str = "bf16"
    embedding: str = "bf16"
    mtp: str = "bf16"
    kv: str = "bf16"
    state: str = "fp32"
    mixes: tuple[tuple[str, Mix], ...] = ()

    def __attrs_post_init__(self) -> None:
        for part in (*COMPONENTS, "kv", "state"):
            for name, _ in self.mix(part):
                dtype(name)

    def mix(self, component: str) -> Mix:
        """Return the formats of a component, each with its share of the elements.

        >>> Formats(dense="fp8").mix("dense"), Formats().mixed("dense", {"fp8": 3.0, "bf16": 1.0}).mix("dense")
        ((('fp8', 1.0),), (('fp8', 0.75), ('bf16', 0.25)))
        """
        return dict(self.mixes).get(component) or ((getattr(self, component), 1.0),)

    def bytes(self, component: str) -> Bytes:
        """Return the bytes of one stored element of a component, the mean of its formats."""
        return sum(share * dtype(name).bytes for name, share in self.mix(component))

    def names(self, *components: str) -> tuple[str, ...]:
        """Return all formats of components, without doubles."""
        return tuple(dict.fromkeys(name for each in components for name, _ in self.mix(each)))

    def mixed(self, component: str, elements: Mapping[str, float]) -> Formats:
        """Return these formats with a component stored in several: its elements by format."""
        whole = sum(elements.values())
        mix = sorted(((name, count / whole) for name, count in elements.items() if count), key=lambda each: -each[1])
        others = tuple(each for each in self.mixes if each[0] != component)
        mixes = others if len(mix) < 2 else (*others, (component, tuple(mix)))
        return attrs.evolve(self, **{component: mix[0][0]}, mixes=mixes)

    def split(self, *components: str) -> tuple[tuple[float, Formats], ...]:
        """Return the shares of layers in which each of these components has one format, with the formats there.

        The shares of several mixed components are laid side by side, each from its largest format on.
        """
        mixes = {name: self.mix(name) for name in components if len(self.mix(name)) > 1}
        if not mixes:
            return ((1.0, self),)
        cuts = {0.0, 1.0}
        for mix in mixes.values():
            cuts |= set(itertools.accumulate(share for _, share in mix[:-1]))
        edges, out = sorted(cuts), []
        others = tuple(each for each in self.mixes if each[0] not in mixes)
        for low, high in itertools.pairwise(edges):
            own = {name: _at(mix, (low + high) / 2) for name, mix in mixes.items()}
            out.append((high - low, attrs.evolve(self, **own, mixes=others)))
        return tuple(out)

    def linear(self, name: str) -> Formats:
        """Return these formats with every matrix inside the layers stored as ``name``, as quantised checkpoints do.

        Router, embedding and head keep their own.
        """
        parts = ("attention", "recurrent", "dense", "experts", "shared", "mtp")
        others = tuple(each for each in self.mixes if each[0] not in parts)
        return attrs.evolve(self, **dict.fromkeys(parts, name), mixes=others)

    @classmethod
    def all(cls, name: str) -> Formats:
        """Return formats with everything stored as ``name`` (a 16- or 32-bit checkpoint)."""
        names: dict[str, Any] = dict.fromkeys((*COMPONENTS, "kv"), name)
        return cls(**names)


def _at(mix: Mix, place: float) -> str:
    """Return the format at a place in [0, 1] of a mix laid out by its shares."""
    ends = itertools.accumulate(share for _, share in mix)
    return next((name for (name, _), end in zip(mix, ends, strict=True) if place < end), mix[-1][0])


@frozen
class Tower:
    """A part of a checkpoint that no token of text passes through: an encoder of images or sound, experts of images alone.

    Its weights are held; its time is left out.

    Attributes:
        name: name of the part.
        parameters: how many it holds.
    """

    name: str
    parameters: int


@typed_methods
@frozen(cache_hash=True)
class Model:
    """An architecture: hidden size, vocabulary and the plan of its layers.

    Attributes:
        name: name of the model, as catalogued.
        hidden: width of the hidden state, elements.
        vocab: tokens in the vocabulary.
        layers: the plan: runs of equal layers, in order.
        tied: the head shares the embedding's weights.
        mtp: multi-token-prediction modules, each one more layer like ``draft`` and a projection.
        max_context: tokens the model was made for; 0 where its files do not say.
        formats: the stored format of each component.
        family: the ``model_type`` of its config.json.
        source: where the dimensions come from.
        note: what had to be put in where the source does not say.
        norm_params: parameters of a normalisation, as a multiple of its width: 1, 2 with a bias, 0 where none are learned.
        outer_norms: normalisations outside the layers: before the head, and after the embedding where there is one.
        positions: rows of a table of learned positions; 0 for none.
        head_bias: a bias on the head.
        hyper: its hyper-connections; None for a plain residual stream.
        per_layer: its embedding of vectors for each layer; None where it has none.
        draft: the layer of a multi-token-prediction module; the last of the plan if None.
        warnings: what its file says that is not understood and could matter.
        role: empty for a model that generates text, ``"draft"`` for one that proposes tokens to another, ``"encoder"`` for one that
            only reads.
        fusion: inputs of the projection that makes a draft model's hidden state of its target's; 0 for none.
        embedded: it has an embedding of its own; a draft model may use its target's.
        headed: it has a head of its own; a draft model may use its target's.
        towers: encoders of other inputs, and what else is held and not met by text.
        speculator: the draft model it is served with.
        block: tokens that a draft model proposes in one pass; 0 where each takes a pass.
        scale: bytes of its checkpoint's files over those that its plan and formats describe; 1 where no files were seen.
    """

    name: str = field(converter=named)
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
    role: str = ""
    fusion: int = 0
    embedded: bool = True
    headed: bool = True
    towers: tuple[Tower, ...] = ()
    speculator: Model | None = None
    block: int = 0
    scale: float = 1.0

    @property
    def notices(self) -> tuple[str, ...]:
        """What an answer for this model must say of it: its warnings, what is left out, and what it is."""
        out = list(self.warnings)
        if self.towers:
            words = ", ".join(f"{tower.name} ({tower.parameters / GIGA:.3g} B)" for tower in self.towers)
            out.append(f"the weights of {self.name} include {words}; the time of these is left out")
        if self.role == "draft":
            out.append(f"{self.name} is a draft model: it needs a target (--draft-model), whose embedding it may use")
        return tuple(out)

    @property
    def proposed(self) -> int:
        """Tokens that a draft model proposes before they are verified, where nothing says: its block, or three."""
        return self.block - 1 if self.block > 1 else 3

    def with_draft(self, draft: Model) -> Model:
        """Return the model served with a draft model in place of modules of its own.

        Raises:
            QuestionError: the draft model is an encoder, or has a draft model itself.
        """
        if draft.role == "encoder" or draft.speculator is not None:
            raise QuestionError(fault("draft_model", draft.name, "must be a model that proposes tokens"))
        warnings = (*self.warnings, *(f"draft model: {each}" for each in draft.warnings))
        return attrs.evolve(self, mtp=0, draft=None, speculator=draft, warnings=warnings)

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
        stored = (
            ("experts", {Moe}),
            ("dense", {Dense}),
            ("attention", {Gqa, Mla, Compressed}),
            ("recurrent", {Linear, Mamba}),
        )
        return "+".join(self.formats.names(*(part for part, of in stored if of & kinds)))

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
        if weights is None and kv is None:
            return self
        formats = self.formats if weights is None else self.formats.linear(dtype(weights).name)
        if kv is not None:
            formats = attrs.evolve(formats, kv=dtype(kv, "kv_dtype").name)
        return attrs.evolve(self, formats=formats, scale=self.scale if weights is None else 1.0)

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
        layers_left = []
        for kind in every:
            if left[kind]:
                left[kind] -= 1
                layers_left.append(kind)
        runs = tuple(Layers(len(list(same)), *kind) for kind, same in groupby(layers_left))
        remark = f"cut to {layers} of {self.depth} layers, the first of each kind by its share of them"
        note = "; ".join(filter(None, (self.note, remark)))
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
