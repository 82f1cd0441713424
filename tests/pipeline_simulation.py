"""An event simulation of pipeline schedules: the oracle for the closed forms.

A schedule is what each rank does one after another, as its authors wrote it down. A task is ``(kind, stage, micro-batch)``: F, B and W
are a forward pass, the gradients of inputs and those of weights; X is B and W as one, and P a forward and a whole backward pass
together, ``("P", F task, B task)``. Stages are numbered along the way of a micro-batch; those of the other direction of DualPipe begin
at p. A task begins when its rank is free and what it needs is there, a message later if that came from another rank.
"""

from attrs import frozen


@frozen
class Timeline:
    """Begin and end of each task, by task; what each rank did, when it began and ended, and what it kept at most."""

    begin: dict
    end: dict
    time: float
    longest: float
    work: list
    kept: list


def gpipe(p, m):
    return [[("F", r, i) for i in range(m)] + [("X", r, i) for i in range(m)] for r in range(p)]


def one_forward_one_backward(p, m, v=1):
    """Narayanan and others: warm-up, alternation, cool-down, counted in chunks, which go round in groups of p micro-batches."""
    total = m * v

    def task(kind, n, r):
        group, inside = divmod(n, p * v)
        chunk, i = divmod(inside, p)
        return (kind, (chunk if kind == "F" else v - 1 - chunk) * p + r, group * p + i)

    def plain(kind, n, r):
        return (kind, r, n)

    ranks = []
    for r in range(p):
        # As Megatron does, all forward passes go first where micro-batches are as many as stages.
        ahead = p - 1 - r if v == 1 else total if m == p else 2 * (p - 1 - r) + (v - 1) * p
        ahead = min(ahead, total)
        named = plain if v == 1 else task
        tasks = [named("F", n, r) for n in range(ahead)]
        for n in range(total - ahead):
            tasks += [named("F", ahead + n, r), named("X", n, r)]
        ranks.append(tasks + [named("X", n, r) for n in range(total - ahead, total)])
    return ranks


def zero_bubble(p, m, rounds):
    """Qi and others, figures 2 and 3: H1 (p micro-batches in flight) and H2 (2 p - 1), of which later ranks wait with as many W."""
    ranks = []
    for r in range(p):
        ahead = min(m, p - r if rounds == 1 else 2 * (p - r) - 1)
        behind = min(m, p if rounds == 1 else 2 * p - 1) - ahead
        tasks = [("F", r, i) for i in range(ahead)]
        for i in range(m):
            tasks.append(("B", r, i))
            if i >= behind:
                tasks.append(("W", r, i - behind))
            if ahead + i < m:
                tasks.append(("F", r, ahead + i))
        ranks.append(tasks + [("W", r, i) for i in range(max(m - behind, 0), m)])
    return ranks


def there_and_back(p, m):
    """Qi and others, section 6 (ZB-V): rank r has stages r and 2 p - 1 - r; for 2 p - 1 micro-batches or more, less the missing."""
    n = max(m, 2 * p - 1)
    return [
        [task for task in _numbered(steps, (r, 2 * p - 1 - r)) if task[2] < m]
        for r in range(p)
        for steps in [
            ["F0"] * (2 * (p - r) - 1)
            + ["F1", "F0"] * r
            + ["F1", "B1", "W1"] * (p - r)
            + ["F0", "B0", "W0", "F1", "B1", "W1"] * (n - 2 * p + r + 1)
            + ["B0", "W0", "F1", "B1", "W1"] * (p - r - 1)
            + ["B0", "B1"] * r
            + ["B0", "W0"] * (p - r)
            + ["W1"] * r
            + ["W0"] * r
        ]
    ]


def both_ends(p, m):
    """DeepSeek's eight steps of a rank of DualPipe; 0 is the direction that begins nearer to it, a star an overlapped pair."""
    half, ranks = p // 2, []
    for r in range(p):
        x = min(r, p - 1 - r)
        y = half - x - 1
        # The two in the middle do not overlap their first pair; weights of the latter half of the last steps wait.
        main = [["F0*B1"], ["F1*B0"]] * (m // 2 - p + x + 1)
        if y == 0:
            main[0] = ["F0", "X1"]
        late = ["X1", "X0"] * (x + 1)
        late[x + 1 :] = [step.replace("X", "B") for step in late[x + 1 :]]
        steps = (
            ["F0"] * (2 * y)
            + ["F0", "F1"] * (x + 1)
            + ["B1", "W", "F1"] * y
            + [step for pair in main for step in pair]
            + ["X1", "F1*B0"] * y
            + late
            + ["W", "B0"] * y
            + ["W"] * (x + 1)
        )
        near, far = (r, p + p - 1 - r) if r < half else (p + p - 1 - r, r)
        ranks.append(_numbered(steps, (near, far)))
    return ranks


def _numbered(steps, stages):
    """Return tasks of steps such as F0: each kind counts the micro-batches of each stage; a W without one is the oldest that waits."""
    count, waiting, tasks = {}, [], []

    def task(kind, which):
        family = "B" if kind == "X" else kind
        i = count[family, which] = count.get((family, which), -1) + 1
        return (kind, stages[which], i)

    for step in steps:
        if step == "W":
            _, stage, i = waiting.pop(0)
            tasks.append(("W", stage, i))
        elif "*" in step:
            tasks.append(("P", task("F", int(step[1])), task("B", int(step[4]))))
        else:
            tasks.append(task(step[0], int(step[1])))
            if step[0] == "B":
                waiting.append(tasks[-1])
    return tasks


def orders(schedule, p, m, v=1):
    """What each rank does, one after another."""
    match schedule:
        case "gpipe":
            return gpipe(p, m)
        case "1f1b" | "interleaved":
            return one_forward_one_backward(p, m, v)
        case "zb-h1" | "zb-h2":
            return zero_bubble(p, m, 1 if schedule == "zb-h1" else 2)
        case "zb-v":
            return there_and_back(p, m)
        case "dualpipe":
            return both_ends(p, m)


def stages_of(schedule, p, v=1):
    """How many stages a micro-batch goes through."""
    return {"zb-v": 2 * p, "interleaved": p * v, "1f1b": p * v}.get(schedule, p)


def parts(task):
    """A task as passes of one micro-batch each: what others wait for."""
    kind, *rest = task
    return [("B" if k == "X" else k, s, i) for k, s, i in (rest if kind == "P" else [task])]


def simulate(schedule, p, m, v=1, *, paces, send=0.0, pair=None):
    """Run the tasks; ``paces`` are (F, B, W) of a micro-batch on each stage, ``pair`` the time of a P over that of its parts."""
    lists = orders(schedule, p, m, v)
    stages = len(paces)
    chunks = stages // p
    rank_of = {part: r for r, tasks in enumerate(lists) for task in tasks for part in parts(task)}

    def needs(part):
        kind, stage, i = part
        if kind == "F":
            return [("F", stage - 1, i)] if stage % stages else []
        if kind == "W":
            return [("B", stage, i)]
        return [("F", stage, i)] + ([("B", stage + 1, i)] if (stage + 1) % stages else [])

    def cost(task):
        alone = sum(paces[stage % stages]["FBW".index(kind)] for kind, stage, _ in parts(task))
        late = sum(
            paces[stage % stages][2] for kind, stage, i in parts(task) if kind == "B" and ("W", stage, i) not in rank_of
        )
        return (alone + late) * (pair if pair is not None and task[0] == "P" else 1)

    begin, end = {}, {}
    free, at = [0.0] * p, [0] * p
    moved = True
    while moved:
        moved = False
        for r, tasks in enumerate(lists):
            while at[r] < len(tasks):
                task = tasks[at[r]]
                before = [need for part in parts(task) for need in needs(part)]
                if not all(need in end for need in before):
                    break
                start = max([free[r]] + [end[need] + send * (rank_of[need] != r) for need in before])
                free[r] = start + cost(task)
                for part in parts(task):
                    begin[part], end[part] = start, free[r]
                at[r] += 1
                moved = True
    assert at == [len(tasks) for tasks in lists], "the ranks wait for each other"
    spans = [free[r] - min(begin[part] for part in parts(tasks[0])) for r, tasks in enumerate(lists)]
    work = [sum(cost(task) for task in tasks) for r, tasks in enumerate(lists)]
    return Timeline(begin, end, max(free), max(spans), work, [_kept(tasks) / chunks for tasks in lists])


def _kept(tasks):
    """Activations of chunks that a rank keeps at most: from the forward pass to the gradients of weights."""
    apart = {part[1:] for task in tasks for part in parts(task) if part[0] == "W"}
    most = now = 0
    for task in tasks:
        now += sum(kind == "F" for kind, *_ in parts(task))
        most = max(most, now)
        now -= sum(kind == "W" or (kind == "B" and tuple(which) not in apart) for kind, *which in parts(task))
    return most
