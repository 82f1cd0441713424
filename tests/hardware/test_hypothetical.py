"""Hardware that does not exist: the same with other numbers, which say so, and what the checker thinks of them."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.catalog.findings import findings
from roofline.hardware import numbers as knobs

RACK = rl.system("gb200-nvl72")


@given(made.systems(), st.data(), made.floats(0.1, 10))
def test_a_number_that_is_set_is_what_was_set_and_nothing_else_changes(system, data, factor):
    name = data.draw(st.sampled_from([n for n in knobs.names_of(system) if not n.endswith(".size")]))
    before = knobs.number_of(system, name)
    changed = knobs.with_number(system, name, before * factor)
    assert knobs.number_of(changed, name) == pytest.approx(before * factor, rel=1e-12)
    back = knobs.with_number(changed, name, before)
    for other in knobs.names_of(system):
        assert knobs.number_of(back, other) == pytest.approx(knobs.number_of(system, other), rel=1e-12), other


@given(st.sampled_from(made.SYSTEMS))
def test_every_name_of_every_system_can_be_read_and_set(name):
    system = rl.system(name)
    for each in knobs.names_of(system):
        if not each.endswith(".size"):
            value = knobs.number_of(system, each)
            assert knobs.number_of(knobs.with_number(system, each, value), each) == pytest.approx(value)


def test_nothing_scaled_is_the_same_system():
    assert RACK.scaled() == attrs.evolve(RACK) or RACK.scaled().name == RACK.name
    question = rl.Decode("deepseek-v3", 2048, 4096)
    layout = rl.Layout(dp=64, ep=64)
    assert rl.estimate(question, RACK.scaled(), layout).tpot == rl.estimate(question, RACK, layout).tpot


def test_more_chips_are_joined_by_the_tier_that_joined_all_and_draw_as_much_more():
    more = RACK.scaled(chips=2)
    assert (more.chips, more.reach) == (144, max(144, RACK.reach))
    assert [tier.size for tier in more.tiers if tier.size == 144]
    assert more.power_per_chip == RACK.power_per_chip
    half = rl.system("cloudmatrix384").scaled("half", chips=0.5)
    assert (half.name, half.chips, half.ranks) == ("half", 192, 384)
    assert [tier.size for tier in half.tiers][:3] == [2, 16, 384]


def test_a_number_that_was_set_is_cited_as_such():
    rack = RACK.scaled(bandwidth=1.5)
    est = rl.estimate(rl.Decode("deepseek-v3", 2048, 4096), rack, rl.Layout(dp=64, ep=64))
    told = {fact.path: fact for fact in est.citations() if fact.source.kind == "given"}
    assert set(told) == {"chip.memory.bandwidth"}
    assert "the descriptor says 8 TB/s" in told["chip.memory.bandwidth"].source.title


def test_a_caller_knows_that_his_numbers_are_unlike_the_librarys_but_not_what_is_implausible():
    assert findings(rl.system("cloudmatrix384").scaled(bandwidth=2)) == ()
    strange = findings(RACK.scaled(bandwidth=8))
    assert any("in 3 ms; known chips take" in str(each) for each in strange)
    assert any("ridge point" in str(each) for each in findings(RACK.scaled(compute=6)))
    faster = findings(rl.system("dgx-h100").evolve(**{"system.tier[1].bandwidth": "2 TB/s"}))
    assert any("more than" in str(each) for each in faster)


def test_a_chip_evolves_and_keeps_its_constants():
    chip = RACK.package.evolve(bandwidth="12 TB/s", memory="288 GB", fp4="20 PFLOP/s")
    assert (chip.memory.bandwidth, chip.memory.capacity, chip.peak["fp4"]) == (12e12, 288e9, 20e15)
    assert chip.peak["bf16"] == RACK.package.peak["bf16"]
    rack = RACK.evolve("next", package=chip, chips=36, price=5.0)
    assert (rack.name, rack.chips, rack.price_per_chip) == ("next", 36, pytest.approx(5 / 3600))
    assert rl.profile("calibrated", rack).level == "calibrated"
    assert rl.profile("calibrated", RACK.evolve(package=chip.evolve("new"))).level == "generic"


def test_numbers_may_be_arrays():
    rack = RACK.scaled(bandwidth=np.array([1.0, 2.0]))
    est = rl.estimate(rl.Decode("deepseek-v3", 2048, 4096), rack, rl.Layout(dp=64, ep=64))
    assert est.shape == (2,)
    assert est.tpot[1] < est.tpot[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: RACK.scaled(bandwith=2.0), "did you mean bandwidth"),
        (lambda: RACK.scaled(bandwidth=0.0), "above 0"),
        (lambda: RACK.scaled(chips=0.7), "whole number"),
        (lambda: RACK.package.evolve(bf8=1.0), "no such number"),
        (lambda: RACK.evolve(bandwidth="8 TB"), "expected a bandwidth"),
        (lambda: RACK.evolve(**{"system.tier[9].bandwidth": 1.0}), "no such number"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(rl.RooflineError, match=said):
        change()
