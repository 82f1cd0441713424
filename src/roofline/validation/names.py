"""Names in a measured run's row: its engine, framework and collection."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from roofline import catalog
from roofline.core.mappings import Table
from roofline.hardware.engines import KINDS

ENGINES: Final[Mapping[str, str]] = {
    "vllm-ascend": r"vllm[- ]ascend",
    "vllm": r"vllm",
    "sglang": r"sglang",
    "trtllm": r"trt-?llm|tensorrt-?llm",
    "fastertransformer": r"fastertransformer",
    "lmdeploy": r"lmdeploy",
    "mindie": r"mindie",
    "llama.cpp": r"llama\.?cpp",
    "gpt-fast": r"gpt-fast",
    "nim": r"nim",
}
"""Serving engines, and how their names are written in prose; the first that a text names counts, texts in their order."""

FRAMEWORKS: Final[Mapping[str, str]] = {
    "megatron-2021": r"megatron-lm-2021|korthikanti|vtrain",
    "automodel": r"(?:nemo-)?automodel",
    "torchtitan": r"torchtitan",
    "llm-foundry": r"llm-foundry|mosaicml",
    "maxtext": r"maxtext|paxml|tpu-recipes",
    "mindspeed": r"mindspeed(?:-llm)?",
    "mindformers": r"mindformers|mindspore",
    "neuron": r"neuron(?:x-distributed)?",
    "rocm": r"rocm|llmboost",
    "megatron-core": r"megatron-core|simumax|megatron-lm",
    "megatron-mlperf": r"mlperf(?:-v[\d.]+)?[a-z0-9-]*|training_results_v[\d.]+",
    "megatron": r"megatron(?:-bridge)?|nemo|dgxc|megascale",
}
"""Training frameworks, as above; but the first that any text names counts, since a collection's name may hold runs of several.

What a collection was made with counts for its name: dgxc's recipes and submissions to MLPerf are NeMo's unless they say another.
"""

Patterns = Mapping[str, "re.Pattern[str]"]


def patterns(table: Mapping[str, str]) -> Patterns:
    """Return what finds the names of a table where they stand as words of their own.

    >>> bool(patterns({"nim": "nim"})["nim"].search("minimum"))
    False
    """
    return {name: re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z])") for name, words in table.items()}


_ENGINES: Final = patterns(ENGINES)
_FRAMEWORKS: Final = patterns(FRAMEWORKS)


def engine(given: str, prose: Iterable[str]) -> str:
    """Return the engine's name as it is filed; of a run that does not say, the first that its prose names."""
    texts = [text.lower() for text in prose]
    found = (name for text in texts for name, pattern in _ENGINES.items() if pattern.search(text))
    return _filed(given, _ENGINES) or next(found, "")


def framework(given: str, prose: Iterable[str]) -> str:
    """Return the framework's name as it is filed; of a run that does not say, the first of the table that its prose names.

    >>> framework("NeMo", []), framework("", ["dgxc-benchmarking", "paxml/README_5b.md"]), framework("mine", [])
    ('megatron', 'maxtext', 'mine')
    """
    texts = [text.lower() for text in prose]
    found = (name for name, pattern in _FRAMEWORKS.items() if any(pattern.search(text) for text in texts))
    return _filed(given, _FRAMEWORKS) or next(found, "")


def _filed(given: str, known: Patterns) -> str:
    own = given.lower()
    return own if own in known else next((name for name, words in known.items() if words.fullmatch(own)), own)


@frozen
class Collection:
    """What a collection of runs says of all of its runs; see ``workloads/runs/collections.toml``.

    Attributes:
        match: regular expression that is searched in the group and the source of a run.
        launch: kind of launch; "" where it is not known.
        variation: standard deviation of the lengths over their mean; None where it is not known.
    """

    match: str = ""
    launch: str = ""
    variation: float | None = None


def collection(group: str, source: str) -> Collection:
    """Return what the collection that a run comes from says of all of its runs; nothing where it is not known.

    >>> collection("fresh2-sglang-b200", "sgl-project/sgl-cookbook@7b5bd9c05").launch
    'default'
    """
    return next((each for each in _collections() if re.search(each.match, f"{group} {source}")), Collection())


@functools.cache
def _collections() -> tuple[Collection, ...]:
    path = catalog.root() / "workloads" / "runs" / "collections.toml"
    top = Table(catalog.read_toml(path), path.name)
    out = []
    for each in top.tables("collection"):
        variation = each.real("variation", -1.0, least=-1.0, most=10.0)
        out.append(Collection(each.text("match"), each.text("launch", ""), None if variation < 0 else variation))
        if out[-1].launch not in ("", *KINDS):
            raise each.fail("launch", "no such kind of launch")
        each.done()
    top.done()
    return tuple(out)
