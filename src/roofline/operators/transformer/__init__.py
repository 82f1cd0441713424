"""A model, a phase and a layout as operations: what one rank does in one pass, section by section, every size a float or an array."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from attrs import evolve

from roofline.core.arrays import ceil
from roofline.core.units import Count, Num
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import Chip
from roofline.models.architecture import Absent, Attention, Dense, FeedForward, Formats, Model, Moe
from roofline.operators.operations import Message, Op, Operation, Section
from roofline.operators.transformer import attention, ffn, residual
from roofline.operators.transformer.flow import ACTIVATION, Flow, Matrix, elementwise, flow, gemm, norms, tensor_reduce
from roofline.workload.layout import Layout
from roofline.workload.questions import Pass, Prefill

__all__ = ["Flow", "Matrix", "flow", "head", "sections", "stage_share"]


@lru_cache(64)
def head(model: Model) -> Matrix:
    """Return the matrix from hidden state to vocabulary."""
    biases = int(model.head_bias) * model.vocab
    return Matrix("head", "head", model.hidden, model.vocab, "outputs", model.vocab, biases)


def stage_share(model: Model, pp: Count) -> Num:
    """Return the time of the fullest pipeline stage times ``pp``, over the time of all layers: ``ceil(L / pp) pp / L``.

    >>> from roofline.models.architecture import Dense, Gqa, Layers
    >>> float(stage_share(Model("m", 8, 8, (Layers(61, Gqa(1, 1, 8), Dense(8)),)), 2.0))
    1.0163934426229508
    """
    return ceil(model.depth / pp) * pp / model.depth


def _begin(p: Flow) -> Section:
    """Return the embedding of the tokens; its table is cut by vocabulary."""
    return Section(
        "embedding", 1.0, (elementwise(p, "look up", 2 * p.tokens * p.model.hidden, module="embedding"),
                          *tensor_reduce(p, "embedding", "embedding")), place="first")  # fmt: skip


def _end(p: Flow) -> Section:
    """Return the last norm, the head and the sampler."""
    matrix, rows = head(p.model), p.rows
    # The last stage of a pipeline, which has the head too, sets the pace of all micro-batches.
    times = p.layout.pp if p.streams[0].decoding else 1.0
    product = gemm(p, "head", matrix, tokens=rows, stages=times)
    logits = rows * p.model.vocab * matrix.share(p.layout.tp)
    operations: tuple[Operation, ...] = (
        elementwise(p, "norm", 4 * rows * p.model.hidden, module="norm"),
        product,
        Message("logits gather", "all_gather", rows * p.model.vocab * ACTIVATION.bytes, p.layout.tp, module="head"),
        Op(
            "sample",
            "sampling",
            p.sixteen,
            0.0,
            2 * logits * ACTIVATION.bytes,
            launches=3.0,
            module="sampling",
            fusable=1.0,
        ),
    )
    return Section("head", times, operations, place="last")


def _hops(p: Flow) -> Section:
    """Return the passing of the hidden state from stage to stage."""
    size = p.resident * p.model.hidden * ACTIVATION.bytes
    return Section(
        "pipeline",
        1.0,
        (Message("stage to stage", "point_to_point", size, p.layout.pp, p.layout.stage, module="pipeline"),),
    )


def _drafts(p: Flow, drafts: Count) -> tuple[Section, ...]:
    """Return the multi-token-prediction module that drafts each speculative token: projection, one layer, head."""
    model, first = p.model, p.streams[0]
    if model.speculator is not None:
        return _speculated(p, model.speculator, drafts)
    layer = model.drafter
    single = evolve(p, model=_module(model), streams=(evolve(first, new=1.0, logits=1.0),))
    operations: tuple[Operation, ...] = (
        *norms(single),
        gemm(single, "project", Matrix("project", "attention", 2 * model.hidden, model.hidden), module="draft"),
        *attention.operations(layer.attention, single),
        *ffn.operations(layer.ffn, single),
        *_end(single).operations,
    )
    return (Section("draft", drafts, operations, place="last"),)


@lru_cache(64)
def _module(model: Model) -> Model:
    """Return a model whose layers are stored as its multi-token-prediction modules are."""
    return evolve(model, formats=model.formats.linear(model.formats.mtp))


def _speculated(p: Flow, model: Model, drafts: Count) -> tuple[Section, ...]:
    """Return the passes of a draft model: one for all tokens of a block where it drafts them together, else one for each."""
    first = p.streams[0]
    new, passes = (drafts, (drafts > 0) * 1.0) if model.block else (1.0, drafts)
    single = evolve(p, model=model, streams=(evolve(first, new=new, logits=new),))
    parts = (*layers(single), _end(single))
    return tuple(evolve(part, place="last", name=f"draft {part.name}", times=part.times * passes) for part in parts)


def layers(p: Flow) -> tuple[Section, ...]:
    """Return the operations of all layers on one rank, equal ones folded: attention and feed-forward kinds counted apart."""
    out = [each for name, kind, count in _kinds(p.model) for each in _stored(p, name, kind, count)]
    out += residual.operations(p)
    return tuple(section for section in out if section.operations)


@lru_cache(64)
def _kinds(model: Model) -> tuple[tuple[str, Attention | FeedForward, int], ...]:
    """Return every kind of attention and of feed-forward block of a model, with its name and how many there are of it."""
    attentions: Counter[Attention] = Counter()
    ffns: Counter[FeedForward] = Counter()
    for run in model.layers:
        attentions[run.attention] += run.count
        ffns[run.ffn] += run.count
    every = (*attentions.items(), *ffns.items())
    names = _names([kind for kind, _ in every])
    return tuple((names[kind], kind, count) for kind, count in every)


def _stored(p: Flow, name: str, kind: Attention | FeedForward, count: int) -> tuple[Section, ...]:
    """Return the section of ``count`` equal blocks, or one for each format where a component of theirs is stored in several."""
    made = ffn.operations if isinstance(kind, FeedForward) else attention.operations
    parts = p.model.formats.split(*_HELD[type(kind).__name__])
    if len(parts) == 1:
        return (Section(name, float(count), made(kind, p)),)  # type: ignore[arg-type]
    return tuple(
        Section(
            f"{name}, {_different(formats, kind)}",
            share * count,
            made(kind, evolve(p, model=evolve(p.model, formats=formats))),  # type: ignore[arg-type]
        )
        for share, formats in parts
    )


_HELD: Final[Mapping[str, tuple[str, ...]]] = {
    "Gqa": ("attention",), "Mla": ("attention",), "Compressed": ("attention",), "Linear": ("recurrent",), "Mamba": ("recurrent",),
    "Dense": ("dense",), "Moe": ("experts", "shared"), "Absent": (),
}  # fmt: skip
"""The components that a block's matrices belong to."""


def _different(formats: Formats, kind: Attention | FeedForward) -> str:
    """Return the formats of a block's components, in words."""
    parts = [
        part for part in _HELD[type(kind).__name__] if part != "shared" or (isinstance(kind, Moe) and kind.shared_width)
    ]
    return "+".join(formats.names(*parts))


def ends(p: Flow) -> tuple[Section, ...]:
    """Return what a training pass does before its layers and after them: embedding, head and loss, and modules beside the head.

    The loss reads logits and writes its softmax in 32 bits; each multi-token-prediction module is one more layer, a projection and
    a head (DeepSeek-V3, arXiv:2412.19437, section 2.2).
    """
    model = p.model
    matrix = head(model)
    closing: tuple[Operation, ...] = (
        *_normed(p),
        gemm(p, "head", matrix, tokens=p.rows),
        elementwise(p, "loss", 3 * p.rows * model.vocab * matrix.share(p.layout.tp), launches=3.0, module="loss",
                    kept=3 * p.rows * model.vocab * matrix.share(p.layout.tp)),
    )  # fmt: skip
    out = [_begin(p), Section("head", 1.0, closing, place="last")]
    if model.mtp:
        layer = model.drafter
        project = Matrix("project", "attention", 2 * model.hidden, model.hidden)
        module = (
            *_normed(p),
            gemm(p, "project", project, module="draft"),
            *attention.operations(layer.attention, p),
            *ffn.operations(layer.ffn, p),
            *closing,
        )
        out.append(Section("prediction module", float(model.mtp), module, place="last"))
    return tuple(out)


def _normed(p: Flow) -> tuple[Op, ...]:
    return norms(p) if p.model.outer_norms else ()


def sections(question: Pass, layout: Layout, chip: Chip, engine: Engine | None = None) -> tuple[Section, ...]:
    """Return the operations of one pass in order, equal layers folded into one section with the number of times it is met.

    Layers of one kind cost the same wherever they stand, so attention and feed-forward kinds are counted apart. With pipeline
    stages, times are those of the whole way through, every stage as slow as the fullest. Without an engine attention multiplies in 16 bits.

    Raises:
        QuestionError: the chip has no rate for one of the model's formats.
    """
    p = flow(question, layout, chip, engine)
    model = question.model
    uneven = stage_share(model, layout.pp)
    inside = (Section(each.name, each.times * uneven, each.operations, each.place) for each in layers(p))
    out = [_begin(p), *inside, _end(p)]
    if not isinstance(question, Prefill) and (model.mtp or model.speculator) and np.any(question.draft_tokens > 0):
        out += _drafts(p, question.draft_tokens)
    out.append(_hops(p))
    return tuple(section for section in out if section.operations)


_CALLED: Final[Mapping[str, str]] = {
    "Gqa": "attention", "Mla": "latent attention", "Compressed": "compressed attention", "Linear": "linear attention",
    "Mamba": "scan", "Dense": "dense ffn", "Moe": "experts", "Absent": "",
}  # fmt: skip


def _names(kinds: Iterable[Attention | FeedForward]) -> dict[Attention | FeedForward, str]:
    """Return a name for each kind of block of a model, distinguished by what differs, or by a number."""
    labels = {kind: _name(kind) for kind in kinds}
    seen: Counter[str] = Counter()
    out = {}
    for kind, name in labels.items():
        several = Counter(labels.values())[name] > 1
        label = f"{name} {kind.width:,}" if several and isinstance(kind, Dense) else name
        seen[label] += 1
        out[kind] = f"{label} {seen[label]}" if seen[label] > 1 and not isinstance(kind, Absent) else label
    return out


def _name(kind: Attention | FeedForward) -> str:
    window, indexer = getattr(kind, "window", None), getattr(kind, "indexer", None)
    ratio = getattr(kind, "ratio", 0)
    parts = [
        f"window {window}" if window and not getattr(kind, "chunked", False) else f"chunk {window}" if window else "",
        f"1 of {ratio}" if ratio else "",
        f"top {indexer.top_k}{', chosen before' if indexer.reused else ''}" if indexer else "",
        "shared cache" if getattr(kind, "shared_kv", False) else "",
    ]
    inside = ", ".join(filter(None, parts))
    return f"{_CALLED[type(kind).__name__]} ({inside})" if inside else _CALLED[type(kind).__name__]
