"""The file of energy: what it states, and what a file like it must not."""

import pytest

import roofline as rl
from roofline import catalog
from roofline.core.errors import DescriptorError


def test_every_number_has_a_source_and_shares_are_in_order():
    table = catalog.energy()
    assert all(fact.source.title for fact in table.facts)
    for draw in table.generations.values():
        assert draw.idle <= draw.loaded <= draw.awake < 1
        assert draw.error < draw.error_unseen


def test_a_chip_has_the_coefficients_of_its_generation_or_of_all():
    table = catalog.energy()
    assert table.draw(rl.chip("b200")) is table.generations["blackwell"]
    assert table.draw(rl.chip("mi355x")) is table.generations[""]
    assert table.seen(rl.chip("h100"))
    assert not table.seen(rl.chip("ascend-910b"))


def test_a_rating_that_is_not_published_is_a_share_of_the_system():
    rack = rl.system("cloudmatrix384")
    assert rack.package.power is None
    assert float(catalog.energy().rated(rack)) == pytest.approx(0.5 * 559e3 / 384)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('fans  = { value = "65 W"', 'fans  = { value = "65 J"', "a power"),
        ("compute = 1.97", "compute = 197", "from 0 to 5"),
        ("awake   = 0.44", "awake   = 0.44\nawoken = 1", "awoken"),
        ("utilisation = 0.8", "utilisation = 80", "from 0 to 1"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, old, new, says):
    text = (catalog.root() / "hardware/energy.toml").read_text()
    assert old in text
    path = tmp_path / "energy.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(DescriptorError, match=says):
        catalog.energy(path)


def test_grids_have_sources_and_plausible_intensities():
    table = catalog.energy()
    assert {"world", "china", "france", "united-states"} <= set(table.grids)
    assert all(0 < float(each) < 1000 for each in table.grids.values())
    assert sum("grid" in fact.path for fact in table.facts) == len(table.grids)
