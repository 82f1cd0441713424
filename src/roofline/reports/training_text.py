"""An answer about training as a sheet that a person enjoys reading, and the fields of its machine-readable form."""

from __future__ import annotations

from typing import Any, Final

from roofline.core.text import columns, figure
from roofline.core.units import BYTE, DAY, FLOP_RATE, SECOND, TERA, show
from roofline.reports.text import cited, stepped
from roofline.results.labels import asked, headline
from roofline.results.records import KINDS, PHASES
from roofline.results.training import Training

CONVENTION: Final = "attention counts its causal half, the head counts, the embedding does not"


def sheet(est: Training, *, why: bool = False) -> str:
    """Return the whole answer as text: time with its interval, rates, where time goes, memory, and what it rests on."""
    notes = ["what was chosen or assumed", *(f"  - {note}" for note in est.assumptions)]
    parts = [headline(est), asked(est), "", _rates(est), "", "where the time goes", _phases(est), "", *notes]
    if why:
        parts += ["", est.why(), "", "every number used, and its source", *cited(est.citations())]
    else:
        parts += ["", f"why, and every source: --why; the machine's numbers: roofline show {est.system.name}"]
    return "\n".join(parts)


def _within(pair: tuple[Any, Any] | None, told: Any) -> str:
    return "" if pair is None else f"   80 % within {told(float(pair[0]))} - {told(float(pair[1]))}"


def _time(value: float) -> str:
    return show(value, SECOND, 3)


def _rates(est: Training) -> str:
    rows: list[list[str]] = []
    if not est.fits:
        rows.append(["DOES NOT FIT", "; ".join(est.reasons)])
    rate, time, seen = float(est.tokens_per_second), float(est.step_time), float(est.exposed)
    each = figure(float(est.tokens_per_second_per_chip))
    rows.append(["step", f"{_time(time)}{_within(est.interval(), _time)}"])
    rows.append(
        [
            "tokens",
            f"{rate:,.0f} tokens/s: {each} a chip{_within(est.interval('tokens_per_second'), lambda x: f'{x:,.0f}')}",
        ]
    )
    rows.append(["a trillion", f"{figure(TERA / rate / DAY, 3)} days without a stop"])
    flops = show(float(est.model_flops_per_second_per_chip), FLOP_RATE, 3)
    again = float(est.hfu - est.mfu)
    hardware = (
        f"; HFU {float(est.hfu):.1%} with what is done again" if again > 0 else "; HFU the same: nothing is done again"
    )
    rows.append(["utilisation", f"MFU {float(est.mfu):.1%}, {flops} a chip{hardware}"])
    rows.append(["", CONVENTION])
    rows.append(["bubble", f"{float(est.bubble_fraction):.1%} of the step"])
    rows.append(
        [
            "messages",
            f"{_time(seen)} exposed ({seen / time:.1%} of the step), {_time(float(est.hidden))} behind work",
        ]
    )
    memory = est.memory
    kinds = ", ".join(f"{name} {show(float(getattr(memory, name)), BYTE, 3)}" for name in KINDS)
    rows.append(
        ["memory", f"{show(float(memory.total), BYTE, 3)} of {show(float(est.capacity), BYTE, 3)} a chip: {kinds}"]
    )
    shares = ", ".join(f"{name} {float(part):.0%}" for name, part in est.bounds.items())
    rows.append(["bound by", f"{est.bound} (time by bound: {shares})"])
    rows.append(["sensitivity", est.sensitivity().line()])
    rows.append(["energy", _energy(est)])
    dollars = est.dollars_per_trillion_tokens
    rows.append(
        [
            "rent",
            "no trustworthy rent was found; give price"
            if dollars is None
            else f"${float(dollars):,.0f} a trillion tokens",
        ]
    )
    return columns(rows)


def _energy(est: Training) -> str:
    joules = est.joules_per_token
    if joules is None:
        return "no rated power is published; give power"
    mean, low, high = est.calibration.power_fraction
    near, far = (figure(float(joules * end / mean), 3) for end in (low, high))
    return f"{figure(float(joules), 3)} J ({near} - {far}) a token"


def _phases(est: Training) -> str:
    whole = float(est.step_time)
    rows = [
        [f"  {PHASES[name]}", show(float(time), SECOND, 3), f"{float(time) / whole:.1%}"]
        for name, time in est.phases.items()
        if float(time) > 0
    ]
    return columns(rows, right=(1, 2))


def fields(est: Training, *, why: bool = False) -> dict[str, Any]:
    """Return the answer's machine-readable fields; with ``why`` its steps and citations too."""
    out = est.to_dict()
    if why:
        out["steps"] = [stepped(span) for span in est.steps]
        out["citations"] = [fact.to_dict() for fact in est.citations()]
    return out
