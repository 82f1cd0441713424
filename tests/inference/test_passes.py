"""One pass: what the ideal level leaves out."""

import attrs
import pytest

import roofline as rl
from roofline.operators.operations import Op


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
