"""The flags and configuration keys that tools know: tables of ``workloads/launch``, and text made with them alone."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from attrs import field, frozen

from roofline import catalog
from roofline.core.errors import QuestionError, fault, near
from roofline.core.mappings import Table
from roofline.core.values import Record

Value: TypeAlias = str | int | float | bool | None
KINDS: Final = ("int", "float", "text", "json", "switch", "bool", "list", "null")
"""Kinds of value that a flag or key takes."""


@frozen
class Tool:
    """What a release of a tool takes.

    Attributes:
        name: name of the tool, as catalogued.
        title: name of the tool for people.
        release: its release.
        command: how its command begins.
        flags: flags of its command line, each with its kind of value, or the values of it that are used.
        keys: dotted keys of its configuration file, likewise.
        source: where the parser was read.
    """

    name: str
    title: str
    release: str
    command: tuple[str, ...]
    flags: Mapping[str, str | tuple[str, ...]]
    keys: Mapping[str, str | tuple[str, ...]]
    source: str

    def check(self, name: str, value: Value, *, key: bool = False) -> None:
        """Refuse a flag, key or value that the tool does not know.

        Raises:
            QuestionError: the table of this release does not have it.
        """
        known = self.keys if key else self.flags
        where = f"{self.title} {self.release}"
        if name not in known:
            raise QuestionError(fault(name, value, f"is not known to {where}", near(name, known, "flags")))
        takes = known[name]
        if isinstance(takes, tuple) and str(value) not in takes:
            raise QuestionError(fault(name, value, f"is no value of it in {where}", f"known: {', '.join(takes)}"))


@functools.cache
def tool(name: str) -> Tool:
    """Return what a tool takes, from its table.

    >>> tool("vllm").flags["--tensor-parallel-size"]
    'int'

    Raises:
        UnknownNameError: no such table.
    """
    top = catalog.launch(name)
    head, source = top.table("tool"), top.table("sources").table("parser")
    return Tool(
        name, head.text("title"), head.text("release"), head.words("command"), _taken(top.table("flags")),
        _taken(top.table("keys", {})), source.text("url"),
    )  # fmt: skip


def _taken(table: Table) -> dict[str, str | tuple[str, ...]]:
    out: dict[str, str | tuple[str, ...]] = {}
    for name in table:
        raw = table.raw(name)
        out[name] = table.words(name) if isinstance(raw, Sequence) and not isinstance(raw, str) else table.text(name)
        if isinstance(out[name], str) and out[name] not in KINDS:
            raise table.fail(name, f"must be one of {', '.join(KINDS)}, or a list of values")
    return out


class Flags:
    """A command line that grows flag by flag, each checked against the tool's table."""

    def __init__(self, to: Tool) -> None:
        self._tool = to
        self._words: list[str] = []

    def add(self, flag: str, value: Value = True) -> Flags:
        """Add a flag: None and False leave it out, True adds it without a value."""
        if value is not None and value is not False:
            self._tool.check(flag, value)
            self._words += [flag] if value is True else [flag, _plain(value)]
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """The flags and values so far."""
        return tuple(self._words)


def _plain(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings(to: Tool, values: Mapping[str, Value]) -> dict[str, object]:
    """Return dotted keys as nested mappings, each checked against the tool's table; None is written where the key takes null.

    >>> settings(tool("trtllm"), {"kv_cache_config.dtype": "fp8"})
    {'kv_cache_config': {'dtype': 'fp8'}}
    """
    out: dict[str, object] = {}
    for dotted, value in values.items():
        to.check(dotted, value, key=True)
        inner = out
        *path, last = dotted.split(".")
        for part in path:
            below = inner.setdefault(part, {})
            inner = below if isinstance(below, dict) else {}
        inner[last] = value
    return out


def yaml(value: object, indent: int = 0) -> str:
    """Return nested mappings, lists and scalars as YAML.

    >>> print(yaml({"a": {"b": 1, "c": [True, "x"]}}))
    a:
      b: 1
      c:
        - true
        - "x"
    """
    pad = "  " * indent
    if isinstance(value, Mapping):
        parts = []
        for name, each in value.items():
            nested = isinstance(each, (Mapping, list)) and each
            parts.append(f"{pad}{name}:\n{yaml(each, indent + 1)}" if nested else f"{pad}{name}: {json.dumps(each)}")
        return "\n".join(parts)
    if isinstance(value, list):
        return "\n".join(f"{pad}- {yaml(each, indent + 1).lstrip()}" if isinstance(each, (Mapping, list)) else f"{pad}- {json.dumps(each)}"
                         for each in value)  # fmt: skip
    return f"{pad}{json.dumps(value)}"


@frozen
class Launch:
    """How to start what was estimated, in a tool's own words.

    Attributes:
        tool: the name of the tool.
        release: release of the tool whose flags these are.
        source: where the parser of its flags was read.
        command: the command of one replica on its first host.
        copies: replicas to start alike.
        files: text of configuration files and scripts, by name.
        environment: variables to set first.
        notes: what the plan has and the tool has no flag for, and what was put in.
    """

    tool: str
    release: str
    source: str
    command: tuple[str, ...]
    copies: int = 1
    files: Mapping[str, str] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The command as one line for a shell."""
        return shlex.join(self.command)

    @property
    def script(self) -> str:
        """The command as a shell script, with the notes as comments."""
        head = [f"# {note}" for note in (f"{self.tool} {self.release}: flags as in {self.source}", *self.notes)]
        head += [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return "\n".join(["#!/bin/sh", *head, wrapped(self.command)]) + "\n"

    def to_dict(self) -> Record:
        """Return the fields as JSON has them."""
        return {
            "tool": self.tool, "release": self.release, "source": self.source, "command": list(self.command),
            "replicas": self.copies, "environment": dict(self.environment), "files": dict(self.files), "notes": list(self.notes),
        }  # fmt: skip

    def __str__(self) -> str:
        parts = [self.script.partition("\n")[2], *(f"# ---- {name}\n{text}" for name, text in self.files.items())]
        return "\n".join(parts).rstrip("\n")


def wrapped(words: Sequence[str]) -> str:
    r"""Return a command with one flag a line.

    >>> print(wrapped(["vllm", "serve", "m", "--tp", "8"]))
    vllm serve m \
      --tp 8
    """
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            lines.append([])
        lines[-1].append(word)
    return " \\\n  ".join(shlex.join(line) for line in lines)
