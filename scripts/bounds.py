"""Print every run and timing in the repository that is quicker than the ``ideal`` level, by how much, and why: ``python scripts/bounds.py``.

Reasons are in ``hardware/timings/bounds/beaten.csv``. What has none is a finding: the bound is wrong, or the measurement.
"""

from __future__ import annotations

from pathlib import Path

from roofline import catalog
from roofline.core.text import columns
from roofline.validation import bounds

ROOT = Path(__file__).resolve().parents[1]
TIMINGS = ROOT / "hardware" / "timings"
BEATEN = TIMINGS / "bounds" / "beaten.csv"


def check() -> list[bounds.Checked]:
    """Hold everything that ships to its bounds."""
    kernels = (row for path in sorted(TIMINGS.glob("*.csv*")) for row in catalog.read_rows(path))
    return [
        bounds.serving(catalog.measured("serving")[1]),
        bounds.training(catalog.measured("training")[1]),
        bounds.operators(catalog.measured("operators")[1]),
        bounds.timings(kernels),
        bounds.collectives(catalog.read_rows(TIMINGS / "networks" / "collectives.csv")),
    ]


def main() -> None:
    """Print what beats its bound."""
    found = check()
    beaten = bounds.explained([each for part in found for each in part.beaten], BEATEN)
    rows = [[b.file, b.key, b.check, f"{b.count}", f"{b.ratio:.3f}", b.reason or "NO REASON KNOWN"] for b in beaten]
    print(columns(rows, head=["file", "what", "check", "n", "of bound", "reason"], right=(3, 4)))
    print(
        f"{sum(part.count for part in found):,} measurements, {sum(b.count for b in beaten)} quicker than their bound"
    )


if __name__ == "__main__":
    main()
