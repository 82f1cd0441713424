"""Start-up logs of engines, and training runs that ran: how far off, how sure, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

import roofline as rl
from roofline import catalog
from roofline.validation import runs
from roofline.validation.memory import logs
from roofline.validation.training_assumptions import opener

RUNS = Path(__file__).parents[2] / "workloads" / "runs"
BEYOND = "it ran, though by this count it exceeds the memory of a chip"


def test_logs_are_met():
    found = logs(catalog.read_rows(RUNS / "memory.csv"))
    assert len(found) == 115

    def error(quantity, of, role):
        some = [each for each in found if each.row["quantity"] == quantity and each.row["role"] in role]
        return float(of([abs(each.error) for each in some]))

    # Logs that set no constant are met as well as those that did.
    for role in (["constants"], ["check"]):
        assert error("weights_gib_per_gpu", np.mean, role) <= 0.02
        assert error("kv_cache_gib_per_gpu", np.mean, role) <= 0.05
        assert error("kv_cache_tokens", np.mean, role) <= 0.10
        assert error("max_concurrency_at_len", np.mean, role) <= 0.10
    for some in (found, [each for each in found if each.row["role"] == "check"]):
        assert 0.75 <= np.mean([each.inside for each in some]) <= 0.9


def test_a_log_is_compared_in_its_own_unit():
    (row,) = logs(
        [{"model": "llama-3.1-8b", "system": "dgx-h100", "tp": "1", "pp": "1", "dp": "1", "ep": "1", "engine": "vllm", "release": "",
          "memory_fraction": "0.9", "weight_dtype": "", "kv_dtype": "", "length": "1000", "quantity": "max_concurrency_at_len", "value": "400"}]
    )  # fmt: skip
    assert row.predicted == pytest.approx(445, rel=0.05)
    assert row.error == pytest.approx(row.predicted / 400 - 1)


@pytest.mark.thorough
def test_published_training_runs_are_not_refused():
    found = rl.validate(RUNS / "training.csv").predictions
    refused = sum(BEYOND in each.said for each in found)
    assert refused <= 0.03 * len(found)


def test_a_source_that_states_no_recomputation_is_told_apart():
    rows = [
        {"id": str(i), "model": "llama-3-70b", "system": "dgx-h100", "chips": "8", "dtype": "bf16", "seq_len": "1024", "global_batch": "8",
         "micro_batch": "1", "tp": "8", "pp": "1", "dp": "1", "cp": "1", "ep": "1", "sharding": "zero1", "recompute": word, "note": note,
         "sequence_parallel": "1", "task": "pretrain", "step_time_s": "1"}
        for i, (word, note) in enumerate((("unknown", ""), ("full", ""), ("selective", "recompute=remat_policy=minimal"),
                           ("selective", "recompute=remat_policy=custom decoder_layer_input:offload")))
    ]  # fmt: skip
    cases = [opener("calibrated")(each) for each in runs.training_runs(rows)]
    assert [case.stated for case in cases] == [False, True, False, False]
    assert [case.hosted for case in cases] == [False, False, False, True]
