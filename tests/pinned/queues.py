"""Cadence of a service, its waits and their distribution, and rounds over two pools."""

import attrs
import numpy as np

import roofline as rl
from roofline.core.remember import Lazy
from roofline.hardware.engines import Engine
from roofline.physics import percentiles, pool_queueing, queueing

from . import pinned, spread

N = 24
INPUT = np.concatenate([spread(64, 60_000, N, 0.1), [8192.0, 2048.0, 8192.0, 512.0]])
GAPS = np.concatenate([spread(1, 3000, N, 0.2), [0.0, 255.0, 1023.0, 31.0]])
REQUESTS = np.concatenate([spread(0.3, 300, N, 0.3), [1.0, 2.0, 1.0, 64.0]])
RANKS = np.resize([1.0, 1.0, 2.0, 8.0, 32.0], N + 4)
CHUNK = np.concatenate([spread(256, 40_000, N, 0.4), [8192.0, 2048.0, 16384.0, 4096.0]])
DECODE = np.concatenate([spread(2e-3, 8e-2, N, 0.5), [0.011, 0.023, 0.031, 0.017]])
MORE = np.concatenate([spread(1e-3, 0.9, N, 0.6), [0.0, 0.13, 0.19, 0.029]])
SPEED = np.concatenate([spread(0.05, 60, N, 0.7), [0.3, 1.1, 0.7, 2.9]])
SLOTS = np.concatenate([spread(1, 20, N, 0.8), [1.0, 2.0, 3.0, 10.0]])
CASES = {
    "closed": {},
    "closed, lengths vary": {"variation": 0.37},
    "a benchmark": {"variation": 0.23, "slots": SLOTS},
    "a benchmark of alike": {"slots": SLOTS},
    "at random": {"variation": 0.37, "random": True},
    "with a lag": {"variation": 0.11, "lag": 0.5},
    "gathered": {"variation": 0.29, "gathered": 0.63},
    "gathered in a benchmark": {"variation": 0.29, "gathered": 0.63, "slots": SLOTS},
}
MODEL = rl.Model("small", 64, 100, (rl.Layers(2, rl.Gqa(4, 2, 16), rl.Dense(128)),))
ENGINES = {"plain": Engine(), "crowd": Engine("made", crowd=2.3, bunched=0.41, gathered=0.63)}


def cadence(**words):
    return queueing.cadence(INPUT, GAPS, REQUESTS, RANKS, CHUNK, **words)


def opened(waits):
    """Return waits whose prompts are worked out."""
    return attrs.evolve(waits, passes=waits.passes())


@pinned
def cadences():
    """Every number of a cadence."""
    for name, words in CASES.items():
        yield name, cadence(**words)
    yield "one", queueing.cadence(3000.0, 200.0, 40.0, 4.0, 2048.0, variation=0.2)
    yield "few tokens", queueing.cadence(300.0, 200.0, 0.5, 1.0, 2048.0, slots=4.0)


@pinned
def parts():
    """What a cadence is made of, and chances."""
    parts, some = spread(0.4, 9, 12), np.resize([0.0, 0.13, 0.4, 0.7], 12)
    yield "whole steps", queueing.whole_steps(parts, some)
    yield "whole steps of whole", queueing.whole_steps(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 0.0, 0.1, 1e-9]))
    yield "residual", queueing.residual(spread(0.01, 1, 9), spread(0.01, 0.1, 9, 0.3), spread(0.02, 0.9, 9, 0.6))
    yield "any", queueing._any(spread(0.001, 0.9, 9), spread(0.5, 40, 9, 0.3))
    passing = np.concatenate([spread(0.001, 0.9, 12), [1e-10, 1e-7, 0.5]])
    yield (
        "loose",
        queueing._loose(
            passing,
            np.resize([1.0, 2.0, 8.0, 32.0], 15),
            np.resize([0.0, 0.05, 0.3], 15),
            np.resize([1.0, 2.0, 3.0, 10.0], 15),
        ),
    )
    servers, load = np.array([1.0, 2.0, 7.0, 64.0, 9.0, 3.0]), np.array([0.5, 0.9, 0.97, 0.3, 1.0, 1.2])
    yield "none free", queueing.none_free(servers, load)
    yield "full house", queueing.full_house(servers, load, 3.7, np.array([0.0, 0.3, 1.1, 0.3, 0.2, 0.1]))


@pinned
def paces():
    """Every number of a pace, with the distribution of its waits."""
    mixed = DECODE + MORE
    for name, words in CASES.items():
        if words.get("random"):
            continue
        c = cadence(**words)
        slots = words.get("slots")
        for title, engine in ENGINES.items():
            for variation in (0.0, 0.31):
                question = rl.Serve(MODEL, 64, 64, concurrency=8.0, requests_per_slot=slots, variation=variation)
                for packed in (None, DECODE + 1.7 * MORE):
                    pace = queueing.pace(
                        question,
                        engine,
                        c,
                        DECODE,
                        mixed,
                        requests=REQUESTS,
                        ranks=RANKS,
                        lag=words.get("lag", 0.0),
                        packed=packed,
                    )
                    some = packed is not None or title == "plain"
                    pace = attrs.evolve(pace, waits=None if some else opened(pace.waits))
                    told = f"{name}, {title}, {variation}{', packed' if packed is not None else ''}"
                    yield told, pace
        yield f"{name}, first token", queueing.first_token(c, DECODE, mixed)


@pinned
def paces_at_random():
    """The same where requests come at random, to one lane and to several."""
    mixed = DECODE + MORE
    c = cadence(variation=0.37, random=True)
    for lanes in (1.0, 3.0):
        question = rl.Serve(MODEL, 64, 64, rate=SPEED, variation=0.37)
        pace = queueing.pace(question, Engine(), c, DECODE, mixed, requests=REQUESTS, ranks=RANKS, lanes=lanes)
        yield f"{lanes:g} lanes", attrs.evolve(pace, waits=opened(pace.waits))
        yield (
            f"{lanes:g} lanes, prompts vary",
            queueing.pace(
                question, Engine(), c, DECODE, mixed, requests=REQUESTS, ranks=RANKS, lanes=lanes, variation=0.9
            ).first,
        )
        yield (
            f"{lanes:g} lanes, saturation",
            queueing.saturation(c, DECODE, mixed, places=REQUESTS * 1.5, ranks=RANKS, lanes=lanes),
        )
    yield (
        "queue",
        queueing.queue(
            c, SPEED / 10, DECODE, mixed, variation=0.4, coming=0.7, busy=0.8, grows=MORE / 3, meanwhile=0.2
        ),
    )
    yield "disturbed", queueing._disturbed(c, SPEED, DECODE, mixed, RANKS)


OWN = percentiles.lengths(0.19, 0.35)
WAITS = percentiles.Waits(
    front=0.31, mean=np.array([0.5, 0.55, 0.9, 2.4]), passes=Lazy(lambda: percentiles.Passes(OWN[:, None], 0.9 * OWN[:, None])), step=0.021,
    lasts=0.057, met=0.77, often=0.37, regular=0.43, least=np.array([np.inf, 3.1, 70.0, 11.0]), loose=0.83, group=0.13,
    bunched=np.array([0.0, 0.3, 0.2, 2.7]), weight=0.17, begun=0.43, place=np.array([0.0, 0.0, 0.6, 1.1]), full=0.71, uneven=0.47,
)  # fmt: skip


@pinned
def distributions():
    """Percentiles of waits and gaps."""
    ways = {
        "all": WAITS,
        "steady": attrs.evolve(WAITS, weight=0.0),
        "rigid": attrs.evolve(WAITS, loose=0.0, bunched=0.0),
        "in turn": attrs.evolve(WAITS, often=0.0, group=0.0, bunched=0.0, weight=0.0, place=0.0),
        "first wave": attrs.evolve(WAITS, weight=1.0),
    }
    for name, waits in ways.items():
        for p in (1.0, 50.0, 90.0, 99.0):
            yield f"{name}, p{p:g}", waits.percentile(p)
    gaps = percentiles.Gaps(
        base=np.array([1.0, 2.0, 0.5, 3.0]), tokens=np.array([10.0, 0.7, 0.0, 1000.0]), prompts=np.array([0.0, 3.0, 0.7, 60.0]),
        each=0.037, variation=0.41, step=0.011, mixed=0.153, often=np.array([0.0, 0.07, 0.5, 0.013]), passes=WAITS.passes,
    )  # fmt: skip
    ways = {
        "closed": attrs.evolve(gaps, others=np.array([3.0, 3.7, 9.0, 61.0])),
        "at random": attrs.evolve(gaps, load=0.43, behind=np.array([0.0, 0.7, 3.0, 0.2]), uneven=Lazy(lambda: 0.071)),
    }
    for name, each in ways.items():
        for p in (10.0, 50.0, 93.0, 99.0):
            yield f"gaps, {name}, p{p:g}", {"tokens": each.percentile(p), "between": each.between(p)}


@pinned
def lanes():
    """Lanes that read prompts."""
    rate = spread(0.1, 9, 12, 0.2)
    for most, full in ((1.0, 0.31), (2.0, 0.5), (8.0, 1.3)):
        for count in (1.0, 2.0, 5.0):
            made = pool_queueing.Lanes(count, alone=0.31, full=full, most=most)
            wait, own = made.queue(rate, np.resize([0.0, 0.3, 1.2], 12))
            yield f"{count:g} lanes of {most:g}", {
                "each": made.each, "more": made.more, "most a second": made.most_per_second, "wait": wait, "own": own,
                "wave": made.wave(np.array([0.5, 1.0, 3.0, 17.0, 90.0])),
            }  # fmt: skip


@pinned
def rounds():
    """Requests that go round two pools, closed and open."""
    made = pool_queueing.Lanes(3.0, alone=0.23, full=0.9, most=4.0)
    requests = np.array([0.7, 1.0, 2.0, 5.0, 17.0, 60.0, 200.0, 900.0])
    base = pool_queueing.Round(
        made, after=0.041, step=0.019, spent=2.3, places=50.0, requests=requests, rate=None, variation=0.33
    )
    yield "closed", base.turn()
    yield "a benchmark", attrs.evolve(base, slots=np.resize([1.0, 4.0], 8)).turn()
    yield "closed, few places", attrs.evolve(base, places=7.0).turn()
    yield "closed, long", attrs.evolve(base, spent=40.0).turn()
    yield "closed, scaled", base.scaled(1.3, 0.7, 1.9).turn()
    rate = np.array([0.01, 0.5, 2.0, 6.0, 10.0, 13.0, 14.0, 20.0, 30.0])
    opened = attrs.evolve(base, requests=None, rate=rate)
    yield "open", opened.turn()
    yield "open, few places", attrs.evolve(opened, places=7.0).turn()
    yield "open, scaled", opened.scaled(0.6, 1.4, 2.1).turn()
