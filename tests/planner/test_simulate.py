"""The verb: a trace through a real model on a real machine."""

import json

import numpy as np
import pytest

import roofline as rl
from roofline.cli import app
from roofline.inference.requests import Request
from roofline.results.answer import Answer

SMALL = rl.Trace.poisson(10.0, 300, input=1024, output=64, lengths_are="lognormal", seed=2)
FIELDS = {"requests", "completed", "duration_s", "output_tokens_per_s", "ttft_s", "tpot_s", "itl_s", "e2e_s", "goodput", "preemptions", "prefix_hit_rate"}  # fmt: skip


@pytest.fixture(scope="module")
def sim():
    return rl.simulate(
        "llama-3.1-8b", "dgx-h100", SMALL, chips=1, engine="vllm", ttft="100ms", tpot="20ms", price="2 USD/h"
    )


def test_fields_of_the_answer(sim):
    told = sim.to_dict()
    assert set(told) >= FIELDS
    json.dumps(told, allow_nan=False)
    for name in ("ttft_s", "tpot_s", "itl_s", "e2e_s"):
        assert set(told[name]) == {"mean", "p50", "p90", "p95", "p99"}
        assert told[name]["p50"] <= told[name]["p90"] <= told[name]["p95"] <= told[name]["p99"]
    assert (told["requests"], told["completed"]) == (300, 300)
    assert 0 < told["goodput"] <= told["requests_per_s"]
    assert told["usd_per_million_output_tokens"] == pytest.approx(2 / 3600 / told["output_tokens_per_s"] * 1e6)
    low, high = told["interval"]["ttft_s"]
    assert low < told["ttft_s"]["mean"] < high


def test_forms_of_the_answer(sim):
    assert "TTFT" in str(sim)
    assert sim.frame.rows == 300
    events = json.loads(sim.perfetto())["traceEvents"]
    assert sum(event["ph"] == "b" for event in events) == 600
    ax = sim.plot()
    assert "requests wait" in rl.plots.paper.alt(ax)
    assert sim._repr_html_().startswith("<div")


def test_a_simulation_is_an_answer(sim):
    assert isinstance(sim, Answer)
    assert (sim.shape, sim.at(), sim.best()) == ((), sim, sim)
    assert sim.bound == sim.estimate.bound
    assert sim.inputs["requests"] == 300
    assert sim.labels["trace"] == sim.trace
    assert sim.to_dataframe().shape[0] == 300
    assert len(sim.citations()) > 10


def test_the_mean_is_near_the_closed_form(sim):
    """A light load: what the closed form says of the mean request, to 15 %."""
    est = rl.estimate(
        rl.Serve(rl.model("llama-3.1-8b"), 1024, 64, rate=10.0, variation=0.5), "dgx-h100", sim.layout, engine="vllm"
    )
    assert sim.tpot.mean == pytest.approx(float(est.tpot), rel=0.15)
    assert sim.ttft.mean == pytest.approx(float(est.ttft), rel=0.15)


def test_tables_are_near_the_prices(sim):
    mean, most = sim.table_error
    assert mean < 0.01
    assert most < 0.08


def test_a_rate_beyond_what_is_served_is_said():
    told = rl.simulate("llama-3.1-8b", "dgx-h100", SMALL, chips=1, rate=200.0)
    assert told.saturated
    assert "SATURATED" in str(told)


def test_a_model_that_does_not_fit_is_an_answer():
    told = rl.simulate("llama-3.1-405b", "dgx-h100", SMALL, rl.Layout())
    assert not told.fits
    assert told.to_dict()["ttft_s"]["mean"] is None
    assert "does not fit" in str(told)


def test_pools():
    told = rl.simulate("llama-3.1-8b", "dgx-h100", SMALL, rl.Layout(), prefill_layout=rl.Layout())
    assert (told.completed, told.chips) == (300, 2)
    one = rl.simulate("llama-3.1-8b", "dgx-h100", SMALL, rl.Layout())
    # Nobody decodes while prompts pass.
    assert told.itl.percentile(99) < one.itl.percentile(99)


def test_classes():
    def source():
        for i in range(40):
            yield Request(0.05 * i, 4000, 20, priority=i % 2)

    told = rl.simulate("llama-3.1-8b", "dgx-h100", rl.Trace("two classes", source, 40), rl.Layout(), order="priority")
    by = told.to_dict()["classes"]
    assert by["0"]["ttft_s"]["p90"] < by["1"]["ttft_s"]["p90"]
    with pytest.raises(rl.QuestionError, match="no request has it"):
        told.of_class(7)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"router": "nearest"}, "router"), ({"rate": 1.0, "concurrency": 2}, "not to be given with rate"), ({"ttft": "1"}, "has no unit"),
        ({"max_num_seqs": 0}, "max_num_seqs"), ({"prefill_tp": 2}, "give prefill_chips too"), ({"requests": 0}, "requests"),
    ],
)  # fmt: skip
def test_words_that_have_no_meaning(words, told):
    with pytest.raises(rl.QuestionError, match=told):
        rl.simulate("llama-3.1-8b", "dgx-h100", SMALL, rl.Layout(), **words)


def test_the_command(capsys, tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(SMALL.csv(50), encoding="utf-8")
    app.main(
        [
            "simulate",
            "llama-3.1-8b",
            "--system",
            "dgx-h100",
            "--chips",
            "1",
            "--trace",
            str(path),
            "--json",
            "-o",
            str(tmp_path / "x.csv"),
        ]
    )
    told = json.loads(capsys.readouterr().out)
    assert told["completed"] == 50
    assert np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1).shape == (50, 10)
    for words, line in (
        ([], "--trace"),
        (["--rate", "1", "--concurrency", "2"], "--trace"),
        (["--trace", str(path), "--input", "4"], "--input"),
    ):
        with pytest.raises(SystemExit) as end:
            app.main(["simulate", "llama-3.1-8b", "--system", "dgx-h100", *words])
        assert end.value.code == 2
        assert line in capsys.readouterr().err
