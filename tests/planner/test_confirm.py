"""Limits at percentiles: closed forms propose, a short simulation confirms."""

import json

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline.cli import app
from roofline.core.errors import QuestionError
from roofline.planner import confirm
from roofline.planner.confirm import Confirmation, confirmations, settled
from roofline.results.limits import Limit

SMALL = {"chips": 1, "input": 1024, "output": 64}


def test_plans_keep_limits_at_percentiles():
    found = rl.search("llama-3.1-8b", "dgx-h100", ttft="p99<400ms", tpot="p90<15ms", confirm=False, **SMALL)
    assert found.best.ttft_percentile(99) <= 0.4
    assert found.best.tpot_percentile(90) <= 0.015
    assert int(found.accepted.sum()) + sum(each.plans for each in found.rejected) == found.tried
    assert any("NOT CONFIRMED" in note for note in found.best.assumptions)
    # The mean of the best that only keeps the same limits on means is no less.
    means = found.with_limits(ttft="400ms", tpot="15ms")
    assert means.best.tokens_per_second_per_chip >= found.best.tokens_per_second_per_chip
    assert not means.percentiles


def test_a_tighter_percentile_never_keeps_more():
    found = rl.search("llama-3.1-8b", "dgx-h100", confirm=False, **SMALL)
    counts = [int(found.with_limits(ttft=f"p{p}<300ms").accepted.sum()) for p in (50, 90, 99)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] > 0


def test_the_best_plan_is_simulated():
    found = rl.search("llama-3.1-8b", "dgx-h100", rate=10.0, ttft="p99<2s", **SMALL)
    assert found.confirmations[-1].met
    told = found.to_dict()
    assert told["confirmed"] is True
    assert told["limits"]["ttft_p99_s"] == 2.0
    assert told["confirmations"][0]["requests"] == 3600
    assert told["confirmations"][0]["output_tokens_per_s_per_chip"] == pytest.approx(640, rel=0.1)
    assert "CONFIRMED by a simulation of 3,600 requests" in found.table()


def test_what_misses_in_a_simulation_is_passed_over(monkeypatch):
    est = rl.estimate("llama-3.1-8b", "dgx-h100", rl.Layout(), **{**SMALL, "chips": None}, rate=5.0)
    wanted = Limit("ttft", 2 * float(est.ttft_percentile(99)), 99.0)
    seen = []

    class Seen:
        chips = 2.0
        columns = {  # noqa: RUF012
            "arrival_s": np.arange(100.0), "ttft_s": np.full(100, 1.5 * wanted.most), "e2e_s": np.full(100, 0.5), "output_len": np.full(100, 64),
        }  # fmt: skip

    def counted(plan):
        seen.append(plan)
        return Seen

    monkeypatch.setattr(confirm, "shortly", counted)
    out = confirmations(range(5), lambda _: est, [wanted], 4)
    # Three times its closed form: any plan with the same closed form would miss by as much, so that one is enough.
    assert len(seen) == len(out) == 1
    assert not out[0].met
    # The last ends after the last arrival: 89 requests of 64 tokens in 89 s, on two chips.
    assert out[0].tokens_per_second_per_chip == 32.0
    assert "misses" in str(out[0])


def test_a_search_says_that_none_was_confirmed():
    found = rl.search("llama-3.1-8b", "dgx-h100", rate=10.0, ttft="p99<2s", confirm=False, **SMALL)
    bad = Confirmation(0, 100, 1.0, {"ttft_p99": 3.0}, found.every_limit)
    told = attrs.evolve(found, confirmations=(bad,))
    assert told.to_dict()["confirmed"] is False
    assert "NOT CONFIRMED: the configuration that was simulated missed the limits" in told.table()


def test_two_pools_have_no_percentiles():
    with pytest.raises(QuestionError, match="has no closed form of two pools"):
        rl.search("llama-3.1-8b", "dgx-h100", chips=2, ttft="p99<2s", disaggregated=True)


def test_an_empty_simulation_keeps_nothing():
    class Empty:
        columns = {"arrival_s": np.empty(0), "ttft_s": np.empty(0)}  # noqa: RUF012

    times, count = settled(Empty, [Limit("ttft", 1.0, 99.0)], warm=0.1)
    assert (times, count) == ({"ttft_p99": np.inf}, 0)


@pytest.mark.parametrize("layout", [None, rl.Layout()])
def test_the_fewest_chips_for_a_load(layout):
    trace = rl.Trace.poisson(60.0, 1500, input=1024, output=64)
    found = rl.simulate("llama-3.1-8b", "dgx-h100", trace, layout, ttft="p99<300ms", fewest_chips=True)
    assert found.meets
    assert "the fewest chips" in found.remarks[0]
    fewer = rl.simulate("llama-3.1-8b", "dgx-h100", trace, rl.Layout(replicas=found.chips - 1), ttft="p99<300ms")
    if layout is not None:
        assert not fewer.meets


def test_a_limit_that_no_number_of_chips_keeps_is_an_answer():
    trace = rl.Trace.poisson(20.0, 200, input=1024, output=16)
    found = rl.simulate("llama-3.1-8b", "dgx-h100", trace, rl.Layout(), ttft="p50<1us", fewest_chips=True)
    assert not found.meets
    assert "NO NUMBER OF CHIPS" in found.remarks[0]
    assert "some would stand idle" in found.remarks[0]
    assert found.chips < 200


def test_the_fewest_chips_are_not_given():
    trace = rl.Trace.poisson(60.0, 100, input=1024, output=64)
    with pytest.raises(QuestionError, match="is not to be given with fewest_chips"):
        rl.simulate("llama-3.1-8b", "dgx-h100", trace, chips=2, fewest_chips=True)


def run(capsys, line):
    """Return status and standard output of a command."""
    try:
        app.main(line)
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    return status, capsys.readouterr().out


SERVED = ["llama-3.1-8b", "-s", "dgx-h100", "--rate", "20", "--input", "1024", "--output", "16"]


def test_limits_on_the_command_line(capsys):
    status, said = run(capsys, ["estimate", *SERVED, "--chips", "1", "--ttft", "p99<1us", "--require-fit"])
    assert status == 1
    assert " misses 1 us" in said
    status, said = run(
        capsys, ["simulate", *SERVED, "--requests", "300", "--ttft", "p99<1s", "--fewest-chips", "--json"]
    )
    told = json.loads(said)
    assert (status, told["chips"], told["meets_slo"]) == (0, 1, True)
    status, said = run(capsys, ["search", "serve", *SERVED, "--chips", "1", "--ttft", "p99<1s", "--no-confirm"])
    assert status == 0
    assert "NOT CONFIRMED" in said
