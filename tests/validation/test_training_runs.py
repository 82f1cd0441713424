"""Measured training runs: rows of strangers read into nouns, and what their words name."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.validation import runs
from roofline.validation.cells import Column
from roofline.validation.training_notes import noted

SHIPPED = catalog.measured("training")[1]
ROW = {
    "id": "a", "group": "g", "model": "llama-3.1-8b", "system": "dgx-h100", "chips": "8", "chips_per_node": "8", "dtype": "bf16", "seq_len": "8192",
    "global_batch": "128", "micro_batch": "1", "tp": "1", "pp": "1", "vpp": "1", "cp": "1", "ep": "1", "dp": "8", "sharding": "zero1", "recompute": "none",
    "sequence_parallel": "0", "task": "pretrain", "step_time_s": "10.5", "tokens_per_s_per_chip": "", "quality": "A", "source": "here", "note": "",
}  # fmt: skip


def read(**change):
    (run,) = runs.training_runs([ROW | change])
    return run


def test_the_shipped_runs_have_sources_and_names_that_resolve():
    found = runs.training_runs(SHIPPED)
    assert len(found) == len({run.id for run in found}) >= 1212
    assert all(run.source and run.framework and run.quality in "ABC" and run.measured for run in found)
    assert {run.system for run in found} <= set(rl.names("system"))
    for name in {run.model for run in found}:
        rl.model(name)
    # The layout makes the chips, and the step's time is that of the rate.
    for run in found:
        assert run.tp * run.pp * run.cp * run.dp == run.chips
        rate = run.batch * run.length / (run.chips * run.step_time)
        assert rate == pytest.approx(run.rate, rel=0.05)


def test_a_run_of_training_is_told_by_its_columns():
    assert runs.kind(ROW) == "training"
    assert runs.kind(["model", "system", "seq_len", "global_batch"]) == "training"


def test_every_column_is_read():
    run = read()
    assert (run.chips, run.node, run.length, run.batch, run.micro_batch, run.dp, run.sequence_parallel) == (
        8,
        8,
        8192,
        128,
        1,
        8,
        0,
    )
    assert (run.dtype, run.sharding, run.recompute, run.task, run.quality) == ("bf16", "zero1", "none", "pretrain", "A")
    assert run.measured == {"step_time_s": 10.5}
    assert read(step_time_s="", tokens_per_s_per_chip="12800").measured == {
        "step_time_s": pytest.approx(128 * 8192 / (8 * 12800))
    }
    assert read(step_time_s="").measured == {}


def test_a_row_may_say_little():
    (run,) = runs.training_runs([{"model": "llama-3.1-8b", "system": "dgx-h100", "seq_len": 4096, "global_batch": 64.0, "tp": float("nan"), "mine": "x"}])  # fmt: skip
    assert (run.id, run.length, run.batch, run.tp, run.sharding, run.recompute, run.task, run.framework) == (
        "1", 4096, 64, None, "", "unknown", "pretrain", "",
    )  # fmt: skip


def test_what_was_put_in_is_known_from_the_note():
    run = read(note="assumed=sharding+vpp; release v25.05; ETP=4; x")
    assert run.assumed == ("sharding", "vpp")
    assert run.etp == 4
    assert read(note="ETP=4", etp="2").etp == 2
    assert read(note="GBS preset 64").etp is None
    assert read(note="config table columns VP/ETP shifted in source: VP 12 / ETP 1 / MBS 1").etp == 1


def test_repeats_are_one_configuration():
    same = read(id="b", step_time_s="11", note="container 26.06", source="there", quality="B")
    assert same.configuration == read(note="container 26.02").configuration
    assert same.configuration != read(tp="2", dp="4").configuration


@pytest.mark.parametrize(
    ("words", "name"),
    [({"framework": "Megatron-Bridge"}, "megatron"), ({"framework": "mine"}, "mine"), ({"group": "dgxc-benchmarking"}, "megatron"),
     ({"group": "dgxc-benchmarking", "note": "JAX framework: MaxText"}, "maxtext"), ({"source": "NVIDIA-NeMo/Automodel"}, "automodel"),
     ({"group": "mlperf-v5.1-llama2-70b-lora", "note": "framework PyTorch 2.8, ROCm 7.0"}, "rocm"), ({"group": "vtrain-multi-node"}, "megatron-2021"),
     ({"source": "github.com/NVIDIA/Megatron-LM@d98e8a64"}, "megatron-core"), ({"group": "megatron-lm-2021", "source": "github.com/NVIDIA/Megatron-LM"}, "megatron-2021"),
     ({"source": "MooreThreads/SimuMax"}, "megatron-core"), ({"note": "MindSpore graph mode"}, "mindformers"), ({"group": "mindspeed-llm"}, "mindspeed"),
     ({"note": "Neuron 2.24.0"}, "neuron"), ({"note": "neurons"}, ""), ({"framework": "maxtext-gpu"}, "maxtext-gpu"), ({}, "")],
)  # fmt: skip
def test_frameworks_are_data(words, name):
    assert read(**words).framework == name


# Hostile tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [("tp", "0", "at least 1"), ("vpp", "1.5", "whole number"), ("cp", "-2", "at least 1"), ("chips", "two", "whole number"), ("step_time_s", "nan", "finite"),
     ("step_time_s", "0", "at least 1e-09"), ("tokens_per_s_per_chip", "-1", "at least"), ("seq_len", "inf", "finite"), ("seq_len", "0", "at least 1"),
     ("global_batch", "0", "above 0"), ("global_batch", "9" * 5000, "at most"), ("micro_batch", "0", "above 0"), ("sequence_parallel", "2", "at most 1"),
     ("sharding", "zero4", "did you mean zero"), ("recompute", "ful", "did you mean full"), ("task", "train", "no such task"), ("etp", "=1+1", "whole number"),
     ("chips_per_node", "\x00", "whole number"), ("ep", "1_000", "whole number")],
)  # fmt: skip
def test_a_bad_cell_is_one_line(column, value, rule):
    good, bad = runs.training_runs([ROW | {"id": "good"}, ROW | {column: value}], "mine.csv")
    assert (good.id, good.fault) == ("good", "")
    assert rule in bad.fault
    assert "\n" not in bad.fault
    assert f"{column}=" in bad.fault
    assert len(bad.fault) < 300


def test_a_file_that_lacks_what_it_needs():
    for name in ("model", "system", "seq_len", "global_batch"):
        with pytest.raises(rl.DescriptorError, match=f"{name}: is missing; a training run has"):
            runs.training_runs([{key: value for key, value in ROW.items() if key != name}])
    with pytest.raises(rl.DescriptorError, match="is that of row 1 too"):
        runs.training_runs([ROW, ROW])


CELLS = st.one_of(
    st.sampled_from(["", "0", "1", "8", "-1", "nan", "1e400", "0.5", "fp8", "full", "zero3", "lora"]),
    st.text(max_size=12),
)


@given(
    st.lists(st.dictionaries(st.sampled_from([*ROW, "framework", "etp"]), CELLS, max_size=6), min_size=1, max_size=4)
)
def test_any_cells_are_read_or_refused(changes):
    rows = [ROW | {"id": str(i)} | change for i, change in enumerate(changes)]
    try:
        found = runs.training_runs(rows)
    except rl.DescriptorError as error:
        assert "\n" not in str(error)
        return
    numbers = [
        getattr(run, name)
        for run in found
        for name in ("chips", "length", "batch", "micro_batch", "tp", "step_time", "rate")
    ]
    assert all(value is None or 0 < value < float("inf") for value in numbers)


@given(st.floats(), st.floats(-2, 2), st.floats(0, 4), st.booleans(), st.booleans())
def test_a_column_keeps_what_its_rule_says(value, low, span, whole, strict):
    kept = Column(low, low + span, whole, strict).keeps(value)
    assert kept == (low <= value <= low + span and (value != low or not strict) and (not whole or value == int(value)))


def test_the_shipped_file_is_plain():
    text = (catalog.root() / "workloads" / "runs" / "training.csv").read_text(encoding="utf-8")
    assert len(list(csv.reader(io.StringIO(text)))) == len(SHIPPED) + 1
    assert text.isascii()


def test_columns_of_the_software_count_before_the_note():
    run = read(note="container 26.06; cuda_graph=full_iteration:[]; moe_a2a_overlap")
    assert (run.noted.software, run.noted.release) == (("full_graph", "expert_overlap"), 26.06)
    run = read(
        note="container 26.06; cuda_graph=full_iteration:[]", software="partial_graphs + Compiled", release="25.02"
    )
    assert (run.noted.software, run.noted.release) == (("partial_graphs", "compiled"), 25.02)


def test_an_unknown_word_of_the_software_is_one_line():
    _, run = runs.training_runs([ROW, ROW | {"id": "b", "software": "full_graph+partial_graph"}])
    assert "did you mean partial_graphs" in run.fault
    assert "\n" not in run.fault


def test_the_shipped_file_states_its_software():
    """What its notes say is in its columns, so that no pattern decides about a shipped row."""
    for row in SHIPPED:
        said = noted(row["note"])
        assert row["software"] == "+".join(said.software)
        assert row["release"] == ("" if said.release is None else f"{said.release:.2f}")
