"""Reads descriptors of training frameworks, and the fraction of a chip's rate that long steps sustain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs

from roofline.catalog.facts import Facts
from roofline.core.errors import near
from roofline.core.fields import MOST_TOKENS
from roofline.core.mappings import Table
from roofline.core.provenance import Fact
from roofline.core.units import BYTE, ONE, SECOND, Unit
from roofline.hardware.frameworks import REDUCED, UNFUSED, Framework, Recipe
from roofline.workload.layout import SHARDINGS
from roofline.workload.questions import MODULES, RECOMPUTE, TASKS, modules

MOST_CHUNKS: Final = 64
"""Chunks of layers that a stage of a pipeline may have in a recipe."""
MOST_YEARS: Final = 100.0
"""Releases are numbered by the year's last two digits and the month."""
_FRAMEWORK: Final[Mapping[str, Unit]] = {
    "pace": ONE, "launch": ONE, "step": SECOND, "captured": ONE, "graphed": ONE, "tp": ONE, "overlapped": ONE, "cp": ONE, "ep": ONE, "paired": ONE, "lent": ONE,
    "dp": ONE, "pp": ONE, "fsdp": ONE,
    "contention": ONE,
    "attention": ONE, "synchronous": ONE, "backward": ONE, "passes": ONE, "eager": ONE, "experts": ONE, "expert": SECOND,
    "memory_fraction": ONE, "logits": BYTE, "logits_eager": BYTE, "gradients": BYTE, "gathered": BYTE, "states": BYTE, "gates": BYTE,
}  # fmt: skip


def framework(root: Table, name: str, find: Callable[[str], Framework]) -> Framework:
    """Return the training framework that a descriptor describes; ``find`` returns the one it names as its base.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("framework")
    facts = Facts(root, head)
    base = find(head.text("base")) if "base" in head else Framework()
    out = {key: facts.value(head, key, unit, getattr(base, key)) for key, unit in _FRAMEWORK.items()}
    bounds = dict.fromkeys(
        ("captured", "graphed", "tp", "overlapped", "cp", "ep", "paired", "lent", "dp", "pp", "fsdp", "contention"),
        (0.0, 1.0),
    ) | dict.fromkeys(("pace", "attention", "synchronous", "backward", "passes", "eager", "experts"), (0.05, 10.0))
    for key, (least, most) in {
        **bounds,
        "launch": (0.0, 20.0),
        "memory_fraction": (0.1, 1.0),
        "logits": (2.0, 20.0),
        "logits_eager": (0.0, 8.0),
        "gradients": (1.0, 8.0),
        "gathered": (1.0, 4.0),
        "states": (0.0, 16.0),
        "gates": (1.0, 2.0),
    }.items():
        if not least <= out[key] <= most:
            raise head.fail(key, f"must be a number from {least:g} to {most:g}")
    if head.text("unfused", "") not in UNFUSED:
        raise head.fail("unfused", "names no kind of attention", near(head.text("unfused"), UNFUSED, "kinds"))
    latent = head.words("latent_unfused", base.latent_unfused)
    reduced = head.text("reduced", base.reduced)
    if reduced not in REDUCED:
        raise head.fail("reduced", "says how often gradients are reduced", near(reduced, REDUCED, "words"))
    scattered = head.flag("scattered") if "scattered" in head else base.scattered
    title, unfused = head.text("title", name), head.text("unfused", base.unfused)
    of, until = head.text("of", ""), head.real("until", 0.0, most=MOST_YEARS)
    elsewhere = _words(head.table("elsewhere")) if "elsewhere" in head else base.elsewhere
    recipe = _recipe(head.table("recipe"), facts, base.recipe) if "recipe" in head else base.recipe
    head.done()
    read = facts.done()
    inherited = tuple(fact for fact in base.facts if fact.path not in {own.path for own in read})
    return Framework(
        name, title, unfused, latent, reduced, base.narrow, scattered, **out, of=of, until=until, elsewhere=elsewhere, recipe=recipe,
        facts=(*read, *inherited),
    )  # fmt: skip


def _recipe(table: Table, facts: Facts, base: Recipe) -> Recipe:
    """Return a framework's recipe; what its table leaves out is as in its base's."""
    sources = {key: facts.cite(table, key) for key in table if key in ("sharding", "partitioned", "compiled")}
    again = base.recompute
    if "recompute" in table:
        inner = table.table("recompute")
        named = inner if "source" in inner else table
        sources["recompute"] = facts.cite(named, "recompute")
        again = _words(inner)
        for task, words in again.items():
            if task not in TASKS:
                raise inner.fail(task, "is no task", near(task, TASKS, "tasks"))
            if words.partition(":")[0] not in RECOMPUTE or set(modules(words)) - set(MODULES):
                raise inner.fail(task, "is nothing that is computed again", near(words, RECOMPUTE, "words"))
    sharding = table.text("sharding", base.sharding)
    if sharding not in SHARDINGS:
        raise table.fail("sharding", "names no kind of sharding", near(sharding, SHARDINGS, "kinds"))
    out = Recipe(
        sharding,
        table.flag("partitioned", base.partitioned),
        facts.value(table, "chunks", ONE, base.chunks, least=1, most=MOST_CHUNKS, whole=True),
        again,
        table.flag("compiled", base.compiled),
        facts.value(table, "packed", ONE, base.packed, most=MOST_TOKENS),
        {**base.sources, **sources},
    )
    table.done()
    return out


def _words(table: Table) -> dict[str, str]:
    """Return the words of a table by their keys, its source left out."""
    table.text("source", None)
    return {key: table.text(key) for key in table if key != "source"}


def sustained(root: Table) -> dict[str, Fact]:
    """Return the part of the peak in 16 bits that GEMMs of a long step reach, with its source, by chip and by maker.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head, makers = root.table("sustained"), root.table("makers", {})
    facts = Facts(root, head)
    out = {}
    for table in (head, makers):
        for name in table:
            if name != "source":
                value = facts.value(table, name, ONE)
                if not 0.1 <= value <= 1:
                    raise table.fail(name, "must be a part of the peak, from 0.1 to 1")
                out[name] = attrs.evolve(facts.read[-1], path="calibration.sustained")
    facts.done()
    return out
