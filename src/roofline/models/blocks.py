"""Frozen nouns of a layer: the kinds of attention (or what stands in its place) and of feed-forward. Closed unions, no class trees.

Every kind says how many normalisations of the residual stream belong to it (``norms``): one before it, one more after it where
blocks are sandwiched, none where a parallel block shares the attention's.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen


@frozen(cache_hash=True)
class Indexer:
    """Chooses the tokens a query attends to (DSA; DeepSeek-V3.2, arXiv:2512.02556, section 2.1): cheap heads score every key.

    Attributes:
        heads: index heads that score every key.
        dim: width of an index head, elements.
        top_k: tokens a query attends to at most.
        q_rank: rank of the compressed query that its queries come from; None where they come from the hidden state.
        weighted: each head's score is weighted by the token.
        pool: tokens behind one stored index key.
        projections: projections of width ``dim`` that make an index key: one, or gated and overlapping ones.
        extra: parameters outside its matrices: norms, tables of positions.
        reused: the layer attends to what an earlier one chose: it scores nothing and stores no key.
    """

    heads: int
    dim: int
    top_k: int
    q_rank: int | None = None
    weighted: bool = True
    pool: int = 1
    projections: int = 1
    extra: int = 0
    reused: bool = False


@frozen(cache_hash=True)
class Gqa:
    """Softmax attention with ``kv_heads`` key-value heads: MHA at kv_heads = heads, MQA at 1, GQA between.

    Attributes:
        heads: query heads.
        kv_heads: key-value heads.
        head_dim: width of a query and key head, elements.
        bias: biases on the query, key and value projections.
        out_bias: a bias on the output projection.
        qk_norm: queries and keys are normalised with learned weights.
        window: a token attends to this many tokens at most; None for all.
        value_dim: width of a value head; None where it is ``head_dim``.
        chunked: the window is a chunk that begins anew (Llama 4), not one that slides.
        norm_all: the query-key norm has weights of its own for every head.
        sinks: a learned logit a head that takes attention to nothing.
        gate_dim: elements a head of a gate on the output: 0 for none, 1 for one a head, or one for each value.
        q_rank: rank of a compressed, normalised query; None where the projection is whole.
        shared_kv: keys and values are those that an earlier layer cached.
        same_kv: values are made from the keys' projection.
        indexer: chooses what is attended to.
        norms: normalisations of the residual stream that belong to it.
        streams: hidden states side by side that queries, keys and values are made of: two in the first layer of an EAGLE draft model.
        cross: keys and values are made of this many states of an encoder, once for a sequence; 0 for those of the text.
        causal: a token sees none after it; encoders see all.
    """

    heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    window: int | None = None
    value_dim: int | None = None
    chunked: bool = False
    norm_all: bool = False
    sinks: bool = False
    gate_dim: int = 0
    q_rank: int | None = None
    shared_kv: bool = False
    same_kv: bool = False
    indexer: Indexer | None = None
    norms: int = 1
    streams: int = 1
    cross: int = 0
    causal: bool = True

    @property
    def value_width(self) -> int:
        """Width of a value head."""
        return self.head_dim if self.value_dim is None else self.value_dim


@frozen(cache_hash=True)
class Mla:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1): one latent of ``kv_rank`` for all heads.

    Attributes:
        heads: attention heads.
        kv_rank: width of the cached latent.
        nope_dim: query and key width of a head without position.
        rope_dim: width of the position part, cached once for all heads; 0 where no layer turns it.
        value_dim: value width of a head.
        q_rank: rank of the compressed query; None where the query projection is whole.
        bias: biases on the projections into the latents, and on the output projection.
        gate_dim: elements a head of a gate on the output, as in :class:`Gqa`; 0 for none.
        sinks: a learned logit a head that takes attention to nothing, as in :class:`Gqa`.
        shared_kv: the latent is the one that an earlier layer cached, as in :class:`Gqa`.
        indexer: chooses what is attended to; None where all is.
        extra: parameters outside its matrices, those of its norms apart.
        norms: normalisations of the residual stream that belong to it.
        streams: hidden states side by side that queries, keys and values are made of, as in :class:`Gqa`.
    """

    heads: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    q_rank: int | None = None
    bias: bool = False
    gate_dim: int = 0
    sinks: bool = False
    shared_kv: bool = False
    indexer: Indexer | None = None
    extra: int = 0
    norms: int = 1
    streams: int = 1


@frozen(cache_hash=True)
class Compressed:
    """Attention of all heads over one key-value head: a short window, and a stream that keeps one entry of ``ratio`` tokens.

    DeepSeek-V4 (CSA: a gated, overlapping compressor and an indexer; HCA: a high ratio, everything attended to).

    Attributes:
        heads: query heads.
        dim: width of the one key that is also the value.
        q_rank: rank of the compressed query.
        out_groups: latents that the output projection goes through.
        out_rank: width of each of these latents.
        window: tokens of the short window that a token attends to.
        ratio: tokens behind one entry of the compressed stream; 0 for the window alone.
        overlap: entries overlap: the compressor has two projections of everything.
        indexer: chooses the compressed entries that are attended to; None where all are.
        norms: normalisations of the residual stream that belong to it.
    """

    heads: int
    dim: int
    q_rank: int
    out_groups: int
    out_rank: int
    window: int
    ratio: int = 0
    overlap: bool = False
    indexer: Indexer | None = None
    norms: int = 1

    @property
    def kv_heads(self) -> int:
        """Key-value heads: one."""
        return 1


@frozen(cache_hash=True)
class Linear:
    r"""Linear attention: a matrix a head that every token decays and adds to, in place of a cache.

    .. math:: S_t = \mathrm{diag}(\alpha_t)\,(I - \beta_t k_t k_t^T)\, S_{t-1} + \beta_t k_t v_t^T, \qquad o_t = S_t^T q_t

    Gated DeltaNet (arXiv:2412.06464), Kimi Delta Attention (arXiv:2510.26692), lightning attention (arXiv:2501.08313), and
    Mamba-2 (arXiv:2405.21060), whose groups are key heads, whose B and C are keys and queries, and whose state is the key width.

    Attributes:
        key_heads: heads of keys and queries.
        value_heads: heads of values, each with a state.
        key_dim: width of a key head, elements.
        value_dim: width of a value head, elements.
        conv: taps of the short convolution over queries, keys and values; 0 for none.
        conv_bias: a bias on the short convolution.
        decay: learned decays a head: 0 where they are fixed, 1, or one for each element of a key.
        decay_rank: rank of the projection to decays; 0 where it is whole.
        gate_rank: rank of the projection to the output gate; 0 where it is whole.
        delta: the delta rule: what a key held is taken out first.
        skip: values are also passed on, weighted a head.
        norm_all: the output norm has weights of its own for every head.
        bias: biases on the projections in and out.
        norms: normalisations of the residual stream that belong to it.
    """

    key_heads: int
    value_heads: int
    key_dim: int
    value_dim: int
    conv: int = 0
    conv_bias: bool = False
    decay: int = 1
    decay_rank: int = 0
    gate_rank: int = 0
    delta: bool = True
    skip: bool = False
    norm_all: bool = False
    bias: bool = False
    norms: int = 1

    @property
    def heads(self) -> int:
        """Heads that hold a state."""
        return self.value_heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and queries."""
        return self.key_heads


@frozen(cache_hash=True)
class Mamba:
    """The selective scan of Mamba (arXiv:2312.00752): ``inner`` channels, each with ``state`` elements.

    Attributes:
        inner: channels, the inner width.
        state: elements of the state of a channel.
        rank: rank of the projection to time steps.
        conv: taps of the short convolution.
        conv_bias: a bias on the short convolution.
        bias: biases on the projections in and out.
        normed: time step, input and output vectors are normalised (Jamba).
        norms: normalisations of the residual stream that belong to it.
    """

    inner: int
    state: int
    rank: int
    conv: int = 4
    conv_bias: bool = True
    bias: bool = False
    normed: bool = False
    norms: int = 1

    @property
    def heads(self) -> int:
        """Channels: what tensor parallelism cuts."""
        return self.inner


@frozen(cache_hash=True)
class Absent:
    """No block: layers that are one mixer or one feed-forward, and blocks that a search for architectures left out."""

    @property
    def heads(self) -> int:
        """None to cut."""
        return 0

    @property
    def norms(self) -> int:
        """None."""
        return 0


Attention: TypeAlias = Gqa | Mla | Compressed | Linear | Mamba | Absent


@frozen(cache_hash=True)
class Dense:
    """A feed-forward block of ``width``; gated ones (SwiGLU) have three matrices, the others two.

    Attributes:
        width: inner width, elements.
        gated: it multiplies by a gate (SwiGLU), which takes a third matrix.
        bias: biases on its matrices.
        parallel: it runs beside the attention and their outputs are added up together.
        norms: normalisations of the residual stream that belong to it.
    """

    width: int
    gated: bool = True
    bias: bool = False
    parallel: bool = False
    norms: int = 1


@frozen(cache_hash=True)
class Moe:
    """A mixture of ``experts`` of which each token visits ``top_k``, beside a shared block that every token visits.

    Attributes:
        experts: routed experts of a layer.
        top_k: routed experts that each token visits.
        width: width of one routed expert.
        shared_width: total width of the shared experts, or of a dense block beside the mixture; 0 for none.
        shared_gate: the shared block's output is scaled by a learned gate.
        gated: as in :class:`Dense`, of routed and shared experts.
        bias: biases on the experts' matrices.
        router_bias: a bias on the router, one for each expert.
        latent: width of the hidden state inside the routed experts, projected down before and up after; 0 where it is the model's.
        idle: experts without weights that return their input; a token spends part of its visits there.
        extra: parameters outside its matrices.
        norms: normalisations of the residual stream that belong to it.
        groups: equal groups of experts that the router chooses among (node-limited routing); 1 for no grouping.
        among: groups that the experts of one token are drawn from at most.
    """

    experts: int
    top_k: int
    width: int
    shared_width: int = 0
    shared_gate: bool = False
    gated: bool = True
    bias: bool = False
    router_bias: bool = False
    latent: int = 0
    idle: int = 0
    extra: int = 0
    norms: int = 1
    groups: int = 1
    among: int = 1

    @property
    def visits(self) -> float:
        """Experts with weights that a token visits, on average: ``top_k E / (E + idle)``."""
        return self.top_k * self.experts / (self.experts + self.idle)


FeedForward: TypeAlias = Dense | Moe | Absent
