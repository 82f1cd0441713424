"""Parses the note of a measured training run into fields, once.

A file of runs states the software in its columns ``software`` (words of :data:`SOFTWARE`, joined by ``+``) and ``release`` (26.06). Where a
column is missing or empty, the note of the row is read: each word of :data:`SOFTWARE` has the spellings that published tables use. A
column that is filled counts, whatever the note says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

SOFTWARE: Final[Mapping[str, str]] = {
    "full_graph": r"cuda_graph=\w+:full_iteration|cuda_graph=full_iteration",
    "partial_graphs": r"cuda_graph=transformer_engine|(?:LAYER|MCORE)_CUDA_GRAPH=1|used CUDA graphs",
    "tp_overlap": r"[Aa]sync TP|tp_comm_overlap=True",
    "fp8_attention": r"(?i:(?<![A-Z_])FP8_DPA=1|fp8_dot_product_attention=(?:True|1)|fp8 attention)",
    "compiled": r"compile",
    "eager": r"(?<![A-Za-z])eager mode",
    "unfused_attention": r"flags: (?!\S*use-flash-attn)\S",
    "grouped_experts": r"flags: \S*moe-grouped-gemm",
    "expert_overlap": r"moe_a2a_overlap",
    "expert_parallel": r"(?i:deep-?ep|hybrid-?ep)",
    "block_scales": r"fp8=block|blockwise|finer quantisation",
    "stored_attention": r"remat_policy=\S*(?:with_context|context:)|remat_policy=custom context:",
    "stored_alternate": r"every other matmul|llama3_8b\.toml\)",
    "hosted_inputs": r"remat_policy=\S*(?:offload)|remat_policy=custom \S*offload",
    "compiler_recompute": r"remat_policy=(?!full)|swap-attention",
}
"""Words of the column ``software``, and how notes of published runs spell them.

The whole step as one CUDA graph, or parts of it; collectives of tensor parallelism cut into pieces between GEMMs; attention in fp8; compiled or
eager; attention that writes its scores; one launch for all experts; expert communication behind another micro-batch; a library that sends
tokens to experts; fp8 with scales for blocks; outputs of attention, or of every other GEMM, stored; inputs of layers kept by the host; recomputation
that a compiler or a swap decides.
"""

_FOUND: Final = {word: re.compile(pattern) for word, pattern in SOFTWARE.items()}
_MODULES: Final = re.compile(r"recompute=(selective:)?([a-z_]+(?:[+,][a-z_]+)*)(?![a-z_])")
_LISTED: Final = re.compile(r"recompute=(?:full on layers|selective) \[(\d{1,4}(?:, \d{1,4}){0,200})\]")
_COUNTED: Final = re.compile(r"recompute=full method=block num_layers=(\d{1,4})")
_OFFLOADED: Final = re.compile(r"offload of (\d{1,4}) layers")
_SAMPLES: Final = re.compile(r"packed (\d{1,7})-token samples")
_GROUPS: Final = re.compile(r"fsdp=(?:[A-Za-z0-9]*FSDP2? ?=?)? ?(\d{1,6})")
_ASSUMED: Final = re.compile(r"assumed=([a-z_]+(?:\+[a-z_]+)*)")
_EXPERT: Final = re.compile(r"(?<![A-Za-z])ETP ?=? ?(\d{1,6})(?!\d)")
_RELEASED: Final = re.compile(r"(?:container|release|nemo|pytorch) v?(2\d\.(?:0[1-9]|1[0-2]))(?!\d)", re.IGNORECASE)
_CANDIDATE: Final = re.compile(r"(?<![\d.])v?1\.0\.RC([1-4])")
"""Release candidates of MindSpeed-LLM 1.0, one a quarter of 2024."""


@frozen
class Noted:
    """What is known of a run besides its numbers and words of layout.

    Attributes:
        software: words of :data:`SOFTWARE`.
        release: of the software, as year.month; None where it is not known.
        assumed: columns whose values the file's maker put in.
        etp: tensor parallel degree of an expert; None where it is not said.
        modules: modules that are recomputed; empty where none are named.
        selective: whether the named modules were called selective.
        layers: layers that are recomputed in full, of the model; None where they are not counted.
        stage_layers: the same, of a pipeline stage.
        offloaded: layers whose activations wait in the host.
        samples: tokens of the samples that are packed into a sequence; None where it is not said.
        shards: data-parallel ranks that share weights out; None where it is not said.
    """

    software: tuple[str, ...] = ()
    release: float | None = None
    assumed: tuple[str, ...] = ()
    etp: float | None = None
    modules: tuple[str, ...] = field(default=())
    selective: bool = False
    layers: float | None = None
    stage_layers: float | None = None
    offloaded: float | None = None
    samples: float | None = None
    shards: float | None = None

    def says(self, word: str) -> bool:
        """Return whether the software is known to be so."""
        return word in self.software


def noted(note: str) -> Noted:
    """Return what a note says.

    >>> noted("container 26.06; cuda_graph=full_iteration:[]; recompute=selective:mla_up_proj")
    Noted(software=('full_graph',), release=26.06, assumed=(), etp=None, modules=('mla_up_proj',), selective=True, layers=None, stage_layers=None, offloaded=None, samples=None, shards=None)
    """
    assumed, modules, listed = _ASSUMED.match(note), _MODULES.search(note), _LISTED.search(note)
    return Noted(
        software=tuple(word for word, pattern in _FOUND.items() if pattern.search(note)),
        release=released(note),
        assumed=tuple(assumed[1].split("+")) if assumed else (),
        etp=_number(_EXPERT, note),
        modules=tuple(re.split("[+,]", modules[2])) if modules else (),
        selective=bool(modules and modules[1]),
        layers=sum(map(float, listed[1].split(","))) if listed else None,
        stage_layers=_number(_COUNTED, note),
        offloaded=_number(_OFFLOADED, note),
        samples=_number(_SAMPLES, note),
        shards=_number(_GROUPS, note),
    )


def _number(pattern: re.Pattern[str], note: str) -> float | None:
    found = pattern.search(note)
    return float(found[1]) if found else None


def released(note: str) -> float | None:
    """Return the release of a run's software, as year.month: the first that its note names.

    >>> released("container 26.06; GBS preset 64"), released("mock data"), released("version 1.0.RC3")
    (26.06, None, 24.09)
    """
    found, candidate = _RELEASED.search(note), _CANDIDATE.search(note)
    if candidate:
        return 24 + 3 * float(candidate[1]) / 100
    return float(found[1]) if found else None
