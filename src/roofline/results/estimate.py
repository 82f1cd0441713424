"""``Estimate``: the answer for serving, with times, rates, memory, bottleneck and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from attrs import evolve, field, frozen

from roofline.core.arrays import Mask, larger, share, smaller
from roofline.core.signatures import typed_methods
from roofline.core.units import MILLION, Bytes, Count, Dollars, Num, PerSecond, Ratio, Seconds
from roofline.core.values import Record
from roofline.hardware.evidence import COVERAGE
from roofline.operators.memory import Footprint
from roofline.operators.operations import Op
from roofline.physics.energy import costs_apart, dollars_per_token
from roofline.physics.percentiles import Gaps, Waits
from roofline.physics.spans import Span
from roofline.results import aiperf, intervals, records
from roofline.results.answer import LayoutAnswer, times_in_words
from roofline.results.explain import tree
from roofline.results.limits import Limit, all_met
from roofline.workload.questions import Question, Serve


@typed_methods
@frozen(eq=False, repr=False)
class Estimate(LayoutAnswer[Question, Footprint]):
    """The answer about serving. Quantities are floats, or arrays over the points asked; one without meaning here is None.

    Attributes:
        ttft: time to the first token of a request.
        tpot: time per output token of a request after the first.
        tokens_per_second: output tokens of the whole deployment.
        prompt_tokens_per_second: prompt tokens it reads when it does nothing else.
        cycle: time in which every request in flight is served once, in a service under load.
        in_flight: requests in flight in a service, on average.
        waits: how long requests wait for their first tokens.
        gaps: how long they wait for each of the other tokens.
        rough: codes of why the closed form is known to be rough here (:data:`roofline.results.roughness.ROUGH`); the assumptions have
            sentences, and the command that simulates the same.
        max_concurrency: sequences whose caches fit.
        within: for each time, the span it consists of and the share of it that passes prompts.
        progress: spans and how often their operations bring a token further while the last step lasts.
        limits: on times, that were asked; :attr:`meets` says whether they are kept.
    """

    KIND = "estimate"
    HELD = "weights, cache and activations"
    LEAST = ("ttft", "tpot", "cycle", "joules_per_token", "dollars_per_million_tokens")
    KNOWN = "tokens_per_second, tpot, ttft"
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ttft_s": "ttft",
        "tpot_s": "tpot",
        "output_tokens_per_s": "tokens_per_second",
        "output_tokens_per_s_per_chip": "tokens_per_second_per_chip",
        "tokens_per_s_per_user": "tokens_per_second_per_user",
        "prefill_tokens_per_s_per_chip": "prompt_tokens_per_second_per_chip",
        "memory_bytes_per_chip": "memory.total",
        "max_concurrency": "max_concurrency",
        "kv_cache_tokens": "kv_cache_tokens",
        "energy_j_per_token": "joules_per_token",
        "usd_per_million_tokens": "dollars_per_million_tokens",
    }
    SURE: ClassVar[Mapping[str, str]] = {"ttft_s": "ttft", "tpot_s": "tpot", "output_tokens_per_s": "tokens_per_second"}

    ttft: Seconds | None
    tpot: Seconds | None
    tokens_per_second: PerSecond | None
    prompt_tokens_per_second: PerSecond | None
    max_concurrency: Count
    cycle: Seconds | None = None
    in_flight: Count | None = None
    waits: Waits | None = None
    gaps: Gaps | None = None
    rough: tuple[str, ...] = ()
    within: Mapping[str, tuple[Span, Ratio]] = field(factory=dict)
    progress: tuple[tuple[Span, Num], ...] = ()
    limits: tuple[Limit, ...] = ()

    def _times_in_words(self) -> list[str]:
        return times_in_words(self.ttft, self.tpot)

    # Rates -----------------------------------------------------------------------------------------------------------

    @property
    def concurrency(self) -> Count:
        """Sequences in flight: those asked for, or those that come to be in flight at the rate asked."""
        q = self.question
        if not isinstance(q, Serve):
            return q.batch
        return cast("Num", q.concurrency if self.in_flight is None else self.in_flight)

    @property
    def requests_per_second(self) -> PerSecond | None:
        """Requests that a service answers in a second."""
        q, rate = self.question, self.tokens_per_second
        return rate / q.output if isinstance(q, Serve) and rate is not None else None

    @property
    def tokens_per_second_per_chip(self) -> PerSecond | None:
        """Output tokens per second and chip."""
        return None if self.tokens_per_second is None else self.tokens_per_second / self.chips

    @property
    def tokens_per_second_per_user(self) -> PerSecond | None:
        """Output tokens per second of one request, after its first: ``1 / TPOT``."""
        return None if self.tpot is None else 1 / self.tpot

    @property
    def prompt_tokens_per_second_per_chip(self) -> PerSecond | None:
        """Prompt tokens per second and chip when nothing else is done."""
        return None if self.prompt_tokens_per_second is None else self.prompt_tokens_per_second / self.chips

    @property
    def cache_room(self) -> Bytes:
        """Bytes of the fullest chip that are left for KV cache and states."""
        return larger(self.capacity - self.memory.total + self.memory.kv_cache, 0.0)

    @property
    def kv_cache_tokens(self) -> Count:
        """Tokens that the cache of an attention rank holds, in sequences as long as those asked: what an engine's start-up log prints."""
        return share(self.memory.tokens * self.cache_room, self.memory.kv_cache)

    @property
    def working(self) -> Ratio:
        """Share of the replicas that have a request."""
        return smaller(self.concurrency / self.layout.replicas, 1.0)

    @property
    def dollars_per_million_tokens(self) -> Dollars | None:
        """Rent for a million output tokens (prompt tokens, for a prefill); None where no price is known."""
        rate, price = self._made, self.system.price_per_chip
        return None if rate is None or price is None else MILLION * dollars_per_token(price, self.chips, rate)

    @property
    def dollars_apart(self) -> tuple[Dollars, Dollars] | None:
        """Cost of a million prompt tokens (those computed, without cached ones), and of a million output tokens of a service.

        The cost per second of the chips is divided by their time: prefill has the time that the prompts of a second take when nothing
        else is done, decode has the rest, waiting included. Both together are the whole cost; see
        :func:`roofline.physics.energy.costs_apart`. None for what is no service, and where no cost per hour is known.
        """
        q, price, requests, rate = (
            self.question,
            self.system.price_per_chip,
            self.requests_per_second,
            self.prompt_tokens_per_second,
        )
        if not isinstance(q, Serve) or price is None or requests is None or rate is None:
            return None
        read = requests * (q.input - q.cached)
        each = costs_apart(price * self.chips, share(read, rate), read, requests * q.output)
        return MILLION * each[0], MILLION * each[1]

    @property
    def _made(self) -> PerSecond | None:
        return self.prompt_tokens_per_second if self.tokens_per_second is None else self.tokens_per_second

    # What it consists of ---------------------------------------------------------------------------------------------

    @property
    def mfu(self) -> Ratio:
        """Model FLOP utilisation: the time the FLOP of tokens kept would take at their dtypes' peaks, over the time taken.

        What tensor peers repeat, what waits for the fullest shard, and drafts that are not kept are no progress.
        """
        peak, whole = self.system.chip.peak, self.whole
        ideal: Num = 0.0
        for span, times in self.progress:
            for work, _, often in span.leaves():
                if isinstance(work, Op):
                    ideal = ideal + times * often * work.flops * work.useful / peak[work.rate]
        return share(ideal, whole.time)

    @property
    def bandwidth_utilization(self) -> Ratio:
        """Compulsory memory traffic over what the memory could move in the time taken."""
        return share(self.whole.bytes / self.system.chip.memory.bandwidth, self.whole.time)

    def interval(self, quantity: str, coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the interval of a time, a percentile, a rate, energy, cost or memory expected to contain a share of measurements.

        See :func:`roofline.results.intervals.interval`.
        """
        return intervals.interval(self, quantity, coverage)

    @property
    def meets(self) -> Mask:
        """Where it fits and meets the limits that were asked, as closed forms have it."""
        return self.fits & all_met(self.limits, self)

    def _like(self, found: LayoutAnswer[Question, Footprint]) -> Estimate:
        """Return the answer at other points with what was chosen and asked for this one."""
        return evolve(super()._like(found), limits=self.limits)

    def to_aiperf(self) -> Record:
        """Return the answer in the shape of AIPerf's ``profile_export_aiperf.json``: see :mod:`roofline.results.aiperf`."""
        return aiperf.of_service(self)

    def ttft_percentile(self, p: Num) -> Seconds | None:
        """Return the time by which p per cent of requests have their first token; see :func:`roofline.results.intervals.percentile`."""
        return intervals.percentile(self, p)

    def tpot_percentile(self, p: Num) -> Seconds | None:
        """Return the time per output token that p per cent of the requests of a service stay below; None for what is no service.

        >>> from roofline.planner.estimate import estimate
        >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, rate=20.0)
        >>> float(est.tpot_percentile(50)) < float(est.tpot_percentile(99))
        True
        """
        intervals.asked_percentile(self, p)
        return None if self.gaps is None else self.gaps.percentile(p)

    def itl_percentile(self, p: Num) -> Seconds | None:
        """Return the time between two steps that bring a request tokens, which p per cent of them stay below; None without."""
        intervals.asked_percentile(self, p)
        return None if self.gaps is None else self.gaps.between(p)

    def idealisation(self, quantity: str) -> tuple[Seconds, Seconds] | None:
        """Return a time as if resources worked side by side, and as if in turn; see :func:`roofline.results.intervals.idealisation`."""
        return intervals.idealisation(self, quantity)

    def why(self) -> str:
        """Return the steps as trees of text: every operation, its time and share, what bounds it (one point).

        Of a service, the decode step and the mixed one, then how many of them a request sees.
        """
        self.one()
        if len(self.steps) == 1:
            return tree(self.whole)
        _, plain, mixed, cycle = self.steps
        return "\n\n".join((tree(plain), tree(mixed), tree(cycle, depth=2)))

    # Machine-readable ------------------------------------------------------------------------------------------------

    def to_dict(self) -> Record:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        return records.of_estimate(self)
