"""The stored format of each component of a checkpoint, from its ``quantization_config``, ``hf_quant_config.json`` or the like.

Every matrix of every layer is looked up by name, as loaders do; a component whose matrices differ is stored in shares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, frozen

from roofline.core.errors import near, shown
from roofline.core.mappings import Table
from roofline.core.units import MILLION
from roofline.models import modules
from roofline.models.architecture import Attention, FeedForward, Formats, Moe
from roofline.models.dtypes import grouped
from roofline.models.rules import Rules

_WHOLE: Final = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "half": "fp16", "float": "fp32"}
_LINEAR: Final = ("attention", "recurrent", "dense", "experts", "shared")
"""Components whose matrices are ordinary linear layers."""
_MOST: Final = int(MILLION)
_STATE: Final = ("mamba_ssm_dtype", "mamba_ssm_cache_dtype")


@frozen
class Scheme:
    """How a checkpoint was quantised.

    Attributes:
        stored: the format of a linear layer that no list speaks of; None where only what is listed is quantised.
        ignore: modules left out.
        targets: formats of modules by name.
        scope: components that ``stored`` is for.
        head: ``stored`` is for the head too.
    """

    stored: str | None = None
    ignore: Rules = Rules()
    targets: Rules = Rules()
    scope: tuple[str, ...] = _LINEAR
    head: bool = False

    def find(self, module: modules.Module, layer: str) -> str | None:
        """Return the format of a module; None where this scheme leaves it as it is."""
        if self.ignore.find(module.names, layer)[0]:
            return None
        found, stored = self.targets.find(module.names, layer)
        if found:
            return stored
        wanted = module.component in self.scope if module.component != "head" else self.head
        return self.stored if module.linear and wanted else None


@frozen
class Parts:
    """What a checkpoint holds, for its formats to be looked up.

    Attributes:
        hidden: width of the hidden state, elements.
        vocab: tokens in the vocabulary.
        tied: the head shares the embedding's weights.
        layers: the attention and feed-forward of each layer.
        blocks: entries of ``layers`` that make up one numbered layer.
        module: those of a multi-token-prediction module, if it has any.
        linear: containers of linear attention (:func:`roofline.models.modules.attention`).
        beside: the shared block is named as dense ones are.
    """

    hidden: int
    vocab: int
    tied: bool
    layers: Sequence[tuple[Attention, FeedForward]]
    blocks: int = 1
    module: tuple[Attention, FeedForward] | None = None
    linear: tuple[str, ...] = ("linear_attn", "mixer", "mamba")
    beside: bool = False

    def block(self, kinds: tuple[Attention, FeedForward], *, apart: bool) -> tuple[modules.Module, ...]:
        """Return the matrices of a layer."""
        mixer, ffn = kinds
        return (
            *modules.attention(mixer, self.hidden, linear=self.linear),
            *modules.feed_forward(ffn, self.hidden, beside=self.beside, apart=apart),
        )


def formats(
    top: Table, inner: Table, beside: Mapping[str, Mapping[str, Any]], parts: Parts, file: str
) -> tuple[Formats, tuple[str, ...]]:
    """Return the formats of a checkpoint's components, and what is not understood of how it was quantised.

    Args:
        beside: the parsed files beside the config that say more, by name.
        parts: the layers and what else is stored.

    Raises:
        DescriptorError: a quantisation method or dtype that is not known.
    """
    named = next(((t, key) for t in (inner, top) for key in ("dtype", "torch_dtype") if key in t), None)
    stated = named[0].text(named[1]).removeprefix("torch.") if named else "bfloat16"
    if named and stated not in _WHOLE:
        raise named[0].fail(named[1], "unknown dtype", near(stated, _WHOLE, "dtypes"))
    base = Formats.all(_WHOLE[stated])
    state = next((inner.text(key) for key in _STATE if key in inner), "float32")
    base = evolve(base, state=_WHOLE.get(state, "fp32"))
    read: list[Table] = []
    schemes: list[Scheme] = []
    table = next((t.table("quantization_config") for t in (top, inner) if "quantization_config" in t), None)
    for key in ("compression_config", "quantization"):
        if table is None:
            table = next((t.table(key) for t in (top, inner) if isinstance(t.data.get(key), Mapping)), None)
    if table is not None:
        # Model Optimizer nests what it did, as it does in a file of its own.
        nested = table.table("quantization") if isinstance(table.data.get("quantization"), Mapping) else None
        read += [table] if nested is None else [table, nested]
        schemes += _configured(table) if nested is None else _modelopt(nested)
        base = _cache(table if nested is None else nested, base)
    # Four bits of floating point, a scale of powers of two for 32 (DeepSeek-V4), unless the experts were quantised again.
    if inner.raw("expert_dtype", None) == "fp4":
        at = 1 if table is not None else 0
        schemes.insert(at, Scheme("mxfp4", scope=("experts",)))
    for name, data in beside.items():
        own = Table(data, f"{file} ({name})")
        if name == "hf_quant_config.json":
            own = own.table("quantization") if "quantization" in own else own
            schemes += _modelopt(own)
        else:
            schemes += _ascend(own)
        base = _cache(own, base)
        read.append(own)
    return _resolved(schemes, base, parts), tuple(warning for t in read for warning in _unread(t))


def _resolved(schemes: Sequence[Scheme], base: Formats, parts: Parts) -> Formats:
    """Return the formats with each component in the shares that its matrices have."""
    if not schemes:
        return base
    found: dict[str, dict[str, float]] = {}
    cache: dict[tuple[tuple[str, ...], str], str] = {}
    numbered = any(rules.numbered for scheme in schemes for rules in (scheme.ignore, scheme.targets))
    sizes = {ffn.experts for _, ffn in parts.layers if isinstance(ffn, Moe)}
    apart = any(scheme.targets.uneven(n) or scheme.ignore.uneven(n) for scheme in schemes for n in sizes)
    blocks = {kinds: parts.block(kinds, apart=apart) for kinds in dict.fromkeys(parts.layers)}

    def add(component: str, module: modules.Module, layer: str) -> None:
        key = (module.names, layer)
        if key not in cache:
            matches = (scheme.find(module, layer) for scheme in reversed(schemes))
            cache[key] = next((name for name in matches if name is not None), getattr(base, module.component))
        mine = found.setdefault(component, {})
        mine[cache[key]] = mine.get(cache[key], 0.0) + module.elements

    for i, kinds in enumerate(parts.layers):
        for module in blocks[kinds]:
            add(module.component, module, str(i // parts.blocks) if numbered else "0")
    if not parts.tied:
        add("head", modules.Module("head", ("lm_head", "head", "output", "embed_out"), parts.hidden * parts.vocab), "")
    table = ("embed_tokens", "wte", "embed", "word_embeddings", "tok_embeddings")
    add("embedding", modules.Module("embedding", table, parts.hidden * parts.vocab, linear=False), "")
    if parts.module is not None:
        for layer in ("mtp.layers.0", str(len(parts.layers) // parts.blocks), "of.no.list"):
            for module in (
                *parts.block(parts.module, apart=False),
                modules.Module("shared", ("fc", "eh_proj"), 2 * parts.hidden**2, linear=False),
            ):
                add(f"mtp {layer}", module, layer)
    # Draft modules go by either name: the one that a list treats differently from a module that no list names.
    either = [found.pop(key) for key in [key for key in found if key.startswith("mtp ")]]
    if either:
        found["mtp"] = next((each for each in either if each != either[-1]), either[-1])
    for component, elements in found.items():
        base = base.mixed(component, elements)
    return base


def _entries(t: Table, *keys: str) -> list[tuple[str, str | None]]:
    """Return the modules that lists leave out, under the several names of such lists."""
    return [(name, None) for key in keys for name in _names(t, key)]


def _ignored(t: Table, *keys: str) -> Rules:
    return Rules.of(_entries(t, *keys), t.place(keys[0]))


def _names(t: Table, key: str) -> tuple[str, ...]:
    value = t.raw(key, [])
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise t.fail(key, "must be a list of module names")
    return tuple(name for name in value if isinstance(name, str) and name)


_EXCLUDED: Final = ("modules_to_not_convert", "ignored_layers", "modules_to_not_quantize")


def _configured(t: Table) -> list[Scheme]:
    method = t.text(
        "quant_method", "modelopt" if "quant_algo" in t else "compressed-tensors" if "config_groups" in t else ""
    )
    known = _METHODS.get(method.lower().replace("_", "-")) if method else None
    if known is None:
        hint = f"{near(method, _METHODS, 'methods')}; or give dtype yourself"
        raise t.fail("quant_method", "unknown quantisation", hint)
    return known(t)


def _fixed(name: str, *scope: str) -> Callable[[Table], list[Scheme]]:
    """Return the reader of a method that has one format."""

    def read(t: Table) -> list[Scheme]:
        return [Scheme(name, _ignored(t, *_EXCLUDED, "ignore"), scope=scope or _LINEAR)]

    return read


def _fp8(t: Table) -> list[Scheme]:
    block = t.raw("weight_block_size", None)
    if block is not None and not (
        isinstance(block, (list, tuple)) and len(block) == 2 and all(_whole(n) for n in block)
    ):
        raise t.fail("weight_block_size", "must be two whole numbers")
    name = "fp8" if block is None else "mxfp8" if tuple(block) == (1, 32) else "fp8-block"
    out = [Scheme(name, _ignored(t, *_EXCLUDED))]
    if "quantized_layers" in t:
        t.raw("quant_algo", None)
        out += _mixed(t)
    return out


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST


def _bits(t: Table, *keys: str, default: int = 4) -> int:
    key = next((key for key in keys if key in t), keys[0])
    bits = t.count(key, default)
    if bits not in (2, 3, 4, 5, 6, 8):
        raise t.fail(key, "must be 2, 3, 4, 5, 6 or 8")
    return bits


def _group(t: Table, *keys: str, default: int = 128) -> int:
    """Return the elements that share a scale; 0 where a whole channel does."""
    key = next((key for key in keys if key in t), keys[0])
    size = t.raw(key, default)
    if isinstance(size, (list, tuple)):
        return 0
    return max(t.count(key, default, least=-1, most=_MOST), 0)


def _integers(bits: int, group: int, zero: str = "") -> str:
    """Return the format of whole numbers with activations in 16 bits."""
    return grouped("w8a16" if bits == 8 else f"int{bits}", group, zero)


def _gptq(t: Table) -> list[Scheme]:
    bits, group, zero = _bits(t, "bits"), _group(t, "group_size"), "" if t.flag("sym", default=True) else "zp"
    name = _integers(bits, group, zero)
    entries: list[tuple[str, str | None]] = []
    dynamic = t.table("dynamic", {})
    for pattern in dynamic:
        bare = pattern.removeprefix("+:").removeprefix("-:")
        if pattern.startswith("-:"):
            dynamic.raw(pattern, None)
            entries.append((f"re:{bare}", None))
            continue
        own = dynamic.table(pattern)
        sym = own.flag("sym", default=not zero)
        entries.append(
            (
                f"re:{bare}",
                _integers(
                    _bits(own, "bits", default=bits), _group(own, "group_size", default=group), "" if sym else "zp"
                ),
            )
        )
    only = _inside_blocks(t, name)
    if t.flag("lm_head"):
        only.append(("lm_head", name))
    rules = Rules.of([*entries, *only], t.place("dynamic"))
    limited = "modules_in_block_to_quantize" in t or "inside_layer_modules" in t
    return [Scheme(None if limited else name, _ignored(t, *_EXCLUDED), rules)]


def _inside_blocks(t: Table, name: str) -> list[tuple[str, str | None]]:
    """Return the modules of a block that GPTQ was limited to."""
    out: list[tuple[str, str | None]] = []
    for key in ("modules_in_block_to_quantize", "inside_layer_modules"):
        for group in t.raw(key, []) if isinstance(t.raw(key, []), (list, tuple)) else [None]:
            members = [group] if isinstance(group, str) else group
            if not isinstance(members, (list, tuple)) or not all(isinstance(each, str) for each in members):
                raise t.fail(key, "must be a list of lists of module names")
            out += [(each, name) for each in members]
    return out


def _awq(t: Table) -> list[Scheme]:
    zero = "zp" if t.flag("zero_point", default=True) else ""
    name = _integers(_bits(t, "bits", "w_bit"), _group(t, "group_size", "q_group_size"), zero)
    return [Scheme(name, _ignored(t, *_EXCLUDED))]


def _bitsandbytes(t: Table) -> list[Scheme]:
    eight = t.flag("load_in_8bit") or t.flag("_load_in_8bit")
    for key in ("load_in_4bit", "_load_in_4bit", "bnb_4bit_quant_type"):
        t.raw(key, None)
    four = "nf4-dq" if t.flag("bnb_4bit_use_double_quant") else "nf4"
    return [Scheme("w8a16" if eight else four, _ignored(t, "llm_int8_skip_modules", *_EXCLUDED))]


def _compressed(t: Table) -> list[Scheme]:
    groups = t.table("config_groups")
    entries: list[tuple[str, str | None]] = []
    default, experts = None, None
    if not list(groups):
        raise t.fail("config_groups", "must hold a group")
    for each in groups:
        group = groups.table(each)
        targets = _names(group, "targets") if "targets" in group else ("Linear",)
        name = _compressed_format(group)
        for target in targets:
            if target in ("Linear", "LinearBase", "ColumnParallelLinear", "RowParallelLinear"):
                default = default or name
            elif target in ("FusedMoE", "MoE", "Experts"):
                experts = experts or name
            else:
                entries.append((target, name))
    ignore = _ignored(t, "ignore")
    rules = Rules.of(entries, t.place("config_groups"))
    out = [Scheme(default, ignore, rules, head="quant_algo" not in t)]
    if experts is not None:
        out.append(Scheme(experts, ignore, scope=("experts",)))
    return out


def _compressed_format(group: Table) -> str | None:
    """Return the format of a group of compressed-tensors: bits, type and strategy of weights and of activations."""
    group.raw("output_activations", None)
    if "weights" not in group:
        group.raw("weights", None)
        return None
    weights = group.table("weights")
    acts = group.table("input_activations") if "input_activations" in group else None
    bits, kind = weights.count("num_bits", 8, most=16), weights.text("type", "int")
    strategy = weights.raw("strategy", None)
    size = _group(weights, "group_size", default=0)
    size = size if strategy in (None, "group", "tensor_group") else 0
    if strategy == "group" and not size:
        raise weights.fail(
            "group_size", 'must be above 0 under the strategy "group"; a whole channel is the strategy "channel"'
        )
    zero = "" if weights.flag("symmetric", default=True) else "zp"
    if kind not in ("int", "float"):
        raise weights.fail("type", "must be int or float")
    if bits == 16:
        return None
    narrow = 16 if acts is None else acts.count("num_bits", 8, most=16)
    if kind == "float" and bits == 8:
        if acts is None:
            return "w8a16"
        blocks = strategy == "block" or "block_structure" in weights
        return "fp8-block" if blocks else "mxfp8" if size == 32 else grouped("fp8", size)
    if kind == "float" and bits == 4:
        name = "mxfp4" if size == 32 else "nvfp4"
        # Kimi-K3 leaves activations out, and multiplies in four bits all the same where the chip can.
        return (
            name if (name == "mxfp4" and narrow != 8) or narrow <= 4 else f"{name}-a8" if narrow <= 8 else f"{name}-a16"
        )
    if kind == "float" and bits == 6:
        return "mxfp6"
    if bits not in (2, 3, 4, 5, 6, 8) or kind == "float":
        raise weights.fail("num_bits", "must be 2, 3, 4, 5, 6 or 8, or 4, 6 or 8 of type float")
    if acts is None or narrow >= 16:
        return _integers(bits, size, zero)
    if bits == 8:
        return grouped("int8", size)
    if bits == 4:
        four = "w4a4" if narrow <= 4 else "w4a8-fp8" if acts.text("type", "int") == "float" else "w4a8"
        return grouped(four, size)
    return _integers(bits, size, zero)


_ALGORITHMS: Final = {
    "FP8": "fp8", "FP8_PER_CHANNEL_PER_TOKEN": "fp8", "FP8_PB_WO": "fp8-block", "FP8_PB_REAL": "fp8-block", "FP8_BLOCK_SCALES": "fp8-block",
    "MXFP8": "mxfp8", "W8A16": "w8a16", "W8A16_GPTQ": "w8a16", "INT8": "int8", "INT8_SQ": "int8", "W8A8_SQ_PER_CHANNEL": "int8",
    "W8A8_SQ_PER_TENSOR_PLUGIN": "int8", "W8A8_SQ_PER_CHANNEL_PER_TOKEN_PLUGIN": "int8", "NVFP4": "nvfp4", "NVFP4_AWQ": "nvfp4",
    "NVFP4_SVD": "nvfp4", "MXFP4": "mxfp4", "W4A16": "int4", "W4A16_AWQ": "int4", "W4A16_GPTQ": "int4", "INT4_AWQ": "int4",
    "W4A8_AWQ": "w4a8-fp8", "W4A8_QSERVE_PER_GROUP": "w4a8", "W4A8_QSERVE_PER_CHANNEL": "w4a8-channel", "W4A16_NVFP4": "nvfp4-a16",
    "NVFP4_W4A16": "nvfp4-a16", "W4A16_MXFP4": "mxfp4", "W4A8_MXFP4_FP8": "mxfp4-a8", "W4A8_MXFP4_MXFP8": "mxfp4-a8", "W4A8_NVFP4_FP8": "nvfp4-a8",
}  # fmt: skip


def _algorithm(t: Table, name: str) -> str | None:
    if name in ("NO_QUANT", "NONE", "BF16", "FP16"):
        return None
    if name not in _ALGORITHMS:
        hint = f"{near(name, _ALGORITHMS, 'algorithms')}; or give dtype yourself"
        raise t.fail("quant_algo", "unknown quantisation", hint)
    stored, size = _ALGORITHMS[name], _group(t, "group_size", default=128)
    return grouped(stored, size) if stored in ("int4", "w4a8-fp8", "w4a8") and size else stored


def _modelopt(t: Table) -> list[Scheme]:
    method = t.text("quant_method", "").lower().replace("_", "-")
    usual = {
        "modelopt-fp4": "NVFP4",
        "nvfp4": "NVFP4",
        "petit-nvfp4": "W4A16_NVFP4",
        "modelopt-fp8": "FP8",
        "modelopt-mxfp8": "MXFP8",
    }
    algorithm = t.text("quant_algo", usual.get(method, ""))
    ignore = _ignored(t, "exclude_modules", "ignore", *_EXCLUDED)
    if algorithm == "MIXED_PRECISION":
        return _mixed(t)
    if not algorithm:
        return _mixed(t) if "quantized_layers" in t else _compressed(t) if "config_groups" in t else []
    out = [Scheme(_algorithm(t, algorithm), ignore)]
    return out + (_mixed(t) if "quantized_layers" in t else [])


def _mixed(t: Table) -> list[Scheme]:
    """Return the scheme of ``quantized_layers``: an algorithm for each module."""
    listed = t.table("quantized_layers", {})
    entries = []
    for module in listed:
        own = listed.table(module)
        algorithm = own.text("quant_algo", "")
        if algorithm:
            entries.append((module, _algorithm(own, algorithm)))
    # A module that the list names is quantised, whatever else is left out.
    return [Scheme(targets=Rules.of(entries, t.place("quantized_layers")))]


_QUARK: Final = {
    "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "fp8": "fp8", "int8": "int8", "fp4": "mxfp4", "mxfp4": "mxfp4", "fp6_e2m3": "mxfp6", "fp6_e3m2": "mxfp6",
    "mx": "mxfp4", "mx6": "mxfp6", "mx9": "mxfp8", "mxfp8": "mxfp8", "uint8": "int8",
}  # fmt: skip


def _quark(t: Table) -> list[Scheme]:
    """AMD Quark: a format for all, for layers by name or wildcard, and modules left out."""
    default = _quark_format(t.table("global_quant_config")) if "global_quant_config" in t else None
    by_name = t.table("layer_quant_config", {})
    entries: list[tuple[str, str | None]] = [(name, _quark_format(by_name.table(name))) for name in by_name]
    types = t.table("layer_type_quant_config", {})
    for name in types:
        default = _quark_format(types.table(name)) if name in ("Linear", "nn.Linear") else default
    rules = Rules.of(entries, t.place("layer_quant_config"))
    return [Scheme(default, _ignored(t, "exclude", *_EXCLUDED), rules)]


def _quark_format(t: Table) -> str | None:
    weight = t.raw("weight", None)
    if weight is None:
        return None
    own = t.tables("weight")[-1] if isinstance(weight, (list, tuple)) and weight else t.table("weight")
    name, scheme = own.text("dtype"), own.raw("qscheme", None)
    size = _group(own, "group_size", default=0) if scheme == "per_group" else 0
    alone = t.raw("input_tensors", None) is None
    integer = re.fullmatch(r"u?int([234568])", name)
    if integer and (alone or integer[1] != "8"):
        return _integers(int(integer[1]), size, "" if own.flag("symmetric", default=True) else "zp")
    if name in _QUARK:
        stored = _QUARK[name]
        if stored == "fp8" and scheme == "per_block":
            return "fp8-block"
        if stored == "fp8" and size == 32:
            return "mxfp8"
        return grouped(stored, size) if stored in ("fp8", "int8") else stored
    if name in ("bfloat16", "float16", "float32"):
        return None
    raise own.fail("dtype", "unknown quantisation", f"{near(name, _QUARK, 'formats')}; or give dtype yourself")


_ASCEND: Final = {
    "FLOAT": None, "W8A8": "int8", "W8A8_DYNAMIC": "int8", "W8A8_MIX": "int8", "W8A8S": "int8", "W8A8SC": "int8", "W8A16": "w8a16",
    "W4A16": "int4", "W4A8": "w4a8-channel", "W4A8_DYNAMIC": "w4a8-channel", "W4A8_PER_CHANNEL": "w4a8-channel", "W4A4": "w4a4-channel", "W4A4_DYNAMIC": "w4a4-channel",
    "W4A4_FLATQUANT_DYNAMIC": "w4a4-channel", "W4A4_LAOS_DYNAMIC": "w4a4-channel", "W8A8_MXFP8": "mxfp8", "W8A8_FP8": "fp8", "W4A8_MXFP": "mxfp4-a8", "W4A8_MXFP4": "mxfp4-a8",
    "W4A4_MXFP4": "mxfp4", "W16A16": None, "BF16": None, "FP16": None,
}  # fmt: skip
"""Formats of ModelSlim, by the names in its descriptions."""


def _ascend(t: Table) -> list[Scheme]:
    """ModelSlim for Ascend: a format for each tensor, or one for all."""
    size, entries = _group(t, "group_size", default=0), []
    inside = t.table("quant_description", {}) if "quant_description" in t else t
    for key in inside:
        value = inside.data[key]
        if isinstance(value, str) and re.search(r"\.(weight|qweight)$", key):
            entries.append((key, _ascend_format(inside, key, size)))
            inside.raw(key)
        elif "." in key:
            inside.raw(key, None)
    whole = next((key for key in ("model_quant_type", "quant_type", "quantize", "quant_algo") if key in t), None)
    if whole is None and not entries:
        raise t.fail("model_quant_type", "is missing", f"one of {', '.join(_ASCEND)}, or a format for each tensor")
    stored = None if whole is None else _ascend_format(t, whole, size)
    rules = Rules.of(entries, t.place("weights"))
    # Where tensors are listed one by one, those are all.
    return [
        Scheme(None if entries else stored, _ignored(t, "ignore", "ignored_layers", "disable_names", *_EXCLUDED), rules)
    ]


def _ascend_format(t: Table, key: str, size: int) -> str | None:
    name = t.text(key).upper()
    if name not in _ASCEND:
        raise t.fail(key, "unknown quantisation", f"{near(name, _ASCEND, 'formats')}; or give dtype yourself")
    stored = _ASCEND[name]
    return (
        grouped(stored.removesuffix("-channel"), size)
        if stored and size and stored.startswith(("w4", "int4"))
        else stored
    )


def _auto_round(t: Table) -> list[Scheme]:
    """AutoRound: bits and group for all, and for layers by name or regular expression."""

    def read(own: Table, usual: Table) -> str | None:
        kind = own.text("data_type", usual.text("data_type", "int"))
        bits = own.count("bits", usual.count("bits", 4, most=32), most=32)
        if bits >= 16:
            return None
        if kind.startswith(("mx_fp", "mxfp")):
            return {8: "mxfp8", 6: "mxfp6", 4: "mxfp4"}.get(bits, "mxfp8")
        if kind.startswith(("nv_fp", "nvfp")):
            return "nvfp4"
        if kind.startswith("fp") and bits == 8:
            return "fp8-block" if isinstance(own.raw("group_size", usual.raw("group_size", None)), list) else "fp8"
        size = _group(own, "group_size", default=_group(usual, "group_size"))
        bits = _bits(own, "bits", default=_bits(usual, "bits"))
        zero = "" if own.flag("sym", default=usual.flag("sym", default=True)) else "zp"
        acts = own.count("act_bits", usual.count("act_bits", 16, most=32), most=32)
        if acts <= 8 and bits == 8:
            return grouped("int8", size)
        return grouped("w4a8", size) if acts <= 8 and bits == 4 else _integers(bits, size, zero)

    own = t.table("extra_config", {})
    entries: list[tuple[str, str | None]] = []
    for name in own:
        pattern = f"re:{name}" if re.search(r"[\\()|^$]|\.\*", name) else name
        entries.append((pattern, read(own.table(name), t)))
    stored = read(t, t)
    if t.flag("quant_lm_head") or t.flag("lm_head"):
        entries.append(("lm_head", stored))
    rules = Rules.of(entries, t.place("extra_config"))
    return [Scheme(stored, _ignored(t, *_EXCLUDED), rules)]


_TORCHAO: Final = (
    (re.compile(r"int4.?weight.?only"), "int4"), (re.compile(r"int8.?dynamic.?activation.?int4"), "w4a8"), (re.compile(r"int8.?dynamic.?activation.?int8"), "int8"),
    (re.compile(r"int8.?weight.?only"), "w8a16"), (re.compile(r"float8.?dynamic.?activation.?int4"), "w4a8-fp8"), (re.compile(r"float8.?weight.?only"), "w8a16"),
    (re.compile(r"float8|fp8"), "fp8"), (re.compile(r"nvfp4"), "nvfp4"), (re.compile(r"mx|fp4"), "mxfp4"), (re.compile(r"int8.?weight|int8"), "w8a16"),
    (re.compile(r"int4"), "int4"), (re.compile(r"uint([2-6])|int([2356])"), "int"),
)  # fmt: skip


def _torchao(t: Table) -> list[Scheme]:
    """TorchAO: a configuration for all (``default``), or for modules by name."""
    given = t.raw("quant_type", t.raw("quantization", None))
    if isinstance(given, str):
        return [
            Scheme(_torchao_format(t, "quant_type", given, t.table("quant_type_kwargs", {})), _ignored(t, *_EXCLUDED))
        ]
    kinds = t.table("quant_type")
    entries: list[tuple[str, str | None]] = []
    default: str | None = None
    data = kinds
    if "_type" in kinds:
        default, data = _torchao_config(kinds)
    for name in kinds:
        if name in ("_type", "_data", "_version"):
            continue
        own = kinds.table(name)
        stored, inside = _torchao_config(own)
        if name == "default":
            default = stored
            data = inside
        else:
            entries.append((name, stored))
    by_name = next((data.table(key) for key in ("module_fqn_to_config", "fqn_to_config") if key in data), None)
    for name in () if by_name is None else by_name:
        own = kinds if by_name is None else by_name
        stored = None if own.raw(name, None) is None else _torchao_config(own.table(name))[0]
        if name == "_default":
            default = stored
        else:
            entries.append((name, stored))
    return [Scheme(default, _ignored(t, *_EXCLUDED), Rules.of(entries, t.place("quant_type")))]


def _torchao_config(t: Table) -> tuple[str | None, Table]:
    kind = t.text("_type")
    data = t.table("_data", {})
    if "FqnToConfig" in kind:
        return None, data
    return _torchao_format(t, "_type", kind, data), data


def _torchao_format(t: Table, key: str, kind: str, data: Table) -> str | None:
    bare = kind.lower().replace("_", "")
    found = next(((match, name) for pattern, name in _TORCHAO if (match := pattern.search(bare))), None)
    if found is None:
        known = "Int4WeightOnlyConfig, Int8WeightOnlyConfig, Float8DynamicActivationFloat8WeightConfig and their like"
        raise t.fail(key, "unknown quantisation", f"known: {known}; or give dtype yourself")
    match, name = found
    if name == "int":
        name = f"int{next(bits for bits in match.groups() if bits)}"
    size = _group(data, "group_size", default=32 if name == "w4a8" else 128 if name.startswith("int") else 0)
    # Scales and zero points are stored in 16 bits each.
    return (
        grouped(name, size, "z16" if name.startswith("int4") else "")
        if name.startswith(("int", "w4a8", "w8a16")) and name != "int8"
        else name
    )


def _hqq(t: Table) -> list[Scheme]:
    """HQQ: scales and zero points in 16 bits each."""

    def read(own: Table) -> str | None:
        inside = own.table("weight_quant_params") if "weight_quant_params" in own else own
        return _integers(_bits(inside, "nbits", "bits", "weight_bits"), _group(inside, "group_size", default=64), "z16")

    own = t.table("quant_config") if "quant_config" in t else t
    direct = any(key in own for key in ("weight_quant_params", "nbits", "bits", "weight_bits"))
    rules = (
        Rules()
        if direct
        else Rules.of(
            [(name, read(own.table(name))) for name in own if isinstance(own.data[name], Mapping)],
            t.place("quant_config"),
        )
    )
    return [Scheme(read(own) if direct else None, _ignored(t, "skip_modules", *_EXCLUDED), rules)]


def _quanto(t: Table) -> list[Scheme]:
    known = {"int8": "w8a16", "float8": "w8a16", "int4": "int4", "int2": "int2"}
    name = t.text("weights", "int8")
    if name not in known:
        raise t.fail("weights", "unknown quantisation", near(name, known, "formats"))
    return [Scheme(known[name], _ignored(t, *_EXCLUDED))]


def _w4afp8(t: Table) -> list[Scheme]:
    """Experts in four bits with activations in fp8; what else is linear in fp8 by blocks."""
    ignore = _ignored(t, *_EXCLUDED, "ignore")
    size = _group(t, "group_size")
    t.raw("weight_block_size", None)
    rest = "fp8-block" if t.text("linear_activation_scheme", "dynamic") == "dynamic" else "fp8"
    return [Scheme(rest, ignore), Scheme(grouped("w4a8-fp8", size), ignore, scope=("experts",))]


def _w4a8(t: Table) -> list[Scheme]:
    size = _group(t, "group_size")
    for key in ("wbits", "w_bit", "bits", "a_bit", "act_bits"):
        t.raw(key, None)
    return [Scheme(grouped("w4a8", size), _ignored(t, *_EXCLUDED, "ignore"))]


def _fp_quant(t: Table) -> list[Scheme]:
    name = t.text("forward_dtype", "mxfp4")
    if name not in ("mxfp4", "nvfp4", "mxfp8"):
        raise t.fail("forward_dtype", "unknown quantisation", "known: mxfp4, nvfp4, mxfp8")
    return [Scheme(name, _ignored(t, *_EXCLUDED))]


_METHODS: Final[Mapping[str, Callable[[Table], list[Scheme]]]] = {
    "fp8": _fp8, "fbgemm-fp8": _fp8, "ptpc-fp8": _fixed("fp8"), "w8a8-fp8": _fixed("fp8"), "deepspeedfp": _fixed("fp8"), "mxfp8": _fixed("mxfp8"),
    "blockwise-fp8": _fixed("fp8-block"), "w8a8-int8": _fixed("int8"), "int8": _fixed("int8"), "tpu-int8": _fixed("int8"), "eetq": _fixed("w8a16"),
    "experts-int8": _fixed("w8a16", "experts"), "mxfp4": _fixed("mxfp4", "experts"), "gpt-oss-mxfp4": _fixed("mxfp4", "experts"), "bitnet": _fixed("int2-channel"),
    "gptq": _gptq, "gptq-marlin": _gptq, "marlin": _gptq, "gptqmodel": _gptq, "moe-wna16": _gptq, "awq": _awq, "awq-marlin": _awq,
    "bitsandbytes": _bitsandbytes, "bnb": _bitsandbytes, "compressed-tensors": _compressed, "modelopt": _modelopt, "modelopt-fp4": _modelopt, "modelopt-fp8": _modelopt,
    "modelopt-mixed": _modelopt, "modelopt-mxfp8": _modelopt, "nvfp4": _modelopt, "petit-nvfp4": _modelopt, "quark": _quark, "ascend": _ascend, "modelslim": _ascend,
    "auto-round": _auto_round, "autoround": _auto_round, "intel/auto-round": _auto_round, "inc": _auto_round, "torchao": _torchao, "hqq": _hqq, "quanto": _quanto,
    "w4afp8": _w4afp8, "w4a8": _w4a8, "qoq": _w4a8, "qserve": _w4a8, "fp-quant": _fp_quant,
}  # fmt: skip
"""Readers by ``quant_method``: each returns the schemes of a checkpoint, a later one before an earlier."""


def _cache(t: Table, base: Formats) -> Formats:
    """Return the formats with the cache that a checkpoint states."""
    stated = (
        t.raw("kv_cache_quant_algo", None)
        or t.raw("kv_cache_dtype", None)
        or t.raw("kv_quant_type", None)
        or t.raw("kv_cache_type", None)
    )
    if isinstance(stated, str):
        return _cached(base, stated)
    quark = t.raw("kv_cache_quant_config", None)
    if isinstance(quark, Mapping) and quark:
        first = next(iter(quark.values()))
        own = Table(first if isinstance(first, Mapping) else quark, t.file, "kv_cache_quant_config")
        for key in ("output_tensors", "weight", "input_tensors"):
            spec = own.raw(key, None)
            if isinstance(spec, Mapping) and isinstance(spec.get("dtype"), str):
                return _cached(base, spec["dtype"])
    scheme_ = t.raw("kv_cache_scheme", None)
    if scheme_ is None:
        return base
    if isinstance(scheme_, str):
        return _cached(base, scheme_)
    scheme = t.table("kv_cache_scheme")
    bits, kind = scheme.count("num_bits", 16, most=16), scheme.text("type", "float")
    name = {(8, "float"): "fp8", (8, "int"): "int8", (4, "float"): "nvfp4"}.get((bits, kind))
    if name is None and bits < 16:
        raise scheme.fail("num_bits", f"no such cache of type {kind[:20]!r} is known", "8 bits, or 4 of type float")
    return base if name is None else evolve(base, kv=name)


def _cached(base: Formats, said: str) -> Formats:
    """Return the formats with the cache in the format of a word for it; words for 16 bits change nothing."""
    starts = (
        ("FP8", "fp8"),
        ("FLOAT8", "fp8"),
        ("NVFP4", "nvfp4"),
        ("FP4", "nvfp4"),
        ("INT8", "int8"),
        ("C8", "int8"),
        ("MXFP8", "mxfp8"),
    )
    return next((evolve(base, kv=name) for start, name in starts if said.upper().startswith(start)), base)


_PLAIN: Final = re.compile(
    r"^(quant_method|desc_act|act_group_aware|damp_.*|static_groups|true_sequential|model_(name_or_path|file_base_name|seqlen)|dataset|tokenizer|"
    r"batch_size|backend|version|checkpoint_format|format|meta|pack_dtype|use_.*|exllama_config|max_input_length|cache_block_outputs|disable_exllama|"
    r"block_name_to_quantize|to_quant_block_names|is_marlin_format|quantization_status|global_compression_ratio|sparsity_config|transform_config|"
    r"fmt|activation_scheme|activation_scale_ub|scale_fmt|dequantize|producer|bnb_.*|llm_int8_.*|packing_format|iters|seqlen|nsamples|lr|minmax_lr|"
    r"enable_.*|autoround_version|low_.*|gradient_accumulate_steps|act_.*|super_.*|amp|model_dtype|scale_dtype|data_type|"
    r"do_fuse|fuse_.*|modules_to_fuse|algo_config|softmax_quant_spec|quant_mode|export|name|quark_version|include_input_output_embeddings|"
    r"untie_embedding_weights|moe_quant_algo|group_size|config_groups|kv_cache_.*|kv_layer_.*|has_zero_point|pre_quant_scale|smoothquant_val|"
    r"exclude_modules|ignore|mod?e?l?_?slim.*|quant_config|weights|activations|linear_activation_scheme|moe_activation_scheme|lm_head|observer.*|"
    r"is_checkpoint_.*|forward_method|store_master_weights|hadamard_group_size|transform_init|pseudoquantization|modality|hf_quant_config|"
    r"fa_quant_type|indexer_quant_type|metadata|optional|reuse_.*|quant_type_kwargs|kv_cache_group|offload_meta|axis|view_as_float|"
    r".*_damp.*|compress_.*|tensor_parallel.*|quantized_by|quantization_tool|bits|sym|zero_point|rounding)$"
)
"""Fields that change nothing of what is stored."""


def _unread(t: Table) -> Iterable[str]:
    """Return what to say of fields that no reader of the method asked for."""
    for key in t.unread():
        if not _PLAIN.match(key):
            yield f"{t.path or 'quantization'}.{key}={shown(t.data[key])} is not understood and may matter"
