"""A step waits for the slowest host: the law against drawn delays, and the slope of a published series."""

import re

import numpy as np
import pytest

import roofline as rl
from roofline import catalog
from roofline.physics.stragglers import GROWTH, slowdown, slowdown_at

MEASURED = {128: 11.5754, 256: 11.6621, 512: 11.71, 1024: 11.82, 2048: 12.09, 4096: 12.38, 6144: 12.53}
"""Seconds a step of GPT-3 on Ascend 910B, weak scaling; MindSpeed-LLM, figure of linearity and MFU."""


def test_the_longest_of_heavy_tailed_delays_grows_with_the_square_root():
    # Delays of tail index 2 drawn for 64 and 1,024 hosts: the median of the longest grows four times, as Fréchet's law says.
    draw = np.random.default_rng(1)
    longest = [np.median((1 / np.sqrt(draw.random((4000, n)))).max(axis=1)) for n in (64, 1024)]
    assert longest[1] / longest[0] == pytest.approx(4.0, rel=0.05)
    mean = [(1 / np.sqrt(draw.random((4000, n)))).max(axis=1) for n in (64, 1024)]
    for each, n in zip(mean, (64, 1024), strict=True):
        assert np.quantile(each, 0.99) == pytest.approx(np.sqrt(n / np.log(1 / 0.99)), rel=0.2)


def test_more_hosts_never_cost_less_and_one_costs_nothing():
    chips = np.array([1.0, 8.0, 64.0, 512.0, 8192.0, 1e5])
    slow = slowdown(chips)
    assert slow[0] == slow[1] == 0
    assert (np.diff(slow) >= 0).all()
    assert slow[3] == pytest.approx(GROWTH * 7)
    assert (slowdown_at(chips, 0.99) >= slow).all()
    assert (slow == [slowdown(float(n)) for n in chips]).all()


def test_a_published_series_lengthens_within_a_third():
    def step(chips):
        return rl.train(
            "gpt-3-175b", "atlas-800t-a2", chips=chips, global_batch=chips, seq_len=2048, tp=8, pp=8, vpp=1, sharding="zero1",
            recompute="none", framework="mindspeed",
        ).step_time  # fmt: skip

    measured = MEASURED[6144] / MEASURED[128] - 1
    predicted = float(step(6144) / step(128)) - 1
    assert predicted == pytest.approx(measured, rel=1 / 3)


def test_published_series_on_h100_lengthen_within_a_third():
    """36 weak-scaling series of NVIDIA's recipes, of 8 to 512 H100 (dgxc-benchmarking): what the middle one lengthens from end to end."""
    apart = ("id", "chips", "dp", "global_batch", "step_time_s", "tokens_per_s_per_chip", "source", "note")
    series = {}
    for row in catalog.measured("training")[1]:
        if (row["group"], row["system"]) == ("dgxc-benchmarking", "dgx-h100"):
            release = re.search(r"@(v[\d.]+):", row["source"])[1]
            held = tuple(value for key, value in row.items() if key not in apart)
            each = float(row["global_batch"]) / float(row["chips"])
            series.setdefault((release, each, *held), {}).setdefault(int(row["chips"]), row)
    series = [rows for rows in series.values() if len(rows) > 1 and max(rows) >= 4 * min(rows)]
    assert len(series) == 36
    predicted = {p.run.id: p for p in rl.validate([row for rows in series for row in rows.values()]).predictions}
    longer = {"measured": [], "predicted": []}
    for rows in series:
        first, last = (predicted[rows[end(rows)]["id"]] for end in (min, max))
        for name, grown in longer.items():
            grown.append(getattr(last, name) / getattr(first, name) - 1)
    assert np.median(longer["predicted"]) == pytest.approx(np.median(longer["measured"]), rel=1 / 3)


def test_one_step_in_a_hundred_is_longer():
    one = rl.train("llama-3.1-8b", "dgx-h100", chips=512, global_batch=512, seq_len=8192)
    assert one.step_time_p99 > one.step_time
    assert (
        rl.train("llama-3.1-8b", "dgx-h100", chips=512, global_batch=512, seq_len=8192, level="ideal").step_time_p99 > 0
    )
