"""A service under load: the closed forms against a simulation, and what must hold whatever the numbers."""

import itertools

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.hardware.engines import Engine
from roofline.inference.passes import step
from roofline.inference.service import _concurrent, serve
from roofline.physics.queueing import cadence, pace, saturation
from roofline.reports.text import sheet
from simulate import closed_loop, simulate

RACK = rl.system("dgx-h100")
MODEL = rl.model("llama-3.1-8b")
NONE = Engine()


def ask(requests, input, output, **layout):
    asked = rl.Serve(MODEL, input, output, requests)
    return rl.estimate(asked, RACK, rl.Layout(**layout), level="generic", engine="none")


# Against the simulation ----------------------------------------------------------------------------------------------------

DECODE, TOKEN = 0.02, 1e-4
EVEN = 3**-0.5
"""Standard deviation of an even spread over its half-width."""


def closed(
    requests, input, output, chunk, ranks=1, *, slots=None, spread=0.5, room=None, cached=0, engine=NONE, varied=None
):
    """Return what the closed forms say of a loop whose steps take what the simulation's do, and its waits."""
    let_in = requests if room is None else min(requests, room * ranks)
    asked = rl.Serve(MODEL, input, output, requests, cached=cached, requests_per_slot=slots, variation=spread * EVEN)
    prompts = asked.variation if varied is None else varied * EVEN
    c = cadence(
        float(input - cached), output - 1.0, let_in / ranks, float(ranks), float(chunk), variation=prompts, slots=asked.requests_per_slot
    )  # fmt: skip
    mixed = TOKEN * float(c.together * c.chunk) + DECODE * (requests > 1)
    p = pace(asked, engine, c, DECODE, mixed, requests=let_in / ranks, ranks=float(ranks))
    place = (requests / let_in - 1) * float(p.first + p.rest)
    ttft = float(p.first) + place * (1 - float(p.waits.weight) / 2)
    return (
        ttft,
        float(p.rest) / (output - 1),
        let_in * output / float(p.first + p.rest),
        attrs.evolve(p.waits, place=place),
    )


@pytest.mark.parametrize(
    ("requests", "input", "output", "chunk", "ranks"),
    [
        (1, 1024, 128, 8192, 1), (4, 1024, 256, 8192, 1), (32, 1024, 512, 8192, 1), (64, 512, 512, 8192, 1),
        (16, 1024, 64, 8192, 1), (64, 4096, 512, 2048, 1), (32, 16384, 512, 8192, 1), (16, 4096, 1024, 512, 1),
        (64, 256, 32, 2048, 1), (8, 4096, 512, 2048, 8), (64, 4096, 512, 2048, 8), (128, 4096, 512, 512, 16),
        (256, 1024, 256, 2048, 8), (16, 4096, 1024, 512, 64), (512, 512, 256, 512, 16), (128, 8192, 256, 512, 4),
    ],
)  # fmt: skip
def test_a_loop_in_steady_state(requests, input, output, chunk, ranks):
    """3 % in TPOT and rate, 5 % in TTFT: what is left is how prompts clump by chance, of which the form knows the mean."""
    varied = 0.5 if ranks == 1 else 0.0
    ttft, tpot, rate, _ = closed(requests, input, output, chunk, ranks, varied=varied)
    seen = closed_loop(requests, DECODE, TOKEN, input, output, chunk, ranks, cycles=30, varied=varied)
    assert ttft == pytest.approx(seen.ttft, rel=0.05)
    assert tpot == pytest.approx(seen.tpot, rel=0.03)
    assert rate == pytest.approx(seen.rate, rel=0.03)


LOADS = [
    (4, 1024, 256, 8192, 1), (32, 1024, 512, 8192, 1), (64, 512, 512, 8192, 1), (64, 4096, 512, 2048, 1),
    (32, 8192, 512, 8192, 1), (64, 4096, 512, 2048, 8), (256, 1024, 256, 2048, 8), (128, 1024, 1024, 8192, 1),
]  # fmt: skip


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("slots", [4, 8, 16])
def test_all_requests_start_at_once(load, slots):
    """10 % in TTFT, 5 % in TPOT; the rate is that of the full loop, which a whole run, whose last answers end alone, misses by 0.85 / r.

    The first wave is read in order, so its mean wait is exact but for the decode steps in between; the later ones are those of the
    steady state. Three runs are taken together: one in r requests is of the first wave.
    """
    runs = [closed_loop(load[0], DECODE, TOKEN, *load[1:], cycles=slots, at_once=True, seed=i) for i in range(3)]
    ttft, tpot, rate, _ = closed(*load, slots=slots)
    assert ttft == pytest.approx(np.mean([run.ttft for run in runs]), rel=0.1)
    assert tpot == pytest.approx(np.mean([run.tpot for run in runs]), rel=0.05)
    assert -0.02 < rate / np.mean([run.rate for run in runs]) - 1 < 0.85 / slots


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("first", [False, True], ids=["beside decode steps", "before decode steps"])
def test_lengths_that_are_equal_stay_together(load, first):
    """15 % in TTFT where four prompts are all there is (they share one chunk), else 10 %; 2 % in TPOT, 3 % in rate.

    Prompts that go before decode steps hold all others up, so that a wave ends together and the next begins together: for ever
    (``bunched`` 1). Beside decode steps only those of one chunk do (``crowd``, one less than the chunk holds).
    """
    requests, input, _, chunk, _ = load
    engine = attrs.evolve(NONE, crowd=float(max(chunk // input, 1) - 1), bunched=float(first))
    seen = closed_loop(requests, DECODE, TOKEN, *load[1:], cycles=8, at_once=True, spread=0.0, prompts_first=first)
    ttft, tpot, rate, _ = closed(*load, slots=8, spread=0.0, engine=engine)
    assert ttft == pytest.approx(seen.ttft, rel=0.15 if requests == 4 else 0.1)
    assert tpot == pytest.approx(seen.tpot, rel=0.02)
    assert rate == pytest.approx(seen.rate, rel=0.03)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("spread", [0.1, 0.5])
def test_lengths_that_vary_draw_ranks_apart(load, spread):
    """10 % in TPOT and 20 % in TTFT, prompts before decode steps, 8 requests a slot: the oracle for the window of a wave."""
    seen = closed_loop(load[0], DECODE, TOKEN, *load[1:], cycles=8, at_once=True, spread=spread, prompts_first=True)
    ttft, tpot, _, _ = closed(*load, slots=8, spread=spread)
    assert ttft == pytest.approx(seen.ttft, rel=0.2)
    assert tpot == pytest.approx(seen.tpot, rel=0.1)


@pytest.mark.parametrize("room", [4, 8, 16])
@pytest.mark.parametrize("slots", [None, 8])
def test_requests_wait_for_places(room, slots):
    """3 % in TTFT, which is nearly all wait, 2 % in TPOT: Little's law is exact, and the first wave has half of the wait."""
    seen = closed_loop(32, DECODE, TOKEN, 1024, 256, 8192, cycles=slots or 30, room=room, at_once=slots is not None)
    ttft, tpot, rate, _ = closed(32, 1024, 256, 8192, room=room, slots=slots)
    assert ttft == pytest.approx(seen.ttft, rel=0.03)
    assert tpot == pytest.approx(seen.tpot, rel=0.02)
    assert rate == pytest.approx(seen.rate, rel=0.02 if slots is None else 0.7 / slots)


@pytest.mark.parametrize("cached", [256, 768, 960])
def test_what_is_cached_is_not_read(cached):
    """3 % in TTFT, 1 % in TPOT and rate, as without a cache."""
    seen = closed_loop(32, DECODE, TOKEN, 1024, 256, 8192, cached=cached)
    ttft, tpot, rate, _ = closed(32, 1024, 256, 8192, cached=cached)
    assert ttft == pytest.approx(seen.ttft, rel=0.03)
    assert (tpot, rate) == pytest.approx((seen.tpot, seen.rate), rel=0.01)


def coming(part, input, output, chunk, ranks=1, varied=0.0, room=10**9):
    """Return what the closed forms say of requests that come at a part of the rate that can be served, and what is seen."""
    most = float(min(room * ranks, 4096))

    def at(let_in, rate):
        asked = rl.Serve(MODEL, input, output, rate=rate, variation=varied * EVEN)
        c = cadence(float(input), output - 1.0, let_in / ranks, float(ranks), float(chunk), random=True)
        mixed = TOKEN * float(c.together * c.chunk) + DECODE * float(-np.expm1(-let_in))
        words = {"requests": let_in / ranks, "ranks": float(ranks), "lanes": float(ranks)}
        return pace(asked, NONE, c, DECODE, mixed, **words), c, mixed

    _, c, mixed = at(most, 1.0)
    rate = part * float(saturation(c, DECODE, mixed, places=most, ranks=float(ranks), lanes=float(ranks)))
    low, high = 1e-3, most
    for _ in range(50):
        let_in = (low * high) ** 0.5
        p = at(let_in, rate)[0]
        low, high = (low, let_in) if let_in / (p.first - p.late + p.rest) > rate else (let_in, high)
    seen = simulate(DECODE, TOKEN, input, output, chunk, ranks, rate=rate, total=6000, varied=varied, room=room)
    flight = rate * float(p.first + p.rest)
    return p, flight, seen


PARTS = [0.2, 0.8, *(pytest.param(each, marks=pytest.mark.thorough) for each in (0.02, 0.5, 0.9))]
"""Shares of the rate that saturates."""


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("load", "varied"),
    [((1024, 256, 8192), 0.0), ((4096, 256, 2048), 0.0), ((4096, 256, 2048), 0.9), ((8192, 256, 2048, 8), 0.0), ((8192, 256, 8192), 0.0)],
)  # fmt: skip
def test_requests_that_come_at_random(load, varied, part):
    """8 % in TTFT; 12 % in TPOT and requests in flight up to half of what can be served, 15 % beyond where a chunk is short.

    TPOT counts what prompts of the mean take of the mean request. A queue of long chunks (0.8 s each here, for a decode step of
    0.02 s) comes in bursts longer than an answer: those who decode in them see more, by up to a half near saturation, and are
    more than others. Prompts whose lengths vary wait by 1 + v^2 (Pollaczek and Khinchin).
    """
    p, flight, seen = coming(part, *load, varied=varied)
    assert float(p.first) == pytest.approx(seen.ttft, rel=0.08)
    if part <= 0.5 or load[2] < 8192 or load[0] < 8192:
        near = 0.12 if part <= 0.5 else 0.15
        assert float(p.rest) / (load[1] - 1) == pytest.approx(seen.tpot, rel=near)
        assert flight == pytest.approx(seen.flight, rel=near)


@pytest.mark.parametrize("load", LOADS)
def test_percentiles_in_a_loop(load):
    """p50 within 15 %, and p90 and p99 within half: a chunk is a lump, of which the form knows only the mean.

    Of requests that all start at once p99 is a late one of the first wave, in a lump of a chunk of prompts.
    """
    steady = closed_loop(load[0], DECODE, TOKEN, *load[1:], cycles=30, varied=0.5)
    waits = closed(*load)[3]
    assert float(waits.percentile(50)) == pytest.approx(steady.percentile(50), rel=0.15)
    for p in (90, 99):
        assert abs(np.log(float(waits.percentile(p)) / steady.percentile(p))) < np.log(2)
    if load[0] > 4:
        begun = closed_loop(load[0], DECODE, TOKEN, *load[1:], cycles=8, at_once=True, varied=0.5)
        waits = closed(*load, slots=8)[3]
        assert float(waits.percentile(50)) == pytest.approx(begun.percentile(50), rel=0.2)
        assert float(waits.percentile(99)) == pytest.approx(begun.percentile(99), rel=0.2)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("load", [(1024, 256, 8192), (4096, 256, 2048), (8192, 256, 2048, 8), (8192, 256, 8192)])
def test_percentiles_of_requests_that_come_at_random(load, part):
    """20 % in p50 and p90, 30 % in p99: a tail of the right mean and chance, taken as exponential."""
    p, _, seen = coming(part, *load)
    for each, near in ((50, 0.2), (90, 0.2), (99, 0.3)):
        assert float(p.waits.percentile(each)) == pytest.approx(seen.percentile(each), rel=near)


# Requests that come at a rate ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.01, 1.0, 8.0, 16.0, 19.0])
def test_littles_law(rate):
    est = rl.estimate(rl.Serve(MODEL, rate=rate), RACK, rl.Layout(replicas=8))
    assert est.fits
    told = est.to_dict()
    assert told["request_rate_per_s"] == told["requests_per_s"] == rate
    assert float(est.tokens_per_second) == pytest.approx(rate * 1024)
    whole = told["ttft_s"] + 1023 * told["tpot_s"]
    assert told["concurrency"] == pytest.approx(rate * whole, rel=0.01)
    # As many always in flight are answered about as often.
    loop = rl.estimate(rl.Serve(MODEL, concurrency=told["concurrency"]), RACK, rl.Layout(replicas=8))
    assert float(loop.requests_per_second) == pytest.approx(rate, rel=0.12)
    assert told["ttft_p50_s"] <= told["ttft_p90_s"] <= told["ttft_p99_s"]


def test_a_rate_beyond_what_is_served_is_an_answer():
    many = rl.estimate(rl.Serve(MODEL, rate=np.array([1.0, 50.0, 1e6])), RACK, rl.Layout(replicas=8))
    assert list(many.fits) == [True, False, False]
    assert (many.requests_per_second[1:] < 50).all()
    est = many.at(1)
    assert est.reasons == (f"the service saturates at {float(est.requests_per_second):.1f} requests/s",)
    told = est.to_dict()
    assert told["ttft_s"] is told["ttft_p99_s"] is told["concurrency"] is None
    assert "without limit" in told["null_because"]["ttft_s"]
    assert "saturates" in sheet(est)
    assert float(many.at(0).ttft) == pytest.approx(
        float(rl.estimate(rl.Serve(MODEL, rate=1.0), RACK, rl.Layout(replicas=8)).ttft)
    )


def test_a_layout_for_a_rate_answers_soonest():
    est = rl.estimate("llama-3.1-70b", RACK, rate=1.0)
    assert est.fits
    assert any("the shortest latency" in note for note in est.assumptions)
    for tp in (2, 4):
        other = rl.estimate(attrs.evolve(est.question, chunk=None), RACK, rl.Layout(tp=tp, replicas=8 // tp))
        assert float(est.cycle) <= float(other.cycle) * (1 + 1e-9)


def test_either_a_rate_or_requests_in_flight():
    for words in ({"concurrency": 3, "rate": 4}, {"concurrency": None}):
        with pytest.raises(rl.QuestionError, match="exactly one of concurrency and rate"):
            rl.Serve(MODEL, **words)
    assert rl.Serve(MODEL).concurrency == 64
    assert rl.Serve(MODEL, rate=2).concurrency is None


def test_percentiles_are_told_of_services_only():
    assert rl.estimate(rl.Decode(MODEL, 8, 100), RACK, rl.Layout()).ttft_percentile(50) is None
    with pytest.raises(rl.QuestionError, match="below 100"):
        ask(4, 1000, 100).ttft_percentile(100)
    many = rl.estimate(rl.Serve(MODEL, concurrency=np.arange(1.0, 10001)), RACK, rl.Layout(replicas=8))
    with pytest.raises(rl.QuestionError, match="no details"):
        many.ttft_percentile(50)


# What must hold ---------------------------------------------------------------------------------------------------------------


@given(made.floats(1, 1e5), made.floats(0.1, 1e4), made.floats(0.01, 1e4), st.integers(1, 300), made.floats(100, 1e5))
def test_a_cadence_adds_up(input, gaps, requests, ranks, chunk):
    c = cadence(input, gaps, requests, float(ranks), chunk)
    assert float(c.cycle) == pytest.approx(float(c.gaps + c.chunks + c.wait))
    assert -1e-9 <= float(c.wait) <= max(requests, 1) * float(c.chunks) * (1 + 1e-9)
    for part in (c.passing, c.mixed, c.decoding):
        assert 0 <= float(part) <= 1
    assert 1 - 1e-9 <= float(c.together) <= float(c.most) * (1 + 1e-9)
    assert 1 - 1e-9 <= float(c.busy) <= ranks * (1 + 1e-9)
    # The last chunk of a prompt is what is left of it; of several ranks the longest chunk counts.
    assert (
        input * (1 - 1e-9) <= float(c.chunk * c.chunks) <= input * float(c.chunks) / max(input / chunk, 1) * (1 + 1e-9)
    )
    # A rank passes no more prompts than fit in its chunks.
    assert requests / float(c.cycle) * float(c.chunks) <= float(c.most) * (1 + 1e-9)


@given(made.shipped(), made.floats(1, 1e4), st.integers(1, 10**5), st.integers(1, 10**4))
def test_a_cycle_is_one_first_token_and_the_rest(pair, requests, input, output):
    model, system = pair
    profile = rl.profile("generic", system)
    est = serve(rl.Serve(model, input, output, requests), system, rl.Layout(), profile)
    # Those who wait for a place wait until those who have one were served, in turn.
    waiting = max(requests / max(float(est.max_concurrency), 1.0) - 1, 0.0) * float(est.cycle)
    rest = 0.0 if output == 1 else (output - 1) * float(est.tpot)
    assert np.isnan(est.tpot) == (output == 1)
    assert float(est.cycle) == pytest.approx(float(est.ttft) - waiting + rest, rel=1e-6)
    # No request is served faster than it would be by itself.
    alone = serve(rl.Serve(model, input, output, 1.0), system, rl.Layout(), profile)
    assert float(est.cycle) >= float(alone.cycle) * (1 - 1e-9)


@given(made.shipped(), st.integers(1, 10**4), st.integers(32, 10**3))
def test_more_requests_never_make_fewer_tokens_nor_serve_one_faster(pair, input, output):
    model, system = pair
    profile = rl.profile("generic", system)
    est = serve(rl.Serve(model, input, output, 2.0 ** np.arange(12)), system, rl.Layout(), profile)
    # Where ranks do nothing but pass prompts, how many go into one chunk moves the rate a little either way; and one that comes back
    # where others decode waits for the end of their step.
    assert (np.diff(est.tokens_per_second) >= -0.02 * est.tokens_per_second[1:]).all()
    assert (np.diff(est.tpot) >= -0.02 * est.tpot[1:]).all()


def test_requests_that_wait_take_no_memory():
    """64 GB of 16-bit weights and activations: 20 of 32 tokens fit together, however many are asked."""
    asked = rl.Serve(rl.model("mpt-30b"), 32, 32, 2.0 ** np.arange(12))
    est = rl.estimate(asked, "atlas-800t-a2", rl.Layout(), level="generic", engine="none")
    served = np.minimum(est.question.concurrency, est.max_concurrency)
    assert (np.diff(served) >= 0).all()
    assert (np.diff(est.tokens_per_second) >= 0).all()
    assert np.all(est.max_concurrency >= 1)


def test_one_request_alone():
    est = ask(1, 1000, 101)
    engine = est.calibration.engine
    # Lengths vary by a fifth: long prompts attend to more.
    assert float(est.ttft) == pytest.approx(float(est.steps[0].time) + engine.front, rel=2e-3)
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
    plain, mixed = est.steps[1].time, est.steps[2].time
    # Ten requests a rank, a 131st of whose steps begin a prompt: of 64 ranks some nearly always passes one.
    assert 0.9 * mixed < est.tpot < mixed
    assert float(alone.tpot) == pytest.approx(float(alone.steps[1].time))
    assert plain < mixed


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
    [({"input": 0}, "input=0:"), ({"output": 0.5}, "output=0.5"), ({"concurrency": 0}, "concurrency=0:"), ({"concurrency": np.nan}, "nan"),
     ({"input": -np.inf}, "-inf"), ({"draft_tokens": 0.5}, "whole"), ({"accept_length": 1.5}, "cannot exceed draft_tokens"),
     ({"accept_length": 0.5}, "accept_length=0.5"), ({"input": "many"}, "must be a number"), ({"input": np.array([5.0, -1.0])}, "input=-1:")],
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


@pytest.mark.parametrize(
    "question", [rl.Prefill(rl.model("deepseek-v3"), 128, 4096), rl.Decode(rl.model("deepseek-v3"), 16384, 4096)]
)
def test_messages_of_one_half_hide_behind_the_other(question):
    rack, layout = rl.system("hgx-h800"), rl.Layout(dp=32, ep=32)
    profile = rl.profile("generic", rack)
    plain, cut, part = (step(question, rack, layout, profile.driven(Engine(overlap=o))) for o in (0.0, 1.0, 0.5))
    work = float(plain.time - plain.network)
    # No less than the works, nor than the longer of both for halves; no more than one after another.
    assert max(work, float(plain.network)) <= float(cut.time) <= float(part.time) <= float(plain.time)
    assert float(cut.time) < 0.9 * float(plain.time)
    assert float(cut.flops) == float(plain.flops)


def test_a_step_is_cut_only_where_that_pays():
    rack, profile = rl.system("hgx-h800"), rl.profile("generic", rl.system("hgx-h800"))
    sizes = rl.Decode(MODEL, 2.0 ** np.arange(12), 1000)
    plain, cut = (step(sizes, rack, rl.Layout(tp=8), profile.driven(Engine(overlap=o))).time for o in (0.0, 1.0))
    assert (cut <= plain * (1 + 1e-9)).all()
    # A small batch is weights, which halves would read twice.
    assert cut[0] == pytest.approx(plain[0])
    alone = [
        step(rl.Decode(MODEL, n, 1000), rack, rl.Layout(tp=8), profile.driven(Engine(overlap=1.0))).time
        for n in 2.0 ** np.arange(12)
    ]
    assert np.allclose(cut, alone)


def test_attrs_of_a_question_are_floats():
    assert attrs.asdict(rl.Serve(MODEL, 10, 20, 30), recurse=False)["input"] == 10.0


def test_a_sheet_of_a_saturated_service_has_no_empty_numbers():
    est = rl.estimate(MODEL, RACK, rl.Layout(), level="generic", rate=1e4)
    text = sheet(est)
    assert "ever more requests in flight" in text
    assert "saturates" in text
    assert "nan" not in text


# Laws of load -----------------------------------------------------------------------------------------------------------------


def saturated(model, system, layout, input, output, memory=1.0, bandwidth=1.0):
    """Return the requests a second at which a service saturates whose chips have so much more memory or bandwidth."""
    rack = rl.system(system)
    own = rack.package.memory
    better = attrs.evolve(own, capacity=own.capacity * memory, bandwidth=own.bandwidth * bandwidth)
    rack = attrs.evolve(rack, package=attrs.evolve(rack.package, memory=better))
    return float(rl.estimate(rl.Serve(rl.model(model), input, output, rate=1e6), rack, layout).requests_per_second)


@pytest.mark.parametrize(("input", "output"), [(8192, 64), (1024, 512), (512, 1)])
def test_more_memory_or_bandwidth_never_lowers_what_is_answered(input, output):
    """gpt-oss-120b on 8 MI300X, 8,192 in, 64 out, once saturated at 7.9, 5.5, 3.4 and 1.0 requests/s with ever more memory."""
    where = ("gpt-oss-120b", "mi300x-8", rl.Layout(tp=8))
    rates = [saturated(*where, input, output, memory=m) for m in (0.3, 0.5, 1.0, 2.0, 8.0)]
    assert all(b >= a * (1 - 1e-6) for a, b in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(rates[1], rel=0.01)
    rates = [saturated(*where, input, output, bandwidth=m) for m in (0.5, 1.0, 2.0, 8.0)]
    assert all(b >= a * (1 - 1e-6) for a, b in itertools.pairwise(rates))
    # A closed loop of as many requests as are of use answers about as often.
    loop = rl.estimate(rl.Serve(rl.model(where[0]), input, output, concurrency=64.0 * max(output, 8)), *where[1:])
    assert saturated(*where, input, output) == pytest.approx(float(loop.requests_per_second), rel=0.15)


@pytest.mark.parametrize(("input", "output"), [(1024, 256), (8192, 64), (512, 1), (16384, 512)])
def test_a_higher_rate_never_shortens_a_wait(input, output):
    rates = np.geomspace(1e-3, 1e3, 40)
    est = rl.estimate(rl.Serve(MODEL, input, output, rate=rates), RACK, rl.Layout())
    for name in ("ttft", "tpot", "concurrency"):
        values = np.asarray(getattr(est, name))[np.asarray(est.fits)]
        values = values[np.isfinite(values)]
        assert (np.diff(values) >= -0.002 * values[:-1]).all(), name
    for p in (50, 90, 99):
        values = np.asarray(est.ttft_percentile(p))[np.asarray(est.fits)]
        assert (np.diff(values) >= -0.02 * values[:-1]).all()


def test_no_cliffs_at_multiples_of_a_chunk():
    """8,192 -> 8,193 tokens once made the first token 9 % later."""
    words = {"concurrency": 8.0, "chunk": 8192.0}
    one, other = (rl.estimate(rl.Serve(MODEL, n, 64, **words), RACK, rl.Layout()) for n in (8192, 8193))
    assert float(other.ttft) == pytest.approx(float(one.ttft), rel=1e-3)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 40), st.integers(1, 50))
def test_as_many_are_served_at_once_as_serve_themselves(asked, alone, less, alike):
    """Fewer prompts leave room for more, down to one; the greatest number that has room for itself is found by trying all."""

    def served(n):
        return np.maximum(alone - less * np.minimum(n, alike) / alike, 0.0)

    found = float(_concurrent(float(asked), served, float(alike)))
    own = [n for n in range(asked + 1) if served(float(max(n, 1))) >= n]
    assert found >= asked if served(float(asked)) >= asked else found == max(own)
