"""Checkpoints of a sweep: results of each task as records of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from roofline.core.errors import DescriptorError, shown
from roofline.planner.frontier import Part, Refusal, Wanted
from roofline.studies.space import Family

FORM: Final = 3
"""Of the records below."""


def stored(task: int, family: int, part: Part) -> dict[str, Any]:
    """Return what a task found as a record: numbers are written so that they read back the same."""
    return {
        "task": task,
        "family": family,
        "points": part.points,
        "accepted": part.accepted,
        "rejected": {key: attrs.astuple(each) for key, each in part.rejected.items()},
        "places": part.places.tolist(),
        "values": part.values.tolist(),
    }


def restored(
    records: Iterable[Any], tasks: Iterator[tuple[int, int]], families: tuple[Family, ...], wanted: Wanted, file: Path
) -> Iterator[tuple[int, int, Part]]:
    """Yield the tasks that are done, each with its family and what it found.

    Args:
        records: as :func:`stored` made them.
        tasks: family and points of every task there is, in order.
        families, wanted: what the sweep is of, and keeps.
        file: what messages call the file.

    Raises:
        DescriptorError: a record that this sweep cannot have written.
    """
    known, seen = list[tuple[int, int]](), set[int]()
    for record in records:
        try:
            task, family, part = _read(record, len(wanted.metrics))
            if task >= len(known):
                known += islice(tasks, task + 1 - len(known))
            ours = task not in seen and (family, part.points) == known[task]
            ours &= _within(part, families[family].points, wanted)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
            ours = False
        if not ours:
            raise DescriptorError(
                f"{shown(str(file))}: is no checkpoint of this sweep; remove it, or name another file"
            )
        seen.add(task)
        yield task, family, part


def _read(record: Any, metrics: int) -> tuple[int, int, Part]:
    places = np.array([_count(each) for each in record["places"]], dtype=np.int64)
    values = np.array(record["values"], dtype=np.float64).reshape(metrics, len(places))
    rejected = {
        str(key): Refusal(str(text), _count(plans), float(limit))
        for key, (text, plans, limit) in record["rejected"].items()
    }
    task, family, points, accepted = (_count(record[name]) for name in ("task", "family", "points", "accepted"))
    return task, family, Part(points, accepted, rejected, places, values)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _within(part: Part, points: int, wanted: Wanted) -> bool:
    """Return whether a part has the form of one of a family of so many points."""
    lost = sum(each.plans for each in part.rejected.values())
    size = part.places.size
    return (
        part.accepted + lost == part.points
        and size <= min(part.accepted, part.accepted if wanted.most is None else wanted.most)
        and np.unique(part.places).size == size
        and (not size or bool(part.places.min() >= 0 and part.places.max() < points))
        and bool(np.isfinite(part.values).all())
    )
