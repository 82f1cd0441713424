"""Distances of questions from what was measured, and spreads of residuals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.hardware.engines import KINDS
from roofline.hardware.evidence import (
    CONDITION_WORDS,
    CONDITIONS,
    DISTANCES,
    SHARES,
    Condition,
    Evidence,
    Near,
    Spread,
    Subject,
    nested,
)

ASKED = Subject("serving", "vllm", "h100", "NVIDIA", "llama", "llama-3.1-8b")
SPREAD = Spread(9, 90, (-0.4, -0.2, -0.1, 0.0, 0.2, 0.4, 0.8))


def other(**changes):
    fields = {name: getattr(ASKED, name) for name in ("kind", "software", "chip", "maker", "family", "model")}
    return Subject(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "distance"),
    [
        ({"model": "llama-3.1-70b"}, "family"),
        ({"family": "qwen3"}, "stack"),
        ({"software": "sglang"}, "chip"),
        ({"chip": "h200"}, "maker"),
        ({"chip": "mi300x", "maker": "AMD"}, "other"),
    ],
)
def test_a_distance_is_what_both_have_in_common(changes, distance):
    assert ASKED.distance(other(**changes)) == distance


def test_software_that_is_not_named_is_like_no_other():
    assert other(software="generic").distance(other(software="generic")) == "chip"


def test_the_nearest_runs_come_first_and_then_the_most():
    far, near, more = other(chip="h200"), other(family="qwen3"), other(family="gpt2")
    found = Evidence({far: 900, near: 3, more: 7}, {}).nearest(ASKED)
    assert (found.distance, found.subject, found.runs) == ("stack", more, 7)
    assert Evidence({near: 3}, {}).nearest(ASKED, "maker").distance == "maker"
    assert Evidence({}, {}).nearest(ASKED) == Near("other", None, 0)


def test_stored_quantiles_are_returned_and_beyond_them_the_slope_goes_on():
    assert [SPREAD.at(share) for share in SHARES] == pytest.approx(SPREAD.logs)
    assert SPREAD.at(0.99) > 0.8
    assert SPREAD.ends() == pytest.approx((-0.2, 0.4))
    with pytest.raises(rl.QuestionError, match="above 0 and below 1"):
        SPREAD.ends(1.0)


@given(st.floats(0.01, 0.98), st.floats(0.001, 0.01))
def test_a_wider_coverage_is_a_wider_interval(coverage, more):
    (low, high), (below, above) = SPREAD.ends(coverage), SPREAD.ends(coverage + more)
    assert below <= low <= high <= above


def test_shipped_spreads_are_in_order_and_hold_the_prediction():
    found = catalog.evidence()
    for (quantity, distance, of), spread in found.spreads.items():
        assert distance in DISTANCES
        known = {"room": catalog.names("engine"), "peak": catalog.names("framework")}
        assert of in ("", *known.get(quantity, ()))
        assert list(spread.logs) == sorted(spread.logs)
        assert spread.ends(0.95)[0] < 0 < spread.ends(0.95)[1], (quantity, distance)
    runs, others = {"tpot", "ttft", "rate", "step_time"}, {"front", "collective_long", "collective_short", "exchange"}
    held = {"room", "cache", "cache_mixed", "weights", "peak", "joules"}
    assert {quantity for quantity, _, _ in found.spreads} == runs | others | held


@given(st.floats(0.001, 0.999))
def test_a_quantile_and_the_share_below_it_are_inverse(share):
    assert SPREAD.below(SPREAD.at(share)) == pytest.approx(share, abs=3e-4)


def test_an_engine_is_known_by_a_spread_of_its_own():
    found = Evidence({}, {("room", "family", "made"): SPREAD})
    assert [found.knows("room", "family", name) for name in ("made", "other")] == [True, False]


def test_a_distance_without_runs_takes_the_next_further():
    found = Evidence({}, {("tpot", "maker", ""): SPREAD})
    assert found.spread("tpot", "family") is found.spread("tpot", "other") is SPREAD


def test_an_answer_names_its_evidence_and_a_bound_has_none():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm")
    assert est.to_dict()["evidence"]["distance"] == "family"
    assert any(note.startswith("nearest evidence: llama-3.1") for note in est.assumptions)
    ideal = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, level="ideal")
    assert ideal.to_dict()["evidence"] is None
    assert not any("nearest evidence" in note for note in ideal.assumptions)


@pytest.mark.parametrize(
    "quantity",
    [
        "tpot",
        "ttft",
        "tpot_p99",
        "ttft_p50",
        "tokens_per_second",
        "dollars_per_million_tokens",
        "joules_per_token",
        "memory",
    ],
)
def test_every_quantity_has_intervals_that_grow_with_their_coverage(quantity):
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm")
    low, high = est.interval(quantity)
    below, above = est.interval(quantity, 0.95)
    assert np.all(below < low < high < above)
    with pytest.raises(rl.QuestionError, match="coverage"):
        est.interval(quantity, 80)


def test_a_spread_of_an_engine_is_taken_where_there_is_one():
    narrow, wide = (Spread(9, 90, tuple(each * z for z in (-2, -1.3, -0.7, 0, 0.7, 1.3, 2))) for each in (0.1, 0.2))
    found = Evidence({}, {("room", "family", "made"): narrow, ("room", "family", ""): wide, ("room", "chip", ""): wide})
    assert found.spread("room", "family", "made") is narrow
    assert found.spread("room", "family", "other") is wide
    assert found.spread("room", "chip", "made") is wide


def test_conditions_multiply_their_widths():
    found = Evidence(
        {},
        {("tpot", "family", ""): Spread(9, 90, (-0.4, -0.2, -0.1, 0.1, 0.3, 0.5, 0.7))},
        conditions={("tpot", "default"): Condition(5, 1.5), ("tpot", "experts"): Condition(7, 2.0)},
    )
    logs = found.spread("tpot", "stack", under=("default", "experts", "untimed")).logs
    assert logs == pytest.approx((-1.4, -0.8, -0.5, 0.1, 0.7, 1.3, 1.9))
    assert found.spread("tpot", "stack").ends(0.8) == pytest.approx((-0.2, 0.5))


def test_what_is_known_better_is_never_less_sure():
    found = catalog.evidence().conditions
    assert set(CONDITION_WORDS) == {name for each in CONDITIONS for name in each}
    assert {*KINDS, "unstated"} == set(CONDITIONS[0])
    for quantity in ("tpot", "ttft", "rate", "step_time"):
        for kind in CONDITIONS:
            widths = [found[quantity, name].width for name in kind if (quantity, name) in found]
            assert widths == sorted(widths), (quantity, kind)
            assert all(0.5 < each < 2.5 for each in widths)


def test_a_default_launch_is_no_surer_than_a_tuned_one():
    def width(launch):
        est = rl.estimate("mixtral-8x7b", "dgx-h100", tp=4, concurrency=16, engine=f"vllm+{launch}")
        low, high = est.interval("tpot")
        return high / low

    assert width("tuned") < width("default")


def test_less_evidence_never_makes_an_answer_surer():
    known = catalog.evidence()
    for quantity, distance, of in known.spreads:
        here = known.spreads[quantity, distance, of]
        for nearer in DISTANCES[: DISTANCES.index(distance)]:
            near = known.spreads.get((quantity, nearer, of))
            if near is not None:
                assert here.ends(0.8)[0] <= near.ends(0.8)[0] + 1e-12
                assert here.ends(0.8)[1] >= near.ends(0.8)[1] - 1e-12


def test_the_median_of_a_distance_stays_its_own():
    near = Spread(9, 90, (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4))
    far = Spread(3, 9, (-0.3, -0.1, -0.05, 0.05, 0.15, 0.3, 0.35))
    found = nested({("tpot", "stack", ""): near, ("tpot", "other", ""): far, ("tpot", "other", "made"): far})
    assert found["tpot", "other", ""].logs == (-0.4, -0.2, -0.1, 0.05, 0.15, 0.3, 0.4)
    assert found["tpot", "stack", ""] == near
    assert found["tpot", "other", "made"] == far  # engines are compared with their like
