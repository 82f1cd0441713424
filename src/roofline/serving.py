r"""A service under load: requests always in flight, prompts read between the decode steps of the others.

In steady state each attention rank serves n requests. While one of them emits its O tokens, all n prompts are read
once, so with a decode step D and a prompt pass P (P / pp of a stage's time, n at least pp) the cycle is

.. math:: T = \mathrm{TTFT} + (O - 1)\,\mathrm{TPOT} = (O - 1)\,D / a + n\,P / pp

whatever the scheduler; it only decides how T is shared out (a: tokens accepted per step). Prompts that arrive at
random find the prompt pass busy a part :math:`\rho = n P / (pp\,T)` of the time and wait as in an M/D/1 queue
(Kleinrock, *Queueing Systems* 1, 1975, section 5.6):

.. math:: \mathrm{TTFT} = P\,(1 + \tfrac{\rho}{2 (1 - \rho)}) + D\,(1 - 1/n), \qquad \mathrm{rate} = N O / T .
"""

from __future__ import annotations

from typing import Final

import attrs

from roofline.answer import Estimate
from roofline.arrays import ceil, larger, pick, smaller
from roofline.calibration import Calibration
from roofline.hardware import System
from roofline.inference import decode, drafting, fill, prefill, room
from roofline.layout import Layout
from roofline.timeline import after
from roofline.workload import Decode, Prefill, Serve

CHUNK: Final = 8192.0
"""Prompt tokens an engine passes at once, as far as its working memory goes."""


def serve(question: Serve, system: System, layout: Layout, calibration: Calibration) -> Estimate:
    """Return the answer for a closed loop of requests on one pool of chips."""
    q, model = question, question.model
    lanes = layout.dp * layout.replicas
    each = ceil(q.concurrency / lanes)
    one = decode(
        Decode(model, q.concurrency, q.input + ceil(q.output / 2), q.draft_tokens, q.accept_length),
        system,
        layout,
        calibration,
    )
    first = prefill(Prefill(model, lanes, q.input), system, layout, calibration)
    step, prompt = one.steps[0], first.steps[0]
    gaps = larger(q.output - 1, 0.0)
    steps, passes = gaps / q.accept_length, larger(each / layout.pp, 1.0)
    cycle = after(
        "cycle",
        (
            attrs.evolve(step, time=step.time * steps, times=steps),
            attrs.evolve(prompt, time=prompt.time * passes, times=passes),
        ),
    )
    busy = prompt.time * passes / cycle.time
    waiting = busy / (2 * larger(1 - busy, 1 / (2 * each)))
    # A request waits for every other prompt of the cycle at most.
    ttft = smaller(prompt.time * (1 + waiting) + step.time * (1 - 1 / each), prompt.time * passes)
    tpot = pick(gaps > 0, (cycle.time - ttft) / larger(gaps, 1.0), step.time / q.accept_length)
    memory, most = fill(
        model, system, layout, calibration,
        sequences=each, tokens=q.input + q.output, flowing=smaller(q.input, CHUNK), logits=larger(each / layout.pp, 1.0),
        drafting=drafting(model, q.draft_tokens),
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=ttft, tpot=tpot, tokens_per_second=q.concurrency * q.output / cycle.time,
        prompt_tokens_per_second=first.prompt_tokens_per_second, cycle=cycle.time,
        memory=memory, capacity=room(system, calibration), max_concurrency=most, again=serve, rules=one.rules,
        steps=(prompt, step, cycle),
        assumptions=(
            *one.assumptions,
            "requests of fixed length arrive as others leave, and every cache can grow to its full length",
            f"prompts pass in chunks of {CHUNK:.0f} tokens",
        ),
    )  # fmt: skip
