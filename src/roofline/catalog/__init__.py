"""Loads descriptors and models by name or path: the library's own or a user's.

Files are hostile until read: their size is bounded, special files and other encodings are refused, duplicate keys and
bottomless nesting are errors, and every message names the file.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from roofline.catalog import descriptors, operations, software, stacks
from roofline.catalog import energy as energies
from roofline.catalog.evidence import evidence
from roofline.catalog.files import (
    LARGEST,
    is_file,
    is_folder,
    lines_of,
    located,
    read_bytes,
    read_json,
    read_rows,
    read_toml,
)
from roofline.catalog.folders import FOLDERS, NAME, as_name, filed, looks_like_path, names, root
from roofline.catalog.model_names import model_name, own_format
from roofline.catalog.models import is_derived_name, named, read_config
from roofline.catalog.operations import Operation
from roofline.catalog.output import check_places, write, write_all
from roofline.core.errors import QuestionError, UnknownNameError, fault, unknown
from roofline.core.mappings import Table, every_fault
from roofline.core.provenance import Fact
from roofline.core.remember import remembered
from roofline.core.signatures import typed
from roofline.core.values import Json
from roofline.hardware.constants import IDEAL, LEVELS, Calibration
from roofline.hardware.energy import Energy
from roofline.hardware.engines import Engine, runtime_of
from roofline.hardware.frameworks import Framework
from roofline.hardware.hardware import Chip, Fabric, System, Tier
from roofline.models.architecture import Model

__all__ = [
    "LARGEST",
    "asset",
    "check_places",
    "chip",
    "energy",
    "engine",
    "engines",
    "evidence",
    "fabric",
    "framework",
    "is_folder",
    "kind_of",
    "launch",
    "lines_of",
    "located",
    "measured",
    "model",
    "names",
    "operation",
    "own_format",
    "profile",
    "read_json",
    "read_rows",
    "read_toml",
    "root",
    "served_by",
    "system",
    "template",
    "write",
    "write_all",
]

_LOG: Final = logging.getLogger("roofline")
_LOG.addHandler(logging.NullHandler())
"""What a reader is unsure of: silent in a program that listens to no log; the command line prints each line once."""
_RUNS: Final = "workloads/runs"
_LAUNCH: Final = "workloads/launch"
_SUSTAINED: Final = "hardware/sustained.toml"
_OPERATION: Final = "hardware/operation.toml"
_ENERGY: Final = "hardware/energy.toml"
_MOST_KEPT: Final = 512


def _found(kind: str, text: object) -> Path:
    """Return the file of a descriptor given by name or path.

    Raises:
        UnknownNameError: neither a known name nor a file.
    """
    if not isinstance(text, (str, Path)):
        raise QuestionError(fault(kind, text, "must be a name or a path"))
    given = str(text)
    if isinstance(text, Path) or looks_like_path(given):
        return located(kind, given)
    name = filed(kind, given)
    if NAME.fullmatch(name) and name in names(kind):
        return root() / FOLDERS[kind] / f"{name}.toml"
    if kind in ("system", "chip", "model"):
        hint = _elsewhere(kind, name)
        if hint:
            raise UnknownNameError(fault(kind, given, f"no such {kind}", hint))
    remedy = f"list them with `roofline list {kind}s`, or give the path of a TOML file"
    raise unknown(kind, given, names(kind), remedy if kind != "calibration" else "")


def _file(kind: str, given: str) -> Path:
    """Return the file of a descriptor given by text, as :func:`_found` does; that of a name is looked for once."""
    return _found(kind, given) if looks_like_path(given) else _named_file(kind, given)


@functools.lru_cache(maxsize=512)
def _named_file(kind: str, name: str) -> Path:
    return _found(kind, name)


_SEVERAL: Final = re.compile(r"(?P<count>[0-9]{1,6})-?x-?(?P<chip>.+)|(?P<before>.+?)-?(?:-|x)-?(?P<after>[0-9]{1,6})")
"""So many chips of a kind, as 8xh100 and h100-8."""


def _elsewhere(kind: str, name: str) -> str:
    """Return the kind of a name that is of another kind, and the remedy; empty for an unknown name."""
    if kind == "system":
        several = _SEVERAL.fullmatch(name)
        parts = [name, name.partition("-")[0], *((several["chip"] or several["before"],) if several else ())]
        chips = [filed("chip", each) for each in parts if filed("chip", each) in names("chip")]
        holding = systems_of(chips[0]) if chips else []
        if holding:
            more = f" and {len(holding) - 6} more" if len(holding) > 6 else ""
            count = f"; give one of them and chips={several['count'] or several['after']}" if several else ""
            return f"{chips[0]} is a chip; systems that hold it: {', '.join(holding[:6])}{more}{count}"
    other = next((each for each in ("system", "chip", "model") if each != kind and name in names(each)), None)
    return "" if other is None else f"{name} is a {other}; list {kind}s with `roofline list {kind}s`"


def systems_of(chip_: str) -> list[str]:
    """Return the systems whose chip is called so, the largest last."""
    found = [(system(each).chips, each) for each in names("system") if system(each).package.name == chip_]
    return [name for _, name in sorted(found)]


def larger(given: System) -> str:
    """Return a remedy that names systems of the same chip which join more ranks; empty where there is none."""
    found = [name for name in systems_of(given.package.name) if system(name).reach > given.reach]
    return f"name a system that holds more: {' or '.join(found[:6])}" if found else ""


def kind_of(given: str | Path) -> str | None:
    """Return whether a name or path is that of a ``system``, a ``chip`` or a ``model``; None for a name that no descriptor has.

    Raises:
        DescriptorError: the file cannot be read.
    """
    text = str(given)
    if text.endswith(".toml") and (isinstance(given, Path) or looks_like_path(text)):
        tables = read_toml(located("name", text))
        return next((kind for kind in ("system", "chip", "model") if kind in tables), "chip")
    name = as_name(text)
    found = next((kind for kind in ("system", "chip") if filed(kind, text) in names(kind)), None)
    is_model = looks_like_path(text) or "/" in text or is_derived_name(name) or model_name(name) is not None
    return "model" if found is None and is_model else found


Stamps = tuple[tuple[Path, float], ...]
_READ: Final[dict[tuple[str, Path], tuple[Stamps, Any]]] = {}


def _read(kind: str, path: Path) -> tuple[Any, tuple[Path, ...]]:
    """Return the noun that a file describes, and the files it was read from."""
    name, files = path.stem, [path]

    def find(given: str) -> Chip:
        files.append(_found("chip", _relative_path(path, given)).resolve())
        return chip(files[-1])

    def joined(given: str) -> Fabric:
        files.append(_found("fabric", _relative_path(path, given)).resolve())
        return fabric(files[-1])

    readers: dict[str, Callable[[Table], object]] = {
        "chip": lambda top: descriptors.chip(top, name),
        "system": lambda top: descriptors.system(top, name, find, joined),
        "fabric": lambda top: descriptors.fabric(top, name),
        "engine": lambda top: stacks.read(top, name),
        "framework": lambda top: software.framework(top, name, lambda given: _load("framework", given)),
        "sustained": software.sustained,
        "operation": operations.operation,
        "energy": energies.energy,
        "calibration": lambda top: descriptors.calibration(top, name, lambda given: _load("calibration", given)),
    }
    return every_fault(readers[kind], Table(read_toml(path), str(path))), tuple(files)


def _relative_path(path: Path, given: str) -> str | Path:
    """Return the chip that a system's file names; a path is relative to that file."""
    return path.parent / given if looks_like_path(given) else given


def _stamp(path: Path) -> float:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116, once for each file of each question
    except (OSError, ValueError):
        return 0.0


def _load(kind: str, given: object) -> Any:
    """Return the noun of a name or path; a file is read again once it, or the chip's file it names, has changed."""
    return _loaded(kind, _file(kind, given) if isinstance(given, str) else _found(kind, given))


def _own(kind: str, name: str) -> Any:
    """Return the noun of a file that comes with the library."""
    return _loaded(kind, _own_file(name))


@functools.cache
def _own_file(name: str) -> Path:
    return root() / name


def _loaded(kind: str, path: Path) -> Any:
    key = (kind, path if path.is_absolute() else path.absolute())
    entry = _READ.get(key)
    if entry is not None and all(_stamp(file) == stamp for file, stamp in entry[0]):
        return entry[1]
    noun, files = _read(kind, path)
    if len(_READ) > _MOST_KEPT:
        _READ.clear()
    _READ[key] = tuple((file, _stamp(file)) for file in files), noun
    return noun


@typed
def chip(given: str | Path | Chip) -> Chip:
    """Return a chip by its name in ``hardware/chips`` or the path of a TOML file.

    Args:
        given: an object, a name (``roofline list chips``), or a path.

    Returns:
        The chip; peaks in FLOP/s, memory in bytes.

    Raises:
        UnknownNameError: no such name.
        DescriptorError: the file cannot be read.

    >>> chip("h100").memory.capacity / 1e9  # GB
    80.0
    """
    return given if isinstance(given, Chip) else _load("chip", given)


def fabric(given: str | Path | Fabric) -> Fabric:
    """Return a network between nodes by its name in ``hardware/fabrics`` or the path of a TOML file.

    Raises:
        UnknownNameError: no such name. DescriptorError: the file cannot be read.
    """
    return given if isinstance(given, Fabric) else _load("fabric", given)


@typed
def system(given: str | Path | System) -> System:
    """Return a system by its name in ``hardware/systems`` or the path of a TOML file; a chip, by name or file, is a system of one.

    Args:
        given: an object, a name (``roofline list systems``), or a path.

    Returns:
        The system: its chip, its tiers, its cost and power.

    Raises:
        UnknownNameError: no such name.
        DescriptorError: the file cannot be read.

    >>> float(system("dgx-h100").chips), [tier.name for tier in system("dgx-h100").tiers][:1]
    (8.0, ['NVLink 4'])
    """
    if isinstance(given, System):
        return given
    alone = filed("chip", given) if isinstance(given, str) and not looks_like_path(given) else ""
    if (
        alone
        and NAME.fullmatch(alone)
        and alone in names("chip")
        and filed("system", str(given)) not in names("system")
    ):
        return _alone(chip(alone))
    if looks_like_path(str(given)) and str(given).endswith(".toml") and kind_of(given) == "chip":
        return _alone(chip(given))
    return _load("system", given)  # type: ignore[no-any-return]


def _alone(one: Chip) -> System:
    """Return a chip as a system of one, which reaches no other."""
    tier = Tier("alone", 1.0, one.memory.bandwidth, 0.0)
    return System(one.name, one, 1.0, (tier,), vendor=one.vendor, title=f"one {one.title or one.name}")


@typed
def engine(given: str | Path | Engine, system_: System | str | Path | None = None, *, kind: str = "") -> Engine:
    """Return the stack of a serving engine on a system: ``ENGINE[@RELEASE][+KIND]``, or the path of a TOML file.

    Engines have a file in ``workloads/stacks`` or another name inside one (``vllm-ascend``); ``none`` adds nothing to kernels. Without a
    system the stack is that of the engine's own runtime, or of none in particular.

    Args:
        kind: of the launch, where ``given`` names none: ``default``, ``tuned`` or ``day-0``; as ``default`` where it is not known.

    Raises:
        UnknownNameError: no such name or kind. DescriptorError: the file cannot be read.
    """
    if isinstance(given, Engine):
        return given
    if given == "none":
        return Engine()
    machine = _machine(None if system_ is None else system(system_))
    generic: stacks.Layer = _load("engine", "generic")
    if isinstance(given, Path) or looks_like_path(str(given)):
        path = _found("engine", given)
        return stacks.resolve(path.stem, _load("engine", given), generic, evolve(machine, kind=kind))
    name, release, asked = stacks.split(str(given))
    # A file's own name needs no look into the other files.
    file, runtime = (name, "") if name in names("engine") else _engines().get(name, (name, ""))
    if file not in names("engine"):
        raise unknown("engine", name, tuple(_engines()), "list them with `roofline list engines`")
    found = evolve(machine, release=release, kind=asked or kind)
    if runtime and not found.runtime:
        found = evolve(found, runtime=runtime)
    return stacks.resolve(file, _load("engine", file), generic, found)


def served_by(system_: System | str | Path) -> str:
    """Return the engine under which the best published services of large models on a system run; ``generic`` where none is stated.

    >>> served_by("cloudmatrix384"), served_by("gb200-nvl72"), served_by("gaudi3-8")
    ('cloudmatrix-infer', 'trtllm', 'generic')
    """
    on = system(system_).name
    stated = ((name, _load("engine", name).values.get("systems", ())) for name in names("engine"))
    return next((name for name, systems in stated if on in systems), "generic")


def split_engine(given: str) -> tuple[str, str, str]:
    """Return the engine, the release and the kind of launch that ``ENGINE[@RELEASE][+KIND]`` names; "" for what it does not."""
    return stacks.split(given)


def releases(name: str) -> tuple[str, ...]:
    """Return the releases of an engine that its file describes, the oldest first.

    >>> releases("sglang")[-1]
    '0.5.10'
    """
    file = name if name in names("engine") else _engines().get(name, (name, ""))[0]
    layer: stacks.Layer = _load("engine", file)
    return tuple(layer.inner.get("release", {}))


def engines() -> tuple[str, ...]:
    """Return the names of the serving engines in the library, with separate names for some runtimes."""
    return tuple(_engines())


def _engines() -> dict[str, tuple[str, str]]:
    """Return the file of each engine's name, and the runtime that the name stands for; "" where it stands for none."""
    out = {name: (name, "") for name in names("engine")}
    for name in names("engine"):
        root_: stacks.Layer = _load("engine", name)
        for layer in root_.all():
            place = layer.place.split(".runtime.")
            runtime = place[1].split(".")[0] if len(place) > 1 else ""
            out |= dict.fromkeys(layer.names, (name, runtime))
    return dict(sorted(out.items()))


@remembered(64)
def _machine(on: System | None) -> stacks.Machine:
    """Return what a system is to the tables of stacks."""
    if on is None:
        return stacks.Machine()
    part = on.package
    kin = part.generation
    if not kin and part.silicon in names("chip"):
        kin = chip(part.silicon).generation
    return stacks.Machine(runtime_of(part.vendor), kin, on.cpu)


@typed
def framework(given: str | Path | Framework) -> Framework:
    """Return a training framework by its name in ``workloads/frameworks`` or the path of a TOML file; ``none`` adds nothing.

    Args:
        given: an object, a name (``roofline list frameworks``), or a path.

    Returns:
        The framework: times in seconds, shares without a unit.

    Raises:
        UnknownNameError: no such name.
        DescriptorError: the file cannot be read.

    >>> framework("none").name
    'none'
    """
    if isinstance(given, Framework):
        return given
    return Framework() if given == "none" else _load("framework", given)


def operation(given: str | Path | Operation | None = None) -> Operation:
    """Return what long runs meet: ``hardware/operation.toml``, or the path of a TOML file like it.

    Raises:
        DescriptorError: the file cannot be read.
    """
    if isinstance(given, Operation):
        return given
    return _own("operation", _OPERATION) if given is None else _load("operation", Path(given))  # type: ignore[no-any-return]


def energy(given: str | Path | Energy | None = None) -> Energy:
    """Return the coefficients of energy and money: ``hardware/energy.toml``, or the path of a TOML file like it.

    Raises:
        DescriptorError: the file cannot be read.
    """
    if isinstance(given, Energy):
        return given
    return _own("energy", _ENERGY) if given is None else _load("energy", Path(given))  # type: ignore[no-any-return]


@typed
def profile(level: str | Path | Calibration, system_: System | str | Path) -> Calibration:
    """Return the profile of a level: ``ideal``, ``generic``, or the one fitted for a system's chip (generic if there is none).

    The path of a TOML file is a profile of one's own. ``ideal`` keeps the generic margins of memory and power: they are no
    matter of speed.

    Args:
        level: ``ideal``, ``generic``, ``calibrated``, a path, or a profile.
        system_: for whose chip.

    Returns:
        The calibration coefficients.

    Raises:
        UnknownNameError: no such level, or system.

    >>> profile("ideal", "dgx-h100").level, profile("calibrated", "dgx-h100").level
    ('ideal', 'calibrated')
    """
    if isinstance(level, Calibration):
        return level
    if isinstance(level, Path) or looks_like_path(level):
        return _load("calibration", level)  # type: ignore[no-any-return]
    if level not in LEVELS:
        raise unknown("level", str(level), LEVELS)
    generic: Calibration = _load("calibration", "generic")
    if level == "ideal":
        inherited = tuple(f for f in generic.facts if "memory_fraction" in f.path or "power_fraction" in f.path)
        margins = {name: getattr(generic, name) for name in ("memory_fraction", "power_fraction", "idle_fraction")}
        return evolve(IDEAL, **margins, facts=inherited)
    if level != "calibrated":
        return generic
    part, table = system(system_).package, _own("sustained", _SUSTAINED)
    kin = (part.name, part.silicon)
    timed, far = _timed(part)
    own: Calibration = _load("calibration", timed)
    # A chip without measured training runs goes by the others of its maker.
    seen = next((table[name] for name in (*kin, part.vendor if own is generic else "") if name in table), None)
    return _sustained(own, part.name if far else "", seen)


@remembered(64)
def _sustained(own: Calibration, stands_for: str, seen: Fact | None) -> Calibration:
    """Return a profile as long steps leave it, for a chip whose nearest relative's it is, if any."""
    if stands_for:
        own = evolve(own, stands_for=stands_for)
    if seen is None:
        return own
    facts = (*(fact for fact in own.facts if fact.path != seen.path), seen)
    # The file says what part of the peak long GEMMs reach; kernels go by what that is of the part that single ones do.
    return evolve(own, sustained=seen.value / own.kernel("gemm", "bf16").eta_compute, facts=facts)


def _timed(part: Chip) -> tuple[str, bool]:
    """Return the profile of a chip: its own, that of its silicon, or that of its nearest relative; and whether it is a relative's."""
    known, far = names("calibration"), False
    while True:
        kin = next((name for name in (part.name, part.silicon) if name in known), None)
        if kin is not None:
            return kin, far
        if not part.relative:
            return "generic", False
        part, far = chip(part.relative), True


@typed
def model(
    given: str | Path | Mapping[str, Json] | Model, *, dtype: str | None = None, kv_dtype: str | None = None
) -> Model:
    """Return a model by name, by the path of a ``config.json`` (or of its directory, or of a TOML file), or from the parsed config.

    The name may be that of a repository, ``owner/name``: :mod:`roofline.catalog.model_names` has the law.
    ``NAME-4-layers`` is the model cut to four layers (:meth:`Model.cut`), ``NAME-without-mtp`` that without its
    multi-token-prediction modules.

    Args:
        given: an object, a name (``roofline list models``), a path, or the content of a config.json.
        dtype: store the matrices of its layers in this format instead.
        kv_dtype: store its KV cache in this format instead.

    Returns:
        The model, its layers in order.

    Raises:
        UnknownNameError: no such name or dtype.
        DescriptorError: the file cannot be read, or describes no known family.

    >>> model("llama-3.1-8b").depth, model("llama-3.1-8b", dtype="fp8").dtype
    (32, 'fp8')
    """
    if isinstance(given, Model):
        out = given
    elif isinstance(given, Mapping):
        out = read_config(given, file="config")
    else:
        out = named(given)
    for notice in () if isinstance(given, Model) else out.notices:
        _LOG.warning("%s: %s", out.name, notice)
    return out.stored(dtype, kv_dtype)


def measured(given: str | Path) -> tuple[str, list[dict[str, str]]]:
    """Return the rows of a table of measured runs, by a name in ``workloads/runs`` or a path, and what messages call it.

    Raises:
        UnknownNameError: no such name. DescriptorError: the file cannot be read.
    """
    text = str(given)
    known = sorted(path.stem for path in (root() / _RUNS).glob("*.csv"))
    if isinstance(given, str) and text in known:
        return text, read_rows(root() / _RUNS / f"{text}.csv")
    if isinstance(given, str) and not (looks_like_path(text) or Path(text).suffix or "/" in text or is_file(text)):
        raise unknown("run", text, known, "or give the path of a CSV file")
    return Path(text).name, read_rows(located("rows", text))


def launch(name: str) -> Table:
    """Return the table of the flags that a tool takes, of ``workloads/launch``.

    Raises:
        UnknownNameError: no such tool.
    """
    known = sorted(path.stem for path in (root() / _LAUNCH).glob("*.toml"))
    if name not in known:
        raise unknown("tool", name, known)
    path = root() / _LAUNCH / f"{name}.toml"
    return Table(read_toml(path), path.name)


TEMPLATES: Final[Mapping[str, str]] = {
    "chip": "chip.toml", "system": "system.toml", "model": "model.json", "trace": "trace.csv", "runs": "runs.csv", "timings": "timings.csv",
}  # fmt: skip
"""Files to begin with, by what they describe."""


def template(kind: str) -> tuple[str, str]:
    """Return a valid template of a file: its name's ending and its text.

    >>> template("chip")[0], template("trace")[1].splitlines()[0]
    ('.toml', 'arrival_s,input_len,output_len')

    Raises:
        QuestionError: no template of this kind.
    """
    if kind not in TEMPLATES:
        raise QuestionError(fault("kind", kind, "has no template", f"there is {', '.join(TEMPLATES)}"))
    path = Path(__file__).with_name("templates") / TEMPLATES[kind]
    return path.suffix, read_bytes(path).decode()


def asset(name: str) -> str:
    """Return a part of the pages that reports are: their style or their script."""
    return read_bytes(Path(__file__).with_name("page") / name).decode()
