"""A collective as a question of its own: bytes as nccl-tests counts them, the same number for a scalar and in an array."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roofline as rl
from roofline.cli.app import main
from roofline.planner.collective import ALGORITHMS, KINDS

SYSTEMS = ("dgx-h100", "gb200-nvl72", "mi300x-8", "tpu-v5p-pod", "cloudmatrix384", "alps-gh200")


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(KINDS)), st.sampled_from(SYSTEMS), st.lists(st.integers(0, 33), min_size=1, max_size=4),
    st.lists(st.integers(2, 700), min_size=1, max_size=3),
)  # fmt: skip
def test_an_array_holds_what_scalars_say(kind, system, powers, ranks):
    sizes = 2.0 ** np.array(powers)
    grid = rl.collective(kind, sizes, system, ranks=np.array(ranks, dtype=float)[:, None])
    assert grid.time.shape == (len(ranks), len(sizes))
    for i, n in enumerate(ranks):
        for j, size in enumerate(sizes):
            one = rl.collective(kind, float(size), system, ranks=n)
            assert grid.time[i, j] == pytest.approx(one.time, rel=1e-12)
            assert grid.algorithm[i, j] == one.algorithm
            assert grid.error[i, j] == pytest.approx(one.error)


def test_bandwidths_are_those_of_nccl_tests():
    found = rl.collective("all-reduce", "8 GiB", "dgx-b200", ranks=16)
    assert found.algbw == pytest.approx(8 * 2**30 / found.time)
    assert found.busbw == pytest.approx(found.algbw * 2 * 15 / 16)
    gathered = rl.collective("all_gather", 2.0**30, "dgx-b200", ranks=16)
    assert gathered.busbw == pytest.approx(gathered.algbw * 15 / 16)


@pytest.mark.parametrize(("size", "measured"), [(2**29, 1806.7e-6), (2**33, 20299e-6)])
def test_one_rack_of_72_as_it_was_measured(size, measured):
    assert rl.collective("all-reduce", float(size), "gb200-nvl72", ranks=72).time == pytest.approx(measured, rel=0.08)


def test_the_bus_bandwidth_of_a_ring_does_not_fall_with_the_nodes():
    # NCCL's rings are flat: every card carries 2 S/r (n - 1)/n; only its latency grows (346 GB/s over 4 nodes of B200, 306 over 32).
    bus = rl.collective(
        "all-reduce", 16 * 2.0**30, "dgx-b200", ranks=np.array([32.0, 64.0, 128.0, 512.0]), algorithm="ring"
    ).busbw
    assert bus.max() / bus.min() < 1.13


def test_the_error_grows_with_the_distance_and_for_short_messages():
    near, far = (rl.collective("all-reduce", "4 GiB", "dgx-h100", ranks=n).error for n in (64, 16384))
    assert far > near
    short = rl.collective("all-reduce", "64 KiB", "dgx-h100", ranks=64).error
    assert short >= near  # on InfiniBand short messages were off by no more than large ones
    large, small = (rl.collective("all-reduce", size, "alps-gh200", ranks=64).error for size in ("4 GiB", "64 KiB"))
    assert small > large


def test_switches_that_add_up_between_nodes_help():
    # NCCL with SHARP on 46 nodes of B200: 545 GB/s of bus bandwidth (Together AI, 2026-05-02).
    plain, sharp = (rl.collective("all-reduce", "16 GiB", "dgx-b200", ranks=368, in_network=on) for on in (False, True))
    assert sharp.time < plain.time
    assert sharp.busbw / 1e9 == pytest.approx(545, rel=0.1)


def test_another_network_of_a_system_carries_a_message():
    over = {
        plane: rl.collective("send-recv", "1 GiB", "cloudmatrix384", ranks=64, plane=plane).busbw
        for plane in ("VPC", "RDMA")
    }
    assert 2.3e9 < over["VPC"] < 3.125e9
    assert 18e9 < over["RDMA"] < 25e9
    assert rl.collective("send-recv", "1 GiB", "cloudmatrix384", ranks=64).busbw > 100e9


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("foo", 1e9, "dgx-h100", 8), "kind"), (("all-reduce", "1 Gi", "dgx-h100", 8), "size"), (("all-reduce", 1e9, "dgx-h100", 1), "ranks"),
        (("all-reduce", 1e9, "dgx-h100", 1e6), "ranks"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_named(words, told):
    kind, size, system, ranks = words
    with pytest.raises(rl.RooflineError, match=told):
        rl.collective(kind, size, system, ranks=ranks)
    with pytest.raises(rl.QuestionError, match="algorithm"):
        rl.collective("all-reduce", 1e9, "dgx-h100", ranks=16, algorithm="one-shot")
    with pytest.raises(rl.RooflineError, match="plane"):
        rl.collective("all-reduce", 1e9, "dgx-h100", ranks=16, plane="VPC")


def test_the_command_prints_the_fields_of_the_function(capsys):
    main(["collective", "all-reduce", "1GiB", "--system", "gb200-nvl72", "--ranks", "72", "--json"])
    told = json.loads(capsys.readouterr().out)
    found = rl.collective("all-reduce", "1 GiB", "gb200-nvl72", ranks=72)
    assert told == found.to_dict()
    assert {
        "kind",
        "bytes",
        "ranks",
        "system",
        "time_s",
        "busbw_bytes_per_s",
        "algbw_bytes_per_s",
        "algorithm",
        "bound",
        "interval",
    } <= set(told)
    main(["collective", "all-reduce", "1073741824", "--system", "gb200-nvl72", "--ranks", "72"])
    assert "bus bandwidth" in capsys.readouterr().out


def test_it_is_an_answer_like_any_other():
    grid = rl.collective("all-reduce", 2.0 ** np.array([20, 25, 30]), "dgx-h100", ranks=np.array([[8.0], [64.0]]))
    one = rl.collective("all-reduce", 2.0**30, "dgx-h100", ranks=64)
    assert grid.shape == (2, 3)
    assert grid.at(-1, -1).to_dict() == one.to_dict()
    assert grid.best("busbw").busbw == grid.busbw.max()
    assert len(grid.frame.records()) == 6
    assert "time_s_low" in grid.frame
    assert "ring" in str(grid) or "in-network" in str(grid)
    assert {fact.path.partition(".")[0] for fact in one.citations()} >= {"system", "link"}
    assert rl.collective("all-reduce", 2.0**30, "dgx-h100", ranks=64, level="ideal").interval() is None
    low, high = one.interval("busbw")
    assert low < one.busbw < high
    assert "bus bandwidth" in one._repr_html_()


def test_a_picture_of_bus_bandwidth_against_size():
    axes = rl.collective("all-reduce", "1 GiB", "dgx-b200", ranks=64).plot()
    assert axes.get_ylabel() == "bus bandwidth, GB/s"
    assert len(axes.lines[0].get_xdata()) > 20


def test_every_algorithm_is_a_way_that_has_constants():
    assert {way for ways in ALGORITHMS.values() for way in ways} == set(rl.IDEAL.links)


def test_partitions_of_a_rack_as_they_were_measured():
    # NCCL issue 1801: a ring over three NVLink partitions of four GB200 each, 16 GiB in 160 ms.
    found = rl.collective("all-reduce", 16 * 2.0**30, "gb200-nvl72", ranks=12, per_node=4, algorithm="ring")
    assert found.time == pytest.approx(160.1e-3, rel=0.08)
    with pytest.raises(rl.QuestionError, match="per_node"):
        rl.collective("all-reduce", 1e9, "dgx-h100", ranks=16, per_node=9)
    with pytest.raises(rl.QuestionError, match="per_node"):
        rl.collective("all-reduce", 1e9, "tpu-v5p-pod", ranks=16, per_node=4)


def test_a_second_rack_makes_an_all_reduce_slower():
    one, two = (rl.collective("all-reduce", 16 * 2.0**30, "gb200-nvl72", ranks=n, per_node=64).time for n in (64, 128))
    # Oracle, 2026-01: 50.4 ms over two racks of 64.
    assert one < two == pytest.approx(50.4e-3, rel=0.12)


def test_a_router_that_is_limited_to_nodes_sends_less():
    words = {"ranks": 64, "algorithm": "throughput"}
    free, four, two = (
        rl.collective("dispatch", 29e6, "hgx-h800", groups=8, top_groups=top, **words).time for top in (8, 4, 2)
    )
    assert two < four < free
    with pytest.raises(rl.QuestionError, match="top_groups"):
        rl.collective("dispatch", 29e6, "hgx-h800", ranks=64, top_groups=3)


@pytest.mark.parametrize(("tokens", "bytes_", "measured"), [("dispatch", 7392.0, 643e9), ("combine", 14336.0, 675e9)])
def test_a_release_of_the_exchange_has_constants_of_its_own(tokens, bytes_, measured):
    # DeepEP V2 on eight B200, 24 cores: bandwidth counts what stays in a rank, 8 (1 - (7/8)^8) copies of 8,192 tokens.
    first, second = (
        rl.collective(tokens, 8192 * bytes_, "dgx-b200", ranks=8, algorithm="throughput", library=library)
        for library in (None, "deepep-v2")
    )
    counted = 8192 * bytes_ * 8 * (1 - (7 / 8) ** 8)
    assert counted / second.time == pytest.approx(measured, rel=0.1)
    assert second.time < first.time / 2
    low, high = second.interval()
    assert high / low < 1.5
    with pytest.raises(rl.RooflineError, match="library"):
        rl.collective(tokens, 1e6, "dgx-b200", ranks=8, library="deepep")


@pytest.mark.parametrize(("ranks", "out", "back"), [(8, 116e-6, 118e-6), (64, 141e-6, 150e-6), (256, 152e-6, 149e-6)])
def test_what_cann_exchanges_hardly_depends_on_bytes(ranks, out, back):
    for kind, bytes_, measured in (("dispatch", 7168.0, out), ("combine", 14336.0, back)):
        found = rl.collective(
            kind, 128 * bytes_, "cloudmatrix384", ranks=ranks, algorithm="low-latency", library="cann"
        )
        assert found.time == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize(
    ("kind", "size", "measured"), [("dispatch", 946176.0, 559.1e-6), ("combine", 1835008.0, 514.9e-6)]
)
def test_a_thread_of_the_host_sends_on_efa(kind, size, measured):
    # DeepEP V1 over NVSHMEM and libfabric, two nodes of eight B300, 128 tokens of a rank.
    words = {"ranks": 16, "algorithm": "low-latency"}
    found = rl.collective(kind, size, "p6-b300-48xlarge", tokens=128, **words)
    assert found.time == pytest.approx(measured, rel=0.15)
    assert found.time > 4 * rl.collective(kind, size, "p6-b300-48xlarge", **words).time
