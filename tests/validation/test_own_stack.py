"""A stack fitted to serving runs: constants that made the runs are found again, and a file of them is read back."""

import attrs
import pytest

import roofline as rl
from roofline.validation.own_stack import own_stack

BASE = {"model": "llama-3.1-8b", "system": "dgx-h100", "chips": "1", "weight_dtype": "bf16", "kv_dtype": "bf16", "tp": "1", "pp": "1",
        "dp": "1", "ep": "1", "mode": "online", "draft_tokens": "0", "accept_length": "1", "engine": "vllm", "quality": "A",
        "requests_per_slot": "8", "length_variation": "0.3"}  # fmt: skip


def made(engine):
    rows = []
    for i, (length, requests) in enumerate([(256, 1), (256, 16), (1024, 4), (1024, 64), (4096, 8), (256, 128)]):
        ask = rl.Serve(rl.model("llama-3.1-8b"), length, 256, requests, requests_per_slot=8, variation=0.3)
        est = rl.estimate(ask, "dgx-h100", rl.Layout(), engine=engine)
        rows.append(BASE | {"id": str(i), "input_len": str(length), "output_len": "256", "concurrency": str(requests),
                            "ttft_s": repr(float(est.ttft)), "tpot_s": repr(float(est.tpot))})  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def fitted():
    stack = rl.catalog.engine("vllm", "dgx-h100")
    true = attrs.evolve(stack, launch=stack.launch * 1.5, front=stack.front * 2)
    return true, own_stack(made(true))


def test_the_constants_that_made_the_runs_are_found(fitted):
    true, found = fitted
    assert found.after < 0.02 < found.before
    assert found.engine.launch == pytest.approx(true.launch, rel=0.25)
    assert found.engine.front == pytest.approx(true.front, rel=0.2)
    assert found.errors["front"] < 0.3
    assert "typical error" in found.table()


def test_the_file_is_read_back(fitted, tmp_path):
    _, found = fitted
    path = tmp_path / "mine.toml"
    path.write_text(found.toml())
    engine = rl.catalog.engine(path, "dgx-h100")
    assert engine.launch == pytest.approx(float(found.engine.launch), rel=1e-3)
    assert engine.captured == found.engine.captured


def test_runs_of_two_stacks_are_refused():
    with pytest.raises(rl.QuestionError, match="one engine on one system"):
        own_stack([BASE | {"id": "1", "input_len": "8"}, BASE | {"id": "2", "input_len": "8", "engine": "sglang"}])
