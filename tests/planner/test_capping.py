"""A power cap: the clock falls, steps take longer, and no chip draws more."""

import numpy as np
import pytest

import roofline as rl


def served(cap=None):
    return rl.estimate("llama-3.1-70b", "dgx-h100", tp=8, concurrency=64, power_cap=cap)


def test_a_lower_cap_never_speeds_up_and_is_kept():
    free = served()
    before = free
    for cap in (700, 600, 500, 400, 300):
        est = served(cap)
        assert float(est.tpot) >= float(before.tpot) * (1 - 1e-9)
        assert float(est.power("chip") / est.chips) <= cap * (1 + 1e-9)
        before = est
    assert float(before.tpot) > float(free.tpot)
    assert float(before.system.package.clock) < 1


def test_a_cap_that_does_not_bind_changes_nothing():
    free, loose = served(), served("700 W")
    assert float(loose.tpot) == pytest.approx(float(free.tpot), rel=1e-12)
    assert any("the clock stays" in note for note in loose.assumptions)


def test_a_step_of_training_is_slowed_by_its_matrix_units():
    words = {"chips": 8, "global_batch": 64}
    free = rl.train("llama-3.1-8b", "dgx-h100", **words)
    slow = rl.train("llama-3.1-8b", "dgx-h100", power_cap=450, **words)
    clock = float(slow.system.package.clock)
    assert 1 < float(slow.step_time / free.step_time) < 1 / clock
    assert float(slow.power("chip") / slow.chips) == pytest.approx(450)


def test_points_are_capped_each_for_itself():
    asked = np.array([1.0, 64.0])
    many = rl.estimate("llama-3.1-70b", "dgx-h100", rl.Layout(tp=8), concurrency=asked, power_cap=400)
    one = rl.estimate("llama-3.1-70b", "dgx-h100", rl.Layout(tp=8), concurrency=64, power_cap=400)
    assert float(many.tpot[1]) == pytest.approx(float(one.tpot), rel=1e-6)


@pytest.mark.parametrize(
    ("cap", "says"), [("100 W", "at its lowest clock"), (-5, "above 0"), ("5 bananas", "power_cap")]
)
def test_what_cannot_be(cap, says):
    with pytest.raises(rl.RooflineError, match=says):
        served(cap)
