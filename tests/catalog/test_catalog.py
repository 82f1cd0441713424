"""Files by name and path: found, refused, never a traceback, and written whole or not at all."""

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline import catalog
from roofline.catalog import folders
from roofline.core.errors import UnknownNameError
from roofline.operators import memory

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["gb200-nvl72", "GB200-NVL72", "gb200_nvl72", "GB200 NVL72", " gb200-nvl72 "])
def test_names_are_forgiving(name):
    assert rl.system(name).name == "gb200-nvl72"


def test_a_chips_name_is_a_system_of_one():
    rack = rl.system("H100")
    assert (rack.name, float(rack.chips), float(rack.reach)) == ("h100", 1.0, 1.0)
    assert rl.estimate("llama-3.1-8b", "h100", input=512, output=64, concurrency=2).fits
    # A system that is called as its chip is the system.
    assert float(rl.system("rtx-4090").chips) == 8.0


def test_a_chip_has_the_memory_that_its_driver_reports():
    """In GiB: what nvidia-smi and rocm-smi print; vendors' GB are close to GiB."""
    told = {
        "h800": 79.65,
        "h100-96gb-500w": 94.99,
        "mi355x": 287.98,
        "h20-141gb": 140.4,
        "rtx-4090": 23.99,
        "l4": 22.49,
    }
    for name, size in told.items():
        memory_ = rl.chip(name).memory
        assert memory_.capacity * memory_.usable / 2**30 == pytest.approx(size, abs=0.01)


def test_a_bridge_joins_two_cards():
    bridged, plain = rl.system("rtx-3090-nvlink"), rl.system("rtx-3090")
    assert (float(bridged.tiers[0].size), bridged.tiers[0].bandwidth) == (2.0, 56.25e9)
    assert plain.tiers[0].bandwidth == 32e9


def test_a_hub_name_is_its_last_part():
    assert rl.model("meta-llama/Llama-3.1-70B").name == "llama-3.1-70b"
    assert rl.model("deepseek-ai/DeepSeek-V3").name == "deepseek-v3"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rl.system("gb2000"), "no such system; did you mean"), (lambda: rl.chip("h10"), "did you mean h100"),
        (lambda: rl.model("deepsek-v3"), "did you mean deepseek-v3"), (lambda: rl.system(3), "must be text, a path or a System"),
        (lambda: rl.system("no/such/file.toml"), "no such file"), (lambda: rl.model("../nowhere/config.json"), "no such file"),
        (lambda: rl.model("x" * 10**5), "not a path that can be read|no such model"), (lambda: rl.system("a\0b"), "no such system"),
        (lambda: rl.system("a\0b.toml"), "no such file|cannot be read"), (lambda: rl.model("a\0/b.json"), "no such file|not a path"),
        (lambda: rl.model("llama-3.1-8b", dtype="fp9"), "no such dtype"), (lambda: rl.profile("magic", rl.system("dgx-h100")), "no such level"),
        (lambda: rl.model(""), "no such model"), (lambda: rl.model({}), "model_type: is missing"),
    ],
)  # fmt: skip
def test_what_is_not_there(call, says):
    with pytest.raises(rl.RooflineError, match=says) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_users_own_files(tmp_path):
    shutil.copy(ROOT / "hardware" / "chips" / "h100.toml", tmp_path / "my-chip.toml")
    text = (ROOT / "hardware" / "systems" / "dgx-h100.toml").read_text(encoding="utf-8")
    (tmp_path / "my-rack.toml").write_text(
        text.replace('"h100"', '"./my-chip.toml"').replace("450 GB/s", "900 GB/s").replace('"7.2 TB/s"', '"14.4 TB/s"'),
        encoding="utf-8",
    )
    rack = rl.system(str(tmp_path / "my-rack.toml"))
    assert (rack.name, rack.package.name, rack.tiers[0].bandwidth) == ("my-rack", "my-chip", 900e9)
    assert rl.estimate("llama-3.1-70b", rack, tp=8).tpot < rl.estimate("llama-3.1-70b", "dgx-h100", tp=8).tpot


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "my-chip.toml"
    text = (ROOT / "hardware" / "chips" / "h100.toml").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    assert rl.chip(path).cores == 132
    path.write_text(text.replace("= 132", "= 100"), encoding="utf-8")
    os.utime(path, (1, 1))
    assert rl.chip(path).cores == 100


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfe\x00a", "is not UTF-8"), ("[chip]\n".encode("utf-16"), "is not UTF-8"), (b"[chip", "is not valid TOML"),
        (b"a = 1\na = 2", "is not valid TOML"), (b"a = " + b"[" * 10000, "nested too deeply"), (b"", "chip: is missing"),
        (b"x" * ((1 << 20) + 1), "larger than 1 MiB"), (b"a = 1" * 1000, "is not valid TOML"), (b"chip = 1979-05-27", "must be a table"),
        (b".".join([b"a"] * 20_000) + b" = 1", "more than 16 parts"), (b"[" + b" . ".join([b'"a.b"'] * 17) + b"]", "more than 16 parts"),
    ],
)  # fmt: skip
def test_broken_toml(tmp_path, data, says):
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    with pytest.raises(rl.DescriptorError, match=says) as error:
        rl.chip(path)
    assert "bad.toml" in str(error.value)


@pytest.mark.parametrize(
    "ask",
    [rl.chip, rl.system, rl.model, rl.describe, rl.validate, lambda given: rl.calibrate([given], "h100")],
)
def test_the_home_of_nobody_is_one_line(ask):
    with pytest.raises(rl.RooflineError, match=r"~nobody-at-all"):
        ask("~nobody-at-all/x.toml")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "is not valid JSON"), (b"[]", "must hold one JSON object"), (b'{"a": 1, "a": 2}', "stands twice"), (b"null", "one JSON object"),
        (b'{"model_type": ' + b"[" * 100000, "nested too deeply"), (b"\xef\xbb\xbf{}", "model_type: is missing"), (b"", "is not valid JSON"),
        (b'{"model_type": "llama", "hidden_size": ' + b"9" * 5000 + b"}", "is not valid JSON|must be a whole number"),
    ],
)  # fmt: skip
def test_broken_json(tmp_path, data, says):
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(rl.DescriptorError, match=says) as error:
        rl.model(path)
    assert "config.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_special_files_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path / "pipe.toml", Path("/dev/zero"), tmp_path):
        with pytest.raises(rl.DescriptorError):
            rl.chip(path)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "config.json"
    path.write_bytes(data)
    with pytest.raises(rl.DescriptorError):
        rl.model(path)


def test_the_library_stands_alone_in_its_wheel():
    """Both places the data may lie hold the same names; a wheel carries them inside the package."""
    assert (catalog.root() / "hardware" / "systems").is_dir()
    assert len(rl.names("model")) >= 40


def test_files_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.svg"
    catalog.write(path, b"first")
    catalog.write(path, b"second")
    assert path.read_bytes() == b"second"
    assert [each.name for each in tmp_path.iterdir()] == ["out.svg"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400
    for bad in (tmp_path / "no" / "out.svg", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(rl.QuestionError, match="cannot be written"):
            catalog.write(bad, b"third")
    assert [each.name for each in tmp_path.iterdir()] == ["out.svg"]


@pytest.mark.parametrize(
    ("given", "filed"),
    [("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"), ("Meta-Llama-3-8B", "llama-3-8b"), ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
     ("Qwen/Qwen2.5-72B-Instruct", "qwen2.5-72b"), ("deepseek-ai/DeepSeek-V3-Base", "deepseek-v3"), ("deepseek-v2-lite", "deepseek-v2-lite-16b"),
     ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b")],
)  # fmt: skip
def test_models_are_found_by_the_names_of_their_repositories(given, filed):
    assert rl.model(given).name == filed


@pytest.mark.parametrize(
    ("name", "runs", "parameters"),
    [("deepseek-v3-4-layers", [(1, rl.Dense), (3, rl.Moe)], 36_958_706_688), ("deepseek-v2-236b-16-layers", [(1, rl.Dense), (15, rl.Moe)], 60_968_309_760),
     ("llama-3.1-405b-4-layers", [(4, rl.Dense)], 16_953_524_224), ("meta-llama/Llama-3.1-405B-4-layers", [(4, rl.Dense)], 16_953_524_224),
     ("deepseek-v3-without-mtp", [(3, rl.Dense), (58, rl.Moe)], 671_026_404_352), ("deepseek-v3-without-mtp-61-layers", [(3, rl.Dense), (58, rl.Moe)], 671_026_404_352),
     ("deepseek-v3-1-layers", [(1, rl.Moe)], None)],
)  # fmt: skip
def test_a_cut_model_is_a_law(name, runs, parameters):
    """The counts are those of DeepSeek and Llama cut by hand: embedding, head, and the layers that are left."""
    made = rl.model(name)
    assert [(run.count, type(run.ffn)) for run in made.layers] == runs
    assert made.mtp == 0
    assert made.name == name.rpartition("/")[2].lower()
    assert catalog.kind_of(name) == "model"
    if parameters is not None:
        assert memory.total(made) == parameters


def test_a_cut_keeps_every_kind_in_its_order():
    """Five windows to a full layer, or experts in every other layer: so it stays, layer by layer from the first."""
    gemma, llama = rl.model("gemma-3-27b"), rl.model("llama-4-maverick-17b-128e")
    for model in (gemma, llama):
        every = [(run.attention, run.ffn) for run in model.layers for _ in range(run.count)]
        half = model.cut(model.depth // 2)
        assert [(run.attention, run.ffn) for run in half.layers for _ in range(run.count)] == every[: model.depth // 2]
        assert model.cut(model.depth).layers == model.layers
    assert "cut to 31 of 62 layers" in gemma.cut(31).note


@pytest.mark.parametrize(
    ("name", "says"),
    [("llama-3.1-405b-0-layers", "must be from 1 to the 126 that llama-3.1-405b has"), ("llama-3.1-405b-127-layers", "layers=127: must be from 1"),
     ("llama-3.1-406b-4-layers", "did you mean llama-3.1-405b"), ("-4-layers", "no such model"), ("nobody-without-mtp", "no such model"),
     ("x" * 200 + "-4-layers", "no such model"), ("llama-3.1-8b-99999999-layers", "no such model")],
)  # fmt: skip
def test_a_cut_that_cannot_be(name, says):
    with pytest.raises(rl.QuestionError, match=says) as error:
        rl.model(name)
    assert "\n" not in str(error.value)


def test_names_of_a_kind():
    assert rl.names("systems") == rl.names("system")
    with pytest.raises(rl.UnknownNameError, match="systems, chips or models"):
        rl.names("racks")


def test_a_system_is_read_again_when_its_chip_has_changed(tmp_path):
    chip = tmp_path / "mine.toml"
    root = Path(rl.__file__).parents[2] / "hardware"
    text = (root / "chips" / "h100.toml").read_text(encoding="utf-8")
    chip.write_text(text, encoding="utf-8")
    rack = tmp_path / "rack.toml"
    rack.write_text(
        (root / "systems" / "dgx-h100.toml").read_text(encoding="utf-8").replace('"h100"', '"./mine.toml"'),
        encoding="utf-8",
    )
    assert rl.system(rack).chip.memory.bandwidth == 3.35e12
    chip.write_text(text.replace("3.35 TB/s", "4 TB/s"), encoding="utf-8")
    os.utime(chip, ns=(1, 1))
    assert rl.system(rack).chip.memory.bandwidth == 4e12


def test_a_missing_chip_names_the_system(tmp_path):
    rack = tmp_path / "rack.toml"
    root = Path(rl.__file__).parents[2] / "hardware"
    rack.write_text(
        (root / "systems" / "dgx-h100.toml").read_text(encoding="utf-8").replace('"h100"', '"h10"'), encoding="utf-8"
    )
    with pytest.raises(
        rl.DescriptorError, match=r"rack\.toml: system\.chip: chip='h10': no such chip; did you mean h100"
    ):
        rl.system(rack)


@pytest.mark.parametrize("kind", ["chip", "system"])
def test_other_names_stand_for_descriptors_and_hide_none(kind: str) -> None:
    others = folders.other_names(kind)
    assert len(others) > 10
    for other, name in others.items():
        assert name in folders.names(kind), (other, name)
        assert all(other not in folders.names(each) for each in ("chip", "system", "model")), other
        assert folders.as_name(other) == other
        assert "." not in other


def test_names_of_clouds_and_data_sheets() -> None:
    assert catalog.system("HGX H100").name == "dgx-h100"
    assert catalog.system("p5.48xlarge").name == "p5-48xlarge"
    assert catalog.system("nd_h100_v5").name == "dgx-h100"
    assert catalog.chip("h100_sxm").name == "h100"
    assert float(catalog.system("H200 SXM").chips) == 1.0
    assert catalog.kind_of("h100-sxm5") == "chip"
    for reported, name in (
        ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA A100-SXM4-80GB", "a100-80gb"), ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("Tesla V100-SXM2-32GB", "v100-32gb"), ("AMD Instinct MI300X OAM", "mi300x"), ("rtx4090", "rtx-4090"), ("Gaudi 3", "gaudi3"),
    ):  # fmt: skip
        assert catalog.chip(reported).name == name
    for asked, count in (("8xH100", 8), ("h100x8", 8), ("h100-4", 4), ("2 x RTX 4090", 2)):
        with pytest.raises(
            UnknownNameError, match=rf"is a chip; systems that hold it: .*give one of them and chips={count}$"
        ):
            catalog.system(asked)
    with pytest.raises(
        UnknownNameError, match="dgx-a100-40gb or dgx-a100-80gb"
    ):  # two machines are called so: neither is taken
        catalog.system("dgx-a100")


def test_machines_of_clouds_have_the_chips_of_the_maker_and_their_own_fabric() -> None:
    for cloud, maker in (
        ("p5-48xlarge", "dgx-h100"),
        ("a3-mega-h100", "dgx-h100"),
        ("p5e-48xlarge", "hgx-h200"),
        ("a4-b200", "dgx-b200"),
    ):
        ours, theirs = catalog.system(cloud), catalog.system(maker)
        assert ours.chip == theirs.chip
        assert float(ours.tiers[0].bandwidth) == float(theirs.tiers[0].bandwidth)
        assert ours.tiers[-1].fabric != theirs.tiers[-1].fabric
    assert float(catalog.system("p4d-24xlarge").tiers[-1].bandwidth) == 400e9 / 8 / 8  # 400 Gbit/s over 8 GPUs
