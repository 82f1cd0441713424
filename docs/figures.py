"""Draw the figures of the documents: ``python docs/figures.py``. The same numbers give the same bytes."""

from pathlib import Path

import roofline as rl
from roofline import catalog, plots

HERE = Path(__file__).parent / "figures"


def main() -> None:
    """Write every figure."""
    one = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
    two = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
    every = rl.compare(*rl.names("system"))
    catalog.write(HERE / "systems.svg", plots.render(every.plot(), "svg"))
    runs = rl.validate(level="generic")
    figures = {
        "roofline-gb200-nvl72": one.plot(),
        "roofline-two-racks": two.plot(ax=one.plot()),
        "validation": runs.plot(quantity="tpot_s"),
    }
    for name, ax in figures.items():
        catalog.write(HERE / f"{name}.svg", plots.render(ax.figure, "svg"))


if __name__ == "__main__":
    main()
