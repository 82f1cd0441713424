"""Constants of an engine's memory, set again without each start-up log in turn: how far off is a log that none of them has seen?

Of the logs of vLLM on GPUs (``workloads/runs/memory.csv``) the constants that they decide (bytes of a logit, sorted and not; context;
buffers of collectives; captured graphs) are moved, one after the other and each among a few values around that of the file, to where
the mean error of the room for cache and of the tokens in it is least. What is left out is a log with all its figures::

    python scripts/memory.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import attrs
import numpy as np

from roofline import catalog
from roofline.hardware.engines import Engine, StackMemory
from roofline.validation.memory import Logged, predicted

LOGS: Final = Path(__file__).parents[1] / "workloads" / "runs" / "memory.csv"
SIZES: Final = ("kv_cache_gib_per_gpu", "kv_cache_tokens", "max_concurrency_at_len")
STEPS: Final = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
SORTED: Final = 20.0
"""Bytes of a logit above which it is sorted."""


def _logit(memory: StackMemory, factor: float, which: bool) -> StackMemory:
    return attrs.evolve(memory, logit=memory.logit * factor) if (memory.logit > SORTED) == which else memory


MOVES: Final[Mapping[str, Callable[[StackMemory, float], StackMemory]]] = {
    "logit, sorted": lambda m, f: _logit(m, f, which=True),
    "logit": lambda m, f: _logit(m, f, which=False),
    "context": lambda m, f: attrs.evolve(m, context=m.context * f),
    "communicators": lambda m, f: attrs.evolve(m, communicators=m.communicators * f, wired=m.wired * f),
    "graph": lambda m, f: attrs.evolve(m, graph=m.graph * f),
}


def moved(factors: Mapping[str, float]) -> Callable[[Engine], Engine]:
    """Return what gives an engine other constants of memory."""

    def out(engine: Engine) -> Engine:
        memory = engine.memory
        for name, factor in factors.items():
            memory = MOVES[name](memory, factor)
        return attrs.evolve(engine, memory=memory)

    return out


def error(rows: Sequence[Mapping[str, str]], factors: Mapping[str, float]) -> float:
    """Return the mean error of rows, relative."""
    return float(np.mean([abs(predicted(row, moved(factors)).error) for row in rows]))


def fitted(logs: Sequence[Sequence[Mapping[str, str]]]) -> dict[str, float]:
    """Return the factors with which logs are met best, each log of the same weight, one constant after the other."""
    factors = dict.fromkeys(MOVES, 1.0)
    for name in MOVES:
        errors = {f: np.mean([error(log, factors | {name: f}) for log in logs]) for f in STEPS}
        least = min(errors.values())
        # Of values that do as well, the nearest to the file's.
        factors[name] = min((f for f in STEPS if errors[f] <= least + 1e-4), key=lambda f: abs(np.log(f)))
    return factors


def main() -> None:
    """Print what each log misses whose figures set no constant, and the mean errors."""
    rows = [row for row in catalog.read_rows(LOGS) if row["engine"] == "vllm" and row["quantity"] in SIZES]
    logs = [
        list(own) for _, own in groupby(rows, lambda row: (row["model"], row["system"], row["release"], row["length"]))
    ]
    found: list[Logged] = []
    before: list[Logged] = []
    for i, log in enumerate(logs):
        factors = fitted(logs[:i] + logs[i + 1 :])
        found += [predicted(row, moved(factors)) for row in log]
        before += [predicted(row) for row in log]
        print(log[0]["model"], log[0]["system"], {name: f for name, f in factors.items() if f != 1.0},
              [f"{each.error:+.1%}" for each in found[-len(log):]])  # fmt: skip
    for name in SIZES:
        pairs = [(a, b) for a, b in zip(found, before, strict=True) if a.row["quantity"] == name]
        out, own = (float(np.mean([abs(each.error) for each in side])) for side in zip(*pairs, strict=True))
        print(f"{name}: {len(pairs)} figures, mean error {own:.1%}, left out {out:.1%}")


if __name__ == "__main__":
    main()
