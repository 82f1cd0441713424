"""Slices of a torus that optical switches put together."""

import numpy as np
import pytest

import roofline as rl
from roofline.physics.topology import usable

POD = rl.Tier("ICI", 4096, 270e9, 1e-6, topology="torus", dims=(16, 16, 16), block=(4, 4, 4))
FIXED = rl.Tier("ICI", 4096, 270e9, 1e-6, topology="torus", dims=(16, 16, 16))


@pytest.mark.parametrize("fan", [64.0, 128.0, 256.0, 512.0, 4096.0])
def test_a_slice_of_whole_cubes_is_wrapped_around(fan):
    # Rings in all three dimensions: all of a rank's links.
    assert float(usable(POD, 4096.0, 1.0, fan).gather) == pytest.approx(1.0)
    assert usable(POD, 4096.0, 1.0, fan).gather >= usable(FIXED, 4096.0, 1.0, fan).gather


def test_a_cube_by_hand():
    # 4 x 4 x 4: two hops each way round each ring of four.
    cube = usable(POD, 4096.0, 1.0, 64.0)
    assert float(cube.steps) == pytest.approx(3 * 2)
    # Data-parallel groups of 4 across tensor groups of 16 lie along one ring: a third of the links.
    assert float(usable(POD, 4096.0, 16.0, 4.0).gather) == pytest.approx(1 / 3)


def test_less_than_a_cube_is_a_part_of_the_pod():
    for fan in (2.0, 8.0, 16.0, 96.0):
        assert usable(POD, 4096.0, 1.0, fan).gather == usable(FIXED, 4096.0, 1.0, fan).gather


def test_an_array_holds_what_scalars_say():
    fans = np.array([2.0, 16.0, 64.0, 192.0, 1024.0])
    whole = usable(POD, 4096.0, 1.0, fans)
    for i, fan in enumerate(fans):
        one = usable(POD, 4096.0, 1.0, float(fan))
        assert whole.gather[i] == pytest.approx(float(one.gather))
        assert whole.exchange[i] == pytest.approx(float(one.exchange))


def test_all_gather_over_a_slice_of_v4():
    answer = rl.collective("all-gather", "1 GiB", "tpu-v4-pod", ranks=64, level="ideal")
    assert answer.time == pytest.approx(2**30 * 63 / 64 / 270e9)
