"""Documents that run: every ``>>>`` of a Markdown page, and every command shown with its output."""

import doctest
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from roofline.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)]  # fmt: skip
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples_run(page):
    text = page.read_text(encoding="utf-8")
    # A closing fence is no expected output.
    blank = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(blank, {}, page.name, str(page), 0)
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test)
    assert result.failed == 0


def consoles():
    for page in PAGES:
        for block in re.findall(
            r"^```console\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
        ):
            for command, output in re.findall(r"^\$ roofline (.*)\n((?:(?!^\$ ).*\n)*)", block, flags=re.MULTILINE):
                yield pytest.param(command, output, id=f"{page.name}: {command[:50]}")


@pytest.mark.parametrize(("command", "output"), list(consoles()))
def test_commands_print_what_is_shown(capsys, command, output):
    app.main(shlex.split(command))
    said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = [line.rstrip() for line in output.splitlines()]
    if shown[-1] == "...":  # only the beginning is shown
        said = [*said[: len(shown) - 1], "..."]
    assert said == shown


def anchors(path):
    """Return the places of a page that links can lead to: its headings, as they are written in addresses."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere():
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            if target.startswith("http") or not (target or anchor):
                continue
            found = page.parent / target if target else page
            assert found.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(found), f"{page.name}: {target}#{anchor}"


_PATH = re.compile(r"`((?:src/roofline|tests|scripts|docs|hardware|workloads|benchmarks|\.ci)/[\w./-]*[\w/])`")
"""A path of the repository as a page names it."""


def test_paths_that_pages_name_exist():
    """A name in capitals or angle brackets stands for one that the reader chooses; the changelog tells of files that were."""
    pages = [page for page in (*PAGES, *ROOT.glob("*/*/README.md")) if page.name != "CHANGELOG.md"]
    named = {
        (page.name, path)
        for page in pages
        for path in _PATH.findall(page.read_text(encoding="utf-8"))
        if not re.search(r"\b[A-Z]+\.toml$", path)
    }
    assert len(named) > 50
    assert not {(page, path) for page, path in named if not (ROOT / path).exists()}


def test_ci_runs_the_readmes_own_command():
    shell = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert "roofline compare" in shell[0]
    assert shell[1].strip().endswith("pytest")
    assert "block == 2" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.filterwarnings("default")
@pytest.mark.thorough
@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_run_and_say_what_is_stored(path):
    nbformat, notebooks = pytest.importorskip("nbformat"), loaded("notebooks")
    stored = nbformat.read(path, as_version=4)
    assert notebooks.said(notebooks.executed(path)) == notebooks.said(stored), "run python docs/notebooks.py"


def test_output_that_arrives_in_pieces_is_one():
    nbformat, notebooks = pytest.importorskip("nbformat"), loaded("notebooks")
    pieces = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("one ", "two", "three")]
    joined = [nbformat.v4.new_output("stream", name="stdout", text="one twothree")]
    cells = [nbformat.v4.new_code_cell(outputs=each) for each in (pieces, joined)]
    one, other = (notebooks.said(nbformat.v4.new_notebook(cells=[cell])) for cell in cells)
    assert one == other == ["one twothree"]


@pytest.mark.thorough
def test_the_tables_are_those_of_the_descriptors():
    tables = loaded("tables")
    for name in (
        "reference/hardware",
        "accuracy/operators",
        "accuracy/validation",
        "accuracy/training-runs",
        "accuracy/memory",
    ):
        made = getattr(tables, name.partition("/")[2].replace("-", "_"))()
        assert (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") == made, "run python docs/tables.py"


def test_the_readme_has_the_numbers_of_the_page_of_scores():
    """Typical errors in fold, and with model and system, and engine or framework left out; the coverage of the second."""

    def rows(name, wide):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        cells = [
            [cell.strip().replace(" %", "%") for cell in line.strip("|").split("|")]
            for line in lines
            if line.startswith("|")
        ]
        return [row for row in cells if len(row) == wide]

    page = {(row[0], row[1]): row for row in rows("docs/accuracy/index.md", 10)}
    readme = {row[0]: row[1:] for row in rows("README.md", 5)}
    for name in ("TPOT", "tokens/s", "TTFT", "training step"):
        inner, pair, software = (
            page[name, left] for left in ("nothing: in fold", "its model and system", "its engine or framework")
        )
        assert readme[name] == [inner[3], pair[3], software[3], pair[7]], "run python scripts/distance.py --write"
