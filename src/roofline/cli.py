"""The command line: a thin shell over the public functions, with the same words.

With ``--json`` standard output carries one JSON document and nothing else; prose goes to standard error. Exit status 0:
answered (a plan that does not fit is an answer); 2: the question was wrong, with one line that names the argument, its
value, the rule and the remedy.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import cyclopts
from cyclopts import App, Parameter

from roofline import catalog, plots, sheets
from roofline.calibrating import calibrate
from roofline.comparison import LIMITS, compare
from roofline.descriptions import describe, list_table, listing
from roofline.errors import QuestionError, RooflineError, fault
from roofline.estimates import estimate
from roofline.validation import SHIPPED, validate
from roofline.words import (
    FORM,
    WORK,
    Accepted,
    Cached,
    Chips,
    Chunk,
    Clouds,
    Concurrency,
    Degree,
    Drafts,
    Dtype,
    Engine,
    Imbalance,
    Input,
    Joined,
    Json,
    KvDtype,
    Launch,
    Level,
    ModelName,
    Output,
    Power,
    Price,
    Profile,
    Rate,
    Slots,
    System,
    Tables,
    Timed,
    Variation,
)

app = App(
    name="roofline",
    help="How fast a large language model runs on a machine, why, and how sure we are.",
    version_flags=["--version"],
    help_format="plaintext",
)
app.register_install_completion_command(add_to_startup=False)


_PLAIN = str.maketrans({"─": "-", "├": "|", "└": "`", "│": "|", "·": "*", "µ": "u"})


def _say(as_json: bool, fields: Callable[[], Any], text: Callable[[], str]) -> None:
    told = json.dumps(fields(), indent=2, allow_nan=False) if as_json else text()
    print(_encodable(told, sys.stdout.encoding or "ascii"), flush=True)


def _encodable(text: str, encoding: str) -> str:
    """Return the text in characters that a terminal of this encoding can show."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return text


@app.command(name="list")
def list_(kind: Literal["systems", "chips", "models", "engines"], /, *, json: Json = False) -> None:
    """List the systems, chips, models or serving engines that come with the library."""
    _say(json, lambda: listing(kind), lambda: list_table(kind))


@app.command
def show(
    name: str,
    /,
    *,
    kind: Annotated[
        Literal["system", "chip", "model"] | None, Parameter(help="Which, where a chip and a system share a name.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a descriptor: every number with its source. NAME is a system, a chip, a model, or the path of a file of one."""
    description = describe(name, kind)
    _say(json, description.to_dict, lambda: description.text)


@app.command(name="estimate")
def estimate_(
    model: ModelName,
    /,
    *,
    system: System,
    chips: Chips = None,
    input: Input = 4096.0,
    output: Output = 1024.0,
    concurrency: Concurrency = None,
    rate: Rate = None,
    tp: Degree = None,
    pp: Degree = None,
    dp: Degree = None,
    ep: Degree = None,
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts = 0,
    accept_length: Accepted = 1.0,
    chunk: Chunk = None,
    cached: Cached = 0.0,
    imbalance: Imbalance = None,
    requests_per_slot: Slots = None,
    variation: Variation = 0.2,
    engine: Engine = None,
    launch: Launch = "graph",
    level: Level = "calibrated",
    power: Power = None,
    price: Price = None,
    why: Annotated[
        bool, Parameter(negative="", group=FORM, help="Every operation, what bounds it, and every source.")
    ] = False,
    json: Json = False,
) -> None:
    """Estimate a service: tokens per second, time to the first token and per token, memory, what bounds it, how surely."""
    est = estimate(
        model, system, chips=chips, level=level, dtype=dtype, kv_dtype=kv_dtype, tp=tp, pp=pp, dp=dp, ep=ep,
        input=input, output=output, **_load(concurrency, rate), draft_tokens=draft_tokens, accept_length=accept_length,
        chunk=chunk, cached=cached, imbalance=imbalance, requests_per_slot=requests_per_slot, variation=variation, engine=engine,
        launch=launch, power=power, price=price,
    )  # fmt: skip
    _say(json, lambda: sheets.fields(est, why=why), lambda: sheets.sheet(est, why=why))


def _load(concurrency: float | None, rate: float | None) -> dict[str, Any]:
    """Return the words of the load that were given."""
    return {name: value for name, value in (("concurrency", concurrency), ("rate", rate)) if value is not None}


@app.command(name="compare")
def compare_(
    *systems: str,
    model: Annotated[str | None, Parameter(help="Serve this model on each of them.")] = None,
    chips: Chips = None,
    input: Input | None = None,
    output: Output | None = None,
    concurrency: Annotated[
        float | None, Parameter(group=WORK, help="Requests in flight; by default what serves best.")
    ] = None,
    tpot: Annotated[
        list[str] | None, Parameter(group=WORK, negative="", help="Limits on the time per output token, such as 50ms.")
    ] = None,
    ttft: Annotated[str, Parameter(group=WORK, help="Limit on the time to the first token, such as 2s.")] = "10s",
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts | None = None,
    accept_length: Accepted | None = None,
    chunk: Chunk = None,
    level: Level = "calibrated",
    file: Annotated[
        Path | None,
        Parameter(
            name=["--output-file", "-o"], group=FORM, help="Draw the systems into FILE.svg, FILE.pdf or FILE.png."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare systems: FLOP/s, memory, bandwidth and power together and as ratios; with --model, what each makes of it."""
    form = "" if file is None else _form_of(file)
    words = {
        "input": input,
        "output": output,
        "draft_tokens": draft_tokens,
        "accept_length": accept_length,
        "chunk": chunk,
    }
    given = {name: value for name, value in words.items() if value is not None}
    found = compare(
        *systems, model=model, tpot=LIMITS if tpot is None else tpot, ttft=ttft, level=level, chips=chips,
        dtype=dtype, kv_dtype=kv_dtype, concurrency=concurrency, **given,
    )  # fmt: skip
    if file is not None:
        catalog.write(file, plots.render(found.plot(), form))
        print(f"wrote {file}", file=sys.stderr)
    _say(json, found.to_dict, found.table)


@app.command
def plot(
    model: ModelName,
    /,
    *,
    system: Annotated[list[str], Parameter(name=["--system", "-s"], help="A name or a path; several share one sheet.")],
    file: Annotated[Path, Parameter(name=["--output-file", "-o"], help="FILE.svg, FILE.pdf or FILE.png.")],
    chips: Chips = None,
    input: Input = 4096.0,
    output: Output = 1024.0,
    concurrency: Concurrency = None,
    rate: Rate = None,
    tp: Degree = None,
    pp: Degree = None,
    dp: Degree = None,
    ep: Degree = None,
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts = 0,
    accept_length: Accepted = 1.0,
    chunk: Chunk = None,
    engine: Engine = None,
    level: Level = "calibrated",
) -> None:
    """Draw a model's operations on the roofline of a system, prefill and decode told apart, as SVG, PDF or PNG."""
    form = _form_of(file)
    ax, told = None, []
    for each in system:
        est = estimate(
            model, each, chips=chips, level=level, dtype=dtype, kv_dtype=kv_dtype, tp=tp, pp=pp, dp=dp, ep=ep, input=input,
            output=output, **_load(concurrency, rate), draft_tokens=draft_tokens, accept_length=accept_length, chunk=chunk,
            engine=engine,
        )  # fmt: skip
        ax = est.plot(ax=ax)
        told.append(sheets.headline(est))
        told += [f"  {note}" for note in (*est.reasons, *est.assumptions) if note in est.reasons or "announced" in note]
    if ax is not None:
        catalog.write(file, plots.render(ax.figure, form))
        print(*told, f"wrote {file}", sep="\n", file=sys.stderr)


@app.command(name="calibrate")
def calibrate_(
    *tables: Tables,
    chip: Timed = None,
    system: Joined = None,
    file: Profile = None,
    plot: Clouds = None,
    json: Json = False,
) -> None:
    """Fit the constants of a chip to timings of your own; every other row is left out, and the error told is theirs."""
    form = "" if plot is None else _form_of(plot, "--plot")
    if not tables:
        raise QuestionError("FILE: is missing; name the CSV files that hold the timings")
    found = calibrate(tables, chip, system=system)
    picture = b"" if plot is None else plots.render(found.plot().figure, form)
    if file is not None:
        catalog.write(file, found.toml().encode())
        print(f"wrote {file}; use it as --level {file}", file=sys.stderr)
    if plot is not None:
        catalog.write(plot, picture)
        print(f"wrote {plot}", file=sys.stderr)
    _say(json, found.to_dict, found.table)


@app.command(name="validate")
def validate_(
    runs: Annotated[
        str,
        Parameter(
            help="A CSV file of measured runs, plain or gzipped; or serving, the runs that come with the library."
        ),
    ] = SHIPPED,
    /,
    *,
    level: Level = "calibrated",
    file: Annotated[
        Path | None,
        Parameter(name=["--output-file", "-o"], group=FORM, help="Write every prediction to this CSV file."),
    ] = None,
    plot: Annotated[
        Path | None, Parameter(group=FORM, help="Draw predicted against measured into FILE.svg, FILE.pdf or FILE.png.")
    ] = None,
    json: Json = False,
) -> None:
    """Predict measured runs and tell how far off that is: errors by quantity and group, coverage of the intervals."""
    form = "" if plot is None else _form_of(plot, "--plot")
    shown = sys.stderr.isatty()
    try:
        found = validate(runs, level=level, progress=_progress if shown else None)
    finally:
        if shown:
            print(_CLEAR, end="", file=sys.stderr, flush=True)
    if file is not None:
        catalog.write(file, found.csv().encode())
        print(f"wrote {file}", file=sys.stderr)
    if plot is not None:
        catalog.write(plot, plots.render(found.figure(), form))
        print(f"wrote {plot}", file=sys.stderr)
    _say(json, found.to_dict, found.table)


_CLEAR = "\r\x1b[K"


def _progress(done: int, total: int) -> None:
    """Show on a terminal how many runs are priced."""
    print(f"{_CLEAR}{done:,} of {total:,} runs", end="", file=sys.stderr, flush=True)


def _form_of(file: Path, word: str = "-o") -> str:
    """Return the form of a picture that a file's name asks for.

    Raises:
        QuestionError: not svg, pdf or png.
    """
    form = file.suffix.removeprefix(".").lower()
    if form not in plots.FORMATS:
        raise QuestionError(fault(word, str(file), "a picture is svg, pdf or png", "end the file name in one of them"))
    return form


def _complain(message: str) -> NoReturn:
    """Print one line to standard error and leave with status 2."""
    print(_encodable(f"roofline: {' '.join(message.split())}", sys.stderr.encoding or "ascii"), file=sys.stderr)
    raise SystemExit(2)


def _discard() -> None:
    """Drop what standard output still holds: it cannot be written when the program ends either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every wrong question ends in one line and status 2."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        _complain(_usage(error))
    except RooflineError as error:
        _complain(str(error))
    except BrokenPipeError:
        _discard()  # the reader has seen enough
    except OSError as error:
        _discard()
        _complain(f"output: cannot be written: {error.strerror or error}; check the disk and the place it goes to")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _usage(error: cyclopts.CycloptsError) -> str:
    """Return our own message where a converter of ours refused the word, else the parser's."""
    return str(error.__cause__) if isinstance(error.__cause__, RooflineError) else f"{error} See roofline --help."
