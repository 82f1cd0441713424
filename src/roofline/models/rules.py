"""Which format a module is stored in, by its name: lists of names, wildcards and regular expressions, as loaders read them.

A plain entry names a module, a part of its path (``mlp.gate``) or what it lies in (``model.layers.0``); ``*`` is a wildcard; an
entry after ``re:`` is a regular expression on the whole name. Of plain entries the longest wins; they go before patterns, and those
in their order.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from attrs import field, frozen

from roofline.core.errors import DescriptorError, fault

_LAYER: Final = re.compile(r"(?:^|.*?[.*])(?:layers|h|blocks)\.(?=[\d*?\[])")
"""The start of a name up to the number of its layer, under the names that families give their layers."""
_TOWERS: Final = re.compile(r"mtp|vis|audio|encoder|draft|eagle")
_TENSOR: Final = re.compile(r"\.(weight|bias|weight_packed|qweight)$")
_PREFIXES: Final = (
    "model.layers.", "model.language_model.layers.", "language_model.model.layers.", "layers.", "backbone.layers.",
    "transformer.h.", "language_model.layers.", "model.model.layers.",
)  # fmt: skip
"""How names of a layer begin in checkpoints."""
_LONGEST: Final = 500
"""Letters of an entry: longer ones name no module."""


def normal(entry: str) -> str:
    """Return an entry with its beginning up to the layers in one form.

    >>> (
    ...     normal("model.language_model.layers.3.mlp"),
    ...     normal("transformer.h.0.attn"),
    ...     normal("mtp.layers.0.mlp"),
    ...     normal("lm_head"),
    ... )
    ('layers.3.mlp', 'layers.0.attn', 'mtp.layers.0.mlp', 'lm_head')
    """
    bare = _TENSOR.sub("", entry.strip().strip("."))
    found = _LAYER.match(bare)
    if found is None or _TOWERS.search(found[0]):
        return bare.removeprefix("model.").removeprefix("language_model.")
    return f"layers.{bare[found.end() :]}"


@frozen
class Rules:
    """Formats by names: plain entries, beginnings of names, and patterns in their order. None: the module is not quantised.

    Attributes:
        exact: format by whole name; None for a module that is not quantised.
        starts: beginnings of names by format.
        patterns: each pattern, whether it is a regular expression as written, and the format, in their order.
    """

    exact: Mapping[str, str | None] = field(factory=dict)
    starts: Mapping[str | None, tuple[str, ...]] = field(factory=dict)
    patterns: tuple[tuple[re.Pattern[str], bool, str | None], ...] = ()

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str | None]], place: str) -> Rules:
        """Return the rules that entries spell.

        Raises:
            DescriptorError: a regular expression that is none, or an entry that is too long.
        """
        exact: dict[str, str | None] = {}
        starts: dict[str | None, list[str]] = {}
        patterns: list[tuple[re.Pattern[str], bool, str | None]] = []
        for entry, stored in entries:
            if len(entry) > _LONGEST:
                raise DescriptorError(fault(place, entry, f"must name modules, of {_LONGEST} letters at most"))
            if entry.startswith("re:"):
                patterns.append((_compiled(entry[3:], place), True, stored))
            elif entry.endswith("*") and not any(letter in entry[:-1] for letter in "*?["):
                starts.setdefault(stored, []).append(normal(entry[:-1]) + "." * entry.endswith(".*"))
            elif any(letter in entry for letter in "*?"):
                patterns.append((re.compile(fnmatch.translate(normal(entry))), False, stored))
            else:
                exact.setdefault(normal(entry), stored)
        return cls(exact, {stored: tuple(each) for stored, each in starts.items()}, tuple(patterns))

    @property
    def numbered(self) -> bool:
        """Whether any rule tells layers apart."""
        digits = any(_has_number(pattern.pattern) for pattern, _, _ in self.patterns)
        plain = (*self.exact, *(entry for each in self.starts.values() for entry in each))
        return digits or any(re.search(r"\d", entry) for entry in plain)

    def find(self, names: tuple[str, ...], layer: str) -> tuple[bool, str | None]:
        """Return whether a rule speaks of a module, and the format it says.

        Args:
            names: of the module in its layer.
            layer: ``"3"``, or the whole beginning of a name that is in no layer of the model (``"mtp.layers.0"``), or empty.
        """
        head = f"layers.{layer}" if layer.isdecimal() else layer
        for key in _keys(names, head) if self.exact else ():
            if key in self.exact:
                return True, self.exact[key]
        for stored, beginnings in self.starts.items():
            if any(name.startswith(beginnings) for name in _full(names, layer, whole=False)):
                return True, stored
        for pattern, whole, stored in self.patterns:
            if any(pattern.match(name) for name in _full(names, layer, whole=whole)):
                return True, stored
        return False, None

    def uneven(self, experts: int) -> bool:
        """Return whether single experts of a layer are named, and not all of them alike."""
        found: dict[str, Counter[str | None]] = {}
        for entry, stored in self.exact.items():
            bare = re.sub(r"experts\.\d+", "experts", entry)
            if bare != entry:
                found.setdefault(bare, Counter())[stored] += 1
        return any(len(counts) > 1 or counts.total() != experts for counts in found.values())


def _compiled(text: str, place: str) -> re.Pattern[str]:
    # Nested repetition can take for ever on a name that does not match.
    if re.search(r"[+*}]\s*\)\s*[+*{]", text):
        raise DescriptorError(
            fault(place, text, "a repetition inside a repetition is not read", "write it without one")
        )
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise DescriptorError(fault(place, text, "is no regular expression")) from None


def _has_number(pattern: str) -> bool:
    """Return whether a pattern names a number, the counts of repetitions apart."""
    return re.search(r"\d", re.sub(r"\{[\d,]*\}|\\d|\[0-9\]|w[123]|fc[12]|fp\d|int\d", "", pattern)) is not None


@functools.lru_cache(maxsize=4096)
def _inside(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts of the paths of a module, the longest first."""
    out: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        for start in range(len(parts)):
            for end in range(start + 1, len(parts) + 1):
                out[".".join(parts[start:end])] = end - start
    return tuple(sorted(out, key=lambda key: -out[key]))


def _keys(names: tuple[str, ...], head: str) -> Iterable[str]:
    """Return what a plain entry that speaks of a module may look like, the longest first."""
    if head:
        paths = dict.fromkeys(
            ".".join((head, *name.split(".")[:count])) for name in names for count in range(name.count(".") + 1, -1, -1)
        )
        yield from sorted(paths, key=lambda key: -key.count("."))
        # What all layers of that kind lie in: "mtp" of "mtp.layers.0".
        parts = head.split(".")
        yield from (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1) if not head.startswith("layers."))
    yield from _inside(names)


def _full(names: tuple[str, ...], layer: str, *, whole: bool) -> Iterable[str]:
    """Return the full names of a module; for wildcards those of what it lies in too, in one form."""
    if not layer:
        yield from (f"{prefix}{name}" for prefix in ("", "model.", "language_model.") for name in names)
    elif not layer.isdecimal():
        yield from (f"{layer}.{name}" for name in names)
    elif whole:
        yield from (f"{prefix}{layer}.{name}" for prefix in _PREFIXES for name in names)
    else:
        for name in names:
            parts = name.split(".")
            yield from (".".join((f"layers.{layer}", *parts[:count])) for count in range(len(parts), -1, -1))
