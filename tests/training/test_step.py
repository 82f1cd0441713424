"""Laws of a step of training, and published steps against what is predicted of them, untuned."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.hardware.frameworks import Framework
from roofline.operators.operations import Message
from roofline.physics.kernels import Cost
from roofline.physics.pricing import price
from roofline.planner.evaluation import step
from roofline.training.microbatch import overlapped
from roofline.training.step import passes

FRAMEWORKS = rl.names("framework")


IDEAL = rl.profile("ideal", rl.system("dgx-h100")).training(catalog.framework("none"))


def profile(system, level="calibrated", framework="generic"):
    found = framework if isinstance(framework, Framework) else catalog.framework(framework)
    return rl.profile(level, system).training(found, narrow="fp8" in system.chip.peak)


# Laws --------------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(made.SYSTEMS),
    st.sampled_from(FRAMEWORKS),
    st.sampled_from(["llama-3.1-8b", "deepseek-v2-lite-16b"]),
    st.data(),
)
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
        assert "cannot multiply" in str(error)
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


@given(
    st.sampled_from(["dgx-h100", "gb200-nvl72", "tpu-v5p-pod"]),
    st.sampled_from(["llama-3.1-8b", "mixtral-8x7b"]),
    st.floats(0, 1),
    st.data(),
)
def test_messages_are_seen_or_hidden(system, model, part, data):
    """What is seen and what is hidden are all messages, whatever part nothing hides; all is seen where nothing may be hidden."""
    system, model = rl.system(system), rl.model(model)
    layout = rl.Layout(
        tp=data.draw(st.sampled_from([1, 2, 4])), cp=data.draw(st.sampled_from([1, 2])), dp=8, ep=8 if model.experts else 1,
        etp=1 if model.experts else None, sequence_parallel=data.draw(st.booleans()),
        sharding=data.draw(st.sampled_from(["none", "zero1", "zero2", "zero3"])),
    )  # fmt: skip
    question = rl.TrainStep(model, 64, 4096, recompute=data.draw(st.sampled_from(["none", "full"])))
    shares = [dict.fromkeys(("tp", "cp", "ep", "dp", "pp", "fsdp"), each) for each in (0.0, part, 1.0)]
    least, some, most = (
        step(question, system, layout, profile(system, framework=Framework(**each))) for each in shares
    )
    everything = float(most.exposed)
    assert float(most.hidden) == pytest.approx(0, abs=1e-9 * everything)
    for est in (least, some):
        assert float(est.exposed + est.hidden) == pytest.approx(everything)
    assert least.exposed <= some.exposed * (1 + 1e-12)
    assert some.exposed <= everything * (1 + 1e-12)
    assert least.step_time <= some.step_time * (1 + 1e-12) <= most.step_time * (1 + 1e-11)


def test_work_hides_one_message_at_a_time():
    """Two messages of 2 s beside work of 1 s: three are seen, whatever their order; the work is over when the first has hidden behind it."""
    messages = [(Message(name, "all_gather", 1.0, 2.0), 1.0, 0.0) for name in ("first", "second")]
    (first, hidden), (second, none) = overlapped(messages, 1.0, lambda _: Cost(2.0, network=2.0))
    assert (first.time, hidden, second.time, none) == (1.0, 1.0, 2.0, 0.0)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([2, 4]))
def test_messages_between_stages_go_there_and_back(vpp, pp):
    """Of each chunk of each micro-batch two are sent; where they are long behind work, what is hidden is all of them."""
    system, model = rl.system("dgx-h100"), rl.model("llama-3.1-8b")
    layout = rl.Layout(pp=pp, dp=2, vpp=vpp, sharding="none")
    constants = profile(system, framework="none")
    one, many = (step(rl.TrainStep(model, 2 * n, 4096), system, layout, constants) for n in (4, 8))
    sent = Message("", "point_to_point", 2 * 4096 * model.hidden, 2.0, 2.0)
    assert float(many.hidden - one.hidden) == pytest.approx(4 * 2 * vpp * float(price(sent, system, constants).time))


def test_bytes_of_messages_by_hand():
    """A rank holds 32 10^6 weights; 8 exchange their gradients and weights in 16 bits, once a step; fully sharded, thrice a micro-batch."""
    model = rl.Model("small", 1000, 10_000, (rl.Layers(1, rl.Gqa(10, 10, 100), rl.Dense(4000, gated=False)),))
    question = rl.TrainStep(model, 32, 1000)

    def sent(layout, where=question, framework="generic"):
        constants = profile(rl.system("dgx-h100"), framework=rl.framework(framework))
        est = step(where, rl.system("dgx-h100"), layout, constants)
        return {
            w.label: (float(w.size), float(n), float(w.group))
            for w, _, n in est.whole.leaves()
            if isinstance(w, Message)
        }

    dp = {name: value for name, value in sent(rl.Layout(dp=8)).items() if value[2] > 1}
    assert dp == {"scatter gradients": (64e6, 1, 8), "gather weights": (64e6, 1, 8)}
    assert sent(rl.Layout(dp=8, sharding="none"))["reduce gradients"] == (64e6, 1, 8)
    assert sent(rl.Layout(dp=8, sharding="zero2"))["scatter gradients"] == (64e6, 1, 8)
    assert sent(rl.Layout(dp=8, sharding="zero2"), framework="llm-foundry")["scatter gradients"] == (64e6, 4, 8)
    full = sent(rl.Layout(dp=8, sharding="zero3"))
    assert (
        full["gather weights"] == full["dgrad gather weights"] == full["scatter gradients of weights"] == (64e6, 4, 8)
    )
    shared = sent(rl.Layout(dp=8, cp=2))
    # Keys and values of 2 x 1,000 elements a token; of each document all are gathered.
    assert shared["keys and values"] == (2 * 1000 * 2000, 4, 2)
    assert shared["dgrad scatter keys and values"] == (2 * 1000 * 2000, 4, 2)
    assert shared["scatter gradients"] == (64e6, 1, 16)
    tensors = sent(rl.Layout(tp=2, dp=8, sequence_parallel=True))
    assert tensors["attention scatter"] == tensors["dgrad attention gather"] == (2 * 1000 * 1000, 4, 2)


def test_gathers_of_weights_belong_to_layers():
    """Spread over all parts in proportion, they made the stage with the head longer, and a faster memory 4.6 % slower."""
    rack, layout = rl.system("dgx-h100"), rl.Layout(pp=4, dp=16, sharding="zero3")
    slow = attrs.evolve(rack, tiers=tuple(attrs.evolve(t, bandwidth=t.bandwidth / 50) for t in rack.tiers))
    question = rl.TrainStep(rl.model("llama-3.2-1b"), 64, 512)
    constants = profile(rack, level="ideal", framework="none")
    one, more = (passes(question, system, layout, constants).one for system in (rack, slow))
    assert float(more.layer) > 10 * float(one.layer)
    assert float(more.last) == pytest.approx(float(one.last))


def leaves(est):
    """Return the operations and messages of a step by label: time, size or traffic, how often, ranks."""
    return {
        w.label: (float(span.time), float(getattr(w, "size", 0.0)), float(n), float(getattr(w, "group", 1.0)))
        for w, span, n in est.whole.leaves()
        if w is not None
    }


TIED = rl.Model("tied", 1000, 10_000, (rl.Layers(4, rl.Gqa(10, 10, 100), rl.Dense(4000, gated=False)),), tied=True)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]), st.booleans(), st.sampled_from(["pretrain", "lora"]))
def test_the_gradient_of_a_tied_embedding_is_summed_over_both_ends(pp, tp, tied, task):
    """1,000 x 10,000 elements over tp ranks, once a step, between the first and the last stage, and seen in full."""
    model = attrs.evolve(TIED, tied=tied)
    question = rl.TrainStep(model, 32, 1000, task=task, gradient_bytes=4.0)
    est = step(question, rl.system("dgx-h100"), rl.Layout(tp=tp, pp=pp, dp=2), profile(rl.system("dgx-h100")))
    found = {
        w.name: (float(w.size), float(w.group), float(w.stride), float(n))
        for w, _, n in est.whole.leaves()
        if isinstance(w, Message) and float(w.group) > 1 and w.module == "embedding"
    }
    if tied and pp > 1 and task != "lora":
        assert found["reduce gradients of the embedding"] == (4e7 / tp, 2, (pp - 1) * tp * 2, 1)
    else:
        assert "reduce gradients of the embedding" not in found


def timed(model, system, framework, **words):
    layout = rl.Layout(pp=2, dp=4, ep=4, etp=1)
    question = rl.TrainStep(
        rl.model(model), 64, 4096, recompute=words.get("recompute", "none"), share=words.get("share", 1.0)
    )
    return leaves(step(question, rl.system(system), layout, profile(rl.system(system), framework=framework)))


@pytest.mark.parametrize(
    ("model", "system", "framework", "written"),
    [
        ("deepseek-v2-lite-16b", "dgx-b200", "megatron-2407", True),
        ("deepseek-v2-lite-16b", "dgx-h100", "megatron-2407", False),
        ("deepseek-v2-lite-16b", "dgx-b200", "megatron", False),
        ("qwen3-30b-a3b", "dgx-b200", "megatron-2407", False),
    ],
)
def test_latent_attention_on_blackwell_before_it_was_fused(model, system, framework, written):
    """Transformer Engine fuses keys of 192 with values of 128 on Blackwell from cuDNN 9.11; containers up to 25.05 are older."""
    found = timed(model, system, framework)
    assert ("scored attention" in found) == written
    assert ("recompute scored attention" in found) == written
    assert "attention" in found or written


@pytest.mark.parametrize(("recompute", "share", "times"), [("none", 1.0, 1.0), ("full", 1.0, 1.0), ("full", 0.25, 1.0)])
def test_scores_that_are_not_stored_are_made_again_once(recompute, share, times):
    """In each layer once, whatever else is done again."""
    layout, system = rl.Layout(dp=8, ep=8, etp=1), rl.system("dgx-b200")
    question = rl.TrainStep(rl.model("deepseek-v2-lite-16b"), 64, 4096, recompute=recompute, share=share)
    est = step(question, system, layout, profile(system, framework="megatron-2407"))
    n = {}
    for w, _, often in est.whole.leaves():
        if w is not None and w.name == "scored attention":
            n[w.label] = n.get(w.label, 0.0) + float(often)
    assert n["recompute scored attention"] == pytest.approx(times * n["scored attention"])


def test_a_framework_slows_passes_of_experts_not_their_gemms():
    """``T = T_GEMM + experts T_passes``: twice the factor adds what once adds."""
    system = rl.system("dgx-h100")
    question, layout = rl.TrainStep(rl.model("qwen3-30b-a3b"), 64, 4096), rl.Layout(dp=8, ep=8, etp=1)
    made = [
        leaves(
            step(
                question,
                system,
                layout,
                profile(system, framework=attrs.evolve(catalog.framework("generic"), experts=k)),
            )
        )
        for k in (1.0, 2.0, 3.0)
    ]
    for name in ("experts", "dgrad experts"):
        one, two, three = (each[name][0] for each in made)
        assert two > one
        assert three - two == pytest.approx(two - one)
    # Gradients of weights have no passes.
    assert made[0]["wgrad experts"] == made[2]["wgrad experts"]


def test_copies_are_counted_once():
    est = rl.train(rl.TrainStep(rl.model("llama-3.1-8b"), 64, 4096), "dgx-h100", rl.Layout(tp=2, dp=4, replicas=2))
    assert not est.divides
    assert any("dp counts the copies" in reason for reason in est.reasons)


def test_gradients_of_which_a_rank_keeps_a_part_are_cleared_in_part():
    question, system = rl.TrainStep(rl.model("llama-3.1-8b"), 64, 4096), rl.system("dgx-h100")
    moved = []
    for sharding in ("none", "zero1", "zero2", "zero3"):
        est = step(question, system, rl.Layout(dp=16, sharding=sharding), profile(system))
        moved.append(next(float(w.bytes) for w, _, _ in est.whole.leaves() if w is not None and w.name == "optimizer"))
    # Of gradients in 4 bytes: 26 of states and weight, 4 for the norm and 4 for the update where the states are, 4 to clear.
    n = moved[0] / 38
    assert moved == pytest.approx([38 * n, (4 + 34 / 16) * n, 38 / 16 * n, 38 / 16 * n])


@given(
    st.sampled_from(["deepseek-v3", "llama-3.1-70b"]), st.sampled_from(["dgx-h100", "gb200-nvl72"]), st.sampled_from([4, 8, 16]),
    st.sampled_from([32, 64, 128]), st.floats(0, 0.9),
)  # fmt: skip
def test_pairs_hide_messages_behind_each_other(model, system, pp, micro_batches, lent):
    """DualPipe computes one micro-batch while the messages of another travel: never longer, and none of the work is lost."""
    model, system = rl.model(model), rl.system(system)
    layout = rl.Layout(
        tp=1 if model.experts else 4,
        pp=pp,
        dp=64,
        ep=64 if model.experts else 1,
        etp=1 if model.experts else None,
        schedule="dualpipe",
    )
    question = rl.TrainStep(model, 64 * micro_batches, 4096)
    generic = catalog.framework("generic")
    alone, lending, free = (
        step(question, system, layout, profile(system, framework=attrs.evolve(generic, lent=part)))
        for part in (1 - 1e-9, lent, 0.0)
    )
    assert free.step_time <= lending.step_time * (1 + 1e-12) <= alone.step_time * (1 + 1e-9)
    assert free.step_time < alone.step_time
    plain = step(question, system, attrs.evolve(layout, schedule="1f1b"), profile(system, framework=generic))
    for est in (free, lending, alone):
        assert 0 <= est.exposed <= plain.exposed * (1 + 1e-9)
        assert est.bubble >= 0
        assert est.exposed + est.hidden == pytest.approx(float(alone.exposed + alone.hidden))
        assert sum(map(float, est.phases.values())) == pytest.approx(float(est.step_time))
    assert free.mfu * free.step_time == pytest.approx(float(alone.mfu * alone.step_time))


# Published ---------------------------------------------------------------------------------------------------------------


def llama(cp, dp, length, batch):
    """Llama 3.1 405B on H100: Llama Team, arXiv:2407.21783, table 4; 16 M tokens a step.

    Gradients and optimizer are shared out, weights are not; 126 layers and two ends in chunks of one layer (section 3.3.2).
    """
    layout = rl.Layout(tp=8, cp=cp, pp=16, dp=dp, vpp=8, sequence_parallel=True, sharding="zero2")
    return rl.train(rl.TrainStep(rl.model("llama-3.1-405b"), batch * dp, length), "dgx-h100", layout)


@pytest.mark.parametrize(
    ("cp", "dp", "length", "batch", "measured", "chips"),
    [(1, 64, 8192, 32, 430e12, 8192), (1, 128, 8192, 16, 400e12, 16384), (16, 8, 131072, 16, 380e12, 16384)],
)
def test_llama_405b_as_published(cp, dp, length, batch, measured, chips):
    est = llama(cp, dp, length, batch)
    assert (est.chips, est.tokens) == (chips, pytest.approx(16.8e6, rel=0.01))
    assert est.divides
    assert float(est.model_flops_per_second_per_chip) == pytest.approx(measured, rel=0.1)
    low, high = est.interval()
    assert low <= est.step_time * float(est.model_flops_per_second_per_chip) / measured <= high


def test_deepseek_v3_as_published():
    """180,000 GPU hours for 10^12 tokens on 2,048 H800: DeepSeek-AI, arXiv:2412.19437, sections 1, 3.2 and 4.2."""
    layout = rl.Layout(pp=16, dp=128, ep=64, etp=1, schedule="dualpipe")
    question = rl.TrainStep(rl.model("deepseek-v3", dtype="fp8-block"), 15360, 4096)
    est = rl.train(question, "hgx-h800", layout)  # frameworks as they are on average: its own is not described
    assert (est.chips, est.divides) == (2048, True)
    hours = 1e12 / float(est.tokens_per_second_per_chip) / 3600
    # 14.8 10^12 tokens in 2.664 10^6 hours.
    assert hours == pytest.approx(180e3, rel=0.1)
    assert 14.8 * hours == pytest.approx(2.664e6, rel=0.1)


def test_the_hours_of_llama_405b_as_published():
    """30.84 10^6 H100 hours for 15.6 10^12 tokens, restarts and all: model card of Llama 3.1; 16,384 chips, arXiv:2407.21783, table 4."""
    run = rl.campaign(
        "llama-3.1-405b", "dgx-h100", "15.6T", chips=16384, global_batch=2048, seq_len=8192, tp=8, pp=16, dp=128
    )
    assert float(run.chip_hours) == pytest.approx(30.84e6, rel=0.1)


# GPUs, sequences of a step, seconds: MegaScale, arXiv:2402.15627, table 2.
MEGASCALE = [
    (256, 768, 32.0), (512, 768, 16.5), (768, 768, 11.5), (1024, 768, 8.9), (3072, 6144, 23.66), (6144, 6144, 12.21),
    (8192, 6144, 9.56), (12288, 6144, 6.34),
]  # fmt: skip


def test_megascale_as_published():
    """GPT-3 175B on 256 to 12,288 A100, TP8 x PP8, sequences of 2,048; six chunks a stage (section 3.2 interleaves, 6 is assumed)."""
    rows = [
        {"id": str(n), "model": "gpt-3-175b", "system": "dgx-a100-80gb", "chips": n, "dtype": "bf16", "seq_len": 2048, "global_batch": batch,
         "micro_batch": 1, "tp": 8, "pp": 8, "vpp": 6, "cp": 1, "dp": n // 64, "sharding": "zero1", "recompute": "none", "sequence_parallel": 1,
         "framework": "megatron", "step_time_s": seconds}
        for n, batch, seconds in MEGASCALE
    ]  # fmt: skip
    found = rl.validate(rows).predictions
    off = [np.log(p.predicted / p.measured) for p in found]
    assert np.expm1(np.abs(off).mean()) < 0.08
    assert all(p.low < p.measured < p.high for p in found)


@pytest.mark.parametrize(
    "row",
    [row for row in catalog.measured("training")[1] if row["group"] == "korthikanti-2022"],
    ids=lambda row: row["id"],
)
def test_selective_recomputation_as_published(row):
    """22 to 1,000 10^9 parameters on A100, all of a layer done again or only its attention: arXiv:2205.05198, table 5."""
    (p,) = rl.validate([row]).predictions
    assert p.predicted == pytest.approx(p.measured, rel=0.15)


def test_errors_of_kernels_and_links_count_in_the_interval():
    """Constants that are off by 90 % each leave a step that is hardly surer than they are: classes of kernel add in squares."""
    system = rl.system("dgx-h100")
    sure = profile(system)
    loose = attrs.evolve(
        sure,
        kernels={key: attrs.evolve(each, error=0.9) for key, each in sure.kernels.items()},
        links={key: attrs.evolve(each, error=0.9) for key, each in sure.links.items()},
    )
    question = rl.TrainStep(rl.model("llama-3.1-8b"), 512, 4096)

    def half(constants):
        est = step(question, system, rl.Layout(tp=2, dp=16), constants)
        return np.log(est.interval()[1] / est.step_time)

    assert half(sure) < 0.3
    assert half(loose) > 0.5
    own = attrs.evolve(sure, kernels=loose.kernels)
    assert half(sure) < half(own) <= half(loose)
