"""The stored format of each component of a checkpoint, from its ``quantization_config`` or ``hf_quant_config.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from roofline.architecture import Formats
from roofline.errors import near
from roofline.tables import Table

_WHOLE: Final = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_PARTS: Final = {
    "attention": "self_attn",
    "experts": "experts",
    "shared": "shared_expert",
    "dense": "mlp",
}
"""How module names tell the components apart."""

_ALGORITHMS: Final = {
    "FP8": "fp8", "FP8_PER_CHANNEL_PER_TOKEN": "fp8", "FP8_PB_WO": "fp8-block", "MXFP8": "mxfp8", "W8A16": "w8a16",
    "W8A8_SQ_PER_CHANNEL": "int8", "NVFP4": "nvfp4", "NVFP4_AWQ": "nvfp4", "MXFP4": "mxfp4", "W4A16": "int4", "W4A16_AWQ": "int4",
    "W4A8_AWQ": "int4",
}  # fmt: skip
_WEIGHT_ONLY: Final = {4: "int4", 8: "w8a16"}
_METHODS: Final = ("fp8", "mxfp4", "gptq", "awq", "compressed-tensors", "modelopt", "bitsandbytes", "fbgemm_fp8")


def formats(top: Table, inner: Table, quant: Mapping[str, Any] | None, depth: int, file: str) -> Formats:
    """Return the formats of a checkpoint's components.

    Raises:
        DescriptorError: a quantisation method or dtype that is not known.
    """
    stated = next((t.text(key) for t in (inner, top) for key in ("dtype", "torch_dtype") if key in t), "bfloat16")
    if stated not in _WHOLE:
        raise top.fail("torch_dtype", f"unknown dtype {stated[:40]!r}", near(stated, _WHOLE, "dtypes"))
    base = Formats.all(_WHOLE[stated])
    table = next((t.table("quantization_config") for t in (top, inner) if "quantization_config" in t), None)
    if table is not None:
        base = _configured(table, base, depth)
    if quant is not None:
        beside = Table(quant, f"{file} (hf_quant_config.json)").table("quantization")
        base = _modelopt(beside, base, depth)
    return base


def _configured(t: Table, base: Formats, depth: int) -> Formats:
    method = t.text("quant_method", "modelopt" if "quant_algo" in t else "")
    match method:
        case "fp8" | "fbgemm_fp8":
            return _except(
                base, "fp8-block" if "weight_block_size" in t else "fp8", _names(t, "modules_to_not_convert"), depth
            )
        case "mxfp4":
            # Only experts are stored in it; everything else is listed as not converted.
            return evolve(base, experts="mxfp4")
        case "gptq" | "awq":
            bits = t.count("bits", 4)
            if bits not in _WEIGHT_ONLY:
                raise t.fail("bits", "must be 4 or 8")
            return _except(base, _WEIGHT_ONLY[bits], _names(t, "modules_to_not_convert"), depth)
        case "bitsandbytes":
            return base.linear(_WEIGHT_ONLY[8 if t.flag("load_in_8bit") else 4])
        case "compressed-tensors":
            return _except(_cache(t, base), _compressed(t), _names(t, "ignore"), depth)
        case "modelopt":
            return _modelopt(t, base, depth)
        case _:
            raise t.fail(
                "quant_method", "unknown quantisation", f"{near(method, _METHODS, 'methods')}; or give dtype yourself"
            )


def _compressed(t: Table) -> str:
    groups = t.table("config_groups")
    first = next(iter(groups), None)
    if first is None:
        raise t.fail("config_groups", "must hold a group")
    scheme = groups.table(first)
    weights, alone = scheme.table("weights"), "input_activations" not in scheme
    bits, kind = weights.count("num_bits", most=16), weights.text("type", "int")
    group = weights.count("group_size", 0, least=-1)
    if bits == 8 and alone:
        return "w8a16"
    if bits == 8:
        return "int8" if kind == "int" else ("mxfp8" if group == 32 else "fp8")
    if bits == 4:
        return "int4" if kind == "int" else ("mxfp4" if group == 32 else "nvfp4")
    raise weights.fail("num_bits", "must be 4 or 8")


def _cache(t: Table, base: Formats) -> Formats:
    """Return the formats with the cache that a ``kv_cache_scheme`` describes."""
    if "kv_cache_scheme" not in t:
        return base
    scheme = t.table("kv_cache_scheme")
    bits, kind = scheme.count("num_bits", most=16), scheme.text("type", "float")
    name = {(8, "float"): "fp8", (8, "int"): "int8", (4, "float"): "nvfp4"}.get((bits, kind))
    if name is None and bits < 16:
        raise scheme.fail("num_bits", f"no such cache of type {kind[:20]!r} is known", "8 bits, or 4 of type float")
    return base if name is None else evolve(base, kv=name)


def _modelopt(t: Table, base: Formats, depth: int) -> Formats:
    base = _cache(t, base)
    kv = t.text("kv_cache_quant_algo", "")
    if kv:
        base = evolve(base, kv="fp8" if kv.startswith("FP8") else ("nvfp4" if kv.startswith("NVFP4") else base.kv))
    algorithm = t.text("quant_algo", "")
    if not algorithm:
        return base
    if algorithm not in _ALGORITHMS:
        raise t.fail(
            "quant_algo",
            "unknown quantisation",
            f"{near(algorithm, _ALGORITHMS, 'algorithms')}; or give dtype yourself",
        )
    names = _names(t, "exclude_modules") + _names(t, "ignore")
    return _except(base, _ALGORITHMS[algorithm], names, depth)


def _names(t: Table, key: str) -> tuple[str, ...]:
    value = t.raw(key, [])
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise t.fail(key, "must be a list of module names")
    return tuple(name for name in value if isinstance(name, str))


def _except(base: Formats, name: str, excluded: Sequence[str], depth: int) -> Formats:
    """Return ``base`` with every component stored as ``name``, those left out of it excepted.

    A list that names modules layer by layer leaves a component out when it names at least half of the layers.
    """
    out = base.linear(name)
    for part, word in _PARTS.items():
        hits = [entry for entry in excluded if word in entry and not _finer(part, entry)]
        numbered = {match[1] for entry in hits if (match := re.search(r"layers\.(\d+)\.", entry))}
        general = any(not re.search(r"layers\.\d+\.", entry) for entry in hits)
        if general or len(numbered) * 2 >= max(depth, 1):
            out = evolve(out, **{part: getattr(base, part)})
    return out


def _finer(part: str, entry: str) -> bool:
    """Return whether an entry names something inside or beside the component rather than the component."""
    if re.search(r"(router|\.gate\b|gate\.|mlp\.gate$)", entry) or "mtp" in entry:
        return True
    return (part == "dense" and ("expert" in entry)) or (part == "experts" and "shared" in entry)
