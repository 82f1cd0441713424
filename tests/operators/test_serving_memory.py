"""Memory as engines share it out: fractions by each rule, states and windows in pages, peaks at start, by hand."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.hardware.engines import Engine, StackMemory
from roofline.models.architecture import Compressed, Tower
from roofline.operators import compressed_cache, serving_memory
from roofline.operators.memory import kv_cache

GIB = 2.0**30
RACK = rl.system("dgx-h100")
PLAIN = rl.Model("plain", 1000, 10_000, (rl.Layers(4, rl.Gqa(10, 2, 100), rl.Dense(3000)),))
HYBRID = rl.Model(
    "hybrid", 1000, 10_000,
    (rl.Layers(3, rl.Linear(key_heads=2, value_heads=4, key_dim=100, value_dim=100, conv=0), rl.Dense(3000)),
     rl.Layers(1, rl.Gqa(10, 2, 100), rl.Dense(3000))),
)  # fmt: skip
OWN = StackMemory(context=GIB)


def driven(memory, fraction=0.5, budget=1000.0, **words):
    engine = Engine("made", memory=memory, budget=budget, **words)
    profile = rl.profile("generic", RACK).driven(engine)
    return profile if fraction is None else profile.filled(fraction)


def filled(model, profile, tokens=1000.0, sequences=1.0):
    return serving_memory.fill_memory(
        model, RACK, rl.Layout(), profile, sequences=sequences, tokens=tokens, passing=1.0, logits=1.0
    )


@pytest.mark.parametrize("rule", ["all", "static", "free"])
def test_the_cache_gets_what_each_rule_leaves_it(rule):
    """Of M bytes: f M - W - R; f (M - R) - W; f (M - W - R)."""
    profile = driven(attrs.evolve(OWN, rule=rule))
    held, capacity, most = filled(PLAIN, profile)
    whole, own = float(RACK.chip.memory.capacity * RACK.chip.memory.usable), float(held.weights)
    left = {"all": whole / 2 - own - GIB, "static": (whole - GIB) / 2 - own, "free": (whole - own - GIB) / 2}[rule]
    each = float(kv_cache(PLAIN, rl.Layout(), 1000.0))
    # A sequence's own activations are small.
    assert float(most) == pytest.approx(left / each, rel=0.05)
    assert float(held.total) <= float(capacity)


def test_by_default_a_static_engine_leaves_free_what_its_rule_says():
    """512 MiB, 1 MiB for each of 1,000 tokens and 100 MiB for each of 8 ranks leave 2,312 MiB."""
    memory = StackMemory(rule="static", reserve=512 * 2.0**20, reserve_token=2.0**20, reserve_rank=100 * 2.0**20)
    room = serving_memory.memory_budget(PLAIN, RACK, rl.Layout(tp=8), driven(memory, None))
    assert float(room.runtime) == pytest.approx(2312 * 2.0**20)


def test_the_peak_at_start_is_the_largest_pass_or_the_logits():
    """12 bytes for each of 100 sequences and 10,000 words, or 2 x 1,000 x (4 x 1,000 + 9,000)."""
    memory = StackMemory(logit=12.0, sequences=100.0, small_sequences=100.0)
    peaks = [
        float(serving_memory.profiled_peak(PLAIN, RACK, rl.Layout(), driven(memory, budget=n))) for n in (10.0, 1000.0)
    ]
    assert peaks == [12 * 100 * 10_000, 2 * 1000 * 13_000]


def test_an_encoder_is_tried_with_as_much_as_the_limits_allow():
    """50 bytes for each of 1,000,000 tokens of images, more than the pass of 1,000 tokens."""
    memory = StackMemory(logit=12.0, encoder=50.0, encoded=1e6)
    seeing = attrs.evolve(PLAIN, towers=(Tower("vision tower", 10),))
    assert float(serving_memory.profiled_peak(seeing, RACK, rl.Layout(), driven(memory))) == 5e7
    assert float(serving_memory.profiled_peak(PLAIN, RACK, rl.Layout(), driven(memory))) == 2 * 1000 * 13_000


def test_scores_of_an_index_are_those_of_all_tokens_and_keys():
    """12 bytes for 1,000 tokens of a pass and each of 100,000 keys, beside the pass."""
    mixer = rl.Gqa(10, 2, 100, indexer=rl.Indexer(heads=4, dim=128, top_k=64))
    model = attrs.evolve(PLAIN, layers=(rl.Layers(1, mixer, rl.Dense(3000)),))
    plain, scored = (
        float(serving_memory.profiled_peak(model, RACK, rl.Layout(), driven(StackMemory(logit=12.0, index=b)), 1e5))
        for b in (0.0, 12.0)
    )
    assert scored - plain == 12 * 1000 * 1e5


def test_limits_of_a_pass_grow_with_the_memory():
    memory = StackMemory(large=1e9, small_tokens=10.0, sequences=7.0, small_sequences=3.0)
    assert serving_memory.profiling_limits(RACK, driven(memory)) == (1000, 7)
    assert serving_memory.profiling_limits(RACK, driven(attrs.evolve(memory, large=1e12))) == (10, 3)
    assert serving_memory.profiling_limits(RACK, driven(attrs.evolve(memory, huge=2e9, huge_tokens=2000.0))) == (
        2000,
        7,
    )


def test_graphs_take_memory_for_each_layer_unless_none_are_captured():
    def runtime(**words):
        return float(
            serving_memory.memory_budget(PLAIN, RACK, rl.Layout(), driven(StackMemory(graph=1e7), **words)).runtime
        )

    assert runtime() == 4e7
    assert runtime(captured=()) == 0.0


def test_windows_and_compressors_hold_the_tokens_of_a_pass_besides():
    """A window of 50 and a pass of 200 in one of two layers; an entry of content and gate, twice, of 100 + 128 elements of 4 bytes."""
    wide, narrow = rl.Gqa(10, 2, 100), rl.Gqa(10, 2, 100, window=50)
    model = attrs.evolve(PLAIN, layers=(rl.Layers(1, wide, rl.Dense(3000)), rl.Layers(1, narrow, rl.Dense(3000))))
    profile = driven(StackMemory(chunked=True))
    found = float(serving_memory.cached_bytes(model, rl.Layout(), 1000.0, profile, passing=200.0))
    assert found == pytest.approx(2 * 400 * (1000 + 250))
    mixer = Compressed(
        10, 100, 50, 1, 10, window=50, ratio=4, overlap=True, indexer=rl.Indexer(heads=4, dim=128, top_k=64)
    )
    assert (
        compressed_cache.compressor_bytes(attrs.evolve(PLAIN, layers=(rl.Layers(3, mixer, rl.Dense(3000)),)))
        == 3 * 4 * 228 * 4
    )


def test_buffers_of_experts_come_on_top_of_the_pass():
    model = attrs.evolve(PLAIN, layers=(rl.Layers(1, rl.Gqa(10, 2, 100), rl.Moe(experts=8, top_k=2, width=500)),))
    memory = StackMemory(logit=12.0, sequences=100.0, small_sequences=100.0, experts=3.0)
    found = float(serving_memory.profiled_peak(model, RACK, rl.Layout(), driven(memory)))
    # Beside residuals and heads of attention: three copies of the rows of two experts a token.
    assert found == pytest.approx(2 * 1000 * (4 * 1000 + 3000) + 3 * 2 * 1000 * 2 * (2 * 1000 + 3 * 500))


def test_a_state_takes_pages_and_a_sequence_whole_ones():
    """A state of 4 x 100 x 100 elements; 400 elements a token: pages of 100 tokens. Three states and 3 pages for 250 tokens."""
    state = serving_memory.state_bytes(HYBRID) / 3
    token = float(kv_cache(HYBRID, rl.Layout(), 1.0)) - 3 * float(state)
    length = float(state) / token
    found = float(serving_memory.cached_bytes(HYBRID, rl.Layout(), 2.5 * length, driven(StackMemory(paged=True))))
    assert found == pytest.approx(3 * float(state) + 3 * length * token)
    twice = float(
        serving_memory.cached_bytes(HYBRID, rl.Layout(), 2.5 * length, driven(StackMemory(paged=True, state_pages=2.0)))
    )
    assert twice == pytest.approx(6 * float(state) + 4 * length * token)
    kept = driven(StackMemory(paged=True, state_copies=2.0))
    more = float(serving_memory.cached_bytes(HYBRID, rl.Layout(), 2.5 * length, kept))
    assert more == pytest.approx(6 * float(state) + 3 * length * token)


def test_states_with_a_room_of_their_own_may_be_what_fills_first():
    short, long = (
        float(serving_memory.cached_bytes(HYBRID, rl.Layout(), n, driven(StackMemory(state_room=1.0))))
        for n in (1.0, 1e6)
    )
    exact = float(kv_cache(HYBRID, rl.Layout(), 1e6)) - float(serving_memory.state_bytes(HYBRID))
    assert short == pytest.approx(2 * float(serving_memory.state_bytes(HYBRID)))
    assert long == pytest.approx(2 * exact)


def test_windows_save_nothing_where_layers_differ_in_the_bytes_of_a_token():
    narrow, wide = rl.Gqa(10, 2, 100, window=50), rl.Gqa(10, 2, 200)
    mixed = attrs.evolve(PLAIN, layers=(rl.Layers(1, narrow, rl.Dense(3000)), rl.Layers(1, wide, rl.Dense(3000))))
    alike = attrs.evolve(
        PLAIN, layers=(rl.Layers(1, narrow, rl.Dense(3000)), rl.Layers(1, rl.Gqa(10, 2, 100), rl.Dense(3000)))
    )
    uniform = StackMemory(uniform=True)
    assert serving_memory.as_cached(mixed, uniform) == mixed.unwindowed()
    assert serving_memory.as_cached(mixed, StackMemory()) == mixed
    assert serving_memory.as_cached(alike, uniform) == alike


def test_experts_in_mxfp4_are_stored_in_whole_tiles():
    model = rl.model("gpt-oss-120b")
    loaded = serving_memory.as_loaded(model, 256.0)
    assert {run.ffn.width for run in loaded.layers} == {3072}
    assert serving_memory.as_loaded(model, 1.0) == model
    assert serving_memory.as_loaded(rl.model("qwen3-30b-a3b"), 256.0) == rl.model("qwen3-30b-a3b")


# What a user is told -----------------------------------------------------------------------------------------------------


@given(st.floats(0.3, 1.0), st.sampled_from(["vllm", "sglang", "trtllm", "generic"]))
def test_a_greater_fraction_leaves_more_cache(fraction, engine):
    small, large = (
        rl.estimate(
            rl.Decode(rl.model("llama-3.1-8b"), 4.0, 1000.0), RACK, rl.Layout(), engine=engine, memory_fraction=f
        )
        for f in (fraction * 0.9, fraction)
    )
    assert float(small.kv_cache_tokens) <= float(large.kv_cache_tokens)
    assert float(small.fits_probability) <= float(large.fits_probability)


def test_what_fits_within_its_uncertainty_fits_probably():
    model = rl.model("gpt-oss-120b")
    est = rl.estimate(rl.Decode(model, 8.0, 1000.0), RACK, rl.Layout(), engine="vllm", memory_fraction=0.88)
    low, high = est.interval("memory")
    assert low < est.capacity < high
    assert 0.1 < float(est.fits_probability) < 0.9
    assert "probably" in str(est) or not est.fits
    few, many = est.interval("max_concurrency")
    assert few == 0 < many
    sure = rl.estimate(rl.Decode(rl.model("llama-3.1-8b"), 8.0, 1000.0), RACK, rl.Layout(), engine="vllm")
    assert float(sure.fits_probability) > 0.99


def test_a_fraction_out_of_range_is_refused():
    with pytest.raises(rl.QuestionError, match="memory_fraction"):
        rl.estimate("llama-3.1-8b", RACK, tp=1, memory_fraction=1.2)


def test_the_cache_of_a_small_model_as_a_log_prints_it():
    """vLLM on 79.25 GiB at 0.92: 15.0 GiB of weights, 0.26 and 1.44 beside them, 460,496 tokens of 128 KiB."""
    est = rl.estimate(
        rl.Decode(rl.model("llama-3.1-8b"), 1.0, 131071.0), RACK, rl.Layout(), engine="vllm", memory_fraction=0.92
    )
    assert float(est.kv_cache_tokens) == pytest.approx(460_496, rel=0.02)


def test_memory_of_an_engine_is_read_and_checked():
    found = catalog.engine("sglang@0.5.0", RACK).memory
    assert (found.rule, found.reserve_share) == ("static", 0.12)
    assert catalog.engine("vllm-ascend").memory.state_pages == 2.0
    assert catalog.engine("sglang", RACK).memory.reserve_share == 0.0


@pytest.mark.parametrize("release", ["0.10.1", "0.14.1"])
def test_gpt_oss_does_not_start_on_one_h100(release):
    """vLLM issues 23278 and 33155: 64.4 to 66.0 GiB of weights, -2.14 GiB for the cache."""
    question = rl.Decode(rl.model("gpt-oss-120b"), 1.0, 1000.0)
    est = rl.estimate(question, RACK, rl.Layout(), engine=f"vllm@{release}")
    assert not est.fits
    assert float(est.fits_probability) < 0.35


def test_the_same_model_leaves_more_cache_where_tokens_are_not_sorted():
    """vLLM issue 21348: 178,880 tokens by vLLM of July 2025, 367,404 by SGLang at 0.93, of 48,128 bytes on each of four H100."""
    model = rl.model("qwen3-235b-a22b", dtype="fp8-block", kv_dtype="bf16")
    question, layout = rl.Decode(model, 1.0, 40_959.0), rl.Layout(tp=4)
    old, sglang = (
        rl.estimate(question, RACK, layout, engine=e, memory_fraction=f)
        for e, f in (("vllm@0.9.2", 0.9), ("sglang@0.4.9", 0.93))
    )
    assert float(old.kv_cache_tokens) == pytest.approx(178_880, rel=0.15)
    assert float(sglang.kv_cache_tokens) == pytest.approx(367_404, rel=0.06)
    assert old.interval("kv_cache_tokens")[0] < 178_880


def test_limits_of_vllm_by_chip():
    """8,192 tokens and 1,024 sequences from 70 GiB on, never on A100; 16,384 tokens from 160 GiB on, since August 2026."""

    def asked(system, release=""):
        rack = rl.system(system)
        return serving_memory.profiling_limits(
            rack, rl.profile("generic", rack).driven(catalog.engine(f"vllm{release}", rack))
        )

    assert asked("dgx-h100") == (8192, 1024)
    assert asked("dgx-a100-80gb") == (2048, 256)
    assert asked("l40s") == (2048, 256)
    assert asked("dgx-b200") == (16384, 1024)
    assert asked("dgx-b200", "@0.19") == (8192, 1024)


def test_the_share_of_the_memory_is_that_of_the_release():
    assert catalog.engine("vllm@0.11", RACK).memory_fraction == 0.9
    assert catalog.engine("vllm", RACK).memory_fraction == 0.92


def test_windows_with_a_pool_of_their_own():
    """Two layers of 400 elements a token, one with a window of 100: a pool of T tokens takes 800 (1 + 0.5) T."""
    wide, narrow = rl.Gqa(10, 2, 100), rl.Gqa(10, 2, 100, window=100)
    model = attrs.evolve(PLAIN, layers=(rl.Layers(1, wide, rl.Dense(3000)), rl.Layers(1, narrow, rl.Dense(3000))))
    profile = driven(StackMemory(window_room=0.5))

    def room(tokens):
        return float(serving_memory.cached_bytes(model, rl.Layout(), tokens, profile))

    assert room(1000.0) == pytest.approx(800 * 1.5 * 1000)
    # Of 50 tokens windows hold all, which takes a pool of 100.
    assert room(50.0) == pytest.approx(800 * 1.5 * 100)


def test_a_fraction_is_less_for_long_requests():
    memory = StackMemory(rule="static", long=1000.0, long_share=0.5)
    rooms = [
        serving_memory.memory_budget(PLAIN, RACK, rl.Layout(), driven(memory, 0.8), n).fraction for n in (999.0, 1001.0)
    ]
    assert [float(each) for each in rooms] == [0.8, 0.4]


def test_minimax_m2_on_mi300x_as_sglang_serves_it():
    """About 1.5 million tokens on four of them: 0.85 of the default fraction, by AITER at long contexts."""
    question = rl.Decode(rl.model("minimax-m2"), 1.0, 32_767.0)
    est = rl.estimate(question, "mi300x-8", rl.Layout(tp=4), engine="sglang")
    assert float(est.kv_cache_tokens) == pytest.approx(1.5e6, rel=0.05)


def test_chunks_of_sglang_by_memory():
    def tokens(system):
        rack = rl.system(system)
        return serving_memory.profiling_limits(
            rack, rl.profile("generic", rack).driven(catalog.engine("sglang", rack))
        )[0]

    assert [tokens(name) for name in ("rtx-4090", "l40s", "dgx-h100", "dgx-b200")] == [2048, 4096, 8192, 16384]


def test_pages_of_one_size():
    """Pages of 64 entries of 100 bytes; 1,024 tokens are 4 of them, twice with an index; compressors of 1,600 bytes a token take 4."""
    mixer = Compressed(
        10, 100, 50, 1, 10, window=128, ratio=4, overlap=True, indexer=rl.Indexer(heads=4, dim=128, top_k=64)
    )
    layers = (rl.Layers(3, mixer, rl.Dense(3000)),)
    model = attrs.evolve(PLAIN, layers=layers, formats=attrs.evolve(PLAIN.formats, kv="fp8"))
    found = float(compressed_cache.paged(model, 256.0, 0.0, 1024.0, 512.0, apart=False))
    assert found == pytest.approx(3 * 6400 * (128 / 64 + 2 * (4 + 512 / 4)))


def test_deepseek_v4_pro_on_mi300x_starts_by_the_size_of_its_passes():
    """vLLM issue 53961: a request of 1,048,576 tokens does not fit with passes of 16,384 tokens, and does with 8,192."""
    question = rl.Decode(rl.model("deepseek-v4-pro", kv_dtype="fp8"), 1.0, 1_048_575.0)
    fits = [
        bool(rl.estimate(question, "mi300x-8", rl.Layout(tp=8), engine=f"vllm@{day}", memory_fraction=0.9).fits)
        for day in ("2026-08", "2026-07")
    ]
    assert fits == [False, True]


def test_streams_keys_windows_and_compressors_lie_in_pages_of_two_sizes():
    """Pages of 64 entries of 200 bytes and of 64 keys of 132: 4 of each for 1,024 tokens, 2 of the window, 256 / 8 of compressors."""
    mixer = Compressed(
        10, 100, 50, 1, 10, window=128, ratio=4, overlap=True, indexer=rl.Indexer(heads=4, dim=128, top_k=64)
    )
    model = attrs.evolve(PLAIN, layers=(rl.Layers(3, mixer, rl.Dense(3000)),))
    found = float(compressed_cache.paged(model, 256.0, 2.0, 1024.0, 256.0, apart=True))
    # A token of the compressor takes 4 x 2 x 2 x 100 = 1,600 bytes: 8 in a page of 12,800.
    assert found == pytest.approx(3 * (12_800 * (128 / 64 + 4 + 32) + 64 * 132 * (4 + 32)))


def test_windows_and_compressors_have_pools_of_their_own():
    """A stream of one entry of 100 bytes and a key of 132 in 4 tokens; for a tenth of the tokens a window and 8 / 100 of a state."""
    mixer = Compressed(
        10, 100, 50, 1, 10, window=100, ratio=4, overlap=True, indexer=rl.Indexer(heads=4, dim=128, top_k=64)
    )
    model = attrs.evolve(PLAIN, layers=(rl.Layers(3, mixer, rl.Dense(3000)),))
    state = 4 * 2 * 2 * (100 + 128)
    each = 3 * ((100 + 132) / 4 + 0.1 * (100 + 0.08 * state))
    assert float(compressed_cache.pooled(model, 0.1, 1.0, 5000.0)) == pytest.approx(5000 * each)
    # Ten tokens need the room of a hundred.
    assert float(compressed_cache.pooled(model, 0.1, 1.0, 10.0)) == pytest.approx(100 * each)


def test_deepseek_v4_under_sglang_takes_what_its_log_prints():
    """15,955.85 bytes a token by SGLang of May 2026, of which 58.4 are of the window of the module for drafts."""
    model = rl.model("deepseek-v4-flash")
    assert float(compressed_cache.pooled(model, 0.1, 584 / 512, 1e6)) / 1e6 == pytest.approx(15_955.85 - 58.4, abs=0.01)


def test_a_release_that_is_not_stated_widens_the_memory():
    model = rl.model("gpt-oss-120b")
    question = rl.Decode(model, 1.0, 1000.0)
    newest, open_ = (rl.estimate(question, RACK, rl.Layout(), engine=name) for name in ("vllm@0.27", "vllm"))
    assert float(open_.kv_cache_tokens) == pytest.approx(float(newest.kv_cache_tokens), rel=0.01)
    assert open_.interval("kv_cache_tokens")[0] < newest.interval("kv_cache_tokens")[0]
    # Older releases do not start it.
    assert 0.3 < float(open_.fits_probability) < 0.9 < float(newest.fits_probability)


def test_an_engine_without_logs_is_less_sure():
    question = rl.Decode(rl.model("llama-3.1-8b"), 1.0, 1000.0)

    def width(engine):
        low, high = rl.estimate(question, RACK, rl.Layout(), engine=engine).interval("memory")
        return float(high - low)

    assert width("vllm@0.27") < width("nim")


def test_drafted_tokens_take_states_and_a_layer_more_in_each_group():
    """vLLM 0.23 of July 2026, Qwen3.6-27B with two drafted tokens: 48.6 GiB hold 5.32 requests of 262,144 tokens, in pages of 1,600."""
    model, rack = rl.model("qwen3.6-27b-nvfp4", kv_dtype="fp8"), rl.system("dgx-spark")
    profile = rl.profile("generic", rack).driven(catalog.engine("vllm@0.23", rack))
    words = {"drafting": True, "drafts": 2.0}
    found = float(serving_memory.cached_bytes(model, rl.Layout(), 262_144.0, profile, **words))
    assert found == pytest.approx(48.6 * GIB / 5.318, rel=0.005)
    # 164 pages of 17 layers, and 4 of each of 3 groups of 17; without drafts 164 of 16, and 2 of each of 3 groups of 16.
    plain = float(serving_memory.cached_bytes(model, rl.Layout(), 262_144.0, profile))
    assert found / plain == pytest.approx(17 * (164 + 12) / (16 * (164 + 6)), rel=0.005)
