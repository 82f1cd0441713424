r"""Autoscaling: when replicas start and stop, how long that takes, and the chip-hours paid for.

Every ``period`` the load m of each replica in service is held against a target T, and of n replicas

.. math:: n' = \lceil n\, m / T \rceil

are asked for, unless m is within a tolerance of T; fewer only if no lower number was asked for less than ``calm`` ago. This is the
law of the Horizontal Pod Autoscaler of Kubernetes, whose defaults these are
(https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/). A replica that starts takes requests after its start
time; one that stops takes no more, ends those that it has, and is then released. Both are paid for.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

from attrs import define, field, frozen

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import amount, one_of
from roofline.core.units import Count, Num, Ratio, Seconds

METRICS: Final = {
    "in_flight": "requests of a replica, running and waiting",
    "waiting": "requests of a replica that wait to be admitted",
    "cache": "share of a replica's KV cache that is used",
}
"""Loads that replicas can follow."""

OFF: Final = "off"
STARTING: Final = "starting"
SERVING: Final = "serving"
STOPPING: Final = "stopping"


@frozen
class Autoscale:
    """How replicas follow the load.

    Attributes:
        least: replicas at least, and at the beginning.
        most: replicas at most.
        metric: load that is compared with the target: ``in_flight``, ``waiting`` or ``cache``.
        target: load of a replica that is aimed at; None for what closed forms propose (requests in flight), or 0.7 of the cache.
        start: time from the decision to a replica that serves, s; None for what its weights take to load, and the engine to start.
        period: time between two decisions, s.
        calm: time for which no more replicas must have been asked for before some are stopped, s.
        tolerance: part of the target by which the load may be off without a change.

    >>> Autoscale.of("2:8").most
    8.0
    """

    least: Count = amount(1, low=1, high=4096, whole=True)
    most: Count = amount(8, low=1, high=4096, whole=True)
    metric: str = field(default="in_flight", validator=one_of(METRICS))
    target: Num | None = None
    start: Seconds | None = None
    period: Seconds = amount(15.0, low=0.1)
    calm: Seconds = amount(300.0)
    tolerance: Ratio = amount(0.1, high=1.0)

    def __attrs_post_init__(self) -> None:
        if self.most < self.least:
            raise QuestionError(
                fault("most", self.most, f"is fewer than least={self.least:g}", "write LEAST:MOST, such as 2:8")
            )

    @classmethod
    def of(cls, text: str, **words: Any) -> Autoscale:
        """Return the rule that ``"2:8"`` stands for: two replicas at least, eight at most.

        Raises:
            QuestionError: not two whole numbers.
        """
        least, colon, most = str(text).partition(":")
        if not colon or not least.strip().isdigit() or not most.strip().isdigit():
            raise QuestionError(
                fault("autoscale", text, "must be two whole numbers, LEAST:MOST replicas", "such as 2:8")
            )
        return cls(float(least), float(most), **words)


class Instance(Protocol):
    """What is asked of an engine instance."""

    count: int
    begun: float

    @property
    def load(self) -> tuple[int, float]:
        """Requests that wait, and the share of the cache that is used."""

    def clear(self) -> None:
        """Forget what is cached."""


@define(eq=False)
class Replica:
    """One replica of a fleet: engine instances that start and stop together.

    Attributes:
        lanes: its engine instances.
        state: off, starting, serving or stopping.
        since: time at which it was asked for, s.
        ready: time at which it serves, s.
    """

    lanes: list[Any]
    state: str = OFF
    since: float = 0.0
    ready: float = 0.0

    @property
    def count(self) -> int:
        """Requests in flight."""
        return sum(lane.count for lane in self.lanes)


class Fleet:
    """Replicas in time, and what is paid for them."""

    def __init__(self, lanes: list[Any], depth: int, rule: Autoscale) -> None:
        """Make a fleet whose first ``least`` replicas serve.

        Args:
            lanes: engine instances of all replicas that there may be; ``depth``: of each.
            rule: how they follow the load; its target and start are given.
        """
        self.rule = rule
        self.replicas = [Replica(lanes[i : i + depth]) for i in range(0, len(lanes), depth)]
        for each in self.replicas[: int(rule.least)]:
            each.state = SERVING
        self.tick: float = float(rule.period)
        self.paid = 0.0
        self.asked: deque[tuple[float, int]] = deque()
        self.log: list[tuple[float, int, int, int]] = []
        self._note(0.0)

    @property
    def next(self) -> float:
        """Time at which something is to be done."""
        starting = [each.ready for each in self.replicas if each.state == STARTING]
        return min(self.tick, *starting) if starting else self.tick

    def lanes(self) -> list[Any]:
        """Return the engine instances that take requests."""
        return [lane for each in self.replicas if each.state == SERVING for lane in each.lanes]

    def act(self, now: float) -> bool:
        """Do what is to be done now; return whether other instances take requests."""
        changed = False
        for each in self.replicas:
            if each.state == STARTING and each.ready <= now:
                each.state, changed = SERVING, True
            elif each.state == STOPPING and not each.count:
                self._release(each, max(*(lane.begun for lane in each.lanes), each.ready))
        if now >= self.tick:
            self.tick = now + float(self.rule.period)
            changed = self._follow(now) or changed
        self._note(now)
        return changed

    def end(self, now: float) -> None:
        """Release all replicas at the end."""
        for each in self.replicas:
            if each.state != OFF:
                self._release(each, now)
        self._note(now)

    def _follow(self, now: float) -> bool:
        """Ask for as many replicas as the load needs; return whether other instances take requests."""
        wanted = self._wanted()
        asked = self.asked
        asked.append((now, wanted))
        while asked[0][0] < now - float(self.rule.calm):
            asked.popleft()
        here = [each for each in self.replicas if each.state in (STARTING, SERVING)]
        if wanted > len(here):
            for each in [each for each in self.replicas if each.state == OFF][: wanted - len(here)]:
                each.state, each.since, each.ready = STARTING, now, now + float(self.rule.start or 0.0)
            return False
        fewer = max(count for _, count in asked)
        # Those that do not serve yet go first, then the ones with the fewest requests.
        order = sorted(here, key=lambda each: (each.state == SERVING, each.count))
        changed = False
        for each in order[: max(len(here) - fewer, 0)]:
            if each.state == STARTING:
                self._release(each, now)
            else:
                each.state, each.ready, changed = STOPPING, now, True
        return changed

    def _wanted(self) -> int:
        """Return how many replicas the load needs."""
        rule, target = self.rule, float(self.rule.target or 1.0)
        serving = [each for each in self.replicas if each.state == SERVING]
        here = sum(each.state in (STARTING, SERVING) for each in self.replicas)
        loads = [lane.load for each in serving for lane in each.lanes]
        if rule.metric == "cache":
            total = len(serving) * sum(used for _, used in loads) / len(loads)
        elif rule.metric == "waiting":
            total = float(sum(waiting for waiting, _ in loads))
        else:
            total = float(sum(each.count for each in serving))
        over = total / (here * target)
        if abs(over - 1.0) <= float(rule.tolerance):
            return here
        return min(max(-int(-total // target), int(rule.least)), int(rule.most))

    def _release(self, replica: Replica, now: float) -> None:
        self.paid += max(now - replica.since, 0.0)
        replica.state = OFF
        for lane in replica.lanes:
            lane.clear()

    def _note(self, now: float) -> None:
        states = [each.state for each in self.replicas]
        row = (states.count(SERVING), states.count(STARTING), states.count(STOPPING))
        if not self.log or self.log[-1][1:] != row:
            self.log.append((now, *row))
