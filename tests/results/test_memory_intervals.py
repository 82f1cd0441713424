"""Intervals of memory worked out by hand, each part with a number of its own."""

import math
from types import SimpleNamespace

import attrs
import pytest

import roofline as rl
from roofline.hardware.engines import Engine
from roofline.hardware.evidence import Evidence, Spread
from roofline.hardware.frameworks import Framework
from roofline.operators.memory import Footprint
from roofline.results import memory_intervals

CHIP = rl.Chip("made", {"bf16": 1e15}, rl.Memory(1e11, 4e12), cores=100)
SYSTEM = rl.System("made", CHIP, chips=8.0, tiers=(rl.Tier("node", 8, 1e11, 1e-6),))
PLAIN = rl.Model("plain", 600, 7_000, (rl.Layers(4, rl.Gqa(12, 6, 50), rl.Dense(4_000)),))
STATES = attrs.evolve(PLAIN, layers=(rl.Layers(4, rl.Linear(4, 8, 30, 42), rl.Dense(4_000)),))
EVEN = Spread(9, 9, (-0.04, -0.02, -0.01, 0.0, 0.01, 0.02, 0.04))
"""80 % within 2 % of a chip's memory: 2 GB of 100."""


def known():
    """Return evidence in which one engine, and one framework, are known."""
    spreads = {("room", "family", ""): EVEN, ("room", "family", "made"): EVEN, ("peak", "stack", "made"): EVEN}
    spreads |= {
        (name, "family", ""): Spread(9, 9, (-3e-9, -2e-9, -1e-9, 0.0, 1e-9, 2e-9, 3e-9))
        for name in ("cache", "cache_mixed")
    }
    wide = Spread(9, 9, tuple(4 * log for log in EVEN.logs))
    return Evidence({}, {**spreads, ("room", "chip", ""): wide, ("peak", "chip", ""): wide})


@pytest.fixture
def evidence(monkeypatch):
    monkeypatch.setattr(memory_intervals.catalog, "evidence", known)
    return monkeypatch


def answer(model=PLAIN, level="calibrated", system=SYSTEM, engine="made", capacity=60e9):
    """Return 30 GB of weights, 20 of cache, 2 of activations and 3 of the engine."""
    profile = rl.Calibration("made", level, {}, {}, engine=Engine(engine, release="1.0"), framework=Framework("made"))
    return SimpleNamespace(
        calibration=profile, memory=Footprint(30e9, 20e9, 2e9, 3e9, 900_000.0), system=system, layout=rl.Layout(tp=2.0), capacity=capacity,
        question=SimpleNamespace(model=model), max_concurrency=40.0, kv_cache_tokens=900_000.0 * (capacity - 35e9) / 20e9,
    )  # fmt: skip


def ends(est, quantity, coverage=0.8):
    return [float(end) for end in memory_intervals.interval(est, quantity, coverage)]


def test_memory_is_as_far_off_as_rooms_of_logs_are(evidence):
    assert ends(answer(), "memory") == pytest.approx([53e9, 57e9])
    assert ends(answer(), "memory", 0.95) == pytest.approx([51e9, 59e9])
    assert ends(answer(engine="other"), "memory") == pytest.approx([47e9, 63e9])
    assert memory_intervals.interval(answer(level="ideal"), "memory", 0.8) is None


def test_a_package_reports_the_memory_of_all_its_ranks(evidence):
    duo = rl.System("duo", attrs.evolve(CHIP, dies=2), chips=8.0, ranks_per_chip=2, tiers=SYSTEM.tiers)
    assert ends(answer(system=duo), "memory") == pytest.approx([53e9, 57e9])


def test_tokens_are_those_of_the_room_and_of_their_layout(evidence):
    # A room of 25 GB has 1,125,000 tokens, 45,000 a GB: 2 GB more or less, and a tenth more by the layout.
    assert ends(answer(), "kv_cache_tokens") == pytest.approx([1_035_000, 1_215_000], rel=1e-6)
    assert ends(answer(), "max_concurrency") == pytest.approx([36.8, 43.2], rel=1e-6)
    layouts = Spread(9, 9, (-0.3, -0.2, -0.1, 0.0, math.log(1.05), math.log(1.1), 0.2))
    mixed = Evidence({}, {**known().spreads, ("cache_mixed", "family", ""): layouts})
    evidence.setattr(memory_intervals.catalog, "evidence", lambda: mixed)
    low, high = ends(answer(STATES), "kv_cache_tokens")
    assert high == pytest.approx(1_125_000 + math.hypot(90_000, 112_500), rel=1e-6)
    assert low == pytest.approx(1_125_000 - math.hypot(90_000, 1_125_000 * (1 - math.exp(-0.2))), rel=1e-6)


def test_what_does_not_fit_may_have_a_room_yet(evidence):
    # 1 GB is missing for a cache of none: the room may be 1 GB.
    short = answer(capacity=34e9)
    assert [float(end) for end in memory_intervals.room(short, 0.8)] == pytest.approx([0.0, 1e9])
    low, high = ends(short, "kv_cache_tokens")
    assert (low, high) == pytest.approx((0.0, 45_000), rel=1e-6)


def test_what_fits_is_as_likely_as_rooms_are_larger(evidence):
    # Where 2 GB are left or missing, nine or one in ten fit.
    chances = [float(memory_intervals.chance_of_fitting(answer(capacity=c))) for c in (57e9, 55e9, 53e9)]
    assert chances == pytest.approx([0.9, 0.5, 0.1], abs=1e-3)


def test_releases_that_are_not_stated_are_as_likely(evidence):
    # One of two leaves 4 GB less: where 2 GB are left, nine in ten fit in one and one in ten in the other.
    evidence.setattr(memory_intervals, "others", lambda est: (0.0, -4e9))
    assert float(memory_intervals.chance_of_fitting(answer(capacity=57e9))) == pytest.approx(0.5, abs=1e-3)
    low, high = ends(answer(), "memory")
    assert high == pytest.approx(55e9 + math.hypot(2e9, memory_intervals.Z80 * math.sqrt(8e18)))
    assert low == pytest.approx(53e9)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ((0.0, -4e9), "up to 4 GB less per chip"),
        ((0.0, -4e9, 3e9), "up to 4 GB less or 3 GB more per chip"),
    ],
)
def test_an_answer_says_what_older_releases_leave(evidence, others, said):
    evidence.setattr(memory_intervals, "others", lambda est: others)
    (sentence,) = memory_intervals.sentences(answer())
    assert f"leave {said}; name it: engine=made@RELEASE" in sentence


def test_releases_that_leave_the_same_are_not_mentioned(evidence):
    evidence.setattr(memory_intervals, "others", lambda est: (0.0, 1e8))
    assert memory_intervals.sentences(answer()) == ()


def test_steps_of_training_are_as_far_off_as_peaks_are(evidence):
    step = answer()
    step.question = rl.TrainStep(PLAIN, 8.0, 512.0, 1.0)
    assert ends(step, "memory") == pytest.approx([55e9 * math.exp(-0.02), 55e9 * math.exp(0.02)])
    step.capacity = 55e9 * math.exp(0.02)
    assert float(memory_intervals.chance_of_fitting(step)) == pytest.approx(0.9, abs=1e-3)
    step.calibration = attrs.evolve(step.calibration, framework=Framework("other"))
    assert ends(step, "memory")[1] == pytest.approx(55e9 * math.exp(0.08))


@pytest.mark.parametrize(("capacity", "chance"), [(54e9, 0.0), (55e9, 1.0), (56e9, 1.0)])
def test_at_the_ideal_level_it_fits_or_does_not(capacity, chance):
    assert float(memory_intervals.chance_of_fitting(answer(level="ideal", capacity=capacity))) == chance
