r"""The time of an operation: a roofline with a rounded corner and fixed times.

.. math:: T = n\,t_0 + d\,t_d + \frac{i}{c}\,t_i + i\,t_u + h\,t_h + \frac{A + e A'}{\eta_a W}
          + \left\| \left\| \frac{F}{\eta_c P},\; \frac{s}{\eta_s X} \right\|_2,\; \frac{B}{\eta_m W} \right\|_p

F FLOP and B bytes on a chip of c cores, dense peak P and memory bandwidth W; n launches; depth d, the elements that one
core walks through one after another, so no number of cores shortens it (Graham's longest job, SIAM J. Appl. Math. 17:2,
1969); i items with a fixed cost, h of them with work of their own; s exponentials of a softmax, which special function units take at a rate X beside the products; A bytes of passes before and
after, and A' those over rows of other ranks' experts, of which some kernels make a part e all the same.
Every constant is a time of something or a part of a peak. At the ideal level all times are 0, :math:`\eta = 1` and
:math:`p = \infty`, without passes that other kernels may do (:func:`roofline.operators.operations.fused`): the roofline of Williams, Waterman and Patterson (CACM 52:4, 2009).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from attrs import field, frozen

from roofline.core.arrays import anywhere, larger, norm, share, smaller
from roofline.core.errors import QuestionError, fault
from roofline.core.remember import remembered
from roofline.core.units import Bytes, BytesPerSecond, Flop, FlopPerByte, FlopPerSecond, Num, Ratio, Seconds
from roofline.hardware.constants import Calibration, Kernel
from roofline.hardware.hardware import Chip
from roofline.operators.operations import Op


@frozen(eq=False, slots=False)
class Cost:
    """A time and what it consists of, on the resources it keeps busy.

    Attributes:
        time: the priced time.
        compute: time that computing needs alone, at the fraction of the peak that is reached.
        memory: time that memory traffic needs alone, at the fraction of the bandwidth that is reached.
    """

    time: Seconds
    compute: Seconds = 0.0
    memory: Seconds = 0.0
    _network: Seconds | Callable[[], Seconds] = field(default=0.0, repr=False)
    _latency: Seconds | Callable[[], Seconds] = field(default=0.0, repr=False)
    _error: Ratio | Callable[[], Ratio] = field(default=0.0, repr=False)
    _ways: Mapping[str, Seconds] | Callable[[], Mapping[str, Seconds]] = field(factory=dict, repr=False)

    @property
    def network(self) -> Seconds:
        """Time that the network needs alone, at the fraction of the bandwidth that is reached; of a message, all but its fixed time."""
        return self._network() if callable(self._network) else self._network

    @property
    def latency(self) -> Seconds:
        """Fixed time, when no resource is busy; of a message computed where it is asked for."""
        return self._latency() if callable(self._latency) else self._latency

    @property
    def error(self) -> Ratio:
        """Half-width of the 80 % interval of the time, relative: of a message computed where it is asked for."""
        return self._error() if callable(self._error) else self._error

    @property
    def ways(self) -> Mapping[str, Seconds]:
        """The ways considered and their times, where there was a choice."""
        return self._ways() if callable(self._ways) else self._ways

    def sent_in_part(self, part: Ratio) -> Cost:
        """Return the cost of a message of whose time a part is seen."""
        return Cost(
            self.time * part, self.compute, self.memory, partial(_in_part, self, "network", part), partial(_in_part, self, "latency", part),
            self._error, self._ways,
        )  # fmt: skip

    @property
    def overlapped(self) -> Seconds:
        """Time if the resources worked side by side: latency plus the longest."""
        return self.latency + larger(larger(self.compute, self.memory), self.network)

    @property
    def serial(self) -> Seconds:
        """Time if the resources worked in turn: latency plus the sum."""
        return self.latency + self.compute + self.memory + self.network


def _in_part(cost: Cost, name: str, part: Ratio) -> Seconds:
    whole: Seconds = getattr(cost, name)
    return whole * part


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


_SOFTMAX: Final = 2.0
"""How products and exponentials share the time of attention: between in turn, 1, and side by side, infinity."""


def _part(k: Kernel, chip: Chip, rate: str) -> Ratio:
    """Return the part of a peak that a kernel reaches: of the best rate measured on the chip, where that is known.

    What keeps a chip below its peak, power or its clock, does so in every format: in one that is not measured it is
    not taken to come nearer to its peak than it was seen to in any other.
    """
    if k.eta_best is None or not chip.best:
        return k.eta_compute
    if rate in chip.best:
        return smaller(k.eta_best * chip.best[rate], 1.0)
    return smaller(k.eta_compute, k.eta_best * functools.reduce(larger, chip.best.values()))


@frozen(eq=False)
class _Rates:
    """What one class of kernels reaches on a chip: what of its price is the same for all of its operations.

    Attributes:
        compute: FLOP/s.
        scores: exponentials a second; None of a kernel without any of its own.
        memory: bytes/s.
        staging: bytes/s of passes before and after.
        launch: time of a launch.
        item: time of an item.
        fused: whether its passes before and after are part of the kernel.
    """

    kernel: Kernel
    compute: FlopPerSecond
    scores: Num | None
    memory: BytesPerSecond
    staging: BytesPerSecond
    launch: Seconds
    item: Seconds
    fused: bool


class Kernels:
    """The kernels of a chip under a profile: what each class of them reaches is computed once."""

    __slots__ = ("_calibration", "_chip", "_host", "_known", "_launched", "_tile")

    def __init__(self, chip: Chip, calibration: Calibration) -> None:
        self._chip, self._calibration = chip, calibration
        self._known: dict[tuple[str, str, str], _Rates] = {}
        self._tile, self._host = calibration.tile * chip.tile, calibration.host
        self._launched = anywhere(self._host > 0)

    def _rates(self, name: str, rate: str, form: str) -> _Rates:
        chip, calibration, engine = self._chip, self._calibration, self._calibration.engine
        if rate not in chip.peak:
            raise QuestionError(fault("rate", rate, f"{chip.name} has none", f"it has {', '.join(chip.peak)}"))
        k = calibration.kernel(name, rate, form)
        bandwidth, units = chip.memory.bandwidth, chip.units(calibration.core)
        special = units * calibration.exponential if chip.exponentials is None else chip.exponentials
        return _Rates(
            k,
            _part(k, chip, rate) * engine.compute * chip.peak[rate],
            None if k.eta_score is None else k.eta_score * special,
            k.eta_memory * bandwidth,
            k.eta_staging * bandwidth,
            k.t0 * engine.launch * engine.formats.get(form, 1.0),
            k.item / units + k.turn,
            name == "gemm" and form in engine.fused,
        )

    def price(self, op: Op) -> Cost:
        """Return the time of an operation.

        Raises:
            QuestionError: the chip has no such rate, or the profile no such kernel.
        """
        key = (op.kernel, op.rate, op.form)
        of = self._known.get(key)
        if of is None:
            of = self._known[key] = self._rates(*key)
        k = of.kernel
        launches, staging = (
            (smaller(op.launches, 1.0), 0.0) if of.fused else (op.launches, op.staging + k.elsewhere * op.elsewhere)
        )
        products, tile = op.flops, self._tile
        if op.kernel == "gemm" and anywhere(op.rows < tile):
            # Rows that a matrix instruction lacks are multiplied all the same.
            products = products * larger(share(tile, op.rows) * (op.rows > 0), 1.0)
        products = products / of.compute
        compute = products if of.scores is None else norm(products, op.scores / of.scores, _SOFTMAX)
        memory, around = op.bytes / of.memory, staging / of.staging
        # What is not launched walks no way.
        walked = smaller(launches, 1.0) * op.depth * k.step
        latency = launches * of.launch + walked + op.items * of.item + op.hits * k.hit
        kernel = latency + around + norm(compute, memory, k.p)
        if self._launched:
            # Without a graph the host launches one kernel after another; a chip that is faster waits for it.
            waits = larger(launches * self._host - kernel, 0.0)
            kernel, latency = kernel + waits, latency + waits
        return Cost(time=kernel, compute=compute, memory=memory + around, latency=latency, error=k.error)


@remembered(64)
def kernels(chip: Chip, calibration: Calibration) -> Kernels:
    """Return the kernels of a chip under a profile."""
    return Kernels(chip, calibration)


def price(op: Op, chip: Chip, calibration: Calibration) -> Cost:
    """Return the time of an operation on a chip.

    Raises:
        QuestionError: the chip has no such rate, or the profile no such kernel.
    """
    return kernels(chip, calibration).price(op)
