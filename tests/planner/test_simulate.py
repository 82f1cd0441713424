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
        (["--rate", "1", "--concurrency", "2"], "exactly one of concurrency and rate"),
        (["--trace", str(path), "--input", "4"], "is not to be given with a trace"),
        (["--hash-block", "16"], "--hash-block"),
    ):
        with pytest.raises(SystemExit) as end:
            app.main(["simulate", "llama-3.1-8b", "--system", "dgx-h100", *words])
        assert end.value.code == 2
        assert line in capsys.readouterr().err


def test_the_words_of_an_estimate():
    """What estimate takes, simulate takes: lengths and load under either name, or as a service."""
    where = {"chips": 1, "requests": 60}
    told = [
        rl.simulate("llama-3.1-8b", "dgx-h100", isl=1024, osl=32, rate=5, **where),
        rl.simulate("llama-3.1-8b", "dgx-h100", input=1024, output=32, rate=5, **where),
        rl.simulate(rl.Serve(rl.model("llama-3.1-8b"), isl=1024, osl=32, rate=5), "dgx-h100", **where),
    ]
    assert len({each.ttft.mean for each in told}) == 1
    assert told[0].trace == "drawn, 1,024 tokens in, 32 out, 5 requests/s: 60 requests"
    loop = rl.simulate("llama-3.1-8b", "dgx-h100", input=128, output=8, chips=1)
    assert loop.requests == 640  # 64 in flight, as in estimate, ten requests each


def test_a_cached_prefix_is_drawn_to_the_token():
    told = rl.simulate(
        "llama-3.1-8b", "dgx-h100", input=2000, output=8, cached=1000, variation=0, concurrency=1, requests=50, chips=1
    )
    assert told.prefix_hit_rate == pytest.approx(49 / 50 / 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"isl": 8, "input": 9}, "isl=8: is input"), ({"trace": SMALL, "isl": 8}, "isl=8: is not to be given with a trace"),
        ({"num_prompts": 5}, "num_prompts: here it is requests="), ({"burstiness": 0.5}, "burstiness=0.5: is of requests that come at a rate"),
        ({"rate": [1.0, 2.0]}, "rate.*must be one number"), ({"input": [1.0, 2.0]}, "must be one number"), ({"cached": 5000, "input": 100}, "cached"),
        ({"lengths": "normal"}, "no such distribution"), ({"requests_per_slot": 2, "rate": 1.0}, "requests_per_slot"),
    ],
)  # fmt: skip
def test_drawn_requests_that_have_no_meaning(words, told):
    with pytest.raises(rl.QuestionError, match=told):
        rl.simulate("llama-3.1-8b", "dgx-h100", **words)


def test_a_service_has_no_trace():
    with pytest.raises(rl.QuestionError, match="not to be given with a Serve"):
        rl.simulate(rl.Serve(rl.model("llama-3.1-8b")), "dgx-h100", SMALL)


# Host memory as a tier of the prefix cache ------------------------------------------------------------------------------

TALK = rl.Trace.sessions(1.0, 60, turns=5, think=60, input=1024, seed=1)


def test_host_memory_is_a_tier_of_the_prefix_cache():
    one, far = (
        rl.simulate("llama-3.1-70b", "dgx-h100", TALK, rl.Layout(tp=4), memory_fraction=0.6, **words)
        for words in ({}, {"host_cache": "20 GB"})
    )
    assert one.host_hit_rate == 0 < far.host_hit_rate
    assert far.prefix_hit_rate > one.prefix_hit_rate
    # 20 GB of each rank over 2 x 8 / 4 heads x 128 x 2 bytes x 80 layers, copied at 64 GB/s x 54 / 64.
    told = next(each for each in far.remarks if "host memory" in each)
    assert "20 GB per chip, 244,141 tokens of each attention rank, copied at 54 GB/s per chip" in told
    fields = far.to_dict()
    assert fields["host_hit_rate"] == pytest.approx(far.fetched_tokens / far.asked_tokens)
    assert "copied from host memory" in str(far)


def test_host_memory_as_text():
    own = {
        size: rl.simulate("llama-3.1-8b", "dgx-h100", TALK.first(5), rl.Layout(), host_cache=size).remarks[0]
        for size in ("auto", "200 GB", 200e9)
    }
    assert len(set(own.values())) == 1  # 2 TB of eight chips, 80 % of it
    assert (
        "caches prefixes"
        in rl.simulate("llama-3.1-8b", "dgx-h100", TALK.first(5), rl.Layout(), host_cache="2x").remarks[0]
    )


@pytest.mark.parametrize(
    ("system", "words", "told"),
    [
        ("dgx-h100", {"host_bandwidth": "64 GB/s"}, "host_bandwidth.*give host_cache too"), ("dgx-h100", {"host_cache": "much"}, "host_cache"),
        ("gb200-nvl72", {"host_cache": "auto"}, "host memory of gb200-nvl72 is not known"), ("dgx-h100", {"host_cache": -1.0}, "host_cache"),
        ("dgx-h100", {"host_cache": "1 GB", "host_bandwidth": 0.0}, "host_bandwidth"), ("dgx-h100", {"host_load": "soon"}, "host_load"),
        ("dgx-h100", {"host_cache": "9.9.9x"}, "host_cache"),
    ],
)  # fmt: skip
def test_host_memory_that_has_no_meaning(system, words, told):
    with pytest.raises(rl.RooflineError, match=told):
        rl.simulate("llama-3.1-8b", system, SMALL, rl.Layout(), **words)


# Replicas that follow the load -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scaled():
    """An hour in which the rate swings from 3 to 57 requests a second; one chip serves some twenty."""
    hour = rl.Trace.daily(30.0, swing=0.9, hours=24, peak=12.0, input=1024, output=64, seed=1)

    def source():
        for each in hour.first(60_000):
            each.arrival /= 24
            yield each

    trace = rl.Trace("an hour", source, 60_000).scaled(rate=30.0)
    rule = rl.Autoscale(1, 6, start=20.0, target=12.0)
    return rl.simulate("llama-3.1-8b", "dgx-h100", trace, rl.Layout(), autoscale=rule, ttft="p99<1s", price="2 USD/h")


def test_replicas_follow_the_load(scaled):
    fleet = scaled.fleet
    assert scaled.completed == 60_000
    assert fleet.counts["serving"].max() > fleet.counts["serving"][0] == 1
    assert fleet.chip_seconds <= 6 * scaled.end
    assert scaled.paid_chips == pytest.approx(fleet.chip_seconds / scaled.end)
    told = scaled.to_dict()
    json.dumps(told, allow_nan=False)
    assert told["autoscale"]["chip_hours"] == pytest.approx(fleet.chip_seconds / 3600)
    assert told["usd_per_million_output_tokens"] == pytest.approx(
        2 / 3600 * scaled.paid_chips / told["output_tokens_per_s"] * 1e6
    )
    assert told["autoscale"]["fixed"]["replicas"] <= 6
    assert "chip-hours" in str(scaled)


def test_the_picture_of_a_fleet(scaled):
    assert "Autoscaling" in rl.plots.paper.alt(scaled.plot())
    assert "requests wait" in rl.plots.paper.alt(scaled.plot(kind="traffic"))
    with pytest.raises(rl.QuestionError, match="known: fleet, traffic"):
        scaled.plot(kind="roofline")


def test_what_a_rule_leaves_open_is_stated():
    told = rl.simulate("llama-3.1-8b", "dgx-h100", SMALL, rl.Layout(), autoscale="1:2", tpot="20ms")
    assert told.fleet.start == pytest.approx(60 + 16.06, rel=0.01)  # 8.03 billion weights of two bytes at 1 GB/s
    assert any("requests in flight of each replica" in each for each in told.remarks)


@pytest.mark.parametrize(
    "words",
    [
        {"autoscale": "8:2"}, {"autoscale": "1:2", "fewest_chips": True}, {"autoscale": "1:2", "prefill_chips": 1}, {"autoscale": "two"},
        {"autoscale": rl.Autoscale(1, 2, target=-1.0)},
    ],
)  # fmt: skip
def test_autoscaling_that_has_no_meaning(words):
    with pytest.raises(rl.QuestionError):
        rl.simulate("llama-3.1-8b", "dgx-h100", SMALL, rl.Layout(), **words)


def test_autoscaling_on_the_command_line(capsys):
    line = "simulate llama-3.1-8b -s dgx-h100 --tp 1 --rate 5 --isl 512 --osl 32 --requests 400"
    app.main([*line.split(), "--autoscale", "1:3", "--scale-start", "30s", "--scale-target", "4"])
    assert "autoscaled 1 to 3 replicas" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        app.main([*line.split(), "--scale-target", "4"])
    assert "give --autoscale" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("load", "input", "output"),
    [({"concurrency": 32}, 1024, 256), ({"concurrency": 24}, 4096, 256), ({"rate": 6.0}, 2048, 128)],
)
def test_closed_forms_of_prompts_in_steps_of_their_own_are_those_of_the_simulator(load, input, output):
    asked = rl.Serve(rl.model("llama-3.1-8b"), input, output, variation=0.3, **load)
    form = rl.estimate(asked, "dgx-h100", rl.Layout(), engine="sglang")
    words = {"input": input, "output": output, "lengths_are": "lognormal", "variation": 0.3}
    count = 2500
    trace = (
        rl.Trace.poisson(load["rate"], count, **words)
        if "rate" in load
        else rl.Trace.closed(32 if input < 4096 else 24, count, **words)
    )
    sim = rl.simulate("llama-3.1-8b", "dgx-h100", trace, rl.Layout(), engine="sglang", reserve=0.0)
    ttft, e2e, tokens = (sim.columns[name][count // 5 :] for name in ("ttft_s", "e2e_s", "output_len"))
    assert float(form.ttft) == pytest.approx(ttft.mean(), rel=0.08)
    assert float(form.tpot) == pytest.approx((e2e - ttft).sum() / (tokens - 1).sum(), rel=0.04)
    assert float(form.ttft_percentile(90)) == pytest.approx(np.percentile(ttft, 90), rel=0.15)


def test_ranks_in_lock_step_decode_while_others_pass_prompts():
    trace = rl.Trace.closed(32, 320, input=1024, output=64)
    words = {"engine": "sglang", "reserve": 0.0}
    apart, together = (
        rl.simulate("deepseek-v3", "hgx-h200", trace, rl.Layout(dp=8, ep=8), mixed=mixed, **words)
        for mixed in (False, True)
    )
    assert (apart.columns["ttft_s"] == together.columns["ttft_s"]).all()
