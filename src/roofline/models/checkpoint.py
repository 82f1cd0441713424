"""The bytes of a checkpoint as a model's plan and formats say them, to be held against those of its files."""

from __future__ import annotations

from typing import Final

from roofline.core.units import GIGA, Bytes
from roofline.models import modules
from roofline.models.architecture import Model

MOST_APART: Final = 0.01
"""Part of the bytes that plan and files may differ by before it is said."""


def planned(model: Model, *, modules_too: bool = True) -> Bytes:
    """Return the bytes of all matrices, tables and towers; norms are left out (below 0.1 %).

    Args:
        modules_too: with the multi-token-prediction modules, which some checkpoints hold and others do not.
    """
    size, formats, out = model.hidden, model.formats, 0.0
    for run in model.layers:
        parts = (*modules.attention(run.attention, size), *modules.feed_forward(run.ffn, size))
        out += run.count * sum(part.elements * formats.bytes(part.component) for part in parts)
    rows = model.vocab * model.embedded + model.positions
    own = 0 if model.per_layer is None else model.per_layer.vocab * model.depth * model.per_layer.dim
    out += (rows * size + own) * formats.bytes("embedding")
    out += model.vocab * size * formats.bytes("head") * (model.headed and not model.tied)
    out += sum(tower.parameters for tower in model.towers) * formats.bytes("embedding")
    out += model.fusion * size * formats.bytes("residual")
    if model.mtp and modules_too:
        layer = model.drafter
        parts = (*modules.attention(layer.attention, size), *modules.feed_forward(layer.ffn, size))
        out += model.mtp * (sum(part.elements for part in parts) + 2 * size**2) * formats.bytes("mtp")
    return out


def held_against(model: Model, files: Bytes) -> tuple[float, tuple[str, ...]]:
    """Return the bytes of the files over those planned, and what to say of it where they are more than 1 % apart."""
    ours = min((planned(model, modules_too=each) for each in (True, False)), key=lambda bytes_: abs(bytes_ - files))
    ratio = files / ours
    if abs(ratio - 1) <= MOST_APART:
        return ratio, ()
    said = f"its files hold {files / GIGA:,.2f} GB, {ratio - 1:+.1%} of the {ours / GIGA:,.2f} GB that its config describes: the files' are taken"
    return ratio, (said,)
