"""Descriptors: everything shipped has a source, and what a stranger gets wrong is told with its place and its remedy."""

import copy
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline import catalog
from roofline.catalog import descriptors
from roofline.core.errors import DescriptorError
from roofline.core.mappings import Table
from roofline.hardware.constants import BACKWARD, COLLECTIVES, KERNELS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "hardware").glob("*/*.toml"))


def read(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))


CHIP = read(ROOT / "hardware" / "chips" / "h100.toml")
SYSTEM = read(ROOT / "hardware" / "systems" / "dgx-h100.toml")
PROFILE = read(ROOT / "hardware" / "calibration" / "generic.toml")
FITTED = read(ROOT / "hardware" / "calibration" / "a100-80gb.toml")


def change(data, path, value):
    """Return the tables with the value at a dotted path replaced, or removed if it is None."""
    data = copy.deepcopy(data)
    *parents, last = path.split(".")
    inner = data
    for key in parents:
        inner = inner[int(key)] if key.isdigit() else inner.setdefault(key, {})
    if value is None:
        inner.pop(last)
    elif last.isdigit():
        inner[int(last)] = value
    else:
        inner[last] = value
    return data


def load(kind, data):
    table = Table(data, "mine.toml")
    if kind == "chip":
        return descriptors.chip(table, "mine")
    return (
        descriptors.system(table, "mine", rl.chip)
        if kind == "system"
        else descriptors.calibration(table, "mine", lambda name: catalog.profile(name, "dgx-h100"))
    )


def test_the_first_set_is_there():
    assert {"ascend-910c", "b200", "gb200", "h100", "h200", "a100-80gb"} <= set(rl.names("chip"))
    assert {"cloudmatrix384", "gb200-nvl72", "dgx-b200", "dgx-h100", "hgx-h200", "dgx-a100-80gb"} <= set(made.SYSTEMS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_number_shipped_has_a_source(path):
    kind = path.parent.name.removesuffix("s")
    noun = {
        "chip": rl.chip,
        "system": rl.system,
        "fabric": catalog.fabric,
        "calibration": lambda p: catalog.profile(p, "dgx-h100"),
    }[kind](path)
    under = read(path).get(kind, {}).get("base")
    base = catalog.profile(path.with_stem(under), "dgx-h100").facts if under else ()
    own = [fact for fact in noun.facts if not any(fact is each for each in base)]
    assert own
    for fact in noun.facts:
        for each in (fact, *fact.others):
            assert each.source.title
            assert (
                each.source.reason
                if each.source.kind in ("derived", "assumed")
                else (each.source.url and each.source.retrieved)
            )
    # Every number of the file is a fact: none is read without a source.
    stated = sum(1 for _ in numbers({k: v for k, v in read(path).items() if k not in ("sources", "found")}))
    assert stated == len(own)


def numbers(tables, key=""):
    """Yield every number of a descriptor's tables; the other figures of a disputed one do not count again."""
    for name, value in tables.items():
        if isinstance(value, dict) and "value" in value:
            yield name
        elif isinstance(value, dict):
            yield from numbers(value, name)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for each in value:
                yield from numbers(each, name)
        elif name not in (
            "title",
            "vendor",
            "source",
            "chip",
            "fabric",
            "date",
            "rank",
            "name",
            "level",
            "base",
            "vendors",
            "announced",
            "silicon",
            "relative",
            "generation",
            "cpu",
            "transport",
            "plugin",
            "in_network",
            "load_store",
            "same_ports",
            "topology",
        ):
            yield name


def test_the_910c_says_which_peak_is_used_and_names_the_others():
    chip = rl.chip("ascend-910c")
    fact = next(f for f in chip.facts if f.path == "chip.peak.bf16")
    assert chip.peak["bf16"] == 752e12
    assert sorted(other.value / 1e12 for other in fact.others) == [708.0, 727.4, 757.8, 780.0, 800.0]
    assert "Huawei's own paper" in fact.note
    assert chip.power is None
    assert chip.price is None


def test_cloudmatrix_is_two_dies_two_levels_and_a_plane_beyond():
    rack = rl.system("cloudmatrix384")
    assert (rack.chips, rack.ranks, rack.ranks_per_chip) == (384, 768, 2)
    assert [(float(t.size), float(t.bandwidth)) for t in rack.tiers] == [
        (2, 270e9),
        (16, 196e9),
        (768, 196e9),
        (330000, 25e9),
    ]
    assert rack.tiers[1].latency < rack.tiers[2].latency
    assert rack.chip.peak["int8"] == 752e12
    assert rack.chip.memory.bandwidth == 1.6e12
    # 392 GB/s one way a package on the UB plane.
    assert rack.ranks_per_chip * rack.tiers[2].bandwidth == 392e9


def test_the_generic_profile_has_every_class():
    profile = rl.profile("generic", rl.system("dgx-h100"))
    assert {kind for kind, _ in profile.kernels} == set(KERNELS) - set(BACKWARD.values())
    assert set(profile.links) == set(COLLECTIVES)
    assert profile.level == "generic"


def test_a_ceiling_of_a_rate_that_is_not_stated_is_read_and_not_used():
    chip = load("chip", change(CHIP, "chip.ceiling.fp4", {"value": "1 PFLOP/s", "source": "aic"}))
    assert set(chip.best) == {"bf16", "fp8"} & set(chip.peak)
    assert any(fact.path == "chip.ceiling.fp4" for fact in chip.facts)


BAD = [
    (
        "chip",
        CHIP,
        "chip.peak.bf16",
        989.4e12,
        "mine.toml: chip.peak.bf16=989400000000000: a compute rate needs a unit",
    ),
    ("chip", CHIP, "chip.peak.bf16", "989.4 TFLOPS", "a rate is FLOP/s (or OP/s), never FLOPS"),
    ("chip", CHIP, "chip.peak.bf16", "989.4 TB/s", "is a bandwidth, expected a compute rate"),
    ("chip", CHIP, "chip.peak.bf32", "1 TFLOP/s", "unknown rate; did you mean tf32 or fp32?"),
    ("chip", CHIP, "chip.memory.bandwidth", "80 GB", "is a size in bytes, expected a bandwidth"),
    ("chip", CHIP, "chip.memory.bandwidth", "26.8 Tb/s", "b is ambiguous"),
    ("chip", CHIP, "chip.memory.capacity", None, "mine.toml: chip.memory.capacity: is missing"),
    ("chip", CHIP, "chip.memory.capacity", "0 GB", "must be above 0"),
    ("chip", CHIP, "chip.source", None, "has no source; add source"),
    (
        "chip",
        CHIP,
        "chip.source",
        "whitepapr",
        "names a source that is not described: 'whitepapr'; did you mean whitepaper",
    ),
    ("chip", CHIP, "chip.powr", "700 W", "unknown key; did you mean power"),
    ("chip", CHIP, "chip.power", "700 kWh", "is an energy, expected a power"),
    ("chip", CHIP, "chip.cores", -1, "must be a number from"),
    ("chip", CHIP, "chip.cores", True, "must be a number from"),
    ("chip", CHIP, "chip.cores", float("nan"), "must be a number from"),
    ("chip", CHIP, "chip.cores", "many", "must be a number from"),
    ("chip", CHIP, "chip.peak", {}, "must state at least one rate"),
    ("chip", CHIP, "chip.peak", 3, "must be a table of keys and values"),
    ("chip", CHIP, "chip", None, "mine.toml: chip: is missing"),
    ("chip", CHIP, "chip.title", "", "must be one line of text"),
    ("chip", CHIP, "chip.title", "a\nb", "must be one line of text"),
    ("chip", CHIP, "chip.announced", "yes", "must be true or false"),
    ("chip", CHIP, "chip.power", {"value": "700 W", "sorce": "mle"}, "unknown key; did you mean source"),
    ("chip", CHIP, "chip.power", {"source": "mle"}, "chip.power.value: is missing"),
    (
        "chip",
        CHIP,
        "sources.gossip",
        {"kind": "analyst", "title": "t", "url": "u", "retrieved": "2026"},
        "must be a date",
    ),
    ("chip", CHIP, "sources.mle.kind", "rumour", "unknown kind of source"),
    ("chip", CHIP, "sources.mle.url", None, "a source of kind analyst needs url and retrieved"),
    ("chip", CHIP, "sources.spare", {"kind": "assumed", "title": "t", "why": "w"}, "no number cites it"),
    ("chip", CHIP, "sources.spare", {"kind": "assumed", "title": "t"}, "why: is missing"),
    ("chip", CHIP, "extra", {"a": 1}, "unknown key"),
    ("system", SYSTEM, "system.chip", "h10", "no such chip; did you mean h100"),
    ("system", SYSTEM, "system.chips.value", 0, "must be a number from 1"),
    ("system", SYSTEM, "system.tier", [], "must list 1 to 8 tiers"),
    ("system", SYSTEM, "system.tier", {"a": 1}, "must be a list of tables"),
    ("system", SYSTEM, "system.tier.1.size.value", 4, "sizes must grow outwards"),
    ("system", SYSTEM, "system.chips.value", 10**6, "fewer than the 1000000 of the system"),
    ("system", SYSTEM, "system.rank", "core", "must be package or die"),
    ("system", SYSTEM, "system.tier.0.bandwidth", "-450 GB/s", "is not a bandwidth"),
    ("system", SYSTEM, "system.tier.0.latency.value", "5 s", "must be a number from 0 to 1"),
    ("system", SYSTEM, "system.chips.value", 10**400, "must be a number from"),
    ("calibration", PROFILE, "kernel.gem", {"any": {"error": 0.1}}, "unknown kernel class; did you mean gemm"),
    ("calibration", PROFILE, "kernel.gemm.fp9", {"error": 0.1}, "unknown rate"),
    ("calibration", PROFILE, "link.rign", {"error": 0.1}, "unknown link; did you mean ring"),
    ("calibration", PROFILE, "link.ring", None, "has no constants for ring; add them"),
    ("calibration", PROFILE, "kernel.gemm.bf16.error", None, "say how wrong these constants may be"),
    ("calibration", PROFILE, "kernel.gemm.bf16.eta_memory", 0, "must be above 0"),
    ("calibration", PROFILE, "calibration.level", "wishful", "unknown level"),
    ("calibration", PROFILE, "kernel.gemm.bf16.speed", 2, "unknown key"),
    ("calibration", PROFILE, "kernel.gemm.bf16.eta_best", 0, "must be above 0"),
    ("calibration", PROFILE, "kernel.gemm.bf16.step", 1e-12, "a time needs a unit"),
    ("calibration", PROFILE, "link.ring.pair", 0, "must be above 0"),
    ("calibration", PROFILE, "link.ring.far", 0, "must be above 0"),
    ("calibration", PROFILE, "calibration.eager", None, "calibration.eager: is missing"),
    ("calibration", PROFILE, "calibration.sustained", "0.9", "must be a number"),
    ("calibration", FITTED, "calibration.base", "generics", "no such level"),
    ("calibration", FITTED, "stack.vlm", {}, "unknown software stack; did you mean vllm"),
    (
        "calibration",
        FITTED,
        "stack.vllm.kernel.gem",
        {"any": {"error": 0.1}},
        "stack.vllm.kernel.gem={'any': {'error': 0.1}}: unknown kernel class",
    ),
    (
        "calibration",
        FITTED,
        "stack.vllm.link.rign",
        {"error": 0.1},
        "stack.vllm.link.rign={'error': 0.1}: unknown link; did you mean ring",
    ),
    ("calibration", FITTED, "stack.vllm.speed", {}, "stack.vllm.speed={}: unknown key; known keys: kernel, link"),
    (
        "calibration",
        FITTED,
        "stack.trtllm.kernel.attention_decode.bf16.error",
        None,
        "say how wrong these constants may be",
    ),
    ("calibration", FITTED, "found", {}, "found={}: must be a list of tables, each begun by [[found]]"),
    ("calibration", FITTED, "found.0.rows", 0, "must be a whole number from 1"),
    ("calibration", FITTED, "found.0.left_out", 2.5, "must be a whole number from 1"),
    ("calibration", FITTED, "found.0.mape", -0.1, "must be a number from 0"),
    ("calibration", FITTED, "found.0.mape", float("nan"), "must be a number from 0"),
    ("calibration", FITTED, "found.0.p90", None, "p90: is missing"),
    ("calibration", FITTED, "found.0.mean", 0.1, "unknown key"),
    ("calibration", FITTED, "found.0.name", None, "name: is missing"),
]


@pytest.mark.parametrize(("kind", "data", "path", "value", "says"), BAD, ids=[f"{b[2]}={str(b[3])[:20]}" for b in BAD])
def test_a_wrong_descriptor_is_told_with_its_place(kind, data, path, value, says):
    with pytest.raises(rl.RooflineError) as error:
        load(kind, change(data, path, value))
    message = str(error.value)
    assert says in message
    assert "\n" not in message


def keys(data, prefix=""):
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        path = f"{prefix}.{key}" if prefix else str(key)
        yield path
        if isinstance(value, (dict, list)):
            yield from keys(value, path)


HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(), st.just([]), st.just({}),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.sampled_from(["8 TB/s", "1e308 TB/s", "0 s", "nan W", 10**400, float("inf"), "x" * 10**5, {"value": "1 W"}, [[]], {"value": {}}]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "data"), [("chip", CHIP), ("system", SYSTEM), ("calibration", PROFILE), ("calibration", FITTED)],
    ids=["chip", "system", "generic", "fitted"],
)  # fmt: skip
@given(pick=st.data())
def test_a_hostile_descriptor_is_read_or_refused(kind, data, pick):
    paths = sorted(keys(data))
    for _ in range(pick.draw(st.integers(1, 3))):
        path = pick.draw(st.sampled_from(paths))
        value = pick.draw(HOSTILE)
        try:
            data = change(data, path, value)
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change removed the place
    try:
        load(kind, data)
    except rl.RooflineError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1000


def test_all_faults_of_a_file_are_reported_at_once(tmp_path):
    """An unknown key, a missing one, two wrong units and an unknown rate, each once, and none that only follows from another."""
    text = catalog.template("chip")[1]
    for good, bad in (("cores  =", "core  ="), ('"96 GB"', '"96GB"'), ('"4 TB/s"', '"4 TBs"'), ("fp16 =", "fp15 =")):
        assert good in text
        text = text.replace(good, bad)
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DescriptorError) as error:
        catalog.chip(tmp_path / "bad.toml")
    message = str(error.value)
    assert "bad.toml: 5 faults: " in message
    for place in (
        "chip.peak.fp15",
        "chip.memory.capacity",
        "chip.memory.bandwidth",
        "chip.cores: is missing",
        "chip.core=",
    ):
        assert message.count(place) == 1


def test_one_fault_is_reported_as_before(tmp_path):
    (tmp_path / "bad.toml").write_text(catalog.template("chip")[1].replace('"96 GB"', '"96GB"'), encoding="utf-8")
    with pytest.raises(DescriptorError, match="capacity='96GB': is not a size in bytes"):
        catalog.chip(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("kind", "file", "table"),
    [
        ("chip", "hardware/chips/h100.toml", "chip"),
        ("system", "hardware/systems/alps-gh200.toml", "system"),
        ("fabric", "hardware/fabrics/infiniband.toml", "fabric"),
        ("engine", "workloads/stacks/vllm.toml", "stack"),
        ("framework", "workloads/frameworks/generic.toml", "framework"),
        ("calibration", "hardware/calibration/generic.toml", "calibration"),
        ("operation", "hardware/operation.toml", "operation"),
        ("energy", "hardware/energy.toml", "energy"),
    ],
)
def test_every_kind_of_file_reports_all_its_faults_at_once(kind, file, table, tmp_path):
    """Two unknown keys in the head of a shipped file: both are named."""
    text = (catalog.root() / file).read_text(encoding="utf-8")
    assert text.count(f"[{table}]\n") == 1
    path = tmp_path / Path(file).name
    path.write_text(text.replace(f"[{table}]\n", f"[{table}]\nunknown_one = 1\nunknown_two = 2\n"), encoding="utf-8")
    with pytest.raises(DescriptorError) as error:
        catalog._load(kind, path)
    assert "2 faults" in str(error.value)
    assert "unknown_one" in str(error.value)
    assert "unknown_two" in str(error.value)
