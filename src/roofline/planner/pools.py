r"""``pools``: disaggregated prefill and decode, each pool with its layout and system, and the KV cache transfer.

How requests go round them is in :mod:`roofline.physics.pool_queueing`: they wait for a lane that prefills (a replica, whose ranks work in
lock-step), and decode for ``Z = (O - 1) TPOT`` beside the ``B = N Z / K`` others that do. Of the transfer X of a cache only a part
is seen: layers are sent while the next are computed (Splitwise, arXiv:2311.18677; Mooncake, arXiv:2407.00079), so that
``x = max(X - t (1 - 1/L), X / L)``, t the pass of a lone prompt, X the time in which the slower end sends or receives all L
layers. The engine that decodes takes a cache in between two of its steps, half a step later on average. What is answered is the
lesser of what the pools can do (DistServe, arXiv:2401.09670).
"""

from __future__ import annotations

from typing import Any, Final, Unpack, cast

import attrs
import numpy as np

from roofline import catalog
from roofline.core.arrays import floor, larger, pick, share, smaller
from roofline.core.errors import QuestionError, fault
from roofline.core.signatures import typed
from roofline.core.units import Count, Num, Ratio, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.passes import decode_capacity, decode_step
from roofline.operators.feasibility import Rule
from roofline.operators.memory import kv_cache
from roofline.operators.operations import Message
from roofline.operators.serving_memory import as_served, uses_own_drafts
from roofline.physics.collectives import price
from roofline.physics.pool_queueing import Lanes, Round
from roofline.planner.estimate import asked_of_service, estimate
from roofline.planner.evaluation import answer
from roofline.planner.settings import setting
from roofline.planner.words import (
    DegreeWords,
    EngineWords,
    ModelLike,
    PoolsWords,
    PrefillPoolWords,
    SystemLike,
    keywords,
    part,
    rest,
)
from roofline.results.pools import Pools
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Serve, tokens_per_step

_ROUNDS: Final = 8


def exposed(sent: Seconds, beside: Seconds, layers: Count) -> Seconds:
    """Return the exposed part of a cache that goes layer by layer beside a pass: what the pass does not hide, one layer at least.

    >>> float(exposed(1.0, 0.5, 10)), float(exposed(1.0, 5.0, 10))
    (0.55, 0.1)
    """
    return larger(sent - beside * (1 - 1 / layers), sent / layers)


def transfer(
    question: Serve, reading: System, decoding: System, *, prompts: Layout, layout: Layout, profile: Calibration
) -> Seconds:
    """Return the time in which the cache of a prompt goes from the ranks that read it to those that decode.

    Each rank sends, and each receives, its part of the prompt's cache; the slower end counts. Pools of one system meet at the
    innermost tier that holds both, of two systems outside both.

    Args:
        profile: whose links carry it; those of the ideal level start at once.
    """
    drafts, sent = uses_own_drafts(question.model, question.draft_tokens), question.input
    times: list[Num] = []
    for system, own in ((reading, prompts), (decoding, layout)):
        # Two ranks that are neighbours only where both pools are met.
        apart = prompts.ranks if reading is decoding else system.tiers[-1].size / 2
        size = kv_cache(as_served(question.model, profile), own, sent, drafting=drafts)
        times.append(
            price(Message("cache", "point_to_point", size, group=2.0, stride=apart), system.tiers, profile).time
        )
    return larger(*times)


@keywords(PoolsWords)
@typed
def pools(
    what: Serve | ModelLike,
    system: SystemLike,
    layout: Layout | None = None,
    prefill_layout: Layout | None = None,
    *,
    chips: int | None = None,
    **words: Unpack[PoolsWords],
) -> Pools:
    """Return a service by disaggregated prefill and decode: two pools of chips.

    Args:
        what: the service; or a model (an object, a name, the path of a config.json, a parsed one), served as ``words`` say. Its
            ``chunk`` does not matter here.
        system: of the decode pool, and of the prefill pool unless ``prefill_system`` is given.
        layout: of the decode pool; by default the best on ``chips`` for a decode step of all requests, holding to ``tp``, ``pp``,
            ``dp``, ``ep``.
        prefill_layout: of the prefill pool; by default the one on ``prefill_chips`` that prefills a prompt soonest, holding to
            ``prefill_tp``.
        chips: of the decode pool.

    Returns:
        The answer for both pools together: times in seconds, rates per second.

    Raises:
        QuestionError: neither a layout nor a number of chips, or both, for a pool.

    >>> import roofline as rl
    >>> asked = rl.Serve(rl.model("llama-3.1-70b"), concurrency=64)
    >>> split = pools(asked, "dgx-h100", rl.Layout(tp=4), rl.Layout(tp=4))
    >>> int(split.chips), bool(split.fits)
    (8, True)
    """
    decodes, elsewhere = catalog.system(system), words.get("prefill_system")
    reads = decodes if elsewhere is None else catalog.system(elsewhere)
    q = asked_of_service(what, rest(words, EngineWords, DegreeWords, PrefillPoolWords))
    model = q.model
    usual: Num = 64.0 if q.concurrency is None else q.concurrency
    # A long answer is met for longer than a short one (renewal theory).
    context = larger(q.input + q.output / 2 * (1 + q.variation * q.variation), 1.0)
    asked = Decode(model, usual, context, q.draft_tokens, q.accept_length, q.imbalance, served=1.0)
    level, machine = words.get("level", "calibrated"), part(words, EngineWords)
    layout = _laid(layout, ("chips", chips), asked, decodes, level=level, **part(words, DegreeWords))
    lone = Prefill(model, 1.0, q.input, q.cached, q.imbalance)
    own = {"level": level, "tp": words.get("prefill_tp")}
    prefill_layout = _laid(prefill_layout, ("prefill_chips", words.get("prefill_chips")), lone, reads, **own)
    # Ranks that work in lock-step are one lane: a prompt on any of them occupies all.
    lanes, ranks = prefill_layout.replicas, prefill_layout.dp
    alone = estimate(attrs.evolve(lone, batch=lanes), reads, prefill_layout, **machine)
    driver, read = alone.calibration.engine, q.input - q.cached
    together = ranks * larger(floor(driver.budget / read), 1.0)
    full = answer(attrs.evolve(lone, batch=lanes * together), alone.system, prefill_layout, alone.calibration)
    first = cast("Num", alone.ttft)
    lane = Lanes(lanes, first, cast("Num", full.ttft), together)
    sent = transfer(q, reads, decodes, prompts=prefill_layout, layout=layout, profile=alone.calibration)
    seen = exposed(sent, first, model.depth)
    gaps = larger(q.output - 1, 0.0)
    # As much cache is kept free for the rest of an answer as on chips that do both.
    tokens = larger(q.input + q.output * larger(driver.reserve, 0.5), 1.0)
    rack, profile, _ = setting(decodes, **machine)
    most = larger(decode_capacity(attrs.evolve(asked, context=tokens), rack, layout, profile)[-1], 1.0)

    def decoded(batch: Count) -> Seconds:
        """Return the time per token with so many requests that decode."""
        one = attrs.evolve(asked, batch=larger(batch, _FEWEST))
        return decode_step(one, rack, layout, profile).time / tokens_per_step(one)

    decoding: Num = usual if q.rate is None else q.rate * gaps * first
    for _ in range(_ROUNDS):
        batch, tpot = decoding, decoded(decoding)
        spent = gaps * tpot
        going = Round(
            lane,
            seen + driver.front,
            tpot * tokens_per_step(q),
            spent,
            most,
            q.concurrency,
            q.rate,
            q.variation,
            q.requests_per_slot,
        )
        if q.rate is None:
            # The load of long, whatever a first wave waits.
            steady = attrs.evolve(going, slots=None).turn()
            decoding = larger(smaller(usual * share(spent, steady.cycle), most), smaller(usual, 1.0))
        else:
            decoding = smaller(smaller(q.rate, lane.most_per_second) * spent, most)
        if np.array_equal(batch, decoding):
            break
    step = estimate(attrs.evolve(asked, batch=larger(batch, _FEWEST)), decodes, layout, **machine)
    rules: tuple[Rule, ...] = ()
    if q.rate is None:
        able = share(decoding, spent)
    else:
        able = share(most, gaps * decoded(most))
        rules = (
            Rule(
                "pools_saturate",
                q.rate < smaller(lane.most_per_second, able),
                "more requests arrive than the pools can serve",
            ),
        )
    turn = steady if q.rate is None and q.requests_per_slot is None else going.turn()
    answered = smaller(turn.answered, smaller(lane.most_per_second, able)) if q.rate is not None else turn.answered
    return Pools(
        q, alone, step, going, turn.ttft, pick(gaps > 0, tpot, np.nan), turn.wait, sent, seen, turn.flight, decoding,
        answered * q.output, (lane.most_per_second, able), rules,
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


def filling(split: Pools, chips: int, part: Ratio = 1.0) -> Pools:
    """Return so many copies of a pair of pools as find place on so many chips, under as many times the load, as one service.

    Args:
        part: of that load.
    """
    copies = chips // int(split.chips)
    first, last = (
        attrs.evolve(est.layout, replicas=est.layout.replicas * copies) for est in (split.prefill, split.decode)
    )
    asked = attrs.evolve(split.question, concurrency=split.in_flight * copies * part)
    system = split.decode.system
    return pools(asked, system, last, first, level=split.decode.calibration)
