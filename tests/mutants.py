"""Mutants of the core, and whether tests notice: ``python -m tests.mutants --sample 300`` (from the repository's root; Unix).

A mutant is one change of one expression: ``+`` for ``-``, ``*`` for ``/``, one side of a sum or a product alone, ``larger`` for
``smaller``, ``<`` for ``<=``, a number changed, a condition turned round. Each is tried in a process of its own, forked from one that has
everything loaded and has worked nothing out: the code of the changed function takes the place of the old one. Three kinds of tests
are tried: pinned numbers (``tests/pinned``), a module's own tests, and those by hand; ``--quick`` stops at the first that notices,
pinned numbers first, and leaves own tests out unless ``--own`` is given too.

Left out is what no test of numbers can notice: texts and errors, conditions of types, tolerances (``TOLERANCES``), the tables of
assumptions. A sample is drawn at random from all the rest, by its seed; the score is of that sample.
"""

import argparse
import ast
import collections
import copy
import functools
import gc
import importlib
import os
import random
import resource
import sys
import time
import types
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
CORE = ("operators", "physics", "results/intervals.py", "results/memory_intervals.py")
"""Where mutants are made; memory lies in ``operators``."""
BY_HAND = (
    "tests/operators/test_by_hand.py",
    "tests/studies/test_doubt_by_hand.py",
    "tests/physics/test_by_hand.py",
    "tests/results/test_intervals_by_hand.py",
)
"""Tests whose expected values are worked out by hand."""
OWN = {
    "operators/transformer": "tests/operators/test_transformer.py tests/operators/test_routing.py tests/operators/test_gradients.py",
    "operators/memory": "tests/operators/test_memory.py",
    "operators/compressed_cache": "tests/operators/test_serving_memory.py",
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
    "results/memory_intervals": "tests/results tests/studies/test_odds.py",
}
"""The tests of each module, by the beginning of its path."""
TEXTS = ("operators/assumptions.py",)
"""What is no formula."""
TABLES = {
    "operators/transformer": "operators memory",
    "operators/gradients": "operators",
    "operators/operations": "operators",
    "operators": "memory operators",
    "physics/collectives": "networks",
    "physics/topology": "networks",
    "physics/pipeline": "pipelines",
    "physics/queueing": "queues",
    "physics/pool_queueing": "queues",
    "physics": "prices",
    "results": "intervals",
}
"""The pinned tables that are tried first, by the beginning of a module's path; then the answers."""
TOLERANCES = frozenset(
    ("_NEAR", "_TINY", "_SHORT", "_ALWAYS", "_ALMOST", "_NARROW", "_LEAST", "_MOST", "_FAR", "_FARTHEST")
)
"""Names of numbers that only keep rounding and overflow out of a formula, or say how far from its end a bisection begins."""
PACKAGES = ("operators", "physics", "results", "inference", "training", "planner", "studies", "validation")
PATIENCE = 300
"""Seconds of CPU time after which tests have noticed a mutant that does not end."""
UNTRIED = 77
"""Exit status of a process that could not put a mutant in its place."""
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
         ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult}  # fmt: skip
NAMES = {"larger": "smaller", "smaller": "larger", "ceil": "floor", "floor": "ceil", "max": "min", "min": "max"}


def variants(node):
    """Return the changes of one expression, each a word and what takes its place."""
    found = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and (one(node.right) or one(node.left)):
        found.append(("one alone", node.right if one(node.right) else node.left))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and zero(node.left):
        found.append(("right alone", node.right))
    elif isinstance(node, ast.BinOp):
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


def one(node):
    """Whether a node is the number one: ``mask * 1.0`` makes numbers of a mask, and ``mask / 1.0`` does the same."""
    return isinstance(node, ast.Constant) and node.value == 1.0


def zero(node):
    """Whether a node is the number zero: ``0.0 * x`` is zero in the shape of x, and ``0.0 / x`` is too."""
    return isinstance(node, ast.Constant) and node.value == 0.0 and not isinstance(node.value, bool)


def tolerance(node):
    """Whether a tolerance stands in an expression: ``x + _NEAR``, ``larger(x, _SHORT)``, ``x > _LEAST``."""
    sides = []
    if isinstance(node, ast.BinOp):
        sides = [node.left, node.right]
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
        sides = node.args
    return any(isinstance(each, ast.Name) and each.id in TOLERANCES for each in sides)


def of_types(node):
    """Whether a condition asks for the type of a value, which changes no number: ``isinstance(times, float) and times == 1``."""
    return isinstance(node, ast.BoolOp) and any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Name)
        and each.func.id == "isinstance"
        and isinstance(each.args[1], ast.Name)
        and each.args[1].id == "float"
        for each in node.values
    )


def skipped(node):
    """Whether what lies in a node is no formula: errors, annotations, texts, conditions of types."""
    if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == "str":
        return True
    return isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.arguments, ast.Import, ast.ImportFrom)) or (
        isinstance(node, ast.If) and any(isinstance(each, ast.Raise) for each in node.body)
    )


def places(tree):
    """Yield the expressions of functions that may be changed: parent, field, index, node, name of the outermost function."""
    waiting = [(each, "", False) for each in tree.body]
    while waiting:
        parent, name, inside = waiting.pop()
        if skipped(parent) or of_types(parent) or (isinstance(parent, ast.Subscript) and not inside):
            continue
        if not inside and isinstance(parent, (ast.FunctionDef, ast.ClassDef)):
            name = f"{name}.{parent.name}".lstrip(".")
        inside = inside or isinstance(parent, (ast.FunctionDef, ast.Lambda))
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "slice"):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST):
                    if inside and not skipped(node) and not tolerance(node):
                        yield parent, field, index, node, name
                    waiting.append((node, name, inside))


def first_of(table, path):
    """Return the entry of a table for a module, by the beginning of its path."""
    name = str(path.relative_to(SOURCE / "roofline"))
    return next((files.split() for part, files in table.items() if name.startswith(part)), [])


def mutants():
    """Return every mutant: file, line, what is changed, where, the tree of the module."""
    found = []
    for part in CORE:
        place = SOURCE / "roofline" / part
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if str(path.relative_to(SOURCE / "roofline")) in TEXTS:
                continue
            tree = ast.parse(path.read_text())
            if any(places(tree)) and not first_of(OWN, path):
                raise LookupError(f"OWN says no tests of {path}")
            for parent, field, index, node, name in places(tree):
                for word, other in variants(node):
                    found.append((path, node.lineno, word, (parent, field, index, node, other, name), tree))
    return found


def source(mutant):
    """Return the code of the module with the change made, and the change in words."""
    path, _, word, (parent, field, index, node, other, name), tree = mutant
    ast.fix_missing_locations(ast.copy_location(other, node))
    old, new = ast.unparse(node), ast.unparse(other)
    if index is None:
        setattr(parent, field, other)
    else:
        getattr(parent, field)[index] = other
    code = compile(tree, str(path), "exec", dont_inherit=True)
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node
    return code, f"{name}: {word}: {old[:70]} -> {new[:70]}"


def codes(code):
    """Yield the code of every function of a module, those of classes too, by their names."""
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each.co_qualname, each
            yield from codes(each)


def put(mutant):
    """Put the changed code in the place of the function's."""
    path, *_, (*_, name), _ = mutant
    new = dict(codes(source(mutant)[0]))[name]
    if not FUNCTIONS[str(path), name]:
        raise LookupError(name)
    for each in FUNCTIONS[str(path), name]:
        each.__code__ = new


def load_again(mutant):
    """Work out again what the changed module makes of its own functions when it is loaded, and forget what is remembered."""
    path, *_, tree = mutant
    made = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    for each in tree.body:
        value = getattr(each, "value", None)
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in made:
            exec(compile(ast.Module([each], []), str(path), "exec"), vars(sys.modules[module_of(path)]))
    for known in REMEMBERED:
        known.cache_clear()


def module_of(path):
    """Return the name of the module in a file."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


COMPUTED = tuple(f"roofline.{part}" for part in ("core.remember", *PACKAGES))
"""Modules that remember what follows from the core."""
FUNCTIONS = collections.defaultdict(list)
"""Functions of the core by file and name."""
REMEMBERED = []
"""What is remembered of what the core works out."""


def load():
    """Load what tests need, and find the functions that mutants take the place of."""
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import tests.pinned

    import roofline

    for name in tests.pinned.TABLES:
        tests.pinned.functions(name)
    for path in {each[0] for each in mutants()}:
        importlib.import_module(module_of(path))
    for name in ("system", "model"):
        for each in roofline.names(name):
            getattr(roofline, name)(each)
    for each in gc.get_objects():
        if isinstance(each, types.FunctionType):
            FUNCTIONS[each.__code__.co_filename, each.__code__.co_qualname].append(each)
        elif isinstance(each, functools._lru_cache_wrapper) and str(each.__module__).startswith(COMPUTED):
            REMEMBERED.append(each)


def noticed(mutant, test):
    """Run a test in a process with the mutant (None for none); return whether it fails, or takes too long."""
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.dont_write_bytecode = True
        spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        resource.setrlimit(resource.RLIMIT_CPU, (spent + PATIENCE, spent + PATIENCE))
        status = 1
        try:
            if mutant is not None:
                status = UNTRIED
                put(mutant)
                status = 1
                load_again(mutant)
            status = 0 if test() else 1
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(ended)
    if status == UNTRIED:
        raise RuntimeError(f"cannot try {mutant[0]}:{mutant[1]}")
    return status != 0


def passes(files):
    """Run files of tests, and return whether all pass."""
    import pytest

    files = [each for each in files if Path(each).exists()]
    words = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not thorough", "-W", "ignore"]
    return not files or pytest.main([*words, *files]) == 0


def holds(tables):
    """Work out tables of pinned numbers, and return whether all are what they were."""
    import numpy as np
    import tests.pinned as pinned

    np.seterr(all="ignore")
    for table in tables:
        old = pinned.read(table)
        for name, made in pinned.functions(table).items():
            count = 0
            for key, value in pinned.worked_out(made):
                count += 1
                if not pinned.same(value, old[name].get(key)):
                    return False
            if count != len(old[name]):
                return False
    return True


def main():
    """Draw mutants, and print those that survive, and the score."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--sample", type=int, default=100, help="mutants to draw; 0 for all")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--only", default="", help="a part of the path of the modules")
    words.add_argument("--minutes", type=float, default=1e9)
    words.add_argument("--quick", action="store_true", help="pinned numbers and tests by hand alone, until one notices")
    words.add_argument("--own", action="store_true", help="with --quick: then a module's own tests too")
    asked = words.parse_args()
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    load()
    every = [each for each in mutants() if asked.only in str(each[0])]
    drawn = random.Random(asked.seed).sample(every, min(asked.sample or len(every), len(every)))
    print(f"{len(every):,} mutants, {len(drawn)} drawn", flush=True)
    hand = [each for each in BY_HAND if Path(each).exists()]
    for each in sorted({tuple(tables(each[0])) for each in drawn}):
        if noticed(None, lambda each=each: holds(each)):
            sys.exit(f"the tables {each} are not what they were without a mutant; run python -m tests.pinned")
    own_tests = not asked.quick or asked.own
    for each in [*sorted({tuple(first_of(OWN, each[0])) for each in drawn} if own_tests else ()), hand]:
        if noticed(None, lambda each=each: passes(each)):
            sys.exit(f"{' '.join(each)} fail without a mutant")
    began, tried, counts = time.monotonic(), 0, collections.Counter()
    for mutant in drawn:
        if time.monotonic() - began > 60 * asked.minutes:
            break
        path, line, *_ = mutant
        tests = {
            "pinned": lambda path=path: holds(tables(path)),
            "own": lambda path=path: passes(first_of(OWN, path)),
            "by hand": lambda: passes(hand),
        }
        found = set()
        for name in ("pinned", "by hand", "own") if asked.quick else tests:
            if (asked.quick and found) or (name == "own" and not own_tests) or (name == "by hand" and found):
                continue
            if noticed(mutant, tests[name]):
                found.add(name)
        tried += 1
        counts["own"] += "own" in found
        counts["own and pinned"] += bool(found & {"own", "pinned"})
        counts["all"] += bool(found)
        if not found:
            print(f"survived: {path.relative_to(SOURCE / 'roofline')}:{line}: {source(mutant)[1]}", flush=True)
        if tried % 50 == 0:
            print(
                f"{tried} in {time.monotonic() - began:.0f} s, {tried - counts['all']} survived",
                file=sys.stderr,
                flush=True,
            )
    said = {"own": "own tests", "own and pinned": "with pinned numbers", "all": "with those by hand too"}
    kept = [name for name in said if not (asked.quick and name != "all")]
    scores = "; ".join(f"{said[name]} {counts[name]} ({100 * counts[name] / max(tried, 1):.1f} %)" for name in kept)
    print(f"{tried} tried in {time.monotonic() - began:.0f} s (seed {asked.seed}), noticed: {scores}")


def tables(path):
    """Return the pinned tables that are tried for a module."""
    import tests.pinned

    return [each for each in (*first_of(TABLES, path), "answers") if each in tests.pinned.TABLES]


if __name__ == "__main__":
    main()
