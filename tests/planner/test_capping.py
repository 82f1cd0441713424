"""A power cap: the clock falls, steps take longer, and no chip draws more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.sampled_from(["dgx-h100", "dgx-a100-80gb", "gb200-nvl72"]),
    st.floats(1.0, 256.0),
    st.floats(0.75, 1.1),
    st.floats(0.75, 1.1),
)
def test_a_lower_cap_never_speeds_up_any_service(system, requests, one, other):
    """Any of three machines under any load, the caps being shares of what a chip draws on average when it is free."""
    words = {"chips": 1, "concurrency": requests}
    free = rl.estimate("llama-3.1-8b", system, **words)
    draw = float(free.power("chip"))
    low, high = (rl.estimate("llama-3.1-8b", system, power_cap=draw * each, **words) for each in sorted((one, other)))
    for name in ("ttft", "tpot"):
        times = [float(getattr(est, name)) for est in (free, high, low)]
        assert times[0] <= times[1] * (1 + 1e-9)
        assert times[1] <= times[2] * (1 + 1e-9)
    for est, cap in ((low, min(one, other)), (high, max(one, other))):
        assert float(est.power("chip")) <= draw * cap * (1 + 1e-9)


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
