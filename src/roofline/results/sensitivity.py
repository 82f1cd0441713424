r"""Sensitivity: elasticities of an answer to each number, and the effect of 10 % more or less.

.. math:: \epsilon = \frac{\partial \ln y}{\partial \ln x} \approx \frac{\ln y(x h) - \ln y(x / h)}{2 \ln h}

For each number x the system, the constants or the question are perturbed, all of them along one axis, and priced once: no formula
is differentiated, and none is written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.frames import Frame
from roofline.core.text import columns, figure
from roofline.core.units import BYTE_RATE, HERTZ, ONE, SECOND, Num, Unit, show
from roofline.hardware.constants import Kernel, Link
from roofline.hardware.numbers import names_of, number_of, unit_of, with_number
from roofline.operators.operations import Op

SWING: Final = 1.1
"""What numbers are multiplied and divided by: ten per cent more, and a tenth less."""
STEP: Final = 1.01
"""The same for the elasticity, at the number itself."""
_LEAST: Final = 5e-4
"""Elasticities below this are none."""

_SIZES: Final = (
    "batch", "context", "input", "output", "concurrency", "rate", "cached", "accept_length", "imbalance", "global_batch", "seq_len",
)  # fmt: skip
_LOADS: Final = ("batch", "concurrency")
_LENGTHS: Final = ("context", "input", "output", "cached", "seq_len")
_HOST: Final = ("gap", "prompt_gap", "sequence", "stream", "front")
_SEEN: Final = ("step", "tp", "cp", "ep", "dp", "pp", "fsdp")

Asked = tuple[Any, Any, Any, Any]


@frozen(eq=False)
class _Knob:
    """A number that an answer may rest on: what it is called, what it is, and how another is put in its place."""

    name: str
    kind: str
    value: float
    unit: Unit
    put: Callable[[Asked, Num], Asked]
    least: float = 0.0


@frozen(eq=False, repr=False)
class Sensitivity:
    """What an answer rests on, what matters the most first.

    Attributes:
        quantity: of the answer.
        base: its value.
        frame: columns ``name``, ``kind`` (hardware, efficiency, software, workload), ``value`` in ``unit``, ``elasticity``;
            ``low`` and ``high``, the quantity with the number multiplied by ``low_factor`` and ``high_factor``; ``low_fits`` and
            ``high_fits``.
        warnings: what the reader of the model's config is unsure of.
    """

    quantity: str
    base: float
    frame: Frame
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Sensitivity of {self.quantity}: {self.line()}>"

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.frame[name]

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return self.frame.keys()

    def of(self, name: str) -> float:
        """Return the elasticity by the name of a number; 0 for one that does not matter."""
        found = np.flatnonzero(self.frame["name"] == name)
        return float(self.frame["elasticity"][found[0]]) if found.size else 0.0

    def parts(self) -> dict[str, float]:
        """Return the elasticity of each number of the hardware in its being better, with its value: a latency is better when less.

        Numbers that do not matter are left out.
        """
        rows: list[dict[str, Any]] = [row for row in self.frame.records() if row["kind"] == "hardware"]
        return {
            f"{row['name']} ({_shown(row)})": -row["elasticity"] if row["unit"] == str(SECOND) else row["elasticity"]
            for row in rows
        }

    def line(self, most: int = 3) -> str:
        """Return what ten per cent more of hardware, or of what is reached of it, buys, the most first."""
        kinds, names = self.frame["kind"], self.frame["name"]
        gains = self.frame["high"] / self.base - 1
        some = [
            k for k in np.argsort(-np.abs(gains), kind="stable") if kinds[k] == "hardware" and abs(gains[k]) >= _SAID
        ]
        if not some:
            return "no single number of the hardware changes it by much"
        change = f"{100 * abs(gains[some[0]]):.1f} %"
        good = "per_second" in self.quantity and gains[some[0]] > 0
        word = f"buys {change}" if good else f"adds {change}" if gains[some[0]] > 0 else f"takes {change} off"
        first = f"10 % more {names[some[0]]} {word}"
        rest = [f"{names[k]} {100 * gains[k]:+.1f} %" for k in some[1:most]]
        return ", ".join([first, *rest])

    def table(self) -> str:
        """Return it as text."""
        frame = self.frame
        rows = []
        for k in range(frame.rows):
            row: dict[str, Any] = frame.row(k)
            ends = [f"{row[end] / self.base - 1:+.1%}" for end in ("low", "high")]
            ends = [
                end if row[f"{side}_fits"] else f"{end} (does not fit)"
                for end, side in zip(ends, ("low", "high"), strict=True)
            ]
            rows.append([row["name"], row["kind"], _shown(row), f"{row['elasticity']:+.3f}", *ends])
        head = ["number", "kind", "value", "elasticity", "10 % less", "10 % more"]
        base = figure(self.base)
        return f"{self.quantity}: {base}; {self.line()}\n\n{columns(rows, head=head, right=(2, 3, 4, 5))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it under names of the machine-readable form."""
        return {
            "quantity": self.quantity,
            "base": self.base,
            "numbers": self.frame.records(),
            "warnings": list(self.warnings),
        }


_SAID: Final = 5e-4


def _shown(row: Mapping[str, Any]) -> str:
    units = {str(unit): unit for unit in _UNITS}
    unit = units.get(row["unit"], ONE)
    return figure(row["value"]) if unit == ONE else show(row["value"], unit)


_UNITS: Final = (SECOND, BYTE_RATE, *{unit_of(name) for name in ("compute", "memory", "power", "price")}, HERTZ)


def sensitivity(est: Any, quantity: str | None = None) -> Sensitivity:
    """Return the elasticities of an answer for one point to each number it depends on.

    Args:
        quantity: any of the answer; by default its tokens per second (prompt tokens, of a prefill).

    Raises:
        QuestionError: many points, or no such quantity.
    """
    if est.shape:
        raise QuestionError(fault("shape", est.shape, "is of one point only", "pick one with .at(index)"))
    name = quantity or ("tokens_per_second" if est.tokens_per_second is not None else "prompt_tokens_per_second")
    base = getattr(est, name, None)
    if isinstance(base, bool) or not isinstance(base, (float, np.floating)) or not np.isfinite(base) or not base:
        raise QuestionError(
            fault("quantity", name, "is not a quantity of this answer", "such as tokens_per_second, tpot or ttft")
        )
    knobs = list(_knobs(est))
    asked: Asked = (est.question, est.system, est.layout, est.calibration)
    factors = np.ones((len(knobs), 4 * len(knobs)))
    for k, knob in enumerate(knobs):
        factors[k, 4 * k : 4 * k + 4] = _factors(knob)
        asked = knob.put(asked, knob.value * factors[k])
    # A quantity that no perturbed number enters is no array.
    changed = est.again(*asked)
    values = np.array(np.broadcast_to(getattr(changed, name), (4 * len(knobs),)), dtype=np.float64).reshape(-1, 4)
    fits = np.broadcast_to(changed.fits, (4 * len(knobs),)).reshape(-1, 4)
    own = np.array([_factors(knob) for knob in knobs])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log(values[:, 2] / values[:, 1]) / np.log(own[:, 2] / own[:, 1])
    slope = np.nan_to_num(slope)
    matters = np.abs(slope) >= _LEAST
    order = np.argsort(-np.abs(slope), kind="stable")
    order = order[matters[order]]
    return Sensitivity(name, float(base), Frame({
        "name": np.array([knobs[k].name for k in order], dtype=object),
        "kind": np.array([knobs[k].kind for k in order], dtype=object),
        "value": np.array([knobs[k].value for k in order]), "unit": np.array([str(knobs[k].unit) for k in order], dtype=object),
        "elasticity": slope[order], "low": values[order, 0], "high": values[order, 3],
        "low_factor": own[order, 0], "high_factor": own[order, 3], "low_fits": fits[order, 0], "high_fits": fits[order, 3],
    }), tuple(est.question.model.notices))  # fmt: skip


def _factors(knob: _Knob) -> tuple[float, float, float, float]:
    """Return what a number is multiplied by: a tenth less, a little less, a little more, a tenth more; in whole quanta."""
    if not knob.least:
        return 1 / SWING, 1 / STEP, STEP, SWING
    step = max(round((SWING - 1) * knob.value / knob.least), 1) * knob.least
    # One that cannot be less is not.
    low = max(knob.value - step, min(knob.value, knob.least)) / knob.value
    high = (knob.value + step) / knob.value
    return low, low, high, high


# The numbers --------------------------------------------------------------------------------------------------------


def _knobs(est: Any) -> Iterator[_Knob]:
    yield from _hardware(est)
    yield from _efficiencies(est)
    yield from _software(est)
    yield from _workload(est)


_WORDS: Final = {
    "bandwidth": "memory bandwidth", "memory": "memory capacity", "cores": "cores", "power": "rated power", "price": "rent",
}  # fmt: skip


def _hardware(est: Any) -> Iterator[_Knob]:
    rates = {work.rate for work, _, _ in est.whole.leaves() if isinstance(work, Op) and np.any(work.flops > 0)}
    titles = {name: title for name, title in _WORDS.items() if name in names_of(est.system)}
    titles |= {f"chip.peak.{rate}": f"{rate} FLOP/s" for rate in sorted(rates)}
    for i, tier in enumerate(est.system.tiers):
        titles |= {
            f"system.tier[{i}].bandwidth": f"bandwidth of {tier.name}",
            f"system.tier[{i}].latency": f"latency of {tier.name}",
        }
    for name, title in titles.items():
        value = float(number_of(est.system, name))
        if value > 0:

            def put(asked: Asked, x: Num, name: str = name) -> Asked:
                return asked[0], with_number(asked[1], name, x), asked[2], asked[3]

            yield _Knob(title, "hardware", value, unit_of(name), put)


def _efficiencies(est: Any) -> Iterator[_Knob]:
    """Yield what is reached of peaks, of bandwidth and of links, class by class; all launches together."""
    profile, kernels, ways = est.calibration, dict[tuple[str, str], float](), set[str]()
    for work, cost, times in est.whole.leaves():
        if isinstance(work, Op):
            key = profile.key(work.kernel, work.rate, work.form)
            kernels[key] = kernels.get(key, 0.0) + float(np.sum(cost.time * times))
        elif work is not None and cost.ways and np.any(cost.time > 0):
            ways |= {min(cost.ways, key=lambda way: float(np.sum(cost.ways[way])))}
    for key in kernels:
        key_text = " ".join(part for part in key if part != "any").replace("_", " ")
        kernel: Kernel = profile.kernels[key]
        for names, what in (
            (("eta_compute", "eta_best"), "part of the peak"),
            (("eta_memory",), "part of the bandwidth"),
        ):
            value = getattr(kernel, names[-1]) or kernel.eta_compute
            yield _Knob(
                f"{key_text}: {what}", "efficiency", float(value), ONE, _scaled("kernels", key, names, float(value))
            )
    for way in sorted(ways):
        link: Link = profile.links[way]
        way_text = way.replace("_", " ")
        yield _Knob(
            f"{way_text}: part of the links",
            "efficiency",
            float(link.eta),
            ONE,
            _scaled("links", way, ("eta", "far"), float(link.eta)),
        )
        fixed = ("alpha", "peer", "start", "hop")
        if any(getattr(link, name) for name in fixed):
            yield _Knob(f"{way_text}: fixed time", "efficiency", 1.0, ONE, _scaled("links", way, fixed, 1.0))

    def launches(asked: Asked, x: Num) -> Asked:
        profile = asked[3]
        changed = {key: attrs.evolve(profile.kernels[key], t0=profile.kernels[key].t0 * x) for key in kernels}
        return (*asked[:3], attrs.evolve(profile, kernels={**profile.kernels, **changed}))

    if any(profile.kernels[key].t0 for key in kernels):
        yield _Knob("launches of kernels", "efficiency", 1.0, ONE, launches)


def _scaled(table: str, key: Any, names: tuple[str, ...], value: float) -> Callable[[Asked, Num], Asked]:
    """Return what puts a number in place of ``value`` in an entry of a profile's ``kernels`` or ``links``."""

    def put(asked: Asked, x: Num) -> Asked:
        profile = asked[3]
        entries = getattr(profile, table)
        own = entries[key]
        change: Any = {name: getattr(own, name) * (x / value) for name in names if getattr(own, name) is not None}
        return (*asked[:3], attrs.evolve(profile, **{table: {**entries, key: attrs.evolve(own, **change)}}))

    return put


def _software(est: Any) -> Iterator[_Knob]:
    """Yield the times of the host between steps, and what a framework leaves seen of messages."""
    titles = {"gap": "host between steps", "prompt_gap": "host with prompts", "sequence": "host for each sequence",
            "stream": "sending tokens on", "front": "front end", "step": "between training steps"}  # fmt: skip
    for holder, names in (("engine", _HOST), ("framework", _SEEN)):
        for name in names:
            value = float(getattr(getattr(est.calibration, holder), name))
            if value <= 0:
                continue

            def put(asked: Asked, x: Num, holder: str = holder, name: str = name) -> Asked:
                change: Any = {name: x}
                own = attrs.evolve(getattr(asked[3], holder), **change)
                more: Any = {holder: own}
                return (*asked[:3], attrs.evolve(asked[3], **more))

            title = titles.get(name, f"messages of {name} that no work hides")
            yield _Knob(title, "software", value, SECOND if name in titles else ONE, put)


def _workload(est: Any) -> Iterator[_Knob]:
    """Yield the sizes of the question; loads in steps of one sequence for every rank, lengths in whole tokens."""
    layout, q = est.layout, est.question
    for name in _SIZES:
        value = getattr(q, name, None)
        if value is None or not float(value):
            continue
        each = float(layout.dp * layout.replicas) if name in _LOADS else 1.0 if name in _LENGTHS else 0.0
        if name == "global_batch":
            each = float(q.micro_batch * layout.dp)
        if name == "accept_length" or (name in _LOADS and float(value) < each):
            each = 0.0

        def put(asked: Asked, x: Num, name: str = name) -> Asked:
            change: Any = {name: x}
            return (attrs.evolve(asked[0], **change), *asked[1:])

        if name == "accept_length" and float(value) * SWING > float(q.draft_tokens) + 1:
            continue
        if name in ("accept_length", "imbalance") and float(value) / SWING < 1:
            continue
        # Of a prompt that is nearly all cached neither can grow past the other.
        if name in ("input", "cached") and float(getattr(q, "cached", 0.0)) * SWING >= float(q.input) / SWING:
            continue
        yield _Knob(
            name.replace("_", " "), "workload", float(value), HERTZ if name == "rate" else ONE, cast("Any", put), each
        )
