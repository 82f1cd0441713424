"""config.json as it comes: the families' conventions, the formats of checkpoints, and files that are wrong in every way."""

import copy
import functools
import json
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline.models.huggingface import model
from roofline.operators import memory

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "max_position_embeddings": 131072, "rope_scaling": {"factor": 8.0}, "attention_bias": False, "mlp_bias": False,
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61,
    "num_attention_heads": 128, "num_key_value_heads": 128, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "first_k_dense_replace": 3, "moe_layer_freq": 1, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "vocab_size": 129280, "num_nextn_predict_layers": 1, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], "activation_scheme": "dynamic"},
}  # fmt: skip
QWEN_MOE = {
    "model_type": "qwen2_moe", "hidden_size": 3584, "intermediate_size": 18944, "moe_intermediate_size": 2560, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "num_experts": 64, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
    "shared_expert_intermediate_size": 20480, "use_sliding_window": False, "sliding_window": 65536, "max_window_layers": 28,
    "vocab_size": 151936, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "mlp_only_layers": [],
}  # fmt: skip


def test_a_dict_a_file_and_a_directory_are_the_same_model(tmp_path):
    folder = tmp_path / "Meta-Llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    models = [
        rl.model(LLAMA),
        rl.model(folder),
        rl.model(folder / "config.json"),
        rl.model(str(folder)),
        rl.model("llama-3.1-8b"),
    ]
    assert {m.layers for m in models} == {models[0].layers}
    assert {memory.total(m) for m in models} == {8_030_261_248}
    assert models[1].name == "Meta-Llama"


def test_qwen2_moe_has_a_gated_shared_expert_and_biases():
    made = model(QWEN_MOE)
    moe, attention = made.layers[0].ffn, made.layers[0].attention
    assert (moe.experts, moe.top_k, moe.width, moe.shared_width, moe.shared_gate) == (64, 8, 2560, 20480, True)
    assert attention.bias
    # Qwen2-57B-A14B: 57.4 B parameters, 14.2 B active by its card.
    assert memory.total(made) / 1e9 == pytest.approx(57.4, abs=0.05)
    assert memory.active(made) / 1e9 == pytest.approx(14.2, abs=0.1)


def test_what_published_files_leave_to_the_reader():
    """Gemma 3 4B says neither heads nor vocabulary: 8 of 256, 262,208."""
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "sliding_window": 1024,
    }
    made = model({"model_type": "gemma3", "text_config": text})
    assert (made.layers[0].attention.heads, made.layers[0].attention.kv_heads, made.vocab, made.tied) == (
        8,
        4,
        262208,
        True,
    )
    assert memory.total(made) == memory.total(rl.model("gemma-3-4b")) + (262208 - 262144) * 2560
    assert made.warnings == ()


def test_starcoder_has_one_key_value_head():
    config = {
        "model_type": "gpt_bigcode",
        "n_embd": 6144,
        "n_layer": 40,
        "n_head": 48,
        "n_positions": 8192,
        "vocab_size": 49152,
        "multi_query": True,
        "n_inner": 24576,
    }
    made = model(config)
    assert (made.layers[0].attention.kv_heads, made.tied, made.warnings) == (1, True, ())
    # StarCoder: 15.5 B parameters by its card.
    assert memory.total(made) / 1e9 == pytest.approx(15.5, abs=0.05)


def test_windows_only_where_they_are_switched_on():
    assert model({**QWEN_MOE, "use_sliding_window": True, "max_window_layers": 20}).layers[1].attention.window == 65536
    assert [run.count for run in model({**QWEN_MOE, "use_sliding_window": True, "max_window_layers": 20}).layers] == [
        20,
        8,
    ]
    assert model({**LLAMA, "model_type": "mistral", "sliding_window": 4096}).layers[0].attention.window == 4096
    assert model({**LLAMA, "model_type": "mistral", "sliding_window": None}).layers[0].attention.window is None


def test_sparse_steps_and_plain_layers():
    made = model({**QWEN_MOE, "num_hidden_layers": 6, "decoder_sparse_step": 2, "mlp_only_layers": [3]})
    assert [isinstance(run.ffn, rl.Moe) for run in made.layers for _ in range(run.count)] == [
        False,
        True,
        False,
        False,
        False,
        True,
    ]
    made = model({**DEEPSEEK, "num_hidden_layers": 5, "first_k_dense_replace": 1, "moe_layer_freq": 2})
    assert [isinstance(run.ffn, rl.Moe) for run in made.layers for _ in range(run.count)] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_geometry_where_fields_are_left_out():
    old = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}
    assert model(old).layers[0].attention == rl.Gqa(32, 32, 128)
    assert model({**LLAMA, "head_dim": 64}).layers[0].attention.head_dim == 64
    assert model({**LLAMA, "head_dim": None}).layers[0].attention.head_dim == 128
    lite = {k: v for k, v in DEEPSEEK.items() if k not in ("q_lora_rank", "num_nextn_predict_layers")}
    assert (model(lite).layers[0].attention.q_rank, model(lite).mtp) == (None, 0)


def test_text_config_is_unwrapped():
    nested = {"architectures": ["X"], "model_type": "llava", "text_config": LLAMA, "tie_word_embeddings": False}
    assert model(nested).layers == model(LLAMA).layers


@pytest.mark.parametrize(
    ("quantization", "attention", "experts", "head"),
    [
        (None, "bf16", "bf16", "bf16"), ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8-block", "fp8-block", "bf16"),
        ({"quant_method": "fp8"}, "fp8", "fp8", "bf16"), ({"quant_method": "awq", "bits": 4}, "int4-g128-zp", "int4-g128-zp", "bf16"),
        ({"quant_method": "gptq", "bits": 8}, "w8a16-g128", "w8a16-g128", "bf16"), ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "w8a16", "w8a16", "bf16"),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}, "bf16", "mxfp4", "bf16"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}},
          "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"]}, "bf16", "int4-g32", "bf16"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}, "input_activations": {"num_bits": 8}}}, "ignore": ["lm_head"]}, "fp8", "fp8", "bf16"),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int"}}}}, "w8a16", "w8a16", "w8a16"),
        ({"quant_algo": "NVFP4", "exclude_modules": [f"model.layers.{i}.self_attn*" for i in range(61)] + ["lm_head"]}, "bf16", "nvfp4", "bf16"),
        ({"quant_algo": "NVFP4", "exclude_modules": ["model.layers.3.self_attn*", "lm_head"]}, "nvfp4", "nvfp4", "bf16"),
    ],
)  # fmt: skip
def test_formats_of_checkpoints(quantization, attention, experts, head):
    formats = model({**DEEPSEEK, "quantization_config": quantization}).formats
    assert (formats.attention, formats.experts, formats.head, formats.router) == (attention, experts, head, "bf16")


def test_hf_quant_config_beside_the_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    quant = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]},
    }
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(quant), encoding="utf-8")
    formats = rl.model(tmp_path).formats
    assert (formats.attention, formats.dense, formats.kv, formats.head) == ("fp8", "fp8", "fp8", "bf16")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "lama"}, "model_type='lama': no such family is known; did you mean llama"), ({"model_type": None, "architectures": []}, "model_type: is null"),
        ({"hidden_size": None}, "hidden_size: is null"), ({"hidden_size": 0}, "hidden_size=0: must be a whole number from 1"),
        ({"hidden_size": -4096}, "must be a whole number"), ({"hidden_size": "4096"}, "must be a whole number"),
        ({"hidden_size": 4096.5}, "must be a whole number"), ({"hidden_size": math.nan}, "must be a whole number"),
        ({"hidden_size": math.inf}, "must be a whole number"), ({"hidden_size": 10**40}, "must be a whole number"),
        ({"hidden_size": True}, "must be a whole number"), ({"hidden_size": [4096]}, "must be a whole number"),
        ({"num_hidden_layers": 10**9}, "must be a whole number from 1 to 10000"), ({"num_key_value_heads": 5}, "must divide the 32 attention heads"),
        ({"num_attention_heads": 33, "num_key_value_heads": 33}, "must divide hidden_size"), ({"torch_dtype": "float1"}, "torch_dtype='float1': unknown dtype"),
        ({"attention_bias": "no"}, "must be true or false"), ({"quantization_config": {"quant_method": "magic"}}, "unknown quantisation"),
        ({"quantization_config": []}, "must be a table"), ({"quantization_config": {"quant_method": "gptq", "bits": 7}}, "must be 2, 3, 4, 5, 6 or 8"), ({"quantization_config": {"quant_method": "compressed-tensors"}}, "config_groups: is missing"),
        ({"text_config": 3}, "must be a table"), ({"tie_word_embeddings": "maybe"}, "must be true or false"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_told_by_field(change, says):
    with pytest.raises(rl.DescriptorError) as error:
        model({**LLAMA, **change})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"num_experts_per_tok": 300}, "from 1 to 256"), ({"first_k_dense_replace": 62}, "from 0 to 61"), ({"kv_lora_rank": None}, "kv_lora_rank: is null"),
     ({"moe_layer_freq": 0}, "from 1"), ({"num_nextn_predict_layers": -1}, "from 0")],
)  # fmt: skip
def test_a_wrong_mixture_is_told_by_field(change, says):
    with pytest.raises(rl.DescriptorError, match=says):
        model({**DEEPSEEK, **change})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("base", [LLAMA, DEEPSEEK, QWEN_MOE], ids=["llama", "deepseek", "qwen-moe"])
@given(data=st.data())
def test_a_hostile_config_is_read_or_refused(base, data):
    config = copy.deepcopy(base)
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(
            st.sampled_from([*sorted(base), "text_config", "sliding_window", "head_dim", "quantization_config"])
        )
        if data.draw(st.booleans()):
            config.pop(key, None)
        else:
            config[key] = data.draw(
                JSON | st.sampled_from([0, -1, 10**30, math.nan, math.inf, "llama", "x" * 10**5, 1.5])
            )
    try:
        made = model(config)
    except rl.DescriptorError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        assert memory.total(made) >= memory.active(made) > 0


@given(JSON)
def test_any_json_is_read_or_refused(value):
    if isinstance(value, dict):
        with pytest.raises(rl.DescriptorError):
            rl.model(value)


@functools.cache
def shipped_configs():
    """One config of each family that the library ships, and of the family that spells out its plan."""
    out = {}
    for path in sorted((Path(__file__).parents[2] / "workloads" / "models").glob("*.toml")):
        config = tomllib.loads(path.read_text(encoding="utf-8"))["config"]
        out.setdefault(config["model_type"], config)
    return {**out, "plan": PLAN}


PLAN = {
    "model_type": "plan", "hidden_size": 512, "vocab_size": 1000, "tie_word_embeddings": True, "layers": [
        {"count": 2, "attention": {"kind": "Gqa", "heads": 8, "kv_heads": 2, "head_dim": 64}, "ffn": {"kind": "Dense", "width": 2048}},
        {"count": 1, "attention": {"kind": "linear", "key_heads": 4, "value_heads": 8, "key_dim": 64, "value_dim": 64}},
        {"count": 3, "ffn": {"kind": "Moe", "experts": 8, "top_k": 2, "width": 256, "gated": False}},
    ],
}  # fmt: skip
HOSTILE = [
    None, 0, -1, 1, 2, 7, 10**30, 1.5, math.nan, math.inf, "", "llama", "x" * 10**5, True, False, [], {}, [1], [[1]], {"a": 1}, [0] * 200,
    [None] * 200, [math.nan] * 200, [10**30] * 200, ["full_attention"] * 3, ["full_attention"] * 200, ["sliding_attention"] * 200, "M*E-" * 30,
    "1,2,3", [{"attention": {}, "ffn": {}}] * 80, functools.reduce(lambda inner, _: [inner], range(200), []),
]  # fmt: skip


@given(data=st.data())
def test_a_hostile_config_of_any_family_is_read_or_refused(data):
    config = copy.deepcopy(data.draw(st.sampled_from(list(shipped_configs().values()))))
    for _ in range(data.draw(st.integers(1, 3))):
        tables = [config, *(value for value in config.values() if isinstance(value, dict))]
        table = data.draw(st.sampled_from(tables))
        key = data.draw(st.sampled_from([*sorted(table), "text_config", "sliding_window", "layer_types", "head_dim"]))
        if data.draw(st.booleans()):
            table.pop(key, None)
        else:
            table[key] = data.draw(st.sampled_from(HOSTILE) | JSON)
    try:
        made = model(config)
    except rl.DescriptorError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000
    else:
        assert memory.total(made) >= memory.active(made) > 0
        assert all("\n" not in warning for warning in made.warnings)


def test_a_plan_spelt_out():
    made = model(PLAN)
    assert [(run.count, type(run.attention).__name__, type(run.ffn).__name__) for run in made.layers] == [
        (2, "Gqa", "Dense"),
        (1, "Linear", "Absent"),
        (3, "Absent", "Moe"),
    ]
    dense = 2 * (512 * 64 * (8 + 2 + 2) + 8 * 64 * 512 + 3 * 512 * 2048 + 2 * 512)
    linear = 512 * (2 * 4 * 64 + 8 * 64 + 8 * 64 + 8 + 8) + 8 * 64 * 512 + 8 * 2 + 64 + 512
    experts = 3 * (8 * 2 * 512 * 256 + 8 * 512 + 512)
    assert memory.total(made) == 1000 * 512 + 512 + dense + linear + experts


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": []}, "must describe 1 to"), ({"layers": [{"count": 1}]}, "must have an attention or an ffn"),
        ({"layers": [{"count": 1, "ffn": {"kind": "Dens", "width": 3}}]}, "no such kind of block; did you mean Dense"),
        ({"layers": [{"count": 1, "ffn": {"kind": "Dense"}}]}, "width: is missing"),
        ({"layers": [{"count": 1, "ffn": {"kind": "Dense", "width": 3, "bais": True}}]}, "bais"),
        ({"layers": [{"count": 1, "attention": {"kind": "Gqa", "heads": 3, "kv_heads": 2, "head_dim": 4}}]}, "must divide the 3 heads"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_told_by_field(change, says):
    with pytest.raises(rl.DescriptorError, match=says):
        model({**PLAN, **change})


def test_an_unknown_family_is_told_what_is_understood_and_how_to_go_on():
    with pytest.raises(rl.DescriptorError) as error:
        model({**DEEPSEEK, "model_type": "deepseek_v7"})
    said = str(error.value)
    assert "model_type='deepseek_v7': no such family is known; did you mean deepseek_v" in said
    assert '"plan" and the blocks of each layer' in said
    assert "understood here: hidden_size, num_hidden_layers, vocab_size" in said
    assert "kv_lora_rank" in said


def test_a_field_that_nobody_asked_for_is_told_by_name():
    made = model({**LLAMA, "sliding_window": 4096, "rope_theta": 1e6, "use_cache": True, "num_memory_slots": None})
    assert made.warnings == ("sliding_window=4096 is not understood and may matter",)
    assert "warning: sliding_window=4096" in str(rl.describe(made))
    assert model(LLAMA).warnings == ()


@pytest.mark.parametrize("name", rl.names("model"))
def test_no_shipped_model_has_a_field_that_is_not_understood(name):
    assert rl.model(name).warnings == ()


@pytest.mark.parametrize(
    ("family", "change", "says"),
    [
        ("gpt_oss", {"layer_types": ["full_attention"]}, "must be a list of 36 entries"), ("gpt_oss", {"layer_types": ["warped"] * 36}, "layer 0 is 'warped'"),
        ("nemotron_h", {"hybrid_override_pattern": "MXM", "layers_block_type": None}, "a block of it is 'X'; known: M mamba"),
        ("mimo_v2_flash", {"hybrid_layer_pattern": None}, "0 for a full layer, 1 for a windowed one"), ("deepseek_v4", {"compress_ratios": None}, "is missing; 0, 4 or 128"),
        ("deepseek_v4", {"compress_ratios": [0, "4"] * 31}, "must be a list of whole numbers"), ("step3_text", {"moe_layers_enum": "a,b"}, "numbers between commas"),
        ("opt", {"word_embed_proj_dim": 3}, "not described here"), ("nemotron-nas", {"block_configs": []}, "must hold [0-9]+ blocks"),
        ("qwen3_next", {"linear_num_key_heads": 5}, "must divide the 32 value heads"), ("kimi_linear", {"linear_attn_config": 3}, "must be a table"),
        ("glm4_moe_lite", {"n_routed_experts": None}, "num_local_experts: is missing"), ("glm5_next", {"num_hidden_layers": 1}, "number from 0 to 1"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_family_is_told(family, change, says):
    with pytest.raises(rl.DescriptorError, match=says) as error:
        model({**shipped_configs()[family], **change})
    assert "\n" not in str(error.value)


def test_formats_layer_by_layer_and_mixed():
    formats = rl.model("qwen3.6-35b-a3b-nvfp4").formats
    assert (formats.recurrent, formats.attention, formats.experts, formats.head, formats.kv) == (
        "fp8",
        "fp8",
        "nvfp4-a16",
        "nvfp4-a16",
        "fp8",
    )
    assert rl.model("deepseek-v4-pro").formats.experts == "mxfp4"
    assert rl.model("deepseek-v4-pro").formats.attention == "fp8-block"
    kimi = rl.model("kimi-k2.5").formats
    assert (kimi.experts, kimi.shared, kimi.attention, kimi.dense) == ("int4-g32", "bf16", "bf16", "bf16")
    assert rl.model("nemotron-3-super-120b-a12b").formats.state == "fp32"


@pytest.mark.parametrize("value", [-1, 0.5, 10**30, float("nan"), float("inf")])
def test_an_absurd_size_of_a_tower_is_not_read_as_missing(value):
    config = {
        "model_type": "qwen2_vl", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 128, "vocab_size": 1000, "vision_config": {"embed_dim": 32, "depth": 2, "patch_size": value},
    }  # fmt: skip
    with pytest.raises(rl.DescriptorError, match=r"patch_size=.*must be a whole number"):
        rl.model(config)
