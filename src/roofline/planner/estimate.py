"""``estimate``: the answer to a question on a system; a layout that is not given is chosen and reported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Unpack, cast, overload

import attrs
import numpy as np

from roofline import catalog
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import without_none
from roofline.core.remember import Lazy
from roofline.core.signatures import typed
from roofline.core.text import counted
from roofline.core.units import Num
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.models.architecture import Model
from roofline.models.drafters import eagle3
from roofline.planner.alternatives import left_open
from roofline.planner.candidates import choose, holding, possible, ranks_of, under_all, worth_trying
from roofline.planner.capping import capped
from roofline.planner.evaluation import answer
from roofline.planner.limits import limits_of
from roofline.planner.settings import setting
from roofline.planner.train import train
from roofline.planner.words import (
    AnyEstimateWords,
    CapWords,
    DegreeWords,
    EngineWords,
    EstimateWords,
    FormatWords,
    LimitWords,
    ModelLike,
    PlacedStepWords,
    SystemLike,
    keywords,
    part,
    rest,
)
from roofline.results.answer import Candidates
from roofline.results.estimate import Estimate
from roofline.results.training import Training
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Prefill, Question, Serve, TrainStep


def asked_of_service(what: Serve | ModelLike, words: Mapping[str, Any]) -> Serve:
    """Return the service that is asked: one, or a model and its words.

    Raises:
        QuestionError: another question, or words beside a service.
    """
    found = asked_question(what, words)
    if not isinstance(found, Serve):
        raise QuestionError(fault("what", type(found).__name__, "is no service", "give a Serve, or a model"))
    return found


def service(model: Model, words: Mapping[str, Num | None]) -> Serve:
    """Return the service that words such as ``input=4096, output=1024`` describe; None leaves a word out.

    Raises:
        QuestionError: a word that a service does not know.
    """
    known = [f.name for f in attrs.fields(Serve) if f.name != "model"]
    words = renamed(words)
    for word in words:
        if word in PEERS:
            raise QuestionError(f"{word}: here it is {PEERS[word]}")
        if word not in known:
            raise QuestionError(fault("keyword", word, "is no keyword of a service", f"known: {', '.join(known)}"))
    own: Any = without_none(**words)
    return Serve(_drafting(model, own.get("draft_tokens")), **own)


ALIASES: Final = {"isl": "input", "osl": "output"}
"""Keywords of other tools for the lengths of a request."""


PEERS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("tp_size", "tensor_parallel_size", "tensor_model_parallel_size"), "tp=, ranks of tensor parallelism"
    ),
    **dict.fromkeys(("pp_size", "pipeline_parallel_size", "pipeline_model_parallel_size"), "pp=, stages of a pipeline"),
    **dict.fromkeys(
        ("dp_size", "data_parallel_size"),
        "dp=, attention ranks that work in step; independent replicas follow from chips=",
    ),
    **dict.fromkeys(
        ("ep_size", "expert_parallel_size", "expert_model_parallel_size"), "ep=, ranks that share the experts"
    ),
    **dict.fromkeys(
        ("gpus", "num_gpus", "total_gpus", "n_gpus", "world_size", "devices"), "chips=, of the whole deployment"
    ),
    **dict.fromkeys(
        ("max_concurrency", "max_num_seqs", "batch_size", "max_batch_size", "batch"),
        "concurrency=, requests in flight over all replicas",
    ),
    **dict.fromkeys(("request_rate", "qps", "rps"), "rate=, requests per second"),
    **dict.fromkeys(
        ("input_len", "random_input_len", "prompt_len", "input_tokens"), "input=, prompt tokens of a request"
    ),
    **dict.fromkeys(
        ("output_len", "random_output_len", "max_tokens", "output_tokens"), "output=, output tokens of a request"
    ),
    **dict.fromkeys(("quantization", "weight_dtype", "gemm_quant_mode"), "dtype=, format of the weights"),
    **dict.fromkeys(("kv_cache_dtype", "kvcache_quant_mode"), "kv_dtype=, format of the KV cache"),
    **dict.fromkeys(("gpu_memory_utilization", "mem_fraction_static", "free_gpu_memory_fraction"), "memory_fraction="),
    **dict.fromkeys(("nextn", "num_speculative_tokens"), "draft_tokens=, verified in a step"),
    **dict.fromkeys(
        ("max_num_batched_tokens", "chunked_prefill_size"), "chunk=, prompt tokens of an attention rank and step"
    ),
    **dict.fromkeys(("prefix", "prefix_len"), "cached=, prompt tokens already in the KV cache"),
    **dict.fromkeys(("num_prompts", "num_requests", "request_count"), "requests=, of simulate"),
    **dict.fromkeys(("backend", "framework"), "engine=, such as vllm, sglang, trtllm"),
    **dict.fromkeys(("ttft", "tpot"), "a result of an estimate; search(..., ttft='2s', tpot='50ms') takes limits"),
}
"""Keywords of other tools that a service is asked with, and ours."""


def renamed(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords in this library's words, ``isl`` as ``input`` and ``osl`` as ``output``.

    Raises:
        QuestionError: one quantity under both of its names.
    """
    for alias, own in ALIASES.items():
        if words.get(alias) is not None and words.get(own) is not None:
            raise QuestionError(fault(alias, words[alias], f"is {own}, which is given too", "give one of the two"))
    return {ALIASES.get(name, name): value for name, value in words.items() if name not in ALIASES or value is not None}


def _drafting(model: Model, draft_tokens: Num | None) -> Model:
    """Return the model with an EAGLE-3 head where it is to draft tokens and brings no module for it."""
    able = model.mtp or model.speculator is not None or model.role == "draft"
    if able or draft_tokens is None or not np.any(np.greater(draft_tokens, 0)):
        return model
    return model.with_draft(eagle3(model))


@overload
def estimate(
    what: TrainStep, system: SystemLike, layout: Layout | None = None, **words: Unpack[PlacedStepWords]
) -> Training: ...


@overload
def estimate(
    what: Question | ModelLike, system: SystemLike, layout: Layout | None = None, **words: Unpack[EstimateWords]
) -> Estimate: ...


@keywords(AnyEstimateWords)
@typed
def estimate(
    what: Question | TrainStep | ModelLike,
    system: SystemLike,
    layout: Layout | None = None,
    **words: Unpack[AnyEstimateWords],
) -> Estimate | Training:
    """Estimate a service or a pass: times, rates, memory, bottleneck and interval.

    Args:
        what: a :class:`Prefill`, :class:`Decode` or :class:`Serve`; a :class:`TrainStep`, answered as :func:`roofline.train`
            does, with its words; or a model (an object, a name, the path of a
            config.json, a parsed one), served under load as ``words`` say: ``input``, ``output``, ``concurrency``
            or ``rate``, ``draft_tokens``, ``accept_length``, ``chunk``.
        system: an object, a name in ``hardware/systems``, or the path of a TOML file.
        layout: how the model is split; by default the layout with the most tokens per second that fits on ``chips``,
            holding to any of ``tp``, ``pp``, ``dp``, ``ep`` that are given.
        chips: chips to use; by default all of the system, or what the layout takes.

    Returns:
        The answer for a service, or of a :class:`TrainStep` that for a step: times in seconds, rates per second, memory in bytes.

    Raises:
        UnknownNameError, DescriptorError: see :func:`roofline.catalog.system` and :func:`roofline.catalog.model`.
        QuestionError: the question has no meaning; a configuration that does not fit is an answer.

    >>> est = estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    >>> est.layout.words()["replicas"], bool(est.fits)
    (8, True)
    """
    if isinstance(what, TrainStep):
        for name, usual in _OF_SERVING.items():
            value = words.get(name, usual)
            if value != usual:
                raise QuestionError(
                    fault(name, value, "is no keyword of training", "framework names the software that trains")
                )
        own: Any = {name: value for name, value in words.items() if name not in _OF_SERVING}
        return train(what, system, layout, **own)
    chips, power_cap = words.get("chips"), words.get("power_cap")
    limits = limits_of(**part(words, LimitWords))
    question = asked_question(what, rest(words, EngineWords, DegreeWords, CapWords, LimitWords))
    rack, profile, notes = setting(system, **part(words, EngineWords))
    degrees: dict[str, Num] = without_none(**part(words, DegreeWords))
    free = layout is None and not degrees
    free_chunk = isinstance(question, Serve) and question.chunk is None
    if layout is not None:
        if degrees or chips is not None:
            raise QuestionError(
                fault(
                    "layout",
                    str(layout),
                    f"already states every option, but {', '.join(degrees) or 'chips'} was given too",
                )
            )
    else:
        question, layout, note = _chosen(question, rack, profile, chips, degrees)
        notes.append(note)
    est = answer(question, rack, layout, profile)
    doubts = Lazy(partial(left_open, question.model, rack, profile, words))
    est = attrs.evolve(est, open=doubts, limits=limits)
    if free:
        est = attrs.evolve(est, candidates=_candidates(chips, free_chunk=free_chunk))
    if not est.shape and est.working < 1:
        busy = max(round(float(est.working * est.layout.replicas)), 1)
        notes.append(
            f"{busy} of {float(est.layout.replicas):g} replicas have a request, the others idle: fewer chips give the same"
        )
    est = est.noted(notes)
    return est if power_cap is None else capped(est, power_cap)


_OF_SERVING: Final = {
    "engine": None,
    "launch": "graph",
    "kv_dtype": None,
    "memory_fraction": None,
    "ttft": None,
    "tpot": None,
}
"""Keywords of serving alone, and what each is where it is left out."""


def _candidates(chips: int | None, *, free_chunk: bool) -> Candidates:
    """Return what answers a question under every layout of so many chips, those asked unless others are given."""

    def under(
        question: Question, system: System, profile: Calibration, others: int | None
    ) -> list[tuple[Estimate, bool]]:
        every = worth_trying(question.model, system, chips if others is None else others, {})
        asked: Any = attrs.evolve(cast("Any", question), chunk=None) if free_chunk else question
        return [(under_all(asked, system, possible(question.model, system, every), profile), True)]

    return under


def _chunk(question: Question) -> str:
    return f" chunk={float(question.chunk):g}" if isinstance(question, Serve) and question.chunk is not None else ""


def asked_question(what: Any, words: Mapping[str, Any]) -> Question:
    """Return the question that is asked, in the number formats of ``words``: one, or a model and the words of a service.

    Raises:
        QuestionError: words besides formats with a question that states them.
    """
    formats, words = part(words, FormatWords), rest(words, FormatWords)
    if not isinstance(what, (Prefill, Decode, Serve)):
        return service(catalog.model(what, **formats), words)
    if words:
        raise QuestionError(fault("words", tuple(words), f"the {type(what).__name__} already states every option"))
    model = catalog.model(what.model, **formats)
    return what if model is what.model else attrs.evolve(what, model=model)


def _chosen(
    question: Question, system: System, profile: Calibration, chips: int | None, degrees: Mapping[str, Num]
) -> tuple[Question, Layout, str]:
    """Return the question with its chunk, the best layout that fits, and a sentence that states the choice.

    Raises:
        QuestionError: the degrees given cannot be laid out for this model.
    """
    candidates = possible(question.model, system, worth_trying(question.model, system, chips, degrees), degrees)
    question, layout, fitting = choose(question, system, candidates, profile)
    tried = int(np.size(candidates.tp))
    if np.ndim(fitting):
        return question, layout, f"layout: for each point the best of {tried} that fits"
    if not fitting:
        arriving = isinstance(question, Serve) and question.rate is not None
        shown = "serves the most" if arriving else "needs the least memory"
        rule = "fits and keeps up with the rate" if arriving else "fits"
        return question, layout, f"layout: none of {tried} {rule}; the one that {shown} is shown"
    best = "the least TTFT" if isinstance(question, Prefill) else "the most tokens/s"
    if isinstance(question, Serve) and question.rate is not None:
        best = "the shortest latency"
    only = "the only one" if fitting == 1 else f"{best} of the {int(fitting)}"
    used = ranks_of(system, chips) // system.ranks_per_chip
    return (
        question,
        layout,
        f"layout {layout}{_chunk(question)}: {only} that fit{'s' if fitting == 1 else ''} on {counted(used, 'chip')}{holding(degrees)}",
    )
