"""Training frameworks as data: overheads, overlaps and defaults of the software of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import evolve, field, frozen

from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import named
from roofline.core.provenance import Fact, Source
from roofline.core.units import Bytes, Ratio, Seconds

UNFUSED: Final = ("", "sinks", "all")
"""Kinds of attention that a framework may do in passes over memory."""
REDUCED: Final = ("step", "micro-batch")
"""How often sharded gradients (ZeRO-2) are reduced: once a step, or for every micro-batch where no pipeline holds them back."""


FUSED_LOSS: Final = 6.0
"""Bytes of a logit that a fused loss keeps: the logit in 16 bits, and its softmax in 32, which its gradient replaces."""


@frozen(eq=False)
class Recipe:
    """A framework's default recipe, used for what a measured run does not state.

    Attributes:
        sharding: what data-parallel ranks share out, a word of :data:`roofline.workload.layout.SHARDINGS`.
        partitioned: whether a compiler cuts activations between layers over the tensor ranks, whatever a switch says.
        chunks: chunks of layers that a stage of a pipeline has at most; 1 where they are not interleaved.
        recompute: what is recomputed in the backward pass, by task; of a task that is not named, nothing.
        compiled: whether elementwise operations are compiled where a run does not say so.
        packed: mean tokens of the samples that fine-tuning packs into a sequence; 0 where it packs none.
        sources: where each of the words and switches that a file states is from, by its name; numbers are among the framework's facts.
    """

    sharding: str = "zero1"
    partitioned: bool = False
    chunks: float = 1.0
    recompute: Mapping[str, str] = field(factory=dict)
    compiled: bool = True
    packed: float = 0.0
    sources: Mapping[str, Source] = field(factory=dict, repr=False)


@frozen(eq=False)
class Framework:
    """A training framework.

    ``step = pipeline(m micro-batches, each ||pace chip, launch host||_6) + seen messages + optimizer + step``

    Attributes:
        name: name of the framework, as catalogued.
        title: name of the framework for people.
        unfused: which attention writes its scores to memory, those it masks too: ``all``, that with ``sinks``, or none ("").
        latent_unfused: generations of chips on which latent attention, whose keys are wider than its values, writes its scores to memory.
        reduced: how often gradients sharded by ZeRO-2 are reduced, one of :data:`REDUCED`.
        narrow: whether attention of a model that multiplies in fp8 is computed in fp8 too.
        scattered: whether the gradients of sharded states (ZeRO-1) are reduced as they are made where one micro-batch makes the step, so that
            a rank holds its share of them alone.
        pace: time of all the chip's work over that of tuned kernels.
        launch: time of the host for a kernel launch, over that of the profile; 0 where a graph or a compiler does all of them.
        step: time of an optimizer step outside operations and messages, s: reading data, clipping, logging.
        captured: part of ``step`` that is left where the whole iteration is one graph.
        graphed: time of the host for a launch where parts of a step are graphs, over that where none are.
        tp: part of the messages of tensor parallelism that no work hides, however long that is.
        overlapped: the same for its collectives where they are cut into pieces and overlapped with the GEMMs next to
            them.
        cp: part of the messages of context parallelism that no work hides.
        ep: part of the messages of expert parallelism that no work hides.
        paired: the same for messages of experts where another micro-batch computes meanwhile.
        lent: part of the chip's cores that send where a schedule has two micro-batches go together (DualPipe).
        dp: part of the messages of data parallelism that no work hides.
        pp: part of the messages of pipeline parallelism that no work hides.
        fsdp: part of the messages of sharded weights (FSDP, ZeRO-3) that no work hides.
        contention: what operations lose to messages that hide behind them, as a part of the time hidden.
        attention: part of the rate of the best attention kernels that its own reach.
        synchronous: what is left of ``attention`` on chips newer than its kernels.
        backward: rate of attention's gradients over that of its forward pass.
        passes: time of elementwise operations over that of fused kernels.
        eager: the same where nothing compiles and fuses them.
        experts: time of the passes over the rows of experts (permute, quantise, activate, add up) over that of kernels for inference.
        expert: time of one GEMM of one local expert besides, s, where the host starts one after another.
        elsewhere: the framework that describes it on chips of another maker, by maker.
        recipe: how a run is configured that does not say.
        of: the framework of which it is an older state; "" for the present state.
        until: last release of the older state, year.month; 0 for the present state.
        memory_fraction: share of a chip's memory that can be filled; the rest is fragments, buffers of messages, the driver's own.
        logits: bytes of a logit that the loss keeps.
        logits_eager: bytes of a logit kept besides where nothing compiles the loss.
        gradients: bytes of a gradient as it is accumulated, where a run does not say.
        gathered: bytes of a weight that data-parallel ranks gather after an update, where GEMMs are in 8 bits.
        states: bytes of the optimizer's states a weight, besides the weight in 16 bits: 12 for a master copy and two moments in 32 bits.
        gates: bytes of an input of a gated activation in experts that is recomputed, where products are in 8 bits.
        facts: each number as the file states it, with its source.
    """

    name: str = field(default="none", converter=named)
    title: str = field(default="", converter=named)
    unfused: str = ""
    latent_unfused: tuple[str, ...] = ()
    reduced: str = "step"
    narrow: bool = False
    scattered: bool = False
    pace: Ratio = 1.0
    launch: Ratio = 0.0
    step: Seconds = 0.0
    captured: Ratio = 1.0
    graphed: Ratio = 1.0
    tp: Ratio = 0.0
    overlapped: Ratio = 0.0
    cp: Ratio = 0.0
    ep: Ratio = 0.0
    paired: Ratio = 0.0
    lent: Ratio = 0.0
    dp: Ratio = 0.0
    pp: Ratio = 0.0
    fsdp: Ratio = 0.0
    contention: Ratio = 0.0
    attention: Ratio = 1.0
    synchronous: Ratio = 1.0
    backward: Ratio = 1.0
    passes: Ratio = 1.0
    eager: Ratio = 1.0
    experts: Ratio = 1.0
    expert: Seconds = 0.0
    of: str = ""
    until: float = 0.0
    memory_fraction: Ratio = 1.0
    logits: Bytes = FUSED_LOSS
    logits_eager: Bytes = 0.0
    gradients: Bytes = 4.0
    gathered: Bytes = 2.0
    states: Bytes = 12.0
    gates: Bytes = 2.0
    elsewhere: Mapping[str, str] = field(factory=dict, repr=False)
    recipe: Recipe = field(factory=Recipe, repr=False)
    facts: tuple[Fact, ...] = field(default=(), repr=False)


STATES: Final[Mapping[str, tuple[str, Callable[[Framework], Framework]]]] = {
    "full_graph": (
        "the whole step is one graph",
        lambda f: evolve(f, launch=0.0, expert=0.0, step=f.captured * f.step),
    ),
    "partial_graphs": ("parts of a step are graphs", lambda f: evolve(f, launch=f.graphed * f.launch)),
    "tp_overlap": (
        "collectives of tensor parallelism overlap with pieces of their GEMMs",
        lambda f: evolve(f, tp=f.overlapped),
    ),
    "fp8_attention": ("attention in fp8", lambda f: evolve(f, narrow=True)),
    "eager": ("eager, not compiled", lambda f: evolve(f, passes=f.eager, logits=f.logits + f.logits_eager)),
    "unfused_attention": ("attention is not fused", lambda f: evolve(f, unfused="all")),
    "grouped_experts": ("GEMMs of experts are grouped", lambda f: evolve(f, expert=0.0)),
    "expert_overlap": (
        "expert communication overlaps with another micro-batch",
        lambda f: evolve(f, ep=f.paired),
    ),
}
"""States that a framework may be in, and what each changes: in words for people, and the change."""


def in_states(framework: Framework, states: Sequence[str]) -> Framework:
    """Return a framework in some of :data:`STATES`.

    >>> one = in_states(Framework(launch=1.0, step=0.04, captured=0.2), ["full_graph"])
    >>> one.launch, round(one.step, 3)
    (0.0, 0.008)

    Raises:
        QuestionError: no such state.
    """
    for state in states:
        if state not in STATES:
            raise QuestionError(fault("software", state, "no such word", near(state, tuple(STATES), "words")))
        framework = STATES[state][1](framework)
    return framework
