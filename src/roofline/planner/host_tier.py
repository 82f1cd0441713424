r"""Host memory as a tier of the prefix cache: what each attention rank has of it, and how fast the link copies it back.

A token of the cache takes k bytes on a rank, so that a rank with M bytes of host memory and a link of b bytes per second holds
:math:`M / k` tokens more, each copied in :math:`k / (\rho b)`, where :math:`\rho` is what links pass of their rate.
"""

from __future__ import annotations

import re

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.quantities import quantity
from roofline.core.units import BYTE, BYTE_RATE, Bytes, Count, show
from roofline.hardware.hardware import REACHED, System
from roofline.inference.simulation import HostTier
from roofline.planner.offload import FILLED
from roofline.workload.layout import Layout

_TIMES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*x\s*")


def host_tier(
    memory: float | str | None, bandwidth: float | str | None, system: System, layout: Layout, *, token: Bytes, own: Count, layers: Count
) -> tuple[HostTier | None, str]:  # fmt: skip
    """Return the host's tier of a rank's prefix cache, and a sentence that states it; None and no sentence where none is asked for.

    Args:
        memory: per chip: bytes, text with a unit, ``"2x"`` (of the chip's own cache), or ``"auto"``.
        bandwidth: of a chip's link, one way; None for that of the system.
        token: bytes of a token's cache on a rank; ``own``: tokens that the rank's chip memory holds for one pipeline lane.
        layers: of the model.

    Raises:
        QuestionError: no unit or no number, or what the system's file does not state.
    """
    if memory is None:
        if bandwidth is not None:
            raise QuestionError(fault("host_bandwidth", bandwidth, "is of host memory", "give host_cache too"))
        return None, ""
    host, ranks, lanes = system.host, system.ranks_per_chip, float(layout.pp)
    link = host.bandwidth if bandwidth is None and host is not None else bandwidth
    if link is None:
        raise QuestionError(
            fault(
                "host_bandwidth", None, f"no link from {system.name} to its hosts is known", "give it, such as 64 GB/s"
            )
        )
    rate = float(quantity("host_bandwidth", link, BYTE_RATE))
    refuse("host_bandwidth", rate, 0.0, strict=True)
    times = _TIMES.fullmatch(memory) if isinstance(memory, str) else None
    if memory == "auto":
        if host is None or host.memory is None:
            raise QuestionError(
                fault(
                    "host_cache",
                    memory,
                    f"the host memory of {system.name} is not known",
                    "give it per chip, such as 200 GB",
                )
            )
        size = FILLED * float(host.memory) / float(system.chips)
    elif times is not None:
        size = float(quantity("host_cache", float(times[1]) * own * lanes * token * ranks, BYTE))
    else:
        size = float(quantity("host_cache", memory, BYTE))
    refuse("host_cache", size, 0.0)
    tokens = size / ranks / lanes / float(token)
    fetch = float(token) / (rate / ranks * REACHED)
    remark = (
        f"host memory caches prefixes too: {show(size, BYTE, 3)} per chip, {tokens:,.0f} tokens of each attention rank, "
        f"copied at {show(rate * REACHED, BYTE_RATE, 3)} per chip; copies to the host add no time"
    )
    return HostTier(tokens, fetch, float(layers)), remark
