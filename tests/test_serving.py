"""A service under load: the closed forms against a simulation, and what must hold whatever the numbers."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.serving import serve
from simulate import closed_loop

RACK = rl.system("dgx-h100")
MODEL = rl.model("llama-3.1-8b")


def ask(requests, input, output, **layout):
    return rl.estimate(rl.Serve(MODEL, input, output, requests), RACK, rl.Layout(**layout), level="generic")


@pytest.mark.parametrize(
    ("requests", "input", "output"),
    [
        (1, 1024, 128),
        (4, 1024, 256),
        (16, 4096, 256),
        (32, 1024, 512),
        (64, 512, 512),
        (64, 4096, 512),
        (128, 4096, 128),
        (32, 16384, 512),
    ],
)
def test_closed_forms_against_the_simulation(requests, input, output):
    est = ask(requests, input, output)
    prompt, step = est.steps[0], est.steps[1]
    ttft, tpot, rate = closed_loop(requests, float(step.time), float(prompt.time), input, output)
    # The cycle holds whatever the scheduler; how it is shared out depends on how arrivals bunch.
    assert float(est.tokens_per_second) == pytest.approx(rate, rel=0.03)
    assert float(est.cycle) == pytest.approx(float(est.ttft + (output - 1) * est.tpot), rel=1e-9)
    assert float(est.tpot) == pytest.approx(tpot, rel=0.03)
    assert float(est.ttft) == pytest.approx(ttft, rel=0.10)


@given(made.shipped(), made.floats(1, 1e4), st.integers(1, 10**5), st.integers(1, 10**4))
def test_a_cycle_is_one_first_token_and_the_rest(pair, requests, input, output):
    model, system = pair
    profile = rl.profile("generic", system)
    est = serve(rl.Serve(model, input, output, requests), system, rl.Layout(), profile)
    assert float(est.cycle) == pytest.approx(float(est.ttft + (output - 1) * est.tpot), rel=1e-6) or output == 1
    one, prompt = float(est.steps[1].time), float(est.steps[0].time)
    assert float(est.tpot) >= one * (1 - 1e-9)
    assert float(est.ttft) >= prompt * (1 - 1e-9)
    assert float(est.ttft) <= prompt * np.ceil(requests) * (1 + 1e-9)


@given(made.shipped(), st.integers(1, 10**4), st.integers(2, 10**3))
def test_more_requests_never_make_fewer_tokens_nor_serve_one_faster(pair, input, output):
    model, system = pair
    profile = rl.profile("generic", system)
    est = serve(rl.Serve(model, input, output, 2.0 ** np.arange(12)), system, rl.Layout(), profile)
    assert (np.diff(est.tokens_per_second) >= -1e-9 * est.tokens_per_second[1:]).all()
    assert (np.diff(est.tpot) >= -1e-9 * est.tpot[1:]).all()


def test_one_request_alone():
    est = ask(1, 1000, 101)
    assert float(est.ttft) == pytest.approx(float(est.steps[0].time))
    assert float(est.tpot) == pytest.approx(float(est.steps[1].time))


def test_one_token_out_is_a_stream_of_prompts():
    est = ask(16, 1000, 1)
    assert float(est.cycle) == pytest.approx(16 * float(est.steps[0].time))
    assert float(est.ttft) == pytest.approx(float(est.cycle))
    assert float(est.tokens_per_second) == pytest.approx(1 / float(est.steps[0].time))


def test_drafts_that_are_kept_pay_off():
    model = rl.model("deepseek-v3")
    plain = rl.estimate(rl.Serve(model, concurrency=64), "gb200-nvl72", rl.Layout(dp=64, ep=64))
    drafted = rl.estimate(
        rl.Serve(model, concurrency=64, draft_tokens=1, accept_length=1.8), "gb200-nvl72", rl.Layout(dp=64, ep=64)
    )
    wasted = rl.estimate(
        rl.Serve(model, concurrency=64, draft_tokens=1, accept_length=1.0), "gb200-nvl72", rl.Layout(dp=64, ep=64)
    )
    assert drafted.tokens_per_second > plain.tokens_per_second > wasted.tokens_per_second


@pytest.mark.parametrize(
    ("words", "says"),
    [({"input": 0}, "input=0.0"), ({"output": 0.5}, "output=0.5"), ({"concurrency": 0}, "concurrency=0.0"), ({"concurrency": np.nan}, "nan"),
     ({"input": -np.inf}, "-inf"), ({"draft_tokens": 0.5}, "whole"), ({"accept_length": 1.5}, "cannot exceed draft_tokens"),
     ({"accept_length": 0.5}, "accept_length=0.5"), ({"input": "many"}, "must be a number"), ({"input": np.array([5.0, -1.0])}, "input=-1.0")],
)  # fmt: skip
def test_sizes_without_meaning(words, says):
    with pytest.raises(rl.QuestionError, match=says):
        rl.Serve(MODEL, **words)


def test_prefill_with_a_cached_prefix_reads_the_rest():
    whole = rl.estimate(rl.Prefill(MODEL, 1, 8192), RACK, rl.Layout())
    rest = rl.estimate(rl.Prefill(MODEL, 1, 8192, cached=7168), RACK, rl.Layout())
    assert 1 / 9 < float(rest.ttft / whole.ttft) < 1 / 4


def test_pipeline_stages_serve_micro_batches():
    flat = rl.estimate(rl.Decode(MODEL, 64, 1000), RACK, rl.Layout(pp=1, replicas=4))
    piped = rl.estimate(rl.Decode(MODEL, 64, 1000), RACK, rl.Layout(pp=4))
    # Each stage holds a quarter of the layers and serves micro-batches of 16 in turn: about the same rate, with the hops on top.
    assert float(piped.tokens_per_second) == pytest.approx(float(flat.tokens_per_second), rel=0.05)
    assert piped.memory.weights < flat.memory.weights


def test_attrs_of_a_question_are_floats():
    assert attrs.asdict(rl.Serve(MODEL, 10, 20, 30), recurse=False)["input"] == 10.0
