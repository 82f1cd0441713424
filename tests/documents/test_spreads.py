"""Quantiles of residuals: those of many cells are their own, those of few are drawn towards a wider group."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "scripts" / "spreads.py"
SPEC = importlib.util.spec_from_file_location("spreads", PATH)
spreads = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(spreads)
MANY = np.random.default_rng(0).normal(0.1, 0.3, 40_000)
NAMES = [str(i) for i in range(len(MANY))]


def test_a_quantile_of_weights_lies_between_the_middles_of_neighbours():
    assert spreads.quantile(np.array([3.0, 1.0]), np.array([1.0, 1.0]), 0.5) == 2.0
    assert spreads.quantile(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0]), 0.75) == 3.0


def test_quantiles_of_many_cells_are_their_own():
    found = spreads.spread(MANY, NAMES)
    assert found.logs == pytest.approx(
        [0.1 + 0.3 * z for z in (-1.96, -1.2816, -0.6745, 0, 0.6745, 1.2816, 1.96)], abs=0.02
    )


def test_few_cells_are_drawn_towards_the_group_above():
    """Four cells of a median of 1 beside as many of 0: half of the way; their tails say little."""
    above = spreads.spread(MANY - 0.1, NAMES)
    found = spreads.spread([1.0, 1.0, 1.0, 1.0], list("abcd"), above)
    assert found.at(0.5) == pytest.approx((1 + above.at(0.5)) / 2)
    ratios = [(found.at(p) - found.at(0.5)) / (above.at(p) - above.at(0.5)) for p in (0.75, 0.9, 0.975)]
    assert ratios == pytest.approx([4 / (4 * 4 * p * (1 - p) + 4) for p in (0.75, 0.9, 0.975)])


def test_cells_weigh_alike():
    once = spreads.spread([0.0, 1.0, 2.0], ["a", "b", "c"])
    often = spreads.spread([0.0] * 5 + [1.0, 2.0], ["a"] * 5 + ["b", "c"])
    assert once.cells == often.cells == 3
    assert once.at(0.5) == pytest.approx(often.at(0.5), abs=0.1)


def test_student_is_as_wide_as_quartile_and_tenth():
    values = np.linspace(-1, 1, 2001)
    found = spreads.student(values, np.ones(len(values)))
    scale = (0.5 / 0.7407 + 0.8 / 1.5332) / 2
    assert found == pytest.approx(scale * spreads.STUDENT, abs=1e-3)


def test_a_spread_needs_a_residual():
    with pytest.raises(ValueError, match="residual"):
        spreads.spread([], [])


def sample(conditions, sizes, groups=None):
    """Residuals of one cell each, normal with a deviation of their own."""
    values = np.random.default_rng(1).normal(0.0, sizes)
    n = len(values)
    return spreads.Sample(values, [str(i) for i in range(n)], groups or ["family"] * n, conditions, np.zeros(n))


def test_a_condition_twice_as_wide_is_found_so():
    n = 4_000
    made = sample([("tuned",), ("default",)] * n, [0.1, 0.2] * n)
    found = spreads.effects(made)
    assert found["default"].width / found["tuned"].width == pytest.approx(2.0, rel=0.05)
    assert found["default"].width * found["tuned"].width == pytest.approx(1.0, rel=1e-6)  # as many of both
    assert [each.cells for each in found.values()] == [n, n]
    same = spreads.standardised(made, found)
    assert np.std(same[::2]) == pytest.approx(np.std(same[1::2]), rel=0.05)


def test_conditions_are_told_apart_where_they_meet():
    """Widths of 2 and 1.5 that multiply, at two distances of which one is three times as wide."""
    both = [(a, b) for a in ("tuned", "default") for b in ("dense", "experts")] * 2_000
    sizes = [{"tuned": 0.1, "default": 0.2}[a] * {"dense": 1.0, "experts": 1.5}[b] for a, b in both]
    made = sample(both + both, sizes + [3 * each for each in sizes], ["family"] * len(both) + ["maker"] * len(both))
    found = spreads.effects(made)
    assert found["default"].width / found["tuned"].width == pytest.approx(2.0, rel=0.06)
    assert found["experts"].width / found["dense"].width == pytest.approx(1.5, rel=0.06)


def test_a_condition_of_one_cell_changes_little():
    found = spreads.effects(sample([("tuned",)] * 40 + [("default",)] * 40 + [("day-0",)], [0.1] * 80 + [1.0]))
    assert 1.0 <= found["day-0"].width < 2.5  # measured: ten deviations


def test_what_is_known_better_is_never_less_sure():
    made = sample([("tuned",), ("default",)] * 500, [0.2, 0.1] * 500)
    found = spreads.effects(made)
    assert found["tuned"].width == found["default"].width == pytest.approx(1.0, rel=0.02)


def test_standardised_residuals_are_the_inverse_of_a_spread_under_conditions():
    values = np.array([-0.4, -0.2, -0.1, 0.1, 0.3, 0.5, 0.9])
    found = {"default": spreads.Condition(5, 1.4), "experts": spreads.Condition(5, 1.5)}
    under = spreads.Spread(7, 7, tuple(values)).under(found.values())
    made = spreads.Sample(np.array(under.logs), list("abcdefg"), ["family"] * 7, [tuple(found)] * 7, np.full(7, 0.1))
    assert spreads.standardised(made, found) == pytest.approx(values)
