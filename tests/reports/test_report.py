"""Pages: whole, alone, safe from what strangers write, and usable in a real browser with a keyboard, on a phone and on paper."""

import base64
import hashlib
import json
import re
import shlex
import sys
from datetime import date
from html import unescape

import attrs
import pytest

import browser
import roofline as rl
from roofline.cli import app
from roofline.reports import page

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
SERVING = ["answer", "time", "operations", "frontier", "loads", "sensitivity", "assumptions", "sure", "sources"]


@pytest.fixture(scope="module")
def served():
    return rl.report("deepseek-v3", "gb200-nvl72", concurrency=1024, tpot="50ms")


@pytest.fixture(scope="module")
def trained():
    return rl.report("llama-3.1-8b", "dgx-h100", global_batch=64, seq_len=4096, chips=16)


def sections(made):
    return re.findall(r'<section id="(\w+)"', made.html)


def figures(made):
    return json.loads(
        re.search(r'<script type="application/json" id="figures">(.*?)</script>', made.html, re.DOTALL)[1]
    )


def test_a_page_asks_for_nothing(served):
    ours = re.sub(r"<script>.*?</script>", "", served.html, flags=re.DOTALL)
    assert "default-src 'none'" in unescape(ours)
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\bsrc=|@import|url\(", ours)
    # Addresses stand in links, which are followed only by whoever clicks.
    assert set(re.findall(r'(\w+)="https?://', ours)) == {"href"}
    # Scripts and style are allowed by their hashes, and by nothing else.
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', served.html)[1])
    assert "unsafe" not in policy
    assert len(served.html.encode()) < 1_000_000
    for kind, found in (("script-src", re.findall(r"<script>(.*?)</script>", served.html, re.DOTALL)),
                        ("style-src", re.findall(r"<style>(.*?)</style>", served.html, re.DOTALL))):  # fmt: skip
        told = re.search(rf"{kind} ([^;]*)", policy)[1].split()
        assert told == [
            f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in found
        ]
    assert not re.search(r"<\w[^>]* (style|on\w+)=", ours)
    assert served.html == rl.report("deepseek-v3", "gb200-nvl72", concurrency=1024, tpot="50ms").html


def test_a_page_says_what_the_answer_says(served):
    est, html = served.answer, unescape(served.html)
    assert sections(served) == SERVING
    for text in (f"{est.tokens_per_second:,.0f}", *est.assumptions, *(fact.text for fact in est.citations())):
        assert text in html
    assert html.index('id="sources"') > html.index('id="sure"') > html.index('id="frontier"')
    walk = figures(served)["walked"]["walk"]
    assert len(walk["x"]) == len(walk["told"]) > 10
    assert walk["y"] == sorted(walk["y"], reverse=True)


def test_a_page_says_who_made_it_when_and_how_again(served, trained):
    for made in (served, trained):
        head = made.html[: made.html.index("<main")]
        assert date.today().isoformat() in head
        assert f"roofline {rl.__version__}" in head
        told = unescape(re.search(r"<code>(.*?)</code>", head)[1])
        assert told.startswith("roofline report ")
    est = served.answer
    assert f"{est.tokens_per_second:,.0f} output tokens/s" in served.html[: served.html.index("<main")]
    again = rl.report(est, made=date(2026, 1, 2), frontier=False)
    assert "2026-01-02" in again.html


def test_its_command_gives_the_same_answer(served, trained, tmp_path, capsys):
    for made in (served, trained):
        told = shlex.split(page.command(made.answer))
        app.main([*told[1:], "--no-frontier", "-o", str(tmp_path / "again.html")])
        again = (tmp_path / "again.html").read_text(encoding="utf-8")
        assert unescape(re.search(r'class="verdict">(.*?)</p>', again)[1]) == page.verdict(made.answer)


def test_training_is_about_the_best_of_its_frontier(trained):
    walk = figures(trained)["walked"]["walk"]
    assert float(trained.answer.step_time) == pytest.approx(min(walk["y"]))


def test_every_source_stands_once_with_its_numbers(served):
    block = unescape(served.html[served.html.index('id="sources"') :])
    titles = {fact.source.title for fact in served.answer.citations()}
    for title in titles:
        assert block.count(f">{title}<") == 1
    assert block.count("<tr") <= len({(f.source.kind, f.source.title) for f in served.answer.citations()}) + 1


def test_training_has_pages(trained):
    assert trained.title == "Training llama-3.1-8b on DGX H100"
    assert sections(trained) == [name for name in SERVING if name != "loads"]
    assert f"{trained.answer.mfu:.1%}" in trained.html
    again = rl.report(trained.answer, frontier=False)
    assert again.answer is trained.answer
    assert "frontier" not in sections(again)


@pytest.mark.parametrize(
    "words",
    [
        {"what": rl.Decode(rl.model("llama-3.1-8b"), batch=8, context=1024), "layout": rl.Layout(tp=1)},
        {"what": rl.Prefill(rl.model("llama-3.1-8b"), batch=1, input=1024), "level": "ideal"},
        {"what": "llama-3.1-8b", "output": 1},
        {"what": "llama-3.1-8b", "rate": 5.0},
        {"what": "llama-3.1-8b", "rate": 1e6},
        {"what": "deepseek-v3", "frontier": False},
        {"what": "deepseek-v3", "global_batch": 64},
    ],
    ids=["decode", "prefill", "one token", "rate", "saturated", "too large", "training too large"],
)  # fmt: skip
def test_every_answer_has_a_page(words):
    made = rl.report(**words, system="dgx-h100")
    assert {"answer", "operations", "sources"} <= set(sections(made))
    assert ("DOES NOT FIT" in made.html) == (not made.answer.fits)
    for figure in figures(made).values():
        assert all(value is None or value == value for trace in figure["data"] for value in trace["x"])


def test_what_strangers_write_is_text():
    model = attrs.evolve(rl.model("llama-3.1-8b"), name=HOSTILE)
    rack = rl.system("dgx-h100")
    rack = attrs.evolve(
        rack, title=HOSTILE, tiers=tuple(attrs.evolve(t, name=HOSTILE + str(i)) for i, t in enumerate(rack.tiers))
    )
    for words in ({"concurrency": 8, "tp": 8}, {"global_batch": 8, "seq_len": 512, "tp": 8}):
        made = rl.report(model, rack, **words)
        assert "<img" not in made.html
        assert HOSTILE not in made.html
        assert "&lt;/script&gt;&lt;img src=x" in made.html
        assert made.html.count("</script>") == 3  # figures, what draws, what listens


def test_only_addresses_of_the_web_are_links():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1)
    chip = est.system.package
    facts = tuple(attrs.evolve(f, source=attrs.evolve(f.source, url="javascript:alert(1)")) for f in chip.facts)
    page = rl.report(
        attrs.evolve(est, system=attrs.evolve(est.system, package=attrs.evolve(chip, facts=facts))), frontier=False
    )
    assert "javascript:" not in re.sub(r"<script>.*?</script>", "", page.html, flags=re.DOTALL)


def test_a_page_is_written_whole_or_not_at_all(served, tmp_path):
    path = served.write(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == served.html
    with pytest.raises(
        rl.QuestionError, match=r"file=.*\.pdf.: a report is one HTML page; end the file name in \.html"
    ):
        served.write(tmp_path / "page.pdf")
    with pytest.raises(rl.QuestionError, match="cannot be written"):
        served.write(tmp_path / "nowhere" / "page.html")
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_missing_extra_is_told_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page.template.cache_clear()
    with pytest.raises(rl.QuestionError, match=r"install the extra, pip install 'roofline\[report\]'"):
        rl.report("no-such-model", "dgx-h100")


def test_questions_without_meaning(served):
    with pytest.raises(rl.QuestionError, match="already states every option"):
        rl.report(served.answer, "dgx-h100")
    with pytest.raises(rl.QuestionError, match="system: is missing"):
        rl.report("llama-3.1-8b")
    asked = rl.Serve(rl.model("llama-3.1-8b"), concurrency=8)
    with pytest.raises(rl.QuestionError, match=r"split\.prefill"):
        rl.report(rl.pools(asked, "dgx-h100", rl.Layout(tp=1), rl.Layout(tp=1)))
    with pytest.raises(rl.QuestionError, match=r"\.at\("):
        rl.report(rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=[1.0, 2.0]))


def run(*words):
    with pytest.raises(SystemExit) as stop:
        app.main(["report", *words])
    return stop.value.code


def test_the_command(capsys, tmp_path):
    file = tmp_path / "page.html"
    asked = ("llama-3.1-8b", "--system", "dgx-h100", "--no-frontier")
    words = (*asked, "-o", str(file))
    app.main(["report", *words, "--concurrency", "32"])
    assert "Training" not in file.read_text(encoding="utf-8")[:2000]
    app.main(["report", *words, "--global-batch", "64", "--chips", "8"])
    assert "<title>Training llama-3.1-8b" in file.read_text(encoding="utf-8")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count(f"wrote {file}; open it in a browser") == 2
    for wrong, message in (
        (("--train",), "--global-batch: is missing"),
        (("--global-batch", "64", "--concurrency", "8"), "--concurrency: is a flag of serving"),
        (("--vpp", "2"), "--vpp: is a flag of training; give --global-batch"),
        (("--task", "lora"), "--task: is a flag of training"),
        (("-o", "page.pdf"), "end the file name in .html"),
    ):
        assert run(*(asked if "-o" in wrong else words), *wrong) == 2
        assert message in capsys.readouterr().err


# In a browser ------------------------------------------------------------------------------------------------------------

alone = pytest.mark.skipif(not browser.found(), reason=browser.MISSING)


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser.opened(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def files(served, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {"served": served.write(folder / "served.html"), "trained": trained.write(folder / "trained.html")}


@alone
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["served", "trained"])
def test_a_browser_shows_it(window, files, name, width, scheme):
    window.open(files[name], width=width, scheme=scheme)
    assert window.complaints() == []
    assert window.ask("performance.getEntriesByType('resource').length") == 0
    # Nothing is wider than the screen but tables, which scroll by themselves.
    assert window.ask("document.documentElement.scrollWidth <= innerWidth")
    assert window.ask("document.querySelectorAll('svg.drawn').length") == 2
    paper = window.ask("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    ink = window.ask("getComputedStyle(document.querySelector('#roofline .xtitle')).fill")
    assert ink == window.ask("getComputedStyle(document.body).color")
    marks = "[...document.querySelectorAll('#roofline .points path')].length"
    assert window.ask(marks) > 5


@alone
def test_switches_by_keyboard(window, files):
    from selenium.webdriver.common.keys import Keys

    window.open(files["served"])
    window.focus("input[data-figure=roofline]")
    assert window.ask("document.getElementById('roofline').data[0].visible !== false")
    window.press(Keys.SPACE)
    window.until("document.getElementById('roofline').data[0].visible === false")
    window.press(Keys.SPACE)
    window.until("document.getElementById('roofline').data[0].visible === true")
    assert window.complaints() == []


@alone
def test_heads_sort_by_keyboard(window, files):
    from selenium.webdriver.common.keys import Keys

    window.open(files["served"])
    values = "[...document.querySelectorAll('#operations tbody tr')].map(row => Number(row.cells[3].dataset.value))"
    window.focus("#operations thead th:nth-child(4) button")
    window.press(Keys.ENTER)
    assert window.ask(values) == sorted(window.ask(values), reverse=True)
    window.press(Keys.ENTER)
    assert window.ask(values) == sorted(window.ask(values))
    assert window.ask("document.querySelector('#operations thead th:nth-child(4)').ariaSort") == "ascending"
    window.focus("#operations thead th:nth-child(1) button")
    window.press(Keys.ENTER)
    names = window.ask("[...document.querySelectorAll('#operations tbody tr')].map(row => row.cells[0].textContent)")
    assert [n.lower() for n in names] == sorted(n.lower() for n in names)
    assert window.ask("document.querySelectorAll('#operations [aria-sort]').length") == 1


@alone
@pytest.mark.parametrize("name", ["served", "trained"])
def test_a_walk_by_keyboard(window, files, name):
    from selenium.webdriver.common.keys import Keys

    window.open(files[name])
    window.focus("#walked-walk")
    window.press(Keys.HOME)
    told = "document.getElementById('walked-told').textContent"
    first, at = window.ask(told), "document.getElementById('walked').data.at(-1).x[0]"
    place = window.ask(at)
    window.press(Keys.ARROW_RIGHT)
    window.until(f"{at} !== {place}")
    assert window.ask(told) != first
    assert window.ask("document.getElementById('walked-walk').ariaValueText.length") > 20


@alone
def test_an_operation_shows_its_point(window, files):
    window.open(files["served"])
    window.focus(".spot")
    window.until("document.querySelector('#roofline .hoverlayer').textContent.includes('FLOP/B')")
    assert window.ask(
        "document.querySelector('#roofline .hoverlayer').textContent.includes(document.activeElement.textContent)"
    )
    assert window.ask("getComputedStyle(document.activeElement).outlineStyle") in ("solid", "none")


@alone
def test_the_first_tab_skips_to_the_answer(window, files):
    from selenium.webdriver.common.keys import Keys

    window.open(files["trained"], width=390)
    window.press(Keys.TAB)
    assert window.ask("document.activeElement.className") == "skip"
    assert window.ask("document.activeElement.getBoundingClientRect().left >= 0")
    window.press(Keys.ENTER)
    assert window.ask("document.activeElement.id") == "main"
    # Whatever can be focused has a name.
    nameless = window.ask(
        "[...document.querySelectorAll('a[href], button, input, [tabindex=\"0\"]')].filter(each => !(each.textContent.trim() || each.ariaLabel "
        "|| each.title || each.dataset.title || each.labels?.length)).map(each => each.outerHTML.slice(0, 200))"
    )
    assert nameless == []


@alone
def test_paper(window, files):
    window.open(files["served"], scheme="dark")
    assert window.paper().startswith(b"%PDF")
    window.until("document.querySelectorAll('details[open]').length === 0")
    assert window.complaints() == []


def test_each_chapter_begins_with_its_finding(served, trained):
    """A reader of the first sentences alone has the story, in the field's own spelling."""
    for made in (served, trained):
        first = {
            key: unescape(text)
            for key, text in re.findall(r'<section id="(\w+)"[^>]*><h2[^>]*>[^<]*</h2>\s*<p>([^<]*)</p>', made.html)
        }
        assert {"time", "operations", "frontier", "sensitivity"} <= set(first)
        assert re.search(r"is bound by (compute|memory|network|latency)", first["time"])
        assert first["operations"].startswith("What takes the most: ")
        assert not re.search("nvlink|flop/s", first["sensitivity"])
    best, here = rl.search("deepseek-v3", "gb200-nvl72", tpot="50ms").best, served.answer
    ratio = float(best.tokens_per_second_per_chip / here.tokens_per_second_per_chip)
    assert f"{ratio:.2f} times the configuration of this page" in unescape(served.html)
