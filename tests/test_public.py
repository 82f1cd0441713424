"""The public face: flat, known to the name, quick to import, lean."""

import ast
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import attrs
import pytest

import roofline as rl
from roofline.planner import words

NAMES = {
    "Absent", "Autoscale", "BreakEven", "Calibrated", "Calibration", "Campaign", "Chip", "Collective", "Comparison", "Compressed", "Decode", "Dense", "Description", "DescriptorError", "Estimate", "Fact", "Footprint", "Formats", "Frame", "Framework", "Gqa", "Host", "Hyper", "IDEAL", "Indexer", "Kernel", "Launch", "Layers", "Layout", "Lengths", "Linear", "Link", "Mamba", "Measured", "Memory", "Message", "Mla", "Model", "Moe", "Needed", "Offload", "Op", "PerLayer", "Pools", "PostTraining", "Prediction", "Prefill", "QuestionError", "Rejection", "Report", "RooflineError", "Rule", "Scaling", "Score", "Search", "Serve", "ServingRun", "Simulation", "Source", "Span", "Splits", "Sweep", "System", "Tier", "Trace", "TrainStep", "Training", "TrainingRun", "TrainingSearch", "UnitError", "UnknownNameError", "Validation", "break_even", "calibrate", "campaign", "chip", "collective", "compare", "describe", "estimate", "framework", "largest", "launch", "listing", "model", "names", "needed", "offload", "pools", "post_train", "probability", "profile", "report", "roofline", "scaling", "search", "search_training", "simulate", "sweep", "system", "train", "validate",
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


def test_import_loads_nothing_that_prices():
    code = (
        "import sys, roofline; print(*[m for m in sys.modules if m.startswith('roofline.') or m in ('numpy', 'attrs')])"
    )
    assert run(code) == []


def test_the_stub_states_what_the_package_finds():
    """The types of ``__init__.pyi`` come from the very modules that ``__init__.py`` imports names from."""
    stub = ast.parse(Path(rl.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = [node for node in stub.body if isinstance(node, ast.ImportFrom) and node.module != "roofline"]
    assert {alias.name: node.module for node in imported for alias in node.names} == {
        name: f"roofline.{module}" for name, module in rl._HOME.items()
    }
    (listed,) = (ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert sorted(listed) == sorted(rl.__all__)


def test_typed_and_versioned():
    assert rl.__version__ == version("roofline")
    assert Path(rl.__file__).with_name("py.typed").exists()


def signatures():
    """Yield every public function and method with its annotations as they are written."""
    for name, value in [(name, getattr(home, name)) for home in (rl, rl.plots) for name in home.__all__]:
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for key, member in inspect.getmembers(value):
                found = member.fget if isinstance(member, property) else member
                made = inspect.isfunction(found) and found.__module__.startswith("roofline.")
                if made and not key.startswith("_") and "attrs generated" not in found.__code__.co_filename:
                    yield f"{name}.{key}", found


def test_signatures_say_their_types():
    loose = [
        f"{name}({word}: {hint})"
        for name, function in signatures()
        for word, hint in function.__annotations__.items()
        if re.search(r"\b(Any|object)\b", str(hint))
    ]
    assert not loose


NOUNS = [value for value in (getattr(rl, name) for name in rl.__all__) if inspect.isclass(value) and attrs.has(value)]


def test_fields_say_their_types():
    """Arrays may be of any kind; nothing else may."""
    loose = [
        f"{noun.__name__}.{field.name}: {field.type}"
        for noun in NOUNS
        for field in attrs.fields(noun)
        if re.search(r"\b(Any|object)\b", str(field.type).replace("NDArray[Any]", ""))
    ]
    assert not loose


VERBS = [(name, getattr(rl, name)) for name in rl.__all__ if inspect.isfunction(getattr(rl, name))]


@pytest.mark.parametrize(("name", "verb"), VERBS, ids=[name for name, _ in VERBS])
def test_documentation_states_every_argument_and_what_is_returned(name, verb):
    text = inspect.getdoc(verb)
    args = text.partition("\nArgs:\n")[2].partition("\n\nR")[0]
    stated = {word for line in re.findall(r"^    ([\w, ]+):", args, re.MULTILINE) for word in line.split(", ")}
    assert set(inspect.signature(verb).parameters) <= stated
    assert "\nReturns:\n" in text
    assert "\nRaises:\n" in text or "raise " not in inspect.getsource(verb)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_documentation_gives_each_attribute_its_own_line(noun):
    """In the docstring of the class that defines it: the noun, or one that it inherits from."""
    for home in (each for each in noun.__mro__ if attrs.has(each)):
        text = inspect.cleandoc(home.__doc__).partition("\nAttributes:\n")[2].partition("\n\n")[0]
        stated = re.findall(r"^    (\w+): \S", text, re.MULTILINE)
        own = {each.name for each in attrs.fields(home) if not each.inherited and not each.name.startswith("_")}
        assert own <= set(stated), home
        assert len(stated) == len(set(stated)), home


def test_every_keyword_of_a_verb_has_a_meaning_and_none_else():
    groups = [group for group in vars(words).values() if isinstance(group, type) and hasattr(group, "__total__")]
    assert {name for group in groups for name in words.names(group)} == set(words.MEANINGS)


def test_verbs_take_the_keywords_that_they_took():
    """What a user may pass, whether it is named in the signature or one of a group."""
    assert {
        "chips",
        "level",
        "engine",
        "launch",
        "memory_fraction",
        "dtype",
        "kv_dtype",
        "tp",
        "power_cap",
        "rate",
    } <= set(inspect.signature(rl.estimate).parameters)
    for verb in (rl.estimate, rl.train, rl.search, rl.search_training, rl.pools, rl.simulate, rl.sweep):
        with pytest.raises(rl.QuestionError, match="no_such_keyword"):
            verb("llama-3.1-8b", "dgx-h100", *(("x.csv",) if verb is rl.simulate else ()), no_such_keyword=1)


def test_importing_the_package_imports_little():
    # Until the command line's first line has run, Ctrl-C ends in Python's own traceback.
    told = "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import roofline; print(*(set(sys.modules) - before))"
    words = [sys.executable, "-S", "-c", told, str(Path(rl.__file__).parents[1])]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not {"importlib.metadata", "re", "numpy", "attr", "pathlib", "signal"} & set(done.stdout.split())
