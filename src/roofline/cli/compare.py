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
    Grid,
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
from roofline.core.fields import without_none
from roofline.reports import carbon
from roofline.studies.compare import LIMITS, Comparison, compare


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
    grid: Grid = None,
    file: SystemsPicture = None,
    require_fit: RequireFit = False,
    json: Json = False,
) -> None:
    """Compare systems: FLOP/s, memory, bandwidth and power, together and as ratios; with --model, how each serves it."""
    form = form_of(file)
    catalog.check_places([file])
    carbon.refused(grid)
    words: dict[str, Any] = (
        software.words() | degrees.words() | load.words() | without_none(chips=chips, level=level, ttft=ttft)
    )
    words |= without_none(power=each_or_all("--power", power), price=each_or_all("--price", price))
    target = None if model is None else drafted(model, draft_model, words)
    with watched("configurations") as progress:
        found = compare(*systems, model=target, tpot=LIMITS if tpot is None else tpot, progress=progress, **words)
    say(json, lambda: _fields(found, grid), lambda: _text(found, grid))
    wrote((file, lambda: plots.render(found.plot(), form), ""))
    if require_fit and not found.meets:
        raise SystemExit(1)


def _fields(found: Comparison, grid: str | None) -> dict[str, Any]:
    """Return the fields of a comparison, with the CO2 of each estimate where a grid is given."""
    each = () if grid is None else (carbon.record(est, grid) for est in found.estimates)
    return dict(found.to_dict()) | ({} if grid is None else {"carbon": list(each)})


def _text(found: Comparison, grid: str | None) -> str:
    """Return a comparison as text, with a line of the CO2 of each estimate where a grid is given."""
    each = zip(found.systems, found.estimates, strict=False) if grid is not None else ()
    lines = [f"{system.name}: {carbon.line(est, str(grid))}" for system, est in each]
    return "\n".join([found.table(), *(["", "carbon of each:", *lines] if lines else [])])
