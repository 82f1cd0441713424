"""What readers type into the search of the site leads to the page that answers."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

SEARCHES = {
    "all-to-all": "reference/glossary", "quantization": "reference/glossary", "speculative decoding": "reference/glossary",
    "prefix caching": "reference/glossary", "SLO": "reference/glossary", "goodput": "how-to/campaigns", "checkpoint": "how-to/campaigns",
    "roofline ridge": "concepts/roofline", "all-reduce": "reference/glossary", "NVLink": "reference/glossary", "KV cache": "reference/glossary",
    "TTFT": "reference/glossary", "TPOT": "reference/glossary", "chunked prefill": "reference/glossary", "pipeline bubble": "concepts/training",
    "recomputation": "concepts/training", "MFU": "concepts/training", "energy per token": "concepts/energy", "power cap": "concepts/energy",
    "calibrate": "concepts/calibration", "interval": "concepts/intervals", "vLLM": "concepts/stacks", "CUDA graph": "concepts/stacks",
    "disaggregated": "how-to/searching", "frontier": "how-to/searching", "trace": "how-to/simulate-a-trace", "sweep": "how-to/design-space",
    "report": "how-to/report", "browser": "how-to/explore", "config.json": "reference/models", "GB200": "tutorials/cloudmatrix384-verdict", "optical": "tutorials/cloudmatrix384-verdict",
    "break-even": "tutorials/cloudmatrix384-verdict", "CloudMatrix": "tutorials/cloudmatrix384-verdict", "Vidur": "concepts/compared",
    "aiconfigurator": "concepts/compared", "--concurrency": "reference/cli", "--json": "reference/cli", "LoRA": "reference/glossary",
    "expert parallelism": "reference/glossary", "tensor parallelism": "reference/glossary", "Qwen": "reference/model-library",
    "hardware library": "reference/hardware", "roofline estimate": "reference/cli", "figure style": "how-to/figures", "arithmetic intensity": "concepts/roofline",
    "MoE": "reference/glossary", "max concurrency": "reference/glossary", "prefill": "reference/glossary",
}  # fmt: skip
"""What is typed, and the page it must lead to, among the first five."""


def pages():
    for path in DOCS.rglob("*.md"):
        if not {"_build", "objects"} & set(path.parts):
            yield path.relative_to(DOCS).with_suffix("").as_posix(), path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def index():
    out = {}
    for name, text in pages():
        heads = re.findall(
            r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
        )
        out[name] = (heads[0].lower() if heads else "", " ".join(heads[1:]).lower(), text.lower())
    return out


def score(page, words):
    """As the search of the site weighs: a word in the title or in a heading thrice one in the text; all words must be met."""
    title, heads, text = page
    if not all(word in text for word in words):
        return 0.0
    phrase = " ".join(words)
    return (
        15 * (phrase in title) + 10 * (phrase in heads) + sum(15 * (w in title) + 7 * (w in heads) + 5 for w in words)
    )


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_its_page(index, search):
    words = [re.sub(r"(ion|ing|ed|es|e|s)$", "", word) if len(word) > 5 else word for word in search.lower().split()]
    scores = {name: score(page, words) for name, page in index.items()}
    fifth = sorted(scores.values(), reverse=True)[4]
    found = scores[SEARCHES[search]]
    assert found > 0
    assert found >= fifth, sorted(scores, key=lambda name: -scores[name])[:5]


def test_there_are_forty():
    assert len(SEARCHES) >= 40
    assert set(SEARCHES.values()) <= {name for name, _ in pages()}
