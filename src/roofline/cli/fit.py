"""``--require-fit``: exit status 1 where a configuration does not fit."""

from __future__ import annotations

from typing import Protocol

from roofline.core.arrays import Mask


class Fitting(Protocol):
    """What fits or does not."""

    @property
    def fits(self) -> Mask:
        """Whether it does."""
        ...


def required(answer: Fitting, *, asked: bool) -> None:
    """Leave with status 1 where a fit was asked for and there is none."""
    if asked and not bool(answer.fits):
        raise SystemExit(1)
