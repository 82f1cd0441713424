"""The one verb: a question, a system and a layout give an answer; what is left out is chosen for the best that fits, and said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from roofline import catalog
from roofline.answer import Estimate
from roofline.architecture import Model
from roofline.calibration import Calibration
from roofline.checks import findings
from roofline.choosing import choose, holding, possible, ranks_of, worth_trying
from roofline.engines import Engine
from roofline.errors import QuestionError, fault
from roofline.evaluation import answer
from roofline.fields import given, number, refuse
from roofline.hardware import System
from roofline.layout import Layout
from roofline.units import DOLLAR_RATE, HOUR, WATT, Num, parse
from roofline.workload import Decode, Prefill, Question, Serve


def service(model: Model, words: Mapping[str, Any]) -> Serve:
    """Return the service that words such as ``input=4096, output=1024`` describe; None leaves a word out.

    Raises:
        QuestionError: a word that a service does not know.
    """
    known = [f.name for f in attrs.fields(Serve) if f.name != "model"]
    for word in words:
        if word not in known:
            raise QuestionError(fault("word", word, "is no word of a service", f"known: {', '.join(known)}"))
    return Serve(model, **given(**words))


def estimate(
    what: Question | Model | str | Path | Mapping[str, Any],
    system: System | str | Path,
    layout: Layout | None = None,
    *,
    chips: int | None = None,
    level: str | Calibration = "calibrated",
    engine: str | Path | Engine | None = None,
    launch: str = "graph",
    dtype: str | None = None,
    kv_dtype: str | None = None,
    tp: Num | None = None,
    pp: Num | None = None,
    dp: Num | None = None,
    ep: Num | None = None,
    power: Num | str | None = None,
    price: Num | str | None = None,
    **words: Num | None,
) -> Estimate:
    """Answer a question: how fast, with how much memory, bound by what, how surely.

    Args:
        what: a :class:`Prefill`, :class:`Decode` or :class:`Serve`; or a model (an object, a name, the path of a
            config.json, a parsed one), served under load as ``words`` say: ``input``, ``output``, ``concurrency``
            or ``rate``, ``draft_tokens``, ``accept_length``, ``chunk``.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        layout: how the model is split; by default the layout with the most tokens per second that fits on ``chips``,
            holding to any of ``tp``, ``pp``, ``dp``, ``ep`` that are given.
        chips: chips to use; by default all of the system, or what the layout takes.
        level: ``ideal``, ``generic``, ``calibrated``, or a profile.
        engine: what serves: a name in ``workloads/engines``, the path of a TOML file, ``none`` for the kernels alone; by default
            an engine that nobody named (none at the ideal level).
        launch: ``graph``, or ``eager`` where the host launches kernels one by one.
        power: rated power for each chip with its share of the system: watts, or text such as ``"1.2 kW"``.
        price: rent of each chip: US dollars an hour, or text such as ``"2.95 USD/h"``.
        dtype, kv_dtype: store the layers' matrices, and the KV cache, in these formats.

    Raises:
        UnknownNameError, DescriptorError: see :func:`roofline.catalog.system` and :func:`roofline.catalog.model`.
        QuestionError: the question has no meaning; a plan that does not fit is an answer.

    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    >>> est.layout.words()["replicas"], bool(est.fits)
    (8, True)
    """
    question = _asked(what, dtype, kv_dtype, words)
    rack, profile, notes = setting(system, level=level, engine=engine, launch=launch, power=power, price=price)
    degrees: dict[str, Num] = given(tp=tp, pp=pp, dp=dp, ep=ep)
    if layout is not None:
        if degrees or chips is not None:
            raise QuestionError(
                fault("layout", str(layout), f"already says it all, but {', '.join(degrees) or 'chips'} was given too")
            )
    else:
        question, layout, note = _chosen(question, rack, profile, chips, degrees)
        notes.append(note)
    est = answer(question, rack, layout, profile)
    if not est.shape and est.working < 1:
        busy = max(round(float(est.working * est.layout.replicas)), 1)
        notes.append(
            f"{busy} of {float(est.layout.replicas):g} replicas have a request, the others idle: fewer chips would do as well"
        )
    return est.noted(notes)


def setting(
    system: System | str | Path,
    *,
    level: str | Calibration,
    engine: str | Path | Engine | None,
    launch: str,
    power: Num | str | None,
    price: Num | str | None,
) -> tuple[System, Calibration, list[str]]:
    """Return the machine and the constants that the words of :func:`estimate` name, and what is to be said of them."""
    described = catalog.system(system)
    # Findings are of the descriptor, whatever power and rent are put in place of its own.
    notes = [f"look at {finding}" for finding in findings(described)]
    rack = _with(described, power, price)
    profile = _driven(catalog.profile(level, rack), engine, launch)
    if isinstance(level, str) and level == "calibrated" and profile.level != "calibrated":
        notes.append(f"no profile was fitted for {rack.package.name}: generic constants are used")
    return rack, profile, notes


def _driven(profile: Calibration, engine: str | Path | Engine | None, launch: str) -> Calibration:
    """Return the profile as an engine drives it; one that was driven already, or is ideal, stays as it is unless one is named."""
    if launch not in ("graph", "eager"):
        raise QuestionError(fault("launch", launch, "no such way to launch kernels", "graph or eager"))
    if engine is not None or (profile.level != "ideal" and profile.engine.name == "none"):
        profile = profile.driven(catalog.engine("generic" if engine is None else engine))
    return profile.eagerly() if launch == "eager" else profile


def _chunk(question: Question) -> str:
    return f" chunk={float(question.chunk):g}" if isinstance(question, Serve) and question.chunk is not None else ""


def _with(rack: System, power: Num | str | None, price: Num | str | None) -> System:
    """Return the system with the power and rent that a caller puts in place of its own."""
    change: dict[str, Any] = {}
    if power is not None:
        watts = parse(power, WATT, "power") if isinstance(power, str) else number(power, "power")
        refuse("power", watts, 0.0, strict=True)
        change["power"] = watts * rack.chips
    if price is not None:
        rent = parse(price, DOLLAR_RATE, "price") if isinstance(price, str) else number(price, "price") / HOUR
        refuse("price", rent * HOUR, 0.0, strict=True)
        change["price"] = rent * rack.chips
    return attrs.evolve(rack, **change) if change else rack


def _asked(what: Any, dtype: str | None, kv_dtype: str | None, words: dict[str, Any]) -> Question:
    if not isinstance(what, (Prefill, Decode, Serve)):
        return service(catalog.model(what, dtype=dtype, kv_dtype=kv_dtype), words)
    if words:
        raise QuestionError(fault("words", tuple(words), f"the {type(what).__name__} already says it all"))
    return attrs.evolve(what, model=catalog.model(what.model, dtype=dtype, kv_dtype=kv_dtype))


def _chosen(
    question: Question, system: System, profile: Calibration, chips: int | None, degrees: Mapping[str, Num]
) -> tuple[Question, Layout, str]:
    """Return the question with its chunk, the best layout that fits, and the sentence that says so.

    Raises:
        QuestionError: the degrees given cannot be laid out for this model.
    """
    candidates = possible(question.model, system, worth_trying(question.model, system, chips, degrees), degrees)
    question, layout, fitting = choose(question, system, candidates, profile)
    tried = int(np.size(candidates.tp))
    if np.ndim(fitting):
        return question, layout, f"layout: for each point the best of {tried} that fits"
    if not fitting:
        shown = (
            "answers the most"
            if isinstance(question, Serve) and question.rate is not None
            else "needs the least memory"
        )
        return question, layout, f"layout: none of {tried} fits; the one that {shown} is shown"
    best = "the least TTFT" if isinstance(question, Prefill) else "the most tokens/s"
    if isinstance(question, Serve) and question.rate is not None:
        best = "the soonest answers"
    only = "the only one" if fitting == 1 else f"{best} of the {int(fitting)}"
    used = ranks_of(system, chips) // system.ranks_per_chip
    return (
        question,
        layout,
        f"layout {layout}{_chunk(question)}: {only} that fit{'s' if fitting == 1 else ''} on {used} chips{holding(degrees)}",
    )
