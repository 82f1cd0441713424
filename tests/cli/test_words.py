"""Words of a command line: numbers, flags of other tools, wrong names, and what a terminal shows."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import roofline as rl
from roofline import catalog
from roofline.cli import app, peers
from roofline.cli.console import printable
from roofline.cli.numbers import assignments, limits, several, wholes
from roofline.core.digits import parse_real, parse_whole
from roofline.core.text import columns, fitted, wrapped
from roofline.reports.section import Section


def run(capsys, line):
    """Return status, standard output and standard error of a command."""
    try:
        app.main(line.split())
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("text", ["nan", "inf", "1e400", "8k", "4,096", "", "x", "1" * 100, "0x10", "1_0"])
def test_what_is_not_a_number_in_digits(text):
    with pytest.raises(rl.QuestionError, match="--input="):
        parse_real("--input", text)


def test_numbers():
    assert (parse_real("x", "1e3"), parse_real("x", " 0.5 "), parse_real("x", "-2")) == (1000.0, 0.5, -2.0)
    assert (parse_whole("x", "1e3"), wholes("x", "8..32*2"), several("x", "1..3")) == (
        1000,
        [8, 16, 32],
        [1.0, 2.0, 3.0],
    )
    for text in ("7.9", "1e30"):
        with pytest.raises(rl.QuestionError, match="must be a whole number"):
            parse_whole("--chips", text)
    with pytest.raises(rl.QuestionError, match="a second time"):
        assignments("--vary", ["links=1x", "links=2x"])
    with pytest.raises(rl.QuestionError, match="takes one value"):
        limits("--limit", ["tpot=0..0"])


def test_words_of_other_tools_mean_the_same(capsys):
    ours = "estimate llama-3.1-8b --system dgx-h100 --tp 4 --chips 8 --input 1000 --output 100 --kv-dtype fp8 --concurrency 8 --json"
    theirs = (
        "estimate --model-path llama-3.1-8b --hardware dgx-h100 --tensor-parallel-size 4 --num_gpus=8 --isl 1000 --osl=100 "
        "--kv-cache-dtype fp8_e4m3 --max-concurrency 8 --json"
    )
    assert run(capsys, ours) == run(capsys, theirs)
    assert peers.translated(["train", "--gbs", "8", "--recompute-activations", "--zero-stage", "3"]) == [
        "train", "--global-batch", "8", "--recompute", "selective", "--sharding", "zero3",
    ]  # fmt: skip


@pytest.mark.parametrize("flag", sorted(peers.ANSWERS))
def test_words_that_mean_something_else_are_answered(capsys, flag):
    status, out, err = run(capsys, f"estimate llama-3.1-8b -s dgx-h100 {flag} 8")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"roofline: {flag}: ")


def test_aliases_lead_to_flags_that_exist():
    known = {name for _, names in peers._flags(app.app) for name in names}
    assert {alias.flag for alias in peers.ALIASES.values()} <= known
    assert not known & set(peers.ALIASES) - {"-m"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("estimate llama-3.1-8b -s dgx-h100 --tp-sizes 8", "--tp-sizes: is not a flag of roofline estimate; see"),
        ("estimate llama-3.1-8b -s dgx-h100 --concurency 8", "did you mean --concurrency?"),
        ("estimate llama-3.1-8b -s dgx-h100 --global-batch 8", "but of train"),
        ("estimate llama-3.1-8b", "--system: is missing"),
        ("estimate llama-3.1-8b -s dgx-h100 --tp", "--tp: needs a value"),
        ("estimate llama-3.1-8b -s dgx-h100 --tp 2 --tp 4", "--tp: is given twice"),
        ("estimate llama-3.1-8b -s deepseek-v3", "deepseek-v3 is a model"),
        ("estimate dgx-h100 -s dgx-h100", "dgx-h100 is a system; the model comes first"),
        ("estimate llama-3.1-8b -s dgx-h100 --input 8k", "write 8000 or 8192"),
        ("estimate llama-3.1-8b -s dgx-h100 --chips 7.9", "must be a whole number"),
        ("serve llama-3.1-8b", "roofline estimate MODEL -s SYSTEM"),
        ("estimat llama-3.1-8b", "did you mean estimate?"),
        ("needed bandwidth llama-3.1-8b -s dgx-h100 --set level=ideal", "--set: is a flag of roofline sweep"),
        ("needed bandwidth llama-3.1-8b -s dgx-h100 --target speed=1", "no such target"),
        ("needed bandwidth llama-3.1-8b -s dgx-h100 --batch 8", "is of --phase decode or prefill"),
        ("sensitivity llama-3.1-8b -s dgx-h100 --phase decode --batch 8 --output 8", "is not a flag of --phase decode"),
    ],
)
def test_a_wrong_word_is_one_line_that_helps(capsys, line, says):
    status, out, err = run(capsys, line)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_what_does_not_fit_says_what_would(capsys):
    status, out, _ = run(capsys, "estimate llama-3.1-405b -s dgx-h100")
    assert status == 0
    assert "would fit" in out
    assert "16 chips" in out
    assert "tokens/s" not in out.replace("most tokens/s", "")
    assert run(capsys, "estimate llama-3.1-405b -s dgx-h100 --require-fit")[0] == 1
    assert run(capsys, "estimate llama-3.1-8b -s dgx-h100 --require-fit")[0] == 0
    assert "CANNOT KEEP UP" in run(capsys, "estimate llama-3.1-8b -s dgx-h100 --rate 100000")[1]


def test_every_flag_has_help_and_every_command_two_examples(capsys):
    commands = [name for name, _ in peers._flags(app.app)]
    assert len(commands) >= 15
    for name in commands:
        _, out, _ = run(capsys, f"{name} --help")
        assert len(re.findall(rf"^  roofline {name}\b", out, re.MULTILINE)) >= 2, name


def test_tables_that_are_too_wide_become_lists():
    rows = [["a", "1" * 30, "2" * 30]]
    assert "─" in columns(rows, head=["name", "x", "y"])
    with fitted(40):
        assert columns(rows, head=["name", "x", "y"]).splitlines() == ["a", f"  x  {'1' * 30}", f"  y  {'2' * 30}"]
    assert all(len(line) <= 20 for line in wrapped("- " + "word " * 20, 20).splitlines())


def test_nothing_steers_the_terminal():
    assert printable("a\x1b]0;x\x07\u202e\x9b") == "a?]0;x???"
    assert "<script>" not in Section("<script>", lines=["<script>"], rows=[["<script>"]], notes=["<script>"]).html()


# Files ------------------------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_keeps_its_mode(tmp_path):
    file, link = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_bytes(b"old")
    file.chmod(0o600)
    link.symlink_to(file)
    catalog.write(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_all_outputs_or_none(tmp_path):
    first, full = tmp_path / "a.csv", tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(rl.QuestionError, match="cannot be written"):
        catalog.write_all({first: b"x", full: b"x"})
    assert sorted(tmp_path.iterdir()) == [full]
    with pytest.raises(rl.QuestionError, match="two outputs"):
        catalog.check_places([first, first])
    with pytest.raises(rl.QuestionError, match="does not exist"):
        catalog.check_places([tmp_path / "no" / "x"])
    catalog.write_all({first: b"x", tmp_path / "b": b"y"})
    assert first.read_bytes() == b"x"


def test_what_is_no_regular_file_is_written_into(tmp_path):
    null = Path("/dev/null").stat().st_rdev
    catalog.write(Path("/dev/null"), b"x")
    assert Path("/dev/null").stat().st_rdev == null
    os.mkfifo(tmp_path / "p")
    with subprocess.Popen(["cat", str(tmp_path / "p")], stdout=subprocess.PIPE) as reader:
        catalog.write(tmp_path / "p", b"whole")
        assert reader.communicate()[0] == b"whole"


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "roofline", "--version"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "0"},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        "estimate llama-3.1-8b -s l4 --tp 1 --chips 1 --gpu-memory-utilization",
        "search serve llama-3.1-8b -s l4 --mem-fraction-static",
        "compare l4 a100-pcie-80gb --model llama-3.1-8b --memory-fraction",
        "sweep llama-3.1-8b -s l4 --set batch=1,8,64 --set context=8192 --gpu-memory-utilization",
        "simulate llama-3.1-8b -s l4 --tp 1 --chips 1 --rate 0.5 --requests 4 --mem-fraction-static",
    ],
)
def test_the_share_of_memory_is_a_flag_of_every_command_that_serves(capsys, line):
    """At 0.6 of its memory an L4 does not hold 15 GiB of weights and a cache."""
    answers = [run(capsys, f"{line} {fraction} --json")[:2] for fraction in ("0.95", "0.6")]
    assert [status for status, _ in answers] == [0, 0]
    assert answers[0] != answers[1]
    assert run(capsys, f"{line} 1.5")[0] == 2


def test_every_flag_that_takes_a_value_shows_one():
    """``Chips to use: 16 (default: the whole system).``: what it is, an example, and what holds where it is left out."""
    shown = re.compile(r": ?['\"]?[-\w./<]+")
    lacking = []
    for name, command in commands(app.app):
        for each in command.assemble_argument_collection():
            text = each.parameter.help or ""
            switch = each.is_flag() or each.hint in (bool, bool | None)
            named = [word for word in each.names if word != "*"]
            if each.parse and named and not (text if switch else shown.search(text)):
                lacking.append((name, named[0], text))
    assert lacking == []


def commands(parent, path=()):
    """Yield every command with its words."""
    for name in parent:
        if not name.startswith("-"):
            if parent[name].default_command is not None:
                yield " ".join((*path, name)), parent[name]
            yield from commands(parent[name], (*path, name))


@pytest.mark.parametrize("told", ["1", "-5", "wide", "", "9" * 30, "1000000"])
def test_help_in_any_number_of_columns(monkeypatch, capsys, told):
    monkeypatch.setenv("COLUMNS", told)
    app.main(["estimate", "--help"])
    out, err = capsys.readouterr()
    assert "--concurrency" in out
    assert err == ""
    assert len(out) < 1_000_000


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes of a shell")
@pytest.mark.parametrize("words", [["--help"], ["list", "models"], ["estimate", "--help"]])
def test_a_reader_that_leaves_is_no_failure(words):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "roofline", *words], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_error_changes_no_status(unbuffered):
    """Whether the line fails as it is written, or stays in a buffer until the interpreter ends."""
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "roofline", "estimate", "no-such-model", "-s", "dgx-h100"]
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        assert subprocess.run(words, stdout=subprocess.DEVNULL, stderr=full, check=False, env=env).returncode == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("estimate gpt-oss-120b -s b200 --tpot -5ms", "--tpot='-5ms': cannot be below zero"),
        ("collective all-reduce -1GiB -s dgx-h100 --ranks 8", "'-1GiB': cannot be below zero"),
        ("needed qwen3-8b -s dgx-h100", "MODEL: is missing: roofline needed NUMBER MODEL"),
        ("new", "KIND: is missing: roofline new KIND [NAME]"),
        ("estimate a --model b -s b200", "words='a': are too many: roofline estimate takes MODEL"),
        ("search serve qwen3-8b -s b200 --plot x.svg", "roofline plot MODEL -s SYSTEM -o FILE.svg"),
        ("estimate qwen3-8b -s b200 --memory-fraction 90%", "must be a number; write 0.9"),
        ("estimate qwen3-8b -s b200 --concurrency 0", "concurrency=0: must be"),
        ("estimate qwen3-8b -s b200 --kv-dtype fp4", "kv_dtype='fp4': no such kv_dtype"),
        ("report qwen3-8b -s b200 -o /dev/full", "file='/dev/full': a report is"),
        ("estimate qwen3-8b -s b200 --batch 4", "is not a flag of roofline estimate, but of needed"),
    ],
)
def test_a_wrong_word_is_shown_as_it_was_typed_with_what_to_write(capsys, line, said):
    status, out, err = run(capsys, line)
    assert (status, out) == (2, "")
    assert said in err


def test_an_exponent_is_part_of_a_number(capsys):
    asked = "collective all-reduce {} -s dgx-h100 --ranks 8 --json"
    assert run(capsys, asked.format("1e3MB")) == run(capsys, asked.format("1GB"))
    assert run(capsys, asked.format(".5GiB")) == run(capsys, asked.format("512MiB"))


def test_a_chunk_of_one_token_is_a_chunk(capsys):
    assert (
        rl.estimate("llama-3.1-8b", "dgx-h100", chunk=1, tp=8).ttft
        > rl.estimate("llama-3.1-8b", "dgx-h100", chunk=2, tp=8).ttft
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("estimate qwen3-8b -s 8xH200", "give one of them and chips=8"),
        ("simulate qwen3-8b -s dgx-h100 --goodput ttft:300", "--goodput: is counted under the limits"),
        ("estimate /dev/null -s dgx-h100", "'/dev/null': is a pipe or a device"),
        ("simulate qwen3-8b -s dgx-h100 --trace /dev/null", "'/dev/null': is a pipe or a device"),
    ],
)
def test_what_people_write_is_answered_with_what_to_give(capsys, line, said):
    status, out, err = run(capsys, line)
    assert (status, out) == (2, "")
    assert said in err


def test_what_is_assumed_of_a_load_agrees_with_the_answer(capsys):
    _, slow, _ = run(capsys, "estimate llama-3.1-8b -s dgx-h100 --tp 2 --rate 500")
    assert "none of" in slow
    assert "and keeps up with the rate" in " ".join(slow.split())
    assert "the queue grows without end" in " ".join(slow.split())
    _, large, _ = run(capsys, "estimate deepseek-v3 -s h100 --concurrency 64")
    assert "DOES NOT FIT" in large
    assert "the others wait" not in large
