"""Traces: requests in order of arrival, read from a file or drawn from distributions; can be iterated repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from attrs import evolve, field, frozen

from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import MOST_TOKENS, named, number, refuse
from roofline.core.signatures import aliased, typed, typed_methods
from roofline.core.units import DAY, HOUR, MILLION
from roofline.inference.requests import HASH_BLOCK, Request
from roofline.inference.trace_files import opened, written

LENGTHS: Final = ("fixed", "lognormal", "uniform", "exponential")
"""Distributions of lengths."""
_BLOCK: Final = 4096
_PEEKED: Final = 20_000


@frozen(eq=False)
class Lengths:
    """A distribution of lengths: whole tokens, at least one.

    Attributes:
        kind: a name of :data:`LENGTHS`.
        mean: mean of the distribution, tokens.
        variation: standard deviation over the mean, of ``lognormal`` and ``uniform``.
    """

    kind: str
    mean: float
    variation: float = 0.0

    def draw(self, dice: np.random.Generator, count: int) -> list[int]:
        """Return so many lengths."""
        match self.kind:
            case "lognormal":
                squared = np.log1p(self.variation**2)
                out = dice.lognormal(np.log(self.mean) - squared / 2, np.sqrt(squared), count)
            case "uniform":
                half = self.mean * min(self.variation * 3**0.5, 1.0)
                out = dice.uniform(self.mean - half, self.mean + half, count)
            case "exponential":
                out = dice.exponential(self.mean, count)
            case _:
                out = np.full(count, self.mean)
        return np.maximum(np.round(out), 1).astype(int).tolist()  # type: ignore[no-any-return]


def _one(name: str, value: object) -> float:
    """Return one number.

    Raises:
        QuestionError: many, or none.
    """
    found = number(value, name)
    if isinstance(found, np.ndarray):
        raise QuestionError(fault(name, value, "must be one number"))
    return found


def lengths(name: str, given: float | Lengths, kind: str, variation: float) -> Lengths:
    """Return a distribution of lengths as words describe it.

    Raises:
        QuestionError: no such kind, or a number out of range.
    """
    if isinstance(given, Lengths):
        return given
    if kind not in LENGTHS:
        raise QuestionError(fault("lengths", kind, "no such distribution", near(str(kind), LENGTHS, "lengths")))
    refuse(name, _one(name, given), 1, MOST_TOKENS)
    refuse("variation", _one("variation", variation), 0, 10)
    return Lengths(kind, float(given), float(variation))


@typed_methods
@frozen(eq=False, repr=False)
class Trace:
    """Requests in the order they come.

    Attributes:
        name: what answers call it.
        source: makes an iterator over the requests, afresh each time.
        count: how many there are; None where that is not known.
        concurrency: as many requests are always in flight, whatever their times; None where they come at their times.
        timed: whether requests have times of arrival; where not, a rate or a concurrency must be given.
        hash_block: tokens of a block that a hash id names.
        speed: factor by which requests come faster than the trace's times say; 1 for as recorded.
        notes: what was assumed to read or to make it.
    """

    name: str = field(converter=named)
    source: Callable[[], Iterator[Request]]
    count: int | None = None
    concurrency: int | None = None
    timed: bool = True
    hash_block: int = HASH_BLOCK
    speed: float = 1.0
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        many = "" if self.count is None else f": {self.count:,} requests"
        load = f", {self.concurrency:,} in flight" if self.concurrency else ""
        return f"<Trace {self.name}{many}{load}>"

    def __iter__(self) -> Iterator[Request]:
        if self.speed == 1.0:
            return self.source()
        return self._faster()

    def _faster(self) -> Iterator[Request]:
        for each in self.source():
            each.arrival /= self.speed
            yield each

    def means(self) -> tuple[float, float, float]:
        """Return mean prompt and answer, and requests a second, over the first requests (20,000 at most).

        Raises:
            QuestionError: the trace holds no request.
        """
        some = list(islice(iter(self), _PEEKED))
        if not some:
            raise QuestionError(fault("trace", self.name, "holds no request"))
        span = some[-1].arrival - some[0].arrival
        rate = (len(some) - 1) / span if span > 0 else float("inf")
        return sum(r.input for r in some) / len(some), sum(r.output for r in some) / len(some), rate

    def first(self, count: int) -> Trace:
        """Return the trace up to so many requests.

        >>> Trace.poisson(2.0, 1000).first(10).count
        10
        """
        refuse("requests", _one("requests", count), 1, MOST_TOKENS, whole=True)
        whole = self.source
        most = count if self.count is None else min(count, self.count)
        return evolve(self, source=lambda: islice(whole(), count), count=most)

    def scaled(self, factor: float | None = None, *, rate: float | None = None) -> Trace:
        """Return the trace with its requests coming ``factor`` times as often, or at a mean ``rate`` a second.

        Raises:
            QuestionError: neither or both are given, or the trace has no times.

        >>> round(Trace.poisson(2.0, 10_000, seed=1).scaled(rate=5.0).means()[2], 1)
        5.0
        """
        if (factor is None) == (rate is None):
            raise QuestionError(fault("factor", factor, "give exactly one of factor and rate"))
        if not self.timed or self.concurrency is not None:
            raise QuestionError(fault("rate", rate, "the trace has no times of arrival to scale", "use .spaced(rate)"))
        if rate is not None:
            refuse("rate", _one("rate", rate), 0, strict=True)
            own = self.means()[2]
            if not np.isfinite(own):
                raise QuestionError(fault("rate", rate, "all requests of the trace come at once", "use .spaced(rate)"))
            factor = rate / own
        faster = float(factor or 0.0)
        refuse("factor", faster, 0, strict=True)
        return evolve(self, speed=self.speed * faster)

    def spaced(self, rate: float, *, burstiness: float = 1.0, seed: int = 0) -> Trace:
        """Return the trace with new times of arrival: gaps drawn from a gamma distribution, as ``vllm bench serve`` does.

        Args:
            rate: requests a second; infinite for all at once.
            burstiness: shape of the gaps: 1 for a Poisson process, less for bursts, more for evenness.
        """
        if not np.isinf(_one("rate", rate)):
            refuse("rate", _one("rate", rate), 0, strict=True)
        refuse("burstiness", _one("burstiness", burstiness), 0, MILLION, strict=True)
        whole = self.source

        def again() -> Iterator[Request]:
            gaps = _gaps(rate, burstiness, seed)
            now = 0.0
            for each in whole():
                now += next(gaps)
                each.arrival = now
                yield each

        return evolve(self, source=again, timed=True, speed=1.0, concurrency=None)

    def looped(self, concurrency: int) -> Trace:
        """Return the trace in a closed loop: as many requests always in flight, one following each that is answered."""
        refuse("concurrency", _one("concurrency", concurrency), 1, 1 << 24, whole=True)
        return evolve(self, concurrency=int(concurrency), timed=True)

    # Files -----------------------------------------------------------------------------------------------------------

    @classmethod
    @typed
    def read(cls, path: str | Path, *, hash_block: int = HASH_BLOCK) -> Trace:
        """Return the trace in a file, read when it is gone through: the forms are those of :mod:`roofline.inference.trace_files`.

        Args:
            path: a CSV, JSONL or JSON file, plain or gzipped; the form is recognised by its fields.
            hash_block: tokens of a block that a hash id names.

        Raises:
            DescriptorError: the file cannot be read, or its first request has no meaning; later lines are checked when they come.
        """
        found = opened(path, hash_block=hash_block)
        return cls(found.name, found.requests, timed=found.timed, hash_block=hash_block, notes=found.notes)

    def csv(self, most: int | None = None) -> str:
        """Return the requests as the text of a CSV file that :meth:`read` takes.

        >>> print(Trace.closed(2, 2, input=10, output=5).csv(), end="")
        arrival_s,input_len,output_len,session,hash_ids,priority,delay_s
        0.0,10,5,,,0,
        0.0,10,5,,,0,
        """
        return written(islice(iter(self), most))

    # Drawn -----------------------------------------------------------------------------------------------------------

    @classmethod
    @aliased(isl="input", osl="output")
    @typed
    def poisson(
        cls, rate: float, requests: int = 10_000, *, input: float | Lengths = 4096.0, output: float | Lengths = 1024.0,
        lengths_are: str = "fixed", variation: float = 0.5, burstiness: float = 1.0, prefix: int = 0, seed: int = 0,
    ) -> Trace:  # fmt: skip
        """Return requests that arrive at random.

        Args:
            rate: requests a second.
            input, output: mean tokens, or :class:`Lengths`.
            lengths_are: ``fixed``, ``lognormal``, ``uniform`` or ``exponential``; ``variation``: standard deviation over the mean.
            burstiness: shape of the gamma distribution of the gaps: 1 for a Poisson process, less for bursts.
            prefix: tokens at the beginning of each prompt that all have in common, such as a system prompt.
            isl, osl: other names of ``input`` and ``output``, here and of the other ways to draw.

        >>> Trace.poisson(2.0, 1000)
        <Trace poisson: 1,000 requests>
        """
        refuse("requests", _one("requests", requests), 1, MOST_TOKENS, whole=True)
        if not np.isinf(_one("rate", rate)):
            refuse("rate", _one("rate", rate), 0, strict=True)
        refuse("burstiness", _one("burstiness", burstiness), 0, MILLION, strict=True)
        refuse("prefix", _one("prefix", prefix), 0, MOST_TOKENS, whole=True)
        refuse("seed", _one("seed", seed), 0, MOST_TOKENS, whole=True)
        seed = int(seed)
        asked = lengths("input", input, lengths_are, variation)
        answered = lengths("output", output, lengths_are, variation)
        block = _block_of(int(prefix))
        common = tuple(range(int(prefix) // block))

        def drawn() -> Iterator[Request]:
            dice, gaps = np.random.default_rng(seed), _gaps(rate, burstiness, seed + 1)
            now, left = 0.0, int(requests)
            while left > 0:
                size = min(left, _BLOCK)
                for i, o in zip(asked.draw(dice, size), answered.draw(dice, size), strict=True):
                    now += next(gaps)
                    yield Request(now, i, o, common)
                left -= size

        name = "poisson" if burstiness == 1.0 else "gamma"
        return cls(name, drawn, int(requests), hash_block=block)

    @classmethod
    @aliased(isl="input", osl="output")
    @typed
    def daily(
        cls, rate: float, *, swing: float = 0.6, hours: float = 24.0, peak: float = 15.0, input: float | Lengths = 4096.0,
        output: float | Lengths = 1024.0, lengths_are: str = "lognormal", variation: float = 0.5, seed: int = 0,
    ) -> Trace:  # fmt: skip
        r"""Return requests of some hours whose rate swings with the day: :math:`r (1 + s \cos(2 \pi (t - t_p) / 24\,\mathrm{h}))`.

        Args:
            rate: requests a second, the mean over a day; ``swing``: of the rate about it, a part of the mean.
            hours: of the trace, from midnight on; ``peak``: hour of the day with the highest rate.

        >>> day = Trace.daily(2.0, swing=0.5, seed=1)
        >>> day.count
        172800
        """
        refuse("rate", _one("rate", rate), 0, strict=True)
        refuse("swing", _one("swing", swing), 0, 0.99)
        refuse("hours", _one("hours", hours), 0, MILLION, strict=True)
        refuse("peak", _one("peak", peak), 0, 24)
        made = cls.poisson(
            1.0,
            max(round(rate * hours * HOUR), 1),
            input=input,
            output=output,
            lengths_are=lengths_are,
            variation=variation,
            seed=seed,
        )
        turn, top = 2 * np.pi / DAY, peak * HOUR
        clock = np.linspace(0.0, DAY, 24 * 60 + 1)
        come = rate * (clock + swing / turn * (np.sin(turn * (clock - top)) + np.sin(turn * top)))

        def swung() -> Iterator[Request]:
            # The n-th arrival of a Poisson process of rate 1 comes when n requests are due.
            for each in made:
                days, due = divmod(each.arrival, float(come[-1]))
                each.arrival = days * DAY + float(np.interp(due, come, clock))
                yield each

        return cls("daily", swung, made.count)

    @classmethod
    @aliased(isl="input", osl="output")
    @typed
    def closed(
        cls, concurrency: int, requests: int | None = None, *, input: float | Lengths = 4096.0, output: float | Lengths = 1024.0,
        lengths_are: str = "fixed", variation: float = 0.5, prefix: int = 0, seed: int = 0,
    ) -> Trace:  # fmt: skip
        """Return a closed loop: as many requests always in flight, all starting at once (ten each unless ``requests`` is given).

        >>> Trace.closed(64)
        <Trace closed loop: 640 requests, 64 in flight>
        """
        refuse("concurrency", _one("concurrency", concurrency), 1, 1 << 24, whole=True)
        made = cls.poisson(
            float("inf"), 10 * int(concurrency) if requests is None else requests, input=input, output=output,
            lengths_are=lengths_are, variation=variation, prefix=prefix, seed=seed,
        )  # fmt: skip
        return evolve(made, name="closed loop", concurrency=int(concurrency))

    @classmethod
    @aliased(isl="input", osl="output")
    @typed
    def sessions(
        cls, rate: float, sessions: int = 500, *, turns: int = 5, think: float = 10.0, system_prompt: int = 1024,
        input: float | Lengths = 512.0, output: float | Lengths = 512.0, lengths_are: str = "lognormal", variation: float = 0.5,
        seed: int = 0,
    ) -> Trace:  # fmt: skip
        """Return conversations that begin at random; each turn's prompt holds all before it, and comes after a time to think.

        Args:
            rate: conversations that begin in a second; ``turns``: of each.
            think: mean seconds between an answer and the next turn (exponential).
            system_prompt: tokens that all conversations begin with.
            input, output: new tokens of a turn, and of its answer.
        """
        for name, value in (("sessions", sessions), ("turns", turns)):
            refuse(name, _one(name, value), 1, MOST_TOKENS, whole=True)
        refuse("rate", _one("rate", rate), 0, strict=True)
        refuse("think", _one("think", think), 0)
        refuse("system_prompt", _one("system_prompt", system_prompt), 0, MOST_TOKENS, whole=True)
        refuse("seed", _one("seed", seed), 0, MOST_TOKENS, whole=True)
        seed = int(seed)
        asked = lengths("input", input, lengths_are, variation)
        answered = lengths("output", output, lengths_are, variation)
        common = list(range(int(system_prompt) // HASH_BLOCK))

        def drawn() -> Iterator[Request]:
            dice, gaps = np.random.default_rng(seed), _gaps(rate, 1.0, seed + 1)
            now, fresh = 0.0, 1 << 32
            for talk in range(int(sessions)):
                now += next(gaps)
                news, tells = asked.draw(dice, turns), answered.draw(dice, turns)
                pauses = dice.exponential(think, turns).tolist() if think else [0.0] * turns
                ids, length, chain = list(common), int(system_prompt), []
                for new, size in zip(news, tells, strict=True):
                    length += new
                    while len(ids) < length // HASH_BLOCK:
                        ids.append(fresh)
                        fresh += 1
                    chain.append(Request(now, length, size, tuple(ids), session=str(talk)))
                    length += size
                for i in range(turns - 1):
                    chain[i].then = (pauses[i], chain[i + 1])
                yield chain[0]

        return cls("sessions", drawn, int(sessions) * int(turns))


def _block_of(prefix: int) -> int:
    """Return the tokens of a block, so that a common prefix is a whole number of them (to 16 tokens).

    >>> _block_of(1024), _block_of(1000), _block_of(1021)
    (512, 500, 16)
    """
    return next((n for n in range(HASH_BLOCK, 15, -1) if prefix % n == 0), min(16, prefix))


def _gaps(rate: float, burstiness: float, seed: int) -> Iterator[float]:
    """Yield gaps between requests for ever."""
    dice = np.random.default_rng(seed)
    while True:
        if np.isinf(rate):
            yield from [0.0] * _BLOCK
        else:
            yield from dice.gamma(burstiness, 1 / (rate * burstiness), _BLOCK).tolist()
