"""The command line: a thin shell over the public functions, with the same words.

With ``--json`` standard output carries one JSON document and nothing else; prose goes to standard error. Exit status 0:
answered (a plan that does not fit is an answer); 2: the question was wrong, with one line that names the argument, its
value, the rule and the remedy.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import App, Parameter

from roofline import catalog, plots
from roofline.calibration.calibrate import calibrate
from roofline.cli.console import complain, form_of, say, watched, wrote
from roofline.cli.flags import (
    Accepted,
    Chips,
    Chunk,
    Clouds,
    Concurrency,
    Drafts,
    Dtype,
    Engine,
    Input,
    Joined,
    Json,
    KvDtype,
    KvOffload,
    Launch,
    Level,
    Load,
    ModelName,
    Output,
    Power,
    Predictions,
    PrefillChips,
    PrefillSystem,
    PrefillTp,
    Price,
    Profile,
    Rate,
    Runs,
    Scatter,
    System,
    Systems,
    Tables,
    Timed,
    Tpots,
    Ttft,
    Why,
)
from roofline.cli.options import SERVING, ServingOptions
from roofline.cli.plot import plot_
from roofline.cli.report import report_
from roofline.cli.search import searches
from roofline.cli.sweep import break_even_, needed_, sensitivity_, sweep_
from roofline.cli.train import train_
from roofline.core.errors import QuestionError, RooflineError
from roofline.core.fields import given
from roofline.planner.estimate import estimate, service
from roofline.planner.offload import offload
from roofline.planner.pools import pools
from roofline.reports import text
from roofline.reports.describe import describe, list_table, listing
from roofline.studies.compare import LIMITS, compare
from roofline.validation.validate import SHIPPED, validate

app = App(
    name="roofline",
    help="How fast a large language model runs on a machine, why, and how sure we are.",
    version_flags=["--version"],
    help_format="plaintext",
)
app.register_install_completion_command(add_to_startup=False)
app.command(searches)
app.command(train_, name="train")
app.command(plot_, name="plot")
app.command(report_, name="report")
app.command(sweep_, name="sweep")
app.command(needed_, name="needed")
app.command(sensitivity_, name="sensitivity")
app.command(break_even_, name="break-even")


@app.command(name="list")
def list_(kind: Literal["systems", "chips", "models", "engines", "frameworks"], /, *, json: Json = False) -> None:
    """List the systems, chips, models, serving engines or training frameworks that come with the library."""
    say(json, lambda: listing(kind), lambda: list_table(kind))


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
    say(json, description.to_dict, lambda: description.text)


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
    options: ServingOptions = SERVING,
    engine: Engine = None,
    launch: Launch = "graph",
    level: Level = "calibrated",
    prefill_chips: PrefillChips = None,
    prefill_tp: PrefillTp = None,
    prefill_system: PrefillSystem = None,
    kv_offload: KvOffload = False,
    power: Power = None,
    price: Price = None,
    why: Why = False,
    json: Json = False,
) -> None:
    """Estimate a service: tokens per second, time to the first token and per token, memory, what bounds it, how surely."""
    words = options.words() | {"input": input, "output": output, "concurrency": concurrency, "rate": rate}
    shape: dict[str, Any] = {name: words.pop(name) for name in ("tp", "pp", "dp", "ep")}
    shape |= {"chips": chips, "level": level, "engine": engine, "launch": launch, "power": power, "price": price}
    stored = {name: words.pop(name) for name in ("dtype", "kv_dtype")}
    if prefill_chips is not None:
        if kv_offload:
            raise QuestionError("--kv-offload: is of chips that read and decode; leave out --prefill-chips")
        asked = service(catalog.model(model, **stored), words)
        apart: Any = {"prefill_chips": prefill_chips, "prefill_tp": prefill_tp, "prefill_system": prefill_system}
        split = pools(asked, system, **apart, **shape)
        say(json, lambda: text.split_fields(split, why=why), lambda: text.split_sheet(split, why=why))
        return
    if prefill_tp is not None or prefill_system is not None:
        word = f"--{'prefill-tp' if prefill_system is None else 'prefill-system'}"
        raise QuestionError(f"{word}: is of chips that only read prompts; give --prefill-chips too")
    est = estimate(model, system, **shape, **stored, **words)
    fetched = offload(est) if kv_offload else None
    say(json, lambda: text.fields(est, fetched, why=why), lambda: text.service_sheet(est, fetched, why=why))


@app.command(name="compare")
def compare_(
    *systems: str,
    model: Annotated[str | None, Parameter(help="Serve this model on each of them.")] = None,
    chips: Chips = None,
    input: Input | None = None,
    output: Output | None = None,
    concurrency: Load = None,
    tpot: Tpots = None,
    ttft: Ttft = "10s",
    dtype: Dtype = None,
    kv_dtype: KvDtype = None,
    draft_tokens: Drafts | None = None,
    accept_length: Accepted = None,
    chunk: Chunk = None,
    engine: Engine = None,
    level: Level = "calibrated",
    file: Systems = None,
    json: Json = False,
) -> None:
    """Compare systems: FLOP/s, memory, bandwidth and power together and as ratios; with --model, what each makes of it."""
    form = form_of(file)
    words = {
        "input": input,
        "output": output,
        "draft_tokens": draft_tokens,
        "accept_length": accept_length,
        "chunk": chunk,
    }
    with watched("plans") as progress:
        found = compare(
            *systems, model=model, tpot=LIMITS if tpot is None else tpot, ttft=ttft, level=level, chips=chips, engine=engine,
            dtype=dtype, kv_dtype=kv_dtype, concurrency=concurrency, progress=progress, **given(**words),
        )  # fmt: skip
    if file is not None:
        wrote(file, plots.render(found.plot(), form))
    say(json, found.to_dict, found.table)


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
    form = form_of(plot, "--plot")
    if not tables:
        raise QuestionError("FILE: is missing; name the CSV files that hold the timings")
    found = calibrate(tables, chip, system=system)
    picture = b"" if plot is None else plots.render(found.plot().figure, form)
    if file is not None:
        wrote(file, found.toml().encode(), f"; use it as --level {file}")
    if plot is not None:
        wrote(plot, picture)
    say(json, found.to_dict, found.table)


@app.command(name="validate")
def validate_(
    runs: Runs = SHIPPED,
    /,
    *,
    level: Level = "calibrated",
    file: Predictions = None,
    plot: Scatter = None,
    json: Json = False,
) -> None:
    """Predict measured runs and tell how far off that is: errors by quantity and group, coverage of the intervals."""
    form = form_of(plot, "--plot")
    with watched("runs") as progress:
        found = validate(runs, level=level, progress=progress)
    if file is not None:
        wrote(file, found.csv().encode())
    if plot is not None:
        wrote(plot, plots.render(found.figure(), form))
    say(json, found.to_dict, found.table)


def _discard() -> None:
    """Drop what standard output still holds: it cannot be written when the program ends either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every wrong question ends in one line and status 2."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        complain(_usage(error))
    except RooflineError as error:
        complain(str(error))
    except BrokenPipeError:
        _discard()  # the reader has seen enough
    except OSError as error:
        _discard()
        complain(f"output: cannot be written: {error.strerror or error}; check the disk and the place it goes to")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _usage(error: cyclopts.CycloptsError) -> str:
    """Return our own message where a converter of ours refused the word, else the parser's."""
    return str(error.__cause__) if isinstance(error.__cause__, RooflineError) else f"{error} See roofline --help."
