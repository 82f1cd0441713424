"""Spans: a time with its parts, put after one another, side by side, or repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from attrs import frozen

from roofline.core.arrays import larger, share
from roofline.core.units import Bytes, Flop, Num, Ratio, Seconds
from roofline.operators.operations import Message, Op, Operation
from roofline.physics.kernels import Cost

RESOURCES: Final = ("compute", "memory", "network", "latency")
"""What can bound a piece of work. ``latency`` is time in which no resource is busy: launches, protocol, hops."""


@frozen(eq=False, slots=False)
class Span:
    """A time, what it is spent on, and its parts.

    Attributes:
        name: what the time is called in a breakdown.
        time: of all repetitions.
        times: how often the parts are met.
        parts: spans inside; a leaf has none and carries its work and cost instead.
        work: the operation or message of a leaf; None of a span with parts.
        cost: the time of a leaf by resource; None of a span with parts.
    """

    name: str
    time: Seconds
    times: Num = 1.0
    parts: tuple[Span, ...] = ()
    work: Operation | None = None
    cost: Cost | None = None

    def leaves(self, times: Num = 1.0) -> Iterator[tuple[Operation | None, Cost, Num]]:
        """Yield every piece of work with its cost and how often it is done; time of the host is none of the chip's work."""
        # Most are met once, and an array times one is work for nothing.
        inner = times if isinstance(self.times, float) and self.times == 1 else times * self.times
        if self.cost is not None:
            yield self.work, self.cost, inner
        for part in self.parts:
            yield from part.leaves(inner)

    def total(self, of: Callable[[Operation | None, Cost], Num]) -> Num:
        """Return the sum of something of each piece of work; the parts of a span are added up before they are repeated."""
        own = 0.0 if self.cost is None else of(self.work, self.cost)
        for part in self.parts:
            own = own + part.total(of)
        return own if isinstance(self.times, float) and self.times == 1 else own * self.times

    def busy(self) -> dict[str, Seconds]:
        """Return the time bound by each resource: a leaf's whole time goes to whatever takes the most of it."""
        out: dict[str, Num] = dict.fromkeys(RESOURCES, 0.0)
        for _, cost, times in self.leaves():
            parts = [getattr(cost, name) for name in RESOURCES]
            most = larger(larger(parts[0], parts[1]), larger(parts[2], parts[3]))
            left: Num = 1.0
            for name, part in zip(RESOURCES, parts, strict=True):
                hit = left * (part >= most)
                out[name] = out[name] + hit * cost.time * times
                left = left - hit
        return out

    @property
    def flops(self) -> Flop:
        """FLOP of all operations."""
        return self.total(lambda w, _: w.flops if isinstance(w, Op) else 0.0)

    @property
    def bytes(self) -> Bytes:
        """Memory traffic of all operations."""
        return self.total(lambda w, _: w.traffic if isinstance(w, Op) else 0.0)

    @property
    def network(self) -> Seconds:
        """Time of all messages."""
        return self.total(lambda w, c: c.time if isinstance(w, Message) else 0.0)

    @property
    def overlapped(self) -> Seconds:
        """Time if the resources of each piece of work were used side by side."""
        return self.total(lambda _, c: c.overlapped)

    @property
    def serial(self) -> Seconds:
        """Time if the resources of each piece of work were used in turn."""
        return self.total(lambda _, c: c.serial)

    def error(self) -> Ratio:
        """Return the half-width of the 80 % interval that the kernels' own errors leave, relative to the time.

        Errors of one class of kernel or link go together and are summed; those of different classes are independent
        and add in squares.
        """
        classes: dict[str, Num] = {}
        for work, cost, times in self.leaves():
            key = work.kernel if isinstance(work, Op) else "host" if work is None else work.collective
            classes[key] = classes.get(key, 0.0) + cost.time * cost.error * times
        return share(np.sqrt(sum((e * e for e in classes.values()), start=0.0)), self.time)


def leaf(work: Operation, cost: Cost) -> Span:
    """Return one piece of work as a span."""
    return Span(work.label, cost.time, work=work, cost=cost)


def after(name: str, parts: Iterable[Span], times: Num = 1.0) -> Span:
    """Return spans done one after another, ``times`` times over: ``T = times * sum(T_i)``.

    >>> after("two", [Span("a", 1.0), Span("b", 2.0)], times=10.0).time
    30.0
    """
    spans = tuple(parts)
    time: Seconds = 0.0
    if spans:
        time = sum((part.time for part in spans[1:]), start=spans[0].time)
    return Span(name, time if isinstance(times, float) and times == 1 else time * times, times, spans)


def partly_exposed(span: Span, part: Ratio) -> Span:
    """Return a span of whose messages only a part is seen."""
    if span.parts:
        return after(span.name, (partly_exposed(each, part) for each in span.parts), span.times)
    if span.cost is None or not isinstance(span.work, Message):
        return span
    return leaf(span.work, span.cost.sent_in_part(part))


def bound(busy: dict[str, Seconds]) -> str:
    """Return the resource that bounds the most time, for one point."""
    return max(RESOURCES, key=lambda name: float(busy[name]))
