r"""Checks measurements against bounds: no measurement may be faster than the ``ideal`` level.

Three kinds of measurement are held to it: runs of services and of training, single operators, and timings of kernels and collectives.
A service under load trades the time of prompts against that of tokens, so that neither of the two is bounded by what an ideal service
makes of them together. A run of requests in flight is therefore held to three bounds:

* ``prompt``: its time to first token, by the time of one prompt alone;
* ``step``: its time per token, by a step that decodes the requests which are past their first token, on average
  :math:`c\,(o - 1) T / (F + (o - 1) T)` of c in flight (o tokens out, T a token, F to the first);
* ``rate``: its tokens per second, by those of the ideal service: all work of all requests, and the memory there is.

What a row leaves open is taken at its quickest: a cache of 8 bits, drafts that are all accepted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from attrs import evolve, frozen

from roofline import catalog
from roofline.calibration import networks
from roofline.calibration.calibrate import MACHINES
from roofline.calibration.timings import read
from roofline.core.arrays import expected_distinct
from roofline.core.errors import RooflineError
from roofline.core.units import GIGA, MICRO, TERA, Bytes, Ratio, Seconds
from roofline.hardware.hardware import System
from roofline.models.dtypes import dtype
from roofline.operators.operations import Message, Op, Operation
from roofline.physics.collectives import price as send
from roofline.physics.pricing import price
from roofline.validation import replay, training_replay
from roofline.validation.runs import ServingRun, serving_runs, training_runs

TOLERANCE: Final = 0.03
"""Error of a measurement: clocks that run above the stated boost, times that were rounded."""
_DRAFTS: Final = 3.0
"""Tokens drafted for a step where nobody says how many, of a model that has modules to draft with."""
_NARROW: Final = "fp8"
_COLUMNS: Final = ("gpus", "tokens", "hidden", "topk", "groups", "m", "n", "k", "stride")


@frozen
class BeatenBound:
    """Measurements that are quicker than their bound.

    Attributes:
        file: ``serving``, ``training``, ``operators``, ``timings`` or ``networks``.
        key: id of a run; chip, kernel and stack of timings; system, collective and ranks of a published collective.
        check: what was measured.
        count: measurements of this key and check that are quicker.
        ratio: the quickest, over its bound.
        reason: why, as far as it is known; "" for none.
    """

    file: str
    key: str
    check: str
    count: int
    ratio: Ratio
    reason: str = ""


@frozen
class Checked:
    """How many measurements were held to their bounds, and those that beat them by more than the tolerance.

    Attributes:
        count: measurements that were held to their bounds.
        beaten: those that beat them by more than the tolerance.
    """

    count: int
    beaten: tuple[BeatenBound, ...]


def serving(rows: Sequence[Mapping[str, object]], name: str = "serving") -> Checked:
    """Hold runs of services to their bounds."""
    asked = [each for run in serving_runs(rows, name) if not run.fault for each in _bounding_runs(run)]
    labels = {id(run): check for check, run in asked}
    found = []
    for p in replay.predict([run for _, run in asked], "ideal"):
        if p.predicted is not None and p.measured is not None:
            ratio = p.predicted / p.measured if p.quantity == "output_tokens_per_s" else p.measured / p.predicted
            found.append((p.run.id, labels.get(id(p.run)) or p.quantity, ratio))
    return _checked("serving", found)


def _bounding_runs(given: ServingRun) -> Iterator[tuple[str, ServingRun]]:
    """Yield the runs that bound what was measured of one, each with the name of its check."""
    run = _quickest(given)
    if run.mode != "online":
        yield "", run
        return
    plain = evolve(run, ttft=None, tpot=None, tokens_per_second=None)
    first, each, flight, out = run.ttft, run.tpot, run.concurrency, run.output
    if first:
        yield "prompt", evolve(
            plain, mode="prefill", concurrency=1.0, output=1.0, pool=run.prefill_pool or run.pool, prefill_pool=None, ttft=first,
            draft_tokens=0.0, accept_length=1.0, slots=None, variation=None,
        )  # fmt: skip
    rate = run.tokens_per_second
    if each and flight and out:
        life = (out - 1) * each
        busy = flight * life / (life + (first or 0.0)) if life else flight
        yield (
            "step",
            evolve(plain, mode="decode", concurrency=busy, tpot=each, prefill_pool=None, slots=None, variation=None),
        )
        if rate is None and first:
            rate = flight * out / (first + life)
    if rate:
        yield "rate", evolve(plain, tokens_per_second=rate)


def _quickest(run: ServingRun) -> ServingRun:
    """Return a run with what its row leaves open as quick as it can be."""
    change: dict[str, object] = {} if run.kv_dtype else {"kv_dtype": _NARROW}
    if run.memory_fraction is None:
        # What an engine leaves free by default is no bound: its user may have given it all.
        change["memory_fraction"] = 1.0
    if run.draft_tokens is None and run.accept_length is None and _drafting(run.model):
        change |= {"draft_tokens": _DRAFTS, "accept_length": _DRAFTS + 1}
    elif run.draft_tokens and run.accept_length is None:
        change["accept_length"] = run.draft_tokens + 1
    return evolve(run, **change)  # type: ignore[arg-type]


def _drafting(name: str) -> bool:
    try:
        return bool(catalog.model(name).mtp)
    except RooflineError:
        return False


def training(rows: Sequence[Mapping[str, object]], name: str = "training") -> Checked:
    """Hold steps of training to their bounds."""
    found = training_replay.predict(training_runs(rows, name), "ideal")
    ratios = [(p.run.id, "step", p.measured / p.predicted) for p in found if p.predicted and p.measured]
    return _checked("training", ratios)


def timings(rows: Iterable[Mapping[str, str]]) -> Checked:
    """Hold timings of kernels and collectives to their bounds; those whose data stay in a cache from run to run are left aside."""
    by: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        by[row["hardware"]].append(row)
    found: list[tuple[str, str, Ratio]] = []
    for name, mine in by.items():
        rack = catalog.system(MACHINES.get(name, name))
        ideal = catalog.profile("ideal", rack)
        for timed in read(mine, rack.chip).timings:
            ratios = np.ravel(np.asarray(timed.measured) / price(timed.work, rack, ideal).time)
            found += [(f"{name} {timed.name} {timed.stack}".strip(), "time", float(ratio)) for ratio in ratios]
    return _checked("timings", found)


def collectives(rows: Iterable[Mapping[str, str]]) -> Checked:
    """Hold published collectives between nodes to their bounds, by whatever way."""
    ratios = []
    for row in networks.read(rows, "ideal"):
        bound: Seconds = send(row.message, row.tiers, row.profile).time
        ratios.append(
            (f"{row.group} {row.system} {row.message.collective} {row.ranks:g}", "time", float(row.measured / bound))
        )
    return _checked("networks", ratios)


def operators(rows: Iterable[Mapping[str, str]]) -> Checked:
    """Hold published operators to their bounds: latent attention, experts' products, tokens to experts and back, and copies."""
    ratios = []
    for row in rows:
        rack = catalog.system(row["system"])
        work = _operator(row, rack)
        if work is None:
            continue
        bound = float(np.ravel(price(work, rack, catalog.profile("ideal", rack)).time)[0])
        name = next(name for name in ("measured_us", "measured_gb_s", "measured_tflop_s") if row[name])
        shown = float(row[name]) * {"measured_us": MICRO, "measured_gb_s": GIGA, "measured_tflop_s": TERA}[name]
        time = shown if name == "measured_us" else _done(rack, work, name) / shown
        ratios.append((f"{row['kind']} {row['series']} {row['system']} {row['gpus']}".strip(), name, time / bound))
    return _checked("operators", ratios)


def _operator(row: Mapping[str, str], rack: System) -> Operation | None:
    """Return what a row does; None of a whole layer, which is no operator."""
    kind, columns = row["kind"], {name: float(row[name] or 0) for name in _COLUMNS}
    if kind == "decode_layer":
        return None
    if kind.startswith("mla"):
        (timed,) = read([{**row, "kernel": kind, "kv_dtype": row["dtype"], "measured_us": "1"}], rack.chip).timings
        return timed.work
    if kind.startswith("p2p"):
        return Message("copy", "point_to_point", GIGA, columns["gpus"], columns["stride"])
    if kind in ("dispatch", "combine"):
        size = columns["tokens"] * columns["hidden"] * dtype(row["dtype"]).passed
        return Message("experts", kind, size, columns["gpus"], copies=columns["topk"])
    groups, m, n, k = (columns[name] for name in ("groups", "m", "n", "k"))
    moved = groups * (n * k + m * k + 2 * m * n)
    return Op("grouped", "gemm", row["dtype"], 2 * groups * m * n * k, moved, depth=k, form=row["dtype"])


def _done(rack: System, work: Operation, name: str) -> float:
    """Return what a published rate counts: FLOP, or bytes; of a message a copy for each rank of a node, or each node beyond it."""
    if isinstance(work, Op):
        return float(np.ravel(work.flops if name == "measured_tflop_s" else work.bytes)[0])
    return float(_published(rack, work))


def _published(rack: System, message: Message) -> Bytes:
    if message.collective == "point_to_point":
        return message.size
    node = float(rack.tiers[0].size)
    units = message.group / node if message.group > node else message.group
    return message.size * float(expected_distinct(units, 1 / units, message.copies))


def explained(found: Sequence[BeatenBound], path: Path) -> list[BeatenBound]:
    """Return what beats its bound, each with the reason that a table gives for it: columns ``file key check count ratio reason``.

    A reason holds for as many measurements as its row says, and as far below the bound.
    """
    known = {(row["file"], row["key"], row["check"]): row for row in catalog.read_rows(path)}
    out = []
    for each in found:
        row = known.get((each.file, each.key, each.check))
        holds = row is not None and each.count <= int(row["count"]) and each.ratio >= float(row["ratio"]) - 0.005
        out.append(evolve(each, reason=row["reason"] if row is not None and holds else ""))
    return out


def _checked(file: str, told: Sequence[tuple[str, str, Ratio]]) -> Checked:
    least: dict[tuple[str, str], list[Ratio]] = defaultdict(list)
    for key, check, ratio in told:
        if ratio < 1 - TOLERANCE:
            least[key, check].append(ratio)
    beaten = [BeatenBound(file, key, check, len(ratios), float(min(ratios))) for (key, check), ratios in least.items()]
    return Checked(len(told), tuple(sorted(beaten, key=lambda each: each.ratio)))
