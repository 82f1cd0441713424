r"""``offload``: KV caches in host memory, fetched over the host's link instead of being recomputed.

Each rank fetches its part X of the cached tokens of a prompt at what its share of the link passes, layer by layer while it reads
the rest in a pass of r over L layers, so that of ``F = X / bandwidth`` is seen what :func:`roofline.planner.pools.exposed` says of
a cache that is sent, after those that came before (the link is a server like a lane). To fetch pays where
:math:`\mathrm{seen} + r` is less than reading the whole prompt (CachedAttention, arXiv:2403.19708; Mooncake, arXiv:2407.00079).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import attrs
import numpy as np
from attrs import frozen

from roofline.core.arrays import Mask, larger, pick, share, smaller
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.quantities import quantity
from roofline.core.signatures import typed, typed_methods
from roofline.core.units import BYTE, BYTE_RATE, SECOND, Count, Num, PerSecond, Ratio, Seconds, show
from roofline.core.values import Record
from roofline.hardware.evidence import COVERAGE
from roofline.hardware.hardware import REACHED
from roofline.operators.memory import kv_cache
from roofline.operators.serving_memory import uses_own_drafts
from roofline.physics.pool_queueing import Lanes
from roofline.planner.evaluation import answer
from roofline.planner.pools import exposed
from roofline.results.answer import Derived
from roofline.results.estimate import Estimate
from roofline.results.records import plain
from roofline.workload.questions import Prefill, Serve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILLED: Final = 0.8
"""Part of the hosts' memory that caches may fill; assumed."""


@typed_methods
@frozen(eq=False, repr=False)
class Offload(Derived):
    """A service whose cached tokens come from the hosts' memory. Quantities are floats, or arrays over the points asked.

    Attributes:
        est: the service as if the cached tokens lay on the chips.
        fetch: time in which a prompt's cached tokens come.
        seen: what the first token waits for them, behind others too.
        again: time to read the whole prompt once more on lanes of its own.
        rest: time to read what is not cached.
        feeds: requests a second that the links can feed.
        tokens: of cache that the hosts hold; None where their memory is not known.
        beside: tokens of cache that the chips hold.
    """

    KIND = "offload"
    LEAST = ("ttft", "fetch", "seen", "again", "rest")
    KNOWN = "ttft, fetch, saved"
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ttft_s": "ttft",
        "fetch_s": "fetch",
        "seen_s": "seen",
        "reading_all_s": "again",
        "reading_rest_s": "rest",
        "fed_requests_per_s": "feeds",
        "host_tokens": "tokens",
        "chip_tokens": "beside",
    }
    SURE: ClassVar[Mapping[str, str]] = {"ttft_s": "ttft"}
    PARTS = ("est",)
    NUMBERS = ("fetch", "seen", "again", "rest", "feeds", "tokens", "beside")

    est: Estimate
    fetch: Seconds
    seen: Seconds
    again: Seconds
    rest: Seconds
    feeds: PerSecond
    tokens: Count | None
    beside: Count

    @property
    def _asked_in_words(self) -> str:
        return f"{self.est.question.model.name} on {self.est.system.name}"

    @property
    def _given_in_words(self) -> str:
        return f": {self.line()}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the service does not fit, or is not fed; empty if it does."""
        fed = np.all(self.feeds > cast("Num", self.est.requests_per_second))
        return (
            *self.est.reasons,
            *(() if fed else ("the links to the hosts can supply fewer requests than are served",)),
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        return (*self.est.assumptions, f"caches may fill {FILLED:.0%} of the hosts' memory")

    def interval(self, quantity: str = "ttft", coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the 80 % interval of ``"ttft"``, that of the service and the exposed part of fetching; of all else, the service's."""
        pair = self.est.interval(quantity, coverage)
        return pair if pair is None or quantity != "ttft" else (pair[0] + self.seen, pair[1] + self.seen)

    def plot(
        self, ax: Axes | None = None, label: str = "", *, kind: str = "roofline", style: str | None = None,
        width: float | str | None = None,
    ) -> Axes:  # fmt: skip
        """Draw the service, and return the axes (one point); see :meth:`roofline.results.answer.LayoutAnswer.plot`."""
        return self.est.plot(ax, label, kind=kind, style=style, width=width)

    @property
    def ttft(self) -> Seconds:
        """Time to the first token with what is fetched for it; NaN where links cannot feed the service."""
        return cast("Num", self.est.ttft) + self.seen

    @property
    def fits(self) -> Mask:
        """Where the configuration fits and the links feed it."""
        return self.est.fits & (self.feeds > cast("Num", self.est.requests_per_second))

    @property
    def saved(self) -> Seconds:
        """What fetching takes off reading the whole prompt, waits aside; below 0 where it does not pay."""
        return self.again - self.rest - self._alone

    @property
    def pays(self) -> Mask:
        """Where it is sooner to fetch than to read again."""
        return self.saved > 0

    @property
    def _alone(self) -> Seconds:
        return exposed(self.fetch, self.rest, self.est.question.model.depth)

    def to_dict(self) -> Record:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        self.one()
        return {
            "ttft_s": plain(self.ttft), "fetch_s": float(self.fetch), "seen_s": plain(self.seen),
            "reading_all_s": float(self.again), "reading_rest_s": float(self.rest), "pays": bool(self.pays),
            "fed_requests_per_s": plain(self.feeds), "fits": bool(self.fits),
            "host_tokens": None if self.tokens is None else float(self.tokens), "chip_tokens": float(self.beside),
        }  # fmt: skip

    def line(self) -> str:
        """Return what fetching takes and whether it pays, in a line (one point)."""
        tokens = "an unknown number of" if self.tokens is None else f"{float(self.tokens):,.0f}"
        text = f"the hosts hold {tokens} tokens of cache, the chips {float(self.beside):,.0f}"
        if not self.fetch:
            return text
        whole, rest = (show(float(each), SECOND, 3) for each in (self.again, self.rest))
        does = "pays" if self.pays else "does not pay"
        fetched = f"fetched in {show(float(self.fetch), SECOND, 3)}"
        if np.isnan(self.seen):
            return f"{fetched}: the links can supply {float(self.feeds):.3g} requests/s, fewer than are served; {text}"
        added = f"{show(float(self.seen), SECOND, 3)} of it seen: TTFT {show(float(self.ttft), SECOND, 3)}"
        return f"{fetched}, {added}; it {does}: {whole} to read all, {rest} the rest; {text}"


@typed
def offload(est: Estimate, *, memory: Num | str | None = None, bandwidth: Num | str | None = None) -> Offload:
    """Return a service whose cached prompt tokens come from host memory.

    Args:
        est: the answer for a service; the ``cached`` tokens of its question are fetched.
        memory: of all hosts of the system as sold: bytes, or text such as ``"2 TB"``; by default what the descriptor says.
        bandwidth: of the link of each chip to its host, one way: bytes per second, or text such as ``"64 GB/s"``; by default the same.

    Returns:
        The answer for the service with what is fetched for each prompt, and whether that pays.

    Raises:
        QuestionError: the answer is not of a service, or no link to a host is known.

    >>> from roofline.planner.estimate import estimate
    >>> chat = estimate("llama-3.1-70b", "dgx-h100", tp=8, input=16384, output=256, cached=15000, concurrency=8)
    >>> found = offload(chat)
    >>> bool(found.pays), bool(found.ttft > chat.ttft), bool(found.tokens > found.beside)
    (True, True, True)
    """
    q, system, layout, profile = est.question, est.system, est.layout, est.calibration
    if not isinstance(q, Serve):
        raise QuestionError(fault("est", type(q).__name__, "is not of a service", "estimate one with cached tokens"))
    host = system.host
    link = _given("bandwidth", bandwidth, BYTE_RATE, None if host is None else host.bandwidth)
    store = _given("memory", memory, BYTE, None if host is None else host.memory)
    if link is None:
        raise QuestionError(
            f"kv_offload: no link from {system.name} to its hosts is known; give bandwidth, or [system.host] in its file"
        )
    model, drafts = q.model, uses_own_drafts(q.model, q.draft_tokens)
    lanes = layout.dp * layout.replicas
    size = kv_cache(model, layout, q.cached, drafting=drafts)
    fetch = size / (link / system.ranks_per_chip * REACHED)
    lone = Prefill(model, lanes, q.input, q.cached, q.imbalance)
    rest, again = (
        cast("Num", answer(attrs.evolve(lone, cached=old), system, layout, profile).ttft) for old in (q.cached, 0.0)
    )
    rate = cast("Num", est.requests_per_second)
    feeds: PerSecond = pick(fetch > 0, share(lanes, fetch), np.inf)
    fed = Lanes(lanes, fetch, fetch)
    wait, _ = fed.queue(smaller(rate, feeds), q.variation)
    seen = pick(rate < feeds, pick(fetch > 0, wait, 0.0) + exposed(fetch, rest, model.depth), np.nan)
    context = q.input + q.output / 2
    each = kv_cache(model, layout, context, drafting=drafts) / context
    part: Ratio = est.chips / system.chips
    tokens = None if store is None else FILLED * store * part / (each * layout.tp * layout.pp)
    return Offload(est, fetch, seen, again, rest, feeds, tokens, larger(est.max_concurrency, 0.0) * context)


def _given(name: str, value: Num | str | None, unit: Any, known: Num | None) -> Num | None:
    """Return what a caller gave, as a number, or what is known."""
    if value is None:
        return known
    found = quantity(name, value, unit)
    refuse(name, found, 0.0, strict=True)
    return found
