"""Fits of constants: what is put in is found again, bad kernels count little, and what rows do not tell is said."""

import csv
import gzip
import importlib.util
import io
import json
import re
from datetime import date
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.calibration.calibrate import MACHINES, calibrate
from roofline.calibration.fitting import ENOUGH, FITTED, OWN, RANGES, fit, halves, span, with_constants
from roofline.calibration.timings import KINDS, read
from roofline.cli import app
from roofline.hardware.constants import STACKS
from roofline.hardware.engines import Engine
from roofline.models.dtypes import dtype
from roofline.operators.operations import Message, Op
from roofline.operators.transformer import sections
from roofline.physics import collectives
from roofline.physics import kernels as roofline

ROOT = Path(__file__).parents[2]
RACK = rl.system("dgx-h100")
CHIP = RACK.chip
# Without what is known of its cache no row is left aside.
BARE = attrs.evolve(CHIP, facts=())
GENERIC = rl.profile("generic", RACK)
COMMON = set(rl.profile("generic", "dgx-h100").stacks)
"""Stacks that the profile of all chips knows: releases of exchange libraries."""

TRUE = {
    "gemm": rl.Kernel(0.66, 0.7, 6e-6, 2.0, step=1e-9, eta_staging=0.35),
    "attention_prefill": rl.Kernel(0.8, 0.6, 20e-6, 1.0, step=12e-9, item=4e-6, eta_score=0.6),
    "attention_decode": rl.Kernel(1.0, 0.7, 8e-6, step=1.5e-10, item=3e-6),
    "mla_prefill": rl.Kernel(0.5, 0.6, 20e-6, 1.0, step=15e-9, item=4e-6),
    "mla_decode": rl.Kernel(0.5, 0.7, 15e-6, 3.0, step=5e-10, item=8e-6),
    "moe": rl.Kernel(0.5, 0.75, 36e-6, 2.0, eta_staging=0.3, hit=4e-7),
    "elementwise": rl.Kernel(eta_memory=0.6, t0=4e-6, p=1.0),
}  # fmt: skip
MOVED = {
    "ring": {"start": 9.0, "hop": 0.9, "eta": 0.7, "pair": 0.95}, "in_network": {"start": 14.0, "eta": 0.5}, "gather": {"start": 9.0, "hop": 0.8, "eta": 0.65, "pair": 0.9},
    "all_to_all": {"start": 6.0, "hop": 1.5, "eta": 0.6, "pair": 0.95}, "one_shot": {"start": 5.0, "peer": 0.4e-6, "eta": 0.4},
    "two_shot": {"start": 12.0, "peer": 0.05e-6, "eta": 0.6}, "low_latency": {"alpha": 14e-6, "hop": 2.5, "eta": 0.4, "far": 0.7},
    "throughput": {"alpha": 30e-6, "hop": 4.0, "far": 0.45, "copied": 150e9},
}  # fmt: skip
LINKS = {way: attrs.evolve(GENERIC.link(way), **change) for way, change in MOVED.items()}
SIZES = {
    "m": (1, 20000), "n": (256, 20000), "k": (256, 20000), "batch": (1, 256), "q_len": (1, 8192), "past_len": (255, 60000), "heads": (4, 128),
    "kv_heads": (1, 8), "head_dim": (64, 256), "tokens": (1, 20000), "hidden": (2048, 8192), "inter": (512, 8192), "topk": (1, 8),
    "experts": (8, 256), "tp": (1, 8), "ep": (1, 8), "rows": (1, 20000), "cols": (1024, 16384), "bytes": (256, 2**30), "gpus": (2, 8),
}  # fmt: skip


def truth(timings, chip=CHIP, kernels=TRUE, links=LINKS):
    """The times of a system of true constants."""
    profile = attrs.evolve(GENERIC, links={**GENERIC.links, **links})
    if isinstance(timings.work, Message):
        return np.asarray(collectives.price(timings.work, RACK.tiers, profile, timings.ways).time)
    profile = attrs.evolve(profile, kernels={(timings.kernel, "any"): kernels[timings.kernel]})
    return np.asarray(roofline.price(timings.work, chip, profile).time)


def made(kernel, form="bf16", count=400, noise=0.02, seed=1, told=None, **true):
    """Rows as a chip of the true constants would give them, a little noisy."""
    dice = np.random.default_rng(seed)
    kind = KINDS[kernel]
    rows = []
    for _ in range(count):
        row = {c: str(int(np.exp(dice.uniform(*np.log(SIZES[c]))))) for c in kind.columns}
        if kernel in ("attn_decode", "mla_decode"):
            row["q_len"] = "1"
        if kernel in ("attn_prefill", "mla_prefill"):
            row["past_len"] = "0"
        if "topk" in row and "gpus" in row:
            row["gpus"] = str(dice.choice([2, 4, 8, 16, 32]))
        rows.append(
            {
                "kernel": kernel,
                kind.form or "dtype": form,
                "dtype": "bf16" if kind.form == "kv_dtype" else form,
                **row,
                **(told or {}),
                "measured_us": "1",
            }
        )
    (group,) = read(rows, BARE).timings
    times = truth(group, **true) * np.exp(noise * dice.standard_normal(count))
    return [row | {"measured_us": repr(float(time) * 1e6)} for row, time in zip(rows, times, strict=True)]


# What is put in ------------------------------------------------------------------------------------------------------------

CASES = [(kernel, "bf16") for kernel in KINDS] + [
    ("gemm", "fp8"),
    ("moe_ffn", "fp8"),
    ("attn_decode", "fp8"),
    ("dispatch_throughput", "fp8"),
]


@pytest.mark.parametrize(("kernel", "form"), CASES)
def test_constants_that_are_put_in_are_found_again(kernel, form):
    found = calibrate(made(kernel, form), system=RACK)
    (fitted,) = found.fits
    assert fitted.mape < 0.025 < fitted.before / 2
    # Too small to be seen beside the rest: 50 ns a peer.
    assert set(fitted.undetermined) <= {"two_shot.peer", "turn", "elsewhere"}
    for key, constants in fitted.constants.items():
        true, start = (
            (LINKS[key], GENERIC.link(key)) if isinstance(key, str) else (TRUE[key[0]], GENERIC.kernel(*key, key[1]))
        )
        for name in FITTED[key if isinstance(key, str) else key[0]]:
            if f"{key}.{name}" in fitted.undetermined:
                assert getattr(constants, name) == getattr(start, name)
            elif name in OWN.get(key[0], ()):
                assert getattr(constants, name) == 0
            elif name != "eta_staging" or np.any(found.parts[0].timings.work.staging > 0):
                assert getattr(constants, name) == pytest.approx(getattr(true, name), rel=0.12), (key, name)
    # The profile is one like any other.
    est = rl.estimate("llama-3.1-8b", RACK, level=found.profile, concurrency=8)
    assert est.to_dict()["level"] == "calibrated"
    assert [(f.name, f.stack, f.rows + f.left_out) for f in found.profile.found] == [
        (fitted.name, "", found.parts[0].timings.count)
    ]


def test_every_class_that_is_timed_is_put_in():
    assert {key[0] if isinstance(key, tuple) else key for key in [*TRUE, *LINKS]} == set(FITTED)
    for name, constants in {**TRUE, **LINKS}.items():
        for constant in set(FITTED[name]) - set(OWN.get(name, ())):
            # What is found again is not what the fit began with.
            start = getattr(GENERIC.link(name) if name in LINKS else GENERIC.kernel(name, "bf16", "bf16"), constant)
            assert getattr(constants, constant) != pytest.approx(start, rel=0.04), (name, constant)


def test_products_may_go_by_the_best_rate_that_was_measured():
    (part,) = calibrate(made("gemm"), system=RACK).parts
    found = fit([part], GENERIC, by_best=True).constants["gemm", "bf16"]
    assert found.eta_best == pytest.approx(0.66 / CHIP.best["bf16"], rel=0.03)
    # Two chips share what is a part of each one's own best, not of their peaks.
    quick = attrs.evolve(CHIP, best={"bf16": CHIP.best["bf16"] / 2})
    slow = attrs.evolve(TRUE["gemm"], eta_compute=0.35)
    timed = attrs.evolve(part.timings, measured=truth(part.timings, kernels={"gemm": slow}))
    both = [part, attrs.evolve(part, chip=quick, timings=timed)]
    assert fit(both, GENERIC, by_best=True).mape < 0.025 < 0.1 < fit(both, GENERIC).mape


def test_every_other_row_is_left_out():
    found = calibrate(made("gemm", count=101), system=RACK)
    (fitted,), (part,) = found.fits, found.parts
    assert (fitted.rows, fitted.left_out) == (51, 50)
    ours, others = halves(part)
    seen = [
        attrs.evolve(each, timings=attrs.evolve(each.timings, measured=each.timings.measured * 1.5))
        for each in (ours, others)
    ]
    # The error told is that of the rows left out: those alone made worse make it worse, and change no constant.
    whole = np.where(np.arange(101) % 2 == 1, 1.5, 1.0) * part.timings.measured
    worse = fit([attrs.evolve(part, timings=attrs.evolve(part.timings, measured=whole))], GENERIC)
    assert worse.constants["gemm", "bf16"].t0 == fitted.constants["gemm", "bf16"].t0
    assert worse.mape > 0.3 > 0.03 > worse.seen
    assert [each.timings.count for each in seen] == [51, 50]
    # Four of five times are within the error of the constants.
    assert fitted.constants["gemm", "bf16"].error == pytest.approx(1.28 * 0.02, rel=0.35)


def test_a_bad_kernel_counts_little():
    rows = made("gemm")
    for row in rows[::10]:
        row["measured_us"] = str(5 * float(row["measured_us"]))
    (found,) = calibrate(rows, CHIP).fits
    assert found.constants["gemm", "bf16"].eta_memory == pytest.approx(0.7, rel=0.1)
    assert found.median < 0.05
    odd = [
        row | {"measured_us": str(5 * float(row["measured_us"]))} if i % 10 == 1 else row
        for i, row in enumerate(made("gemm"))
    ]
    (seen,) = calibrate(odd, CHIP).fits
    # Of the rows left out every fifth is one of them.
    assert seen.median < 0.05 < 0.5 < seen.p90


def test_what_rows_do_not_tell_stays_and_is_said():
    # A row each: nothing but weights move, so nothing is told of the matrix unit.
    rows = [row | {"m": "1"} for row in made("gemm", count=200)]
    (group,) = read(rows, CHIP).timings
    times = truth(group) * np.exp(0.05 * np.random.default_rng(2).standard_normal(200))
    rows = [row | {"measured_us": repr(t * 1e6)} for row, t in zip(rows, times.tolist(), strict=True)]
    found = calibrate(rows, CHIP)
    assert "eta_compute" in found.fits[0].undetermined
    assert found.fits[0].constants["gemm", "bf16"].eta_compute == GENERIC.kernel("gemm", "bf16").eta_compute
    assert re.search("the rows do not determine .*eta_compute", found.table())
    assert "eta_compute" not in found.table().partition("\n\n")[2].partition("\n\n")[0]


def test_too_few_rows_are_said():
    found = calibrate([*made("gemm", count=100), *made("elementwise", count=ENOUGH - 1)], CHIP)
    assert [each.name for each in found.fits] == ["gemm.bf16"]
    assert f"elementwise.bf16: {ENOUGH - 1} rows are too few" in found.notes
    assert found.notes[0] in found.table()
    with pytest.raises(rl.QuestionError, match=r"rows=23: hold no kernel with enough of them; time at least 24 of one"):
        calibrate(made("gemm", count=ENOUGH - 1), CHIP)
    (part,) = calibrate(made("gemm", count=ENOUGH), CHIP).parts
    with pytest.raises(rl.QuestionError, match=r"rows=12: are too few to fit gemm\.bf16"):
        fit([halves(part)[0]], GENERIC)


def test_long_products_tell_the_clock_that_is_sustained():
    rows = made("gemm")
    assert calibrate(rows, CHIP).profile.sustained == GENERIC.sustained
    hot = made("gemm", count=10, seed=3)
    hot = [row | {"m": "20000", "n": "20000", "k": "20000"} for row in hot]
    (group,) = read(hot, CHIP).timings
    times = truth(group) / 0.85
    assert times.min() > 0.01
    hot = [row | {"measured_us": repr(t * 1e6)} for row, t in zip(hot, times.tolist(), strict=True)]
    assert calibrate([*rows, *hot], CHIP).profile.sustained == pytest.approx(0.85, abs=0.03)
    # Fewer say nothing.
    assert calibrate([*rows, *hot[:4]], CHIP).profile.sustained == GENERIC.sustained


# What a row does -------------------------------------------------------------------------------------------------------------

AMOUNTS = ("flops", "bytes", "launches", "staging", "depth", "items", "scores")


def row_of(**cells):
    return {name: str(value) for name, value in cells.items()} | {"measured_us": "1"}


@pytest.mark.parametrize(
    ("row", "question", "name"),
    [
        (row_of(kernel="mla_decode", kv_dtype="bf16", batch=8, q_len=1, past_len=1000, heads=128), rl.Decode(rl.model("deepseek-v3"), 8.0, 1000.0), "attention"),
        (row_of(kernel="mla_prefill", kv_dtype="bf16", batch=2, q_len=700, past_len=0, heads=128), rl.Prefill(rl.model("deepseek-v3"), 2.0, 700.0), "attention"),
        (row_of(kernel="mla_prefill", kv_dtype="bf16", batch=2, q_len=400, past_len=300, heads=128),
         rl.Prefill(rl.model("deepseek-v3"), 2.0, 700.0, cached=300.0), "attention"),
        (row_of(kernel="moe_ffn", dtype="fp8_block", tokens=8, hidden=7168, inter=2048, topk=8, experts=256, tp=1, ep=1),
         rl.Decode(rl.model("deepseek-v3"), 8.0, 1000.0), "experts"),
        (row_of(kernel="moe_ffn", dtype="bf16", tokens=9, hidden=4096, inter=14336, topk=2, experts=8, tp=1, ep=1),
         rl.Decode(rl.model("mixtral-8x7b"), 9.0, 1000.0), "experts"),
        (row_of(kernel="gemm", dtype="fp8", m=8, n=4096, k=14336), rl.Decode(rl.model("llama-3.1-8b", dtype="fp8"), 8.0, 1000.0), "down"),
        (row_of(kernel="gemm", dtype="bf16", m=8, n=4096, k=14336), rl.Decode(rl.model("llama-3.1-8b"), 8.0, 1000.0), "down"),
        (row_of(kernel="attn_decode", kv_dtype="bf16", batch=8, q_len=1, past_len=1000, heads=32, kv_heads=8, head_dim=128),
         rl.Decode(rl.model("llama-3.1-8b"), 8.0, 1000.0), "attention"),
        (row_of(kernel="attn_decode", dtype="bf16", kv_dtype="fp8", batch=8, q_len=1, past_len=1000, heads=32, kv_heads=8, head_dim=128),
         rl.Decode(rl.model("llama-3.1-8b", kv_dtype="fp8"), 8.0, 1000.0), "attention"),
        (row_of(kernel="attn_prefill", kv_dtype="bf16", batch=3, q_len=500, past_len=0, heads=32, kv_heads=8, head_dim=128),
         rl.Prefill(rl.model("llama-3.1-8b"), 3.0, 500.0), "attention"),
        (row_of(kernel="attn_prefill", kv_dtype="bf16", batch=3, q_len=500, past_len=250, heads=32, kv_heads=8, head_dim=128),
         rl.Prefill(rl.model("llama-3.1-8b"), 3.0, 750.0, cached=250.0), "attention"),
    ],
    ids=lambda x: f"{x['kernel']}-{x.get('kv_dtype', x.get('dtype'))}" if isinstance(x, dict) else "",
)  # fmt: skip
def test_what_a_row_does_is_what_the_model_does(row, question, name):
    """A product, attention and experts of a real model, as the model counts them and as rows do."""
    works = {w.name: w for s in sections(question, rl.Layout(), CHIP) for w in s.operations if isinstance(w, Op)}
    (group,) = read([row], BARE).timings
    mine, theirs = group.work, works[name]
    assert (mine.kernel, mine.rate, mine.form) == (theirs.kernel, theirs.rate, theirs.form)
    for amount in AMOUNTS:
        assert np.ravel(getattr(mine, amount))[0] == pytest.approx(float(getattr(theirs, amount))), amount


@pytest.mark.parametrize(("kernel", "name"), [("dispatch_low_latency", "dispatch"), ("combine_throughput", "combine")])
def test_what_a_row_sends_is_what_the_model_sends(kernel, name):
    question = rl.Decode(rl.model("deepseek-v3"), 64.0 * 100, 1000.0, imbalance=1.0)
    theirs = next(
        w
        for s in sections(question, rl.Layout(dp=64, ep=64), CHIP)
        for w in s.operations
        if isinstance(w, Message) and w.name == name
    )
    (group,) = read([row_of(kernel=kernel, dtype="fp8_block", tokens=100, hidden=7168, topk=8, gpus=64)], CHIP).timings
    for amount in ("size", "group", "copies", "stride"):
        assert np.ravel(getattr(group.work, amount))[0] == pytest.approx(float(getattr(theirs, amount))), amount


def test_columns_that_may_be_left_out_have_their_meaning():
    def amounts(**cells):
        (group,) = read([row_of(**cells)], BARE).timings
        return {name: float(np.ravel(getattr(group.work, name))[0]) for name in AMOUNTS}

    shape = {"kernel": "gemm", "dtype": "fp8", "m": 8, "n": 4096, "k": 1024}
    whole, alone = amounts(**shape), amounts(**shape, includes_act_quant=0)
    assert (whole["launches"], whole["staging"]) == (2.0, 8 * 1024 * 3)
    assert alone == whole | {"launches": 1.0, "staging": 0.0}
    # Evenly spread, 8 tokens on 2 of 8 experts each meet all of them; drawn at random, 8 (1 - (3/4)^8).
    shape = {
        "kernel": "moe_ffn",
        "dtype": "bf16",
        "tokens": 8,
        "hidden": 1024,
        "inter": 512,
        "topk": 2,
        "experts": 8,
        "tp": 1,
        "ep": 1,
    }
    assert amounts(**shape)["bytes"] / amounts(**shape, distribution="balanced")["bytes"] == pytest.approx(1 - 0.75**8)
    # A pass is one read and one write, unless its name says otherwise: a cast to 8 bits, a sum of two.
    passes = {
        name: amounts(kernel=name, dtype="bf16", rows=10, cols=100)["bytes"]
        for name in ("rms_norm", "scale_matrix", "add")
    }
    assert passes == {"rms_norm": 4000.0, "scale_matrix": 3000.0, "add": 6000.0}


# Stacks ----------------------------------------------------------------------------------------------------------------------

SLOW = attrs.evolve(TRUE["gemm"], eta_memory=0.35, t0=12e-6)


def stacked(count=240):
    """Products that TensorRT-LLM does slowly, and passes that both do alike."""
    return [
        *made("gemm", count=count, told={"stack": "vllm"}),
        *made("gemm", count=count, seed=2, told={"stack": "trtllm"}, kernels={"gemm": SLOW}),
        *(row for stack in ("vllm", "trtllm") for row in made("elementwise", count=60, told={"stack": stack})),
        *made("nccl_all_gather", count=60, told={"stack": ""}),
    ]


def test_a_stack_has_constants_of_its_own_only_where_its_kernels_differ():
    found = calibrate(stacked(), system=RACK)
    profile = found.profile
    assert [(each.name, each.stack) for each in found.fits] == [
        ("gemm.bf16", ""),
        ("elementwise.bf16", ""),
        ("gather", ""),
    ]
    # More than twice as slow as the others, one stack's kernels say nothing of those of a third.
    assert {(each.name, each.stack) for each in found.own} == {("gemm.bf16", "trtllm")}
    found_own = {
        stack: (set(own.kernels), set(own.links)) for stack, own in profile.stacks.items() if stack not in COMMON
    }
    assert found_own == {"trtllm": ({("gemm", "bf16")}, set())}
    for stack, true in (("vllm", TRUE["gemm"]), ("trtllm", SLOW)):
        own = profile.on(stack).kernel("gemm", "bf16")
        assert (own.eta_memory, own.t0) == (pytest.approx(true.eta_memory, rel=0.05), pytest.approx(true.t0, rel=0.05))
        assert profile.on(stack).kernel("elementwise", "bf16", "bf16") is profile.kernel("elementwise", "bf16", "bf16")
    together = profile.kernel("gemm", "bf16")
    assert SLOW.t0 > together.t0 > TRUE["gemm"].t0
    # What is told: each stack's own constants, beside those of all.
    assert [(f.name, f.stack) for f in profile.found] == [(e.name, e.stack) for e in (*found.fits, *found.own)]
    assert re.search(r"gemm\.bf16 +trtllm +240 ", found.table())
    assert profile.on("sglang") is profile


def test_rows_of_one_stack_alone_are_those_of_all():
    found = calibrate(made("gemm", told={"stack": "vllm"}), CHIP)
    assert (found.own, set(found.profile.stacks)) == ((), COMMON)
    assert found.fits[0].stack == "vllm"
    assert found.profile.on("vllm") is found.profile


@pytest.mark.parametrize(
    ("cells", "stack"),
    [({"stack": "vllm"}, "vllm"), ({"stack": "VLLM"}, "vllm"), ({"source": "h200_sxm/trtllm/1.2.0rc5"}, "trtllm"), ({"stack": "tgi"}, ""),
     ({}, ""), ({"kernel": "gemm:sglang"}, "sglang")],
)  # fmt: skip
def test_the_stack_stands_in_its_column_or_in_the_source(cells, stack):
    (group,) = read([row_of(kernel="gemm", dtype="bf16", m=8, n=64, k=64) | cells], CHIP).timings
    assert group.stack == stack
    assert stack in (*STACKS, "")


# What was timed, and what is left aside ----------------------------------------------------------------------------------------


def test_the_chip_is_what_the_rows_say():
    rows = made("gemm", told={"hardware": "h100_sxm"})
    found = calibrate(rows)
    assert (found.chip.name, found.profile.name, found.profile.vendors) == ("h100", "h100", ("NVIDIA",))
    assert found.fits[0].constants["gemm", "bf16"].t0 == pytest.approx(TRUE["gemm"].t0, rel=0.05)
    assert calibrate([row | {"hardware": "h100"} for row in rows]).chip.name == "h100"
    assert calibrate(rows, name="mine").profile.name == "mine"
    # A rank of that system is a die of its package.
    assert calibrate([row | {"hardware": "gb200"} for row in rows]).chip is rl.system("gb200-nvl72").chip
    # Collectives of a chip in the tables, or of one whose system has its name, are those of the system.
    for name in ("h100_sxm", "h200_sxm"):
        moved = made("nccl_alltoall", told={"hardware": name})
        for each in (calibrate(moved), calibrate(moved, name.removesuffix("_sxm"))):
            assert [fitted.name for fitted in each.fits] == ["all_to_all"]


def test_rows_that_do_not_say_what_was_timed():
    rows = made("gemm", count=50)
    with pytest.raises(
        rl.QuestionError, match=r"is not stated: no row has a hardware column; name the one with chip= \(--chip\)"
    ):
        calibrate(rows)
    both = [*(row | {"hardware": "h100_sxm"} for row in rows), *(row | {"hardware": "a100_sxm"} for row in rows)]
    with pytest.raises(
        rl.QuestionError, match=r"hardware='a100_sxm, h100_sxm': are several chips; name the one with chip= \(--chip\)"
    ):
        calibrate(both)
    with pytest.raises(rl.UnknownNameError, match="chip='h10': no such chip; did you mean h100"):
        calibrate([row | {"hardware": "h10"} for row in rows])


@pytest.mark.parametrize("named", [{"chip": "h100"}, {"system": "dgx-h100"}, {"system": RACK}, {"chip": CHIP}], ids=str)
def test_a_chip_that_is_named_picks_its_rows(named):
    ours = made("gemm", told={"hardware": "h100_sxm"})
    others = [row | {"hardware": name, "measured_us": "1000"} for row in ours for name in ("a100_sxm", "b200", "l40s")]
    alone, among = calibrate(ours), calibrate([*others, *ours], **named)
    assert among.fits[0].rows + among.fits[0].left_out == len(ours)
    assert attrs.astuple(among.fits[0].constants["gemm", "bf16"]) == attrs.astuple(
        alone.fits[0].constants["gemm", "bf16"]
    )
    # Names that the library does not know may be those of one chip, but not of two.
    mine = [row | {"hardware": "nvidia-h100-80gb-hbm3"} for row in ours]
    assert calibrate(mine, **named).fits[0].rows == alone.fits[0].rows
    with pytest.raises(
        rl.QuestionError, match="hardware='my-h100, nvidia-h100-80gb-hbm3': are several chips; keep the rows of one"
    ):
        calibrate([*mine, *(row | {"hardware": "my-h100"} for row in ours)], **named)


def test_rows_left_aside_are_counted_and_told():
    shape = {"batch": 4, "q_len": 1, "past_len": 2000, "heads": 32, "kv_heads": 8, "head_dim": 128}
    experts = {"tokens": 8, "hidden": 1024, "inter": 512, "topk": 2, "experts": 8, "tp": 1, "ep": 1}
    aside = {
        "weights that stay in the cache from one run to the next": [row_of(kernel="gemm", dtype="bf16", m=1, n=64, k=64, l2_hot_weights=1)] * 2,
        "experts that got uneven numbers of tokens": [row_of(kernel="moe_ffn", dtype="bf16", distribution="power_law_1.2", **experts)] * 4,
        "launches without a graph": [row_of(kernel="custom_all_reduce:eager", dtype="bf16", gpus=8, bytes=1024)] * 5,
        "fp32, which made cannot multiply": [row_of(kernel="gemm", dtype="fp32", m=1, n=64, k=64)] * 6,
        # 4 x 2001 x 2 x 8 x 128 x 2 B = 33 MB, of 50 MB.
        "caches that stay on the chip from one run to the next": [
            row_of(kernel="attn_decode", kv_dtype="bf16", **shape), row_of(kernel="attn_decode", kv_dtype="bf16", **shape | {"past_len": 100}, l2_hot_weights=1),
        ],
        "collectives, which need system= to say what joins the chips": made("nccl_alltoall", count=7),
    }  # fmt: skip
    rows = [row for each in aside.values() for row in each]
    kept = [
        *made("gemm", count=60),
        *(row_of(kernel="attn_decode", kv_dtype="bf16", **shape) | {"past_len": str(n)} for n in (100, 20000)),
        row_of(kernel="attn_decode", kv_dtype="bf16", **shape, l2_hot_weights=0),
    ]
    cached = tuple(fact for fact in CHIP.facts if fact.path.startswith("chip.cache."))
    chip = attrs.evolve(CHIP, name="made", peak={"bf16": CHIP.peak["bf16"], "fp8": CHIP.peak["fp8"]}, facts=cached)
    found = calibrate([*rows, *kept], chip)
    told = {f"{len(each):,} rows are left aside: {why}" for why, each in aside.items()}
    # Three rows of decode attention remain: less than 1/25 of the cache, more than all of it, and one that says it was read from memory.
    assert set(found.notes) == told | {"attention_decode.bf16: 3 rows are too few"}
    assert all(note in found.table() for note in found.notes)
    assert found.to_dict()["notes"] == list(found.notes)


def test_a_way_that_the_links_do_not_allow_is_left_aside():
    rows = [*made("custom_all_reduce", count=40), *made("gemm", count=40, chip=rl.chip("l40s"))]
    found = calibrate(rows, system="l40s")
    assert [each.name for each in found.fits] == ["gemm.bf16"]
    assert found.notes == ("40 rows are left aside: one_shot|two_shot, a way that the links of l40s do not allow",)


# As a file -------------------------------------------------------------------------------------------------------------------


def close(mine, theirs):
    """Constants that were written and read again: four digits."""
    for field in attrs.fields(type(theirs)):
        a, b = getattr(mine, field.name), getattr(theirs, field.name)
        assert a == b if b is None else a == pytest.approx(b, rel=1e-3, abs=1e-15), field.name
    return True


def test_a_profile_that_is_written_is_the_one_that_was_found(tmp_path):
    rows = [*stacked(), *made("attn_decode", "fp8", told={"stack": "trtllm"}), *made("custom_all_reduce", told={"stack": "vllm"}),
            *made("custom_all_reduce", seed=2, told={"stack": "sglang"}, links={way: attrs.evolve(LINKS[way], eta=0.3) for way in ("one_shot", "two_shot")})]  # fmt: skip
    found = calibrate(rows, system=RACK)
    path = tmp_path / "mine.toml"
    catalog.write(path, found.toml(date(2026, 11, 22), 'Timings "of mine"', "https://example.org/timings").encode())
    mine, true = rl.profile(path, RACK), found.profile
    assert (mine.name, mine.level, mine.vendors) == ("mine", "calibrated", true.vendors)
    assert mine.sustained == pytest.approx(true.sustained, rel=1e-3)
    assert (mine.eager, mine.memory_fraction, mine.elsewhere) == (true.eager, true.memory_fraction, true.elsewhere)
    assert mine.kernels.keys() == true.kernels.keys()
    assert all(close(mine.kernels[key], kernel) for key, kernel in true.kernels.items())
    assert mine.links.keys() == true.links.keys()
    assert all(close(mine.links[way], link) for way, link in true.links.items())
    assert set(mine.stacks) == set(true.stacks) == {"sglang", "trtllm", "vllm"} | COMMON
    for name, stack in true.stacks.items():
        assert mine.stacks[name].kernels.keys() == stack.kernels.keys()
        assert mine.stacks[name].links.keys() == stack.links.keys()
        assert all(close(mine.stacks[name].kernels[key], kernel) for key, kernel in stack.kernels.items())
        assert all(close(mine.stacks[name].links[way], link) for way, link in stack.links.items())
    assert len(mine.found) == len(true.found) == len(found.fits) + len(found.own)
    for a, b in zip(mine.found, true.found, strict=True):
        assert (a.name, a.stack, a.rows, a.left_out) == (b.name, b.stack, b.rows, b.left_out)
        assert (a.mape, a.median, a.p90) == pytest.approx((b.mape, b.median, b.p90), rel=5e-3)
    cited = {f.path: f.source for f in mine.facts}
    source = cited["kernel.gemm.bf16.t0"]
    assert (source.kind, source.title, source.url) == ("derived", 'Timings "of mine"', "https://example.org/timings")
    assert "2026-11-22" in source.reason
    assert any(path.startswith("stack.") for path in cited)
    assert "link.gather.start" in cited
    assert source == cited["kernel.gemm.bf16.eta_memory"] == cited["calibration.sustained"]
    assert cited["kernel.elementwise.any.t0"].kind == "measured"
    # The same rows give the same file, whenever they are fitted.
    assert found.toml(date(2026, 11, 22)) == calibrate(rows, system=RACK).toml(date(2026, 11, 22))


def test_the_fields_of_a_fit_have_their_units():
    fields = calibrate(stacked(), system=RACK).to_dict()
    assert (fields["profile"], fields["chip"]) == ("h100", "h100")
    first, *_, own = fields["fits"]
    assert (first["kernel"], first["format"], first["stack"], first["rows_fitted"], first["rows_left_out"]) == (
        "gemm",
        "bf16",
        "",
        120,
        120,
    )
    assert set(first["constants"]["kernel.gemm.bf16"]) == {
        "eta_compute",
        "eta_memory",
        "t0_s",
        "step_s",
        "p",
        "eta_staging",
    }
    assert own["stack"] in STACKS
    gather = next(each for each in fields["fits"] if each["kernel"] == "gather")
    assert gather["constants"]["link.gather"]["pair"] == pytest.approx(LINKS["gather"].pair, rel=0.1)
    json.dumps(fields, allow_nan=False)


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
    path = written(tmp_path, made("gemm", count=200), pack=pack)
    profile = tmp_path / "mine.toml"
    app.main(["calibrate", str(path), "--chip", "h100", "-o", str(profile)])
    said = capsys.readouterr()
    assert "gemm" in said.out
    assert "wrote" in said.err
    app.main(["calibrate", str(path), "--chip", "h100", "--json"])
    fields = json.loads(capsys.readouterr().out)
    assert fields["fits"][0]["mape_left_out"] < 0.03
    mine = rl.profile(str(profile), "dgx-h100")
    assert mine.kernel("gemm", "bf16").eta_compute == pytest.approx(
        fields["fits"][0]["constants"]["kernel.gemm.bf16"]["eta_compute"], rel=1e-3
    )
    assert close(mine.kernel("moe", "fp8"), GENERIC.kernel("moe", "fp8"))
    est = rl.estimate("llama-3.1-8b", "dgx-h100", level=str(profile), tp=1, concurrency=8)
    cited = {fact.path: fact.source.kind for fact in est.citations()}
    assert cited["kernel.gemm.bf16.t0"] == "derived"
    assert cited["kernel.elementwise.any.t0"] == "measured"


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "must name every column once"), (b"m,m\n1,2\n", "must name every column once"), (b"m,n\n1\n", "line 2: has 1 cells, not 2"),
     (b"\xff\xfe\x00", "not UTF-8"), (b'm,n\n"1,2\n', "not valid CSV|cells"), (b"\x1f\x8bnonsense", "not a whole gzip"), (b"m,n,k,dtype,measured_us\n1,2,3,bf16,0\n", "measured_us='0'"),
     (b"m,n,k,dtype,measured_us\n1,2,3,bf16,nan\n", "must be a time of"), (b"m,n,k,dtype,measured_us\n1,2,-3,bf16,1\n", "k='-3'"),
     (b"m,n,dtype,measured_us\n1,2,bf16,1\n", "row 1: k: is missing"), (b"kernel,measured_us\nconvolution,1\n", "unknown kernel"),
     (b"m,n,k,dtype,measured_us\n1,2,3,fp9,1\n", "no such dtype"), (b"m,n,k,dtype,measured_us\n1,2,3,bf16,1\n", "no kernel with enough of them"),
     (b"kernel,gpus,measured_us\nnccl_alltoall,8,1\n", "row 1: bytes: is missing"), (b"kernel,kv_dtype,batch,q_len,past_len,heads,measured_us\nmla_decode,fp9,1,1,1,1,1\n", "no such dtype"),
     (b"hardware,m,n,k,dtype,measured_us\na,1,2,3,bf16,1\nb,1,2,3,bf16,1\n", "hardware='a, b': are several chips")],
)  # fmt: skip
def test_a_wrong_table_is_refused_in_one_line(tmp_path, capsys, data, says):
    path = tmp_path / "bad.csv"
    path.write_bytes(data)
    with pytest.raises(SystemExit) as left:
        app.main(["calibrate", str(path), "--chip", "h100", "-o", str(tmp_path / "never.toml")])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(says, error), error
    assert not (tmp_path / "never.toml").exists()


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"kernel,dtype,m,n,k,measured_us\n" + data)
    with pytest.raises(rl.RooflineError):
        calibrate(path, CHIP)


CELLS = st.sampled_from(
    [
        "",
        "1",
        "8",
        "0",
        "-1",
        "1e400",
        "nan",
        "x",
        "bf16",
        "fp8_block",
        "gemm",
        "1e-320",
        "balanced",
        "vllm",
        "h100_sxm",
        "a" * 300,
    ]
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*KINDS, "gemm:x", "rms_norm", ""]),
            st.dictionaries(
                st.sampled_from(
                    [
                        *SIZES,
                        "dtype",
                        "kv_dtype",
                        "stack",
                        "source",
                        "hardware",
                        "distribution",
                        "l2_hot_weights",
                        "includes_act_quant",
                        "measured_us",
                    ]
                ),
                CELLS,
            ),
        ),
        max_size=3,
    )
)
def test_any_cells_are_read_or_refused(rows):
    whole = dict.fromkeys(SIZES, "8") | {
        "past_len": "1000",
        "bytes": "4096",
        "dtype": "bf16",
        "kv_dtype": "bf16",
        "measured_us": "10",
    }
    try:
        reading = read([whole | {"kernel": kernel} | cells for kernel, cells in rows], CHIP)
    except rl.RooflineError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        assert sum(each.count for each in reading.timings) + sum(reading.aside.values()) == len(rows)


def test_a_fitted_format_serves_where_it_multiplies_as_it_is_stored():
    slow = attrs.evolve(GENERIC.kernel("gemm", "fp8"), t0=1.0)
    mine = attrs.evolve(GENERIC, kernels={**GENERIC.kernels, ("gemm", "fp8-block"): slow})
    block, plain = (rl.model("llama-3.1-8b", dtype=name) for name in ("fp8-block", "fp8"))
    ask = [rl.estimate(rl.Decode(model, 8, 100), "dgx-h100", rl.Layout(), level=mine).tpot for model in (block, plain)]
    assert ask[0] > 100 > ask[1]
    # An A100 widens it to 16 bits: the constants of the format's own kernels have no say.
    assert rl.estimate(rl.Decode(block, 8, 100), "dgx-a100-80gb", rl.Layout(), level=mine).tpot < 1


def test_a_long_way_slows_a_short_prompt_by_what_it_is():
    # However many cores there are, a query walks through its keys one after another: so long for each token, layer by layer.
    step = 1e-6
    kernel = attrs.evolve(GENERIC.kernel("attention_prefill", "bf16"), step=0.0)
    base, mine = (
        with_constants(
            GENERIC,
            {
                ("attention_prefill", "any"): attrs.evolve(kernel, step=each),
                ("attention_prefill", "bf16"): attrs.evolve(kernel, step=each),
            },
        )
        for each in (0.0, step)
    )
    model = rl.model("llama-3.2-1b")
    for tokens in (256, 32768):
        quick, slow = (
            float(
                rl.estimate(
                    rl.Prefill(model, 1, tokens), "dgx-h100", rl.Layout(), level=attrs.evolve(p, engine=Engine("bare"))
                ).ttft
            )
            for p in (base, mine)
        )
        assert slow - quick == pytest.approx(model.depth * tokens * step, rel=1e-6)


# What is shipped -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def profiles():
    spec = importlib.util.spec_from_file_location("profiles", ROOT / "scripts" / "profiles.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def refitted():
    """Of each chip the rows that are shipped, and what they tell."""
    rows = [row for path in sorted((ROOT / "hardware" / "timings").glob("*.csv.gz")) for row in catalog.read_rows(path)]
    mine = {
        name: [row for row in rows if row["hardware"] == name] for name in sorted({row["hardware"] for row in rows})
    }

    def base(name):
        relative = rl.system(MACHINES.get(name, name)).package.relative
        return ROOT / "hardware" / "calibration" / f"{relative}.toml" if relative else "generic"

    return {name: (kept, calibrate(kept, base=base(name))) for name, kept in mine.items()}


def undated(text):
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)


def shipped():
    """Every profile that is shipped, and what its stacks differ in: (profile, class, format, constants)."""
    for name in rl.names("calibration"):
        profile = catalog.profile(ROOT / "hardware" / "calibration" / f"{name}.toml", "dgx-h100")
        for part in (profile, *profile.stacks.values()):
            yield from ((profile, *key, kernel) for key, kernel in part.kernels.items())


def test_no_shipped_constant_is_at_the_end_of_its_physical_range_and_no_class_is_more_than_half_off():
    for profile, kind, form, kernel in shipped():
        assert kernel.error <= 0.5, (profile.name, kind, form)
        for name in FITTED.get(kind, ()):
            value, (low, high) = getattr(kernel, name), span((kind, form), name)
            # What was not fitted is as in an ideal kernel.
            if value not in (getattr(rl.Kernel(), name), None) and not (
                kind == "gemm" and form == "bf16" and name == "eta_staging"
            ):
                assert low * 1.004 < value < high / 1.004, (profile.name, kind, form, name, value)


MODELS = ("deepseek-v3", "qwen3-235b-a22b", "mixtral-8x7b", "minimax-m2.5", "qwen3-next-80b-a3b")


@given(
    st.sampled_from(MODELS),
    st.sampled_from(["dgx-h100", "hgx-h200", "dgx-b200", "gb200-nvl72", "hgx-b300"]),
    st.floats(1, 1e5),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from(["fp8-block", "fp8", "nvfp4", "bf16"]),
)
def test_experts_of_any_size_are_within_reach_of_their_bound(name, rack, tokens, ep, form):
    """Few tokens or many, few experts a rank or all: 5 to 45 us of launches, and what passes and products take at physical rates."""
    system = rl.system(rack)
    model = rl.model(name, dtype=form)
    if model.formats.experts and dtype(form).rate(system.chip.peak) is None:
        return
    question = rl.Decode(model, tokens, 1000.0)
    op = next(
        w for s in sections(question, rl.Layout(tp=ep, ep=ep), system.chip) for w in s.operations if w.name == "experts"
    )
    profile = rl.profile("calibrated", system)
    cost, bound = roofline.price(op, system.chip, profile), roofline.price(op, system.chip, rl.IDEAL).time
    passes = op.staging / system.chip.memory.bandwidth
    assert 5e-6 + bound < cost.time < 45e-6 + (bound + passes) / RANGES["eta_staging"][0]


@given(
    st.sampled_from(MODELS),
    st.sampled_from(["dgx-b200", "gb200-nvl72", "hgx-b300", "gb300-nvl72"]),
    st.floats(1, 1024),
    st.sampled_from([1, 2, 4, 8]),
)
def test_experts_in_4_bits_are_no_slower_than_in_8(name, rack, tokens, ep):
    """Of as many tokens as a decode step has; of thousands, the rows of small experts say that more passes around them take longer."""
    system = rl.system(rack)
    profile = rl.profile("calibrated", system)

    def time(form):
        question = rl.Decode(rl.model(name, dtype=form), tokens, 1000.0)
        found = sections(question, rl.Layout(tp=ep, ep=ep), system.chip)
        return roofline.price(
            next(w for s in found for w in s.operations if w.name == "experts"), system.chip, profile
        ).time

    assert time("nvfp4") <= time("fp8-block") * 1.001


def test_integers_of_8_bits_have_no_laxer_constants_than_fp8():
    for name in rl.names("calibration"):
        profile = catalog.profile(ROOT / "hardware" / "calibration" / f"{name}.toml", "dgx-h100")
        for kind in ("gemm", "moe"):
            assert profile.kernel(kind, "int8", "int8") is profile.kernel(kind, "fp8", "fp8")


def test_a_shipped_profile_is_made_of_the_shipped_timings(profiles, tmp_path, monkeypatch, capsys):
    """The script, on one chip: the text of the file to the letter."""
    shipped = (ROOT / "hardware" / "calibration" / "l40s.toml").read_text(encoding="utf-8")
    (tmp_path / "hardware" / "calibration").mkdir(parents=True)
    monkeypatch.setattr(profiles, "ROOT", tmp_path)
    profiles.main(["--timings", str(ROOT / "hardware" / "timings"), "--only", "l40s"])
    assert [path.name for path in tmp_path.rglob("*.toml")] == ["l40s.toml"]
    assert undated((tmp_path / "hardware" / "calibration" / "l40s.toml").read_text(encoding="utf-8")) == undated(
        shipped
    )
    assert "gemm.fp8-block" in capsys.readouterr().err


@pytest.mark.thorough
def test_every_shipped_profile_is_what_its_timings_tell(refitted):
    """Fitted anew, every constant and error is that of the file, as far as another machine rounds alike."""
    assert {found.chip.name for _, found in refitted.values()} == set(rl.names("calibration")) - {"generic"}
    for name, (_, found) in refitted.items():
        ours, file = (
            found.profile,
            catalog.profile(ROOT / "hardware" / "calibration" / f"{found.chip.name}.toml", "dgx-h100"),
        )
        told = [[(f.name, f.stack, f.rows, f.left_out) for f in each.found] for each in (ours, file)]
        assert told[0] == told[1], name
        for mine, theirs in zip(ours.found, file.found, strict=True):
            assert attrs.astuple(mine)[4:] == pytest.approx(attrs.astuple(theirs)[4:], rel=0.1), (name, mine)
        parts = [(ours, file), *((ours.stacks[stack], file.stacks[stack]) for stack in file.stacks)]
        for mine, theirs in [pair for a, b in parts for pair in ((a.kernels, b.kernels), (a.links, b.links))]:
            assert mine.keys() == theirs.keys(), name
            for key, constants in theirs.items():
                for field in attrs.fields(type(constants)):
                    a, b = getattr(mine[key], field.name), getattr(constants, field.name)
                    assert a == b if b is None else a == pytest.approx(b, rel=0.02, abs=1e-14), (name, key, field.name)


@pytest.mark.thorough
def test_the_rows_that_are_shipped_are_used(refitted):
    # What says nothing of the constants was left out of the tables before; which caches stay on the chip is for the chip to say.
    for name, (rows, found) in refitted.items():
        assert sum(part.timings.count for part in found.parts) > 0.75 * len(rows), name
        assert all(
            re.search("caches that stay|links of l40s do not allow|no constants are within", note)
            for note in found.notes
        ), found.notes


def _products(**changed):
    rows = [
        {"kernel": "gemm", "dtype": "bf16", "m": 16 << i % 9, "n": 4096, "k": 4096, "measured_us": 20.0 + i}
        for i in range(24)
    ]
    return [{name: str(value) for name, value in (row | changed).items()} for row in rows]


@pytest.mark.parametrize("time", ["1e-300", "1e-4", "1e11", "1e300", "inf", "nan", "-1", "0", ""])
def test_times_that_no_clock_tells_are_refused(time):
    with pytest.raises(rl.RooflineError, match="row 1: measured_us"):
        calibrate(_products(measured_us=time), "h200")


@pytest.mark.parametrize("size", ["1e16", "1e300", "inf", "0", "-4"])
def test_sizes_that_no_chip_has_are_refused(size):
    with pytest.raises(rl.RooflineError, match="row 1: k"):
        calibrate(_products(k=size), "h200")


def test_a_profile_of_nothing_is_not_written():
    found = calibrate(_products(measured_us="0.001"), "h200")
    assert found.fits == ()
    with pytest.raises(rl.QuestionError, match="there is no profile to write"):
        found.toml()
