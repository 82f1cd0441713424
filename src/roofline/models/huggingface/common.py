"""What readers of all families share: sizes under their several names, plans layer by layer, and the usual blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from attrs import field, frozen

from roofline.core.mappings import Table
from roofline.models.architecture import Attention, Dense, FeedForward, Gqa, Moe

DEEPEST: Final = 10_000
WIDEST: Final = 10_000_000
MOST_EXPERTS: Final = 100_000
FEW: Final = 512
"""Taps of a convolution, residual streams, widths as multiples of the hidden size."""

HIDDEN: Final = ("hidden_size", "n_embd", "n_embed", "d_model")
DEPTH: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS: Final = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS: Final = ("num_key_value_heads", "num_attention_groups", "num_kv_heads")
HEAD_DIM: Final = ("head_dim", "attention_head_dim")
CONTEXT: Final = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length", "max_seq_length",
)  # fmt: skip
EXPERTS: Final = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts", "num_routed_experts")
TOP_K: Final = (
    "num_experts_per_tok", "experts_per_token", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_k", "moe_top_k",
)  # fmt: skip
MODULES: Final = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "num_mtp_layers")

Pair: TypeAlias = tuple[Attention, FeedForward]
T = TypeVar("T")


@frozen
class Plan:
    """What a family's reader returns: the blocks of every layer, and what else it knows of the model, by field.

    ``blocks`` among the latter: entries of ``layers`` that make up one numbered layer of a checkpoint.

    Attributes:
        layers: attention and feed-forward of every layer.
        also: what else is known of the model, by field.
    """

    layers: Sequence[Pair]
    also: Mapping[str, Any] = field(factory=dict)


Reader: TypeAlias = Callable[[Table], Plan]


def first(t: Table, names: Sequence[str]) -> str:
    """Return the first of several names that a table has; the usual one where it has none."""
    return next((name for name in names if name in t), names[0])


def width(t: Table, *names: str, default: Any = ...) -> int:
    """Return a width under the first of its names that is there."""
    name = first(t, names)
    return t.count(name, most=WIDEST) if default is ... else t.count(name, default, most=WIDEST)


def upto(t: Table, *names: str, default: int = 0, most: int = WIDEST) -> int:
    """Return a number that may be zero."""
    return t.count(first(t, names), default, least=0, most=most)


def depth(t: Table) -> int:
    """Return the number of layers."""
    return t.count(first(t, DEPTH), most=DEEPEST)


def hidden(t: Table) -> int:
    """Return the hidden size."""
    return width(t, *HIDDEN)


def table(t: Table, key: str) -> Table:
    """Return a table inside a table, an empty one where it is not there."""
    return t.table(key, {})


def listed(t: Table, key: str, layers: int) -> list[Any] | None:
    """Return a list with an entry for each layer; entries beyond them describe draft modules. None where it is not there."""
    value = t.raw(key, None)
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) < layers:
        raise t.fail(key, f"must be a list of {layers} entries, one a layer")
    return list(value[:layers])


def chosen(t: Table, key: str, layers: int, kinds: Mapping[str, T], default: Callable[[int], str]) -> list[T]:
    """Return what each layer is, by the words of a list, or by ``default`` of its number where there is no list."""
    words = listed(t, key, layers)
    if words is None:
        words = [default(i) for i in range(layers)]
    out = []
    for i, word in enumerate(words):
        if not isinstance(word, str) or word not in kinds:
            raise t.fail(key, f"layer {i} is {str(word)[:40]!r}", f"known: {', '.join(kinds)}")
        out.append(kinds[word])
    return out


def integers(t: Table, key: str, *, most: int = DEEPEST) -> list[int]:
    """Return a list of whole numbers, none where it is not there."""
    value = t.raw(key, [])
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(i, int) and not isinstance(i, bool) and 0 <= i <= most for i in value
    ):
        raise t.fail(key, f"must be a list of whole numbers from 0 to {most}")
    return list(value)


def number(t: Table, *names: str, default: Any = ..., least: int = 1, most: int = WIDEST) -> int:
    """Return a number that a file may give once for every layer in a list of equal entries (Hunyuan)."""
    name = first(t, names)
    value = t.raw(name, None)
    if isinstance(value, (list, tuple)) and value and all(item == value[0] for item in value):
        return Table({name: value[0]}, t.file, t.path).count(name, least=least, most=most)
    if default is ...:
        return t.count(name, least=least, most=most)
    return t.count(name, default, least=least, most=most)


def gqa(t: Table, **kind: Any) -> Gqa:
    """Return the attention that the usual fields describe; a missing ``num_key_value_heads`` means multi-head."""
    heads = kind.pop("heads", None) or width(t, *HEADS)
    kv_heads = kind.pop("kv_heads", None) or width(t, *KV_HEADS, default=None) or heads
    if heads % kv_heads:
        raise t.fail(first(t, KV_HEADS), f"must divide the {heads} attention heads")
    head_dim = kind.pop("head_dim", None) or width(t, *HEAD_DIM, default=None)
    if head_dim is None:
        size = hidden(t)
        if size % heads:
            raise t.fail(first(t, HEADS), f"must divide {first(t, HIDDEN)} {size} where head_dim is not given")
        head_dim = size // heads
    return Gqa(heads, kv_heads, head_dim, **kind)


def dense(t: Table, key: str = "intermediate_size", **kind: Any) -> Dense:
    """Return the usual gated feed-forward."""
    return Dense(width(t, key), **kind)


def moe(t: Table, key: str = "moe_intermediate_size", **kind: Any) -> Moe:
    """Return a mixture whose experts have the width at ``key``."""
    count = t.count(first(t, EXPERTS), most=MOST_EXPERTS)
    top_k = number(t, *TOP_K, most=count)
    # Some files say the same twice, under two names.
    for same, value in (*((name, count) for name in EXPERTS), *((name, top_k) for name in TOP_K)):
        if same in t and t.data[same] == value:
            t.raw(same)
    groups, among = _limited(t, count)
    return Moe(count, top_k, number(t, key), groups=groups, among=among, **kind)


def _limited(t: Table, count: int) -> tuple[int, int]:
    """Return into how many groups a router sees the experts, and in how many of them it draws: (1, 1) where it is not limited."""
    groups = first(t, ("n_group", "num_expert_group"))
    if groups not in t or "topk_group" not in t or t.raw(groups) is None or t.raw("topk_group") is None:
        return 1, 1
    if t.raw("topk_method", None) == "greedy":
        return 1, 1
    return t.count(groups, most=count), t.count("topk_group", most=count)


def shared(t: Table, *names: str, key: str = "moe_intermediate_size") -> int:
    """Return the total width of as many shared experts as a field says."""
    each = number(t, *names, default=0, least=0, most=DEEPEST)
    return each * number(t, key)


def mixed(sparse: Iterable[bool], mixture: FeedForward, plain: Callable[[], FeedForward]) -> list[FeedForward]:
    """Return the feed-forward of each layer; the plain one is read only where a layer has it."""
    which = list(sparse)
    other = mixture if all(which) else plain()
    return [mixture if is_sparse else other for is_sparse in which]


def sparse_layers(t: Table, layers: int, start: int = 0) -> list[bool]:
    """Return which layers are mixtures: by list, or every ``moe_layer_freq``-th, from ``first_k_dense_replace`` on.

    ``start`` is the first of them in a family whose files may leave ``first_k_dense_replace`` out.
    """
    if "mlp_layer_types" in t:
        kinds = {"dense": False, "sparse": True, "moe": True, "hash_moe": True}
        # The list says what these say in another way.
        for same in ("first_k_dense_replace", "moe_layer_freq"):
            t.raw(same, None)
        return chosen(t, "mlp_layer_types", layers, kinds, str)
    if isinstance(t.raw("moe_layer_freq", 1), (list, tuple)):
        upto(t, "first_k_dense_replace")
        return [bool(flag) for flag in listed(t, "moe_layer_freq", layers) or []]
    begin = t.count("first_k_dense_replace", min(start, layers), least=0, most=layers)
    step = t.count("moe_layer_freq", 1, most=DEEPEST)
    return [i >= begin and i % step == 0 for i in range(layers)]


def plan(attentions: Iterable[Attention], ffns: Iterable[FeedForward], **also: Any) -> Plan:
    """Return the plan of layers made of these blocks."""
    return Plan(list(zip(attentions, ffns, strict=True)), also)


FULL: Final = ("full_attention", "attention", "global_attention")
SLIDING: Final = ("sliding_attention", "chunked_attention", "local_attention")


def windows(t: Table, layers: int, default: Callable[[int], str] = lambda _: "full_attention") -> list[bool]:
    """Return which layers attend to a window: by ``layer_types``, or by ``default`` of their number."""
    kinds = {**dict.fromkeys(FULL, False), **dict.fromkeys(SLIDING, True)}
    return chosen(t, "layer_types", layers, kinds, default)
