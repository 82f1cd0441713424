"""Names of repositories, and the descriptors and number formats they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.catalog import folders
from roofline.catalog.model_names import bare, model_name
from roofline.core.errors import UnknownNameError

NAMES = {
    "deepseek-ai/DeepSeek-V3.1": ("deepseek-v3", None, None),
    "deepseek-ai/DeepSeek-V3-0324": ("deepseek-v3", None, None),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": ("llama-3.3-70b", None, None),
    "nvidia/DeepSeek-R1-0528-FP4-v2": ("deepseek-r1", "nvfp4", None),
    "Qwen/QwQ-32B": ("qwen2.5-32b", None, None),
    "Qwen/QwQ-32B-AWQ": ("qwen2.5-32b", "int4", None),
    "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int8": ("qwen2.5-72b", "w8a16", None),
    "Qwen/Qwen3-32B-FP8": ("qwen3-32b-fp8", None, None),
    "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8": ("qwen3-30b-a3b", "fp8-block", None),
    "RedHatAI/Qwen3-32B-FP8-dynamic": ("qwen3-32b", "fp8", None),
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8": ("llama-3.1-8b", "int8", None),
    "amd/Llama-3.1-405B-Instruct-FP8-KV": ("llama-3.1-405b", "fp8", "fp8"),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8": ("nemotron-3-nano-30b-a3b", "fp8", None),
    "mistralai/Mistral-7B-Instruct-v0.3": ("mistral-7b-v0.3", None, None),
    "meta-llama/Llama-2-7b-chat-hf": ("llama-2-7b", None, None),
    "llama3-8b": ("llama-3-8b", None, None),
    "llama-3-1-8b": ("llama-3.1-8b", None, None),
    "deepseek-v2": ("deepseek-v2-236b", None, None),
}


@pytest.mark.parametrize(("given_", "meant"), NAMES.items())
def test_a_repository_stands_for_a_descriptor_and_a_format(
    given_: str, meant: tuple[str, str | None, str | None]
) -> None:
    found = model_name(given_)
    assert found is not None
    assert (found.file, found.dtype, found.kv_dtype) == meant
    model = rl.model(given_)
    assert model.name == meant[0]
    assert catalog.kind_of(given_) == "model"
    if meant[1] is not None:
        assert model.dtype == rl.model(meant[0], dtype=meant[1]).dtype


@pytest.mark.parametrize("name", ["llama-3-18b", "qwen3-33b", "instruct", "fp8", "-fp8", "2507", "deepseek-v3.9"])
def test_a_name_that_stands_for_nothing_is_refused(name: str) -> None:
    assert model_name(name) is None
    with pytest.raises(UnknownNameError, match="no such model"):
        rl.model(name)


@pytest.mark.parametrize("spelt", ["Qwen/QwQ-32B", "qwq32b", "nvidia-qwq-32b"])
def test_a_model_says_whose_architecture_it_has_however_its_name_is_spelt(spelt: str) -> None:
    found = model_name(spelt)
    assert found is not None
    assert (found.file, found.note) == ("qwen2.5-32b", "qwq-32b has the architecture of qwen2.5-32b")
    assert rl.model(spelt).note.endswith(found.note)


def test_a_hint_leaves_out_what_repositories_add() -> None:
    assert bare("qwen3-33b-instruct-2507-fp8") == "qwen3-33b"
    with pytest.raises(UnknownNameError, match="did you mean qwen3-3"):
        rl.model("Qwen/Qwen3-33B-Instruct-2507-FP8")


@given(st.sampled_from(folders.names("model")), st.sampled_from(["", "-Instruct", "-Chat", "-2507", "-Instruct-2512"]))
def test_words_and_dates_never_turn_one_model_into_another(name: str, added: str) -> None:
    found = model_name(f"owner/{name}{added}")
    assert found is not None
    assert found.file == name


def test_other_names_of_models_stand_for_descriptors_and_hide_none() -> None:
    others = folders.other_names("model")
    assert len(others) > 30
    for other, name in others.items():
        assert name in folders.names("model"), (other, name)
        assert all(other not in folders.names(each) for each in ("chip", "system", "model")), other
        assert folders.as_name(other) == other
