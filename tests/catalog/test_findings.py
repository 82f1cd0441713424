"""Descriptors held against themselves and against known parts: every error found in other people's tables is refused or told."""

import re
import tomllib
from pathlib import Path

import pytest

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.catalog.descriptors import chip as read_chip
from roofline.catalog.descriptors import system as read_system
from roofline.catalog.findings import findings
from roofline.core.mappings import Table

HARDWARE = Path(__file__).parents[2] / "hardware"


def changed(kind, name, edits):
    """The tables of a shipped descriptor with numbers replaced; a key that is not there is put in, None takes it out."""
    tables = tomllib.loads((HARDWARE / kind / f"{name}.toml").read_text(encoding="utf-8"))
    for path, value in edits.items():
        *parents, last = path.split(".")
        inner = tables
        for key in parents:
            inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
        old = inner.get(last)
        if value is None:
            del inner[last]
        elif isinstance(old, dict) and not isinstance(value, dict):
            # A stranger's table has the wrong number, and none of our notes on it.
            inner[last] = {"value": value, **({"source": old["source"]} if "source" in old else {})}
        else:
            inner[last] = value
    # Every source stays cited, whatever the edits took out.
    head = tables["chip" if kind == "chips" else "system"]
    head.setdefault("source", next(iter(tables["sources"])))
    return tables


def told(kind, name, edits, called="mine"):
    """What a descriptor is refused for, or what is told of it."""
    tables = changed(kind, name, edits)
    cited = re.compile(r"no number cites it")
    while True:
        try:
            table = Table(tables, "mine.toml")
            made_ = read_chip(table, called) if kind == "chips" else read_system(table, called, catalog.chip)
            return "\n".join(map(str, findings(made_)))
        except rl.DescriptorError as error:
            if not cited.search(str(error)):
                return str(error)
            del tables["sources"][re.search(r"sources\.(\w+)", str(error))[1]]


PLANTED = [
    # Sparse rates as dense.
    ("chips", "gh200-96gb", {"chip.peak.bf16": "1979 TFLOP/s"}, "is the sparse rate|twice that is the sparse rate|is not 1 x"),
    ("chips", "b200", {"chip.peak.bf16": "3500 TFLOP/s"}, "is not 0.5 x|is not 1 x|is not 2 x"),
    ("chips", "gb200", {"chip.peak.bf16": "4500 TFLOP/s"}, "is not|where the library has 2500"),
    ("chips", "h200", {"chip.peak.fp8": "3.94 PFLOP/s"}, "is the sparse rate|is not 2 x"),
    ("chips", "b300", {"chip.peak.bf16": "3500 TFLOP/s", "chip.peak.fp8": "7000 TFLOP/s"}, "is not|where the library has 2250"),
    ("chips", "mi250x", {"chip.peak.int8": "766 TOP/s"}, "where the library has 383 TOP/s for mi250x: twice"),
    ("chips", "h100", {"chip.peak.int4": "3958 TOP/s"}, "the library knows no int4 rate of h100"),
    # Rounded, outdated, of another bin or unit.
    ("chips", "tpu-v6e", {"chip.peak.bf16": "926 TFLOP/s", "chip.peak.fp8": None, "chip.peak.int8": None}, "where the library has 918"),
    ("chips", "gaudi3", {"chip.peak.bf16": "1835 TFLOP/s"}, "is not|where the library has 1678"),
    ("chips", "a100-40gb", {"chip.memory.bandwidth": "1600 GB/s"}, "where the library has 1555 GB/s|where the library has 1.555 TB/s"),
    ("chips", "trainium2", {"chip.peak.bf16": "380 TFLOP/s"}, "where the library has 667|is not"),
    ("chips", "trainium2", {"chip.memory.bandwidth": "2.4 TB/s"}, "where the library has 2.9 TB/s"),
    ("chips", "mi250x", {"chip.memory.bandwidth": "3.2 TB/s"}, "where the library has"),
    ("chips", "gb200", {"chip.memory.bandwidth": "13400 GB/s"}, "where the library has 8 TB/s"),
    ("chips", "h800", {"chip.memory.bandwidth": "3430 GB/s"}, "names this one as another source's"),
    ("chips", "h20", {"chip.memory.bandwidth": "4096 GB/s"}, "where the library has 4"),
    ("chips", "h100", {"chip.memory.bandwidth": "3072 GB/s"}, "where the library has 3.35 TB/s"),
    ("chips", "h100", {"chip.peak.bf16": "1000 TFLOP/s"}, "where the library has 989.4"),
    ("chips", "h100", {"chip.memory.bandwidth": None}, "chip.memory.bandwidth: is missing"),
    ("chips", "b200", {"chip.memory.capacity": "80 GB", "chip.memory.reported": None}, "where the library has 180 GB"),
    ("chips", "a100-80gb", {"chip.cores": 128}, "where the library has 108"),
    ("chips", "a100-80gb", {"chip.cache.capacity": "48 MB"}, "where the library has 40 MiB"),
    ("chips", "mi300x", {"chip.peak.bf16": "1300 TFLOP/s"}, "where the library has 1307.4"),
    ("chips", "trainium1", {"chip.peak.tf32": "47.5 TFLOP/s"}, "where the library has 190|is not 0.5 x"),
    ("chips", "a100-80gb", {"chip.vector.fp64": "19.5 TFLOP/s"}, "where the library has 9.7"),
    # Parts the library has not: what the numbers say by themselves.
    ("chips", "a100-40gb", {"chip.title": "V100 16GB", "chip.memory.capacity": "32 GB"}, "32 GB, where the name says 16 GB"),
    ("chips", "l40s", {"chip.title": "A10", "chip.memory.capacity": "28 GB", "chip.memory.reported": None}, "no size that memory comes in"),
    ("chips", "l40s", {"chip.title": "RTX A6000", "chip.peak": {"bf16": "38.7 TFLOP/s"}, "chip.vector": {"fp32": "38.7 TFLOP/s"}}, "vector units"),
    ("chips", "h100", {"chip.memory.bandwidth": "26.8 TB/s"}, "read all 80 GB in 2.99 ms"),
    # Links: both directions as one, half of one, one of many, a faster part's.
    ("systems", "dgx-a100-80gb", {"system.tier.0.bandwidth": "150 GB/s"}, "half of one of them|make 1.2 TB/s one way"),
    ("systems", "dgx-h100", {"system.tier.0.bandwidth": "900 GB/s"}, "both ways"),
    ("systems", "mi300x-8", {"system.tier.0.bandwidth": "400 GB/s"}, "have 50 GB/s, 448 GB/s|both ways"),
    ("systems", "gaudi3-8", {"system.tier.0.bandwidth": "300 GB/s"}, "both ways|525 GB/s"),
    ("systems", "tpu-v4-pod", {"system.tier.0.bandwidth": "24 GB/s"}, "270 GB/s|300 GB/s"),
    ("systems", "tpu-v5e-pod", {"system.tier.0.bandwidth": "50 GB/s"}, "200 GB/s"),
    ("systems", "tpu-v5p-pod", {"system.tier.0.bandwidth": "450 GB/s"}, "600 GB/s"),
    ("systems", "dgx-b200", {"system.tier.1.bandwidth": "100 GB/s"}, "both ways taken for one"),
    ("systems", "gb200-nvl72", {"system.tier.1.bandwidth": "100 GB/s"}, "both ways taken for one"),
    ("systems", "l40s", {"system.tier.0.bandwidth": "300 GB/s"}, "where systems of l40s have"),
    ("systems", "cloudmatrix384", {"system.tier.2.bandwidth": "200 GB/s"}, "where systems of ascend-910c have"),
    ("systems", "dgx-b200", {"system.tier.1.bandwidth": "1.8 TB/s"}, "more than the 900 GB/s of the tier inside it|both ways taken"),
    # Wholes that are not the sum of their parts: a rack of another bin, a misprint.
    ("systems", "gb200-nvl72", {"system.published.bf16": "162 PFLOP/s"}, "162 PFLOP/s, but 72 x 2500 TFLOP/s are 180 PFLOP/s"),
    ("systems", "gb200-nvl72", {"system.published.fp8": "324 PFLOP/s"}, "but 72 x 5000 TFLOP/s are 360"),
    ("systems", "gb200-nvl72", {"system.published.fp4": "648 PFLOP/s"}, "but 72 x"),
    ("systems", "cloudmatrix384", {"system.published.bandwidth": "12209 TB/s"}, "but 384 x 3.2 TB/s are"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "edits", "says"), PLANTED, ids=lambda x: x if isinstance(x, str) and len(x) < 20 else ""
)
def test_other_peoples_errors_are_refused_or_told(kind, name, edits, says):
    assert re.search(says, told(kind, name, edits)), told(kind, name, edits)


@pytest.mark.parametrize("name", made.SYSTEMS)
def test_what_ships_has_nothing_to_be_told(name):
    assert findings(rl.system(name)) == ()


@pytest.mark.parametrize("name", rl.names("chip"))
def test_chips_that_ship_have_nothing_to_be_told(name):
    assert findings(rl.chip(name)) == ()
    # Nor when a stranger copies the file.
    assert told("chips", name, {}) == ""


def test_an_answer_on_a_strangers_machine_says_what_looks_wrong(tmp_path):
    text = (HARDWARE / "systems" / "dgx-b200.toml").read_text(encoding="utf-8").replace('"50 GB/s"', '"100 GB/s"')
    rack = tmp_path / "rack.toml"
    rack.write_text(text, encoding="utf-8")
    est = rl.estimate("llama-3.1-8b", rack, concurrency=8)
    assert any("both ways taken for one" in note for note in est.assumptions)
    # Power and rent that are given in place of its own are no reason to be silent.
    given = rl.estimate("llama-3.1-8b", rack, concurrency=8, power="1.2 kW", price=2.0)
    assert any("both ways taken for one" in note for note in given.assumptions)
    assert "looks wrong" in rl.describe(rack).text
    assert rl.describe(rack).to_dict()["findings"]


IDENTITIES = {
    "chips/b200.toml": "7.7 TB/s", "systems/hgx-b300.toml": "not the 112", "systems/gb200-nvl72.toml": "18.4", "chips/gb300.toml": "150 of the B300",
    "chips/rubin.toml": "2,400", "systems/cloudmatrix384.toml": "279.3", "chips/ascend-910c.toml": "757.8", "systems/atlas-950-superpod.toml": "binary",
    "chips/mi350x.toml": "transposed", "systems/helios.toml": "19.6", "chips/tpu-v5e.toml": "197.8", "systems/trn3-ultraserver.toml": "704 GB/s",
    "chips/gaudi3.toml": "1835",
}  # fmt: skip


@pytest.mark.parametrize(("file", "words"), IDENTITIES.items(), ids=lambda x: x if ".toml" in x else "")
def test_identities_that_do_not_hold_are_explained_in_their_files(file, words):
    # 384 x 752 and 384 x 727.4 TFLOP/s are told in one place.
    assert words in (HARDWARE / file).read_text(encoding="utf-8")


def test_the_library_is_as_large_as_it_says():
    assert len(rl.names("chip")) >= 45
    assert len(rl.names("system")) >= 26
    for kind in ("chip", "system"):
        for name in rl.names(kind):
            noun = getattr(rl, kind)(name)
            assert noun.facts
            assert all(fact.source.title for fact in noun.facts)


def test_power_and_rent_may_be_given():
    words = {"chips": 1, "concurrency": 8}
    bare = rl.estimate("llama-3.1-8b", "atlas-800i-a3", **words)
    assert bare.joules_per_token is bare.dollars_per_million_tokens is None
    assert "no rated power" in bare.to_dict()["null_because"]["energy_j_per_output_token"]
    given = rl.estimate("llama-3.1-8b", "atlas-800i-a3", power="1.2 kW", price=2.0, **words)
    rate = float(given.tokens_per_second)
    # Half of what is given is taken to be the chip's, whose own rating is not published.
    demand = min(float(given.demand), 1.0)
    assert float(given.joules_per_token) == pytest.approx((600 * demand + 215) / 0.978 / rate)
    assert float(given.dollars_per_million_tokens) == pytest.approx(2.0 / 3600 / rate * 1e6)
    assert given.to_dict()["null_because"] == {}
    alone = rl.estimate("llama-3.1-8b", "mi300x-8", **words)
    assert any("energy is of the system as sold, at the wall" in note for note in alone.assumptions)


def test_announced_hardware_is_labelled():
    est = rl.estimate("llama-3.1-8b", "vera-rubin-nvl72", concurrency=8)
    assert any("announced, not shipped" in note for note in est.assumptions)
    listed = {row["name"]: row["announced"] for row in rl.listing("systems")}
    assert listed["vera-rubin-nvl72"]
    assert not listed["dgx-h100"]
    assert "(announced)" in rl.compare("helios", "dgx-h100").table()
