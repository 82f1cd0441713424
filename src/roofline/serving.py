r"""A service under load: requests always in flight, prompts passed in the decode steps of the others.

Everything is counted in steps first. A request passes its prompt of I tokens in s chunks of at most C, then emits O tokens, a in
each of G = (O - 1) / a further steps. n requests are in flight on each attention rank, so in a cycle of K steps the rank passes n
prompts, each of which occupies it for q = s / c steps, c prompts going into one chunk. A prompt waits w steps for those before
it: the mean wait of a queue with constant service (Pollaczek and Khinchin) whose n - 1 other customers come back once a cycle,

.. math:: K = G + s + w, \qquad 2 w (K - (n - 1) q) = (n - 1) q^2, \qquad K \ge n q .

So :math:`\lambda = n / K` prompts begin in a step, a share f of a rank's steps passes prompts, and a step in which any rank of a
group in lock-step does is a *mixed* one (Orca, OSDI 2022; Sarathi-Serve, arXiv:2403.02310), which takes longer for all:

.. math:: \mathrm{TTFT} = (w + s)\,t_{mixed}, \qquad \mathrm{TPOT} = (t_{decode} + f_{any} (t_{mixed} - t_{decode})) / a,
          \qquad \mathrm{rate} = N O / (\mathrm{TTFT} + (O - 1)\,\mathrm{TPOT}) .
"""

from __future__ import annotations

from typing import Final

import numpy as np
from attrs import evolve, frozen

from roofline.answer import Estimate
from roofline.arrays import ceil, floor, larger, pick, share, smaller
from roofline.calibration import Calibration
from roofline.engines import Engine
from roofline.footprint import Footprint
from roofline.hardware import System
from roofline.inference import decode, draft_notes, drafting, fill, notes, prefill, step
from roofline.layout import Layout
from roofline.roofline import Cost
from roofline.timeline import Span, after
from roofline.transformer import flow
from roofline.units import Bytes, Count, Num, Ratio, Seconds
from roofline.workload import LEAST_CHUNK, Decode, Mixed, Prefill, Serve

_ALWAYS: Final = float(np.nextafter(1.0, 0.0))
"""A share of steps that is as good as all of them."""


@frozen(eq=False)
class Cadence:
    """How often what happens in a service, counted in steps.

    Attributes:
        gaps: steps in which a request emits tokens after its first; ``chunks``: steps that pass its prompt.
        wait: steps for which it waits before that; ``cycle``: all of them.
        chunk: tokens of a chunk; ``together``: prompts in a chunk on average, ``most``: at most.
        arrivals: prompts that begin in a step on an attention rank, besides the one that is looked at.
        passing: share of an attention rank's steps that pass prompts.
        mixed: share of a request's decode steps in which another rank of its group, or its own, passes prompts.
        busy: ranks of a group that pass prompts in such a step.
        decoding: share of the others that are decoding.
    """

    gaps: Count
    chunks: Count
    wait: Count
    cycle: Count
    chunk: Count
    together: Count
    most: Count
    arrivals: Count
    passing: Ratio
    mixed: Ratio
    busy: Count
    decoding: Ratio


def cadence(input: Count, gaps: Count, requests: Count, ranks: Count, chunk: Count) -> Cadence:
    """Return the cadence of ``requests`` on each of ``ranks`` attention ranks in lock-step.

    Args:
        input: tokens of a prompt; ``chunk``: those an attention rank passes in a step at most.
        gaps: decode steps of a request.
        requests: in flight on each rank, on average; below one where some ranks have none.
    """
    chunks, most = ceil(input / chunk), larger(floor(chunk / input), 1.0)
    hold = chunks / most
    others = larger(requests - 1, 0.0)
    # The root of the quadratic above in w.
    slack = others * hold - gaps - chunks
    wait = (slack + np.sqrt(slack * slack + 2 * others * hold * hold)) / 2
    cycle = larger(gaps + chunks + wait, requests * hold)
    rate = requests / cycle
    apart = others / larger(requests, 1.0)
    # Prompts that begin in the same step go together: Poisson arrivals, given that there is one.
    crowd = rate / -np.expm1(-rate)
    together = smaller(1 + (crowd - 1) * apart, most)
    passing = smaller(rate * chunks / together, _ALWAYS)
    group = larger(requests * ranks, 1.0)
    return Cadence(
        gaps=gaps, chunks=chunks, wait=cycle - gaps - chunks, cycle=cycle,
        chunk=smaller(input, chunk), together=together, most=most,
        arrivals=rate * apart, passing=passing, mixed=_any(passing, ranks * (1 - 1 / group)),
        busy=ranks * passing / _any(passing, ranks), decoding=gaps / cycle,
    )  # fmt: skip


def _any(chance: Ratio, draws: Count) -> Ratio:
    """Return the chance that one of so many independent draws hits: ``1 - (1 - chance)^draws``."""
    return -np.expm1(draws * np.log1p(-chance))


def first_token(c: Cadence, decode: Seconds, mixed: Seconds) -> Count:
    """Return the time to the first token in mixed steps: those it waits, and those of its prompt.

    A prompt shares its chunk with those that begin in the same step, more than a mixed step has on average.
    """
    crowd = smaller(1 + c.arrivals, c.most) / c.together
    return c.wait + c.chunks * pick(c.most > 1, 1 + (crowd - 1) * larger(1 - decode / mixed, 0.0), 1.0)


def chunk_of(question: Serve, layout: Layout, engine: Engine) -> Count:
    """Return the prompt tokens that an attention rank passes in a step at most."""
    return larger(engine.budget / layout.dp, LEAST_CHUNK) if question.chunk is None else question.chunk


def _often(span: Span, times: Count) -> Span:
    return evolve(span, time=span.time * times, times=times)


def behind(question: Serve, engine: Engine, c: Cadence, requests: Count, ahead: Count) -> Count:
    """Return how many more prompts are ahead of one than in steady state, where lengths vary and nothing began at once.

    A benchmark of r requests a slot starts them all at once: ``n / 2r`` on average. Requests of equal length that end together
    begin together: the engine's ``crowd``; and where prompts go before decode steps they keep together, ``(n + c) / 2``.

    Args:
        requests: n in flight on an attention rank; ``ahead``: prompts ahead of one in steady state, itself among them.
    """
    slots = question.requests_per_slot
    ramp = 0.0 if slots is None else requests / (2 * slots)
    alike = (question.variation <= _ALIKE) * 1.0
    crowd = larger(1 + smaller(engine.crowd, larger(requests - 1, 0.0)) - ahead, 0.0)
    most = larger((requests + smaller(c.most, larger(requests, 1.0))) / 2 - larger(ahead + crowd + ramp, 1.0), 0.0)
    return ramp + alike * (crowd + engine.bunched * most)


_ALIKE: Final = 0.05
"""A variation of lengths below which they are the same."""


def serve(question: Serve, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for a closed loop of requests on one pool of chips.

    Requests beyond those whose caches fit wait for their places, ``(N / n - 1) T`` by Little's law, T the time in which each of
    the n is served once.
    """
    q, model, groups, engine = question, question.model, layout.replicas * layout.pp, calibration.engine
    read, chunk = q.input - q.cached, chunk_of(q, layout, engine)

    def filled(concurrency: Count, tokens: Count) -> tuple[Footprint, Bytes, Count]:
        return fill(
            model, system, layout, calibration, sequences=ceil(concurrency / (layout.dp * layout.replicas)), tokens=tokens,
            passing=q.draft_tokens + 1, logits=q.draft_tokens + 1, prompt=smaller(chunk, read * ceil(concurrency)),
            drafting=drafting(model, q.draft_tokens),
        )  # fmt: skip

    # What is let in holds half of its answer on average; an engine may keep more free.
    kept = q.input + q.output * larger(engine.reserve, 0.5)
    most = filled(q.concurrency, kept)[2]
    active = smaller(q.concurrency, larger(most, 1.0))
    memory, capacity, _ = filled(active, kept)
    each = active / (groups * layout.dp)
    c = cadence(read, larger(q.output - 1, 0.0) / q.accept_length, each, layout.dp, chunk)
    context = q.input + q.output / 2
    beside = larger(active / groups - 1, 0.0) * c.decoding
    alone = Decode(model, groups * (1 + beside), context, q.draft_tokens, q.accept_length, q.imbalance)
    one = decode(alone, system, layout, calibration)
    first = prefill(
        Prefill(model, layout.dp * layout.replicas, q.input, q.cached, q.imbalance), system, layout, calibration
    )
    both = Mixed(model, groups * beside, context, c.together, c.chunk, q.cached + (read - c.chunk) / 2, c.busy, q.draft_tokens,
                 q.imbalance)  # fmt: skip
    served = active / (layout.replicas * layout.pp)
    plain = step(alone, system, layout, calibration, served)
    mixed = step(both, system, layout, calibration, served)
    steps = first_token(c, plain.time, mixed.time)
    # What a prompt costs those that decode beside it.
    cost = larger(mixed.time - plain.time, 0.0)
    prompt = c.chunks * cost / c.together
    late = behind(q, engine, c, each, share(steps * mixed.time - plain.time, prompt)) * prompt
    # Prompts that a request waits for do not disturb it again.
    times = larger(c.gaps * c.mixed - share(late, cost), 0.0)
    emitting = after("TPOT", (_often(plain, c.gaps - times), _often(mixed, times)))
    front = Span("front end", engine.front, cost=Cost(engine.front, latency=engine.front, error=_FRONT_ERROR))
    inside = (_often(mixed, steps + late / mixed.time), front)
    cycle = after("cycle", (after("TTFT", inside), emitting))
    waiting = larger(q.concurrency / active - 1, 0.0) * cycle.time
    opening = after("TTFT", (*inside, _often(plain, waiting / plain.time)))
    slots = flow(alone, layout, system.chip).streams[0].sequences
    progress = q.accept_length / (q.draft_tokens + 1)
    return Estimate(
        question, system, layout, calibration,
        ttft=opening.time, tpot=pick(c.gaps > 0, emitting.time / larger(q.output - 1, 1.0), np.nan),
        tokens_per_second=active * q.output / cycle.time,
        prompt_tokens_per_second=first.prompt_tokens_per_second, cycle=cycle.time,
        memory=memory, capacity=capacity, max_concurrency=most, again=serve, rules=one.rules,
        steps=(first.steps[0], plain, mixed, cycle),
        within={"ttft": (opening, 1.0), "tpot": (emitting, larger(1 - share(plain.time * c.gaps, emitting.time), 0.0))},
        progress=((first.steps[0], each), (plain, each * c.gaps * progress / slots)),
        remarks=(
            *draft_notes(model, q.draft_tokens, q.accept_length),
            *notes(model, q.input + q.output, system, calibration),
            *_load_notes(q, active),
            f"prompts pass in chunks of {_span(chunk)} tokens on each attention rank",
        ),
    )  # fmt: skip


_FRONT_ERROR: Final = 0.7
"""Half-width of the 80 % interval of the front end's time, relative."""


def _load_notes(q: Serve, active: Count) -> tuple[str, ...]:
    """Return what is assumed of the load."""
    out = []
    if q.requests_per_slot is None:
        out.append("steady state: requests arrive as others leave; a load that starts all at once makes its first prompts wait for each "
                   "other (requests_per_slot)")  # fmt: skip
    if np.any(active < q.concurrency):
        out.append(f"caches of {_span(active)} requests fit at once: the others wait for their places")
    return tuple(out)


def _span(value: Num) -> str:
    low, high = float(np.min(value)), float(np.max(value))
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
