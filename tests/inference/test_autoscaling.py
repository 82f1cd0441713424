"""Replicas that follow the load: the law, by hand and as properties."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roofline as rl
from roofline.inference.autoscaling import SERVING, Autoscale, Fleet
from roofline.inference.policies import Policy
from roofline.inference.requests import Request
from roofline.inference.simulation import Lane, Record, Service, run
from roofline.inference.traces import Trace


class Steps:
    """A decode step of 20 ms, and 0.1 ms for each prompt token."""

    def decode(self, batch, context):
        return 0.02

    def mixed(self, batch, context, tokens, attended, busy=1.0):
        return (0.02 if batch else 0.0) + 1e-4 * tokens


def served(rows, rule, policy=None):
    policy, record = policy or Policy(), Record()
    lanes = [
        Lane(i, Steps(), policy, record, ranks=1, capacity=1e6, seat=0.0, chunk=2048.0, yields=1.0, drafts=0.0, hash_block=512)
        for i in range(int(rule.most))
    ]  # fmt: skip
    fleet = Fleet(lanes, 1, rule)
    run(
        Service(lanes, policy, record, fleet=fleet),
        Trace("rows", lambda: iter([Request(*row) for row in rows]), len(rows)),
    )
    return record, fleet


def test_a_rule_in_words():
    assert Autoscale.of("2:8", target=10.0) == Autoscale(2, 8, target=10.0)
    for wrong in ("2", "8:2", "a:b", "0:4", "2:"):
        with pytest.raises(rl.QuestionError):
            Autoscale.of(wrong)


def test_one_replica_more_by_hand():
    """Two requests of 1,000 answers in flight, one aimed at: at 15 s a second replica is asked for, at 25 s it serves; both are calm after."""
    rows = [(0.0, 100, 5000), (0.0, 100, 5000), (26.0, 100, 100)]
    record, fleet = served(rows, Autoscale(1, 2, target=1.0, start=10.0))
    assert fleet.log[:3] == [(0.0, 1, 0, 0), (15.0, 1, 1, 0), (25.0, 2, 0, 0)]
    assert sorted(record.lane) == [0, 0, 1] or sorted(record.lane) == [0, 0, 0]
    assert fleet.paid == pytest.approx(record.end + (record.end - 15.0))


def test_fewer_only_after_a_calm():
    """A burst of four ends at once; replicas go when no more were needed for 60 s, and one that stops ends its request first."""
    rows = [(0.0, 100, 1000)] * 4 + [(float(t), 100, 2) for t in range(30, 300, 5)]
    _, fleet = served(rows, Autoscale(1, 4, target=1.0, start=1.0, calm=60.0))
    most = [serving for _, serving, _, _ in fleet.log]
    assert max(most) == 4
    went = next(time for time, serving, _, _ in fleet.log if time > 20 and serving < 4)
    assert 15.0 + 60.0 <= went <= 15.0 + 60.0 + 30.0
    assert fleet.log[-2][1] == 1


ROWS = st.lists(st.tuples(st.floats(0, 400), st.integers(1, 3000), st.integers(1, 800)), min_size=1, max_size=60).map(
    sorted
)


@settings(max_examples=80, deadline=None)
@given(
    ROWS, st.integers(1, 3), st.integers(0, 4), st.floats(0.5, 20), st.floats(0, 60), st.sampled_from(["in_flight", "waiting", "cache"]),
    st.floats(0, 200), st.sampled_from(["round_robin", "least_loaded"]),
)  # fmt: skip
def test_an_autoscaled_fleet_is_never_paid_more_than_the_most(rows, least, more, target, start, metric, calm, router):
    rule = Autoscale(least, least + more, metric, target if metric != "cache" else target / 20, start, calm=calm)
    record, fleet = served(rows, rule, Policy(router=router))
    assert len(record.ttft) == len(rows)
    assert least * record.end - 1e-6 <= fleet.paid <= rule.most * record.end + 1e-6
    for _, *counts in fleet.log[:-1]:
        assert sum(counts) <= rule.most
        assert counts[0] >= 1
    assert not any(each.state == SERVING for each in fleet.replicas)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 4))
def test_more_replicas_never_lengthen_the_mean_wait(rows, count):
    """In turn, twice as many replicas have half of the requests each: no later on average, to the step that is in progress."""
    means = []
    for most in (count, 2 * count):
        record, _ = served(rows, Autoscale(most, most, target=1e9, start=0.0))
        means.append(sum(record.ttft) / len(rows))
    assert means[1] <= means[0] + 0.02 + 1e-4 * 2048
