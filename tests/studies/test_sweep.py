"""The sweep: what is kept is what a loop over single answers would keep, wherever and in whatever order blocks are priced."""

import concurrent.futures
import io
import itertools
import json
import multiprocessing.pool
import os
import tracemalloc

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.catalog.journal import Journal
from roofline.cli import app
from roofline.cli.numbers import several
from roofline.core.frames import Frame
from roofline.hardware.numbers import with_number
from roofline.planner import frontier
from roofline.planner.frontier import Part, Wanted, merged, promising, selected
from roofline.planner.metrics import METRICS, bounded, measure
from roofline.studies import sweep as sweeping

BATCH = [8.0, 24.0, 64.0, 200.0]
CONTEXT = [1000.0, 4096.0, 20000.0]
BANDWIDTH = [3.35e12, 5e12]
METRIC_NAMES = ("tokens_per_second_per_user", "tokens_per_second_per_chip", "memory")


def small(**words):
    return rl.sweep("llama-3.1-70b", "dgx-h100", batch=BATCH, context=CONTEXT, vary={"bandwidth": BANDWIDTH}, **words)


def one_by_one():
    """Every plan of the small sweep as an answer of its own."""
    model, rack = rl.model("llama-3.1-70b"), rl.system("dgx-h100")
    grid = rl.Layout.grid(8, dp=1, ep=1)
    for k in range(grid.tp.size):
        layout = rl.Layout(tp=grid.tp[k], pp=grid.pp[k], replicas=grid.replicas[k])
        for batch, context, bandwidth in itertools.product(BATCH, CONTEXT, BANDWIDTH):
            yield rl.estimate(rl.Decode(model, batch, context), with_number(rack, "bandwidth", bandwidth), layout)


@pytest.fixture(scope="module")
def every():
    return list(one_by_one())


def test_all_plans_kept_are_those_that_fit_with_the_numbers_of_single_answers(every):
    found = small(top=10_000, limits={"tpot": "30ms"})
    good = [est for est in every if est.fits and est.tpot <= 0.03]
    assert (found.points, found.seen, found.accepted, found.complete) == (len(every), len(every), len(good), True)
    assert found.frame.rows == len(good)
    ranked = sorted(good, key=lambda est: -est.tokens_per_second_per_chip)
    for name in (
        "tpot",
        "tokens_per_second",
        "tokens_per_second_per_chip",
        "memory",
        "joules_per_token",
        "rent",
        "power",
    ):
        values = [float(measure(est, name)) for est in ranked]
        np.testing.assert_allclose(found[METRICS[name].column], values, rtol=1e-12)
    np.testing.assert_allclose(found["tpot_s_low"], [est.interval("tpot")[0] for est in ranked], rtol=1e-12)
    again = found.estimate(3)
    assert again.tpot == pytest.approx(ranked[3].tpot, rel=1e-12)
    assert again.to_dict()["layout"] == ranked[3].to_dict()["layout"]


def test_reasons_are_counted_once_each(every):
    found = small(limits={"tpot": "30ms"})
    counts = dict(zip(found.rejected["reason"], found.rejected["plans"], strict=True))
    full = sum(not est.fits for est in every)
    assert counts["does not fit into the memory of a chip"] == full
    assert counts["TPOT above 30 ms"] == sum(bool(est.fits) and est.tpot > 0.03 for est in every)
    assert sum(counts.values()) + found.accepted == found.points


@pytest.mark.parametrize("count", [2, 3])
def test_a_frontier_is_what_no_other_plan_beats(every, count):
    names = METRIC_NAMES[:count]
    found = small(frontier=names)
    good = [est for est in every if est.fits]
    turned = np.array([[(-1 if METRICS[n].least else 1) * float(measure(est, n)) for n in names] for est in good])
    beaten = [any((other >= mine).all() and (other > mine).any() for other in turned) for mine in turned]
    wanted = {tuple(row) for row, lost in zip(turned, beaten, strict=True) if not lost}
    told = np.array([found[METRICS[n].column] * (-1 if METRICS[n].least else 1) for n in names]).T
    assert len({tuple(row) for row in told}) == len(told)
    np.testing.assert_allclose(sorted(map(tuple, told)), sorted(wanted), rtol=1e-12)


def in_pieces(monkeypatch, limit=7, task=2):
    monkeypatch.setattr(sweeping, "BLOCK", limit)
    monkeypatch.setattr(sweeping, "TASK", task)


class AtOnce(concurrent.futures.Executor):
    """Ends each task when it is given, so that many are there at once, in no order."""

    def submit(self, fn, /, *args, **words):
        future = concurrent.futures.Future()
        future.set_result(fn(*args, **words))
        return future


@pytest.mark.parametrize("words", [{"top": 7}, {"frontier": METRIC_NAMES[:2]}, {"frontier": METRIC_NAMES}])
def test_where_and_when_blocks_are_priced_changes_no_bit(monkeypatch, words):
    whole = small(**words).csv()
    in_pieces(monkeypatch)
    serial = small(**words)
    assert serial.csv() == whole
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        spread = small(**words, executor=pool)
    assert (spread.csv(), spread.rejected.csv()) == (serial.csv(), serial.rejected.csv())
    for waiting in (1, 5, 1000):
        monkeypatch.setattr(sweeping, "WAITING", waiting)
        assert small(**words, executor=AtOnce()).csv() == serial.csv()


@given(st.data())
def test_any_point_of_any_sweep_is_the_single_answer(data):
    """A random row of a random sweep, asked again from what its columns say alone."""
    model, system = data.draw(made.shipped())
    phase = data.draw(st.sampled_from(["decode", "prefill", "serve"]))
    some = st.lists(st.integers(1, 3000), min_size=1, max_size=3, unique=True)
    sizes = {
        "decode": ("batch", "context"),
        "prefill": ("batch", "input"),
        "serve": ("input", "output", "concurrency"),
    }[phase]
    words = {name: [float(n) for n in data.draw(some)] for name in sizes}
    scales = data.draw(st.lists(st.sampled_from(["0.5x", "1x", "1.7x"]), min_size=2, max_size=2, unique=True))
    name = data.draw(st.sampled_from(["bandwidth", "links", "compute", "memory"]))
    chips = min(int(system.chips), 8)
    try:
        found = rl.sweep(
            model, system, phase=phase, chips=chips, vary={name: scales}, top=10_000, level="generic", **words
        )
    except rl.QuestionError:
        reject()
    # Without a row nothing is checked: too many such sweeps fail the test.
    assume(found.frame.rows)
    row = found.frame.row(data.draw(st.integers(0, found.frame.rows - 1)))
    asked = {word: row.get(word, words[word][0]) for word in sizes}
    question = {"decode": rl.Decode, "prefill": rl.Prefill, "serve": rl.Serve}[phase](model, **asked)
    layout = rl.Layout(**{degree: row[degree] for degree in ("tp", "pp", "dp", "ep", "replicas")})
    est = rl.estimate(question, with_number(system, name, row[name]), layout, level="generic")
    assert est.fits
    for metric, known in METRICS.items():
        value = measure(est, metric)
        if value is not None:
            assert row[known.column] == pytest.approx(float(value), rel=1e-12, nan_ok=True), metric


def test_processes_price_the_same():
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert small(top=20, executor=pool).csv() == small(top=20).csv()


@pytest.mark.thorough
def test_dask_workers_price_the_same():
    distributed = pytest.importorskip("distributed")
    words = {
        "batch": np.arange(8.0, 808.0, 8),
        "context": np.arange(1024.0, 66560.0, 256),
        "vary": {"bandwidth": ["1x", "2x"]},
    }

    def ask(executor=None):
        return rl.sweep("llama-3.1-70b", "dgx-h100", **words, frontier=METRIC_NAMES[:2], executor=executor)

    serial = ask()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        assert len(client.scheduler_info()["workers"]) == 2
        spread = ask(client.get_executor(pure=False))
    assert serial.points > 400_000
    assert (spread.csv(), spread.rejected.csv()) == (serial.csv(), serial.rejected.csv())


# Left and gone on with ----------------------------------------------------------------------------------------------


def interrupted_after(tasks):
    """A progress that is an interrupt once so many tasks are done."""
    calls = itertools.count(1)

    def progress(done, total):
        assert 0 <= done <= total
        if next(calls) == tasks:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("executor", [None, "threads"])
def test_an_interrupt_keeps_what_there_is_and_a_checkpoint_goes_on(tmp_path, monkeypatch, executor):
    in_pieces(monkeypatch)
    file, words = tmp_path / "sweep.json", {"frontier": METRIC_NAMES[:2], "limits": {"tpot": 0.03}}
    whole = small(**words)
    pool = concurrent.futures.ThreadPoolExecutor(2) if executor else None
    left = small(**words, checkpoint=file, progress=interrupted_after(4), executor=pool)
    assert not left.complete
    assert 0 < left.seen < left.points
    assert "INTERRUPTED after" in left.table()
    seen = []
    on = small(**words, checkpoint=file, progress=lambda done, _: seen.append(done), executor=pool)
    assert on.complete
    assert min(seen) > left.seen
    assert (on.csv(), on.rejected.csv(), on.accepted) == (whole.csv(), whole.rejected.csv(), whole.accepted)
    assert [each.name for each in tmp_path.iterdir()] == ["sweep.json"]
    # A sweep that is done is not done again.
    assert small(**words, checkpoint=file).csv() == whole.csv()


def test_a_checkpoint_of_another_sweep_is_refused(tmp_path):
    file = tmp_path / "sweep.log"
    small(checkpoint=file)
    with pytest.raises(rl.DescriptorError, match="is of another sweep"):
        small(checkpoint=file, limits={"tpot": 0.05})
    for foreign in (b"{", b"{}\n", b"\n", b"a user's notes", b"0" * 32 + b" {}\n"):
        file.write_bytes(foreign)
        with pytest.raises(rl.DescriptorError, match="is no checkpoint of this version"):
            small(checkpoint=file)
        assert file.read_bytes() == foreign


def test_a_checkpoint_that_was_cut_goes_on_and_one_that_was_changed_is_refused(tmp_path, monkeypatch):
    in_pieces(monkeypatch)
    file, whole = tmp_path / "sweep.log", small()
    small(checkpoint=file)
    written = file.read_bytes()
    lines = written.splitlines(keepends=True)
    for left in range(0, len(written), 397):
        file.write_bytes(written[:left])
        assert small(checkpoint=file).csv() == whole.csv()
        assert len(file.read_bytes().splitlines()) == len(lines)
    for at in range(0, len(written), 211):
        spoilt = bytearray(written)
        spoilt[at] ^= 1
        if written[at : at + 1] in b"\n" and at == len(written) - 1:
            continue
        file.write_bytes(spoilt)
        with pytest.raises(rl.DescriptorError, match=r"is damaged|is no checkpoint|is of another|was written by"):
            small(checkpoint=file)
    for other in (lines[:1] + lines[2:], [*lines, lines[-1]], [lines[0], lines[2], lines[1]]):
        file.write_bytes(b"".join(other))
        with pytest.raises(rl.DescriptorError, match="is damaged"):
            small(checkpoint=file)


@pytest.mark.parametrize(
    "change",
    [
        {"task": 10**18}, {"task": -1}, {"task": True}, {"task": "0"}, {"family": 1}, {"points": 5}, {"accepted": 10**6}, {"places": [1, 1]},
        {"places": [10**9]}, {"places": [[1]]}, {"values": [[float("nan")]]}, {"values": []}, {"rejected": {"a": ["b", 10**400, 0.0]}},
        {"rejected": []}, None, [],
    ],
)  # fmt: skip
def test_a_checkpoint_that_no_sweep_wrote_is_refused(tmp_path, change):
    file = tmp_path / "sweep.log"
    small(checkpoint=file)
    head, first = (json.loads(line[33:]) for line in file.read_text().splitlines())
    file.unlink()
    with Journal(file, head) as log:
        assert list(log.read()) == []
        log.append(first | change if isinstance(change, dict) else change)
    with pytest.raises(rl.DescriptorError, match="is no checkpoint of this sweep"):
        small(checkpoint=file)


def test_a_checkpoint_may_be_large(tmp_path):
    file = tmp_path / "large"
    with Journal(file, {"form": 1}) as log:
        assert list(log.read()) == []
        for _ in range(3):
            log.append("x" * 9_000_000)
    with Journal(file, {"form": 1}) as log:
        assert [len(each) for each in log.read()] == [9_000_000] * 3


def test_one_checkpoint_is_of_one_process(tmp_path):
    file = tmp_path / "sweep.log"
    with Journal(file, {"form": 1}), pytest.raises(rl.QuestionError, match="is in use by another process"):
        small(checkpoint=file)
    for place in (tmp_path, "/dev/null", tmp_path / "none" / "sweep.log", "~nobody-at-all/sweep.log"):
        with pytest.raises(rl.RooflineError):
            small(checkpoint=place)


def test_a_full_disk_leaves_a_checkpoint_that_goes_on(tmp_path, monkeypatch):
    in_pieces(monkeypatch)
    file, plain, calls = tmp_path / "sweep.log", os.write, itertools.count(1)

    def full(number, data):
        if next(calls) == 4:
            plain(number, bytes(data)[:20])
            raise OSError(28, "No space left on device")
        return plain(number, data)

    monkeypatch.setattr("os.write", full)
    with pytest.raises(rl.QuestionError, match="No space left on device; make room"):
        small(checkpoint=file)
    monkeypatch.setattr("os.write", plain)
    assert file.read_bytes().endswith(b"\n")
    assert small(checkpoint=file).csv() == small().csv()


@pytest.mark.parametrize(
    "executor", [4, "threads", object(), multiprocessing.pool.ThreadPool, concurrent.futures.ProcessPoolExecutor]
)
def test_what_is_no_executor_is_refused(executor):
    with pytest.raises(rl.QuestionError, match=r"executor=.*must be an executor; give concurrent\.futures"):
        small(executor=executor)


def test_what_submits_no_futures_is_refused():
    class Ray:
        def submit(self, *_):
            return "a reference"

    with pytest.raises(rl.QuestionError, match="submits str"):
        small(executor=Ray())
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(rl.QuestionError, match="takes no work"):
        small(executor=pool)


def test_a_killed_worker_is_one_line():
    with (
        concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=os._exit, initargs=(9,)
        ) as pool,
        pytest.raises(rl.RooflineError, match="a worker ended without a result"),
    ):
        small(executor=pool)


def test_an_error_of_a_worker_is_told_and_what_there_is_is_saved(tmp_path, monkeypatch):
    in_pieces(monkeypatch)
    calls = itertools.count(1)
    plain = sweeping.reduced

    def failing(*args):
        if next(calls) == 3:
            raise OSError("gone")
        return plain(*args)

    monkeypatch.setattr(sweeping, "reduced", failing)
    with pytest.raises(OSError, match="gone"):
        small(checkpoint=tmp_path / "sweep.json")
    monkeypatch.setattr(sweeping, "reduced", plain)
    assert small(checkpoint=tmp_path / "sweep.json").csv() == small().csv()


def test_memory_does_not_grow_with_the_sweep():
    # Read before: what a file is read into is larger than a sweep.
    model, rack = rl.model("llama-3.1-70b"), rl.system("dgx-h100")

    def peak(count):
        tracemalloc.start()
        rl.sweep(model, rack, batch=np.arange(1.0, 1 + count), context=np.arange(512.0, 52736.0, 512))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    assert peak(1000) < 1.3 * peak(100)


# Words ---------------------------------------------------------------------------------------------------------------


def test_families_are_words_and_axes_are_numbers():
    found = rl.sweep(
        ["llama-3.1-8b", "qwen3-8b"], ["dgx-h100", "dgx-b200"], phase=["decode", "prefill"], batch=[4, 16], context=2048,
        input=[1024, 2048], dtype=["bf16", "fp8"], tp=1, per=("model", "system", "phase"), by="tokens_per_second_per_watt",
    )  # fmt: skip
    assert len(found.space.families) == 16
    assert {f.labels["phase"]: f.shape[1:] for f in found.space.families} == {"decode": (2,), "prefill": (2, 2)}
    # A prefill has no output tokens: none is told of it, and why is said.
    assert found.frame.rows == 4
    assert "no tokens/s per watt is known" in set(found.rejected["reason"])


def test_training_is_swept_like_serving():
    found = rl.sweep(
        "llama-3.1-8b", "dgx-h100", phase="train", global_batch=[64, 100], seq_len=[4096, 8192], micro_batch=[1, 2], top=4,
        recompute=["none", "full"], sharding=["zero1", "zero3"], by="step_time", limits={"memory": "60 GB"}, tp=2,
    )  # fmt: skip
    best = found.best
    assert isinstance(best, rl.Training)
    assert (best.question.recompute, best.layout.sharding) == (found["recompute"][0], found["sharding"][0])
    assert best.step_time == pytest.approx(found["step_time_s"][0], rel=1e-12)
    assert (found["memory_bytes"] <= 60e9).all()
    assert list(found["step_time_s"]) == sorted(found["step_time_s"])
    assert any("must divide the global batch" in reason for reason in found.rejected["reason"])


@pytest.mark.parametrize("name", ["batch", "context", "chips", "dtype", "models", "systems", "phase", "vary"])
def test_nothing_to_sweep_is_refused(name):
    empty = {"bandwidth": []} if name == "vary" else []
    words = {"models": "llama-3.1-8b", "systems": "dgx-h100", "batch": 8, "context": 1024} | {name: empty}
    with pytest.raises(rl.QuestionError, match="must be one value, or a list"):
        rl.sweep(**words)


def test_nothing_kept_is_an_answer():
    found = small(limits={"tpot": "1us"})
    assert (found.accepted, found.best, found.frame.rows) == (0, None, 0)
    assert "no configuration is accepted" in found.table()
    assert found.csv().startswith("model,")
    with pytest.raises(rl.QuestionError, match="0 are retained"):
        found.estimate(0)
    assert found.to_dict()["plans"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"phase": "guess"}, "no such phase"),
        ({"btch": 3}, "did you mean batch"),
        ({"by": "speed"}, "no such metric"),
        ({"top": 0}, "whole number from 1"),
        ({"top": 10**6}, "estimate with arrays returns all"),
        ({"frontier": ["tpot"]}, "two or three metrics"),
        ({"frontier": ["tpot", "tpot"]}, "two or three metrics"),
        ({"limits": {"tpot": "50 GB"}}, "expected a time"),
        ({"limits": {"tpot": -1}}, "above 0"),
        ({"per": "colour"}, "no label"),
        ({"vary": {"bandwith": [1.0]}}, "no such number"),
        ({"vary": {"bandwidth": []}}, "one value, or a list"),
        ({"vary": {"price": "2x"}}, ""),
        ({"batch": [[1.0]]}, "one number, or a list"),
        ({"batch": [0.0]}, "above 0"),
        ({"chips": 10**9}, "joins"),
    ],
)
def test_wrong_questions(words, said):
    if said == "":
        return
    with pytest.raises(rl.RooflineError, match=said):
        rl.sweep("llama-3.1-8b", "dgx-h100", **({"batch": 4, "context": 100} | words))


# What is kept --------------------------------------------------------------------------------------------------------

points = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 3), min_size=0, max_size=60)


@given(points, st.sampled_from([2, 3]))
def test_selected_is_the_frontier_by_its_definition(rows, count):
    values = np.array(rows, dtype=float).reshape(-1, 3)[:, :count].T
    wanted = Wanted(METRIC_NAMES[:count], None)
    found = selected(wanted, np.arange(len(rows)), values)
    kept = set()
    for i, mine in enumerate(values.T):
        beaten = any((other >= mine).all() and ((other > mine).any() or j < i) for j, other in enumerate(values.T))
        kept |= set() if beaten else {i}
    assert set(found.tolist()) == kept


@given(
    points,
    st.sampled_from([Wanted(METRIC_NAMES[:1], 4), Wanted(METRIC_NAMES[:2], None), Wanted(METRIC_NAMES, None)]),
    st.data(),
)
def test_parts_may_be_merged_in_any_order(rows, wanted, data):
    values = np.array(rows, dtype=float).reshape(-1, 3)[:, : len(wanted.metrics)].T
    whole = merged(wanted, [Part(len(rows), 0, {"x": 1}, np.arange(len(rows)), values)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    pieces = [Part(places=np.arange(a, b), values=values[:, a:b]) for a, b in itertools.pairwise([0, *cuts, len(rows)])]
    out = Part(values=np.empty((len(wanted.metrics), 0)))
    for piece in data.draw(st.permutations(pieces)):
        some = promising(wanted, out, piece.values)
        out = merged(wanted, (out, attrs.evolve(piece, places=piece.places[some], values=piece.values[:, some])))
    assert out.places.tolist() == whole.places.tolist()
    np.testing.assert_array_equal(out.values, whole.values)


def test_places_without_a_choice():
    assert frontier._stairs(np.arange(0), np.empty((3, 0))) == []


# Tables and the command line -----------------------------------------------------------------------------------------


def test_a_frame_is_a_dict_of_arrays_a_data_frame_and_files():
    found = small(top=3)
    frame = found.frame
    assert dict(frame)["model"].tolist() == ["llama-3.1-70b"] * 3
    assert frame.row(0)["tp"] == frame["tp"][0]
    pandas = pytest.importorskip("pandas")
    assert found.to_dataframe()["tpot_s"].tolist() == frame["tpot_s"].tolist()
    back = pandas.read_csv(io.StringIO(found.csv()))
    assert back["tpot_s"].tolist() == frame["tpot_s"].tolist()
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(found.parquet()))
    assert table["tpot_s"].to_pylist() == frame["tpot_s"].tolist()
    assert table["model"].to_pylist() == ["llama-3.1-70b"] * 3
    with pytest.raises(rl.QuestionError, match="no such column"):
        frame["tpot"]
    with pytest.raises(rl.QuestionError, match="one length"):
        Frame({"a": [1], "b": [1, 2]})


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(rl.QuestionError, match="pip install 'pandas'"):
        small().to_dataframe()
    with pytest.raises(rl.QuestionError, match=r"pip install 'roofline\[parquet\]'"):
        small().parquet()


def test_limits_are_read():
    assert (bounded("tpot", "50ms"), bounded("rent", "10 USD/h"), bounded("chips", 8)) == (0.05, 10 / 3600, 8.0)


@pytest.mark.parametrize("bad", ["", "1..", "5..1", "1..9*1", "0..9*2", "a", "1..1e9"])
def test_ranges_that_go_nowhere(bad):
    with pytest.raises(rl.QuestionError):
        several("batch", bad)


SWEEP = ["sweep", "llama-3.1-70b", "-s", "dgx-h100", "--set", "batch=8,24,64,200", "--set", "context=1000,4096,20000", "--vary",
         "bandwidth=3.35TB/s,5TB/s", "--limit", "tpot=30ms"]  # fmt: skip


def test_the_command_says_what_the_function_does(capsys, tmp_path):
    app.main([*SWEEP, "--json", "--top", "2", "-o", str(tmp_path / "x.csv")])
    said = json.loads(capsys.readouterr().out)
    found = small(top=2, limits={"tpot": "30ms"})
    assert said == json.loads(json.dumps(found.to_dict()))
    assert (tmp_path / "x.csv").read_text() == found.csv()
    app.main(SWEEP)
    out = capsys.readouterr()
    assert "the best by tokens/s per chip" in out.out
    assert out.err == ""  # no terminal, no progress


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "x.txt"], "csv or parquet"),
        (["--workers", "0"], "at least 1"),
        (["--limit", "tpot"], "NAME=VALUE"),
        (["--set", "batch=1..0"], "gives batch a second time"),
        (["--set", "draft_tokens=1..0"], "is an empty range"),
        (["--set", "chips=8"], "give --chips"),
        (["--set", "level=ideal"], "give --level"),
        (["--set", "top=2"], "give --top"),
        (["--set", "executor=x"], "is not a size or word"),
        (["--set", "layout=x"], "is not a size or word"),
        (["--set", "progress=x"], "is not a size or word"),
        (["--chips", "7.9"], "must be whole numbers"),
        (["--chips", "nan"], "must be a finite number"),
        (["--limit", "ttft=0..0"], "takes one value"),
        (["--limit", "tpot=1s"], "a second time"),
        (["--top", "1.5"], "must be a whole number"),
    ],
)
def test_wrong_commands(capsys, words, said):
    with pytest.raises(SystemExit) as left:
        app.main([*SWEEP, *words])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_an_interrupted_command_tells_what_there_is(capsys, monkeypatch, tmp_path):
    in_pieces(monkeypatch)
    plain, calls = sweeping.reduced, itertools.count(1)

    def interrupted(*args):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return plain(*args)

    monkeypatch.setattr(sweeping, "reduced", interrupted)
    with pytest.raises(SystemExit) as left:
        app.main([*SWEEP, "--checkpoint", str(tmp_path / "c.json")])
    assert left.value.code == 130
    out = capsys.readouterr()
    assert "INTERRUPTED after" in out.out
    assert "interrupted" in out.err


def test_a_phase_without_its_sizes_says_which():
    with pytest.raises(rl.QuestionError, match=r"phase='decode': needs batch and context; give batch=\.\.\. context"):
        rl.sweep("llama-3.1-8b", "dgx-h100", phase="decode", tp=8)
