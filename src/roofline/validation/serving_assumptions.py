"""Assumptions for what a measured serving run does not state: formats, layouts, drafts; each is reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.arrays import ceil
from roofline.core.errors import QuestionError, fault
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.models.drafters import eagle3
from roofline.planner.candidates import grid, ranks_of
from roofline.planner.estimate import estimate
from roofline.validation.runs import Pool, ServingRun
from roofline.workload.layout import Layout
from roofline.workload.questions import CHANCE_KEPT, HEAD_KEPT, KEPT_ERROR, Prefill, usual_accept_length

_WIDE: Final = ("bf16", "fp16")
_BY_WEIGHT: Final[Mapping[str, str]] = {"int8": "w8a16", "fp8": "w8a16", "nvfp4": "nvfp4-a16"}
"""Formats of weights alone, where activations stay in 16 bits."""

_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "online": ("input", "output"),
    "offline": ("input", "output"),
    "static": ("input", "output", "concurrency"),
    "prefill": ("input",),
    "decode": ("input",),
}
"""What a run of each mode must say."""


@frozen(eq=False)
class Case:
    """A run with everything decided that pricing needs.

    Attributes:
        run: the run.
        model: its model.
        system: its system.
        profile: the constants that price it.
        layouts: what its chips may be split into, on one axis; one where all degrees are known.
        prefill_pool: the layout of the prefill pool; None where one pool does both.
        draft_tokens: speculative tokens verified at each step.
        accept_length: mean tokens emitted a step with them.
        doubt: factors by which times per token may be shorter, and longer, because drafting is not known.
        requests_per_slot: requests that each slot of the benchmark serves.
        variation: standard deviation of the lengths over their mean.
        said: what was assumed.
    """

    run: ServingRun
    model: Model
    system: System
    profile: Calibration
    layouts: Layout
    prefill_pool: Layout | None
    draft_tokens: float
    accept_length: float
    doubt: tuple[float, float]
    requests_per_slot: float
    variation: float
    said: tuple[str, ...]

    @property
    def alike(self) -> tuple[object, ...]:
        """What runs must share to be priced as one array."""
        run = self.run
        words = (
            run.mode,
            run.model,
            run.system,
            run.memory_fraction,
            run.engine,
            run.engine_version,
            run.launch,
            run.most,
        )
        return (
            *words,
            self.model.formats,
            self.model.speculator,
            np.size(self.layouts.tp),
            self.prefill_pool is not None,
        )


Adjust = Callable[[Calibration], Calibration]


def opener(level: str | Path | Calibration, adjust: Adjust | None = None) -> Callable[[ServingRun], Case]:
    """Return what decides a run at a level of constants, which ``adjust`` may change; names that come again are looked up once."""
    models: dict[tuple[str, str | None, str | None], Model] = {}
    systems: dict[tuple[str, ...], tuple[System, Calibration]] = {}

    def model(name: str, dtype: str | None = None, kv_dtype: str | None = None) -> Model:
        key = (name, dtype, kv_dtype)
        if key not in models:
            models[key] = catalog.model(name) if key[1:] == (None, None) else model(name).stored(dtype, kv_dtype)
        return models[key]

    def open_(run: ServingRun) -> Case:
        _check(run)
        notes: list[str] = []
        key = (run.system, run.engine, run.engine_version, run.launch, run.mode)
        if key not in systems:
            found = catalog.system(run.system)
            own = catalog.profile(level, found)
            driven = own if own.level == "ideal" else own.driven(_stack(run, found, notes))
            systems[key] = found, driven if adjust is None else adjust(driven)
        system, profile = systems[key]
        if run.most is not None:
            limits = attrs.evolve(profile.engine, most=run.most / (run.pool.dp or 1.0), most_drafting=None)
            profile = attrs.evolve(profile, engine=limits)
        if run.memory_fraction:
            profile = profile.filled(run.memory_fraction)
        stored = model(run.model)
        asked = model(run.model, _weights(run, stored, notes), _cache(run, stored, profile.engine, notes))
        alone = not asked.mtp and asked.speculator is None
        drafts, accepted, doubt = _drafts(run, HEAD_KEPT if alone else CHANCE_KEPT, notes)
        if drafts > 0 and alone:
            notes.append("drafts by an EAGLE-3 head: the draft model is not recorded, and the model brings none")
            asked = asked.with_draft(eagle3(asked))
        layouts = _layouts(run.pool, asked, system, notes)
        prompts = None if run.prefill_pool is None else _reading(run, run.prefill_pool, asked, system, notes)
        slots, variation = _client(run, notes)
        return Case(
            run, asked, system, profile, layouts, prompts, drafts, accepted, doubt, slots, variation, tuple(notes)
        )

    return open_


_SLOTS: Final = 8.0
"""Requests that each slot of a benchmark serves, where that is not recorded."""


def _stack(run: ServingRun, system: System, said: list[str]) -> Engine:
    """Return the stack that served a run; one batch has no server around it, and offline no client waits for its tokens."""
    name, release = run.engine or "generic", run.engine_version
    runtime = _VERSIONS.match(release)
    if runtime:
        name, release = runtime[1], runtime[2]
    known = catalog.engines()
    if name not in known:
        said.append(f"engine {name!r} is not known: priced as any engine on this runtime")
        name = "generic"
    own = catalog.engine(f"{name}@{release}" if _PLAIN.fullmatch(release) else name, system, kind=run.launch)
    if run.mode in ("online", "offline"):
        return own if run.mode == "online" else attrs.evolve(own, stream=0.0, front=0.0)
    batch = catalog.engine("batch", system)
    return attrs.evolve(
        own, **{key: getattr(batch, key) for key in ("gap", "prompt_gap", "sequence", "stream", "front")}
    )


_VERSIONS: Final = re.compile(r"(vllm-ascend|tpu-inference) ?(.*)")
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")


def _client(run: ServingRun, said: list[str]) -> tuple[float, float]:
    """Return the requests of each slot of a benchmark, and how its lengths vary."""
    if run.mode != "online":
        return _SLOTS, 0.0
    if run.slots is None:
        said.append(f"{_SLOTS:g} requests a slot, started at once, as benchmarks do: not recorded")
    return _SLOTS if run.slots is None else run.slots, run.variation or 0.0


def _check(run: ServingRun) -> None:
    """Refuse a run whose row has a bad cell, or does not say what its mode needs."""
    if run.fault:
        raise QuestionError(run.fault)
    for name in ("model", "system"):
        if not getattr(run, name):
            raise QuestionError(f"{name}: is not known")
    for name in _NEEDS[run.mode]:
        value = getattr(run, name)
        column = {"input": "input_len", "output": "output_len"}.get(name, name)
        if value is None:
            raise QuestionError(f"{column}: is not known, and a run of mode {run.mode} needs it")
        if name == "input" and value < 1 and run.mode != "decode":
            raise QuestionError(fault(column, value, f"must be at least 1 in a run of mode {run.mode}"))


def _weights(run: ServingRun, own: Model, said: list[str]) -> str | None:
    """Return the format of the layers' matrices; None for what the checkpoint itself has."""
    name = run.weight_dtype
    if name and (maker := catalog.own_format(own.name, name)) != name:
        said.append("block scales, as the maker's own fp8 checkpoint has")
        return maker
    if run.act_dtype in _WIDE and name in _BY_WEIGHT:
        return _BY_WEIGHT[name]
    return None if not name or name in own.dtype.split("+") else name


def _cache(run: ServingRun, own: Model, engine: Engine, said: list[str]) -> str | None:
    if run.kv_dtype:
        return run.kv_dtype
    form = engine.cache.get(run.weight_dtype)
    if form:
        said.append(
            f"cache in {form}, as {engine.title} serves {run.weight_dtype} checkpoints: kv_dtype is not recorded"
        )
        return form
    said.append(f"cache in {own.formats.kv}, as the checkpoint: kv_dtype is not recorded")
    return None


_QUICKEST: Final = 2.2
"""What drafts make of a decode step at most: 2.6 tokens of three drafts are kept (DeepSeek-V3's module), verifying takes time."""


def _drafts(run: ServingRun, chance: float, said: list[str]) -> tuple[float, float, tuple[float, float]]:
    """Return draft tokens and accepted length of a step, and by what factors times per token may be shorter and longer.

    Where it is not known whether there were drafts at all, there were none, or as many as help.
    """
    drafts, accepted = run.draft_tokens, run.accept_length
    if drafts is None and accepted is None:
        said.append("no drafting: draft_tokens is not recorded; the interval holds drafts that help")
        return 0.0, 1.0, (_QUICKEST, 1.0)
    if drafts is None:
        drafts = float(np.ceil((accepted or 1.0) - 1))
        said.append("as few draft tokens as accept_length needs: draft_tokens is not recorded")
    if accepted is None:
        if drafts:
            said.append(f"{chance:.0%} of drafts accepted, each if the one before was: accept_length is not recorded")
        wide = float(np.exp(KEPT_ERROR * (drafts > 0)))
        return drafts, float(usual_accept_length(drafts, chance)), (wide, wide)
    return drafts, accepted, (1.0, 1.0)


def _layouts(pool: Pool, model: Model, system: System, said: list[str]) -> Layout:
    """Return the layouts that a pool leaves open.

    Raises:
        QuestionError: its degrees do not make whole replicas of its chips.
    """
    given = pool.degrees
    unknown = [name for name in ("tp", "pp", "dp", "ep") if name not in given]
    replica = given.get("tp", 1.0) * given.get("pp", 1.0) * given.get("dp", 1.0)
    if pool.chips is not None:
        ranks = float(ranks_of(system, int(pool.chips)))
    else:
        ranks = replica if not set(unknown) - {"ep"} else float(system.ranks)
        said.append(
            "one replica: chips is not recorded" if ranks == replica else "the whole system: chips is not recorded"
        )
    if ranks % replica:
        words = " ".join(f"{name}={value:g}" for name, value in given.items())
        raise QuestionError(f"{words}: does not make whole replicas of {ranks:g} ranks")
    found = grid(model, int(ranks), given)
    if unknown and np.size(found.tp) > 1:
        said.append(
            f"the best layout: {', '.join(unknown)} not recorded; the interval holds others that do half as well"
        )
    return _filled(found, model, said)


def _filled(layout: Layout, model: Model, said: list[str]) -> Layout:
    """Return the layouts with as many copies of experts as give every shard as many as the next has."""
    copies = ceil(model.experts / layout.ep) * layout.ep - model.experts if model.experts else 0.0 * layout.ep
    if np.any(copies > 0):
        said.append(f"{float(np.max(copies)):g} redundant experts, so that every shard holds as many")
    return attrs.evolve(layout, redundant_experts=copies)


def _reading(run: ServingRun, pool: Pool, model: Model, system: System, said: list[str]) -> Layout:
    """Return the layout of the prefill pool: as stated, else the one with the shortest prefill."""
    if pool.chips is None:
        raise QuestionError("prefill_chips: is not known, and the run has chips for decoding alone")
    unsaid: list[str] = []
    found = _layouts(pool, model, system, unsaid)
    said += unsaid[:1]
    if np.size(found.tp) == 1:
        return found
    question = Prefill(model, 1.0, run.input or 1.0)
    return estimate(
        question, system, chips=int(pool.chips), level="generic", tp=pool.tp, pp=pool.pp, dp=pool.dp, ep=pool.ep
    ).layout
