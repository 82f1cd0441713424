r"""Prompts read on chips of their own: two pools, each with its layout and even its system, and the caches sent between them.

A lane that reads prompts (an attention rank of a replica) is occupied by each for ``q``; the request then decodes for
``Z = (O - 1) TPOT`` beside the ``B = N Z / K`` others that do. With n requests in flight for each lane the mean wait ``w`` is
that of a queue whose n - 1 other customers come back once a cycle ``K``, as in :mod:`roofline.queueing`,

.. math:: K = w + t + x + Z, \qquad 2 w (K - (n - 1) q) = (n - 1) q^2 (1 + v^2), \qquad K \ge n q,

t the pass of a lone prompt, q that of a full one over its prompts, x what is seen of the transfer of its cache: layers are sent
while the next are computed (Splitwise, arXiv:2311.18677; Mooncake, arXiv:2407.00079), so ``x = max(X - t (1 - 1/L), X / L)`` of
X, the time in which the slower end sends or receives all L layers. Of a benchmark that starts all requests at once, r a slot, the
first wave waits ``(n - 1) q / 2`` on average. Where requests come at a rate, the wait is
:math:`q \rho (a^2 + v^2) / 2 (1 - \rho)`. What is answered is the lesser of what the pools can do (DistServe, arXiv:2401.09670).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.answer import Estimate, Rule
from roofline.arrays import Mask, floor, larger, pick, share, smaller
from roofline.calibration import Calibration
from roofline.collectives import price
from roofline.engines import Engine
from roofline.errors import QuestionError, fault
from roofline.estimates import estimate
from roofline.footprint import kv_cache
from roofline.hardware import System
from roofline.inference import as_served, drafting
from roofline.layout import Layout
from roofline.units import Count, Num, PerSecond, Ratio, Seconds
from roofline.work import Message
from roofline.workload import Decode, Prefill, Serve

_ROUNDS: Final = 8


@frozen(eq=False)
class Pools:
    """A service whose prompts are read on chips of their own. Quantities are floats, or arrays over the points asked.

    Attributes:
        prompts: one prompt on each lane of the chips that read; ``answers``: a step of those that decode.
        ttft: time to the first token; ``tpot``: per token after it; ``wait``: what the first takes in the queue for a lane.
        transfer: time in which a prompt's cache is sent; ``exposed``: what is seen of it.
        in_flight: requests in the service; ``decoding``: of them, those that decode.
        tokens_per_second: output tokens; ``limits``: requests a second that the chips that read, and those that decode, can do.
    """

    question: Serve
    prompts: Estimate
    answers: Estimate
    ttft: Seconds
    tpot: Seconds
    wait: Seconds
    transfer: Seconds
    exposed: Seconds
    in_flight: Count
    decoding: Count
    tokens_per_second: PerSecond
    limits: tuple[PerSecond, PerSecond]
    rules: tuple[Rule, ...]

    @property
    def chips(self) -> Count:
        """Chips of both pools."""
        return self.prompts.chips + self.answers.chips

    @property
    def tokens_per_second_per_chip(self) -> PerSecond:
        """Output tokens a second over the chips of both pools."""
        return self.tokens_per_second / self.chips

    @property
    def balance(self) -> Ratio:
        """Chips that read prompts for each that decodes at which neither pool waits for the other."""
        reading, decoding = self.limits
        return (decoding / self.answers.chips) / (reading / self.prompts.chips)

    @property
    def fits(self) -> Mask:
        """Where both layouts can be laid out, their chips hold their parts, and the rate asked can be answered."""
        out: Mask = self.prompts.fits & self.answers.divides & (self.answers.max_concurrency >= 1)
        for rule in self.rules:
            out = out & rule.ok
        return out

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the plan does not fit; empty if it does."""
        out = [f"chips that read prompts: {reason}" for reason in self.prompts.reasons]
        out += [f"chips that decode: {rule.reason}" for rule in self.answers.rules if not np.all(rule.ok)]
        if not np.all(self.answers.max_concurrency >= 1):
            out.append("chips that decode: weights, and the cache of one request, exceed the memory of a chip")
        return (*out, *(rule.reason for rule in self.rules if not np.all(rule.ok)))

    def to_dict(self) -> dict[str, Any]:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        q = self.question
        each = {
            name: {"system": est.system.name, "chips": int(est.chips), "layout": est.layout.words(), "requests_per_s": float(limit)}
            for name, est, limit in zip(("prefill", "decode"), (self.prompts, self.answers), self.limits, strict=True)
        }  # fmt: skip
        return {
            "model": q.model.name, "input": float(q.input), "output": float(q.output), "chips": int(self.chips), "pools": each,
            "concurrency": _plain(self.in_flight), "request_rate_per_s": _plain(q.rate),
            "requests_per_s": float(self.tokens_per_second / q.output),
            "ttft_s": _plain(self.ttft), "tpot_s": _plain(self.tpot), "wait_s": _plain(self.wait),
            "transfer_s": float(self.transfer), "exposed_transfer_s": float(self.exposed),
            "output_tokens_per_s": float(self.tokens_per_second),
            "output_tokens_per_s_per_chip": float(self.tokens_per_second_per_chip),
            "prefill_chips_per_decode_chip": float(self.balance), "fits": bool(self.fits), "reasons": list(self.reasons),
            "assumptions": list(dict.fromkeys((*self.prompts.assumptions, *self.answers.assumptions))),
        }  # fmt: skip


def _plain(value: Num | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def transfer(
    question: Serve, reading: System, decoding: System, *, prompts: Layout, layout: Layout, profile: Calibration
) -> Seconds:
    """Return the time in which the cache of a prompt goes from the ranks that read it to those that decode.

    Each rank sends, and each receives, its part of the prompt's cache; the slower end counts. Pools of one system meet at the
    innermost tier that holds both, of two systems outside both.

    Args:
        profile: whose links carry it; those of the ideal level start at once.
    """
    drafts, sent = drafting(question.model, question.draft_tokens), question.input
    times: list[Num] = []
    for system, own in ((reading, prompts), (decoding, layout)):
        # Two ranks that are neighbours only where both pools are met.
        apart = prompts.ranks if reading is decoding else system.tiers[-1].size / 2
        size = kv_cache(as_served(question.model, profile), own, sent, drafting=drafts)
        times.append(
            price(Message("cache", "point_to_point", size, group=2.0, stride=apart), system.tiers, profile).time
        )
    return larger(*times)


def pools(
    what: Serve,
    system: System | str | Path,
    layout: Layout | None = None,
    prefill_layout: Layout | None = None,
    *,
    chips: int | None = None,
    prefill_chips: int | None = None,
    prefill_tp: Num | None = None,
    prefill_system: System | str | Path | None = None,
    level: str | Calibration = "calibrated",
    engine: str | Path | Engine | None = None,
    **degrees: Num | None,
) -> Pools:
    """Return a service whose prompts are read on chips of their own.

    Args:
        what: the service; its ``chunk`` is of no matter here.
        system: of the chips that decode, and of those that read prompts unless ``prefill_system`` is given.
        layout, prefill_layout: of either pool; by default the best on ``chips`` for a decode step of all requests, and on
            ``prefill_chips`` the one that reads a prompt soonest, holding to ``prefill_tp``, and to ``tp``, ``pp``, ``dp``, ``ep``.
        level, engine: as in :func:`roofline.estimates.estimate`.

    Raises:
        QuestionError: neither a layout nor a number of chips, or both, for a pool.

    >>> import roofline as rl
    >>> asked = rl.Serve(rl.model("llama-3.1-70b"), concurrency=64)
    >>> split = pools(asked, "dgx-h100", rl.Layout(tp=4), rl.Layout(tp=4))
    >>> int(split.chips), bool(split.fits)
    (8, True)
    """
    decodes = catalog.system(system)
    reads = decodes if prefill_system is None else catalog.system(prefill_system)
    model, q = what.model, what
    usual: Num = 64.0 if q.concurrency is None else q.concurrency
    context = larger(q.input + q.output / 2, 1.0)
    asked = Decode(model, usual, context, q.draft_tokens, q.accept_length, q.imbalance)
    layout = _laid(layout, ("chips", chips), asked, decodes, level=level, **degrees)
    lone = Prefill(model, 1.0, q.input, q.cached, q.imbalance)
    prefill_layout = _laid(prefill_layout, ("prefill_chips", prefill_chips), lone, reads, level=level, tp=prefill_tp)
    words: Any = {"level": level, "engine": engine}
    lanes = prefill_layout.dp * prefill_layout.replicas
    alone = estimate(attrs.evolve(lone, batch=lanes), reads, prefill_layout, **words)
    driver, read = alone.calibration.engine, q.input - q.cached
    together = larger(floor(driver.budget / read), 1.0)
    full = estimate(attrs.evolve(lone, batch=lanes * together), reads, prefill_layout, **words)
    first, each = cast("Num", alone.ttft), cast("Num", full.ttft) / together
    sent = transfer(q, reads, decodes, prompts=prefill_layout, layout=layout, profile=alone.calibration)
    seen = larger(sent - first * (1 - 1 / model.depth), sent / model.depth)
    fixed, gaps, spread = first + seen + driver.front, larger(q.output - 1, 0.0), 1 + q.variation * q.variation
    decoding: Num = usual if q.rate is None else q.rate * gaps * fixed
    for _ in range(_ROUNDS):
        step = estimate(attrs.evolve(asked, batch=larger(decoding, _FEWEST)), decodes, layout, **words)
        most = larger(step.max_concurrency, 1.0)
        spent = gaps * cast("Num", step.tpot)
        if q.rate is None:
            n = usual / lanes
            others = larger(n - 1, 0.0)
            slack = others * each - spent - fixed
            wait = (slack + np.sqrt(slack * slack + 2 * others * each * each * spread)) / 2
            cycle = larger(wait + fixed + spent, n * each)
            decoding = larger(smaller(usual * share(spent, cycle), most), smaller(usual, 1.0))
        else:
            decoding = smaller(smaller(q.rate, lanes / each) * spent, most)
    rules: tuple[Rule, ...] = ()
    if q.rate is None:
        limits = lanes / each, share(decoding, spent)
        cycle = larger(cycle, share(usual * spent, most))
        # A first wave that starts at once is read in order.
        begun = larger(others * each / 2 - larger(cycle - spent - fixed, 0.0), 0.0)
        cycle = cycle + (0.0 if q.requests_per_slot is None else begun / q.requests_per_slot)
        ttft, flight = larger(cycle - spent, fixed), usual
        answered = usual / cycle
    else:
        full_step = estimate(attrs.evolve(asked, batch=most), decodes, layout, **words)
        limits = lanes / each, share(most, gaps * cast("Num", full_step.tpot))
        limit = smaller(limits[0], limits[1])
        ok = q.rate < limit
        load = smaller(q.rate * each / lanes, 1.0)
        wait = pick(ok, each * load * (1 / lanes + spread - 1) / (2 * pick(ok, 1 - load, 1.0)), np.nan)
        ttft, answered = fixed + wait, smaller(q.rate, limit)
        rules = (Rule(ok, "more requests come than the pools can answer"),)
        flight = answered * (ttft + spent)
    return Pools(
        q, alone, step, ttft, pick(gaps > 0, cast("Num", step.tpot), np.nan), ttft - fixed, sent, seen, flight, decoding,
        answered * q.output, limits, rules,
    )  # fmt: skip


_FEWEST: Final = 0.01
"""Sequences of a step at least, where hardly any decode."""


def _laid(
    layout: Layout | None, chips: tuple[str, int | None], question: Prefill | Decode, system: System, **words: Any
) -> Layout:
    """Return the layout of a pool: as given, or the best on so many chips."""
    word, count = chips
    if (layout is None) == (count is None):
        raise QuestionError(fault(word, count, "a pool has a layout or a number of chips", "give exactly one of them"))
    return estimate(question, system, chips=count, **words).layout if layout is None else layout
