"""A small event simulation of a long run that fails: the oracle for the closed forms of goodput."""

import random


def useful_part(mtbf, checkpoint, restart, interval, behind=0.0, saves=20000, seed=1):
    """Return the part of the time that is useful work, over so many checkpoints.

    Work goes on for ``interval``, then stops for ``checkpoint``; what was saved serves ``behind`` later. Failures come at any time, also
    while the run restarts, and take it back to the last checkpoint that serves.
    """
    dice = random.Random(seed)
    clock, failure = 0.0, dice.expovariate(1 / mtbf)
    work, kept, written = 0.0, 0.0, []  # done; safe; (when it serves, how much was done)

    def passes(time):
        nonlocal clock
        if clock + time <= failure:
            clock += time
            return True
        clock = failure
        return False

    while kept < saves * interval:
        if passes(interval) and passes(checkpoint):
            work += interval
            written.append((clock + behind, work))
            while written and written[0][0] <= clock:
                kept = written.pop(0)[1]
            continue
        for when, done in written:
            kept = done if when <= clock else kept
        written, work = [], kept
        failure = clock + dice.expovariate(1 / mtbf)
        while not passes(restart):
            failure = clock + dice.expovariate(1 / mtbf)
    return kept / clock
