r"""How engines lay out the cache of compressed attention (DeepSeek-V4): streams, keys of their index, windows and compressors.

An entry of a stream has d elements and is stored in ``entry`` bytes each (448 elements in fp8, 64 in bf16 and 8 scales: 584 bytes for 512
elements). A compressor holds content and gate of each projection in 32 bits until an entry is made of them,

.. math:: 4 \cdot 2 (1 + \mathrm{overlap}) (d + d_\mathrm{index})

bytes for each token that it waits for.

Two layouts are known: pages of one pool (:func:`paged`, vLLM), and pools by kind (:func:`pooled`, SGLang).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from roofline.core.arrays import ceil, larger, smaller
from roofline.core.units import Bytes, Count, Ratio
from roofline.models.architecture import Compressed, Model
from roofline.models.dtypes import dtype

KEY: Final = 1.03125
"""Bytes of an element of an index's keys: fp8 with a scale of 32 bits for 128 of them."""


def compresses(model: Model) -> bool:
    """Return whether a model has compressed attention."""
    return any(isinstance(run.attention, Compressed) for run in model.layers)


def _mixers(model: Model) -> Iterator[tuple[int, Compressed]]:
    for run in model.layers:
        if isinstance(run.attention, Compressed):
            yield run.count, run.attention


def _stored(model: Model, entry: Bytes) -> Bytes:
    """Return the bytes of an element of a stream: the engine's own, or those of the cache's format."""
    return entry or dtype(model.formats.kv).bytes


def _state(mixer: Compressed, dim: int) -> Bytes:
    """Return the bytes of a token that a compressor of ``dim`` elements holds."""
    return 2 * (1 + mixer.overlap) * dim * dtype("fp32").bytes


def compressor_bytes(model: Model) -> Bytes:
    """Return the bytes of a token that compressors hold until an entry is made of it, over all layers."""
    out: Bytes = 0.0
    for count, mixer in _mixers(model):
        if mixer.ratio:
            out = out + count * _state(mixer, mixer.dim + (0 if mixer.indexer is None else mixer.indexer.dim))
    return out


def paged(model: Model, length: Count, entry: Bytes, tokens: Count, passing: Count, *, apart: bool) -> Bytes:
    """Return the bytes of a sequence in a pool of pages, each for ``length`` tokens of the finest stream.

    A stream has a page for ``length`` tokens, and one for the keys of its index; a window one for what fits of it, the pass included; a
    compressor one for the largest power of two of tokens that fit in a page, and another for that of the index.

    Args:
        model: with windows that are wider by the pass already.
        length: tokens of a page.
        entry: bytes of an element of a stream; 0 for those of the cache's format.
        tokens: tokens of the sequence.
        passing: tokens of the largest pass.
        apart: pages of keys, and of what fits in them, are of the keys' size; where not, all pages are of one size.
    """
    width = _stored(model, entry)
    mixers = list(_mixers(model))
    finest = min((mixer.ratio for _, mixer in mixers if mixer.ratio), default=1)
    page = max((mixer.dim for _, mixer in mixers), default=0) * width * length / finest
    keys = max((mixer.indexer.dim for _, mixer in mixers if mixer.indexer), default=0) * KEY * length / finest
    small = keys if apart and keys else page
    out: Bytes = 0.0
    for count, mixer in mixers:
        each = smaller(tokens, mixer.window) * mixer.dim * width
        if mixer.ratio:
            stored = smaller(tokens, passing) / 2.0 ** np.floor(np.log2(page / _state(mixer, mixer.dim)))
            whole = ceil(tokens / length)
            own = small if mixer.dim * width * length / mixer.ratio <= small else page
            each = each + whole * own + stored * page
            if mixer.indexer is not None:
                each = each + (whole + stored) * small
        out = out + count * each
    return out


def pooled(model: Model, room: Ratio, entry: Bytes, tokens: Count) -> Bytes:
    r"""Return the bytes of a sequence where windows and compressors have pools of ``room`` tokens to each token of the streams.

    .. math:: \max\!\Big(S, \frac{\min(S, w)}{r}\Big) \Big( \sum \frac{d}{\rho} + r \sum \Big( d + \frac{(1 + o) \rho}{w}\, s \Big) \Big)

    with streams of ratio :math:`\rho`, windows w and compressors' states s of :math:`(1 + o) \rho` tokens for each window.
    """
    width = _stored(model, entry)
    streams: Bytes = 0.0
    beside: Bytes = 0.0
    longest = 1
    for count, mixer in _mixers(model):
        longest = max(longest, mixer.window)
        beside = beside + count * mixer.dim * width
        if mixer.ratio:
            index = 0 if mixer.indexer is None else mixer.indexer.dim
            streams = streams + count * (mixer.dim * width + index * KEY) / mixer.ratio
            ring = (1 + mixer.overlap) * mixer.ratio / mixer.window
            beside = beside + count * ring * _state(mixer, mixer.dim + index)
    return (streams + room * beside) * larger(tokens, smaller(tokens, longest) / room)
