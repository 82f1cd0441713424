"""How likely one answer beats another: what is shared cancels, what is not does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.studies.odds import apart, doubt


def served(system, **words):
    return rl.estimate("llama-3.1-70b", system, dtype="fp8", **({"concurrency": 64} | words))


OLD, NEW = served("dgx-h100"), served("dgx-b200")


@given(st.data())
def test_causes_add_up_to_the_interval(data):
    question, system, layout, profile = data.draw(made.plans())
    est = rl.estimate(question, system, layout, level=profile)
    name = "ttft" if isinstance(question, rl.Prefill) else "tpot"
    low, high = est.interval(name)
    assert 2 * doubt(est, name).whole == pytest.approx(np.log(high / low), rel=1e-6, abs=1e-9)


def test_odds_are_odds():
    assert rl.probability(NEW, OLD) == pytest.approx(1 - rl.probability(OLD, NEW))
    assert rl.probability(OLD, OLD) == 0.5
    assert 0.9 < rl.probability(NEW, OLD) < 1
    assert rl.probability(NEW, OLD, "tpot") > 0.5 > rl.probability(NEW, OLD, "rent")


def test_as_many_draws_of_the_errors_agree():
    """A simulation of the errors, cause by cause, finds the same odds."""
    four, eight = (served("dgx-h100", tp=tp) for tp in (4, 8))
    mine, theirs = doubt(four, "tpot"), doubt(eight, "tpot")
    rng, n = np.random.default_rng(0), 200_000
    z = 1.2815515655446004
    keys = sorted({*mine.classes, *theirs.classes})
    same = rng.standard_normal((len(keys), n))
    part = np.sqrt(catalog.evidence().alike["tpot", frozenset({"chip", "software", "model"})])
    common, assumed = rng.standard_normal((2, n))

    def time(est, causes):
        error = sum(causes.classes.get(key, 0.0) * same[i] for i, key in enumerate(keys)) + causes.assumed * assumed
        error = error + causes.rest * (part * common + np.sqrt(1 - part**2) * rng.standard_normal(n))
        return float(est.tpot) * np.exp(error / z)

    won = np.mean(time(four, mine) < time(eight, theirs))
    assert rl.probability(four, eight, "tpot") == pytest.approx(won, abs=0.005)


def test_constants_of_one_profile_are_wrong_in_both():
    four, eight = (served("dgx-h100", tp=tp) for tp in (4, 8))
    alone = np.hypot(doubt(four, "tpot").whole, doubt(eight, "tpot").whole)
    # Of errors with a correlation r the square root of 1 - r is left: r is measured, and about a third here.
    assert apart(four, eight, "tpot") < 0.9 * alone
    assert apart(four, eight, "tpot") < apart(OLD, NEW, "tpot")


def test_training_has_odds_too():
    many = rl.train("llama-3.1-8b", "dgx-b200", global_batch=64)
    few = rl.train("llama-3.1-8b", "dgx-h100", global_batch=64)
    assert 0.9 < rl.probability(many, few) < 1
    assert rl.probability(many, few, "step_time") == pytest.approx(rl.probability(many, few))


def test_where_two_rents_buy_as_much():
    found = rl.break_even(NEW, OLD)
    assert found.low < found.price < found.high
    same = served("dgx-b200", price=found.price * 3600)
    assert same.dollars_per_million_tokens == pytest.approx(OLD.dollars_per_million_tokens)
    assert rl.probability(same, OLD, "dollars_per_million_tokens") == pytest.approx(0.5)
    cheap = served("dgx-b200", price=found.low * 3600)
    assert rl.probability(cheap, OLD, "dollars_per_million_tokens") == pytest.approx(0.9)
    assert "80 % within" in str(found)
    assert found.to_dict()["price_usd_per_hour"] == pytest.approx(found.price * 3600)


def test_plans_of_a_sweep_have_odds():
    found = rl.sweep("llama-3.1-70b", "dgx-h100", batch=[32, 64, 128], context=4096, top=4)
    odds = found.odds()
    assert odds[0] == 0.5
    assert (odds[1:] <= 0.5).all()


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: rl.probability(OLD, NEW, "speed"), "no such metric"),
        (lambda: rl.probability(OLD, NEW, "step_time"), "has no meaning"),
        (lambda: rl.probability(OLD, served("dgx-h100", level="ideal")), "no odds"),
        (lambda: rl.probability(OLD, served("dgx-h100", concurrency=np.array([1.0, 2]))), "one point each"),
        (
            lambda: rl.break_even(OLD, rl.estimate("llama-3.1-70b", "cloudmatrix384", concurrency=64)),
            "the cost per hour of",
        ),
    ],
)
def test_wrong_questions(ask, said):
    with pytest.raises(rl.QuestionError, match=said):
        ask()
