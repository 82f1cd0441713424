"""The public face: flat, known to the name, quick to import, lean."""

import subprocess
import sys

import roofline as rl

NAMES = {
    "Absent", "BreakEven", "Calibrated", "Calibration", "Campaign", "Chip", "Collective", "Comparison", "Compressed", "Decode", "Dense", "Description", "DescriptorError", "Estimate", "Fact", "Footprint", "Formats", "Frame", "Framework", "Gqa", "Host", "Hyper", "IDEAL", "Indexer", "Kernel", "Layers", "Layout", "Lengths", "Linear", "Link", "Mamba", "Memory", "Message", "Mla", "Model", "Moe", "Needed", "Offload", "Op", "PerLayer", "Pools", "Prediction", "Prefill", "QuestionError", "Rejection", "Report", "RooflineError", "Rule", "Scaling", "Score", "Search", "Serve", "ServingRun", "Simulation", "Source", "Span", "Splits", "Sweep", "System", "Tier", "Trace", "TrainStep", "Training", "TrainingRun", "TrainingSearch", "UnitError", "UnknownNameError", "Validation", "break_even", "calibrate", "campaign", "chip", "collective", "compare", "describe", "estimate", "framework", "largest", "listing", "model", "names", "needed", "offload", "pools", "probability", "profile", "report", "scaling", "search", "search_training", "simulate", "sweep", "system", "train", "validate",
}  # fmt: skip


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_exported_names():
    assert set(rl.__all__) == NAMES
    # Constants and classes first, then functions, each in alphabetical order.
    assert sorted(rl.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)) == rl.__all__
    for name in NAMES:
        assert getattr(rl, name).__doc__


def test_no_module_hides_a_name():
    """``import roofline.x`` binds x on the package: no public name may be that of a module."""
    loaded = run("import roofline, sys; print(*[m.split('.')[1] for m in sys.modules if m.startswith('roofline.')])")
    assert not set(loaded) & NAMES


def test_import_is_light():
    code = "import sys, roofline; print(*[m for m in ('matplotlib', 'scipy', 'cyclopts', 'rich', 'pandas') if m in sys.modules])"
    assert run(code) == []


def test_an_estimate_needs_no_more():
    code = (
        "import sys, roofline as rl; est = rl.estimate('llama-3.1-8b', 'dgx-h100'); est.why(); est.to_dict();"
        "print(*[m for m in ('matplotlib', 'scipy', 'cyclopts', 'rich') if m in sys.modules])"
    )
    assert run(code) == []
