"""Reads software stacks, and resolves the stack for a machine: engine x runtime x release x kind of launch.

A file holds one engine: ``[stack]``, and inside it tables for a ``runtime``, a ``generation`` of chips, a ``cpu``, a ``release`` and a
``kind`` of launch, nested as deeply as they depend on each other::

    [stack]
    title = "vLLM"
    [stack.runtime.cuda]
    launch_host = "10 us"
    [stack.runtime.cuda.generation.blackwell]
    launch = 0.8
    [stack.release."0.9"]
    date = 2025-06-10

What several tables state, the most special one does; what none states comes from ``generic``, its table of the runtime first. So an engine
that is not measured on a runtime goes by what others have in common there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from attrs import evolve, field, frozen

from roofline.catalog.facts import Facts
from roofline.core.errors import QuestionError, fault, near, unknown
from roofline.core.mappings import Table
from roofline.core.provenance import Fact
from roofline.core.remember import remembered
from roofline.core.units import BYTE, GIBI, MEBI, MILLI, MILLION, ONE, SECOND, TERA, Unit
from roofline.hardware.constants import STACKS
from roofline.hardware.engines import EXCHANGES, KINDS, PASSES, RULES, RUNTIMES, Engine, StackMemory
from roofline.models.dtypes import DTYPES

NUMBERS: Final[Mapping[str, tuple[Unit, float, float]]] = {
    "launch": (ONE, 0.05, 20.0), "launch_host": (SECOND, 0.0, MILLI), "compute": (ONE, 0.1, 1.0),
    "gap": (SECOND, 0.0, 1.0), "prompt_gap": (SECOND, 0.0, 1.0), "sequence": (SECOND, 0.0, 0.1), "stream": (SECOND, 0.0, 0.1),
    "front": (SECOND, 0.0, 10.0), "budget": (ONE, 16.0, MILLION), "crowd": (ONE, 0.0, MILLION), "reserve": (ONE, 0.0, 1.0),
    "most": (ONE, 1.0, MILLION), "most_drafting": (ONE, 1.0, MILLION), "bunched": (ONE, 0.0, 1.0), "gathered": (ONE, 0.0, 1.0), "overlap": (ONE, 0.0, 1.0), "memory_fraction": (ONE, 0.1, 1.0), "error": (ONE, 0.0, 3.0),
}  # fmt: skip
"""Numbers of a stack, with their units and the range in which each must lie."""

_RELEASED: Final = re.compile(r"^([^@]*?[A-Za-z])\s*(?:==|[:/\s-])\s*v?(?=\d)([^@]*)$")
"""An engine and its release, as they are written elsewhere: ``vllm==0.11``, ``vllm 0.11``, ``vllm-0.11``."""
_SELECTORS: Final = ("runtime", "generation", "cpu", "release", "kind")
"""What tables inside a stack depend on, in the order in which they override each other."""
MEMORY: Final[Mapping[str, tuple[Unit, float, float]]] = {
    **dict.fromkeys(("driver", "context", "communicators", "wired", "reserve", "reserve_rank", "reserve_sequence"), (BYTE, 0.0, 64.0 * GIBI)),
    "reserve_token": (BYTE, 0.0, 16.0 * MEBI), "encoder": (BYTE, 0.0, 16.0 * MEBI), "graph": (BYTE, 0.0, GIBI), "large": (BYTE, 0.0, 2 * TERA), "huge": (BYTE, 0.0, 2 * TERA), "tiny": (BYTE, 0.0, 2 * TERA), "index": (BYTE, 0.0, 64.0), "logit": (BYTE, 0.0, 64.0), "encoded": (ONE, 0.0, MILLION),
    "small_tokens": (ONE, 16.0, MILLION), "huge_tokens": (ONE, 16.0, MILLION), "tiny_tokens": (ONE, 16.0, MILLION), "page": (ONE, 16.0, 4096.0), "long": (ONE, 1.0, MILLION), "long_share": (ONE, 0.1, 1.0), "window_room": (ONE, 0.0, 10.0), "compressed_room": (ONE, 0.0, 10.0), "entry": (BYTE, 0.0, 4.0), "sequences": (ONE, 0.0, MILLION), "small_sequences": (ONE, 0.0, MILLION),
    "experts": (ONE, 0.0, 8.0), "padding": (ONE, 1.0, 1024.0), "state_pages": (ONE, 1.0, 4.0), "state_copies": (ONE, 1.0, 16.0), "state_room": (ONE, 0.0, 10.0),
    "reserve_share": (ONE, 0.0, 0.9), "reserve_share_rank": (ONE, 0.0, 0.1),
}  # fmt: skip
"""Numbers of ``[stack.memory]``, with their units and the range in which each must lie."""


@frozen(eq=False)
class Layer:
    """One table of a stack's file: what it states, and the tables inside it.

    Attributes:
        place: file and path, such as ``vllm.runtime.cuda``.
        values: what it states, by field of :class:`Engine`.
        facts: its numbers with their sources, by the same names.
        names: other names by which the engine is known here.
        inner: tables by selector and name.
    """

    place: str
    values: Mapping[str, Any]
    facts: Mapping[str, Fact]
    names: tuple[str, ...] = ()
    inner: Mapping[str, Mapping[str, Layer]] = field(factory=dict)

    def all(self) -> Iterator[Layer]:
        """Yield this table and those inside."""
        yield self
        for tables in self.inner.values():
            for each in tables.values():
                yield from each.all()


@frozen
class Machine:
    """What tables of a stack are chosen by.

    Attributes:
        runtime: runtime of the chip, such as ``cuda``; "" for any.
        generation: generation of the chip; "" for any.
        cpu: kind of the hosts' processors.
        release: release of the engine; "" for the latest.
        kind: kind of launch; "" where it is not stated.
    """

    runtime: str = ""
    generation: str = ""
    cpu: str = "x86"
    release: str = ""
    kind: str = ""


def read(root: Table, name: str) -> Layer:
    """Return the tables of a stack's file.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("stack")
    facts = Facts(root, head)
    out = _layer(head, facts, name)
    facts.done()
    return out


def _layer(table: Table, facts: Facts, place: str) -> Layer:
    values: dict[str, Any] = {}
    stated: dict[str, Fact] = {}
    for key, (unit, least, most) in NUMBERS.items():
        if key in table:
            values[key] = facts.value(table, key, unit)
            if not least <= values[key] <= most:
                table.note(table.fail(key, f"must be a number from {least:g} to {most:g}"))
            stated[key] = evolve(facts.read[-1], path=f"{place}.{key}")
    values |= _words(table)
    if "formats" in table:
        values["formats"] = _formats(table.table("formats"), facts)
    if "memory" in table:
        values["memory"], of_memory = _memory(table.table("memory"), facts, place)
        stated |= of_memory
    names = table.words("names", ())
    table.text("source", None)
    found = {
        selector: {each: _layer(_checked(outer, selector, each), facts, f"{place}.{selector}.{each}") for each in outer}
        for selector in _SELECTORS
        if selector in table
        for outer in [table.table(selector)]
    }
    table.done()
    return Layer(place, values, stated, names, found)


def _formats(table: Table, facts: Facts) -> dict[str, float]:
    """Return the time of a launch by format of the weights, over that of others."""
    out = {}
    for form in table:
        if form == "source":
            continue
        if form not in DTYPES:
            raise table.fail(form, "no such format", near(form, DTYPES, "formats"))
        out[form] = facts.value(table, form, ONE)
        if not 0.1 <= out[form] <= 10.0:
            table.note(table.fail(form, "must be a number from 0.1 to 10"))
    table.text("source", None)
    table.done()
    return out


def _memory(table: Table, facts: Facts, place: str) -> tuple[dict[str, Any], dict[str, Fact]]:
    """Return what a table states of the memory that a stack takes, by field of :class:`StackMemory`, and its numbers as facts."""
    out: dict[str, Any] = {}
    stated: dict[str, Fact] = {}
    for key, (unit, least, most) in MEMORY.items():
        if key in table:
            out[key] = facts.value(table, key, unit)
            if not least <= out[key] <= most:
                raise table.fail(key, f"must be from {least:g} to {most:g}{'' if unit == ONE else ' bytes'}")
            stated[f"memory.{key}"] = evolve(facts.read[-1], path=f"{place}.memory.{key}")
    if "rule" in table:
        out["rule"] = table.text("rule")
        if out["rule"] not in RULES:
            raise table.fail("rule", "no such rule", near(out["rule"], RULES, "rules"))
    out |= {key: table.flag(key) for key in ("paged", "uniform", "chunked", "index_pages") if key in table}
    table.text("source", None)
    table.done()
    return out, stated


def _checked(outer: Table, selector: str, name: str) -> Table:
    known = {"runtime": tuple(RUNTIMES), "kind": KINDS}.get(selector)
    if known is not None and name not in known:
        raise outer.fail(name, f"no such {selector}", near(name, known, f"{selector}s"))
    return outer.table(name)


def _words(table: Table) -> dict[str, Any]:
    """Return what a table states in words."""
    out: dict[str, Any] = {}
    if "title" in table:
        out["title"] = table.text("title")
    if "kernels" in table:
        named = table.text("kernels")
        if named not in (*STACKS, "any"):
            raise table.fail("kernels", "unknown software stack", near(named, (*STACKS, "any"), "stacks"))
        out["stack"] = "" if named == "any" else named
    if "served" in table:
        out["served"] = table.text("served")
        if out["served"] not in DTYPES:
            raise table.fail("served", "no such format", near(out["served"], DTYPES, "formats"))
    if "exchange" in table:
        out["exchange"] = table.text("exchange")
        if out["exchange"] not in EXCHANGES:
            raise table.fail("exchange", "no such exchange", near(out["exchange"], EXCHANGES, "exchanges"))
    if "index" in table:
        out["index"] = table.text("index")
        if out["index"] not in DTYPES:
            raise table.fail("index", "no such format", near(out["index"], DTYPES, "formats"))
    for key in ("windows", "shared_routed", "fused_norm", "pieces_shared", "mixed"):
        if key in table:
            out[key] = table.flag(key)
    if "systems" in table:
        out["systems"] = table.words("systems")
    for key, known, what in (
        ("fused", tuple(DTYPES), "formats"),
        ("attention", tuple(DTYPES), "formats"),
        ("captured", PASSES, "passes"),
        ("pieces", PASSES, "passes"),
    ):
        if table.raw(key, None) is not None:
            out[key] = table.words(key)
            for each in out[key]:
                if each not in known:
                    raise table.fail(key, f"{each[:40]!r} is none of the {what}", near(each, known, what))
    if "date" in table:
        day = table.raw("date")
        if not isinstance(day, date) or isinstance(day, datetime):
            raise table.fail("date", "must be a date such as 2026-03-20, without quotes")
        out["date"] = day
    if "cache" in table:
        inner = table.table("cache")
        out["cache"] = {form: inner.text(form) for form in inner}
        inner.done()
    return out


@remembered(64)
def resolve(name: str, own: Layer, generic: Layer, machine: Machine) -> Engine:
    """Return the stack of an engine on a machine.

    Raises:
        QuestionError: no such kind of launch.
    """
    stated, machine = machine.kind, evolve(machine, kind=machine.kind or KINDS[0])
    if machine.kind not in KINDS:
        raise QuestionError(fault("kind", machine.kind, "no such kind of launch", ", ".join(KINDS)))
    # What a kind of launch changes, it changes for every engine.
    layers = sorted(
        [*([] if own is generic else _met(generic, machine)), *_met(own, machine)],
        key=lambda layer: ".kind." in layer.place,
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    facts: dict[str, Fact] = {}
    for layer in layers:
        for key, value in layer.values.items():
            # A date and a title of its own has the engine, not what it inherits from.
            if key == "memory":
                values[key] = values.get(key, {}) | value
                origins[key] = layer.place
            elif key != "date" or layer.place.startswith(name):
                values[key], origins[key] = value, layer.place
        facts |= layer.facts
    values["memory"] = StackMemory(**values.get("memory", {}))
    used = [layer.place for layer in reversed(layers) if layer.place in origins.values()]
    release = next((layer.place.rpartition(".release.")[2] for layer in layers if ".release." in layer.place), "")
    read_ = tuple(evolve(fact, path=f"engine.{key}") for key, fact in facts.items())
    return Engine(
        name, **values, runtime=machine.runtime, release=release, kind=machine.kind, stated_kind=stated, chain=tuple(dict.fromkeys(used)),
        origins={key: f"{place}.{key}" for key, place in origins.items()}, facts=read_,
    )  # fmt: skip


def _met(layer: Layer, machine: Machine) -> Iterator[Layer]:
    """Yield the tables that a machine meets, the most special last."""
    yield layer
    for selector in _SELECTORS:
        tables = layer.inner.get(selector, {})
        asked = nearest(tables, machine.release) if selector == "release" else getattr(machine, selector)
        if asked in tables:
            yield from _met(tables[asked], machine)


def nearest(releases: Mapping[str, Layer], asked: str) -> str:
    """Return the release that an asked one goes by: the last no newer than it, else the first; "" for the newest state.

    A release is asked for by number, ``0.5.8.post1``, or by date, ``2025-09``. Words such as ``nightly`` are the newest.
    """
    number, month = _number(asked), _MONTH.match(asked)
    if not releases or not asked or (number is None and month is None):
        return ""
    if month is not None:
        day = (int(month[1]), int(month[2] or 12), int(month[3] or 31))
        keys = {name: _day(layer) for name, layer in releases.items()}
        before = [name for name, key in keys.items() if key <= day]
        return max(before, key=lambda name: keys[name]) if before else min(keys, key=lambda name: keys[name])
    numbers = {name: _number(name) or () for name in releases}
    before = [name for name, key in numbers.items() if key <= (number or ())]
    return max(before, key=lambda name: numbers[name]) if before else min(numbers, key=lambda name: numbers[name])


_MONTH: Final = re.compile(r"(20\d\d)(?:-(\d\d))?(?:-(\d\d))?$")


def _day(layer: Layer) -> tuple[int, int, int]:
    day = layer.values.get("date")
    return (0, 0, 0) if day is None else (day.year, day.month, day.day)


def _number(text: str) -> tuple[int, ...] | None:
    """Return a release's number as it compares: ``0.5.8.post1`` is (0, 5, 8)."""
    found = re.match(r"v?(\d{1,4}(?:\.\d{1,4})+)", text)
    return None if found is None or _MONTH.match(text) else tuple(int(part) for part in found[1].split("."))


def split(given: str) -> tuple[str, str, str]:
    """Return the engine, the release and the kind of launch that ``ENGINE[@RELEASE][+KIND]`` names.

    Other separators that people and package managers write before a release are taken too.

    >>> split("vLLM@0.12+tuned"), split("sglang")
    (('vllm', '0.12', 'tuned'), ('sglang', '', ''))
    >>> split("vllm==0.11"), split("vllm v0.11.2"), split("sglang-0.5"), split("vllm@2025-09")
    (('vllm', '0.11', ''), ('vllm', '0.11.2', ''), ('sglang', '0.5', ''), ('vllm', '2025-09', ''))

    Raises:
        UnknownNameError: no such kind of launch.
    """
    rest, _, kind = given.partition("+")
    if kind and kind not in KINDS:
        raise unknown("kind of launch", kind, KINDS)
    name, _, release = _RELEASED.sub(r"\1@\2", rest.strip(), count=1).partition("@")
    return name.strip().lower(), release.strip(), kind
