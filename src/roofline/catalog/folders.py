"""The library's descriptor folders, the names in them, and how a name is distinguished from a path."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from typing import Final

from roofline.core.errors import UnknownNameError, fault
from roofline.core.signatures import typed

FOLDERS: Final = {
    "chip": "hardware/chips",
    "system": "hardware/systems",
    "fabric": "hardware/fabrics",
    "calibration": "hardware/calibration",
    "model": "workloads/models",
    "engine": "workloads/stacks",
    "framework": "workloads/frameworks",
}
OTHER_NAMES: Final = ("hardware/names.toml", "workloads/names.toml")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,80}")


@functools.cache
def root() -> Path:
    """Return the folder that holds ``hardware/`` and ``workloads/``: inside the wheel, or at the top of a checkout."""
    here = Path(__file__).resolve()
    packaged = here.parents[1] / "_data"
    return packaged if packaged.is_dir() else here.parents[3]


@typed
def names(kind: str) -> tuple[str, ...]:
    """Return the names of the descriptors of a kind that come with the library: chips, systems, models (or calibrations).

    Args:
        kind: ``chips``, ``systems``, ``models``, ``frameworks`` or ``calibrations``.

    Returns:
        The names, in alphabetical order.

    Raises:
        UnknownNameError: no such kind.

    >>> "dgx-h100" in names("systems")
    True
    """
    singular = str(kind).lower().removesuffix("s")
    if singular not in FOLDERS:
        raise UnknownNameError(fault("kind", kind, "no such list", "systems, chips or models"))
    return _names(singular)


@functools.cache
def _names(kind: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (root() / FOLDERS[kind]).glob("*.toml")))


def as_name(text: str) -> str:
    """Return how a name is filed: lower case, hyphens; the last part of an ``owner/name``."""
    return text.strip().rsplit("/", 1)[-1].lower().replace("_", "-").replace(" ", "-")


@functools.cache
def other_names(kind: str) -> dict[str, str]:
    """Return other names of the descriptors of a kind, each with the name it stands for; see ``hardware/names.toml`` and ``workloads/names.toml``."""
    file = OTHER_NAMES[FOLDERS[kind].startswith("workloads/")]
    return dict(tomllib.loads((root() / file).read_text(encoding="utf-8")).get(kind, {}))


@functools.cache
def own_formats(dtype: str) -> dict[str, str]:
    """Return what makers' own checkpoints in a format are stored in, by the beginning of the models' names: ``workloads/names.toml``."""
    tables = tomllib.loads((root() / OTHER_NAMES[1]).read_text(encoding="utf-8"))
    return dict(tables["own_formats"].get(dtype, {}))


MAKERS: Final = (
    "nvidia-", "tesla-", "geforce-", "meta-", "amd-", "instinct-", "huawei-", "google-", "cloud-", "intel-", "habana-", "aws-",
)  # fmt: skip
"""Makers and brands that names of drivers, clouds and repositories begin with."""


def filed(kind: str, text: str) -> str:
    """Return the name under which a descriptor is filed, of any of its names; the name itself where there is none.

    Names are the same where only dots, hyphens before digits, and the maker in front differ.

    >>> filed("system", "HGX H100"), filed("system", "p5.48xlarge"), filed("chip", "h100_sxm"), filed("chip", "h101")
    ('dgx-h100', 'p5-48xlarge', 'h100', 'h101')
    >>> (
    ...     filed("chip", "NVIDIA GeForce RTX 4090"),
    ...     filed("chip", "NVIDIA H100 80GB HBM3"),
    ...     filed("chip", "AMD Instinct MI300X"),
    ... )
    ('rtx-4090', 'h100', 'mi300x')
    """
    found = spelled(kind, text)
    return as_name(text) if found is None else other_names(kind).get(found, found)


def spelled(kind: str, text: str) -> str | None:
    """Return a name as a descriptor or the table of other names spells it; None where neither has it."""
    name = as_name(text)
    return next((same for each in (name, plain(name)) if (same := _any_name(kind, each)) is not None), None)


def plain(name: str) -> str:
    """Return a name without the maker in front of it.

    >>> plain("nvidia-geforce-rtx-4090"), plain("meta-llama-3.1-8b")
    ('rtx-4090', 'llama-3.1-8b')
    """
    return functools.reduce(lambda left, maker: left.removeprefix(maker), MAKERS, name)


def _any_name(kind: str, name: str) -> str | None:
    if name in _names(kind) or name in other_names(kind):
        return name
    return _squeezed(kind).get(_squeeze(name))


def _squeeze(name: str) -> str:
    """Return a name with hyphens for dots, and none between a letter and a digit: llama-3.1-8b and llama3-1-8b are one."""
    return re.sub(r"(?<=[a-z])-(?=[0-9])", "", name.replace(".", "-"))


@functools.cache
def _squeezed(kind: str) -> dict[str, str]:
    """Return the names that stay apart when squeezed, by what they are then."""
    out: dict[str, list[str]] = {}
    for name in (*_names(kind), *other_names(kind)):
        out.setdefault(_squeeze(name), []).append(name)
    return {squeezed: same[0] for squeezed, same in out.items() if len(same) == 1}


def looks_like_path(text: str) -> bool:
    """Return whether text is meant as a path."""
    return text.endswith((".toml", ".json")) or text.startswith((".", "/", "~")) or "\\" in text
