"""A small file of each other tool that `validate` and `calibrate` read, as its tests and the fuzzer need it."""

VLLM = {
    "date": "20261101-120000", "backend": "vllm", "model_id": "meta-llama/Llama-3.1-70B-Instruct", "tokenizer_id": "x", "num_prompts": 320,
    "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 32, "duration": 100.0, "completed": 320, "total_input_tokens": 327680,
    "total_output_tokens": 163840, "request_throughput": 3.2, "output_throughput": 1638.4, "total_token_throughput": 4915.2,
    "mean_ttft_ms": 250.0, "median_ttft_ms": 240.0, "p99_ttft_ms": 400.0, "mean_tpot_ms": 19.0, "median_tpot_ms": 19.1, "mean_e2el_ms": 9959.0,
}  # fmt: skip
SGLANG = {
    "backend": "sglang", "request_rate": 2.0, "max_concurrency": None, "random_input_len": 1024, "random_output_len": 512, "completed": 100,
    "total_input_tokens": 102400, "total_output_tokens": 51200, "request_throughput": 1.9, "output_throughput": 972.8, "accept_length": 2.1,
    "mean_e2e_latency_ms": 10000.0, "mean_ttft_ms": 300.0, "mean_tpot_ms": 19.0,
    "server_info": {"model_path": "deepseek-ai/DeepSeek-V3", "tp_size": 16, "attn_dp_size": 4, "ep_size": 16, "version": "0.5.23",
                    "speculative_num_steps": 2, "kv_cache_dtype": "fp8_e4m3"},
}  # fmt: skip
INFERENCEX = {
    "hw": "b200-nv", "conc": 64, "image": "lmsysorg/sglang:v0.5", "model": "deepseek-ai/DeepSeek-R1-0528", "framework": "sglang", "precision": "fp8",
    "spec_decoding": "mtp", "disagg": False, "isl": 8192, "osl": 1024, "tp": 8, "ep": 8, "dp_attention": "true", "tput_per_gpu": 1800.0,
    "output_tput_per_gpu": 200.0, "mean_ttft": 1.5, "mean_tpot": 0.03,
}  # fmt: skip
AIPERF = {
    "schema_version": "1.3", "request_throughput": {"unit": "requests/sec", "avg": 3.4}, "request_latency": {"unit": "ms", "avg": 2200.0},
    "request_count": {"unit": "requests", "avg": 96.0}, "time_to_first_token": {"unit": "ms", "avg": 118.0, "p50": 117.0},
    "inter_token_latency": {"unit": "ms", "avg": 9.0}, "output_token_throughput": {"unit": "tokens/sec", "avg": 770.0},
    "output_sequence_length": {"unit": "tokens", "avg": 228.0, "std": 171.0}, "input_sequence_length": {"unit": "tokens", "avg": 467.0, "std": 443.0},
    "input_config": {
        "models": {"items": [{"name": "mine"}]}, "tokenizer": {"name": "Qwen/Qwen3-32B"},
        "phases": [{"name": "warmup", "exclude_from_results": True, "concurrency": 2}, {"name": "profiling", "requests": 96, "concurrency": 8}],
    },
}  # fmt: skip
GENAI_PERF = {
    "request_throughput": {"unit": "requests/sec", "avg": 1.0}, "request_latency": {"unit": "ms", "avg": 8000.0},
    "time_to_first_token": {"unit": "ms", "avg": 100.0}, "inter_token_latency": {"unit": "ms", "avg": 15.0},
    "output_token_throughput": {"unit": "tokens/sec", "avg": 500.0}, "output_sequence_length": {"unit": "tokens", "avg": 500.0},
    "input_sequence_length": {"unit": "tokens", "avg": 1000.0}, "input_config": {"model": ["llama-3.1-8b"], "perf_analyzer": {"stimulus": {"concurrency": 8}}},
}  # fmt: skip


def distribution(mean):
    return {"successful": {"mean": mean}}


GUIDELLM = {
    "metadata": {"version": 1}, "args": {"model": "openai/gpt-oss-20b"},
    "benchmarks": [
        {"config": {"strategy": {"type_": kind, "streams": streams}},
         "metrics": {"request_concurrency": distribution(seen), "prompt_token_count": distribution(512.0), "output_token_count": distribution(256.0),
                     "time_to_first_token_ms": distribution(80.0), "inter_token_latency_ms": distribution(12.0),
                     "output_tokens_per_second": distribution(640.0)}}
        for kind, streams, seen in (("concurrent", 8, 7.9), ("constant", None, 5.5))
    ],
}  # fmt: skip
MLPERF = """================================================
MLPerf Results Summary
================================================
SUT name : llama2-70b-Server-SUT
Scenario : Server
Mode     : PerformanceOnly
Completed samples per second    : 100.00
Completed tokens per second: 29400.00
Result is : VALID

================================================
Additional Stats
================================================
Mean latency (ns)               : 15000000000
Mean First Token latency (ns)               : 200000000
Mean Time per Output Token (ns)               : 60000000
"""


# Timings -------------------------------------------------------------------------------------------------------------

RANKS = "\n".join(f"#  Rank  {i} Group  0 Pid  2028{i} on  node device  {i} [0009:01:00] NVIDIA H100" for i in range(8))
ROWS = """#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           0             0     float     sum      -1     1.00    0.00    0.00      0     1.00    0.00    0.00      0
     1048576        262144     float     sum      -1    40.00   26.21   45.87      0    39.00   26.89   47.05      0
  1073741824     268435456     float     sum      -1   4000.0  268.44  469.76      0   3990.0  269.11  470.94    N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 200.0
"""
NCCL = f"# Collective test starting: all_reduce_perf\n# nThread 1 nGpus 1 minBytes 8 maxBytes 1G\n#\n# Using devices\n{RANKS}\n#\n{ROWS}"
HCCL = """mpirun -n 16 ./bin/all_reduce_test -b 64M -e 1G -f 2 -d fp32 -o sum -p 8
the minbytes is 67108864, maxbytes is 1073741824, iters is 20, warmup_iters is 10
data_size(Bytes): | aveg_time(us): | alg_bandwidth(GB/s): | check_result:
67108864          | 700.50         | 95.80072             | success
1073741824        | 6000.00        | 178.95697            | success
1073741824        | 1.00           | 178.95697            | failed
"""
ASCEND = (
    "Device_id,Model ID,Task ID,Stream ID,Name,Type,OP State,Accelerator Core,Start Time(us),Duration(us),Wait Time(us),Block Dim,Input Shapes,"
    "Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats\n"
    '0,1,1,1,aclnnMatmul_MatMulV3,MatMulV3,dynamic,AI_CORE,100.0\t,151.0,0,20,"""2048,7168;7168,4096""",DT_BF16;DT_BF16,ND;ND,"""2048,4096""",DT_BF16,ND\n'
    '0,1,2,1,q,QuantBatchMatmulV3,dynamic,AI_CORE,300.0\t,60.0,0,20,"""64,7168;128,448,16,32;4096""",INT8;INT8;FLOAT,ND;FRACTAL_NZ;ND,"""64,4096""",FLOAT16,ND\n'
    '0,1,2,1,g,GroupedMatmul,dynamic,AI_CORE,300.0\t,60.0,0,20,"""64,7168""",INT8,ND,"""64,4096""",FLOAT16,ND\n'
    '0,1,3,1,m,MatMulV2,dynamic,AI_CORE,300.0\t,60.0,0,20,"""""",N/A,ND,"""64,4096""",FLOAT16,ND\n'
)


def op(name, dims, types, external):
    return {"ph": "X", "cat": "cpu_op", "name": name, "ts": 1, "dur": 9,
            "args": {"External id": external, "Input Dims": dims, "Input type": types}}  # fmt: skip


def kernel(dur, **args):
    return {"ph": "X", "cat": "kernel", "name": "nvjet", "ts": 5, "dur": dur, "args": args}


BF = "c10::BFloat16"
TRACE = {
    "traceEvents": [
        op("aten::linear", [[2, 8, 4096], [11008, 4096], []], [BF, BF, ""], 1), kernel(50.0, **{"External id": 1}),
        op("aten::mm", [[16, 4096], [4096, 512]], [BF, BF], 2), {"cat": "cuda_runtime", "args": {"External id": 2, "correlation": 77}},
        kernel(7.5, correlation=77), kernel(0.5, correlation=77),
        op("aten::addmm", [[512], [16, 4096], [4096, 512]], ["float", "float", "float"], 3), kernel(9.0, **{"External id": 3}),
        op("aten::_scaled_dot_product_flash_attention", [[4, 32, 1, 128], [4, 8, 1000, 128], [4, 8, 1000, 128]], [BF] * 3, 4),
        kernel(20.0, **{"External id": 4}),
        op("aten::copy_", [[3]], [BF], 5), kernel(1.0, **{"External id": 5}),
        op("aten::mm", [[16, 4096], [512, 4096]], [BF, BF], 6), kernel(3.0, **{"External id": 6}),
        op("aten::mm", [[16, 4096], [4096, 512]], [BF, BF], 9),  # launched nothing
        {"ph": "M", "name": "process_name"}, 5,
    ]
}  # fmt: skip
