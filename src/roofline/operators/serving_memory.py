"""What serving keeps on a chip, and how many sequences fit."""

from __future__ import annotations

from roofline.core.arrays import Mask, ceil
from roofline.core.units import Bytes, Count
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators.memory import Footprint, activations, kv_cache, most_sequences, placed, room, weights
from roofline.workload.layout import Layout


def as_served(model: Model, calibration: Calibration) -> Model:
    """Return the model as an engine serves it, which may leave sliding windows out."""
    return model if calibration.engine.windows else model.unwindowed()


def drafting(model: Model, draft_tokens: Count) -> Mask:
    """Return where the model's own draft module is used."""
    return (draft_tokens > 0) & bool(model.mtp or model.speculator)


def fill(
    model: Model, system: System, layout: Layout, calibration: Calibration,
    *, sequences: Count, tokens: Count, passing: Count, logits: Count, prompt: Count = 0.0, drafting: Mask = False,
) -> tuple[Footprint, Bytes, Count]:  # fmt: skip
    """Return the bytes on the fullest chip, those it may hold, and how many sequences of ``tokens`` fit in the whole deployment.

    Args:
        sequences: sequences whose caches lie on each attention rank (all pipeline micro-batches).
        tokens: tokens each of them holds.
        passing: tokens that each of them sends through a pass.
        logits: tokens of each whose logits are wanted.
        prompt: tokens of a prompt that pass in the same step.
        drafting: the model's own draft module is used.
    """
    n, pp = placed(system, layout), layout.pp
    model = as_served(model, calibration)
    own = weights(model, layout, drafting=drafting)
    beside = activations(model, layout, prompt, 0.0)
    unit = activations(model, layout, passing, logits)
    each = kv_cache(model, layout, tokens, drafting=drafting)
    work = beside + ceil(sequences / pp) * unit
    # A micro-batch may hold one sequence more than its even share.
    fixed = own + beside + (1 - 1 / pp) * unit
    most = most_sequences(room(system, calibration), fixed, each + unit / pp)
    return (
        Footprint(own * n, each * sequences * n, work * n),
        room(system, calibration) * n,
        most * layout.dp * layout.replicas,
    )
