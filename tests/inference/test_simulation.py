"""The simulator against one that takes every step, and what must hold whatever the trace."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roofline.inference.policies import Policy
from roofline.inference.requests import Request
from roofline.inference.simulation import HostTier, Lane, Record, Router, Service, run
from roofline.inference.traces import Trace


class Linear:
    """Step times by a formula: a decode step ``d + s C B``, and ``token`` for each prompt token of the fullest rank."""

    def __init__(self, d=0.02, s=1e-8, token=1e-4):
        self.d, self.s, self.token = d, s, token

    def decode(self, batch, context):
        return self.d + self.s * batch * context

    def mixed(self, batch, context, tokens, attended, busy=1.0):
        return (self.decode(batch, context) if batch else 0.0) + self.token * tokens + 1e-9 * tokens * attended


def served(
    requests, *, policy=None, lanes=1, ranks=1, capacity=1e9, chunk=2048.0, yields=1.0, loop=None, front=0.0, times=None, host=None,
):  # fmt: skip
    policy, record = policy or Policy(), Record()
    every = [
        Lane(i, times or Linear(), policy, record, ranks=ranks, capacity=capacity, seat=0.0, chunk=chunk, yields=yields, drafts=0.0, hash_block=512, host=host)
        for i in range(lanes)
    ]  # fmt: skip

    def source():
        for each in requests:
            made = Request(*each[:3], each[3] if len(each) > 3 else ())
            made.priority = each[4] if len(each) > 4 else 0
            yield made

    run(Service(every, policy, record, front=front), Trace("test", source, len(requests), concurrency=loop))
    return record, every


def step_by_step(requests, times, chunk, *, mixed=True):
    """Return (arrival, ttft, e2e) of each request, one step after another, without a limit on the cache."""
    waiting, reading, running, out, now = list(requests), [], [], [], 0.0
    while waiting or reading or running:
        if not reading and not running and waiting[0][0] > now:
            now = waiting[0][0]
        while waiting and waiting[0][0] <= now:
            arrival, size, answer = waiting.pop(0)[:3]
            reading.append({"arrival": arrival, "left": size, "past": 0, "size": size, "answer": answer})
        left, took, attended = chunk, [], 0.0
        for each in reading:
            part = min(left, each["left"])
            if part:
                took.append((each, part))
                attended += part * (each["past"] + part / 2)
                left -= part
        tokens = chunk - left
        batch = len(running)
        context = sum(each["size"] + each["told"] for each in running) / batch if batch else 0.0
        decoding = batch if mixed or not tokens else 0
        now += times.mixed(decoding, context, tokens, attended / tokens) if tokens else times.decode(batch, context)
        if decoding:
            for each in running:
                each["told"] += 1
        for each in [each for each in running if each["told"] >= each["answer"]]:
            running.remove(each)
            out.append((each["arrival"], each["first"] - each["arrival"], now - each["arrival"]))
        for each, part in took:
            each["left"] -= part
            each["past"] += part
            if not each["left"]:
                reading.remove(each)
                each |= {"told": 1, "first": now}
                if each["answer"] == 1:
                    out.append((each["arrival"], now - each["arrival"], now - each["arrival"]))
                else:
                    running.append(each)
    return sorted(out)


TRACES = st.lists(
    st.tuples(st.floats(0, 3), st.integers(1, 6000), st.integers(1, 60)), min_size=1, max_size=25
).map(sorted)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(TRACES, st.sampled_from([256, 2048, 8192]), st.booleans())
def test_jumps_are_steps(requests, chunk, mixed):
    """What is jumped over is what a simulation of every step goes through, to rounding."""
    record, _ = served(requests, chunk=float(chunk), policy=Policy(mixed=mixed))
    seen = sorted(zip(record.arrival, record.ttft, record.e2e, strict=True))
    told = step_by_step(requests, Linear(), chunk, mixed=mixed)
    assert len(seen) == len(told)
    for one, other in zip(seen, told, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 3000), st.integers(1, 400), st.integers(0, 3)), min_size=1, max_size=40),
    st.floats(3500, 12000), st.integers(1, 2), st.integers(1, 3), st.sampled_from(["fcfs", "priority"]),
    st.sampled_from(["round_robin", "least_loaded", "prefix"]), st.sampled_from([0.0, 0.5, 1.0]), st.booleans(), st.sampled_from([1.0, 2.3]),
    st.none() | st.builds(HostTier, st.floats(0, 20000), st.floats(0, 1e-3), st.just(32.0)), st.sampled_from(["through", "evicted"]),
    st.sampled_from(["ahead", "layers", "step"]),
)  # fmt: skip
def test_nothing_is_lost(requests, capacity, lanes, ranks, order, router, reserve, mixed, yields, host, write, load):
    """Every request ends once with all its tokens, and the caches are empty then, however often some are preempted."""
    rows = [
        (t, i, o, tuple(range(family * 100, family * 100 + i // 512)), family) for t, i, o, family in sorted(requests)
    ]
    policy = Policy(order=order, router=router, reserve=reserve, mixed=mixed, host_write=write, host_load=load)
    record, every = served(rows, policy=policy, lanes=lanes, ranks=ranks, capacity=capacity, yields=yields, host=host)
    assert len(record.ttft) == len(requests)
    assert not record.refused
    assert record.tokens == pytest.approx(sum(each[2] for each in requests))
    assert all(0 < first <= whole + 1e-6 for first, whole in zip(record.ttft, record.e2e, strict=True))
    for lane in every:
        assert lane.next == math.inf
        for rank in lane.ranks:
            assert (rank.decoding, rank.reading, len(rank.waiting), rank.load) == (0, [], 0, 0)
            assert rank.held == pytest.approx(0, abs=1e-6)
            assert rank.owed == pytest.approx(0, abs=1e-6)
            assert rank.context == pytest.approx(0, abs=1e-6)
            assert len(rank.idle) * 512 <= capacity
            assert set(rank.idle) == set(rank.cache)


def test_a_full_cache_preempts():
    record, _ = served([(0.0, 1000, 1000)] * 4, capacity=4200.0)
    assert record.preemptions > 0
    assert len(record.ttft) == 4
    reserved, _ = served([(0.0, 1000, 1000)] * 4, capacity=4200.0, policy=Policy(reserve=1.0))
    assert reserved.preemptions == 0


def test_a_prompt_that_no_cache_holds_is_refused():
    record, _ = served([(0.0, 5000, 10), (0.0, 100, 10)], capacity=4000.0)
    assert (record.refused, len(record.ttft)) == (1, 1)


def test_prefixes_are_read_once():
    ids = tuple(range(4))
    record, _ = served([(0.0, 2100, 10, ids), (5.0, 2100, 10, ids)])
    assert list(record.cached) == [0, 2048]
    assert record.ttft[1] < record.ttft[0] / 10
    off, _ = served([(0.0, 2100, 10, ids), (5.0, 2100, 10, ids)], policy=Policy(prefix_cache=False))
    assert list(off.cached) == [0, 0]


def test_the_least_recently_used_block_goes_first():
    rows = [(float(t), 1024, 2, (10 * which, 10 * which + 1)) for t, which in enumerate((0, 1, 0, 2, 0, 1))]
    record, _ = served(rows, capacity=2200.0)
    # Two prompts fit: 2 takes the place of 1, then 0 is there still, and 1 is not.
    assert [int(each > 0) for each in record.cached] == [0, 0, 1, 0, 1, 0]


def test_a_prefix_router_goes_where_the_prefix_is():
    rows = [(0.1 * t, 1024, 2, (10 * (t % 2), 10 * (t % 2) + 1)) for t in range(20)]
    hits = {}
    for way in ("round_robin", "prefix"):
        record, _ = served(rows, lanes=3, policy=Policy(router=way))
        hits[way] = sum(record.cached)
    assert hits["prefix"] == 18 * 1023
    assert hits["round_robin"] < hits["prefix"]


def test_priorities_go_first():
    rows = [(0.0, 2000, 5, (), 1)] * 6 + [(0.01, 2000, 5, (), 0)]
    record, _ = served(rows, policy=Policy(order="priority"))
    urgent = [first for first, priority in zip(record.ttft, record.priority, strict=True) if priority == 0]
    assert urgent[0] < sorted(record.ttft)[3]


def test_a_closed_loop_keeps_requests_in_flight():
    record, every = served([(0.0, 500, 100)] * 400, loop=20, front=0.01)
    # Little's law: 20 = rate x time of a request, but for the last ones, which end alone.
    rate, whole = 400 / record.end, sum(record.e2e) / 400
    assert rate * whole == pytest.approx(20, rel=0.05)
    assert max(row[1] + row[2] for row in record.samples) <= 20
    del every


def test_drafts_bring_tokens_sooner():
    one, _ = served([(0.0, 100, 101)])
    two, _ = served([(0.0, 100, 101)], yields=2.0)
    assert (one.e2e[0] - one.ttft[0]) == pytest.approx(2 * (two.e2e[0] - two.ttft[0]), rel=0.01)


def test_replicas_share_requests_out():
    rows = [(0.0, 100, 50)] * 9
    for way in ("round_robin", "least_loaded"):
        record, _ = served(rows, lanes=3, policy=Policy(router=way))
        assert [list(record.lane).count(i) for i in range(3)] == [3, 3, 3]


def test_a_router_of_one_is_no_choice():
    _, every = served([(0.0, 10, 2)])
    assert Router(every, Policy()).choose(Request(0.0, 1, 1)) is every[0].ranks[0]


def test_two_pools_hand_over():
    policy, record = Policy(), Record()
    made = [
        Lane(i, Linear(), policy, record, ranks=1, capacity=1e6, seat=0.0, chunk=8192.0, yields=1.0, drafts=0.0, hash_block=512, only_prompts=i == 0)
        for i in range(2)
    ]  # fmt: skip
    service = Service(made[:1], policy, record, decoders=made[1:], transfer=([0.0, 1e5], [0.5, 0.5]))
    run(service, Trace("two", lambda: iter([Request(0.0, 1000, 11)]), 1))
    assert record.ttft[0] == pytest.approx(0.1 + 1e-9 * 1000 * 500 + 0.5, rel=1e-6)
    assert record.e2e[0] - record.ttft[0] == pytest.approx(10 * 0.02, rel=0.01)


def test_an_interrupt_keeps_what_is_done():
    def source():
        for i in range(100):
            if i == 60:
                raise KeyboardInterrupt
            yield Request(float(i), 100, 5)

    policy, record = Policy(), Record()
    lane = Lane(
        0,
        Linear(),
        policy,
        record,
        ranks=1,
        capacity=1e6,
        seat=0.0,
        chunk=512.0,
        yields=1.0,
        drafts=0.0,
        hash_block=512,
    )
    run(Service([lane], policy, record), Trace("cut", source, 100))
    assert record.interrupted
    assert 50 < len(record.ttft) < 61


# Host memory ----------------------------------------------------------------------------------------------------------


def family(each, blocks=4):
    """Return the hash ids of a prompt of its own."""
    return tuple(range(100 * each, 100 * each + blocks))


def test_the_end_of_a_prompt_is_evicted_first():
    """Room for three of a prompt's four blocks besides another prompt: the first three are found again, as engines free blocks from the end."""
    record, _ = served(
        [(0.0, 2049, 1, family(1)), (5.0, 513, 1, family(2, 1)), (10.0, 2049, 1, family(1))], capacity=2100.0
    )
    assert list(record.cached) == [0, 0, 1536]


@pytest.mark.parametrize(
    ("load", "layers", "waits"),
    [
        ("ahead", 32.0, 2048 * 1e-3), ("step", 32.0, 2048 * 1e-3),  # the whole copy
        ("layers", 32.0, 2048e-3 - 0.01 * (1 - 1 / 32)), ("layers", 1.0, 2048e-3),  # what the prefill does not hide
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", ["through", "evicted"])
def test_a_copy_takes_its_time(load, layers, waits, write):
    """The third request finds its prompt of 2,048 + 100 tokens in host memory, evicted by the second: 100 tokens are read, in 10 ms."""
    rows = [(0.0, 2148, 1, family(1)), (5.0, 2148, 1, family(2)), (10.0, 2148, 1, family(1))]
    record, _ = served(
        rows, capacity=2200.0, policy=Policy(host_write=write, host_load=load), host=HostTier(1e5, 1e-3, layers),
        times=Linear(d=0, s=0),
    )  # fmt: skip
    assert (list(record.cached), record.fetched_tokens) == ([0, 0, 2048], 2048)
    read = Linear(d=0, s=0).mixed(0, 0, 100, 2048 + 50)
    assert record.ttft[2] == pytest.approx(read + waits, rel=1e-2)


def test_others_run_while_blocks_are_copied():
    """Where the request waits, one that comes after it does not; where the step waits, both do."""
    rows = [(0.0, 2148, 1, family(1)), (5.0, 2148, 1, family(2)), (10.0, 2148, 1, family(1)), (10.0, 60, 1)]
    first = {}
    for load in ("ahead", "step"):
        record, _ = served(rows, capacity=2300.0, policy=Policy(host_load=load), host=HostTier(1e5, 1e-3))
        first[load] = dict(zip(record.input, record.ttft, strict=True))[60]
    assert first["ahead"] < 0.1 < 2.0 < first["step"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 8)), min_size=2, max_size=40), st.floats(4200, 9000),
    st.floats(0, 12000), st.floats(0, 12000), st.sampled_from(["through", "evicted"]), st.sampled_from(["ahead", "layers", "step"]),
)  # fmt: skip
def test_more_host_memory_never_lowers_hits(rows, capacity, less, more, write, load):
    """Of requests one after another, whose order no cache changes."""
    requests = [(10.0 * i, 512 * n + 7, 2, family(each, n)) for i, (each, n) in enumerate(rows)]
    hits = []
    for tokens in (0.0, min(less, less + more), less + more):
        record, _ = served(
            requests, capacity=capacity, policy=Policy(host_write=write, host_load=load), host=HostTier(tokens, 1e-7)
        )
        hits.append(record.hit_tokens)
    none, _ = served(requests, capacity=capacity)
    assert none.hit_tokens == hits[0] <= hits[1] <= hits[2]
    assert list(none.input) == list(record.input)
