"""The search over two pools: limits are kept, nothing better is left out, counts add up, and its plans are those of `pools`."""

import itertools
import json

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roofline as rl
from roofline.cli import app
from roofline.planner.frontier import order

WORDS = {"dtype": "fp8", "input": 2000, "output": 400}


@pytest.fixture(scope="module")
def found():
    return rl.search("llama-3.1-70b", "dgx-h100", disaggregated=True, ttft="2s", tpot="30ms", **WORDS)


# Round numbers of seconds are asked about: they may have been meant as milliseconds.
times = st.none() | st.floats(-2.5, 1.0).map(lambda x: 10**x).filter(lambda t: not float(2 * t).is_integer())


@settings(max_examples=12)
@given(ttft=times, tpot=times)
def test_limits_are_kept_and_counts_add_up(found, ttft, tpot):
    held = found.with_limits(ttft=ttft, tpot=tpot).disaggregated
    assert int(held.accepted.sum()) + sum(each.plans for each in held.rejected) == held.tried
    for est in (held.best, held.frontier):
        if est is None:
            continue
        assert np.all(est.fits)
        assert ttft is None or np.all(est.ttft <= ttft)
        assert tpot is None or np.all(est.tpot <= tpot)
    if held.frontier is not None:
        assert (np.diff(held.frontier.tokens_per_second_per_chip) < 0).all()
        assert (np.diff(held.frontier.tokens_per_second_per_user) > 0).all()


def test_a_pair_is_what_its_pools_are(found):
    """A pair is priced at a load, and its answer finds that load again: nearly, where hardly more than one request is in flight."""
    apart = found.disaggregated
    places = np.linspace(0, apart.accepted.size - 1, 40).astype(int)
    pairs = apart.pairs.all
    full = apart._full(pairs.select(places))
    # The wait for a lane is steep in the load: TTFT of a pair near saturation differs by more than its rate.
    for name, quantity, most in (
        ("ttft", full.ttft, 5e-2),
        ("tpot", full.tpot, 1e-2),
        ("rate", full.requests_per_second, 1e-2),
    ):
        off = np.abs(quantity / getattr(pairs, name)[places] - 1)
        assert np.quantile(off, 0.8) < 5e-3
        assert np.max(off, where=pairs.requests(places) > 1.5, initial=0.0) < most
        assert off.max() < 5e-2
    assert (full.chips == sum(pairs.chips)[places]).all()
    assert (pairs.ttft_of(places) == pairs.ttft[places]).all()


@settings(max_examples=15)
@given(tpot=times, ttft=times, whole=st.sampled_from((None, 8.0, 100.0)))
def test_the_best_pairs_come_in_the_order_of_all(found, tpot, ttft, whole):
    """Those that are numbered as far as is asked, and all of them put in order."""
    apart = attrs.evolve(found.with_limits(ttft=ttft, tpot=tpot).disaggregated, whole=whole)
    told = [(part.reader, part.answerer, part.reading, part.answering) for part in apart._leading()]
    every = apart.pairs.all.select(order(apart.accepted, apart._score, apart._axes[1]))
    for got, want in zip(
        zip(*told, strict=True), (every.reader, every.answerer, every.reading, every.answering), strict=False
    ):
        assert np.array_equal(np.concatenate(got), want)
    assert sum(len(part[0]) for part in told) == every.size


def test_no_split_that_was_not_tried_does_better():
    """Every layout of either pool, every ratio on four chips, a ladder of loads."""
    model, words = rl.model("llama-3.1-8b"), {"input": 2000, "output": 400}
    best = rl.search(model, "dgx-h100", chips=4, disaggregated=True, ttft="1s", tpot="20ms", **words).disaggregated.best
    loads = np.unique(np.floor(2.0 ** np.arange(0, 9.6, 0.125)))
    rates = []
    for one, other in itertools.product([(1, 1), (1, 2), (1, 3), (2, 1)], repeat=2):
        if one[0] * one[1] + other[0] * other[1] > 4:
            continue
        reads, decodes = (rl.Layout(tp=tp, replicas=n) for tp, n in (one, other))
        est = rl.pools(rl.Serve(model, concurrency=loads, **words), "dgx-h100", decodes, reads)
        rates.append(est.tokens_per_second_per_chip[est.fits & (est.ttft <= 1) & (est.tpot <= 0.02)].max(initial=0.0))
    assert best.tokens_per_second_per_chip > 0.97 * max(rates)


def test_it_stands_beside_the_best_of_one_pool(found):
    text, told = found.table(), found.to_dict()["disaggregated"]
    assert "disaggregated prefill and decode" in text
    assert told["over_one_pool"] == pytest.approx(
        float(found.disaggregated.best.tokens_per_second_per_chip / found.best.tokens_per_second_per_chip)
    )
    assert told["best"]["prefill_chips_per_decode_chip"] > 0
    assert told["plans"]["tried"] == found.disaggregated.tried
    assert json.loads(json.dumps(told, allow_nan=False))
    assert "disaggregated" not in rl.search("llama-3.1-8b", "dgx-h100", chips=1).to_dict()


@pytest.mark.parametrize(
    "objective", ["tokens_per_second_per_user", "joules_per_token", "dollars_per_million_tokens", "ttft", "tpot"]
)
def test_an_objective_is_that_of_pools_too(objective):
    apart = rl.search(
        "llama-3.1-8b", "dgx-h100", chips=2, disaggregated=True, objective=objective, **WORDS
    ).disaggregated
    full = apart._full(apart.pairs.all.select(apart.accepted))
    value = np.broadcast_to(getattr(full, objective), np.shape(full.ttft))
    most = value.max() if objective == "tokens_per_second_per_user" else value.min()
    assert float(getattr(apart.best, objective)) == pytest.approx(most, rel=0.01)


def test_that_none_fits_is_an_answer():
    found = rl.search("llama-3.1-405b", "dgx-h100", disaggregated=True)
    apart = found.disaggregated
    assert apart.best is None
    assert apart.frontier is None
    assert {each.kind for each in apart.rejected} == {"memory"}
    assert "NONE" in found.table()
    assert found.to_dict()["disaggregated"]["best"] is None
    assert "none is accepted" in repr(apart)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"concurrency": 8}, "concurrency: 8 two pools are tried under every load|concurrency"),
        ({"rate": 1.0}, "every load"),
        ({"output": 1}, "ask for more tokens"),
        ({"chips": 1}, "two chips at least"),
        ({"tp": 8}, "cannot be laid out on fewer than"),
    ],
)
def test_wrong_questions(words, match):
    with pytest.raises(rl.QuestionError, match=match):
        rl.search("llama-3.1-8b", "dgx-h100", disaggregated=True, **words)


def test_dies_are_paired_as_whole_chips():
    best = rl.search("llama-3.1-8b", "cloudmatrix384", chips=4, disaggregated=True).disaggregated.best
    assert best.prefill.chips % 1 == 0
    assert best.chips <= 4


def test_the_command(capsys):
    line = "search serve llama-3.1-8b --system dgx-h100 --chips 2 --ttft 2s --tpot 50ms --disaggregated"
    app.main(line.split())
    assert "prefill chips" in capsys.readouterr().out
    app.main([*line.split(), "--json"])
    assert json.loads(capsys.readouterr().out)["disaggregated"]["best"]["fits"]


def test_both_frontiers_are_drawn_together(found):
    ax = found.plot()
    assert [curve.label for curve in ax.roofline_curves][1] == "dgx-h100: disaggregated"
    assert len({curve.title for curve in ax.roofline_curves}) == 1
    assert ax.roofline_curves[1].plans[0].count("|") == 1
    assert rl.search("llama-3.1-405b", "dgx-h100", disaggregated=True).disaggregated.curve() is None
