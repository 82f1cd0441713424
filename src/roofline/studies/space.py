"""A space of designs: every model on every system in every phase, and for each a grid of layouts, sizes and numbers of hardware.

What is a word (a model, a system, a phase, a format) makes a *family*; what is a number is an axis of the family's grid. A grid is
never there as a whole: each number is an array along its own axis.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline import catalog
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.fields import given, number
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.hardware.numbers import number_of, read_number, with_number
from roofline.operators.feasibility import Rule, serving_rules, training_rules
from roofline.planner.candidates import grid, ranks_of
from roofline.planner.frontier import Refusals, refusals
from roofline.planner.settings import setting
from roofline.planner.train import trained_on
from roofline.planner.training_candidates import laid
from roofline.planner.words import DegreeWords, EngineWords, FrameworkWords, GridWords, part, rest
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Serve, TrainStep

PHASES: Final[Mapping[str, Any]] = {"decode": Decode, "prefill": Prefill, "serve": Serve, "train": TrainStep}
"""What may be asked of a plan, and the noun of the question."""


def question_of(phase: str, model: Any, words: Mapping[str, Any]) -> Any:
    """Return the question that a phase asks of a model.

    Raises:
        QuestionError: a word without which it has no meaning is missing.
    """
    noun = PHASES[phase]
    needed = [each.name for each in attrs.fields(noun) if each.default is attrs.NOTHING and each.name != "model"]
    lacking = [name for name in needed if name not in words]
    if lacking:
        values = " ".join(f"{name}=..." for name in lacking)
        raise QuestionError(
            fault("phase", phase, f"needs {' and '.join(lacking)}", f"give {values} (--set on the command line)")
        )
    return noun(model, **words)


_TOLD: Final = {"sharding", "schedule", "sequence_parallel"}
"""Words of a layout in training."""
_DEGREES: Final = ("tp", "pp", "dp", "ep", "replicas", "cp", "vpp", "etp")
_SERVED: Final = ("tp", "pp", "dp", "ep", "replicas")


@frozen(eq=False)
class Family:
    """All plans of one model on one system in one phase, under the same words.

    Attributes:
        labels: the words, by what they are.
        asked: question, system, layout and constants, each number an array along its own axis.
        shape: of the grid.
        axes: name and values of what lies along each axis; a layout has several degrees.
        refused: layouts that cannot be laid out, by the first law they break, times all else.
    """

    labels: Mapping[str, str]
    asked: tuple[Any, System, Layout, Calibration]
    shape: tuple[int, ...]
    axes: tuple[tuple[str, NDArray[Any]], ...]
    refused: Refusals

    @property
    def points(self) -> int:
        """Plans of the grid; a family none of whose layouts can be laid out has none."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def name(self) -> str:
        """The words in one line."""
        return " ".join(self.labels.values())

    def plain(self) -> tuple[Any, System, Layout, Calibration]:
        """Return what was asked without the sources of its numbers: all that prices it, and quick to send away."""
        question, system, layout, profile = self.asked
        system = attrs.evolve(system, facts=(), package=attrs.evolve(system.package, facts=()))
        engine, framework = attrs.evolve(profile.engine, facts=()), attrs.evolve(profile.framework, facts=())
        profile = attrs.evolve(profile, facts=(), stacks={}, found=(), engine=engine, framework=framework)
        return question, system, layout, profile


@frozen(eq=False)
class Space:
    """Families, what was assumed to make them, and what is unsure of their models.

    Attributes:
        families: the families.
        notes: what was assumed to make them.
        warnings: what is unsure of their models.
    """

    families: tuple[Family, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Plans of all families, with those that cannot be laid out."""
        return sum(each.points + sum(one.plans for one in each.refused.values()) for each in self.families)


def space(models: Any, systems: Any, phases: str | Sequence[str], words: Mapping[str, Any]) -> Space:
    """Return the space that keywords of :func:`roofline.studies.sweep.sweep` span: those of the machine and the grid, and sizes.

    Raises:
        QuestionError: a word that no phase knows, or nothing to sweep.
    """
    asked_phases = _listed("phase", phases)
    for phase in asked_phases:
        if phase not in PHASES:
            raise unknown("phase", str(phase), PHASES)
    sizes = rest(words, EngineWords, FrameworkWords, DegreeWords, GridWords)
    _known(asked_phases, sizes)
    degrees = given(**part(words, DegreeWords), cp=words.get("cp"), vpp=words.get("vpp"))
    families, notes, warnings = [], dict[str, None](), dict[str, None]()
    for model, system, phase in product(_listed("models", models), _listed("systems", systems), asked_phases):
        for stored, cache in product(_listed("dtype", words.get("dtype")), _listed("kv_dtype", words.get("kv_dtype"))):
            noun = catalog.model(model, dtype=stored, kv_dtype=cache)
            warnings |= dict.fromkeys(noun.notices)
            if phase == "train":
                rack, profile, remarks = trained_on(system, **part(words, FrameworkWords))
            else:
                rack, profile, remarks = setting(system, **part(words, EngineWords))
            notes |= dict.fromkeys(remarks)
            base = {"model": noun.name, "system": rack.name, "phase": phase, "dtype": noun.dtype}
            if cache is not None:
                base["kv_dtype"] = str(cache)
            for labels, numbers in _split(phase, sizes):
                families.append(
                    _family(
                        {**base, **labels}, noun, rack, profile, phase=phase, labels=labels, numbers=numbers, degrees=degrees,
                        vary=words.get("vary") or {}, layouts=words.get("layout"), chips=_listed("chips", words.get("chips")),
                    )
                )  # fmt: skip
    return Space(tuple(families), (*notes, *warnings), tuple(warnings))


def _listed(name: str, value: Any) -> list[Any]:
    """Return one thing, or many, as a list; a noun, a name, a path and None are one thing.

    Raises:
        QuestionError: none at all.
    """
    if isinstance(value, (str, Path, Mapping)) or value is None or attrs.has(type(value)):
        return [value]
    found = list(value) if isinstance(value, Iterable) else [value]
    if not found:
        raise QuestionError(fault(name, value, "must be one value, or a list of them"))
    return found


def _fields(phase: str) -> list[str]:
    own = [each.name for each in attrs.fields(PHASES[phase]) if each.name != "model"]
    return [*own, *_TOLD] if phase == "train" else own


def _known(phases: Iterable[str], words: Mapping[str, Any]) -> None:
    known = {word: None for phase in phases for word in _fields(phase)}
    for word in words:
        if word not in known:
            raise unknown("word", word, known)


def _split(phase: str, words: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[np.float64]]]]:
    """Yield every combination of the words that are text, each with the numbers that are the same for all of them."""
    own = {word: value for word, value in words.items() if word in _fields(phase) and value is not None}
    texts, numbers = dict[str, list[Any]](), dict[str, NDArray[np.float64]]()
    for word, value in own.items():
        some = _listed(word, value)
        if all(isinstance(each, (str, bool)) for each in some):
            texts[word] = some
            continue
        array = np.asarray(number(value, word))
        if array.ndim > 1 or not array.size:
            raise QuestionError(fault(word, array.shape, "must be one number, or a list of them"))
        numbers[word] = np.atleast_1d(array)
    for each in product(*texts.values()):
        yield dict(zip(texts, each, strict=True)), numbers


def _family(
    told: Mapping[str, Any], model: Any, system: System, profile: Calibration, *, phase: str, labels: Mapping[str, Any],
    numbers: Mapping[str, NDArray[np.float64]], vary: Mapping[str, Any], layouts: Layout | None, chips: Sequence[int | None],
    degrees: Mapping[str, Num],
) -> Family:  # fmt: skip
    """Return one family: layouts along the first axis, then each number along its own."""
    sets = {name: _values(system, name, value) for name, value in vary.items()}
    along = {name: values for name, values in {**numbers, **sets}.items() if values.size > 1}
    rank = 1 + len(along)
    places = {name: i + 1 for i, name in enumerate(along)}

    def laid_along(name: str, values: NDArray[np.float64]) -> Any:
        if values.size == 1:
            return float(values[0])
        return values.reshape([-1 if i == places[name] else 1 for i in range(rank)])

    own = {name: laid_along(name, values) for name, values in numbers.items()}
    own |= {word: value for word, value in labels.items() if word not in _TOLD}
    question = question_of(phase, model, own)
    for name, values in sets.items():
        system = with_number(system, name, laid_along(name, values))
    split = _tried(question, system, phase, layouts, chips=chips, degrees=degrees, labels=labels)
    if phase == "train":
        split = attrs.evolve(split, **{word: value for word, value in labels.items() if word in _TOLD})
    count = max(np.size(getattr(split, name)) for name in _DEGREES)
    spread: Any = {
        name: np.broadcast_to(value, (count,)) if name != "etp" or value is not None else None
        for name in _DEGREES
        if (value := getattr(split, name)) is not None
    }
    split = attrs.evolve(split, **{name: value.reshape(-1, *[1] * (rank - 1)) for name, value in spread.items()})
    laws = training_rules(question, system, split) if phase == "train" else serving_rules(model, system, split)
    rest = int(np.prod([values.size for values in along.values()], dtype=np.int64))
    ok, refused = _lawful(laws, count, rest)
    split = attrs.evolve(split, **{name: getattr(split, name)[ok] for name in spread})
    shape = (int(ok.sum()), *(values.size for values in along.values()))
    axes = (("layout", np.arange(shape[0])), *along.items())
    return Family({k: str(v) for k, v in told.items()}, (question, system, split, profile), shape, axes, refused)


def _values(system: System, name: str, given: Any) -> NDArray[np.float64]:
    """Return the values that a number of the hardware takes: plain, text with units, or factors of what it is, such as ``1.5x``."""
    before = number_of(system, name)

    def one(value: Any) -> float:
        if not (isinstance(value, str) and re.fullmatch(r"[0-9.]+x", value.strip())):
            return float(read_number(name, value))
        if before is None:
            raise QuestionError(fault(name, value, f"is not known of {system.name}", "give its value"))
        return float(value.strip()[:-1]) * float(before)

    out = np.array([one(value) for value in _listed(name, given)], dtype=np.float64)
    if not out.size:
        raise QuestionError(fault(name, given, "must be one value, or a list of them"))
    return out


def _lawful(laws: Sequence[Rule], count: int, rest: int) -> tuple[NDArray[np.bool_], Refusals]:
    """Return which layouts keep the laws that ask for nothing else, and how many plans the others would have been."""
    ok, own = np.ones(count, dtype=bool), list[Rule]()
    for law in laws:
        mask = np.asarray(law.ok)
        if mask.size == 1 or (mask.size == count and mask.shape[0] == count):
            own.append(attrs.evolve(law, ok=np.broadcast_to(mask.ravel(), (count,))))
    refused = refusals(own, ok, rest)
    for law in own:
        ok = ok & np.asarray(law.ok)
    return ok, refused


def _tried(
    question: Any, system: System, phase: str, layouts: Layout | None,
    *, chips: Sequence[int | None], degrees: Mapping[str, Num], labels: Mapping[str, Any],
) -> Layout:  # fmt: skip
    """Return the layouts to try, on one axis: those given, or all worth trying on each number of chips."""
    if layouts is not None:
        return layouts
    found = []
    for each in chips:
        ranks = ranks_of(attrs.evolve(system, chips=float(np.max(system.chips))), each)
        if phase == "train":
            fixed: Any = {name: float(value) for name, value in degrees.items()}
            one = attrs.evolve(question, micro_batch=1.0)
            _, split, whole = laid(
                one, system, ranks, fixed, schedule=str(labels.get("schedule", "1f1b")), micro_batches=(1.0,)
            )
            cut: Any = {
                name: np.broadcast_to(getattr(split, name), whole.shape)[whole]
                for name in _DEGREES
                if name != "replicas"
            }
            found.append(attrs.evolve(split, **cut))
        else:
            found.append(grid(question.model, ranks, degrees))
    names = _SERVED if phase != "train" else tuple(name for name in _DEGREES if name != "replicas")
    joined: Any = {name: np.concatenate([getattr(each, name) for each in found]) for name in names}
    return attrs.evolve(found[0], **joined)


def digest(*nouns: object) -> str:
    """Return a short text that differs for any two questions that differ in a number or a word.

    >>> digest(1.0, "a") == digest(1.0, "a"), digest(1.0) == digest(2.0), len(digest(None))
    (True, False, 32)
    """
    made = hashlib.sha256()
    for noun in nouns:
        _fold(noun, made)
    return made.hexdigest()[:32]


def _fold(noun: object, into: Any) -> None:
    if isinstance(noun, np.ndarray):
        into.update(f"array {noun.shape} {noun.dtype}".encode() + np.ascontiguousarray(noun).tobytes())
    elif isinstance(noun, Mapping):
        into.update(f"mapping {len(noun)}".encode())
        for key, value in noun.items():
            into.update(repr(key).encode())
            _fold(value, into)
    elif isinstance(noun, (tuple, list)):
        into.update(f"list {len(noun)}".encode())
        for item in noun:
            _fold(item, into)
    elif attrs.has(type(noun)):
        into.update(type(noun).__name__.encode())
        for each in attrs.fields(cast("Any", type(noun))):
            if each.name != "facts":
                _fold(getattr(noun, each.name), into)
    else:
        into.update(repr(noun).encode())
