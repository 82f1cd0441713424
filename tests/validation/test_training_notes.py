"""What notes of measured training runs say, read into fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roofline.hardware.frameworks import STATES
from roofline.validation.training_notes import SOFTWARE, noted

NOTES = {
    "full_graph": "cuda_graph=full_iteration:[]", "partial_graphs": "LAYER_CUDA_GRAPH=1", "tp_overlap": "Async TP", "fp8_attention": "FP8_DPA=1",
    "compiled": "per-op compile", "eager": "PyTorch in eager mode", "unfused_attention": "flags: use-mc2", "expert_overlap": "moe_a2a_overlap",
    "grouped_experts": "flags: use-flash-attn,moe-grouped-gemm", "expert_parallel": "kernels TE + DeepEP", "block_scales": "fp8=blockwise",
    "stored_attention": "remat_policy=custom context:device", "stored_alternate": "every other matmul", "hosted_inputs": "remat_policy=minimal_offloaded",
    "compiler_recompute": "remat_policy=minimal",
}  # fmt: skip


def test_every_word_has_a_spelling_that_is_read():
    assert set(NOTES) == set(SOFTWARE)
    assert set(STATES) < set(SOFTWARE)


@pytest.mark.parametrize("word", sorted(SOFTWARE))
def test_a_spelling_is_read(word):
    assert noted(NOTES[word]).says(word)
    assert not noted("mock data; 50 steps").software


def test_numbers_of_a_note():
    said = noted(
        "assumed=vpp+sharding; container 26.06; ETP=2; recompute=norm,act; offload of 3 layers; packed 512-token samples; fsdp=FSDP2 64"
    )
    assert (said.assumed, said.release, said.etp, said.modules) == (("vpp", "sharding"), 26.06, 2, ("norm", "act"))
    assert (said.offloaded, said.samples, said.shards) == (3, 512, 64)
    assert noted("recompute=full method=block num_layers=2").stage_layers == 2
    assert noted("recompute=selective [10, 8, 6]").layers == 24


@given(st.text(max_size=60), st.sampled_from(list(NOTES.values())))
def test_any_note_is_read(words, known):
    said = noted(f"{words}; {known}")
    assert set(said.software) <= set(SOFTWARE)
    assert said.release is None or 20 < said.release < 30
