"""Data of long training runs: failure rates, restarts, storage bandwidth, and PUE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from roofline.catalog.facts import Facts
from roofline.core.mappings import Table
from roofline.core.provenance import Fact
from roofline.core.units import BYTE_RATE, DAY, ONE, SECOND, BytesPerSecond, Ratio, Seconds

OTHER: Final = "other"
"""The entry of chips without a published failure rate."""

_PATH: Final = "operation.mtbf."


@frozen(eq=False)
class Operation:
    """Failure rates, restart times and storage of training runs.

    Attributes:
        mtbf: mean time between the failures of one chip that stop the run, by the chip's name; :data:`OTHER` for the rest.
        restart: from a failure to the loading of a checkpoint.
        storage: bytes a second that storage takes in for each chip of the run.
        pue: draw of the building over that of the machines in it.
        facts: each number as the file states it, with its source.
    """

    mtbf: Mapping[str, Seconds]
    restart: Seconds
    storage: BytesPerSecond
    pue: Ratio
    facts: tuple[Fact, ...] = field(default=(), repr=False)

    def failures(self, chip: str) -> Fact:
        """Return how often one chip of that name fails, with its source."""
        name = chip if chip in self.mtbf else OTHER
        return next(fact for fact in self.facts if fact.path == _PATH + name)


def operation(root: Table) -> Operation:
    """Return the data of long runs in a descriptor.

    Raises:
        DescriptorError: file, key, value, rule and remedy.
    """
    head = root.table("operation")
    facts = Facts(root, head)
    restart = facts.value(head, "restart", SECOND, most=30 * DAY)
    storage = facts.value(head, "storage", BYTE_RATE)
    pue = facts.value(head, "pue", ONE, least=1.0, most=5.0)
    times = head.table("mtbf")
    mtbf = {name: facts.value(times, name, SECOND, least=1.0) for name in times}
    if OTHER not in mtbf:
        raise times.fail(OTHER, "is missing", "give the time of chips that have no entry of their own")
    head.done()
    return Operation(mtbf, restart, storage, pue, facts.done())
