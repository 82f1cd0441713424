"""``roofline collective``: the time of one collective."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from roofline.cli.console import say
from roofline.cli.flags import Json, Level, System
from roofline.cli.numbers import to_whole
from roofline.planner.collective import collective


def collective_(
    kind: Annotated[
        str,
        Parameter(
            help="The collective: all-reduce, all-gather, reduce-scatter, all-to-all, send-recv, broadcast, dispatch or combine."
        ),
    ],
    size: Annotated[
        str,
        Parameter(help="Bytes as nccl-tests counts them, of one rank's whole buffer: 1GiB."),
    ],
    /,
    *,
    system: System,
    ranks: Annotated[
        int, Parameter(name=["--ranks", "-n"], converter=to_whole, help="Ranks that take part, next to each other: 72.")
    ],
    algorithm: Annotated[
        str | None,
        Parameter(
            help="The algorithm: ring, tree, in-network, halving, one-shot, two-shot, low-latency or throughput (default: the quickest)."
        ),
    ] = None,
    fabric: Annotated[
        str | None,
        Parameter(
            help="Network between nodes in place of the system's: infiniband, roce, efa-v1, efa-v2, efa-v4, slingshot-11, tcpx, tcpxo."
        ),
    ] = None,
    in_network: Annotated[
        bool | None,
        Parameter(
            negative="", help="In-network reduction by the switches between nodes (SHARP; NCCL_COLLNET_ENABLE=1)."
        ),
    ] = None,
    plane: Annotated[str | None, Parameter(help="Another network of the system that carries it: VPC.")] = None,
    per_node: Annotated[
        int | None,
        Parameter(
            name=["--per-node", "--ranks-per-node"],
            converter=to_whole,
            help="Ranks of each node that take part, or of each NVLink partition (default: all of a node).",
        ),
    ] = None,
    copies: Annotated[
        int,
        Parameter(
            name=["--copies", "--topk"],
            converter=to_whole,
            help="Experts of a token, of a dispatch or combine: 8 (default).",
        ),
    ] = 8,
    tokens: Annotated[
        int,
        Parameter(
            converter=to_whole,
            help="Tokens of a rank, where a thread of the host sends for the kernels of a dispatch or combine (EFA): 128.",
        ),
    ] = 0,
    groups: Annotated[
        int,
        Parameter(
            name=["--groups", "--n-group"],
            converter=to_whole,
            help="Parts of the ranks that a router chooses among (node-limited routing): 8.",
        ),
    ] = 1,
    top_groups: Annotated[
        int,
        Parameter(
            name=["--top-groups", "--topk-group"],
            converter=to_whole,
            help="Parts that a token's experts lie in at most: 4.",
        ),
    ] = 1,
    library: Annotated[
        str | None,
        Parameter(
            help="What exchanges the tokens of a dispatch or combine: deepep-v2, cann (default: DeepEP's first version)."
        ),
    ] = None,
    level: Level = None,
    json: Json = False,
) -> None:
    """Estimate the time and the bus bandwidth of a collective: ``roofline collective all-reduce 1GiB --system gb200-nvl72 --ranks 72``."""
    found = collective(
        kind,
        size,
        system,
        ranks=ranks,
        algorithm=algorithm,
        fabric=fabric,
        in_network=in_network,
        plane=plane,
        per_node=per_node,
        copies=copies,
        tokens=tokens,
        groups=groups,
        top_groups=top_groups,
        library=library,
        level=level or "calibrated",
    )
    say(json, found.to_dict, lambda: str(found))
