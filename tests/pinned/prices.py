"""Prices of operations, spans, energy, failures and stragglers."""

import attrs
import numpy as np

import roofline as rl
from roofline.hardware.constants import Kernel
from roofline.hardware.energy import SCOPES, ChipDraw, Surroundings
from roofline.hardware.engines import Engine
from roofline.operators.operations import Message, Op
from roofline.physics import energy, kernels, pricing, reliability, spans, stragglers

from . import networks, pinned, spread

CHIP = rl.Chip(
    "made", {"bf16": 0.93e15, "fp8": 1.87e15, "fp4": 3.61e15}, rl.Memory(1.1e11, 3.9e12), cores=97.0, tile=64.0
)
N = 16


def op(kernel="gemm", rate="bf16", form="", **words):
    """An operation of sixteen sizes."""
    own = {
        "flops": spread(1e7, 1e14, N, 0.1), "bytes": spread(1e5, 1e10, N, 0.2), "launches": np.resize([1.0, 2.0, 0.0, 0.3], N),
        "staging": spread(1e4, 1e9, N, 0.3), "depth": spread(10, 1e5, N, 0.4), "items": spread(1, 1e4, N, 0.5),
        "scores": spread(1e5, 1e12, N, 0.6), "rows": np.resize([0.0, 1.0, 20.0, 300.0, 17.0], N), "elsewhere": spread(1e4, 1e9, N, 0.7),
        "helpers": 3.0, "weights": 7e6,
    }  # fmt: skip
    return Op("made", kernel, rate, form=form, **{**own, **words})


FULL = Kernel(0.71, 0.83, 3.7e-6, 1.7, 2.3e-10, 1.1e-6, 0.57, 0.63, None, 0.19, 3.1e-9, 0.27)
PROFILES = {
    "all constants": FULL,
    "in turn": attrs.evolve(FULL, p=1.0),
    "in squares": attrs.evolve(FULL, p=2.0, eta_score=None),
    "side by side": Kernel(0.71, 0.83),
    "of the best": attrs.evolve(FULL, eta_best=0.91),
}


def profile(kernel, **words):
    """A profile of one kernel for all classes."""
    names = ("gemm", "moe", "elementwise", "attention_decode")
    return rl.Calibration("made", "calibrated", {(name, "any"): kernel for name in names}, networks.links().links, tile=0.57,
                          core=1.3e13, exponential=4.1e9, **words)  # fmt: skip


@pinned
def operations():
    """Time of an operation by resource."""
    chips = {
        "chip": CHIP,
        "chip with a best": attrs.evolve(CHIP, best={"bf16": 0.79, "fp8": 0.67}),
        "known exponentials": attrs.evolve(CHIP, exponentials=6.1e11),
    }
    engine = Engine("made", fused=("fp8",), launch=0.83, compute=0.91, formats={"fp8": 0.77})
    for title, chip in chips.items():
        for name, kernel in PROFILES.items():
            for work in (op(), op("attention_decode"), op(rate="fp8", form="fp8"), op("moe", "fp4")):
                for host in (0.0, 9e-6):
                    cost = kernels.price(
                        work, chip, attrs.evolve(profile(kernel, host=host), engine=engine if host else Engine())
                    )
                    yield f"{work.kernel} {work.rate}, {name}, {title}, {host:g}", {
                        "time": cost.time, "compute": cost.compute, "memory": cost.memory, "latency": cost.latency, "error": cost.error,
                        "side by side": cost.overlapped, "in turn": cost.serial,
                    }  # fmt: skip
    yield "bound", kernels.bound(spread(1e9, 1e15, 9), spread(1e6, 1e12, 9, 0.3), 1e15, 4e12)
    yield "attainable", kernels.attainable(spread(1, 1e4, 9), 1e15, 4e12)


SYSTEM = rl.System("made", CHIP, chips=8.0, tiers=(networks.NODE, networks.RAILS), power=9000.0)


def made_span():
    """A span of a repeated part with operations of every kind, a message and the host."""
    prof = profile(FULL)
    one = op(
        flops=3e12, bytes=2e8, launches=1.0, staging=1e6, depth=512.0, items=64.0, scores=1e9, rows=9.0, elsewhere=3e5
    )
    few = op(
        "elementwise",
        flops=0.0,
        bytes=7e8,
        launches=2.0,
        staging=0.0,
        depth=0.0,
        items=0.0,
        scores=0.0,
        rows=0.0,
        elsewhere=0.0,
    )
    narrow = attrs.evolve(one, rate="fp8", flops=5e13)
    reduce = Message("reduce", "all_reduce", 3e8, 16.0)
    gather = Message("gather", "all_gather", 9e4, 16.0)
    leaves = [spans.leaf(work, pricing.price(work, SYSTEM, prof)) for work in (one, few, narrow, reduce, gather)]
    host = spans.Span("host", 3e-4, cost=kernels.Cost(3e-4, latency=3e-4))
    layer = spans.after("layer", leaves, 3.0)
    return spans.after("whole", [layer, spans.after("again", [layer], np.array([1.0, 2.5])), host, leaves[1]], 2.0)


@pinned
def span():
    """What a span adds up."""
    whole = made_span()
    yield "time", whole.time
    for name in ("flops", "bytes", "network", "overlapped", "serial"):
        yield name, getattr(whole, name)
    yield "busy", whole.busy()
    yield "error", whole.error()
    yield "leaves", [[cost.time, times] for _, cost, times in whole.leaves(1.5)]
    yield "bound", spans.bound({name: float(np.max(time)) for name, time in whole.busy().items()})
    yield "uses", energy.uses(whole, SYSTEM)
    tie = kernels.Cost(1.0, compute=0.5, memory=0.5, network=0.2, latency=0.5)
    yield "a tie", spans.Span("tie", 1.0, cost=tie).busy()


@pinned
def equal_operations():
    """Which operations have one price."""
    of = pricing.prices(SYSTEM, profile(FULL))
    first = {}
    works = {
        "one": op(), "same": op(), "other size": op(flops=3.0), "other class": op("moe"), "scatter": Message("m", "reduce_scatter", 5e6, 16.0),
        "gather": Message("m", "all_gather", 5e6, 16.0), "other group": Message("m", "all_gather", 5e6, 8.0), "alone": Message("m", "all_gather", 5e6, 1.0),
        "last differs": op(flops=np.append(op().flops[:-1], 3.0)), "first differs": op(flops=np.append(3.0, op().flops[1:])),
        "shorter": op(flops=op().flops[:1]),
    }  # fmt: skip
    # An identity is an object's own only as long as it lives.
    costs = {name: of(work) for name, work in works.items()}
    for name, cost in costs.items():
        yield name, {"as": first.setdefault(id(cost), name), "time": cost.time}


DRAW = ChipDraw(0.14, 0.21, 0.33, 0.47, 1.6, 0.53, 0.19, 1.43, 0.17, 0.29)
AROUND = Surroundings(311.0, 97.0, 53.0, 71.0, 0.93, 29.0, 37.0, 5e10, 0.11)


@pinned
def power():
    """Power of a chip and of what surrounds it, and what tokens cost."""
    used = energy.Uses(
        spread(0.05, 0.9, 6), spread(0.05, 0.9, 6, 0.3), spread(0.05, 0.9, 6, 0.6), spread(0.1, 1, 6, 0.8)
    )
    for clock in (1.0, 0.81):
        yield (
            f"clock {clock}",
            {"parts": energy.parts_of_chip(DRAW, used, clock), "demand": energy.demand(DRAW, used, clock)},
        )
    for cap in (1.0, 0.6, 0.2):
        yield f"cap {cap}", energy.drawn(DRAW, spread(0.1, 1.5, 6), np.resize([1.0, 0.4, 0.0], 6), cap)
    for scope in SCOPES:
        parts = energy.surrounded(701.0, AROUND, scope, 0.61, 1.23)
        yield scope, {**parts, "total": energy.total(parts)}
    yield "tokens", {
        "joules": energy.joules_per_token(701.0, 16.0, 9100.0), "dollars": energy.dollars_per_token(0.0011, 16.0, 9100.0),
        "owned": energy.ownership(31_000.0, 1310.0, years=4.5, utilisation=0.71, power_price=2.9e-8),
    }  # fmt: skip
    for reading in (0.0, 0.3, 1.0, 1.7):
        yield f"costs apart, {reading}", list(energy.costs_apart(0.037, reading, 91_000.0, 7_300.0))


@pinned
def failures():
    """Intervals between checkpoints, and what failures leave of the time."""
    mtbf = np.array([900.0, 3600.0, 10_800.0, 1e6, 1e9, 3.0, 1e4])
    save = np.array([30.0, 200.0, 30.0, 1.0, 0.01, 400.0, 4e4])
    yield (
        "intervals",
        {
            "young": reliability.young(mtbf, save),
            "daly": reliability.daly(mtbf, save),
            "best": reliability.best_interval(mtbf, save),
        },
    )
    yield (
        "endless",
        [
            reliability.best_interval(np.inf, 30.0),
            reliability.goodput(np.inf, 30.0, 300.0, np.inf),
            reliability.best_interval(1e30, 1e-3),
        ],
    )
    yield "together", reliability.fleet_mtbf(5e4, 16.0)
    restart, every = spread(10, 2000, 7), spread(100, 20_000, 7, 0.5)
    for behind in (0.0, 77.0):
        yield (
            f"behind {behind:g}",
            {
                "goodput": reliability.goodput(mtbf, save, restart, every, behind),
                "shares": reliability.shares(mtbf, save, restart, every, behind),
            },
        )
    yield (
        "no checkpoint",
        [
            reliability.goodput(1e4, 30.0, 300.0, np.inf),
            reliability.goodput(1e4, 30.0, 300.0, 1e7),
            *reliability.shares(1e4, 30.0, 300.0, np.inf),
        ],
    )
    yield "excess", reliability._excess(np.array([1e-7, 1e-4, 9.9e-4, 1.1e-3, 0.3, 4.0]))
    yield (
        "stragglers",
        {"mean": stragglers.slowdown(spread(1, 1e5, 9)), "late": stragglers.slowdown_at(spread(1, 1e5, 9), 0.93)},
    )
