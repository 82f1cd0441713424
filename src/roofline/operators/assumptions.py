"""Assumptions of an answer as sentences."""

from __future__ import annotations

from typing import cast

import numpy as np

from roofline import catalog
from roofline.core.remember import remembered
from roofline.core.units import Count, Num
from roofline.hardware.constants import Calibration
from roofline.hardware.energy import Energy
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.models.dtypes import dtype
from roofline.operators.serving_memory import as_served
from roofline.operators.transformer.flow import SIXTEEN_BIT
from roofline.workload.questions import Decode, Serve, accept_length_is_assumed, usual_acceptance


def draft_notes(question: Decode | Serve) -> tuple[str, ...]:
    """Return what speculation leaves out, and what is assumed of it."""
    drafts = question.draft_tokens > 0
    if not np.any(drafts):
        return ()
    out = []
    if np.any(accept_length_is_assumed(question)):
        chance, like = usual_acceptance(question.model), "seven models with drafters of their own"
        if question.model.speculator is not None:
            like = "EAGLE-3 heads that others trained"
        out.append(
            f"a draft is accepted with a chance of {chance:.0%} if the one before it was, as those of {like} are: give "
            "accept_length, the tokens that a step yields, if you know it"
        )
    elif np.any(drafts & (question.accept_length == 1)):
        out.append("draft tokens are verified and none is accepted: accept_length is 1")
    drafter = question.model.speculator
    if drafter is not None:
        out.append(f"drafts by {drafter.name}{f' ({drafter.source})' if drafter.source else ''}")
    elif not question.model.mtp:
        out.append(
            f"the cost of drafting is left out: {question.model.name} brings no draft module, and none was described"
        )
    return tuple(out)


def notes(model: Model, tokens: Count, system: System, calibration: Calibration) -> tuple[str, ...]:
    """Return what an answer for sequences of ``tokens`` on this system rests on besides its sources."""
    chip = system.chip
    out = [*model.notices, *widened(model, system)]
    longest = float(np.max(tokens))
    if model.max_context and longest > model.max_context:
        out.append(f"{longest:,.0f} tokens per sequence: {model.name} was designed for {model.max_context:,}")
    if as_served(model, calibration) != model:
        title = calibration.engine.title
        out.append(
            f"{title} leaves out the sliding windows of {model.name} unless configured: all tokens are seen and stored"
        )
    if calibration.level != "ideal":
        out.append(f"{calibration.memory_fraction:.0%} of the memory of a chip can be filled")
        if calibration.stands_for:
            out.append(
                f"no kernels of {calibration.stands_for} were timed: constants are those of {calibration.name}, its nearest relative"
            )
        if chip.vendor not in calibration.vendors:
            out.append(
                f"coefficients of profile {calibration.name!r} were found on chips of other makers: the interval is widened"
            )
    if system.power_per_chip is not None:
        out.append(_energy(system, catalog.energy()))
    return (*out, *announced_note(system))


def widened(model: Model, system: System) -> tuple[str, ...]:
    """Return which weights a chip multiplies in a wider format than they are stored in."""
    chip, out = system.chip, []
    for name in sorted(model.formats.names("attention", "recurrent", "dense", "experts", "shared")):
        stored, wide = dtype(name), dtype(name).rate(chip.peak)
        if wide not in SIXTEEN_BIT or name in SIXTEEN_BIT:
            continue
        if stored.rates[0] in SIXTEEN_BIT:
            out.append(f"{name} weights are multiplied in {wide}; unpacking them is not charged")
        else:
            other = next((rate for rate in ("fp8", "int8", "fp4") if rate in chip.peak), None)
            hint = f"; dtype={'nvfp4' if other == 'fp4' else other} would use its {other} rate" if other else ""
            out.append(
                f"{name} weights are multiplied in {wide}: {system.package.name} has no {stored.rates[0]} rate{hint}"
            )
    return tuple(out)


def announced_note(system: System) -> tuple[str, ...]:
    """Return that a chip's figures are intentions, where it has not shipped."""
    chip = system.package
    return (f"{chip.name} is announced, not shipped: its figures are the maker's intentions",) if chip.announced else ()


@remembered(64)
def _energy(system: System, table: Energy) -> str:
    """Return what energy rests on."""
    chip = system.package
    draw, rated = table.draw(chip), float(np.mean(cast("Num", table.rated(system))))
    of = "" if chip.power is not None else f" (assumed: {table.share:.0%} of the system's share per chip)"
    seen = "" if table.seen(chip) else "; no power under load of this chip was fitted: a wide interval"
    return (
        f"energy is of the system as sold, at the wall: a chip of {rated:,.0f} W{of} draws {draw.awake:.0%} of it with kernels "
        f"running, and more with utilization{seen}"
    )
