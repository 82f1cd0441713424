"""What the help of each command shows at its end, by the words that run it.

They are read without loading a command: what a command imports is loaded when it is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "list": (
        "roofline list systems",
        "roofline list models --json",
    ),
    "show": (
        "roofline show gb200-nvl72",
        "roofline show h100 --kind chip --json",
    ),
    "new": (
        "roofline new chip my-chip",
        "roofline new runs -o measured.csv",
    ),
    "estimate": (
        "roofline estimate deepseek-v3 --system gb200-nvl72 --input 4096 --output 1024 --concurrency 1024",
        "roofline estimate llama-3.1-70b -s dgx-h100 --tp 8 --dtype fp8 --rate 2.5 --why",
    ),
    "train": (
        "roofline train llama-3.1-70b --system dgx-h100 --chips 64 --global-batch 256 --seq-len 8192",
        "roofline train deepseek-v3 -s dgx-h100 --chips 2048 --global-batch 8192 --pp 16 --ep 64 --dtype fp8 --why",
    ),
    "campaign": (
        "roofline campaign llama-3.1-405b --system dgx-h100 --chips 16384 --tokens 15.6T",
        "roofline campaign llama-3.1-70b -s gb200-nvl72 --tokens 15T --deadline '30 days' --json",
    ),
    "rl": (
        "roofline rl llama-3.1-8b --system dgx-h100 --chips 16 --responses 2048 --output 910 --longest 3946",
        "roofline rl qwen3-30b-a3b -s dgx-h100 --chips 32 --rollout-chips 32 --output 3000 --longest 8192 --json",
    ),
    "search serve": (
        "roofline search serve llama-3.1-70b --system dgx-h100 --dtype fp8 --tpot 50ms --ttft 2s",
        "roofline search serve deepseek-v3 -s gb200-nvl72 --tpot 30ms --disaggregated -o frontier.svg",
    ),
    "search train": (
        "roofline search train llama-3.1-70b --system dgx-h100 --chips 64 --global-batch 256 --memory 60GB",
        "roofline search train deepseek-v3 -s gb200-nvl72 --global-batch 4096 --step-time 20s -o frontier.csv",
    ),
    "compare": (
        "roofline compare cloudmatrix384 gb200-nvl72",
        "roofline compare dgx-h100 dgx-b200 --model llama-3.1-70b --tpot 50ms --input 4096 --output 1024",
    ),
    "collective": (
        "roofline collective all-reduce 1GiB --system gb200-nvl72 --ranks 72",
        "roofline collective all-to-all 64MiB -s dgx-h100 --ranks 64 --fabric efa-v2 --json",
    ),
    "launch": (
        "roofline launch llama-3.1-70b -s dgx-h100 --engine vllm --concurrency 64 --checkpoint meta-llama/Llama-3.1-70B-Instruct",
        "roofline launch deepseek-v3 -s dgx-h100 --tool megatron --chips 256 --global-batch 1024 --seq-len 4096 -o run/",
    ),
    "simulate": (
        "roofline simulate llama-3.1-8b --system dgx-h100 --trace mooncake.jsonl --ttft 2s --tpot 50ms",
        "roofline simulate llama-3.1-70b -s dgx-h100 --rate 2.5 --requests 1000 --input 4096 --output 1024 -o requests.csv",
    ),
    "sweep": (
        "roofline sweep llama-3.1-70b --system dgx-h100 --set batch=64..4096*2 --set context=4096 --limit tpot=30ms",
        "roofline sweep deepseek-v3 -s gb200-nvl72 --phase serve --set concurrency=256..8192*2 --vary bandwidth=1x,1.5x -o found.csv",
    ),
    "needed": (
        "roofline needed bandwidth llama-3.1-70b --system dgx-h100 --phase decode --batch 64 --context 4096 --target tpot=12ms",
        "roofline needed chips llama-3.1-70b -s dgx-h100 --concurrency 256 --target tpot=30ms",
    ),
    "sensitivity": (
        "roofline sensitivity deepseek-v3 --system gb200-nvl72 --concurrency 2048",
        "roofline sensitivity llama-3.1-70b -s dgx-h100 --phase decode --batch 64 --context 4096 --of tpot",
    ),
    "break-even": (
        "roofline break-even dgx-b200 dgx-h100 llama-3.1-70b --dtype fp8 --concurrency 64",
        "roofline break-even gb200-nvl72 dgx-h100 deepseek-v3 --price 2.5USD/h",
    ),
    "plot": (
        "roofline plot llama-3.1-70b --system dgx-h100 -s dgx-b200 --concurrency 64 -o roofline.svg",
        "roofline plot llama-3.1-70b -s dgx-h100 --chips 64 --global-batch 256 --kind timeline -o step.pdf",
    ),
    "report": (
        "roofline report deepseek-v3 --system gb200-nvl72 --concurrency 1024 -o deepseek.html",
        "roofline report llama-3.1-70b -s dgx-h100 --chips 64 --global-batch 256 -o training.html",
    ),
    "app": (
        "roofline app --port 8060",
        "roofline app --port 0 --no-browser",
    ),
    "validate": (
        "roofline validate serving",
        "roofline validate runs.csv -o predictions.csv --plot errors.svg",
        "roofline validate bench-serve.json --system dgx-h100 --tp 8 --engine vllm",
    ),
    "calibrate": (
        "roofline calibrate gemm.csv attention.csv --chip h200 -o mine.toml",
        "roofline calibrate my-serving-runs.csv -o my-stack.toml",
        "roofline calibrate gemm.csv nccl.csv.gz --system hgx-h200 --plot fits.svg --json",
        "roofline calibrate all_reduce_perf.txt --system dgx-h100 -o links.toml",
    ),
    "mcp": (
        "roofline mcp --help",
        "roofline mcp --transport stdio",
    ),
}
