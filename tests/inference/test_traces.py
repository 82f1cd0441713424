"""Traces: forms of files, hostile files, and what is drawn."""

import gzip
import json

import numpy as np
import pytest

import roofline as rl


def rows(trace):
    return [(round(r.arrival, 4), r.input, r.output, r.hashes) for r in trace]


def put(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


FILES = {
    "own.csv": "arrival_s,input_len,output_len,session,hash_ids\n0,10,5,a,1 2\n1.5,20,6,b,\n",
    "own.jsonl": '{"arrival_s": 0, "input_len": 10, "output_len": 5, "hash_ids": [1, 2]}\n{"arrival_s": 1.5, "input_len": 20, "output_len": 6}\n',
    "mooncake.jsonl": '{"timestamp": 100, "input_length": 10, "output_length": 5, "hash_ids": [1, 2]}\n{"timestamp": 1600, "input_length": 20, "output_length": 6, "hash_ids": []}\n',
    "azure.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,10,5\n2023-11-16 18:15:48.1805900,20,6\n",
    "burst.csv": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,10,5,15,API log\n6,ChatGPT,9,0,9,API log\n6.5,GPT-4,20,6,26,API log\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_forms_of_files(tmp_path, name):
    trace = rl.Trace.read(put(tmp_path, name, FILES[name]))
    told = rows(trace)
    assert [each[:3] for each in told] == [(0.0, 10, 5), (1.5, 20, 6)]
    assert told[0][3] in ((1, 2), ())
    assert told == rows(trace), "a trace can be gone through again"


def test_gzip(tmp_path):
    path = tmp_path / "own.csv.gz"
    path.write_bytes(gzip.compress(FILES["own.csv"].encode()))
    assert rows(rl.Trace.read(path))[1][:3] == (1.5, 20, 6)


def test_prompts_that_are_text(tmp_path):
    path = put(tmp_path, "custom.jsonl", json.dumps({"prompt": "x" * 41, "output_tokens": 7}) + "\n")
    trace = rl.Trace.read(path)
    assert not trace.timed
    assert rows(trace.spaced(2.0))[0][1:3] == (11, 7)
    assert "four characters" in trace.notes[0] or "4 characters" in trace.notes[0]


def test_results_of_a_benchmark(tmp_path):
    path = put(tmp_path, "result.json", json.dumps({"input_lens": [10, 20], "output_lens": [5, 6]}, indent=1))
    assert [each[1:3] for each in rows(rl.Trace.read(path).looped(1))] == [(10, 5), (20, 6)]


def test_later_turns_follow_the_answer(tmp_path):
    text = '{"session_id": "a", "timestamp": 0, "input_length": 10, "output_length": 5}\n{"session_id": "a", "delay": 500, "input_length": 20, "output_length": 6}\n'
    (first,) = list(rl.Trace.read(put(tmp_path, "turns.jsonl", text)))
    pause, second = first.then
    assert (pause, second.input) == (0.5, 20)


def test_sessions_come_back_from_a_file(tmp_path):
    trace = rl.Trace.sessions(1.0, 3, turns=2)
    again = rl.Trace.read(put(tmp_path, "s.csv", trace.csv()))
    assert [(r.then[0], r.then[1].input, r.then[1].hashes) for r in again] == [
        (pytest.approx(r.then[0]), r.then[1].input, r.then[1].hashes) for r in trace
    ]


HOSTILE = {
    "empty.csv": ("", "is empty"),
    "heads.csv": ("arrival_s,input_len,output_len\n", "holds no request"),
    "names.csv": ("a,b,c\n1,2,3\n", "line 2: names no prompt tokens"),
    "back.csv": ("arrival_s,input_len,output_len\n5,1,1\n4,1,1\n", "line 3: arrival_s='4': goes back in time; sort the lines"),
    "words.csv": ("arrival_s,input_len,output_len\n0,many,1\n", "line 2: input_len='many': must be a whole number"),
    "minus.csv": ("arrival_s,input_len,output_len\n0,-4,1\n", "line 2: input_len='-4'"),
    "nan.csv": ("arrival_s,input_len,output_len\nnan,4,1\n", "line 2: arrival_s='nan': must be a finite number"),
    "huge.csv": ("arrival_s,input_len,output_len\n0,1e30,1\n", "line 2: input_len='1e30'"),
    "cells.csv": ("arrival_s,input_len,output_len\n0,4\n", "line 2: has 2 cells, not 3"),
    "bad.jsonl": ('{"timestamp": 0, "input_length": 5, "output_length": 5}\n{nonsense\n', "line 2: is not valid JSON"),
    "list.jsonl": ("[1, 2]\n", "is a list; write one JSON object a line"),
    "hash.jsonl": ('{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": 7}\n', "line 1: hash_ids=7: must be a list"),
    "date.csv": ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", "line 2: TIMESTAMP='yesterday': is no time"),
    "gone.csv": ("arrival_s,input_len,output_len\n0,4,1\n,4,1\n", "line 3: arrival_s='': is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name):
    text, told = HOSTILE[name]
    with pytest.raises(rl.DescriptorError) as error:
        list(rl.Trace.read(put(tmp_path, name, text)))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_more_hostile_files(tmp_path):
    with pytest.raises(rl.DescriptorError, match="no such file"):
        rl.Trace.read(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"arrival_s,input_len,output_len\n\xff\xfe,1,1\n")
    with pytest.raises(rl.DescriptorError, match="line 2: is not UTF-8"):
        rl.Trace.read(tmp_path / "bytes.csv")
    (tmp_path / "long.csv").write_bytes(b"x" * (5 << 20))
    with pytest.raises(rl.DescriptorError, match="line 1: is longer than 4 MiB"):
        rl.Trace.read(tmp_path / "long.csv")


def test_rates_and_lengths_that_are_drawn():
    trace = rl.Trace.poisson(5.0, 20_000, input=1000, output=200, lengths_are="lognormal", variation=0.8, seed=3)
    mean_in, mean_out, rate = trace.means()
    assert (mean_in, mean_out, rate) == (
        pytest.approx(1000, rel=0.03),
        pytest.approx(200, rel=0.03),
        pytest.approx(5, rel=0.03),
    )
    gaps = np.diff([r.arrival for r in rl.Trace.poisson(5.0, 20_000, burstiness=0.25)])
    assert gaps.std() / gaps.mean() == pytest.approx(2.0, rel=0.05)
    assert trace.scaled(2.0).means()[2] == pytest.approx(2 * rate)
    assert trace.first(7).count == 7


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: rl.Trace.poisson(0.0), "rate"), (lambda: rl.Trace.closed(0), "concurrency"),
        (lambda: rl.Trace.poisson(1.0, lengths_are="zipf"), "no such distribution"),
        (lambda: rl.Trace.closed(2).scaled(2.0), "no times of arrival to scale"),
        (lambda: rl.Trace.poisson(1.0).scaled(), "exactly one"), (lambda: rl.Trace.poisson(1.0, input=0.0), "input"),
    ],
)  # fmt: skip
def test_words_that_have_no_meaning(made, told):
    with pytest.raises(rl.QuestionError, match=told):
        made()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rl.Trace.poisson(1.0, seed=-1), "seed"),
        (lambda: rl.Trace.closed(8, seed=-5), "seed"),
        (lambda: rl.Trace.sessions(1.0, seed=-1), "seed"),
        (lambda: rl.Trace.sessions(1.0, system_prompt=-1), "system_prompt"),
    ],
)
def test_a_seed_and_a_prompt_are_no_negative_numbers(make, told):
    with pytest.raises(rl.QuestionError, match=told):
        make()


def test_a_whole_seed_may_be_a_float():
    same = [list(rl.Trace.poisson(1.0, 3, seed=seed)) for seed in (7, 7.0)]
    assert [request.arrival for request in same[0]] == [request.arrival for request in same[1]]
