"""Launch commands: every flag and value is in the tool's table, degrees and load arrive, what cannot be told is noted."""

import argparse
import json
import shlex

import pytest

import roofline as rl
from roofline.core.errors import QuestionError
from roofline.reports.launch.flags import Flags, settings, tool, yaml

LLAMA = rl.estimate("llama-3.1-70b", "dgx-h100", engine="vllm", tp=4, concurrency=64, input=2048, output=512)
WIDE = rl.estimate("deepseek-v3", "dgx-h100", chips=16, tp=1, dp=16, ep=16, concurrency=256, draft_tokens=1)
ASCEND = rl.estimate("deepseek-v3", "cloudmatrix384", dtype="int8", tp=4, dp=4, ep=16, pp=1, concurrency=768, chips=384)
STEP = rl.train("llama-3.1-70b", "dgx-h100", chips=64, global_batch=256, seq_len=8192, tp=8, pp=2, recompute="full")
EXPERTS = rl.train("deepseek-v3", "dgx-h100", chips=256, global_batch=1024, pp=16, ep=16, dtype="fp8-block")
POOLS = rl.pools(rl.Serve(rl.model("deepseek-v3"), concurrency=512), "dgx-h100", prefill_chips=16, chips=32)

PLANS = [
    (LLAMA, "vllm"), (LLAMA, "sglang"), (LLAMA, "trtllm"), (WIDE, "vllm"), (WIDE, "sglang"), (WIDE, "trtllm"), (ASCEND, "vllm-ascend"),
    (ASCEND, "mindie"), (ASCEND, "sglang"), (STEP, "megatron"), (STEP, "torchtitan"), (STEP, "mindspeed"), (EXPERTS, "megatron"),
    (EXPERTS, "torchtitan"), (EXPERTS, "mindspeed"),
]  # fmt: skip


def parser(name):
    """A parser of the flags of a tool's table, with their kinds and values."""
    out = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for flag, takes in tool(name).flags.items():
        if takes == "switch":
            out.add_argument(flag, action="store_true")
        elif isinstance(takes, tuple):
            out.add_argument(flag, choices=takes, nargs="+" if flag == "--recompute-modules" else None)
        else:
            out.add_argument(flag, type={"int": int, "float": float, "json": json.loads}.get(takes, str))
    return out


@pytest.mark.parametrize(("answer", "name"), PLANS)
def test_every_flag_is_known_to_the_tool(answer, name):
    found = answer.launch(name, model="path/to/model")
    flags = found.command[
        next(
            (i for i, word in enumerate(found.command) if word in parser(name)._option_string_actions),
            len(found.command),
        ) :
    ]
    parsed, left = parser(name).parse_known_args(list(flags))
    assert not left
    assert parsed is not None
    assert found.source.startswith("https://")
    assert tuple(shlex.split(found.line)) == found.command


def of(answer, name):
    command = list(answer.launch(name, model="m").command)
    return {
        word: command[i + 1] if i + 1 < len(command) else "" for i, word in enumerate(command) if word.startswith("--")
    }


def test_vllm_takes_the_plan():
    flags = of(LLAMA, "vllm")
    assert flags["--tensor-parallel-size"] == "4"
    assert flags["--max-num-seqs"] == "32"  # 64 requests over two replicas
    assert flags["--max-model-len"] == "2560"
    assert LLAMA.launch("vllm").copies == 2


def test_attention_ranks_are_counted_as_each_engine_does():
    assert of(WIDE, "vllm")["--data-parallel-size"] == "16"
    assert "--enable-expert-parallel" in of(WIDE, "vllm")
    sglang = of(WIDE, "sglang")
    assert (sglang["--tp-size"], sglang["--attn-dp-size"], sglang["--ep-size"]) == ("16", "16", "16")
    assert sglang["--max-running-requests"] == "256"
    assert of(WIDE, "trtllm")["--max_batch_size"] == "16"
    assert "enable_attention_dp: true" in WIDE.launch("trtllm").files["extra.yaml"]


def test_hosts_beside_the_first_have_a_script():
    script = WIDE.launch("vllm", per_node=8).files["others.sh"]
    assert "--headless" in script
    assert "$((NODE_RANK * 8))" in script
    assert WIDE.launch("vllm", per_node=16).files == {}


def test_drafts_are_told():
    spec = json.loads(of(WIDE, "vllm")["--speculative-config"])
    assert spec == {"method": "mtp", "num_speculative_tokens": 1}


def test_mindie_configuration():
    top = json.loads(ASCEND.launch("mindie", model="/weights").files["config.json"])["BackendConfig"]
    model = top["ModelDeployConfig"]["ModelConfig"][0]
    assert (model["tp"], model["dp"], model["moe_ep"], model["moe_tp"], model["worldSize"]) == (4, 4, 16, 1, 16)
    assert top["ModelDeployConfig"]["maxSeqLen"] == 5120


def test_megatron_takes_the_plan():
    flags = of(STEP, "megatron")
    assert (flags["--tensor-model-parallel-size"], flags["--pipeline-model-parallel-size"]) == ("8", "2")
    assert (flags["--num-layers"], flags["--hidden-size"], flags["--num-query-groups"]) == ("80", "8192", "8")
    assert (flags["--seq-length"], flags["--global-batch-size"]) == ("8192", "256")
    assert flags["--recompute-granularity"] == "full"
    assert "#SBATCH --nodes=8" in STEP.launch("megatron").files["train.sbatch"]


def test_layers_that_do_not_divide_are_laid_out():
    layout = of(EXPERTS, "megatron")["--pipeline-model-parallel-layout"]
    stages = layout.split("|")
    assert len(stages) % 16 == 0
    assert sum(int(part.partition("*")[2].rstrip("EmL") or 0) for part in stages) == 61
    assert stages[0].startswith("E")
    assert stages[-1].endswith("mL")


def test_pools_are_manifests():
    found = POOLS.launch("dynamo", model="deepseek-ai/DeepSeek-V3")
    text = found.files["dynamo.yaml"]
    assert '"--disaggregation-mode"\n            - "prefill"' in text
    assert "nodeCount: 4" in text
    values = POOLS.launch("llm-d", model="deepseek-ai/DeepSeek-V3").files["values.yaml"]
    assert "--tensor-parallel-size" not in values  # the chart sets it
    assert 'uri: "hf://deepseek-ai/DeepSeek-V3"' in values


def test_manifests_are_yaml():
    reader = pytest.importorskip("yaml")
    for answer, name in ((POOLS, "dynamo"), (POOLS, "llm-d"), (WIDE, "trtllm")):
        for text in answer.launch(name).files.values():
            assert isinstance(reader.safe_load(text), dict)


def test_default_tool():
    assert LLAMA.launch().tool == "vLLM"
    assert ASCEND.launch().tool == "vLLM-Ascend"
    assert STEP.launch().tool == "Megatron-LM"
    assert POOLS.launch().tool == "Dynamo"


def test_a_format_that_the_checkpoint_is_not_in():
    quantised = rl.estimate("llama-3.1-70b", "dgx-h100", dtype="fp8", tp=4, concurrency=8)
    assert of(quantised, "vllm")["--quantization"] == "fp8"
    assert any("must be in int8" in note for note in ASCEND.launch("mindie").notes)


def test_refused():
    many = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=[1, 2])
    with pytest.raises(QuestionError, match="launch takes one"):
        many.launch()
    with pytest.raises(QuestionError, match="for this answer: megatron, torchtitan, mindspeed"):
        STEP.launch("vllm")
    with pytest.raises(QuestionError, match="tool='vlm'"):
        LLAMA.launch("vlm")
    with pytest.raises(QuestionError, match="does not fit"):
        rl.estimate("deepseek-v3", "dgx-h100", chips=1, tp=1).launch()
    with pytest.raises(QuestionError, match="per_node"):
        LLAMA.launch(per_node=0)
    with pytest.raises(QuestionError, match="is not known to vLLM"):
        Flags(tool("vllm")).add("--tensor-paralel-size", 8)
    with pytest.raises(QuestionError, match="is no value of it"):
        Flags(tool("vllm")).add("--kv-cache-dtype", "fp9")
    with pytest.raises(QuestionError, match="not known"):
        settings(tool("trtllm"), {"kv_cache.dtype": "fp8"})


def test_yaml_of_lists_of_mappings():
    assert yaml({"a": [{"b": 1, "c": {"d": "x"}}], "e": {}}) == 'a:\n  - b: 1\n    c:\n      d: "x"\ne: {}'


def test_json_form():
    assert json.loads(json.dumps(LLAMA.launch("vllm").to_dict()))["replicas"] == 2
