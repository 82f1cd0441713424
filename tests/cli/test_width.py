"""What commands print keeps within 80 columns, in a terminal and in a pipe; only what is copied or cannot be broken is longer."""

import pytest

from roofline.cli import app
from roofline.core.text import columns, fitted

LINES = [
    "list systems",
    "list chips",
    "list models",
    "list engines",
    "list frameworks",
    "show gb200-nvl72",
    "show deepseek-v3",
    "show h100 --kind chip",
    "estimate deepseek-v3 -s gb200-nvl72 --concurrency 1024",
    "estimate llama-3.1-70b -s dgx-h100 --tp 8 --rate 2.5 --why",
    "estimate llama-3.1-405b -s dgx-h100",
    "estimate deepseek-v3 -s gb200-nvl72 --prefill-chips 24 --chips 48 --concurrency 1024",
    "train llama-3.1-70b -s dgx-h100 --chips 64 --global-batch 256 --tp 8 --why",
    "campaign llama-3.1-8b -s dgx-h100 --chips 256 --tokens 1T",
    "rl llama-3.1-8b -s dgx-h100 --chips 16 --responses 64 --output 256",
    "search serve llama-3.1-70b -s dgx-h100 --dtype fp8 --ttft 2s --tpot 50ms",
    "search serve llama-3.1-8b -s dgx-h100 --tpot 20ms --disaggregated",
    "search train llama-3.1-8b -s dgx-h100 --global-batch 64",
    "compare cloudmatrix384 gb200-nvl72",
    "compare dgx-h100 dgx-b200 hgx-h200 mi300x-8 tpu-v5p",
    "compare dgx-h100 dgx-b200 --model llama-3.1-8b --tpot 20ms",
    "collective all-reduce 1GiB -s gb200-nvl72 --ranks 72",
    "simulate llama-3.1-8b -s dgx-h100 --rate 2 --requests 50 --tpot 50ms --ttft p99<2s",
    "sweep llama-3.1-8b -s dgx-h100 --set batch=64,128 --set context=4096 --limit tpot=30ms",
    "needed bandwidth llama-3.1-8b -s dgx-h100 --tp 8 --tpot 4ms",
    "sensitivity llama-3.1-8b -s dgx-h100",
    "break-even dgx-b200 dgx-h100 llama-3.1-8b",
]


def unbroken(line):
    """Return whether a line is one word, such as an address, behind its indent."""
    return len(line.split()) == 1 and ("/" in line or "." in line)


@pytest.mark.parametrize("line", LINES)
def test_no_line_is_wider_than_the_terminal(capsys, monkeypatch, line):
    monkeypatch.setenv("COLUMNS", "80")
    app.main(line.split())
    out = capsys.readouterr().out
    assert [each for each in out.splitlines() if len(each) > 80 and not unbroken(each)] == []


def test_a_command_line_that_is_copied_stays_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    app.main(
        [
            "launch",
            "llama-3.1-8b",
            "-s",
            "dgx-h100",
            "--engine",
            "vllm",
            "--checkpoint",
            "meta-llama/Llama-3.1-8B-Instruct",
        ]
    )
    out = capsys.readouterr().out
    assert "vllm serve meta-llama/Llama-3.1-8B-Instruct" in out


def test_a_last_column_is_wrapped_before_a_table_becomes_a_list():
    rows = [["alpha", "1", "one two three four five six seven"], ["beta", "2", "x"]]
    with fitted(32):
        text = columns(rows, head=["name", "n", "what"], right=[1])
    assert text.splitlines() == [
        "name   n  what",
        "─────  ─  ──────────────────",
        "alpha  1  one two three four",
        "          five six seven",
        "beta   2  x",
    ]
    with fitted(20):
        assert columns(rows, head=["name", "n", "what"], right=[1]).startswith("alpha\n  n     1\n")


def test_a_title_row_makes_no_column_wider():
    text = columns([["a title that is long"], ["a", "1"]], head=["", "n"], right=[1])
    assert text.splitlines()[-2:] == ["a title that is long", "a  1"]
