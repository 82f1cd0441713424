"""Measured runs: hostile tables, what rows leave open, one array and one by one, scores by hand, files written and read again."""

import csv
import gzip
import io
import json
import sys

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.cli import app, console
from roofline.validation import runs, serving_replay
from roofline.validation.scoring import score
from roofline.workload.questions import HEAD_KEPT, usual_accept_length

SHIPPED = catalog.measured("serving")[1]
ROW = {
    "id": "a", "group": "g", "model": "llama-3.1-8b", "system": "dgx-h100", "chips": "2", "weight_dtype": "fp8", "kv_dtype": "fp8", "act_dtype": "fp8",
    "tp": "2", "pp": "1", "dp": "1", "ep": "1", "mode": "online", "input_len": "1024", "output_len": "256", "concurrency": "32", "draft_tokens": "0",
    "accept_length": "1", "engine": "vllm", "output_tokens_per_s": "", "ttft_s": "0.05", "tpot_s": "0.006", "quality": "A", "source": "here", "note": "",
}  # fmt: skip
SCORE = {"n", "skipped", "mape", "median_ape", "p90_ape", "bias", "inside_interval", "typical"}


def text(rows):
    out = io.StringIO()
    table = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue()


def written(tmp_path, rows, name="mine.csv"):
    path = tmp_path / name
    path.write_text(text(rows), encoding="utf-8")
    return path


def command(capsys, *words):
    try:
        app.main(["validate", *map(str, words)])
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    said = capsys.readouterr()
    return status, said.out, said.err


def told(found, quantity, id="a"):
    return next(p for p in found.predictions if p.run.id == id and p.quantity == quantity)


def asked(level="generic", **change):
    return rl.validate([ROW | change], level=level)


@pytest.fixture(scope="module")
def whole():
    return rl.validate(level="generic")


# The runs that come with the library -----------------------------------------------------------------------------------


def test_the_shipped_runs_have_sources_and_names_that_resolve():
    found = runs.serving_runs(SHIPPED)
    assert len(found) == len({run.id for run in found}) >= 2938
    assert all(run.source and run.engine and run.quality in "ABC" and run.measured for run in found)
    assert {run.system for run in found} <= set(rl.names("system"))
    # Two models of a page are named as their checkpoints: nobody has described them.
    for name in {run.model for run in found if "/" not in run.model}:
        rl.model(name)


@pytest.mark.thorough
def test_nearly_every_shipped_run_is_priced(whole):
    assert len(whole.skipped) < 0.03 * whole.runs
    for p in whole.predictions:
        assert (p.predicted is None) == bool(p.reason)
        if p.predicted is not None:
            assert 0 < p.low <= p.predicted <= p.high < np.inf


@pytest.mark.thorough
def test_one_array_says_what_one_by_one_does(whole):
    together = {(p.run.id, p.quantity): p for p in whole.predictions}
    some = [
        *SHIPPED[::61],
        *(row for mode in runs.MODES for row in [r for r in SHIPPED if r["mode"] == mode][::29][:6]),
    ]
    some += [row for row in SHIPPED if row["decode_chips"]][::17] + [row for row in SHIPPED if not row["ep"]][::13]
    for row in some:
        for p in rl.validate([row], level="generic").predictions:
            other = together[p.run.id, p.quantity]
            assert (p.reason, p.said) == (other.reason, other.said)
            for name in ("predicted", "low", "high"):
                mine, theirs = getattr(p, name), getattr(other, name)
                assert (mine is None) == (theirs is None), (row["id"], name)
                assert mine is None or mine == pytest.approx(theirs, rel=1e-9), (row["id"], name)


# What is asked of each mode --------------------------------------------------------------------------------------------

MODEL = rl.model("llama-3.1-8b", dtype="fp8", kv_dtype="fp8")
LAYOUT = rl.Layout(tp=2)


_BATCH = rl.catalog.engine("batch", "dgx-h100")
ALONE = attrs.evolve(
    rl.catalog.engine("vllm", "dgx-h100"),
    **{name: getattr(_BATCH, name) for name in ("gap", "prompt_gap", "sequence", "stream", "front")},
)
"""The stack of a run without a server around it."""

CLIENT = {"requests_per_slot": 8.0, "variation": 0.0}
"""What a benchmark that says no more is taken to do: as many requests a slot, started at once, of equal length."""


def test_an_online_run_is_a_service():
    served = rl.Serve(MODEL, 1024, 256, 32, **CLIENT)
    est = rl.estimate(served, "dgx-h100", LAYOUT, level="generic", engine="vllm")
    found = asked(output_tokens_per_s="4000")
    values = (est.ttft, est.tpot, est.tokens_per_second)
    for name, value in zip(("ttft_s", "tpot_s", "output_tokens_per_s"), values, strict=True):
        assert told(found, name).predicted == pytest.approx(value)
    low, high = est.interval("tpot")
    assert (told(found, "tpot_s").low, told(found, "tpot_s").high) == (pytest.approx(low), pytest.approx(high))
    low, high = est.interval("tokens_per_second")
    rate = told(found, "output_tokens_per_s")
    assert (rate.low, rate.high) == (pytest.approx(low), pytest.approx(high))


def test_requests_that_do_not_fit_wait():
    words = {"input_len": "8000", "output_len": "1000", "chips": "1", "tp": "1"}

    def served(requests):
        question = rl.Serve(MODEL, 8000, 1000, requests, **CLIENT)
        return rl.estimate(question, "dgx-h100", rl.Layout(), level="generic", engine="vllm")

    most = float(served(1).max_concurrency)
    full, crowd = served(most), served(3 * most)
    found = asked(**words, concurrency=str(3 * most))
    assert told(found, "tpot_s").predicted == pytest.approx(crowd.tpot)
    # A place serves three times as many requests, so fewer of them belong to the first wave.
    assert crowd.tpot == pytest.approx(full.tpot, rel=0.03)
    assert told(found, "ttft_s").predicted == pytest.approx(crowd.ttft)
    assert crowd.ttft > full.ttft + full.cycle
    assert told(found, "ttft_s").low < 0.95 * told(found, "ttft_s").predicted
    assert any("wait" in words for words in told(found, "ttft_s").said)
    # Nobody waits for the tokens of a queue one by one: the engine has less to send.
    offline = asked(**words, mode="offline", concurrency="", output_tokens_per_s="1", ttft_s="", tpot_s="")
    assert told(offline, "output_tokens_per_s").predicted > full.tokens_per_second


def test_a_static_batch_is_a_prefill_and_its_steps():
    first = rl.estimate(rl.Prefill(MODEL, 32, 1024), "dgx-h100", LAYOUT, level="generic", engine=ALONE)
    step = rl.estimate(rl.Decode(MODEL, 32, 1024 + 128), "dgx-h100", LAYOUT, level="generic", engine=ALONE)
    found = asked(mode="static", output_tokens_per_s="4000")
    assert told(found, "output_tokens_per_s").predicted == pytest.approx(32 * 256 / (first.ttft + 255 * step.tpot))
    rate = told(found, "output_tokens_per_s")
    slow = first.interval("ttft")[1] + 255 * step.interval("tpot")[1]
    assert rate.low == pytest.approx(32 * 256 / slow)


def test_a_prefill_and_a_decode_step():
    first = rl.estimate(rl.Prefill(MODEL, 32, 1024), "dgx-h100", LAYOUT, level="generic", engine=ALONE)
    found = asked(mode="prefill", output_len="", output_tokens_per_s="1", tpot_s="")
    assert told(found, "ttft_s").predicted == pytest.approx(first.ttft)
    assert told(found, "output_tokens_per_s").predicted == pytest.approx(first.prompt_tokens_per_second)
    step = rl.estimate(rl.Decode(MODEL, 32, 1024 + 128), "dgx-h100", LAYOUT, level="generic", engine=ALONE)
    found = asked(mode="decode", output_tokens_per_s="1", ttft_s="")
    assert told(found, "tpot_s").predicted == pytest.approx(step.tpot)
    assert told(found, "output_tokens_per_s").predicted == pytest.approx(step.tokens_per_second)
    empty = asked(mode="decode", input_len="0", output_len="", ttft_s="", concurrency="1")
    assert told(empty, "tpot_s").predicted > 0
    many = asked(mode="decode", ttft_s="", concurrency="")
    assert "as many sequences as fit" in told(many, "tpot_s").said
    assert told(many, "tpot_s").predicted > 2 * step.tpot


def apart(prompts, decode, **change):
    words = {
        "chips": str(prompts + decode),
        "prefill_chips": str(prompts),
        "decode_chips": str(decode),
        "tp": "1",
        "concurrency": "64",
    }
    return asked(**words | {"output_tokens_per_s": "1"} | change)


def test_prompts_read_elsewhere():
    """Little's law holds; more chips for prompts make them wait less; a lone request waits for its own prompt and cache alone."""
    few, more = apart(1, 2, input_len="4000"), apart(4, 2, input_len="4000")
    for found in (few, more):
        ttft, tpot, rate = (told(found, name).predicted for name in ("ttft_s", "tpot_s", "output_tokens_per_s"))
        assert rate * (ttft + 255 * tpot) == pytest.approx(64 * 256)
    assert told(more, "ttft_s").predicted < told(few, "ttft_s").predicted
    lone = apart(1, 1, concurrency="1")
    engine = ROW.get("engine") or "generic"
    split = rl.pools(
        rl.Serve(MODEL, 1024, 256, 1, **CLIENT), "dgx-h100", rl.Layout(), rl.Layout(), level="generic", engine=engine
    )
    assert told(lone, "ttft_s").predicted == pytest.approx(float(split.ttft), rel=1e-6)
    assert told(lone, "tpot_s").predicted == pytest.approx(float(split.tpot), rel=1e-6)


@pytest.mark.parametrize(
    ("note", "layout"),
    [("x; prefill 3 x (tp2 dp4 ep8)", (2, 4, 8, 3)), ("2 prefill + 2 decode workers of TP4; y", (4, 1, 1, 6)), ("", (8, 1, 1, 3))],
)  # fmt: skip
def test_the_note_tells_how_prompts_are_split(note, layout):
    row = ROW | {"model": "gpt-oss-120b", "weight_dtype": "mxfp4", "prefill_chips": "24", "decode_chips": "8", "chips": "32", "tp": "8", "note": note}  # fmt: skip
    (run,) = runs.serving_runs([row])
    assert run.prefill_pool.chips == 24
    tp, dp, ep, replicas = layout
    assert (run.prefill_pool.tp, run.prefill_pool.dp, run.prefill_pool.ep) == (tp, dp, ep)
    assert run.prefill_pool.chips / (tp * dp) == replicas
    assert rl.validate([row]).skipped == {}


# What a row leaves open ------------------------------------------------------------------------------------------------


def test_a_row_may_say_little():
    found = rl.validate(
        [{"model": "llama-3.1-8b", "system": "dgx-h100", "input_len": 1000, "output_len": 100, "concurrency": 8.0, "tp": float("nan"), "mine": "x"}]
    )  # fmt: skip
    assert [p.quantity for p in found.predictions] == ["ttft_s", "tpot_s", "output_tokens_per_s"]
    assert found.skipped == {}
    assert [p.measured for p in found.predictions] == [None] * 3
    assert told(found, "tpot_s", "1").said == (
        "cache in bf16, as the checkpoint: kv_dtype is not recorded",
        "no drafting: draft_tokens is not recorded; the interval holds drafts that help",
        "the whole system: chips is not recorded", "the best layout: tp, pp, dp, ep not recorded; the interval holds others that do half as well",
        "8 requests a slot, started at once, as benchmarks do: not recorded",
    )  # fmt: skip
    assert found.to_dict()["quantities"]["tpot_s"]["mape"] is None


@pytest.mark.parametrize(
    ("engine", "weights", "cache"),
    [("trtllm", "fp8", "fp8"), ("nim", "nvfp4", "fp8"), ("vllm", "fp8", "fp8"), ("vllm", "nvfp4", "fp8"), ("sglang", "fp8", "bf16"),
     ("trtllm", "fp8-block", "bf16"), ("trtllm", "bf16", "bf16"), ("", "fp8", "bf16")],
)  # fmt: skip
def test_an_unknown_cache_is_that_of_the_engine(engine, weights, cache):
    words = {"engine": engine, "weight_dtype": weights, "act_dtype": ""}
    blank, given = asked(**words, kv_dtype=""), asked(**words, kv_dtype=cache)
    assert told(blank, "tpot_s").predicted == told(given, "tpot_s").predicted
    assert [words for words in told(blank, "tpot_s").said if f"cache in {cache}" in words]
    assert not any("cache in" in words for words in told(given, "tpot_s").said)


def test_unknown_degrees_are_those_of_the_best_layout():
    found = asked(model="mixtral-8x7b", tp="", ep="", chips="4")
    each = [
        asked(model="mixtral-8x7b", tp=tp, ep=ep, dp="1", chips="4", output_tokens_per_s="1")
        for tp in "124"
        for ep in {"1", tp}
    ]
    rates = [told(one, "output_tokens_per_s").predicted for one in each if not one.skipped]
    best = asked(model="mixtral-8x7b", tp="", ep="", chips="4", output_tokens_per_s="1")
    assert told(best, "output_tokens_per_s").predicted == pytest.approx(max(rates))
    assert (
        "the best layout: tp, ep not recorded; the interval holds others that do half as well"
        in told(found, "tpot_s").said
    )


def test_unknown_acceptance_is_as_usual():
    none, some, every = (asked(draft_tokens="3", accept_length=kept) for kept in ("1", "", "4"))
    slow, mid, fast = (told(found, "tpot_s") for found in (none, some, every))
    usual = told(asked(draft_tokens="3", accept_length=str(usual_accept_length(3, HEAD_KEPT))), "tpot_s")
    assert mid.predicted == pytest.approx(usual.predicted)
    assert fast.predicted < mid.predicted < slow.predicted
    assert mid.low < usual.low < usual.high < mid.high
    assert any("accept_length is not recorded" in words for words in mid.said)
    assert told(asked(draft_tokens="", accept_length="1.7"), "tpot_s").said[0].startswith("as few draft tokens")


def test_weights_alone_in_eight_bits_are_multiplied_in_sixteen():
    narrow, wide = (
        asked(mode="prefill", act_dtype=act, weight_dtype="int8", system="dgx-a100-80gb") for act in ("int8", "bf16")
    )
    assert told(narrow, "ttft_s").predicted < 0.8 * told(wide, "ttft_s").predicted


def test_a_checkpoint_keeps_the_formats_it_mixes():
    served = rl.Serve(rl.model("gpt-oss-120b"), 1024, 256, 32, **CLIENT)
    est = rl.estimate(served, "dgx-h100", LAYOUT, level="generic", engine="vllm")
    assert told(asked(model="gpt-oss-120b", weight_dtype="mxfp4", kv_dtype=""), "tpot_s").predicted == pytest.approx(
        est.tpot
    )


def test_every_shard_holds_as_many_experts():
    words = {
        "model": "deepseek-v3",
        "system": "hgx-h800",
        "chips": "144",
        "tp": "1",
        "dp": "144",
        "ep": "144",
        "mode": "decode",
    }
    found = asked(**words, weight_dtype="fp8-block", ttft_s="")
    assert told(found, "tpot_s").said == ("32 redundant experts, so that every shard holds as many",)


def test_a_share_of_memory_that_the_note_states_is_used():
    words = {"mode": "offline", "concurrency": "", "ttft_s": "", "tpot_s": "", "output_tokens_per_s": "1"}
    half, most = (asked(**words, note=f"KV capacity, mem fraction {part}") for part in ("0.5", "0.95"))
    assert told(half, "output_tokens_per_s").predicted < told(most, "output_tokens_per_s").predicted


@pytest.mark.parametrize(
    ("words", "name"),
    [({"engine": "TensorRT-LLM"}, "trtllm"), ({"engine": "mine"}, "mine"), ({"engine": "", "note": "run with vLLM 0.9"}, "vllm"),
     ({"engine": "", "source": "NVIDIA/FasterTransformer docs"}, "fastertransformer"), ({"engine": "", "group": "sglang-h20"}, "sglang"),
     ({"engine": "", "note": "vllm-ascend, not vllm"}, "vllm-ascend"), ({"engine": "", "note": "minimum"}, ""), ({"engine": ""}, "")],
)  # fmt: skip
def test_engines_are_data(words, name):
    assert runs.serving_runs([ROW | words])[0].engine == name


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"model": "llama-9"}, "no such model"), ({"system": "dgx-x9"}, "no such system"), ({"weight_dtype": "fp9"}, "no such dtype"),
     ({"model": ""}, "model: is not known"), ({"output_len": ""}, "output_len: is not known"),
     ({"input_len": "0"}, "must be at least 1"), ({"chips": "3"}, "whole replicas"), ({"tp": "3", "chips": "3"}, "tp must divide"),
     ({"ep": "2"}, "ep must be 1"), ({"model": "llama-3.1-405b", "weight_dtype": "bf16"}, "exceed the memory"),
     ({"chips": "1000000"}, "joins 16384"), ({"mode": "offline"}, "has none to predict"), ({"output_len": "1", "ttft_s": ""}, "one token out"),
     ({"prefill_chips": "", "decode_chips": "2"}, "prefill_chips: is not known"), ({"kv_dtype": "x" * 500}, "no such kv_dtype")],
)  # fmt: skip
def test_a_row_that_cannot_be_priced_says_why(change, reason):
    found = rl.validate([ROW | change, ROW | {"id": "b"}])
    assert list(found.skipped) == ["a"]
    assert reason in found.skipped["a"]
    assert "\n" not in found.skipped["a"]
    scores = found.quantities()["tpot_s"]
    assert (scores.n, scores.skipped) == (1, 1)
    assert scores.inside_interval <= 0.5
    assert {p.reason for p in found.predictions if p.run.id == "b"} == {""}


# Scores ----------------------------------------------------------------------------------------------------------------


def hand_made():
    """Rows whose measured times are the predicted ones over known factors."""
    base = [ROW | {"id": str(i), "concurrency": str(8 * i), "ttft_s": "", "tpot_s": ""} for i in range(1, 6)]
    times = {p.run.id: p for p in rl.validate(base, level="generic").predictions if p.quantity == "tpot_s"}
    factors = {"1": 1.1, "2": 0.95, "3": 1.02, "4": 2.0, "5": 0.8}
    rows = [row | {"tpot_s": repr(times[row["id"]].predicted / factors[row["id"]])} for row in base]
    rows[0] |= {"system": "DGX-H100", "group": "one"}
    rows[4] |= {"quality": "C"}
    return [*rows, ROW | {"id": "6", "system": "nowhere", "ttft_s": ""}]


def test_scores_by_hand():
    found = rl.validate(hand_made(), level="generic")
    each = found.quantities()["tpot_s"]
    assert (each.n, each.skipped) == (4, 1)
    assert each.mape == pytest.approx((0.1 + 0.05 + 0.02 + 1.0) / 4)
    assert each.median_ape == pytest.approx(0.075)
    assert each.p90_ape == pytest.approx(np.quantile([0.1, 0.05, 0.02, 1.0], 0.9))
    assert each.bias == pytest.approx(np.sqrt(1.02 * 1.1) - 1)
    # Of five measured values three lie in their intervals: one is off by two, one was not priced.
    assert each.inside_interval == pytest.approx(3 / 5)
    assert found.quantities(found.ambiguous)["tpot_s"].mape == pytest.approx(0.2)
    groups = found.groups()
    assert groups["group"]["one"]["tpot_s"].n == 1
    assert groups["group"]["one"]["tpot_s"].mape == pytest.approx(0.1)
    assert groups["group"]["g"]["tpot_s"].skipped == 1
    assert set(groups["quality"]) == {"A"}
    assert groups["engine"]["vllm"]["tpot_s"].n == 4
    assert [p.run.id for p in found.worst(2)] == ["4", "1"]


def test_a_score_of_nothing():
    assert score([]).to_dict() == {**dict.fromkeys(SCORE), "n": 0, "skipped": 0}


def test_the_ideal_level_has_no_interval():
    found = asked("ideal")
    assert told(found, "tpot_s").low is None
    assert found.quantities()["tpot_s"].inside_interval is None
    assert found.csv().splitlines()[1].endswith(",,,ideal,")


def test_the_machine_readable_answer(tmp_path, capsys):
    path = written(tmp_path, hand_made())
    status, out, err = command(capsys, path, "--level", "generic", "--json")
    assert (status, err) == (0, "")
    fields = json.loads(out)
    assert fields == json.loads(json.dumps(rl.validate(path, level="generic").to_dict()))
    assert set(fields["quantities"]) == {"tpot_s"}
    assert set(fields["quantities"]["tpot_s"]) == SCORE
    assert {"group", "system", "model", "engine", "mode", "quality"} == set(fields["groups"])
    assert set(fields["groups"]["system"]["dgx-h100"]["tpot_s"]) == SCORE
    assert [set(each) for each in fields["skipped"]] == [{"id", "reason"}]
    assert fields["skipped"][0]["id"] == "6"
    assert fields["ambiguous"]["quantities"]["tpot_s"]["n"] == 1
    assert (fields["runs"], fields["levels"]) == (6, ["generic"])


def test_predictions_are_written_and_read_again(tmp_path, capsys):
    path, out = written(tmp_path, hand_made()), tmp_path / "out.csv"
    status, said, err = command(capsys, path, "--level", "generic", "-o", out)
    assert (status, err) == (0, f"wrote {out}\n")
    assert "TPOT, online" in said
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "quantity", "measured", "predicted", "low", "high", "level", "reason"]
    found = rl.validate(path, level="generic")
    assert len(rows) == len(found.predictions)
    for row, p in zip(rows, found.predictions, strict=True):
        assert (row["id"], row["quantity"], row["reason"], row["level"]) == (p.run.id, p.quantity, p.reason, p.level)
        for name in ("measured", "predicted", "low", "high"):
            assert (float(row[name]) if row[name] else None) == getattr(p, name)
    assert rows[-1]["predicted"] == ""
    assert "no such system" in rows[-1]["reason"]


@pytest.mark.thorough
def test_the_table_says_all(whole):
    said = whole.table()
    for words in (
        "2,938 runs, generic coefficients",
        "TPOT, online",
        "tokens/s, static",
        "quality C",
        "dgx-h100",
        "sglang",
        "not estimated",
        "assumed",
    ):
        assert words in said
    assert all(line == line.rstrip() for line in said.splitlines())
    many = rl.validate([ROW | {"id": str(i), "model": f"mine-{i}"} for i in range(30)])
    assert "and 6 more" in many.table()
    assert repr(whole).startswith("<Validation: 2,938 runs of serving; mean errors TTFT ")


# Hostile tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [("tp", "0", "at least 1"), ("tp", "1.5", "whole number"), ("tp", "-2", "at least 1"), ("chips", "two", "whole number"), ("ttft_s", "nan", "finite"),
     ("tpot_s", "-0.1", "at least 1e-09"), ("tpot_s", "1e-320", "at least 1e-09"), ("input_len", "inf", "finite"), ("input_len", "-1", "at least 0"),
     ("output_len", "1e300", "at most"), ("concurrency", "0", "above 0"), ("concurrency", "9" * 5000, "at most"), ("accept_length", "2.5", "draft_tokens + 1"),
     ("mode", "onlin", "did you mean online"), ("input_len", "1_000", "finite"), ("tpot_s", "6ms", "finite"), ("draft_tokens", "0.5", "whole"),
     ("output_tokens_per_s", "\x00", "finite"), ("ep", "=1+1", "whole number")],
)  # fmt: skip
def test_a_bad_cell_is_one_line(tmp_path, capsys, column, value, rule):
    path = written(tmp_path, [ROW | {column: value}])
    status, out, err = command(capsys, path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert f"mine.csv: row 1: {column}=" in err
    assert rule in err
    assert len(err) < 300


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"", "must name every column"), (b"model,system,input_len\n", "hold no runs"), (b"model,system,ttft_s\na,b,1\n", "of no known kind"),
     (b"model,input_len\na,1\n", "system: is missing"), (b"a,a\n1,2\n", "must name every column once"), (b"\xff\xfe\x00\x01", "not UTF-8"),
     ("model,system,input_len\nmod\xe8le,b,1\n".encode("latin-1"), "not UTF-8"), (b"model,system,input_len\na,b\n", "line 2: has 2 cells"),
     (b'model,system,input_len\n"a,b,1\n', "not valid CSV"), (b"\x1f\x8bxx", "gzip"), (b"model,system,seq_len,step_time_s\na,b,1,1\n", "global_batch: is missing; a training run"),
     (b"id,model,system,input_len\nx,a,b,1\nx,a,b,1\n", "row 2: id='x': is that of row 1"), (b"model,system,input_len\n" + b"a" * 200000 + b",b,1\n", "field larger")],
)  # fmt: skip
def test_a_bad_file_is_one_line(tmp_path, capsys, content, rule):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    status, out, err = command(capsys, path, "-o", tmp_path / "out.csv")
    assert (status, out) == (2, "")
    assert err.startswith("roofline: ")
    assert err.count("\n") == 1
    assert rule in err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "words", [["nothing"], ["no/such.csv"], ["serving", "--level", "best"], ["serving", "--plot", "x.gif"]]
)
def test_other_wrong_questions(capsys, words):
    status, out, err = command(capsys, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("what", [3, None, {"model": "x"}, [3], b"x", []])
def test_rows_that_are_none(what):
    with pytest.raises(rl.QuestionError):
        rl.validate(what)


CELLS = st.one_of(
    st.sampled_from(["", "0", "1", "8", "-1", "nan", "1e400", "1e12", "0.1", "fp8", "bf16", "online", "static", "decode", "prefill", "offline", "C"]),
    st.text(max_size=12),
)  # fmt: skip


@given(
    st.lists(
        st.dictionaries(st.sampled_from([*ROW, "prefill_chips", "decode_chips"]), CELLS, max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_any_cells_are_priced_or_refused(changes):
    rows = [ROW | {"id": str(i)} | change for i, change in enumerate(changes)]
    try:
        found = rl.validate(rows, level="generic")
    except rl.RooflineError as error:
        assert "\n" not in str(error)
        return
    assert json.dumps(found.to_dict(), allow_nan=False)
    again = list(csv.DictReader(io.StringIO(found.csv(), newline="")))
    assert len(again) == len(found.predictions)
    assert found.table()


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path_factory, data, named):
    path = tmp_path_factory.getbasetemp() / "bytes.csv"
    path.write_bytes((b"model,system,input_len,tpot_s\n" if named else b"") + data)
    try:
        rl.validate(path)
    except rl.RooflineError as error:
        assert "\n" not in str(error)


def test_a_gzipped_file_is_the_same(tmp_path):
    rows = hand_made()
    packed = tmp_path / "mine.csv.gz"
    packed.write_bytes(gzip.compress(text(rows).encode()))
    assert rl.validate(packed).csv() == rl.validate(rows).csv()


# The command -----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_only(tmp_path, capsys, monkeypatch):
    path = written(tmp_path, hand_made())
    assert command(capsys, path)[2] == ""
    monkeypatch.setattr(console, "PATIENT", 0.0)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    command(capsys, path)
    assert "6 of 6 runs" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_an_interrupt_leaves_quietly(tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    path, out = written(tmp_path, hand_made()), tmp_path / "out.csv"
    monkeypatch.setattr(serving_replay, "estimate", interrupted)
    assert command(capsys, path, "-o", out) == (130, "", "")
    assert not out.exists()


@pytest.mark.parametrize("form", ["svg", "png"])
def test_the_picture_is_drawn(tmp_path, capsys, monkeypatch, form):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it fails
    rows = hand_made()
    file = tmp_path / f"x.{form}"
    status, _, err = command(capsys, written(tmp_path, rows), "--level", "generic", "--plot", file)
    assert (status, err) == (0, f"wrote {file}\n")
    first = file.read_bytes()
    command(capsys, written(tmp_path, rows), "--level", "generic", "--plot", file)
    assert file.read_bytes() == first


def test_the_picture_shows_the_numbers():
    found = rl.validate(hand_made(), level="generic")
    ax = found.plot()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "TPOT, measured"
    drawn = np.concatenate(
        [
            np.asarray(each.get_offsets())
            for each in ax.collections
            if len(each.get_offsets()) and each.get_label()[0] != "_"
        ]
    )
    shown = [(p.measured, p.predicted) for p in found.clear if p.predicted and p.quantity == "tpot_s"]
    assert sorted(map(tuple, drawn.tolist())) == sorted(shown)
    assert found.plot(ax=ax, key="engine") is ax
    for words in ({"quantity": "ttft_s"}, {"key": "colour"}):
        with pytest.raises(rl.QuestionError):
            found.plot(**words)
    with pytest.raises(rl.QuestionError):
        rl.validate([ROW | {"model": "none"}]).figure()


def test_a_bad_cell_refuses_its_row_alone():
    found = rl.validate([ROW, ROW | {"id": "bad", "tp": "minus one"}], level="generic")
    assert found.skipped.keys() == {"bad"}
    assert "tp" in found.skipped["bad"]
    with pytest.raises(rl.RooflineError, match="tp"):
        rl.validate([ROW | {"tp": "minus one"}], level="generic")


def test_an_unknown_engine_is_reported():
    found = rl.validate([ROW | {"engine": "mine"}], level="generic")
    assert any("engine 'mine' is not known" in words for words in found.assumptions)


def test_a_run_online_without_concurrency_has_as_many_as_fit():
    found = rl.validate([ROW | {"concurrency": ""}], level="generic")
    assert not found.skipped
    assert "as many requests in flight as fit" in found.assumptions


def test_the_client_is_read_from_columns_or_the_note():
    told = {
        "note": "320 prompts, all slots start at once (5 requests a slot); lengths uniform (cv 0.58)",
        "source": "sgl-cookbook",
    }
    run = runs.serving_runs([ROW | told])[0]
    assert (run.slots, run.variation, run.launch) == (5.0, 0.58, "default")
    run = runs.serving_runs([ROW | told | {"requests_per_slot": "3", "length_variation": "0", "launch": "tuned"}])[0]
    assert (run.slots, run.variation, run.launch) == (3.0, 0.0, "tuned")


def test_an_interval_holds_the_layouts_that_a_run_leaves_open():
    blank = told(asked(tp="", dp="", pp="", ep="", chips="4"), "tpot_s")
    degrees = [told(asked(tp=tp, chips="4"), "tpot_s") for tp in "124"]
    given = next(p for p in degrees if p.predicted == pytest.approx(blank.predicted))
    assert blank.low <= given.low
    assert blank.high >= given.high
    assert (blank.low, blank.high) != pytest.approx((given.low, given.high))


def test_runs_that_disagree_are_told_by_how_much_wider_intervals_would_hold_them():
    first = told(asked(), "tpot_s")
    rows = [ROW | {"id": str(i), "tpot_s": str(2.5 * first.predicted), "ttft_s": ""} for i in range(12)]
    words = rl.validate([*rows, ROW | {"id": "x", "model": "none-such"}], level="generic").agreement["tpot_s"]
    assert words.startswith("outside more often than the intervals claim: 0 of 12 inside, 7 to 12 expected; intervals ")
    assert "times as wide hold four in five of these runs (coverage 0.9" in words
    assert words.endswith("or fit the stack to them with roofline calibrate")


def test_a_run_that_no_constant_may_be_fitted_to_is_predicted_as_any_other():
    plain, kept = ROW, ROW | {"not_fitted": "its prompts were cached"}
    assert runs.unread(kept, "serving") == ()
    (run,) = runs.serving_runs([kept])
    assert run.not_fitted == "its prompts were cached"
    one, two = (rl.validate([row], level="generic").predictions for row in (plain, kept))
    assert [(p.quantity, p.predicted, p.low, p.high, p.said) for p in one] == [
        (p.quantity, p.predicted, p.low, p.high, p.said) for p in two
    ]
