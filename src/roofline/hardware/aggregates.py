"""What a system adds up to: rates, memory, bandwidth and power of all its chips."""

from __future__ import annotations

from roofline.hardware.hardware import System


def aggregates(system: System) -> dict[str, float | None]:
    """Return what a system adds up to: chips times what one package has, and its rated power.

    ``scale_up`` is the one-way bandwidth of the widest tier beyond the package and inside the system, over all ranks.
    """
    package, chips, power = system.package, float(system.chips), system.power_per_chip
    ranks = float(system.ranks)
    inner = [float(tier.bandwidth) for tier in system.tiers if system.ranks_per_chip < float(tier.size) <= ranks]
    out: dict[str, float | None] = {"chips": chips}
    out |= {f"{rate}_flops_per_s": float(peak) * chips for rate, peak in package.peak.items()}
    out["memory_bytes"] = float(package.memory.capacity) * chips
    out["memory_bandwidth_bytes_per_s"] = float(package.memory.bandwidth) * chips
    out["scale_up_bytes_per_s"] = max(inner) * ranks if inner else None
    out["power_w"] = None if power is None else float(power) * chips
    flops = out.get("bf16_flops_per_s")
    out["flops_per_joule"] = None if flops is None or not out["power_w"] else flops / out["power_w"]
    return out
