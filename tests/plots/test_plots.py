"""Pictures: the numbers behind them, their labels, and files that are the same whenever the picture is."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import roofline as rl
from roofline import catalog, plots
from roofline.calibration.fitting import errors, halves
from roofline.plots import _roofline
from roofline.plots import answers as pictures

TIMINGS = Path(__file__).parents[2] / "hardware" / "timings"


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
    # Shares are of the time of a request, whose headline they add up to.
    biggest = max((p for p in pictures.sheet(est).points if not p.network), key=lambda p: p.share)
    assert any(text.startswith(biggest.name) and text.endswith("%") for text in texts(drawn))
    legend = [text.get_text() for text in drawn.get_legend().get_texts()]
    assert legend == [
        "gb200-nvl72: dp=64 ep=64, fp8-block, 4,096 sequences", "decode with a prefill chunk", "bound by compute",
        "bound by memory", "bound by latency", "roofs that kernels reach", "whole step, per byte sent",
        "size, %: share of a request's time",
    ]  # fmt: skip
    finding, asked = drawn.get_title(loc="left").split("\n")
    assert finding == f"{est.bound} bounds {est.bounds[est.bound]:.0%} of the time on GB200 NVL72 (chip: GB200)"
    assert asked == "deepseek-v3, input 4,096, output 1,024 tokens"
    # The diamonds are distinguished by their steps, with the part that communication takes.
    assert [text for text in texts(drawn) if text.startswith("communication (")] != []


def test_shares_of_a_service_are_of_what_runs(est):
    """What the picture decomposes is the headline: no step that never runs has a point."""
    runs = pictures.running(est)
    assert sum(float(span.time) for span, _ in runs) == pytest.approx(float(est.cycle), rel=0.02)
    assert {span.name for span, _ in runs} <= {"decode", "mixed"}


def test_points_say_what_bounds_them(est, drawn):
    sheet = pictures.sheet(est)
    for mark in (m for m in sheet.points if not m.network):
        leaves = [(c, n) for span, _ in pictures.running(est) if span.name == mark.step for w, c, n in span.leaves()
                  if w is not None and w.label == mark.name]  # fmt: skip
        busy = {
            name: sum(float(getattr(c, name) * n) for c, n in leaves)
            for name in ("compute", "memory", "network", "latency")
        }
        assert mark.bound == max(busy, key=busy.get)
    # A point has the colour of what bounds it, the same as in the breakdown.
    palette = drawn.figure.roofline_style.palette
    colors = {tuple(np.round(c.get_edgecolor()[0][:3], 3)) for c in drawn.collections if len(c.get_edgecolor())}
    named = {tuple(np.round([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)], 3)) for color in palette[:4]}
    assert colors <= named


def test_attainable_roofs_lie_below_the_peaks(est):
    sheet = pictures.sheet(est)
    peaks = {roof.name: roof.peak or roof.bandwidth for roof in sheet.roofs}
    assert {roof.name for roof in sheet.attainable} == {"bf16", "fp8", "memory"}
    assert all((roof.peak or roof.bandwidth) < 0.99 * peaks[roof.name] for roof in sheet.attainable)
    ideal = rl.estimate("llama-3.1-8b", "dgx-h100", concurrency=64, level="ideal")
    assert pictures.sheet(ideal).attainable == ()


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
    shares = [p.share for p in pictures.sheet(est).points]
    np.testing.assert_allclose(sizes, sorted(12 + 700 * np.array(shares)))


def test_two_systems_share_a_sheet(est):
    other = rl.estimate("deepseek-v3", "cloudmatrix384", rl.Layout(dp=256, ep=256), concurrency=8192, dtype="int8")
    ax = other.plot(ax=est.plot())
    labels = texts(ax)
    assert "memory 8 TB/s" in labels
    assert "memory 3.2 TB/s" in labels
    assert "UB 392 GB/s" in labels
    assert any(text.startswith("cloudmatrix384: int8 ") for text in labels)
    colors = {line.get_color() for line in ax.lines}
    assert set(_roofline.PALETTE[:2]) <= colors


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


def test_a_plan_that_does_not_fit_says_so_and_packages_are_on_one_scale():
    est = rl.estimate("llama-3.1-405b", "dgx-h100", rl.Layout(tp=8))
    assert est.plot().get_legend().get_texts()[0].get_text().endswith("(DOES NOT FIT)")
    rack = rl.estimate("deepseek-r1", "cloudmatrix384", rl.Layout(dp=32, ep=32), dtype="int8")
    ax = rack.plot()
    assert ax.get_ylabel() == "performance of one chip, TFLOP/s"
    assert "Ascend 910C, 2 dies" in ax.get_title(loc="left")
    roofs = {roof.name: roof.peak or roof.bandwidth for roof in pictures.sheet(rack).roofs}
    assert roofs["int8"] == pytest.approx(2 * rack.system.chip.peak["int8"])
    assert roofs["memory"] == pytest.approx(2 * rack.system.chip.memory.bandwidth)


def test_titles_limits_and_legends_of_ones_own_stay(est):
    from matplotlib.figure import Figure

    for kind in ("roofline", "load", "breakdown", "memory"):
        ax = Figure().add_subplot()
        ax.set_title("mine")
        ax.set_xlabel("my axis")
        ax.plot([1, 2], [1, 2], label="my line")
        legend = ax.legend()
        ax.set_ylim(1.0, 50.0)
        est.plot(ax=ax, kind=kind)
        assert ax.get_title() == "mine"
        assert ax.get_title(loc="left") == ""
        assert ax.get_xlabel() == "my axis"
        assert ax.get_legend() is legend
        assert kind in ("breakdown", "memory") or ax.get_ylim() == (1.0, 50.0)


def timed(chip, *tables):
    """Rows of a chip as they come with the repository."""
    rows = [row for table in tables for row in catalog.read_rows(TIMINGS / f"{table}.csv.gz")]
    return [row for row in rows if row["hardware"] == chip]


@pytest.fixture(scope="module")
def fitted():
    return rl.calibrate(timed("h100_sxm", "gemm", "mla", "collectives"))


@pytest.fixture(scope="module")
def cloudy(fitted):
    return fitted.plot()


def test_timings_lie_where_they_were_measured(fitted):
    gemm, prefill, decode = plots.clouds(fitted.parts, fitted.profile)
    assert [cloud.kernel for cloud in (gemm, prefill, decode)] == ["gemm", "mla_prefill", "mla_decode"]
    rows = {}
    for row in timed("h100_sxm", "gemm"):
        m, n, k = (float(row[c]) for c in "mnk")
        rows[round(2e-6 * m * n * k / float(row["measured_us"]), 6)] = row
    for intensity, rate in zip(gemm.intensity, gemm.measured, strict=True):
        row = rows[round(rate / 1e12, 6)]
        m, n, k = (float(row[c]) for c in "mnk")
        # The input is read in 16 bits, or in 16, written and read narrow; weights have 16 bits or fewer.
        assert 2 * m * n * k / (2 * (m * n + n * k + 2 * m * k)) <= intensity * (1 + 1e-9)
    peak = max(fitted.chip.peak.values())
    for cloud in (gemm, prefill, decode):
        assert len(cloud.intensity) == len(cloud.measured) == len(cloud.fitted) == 200
        assert list(cloud.intensity) == sorted(cloud.intensity)
        assert max(cloud.fitted) <= peak
        gap = np.abs(np.array(cloud.measured) / cloud.fitted - 1)
        assert 0.3 * cloud.mape < np.mean(gap) < 3 * cloud.mape


def test_clouds_have_the_errors_of_the_rows_left_out(fitted):
    decode = plots.clouds(fitted.parts, fitted.profile, most=10)[2]
    assert len(decode.intensity) == 10
    found = {(f.name, f.stack): f for f in (*fitted.fits, *fitted.own) if f.name.startswith("mla_decode")}
    # Rows of a stack that is much slower than the quickest do not shape the shared constants, but are drawn.
    assert decode.rows >= sum(f.left_out for (_, stack), f in found.items() if not stack)
    halved = [halves(p)[1] for p in fitted.parts if p.timings.kernel == "mla_decode"]
    assert decode.rows == sum(p.timings.count for p in halved)
    off = [np.abs(np.expm1(errors(p, fitted.profile.on(p.timings.stack)))) for p in halved]
    assert decode.mape == pytest.approx(np.concatenate(off).mean())
    assert decode.mape < 0.3
    kept = {p.timings.stack for p in fitted.parts if p.timings.kernel == "mla_decode"}
    assert kept == {"trtllm", "sglang"}


def test_dots_are_measured_and_rings_fitted(cloudy, fitted):
    shapes = {color: [line for line in cloudy.lines if line.get_color() == color] for color in _roofline.PALETTE}
    clouds = {c.kernel: c for c in plots.clouds(fitted.parts, fitted.profile)}
    joints, rings, dots = shapes[_roofline.PALETTE[0]]
    np.testing.assert_allclose(dots.get_ydata(), np.array(clouds["gemm"].measured) / 1e12)
    np.testing.assert_allclose(rings.get_ydata(), np.array(clouds["gemm"].fitted) / 1e12)
    assert (rings.get_fillstyle(), dots.get_fillstyle()) == ("none", "full")
    assert len(joints.get_ydata()) == 3 * len(dots.get_ydata())
    # A class has its colour whatever else was timed.
    assert [bool(shapes[color]) for color in _roofline.PALETTE] == [True, False, False, True, True, False]
    legend = [text.get_text() for text in cloudy.get_legend().get_texts()]
    assert legend[0] == "roofs of one H100 SXM5 80 GB"
    assert legend[1] == f"GEMM: {clouds['gemm'].rows:,}, {clouds['gemm'].mape:.1%} off"
    assert legend[-1] == "dot: measured, ring: fitted"


def test_roofs_over_clouds_are_named_beside_their_ridges(cloudy):
    labels = texts(cloudy)
    assert "memory 3.35 TB/s" in labels
    assert "bf16 989 TFLOP/s, ridge 295 FLOP/B" in labels
    assert "fp8 1.98 PFLOP/s, ridge 591 FLOP/B" in labels
    assert cloudy.get_title(loc="left") == "h100, fitted to rows"


def test_a_column_is_wide_enough(fitted):
    ax = fitted.plot()
    sizes = [*(t.get_fontsize() for t in ax.texts), *(t.get_fontsize() for t in ax.get_legend().get_texts())]
    assert ax.figure.get_figwidth() < 4
    assert min(sizes) > 5
    ax.figure.draw_without_rendering()
    frame = ax.figure.bbox
    for text in (*ax.texts, ax.get_legend(), ax.xaxis.label, ax.yaxis.label):
        box = text.get_window_extent()
        assert frame.x0 - 1 <= box.x0
        assert box.x1 <= frame.x1 + 1


@pytest.mark.thorough
def test_clouds_are_the_same_bytes_each_time(fitted):
    first, second = (plots.render(fitted.plot().figure, "svg") for _ in range(2))
    assert first == second
    assert len(first) < 500_000


def test_what_multiplies_nothing_has_no_place_on_a_roofline():
    found = rl.calibrate(timed("h100_sxm", "collectives"))
    assert plots.clouds(found.parts, found.profile) == ()
    with pytest.raises(rl.QuestionError, match="no kernel that multiplies"):
        found.plot()


def test_the_legend_of_a_frontier_hides_no_plan():
    ax = rl.search("llama-3.1-8b", "dgx-h100", concurrency=64, tpot="50ms").plot()
    rl.search("llama-3.1-8b", "dgx-a100-80gb", concurrency=64, tpot="50ms").plot(ax)
    (legend,) = ax.figure.legends
    ax.figure.draw_without_rendering()
    assert not legend.get_window_extent().overlaps(ax.get_window_extent())
    title = ax.figure.get_suptitle()
    assert title.count("llama-3.1-8b, 4,096 tokens in and 1,024 out") == 1  # what is common is written once
    assert title.count("tokens/s per chip at") == 2
