"""Intervals worked out by hand, each part with a number of its own."""

import math
from types import SimpleNamespace

import attrs
import pytest

import roofline as rl
from roofline.hardware.constants import Kernel
from roofline.operators.operations import Message, Op
from roofline.physics.kernels import Cost
from roofline.physics.spans import Span
from roofline.results import intervals

CHIP = rl.Chip("made", {"bf16": 1e15}, rl.Memory(1e11, 4e12), cores=100)
SYSTEM = rl.System("made", CHIP, chips=8.0, tiers=(rl.Tier("node", 8, 1e11, 1e-6),))
PLAIN = rl.Model("plain", 600, 7_000, (rl.Layers(4, rl.Gqa(12, 6, 50), rl.Dense(4_000)),))
STATES = attrs.evolve(PLAIN, layers=(rl.Layers(4, rl.Linear(4, 8, 30, 42), rl.Dense(4_000)),))


def test_power_that_lasts_as_long_as_the_time_and_its_own_error_add_in_squares():
    low, high = intervals.powered((-0.3, 0.5), 0.4, 0.16)
    assert (float(low), float(high)) == pytest.approx((-math.hypot(0.12, 0.16), math.hypot(0.2, 0.16)), rel=1e-12)


def test_the_front_end_is_never_said_to_be_surely_slower_or_faster(monkeypatch):
    for ends, expected in (((0.1, 0.4), (0.0, 0.4)), ((-0.3, -0.1), (-0.3, 0.0)), ((-0.2, 0.3), (-0.2, 0.3))):
        spread = SimpleNamespace(ends=lambda coverage, ends=ends: ends)
        evidence = SimpleNamespace(spread=lambda name, distance, spread=spread: spread)
        monkeypatch.setattr(intervals.catalog, "evidence", lambda evidence=evidence: evidence)
        assert intervals.front() == expected


def span():
    """Two kinds of kernels and a message, the first met four times."""
    gemm, pass_ = Op("up", "gemm", "bf16", 1.0, 1.0), Op("norm", "elementwise", "bf16", 0.0, 1.0)
    message = Message("sum", "all_reduce", 1.0, 8.0)
    parts = (
        Span("up", 1.0, work=gemm, cost=Cost(1.0, compute=0.75, memory=0.5, latency=0.125, error=0.3)),
        Span("up", 2.0, work=gemm, cost=Cost(2.0, compute=1.0, memory=1.5, latency=0.25, error=0.4)),
        Span("norm", 3.0, work=pass_, cost=Cost(3.0, memory=3.0, error=0.2)),
        Span("sum", 2.0, work=message, cost=Cost(2.0, network=1.5, latency=0.5, error=0.25)),
    )
    return Span("layers", 32.0, 4.0, parts)


def test_errors_of_one_kind_of_kernel_are_summed_and_kinds_add_in_squares(monkeypatch):
    shipped = rl.Calibration(
        "made", "calibrated", {("gemm", "any"): Kernel(error=0.1), ("elementwise", "any"): Kernel(error=0.25)}, {}
    )
    monkeypatch.setattr(intervals, "_shipped", lambda est: shipped)
    # gemm: (0.3 + 0.8) 4 over 0.3 of the shipped; passes are surer than the shipped ones, and take nothing away.
    expected = ((4 * 1.1) ** 2 - (4 * 0.3) ** 2) / 32**2
    assert float(intervals._of_kernels(None, span())) == pytest.approx(expected, rel=1e-12)


def test_what_a_question_adds_is_the_root_of_all_squares(monkeypatch):
    monkeypatch.setattr(intervals, "_of_kernels", lambda est, span: 0.04)
    monkeypatch.setattr(intervals.citations, "assumed", lambda system, span: 0.5)
    profile = rl.Calibration("made", "calibrated", {}, {}, assumed_error=0.6)
    question = rl.Serve(attrs.evolve(PLAIN, mtp=1), 64, 64, concurrency=4.0, draft_tokens=1.0)
    whole = span()
    est = SimpleNamespace(
        whole=whole, question=question, calibration=profile, system=SYSTEM, within={"tpot": (whole, 0.0)}
    )
    links, assumed = 4 * 2.0 * 0.25 / 32, 0.5 * 0.6**2
    plain = math.sqrt(links**2 + 0.04 + assumed)
    assert float(intervals.added(est, "ttft")) == pytest.approx(plain, rel=1e-12)
    drafts = math.sqrt(plain**2 + rl.workload.questions.KEPT_ERROR**2)
    assert float(intervals.added(est, "tpot")) == pytest.approx(drafts, rel=1e-12)
    assert float(intervals.added(est, "rate")) == pytest.approx(drafts, rel=1e-12)


def test_resources_side_by_side_and_in_turn_are_the_ends_of_what_is_not_known():
    whole = span()
    est = SimpleNamespace(whole=whole, within={}, ttft=8.0, tpot=None)
    side, turn = 4 * (0.875 + 1.75 + 3 + 2), 4 * (1.375 + 2.75 + 3 + 2)
    low, high = intervals.idealisation(est, "ttft")
    assert (float(low), float(high)) == pytest.approx((8 * side / 32, 8 * turn / 32), rel=1e-12)
    assert intervals.idealisation(est, "tpot") is None


def test_a_quantity_that_an_answer_does_not_have_has_no_interval():
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 16.0, 900.0), "dgx-h100", rl.Layout(tp=2.0))
    assert est.requests_per_second is None
    assert est.interval("requests_per_second") is None
    assert est.interval("ttft") is None
