"""The price of an operation: never below the roofline, never slower on better hardware or with better constants."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.hardware.constants import Kernel
from roofline.hardware.engines import Engine
from roofline.operators.operations import Op
from roofline.physics.kernels import Cost, attainable, bound, price

CLOSE = 1 + 1e-9
# The kernels alone: what engines change of them has a test of its own.
PROFILES = made.calibrations().map(lambda profile: attrs.evolve(profile, engine=Engine()))


@given(made.ops(), made.chips(), PROFILES)
def test_no_time_is_below_the_roofline(op, chip, profile):
    cost = price(op, chip, profile)
    low = bound(op.flops, op.bytes, chip.peak[op.rate], chip.memory.bandwidth)
    assert cost.time * CLOSE >= low + op.staging / chip.memory.bandwidth
    assert cost.overlapped / CLOSE <= cost.time <= cost.serial * CLOSE
    assert cost.serial <= 2 * cost.overlapped * CLOSE


@given(made.ops(), made.chips())
def test_ideal_is_the_roofline_itself(op, chip):
    # Passes before and after the kernel come in turn with it; nothing else is left.
    low = bound(op.flops, op.bytes, chip.peak[op.rate], chip.memory.bandwidth)
    around = op.staging / chip.memory.bandwidth
    assert price(op, chip, rl.IDEAL).time == pytest.approx(float(low + around), rel=1e-12)
    assert op.flops / low == pytest.approx(
        float(attainable(op.flops / op.bytes, chip.peak[op.rate], chip.memory.bandwidth)), rel=1e-9
    )


@given(made.ops(), made.chips(), PROFILES, st.floats(1, 10))
def test_better_hardware_never_slows_an_operation(op, chip, profile, factor):
    before = price(op, chip, profile).time * CLOSE
    faster = attrs.evolve(chip, peak={rate: peak * factor for rate, peak in chip.peak.items()})
    wider = attrs.evolve(chip, memory=made.scaled(chip.memory, bandwidth=factor))
    more = made.scaled(chip, cores=factor)
    assert price(op, faster, profile).time <= before
    assert price(op, wider, profile).time <= before
    assert price(op, more, profile).time <= before


@given(made.ops(), made.chips(), PROFILES, st.floats(1, 10))
def test_more_work_takes_longer(op, chip, profile, factor):
    before = price(op, chip, profile).time / CLOSE
    for name in ("flops", "bytes", "launches", "staging", "depth", "items", "hits", "scores"):
        assert price(made.scaled(op, **{name: factor}), chip, profile).time >= before, name


# Constants and in which direction each is worse: parts of a peak and the sharing of time when less, times when more.
WORSE = {
    "eta_compute": -1, "eta_memory": -1, "eta_staging": -1, "eta_best": -1, "p": -1, "t0": 1, "step": 1, "item": 1, "eta_score": -1, "turn": 1, "hit": 1, "elsewhere": 1, "error": 0,
}  # fmt: skip


def test_every_constant_of_a_kernel_is_known_to_be_worse_one_way():
    assert set(WORSE) == {field.name for field in attrs.fields(Kernel)}


@given(made.ops(), made.chips(), made.kernels(), st.floats(1, 10), st.sampled_from(sorted(WORSE)))
def test_no_constant_makes_anything_faster_when_it_grows_worse(op, chip, kernel, factor, name):
    def timed(constants):
        return price(op, chip, attrs.evolve(rl.IDEAL, kernels={(op.kernel, "any"): constants})).time

    if getattr(kernel, name) is None:
        return
    value = getattr(kernel, name) * factor ** WORSE[name]
    worse = attrs.evolve(kernel, **{name: max(value, 1.0) if name == "p" else value})
    assert timed(worse) * CLOSE >= timed(kernel)


def test_each_constant_of_a_kernel_counts():
    """Twice as bad, each makes an operation that has everything slower."""
    chip = rl.Chip("toy", {"bf16": 1e15}, rl.Memory(1e11, 4e12), best={"bf16": 0.8}, cores=5)
    op = Op(
        "o",
        "gemm",
        "bf16",
        1e12,
        4e9,
        launches=2.0,
        staging=4e9,
        depth=1e3,
        items=10.0,
        hits=5.0,
        scores=1e6,
        elsewhere=4e9,
    )
    kernel = Kernel(0.5, 0.5, 1e-3, 2.0, 1e-6, 1e-3, 0.5, 0.5, 0.5, turn=1e-3, hit=1e-3, elsewhere=0.5)

    def timed(constants):
        return float(
            price(op, chip, attrs.evolve(rl.IDEAL, exponential=1e9, kernels={("gemm", "any"): constants})).time
        )

    for name, way in WORSE.items():
        slower = timed(made.scaled(kernel, **{name: 2.0**way})) > timed(kernel) * 1.001
        # Where the best rate of the chip was measured, what is reached of the peak has no say.
        assert slower == (way != 0 and name != "eta_compute"), name
    plain = attrs.evolve(kernel, eta_best=None)
    assert timed(made.scaled(plain, eta_compute=0.5)) > timed(plain) * 1.001


@given(made.ops(), made.kernels(), made.chips(), st.floats(0.1, 1))
def test_the_best_rate_measured_stands_in_for_the_peak_where_it_is_known(op, kernel, chip, reached):
    def timed(chip, **change):
        constants = attrs.evolve(kernel, **change)
        return float(price(op, chip, attrs.evolve(rl.IDEAL, kernels={(op.kernel, "any"): constants})).time)

    measured, unknown = attrs.evolve(chip, best={op.rate: reached}), attrs.evolve(chip, best={})
    assert timed(measured, eta_best=0.9) == pytest.approx(
        timed(unknown, eta_best=None, eta_compute=0.9 * reached), rel=1e-12
    )
    assert timed(unknown, eta_best=0.9) == timed(unknown, eta_best=None)
    assert timed(measured, eta_best=None) == timed(unknown, eta_best=None)


@given(made.ops(), made.kernels(), made.chips(), st.floats(0.3, 1.0), st.floats(0.3, 1.0))
def test_the_best_share_seen_in_any_format_bounds_those_that_nobody_measured(op, kernel, chip, one, other):
    def timed(best, **change):
        constants = attrs.evolve(kernel, **change)
        profile = attrs.evolve(rl.IDEAL, kernels={(op.kernel, "any"): constants})
        return float(price(op, attrs.evolve(chip, best=best), profile).time)

    elsewhere, bound = {"one": one, "other": other}, 0.9 * max(one, other)
    least = min(kernel.eta_compute, bound)
    assert timed(elsewhere, eta_best=0.9) == pytest.approx(timed({}, eta_compute=least), rel=1e-12)


@given(st.lists(made.ops(), min_size=2, max_size=5), made.chips(), PROFILES)
def test_an_array_of_operations_is_the_operations_one_by_one(ops, chip, profile):
    alike = [attrs.evolve(op, kernel=ops[0].kernel, rate=ops[0].rate, form=ops[0].form) for op in ops]
    names = [f.name for f in attrs.fields(Op) if not isinstance(getattr(ops[0], f.name), str)]
    whole = attrs.evolve(alike[0], **{name: np.array([getattr(op, name) for op in alike]) for name in names})
    found = price(whole, chip, profile)
    for i, op in enumerate(alike):
        one = price(op, chip, profile)
        for name in ("time", "compute", "memory", "latency"):
            assert float(getattr(found, name)[i]) == pytest.approx(float(getattr(one, name)), rel=1e-12), name


@given(made.ops(), made.chips(), PROFILES)
def test_what_is_not_launched_walks_no_way(op, chip, profile):
    # No launch, no fixed time and no way along a depth: what is left is what there is to do, and where that is nothing, nothing.
    silent = attrs.evolve(op, launches=0.0)
    shallow = attrs.evolve(silent, depth=0.0)
    assert price(silent, chip, profile).time == price(shallow, chip, profile).time
    nothing = attrs.evolve(silent, flops=0.0, bytes=0.0, staging=0.0, items=0.0, hits=0.0, scores=0.0)
    assert price(nothing, chip, profile.eagerly()).time == 0.0


@given(made.ops(), made.chips(), PROFILES)
def test_eagerly_every_launch_takes_its_time_on_the_host(op, chip, profile):
    graph = attrs.evolve(profile, host=0.0)
    kernel, eager = price(op, chip, graph), price(op, chip, graph.eagerly())
    assert eager.time * CLOSE >= op.launches * profile.eager
    assert eager.time == pytest.approx(float(max(kernel.time, op.launches * profile.eager)), rel=1e-12)
    # Waiting is no time of a resource.
    assert (eager.compute, eager.memory) == (kernel.compute, kernel.memory)


def test_by_hand():
    # 1.5 PFLOP at 0.5 (0.625 of the best, which is 0.8 of the peak) of 1 PFLOP/s: 3 s; 10 exponentials at 0.5 of 1 a second on 5
    # cores: 4 s; both together: 5 s. 24 TB at 0.5 of 4 TB/s: 12 s. Together at p = 2: 13 s. Passes around it, 2 TB at 0.25 of 4
    # TB/s: 2 s. Two launches of 1 s, 3 elements of depth at 1 s, 10 items of 1 s on 5 cores: 7 s.
    chip = rl.Chip("toy", {"bf16": 1e15}, rl.Memory(1e11, 4e12), best={"bf16": 0.8}, cores=5)
    kernel = Kernel(eta_best=0.625, eta_memory=0.5, eta_staging=0.25, t0=1.0, p=2.0, step=1.0, item=1.0, eta_score=0.5)
    profile = attrs.evolve(rl.IDEAL, kernels={("gemm", "any"): kernel}, eager=12.0, exponential=1.0)
    op = Op("o", "gemm", "bf16", 1.5e15, 24e12, launches=2.0, staging=2e12, depth=3.0, items=10.0, scores=10.0)
    cost = price(op, chip, profile)
    assert (float(cost.compute), float(cost.memory), float(cost.latency), float(cost.time)) == (5.0, 14.0, 7.0, 22.0)
    # A chip whose own rate is stated goes by that.
    quick = attrs.evolve(chip, exponentials=1e30)
    assert float(price(op, quick, profile).compute) == pytest.approx(3.0)
    # Without a graph two launches take the host 24 s, so the chip waits for 2.
    eager = price(op, chip, profile.eagerly())
    assert (float(eager.latency), float(eager.time)) == (9.0, 24.0)


@given(made.ops(), made.chips(), PROFILES, made.engines())
def test_an_engine_saves_launches_and_passes_around(op, chip, profile, engine):
    driven = attrs.evolve(profile, engine=engine)
    fused = op.kernel == "gemm" and op.form in engine.fused
    # What is fused into the kernel before is no launch and no pass of its own; a launch takes its part of the time.
    less = attrs.evolve(op, launches=min(op.launches, 1.0), staging=0.0) if fused else op
    k = profile.kernel(op.kernel, op.rate, op.form)
    quick = {**profile.kernels, profile.key(op.kernel, op.rate, op.form): made.scaled(k, t0=engine.launch)}
    expected = price(less, chip, attrs.evolve(profile, kernels=quick))
    assert price(op, chip, driven).time == pytest.approx(float(expected.time), rel=1e-12)
    assert price(op, chip, driven).time <= price(op, chip, profile).time * CLOSE


def test_a_rate_the_chip_lacks():
    chip = rl.Chip("toy", {"bf16": 1e15}, rl.Memory(1e11, 4e12))
    with pytest.raises(rl.QuestionError, match="rate='fp4': toy has none; it has bf16"):
        price(rl.Op("o", "gemm", "fp4", 1.0, 1.0), chip, rl.IDEAL)
    with pytest.raises(rl.QuestionError, match="no constants"):
        price(rl.Op("o", "sorting", "bf16", 1.0, 1.0), chip, rl.IDEAL)


def test_cost_between_overlapped_and_serial():
    cost = Cost(time=6.0, compute=3.0, memory=2.0, latency=1.0)
    assert (cost.overlapped, cost.serial) == (np.float64(4.0), 6.0)


def test_rows_that_a_matrix_instruction_lacks_are_multiplied_all_the_same():
    """On a chip with 1 FLOP/s a product of 2 rows takes as long as one of 8 where 8 go through at once; of 16, twice that."""
    chip = rl.Chip("toy", {"bf16": 1.0}, rl.Memory(1.0, 1e9), tile=8)
    profile = attrs.evolve(rl.IDEAL, tile=1.0)

    def took(rows, of=profile):
        return float(price(rl.Op("up", "gemm", "bf16", 10.0 * rows, 0.0, rows=rows), chip, of).time)

    assert [took(rows) for rows in (2.0, 8.0, 16.0)] == [80.0, 80.0, 160.0]
    assert took(2.0, rl.IDEAL) == 20.0
    # A product that does not say its rows is not padded.
    assert float(price(rl.Op("up", "gemm", "bf16", 10.0, 0.0), chip, profile).time) == 10.0


def test_kernels_of_a_format_may_take_longer_to_launch():
    kernel = rl.Kernel(t0=2.0)
    engine = attrs.evolve(rl.IDEAL.engine, formats={"fp8-block": 3.0})
    profile = attrs.evolve(rl.IDEAL, kernels={("gemm", "any"): kernel}, engine=engine)
    chip = rl.Chip("toy", {"bf16": 1.0, "fp8": 1.0}, rl.Memory(1.0, 1.0))
    times = [
        float(price(rl.Op("up", "gemm", "fp8", 0.0, 0.0, form=form), chip, profile).time)
        for form in ("fp8", "fp8-block")
    ]
    assert times == [2.0, 6.0]
