"""The largest models that fit on a machine."""

from __future__ import annotations

import numpy as np

from roofline import catalog
from roofline.core.arrays import ceil
from roofline.core.errors import QuestionError
from roofline.core.frames import Frame
from roofline.core.signatures import typed
from roofline.hardware.constants import Calibration
from roofline.operators.memory import total
from roofline.operators.serving_memory import fill_memory
from roofline.planner.candidates import possible, worth_trying
from roofline.planner.settings import setting
from roofline.planner.words import SystemLike


@typed
def largest(
    system: SystemLike, *, chips: int | None = None, batch: float = 1.0, context: float = 8192.0, dtype: str | None = None,
    kv_dtype: str | None = None, level: str | Calibration = "calibrated", most: int = 10,
) -> Frame:  # fmt: skip
    """Return the largest models of the library whose weights and caches fit on a system, by any layout.

    Columns are ``model``, ``parameters``, ``layout`` (that which leaves the most room), ``memory_bytes`` and ``capacity_bytes`` of
    a chip.

    Args:
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        chips: chips to use; by default all of the system.
        batch: sequences that are decoded.
        context: tokens of each of them.
        dtype, kv_dtype: number formats of the layers' matrices, and of the KV cache; by default the checkpoint's.
        level: ``ideal``, ``generic``, ``calibrated``, or a :class:`Calibration`.
        most: models that are listed, the largest first.

    Returns:
        A row for each model, the largest first.

    Raises:
        QuestionError: a number of no meaning; that no model fits is an answer without rows.

    >>> found = largest("dgx-h100", context=32768, most=1)
    >>> float(found["parameters"][0]) > 1e11, bool(found["memory_bytes"][0] <= found["capacity_bytes"][0])
    (True, True)
    """
    rack, profile, _ = setting(system, level=level)
    rows: list[tuple[str, float, str, float, float]] = []
    named = sorted(
        ((total(model), name) for name in catalog.names("model") for model in (catalog.model(name),)), reverse=True
    )
    for parameters, name in named:
        if len(rows) >= most:
            break
        model = catalog.model(name, dtype=dtype, kv_dtype=kv_dtype)
        try:
            layouts = possible(model, rack, worth_trying(model, rack, chips, {}))
        except QuestionError:
            continue
        memory, capacity, _ = fill_memory(
            model, rack, layouts, profile, sequences=ceil(batch / (layouts.dp * layouts.replicas)), tokens=context + 1, passing=1.0,
            logits=1.0,
        )  # fmt: skip
        share = np.broadcast_to(memory.total / capacity, np.shape(layouts.tp))
        if share.min() <= 1:
            k = int(np.argmin(share))
            held_ = float(np.broadcast_to(memory.total, share.shape)[k])
            rows.append(
                (
                    name,
                    float(parameters),
                    layouts.select(k).short(),
                    held_,
                    float(np.broadcast_to(capacity, share.shape)[k]),
                )
            )
    names = ("model", "parameters", "layout", "memory_bytes", "capacity_bytes")
    return Frame(
        {
            name: np.array([row[i] for row in rows], dtype=object if i in (0, 2) else np.float64)
            for i, name in enumerate(names)
        }
    )
