"""``campaign``: days, goodput, energy and cost of a whole training run, or the chips for a deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Unpack

import attrs
import numpy as np

from roofline import catalog
from roofline.core.arrays import ceil
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import number, refuse
from roofline.core.signatures import typed
from roofline.core.units import DAY, MEBI, Count, Num, Seconds, parse
from roofline.core.units import SECOND as SECONDS
from roofline.hardware.hardware import System
from roofline.planner.train import train
from roofline.planner.words import CampaignWords, ModelLike, keywords
from roofline.results.campaign import Campaign
from roofline.results.training import Training
from roofline.training.campaign import campaign as whole
from roofline.workload.questions import TrainStep

STEP_TOKENS: Final = 16 * MEBI
"""Tokens of a step where no batch is given: what Llama 3 405B had for most of its run (arXiv:2407.21783, section 3.4.1)."""
_RUN: Final = ("mtbf", "checkpoint", "storage", "restart", "interval", "pue", "spares", "price")
"""Words of the run; the others are those of the step."""
_HALVINGS: Final = 5
"""Times the gap between too few chips and enough is halved."""


@keywords(CampaignWords)
@typed
def campaign(
    what: Training | TrainStep | ModelLike,
    system: System | str | Path | Num | None = None,
    tokens: Num | str | None = None,
    *,
    chips: int | None = None,
    deadline: Num | str | None = None,
    **words: Unpack[CampaignWords],
) -> Campaign:
    """Return what a whole training run takes: days, energy, cost, and the part of the time that is useful.

    Args:
        what: the answer for one step, as :func:`roofline.train` gives it; or a model (or a step), trained as ``words`` say.
        system: a system; left out after the answer for a step, where ``tokens`` follow at once: ``campaign(step, "15T")``.
        tokens: of the run: a number, or text such as ``"15T"`` (the default).
        chips: chips to use; by default all of the system, or, with a deadline, the fewest that keep it.
        deadline: days that the run may take, or text such as ``"90 days"``.
        global_batch: sequences of a step; by default 16 Mi tokens' worth.

    Returns:
        Days, goodput, energy in MWh and cost in US dollars of the run.

    Raises:
        QuestionError: a word that has no meaning, or a deadline that no number of chips of the system keeps.

    >>> run = campaign("llama-3.1-8b", "dgx-h100", "1T", chips=256)
    >>> float(run.training.chips), bool(run.days > run.days_ideal)
    (256.0, True)
    """
    given: dict[str, Any] = dict(words)
    run = {name: given.pop(name) for name in _RUN if name in given}
    if isinstance(what, Training):
        tokens = (
            system if tokens is None and not isinstance(system, (System, Path)) else tokens
        )  # campaign(step, "15T")
        if given or chips is not None or deadline is not None:
            beside = [
                *given,
                *(name for name, value in (("chips", chips), ("deadline", deadline)) if value is not None),
            ]
            raise QuestionError(fault("words", beside, "the result for a step already states every option"))
        return whole(what, "15T" if tokens is None else tokens, **run)
    if system is None or isinstance(system, (int, float, np.ndarray)):
        raise QuestionError(fault("system", str(system), "must be a system", "such as dgx-h100"))
    rack = catalog.system(system) if not isinstance(system, System) else system
    asked = "15T" if tokens is None else tokens

    def at(n: int | None) -> Campaign:
        used = int(rack.chips) if n is None else n
        batch = _batch(given, used) if not isinstance(what, TrainStep) and "global_batch" not in given else {}
        notes = (
            [f"global batch {batch['global_batch']:,}: 16 Mi tokens a step, in whole sequences for each chip"]
            if batch
            else []
        )
        step = train(what, rack, chips=n, **{**given, **batch}, **({"price": run["price"]} if "price" in run else {}))
        found = whole(step, asked, **run)
        return attrs.evolve(found, remarks=(*notes, *found.remarks))

    if deadline is None:
        return at(chips)
    days = _days(deadline)
    if chips is not None:
        raise QuestionError(fault("chips", chips, "are what a deadline asks for", "leave chips or deadline out"))
    return _fewest(at, rack, days)


def _batch(words: Mapping[str, Any], chips: Count) -> dict[str, int]:
    """Return the sequences of a step of 16 Mi tokens, rounded up to whole ones for each chip."""
    length = float(number(words.get("seq_len", 4096.0), "seq_len"))
    refuse("seq_len", length, 1.0)
    return {"global_batch": int(ceil(STEP_TOKENS / length / chips) * chips)}


def _days(value: Num | str) -> Seconds:
    """Return a deadline in days, given as a number of them or as text with a unit of time."""
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        text = value.strip()
        for unit in ("days", "day", "d"):
            if text.endswith(unit) and text[: -len(unit)].strip().replace(".", "", 1).isdigit():
                return _days(text[: -len(unit)].strip())
        return parse(text, SECONDS, "deadline") / DAY
    out = float(value) if isinstance(value, str) else number(value, "deadline")
    refuse("deadline", out, 0.0, strict=True)
    return out


def _fewest(at: Callable[[int], Campaign], rack: System, days: Num) -> Campaign:
    """Return the run on the fewest chips that fits and meets a deadline: whole nodes, doubled until they do, then halved between."""
    node = int(rack.tiers[0].size / rack.ranks_per_chip) or 1
    most = int(rack.reach / rack.ranks_per_chip)

    def kept(n: int) -> Campaign | None:
        run = at(n)
        return run if bool(run.fits) and float(run.days) <= float(days) else None

    low, high, found = 0, node, None
    while high <= most:
        found = kept(high)
        if found is not None:
            break
        low, high = high, 2 * high
    if found is None:
        raise QuestionError(
            fault(
                "deadline",
                f"{float(days):g} days",
                f"is not met by up to {low:,} chips of {rack.name}",
                "give more days",
            )
        )
    for _ in range(_HALVINGS):
        middle = (low + high) // 2 // node * node
        if middle <= low:
            break
        run = kept(middle)
        low, high, found = (low, middle, run) if run is not None else (middle, high, found)
    return attrs.evolve(
        found,
        remarks=(
            f"{high:,} chips: the fewest, in whole scale-up domains, that were found to meet {float(days):g} days",
            *found.remarks,
        ),
    )
