"""The array helpers, and the promise they keep: an array of answers is the answers one by one."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import roofline as rl
import strategies as made
from roofline.core import arrays, fields
from roofline.planner.evaluation import answer


@given(hnp.array_shapes(max_dims=4, max_side=9), st.integers(1, 50))
def test_blocks_tile_the_shape_once(shape, limit):
    seen = np.zeros(shape, dtype=int)
    for where in arrays.blocks(shape, limit):
        seen[where] += 1
        assert seen[where].size <= max(limit, 1)
    assert (seen == 1).all()


@given(st.floats(0, 1e10), st.floats(0, 1e10), st.floats(1, 20))
def test_norm_lies_between_max_and_sum(a, b, p):
    value = arrays.norm(a, b, p)
    assert max(a, b) * (1 - 1e-9) <= value <= (a + b) * (1 + 1e-9)


@given(st.integers(1, 500), st.integers(1, 8), st.integers(1, 10**6))
def test_expected_distinct(bins, hits, draws):
    hits = min(hits, bins)
    value = float(arrays.expected_distinct(float(bins), hits / bins, float(draws)))
    assert min(hits, bins) * (1 - 1e-9) <= value <= min(bins, hits * draws) * (1 + 1e-9)


def test_expected_distinct_by_hand():
    # 256 experts, 8 a token, 32 tokens: 256 (1 - (31/32)^32) = 163.3
    assert float(arrays.expected_distinct(256.0, 8 / 256, 32.0)) == pytest.approx(
        256 * (1 - (31 / 32) ** 32), rel=1e-12
    )
    assert float(arrays.expected_distinct(1.0, 1.0, 8.0)) == 1.0


@pytest.mark.parametrize("bad", ["3", True, None, [[1], [1, 2]], object(), 1j])
def test_number_refuses(bad):
    with pytest.raises(rl.QuestionError):
        fields.number(bad)


def test_shapes_that_do_not_broadcast():
    model = rl.model("llama-3.1-8b")
    with pytest.raises(rl.QuestionError, match="do not broadcast"):
        rl.estimate(rl.Decode(model, np.ones(3), np.ones(4)), "dgx-h100", rl.Layout())


def spread(noun, axis, axes, values):
    """Return a noun whose number is an array of the values along one of several axes."""
    shape = [1] * axes
    shape[axis] = len(values)
    return np.array(values, dtype=float).reshape(shape)


@given(st.data())
def test_an_array_of_answers_is_the_answers_one_by_one(data):
    model, system = data.draw(made.shipped())
    model = model.stored(data.draw(st.sampled_from([None, "fp8", "int8", "nvfp4"])))
    level = data.draw(st.sampled_from(made.LEVELS))
    profile = rl.profile(level, system)
    batches = data.draw(st.lists(made.floats(1, 1e5), min_size=1, max_size=3))
    lengths = data.draw(st.lists(st.integers(1, 10**5), min_size=1, max_size=3))
    layouts = [data.draw(made.layouts(model)) for _ in range(3)]
    degrees = ("tp", "pp", "dp", "ep", "replicas")
    layout = attrs.evolve(
        layouts[0], **{d: spread(None, 2, 3, [getattr(each, d) for each in layouts]) for d in degrees}
    )
    kind = data.draw(st.sampled_from(["prefill", "decode", "serve"]))
    batch, length = spread(None, 0, 3, batches), spread(None, 1, 3, lengths)

    def ask(b, n):
        if kind == "prefill":
            return rl.Prefill(model, b, n)
        return rl.Decode(model, b, n, 1, 1.5) if kind == "decode" else rl.Serve(model, n, 100.0, b)

    many = answer(ask(batch, length), system, layout, profile)
    index = tuple(data.draw(st.integers(0, n - 1)) for n in many.shape)
    one = answer(
        ask(batches[index[0]], float(lengths[index[1]])),
        system,
        attrs.evolve(layouts[0], **{d: getattr(layouts[index[2]], d) for d in degrees}),
        profile,
    )
    for name in ("ttft", "tpot", "tokens_per_second", "prompt_tokens_per_second", "cycle", "max_concurrency"):
        value = getattr(many, name)
        if value is None:
            assert getattr(one, name) is None
        else:
            assert np.broadcast_to(value, many.shape)[index] == pytest.approx(float(getattr(one, name)), rel=1e-12)
    for name in ("weights", "kv_cache", "activations"):
        value = np.broadcast_to(getattr(many.memory, name), many.shape)[index]
        assert value == pytest.approx(float(getattr(one.memory, name)), rel=1e-12)
    assert bool(np.broadcast_to(many.fits, many.shape)[index]) == bool(one.fits)
    again = many.at(*index)
    assert again.to_dict() == one.noted(()).to_dict()


def test_a_sweep_in_blocks_is_the_sweep_in_one(monkeypatch):
    model, rack = rl.model("deepseek-v3"), rl.system("gb200-nvl72")
    question = rl.Serve(model, np.array([100.0, 4096.0])[:, None, None], 256.0, 2.0 ** np.arange(12)[:, None])
    layout = rl.Layout.grid(72, tp=1)
    whole = rl.estimate(question, rack, layout)
    monkeypatch.setattr("roofline.planner.evaluation.DETAILED", 100)
    monkeypatch.setattr("roofline.core.arrays.blocks.__defaults__", (100,))
    cut = rl.estimate(question, rack, layout)
    assert cut.shape == whole.shape
    assert cut.steps == ()
    for name in ("ttft", "tpot", "tokens_per_second", "cycle", "max_concurrency"):
        np.testing.assert_array_equal(np.broadcast_to(getattr(whole, name), whole.shape), getattr(cut, name))
    np.testing.assert_array_equal(np.broadcast_to(whole.fits, whole.shape), cut.fits)
    assert cut.best().to_dict() == whole.best().to_dict()
    with pytest.raises(rl.QuestionError, match=r"pick one with \.at"):
        _ = cut.mfu
    assert cut.at(0, 3, 2).mfu == whole.at(0, 3, 2).mfu


def test_hardware_may_be_an_array_too():
    rack = rl.system("dgx-h100")
    chip = attrs.evolve(
        rack.package, memory=attrs.evolve(rack.package.memory, bandwidth=np.array([1e12, 3.35e12, 8e12]))
    )
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 1000), attrs.evolve(rack, package=chip), rl.Layout())
    assert est.shape == (3,)
    assert (np.diff(est.tpot) < 0).all()
    assert float(est.at(1).tpot) == pytest.approx(
        float(rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 1000), rack, rl.Layout()).tpot)
    )


@pytest.mark.parametrize("index", [(), (0, 0), (3,), (-4,)])
def test_at_refuses_an_index_outside(index):
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), np.array([1.0, 2, 3]), 1000), "dgx-h100", rl.Layout())
    with pytest.raises(rl.QuestionError, match="must pick one point"):
        est.at(*index)


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0, 1.5, np.array([0.0, 1.0])])
def test_no_draws_hit_nothing(chance):
    assert np.all(arrays.expected_distinct(8.0, chance, 0.0) == 0)
    assert np.all(np.isfinite(arrays.expected_distinct(8.0, chance, np.float64(1e12))))


def test_two_draws_of_four_bins():
    # The first hits one; the second another one three times in four.
    assert arrays.expected_distinct(4.0, 0.25, 2.0) == pytest.approx(1.75)


@given(st.floats(0.0, 1.0), st.floats(0.01, 100.0), st.floats(0.0, 1e3))
def test_a_root_is_found_where_a_function_bends(where, slope, step):
    def function(x):
        return np.where(x < where, x - where, (x - where) * slope + step * (x - where) ** 3)

    some = np.linspace(-3.0, -0.5, 7)
    found = arrays.root(function, some, 2.0 - some)
    assert found == pytest.approx(where, abs=1e-12)
    assert arrays.root(function, some[2], 2.0 - some[2]) == found[2]


@given(hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=6), elements=st.integers(0, 5)))
def test_distinct_numbers_are_those_of_numpy(numbers):
    assert np.array_equal(arrays.distinct(numbers), np.unique(numbers))
