"""Laws of a step of training, and published steps against what is predicted of them, untuned."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.evaluation import step
from roofline.frameworks import Framework
from roofline.inference import price
from roofline.microbatch import AGAIN
from roofline.work import Message

FRAMEWORKS = rl.names("framework")


IDEAL = rl.profile("ideal", rl.system("dgx-h100")).training(catalog.framework("none"))


def profile(system, level="calibrated", framework="generic"):
    found = framework if isinstance(framework, Framework) else catalog.framework(framework)
    return rl.profile(level, system).training(found, narrow="fp8" in system.chip.peak)


# Laws --------------------------------------------------------------------------------------------------------------------


@given(st.sampled_from(made.SYSTEMS), st.sampled_from(FRAMEWORKS), st.sampled_from(["llama-3.1-8b", "deepseek-v2-lite-16b"]), st.data())
def test_nothing_is_quicker_than_the_ideal(system, framework, model, data):
    """On no machine, under no framework, does a step beat the bound of its own operations and messages."""
    system, model = rl.system(system), rl.model(model, dtype=data.draw(st.sampled_from(["bf16", "fp8"])))
    layout = rl.Layout(
        tp=data.draw(st.sampled_from([1, 2, 4])), pp=data.draw(st.sampled_from([1, 2])), cp=data.draw(st.sampled_from([1, 2])),
        dp=8, ep=8 if model.experts else 1, etp=1 if model.experts else None, sharding=data.draw(st.sampled_from(["zero1", "zero3"])),
    )  # fmt: skip
    question = rl.TrainStep(model, 64, 4096)
    try:
        ideal = step(question, system, layout, profile(system, "ideal", "none"))
    except rl.QuestionError as error:
        assert "cannot multiply" in str(error)  # noqa: PT017 (chips without 8 bits)
        return
    for level in ("generic", "calibrated"):
        constants = profile(system, level, framework)
        est = step(question, system, layout, constants)
        assert est.step_time >= ideal.step_time
        for work, cost, _ in est.whole.leaves():
            if isinstance(work, rl.Op):
                assert cost.time >= price(work, system, IDEAL).time * (1 - 1e-12)
        bare = step(question, system, layout, profile(system, "ideal", framework))
        assert bare.step_time >= ideal.step_time
