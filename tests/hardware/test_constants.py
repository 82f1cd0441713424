"""Profiles: which constants serve which kernel, what a software stack replaces, and what those that are shipped say of themselves."""

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline.core.provenance import Fact, Source
from roofline.core.units import ONE
from roofline.hardware.constants import COLLECTIVES, KERNELS, STACKS, Found, Kernel, Link, Stack

FITTED = [name for name in rl.names("calibration") if name != "generic"]
SYSTEM = {rl.system(name).package.name: name for name in rl.names("system")}


# Which constants serve -----------------------------------------------------------------------------------------------------


def test_constants_of_the_format_come_before_those_of_the_rate_and_of_any():
    any_, rate, form = Kernel(t0=1.0), Kernel(t0=2.0), Kernel(t0=3.0)
    profile = attrs.evolve(
        rl.IDEAL, kernels={("gemm", "any"): any_, ("gemm", "fp8"): rate, ("gemm", "fp8-block"): form}
    )
    assert profile.kernel("gemm", "fp8", "fp8-block") is form
    assert profile.kernel("gemm", "fp8", "int4") is profile.kernel("gemm", "fp8") is rate
    assert profile.kernel("gemm", "int8", "int8") is rate
    assert profile.kernel("gemm", "fp4", "mxfp4") is any_
    # The two 16-bit formats share their kernels, under the one name.
    half = attrs.evolve(profile, kernels={("gemm", "any"): any_, ("gemm", "bf16"): rate})
    assert half.kernel("gemm", "fp16", "fp16") is half.kernel("gemm", "bf16") is rate
    with pytest.raises(rl.QuestionError, match="has no constants for it at bf16"):
        attrs.evolve(profile, kernels={}).kernel("gemm", "bf16")
    with pytest.raises(rl.QuestionError, match="link='ring': profile 'ideal' has no constants"):
        attrs.evolve(profile, links={}).link("ring")


def test_the_ideal_profile_is_the_roofline():
    assert {name for name, _ in rl.IDEAL.kernels} == set(KERNELS)
    assert set(rl.IDEAL.links) == set(COLLECTIVES)
    for constants in (*rl.IDEAL.kernels.values(), *rl.IDEAL.links.values()):
        for field in attrs.fields(type(constants)):
            value = getattr(constants, field.name)
            part = field.name.startswith("eta") or field.name in ("far", "pair")
            # Every peak is reached, what takes time takes none, compute and memory side by side.
            assert value in ((1.0, None) if part else (np.inf,) if field.name in ("p", "copied") else (0.0,)), (
                field.name
            )


def test_eagerly_the_host_takes_its_time():
    profile = rl.profile("generic", "dgx-h100")
    assert (profile.host, profile.eagerly().host) == (0.0, profile.eager)
    ask = rl.Decode(rl.model("llama-3.2-1b"), 1, 100)
    graph, eager = (
        rl.estimate(ask, "dgx-h100", rl.Layout(), level=profile, engine="none", launch=way)
        for way in ("graph", "eager")
    )
    other = rl.estimate(ask, "dgx-h100", rl.Layout(), level=profile.eagerly(), engine="none")
    assert float(other.tpot) == float(eager.tpot)
    launches = sum(work.launches * n for work, _, n in graph.steps[0].leaves() if isinstance(work, rl.Op))
    # A small model on a fast chip waits for every launch.
    assert float(eager.tpot) >= launches * profile.eager > 2 * float(graph.tpot)


# Stacks --------------------------------------------------------------------------------------------------------------------


def fact(path, text="1"):
    return Fact(path, text, 1.0, ONE, Source("fit", "derived", "t", reason="r"))


def test_a_stack_replaces_only_what_differs():
    base = rl.profile("generic", "dgx-h100")
    mine, ring = Kernel(t0=1.0, error=0.1), Link(alpha=1.0, error=0.1)
    stack = Stack({("gemm", "fp8"): mine}, {"ring": ring})
    profile = attrs.evolve(base, name="made", stacks={"vllm": stack})
    on = profile.on("vllm")
    assert on.name == "made (vllm)"
    assert on.kernel("gemm", "fp8") is mine
    assert on.link("ring") is ring
    for key, kernel in base.kernels.items():
        assert key == ("gemm", "fp8") or on.kernels[key] is kernel
    for key, link in base.links.items():
        assert key == "ring" or on.links[key] is link
    assert set(on.kernels) == set(base.kernels)
    untouched = {f.name for f in attrs.fields(rl.Calibration)} - {"name", "kernels", "links", "facts"}
    assert all(getattr(on, name) is getattr(profile, name) for name in untouched)
    # A stack that was measured, but nothing of its own was found on this chip.
    assert profile.on("sglang") is profile
    with pytest.raises(rl.UnknownNameError, match="stack='vlm': no such stack; did you mean vllm"):
        profile.on("vlm")


def test_a_stack_brings_its_own_citations():
    facts = (
        fact("kernel.gemm.fp8.t0"), fact("kernel.gemm.fp8.p"), fact("kernel.gemm.bf16.t0"), fact("link.ring.eta"), fact("link.tree.eta"),
        fact("calibration.eager"), fact("stack.vllm.kernel.gemm.fp8.t0", "2"), fact("stack.vllm.link.ring.eta", "2"),
        fact("stack.sglang.kernel.gemm.bf16.t0", "3"),
    )  # fmt: skip
    stacks = {
        "vllm": Stack({("gemm", "fp8"): Kernel()}, {"ring": Link()}),
        "sglang": Stack({("gemm", "bf16"): Kernel()}, {}),
    }
    on = attrs.evolve(rl.IDEAL, stacks=stacks, facts=facts).on("vllm")
    told = [(f.path, f.text) for f in on.facts if not f.path.startswith("stack.")]
    # What the stack states stands once, in the place of what all stacks had; of what it leaves out nothing stands.
    assert sorted(told) == [
        ("calibration.eager", "1"), ("kernel.gemm.bf16.t0", "1"), ("kernel.gemm.fp8.t0", "2"), ("link.ring.eta", "2"), ("link.tree.eta", "1"),
    ]  # fmt: skip


def test_an_answer_cites_the_constants_of_its_stack_alone():
    profile = rl.profile("calibrated", "dgx-h100")
    model = rl.model("llama-3.1-8b")
    ask = rl.Decode(model, 8, 100)
    for level in (profile, *(profile.on(stack) for stack in STACKS)):
        est = rl.estimate(ask, "dgx-h100", rl.Layout(tp=2), level=level)
        paths = [fact.path for fact in est.citations()]
        assert len(paths) == len(set(paths))
        assert not any(path.startswith("stack.") for path in paths)
        for each in est.citations():
            head, _, rest = each.path.partition(".")
            name, _, constant = rest.rpartition(".")
            if head == "kernel":
                assert each.value == pytest.approx(getattr(level.kernels[tuple(name.split("."))], constant))
            elif head == "link":
                assert each.value == pytest.approx(getattr(level.links[name], constant))


# What is shipped -----------------------------------------------------------------------------------------------------------


def test_the_first_profiles_are_there():
    assert {"a100-80gb", "b200", "gb200", "h100", "h200", "l40s"} <= set(FITTED)


@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_profile_says_how_far_off_it_is(name):
    profile = rl.profile("calibrated", SYSTEM[name])
    relative = rl.system(SYSTEM[name]).package.relative
    generic = rl.profile("calibrated", SYSTEM[relative]) if relative else rl.profile("generic", SYSTEM[name])
    assert (profile.level, profile.name, profile.vendors) == ("calibrated", name, ("NVIDIA",))
    told = {(found.name, found.stack) for found in profile.found}
    assert len(told) == len(profile.found) > 0
    for found in profile.found:
        assert isinstance(found, Found)
        # Every other row is left out.
        assert 0 <= found.rows - found.left_out <= 8
        assert found.left_out >= 12
        assert 0 < found.median <= found.p90
        assert 0 < found.mape < 1
    # What was fitted is what differs from the generic constants, for all stacks and for each.
    fitted = {key for key, each in profile.kernels.items() if each is not generic.kernels.get(key)}
    assert {(".".join(key), "") for key in fitted} <= told
    ways = {way for way, each in profile.links.items() if each is not generic.links.get(way)}
    assert ways == {way for found in profile.found if "." not in found.name for way in found.name.split("|")}
    assert (
        {found.stack for found in profile.found if found.stack} | set(generic.stacks)
        == set(profile.stacks)
        <= {*STACKS, *rl.profile("generic", "dgx-h100").stacks}
    )
    for stack, differs in profile.stacks.items():
        theirs = generic.stacks.get(stack, Stack({}, {}))
        own = {(".".join(key), stack) for key, each in differs.kernels.items() if each is not theirs.kernels.get(key)}
        assert own == {(n, s) for n, s in told if s == stack and "." in n}
        new = {way for way, each in differs.links.items() if each is not theirs.links.get(way)}
        assert new == {way for n, s in told if s == stack and "." not in n for way in n.split("|")}
    assert 0.5 < profile.sustained <= 1.1  # generic constants or clocks may be too low


@pytest.mark.parametrize("name", ["generic", *FITTED])
def test_every_constant_says_how_wrong_it_may_be_and_is_one_that_can_be(name):
    profile = rl.profile("generic", "dgx-h100") if name == "generic" else rl.profile("calibrated", SYSTEM[name])
    stacks = profile.stacks.values()
    kernels = [each for part in (profile, *stacks) for each in part.kernels.values()]
    links = [each for part in (profile, *stacks) for each in part.links.values()]
    for each in (*kernels, *links):
        assert each.error > 0
        assert all(value >= 0 for value in attrs.astuple(each) if value is not None)
    for kernel in kernels:
        assert max(kernel.eta_compute, kernel.eta_memory, kernel.eta_staging) <= 1
        assert kernel.p >= 1
    # Nothing is moved faster than its links are.
    assert all(max(link.eta, link.far, link.eta * link.pair) <= 1 for link in links)
    assert (profile.eager, profile.sustained, profile.host) > (0, 0, -1)


def test_only_products_of_the_generic_profile_go_by_the_best_rate():
    profile = rl.profile("generic", "dgx-h100")
    best = {key for key, kernel in profile.kernels.items() if kernel.eta_best is not None}
    assert best == {("gemm", form) for form in ("bf16", "fp8", "fp8-block", "nvfp4")}
    for key in best:
        # No part of the best rate is more than a whole, and it is a greater part of that than of the peak.
        assert profile.kernels[key].eta_compute < profile.kernels[key].eta_best <= 1
    for name in FITTED:
        fitted = rl.profile("calibrated", SYSTEM[name])
        known = {tuple(found.name.split(".")) for found in fitted.found if "." in found.name and not found.stack}
        assert all(fitted.kernels[key].eta_best is None for key in known)


def test_the_best_rate_of_a_chip_is_a_part_of_its_peak_and_is_cited():
    known = [rl.chip(name) for name in rl.names("chip") if rl.chip(name).best]
    assert len(known) > 10
    for chip in known:
        ceiling = {f.path.rpartition(".")[2]: f.value for f in chip.facts if f.path.startswith("chip.ceiling.")}
        assert {rate: part * chip.peak[rate] for rate, part in chip.best.items()} == pytest.approx(
            {rate: value for rate, value in ceiling.items() if rate in chip.peak}
        )
        assert all(0.3 < part <= 1 for part in chip.best.values())
    ask = rl.Decode(rl.model("llama-3.1-8b"), 8, 100)
    cited = {
        level: rl.estimate(ask, "dgx-h100", rl.Layout(), level=level).citations() for level in ("generic", "calibrated")
    }
    paths = {level: {fact.path for fact in facts} for level, facts in cited.items()}
    # Generic products go by it; those fitted to the chip by its peak.
    assert "chip.ceiling.bf16" in paths["generic"] - paths["calibrated"]
    assert "chip.ceiling.fp8" not in paths["generic"]


def test_a_format_that_nobody_measured_on_a_chip_rests_on_those_that_somebody_did():
    amd = rl.system("mi300x-8")
    assert set(amd.chip.best) == {"bf16"}
    ask = rl.Prefill(rl.model("llama-3.1-8b", dtype="fp8"), 8, 2048)
    est = rl.estimate(ask, amd, rl.Layout())
    assert "chip.ceiling.bf16" in {fact.path for fact in est.citations()}
    bare = attrs.evolve(amd, package=attrs.evolve(amd.package, best={}))
    assert est.ttft > 1.1 * rl.estimate(ask, bare, rl.Layout()).ttft
