"""The command line: the fields scripts rely on, and one line with status 2 for every wrong question."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import roofline as rl
from roofline.cli import app

ROOT = Path(__file__).parents[2]
ESTIMATE = {
    "model", "system", "chips", "layout", "level", "dtype", "ttft_s", "tpot_s", "output_tokens_per_s", "output_tokens_per_s_per_chip",
    "total_tokens_per_s_per_chip", "tokens_per_s_per_user", "prefill_tokens_per_s_per_chip", "memory_bytes_per_chip", "fits", "max_concurrency",
    "mfu", "bandwidth_utilization", "energy_j_per_output_token", "usd_per_million_output_tokens", "bound", "interval", "assumptions",
}  # fmt: skip


def run(capsys, *arguments):
    """Return status, standard output and standard error of a command."""
    try:
        app.main(list(arguments))
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    said = capsys.readouterr()
    return status, said.out, said.err


def answered(capsys, *arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    return out


def test_estimate_json(capsys):
    fields = json.loads(
        answered(capsys, "estimate", "deepseek-v3", "--system", "gb200-nvl72", "--concurrency", "1024", "--json")
    )
    assert set(fields) >= ESTIMATE
    assert set(fields["memory_bytes_per_chip"]) == {
        "weights",
        "kv_cache",
        "activations",
        "runtime",
        "total",
        "capacity",
    }
    assert set(fields["interval"]) >= {"tpot_s", "ttft_s", "max_concurrency", "kv_cache_tokens"}
    low, high = fields["memory_interval_bytes_per_chip"]
    assert low < fields["memory_bytes_per_chip"]["total"] < high
    assert 0.9 < fields["fits_probability"] <= 1
    assert fields["kv_cache_tokens"] > 0
    assert {"tp", "pp", "dp", "ep"} <= set(fields["layout"])
    assert fields["interval"]["tpot_s"][0] < fields["tpot_s"] < fields["interval"]["tpot_s"][1]
    assert fields["output_tokens_per_s"] == pytest.approx(72 * fields["output_tokens_per_s_per_chip"])
    assert fields["tokens_per_s_per_user"] == pytest.approx(1 / fields["tpot_s"])
    memory = fields["memory_bytes_per_chip"]
    assert memory["total"] == pytest.approx(sum(memory[k] for k in ("weights", "kv_cache", "activations", "runtime")))
    assert fields["fits"] is True
    assert fields["bound"] in ("compute", "memory", "network", "latency")


def test_the_command_line_says_what_the_function_says(capsys):
    words = {"chips": 16, "input": 1000, "output": 100, "concurrency": 32, "tp": 8, "dtype": "fp8", "kv_dtype": "fp8", "level": "ideal",
             "draft_tokens": 2, "accept_length": 1.5}  # fmt: skip
    flags = [str(part) for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value)]
    out = json.loads(answered(capsys, "estimate", "llama-3.1-70b", "--system", "dgx-h100", *flags, "--json"))
    assert out == json.loads(json.dumps(rl.estimate("llama-3.1-70b", "dgx-h100", **words).to_dict()))
    assert out["level"] == "ideal"
    assert set(out["interval"].values()) == {None}


def test_estimate_for_people(capsys):
    out = answered(
        capsys, "estimate", "deepseek-v3", "-s", "cloudmatrix384", "--concurrency", "4096", "--dtype", "int8"
    )
    for words in ("deepseek-v3 on cloudmatrix384: 384 chips", "int8 weights", "tokens/s", "TTFT", "TPOT", "80 % within", "memory", "bound by",
                  "requests", "most tokens/s of the", "no cost per hour is published"):  # fmt: skip
        assert words in " ".join(out.split())
    why = answered(capsys, "estimate", "llama-3.1-8b", "-s", "dgx-h100", "--why")
    for words in ("attention x32", "qkv", "chip.peak.bf16", "989.4 TFLOP/s", "vendor"):
        assert words in why


def test_what_does_not_fit_is_answered(capsys):
    status, out, _ = run(capsys, "estimate", "llama-3.1-405b", "-s", "dgx-h100")
    assert status == 0
    assert "DOES NOT FIT" in out
    assert json.loads(answered(capsys, "estimate", "llama-3.1-405b", "-s", "dgx-h100", "--json"))["fits"] is False


def test_why_in_json(capsys):
    fields = json.loads(answered(capsys, "estimate", "llama-3.1-8b", "-s", "dgx-h100", "--why", "--json"))
    assert [step["name"] for step in fields["steps"]] == ["prefill", "decode", "mixed", "cycle"]
    assert {"path", "value", "unit", "kind", "source", "url", "retrieved", "note"} <= set(fields["citations"][0])


def test_compare(capsys):
    fields = json.loads(answered(capsys, "compare", "cloudmatrix384", "gb200-nvl72", "--json"))
    assert fields["ratios"]["chips"] == pytest.approx(384 / 72)
    assert "estimates" not in fields
    fields = json.loads(
        answered(
            capsys, "compare", "cloudmatrix384", "gb200-nvl72", "--model", "deepseek-v3", "--tpot", "30ms", "--json"
        )
    )
    assert [set(est) >= ESTIMATE for est in fields["estimates"]] == [True, True]
    assert all(row["0.03"]["tpot_s"] <= 0.03 for row in fields["under_tpot"])
    fixed = json.loads(
        answered(capsys, "compare", "dgx-h100", "dgx-b200", "--model", "llama-3.1-8b", "--concurrency", "32", "--json")
    )
    assert all(est["output_tokens_per_s"] > 0 for est in fixed["estimates"])


@pytest.mark.parametrize("kind", ["systems", "chips", "models", "engines", "frameworks"])
def test_list(capsys, kind):
    rows = json.loads(answered(capsys, "list", kind, "--json"))
    known = rl.catalog.engines() if kind == "engines" else rl.names(kind.removesuffix("s"))
    assert [row["name"] for row in rows] == list(known)
    text = answered(capsys, "list", kind)
    assert len(text.splitlines()) == len(rows) + 2


@pytest.mark.parametrize("name", [*rl.names("system"), *rl.names("chip")])
def test_show_hardware(capsys, name):
    fields = json.loads(answered(capsys, "show", name, "--json"))
    for value in fields["values"]:
        assert {"path", "value", "unit", "kind", "source", "url", "retrieved", "note"} <= set(value)
    assert answered(capsys, "show", name).startswith(f"{name}: ")
    if name in rl.names("system"):
        assert {"chips", "flops_per_s", "memory_bytes", "memory_bandwidth_bytes_per_s", "power_w", "tiers"} <= set(
            fields
        )


def test_show_model(capsys):
    fields = json.loads(answered(capsys, "show", "deepseek-v3", "--json"))
    assert {
        "name",
        "layers",
        "parameters_total",
        "parameters_active",
        "parameters_breakdown",
        "kv_bytes_per_token",
        "layer_plan",
    } <= set(fields)
    assert fields["parameters_total"] == 671_026_404_352
    assert sum(run["layers"] for run in fields["layer_plan"]) == fields["layers"] == 61


def test_show_a_file_of_ones_own(capsys, tmp_path):
    shutil.copy(ROOT / "hardware" / "chips" / "h200.toml", tmp_path / "mine.toml")
    assert answered(capsys, "show", str(tmp_path / "mine.toml")).startswith("mine: NVIDIA H200")
    shutil.copy(ROOT / "hardware" / "systems" / "hgx-h200.toml", tmp_path / "rack.toml")
    assert answered(capsys, "show", str(tmp_path / "rack.toml")).startswith("rack: NVIDIA HGX H200")


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_plot(capsys, tmp_path, form):
    path = tmp_path / f"picture.{form}"
    status, out, err = run(capsys, "plot", "llama-3.1-70b", "-s", "dgx-h100", "-s", "dgx-b200", "-o", str(path))
    assert (status, out) == (0, "")
    assert "wrote" in err
    assert path.stat().st_size > 10_000


def timed(tmp_path, table, called="l40s"):
    """A file of the timings of one chip, as they come with the repository, or as if the chip had another name."""
    lines = gzip.decompress((ROOT / "hardware" / "timings" / f"{table}.csv.gz").read_bytes()).decode().splitlines()
    rows = [line.replace(",l40s,", f",{called},") for line in lines if ",l40s," in line]
    path = tmp_path / f"{table}.csv"
    path.write_text("\n".join([lines[0], *rows]), encoding="utf-8")
    return str(path)


def test_calibrate_needs_to_be_told_nothing_that_rows_say(capsys, tmp_path):
    gemm, rings = timed(tmp_path, "gemm"), timed(tmp_path, "collectives")
    status, out, err = run(capsys, "calibrate", gemm, rings, "--plot", str(tmp_path / "fits.svg"), "--json")
    assert (status, err) == (0, f"wrote {tmp_path / 'fits.svg'}\n")
    fields = json.loads(out)
    assert (fields["profile"], fields["chip"]) == ("l40s", "l40s")
    assert {fit["kernel"] for fit in fields["fits"]} == {"gemm"}
    # Rings over PCIe switches follow no law of ours within a half: the base's constants stay, and that is reported.
    assert "gather" in json.dumps(fields)
    assert b"roofs of one L40S" in (tmp_path / "fits.svg").read_bytes()


def test_calibrate_takes_what_rows_do_not_say(capsys, tmp_path):
    gemm, rings = timed(tmp_path, "gemm", "mycard"), timed(tmp_path, "collectives", "mycard")
    status, out, _ = run(capsys, "calibrate", gemm, rings, "--chip", "h20")
    assert status == 0
    out = " ".join(out.split())  # lines end where the terminal does
    assert out.startswith("h20: constants of H20 96 GB from gemm.csv, collectives.csv; mean errors ")
    assert "rows are left aside: collectives, which need system= to say what joins the chips" in out
    status, out, _ = run(capsys, "calibrate", gemm, rings, "-s", "hgx-h20")
    assert status == 0
    assert "gather: no constants are within a half" in out


@pytest.mark.parametrize(
    ("tables", "words", "says"),
    [((), [], "FILE: is missing"), (("collectives",), ["--chip", "h20"], "collectives, which need system="),
     (("collectives",), ["-s", "hgx-h20", "--plot", "x.svg", "-o", "x.toml"], "no kernel that multiplies"),
     (("gemm",), ["--plot", "x.gif"], "--plot='x.gif'"), (("gemm",), ["-s", "dgx-h100", "--chip", "l40s"], "is not what dgx-h100 is made of"),
     (("gemm",), ["--chip", "l40x"], "did you mean l40s")],
)  # fmt: skip
def test_a_wrong_calibration_is_one_line(capsys, monkeypatch, tmp_path, tables, words, says):
    monkeypatch.chdir(tmp_path)
    files = [timed(tmp_path, table, "mycard") for table in tables]
    status, out, err = run(capsys, "calibrate", *files, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert sorted(map(str, tmp_path.iterdir())) == sorted(files)


WRONG = [
    ("estimate deepsek-v3 -s gb200-nvl72", "did you mean deepseek-v3"),
    ("estimate deepseek-v3 -s gb2000", "no such system"),
    ("estimate deepseek-v3", "--system"),
    ("estimate", "MODEL"),
    ("estimate llama-3.1-70b -s dgx-h100 --tp 3", "must divide the 64 attention heads"),
    ("estimate llama-3.1-70b -s dgx-h100 --tp 0", "tp=0"),
    ("estimate llama-3.1-70b -s dgx-h100 --tp -8", "tp=-8"),
    ("estimate llama-3.1-70b -s dgx-h100 --tp 4.5", "must be a whole number"),
    ("estimate llama-3.1-70b -s dgx-h100 --tp 1e400", "must be a finite number"),
    ("estimate llama-3.1-70b -s dgx-h100 --chips 3.5", "must be a whole number"),
    ("estimate llama-3.1-70b -s dgx-h100 --chips 0", "chips=0"),
    ("estimate llama-3.1-70b -s dgx-h100 --chips 99999", "at most"),
    ("estimate llama-3.1-70b -s dgx-h100 --input -5", "input=-5"),
    ("estimate llama-3.1-70b -s dgx-h100 --input 1e300", "input=1e+300"),
    ("estimate llama-3.1-70b -s dgx-h100 --concurrency nan", "must be a finite number"),
    ("estimate llama-3.1-70b -s dgx-h100 --concurrency 0", "concurrency=0"),
    ("estimate llama-3.1-70b -s dgx-h100 --concurrency many", "concurrency"),
    ("estimate llama-3.1-70b -s dgx-h100 --dtype fp9", "no such dtype"),
    ("estimate llama-3.1-70b -s dgx-h100 --level fast", "level='fast': no such level"),
    ("estimate llama-3.1-70b -s dgx-h100 --accept-length 2", "draft_tokens + 1"),
    ("estimate llama-3.1-70b -s dgx-h100 --ep 8", "no experts"),
    ("estimate llama-3.1-70b -s dgx-h100 --sped", "--sped"),
    ("estimate ./nothing/config.json -s dgx-h100", "no such file"),
    ("show nothing", "no system, chip or model"),
    ("show ./nothing.toml", "no such file"),
    ("compare dgx-h100", "at least two"),
    ("compare dgx-h100 dgx-b20 --json", "did you mean dgx-b200"),
    ("compare dgx-h100 dgx-b200 --model llama-3.1-8b --tpot 50xs", "is not a time"),
    ("compare dgx-h100 dgx-b200 --model llama-3.1-8b --tpot -1s", "--tpot"),
    ("compare dgx-h100 dgx-b200 --model llama-3.1-8b --tpot 0s", "must be a time above 0"),
    ("list cows", "systems"),
    ("plot llama-3.1-8b -s dgx-h100 -o x.gif", "svg, pdf or png"),
    ("plot llama-3.1-8b -s dgx-h100 -o ./no/such/folder/x.svg", "cannot be written"),
    ("frobnicate", "frobnicate"),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_question_is_one_line(capsys, monkeypatch, tmp_path, line, says):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *line.split())
    assert (status, out) == (2, "")
    assert says in err
    assert err.startswith("roofline: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"{", "is not valid JSON"), (b'{"model_type": "llama"}', "is missing"), (b'{"model_type": "llama", "hidden_size": -1}', "hidden_size"),
     (b'{"model_type": "llama", "a": ' + b"[" * 50000, "nested too deeply"), (b"\x00\xff", "is not UTF-8")],
)  # fmt: skip
def test_a_broken_config_is_one_line(capsys, tmp_path, data, says):
    (tmp_path / "config.json").write_bytes(data)
    status, out, err = run(capsys, "estimate", str(tmp_path), "-s", "dgx-h100")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_broken_rack_is_one_line(capsys, tmp_path):
    text = (ROOT / "hardware" / "systems" / "dgx-h100.toml").read_text(encoding="utf-8")
    for wrong, says in (
        (text.replace("450 GB/s", "450 Gb/s"), "b is ambiguous"),
        (text.replace('source = "nvlink"', 'sorce = "nvlink"'), "sorce"),
    ):
        (tmp_path / "rack.toml").write_text(wrong, encoding="utf-8")
        status, out, err = run(capsys, "estimate", "llama-3.1-8b", "--system", str(tmp_path / "rack.toml"))
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert says in err
        assert "rack.toml" in err


def test_help_and_version(capsys):
    for words in (["--help"], ["estimate", "--help"], []):
        status, out, _ = run(capsys, *words)
        assert status == 0
        assert "Usage" in out
    assert run(capsys, "--version")[1].strip()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(capsys, tmp_path, shell):
    path = tmp_path / "completion"
    status, _, _ = run(capsys, "--install-completion", "--shell", shell, "--output", str(path))
    assert status == 0
    text = path.read_text(encoding="utf-8")
    assert "estimate" in text
    assert "concurrency" in text


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -c 'from roofline.cli.app import main; main()' show cloudmatrix384 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("cloudmatrix384: ")
    assert "Traceback" not in done.stderr


# Training ---------------------------------------------------------------------------------------------------------------

TRAIN = {
    "model", "system", "chips", "layout", "level", "framework", "dtype", "step_time_s", "tokens_per_s", "tokens_per_s_per_chip",
    "model_flops_per_s_per_chip", "mfu", "hfu", "bubble_fraction", "exposed_communication_s", "hidden_communication_s", "memory_bytes_per_chip",
    "fits", "energy_j_per_token", "usd_per_trillion_tokens", "interval", "bound", "assumptions", "micro_batches", "time_s", "time_share",
}  # fmt: skip
STEP = ("llama-3.1-70b", "--system", "dgx-h100", "--chips", "64", "--global-batch", "256", "--seq-len", "8192")


def test_train_json(capsys):
    fields = json.loads(answered(capsys, "train", *STEP, "--json"))
    assert set(fields) >= TRAIN
    memory = fields["memory_bytes_per_chip"]
    assert set(memory) == {"weights", "gradients", "optimizer", "activations", "total", "capacity"}
    assert memory["total"] == pytest.approx(
        sum(memory[k] for k in ("weights", "gradients", "optimizer", "activations"))
    )
    assert sum(fields["time_s"].values()) == pytest.approx(fields["step_time_s"])
    low, high = fields["interval"]["step_time_s"]
    assert low < fields["step_time_s"] < high
    assert fields["tokens_per_s"] == pytest.approx(256 * 8192 / fields["step_time_s"])
    assert fields["tokens_per_s_per_chip"] == pytest.approx(fields["tokens_per_s"] / 64)
    assert 0 < fields["mfu"] <= fields["hfu"] <= 1
    assert fields["fits"] is True
    degrees = fields["layout"]
    assert degrees["tp"] * degrees["cp"] * degrees["pp"] * degrees["dp"] == fields["chips"] == 64


def test_train_says_what_the_function_says(capsys):
    words = {
        "tp": 4,
        "pp": 4,
        "micro_batch": 2,
        "recompute": "full",
        "sharding": "zero2",
        "schedule": "zb-h1",
        "level": "ideal",
        "dtype": "fp8",
    }
    flags = [str(part) for name, value in words.items() for part in (f"--{name.replace('_', '-')}", value)]
    out = json.loads(answered(capsys, "train", *STEP, *flags, "--no-sequence-parallel", "--json"))
    asked = rl.train(
        "llama-3.1-70b", "dgx-h100", chips=64, global_batch=256, seq_len=8192, sequence_parallel=False, **words
    )
    assert out == json.loads(json.dumps(asked.to_dict()))
    assert (out["micro_batch"], out["recompute"], out["layout"]["schedule"]) == (2, "full", "zb-h1")
    assert out["interval"] == {"step_time_s": None}
    assert "ideal" in out["null_because"]["interval"]


def test_train_for_people(capsys):
    out = answered(capsys, "train", *STEP, "--recompute", "full")
    for words in ("llama-3.1-70b on dgx-h100: 64 chips", "80 % within", "MFU", "HFU", "causal half", "bubble", "exposed", "overlapped", "optimizer",
                  "energy", "per trillion tokens", "with recomputation", "the most tokens/s of the", "where the time goes"):  # fmt: skip
        assert words in " ".join(out.split())
    why = answered(capsys, "train", *STEP, "--why")
    for words in ("micro-batches x", "dgrad attention", "wgrad qkv", "chip.peak.bf16", "framework."):
        assert words in why
    fields = json.loads(answered(capsys, "train", *STEP, "--why", "--json"))
    assert [step["name"] for step in fields["steps"]] == ["step"]
    assert {"path", "value", "unit", "kind", "source"} <= set(fields["citations"][0])


def test_train_traces(capsys, tmp_path):
    path = tmp_path / "step.json"
    status, _, err = run(capsys, "train", *STEP, "--pp", "4", "--trace", str(path))
    assert (status, err) == (0, f"wrote {path}; look at it in ui.perfetto.dev\n")
    trace = json.loads(path.read_text(encoding="utf-8"))
    assert {event["pid"] for event in trace["traceEvents"]} == {0, 1, 2, 3}


def test_search_train(capsys, tmp_path):
    fields = json.loads(answered(capsys, "search", "train", *STEP, "--memory", "60GB", "--json"))
    assert fields["limits"] == {"memory_bytes": 60e9, "step_time_s": None, "hall_power_w": None}
    assert fields["best"]["memory_bytes_per_chip"]["total"] <= 60e9
    assert set(fields["best"]) >= TRAIN
    assert fields["accepted"] + sum(each["plans"] for each in fields["rejected"]) == fields["tried"]
    text = answered(capsys, "search", "train", *STEP, "--schedule", "1f1b", "--step-time", "40s")
    for words in ("the frontier", "why the other", "80 % within"):
        assert words in text
    for name in ("front.svg", "front.csv"):
        status, _, err = run(capsys, "search", "train", *STEP, "-o", str(tmp_path / name))
        assert (status, err) == (0, f"wrote {tmp_path / name}\n")
    assert (tmp_path / "front.csv").read_text(encoding="utf-8").startswith("tp,cp,pp,vpp,dp,ep,etp,")


@pytest.mark.parametrize("command", [("train",), ("search", "train")])
@pytest.mark.parametrize(
    ("words", "says"),
    [([], "--global-batch: is missing"), (["--global-batch", "3.5"], "must be a whole number"), (["--global-batch", "0"], "global_batch=0:"),
     (["--global-batch", "64", "--tp", "3"], "try 1, 2, 4, 8"), (["--global-batch", "64", "--recompute", "half"], "recompute"),
     (["--global-batch", "64", "--pp", "3"], "tp * cp * pp * dp must be the ranks"), (["--global-batch", "64", "--framework", "megatrn"], "did you mean"),
     (["--global-batch", "64", "--schedule", "zb"], "no such schedule"), (["--global-batch", "64", "--chips", "9999999"], "joins 16384 at most"),
     (["--global-batch", "64", "--power", "1200"], "power"), (["--global-batch", "64", "--concurrency", "3"], "--concurrency")],
)  # fmt: skip
def test_a_wrong_training_is_one_line(capsys, command, words, says):
    status, out, err = run(capsys, *command, "llama-3.1-70b", "-s", "dgx-h100", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_wrong_trace_is_one_line(capsys):
    status, _, err = run(capsys, "train", *STEP, "--trace", "step.svg")
    assert (status, err.count("\n")) == (2, 1)
    assert "a trace is a JSON file" in err
    status, _, err = run(capsys, "search", "train", *STEP, "--memory", "60")
    assert "has no unit" in err


def test_training_that_does_not_fit_is_answered(capsys):
    out = answered(capsys, "train", "llama-3.1-405b", "-s", "dgx-h100", "--global-batch", "64")
    assert "DOES NOT FIT" in out
    assert (
        json.loads(answered(capsys, "train", "llama-3.1-405b", "-s", "dgx-h100", "--global-batch", "64", "--json"))[
            "fits"
        ]
        is False
    )


def test_carbon_of_a_grid(capsys):
    words = ["estimate", "llama-3.1-8b", "-s", "dgx-h100", "--tp", "1", "--concurrency", "8", "--grid", "norway"]
    app.main(words)
    assert "at 30 g/kWh (norway)" in " ".join(capsys.readouterr().out.split())
    app.main([*words, "--json"])
    told = json.loads(capsys.readouterr().out)
    hall = told["energy"]["j_per_token"]["hall"]
    assert told["carbon"]["g_per_million_output_tokens"] == pytest.approx(hall * 30 / 3.6)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "llama-3.1-8b", "--global-batch", "64", "--chips", "8", "--tp", "8"], "g_per_million_tokens"),
        (["campaign", "llama-3.1-8b", "--global-batch", "64", "--chips", "8", "--tp", "8"], "t"),
        (["search", "serve", "llama-3.1-8b", "--chips", "1"], "g_per_million_output_tokens"),
        (["simulate", "llama-3.1-8b", "--rate", "2", "--requests", "20", "--tp", "8"], "g_per_million_output_tokens"),
    ],
)
def test_carbon_in_every_door(capsys, words, name):
    app.main([*words, "-s", "dgx-h100", "--grid", "norway"])
    assert "at 30 g/kWh (norway)" in " ".join(capsys.readouterr().out.split())
    app.main([*words, "-s", "dgx-h100", "--grid", "norway", "--json"])
    told = json.loads(capsys.readouterr().out)["carbon"]
    assert told["g_per_kwh"] == 30
    assert told[name] > 0


def test_carbon_of_the_best_pair_of_pools(capsys):
    words = ["search", "serve", "llama-3.1-8b", "-s", "dgx-h100", "--chips", "4", "--disaggregated", "--grid", "norway"]
    app.main(words)
    assert "disaggregated: " in capsys.readouterr().out.partition("\ncarbon: ")[2]
    app.main([*words, "--json"])
    told = json.loads(capsys.readouterr().out)["disaggregated"]
    hall = told["best"]["energy"]["j_per_token"]["hall"]
    assert told["carbon"]["g_per_million_output_tokens"] == pytest.approx(hall * 30 / 3.6)


def test_carbon_of_systems_that_are_compared(capsys):
    words = ["compare", "dgx-h100", "dgx-a100-80gb", "--model", "llama-3.1-8b", "--chips", "1", "--grid", "norway"]
    app.main(words)
    assert "dgx-a100-80gb: " in capsys.readouterr().out.partition("carbon of each:")[2]
    app.main([*words, "--json"])
    assert [each["g_per_kwh"] for each in json.loads(capsys.readouterr().out)["carbon"]] == [30, 30]


def test_an_estimate_loads_little():
    code = (
        "import os, sys; from roofline.cli import main; main(sys.argv[1:]); import roofline.plots.paper;"
        "print(*[m for m in ('numpy.ma', 'http.client', 'matplotlib', 'scipy') if m in sys.modules], os.environ['OPENBLAS_NUM_THREADS'])"
    )
    words = [
        "estimate",
        "deepseek-v3",
        "--system",
        "gb200-nvl72",
        "--concurrency",
        "4096",
        "--tp",
        "1",
        "--dp",
        "72",
        "--ep",
        "72",
    ]
    made = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == os.environ.get("OPENBLAS_NUM_THREADS", "1")
