"""Closed forms of pipeline schedules against a simulation of their tasks: time, bubble, what is kept."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline_simulation import simulate
from roofline.core.errors import UnknownNameError
from roofline.physics.pipeline import SCHEDULES, Pace, others, run

NEAR = {"gpipe": 1e-9, "1f1b": 1e-9, "interleaved": 1e-9, "zb-h1": 0.04, "zb-h2": 0.04, "zb-v": 0.04, "dualpipe": 0.04}
"""How far closed forms may be off where stages are even."""

times = st.floats(0.5, 1.5)
stages = st.sampled_from([2, 4, 8])


def chunks(name):
    return {"interleaved": (2, 3), "zb-v": (2,)}.get(name, (1,))


@pytest.mark.thorough
@given(
    st.sampled_from(sorted(SCHEDULES)),
    stages,
    st.integers(1, 5),
    times,
    times,
    times,
    st.just(0.0) | st.floats(0, 0.3),
    st.data(),
)
def test_even_stages_take_as_long_as_simulated(name, p, rounds, f, b, w, send, data):
    m, v = p * rounds, data.draw(st.sampled_from(chunks(name)))
    found = run(name, p, m, v if name == "interleaved" else 1, fullest=Pace(f, b, w, send))
    assume(found.ok)
    seen = simulate(name, p, m, v if name == "interleaved" else 1, paces=[(f / v, b / v, w / v)] * (p * v), send=send)
    assert float(found.time) == pytest.approx(seen.longest, rel=NEAR[name])
    assert float(found.in_flight) == pytest.approx(max(seen.kept))
    assert float(found.bubble) == pytest.approx(float(found.time) - m * (f + b + w), abs=1e-9)
    whole = run(name, p, m, v if name == "interleaved" else 1, fullest=Pace(f, b, w, send), together=True)
    assert float(whole.time) == pytest.approx(seen.time, rel=NEAR[name])


@pytest.mark.thorough
@given(stages, st.sampled_from([2, 4, 6]), times, times, times, st.floats(0.6, 1))
def test_pairs_take_as_long_as_simulated(p, rounds, f, b, w, part):
    m = p * rounds
    found = run("dualpipe", p, m, fullest=Pace(f, b, w, pair=part * (f + b + w)))
    seen = simulate("dualpipe", p, m, paces=[(f, b, w)] * p, pair=part)
    assert float(found.time) == pytest.approx(seen.longest, rel=0.1)
    assert found.time <= run("dualpipe", p, m, fullest=Pace(f, b, w)).time * (1 + 1e-12)
    assert float(found.work) <= m * (f + b + w) * (1 + 1e-12)


@given(
    st.sampled_from(["gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-v"]), stages, st.sampled_from([2, 4]), times, times, times,
    st.floats(1, 1.3), st.just(0.0) | st.floats(0, 0.3),
)  # fmt: skip
def test_a_fuller_last_stage_sets_the_pace(name, p, rounds, f, b, w, more, send):
    m, v = p * rounds, chunks(name)[0]
    paces = [(f / v, b / v, w / v)] * (p * v)
    paces[-1] = tuple(time * (1 + (more - 1) * v) for time in paces[-1])
    mean = (p - 1 + more) / p
    found = run(
        name,
        p,
        m,
        v if name == "interleaved" else 1,
        fullest=Pace(f * more, b * more, w * more, send),
        mean=Pace(f * mean, b * mean, w * mean, send),
    )
    seen = simulate(name, p, m, v if name == "interleaved" else 1, paces=paces, send=send)
    assert float(found.time) == pytest.approx(seen.longest, rel=max(NEAR[name], 0.08 if "zb" in name else 0.01))
    assert found.time >= m * more * (f + b + w) * (1 - 1e-12)


def test_one_array_is_its_points():
    p, m = np.array([2.0, 4.0, 8.0])[:, None], np.array([16.0, 32.0])
    for name in SCHEDULES:
        v = 2.0 if name == "interleaved" else 1.0
        many = run(name, p, m, v, fullest=Pace(1.0, 1.5, 0.7, 0.1))
        for i, j in np.ndindex(3, 2):
            one = run(name, p[i, 0], m[j], v, fullest=Pace(1.0, 1.5, 0.7, 0.1))
            for field in ("time", "work", "in_flight", "bubble"):
                assert np.broadcast_to(getattr(many, field), (3, 2))[i, j] == pytest.approx(float(getattr(one, field)))


def test_one_stage_has_no_bubble_and_a_name_must_be_known():
    for name in ("gpipe", "1f1b", "zb-h1", "zb-h2", "zb-v"):
        assert float(run(name, 1.0, 5.0, fullest=Pace(1.0, 1.0, 1.0, 0.5)).time) == 15
    assert others(Pace(2.0, 2.0, 2.0), Pace(1.0, 1.0, 1.0), 4.0).work == pytest.approx(2.0)
    with pytest.raises(UnknownNameError, match="1f1b"):
        run("1f2b", 2.0, 4.0, fullest=Pace(1.0, 1.0, 1.0))
