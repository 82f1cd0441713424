"""Measured runs: rows that a stranger wrote, read into nouns. A cell that is empty is unknown; any other is checked.

Two kinds of file are told apart by their columns:

=========  ==============================================================================================
serving    ``model system input_len``, and any of :data:`SERVING` beside them
training   ``model system seq_len global_batch step_time_s``: recognised, and not priced yet
=========  ==============================================================================================

Columns that are not known are left alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from roofline.errors import DescriptorError, fault, near
from roofline.fields import MOST_RANKS, MOST_TOKENS
from roofline.units import GIGA, TERA

MODES: Final = ("online", "offline", "static", "prefill", "decode")
"""online: requests always in flight; offline: all queued, maximum rate; static: one batch; prefill; decode."""

ENGINES: Final[Mapping[str, str]] = {
    "vllm-ascend": r"vllm[- ]ascend",
    "vllm": r"vllm",
    "sglang": r"sglang",
    "trtllm": r"trt-?llm|tensorrt-?llm",
    "fastertransformer": r"fastertransformer",
    "lmdeploy": r"lmdeploy",
    "mindie": r"mindie",
    "llama.cpp": r"llama\.?cpp",
    "gpt-fast": r"gpt-fast",
    "nim": r"nim",
}
"""Serving engines, and how their names are written in prose; the first that is found counts."""

_WRITTEN: Final = {name: re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z])") for name, words in ENGINES.items()}
_POOLS: Final = re.compile(r"prefill (\d{1,6}) x \(tp(\d{1,6}) dp(\d{1,6}) ep(\d{1,6})\)")
_WORKERS: Final = re.compile(r"\d{1,6} prefill \+ \d{1,6} decode workers of TP(\d{1,6})")
_FILLED: Final = re.compile(r"mem(?:ory)? fraction (0?\.\d{1,3})(?!\d)")
_LONGEST: Final = 40


@frozen
class Pool:
    """Chips that do the same work, and how one replica on them is split; None where that is not known."""

    chips: float | None = None
    tp: float | None = None
    pp: float | None = None
    dp: float | None = None
    ep: float | None = None

    @property
    def degrees(self) -> dict[str, float]:
        """The degrees that are known."""
        found = {name: getattr(self, name) for name in ("tp", "pp", "dp", "ep")}
        return {name: value for name, value in found.items() if value is not None}


@frozen
class ServingRun:
    """One measured operating point of a serving system.

    Attributes:
        pool: all its chips; those that decode where prompts are read elsewhere, on those of ``prompts``.
        weight_dtype, kv_dtype, act_dtype: stored formats; "" where they are not known.
        input, output: tokens in and out of a request; in mode decode, ``input`` are those cached at the start.
        concurrency: requests in flight in the whole deployment; of a static run, the batch.
        ttft, tpot, tokens_per_second: what was measured; in mode prefill, the rate is of prompt tokens.
        memory_fraction: share of a chip's memory that was filled, where the note says it.
        quality: A all that matters is known, B but for what hardly does, C ambiguous; "" for nobody's judgement.
    """

    id: str
    group: str
    model: str
    system: str
    pool: Pool
    prompts: Pool | None
    mode: str
    weight_dtype: str = ""
    kv_dtype: str = ""
    act_dtype: str = ""
    input: float | None = None
    output: float | None = None
    concurrency: float | None = None
    draft_tokens: float | None = None
    accept_length: float | None = None
    engine: str = ""
    engine_version: str = ""
    ttft: float | None = None
    tpot: float | None = None
    tokens_per_second: float | None = None
    memory_fraction: float | None = None
    quality: str = ""
    source: str = ""
    note: str = ""

    @property
    def measured(self) -> dict[str, float]:
        """What was measured, by the names that predictions carry."""
        found = {"ttft_s": self.ttft, "tpot_s": self.tpot, "output_tokens_per_s": self.tokens_per_second}
        return {name: value for name, value in found.items() if value is not None}


@frozen
class Column:
    """What a number in a column must be: in [low, high], above ``low`` if ``strict``, whole if ``whole``."""

    low: float = 0.0
    high: float = MOST_TOKENS
    whole: bool = False
    strict: bool = False

    @property
    def rule(self) -> str:
        """The rule in words."""
        kind = "whole number" if self.whole else "number"
        return f"must be a finite {kind} {'above' if self.strict else 'of at least'} {self.low:g} and at most {self.high:g}"

    def keeps(self, value: float) -> bool:
        """Return whether a number keeps the rule."""
        above = value > self.low if self.strict else value >= self.low
        return above and value <= self.high and (not self.whole or math.floor(value) == value)


_DEGREE: Final = Column(1, MOST_RANKS, whole=True)
_MEASURED: Final = Column(1 / GIGA, TERA * GIGA)
SERVING: Final[Mapping[str, Column]] = {
    **dict.fromkeys(("chips", "prefill_chips", "decode_chips", "tp", "pp", "dp", "ep"), _DEGREE),
    "input_len": Column(),
    "output_len": Column(1),
    "concurrency": Column(strict=True),
    "draft_tokens": Column(whole=True),
    "accept_length": Column(1),
    **dict.fromkeys(("output_tokens_per_s", "ttft_s", "tpot_s"), _MEASURED),
}
"""Columns of numbers of a serving run. The others are text."""

_SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "serving": ("input_len",),
    "training": ("step_time_s", "seq_len", "global_batch"),
}
"""Columns by which files are told apart, in the order in which they are looked for."""


def kind(columns: Iterable[str], file: str = "rows") -> str:
    """Return the kind of runs that a file with these columns holds: ``serving`` or ``training``.

    >>> kind(["model", "system", "input_len", "ttft_s"])
    'serving'

    Raises:
        DescriptorError: neither.
    """
    known = set(columns)
    for name, signs in _SIGNS.items():
        if known & set(signs):
            return name
    raise DescriptorError(
        fault(
            f"{file}: columns",
            ",".join(sorted(known)),
            "are of no known kind of run",
            "a serving run has model, system, input_len",
        )
    )


def serving_runs(rows: Sequence[Mapping[str, object]], file: str = "rows") -> tuple[ServingRun, ...]:
    """Return the runs in rows.

    Raises:
        DescriptorError: a column is missing, a cell breaks its column's rule, or two rows have one id.
    """
    columns = {name for row in rows for name in row}
    for name in ("model", "system", "input_len"):
        if name not in columns:
            raise DescriptorError(f"{file}: {name}: is missing; a serving run has model, system and input_len at least")
    out, seen = [], dict[str, int]()
    for i, row in enumerate(rows, 1):
        run = _run(row, f"{file}: row {i}", i)
        if run.id in seen:
            raise DescriptorError(
                fault(f"{file}: row {i}: id", run.id, f"is that of row {seen[run.id]} too", "give each row its own")
            )
        seen[run.id] = i
        out.append(run)
    return tuple(out)


def _run(row: Mapping[str, object], place: str, i: int) -> ServingRun:
    def text(name: str) -> str:
        cell = row.get(name)
        # Tables of other libraries hold NaN where a cell is empty.
        return "" if cell is None or cell != cell else str(cell).strip()  # noqa: PLR0124

    n = {name: _number(text(name), column, f"{place}: {name}") for name, column in SERVING.items()}
    mode = text("mode").lower() or "online"
    if mode not in MODES:
        raise DescriptorError(fault(f"{place}: mode", mode, "no such mode", near(mode, MODES, "modes")))
    drafts, kept = n["draft_tokens"], n["accept_length"]
    if drafts is not None and kept is not None and kept > drafts + 1:
        rule = f"cannot exceed draft_tokens + 1 = {drafts + 1:g}, the tokens of one step"
        raise DescriptorError(fault(f"{place}: accept_length", text("accept_length"), rule))
    note, group, source = text("note"), text("group"), text("source")
    filled = _FILLED.search(note)
    apart = mode == "online" and n["decode_chips"] is not None
    own = n["decode_chips"] if apart else n["chips"] or n["decode_chips"] or n["prefill_chips"]
    pool = Pool(own, n["tp"], n["pp"], n["dp"], n["ep"])
    return ServingRun(
        id=text("id") or str(i), group=group, model=text("model"), system=text("system"), mode=mode,
        pool=pool, prompts=_prompts(n["prefill_chips"], pool, note) if apart else None,
        **{name: text(name).lower() for name in ("weight_dtype", "kv_dtype", "act_dtype")},
        input=n["input_len"], output=n["output_len"], concurrency=n["concurrency"],
        draft_tokens=drafts, accept_length=kept,
        engine=_engine(text("engine"), (group, source, note)), engine_version=text("engine_version"),
        ttft=n["ttft_s"], tpot=n["tpot_s"], tokens_per_second=n["output_tokens_per_s"],
        memory_fraction=float(filled[1]) if filled else None,
        quality=text("quality").upper(), source=source, note=note,
    )  # fmt: skip


def _number(text: str, column: Column, place: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text) if len(text) <= _LONGEST and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not column.keeps(value):
        raise DescriptorError(fault(place, text, column.rule, "leave the cell empty where it is not known"))
    return value


def _prompts(chips: float | None, pool: Pool, note: str) -> Pool:
    """Return the pool that reads prompts: as the note says, else split as the one that decodes."""
    told, workers = _POOLS.search(note), _WORKERS.search(note)
    if told:
        replicas, tp, dp, ep = (float(word) for word in told.groups())
        return Pool(chips if chips is not None else replicas * tp * dp, tp, 1.0, dp, ep)
    if workers:
        return Pool(chips, float(workers[1]), 1.0, 1.0, pool.ep)
    return Pool(chips, pool.tp, pool.pp, pool.dp, pool.ep)


def _engine(given: str, prose: Iterable[str]) -> str:
    """Return the engine's name as it is filed; of a run that does not say, the first that its prose names."""
    own = given.lower()
    if own:
        return next((name for name, words in _WRITTEN.items() if words.fullmatch(own)), own)
    found = (name for words in prose for name, pattern in _WRITTEN.items() if pattern.search(words.lower()))
    return next(found, "")
