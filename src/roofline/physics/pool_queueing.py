r"""Queueing of disaggregated prefill and decode: requests wait for a prefill lane, then for a decode slot.

A lane reads the prompts that wait for it, c at most at a time; a pass of k takes :math:`T = a + b k`, told by the pass of one and
that of c. Prompts come to it at a rate :math:`\lambda`, and the gaps between them vary by :math:`A^2` (1 at random, 1/m where
they come at random and go to m lanes by turns). In a pass of T come :math:`x = \lambda T`, so that the next has

.. math:: k = \min(c,\ A^2 (x + e^{-x}) + (1 - A^2) \max(x, 1)),

one where none has come. A lane is busy for :math:`\beta = \lambda T / k`. A prompt waits for the end of the pass that it meets,
and, near saturation (:math:`\rho = \lambda q`, :math:`q = T_c / c`), for passes more; those that came with it share its own:

.. math::
   w = \beta \frac{T}{2} \Big(A^2 + (1 - A^2)(1 - \tfrac1k) + \frac{v^2}{k}\Big) + \frac{\rho^2 q (A^2 + v^2)}{2 (1 - \rho)},
   \qquad T' = a + b\,(1 + \min(A^2 \beta x + (1 - A^2) \max(x - 1, 0),\ c - 1)),

which at c = 1 is the formula of Pollaczek, Khinchin and Kingman, and near saturation that of a server in batches. In a closed loop
of N requests :math:`\lambda = (N - 1) / m K`, K the cycle: ``K = w + T' + s + Z``, s from the pass to the first token, Z the time of
decoding, and ``K >= N q / m``, ``K >= N Z / P`` for P places. Each x has one k, T and :math:`\lambda = x / T`, which grows with it, so that
the loop is solved for x, with no queue solved inside: :math:`\lambda\,(w + T' + s + Z) = (N - 1) / m` (Little). Where requests come at
a rate, they wait for places too (:func:`roofline.physics.queueing.full_house`).
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import anywhere, larger, pick, root, share, smaller
from roofline.core.units import Count, Num, PerSecond, Ratio, Seconds
from roofline.physics.queueing import full_house

_ROUNDS: Final = 12
_ALMOST: Final = 1 - float(np.finfo(np.float32).eps) / 128


@frozen(eq=False)
class Lanes:
    """Prefill lanes that process a few prompts per pass.

    Attributes:
        count: of them; prompts go to them by turns.
        alone: time of a pass over one prompt of each lane.
        full: time of a pass over ``most`` prompts of each lane.
        most: prompts that a lane reads at once at most.
    """

    count: Count
    alone: Seconds
    full: Seconds
    most: Count = 1.0

    @property
    def each(self) -> Seconds:
        """Time of a lane for each prompt where passes are full."""
        return self.full / self.most

    @property
    def more(self) -> Seconds:
        """What each prompt more adds to a pass."""
        return (self.full - self.alone) / larger(self.most - 1, 1.0)

    @property
    def most_per_second(self) -> PerSecond:
        """Requests a second that the lanes can read."""
        return self.count / self.each

    def queue(self, rate: PerSecond, variation: Ratio) -> tuple[Seconds, Seconds]:
        """Return the mean wait of a prompt, and the time of the pass it is in, where ``rate`` a second come to all lanes.

        >>> wait, own = Lanes(1.0, alone=1.0, full=1.0).queue(0.5, 0.0)  # Pollaczek and Khinchin
        >>> float(wait), float(own)
        (0.5, 1.0)
        """
        come, b = rate / self.count, self.more
        start = self.alone - b
        k: Num = 1.0
        # From below by tangents: k grows ever faster with what comes, so that none leads beyond the least that will do.
        for _ in range(_ROUNDS):
            x, before = come * (start + b * k), k
            steep = come * b * (1 - (np.exp(-x) + (self.count - 1) * (x < 1)) / self.count)
            k = smaller(k + share(self._together(x) - k, 1 - steep), self.most)
            if not anywhere(k != before):
                # More rounds would not change it.
                break
        return self.met(come * (start + b * k), variation)[1:]

    def _together(self, x: Count) -> Count:
        """Return how many prompts a pass has on average when ``x`` came in the one before, were there no most."""
        coming = 1 / self.count
        return coming * (x + np.exp(-x)) + (1 - coming) * larger(x, 1.0)

    def met(self, x: Count, variation: Ratio) -> tuple[PerSecond, Seconds, Seconds]:
        """Return the rate at which ``x`` prompts come to a lane in a pass of it, the mean wait of a prompt and the time of its own pass."""
        coming, b = 1 / self.count, self.more
        k = smaller(self._together(x), self.most)
        time = self.alone - b + b * k
        come, squared = share(x, time), variation * variation
        busy, load = smaller(x / k, 1.0), smaller(come * self.each, _ALMOST)
        meets = busy * time / 2 * (coming + (1 - coming) * (1 - 1 / k) + squared / k)
        behind = load * load * self.each * (coming + squared) / (2 * (1 - load))
        beside = smaller(coming * busy * x + (1 - coming) * larger(x - 1, 0.0), self.most - 1)
        return come, meets + behind, self.alone + b * beside

    def wave(self, requests: Count) -> Seconds:
        """Return the mean time to the end of its pass of prompts that come all at once."""
        own = larger(requests / self.count, 1.0)
        k = smaller(own, self.most)
        return (own + k) / 2 * (self.alone + self.more * (k - 1)) / k


@frozen(eq=False)
class Round:
    """Requests that go round two pools.

    Attributes:
        lanes: that read.
        after: time from the end of a request's pass to the first token that the other pool shows, besides waiting for a step.
        step: time of a step of those that decode.
        spent: Z, time from a request's first token to its last.
        places: P, requests that can decode at once.
        requests: N, requests always in flight; None where ``rate`` is given.
        rate: requests that come a second; None where ``requests`` is given.
        variation: standard deviation of the lengths over their mean.
        slots: requests that each slot of a benchmark serves, which starts them all at once; None for a service that
            has run for long.
    """

    lanes: Lanes
    after: Seconds
    step: Seconds
    spent: Seconds
    places: Count
    requests: Count | None
    rate: PerSecond | None
    variation: Ratio = 0.0
    slots: Count | None = None

    def scaled(self, reading: Num = 1.0, decoding: Num = 1.0, after: Num = 1.0) -> Round:
        """Return the same with every pass, every step, and what lies between them, so many times as long."""
        ours = evolve(self.lanes, alone=self.lanes.alone * reading, full=self.lanes.full * reading)
        spent, step = self.spent * decoding, self.step * decoding
        return evolve(self, lanes=ours, after=self.after * after, step=step, spent=spent)

    def turn(self) -> Turn:
        """Return how long a request takes, and how many are answered."""
        return self._closed(self.requests) if self.requests is not None else self._open(cast("Num", self.rate))

    def _joins(self, others: Count) -> Seconds:
        """Return the wait for the end of a step; there is none where no other request decodes."""
        return -np.expm1(-others) * self.step / 2

    def _kept(self, x: Count, rest: Seconds, most: Seconds) -> tuple[Count, Seconds]:
        """Return the other requests of a lane to which ``x`` come in a pass of it in a closed loop, and the cycle of one.

        Args:
            rest: time from the end of a request's pass until it comes back; ``most``: that it waits at most.
        """
        come, wait, own = self.lanes.met(x, self.variation)
        cycle = share(wait * most, np.hypot(wait, most)) + own + rest
        return come * cycle, cycle

    def _most(self, each: Count, rest: Seconds) -> Seconds:
        r"""Return what bounds the wait of a closed loop, together with that at random.

        Requests that come back after times of their own come more evenly than at random: of N on a lane those that wait are never more
        than what is left of them, :math:`\max(N - Z / q, 0)` give or take :math:`\sqrt{N (v / \sqrt\pi + v^2)}`.

        Args:
            each: N.
        """
        ours = self.lanes
        apart = np.sqrt(each * (self.variation / np.sqrt(np.pi) + self.variation * self.variation))
        left = larger(each - share(rest, ours.each), 0.0)
        return (left + cast("Num", apart)) * ours.each + ours.full / 2

    def _closed(self, requests: Count) -> Turn:
        ours, others = self.lanes, larger(requests - 1, 0.0)
        each = others / ours.count
        joins = self._joins(others * share(self.spent, self.spent + ours.alone + self.after))
        rest = self.after + joins + self.spent
        most = self._most(each, rest)
        shortest = larger(ours.alone + rest, others / ours.most_per_second)
        longest = shortest + (requests / ours.count) * ours.alone + ours.full
        low, high = each * ours.alone / longest, each * ours.full / shortest
        x = root(lambda x: self._kept(x, rest, most)[0] - each, low, high)
        bound = larger(requests / ours.most_per_second, share(requests * self.spent, self.places))
        cycle = larger(self._kept(x, rest, most)[1], bound)
        begun = larger(ours.wave(requests) + self.after + joins - (cycle - self.spent), 0.0)
        cycle = cycle + (0.0 if self.slots is None else begun / self.slots)
        first = cycle - self.spent
        return Turn(first, larger(first - ours.alone - self.after, 0.0), cycle, requests / cycle, requests)

    def _open(self, rate: PerSecond) -> Turn:
        ours = self.lanes
        load = smaller(rate * self.spent / self.places, 1.0)
        able = (rate < ours.most_per_second) & (load < 1)
        answered = smaller(rate, smaller(ours.most_per_second, share(self.places, self.spent)))
        wait, own = ours.queue(answered * _ALMOST, self.variation)
        place = full_house(self.places, pick(able, load, 0.0), self.spent, self.variation)
        first = pick(able, wait + own + self.after + place + self._joins(rate * self.spent), np.nan)
        flight = answered * (first + self.spent)
        return Turn(first, first - ours.alone - self.after, first + self.spent, answered, flight)


@frozen(eq=False)
class Turn:
    """What comes of a round.

    Attributes:
        ttft: time to the first token.
        wait: what of ``ttft`` is more than a lone request takes.
        cycle: time from a request to its last token.
        answered: requests answered a second.
        flight: requests in flight.
    """

    ttft: Seconds
    wait: Seconds
    cycle: Seconds
    answered: PerSecond
    flight: Count
