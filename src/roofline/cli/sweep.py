"""``roofline sweep``: every combination of models, systems, layouts, sizes and hardware."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
from attrs import frozen
from cyclopts import Parameter

from roofline import catalog
from roofline.cli import flags
from roofline.cli.console import note, say, watched, wrote
from roofline.cli.flags import LIMIT, OUTPUT, WORK, Json, ModelNames, Rows, Systems
from roofline.cli.numbers import assignments, limits, several, to_whole, wholes
from roofline.cli.options import DEGREES, Degrees, Options
from roofline.cli.workers import workers as processes
from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import without_none
from roofline.studies.space import PHASES
from roofline.studies.sweep import sweep

_NUMBERS: Final = "one, or a list such as 1,2,4, 1..8, 1024..32768+1024 or 1..4096*2"

Phases = Annotated[
    list[str] | None,
    Parameter(name="--phase", negative="", group=WORK, help="What to estimate: decode (default), prefill, serve, pools or train; repeat it for several."),
]  # fmt: skip
ChipCounts = Annotated[
    str | None, Parameter(group=flags.MACHINE, help=f"Chips to use: {_NUMBERS} (default: all of each system).")
]
PrefillCounts = Annotated[
    str | None,
    Parameter(group=flags.SPLIT, help=f"Of --phase pools: chips of the prefill pool; --chips are then those of decode: {_NUMBERS}."),
]  # fmt: skip
Sizes = Annotated[
    list[str] | None,
    Parameter(
        name="--set", negative="", group=WORK,
        help=f"A size or a word of the phases, batch=1..512*2 or recompute=none,full: {_NUMBERS}; repeat it for several names.",
    ),
]  # fmt: skip
Vary = Annotated[
    list[str] | None,
    Parameter(
        negative="", group=flags.MACHINE,
        help="A number of the hardware and its values: bandwidth=4TB/s,8TB/s or links=1x,2x; repeat it for several names.",
    ),
]  # fmt: skip
Bounds = Annotated[
    list[str] | None,
    Parameter(name="--limit", negative="", group=LIMIT, help="A limit: tpot=50ms or power=120kW; repeat it for several."),
]  # fmt: skip
By = Annotated[
    str | None, Parameter(group=LIMIT, help="Metric to rank by: tokens_per_second (default: tokens/s per chip).")
]
Top = Annotated[int, Parameter(converter=to_whole, group=LIMIT, help="Configurations to retain: 10 (default).")]
Metrics = Annotated[
    str | None,
    Parameter(group=LIMIT, help="Two or three metrics, separated by commas: retain the configurations that no other beats in all."),
]  # fmt: skip
Per = Annotated[
    str | None, Parameter(group=LIMIT, help="Retain as many of each model, system, phase or dtype: model,system.")
]
Formats = Annotated[
    str | None, Parameter(group=flags.MACHINE, help="Number formats of the weights, separated by commas: bf16,fp8.")
]
Workers = Annotated[
    int, Parameter(converter=to_whole, group=OUTPUT, help="Processes that compute: 4 (default: 1, this one alone).")
]
Checkpoint = Annotated[
    Path | None,
    Parameter(group=OUTPUT, help="A file from which the same sweep continues where it stopped: sweep.json."),
]


@Parameter(name="*")
@frozen
class Ranking(Options):
    """Limits, and the metrics to rank by."""

    limit: Bounds = None
    by: By = None
    top: Top = 10
    frontier: Metrics = None
    per: Per = None

    def words(self) -> dict[str, Any]:
        """Return the words of a sweep."""
        return {
            "limits": limits("--limit", self.limit), "by": self.by, "top": self.top, "frontier": _apart(self.frontier),
            "per": _apart(self.per) or (),
        }  # fmt: skip


@Parameter(name="*")
@frozen
class Software(Options):
    """What serves or trains."""

    engine: flags.Engine = None
    launch: flags.Launch = None
    memory_fraction: flags.MemoryFraction = None
    framework: flags.Framework = None


@Parameter(name="*")
@frozen
class Machine(Options):
    """Calibration coefficients, power and cost."""

    level: flags.Level = None
    power: flags.Power = None
    price: flags.Price = None


_RANKING: Final = Ranking()
_SOFTWARE: Final = Software()
_MACHINE: Final = Machine()
MOST_WORKERS: Final = 1024
"""More processes than a machine has cores."""
_WORDS: Final = ("sharding", "schedule", "sequence_parallel", "replicas", "etp", "cp", "vpp")
"""Words of a layout that are values of ``--set``."""


def sweep_(
    *models: ModelNames,
    system: Systems,
    phase: Phases = None,
    chips: ChipCounts = None,
    sizes: Sizes = None,
    vary: Vary = None,
    ranking: Ranking = _RANKING,
    dtype: Formats = None,
    degrees: Degrees = DEGREES,
    machine: Machine = _MACHINE,
    software: Software = _SOFTWARE,
    prefill_chips: PrefillCounts = None,
    prefill_tp: flags.PrefillTp = None,
    workers: Workers = 1,
    checkpoint: Checkpoint = None,
    file: Rows = None,
    json: Json = False,
) -> None:
    """Estimate every combination of models, systems, layouts, sizes and hardware; report the best that fit, and why the others were rejected.

    An interrupt (Ctrl-C) ends the sweep with what it has; with --checkpoint the same command continues where it stopped.
    """
    if not models:
        raise QuestionError("MODELS: are missing; name one or more, such as llama-3.1-70b")
    form = _table(file)
    catalog.check_places([file, checkpoint])
    if not 1 <= workers <= MOST_WORKERS:
        raise QuestionError(fault("--workers", workers, f"must be at least 1 and at most {MOST_WORKERS:,}"))
    words: dict[str, Any] = degrees.words() | machine.words() | software.words() | _sizes(sizes, phase or ["decode"])
    counts = {"chips": ("--chips", chips), "prefill_chips": ("--prefill-chips", prefill_chips)}
    words |= {name: wholes(flag, text) for name, (flag, text) in counts.items() if text is not None}
    words |= without_none(prefill_tp=prefill_tp)
    with processes(workers) as executor, watched("configurations") as progress:
        found = sweep(
            list(models), system, phase=phase or "decode", vary=assignments("--vary", vary), dtype=_apart(dtype),
            executor=executor, checkpoint=checkpoint, progress=progress, **ranking.words(), **words,
        )  # fmt: skip
    say(json, found.to_dict, found.table)
    wrote((file, lambda: found.parquet() if form == "parquet" else found.csv().encode(), ""))
    if not found.complete:
        note("roofline: interrupted; the result above covers what was done")
        raise SystemExit(130)


def _table(file: Path | None) -> str:
    form = "" if file is None else file.suffix.removeprefix(".").lower()
    if file is not None and form not in ("csv", "parquet"):
        raise QuestionError(fault("-o", str(file), "a table is csv or parquet", "end the file name in one of them"))
    return form


def _apart(text: str | None) -> list[str] | None:
    return None if text is None else [each.strip() for each in text.split(",")]


def _sizes(typed: list[str] | None, phases: Sequence[str]) -> dict[str, Any]:
    """Return the words of ``--set``: lists of numbers where they are such, else of text.

    Raises:
        QuestionError: a name that is not a word of the phases; one that has a flag says so.
    """
    nouns = [PHASES[phase] for phase in phases if phase in PHASES]
    known = {each.name for noun in nouns for each in attrs.fields(noun) if each.name != "model"} | set(_WORDS)
    out: dict[str, Any] = {}
    for name, values in assignments("--set", typed).items():
        if name not in known:
            flag = f"--{name.replace('_', '-')}"
            remedy = f"give {flag}" if name in _FLAGS else near(name, known, "words")
            raise QuestionError(fault("--set", name, f"is not a size or word of {' or '.join(phases)}", remedy))
        numeric = all(value[:1].isdigit() or value[:1] in "+-." for value in values)
        out[name] = several(f"--set {name}", ",".join(values)) if numeric else values
    return out


_FLAGS: Final = (
    "system", "phase", "chips", "vary", "limit", "by", "top", "frontier", "per", "dtype", "tp", "pp", "dp", "ep", "level", "power",
    "price", "prefill_chips", "prefill_tp", "engine", "launch", "memory_fraction", "framework", "workers", "checkpoint",
)  # fmt: skip
