r"""Event simulation of continuous batching over a trace of requests.

An engine instance works in steps. In each, every decoding sequence emits the tokens of one step, and waiting prompts pass up to a
budget of tokens (chunked prefill). A request is admitted when cache blocks are free for its prompt; decoding sequences take blocks as
they grow, and when none is left the latest that was admitted is preempted and computed anew. Blocks whose hashes are alike are stored
once, and stay after their request until their place is needed (least recently used first, the end of a prompt before its beginning).
Where the host caches blocks too (:class:`HostTier`), a prefix that is no longer on the chip is copied back over the rank's link.

Nothing happens between two events but equal steps, so that n decode steps are one event: of a batch B whose mean context grows by y
tokens a step they take :math:`n\,(t(B, C) + t(B, C + (n - 1) y)) / 2`, until the next answer ends, the cache is full, or a request
comes that can be admitted. Ends of answers are a heap of step numbers. A step's time is looked up in
:class:`roofline.inference.step_times.StepTimes`. The work grows with requests and prompt chunks, not with tokens; what is stored of a
request that has ended is 34 bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import ceil, log
from typing import Any, Final

from attrs import define, field, frozen

from roofline.inference.autoscaling import Fleet
from roofline.inference.policies import Policy
from roofline.inference.requests import Request
from roofline.inference.step_times import StepTimes
from roofline.inference.traces import Trace

INF: Final = float("inf")
_SHIFT: Final = 40
_MASK: Final = (1 << _SHIFT) - 1
_BINS: Final = 200.0
_OFFSET: Final = 100_000.0
"""Added to the number of a bin, which is negative below one second."""
"""Bins of a histogram in a factor e: each is half a per cent wide."""
_SAMPLES: Final = 2048


class Histogram:
    """Times in bins half a per cent apart, with weights."""

    __slots__ = ("bins", "sum", "weight")

    def __init__(self) -> None:
        self.bins: dict[int, float] = {}
        self.sum = self.weight = 0.0

    def add(self, value: float, weight: float) -> None:
        """Count a value so many times."""
        if value <= 0 or weight <= 0:
            return
        i = int(log(value) * _BINS + _OFFSET)
        self.bins[i] = self.bins.get(i, 0.0) + weight
        self.sum += value * weight
        self.weight += weight


@define(eq=False)
class Record:
    """Recorded data of a simulation: numbers of each finished request, histograms, and samples of the state.

    Attributes:
        arrival: time at which each request came, s; requests are in the order they ended, here and below.
        ttft: time to its first token, s.
        e2e: time to its last token, s.
        input: tokens of its prompt.
        output: tokens of its answer.
        cached: tokens of its prompt that were found in the cache.
        preempted: how often it was preempted.
        lane: number of the engine instance that served it.
        priority: its priority.
        gaps: times between two steps that bring a sequence tokens.
        samples: rows of time, requests waiting, running, share of the cache held, output tokens so far.
        refused: requests whose prompt no cache holds.
        preemptions: preemptions of all requests.
        come: requests that came.
        tokens: output tokens so far.
        asked_tokens: prompt tokens of all requests that were admitted.
        hit_tokens: prompt tokens of these that were found in the prefix cache.
        fetched_tokens: prompt tokens of these that were copied from host memory.
        steps: steps of all engine instances.
        prompt_steps: steps that passed prompts.
        busy: time in which engine instances ran a step, added up over them, s.
        last_arrival: time at which the last request came, s.
        end: time at which the simulation ended, s.
        interrupted: whether it was stopped before the trace ended.
    """

    arrival: array[float] = field(factory=lambda: array("d"))
    ttft: array[float] = field(factory=lambda: array("f"))
    e2e: array[float] = field(factory=lambda: array("f"))
    input: array[int] = field(factory=lambda: array("i"))
    output: array[int] = field(factory=lambda: array("i"))
    cached: array[int] = field(factory=lambda: array("i"))
    preempted: array[int] = field(factory=lambda: array("H"))
    lane: array[int] = field(factory=lambda: array("H"))
    priority: array[int] = field(factory=lambda: array("h"))
    gaps: Histogram = field(factory=Histogram)
    samples: list[tuple[float, int, int, float, float]] = field(factory=list)
    refused: int = 0
    preemptions: int = 0
    come: int = 0
    tokens: float = 0.0
    asked_tokens: int = 0
    hit_tokens: int = 0
    fetched_tokens: int = 0
    steps: float = 0.0
    prompt_steps: int = 0
    busy: float = 0.0
    last_arrival: float = 0.0
    end: float = 0.0
    interrupted: bool = False


@frozen
class HostTier:
    """What host memory adds to the prefix cache of an attention rank.

    Attributes:
        tokens: that it holds.
        fetch: time in which the link copies a token to the chip, s.
        layers: of the model, behind which a copy hides where it comes layer by layer.
    """

    tokens: float
    fetch: float
    layers: float = 1.0


class HostCache:
    """Blocks in the host memory of an attention rank, the least recently used first, and the link they come over."""

    __slots__ = ("blocks", "free_at", "most", "through")

    def __init__(self, most: int, *, through: bool) -> None:
        self.blocks: OrderedDict[int, None] = OrderedDict()
        self.most, self.through, self.free_at = most, through, 0.0

    def passed(self, blocks: tuple[int, ...]) -> None:
        """Take note that a prompt of some blocks is on the chip: copy them too, or hold none of them any more."""
        own = self.blocks
        if not self.through:
            for each in blocks:
                own.pop(each, None)
            return
        for each in reversed(blocks):
            own[each] = None
            own.move_to_end(each)
        self._trim()

    def evicted(self, block: int) -> None:
        """Take note that a block lost its place on the chip."""
        if not self.through:
            self.blocks[block] = None
            self._trim()

    def _trim(self) -> None:
        while len(self.blocks) > self.most:
            self.blocks.popitem(last=False)


class Rank:
    """One attention rank: its queue, its sequences and its cache."""

    __slots__ = (
        "cache",
        "context",
        "decoding",
        "held",
        "idle",
        "lane",
        "latest",
        "order",
        "owed",
        "reading",
        "store",
        "waiting",
    )

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.waiting: Any = [] if lane.policy.order == "priority" else deque()
        self.reading: list[Request] = []
        self.decoding = 0
        self.context = 0.0
        self.held = self.owed = 0.0
        self.latest: list[Request] = []
        self.cache: dict[int, int] = {}
        self.idle: OrderedDict[int, None] = OrderedDict()
        self.store: HostCache | None = None
        if lane.host is not None and lane.policy.prefix_cache:
            self.store = HostCache(
                int(lane.host.tokens // lane.hash_block), through=lane.policy.host_write == "through"
            )
        self.order = 0

    @property
    def load(self) -> int:
        """Requests in flight."""
        return len(self.waiting) + len(self.reading) + self.decoding

    def enqueue(self, request: Request, *, again: bool = False) -> None:
        """Put a request in the queue; one that was preempted goes first."""
        if self.lane.policy.order == "priority":
            self.order += 1
            heappush(self.waiting, (request.priority, request.arrival, self.order, request))
        elif again:
            self.waiting.appendleft(request)
        else:
            self.waiting.append(request)

    def head(self) -> Request:
        """Return the request that is next."""
        first = self.waiting[0]
        return first[3] if self.lane.policy.order == "priority" else first  # type: ignore[no-any-return]

    def pop(self) -> None:
        """Take it off the queue."""
        if self.lane.policy.order == "priority":
            heappop(self.waiting)
        else:
            self.waiting.popleft()

    def matched(self, request: Request) -> int:
        """Return how many of a request's leading blocks are stored, on the chip or in host memory."""
        cache, count = self.cache, 0
        far: Any = () if self.store is None else self.store.blocks
        for each in request.hashes[: request.input // self.lane.hash_block]:
            if each not in cache and each not in far:
                break
            count += 1
        return count

    def shared(self, request: Request) -> int:
        """Return how many of a request's blocks others use now."""
        cache = self.cache
        return sum(1 for each in request.hashes[: request.input // self.lane.hash_block] if cache.get(each))

    def evict(self, block: int) -> None:
        """Take a block's place on the chip."""
        del self.cache[block]
        if self.store is not None:
            self.store.evicted(block)


class Lane:
    """One engine instance: attention ranks in lock-step, one pipeline lane of one replica."""

    def __init__(
        self, number: int, times: StepTimes, policy: Policy, record: Record, *, ranks: int, capacity: float, seat: float,
        chunk: float, yields: float, drafts: float, hash_block: int,
        only_prompts: bool = False, host: HostTier | None = None,
    ) -> None:  # fmt: skip
        """Make an idle instance.

        Args:
            capacity: tokens that the cache of a rank holds; ``seat``: what a sequence takes besides its own, in tokens.
            chunk: prompt tokens of a rank and step at most; ``yields``: tokens that a sequence gets from a step.
            only_prompts: requests leave with their first token.
            host: what host memory adds to the prefix cache; None for nothing.
        """
        self.number, self.times, self.policy, self.record = number, times, policy, record
        self.capacity, self.chunk, self.yields, self.drafts = capacity, chunk, yields, drafts
        self.seat = seat + policy.block_size / 2
        self.hash_block, self.only_prompts, self.host = hash_block, only_prompts, host
        self.behind = host.layers if host is not None and policy.host_load == "layers" else 1.0
        self.ahead = policy.host_load == "ahead"
        self.ranks = [Rank(self) for _ in range(ranks)]
        # Ranks in lock-step decode while others of them pass prompts.
        self.mixed = policy.mixed or ranks > 1
        self.step = 0
        self.heap: list[int] = []
        self.running: dict[int, Request] = {}
        self.next = INF
        self.begun = 0.0
        self.length = 0
        self.jump = self.asleep = False
        self.first_time = self.last_time = 0.0
        self.batch = 0
        self.stalled: list[tuple[int, float]] = []
        self.count = 0
        self.done: Callable[[Request, float], None] = _ignore

    @property
    def load(self) -> tuple[int, float]:
        """Requests that wait, and the share of the cache that is used."""
        ranks = self.ranks
        return sum(len(rank.waiting) for rank in ranks), sum(rank.held for rank in ranks) / (self.capacity * len(ranks))

    def clear(self) -> None:
        """Forget what is cached."""
        for rank in self.ranks:
            rank.cache.clear()
            rank.idle.clear()
            if rank.store is not None:
                rank.store.blocks.clear()

    # What comes ------------------------------------------------------------------------------------------------------

    def push(self, request: Request, rank: Rank, now: float) -> None:
        """Take in a request that comes now."""
        request.rank, request.lane = rank, self.number
        self.count += 1
        empty = not rank.waiting
        rank.enqueue(request)
        if self.next == INF:
            # Others may come at the same time: the step begins when all of them are here.
            self.next, self.asleep = now, True
        elif self.asleep:
            self.next = min(self.next, now)
        elif (
            self.jump
            and self.length > 1
            and (empty or self.policy.order == "priority")
            and self._fits(rank, rank.head())
        ):
            self._cut(now)

    def _cut(self, now: float) -> None:
        """End a stretch of decode steps with the step that is in progress."""
        whole = self.length
        growth = (self.last_time - self.first_time) / (whole - 1)
        steps = min(max(ceil((now - self.begun) * whole / (self.next - self.begun)), 1), whole)
        while True:
            last = self.first_time + growth * (steps - 1)
            end = self.begun + steps * (self.first_time + last) / 2
            if end >= now or steps >= whole:
                break
            steps += 1
        self.length, self.last_time, self.next = steps, last, end

    def _fits(self, rank: Rank, request: Request) -> bool:
        """Return whether a request can be admitted."""
        policy = self.policy
        if rank.decoding + len(rank.reading) >= policy.max_num_seqs:
            return False
        size = request.input + request.done
        need = size + self.seat
        if request.hashes and policy.prefix_cache:
            need -= rank.shared(request) * self.hash_block
        if policy.reserve:
            need += policy.reserve * (request.output - request.done + rank.owed)
        return rank.held + rank.decoding * self.yields + need <= self.capacity

    # Steps -----------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """End the step, or the stretch of steps, that is in progress, and begin the next."""
        now, record, batch = self.next, self.record, self.batch
        if self.asleep:
            self.asleep = False
            self._plan(now)
            return
        record.busy += now - self.begun
        if self.jump:
            steps = self.length
            self.step += steps
            record.steps += steps
            gained = steps * self.yields
            if self.stalled:
                for count, since in self.stalled:
                    record.gaps.add(self.begun + self.first_time - since, count)
                self.stalled = []
                steps -= 1
            if steps:
                record.gaps.add((self.first_time + self.last_time) / 2, steps * batch)
            record.tokens += gained * batch
            for rank in self.ranks:
                if rank.decoding:
                    more = gained * rank.decoding
                    rank.context += more
                    rank.held += more
                    rank.owed -= more
            if self.heap and self.heap[0] >> _SHIFT <= self.step:
                self._ended(now)
        else:
            record.prompt_steps += 1
            if batch and self.mixed:
                self.step += 1
                record.steps += 1
                record.gaps.add(now - self.begun, batch)
                record.tokens += self.yields * batch
                for rank in self.ranks:
                    more = self.yields * rank.decoding
                    rank.context += more
                    rank.held += more
                    rank.owed -= more
                if self.heap and self.heap[0] >> _SHIFT <= self.step:
                    self._ended(now)
            elif batch and not self.stalled:
                self.stalled = [(batch, self.begun)]
            for rank in self.ranks:
                if rank.reading:
                    self._passed(rank, now)
        self._plan(now)

    def _passed(self, rank: Rank, now: float) -> None:
        """Count what prompts passed in a step; those that are through get their first token."""
        left, through = [], 0
        for request in rank.reading:
            if request.take:
                request.left -= request.take
                request.past += request.take
                request.take = 0
            if request.left > 0:
                left.append(request)
            else:
                through += self._through(rank, request, now)
        rank.reading = left
        if through and self.stalled:
            self.stalled.append((through, now))

    def _through(self, rank: Rank, request: Request, now: float) -> int:
        """Give a request the token of its prompt; it decodes from now on, or ends. Return how many decode."""
        if request.first < 0:
            request.first = now
        request.done += 1
        rank.owed -= 1
        self.record.tokens += 1
        left = request.output - request.done
        if left <= 0 or self.only_prompts:
            self._leave(rank, request, now)
            return 0
        request.finish = self.step + ceil(left / self.yields - 5e-10)
        request.start = self.step
        rank.decoding += 1
        rank.context += request.input + request.done
        self.running[request.id] = request
        heappush(self.heap, request.finish << _SHIFT | request.id)
        return 1

    def _ended(self, now: float) -> None:
        """End the answers whose last step this was."""
        heap, running = self.heap, self.running
        while heap and heap[0] >> _SHIFT <= self.step:
            key = heappop(heap)
            request = running.get(key & _MASK)
            if request is None or request.finish != key >> _SHIFT:
                continue
            del running[request.id]
            rank = request.rank
            gained = (self.step - request.start) * self.yields
            rank.decoding -= 1
            rank.context -= request.input + request.done + gained
            request.held += gained
            # A last step may yield more than was left.
            over = gained - (request.output - request.done)
            self.record.tokens -= over
            rank.owed += over
            request.done = request.output
            self._leave(rank, request, now)

    def _leave(self, rank: Rank, request: Request, now: float) -> None:
        """Free what a request holds, and tell that it ended."""
        self._free(rank, request)
        rank.owed -= request.output - request.done
        self.count -= 1
        self.done(request, now)

    def _free(self, rank: Rank, request: Request) -> None:
        rank.held -= request.held
        request.held = 0.0
        if request.hashes and self.policy.prefix_cache:
            cache, idle, size = rank.cache, rank.idle, self.hash_block
            for each in reversed(request.hashes[: request.input // size]):
                left = cache[each] - 1
                cache[each] = left
                if not left:
                    idle[each] = None
                    rank.held -= size

    def _let_in(self, rank: Rank, request: Request, now: float) -> None:
        """Give a request its cache; of its prompt what is stored need not pass."""
        whole = request.input + request.done
        own, hit, fetched = whole + self.seat, 0, 0
        if request.hashes and self.policy.prefix_cache:
            cache, idle, size, store = rank.cache, rank.idle, self.hash_block, rank.store
            blocks = request.hashes[: request.input // size]
            found = True
            for each in blocks:
                users = cache.get(each)
                if users is None:
                    if found and store is not None and each in store.blocks:
                        fetched += size
                    else:
                        found = False
                    cache[each] = 1
                    rank.held += size
                else:
                    if found:
                        hit += size
                    if not users:
                        del idle[each]
                        rank.held += size
                    cache[each] = users + 1
            own -= len(blocks) * size
            if store is not None and not request.ready:
                store.passed(blocks)
        request.held = own
        rank.held += own
        rank.owed += request.output - request.done
        if request.ready:
            fetched = 0
        hit = min(hit + fetched, whole - 1)
        request.past, request.left = hit, whole - hit
        if fetched:
            self._fetch(rank, request, fetched, now)
        if not request.preempted and not request.ready:
            request.cached = hit
            self.record.asked_tokens += request.input
            self.record.hit_tokens += hit
        self._evict(rank)
        rank.reading.append(request)
        rank.latest.append(request)

    def _fetch(self, rank: Rank, request: Request, tokens: int, now: float) -> None:
        """Copy blocks from host memory, after those that came before on the rank's link."""
        store, host = rank.store, self.host
        if store is not None and host is not None:
            store.free_at = request.usable = max(store.free_at, now) + tokens * host.fetch
            self.record.fetched_tokens += tokens

    def _evict(self, rank: Rank, more: float = 0.0) -> None:
        """Drop blocks that are not in use, the least recently used first, where their place is needed; ``more`` will be."""
        idle, size = rank.idle, self.hash_block
        while idle and rank.held + more + len(idle) * size > self.capacity:
            gone, _ = idle.popitem(last=False)
            rank.evict(gone)

    def _preempt(self, rank: Rank) -> bool:
        """Take its cache from the latest request that was admitted; it begins anew. Return whether there was one."""
        latest = rank.latest
        while latest:
            request = latest.pop()
            if request.rank is not rank or request.held == 0.0:
                continue
            if request.id in self.running:
                del self.running[request.id]
                gained = min(int((self.step - request.start) * self.yields), request.output - request.done - 1)
                exact = (self.step - request.start) * self.yields
                rank.decoding -= 1
                rank.context -= request.input + request.done + exact
                rank.held -= exact
                self.record.tokens -= exact - gained
                rank.owed += exact
                rank.owed -= request.output - request.done
                request.done += gained
                request.finish = -1
            else:
                rank.reading.remove(request)
                request.take = 0
                rank.owed -= request.output - request.done
            request.ready = False
            self._free(rank, request)
            request.preempted += 1
            self.record.preemptions += 1
            rank.enqueue(request, again=True)
            return True
        return False

    def _admit(self, rank: Rank, budget: float, now: float) -> None:
        """Let waiting requests in while the budget of the step lasts; those whose caches were sent here decode at once."""
        for request in rank.reading:
            if budget <= 0:
                return
            if request.usable > now and self.ahead:
                continue
            request.take = int(min(budget, request.left))
            budget -= request.take
        while budget > 0 and rank.waiting:
            request = rank.head()
            if not self._fits(rank, request):
                alone = not rank.decoding and not rank.reading
                if not alone:
                    break
                if request.input + request.done + self.seat > self.capacity:
                    rank.pop()
                    self.count -= 1
                    self.record.refused += 1
                    request.first = -1.0
                    self.done(request, -1.0)
                    continue
            rank.pop()
            self._let_in(rank, request, now)
            if request.ready:
                rank.reading.pop()
                request.left = 0
                self._through(rank, request, now)
                continue
            if request.usable > now and self.ahead:
                continue
            request.take = int(min(budget, request.left))
            budget -= request.take

    def _plan(self, now: float) -> None:
        """Begin the next step at ``now``, or a stretch of equal ones."""
        self.begun = now
        self._make_place(1)
        longest, tokens, attended = 0, 0, 0.0
        # When the first copy from host memory that is waited for ends, and the last one that a step waits for.
        awaited, copied = INF, now
        for rank in self.ranks:
            if not (rank.reading or rank.waiting):
                continue
            budget = self.chunk
            if self.policy.shared_budget and rank.decoding:
                budget = max(budget - rank.decoding * (1 + self.drafts), self.policy.block_size)
            self._admit(rank, budget, now)
            mine = 0
            for request in rank.reading:
                take = request.take
                if take:
                    mine += take
                    attended += take * (request.past + take / 2)
                    copied = max(copied, request.usable)
                elif now < request.usable < awaited:
                    awaited = request.usable
            tokens += mine
            longest = max(longest, mine)
        ranks = self.ranks
        batch = ranks[0].decoding if len(ranks) == 1 else sum(rank.decoding for rank in ranks)
        self.batch = batch
        if tokens:
            self.jump = False
            together = batch if self.mixed else 0
            context = self._context(batch) if together else 0.0
            spent = self.times.mixed(together, context, longest, attended / tokens, tokens / longest)
            if copied > now:
                copy, layers = copied - now, self.behind
                spent += max(copy - spent * (1 - 1 / layers), copy / layers)
            self.next = now + spent
            return
        if not batch:
            self.next, self.asleep = awaited, awaited < INF
            return
        heap, running = self.heap, self.running
        while True:
            key = heap[0]
            ending = running.get(key & _MASK)
            if ending is not None and ending.finish == key >> _SHIFT:
                break
            heappop(heap)
        steps = self._make_place((key >> _SHIFT) - self.step)
        context = self._context(batch)
        first = self.times.decode(batch, context)
        last = first if steps == 1 else self.times.decode(batch, context + (steps - 1) * self.yields)
        self.jump, self.length = True, steps
        self.first_time, self.last_time = first, last
        self.next = now + steps * (first + last) / 2
        if awaited < self.next and steps > 1:
            self._cut(awaited)

    def _context(self, batch: int) -> float:
        """Return the mean context of what decodes, as if all ranks had what the fullest one has."""
        ranks = self.ranks
        if len(ranks) == 1:
            return ranks[0].context / batch
        return max(rank.context for rank in ranks) * len(ranks) / batch

    def _make_place(self, steps: int) -> int:
        """Return how many of so many steps the caches hold; where that is none, preempt until it is one."""
        for rank in self.ranks:
            while rank.decoding:
                grows = rank.decoding * self.yields
                free = self.capacity - rank.held
                if free >= grows:
                    if grows * steps > free:
                        steps = int(free / grows)
                    break
                if not self._preempt(rank):
                    break
            self._evict(rank, rank.decoding * self.yields * steps)
            if len(rank.latest) > 64 and len(rank.latest) > 4 * (rank.decoding + len(rank.reading)):
                rank.latest = [each for each in rank.latest if each.rank is rank and each.held]
        return steps


def _ignore(request: Request, now: float) -> None:
    """Do nothing when a request ends."""


class Router:
    """Chooses an attention rank of an engine instance for each request."""

    def __init__(self, lanes: list[Lane], policy: Policy) -> None:
        self.ranks: list[Rank] = []
        self.policy, self.turn = policy, 0
        self.over(lanes)

    def over(self, lanes: list[Lane]) -> None:
        """Choose among the ranks of these instances from now on."""
        # Neighbours in turn are of different instances, so that few requests spread over all of them.
        depth = len(lanes[0].ranks)
        self.ranks = [lane.ranks[i] for i in range(depth) for lane in lanes]
        self.turn %= len(self.ranks)

    def choose(self, request: Request) -> Rank:
        """Return where a request goes."""
        ranks = self.ranks
        if len(ranks) == 1:
            return ranks[0]
        way = self.policy.router
        if way == "prefix" and request.hashes:
            return self._longest(request)
        if way == "round_robin":
            self.turn = (self.turn + 1) % len(ranks)
            return ranks[self.turn - 1]
        return self._least()

    def _least(self) -> Rank:
        self.turn = (self.turn + 1) % len(self.ranks)
        ranks = self.ranks
        best, least = ranks[self.turn], ranks[self.turn].load
        for i in range(1, len(ranks)):
            rank = ranks[self.turn - i]
            load = rank.load
            if load < least:
                best, least = rank, load
        return best

    def _longest(self, request: Request) -> Rank:
        least = self._least()
        best, most = least, least.matched(request)
        for rank in self.ranks:
            found = rank.matched(request)
            if found > most or (found == most and rank.load < best.load):
                best, most = rank, found
        low, load = least.load, best.load
        return least if load > low + self.policy.slack and load > self.policy.ratio * low else best


@define(eq=False)
class Service:
    """Pools of engine instances that serve a trace.

    Attributes:
        lanes: that prefill, and decode unless there are ``decoders``.
        policy: how requests are scheduled and routed.
        record: what is stored of the simulation.
        decoders: instances that only decode; empty where one pool does both.
        transfer: lengths of prompts, and the time after which the other pool has a cache of each.
        front: time of a request before its first step.
        fleet: replicas that follow the load; None where all instances serve all the time.
    """

    lanes: list[Lane]
    policy: Policy
    record: Record
    decoders: list[Lane] = field(factory=list)
    transfer: tuple[list[float], list[float]] = ([0.0, 1.0], [0.0, 0.0])
    front: float = 0.0
    fleet: Fleet | None = None


def run(service: Service, trace: Trace, progress: Callable[[int, int], None] | None = None) -> Record:
    """Serve a trace to its end, or until interrupted, and return what is known of it.

    Args:
        progress: called now and then with how many requests ended and how many there are (0 where that is not known).
    """
    try:
        _Run(service, trace, progress).go()
    except KeyboardInterrupt:
        service.record.interrupted = True
    if service.fleet is not None:
        service.fleet.end(service.record.end)
    return service.record


class _Run:
    """One run through a trace."""

    def __init__(self, service: Service, trace: Trace, progress: Callable[[int, int], None] | None) -> None:
        self.service, self.record, self.progress = service, service.record, progress
        self.total = trace.count or 0
        self.source: Iterator[Request] = iter(trace)
        self.loop = trace.concurrency
        self.events: list[tuple[float, int, int, Request]] = []
        self.number = 0
        self.fleet = service.fleet
        self.router = Router(service.lanes if self.fleet is None else self.fleet.lanes(), service.policy)
        self.second = Router(service.decoders, service.policy) if service.decoders else None
        self.sampled, self.pace = 0.0, 0.0
        for lane in service.lanes:
            lane.done = self._read if service.decoders else self._done
        for lane in service.decoders:
            lane.done = self._done

    def _come(self, request: Request, at: float) -> None:
        """Let a request come at a time."""
        request.arrival = at
        self.number += 1
        request.id = self.number
        heappush(self.events, (at + self.service.front, self.number, 0, request))

    def _read(self, request: Request, now: float) -> None:
        """Send the cache of a prompt that was read on to the chips that decode."""
        if now < 0 or request.done >= request.output:
            self._done(request, now)
            return
        lengths, times = self.service.transfer
        i = min(max(bisect_right(lengths, request.input) - 1, 0), len(lengths) - 2)
        part = (request.input - lengths[i]) / (lengths[i + 1] - lengths[i])
        request.first, request.done, request.ready = -1.0, 0, True
        self.record.tokens -= 1
        self.number += 1
        heappush(self.events, (now + times[i] + part * (times[i + 1] - times[i]), self.number, 1, request))

    def _done(self, request: Request, now: float) -> None:
        """Store what is known of a request that ended; others may follow it."""
        record = self.record
        if now >= 0:
            record.arrival.append(request.arrival)
            record.ttft.append(request.first - request.arrival)
            record.e2e.append(now - request.arrival)
            record.input.append(request.input)
            record.output.append(request.output)
            record.cached.append(request.cached)
            record.preempted.append(min(request.preempted, 65535))
            record.lane.append(request.lane)
            record.priority.append(max(min(request.priority, 32767), -32768))
            record.end = max(record.end, now)
        else:
            now = request.arrival + self.service.front
        if request.then is not None:
            pause, follower = request.then
            request.then = None
            self._come(follower, now + pause)
        elif self.loop is not None:
            follower_ = next(self.source, None)
            if follower_ is not None:
                self._come(follower_, now)
        if self.progress is not None and not len(record.ttft) % 2000:
            self.progress(len(record.ttft), self.total)

    def go(self) -> None:
        """Let all requests come, and work until the last has ended."""
        lanes = (*self.service.lanes, *self.service.decoders)
        events, source = self.events, self.source
        # What follows an answer may come before what else is known to come: then instances take turns.
        open_ended = self.loop is None
        coming: Request | None = None
        if self.loop is not None:
            for _ in range(self.loop):
                each = next(source, None)
                if each is None:
                    break
                self._come(each, 0.0)
        else:
            coming = next(source, None)
        one = lanes[0] if len(lanes) == 1 else None
        fleet = self.fleet
        wake = INF if fleet is None else fleet.next
        while True:
            if coming is not None and (not events or coming.arrival + self.service.front <= events[0][0]):
                at = coming.arrival + self.service.front
            elif events:
                at = events[0][0]
            else:
                at = INF
            # Until then, the instance whose step ends first.
            lane = one if one is not None else min(lanes, key=_next)
            if fleet is not None and wake <= at and wake <= lane.next and (at < INF or lane.next < INF):
                if fleet.act(wake):
                    self.router.over(fleet.lanes())
                wake = fleet.next
                continue
            if lane.next < at:
                lane.commit()
                if lane.next >= self.sampled:
                    self._sample(lane.begun)
                continue
            if at == INF:
                break
            if coming is not None and at == coming.arrival + self.service.front and not (events and events[0][0] < at):
                request, second = coming, False
                self.number += 1
                request.id = self.number
                coming = next(source, None) if open_ended else None
            else:
                _, _, kind, request = heappop(events)
                second = kind == 1
            if second:
                rank = self.second.choose(request)  # type: ignore[union-attr]
                request.held = 0.0
            else:
                rank = self.router.choose(request)
                self.record.come += 1
                self.record.last_arrival = max(self.record.last_arrival, request.arrival)
            rank.lane.push(request, rank, at)

    def _sample(self, now: float) -> None:
        """Store the state of the service; of every other sample, once there are many."""
        lanes = (*self.service.lanes, *self.service.decoders)
        waiting = running = 0
        used = capacity = 0.0
        for lane in lanes:
            for rank in lane.ranks:
                waiting += len(rank.waiting)
                running += len(rank.reading) + rank.decoding
                used += rank.held
                capacity += lane.capacity
        samples = self.record.samples
        samples.append((now, waiting, running, min(used / capacity, 1.0), self.record.tokens))
        if len(samples) >= _SAMPLES:
            del samples[::2]
            self.pace = max((samples[-1][0] - samples[0][0]) / len(samples), self.pace)
        self.sampled = now + self.pace


def _next(lane: Lane) -> float:
    return lane.next
