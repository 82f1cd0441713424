"""What is asked: one prefill, one decode step, or a service under load. Batches count sequences in the whole deployment."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs
import numpy as np
from attrs import field, frozen

from roofline.architecture import Model
from roofline.errors import QuestionError, fault
from roofline.fields import MOST_TOKENS, TO_NUMBER, TO_NUMBER_OR_NONE, amount, checked, flow, size
from roofline.units import Count, Num, Ratio

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


def _accepted(question: Any, attribute: Any, value: Num) -> None:
    checked(1)(question, attribute, value)
    if np.any(value > question.draft_tokens + 1):
        rule = "cannot exceed draft_tokens + 1, the tokens of one step"
        raise QuestionError(
            fault("accept_length", float(np.max(value)), rule, "raise draft_tokens, or lower accept_length")
        )


def _uneven() -> Any:
    """Return a field for how much more the fullest rank gets than the mean; None for the law of even routing."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(1))


def _slots() -> Any:
    """Return a field for how many requests a slot of a benchmark serves; None without end."""
    return field(default=None, converter=TO_NUMBER_OR_NONE, validator=checked(1))


def _tokens() -> Any:
    """Return a field for a whole number of tokens, none by default."""
    return amount(0.0, high=MOST_TOKENS, whole=True)


def _kept() -> Any:
    return field(default=1.0, converter=TO_NUMBER, validator=_accepted)


@frozen(eq=False)
class Prefill:
    """``batch`` prompts of ``input`` tokens, ``cached`` of which are already in the KV cache, read in one pass.

    Attributes:
        imbalance: tokens that the fullest expert shard gets over the mean of all; None where a router draws experts at random.
    """

    model: Model
    batch: Count = flow()
    input: Count = size()
    cached: Count = _past()
    imbalance: Count | None = _uneven()


@frozen(eq=False)
class Decode:
    """One step of ``batch`` sequences that already hold ``context`` tokens each.

    Attributes:
        draft_tokens: speculative tokens verified with each sequence's next one.
        accept_length: mean tokens emitted per sequence and step, in [1, draft_tokens + 1].
        imbalance: as in :class:`Prefill`.
    """

    model: Model
    batch: Count = flow()
    context: Count = size()
    draft_tokens: Count = _tokens()
    accept_length: Count = _kept()
    imbalance: Count | None = _uneven()


@frozen(eq=False)
class Mixed:
    """A decode step that also passes prompt tokens, as continuous batching does.

    Attributes:
        batch, context, draft_tokens: of the decode step; no sequence may be decoding.
        prompts: prompts that the fullest attention rank passes a part of.
        chunk: tokens of each; ``past``: tokens of it passed before.
        busy: attention ranks of a group in lock-step that pass prompts, on average.
    """

    model: Model
    batch: Count = amount(high=MOST_TOKENS)
    context: Count = size()
    prompts: Count = flow()
    chunk: Count = size()
    past: Count = amount(0.0)
    busy: Count = amount(1.0)
    draft_tokens: Count = _tokens()
    imbalance: Count | None = _uneven()


@frozen(eq=False)
class Serve:
    """``concurrency`` requests always in flight, each ``input`` tokens in and ``output`` tokens out (a closed loop).

    Attributes:
        chunk: prompt tokens that an attention rank passes beside a decode step at most; None for the engine's budget, shared
            by the ranks in lock-step, at least :data:`LEAST_CHUNK` each.
        cached: tokens of a prompt that are in the KV cache already, on average.
        imbalance: as in :class:`Prefill`.
        requests_per_slot: requests that each slot of a benchmark serves, which starts them all at once; None for a service that
            has run for long.
        variation: standard deviation of the lengths over their mean; at 0 requests that begin together end together.
    """

    model: Model
    input: Count = size(4096.0, high=MOST_TOKENS)
    output: Count = size(1024.0, high=MOST_TOKENS)
    concurrency: Count = flow(64.0)
    draft_tokens: Count = _tokens()
    accept_length: Count = _kept()
    chunk: Count | None = _chunk()
    cached: Count = _past()
    imbalance: Count | None = _uneven()
    requests_per_slot: Count | None = _slots()
    variation: Ratio = amount(0.2, high=10.0)


Question: TypeAlias = Prefill | Decode | Serve
Pass: TypeAlias = Prefill | Decode | Mixed
