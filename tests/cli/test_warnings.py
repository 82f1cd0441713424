"""What a reader of a config is unsure of is in every answer: once on standard error, in text, in JSON; a clean config says nothing."""

import json

import pytest

from roofline.cli.app import main

CONFIG = {
    "model_type": "llama", "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 8, "num_hidden_layers": 4, "vocab_size": 8192,
}  # fmt: skip
ODD = "mystery_layers=7 is not understood and may matter"
DRAFT = {**CONFIG, "num_hidden_layers": 1, "architectures": ["LlamaForCausalLMEagle3"], "draft_vocab_size": 4096}


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, "mystery_layers": 7}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "words",
    [
        ["estimate", "{}", "-s", "dgx-h100"], ["search", "serve", "{}", "-s", "dgx-h100", "--chips", "2"], ["train", "{}", "-s", "dgx-h100", "--global-batch", "64"],
        ["sweep", "{}", "-s", "dgx-h100", "--set", "batch=8", "--set", "context=1024"], ["compare", "dgx-h100", "hgx-h200", "--model", "{}"],
        ["simulate", "{}", "-s", "h100", "--rate", "1", "--requests", "4"],
    ],
)  # fmt: skip
def test_warnings_reach_every_answer(odd, capsys, words):
    asked = [word.format(odd) for word in words]
    main([*asked, "--json"])
    out = capsys.readouterr()
    assert out.err.count(ODD) == 1
    assert json.loads(out.out)["warnings"] == [ODD]
    main(asked)
    assert ODD in capsys.readouterr().out


def test_a_clean_config_says_nothing(tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    main(["estimate", str(path), "-s", "dgx-h100", "--json"])
    out = capsys.readouterr()
    assert (out.err, json.loads(out.out)["warnings"]) == ("", [])


def test_a_draft_model_is_given_by_its_path(tmp_path, capsys):
    path = tmp_path / "draft" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(DRAFT), encoding="utf-8")
    main(["estimate", "llama-3.1-8b", "-s", "dgx-h100", "--draft-model", str(path.parent)])
    assert "3 draft tokens" in capsys.readouterr().out
    main(["estimate", str(path), "-s", "dgx-h100"])
    assert "is a draft model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "search serve llama-3.1-8b -s h100 --concurrency 8 --json --draft-model", "simulate llama-3.1-8b -s h100 --rate 1 --requests 4 --json --draft-model",
        "compare l4 l40s --model llama-3.1-8b --json --draft-model",
    ],
)  # fmt: skip
def test_every_verb_that_serves_takes_a_draft_model(tmp_path, capsys, words):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(DRAFT), encoding="utf-8")
    main([*words.split(), str(path)])
    drafted = capsys.readouterr().out
    main(words.split()[:-1])
    assert drafted != capsys.readouterr().out
