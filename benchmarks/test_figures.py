"""The figures of ``figures.py`` under pytest-benchmark, so that runs can be saved and compared."""

import pytest
from figures import FIGURES, measure


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_figure(benchmark, figure):
    """Processor time of one figure, and its multiple of a reference pass timed in the same run."""
    found = measure(figure)
    benchmark.pedantic(figure.make(), rounds=1)
    benchmark.extra_info |= {"seconds": found.seconds, "reference_passes": found.passes, "reference_s": found.passed}
    if found.rate:
        benchmark.extra_info["configurations_per_s"] = round(found.rate)
