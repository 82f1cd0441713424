"""A small event simulation of continuous batching in a closed loop: the oracle for the closed forms of serving.

Every step of the engine emits one token of each running request and passes waiting prompt tokens, first come first served, up to a
budget. A step takes the decode step's time, if anything runs, and the prompt's time for the part of a prompt that it passes.
"""

import random


def closed_loop(requests, step, prompt, input, output, budget=8192, cycles=60, spread=0.5, seed=1):
    """Return mean TTFT, mean TPOT and output tokens per second in steady state.

    Args:
        requests: requests always in flight; one that is answered is followed by another at once.
        step: time of a decode step; ``prompt``: time of a whole prompt's pass.
        input: tokens of a prompt; ``output``: mean tokens asked for, spread evenly by the relative ``spread``.
        budget: prompt tokens of a step at most.
        cycles: requests served for each one in flight.
    """
    dice = random.Random(seed)

    def asked():
        return max(1, round(output * (1 + spread * (2 * dice.random() - 1))))

    clock, done, waiting = 0.0, [], []
    # As in a service that has run for a while, each request is somewhere within its answer.
    running = [[max(1, asked() * (i + 1) // requests), None] for i in range(requests)]
    while len(done) < cycles * requests:
        room, passed = budget, []
        clock += step if running else 0.0
        while waiting and room:
            first = waiting[0]
            part = min(room, first["left"])
            first["left"] -= part
            room -= part
            clock += prompt * part / input
            if not first["left"]:
                passed.append(waiting.pop(0))
        for request in running:
            request[0] -= 1
        running += [[each["length"] - 1, (each["arrived"], clock, each["length"])] for each in passed]
        for left, told in running:
            if left <= 0:
                if told is not None:
                    arrived, begun, length = told
                    done.append((begun - arrived, (clock - begun) / max(length - 1, 1), clock, length))
                waiting.append({"arrived": clock, "length": asked(), "left": input})
        running = [request for request in running if request[0] > 0]
    kept = done[len(done) // 3 :]
    ttft, tpot = (sum(d[i] for d in kept) / len(kept) for i in (0, 1))
    rate = sum(d[3] for d in kept[1:]) / (kept[-1][2] - kept[0][2])
    return ttft, tpot, rate
