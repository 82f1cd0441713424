"""The expected bytes of a checkpoint, compared with those of its files."""

from __future__ import annotations

from typing import Final

from roofline.core.units import GIGA
from roofline.models import modules
from roofline.models.architecture import COMPONENTS, Model

MOST_APART: Final = 0.01
"""Part of the bytes that plan and files may differ by before a note reports it."""


def expected_bytes(model: Model, *, modules_too: bool = True) -> float:
    """Return the bytes of all matrices, tables and towers; norms are left out (below 0.1 %).

    Args:
        modules_too: with the multi-token-prediction modules, which some checkpoints hold and others do not.
    """
    size, out = model.hidden, 0.0
    each = {name: float(model.formats.bytes(name)) for name in COMPONENTS}
    for run in model.layers:
        parts = (*modules.attention(run.attention, size), *modules.feed_forward(run.ffn, size))
        out += run.count * sum(part.elements * each[part.component] for part in parts)
    rows = model.vocab * model.embedded + model.positions
    own = 0 if model.per_layer is None else model.per_layer.vocab * model.depth * model.per_layer.dim
    out += (rows * size + own) * each["embedding"]
    out += model.vocab * size * each["head"] * (model.headed and not model.tied)
    out += sum(tower.parameters for tower in model.towers) * each["embedding"]
    out += model.fusion * size * each["residual"]
    if model.mtp and modules_too:
        layer = model.drafter
        parts = (*modules.attention(layer.attention, size), *modules.feed_forward(layer.ffn, size))
        out += model.mtp * (sum(part.elements for part in parts) + 2 * size**2) * each["mtp"]
    return out


def compare_with_files(model: Model, files: float) -> tuple[float, tuple[str, ...]]:
    """Return the ratio of the files' bytes to the expected ones, and a note where they differ by more than 1 %."""
    ours = min(
        (expected_bytes(model, modules_too=each) for each in (True, False)), key=lambda bytes_: abs(bytes_ - files)
    )
    ratio = files / ours
    if abs(ratio - 1) <= MOST_APART:
        return ratio, ()
    note = f"its files hold {files / GIGA:,.2f} GB, {ratio - 1:+.1%} of the {ours / GIGA:,.2f} GB that its config describes: the files' are taken"
    return ratio, (note,)
