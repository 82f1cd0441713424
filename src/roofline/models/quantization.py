"""The stored format of each component of a checkpoint, from its ``quantization_config`` or ``hf_quant_config.json``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from roofline.core.errors import near
from roofline.core.mappings import Table
from roofline.models.architecture import Formats

_WHOLE: Final = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_BESIDE: Final = re.compile(
    r"norm|bias|conv1d|router|(^|[._])gate$|gate\.|shared_expert_gate|index|mtp|eh_proj|vision|visual|audio|projector|embed|"
    r"patch_merge"
)
"""Modules that are no component of their own: norms, routers, convolutions, indexers, draft modules, other towers."""

_MODULES: Final = (
    ("shared", re.compile(r"shared_expert")),
    ("experts", re.compile(r"experts|block_sparse_moe|w[123]$")),
    ("recurrent", re.compile(r"linear_attn|mamba|kda|(in|out)_proj$")),
    ("attention", re.compile(r"attn|attention|[qkvo]_proj$|kv_b")),
    ("dense", re.compile(r"mlp|ffn|feed_forward|(gate|up|down)_proj|fc[12]$")),
    ("head", re.compile(r"lm_head|^head$|^output$")),
)
"""How module names tell the components apart, the most particular first."""

_ALGORITHMS: Final = {
    "FP8": "fp8", "FP8_PER_CHANNEL_PER_TOKEN": "fp8", "FP8_PB_WO": "fp8-block", "MXFP8": "mxfp8", "W8A16": "w8a16",
    "W8A8_SQ_PER_CHANNEL": "int8", "NVFP4": "nvfp4", "NVFP4_AWQ": "nvfp4", "MXFP4": "mxfp4", "W4A16": "int4", "W4A16_AWQ": "int4",
    "W4A8_AWQ": "int4", "W4A16_NVFP4": "nvfp4-a16",
}  # fmt: skip
_WEIGHT_ONLY: Final = {4: "int4", 8: "w8a16"}
_METHODS: Final = ("fp8", "mxfp4", "gptq", "awq", "compressed-tensors", "modelopt", "bitsandbytes", "fbgemm_fp8")


def formats(top: Table, inner: Table, quant: Mapping[str, Any] | None, layers: Mapping[str, int], file: str) -> Formats:
    """Return the formats of a checkpoint's components.

    Args:
        layers: how many layers have each component.

    Raises:
        DescriptorError: a quantisation method or dtype that is not known.
    """
    named = next(((t, key) for t in (inner, top) for key in ("dtype", "torch_dtype") if key in t), None)
    stated = named[0].text(named[1]) if named else "bfloat16"
    if named and stated not in _WHOLE:
        raise named[0].fail(named[1], "unknown dtype", near(stated, _WHOLE, "dtypes"))
    base = Formats.all(_WHOLE[stated])
    kept = next((inner.text(key) for key in _STATE if key in inner), "float32")
    base = evolve(base, state=_WHOLE.get(kept, "fp32"))
    table = next((t.table("quantization_config") for t in (top, inner) if "quantization_config" in t), None)
    if table is not None:
        base = _configured(table, base, layers)
    # Four bits of floating point, a scale of powers of two for 32 (DeepSeek-V4), unless the experts were quantised again.
    if inner.raw("expert_dtype", None) == "fp4" and (table is None or "quantized_layers" not in table):
        base = evolve(base, experts="mxfp4")
    if quant is not None:
        beside = Table(quant, f"{file} (hf_quant_config.json)").table("quantization")
        base = _modelopt(beside, base, layers)
    return base


_STATE: Final = ("mamba_ssm_dtype", "mamba_ssm_cache_dtype")


def _configured(t: Table, base: Formats, layers: Mapping[str, int]) -> Formats:
    method = t.text("quant_method", "modelopt" if "quant_algo" in t else "")
    match method:
        case "fp8" | "fbgemm_fp8":
            name = "fp8-block" if "weight_block_size" in t else "fp8"
            return _mixed(t, _except(base, name, _names(t, "modules_to_not_convert"), layers))
        case "mxfp4":
            # Only experts are stored in it; everything else is listed as not converted.
            return evolve(base, experts="mxfp4")
        case "gptq" | "awq":
            bits = t.count("bits", 4)
            if bits not in _WEIGHT_ONLY:
                raise t.fail("bits", "must be 4 or 8")
            return _except(base, _WEIGHT_ONLY[bits], _names(t, "modules_to_not_convert"), layers)
        case "bitsandbytes":
            return _except(
                base, _WEIGHT_ONLY[8 if t.flag("load_in_8bit") else 4], _names(t, "llm_int8_skip_modules"), layers
            )
        case "compressed-tensors":
            return _except(_cache(t, base), _compressed(t), _names(t, "ignore"), layers)
        case "modelopt":
            return _modelopt(t, base, layers)
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
    if t.raw("kv_cache_scheme") == "FP8":
        return evolve(base, kv="fp8")
    scheme = t.table("kv_cache_scheme")
    bits, kind = scheme.count("num_bits", most=16), scheme.text("type", "float")
    name = {(8, "float"): "fp8", (8, "int"): "int8", (4, "float"): "nvfp4"}.get((bits, kind))
    if name is None and bits < 16:
        raise scheme.fail("num_bits", f"no such cache of type {kind[:20]!r} is known", "8 bits, or 4 of type float")
    return base if name is None else evolve(base, kv=name)


def _modelopt(t: Table, base: Formats, layers: Mapping[str, int]) -> Formats:
    base = _cache(t, base)
    kv = t.text("kv_cache_quant_algo", "")
    if kv:
        base = evolve(base, kv="fp8" if kv.startswith("FP8") else ("nvfp4" if kv.startswith("NVFP4") else base.kv))
    algorithm = t.text("quant_algo", "")
    if algorithm in ("", "MIXED_PRECISION"):
        return _mixed(t, base)
    names = _names(t, "exclude_modules") + _names(t, "ignore")
    return _except(base, _algorithm(t, algorithm), names, layers)


def _names(t: Table, key: str) -> tuple[str, ...]:
    value = t.raw(key, [])
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise t.fail(key, "must be a list of module names")
    return tuple(name for name in value if isinstance(name, str))


def component(module: str) -> str | None:
    """Return the component that a module's name, or a pattern of names, belongs to; None for what is no component.

    >>> component("model.layers.3.self_attn.o_proj"), component("*.mlp.experts*"), component("model.layers.3.mlp.gate")
    ('attention', 'experts', None)
    """
    bare = module.removeprefix("re:").replace("\\.", ".").rstrip("*.")
    if _BESIDE.search(bare):
        return None
    return next((part for part, pattern in _MODULES if pattern.search(bare)), None)


def _except(base: Formats, name: str, excluded: Sequence[str], layers: Mapping[str, int]) -> Formats:
    """Return ``base`` with every component stored as ``name``, those left out of it excepted.

    A list that names modules layer by layer leaves a component out when it names at least half of the layers that have it.
    """
    out = base.linear(name)
    numbered: dict[str, set[str]] = {}
    for entry in excluded:
        part = component(entry)
        if part is None or part == "head":
            continue
        match = re.search(r"layers\.(\d+)\b", entry)
        numbered.setdefault(part, set()).add(match[1] if match else "")
    for part, found in numbered.items():
        if "" in found or len(found) * 2 >= max(layers.get(part, 1), 1):
            out = evolve(out, **{part: getattr(base, part)})
    return out


def _mixed(t: Table, base: Formats) -> Formats:
    """Return ``base`` with each component stored as most of its modules in ``quantized_layers`` are."""
    listed = t.table("quantized_layers", {})
    counts: dict[str, Counter[str]] = {}
    for module in listed:
        part = component(module)
        algorithm = listed.table(module).text("quant_algo", "")
        if part is not None and algorithm:
            counts.setdefault(part, Counter())[_algorithm(listed.table(module), algorithm)] += 1
    return evolve(base, **{part: found.most_common(1)[0][0] for part, found in counts.items()})


def _algorithm(t: Table, name: str) -> str:
    if name not in _ALGORITHMS:
        hint = f"{near(name, _ALGORITHMS, 'algorithms')}; or give dtype yourself"
        raise t.fail("quant_algo", "unknown quantisation", hint)
    return _ALGORITHMS[name]
