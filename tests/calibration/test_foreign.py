"""Timings that other tools wrote: each shape read into rows; what is missing is asked for, what is no row is counted."""

import gzip
import json

import pytest

import roofline as rl
from roofline.calibration.foreign import is_foreign, read
from roofline.core.errors import DescriptorError, QuestionError

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


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    return write


def test_nccl_tests(put):
    found = read(put("log.txt", NCCL))
    assert found.tool == "nccl-tests"
    assert found.rows == [
        {"kernel": "nccl_all_reduce", "gpus": "8", "bytes": "1048576", "measured_us": "40.00"},
        {"kernel": "nccl_all_reduce", "gpus": "8", "bytes": "1073741824", "measured_us": "4000.0"},
    ]
    assert found.aside == {"collectives of nothing": 1}


def test_lines_that_mpi_marks_and_the_name_of_the_file(put):
    text = "\n".join(f"   [1,0]<stdout>:{line}" for line in ROWS.replace("sum", "none").splitlines())
    found = read(put("alltoall_perf.log", text), ranks=16)
    assert {row["kernel"] for row in found.rows} == {"nccl_alltoall"}
    assert {row["gpus"] for row in found.rows} == {"16"}


def test_ranks_follow_from_the_bandwidths(put):
    found = read(put("all_reduce.txt", ROWS))
    assert found.rows[0]["gpus"] == "8"  # 469.76 / 268.44 = 2 x 7 / 8


def test_what_is_not_said_is_asked_for(put):
    with pytest.raises(QuestionError, match="--collective all-reduce"):
        read(put("log.txt", ROWS))
    assert read(put("log.txt", ROWS), collective="reduce-scatter", ranks=4).rows[0]["kernel"] == "nccl_reduce_scatter"
    with pytest.raises(QuestionError, match="give --ranks 8"):
        read(put("all_gather.txt", HCCL.partition("\n")[2]))
    with pytest.raises(QuestionError, match="is no collective that can be fitted"):
        read(put("log.txt", NCCL), collective="broadcast")


def test_hccl_test(put):
    found = read(put("hccl.log", HCCL))
    assert [row["gpus"] for row in found.rows] == ["16", "16"]
    assert found.rows[0] == {"kernel": "nccl_all_reduce", "gpus": "16", "bytes": "67108864", "measured_us": "700.50"}
    assert found.aside == {"collectives whose result was wrong": 1}


def test_torch_profiler(put, tmp_path):
    found = read(put("trace.json", TRACE))
    shapes = [
        (row["kernel"], row.get("m"), row.get("n"), row.get("k"), row["dtype"], row["measured_us"])
        for row in found.rows
    ]
    assert shapes[:3] == [
        ("gemm", "16", "11008", "4096", "bf16", "50"), ("gemm", "16", "512", "4096", "bf16", "8"), ("gemm", "16", "512", "4096", "fp32", "9"),
    ]  # fmt: skip
    attention = found.rows[3]
    assert (attention["kernel"], attention["past_len"], attention["kv_heads"], attention["batch"]) == (
        "attn_decode",
        "999",
        "8",
        "4",
    )
    assert found.aside == {"operations of other kinds": 1, "matrix products of other shapes or formats": 1}
    packed = tmp_path / "trace.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(TRACE).encode()))
    assert read(packed).rows == found.rows


def test_ascend_profiler(put):
    path = put("kernel_details.csv", ASCEND)
    assert is_foreign(path)
    found = read(path)
    assert [(row["m"], row["n"], row["k"], row["dtype"], row["measured_us"]) for row in found.rows] == [
        ("2048", "4096", "7168", "bf16", "151.0"), ("64", "4096", "7168", "int8", "60.0"),
    ]  # fmt: skip
    assert found.aside == {"kernels of other kinds": 1, "matrix products of other shapes or formats": 1}


def test_tables_of_ours_are_not_foreign(put):
    assert not is_foreign(put("gemm.csv", "kernel,m,n,k,dtype,measured_us\n"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", "{", "is not valid JSON"), ("x.json", "[]", "is no trace"), ("x.json", "7", "is no trace"), ("x.txt", "hello", "is no output of"),
        ("x.json", "[" * 99999, "is not valid JSON"),
    ],
)  # fmt: skip
def test_strange_files(put, name, text, message):
    with pytest.raises(DescriptorError, match=message):
        read(put(name, text))


def test_calibrate_takes_them(put):
    sizes = [int(2 ** (i / 2)) for i in range(24, 66)]
    lines = [
        f"{size:12d} {size // 4:12d}     float     sum      -1  {8 + size / 3e5:9.2f}    1.00    1.75      0"
        for size in sizes
    ]
    path = put("all_reduce_perf.txt", "\n".join([RANKS, *lines]))
    found = rl.calibrate(path, system="dgx-h100")
    assert sum(part.timings.count for part in found.parts) == len(sizes)
