"""Published timings of collectives at scale, as rows (system, fabric, ranks, bytes) and their predictions.

==================  =============================================================================
``system``          a name in ``hardware/systems``
``fabric``          a name in ``hardware/fabrics``; blank inside a node
``rank_gb_s``       what the cards of a node give to each rank, GB/s; blank inside a node
``ranks``           of the group; ``ranks_per_node`` of them on each node
``collective``      ``all_reduce``, ``all_gather``, ``reduce_scatter``, ``all_to_all``, ``send_recv``, ``dispatch``, ``combine``
``bytes``           as nccl-tests counts them; of a dispatch or combine, one copy of a rank's tokens
``algorithm``       that was held to, blank where the library chose
``path``            ``low_latency`` or ``throughput``, of a dispatch or combine; ``tokens``, of each rank; ``proxy`` says
                    ``yes`` where a thread of the host sends for the kernel
``measured_us``     time
==================  =============================================================================

with ``group``, ``library`` and ``source``, which say whose figures they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from roofline import catalog
from roofline.core.errors import DescriptorError, QuestionError
from roofline.core.units import GIGA, MICRO, Count, Seconds
from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import Fabric, Tier
from roofline.operators.operations import Message
from roofline.physics.collectives import price, shifted, unnamed

_HELD: Final[Mapping[str, tuple[str, ...]]] = {
    "ring": ("ring", "gather"), "tree": ("tree",), "nvls": ("in_network",), "collnet": ("in_network", "gather"),
    "": ("ring", "tree", "in_network", "gather", "all_to_all", "point_to_point"),
}  # fmt: skip
"""Ways of the library by the algorithm that a row was held to; blank is what a collective library chooses from (NCCL and RCCL halve only
between nodes of one rank each, of which there is no row)."""
_COPIES: Final = 8
"""Experts of a token in every published exchange."""


@frozen(eq=False)
class Row:
    """One published collective.

    Attributes:
        system: name of the system.
        fabric: name of the fabric; "" inside a node.
        group: whose figures it belongs to.
        message: what was moved.
        tiers: the tiers that it was moved over.
        ways: the algorithms that it may have taken.
        measured: how long it took.
        profile: constants of the system's chip.
        ranks: ranks that took part.
        nodes: nodes that took part.
    """

    system: str
    fabric: str
    group: str
    message: Message
    tiers: tuple[Tier, ...]
    ways: tuple[str, ...]
    measured: Seconds
    profile: Calibration
    ranks: Count
    nodes: Count

    def on(self, fabric: Fabric) -> Row:
        """Return the row with another fabric in place of its own."""
        tiers = tuple(t if t.fabric is None else attrs.evolve(t, fabric=fabric) for t in self.tiers)
        return attrs.evolve(self, tiers=tiers)


def read(rows: Iterable[Mapping[str, str]], level: str = "calibrated", file: str = "rows") -> list[Row]:
    """Return published collectives from the rows of a table.

    Raises:
        DescriptorError: the row, its column, and the rule.
    """
    out = []
    for i, row in enumerate(rows):
        try:
            out.append(_row(row, level))
        except (KeyError, ValueError, QuestionError) as error:
            raise DescriptorError(f"{file}: row {i + 1}: {error}") from None
    return out


def _row(row: Mapping[str, str], level: str) -> Row:
    rack = catalog.system(row["system"])
    ranks, local = float(row["ranks"]), float(row["ranks_per_node"])
    tiers = rack.tiers
    if row["fabric"]:
        outer = attrs.evolve(
            tiers[-1], bandwidth=float(row["rank_gb_s"]) * GIGA, fabric=catalog.fabric(row["fabric"]),
            in_network=row["algorithm"] == "collnet",
        )  # fmt: skip
        tiers = (*(attrs.evolve(t, size=min(float(t.size), local)) for t in tiers[:-1]), outer)
    kind, size = row["collective"], float(row["bytes"])
    ways = (row["path"],) if row["path"] else _HELD[row["algorithm"]]
    if kind in ("dispatch", "combine"):
        message = Message(
            kind, kind, size, ranks, copies=float(_COPIES), rows=float(row["tokens"]) * bool(row["proxy"])
        )
    elif kind == "send_recv":
        # What many nodes leave of a spine was fitted, and is no bound.
        message, tiers = shifted(size, ranks, unnamed(tiers) if level == "ideal" else tiers)
    else:
        message = Message(kind, kind, size, ranks)
    return Row(
        row["system"], row["fabric"], row["group"], message, tiers, ways, float(row["measured_us"]) * MICRO,
        catalog.profile(level, rack), ranks, ranks / local,
    )  # fmt: skip


def errors(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return ``log(predicted / measured)`` of each row."""
    return np.array([float(np.log(price(r.message, r.tiers, r.profile, r.ways).time / r.measured)) for r in rows])


def predicted(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return the half-width of the 80 % interval of each row, relative."""
    return np.array([float(price(r.message, r.tiers, r.profile, r.ways).error) for r in rows])
