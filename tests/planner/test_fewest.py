"""The fewest chips for a trace, in one pool and in two."""

import attrs
import pytest

import roofline as rl
from roofline.cli import app

LOAD = rl.Trace.poisson(60.0, 600, input=1024, output=64)
LIMITS = {"ttft": "p99<300ms", "tpot": "p99<12ms"}


def test_two_pools_where_they_take_fewer():
    """Prompts between decode steps miss the TPOT unless many chips share them; on chips of their own they do not disturb it."""
    one = rl.simulate("llama-3.1-8b", "dgx-h100", LOAD, fewest_chips=True, **LIMITS)
    two = rl.simulate("llama-3.1-8b", "dgx-h100", LOAD, fewest_chips=True, disaggregated=True, **LIMITS)
    assert (one.meets, two.meets) == (True, True)
    assert one.prefill_layout is None
    assert two.chips < one.chips
    assert "the fewest chips in two pools" in two.remarks[0]
    assert two.remarks[1].startswith("one pool: the fewest chips: 8")
    # One chip less in either pool misses a limit.
    for pool in ("layout", "prefill_layout"):
        laid = {name: getattr(two, name) for name in ("layout", "prefill_layout")}
        fewer = laid[pool].replicas - 1
        if fewer:
            laid[pool] = attrs.evolve(laid[pool], replicas=fewer)
            assert not rl.simulate("llama-3.1-8b", "dgx-h100", LOAD, **laid, **LIMITS).meets


def test_one_pool_where_that_takes_fewer():
    told = rl.simulate(
        "llama-3.1-8b", "dgx-h100", LOAD.scaled(rate=2.0), fewest_chips=True, disaggregated=True, ttft="p99<1s"
    )
    assert (told.chips, told.prefill_layout) == (1, None)


def test_replicas_of_two_layouts_that_are_given():
    told = rl.simulate(
        "llama-3.1-8b", "dgx-h100", LOAD, rl.Layout(tp=2), prefill_layout=rl.Layout(), fewest_chips=True, **LIMITS
    )
    assert told.meets
    assert (told.layout.tp, told.prefill_layout.tp) == (2, 1)
    never = rl.simulate(
        "llama-3.1-8b",
        "dgx-h100",
        LOAD.first(50),
        rl.Layout(),
        prefill_layout=rl.Layout(),
        fewest_chips=True,
        tpot="1us",
    )
    assert not never.meets
    assert "NO NUMBER" in never.remarks[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"disaggregated": True}, "is of fewest_chips"), ({"fewest_chips": True, "prefill_chips": 2}, "prefill_chips"),
        ({"fewest_chips": True, "disaggregated": True, "layout": rl.Layout()}, "leave out layout"),
        ({"fewest_chips": True, "disaggregated": True, "concurrency": 4}, "give rate"),
        ({"fewest_chips": True, "prefill_layout": rl.Layout()}, "prefill_layout"),
    ],
)  # fmt: skip
def test_words_that_have_no_meaning(words, told):
    with pytest.raises(rl.QuestionError, match=told):
        rl.simulate("llama-3.1-8b", "dgx-h100", LOAD, **words)


def test_the_command(capsys):
    words = "-s dgx-h100 --rate 60 --isl 1024 --osl 64 --requests 300 --ttft p99<300ms --tpot p99<12ms --fewest-chips --disaggregated"
    app.main(["simulate", "llama-3.1-8b", *words.split()])
    assert "the fewest chips in two pools" in capsys.readouterr().out
