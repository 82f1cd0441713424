"""Quantities as people give them: with a unit, or a number that makes sense in the library's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline.core.errors import QuestionError, UnitError
from roofline.core.quantities import DOUBTS, quantity
from roofline.core.units import BYTE, DOLLAR_RATE, ONE, SECOND, WATT


@pytest.mark.parametrize(
    ("name", "value", "unit", "expected"),
    [
        ("tpot", "30ms", SECOND, 0.03),
        ("tpot", "30 ms", SECOND, 0.03),
        ("tpot", 0.03, SECOND, 0.03),
        ("tpot", 2.5001, SECOND, 2.5001),  # computed, not typed
        ("ttft", 12, SECOND, 12.0),
        ("power", "1.2kW", WATT, 1200.0),
        ("price", "3.6 USD/h", DOLLAR_RATE, 0.001),
        ("price", 3.6, DOLLAR_RATE, 0.001),
        ("memory", "60GB", BYTE, 6e10),
    ],
)
def test_quantities(name, value, unit, expected):
    assert quantity(name, value, unit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "value", "unit", "says"),
    [
        ("tpot", 30, SECOND, "30 s? did you mean 30 ms"),
        ("tpot_p99", 30.0, SECOND, "did you mean 30 ms"),
        ("ttft", 2000, SECOND, "did you mean 2000 ms"),
        ("mtbf", 3, SECOND, "did you mean 3 h"),
        ("power", 1.2, WATT, "did you mean 1.2 kW"),
        ("hall_power", 10, WATT, "did you mean 10 MW"),
        ("memory", 60, BYTE, "did you mean 60 GB"),
        ("tpot", np.array([0.03, 30.0]), SECOND, "did you mean 30 ms"),
        ("tpot", "30", SECOND, "has no unit; give for example 50ms"),
        ("memory", " 60 ", BYTE, "give for example 60GB"),
        ("power", True, WATT, "must be a number"),
    ],
)
def test_what_is_likely_meant_in_another_unit_is_asked_about(name, value, unit, says):
    with pytest.raises(QuestionError) as error:
        quantity(name, value, unit)
    assert says in str(error.value)


def test_another_kind_of_unit_is_refused():
    with pytest.raises(UnitError, match="is a size in bytes, expected a time"):
        quantity("tpot", "30GB", SECOND)


@given(st.floats(1e-3, 1e6), st.sampled_from(["ms", "s", "us"]))
def test_text_with_a_unit_is_never_asked_about(number, unit):
    scale = {"ms": 1e-3, "s": 1.0, "us": 1e-6}[unit]
    assert quantity("tpot", f"{number:.6f}{unit}", SECOND) == pytest.approx(float(f"{number:.6f}") * scale)


@given(st.floats(0.0, 1e9), st.sampled_from(["batch", "concurrency", "step_time"]))
def test_words_without_doubts_take_any_number(number, name):
    assert name not in DOUBTS
    assert quantity(name, number, ONE) == number


@pytest.mark.parametrize(
    "ask",
    [
        lambda: rl.estimate("llama-3.1-8b", "dgx-h100", tpot=30),
        lambda: rl.search("llama-3.1-8b", "dgx-h100", tpot=30),
        lambda: rl.compare("dgx-h100", "dgx-b200", model="llama-3.1-8b", tpot=30),
        lambda: rl.compare("dgx-h100", "dgx-b200", model="llama-3.1-8b", tpot=[0.02, 30]),
        lambda: rl.simulate("llama-3.1-8b", "dgx-h100", rl.Trace.poisson(1.0, 4), tpot=30),
        lambda: rl.sweep("llama-3.1-8b", "dgx-h100", batch=8, context=100, limits={"tpot": 30}),
        lambda: rl.needed(rl.estimate("llama-3.1-8b", "dgx-h100", tp=1), "bandwidth", tpot=30),
        lambda: rl.needed(rl.estimate("llama-3.1-8b", "dgx-h100", tp=1), "bandwidth", tpot_p99=30),
    ],
)
def test_every_verb_asks_about_a_time_of_thirty_seconds(ask):
    with pytest.raises(QuestionError, match=r"30 s\? did you mean 30 ms"):
        ask()
