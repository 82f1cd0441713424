"""EAGLE-3 heads as published."""

import pytest

import roofline as rl
from roofline.models.drafters import eagle3


def test_an_eagle_head_of_llama_is_that_of_its_file():
    """yuhuili/EAGLE3-LLaMA3.1-Instruct-8B, config.json: hidden 4,096, 32 heads of which 8 hold keys, width 14,336, 32,000 tokens."""
    made = eagle3(rl.model("llama-3.1-8b"))
    layer = made.layers[0]
    assert (made.depth, made.hidden, made.vocab, made.fusion) == (1, 4096, 32_000, 3 * 4096)
    assert (layer.attention.heads, layer.attention.kv_heads, layer.attention.streams, layer.ffn.width) == (
        32,
        8,
        2,
        14_336,
    )


@pytest.mark.parametrize("name", ["qwen3-32b", "qwen3-235b-a22b", "kimi-k2.5"])
def test_drafting_with_it_takes_time(name):
    target = rl.model(name)
    asked = {"input": 1024, "output": 512, "concurrency": 8, "draft_tokens": 3, "accept_length": 2.5}
    plain = rl.estimate(target, "dgx-b200", **asked | {"draft_tokens": 0, "accept_length": None})
    drafted = rl.estimate(target.with_draft(eagle3(target)), "dgx-b200", **asked)
    # A step makes 2.5 tokens, and takes longer than one without drafts.
    assert plain.tpot < 2.5 * drafted.tpot < 2 * plain.tpot
    # A model without a module of its own drafts with such a head.
    assert rl.estimate(target, "dgx-b200", **asked).tpot == drafted.tpot
