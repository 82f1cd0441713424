"""Fits of kernel constants: what is put in is found again, bad kernels count little, and what rows do not tell is said."""

import csv
import gzip
import io
import json

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import cli
from roofline.calibrating import calibrate
from roofline.roofline import price
from roofline.timings import KINDS, timings
from roofline.transformer import flow, sections
from roofline.work import Op

CHIP = rl.chip("h100")
TRUE = {
    "gemm": rl.Kernel(eta_compute=0.7, eta_memory=0.8, t0=4e-6, p=2.0),
    "attention_prefill": rl.Kernel(eta_compute=0.6, eta_memory=0.7, t0=12e-6, p=1.0, ramp=300.0, occupancy=1.0),
    "attention_decode": rl.Kernel(eta_compute=0.6, eta_memory=0.9, t0=10e-6, item=2e-6),
    "mla_prefill": rl.Kernel(eta_compute=0.55, eta_memory=0.6, t0=14e-6, p=1.0, ramp=200.0, occupancy=1.0),
    "mla_decode": rl.Kernel(eta_compute=0.62, eta_memory=0.75, t0=13e-6, p=3.0),
    "moe": rl.Kernel(eta_compute=0.5, eta_memory=0.8, t0=30e-6, p=1.5),
    "elementwise": rl.Kernel(eta_memory=0.6, t0=2e-6, p=1.0),
}  # fmt: skip
SIZES = {
    "m": (1, 20000), "n": (256, 20000), "k": (256, 20000), "batch": (1, 256), "q_len": (1, 8192), "past_len": (255, 60000), "heads": (4, 128),
    "kv_heads": (1, 8), "head_dim": (128, 128), "tokens": (1, 20000), "hidden": (2048, 8192), "inter": (512, 8192), "topk": (1, 8),
    "experts": (8, 256), "tp": (1, 8), "ep": (1, 8), "rows": (1, 20000), "cols": (1024, 16384),
}  # fmt: skip


def made(kernel, form, count, noise=0.02, seed=1):
    """Rows as a chip of the true constants would give them, a little noisy."""
    dice = np.random.default_rng(seed)
    columns, told, _ = KINDS[kernel]
    rows = []
    for _ in range(count):
        row = {c: str(int(np.exp(dice.uniform(np.log(SIZES[c][0]), np.log(SIZES[c][1]))))) for c in columns}
        if kernel in ("attn_decode", "mla_decode"):
            row["q_len"] = "1"
        if kernel in ("attn_prefill", "mla_prefill"):
            row["past_len"] = "0"
        rows.append({"kernel": kernel, told: form, "dtype": form, **row, "measured_us": "1"})
    (group,) = timings(rows, CHIP.peak)
    profile = attrs.evolve(rl.IDEAL, kernels={(group.kernel, "any"): TRUE[group.kernel]})
    times = np.asarray(price(group.op, CHIP, profile).time) * np.exp(noise * dice.standard_normal(count))
    for row, time in zip(rows, times, strict=True):
        row["measured_us"] = repr(float(time) * 1e6)
    return rows


@pytest.mark.parametrize("kernel", [k for k in KINDS if k != "elementwise"])
def test_constants_that_are_put_in_are_found_again(kernel):
    found = calibrate(made(kernel, "bf16", 600), CHIP)
    (fit,) = found.fits
    assert fit.mape < 0.03
    for name in ("eta_compute", "eta_memory", "t0", "item"):
        true = getattr(TRUE[fit.kernel], name)
        if name in ("eta_compute", "t0") and name in fit.undetermined:
            continue
        if (true and name != "eta_compute") or (name == "eta_compute" and fit.kernel != "attention_decode"):
            assert getattr(fit.constants, name) == pytest.approx(true, rel=0.15), name
    # The profile is one like any other.
    est = rl.estimate("llama-3.1-8b", "dgx-h100", level=found.profile, concurrency=8)
    assert est.to_dict()["level"] == "calibrated"


def test_a_bad_kernel_counts_little():
    rows = made("gemm", "bf16", 400)
    for row in rows[::10]:
        row["measured_us"] = str(5 * float(row["measured_us"]))
    (fit,) = calibrate(rows, CHIP).fits
    assert fit.constants.eta_memory == pytest.approx(0.8, rel=0.1)
    assert fit.median < 0.04 < fit.p90


def test_what_rows_do_not_tell_stays_and_is_said():
    # A row each: nothing but weights move, so nothing is told of the matrix unit.
    rows = [row | {"m": "1"} for row in made("gemm", "bf16", 200)]
    (group,) = timings(rows, CHIP.peak)
    profile = attrs.evolve(rl.IDEAL, kernels={("gemm", "any"): TRUE["gemm"]})
    times = price(group.op, CHIP, profile).time * np.exp(0.05 * np.random.default_rng(2).standard_normal(200))
    rows = [row | {"measured_us": repr(t * 1e6)} for row, t in zip(rows, times.tolist(), strict=True)]
    found = calibrate(rows, CHIP)
    assert "eta_compute" in found.fits[0].undetermined
    assert found.fits[0].constants.eta_compute == rl.profile("generic", "dgx-h100").kernel("gemm", "bf16").eta_compute
    assert "do not determine eta_compute" in found.table()


def test_what_a_row_does_is_what_the_model_does():
    """A product, attention and experts of a real model, as the model counts them and as rows do."""
    model, layout = rl.model("deepseek-v3"), rl.Layout()
    works = {
        w.name: w for s in sections(rl.Decode(model, 8.0, 1000.0), layout, CHIP) for w in s.works if isinstance(w, Op)
    }
    row = {
        "kernel": "mla_decode",
        "kv_dtype": "bf16",
        "batch": "8",
        "q_len": "1",
        "past_len": "1000",
        "heads": "128",
        "measured_us": "1",
    }
    (mla,) = timings([row], CHIP.peak)
    assert (float(mla.op.flops[0]), float(mla.op.bytes[0])) == (works["attention"].flops, works["attention"].bytes)
    row = {"kernel": "moe_ffn", "dtype": "fp8_block", "tokens": "8", "hidden": "7168", "inter": "2048", "topk": "8", "experts": "256",
           "tp": "1", "ep": "1", "measured_us": "1"}  # fmt: skip
    (moe,) = timings([row], CHIP.peak)
    assert float(moe.op.flops[0]) == pytest.approx(float(works["experts"].flops))
    assert float(moe.op.bytes[0]) == pytest.approx(float(works["experts"].bytes))
    llama = rl.model("llama-3.1-8b", dtype="fp8")
    works = {
        w.name: w for s in sections(rl.Decode(llama, 8.0, 1000.0), layout, CHIP) for w in s.works if isinstance(w, Op)
    }
    (down,) = timings(
        [{"kernel": "gemm", "dtype": "fp8", "m": "8", "n": "4096", "k": "14336", "measured_us": "1"}], CHIP.peak
    )
    assert (float(down.op.flops[0]), float(down.op.bytes[0])) == (works["down"].flops, works["down"].bytes)
    row = {"kernel": "attn_decode", "kv_dtype": "bf16", "batch": "8", "q_len": "1", "past_len": "1000", "heads": "32", "kv_heads": "8",
           "head_dim": "128", "measured_us": "1"}  # fmt: skip
    (attention,) = timings([row], CHIP.peak)
    assert (float(attention.op.flops[0]), float(attention.op.bytes[0])) == (
        works["attention"].flops,
        works["attention"].bytes,
    )
    assert float(attention.op.items[0]) == works["attention"].items
    assert flow(rl.Decode(llama, 8.0, 1000.0), layout, CHIP).tokens == 8.0


def written(tmp_path, rows, name="mine.csv", pack=False):
    text = io.StringIO()
    table = csv.DictWriter(text, sorted({key for row in rows for key in row}))
    table.writeheader()
    table.writerows(rows)
    path = tmp_path / name
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if pack else data)
    return path


@pytest.mark.parametrize("pack", [False, True])
def test_the_command_writes_a_profile_that_serves(tmp_path, capsys, pack):
    path = written(tmp_path, made("gemm", "bf16", 200), pack=pack)
    profile = tmp_path / "mine.toml"
    cli.main(["calibrate", str(path), "--chip", "h100", "-o", str(profile)])
    said = capsys.readouterr()
    assert "gemm" in said.out
    assert "wrote" in said.err
    cli.main(["calibrate", str(path), "--chip", "h100", "--json"])
    fields = json.loads(capsys.readouterr().out)
    assert fields["fits"][0]["mape_left_out"] < 0.03
    mine, generic = rl.profile(str(profile), "dgx-h100"), rl.profile("generic", "dgx-h100")
    assert mine.kernel("gemm", "bf16").eta_compute == pytest.approx(
        fields["fits"][0]["constants"]["eta_compute"], rel=1e-3
    )
    assert (
        mine.kernel("moe", "fp8") == generic.kernel("moe", "fp8")
        or mine.kernel("moe", "fp8").t0 == generic.kernel("moe", "fp8").t0
    )
    est = rl.estimate("llama-3.1-8b", "dgx-h100", level=str(profile), tp=1, concurrency=8)
    cited = {fact.path: fact.source.kind for fact in est.citations()}
    assert cited["kernel.gemm.bf16.t0"] == "derived"
    assert cited["kernel.elementwise.any.t0"] == "measured"


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "must name every column once"), (b"m,m\n1,2\n", "must name every column once"), (b"m,n\n1\n", "line 2: has 1 cells, not 2"),
     (b"\xff\xfe\x00", "not UTF-8"), (b'm,n\n"1,2\n', "not valid CSV|cells"), (b"\x1f\x8bnonsense", "not a whole gzip"), (b"m,n,k,dtype,measured_us\n1,2,3,bf16,0\n", "measured_us='0'"),
     (b"m,n,k,dtype,measured_us\n1,2,3,bf16,nan\n", "must be a finite number above 0"), (b"m,n,k,dtype,measured_us\n1,2,-3,bf16,1\n", "k='-3'"),
     (b"m,n,dtype,measured_us\n1,2,bf16,1\n", "k: is missing"), (b"kernel,measured_us\nconvolution,1\n", "unknown kernel"),
     (b"m,n,k,dtype,measured_us\n1,2,3,fp9,1\n", "no such dtype"), (b"m,n,k,dtype,measured_us\n1,2,3,bf16,1\n", "no class with rows enough"),
     (b"hardware,m,n,k,dtype,measured_us\na,1,2,3,bf16,1\nb,1,2,3,bf16,1\n", "several chips")],
)  # fmt: skip
def test_a_wrong_table_is_refused_in_one_line(tmp_path, capsys, data, says):
    path = tmp_path / "bad.csv"
    path.write_bytes(data)
    with pytest.raises(SystemExit) as left:
        cli.main(["calibrate", str(path), "--chip", "h100", "-o", str(tmp_path / "never.toml")])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    import re

    assert re.search(says, error), error
    assert not (tmp_path / "never.toml").exists()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"kernel,dtype,m,n,k,measured_us\n" + data)
    with pytest.raises(rl.RooflineError):
        calibrate(path, CHIP)


def test_a_fitted_format_serves_where_it_multiplies_as_it_is_stored():
    slow = attrs.evolve(rl.profile("generic", "dgx-h100").kernel("gemm", "fp8"), t0=1.0)
    base = rl.profile("generic", "dgx-h100")
    mine = attrs.evolve(base, kernels={**base.kernels, ("gemm", "fp8-block"): slow})
    block, plain = (rl.model("llama-3.1-8b", dtype=name) for name in ("fp8-block", "fp8"))
    ask = [rl.estimate(rl.Decode(model, 8, 100), "dgx-h100", rl.Layout(), level=mine).tpot for model in (block, plain)]
    assert ask[0] > 100 > ask[1]
    # An A100 widens it to 16 bits: the constants of the format's own kernels have no say.
    assert rl.estimate(rl.Decode(block, 8, 100), "dgx-a100-80gb", rl.Layout(), level=mine).tpot < 1


def test_idle_cores_slow_a_prompt_where_the_class_says_so():
    base = rl.profile("generic", "dgx-h100")
    kernel = attrs.evolve(base.kernel("attention_prefill", "bf16"), occupancy=1.0)
    mine = attrs.evolve(base, kernels={**base.kernels, ("attention_prefill", "any"): kernel})
    model = rl.model("llama-3.2-1b")
    short, long = (
        [
            float(rl.estimate(rl.Prefill(model, 1, n), "dgx-h100", rl.Layout(), level=level).ttft)
            for level in (base, mine)
        ]
        for n in (256, 32768)
    )
    assert short[1] > short[0]
    assert long[1] == pytest.approx(long[0])
