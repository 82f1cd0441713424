"""One pass: what the ideal level leaves out."""

import attrs
import pytest

import roofline as rl
from roofline import catalog
from roofline.inference.passes import step
from roofline.operators.operations import Op
from roofline.workload.questions import Mixed


def test_the_ideal_level_has_no_passes_that_other_kernels_may_do():
    """Norms, rotation, activations and sampling move nothing; 15 GB of weights and 34.4 GB of caches at 3.35 TB/s take 14.7 ms."""
    question = rl.Decode(rl.model("llama-3.1-8b"), batch=64, context=4096)
    apart = attrs.evolve(rl.IDEAL, fused=False)
    lean, plain = (rl.estimate(question, "dgx-h100", rl.Layout(tp=1), level=level) for level in (rl.IDEAL, apart))
    assert float(lean.tpot) == pytest.approx(14.8e-3, abs=1e-4)
    assert float(lean.tpot) < float(plain.tpot)
    passes = [work for work, _, _ in lean.steps[0].leaves() if isinstance(work, Op) and work.kernel == "elementwise"]
    assert passes
    assert {float(work.traffic) for work in passes} == {0.0}


def test_graphs_cut_at_attention_serve_several_ranks_where_the_stack_says_so():
    """The host launches fewer kernels of a step with prompts of 8 attention ranks, which waits for it."""
    question = Mixed(rl.model("deepseek-r1"), 8, 1024.0, prompts=1.0, chunk=1024.0, past=512.0, busy=1.0)
    rack, layout = rl.system("dgx-b200"), rl.Layout(dp=8, ep=8)
    tuned = rl.profile("calibrated", rack).driven(catalog.engine("trtllm+tuned", rack))
    alone = attrs.evolve(tuned, engine=attrs.evolve(tuned.engine, pieces_shared=False))
    pieces, kernels = (step(question, rack, layout, each, 8).parts[-1].time for each in (tuned, alone))
    assert float(pieces) < float(kernels)
