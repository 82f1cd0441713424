"""Result files of other tools: each shape read into one row; what is missing is asked for, what is put in is reported."""

import json

import pytest

import roofline as rl
from foreign_files import AIPERF, GENAI_PERF, GUIDELLM, INFERENCEX, MLPERF, SGLANG, VLLM
from roofline.core.errors import DescriptorError, QuestionError
from roofline.validation.foreign import Known, read


@pytest.fixture
def put(tmp_path):
    def write(name, data):
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


def one(path, **known):
    (row,) = read(path, Known(**known)).rows
    return row


def test_vllm(put):
    row = one(put("result.json", VLLM), system="dgx-h100", tp=8)
    assert row["model"] == "llama-3.1-70b"
    assert (row["input_len"], row["output_len"], row["concurrency"], row["requests_per_slot"]) == (
        "1024",
        "512",
        "32",
        "10",
    )
    assert (row["ttft_s"], row["tpot_s"], row["output_tokens_per_s"]) == ("0.25", "0.019", "1638.4")
    assert (row["engine"], row["tp"], row["chips"]) == ("vllm", "8", "8")


def test_lengths_that_vary_are_measured(put):
    row = one(put("result.json", VLLM | {"input_lens": [100, 300], "output_lens": [5, 5]}), system="dgx-h100")
    assert float(row["length_variation"]) == pytest.approx(0.5)


def test_all_at_once(put):
    found = read(put("result.json", VLLM | {"max_concurrency": None}), Known(system="dgx-h100"))
    assert found.rows[0]["concurrency"] == "320"
    assert "concurrency: all requests start at once" in found.notes


def test_sglang_lines_with_the_server(put):
    rows = read(put("bench.jsonl", "\n".join([json.dumps(SGLANG)] * 2)), Known(system="dgx-h100")).rows
    assert len(rows) == 2
    row = rows[0]
    assert (row["tp"], row["dp"], row["ep"], row["chips"]) == ("4", "4", "16", "16")
    assert (row["model"], row["engine"], row["engine_version"], row["kv_dtype"]) == (
        "deepseek-v3",
        "sglang",
        "0.5.23",
        "fp8",
    )
    assert (row["draft_tokens"], row["accept_length"]) == ("2", "2.1")
    assert float(row["concurrency"]) == pytest.approx(19.0)  # 1.9 requests a second for 10 seconds each


def test_inferencex(put):
    found = read(put("agg.json", [INFERENCEX]))
    row = found.rows[0]
    assert (row["system"], row["model"], row["weight_dtype"]) == ("dgx-b200", "deepseek-r1", "fp8")
    assert (row["tp"], row["dp"], row["ep"], row["chips"]) == ("1", "8", "8", "8")
    assert row["output_tokens_per_s"] == "1600"
    assert (row["ttft_s"], row["tpot_s"]) == ("1.5", "0.03")
    assert any("draft tokens" in note for note in found.notes)


def test_aiperf_and_its_predecessor(put):
    row = one(put("profile_export_aiperf.json", AIPERF), system="dgx-h100")
    assert (row["model"], row["concurrency"], row["requests_per_slot"]) == ("qwen3-32b", "8", "12")
    assert (row["ttft_s"], row["tpot_s"]) == ("0.118", "0.009")
    assert float(row["length_variation"]) == pytest.approx(443 / 467)
    row = one(put("profile_export_genai_perf.json", GENAI_PERF), system="dgx-h100")
    assert (row["model"], row["concurrency"], row["input_len"]) == ("llama-3.1-8b", "8", "1000")


def test_guidellm_has_a_run_for_each_benchmark(put):
    found = read(put("benchmarks.json", GUIDELLM), Known(system="dgx-h100"))
    assert [row["concurrency"] for row in found.rows] == ["8", "5.5"]
    assert found.rows[0]["tpot_s"] == "0.012"
    assert [row["id"] for row in found.rows] == ["benchmarks.json#1", "benchmarks.json#2"]


def test_mlperf(put):
    row = one(put("mlperf_log_summary.txt", MLPERF), system="dgx-h100", input=294.0)
    assert (row["model"], row["mode"], row["output_len"], row["output_tokens_per_s"]) == (
        "llama-2-70b",
        "online",
        "294",
        "29400",
    )
    assert (row["ttft_s"], row["tpot_s"], row["concurrency"]) == ("0.2", "0.06", "1500")
    text = MLPERF.replace("Server", "Offline").replace("Completed ", "").replace("VALID", "INVALID")
    found = read(put("offline.txt", text), Known(system="dgx-h100", input=294.0))
    assert found.rows[0]["mode"] == "offline"
    assert "ttft_s" not in found.rows[0]
    assert "LoadGen calls this run invalid" in found.notes


def test_mlperf_of_a_model_without_token_rates(put):
    text = (
        MLPERF.replace("Completed tokens per second: 29400.00\n", "")
        .replace("Server", "Offline")
        .replace("Completed samples", "Samples")
    )
    found = read(put("x.txt", text), Known(system="dgx-h100", input=100.0, output=50.0))
    assert found.rows[0]["output_tokens_per_s"] == "5000"


def test_seconds_and_medians(put):
    cleaned = {name: value for name, value in VLLM.items() if "_ms" not in name} | {
        "median_ttft": 3.0,
        "median_tpot": 0.14,
    }
    found = read(put("x.json", cleaned), Known(system="dgx-h100"))
    assert (found.rows[0]["ttft_s"], found.rows[0]["tpot_s"]) == ("3", "0.14")
    assert "ttft_s is a median" in found.notes


def test_a_directory_of_them(put, tmp_path):
    put("a.json", VLLM)
    put("b.json", INFERENCEX)
    found = read(tmp_path, Known(system="dgx-h100"))
    assert found.tool == "InferenceX and vLLM"
    assert [row["id"] for row in found.rows] == ["a.json", "b.json"]


def test_what_is_given_wins_and_is_reported(put):
    found = read(put("result.json", VLLM), Known(system="dgx-h100", concurrency=16.0))
    assert found.rows[0]["concurrency"] == "16"
    assert "concurrency is taken as given, not as the file has it" in found.notes


def test_missing_is_said_at_once(put):
    with pytest.raises(QuestionError, match=r"does not say --system; give it with the file"):
        read(put("result.json", VLLM))
    with pytest.raises(QuestionError, match=r"does not say --model, --system, --input"):
        read(put("x.txt", MLPERF.replace("llama2-70b", "PySUT")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"), ("[]", "is no result file"), ("{}", "is no result file"), ("7", "is no result file"), ("\n\n", "is n"),
        ("[" * 100000, "is n"),
    ],
)  # fmt: skip
def test_strange_files(put, text, message):
    with pytest.raises(DescriptorError, match=message):
        read(put("x.json", text))


def test_text_of_something_else(put):
    with pytest.raises(DescriptorError, match="is no result file of vLLM"):
        read(put("x.txt", "No warnings encountered during test."))


def test_strange_values_are_missing(put):
    strange = VLLM | {
        "mean_ttft_ms": "NaN",
        "max_concurrency": -1,
        "total_input_tokens": True,
        "request_rate": [1],
        "completed": 1e400,
    }
    with pytest.raises(QuestionError, match="does not say"):
        read(put("x.json", json.dumps(strange)), Known(system="dgx-h100"))


def test_validate_takes_them(put):
    found = rl.validate(put("result.json", VLLM), system="dgx-h100", tp=8)
    assert {p.quantity for p in found.predictions} == {"ttft_s", "tpot_s", "output_tokens_per_s"}
    assert all(p.predicted for p in found.predictions)
    assert "the model Llama-3.1-70B-Instruct is llama-3.1-70b" in found.put
    assert "filled in to read the file" in found.table()
    assert found.to_dict()["put_in"]


def test_words_are_of_foreign_files():
    with pytest.raises(QuestionError, match="are of result files of other tools"):
        rl.validate("serving", system="dgx-h100")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", VLLM | {"completed": 10**400}), ("x.json", VLLM | {"input_lens": [1e300, 1e300, 1.0]}),
        ("x.json", VLLM | {"input_lens": [10**400, 1], "output_lens": "ab"}), ("x.json", VLLM | {"input_lens": [None, "x"]}),
        ("x.json", VLLM | {"total_input_tokens": 1e300, "total_output_tokens": 1e300}),
        *(("x.json", {"benchmarks": value}) for value in (None, 3, 0.5, {}, "x", [], [[]])),
    ],
)  # fmt: skip
def test_absurd_values_are_missing_or_refused(put, name, data):
    try:
        rows = read(put(name, data), Known(system="dgx-h100")).rows
    except (QuestionError, DescriptorError) as error:
        assert "\n" not in str(error)
    else:
        assert all("inf" not in cell and "nan" not in cell for row in rows for cell in row.values())
