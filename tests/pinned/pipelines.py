"""Time of every pipeline schedule, and what each rank does in which order."""

import attrs
import numpy as np

from roofline.physics import pipeline, pipeline_order, pipeline_trace
from roofline.physics.pipeline import SCHEDULES, Pace

from . import pinned

EVEN = Pace(1.0, 1.0, 1.0)
PACES = {
    "even": (EVEN, None),
    "even, messages seen": (Pace(1.1, 1.3, 0.7, 0.17), None),
    "gradients of weights long": (Pace(0.6, 0.8, 1.9, 0.05), None),
    "forward long": (Pace(2.3, 1.1, 0.4, 0.11), None),
    "gradients of inputs long": (Pace(0.9, 2.6, 0.8, 0.07), None),
    "uneven": (Pace(1.7, 2.1, 1.3, 0.13, pair=4.3), Pace(1.3, 1.9, 0.9, 0.13, pair=3.7)),
    "last much fuller": (Pace(3.1, 2.9, 2.3, 0.31, pair=7.1), Pace(1.03, 1.21, 0.83, 0.31, pair=2.6)),
    "messages long": (Pace(1.1, 1.9, 1.3, 1.7, pair=3.9), Pace(1.0, 1.7, 1.2, 1.7, pair=3.5)),
}
STAGES = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 16.0])
BATCHES = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 11.0, 12.0, 24.0, 100.0])


@pinned
def runs():
    """Every schedule over stages and micro-batches, with chunks where it has them."""
    p, m = STAGES[:, None], BATCHES
    for schedule in SCHEDULES:
        for name, (fullest, mean) in PACES.items():
            for v in (1.0, 2.0, 3.0) if schedule in ("1f1b", "interleaved") else (1.0,):
                for together in (False, True) if schedule.startswith("z") else (False,):
                    run = pipeline.run(schedule, p, m, v, fullest=fullest, mean=mean, together=together)
                    chunked = f", {v:g} chunks" if v > 1 else ""
                    told = f"{schedule}, {name}{chunked}{', together' if together else ''}"
                    yield told, run.time
                    if schedule == "dualpipe" and "uneven" in name:
                        yield f"{told}, work", {"work": run.work, "bubble": run.bubble}


@pinned
def parts():
    """Each law alone, where a whole run takes the longest of several."""
    for name, (fullest, mean) in PACES.items():
        rest = pipeline.others(fullest, fullest if mean is None else mean, STAGES[1:, None])
        x = pipeline._Line(STAGES[1:, None], BATCHES, 1.0, fullest, rest)
        yield f"zb-v, {name}", list(pipeline._zbv(x))
        yield f"dualpipe, {name}", list(pipeline._dualpipe(x))
        yield f"zero bubble, {name}", pipeline._zero_bubble(x, 3.0, 0.23)
        yield f"interleaved, {name}", pipeline._interleaved(attrs.evolve(x, v=3.0))


@pinned
def kept():
    """Micro-batches kept, copies and conditions of every schedule."""
    p, m = STAGES[:, None], BATCHES
    for schedule in SCHEDULES:
        for v in (1.0, 2.0):
            run = pipeline.run(schedule, p, m, v, fullest=EVEN)
            shape = (len(STAGES), len(BATCHES))
            yield f"{schedule}, {v:g} chunks", {
                "in flight": np.broadcast_to(run.in_flight, shape), "copies": run.copies, "share": run.share,
                "rules": {key: np.broadcast_to(mask, shape) for key, mask, _ in run.rules}, "ok": np.broadcast_to(run.ok, shape),
            }  # fmt: skip
        run = pipeline.run(schedule, 4.0, 8.0, fullest=EVEN)
        yield f"{schedule}, one", {"in flight": run.in_flight, "bubble": run.bubble, "share": run.share, "ok": run.ok}
    yield "others", [pipeline.others(*PACES[name], STAGES) for name in ("uneven", "last much fuller")]


def order(tasks):
    """Return the tasks of a rank in a line: kind, stage and micro-batch of each pass."""
    return " ".join("+".join(f"{kind[0]}{stage}.{i}" for kind, stage, i in task.passes) for task in tasks)


@pinned
def orders():
    """What each rank does, under every schedule."""
    shapes = {"zb-v": ((1, 3, 1), (2, 2, 1), (3, 4, 1), (3, 7, 1), (4, 9, 1)), "dualpipe": ((2, 4, 1), (4, 8, 1), (4, 10, 1), (6, 12, 1)),
              "1f1b": ((1, 3, 1), (2, 3, 1), (4, 6, 1), (2, 4, 2), (3, 6, 2), (3, 3, 3), (2, 6, 3))}  # fmt: skip
    for schedule in ("gpipe", "1f1b", "zb-h1", "zb-h2", "zb-v", "dualpipe"):
        for p, m, v in shapes.get(schedule, ((1, 2, 1), (2, 3, 1), (3, 2, 1), (4, 9, 1))):
            planned = pipeline_order.plan(schedule, p, m, v)
            yield f"{schedule}, {p} stages, {m} micro-batches, {v} chunks", {
                "stages": planned.stages, **{f"rank {i}": order(tasks) for i, tasks in enumerate(planned.orders)},
            }  # fmt: skip
    needs = [
        (part, list(pipeline_order.dependencies(part, 3)))
        for part in (("forward", 0, 1), ("forward", 4, 1), ("inputs", 2, 1), ("inputs", 1, 2), ("weights", 1, 2))
    ]
    yield "needs", str(needs)


def events(trace):
    """Return the events of a trace, a line each."""
    for event in trace["traceEvents"]:
        said = {key: event.get(key) for key in ("ts", "dur")}
        yield (
            f"{event['name']} {event.get('cat')} {event['ph']} {event['pid']}.{event.get('tid')} {event['args']}",
            said,
        )


@pinned
def timelines():
    """Events of every schedule, with messages, the reduction of gradients and the optimizer."""
    fullest, mean = PACES["uneven"]
    for schedule, p, m, v in (("gpipe", 3, 3, 1), ("1f1b", 3, 4, 1), ("1f1b", 2, 4, 2), ("zb-h1", 3, 4, 1), ("zb-h2", 2, 4, 1),
                              ("zb-v", 2, 4, 1), ("dualpipe", 4, 8, 1), ("dualpipe", 2, 4, 1)):  # fmt: skip
        for together in (False, True) if schedule == "zb-h1" else (False,):
            made = pipeline_trace.trace(
                schedule, p, m, v, fullest=fullest, mean=mean, reduce=0.61, optimizer=0.37, together=together
            )
            rows = [[name, said["ts"], said["dur"]] for name, said in events(made)]
            yield f"{schedule}, {p} stages, {m} micro-batches, {v} chunks{', together' if together else ''}", rows
    made = pipeline_trace.trace("dualpipe", 2, 4, fullest=PACES["gradients of weights long"][0])
    yield "pairs that save nothing", [[name, said["ts"], said["dur"]] for name, said in events(made)]
    slow = attrs.evolve(PACES["even"][0], send=1.4)
    yield (
        "messages one over another",
        [[name, said["ts"], said["dur"]] for name, said in events(pipeline_trace.trace("1f1b", 2, 3, fullest=slow))],
    )
