"""Stacks: tables that override each other, releases that match the nearest, kinds of launch, other names on one runtime."""

import datetime

import attrs
import pytest

import roofline as rl
from roofline import catalog
from roofline.catalog import stacks
from roofline.core.mappings import Table
from roofline.hardware.engines import Engine
from roofline.inference.policies import policy_of

TOP = {
    "stack": {
        "title": "Made",
        "source": "here",
        "gap": "100 us",
        "launch": 1.0,
        "runtime": {"cuda": {"launch_host": "10 us", "generation": {"blackwell": {"launch": 0.8}}}, "cann": {"names": ["made-on-cann"]}},
        "release": {"0.9": {"date": datetime.date(2025, 6, 1), "launch": 1.5}, "0.12": {"date": datetime.date(2025, 12, 1)}},
        "kind": {"tuned": {"gap": "50 us"}},
    },
    "sources": {"here": {"kind": "assumed", "title": "a test", "why": "it is one"}},
}  # fmt: skip


def made():
    return stacks.read(Table(TOP, "made.toml"), "made")


def resolved(**machine):
    return stacks.resolve("made", made(), made(), stacks.Machine(**machine))


def test_the_most_special_table_counts():
    assert resolved(runtime="cuda", generation="blackwell").launch == 0.8
    assert resolved(runtime="cuda", generation="hopper").launch == 1.0
    assert resolved(runtime="rocm", generation="blackwell").launch_host == 0.0
    assert resolved(kind="tuned").gap == pytest.approx(50e-6)
    found = resolved(runtime="cuda", generation="blackwell")
    assert found.chain == ("made.runtime.cuda.generation.blackwell", "made.runtime.cuda", "made")
    assert found.origins["launch"] == "made.runtime.cuda.generation.blackwell.launch"


@pytest.mark.parametrize(
    ("asked", "found"),
    [("", ""), ("0.9.2", "0.9"), ("0.11", "0.9"), ("0.12.0", "0.12"), ("1.4", "0.12"), ("0.1.0", "0.9"), ("2025-11", "0.9"),
     ("2026-03", "0.12"), ("2025", "0.12"), ("2024-01-01", "0.9"), ("nightly", ""), ("v0.9.1.post2", "0.9")],
)  # fmt: skip
def test_a_release_goes_by_the_nearest_dated_one(asked, found):
    assert stacks.nearest(made().inner["release"], asked) == found


@pytest.mark.parametrize(
    "name", ["vllm@0.12", "vllm-ascend", "sglang-ascend", "mindie", "cloudmatrix-infer", "xdeepserve", "tpu-inference"]
)
def test_engines_are_found_by_name_and_release(name):
    found = rl.catalog.engine(name)
    assert found.title
    assert found.chain


def test_an_engine_on_a_runtime_has_the_title_it_has_there():
    assert rl.catalog.engine("vllm", "atlas-800i-a2").title == rl.catalog.engine("vllm-ascend").title == "vLLM-Ascend"
    assert rl.catalog.engine("vllm", "dgx-h100").captured == ("decode",)
    assert "prefill" in rl.catalog.engine("tpu-inference", "tpu-v6e-pod").captured


def test_words_and_errors():
    assert stacks.split("vllm@0.12+tuned") == ("vllm", "0.12", "tuned")
    with pytest.raises(rl.RooflineError, match="kind of launch"):
        rl.catalog.engine("vllm+fast")
    with pytest.raises(rl.RooflineError, match="engine"):
        rl.catalog.engine("vllmm")
    wrong = {**TOP, "stack": {**TOP["stack"], "launch": 100.0}}
    with pytest.raises(rl.RooflineError, match=r"launch.*from 0.05 to 20"):
        stacks.read(Table(wrong, "made.toml"), "made")


def test_a_pass_outside_a_graph_takes_at_least_its_launches():
    ask = rl.Prefill(rl.model("llama-3.1-8b"), 1, 64)
    engine = rl.catalog.engine("sglang@0.5.4", "dgx-b200")
    slow, cut, fast = (
        rl.estimate(ask, "dgx-b200", rl.Layout(), engine=rl.catalog.engine(name, "dgx-b200"))
        for name in ("sglang@0.5.4", "sglang@0.5.10", "trtllm@0.9")
    )
    # 32 layers of 9 kernels and 3 around attention, and a few more.
    assert slow.ttft > 32 * 12 * engine.launch_host > cut.ttft > fast.ttft
    # Graphs cut at attention leave its kernel, 3 around it and a piece after it to the host.
    assert cut.ttft > 32 * 5 * engine.launch_host


def test_norms_are_part_of_the_all_reduce_before_them_where_a_stack_says_so():
    engine = rl.catalog.engine("trtllm", "dgx-h100")
    assert engine.fused_norm
    assert not rl.catalog.engine("trtllm@0.9", "dgx-h100").fused_norm
    apart = attrs.evolve(engine, fused_norm=False)
    ask = rl.Decode(rl.model("llama-3.1-8b"), 1.0, 512.0)

    def step(engine, tp):
        return rl.estimate(ask, "dgx-h100", rl.Layout(tp=tp), engine=engine).tpot

    assert step(engine, 1.0) == step(apart, 1.0)
    # Two a layer and the last one: 65 launches.
    launch = rl.catalog.profile("calibrated", "dgx-h100").on("trtllm").kernel("elementwise", "bf16").t0 * engine.launch
    assert step(apart, 2.0) - step(engine, 2.0) == pytest.approx(65 * launch)


@pytest.mark.parametrize(
    "typed", ["vllm@0.11", "vllm==0.11", "vllm 0.11", "vLLM v0.11", "vllm-0.11", "vllm:0.11", "vllm/v0.11"]
)
def test_a_release_is_taken_as_people_write_it(typed):
    assert stacks.split(typed) == ("vllm", "0.11", "")


@pytest.mark.parametrize("name", ["gpt-fast", "llama.cpp", "vllm-ascend", "tpu-inference"])
def test_names_of_engines_hold_no_release(name):
    assert stacks.split(name) == (name, "", "")


@pytest.mark.parametrize(
    ("name", "mixed"), [("sglang", False), ("vllm@0.5.3", False), ("vllm@0.8", True), ("vllm", True), ("trtllm", True)]
)
def test_who_passes_prompts_in_steps_of_their_own_is_a_fact_of_the_stack(name, mixed):
    engine = catalog.engine(name, catalog.system("dgx-h100"))
    assert engine.mixed is mixed
    assert policy_of(engine).mixed is mixed
    assert policy_of(engine, mixed=not mixed).mixed is not mixed


def test_an_engine_that_drafts_may_serve_fewer_requests():
    engine = Engine(most=100.0, most_drafting=48.0)
    assert policy_of(engine, ranks=4.0).max_num_seqs == 100
    assert policy_of(engine, drafting=True, ranks=4.0).max_num_seqs == 12
