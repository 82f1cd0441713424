"""``roofline new``: a file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from roofline import catalog
from roofline.cli.console import say, wrote
from roofline.cli.flags import Json, output_file
from roofline.core.errors import QuestionError, fault

NEXT: Final = {
    "chip": "roofline show ./{file}, then roofline estimate llama-3.1-8b -s ./{file}",
    "system": "roofline show ./{file}, then roofline estimate llama-3.1-70b -s ./{file}",
    "model": "roofline show ./{file}, then roofline estimate ./{file} -s dgx-h100",
    "trace": "roofline simulate llama-3.1-8b -s dgx-h100 --trace {file}",
    "runs": "roofline validate {file}",
    "timings": "roofline calibrate {file} --chip h100 -o mine.toml, once there are 24 rows of a kernel",
}
"""What to do with each file."""

Kind = Annotated[
    Literal["chip", "system", "model", "trace", "runs", "timings"],
    Parameter(
        help="What to describe: chip, system, model (config.json), trace of requests, runs (measured), timings of kernels."
    ),
]
Name = Annotated[str, Parameter(help="Its name, and that of the file: my-chip.")]
File = Annotated[Path | None, output_file("Write to this file (default: the name and the ending of the kind).")]


def new(kind: Kind, name: Name = "", /, *, file: File = None, json: Json = False) -> None:
    """Write a commented template of a file, valid as it is, with numbers to replace."""
    ending, text = catalog.template(kind)
    path = Path(f"{name or f'my-{kind}'}{ending}") if file is None else file
    if path.exists():
        raise QuestionError(fault("file", str(path), "is there already", "name another, or remove it"))
    catalog.check_places([path])
    then = NEXT[kind].format(file=path)
    say(json, lambda: {"kind": kind, "file": str(path), "next": then}, lambda: f"next: {then}", verbatim=True)
    wrote((path, text.encode, ""))
