"""What is asked: one prefill, one decode step, or a service under load. Batches count sequences in the whole deployment."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import attrs
import numpy as np
from attrs import field, frozen

from roofline.architecture import Model
from roofline.arrays import checked, number
from roofline.errors import QuestionError, fault
from roofline.units import TERA, Count, Num

MOST_TOKENS: Final = TERA
"""More tokens, or requests, than any question has a use for; products of two stay finite."""


def _size(default: Any = attrs.NOTHING, low: float = 1.0, high: float = 2 * MOST_TOKENS) -> Any:
    """Return a field for a size in [low, high]; means, such as 232.6 tokens, are sizes too."""
    return field(default=default, converter=number, validator=checked(low, high))


def _flow(default: Any = attrs.NOTHING) -> Any:
    """Return a field for a number of sequences in flight: above zero, below one if most of the time there is none."""
    return field(default=default, converter=number, validator=checked(0, MOST_TOKENS, strict=True))


def _tokens() -> Any:
    """Return a field for a whole number of tokens, none by default."""
    return field(default=0.0, converter=number, validator=checked(0, MOST_TOKENS, whole=True))


def _accepted() -> Any:
    def validate(question: Any, field_: Any, value: Num) -> None:
        checked(1)(question, field_, value)
        if np.any(value > question.draft_tokens + 1):
            first = float(np.max(value))
            rule = "cannot exceed draft_tokens + 1, the tokens of one step"
            raise QuestionError(fault("accept_length", first, rule, "raise draft_tokens, or lower accept_length"))

    return field(default=1.0, converter=number, validator=validate)


@frozen(eq=False)
class Prefill:
    """``batch`` prompts of ``input`` tokens, ``cached`` of which are already in the KV cache, read in one pass."""

    model: Model
    batch: Count = _flow()
    input: Count = _size()
    cached: Count = _size(0.0, low=0)


@frozen(eq=False)
class Decode:
    """One step of ``batch`` sequences that already hold ``context`` tokens each.

    Attributes:
        draft_tokens: speculative tokens verified with each sequence's next one.
        accept_length: mean tokens emitted per sequence and step, in [1, draft_tokens + 1].
    """

    model: Model
    batch: Count = _flow()
    context: Count = _size()
    draft_tokens: Count = _tokens()
    accept_length: Count = _accepted()


@frozen(eq=False)
class Serve:
    """``concurrency`` requests always in flight, each ``input`` tokens in and ``output`` tokens out (a closed loop)."""

    model: Model
    input: Count = _size(4096.0, high=MOST_TOKENS)
    output: Count = _size(1024.0, high=MOST_TOKENS)
    concurrency: Count = _flow(64.0)
    draft_tokens: Count = _tokens()
    accept_length: Count = _accepted()


Question: TypeAlias = Prefill | Decode | Serve
