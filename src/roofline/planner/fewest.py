r"""The fewest chips that serve a trace under limits, found by simulation: doubling, then bisection.

In one pool the number of chips doubles until all limits are kept, and is then halved in. Two pools are replicas of a pair of units, one
that prefills and one that decodes: closed forms propose the pairs, by the chips that a rate :math:`\lambda` takes,

.. math:: x = \lceil \lambda / (0.8\, R) \rceil, \qquad y = \lceil \lambda / \mu \rceil,

R and :math:`\mu` the requests a second of a unit (:mod:`roofline.planner.pool_candidates`); simulations then find the fewest that decode
beside enough that prefill, and the fewest of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs
import numpy as np

from roofline.core.errors import QuestionError
from roofline.core.text import counted
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.planner.pool_candidates import pair
from roofline.planner.training_candidates import domain
from roofline.results.limits import Limit
from roofline.results.simulation import Simulation
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

Simulated: TypeAlias = Callable[..., Simulation]
"""What simulates a layout, or a number of chips (``chips=``), with the layout of the prefill pool if there is one (``prefill_layout=``)."""

_PAIRS: Final = 3
"""Pairs of units that are simulated."""
_FULL: Final = 0.8
"""How busy units that prefill are taken to be at most."""


def fewest(simulated: Simulated, rack: System, layout: Layout | None) -> Simulation:
    """Return the simulation on the fewest chips that meet the limits, or on the most where none do.

    Args:
        layout: of which there are replicas; None for parts of a scale-up domain and whole domains, each with the layout of its own.

    Raises:
        QuestionError: nothing can be laid out on any number of chips.
    """
    most = int(float(rack.reach) // rack.ranks_per_chip)
    each = 1 if layout is None else layout.ranks / layout.replicas / rack.ranks_per_chip
    inner = max(domain(rack) // rack.ranks_per_chip, 1)
    # Multiples of so many, beyond the parts of it.
    unit = inner if layout is None else 1
    largest = int(most // each)
    parts = [n for n in range(1, min(unit, largest) + 1) if unit % n == 0]
    tried: dict[int, Simulation] = {}
    outcomes: dict[int, str] = {}
    refused: list[QuestionError] = []

    def keeps(n: int) -> bool:
        where: Any = {"chips": n} if layout is None else {}
        laid = None if layout is None else attrs.evolve(layout, replicas=float(n))
        try:
            found = simulated(laid, **where)
        except QuestionError as nothing:  # nothing can be laid out on so many, or what is asked has no meaning on any
            refused.append(nothing)
            outcomes[n] = "no layout"
            return False
        tried[n], outcomes[n] = found, verdict(found)
        return found.meets

    sizes = [*parts, *(unit * 2**k for k in range(1, 40) if unit * 2**k <= largest)]
    good = None
    for n in sizes:
        if keeps(n):
            good = n
            break
        if n >= unit and n in tried and _idle(tried[n]):
            break
    if good is not None and good > unit:
        good = unit * halved(lambda n: keeps(n * unit), good // unit // 2, good // unit)
    if not tried:
        raise refused[0]
    chosen = tried[max(tried) if good is None else good]
    steps = "; ".join(f"{n * each:g}: {outcome}" for n, outcome in sorted(outcomes.items()))
    return attrs.evolve(chosen, remarks=(f"{_head(chosen, float(max(outcomes) * each))} ({steps})", *chosen.remarks))


def halved(keeps: Callable[[int], bool], low: int, high: int) -> int:
    """Return the least number above ``low``, which will not do, and up to ``high``, which will."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


def _head(chosen: Simulation, largest: float) -> str:
    if chosen.meets:
        return f"the fewest chips: {float(chosen.chips):g}"
    idle = ", and of more some would stand idle" if _idle(chosen) else ""
    return f"NO NUMBER OF CHIPS up to {largest:g} will do{idle}"


def _idle(sim: Simulation) -> bool:
    """Return whether some engine instance stands idle at any time, so that more of them change nothing."""
    flying = sim.series["running"] + sim.series["waiting"]
    return sim.fits and bool(flying.size) and float(flying.max()) < sim.instances


def verdict(sim: Simulation) -> str:
    """Return in a few words whether a simulation meets its limits, and if not why."""
    if not sim.fits:
        return "does not fit"
    if sim.saturated:
        return "falls behind"
    if sim.refused:
        return f"refuses {sim.refused:,}"
    return ", ".join(each.written(sim.time_of(each)) for each in sim.slo) or "keeps up"


# Two pools ------------------------------------------------------------------------------------------------------------


def units(
    question: Serve, rack: System, profile: Calibration,
    *, rate: float, limits: Sequence[Limit], degrees: Mapping[str, Num], prefill_tp: float | None = None,
) -> Iterator[tuple[Layout, Layout]]:  # fmt: skip
    """Yield pairs of a layout that prefills and one that decodes, each with the replicas that a rate takes, the fewest chips first.

    Args:
        question: the mean request.
        limits: that a lone prompt's TTFT, and the TPOT, keep in closed form.
        degrees: that both layouts hold to; ``prefill_tp`` that of the one that prefills.

    Raises:
        QuestionError: an answer of one token, or fewer than two chips.
    """
    pairs = pair(question, rack, profile, None, degrees)
    read, made = pairs.read, pairs.made
    most = {time: min((each.most for each in limits if each.time == time), default=np.inf) for time in ("ttft", "tpot")}
    reads = (read.alone <= most["ttft"]) & ((prefill_tp is None) | (read.layouts.tp == prefill_tp))
    reader, answerer = np.flatnonzero(reads), np.flatnonzero(made.tpot <= most["tpot"])
    x = np.ceil(rate / (_FULL * read.rate[reader]))[:, None]
    y = np.ceil(rate / made.rate[answerer])[None, :]
    total = x * read.ranks[reader][:, None] + y * made.ranks[answerer][None, :]
    seen = set[tuple[tuple[str, int], ...]]()
    for place in np.argsort(total, axis=None, kind="stable"):
        i, j = np.unravel_index(place, total.shape)
        first, last = read.layouts.select(reader[i]), made.layouts.select(answerer[j])
        degrees_of = (*first.words().items(), *last.words().items())
        if degrees_of in seen:
            continue
        seen.add(degrees_of)
        yield attrs.evolve(first, replicas=float(x[i, 0])), attrs.evolve(last, replicas=float(y[0, j]))
        if len(seen) == _PAIRS:
            return


def fewest_in_pools(simulated: Simulated, rack: System, pairs: Sequence[tuple[Layout, Layout]]) -> Simulation | None:
    """Return the simulation of two pools on the fewest chips that meet the limits; None where none of the pairs does.

    Args:
        pairs: a layout that prefills and one that decodes, with the replicas to begin with.
    """
    best: Simulation | None = None
    outcomes = []
    for first, last in pairs:
        found = _of_pair(simulated, rack, first, last, None if best is None else float(best.chips))
        units_of = " and ".join(attrs.evolve(each, replicas=1.0).short() for each in (first, last))
        outcomes.append(f"{units_of}: {'no fewer' if found is None else f'{float(found.chips):g}'}")
        if found is not None and (best is None or found.chips < best.chips):
            best = found
    if best is None:
        return None
    return attrs.evolve(
        best,
        remarks=(f"the fewest chips in two pools: {_shape(best)} (units tried: {'; '.join(outcomes)})", *best.remarks),
    )


def _shape(sim: Simulation) -> str:
    """Return the chips of two pools in words."""
    first = sim.prefill_layout
    each = sim.system.ranks_per_chip
    prefill = 0.0 if first is None else float(first.ranks) / each
    return f"{counted(float(sim.chips), 'chip')}: {prefill:g} prefill ({first}), {float(sim.layout.ranks) / each:g} decode ({sim.layout})"


def _of_pair(simulated: Simulated, rack: System, first: Layout, last: Layout, below: float | None) -> Simulation | None:
    """Return the simulation of the fewest replicas of a pair of layouts; None where they take as many chips as ``below``, or never do."""
    most = float(rack.reach) if below is None else below * rack.ranks_per_chip
    one = float(first.ranks / first.replicas), float(last.ranks / last.replicas)
    tried: dict[tuple[int, int], Simulation] = {}

    def keeps(x: int, y: int) -> bool:
        if (x, y) not in tried:
            laid = attrs.evolve(last, replicas=float(y))
            tried[x, y] = simulated(laid, prefill_layout=attrs.evolve(first, replicas=float(x)))
        return tried[x, y].meets

    x, y = int(first.replicas), int(last.replicas)
    while not keeps(x, y):
        found = tried[x, y]
        slow = {each.time for each in found.slo if not each.met_by(found.time_of(each))}
        if not found.fits or _idle(found):
            return None
        # Prompts that pass alone do not slow decoding.
        x, y = (x if slow == {"tpot"} else 2 * x), 2 * y
        if x * one[0] + y * one[1] > float(rack.reach):
            return None
    y = halved(lambda n: keeps(x, n), 0, y)
    x = halved(lambda n: keeps(n, y), 0, x)
    return tried[x, y] if below is None or x * one[0] + y * one[1] < most else None
