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
from roofline.core.fields import number, without_none
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.hardware.numbers import number_of, read_number, with_number
from roofline.operators.feasibility import Rule, serving_rules, training_rules
from roofline.planner.candidates import grid, ranks_of
from roofline.planner.frontier import Refusals, joined, refusals
from roofline.planner.settings import setting
from roofline.planner.train import trained_on
from roofline.planner.training_candidates import laid
from roofline.planner.words import DegreeWords, EngineWords, FrameworkWords, GridWords, part, rest
from roofline.workload.layout import Layout, PoolLayouts
from roofline.workload.questions import Decode, Prefill, Serve, TrainStep

PHASES: Final[Mapping[str, Any]] = {
    "decode": Decode, "prefill": Prefill, "serve": Serve, "pools": Serve, "train": TrainStep,
}  # fmt: skip
"""What may be asked of a configuration, and the noun of the question; ``pools`` is a service by disaggregated prefill and decode."""


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
    """All configurations of one model on one system in one phase, under the same words.

    Attributes:
        labels: the words, by what they are.
        asked: question, system, layout (of pools, those of both) and constants, each number an array along its own axis.
        shape: of the grid.
        axes: name and values of what lies along each axis; a layout has several degrees.
        refused: layouts that cannot be laid out, by the first law they break, times all else.
    """

    labels: Mapping[str, str]
    asked: tuple[Any, System, Layout | PoolLayouts, Calibration]
    shape: tuple[int, ...]
    axes: tuple[tuple[str, NDArray[Any]], ...]
    refused: Refusals

    @property
    def points(self) -> int:
        """Configurations of the grid; a family none of whose layouts can be laid out has none."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def name(self) -> str:
        """The words in one line."""
        return " ".join(self.labels.values())

    def plain(self) -> tuple[Any, System, Layout | PoolLayouts, Calibration]:
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
        """Configurations of all families, with those that cannot be laid out."""
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
    if "pools" not in asked_phases:
        for word in ("prefill_chips", "prefill_layout", "prefill_tp"):
            if words.get(word) is not None:
                raise QuestionError(fault(word, words[word], "is of a pool that prefills", 'ask for phase="pools"'))
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
                        {**base, **labels}, noun, rack, profile, phase=phase, labels=labels, numbers=numbers, words=words,
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
    numbers: Mapping[str, NDArray[np.float64]], words: Mapping[str, Any],
) -> Family:  # fmt: skip
    """Return one family: layouts along the first axis, those of a prefill pool along the second, then each number along its own."""
    pools = _POOLS if phase == "pools" else _ONE_POOL
    sets = {name: _values(system, name, value) for name, value in (words.get("vary") or {}).items()}
    along = {name: values for name, values in {**numbers, **sets}.items() if values.size > 1}
    rank = len(pools) + len(along)
    places = {name: len(pools) + i for i, name in enumerate(along)}

    def laid_along(name: str, values: NDArray[np.float64]) -> Any:
        return float(values[0]) if values.size == 1 else _on_axis(values, places[name], rank)

    own = {name: laid_along(name, values) for name, values in numbers.items()}
    own |= {word: value for word, value in labels.items() if word not in _TOLD}
    question = question_of(phase, model, own)
    for name, values in sets.items():
        system = with_number(system, name, laid_along(name, values))
    splits = [_tried(question, system, phase, pool, words=words, labels=labels) for pool in pools]
    if phase == "train":
        splits = [attrs.evolve(splits[0], **{word: value for word, value in labels.items() if word in _TOLD})]
    counts = [max(np.size(getattr(split, name)) for name in _DEGREES) for split in splits]
    rest = int(np.prod([values.size for values in along.values()], dtype=np.int64))
    refused: list[Refusals] = []
    for axis, (pool, split, count) in enumerate(zip(pools, splits, counts, strict=True)):
        spread: Any = {
            name: _on_axis(np.broadcast_to(value, (count,)), axis, rank)
            for name in _DEGREES
            if (value := getattr(split, name)) is not None
        }
        split = attrs.evolve(split, **spread)  # noqa: PLW2901
        laws = training_rules(question, system, split) if phase == "train" else serving_rules(model, system, split)
        if phase == "pools":
            laws = tuple(law.of_pool(pool or "decode") for law in laws)
        others = int(np.prod([n for i, n in enumerate(counts) if i != axis], dtype=np.int64))
        ok, bad = _lawful(laws, count, axis, rest * others)
        refused.append(bad)
        where = tuple(ok if i == axis else slice(None) for i in range(rank))
        splits[axis] = attrs.evolve(split, **{name: value[where] for name, value in spread.items()})
        counts[axis] = int(ok.sum())
    shape = (*counts, *(values.size for values in along.values()))
    heads = ((f"{pool}_layout" if pool else "layout", np.arange(n)) for pool, n in zip(pools, counts, strict=True))
    split_: Any = PoolLayouts(*splits) if phase == "pools" else splits[0]
    asked = (question, system, split_, profile)
    return Family({k: str(v) for k, v in told.items()}, asked, shape, (*heads, *along.items()), joined(refused))


_ONE_POOL: Final = ("",)
_POOLS: Final = ("", "prefill")
"""What comes before the words of each pool: those that decode have the words of all layouts."""


def _on_axis(values: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    """Return values along one axis of so many."""
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


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


def _lawful(laws: Sequence[Rule], count: int, axis: int, rest: int) -> tuple[NDArray[np.bool_], Refusals]:
    """Return which layouts of an axis keep the laws that ask for nothing else, and how many configurations the others would have been."""
    ok, own = np.ones(count, dtype=bool), list[Rule]()
    for law in laws:
        mask = np.asarray(law.ok)
        if mask.size == 1 or (mask.size == count and mask.shape[axis] == count):
            own.append(attrs.evolve(law, ok=np.broadcast_to(mask.ravel(), (count,))))
    refused = refusals(own, ok, rest)
    for law in own:
        ok = ok & np.asarray(law.ok)
    return ok, refused


def _tried(
    question: Any, system: System, phase: str, pool: str, *, words: Mapping[str, Any], labels: Mapping[str, Any]
) -> Layout:
    """Return the layouts of a pool to try, on one axis: those given, or all worth trying on each number of chips.

    Args:
        pool: what the words of the pool begin with; "" for chips that do all, or decode.
    """
    before = f"{pool}_" if pool else ""
    layouts: Layout | None = words.get(f"{before}layout")
    chips = _listed(f"{before}chips", words.get(f"{before}chips"))
    if phase == "pools" and (layouts is None) == (chips == [None]):
        rule = "each pool has layouts, or numbers of chips"
        raise QuestionError(
            fault(f"{before}chips", words.get(f"{before}chips"), rule, f"give {before}chips or {before}layout")
        )
    if layouts is not None:
        return layouts
    fixable = ("tp",) if pool else ("tp", "pp", "dp", "ep", "cp", "vpp")
    degrees = without_none(**{name: words.get(f"{before}{name}") for name in fixable})
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
    joined_: Any = {name: np.concatenate([getattr(each, name) for each in found]) for name in names}
    return attrs.evolve(found[0], **joined_)


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
