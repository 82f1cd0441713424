r"""Pipeline time of a training step in closed form, for each schedule.

p stages (``stages``) pass m micro-batches; a rank takes F for the forward pass of one, B for the gradients of its inputs and W for
those of its weights, all its v chunks together, and a message that is seen takes s. With T = F + B + W the fullest rank works m T,
and what a schedule adds to that is its *bubble*. Stages that are uneven are two paces: the fullest rank's sets how often a
micro-batch comes, and the way through the pipeline and back goes through all.

=============  =====================================================  =================================
schedule       bubble of even stages, messages unseen, m large        activations kept, in micro-batches
=============  =====================================================  =================================
gpipe          :math:`(p-1)\,T`                                       m
1f1b           :math:`(p-1)\,T / v`                                   :math:`p + (p-1)/v`, p if v = 1
zb-h1          :math:`(p-1)(B + \max(F - W, 0))`                      p
zb-h2          :math:`(p-1)\max(F + B - 2W, B - F, 0)`                2 p - 1
zb-v           :math:`(p-1)\max(F - W, B - W, 0)`                     p
dualpipe       :math:`(p/2-1)(P + B - 2W)`, P a pair's time           p + 1
=============  =====================================================  =================================

Sources: GPipe, arXiv:1811.06965; 1F1B and its interleaving, Narayanan and others, arXiv:2104.04473, section 2.2, and
Korthikanti and others, arXiv:2205.05198, section 4.2.3, for what is kept; zero bubble, Qi and others, arXiv:2401.10241,
sections 2 and 6; DualPipe, DeepSeek-AI, arXiv:2412.19437, section 3.2.1, and the table of its published code, which holds where
F = B (elsewhere the law below gives what the simulation does). All are compared to a simulation of their tasks.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from roofline.core.arrays import Mask, anywhere, floor, larger, pick, smaller
from roofline.core.errors import unknown
from roofline.core.units import Count, Num, Ratio, Seconds

SCHEDULES: Final = {
    "gpipe": "all forward passes, then all backward passes: the least to schedule, the most to keep",
    "1f1b": "one forward, one backward, so that a rank keeps no more micro-batches than there are stages; may have chunks",
    "interleaved": "1f1b of several chunks of layers a rank: a shorter ramp for more communication and somewhat more memory",
    "zb-h1": "1f1b whose gradients of weights wait until the rank has nothing else to do: a third of the bubble, as much memory",
    "zb-h2": "zb-h1 with twice the micro-batches in flight: no bubble where ranks need not end a step together",
    "zb-v": "two chunks a rank, there and back, so that no bubble is left with as much memory as 1f1b",
    "dualpipe": "micro-batches enter at both ends, forward and backward passes go in pairs; two copies of the parameters",
}
"""Schedules of a pipeline, and what each is."""


PAIRED: Final = ("dualpipe",)
"""Schedules that do a forward and a backward pass together, so that the messages of one hide behind the work of the other."""


@frozen(eq=False)
class Pace:
    """Times of one micro-batch on one rank, all of its chunks together, and of one message between stages.

    Attributes:
        forward: of the forward pass.
        inputs: of the gradients of its inputs, recomputation included.
        weights: of the gradients of its weights.
        send: of a message to the next stage, as far as it is seen; the rank may compute meanwhile.
        pair: of a forward and a whole backward pass done together, as DualPipe does them; None for their sum.
    """

    forward: Seconds
    inputs: Seconds
    weights: Seconds
    send: Seconds = 0.0
    pair: Seconds | None = None

    @property
    def work(self) -> Seconds:
        """All work on a micro-batch, one piece after another."""
        return self.forward + self.inputs + self.weights

    @property
    def paired(self) -> Seconds:
        """Time of a forward and a whole backward pass together."""
        return self.work if self.pair is None else self.pair


@frozen(eq=False)
class Run:
    """What the micro-batches of a step take on a pipeline.

    Attributes:
        time: from the first task to the end of the last.
        work: of the fullest rank in that time.
        in_flight: micro-batches whose activations the fullest rank keeps, as many as of whole stages.
        copies: of a stage's parameters on a rank.
        rules: conditions of the schedule: a key, where it holds, and what to say where it does not.
    """

    time: Seconds
    work: Seconds
    in_flight: Count
    copies: float
    rules: tuple[tuple[str, Mask, str], ...] = ()

    @property
    def bubble(self) -> Seconds:
        """Time for which the fullest rank has nothing to do."""
        return larger(self.time - self.work, 0.0)

    @property
    def share(self) -> Ratio:
        """Bubble over the time of the run."""
        return self.bubble / self.time

    @property
    def ok(self) -> Mask:
        """Where the schedule is possible."""
        masks: Mask = True
        for _, mask, _ in self.rules:
            masks = masks & mask
        return masks


@frozen(eq=False)
class _Line:
    """What the laws share: p stages, m micro-batches, v chunks; the fullest rank, and the others on average."""

    p: Count
    m: Count
    v: Count
    full: Pace
    rest: Pace

    @property
    def others(self) -> Count:
        """Ranks besides the fullest."""
        return self.p - 1

    @property
    def send(self) -> Seconds:
        """A message to the next stage and one back."""
        return 2 * self.full.send

    @property
    def way(self) -> Seconds:
        """Of one micro-batch through all stages and back, gradients of weights left out."""
        return self.full.forward + self.full.inputs + self.others * (self.rest.forward + self.rest.inputs + self.send)


def _gpipe(x: _Line) -> Seconds:
    """Return the time where every rank ends all forward passes before the first backward pass: two flow shops.

    The first micro-batch meets every stage, and the others follow as fast as the fullest one lets them.
    """
    return x.m * x.full.work + x.others * (x.rest.work + x.send)


def _1f1b(x: _Line) -> Seconds:
    r"""Return the time of one forward, one backward, in chunks or not.

    Without chunks a rank j stages before the end begins its j-th next forward pass only after the backward pass of this
    micro-batch, so j micro-batches cost at least the way through j stages and back, :math:`j T + 2 (j - 1) s`: messages are
    seen in the steady state too. The m - 1 micro-batches after the first go round the longest of these loops as often as they
    can, then round a shorter one.
    """
    after = x.m - 1
    loops = floor(after / x.p)
    left = after - loops * x.p
    through = x.full.work + x.others * (x.rest.work + x.send)
    short = x.full.work + (left - 1) * (x.rest.work + x.send)
    plain = (
        through + loops * larger(through, x.p * x.full.work) + larger(pick(left > 0, short, 0.0), left * x.full.work)
    )
    return pick(x.v > 1, _interleaved(x), plain) if anywhere(x.v > 1) else plain


def _interleaved(x: _Line) -> Seconds:
    r"""Return the time of 1F1B in v chunks a rank.

    The first micro-batch goes through p v chunks with a message before each, and the last one back. Between those a rank has
    p - 1 further chunks under way, so that messages are hidden by other chunks' work, until a chunk's longer pass and a message
    take longer than both its passes; then ranks wait for them from chunk to chunk, and where a micro-batch turns back.
    """
    v = larger(x.v, 1.0)
    each = x.full.work / v
    chunks = x.p * v
    there = larger(x.full.forward, x.full.inputs + x.full.weights) / v + x.full.send
    back = (chunks * each + (chunks - 1) * x.send) / (2 * chunks - 1)
    late = (larger(there, each) * (v - 1) + larger(back, each)) / v - each
    hops = (x.p > 1) * (chunks - 1)
    steady = larger(x.m - x.p, 0.0) * v * (x.p > 1)
    return x.m * x.full.work + x.others * x.rest.work / v + hops * x.send + steady * late


def _zero_bubble(x: _Line, depth: Count, seen: Seconds) -> Seconds:
    r"""Return the time of 1F1B whose gradients of weights fill what is idle, with at most ``depth`` micro-batches in flight.

    The first rank waits for the first micro-batch to come back, then for each of those in flight when its forward passes end.
    Between two of these it has a B and a W to do, and they come as far apart as a B and an F of the last rank:
    :math:`p (F + B) + W + (n - 1)(B + \max(F, W)) + (m - n) T`, n the lesser of m and the depth.
    """
    n = smaller(x.m, depth)
    full, rest = x.full, x.rest
    between = larger(full.forward + full.inputs, rest.inputs + rest.weights)
    late = larger(rest.forward + rest.inputs + seen, between) - between
    slack = larger((x.way + full.weights) / depth - full.work, 0.0)
    drain = (n - 1) * between + smaller(larger(x.m - 2, 0.0), n - 1) * late
    return larger(x.way + rest.weights + drain + (x.m - n) * (full.work + slack), x.m * full.work)


def _zbv(x: _Line) -> tuple[Seconds, Seconds]:
    r"""Return the time of two chunks a rank, there and back, and that of ranks which end together.

    With at least 2 p - 1 micro-batches a rank has a W for every chunk it waits for, and is idle only where this is shorter than the
    F or the B that it waits for: :math:`(p - 1)(\max(F, B) - W)`, nearly. With fewer there are only m - p of them, and below p not
    enough forward passes either.
    """
    g, f, b, w, s = x.others, x.rest.forward, x.rest.inputs, x.rest.weights, x.full.send
    short = larger(x.p - x.m, 0.0)
    filled = smaller(larger(x.m - x.p, 0.0), g)
    more = larger(filled - 1, 0.0) / 2
    back = short * f + g * b - filled * w + (4 * g + 4 * more) * s
    there = (g + short) / 2 * (f + b) + more * (f - b) - filled * w + (2 * (g + short) + 4 * more) * s
    # A W that takes longer than what it waits for holds up others.
    bubble = larger((g - filled) * b + (4 * g - 2 * filled) * s, (filled * (w - f) + b - w) / 2 + 2 * filled * s)
    # The fullest rank, the first, has the last stage too; what it has to do besides fills half of what it would be idle.
    half = larger((g - filled) / 2 * f + g / 2 * (b - w) + 2 * g * s, 0.0)
    over = x.full.work - x.rest.work
    done = x.m * x.full.work
    even = x.m * x.rest.work + over
    time = larger(even + pick(x.p > 1, larger(larger(back, there), larger(bubble, 0.0)), 0.0), done + half)
    late = larger(g / 2 * larger(f, b) + more * larger(f - b, 0.0), (b + (g - 1) * w) / 2)
    met = larger(even + late, done + larger(g - 1, 0.0) / 2 * w) + 4 * g * s
    return time, pick(x.p > 1, met, done)


def _dualpipe(x: _Line) -> tuple[Seconds, Seconds]:
    r"""Return the time of micro-batches from both ends, in pairs of a forward and a backward pass, and the work of the first rank.

    Of its m micro-batches the first rank passes :math:`m - 3 p / 2 + 1` in pairs. What the next rank waits for is sent on between
    these, as in 1F1B, so messages are seen.
    """
    h, f, b, w = x.p / 2, x.rest.forward, x.rest.inputs, x.rest.weights
    saved = larger(x.m - 3 * h + 1, 0.0) * (x.full.work - x.full.paired)
    base = (2 * h - 3) * x.rest.paired + (4 - 3 * h) * w
    there = f + (2 - h) * b + (h - 1) * larger(w - b, 0.0)
    back = (1 - h) * f + b + (h - 1) * x.full.send
    # The ends, which have the last stages, are idle less where they have more to do.
    over = 2 * x.others * (x.full.work - x.rest.work)
    idle = larger(base + larger(there, back) - over, (h - 1) * larger(b - w, 0.0))
    seen = (x.m * (1 - 1 / x.p) + 3 * (h - 1)) * x.full.send
    work = x.m * x.full.work - saved
    return work + (x.p > 1) * (idle + seen), work


def run(
    schedule: str, stages: Count, micro_batches: Count, chunks: Count = 1.0,
    *, fullest: Pace, mean: Pace | None = None, together: Mask = False,
) -> Run:  # fmt: skip
    r"""Return what the micro-batches of one step take on a pipeline.

    Args:
        schedule: one of :data:`SCHEDULES`.
        chunks: of layers a rank, 1F1B only.
        fullest: pace of the rank that has the most to do, as a rule by the last stage, which has the output layer; ``mean``: of
            all ranks on average, None where stages are even.
        together: whether all ranks end a step together, as where the norm of all gradients is needed before the first
            weight changes. If not (post-validation, arXiv:2401.10241, section 4), a rank begins the next step when it is done,
            and the time is the longest of the ranks'. Only zero-bubble schedules differ: in others the first rank ends last.

    Raises:
        UnknownNameError: no such schedule.

    >>> even = Pace(forward=1.0, inputs=1.0, weights=1.0)
    >>> float(run("1f1b", 4.0, 8.0, fullest=even).time)
    33.0
    >>> [float(run(name, 4.0, 8.0, fullest=even).bubble) for name in ("gpipe", "zb-h1", "zb-h2", "zb-v", "dualpipe")]
    [9.0, 3.0, 0.0, 0.0, 2.0]
    >>> float(run("1f1b", 4.0, 8.0, 3.0, fullest=even).bubble)
    3.0
    """
    if schedule not in SCHEDULES:
        raise unknown("schedule", schedule, SCHEDULES)
    mean = fullest if mean is None else mean
    x = _Line(stages, micro_batches, chunks, fullest, others(fullest, mean, stages))
    p, m, v = stages, micro_batches, chunks
    work = m * fullest.work
    met: Num = 0.0
    # The last rank begins when the first micro-batch has come down to it, and has no less to do.
    down = work + (p - 1) * (x.rest.forward + fullest.send)
    copies = 1.0
    rules: list[tuple[str, Mask, str]] = []
    if schedule not in ("1f1b", "interleaved"):
        rules.append(("vpp_is_one", v == 1, f"{schedule} takes no chunks (vpp = 1)"))
    match schedule:
        case "gpipe":
            time, in_flight = _gpipe(x), m
        case "1f1b" | "interleaved":
            time, in_flight = _1f1b(x), smaller(m, p + pick(v > 1, (p - 1) / v, 0.0))
            rules.append(
                (
                    "micro_batches_multiple_of_pp",
                    (v == 1) | (m % p == 0),
                    "micro-batches must be a multiple of pp where a rank has chunks (vpp > 1)",
                )
            )
            rules.append(("vpp_needs_stages", (v == 1) | (p > 1), "chunks (vpp > 1) need more than one stage"))
            if schedule == "interleaved":
                rules.append(("interleaved_needs_chunks", v > 1, "interleaved needs chunks (vpp > 1)"))
        case "zb-h1":
            time, in_flight, met = _zero_bubble(x, p, x.send), smaller(m, p), down
        case "zb-h2":
            time, in_flight, met = _zero_bubble(x, 2 * p - 1, 0.0), smaller(m, 2 * p - 1), down
        case "zb-v":
            (time, met), in_flight = _zbv(x), smaller(m, p)
        case _:
            (time, work), in_flight, copies = _dualpipe(x), smaller(m, p + 1), 2.0
            rules.append(("dualpipe_even_stages", p % 2 == 0, "dualpipe needs an even number of stages"))
            rules.append(
                (
                    "dualpipe_even_micro_batches",
                    (m % 2 == 0) & (m >= 2 * p),
                    "dualpipe needs an even number of micro-batches, at least 2 pp",
                )
            )
    time = pick(together, larger(time, met), time)
    return Run(time, work, in_flight, copies, tuple(rules))


def others(fullest: Pace, mean: Pace, stages: Count) -> Pace:
    """Return the mean pace of the ranks besides the fullest, ``(p mean - full) / (p - 1)``, or its own where it is alone."""
    others = larger(stages - 1, 1.0)

    def rest(of_all: Seconds, most: Seconds) -> Seconds:
        return pick(stages > 1, larger((stages * of_all - most) / others, 0.0), most)

    return Pace(
        rest(mean.forward, fullest.forward), rest(mean.inputs, fullest.inputs), rest(mean.weights, fullest.weights),
        fullest.send, rest(mean.paired, fullest.paired),
    )  # fmt: skip
