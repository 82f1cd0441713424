"""Assumptions for what a measured training run does not state, from its framework's recipe; each is reported.

Recipes are in the frameworks' files (``workloads/frameworks``), with their sources. Here are only rules that go by columns, and by what
:mod:`roofline.validation.training_notes` read of a note, never by a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.errors import QuestionError
from roofline.hardware.constants import Calibration
from roofline.hardware.frameworks import STATES, Framework, Recipe, in_states
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.operators.training_memory import WEIGHT, stage_weights
from roofline.validation.runs import TrainingRun
from roofline.workload.layout import Layout, expert_tensors
from roofline.workload.questions import MODULES, recomputation

Adjust = Callable[[System, Calibration, Framework], tuple[Calibration, Framework]]
"""What changes the constants that a run is priced with."""


def _traits(run: TrainingRun, usual: Recipe) -> tuple[str, ...]:
    """Return the states of its framework that hold of a run; where it does not say whether it was compiled, its framework's recipe does."""
    eager = run.noted.says("eager") or not (usual.compiled or run.noted.says("compiled"))
    return tuple(word for word in STATES if (eager if word == "eager" else run.noted.says(word)))


@frozen(eq=False)
class TrainingCase:
    """A run with everything decided that pricing needs.

    Attributes:
        run: with its framework as it is filed, and the kind of its model.
        model: its model.
        system: its system.
        profile: the constants that price it.
        framework: the software that trains.
        layouts: what its chips may be split into, on one axis; one where all degrees are known.
        traits: words of its software that change its framework.
        micro_batch: sequences of a micro-batch on a data-parallel rank.
        recompute: what is recomputed in the backward pass.
        share: part of the layers of which it is recomputed.
        stated: whether the source says so to the last module.
        hosted: whether what is kept of a layer waits in the host's memory.
        document: tokens that attend to each other.
        offload: part of the activations that wait in the host.
        released: which release of its software it ran, as year.month; None where that is not known.
        said: what was assumed.
    """

    run: TrainingRun
    model: Model
    system: System
    profile: Calibration
    framework: Framework
    layouts: Layout
    traits: tuple[str, ...]
    micro_batch: float
    recompute: str
    share: float
    stated: bool
    hosted: bool
    document: float
    offload: float
    released: float | None
    said: tuple[str, ...]

    @property
    def alike(self) -> tuple[object, ...]:
        """What runs must share to be priced as one array."""
        run, layout = self.run, self.layouts
        software = (run.framework, self.framework.name, self.traits)
        words = (run.model, self.model.formats, run.system, software, run.task, self.recompute)
        return (
            *words,
            self.stated,
            self.hosted,
            layout.sharding,
            layout.fsdp,
            layout.sequence_parallel,
            np.size(layout.tp),
        )


def opener(level: str | Path | Calibration, adjust: Adjust | None = None) -> Callable[[TrainingRun], TrainingCase]:
    """Return what decides a run at a level of constants, which ``adjust`` may change; names that come again are looked up once."""
    models: dict[tuple[str, str], Model] = {}
    settings: dict[tuple[str, str, tuple[str, ...]], tuple[Calibration, Framework]] = {}
    known = {name: catalog.framework(name) for name in catalog.names("framework")}

    def model(name: str, dtype: str) -> Model:
        if (name, dtype) not in models:
            models[name, dtype] = catalog.model(name, dtype=dtype)
        return models[name, dtype]

    def setting(system: System, framework: str, traits: tuple[str, ...]) -> tuple[Calibration, Framework]:
        key = (system.name, framework, traits)
        if key not in settings:
            profile = catalog.profile(level, system)
            found = Framework() if profile.level == "ideal" else catalog.framework(framework)
            if adjust is not None:
                profile, found = adjust(system, profile, found)
            if profile.level != "ideal":
                found = in_states(found, traits)
            settings[key] = (profile, found)
        return settings[key]

    def open_(run: TrainingRun) -> TrainingCase:
        if run.fault:
            raise QuestionError(run.fault)
        for name in ("model", "system"):
            if not getattr(run, name):
                raise QuestionError(f"{name}: is not known")
        if run.length is None or run.batch is None:
            raise QuestionError("seq_len and global_batch: must be known")
        notes = [f"{name} as the file puts it in: the source does not state it" for name in run.assumed]
        system = catalog.system(run.system)
        asked = model(run.model, _dtype(run, notes))
        named = known.get(run.framework, known["generic"]).elsewhere.get(system.package.vendor, run.framework)
        run = attrs.evolve(run, framework=named or "generic", kind="MoE" if asked.experts else "dense")
        usual = known.get(run.framework, known["generic"]).recipe
        traits, release = _traits(run, usual), run.noted.release
        profile, framework = setting(system, _described(run.framework, release, tuple(known.values()), notes), traits)
        layouts = _layouts(run, usual, asked, system, notes)
        recompute, share = _recomputation(run, usual, asked, layouts, notes)
        offloaded = run.noted.offloaded
        notes += (STATES[trait][0] for trait in traits)
        return _sharded(TrainingCase(
            run, asked, system, profile, framework, layouts, traits, _micro_batch(run, notes), recompute, share,
            run.recompute != "unknown" and not run.noted.says("compiler_recompute"), run.noted.says("hosted_inputs"),
            _document(run, usual, notes), min(offloaded / asked.depth, 1.0) if offloaded else 0.0,
            release, tuple(notes),
        ))  # fmt: skip

    return open_


def _described(framework: str, release: float | None, known: Sequence[Framework], said: list[str]) -> str:
    """Return the framework's descriptor as it was when the release was new, or any framework's."""
    if framework == "generic" or framework not in {each.name for each in known}:
        said.append(f"any framework: {'none is named' if framework == 'generic' else f'{framework} is not described'}")
        return "generic"
    states = sorted((each.until, each.name) for each in known if each.of == framework)
    return next((name for until, name in states if release is not None and release <= until), framework)


def _dtype(run: TrainingRun, said: list[str]) -> str:
    """Return the format of the GEMMs: fp8 has scales for blocks where the run says so, else one for each matrix."""
    if not run.dtype:
        said.append("GEMMs in bf16: dtype is not recorded")
        return "bf16"
    return "fp8-block" if run.dtype == "fp8" and run.noted.says("block_scales") else run.dtype


def _micro_batch(run: TrainingRun, said: list[str]) -> float:
    if run.micro_batch is None:
        said.append("one sequence a micro-batch: micro_batch is not recorded")
    return run.micro_batch or 1.0


def _document(run: TrainingRun, usual: Recipe, said: list[str]) -> float:
    """Return the tokens that attend to each other."""
    assert run.length is not None  # noqa: S101 (a run without it is refused before)
    if run.document is not None:
        return min(run.document, run.length)
    if run.noted.samples is not None:
        return min(run.noted.samples, run.length)
    if run.task == "pretrain" or not usual.packed or "mlperf" in run.group.lower():
        return run.length
    said.append(f"samples of {usual.packed:,.0f} tokens are packed, as NeMo fine-tunes: their length is not recorded")
    return min(usual.packed, run.length)


def _recomputation(
    run: TrainingRun, usual: Recipe, model: Model, layouts: Layout, said: list[str]
) -> tuple[str, float]:
    """Return what is recomputed, and of which part of the layers."""
    stated = run.noted
    if stated.layers is not None:
        return "full", min(stated.layers / model.depth, 1.0)
    if stated.stage_layers is not None:
        return "full", min(stated.stage_layers * float(np.max(layouts.pp)) / model.depth, 1.0)
    named = {name: recomputation(name).removeprefix("selective:") for name in stated.modules}
    if stated.selective or any(module in MODULES for module in named.values()):
        said += [f"recomputation of {name} is not known" for name, module in named.items() if module not in MODULES]
        known = dict.fromkeys(module for module in named.values() if module in MODULES)
        return (f"selective:{'+'.join(known)}" if known else "none"), 1.0
    if run.recompute == "selective" and stated.says("stored_attention"):
        said.append("the output of attention is stored: nothing expensive is recomputed")
        return "none", 1.0
    if run.recompute == "selective" and stated.says("stored_alternate"):
        said.append("the output of every other GEMM is stored, and what is cheap is recomputed")
        return "selective:activation+norm", 1.0
    if run.recompute != "unknown":
        return run.recompute, 1.0
    again = usual.recompute.get(run.task, "none")
    said.append(f"recompute {again}, as recipes of {run.framework} for {run.task} have it: not recorded")
    return again, 1.0


# Layouts ---------------------------------------------------------------------------------------------------------------


def _layouts(run: TrainingRun, usual: Recipe, model: Model, system: System, said: list[str]) -> Layout:
    """Return the layouts that a run leaves open.

    Raises:
        QuestionError: its degrees do not make its chips.
    """
    given = {name: value for name in ("tp", "pp", "cp", "dp") if (value := getattr(run, name)) is not None}
    product = float(np.prod(list(given.values())))
    chips = run.chips
    if chips is None:
        chips = product if "dp" in given else float(system.chips)
        said.append(f"{chips:,.0f} chips: chips is not recorded")
    degrees = _degrees(model, system, chips, given)
    if not degrees:
        words = " ".join(f"{name}={value:g}" for name, value in given.items())
        raise QuestionError(f"{words or 'any degrees'}: do not make {chips:,.0f} chips, each of a part of the model")
    ranks = float(system.ranks_per_chip)
    if ranks > 1:
        said.append(f"the {ranks:g} ranks of a chip share its tensors")
    rows = [
        (tp * ranks, pp, cp, dp, ep)
        for tp, pp, cp, dp in degrees
        for ep in _shards(run, model, system, tp * cp * dp, said)
    ]
    if len(rows) > 1:
        unknown = [name for name in ("tp", "pp", "cp", "dp", "ep") if getattr(run, name) is None]
        said.append(f"the best layout: {', '.join(unknown)} not recorded")
    tp, pp, cp, dp, ep = np.array(rows).T
    split: Any = run.sequence_parallel
    if "sequence_parallel" in run.assumed and usual.partitioned:
        split = None
    if split is None:
        split = bool(np.any(tp > 1))
    if not run.sharding:
        said.append(f"sharding {usual.sharding}, as {run.framework} does by default: not recorded")
    etp = expert_tensors(tp, cp, dp, ep)
    return Layout(
        tp=tp, pp=pp, dp=dp, ep=ep, cp=cp, vpp=_chunks(run, usual, model, pp=pp, dp=dp, said=said), etp=etp if run.etp is None else run.etp + 0 * tp,
        sharding=run.sharding or usual.sharding, fsdp=_grouped(run, dp), sequence_parallel=bool(split),
    )  # fmt: skip


def _sharded(case: TrainingCase) -> TrainingCase:
    """Return a run whose weights are shared out too where the chips cannot hold them: even with gradients in 16 bits and no activations.

    Sources of quality B leave something out, and tables of recipes have no column for it.
    """
    run, layouts, framework, memory = case.run, case.layouts, case.framework, case.system.chip.memory
    whole, parts = (1, framework.states + WEIGHT) if framework.scattered else (2, framework.states)
    each = sum((g.weights * (whole * WEIGHT + parts / g.shards) for g in stage_weights(case.model, layouts)), start=0.0)
    over = each > memory.capacity * memory.usable * framework.memory_fraction
    if run.quality == "A" or run.task == "lora" or layouts.sharding == "zero3" or not np.all(over):
        return case
    note = f"sharding zero3: with {layouts.sharding} weights, gradients and states alone exceed the memory of a chip"
    return attrs.evolve(case, layouts=attrs.evolve(layouts, sharding="zero3"), said=(*case.said, note))


def _grouped(run: TrainingRun, dp: Any) -> float | None:
    """Return how many data-parallel ranks share weights out, where that is fewer than all of them."""
    shards = run.noted.shards
    known = run.sharding == "zero3" and shards is not None and 1 < shards < float(np.max(dp))
    return shards if known else None


def _degrees(model: Model, system: System, chips: float, given: Mapping[str, float]) -> list[tuple[float, ...]]:
    """Return (tp, pp, cp, dp) whose product is the chips: as given; else tensors inside a node, and stages that have layers."""
    inner = min(float(system.tiers[0].size), float(model.heads), 64.0)
    tensor = [given["tp"]] if "tp" in given else [t for t in _divisors(chips) if t <= inner and model.heads % t == 0]
    stages = [given["pp"]] if "pp" in given else [p for p in _divisors(chips) if p <= min(model.depth, 64)]
    cp = given.get("cp", 1.0)
    found = [(tp, pp, cp, chips / (tp * pp * cp)) for tp in tensor for pp in stages]
    return [each for each in found if each[3] >= 1 and each[3] % 1 == 0 and given.get("dp", each[3]) == each[3]]


def _shards(run: TrainingRun, model: Model, system: System, ranks: float, said: list[str]) -> list[float]:
    """Return the expert parallel degrees that a run leaves open; a library that sends tokens says that experts are spread."""
    if run.ep is not None and (run.ep > 1 or not model.experts or not run.noted.says("expert_parallel")):
        return [run.ep]
    if run.ep is None:
        return _experts(model, ranks)
    inside = [n for n in _experts(model, ranks) if n <= system.tiers[0].size]
    said.append("experts spread over the scale-up domain: the run sends tokens to them, and its ep of 1 would not")
    return inside[-1:]


def _experts(model: Model, ranks: float) -> list[float]:
    return [n for n in _divisors(ranks) if n <= model.experts and model.experts % n == 0] if model.experts else [1.0]


def _divisors(number: float) -> list[float]:
    whole = int(number)
    return [float(n) for n in range(1, min(whole, 4096) + 1) if whole % n == 0]


def _chunks(run: TrainingRun, usual: Recipe, model: Model, *, pp: Any, dp: Any, said: list[str]) -> Any:
    """Return the chunks of a stage: as stated; else the most that are possible, up to what the file puts in or a recipe has.

    Chunks must divide the layers of a stage, and stages the micro-batches.
    """
    stated = run.vpp is not None and "vpp" not in run.assumed
    most = max(int(run.vpp or 1), int(usual.chunks))
    if stated or most == 1 or not np.any(pp > 1):
        return (run.vpp or 1.0) + 0 * pp
    per = np.where(model.depth % pp == 0, model.depth, model.depth + 2) / pp
    batches = (run.batch or 1.0) / ((run.micro_batch or 1.0) * dp)
    best = 0 * pp + 1
    for v in range(2, most + 1):
        best = np.where((pp > 1) & (per % v == 0) & (batches % pp == 0), v, best)
    said.append(f"as many chunks a stage as divide its layers, up to {most}: vpp is not stated")
    return best
