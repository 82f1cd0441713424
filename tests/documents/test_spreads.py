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
