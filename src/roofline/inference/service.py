r"""A service under load in closed form: a closed loop or random arrivals, with chunked prefill in decode steps.

The steps are counted in :mod:`roofline.physics.queueing` and priced here, as operations:

.. math:: \mathrm{TTFT} = (w + s)\,t_{mixed}, \qquad \mathrm{TPOT} = (t_{decode} + f_{any} (t_{mixed} - t_{decode})) / a,
          \qquad \mathrm{rate} = N O / (\mathrm{TTFT} + (O - 1)\,\mathrm{TPOT}) .

Where requests come at a rate r, N is what Little's law makes of it, ``N = r (TTFT + (O - 1) TPOT)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import anywhere, ceil, larger, pick, share, smaller
from roofline.core.remember import Lazy
from roofline.core.text import figure
from roofline.core.units import Bytes, Count, Num, PerSecond, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.inference.passes import prompts_per_second, step
from roofline.inference.roughness import reasons
from roofline.operators.assumptions import draft_notes, notes
from roofline.operators.feasibility import Rule, serving_rules
from roofline.operators.memory import Footprint
from roofline.operators.serving_memory import fill_memory, uses_own_drafts
from roofline.operators.transformer import flow
from roofline.physics.kernels import Cost
from roofline.physics.percentiles import Gaps, Passes, lengths, mean_of
from roofline.physics.queueing import (
    ALIKE,
    Cadence,
    Pace,
    after_a_step,
    cadence,
    full_house,
    none_free,
    pace,
    residual,
    saturation,
)
from roofline.physics.spans import Span, after
from roofline.results import intervals
from roofline.results.energy import demanded_share
from roofline.results.estimate import Estimate
from roofline.results.roughness import note
from roofline.workload.layout import Layout
from roofline.workload.questions import LEAST_CHUNK, Decode, Mixed, Prefill, Serve, tokens_per_step


def chunk_of(question: Serve, layout: Layout, engine: Engine) -> Count:
    """Return the prompt tokens that an attention rank passes in a step at most."""
    return larger(engine.budget / layout.dp, LEAST_CHUNK) if question.chunk is None else question.chunk


def _frequency(span: Span, times: Count) -> Span:
    return evolve(span, time=span.time * times, times=times)


@frozen(eq=False)
class _ServiceState:
    """A service with a given number of admitted requests: its cadence, its steps, and the times of a request."""

    active: Count
    each: Count
    c: Cadence
    alone: Decode
    both: Mixed
    passes: Lazy[Passes]
    plain: Span
    mixed: Span
    pace: Pace

    @property
    def served(self) -> Seconds:
        """The time for which a request that arrives at random has its place."""
        return self.pace.first - self.pace.late + self.pace.rest


def _state_of(
    question: Serve,
    system: System,
    layout: Layout,
    calibration: Calibration,
    active: Count,
    *,
    grows: Seconds | None = None,
) -> _ServiceState:
    """Price the steps of a service with a given number of admitted requests.

    Args:
        grows: time that one more prompt adds to a step, where it is known; see :func:`_prompt_cost`.
    """
    q, model, groups, engine = question, question.model, layout.replicas * layout.pp, calibration.engine
    read, chunk, random = q.input - q.cached, chunk_of(q, layout, engine), q.rate is not None
    each = active / (groups * layout.dp)
    # Ranks in lock-step decode while others of them pass prompts.
    stalls = np.asarray(layout.dp <= 1) * (0.0 if engine.mixed else 1.0)
    # Lengths vary, whatever of them is cached.
    varied = smaller(q.variation * q.input / read, larger(q.variation, 1.0))
    c = cadence(
        read, larger(q.output - 1, 0.0) / tokens_per_step(q), each, layout.dp, chunk,
        variation=varied, slots=q.requests_per_slot, random=random, gathered=engine.gathered, stalls=stalls,
    )  # fmt: skip
    beside = larger(active / groups - (0.0 if random else 1.0), 0.0) * c.decoding
    # A long answer is met for longer than a short one, and of prompt tokens more belong to long prompts (renewal theory).
    seen = 1 + q.variation * q.variation
    context = q.input + q.output / 2 * seen
    alone = Decode(model, groups * (1 + beside), context, q.draft_tokens, q.accept_length, q.imbalance)
    past = q.cached + larger(read * (1 + varied * varied) - c.chunk, 0.0) / 2
    # What passes beside prompts.
    goes_on = 1 - stalls
    both = Mixed(
        model, groups * beside * goes_on, context, c.together, c.chunk, past, c.busy, q.draft_tokens, q.imbalance
    )
    # Those that decode: whoever waits costs the host nothing.
    served = active / groups * c.decoding
    if q.requests_per_slot is not None and q.concurrency is not None:
        # Those who wait for a place are served in it later: a place serves more requests than a slot of the client sends.
        q = evolve(q, requests_per_slot=q.requests_per_slot * larger(q.concurrency / active, 1.0))
    plain = step(alone, system, layout, calibration, served)
    mixed = step(both, system, layout, calibration, served * goes_on)
    passes = Lazy(
        partial(
            _passes, both, system, layout, calibration, read=read, cached=q.cached, chunk=chunk, variation=q.variation,
            served=served * goes_on, decode=plain.time * goes_on,
        )
    )  # fmt: skip
    lag: Num = 0.0
    more: Num = 0.0
    if not random:
        # One that comes back meets a step in progress, if any time passes before it is back and others are there.
        beside = larger(each * layout.dp - 1, 0.0) * c.decoding
        jitter = _JITTER / np.sqrt(larger(beside, 1.0))
        more = after_a_step(engine.front, plain.time, c.mixed, jitter)
        chance, left, whole = c.met(plain.time, mixed.time, engine.front)
        in_prompts = chance * (left + whole) / 2 + (1 - chance) * plain.time / 2
        progress = pick(stalls > 0, in_prompts, residual(c.mixed, plain.time, mixed.time)) + more
        lag = share(progress, mixed.time) * smaller(beside, 1.0) * (engine.front > 0)
        c = cadence(
            read, larger(q.output - 1, 0.0) / tokens_per_step(q), each, layout.dp, chunk,
            variation=varied, slots=q.requests_per_slot, lag=lag, gathered=engine.gathered, stalls=stalls,
            away=(engine.front + plain.time / 2) / (plain.time + c.mixed * mixed.time) * (engine.front > 0),
        )  # fmt: skip
    return _ServiceState(
        active,
        each,
        c,
        alone,
        both,
        passes,
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
            packed=_full_chunk_time(
                q, both, plain, mixed, c, requests=each, system=system, layout=layout, calibration=calibration
            ),
            more=more,
            fixed=plain.time + stalls * larger(mixed.parts[-1].time - plain.parts[-1].time, 0.0),
            grows=grows,
            passes=passes,
        ),
    )


def _passes(
    both: Mixed, system: System, layout: Layout, calibration: Calibration, *, read: Count, cached: Count, chunk: Count, variation: Ratio,
    served: Count, decode: Seconds,
) -> Passes:  # fmt: skip
    """Price prompts of every length by themselves, as the percentiles of their times are asked for."""
    # What is cached is the same of all prompts, as far as they are as long; a quarter of the mean is passed at least.
    prompts = lengths(read + cached, variation, np.ndim(decode))
    length = larger(prompts - cached, _RARELY * read)
    length = larger(length * share(read, mean_of(length)), 1.0)
    chunks = ceil(length / chunk)
    asked = evolve(both, prompts=1.0, chunk=length / chunks, past=cached + (length - length / chunks) / 2)
    own = chunks * step(asked, system, layout, calibration, served).time
    # Where others wait, no chunk is left half empty.
    return Passes(own, larger(own - (chunks - length / chunk) * decode, own * _LEAST))


_RARELY: Final = 0.25


def _prompt_cost(run: _ServiceState, system: System, layout: Layout, calibration: Calibration) -> Seconds:
    """Return the time that one more prompt adds to a step: a step that reads weights for one reads them for others too."""
    some = run.c.together
    prompts = pick(some > 2, some / 2, smaller(run.c.most, 2 * some + 2))
    served = run.active / (layout.replicas * layout.pp) * run.c.decoding * (1 - run.c.stalls)
    other = step(evolve(run.both, prompts=prompts), system, layout, calibration, served).time
    apart = prompts != some
    return pick(apart, larger((other - run.mixed.time) / pick(apart, prompts - some, 1.0), 0.0), run.mixed.time)


def _full_chunk_time(
    question: Serve, both: Mixed, plain: Span, mixed: Span, c: Cadence,
    *, requests: Count, system: System, layout: Layout, calibration: Calibration,
) -> Seconds:  # fmt: skip
    """Return the time of a step with as many prompts as a chunk holds, or as there are requests.

    Beside decoding the chip's work grows with the prompts; the host's launches of a pass do not. A step of prompts alone is priced: much
    of it is the same for one and for many. It is asked for where requests begin together.
    """
    prompts = smaller(c.most, larger(requests, 1.0))
    chips = [span.time - span.parts[-1].time for span in (plain, mixed)]
    more = chips[0] + larger(chips[1] - chips[0], 0.0) * prompts / c.together
    out = larger(more + plain.parts[-1].time, mixed.time)
    together = question.requests_per_slot is not None or anywhere(question.variation <= ALIKE)
    if not (anywhere(c.stalls > 0) and together):
        return out
    return pick(
        c.stalls > 0, larger(step(evolve(both, prompts=prompts), system, layout, calibration).time, mixed.time), out
    )


_JITTER: Final = 0.3
"""Standard deviation over the mean of what one sequence of a step takes of it: caches are read that lie evenly between the lengths of a prompt
and of all (0.58 of their mean, where prompts are short), and take about half of a step."""
_ROUNDS: Final = 14
_NEAR: Final = 0.002
"""How near a rate is to that of so many requests in flight, relative, when it is theirs."""


def _open_loop(
    rate: PerSecond,
    most: Count,
    running: Callable[[Count, PerSecond, Seconds | None], _ServiceState],
    growth: Callable[[_ServiceState], Seconds],
    *,
    ranks: Count,
    lanes: Count,
) -> tuple[_ServiceState, PerSecond]:
    """Return the service that answers requests as they come, as far as it can, and how many a second it answers at most.

    What is answered grows with those that have a place; so their number lies between those that come before the first is
    answered, and all places. A bounded search in logarithms finds it.
    """
    full = running(most, rate, None)
    grows = growth(full)
    limit = saturation(full.c, full.plain.time, full.mixed.time, places=most, ranks=ranks, lanes=lanes, grows=grows)
    asked = smaller(rate, limit * _BELOW)

    def off(run: _ServiceState) -> Num:
        # So few in flight that prompts hardly share steps could not pass them all: more must be.
        known = np.isfinite(run.served)
        return pick(known, cast("Num", np.log(run.active / pick(known, run.served, 1.0) / asked)), -1.0)

    full = running(most, asked, grows)
    small = running(smaller(asked * full.served, most) * _LEAST, asked, grows)
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
        found = running(smaller(np.exp(middle), most), asked, grows)
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
    which each of the n is served once, those of a first wave half of that; where they arrive at random see
    :func:`roofline.physics.queueing.full_house`. A rate that the service cannot answer is a plan that does not fit.
    """
    q, model, engine = question, question.model, calibration.engine
    read, chunk = q.input - q.cached, chunk_of(q, layout, engine)

    def running(active: Count, rate: PerSecond | None = None, grows: Seconds | None = None) -> _ServiceState:
        return _state_of(q if rate is None else evolve(q, rate=rate), system, layout, calibration, active, grows=grows)

    low, high = intervals.front()
    front = Span("front end", engine.front, cost=Cost(engine.front, latency=engine.front, error=(high - low) / 2))
    stable: tuple[Rule, ...] = ()
    if q.rate is None:
        asked = cast("Num", q.concurrency)
        most = served_at_once(q, system, layout, calibration)
        run = running(smaller(asked, larger(most, 1.0)))
    else:
        most = _sequence_limit(_memory_of(q, system, layout, calibration, chunk)[2], q, layout, engine)
        # More than decode when every step passes a full chunk are of no use: their places stay empty, whatever the memory.
        steps = larger(q.output - 1, 0.0) / tokens_per_step(q)
        useful = layout.replicas * layout.pp * layout.dp * (steps + larger(read / chunk, 1.0)) * chunk / read
        run, limit = _open_loop(
            q.rate,
            larger(smaller(most, useful), 1.0),
            running,
            lambda run: _prompt_cost(run, system, layout, calibration),
            ranks=layout.dp,
            lanes=layout.dp * layout.replicas,
        )
        ok = q.rate < limit
        at = f"at {figure(float(limit), 3)} requests/s" if np.ndim(limit) == 0 else "below this rate"
        stable = (Rule(SATURATES, ok, f"the service saturates {at}"),)
    active, each, c, plain, mixed, times = run.active, run.each, run.c, run.plain, run.mixed, run.pace
    memory, capacity, _ = _memory_of(q, system, layout, calibration, active)
    lone = Prefill(model, layout.dp * layout.replicas, q.input, q.cached, q.imbalance)
    first = step(lone, system, layout, calibration)
    beside = 1 - c.stalls
    emitting = after("TPOT", (_frequency(plain, c.gaps - beside * times.disturbed), _frequency(mixed, times.disturbed)))
    inside = (_frequency(mixed, times.steps + times.late / mixed.time), front)
    cycle = after("cycle", (after("TTFT", inside), emitting))
    waits = evolve(times.waits, front=front.time, mean=times.waits.mean + front.time)
    if q.rate is None:
        place = larger(asked / active - 1, 0.0) * cycle.time
        first_wave: Num = 0.0 if q.requests_per_slot is None else 1 / q.requests_per_slot
        waiting, waits = (
            place * (1 - first_wave / 2),
            evolve(waits, place=place, uneven=_wait_variance(q, asked, active, each)),
        )
    else:
        places = larger(most, 1.0)
        load = smaller(active / places, 1.0) * ok
        waiting = pick(ok, full_house(places, load, run.served, q.variation), np.nan)
        waits = evolve(waits, place=waiting, full=none_free(places, load), uneven=1.0)
    opening = after("TTFT", (*inside, _frequency(plain, waiting / plain.time)))
    answered = active / cycle.time if q.rate is None else smaller(q.rate, limit)
    adds = c.chunks * c.held_up(plain.time, mixed.time) / c.together
    # Between two steps of a sequence prompts pass, if any do, in so many.
    often = share(times.disturbed, c.gaps)
    met = pick(c.stalls > 0, smaller(often, -np.expm1(-c.arrivals)), often)
    longest = mixed.time * larger(share(often, met), 1.0) + c.stalls * plain.time
    gaps = Gaps(
        base=c.gaps * plain.time, tokens=larger(q.output - 1, 0.0), prompts=times.disturbed * c.together / c.chunks,
        each=adds, variation=q.variation, step=plain.time, mixed=longest, bounded=beside,
        often=met, passes=run.passes, yields=tokens_per_step(q), others=larger(each * layout.dp - 1, _LEAST),
    )  # fmt: skip
    if q.rate is not None:
        coming = answered / (layout.dp * layout.replicas)
        gaps = evolve(
            gaps, others=np.inf, load=smaller(coming * adds, _CROWDED), behind=coming * (times.first - plain.time / 2),
            uneven=Lazy(partial(_step_variation, run, system, layout, calibration)),
        )  # fmt: skip
    rough = reasons(
        q, layout, c, plain.time, mixed.time, requests=each, part=asked / active if q.rate is None else q.rate / limit, reserve=engine.reserve
    )  # fmt: skip
    slots = flow(run.alone, layout, system.chip).streams[0].sequences
    progress = tokens_per_step(q) / (q.draft_tokens + 1)
    return Estimate(
        question, system, layout, calibration,
        ttft=opening.time, tpot=pick(c.gaps > 0, emitting.time / larger(q.output - 1, 1.0), np.nan),
        tokens_per_second=answered * q.output, in_flight=q.concurrency if q.rate is None else answered * (cycle.time + waiting),
        prompt_tokens_per_second=prompts_per_second(lone, layout, first), cycle=cycle.time,
        memory=memory, capacity=capacity, max_concurrency=most, again=serve, rules=(*serving_rules(model, system, layout), *stable),
        steps=(first, plain, mixed, cycle),
        within={"ttft": (opening, 1.0), "tpot": (emitting, larger(1 - share(plain.time * c.gaps, emitting.time), 0.0))},
        progress=((first, each), (plain, each * c.gaps * progress / slots)),
        waits=waits, gaps=gaps, rough=rough, demand=Lazy(partial(demanded_share, cycle, system)),
        remarks=(
            *draft_notes(q),
            *notes(model, q.input + q.output, system, calibration),
            *note(rough, q, system, layout, engine),
            *_load_notes(q, active, most, keeps_up=q.rate is None or bool(np.any(q.rate < limit))),
            f"chunked prefill: {_span(chunk)} tokens per attention rank and step",
        ),
    )  # fmt: skip


def _wait_variance(question: Serve, asked: Count, active: Count, each: Count) -> Ratio:
    r"""Return the variance of the wait for a place over its mean squared.

    Of n that are served, each of which leaves once in a time T, :math:`n (u (1 - u) + v^2 u)` fewer or more leave in a part u of it, and
    places differ by :math:`v \sqrt n` as caches do.
    """
    part, squared = larger(asked / active - 1, _LEAST), question.variation * question.variation
    return (part * larger(1 - part, 0.0) + squared * (1 + part)) / (larger(each, 1.0) * part * part)


def _step_variation(run: _ServiceState, system: System, layout: Layout, calibration: Calibration) -> Ratio:
    r"""Return how much the time of a decode step varies from one request to another, as the number in flight does.

    That number is Poisson's where requests arrive at random, and is averaged over an answer: of its variance two thirds are left
    (:math:`2 \int (1 - x)^2`).
    """
    some = np.sqrt(run.active) * np.sqrt(_AVERAGED)
    ends = [
        step(evolve(run.alone, batch=larger(run.alone.batch + by, _LEAST)), system, layout, calibration, larger(run.active + by, 0.0)).time
        for by in (-some, some)
    ]  # fmt: skip
    return share((ends[1] - ends[0]) / 2, run.plain.time)


_AVERAGED: Final = 2 / 3


_HALVINGS: Final = 16


def _concurrent(asked: Count, served: Callable[[Count], Count], alike: Count) -> Count:
    """Return how many requests are served at once if so many are asked: ``served(asked)``, or what serves itself where that is less.

    Prompts pass together, and take memory together, of those requests alone that are admitted: fewer of them leave room for more.

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
        return _sequence_limit(_memory_of(q, system, layout, calibration, requests)[2], q, layout, engine)

    return _concurrent(cast("Num", q.concurrency), served, ceil(chunk_of(q, layout, engine) / (q.input - q.cached)))


def _memory_of(
    question: Serve, system: System, layout: Layout, calibration: Calibration, requests: Count
) -> tuple[Footprint, Bytes, Count]:
    """Return the bytes on the fullest chip with so many requests, those it may hold, and how many requests fit."""
    q, engine = question, calibration.engine
    read, chunk = q.input - q.cached, chunk_of(q, layout, engine)
    return fill_memory(
        q.model, system, layout, calibration, sequences=ceil(requests / (layout.dp * layout.replicas)),
        # What is let in holds half of its answer on average; an engine may keep more free.
        tokens=q.input + q.output * larger(engine.reserve, 0.5),
        passing=q.draft_tokens + 1, logits=q.draft_tokens + 1, prompt=smaller(chunk, read * ceil(requests)),
        drafting=uses_own_drafts(q.model, q.draft_tokens), drafts=q.draft_tokens,
    )  # fmt: skip


def _sequence_limit(fit: Count, question: Serve, layout: Layout, engine: Engine) -> Count:
    """Return how many requests are served at once where so many fit: no more than the engine's own limits."""
    out = fit
    if engine.most is not None:
        out = smaller(out, engine.most * layout.dp * layout.replicas)
    if engine.most_drafting is not None:
        out = pick(question.draft_tokens > 0, smaller(out, engine.most_drafting * layout.replicas), out)
    return out


SATURATES: Final = "service_saturates"
"""How the reason begins that a rate cannot be answered."""


def _load_notes(q: Serve, active: Count, most: Count, *, keeps_up: bool) -> tuple[str, ...]:
    """Return what is assumed of the load, where requests are served at all."""
    if not np.any(most >= 1):
        return ()
    if not keeps_up:
        return ("requests come at random and faster than they are answered: the queue grows without end",)
    if q.rate is not None:
        return (f"requests arrive at random: {_span(active, 3)} are in flight at once on average",)
    out = []
    if q.requests_per_slot is None:
        out.append(
            "steady state: requests arrive as others leave; a load that starts all at once makes its first prompts wait for each "
            "other (requests_per_slot)"
        )
    if np.any(active < cast("Num", q.concurrency)):
        out.append(f"KV caches of {_span(active)} requests fit at once: the others wait for their places")
    return tuple(out)


def _span(value: Num, digits: int = 0) -> str:
    """Return one number or two; whole, or with so many digits that count."""
    low, high = (
        figure(float(end), digits) if digits else f"{float(end):,.0f}" for end in (np.min(value), np.max(value))
    )
    return low if low == high else f"{low} to {high}"
