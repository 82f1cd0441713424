"""``roofline compare``: systems."""

from __future__ import annotations

from typing import Any

from roofline import catalog, plots
from roofline.cli.console import form_of, say, watched, wrote
from roofline.cli.drafts import drafted
from roofline.cli.flags import (
    AtModel,
    Chips,
    DraftModel,
    Json,
    Level,
    Powers,
    Prices,
    RequireFit,
    SystemNames,
    SystemsPicture,
    Tpots,
    Ttft,
)
from roofline.cli.numbers import each_or_all
from roofline.cli.options import DEGREES, LOAD, SOFTWARE, Degrees, Load, Software
from roofline.core.fields import given
from roofline.studies.compare import LIMITS, compare


def compare_(
    *systems: SystemNames,
    model: AtModel = None,
    chips: Chips = None,
    level: Level = None,
    power: Powers = None,
    price: Prices = None,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    load: Load = LOAD,
    draft_model: DraftModel = None,
    tpot: Tpots = None,
    ttft: Ttft = None,
    file: SystemsPicture = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Compare systems: FLOP/s, memory, bandwidth and power, together and as ratios; with --model, how each serves it."""
    form = form_of(file)
    catalog.check_places([file])
    words: dict[str, Any] = (
        software.words() | degrees.words() | load.words() | given(chips=chips, level=level, ttft=ttft)
    )
    words |= given(power=each_or_all("--power", power), price=each_or_all("--price", price))
    target = None if model is None else drafted(model, draft_model, words)
    with watched("configurations") as progress:
        found = compare(*systems, model=target, tpot=LIMITS if tpot is None else tpot, progress=progress, **words)
    say(json, found.to_dict, found.table)
    wrote((file, lambda: plots.render(found.plot(), form), ""))
    if require_fit and not found.meets:
        raise SystemExit(1)
