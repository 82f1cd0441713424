"""A small event simulation of continuous batching: the oracle for the closed forms of serving.

Attention ranks work in lock-step. In every step of the engine each rank emits one token of each of its running requests and passes
prompt tokens that wait, first come first served, up to its chunk. A step takes a fixed time if any rank decodes, and the time of the
most prompt tokens that any rank passes. A rank lets a request in while it has room for its cache.
"""

import random
from typing import NamedTuple


class Seen(NamedTuple):
    """Means over the requests that were looked at, and each one's time to its first token, in order of size."""

    ttft: float
    tpot: float
    rate: float
    firsts: list
    flight: float

    def percentile(self, p):
        return self.firsts[min(int(p / 100 * len(self.firsts)), len(self.firsts) - 1)]


def closed_loop(requests, decode, token, input, output, chunk, ranks=1, cycles=60, **words):
    """Return what is seen with so many requests always in flight: one that is answered is followed by another at once.

    Args:
        requests: on the ranks by turns; ``cycles``: requests served for each of them.
        decode: time of a decode step; ``token``: time for each prompt token a rank passes.
        input: mean tokens of a prompt; ``output``: of its answer.
        chunk: prompt tokens a rank passes in a step at most.
        words: of :func:`simulate`.
    """
    return simulate(decode, token, input, output, chunk, ranks, requests=requests, total=cycles * requests, **words)


def simulate(
    decode, token, input, output, chunk, ranks=1, *, total, requests=0, rate=0.0, at_once=False, spread=0.5, varied=0.0, cached=0,
    room=10**9, prompts_first=False, seed=1,
):  # fmt: skip
    """Return what ``total`` requests see, in a closed loop of ``requests``, or as they come at random, ``rate`` a second.

    Args:
        at_once: all start together and all are looked at; else each is somewhere in its answer, and the first third is left out.
        spread: half-width of an even spread of the lengths of answers, relative; ``varied``: of prompts.
        cached: tokens of a prompt that need not pass.
        room: caches that a rank holds.
        prompts_first: nobody decodes while prompts pass.
    """
    dice = random.Random(seed)

    def drawn(mean, width):
        return max(1, round(mean * (1 + width * (2 * dice.random() - 1))))

    def request(arrived):
        return {"arrived": arrived, "length": drawn(output, spread), "left": drawn(input - cached, varied)}

    clock, done, begun, area = 0.0, [], requests, 0.0
    waiting, reading, running = ([[] for _ in range(ranks)] for _ in range(3))
    for i in range(requests):
        if at_once or i // ranks >= room:
            waiting[i % ranks].append(request(0.0))
        else:
            running[i % ranks].append([max(1, drawn(output, spread) * (i + 1) // requests), None])
    coming = dice.expovariate(rate) if rate else float("inf")
    turn = 0
    while len(done) < total:
        while coming <= clock:
            waiting[turn % ranks].append(request(coming))
            turn, coming = turn + 1, coming + dice.expovariate(rate)
        longest, read = 0.0, []
        for queue, mine, others in zip(waiting, reading, running, strict=True):
            while queue and len(mine) + len(others) < room:
                mine.append(queue.pop(0))
            left, passed = chunk, []
            while mine and left:
                part = min(left, mine[0]["left"])
                mine[0]["left"] -= part
                left -= part
                if not mine[0]["left"]:
                    passed.append(mine.pop(0))
            longest = max(longest, chunk - left)
            read.append(passed)
        decoding = any(running) and not (prompts_first and longest)
        if not decoding and not longest:
            clock = coming
            continue
        lasted = decode * decoding + token * longest
        clock += lasted
        area += lasted * sum(map(len, (*waiting, *reading, *running, *read)))
        for i, mine in enumerate(running):
            for each in mine:
                each[0] -= decoding
            mine += [[r["length"] - 1, (r["arrived"], clock, r["length"])] for r in read[i]]
            for left, told in mine:
                if left <= 0:
                    if told is not None:
                        arrived, first, length = told
                        done.append((first - arrived, (clock - first) / max(length - 1, 1), clock, length))
                    if requests and (not at_once or begun < total):
                        begun += 1
                        waiting[i].append(request(clock))
            running[i] = [each for each in mine if each[0] > 0]
    kept = done if at_once else done[len(done) // 3 :]
    ttft, tpot = (sum(d[i] for d in kept) / len(kept) for i in (0, 1))
    served = sum(d[3] for d in kept[1:]) / (kept[-1][2] - (0.0 if at_once else kept[0][2]))
    return Seen(ttft, tpot, served, sorted(d[0] for d in kept), area / clock)


def two_pools(
    start, prompt, most, step, slope, output, lanes=1, *, total, requests=0, rate=0.0, at_once=False, spread=0.5, varied=0.0,
    places=10**9, seed=1,
):  # fmt: skip
    """Return what ``total`` requests see whose prompts are read by ``lanes`` of their own, in a closed loop or as they come.

    A lane reads the prompts that wait for it, up to ``most`` at a time; they go to lanes by turns. The decoding engine takes caches
    that are there between two of its steps while it has ``places``, and then shows the token that came with each.

    Args:
        start, prompt: a pass of k prompts takes ``start + k prompt``.
        step, slope: a step of B requests takes ``step + B slope``.
        at_once, spread, varied: as in :func:`simulate`.
    """
    dice = random.Random(seed)
    clock, done, begun, turn, area = 0.0, [], requests, 0, 0.0
    waiting: list = [[] for _ in range(lanes)]
    reading = [(float("inf"), [])] * lanes
    ready: list = []
    running: list = []
    ends, coming = float("inf"), dice.expovariate(rate) if rate else float("inf")

    def length():
        return max(2, round(output * (1 + spread * (2 * dice.random() - 1))))

    for _ in range(requests):
        if at_once or requests - _ > places:
            waiting[turn % lanes].append(0.0)
            turn += 1
        else:
            running.append([max(1, round(length() * dice.random())), 0.0, 0.0, 0])
    while len(done) < total:
        for i in range(lanes):
            if waiting[i] and reading[i][0] == float("inf"):
                batch, waiting[i] = waiting[i][:most], waiting[i][most:]
                size = sum(1 + varied * (2 * dice.random() - 1) for _ in batch)
                reading[i] = (clock + start + prompt * size, batch)
        if ends == float("inf"):
            while ready and len(running) < places:
                count = length()
                running.append([count - 1, ready.pop(0), clock, count])
            if running:
                ends = clock + step + slope * len(running)
        now = min(coming, ends, *(when for when, _ in reading))
        held = sum(map(len, waiting)) + sum(len(batch) for _, batch in reading) + len(ready) + len(running)
        area, clock = area + held * (now - clock), now
        if coming <= now:
            waiting[turn % lanes].append(coming)
            turn, coming = turn + 1, coming + dice.expovariate(rate)
        for i in range(lanes):
            if reading[i][0] <= now:
                ready += reading[i][1]
                reading[i] = (float("inf"), [])
        if ends <= now:
            ends = float("inf")
            for each in running:
                each[0] -= 1
                if each[0] <= 0:
                    if each[3]:
                        done.append((each[2] - each[1], (now - each[2]) / (each[3] - 1), now, each[3]))
                    if requests and (not at_once or begun < total):
                        begun += 1
                        waiting[turn % lanes].append(now)
                        turn += 1
            running = [each for each in running if each[0] > 0]
    kept = done if at_once else done[len(done) // 3 :]
    ttft, tpot = (sum(d[i] for d in kept) / len(kept) for i in (0, 1))
    served = sum(d[3] for d in kept[1:]) / (kept[-1][2] - (0.0 if at_once else kept[0][2]))
    return Seen(ttft, tpot, served, sorted(d[0] for d in kept), area / clock)
