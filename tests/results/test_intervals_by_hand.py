"""Intervals worked out by hand, each part with a number of its own."""

import math
from types import SimpleNamespace

import attrs
import pytest

import roofline as rl
from roofline.hardware.constants import Kernel
from roofline.hardware.engines import Engine
from roofline.operators.memory import Footprint
from roofline.operators.operations import Message, Op
from roofline.physics.kernels import Cost
from roofline.physics.spans import Span
from roofline.results import intervals, memory_intervals

CHIP = rl.Chip("made", {"bf16": 1e15}, rl.Memory(1e11, 4e12), cores=100)
SYSTEM = rl.System("made", CHIP, chips=8.0, tiers=(rl.Tier("node", 8, 1e11, 1e-6),))
PLAIN = rl.Model("plain", 600, 7_000, (rl.Layers(4, rl.Gqa(12, 6, 50), rl.Dense(4_000)),))
STATES = attrs.evolve(PLAIN, layers=(rl.Layers(4, rl.Linear(4, 8, 30, 42), rl.Dense(4_000)),))
ENDS = {"room": (-0.02, 0.03), "cache": (-0.04, 0.05), "cache_mixed": (-0.11, 0.16), "peak": (-0.3, 0.2)}
"""Ends of intervals of 80 % by quantity, in logarithms."""


class Made:
    """Residuals that are made: their ends, and a share below that grows evenly from one end to the other."""

    def __init__(self, ends):
        self.low, self.high = ends

    def ends(self, coverage):
        return self.low * coverage / 0.8, self.high * coverage / 0.8

    def below(self, log):
        return (log - self.low) / (self.high - self.low)


@pytest.fixture
def made(monkeypatch):
    """Residuals of memory that are made, and no releases to choose from."""
    monkeypatch.setattr(memory_intervals, "_spread", lambda est, quantity: Made(ENDS[quantity]))
    monkeypatch.setattr(memory_intervals, "others", lambda est: (0.0,))


def answer(model=PLAIN, level="calibrated", capacity=60e9, system=SYSTEM, question=None):
    """Weights of 30 GB, a cache of 20 GB for 800,000 tokens, and 5 GB of the rest, on 60 GB of 100."""
    profile = rl.Calibration("made", level, {}, {}, engine=Engine("made"))
    return SimpleNamespace(
        calibration=profile, memory=Footprint(30e9, 20e9, 2e9, 3e9, 800_000.0), system=system, layout=rl.Layout(tp=2.0), capacity=capacity,
        question=question or SimpleNamespace(model=model), max_concurrency=40.0, kv_cache_tokens=1_000_000.0,
    )  # fmt: skip


@pytest.mark.usefixtures("made")
def test_memory_is_uncertain_by_a_part_of_what_the_driver_reports():
    # 3 % of 100 GB less room is that much more that is held.
    low, high = memory_intervals.interval(answer(), "memory", 0.8)
    assert (float(low), float(high)) == pytest.approx((55e9 - 3e9, 55e9 + 2e9), rel=1e-12)
    duo = rl.System(
        "duo",
        attrs.evolve(CHIP, dies=2, memory=rl.Memory(1e11, 4e12, usable=0.9)),
        chips=8.0,
        ranks_per_chip=2,
        tiers=SYSTEM.tiers,
    )
    low, high = memory_intervals.interval(answer(system=duo), "memory", 0.4)
    assert (float(low), float(high)) == pytest.approx((55e9 - 0.015 * 90e9, 55e9 + 0.01 * 90e9), rel=1e-12)
    assert memory_intervals.interval(answer(level="ideal"), "memory", 0.8) is None


@pytest.mark.usefixtures("made")
def test_room_is_what_is_left_and_what_the_cache_takes():
    # 60 - 55 + 20 = 25 GB, 2 GB less or 3 GB more.
    assert [float(end) for end in memory_intervals.room(answer(), 0.8)] == pytest.approx([23e9, 28e9])
    assert [float(end) for end in memory_intervals.room(answer(capacity=36e9), 0.8)] == pytest.approx([0.0, 4e9])


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("model", "cache"), [(PLAIN, (-0.04, 0.05)), (STATES, (-0.11, 0.16))])
def test_tokens_are_as_uncertain_as_the_room_and_the_bytes_of_one(model, cache):
    # 40,000 tokens a GB in 25 GB; sequences 40 in 25 GB.
    for quantity, value in (("kv_cache_tokens", 1_000_000.0), ("max_concurrency", 40.0)):
        low, high = memory_intervals.interval(answer(model), quantity, 0.8)
        below = math.hypot(value / 25 * 2, value * (1 - math.exp(cache[0])))
        above = math.hypot(value / 25 * 3, value * (math.exp(cache[1]) - 1))
        assert (float(low), float(high)) == pytest.approx((value - below, value + above), rel=1e-12)


def test_releases_that_an_answer_may_be_about_widen_the_room(monkeypatch):
    monkeypatch.setattr(memory_intervals, "_spread", lambda est, quantity: Made(ENDS[quantity]))
    monkeypatch.setattr(memory_intervals, "others", lambda est: (0.0, -6e9, 4e9, -8e9))
    below, above = math.sqrt((36 + 64) / 4), math.sqrt(16 / 4)
    low, high = memory_intervals.interval(answer(), "memory", 0.8)
    z = memory_intervals.Z80
    assert (float(low), float(high)) == pytest.approx(
        (55e9 - math.hypot(3, z * above) * 1e9, 55e9 + math.hypot(2, z * below) * 1e9), rel=1e-9
    )
    # What fits by each of them, evenly: 5, -1, 9 and -3 GB left of 100.
    shares = [1 - (-left / 100 + 0.02) / 0.05 for left in (5, -1, 9, -3)]
    assert float(memory_intervals.chance_of_fitting(answer())) == pytest.approx(sum(shares) / 4, rel=1e-9)


@pytest.mark.usefixtures("made")
def test_a_step_of_training_holds_more_or_less_by_a_factor():
    step = rl.TrainStep(PLAIN, 64.0)
    low, high = memory_intervals.interval(answer(question=step), "memory", 0.8)
    assert (float(low), float(high)) == pytest.approx((55e9 * math.exp(-0.3), 55e9 * math.exp(0.2)), rel=1e-12)
    assert float(memory_intervals.chance_of_fitting(answer(question=step))) == pytest.approx(
        (math.log(60 / 55) + 0.3) / 0.5, rel=1e-12
    )


@pytest.mark.parametrize(("capacity", "chance"), [(54e9, 0.0), (55e9, 1.0), (56e9, 1.0)])
def test_at_the_ideal_level_it_fits_or_does_not(capacity, chance):
    assert float(memory_intervals.chance_of_fitting(answer(level="ideal", capacity=capacity))) == chance


def test_the_context_of_a_question_is_its_longest_request():
    of = memory_intervals._context
    assert of(rl.Serve(PLAIN, 700.0, 300.0, concurrency=4.0)) == 1000.0
    assert (of(rl.Decode(PLAIN, 4.0, 900.0)), of(rl.Prefill(PLAIN, 4.0, 800.0)), of(None)) == (900.0, 800.0, 0.0)


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
