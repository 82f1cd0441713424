r"""A service under load: requests always in flight, prompts passed in the decode steps of the others.

In steady state each attention rank serves n requests. While one of them emits its O tokens, all n prompts are read
once, so with a decode step D that emits a tokens a request, and a prompt pass P (P / pp of a stage's time, n at least
pp), the cycle of a request is

.. math:: T = \mathrm{TTFT} + (O - 1)\,\mathrm{TPOT} = (O - 1)\,D / a + n\,P / pp

whatever the scheduler, which only decides how T is shared out. With continuous batching (Orca, OSDI 2022) and chunked
prefill (Sarathi-Serve, arXiv:2403.02310) the prompts that arrive during one step, n a / O of them on average, pass
together in the next, with the step of the others beside each chunk of I / C:

.. math:: \mathrm{TTFT} = P\,(1 + n a / O) + \lceil I / C \rceil\,D\,(1 - 1/n), \qquad \mathrm{rate} = N O / T .

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
    together = each * q.accept_length / q.output
    # A request waits for every prompt of the cycle at most.
    ttft = smaller(
        prompt.time * (1 + together) + ceil(q.input / CHUNK) * step.time * (1 - 1 / each), prompt.time * passes
    )
    tpot = pick(gaps > 0, (cycle.time - ttft) / larger(gaps, 1.0), step.time / q.accept_length)
    memory, most = fill(
        model, system, layout, calibration,
        sequences=each, tokens=q.input + q.output, passing=q.draft_tokens + 1, logits=q.draft_tokens + 1,
        prompt=smaller(q.input, CHUNK), drafting=drafting(model, q.draft_tokens),
    )  # fmt: skip
    return Estimate(
        question, system, layout, calibration,
        ttft=ttft, tpot=tpot, tokens_per_second=q.concurrency * q.output / cycle.time,
        prompt_tokens_per_second=first.prompt_tokens_per_second, cycle=cycle.time,
        memory=memory, capacity=room(system, calibration), max_concurrency=most, again=serve, rules=one.rules,
        steps=(prompt, step, cycle),
        assumptions=(
            *one.assumptions,
            ("steady state: requests arrive as others leave, and every cache can grow to its full length; a load that "
            "starts all at once makes its first prompts wait for each other"),
            f"prompts pass in chunks of {CHUNK:.0f} tokens",
        ),
    )  # fmt: skip
