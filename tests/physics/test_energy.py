"""Power, energy and money: by hand, and as laws that hold for any chip and any work."""

from itertools import pairwise

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.hardware.energy import SCOPES, ChipDraw
from roofline.physics import energy
from roofline.physics.energy import Uses

DRAW = ChipDraw(0.15, 0.2, 0.3, 0.5, 1.5, 0.5, 0.2, 1.4, 0.28, 0.32)
share = st.floats(0.0, 1.0)
used = st.builds(Uses, share, share, share, share)


def test_a_chip_by_hand():
    # Awake 0.3, matrix units 1.5 x 0.2, memory 0.5 x 0.4, links 0.2 x 0.5.
    assert energy.demand(DRAW, Uses(0.2, 0.4, 0.5)) == pytest.approx(0.9)
    # A chip that waits half of the time: of 0.1 above loaded, half stays and half follows.
    assert energy.demand(DRAW, Uses(0.0, 0.0, 0.0, 0.5)) == pytest.approx(0.2 + 0.1 * 0.75)


def test_a_wall_by_hand():
    around = catalog.energy().systems[""]
    node = energy.surrounded(700.0, around, "node", 1.0, 1.1)
    assert energy.total(node) == pytest.approx((700 + 150 + 65) / 0.978)
    hall = energy.surrounded(700.0, around, "hall", 1.0, 1.1)
    assert energy.total(hall) == pytest.approx((700 + 150 + 65 + 80 + 36) / 0.978 * 1.1)
    assert hall["cooling"] == pytest.approx(energy.total(hall) / 11)


@given(used, used)
def test_less_work_in_the_same_time_never_costs_more(one, other):
    least = Uses(*(min(getattr(one, f.name), getattr(other, f.name)) for f in attrs.fields(Uses)))
    for draw in catalog.energy().generations.values():
        assert energy.drawn(draw, energy.demand(draw, least)) <= energy.drawn(draw, energy.demand(draw, one)) + 1e-12


@given(used, share, st.floats(0.3, 1.0))
def test_power_lies_between_idle_and_the_cap(what, working, cap):
    for draw in catalog.energy().generations.values():
        drawn = energy.drawn(draw, energy.demand(draw, what), working, cap)
        assert draw.idle <= drawn + 1e-12
        assert drawn <= cap + 1e-12


@given(used, st.floats(0.15, 1.0), st.floats(0.15, 1.0))
def test_a_lower_clock_never_draws_more(what, one, other):
    low, high = sorted((one, other))
    assert energy.demand(DRAW, what, low) <= energy.demand(DRAW, what, high) + 1e-12


@given(st.floats(50.0, 2000.0), st.floats(0.0, 4.0), st.floats(1.0, 2.0))
def test_scopes_nest_and_parts_sum(chips, outer, pue):
    for around in catalog.energy().systems.values():
        parts = [energy.surrounded(chips, around, scope, outer, pue) for scope in SCOPES]
        sums = [float(energy.total(each)) for each in parts]
        assert sums[0] == chips
        assert sums == sorted(sums)
        for inner, whole in pairwise(parts):
            assert all(whole[name] >= watts - 1e-9 for name, watts in inner.items())


def test_arrays_are_scalars_side_by_side():
    many = energy.demand(DRAW, Uses(np.array([0.1, 0.2]), 0.3, 0.0), np.array([0.5, 1.0]))
    each = [energy.demand(DRAW, Uses(u, 0.3, 0.0), f) for u, f in ((0.1, 0.5), (0.2, 1.0))]
    assert many == pytest.approx(each)


def test_a_machine_that_one_owns_by_hand():
    # 40,000 dollars over 4 years of 8,766 h are 1.1408 a hour, 1 kW at 0.1 dollars 0.1; in use for 80 % of the time.
    each = energy.ownership(40_000.0, 1_000.0, years=4, utilisation=0.8, power_price=0.1 / 3.6e6)
    assert 3600 * each == pytest.approx((40_000 / (4 * 8766) + 0.1) / 0.8)


def test_scopes_of_an_answer():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64)
    watts = [float(est.power(scope)) for scope in SCOPES]
    assert watts == sorted(watts)
    for scope in SCOPES:
        assert float(est.power(scope)) == pytest.approx(float(sum(est.power_parts(scope).values())))
        assert float(est.joules(scope)) == pytest.approx(float(est.power(scope)) / float(est.tokens_per_second))
    told = est.to_dict()["energy"]
    assert told["scope"] == "rack"
    assert told["j_per_token"]["rack"] == est.to_dict()["energy_j_per_output_token"]
    with pytest.raises(rl.QuestionError, match="no such scope"):
        est.joules("galaxy")


@given(
    st.sampled_from(["dgx-h100", "dgx-a100-80gb", "gb200-nvl72"]),
    st.floats(1.0, 512.0),
    st.sampled_from([1, 4]),
)
def test_answers_draw_between_idle_and_the_cap_and_scopes_nest(system, requests, tp):
    """One pool and two, on three machines under any load."""
    one = rl.estimate("llama-3.1-8b", system, tp=tp, chips=tp, concurrency=requests)
    half = rl.Layout(tp=tp)
    two = rl.pools(rl.Serve(rl.model("llama-3.1-8b"), concurrency=requests), system, half, half)
    table, machine = catalog.energy(), rl.system(system)
    rated, idle = float(table.rated(machine)), table.draw(machine.package).idle
    for est in (one, two):
        each = float(est.power("chip") / est.chips)
        assert rated * idle <= each * (1 + 1e-9)
        assert each <= rated * (1 + 1e-9)
        watts = [float(est.power(scope)) for scope in SCOPES]
        assert watts == sorted(watts)
        for scope in SCOPES:
            assert float(sum(est.power_parts(scope).values())) == pytest.approx(float(est.power(scope)))


def test_a_cost_that_is_null_says_why():
    step = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 1024), "dgx-h100", rl.Layout()).to_dict()
    assert step["usd_apart"] is None
    assert "not a service" in step["null_because"]["usd_apart"]
    bare = rl.estimate("llama-3.1-8b", "atlas-800i-a3", chips=1, concurrency=8).to_dict()
    for name in ("energy", "energy_j_per_output_token", "usd_apart", "usd_per_million_output_tokens"):
        assert bare[name] is None
        assert bare["null_because"][name]


def test_intervals_of_joules_and_dollars():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64)
    low, high = est.interval("joules_per_token")
    # Wider than power alone.
    assert low < est.joules_range[0] < est.joules_per_token < est.joules_range[1] < high
    low, high = est.interval("dollars_per_million_tokens")
    assert low < est.dollars_per_million_tokens < high


def test_a_machine_that_is_owned_costs_more_where_power_does():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64)
    cheap = est.owned_dollars_per_million_tokens(purchase=30_000, power_price=0.05)
    dear = est.owned_dollars_per_million_tokens(purchase=30_000, power_price=0.15)
    # The difference is the energy of the building, over the share of the time in which the machine works.
    assert float(dear - cheap) == pytest.approx(1e6 * float(est.joules("hall")) * 0.1 / 3.6e6 / 0.8)
    assert float(est.grams_of_carbon_per_million_tokens(360)) == pytest.approx(100 * float(est.joules("hall")))


def test_costs_of_prompt_and_output_tokens_apart_are_the_whole():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=np.array([1.0, 64.0]), input=3000, output=500)
    read, made = est.dollars_apart
    np.testing.assert_allclose(read * 3000 + made * 500, est.dollars_per_million_tokens * 500)
    # Prefill has the time of its prompts alone: a million of them cost as much as when nothing else is done.
    alone = 1e6 * est.system.price_per_chip * est.chips / est.prompt_tokens_per_second
    np.testing.assert_allclose(read, np.broadcast_to(alone, 2))
    one = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64)
    assert one.to_dict()["usd_apart"]["per_million_output_tokens"] == pytest.approx(float(one.dollars_apart[1]))
    assert rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 1024), "dgx-h100", rl.Layout()).dollars_apart is None


def test_carbon_by_the_name_of_a_grid():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64)
    for name, grams in catalog.energy().grids.items():
        assert float(est.grams_of_carbon_per_million_tokens(name)) == pytest.approx(
            float(grams) * float(est.joules("hall")) / 3.6
        )
    assert est.grams_of_carbon_per_million_tokens("56") == est.grams_of_carbon_per_million_tokens("france")
    for bad, match in (("frence", "did you mean france"), ("-3", "grid"), (-1.0, "grid")):
        with pytest.raises(rl.QuestionError, match=match):
            est.grams_of_carbon_per_million_tokens(bad)
