"""Memory of training on a chip: weights, gradients, optimizer states and activations."""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

from roofline.core.arrays import ceil, larger, pick, smaller
from roofline.core.units import Bytes, Count, Ratio
from roofline.models.architecture import Formats, Model, Moe
from roofline.operators.memory import weights
from roofline.operators.transformer import attention, ffn
from roofline.operators.transformer.ffn import moe
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep

WEIGHT: Final = 2.0
"""Bytes of a weight as it is multiplied: 16 bits. Copies in narrow formats are made as they are needed."""
ADAM: Final = 12.0
"""Bytes of the optimizer's states a weight: a master copy and two moments in 32 bits (Kingma and Ba, arXiv:1412.6980)."""

_PLAIN: Final = Formats()


@frozen(eq=False)
class States:
    """Bytes on the fullest rank.

    Attributes:
        weights: of the weights.
        gradients: of the gradients.
        optimizer: of the states of the optimizer.
        activations: of the activations that gradients need.
    """

    weights: Bytes
    gradients: Bytes
    optimizer: Bytes
    activations: Bytes

    @property
    def total(self) -> Bytes:
        """Weights + gradients + states of the optimizer + activations."""
        return self.weights + self.gradients + self.optimizer + self.activations


@frozen(eq=False)
class StageWeights:
    """Weights on the fullest rank that are trained together, and the ranks that hold the same.

    Attributes:
        weights: elements.
        copies: ranks that hold, or share out, the same.
        stride: distance between them.
        shards: ranks of these that share one copy out.
    """

    weights: Count
    copies: Count
    stride: Count
    shards: Count


def stage_weights(model: Model, layout: Layout) -> tuple[StageWeights, StageWeights]:
    """Return the weights of the fullest rank, experts apart: those have copies on fewer ranks.

    Of ``tp cp dp`` ranks of a stage ``cp dp`` hold the same dense weights, and ``tp cp dp / (ep etp)`` the same experts.
    """
    placed = evolve(layout, etp=layout.tp if layout.etp is None else layout.etp)
    whole = weights(evolve(model, formats=_PLAIN), placed, drafting=bool(model.mtp)) / WEIGHT
    per_stage = ceil(model.depth / layout.pp) / model.depth
    drafter = model.drafter.ffn if model.mtp else None
    routed: Count = 0.0
    for block, count in (*((run.ffn, run.count * per_stage) for run in model.layers), (drafter, float(model.mtp))):
        if isinstance(block, Moe):
            slots = moe.local_slots(block, placed.ep, placed.redundant_experts)
            routed = routed + count * slots * moe.expert(block, model.hidden) / placed.expert_tp
    routed = smaller(routed, whole)
    return (
        _stage_weights(whole - routed, layout.cp * layout.dp, layout.tp, layout),
        _stage_weights(routed, larger(layout.stage / placed.sharing, 1.0), placed.sharing, layout),
    )


def copies(model: Model, layout: Layout) -> Ratio:
    """Return how many times what the fullest stage holds a rank does that holds two stages, one from each end: at most 2."""
    placed = evolve(layout, etp=layout.tp if layout.etp is None else layout.etp)
    plain = evolve(model, formats=_PLAIN)
    two, one = (weights(plain, placed, drafting=bool(model.mtp), paired=both) for both in (True, False))
    return two / one


def _stage_weights(weights: Count, copies: Count, stride: Count, layout: Layout) -> StageWeights:
    return StageWeights(weights, copies, stride, copies if layout.fsdp is None else smaller(copies, layout.fsdp))


def adapters(model: Model, layout: Layout, rank: Count) -> Count:
    """Return the elements of low-rank adapters beside every matrix of the layers, on the fullest rank: ``r (K + N)`` each.

    Experts have none.
    """
    out: Count = 0.0
    for run in model.layers:
        for matrix in (*attention.matrices(run.attention, model.hidden), *ffn.matrices(run.ffn, model.hidden)):
            out = out + run.count * rank * (matrix.inputs + matrix.outputs) * matrix.share(layout.tp)
    return out * ceil(model.depth / layout.pp) / model.depth


def states(
    question: TrainStep, layout: Layout, activations: Bytes, *, scattered: bool = False, kept: Bytes = ADAM
) -> States:
    """Return the bytes of training on the fullest rank.

    For n weights of which d ranks hold the same: 2 n, ``gradient_bytes`` n and ``kept`` n, 12 where the optimizer is Adam in 32 bits; ZeRO leaves 1/d of the last, of the last two,
    or of all. Under full sharding two layers at a time are gathered. Frozen weights have neither gradients nor states. Where gradients are
    ``scattered`` as they are made, a step of one micro-batch holds them as ZeRO-2 does.
    """
    model, own = question.model, stage_weights(question.model, layout)
    stage = {"none": 0, "zero1": 1, "zero2": 2, "zero3": 3}[layout.sharding]
    if question.task == "lora":
        trained: tuple[StageWeights, ...] = (
            _stage_weights(adapters(model, layout, question.rank), layout.cp * layout.dp, layout.tp, layout),
        )
    else:
        trained = own

    def part(group: tuple[StageWeights, ...], least: int) -> Count:
        return sum((h.weights / (h.shards if stage >= least else 1.0) for h in group), start=0.0)

    # Of what is gathered a rank has its own part already.
    each: Bytes = WEIGHT
    if question.task == "lora":
        # Frozen weights stay in the format in which they are multiplied.
        plain = weights(evolve(model, formats=_PLAIN), layout)
        each = WEIGHT * smaller(weights(model, layout) / plain, 1.0)
    others = sum((h.weights * (1 - 1 / h.shards) for h in own), start=0.0)
    gathered = others * smaller(2 * layout.pp / model.depth, 1.0) if stage == 3 else 0.0
    gradients = part(trained, 2)
    if scattered and stage == 1:
        gradients = pick(question.global_batch > question.micro_batch * layout.dp, gradients, part(trained, 1))
    return States(
        each * (part(own, 3) + gathered),
        question.gradient_bytes * gradients,
        kept * part(trained, 1),
        activations,
    )
