"""``simulate``: a trace of requests through a service, with the times of each request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Unpack, cast

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import without_none
from roofline.core.signatures import typed
from roofline.core.units import MICRO, Count, Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.autoscaling import Autoscale
from roofline.inference.autoscaling import Fleet as Running
from roofline.inference.policies import Policy, policy_of
from roofline.inference.service import chunk_of
from roofline.inference.simulation import Lane, Record, Service, run
from roofline.inference.step_times import StepTimes
from roofline.inference.traces import Trace
from roofline.models.architecture import Model
from roofline.operators.serving_memory import fill_memory, uses_own_drafts
from roofline.planner.autoscaling import fixed, recorded, ruled
from roofline.planner.estimate import PEERS, asked_question, estimate, renamed
from roofline.planner.evaluation import Progress
from roofline.planner.fewest import fewest, fewest_in_pools, units
from roofline.planner.host_tier import host_tier
from roofline.planner.limits import limits_of
from roofline.planner.pools import exposed, transfer
from roofline.planner.settings import setting
from roofline.planner.traffic import drawn
from roofline.planner.words import (
    DegreeWords,
    DraftWords,
    DrawnWords,
    EngineWords,
    FormatWords,
    HostWords,
    ModelLike,
    PrefillPoolWords,
    SchedulerWords,
    SimulateWords,
    SystemLike,
    keywords,
    names,
    part,
    refuse_others,
    rest,
)
from roofline.results.estimate import Estimate
from roofline.results.limits import Limit
from roofline.results.simulation import SERIES, Simulation, Times
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Serve, tokens_per_step

_LONGEST: Final = 1 << 20
_ALL_AT_ONCE: Final = 256
_MOST_INSTANCES: Final = 4096


@keywords(SimulateWords)
@typed
def simulate(
    model: Serve | ModelLike,
    system: SystemLike,
    trace: Trace | str | Path | None = None,
    layout: Layout | None = None,
    *,
    requests: int | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    ttft: float | str | None = None,
    tpot: float | str | None = None,
    fewest_chips: bool = False,
    disaggregated: bool = False,
    autoscale: Autoscale | str | None = None,
    progress: Progress | None = None,
    **words: Unpack[SimulateWords],
) -> Simulation:
    """Simulate a service under a trace of requests with continuous batching, and return the times of each request.

    Args:
        model: an object, a name, the path of a config.json, or a parsed one; or a :class:`Serve`, whose lengths and load are drawn.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        trace: a :class:`Trace`, or the path of a file of one (see :meth:`Trace.read`); left out, requests are drawn from the words of
            an estimate: ``input``, ``output``, ``rate`` or ``concurrency``, ``variation``, ``cached``.
        layout: how the model is split; by default the best for the mean request of the trace on ``chips``, holding to ``tp``, ``pp``,
            ``dp``, ``ep``.
        requests: use only the first so many; of drawn requests, how many (10,000 at a rate, ten of each slot of a closed loop).
        rate: requests a second: the trace's times are scaled to it; a trace without times gets random ones.
        concurrency: ignore the trace's times: as many requests always in flight (64 where there is neither a trace nor a rate).
        ttft, tpot: limits: seconds or text such as ``"2s"``, that a good request keeps (and the mean of all); ``"p99<2s"`` at a percentile.
        fewest_chips: find the fewest chips that answer all of the trace, do not fall behind and meet the limits. With a layout they are
            replicas of it (of it and of ``prefill_layout``, where both are given); else they are parts of a scale-up domain, or whole
            domains, each with the layout that closed forms take.
        disaggregated: with ``fewest_chips``: also try two pools, in layouts and numbers of their own.
        autoscale: replicas follow the load: an :class:`Autoscale`, or ``"2:8"`` for two to eight replicas of the layout; the answer has their
            chip-hours beside those of the smallest fixed fleet that meets the limits.
        progress: called from time to time with how many requests are answered, and how many there are.

    Returns:
        Times of every request in seconds, at percentiles; rates, goodput, queue and cache over time.

    Raises:
        QuestionError, DescriptorError: the question has no meaning, or the file cannot be read; a configuration that does not fit is an answer.

    >>> sim = simulate("llama-3.1-8b", "dgx-h100", Trace.poisson(20.0, 500, input=1024, output=128), chips=1)
    >>> sim.completed, bool(sim.ttft.percentile(50) < sim.ttft.percentile(99))
    (500, True)
    """
    for word in words:
        if word in PEERS and word not in names(SimulateWords):
            raise QuestionError(f"{word}: here it is {PEERS[word]}")
    refuse_others("simulate", words, SimulateWords)
    known, asked, plan, notes = _asked(model, trace, {"rate": rate, "concurrency": concurrency}, requests, words)
    own: Any = {**rest(words, DrawnWords, DraftWords, FormatWords), **plan}
    one = _Asked(known, system, asked, limits_of(ttft, tpot), plan, own, progress)
    if autoscale is not None:
        if fewest_chips or disaggregated:
            raise QuestionError(
                fault(
                    "autoscale", str(autoscale), "is of one pool, whose size follows the load", "leave out fewest_chips"
                )
            )
        found = _autoscaled(one, layout, autoscale)
    elif fewest_chips:
        found = _fewest(one, layout, apart=disaggregated)
    elif disaggregated:
        raise QuestionError(
            fault("disaggregated", disaggregated, "is of fewest_chips", "give it too, or prefill_chips")
        )
    else:
        found = _served(one, layout)
    return attrs.evolve(found, remarks=(*found.remarks, *notes, *asked.notes))


@frozen(eq=False)
class _Asked:
    """What is simulated: the model, the system, the requests, the limits, how requests are served, all other words, what is told progress."""

    model: Model
    system: SystemLike
    trace: Trace
    slo: tuple[Limit, ...]
    plan: dict[str, Any]
    words: dict[str, Any]
    progress: Progress | None = None

    @cached_property
    def question(self) -> Serve:
        """The mean request under its load."""
        return _question(self.model, self.trace, self.trace.means(), self.plan)

    @property
    def machine(self) -> dict[str, Any]:
        """Words of the machine and its engine."""
        return {**part(self.words, EngineWords)}

    @property
    def degrees(self) -> dict[str, Num]:
        """Degrees of parallelism that layouts hold to."""
        return without_none(**part(self.words, DegreeWords))

    def refuse(self, verb: str, *names: str) -> None:
        """Refuse words that have no meaning with another.

        Raises:
            QuestionError: the first that was given.
        """
        for word in names:
            if self.words.get(word) is not None:
                raise QuestionError(fault(word, self.words[word], f"is not to be given with {verb}", "leave it out"))


def _served(
    one: _Asked, layout: Layout | None = None, *, rule: Autoscale | None = None, prefill_layout: Layout | None = None, chips: int | None = None
) -> Simulation:  # fmt: skip
    """Return the simulation of one configuration.

    Args:
        layout: of the chips that decode; None for the best on ``chips``.
        rule: how its replicas follow the load; None where all of them serve all the time.
        prefill_layout: of a prefill pool, if the words name none.
    """
    words, machine, asked, known = one.words, one.machine, one.trace, one.model
    prefill_layout = words.get("prefill_layout") if prefill_layout is None else prefill_layout
    chips = words.get("chips") if chips is None else chips
    prefill_chips, prefill_tp, prefill_system = (words.get(f"prefill_{name}") for name in ("chips", "tp", "system"))
    apart = prefill_layout is not None or prefill_chips is not None
    if apart:
        layout = _pool(layout, chips, one.question, one.system, machine | one.degrees)
    where_: Any = {} if layout is not None else {"chips": chips, **one.degrees}
    est = estimate(one.question, one.system, layout, **where_, **machine)
    layout, profile, rack = est.layout, est.calibration, est.system
    question, record = cast("Serve", est.question), Record()
    drafts, ranks = float(question.draft_tokens) > 0, float(layout.dp)
    policy = policy_of(profile.engine, drafting=drafts, ranks=ranks, **part(words, SchedulerWords))
    pool = partial(_lanes, question, policy=policy, record=record, hash_block=asked.hash_block)
    host = part(words, HostWords)
    lanes, error, reasons, remarks = pool(rack, layout, profile, host=HostWords() if apart else host)
    service = Service(lanes, policy, record, front=float(profile.engine.front))
    chips_used, reads = est.chips, None
    reading: Layout | None = None
    if apart:
        lone = Prefill(known, 1.0, max(float(one.question.input), 1.0))
        where = one.system if prefill_system is None else prefill_system
        if prefill_layout is None:
            prefill_layout = estimate(lone, where, None, chips=prefill_chips, tp=prefill_tp, **machine).layout
        elif prefill_chips is not None:
            raise QuestionError(fault("prefill_chips", prefill_chips, "prefill_layout already states this"))
        alone = estimate(lone, where, prefill_layout, **machine)
        reading, reads = prefill_layout, None if prefill_system is None else alone.system
        service.decoders = lanes
        service.lanes, read_error, why, remarks = pool(
            alone.system, reading, alone.calibration, host=host, first=len(lanes), only_prompts=True
        )
        error = max(error, read_error)
        reasons = (*reasons, *(f"prefill pool: {each}" for each in why))
        service.transfer = _sent(question, alone, rack, reading, layout)
        chips_used = chips_used + alone.chips
    elif prefill_tp is not None or prefill_system is not None:
        word = "prefill_tp" if prefill_system is None else "prefill_system"
        raise QuestionError(fault(word, prefill_tp, "is of a prefill pool", "give prefill_chips too"))
    if rule is not None:
        service.fleet = Running(lanes, int(layout.pp), rule)
    if not reasons:
        run(service, asked, one.progress)
    each = float(chips_used) / float(layout.replicas)
    # Of several limits on a time a good request keeps the plain one, or the last.
    limits = {each.time: each.most for each in sorted(one.slo, key=lambda each: each.percent or np.inf)}
    return Simulation(
        known, rack, layout, repr(asked).strip("<>").removeprefix("Trace "), attrs.asdict(policy),
        instances=len(service.lanes) + len(service.decoders), chips=float(chips_used), limits=limits, slo=one.slo, table_error=error,
        estimate=est, prefill_layout=reading, prefill_system=reads, reasons=reasons, remarks=(*remarks, *(est.choices if rule is None else ())),
        fleet=None if service.fleet is None else recorded(service.fleet, each, record.end), **_recorded(record),
    )  # fmt: skip


def _autoscaled(one: _Asked, layout: Layout | None, given_rule: Autoscale | str) -> Simulation:
    """Return the simulation of replicas that follow the load, with a fixed fleet to compare with."""
    one.refuse("autoscale", *names(PrefillPoolWords), "prefill_layout")
    if layout is None:
        where: Any = {"chips": one.words.get("chips"), **one.degrees, **one.machine}
        layout = estimate(one.question, one.system, None, **where).layout
    alone = attrs.evolve(layout, replicas=1.0)
    est = estimate(one.question, one.system, alone, **one.machine)
    rule, notes = ruled(given_rule, est, one.slo)
    found = _served(one, attrs.evolve(alone, replicas=float(rule.most)), rule=rule)
    if not found.fits or found.interrupted or found.fleet is None:
        return found
    other = fixed(lambda n: _served(one, attrs.evolve(alone, replicas=float(n))), int(rule.most), float(est.chips))
    return attrs.evolve(found, fleet=attrs.evolve(found.fleet, fixed=other), remarks=(*notes, *found.remarks))


def _fewest(one: _Asked, layout: Layout | None, *, apart: bool) -> Simulation:
    """Return the simulation on the fewest chips that meet the limits: of one pool, and of two where they are asked for.

    Args:
        apart: two pools are tried too; ``prefill_layout`` among the words makes them the only ones.
    """
    one.refuse("fewest_chips", "chips", "prefill_chips", *(() if layout is not None else ("prefill_layout",)))
    if apart and (layout is not None or one.trace.concurrency is not None):
        rule = "two pools are laid out by the rate at which requests come"
        remedy = "give rate, and leave out layout (or give prefill_layout too)"
        raise QuestionError(fault("disaggregated", apart, rule, remedy))
    rack, profile, _ = setting(one.system, **one.machine)
    prefill = one.words.get("prefill_layout")
    if layout is not None and prefill is not None:
        first, last = (attrs.evolve(each, replicas=1.0) for each in (prefill, layout))
        found = fewest_in_pools(partial(_served, one), rack, [(first, last)])
        if found is not None:
            return found
        least = _served(one, layout, prefill_layout=prefill)
        return attrs.evolve(least, remarks=("NO NUMBER OF REPLICAS of the two pools meets the limits", *least.remarks))
    simulated = partial(_served, attrs.evolve(one, words=rest(one.words, PrefillPoolWords)) if apart else one)
    alone = fewest(simulated, rack, layout)
    if not apart:
        return alone
    pairs = units(
        one.question, rack, profile, rate=float(one.question.rate or 0.0), limits=one.slo, degrees=one.degrees,
        prefill_tp=one.words.get("prefill_tp"),
    )  # fmt: skip
    two = fewest_in_pools(simulated, rack, list(pairs))
    if two is None or (alone.meets and alone.chips <= two.chips):
        in_pools = "two pools: no pair of layouts meets the limits" if two is None else two.remarks[0]
        return attrs.evolve(alone, remarks=(alone.remarks[0], in_pools, *alone.remarks[1:]))
    return attrs.evolve(two, remarks=(two.remarks[0], f"one pool: {alone.remarks[0]}", *two.remarks[1:]))


def _asked(
    what: Serve | ModelLike, trace: Trace | str | Path | None, load: Mapping[str, Any], requests: int | None, words: Mapping[str, Any]
) -> tuple[Model, Trace, dict[str, Any], tuple[str, ...]]:  # fmt: skip
    """Return the model, the requests, how they are served (drafts, chunk, imbalance), and notes on them.

    Raises:
        QuestionError: words of drawn requests with a trace, or a trace with a :class:`Serve`, which states its load.
    """
    lengths = without_none(**part(words, DrawnWords))
    how = without_none(**part(words, DraftWords))
    if trace is not None:
        if isinstance(what, Serve):
            raise QuestionError(
                fault("trace", str(trace), "is not to be given with a Serve", "give the model, or no trace")
            )
        for word, value in lengths.items():
            raise QuestionError(fault(word, value, "is not to be given with a trace", "it has requests of its own"))
        asked, notes = _loaded(trace, requests, load["rate"], load["concurrency"])
        return catalog.model(what, **part(words, FormatWords)), asked, how, notes
    form: dict[str, Any] = {
        name: lengths.pop(name) for name in ("lengths", "burstiness", "swing", "seed") if name in lengths
    }
    question = asked_question(what, renamed(lengths) | without_none(**load) | how | part(words, FormatWords))
    if not isinstance(question, Serve):
        raise QuestionError(fault("model", type(question).__name__, "is no service", "give a Serve, or a model"))
    for word in ("burstiness", "swing"):
        if word in form and question.rate is None:
            raise QuestionError(fault(word, form[word], "is of requests that come at a rate", "give rate"))
    how = without_none(**{name: getattr(question, name) for name in names(DraftWords)})
    return question.model, drawn(question, requests, **form), how, ()


def _loaded(
    trace: Trace | str | Path, requests: int | None, rate: float | None, concurrency: int | None
) -> tuple[Trace, tuple[str, ...]]:
    """Return the trace with the load that was asked for, and notes on it."""
    asked = trace if isinstance(trace, Trace) else Trace.read(trace)
    if rate is not None and concurrency is not None:
        raise QuestionError(fault("concurrency", concurrency, "is not to be given with rate", "give one of them"))
    if requests is not None:
        asked = asked.first(requests)
    if concurrency is not None:
        return asked.looped(concurrency), (
            f"{concurrency:,} requests are always in flight: the times of the trace are ignored",
        )
    if rate is not None:
        if asked.timed and asked.concurrency is None and np.isfinite(asked.means()[2]):
            return asked.scaled(rate=rate), (f"times of the trace are scaled to {rate:g} requests/s",)
        return asked.spaced(rate), (f"the trace has no times: requests come at random, {rate:g} a second",)
    if not asked.timed:
        raise QuestionError(
            fault("trace", asked.name, "has no times of arrival", "give rate (requests a second) or concurrency")
        )
    return asked, ()


def _question(model: Model, trace: Trace, means: tuple[float, float, float], plan: dict[str, Any]) -> Serve:
    """Return the mean request of a trace under its load, which closed forms answer."""
    mean_input, mean_output, rate = means
    load: dict[str, Any] = {"rate": rate}
    if trace.concurrency is not None or not np.isfinite(rate):
        load = {"concurrency": trace.concurrency or min(_ALL_AT_ONCE, trace.count or _ALL_AT_ONCE)}
    return Serve(model, max(mean_input, 1.0), max(mean_output, 1.0), **load, **plan)


def _pool(layout: Layout | None, chips: int | None, q: Serve, system: Any, words: dict[str, Any]) -> Layout:
    """Return the layout of the chips that decode: as given, or the best for a decode step of all requests."""
    if (layout is None) == (chips is None):
        raise QuestionError(
            fault("chips", chips, "a pool has a layout or a number of chips", "give exactly one of them")
        )
    if layout is not None:
        return layout
    batch = 64.0 if q.concurrency is None else q.concurrency
    step = Decode(q.model, batch, q.input + q.output / 2, q.draft_tokens, q.accept_length, q.imbalance, served=1.0)
    return estimate(step, system, chips=chips, **words).layout


def cache_of(
    question: Serve, system: System, layout: Layout, profile: Calibration, chunk: Count
) -> tuple[float, float, float]:
    """Return the tokens that the cache of an attention rank holds for one pipeline lane, what a sequence takes besides its own, bytes of a token.

    A sequence of n tokens takes ``seat + n``: its state of fixed size and its share of working memory, then what it grows by; of
    layers with windows the chord between a prompt and a whole request counts.
    """
    q, drafts = question, uses_own_drafts(question.model, question.draft_tokens)
    short, whole = float(q.input), float(q.input + q.output)
    new = q.draft_tokens + 1

    def filled(tokens: float, sequences: float) -> tuple[Any, Num]:
        memory, capacity, _ = fill_memory(
            q.model, system, layout, profile, sequences=layout.pp * sequences, tokens=tokens, passing=new, logits=new,
            prompt=chunk, drafting=drafts, drafts=q.draft_tokens,
        )  # fmt: skip
        return memory, capacity

    (one, capacity_bytes), (longer, _), (two, _) = filled(short, 1.0), filled(whole, 1.0), filled(short, 2.0)
    lanes = float(layout.pp)
    slope = max(
        float(longer.kv_cache - one.kv_cache) / lanes / (whole - short),
        float(one.kv_cache) / lanes / short * MICRO,
        5e-10,
    )
    working = max(float(two.activations - one.activations) / lanes, 0.0)
    seat = max(float(one.kv_cache) / lanes - slope * short, 0.0) + working
    free = float(capacity_bytes - one.weights - one.activations - one.runtime) + working * lanes
    return free / slope / lanes, seat / slope, slope


def _lanes(
    question: Serve, system: System, layout: Layout, profile: Calibration,
    *, policy: Policy, record: Record, hash_block: int, host: HostWords, first: int = 0, only_prompts: bool = False,
) -> tuple[list[Lane], tuple[float, float], tuple[str, ...], tuple[str, ...]]:  # fmt: skip
    """Return the engine instances of a pool, the error of their tables, why the configuration does not fit, and notes on it."""
    count = int(layout.replicas * layout.pp)
    if count > _MOST_INSTANCES:
        raise QuestionError(fault("replicas", count, f"at most {_MOST_INSTANCES} engine instances are simulated"))
    ranks = int(layout.dp)
    chunk = float(chunk_of(question, layout, profile.engine))
    capacity, seat, token = cache_of(question, system, layout, profile, chunk)
    tier, remark = host_tier(
        host.get("host_cache"),
        host.get("host_bandwidth"),
        system,
        layout,
        token=token,
        own=max(capacity, 0.0),
        layers=question.model.depth,
    )
    reasons = [] if capacity > seat + 1 else ["weights and one request exceed the memory of a chip"]
    most = min(float(policy.max_num_seqs), max(capacity / max(seat + 1.0, float(question.input) / 4), 1.0)) * ranks
    longest = float(min(_LONGEST, max(capacity, 2.0)))
    if question.model.max_context:
        longest = min(longest, 2.0 * question.model.max_context)
    times = StepTimes(
        question.model, system, layout, profile, most=most, context=max(longest, 1024.0), chunk=chunk,
        draft_tokens=float(question.draft_tokens), imbalance=None if question.imbalance is None else float(question.imbalance),
    )  # fmt: skip
    lanes = [
        Lane(
            first + i, times, policy, record, ranks=ranks, capacity=capacity, seat=seat, chunk=chunk,
            yields=float(tokens_per_step(question)), drafts=float(question.draft_tokens), hash_block=hash_block,
            only_prompts=only_prompts, host=tier,
        )
        for i in range(count)
    ]  # fmt: skip
    return lanes, times.error, tuple(reasons), (remark,) if remark else ()


def _sent(
    question: Serve, alone: Estimate, decodes: System, prompts: Layout, layout: Layout
) -> tuple[list[float], list[float]]:
    """Return lengths of prompts, and the exposed part of the transfer of the cache of each."""
    lengths = [float(n) for n in 2.0 ** np.arange(4, 21)]
    reads = alone.system
    times = []
    for n in lengths:
        q = attrs.evolve(question, input=n, cached=0.0)
        sent = transfer(q, reads, decodes, prompts=prompts, layout=layout, profile=alone.calibration)
        beside = cast("Num", alone.ttft) * n / cast("Any", alone.question).input
        times.append(float(exposed(sent, beside, question.model.depth)))
    return lengths, times


def _recorded(record: Record) -> dict[str, Any]:
    """Return what was recorded as the fields of an answer."""
    # An interrupted run may have stored a part of its last request.
    done = min(len(each) for each in (record.arrival, record.priority))
    ttft, e2e = (np.array(each[:done], dtype=np.float64) for each in (record.ttft, record.e2e))
    output = np.array(record.output[:done])
    with np.errstate(divide="ignore", invalid="ignore"):
        tpot = np.where(output > 1, (e2e - ttft) / (output - 1), np.nan)
    columns: dict[str, Any] = {
        "arrival_s": np.array(record.arrival[:done]), "input_len": np.array(record.input[:done]), "output_len": output,
        "cached_tokens": np.array(record.cached[:done]), "preemptions": np.array(record.preempted[:done]),
        "instance": np.array(record.lane[:done]), "priority": np.array(record.priority[:done]),
        "ttft_s": ttft, "tpot_s": tpot, "e2e_s": e2e,
    }  # fmt: skip
    rows = np.array(record.samples, dtype=np.float64).reshape(-1, len(SERIES))
    gaps = record.gaps
    return {
        "requests": record.come, "refused": record.refused, "columns": columns,
        "series": {name: rows[:, i] for i, name in enumerate(SERIES)},
        "itl": Times.histogram(gaps.bins, gaps.sum, gaps.weight), "preemptions": record.preemptions,
        "hit_tokens": record.hit_tokens, "fetched_tokens": record.fetched_tokens, "asked_tokens": record.asked_tokens, "busy": record.busy,
        "last_arrival": record.last_arrival, "interrupted": record.interrupted,
    }  # fmt: skip
