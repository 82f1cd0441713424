"""``Fleet``: autoscaled replicas over time, the chip-hours paid for, and those of a fixed fleet."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline.core.text import counted
from roofline.core.units import HOUR, SECOND, show
from roofline.core.values import Json, Record

STATES = ("serving", "starting", "stopping")
"""States of replicas that are paid for."""


@frozen
class Fixed:
    """A fleet whose replicas serve all the time, under the same requests.

    Attributes:
        replicas: the fewest that meet the limits, or as many as the autoscaled fleet has at most.
        chip_seconds: that it takes.
        meets: whether it meets the limits.
        told: what it keeps or misses, in words.
    """

    replicas: int
    chip_seconds: float
    meets: bool
    told: str


@frozen(eq=False)
class Fleet:
    """Replicas over time.

    Attributes:
        rule: how they follow the load, by word.
        target: load of a replica that was aimed at.
        start: time from the decision to a replica that serves, s.
        chips: of each replica.
        time: times at which the number of replicas changed, s.
        counts: replicas that serve, start and stop, from each of these times on.
        paid: time that replicas were paid for, added up over them, s.
        end: time at which the last answer ended, s.
        fixed: a fleet of a fixed size to compare with; None where none was simulated.
    """

    rule: dict[str, Json]
    target: float
    start: float
    chips: float
    time: NDArray[np.float64]
    counts: dict[str, NDArray[np.int64]]
    paid: float
    end: float
    fixed: Fixed | None = None

    @property
    def chip_seconds(self) -> float:
        """Time that chips were paid for, added up over them, s."""
        return self.paid * self.chips

    @property
    def mean_replicas(self) -> float:
        """Replicas that were paid for on average."""
        return self.paid / self.end if self.end else 0.0

    @property
    def most(self) -> int:
        """Replicas that were paid for at once, at most."""
        return int(np.sum([self.counts[name] for name in STATES], axis=0).max())

    @property
    def saved(self) -> float | None:
        """Part of the chip-hours of the fixed fleet that was not needed; below zero where more were."""
        return (
            None
            if self.fixed is None or not self.fixed.chip_seconds
            else 1 - self.chip_seconds / self.fixed.chip_seconds
        )

    def lines(self) -> list[str]:
        """Return it in two lines."""
        least, most = (int(float(str(self.rule[name]))) for name in ("least", "most"))
        here = f"autoscaled {least} to {most} replicas of {counted(self.chips, 'chip')}: {self.mean_replicas:,.2f} on average"
        spent = f"{self.most} at most, {self.chip_seconds / HOUR:,.4g} chip-hours; a start takes {show(self.start, SECOND, 3)}"
        out = [f"{here}, {spent}"]
        if self.fixed is not None and self.saved is not None:
            more = f"{self.saved:.0%} fewer" if self.saved >= 0 else f"{-self.saved:.0%} more"
            out.append(
                f"a fixed fleet of {self.fixed.replicas} ({self.fixed.told}) takes {self.fixed.chip_seconds / HOUR:,.4g} chip-hours: "
                f"autoscaling takes {more}"
            )
        return out

    def to_dict(self) -> Record:
        """Return it under the field names of the machine-readable answer."""
        fixed = self.fixed
        return {
            "rule": {**self.rule, "target": self.target, "start_s": self.start}, "chips_per_replica": self.chips,
            "replicas_mean": self.mean_replicas, "replicas_max": self.most, "chip_hours": self.chip_seconds / HOUR,
            "fixed": None if fixed is None else {
                "replicas": fixed.replicas, "chip_hours": fixed.chip_seconds / HOUR, "meets": fixed.meets, "told": fixed.told,
            },
            "saved": self.saved,
        }  # fmt: skip
