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
from roofline.hardware import System
from roofline.inference import decode, draft_notes, drafting, fill, notes, prefill, step
from roofline.layout import Layout
from roofline.timeline import Span, after
from roofline.transformer import flow
from roofline.units import Count, Num, Ratio, Seconds
from roofline.workload import BUDGET, LEAST_CHUNK, Decode, Mixed, Prefill, Serve

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


def chunk_of(question: Serve, layout: Layout) -> Count:
    """Return the prompt tokens that an attention rank passes in a step at most."""
    return larger(BUDGET / layout.dp, LEAST_CHUNK) if question.chunk is None else question.chunk


def _often(span: Span, times: Count) -> Span:
    return evolve(span, time=span.time * times, times=times)


def serve(question: Serve, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for a closed loop of requests on one pool of chips."""
    q, model, groups = question, question.model, layout.replicas * layout.pp
    c = cadence(q.input, larger(q.output - 1, 0.0) / q.accept_length, q.concurrency / (groups * layout.dp), layout.dp,
                chunk_of(q, layout))  # fmt: skip
    context = q.input + q.output / 2
    beside = larger(q.concurrency / groups - 1, 0.0) * c.decoding
    alone = Decode(model, groups * (1 + beside), context, q.draft_tokens, q.accept_length, q.imbalance)
    one = decode(alone, system, layout, calibration)
    first = prefill(
        Prefill(model, layout.dp * layout.replicas, q.input, imbalance=q.imbalance), system, layout, calibration
    )
    both = Mixed(model, groups * beside, context, c.together, c.chunk, (q.input - c.chunk) / 2, c.busy, q.draft_tokens,
                 q.imbalance)  # fmt: skip
    plain, mixed = one.steps[0], step(both, system, layout, calibration)
    steps = first_token(c, plain.time, mixed.time)
    times, each = c.gaps * c.mixed, q.concurrency / (groups * layout.dp)
    emitting = after("TPOT", (_often(plain, c.gaps - times), _often(mixed, times)))
    opening = after("TTFT", (_often(mixed, steps),))
    cycle = after("cycle", (opening, emitting))
    memory, capacity, most = fill(
        model, system, layout, calibration,
        sequences=ceil(q.concurrency / (layout.dp * layout.replicas)), tokens=q.input + q.output, passing=q.draft_tokens + 1,
        logits=q.draft_tokens + 1, prompt=smaller(chunk_of(q, layout), q.input * ceil(q.concurrency)),
        drafting=drafting(model, q.draft_tokens),
    )  # fmt: skip
    slots = flow(alone, layout, system.chip).streams[0].sequences
    kept = q.accept_length / (q.draft_tokens + 1)
    return Estimate(
        question, system, layout, calibration,
        ttft=opening.time, tpot=pick(c.gaps > 0, emitting.time / larger(q.output - 1, 1.0), np.nan),
        tokens_per_second=q.concurrency * q.output / cycle.time,
        prompt_tokens_per_second=first.prompt_tokens_per_second, cycle=cycle.time,
        memory=memory, capacity=capacity, max_concurrency=most, again=serve, rules=one.rules,
        steps=(first.steps[0], plain, mixed, cycle),
        within={"ttft": (opening, 1.0), "tpot": (emitting, larger(1 - share(plain.time * c.gaps, emitting.time), 0.0))},
        progress=((first.steps[0], each), (plain, each * c.gaps * kept / slots)),
        remarks=(
            *draft_notes(model, q.draft_tokens, q.accept_length),
            *notes(model, q.input + q.output, system, calibration),
            ("steady state: requests arrive as others leave, and every cache can grow to its full length; a load that "
            "starts all at once makes its first prompts wait for each other"),
            f"prompts pass in chunks of {_span(chunk_of(q, layout))} tokens on each attention rank",
        ),
    )  # fmt: skip


def _span(value: Num) -> str:
    low, high = float(np.min(value)), float(np.max(value))
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
