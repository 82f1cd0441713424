"""Finds a model by the name of its file or repository, by a derived name, or by the path of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import evolve

from roofline.catalog.files import no_file, read_json, read_toml
from roofline.catalog.folders import FOLDERS, NAME, as_name, looks_like_path, names, root
from roofline.catalog.model_names import bare, model_name
from roofline.core.errors import DescriptorError, UnknownNameError, fault, near
from roofline.core.mappings import Table
from roofline.core.units import TERA
from roofline.models.architecture import Model
from roofline.models.checkpoint import compare_with_files

_CUT: Final = re.compile(r"(?P<of>.+)-(?P<layers>[0-9]{1,6})-layers")
_PLAIN: Final = re.compile(r"(?P<of>.+)-without-mtp")
"""Names that are a law: a model cut to so many layers, or without its multi-token-prediction modules."""


def named(given: str | Path) -> Model:
    """Return the model of a file, or of a name; what the end of a name changes is changed, where no file has the whole name."""
    name = "" if isinstance(given, Path) or looks_like_path(given) else as_name(given)
    known = model_name(name) if NAME.fullmatch(name) else None
    if NAME.fullmatch(name) and known is None:
        if cut := _CUT.fullmatch(name):
            return named(cut["of"]).cut(int(cut["layers"]))
        if plain := _PLAIN.fullmatch(name):
            return named(plain["of"]).without_mtp()
    path = _path(given)
    if path is not None:
        return _model_file(path)
    if known is None:
        raise _unknown(str(given))
    out = _model_file(root() / FOLDERS["model"] / f"{known.file}.toml")
    note = "; ".join(filter(None, (out.note, known.note)))
    return evolve(out.stored(known.dtype, known.kv_dtype), note=note)


def read_config(*given: Any, **words: Any) -> Model:
    """Return the model that the fields of a config.json describe."""
    from roofline.models import (
        huggingface,  # sixty families of readers: a tenth of the import, for those who read a model
    )

    return huggingface.model(*given, **words)


def _model_file(path: Path) -> Model:
    if path.suffix == ".toml":
        return _model_toml(path)
    beside = {name: read_json(path.parent / name) for name in _BESIDE if (path.parent / name).is_file()}
    name = path.parent.name if path.name == "config.json" and path.parent.name else path.stem
    out = read_config(read_json(path), beside=beside, name=name, file=str(path))
    files = stored_bytes(path.parent) if path.name == "config.json" else 0.0
    scale, notes = compare_with_files(out, files) if files else (1.0, ())
    return evolve(out, source=str(path), scale=scale, warnings=(*out.warnings, *notes))


_INDEX: Final = "model.safetensors.index.json"
_MOST_FILES: Final = 2000
_LONGEST_HEADER: Final = 100_000_000


def stored_bytes(folder: Path) -> float:
    """Return the bytes of the tensors that a directory holds: of its safetensors index, else of the headers; 0 for neither.

    A file of safetensors begins with the length of its header in eight bytes (its format's specification).
    """
    index = folder / _INDEX
    if index.is_file():
        metadata = read_json(index).get("metadata")
        size = metadata.get("total_size") if isinstance(metadata, Mapping) else None
        if isinstance(size, (int, float)) and not isinstance(size, bool) and 0 < size < TERA * TERA:
            return float(size)
    return float(sum(_tensors(path) for path in sorted(folder.glob("*.safetensors"))[:_MOST_FILES]))


def _tensors(path: Path) -> int:
    """Return the bytes of the tensors in a file; 0 for one that is none, such as a pointer to it."""
    try:
        with path.open("rb") as file:
            length, first = int.from_bytes(file.read(8), "little"), file.read(1)
        whole = path.stat().st_size
    except (OSError, ValueError):
        return 0
    return whole - 8 - length if first == b"{" and 2 <= length <= min(_LONGEST_HEADER, whole - 8) else 0


_BESIDE: Final = ("hf_quant_config.json", "quant_model_description.json")
"""Files beside a config that say how the checkpoint was quantised: of NVIDIA's ModelOpt, of Ascend's ModelSlim."""


def _path(given: str | Path) -> Path | None:
    """Return the file that is given, or that of the directory; None for a name.

    Raises:
        DescriptorError: it is meant as a path, and there is no such file.
    """
    text = str(given)
    try:
        path = Path(text).expanduser()
        if text.strip() and path.is_dir():
            return path / "config.json"
        if path.is_file() and (isinstance(given, Path) or "/" in text or looks_like_path(text)):
            return path
    except (OSError, ValueError, RuntimeError):
        raise DescriptorError(fault("model", text, "is not a path that can be read")) from None
    if isinstance(given, Path) or looks_like_path(text):
        raise no_file(Path(text))
    return None


def _unknown(text: str) -> UnknownNameError:
    """Return the error for a name that is that of no model."""
    name = as_name(text)
    other = next((each for each in ("system", "chip") if name in names(each)), None)
    if other is not None:
        rule = f"{name} is a {other}; the model comes first, the system with --system"
        return UnknownNameError(fault("model", text, "no such model", rule))
    hint = f"{near(bare(name), names('model'), 'models')}; or give the path of a config.json"
    return UnknownNameError(fault("model", text, "no such model", hint))


def _model_toml(path: Path) -> Model:
    top = Table(read_toml(path), str(path))
    head, sources = top.table("model"), top.table("sources")
    source = sources.table(head.text("source"))
    cited = f"{source.text('title')}{', ' + source.text('url') if 'url' in source else ''}"
    out = read_config(top.table("config").data, name=path.stem, file=f"{path}: config")
    counted = top.table("parameters", {})
    note = "; ".join(filter(None, (head.text("note", ""), counted.text("why", ""))))
    for key in ("total", "active", "ours", "ours_active"):
        counted.count(key, None, most=int(TERA * TERA))
    counted.text("source", None)
    for table in (counted, head, top):
        table.done()
    return evolve(out, source=cited, note=note)


def is_derived_name(name: str) -> bool:
    """Return whether a name is derived from another, such as ``NAME-4-layers``."""
    return any(law.fullmatch(name) for law in (_CUT, _PLAIN))
