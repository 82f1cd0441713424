"""A question as typed in the form or given in the address, and parsed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from attrs import field, frozen

from roofline import catalog
from roofline.core.digits import parse_real, parse_whole
from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import refuse
from roofline.hardware.hardware import System

MOST: Final = 4
"""Systems side by side."""

BEST: Final = "best"
"""The word for the best deployment that is published for a system: one pool of chips, or disaggregated prefill and decode."""
ONE: Final = "one"
"""The word for one pool of chips."""


@frozen
class Field:
    """One field of the form.

    Attributes:
        name: its name in the address: the library's own word.
        label: what stands above it.
        hint: what stands below it.
        usual: what holds where it is left empty.
        choices: what it may be, and what that is called; none where it is typed.
        suggests: the list of names that it suggests.
        digits: whether it is a number.
    """

    name: str
    label: str
    hint: str
    usual: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    suggests: str = ""
    digits: bool = False


MODEL: Final = Field("model", "Model", "a name, or the path of a config.json", suggests="model")
FIELDS: Final = (
    Field("input", "Prompt tokens", "of a request", "4096", digits=True),
    Field("output", "Output tokens", "of a request", "1024", digits=True),
    Field("tpot", "Limit on TPOT", "time per output token", "50ms"),
    Field("ttft", "Limit on TTFT", "time to the first token", "10s"),
    Field("concurrency", "Requests in flight", "empty: as many as the limits allow", "most within limits", digits=True),
)
MORE: Final = (
    Field(
        "deployment", "Deployment", "one pool is faster to answer",
        choices=((BEST, "one pool or disaggregated, whichever makes more"), (ONE, "one pool of chips")),
    ),
    Field("engine", "Engine", "the same on all systems, on one pool", "the best published on each", suggests="engine"),
    Field("dtype", "Format of weights", "checkpoint: as the model's files have it", "as services there have it", suggests="dtype"),
    Field("cached", "Cached prompt tokens", "of a request, already in the KV cache", "0", digits=True),
    Field("draft_tokens", "Draft tokens", "speculative decoding, per step", "1 where the model has a module for it", digits=True),
)  # fmt: skip
ROW: Final = (
    Field("system", "System", "", suggests="system"),
    Field("chips", "Chips", "", "all", digits=True),
    Field("price", "USD/h per chip", "", "as published", digits=True),
)
"""Of each system."""

_ALIASES: Final = {"isl": "input", "osl": "output"}
_SINGLE: Final = {each.name: each for each in (MODEL, *FIELDS, *MORE)}
_REPEATED: Final = tuple(each.name for each in ROW)


@frozen
class Typed:
    """The typed fields as text; the form shows them again even where they are invalid.

    Attributes:
        words: text by field, those that were left empty not among them.
        rows: system, chips and price of each system.
        strange: names that no field has, and fields that were given twice.
    """

    words: Mapping[str, str] = field(factory=dict)
    rows: tuple[tuple[str, str, str], ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was asked."""
        return not self.words and not self.rows and not self.strange

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values of the address that asks the same: nothing that was left empty, in one order."""
        out = [(MODEL.name, self.words[MODEL.name])] if MODEL.name in self.words else []
        for place, name in enumerate(_REPEATED):
            column = [row[place] for row in self.rows]
            if any(column):
                out += [(name, value) for value in column]
        return out + [(name, self.words[name]) for name in _SINGLE if name in self.words and name != MODEL.name]

    @property
    def address(self) -> str:
        """The address, after the host."""
        return f"/?{urlencode(self.pairs)}" if self.pairs else "/"


def typed_fields(pairs: Iterable[tuple[str, str]]) -> Typed:
    """Return the typed fields from names and values of an address; ``isl`` and ``osl`` are the lengths of a request.

    >>> typed_fields([("model", "deepseek-v3"), ("system", "dgx-h100"), ("osl", "512"), ("tpot", "")]).address
    '/?model=deepseek-v3&system=dgx-h100&output=512'
    """
    words: dict[str, str] = {}
    columns: dict[str, list[str]] = {name: [] for name in _REPEATED}
    strange = []
    for given, value in pairs:
        name, text = _ALIASES.get(given, given), value.strip()
        if name in columns:
            columns[name].append(text)
        elif name not in _SINGLE or name in words:
            strange.append(given)
        elif text and text != BEST:
            words[name] = text
    length = max(map(len, columns.values()))
    rows = zip(*(column + [""] * (length - len(column)) for column in columns.values()), strict=True)
    return Typed(words, tuple(row for row in rows if any(row)), tuple(strange))


@frozen(eq=False)
class Side:
    """One system of a question.

    Attributes:
        name: as it was typed.
        system: the system, as it is described.
        chips: how many of its chips are used; None for all.
        price: US dollars per chip and hour that were typed; None where the published cost holds.
    """

    name: str
    system: System
    chips: int | None
    price: float | None = None


@frozen(eq=False)
class Question:
    """A valid question.

    Attributes:
        model: name or path of the model.
        sides: the systems.
        tpot, ttft: limits, as text.
        deployment: :data:`BEST` or :data:`ONE`.
        words: what else a service is asked, under the library's names.
    """

    model: str
    sides: tuple[Side, ...]
    tpot: str
    ttft: str
    deployment: str
    words: Mapping[str, Any]


def parse(text: Typed) -> Question:
    """Return the question from the typed fields.

    Raises:
        RooflineError: what is missing, unknown, or no number; one line that names the field, its value, the rule and the remedy.
    """
    for name in text.strange:
        if name in _SINGLE:
            raise QuestionError(f"{name}: was given twice; give it once")
        raise QuestionError(
            fault("word", name, "is no field of this page", near(name, [*_SINGLE, *_REPEATED], "fields"))
        )
    if MODEL.name not in text.words:
        raise QuestionError("model: is missing; give a name (roofline list models), or the path of a config.json")
    if not text.rows:
        raise QuestionError("system: is missing; give a name (roofline list systems), or the path of a TOML file")
    if len(text.rows) > MOST:
        raise QuestionError(fault("systems", len(text.rows), f"are more than {MOST} side by side", "leave some out"))
    words: dict[str, Any] = {}
    for each in (*FIELDS, *MORE):
        if each.name in text.words:
            words[each.name] = parse_real(each.name, text.words[each.name]) if each.digits else text.words[each.name]
    deployment = words.pop("deployment", BEST)
    if deployment not in (BEST, ONE):
        raise QuestionError(fault("deployment", deployment, "no such deployment", f"{BEST} or {ONE}"))
    tpot, ttft = (words.pop(name, _SINGLE[name].usual) for name in ("tpot", "ttft"))
    model = catalog.model(text.words[MODEL.name])
    del model  # it can be read
    return Question(text.words[MODEL.name], tuple(map(_side, text.rows)), tpot, ttft, deployment, words)


def _side(row: tuple[str, str, str]) -> Side:
    name, chips, price = row
    if not name:
        raise QuestionError("system: is missing where chips or a price are given; name the system")
    system = catalog.system(name)
    dollars = _positive("price", price, parse_real) if price else None
    return Side(name, system, int(_positive("chips", chips, parse_whole)) if chips else None, dollars)


def _positive(name: str, text: str, read: Callable[[str, str], float]) -> float:
    value = read(name, text)
    refuse(name, value, 0.0, strict=True)
    return value
