r"""A service under load: requests always in flight, or coming at random, prompts passed in the decode steps of the others.

The steps are counted in :mod:`roofline.physics.queueing` and priced here, as operations:

.. math:: \mathrm{TTFT} = (w + s)\,t_{mixed}, \qquad \mathrm{TPOT} = (t_{decode} + f_{any} (t_{mixed} - t_{decode})) / a,
          \qquad \mathrm{rate} = N O / (\mathrm{TTFT} + (O - 1)\,\mathrm{TPOT}) .

Where requests come at a rate r, N is what Little's law makes of it, ``N = r (TTFT + (O - 1) TPOT)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, cast

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import ceil, larger, pick, share, smaller
from roofline.core.remember import Later
from roofline.core.text import figure
from roofline.core.units import Bytes, Count, Num, PerSecond, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.inference.passes import prompts_per_second, step
from roofline.operators.assumptions import draft_notes, notes
from roofline.operators.feasibility import Rule, serving_rules
from roofline.operators.memory import Footprint
from roofline.operators.serving_memory import drafting, fill
from roofline.operators.transformer import flow
from roofline.physics.kernels import Cost
from roofline.physics.queueing import Cadence, Gaps, Pace, cadence, full_house, none_free, pace, residual, saturation
from roofline.physics.spans import Span, after
from roofline.results import intervals
from roofline.results.energy import demanded
from roofline.results.estimate import Estimate
from roofline.workload.layout import Layout
from roofline.workload.questions import LEAST_CHUNK, Decode, Mixed, Prefill, Serve, yielded


def chunk_of(question: Serve, layout: Layout, engine: Engine) -> Count:
    """Return the prompt tokens that an attention rank passes in a step at most."""
    return larger(engine.budget / layout.dp, LEAST_CHUNK) if question.chunk is None else question.chunk


def _often(span: Span, times: Count) -> Span:
    return evolve(span, time=span.time * times, times=times)


@frozen(eq=False)
class _Running:
    """A service with so many requests let in: its cadence, its steps, and the times of a request that is let in."""

    active: Count
    each: Count
    c: Cadence
    alone: Decode
    plain: Span
    mixed: Span
    pace: Pace

    @property
    def served(self) -> Seconds:
        """The time for which a request that comes at random has its place."""
        return self.pace.first - self.pace.late + self.pace.rest


def _running(question: Serve, system: System, layout: Layout, calibration: Calibration, active: Count) -> _Running:
    """Price the steps of a service with so many requests let in."""
    q, model, groups, engine = question, question.model, layout.replicas * layout.pp, calibration.engine
    read, chunk, random = q.input - q.cached, chunk_of(q, layout, engine), q.rate is not None
    each = active / (groups * layout.dp)
    # Lengths vary, whatever of them is cached.
    varied = smaller(q.variation * q.input / read, larger(q.variation, 1.0))
    c = cadence(
        read, larger(q.output - 1, 0.0) / yielded(q), each, layout.dp, chunk,
        variation=varied, slots=q.requests_per_slot, random=random, gathered=engine.gathered,
    )  # fmt: skip
    beside = larger(active / groups - (0.0 if random else 1.0), 0.0) * c.decoding
    alone = Decode(model, groups * (1 + beside), q.input + q.output / 2, q.draft_tokens, q.accept_length, q.imbalance)
    both = Mixed(model, groups * beside, q.input + q.output / 2, c.together, c.chunk, q.cached + (read - c.chunk) / 2, c.busy,
                 q.draft_tokens, q.imbalance)  # fmt: skip
    # Those that decode: whoever waits costs the host nothing.
    served = active / groups * c.decoding
    if q.requests_per_slot is not None and q.concurrency is not None:
        # Those who wait for a place are served in it later: a place serves more requests than a slot of the client sends.
        q = evolve(q, requests_per_slot=q.requests_per_slot * larger(q.concurrency / active, 1.0))
    plain = step(alone, system, layout, calibration, served)
    mixed = step(both, system, layout, calibration, served)
    lag: Num = 0.0
    if not random:
        # One that comes back meets a step in progress, if any time passes before it is back and others are there.
        others = smaller(larger(each * layout.dp - 1, 0.0) * c.decoding, 1.0)
        lag = share(residual(c.mixed, plain.time, mixed.time), mixed.time) * others * (engine.front > 0)
        c = cadence(
            read, larger(q.output - 1, 0.0) / yielded(q), each, layout.dp, chunk,
            variation=varied, slots=q.requests_per_slot, lag=lag, gathered=engine.gathered,
        )  # fmt: skip
    return _Running(
        active,
        each,
        c,
        alone,
        plain,
        mixed,
        pace(
            q,
            engine,
            c,
            plain.time,
            mixed.time,
            requests=each,
            ranks=layout.dp,
            lanes=layout.dp * layout.replicas,
            lag=lag,
            variation=varied,
            packed=_packed(plain, mixed, c, each),
        ),
    )


def _packed(plain: Span, mixed: Span, c: Cadence, requests: Count) -> Seconds:
    """Return the time of a step with as many prompts as a chunk holds, or as there are requests.

    The chip's work grows with the prompts; the host's launches of a pass do not.
    """
    chips = [span.time - span.parts[-1].time for span in (plain, mixed)]
    prompts = smaller(c.most, larger(requests, 1.0))
    more = chips[0] + larger(chips[1] - chips[0], 0.0) * prompts / c.together
    return larger(more + plain.parts[-1].time, mixed.time)


_ROUNDS: Final = 14
_NEAR: Final = 0.002
"""How near a rate is to that of so many requests in flight, relative, when it is theirs."""


def _arrived(
    rate: PerSecond, most: Count, running: Callable[[Count, PerSecond], _Running], ranks: Count, lanes: Count
) -> tuple[_Running, PerSecond]:
    """Return the service that answers requests as they come, as far as it can, and how many a second it answers at most.

    What is answered grows with those that have a place; so their number lies between those that come before the first is
    answered, and all places. A bounded search in logarithms finds it.
    """
    full = running(most, rate)
    limit = saturation(full.c, full.plain.time, full.mixed.time, places=most, ranks=ranks, lanes=lanes)
    asked = smaller(rate, limit * _BELOW)

    def off(run: _Running) -> Num:
        # So few in flight that prompts hardly share steps could not pass them all: more must be.
        known = np.isfinite(run.served)
        return pick(known, cast("Num", np.log(run.active / pick(known, run.served, 1.0) / asked)), -1.0)

    full = running(most, asked)
    small = running(smaller(asked * full.served, most) * _LEAST, asked)
    low, below = cast("Num", np.log(small.active)), off(small)
    high, above = cast("Num", np.log(most)), off(full)
    # With every place taken it may still answer fewer than come: prompts that pass lengthen the answers.
    limit = pick(above < 0, smaller(limit, most / full.served), limit)
    side: Any = 0.0
    found = full
    for _ in range(_ROUNDS):
        # Secant between the two ends; one that stays counts half (Illinois).
        within = (above > 0) & (below < 0)
        middle = pick(within, low - below * (high - low) / pick(within, above - below, 1.0), high)
        found = running(smaller(np.exp(middle), most), asked)
        error = off(found)
        if np.all((np.abs(error) < _NEAR) | ~within):
            break
        up = error > 0
        below = pick(up, pick(side > 0, below / 2, below), error)
        above = pick(up, error, pick(side < 0, above / 2, above))
        low, high = pick(up, low, middle), pick(up, middle, high)
        side = pick(up, 1.0, -1.0)
    return found, limit


_LEAST: Final = 1e-5
_CROWDED: Final = 0.95
_BELOW: Final = 0.999999


def serve(question: Serve, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for a service on one pool of chips.

    Requests beyond those whose caches fit wait for their places: in a closed loop ``(N / n - 1) T`` by Little's law, T the time in
    which each of the n is served once, those of a first wave half of that; where they come at random see
    :func:`roofline.physics.queueing.full_house`. A rate that the service cannot answer is a plan that does not fit.
    """
    q, model, engine = question, question.model, calibration.engine
    read, chunk = q.input - q.cached, chunk_of(q, layout, engine)

    def running(active: Count, rate: PerSecond | None = None) -> _Running:
        return _running(q if rate is None else evolve(q, rate=rate), system, layout, calibration, active)

    low, high = intervals.front()
    front = Span("front end", engine.front, cost=Cost(engine.front, latency=engine.front, error=(high - low) / 2))
    stable: tuple[Rule, ...] = ()
    if q.rate is None:
        asked = cast("Num", q.concurrency)
        most = served_at_once(q, system, layout, calibration)
        run = running(smaller(asked, larger(most, 1.0)))
    else:
        most = _limited(_filled(q, system, layout, calibration, chunk)[2], q, layout, engine)
        # More than decode when every step passes a full chunk are of no use: their places stay empty, whatever the memory.
        steps = larger(q.output - 1, 0.0) / yielded(q)
        useful = layout.replicas * layout.pp * layout.dp * (steps + larger(read / chunk, 1.0)) * chunk / read
        run, limit = _arrived(
            q.rate, larger(smaller(most, useful), 1.0), running, layout.dp, layout.dp * layout.replicas
        )
        ok = q.rate < limit
        at = f"at {figure(float(limit), 3)} requests/s" if np.ndim(limit) == 0 else "below this rate"
        stable = (Rule(SATURATES, ok, f"the service saturates {at}"),)
    active, each, c, plain, mixed, times = run.active, run.each, run.c, run.plain, run.mixed, run.pace
    memory, capacity, _ = _filled(q, system, layout, calibration, active)
    lone = Prefill(model, layout.dp * layout.replicas, q.input, q.cached, q.imbalance)
    first = step(lone, system, layout, calibration)
    emitting = after("TPOT", (_often(plain, c.gaps - times.disturbed), _often(mixed, times.disturbed)))
    inside = (_often(mixed, times.steps + times.late / mixed.time), front)
    cycle = after("cycle", (after("TTFT", inside), emitting))
    waits = evolve(times.waits, base=times.waits.base + front.time)
    if q.rate is None:
        place = larger(asked / active - 1, 0.0) * cycle.time
        first_wave: Num = 0.0 if q.requests_per_slot is None else 1 / q.requests_per_slot
        waiting, waits = place * (1 - first_wave / 2), evolve(waits, place=place)
    else:
        places = larger(most, 1.0)
        load = smaller(active / places, 1.0) * ok
        waiting = pick(ok, full_house(places, load, run.served, q.variation), np.nan)
        waits = evolve(
            waits, queue=waits.queue + waiting, chance=1 - (1 - waits.chance) * (1 - none_free(places, load))
        )
    opening = after("TTFT", (*inside, _often(plain, waiting / plain.time)))
    answered = active / cycle.time if q.rate is None else smaller(q.rate, limit)
    cost = larger(mixed.time - plain.time, 0.0)
    adds = c.chunks * cost / c.together
    bursts: Num = 1.0
    if q.rate is not None:
        bursts = (1 - smaller(answered / (layout.dp * layout.replicas) * adds, _CROWDED)) ** -2.0
    gaps = Gaps(
        base=c.gaps * plain.time, tokens=larger(q.output - 1, 0.0), prompts=times.disturbed * c.together / c.chunks,
        each=adds, variation=q.variation, step=plain.time, mixed=mixed.time,
        often=share(times.disturbed, c.gaps), bursts=bursts,
    )  # fmt: skip
    slots = flow(run.alone, layout, system.chip).streams[0].sequences
    progress = yielded(q) / (q.draft_tokens + 1)
    return Estimate(
        question, system, layout, calibration,
        ttft=opening.time, tpot=pick(c.gaps > 0, emitting.time / larger(q.output - 1, 1.0), np.nan),
        tokens_per_second=answered * q.output, in_flight=q.concurrency if q.rate is None else answered * (cycle.time + waiting),
        prompt_tokens_per_second=prompts_per_second(lone, layout, first), cycle=cycle.time,
        memory=memory, capacity=capacity, max_concurrency=most, again=serve, rules=(*serving_rules(model, system, layout), *stable),
        steps=(first, plain, mixed, cycle),
        within={"ttft": (opening, 1.0), "tpot": (emitting, larger(1 - share(plain.time * c.gaps, emitting.time), 0.0))},
        progress=((first, each), (plain, each * c.gaps * progress / slots)),
        waits=waits, gaps=gaps, demand=Later(partial(demanded, cycle, system)),
        remarks=(
            *draft_notes(q),
            *notes(model, q.input + q.output, system, calibration),
            *_load_notes(
                q, layout, c, active, asked / active if q.rate is None else q.rate / limit, reserve=engine.reserve
            ),
            f"chunked prefill: {_span(chunk)} tokens per attention rank and step",
        ),
    )  # fmt: skip


ESTIMATED: Final = "{}: TTFT and percentiles are rough here; simulate follows every request"
"""What an answer says where its closed form is known to be off by more than a tenth."""

PREEMPTED: Final = (
    "the cache is full and answers are longer than prompts: requests are preempted and recomputed, which this closed form leaves out: TPOT is "
    "longer and rates are lower than stated, by a fifth to more than a half in simulations; use simulate"
)
"""What an answer says where its closed form takes no account of what an engine does when the cache fills while requests decode."""


_HALVINGS: Final = 16


def _together(asked: Count, served: Callable[[Count], Count], alike: Count) -> Count:
    """Return how many requests are served at once if so many are asked: ``served(asked)``, or what serves itself where that is less.

    Prompts pass together, and take memory together, of those requests alone that are let in: fewer of them leave room for more.

    Args:
        alike: requests from which on ``served`` is the same: their prompts fill a chunk.
    """
    most = served(asked)
    if np.all(most >= asked):
        return most
    low, high = larger(most, 0.0), larger(asked, most)
    # More than are served where all are asked serve themselves only where they are fewer than fill a chunk.
    high = smaller(high, larger(alike, np.floor(low) + 1))
    for _ in range(_HALVINGS):
        # The upper end does not serve itself: nothing is left between whole numbers that are neighbours.
        if np.all(np.floor(high) - np.floor(low) <= 1):
            break
        middle = (low + high) / 2
        holds = served(larger(np.floor(middle), 1.0)) >= np.floor(middle)
        low, high = pick(holds, middle, low), pick(holds, high, middle)
    return pick(most >= asked, most, np.floor(low))


def served_at_once(question: Serve, system: System, layout: Layout, calibration: Calibration) -> Count:
    """Return how many of the requests that are always in flight are served at once: the others wait for their places."""
    q, engine = question, calibration.engine

    def served(requests: Count) -> Count:
        return _limited(_filled(q, system, layout, calibration, requests)[2], q, layout, engine)

    return _together(cast("Num", q.concurrency), served, ceil(chunk_of(q, layout, engine) / (q.input - q.cached)))


def _filled(
    question: Serve, system: System, layout: Layout, calibration: Calibration, requests: Count
) -> tuple[Footprint, Bytes, Count]:
    """Return the bytes on the fullest chip with so many requests, those it may hold, and how many requests fit."""
    q, engine = question, calibration.engine
    read, chunk = q.input - q.cached, chunk_of(q, layout, engine)
    return fill(
        q.model, system, layout, calibration, sequences=ceil(requests / (layout.dp * layout.replicas)),
        # What is let in holds half of its answer on average; an engine may keep more free.
        tokens=q.input + q.output * larger(engine.reserve, 0.5),
        passing=q.draft_tokens + 1, logits=q.draft_tokens + 1, prompt=smaller(chunk, read * ceil(requests)),
        drafting=drafting(q.model, q.draft_tokens), drafts=q.draft_tokens,
    )  # fmt: skip


def _limited(fit: Count, question: Serve, layout: Layout, engine: Engine) -> Count:
    """Return how many requests are served at once where so many fit: no more than the engine's own limits."""
    out = fit
    if engine.most is not None:
        out = smaller(out, engine.most * layout.dp * layout.replicas)
    if engine.most_drafting is not None:
        out = pick(question.draft_tokens > 0, smaller(out, engine.most_drafting * layout.replicas), out)
    return out


SATURATES: Final = "service_saturates"
"""How the reason begins that a rate cannot be answered."""


def _rough(q: Serve, layout: Layout, c: Cadence, part: Num) -> Iterator[str]:
    """Yield why closed forms are known to be off by more than a tenth here, as the grid of ``scripts/queueing_grid.py`` shows.

    Args:
        part: share of the greatest rate that is asked, where requests come at a rate, or of the places that are taken.
    """
    if np.any(part > 1):
        yield "the cache is full"
    if np.any(c.passing > _BUSY):
        yield "nearly every step passes prompts"
    if np.any(layout.dp > 1):
        yield "attention ranks work in lock-step"
    if q.rate is not None and np.any((part > _HALF) & (c.most < 4 / 3)):
        yield "long prompts come at random at a high load"
    if q.rate is not None and np.any(c.gaps < _FEW):
        yield "nearly all of a request is its prompt"


_BUSY: Final = 0.7
_HALF: Final = 0.45
_FEW: Final = 8.0


def _load_notes(q: Serve, layout: Layout, c: Cadence, active: Count, part: Num, *, reserve: Ratio) -> tuple[str, ...]:
    """Return what is assumed of the load.

    Args:
        part: as of :func:`_rough`; ``reserve``: part of an answer for which the engine keeps cache when it lets a request in.
    """
    rough = tuple(_rough(q, layout, c, part))
    out = [ESTIMATED.format(" and ".join(rough))] if rough else []
    # What is let in grows by its answer; short ones end before the cache that was left is full.
    if np.any((part > 1) & (q.output * (1 - reserve) > q.input)):
        out.append(PREEMPTED)
    if q.rate is not None:
        return (f"requests come at random: {_span(active, 3)} are in flight at once on average", *out)
    if q.requests_per_slot is None:
        out.append(
            "steady state: requests arrive as others leave; a load that starts all at once makes its first prompts wait for each "
            "other (requests_per_slot)"
        )
    if np.any(active < cast("Num", q.concurrency)):
        out.append(f"caches of {_span(active)} requests fit at once: the others wait for their places")
    return tuple(out)


def _span(value: Num, digits: int = 0) -> str:
    """Return one number or two; whole, or with so many digits that count."""
    low, high = (
        figure(float(end), digits) if digits else f"{float(end):,.0f}" for end in (np.min(value), np.max(value))
    )
    return low if low == high else f"{low} to {high}"
