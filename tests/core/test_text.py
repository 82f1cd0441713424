"""Text for files and terminals: no cell of a table is a formula, and what a cell meant is read back."""

import csv
import io
import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline.core.frames import Frame
from roofline.core.text import csv_text, parse_cell, plain_cell

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    '=HYPERLINK("http://x")',
]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_begins_a_formula_is_set_behind_an_apostrophe(text):
    kept = text.replace("\r", "\n")
    assert plain_cell(text) == "'" + kept
    assert parse_cell(plain_cell(text)) == kept
    (_, (cell,)) = csv.reader(io.StringIO(csv_text(["name"], [[text]]), newline=""))
    assert cell == "'" + kept
    assert Frame({text: [text]}).csv().count("'" + kept.replace('"', '""')) == 2


@pytest.mark.parametrize("value", [-1.0, 2.5, 0, -3, "-1.5", "+4", "1e-9", "-2e+30", "h100", "", None, True])
def test_numbers_and_other_text_stay(value):
    assert plain_cell(value) is value


@given(st.text())
def test_no_text_becomes_a_formula(text):
    written, text = plain_cell(text), text.replace("\r\n", "\n").replace("\r", "\n")
    assert written in (text, "'" + text)
    assert not written.startswith(("=", "@", "\t", "\r"))
    assert parse_cell(plain_cell(text)) == text or text.startswith("'")


@pytest.mark.parametrize("name", FORMULAS)
def test_every_table_that_is_written_is_neutral(name, tmp_path):
    row = {"model": "llama-3.1-8b", "system": "dgx-h100", "mode": "decode", "tp": 1, "chips": 1, "input_len": 1000, "output_len": 9, "concurrency": 4,
           "tpot_s": 0.01, "id": name, "group": name}  # fmt: skip
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"arrival_s": 0, "input_len": 5, "output_len": 2, "session": {json.dumps(name)}}}\n')
    trace = rl.Trace.read(path)
    for text in (rl.validate([row]).csv(), trace.csv()):
        cells = [cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line]
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")) for cell in cells)
    again = tmp_path / "t.csv"
    again.write_text(trace.csv(), newline="")
    assert [each.session for each in rl.Trace.read(again)] == [name.lstrip("\r\n")]  # which is read line by line


ESCAPE = "a\x1b[31mred\x1b]0;t\x07\u202e"


def test_names_hold_nothing_that_steers_a_terminal():
    rack = rl.system("dgx-h100")
    model = attrs.evolve(rl.model("llama-3.1-8b"), name=ESCAPE)
    rack = attrs.evolve(rack, name=ESCAPE, title=ESCAPE, package=attrs.evolve(rack.package, name=ESCAPE, title=ESCAPE))
    est = rl.estimate(model, rack, rl.Layout(tp=1), concurrency=4.0)
    row = {"model": "llama-3.1-8b", "system": "dgx-h100", "mode": "decode", "tp": 1, "chips": 1, "input_len": 1000, "output_len": 9, "concurrency": 4,
           "tpot_s": 0.01, "id": ESCAPE, "group": ESCAPE}  # fmt: skip
    for text in (
        str(est),
        est.why(),
        repr(est),
        est._repr_html_(),
        rl.validate([row]).table(),
        str(rl.train(model, rack, global_batch=8, seq_len=1024)),
    ):
        assert not [char for char in text if not char.isprintable() and char not in "\n\t"]


@pytest.mark.parametrize("name", [3, None, b"x", ["a"]])
def test_a_name_is_text(name):
    with pytest.raises(rl.QuestionError, match="must be text"):
        attrs.evolve(rl.model("llama-3.1-8b"), name=name)
