"""One Pareto front for one to three metrics, and refusals joined by key."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roofline.planner.frontier import leading, order, pareto, refusals, undominated
from roofline.results.answer import Rule


@pytest.mark.parametrize("metrics", [1, 2, 3])
@given(st.data())
def test_the_front_is_what_no_other_beats_in_all_metrics(metrics, data):
    shape = (metrics, data.draw(st.integers(1, 12)))
    values = data.draw(arrays(np.float64, shape, elements=st.integers(0, 4).map(float)))
    found = undominated(values)
    columns = [tuple(column) for column in values.T]
    best = {mine for mine in columns if not any(np.all(np.array(o) >= mine) and o != mine for o in columns)}
    assert {columns[i] for i in found} == best
    assert len(found) == len(best)
    assert all(i == columns.index(columns[i]) for i in found)
    assert list(values[0, found]) == sorted(values[0, found], reverse=True)


def test_the_front_of_a_mask_has_places_of_the_whole():
    first, second = np.array([[3.0, 9.0], [1.0, 2.0]]), np.array([[1.0, 9.0], [3.0, 2.0]])
    np.testing.assert_array_equal(pareto(np.array([[True, False], [True, True]]), first, second), [0, 3, 2])


@given(st.integers(0, 3000), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_parts_that_are_sorted_alone_are_the_order_of_all(count, kinds, seed):
    """With many ties, and masks that leave none."""
    some = np.random.default_rng(seed)
    score, tie, where = some.integers(0, kinds, count) * 1.0, some.integers(0, 3, count) * 1.0, some.random(count) < 0.7
    found = list(leading(where, score, tie))
    assert np.array_equal(np.concatenate([*found, np.empty(0, dtype=int)]), order(where, score, tie))
    assert all(part.size for part in found)


def test_each_plan_is_counted_once_under_the_first_rule_it_breaks():
    rules = [
        Rule("first", np.array([True, False, False]), "{limit} at most", np.array([1.0, 4.0, 2.0])),
        Rule("second", np.array([False, False, True]), "no"),
    ]
    found = refusals(rules, np.ones(3, dtype=bool), 10)
    assert {key: (each.plans, each.reason) for key, each in found.items()} == {
        "first": (20, "4 at most"),
        "second": (10, "no"),
    }
