"""Measured runs: untrusted rows read into objects. An empty cell is unknown; any other is checked.

Two kinds of file are distinguished by their columns:

=========  ==============================================================================================
serving    ``model system input_len``, and any of :data:`SERVING` beside them
training   ``model system seq_len global_batch``, and any of :data:`TRAINING` beside them
=========  ==============================================================================================

Columns that are not known are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, TypeVar

from attrs import evolve, frozen

from roofline.core.errors import DescriptorError, fault, near
from roofline.core.fields import MOST_RANKS
from roofline.core.units import GIGA, TERA
from roofline.hardware.engines import KINDS
from roofline.validation import names
from roofline.validation.cells import Column, Row, numbers, read, text_of, word
from roofline.validation.training_notes import SOFTWARE, Noted, noted

MODES: Final = ("online", "offline", "static", "prefill", "decode")
"""online: requests always in flight; offline: all queued, maximum rate; static: one batch; prefill; decode."""

_POOLS: Final = re.compile(r"prefill (\d{1,6}) x \(tp(\d{1,6}) dp(\d{1,6}) ep(\d{1,6})\)")
_WORKERS: Final = re.compile(r"\d{1,6} prefill \+ \d{1,6} decode workers of TP(\d{1,6})")
_FILLED: Final = re.compile(r"mem(?:ory)? fraction (0?\.\d{1,3})(?!\d)")
_SLOTS: Final = re.compile(r"(\d{1,5}(?:\.\d{1,3})?) requests a slot|(\d{1,3}) prompts a slot")
_SPREAD: Final = re.compile(r"cv (?:about )?(\d(?:\.\d{1,3})?)")
_BURST: Final = re.compile(r"(\d[\d,]{0,8}) (?:prompts|requests)[^;]*(?:;[^;]*)*burst")
_NOMINAL: Final = re.compile(r"tp/dp are nominal")
_LET_IN: Final = re.compile(r"at most (\d{1,6}) requests run|max_num_seqs (\d{1,6})")


@frozen
class Pool:
    """Chips that do the same work, and how one replica on them is split; None where that is not known.

    Attributes:
        chips: chips of the pool.
        tp: tensor parallel degree.
        pp: pipeline stages.
        dp: attention data parallel degree.
        ep: expert parallel degree.
    """

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
        id: name of the row, or its number where it has none.
        group: the set of measurements it belongs to.
        model: name of the model.
        system: name of the system.
        pool: all its chips; with disaggregated prefill, the decode pool.
        prefill_pool: the prefill pool; None where ``pool`` does both.
        mode: kind of measurement: ``online``, ``offline``, ``static``, ``prefill`` or ``decode``.
        weight_dtype: stored format of the weights; "" where it is not known.
        kv_dtype: stored format of the KV cache; "" where it is not known.
        act_dtype: format of the activations that are multiplied; "" where it is not known.
        input: tokens in of a request; in mode decode, those cached at the start.
        output: tokens out of a request.
        concurrency: requests in flight in the whole deployment; of a static run, the batch.
        draft_tokens: speculative tokens verified at each step; None where none are, or it is not known.
        accept_length: mean tokens emitted a step with them; None where it is not known.
        engine: name of the serving engine; "" where it is not known.
        engine_version: its release; "" where it is not known.
        ttft: measured time to the first token, s.
        tpot: measured time between tokens, s.
        tokens_per_second: measured rate of the whole deployment; in mode prefill, of prompt tokens.
        memory_fraction: share of a chip's memory that was filled, where the note says it.
        launch: kind of launch, one of :data:`roofline.hardware.engines.KINDS`; "" where it is not known.
        slots: requests that each slot of a closed loop serves.
        variation: standard deviation of the lengths over their mean; None where it is not known.
        most: requests that the service lets in at most, where the note says it; None where it does not.
        not_fitted: why no constant may be fitted to the run, though it is scored; "" where nothing speaks against it.
        quality: A all that matters is known, B but for what hardly does, C ambiguous; "" where it is not judged.
        source: where it was measured.
        note: what else is known of the row.
        fault: why the row is refused; "" where it is not.
    """

    id: str
    group: str
    model: str
    system: str
    pool: Pool
    prefill_pool: Pool | None
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
    launch: str = ""
    slots: float | None = None
    variation: float | None = None
    most: float | None = None
    not_fitted: str = ""
    quality: str = ""
    source: str = ""
    note: str = ""
    fault: str = ""

    @property
    def measured(self) -> dict[str, float]:
        """What was measured, by the names that predictions carry."""
        found = {"ttft_s": self.ttft, "tpot_s": self.tpot, "output_tokens_per_s": self.tokens_per_second}
        return {name: value for name, value in found.items() if value is not None}


@frozen
class TrainingRun:
    """One measured training run: the time of an optimizer step.

    Attributes:
        id: name of the row, or its number where it has none.
        group: the set of measurements it belongs to.
        model: name of the model.
        system: name of the system.
        chips: packages that it ran on.
        node: packages of a host.
        dtype: format that matrices are multiplied in.
        length: tokens of a sequence.
        document: tokens that attend to each other, where several documents are packed into a sequence.
        batch: sequences of a step in the whole deployment.
        micro_batch: sequences of a micro-batch on a data-parallel rank.
        tp: tensor parallel degree, chips.
        pp: pipeline stages, chips.
        vpp: chunks of a stage that are interleaved.
        cp: context parallel degree, chips.
        ep: expert parallel degree, chips.
        dp: data parallel degree, chips.
        etp: tensor parallel degree of an expert, chips.
        sharding: what data-parallel ranks do not keep copies of.
        recompute: what is recomputed in the backward pass; ``unknown`` where the columns do not say.
        sequence_parallel: 1 where tokens are split between tensor-parallel regions, 0 where not; None where it is not
            known.
        task: what is trained: ``pretrain``, ``finetune`` or ``lora``.
        framework: name of the framework; "" where it is not known.
        kind: ``dense`` or ``MoE``, once its model is known.
        step_time: measured time of an optimizer step, s.
        rate: tokens per second per chip, as measured.
        noted: what the columns ``software`` and ``release`` say, and what the note says where they are empty.
        quality: A all that matters is known, B but for what hardly does, C ambiguous; "" where it is not judged.
        source: where it was measured.
        note: what else is known of the row.
        fault: why the row is refused; "" where it is not.
    """

    id: str
    group: str
    model: str
    system: str
    chips: float | None = None
    node: float | None = None
    dtype: str = ""
    length: float | None = None
    document: float | None = None
    batch: float | None = None
    micro_batch: float | None = None
    tp: float | None = None
    pp: float | None = None
    vpp: float | None = None
    cp: float | None = None
    ep: float | None = None
    dp: float | None = None
    etp: float | None = None
    sharding: str = ""
    recompute: str = "unknown"
    sequence_parallel: float | None = None
    task: str = "pretrain"
    framework: str = ""
    kind: str = ""
    step_time: float | None = None
    rate: float | None = None
    noted: Noted = Noted()
    quality: str = ""
    source: str = ""
    note: str = ""
    fault: str = ""

    @property
    def assumed(self) -> tuple[str, ...]:
        """Columns whose values the file's maker put in."""
        return self.noted.assumed

    @property
    def measured(self) -> dict[str, float]:
        """What was measured, by the name that predictions carry: the step's time, from the rate where only that is known."""
        time = self.step_time
        if time is None and self.rate and self.batch and self.length and self.chips:
            time = self.batch * self.length / (self.rate * self.chips)
        return {} if time is None else {"step_time_s": time}

    @property
    def configuration(self) -> TrainingRun:
        """The run without what tells it from its repeats: other releases of the software, other logs."""
        return evolve(self, id="", step_time=None, rate=None, noted=Noted(), quality="", source="", note="")


_DEGREE: Final = Column(1, MOST_RANKS, whole=True)
_MEASURED: Final = Column(1 / GIGA, TERA * GIGA)
SERVING: Final[Mapping[str, Column]] = {
    **dict.fromkeys(("chips", "prefill_chips", "decode_chips", "tp", "pp", "dp", "ep"), _DEGREE),
    "input_len": Column(),
    "output_len": Column(1),
    "concurrency": Column(strict=True),
    "draft_tokens": Column(whole=True),
    "accept_length": Column(1),
    "requests_per_slot": Column(strict=True),
    "length_variation": Column(),
    **dict.fromkeys(("output_tokens_per_s", "ttft_s", "tpot_s"), _MEASURED),
}
"""Columns of numbers of a serving run. The others are text."""

SHARDINGS: Final = ("none", "zero1", "zero2", "zero3")
RECOMPUTES: Final = ("none", "selective", "full", "unknown")
TASKS: Final = ("pretrain", "finetune", "lora")
TRAINING: Final[Mapping[str, Column]] = {
    **dict.fromkeys(("chips", "chips_per_node", "tp", "pp", "vpp", "cp", "ep", "dp", "etp"), _DEGREE),
    "seq_len": Column(1),
    "document": Column(1),
    "global_batch": Column(strict=True),
    "micro_batch": Column(strict=True),
    "sequence_parallel": Column(0, 1, whole=True),
    "release": Column(15, 100),
    **dict.fromkeys(("step_time_s", "tokens_per_s_per_chip"), _MEASURED),
}
"""Columns of numbers of a training run. The others are text."""

TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "serving": (
        "id", "group", "model", "system", "mode", "weight_dtype", "kv_dtype", "act_dtype", "engine", "engine_version", "launch",
        "not_fitted", "quality", "source", "note",
    ),
    "training": (
        "id", "group", "model", "system", "dtype", "sharding", "recompute", "task", "framework", "software", "quality", "source", "note",
    ),
}  # fmt: skip
"""Columns of text of runs of each kind."""


def unread(columns: Iterable[str], name: str) -> tuple[str, ...]:
    """Return the columns of a file that are of no use to runs of a kind, each with what it may have been meant to be.

    >>> unread(["model", "system", "input_len", "outptu_len"], "serving")
    ('outptu_len: did you mean output_len?',)
    """
    known = (*TEXTS[name], *(SERVING if name == "serving" else TRAINING))
    out = []
    for column in columns:
        if column not in known:
            meant = get_close_matches(column.lower(), known, 1, 0.8)
            out.append(f"{column}: did you mean {meant[0]}?" if meant else column)
    return tuple(out)


_SIGNS: Final[Mapping[str, tuple[str, ...]]] = {
    "serving": ("input_len",),
    "training": ("step_time_s", "seq_len", "global_batch"),
}
"""Columns by which files are distinguished, in the order in which they are looked for."""


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
            "a serving run has model, system, input_len; a training run model, system, seq_len, global_batch",
        )
    )


def serving_runs(rows: Sequence[Row], file: str = "rows") -> tuple[ServingRun, ...]:
    """Return the runs of serving in rows.

    Raises:
        DescriptorError: a column is missing, a cell breaks its column's rule, or two rows have one id.
    """
    return read(rows, file, "serving", ("model", "system", "input_len"), made=_serving, refused=_faulty)


def training_runs(rows: Sequence[Row], file: str = "rows") -> tuple[TrainingRun, ...]:
    """Return the runs of training in rows.

    Raises:
        DescriptorError: a column is missing, a cell breaks its column's rule, or two rows have one id.
    """
    return read(rows, file, "training", ("model", "system", "seq_len", "global_batch"), made=_training, refused=_faulty)


def _faulty(run: Run, reason: str) -> Run:
    return evolve(run, fault=reason)


Run = TypeVar("Run", ServingRun, TrainingRun)


def _training(row: Row, place: str, i: int) -> TrainingRun:
    n = numbers(row, TRAINING, place)
    note, group, source = (text_of(row, name) for name in ("note", "group", "source"))
    known = _noted(row, noted(note), n["release"], place)
    return TrainingRun(
        id=text_of(row, "id") or str(i), group=group, model=text_of(row, "model"), system=text_of(row, "system"),
        chips=n["chips"], tp=n["tp"], pp=n["pp"], vpp=n["vpp"], cp=n["cp"], ep=n["ep"], dp=n["dp"],
        node=n["chips_per_node"], dtype=text_of(row, "dtype").lower(), length=n["seq_len"], document=n["document"], batch=n["global_batch"],
        micro_batch=n["micro_batch"], etp=known.etp if n["etp"] is None else n["etp"], sequence_parallel=n["sequence_parallel"],
        sharding=word(row, "sharding", SHARDINGS, place, ""), recompute=word(row, "recompute", RECOMPUTES, place, "unknown"),
        task=word(row, "task", TASKS, place, "pretrain"),
        framework=names.framework(text_of(row, "framework"), (group, source, note)),
        step_time=n["step_time_s"], rate=n["tokens_per_s_per_chip"], noted=known,
        quality=text_of(row, "quality").upper(), source=source, note=note,
    )  # fmt: skip


def _noted(row: Row, said: Noted, release: float | None, place: str) -> Noted:
    """Return what is known of a run's software: what its columns state, else what its note says.

    Raises:
        DescriptorError: a word of the column ``software`` is unknown.
    """
    stated = [each.strip().lower() for each in text_of(row, "software").split("+") if each.strip()]
    for each in stated:
        if each not in SOFTWARE:
            raise DescriptorError(
                fault(f"{place}: software", each, "no such word", near(each, tuple(SOFTWARE), "words of software"))
            )
    return evolve(said, software=tuple(stated) or said.software, release=said.release if release is None else release)


def _serving(row: Row, place: str, i: int) -> ServingRun:
    def text(name: str) -> str:
        return text_of(row, name)

    n = numbers(row, SERVING, place)
    mode = word(row, "mode", MODES, place, "online")
    drafts, accepted = n["draft_tokens"], n["accept_length"]
    if drafts is not None and accepted is not None and accepted > drafts + 1:
        rule = f"cannot exceed draft_tokens + 1 = {drafts + 1:g}, the tokens of one step"
        raise DescriptorError(fault(f"{place}: accept_length", text("accept_length"), rule))
    note, group, source = text("note"), text("group"), text("source")
    filled, of = _FILLED.search(note), names.collection(group, source)
    slots, variation = _client(n, note)
    let_in = _LET_IN.search(note)
    apart = mode == "online" and n["decode_chips"] is not None
    own = n["decode_chips"] if apart else n["chips"] or n["decode_chips"] or n["prefill_chips"]
    # Degrees that a note calls nominal are not the layout: attention that is cut in several ways.
    tp, dp = (None, None) if _NOMINAL.search(note) else (n["tp"], n["dp"])
    pool = Pool(own, tp, n["pp"], dp, n["ep"])
    return ServingRun(
        id=text("id") or str(i), group=group, model=text("model"), system=text("system"), mode=mode,
        pool=pool, prefill_pool=_prefill_pool(n["prefill_chips"], pool, note) if apart else None,
        **{name: text(name).lower() for name in ("weight_dtype", "kv_dtype", "act_dtype")},
        input=n["input_len"], output=n["output_len"], concurrency=n["concurrency"],
        draft_tokens=drafts, accept_length=accepted,
        engine=names.engine(text("engine"), (group, source, note)), engine_version=text("engine_version"),
        ttft=n["ttft_s"], tpot=n["tpot_s"], tokens_per_second=n["output_tokens_per_s"],
        memory_fraction=float(filled[1]) if filled else None,
        launch=word(row, "launch", KINDS, place, of.launch), slots=slots, most=float(let_in[1] or let_in[2]) if let_in else None,
        variation=of.variation if variation is None else variation,
        not_fitted=text("not_fitted"), quality=text("quality").upper(), source=source, note=note,
    )  # fmt: skip


def _client(n: Mapping[str, float | None], note: str) -> tuple[float | None, float | None]:
    """Return the requests of each slot of a closed loop and the spread of lengths: the columns', else the note's."""
    slots, variation = n["requests_per_slot"], n["length_variation"]
    slot_count, wide, burst = _SLOTS.search(note), _SPREAD.search(note), _BURST.search(note)
    if slots is None and slot_count:
        slots = float(slot_count[1] or slot_count[2])
    elif slots is None and burst and n["concurrency"]:
        slots = max(float(burst[1].replace(",", "")) / n["concurrency"], 1.0)
    return slots, float(wide[1]) if variation is None and wide else variation


def _prefill_pool(chips: float | None, pool: Pool, note: str) -> Pool:
    """Return the prefill pool: as the note states, else with the layout of the decode pool."""
    pools, workers = _POOLS.search(note), _WORKERS.search(note)
    if pools:
        replicas, tp, dp, ep = (float(word) for word in pools.groups())
        return Pool(chips if chips is not None else replicas * tp * dp, tp, 1.0, dp, ep)
    if workers:
        return Pool(chips, float(workers[1]), 1.0, 1.0, pool.ep)
    whole = (pool.tp or 1.0) * (pool.pp or 1.0) * (pool.dp or 1.0)
    # A pool smaller than a replica of the one that decodes is split in its own way.
    return Pool(chips) if chips is not None and chips % whole else Pool(chips, pool.tp, pool.pp, pool.dp, pool.ep)
