r"""The price of an operation: a roofline whose corner is rounded and whose floor is raised.

.. math:: T = n\,t_0 + \frac{i}{c}\,t_i
          + \left\| \frac{F\,(1 + r/e)}{\eta_c P u},\; \frac{B}{\eta_m W} \right\|_p

F FLOP and B bytes on a chip of dense peak P and memory bandwidth W; n launches of :math:`t_0`, i items of :math:`t_i`
on c cores; u the part of the cores that have an item, where a class cannot split them;
extent e and half-performance extent r (Hockney and Jesshope, *Parallel Computers 2*, 1988, section 1.3).
At the ideal level :math:`t_0 = t_i = r = 0`, :math:`\eta = 1`, :math:`p = \infty`: the roofline of Williams, Waterman
and Patterson (CACM 52:4, 2009).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from roofline.arrays import larger, norm, pick, smaller
from roofline.calibration import Calibration
from roofline.errors import QuestionError, fault
from roofline.hardware import Chip
from roofline.units import Bytes, BytesPerSecond, Flop, FlopPerByte, FlopPerSecond, Ratio, Seconds
from roofline.work import Op


@frozen(eq=False)
class Cost:
    """A time and what it consists of, on the resources it keeps busy.

    Attributes:
        time: the priced time.
        compute, memory, network: time each resource needs alone, at the fraction of its peak that is reached; of a
            message, all but its fixed time.
        latency: fixed time, when no resource is busy.
        error: half-width of the 80 % interval of the time, relative.
        ways: the ways considered and their times, where there was a choice.
    """

    time: Seconds
    compute: Seconds = 0.0
    memory: Seconds = 0.0
    network: Seconds = 0.0
    latency: Seconds = 0.0
    error: Ratio = 0.0
    ways: Mapping[str, Seconds] = field(factory=dict)

    @property
    def overlapped(self) -> Seconds:
        """Time if the resources worked side by side: latency plus the longest."""
        return self.latency + larger(larger(self.compute, self.memory), self.network)

    @property
    def serial(self) -> Seconds:
        """Time if the resources worked in turn: latency plus the sum."""
        return self.latency + self.compute + self.memory + self.network


_LEAST = 1 / 4096
"""Part of a chip that an operation keeps busy at least."""


def bound(flops: Flop, traffic: Bytes, peak: FlopPerSecond, bandwidth: BytesPerSecond) -> Seconds:
    """Return the roofline bound ``max(F / P, B / W)``: no kernel is faster.

    >>> float(bound(2e15, 1e12, 1e15, 4e12))
    2.0
    """
    return larger(flops / peak, traffic / bandwidth)


def attainable(intensity: FlopPerByte, peak: FlopPerSecond, bandwidth: BytesPerSecond) -> FlopPerSecond:
    """Return the roof ``min(P, W * I)`` at an arithmetic intensity: 100 FLOP/B at 4 TB/s gives 0.4 PFLOP/s.

    >>> float(attainable(100.0, 1e15, 4e12))
    400000000000000.0
    """
    return smaller(peak, bandwidth * intensity)


def price(op: Op, chip: Chip, calibration: Calibration) -> Cost:
    """Return the time of an operation on a chip.

    Raises:
        QuestionError: the chip has no such rate, or the profile no such kernel.
    """
    if op.rate not in chip.peak:
        raise QuestionError(fault("rate", op.rate, f"{chip.name} has none", f"it has {', '.join(chip.peak)}"))
    k = calibration.kernel(op.kernel, op.rate, op.form)
    # A kernel that does not say how many items it has is taken to fill the chip.
    filled = 1 - k.occupancy * pick(op.items > 0, larger(1 - op.items / chip.cores, 0.0), 0.0)
    compute = op.flops * (1 + k.ramp / op.extent) / (k.eta_compute * chip.peak[op.rate] * larger(filled, _LEAST))
    memory = op.bytes / (k.eta_memory * chip.memory.bandwidth)
    latency = op.launches * k.t0 + op.items * (k.item / chip.cores)
    return Cost(
        time=latency + norm(compute, memory, k.p), compute=compute, memory=memory, latency=latency, error=k.error
    )
