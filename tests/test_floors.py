"""The house: imports go only downward, one module reads files, and no module is two ideas."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "roofline"

FLOORS = [
    ["errors", "units", "arrays", "fields", "dtypes", "provenance", "tables"],
    ["knobs", "hardware", "blocks", "architecture", "layout", "workload", "engines", "frameworks", "calibration"],
    [
        "work",
        "consistency",
        "facts",
        "descriptors",
        "software",
        "quantization",
        "huggingface",
        "cells",
        "prose",
        "runs",
        "operations",
        "catalog",
    ],
    [
        "transformer",
        "gradients",
        "roofline",
        "topologies",
        "collectives",
        "footprint",
        "states",
        "energy",
        "reliability",
    ],
    ["timeline", "timings", "fitting", "scoring", "queueing", "lanes", "schedules"],
    [
        "styles",
        "paper",
        "diagram",
        "lettering",
        "drawing",
        "frontiers",
        "landscape",
        "scatter",
        "growth",
        "breakdowns",
        "loads",
        "holdings",
        "gantt",
        "tornado",
        "plots",
        "tradeoffs",
        "reports",
        "orders",
        "traces",
        "pictures",
        "displays",
        "markup",
        "interactive",
        "frames",
    ],
    [
        "usage",
        "certainty",
        "points",
        "record",
        "sensitivities",
        "answer",
        "served",
        "inference",
        "serving",
        "prices",
        "microbatch",
        "steprecord",
        "trained",
        "ledger",
        "campaigned",
        "training",
        "evaluation",
    ],
    [
        "calibrating",
        "checks",
        "choosing",
        "settings",
        "training_splits",
        "steps",
        "estimates",
        "campaigns",
        "scalings",
        "pairs",
        "disaggregation",
        "offloading",
        "sheets",
        "stepsheets",
        "plans",
        "ranking",
        "pairing",
        "splits",
        "selection",
        "searching",
        "training_selection",
        "training_searching",
        "passages",
        "pages",
        "steppages",
        "reporting",
        "metrics",
        "needs",
        "rooms",
        "odds",
        "reductions",
        "spaces",
        "kept",
        "swept",
        "sweeping",
        "comparison",
        "cases",
        "replay",
        "predicting",
        "training_cases",
        "training_replay",
        "validation",
        "cards",
        "descriptions",
    ],
    ["words", "options", "ranges", "console", "trainers", "searches", "plotters", "reporters", "designs", "cli"],
]
FLOOR = {name: i for i, floor in enumerate(FLOORS) for name in floor}
# Within a floor imports follow the order of the list above.
ORDER = {name: i for i, name in enumerate(name for floor in FLOORS for name in floor)}

MODULES = sorted(SOURCE.rglob("*.py"))


def module(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "roofline":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("roofline.")]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"


def test_every_module_has_a_floor():
    assert {module(path) for path in MODULES} - {"__init__"} == set(FLOOR)


def climbs(here, source):
    return [name for name in imports(source) if name != here and ORDER[name] > ORDER[here]]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_downward(path):
    if path.stem != "__init__" or module(path) != "__init__":
        assert climbs(module(path), path.read_text(encoding="utf-8")) == []


def test_a_climbing_import_is_seen():
    source = "def late():\n    from roofline.cli import main\n    import roofline.answer"
    assert climbs("units", source) == ["cli", "answer"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_is_one_idea(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_the_catalog_opens_files(path):
    if module(path) == "catalog":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            reads = {"read_text", "read_bytes", "write_text", "write_bytes", "fdopen"}
            opens = called == "open" and not (
                isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "os"
            )
            assert called not in reads, f"{path.name}:{node.lineno} touches a file"
            assert not opens, f"{path.name}:{node.lineno} opens a file"
