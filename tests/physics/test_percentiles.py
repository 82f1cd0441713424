"""Distributions of waits and of times per token: against laws that are known exactly, and against draws."""

import math

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.core.remember import Lazy
from roofline.physics.percentiles import Gaps, Passes, Waits, lengths, quantile

ALIKE = Passes(lengths(1.0, 0.0), lengths(1.0, 0.0))
VARIED = Passes(lengths(1.0, 0.4), lengths(1.0, 0.4))


def waits(**words):
    usual = {
        "front": 0.25, "mean": 1.25, "passes": Lazy(lambda: ALIKE), "step": 0.0, "lasts": 1.0, "met": 0.0, "often": 0.0,
    }  # fmt: skip
    return Waits(**(usual | words))


def gaps(**words):
    usual = {
        "base": 3.0, "tokens": 100.0, "prompts": 4.0, "each": 0.5, "variation": 0.0, "step": 0.03, "mixed": 9.0, "often": 0.1,
        "passes": Lazy(lambda: ALIKE),
    }  # fmt: skip
    return Gaps(**(usual | words))


@pytest.mark.parametrize("p", [1.0, 10.0, 50.0, 90.0, 99.0, 99.9])
def test_quantiles_of_a_law_given_by_its_transform(p):
    # A gamma law of two phases: 1 - (1 + x) exp(-x).
    x = float(quantile(lambda w: (1 + 1j * w) ** -2.0, 16.0, p))
    assert 1 - (1 + x) * math.exp(-x) == pytest.approx(p / 100, abs=2e-3)


def test_a_request_that_meets_nobody_takes_its_front_and_its_own_time():
    assert [float(waits().percentile(p)) for p in (1, 50, 99)] == pytest.approx([1.25] * 3, rel=0.02)


def test_prompts_of_one_server_wait_as_drawn_ones_do():
    """Lindley's recursion for equal prompts that come at random, at loads of a third and four fifths."""
    dice = np.random.default_rng(7)
    for load in (1 / 3, 0.8):
        work = np.cumsum(1 - dice.exponential(1 / load, 2_000_000))
        seen = work - np.minimum.accumulate(work)
        mean = load / (2 * (1 - load))
        law = waits(mean=1.25 + mean)
        for p in (50, 90, 99):
            assert float(law.percentile(p)) == pytest.approx(1.25 + np.percentile(seen, p), rel=0.03)


def test_a_place_is_waited_for_by_a_chance():
    # With a chance of a half an exponential wait of 4 on average: nine in ten wait less than 4 ln 5.
    law = waits(place=2.0, full=0.5, uneven=1.0)
    assert float(law.percentile(90)) == pytest.approx(1.25 + 4 * math.log(5), rel=0.02)
    assert float(law.percentile(40)) == pytest.approx(1.25, rel=0.05)


def test_those_who_began_at_once_wait_evenly():
    law = waits(weight=1.0, begun=2.0, apart=2.0)
    assert [float(law.percentile(p)) for p in (25, 50, 75)] == pytest.approx([2.25, 3.25, 4.25], rel=0.02)


def test_a_long_prompt_takes_longer_by_itself():
    law = waits(passes=Lazy(lambda: VARIED))
    sigma = math.sqrt(math.log(1.16))
    for p, z in ((50, 0.0), (90, 1.2816), (99, 2.3263)):
        assert float(law.percentile(p)) == pytest.approx(0.25 + math.exp(sigma * z - sigma**2 / 2), rel=0.03)


def test_few_prompts_pass_or_none():
    # Four random prompts of 0.5 s in an answer of 3 s: none passes in 1.8 % of cases, seven at most in nineteen of twenty.
    law = gaps()
    assert float(law.percentile(1)) * 100 == pytest.approx(3.0, abs=0.05)
    assert float(law.percentile(50)) * 100 == pytest.approx(5.0, abs=0.3)
    assert float(law.percentile(94)) * 100 == pytest.approx(6.5, abs=0.3)


def test_a_loop_of_two_passes_its_other_prompt_once():
    # The other request comes round in nine answers of ten; it never comes twice.
    law = gaps(prompts=0.9, others=1.0)
    assert [float(law.percentile(p)) * 100 for p in (5, 50, 99)] == pytest.approx([3.0, 3.5, 3.5], abs=0.05)


def test_prompts_that_come_while_others_pass_follow_them():
    """Total progeny: Poisson families of a branching process, drawn one by one."""
    dice = np.random.default_rng(3)
    load, come = 0.5, 2.0
    total = np.zeros(100_000)
    alive = dice.poisson(come, total.size)
    while alive.any():
        total += alive
        alive = dice.poisson(load * alive)
    law = gaps(prompts=come / (1 - load), load=load)
    for p in (50, 90, 99):
        assert float(law.percentile(p)) * 100 == pytest.approx(3 + 0.5 * np.percentile(total, p), abs=0.35)


def test_no_step_is_longer_than_one_that_passes_prompts():
    assert float(gaps(prompts=60.0, mixed=0.2).percentile(99)) == pytest.approx(0.2)


def test_an_answer_of_one_token_has_no_time_per_token():
    assert math.isnan(float(gaps(tokens=0.0).percentile(50)))


@given(
    made.floats(1e-3, 10), made.floats(0.01, 10), st.floats(0.1, 1), st.floats(0, 0.99), st.floats(0, 1), st.floats(0, 10), st.floats(0, 1)
)  # fmt: skip
def test_percentiles_rise(front, behind, regular, often, weight, begun, full):
    law = waits(
        front=front,
        mean=front + 1 + behind,
        regular=regular,
        often=often,
        weight=weight,
        begun=begun,
        place=begun * full,
        full=full,
        uneven=0.3,
    )
    points = law.percentile(np.array([1.0, 10, 50, 90, 99]))
    assert (np.diff(points) >= -1e-9).all()
    assert (points >= front * (1 - 1e-9)).all()


def test_arrays_are_points():
    some = waits(mean=np.array([1.3, 2.0, 5.0]), often=np.array([0.1, 0.5, 0.9]))
    each = [float(attrs.evolve(some, mean=some.mean[i], often=some.often[i]).percentile(90)) for i in range(3)]
    made_ = Passes(ALIKE.own[:, None], ALIKE.each[:, None])
    assert attrs.evolve(some, passes=Lazy(lambda: made_)).percentile(90) == pytest.approx(each, rel=1e-9)


def test_one_request_of_each_slot_is_a_first_wave_alone():
    asked = rl.Serve(rl.model("llama-3.1-8b"), 4096, 256, 16, requests_per_slot=1, variation=0.0)
    est = rl.estimate(asked, "dgx-h100", rl.Layout(), engine="vllm")
    # Evenly from the first chunk, of two prompts, to the last, of eight.
    half, last = float(est.ttft_percentile(50)), float(est.ttft_percentile(99))
    assert 1.5 < last / half < 2.0
    assert float(est.ttft) == pytest.approx(half, rel=0.05)
