"""Weights that a chip cannot hold whole are shared out, where the source leaves something open."""

import pytest

from roofline.validation import runs
from roofline.validation.training_assumptions import opener

RUN = {
    "id": "a", "model": "llama-3-70b", "system": "gb300-nvl72", "chips": "64", "dtype": "bf16", "seq_len": "8192", "global_batch": "128",
    "micro_batch": "2", "tp": "1", "pp": "1", "dp": "64", "cp": "1", "ep": "1", "sharding": "zero1", "recompute": "unknown",
    "framework": "megatron", "task": "pretrain", "step_time_s": "1", "note": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sharding"),
    [
        # 141 GB of weights, as much of gradients and 13 of states on 279 GB.
        ({"quality": "B"}, "zero3"),
        ({"quality": "A"}, "zero1"),
        ({"quality": "B", "tp": "2", "dp": "32"}, "zero1"),
        ({"quality": "B", "sharding": "zero3"}, "zero3"),
    ],
)
def test_weights_that_do_not_fit_whole_are_shared_out(change, sharding):
    (run,) = runs.training_runs([RUN | change])
    case = opener("calibrated")(run)
    assert case.layouts.sharding == sharding
    assert any("sharding zero3" in each for each in case.said) == (change == {"quality": "B"})
