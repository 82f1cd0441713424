"""Cached tokens that come from the hosts' memory: the bytes by hand, what is seen of them, when it pays."""

import json

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roofline as rl
from roofline.cli import app
from roofline.operators.memory import kv_cache
from roofline.planner.offload import FILLED, REACHED, offload

MODEL = rl.model("llama-3.1-70b")
WORDS = {"level": "generic"}


def chat(layout=None, system="dgx-h100", **words):
    asked = {"input": 16384, "output": 256, "cached": 15000, "concurrency": 8} | words
    return rl.estimate(rl.Serve(MODEL, **asked), system, rl.Layout(tp=8) if layout is None else layout, **WORDS)


def test_a_fetch_by_hand():
    found = offload(chat())
    size = 80 * 2 * 1 * 128 * 2 * 15000  # layers, K and V, heads a rank, their size, bytes, tokens
    assert float(kv_cache(MODEL, rl.Layout(tp=8), 15000.0)) == size
    assert float(found.fetch) == pytest.approx(size / (64e9 * REACHED))
    # 2 TB over what a token takes on all eight.
    assert float(found.tokens) == pytest.approx(FILLED * 2e12 / (80 * 2 * 8 * 128 * 2))
    assert float(offload(chat(rl.Layout(tp=4))).tokens) == pytest.approx(float(found.tokens) / 2)
    assert float(offload(chat(), memory="4 TB").tokens) == pytest.approx(2 * float(found.tokens))


def test_what_is_hidden_and_what_is_seen():
    est = chat(concurrency=1)
    hidden = offload(est)
    assert float(hidden.ttft - est.ttft) >= float(hidden.fetch) / MODEL.depth
    slow = offload(est, bandwidth="0.5 GB/s")
    assert float(slow.seen) >= float(slow.fetch - slow.rest)
    assert not slow.pays
    assert hidden.pays
    assert float(hidden.saved) == pytest.approx(float(hidden.again - hidden.rest), rel=0.01)


@settings(max_examples=20)
@given(st.floats(1e9, 1e12), st.floats(1.1, 10.0))
def test_a_faster_link_is_never_worse(bandwidth, times):
    est = chat(concurrency=1)
    near, far = offload(est, bandwidth=bandwidth * times), offload(est, bandwidth=bandwidth)
    assert near.fetch < far.fetch
    assert near.saved >= far.saved
    assert near.feeds > far.feeds


def test_nothing_cached_is_nothing_fetched():
    est = chat(cached=0)
    found = offload(est)
    assert found.fetch == 0
    assert float(found.ttft) == float(est.ttft)
    assert found.fits
    assert found.line().startswith("the hosts hold")


def test_links_that_cannot_feed_the_service():
    found = offload(chat(), bandwidth="0.2 GB/s")
    assert not found.fits
    assert np.isnan(found.ttft)
    assert "fewer than are served" in found.line()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["ttft_s"] is None


def test_arrays_are_the_answers_one_by_one():
    cached = np.array([0.0, 4000, 15000])
    many = offload(chat(cached=cached))
    for i, each in enumerate(cached):
        one = offload(chat(cached=float(each)))
        for name in ("fetch", "ttft", "saved", "feeds"):
            assert float(np.broadcast_to(getattr(many, name), 3)[i]) == pytest.approx(float(getattr(one, name)))


def test_a_host_unknown():
    bare = attrs.evolve(rl.system("dgx-h100"), host=None)
    with pytest.raises(rl.QuestionError, match="give bandwidth"):
        offload(chat(system=bare))
    told = offload(chat(system=bare), bandwidth="64 GB/s")
    assert told.tokens is None
    assert "an unknown number" in str(told)
    with pytest.raises(rl.QuestionError, match="not of a service"):
        offload(rl.estimate(rl.Decode(MODEL, 8, 4096), "dgx-h100", rl.Layout(tp=8)))
    with pytest.raises(rl.QuestionError, match="bandwidth"):
        offload(chat(), bandwidth=-1.0)


def test_hosts_are_described():
    assert rl.system("dgx-h100").host.memory == 2e12
    assert rl.system("gb200-nvl72").host.bandwidth == 450e9


def test_the_command(capsys):
    line = "estimate llama-3.1-70b --system dgx-h100 --tp 8 --input 16384 --output 256 --cached 15000 --kv-offload"
    app.main(line.split())
    assert "kv offload" in capsys.readouterr().out
    app.main([*line.split(), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["kv_offload"]["pays"]
    assert told["kv_offload"]["ttft_s"] > told["ttft_s"]
    with pytest.raises(SystemExit):
        app.main([*line.split(), "--prefill-chips", "4"])
    assert "leave out --prefill-chips" in capsys.readouterr().err
