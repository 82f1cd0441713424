"""Configurations of a service as records, lines and files, and the reasons of rejection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.quantities import quantity as quantity_of
from roofline.core.text import columns, csv_text, figure
from roofline.core.units import BYTE, SECOND, Num, Unit, show
from roofline.core.values import Record
from roofline.planner.metrics import METRICS, measure, quantity
from roofline.results.estimate import Estimate
from roofline.results.labels import SURE, fit_in_words
from roofline.results.limits import TIMES, Limit
from roofline.results.records import layout_fields, plain
from roofline.results.training import Training
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve

_DEGREES: Final = ("tp", "pp", "dp", "ep", "replicas")
_RATES: Final = {
    "tokens_per_s_per_user": "tokens_per_second_per_user",
    "output_tokens_per_s_per_chip": "tokens_per_second_per_chip",
}
_SURE: Final = {"ttft_s": "ttft", "tpot_s": "tpot"} | _RATES
"""Fields that have an interval, and the quantities they are."""
COSTS: Final = {
    "energy_j_per_output_token": "joules_per_token",
    "usd_per_million_output_tokens": "dollars_per_million_tokens",
}
"""Fields of energy and money, and the quantities they are."""
HEAD: Final = ("per chip", "80 % within", "TPOT", "TTFT", "J/token", "$/M", "load", "layout")
"""Of the table of configurations: tokens/s per chip, ``$/M`` the cost of a million output tokens, ``load`` the requests in flight."""
LEGEND: Final = "(per chip: output tokens/s; $/M: dollars per million output tokens; load: requests in flight)"
"""What the heads mean."""


def limit(name: str, value: object, unit: Unit = SECOND, kind: str = "time", such: str = "50ms") -> float:
    """Return a limit on a time, given in seconds or as text such as ``50ms``; or on another ``kind`` of quantity, in its ``unit``.

    Raises:
        QuestionError: none above 0, or one that is likely meant in another unit. UnitError: of another unit.
    """
    most = quantity_of(name, value, unit, such)
    if isinstance(most, np.ndarray) or not 0 < most < np.inf:
        raise QuestionError(fault(name, value, f"must be a {kind} above 0", f"give for example {such}"))
    return most


@frozen(eq=False)
class Rejection:
    """Configurations that were rejected for one reason.

    Attributes:
        kind: ``rule``, ``memory``, ``rate``, or the limits that they miss, such as ``ttft and tpot``.
        reason: in words.
        plans: how many; a layout that cannot be laid out counts as one where it has no loads.
        layouts: of how many layouts; other configurations of theirs may be rejected for another reason, or kept.
        nearest: the configuration that misses by least: of those better than the best, where there are any; None where none was priced.
        better: whether it is better than the best.
        told: what it misses by and what it is, in words.
        fields: what makes its machine-readable form.
    """

    kind: str
    reason: str
    plans: int
    layouts: int
    nearest: Estimate | Training | None = None
    better: bool = False
    told: str = ""
    fields: Callable[[], Record] | None = None

    def __str__(self) -> str:
        which = "the nearest that does better" if self.better else "the nearest"
        return f"{self.reason}; {which}: {self.told}" if self.told else self.reason

    def to_dict(self) -> Record:
        """Return the reason under the names of the machine-readable answer."""
        fields = ("kind", "reason", "plans", "layouts", "better")
        return {name: getattr(self, name) for name in fields} | {
            "nearest": None if self.fields is None else self.fields()
        }


def missed(kind: str, est: Estimate, percentiles: Sequence[Limit] = ()) -> str:
    """Return by what a configuration misses that is rejected for a reason of this kind, which may name limits at percentiles."""
    if kind == "memory":
        chance = float(est.fits_probability)
        likely = f", {fit_in_words(chance)}" if chance > 1 - SURE else ""
        return (
            f"needs {show(float(est.memory.total), BYTE, 3)} of {show(float(est.capacity), BYTE, 3)} per chip{likely}"
        )
    if kind == "rate":
        return f"answers {figure(float(est.requests_per_second or 0.0), 3)} requests/s"
    every = {each.name: each for each in (*(Limit(name, np.inf) for name in TIMES), *percentiles)}
    return ", ".join(
        f"{every[name].title} {quantity('ttft', float(every[name].of(est)))}"
        if name in every
        else f"{METRICS[name].said} {quantity(name, float(measure(est, name) or 0.0))}"
        for name in kind.split(" and ")
    )


def layouts(est: Estimate | None) -> list[Layout]:
    """Return the layout of each point of an answer over one axis, or of its only one; none of no answer."""
    if est is None:
        return []
    degrees = _columns(est, {name: getattr(est.layout, name) for name in _DEGREES})
    return [Layout(*each) for each in zip(*(map(float, column) for column in degrees.values()), strict=True)]


def records(est: Estimate | None) -> list[dict[str, Any]]:
    """Return each point of an answer under the names of the machine-readable form; units are in the names."""
    if est is None:
        return []
    q = cast("Serve", est.question)
    numbers = {"concurrency": est.concurrency, "chunk": q.chunk, "ttft_s": est.ttft, "tpot_s": est.tpot}
    numbers |= {name: getattr(est, attribute) for name, attribute in (_RATES | COSTS).items()}
    values = _columns(est, numbers)
    pairs = {name: est.interval(attribute) or (None, None) for name, attribute in _SURE.items()}
    low, high = (_columns(est, {name: pair[i] for name, pair in pairs.items()}) for i in (0, 1))
    chances = _columns(est, {"fits": est.fits_probability})["fits"]
    return [
        {
            "layout": layout_fields(layout, training=False, experts=bool(q.model.experts)),
            **{name: plain(column[i]) for name, column in values.items()},
            "fits_probability": plain(chances[i]),
            "interval": {
                name: None if np.isnan(low[name][i]) else [plain(low[name][i]), plain(high[name][i])] for name in _SURE
            },
        }
        for i, layout in enumerate(layouts(est))
    ]  # fmt: skip


def csv_of(est: Estimate | None) -> str:
    """Return the points of an answer as the text of a CSV file, each number with the ends of its interval."""
    names = [
        *_DEGREES,
        "concurrency",
        "chunk",
        *COSTS,
        "fits_probability",
        *(f"{name}{end}" for name in _SURE for end in ("", "_low", "_high")),
    ]
    rows = []
    for each in records(est):
        row = {
            **{name: each["layout"][name] for name in _DEGREES},
            "concurrency": each["concurrency"],
            "chunk": each["chunk"],
            **{name: each[name] for name in COSTS},
            "fits_probability": each["fits_probability"],
        }
        for name in _SURE:
            low, high = each["interval"][name] or (None, None)
            row |= {name: each[name], f"{name}_low": low, f"{name}_high": high}
        rows.append([row[name] for name in names])
    return csv_text(names, rows)


def table(est: Estimate, shown: Iterable[int]) -> str:
    """Return some of the points of an answer as a table."""
    every = list(zip(records(est), layouts(est), strict=True))
    return columns([_line(*every[i]) for i in shown], head=HEAD, right=range(len(HEAD) - 1))


def spread(est: Estimate, most: int) -> list[int]:
    """Return points of a frontier, its ends among them, that lie evenly along it where both rates are drawn in logarithms."""
    every = records(est)
    return even([[each["output_tokens_per_s_per_chip"], each["tokens_per_s_per_user"] or 1.0] for each in every], most)


def even(points: Sequence[Sequence[float]], most: int) -> list[int]:
    """Return places of so many points at most that lie evenly along a path drawn in logarithms, its ends among them."""
    path = np.log(points)
    along = np.append(0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T)))
    return list(np.unique(np.searchsorted(along, np.linspace(0.0, along[-1], most))))


def _line(each: dict[str, Any], layout: Layout) -> list[str]:
    pair = each["interval"]["output_tokens_per_s_per_chip"]
    chunk = "" if each["chunk"] is None else f" chunk={each['chunk']:g}"
    return [
        figure(each["output_tokens_per_s_per_chip"]),
        "" if pair is None else f"{figure(pair[0], 3)} - {figure(pair[1], 3)}",
        *("-" if each[name] is None else show(each[name], SECOND, 3) for name in ("tpot_s", "ttft_s")),
        *("-" if each[name] is None else figure(each[name], 3) for name in COSTS),
        figure(each["concurrency"], 3),
        ", ".join(part for part in (f"{layout.short()}{chunk}", fit_in_words(each["fits_probability"])) if part),
    ]


def short(est: Estimate) -> str:
    """Return the layout and the chunk of one configuration."""
    chunk = cast("Serve", est.question).chunk
    return f"{est.layout.short()}{'' if chunk is None else f' chunk={float(chunk):g}'}"


def yields(est: Estimate) -> str:
    """Return the load of one configuration and what it makes."""
    load, each = float(est.concurrency), f"{figure(float(est.tokens_per_second_per_chip or 0.0), 3)} tokens/s per chip"
    return each if np.isnan(load) else f"{figure(load, 3)} request{'' if load == 1 else 's'}, {each}"


def _columns(est: Estimate, values: Mapping[str, Num | None]) -> dict[str, NDArray[np.float64]]:
    """Return numbers of an answer for each of its points; NaN for one without meaning."""
    count = (int(np.prod(est.shape, dtype=np.int64)),)
    return {
        name: np.broadcast_to(np.asarray(np.nan if value is None else value, dtype=np.float64), count)
        for name, value in values.items()
    }
