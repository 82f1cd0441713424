"""Pictures of answers: their numbers, what is written on them, how they look, the texts that tell them, and the command."""

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import attrs
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import roofline as rl
from roofline import plots
from roofline.cli import app
from roofline.plots import _breakdown as breakdowns
from roofline.plots import _energy, _points, paper, tornado
from roofline.plots import answers as pictures
from roofline.plots import style as styles

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
TRAINING = {"global_batch": 256, "seq_len": 8192, "recompute": "full"}


@pytest.fixture(scope="module")
def est():
    return rl.estimate("deepseek-v3", "gb200-nvl72", rl.Layout(dp=18, ep=18, replicas=4), concurrency=4096)


@pytest.fixture(scope="module")
def dies():
    return rl.estimate("deepseek-v3", "cloudmatrix384", rl.Layout(dp=256, ep=256), concurrency=8192, dtype="int8")


@pytest.fixture(scope="module")
def step():
    return rl.train("llama-3.1-405b", "dgx-h100", rl.Layout(tp=8, pp=8, dp=16), **TRAINING)


def words(figure):
    """Every text that the SVG of a picture holds."""
    root = ET.fromstring(plots.render(figure, "svg").decode())  # noqa: S314
    return ["".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("}text")]


# Numbers -----------------------------------------------------------------------------------------------------------------


def test_a_breakdown_adds_up(est, step):
    for answer in (est, step):
        for by in ("operation", "bound"):
            for bar in pictures.breakdown(answer, by).bars:
                assert sum(part.time for part in bar.parts) == pytest.approx(bar.time)
                assert sum(part.share for part in bar.parts) == pytest.approx(1.0)
    (bar,) = pictures.breakdown(step, "phase").bars
    assert bar.time == pytest.approx(float(step.step_time))
    assert {p.name: p.time for p in bar.parts}["bubble"] == pytest.approx(float(step.bubble))
    for by in ("operation", "bound", "phase"):
        token, first = pictures.breakdown(est, by).bars
        assert (token.name, first.name) == ("one output token (TPOT)", "first token (TTFT)")
        # What the headline says is what the picture decomposes.
        assert token.time == pytest.approx(float(est.tpot))
        assert first.time == pytest.approx(float(est.ttft))
        assert sum(part.time for part in token.parts) == pytest.approx(float(est.tpot))
        assert sum(part.time for part in first.parts) == pytest.approx(float(est.ttft))
    assert {p.name for p in token.parts} == {"decode", "prefill chunks of other requests"}
    assert {p.name for p in first.parts} >= {"prefill chunks", "front end"}
    token = pictures.breakdown(est).bars[0]
    assert {p.bound for p in token.parts if p.name == "experts"} == {"memory"}
    assert {p.bound for p in token.parts if p.name == "host"} == {"latency"}
    alone = sum(part.time - part.beside for part in token.parts)
    assert alone == pytest.approx(float(est.steps[1].time), rel=0.02)
    with pytest.raises(rl.QuestionError, match="by='layer'"):
        pictures.breakdown(est, "layer")


def test_passes_of_training_are_named_in_words(step):
    names = [part.name for part in pictures.breakdown(step).bars[0].parts]
    assert {"up", "recompute up", "dgrad up", "wgrad up", "pipeline", "the rest"} <= set(names)


def test_a_load_is_the_answer_at_each_load(est):
    load = pictures.load(est, loads=[256, 4096, 60_000])
    for i, n in enumerate(load.load):
        one = rl.estimate(
            rl.Serve(est.question.model, concurrency=n, chunk=est.question.chunk), "gb200-nvl72", est.layout
        )
        assert load.rate[i] == pytest.approx(float(one.tokens_per_second_per_chip))
        assert load.tpot[i] == pytest.approx(float(one.tpot))
        assert load.ttft[i] == pytest.approx(float(one.ttft))
        assert load.rate_within[0][i] < load.rate[i] < load.rate_within[1][i]
    assert load.full == float(est.max_concurrency)
    whole = pictures.load(est)
    assert whole.load[0] == est.layout.replicas * est.layout.dp
    assert whole.load[-1] == pytest.approx(2 * load.full, rel=0.01)


def test_a_load_needs_one_to_change(step):
    prefill = rl.estimate(rl.Prefill(rl.model("llama-3.1-8b"), batch=1, input=1024), "dgx-h100", rl.Layout(tp=8))
    for answer in (prefill, step):
        with pytest.raises(rl.QuestionError, match="no load to change"):
            pictures.load(answer)


def test_memory_is_that_of_each_layout(step, est):
    for answer in (step, est):
        found = pictures.memory(answer)
        assert found.total[found.chosen] == pytest.approx(float(answer.memory.total))
        assert len(found.plans) == len(set(found.plans)) > 2
        assert found.room == float(answer.capacity)
    found = pictures.memory(step)
    zero3 = found.plans.index("tp=8 pp=8 dp=16 zero3")
    assert found.kinds["weights"][zero3] < found.kinds["weights"][found.chosen]
    own = pictures.memory(est, [rl.Layout(tp=4, dp=18, ep=72)])
    assert set(own.plans) == {"dp=18 ep=18 replicas=4", "tp=4 dp=18 ep=72"}


def test_a_timeline_is_the_step(step):
    line = pictures.pipeline(step)
    assert (line.schedule, line.ranks) == ("1f1b", 8)
    (late,) = (part for part in step.whole.parts if part.name == "stragglers")  # no rank works in that time
    assert line.end == pytest.approx(float(step.step_time - late.time), rel=0.02)
    assert line.idle == pytest.approx(float(step.bubble_fraction), abs=0.03)
    per_rank = [sum(bar.kind == "forward" for bar in line.bars if bar.rank == rank) for rank in range(8)]
    assert per_rank == [16] * 8
    for rank in range(8):
        ends = [(bar.start, bar.start + bar.time) for bar in line.bars if bar.rank == rank]
        assert all(a[1] <= b[0] * (1 + 1e-9) + 1e-9 for a, b in itertools.pairwise(ends))


def test_what_a_better_part_buys(est):
    each = tornado.elasticities(est)
    assert set(each) <= {
        "fp8 FLOP/s (5 PFLOP/s)", "bf16 FLOP/s (2.5 PFLOP/s)", "memory bandwidth (8 TB/s)", "bandwidth of NVLink 5 (900 GB/s)",
        "latency of NVLink 5 (1.11 us)", "cores (152)",
    }  # fmt: skip
    # One number: what the sensitivity says, a latency being better when it is less.
    found = est.sensitivity("tokens_per_second")
    assert each["memory bandwidth (8 TB/s)"] == found.of("memory bandwidth")
    assert each.get("latency of NVLink 5 (1.11 us)", 0.0) == -found.of("latency of NVLink 5")
    assert all(0 < value < 1 for value in each.values())
    assert sum(each.values()) < 1
    # At the roofline itself time is made of nothing but parts of the machine.
    ideal = rl.estimate(
        rl.Decode(rl.model("llama-3.1-8b"), batch=1, context=64), "dgx-h100", rl.Layout(), level="ideal"
    )
    assert tornado.elasticities(ideal)["memory bandwidth (3.35 TB/s)"] == pytest.approx(1.0, abs=1e-3)
    found = tornado.tornado({"b": -0.1, "a": np.log(1.05) / np.log(1.1)})
    assert found.parts == ("a", "b")
    assert found.gains == pytest.approx((0.05, 1.1**-0.1 - 1))
    assert "a +5.0%, b -0.9%" in plots.alt(plots.better(found))
    for wrong in ({}, {"a": float("nan")}):
        with pytest.raises(rl.QuestionError, match="elasticit"):
            tornado.tornado(wrong)


def test_a_track_is_the_operation_at_each_size(est):
    found = pictures.track(est, "experts", values=[256, 4096])
    for i, n in enumerate(found.values):
        one = rl.estimate(
            rl.Serve(est.question.model, concurrency=n, chunk=est.question.chunk), "gb200-nvl72", est.layout
        )
        point = next(p for p in plots.points(one.steps[1], one.system) if p.name == "experts")
        assert found.intensity[i] == pytest.approx(point.intensity)
        assert found.rate[i] == pytest.approx(point.rate)
    longer = pictures.track(est, "attention", along="input", values=[1024, 32768])
    assert longer.along == "input"
    for wrong, match in ((("expert",), "did you mean experts"), (("experts", "depth"), "along='depth'")):
        with pytest.raises(rl.QuestionError, match=match):
            pictures.track(est, *wrong)


def test_every_level_has_a_roof(dies):
    found = pictures.sheet(dies, levels=True)
    slopes = {roof.name: roof.bandwidth for roof in found.roofs if roof.bandwidth}
    assert slopes["cache"] == pytest.approx(9.76e12)
    assert slopes["memory"] == pytest.approx(3.2e12)
    assert set(slopes) == {"cache", "memory", "package", "UB", "RDMA plane"}
    tiers = {p.tier for p in found.points if p.network}
    assert {"UB first level", "UB second level"} <= tiers
    assert _points.cached(rl.system("dgx-h100")) is None


def test_a_point_of_training_has_its_share_of_the_step(step):
    marks = pictures.sheet(step).points
    assert {m.step for m in marks} == {"forward", "backward", "weights", "step"}
    up = next(m for m in marks if m.name == "wgrad up")
    leaf = next((c, n) for w, c, n in step.whole.leaves() if w is not None and w.label == "wgrad up")
    assert up.share == pytest.approx(float(leaf[0].time * leaf[1] / step.step_time))


def test_a_power_cap_trades_energy_for_time(est):
    """Under a lower cap a token takes longer; at the rated power both are those of the answer."""
    found = pictures.energy(est)
    assert found.cap[-1] == pytest.approx(1200.0)
    assert found.joules[-1] == pytest.approx(est.joules_per_token, rel=1e-3)
    assert found.time[-1] == pytest.approx(est.tpot, rel=1e-3)
    assert np.all(np.diff(found.time) <= 1e-12)
    assert np.all(found.within[0] <= found.joules)
    assert np.all(found.joules <= found.within[1])
    half = pictures.energy(est, caps=[900.0, 600.0])
    assert half.cap.tolist() == [600.0, 900.0]


def test_the_finding_of_a_power_cap():
    cap, joules, time = np.array([300.0, 500.0, 700.0]), np.array([3.0, 1.8, 2.0]), np.array([0.2, 0.15, 0.1])
    found = _energy.Capped("a", "H100", "asked", cap, joules, None, time, "TPOT")
    assert found.finding == "H100 capped at 500 W of 700 W: 10% less energy per token, TPOT 50% longer"
    assert "1.8 J per token and TPOT 150 ms at 500 W" in found.alt()
    assert (
        attrs.evolve(found, joules=joules[::-1] * np.array([2, 1, 0.5])).finding
        == "H100: least energy per token at the rated 700 W"
    )


# What is written --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("roofline", {"levels": True, "band": True}, ["scale-out 50 GB/s", "memory 8 TB/s"]),
        ("roofline", {"track": "experts", "values": [64, 8192]}, ["experts, concurrency 8,192", "concurrency 64"]),
        ("breakdown", {}, ["experts", "host", "bound by memory", "the rest"]),
        ("breakdown", {"by": "bound"}, ["compute", "latency", "first token (TTFT)"]),
        ("load", {}, ["concurrency, requests in flight", "caches full: 25,560", "TTFT (right)", "TPOT and TTFT"]),
        ("memory", {}, ["dp=18 ep=18 replicas=4", "KV cache", "usable 178 GB"]),
        ("energy", {}, ["power cap of a chip, W", "energy per token, J", "TPOT (right)", "least energy per token"]),
        ("tornado", {}, ["memory bandwidth (8 TB/s)", "if it took all the time", "more tokens per second"]),
    ],
)
@pytest.mark.parametrize("width", [None, "column"])
def test_labels_of_serving(est, kind, more, expected, width):
    ax = est.plot(kind=kind, width=width, **more)
    found = words(ax.figure)
    for text in expected:
        assert text in found
    inside(ax)


@pytest.mark.parametrize(
    ("kind", "more", "expected"),
    [
        ("roofline", {}, ["forward", "gradients of weights", "bf16 989 TFLOP/s"]),
        ("breakdown", {"by": "phase"}, ["bubble", "weight gradients"]),
        ("memory", {}, ["gradients", "tp=8 pp=8 dp=16 zero3"]),
        ("timeline", {}, ["rank of the pipeline", "forward", "optimizer"]),
        ("energy", {}, ["power cap of a chip, W", "a step (right)"]),
        ("tornado", {}, ["bf16 FLOP/s (989.4 TFLOP/s)", "bandwidth of NVLink 4 (450 GB/s)"]),
    ],
)
@pytest.mark.parametrize("style", ["dark", "print"])
def test_labels_of_training(step, kind, more, expected, style):
    ax = step.plot(kind=kind, style=style, **more)
    found = words(ax.figure)
    for text in expected:
        assert any(each.startswith(text) for each in found), text
    inside(ax)


def inside(ax):
    """Nothing that is written lies off the page, and nothing is too small to be read."""
    figure = ax.figure
    figure.draw_without_rendering()
    page = figure.bbox
    legends = [each for each in (*figure.legends, ax.get_legend()) if each is not None]
    for text in (*ax.texts, ax.title, *figure.texts, *(text for each in legends for text in each.get_texts())):
        if not text.get_text():
            continue
        assert text.get_fontsize() >= 5, text.get_text()
        box = mpl.text.Text.get_window_extent(text)
        assert page.x0 - 1 <= box.x0, text.get_text()
        assert box.x1 <= page.x1 + 1, text.get_text()
        assert page.y0 - 1 <= box.y0, text.get_text()
        assert box.y1 <= page.y1 + 1, text.get_text()
    for label in (*ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label):
        if label.get_text():
            assert label.get_window_extent().x0 >= page.x0 - 1, label.get_text()
            assert label.get_window_extent().x1 <= page.x1 + 1, label.get_text()


def test_a_column_has_room_for_its_roofline(est):
    ax = est.plot(width="column")
    ax.figure.draw_without_rendering()
    assert ax.figure.get_figwidth() == pytest.approx(3.4)
    assert ax.get_window_extent().width > 0.75 * ax.figure.bbox.width
    assert "bf16 2.5 PFLOP/s, ridge 312" in [text.get_text() for text in ax.texts]


def test_a_column_has_room_for_what_a_search_found():
    found = rl.search_training("llama-3.1-70b", "dgx-h100", chips=64, global_batch=128, tp=8)
    ax = found.plot(width="column", style="dark")
    inside(ax)
    ax.figure.draw_without_rendering()
    assert ax.get_window_extent().width > 0.7 * ax.figure.bbox.width
    best = found.tradeoff().plans[0]
    assert best in [text.get_text().replace("\n", " ") for text in ax.texts]
    assert best in plots.alt(ax)
    served = rl.search("llama-3.1-70b", "dgx-h100", tpot="50ms", tp=4)
    ax = served.plot(width="column")
    inside(ax)
    assert "Frontier of" in plots.alt(ax)


def test_a_second_service_is_added(est, dies):
    ax = est.plot(kind="load")
    assert dies.plot(ax, "dies", kind="load") is ax
    assert len(ax.roofline_loads) == 2
    assert "dies" in words(ax.figure)
    assert len(ax.figure.legends) == 1
    assert plots.alt(ax).count("requests in flight") >= 4


def test_axes_of_ones_own(est, step):
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert est.plot(left, style="dark") is left
    assert step.plot(right, kind="breakdown", by="phase") is right
    # A style belongs to the figure.
    assert styles.of(right) is styles.STYLES["dark"]
    assert right.get_legend() is not None
    assert "deepseek-v3, input 4,096" in plots.alt(figure)
    assert "Time by phase" in plots.alt(figure)
    with pytest.raises(rl.QuestionError, match="width='column'"):
        est.plot(left, width="column")


def test_wrong_words(est):
    for given, match in (
        ({"kind": "pie"}, "kind='pie'"), ({"style": "drak"}, "did you mean dark"), ({"width": 1}, "2 to 40 inches"),
        ({"kind": "load", "by": "bound"}, "none that a load takes"), ({"kind": "timeline"}, "of a step of training"),
    ):  # fmt: skip
        with pytest.raises(rl.QuestionError, match=match):
            est.plot(**given)


def test_many_points_are_no_picture():
    many = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), batch=np.array([1, 2]), context=64), "dgx-h100", rl.Layout())
    assert "<img" not in many._repr_html_()
    assert many._repr_svg_() is None
    with pytest.raises(rl.QuestionError, match="one point"):
        many.plot()


# How it looks -----------------------------------------------------------------------------------------------------------

LACKING = {
    "nobody": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""What is seen of linear red, green and blue (Machado, Oliveira and Fernandes, 2009, severity 1)."""


def lab(color, seen):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.clip(seen @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("name", styles.STYLES)
@pytest.mark.parametrize("lacking", LACKING)
def test_colours_stay_apart_for_everybody(name, lacking):
    for colors in (styles.STYLES[name].palette, styles.STYLES[name].parts):
        found = [lab(color, np.array(LACKING[lacking])) for color in colors]
        gaps = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(found, 2)]
        assert min(gaps) > 14  # just noticed: 2.3


@pytest.mark.parametrize("look", styles.STYLES.values(), ids=lambda look: look.name)
def test_no_colour_has_two_meanings(look):
    """What a whole consists of has other colours than systems, and than what bounds a time."""
    one, other = ([lab(color, np.eye(3)) for color in colors] for colors in (look.palette, look.parts))
    assert min(float(np.linalg.norm(a - b)) for a in one for b in other) > 13


def test_what_bounds_a_time_has_its_colour_whatever_else_there_is():
    network = breakdowns.Breakdown("a step", "bound", (breakdowns.parts("a step", {"network": 1.0, "latency": 3.0}),))
    colors = [patch.get_facecolor() for patch in plots.breakdown(network).patches]
    assert [mpl.colors.to_hex(color).upper() for color in colors] == list(styles.STYLES["light"].palette[2:4])


@pytest.mark.parametrize("look", styles.STYLES.values(), ids=lambda look: look.name)
def test_letters_are_legible(look):
    for color in (*look.palette, *look.parts):
        assert styles.contrast(color, look.paper) > 2.2
        assert styles.contrast(look.letters(color), look.paper) >= styles.LEGIBLE
        assert styles.contrast(look.over(color), color) > 4
    assert look.letters(look.ink) == look.ink
    assert len(look.palette) == len(look.parts) == len(look.dashes) == len(look.hatches) == 6


def test_a_page_without_colours_has_hatches(est):
    ax = est.plot(kind="breakdown", by="bound", style="print")
    hatches = [patch.get_hatch() for patch in ax.patches]
    assert len({h for h in hatches if h}) == 3
    assert not any(patch.get_hatch() for patch in est.plot(kind="breakdown", by="bound").patches)


def test_dark_is_dark(est):
    ax = est.plot(style="dark")
    look = styles.STYLES["dark"]
    svg = plots.render(ax.figure, "svg").decode()
    assert f"fill: {look.paper}" in svg
    assert "fill: #ffffff" not in svg
    assert ax.xaxis.label.get_color() == look.ink
    assert ax.lines[0].get_color() == look.grey(0.25)
    before = dict(mpl.rcParams)
    est.plot(style="dark")
    assert dict(mpl.rcParams) == before


# Files ------------------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["load", "memory", "energy", "tornado", "breakdown"])
@pytest.mark.parametrize("form", plots.FORMATS)
def test_the_same_bytes_each_time(est, kind, form):
    first, second = (plots.render(est.plot(kind=kind, style="print").figure, form) for _ in range(2))
    assert first == second


def test_an_svg_tells_itself(est):
    ax = est.plot(kind="breakdown")
    root = ET.fromstring(plots.render(ax.figure, "svg").decode())  # noqa: S314
    title, desc = root[0], root[1]
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title desc")
    assert title.tag.endswith("title")
    assert title.text == "Time by operation"
    assert desc.text == plots.alt(ax) == plots.alt(ax.figure)
    shares = re.findall(r"experts (\d+)% \(memory\)", desc.text)
    assert shares == [
        f"{p.share:.0%}"[:-1] for bar in pictures.breakdown(est).bars for p in bar.parts if p.name == "experts"
    ]
    assert b"Time by operation" in plots.render(ax.figure, "pdf")
    assert b"Time by operation" in plots.render(ax.figure, "png")


def test_texts_tell_the_numbers(est, step):
    told = plots.alt(est.plot())
    biggest = next(p for p in pictures.sheet(est).points if p.step == "mixed")
    assert f"{biggest.name} {biggest.share:.0%} of the time" in told
    assert "memory 8 TB/s" in told
    assert "bf16 2.5 PFLOP/s (ridge 312 FLOP/B)" in told
    line = plots.alt(step.plot(kind="timeline"))
    assert f"{pictures.pipeline(step).idle:.0%} of the time" in line
    assert plots.alt(plots.axes()) == ""


def test_saved(est, tmp_path):
    plots.save(est.plot(kind="tornado"), tmp_path / "a.svg")
    plots.save(est.plot(kind="tornado").figure, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with pytest.raises(rl.QuestionError, match="svg, pdf or png"):
        plots.save(est.plot(kind="tornado"), tmp_path / "a.gif")


def test_widths():
    assert [paper.inches(w, 6.0) for w in (None, "column", "page", "5.5", 4)] == [6.0, 3.4, 7.0, 5.5, 4.0]
    with pytest.raises(rl.QuestionError, match="column"):
        paper.inches("colum", 6.0)


@pytest.mark.thorough
def test_notebooks_show_every_answer(est, step):
    answers = [
        est, step, rl.campaign(step, "1T"), rl.pools(rl.Serve(rl.model("llama-3.1-8b")), "dgx-h100", prefill_chips=4, chips=4),
        rl.search("llama-3.1-8b", "dgx-h100", tpot="20ms", tp=1), rl.scaling("llama-3.1-8b", "dgx-h100", [8, 16], global_batch=64),
        rl.search_training("llama-3.1-8b", "dgx-h100", chips=8, global_batch=64, tp=1),
    ]  # fmt: skip
    for answer in answers:
        shown = answer._repr_html_()
        root = ET.fromstring(shown)  # noqa: S314
        image = root.find("img")
        assert len(image.get("alt")) > 40, answer
        assert image.get("src").startswith("data:image/svg+xml;base64,")
        assert "<svg" in answer._repr_svg_()
        assert answer._repr_html_() == shown
    assert "80 % within" in est._repr_html_()


# The command ------------------------------------------------------------------------------------------------------------

SERVING = ["llama-3.1-70b", "-s", "dgx-h100"]
STEP = ["llama-3.1-8b", "-s", "dgx-h100", "--chips", "8", "--global-batch", "64", "--pp", "4"]


def draws(capsys, tmp_path, *words):
    path = tmp_path / "picture.svg"
    app.main(["plot", *words, "-o", str(path)])
    out = capsys.readouterr()
    assert out.out == ""
    assert "wrote" in out.err
    return path.read_text(encoding="utf-8"), out.err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([*SERVING, "--levels", "--band", "--track", "up"], "Roofline: "),
        ([*SERVING, "--kind", "breakdown", "--by", "bound", "--style", "print"], "Time by bound"),
        ([*SERVING, "-s", "dgx-b200", "--kind", "load"], "Load: DGX H100"),
        ([*SERVING, "--kind", "memory"], "Memory: "),
        ([*SERVING, "--kind", "tornado", "--width", "column"], "What a part that is 10% better buys"),
        ([*SERVING, "--kind", "frontier", "--tpot", "50ms", "--tp", "4"], "Frontier of"),
        (STEP, "Forward: "),
        ([*STEP, "--kind", "timeline", "--style", "dark"], "Timeline of a step"),
        ([*STEP, "--kind", "breakdown", "--by", "phase"], "Time by phase"),
        ([*STEP, "--kind", "memory"], "optimizer"),
        ([*STEP, "--kind", "scaling", "--sizes", "8", "--sizes", "16", "--weak"], "weak scaling"),
        ([*STEP, "--kind", "frontier"], "Time against memory"),
    ],
)
def test_the_command_draws(capsys, tmp_path, given, told):
    svg, err = draws(capsys, tmp_path, *given, "--alt")
    assert told in svg
    assert told in err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([*SERVING, "--kind", "timeline"], "--global-batch"),
        ([*STEP, "--kind", "load"], "is of a service"),
        ([*SERVING, "--seq-len", "4096"], "is a flag of training"),
        ([*STEP, "--concurrency", "8"], "is a flag of serving"),
        ([*SERVING, "--tpot", "50ms"], "is of the frontier"),
        ([*SERVING, "--kind", "memory", "--band"], "is not a word of --kind memory"),
        ([*SERVING, "-s", "dgx-b200", "--kind", "memory"], "of one system"),
        ([*SERVING, "--width", "wide"], "known widths"),
    ],
)
def test_wrong_questions(capsys, tmp_path, given, told):
    with pytest.raises(SystemExit) as left:
        app.main(["plot", *given, "-o", str(tmp_path / "x.svg")])
    assert left.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()


# The gallery ------------------------------------------------------------------------------------------------------------


def test_the_gallery_shows_every_script():
    page = (GALLERY / "index.md").read_text(encoding="utf-8")
    scripts = sorted(GALLERY.glob("*.py"))
    assert len(scripts) >= 14
    for script in scripts:
        title, code = re.match(r'"""(.*?)\.\n.*?"""\n\n(.*)', script.read_text(encoding="utf-8"), re.DOTALL).groups()
        assert f"## {title}\n" in page
        assert code in page
        root = ET.parse(script.with_suffix(".svg")).getroot()  # noqa: S314
        assert f"![{root[1].text}]({script.stem}.svg)" in page


@pytest.mark.parametrize("name", ["memory", "tornado", "training_phases", "column"])
def test_scripts_of_the_gallery_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
    exec(compile(code, name, "exec"), {})  # noqa: S102
    assert (tmp_path / f"{name}.svg").stat().st_size > 5000


HELD = "a$b_1$c"


@pytest.fixture(scope="module")
def dollars():
    rack = rl.system("dgx-h100")
    model = attrs.evolve(rl.model("llama-3.1-8b"), name=HELD)
    rack = attrs.evolve(rack, name=HELD, title=HELD, package=attrs.evolve(rack.package, name=HELD, title=HELD))
    served = rl.estimate(model, rack, rl.Layout(tp=1), concurrency=16.0, input=256, output=64)
    stepped = rl.train(model, rack, rl.Layout(dp=8), global_batch=64, seq_len=4096)
    runs = [
        {"model": "llama-3.1-8b", "system": "dgx-h100", "mode": "decode", "tp": 1, "chips": 1, "input_len": 1000, "output_len": 100, "concurrency": c,
         "tpot_s": 0.001 * c, "id": f"{c}", "group": HELD}
        for c in (4, 64)
    ]  # fmt: skip
    return {
        **{f"serve {kind}": lambda kind=kind: served.plot(kind=kind) for kind in ("roofline", "breakdown", "load", "memory", "energy", "tornado")},
        **{f"train {kind}": lambda kind=kind: stepped.plot(kind=kind) for kind in ("roofline", "breakdown", "memory", "tornado", "timeline")},
        "compare": rl.compare(rack, "dgx-b200").plot, "collective": rl.collective("all-reduce", [1e3, 1e6], rack, ranks=8).plot,
        "search": rl.search(model, rack, chips=1).plot, "validate": lambda: rl.validate(runs).plot(key="group"),
        "simulate": rl.simulate(model, rack, rl.Trace.poisson(rate=2.0, requests=20, input=100, output=10), rl.Layout(tp=1)).plot,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["serve roofline", "serve breakdown", "serve load", "serve memory", "serve energy", "serve tornado", "train roofline", "train breakdown", "train memory",
     "train tornado", "train timeline", "compare", "collective", "search", "validate", "simulate"],
)  # fmt: skip
def test_a_name_with_dollar_signs_is_no_formula(dollars, name):
    found = words(dollars[name]().figure)
    assert any(HELD in each for each in found)
    assert not any("mathdefault" in each for each in found)


HOSTILE = {"text.usetex": True, "font.size": 30.0, "axes.grid": True, "lines.linewidth": 9.0, "axes.formatter.use_mathtext": True, "axes.facecolor": "red",
           "legend.fontsize": 40, "xtick.labelsize": 33, "savefig.transparent": True, "savefig.bbox": "tight", "figure.dpi": 7, "svg.fonttype": "path",
           "text.color": "white", "xtick.direction": "in", "axes.prop_cycle": "cycler(color=['r'])", "path.sketch": (1.0, 100.0, 2.0)}  # fmt: skip


@pytest.mark.parametrize("name", ["serve roofline", "serve load", "train timeline", "validate", "compare"])
def test_a_users_settings_do_not_reach_our_pictures(dollars, name):
    alone = plots.render(dollars[name]().figure, "svg")
    with mpl.rc_context(HOSTILE):
        assert plots.render(dollars[name]().figure, "svg") == alone
