"""Timings that other tools wrote: each shape read into rows; what is missing is asked for, what is no row is counted."""

import gzip
import json

import pytest

import roofline as rl
from foreign_files import ASCEND, HCCL, NCCL, RANKS, ROWS, TRACE
from roofline.calibration.foreign import is_foreign, read
from roofline.core.errors import DescriptorError, QuestionError


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


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("all_reduce.txt", "   40.00   26.21", "   4.0.0   26.21"), ("all_reduce.txt", "469.76", "46.9.76"), ("all_reduce.txt", "268.44", "26.8.44"),
        ("all_reduce.txt", "1048576 ", "9" * 5000 + " "),
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_left_aside(put, name, old, new):
    assert old in ROWS
    found = read(put(name, ROWS.replace(old, new, 1)), ranks=8)
    assert found.tool == "nccl-tests"


@pytest.mark.parametrize("count", ["9" * 5000, "1234567890123"])
def test_an_absurd_number_of_ranks_is_none(put, count):
    text = HCCL.replace("-n 16", f"-n {count}")
    with pytest.raises(QuestionError, match="give --ranks"):
        read(put("all_reduce.log", text))


@pytest.mark.parametrize("strange", [{"a": 1}, [1], None, "", 10**400, float("nan"), float("inf"), -1.0, "x", True])
@pytest.mark.parametrize("field", ["External id", "correlation", "dur", "Input Dims"])
def test_traces_with_strange_values(put, field, strange):
    events = json.loads(json.dumps(TRACE["traceEvents"]))
    for each in events:
        if isinstance(each, dict) and field in each:
            each[field] = strange
        if isinstance(each, dict) and field in each.get("args", {}):
            each["args"][field] = strange
    found = read(put("trace.json", {"traceEvents": events}))
    assert all(float(row["measured_us"]) < float("inf") for row in found.rows)


@pytest.mark.parametrize("shape", ["1,,2;3,4", "9" * 5000 + ",1;1,1", "٣,٣;٣,٣", ",;,"])
def test_shapes_that_are_none(put, shape):
    found = read(put("kernel_details.csv", ASCEND.replace("2048,7168;7168,4096", shape)))
    assert len(found.rows) == 1
