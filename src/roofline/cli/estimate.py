"""``roofline estimate``: a service."""

from __future__ import annotations

from typing import Any

from roofline import catalog
from roofline.cli.console import exported, json_name, say, wrote
from roofline.cli.drafts import drafted
from roofline.cli.fit import required
from roofline.cli.flags import (
    AnswerFile,
    DraftModel,
    FileForm,
    Grid,
    Json,
    KvOffload,
    ModelName,
    PowerCap,
    RequireFit,
    System,
    Why,
)
from roofline.cli.options import (
    DEGREES,
    LIMITS,
    LOAD,
    MACHINE,
    POOL,
    SOFTWARE,
    Degrees,
    Limits,
    Load,
    Machine,
    Pool,
    Software,
)
from roofline.core.errors import QuestionError
from roofline.planner.estimate import estimate, service
from roofline.planner.offload import offload
from roofline.planner.pools import pools
from roofline.reports import carbon, text


def estimate_(
    model: ModelName,
    *,
    system: System,
    machine: Machine = MACHINE,
    software: Software = SOFTWARE,
    degrees: Degrees = DEGREES,
    load: Load = LOAD,
    limits: Limits = LIMITS,
    pool: Pool = POOL,
    draft_model: DraftModel = None,
    kv_offload: KvOffload = False,
    power_cap: PowerCap = None,
    grid: Grid = None,
    file: AnswerFile = None,
    format: FileForm = None,
    require_fit: RequireFit = False,
    why: Why = False,
    json: Json = False,
) -> None:
    """Estimate a service: tokens/s, time to first token and per output token, memory, what bounds it, and how certain that is."""
    json_name(file, format)
    catalog.check_places([file])
    carbon.refused(grid)
    words = machine.words() | software.words() | degrees.words()
    asked: dict[str, Any] = load.words()
    target = drafted(model, draft_model, asked)
    apart: dict[str, Any] = pool.words()
    if apart:
        if "prefill_chips" not in apart:
            raise QuestionError(
                f"--{next(iter(apart)).replace('_', '-')}: is of a prefill pool; give --prefill-chips too"
            )
        for name in limits.words():
            raise QuestionError(
                f"--{name}: is of chips that prefill and decode; leave out --prefill-chips, or use simulate"
            )
        if power_cap is not None:
            raise QuestionError("--power-cap: is of chips that prefill and decode; leave out --prefill-chips")
        if kv_offload:
            raise QuestionError("--kv-offload: is of chips that prefill and decode; leave out --prefill-chips")
        stored = {name: words.pop(name) for name in ("dtype", "kv_dtype") if name in words}
        split = pools(service(catalog.model(target, **stored), asked), system, **apart, **words)
        say(json, lambda: text.fields(split, why=why, grid=grid), lambda: text.sheet(split, why=why, grid=grid))
        wrote((file, lambda: exported(split, format), ""))
        required(split, asked=require_fit)
        return
    est = estimate(target, system, power_cap=power_cap, **words, **asked, **limits.words())
    answer = offload(est) if kv_offload else est
    say(json, lambda: text.fields(answer, why=why, grid=grid), lambda: text.sheet(answer, why=why, grid=grid))
    wrote((file, lambda: exported(est if format else answer, format), ""))
    required(est, asked=require_fit)
    if require_fit and not est.meets:
        raise SystemExit(1)
