"""Files of training frameworks: the recipes that they state, and what a file like them must not."""

import pytest

from roofline import catalog
from roofline.core.errors import DescriptorError

FILE = """
[framework]
title  = "mine"
base   = "generic"
source = "looked"
pace   = 1.1

[framework.recipe]
sharding    = "zero3"
partitioned = true
compiled    = false
chunks      = { value = 4, source = "guess" }
recompute   = { lora = "selective:norm+activation", source = "guess" }

[framework.elsewhere]
AMD = "rocm"

[sources.looked]
kind      = "measured"
title     = "its defaults"
url       = "https://example.org/defaults"
retrieved = 2026-11-29

[sources.guess]
kind  = "assumed"
title = "what nobody says"
why   = "as others do"
"""


def read(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return catalog.framework(path)


def test_a_recipe_is_read_with_its_sources(tmp_path):
    mine = read(tmp_path, FILE)
    recipe = mine.recipe
    assert (recipe.sharding, recipe.partitioned, recipe.compiled, recipe.chunks) == ("zero3", True, False, 4)
    assert recipe.recompute == {"lora": "selective:norm+activation"}
    assert mine.elsewhere == {"AMD": "rocm"}
    sources = {key: source.key for key, source in recipe.sources.items()}
    assert sources == {"sharding": "looked", "partitioned": "looked", "compiled": "looked", "recompute": "guess"}
    assert {fact.path: fact.source.key for fact in mine.facts}["framework.recipe.chunks"] == "guess"


def test_what_a_recipe_leaves_out_is_as_in_its_base(tmp_path):
    text = (
        FILE.replace('"generic"', '"torchtitan"')
        .replace('sharding    = "zero3"\n', "")
        .replace("compiled    = false\n", "")
    )
    recipe, base = read(tmp_path, text).recipe, catalog.framework("torchtitan").recipe
    assert (recipe.sharding, recipe.compiled) == (base.sharding, base.compiled) == ("zero3", False)
    assert recipe.sources["sharding"] == base.sources["sharding"]
    assert recipe.recompute != base.recompute


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"zero3"', '"zero4"', "no kind of sharding.*did you mean zero"),
        ("lora =", "lore =", "is no task.*did you mean lora"),
        ("selective:norm", "selective:nurm", "nothing that is computed again"),
        ("value = 4", "value = 1.5", "whole number"),
        ("value = 4", "value = 0", "from 1 to 64"),
        ("compiled    = false", "compile = false", "unknown key"),
        ("partitioned = true", 'partitioned = "yes"', "true or false"),
        ('"rocm"', "3", "one line of text"),
        ('activation", source = "guess"', 'activation", source = "gues"', "not described.*guess"),
    ],
)
def test_a_wrong_recipe_is_one_line(tmp_path, old, new, says):
    assert old in FILE
    with pytest.raises(DescriptorError, match=says) as error:
        read(tmp_path, FILE.replace(old, new))
    assert "\n" not in str(error.value)


def test_every_recipe_that_ships_has_sources_and_names_frameworks_that_are_there():
    known = catalog.names("framework")
    for name in known:
        framework = catalog.framework(name)
        assert set(framework.elsewhere.values()) <= set(known)
        recipe = framework.recipe
        assert recipe.sharding == "zero1" or recipe.sources["sharding"].title
        assert not recipe.recompute or recipe.sources["recompute"].title
        assert recipe.compiled or recipe.sources["compiled"].title
