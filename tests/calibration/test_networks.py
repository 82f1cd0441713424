"""Published collectives between nodes: typical errors stay where they were found, and the intervals hold four in five."""

import attrs
import numpy as np
import pytest

from roofline import catalog
from roofline.calibration.networks import errors, predicted, read
from roofline.core.errors import DescriptorError

ROWS = catalog.read_rows(catalog.root() / "hardware" / "timings" / "networks" / "collectives.csv")
LARGE = 16 * 2**20


@pytest.fixture(scope="module")
def rows():
    return [r for r in read(ROWS) if r.fabric and r.message.collective not in ("dispatch", "combine")]


def typical(off):
    return float(np.expm1(np.abs(off).mean()))


def test_errors_are_what_the_tables_say(rows):
    off = errors(rows)
    large = np.array([r.message.size > LARGE for r in rows])
    assert typical(off[large]) < 0.12
    assert typical(off) < 0.20
    assert 0.72 <= np.mean(np.abs(off) <= np.log1p(predicted(rows))) <= 0.88


def test_a_fabric_that_nobody_measured_is_the_median_of_those_that_deliver_alike(rows):
    names = sorted({r.fabric for r in rows})
    off = []
    for name in names:
        others = [catalog.fabric(other) for other in names if other != name]
        others = [f for f in others if f.transport == catalog.fabric(name).transport] or others
        middle = {key: float(np.median([getattr(f, key) for f in others])) for key in ("step", "share")}
        off.append(errors([r.on(attrs.evolve(catalog.fabric(name), **middle)) for r in rows if r.fabric == name]))
    assert typical(np.concatenate(off)) < 0.45


def test_a_fabric_slower_in_anything_is_never_faster(rows):
    for name in sorted({r.fabric for r in rows}):
        mine, fabric = [r for r in rows if r.fabric == name][::5], catalog.fabric(name)
        before = errors(mine)
        for worse in (
            {"step": 2 * fabric.step},
            {"share": fabric.share / 2},
            {"rounding": 2 * fabric.rounding},
            {"chunk": 2 * fabric.chunk},
        ):
            assert (errors([r.on(attrs.evolve(fabric, **worse)) for r in mine]) >= before - 1e-9).all()


def test_a_row_that_cannot_be_read_is_named():
    with pytest.raises(DescriptorError, match="row 1"):
        read([{**ROWS[0], "ranks": "many"}])
