"""Rewrite what the documents print: ``python docs/outputs.py``, or with the names of some pages.

Every ``$ roofline ...`` of a console block and every ``>>>`` of a Markdown page is run again. An output that no longer matches is replaced by
the new one; one that matches, with its ellipses, stays as it is. Read the difference before you commit it: a changed number is a changed
answer.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import sys
from pathlib import Path

from roofline.cli import app

ROOT = Path(__file__).resolve().parents[1]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def pages() -> list[Path]:
    """Return the Markdown pages whose examples run."""
    found = [page for page in (ROOT / "docs").rglob("*.md") if not {"_build", "jupyter_execute"} & set(page.parts)]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(found)]


def printed(command: str) -> str:
    """Return what a command prints on standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        app.main(shlex.split(command))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def consoles(text: str) -> str:
    """Return the page with the output of every command of its console blocks."""

    def command(found: re.Match[str]) -> str:
        new = printed(found[1])
        return f"$ roofline {found[1]}\n{new}" if new.strip() != found[2].strip() else found[0]

    def block(found: re.Match[str]) -> str:
        inner = re.sub(r"^\$ roofline (.*)\n((?:(?!^\$ ).*\n)*)", command, found[2], flags=re.MULTILINE)
        return f"{found[1]}{inner}{found[3]}"

    return re.sub(r"(^```console\n)(.*?)(^```$)", block, text, flags=re.MULTILINE | re.DOTALL)


def examples(text: str, name: str) -> str:
    """Return the page with the output of every example."""
    blank = re.sub(r"^```.*$", "", text, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(blank, {}, name, name, 0)
    failed: list[tuple[doctest.Example, str]] = []

    class Runner(doctest.DocTestRunner):
        def report_failure(self, _out, _test, example, got):
            failed.append((example, got))

        def report_unexpected_exception(self, _out, _test, example, exc_info):
            print(f"{name}: {example.source.strip()[:80]} raises {exc_info[1]!r}", file=sys.stderr)

    Runner(optionflags=FLAGS).run(test, out=lambda _: None)
    lines = text.split("\n")
    for example, got in sorted(failed, key=lambda pair: -pair[0].lineno):
        start = example.lineno + example.source.count("\n")
        wanted = example.want.count("\n")
        pad = " " * example.indent
        lines[start : start + wanted] = [f"{pad}{line}".rstrip() for line in got.rstrip("\n").split("\n")]
    return "\n".join(lines)


def main() -> None:
    """Refresh the pages named, or all."""
    asked = set(sys.argv[1:])
    for page in pages():
        if asked and page.name not in asked:
            continue
        text = page.read_text(encoding="utf-8")
        new = examples(consoles(text), page.name)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
