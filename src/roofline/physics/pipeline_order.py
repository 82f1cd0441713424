"""What each rank of a pipeline does, one task after another, under each schedule.

Sources as in :mod:`roofline.physics.pipeline`; of ZB-V and DualPipe the rounds are those of their published programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import frozen

Pass: TypeAlias = tuple[str, int, int]
"""One kind of pass, the stage along the way of a micro-batch, and the micro-batch."""


@frozen
class Task:
    """What a rank does at a time: one pass, a whole backward pass, or a forward and a whole backward pass together.

    Attributes:
        passes: passes that are done, two where they are done together: what is passed, the stage, the micro-batch.
    """

    passes: tuple[Pass, ...]

    @property
    def paired(self) -> bool:
        """Whether a forward and a whole backward pass are done together."""
        return len(self.passes) > 1 and any(kind == "forward" for kind, _, _ in self.passes)


@frozen
class Plan:
    """Stages of a schedule, where they lie, and what each rank does in which order.

    Attributes:
        stages: that a micro-batch goes through; those of a second direction are numbered on from there.
        orders: tasks of each rank.
    """

    stages: int
    orders: tuple[tuple[Task, ...], ...]


def plan(schedule: str, p: int, m: int, v: int) -> Plan:
    """Return the order of the tasks of each rank."""
    match schedule:
        case "zb-v":
            return Plan(2 * p, tuple(tuple(_v_shaped(p, m, r)) for r in range(p)))
        case "dualpipe":
            return Plan(p, tuple(tuple(_two_way(p, m, r)) for r in range(p)))
        case _:
            return Plan(p * v, tuple(tuple(_one_way(schedule, p, m, v, r)) for r in range(p)))


def _one_way(schedule: str, p: int, m: int, v: int, rank: int) -> Iterator[Task]:
    """Yield forward passes until enough are in flight, then a backward pass for each.

    GPipe, 1F1B and zero bubble differ in how many are enough, and in when the gradients of weights come.
    """
    groups = [range(first, min(first + p, m)) for first in range(0, m, p)]
    forward = [(chunk * p + rank, i) for group in groups for chunk in range(v) for i in group]
    backward = [(chunk * p + rank, i) for group in groups for chunk in reversed(range(v)) for i in group]
    below = p - 1 - rank
    depth = {"gpipe": m, "zb-h1": below + 1, "zb-h2": 2 * below + 1}.get(schedule, below + 1)
    if v > 1:
        depth = m * v if m == p else 2 * below + (v - 1) * p + 1
    limit = {"zb-h1": p, "zb-h2": 2 * p - 1}.get(schedule, 0)
    behind = min(limit, m) - min(depth, m)
    started = 0
    for n, (stage, i) in enumerate(backward):
        while started < min(n + depth, len(forward)):
            yield Task((("forward", *forward[started]),))
            started += 1
        if not limit:
            yield _one_chunk(stage, i)
            continue
        yield Task((("inputs", stage, i),))
        if n >= behind:
            yield Task((("weights", *backward[n - behind]),))
    for stage, i in backward[len(backward) - behind :] if limit else ():
        yield Task((("weights", stage, i),))


def _one_chunk(stage: int, i: int) -> Task:
    return Task((("inputs", stage, i), ("weights", stage, i)))


def _v_shaped(p: int, m: int, rank: int) -> Iterator[Task]:
    """Yield the tasks of a rank of ZB-V, made for at least 2 p - 1 micro-batches; those that are not there are left out."""
    n = max(m, 2 * p - 1)
    stages = {"near": rank, "far": 2 * p - 1 - rank}
    near, far = [("forward", "near")], [("forward", "far")]
    near_back, far_back = ([("inputs", where), ("weights", where)] for where in stages)
    rounds: list[tuple[int, list[tuple[str, str]]]] = [
        (2 * (p - rank) - 1, near),
        (rank, far + near),
        (p - rank, far + far_back),
        (n - 2 * p + rank + 1, near + near_back + far + far_back),
        (p - rank - 1, near_back + far + far_back),
        (rank, [("inputs", "near"), ("inputs", "far")]),
        (p - rank, near_back),
        (rank, [("weights", "far")]),
        (rank, [("weights", "near")]),
    ]
    done: dict[tuple[str, str], int] = {}
    for times, steps in rounds:
        for step in steps * times:
            i = done.get(step, 0)
            done[step] = i + 1
            if i < m:
                yield Task(((step[0], stages[step[1]], i),))


def _two_way(p: int, m: int, rank: int) -> Iterator[Task]:
    """Yield the tasks of a rank of DualPipe; ``own`` is the direction whose first stage is nearer to it."""
    depth = min(rank, p - 1 - rank)
    outer = p // 2 - 1 - depth
    own, other = (rank, 2 * p - 1 - rank) if rank < p // 2 else (2 * p - 1 - rank, rank)
    done: dict[tuple[str, int], int] = {}
    waiting: list[Pass] = []

    def forward(stage: int) -> Pass:
        i = done[("forward", stage)] = done.get(("forward", stage), -1) + 1
        return ("forward", stage, i)

    def backward(stage: int) -> tuple[Pass, Pass]:
        i = done[("inputs", stage)] = done.get(("inputs", stage), -1) + 1
        return ("inputs", stage, i), ("weights", stage, i)

    def split(stage: int) -> Task:
        inputs, weights = backward(stage)
        waiting.append(weights)
        return Task((inputs,))

    for _ in range(2 * outer):
        yield Task((forward(own),))
    for _ in range(depth + 1):
        yield Task((forward(own),))
        yield Task((forward(other),))
    for _ in range(outer):
        yield split(other)
        yield Task((waiting.pop(0),))
        yield Task((forward(other),))
    for n in range(m // 2 - p + depth + 1):
        if n == 0 and outer == 0:
            # In the middle the first two are not done together, so that others need not wait for both.
            yield Task((forward(own),))
            yield Task(backward(other))
        else:
            yield Task((forward(own), *backward(other)))
        yield Task((forward(other), *backward(own)))
    for _ in range(outer):
        yield Task(backward(other))
        yield Task((forward(other), *backward(own)))
    for n in range(2 * (depth + 1)):
        stage = own if n % 2 else other
        yield split(stage) if n > depth else Task(backward(stage))
    for _ in range(outer):
        yield Task((waiting.pop(0),))
        yield split(own)
    for weights in waiting:
        yield Task((weights,))


def dependencies(part: Pass, stages: int) -> Iterator[Pass]:
    """Yield what a pass waits for."""
    kind, stage, i = part
    match kind:
        case "forward":
            if stage % stages:
                yield ("forward", stage - 1, i)
        case "inputs":
            yield ("forward", stage, i)
            if (stage + 1) % stages:
                yield ("inputs", stage + 1, i)
        case _:
            yield ("inputs", stage, i)
