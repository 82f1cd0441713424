"""CloudMatrix 384 against GB200 NVL72: what the press said, recomputed from the descriptors, and what a model makes of them."""

import attrs
import pytest

import roofline as rl
from roofline.studies.compare import aggregates, compare

PAIR = ("cloudmatrix384", "gb200-nvl72")


def test_what_the_press_said_of_the_pair():
    ratios = compare(*PAIR).ratios
    assert ratios["chips"] == pytest.approx(5.33, abs=0.005)
    assert 1.60 <= ratios["bf16_flops_per_s"] <= 1.67  # "double" is refuted
    assert ratios["memory_bytes"] == pytest.approx(3.6, abs=0.05)
    assert ratios["memory_bandwidth_bytes_per_s"] == pytest.approx(2.1, abs=0.05)
    assert ratios["power_w"] == pytest.approx(3.9, abs=0.05)


def test_the_analysts_figures_are_in_the_file():
    """With 780 TFLOP/s for each chip, as SemiAnalysis has it: 299.5 PFLOP/s, 1.66 times the rack, 2.3 times worse per watt."""
    rack, rival = (rl.system(name) for name in PAIR)
    analyst = next(
        o for f in rack.package.facts if f.path == "chip.peak.bf16" for o in f.others if o.source.key == "semianalysis"
    )
    flops = analyst.value * rack.chips
    assert flops == pytest.approx(299.5e15, rel=1e-3)
    assert flops / aggregates(rival)["bf16_flops_per_s"] == pytest.approx(1.664, abs=0.001)
    worse = (rack.power / flops) / (rival.power / aggregates(rival)["bf16_flops_per_s"])
    assert worse == pytest.approx(2.3, abs=0.05)
    # With the 752 of Huawei's own paper it is 2.4; both lie in the range that the comparison prints.
    low, high = compare(*PAIR).ratio_ranges["flops_per_joule"]
    assert low <= 1 / 2.40 <= 1 / worse <= high


def test_aggregates_as_published():
    cloud, rack = (aggregates(rl.system(name)) for name in PAIR)
    assert cloud["memory_bytes"] == pytest.approx(49.152e12)
    assert cloud["memory_bandwidth_bytes_per_s"] == pytest.approx(1228.8e12)
    assert (rack["bf16_flops_per_s"], rack["fp8_flops_per_s"], rack["fp4_flops_per_s"]) == (180e15, 360e15, 720e15)
    assert rack["memory_bandwidth_bytes_per_s"] == 576e12
    # 130 TB/s of NVLink are both directions of 72 x 900 GB/s.
    assert 2 * rack["scale_up_bytes_per_s"] == pytest.approx(130e12, rel=0.01)
    assert aggregates(rl.system("dgx-b200"))["memory_bytes"] == 1440e9
    assert 2 * aggregates(rl.system("dgx-h100"))["scale_up_bytes_per_s"] == pytest.approx(7.2e12)


def test_ranges_hold_the_ratio():
    found = compare(*PAIR)
    for name, (low, high) in found.ratio_ranges.items():
        assert low <= found.ratios[name] <= high


def test_services_keep_their_limits():
    found = compare(*PAIR, model="deepseek-v3", tpot=(0.02, 0.05))
    for row in found.under:
        fast, slow = row[0.02], row[0.05]
        assert fast.tpot <= 0.02
        assert slow.tpot <= 0.05
        assert fast.fits
        assert slow.fits
        assert fast.tokens_per_second <= slow.tokens_per_second
    assert [est.system.name for est in found.estimates] == list(PAIR)
    none = compare(*PAIR, model="deepseek-v3", tpot=(1e-6,))
    assert all(row[1e-6] is None for row in none.under)
    assert "none keeps it" in none.table()


def test_tables_and_fields():
    found = compare(*PAIR, model="deepseek-v3")
    fields = found.to_dict()
    assert {"name", "chips", "bf16_flops_per_s", "memory_bytes", "memory_bandwidth_bytes_per_s", "power_w"} <= set(
        fields["systems"][0]
    )
    assert {"bf16_flops_per_s", "memory_bytes", "memory_bandwidth_bytes_per_s", "power_w", "flops_per_joule"} <= set(
        fields["ratios"]
    )
    assert len(fields["estimates"]) == 2
    text = found.table()
    for words in ("384 x Ascend 910C", "5.33x", "1.60x", "3.56x", "2.13x", "3.86x", "TPOT <= 50 ms"):
        assert words in text


def test_three_systems_side_by_side():
    found = compare("dgx-h100", "hgx-h200", "dgx-b200")
    assert len(found.to_dict()["systems"]) == 3
    assert "ratio" not in found.table().splitlines()[4]


def test_unpublished_power_is_no_ratio():
    rack = rl.system("cloudmatrix384")
    dark = attrs.evolve(rack, power=None)
    found = compare(dark, "gb200-nvl72")
    assert "power_w" not in found.ratios
    assert aggregates(dark)["power_w"] is None


def test_one_system_is_no_comparison():
    with pytest.raises(rl.QuestionError, match="at least two"):
        compare("dgx-h100")


def test_power_of_chips_alone_is_not_compared_with_a_systems():
    found = rl.compare("dgx-h100", "mi300x-8")
    assert "power_w" not in found.ratios
    assert "flops_per_joule" not in found.ratios
    assert "bf16_flops_per_s" in found.ratios
    assert "power of the chips alone" in found.table()
