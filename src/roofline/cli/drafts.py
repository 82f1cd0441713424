"""``--draft-model``: attaches a draft model to its target model."""

from __future__ import annotations

from typing import Any

from roofline import catalog
from roofline.catalog.models import named
from roofline.models.architecture import Model


def drafted(model: str, draft: str | None, words: dict[str, Any]) -> str | Model:
    """Return a model with the draft model of ``--draft-model``, and put the tokens that it proposes into ``words`` where none are given."""
    if draft is None:
        return model
    drafter = named(draft)
    words.setdefault("draft_tokens", drafter.proposed)
    return catalog.model(model).with_draft(drafter)
