"""Pictures: the numbers behind them, their labels, and files that are the same whenever the picture is."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import roofline as rl
from roofline import drawing, plots


@pytest.fixture(scope="module")
def est():
    return rl.estimate("deepseek-v3", "gb200-nvl72", rl.Layout(dp=64, ep=64), concurrency=4096)


@pytest.fixture(scope="module")
def drawn(est):
    return est.plot()


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_points_lie_under_their_roofs(est):
    chip = est.system.chip
    for span in est.steps[:2]:
        for point in plots.points(span, est.system):
            roof = min(max(chip.peak.values()), point.intensity * chip.memory.bandwidth)
            assert point.rate <= roof * (1 + 1e-9)
            assert 0 < point.share < 1
        shares = [p.share for p in plots.points(span, est.system)]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-9


def test_the_step_lies_under_the_networks_roof(est):
    tier = plots.spanned(est.system, 64.0)
    assert tier.name == "NVLink 5"
    for span in est.steps[:2]:
        network = plots.points(span, est.system, tier)[-1]
        assert network.name == "network"
        assert network.rate <= network.intensity * tier.bandwidth
        assert network.share == pytest.approx(float(span.network / span.time))


def test_roofs_and_ridges_are_named_in_place(drawn):
    labels = texts(drawn)
    for label in (
        "memory 8 TB/s",
        "NVLink 5 900 GB/s",
        "bf16 2.5 PFLOP/s, ridge 312 FLOP/B",
        "fp8 5 PFLOP/s, ridge 625 FLOP/B",
    ):
        assert label in labels
    assert (drawn.get_xscale(), drawn.get_yscale()) == ("log", "log")
    assert drawn.get_xlabel() == "arithmetic intensity, FLOP/B"
    assert drawn.get_ylabel() == "performance of one chip, TFLOP/s"


def test_the_largest_operations_are_named(drawn, est):
    biggest = plots.points(est.steps[1], est.system)[0]
    assert f"{biggest.name} {biggest.share:.0%}" in texts(drawn)
    legend = [text.get_text() for text in drawn.get_legend().get_texts()]
    assert legend == [
        "gb200-nvl72: dp=64 ep=64, fp8-block, 4,096 sequences", "prefill", "decode", "whole step, per byte sent",
        "area: share of the step's time",
    ]  # fmt: skip
    assert drawn.get_title(loc="left") == "deepseek-v3, input 4,096, output 1,024 tokens"
    # The diamonds are told apart by their steps, with the part that messages take.
    assert [text for text in texts(drawn) if text.startswith(("prefill ", "decode "))] != []


def test_labels_do_not_cover_each_other(drawn):
    drawn.figure.canvas.draw()
    renderer = drawn.figure.canvas.get_renderer()
    # Those along a slope are rotated, so their upright boxes say nothing.
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in drawn.texts if not t.get_rotation()]
    boxes.append(("legend", drawn.get_legend().get_window_extent(renderer)))
    clashes = [
        (a, b)
        for i, (a, x) in enumerate(boxes)
        for b, y in boxes[i + 1 :]
        if x.shrunk(0.9, 0.8).overlaps(y.shrunk(0.9, 0.8))
    ]
    assert clashes == []


def test_areas_are_shares(drawn, est):
    sizes = sorted(float(c.get_sizes()[0]) for c in drawn.collections)
    tier = plots.spanned(est.system, 64.0)
    shares = [p.share for span in est.steps[:2] for p in plots.points(span, est.system, tier) if p.share >= 0.005]
    np.testing.assert_allclose(sizes, sorted(12 + 700 * np.array(shares)))


def test_two_systems_share_a_sheet(est):
    other = rl.estimate("deepseek-v3", "cloudmatrix384", rl.Layout(dp=256, ep=256), concurrency=8192, dtype="int8")
    ax = other.plot(ax=est.plot())
    labels = texts(ax)
    assert "gb200-nvl72: memory 8 TB/s" in labels
    assert "cloudmatrix384: memory 1.6 TB/s" in labels
    assert "cloudmatrix384: UB 196 GB/s" in labels
    colors = {line.get_color() for line in ax.lines}
    assert set(drawing.PALETTE[:2]) <= colors


def test_files_are_the_same_bytes_each_time(est):
    for form in plots.FORMATS:
        first, second = (plots.render(est.plot().figure, form) for _ in range(2))
        assert first == second
        assert first[:4] in (b"<?xm", b"%PDF", b"\x89PNG")
    with pytest.raises(rl.QuestionError, match="a picture is svg, pdf or png"):
        plots.render(est.plot().figure, "gif")


def test_text_in_svg_is_text(est):
    svg = plots.render(est.plot().figure, "svg").decode()
    root = ET.fromstring(svg)  # noqa: S314
    words = {"".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("}text")}
    assert "memory 8 TB/s" in words
    assert "arithmetic intensity, FLOP/B" in words
    assert not re.search(r"<dc:date>", svg)


def test_one_rank_has_no_network():
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 1000), "dgx-h100", rl.Layout())
    assert plots.spanned(est.system, 1.0) is None
    assert [t for t in texts(est.plot()) if "NVLink" in t] == []
    assert plots.spanned(est.system, 10.0**9) == est.system.tiers[-1]


def test_pyplot_is_left_alone():
    code = "import sys, roofline as rl; rl.estimate('llama-3.1-8b', 'dgx-h100').plot(); print('matplotlib.pyplot' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )


def test_drawing_on_axes_of_ones_own(est):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    before = dict(mpl.rcParams)
    figure = Figure()
    ax = figure.add_subplot()
    assert est.plot(ax=ax, label="a rack") is ax
    assert ax.get_legend().get_texts()[0].get_text() == "a rack"
    assert dict(mpl.rcParams) == before


def test_what_is_on_the_axes_stays(est):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    (line,) = ax.plot([1, 10], [1, 10], label="mine")
    other = rl.estimate("llama-3.1-8b", "dgx-h100", concurrency=8)
    other.plot(ax=est.plot(ax=ax))
    assert line in ax.lines
    fresh = other.plot(ax=est.plot())
    assert len(ax.lines) == len(fresh.lines) + 1


def test_a_plan_that_does_not_fit_says_so_and_a_die_is_called_one():
    est = rl.estimate("llama-3.1-405b", "dgx-h100", rl.Layout(tp=8))
    assert est.plot().get_legend().get_texts()[0].get_text().endswith("(DOES NOT FIT)")
    rack = rl.estimate("deepseek-r1", "cloudmatrix384", rl.Layout(dp=32, ep=32), dtype="int8")
    assert rack.plot().get_ylabel() == "performance of one die, TFLOP/s"
