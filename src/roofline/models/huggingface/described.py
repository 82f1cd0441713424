"""A model of no known family, described by its plan: ``model_type = "plan"`` and a table for each run of equal layers.

A block is a table with its ``kind`` and the fields of that kind; what is left out has the kind's default, and a block that is left
out is absent.

>>> from roofline.models.huggingface import model
>>> block = {"kind": "Gqa", "heads": 8, "kv_heads": 2, "head_dim": 64}
>>> run = {"count": 4, "attention": block, "ffn": {"kind": "Dense", "width": 2048}}
>>> model({"model_type": "plan", "hidden_size": 512, "vocab_size": 1000, "layers": [run]}).depth
4
"""

from __future__ import annotations

import types
from typing import Any, Final, TypeVar, get_args, get_type_hints

from attrs import NOTHING, fields

from roofline.core.errors import near
from roofline.core.mappings import Table
from roofline.models.architecture import Absent, Attention, FeedForward, Gqa, Hyper, Indexer, PerLayer
from roofline.models.huggingface.common import DEEPEST, WIDEST, Pair, Plan

T = TypeVar("T")

_OWN: Final = {"hyper": Hyper, "per_layer": PerLayer}
_SIZES: Final = {"outer_norms": 1, "norm_params": 1, "positions": 0}


def described(t: Table) -> Plan:
    """Return the plan that a file spells out.

    Raises:
        DescriptorError: a kind or a field that does not exist, a field that is missing, of the wrong type or out of bounds.
    """
    pairs: list[Pair] = []
    for run in t.tables("layers"):
        mixer: Attention = _block(run, "attention", get_args(Attention))
        ffn: FeedForward = _block(run, "ffn", get_args(FeedForward))
        if isinstance(mixer, Absent) and isinstance(ffn, Absent):
            raise run.fail("count", "a layer must have an attention or an ffn", "give at least one of the two tables")
        pairs += [(mixer, ffn)] * run.count("count", most=DEEPEST)
        run.done()
    if not 0 < len(pairs) <= DEEPEST:
        raise t.fail(
            "layers", f"must describe 1 to {DEEPEST} layers", "each table of the list is a run of equal layers"
        )
    also: dict[str, Any] = {key: t.count(key, default, least=0, most=WIDEST) for key, default in _SIZES.items()}
    also |= {key: _made(t.table(key), kind) for key, kind in _OWN.items() if key in t}
    return Plan(pairs, {**also, "head_bias": t.flag("head_bias")})


def _block(t: Table, key: str, kinds: tuple[Any, ...]) -> Any:
    """Return the block at a key, absent if it is not there."""
    if key not in t:
        t.raw(key, None)
        return Absent()
    inside = t.table(key)
    known = {kind.__name__.lower(): kind for kind in kinds}
    name = inside.text("kind").lower()
    if name not in known:
        raise inside.fail("kind", "no such kind of block", near(name, [kind.__name__ for kind in kinds], "kinds"))
    return _made(inside, known[name])


def _made(t: Table, kind: type[T]) -> T:
    """Return a noun of a kind from the table of its fields."""
    hints = get_type_hints(kind)
    values = {each.name: _value(t, each.name, hints[each.name], each.default) for each in fields(kind)}  # type: ignore[arg-type]
    t.done()
    made = kind(**values)
    heads = getattr(made, "heads", 0)
    if isinstance(made, Gqa) and heads % made.kv_heads:
        raise t.fail("kv_heads", f"must divide the {heads} heads")
    return made


def _value(t: Table, name: str, hint: Any, default: Any) -> Any:
    """Return a field by its type: a flag, a size, or a noun inside."""
    optional = isinstance(hint, types.UnionType)
    kind = next(arg for arg in get_args(hint) if arg is not type(None)) if optional else hint
    if kind is bool:
        return t.flag(name, default=default is not NOTHING and bool(default))
    if kind is Indexer:
        return _made(t.table(name), Indexer) if name in t else t.raw(name, None)
    if default is NOTHING:
        return t.count(name, most=WIDEST)
    return t.count(name, default, least=0, most=WIDEST)
