"""The timeline of one training step as a trace that Perfetto and chrome://tracing open.

Each rank of the pipeline is a process with a thread of compute and one of messages. The tasks are done in the order of the
schedule, each as soon as its rank is free and what it needs has come, so that the picture shows where ranks wait. Format: Trace
Event Format of the Chromium project (complete events, ``"ph": "X"``; times in microseconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.units import MICRO, Seconds
from roofline.physics.pipeline import Pace, others, run
from roofline.physics.pipeline_order import Pass, Plan, Task, dependencies, plan

MOST_EVENTS: Final = 200_000
"""More events than a browser shows with pleasure."""

_COMPUTE: Final = 0
_MESSAGES: Final = 1


def trace(
    schedule: str, stages: int, micro_batches: int, chunks: int = 1, *, fullest: Pace, mean: Pace | None = None,
    reduce: Seconds = 0.0, optimizer: Seconds = 0.0, together: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return one training step as a trace: a dict to write as JSON.

    The last stage has what the fullest rank has to do more than the others. Events are called forward, backward (gradients of
    inputs, and those of weights unless they come apart) and weights, with the micro-batch and the chunk of the rank in ``args``.

    Args:
        reduce: seconds that a rank adds up its gradients with its data-parallel peers when its tasks are done.
        optimizer: seconds of the optimizer after that.
        together: whether the optimizer waits for all ranks (the norm of the gradients).

    Raises:
        QuestionError: more than one point, a schedule that is not possible, or more than :data:`MOST_EVENTS` events.

    >>> step = trace("1f1b", 2, 2, fullest=Pace(1.0, 1.0, 1.0))
    >>> [event["name"] for event in step["traceEvents"] if event["ph"] == "X" and event["pid"] == 1]
    ['forward', 'backward', 'forward', 'backward']
    """
    for name, value in (("stages", stages), ("micro_batches", micro_batches), ("chunks", chunks)):
        refuse(name, value, 1, whole=True)
    for _, mask, reason in run(schedule, stages, micro_batches, chunks, fullest=fullest, mean=mean).rules:
        if not mask:
            raise QuestionError(fault("schedule", schedule, reason))
    passes = micro_batches * stages * (2 if schedule == "zb-v" else chunks)
    if passes * (5 if fullest.send else 3) > MOST_EVENTS:
        raise QuestionError(
            fault(
                "micro_batches",
                micro_batches,
                f"more than {MOST_EVENTS:,} events",
                "trace fewer: the steady state repeats",
            )
        )
    planned = plan(schedule, stages, micro_batches, chunks)
    costs = _costs(schedule, planned, stages, fullest, fullest if mean is None else mean)
    events = list(_events(planned, costs, fullest, reduce, optimizer, together=together))
    return {
        "displayTimeUnit": "ms",
        "otherData": {"schedule": schedule, "stages": stages, "micro_batches": micro_batches, "chunks": chunks},
        "traceEvents": [*_names(events), *events],
    }


def _costs(schedule: str, planned: Plan, ranks: int, fullest: Pace, mean: Pace) -> list[dict[str, float]]:
    """Return the seconds of each kind of pass on each stage: alike, but for the last."""
    rest = others(fullest, mean, ranks)
    chunks = planned.stages // ranks
    # With both directions on a rank, the end ranks have a last stage only half of the time.
    more = 2 if schedule == "dualpipe" and ranks > 2 else 1
    kinds = {"forward": "forward", "inputs": "inputs", "weights": "weights"}
    alike = {kind: float(getattr(rest, name)) / chunks for kind, name in kinds.items()}
    last = {
        kind: alike[kind] + more * float(getattr(fullest, name) - getattr(rest, name)) for kind, name in kinds.items()
    }
    return [alike] * (planned.stages - 1) + [last]


def _events(
    planned: Plan, costs: Sequence[dict[str, float]], pace: Pace, reduce: Seconds, optimizer: Seconds, *, together: bool
) -> Iterator[dict[str, Any]]:
    """Yield the events of all ranks."""
    n, send = planned.stages, float(pace.send)
    home = {part: rank for rank, order in enumerate(planned.orders) for task in order for part in task.passes}
    saved = float(pace.paired / pace.work) if pace.pair is not None else 1.0
    end: dict[Pass, float] = {}
    free = [0.0] * len(planned.orders)
    lanes: list[list[float]] = [[] for _ in planned.orders]
    at = [0] * len(planned.orders)
    waiting = list(range(len(planned.orders)))
    while waiting:
        for rank in waiting:
            while at[rank] < len(planned.orders[rank]):
                task = planned.orders[rank][at[rank]]
                own = set(task.passes)
                before = [need for part in task.passes for need in dependencies(part, n) if need not in own]
                if any(need not in end for need in before):
                    break
                start = max([free[rank], *(end[need] + send * (home[need] != rank) for need in before)])
                paired = saved if task.paired else 1.0
                free[rank] = start + sum(costs[stage % n][kind] for kind, stage, _ in task.passes) * paired
                end.update(dict.fromkeys(task.passes, free[rank]))
                at[rank] += 1
                yield _event(
                    _called(task),
                    (rank, _COMPUTE),
                    (start, free[rank]),
                    _micro_batch_and_chunk(task, len(planned.orders)),
                )
                for part in task.passes if send else ():
                    to = _receiver(part, n, home)
                    if to is not None and to != rank:
                        lane = _lane(lanes[rank], free[rank], send)
                        what = "activations" if part[0] == "forward" else "gradients"
                        args = {"micro_batch": part[2], "to": to}
                        yield _event(what, (rank, _MESSAGES + lane), (free[rank], free[rank] + send), args)
        waiting = [rank for rank in waiting if at[rank] < len(planned.orders[rank])]
    reduced = [time + float(reduce) for time in free]
    for rank, time in enumerate(free):
        begin = max(reduced) if together else reduced[rank]
        if reduce:
            lane = _MESSAGES + _lane(lanes[rank], time, float(reduce))
            yield _event("reduce gradients", (rank, lane), (time, reduced[rank]), {})
        if optimizer:
            yield _event("optimizer", (rank, _COMPUTE), (begin, begin + float(optimizer)), {})


def _receiver(part: Pass, stages: int, home: dict[Pass, int]) -> int | None:
    """Return the rank that waits for what a pass hands on, or None."""
    kind, stage, i = part
    step = {"forward": 1, "inputs": -1}.get(kind)
    if step is None or not 0 <= stage % stages + step < stages:
        return None
    return home[(kind, stage + step, i)]


def _lane(lanes: list[float], begin: float, send: float) -> int:
    """Return the first thread of messages that is free: events of one thread must not overlap."""
    for lane, until in enumerate(lanes):
        if until <= begin:
            lanes[lane] = begin + send
            return lane
    lanes.append(begin + send)
    return len(lanes) - 1


def _called(task: Task) -> str:
    kind = task.passes[0][0]
    return "forward and backward" if task.paired else {"inputs": "backward"}.get(kind, kind)


def _micro_batch_and_chunk(task: Task, ranks: int) -> dict[str, Any]:
    """Return the micro-batch and the chunk of a task; of two done together, of each."""
    labels = {kind: {"micro_batch": i, "chunk": stage // ranks} for kind, stage, i in reversed(task.passes)}
    if task.paired:
        return {"forward": labels["forward"], "backward": labels["inputs"]}
    return labels[task.passes[0][0]]


def _event(name: str, thread: tuple[int, int], span: tuple[float, float], args: dict[str, Any]) -> dict[str, Any]:
    """Return an event of a thread of a rank, from begin to end in seconds."""
    (rank, tid), (begin, end) = thread, span
    return {
        "name": name, "cat": "compute" if tid == _COMPUTE else "message", "ph": "X", "pid": rank, "tid": tid,
        "ts": begin / MICRO, "dur": (end - begin) / MICRO, "args": args,
    }  # fmt: skip


def _names(events: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the names of processes and threads."""
    for rank in sorted({event["pid"] for event in events}):
        yield {"name": "process_name", "ph": "M", "pid": rank, "args": {"name": f"pipeline rank {rank}"}}
        yield {"name": "process_sort_index", "ph": "M", "pid": rank, "args": {"sort_index": rank}}
    for rank, thread in sorted({(event["pid"], event["tid"]) for event in events}):
        name = "compute" if thread == _COMPUTE else "messages" if thread == _MESSAGES else f"messages {thread}"
        yield {"name": "thread_name", "ph": "M", "pid": rank, "tid": thread, "args": {"name": name}}
