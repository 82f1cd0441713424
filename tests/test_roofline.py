"""The price of an operation: never below the roofline, never slower on better hardware."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.roofline import Cost, attainable, bound, price


@given(made.ops(), made.chips(), made.calibrations())
def test_no_time_is_below_the_roofline(op, chip, profile):
    cost = price(op, chip, profile)
    low = bound(op.flops, op.bytes, chip.peak[op.rate], chip.memory.bandwidth)
    assert cost.time >= low * (1 - 1e-9)
    assert cost.overlapped * (1 - 1e-9) <= cost.time <= cost.serial * (1 + 1e-9)
    assert cost.serial <= 2 * cost.overlapped * (1 + 1e-9)


@given(made.ops(), made.chips())
def test_ideal_is_the_roofline_itself(op, chip):
    low = bound(op.flops, op.bytes, chip.peak[op.rate], chip.memory.bandwidth)
    assert price(op, chip, rl.IDEAL).time == pytest.approx(float(low), rel=1e-12)
    assert op.flops / low == pytest.approx(
        float(attainable(op.flops / op.bytes, chip.peak[op.rate], chip.memory.bandwidth)), rel=1e-9
    )


@given(made.ops(), made.chips(), made.calibrations(), st.floats(1, 10))
def test_better_hardware_never_slows_an_operation(op, chip, profile, factor):
    before = price(op, chip, profile).time * (1 + 1e-9)
    faster = attrs.evolve(chip, peak={rate: peak * factor for rate, peak in chip.peak.items()})
    wider = attrs.evolve(chip, memory=made.scaled(chip.memory, bandwidth=factor))
    more = made.scaled(chip, cores=factor)
    assert price(op, faster, profile).time <= before
    assert price(op, wider, profile).time <= before
    assert price(op, more, profile).time <= before


@given(made.ops(), made.chips(), made.calibrations(), st.floats(1, 10))
def test_more_work_takes_longer(op, chip, profile, factor):
    before = price(op, chip, profile).time * (1 - 1e-9)
    for name in ("flops", "bytes", "launches"):
        assert price(made.scaled(op, **{name: factor}), chip, profile).time >= before


def test_by_hand():
    # 2 PFLOP at 0.5 of 1 PFLOP/s: 4 s. 6 TB at 0.5 of 4 TB/s: 3 s. Together at p = 2: 5 s. Two launches of 1 s and 10 items of 1 s on 5 cores.
    chip = rl.Chip("toy", {"bf16": 1e15}, rl.Memory(1e11, 4e12), cores=5)
    profile = attrs.evolve(
        rl.IDEAL, kernels={("gemm", "any"): rl.Kernel(eta_compute=0.5, eta_memory=0.5, t0=1.0, p=2.0, item=1.0)}
    )
    cost = price(rl.Op("o", "gemm", "bf16", 2e15, 6e12, launches=2, items=10), chip, profile)
    assert (float(cost.compute), float(cost.memory), float(cost.latency), float(cost.time)) == (4.0, 3.0, 4.0, 9.0)


def test_a_rate_the_chip_lacks():
    chip = rl.Chip("toy", {"bf16": 1e15}, rl.Memory(1e11, 4e12))
    with pytest.raises(rl.QuestionError, match="rate='fp4': toy has none; it has bf16"):
        price(rl.Op("o", "gemm", "fp4", 1.0, 1.0), chip, rl.IDEAL)
    with pytest.raises(rl.QuestionError, match="no constants"):
        price(rl.Op("o", "sorting", "bf16", 1.0, 1.0), chip, rl.IDEAL)


def test_cost_between_overlapped_and_serial():
    cost = Cost(time=6.0, compute=3.0, memory=2.0, latency=1.0)
    assert (cost.overlapped, cost.serial) == (np.float64(4.0), 6.0)
