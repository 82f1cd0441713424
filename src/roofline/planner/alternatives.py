"""Alternatives of a serving question for what it does not state: cache format, release, kind of launch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from roofline import catalog
from roofline.catalog.folders import looks_like_path
from roofline.hardware.constants import Calibration
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.results.alternatives import Alternative


def left_open(model: Model, system: System, profile: Calibration, words: Mapping[str, Any]) -> tuple[Alternative, ...]:
    """Return the other answers that a question may have meant; a bound, and an engine given as an object, leave nothing open.

    Args:
        words: of the question: ``engine``, ``kv_dtype``, ``draft_tokens`` and ``level`` of :func:`roofline.estimate` matter.

    >>> profile = catalog.profile("calibrated", "dgx-h100").driven(catalog.engine("vllm", "dgx-h100"))
    >>> model = catalog.model("llama-3.1-8b", dtype="fp8")
    >>> [each.open for each in left_open(model, catalog.system("dgx-h100"), profile, {"engine": "vllm"})]
    ['the format of the cache', 'the kind of launch']
    """
    named = words.get("engine")
    if named is None and isinstance(words.get("level", ""), str):
        named = "generic"
    if not isinstance(named, str) or named in ("", "none") or profile.level == "ideal":
        return ()
    drafts = _drafts(model) if words.get("draft_tokens") is None else ()
    caches = _caches(model, system, profile.engine, named) if words.get("kv_dtype") is None else ()
    return (*drafts, *caches, *(() if looks_like_path(named) else _stacks(system, profile.engine, named)))


def _drafts(model: Model) -> Iterator[Alternative]:
    """Yield the service with the drafts that a model's own module makes."""
    if model.mtp and model.speculator is None:

        def change(question: Any, profile: Calibration) -> tuple[Any, Calibration]:
            undrafted = hasattr(question, "draft_tokens") and not np.any(question.draft_tokens)
            return attrs.evolve(question, draft_tokens=1.0) if undrafted else question, profile

        yield Alternative("drafting", "none", "with the model's own module and one draft token", change, counted=False)


def _caches(model: Model, system: System, engine: Engine, named: str) -> Iterator[Alternative]:
    """Yield the formats in which an engine, or any where none was named, keeps the cache of such weights."""
    unnamed = named.partition("+")[0] == "generic"
    makers = [catalog.engine(each, system) for each in _COMMON] if unnamed else [engine]
    weights = {name.partition("-")[0] for name in model.formats.names("experts" if model.experts else "dense")}
    titles: dict[str, str] = {}
    for each in makers:
        for form in weights & set(each.cache):
            titles.setdefault(each.cache[form], each.title)
    own = model.formats.kv
    for form, title in titles.items():
        if form != own:

            def change(question: Any, profile: Calibration, form: str = form) -> tuple[Any, Calibration]:
                return attrs.evolve(question, model=question.model.stored(None, form)), profile

            yield Alternative("the format of the cache", own, f"in {form}, as {title} serves such weights", change)


_COMMON = ("vllm", "sglang", "trtllm")
"""Engines that a user who names none may have meant."""


def _stacks(system: System, engine: Engine, named: str) -> Iterator[Alternative]:
    """Yield the stack as it was in the release before the newest state, and tuned, where those differ and were not stated."""
    name, release, kind = catalog.split_engine(named)
    for other in catalog.releases(name)[-1:] if not release else ():
        found = catalog.engine(f"{name}@{other}", system, kind=engine.stated_kind)
        if _paced(found) != _paced(engine):
            yield _of_stack("the release", "the newest", f"as {found.title} {other}", found)
    if not kind and not engine.stated_kind:
        found = catalog.engine(name if not release else f"{name}@{release}", system, kind="tuned")
        if _paced(found) != _paced(engine):
            yield _of_stack("the kind of launch", "as the engine's documentation says", "tuned", found)


def _paced(engine: Engine) -> dict[str, str]:
    """Return where the numbers of a stack come from that make a step slower or quicker."""
    return {key: origin for key, origin in engine.origins.items() if key not in ("memory", "title", "date")}


def _of_stack(what: str, taken: str, other: str, found: Engine) -> Alternative:
    def change(question: Any, profile: Calibration) -> tuple[Any, Calibration]:
        limits = {key: getattr(profile.engine, key) for key in ("most", "most_drafting", "memory_fraction")}
        return question, attrs.evolve(profile, engine=attrs.evolve(found, **limits))

    return Alternative(what, taken, other, change)
