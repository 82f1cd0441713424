"""A sweep that was left: what there is of it as the content of a file, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from roofline.core.errors import DescriptorError
from roofline.planner.frontier import Part, Refusal

_FORM: Final = 2


def stored(mark: str, parts: Sequence[Part], done: Iterable[int]) -> bytes:
    """Return the content of a checkpoint: numbers are written so that they read back the same.

    Args:
        mark: of the question, which another sweep does not have.
    """
    families = [
        {
            "points": part.points,
            "kept": part.kept,
            "rejected": {key: attrs.astuple(each) for key, each in part.rejected.items()},
            "places": part.places.tolist(),
            "values": part.values.tolist(),
        }
        for part in parts
    ]
    out = {"form": _FORM, "sweep": mark, "done": list(_runs(sorted(done))), "families": families}
    return (json.dumps(out, allow_nan=False) + "\n").encode()


def restored(data: Mapping[str, Any], mark: str, file: Path) -> tuple[list[Part], frozenset[int]]:
    """Return what was left of each family, and the tasks that are done.

    Raises:
        DescriptorError: the file is of another sweep, or is none.
    """
    if data.get("form") != _FORM or data.get("sweep") != mark:
        raise DescriptorError(f"{file}: is of another sweep; name another file, or remove this one")
    try:
        parts = [
            Part(
                int(each["points"]),
                int(each["kept"]),
                {
                    str(key): Refusal(str(text), int(n), float(most))
                    for key, (text, n, most) in each["rejected"].items()
                },
                np.array(each["places"], dtype=np.int64),
                np.array(each["values"], dtype=np.float64).reshape(len(each["values"]), -1),
            )
            for each in data["families"]
        ]
        done = frozenset(n for first, last in data["done"] for n in range(first, last + 1))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DescriptorError(f"{file}: is no whole checkpoint; remove it") from None
    return parts, done


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield sorted numbers as runs, first and last of each.

    >>> list(_runs([0, 1, 2, 5, 7, 8]))
    [(0, 2), (5, 5), (7, 8)]
    """
    first = last = None
    for n in numbers:
        if first is None or last is None or n > last + 1:
            if first is not None and last is not None:
                yield first, last
            first = n
        last = n
    if first is not None and last is not None:
        yield first, last
