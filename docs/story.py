"""Write the page that decides between a CloudMatrix 384 and a GB200 NVL72: ``python docs/story.py``. The same numbers give the same page.

Every number of the page is computed here, from descriptors and estimates, or stands in :data:`SAID` with its source.
"""

from __future__ import annotations

import string
from pathlib import Path

import attrs
import numpy as np

import roofline as rl

HERE = Path(__file__).parent / "tutorials"
PAGE = HERE / "cloudmatrix384-verdict.md"
LIMITS = ("30ms", "50ms", "100ms")
ASKED = {"input": 4096, "output": 1024, "ttft": "10s"}
YEARS, KWH, PUE = 4.0, 0.08, 1.2

SAID = {
    "modules": 6912,  # 400 Gbit/s pluggable modules, SemiAnalysis 2025-04-16: 5,376 of the UB plane, 1,536 of the RDMA plane
    "module_w": 9.0,  # of a 400 Gbit/s module with DSP, NVIDIA MMS4X00-NS400; linear modules (LPO) take less: an upper end
    "uplink": 350e9,  # bytes/s of a 910C, one way, as the analyst counts scale-up: 2.8 Tbit/s; the paper counts 392 GB/s
    "scaleout": 400e9,  # bit/s a chip of either machine
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of Markdown, numbers flush right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def pair(a, b, ends_a, ends_b) -> tuple[float, float, float]:
    """Return a ratio and its interval: those of both sides in squares."""
    up = np.hypot(np.log(ends_a[1] / a), np.log(b / ends_b[0]))
    down = np.hypot(np.log(a / ends_a[0]), np.log(ends_b[1] / b))
    return float(a / b), float(a / b * np.exp(-down)), float(a / b * np.exp(up))


def times(found: tuple[float, float, float], factor: float = 1.0) -> str:
    """Return a ratio with its interval in words."""
    centre, low, high = (factor * each for each in found)
    return f"{centre:.2f} ({low:.2f} to {high:.2f})"


@attrs.frozen
class Served:
    """What a whole machine gives at a limit, in its best deployment: one pool, or prefill and decode on separate chips."""

    system: rl.System
    rate: float
    ends: tuple[float, float]
    per_chip: float
    joules: float
    how: str
    evidence: str

    @property
    def cost(self) -> float:
        """US dollars a million output tokens: purchase over its years, and electricity."""
        rack = float(self.system.purchase) / (YEARS * 365 * 86400) / self.rate
        return 1e6 * (rack + PUE * self.joules * KWH / 3.6e6)


def deployed(system, found) -> Served:
    """Return the better of the best single pool and the best split of a search, as the whole machine gives it."""
    one, split = found.best, found.disaggregated.best
    apart = split is not None and (
        one is None or float(split.tokens_per_second_per_chip) > float(one.tokens_per_second_per_chip)
    )
    best = split if apart else one
    per_chip, rate = float(best.tokens_per_second_per_chip), float(best.tokens_per_second)
    whole = per_chip * float(system.chips)
    low, high = (whole * float(end) / rate for end in best.interval("tokens_per_second"))
    sides = (best.prefill, best.decode) if apart else ()
    how = (
        " / ".join(f"{float(x.chips):g} x {x.layout.short()}" for x in sides)
        if apart
        else f"one pool, {best.layout.short()}"
    )
    return Served(
        system,
        whole,
        (low, high),
        per_chip,
        float(best.joules_per_token),
        how,
        str((best.decode if apart else best).evidence),
    )


def serving(cloud, rival) -> dict[str, str]:
    """Price DeepSeek-R1 on both, each with the best engine and format that are known for it, in its best deployment."""
    sides = {
        "cloud": rl.search(
            "deepseek-r1", cloud, dtype="int8", engine="cloudmatrix-infer", tpot="100ms", disaggregated=True, **ASKED
        ),
        "rival": rl.search("deepseek-r1", rival, engine="trtllm", tpot="100ms", disaggregated=True, **ASKED),
        "fp4": rl.search(
            "deepseek-r1", rival, dtype="nvfp4", engine="trtllm", tpot="100ms", disaggregated=True, **ASKED
        ),
    }
    called = {"cloud": "CloudMatrix 384, int8", "rival": "GB200 NVL72, fp8", "fp4": "GB200 NVL72, NVFP4"}
    systems = {"cloud": cloud, "rival": rival, "fp4": rival}
    held = {(limit, side): found.with_limits(tpot=limit) for limit in LIMITS for side, found in sides.items()}
    best = {(limit, side): deployed(systems[side], found) for (limit, side), found in held.items()}
    rows = []
    for limit in LIMITS:
        for side, name in called.items():
            it = best[limit, side]
            rows.append([
                f"{limit.removesuffix('ms')} ms, {name}", f"{it.rate:,.0f}", f"{it.ends[0]:,.0f} to {it.ends[1]:,.0f}",
                f"{it.per_chip:,.0f}", f"{it.joules:.2f} J", f"{it.cost:.2f}", it.how,
            ])  # fmt: skip
    served = table(
        [
            "TPOT at most",
            "tokens/s per machine",
            "80 % within",
            "per chip",
            "energy per token",
            "USD per million",
            "prefill / decode",
        ],
        rows,
    )
    a, b, c = (best["50ms", side] for side in ("cloud", "rival", "fp4"))
    rack, fp4 = (pair(a.rate, x.rate, a.ends, x.ends) for x in (b, c))
    chips, power = float(cloud.chips) / float(rival.chips), float(cloud.power) / float(rival.power)
    dollars = b.cost / a.cost
    verdict = table(["CloudMatrix 384 over GB200 NVL72, tokens/s for", "int8 against fp8", "int8 against NVFP4"], [
        ["the whole machine (16 racks against 1)", times(rack), times(fp4)],
        ["one rack", times(rack, 1 / 16), times(fp4, 1 / 16)],
        ["one chip", times(rack, 1 / chips), times(fp4, 1 / chips)],
        ["one megawatt of rated power", times(rack, 1 / power), times(fp4, 1 / power)],
        ["one dollar of purchase and electricity", times(rack, dollars / rack[0]), times(fp4, c.cost / a.cost / fp4[0])],
        ["one square metre, racks of one footprint", times(rack, 1 / 16), times(fp4, 1 / 16)],
    ])  # fmt: skip
    price = float(cloud.purchase)
    seconds = YEARS * 365 * 86400
    even = (b.cost / 1e6 - PUE * a.joules * KWH / 3.6e6) * seconds * a.rate
    # Electricity at which both cost the same per token: purchase a token, and joules a token, of either side.
    fixed, moving = price / seconds / a.rate - float(rival.purchase) / seconds / b.rate, b.joules - a.joules
    kwh = 3.6e6 * fixed / (PUE * moving)
    breaks = (
        f"at {kwh:.2f} USD/kWh both cost the same per token"
        if kwh > 0
        else "at the reported prices none: the CloudMatrix costs more per token in purchase and in electricity, so that no price of electricity closes the gap"
    )
    equal = []
    for name, n_a, n_b in (
        ("equal count: 384 chips", 1.0, chips), ("equal power: 1 MW", 1e6 / float(cloud.power), 1e6 / float(rival.power)),
        ("equal price: 24.6 million USD", 24.6e6 / price, 24.6e6 / float(rival.purchase)), ("equal racks: 16", 1.0, 16.0),
    ):  # fmt: skip
        x, y = n_a * a.rate, n_b * b.rate
        equal.append([name, f"{n_a:.2f}", f"{x:,.0f}", f"{n_b:.2f}", f"{y:,.0f}", f"{x / y:.2f}"])
    side_by_side = table(["side by side", "CloudMatrix 384", "tokens/s", "GB200 NVL72", "tokens/s", "ratio"], equal)
    split = []
    for side, name in called.items():
        for limit in LIMITS:
            one, two = held[limit, side].best, held[limit, side].disaggregated.best
            split.append([
                f"{limit.removesuffix('ms')} ms, {name}", "none" if one is None else f"{float(one.tokens_per_second_per_chip):,.0f}",
                "none" if two is None else f"{float(two.tokens_per_second_per_chip):,.0f}", "" if two is None else f"{float(two.balance):.2f}",
            ])  # fmt: skip
    pools = table(
        [
            "TPOT at most",
            "one pool, tokens/s per chip",
            "disaggregated, tokens/s per chip",
            "prefill chips per decode chip",
        ],
        split,
    )
    return {
        "verdict": verdict, "served": served, "side_by_side": side_by_side, "pools": pools, "rack": times(rack), "chip": f"{rack[0] / chips:.2f}",
        "watt": f"{rack[0] / power:.2f}", "dollar": f"{dollars:.2f}", "even": f"{even / 1e6:.1f}", "breaks": breaks,
        "wanted": f"{b.joules / a.joules:.2f}", "joules_a": f"{a.joules:.2f}", "joules_b": f"{b.joules:.2f}", "energy": f"{a.joules / b.joules:.1f}",
        "cost_a": f"{a.cost:.2f}", "cost_b": f"{b.cost:.2f}", "evidence_a": a.evidence, "evidence_b": b.evidence,
        "draw_a": f"{a.joules * a.rate / 1e3:,.0f}", "draw_b": f"{b.joules * b.rate / 1e3:,.0f}",
    }  # fmt: skip


def training(cloud, rival) -> dict[str, str]:
    """Price DeepSeek-V3's own recipe at nearly equal power: 16 supernodes (8.9 MW), and 64 racks (9.3 MW)."""
    racks = 64  # 61.7 draw as much; 64 x 72 chips divide the batch
    rows, rates = [], {}
    for name, system, chips, dtype in (
        ("16 CloudMatrix 384, bf16", cloud, 16 * 384, "bf16"), (f"{racks} GB200 NVL72, bf16", rival, racks * 72, "bf16"),
        (f"{racks} GB200 NVL72, fp8", rival, racks * 72, "fp8"),
    ):  # fmt: skip
        est = rl.train("deepseek-v3", system, chips=chips, dtype=dtype, global_batch=15360, seq_len=4096)
        low, high = est.interval("tokens_per_second")
        rates[name] = est
        rows.append([
            name, f"{chips:,}", f"{float(est.tokens_per_second) / 1e6:.1f} M", f"{low / 1e6:.1f} M to {high / 1e6:.1f} M", f"{float(est.mfu):.0%}",
            f"{float(est.joules_per_token):.2f} J", f"{14.8e12 / float(est.tokens_per_second) / 86400:.0f}",
        ])  # fmt: skip
    first, _, last = rates.values()
    found = pair(
        first.tokens_per_second,
        last.tokens_per_second,
        first.interval("tokens_per_second"),
        last.interval("tokens_per_second"),
    )
    head = [
        "DeepSeek-V3, 15,360 sequences of 4,096",
        "chips",
        "tokens/s",
        "80 % within",
        "MFU",
        "energy per token",
        "days for 14.8 T",
    ]
    return {"trained": table(head, rows), "train": times(found), "racks": f"{racks}"}


def domain(cloud) -> str:
    """Price decode of one CloudMatrix with ever wider expert parallelism."""
    model, rows = rl.model("deepseek-r1", dtype="int8"), []
    for ranks in (32, 64, 128, 256, 320):
        layout = rl.Layout(dp=ranks, ep=ranks, redundant_experts=64 if ranks == 320 else 0)
        question = rl.Decode(model, batch=48 * ranks, context=4096, draft_tokens=1, accept_length=1.7)
        est = rl.estimate(question, cloud, layout, level="generic", engine="cloudmatrix-infer")
        rows.append([
            f"EP {ranks} ({ranks // 2} chips)", f"{float(est.tpot) * 1e3:.0f} ms", f"{float(est.tokens_per_second_per_chip):,.0f}",
            f"{float(est.memory.total) / 1e9:.0f} GB", f"{float(est.max_concurrency) * 2 / ranks:.0f}",
        ])  # fmt: skip
    return table(
        [
            "one CloudMatrix, 96 requests per chip",
            "TPOT",
            "tokens/s per chip",
            "memory of a die",
            "max concurrency per chip",
        ],
        rows,
    )


def claims(cloud, rival) -> str:
    """Recompute what was said of the pair, and of its successor."""
    r = rl.compare(cloud, rival).ratios
    later, vera = rl.system("atlas-950-superpod"), rl.system("vera-rubin-nvl72")
    s = rl.compare(later, vera).ratios
    worse = 1 / r["flops_per_joule"]
    up = SAID["uplink"] * 384 / (900e9 * 72)
    rows = [
        ["five times the chips", "2025-04", f"{r['chips']:.2f}", "true"],
        ["twice the performance (press, after WAIC in July 2025)", "2025-07", f"{r['bf16_flops_per_s']:.2f}; 300 / 180 = {300 / 180:.2f}", "false: 1.6 to 1.7 times the dense bf16"],
        ["3.6 times the memory", "2025-04", f"{r['memory_bytes']:.2f}", "true"],
        ["2.1 times the memory bandwidth", "2025-04", f"{r['memory_bandwidth_bytes_per_s']:.2f}", "true"],
        ["3.9 times the power", "2025-04", f"{r['power_w']:.2f}", "true of rated power"],
        ["2.3 times worse per watt", "2025-04", f"{worse:.2f}; with 780 TFLOP/s per chip {worse * 752 / 780:.2f}", "true with the analyst's peak"],
        ["2.07 times the scale-up bandwidth", "2025-04", f"{up:.2f} of 350 GB/s per chip; {r['scale_up_bytes_per_s']:.2f} of the 392 GB/s of Huawei's paper", "true as the analyst counts"],
        ["5.3 times the scale-out bandwidth", "2025-04", f"{SAID['scaleout'] * 384 / (SAID['scaleout'] * 72):.2f}", "true: 400 Gbit/s per chip on both"],
        ["Atlas 950: 56.8 times the NPUs of an NVL144", "2025-09", f"{8192 / 144:.1f}; against its 72 packages {s['chips']:.0f}", "true of dies, half of it is how one counts"],
        ["Atlas 950: 6.7 times the computing power", "2025-09", f"8 / 1.2 EFLOP/s of fp8 = {8 / 1.2:.2f}", "true of fp8; announced"],
        ["Atlas 950: 15 times the memory", "2025-09", f"1,152 / 75 TB = {1152 / 75:.1f}; HBM against HBM {s['memory_bytes']:.0f}", "counts the rival's CPU memory"],
        ["Atlas 950: 62 times the interconnect", "2025-09", f"16.3 PB/s / 260 TB/s = {16300 / 260:.1f}", "true; per chip it is 1.1"],
    ]  # fmt: skip
    return table(["claim", "when", "recomputed", "verdict"], rows).replace("---:", "---")


def main() -> None:
    """Write the page."""
    cloud, rival = rl.system("cloudmatrix384"), rl.system("gb200-nvl72")
    r = rl.compare(cloud, rival).ratios
    modules, watts = SAID["modules"], SAID["modules"] * SAID["module_w"]
    words = {
        **serving(cloud, rival), **training(cloud, rival), "domain": domain(cloud), "claims": claims(cloud, rival),
        "flops": f"{r['bf16_flops_per_s']:.1f}", "memory": f"{r['memory_bytes']:.1f}", "bandwidth": f"{r['memory_bandwidth_bytes_per_s']:.1f}",
        "power": f"{r['power_w']:.1f}", "per_watt": f"{r['flops_per_joule']:.2f}", "modules": f"{modules:,}", "module_kw": f"{watts / 1e3:.0f}",
        "module_part": f"{watts / float(cloud.power):.0%}", "fail_low": f"{0.005 * modules:.0f}", "fail_high": f"{0.02 * modules:.0f}",
        "days_low": f"{365 / (0.02 * modules):.1f}", "days_high": f"{365 / (0.005 * modules):.0f}", "years": f"{YEARS:g}", "kwh": f"{KWH:g}", "pue": f"{PUE:g}",
        "near": f"{float(cloud.tiers[1].latency) * 1e6:.1f}", "far": f"{float(cloud.tiers[2].latency) * 1e6:.1f}",
        "nvlink": f"{float(rival.tiers[0].latency) * 1e6:.1f}",
    }  # fmt: skip
    text = (HERE.parent / "story.md.txt").read_text(encoding="utf-8")
    PAGE.write_text(string.Template(text).substitute(words), encoding="utf-8")


if __name__ == "__main__":
    main()
