"""Draft models: EAGLE, EAGLE-3 and P-EAGLE, DFlash and its kin, Medusa, and modules of multi-token prediction filed alone.

A draft model reads hidden states of its target: a projection makes one state of several (``fc``), the first layer of EAGLE-3 takes that
and the embedding of a token side by side. It has no embedding of its own, and a head of its own over a vocabulary of drafts
(EAGLE-3, arXiv:2503.01840, section 3) or none (DFlash).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from roofline.core.mappings import Table
from roofline.models.architecture import Absent, Dense, Gqa, Mla
from roofline.models.huggingface.common import FEW, WIDEST, Pair, Plan, Reader, hidden, upto, width

_BLOCKS: Final = re.compile(r"dflash|dspark|domino|dflare", re.IGNORECASE)
_EAGLE3: Final = re.compile(r"eagle.?3|p.?eagle|parallel.?eagle", re.IGNORECASE)
_EAGLE: Final = re.compile(r"eagle", re.IGNORECASE)
_MTP: Final = re.compile(r"(mtp|nextn)", re.IGNORECASE)
_MEDUSA: Final = re.compile(r"medusa", re.IGNORECASE)

_HIDDEN_STATES: Final = 3
"""Hidden states of the target that EAGLE-3 joins where a file does not list them: an early, a middle and a late one."""


def kind(top: Table) -> str:
    """Return which kind of draft model a file describes; empty for a model of another kind."""
    named = top.raw("architectures", None)
    names = " ".join(each for each in named if isinstance(each, str)) if isinstance(named, (list, tuple)) else ""
    spoken = " ".join(
        str(top.data.get(key) or "")
        for key in ("speculators_model_type", "model_type", "speculative_algorithm", "projector_type")
    )
    text = f"{names} {spoken}"
    if _BLOCKS.search(text) or isinstance(top.data.get("dflash_config"), Mapping):
        return "block"
    if _EAGLE3.search(text) or "draft_vocab_size" in top or "eagle_config" in top:
        return "eagle3"
    if _EAGLE.search(text):
        return "eagle"
    if _MEDUSA.search(text) or "medusa_num_heads" in top:
        return "medusa"
    return "mtp" if _MTP.search(text) else ""


def draft(found: str, t: Table, top: Table, reader: Reader) -> Plan:
    """Return the plan of a draft model of a kind, whose layers a family's reader describes."""
    if found == "medusa":
        return _medusa(t)
    plan = reader(t)
    layers: list[Pair] = list(plan.layers)
    size = hidden(t)
    target = upto(top, "target_hidden_size") or upto(t, "target_hidden_size") or size
    also: dict[str, Any] = {
        "role": "draft",
        "embedded": target != size and found != "block",
        "headed": False,
        "outer_norms": 1,
    }
    for key in _SAID:
        top.raw(key, None)
        t.raw(key, None)
    if found == "eagle3":
        also |= {"fusion": _joined(top, t) * target, "headed": True, "vocab": _vocabulary(top, t)}
        layers = [_wide(layers[0]), *layers[1:]]
    elif found == "eagle":
        also |= {"fusion": 2 * size}
    elif found == "mtp":
        # Of the target's layers one is left: that of the module.
        count = upto(t, "num_nextn_predict_layers", "n_predict", "mtp_num_hidden_layers", default=1, most=FEW) or 1
        also |= {"fusion": 2 * size, "mtp": 0, "draft": None}
        layers = [layers[-1]] * count
    else:
        inside = top.table("dflash_config", {})
        states = (
            inside.raw("target_layer_ids", None)
            or top.raw("target_layer_ids", None)
            or top.raw("aux_hidden_state_layer_ids", None)
        )
        count = len(states) if isinstance(states, (list, tuple)) and states else 5
        also |= {
            "fusion": count * target,
            "block": upto(top, "block_size", default=8, most=WIDEST) or 8,
            **_heads(inside, top),
        }
        if "draft_vocab_size" in top:
            also |= {"headed": True, "vocab": _vocabulary(top, t)}
    return Plan(layers, {**plan.also, **also})


_SAID: Final = (
    "draft_vocab_size", "eagle_config", "dflash_config", "num_target_layers", "target_model_type", "target_layer_ids", "aux_hidden_state_layer_ids", "block_size",
    "num_anchors", "loss_decay_gamma", "attention_backend", "norm_before_residual", "norm_before_fc", "speculators_model_type",
    "speculators_version", "speculators_config", "has_no_defaults_at_init", "transformer_layer_config", "eagle_aux_hidden_state_layer_ids",
    "sliding_window", "emb_dim", "gru_hidden_dim", "max_window_layers", "target_hidden_size", "embed_requires_grad", "fc_norm", "parallel_drafting",
    "mask_token_id", "mask_hidden", "num_depths", "ptd_token_id", "use_input_layernorm_in_first_layer", "use_last_layernorm",
    "use_aux_hidden_state", "use_mtp_layernorm", "parallel_draft_step", "draft_num_layers", "has_own_embed_tokens", "has_lm_head",
)  # fmt: skip


def _joined(top: Table, t: Table) -> int:
    """Return how many hidden states of the target EAGLE-3 joins."""
    inside = top.table("eagle_config", {})
    for each in (inside, top, t):
        listed = each.raw("eagle_aux_hidden_state_layer_ids", None) or each.raw("aux_hidden_state_layer_ids", None)
        if isinstance(listed, (list, tuple)) and 0 < len(listed) <= FEW:
            return len(listed)
    return _HIDDEN_STATES


def _vocabulary(top: Table, t: Table) -> int:
    inside = next((each for each in (top, t) if "draft_vocab_size" in each), t)
    return width(inside, "draft_vocab_size", "vocab_size")


def _wide(pair: Pair) -> Pair:
    """Return the first layer of EAGLE-3: queries, keys and values are made of the state and the embedding side by side."""
    mixer, ffn = pair
    return (evolve(mixer, streams=2) if isinstance(mixer, (Gqa, Mla)) else mixer), ffn


def _heads(inside: Table, top: Table) -> dict[str, Any]:
    """Return what to note of small heads that correct a block token by token: they are named, and not counted."""
    for key in list(inside):
        inside.raw(key, None)
    rank = inside.raw("markov_rank", None) or top.raw("markov_rank", None)
    recurrent = inside.raw("gru_hidden_dim", None)
    what = [
        f"a Markov head of rank {rank}" if isinstance(rank, int) else "",
        f"a recurrent head of width {recurrent}" if isinstance(recurrent, int) else "",
    ]
    named = " and ".join(filter(None, what))
    return {"note": f"{named} is left out of weights and time"} if named else {}


def _medusa(t: Table) -> Plan:
    """Medusa (arXiv:2401.10774): heads of residual layers, each with a head over the vocabulary."""
    size, heads = hidden(t), upto(t, "medusa_num_heads", "num_heads", default=5, most=FEW) or 1
    layers = upto(t, "medusa_num_layers", "num_hidden_layers", default=1, most=FEW) or 1
    vocab = width(t, "vocab_size")
    for key in (
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "num_hidden_layers",
        "medusa_num_layers",
    ):
        t.raw(key, None)
    # A square matrix a layer: as a block without a gate, of half the hidden size.
    block = Dense(max(size // 2, 1), gated=False, bias=False)
    also = {"role": "draft", "embedded": False, "headed": True, "vocab": heads * vocab, "block": heads}
    return Plan([(Absent(), block)] * (heads * layers), also)
