"""What is remembered is never told from what is worked out."""

import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.arrays import squeezed
from roofline.core.remember import Lazy, remembered
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode


@frozen(eq=False)
class Noun:
    value: object


def counted():
    asked = []

    @remembered(2)
    def function(*values):
        asked.append(values)
        return len(asked)

    return function, asked


def test_equal_numbers_and_the_same_objects_are_remembered():
    function, asked = counted()
    noun = Noun(1.0)
    assert function(noun, 2.0, (3.0, "a")) == function(noun, np.float64(2.0), (3.0, "a")) == 1
    assert function(Noun(1.0), 2.0, (3.0, "a")) == 2
    assert len(asked) == 2


def test_small_arrays_go_by_value_and_large_ones_are_not_kept():
    function, asked = counted()
    assert function(np.arange(3.0)) == function(np.arange(3.0)) == 1
    assert function(np.arange(3.0)[:, None]) == 2
    assert function(np.zeros(2000)) == 3
    assert function(np.zeros(2000)) == 4
    assert function(Noun(np.zeros(2))) == 5
    assert len(asked) == 5


def test_no_more_than_the_limit_is_kept():
    function, asked = counted()
    for value in (1.0, 2.0, 3.0, 1.0):
        function(value)
    assert len(asked) == 4


def test_later_is_worked_out_once():
    asked = []
    later = Lazy(lambda: asked.append(1) or None)
    assert later() is None
    assert later() is None
    assert asked == [1]


def test_settled_drops_axes_that_change_nothing():
    value = np.broadcast_to(np.array([[1.0], [2.0]]), (2, 5))
    assert squeezed(value).tolist() == [[1.0], [2.0]]
    assert squeezed(3.0) == 3.0
    assert squeezed(np.eye(2)).shape == (2, 2)


def test_a_question_made_anew_is_the_same_as_one_of_equal_numbers():
    function, asked = counted()
    model = catalog.model("llama-3.1-8b")
    for batch in (1.0, 1.0, 2.0, np.ones(2), np.ones(2), np.zeros(2) + 1):
        function(Decode(model, batch, 512.0))
        function(Layout(tp=batch))
    assert len(asked) == 6


def test_what_many_points_make_is_not_kept():
    asked = []

    @remembered(4)
    def added(x, y):
        asked.append(x.size * y.size)
        return x + y

    for _ in range(2):
        added(np.arange(8.0), np.arange(8.0)[:, None])
        added(np.arange(99.0), np.arange(99.0)[:, None])
    assert asked == [64, 9801, 9801]
