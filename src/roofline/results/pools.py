"""``Pools``: the answer for disaggregated prefill and decode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, cast

import numpy as np
from attrs import frozen

from roofline.core.arrays import Mask, larger, share, smaller
from roofline.core.errors import QuestionError, fault
from roofline.core.lazy import reports
from roofline.core.provenance import Fact
from roofline.core.signatures import typed_methods
from roofline.core.text import counted
from roofline.core.units import MILLION, Bytes, Count, Dollars, Joules, Num, PerSecond, Ratio, Seconds, Watts
from roofline.core.values import Record
from roofline.hardware.constants import Calibration
from roofline.hardware.evidence import COVERAGE, scaled
from roofline.hardware.hardware import System
from roofline.operators.feasibility import Rule, broken, satisfied
from roofline.physics.energy import costs_apart, dollars_per_token, total
from roofline.physics.pool_queueing import Round
from roofline.results import aiperf, pool_percentiles, records, roughness
from roofline.results.answer import Derived, Text, degrees, numbers, times_in_words
from roofline.results.energy import SCOPE, carbon, error, idle_share, measured, parts
from roofline.results.estimate import Estimate
from roofline.results.intervals import Ends, asked_part, front, powered, widened
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.reports.launch.flags import Launch


_BUSY: Final = 0.6
"""Share of what lanes can do beyond which the wait for them is rough."""


@typed_methods
@frozen(eq=False, repr=False)
class Pools(Derived):
    """Disaggregated prefill and decode. Quantities are floats, or arrays over the points asked.

    Attributes:
        question: the service.
        prefill: one prefill on each replica of the prefill pool.
        decode: a step of the decode pool.
        round: how requests go round both.
        ttft: time to the first token.
        tpot: time per token after it.
        wait: what the first token takes in queues.
        transfer: time in which a prompt's cache is sent.
        exposed: the exposed part of it.
        in_flight: requests in the service.
        decoding: of them, those that decode.
        tokens_per_second: output tokens.
        limits: requests a second that the pool that prefills, and the one that decodes, can do.
        rules: conditions on both pools together.
    """

    KIND = "pools"
    LEAST = ("ttft", "tpot", "wait", "joules_per_token", "dollars_per_million_tokens")
    KNOWN = "tokens_per_second, tpot, ttft"
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "ttft_s": "ttft",
        "tpot_s": "tpot",
        "wait_s": "wait",
        "output_tokens_per_s": "tokens_per_second",
        "output_tokens_per_s_per_chip": "tokens_per_second_per_chip",
        "tokens_per_s_per_user": "tokens_per_second_per_user",
        "energy_j_per_token": "joules_per_token",
        "usd_per_million_tokens": "dollars_per_million_tokens",
    }
    SURE: ClassVar[Mapping[str, str]] = {"ttft_s": "ttft", "tpot_s": "tpot", "output_tokens_per_s": "tokens_per_second"}
    PARTS = ("prefill", "decode")
    NUMBERS = (
        "question", "round", "ttft", "tpot", "wait", "transfer", "exposed", "in_flight", "decoding", "tokens_per_second", "limits",
        "rules",
    )  # fmt: skip

    question: Serve
    prefill: Estimate
    decode: Estimate
    round: Round
    ttft: Seconds
    tpot: Seconds
    wait: Seconds
    transfer: Seconds
    exposed: Seconds
    in_flight: Count
    decoding: Count
    tokens_per_second: PerSecond
    limits: tuple[PerSecond, PerSecond]
    rules: tuple[Rule, ...]

    @property
    def _asked_in_words(self) -> str:
        return f"{self.question.model.name}, " + " and ".join(
            f"{counted(float(np.max(est.chips)), 'chip')} of {est.system.name} that {does}"
            for est, does in ((self.prefill, "read"), (self.decode, "decode"))
        )

    @property
    def _given_in_words(self) -> str:
        return f": {', '.join(times_in_words(self.ttft, self.tpot))}{'' if self.fits else ', does not fit'}"

    @property
    def system(self) -> System:
        """The machine that decodes."""
        return self.decode.system

    @property
    def calibration(self) -> Calibration:
        """The constants of the pool that decodes."""
        return self.decode.calibration

    @property
    def layout(self) -> Layout:
        """The layout of the pool that decodes."""
        return self.decode.layout

    @property
    def chips(self) -> Count:
        """Chips of both pools."""
        return self.prefill.chips + self.decode.chips

    @property
    def fits_probability(self) -> Ratio:
        """Chance that the chips of both pools hold their parts: that of the fuller one, since an engine's errors are the same in both."""
        return smaller(self.prefill.fits_probability, self.decode.fits_probability)

    @property
    def requests_per_second(self) -> PerSecond:
        """Requests that are answered in a second."""
        return self.tokens_per_second / self.question.output

    @property
    def tokens_per_second_per_chip(self) -> PerSecond:
        """Output tokens a second over the chips of both pools."""
        return self.tokens_per_second / self.chips

    @property
    def tokens_per_second_per_user(self) -> PerSecond:
        """Output tokens per second of one request, after its first: ``1 / TPOT``."""
        return 1 / self.tpot

    @property
    def balance(self) -> Ratio:
        """Chips that prefill for each that decodes at which neither pool waits for the other."""
        reading, decoding = self.limits
        return (decoding / self.decode.chips) / (reading / self.prefill.chips)

    @property
    def working(self) -> tuple[Ratio, Ratio]:
        """Share of the time in which the lanes read, and share of the replicas that decode."""
        idle = smaller(self.decoding / self.decode.layout.replicas, 1.0)
        return smaller(self.requests_per_second / self.limits[0], 1.0), idle

    @property
    def joules_per_token(self) -> Joules | None:
        """Energy of an output token, of both pools; None where no power is known."""
        return self.joules()

    @property
    def joules_range(self) -> tuple[Joules, Joules] | None:
        """The 80 % interval of the energy of a token, over what is not known of power."""
        each = self.joules_per_token
        if each is None:
            return None
        _, half = self._of_power
        return each * np.exp(-half), each * np.exp(half)

    @property
    def _of_power(self) -> tuple[Ratio, Ratio]:
        """Share of the power of both pools that lasts as long as the time does, and the half-width of their power, in logarithms.

        Errors of both pools have the same causes, so that they are averaged by power, not added in squares.
        """
        whole, lasting, half = cast("Watts", self.power()), cast("Num", 0.0), cast("Num", 0.0)
        for est, at in zip((self.prefill, self.decode), self.working, strict=True):
            part = total(cast("dict[str, Watts]", parts(est, SCOPE, at))) * est.chips / whole
            lasting = lasting + part * idle_share(est, SCOPE, at)
            half = half + part * error(est, SCOPE, at)
        return lasting, half

    def joules(self, scope: str = SCOPE) -> Joules | None:
        """Return the energy of an output token of both pools within a scope; None where no power is known.

        Raises:
            QuestionError: no such scope.
        """
        watts = self.power(scope)
        return None if watts is None else watts / self.tokens_per_second

    def power_parts(self, scope: str = SCOPE) -> dict[str, Watts] | None:
        """Return the power of both pools by part within a scope; see :meth:`roofline.results.energy.Powered.power_parts`.

        Raises:
            QuestionError: no such scope.
        """
        out: dict[str, Watts] = {}
        for est, working in zip((self.prefill, self.decode), self.working, strict=True):
            split = parts(est, scope, working)
            if split is None:
                return None
            out = {name: out.get(name, 0.0) + watts * est.chips for name, watts in split.items()}
        return out

    def power(self, scope: str = SCOPE) -> Watts | None:
        """Return the power of both pools within a scope.

        Raises:
            QuestionError: no such scope.
        """
        split = self.power_parts(scope)
        return None if split is None else total(split)

    @property
    def dollars_per_million_tokens(self) -> Dollars | None:
        """Rent of both pools for a million output tokens; None where no price is known."""
        total: Num = 0.0
        for est in (self.prefill, self.decode):
            price = est.system.price_per_chip
            if price is None:
                return None
            total = total + MILLION * dollars_per_token(price, est.chips, self.tokens_per_second)
        return total

    def grams_of_carbon_per_million_tokens(self, grid: Num | str) -> Num | None:
        """Return the grams of CO2 of a million output tokens; see :meth:`roofline.results.energy.Powered.grams_of_carbon_per_million_tokens`."""
        return carbon(self.joules("hall"), grid)

    @property
    def dollars_apart(self) -> tuple[Dollars, Dollars] | None:
        """Cost of a million prompt tokens (those computed, without cached ones), and of a million output tokens, each of its own pool.

        See :func:`roofline.physics.energy.costs_apart`; None where no cost per hour is known.
        """
        reading, decoding = (est.system.price_per_chip for est in (self.prefill, self.decode))
        if reading is None or decoding is None:
            return None
        reading, decoding = reading * self.prefill.chips, decoding * self.decode.chips
        read = self.requests_per_second * (self.question.input - self.question.cached)
        spent = reading + decoding
        each = costs_apart(spent, share(reading, spent), read, self.tokens_per_second)
        return MILLION * each[0], MILLION * each[1]

    def to_aiperf(self) -> Record:
        """Return the answer in the shape of AIPerf's ``profile_export_aiperf.json``: see :mod:`roofline.results.aiperf`."""
        return aiperf.of_service(self)

    def interval(self, quantity: str, coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the interval of a time, a rate, energy or cost expected to contain a share of measurements; None at the ideal level.

        Passes and steps are each as uncertain as their answers say, and what lies between them as a front end is. What that makes
        of a time to the first token, and of a rate, the queue tells, which is solved again at the ends of each interval in turn; the
        deviations add in squares. Near saturation a little more of a pass is much more of a wait. Cost is an inverse rate; energy is
        one too, as far as power lasts whatever is done, with the error of the power of both pools in squares.

        Raises:
            QuestionError: another quantity, or more points than details are kept for.
        """
        if quantity in ("tpot", "tokens_per_second_per_user"):
            pair = self.decode.interval("tpot", coverage)
            return pair if pair is None or quantity == "tpot" else (1 / pair[1], 1 / pair[0])
        if quantity in ("joules_per_token", "dollars_per_million_tokens"):
            return self._of_cost(quantity, coverage)
        if quantity not in ("ttft", "tokens_per_second", "tokens_per_second_per_chip"):
            such = "ask for ttft, tpot, tokens_per_second, joules_per_token or dollars_per_million_tokens"
            raise QuestionError(fault("quantity", quantity, "has no interval", such))
        read, made = self.prefill.interval("ttft", coverage), self.decode.interval("tpot", coverage)
        if read is None or made is None:
            return None
        name = "ttft" if quantity == "ttft" else "answered"
        base, value = getattr(self.round.turn(), name), getattr(self, quantity)
        one, each = cast("Num", self.prefill.ttft), cast("Num", self.decode.tpot)
        factors: dict[str, tuple[Num, Num]] = {
            "reading": (read[0] / one, read[1] / one),
            "decoding": (made[0] / each, made[1] / each),
            "after": (np.exp(front(coverage)[0]), np.exp(front(coverage)[1])),
        }
        below, above = (np.zeros(np.shape(base))[()] for _ in range(2))
        for what, scale in ((what, scale) for what, pair in factors.items() for scale in pair):
            off = np.log(getattr(self.round.scaled(**{what: scale}).turn(), name) / base)
            below = below + np.nan_to_num(np.minimum(off, 0.0), nan=0.0) ** 2
            # A wait without end is above any.
            above = above + np.nan_to_num(np.maximum(off, 0.0), nan=np.inf) ** 2
        return value * np.exp(-np.sqrt(below)), value * np.exp(np.sqrt(above))

    def ttft_percentile(self, p: Num) -> Seconds:
        """Return the time by which p per cent of requests have their first token."""
        asked_part(p)
        return pool_percentiles.waits(self).percentile(p)

    def tpot_percentile(self, p: Num) -> Seconds:
        """Return the time per output token that p per cent of requests stay below."""
        asked_part(p)
        return pool_percentiles.gaps(self).percentile(p)

    def _of_cost(self, quantity: str, coverage: Ratio) -> tuple[Num, Num] | None:
        """Return the interval of energy or cost, from that of the rate; None where no power, or no cost per hour, is known."""
        value, rates = getattr(self, quantity), self.interval("tokens_per_second", coverage)
        if value is None or rates is None:
            return None
        # A rate whose lower end is 0 has a cost without end.
        with np.errstate(divide="ignore"):
            logs: Ends = np.log(self.tokens_per_second / rates[1]), np.log(self.tokens_per_second / rates[0])
        if quantity == "joules_per_token":
            lasting, half = self._of_power
            seen = all(measured(each.system) for each in (self.prefill, self.decode))
            logs = widened(powered(logs, lasting, scaled(coverage) * half), seen, coverage)
        return value * np.exp(logs[0]), value * np.exp(logs[1])

    def plot(self, ax: Axes | None = None, *, style: str | None = None, width: float | str | None = None) -> Axes:
        """Draw both pools' operations on the rooflines of their chips (one point); return the axes."""
        ax = self.prefill.plot(ax, f"reads: {self._pool(self.prefill)}", style=style, width=width)
        return self.decode.plot(ax, f"decodes: {self._pool(self.decode)}")

    @staticmethod
    def _pool(est: Estimate) -> str:
        return f"{est.system.name}, {counted(float(est.chips), 'chip')}, {est.layout.short()}"

    def why(self) -> str:
        """Return the pass of a prompt and the step as trees of text (one point)."""
        return f"{self.prefill.why()}\n\n{self.decode.why()}"

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and constant that either pool's times rest on, with its source."""
        return tuple(
            {(f.path, f.text, f.source.key): f for est in (self.prefill, self.decode) for f in est.citations()}.values()
        )

    @property
    def rough(self) -> tuple[str, ...]:
        """Codes of why the closed form is known to be inaccurate here."""
        return ("busy-lanes",) if np.any(self.requests_per_second > _BUSY * self.limits[0]) else ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed."""
        rough = roughness.note(
            self.rough, self.question, self.system, self.layout, self.calibration.engine, prefill=self.prefill.layout
        )
        return tuple(dict.fromkeys((*rough, *self.prefill.assumptions, *self.decode.assumptions)))

    @property
    def fits(self) -> Mask:
        """Where both layouts can be laid out, their chips hold their parts, and the rate asked can be answered."""
        return self.prefill.fits & self.decode.divides & (self.decode.max_concurrency >= 1) & satisfied(self.rules)

    @property
    def laws(self) -> tuple[Rule, ...]:
        """Every condition on both pools, the prefill pool's first: those of its layout, that its chips hold their part, those of both."""
        enough = self.decode.max_concurrency >= 1
        memory = Rule("memory", enough, "weights, and the cache of one request, exceed the memory of a chip")
        pools = (("prefill", self.prefill.laws), ("decode", (*self.decode.rules, memory)))
        own = (rule.of_pool(name) for name, rules in pools for rule in rules)
        return (*own, *self.rules)

    @property
    def fullest(self) -> Bytes:
        """Bytes on the fullest chip of either pool."""
        return larger(self.prefill.fullest, self.decode.fullest)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the layouts do not fit; empty if they do."""
        out = [f"prefill pool: {reason}" for reason in self.prefill.reasons]
        out += [f"decode pool: {reason}" for reason in broken(self.decode.rules)]
        if not np.all(self.decode.max_concurrency >= 1):
            out.append("decode pool: weights, and the cache of one request, exceed the memory of a chip")
        return (*out, *broken(self.rules))

    @property
    def bound(self) -> Text:
        """The resource that bounds the pool which can do fewer requests a second: compute, memory, network or latency."""
        reading, decoding = self.limits
        found = np.where(reading < decoding, self.prefill.bound, self.decode.bound)
        return found if found.ndim else str(found)

    @property
    def labels(self) -> Mapping[str, str]:
        """Words that are the same at all points."""
        return {
            "model": self.question.model.name,
            "prefill_system": self.prefill.system.name,
            "decode_system": self.decode.system.name,
            "level": self.decode.calibration.level,
        }

    @property
    def inputs(self) -> Mapping[str, Num]:
        """Sizes of the question, and the chips and degrees of each pool."""
        out = {**numbers(self.question), "concurrency": self.in_flight, "chips": self.chips}
        for name, est in (("prefill", self.prefill), ("decode", self.decode)):
            out |= {f"{name}_chips": est.chips, **{f"{name}_{key}": n for key, n in degrees(est.layout).items()}}
        return out

    def launch(self, tool: str = "", *, model: str = "", per_node: int | None = None) -> Launch:
        """Return how to start this plan, in the words of the engine or framework that would run it (one point).

        Args:
            tool: ``dynamo`` or ``llm-d``; by default that of the software asked for.
            model: what the tool loads: a path, or a name of a hub.
            per_node: devices of a host; by default those of the system.

        Raises:
            QuestionError: another tool, many points, or a plan that does not fit; see :func:`roofline.reports.launch.launch`.
        """
        found: Launch = reports("launch").launch(self, tool, model=model, per_node=per_node)
        return found

    def to_dict(self) -> Record:
        """Return one point under the field names of the machine-readable answer; units are in the names."""
        return records.of_pools(self)
