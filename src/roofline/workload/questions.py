"""Questions: a prefill, a decode step, a service under load, a training step. Batches count sequences in the whole deployment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs
import numpy as np
from attrs import Factory, field, frozen

from roofline.core.arrays import Mask
from roofline.core.errors import QuestionError, fault, near
from roofline.core.fields import (
    MOST_TOKENS,
    TO_NUMBER,
    TO_NUMBER_OR_NONE,
    amount,
    checked,
    flow,
    one_of,
    optional,
    size,
)
from roofline.core.remember import by_numbers
from roofline.core.signatures import aliased
from roofline.core.units import Count, Num, PerSecond, Ratio
from roofline.models.architecture import Model

LEAST_CHUNK: Final = 512.0
"""Prompt tokens that an attention rank passes in a step at least, so that its products stay efficient."""


def _cached(question: Any, _: object, value: Num) -> None:
    checked(0)(question, attrs.fields(type(question)).cached, value)
    if np.any(value >= question.input):
        rule = "must be less than the prompt: its last token is always passed"
        raise QuestionError(
            fault("cached", float(np.max(value)), rule, f"the prompt has {float(np.min(question.input)):g} tokens")
        )


def _past() -> Any:
    """Return a field for the tokens of a prompt that are cached already."""
    return field(default=0.0, converter=TO_NUMBER, validator=_cached)


def _chunk() -> Any:
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(1))


def _accepted(question: Any, attribute: Any, value: Num | None) -> None:
    checked(1)(question, attribute, value)
    if value is not None and np.any(value > question.draft_tokens + 1):
        rule = "cannot exceed draft_tokens + 1, the tokens of one step"
        raise QuestionError(
            fault("accept_length", float(np.max(value)), rule, "raise draft_tokens, or lower accept_length")
        )


def _uneven() -> Any:
    """Return a field for how much more the fullest rank gets than the mean; None for the law of even routing."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(1))


def _rate() -> Any:
    """Return a field for requests that come in a second, at random; None where as many are always in flight."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(strict=True), kw_only=True)


def _either(question: Any, attribute: Any, value: Num | None) -> None:
    if (value is None) == (question.rate is None):
        raise QuestionError(
            fault(
                "concurrency",
                value,
                f"is not to be given with rate={question.rate}" if value is not None else "or rate must be given",
                "requests always in flight, or requests that come in a second: exactly one of concurrency and rate",
            )
        )
    checked(high=MOST_TOKENS, strict=True)(question, attribute, value)


def _in_flight() -> Any:
    """Return a field for the requests in flight, 64 unless a rate is given."""
    usual = Factory(lambda self: 64.0 if self.rate is None else None, takes_self=True)
    return field(default=usual, converter=TO_NUMBER_OR_NONE, validator=_either)


def _slots() -> Any:
    """Return a field for how many requests a slot of a benchmark serves; None without end."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(1))


def _tokens() -> Any:
    """Return a field for a whole number of tokens, none by default."""
    return amount(0.0, high=MOST_TOKENS, whole=True)


def _accepted_tokens() -> Any:
    """Return a field for the tokens that a step yields; None for what drafts usually make of it."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=_accepted)


@by_numbers
@frozen(eq=False)
class Prefill:
    """``batch`` prompts of ``input`` tokens, ``cached`` of which are already in the KV cache, read in one pass.

    Attributes:
        model: the model that reads.
        batch: prompts in the pass.
        input: tokens of a prompt.
        cached: tokens of a prompt that are already in the KV cache.
        imbalance: tokens that the fullest expert shard gets over the mean of all; None where a router draws experts at random.
    """

    model: Model
    batch: Count = flow()
    input: Count = size()
    cached: Count = _past()
    imbalance: Count | None = _uneven()


def _generates(_: object, __: object, model: Model) -> None:
    """Refuse a model that only reads, where tokens are to be generated."""
    if isinstance(model, Model) and model.role == "encoder":  # a name is read later, and checked then
        raise QuestionError(
            fault(
                "model",
                model.name,
                "is an encoder: it generates no tokens",
                "ask for a prompt alone: rl.Prefill, or --phase prefill",
            )
        )


@by_numbers
@frozen(eq=False)
class Decode:
    """One step of ``batch`` sequences that already hold ``context`` tokens each.

    Attributes:
        model: the model that decodes.
        batch: sequences in the step.
        context: tokens that each sequence already holds.
        draft_tokens: speculative tokens verified with each sequence's next one.
        accept_length: mean tokens emitted per sequence and step, in [1, draft_tokens + 1]; None for :func:`usual_accept_length`.
        imbalance: as in :class:`Prefill`.
        served: part of the sequences that an engine schedules and whose tokens it sends on, as a server does; a bare step has none.
    """

    model: Model = field(validator=_generates)
    batch: Count = flow()
    context: Count = size()
    draft_tokens: Count = _tokens()
    accept_length: Count | None = _accepted_tokens()
    imbalance: Count | None = _uneven()
    served: Ratio = amount(0.0, high=1.0)


@by_numbers
@frozen(eq=False)
class Mixed:
    """A decode step that also passes prompt tokens, as continuous batching does.

    Attributes:
        model: the model that serves.
        batch: sequences of the decode step; none may be decoding.
        context: tokens that each of these already holds.
        prompts: prompts that the fullest attention rank passes a part of.
        chunk: tokens of each prompt that pass, on average; below one where a step passes few of many prompts.
        past: tokens of each prompt that passed before.
        busy: attention ranks of a group in lock-step that pass prompts, on average.
        draft_tokens: speculative tokens verified with each decoding sequence's next one.
        imbalance: as in :class:`Prefill`.
    """

    model: Model
    batch: Count = amount(high=MOST_TOKENS)
    context: Count = size()
    prompts: Count = flow()
    chunk: Count = amount(high=2 * MOST_TOKENS, strict=True)
    past: Count = amount(0.0)
    busy: Count = amount(1.0)
    draft_tokens: Count = _tokens()
    imbalance: Count | None = _uneven()


@frozen(eq=False)
class Serve:
    """``concurrency`` requests always in flight (a closed loop), or ``rate`` a second that arrive at random (an open one).

    Attributes:
        model: the model that is served.
        input: tokens of a prompt.
        output: tokens of an answer.
        rate: requests a second; exactly one of it and ``concurrency`` is given, which is 64 where neither is.
        concurrency: requests always in flight; None where ``rate`` is given.
        draft_tokens: speculative tokens verified with each sequence's next one; 0 for none.
        accept_length: mean tokens emitted per sequence and step, as in :class:`Decode`.
        chunk: prompt tokens that an attention rank passes beside a decode step at most; None for the engine's budget, shared
            by the ranks in lock-step, at least :data:`LEAST_CHUNK` each.
        cached: tokens of a prompt that are in the KV cache already, on average.
        imbalance: as in :class:`Prefill`.
        requests_per_slot: requests that each slot of a benchmark serves, which starts them all at once; None for a service that
            has run for long.
        variation: standard deviation of the lengths over their mean; at 0 requests that begin together end together.

    ``isl`` and ``osl`` are other names of ``input`` and ``output`` where a service is made.
    """

    model: Model = field(validator=_generates)
    input: Count = size(4096.0, high=MOST_TOKENS)
    output: Count = size(1024.0, high=MOST_TOKENS)
    rate: PerSecond | None = _rate()
    concurrency: Count | None = _in_flight()
    draft_tokens: Count = _tokens()
    accept_length: Count | None = _accepted_tokens()
    chunk: Count | None = _chunk()
    cached: Count = _past()
    imbalance: Count | None = _uneven()
    requests_per_slot: Count | None = _slots()
    variation: Ratio = amount(0.2, high=10.0)


Serve.__init__ = aliased(isl="input", osl="output")(Serve.__init__)  # type: ignore[method-assign]


RECOMPUTE: Final = {
    "none": "everything that gradients need is stored",
    "selective": "some modules of a layer are recomputed, attention unless others are named: selective:norm+activation",
    "full": "only the input of each layer is stored, and the layer is recomputed",
}
"""What is recomputed in the backward pass instead of being kept (Korthikanti and others, arXiv:2205.05198, section 5)."""

MODULES: Final = {
    "attention": "attention itself, from queries, keys and values",
    "norm": "normalisations",
    "activation": "the operations between the GEMMs of a feed-forward block",
    "up": "the way out of the latents of queries, keys and values",
    "ffn": "dense feed-forward blocks, shared experts among them",
    "experts": "routed experts, once their tokens have come",
}
"""Modules that a selective recomputation may name."""


_CALLED: Final[Mapping[str, str]] = {
    "core_attn": "attention", "attn": "attention", "mla_up_proj": "up", "layernorm": "norm", "norms": "norm", "moe_act": "activation",
    "act": "activation", "mlp": "ffn", "shared_experts": "ffn", "shared_expert": "ffn", "moe": "experts",
}  # fmt: skip
"""What frameworks call the modules that are recomputed."""


def recomputation(words: str) -> str:
    """Return what is recomputed in this library's words: a list of modules is selective whether it says so or not.

    >>> recomputation("layernorm,moe"), recomputation("selective:core_attn+mlp"), recomputation("full")
    ('selective:norm+experts', 'selective:attention+ffn', 'full')
    """
    head, colon, named = words.partition(":")
    if not (colon and head == "selective"):
        head, named = "selective", words
    listed = [_CALLED.get(name, name) for name in re.split(r"[+,]", named.replace(" ", "")) if name]
    known = [name for name in listed if name in MODULES]
    return f"{head}:{'+'.join(dict.fromkeys(listed))}" if known else words


def modules(recompute: str) -> tuple[str, ...]:
    """Return the modules that a selective recomputation does again.

    >>> modules("selective"), modules("selective:norm+activation"), modules("none")
    (('attention',), ('norm', 'activation'), ())
    """
    head, _, named = recompute.partition(":")
    return tuple(named.split("+")) if named else ("attention",) if head == "selective" else ()


def _recomputing(words: str) -> str:
    return recomputation(words) if isinstance(words, str) else words


def _recomputed(_: object, attribute: Any, value: object) -> None:
    head, colon, _named = str(value).partition(":")
    if head not in RECOMPUTE or (colon and head != "selective"):
        raise QuestionError(fault(attribute.name, value, "no such word", near(head, RECOMPUTE, "recompute")))
    for name in modules(str(value)):
        if name not in MODULES:
            raise QuestionError(
                fault(attribute.name, value, f"{name[:40]!r} is no module", near(name, MODULES, "modules"))
            )


TASKS: Final = {
    "pretrain": "all weights are trained",
    "finetune": "all weights are trained, from a checkpoint",
    "lora": "low-rank adapters are trained next to frozen weights (Hu and others, arXiv:2106.09685)",
}
"""What is trained."""


@frozen(eq=False)
class TrainStep:
    """One step of an optimizer over ``global_batch`` sequences of ``seq_len`` tokens.

    With d data-parallel ranks each takes ``global_batch / (micro_batch d)`` micro-batches, one after another.

    Attributes:
        model: the model that is trained.
        global_batch: sequences of a step on all ranks together.
        seq_len: tokens of a sequence.
        micro_batch: sequences that a data-parallel rank takes at once.
        recompute: what is recomputed in the backward pass: :data:`RECOMPUTE`.
        share: part of the layers of which it is recomputed.
        task: what is trained: :data:`TASKS`.
        rank: rank of the adapters of a ``lora``.
        document: tokens of a document, where several are packed into a sequence and see only themselves; None for ``seq_len``.
        gradient_bytes: of one gradient that is accumulated: 4, or 2 where it stays in 16 bits.
        offload: part of what gradients need that waits in the memory of the host.
        imbalance: as in :class:`Prefill`.
    """

    model: Model
    global_batch: Count = amount(high=MOST_TOKENS, low=1)
    seq_len: Count = size(4096.0, high=MOST_TOKENS)
    micro_batch: Count = amount(1.0, high=MOST_TOKENS, low=1)
    recompute: str = field(default="none", converter=_recomputing, validator=_recomputed)
    share: Ratio = amount(1.0, high=1.0)
    task: str = field(default="pretrain", validator=one_of(TASKS))
    rank: Count = amount(16.0, low=1, high=MOST_TOKENS)
    document: Count | None = optional(1, MOST_TOKENS)
    gradient_bytes: Count = amount(4.0, low=1, high=8)
    offload: Ratio = amount(0.0, high=1.0)
    imbalance: Count | None = _uneven()


Question: TypeAlias = Prefill | Decode | Serve
Pass: TypeAlias = Prefill | Decode | Mixed


CHANCE_KEPT: Final = 0.765
"""Chance that a draft is kept if the one before it was: least squares on the tokens a step of seven models with drafters of their
own (multi-token prediction, EAGLE), 1 to 8 drafts: InferenceX, golden_al_distribution; TensorRT-LLM's posts on DeepSeek-R1."""
KEPT_ERROR: Final = 0.14
"""Half-width of the 80 % interval of what that chance makes of a step, in logarithms, for a model left out."""


HEAD_KEPT: Final = 0.63
"""That chance for EAGLE-3 heads that others trained for a model that brings no module: six Qwen3 models keep 2.00 tokens (1.79 to 2.17)
of steps with two drafts, Qwen3-VL-2B 2.5 with four (AngelSlim, https://github.com/Tencent/AngelSlim, benchmark tables, vLLM)."""


def usual_accept_length(draft_tokens: Count, chance: float = CHANCE_KEPT) -> Count:
    r"""Return the tokens that a step usually yields with k drafts: :math:`(1 - a^{k+1}) / (1 - a)` (Leviathan, arXiv:2211.17192).

    Args:
        draft_tokens: k.
        chance: a, that a draft is kept if the one before it was.

    >>> [round(float(usual_accept_length(k)), 2) for k in (0, 1, 3)]
    [1.0, 1.77, 2.8]
    >>> round(usual_accept_length(2, HEAD_KEPT), 2)
    2.03
    """
    return (1 - chance ** (draft_tokens + 1)) / (1 - chance)


def tokens_per_step(question: Decode | Serve) -> Count:
    """Return the tokens that a step of a question yields for each sequence: as given, or as usual."""
    given = question.accept_length
    return usual_accept_length(question.draft_tokens, usual_acceptance(question.model)) if given is None else given


def usual_acceptance(model: Model) -> float:
    """Return the usual chance that a draft is kept if the one before it was: by modules of the model's own, or by a head added to it."""
    return CHANCE_KEPT if model.speculator is None else HEAD_KEPT


def accept_length_is_assumed(question: Question) -> Mask:
    """Return where the tokens that a step yields are what drafts usually make of it."""
    if isinstance(question, Prefill):
        return False
    return (question.draft_tokens > 0) & (question.accept_length is None)
