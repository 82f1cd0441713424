"""Answers: what holds for every machine and model shipped, and the layout chosen when none is given."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.operators.operations import Op
from roofline.physics.collectives import lower_bound
from roofline.physics.kernels import bound
from roofline.planner.candidates import grid, possible
from roofline.planner.evaluation import answer
from roofline.workload.questions import usual_accept_length


@st.composite
def asked(draw):
    """A question, a shipped machine, and a layout of a shipped model."""
    model, system = draw(made.shipped())
    model = model.stored(
        draw(st.sampled_from([None, "fp8", "int8", "int4", "nvfp4"])), draw(st.sampled_from([None, "fp8"]))
    )
    question = draw(made.questions(model))
    level = draw(st.sampled_from(made.LEVELS))
    if level == "calibrated":
        # As it comes, with one stack's kernels, or launched by the host one by one.
        profile = rl.profile(level, system)
        level = draw(st.sampled_from([level, profile.on("vllm"), profile.eagerly()]))
    return question, system, draw(made.layouts(model)), level


@given(asked())
def test_no_time_is_below_the_bound(plan):
    question, system, layout, level = plan
    span = rl.estimate(question, system, layout, level=level).steps[0]
    for work, cost, _ in span.leaves():
        if work is None:
            low = 0.0  # the host, which no chip bounds
        elif isinstance(work, Op):
            low = bound(work.flops, work.bytes, system.chip.peak[work.rate], system.chip.memory.bandwidth)
        else:
            low = lower_bound(work, system.tiers) * (work.group > 1)
        assert cost.time >= low * (1 - 1e-9)
    assert span.overlapped * (1 - 1e-9) <= span.time <= span.serial * (1 + 1e-9)


@given(asked())
def test_the_levels_are_in_order(plan):
    question, system, layout, _ = plan
    ideal, *real = (rl.estimate(question, system, layout, level=level) for level in made.LEVELS)
    assert all(ideal.steps[0].time <= each.steps[0].time for each in real)
    assert ideal.interval("tpot") is ideal.interval("ttft") is None


@given(asked(), st.floats(1.01, 10))
def test_better_hardware_never_slows_anything(plan, factor):
    question, system, layout, level = plan
    before = rl.estimate(question, system, layout, level=level).steps[0].time * (1 + 1e-9)
    chip = system.package
    changes = [
        attrs.evolve(
            system, package=attrs.evolve(chip, peak={rate: peak * factor for rate, peak in chip.peak.items()})
        ),
        attrs.evolve(system, package=attrs.evolve(chip, memory=made.scaled(chip.memory, bandwidth=factor))),
        *(
            attrs.evolve(system, tiers=(*system.tiers[:i], made.scaled(tier, bandwidth=factor), *system.tiers[i + 1 :]))
            for i, tier in enumerate(system.tiers)
        ),
    ]
    for better in changes:
        assert rl.estimate(question, better, layout, level=level).steps[0].time <= before


@given(asked())
def test_shares_and_utilisations_are_shares(plan):
    question, system, layout, level = plan
    est = rl.estimate(question, system, layout, level=level)
    assert sum(est.bounds.values()) == pytest.approx(1)
    assert 0 < est.mfu <= 1 + 1e-9
    assert 0 < est.bandwidth_utilization <= 1 + 1e-9
    assert est.bound in ("compute", "memory", "network", "latency")
    quantity = "tpot" if isinstance(question, rl.Decode) else "ttft"
    pair = est.interval(quantity)
    assert level == "ideal" or pair[0] < getattr(est, quantity) < pair[1]


@pytest.mark.parametrize("name", made.MODELS)
@pytest.mark.parametrize("system", ["gb200-nvl72", "cloudmatrix384"])
def test_every_model_is_priced_in_prefill_and_decode(name, system):
    model = rl.model(name)
    for question in (rl.Prefill(model, 1, 1024), rl.Decode(model, 64, 1024)):
        est = rl.estimate(question, system)
        assert np.isfinite(est.steps[0].time)
        assert est.steps[0].time > 0


# Choosing ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "system", "chips"),
    [("llama-3.1-70b", "dgx-h100", 8), ("mixtral-8x7b", "dgx-a100-80gb", 16), ("deepseek-v3", "gb200-nvl72", 16)],
)
def test_the_layout_chosen_is_the_best_of_all(model, system, chips):
    rack = rl.system(system)
    question = rl.Serve(rl.model(model), concurrency=64, chunk=1024)
    chosen = rl.estimate(question, rack, chips=chips)
    driven = rl.profile("calibrated", rack).driven(rl.catalog.engine("generic", rack))
    assert chosen.fits
    best = 0.0
    candidates = possible(question.model, rack, grid(question.model, chips, {}))
    for i in range(candidates.tp.size):
        one = answer(question, rack, candidates.select(i), driven)
        if one.fits:
            best = max(best, float(one.tokens_per_second))
    assert float(chosen.tokens_per_second) == pytest.approx(best, rel=1e-12)
    assert any("most tokens/s" in note for note in chosen.assumptions)


def test_words_given_are_held():
    est = rl.estimate("deepseek-v3", "gb200-nvl72", tp=4, dp=2, ep=8, concurrency=512)
    assert est.layout.words() == {"tp": 4, "pp": 1, "dp": 2, "ep": 8, "replicas": 9}
    assert any("with tp=4 dp=2 ep=8" in note for note in est.assumptions)


def test_a_layout_for_each_of_many_points():
    many = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=np.array([1.0, 64, 4096]))
    for i, n in enumerate((1.0, 64.0, 4096.0)):
        one = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=n)
        assert many.at(i).layout.words() == one.layout.words()
        assert float(many.at(i).tokens_per_second) == pytest.approx(float(one.tokens_per_second))


def test_none_that_fits_is_said():
    est = rl.estimate("llama-3.1-405b", "dgx-h100", concurrency=1)
    assert any("none of" in note and "fits" in note for note in est.assumptions)
    with pytest.raises(rl.QuestionError, match="nothing fits"):
        rl.estimate(rl.Decode(rl.model("llama-3.1-405b"), np.array([1.0, 2]), 100), "dgx-h100", rl.Layout()).best()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", tp=3), "tp=3: tp must divide the 64 attention heads"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", pp=81), "pp cannot exceed the 80 layers"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", ep=8), "has no experts|no such layout"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", tp=16), "no such layout of 8 ranks"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", chips=0), "chips=0"), (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", chips=2.5), "chips=2.5"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", chips=10**9), "joins 16384 at most"),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", batch=3), "batch: here it is concurrency="),
        (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", rl.Layout(tp=8), tp=8), "already states every option"),
        (lambda: rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 1, 1), "dgx-h100", output=3), "already states every option"),
        (lambda: rl.Layout(tp=0), "tp=0:"), (lambda: rl.Layout(tp=1.5), "whole"), (lambda: rl.Layout(dp=float("nan")), "dp=nan"),
        (lambda: rl.Layout.grid(7, tp=2), "no such layout of 7 ranks"), (lambda: rl.estimate("llama-3.1-70b", "dgx-h100", level="best"), "no such level"),
        (lambda: rl.estimate("llama-3.1-8b", "dgx-h100").best("happiness"), "is not a quantity of this answer"),
    ],
)  # fmt: skip
def test_questions_without_meaning(call, says):
    with pytest.raises(rl.QuestionError, match=says):
        call()


def test_a_layout_that_does_not_divide_is_a_mask_with_its_reason():
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-70b"), 8, 100), "dgx-h100", rl.Layout(tp=np.array([1.0, 3, 8])))
    assert est.divides.tolist() == [True, False, True]
    assert any("tp must divide the 64 attention heads" in reason for reason in est.reasons)
    assert not est.at(1).fits


def test_a_grid_holds_every_layout_once():
    layouts = rl.Layout.grid(12)
    rows = set(zip(*(getattr(layouts, d).tolist() for d in ("tp", "pp", "dp", "ep", "replicas")), strict=True))
    assert len(rows) == layouts.tp.size
    assert (layouts.ranks == 12).all()
    count = sum(
        1 for tp in range(1, 13) for pp in range(1, 13) for dp in range(1, 13) if 12 % (tp * pp * dp) == 0
        for ep in range(1, 145) if (tp * dp) % ep == 0
    )  # fmt: skip
    assert len(rows) == count


# What it says --------------------------------------------------------------------------------------------------------------


def test_widened_formats_are_said():
    est = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=1024)
    assert any("ascend-910c has no fp8 rate; dtype=int8 would use its int8 rate" in note for note in est.assumptions)
    assert any("other makers: the interval is widened" in note for note in est.assumptions)
    assert est.dollars_per_million_tokens is None


def test_why_tells_every_operation():
    est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=1024, chips=64, dp=64, ep=64)
    why = est.why()
    assert why.splitlines()[0].split() == ["time", "share", "bound", "work,", "once"]
    for name in (
        "mixed",
        "decode",
        "cycle",
        "prompt attention",
        "latent attention x61",
        "experts x58",
        "q_b",
        "dispatch",
        "combine",
        "head",
    ):
        assert name in why
    with pytest.raises(rl.QuestionError, match="one point only"):
        rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=np.array([1.0, 2.0])).why()


def test_citations_are_the_numbers_used():
    paths = {fact.path for fact in rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8).citations()}
    assert {"chip.peak.bf16", "chip.memory.bandwidth", "system.power", "kernel.gemm.bf16.t0"} <= paths
    assert not any(
        "fp8" in path or "moe" in path or path.startswith(("link", "system.tier[1]"))
        for path in paths
        if "." in path and not path.startswith("stack.")
    )
    wide = {
        fact.path for fact in rl.estimate("llama-3.1-405b", "dgx-h100", chips=32, tp=8, pp=4, concurrency=8).citations()
    }
    assert {"system.tier[0].bandwidth", "system.tier[1].bandwidth", "link.one_shot.eta"} <= wide
    # At the ideal level no constant is used, but for the margins of memory and power.
    ideal = rl.estimate("llama-3.1-8b", "dgx-h100", level="ideal", concurrency=8).citations()
    assert {fact.path.split(".")[0] for fact in ideal} == {"chip", "system", "calibration"}


def test_intervals_widen_with_what_is_not_known():
    known = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 100), "dgx-h100", rl.Layout())
    stranger = attrs.evolve(
        rl.system("dgx-h100"), package=attrs.evolve(rl.system("dgx-h100").package, name="strange", vendor="nobody")
    )
    unknown = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 100), stranger, rl.Layout())
    assert np.diff(unknown.interval("tpot")) > np.diff(known.interval("tpot"))


def test_energy_and_rent_by_hand():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=64)
    rate = float(est.tokens_per_second)
    # Eight chips of 700 W at what they ask for, 150 W of host and 65 W of fans for each, 2.2 % lost in conversion.
    assert float(est.joules_per_token) == pytest.approx(8 * (700 * float(est.demand) + 215) / 0.978 / rate)
    assert float(est.dollars_per_million_tokens) == pytest.approx(8 * 2.95 / 3600 / rate * 1e6)


@pytest.mark.parametrize("word", ["power", "price"])
@pytest.mark.parametrize("value", [-1.0, 0.0, float("nan"), float("inf"), np.array([1.0, -1.0])], ids=str)
def test_power_and_rent_that_cannot_be_are_told_as_they_were_given(word, value):
    # Of one chip, not of the eight that it stands for.
    with pytest.raises(rl.QuestionError, match=f"^{word}={np.ravel(value)[-1]:g}: must be a finite number above 0$"):
        rl.estimate("llama-3.1-8b", "dgx-h100", **{word: value}, concurrency=8)


def test_arrays_of_drafts_are_the_drafts_one_by_one():
    model = rl.model("deepseek-v3")
    drafts, kept = np.array([0.0, 1.0, 3.0]), np.array([1.0, 1.7, 2.5])
    many = rl.estimate(rl.Decode(model, 512, 4096, drafts, kept), "gb200-nvl72", rl.Layout(dp=64, ep=64))
    for i in range(3):
        one = rl.estimate(rl.Decode(model, 512, 4096, drafts[i], kept[i]), "gb200-nvl72", rl.Layout(dp=64, ep=64))
        assert float(one.tpot) == pytest.approx(float(many.tpot[i]))
        assert float(one.memory.total) == pytest.approx(float(np.broadcast_to(many.memory.total, 3)[i]))
        assert np.array(one.interval("tpot"), dtype=float) == pytest.approx(
            [float(x[i]) for x in many.interval("tpot")]
        )


def test_assumed_numbers_count_only_where_they_are_used():
    # The latency between two dies is assumed; a service on one die does not rest on it, one over both does.
    rack, model = rl.system("cloudmatrix384"), rl.model("llama-3.1-8b")
    both = rl.estimate(rl.Decode(model, 8, 100), rack, rl.Layout(tp=np.array([1.0, 2.0])))
    one = rl.estimate(rl.Decode(model, 8, 100), rack, rl.Layout(tp=1))
    assert float(both.interval("tpot")[1][0]) == pytest.approx(float(one.interval("tpot")[1]))
    assert "system.tier[0].latency" not in {fact.path for fact in one.citations()}


def test_a_number_that_was_changed_is_cited_as_such():
    rack = rl.system("dgx-h100")
    chip = attrs.evolve(rack.package, memory=attrs.evolve(rack.package.memory, bandwidth=5e12))
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 100), attrs.evolve(rack, package=chip), rl.Layout())
    fact = next(fact for fact in est.citations() if fact.path == "chip.memory.bandwidth")
    assert fact.source.kind == "given"
    assert fact.text == "5 TB/s"
    assert "the descriptor says 3.35 TB/s" in fact.source.title


def test_a_lone_prefill_is_laid_out_for_the_first_token():
    est = rl.estimate(rl.Prefill(rl.model("llama-3.1-70b"), 1, 8192), "dgx-h100")
    assert est.layout.words()["tp"] == 8
    assert any("the least TTFT" in note for note in est.assumptions)


def test_best_on_one_point_holds_to_its_condition():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", concurrency=8)
    assert est.best() is est
    with pytest.raises(rl.QuestionError, match="no point that fits meets the condition"):
        est.best(where=est.tpot < 1e-6)
    with pytest.raises(rl.QuestionError, match="nothing fits"):
        rl.estimate("llama-3.1-405b", "dgx-h100").best()


def test_groups_that_straddle_are_masked():
    est = rl.estimate(rl.Decode(rl.model("deepseek-v3"), 24, 100), "dgx-h100", rl.Layout(dp=12, ep=12, replicas=2))
    assert not est.fits
    assert any("tp * dp must divide the 8 ranks of NVLink 4" in reason for reason in est.reasons)


def test_a_die_alone_has_half_the_memory():
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 1, 100), "cloudmatrix384", rl.Layout())
    assert (float(est.chips), float(est.capacity)) == (1.0, pytest.approx(0.9 * 64e9))


def test_an_answer_is_told_in_a_line():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", concurrency=8)
    assert repr(est).startswith("<Estimate: Serve of llama-3.1-8b on dgx-h100, tp=")
    many = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), np.ones(3), 100), "dgx-h100", rl.Layout())
    assert repr(many) == "<Estimate: Decode of llama-3.1-8b on dgx-h100, 3 points>"
    with pytest.raises(rl.QuestionError, match="has no interval"):
        est.interval("happiness")
    with pytest.raises(rl.QuestionError, match="must be whole numbers"):
        many.at(0.5)
    assert many.at(np.int64(1)).shape == ()


def test_the_ideal_level_fits_where_the_generic_one_does():
    ideal, *real = (rl.estimate("llama-3.1-8b", "dgx-h100", level=level, concurrency=8) for level in made.LEVELS)
    for each in real:
        # The driver keeps a part of what it reports.
        assert float(ideal.capacity) >= float(each.capacity)
        assert float(ideal.joules_per_token) < float(each.joules_per_token)


def test_the_chunk_is_chosen_with_the_layout():
    free = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=1024)
    assert any(f"chunk={float(free.question.chunk):g}" in note for note in free.assumptions)
    for chunk in (64, 512, 4096):
        held = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=1024, chunk=chunk)
        assert float(held.question.chunk) == chunk
        if held.ttft <= 10:
            assert float(held.tokens_per_second) <= float(free.tokens_per_second) * (1 + 1e-9)
    many = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=np.array([1.0, 1024.0]))
    assert float(many.at(1).question.chunk) == float(free.question.chunk)


def test_replicas_that_idle_are_told_and_draw_little():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", rl.Layout(replicas=8), concurrency=2)
    assert float(est.working) == 0.25
    assert any("2 of 8 replicas have a request" in note for note in est.assumptions)
    rate = float(est.tokens_per_second)
    # Two of eight work; the others hold the model and wait, at 18 % of 700 W.
    chips = 700 * (0.25 * float(est.demand) + 0.75 * 0.18)
    assert float(est.joules_per_token) == pytest.approx(8 * (chips + 215) / 0.978 / rate)


def test_the_truth_lies_between_side_by_side_and_in_turn():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", concurrency=8)
    for quantity in ("ttft", "tpot"):
        low, high = est.idealisation(quantity)
        assert low <= getattr(est, quantity) * (1 + 1e-9)
        assert getattr(est, quantity) <= high * (1 + 1e-9)
        assert high <= 2 * low
    assert est.to_dict()["idealisation"]["tpot_s"] == pytest.approx([float(x) for x in est.idealisation("tpot")])


def test_grids_count_chips_too():
    assert rl.Layout.grid(chips=8, tp=2).pp.size == rl.Layout.grid(8, tp=2).pp.size
    for words in ({}, {"ranks": 4, "chips": 4}, {"chips": 0}, {"ranks": 2.5}):
        with pytest.raises(rl.QuestionError):
            rl.Layout.grid(**words)


def test_a_rate_has_an_interval_that_moves_with_its_time():
    est = rl.estimate("llama-3.1-8b", "dgx-h100", concurrency=8)
    low, high = (float(x) for x in est.interval("tokens_per_second"))
    times = [float(x) for x in est.interval("tpot")]
    assert low < float(est.tokens_per_second) < high
    user = [float(x) for x in est.interval("tokens_per_second_per_user")]
    assert user == pytest.approx([1 / times[1], 1 / times[0]])
    prompt = rl.estimate(rl.Prefill(rl.model("llama-3.1-8b"), 1, 4096), "dgx-h100")
    assert prompt.interval("prompt_tokens_per_second")[0] < prompt.prompt_tokens_per_second
    assert prompt.interval("tokens_per_second") is None


def test_an_engine_without_windows_serves_a_model_that_has_none():
    engine = rl.catalog.engine("trtllm@0.9")
    assert not engine.windows
    sliding, keeping = rl.model("mistral-7b-v0.1"), attrs.evolve(engine, windows=True)
    asked = {"tp": 1, "chips": 1, "input": 20000, "output": 500, "concurrency": 8}
    whole, bare = (rl.estimate(each, "dgx-h100", engine=engine, **asked) for each in (sliding, sliding.unwindowed()))
    for name in ("ttft", "tpot", "max_concurrency"):
        assert float(getattr(whole, name)) == float(getattr(bare, name))
    windowed = rl.estimate(sliding, "dgx-h100", engine=keeping, **asked)
    assert windowed.max_concurrency > 3 * whole.max_concurrency
    assert windowed.tpot < whole.tpot
    said = [
        any("leaves out the sliding windows" in note for note in est.assumptions) for est in (whole, bare, windowed)
    ]
    assert said == [True, False, False]
    plain = rl.model("llama-3.1-8b")
    assert plain.unwindowed() == plain


def test_drafts_are_kept_as_usual_where_nothing_is_said():
    model = rl.model("deepseek-v3")
    said, silent = (
        rl.estimate(rl.Decode(model, 64, 4096, draft_tokens=3, **words), "dgx-b200", rl.Layout(tp=8, ep=8))
        for words in ({"accept_length": float(usual_accept_length(3.0))}, {})
    )
    assert float(silent.tpot) == float(said.tpot)
    assert silent.to_dict()["accept_length"] == pytest.approx(2.80, abs=0.01)
    for quantity in ("tpot", "tokens_per_second"):
        (low, high), (below, above) = (est.interval(quantity) for est in (said, silent))
        assert below < low < high < above
    notes = ["chance" in " ".join(est.assumptions) for est in (said, silent)]
    assert notes == [False, True]


@given(st.integers(0, 100))
def test_more_drafts_yield_more_and_no_more_than_all(drafts):
    assert 1 <= usual_accept_length(float(drafts)) <= usual_accept_length(drafts + 1.0) <= drafts + 2
    assert usual_accept_length(0.0) == 1


def test_more_points_of_a_tier_do_not_change_the_others():
    """Rules are joined by key: their sentences name a number that differs from block to block."""
    base = rl.system("dgx-h100")
    question = rl.Decode(rl.model("llama-3.1-70b"), 64, 4096)

    def asked(sizes):
        tiers = (*base.tiers[:-1], attrs.evolve(base.tiers[-1], size=sizes))
        return answer(
            question, attrs.evolve(base, tiers=tiers), rl.Layout(tp=8, replicas=4), rl.profile("generic", base)
        )

    few, more = np.full(8000, 64.0), np.repeat([16.0, 256.0, 4096.0, 65536.0], 8000)
    assert asked(few).fits.all()
    whole = asked(np.concatenate((few, more)))
    np.testing.assert_array_equal(whole.fits, np.repeat([True, False, True], (8000, 8000, 24000)))
    assert len({rule.key for rule in whole.rules}) == len(whole.rules)
    assert "dgx-h100 joins 65536 ranks at most" in whole.reasons


def test_whatever_fits_is_finite():
    """Experts spread wide, drafts, and next to no load: a rank may have no token at all."""
    load = np.array([1e-3, 0.5, 1.0, 2.0, 1000.0])
    for layout in (rl.Layout(dp=72, ep=72), rl.Layout(dp=8, ep=8), rl.Layout(tp=8)):
        for words in ({"concurrency": load}, {"rate": load}):
            est = rl.estimate("deepseek-v3", "gb200-nvl72", layout, draft_tokens=1, **words)
            for name in ("ttft", "tpot", "tokens_per_second", "prompt_tokens_per_second"):
                assert np.isfinite(
                    np.broadcast_to(getattr(est, name), est.shape)[np.broadcast_to(est.fits, est.shape)]
                ).all()


def test_what_has_no_finite_rate_does_not_fit():
    est = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8, 1024), "h100", rl.Layout())
    spoilt = attrs.evolve(est, tokens_per_second=float("nan"))
    assert est.fits
    assert not spoilt.fits
    assert "no finite number" in spoilt.reasons[0]
