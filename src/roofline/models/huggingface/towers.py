"""Encoders of images and sound beside a language model, counted from their configs: their weights are held, their time is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from roofline.core.mappings import Table
from roofline.models.architecture import Tower

_TOWERS: Final = {
    "vision_config": "vision tower", "vision_encoder": "vision tower", "visual": "vision tower", "vit_config": "vision tower", "vision_tower_config": "vision tower",
    "audio_config": "audio tower", "audio_encoder_config": "audio tower", "encoder_config": "audio tower", "speech_config": "audio tower",
    "acoustic_tokenizer_config": "acoustic tokenizer", "semantic_tokenizer_config": "semantic tokenizer", "diffusion_head_config": "diffusion head",
    "talker_config": "talker", "code2wav_config": "vocoder", "token2wav_config": "vocoder", "perceiver_config": "resampler", "qformer_config": "resampler",
}  # fmt: skip
"""The parts of a config that describe what text does not pass through."""

_USUAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "qwen2_vl": {"embed_dim": 1280, "depth": 32, "mlp_ratio": 4, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2},
    "qwen2_5_vl": {"hidden_size": 1280, "depth": 32, "intermediate_size": 3420, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "gated": True},
    "qwen3_vl": {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "patch_size": 16, "temporal_patch_size": 2, "spatial_merge_size": 2},
    "siglip": {"hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304, "patch_size": 14},
    "pixtral": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "patch_size": 16, "gated": True, "plain": True},
    "clip": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "patch_size": 14},
    "mllama": {"hidden_size": 1280, "num_hidden_layers": 32, "num_global_layers": 8, "intermediate_size": 5120, "patch_size": 14},
    "kimi": {"hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304, "patch_size": 14},
    "glm4v": {"depth": 24, "hidden_size": 1536, "intermediate_size": 13696, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "gated": True},
    "exaone": {"depth": 28, "hidden_size": 2048, "intermediate_size": 5120, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2, "gated": True},
    "intern_vit": {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "patch_size": 14},
    "llama4": {"hidden_size": 1408, "num_hidden_layers": 34, "intermediate_size": 5632, "patch_size": 14},
    "ernie": {"depth": 32, "hidden_size": 1280, "mlp_ratio": 4, "patch_size": 14, "spatial_merge_size": 2},
    "audio": {"d_model": 1280, "encoder_layers": 32, "encoder_ffn_dim": 5120, "num_mel_bins": 128},
}  # fmt: skip
"""What published files of a kind of tower leave to the reader: its usual sizes (Transformers 4.57 to 5.7, configuration classes)."""

_ALIASES: Final = (
    ("qwen3", "qwen3_vl"), ("qwen2_5", "qwen2_5_vl"), ("qwen2", "qwen2_vl"), ("siglip", "siglip"), ("pixtral", "pixtral"), ("mistral3", "pixtral"),
    ("mllama", "mllama"), ("kimi", "kimi"), ("moonvit", "kimi"), ("glm4", "glm4v"), ("glm", "glm4v"), ("exaone", "exaone"), ("intern", "intern_vit"), ("llama4", "llama4"),
    ("ernie", "ernie"), ("whisper", "audio"), ("audio", "audio"), ("lfm2", "siglip"), ("gemma3", "siglip"), ("clip", "clip"),
)  # fmt: skip


def towers(top: Table, hidden: int) -> tuple[tuple[Tower, ...], tuple[str, ...]]:
    """Return the towers of a config, and a warning for each that cannot be counted.

    Args:
        hidden: the hidden size of the text, which what a tower sees is projected to.
    """
    found: list[Tower] = []
    unsure: list[str] = []
    family = str(top.data.get("model_type") or "")
    for table, key in _parts(top):
        name = _TOWERS[key]
        count = _count(table, family, hidden, key)
        if count is None:
            unsure.append(f"{key}: the {name} is not counted: its weights and its time are left out")
        else:
            found.append(Tower(name, count))
    return tuple(found), tuple(unsure)


def _parts(top: Table) -> Iterator[tuple[Table, str]]:
    """Return the towers' tables, one level down too (Qwen-Omni)."""
    for key, value in top.data.items():
        if key in _TOWERS and isinstance(value, Mapping) and value:
            yield top.table(key), key
        elif key == "thinker_config" and isinstance(value, Mapping):
            yield from _parts(top.table(key))


_MOST_SIZE = 10_000_000


def _size(t: Table, usual: Mapping[str, Any], *names: str) -> int:
    """Return a size under one of its names: the file's, else the usual one; 0 for neither.

    Raises:
        DescriptorError: a number that is no size.
    """
    for source in (t.data, usual):
        for name in names:
            value = source.get(name)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            if not (0 <= value < _MOST_SIZE and value == int(value)):
                raise t.fail(name, f"must be a whole number below {_MOST_SIZE:,}")
            if value:
                return int(value)
    return 0


def _count(t: Table, family: str, hidden: int, key: str) -> int | None:
    """Return the parameters of a transformer tower: patches or mel bins in, layers, and a projection into the text's states."""
    text = f"{t.data.get('model_type') or ''} {family}"
    kind = next(
        (name for word, name in _ALIASES if word in text and (name == "audio") == ("audio" in _TOWERS[key])), ""
    )
    usual = _USUAL.get(kind, {})
    # Qwen2-VL calls the width of the text hidden_size, and its own embed_dim.
    wide = _size(t, usual, "embed_dim", "hidden_size", "d_model", "width", "vt_hidden_size")
    layers = _size(
        t, usual, "depth", "num_hidden_layers", "encoder_layers", "layers", "vt_num_hidden_layers", "num_layers"
    )
    if not wide or not layers or "tokenizer" in key or "diffusion" in key or "talker" in key or "wav" in key:
        return None
    layers += _size(t, usual, "num_global_layers")
    ratio = t.data.get("mlp_ratio", usual.get("mlp_ratio", 4))
    inner = _size(t, usual, "intermediate_size", "encoder_ffn_dim", "vt_intermediate_size") or round(
        wide * (ratio if isinstance(ratio, (int, float)) else 4)
    )
    gated, plain = bool(usual.get("gated")), bool(usual.get("plain"))
    attention = 4 * wide * wide + (0 if plain else 4 * wide)
    block = (2 + gated) * wide * inner + (0 if plain else (1 + gated) * inner + wide)
    norms = (2 if gated else 4) * wide
    if kind == "audio":
        bins = _size(t, usual, "num_mel_bins", "n_mel_bins")
        into = 3 * wide * bins + wide + 3 * wide * wide + wide
        return layers * (attention + block + norms) + into + wide * hidden + hidden
    patch = _size(t, usual, "patch_size") or 14
    times = _size(t, usual, "temporal_patch_size") or 1
    into = 3 * times * patch * patch * wide
    merge = _size(t, usual, "spatial_merge_size", "downsample_factor") or (2 if kind in ("kimi", "pixtral") else 1)
    rows = wide * merge * merge
    out = rows * rows + rows + rows * hidden + hidden + wide if merge > 1 else wide * hidden + hidden
    if kind == "mllama":
        # Tokens of six layers are joined; tables of positions for tiles and their shapes.
        out = 6 * wide * hidden + hidden + 9 * 4 * (1601 + 2) * wide
    deep = t.data.get("deepstack_visual_indexes")
    # Qwen3-VL hands states of earlier layers to the text too, each through a projection of its own.
    out *= 1 + (len(deep) if isinstance(deep, (list, tuple)) and len(deep) < layers else 0)
    positions = _size(t, usual, "num_position_embeddings", "num_patches") * wide
    return layers * (attention + block + norms) + into + positions + out
