"""A whole run asked in one go, and the chips for a deadline."""

import json

import pytest

import roofline as rl
from roofline.cli.app import main
from roofline.core.errors import RooflineError

ASKED = {"tp": 1, "sharding": "zero1", "recompute": "selective", "micro_batch": 1}


def test_a_run_by_name_is_the_run_of_its_step():
    run = rl.campaign("llama-3.1-8b", "dgx-h100", "1T", chips=64, global_batch=512, pue=1.2, **ASKED)
    step = rl.train("llama-3.1-8b", "dgx-h100", chips=64, global_batch=512, **ASKED)
    assert float(run.days) == pytest.approx(float(rl.campaign(step, "1T", pue=1.2).days))
    assert float(run.tokens) == 1e12


def test_a_batch_that_is_left_out_has_16_mi_tokens_in_whole_sequences_for_each_chip():
    run = rl.campaign("llama-3.1-8b", "dgx-h100", "1T", chips=24, seq_len=8192, **ASKED)
    assert float(run.training.question.global_batch) == 2064
    assert any("2,064" in words for words in run.assumptions)


def test_the_fewest_chips_for_a_deadline():
    words = {"global_batch": 1024, **ASKED}
    run = rl.campaign("llama-3.1-8b", "dgx-h100", "1T", deadline="40 days", **words)
    chips = int(run.training.chips)
    assert float(run.days) <= 40
    assert chips % 8 == 0
    fewer = rl.campaign("llama-3.1-8b", "dgx-h100", "1T", chips=chips // 2, **words)
    assert float(fewer.days) > 40


@pytest.mark.parametrize(
    ("words", "told"),
    [({"deadline": "soon"}, "deadline"), ({"deadline": 10, "chips": 8}, "chips"), ({"deadline": 1e-3}, "is not met"), ({"tokens": "many"}, "tokens")],
)  # fmt: skip
def test_a_run_that_makes_no_sense(words, told):
    with pytest.raises(RooflineError, match=told):
        rl.campaign("llama-3.1-8b", "dgx-h100", global_batch=1024, **ASKED, **words)


def test_the_command_line(capsys):
    flags = [
        "--chips",
        "64",
        "--global-batch",
        "512",
        "--tp",
        "1",
        "--sharding",
        "zero1",
        "--recompute",
        "norm,activation",
    ]
    main(["campaign", "llama-3.1-8b", "--system", "dgx-h100", *flags, "--tokens", "1T", "--json"])
    run = json.loads(capsys.readouterr().out)
    assert run["days"] > run["days_ideal"] > 0
    assert set(run["interval"]) == {"days", "goodput", "energy_mwh", "cost_usd"}
    main(["train", "llama-3.1-8b", "--system", "dgx-h100", *flags, "--tokens", "1T", "--json"])
    step = json.loads(capsys.readouterr().out)
    assert step["campaign"]["days"] == pytest.approx(run["days"])
