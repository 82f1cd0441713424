"""Fifty things that a user of vLLM, aiconfigurator or Megatron types first: answered, or refused with one line on what to type instead."""

import pytest

from roofline.cli import main

ANSWERED = [
    "estimate meta-llama/Llama-3.1-70B-Instruct -s h100",
    "estimate llama-3.1-70b --gpu h100",
    "estimate llama-3.1-70b -s dgx-h100 --tp-size 8 --quantization fp8 --kv-cache-dtype fp8_e4m3",
    "estimate llama-3.1-70b -s dgx-h100 --tp 8 --gpu-memory-utilization 0.92",
    "estimate llama-3.1-70b -s dgx-h100 --mem-fraction-static 0.85 --engine sglang",
    "estimate llama-3.1-70b -s dgx-h100 --isl 4000 --osl 1000 --max-concurrency 32",
    "estimate llama-3.1-70b -s dgx-h100 --random-input-len 1024 --random-output-len 128 --request-rate 4",
    "estimate llama-3.1-70b -s dgx-h100 --enforce-eager",
    "estimate deepseek-v3 -s dgx-h100 --chips 16 --nextn 1",
    "search serve llama-3.1-70b --system dgx-h100 --total-gpus 8 --ttft 2000ms --tpot 30ms --isl 4000 --osl 1000",
    "estimate llama-3.1-70b -s dgx-h100 --database-mode SOL",
    "estimate llama-3.1-70b -s dgx-h100 --backend trt-llm",
    "train llama-3.1-70b -s dgx-h100 --gpus 64 --global-batch-size 256 --seq-length 8192 --tensor-model-parallel-size 8",
    "train llama-3.1-70b -s dgx-h100 --num-gpus 64 --gbs 256 --mbs 1 --recompute-activations",
    "launch llama-3.1-70b -s dgx-h100 --tensor-parallel-size 8 --engine vllm",
    "estimate --model=llama-3.1-70b --gpu dgx-h100 -tp 8",
    "compare -s dgx-h100 --system=dgx-b200",
    "needed bandwidth llama-3.1-8b --gpu dgx-h100 -tp 8 --tpot 4ms",
    "simulate --model=llama-3.1-8b -s dgx-h100 -tp 8 --request-rate 1 --requests 5 --max-num-seqs 64 --kv-cache-dtype fp8",
]
TOLD = {
    "vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size 8": "roofline launch writes vLLM's own command line",
    "sglang --model-path llama-3.1-70b": "--engine sglang",
    "trtllm-serve llama-3.1-70b": "--engine trtllm",
    "torchrun pretrain_gpt.py": "roofline train MODEL",
    "serve llama-3.1-70b --tp 8": "roofline estimate MODEL -s SYSTEM",
    "bench serve --model llama-3.1-8b": "roofline estimate MODEL -s SYSTEM --concurrency N",
    "cli default --model llama-3.1-70b --system h100_sxm --total-gpus 8": "roofline search serve",
    "default --model llama-3.1-70b --system h200_sxm": "roofline search serve",
    "recommend --model llama-3.1-70b": "roofline search serve",
    "generate --model llama-3.1-70b": "roofline launch",
    "support": "roofline list systems",
    "systems": "roofline list systems",
    "help": "roofline --help",
    "search llama-3.1-70b --system dgx-h100": "roofline search serve llama-3.1-70b",
    "estimate llama-3.1-70b --gpu h100 --num-gpus 8": "h100 joins 1 at most; name a system that holds more",
    "estimate llama-3.1-70b --system h200_sxm --total-gpus 8": "hgx-h200",
    "estimate llama-3.1-70b -s dgx-h100 --max-num-seqs 64": "--concurrency N",
    "estimate llama-3.1-70b -s dgx-h100 --max-model-len 8192": "--input N --output N",
    "estimate llama-3.1-70b -s dgx-h100 --enable-chunked-prefill": "--chunk N",
    "estimate llama-3.1-70b -s dgx-h100 --enable-prefix-caching": "--cached N",
    "estimate deepseek-v3 -s dgx-h100 --enable-expert-parallel": "--ep N",
    "estimate deepseek-v3 -s dgx-h100 -ep 8": "--ep N",
    "estimate deepseek-v3 -s dgx-h100 --enable-dp-attention": "--dp N",
    "estimate deepseek-v3 -s dgx-h100 --speculative-config {}": "--draft-tokens N",
    "search serve llama-3.1-70b -s dgx-h100 --tpot 30": "has no unit",
    "train llama-3.1-70b -s dgx-h100 --nnodes 8 --gbs 256": "--chips N",
    "train llama-3.1-70b -s dgx-h100 --gpus 64": "--global-batch",
    "pretrain llama-3.1-70b -s dgx-h100": "roofline train MODEL",
    "train llama-3.1-70b -s dgx-h100 --gbs 256 --num-layers-per-virtual-pipeline-stage 5": "--vpp N",
    "estimate ./nothere/config.json -s dgx-h100": "no such file",
    "estimate llama-3.1-70b -s dgx-h1000": "did you mean dgx-h100",
}


def run(capsys, line):
    try:
        main(line.split())
        status = 0
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def test_there_are_forty():
    assert len(ANSWERED) + len(TOLD) >= 40


@pytest.mark.parametrize("line", ANSWERED)
def test_answered(capsys, line):
    status, out, _ = run(capsys, line)
    assert status == 0
    assert len(out.splitlines()) > 2


@pytest.mark.parametrize("line", TOLD)
def test_told_in_one_line(capsys, line):
    status, out, err = run(capsys, line)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert TOLD[line] in err


COMMANDS = {
    "estimate": "estimate llama-3.1-8b -s dgx-h100 --tp 8",
    "search": "search serve llama-3.1-8b -s dgx-h100 --tp 8",
    "compare": "compare dgx-h100 dgx-b200 --model llama-3.1-8b --tp 8",
    "needed": "needed bandwidth llama-3.1-8b -s dgx-h100 --tp 8",
    "simulate": "simulate llama-3.1-8b -s dgx-h100 --tp 8 --rate 1 --requests 5",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_require_fit_is_a_status(capsys, command):
    """A limit that nothing meets ends every command with status 1, after the answer."""
    status, out, _ = run(capsys, f"{COMMANDS[command]} --require-fit --tpot 1us")
    assert (status, bool(out)) == (1, True)
    assert run(capsys, f"{COMMANDS[command]} --require-fit --tpot 1s")[0] == 0


@pytest.mark.parametrize("command", [*COMMANDS, "launch"])
@pytest.mark.parametrize("flag", ["--max-model-len 8192", "--max-num-batched-tokens 8192"])
def test_caps_of_an_engine_are_answered_everywhere(capsys, command, flag):
    if command == "simulate" and "batched" in flag:
        return  # a simulation has the budget of a step: it is --chunk
    line = COMMANDS.get(command, "launch llama-3.1-8b -s dgx-h100")
    status, out, err = run(capsys, f"{line} {flag}")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "here the" in err


@pytest.mark.parametrize("command", [*COMMANDS, "launch"])
def test_words_of_an_engine_are_accepted_everywhere(capsys, command):
    line = COMMANDS.get(command, "launch llama-3.1-8b -s dgx-h100 --tp 8").replace("--tp 8", "--tp-size 8")
    assert run(capsys, f"{line} --kv-cache-dtype fp8 --gpu-memory-utilization 0.9")[0] == 0
