"""Flags that the argument parsers of a tool define, read from its source without importing it.

    python scripts/launch_flags.py workloads/launch/vllm.toml path/to/arg_utils.py path/to/config/

prints which flags and values of the table the source defines, and which it does not. Read are calls of ``add_argument`` and
``click.option``, and fields of classes that a parser is made of (SGLang, Megatron-Core, torchtitan).
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def strings(node: ast.AST | None) -> list[str]:
    """Return the text constants below a node."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)] if node else []


def defined(tree: ast.AST) -> Iterator[tuple[str, list[str], bool]]:
    """Yield each flag, its choices where they are written out, and whether it is a switch."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("add_argument", "option"):
            words = {each.arg: each.value for each in node.keywords}
            switch = any(
                isinstance(words.get(name), ast.Constant) and words[name].value is True for name in ("is_flag",)
            )
            switch |= "store_" in "".join(strings(words.get("action")))
            choices = strings(words.get("choices")) or (
                strings(words["type"]) if isinstance(words.get("type"), ast.Call) else []
            )
            for name in (s for arg in node.args for s in strings(arg) if s.startswith("-")):
                yield name, choices, switch
        if isinstance(node, ast.ClassDef):
            yield from _fields(node)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, list[str], bool]]:
    for each in node.body:
        if not (isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)):
            continue
        name, kind = each.target.id, ast.unparse(each.annotation)
        choices = [s for part in ast.walk(each.annotation) if isinstance(part, ast.Subscript) and ast.unparse(part.value).endswith("Literal")
                   for s in strings(part.slice)]  # fmt: skip
        names = [f"--{name.replace('_', '-')}", f"{node.name}.{name}"]
        names += [s for s in strings(each.annotation) + strings(each.value) if s.startswith("--") and " " not in s]
        if isinstance(each.value, ast.Constant) and each.value.value is True:
            names += [f"--no-{name.replace('_', '-')}", f"--disable-{name.replace('_', '-')}"]
        for flag in names:
            yield flag, choices, kind.startswith(("bool", "A[bool"))


def main(table: str, *places: str) -> int:
    """Compare a table with sources; return the number of flags and values that no source defines."""
    found: dict[str, tuple[set[str], bool]] = {}
    for place in places:
        for file in sorted(Path(place).rglob("*.py")) if Path(place).is_dir() else [Path(place)]:
            for flag, choices, switch in defined(ast.parse(file.read_text(encoding="utf-8"))):
                known, was = found.get(flag, (set(), False))
                found[flag] = (known | set(choices), was or switch)
    top = tomllib.loads(Path(table).read_text(encoding="utf-8"))
    wrong = 0
    for flag, takes in top["flags"].items():
        field = flag.removeprefix("--")
        flag_ = next((name for name in found if name == flag or name.lower() == field.lower().replace("parallelism.", "parallelismconfig.")
                      .replace("training.", "trainingconfig.")), "")  # fmt: skip
        if not flag_:
            print(f"{flag}: not defined")
            wrong += 1
            continue
        choices, switch = found[flag_]
        for value in takes if isinstance(takes, list) else ():
            if choices and value not in choices:
                print(f"{flag}: {value} is no choice of {sorted(choices)}")
                wrong += 1
        if (takes == "switch") != switch:
            print(f"{flag}: {takes}, source {'switch' if switch else 'takes a value'} (look)")
    print(f"{table}: {len(top['flags'])} flags, {wrong} not defined")
    return wrong


if __name__ == "__main__":
    raise SystemExit(bool(main(*sys.argv[1:])))
