"""Mutants of the core, and whether tests notice: ``python -m tests.mutants --sample 100`` (from the repository's root; Unix).

A mutant is one change of one expression: ``+`` for ``-``, ``*`` for ``/``, one side of a sum or a product alone, ``larger`` for
``smaller``, ``<`` for ``<=``, a number changed, a condition turned round. Each runs in a process of its own, forked from one that has the
packages of others loaded: an import hook gives it the changed module, and the module's own tests run until one fails, then those by hand. Mutants that lie in
what raises an error or in a message are left out. A sample is drawn at random from all, by its seed; the score is of that sample.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
CORE = ("operators", "physics", "results/intervals.py")
"""Where mutants are made; memory lies in ``operators``."""
BY_HAND = ("tests/operators/test_by_hand.py", "tests/studies/test_doubt_by_hand.py", "tests/physics/test_by_hand.py")
"""Tests that were written for mutants that no other test noticed."""
OWN = {
    "operators/transformer": "tests/operators/test_transformer.py tests/operators/test_routing.py tests/operators/test_gradients.py",
    "operators/memory": "tests/operators/test_memory.py",
    "operators/serving_memory": "tests/operators/test_serving_memory.py",
    "operators/training_memory": "tests/operators/test_training_memory.py",
    "operators/gradients": "tests/operators/test_gradients.py",
    "operators/operations": "tests/operators/test_transformer.py",
    "operators/feasibility": "tests/planner/test_training_candidates.py tests/planner/test_estimate.py",
    "physics/collectives": "tests/physics/test_collectives.py",
    "physics/energy": "tests/physics/test_energy.py",
    "physics/kernels": "tests/physics/test_kernels.py",
    "physics/pipeline": "tests/physics/test_pipeline.py",
    "physics/pool_queueing": "tests/physics/test_pool_queueing.py",
    "physics/pricing": "tests/physics/test_kernels.py tests/planner/test_estimate.py",
    "physics/queueing": "tests/inference/test_service.py",
    "physics/reliability": "tests/physics/test_reliability.py",
    "physics/spans": "tests/planner/test_estimate.py",
    "physics/stragglers": "tests/physics/test_stragglers.py",
    "physics/topology": "tests/physics/test_topology.py",
    "results/intervals": "tests/results tests/studies/test_odds.py",
}
"""The tests of each module, by the beginning of its path; what is not here is no formula (texts of assumptions)."""
PATIENCE = 240
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
         ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult}  # fmt: skip
NAMES = {"larger": "smaller", "smaller": "larger", "ceil": "floor", "floor": "ceil", "max": "min", "min": "max"}


def variants(node):
    """Return the changes of one expression, each a word and what takes its place."""
    found = []
    if isinstance(node, ast.BinOp):
        if type(node.op) in SWAPS:
            other = copy.copy(node)
            other.op = SWAPS[type(node.op)]()
            found.append(("operator", other))
        if isinstance(node.op, (ast.Add, ast.Mult)):
            found += [("left alone", node.left), ("right alone", node.right)]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        other = copy.copy(node)
        other.ops = [SWAPS[type(node.ops[0])]()]
        found.append(("comparison", other))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
        other = copy.copy(node)
        other.func = ast.Name(NAMES[node.func.id], ast.Load())
        found.append(("function", other))
    elif isinstance(node, ast.IfExp):
        other = copy.copy(node)
        other.body, other.orelse = node.orelse, node.body
        found.append(("condition", other))
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        found.append(("number", ast.Constant(node.value * 2 + 1)))
    return found


def skipped(node):
    """Whether what lies in a statement is no formula: errors, annotations, texts, conditions of types."""
    return isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.arguments, ast.Import, ast.ImportFrom)) or (
        isinstance(node, ast.If) and any(isinstance(each, ast.Raise) for each in node.body)
    )


def places(tree):
    """Yield the expressions of functions that may be changed: parent, field, index, node."""
    waiting = [(each, False) for each in tree.body]
    while waiting:
        parent, inside = waiting.pop()
        if skipped(parent) or (isinstance(parent, ast.Subscript) and not inside):
            continue
        inside = inside or isinstance(parent, (ast.FunctionDef, ast.Lambda))
        for name, value in ast.iter_fields(parent):
            if name in ("annotation", "returns", "decorator_list", "slice"):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST):
                    if inside and not skipped(node):
                        yield parent, name, index, node
                    waiting.append((node, inside))


def own(path):
    """Return the tests of a module."""
    name = str(path.relative_to(SOURCE / "roofline"))
    return next((files.split() for part, files in OWN.items() if name.startswith(part)), [])


def mutants():
    """Return every mutant: file, line, what is changed, source of the whole module."""
    found = []
    for part in CORE:
        place = SOURCE / "roofline" / part
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            tree = ast.parse(path.read_text())
            for parent, name, index, node in places(tree):
                for word, other in variants(node) if own(path) else ():
                    found.append((path, node.lineno, word, (parent, name, index, node, other), tree))
    return found


def source(mutant):
    """Return the text of the module with the change made, and the change in words."""
    _, _, word, (parent, name, index, node, other), tree = mutant
    ast.fix_missing_locations(ast.copy_location(other, node))
    old, new = ast.unparse(node), ast.unparse(other)
    if index is None:
        setattr(parent, name, other)
    else:
        getattr(parent, name)[index] = other
    text = ast.unparse(tree)
    if index is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[index] = node
    return text, f"{word}: {old[:60]} -> {new[:60]}"


class Changed(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Gives one module another source."""

    def __init__(self, name, path, text):
        self.name, self.path, self.text = name, path, text

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        package = self.path.name == "__init__.py"
        return (
            importlib.machinery.ModuleSpec(name, self, origin=str(self.path), is_package=package)
            if not package
            else self._package(name)
        )

    def _package(self, name):
        spec = importlib.machinery.ModuleSpec(name, self, origin=str(self.path), is_package=True)
        spec.submodule_search_locations = [str(self.path.parent)]
        return spec

    def get_filename(self, name):
        return str(self.path)

    def get_data(self, path):
        return self.text.encode()

    def path_stats(self, path):
        raise OSError  # nothing of a mutant is kept


def survives(mutant, tests):
    """Run tests in a process with the mutant; return what became of it: killed, survived, or time is up (which is killed too)."""
    path = mutant[0]
    text = path.read_text() if len(mutant) == 1 else source(mutant)[0]
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.dont_write_bytecode = True
        sys.meta_path.insert(0, Changed(name, path, text))
        import pytest

        status = 1
        try:
            status = int(
                pytest.main(
                    [
                        "-x",
                        "-q",
                        "-p",
                        "no:cacheprovider",
                        "-m",
                        "not thorough",
                        "-W",
                        "ignore",
                        *tests,
                    ]
                )
            )
        finally:
            os._exit(status)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time is up"


def main():
    """Draw mutants, and print those that survive, and the score."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--sample", type=int, default=100, help="mutants to draw; 0 for all")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--only", default="", help="a part of the path of the modules")
    words.add_argument("--minutes", type=float, default=1e9)
    asked = words.parse_args()
    os.chdir(ROOT)
    import hypothesis.extra.numpy  # noqa: F401

    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    import matplotlib.figure  # noqa: F401
    import scipy.optimize
    import scipy.stats  # noqa: F401

    every = [each for each in mutants() if asked.only in str(each[0])]
    drawn = random.Random(asked.seed).sample(every, min(asked.sample or len(every), len(every)))
    print(f"{len(every):,} mutants, {len(drawn)} drawn", flush=True)
    for each in sorted({each[0] for each in drawn}):
        if survives((each,), [*own(each)]) != "survived":
            sys.exit(f"the tests of {each.name} fail without a mutant")
    began, counts = time.monotonic(), {}
    for mutant in drawn:
        if time.monotonic() - began > 60 * asked.minutes:
            break
        path, line, *_ = mutant
        became = survives(mutant, own(path))
        if became == "survived":
            became = (
                "noticed by hand"
                if survives(mutant, [each for each in BY_HAND if Path(each).exists()]) != "survived"
                else "survived"
            )
        counts[became] = counts.get(became, 0) + 1
        if became != "killed":
            print(f"{became}: {path.relative_to(SOURCE)}:{line}: {source(mutant)[1]}", flush=True)
    tried, late = sum(counts.values()), counts.get("survived", 0)
    before = late + counts.get("noticed by hand", 0)
    print(f"{tried} tried in {time.monotonic() - began:.0f} s; noticed without the tests by hand {tried - before} "
          f"({100 * (1 - before / max(tried, 1)):.1f} %), with them {tried - late} ({100 * (1 - late / max(tried, 1)):.1f} %)")  # fmt: skip


if __name__ == "__main__":
    main()
