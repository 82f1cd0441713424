"""Templates load as they stand, and the commands that follow work on them."""

import pytest

import roofline as rl
from roofline import catalog
from roofline.cli import main
from roofline.core.errors import QuestionError


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    try:
        main(list(words))
        status = 0
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


@pytest.mark.parametrize("kind", list(catalog.TEMPLATES))
def test_every_kind_is_written_once(kind, capsys, tmp_path):
    status, out, err = run(capsys, "new", kind, "mine")
    assert status == 0
    assert out.startswith("next: roofline ")
    (file,) = tmp_path.iterdir()
    assert err == f"wrote {file.name}\n"
    status, _, err = run(capsys, "new", kind, "mine")
    assert status == 2
    assert "is there already" in err


def test_they_load_as_they_stand(capsys, tmp_path):
    for kind in catalog.TEMPLATES:
        run(capsys, "new", kind, "mine") if kind != "system" else run(capsys, "new", kind, "rack")
    assert rl.chip("mine.toml").peak["bf16"] == 800e12
    assert (
        float(rl.estimate("./mine.json", "./mine.toml", concurrency=4).chips) == 1.0
    )  # a chip alone is a system of one
    (tmp_path / "rack.toml").write_text((tmp_path / "rack.toml").read_text().replace('"h100" ', '"mine.toml" '))
    est = rl.estimate("./mine.json", "./rack.toml", concurrency=64)
    assert est.fits
    assert est.system.package.name == "mine"


def test_traces_and_runs(capsys):
    run(capsys, "new", "trace", "a")
    run(capsys, "new", "runs", "b")
    assert rl.simulate("llama-3.1-8b", "dgx-h100", rl.Trace.read("a.csv")).completed == 4
    assert rl.validate("b.csv").runs == 2


def test_no_such_kind(capsys):
    status, _, err = run(capsys, "new", "cluster")
    assert status == 2
    assert err.count("\n") == 1
    with pytest.raises(QuestionError, match="there is chip, system"):
        catalog.template("cluster")
