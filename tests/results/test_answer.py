"""What all answers share: points, bounds, tables, text and records, of serving, training, pools, runs and offloaded caches."""

import numpy as np
import pytest

import roofline as rl
from roofline.results.answer import Answer
from roofline.results.records import layout_fields

BATCHES = np.array([8.0, 64.0, 512.0])


@pytest.fixture(scope="module")
def made():
    """One answer of each kind over three points, and the same at its last point."""
    model = rl.model("llama-3.1-8b")
    tp = rl.Layout(tp=2)
    train = {"layout": rl.Layout(tp=2, dp=8, sharding="zero3"), "recompute": "full"}
    step = rl.train(model, "dgx-h100", global_batch=BATCHES * 8, **train)
    one_step = rl.train(model, "dgx-h100", global_batch=4096, **train)
    words = {"input": 2048, "output": 256}
    cached = {**words, "cached": 1024}
    return {
        "estimate": (
            rl.estimate(rl.Decode(model, BATCHES, 4096), "dgx-h100", tp),
            rl.estimate(rl.Decode(model, 512, 4096), "dgx-h100", tp),
        ),
        "training": (step, one_step),
        "campaign": (rl.campaign(step, "1T"), rl.campaign(one_step, "1T")),
        "pools": (
            rl.pools(model, "dgx-h100", tp, tp, concurrency=BATCHES, **words),
            rl.pools("llama-3.1-8b", "dgx-h100", tp, tp, concurrency=512, **words),
        ),
        "offload": (
            rl.offload(rl.estimate(rl.Serve(model, concurrency=BATCHES, chunk=512, **cached), "dgx-h100", tp)),
            rl.offload(rl.estimate(rl.Serve(model, concurrency=512, chunk=512, **cached), "dgx-h100", tp)),
        ),
    }


KINDS = ["estimate", "training", "campaign", "pools", "offload"]


@pytest.mark.parametrize("kind", KINDS)
def test_any_point_of_an_answer_is_the_answer_at_that_point(made, kind):
    many, one = made[kind]
    assert isinstance(many, Answer)
    assert (many.shape, one.shape) == ((3,), ())
    for index in (2, -1, np.int64(2)):
        assert many.at(index).to_dict() == one.to_dict()
    for wrong in ((3,), (-4,), (), (0, 0), (1.5,)):
        with pytest.raises(rl.QuestionError, match="index"):
            many.at(*wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_fits_and_table_of_all_points_are_those_of_each(made, kind):
    many, one = made[kind]
    each = [many.at(i) for i in range(3)]
    np.testing.assert_array_equal(np.broadcast_to(many.bound, (3,)), [est.bound for est in each])
    assert isinstance(one.bound, str)
    np.testing.assert_array_equal(np.broadcast_to(many.fits, (3,)), [bool(est.fits) for est in each])
    table = many.frame
    assert table.rows == 3
    assert table["model"][0] == "llama-3.1-8b"
    for name in many.COLUMNS:
        if name in table:
            np.testing.assert_allclose(
                table[name].astype(float), [est.frame[name].astype(float)[0] for est in each], rtol=1e-12
            )
    assert len(str(many).splitlines()) >= 5
    assert many.best(many.KNOWN.split(", ")[0]).shape == ()


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_prints_itself_and_becomes_a_data_frame(made, kind):
    pandas = pytest.importorskip("pandas")
    many, one = made[kind]
    assert "what was chosen or assumed" in str(one)
    assert isinstance(many.to_dataframe(), pandas.DataFrame)
    assert len(many.to_dataframe()) == 3


def test_without_pandas_a_data_frame_says_what_to_install(made, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(rl.QuestionError, match="pip install 'pandas'"):
        made["estimate"][0].to_dataframe()


def test_a_layout_has_one_form(made):
    forms = [
        made["estimate"][1].to_dict()["layout"],
        made["training"][1].to_dict()["layout"],
        made["campaign"][1].to_dict()["layout"],
        made["pools"][1].to_dict()["pools"]["prefill"]["layout"],
        layout_fields(rl.Layout(), training=False, experts=True),
    ]
    assert len({tuple(form) for form in forms}) == 1
    assert forms[2]["sharding"] == "zero3"
    assert forms[2]["schedule"] == "1f1b"
    assert forms[0]["sharding"] is None


@pytest.mark.parametrize("kind", ["estimate", "training", "campaign", "pools"])
def test_the_range_of_energy_is_a_pair_around_the_mean(made, kind):
    _, one = made[kind]
    low, high = one.joules_range
    assert low < (one.joules if kind == "campaign" else one.joules_per_token) < high


def test_pools_take_a_model_or_a_service_and_name_a_wrong_question():
    words = {"concurrency": 64, "input": 1024, "output": 128}
    layout = rl.Layout(tp=2)
    named = rl.pools("llama-3.1-8b", "dgx-h100", layout, layout, **words)
    asked = rl.pools(rl.Serve(rl.model("llama-3.1-8b"), **words), "dgx-h100", layout, layout)
    assert named.to_dict() == asked.to_dict()
    with pytest.raises(rl.QuestionError, match="must be a Serve, a Model"):
        rl.pools(rl.Decode(rl.model("llama-3.1-8b"), 8, 1024), "dgx-h100", layout, layout)
    with pytest.raises(rl.QuestionError, match="known: input"):
        rl.pools("llama-3.1-8b", "dgx-h100", layout, layout, inptu=3)
