"""A model's card: layers by kind, parameters by three conventions, cache, weights by format, FLOP per token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from attrs import NOTHING, fields

from roofline.core.text import columns
from roofline.core.units import BYTE, FLOP_, GIGA, MEBI, show
from roofline.hardware.hardware import Chip, Memory
from roofline.models.architecture import COMPONENTS, Absent, Indexer, Layers, Model
from roofline.operators.memory import (
    active,
    active_by_convention,
    encoded_bytes,
    kv_bytes_per_token,
    kv_cache,
    parameters,
    state_bytes,
    total,
)
from roofline.operators.operations import Op
from roofline.operators.transformer import sections
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode

CACHES: Final = ("bf16", "fp8")
CONTEXTS: Final = (1.0, 4096.0, 131072.0)
"""Tokens before the one whose operations are counted."""

_CONVENTIONS: Final = {
    "all": "every matrix that a token is multiplied by, head and embedding included",
    "without_embedding": "without the embedding table, which is looked up in (a tied head still multiplies by it)",
    "without_embedding_and_head": "without embedding and head: the layers alone",
}
_ANY: Final = Chip("any", dict.fromkeys(("fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4"), 1.0), Memory(1.0, 1.0))


def billions(count: float, digits: int = 2) -> str:
    """Return a count of parameters in billions."""
    return f"{count / GIGA:,.{digits}f} B"


def flops_per_token(model: Model, context: float) -> float:
    """Return the operations of one more token of one sequence that holds ``context`` tokens: every product of a decode step."""
    parts = sections(Decode(model, 1.0, context), Layout(), _ANY)
    return float(sum(part.times * work.flops for part in parts for work in part.operations if isinstance(work, Op)))


def weights_by_component(model: Model) -> dict[str, dict[str, Any]]:
    """Return the stored bytes of each component of the weights and of towers, and their formats; norms with the embedding."""
    counts = parameters(model)
    out = {}
    for name in COMPONENTS:
        count = counts[name] + (counts["norm"] if name == "embedding" else 0)
        if count:
            out[name] = {"format": _format(model, name), "bytes": count * float(model.formats.bytes(name))}
    if model.towers:
        # Towers are stored as the embedding is.
        bytes_ = counts["towers"] * float(model.formats.bytes("embedding"))
        out["towers"] = {"format": _format(model, "embedding"), "bytes": bytes_}
    return out


def _format(model: Model, component: str) -> str:
    """Return the format of a component, or its formats with their shares.

    >>> from roofline.models.architecture import Formats
    >>> _format(Model("toy", 8, 8, (), formats=Formats().mixed("dense", {"fp8": 3.0, "bf16": 1.0})), "dense")
    'fp8 75 %, bf16 25 %'
    """
    mix = model.formats.mix(component)
    return mix[0][0] if len(mix) == 1 else ", ".join(f"{name} {100 * share:.3g} %" for name, share in mix)


_LONG = float(MEBI)


def card(model: Model) -> tuple[str, dict[str, Any]]:
    """Return what there is to say of a model: as text, and under the names of the machine-readable answer."""
    counts, everything, conventions = parameters(model), total(model), active_by_convention(model)
    caches = {kv: float(kv_bytes_per_token(model, kv)) for kv in CACHES}
    # Windows and streams that compress keep less of a long context than of a short one.
    far = float(kv_cache(model, Layout(), _LONG + 1) - kv_cache(model, Layout(), _LONG))
    kv = model.formats.kv
    state, encoded, parts = float(state_bytes(model)), float(encoded_bytes(model)), weights_by_component(model)
    stored = sum(part["bytes"] for part in parts.values())
    met = billions(conventions["all"])
    # The longest of them all may be beyond what the model was made for.
    contexts = [c for c in CONTEXTS if not model.max_context or c <= model.max_context]
    work = {f"{context:.0f}": flops_per_token(model, context) for context in contexts}
    cache = {f"{context:.0f}": float(kv_cache(model, Layout(), context)) for context in contexts}
    lines = [
        f"{model.name}: {billions(everything)} parameters, {met} active per token (head and embedding included)",
        f"{model.depth} layers, hidden {model.hidden:,}, vocabulary {model.vocab:,}, "
        + (f"context {model.max_context:,}" if model.max_context else "context not stated"),
        f"stored as {model.formats_line}: {show(stored, BYTE)}; "
        + ", ".join(f"{show(size, BYTE)} of {name} cache per token" for name, size in caches.items())
        + (f", once windows are full {show(far, BYTE)} of {kv}" if far < 0.99 * caches.get(kv, far) else "")
        + (f"; {show(state, BYTE)} of {model.formats.state} state per sequence" if state else "")
        + (f"; {show(encoded, BYTE)} of {kv} cache per sequence for what the encoder passes on" if encoded else ""),
        "",
        columns(_by_kind(model), head=["layers", "attention", "feed-forward"], right=[0]),
        "",
        columns(list(_shares(counts, everything, parts)), head=["parameters", "", "", "format", "bytes"], right=[1, 2, 4]),
        "",
        columns([[billions(conventions[k]), meaning] for k, meaning in _CONVENTIONS.items()], head=["active", ""], right=[0]),
        "",
        columns(
            [[f"{float(c):,.0f}", show(work[c], FLOP_), show(cache[c], BYTE)] for c in work],
            head=["context", "FLOP per token", "cache per sequence"], right=[0, 1, 2],
        ),
        "",
        *(f"warning: {warning}" for warning in model.warnings),
        f"source: {model.source}{'; ' + model.note if model.note else ''}",
    ]  # fmt: skip
    data = {
        "hidden": model.hidden,
        "vocabulary": model.vocab,
        "parameters_breakdown": counts,
        "parameters_active_by_convention": conventions,
        "weight_bytes": stored,
        "weights": parts,
        "kv_bytes_per_token": caches,
        "kv_bytes_per_token_once_windows_are_full": far,
        "state_bytes_per_sequence": state,
        "encoder_kv_bytes_per_sequence": encoded,
        "flops_per_token": work,
        "sequence_bytes": cache,
        "layer_plan": [_run(run) for run in model.layers],
        "warnings": list(model.warnings),
        "source": model.source,
        "note": model.note,
    }
    return "\n".join(lines), data


def _by_kind(model: Model) -> list[list[str]]:
    """Return the layers of each kind, listed once wherever they stand."""
    kinds: Counter[tuple[str, str]] = Counter()
    for run in model.layers:
        kinds[words(run.attention), words(run.ffn)] += run.count
    return [[str(count), *kind] for kind, count in kinds.items()]


def _shares(counts: dict[str, int], everything: int, parts: dict[str, dict[str, Any]]) -> Iterable[list[str]]:
    for name, count in counts.items():
        if count:
            part = parts.get(name)
            tail = [part["format"], show(part["bytes"], BYTE)] if part else ["", ""]
            yield [name, f"{count:,}", f"{count / everything:.1%}" if name != "mtp" else "apart", *tail]


def _run(run: Layers) -> dict[str, Any]:
    return {"layers": run.count, "attention": words(run.attention), "ffn": words(run.ffn)}


def words(kind: Any) -> str:
    """Return ``Gqa heads=64 kv_heads=8 head_dim=128``: a kind and the fields that are not at their defaults.

    >>> from roofline.models.architecture import Dense
    >>> words(Dense(4096, gated=False)), words(Absent())
    ('Dense width=4096 gated=False', 'none')
    """
    if isinstance(kind, Absent):
        return "none"
    pairs = ((f.name, getattr(kind, f.name), f.default) for f in fields(type(kind)))
    parts = [
        f"{name}=({words(value)})" if isinstance(value, Indexer) else f"{name}={value}"
        for name, value, default in pairs
        if default is NOTHING or value != default
    ]
    return " ".join([type(kind).__name__, *parts])


def row(model: Model) -> dict[str, Any]:
    """Return the row of a model in a list."""
    return {
        "family": model.family,
        "layers": model.depth,
        "parameters_total": total(model),
        "parameters_active": active(model),
        "dtype": model.dtype,
        "max_context": model.max_context or None,
        "cache_bytes_per_token": float(kv_bytes_per_token(model)),
        "state_bytes_per_sequence": float(state_bytes(model)),
    }
