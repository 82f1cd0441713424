"""Make the fitted profiles from the timings in the repository, and say how far off they are: ``python scripts/profiles.py``.

Writes ``hardware/calibration/CHIP.toml`` for every chip with timings, the fitted constants of ``generic.toml`` (those of all
chips together; its errors are those on chips left out) and the tables of ``docs/accuracy/fits.md``. The same timings give the same
bytes; with ``--timings DIR`` those of another folder are used, such as ``scripts/public_tables.py`` makes.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

import roofline as rl
from roofline import catalog
from roofline.calibration.calibrate import MACHINES, Calibrated, calibrate, shared
from roofline.calibration.fitting import (
    FITTED,
    TIMES,
    Fit,
    Key,
    Part,
    errors,
    fit,
    halves,
    relative_error,
    with_constants,
)
from roofline.calibration.timings import Timings, read
from roofline.hardware.constants import Calibration

ROOT = Path(__file__).resolve().parents[1]
TITLE = (
    "Kernel and collective timings in hardware/timings: TensorRT-LLM, vLLM, SGLang and NCCL, from the tables of "
    "aiconfigurator 0.12 (Apache-2.0) and vidur (MIT)"
)
URL = "https://github.com/ai-dynamo/aiconfigurator"
WHEN = date(2026, 11, 22)

USUAL_GROUP, USUAL_CONTEXT = 16, 256
USUAL_HEADS = (64, 128, 256)


Rows: TypeAlias = NDArray[np.bool_]


def _usual_heads(t: Timings) -> Rows:
    return np.isin(t.columns["head_dim"], USUAL_HEADS)


def _usual(t: Timings) -> Rows:
    grouped = t.columns["heads"] / t.columns["kv_heads"] <= USUAL_GROUP
    long = t.columns["past_len"] + 1 >= USUAL_CONTEXT
    return np.asarray(grouped & long & _usual_heads(t), dtype=bool)


LINES: Sequence[tuple[str, Callable[[Timings], bool], Callable[[Timings], Rows] | None]] = (
    ("GEMM bf16", lambda t: t.name == "gemm.bf16", None),
    ("GEMM fp8", lambda t: t.name == "gemm.fp8", None),
    ("GEMM fp8, block scales", lambda t: t.name == "gemm.fp8-block", None),
    ("GEMM nvfp4", lambda t: t.name == "gemm.nvfp4", None),
    ("prefill attention, heads of 64 to 256", lambda t: t.kernel == "attention_prefill", _usual_heads),
    ("prefill attention multiplied in fp8", lambda t: t.name == "attention_prefill.fp8", None),
    ("prefill attention, all", lambda t: t.kernel == "attention_prefill", None),
    ("decode attention, 16-bit cache, context >= 256", lambda t: t.name == "attention_decode.bf16", _usual),
    ("decode attention, fp8 cache, context >= 256", lambda t: t.name in ("attention_decode.fp8", "attention_decode.w8a16"), _usual),
    ("decode attention, all", lambda t: t.kernel == "attention_decode", None),
    ("latent prefill attention", lambda t: t.kernel == "mla_prefill", None),
    ("latent decode attention", lambda t: t.kernel == "mla_decode", None),
    ("experts (MoE), 16 bit", lambda t: t.name == "moe.bf16", None),
    ("experts (MoE), fp8", lambda t: t.name in ("moe.fp8", "moe.fp8-block"), None),
    ("experts (MoE), nvfp4", lambda t: t.name == "moe.nvfp4", None),
    ("collectives of NCCL", lambda t: bool(t.ways) and t.ways[0] in ("ring", "gather", "all_to_all"), None),
    ("all-reduce of engines", lambda t: t.ways == ("one_shot", "two_shot"), None),
    ("dispatch and combine", lambda t: bool(t.ways) and t.ways[0] in ("low_latency", "throughput"), None),
    ("one pass over memory", lambda t: t.kernel == "elementwise", None),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Make everything anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timings", type=Path, default=ROOT / "hardware" / "timings", help="folder of CSV files")
    parser.add_argument("--only", help="one chip, as the tables call it; the generic constants stay")
    given = parser.parse_args(arguments)
    rows = [row for path in sorted(given.timings.glob("*.csv*")) for row in catalog.read_rows(path)]
    names = sorted({row["hardware"] for row in rows} if given.only is None else {given.only})
    made: dict[str, Calibrated] = {}
    for name in names:
        mine = [row for row in rows if row["hardware"] == name]
        rack = catalog.system(MACHINES.get(name, name))
        relative = rack.package.relative
        base = ROOT / "hardware" / "calibration" / f"{relative}.toml" if relative else "generic"
        found = made[name] = calibrate(mine, system=rack, base=base)
        path = ROOT / "hardware" / "calibration" / f"{found.chip.name}.toml"
        catalog.write(path, found.toml(WHEN, TITLE, URL).encode())
        print(found.table(), "\n", file=sys.stderr)
    if given.only is None:
        parts = {name: _parts(rows, name) for name in names}
        alone, left_out = _generic(parts)
        _rewrite(ROOT / "hardware" / "calibration" / "generic.toml", alone)
        page = _page(names, _calibrated(made, parts), _unseen(left_out, parts))
        catalog.write(ROOT / "docs" / "accuracy" / "fits.md", page.encode())
        print(page)


def _parts(rows: Iterable[dict[str, str]], name: str) -> list[Part]:
    """Return the timings of one chip, stack by stack."""
    rack = catalog.system(MACHINES.get(name, name))
    reading = read([row for row in rows if row["hardware"] == name], rack.chip)
    parts = [Part(each, rack.chip, rack.tiers) for each in reading.timings]
    start = catalog.profile("generic", rack)
    return [part for part in parts if np.isfinite(errors(part, start)).all()]


# Generic constants ---------------------------------------------------------------------------------------------------------

JOINT = (
    "gemm.bf16", "gemm.fp8", "gemm.fp8-block", "gemm.nvfp4", "attention_prefill.bf16", "attention_prefill.fp8", "attention_prefill.w8a16",
    "attention_decode.bf16", "attention_decode.fp8", "attention_decode.w8a16", "mla_prefill.bf16", "mla_prefill.fp8", "mla_decode.bf16", "mla_decode.fp8",
    "moe.bf16", "moe.fp8", "moe.fp8-block", "moe.nvfp4", "elementwise.bf16", "ring|in_network", "gather", "all_to_all",
    "one_shot|two_shot", "low_latency", "throughput",
)  # fmt: skip
_ANY = ("attention_prefill", "attention_decode", "mla_prefill", "mla_decode", "elementwise")


def _generic(parts: dict[str, list[Part]]) -> tuple[list[Fit], dict[str, Calibration]]:
    """Return the constants of all chips together, and for each chip a profile that has seen none of its rows."""
    start = catalog.profile("generic", "dgx-h100")
    alone: list[Fit] = []
    unseen = dict.fromkeys(parts, start)
    for label in JOINT:
        of = {name: [p for p in listed if p.timings.name == label and _typical(p)] for name, listed in parts.items()}
        of = _even({name: listed for name, listed in of.items() if listed}, start)
        every = [part for listed in of.values() for part in listed]
        most = next((f.constants["moe", "fp8-block"] for f in alone if f.name == "moe.fp8-block"), None)  # type: ignore[union-attr]
        most = most if label == "moe.nvfp4" else None
        whole = _both(every, start, most)
        misses = []
        for name in of:
            others = [part for other, listed in of.items() if other != name for part in listed]
            if others:
                found = _both(others, start, most)
                unseen[name] = with_constants(unseen[name], found.constants)
                misses += [np.abs(errors(part, unseen[name])) for part in of[name]]
        alike = float(next(iter(whole.constants.values())).error)
        error = float(np.quantile(np.concatenate(misses), 0.8)) if misses else alike
        constants = {key: attrs.evolve(each, error=error) for key, each in whole.constants.items()}
        alone.append(attrs.evolve(whole, constants=constants))
    return alone, unseen


def _typical(part: Part) -> bool:
    """Return whether links are such as most systems have inside: ranks that read and write each other's memory."""
    return not part.timings.ways or part.tiers[0].load_store


def _even(of: dict[str, list[Part]], start: Calibration) -> dict[str, list[Part]]:
    """Return the timings without those of kernels more than twice as slow as their like: no engine would choose them."""
    pace = {id(part): float(np.median(errors(part, start))) for listed in of.values() for part in listed}
    usual = float(np.median(list(pace.values())))
    kept = {name: [part for part in listed if pace[id(part)] > usual - np.log(2)] for name, listed in of.items()}
    return {name: listed for name, listed in kept.items() if listed}


def _both(parts: Sequence[Part], start: Calibration, most: Any) -> Fit:
    """Return the constants of several chips; of products, both as parts of the peak and of the best rate that was measured."""
    plain = shared(parts, start, worst=np.inf, most=most)
    if plain is None:
        raise SystemExit(f"{parts[0].timings.name}: no constants")
    if parts[0].timings.kernel != "gemm":
        return plain
    best = fit(parts, start, by_best=True)
    constants: dict[Key, rl.Kernel | rl.Link] = {}
    for key, each in best.constants.items():
        of_peak: Any = plain.constants[key]
        constants[key] = attrs.evolve(each, eta_compute=of_peak.eta_compute)
    return attrs.evolve(best, constants=constants)


def _rewrite(path: Path, fits: Sequence[Fit]) -> None:
    """Put the fitted constants in place of those that the file states, and leave the rest of it as it is."""
    text = path.read_text(encoding="utf-8")
    for each in fits:
        for key, constants in each.constants.items():
            text = _replaced(text, key, constants)
    catalog.write(path, text.encode())


def _replaced(text: str, key: Key, constants: rl.Kernel | rl.Link) -> str:
    """Return the text with the constants of one table replaced; what the fit does not tell stays."""
    name = f"link.{key}" if isinstance(key, str) else f"kernel.{key[0]}.{_filed(key)}"
    begin = text.find(f"[{name}]\n")
    if begin < 0:
        raise SystemExit(f"generic.toml: has no [{name}]; add it, with a source")
    end = text.find("\n\n", begin)
    block = text[begin:end]
    fields = [*FITTED[key if isinstance(key, str) else key[0]], "error"]
    if isinstance(constants, rl.Kernel) and constants.eta_best is not None:
        fields.insert(0, "eta_best")
    for field in fields:
        value = float(getattr(constants, field))
        if not value and f"\n{field} " not in block:
            continue
        line = f'{field} = "{value * 1e6:.3g} us"' if field in TIMES else f"{field} = {value:.3g}"
        line = f'{field} = "{value / 1e9:.3g} GB/s"' if field == "copied" else line
        block, hits = re.subn(rf"^{field} *=.*$", line, block, flags=re.MULTILINE)
        if not hits:
            block = block.replace("\nerror", f"\n{line}\nerror", 1)
    return text[:begin] + block + text[end:]


def _filed(key: tuple[str, str]) -> str:
    """Return where the generic file keeps a format: 16-bit attention serves any."""
    return "any" if key[1] == "bf16" and key[0] in _ANY else key[1]


# Tables --------------------------------------------------------------------------------------------------------------------


def _calibrated(made: dict[str, Calibrated], parts: dict[str, list[Part]]) -> list[list[str]]:
    def priced(name: str, part: Part) -> Calibration:
        profile = made[name].profile
        return profile.on(part.timings.stack) if part.timings.stack else profile

    return _lines(parts, priced, lambda part: halves(part)[1])


def _unseen(profiles: dict[str, Calibration], parts: dict[str, list[Part]]) -> list[list[str]]:
    return _lines(parts, lambda name, _: profiles[name], lambda part: part)


def _lines(
    parts: dict[str, list[Part]], priced: Callable[[str, Part], Calibration], which: Callable[[Part], Part]
) -> list[list[str]]:
    out = []
    for label, chosen, where in LINES:
        cells, count, every = [], 0, []
        for name, listed in parts.items():
            misses = []
            for part in listed:
                if chosen(part.timings):
                    checked = which(part)
                    kept = np.ones(checked.timings.count, dtype=bool) if where is None else where(checked.timings)
                    misses.append(relative_error(checked, priced(name, part))[kept])
            if misses and sum(map(len, misses)):
                whole = np.concatenate(misses)
                count += len(whole)
                every.append(whole)
                cells.append(f"{whole.mean():.1%} ({np.median(whole):.1%})")
            else:
                cells.append("–")
        whole = np.concatenate(every)
        out.append([label, f"{count:,}", *cells, f"{np.mean([e.mean() for e in every]):.1%}"])
    return out


def _page(names: Sequence[str], known: list[list[str]], unseen: list[list[str]]) -> str:
    chips = [catalog.system(MACHINES.get(name, name)).package.name for name in names]
    head = ["", "rows", *chips, "mean of chips"]
    return "\n".join(
        [
            "# How far off the constants are",
            "",
            (
                "Made by `python scripts/profiles.py` from the timings in `hardware/timings` "
                "([where they come from](../how-to/calibration-data.md)). Each cell is"
            ),
            "the mean of |predicted / measured - 1|, and the median in brackets.",
            "",
            "## Fitted to the chip",
            "",
            (
                "Constants fitted to every other row, errors on the rows left out; "
                "where a stack has kernels of its own, with its constants."
            ),
            "",
            *_markdown(head, known),
            "",
            "## A chip nobody has measured",
            "",
            (
                "Constants fitted to the other chips only, one set for all stacks; errors on all rows of the chip. "
                "What a system's descriptor says of"
            ),
            "its links (bandwidth, and the latency of a step where it was derived from rings) is known.",
            "",
            *_markdown(head, unseen),
            "",
        ]
    )


def _markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---", *["--:"] * (len(head) - 1)], *rows)]


if __name__ == "__main__":
    main()
