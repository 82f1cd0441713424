"""How much of the peaks is reached, and the latencies: kept apart from the hardware, with how each was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from roofline.errors import QuestionError, fault
from roofline.provenance import Fact
from roofline.units import Count, Ratio, Seconds

LEVELS: Final = ("ideal", "generic", "calibrated")

SAME: Final = {"fp16": "bf16"}
"""Rates whose kernels are those of another: the two 16-bit formats run on the same data path."""

KERNELS: Final = {
    "gemm": "matrix product of activations and weights, with the quantisation of its input",
    "attention_prefill": "flash attention over a prompt",
    "attention_decode": "attention of new tokens over a cache, grouped or multi-query",
    "mla_prefill": "latent attention over a prompt, keys and values expanded",
    "mla_decode": "latent attention over the cached latents, projections absorbed",
    "moe": "routing, permutation and grouped matrix products of the experts",
    "elementwise": "normalisation, activation, rotation, residual: one pass over memory",
}
"""Classes of kernel, each with constants of its own."""

COLLECTIVES: Final = {
    "ring": "all-reduce, reduce-scatter and all-gather in a ring at each tier",
    "tree": "all-reduce by recursive halving and doubling",
    "in_network": "all-reduce in a switch that adds up",
    "one_shot": "all-reduce of small messages: every rank reads all others directly",
    "two_shot": "all-reduce of middling messages: direct reduce-scatter, then direct all-gather",
    "all_to_all": "personalised exchange; the dispatch and combine of experts",
    "point_to_point": "each rank to the next along a chain: pipeline stages",
}
"""Ways to move a message, each with constants of its own."""


@frozen(eq=False)
class Kernel:
    """Constants of one kernel class at one rate.

    ``T = launches * t0 + items / cores * item + ||F (1 + ramp / extent) / (eta_compute P u), B / (eta_memory W)||_p``

    Attributes:
        occupancy: 1 where fewer items than cores leave cores idle, ``u = min(1, items / cores)``; 0 where a kernel splits them.
        error: half-width of the 80 % interval of ``T``, relative.
    """

    eta_compute: Ratio = 1.0
    eta_memory: Ratio = 1.0
    t0: Seconds = 0.0
    p: float = float("inf")
    ramp: Count = 0.0
    item: Seconds = 0.0
    occupancy: Ratio = 0.0
    error: Ratio = 0.0


@frozen(eq=False)
class Link:
    """Constants of one way to move a message.

    ``T = T0 + x + 2 sqrt(c T0 x)`` with ``x = wire / (eta B)`` and ``T0 = alpha + peer * (group - 1) + hop *
    sum(steps * latency)``.

    Attributes:
        error: half-width of the 80 % interval of ``T``, relative.
    """

    alpha: Seconds = 0.0
    peer: Seconds = 0.0
    hop: Ratio = 0.0
    eta: Ratio = 1.0
    c: Ratio = 0.0
    error: Ratio = 0.0


@frozen(eq=False)
class Calibration:
    """A profile: the constants of every kernel class and link, and the margins that no kernel explains.

    Attributes:
        kernels: constants by (class, rate or stored format); ``"any"`` serves those not listed.
        links: constants by name of :data:`COLLECTIVES`.
        memory_fraction: share of a chip's memory that weights, cache and activations may fill.
        step_error: half-width of the 80 % interval of a decode step that stays when every kernel is right.
        prompt_error: the same for a prefill.
        assumed_error: what each assumed number of the hardware adds to either.
        power_fraction: mean draw of a busy system over its rated power, and the least and the greatest seen.
        vendors: makers of the chips the constants were found on; elsewhere the interval is widened by ``elsewhere``.
        facts: each constant as the file states it, with its source.
    """

    name: str
    level: str
    kernels: Mapping[tuple[str, str], Kernel]
    links: Mapping[str, Link]
    memory_fraction: Ratio = 1.0
    step_error: Ratio = 0.0
    prompt_error: Ratio = 0.0
    assumed_error: Ratio = 0.0
    power_fraction: tuple[Ratio, Ratio, Ratio] = (1.0, 1.0, 1.0)
    vendors: tuple[str, ...] = ()
    elsewhere: Ratio = 1.0
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def key(self, name: str, rate: str, form: str = "") -> tuple[str, str]:
        """Return under which key the profile keeps the constants of a kernel class: those of the format, of the rate, or of any."""
        kept = ((name, SAME.get(key, key)) for key in (form, rate, "any"))
        return next((pair for pair in kept if pair in self.kernels), (name, "any"))

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


IDEAL: Final = Calibration(
    name="ideal",
    level="ideal",
    kernels={(name, "any"): Kernel() for name in KERNELS},
    links={name: Link() for name in COLLECTIVES},
)
"""The roofline itself: every peak reached, nothing fixed, resources perfectly overlapped."""
