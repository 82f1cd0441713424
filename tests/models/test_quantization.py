"""Formats by module and layer, as loaders resolve them: small models of round numbers, bytes worked by hand."""

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline.models import modules
from roofline.models.architecture import Formats
from roofline.models.dtypes import dtype
from roofline.models.huggingface import model
from roofline.models.quantization import _METHODS
from roofline.models.rules import Rules, normal
from roofline.operators import memory

# Four layers, each 4 x 1024 x 1024 of attention and 3 x 1024 x 4096 of feed-forward; embedding and head of 1024 x 8192.
SMALL = {
    "model_type": "llama", "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 8, "num_key_value_heads": 8,
    "num_hidden_layers": 4, "vocab_size": 8192, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
MEBI = 2**20
ATTENTION, FFN, TABLE = 16 * MEBI, 48 * MEBI, 8 * MEBI


def read(quantization, base=SMALL):
    return model({**base, "quantization_config": quantization})


def weights(quantization, base=SMALL):
    return float(memory.weights(read(quantization, base), rl.Layout()))


INT8 = {"num_bits": 8, "type": "int", "strategy": "channel"}
ACTS = {"num_bits": 8, "type": "int", "dynamic": True}
FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
FP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}


@pytest.mark.parametrize(
    ("quantization", "attention", "ffn", "head"),
    [
        # compressed-tensors: targets by regular expression; several groups; layers in a group of their own; groups of 32; zero points.
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"targets": ["re:.*mlp.*_proj"], "weights": INT8, "input_activations": ACTS}}}, 2.0, 1.0, 2.0),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {
            "a": {"targets": ["re:.*self_attn.*"], "weights": FP8, "input_activations": ACTS}, "b": {"targets": ["Linear"], "weights": FP4, "input_activations": FP4}}}, 1.0, 0.5625, 2.0),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head", "re:.*self_attn.*"], "config_groups": {
            "a": {"targets": ["re:.*layers.(2|3).mlp.*"], "weights": FP8, "input_activations": ACTS}, "b": {"targets": ["re:.*mlp.*"], "weights": FP4, "input_activations": FP4}}},
         2.0, (1 + 0.5625) / 2, 2.0),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {
            "a": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": False}}}}, 0.578125, 0.578125, 2.0),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"targets": ["Linear"], "weights": INT8, "input_activations": ACTS}}}, 1.0, 1.0, 1.0),
        # One of four matrices of attention in one layer of four: 1/16 of it.
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.2.self_attn.q_proj", "lm_head"]}, 1 + 1 / 16, 1.0, 2.0),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0", "model.layers.3.mlp"]}, 1.25, 1.5, 2.0),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["qkv_proj"]}, 1.75, 1.0, 2.0), ({"quant_method": "ptpc_fp8"}, 1.0, 1.0, 2.0),
        # GPTQ: bits that are no power of two, the head, only some modules, modules by pattern.
        ({"quant_method": "gptq", "bits": 3, "group_size": 128, "lm_head": True}, 0.375 + 2 / 128, 0.375 + 2 / 128, 0.375 + 2 / 128),
        ({"quant_method": "gptq", "bits": 4, "group_size": 64, "sym": False, "modules_in_block_to_quantize": [["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]]}, 2.0, 0.5 + 2.5 / 64, 2.0),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"-:.*self_attn.*": {}, "+:.*layers\\.[01]\\..*": {"bits": 8, "group_size": 64}}},
         2.0, (1 + 2 / 64 + 0.5 + 2 / 128) / 2, 2.0),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "modules_to_not_convert": ["self_attn"]}, 2.0, 0.51953125, 2.0),
        # bitsandbytes: a scale of 4 bytes for 64, or those in 8 bits with one of 4 bytes for 256.
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, 0.5625, 0.5625, 2.0),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True, "llm_int8_skip_modules": ["lm_head", "o_proj"]}, 0.75 * 0.5158691 + 0.5, 0.5158691, 2.0),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
            **{f"model.layers.{i}.mlp.{n}_proj": {"quant_algo": "NVFP4", "group_size": 16} for i in range(4) for n in ("up", "down", "gate")},
            "model.layers.0.self_attn.o_proj": {"quant_algo": "FP8"}}}, 2 - 1 / 16, 0.5625, 2.0),
        ({"quant_method": "modelopt_fp4", "ignore": ["lm_head", "model.layers.0*"]}, 0.75 * 0.5625 + 0.5, 0.75 * 0.5625 + 0.5, 2.0),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}, "input_tensors": {"dtype": "fp4"}},
          "layer_quant_config": {"*self_attn*": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_channel"}, "input_tensors": {"dtype": "fp8_e4m3"}}}, "exclude": ["lm_head"]}, 1.0, 0.53125, 2.0),
        ({"quant_method": "ascend", "model_quant_type": "W8A8_DYNAMIC"}, 1.0, 1.0, 2.0),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True, "extra_config": {"model.layers.1.mlp.up_proj": {"bits": 16}, ".*self_attn.*": {"bits": 8}}},
         1 + 2 / 128, 0.515625 * 11 / 12 + 2 / 12, 2.0),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_data": {}}}}, 1.0, 1.0, 2.0),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}, "skip_modules": ["lm_head"]}, 0.5625, 0.5625, 2.0),
        ({"quant_method": "w4afp8", "group_size": 128}, 1.000244140625, 1.000244140625, 2.0),
    ],
)  # fmt: skip
def test_weights_to_the_byte(quantization, attention, ffn, head):
    assert weights(quantization) == pytest.approx(ATTENTION * attention + FFN * ffn + TABLE * (2 + head), rel=1e-6)


def test_a_file_of_modelslim_beside_the_config(tmp_path):
    described = {f"model.layers.{i}.self_attn.{n}_proj.weight": "W8A8" for i in range(4) for n in "qkvo"}
    described |= {f"model.layers.{i}.mlp.{n}_proj.weight": "W4A8_DYNAMIC" for i in range(4) for n in ("up", "down")}
    described |= {f"model.layers.{i}.mlp.gate_proj.weight": "FLOAT" for i in range(4)}
    (tmp_path / "config.json").write_text(json.dumps(SMALL), encoding="utf-8")
    (tmp_path / "quant_model_description.json").write_text(json.dumps(described), encoding="utf-8")
    found = float(memory.weights(rl.model(tmp_path), rl.Layout()))
    assert found == pytest.approx(ATTENTION + FFN * (2 * 0.5 + 2) / 3 + 2 * 2 * TABLE)


def test_the_cache_as_the_checkpoint_states_it():
    scheme = {"quant_method": "compressed-tensors", "config_groups": {"a": {"targets": ["Linear"], "weights": INT8}}}
    assert read({**scheme, "kv_cache_scheme": {"num_bits": 8, "type": "float"}}).formats.kv == "fp8"
    assert read({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "NVFP4"}).formats.kv == "nvfp4"
    assert (
        read(
            {"quant_method": "quark", "kv_cache_quant_config": {"*k_proj": {"output_tensors": {"dtype": "fp8_e4m3"}}}}
        ).formats.kv
        == "fp8"
    )


def test_draft_modules_have_formats_of_their_own():
    base = {
        **SMALL,
        "model_type": "deepseek_v3",
        "num_nextn_predict_layers": 1,
        "kv_lora_rank": 64,
        "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 32,
        "v_head_dim": 64,
    }
    whole = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}
    assert read(whole, base).formats.mtp == "nvfp4"
    assert read({**whole, "ignore": ["lm_head", "mtp*"]}, base).formats.mtp == "bf16"
    assert read({**whole, "ignore": ["lm_head", "model.layers.4*"]}, base).formats.mtp == "bf16"


def test_a_mixed_component_is_priced_by_its_shares():
    """Half of the feed-forward in fp8 and half in bf16 takes the mean of the two times."""
    mixed = read({"quant_method": "fp8", "ignored_layers": ["model.layers.0.mlp", "model.layers.1.mlp"]})
    attention = dict.fromkeys(("attention",), "fp8")
    whole, plain = Formats(**attention, dense="fp8"), Formats(**attention)
    times = [
        float(rl.estimate(rl.Prefill(m, batch=8, input=2048), "dgx-h100", rl.Layout()).ttft)
        for m in (mixed, *(attrs.evolve(mixed, formats=f) for f in (whole, plain)))
    ]
    assert times[0] == pytest.approx((times[1] + times[2]) / 2, rel=1e-3)


def test_names_in_one_form_and_the_longest_entry_first():
    assert normal("model.language_model.layers.3.mlp.up_proj.weight") == "layers.3.mlp.up_proj"
    rules = Rules.of([("self_attn", None), ("model.layers.1.self_attn", "fp8"), ("re:.*mlp.*", "int8")], "x")
    assert rules.find(("self_attn.q_proj",), "1") == (True, "fp8")
    assert rules.find(("self_attn.q_proj",), "2") == (True, None)
    assert rules.find(("mlp.up_proj",), "2") == (True, "int8")
    assert rules.find(("mixer.in_proj",), "2") == (False, None)


def test_an_entry_for_a_gate_is_not_one_for_gate_proj():
    rules = Rules.of([("gate", None)], "x")
    assert rules.find(("mlp.gate",), "0") == (True, None)
    assert rules.find(("mlp.gate_proj", "mlp.gate_up_proj"), "0") == (False, None)


@pytest.mark.parametrize("name", rl.names("model"))
def test_modules_count_what_operators_count(name):
    made = rl.model(name)
    counts, found = memory.parameters(made), {}
    for run in made.layers:
        for each in (*modules.attention(run.attention, made.hidden), *modules.feed_forward(run.ffn, made.hidden)):
            found[each.component] = found.get(each.component, 0) + run.count * each.elements
    for part in ("attention", "recurrent", "dense", "router", "experts", "shared"):
        assert found.get(part, 0) == pytest.approx(counts[part], rel=1e-3)


@pytest.mark.parametrize(
    ("quantization", "says"),
    [
        ({"quant_method": "magic"}, "unknown quantisation"), ({}, "unknown quantisation"), ({"quant_method": "gguf"}, "unknown quantisation"),
        ({"quant_method": "modelopt", "quant_algo": "FP7"}, "unknown quantisation"), ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp3"}}}, "unknown quantisation"),
        ({"quant_method": "torchao", "quant_type": {"default": {"_type": "Magic"}}}, "unknown quantisation"), ({"quant_method": "ascend", "model_quant_type": "W9"}, "unknown quantisation"),
        ({"quant_method": "fp8", "weight_block_size": 128}, "must be two whole numbers"), ({"quant_method": "gptq", "dynamic": {"+:(a+)+b": {}}}, "repetition inside"),
        ({"quant_method": "gptq", "dynamic": {"+:(": {}}}, "no regular expression"), ({"quant_method": "gptq", "group_size": "all"}, "must be a whole number"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"targets": ["Linear"], "weights": INT8 | {"strategy": "group", "group_size": -1}}}}, "above 0 under the strategy"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_in_one_line(quantization, says):
    with pytest.raises(rl.DescriptorError, match=says) as error:
        read(quantization)
    assert "\n" not in str(error.value)


def test_a_field_that_no_reader_asks_for_is_reported():
    (warning,) = read({"quant_method": "fp8", "colour_of_layers": "blue"}).warnings
    assert "quantization_config.colour_of_layers='blue' is not understood" in warning
    assert read({"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}).warnings == ()


def test_groups_are_part_of_a_name():
    assert dtype("int4-g32").bytes == 0.5625
    assert dtype("int4-g64-z16").bytes == 0.5 + 4 / 64
    assert dtype("int4-g32").plain == "int4"
    for wrong in ("int4-g0", "int4-gx", "bf16-g32", "int4-g32-zz"):
        with pytest.raises(rl.UnknownNameError):
            dtype(wrong)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.sampled_from(["Linear", "lm_head", "re:.*mlp.*", "re:(", "*", "fp8_e4m3", "W8A8", "int", "float", "", "model.layers.1*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["weights", "weight", "num_bits", "bits", "group_size", "dtype", "targets", "quant_algo", "_type", "default", "a.b.weight"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KEYS = (
    "bits", "group_size", "sym", "dynamic", "lm_head", "modules_in_block_to_quantize", "modules_to_not_convert", "ignored_layers", "ignore", "exclude", "config_groups", "quantized_layers",
    "quant_algo", "kv_cache_scheme", "kv_cache_quant_algo", "weight_block_size", "global_quant_config", "layer_quant_config", "extra_config", "quant_type", "quant_config", "model_quant_type",
    "load_in_8bit", "zero_point", "unheard_of",
)  # fmt: skip


@given(st.sampled_from(sorted(_METHODS)), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_any_quantization_config_is_read_or_refused(method, fields):
    quantization = {"quant_method": method, **fields}
    try:
        made = read(quantization)
    except rl.RooflineError as error:
        assert "\n" not in str(error)
        return
    assert float(memory.weights(made, rl.Layout())) > 0
    if "unheard_of" in fields and fields["unheard_of"] not in (None, False, 0, "", [], {}):
        assert any("unheard_of" in warning for warning in made.warnings)


def test_the_bytes_of_the_files_are_taken_and_compared(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SMALL), encoding="utf-8")
    planned = float(memory.weights(rl.model(tmp_path), rl.Layout()))
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": planned * 1.005}, "weight_map": {}}), encoding="utf-8")
    near = rl.model(tmp_path)
    assert near.warnings == ()
    assert float(memory.weights(near, rl.Layout())) == pytest.approx(planned * 1.005)
    index.write_text(json.dumps({"metadata": {"total_size": planned / 2}, "weight_map": {}}), encoding="utf-8")
    (warning,) = rl.model(tmp_path).warnings
    assert "-50.0%" in warning
    index.unlink()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert "its files hold" in rl.model(tmp_path).warnings[0]
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert rl.model(tmp_path).warnings == ()


def test_what_model_optimizer_nests_is_read():
    """It writes a table of its own file into the config, too: four bits with a scale of eight for sixteen."""
    nested = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}
    model = read({"quant_method": "modelopt", "quantization": nested})
    flat = read({"quant_method": "modelopt", **nested})
    assert model.formats == flat.formats
    assert (model.formats.kv, model.warnings) == ("fp8", flat.warnings)
