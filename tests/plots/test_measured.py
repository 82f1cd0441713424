"""The plain roofline of a chip: points of every kind, their place under the roof, what is refused."""

import pytest
from matplotlib.axes import Axes

import roofline as rl
from roofline.core.errors import DescriptorError, QuestionError

PEAK, MEMORY = 989.4e12, 3.35e12  # H100 SXM, dense bf16 and memory


def test_places_by_hand():
    found = rl.roofline("h100", [
        {"name": "gemm", "flops": 4e12, "bytes": 4e9, "time_us": 8000},
        {"name": "copy", "intensity": 0.1, "flops_per_s": 2.68e11},
    ])  # fmt: skip
    gemm, copy = found.spots
    assert (gemm.intensity, gemm.rate, gemm.bandwidth, gemm.bound) == (1000.0, 5e14, 5e11, "compute")
    assert gemm.reached == pytest.approx(5e14 / PEAK, rel=1e-3)
    assert (copy.bound, copy.time) == ("memory", None)
    assert copy.reached == pytest.approx(2.68e12 / MEMORY, rel=1e-3)
    assert found.ridge == pytest.approx(PEAK / MEMORY, rel=1e-3)
    assert "ridge 295 FLOP/B" in found.table()
    assert found.to_dict()["kernels"][0]["bound"] == "compute"
    assert found.frame().rows == 2


def test_picture():
    found = rl.roofline("h100", [{"name": "a", "tflop": 4, "gb": 4, "time_ms": 8}])
    assert isinstance(found.plot(title="mine"), Axes)
    with pytest.raises(QuestionError, match="does FLOP"):
        rl.roofline("h100").plot()


def test_a_rate_that_the_chip_has_not():
    with pytest.raises(QuestionError, match="is no rate of h100; it has"):
        rl.roofline("h100", dtype="mxfp4")
    assert rl.roofline("h100", dtype="fp8").ridge == pytest.approx(2 * PEAK / MEMORY, rel=1e-3)


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_own_csv_and_timings(put):
    found = rl.roofline("h100", put("a.csv", "name,flops,bytes,time_us\nx,1e12,1e9,2000\n"))
    assert found.spots[0].rate == 5e14
    found = rl.roofline("h100", put("gemm.csv", "kernel,m,n,k,dtype,measured_us\ngemm,4096,4096,4096,bf16,200\n"))
    assert found.spots[0].rate == pytest.approx(2 * 4096**3 / 200e-6)
    assert found.spots[0].intensity == pytest.approx(2 * 4096**3 / (3 * 4096**2 * 2))


def test_nsight_compute_by_kernel_and_by_metric(put):
    raw = (
        '==PROF== Connected\n"ID","Kernel Name","dram__bytes.sum","gpu__time_duration.sum","sm__sass_thread_inst_executed_op_ffma_pred_on.sum"\n'
        '"","","Mbyte","us","inst"\n"0","axpy","24","10.0","1,000,000"\n'
    )
    spot = rl.roofline("h100", put("raw.csv", raw)).spots[0]
    assert (spot.name, spot.bound) == ("axpy", "memory")
    assert spot.bandwidth == pytest.approx(2.4e12)
    assert spot.intensity == pytest.approx(2e6 / 24e6)
    long = (
        '"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n"0","axpy","dram__bytes_read.sum","byte","16000000"\n'
        '"0","axpy","dram__bytes_write.sum","byte","8000000"\n"0","axpy","gpu__time_duration.sum","ns","10000"\n'
        '"0","axpy","sm__sass_thread_inst_executed_op_fadd_pred_on.sum","inst","2000000"\n'
    )
    assert rl.roofline("h100", put("long.csv", long)).spots[0].intensity == pytest.approx(2e6 / 24e6)
    with pytest.raises(DescriptorError, match="profile with --metrics"):
        rl.roofline("h100", put("less.csv", '"ID","Kernel Name","gpu__time_duration.sum"\n"0","a","5"\n'))


def test_stream(put):
    text = "Function    Best Rate MB/s  Avg time\nCopy:          3000000.0     0.1\nTriad:         2900000.0     0.1\n"
    copy, triad = rl.roofline("h100", put("stream.txt", text)).spots
    assert (copy.intensity, copy.bandwidth) == (0.0, 3e12)
    assert triad.intensity == pytest.approx(2 / 24)
    assert triad.reached == pytest.approx(2.9e12 / MEMORY, rel=1e-3)
    with pytest.raises(DescriptorError, match="no output of STREAM"):
        rl.roofline("h100", put("no.txt", "hello"))


def test_ascend_kernels(put):
    text = (
        "Name,Type,Accelerator Core,Duration(us),Input Shapes,Input Data Types,Output Shapes\n"
        'a,MatMulV3,AI_CORE,400.0,"""2048,7168;7168,4096""",DT_BF16;DT_BF16,"""2048,4096"""\nb,Add,AI_VECTOR_CORE,4.0,"""4""",DT_BF16,"""4"""\n'
    )
    found = rl.roofline("ascend-910c", put("kernel_details.csv", text))
    assert len(found.spots) == 1
    assert found.left == {"kernels of other kinds": 1}


@pytest.mark.parametrize("row", [{"name": "x"}, {"name": "x", "flops": 1, "bytes": 1}, {"name": "x", "flops": -1, "bytes": 1, "time_us": 1},
                                 {"name": "x", "flops": "many", "bytes": 1, "time_us": 1}, {"name": "x", "intensity": float("nan"), "tflops": 1}])  # fmt: skip
def test_wrong_points(row):
    with pytest.raises(QuestionError, match="x"):
        rl.roofline("h100", [row])


def test_points_that_are_none():
    with pytest.raises(QuestionError, match="must be mappings"):
        rl.roofline("h100", [3])
