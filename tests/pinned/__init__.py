"""Answers and formulas whose numbers are pinned: ``python -m tests.pinned`` works them out again and says what changed.

Each module of :data:`TABLES` has functions that yield what is worked out: a name, and a number, an array, or a record of them. Its table,
``TABLE.json`` in this folder, has what they gave when it was last written. ``tests/test_pinned.py`` compares the two to one part in a
billion. Every size is a number of its own (no two alike, few round), so that no term can be dropped, doubled or swapped unseen.

A pinned number is not proved right: it shows that a change of the code changed it. What is worked out by hand stands in
``tests/*/test_by_hand.py``.
"""

import importlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import numpy as np

TABLES = ("operators", "memory", "pipelines", "queues", "networks", "prices", "intervals", "answers")
CLOSE = 1e-9
"""Relative difference up to which two numbers are the same; below ``TINY`` all are."""
TINY = 1e-15
DIGITS = 11


def functions(table: str) -> dict[str, Callable[[], Iterator]]:
    """Return the functions of a table by name."""
    module = importlib.import_module(f"{__name__}.{table}")
    return {name: made for name, made in vars(module).items() if getattr(made, "pinned", None) is True}


def pinned(made):
    """Mark a function whose numbers are pinned."""
    made.pinned = True
    return made


def plain(value):
    """Return a number, an array, or a record of them as JSON holds it; zeros and falsehoods of a record are left out."""
    if value is None or isinstance(value, str):
        return value
    if attrs.has(type(value)):
        value = {each.name: getattr(value, each.name) for each in attrs.fields(type(value))}
    if isinstance(value, dict):
        out = {str(key): plain(each) for key, each in value.items()}
        return {key: each for key, each in out.items() if each not in (0.0, "", None, {}, [])}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    short = float(f"{number:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def same(one, other) -> bool:
    """Return whether two values are the same, numbers to one part in a billion."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= max(CLOSE * max(abs(one), abs(other)), TINY)
    return one == other


def path(table: str) -> Path:
    """Return the file of a table."""
    return Path(__file__).parent / f"{table}.json"


def read(table: str) -> dict[str, dict]:
    """Return what a table holds: by function, then by name."""
    found = path(table)
    return json.loads(found.read_text()) if found.exists() else {}


def worked_out(made: Callable[[], Iterator]) -> Iterator[tuple[str, object]]:
    """Yield names and values of a function, as a table holds them."""
    met = set()
    for name, value in made():
        if name in met:
            raise ValueError(f"two values are called {name!r}")
        met.add(name)
        yield name, plain(value)


def write(table: str, values: dict[str, dict]) -> None:
    """Write a table: a line for each name."""
    lines = ["{"]
    for i, (function, named) in enumerate(values.items()):
        lines.append(f"{json.dumps(function)}: {{")
        rows = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in named.items()]
        lines.append(",\n".join(rows))
        lines.append("}" if i == len(values) - 1 else "},")
    path(table).write_text("\n".join((*lines, "}", "")))


def differences(old, new, name: str = "") -> Iterator[str]:
    """Yield in words how values differ, a line for each number."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{name} / {key}" if name else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{name}[{i}]")
    elif same(old, new):
        return
    elif old is None:
        yield f"{name}: new"
    elif new is None:
        yield f"{name}: gone"
    else:
        numbers = isinstance(old, (int, float)) and isinstance(new, (int, float)) and old
        yield f"{name}: {old} -> {new}{f' ({new / old - 1:+.2%})' if numbers else ''}"


def spread(low: float, high: float, n: int, start: float = 0.0, step: float = 0.6180339887498949) -> np.ndarray:
    """Return n numbers between two, evenly in the logarithm and in no order, four digits each: two with other steps do not go together."""
    parts = np.modf(start + step * np.arange(1, n + 1))[0]
    return np.array([float(f"{low * (high / low) ** part:.4g}") for part in parts])
