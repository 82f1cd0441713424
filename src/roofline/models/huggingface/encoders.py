"""Encoders, and decoders that attend to an encoder: BERT and its kin, Whisper, Llama 3.2 Vision."""

from __future__ import annotations

from attrs import evolve

from roofline.core.mappings import Table
from roofline.models.architecture import Absent, Dense, Gqa, Tower
from roofline.models.huggingface.common import (
    DEEPEST,
    WIDEST,
    Pair,
    Plan,
    dense,
    depth,
    gqa,
    hidden,
    integers,
    upto,
    width,
)

_TILES = 4 * 1601
"""Tokens of an image for Llama 3.2 Vision: four tiles of 40 x 40 patches and a class token each (its model card)."""


def bert(t: Table) -> Plan:
    """BERT, RoBERTa and XLM-R: all tokens see all others, biases everywhere, norms with a bias, positions in a table."""
    attention = gqa(t, bias=True, out_bias=True, causal=False)
    block = dense(t, gated=False, bias=True)
    rows = upto(t, "max_position_embeddings", default=512) + upto(t, "type_vocab_size", default=2)
    also = {"norm_params": 2, "positions": rows, "role": "encoder", "headed": False}
    return Plan([(attention, block)] * depth(t), also)


def modernbert(t: Table) -> Plan:
    """ModernBERT: gated blocks, a window in two of three layers, no table of positions."""
    layers, every = depth(t), upto(t, "global_attn_every_n_layers", default=3, most=DEEPEST) or 3
    full = gqa(t, causal=False)
    local = evolve(full, window=width(t, "local_attention", default=128))
    block = dense(t)
    pairs: list[Pair] = [(local if i % every else full, block) for i in range(layers)]
    return Plan(pairs, {"role": "encoder", "headed": False})


def nomic_bert(t: Table) -> Plan:
    """Nomic BERT: as BERT, with turned positions and a gate."""
    block = Dense(width(t, "n_inner", "intermediate_size"), bias=t.flag("mlp_fc1_bias"))
    return Plan(
        [(gqa(t, bias=t.flag("qkv_proj_bias"), causal=False), block)] * depth(t),
        {"norm_params": 2, "role": "encoder", "headed": False},
    )


def whisper(t: Table) -> Plan:
    """Whisper: a decoder that attends to itself and to 1,500 states of an encoder, which is counted as a tower."""
    size, layers = hidden(t), width(t, "decoder_layers")
    heads = width(t, "decoder_attention_heads")
    if size % heads:
        raise t.fail("decoder_attention_heads", f"must divide d_model {size}")
    t.raw("num_hidden_layers", None)
    own = Gqa(heads, heads, size // heads, bias=True, out_bias=True)
    seen = width(t, "max_source_positions", default=1500)
    block = Dense(width(t, "decoder_ffn_dim"), gated=False, bias=True)
    pairs: list[Pair] = [(own, Absent()), (evolve(own, cross=seen), block)]
    wide, bins = width(t, "encoder_ffn_dim"), width(t, "num_mel_bins", default=80)
    t.raw("encoder_attention_heads", None)
    each = 4 * size * size + 4 * size + 2 * size * wide + wide + size + 4 * size
    into = 3 * size * bins + size + 3 * size * size + size + seen * size
    encoder = Tower("audio encoder", width(t, "encoder_layers") * each + into + 2 * size)
    positions = upto(t, "max_target_positions", default=448)
    return Plan(
        pairs * layers,
        {
            "norm_params": 2,
            "positions": positions,
            "towers": (encoder,),
            "blocks": 2,
            "tied": True,
            "max_context": positions,
        },
    )


def mllama(t: Table) -> Plan:
    """Llama 3.2 Vision: some layers attend to the states of an image in place of the text."""
    layers, crossed = depth(t), set(integers(t, "cross_attention_layers", most=WIDEST))
    full = gqa(t)
    other = evolve(full, cross=_TILES, qk_norm=True)
    return Plan([(other if i in crossed else full, dense(t)) for i in range(layers)])
