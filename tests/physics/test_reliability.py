"""Goodput with failures and checkpoints: limits, the optimum, and a simulation as oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import lambertw

from failing import useful_part
from roofline.physics.reliability import best_interval, daly, fleet_mtbf, goodput, shares, young

times = st.floats(1e-3, 1e6)
mtbfs = st.floats(1.0, 1e8)


@given(times, times, times)
def test_without_failures_only_checkpoints_take_time(checkpoint, restart, interval):
    assert goodput(np.inf, checkpoint, restart, interval) == pytest.approx(interval / (interval + checkpoint))
    assert best_interval(np.inf, checkpoint) == np.inf
    assert goodput(np.inf, checkpoint, restart, np.inf) == 1


@given(mtbfs, times, times, times, st.floats(1.001, 100))
def test_fewer_failures_leave_more(mtbf, checkpoint, restart, interval, factor):
    less, more = (float(goodput(m, checkpoint, restart, interval)) for m in (mtbf, mtbf * factor))
    assert 0 <= less <= more <= 1
    at_best = [float(goodput(m, checkpoint, restart, best_interval(m, checkpoint))) for m in (mtbf, mtbf * factor)]
    assert at_best[0] <= at_best[1] * (1 + 1e-12)


@given(mtbfs, st.floats(0, 1e6), times, st.floats(0.2, 5).filter(lambda x: abs(x - 1) > 1e-3))
def test_no_neighbour_of_the_optimum_is_better(mtbf, checkpoint, restart, factor):
    best = best_interval(mtbf, checkpoint)
    most = float(goodput(mtbf, checkpoint, restart, best))
    assert float(goodput(mtbf, checkpoint, restart, best * factor)) <= most * (1 + 1e-12)
    # What is left at the optimum is e^-(T + C + R)/M.
    assert most == pytest.approx(float(np.exp(-(best + checkpoint + restart) / mtbf)), rel=1e-9, abs=1e-300)


@given(mtbfs, st.floats(1e-12, 1e-2))
def test_small_checkpoints_go_by_young_and_daly(mtbf, part):
    exact = float(best_interval(mtbf, part * mtbf))
    assert exact == pytest.approx(float(young(mtbf, part * mtbf)), rel=0.5 * part**0.5)
    assert exact == pytest.approx(float(daly(mtbf, part * mtbf)), rel=part)


@given(st.floats(1e-6, 300))
def test_the_optimum_is_that_of_lamberts_function(part):
    known = 1 + lambertw(-np.exp(-1 - part)).real
    assert float(best_interval(1.0, part)) == pytest.approx(known, rel=1e-6)


def test_extremes_stay_numbers():
    with np.errstate(all="raise", under="ignore"):
        assert goodput(1e-3, 1e6, 1e6, best_interval(1e-3, 1e6)) == 0
        assert goodput(1e3, 0.0, 0.0, best_interval(1e3, 0.0)) == pytest.approx(1)
        assert goodput(1e3, 1.0, 0.0, np.inf) == 0


def test_arrays_are_the_numbers_one_by_one():
    mtbf, checkpoint = np.array([60.0, 3600.0, np.inf])[:, None], np.array([0.5, 30.0])
    interval = best_interval(mtbf, checkpoint)
    many = goodput(mtbf, checkpoint, 10.0, np.minimum(interval, 1e9))
    for i, m in enumerate((60.0, 3600.0, np.inf)):
        for j, c in enumerate((0.5, 30.0)):
            assert interval[i, j] == best_interval(m, c)
            assert many[i, j] == goodput(m, c, 10.0, min(interval[i, j], 1e9))


@given(mtbfs, times, times, times)
def test_shares_are_the_whole(mtbf, checkpoint, restart, interval):
    parts = [float(part) for part in shares(mtbf, checkpoint, restart, interval)]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(1)


def test_chips_fail_one_by_one():
    """54 days on 16,384 H100 with 419 interruptions (arXiv:2407.21783, table 5)."""
    assert fleet_mtbf(50700 * 3600.0, 16384.0) / 3600 == pytest.approx(54 * 24 / 419, rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("mtbf", "checkpoint", "restart", "interval"),
    [(10800, 30, 300, 785), (10800, 30, 300, 3000), (1000, 100, 200, 400), (500, 50, 600, 100), (3600, 1, 0, 60)],
)
def test_the_simulation_agrees(mtbf, checkpoint, restart, interval):
    seen = useful_part(mtbf, checkpoint, restart, interval)
    assert float(goodput(mtbf, checkpoint, restart, interval)) == pytest.approx(seen, rel=0.01)


@pytest.mark.parametrize(("behind", "off"), [(50, 0.01), (300, 0.01), (780, 0.02)])
def test_what_is_written_behind_the_work_costs_as_much_work(behind, off):
    seen = useful_part(10800, 5, 300, 785, behind)
    assert float(goodput(10800, 5, 300, 785, behind)) == pytest.approx(seen, rel=off)
    assert float(goodput(10800, 5, 300, 785)) > seen
