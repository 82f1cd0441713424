"""Intervals of joules a token: no nearer than measured energies were spread."""

import itertools

import numpy as np

import roofline as rl
from roofline import catalog


def test_no_nearer_than_measured_energies():
    est = rl.estimate("llama-3.1-70b", "dgx-h100", tp=8, concurrency=64)
    spread = catalog.evidence().spread("joules", "chip")
    low, high = est.interval("joules_per_token")
    assert low <= est.joules_per_token * np.exp(spread.ends(0.8)[0]) * (1 + 1e-12)
    assert high >= est.joules_per_token * np.exp(spread.ends(0.8)[1]) * (1 - 1e-12)


def test_a_chip_without_measured_power_is_less_sure():
    def width(system):
        est = rl.estimate("llama-3.1-70b", system, tp=8, concurrency=64)
        low, high = est.interval("joules_per_token")
        return float(np.log(high / low))

    assert width("mi325x-8") > width("dgx-h100")


def test_wider_for_more_coverage():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8)
    ends = [est.interval("joules_per_token", share) for share in (0.5, 0.8, 0.95)]
    for inner, outer in itertools.pairwise(ends):
        assert outer[0] <= inner[0] < inner[1] <= outer[1]
