"""Calibration coefficients: fractions of peaks and fixed times, with how each was fitted, separate from the hardware."""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import inf
from typing import Any, Final

import numpy as np
from attrs import evolve, field, frozen

from roofline.core.arrays import smaller
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.fields import masked, named, number, refuse
from roofline.core.provenance import Fact
from roofline.core.remember import remembered
from roofline.core.units import Bytes, BytesPerSecond, Count, FlopPerSecond, Num, Ratio, Seconds
from roofline.hardware.engines import Engine
from roofline.hardware.frameworks import Framework

LEVELS: Final = ("ideal", "generic", "calibrated")

SAME: Final = {"fp16": "bf16"}
"""Rates whose kernels are those of another: the two 16-bit formats run on the same data path."""

NEAREST: Final = {**SAME, "int8": "fp8", "mxfp8": "fp8", "fp4": "nvfp4", "mxfp4": "nvfp4"}
"""Formats whose constants serve where a class has none of a format: as many bits, multiplied by the same units."""

KERNELS: Final = {
    "gemm": "matrix product of activations and weights, with the quantisation of its input",
    "attention_prefill": "flash attention over a prompt",
    "attention_decode": "attention of new tokens over a cache, grouped or multi-query",
    "mla_prefill": "latent attention over a prompt, keys and values expanded",
    "mla_decode": "latent attention over the cached latents, projections absorbed",
    "moe": "routing, permutation and grouped matrix products of the experts",
    "attention_backward": "gradients of flash attention; those of the forward pass, slowed down, unless they were timed",
    "mla_backward": "gradients of latent attention; as those of flash attention",
    "elementwise": "normalisation, activation, rotation, residual: one pass over memory",
    "sampling": "softmax, cut-off and draw over the logits",
}
"""Classes of kernel, each with constants of its own."""

BACKWARD: Final = {"attention_prefill": "attention_backward", "mla_prefill": "mla_backward"}
"""Classes whose gradients are a class of their own: what the profile says of it, or the forward pass slowed down."""

COLLECTIVES: Final = {
    "ring": "all-reduce in a ring at each tier",
    "gather": "reduce-scatter, or all-gather, in a ring at each tier",
    "halving": "all-reduce by recursive halving and doubling; one half of it is a reduce-scatter or an all-gather",
    "tree": "all-reduce up and down two binary trees, each with half of the data",
    "in_network": "all-reduce in a switch that adds up",
    "one_shot": "all-reduce of small messages: every rank reads all others directly",
    "two_shot": "all-reduce of middling messages: direct reduce-scatter, then direct all-gather",
    "all_to_all": "personalised exchange between all ranks",
    "low_latency": "dispatch or combine of experts: a copy for each expert, straight to its rank",
    "throughput": "dispatch or combine of experts: a copy for each group of ranks, passed on inside it",
    "chain": "broadcast along a chain, in chunks",
    "binomial": "broadcast along a binomial tree",
    "point_to_point": "each rank to the next along a chain: pipeline stages",
}
"""Ways to move a message, each with constants of its own."""


_STRANGE: Final = (str, bytes, bool, float, list, tuple, dict, set, complex, np.datetime64)
"""Classes of what is no number; a float that comes so far is NaN. Any other that multiplies may be a formula's own kind of number."""


def _numbers(constants: Any) -> None:
    """Refuse a constant that is no number; they are made often, so that floats are looked at only.

    Raises:
        QuestionError: the first such constant.
    """
    for name in constants.__slots__:
        value = getattr(constants, name, None) if name != "__weakref__" else None
        if value is None or (isinstance(value, float) and not math.isnan(value)):
            continue
        strange = isinstance(value, _STRANGE) or masked(value) or callable(value) or value.__class__ is object
        if strange or (isinstance(value, np.ndarray) and np.isnan(number(value, name)).any()):
            raise QuestionError(fault(name, value, "must be a number"))


@frozen(eq=False)
class Kernel:
    """Coefficients of one kernel class at one rate.

    ``T = launches t0 + depth step + items / cores item + items turn + hits hit + (A + elsewhere A') / (eta_staging W)
    + || ||F / (eta_compute P), scores / (eta_score X)||_2, B / (eta_memory W)||_p``

    Attributes:
        eta_compute: part reached of the chip's peak rate.
        eta_memory: part reached of the memory bandwidth.
        t0: time of one launch.
        p: how compute and memory share the time: 1 in turn, infinity side by side.
        step: time of one element of depth on one core, s.
        item: time of one work item on one core, s.
        eta_score: part reached of the rate of exponentials, X; None where they are not counted.
        eta_staging: part reached of the memory bandwidth by the passes before and after the kernel.
        eta_best: part of the quickest rate measured on a chip, which stands in for ``eta_compute`` of the peak where that is known;
            None where it does not. In a format that is not measured, the best of the others bounds ``eta_compute``.
        error: half-width of the 80 % interval of ``T``, relative.
        turn: time of one work item where these are taken one after another, whatever the cores.
        hit: the same of one item that has work of its own.
        elsewhere: part of the passes over rows of other ranks' experts, A', that the kernel makes all the same.
    """

    eta_compute: Ratio = 1.0
    eta_memory: Ratio = 1.0
    t0: Seconds = 0.0
    p: float = float("inf")
    step: Seconds = 0.0
    item: Seconds = 0.0
    eta_score: Ratio | None = None
    eta_staging: Ratio = 1.0
    eta_best: Ratio | None = None
    error: Ratio = 0.0
    turn: Seconds = 0.0
    hit: Seconds = 0.0
    elsewhere: Ratio = 0.0

    def __attrs_post_init__(self) -> None:
        _numbers(self)


@frozen(eq=False)
class Link:
    """Coefficients of one collective algorithm.

    ``T = T0 + x + 2 sqrt(c T0 x)`` with ``x = max(wire / (eta B))`` over the tiers and ``T0 = alpha + peer (group - 1)
    + start max(latency) + hop sum(steps latency)``.

    Attributes:
        alpha: fixed time to start a message, s.
        peer: time that each further rank of the group adds, s.
        start: steps' worth of latency that it takes to begin.
        hop: time of each step of the algorithm over the latency of its tier.
        eta: part of a link's bandwidth that is reached where ranks read and write each other's memory.
        far: part of the bandwidth that is reached where a network card carries messages; on a tier that names a
            fabric, a part of the fabric's own share.
        copied: most bytes per second that the cores which run its kernel copy between the memories of ranks, B/s: an exchange of
            experts runs on 20 to 24 cores so that the others may compute, and a quicker link does not make those quicker.
        pair: part of ``eta`` that two ranks reach, which use fewer channels than more do.
        c: weight of the square-root term, by which the bandwidth is reached only gradually as messages grow.
        error: half-width of the 80 % interval of ``T``, relative, on messages such as it was fitted to; beyond
            ``ranks`` and ``bytes`` it grows with the distance; 0 where nothing was fitted.
        ranks: the most ranks among the messages it was fitted to.
        bytes: the largest message it was fitted to, bytes.
    """

    alpha: Seconds = 0.0
    peer: Seconds = 0.0
    start: Count = 0.0
    hop: Ratio = 0.0
    eta: Ratio = 1.0
    far: Ratio = 1.0
    copied: BytesPerSecond = inf
    pair: Ratio = 1.0
    c: Ratio = 0.0
    error: Ratio = 0.0
    ranks: Count = 0.0
    bytes: Bytes = 0.0

    def __attrs_post_init__(self) -> None:
        _numbers(self)


@frozen
class Found:
    """How constants were found, and how far off they are.

    Attributes:
        name: kernel class and format, or way of a message.
        stack: the stack whose kernels these are; "" for all together.
        rows: timings fitted.
        left_out: timings kept for the check.
        mape: mean error on the rows left out.
        median: median error on the rows left out.
        p90: error that nine in ten of the rows left out stay below.
    """

    name: str
    stack: str
    rows: int
    left_out: int
    mape: Ratio
    median: Ratio
    p90: Ratio


@frozen(eq=False)
class Stack:
    """Coefficients of the kernels of one software stack, where they differ from those of all stacks.

    Attributes:
        kernels: constants by (class, rate or stored format), as in :class:`Calibration`.
        links: constants by name of :data:`COLLECTIVES`.
    """

    kernels: Mapping[tuple[str, str], Kernel]
    links: Mapping[str, Link]


def stacked(
    base: Calibration,
    kernels: Mapping[tuple[str, str], Kernel],
    links: Mapping[str, Link],
    own: Mapping[str, Stack],
) -> dict[str, Stack]:
    """Return the constants of stacks in a profile over a base: its own, and the base's of classes that it does not state anew."""
    out = dict(own)
    for name, theirs in base.stacks.items():
        mine = own.get(name, Stack({}, {}))
        old = {key: each for key, each in theirs.kernels.items() if kernels.get(key) is base.kernels.get(key)}
        # What a library exchanges is its own on every chip.
        ways = {
            key: each
            for key, each in theirs.links.items()
            if name in EXCHANGES or links.get(key) is base.links.get(key)
        }
        if old or ways or mine.kernels or mine.links:
            out[name] = Stack({**old, **mine.kernels}, {**ways, **mine.links})
    return out


@frozen(eq=False)
class Calibration:
    """A profile: the coefficients of every kernel class and link, and the residual error.

    Attributes:
        name: name of the profile, as catalogued.
        level: how far its constants are measured: ``ideal``, ``generic`` or ``calibrated``.
        kernels: constants by (class, rate or stored format); ``"any"`` serves those not listed.
        links: constants by name of :data:`COLLECTIVES`.
        memory_fraction: share of a chip's memory that weights, cache and activations may fill.
        step_error: half-width of the 80 % interval of a decode step that stays when every kernel is right.
        prompt_error: the same for a prefill.
        assumed_error: what each assumed number of the hardware adds to either.
        power_fraction: mean draw of a busy system over its rated power, and the least and the greatest seen.
        idle_fraction: draw of a chip that has nothing to do, over its rated power.
        core: rate in 16 bits of the largest core that constants of a core were found on.
        exponential: exponentials that a core takes a second, on a chip of which that is not stated.
        eager: time of the host for one launch that no graph has captured, s.
        host: time of the host for each launch of the kind that was asked for, s; 0 in a graph.
        sustained: part of the matrix rate that stays when work lasts long enough to heat the chip, in 16 bits.
        sustained_fp8: of the part of the peak that 16 bits reach then, what products in fp8 reach of theirs.
        sustained_fp4: the same for products in 4 bits.
        tile: part of the rows of a matrix instruction that products of fewer rows are padded to.
        fused: whether passes over memory that the kernels around them may do (norms, activations, quantisation, permutation) take nothing.
        stands_for: the chip that the constants serve as its nearest relative's, where its own kernels were not timed.
        vendors: makers of the chips the constants were found on.
        elsewhere: factor that widens the interval on chips of other makers than ``vendors``.
        engine: what runs the kernels when serving, and what it adds to them.
        framework: what trains, and what it adds to the kernels.
        training_error: half-width of the 80 % interval of a training step that stays when every kernel is right.
        experts_error: the same for the experts' part of a training step, whose software changes fastest.
        stacks: by name, what differs in the kernels of one software stack.
        found: how constants were fitted, where they were.
        facts: each constant as the file states it, with its source.
    """

    name: str = field(converter=named)
    level: str
    kernels: Mapping[tuple[str, str], Kernel]
    links: Mapping[str, Link]
    memory_fraction: Ratio = 1.0
    step_error: Ratio = 0.0
    prompt_error: Ratio = 0.0
    assumed_error: Ratio = 0.0
    power_fraction: tuple[Ratio, Ratio, Ratio] = (1.0, 1.0, 1.0)
    idle_fraction: Ratio = 0.0
    core: FlopPerSecond = float("inf")
    exponential: FlopPerSecond = float("inf")
    eager: Seconds = 0.0
    host: Seconds = 0.0
    sustained: Ratio = 1.0
    sustained_fp8: Ratio = 1.0
    sustained_fp4: Ratio = 1.0
    tile: Ratio = 0.0
    fused: bool = False
    stands_for: str = ""
    vendors: tuple[str, ...] = ()
    elsewhere: Ratio = 1.0
    engine: Engine = Engine()
    framework: Framework = Framework()
    training_error: Ratio = 0.0
    experts_error: Ratio = 0.0
    stacks: Mapping[str, Stack] = field(factory=dict)
    found: tuple[Found, ...] = ()
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def key(self, name: str, rate: str, form: str = "") -> tuple[str, str]:
        """Return under which key the profile has the constants of a kernel class.

        Those of the format, of the nearest one, of the rate, of the nearest one, or of any.
        """
        keys = ((name, key) for one in (form, rate) for key in (SAME.get(one, one), NEAREST.get(one, one)))
        return next((pair for pair in keys if pair in self.kernels), (name, "any"))

    def kernel(self, name: str, rate: str, form: str = "") -> Kernel:
        """Return the constants of a kernel class at a rate, for a stored format if it has kernels of its own.

        Raises:
            QuestionError: the profile has none.
        """
        found = self.kernels.get(self.key(name, rate, form))
        if found is None:
            raise QuestionError(fault("kernel", name, f"profile {self.name!r} has no constants for it at {rate}"))
        return found

    def link(self, name: str) -> Link:
        """Return the constants of a way to move a message.

        Raises:
            QuestionError: the profile has none.
        """
        if name not in self.links:
            raise QuestionError(fault("link", name, f"profile {self.name!r} has no constants for it"))
        return self.links[name]

    def on(self, stack: str) -> Calibration:
        """Return the profile with the constants of one software stack, such as ``vllm``; itself where it has none of its own.

        Raises:
            UnknownNameError: no stack of that name was measured on any chip.
        """
        if stack not in (*STACKS, *EXCHANGES):
            raise unknown("stack", stack, (*STACKS, *EXCHANGES))
        own = self.stacks.get(stack)
        if own is None:
            return self
        head = f"stack.{stack}."
        stated = [evolve(fact, path=fact.path.removeprefix(head)) for fact in self.facts if fact.path.startswith(head)]
        replaced = {f"link.{key}" for key in own.links} | {".".join(("kernel", *key)) for key in own.kernels}
        facts = [fact for fact in self.facts if fact.path.rpartition(".")[0] not in replaced]
        return evolve(
            self, name=f"{self.name} ({stack})", kernels={**self.kernels, **own.kernels}, links={**self.links, **own.links},
            facts=(*stated, *facts),
        )  # fmt: skip

    def driven(self, engine: Engine) -> Calibration:
        """Return the profile as an engine runs it: with its stack's kernels, its launches, and its share of the memory."""
        return _with_engine(self, engine)

    def filled(self, fraction: Num) -> Calibration:
        """Return the profile of an engine that is given this fraction of a chip's memory, in the engine's own sense of it.

        It is vLLM's ``--gpu-memory-utilization``, SGLang's ``--mem-fraction-static``, TensorRT-LLM's ``free_gpu_memory_fraction``.

        Raises:
            QuestionError: not in (0, 1].
        """
        refuse("memory_fraction", fraction, 0.0, 1.0, strict=True)
        return evolve(self, memory_fraction=fraction, engine=evolve(self.engine, memory_fraction=fraction))

    def training(self, framework: Framework, *, narrow: bool = False) -> Calibration:
        """Return the profile as a framework trains with it: chips as hot as long steps make them, kernels as slow as its own are.

        Products of a step are long: in a narrow format they reach the part of its peak that those in 16 bits do, nearly. ``narrow``
        says that the chip multiplies in 8 bits, as those do whose matrix units work on their own while operands are fetched.
        """
        f = evolve(framework, attention=framework.attention * (framework.synchronous if narrow else 1.0))
        kernels = dict(self.kernels)
        for (name, rate), kernel in self.kernels.items():
            if name in BACKWARD:
                kernels.setdefault((BACKWARD[name], rate), _slower(kernel, 1.0, f.backward))
        for (name, rate), kernel in self.kernels.items():
            part = self.sustained_fp4 if "4" in rate else self.sustained_fp8
            if name in _LONG and rate.startswith(_NARROW) and (name, "bf16") in self.kernels:
                wide = self.kernels[name, "bf16"]
                best = None if wide.eta_best is None else wide.eta_best * part
                kernels[name, rate] = evolve(kernel, eta_compute=wide.eta_compute * part, eta_best=best)
        kernels.update(_grouped(kernels))
        share = f.memory_fraction if self.level != "ideal" else self.memory_fraction
        return evolve(
            self, framework=f, engine=Engine(), memory_fraction=share, facts=(*self.facts, *f.facts),
            kernels={key: _trained(key[0], kernel, f, self.sustained) for key, kernel in kernels.items()},
        )  # fmt: skip

    def eagerly(self) -> Calibration:
        """Return the profile for kernels that the host launches one by one: each takes its launch time at least."""
        return evolve(self, host=self.eager)


def _trained(name: str, kernel: Kernel, f: Framework, sustained: Ratio) -> Kernel:
    match name:
        case "elementwise" | "sampling":
            return _slower(kernel, f.pace * f.passes, 1.0)
        case "moe":
            # What frameworks do unlike each other are the passes around grouped GEMMs, not the GEMMs.
            slow = _slower(kernel, f.pace, sustained)
            return evolve(
                slow, eta_staging=smaller(slow.eta_staging / f.experts, 1.0), turn=_PRODUCTS * f.expert, hit=0.0
            )
        case _ if name.startswith(("attention", "mla")):
            # Exponentials and softmax leave the matrix unit cool: clocks stay as they were timed.
            return _slower(kernel, f.pace, f.attention)
        case _:
            return _slower(kernel, f.pace, sustained)


def _grouped(kernels: Mapping[tuple[str, str], Kernel]) -> dict[tuple[str, str], Kernel]:
    """Return the constants of grouped GEMMs as training runs them: long GEMMs, with the passes that permute tokens.

    Those timed for inference hold the fixed costs of kernels for a few tokens an expert.
    """
    timed = {rate: kernel for (name, rate), kernel in kernels.items() if name == "moe"}
    usual = next((timed[rate] for rate in ("any", "bf16") if rate in timed), None)
    return {
        ("moe", rate): evolve(kernel, eta_staging=own.eta_staging, error=own.error)
        for (name, rate), kernel in kernels.items()
        if name == "gemm" and (own := timed.get(rate, usual)) is not None
    }


_LONG: Final = ("gemm", "moe")
_NARROW: Final = ("fp8", "mxfp8", "int8", "fp4", "nvfp4", "mxfp4")
_PRODUCTS: Final = 2
"""Products of an expert: into its width, gate and all, and out of it."""


def _slower(kernel: Kernel, pace: Ratio, rate: Ratio) -> Kernel:
    """Return the constants of a kernel that takes ``pace`` times as long, and of whose rate of computing only a part is left.

    A rate above 1 is what kernels of other chips leave unused: no more than that is to be had.
    """
    slow = pace / rate
    return evolve(
        kernel, t0=kernel.t0 * pace, step=kernel.step * pace, item=kernel.item * pace, hit=kernel.hit * pace, eta_score=None if kernel.eta_score is None else kernel.eta_score / slow,
        eta_compute=smaller(kernel.eta_compute / slow, 1.0), eta_memory=smaller(kernel.eta_memory / pace, 1.0),
        eta_staging=smaller(kernel.eta_staging / pace, 1.0),
        eta_best=None if kernel.eta_best is None else kernel.eta_best / slow,
    )  # fmt: skip


STACKS: Final = ("trtllm", "vllm", "sglang")
"""Software stacks whose kernels were measured."""
EXCHANGES: Final = {
    "deepep-v2": "DeepEP's second version (2026), on 24 cores",
    "cann": "dispatch and combine of CANN on the 910C (2025)",
}
"""Libraries that exchange tokens of experts otherwise than DeepEP's first version, which the constants of every profile are of."""

IDEAL: Final = Calibration(
    name="ideal",
    level="ideal",
    kernels={(name, "any"): Kernel() for name in KERNELS},
    links={name: Link() for name in COLLECTIVES},
    fused=True,
)
"""The roofline itself: every peak reached, nothing fixed, resources perfectly overlapped, passes part of the kernels around them."""


@remembered(64)
def _with_engine(profile: Calibration, engine: Engine) -> Calibration:
    own = profile.on(engine.stack) if engine.stack else profile
    share = profile.memory_fraction if engine.memory_fraction is None else engine.memory_fraction
    return evolve(own, engine=engine, memory_fraction=share, facts=(*own.facts, *engine.facts))
