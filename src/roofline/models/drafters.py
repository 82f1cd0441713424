"""The draft model that a model without modules of its own is usually served with: EAGLE-3."""

from __future__ import annotations

from typing import Final

from roofline.models.architecture import Layers, Model
from roofline.models.blocks import Dense, Gqa

_STATES: Final = 3
"""Hidden states of the target that are joined: an early, a middle and a late one (EAGLE-3, arXiv:2503.01840, section 3)."""
_VOCABULARY: Final = 32_000
"""Tokens that published EAGLE-3 heads choose among (draft_vocab_size of yuhuili/EAGLE3-LLaMA3.1-Instruct-8B's config.json)."""
_WIDTH: Final = 3.5
"""Width of the feed-forward block over the hidden size, where the target has none to copy (the same file: 14,336 / 4,096)."""
_HEAD: Final = 128


def eagle3(target: Model) -> Model:
    """Return an EAGLE-3 draft model: one layer like the target's, fed by three of its states, and a head of 32,000 tokens, in 16 bits.

    Args:
        target: the model it proposes tokens to.

    >>> from roofline import catalog
    >>> made = eagle3(catalog.model("llama-3.1-8b"))
    >>> made.depth, made.fusion, made.vocab, made.layers[0].ffn.width
    (1, 12288, 32000, 14336)
    """
    own = next((run.attention for run in target.layers if isinstance(run.attention, Gqa)), None)
    heads = max(target.hidden // _HEAD, 1) if own is None else own.heads
    grouped = min(heads, 8) if own is None else own.kv_heads
    wide = next((run.ffn.width for run in target.layers if isinstance(run.ffn, Dense)), round(_WIDTH * target.hidden))
    attention = Gqa(heads, grouped, _HEAD if own is None else own.head_dim, streams=2)
    return Model(
        f"{target.name}-eagle3", target.hidden, _VOCABULARY, (Layers(1, attention, Dense(wide)),), role="draft",
        fusion=_STATES * target.hidden, embedded=False, source="EAGLE-3, arXiv:2503.01840, section 3",
    )  # fmt: skip
