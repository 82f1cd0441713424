"""Single numbers that no ufunc has seen are those that a ufunc makes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roofline.core.arrays import expected_distinct, larger, pick, smaller

ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(ANY, ANY, st.booleans())
def test_one_number_is_what_an_array_holds(a, b, where):
    one, many = (a, b), (np.array([a]), np.array([b]))
    for law in (larger, smaller, lambda x, y: pick(where, x, y)):
        got, wanted = law(*one), law(*many)[0]
        assert isinstance(got, np.float64)
        assert got == wanted or (np.isnan(got) and np.isnan(wanted))


@given(st.floats(1, 1e4), st.floats(0, 1), st.floats(0, 1e4))
def test_one_chance_is_what_an_array_holds(bins, chance, draws):
    assert expected_distinct(bins, chance, draws) == expected_distinct(bins, np.array([chance]), draws)[0]
