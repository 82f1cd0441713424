"""Result of the simulation of a trace: times at percentiles, rates, goodput, queue and cache over time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.frames import Frame
from roofline.core.lazy import plots
from roofline.core.provenance import Fact
from roofline.core.signatures import typed_methods
from roofline.core.units import MILLION, SECOND, Num, Ratio, show
from roofline.core.values import Json, Record
from roofline.hardware.evidence import COVERAGE
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.physics.energy import dollars_per_token, joules_per_token, total
from roofline.results import aiperf
from roofline.results.answer import Answer, Text, degrees
from roofline.results.energy import SCOPE, carbon, parts
from roofline.results.estimate import Estimate
from roofline.results.fleet import Fleet
from roofline.results.limits import Limit
from roofline.workload.layout import Layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PERCENTILES: Final = (50, 90, 95, 99)
TIMES: Final = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "itl": "time between two steps that bring a request tokens",
    "e2e": "time from a request to its last token",
}
"""Times of a simulation."""
SERIES: Final = ("time_s", "waiting", "running", "cache_used", "output_tokens")
"""What is sampled over time."""
_BUSY_QUEUE: Final = 16
_TRACED: Final = 5000
_BINS: Final = 200.0
_OFFSET: Final = 100_000.0
"""Added to the number of a bin, which is negative below one second."""


@frozen(eq=False)
class Times:
    """A time over all requests: its mean and percentiles.

    >>> Times.of(np.arange(1.0, 101.0)).percentile(50)
    50.5

    Attributes:
        mean: mean time over all requests, s.
        values: times, s, the shortest first.
        weights: weight of each of the values and all before it; None where all weigh the same.
    """

    mean: float
    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Times:
        """Return the distribution of one value each."""
        return cls(float(values.mean()) if values.size else np.nan, np.sort(values))

    @classmethod
    def histogram(cls, bins: dict[int, float], total: float, weight: float) -> Times:
        """Return the distribution of a histogram whose bins are half a per cent wide."""
        keys = np.array(sorted(bins), dtype=np.float64)
        return cls(
            total / weight if weight else np.nan,
            np.exp((keys + 0.5 - _OFFSET) / _BINS),
            np.cumsum([bins[int(key)] for key in keys]) if keys.size else np.empty(0),
        )

    def percentile(self, p: float) -> float:
        """Return the time that p per cent of the requests stay below.

        Raises:
            QuestionError: p is not in (0, 100).
        """
        if not 0 < p < 100:
            raise QuestionError(fault("p", p, "must be above 0 and below 100", "such as 90"))
        if not self.values.size:
            return float("nan")
        if self.weights is None:
            return float(np.percentile(self.values, p))
        return float(self.values[np.searchsorted(self.weights, p / 100 * self.weights[-1])])

    def to_dict(self) -> dict[str, float | None]:
        """Return mean and percentiles."""
        times = {"mean": self.mean} | {f"p{p}": self.percentile(p) for p in PERCENTILES}
        return {name: _plain(value) for name, value in times.items()}


@typed_methods
@frozen(eq=False, repr=False)
class Simulation(Answer):
    """The answer for a trace: what each request saw, and how full the service was.

    Attributes:
        model: the model that is served.
        system: the system that decodes (and reads, unless ``prefill_system`` is given).
        layout: of the chips that decode (and read, unless ``prefill_layout`` is given).
        trace: name of the trace.
        policy: how requests are scheduled and routed, by word.
        requests: requests that came.
        refused: requests whose prompt no cache holds.
        columns: of each request that was answered: ``arrival_s, input_len, output_len, cached_tokens, preemptions, instance,
            priority, ttft_s, tpot_s, e2e_s``.
        series: over time: ``time_s, waiting, running, cache_used, output_tokens``.
        itl: distribution of the time between two steps that bring a request tokens.
        preemptions: how often a request lost its place in the cache and began anew.
        hit_tokens: prompt tokens that were found in the prefix cache.
        fetched_tokens: prompt tokens of these that were copied from host memory.
        asked_tokens: prompt tokens of all requests that were admitted.
        busy: time in which engine instances ran a step, added up over them, s.
        instances: engine instances that served.
        last_arrival: time at which the last request came, s.
        chips: packages of the whole service.
        limits: on ttft and tpot, that a good request keeps, s.
        table_error: mean and 99th percentile of the relative error of the tables of step times.
        estimate: the closed form for the mean request, whose relative intervals are taken over.
        prefill_layout: layout of the chips that prefill; None where the same chips decode.
        prefill_system: system that prefills; None where the same system decodes.
        interrupted: whether the simulation was stopped before the trace ended.
        reasons: why the plan does not fit; empty if it does.
        remarks: what was assumed or chosen.
        slo: limits on means and percentiles that all requests together keep.
        fleet: replicas over time, where they follow the load.
    """

    KIND = "simulation"
    SECTIONED = False
    KNOWN = "tokens_per_second, goodput"
    COLUMNS: ClassVar[Mapping[str, str]] = {}

    model: Model
    system: System
    layout: Layout
    trace: str
    policy: dict[str, Json]
    requests: int
    refused: int
    columns: dict[str, NDArray[Any]]
    series: dict[str, NDArray[np.float64]]
    itl: Times
    preemptions: int
    hit_tokens: float
    asked_tokens: float
    busy: float
    instances: int
    last_arrival: float
    chips: float
    limits: dict[str, float]
    table_error: tuple[float, float]
    estimate: Estimate
    prefill_layout: Layout | None = None
    prefill_system: System | None = None
    interrupted: bool = False
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    fetched_tokens: float = 0.0
    slo: tuple[Limit, ...] = ()
    fleet: Fleet | None = None

    @property
    def _asked_in_words(self) -> str:
        return f"{self.completed:,} of {self.requests:,} requests of {self.trace} on {self.system.name}"

    @property
    def _given_in_words(self) -> str:
        if not self.fits or not self.completed:
            return "" if self.fits else ", does not fit"
        p = self.ttft.percentile
        return f": TTFT p50 {show(p(50), SECOND, 3)}, p99 {show(p(99), SECOND, 3)}"

    def __str__(self) -> str:
        return self.table()

    # One point -------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked: a simulation is of one."""
        return ()

    def at(self, *index: int) -> Self:
        """Return the simulation, which is of one point.

        Raises:
            QuestionError: the index picks another.
        """
        self.place(index)
        return self

    @property
    def bound(self) -> Text:
        """The resource that bounds the most time of the mean request."""
        return self.estimate.bound

    @property
    def labels(self) -> Mapping[str, str]:
        """The model, the machine, the level of its coefficients, and the trace."""
        return {**self.estimate.labels, "trace": self.trace}

    @property
    def inputs(self) -> Mapping[str, Num]:
        """Requests, chips, and degrees of the layout."""
        return {"requests": float(self.requests), "chips": self.chips, **degrees(self.layout)}

    def citations(self) -> tuple[Fact, ...]:
        """Return every hardware number and calibration coefficient that was used, with its source."""
        return self.estimate.citations()

    # Times -----------------------------------------------------------------------------------------------------------

    @property
    def fits(self) -> bool:
        """Whether the model and one request fit."""
        return not self.reasons

    @property
    def ttft(self) -> Times:
        """Time to the first token."""
        return Times.of(self.columns["ttft_s"])

    @property
    def tpot(self) -> Times:
        """Time per output token after the first, of each request."""
        each = self.columns["tpot_s"]
        return Times.of(each[np.isfinite(each)])

    @property
    def e2e(self) -> Times:
        """Time from a request to its last token."""
        return Times.of(self.columns["e2e_s"])

    def times(self, name: str) -> Times:
        """Return a distribution by name.

        Raises:
            QuestionError: no such time.
        """
        if name not in TIMES:
            raise QuestionError(fault("time", name, "no such time", f"known: {', '.join(TIMES)}"))
        return cast("Times", getattr(self, name))

    def of_class(self, priority: int) -> dict[str, Times]:
        """Return the times of the requests of one priority."""
        mine = self.columns["priority"] == priority
        if not mine.any():
            known = ", ".join(str(int(each)) for each in np.unique(self.columns["priority"]))
            raise QuestionError(fault("priority", priority, "no request has it", f"known: {known}"))
        tpot = self.columns["tpot_s"][mine]
        return {
            "ttft": Times.of(self.columns["ttft_s"][mine]), "tpot": Times.of(tpot[np.isfinite(tpot)]),
            "e2e": Times.of(self.columns["e2e_s"][mine]),
        }  # fmt: skip

    def interval(self, quantity: str, coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the interval of the mean ``"ttft"`` or ``"tpot"``: as wide, relatively, as that of the closed form."""
        if quantity not in ("ttft", "tpot"):
            raise QuestionError(fault("quantity", quantity, "has no interval", "ask for ttft or tpot"))
        pair, value = self.estimate.interval(quantity, coverage), getattr(self.estimate, quantity)
        if pair is None or value is None or not np.isfinite(value):
            return None
        mean = self.times(quantity).mean
        return mean * float(pair[0] / value), mean * float(pair[1] / value)

    # Rates -----------------------------------------------------------------------------------------------------------

    @property
    def completed(self) -> int:
        """Requests that were answered."""
        return int(self.columns["ttft_s"].size)

    @property
    def duration(self) -> float:
        """Time from the first request to the last answer."""
        if not self.completed:
            return 0.0
        return float((self.columns["arrival_s"] + self.columns["e2e_s"]).max() - self.columns["arrival_s"].min())

    @property
    def end(self) -> float:
        """Time from the beginning of the trace to the last answer."""
        return float((self.columns["arrival_s"] + self.columns["e2e_s"]).max()) if self.completed else 0.0

    @property
    def paid_chips(self) -> float:
        """Chips that are paid for, on average: all of them, unless replicas follow the load."""
        return float(self.chips) if self.fleet is None else self.fleet.mean_replicas * self.fleet.chips

    @property
    def tokens_per_second(self) -> float:
        """Output tokens a second."""
        return self._over(float(self.columns["output_len"].sum()))

    @property
    def tokens_per_second_per_chip(self) -> float:
        """Output tokens a second and chip that is paid for."""
        return self.tokens_per_second / self.paid_chips

    @property
    def requests_per_second(self) -> float:
        """Requests that are answered in a second."""
        return self._over(self.completed)

    def _over(self, count: float) -> float:
        return count / self.duration if self.duration else float("nan")

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which requests meet the limits on TTFT and TPOT."""
        out = np.ones(self.completed, dtype=bool)
        for name, limit in self.limits.items():
            each = self.columns[f"{name}_s"]
            out &= ~(each > limit)
        return out

    @property
    def goodput(self) -> float | None:
        """Requests a second that meet the limits on TTFT and TPOT; None without limits."""
        return self._over(float(self.good.sum())) if self.limits else None

    def time_of(self, limit: Limit) -> float:
        """Return the time that a limit is on: the mean, or a percentile."""
        times = self.times(limit.time)
        return times.mean if limit.percent is None else times.percentile(limit.percent)

    @property
    def meets(self) -> bool:
        """Whether it fits, keeps up, answers every request, and meets the limits on means and percentiles."""
        whole = (
            self.fits and self.completed == self.requests and not (self.interrupted or self.refused or self.saturated)
        )
        return whole and all(bool(each.met_by(self.time_of(each))) for each in self.slo)

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the prompt tokens that were cached already."""
        return self.hit_tokens / self.asked_tokens if self.asked_tokens else 0.0

    @property
    def host_hit_rate(self) -> float:
        """Share of the prompt tokens that were copied from host memory."""
        return self.fetched_tokens / self.asked_tokens if self.asked_tokens else 0.0

    @property
    def working(self) -> float:
        """Share of the time in which an engine instance is in a step, on average."""
        some = self.instances * self.paid_chips / float(self.chips)
        return min(self.busy / (some * self.duration), 1.0) if self.duration else 0.0

    @property
    def saturated(self) -> bool:
        """Whether requests came faster than they were answered: the queue is longer in the last quarter than in the second."""
        time, waiting = self.series["time_s"], self.series["waiting"]
        span = self.last_arrival
        if span <= 0 or not time.size:
            return False
        second = waiting[(time > span / 4) & (time <= span / 2)]
        last = waiting[(time > 3 * span / 4) & (time <= span)]
        if not second.size or not last.size:
            return False
        return bool(last.mean() > max(1.5 * second.mean(), second.mean() + _BUSY_QUEUE * self.instances))

    @property
    def joules_per_token(self) -> float | None:
        """Energy of an output token; None where no power is known, or where the pools are of two systems."""
        return self.joules()

    def grams_of_carbon_per_million_tokens(self, grid: Num | str) -> Num | None:
        """Return the grams of CO2 of a million output tokens; see :meth:`roofline.results.energy.Powered.grams_of_carbon_per_million_tokens`."""
        return carbon(self.joules("hall"), grid)

    def joules(self, scope: str = SCOPE) -> float | None:
        """Return the energy of an output token within a scope; None where no power is known, or where the pools are of two systems.

        Raises:
            QuestionError: no such scope.
        """
        if self.prefill_system is not None or not self.completed:
            return None
        split = parts(self.estimate, scope, self.working)
        return None if split is None else float(joules_per_token(total(split), self.paid_chips, self.tokens_per_second))

    @property
    def dollars_per_million_tokens(self) -> float | None:
        """Cost of a million output tokens; None where no cost per hour is known."""
        price = self.system.price_per_chip
        if price is None or self.prefill_system is not None or not self.completed:
            return None
        return float(MILLION * dollars_per_token(price, self.paid_chips, self.tokens_per_second))

    # For people and machines ------------------------------------------------------------------------------------------

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was chosen or assumed to answer."""
        mean, most = self.table_error
        return (
            *self.remarks,
            *self.model.notices,
            f"step times come from tables whose interpolation is off by {mean:.2%} on average, {most:.2%} in one of a hundred steps",
        )

    def to_dict(self) -> Record:
        """Return the fields of the machine-readable answer; units are in the names."""
        classes: Any = np.unique(self.columns["priority"]) if self.completed else []
        within = {f"{name}_s": self.interval(name) for name in ("ttft", "tpot")} if self.completed else {}
        return {
            "model": self.model.name, "system": self.system.name, "chips": int(self.chips), "layout": self.layout.words(),
            "prefill_layout": None if self.prefill_layout is None else self.prefill_layout.words(),
            "engine": self.estimate.calibration.engine.name,
            "level": self.estimate.calibration.level,
            "trace": self.trace, "policy": self.policy, "fits": self.fits, "reasons": list(self.reasons),
            "requests": self.requests, "completed": self.completed, "refused": self.refused, "interrupted": self.interrupted,
            "duration_s": self.duration, "requests_per_s": _plain(self.requests_per_second),
            "output_tokens_per_s": _plain(self.tokens_per_second),
            "output_tokens_per_s_per_chip": _plain(self.tokens_per_second_per_chip),
            **{f"{name}_s": self.times(name).to_dict() for name in TIMES},
            "classes": {
                str(int(each)): {f"{name}_s": times.to_dict() for name, times in self.of_class(int(each)).items()}
                for each in classes
            } if len(classes) > 1 else {},
            "limits": {f"{name}_s": value for name, value in self.limits.items()}, "goodput": _plain(self.goodput),
            **({"slo": [each.record(self.time_of(each)) for each in self.slo], "meets_slo": self.meets} if self.slo else {}),
            "saturated": self.saturated, "preemptions": self.preemptions, "prefix_hit_rate": float(self.prefix_hit_rate),
            "host_hit_rate": float(self.host_hit_rate),
            "busy_fraction": float(self.working), "waiting_mean": self._mean("waiting"), "running_mean": self._mean("running"),
            "cache_used_mean": self._mean("cache_used"), "cache_used_max": self._most("cache_used"),
            **({} if self.fleet is None else {"autoscale": self.fleet.to_dict()}),
            "energy_j_per_output_token": _plain(self.joules_per_token),
            "usd_per_million_output_tokens": _plain(self.dollars_per_million_tokens),
            "interval": {name: None if pair is None else [float(pair[0]), float(pair[1])] for name, pair in within.items()},
            "table_error": {"mean": self.table_error[0], "p99": self.table_error[1]},
            "warnings": list(self.model.notices), "assumptions": list(self.assumptions),
        }  # fmt: skip

    def _mean(self, name: str) -> float | None:
        """Return the mean of a series over time."""
        time, values = self.series["time_s"], self.series[name]
        if time.size < 2 or time[-1] <= time[0]:
            return None
        return float((values[:-1] * np.diff(time)).sum() / (time[-1] - time[0]))

    def _most(self, name: str) -> float | None:
        return float(self.series[name].max()) if self.series[name].size else None

    def table(self) -> str:
        """Return the answer as text."""
        head = f"{self.model.name} on {self.system.name}, {self.layout}"
        if self.prefill_layout is not None:
            head += f"; prefill on {self.prefill_layout}"
        lines = [f"{head}, {float(self.chips):,.0f} chip{'' if self.chips == 1 else 's'}: {self.trace}"]
        if not self.fits:
            return "\n".join((*lines, *(f"does not fit: {reason}" for reason in self.reasons)))
        state = ["interrupted"] if self.interrupted else []
        state += [f"{self.refused:,} refused"] if self.refused else []
        state += ["SATURATED: requests arrive faster than they are served"] if self.saturated else []
        more = f" ({', '.join(state)})" if state else ""
        lines.append(
            f"{self.completed:,} of {self.requests:,} requests served in {show(self.duration, SECOND, 4)}{more}"
        )
        if not self.completed:
            return "\n".join(lines)
        lines.append(
            f"{self.tokens_per_second:,.0f} output tokens/s, {self.tokens_per_second_per_chip:,.1f} per chip, "
            f"{self.requests_per_second:,.4g} requests/s"
        )
        if self.goodput is not None:
            limits = ", ".join(f"{name.upper()} <= {show(limit, SECOND, 3)}" for name, limit in self.limits.items())
            lines.append(f"goodput {self.goodput:,.4g} requests/s, {self.good.mean():.1%} of them, under {limits}")
        lines += [] if self.fleet is None else self.fleet.lines()
        if self.slo:
            lines.append(", ".join(each.written(self.time_of(each)) for each in self.slo))
        lines += ["", f"{'':6}" + "".join(f"{name:>12}" for name in ("mean", *(f"p{p}" for p in PERCENTILES)))]
        for name in TIMES:
            times = self.times(name).to_dict()
            cells = "".join(f"{'-' if v is None else show(v, SECOND, 3):>12}" for v in times.values())
            lines.append(f"{name.upper():6}{cells}")
        mean = {name: self._mean(name) for name in ("waiting", "running", "cache_used")}
        lines.append("")
        if mean["waiting"] is not None:
            lines.append(
                f"waiting {mean['waiting']:,.1f}, running {mean['running']:,.1f} on average; cache {mean['cache_used']:.1%} used, "
                f"at most {self._most('cache_used'):.1%}; busy {self.working:.1%}"
            )
        copied = f", {self.host_hit_rate:.1%} copied from host memory" if self.fetched_tokens else ""
        lines.append(
            f"{self.preemptions:,} preemptions; {self.prefix_hit_rate:.1%} of prompt tokens from the prefix cache{copied}"
        )
        lines += [f"- {note}" for note in self.assumptions]
        return "\n".join(lines)

    @property
    def frame(self) -> Frame:
        """One row for each request that was answered."""
        return Frame(self.columns)

    def to_aiperf(self) -> Record:
        """Return the answer in the shape of AIPerf's ``profile_export_aiperf.json``: see :mod:`roofline.results.aiperf`."""
        return aiperf.of_simulation(self)

    def csv(self) -> str:
        """Return one row for each request that was answered, as the text of a CSV file."""
        return self.frame.csv()

    def perfetto(self, most: int = _TRACED) -> str:
        """Return requests and the state of the service as a trace that https://ui.perfetto.dev shows (Chrome trace events).

        Args:
            most: requests that are drawn, the first to be answered.
        """
        us = MILLION
        events: list[dict[str, Any]] = [
            {"name": "process_name", "ph": "M", "pid": i + 1, "args": {"name": f"engine instance {i}"}}
            for i in range(self.instances)
        ]
        c = self.columns
        for i in range(min(self.completed, most)):
            start, first, whole = float(c["arrival_s"][i]), float(c["ttft_s"][i]), float(c["e2e_s"][i])
            data = {
                "input": int(c["input_len"][i]),
                "output": int(c["output_len"][i]),
                "cached": int(c["cached_tokens"][i]),
            }
            head = {"cat": "request", "id": i, "pid": int(c["instance"][i]) + 1, "tid": 0}
            for name, begin, end in (
                ("to first token", start, start + first),
                ("decode", start + first, start + whole),
            ):
                events.append({**head, "name": name, "ph": "b", "ts": begin * us, "args": data})
                events.append({**head, "name": name, "ph": "e", "ts": end * us})
        for i, now in enumerate(self.series["time_s"]):
            for name in ("waiting", "running", "cache_used"):
                value = float(self.series[name][i])
                events.append({"name": name, "ph": "C", "pid": 0, "ts": float(now) * us, "args": {name: value}})
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, allow_nan=False)

    def plot(
        self, ax: Axes | None = None, *, kind: str = "", style: str | None = None, width: float | str | None = None
    ) -> Axes:
        """Draw queue, cache and latency over time, or the replicas that follow the load, and return the axes.

        Args:
            kind: ``traffic`` or ``fleet``; by default ``fleet`` where replicas follow the load.
            ax: axes to draw on; by default those of a new figure.
            style: ``light``, ``dark`` or ``print``; ``width`` of a new figure: ``column``, ``page``, or inches.
        """
        if not self.completed:
            raise QuestionError(fault("simulation", self.trace, "served no request: there is nothing to draw"))
        kinds = ("traffic",) if self.fleet is None else ("fleet", "traffic")
        if kind and kind not in kinds:
            raise QuestionError(fault("kind", kind, "is no picture of this simulation", f"known: {', '.join(kinds)}"))
        drawn: Axes = plots(kind or kinds[0]).plot(self, ax, {"style": style, "width": width})
        return drawn


def _plain(value: Num | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
