"""A service under load: the closed forms against a simulation, and what must hold whatever the numbers."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.serving import cadence, first_token, serve
from simulate import closed_loop

RACK = rl.system("dgx-h100")
MODEL = rl.model("llama-3.1-8b")


def ask(requests, input, output, **layout):
    asked = rl.Serve(MODEL, input, output, requests)
    return rl.estimate(asked, RACK, rl.Layout(**layout), level="generic", engine="none")


DECODE, TOKEN = 0.02, 1e-4


@pytest.mark.parametrize(
    ("requests", "input", "output", "chunk", "ranks"),
    [
        (1, 1024, 128, 8192, 1), (4, 1024, 256, 8192, 1), (32, 1024, 512, 8192, 1), (64, 512, 512, 8192, 1),
        (16, 1024, 64, 8192, 1), (64, 4096, 512, 2048, 1), (32, 16384, 512, 8192, 1), (16, 4096, 1024, 512, 1),
        (64, 256, 32, 2048, 1), (8, 4096, 512, 2048, 8), (64, 4096, 512, 2048, 8), (128, 4096, 512, 512, 16),
        (256, 1024, 256, 2048, 8), (16, 4096, 1024, 512, 64), (512, 512, 256, 512, 16), (128, 8192, 256, 512, 4),
    ],
)  # fmt: skip
def test_closed_forms_against_the_simulation(requests, input, output, chunk, ranks):
    c = cadence(float(input), output - 1.0, requests / ranks, float(ranks), float(chunk))
    mixed = TOKEN * float(c.together * c.chunk) + DECODE * (requests > 1)
    ttft = float(first_token(c, DECODE, mixed)) * mixed
    tpot = DECODE + float(c.mixed) * (mixed - DECODE)
    seen = closed_loop(requests, DECODE, TOKEN, input, output, chunk, ranks, cycles=30)
    assert ttft == pytest.approx(seen[0], rel=0.05)
    assert tpot == pytest.approx(seen[1], rel=0.03)
    assert requests * output / (ttft + (output - 1) * tpot) == pytest.approx(seen[2], rel=0.03)


def test_a_crowd_of_prompts_waits_for_each_other():
    # Near the point where ranks do nothing but pass prompts, how they bunch matters: the closed form is a fifth off.
    c = cadence(4096.0, 127.0, 128.0, 1.0, 8192.0)
    mixed = TOKEN * float(c.together * c.chunk) + DECODE
    seen = closed_loop(128, DECODE, TOKEN, 4096, 128, 8192)
    assert float(first_token(c, DECODE, mixed)) * mixed == pytest.approx(seen[0], rel=0.25)


@given(made.floats(1, 1e5), made.floats(0.1, 1e4), made.floats(0.01, 1e4), st.integers(1, 300), made.floats(100, 1e5))
def test_a_cadence_adds_up(input, gaps, requests, ranks, chunk):
    c = cadence(input, gaps, requests, float(ranks), chunk)
    assert float(c.cycle) == pytest.approx(float(c.gaps + c.chunks + c.wait))
    assert -1e-9 <= float(c.wait) <= max(requests, 1) * float(c.chunks) * (1 + 1e-9)
    for part in (c.passing, c.mixed, c.decoding):
        assert 0 <= float(part) <= 1
    assert 1 - 1e-9 <= float(c.together) <= float(c.most) * (1 + 1e-9)
    assert 1 - 1e-9 <= float(c.busy) <= ranks * (1 + 1e-9)
    # A rank passes no more prompts than fit in its chunks.
    assert requests / float(c.cycle) * float(c.chunks) <= float(c.most) * (1 + 1e-9)


@given(made.shipped(), made.floats(1, 1e4), st.integers(1, 10**5), st.integers(1, 10**4))
def test_a_cycle_is_one_first_token_and_the_rest(pair, requests, input, output):
    model, system = pair
    profile = rl.profile("generic", system)
    est = serve(rl.Serve(model, input, output, requests), system, rl.Layout(), profile)
    # Those whose caches do not fit wait until others have left: a cycle of theirs for each that is served.
    stay = float(est.cycle) * requests / min(requests, max(float(est.max_concurrency), 1.0))
    if output == 1:
        assert np.isnan(est.tpot)
        assert stay == pytest.approx(float(est.ttft))
    else:
        assert stay == pytest.approx(float(est.ttft + (output - 1) * est.tpot), rel=1e-6)
    # No request is served faster than it would be by itself.
    alone = serve(rl.Serve(model, input, output, 1.0), system, rl.Layout(), profile)
    assert float(est.cycle) >= float(alone.cycle) * (1 - 1e-9)


@given(made.shipped(), st.integers(1, 10**4), st.integers(32, 10**3))
def test_more_requests_never_make_fewer_tokens_nor_serve_one_faster(pair, input, output):
    model, system = pair
    profile = rl.profile("generic", system)
    est = serve(rl.Serve(model, input, output, 2.0 ** np.arange(12)), system, rl.Layout(), profile)
    # Where ranks do nothing but pass prompts, how many go into one chunk moves the rate a little either way.
    assert (np.diff(est.tokens_per_second) >= -0.02 * est.tokens_per_second[1:]).all()
    assert (np.diff(est.tpot) >= -0.02 * est.tpot[1:]).all()


def test_one_request_alone():
    est = ask(1, 1000, 101)
    assert float(est.ttft) == pytest.approx(float(est.steps[0].time), rel=1e-6)
    assert float(est.tpot) == pytest.approx(float(est.steps[1].time))


def test_one_token_out_is_a_stream_of_prompts():
    est = ask(16, 1000, 1)
    # Eight prompts of 1,000 tokens go into a chunk of 8,192, which is a little quicker than one after another.
    assert 0.85 < float(est.cycle) / (16 * float(est.steps[0].time)) < 1
    assert float(est.ttft) == pytest.approx(float(est.cycle))
    assert np.isnan(est.tpot)
    assert est.to_dict()["tpot_s"] is est.to_dict()["tokens_per_s_per_user"] is None
    assert est.interval("tpot") is None


def test_smaller_chunks_spare_those_who_decode():
    words = {"input": 8192, "output": 256, "concurrency": 32}
    small, large = (
        rl.estimate(rl.Serve(MODEL, chunk=c, **words), RACK, rl.Layout(), level="generic") for c in (512, 8192)
    )
    assert float(small.steps[2].time) < float(large.steps[2].time) / 3
    assert float(small.ttft) > float(large.ttft)


def test_ranks_in_lock_step_wait_for_each_others_prompts():
    model = rl.model("deepseek-v3")
    est = rl.estimate(rl.Serve(model, 4096, 1024, 640), "gb200-nvl72", rl.Layout(dp=64, ep=64))
    alone = rl.estimate(rl.Serve(model, 4096, 1024, 1), "gb200-nvl72", rl.Layout(dp=64, ep=64))
    step, mixed = est.steps[1].time, est.steps[2].time
    # Ten requests a rank, a 131st of whose steps begin a prompt: of 64 ranks some nearly always passes one.
    assert 0.9 * mixed < est.tpot < mixed
    assert float(alone.tpot) == pytest.approx(float(alone.steps[1].time))
    assert step < mixed


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
    # Each stage holds a quarter of the layers and serves micro-batches of 16 in turn: about the same rate, with the hops and the head on top.
    assert float(piped.tokens_per_second) == pytest.approx(float(flat.tokens_per_second), rel=0.15)
    assert piped.tokens_per_second < flat.tokens_per_second
    assert piped.memory.weights < flat.memory.weights


def test_attrs_of_a_question_are_floats():
    assert attrs.asdict(rl.Serve(MODEL, 10, 20, 30), recurse=False)["input"] == 10.0
