"""Measured training runs against what is predicted of them: what a run leaves open, one array and one by one, scores by hand."""

import csv
import io
import json

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.planner.train import train
from roofline.validation import runs, training_assumptions, training_notes
from roofline.validation.scoring import Prediction, score
from roofline.validation.training_replay import predict
from roofline.workload.questions import TrainStep

SHIPPED = catalog.measured("training")[1]
ROW = {
    "id": "a", "group": "g", "model": "llama-3.1-8b", "system": "dgx-h100", "chips": "8", "chips_per_node": "8", "dtype": "bf16", "seq_len": "8192",
    "global_batch": "128", "micro_batch": "1", "tp": "1", "pp": "1", "vpp": "1", "cp": "1", "ep": "1", "dp": "8", "sharding": "zero1", "recompute": "none",
    "sequence_parallel": "0", "task": "pretrain", "framework": "megatron", "step_time_s": "13", "quality": "A", "source": "here", "note": "",
}  # fmt: skip
MOE = ROW | {"model": "mixtral-8x7b", "chips": "64", "dp": "16", "tp": "4", "ep": "8", "sequence_parallel": "1"}
open_ = training_assumptions.opener("generic")


def case(base=ROW, **change):
    return open_(runs.training_runs([base | change])[0])


def said(base=ROW, **change):
    return " | ".join(case(base, **change).said)


def asked(level="generic", base=ROW, **change):
    return rl.validate([base | change], level=level)


def time(base=ROW, **change):
    (p,) = asked(base=base, **change).predictions
    assert p.predicted is not None, p.reason
    return p.predicted


# The runs that come with the library -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    return rl.validate("training", level="generic")


@pytest.mark.thorough
def test_every_shipped_run_is_priced(whole):
    assert whole.kind == "training"
    assert len(whole.skipped) < 0.01 * whole.runs
    for p in whole.predictions:
        assert (p.predicted is None) == bool(p.reason)
        if p.predicted is not None:
            assert 0 < p.low <= p.predicted <= p.high < np.inf
    # Far from what it will be; a mistake of a factor shows.
    assert whole.quantities()["step_time_s"].median_ape < 0.25


@pytest.mark.thorough
def test_one_array_says_what_one_by_one_does(whole):
    together = {p.run.id: p for p in whole.predictions}
    for row in SHIPPED[::67]:
        (p,) = rl.validate([row], level="generic").predictions
        other = together[p.run.id]
        assert (p.reason, p.said, p.run) == (other.reason, other.said, other.run)
        for name in ("predicted", "low", "high"):
            assert getattr(p, name) == pytest.approx(getattr(other, name), rel=1e-9), (row["id"], name)


def test_the_step_is_that_of_the_verb():
    """A dozen shipped runs: what is predicted is what the question of the row answers."""
    some = [
        row
        for row in SHIPPED
        if row["recompute"] in ("none", "full") and not row["note"].startswith("assumed") and row["task"] == "pretrain"
    ]
    for row in some[:: len(some) // 12][:12]:
        found = case(row)
        (p,) = rl.validate([row], level="generic").predictions
        question = TrainStep(
            rl.model(row["model"], dtype=row["dtype"]), float(row["global_batch"]), float(row["seq_len"]), float(row["micro_batch"]),
            recompute=found.recompute, share=found.share, offload=found.offload, imbalance=1.0, gradient_bytes=found.framework.gradients,
        )  # fmt: skip
        layout = found.layouts.select(0)
        est = train(question, row["system"], layout, level="generic", framework=found.framework)
        assert p.predicted == pytest.approx(float(est.step_time), rel=1e-6)


# What a row leaves open ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name"),
    [({"framework": "", "group": "maxtext-readme", "system": "tpu-v5p-pod"}, "maxtext"), ({"framework": "maxtext"}, "maxtext-gpu"),
     ({"framework": "megatron", "system": "mi300x-8"}, "rocm"), ({"framework": ""}, "generic"), ({"framework": "mine"}, "mine")],
)  # fmt: skip
def test_the_framework_goes_by_the_chip_too(words, name):
    assert case(**words).run.framework == name


def test_a_framework_that_is_not_described_is_any():
    assert "mine is not described" in said(framework="mine")
    assert "none is named" in said(framework="")


@pytest.mark.parametrize(
    ("words", "recompute", "share", "reason"),
    [({"recompute": "unknown"}, "none", 1.0, "recipes of megatron for pretrain"), ({"recompute": ""}, "none", 1.0, "not recorded"),
     ({"recompute": "unknown", "framework": "automodel", "task": "lora"}, "full", 1.0, "recipes of automodel for lora"),
     ({"recompute": "unknown", "framework": "automodel"}, "none", 1.0, "not recorded"), ({"recompute": "full"}, "full", 1.0, ""),
     ({"recompute": "unknown", "framework": "torchtitan"}, "selective", 1.0, "not recorded"), ({"recompute": "selective"}, "selective", 1.0, ""),
     ({"recompute": "selective", "note": "recompute=selective:mla_up_proj+mlp"}, "selective:up+ffn", 1.0, ""),
     ({"recompute": "selective", "note": "recompute=selective:core_attn (mcore default)"}, "selective:attention", 1.0, ""),
     ({"recompute": "selective", "note": "recompute=layernorm,moe"}, "selective:norm+experts", 1.0, ""),
     ({"recompute": "selective", "note": "recompute=norm,act; ETP=1"}, "selective:norm+activation", 1.0, ""),
     ({"recompute": "selective", "note": "recompute=selective [8, 4, 4, 0]"}, "full", 0.5, ""), ({"recompute": "full", "note": "recompute=full on layers [6, 2]"}, "full", 0.25, ""),
     ({"recompute": "full", "note": "recompute=full method=block num_layers=4", "pp": "4", "dp": "2"}, "full", 0.5, ""),
     ({"recompute": "full", "note": "recompute=full method=uniform num_layers=1"}, "full", 1.0, ""),
     ({"recompute": "selective", "note": "recompute=remat_policy=minimal_with_context"}, "none", 1.0, "is stored"),
     ({"recompute": "selective", "note": "recompute=remat_policy=minimal"}, "selective", 1.0, "")],
)  # fmt: skip
def test_what_is_done_again(words, recompute, share, reason):
    found = case(**words)
    assert (found.recompute, found.share) == (recompute, share)
    assert reason in " | ".join(found.said)
    assert bool(reason) == any("again" in words or "recompute" in words for words in found.said)


@pytest.mark.parametrize(
    ("words", "document", "told"),
    [({}, 8192, False), ({"task": "finetune"}, 256, True), ({"task": "lora", "seq_len": "128"}, 128, True),
     ({"task": "lora", "group": "mlperf-v5.0-llama2-70b-lora"}, 8192, False), ({"task": "lora", "note": "MLPerf packed 4096-token samples"}, 4096, False),
     ({"task": "finetune", "framework": "mindformers"}, 8192, False)],
)  # fmt: skip
def test_samples_are_packed_where_nemo_fine_tunes(words, document, told):
    found = case(**words)
    assert found.document == document
    assert told == any("packed" in words for words in found.said)


@pytest.mark.parametrize(
    ("note", "change"),
    [("cuda_graph=none:full_iteration", {"launch": 0.0}), ("cuda_graph=full_iteration:[]", {"launch": 0.0}), ("cuda_graph=local:full_iteration", {"launch": 0.0}),
     ("cuda_graph=transformer_engine:['attn']", {"launch": 0.5}), ("FP8_ACT=1,MCORE_CUDA_GRAPH=1", {"launch": 0.5}), ("cuda_graph=none:[]", {}),
     ("LAYER_CUDA_GRAPH=0,MCORE_CUDA_GRAPH=0", {}), ("flags: use-mc2,use-fused-rmsnorm", {"unfused": "all"}), ("async TP; torch.compile", {"tp": "overlapped"}), ("flags: use-mc2,use-flash-attn", {}), ("FP8_DPA=1", {"narrow": True}), ("NVTE_FP8_DPA_BWD=1,FP8_DPA=0", {}),
     ("moe_a2a_overlap; dispatcher=hybridep", {"ep": "paired"}), ("version 1.0.RC3", {})],
)  # fmt: skip
def test_a_note_changes_the_framework(note, change):
    plain, found = case().framework, case(note=note).framework
    for name, value in change.items():
        scaled = value * getattr(plain, name) if isinstance(value, float) else value
        expected = getattr(plain, value, value) if isinstance(value, str) else scaled
        assert getattr(found, name) == expected
    assert attrs.evolve(found, **{name: getattr(plain, name) for name in change}).launch == plain.launch
    assert bool(change) == bool(case(note=note).traits)


def test_an_unfused_step_and_one_of_a_graph():
    small = {"seq_len": "1024", "model": "qwen2.5-0.5b"}
    assert time(note="flags: use-mc2") > 1.05 * time()
    assert time(**small, note="cuda_graph=none:full_iteration") <= time(**small)


@pytest.mark.parametrize(
    ("words", "dtype"),
    [({"dtype": "fp8", "note": "fp8=current scaling"}, "fp8"), ({"dtype": "fp8", "note": "fp8=blockwise"}, "fp8-block"),
     ({"dtype": "fp8", "note": "parenthesised number = finer quantisation granularity"}, "fp8-block"), ({"dtype": "mxfp8"}, "mxfp8"), ({"dtype": ""}, "bf16")],
)  # fmt: skip
def test_the_format_of_products(words, dtype):
    assert case(**words).model.formats.dense == dtype


def test_activations_that_wait_in_the_host():
    assert case(note="activation CPU offload of 8 layers").offload == 0.25
    assert case(note="activation CPU offload False").offload == 0.0


@pytest.mark.parametrize(
    ("note", "year"), [("container 25.11; x", 25.11), ("assumed=sharding; release v25.05.05; y", 25.05), ("framework NVIDIA NeMo Framework Release 24.09", 24.09), ("published 47.95 seq/s", None)],
)  # fmt: skip
def test_when_the_software_was_released(note, year):
    assert training_notes.released(note) == (None if year is None else pytest.approx(year, abs=1e-3))


def test_a_release_goes_by_the_framework_as_it_was(monkeypatch):
    """A run goes by the oldest state that lasted until its release; one whose release nobody knows, by the present one."""
    base, names = catalog.framework("generic"), catalog.names
    known = {
        "mine": ("", 0.0),
        "mine-25": ("mine", 26.05),
        "mine-24": ("mine", 25.05),
        "other-24": ("other", 25.05),
        "generic": ("", 0.0),
    }
    monkeypatch.setattr(catalog, "names", lambda kind: tuple(known) if kind == "framework" else names(kind))
    monkeypatch.setattr(
        catalog, "framework", lambda name: attrs.evolve(base, name=name, of=known[name][0], until=known[name][1])
    )
    opened = training_assumptions.opener("generic")
    for note, name in (
        ("container 25.11", "mine-25"),
        ("container 26.06", "mine"),
        ("release v24.11.1", "mine-24"),
        ("", "mine"),
    ):
        assert opened(runs.training_runs([ROW | {"framework": "mine", "note": note}])[0]).framework.name == name


def test_a_library_that_sends_tokens_to_experts_says_that_they_are_spread():
    assert float(case(MOE, ep="1", note="kernels TE + DeepEP").layouts.ep[0]) == 8
    assert float(case(MOE, ep="1").layouts.ep[0]) == 1


def test_experts_are_cut_as_far_as_their_ranks_go():
    assert float(case(MOE).layouts.etp[0]) == 4
    assert float(case(MOE, note="ETP=1").layouts.etp[0]) == 1
    # Eight shards of eight ranks: no expert is cut.
    assert float(case(MOE, chips="8", dp="2").layouts.etp[0]) == 1
    assert case(MOE).run.kind == "MoE"
    assert case().run.kind == "dense"


def test_experts_are_spread_where_tokens_are_sent():
    assert float(case(MOE, ep="1", note="kernels TE + DeepEP").layouts.ep[0]) == 8
    assert "experts spread" in said(MOE, ep="1", note="kernels TE + DeepEP")
    assert float(case(MOE, ep="1").layouts.ep[0]) == 1
    assert float(case(MOE, ep="2", note="dispatcher=hybridep").layouts.ep[0]) == 2
    assert float(case(ep="1", note="DeepEP").layouts.ep[0]) == 1


def test_chunks_that_nobody_states():
    words = {"pp": "4", "dp": "2"}
    assert float(case(**words).layouts.vpp[0]) == 1
    assert float(case(**words, vpp="").layouts.vpp[0]) == 2
    assert "vpp is not stated" in said(**words, note="assumed=vpp")
    assert float(case(**words, vpp="", framework="llm-foundry").layouts.vpp[0]) == 1
    assert float(case(vpp="").layouts.vpp[0]) == 1


def test_chunks_that_a_file_puts_in_are_possible():
    """Of 8 chunks put in, Llama 3.1 8B's 32 layers on 4 stages take 8; where stages do not divide the micro-batches, none is possible."""
    words = {"pp": "4", "dp": "2", "note": "assumed=vpp", "vpp": "8"}
    assert float(case(**words).layouts.vpp[0]) == 8
    assert float(case(**words, global_batch="12").layouts.vpp[0]) == 1


def test_a_row_may_say_little():
    (p,) = rl.validate(
        [{"model": "llama-3.1-8b", "system": "dgx-h100", "seq_len": 4096, "global_batch": 64, "mine": "x"}],
        level="generic",
    ).predictions
    assert (p.measured, p.reason) == (None, "")
    assert p.predicted > 0
    for words in (
        "GEMMs in bf16",
        "one sequence a micro-batch",
        "the best layout: tp, pp, cp, dp, ep",
        "8 chips: chips",
        "recompute none",
        "sharding zero1",
    ):
        assert words in " | ".join(p.said)


def test_unknown_degrees_are_those_of_the_quickest_layout_that_fits():
    words = {"pp": "1", "cp": "1", "sequence_parallel": "1", "recompute": "full"}
    found = time(**words, tp="", dp="", ep="")
    each = [time(**words, tp=str(tp), dp=str(8 // tp)) for tp in (1, 2, 4, 8)]
    assert any(found == pytest.approx(one) for one in each)
    assert time(**words, tp="2", dp="") == pytest.approx(each[1])
    assert time(**words, tp="2", dp="4", chips="") == pytest.approx(each[1])


def test_what_a_file_put_in_is_told():
    assert "sharding as the file puts it in" in said(note="assumed=sharding+dtype; x")
    assert case(sharding="zero3", note="fsdp=FSDP 4 in node, DP 2 across nodes").layouts.fsdp == 4
    assert case(sharding="zero3", note="fsdp=FSDP2 8").layouts.fsdp is None
    assert "sharding zero3" in said(sharding="", framework="llm-foundry")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"model": "llama-9"}, "no such model"), ({"model": "llama-3.1-8b-99-layers"}, "must be from 1 to the 32"), ({"system": "dgx-x9"}, "no such system"),
     ({"dtype": "fp9"}, "no such dtype"), ({"model": ""}, "model: is not known"), ({"seq_len": ""}, "must be known"), ({"chips": "16"}, "do not make 16 chips"),
     ({"tp": "3", "dp": "", "chips": "6"}, "tp must divide"), ({"ep": "2"}, "ep must be 1"), ({"global_batch": "100"}, "must divide the global batch"),
     ({"pp": "64", "chips": "512", "vpp": "2"}, "cannot exceed the 32 layers")],
)  # fmt: skip
def test_a_row_that_cannot_be_priced_says_why(change, reason):
    found = rl.validate([ROW | change, ROW | {"id": "b"}])
    assert list(found.skipped) == ["a"]
    assert reason in found.skipped["a"]
    assert "\n" not in found.skipped["a"]
    scores = found.quantities()["step_time_s"]
    assert (scores.n, scores.skipped) == (1, 1)
    assert scores.inside_interval <= 0.5


# Scores ----------------------------------------------------------------------------------------------------------------


def hand_made():
    """Rows whose measured times are the predicted one over known factors; the first two are one configuration."""
    base = time()
    rows = [ROW | {"id": str(i), "step_time_s": repr(base / factor)} for i, factor in enumerate((1.2, 1.4, 0.9), 1)]
    rows[1] |= {"note": "container 26.06"}
    rows[2] |= {"group": "other"}
    return [*rows, ROW | {"id": "4", "system": "nowhere"}]


def test_repeats_share_a_weight():
    found = rl.validate(hand_made(), level="generic")
    assert (found.runs, found.configurations) == (4, 3)
    plain, fair = found.quantities()["step_time_s"], found.quantities(weighed=True)["step_time_s"]
    assert plain.mape == pytest.approx((0.2 + 0.4 + 0.1) / 3)
    assert fair.mape == pytest.approx((0.5 * 0.2 + 0.5 * 0.4 + 0.1) / 2)
    assert (plain.n, plain.skipped, fair.n, fair.skipped) == (3, 1, 3, 1)
    fields = found.to_dict()
    assert fields["quantities"]["step_time_s"]["mape"] == plain.mape
    assert fields["by_configuration"]["quantities"]["step_time_s"]["mape"] == fair.mape
    keys = {"group", "system", "model", "framework", "dtype", "task", "kind", "quality"}
    assert keys == set(fields["groups"]) == set(fields["by_configuration"]["groups"])
    assert fields["groups"]["framework"]["megatron"]["step_time_s"]["n"] == 3
    assert [each["id"] for each in fields["skipped"]] == ["4"]
    assert json.dumps(fields, allow_nan=False)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(1, 4)), min_size=1, max_size=8))
def test_a_weight_is_so_many_runs(made):
    """Means and coverage of weighed runs are those of as many equal ones; equal weights change nothing."""

    def one(ratio, weight=1.0):
        return Prediction(None, "step_time_s", 1.0, ratio, 0.8, 1.25, "generic", weight=weight)

    heavy = score([one(ratio, float(weight)) for ratio, weight in made], weighed=True)
    many = score([one(ratio) for ratio, weight in made for _ in range(weight)])
    assert heavy.mape == pytest.approx(many.mape)
    assert heavy.inside_interval == pytest.approx(many.inside_interval)
    alike = [one(ratio, 0.5) for ratio, _ in made]
    for name, value in score(alike, weighed=True).to_dict().items():
        assert value == pytest.approx(score(alike).to_dict()[name])
    errors = np.abs(np.array([ratio for ratio, _ in made]) - 1)
    assert score(alike).p90_ape == pytest.approx(np.quantile(errors, 0.9))


def test_predictions_are_written_in_the_columns_of_serving():
    found = rl.validate(hand_made(), level="generic")
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert list(rows[0]) == ["id", "quantity", "measured", "predicted", "low", "high", "level", "reason"]
    assert {row["quantity"] for row in rows} == {"step_time_s"}
    assert rows[3]["predicted"] == ""
    assert "no such system" in rows[3]["reason"]
    assert float(rows[0]["low"]) < float(rows[0]["predicted"]) < float(rows[0]["high"])


@pytest.mark.thorough
def test_the_table_and_the_picture(whole):
    words = whole.table()
    for each in ("1,302 runs", "configurations once", "step, lora", "llm-foundry", "MoE", "mxfp8", "assumed"):
        assert each in words
    assert all(line == line.rstrip() for line in words.splitlines())
    assert repr(whole).startswith("<Validation: 1,302 runs of training; mean errors step ")
    ax = rl.validate(hand_made(), level="generic").plot(key="framework")
    assert ax.get_xlabel() == "time of a step, measured"


def test_the_ideal_level_bounds_a_step():
    found, real = asked("ideal").predictions[0], asked("generic").predictions[0]
    assert found.low is None
    assert found.predicted < real.predicted


def test_constants_may_be_changed():
    run = runs.training_runs([ROW])
    (plain,) = predict(run, "generic")
    (slow,) = predict(run, "generic", adjust=lambda _, p, f: (p, attrs.evolve(f, step=f.step + 1.0)))
    assert slow.predicted == pytest.approx(plain.predicted + 1.0)


CELLS = st.one_of(
    st.sampled_from(["", "0", "1", "2", "8", "-1", "nan", "1e12", "0.5", "fp8", "nvfp4", "full", "zero3", "lora", "unknown", "mixtral-8x7b", "tpu-v5p-pod"]),
    st.sampled_from(["recompute=selective [1, 2]", "flags: x", "ETP=2", "assumed=vpp", "fsdp=4", "packed 0-token samples", "offload of 9 layers"]),
    st.text(max_size=12),
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from([*ROW, "etp"]), CELLS, max_size=5), min_size=1, max_size=3))
def test_any_cells_are_priced_or_refused(changes):
    rows = [ROW | {"id": str(i)} | change for i, change in enumerate(changes)]
    try:
        found = rl.validate(rows, level="generic")
    except rl.RooflineError as error:
        assert "\n" not in str(error)
        return
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert len(list(csv.DictReader(io.StringIO(found.csv(), newline="")))) == len(found.predictions)
    assert found.table()


@pytest.mark.parametrize(
    ("framework", "sharding", "task", "again", "traits"),
    [
        ("megatron", "zero1", "pretrain", "none", ()),
        ("torchtitan", "zero3", "pretrain", "selective", ("eager",)),
        ("automodel", "zero3", "lora", "full", ()),
        ("llm-foundry", "zero3", "pretrain", "none", ()),
        ("nobodys", "zero1", "lora", "none", ()),
    ],
)
def test_what_a_run_leaves_open_is_as_its_frameworks_recipe_has_it(framework, sharding, task, again, traits):
    found = case(framework=framework, sharding="", recompute="", task=task)
    assert (found.layouts.sharding, found.recompute, found.traits) == (sharding, again, traits)


def test_a_framework_is_another_stack_on_the_chips_of_another_maker():
    assert case(system="mi300x-8", framework="megatron").framework.name == "rocm"
    assert case(framework="maxtext").framework.name == "maxtext-gpu"
    assert case(framework="megatron").framework.name == "megatron"
