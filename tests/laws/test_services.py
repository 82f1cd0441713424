"""Laws of a service: better machines and more places never answer less, a higher rate never shortens a wait; the grid against the simulator."""

import importlib.util
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roofline as rl

NEAR = 1e-3
"""Of a sawtooth: a request that comes back meets another part of a step where steps are shorter."""
MODEL = rl.model("llama-3.1-8b")
H100 = rl.system("dgx-h100")
tokens = st.integers(16, 16384)


def better(memory=1.0, bandwidth=1.0):
    own = H100.package.memory
    more = attrs.evolve(own, capacity=own.capacity * memory, bandwidth=own.bandwidth * bandwidth)
    return attrs.evolve(H100, package=attrs.evolve(H100.package, memory=more))


@settings(max_examples=15)
@given(tokens, st.integers(32, 2048), st.integers(1, 256), st.floats(1.05, 4))
def test_more_memory_bandwidth_or_chips_never_lower_what_a_closed_loop_answers(input, output, concurrency, more):
    question = rl.Serve(MODEL, input, output, concurrency=concurrency)
    usual = float(rl.estimate(question, H100, rl.Layout()).requests_per_second)
    for system, layout in (
        (better(memory=more), rl.Layout()), (better(bandwidth=more), rl.Layout()), (H100, rl.Layout(replicas=2)),
    ):  # fmt: skip
        assert float(rl.estimate(question, system, layout).requests_per_second) >= usual * (1 - 10 * NEAR)


@settings(max_examples=15)
@given(tokens, st.integers(1, 1024))
def test_a_higher_rate_never_shortens_a_wait_at_any_percentile(input, output):
    question = rl.Serve(MODEL, input, output, rate=1.0)
    most = float(rl.estimate(attrs.evolve(question, rate=None, concurrency=256), H100, rl.Layout()).requests_per_second)
    some = [rl.estimate(attrs.evolve(question, rate=part * most), H100, rl.Layout()) for part in (0.05, 0.2, 0.4, 0.6)]
    some = [est for est in some if est.fits]
    for p in (50.0, 90.0, 99.0):
        waits = [float(est.ttft_percentile(p)) for est in some]
        assert (np.diff(waits) >= -0.02 * np.array(waits[:-1])).all(), waits


def grid():
    path = Path(__file__).parents[2] / "scripts" / "queueing_grid.py"
    spec = importlib.util.spec_from_file_location("queueing_grid", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GRID = grid()
CASES = list(GRID.regimes())


def test_the_grid_is_wide():
    assert len(CASES) >= 60
    assert {min(c["input"] for c in CASES), max(c["input"] for c in CASES)} == {1, 32768}
    assert {min(c["output"] for c in CASES), max(c["output"] for c in CASES)} == {1, 4096}


@pytest.mark.parametrize(
    "i", [pytest.param(i, marks=() if i % 12 == 8 else pytest.mark.thorough) for i in range(len(CASES))]
)
def test_a_closed_form_is_near_the_simulator_or_says_that_it_is_rough(i):
    off, notes, _ = GRID.compared(CASES[i])
    assert notes or all(abs(value) <= GRID.LIMITS[name] for name, value in off.items()), off
