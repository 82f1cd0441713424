"""The page that decides between two machines: what an architect asks, and where it answers."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorials" / "cloudmatrix384-verdict.md"

QUESTIONS = {
    "Which one should I buy?": ("", ("Buy", "Per chip", "per watt", "per dollar", "not for sale")),
    "Is it really twice as fast?": ("Is it twice as fast?", ("1.6 times, not double", "300", "180", "3.6", "2.1", "559", "145", "supernode of sixteen racks")),
    "What does a token cost in energy?": ("What about energy per token instead of rated power?", ("J per output token", "kW")),
    "Why optical, what does it cost, and how often does it fail?": ("Why optical, and what does it cost?", ("copper", "optical", "6,912", "fail", "Latency", "Reach")),
    "What do 384 in one domain buy me?": ("What does a domain of 384 buy over one of 72?", ("EP 320", "EP 72", "max concurrency")),
    "Will my software run?": ("How mature is the software?", ("CUDA", "vLLM", "CANN", "MindIE", "int8")),
    "What does it cost, and when is it worth it?": ("What does it cost, and where do they break even?", ("Break-even price", "Break-even power", "equal power", "equal price", "equal count")),
    "What would make you change your mind?": ("What would change the verdict?", ("cannot buy", "measurement", "Atlas 950")),
}  # fmt: skip
"""What an architect asks: the section that answers ("" for the top of the page), and what it must say."""


@pytest.fixture(scope="module")
def sections():
    text = PAGE.read_text(encoding="utf-8")
    top, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    return {"": top} | {each.split("\n", 1)[0]: each for each in rest}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_has_its_answer(sections, question):
    where, said = QUESTIONS[question]
    assert where in sections
    for text in said:
        assert text in sections[where], f"{question}: {text}"


def test_the_verdict_comes_first(sections):
    lines = [line for line in sections[""].splitlines() if line and not line.startswith(("#", "<!--"))]
    assert lines[0].startswith("**")
    assert re.search(r"\d\.\d+ \(\d\.\d+ to \d\.\d+\)", sections[""])  # with intervals


def test_every_claim_is_recomputed(sections):
    table = sections["What the press said, recomputed"]
    for claim in ("twice the performance", "5.3 times the scale-out", "2.07 times the scale-up", "Atlas 950"):
        assert claim in table
    assert "2.32" in table


@pytest.mark.thorough
def test_the_page_is_what_the_script_writes(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("story", ROOT / "docs" / "story.py")
    story = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(story)
    monkeypatch.setattr(story, "PAGE", tmp_path / "page.md")
    story.main()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
