"""The commands that look for designs: ``sweep``, ``needed``, ``sensitivity`` and ``break-even``, a thin shell like the others."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from attrs import frozen
from cyclopts import Parameter

from roofline import catalog
from roofline.cli.console import say, watched, wrote
from roofline.cli.flags import FORM, LAYOUT, WORK, Chips, Dtype, Json, Level, ModelName, Power, Price, System, whole
from roofline.cli.options import Options
from roofline.cli.ranges import several, words
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import given
from roofline.planner.estimate import estimate
from roofline.planner.train import train
from roofline.studies.needed import needed
from roofline.studies.odds import break_even
from roofline.studies.space import question_of
from roofline.studies.sweep import sweep

_NUMBERS = "one, or a list such as 1,2,4, 1..8, 1024..32768+1024 or 1..4096*2"

Models = Annotated[str, Parameter(help="Names (roofline list models), or paths of a config.json.")]
Systems = Annotated[
    list[str], Parameter(name=["--system", "-s"], negative="", help="A name or a path; again for several.")
]
Phases = Annotated[
    list[str] | None,
    Parameter(name="--phase", negative="", group=WORK, help="decode, prefill, serve or train; again for several."),
]
ChipCounts = Annotated[str | None, Parameter(help=f"Chips to use: {_NUMBERS}; by default all of each system.")]
Sizes = Annotated[
    list[str] | None,
    Parameter(
        name="--set", negative="", group=WORK,
        help=f"A size or a word of the phases, such as batch=1..512*2 or recompute=none,full: {_NUMBERS}; again for several.",
    ),
]  # fmt: skip
Vary = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        help="A number of the hardware and its values, such as bandwidth=4TB/s,8TB/s or links=1x,2x; again for several.",
    ),
]
Limits = Annotated[
    list[str] | None,
    Parameter(
        name="--limit", negative="", group=WORK, help="A limit, such as tpot=50ms or power=120kW; again for several."
    ),
]
By = Annotated[str | None, Parameter(group=WORK, help="What to rank by; by default tokens per second and chip.")]
Top = Annotated[int, Parameter(converter=whole, group=WORK, help="Plans to keep.")]
Frontier = Annotated[
    str | None,
    Parameter(group=WORK, help="Two or three metrics, apart by commas: keep what no other plan beats in all."),
]
Per = Annotated[
    str | None, Parameter(group=WORK, help="Keep as many of each model, system, phase or dtype (apart by commas).")
]
Formats = Annotated[str | None, Parameter(help="Formats of the weights, apart by commas.")]
Held = Annotated[int | None, Parameter(converter=whole, group=LAYOUT)]
Workers = Annotated[int, Parameter(converter=whole, help="Processes that price; 1 for this one.")]
Checkpoint = Annotated[
    Path | None,
    Parameter(group=FORM, help="A file from which the same sweep goes on where it was left; written now and then."),
]
Phase = Annotated[
    Literal["serve", "decode", "prefill", "train"],
    Parameter(group=WORK, help="What is asked: a service, one step or pass, a step of training."),
]
Number = Annotated[
    str,
    Parameter(
        help="A number of the hardware (bandwidth, memory, compute, links, latency, price, system.tier[0].size, ...), a size "
        "(batch, context, concurrency, ...), or chips."
    ),
]
Targets = Annotated[
    list[str] | None,
    Parameter(
        name="--target",
        negative="",
        group=WORK,
        help="A target, such as tpot=20ms; again for several; none: that it fits.",
    ),
]
Of = Annotated[str | None, Parameter(group=WORK, help="Of which quantity; by default tokens per second.")]
Rows = Annotated[
    Path | None,
    Parameter(name=["--output-file", "-o"], group=FORM, help="Write the plans kept into FILE.csv or FILE.parquet."),
]


def sweep_(
    *models: Models,
    system: Systems,
    phase: Phases = None,
    chips: ChipCounts = None,
    sizes: Sizes = None,
    vary: Vary = None,
    limit: Limits = None,
    by: By = None,
    top: Top = 10,
    frontier: Frontier = None,
    per: Per = None,
    dtype: Formats = None,
    tp: Held = None,
    pp: Held = None,
    dp: Held = None,
    ep: Held = None,
    level: Level = "calibrated",
    power: Power = None,
    price: Price = None,
    workers: Workers = 1,
    checkpoint: Checkpoint = None,
    file: Rows = None,
    json: Json = False,
) -> None:
    """Price every combination of models, systems, layouts, sizes and hardware; keep the best that fit, and say why not the rest.

    An interrupt ends the sweep with what there is; with --checkpoint the same command goes on where it was.
    """
    if not models:
        raise QuestionError("MODELS: are missing; name one or more")
    form = "" if file is None else file.suffix.removeprefix(".").lower()
    if form not in ("", "csv", "parquet") or (file is not None and not form):
        raise QuestionError(fault("-o", str(file), "a table is csv or parquet", "end the file name in one of them"))
    if workers < 1:
        raise QuestionError(fault("--workers", workers, "must be at least 1"))
    bounds = {name: values[0] for name, values in words("--limit", limit).items()}
    degrees: dict[str, Any] = given(tp=tp, pp=pp, dp=dp, ep=ep)
    counts = None if chips is None else [int(n) for n in several("--chips", chips)]
    # Workers are started afresh: what a forked process inherits of threads is nobody's business.
    pool: Any = nullcontext() if workers == 1 else ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with pool as executor, watched("configurations") as progress:
        found = sweep(
            list(models), system, phase=phase or "decode", chips=counts, vary=words("--vary", vary), by=by, top=top, limits=bounds,
            frontier=_apart(frontier), per=_apart(per) or (), dtype=_apart(dtype), level=level, power=power, price=price,
            executor=executor, checkpoint=checkpoint, progress=progress, **degrees, **_sizes(sizes),
        )  # fmt: skip
    if file is not None:
        wrote(file, found.parquet() if form == "parquet" else found.csv().encode())
    say(json, found.to_dict, found.table)
    if not found.complete:
        print("roofline: interrupted; what there is is told above", file=sys.stderr)
        raise SystemExit(130)


def _apart(text: str | None) -> list[str] | None:
    return None if text is None else [each.strip() for each in text.split(",")]


def _sizes(sizes: list[str] | None) -> dict[str, Any]:
    """Return words of phases: lists of numbers where they are such, else of text."""
    out: dict[str, Any] = {}
    for name, values in words("--set", sizes).items():
        numeric = all(value[:1].isdigit() for value in values)
        out[name] = several(name, ",".join(values)) if numeric else values
    return out


@Parameter(name="*")
@frozen
class PointOptions(Options):
    """One point: the phase, its sizes, the plan, and what a chip draws and costs."""

    phase: Phase = "serve"
    sizes: Sizes = None
    chips: Chips = None
    tp: Held = None
    pp: Held = None
    dp: Held = None
    ep: Held = None
    dtype: Dtype = None
    level: Level = "calibrated"
    power: Power = None
    price: Price = None


_POINT: Final = PointOptions()


def _one(model: str, system: str, phase: str, sizes: list[str] | None, **words: Any) -> Any:
    """Return the answer for one point that words of the command line describe."""
    asked = _sizes(sizes)
    for name, values in asked.items():
        if len(values) != 1:
            raise QuestionError(
                fault("--set", f"{name}={values}", "takes one value here", "roofline sweep takes lists")
            )
    numbers = {name: values[0] for name, values in asked.items()}
    if phase == "train":
        return train(model, system, **given(**words), **numbers)
    if phase == "serve":
        return estimate(model, system, **given(**words), **numbers)
    question = question_of(phase, catalog.model(model, dtype=words.pop("dtype", None)), numbers)
    return estimate(question, system, **given(**words))


def needed_(
    number: Number,
    model: ModelName,
    /,
    *,
    system: System,
    target: Targets = None,
    point: PointOptions = _POINT,
    json: Json = False,
) -> None:
    """Tell what a number would have to be for targets, all else being as it is: a bandwidth, a batch, chips, a rent."""
    est = _one(model, system, **point.words())
    targets: dict[str, Any] = {name: values[0] for name, values in words("--target", target).items()}
    found = needed(est, number, **targets)
    say(json, found.to_dict, lambda: f"{model} on {system}: {est.layout.short()}\n{found.why}")


def sensitivity_(
    model: ModelName,
    /,
    *,
    system: System,
    of: Of = None,
    point: PointOptions = _POINT,
    json: Json = False,
) -> None:
    """Tell what an answer hangs on: elasticities of hardware, efficiencies, software and workload; 10 % more or less of each."""
    est = _one(model, system, **point.words())
    found = est.sensitivity(of)
    say(json, found.to_dict, lambda: f"{model} on {system}: {est.layout.short()}\n{found.table()}")


def break_even_(
    system: Annotated[str, Parameter(help="The system whose rent is asked for.")],
    other: Annotated[str, Parameter(help="The system whose rent is known, or --price.")],
    model: ModelName,
    /,
    *,
    phase: Phase = "serve",
    sizes: Sizes = None,
    chips: Chips = None,
    dtype: Dtype = None,
    level: Level = "calibrated",
    price: Price = None,
    json: Json = False,
) -> None:
    """Tell the rent of a chip at which its tokens cost as much as those of another system, each with its best layout."""
    words_: dict[str, Any] = {"chips": chips, "dtype": dtype, "level": level}
    mine, theirs = (
        _one(model, name, phase, sizes, **words_, price=rent) for name, rent in ((system, None), (other, price))
    )
    found = break_even(mine, theirs)
    say(json, found.to_dict, lambda: f"{model} costs as much on {system} as on {other} at {found}")
