"""Frozen nouns of a model: a plan of layers, each an attention kind and a feed-forward kind. Closed unions, no class trees."""

from __future__ import annotations

from typing import TypeAlias

import attrs
from attrs import frozen

from roofline.dtypes import dtype


@frozen
class Gqa:
    """Softmax attention with ``kv_heads`` key-value heads: MHA at kv_heads = heads, MQA at 1, GQA between.

    Attributes:
        bias: biases on the query, key and value projections.
        out_bias: a bias on the output projection.
        qk_norm: queries and keys are normalised per head.
        window: a token attends to this many tokens at most; None for all.
    """

    heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    window: int | None = None


@frozen
class Mla:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): one latent of ``kv_rank`` for all heads.

    Attributes:
        q_rank: rank of the compressed query; None where the query projection is whole.
        kv_rank: width of the cached latent.
        nope_dim: query and key width of a head without position.
        rope_dim: width of the position part, cached once for all heads.
        value_dim: value width of a head.
    """

    heads: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    q_rank: int | None = None


Attention: TypeAlias = Gqa | Mla


@frozen
class Dense:
    """A feed-forward block of ``width``; gated ones (SwiGLU) have three matrices, the others two."""

    width: int
    gated: bool = True
    bias: bool = False


@frozen
class Moe:
    """A mixture of ``experts`` of which each token visits ``top_k``, beside a shared block that every token visits.

    Attributes:
        width: width of one routed expert.
        shared_width: total width of the shared experts; 0 for none.
        shared_gate: the shared block's output is scaled by a learned gate.
    """

    experts: int
    top_k: int
    width: int
    shared_width: int = 0
    shared_gate: bool = False


FeedForward: TypeAlias = Dense | Moe


@frozen
class Layers:
    """A run of ``count`` equal layers."""

    count: int
    attention: Attention
    ffn: FeedForward


COMPONENTS = ("attention", "dense", "router", "experts", "shared", "head", "embedding")
"""The parts of a model that may be stored in formats of their own."""


@frozen
class Formats:
    """The stored format of each component, and of the KV cache."""

    attention: str = "bf16"
    dense: str = "bf16"
    router: str = "bf16"
    experts: str = "bf16"
    shared: str = "bf16"
    head: str = "bf16"
    embedding: str = "bf16"
    kv: str = "bf16"

    def __attrs_post_init__(self) -> None:
        for name in attrs.asdict(self).values():
            dtype(name)

    def linear(self, name: str) -> Formats:
        """Return these formats with every matrix inside the layers stored as ``name``, as quantised checkpoints do.

        Router, embedding and head keep their own.
        """
        return attrs.evolve(self, attention=name, dense=name, experts=name, shared=name)

    @classmethod
    def all(cls, name: str) -> Formats:
        """Return formats with everything stored as ``name`` (a 16- or 32-bit checkpoint)."""
        return cls(**dict.fromkeys(attrs.fields_dict(cls), name))


@frozen
class Model:
    """An architecture: hidden size, vocabulary and the plan of its layers.

    Attributes:
        mtp: multi-token-prediction modules, each one more layer like the last and a projection.
        tied: the head shares the embedding's weights.
        max_context: tokens the model was made for; 0 where its files do not say.
        family: the ``model_type`` of its config.json.
        source: where the dimensions come from; ``note``: what had to be put in.
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

    @property
    def depth(self) -> int:
        """Number of layers, multi-token-prediction modules not counted."""
        return sum(run.count for run in self.layers)

    @property
    def heads(self) -> int:
        """Query heads of the widest attention: what tensor parallelism must divide."""
        return max(run.attention.heads for run in self.layers)

    @property
    def experts(self) -> int:
        """Routed experts of a layer; 0 for a dense model."""
        return max((run.ffn.experts for run in self.layers if isinstance(run.ffn, Moe)), default=0)

    @property
    def dtype(self) -> str:
        """The format of most of its weights, and the others inside the layers beside it."""
        main = (self.formats.experts,) if self.experts else ()
        dense = (self.formats.dense,) if any(isinstance(run.ffn, Dense) for run in self.layers) else ()
        return "+".join(dict.fromkeys((*main, *dense, self.formats.attention)))

    @property
    def formats_line(self) -> str:
        """The formats of weights and cache, in words."""
        return f"{self.dtype} weights, {self.formats.kv} cache"

    def stored(self, weights: str | None = None, kv: str | None = None) -> Model:
        """Return the model with its layers' matrices, and its KV cache, stored in other formats.

        Raises:
            UnknownNameError: no such dtype.
        """
        formats = self.formats if weights is None else self.formats.linear(dtype(weights).name)
        if kv is not None:
            formats = attrs.evolve(formats, kv=dtype(kv).name)
        return attrs.evolve(self, formats=formats)
