"""How repositories and people name models, and which descriptor each name stands for.

A name is looked up as it is, then in ``workloads/names.toml``, then without what does not change the architecture: the owner of the
repository, what the weights were tuned for (``-Instruct``, ``-Thinking``), dates (``-2507``). A number format at its end
(``-FP8``, ``-NVFP4``, ``-AWQ``) is the format of the layers' matrices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

from roofline.catalog.folders import as_name, names, other_names, own_formats, plain, spelled

_TUNED: Final = frozenset({
    "instruct", "chat", "it", "base", "hf", "v0.1", "v1.0", "thinking", "reasoning", "sft", "dpo", "rl", "preview", "think",
})  # fmt: skip
"""What repositories add to the name of an architecture."""
_DATE: Final = re.compile(r"[0-9]{4}")
_FORMATS: Final[Mapping[str, tuple[str, str | None]]] = {
    "fp8": ("fp8", None), "fp8-block": ("fp8-block", None), "fp8-dynamic": ("fp8", None), "fp8-kv": ("fp8", "fp8"),
    "nvfp4": ("nvfp4", None), "fp4": ("nvfp4", None), "fp4-v2": ("nvfp4", None), "nvfp4-v2": ("nvfp4", None),
    "mxfp4": ("mxfp4", None), "mxfp8": ("mxfp8", None), "bf16": ("bf16", None), "fp16": ("fp16", None),
    "awq": ("int4", None), "awq-int4": ("int4", None), "gptq": ("int4", None), "gptq-int4": ("int4", None), "int4": ("int4", None),
    "w4a16": ("int4", None), "quantized.w4a16": ("int4", None), "gptq-int8": ("w8a16", None), "w8a16": ("w8a16", None),
    "w8a8": ("int8", None), "quantized.w8a8": ("int8", None), "int8": ("int8", None), "w4a8": ("w4a8", None),
}  # fmt: skip
"""Formats of layers' matrices, and of the KV cache where stated, by how repositories name them."""


@frozen
class ModelName:
    """What the name of a model stands for.

    Attributes:
        file: name of the descriptor.
        dtype: format of the layers' matrices that the name states; None where it states none.
        kv_dtype: the same of the KV cache.
        note: how the name was read; "" where it is the descriptor's own, or adds nothing to it.
    """

    file: str
    dtype: str | None = None
    kv_dtype: str | None = None
    note: str = ""


def own_format(model: str, dtype: str) -> str:
    """Return the format that the maker's own checkpoint in ``dtype`` has, where ``workloads/names.toml`` states another.

    >>> own_format("qwen3-32b", "fp8"), own_format("llama-3.1-8b", "fp8")
    ('fp8-block', 'fp8')
    """
    return next((stored for family, stored in own_formats(dtype).items() if model.startswith(family)), dtype)


def model_name(given: str) -> ModelName | None:
    """Return what a name stands for; None for one that stands for no descriptor.

    >>> model_name("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8")
    ModelName(file='qwen3-30b-a3b', dtype='fp8-block', kv_dtype=None, note='the name states fp8')
    >>> model_name("meta-llama/Llama-3.1-8B-Instruct").file, model_name("llama3.1-8b").file
    ('llama-3.1-8b', 'llama-3.1-8b')
    """
    name = as_name(given)
    for said, bare in _formats_apart(name):
        for each in _without_words(bare):
            if (found := _filed(each)) is not None:
                if not said:
                    return found
                dtype, kv = _FORMATS[said]
                stored = own_format(found.file, dtype) if said == dtype else dtype
                return ModelName(
                    found.file, stored, kv, "; ".join(filter(None, (found.note, f"the name states {said}")))
                )
    return None


def bare(name: str) -> str:
    """Return a name without what does not change the architecture, and without a number format.

    >>> bare("mistral-small-3.1-24b-instruct-2503-fp8")
    'mistral-small-3.1-24b'
    """
    return [*_without_words([*_formats_apart(name)][-1][1])][-1]


def _formats_apart(name: str) -> Iterator[tuple[str, str]]:
    """Return a name whole, then without the number format at its end, the longest first."""
    yield "", name
    for said in sorted(_FORMATS, key=len, reverse=True):
        if name.endswith(f"-{said}"):
            yield said, name.removesuffix(f"-{said}")
            return


def _without_words(name: str) -> Iterator[str]:
    """Return a name as it is, then without what does not change the architecture: from its end word by word, last anywhere in it."""
    yield name
    parts = plain(name).split("-")
    for count in range(len(parts), 0, -1):
        yield "-".join(parts[:count])
        if not _adds_nothing(parts[count - 1]):
            break
    yield "-".join(part for part in parts if part not in _TUNED)
    yield "-".join(part for part in parts if not _adds_nothing(part))


def _adds_nothing(part: str) -> bool:
    return part in _TUNED or _DATE.fullmatch(part) is not None


def _filed(name: str) -> ModelName | None:
    if (found := spelled("model", name)) is not None:
        file = other_names("model").get(found, found)
        return ModelName(file, note="" if file == found else f"{found} has the architecture of {file}")
    # The size that our names add, where it tells nothing apart: deepseek-v2 is deepseek-v2-236b.
    known = names("model")
    sized = [each for each in known if each.startswith(f"{name}-") and re.fullmatch(r"-[0-9]+b", each[len(name) :])]
    return ModelName(sized[0]) if len(sized) == 1 else None
