"""A small event simulation of continuous batching in a closed loop: the oracle for the closed forms of serving.

Attention ranks work in lock-step. In every step of the engine each rank emits one token of each of its running requests and passes
prompt tokens that wait, first come first served, up to its chunk. A step takes a fixed time if any rank decodes, and the time of the
most prompt tokens that any rank passes.
"""

import random


def closed_loop(requests, decode, token, input, output, chunk, ranks=1, cycles=60, spread=0.5, seed=1):
    """Return mean TTFT, mean TPOT and output tokens per second in steady state.

    Args:
        requests: requests always in flight, on the ranks by turns; one that is answered is followed by another at once.
        decode: time of a decode step; ``token``: time for each prompt token a rank passes.
        input: tokens of a prompt; ``output``: mean tokens asked for, spread evenly by the relative ``spread``.
        chunk: prompt tokens a rank passes in a step at most.
        cycles: requests served for each one in flight.
    """
    dice = random.Random(seed)

    def asked():
        return max(1, round(output * (1 + spread * (2 * dice.random() - 1))))

    clock, done = 0.0, []
    waiting = [[] for _ in range(ranks)]
    # As in a service that has run for a while, each request is somewhere within its answer.
    running = [[] for _ in range(ranks)]
    for i in range(requests):
        running[i % ranks].append([max(1, asked() * (i + 1) // requests), None])
    while len(done) < cycles * requests:
        longest, begun = 0.0, []
        for queue in waiting:
            room, passed = chunk, []
            while queue and room:
                part = min(room, queue[0]["left"])
                queue[0]["left"] -= part
                room -= part
                if not queue[0]["left"]:
                    passed.append(queue.pop(0))
            longest = max(longest, chunk - room)
            begun.append(passed)
        clock += decode * any(running) + token * longest
        for i, mine in enumerate(running):
            for request in mine:
                request[0] -= 1
            mine += [[each["length"] - 1, (each["arrived"], clock, each["length"])] for each in begun[i]]
            for left, told in mine:
                if left <= 0:
                    if told is not None:
                        arrived, first, length = told
                        done.append((first - arrived, (clock - first) / max(length - 1, 1), clock, length))
                    waiting[i].append({"arrived": clock, "length": asked(), "left": input})
            running[i] = [request for request in mine if request[0] > 0]
    kept = done[len(done) // 3 :]
    ttft, tpot = (sum(d[i] for d in kept) / len(kept) for i in (0, 1))
    rate = sum(d[3] for d in kept[1:]) / (kept[-1][2] - kept[0][2])
    return ttft, tpot, rate
